/* spec.c - what an engine is asked: container specs as JSON, image references, paths. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sb_engine_parts.h"

/* --- small builders: each says what was wrong, or does nothing after a failure --- */

struct builder {
	struct sb_err *err;
	int rc;
};

/* Takes @value over. A NULL value is a failure that was told already, or no memory. */
static void put(struct builder *b, json_t *obj, const char *key, json_t *value)
{
	if (b->rc < 0)
		json_decref(value);
	else if (!value || json_object_set_new(obj, key, value) < 0)
		b->rc = sb_err_nomem(b->err);
}

static void add(struct builder *b, json_t *array, json_t *value)
{
	if (b->rc < 0)
		json_decref(value);
	else if (!value || json_array_append_new(array, value) < 0)
		b->rc = sb_err_nomem(b->err);
}

static bool is_utf8(const char *s)
{
	json_t *probe = json_string(s);
	bool ok = probe != NULL;

	json_decref(probe);
	return ok;
}

/* @what names the member in the error; its value may be a secret and is not told. */
static json_t *text(struct builder *b, const char *what, const char *s)
{
	json_t *value = s ? json_string(s) : NULL;

	if (value || b->rc < 0)
		return value;
	if (!s || !is_utf8(s))
		b->rc = sb_err_set(b->err, SB_E_INVALID, "%s is %s", what,
				s ? "not UTF-8" : "missing");
	else
		b->rc = sb_err_nomem(b->err);
	return NULL;
}

static json_t *texts(struct builder *b, const char *what, const char *const *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && b->rc == 0; i++)
		add(b, array, text(b, what, list[i]));
	return array;
}

static void put_texts(
		struct builder *b, json_t *obj, const char *key, const char *const *list, size_t n)
{
	if (n)
		put(b, obj, key, texts(b, key, list, n));
}

static void put_text(struct builder *b, json_t *obj, const char *key, const char *s)
{
	if (!sb_empty(s))
		put(b, obj, key, text(b, key, s));
}

static int invalid(struct builder *b, const char *what, const char *value, const char *want)
{
	if (b->rc == 0)
		b->rc = sb_err_set(b->err, SB_E_INVALID, "%s '%s' is not %s", what,
				value ? value : "", want);
	return b->rc;
}

/* --- members --- */

static json_t *env(struct builder *b, const struct sb_kv *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && b->rc == 0; i++) {
		SB_CLEANUP(sb_freep) char *word = NULL;

		if (sb_empty(list[i].key) || strchr(list[i].key, '=')) {
			invalid(b, "env", list[i].key, "a name");
			break;
		}
		if (asprintf(&word, "%s=%s", list[i].key, list[i].value ? list[i].value : "") < 0)
			word = NULL;
		add(b, array, text(b, list[i].key, word));
	}
	return array;
}

static json_t *labels(struct builder *b, const struct sb_kv *list, size_t n)
{
	json_t *obj = json_object();

	for (size_t i = 0; i < n && b->rc == 0; i++) {
		if (sb_empty(list[i].key) || !is_utf8(list[i].key))
			invalid(b, "label", list[i].key, "a name");
		else
			put(b, obj, list[i].key,
					text(b, list[i].key, list[i].value ? list[i].value : ""));
	}
	return obj;
}

/* Mounts, not Binds: for an absent source they fail, where Binds would make an empty folder. */
static json_t *mounts(struct builder *b, const struct sb_engine_mount *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && b->rc == 0; i++) {
		const struct sb_engine_mount *m = &list[i];
		json_t *obj = json_object();
		bool bind = m->source && m->source[0] == '/';

		if (sb_empty(m->source) || sb_empty(m->target) || m->target[0] != '/')
			invalid(b, "mount", m->target, "an absolute path with a source");
		put(b, obj, "Type", json_string(bind ? "bind" : "volume"));
		put(b, obj, "Source", text(b, "mount", m->source));
		put(b, obj, "Target", text(b, "mount", m->target));
		if (m->read_only)
			put(b, obj, "ReadOnly", json_true());
		add(b, array, obj);
	}
	return array;
}

