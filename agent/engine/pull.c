/* pull.c - pulling an image: a stream of progress whose last line may be the failure. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define PROGRESS_LINE_MAX ((size_t)64 << 10)
#define AUTH_MAX          ((size_t)16 << 10)

struct pull {
	struct sb_engine_call *call;
	struct json_lines lines;
	sb_pull_progress_fn progress;
	struct sb_err failure; /* from the stream; the last word counts */
};

static void pull_free(void *state)
{
	struct pull *pull = state;

	json_lines_done(&pull->lines);
	free(pull);
}

static uint64_t positive(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static int on_progress(void *ctx, const json_t *doc)
{
	struct pull *pull = ctx;
	const json_t *detail = json_object_get(doc, "progressDetail");
	const char *error = json_text(json_object_get(doc, "errorDetail"), "message");

	if (!*error)
		error = json_text(doc, "error");
	if (*error)
		refusal_set_text(&pull->failure, error);
	else if (pull->progress)
		pull->progress(pull->call->ctx, json_text(doc, "id"), json_text(doc, "status"),
				positive(json_number(detail, "current")),
				positive(json_number(detail, "total")));
	return pull->call->ended;
}

static void pull_data(struct sb_engine_call *call, const char *data, size_t len)
{
	struct pull *pull = call->state;
	struct sb_err err = SB_ERR_INIT;

	if (json_lines_feed(&pull->lines, data, len, &err) < 0)
		call_fail_parse(call, &err);
}

static void pull_end(struct sb_engine_call *call, const struct sb_http_result *res,
		const struct sb_err *why)
{
	struct pull *pull = call->state;
	struct sb_err err = SB_ERR_INIT;
	int rc = 0;

	if (!why)
		rc = json_lines_end(&pull->lines, &err);
	if (call->ended)
		return;
	if (pull->failure.code)
		call_fail_parse(call, &pull->failure);
	else if (why)
		call_fail(call, why);
	else if (rc < 0)
		call_fail_parse(call, &err);
	else if (call_finish(call))
		call->fn.done(call->ctx, NULL);
}

/* It becomes a header: nothing in it may end one. The value is a secret and is never told. */
static int auth_check(const char *auth, struct sb_err *err)
{
	size_t n = strspn(auth,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			"+/-_=");

	if (auth[n] || n > AUTH_MAX)
		return sb_err_set(err, SB_E_INVALID, "registry credentials are not base64");
	return 0;
}

static char *pull_target(const struct image_ref *parts)
{
	SB_CLEANUP(sb_freep) char *name = url_escape(parts->name);
	SB_CLEANUP(sb_freep) char *tag = url_escape(parts->tag);

	return name && tag ? text_new("/images/create?fromImage=%s&tag=%s", name, tag) : NULL;
}

static int pull_prepare(struct sb_engine_call *call, const char *auth, sb_pull_progress_fn progress)
{
	struct pull *pull = calloc(1, sizeof(*pull));

	if (!pull)
		return -SB_E_NOMEM;
	call->state = pull;
	call->free_state = pull_free;
	pull->call = call;
	pull->progress = progress;
	json_lines_init(&pull->lines, PROGRESS_LINE_MAX, on_progress, pull);
	call->stream_data = pull_data;
	call->stream_end = pull_end;
	call->idle_ms = call->docker->limits.pull_idle_ms;
	call->idle_always = true;
	call->auth = auth ? strdup(auth) : NULL;
	return auth && !call->auth ? -SB_E_NOMEM : 0;
}

int docker_pull(struct sb_engine *engine, const char *ref, const char *auth,
		sb_pull_progress_fn progress, sb_engine_done_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "pull", .method = "POST" };
	struct sb_engine_call *call;
	struct image_ref parts;
	int rc = image_ref_parse(ref, &parts, err);

	if (rc == 0 && auth)
		rc = auth_check(auth, err);
	if (rc == 0)
		rc = call_new(docker_of(engine), &op, ref, call_fail_done,
				(union call_fn){ .done = fn }, ctx, &call, err);
	if (rc < 0)
		return rc;
	rc = pull_prepare(call, auth, progress);
	if (rc < 0)
		sb_err_nomem(err);
	else
		rc = call_next(call, &op, pull_target(&parts), err);
	if (rc < 0) {
		call_cancel(call);
		return rc;
	}
	if (ret)
		*ret = call;
	return 0;
}
