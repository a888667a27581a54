/* reply.c - what an engine answers, made into our structs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sb_engine_parts.h"

/* jansson spends about 100 bytes on a value; without this bound 16 MiB of "[[],[],..." would
 * become half a gigabyte. Commas and brackets in texts count too, which does no harm. */
static bool too_many_nodes(const char *data, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += data[i] == ',' || data[i] == '[' || data[i] == '{';
	return n > JSON_NODES_MAX;
}

int json_parse(const char *data, size_t len, json_t **ret, struct sb_err *err)
{
	json_error_t why;
	json_t *doc;

	if (too_many_nodes(data, len))
		return sb_err_set(err, SB_E_RANGE, "JSON of more than %zu values", JSON_NODES_MAX);
	doc = json_loadb(data, len, 0, &why);
	if (!doc && json_error_code(&why) == json_error_out_of_memory)
		return sb_err_nomem(err);
	if (!doc)
		return sb_err_set(err, SB_E_PROTOCOL, "malformed JSON: %s", why.text);
	*ret = doc;
	return 0;
}

const char *json_text(const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text ? text : "";
}

int64_t json_number(const json_t *obj, const char *key)
{
	const json_t *value = json_object_get(obj, key);

	if (json_is_integer(value))
		return json_integer_value(value);
	/* A real beyond int64_t must not be cast: that is undefined. */
	if (json_is_real(value) && json_real_value(value) > -9e18 && json_real_value(value) < 9e18)
		return (int64_t)json_real_value(value);
	return 0;
}

