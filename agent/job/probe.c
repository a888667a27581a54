#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sb_http.h"
#include "sb_loop.h"
#include "sb_probe.h"
#include "sb_wire.h"

#define INTERVAL_DEFAULT_MS 500
#define INTERVAL_FIRST_MS   25 /* doubles up to the plan's interval */
#define TIMEOUT_DEFAULT_MS  3600000
#define MODELS_DEADLINE_MS  5000
#define TOKEN_DEADLINE_MS   120000 /* the first request may compile kernels */
#define TOKEN_RETRY_MS      10000  /* an engine that generates nothing is asked this often */
#define REPLY_MAX           ((size_t)1 << 20)

struct sb_probe {
	sd_event *loop;
	struct sb_http *http;
	struct sb_http_req *req;
	sd_event_source *timer;
	Sparkbus__Readiness *how;
	uint64_t deadline_ms; /* CLOCK_BOOTTIME */
	uint64_t interval_ms;
	bool serves;  /* it answered at /v1/models the last time */
	unsigned way; /* index of the request that makes it produce something */
	char *body;
	char last[SB_ERR_TEXT_MAX]; /* what was wrong at the last try */
	sb_probe_progress_fn progress;
	sb_probe_fn done;
	void *ctx;
};

/* --- what to ask --- */

static json_t *completion_body(const char *model)
{
	return json_pack("{s:s, s:s, s:i, s:i}", "model", model, "prompt", "1 2 3", "max_tokens", 1,
			"temperature", 0);
}

static json_t *chat_body(const char *model)
{
	return json_pack("{s:s, s:[{s:s, s:s}], s:i, s:i}", "model", model, "messages", "role",
			"user", "content", "1 2 3", "max_tokens", 1, "temperature", 0);
}

static json_t *embedding_body(const char *model)
{
	return json_pack("{s:s, s:s}", "model", model, "input", "1 2 3");
}

static json_t *score_body(const char *model)
{
	return json_pack("{s:s, s:s, s:s}", "model", model, "text_1", "1 2 3", "text_2", "4 5 6");
}

static json_t *rerank_body(const char *model)
{
	return json_pack("{s:s, s:s, s:[s]}", "model", model, "query", "1 2 3", "documents",
			"4 5 6");
}

static const struct way {
	Sparkbus__Probe probe;
	const char *target;
	json_t *(*body)(const char *model);
	const char *array; /* where the reply shows what was produced */
} ways[] = {
	{ SPARKBUS__PROBE__PROBE_GENERATE, "/v1/completions", completion_body, "choices" },
	{ SPARKBUS__PROBE__PROBE_GENERATE, "/v1/chat/completions", chat_body, "choices" },
	{ SPARKBUS__PROBE__PROBE_EMBED, "/v1/embeddings", embedding_body, "data" },
	{ SPARKBUS__PROBE__PROBE_SCORE, "/score", score_body, "data" },
	{ SPARKBUS__PROBE__PROBE_SCORE, "/rerank", rerank_body, "results" },
};

static const struct way *way_of(const Sparkbus__Readiness *how, unsigned attempt)
{
	for (size_t i = 0; i < sb_countof(ways); i++)
		if (ways[i].probe == how->probe && attempt-- == 0)
			return &ways[i];
	return NULL;
}

const char *sb_probe_request(const Sparkbus__Readiness *how, unsigned attempt, char **ret_body)
{
	const struct way *way = way_of(how, attempt);
	json_t *body = way ? way->body(how->model) : NULL;

	*ret_body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return *ret_body ? way->target : NULL;
}

bool sb_probe_produced(
		const Sparkbus__Readiness *how, unsigned attempt, const char *body, size_t len)
{
	const struct way *way = way_of(how, attempt);
	json_t *reply = json_loadb(body, len, 0, NULL);
	json_t *usage = json_object_get(reply, "usage");
	json_t *made = json_object_get(usage, "completion_tokens");
	bool produced = way && json_array_size(json_object_get(reply, way->array)) > 0;

	/* An answer that counts its tokens and counts none was not generated. */
	if (how->probe == SPARKBUS__PROBE__PROBE_GENERATE && json_is_integer(made))
		produced &= json_integer_value(made) > 0;
	json_decref(reply);
	return produced;
}

/* --- asking --- */

static void ask_models(struct sb_probe *probe);

static void probe_free(struct sb_probe *probe)
{
	sb_http_cancel(probe->req);
	sb_http_free(probe->http);
	sd_event_source_disable_unref(probe->timer);
	if (probe->how)
		sparkbus__readiness__free_unpacked(probe->how, NULL);
	free(probe->body);
	free(probe);
}

void sb_probe_cancel(struct sb_probe *probe)
{
	if (probe)
		probe_free(probe);
}

static void finish(struct sb_probe *probe, const struct sb_err *err)
{
	sb_probe_fn done = probe->done;
	void *ctx = probe->ctx;

	probe_free(probe);
	done(ctx, err);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_probe *probe = ctx;

	probe->way = 0; /* a door that was not there while the engine loaded may be there now */
	ask_models(probe);
	return 0;
}

/* Not yet, because of @text: try again after @delay_ms, or give up when time is over. */
static void SB_PRINTF(3, 4) not_yet(struct sb_probe *probe, uint64_t delay_ms, const char *fmt, ...)
{
	struct sb_err err = SB_ERR_INIT;
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_text_clean(text); /* an engine's words are in it */
	if (sb_now_boot_ms() + delay_ms > probe->deadline_ms) {
		sb_err_set(&err, probe->serves ? SB_E_TIMEOUT : SB_E_UNAVAILABLE, "%s", text);
		finish(probe, &err);
		return;
	}
	if (strcmp(text, probe->last) != 0) {
		memcpy(probe->last, text, sizeof(text));
		probe->progress(probe->ctx, text);
	}
	if (sb_timer_once(probe->loop, &probe->timer, delay_ms, on_timer, probe, &err) < 0)
		finish(probe, &err);
}