static json_t *devices(struct builder *b, const char *const *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && b->rc == 0; i++) {
		json_t *obj = json_object();

		if (sb_empty(list[i]) || list[i][0] != '/')
			invalid(b, "device", list[i], "an absolute path");
		put(b, obj, "PathOnHost", text(b, "device", list[i]));
		put(b, obj, "PathInContainer", text(b, "device", list[i]));
		put(b, obj, "CgroupPermissions", json_string("rwm"));
		add(b, array, obj);
	}
	return array;
}

static json_t *ulimits(struct builder *b, const struct sb_engine_ulimit *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && b->rc == 0; i++) {
		json_t *obj = json_object();

		put(b, obj, "Name", text(b, "ulimit", list[i].name));
		put(b, obj, "Soft", json_integer(list[i].soft));
		put(b, obj, "Hard", json_integer(list[i].hard));
		add(b, array, obj);
	}
	return array;
}

static bool take_count(const char *s, int max_digits, long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*s) || strlen(s) > (size_t)max_digits)
		return false;
	*ret = strtol(s, &end, 10);
	return !*end;
}

/* "device=0,1": the words between commas. */
static json_t *device_ids(struct builder *b, const char *s)
{
	json_t *array = json_array();

	while (b->rc == 0) {
		size_t n = strcspn(s, ",\"");

		if (!n)
			invalid(b, "gpus", s, "a list of devices");
		else
			add(b, array, json_stringn(s, n));
		if (s[n] != ',')
			break;
		s += n + 1;
	}
	return array;
}

/* As the docker command has it, whose "device=..." may be quoted once more. */
static json_t *device_requests(struct builder *b, const char *gpus)
{
	json_t *obj = json_object(), *array = json_array();
	const char *word = gpus + (*gpus == '"');
	long count;

	if (!strcmp(word, "all"))
		put(b, obj, "Count", json_integer(-1));
	else if (take_count(word, 4, &count) && count > 0)
		put(b, obj, "Count", json_integer(count));
	else if (!strncmp(word, "device=", 7))
		put(b, obj, "DeviceIDs", device_ids(b, word + 7));
	else
		invalid(b, "gpus", gpus, "\"all\", a count or \"device=ID,...\"");
	put(b, obj, "Capabilities", json_pack("[[s]]", "gpu"));
	add(b, array, obj);
	return array;
}

static json_t *restart_policy(struct builder *b, const char *policy)
{
	static const char *const words[] = { "no", "always", "unless-stopped", "on-failure" };
	const char *colon = strchr(policy, ':');
	size_t n = colon ? (size_t)(colon - policy) : strlen(policy);
	json_t *obj = json_object();
	const char *name = NULL;
	long count = 0;

	for (size_t i = 0; i < sb_countof(words); i++)
		if (strlen(words[i]) == n && !strncmp(words[i], policy, n))
			name = words[i];
	if (!name || (colon && (strcmp(name, "on-failure") || !take_count(colon + 1, 6, &count))))
		invalid(b, "restart policy", policy,
				"no, always, unless-stopped or on-failure[:COUNT]");
	put(b, obj, "Name", json_string(name ? name : ""));
	if (count)
		put(b, obj, "MaximumRetryCount", json_integer(count));
	return obj;
}