int json_kvs(const json_t *object, struct sb_kv **ret, size_t *ret_n, struct sb_err *err)
{
	struct sb_kv *list = calloc(json_object_size(object) + 1, sizeof(*list));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!list)
		return sb_err_nomem(err);
	/* The iterator takes no const, but changes nothing. */
	json_object_foreach ((json_t *)object, key, value) {
		if (json_is_string(value))
			list[n++] = (struct sb_kv){ key, json_string_value(value) };
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int json_texts(const json_t *array, const char ***ret, struct sb_err *err)
{
	const char **list = calloc(json_array_size(array) + 1, sizeof(*list));
	size_t i, n = 0;
	json_t *value;

	if (!list)
		return sb_err_nomem(err);
	json_array_foreach (array, i, value) {
		if (json_is_string(value))
			list[n++] = json_string_value(value);
	}
	*ret = list;
	return 0;
}

unsigned api_parse(const char *version)
{
	unsigned major, minor;
	char rest;

	if (sscanf(version, "%3u.%3u%c", &major, &minor, &rest) != 2)
		return 0;
	return API_VERSION(major, minor);
}

/* --- refusals --- */

/* The engine puts what a registry or the kernel said into its text, with status 500 or inside a
 * progress stream. First match wins. */
static const struct {
	const char *words;
	enum sb_code code;
	const char *hint;
} said[] = {
	{ "no space left on device", SB_E_RANGE,
			"make room: remove unused images (docker image prune) or enlarge the "
			"disk" },
	{ "could not select device driver", SB_E_UNSUPPORTED,
			"install nvidia-container-toolkit and restart the engine" },
	{ "port is already allocated", SB_E_BUSY, NULL },
	{ "executable file not found", SB_E_INVALID, NULL },
	{ "manifest unknown", SB_E_NOT_FOUND, NULL },
	{ "manifest for ", SB_E_NOT_FOUND, NULL },
	{ "no matching manifest", SB_E_NOT_FOUND, "the image is not built for this machine" },
	{ "repository does not exist", SB_E_NOT_FOUND,
			"check the name; a private repository needs credentials" },
	{ "not found", SB_E_NOT_FOUND, NULL },
	{ "unauthorized", SB_E_DENIED, "check the credentials for this registry" },
	{ "no basic auth credentials", SB_E_DENIED, "this registry needs credentials" },
	{ "access denied", SB_E_DENIED, "check the credentials for this registry" },
	{ "denied:", SB_E_DENIED, "check the credentials for this registry" },
	{ "toomanyrequests", SB_E_BUSY, "the registry limits pulls: log in or wait" },
	{ "connection refused", SB_E_UNAVAILABLE, "the registry cannot be reached from this node" },
	{ "no such host", SB_E_UNAVAILABLE, "the registry's name does not resolve on this node" },
	{ "no route to host", SB_E_UNAVAILABLE, "the registry cannot be reached from this node" },
	{ "i/o timeout", SB_E_UNAVAILABLE, "the registry cannot be reached from this node" },
	{ "timeout exceeded", SB_E_UNAVAILABLE, "the registry cannot be reached from this node" },
	{ "connection reset", SB_E_UNAVAILABLE, NULL },
	{ "unexpected eof", SB_E_UNAVAILABLE, NULL },
};

static const struct {
	int status;
	enum sb_code code;
} statuses[] = {
	{ 400, SB_E_INVALID },
	{ 401, SB_E_DENIED },
	{ 403, SB_E_DENIED },
	{ 404, SB_E_NOT_FOUND },
	{ 409, SB_E_BUSY },
	{ 500, SB_E_INTERNAL },
	{ 501, SB_E_UNSUPPORTED },
	{ 503, SB_E_UNAVAILABLE },
};

static enum sb_code code_of_status(int status)
{
	for (size_t i = 0; i < sb_countof(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].code;
	return SB_E_PROTOCOL;
}

static int refuse(struct sb_err *err, enum sb_code code, int status, const char *message)
{
	const char *hint = NULL;
	int rc;

	for (size_t i = 0; code == SB_E_INTERNAL && i < sb_countof(said); i++)
		if (strcasestr(message, said[i].words)) {
			code = said[i].code;
			hint = said[i].hint;
		}
	if (status)
		rc = sb_err_set(err, code, "engine said %d: %s", status, message);
	else
		rc = sb_err_set(err, code, "engine said: %s", message);
	return hint ? sb_err_hint(err, rc, "%s", hint) : rc;
}

int refusal_set(struct sb_err *err, int status, const char *body, size_t len)
{
	json_t *doc = NULL;
	const char *message = "";
	int rc;

	if (json_parse(body, len, &doc, NULL) == 0)
		message = json_text(doc, "message");
	if (!*message)
		message = "(no reason given)";
	rc = refuse(err, code_of_status(status), status, message);
	json_decref(doc);
	return rc;
}

int refusal_set_text(struct sb_err *err, const char *message)
{
	return refuse(err, SB_E_INTERNAL, 0, message);
}

/* --- containers --- */

/* Docker's words first, then those that only Podman has. */
static const struct {
	const char *word;
	enum sb_container_state state;
} states[] = {
	{ "created", SB_CONTAINER_CREATED },
	{ "running", SB_CONTAINER_RUNNING },
	{ "paused", SB_CONTAINER_PAUSED },
	{ "restarting", SB_CONTAINER_RESTARTING },
	{ "exited", SB_CONTAINER_EXITED },
	{ "removing", SB_CONTAINER_REMOVING },
	{ "dead", SB_CONTAINER_DEAD },
	{ "configured", SB_CONTAINER_CREATED },
	{ "initialized", SB_CONTAINER_CREATED },
	{ "stopping", SB_CONTAINER_RUNNING },
	{ "stopped", SB_CONTAINER_EXITED },
};

static int state_of(const char *word, enum sb_container_state *ret, struct sb_err *err)
{
	for (size_t i = 0; i < sb_countof(states); i++)
		if (!strcmp(states[i].word, word)) {
			*ret = states[i].state;
			return 0;
		}
	return sb_err_set(err, SB_E_PROTOCOL, "container state '%.40s' is unknown", word);
}

static uint64_t ms_of(const json_t *obj, const char *key)
{
	const char *text = json_text(obj, key);
	uint64_t ns;

	return time_parse(text, strlen(text), &ns) ? ns / 1000000 : 0;
}

const char *sb_container_label(const struct sb_container_info *info, const char *key)
{
	for (size_t i = 0; i < info->n_labels; i++)
		if (!strcmp(info->labels[i].key, key))
			return info->labels[i].value;
	return NULL;
}

int container_doc_init(struct container_doc *ret, const char *body, size_t len, struct sb_err *err)
{
	struct container_doc c = { NULL };
	const json_t *state, *config;
	int rc;

	rc = json_parse(body, len, &c.doc, err);
	if (rc < 0)
		return rc;
	state = json_object_get(c.doc, "State");
	config = json_object_get(c.doc, "Config");
	c.info = (struct sb_container_info){
		.id = json_text(c.doc, "Id"),
		.name = json_text(c.doc, "Name"),
		.image = json_text(config, "Image"),
		.pid = (int)json_number(state, "Pid"),
		.exit_code = (int)json_number(state, "ExitCode"),
		.oom_killed = json_is_true(json_object_get(state, "OOMKilled")),
		.error = json_text(state, "Error"),
		.started_unix_ms = ms_of(state, "StartedAt"),
		.finished_unix_ms = ms_of(state, "FinishedAt"),
	};
	c.info.name += *c.info.name == '/';
	rc = !*c.info.id ? sb_err_set(err, SB_E_PROTOCOL, "container without Id")
			 : state_of(json_text(state, "Status"), &c.info.state, err);
	if (rc == 0)
		rc = json_kvs(json_object_get(config, "Labels"), &c.labels, &c.info.n_labels, err);
	if (rc < 0) {
		json_decref(c.doc);
		return rc;
	}
	c.info.labels = c.labels;
	*ret = c;
	return 0;
}

void container_doc_done(struct container_doc *doc)
{
	json_decref(doc->doc);
	free(doc->labels);
	*doc = (struct container_doc){ NULL };
}

/* --- events --- */

int event_parse(const json_t *doc, struct sb_engine_event *ret, struct sb_kv **ret_attributes,
		struct sb_err *err)
{
	const json_t *actor = json_object_get(doc, "Actor");
	const json_t *attributes = json_object_get(actor, "Attributes");
	int64_t ns = json_number(doc, "timeNano");
	struct sb_engine_event ev = {
		.type = json_text(doc, "Type"),
		.action = json_text(doc, "Action"),
		.id = json_text(actor, "ID"),
		.name = json_text(attributes, "name"),
	};
	int rc;

	if (!*ev.type || !*ev.action)
		return sb_err_set(err, SB_E_PROTOCOL, "event without Type or Action");
	if (ns <= 0 && json_number(doc, "time") > 0 && json_number(doc, "time") < INT32_MAX * 2LL)
		ns = json_number(doc, "time") * 1000000000;
	ev.unix_ns = ns > 0 ? (uint64_t)ns : 0;
	if (!strcmp(ev.action, "die"))
		ev.exit_code = atoi(json_text(attributes, "exitCode"));
	rc = json_kvs(attributes, ret_attributes, &ev.n_attributes, err);
	if (rc < 0)
		return rc;
	ev.attributes = *ret_attributes;
	*ret = ev;
	return 0;
}
