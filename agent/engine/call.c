/* call.c - running calls: one answer each, cancelling at any time, the API version.
 *
 * A call lives in docker->calls until it is finished or cancelled; what its request still had
 * under way is dropped then. Its memory goes back when the dispatcher is done, so whoever called
 * back into the user only has to look at call->ended afterwards.
 *
 * Before the first versioned request the version is negotiated by /_ping; calls wait for that
 * together. It is asked for again after the engine was away, and when the engine says 400 "client
 * version": it was replaced by another one while no request was under way. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define CALLS_MAX      256                /* running at once, streams included */
#define API_MIN        API_VERSION(1, 40) /* Docker 19.03 */
#define API_MAX        API_VERSION(1, 44) /* what Docker 29.0 takes at least */
#define PING_MS        10000
#define PING_REPLY_MAX 4096

char *text_new(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

int container_ref_check(const char *id, struct sb_err *err)
{
	static const char allowed[] =
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			"_.-";
	size_t len = id ? strlen(id) : 0;

	if (!len || len > 255 || id[0] == '.' || strspn(id, allowed) != len)
		return sb_err_set(err, SB_E_INVALID, "'%.80s' is no name or id of a container",
				id ? id : "");
	return 0;
}

static void call_free(struct sb_http_later *later)
{
	struct sb_engine_call *call = sb_container_of(later, struct sb_engine_call, later);

	if (call->free_state)
		call->free_state(call->state);
	free(call->subject);
	free(call->target);
	free(call->body);
	if (call->auth)
		explicit_bzero(call->auth, strlen(call->auth));
	free(call->auth);
	free(call);
}

int call_new(struct docker *docker, const struct op *op, const char *subject,
		void (*fail)(struct sb_engine_call *, const struct sb_err *), union call_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	struct sb_engine_call *call;

	if (docker->n_calls >= CALLS_MAX)
		return sb_err_set(err, SB_E_BUSY, "container engine: %d calls are running",
				CALLS_MAX);
	call = calloc(1, sizeof(*call));
	if (!call)
		return sb_err_nomem(err);
	call->docker = docker;
	call->op = op;
	call->fail = fail;
	call->fn = fn;
	call->ctx = ctx;
	call->later.run = call_free;
	call->subject = strdup(subject);
	TAILQ_INSERT_TAIL(&docker->calls, call, all);
	docker->n_calls++;
	if (!call->subject) {
		call_cancel(call);
		return sb_err_nomem(err);
	}
	*ret = call;
	return 0;
}

static void stop_waiting(struct sb_engine_call *call)
{
	if (call->is_waiting)
		TAILQ_REMOVE(&call->docker->waiting, call, waiting);
	call->is_waiting = false;
}

bool call_finish(struct sb_engine_call *call)
{
	struct docker *docker = call->docker;

	if (call->ended)
		return false;
	call->ended = true;
	stop_waiting(call);
	sb_http_cancel(sb_steal(call->req));
	TAILQ_REMOVE(&docker->calls, call, all);
	docker->n_calls--;
	sb_http_later(docker->http, &call->later);
	return true;
}

void call_cancel(struct sb_engine_call *call)
{
	if (call)
		call_finish(call);
}

void call_fail(struct sb_engine_call *call, const struct sb_err *err)
{
	if (call_finish(call))
		call->fail(call, err);
}

void call_fail_done(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.done(call->ctx, err);
}

static int wrap(const struct sb_engine_call *call, int rc, struct sb_err *err)
{
	const char *space = *call->subject ? " " : "";

	return sb_err_wrap(err, rc, "%s%s%s", call->op->name, space, call->subject);
}

json_t *call_json(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct sb_err err = SB_ERR_INIT;
	json_t *doc;
	int rc = json_parse(res->body, res->len, &doc, &err);

	if (rc == 0)
		return doc;
	wrap(call, rc, &err);
	call_fail(call, &err);
	return NULL;
}

int call_outcome(struct sb_engine_call *call, const struct sb_http_result *res, struct sb_err *err)
{
	int rc;

	if (res->err) {
		*err = *res->err;
		rc = -(int)err->code;
		/* It went away, or is about to: another one may come back. */
		if (err->code == SB_E_UNAVAILABLE)
			call->docker->api = 0;
		return wrap(call, rc, err);
	}
	if ((res->status >= 200 && res->status < 300) || res->status == call->op->also_ok)
		return 0;
	rc = refusal_set(err, res->status, res->body, res->len);
	return wrap(call, rc, err);
}

void call_fail_shape(struct sb_engine_call *call, const char *what)
{
	struct sb_err err = SB_ERR_INIT;

	sb_err_set(&err, SB_E_PROTOCOL, "%s %s: %s in the engine's answer", call->op->name,
			call->subject, what);
	call_fail(call, &err);
}

void call_fail_parse(struct sb_engine_call *call, struct sb_err *err)
{
	sb_err_wrap(err, 0, "%s %s", call->op->name, call->subject);
	call_fail(call, err);
}

/* --- one request --- */

/* A failure to send ends a call as a failure of the request would. */
static void send_failed(struct sb_engine_call *call, const struct sb_err *why)
{
	struct sb_http_result res = { .body = "", .api_version = "", .err = why };
	struct sb_err err = *why;

	if (call->ended)
		return;
	wrap(call, 0, &err);
	if (call->stream_end)
		call->stream_end(call, &res, &err);
	else
		call_fail(call, &err);
}

static bool is_version_refusal(const struct sb_http_result *res)
{
	return !res->err && res->status == 400 && strstr(res->body, "client version");
}

static void on_done(void *ctx, const struct sb_http_result *res)
{
	struct sb_engine_call *call = ctx;
	struct sb_err err = SB_ERR_INIT;
	int rc;

	call->req = NULL;
	if (is_version_refusal(res) && !call->retried && !call->op->unversioned) {
		call->retried = true;
		call->docker->api = 0;
		if (call_send(call, &err) < 0)
			send_failed(call, &err);
		return;
	}
	rc = call_outcome(call, res, &err);
	if (call->stream_end)
		call->stream_end(call, res, rc < 0 ? &err : NULL);
	else if (rc < 0)
		call_fail(call, &err);
	else
		call->op->reply(call, res);
}

static void on_head(void *ctx)
{
	struct sb_engine_call *call = ctx;

	if (call->stream_head)
		call->stream_head(call);
}

static void on_data(void *ctx, const char *data, size_t len)
{
	struct sb_engine_call *call = ctx;

	call->stream_data(call, data, len);
}

static uint64_t deadline_of(const struct sb_engine_call *call)
{
	uint64_t cap = call->docker->limits.deadline_max_ms, own = call->op->deadline_ms;

	own += call->more_ms;
	return own && cap && cap < own ? cap : own;
}

static int send_now(struct sb_engine_call *call, struct sb_err *err)
{
	unsigned api = call->docker->api;
	SB_CLEANUP(sb_freep)
	char *target = call->op->unversioned
			? strdup(call->target)
			: text_new("/v%u.%u%s", api >> 16, api & 0xffff, call->target);
	struct sb_http_ask ask = {
		.method = call->op->method,
		.target = target,
		.content_type = call->content_type,
		.body = call->body,
		.len = call->body_len,
		.auth = call->auth,
		.reply_max = call->op->reply_max,
		.deadline_ms = deadline_of(call),
		.idle_ms = call->idle_ms,
		.idle_always = call->idle_always,
		.once = call->op->once,
		.head = on_head,
		.data = call->stream_data ? on_data : NULL,
		.done = on_done,
		.ctx = call,
	};

	if (!target)
		return sb_err_nomem(err);
	return sb_http_start(call->docker->http, &ask, &call->req, err);
}

/* --- negotiation --- */

static int take_version(struct docker *docker, const struct sb_http_result *res, struct sb_err *err)
{
	unsigned theirs;

	if (res->err) {
		*err = *res->err;
		return -(int)err->code;
	}
	if (res->status != 200)
		return refusal_set(err, res->status, res->body, res->len);
	theirs = api_parse(res->api_version);
	if (!theirs)
		return sb_err_set(err, SB_E_PROTOCOL,
				"container engine at %s: no API version in its answer",
				docker->socket);
	if (theirs < API_MIN) {
		sb_err_set(err, SB_E_UNSUPPORTED,
				"container engine at %s: speaks API %s, at least %u.%u is needed",
				docker->socket, res->api_version, API_MIN >> 16, API_MIN & 0xffff);
		return sb_err_hint(err, -SB_E_UNSUPPORTED, "install Docker 19.03 or newer");
	}
	docker->api = theirs < API_MAX ? theirs : API_MAX;
	return 0;
}

/* Calls that come in while this runs go to the end of the list; a failure is not theirs. */
static void on_negotiated(void *ctx, const struct sb_http_result *res)
{
	struct docker *docker = ctx;
	struct sb_engine_call *call, *last = TAILQ_LAST(&docker->waiting, call_list);
	struct sb_err err = SB_ERR_INIT, send_err;
	int rc;

	docker->negotiation = NULL;
	rc = take_version(docker, res, &err);
	while (!docker->dead && (call = TAILQ_FIRST(&docker->waiting))) {
		bool is_last = call == last;

		stop_waiting(call);
		send_err = err;
		if (rc < 0 || send_now(call, &send_err) < 0)
			send_failed(call, &send_err);
		if (is_last)
			break;
	}
}

static int negotiate(struct docker *docker, struct sb_err *err)
{
	struct sb_http_ask ask = {
		.method = "GET",
		.target = "/_ping",
		.reply_max = PING_REPLY_MAX,
		.deadline_ms = PING_MS,
		.done = on_negotiated,
		.ctx = docker,
	};
	uint64_t cap = docker->limits.deadline_max_ms;

	if (docker->negotiation)
		return 0;
	if (cap && cap < ask.deadline_ms)
		ask.deadline_ms = cap;
	return sb_http_start(docker->http, &ask, &docker->negotiation, err);
}

int call_send(struct sb_engine_call *call, struct sb_err *err)
{
	struct docker *docker = call->docker;
	int rc;

	if (call->op->unversioned || docker->api)
		return send_now(call, err);
	rc = negotiate(docker, err);
	if (rc < 0)
		return rc;
	call->is_waiting = true;
	TAILQ_INSERT_TAIL(&docker->waiting, call, waiting);
	return 0;
}

int call_next(struct sb_engine_call *call, const struct op *op, char *target, struct sb_err *err)
{
	free(call->target);
	call->target = target;
	call->op = op;
	return target ? call_send(call, err) : sb_err_nomem(err);
}

int call_launch(struct sb_engine_call *call, char *target, struct sb_engine_call **ret,
		struct sb_err *err)
{
	int rc = call_next(call, call->op, target, err);

	if (rc < 0) {
		call_cancel(call);
		return rc;
	}
	if (ret)
		*ret = call;
	return 0;
}

int call_begin(struct sb_engine *engine, const struct op *op, const char *subject, char *target,
		void (*fail)(struct sb_engine_call *, const struct sb_err *), union call_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	struct sb_engine_call *call;
	int rc = call_new(docker_of(engine), op, subject, fail, fn, ctx, &call, err);

	if (rc < 0) {
		free(target);
		return rc;
	}
	return call_launch(call, target, ret, err);
}

/* --- ping: the negotiation itself, asked for by name --- */

static void on_ping(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct sb_err err = SB_ERR_INIT;

	if (take_version(call->docker, res, &err) < 0)
		call_fail(call, &err);
	else if (call_finish(call))
		call->fn.done(call->ctx, NULL);
}

int docker_ping(struct sb_engine *engine, sb_engine_done_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "ping",
		.method = "GET",
		.deadline_ms = PING_MS,
		.reply_max = PING_REPLY_MAX,
		.unversioned = true,
		.reply = on_ping };
	struct sb_engine_call *call;
	int rc = call_new(docker_of(engine), &op, "", call_fail_done, (union call_fn){ .done = fn },
			ctx, &call, err);

	if (rc < 0)
		return rc;
	rc = call_next(call, &op, strdup("/_ping"), err);
	if (rc < 0) {
		call_cancel(call);
		return rc;
	}
	if (ret)
		*ret = call;
	return 0;
}