static json_t *host_config(struct builder *b, const struct sb_container_spec *s)
{
	json_t *host = json_object();

	put_text(b, host, "IpcMode", s->ipc);
	put_text(b, host, "NetworkMode", s->network);
	if (s->shm_bytes > INT64_MAX || s->memory_bytes > INT64_MAX)
		invalid(b, "memory", "", "a size");
	if (s->shm_bytes)
		put(b, host, "ShmSize", json_integer((json_int_t)s->shm_bytes));
	if (s->memory_bytes)
		put(b, host, "Memory", json_integer((json_int_t)s->memory_bytes));
	if (s->privileged)
		put(b, host, "Privileged", json_true());
	if (s->init)
		put(b, host, "Init", json_true());
	if (s->n_mounts)
		put(b, host, "Mounts", mounts(b, s->mounts, s->n_mounts));
	if (s->n_devices)
		put(b, host, "Devices", devices(b, s->devices, s->n_devices));
	put_texts(b, host, "CapAdd", s->cap_add, s->n_cap_add);
	put_texts(b, host, "SecurityOpt", s->security_opt, s->n_security_opt);
	if (s->n_ulimits)
		put(b, host, "Ulimits", ulimits(b, s->ulimits, s->n_ulimits));
	if (!sb_empty(s->gpus))
		put(b, host, "DeviceRequests", device_requests(b, s->gpus));
	if (!sb_empty(s->restart_policy))
		put(b, host, "RestartPolicy", restart_policy(b, s->restart_policy));
	return host;
}

int spec_to_json(const struct sb_container_spec *spec, char **ret, struct sb_err *err)
{
	struct builder b = { .err = err };
	json_t *doc = json_object();
	char *body = NULL;

	if (sb_empty(spec->image))
		b.rc = sb_err_set(err, SB_E_INVALID, "container without image");
	put_text(&b, doc, "Image", spec->image);
	put_text(&b, doc, "User", spec->user);
	put_texts(&b, doc, "Cmd", spec->argv, spec->n_argv);
	/* [""] clears the image's entrypoint; so it does in Docker and Podman. */
	if (spec->set_entrypoint) {
		const char *entrypoint = spec->entrypoint ? spec->entrypoint : "";

		put(&b, doc, "Entrypoint", texts(&b, "Entrypoint", &entrypoint, 1));
	}
	if (spec->n_env)
		put(&b, doc, "Env", env(&b, spec->env, spec->n_env));
	if (spec->n_labels)
		put(&b, doc, "Labels", labels(&b, spec->labels, spec->n_labels));
	put(&b, doc, "HostConfig", host_config(&b, spec));
	if (b.rc == 0) {
		body = json_dumps(doc, JSON_COMPACT);
		if (!body)
			b.rc = sb_err_nomem(err);
	}
	json_decref(doc);
	if (b.rc == 0)
		*ret = body;
	return b.rc;
}

/* --- references and paths --- */

static void copy(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	to[len] = '\0';
}

int image_ref_parse(const char *ref, struct image_ref *ret, struct sb_err *err)
{
	static const char allowed[] =
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			"._-/:@+[]";
	size_t len = ref ? strlen(ref) : 0;
	const char *at, *slash, *colon, *end;

	if (!len || len >= IMAGE_REF_MAX || strspn(ref, allowed) != len)
		return sb_err_set(err, SB_E_INVALID, "image '%.80s' is not a reference",
				ref ? ref : "");
	at = strchr(ref, '@');
	end = at ? at : ref + len;
	slash = memrchr(ref, '/', (size_t)(end - ref));
	/* A colon before the last slash is a registry's port. */
	colon = memchr(slash ? slash : ref, ':', (size_t)(end - (slash ? slash : ref)));
	if ((colon ? colon : end) == ref || end[-1] == '/' || (colon && colon + 1 == end) ||
			(at && !at[1]))
		return sb_err_set(err, SB_E_INVALID, "image '%.80s' is not a reference", ref);
	copy(ret->name, ref, (size_t)((colon ? colon : end) - ref));
	if (at)
		copy(ret->tag, at + 1, strlen(at + 1));
	else if (colon)
		copy(ret->tag, colon + 1, (size_t)(end - colon - 1));
	else
		copy(ret->tag, "latest", 6);
	return 0;
}

char *url_escape(const char *s)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;

	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			sb_strbuf_addc(&buf, *s);
		else
			sb_strbuf_addf(&buf, "%%%02X", (unsigned char)*s);
	}
	return sb_strbuf_steal(&buf);
}
