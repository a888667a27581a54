/* logs.c - following a container's log, in three requests.
 *
 * 1. Inspect: whether the container has a TTY decides how its log is framed. (Engines before API
 *    1.42 do not say it in the Content-Type.)
 * 2. The log itself, with times. The engine's own since filter is inclusive; ours is not.
 * 3. Wait, only when following and the stream ended well: an engine that shuts down ends streams
 *    in good order too, so a good end proves nothing until the container itself has ended. A log
 *    ends a little before the engine calls the container ended; hence a wait, not an inspect. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

struct logs {
	struct sb_engine_call *call;
	struct log_parser parser;
	uint64_t since_unix_ns;
	bool follow;
};

static void fail_logs(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.log(call->ctx, NULL, err);
}

static int on_line(void *ctx, const struct sb_engine_log *log)
{
	struct logs *logs = ctx;

	logs->call->fn.log(logs->call->ctx, log, NULL);
	return logs->call->ended;
}

static void logs_data(struct sb_engine_call *call, const char *data, size_t len)
{
	struct logs *logs = call->state;
	struct sb_err err = SB_ERR_INIT;

	if (log_parser_feed(&logs->parser, data, len, &err) < 0)
		call_fail_parse(call, &err);
}

static void logs_finish(struct sb_engine_call *call)
{
	if (call_finish(call))
		call->fn.log(call->ctx, NULL, NULL);
}

/* The end of the wait. A container that is gone has ended as well. */
static void logs_waited(struct sb_engine_call *call, const struct sb_http_result *res,
		const struct sb_err *why)
{
	struct sb_err err = SB_ERR_INIT;

	if (!why) {
		logs_finish(call);
		return;
	}
	err = *why;
	if (err.code == SB_E_TIMEOUT)
		sb_err_set(&err, SB_E_UNAVAILABLE,
				"logs of %s: the stream ended but the container runs",
				call->subject);
	call_fail(call, &err);
}

static void logs_wait(struct sb_engine_call *call)
{
	/* Its deadline is a limit of the client, so it comes by more_ms. */
	static const struct op op = {
		.name = "logs of", .method = "POST", .also_ok = 404, .reply_max = REPLY_SMALL_MAX
	};
	struct sb_err err = SB_ERR_INIT;

	call->stream_data = NULL;
	call->stream_end = logs_waited;
	call->idle_ms = 0;
	call->more_ms = call->docker->limits.log_end_ms;
	if (call_next(call, &op,
			    text_new("/containers/%s/wait?condition=not-running", call->subject),
			    &err) < 0)
		call_fail(call, &err);
}

static void logs_end(struct sb_engine_call *call, const struct sb_http_result *res,
		const struct sb_err *why)
{
	struct logs *logs = call->state;
	struct sb_err err = SB_ERR_INIT;
	int rc = log_parser_end(&logs->parser, &err);

	if (call->ended)
		return;
	if (why) {
		call_fail(call, why);
	} else if (rc < 0) {
		call_fail_parse(call, &err);
	} else if (logs->follow) {
		logs_wait(call);
	} else {
		logs_finish(call);
	}
}

static void logs_open(struct sb_engine_call *call, const struct sb_http_result *res)
{
	static const struct op op = { .name = "logs of", .method = "GET" };
	struct logs *logs = call->state;
	json_t *doc = call_json(call, res);
	struct sb_err err = SB_ERR_INIT;
	char since[40] = "";
	bool tty;

	if (!doc)
		return;
	tty = json_is_true(json_object_get(json_object_get(doc, "Config"), "Tty"));
	json_decref(doc);
	log_parser_init(&logs->parser, tty, logs->since_unix_ns, on_line, logs);
	if (logs->since_unix_ns)
		snprintf(since, sizeof(since), "&since=%" PRIu64 ".%09" PRIu64,
				logs->since_unix_ns / 1000000000, logs->since_unix_ns % 1000000000);
	call->stream_data = logs_data;
	call->stream_end = logs_end;
	call->idle_ms = call->docker->limits.answer_ms;
	call->idle_always = !logs->follow;
	if (call_next(call, &op,
			    text_new("/containers/%s/logs?stdout=1&stderr=1&timestamps=1"
				     "&follow=%d%s",
					    call->subject, logs->follow, since),
			    &err) < 0)
		call_fail(call, &err);
}

int docker_logs(struct sb_engine *engine, const char *id, uint64_t since_unix_ns, bool follow,
		sb_engine_log_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "logs of",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_DOC_MAX,
		.reply = logs_open };
	struct sb_engine_call *call;
	struct logs *logs;
	int rc = container_ref_check(id, err);

	if (rc == 0)
		rc = call_new(docker_of(engine), &op, id, fail_logs, (union call_fn){ .log = fn },
				ctx, &call, err);
	if (rc < 0)
		return rc;
	call->state = logs = calloc(1, sizeof(*logs));
	call->free_state = free;
	if (!logs) {
		call_cancel(call);
		return sb_err_nomem(err);
	}
	logs->call = call;
	logs->since_unix_ns = since_unix_ns;
	logs->follow = follow;
	return call_launch(call, text_new("/containers/%s/json", id), ret, err);
}
