/* store.c - what the hub said before. Documents lie below their commit and never change:
 *
 *   <store>/<host>/models--org--name/refs/main.json      commit, or why there is none, and when
 *   <store>/<host>/models--org--name/<commit>/config.json ...
 *
 * A store that cannot be written costs time and nothing else. */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"

#define REF_MAX_BYTES 4096u

/* refs/pr/1 -> refs--pr--1.json */
static char *ref_path(const char *folder, const char *revision)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf path = SB_STRBUF_INIT;

	sb_strbuf_addf(&path, "%s/refs/", folder);
	for (const char *p = revision; *p; p++)
		if (*p == '/')
			sb_strbuf_adds(&path, "--");
		else
			sb_strbuf_addc(&path, *p);
	sb_strbuf_adds(&path, ".json");
	return sb_strbuf_steal(&path);
}

static void copy_text(const json_t *json, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(json, key));

	snprintf(to, size, "%s", text ? text : "");
	sb_text_clean(to);
}

static bool take_ref(const json_t *json, struct hub_ref *ret)
{
	uint64_t now = sb_now_unix_ms();
	json_int_t at = json_integer_value(json_object_get(json, "checked_unix_ms"));
	json_int_t code = json_integer_value(json_object_get(json, "code"));

	*ret = (struct hub_ref){ .age_ms = UINT64_MAX };
	/* A clock that was put back makes it old, not young for ever. */
	if (at > 0 && (uint64_t)at <= now)
		ret->age_ms = now - (uint64_t)at;
	copy_text(json, "commit", ret->commit, sizeof(ret->commit));
	copy_text(json, "error", ret->err.text, sizeof(ret->err.text));
	copy_text(json, "hint", ret->err.hint, sizeof(ret->err.hint));
	ret->err.code = code > SB_OK && code < SB_CODE_COUNT_ ? (enum sb_code)code : SB_OK;
	if (*ret->commit)
		return hub_is_name(ret->commit, false);
	return ret->err.code != SB_OK;
}

bool hub_ref_read(const char *folder, const char *revision, struct hub_ref *ret)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = ref_path(folder, revision);
	json_t *json;
	bool good;

	if (!path || sb_fs_read(path, REF_MAX_BYTES, &text, NULL) < 0)
		return false;
	json = json_loadb(sb_strbuf_str(&text), text.len, 0, NULL);
	good = json_is_object(json) && take_ref(json, ret);
	json_decref(json);
	return good;
}

static void put(const char *path, const char *text, size_t len)
{
	SB_CLEANUP(sb_freep) char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash)
		return;
	*slash = '\0';
	if (sb_fs_mkdirs(dir, 0700, NULL) == 0)
		sb_fs_write(path, text, len, 0600, NULL);
}

void hub_ref_write(const char *folder, const char *revision, const char *commit,
		const struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = ref_path(folder, revision), *text = NULL;
	json_t *json = json_pack("{s:I}", "checked_unix_ms", (json_int_t)sb_now_unix_ms());

	if (err) {
		json_object_set_new(json, "code", json_integer(err->code));
		json_object_set_new(json, "error", json_string(err->text));
		json_object_set_new(json, "hint", json_string(err->hint));
	} else {
		json_object_set_new(json, "commit", json_string(commit));
	}
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (path && text)
		put(path, text, strlen(text));
	json_decref(json);
}

static char *doc_path(const char *folder, const char *commit, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s/%s", folder, commit, name) < 0 ? NULL : path;
}

json_t *hub_doc_read(const char *folder, const char *commit, const char *name, size_t max)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = doc_path(folder, commit, name);

	if (!path || sb_fs_read(path, max, &text, NULL) < 0)
		return NULL;
	return json_loadb(sb_strbuf_str(&text), text.len, 0, NULL);
}

void hub_doc_write(const char *folder, const char *commit, const char *name, const char *text,
		size_t len)
{
	SB_CLEANUP(sb_freep) char *path = doc_path(folder, commit, name);

	if (path)
		put(path, text, len);
}
