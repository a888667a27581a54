/* container.c - the operations on containers: one op and one reply function each. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define LIST_MAX 1024               /* containers of one list */
#define TAR_MAX  ((size_t)64 << 20) /* bytes of one archive */

/* The engine waits for the grace itself; this is for the rest. */
#define STOP_EXTRA_MS 30000

/* A request about one container, whose only result is that it is done. */
static int begin_plain(struct sb_engine *engine, const struct op *op, const char *id, char *target,
		sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	int rc = container_ref_check(id, err);

	if (rc < 0) {
		free(target);
		return rc;
	}
	return call_begin(engine, op, id, target, call_fail_done, (union call_fn){ .done = fn },
			ctx, ret, err);
}

static void on_plain(struct sb_engine_call *call, const struct sb_http_result *res)
{
	if (call_finish(call))
		call->fn.done(call->ctx, NULL);
}

static void fail_id(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.id(call->ctx, NULL, err);
}

static void on_created(struct sb_engine_call *call, const struct sb_http_result *res)
{
	json_t *doc = call_json(call, res);
	const char *id = json_text(doc, "Id");

	if (doc && container_ref_check(id, NULL) < 0)
		call_fail_shape(call, "no Id");
	else if (doc && call_finish(call))
		call->fn.id(call->ctx, id, NULL);
	json_decref(doc);
}

int docker_create(struct sb_engine *engine, const struct sb_container_spec *spec,
		sb_engine_id_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "create",
		.method = "POST",
		.deadline_ms = DISK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.once = true,
		.reply = on_created };
	const char *name = spec->name ? spec->name : "";
	struct sb_engine_call *call;
	char *body;
	int rc = *name ? container_ref_check(name, err) : 0;

	if (rc < 0)
		return rc;
	rc = spec_to_json(spec, &body, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "create %s", name);
	rc = call_new(docker_of(engine), &op, name, fail_id, (union call_fn){ .id = fn }, ctx,
			&call, err);
	if (rc < 0) {
		free(body);
		return rc;
	}
	call->body = body;
	call->body_len = strlen(body);
	call->content_type = "application/json";
	return call_launch(call, text_new("/containers/create%s%s", *name ? "?name=" : "", name),
			ret, err);
}

int docker_start(struct sb_engine *engine, const char *id, sb_engine_done_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "start",
		.method = "POST",
		.deadline_ms = DISK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.also_ok = 304,
		.reply = on_plain };

	return begin_plain(
			engine, &op, id, text_new("/containers/%s/start", id), fn, ctx, ret, err);
}

int docker_stop(struct sb_engine *engine, const char *id, unsigned grace_s, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "stop",
		.method = "POST",
		.deadline_ms = STOP_EXTRA_MS,
		.reply_max = REPLY_SMALL_MAX,
		.also_ok = 304,
		.reply = on_plain };
	struct sb_engine_call *call;
	int rc = container_ref_check(id, err);

	if (rc == 0)
		rc = call_new(docker_of(engine), &op, id, call_fail_done,
				(union call_fn){ .done = fn }, ctx, &call, err);
	if (rc < 0)
		return rc;
	call->more_ms = (uint64_t)grace_s * 1000;
	return call_launch(call, text_new("/containers/%s/stop?t=%u", id, grace_s), ret, err);
}

int docker_kill(struct sb_engine *engine, const char *id, int signal, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "kill",
		.method = "POST",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.once = true,
		.reply = on_plain };

	return begin_plain(engine, &op, id, text_new("/containers/%s/kill?signal=%d", id, signal),
			fn, ctx, ret, err);
}

int docker_remove(struct sb_engine *engine, const char *id, bool force, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "remove",
		.method = "DELETE",
		.deadline_ms = DISK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.also_ok = 404,
		.reply = on_plain };

	/* v: with its anonymous volumes, which nothing else would ever remove. */
	return begin_plain(engine, &op, id, text_new("/containers/%s?v=1&force=%d", id, force), fn,
			ctx, ret, err);
}

