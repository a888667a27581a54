#include <string.h>

#include "sb_http.h"
#include "sb_loop.h"
#include "sb_probe.h"
#include "sb_watch.h"

#define METRICS_DEADLINE_MS 4000u
#define METRICS_MAX         ((size_t)4 << 20)

struct sb_watch {
	sd_event *loop;
	struct sb_http *http;
	struct sb_http_req *req;
	sd_event_source *timer;
	struct sb_watch_times times;
	struct sb_watch_state state;
	const struct sb_watch_ops *ops;
	void *ctx;
	char *api_key;
	uint64_t every_ms;
	double generated; /* at the last answer */
	uint64_t generated_ms;
};

/* --- judging --- */

void sb_watch_proved(struct sb_watch_state *state, uint64_t now_ms)
{
	state->proved_ms = now_ms;
	state->moved_ms = now_ms;
}

static bool moved(struct sb_watch_state *state, const struct sb_load *load)
{
	bool news = state->has_generated && load->has_generated &&
			load->generated > state->generated;

	/* Less than before: it was started anew, which is no proof either way. */
	if (load->has_generated) {
		state->has_generated = true;
		state->generated = load->generated;
	}
	return news;
}

static bool past(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms)
{
	return limit_ms && now_ms - since_ms >= limit_ms;
}

enum sb_watch_verdict sb_watch_step(struct sb_watch_state *state,
		const struct sb_watch_times *times, const struct sb_load *load, uint64_t now_ms)
{
	bool busy = load && load->has_running && load->running > 0;

	if (!state->proved_ms) /* READY means that a token came */
		sb_watch_proved(state, now_ms);
	if (load && moved(state, load)) {
		sb_watch_proved(state, now_ms);
		return SB_WATCH_LIVES;
	}
	if (!busy)
		state->moved_ms = now_ms;
	/* A busy engine that counts its tokens is asked only once they stand still: its answer
	 * would wait behind the requests of others. */
	if (busy && state->has_generated)
		return past(state->moved_ms, times->frozen_ms, now_ms) ? SB_WATCH_ASK
								       : SB_WATCH_NOTHING;
	return past(state->proved_ms, times->prove_ms, now_ms) ? SB_WATCH_ASK : SB_WATCH_NOTHING;
}

/* --- asking --- */

static int on_tick(sd_event_source *source, uint64_t usec, void *ctx);

static int arm(struct sb_watch *w, struct sb_err *err)
{
	return sb_timer_once(w->loop, &w->timer, w->every_ms, on_tick, w, err);
}

static double rate_of(struct sb_watch *w, const struct sb_load *load, uint64_t now_ms)
{
	double rate = -1;

	if (!load->has_generated)
		return rate;
	if (w->generated_ms && now_ms > w->generated_ms && load->generated >= w->generated)
		rate = (load->generated - w->generated) * 1000.0 /
				(double)(now_ms - w->generated_ms);
	w->generated = load->generated;
	w->generated_ms = now_ms;
	return rate;
}

/* The callbacks may free the watch: they come last, and the verdict is the very last. */
static void on_metrics(void *ctx, const struct sb_http_result *res)
{
	struct sb_watch *w = ctx;
	uint64_t now_ms = sb_now_boot_ms();
	enum sb_watch_verdict verdict;
	struct sb_load load;
	bool told = res->status == 200;

	w->req = NULL;
	if (told)
		sb_metrics_parse(res->body, res->len, &load);
	verdict = sb_watch_step(&w->state, &w->times, told ? &load : NULL, now_ms);
	arm(w, NULL);
	w->ops->load(w->ctx, told ? &load : NULL, told ? rate_of(w, &load, now_ms) : -1);
	w->ops->verdict(w->ctx, verdict);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_watch *w = ctx;
	const struct sb_http_ask request = {
		.method = "GET",
		.target = "/metrics",
		.bearer = w->api_key,
		.reply_max = METRICS_MAX,
		.deadline_ms = METRICS_DEADLINE_MS,
		.once = true,
		.done = on_metrics,
		.ctx = w,
	};

	if (!w->req && sb_http_start(w->http, &request, &w->req, NULL) < 0)
		return arm(w, NULL);
	return 0;
}

int sb_watch_new(sd_event *loop, const Sparkbus__Readiness *how, const struct sb_watch_times *times,
		const struct sb_watch_ops *ops, void *ctx, struct sb_watch **ret,
		struct sb_err *err)
{
	struct sb_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return sb_err_nomem(err);
	w->loop = loop;
	w->times = *times;
	w->ops = ops;
	w->ctx = ctx;
	w->every_ms = SB_WATCH_EVERY_MS;
	/* Times that are shorter than the pause could not be kept. */
	if (times->frozen_ms && times->frozen_ms / 2 < w->every_ms)
		w->every_ms = times->frozen_ms / 2;
	if (times->prove_ms && times->prove_ms < w->every_ms)
		w->every_ms = times->prove_ms;
	w->api_key = sb_empty(how->api_key) ? NULL : strdup(how->api_key);
	rc = sb_probe_open(loop, how, &w->http, err);
	if (rc == 0)
		rc = arm(w, err);
	if (rc < 0) {
		sb_watch_free(w);
		return rc;
	}
	*ret = w;
	return 0;
}

void sb_watch_free(struct sb_watch *w)
{
	if (!w)
		return;
	sb_http_cancel(w->req);
	sb_http_free(w->http);
	sd_event_source_disable_unref(w->timer);
	free(w->api_key);
	free(w);
}

struct sb_watch_state *sb_watch_state(struct sb_watch *w)
{
	return &w->state;
}
