/* cache.c - from the name of a model to its folder in the cache. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

#define NAME_MAX_BYTES 200u
#define REF_MAX_BYTES  128u

int sb_hub_cache(const char *(*getenv_fn)(const char *name), char **ret, struct sb_err *err)
{
	static const struct {
		const char *name, *below;
	} places[] = { { "HF_HUB_CACHE", "" }, { "HUGGINGFACE_HUB_CACHE", "" },
		{ "HF_HOME", "/hub" }, { "XDG_CACHE_HOME", "/huggingface/hub" },
		{ "HOME", "/.cache/huggingface/hub" } };
	const char *home = getenv_fn("HOME");

	for (size_t i = 0; i < sb_countof(places); i++) {
		const char *value = getenv_fn(places[i].name);
		bool tilde = value && !strncmp(value, "~/", 2) && !sb_empty(home);

		if (sb_empty(value))
			continue;
		if (asprintf(ret, "%s%s%s", tilde ? home : "", tilde ? value + 1 : value,
				    places[i].below) < 0)
			return sb_err_nomem(err);
		return 0;
	}
	return sb_err_set(err, SB_E_NOT_FOUND, "neither HF_HOME nor HOME is set");
}

bool hub_is_name(const char *text, bool slashes)
{
	size_t len = strlen(text);

	if (!len || len > NAME_MAX_BYTES || text[0] == '/' || text[len - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.' && text[i + 1] == '.')
			return false;
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]) &&
				!(slashes && text[i] == '/'))
			return false;
	}
	return text[0] != '.';
}

bool hub_is_model(const char *text)
{
	const char *slash = strchr(text, '/');

	return hub_is_name(text, true) && (!slash || (!strchr(slash + 1, '/') && slash[1] != '.'));
}

char *hub_folder_name(const char *model)
{
	const char *slash = strchr(model, '/');
	int org = slash ? (int)(slash - model) : 0;
	char *name;

	if (asprintf(&name, "models--%.*s%s%s", org, model, slash ? "--" : "",
			    slash ? slash + 1 : model) < 0)
		return NULL;
	return name;
}

static int model_folder(const char *cache, const char *model, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = hub_folder_name(model);

	*ret = name ? sb_fs_join(cache, name) : NULL;
	return *ret ? 0 : sb_err_nomem(err);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The commit that a branch or tag stands for; @revision itself when it is none. */
static int read_ref(const char *folder, const char *revision, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = NULL;

	if (asprintf(&path, "%s/refs/%s", folder, revision) < 0) {
		path = NULL;
		return sb_err_nomem(err);
	}
	if (sb_fs_read(path, REF_MAX_BYTES, &text, NULL) < 0)
		*ret = strdup(revision);
	else
		*ret = strndup(sb_strbuf_str(&text), strcspn(sb_strbuf_str(&text), " \t\r\n"));
	return *ret ? 0 : sb_err_nomem(err);
}

int sb_hub_snapshot(const char *cache, const char *model, const char *revision, char **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *folder = NULL, *commit = NULL, *path = NULL;
	const char *ref = sb_empty(revision) ? "main" : revision;
	int rc;

	*ret = NULL;
	if (!hub_is_model(model))
		return sb_err_set(err, SB_E_INVALID, "'%s' is not org/name", model);
	if (!hub_is_name(ref, true))
		return sb_err_set(err, SB_E_INVALID, "'%s' cannot be a revision", ref);
	rc = model_folder(cache, model, &folder, err);
	if (!rc)
		rc = read_ref(folder, ref, &commit, err);
	if (rc < 0)
		return rc;
	if (!hub_is_name(commit, false))
		return 0; /* a branch that was never fetched, or a ref that holds something else */
	if (asprintf(&path, "%s/snapshots/%s", folder, commit) < 0) {
		path = NULL;
		return sb_err_nomem(err);
	}
	if (is_folder(path))
		*ret = sb_steal(path);
	return 0;
}