static void fail_wait(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.wait(call->ctx, 0, err);
}

static void on_waited(struct sb_engine_call *call, const struct sb_http_result *res)
{
	json_t *doc = call_json(call, res);
	const json_t *code = json_object_get(doc, "StatusCode");
	const char *why = json_text(json_object_get(doc, "Error"), "Message");
	struct sb_err err = SB_ERR_INIT;

	if (doc && *why) {
		refusal_set_text(&err, why);
		call_fail_parse(call, &err);
	} else if (doc && !json_is_integer(code)) {
		call_fail_shape(call, "no StatusCode");
	} else if (doc && call_finish(call)) {
		call->fn.wait(call->ctx, (int)json_integer_value(code), NULL);
	}
	json_decref(doc);
}

int docker_wait(struct sb_engine *engine, const char *id, sb_engine_wait_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	/* No deadline: it lasts as long as the container. */
	static const struct op op = { .name = "wait for",
		.method = "POST",
		.reply_max = REPLY_SMALL_MAX,
		.reply = on_waited };
	int rc = container_ref_check(id, err);

	if (rc < 0)
		return rc;
	return call_begin(engine, &op, id,
			text_new("/containers/%s/wait?condition=not-running", id), fail_wait,
			(union call_fn){ .wait = fn }, ctx, ret, err);
}

static void fail_container(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.container(call->ctx, NULL, err);
}

static void on_container(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct container_doc doc = { NULL };
	struct sb_err err = SB_ERR_INIT;

	if (container_doc_init(&doc, res->body, res->len, &err) < 0)
		call_fail_parse(call, &err);
	else if (call_finish(call))
		call->fn.container(call->ctx, &doc.info, NULL);
	container_doc_done(&doc);
}

int docker_inspect(struct sb_engine *engine, const char *id, sb_container_info_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "inspect",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_DOC_MAX,
		.reply = on_container };
	int rc = container_ref_check(id, err);

	if (rc < 0)
		return rc;
	return call_begin(engine, &op, id, text_new("/containers/%s/json", id), fail_container,
			(union call_fn){ .container = fn }, ctx, ret, err);
}

/* --- list: the engine's list names the containers, but knows neither pid nor exit code nor times;
 * so each is inspected, and who is gone by then is left out --- */

struct list {
	json_t *ids;
	size_t next;
	struct container_doc *docs;
	size_t n;
};

static void list_free(void *state)
{
	struct list *list = state;

	for (size_t i = 0; i < list->n; i++)
		container_doc_done(&list->docs[i]);
	free(list->docs);
	json_decref(list->ids);
	free(list);
}

static void fail_list(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.list(call->ctx, NULL, 0, err);
}

static void list_finish(struct sb_engine_call *call)
{
	struct list *list = call->state;
	SB_CLEANUP(sb_freep) struct sb_container_info *infos = calloc(list->n + 1, sizeof(*infos));
	struct sb_err err = SB_ERR_INIT;

	if (!infos) {
		sb_err_nomem(&err);
		call_fail(call, &err);
		return;
	}
	for (size_t i = 0; i < list->n; i++)
		infos[i] = list->docs[i].info;
	if (call_finish(call))
		call->fn.list(call->ctx, infos, list->n, NULL);
}

static void on_list_item(struct sb_engine_call *call, const struct sb_http_result *res);

static void list_next(struct sb_engine_call *call)
{
	static const struct op op = { .name = "list: inspect",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_DOC_MAX,
		.also_ok = 404,
		.reply = on_list_item };
	struct list *list = call->state;
	struct sb_err err = SB_ERR_INIT;
	const char *id;

	if (list->next == json_array_size(list->ids)) {
		list_finish(call);
		return;
	}
	id = json_text(json_array_get(list->ids, list->next++), "Id");
	if (container_ref_check(id, NULL) < 0)
		call_fail_shape(call, "container without Id");
	else if (call_next(call, &op, text_new("/containers/%s/json", id), &err) < 0)
		call_fail(call, &err);
}

