/* exec.c - a command in a running container, in three requests.
 *
 * 1. Create the exec. 2. Start it: the answer is its output, framed as a log without times.
 * 3. Inspect it for its status, after the output ended: an engine may hear of the process' end a
 *    moment after the end of its pipes, so the question is repeated while it is said to run. */
#include <string.h>

#include "internal.h"
#include "sb_loop.h"

#define ENDED_RETRY_MS 20
#define ENDED_TRIES    250

struct exec {
	struct sb_engine_call *call;
	struct log_parser parser;
	uint64_t limit_ms;
	sd_event_source *timer;
	unsigned tries;
	char *id;
};

static void exec_free(void *state)
{
	struct exec *exec = state;

	sd_event_source_disable_unref(exec->timer);
	free(exec->id);
	free(exec);
}

static void fail_exec(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.exec(call->ctx, NULL, 0, err);
}

static int on_line(void *ctx, const struct sb_engine_log *log)
{
	struct exec *exec = ctx;

	exec->call->fn.exec(exec->call->ctx, log, 0, NULL);
	return exec->call->ended;
}

static void inspect(struct exec *exec);

static int on_ask_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	inspect(ctx);
	return 0;
}

/* Still said to run though its output has ended: it may have closed that, or the engine is late. */
static void ask_later(struct exec *exec)
{
	struct sb_err err = SB_ERR_INIT;

	if (exec->tries++ == ENDED_TRIES) {
		sb_err_set(&err, SB_E_TIMEOUT, "exec in %s: its output ended, but it runs still",
				exec->call->subject);
		call_fail(exec->call, &err);
	} else if (sb_timer_once(exec->call->docker->loop, &exec->timer, ENDED_RETRY_MS,
				   on_ask_again, exec, &err) < 0) {
		call_fail(exec->call, &err);
	}
}

static void on_inspected(struct sb_engine_call *call, const struct sb_http_result *res)
{
	struct exec *exec = call->state;
	json_t *doc = call_json(call, res);
	const json_t *code = json_object_get(doc, "ExitCode");

	if (doc && json_is_true(json_object_get(doc, "Running")))
		ask_later(exec);
	else if (doc && !json_is_integer(code))
		call_fail_shape(call, "no ExitCode");
	else if (doc && call_finish(call))
		call->fn.exec(call->ctx, NULL, (int)json_integer_value(code), NULL);
	json_decref(doc);
}

static void inspect(struct exec *exec)
{
	static const struct op op = { .name = "exec in",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_INFO_MAX,
		.reply = on_inspected };
	struct sb_engine_call *call = exec->call;
	struct sb_err err = SB_ERR_INIT;

	if (call->ended)
		return;
	free(sb_steal(call->body));
	call->body_len = 0;
	call->content_type = NULL;
	call->stream_data = NULL;
	call->stream_end = NULL;
	call->more_ms = 0;
	if (call_next(call, &op, text_new("/exec/%s/json", exec->id), &err) < 0)
		call_fail(call, &err);
}

static void exec_data(struct sb_engine_call *call, const char *data, size_t len)
{
	struct exec *exec = call->state;
	struct sb_err err = SB_ERR_INIT;

	if (log_parser_feed(&exec->parser, data, len, &err) < 0)
		call_fail_parse(call, &err);
}

static void exec_end(struct sb_engine_call *call, const struct sb_http_result *res,
		const struct sb_err *why)
{
	struct exec *exec = call->state;
	struct sb_err err = SB_ERR_INIT;
	int rc = log_parser_end(&exec->parser, &err);

	if (call->ended)
		return;
	if (why)
		call_fail(call, why);
	else if (rc < 0)
		call_fail_parse(call, &err);
	else
		inspect(exec);
}

static void on_created(struct sb_engine_call *call, const struct sb_http_result *res)
{
	static const struct op op = { .name = "exec in", .method = "POST", .once = true };
	struct exec *exec = call->state;
	json_t *doc = call_json(call, res);
	struct sb_err err = SB_ERR_INIT;

	if (!doc)
		return;
	if (container_ref_check(json_text(doc, "Id"), NULL) == 0)
		exec->id = strdup(json_text(doc, "Id"));
	json_decref(doc);
	if (!exec->id) {
		call_fail_shape(call, "no Id");
		return;
	}
	free(call->body);
	call->body = strdup("{\"Detach\":false,\"Tty\":false}");
	if (!call->body) {
		sb_err_nomem(&err);
		call_fail(call, &err);
		return;
	}
	call->body_len = strlen(call->body);
	log_parser_init(&exec->parser, false, 0, on_line, exec);
	call->stream_data = exec_data;
	call->stream_end = exec_end;
	call->more_ms = exec->limit_ms;
	if (call_next(call, &op, text_new("/exec/%s/start", exec->id), &err) < 0)
		call_fail(call, &err);
}

static char *create_body(const struct sb_exec_spec *spec)
{
	json_t *cmd = json_array(), *doc;
	char *body;

	for (size_t i = 0; i < spec->n_argv; i++)
		json_array_append_new(cmd, json_string(spec->argv[i]));
	if (json_array_size(cmd) != spec->n_argv) { /* not UTF-8, or no memory */
		json_decref(cmd);
		return NULL;
	}
	doc = json_pack("{s:b,s:b,s:s,s:o}", "AttachStdout", 1, "AttachStderr", 1, "User",
			spec->user ? spec->user : "", "Cmd", cmd);
	body = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	return body;
}

int docker_exec(struct sb_engine *engine, const char *id, const struct sb_exec_spec *spec,
		sb_engine_exec_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "exec in",
		.method = "POST",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.once = true,
		.reply = on_created };
	struct sb_engine_call *call;
	struct exec *exec;
	char *body;
	int rc = container_ref_check(id, err);

	if (rc < 0)
		return rc;
	body = create_body(spec);
	if (!body)
		return sb_err_set(err, SB_E_INVALID, "exec in %s: a word is not UTF-8", id);
	rc = call_new(docker_of(engine), &op, id, fail_exec, (union call_fn){ .exec = fn }, ctx,
			&call, err);
	if (rc < 0) {
		free(body);
		return rc;
	}
	call->body = body;
	call->body_len = strlen(body);
	call->content_type = "application/json";
	call->state = exec = calloc(1, sizeof(*exec));
	call->free_state = exec_free;
	if (!exec) {
		call->free_state = NULL;
		call_cancel(call);
		return sb_err_nomem(err);
	}
	exec->call = call;
	exec->limit_ms = spec->limit_ms;
	return call_launch(call, text_new("/containers/%s/exec", id), ret, err);
}