static uint64_t next_interval(struct sb_probe *probe)
{
	uint64_t max = probe->how->interval_ms ?: INTERVAL_DEFAULT_MS;
	uint64_t now = probe->interval_ms < max ? probe->interval_ms : max;

	probe->interval_ms = now * 2;
	return now;
}

static int ask(struct sb_probe *probe, const char *method, const char *target, const char *body,
		uint64_t deadline_ms, void (*done)(void *, const struct sb_http_result *),
		struct sb_err *err)
{
	uint64_t now = sb_now_boot_ms();
	uint64_t left = probe->deadline_ms > now ? probe->deadline_ms - now : 1;
	struct sb_http_ask request = {
		.method = method,
		.target = target,
		.content_type = body ? "application/json" : NULL,
		.body = body,
		.len = body ? strlen(body) : 0,
		.bearer = sb_empty(probe->how->api_key) ? NULL : probe->how->api_key,
		.reply_max = REPLY_MAX,
		.deadline_ms = deadline_ms < left ? deadline_ms : left,
		.once = true,
		.done = done,
		.ctx = probe,
	};

	return sb_http_start(probe->http, &request, &probe->req, err);
}

static void ask_product(struct sb_probe *probe);

/* Loading longer does not make a key right. */
static void denied(struct sb_probe *probe, int status)
{
	struct sb_err err = SB_ERR_INIT;

	sb_err_set(&err, SB_E_DENIED, "the engine refuses the recipe's API key (HTTP %d)", status);
	finish(probe, &err);
}

static void on_product(void *ctx, const struct sb_http_result *res)
{
	struct sb_probe *probe = ctx;

	probe->req = NULL;
	if (res->status == 200 && sb_probe_produced(probe->how, probe->way, res->body, res->len)) {
		finish(probe, NULL);
	} else if (res->status == 404 && way_of(probe->how, probe->way + 1)) {
		probe->way++; /* this engine has another door for it */
		ask_product(probe);
	} else if (res->status == 401 || res->status == 403) {
		denied(probe, res->status);
	} else if (res->status == 503) {
		not_yet(probe, next_interval(probe), "it serves, and is still loading");
	} else if (res->status) {
		not_yet(probe, TOKEN_RETRY_MS,
				"it serves, but answers HTTP %d instead of a token: %.200s",
				res->status, res->body);
	} else {
		not_yet(probe, next_interval(probe), "it serves, but generates nothing: %s",
				res->err->text);
	}
}

static void ask_product(struct sb_probe *probe)
{
	struct sb_err err = SB_ERR_INIT;
	const char *target;

	free(sb_steal(probe->body));
	target = sb_probe_request(probe->how, probe->way, &probe->body);
	if (!target)
		finish(probe, NULL); /* PROBE_MODELS: nothing more is asked */
	else if (ask(probe, "POST", target, probe->body, TOKEN_DEADLINE_MS, on_product, &err) < 0)
		finish(probe, &err);
}

static void on_models(void *ctx, const struct sb_http_result *res)
{
	struct sb_probe *probe = ctx;

	probe->req = NULL;
	probe->serves = res->status == 200;
	if (res->status == 200)
		ask_product(probe);
	else if (res->status == 401 || res->status == 403)
		denied(probe, res->status);
	else if (res->status)
		not_yet(probe, next_interval(probe), "/v1/models answers HTTP %d", res->status);
	else
		not_yet(probe, next_interval(probe), "no answer yet on port %u", probe->how->port);
}

static void ask_models(struct sb_probe *probe)
{
	struct sb_err err = SB_ERR_INIT;

	if (ask(probe, "GET", "/v1/models", NULL, MODELS_DEADLINE_MS, on_models, &err) < 0)
		finish(probe, &err);
}

int sb_probe_open(sd_event *loop, const Sparkbus__Readiness *how, struct sb_http **ret,
		struct sb_err *err)
{
	const char *host = sb_empty(how->host) ? "127.0.0.1" : how->host;
	char base[300], what[64];
	const struct sb_http_peer peer = {
		.what = what, .base = base, .hint_down = "", .hint_denied = ""
	};

	snprintf(base, sizeof(base), strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
			how->port);
	snprintf(what, sizeof(what), "engine on port %u", how->port);
	return sb_http_new(loop, &peer, ret, err);
}

int sb_probe_start(sd_event *loop, const Sparkbus__Readiness *how, sb_probe_progress_fn progress,
		sb_probe_fn done, void *ctx, struct sb_probe **ret, struct sb_err *err)
{
	struct sb_probe *probe = calloc(1, sizeof(*probe));
	ProtobufCMessage *copy = NULL;
	int rc;

	if (!probe)
		return sb_err_nomem(err);
	probe->loop = loop;
	probe->progress = progress;
	probe->done = done;
	probe->ctx = ctx;
	probe->interval_ms = INTERVAL_FIRST_MS;
	rc = sb_wire_dup(&how->base, &copy, err);
	probe->how = (Sparkbus__Readiness *)copy;
	probe->deadline_ms = sb_now_boot_ms() + (how->timeout_ms ?: TIMEOUT_DEFAULT_MS);
	if (rc == 0)
		rc = sb_probe_open(loop, probe->how, &probe->http, err);
	/* From the loop, so that nothing calls back before the caller knows the probe. */
	if (rc == 0)
		rc = sb_timer_once(loop, &probe->timer, 0, on_timer, probe, err);
	if (rc < 0) {
		probe_free(probe);
		return rc;
	}
	*ret = probe;
	return 0;
}