static void on_list_item(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct list *list = call->state;
	struct sb_err err = SB_ERR_INIT;

	if (res->status != 404) {
		if (container_doc_init(&list->docs[list->n], res->body, res->len, &err) < 0) {
			call_fail_parse(call, &err);
			return;
		}
		list->n++;
	}
	list_next(call);
}

static void on_list(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct list *list = call->state;
	size_t n;

	list->ids = call_json(call, res);
	if (!list->ids)
		return;
	n = json_array_size(list->ids);
	if (!json_is_array(list->ids) || n > LIST_MAX) {
		call_fail_shape(call, n ? "too many containers" : "no array");
		return;
	}
	list->docs = calloc(n + 1, sizeof(*list->docs));
	if (!list->docs) {
		struct sb_err err = SB_ERR_INIT;

		sb_err_nomem(&err);
		call_fail(call, &err);
		return;
	}
	list_next(call);
}

static char *list_target(const char *label)
{
	SB_CLEANUP(sb_freep) char *escaped = NULL;
	SB_CLEANUP(sb_freep) char *text = NULL;
	json_t *filters;

	if (sb_empty(label))
		return strdup("/containers/json?all=1");
	filters = json_pack("{s:[s]}", "label", label);
	text = json_dumps(filters, JSON_COMPACT);
	json_decref(filters);
	escaped = text ? url_escape(text) : NULL;
	return escaped ? text_new("/containers/json?all=1&filters=%s", escaped) : NULL;
}

int docker_list(struct sb_engine *engine, const char *label, sb_container_list_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "list",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_DOC_MAX,
		.reply = on_list };
	struct sb_engine_call *call;
	int rc = call_new(docker_of(engine), &op, label ? label : "", fail_list,
			(union call_fn){ .list = fn }, ctx, &call, err);

	if (rc < 0)
		return rc;
	call->state = calloc(1, sizeof(struct list));
	if (!call->state) {
		call_cancel(call);
		return sb_err_nomem(err);
	}
	call->free_state = list_free;
	return call_launch(call, list_target(label), ret, err);
}

/* --- files --- */

static int archive_target(const char *id, const char *path, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *escaped = NULL;
	int rc = container_ref_check(id, err);

	if (rc < 0)
		return rc;
	if (sb_empty(path) || path[0] != '/')
		return sb_err_set(err, SB_E_INVALID, "'%s' is not an absolute path",
				path ? path : "");
	escaped = url_escape(path);
	*ret = escaped ? text_new("/containers/%s/archive?path=%s", id, escaped) : NULL;
	return *ret ? 0 : sb_err_nomem(err);
}

int docker_archive_put(struct sb_engine *engine, const char *id, const char *path, const void *tar,
		size_t len, sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret,
		struct sb_err *err)
{
	static const struct op op = { .name = "put files into",
		.method = "PUT",
		.deadline_ms = DISK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.reply = on_plain };
	SB_CLEANUP(sb_freep) char *target = NULL;
	struct sb_engine_call *call;
	int rc = archive_target(id, path, &target, err);

	if (rc < 0)
		return rc;
	if (len > TAR_MAX)
		return sb_err_set(err, SB_E_RANGE, "archive for %s is larger than %zu bytes", id,
				TAR_MAX);
	rc = call_new(docker_of(engine), &op, id, call_fail_done, (union call_fn){ .done = fn },
			ctx, &call, err);
	if (rc < 0)
		return rc;
	call->body = malloc(len + 1);
	if (!call->body) {
		call_cancel(call);
		return sb_err_nomem(err);
	}
	if (len)
		memcpy(call->body, tar, len);
	call->body_len = len;
	call->content_type = "application/x-tar";
	return call_launch(call, sb_steal(target), ret, err);
}
