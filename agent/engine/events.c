/* events.c - the engine's events, for ever.
 *
 * The stream is asked for with since = the last event seen, so that a short cut loses nothing:
 * the engine replays. But it keeps only its last 256 events and forgets them when it restarts,
 * which nobody can see from here; so each (re)connect says resync, at the moment the engine has
 * taken the subscription, and then come the replayed and the new events. Events that were seen
 * before the cut are not told again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define EVENT_LINE_MAX ((size_t)256 << 10) /* an event carries all labels of its container */

struct events {
	struct sb_engine_call *call;
	struct json_lines lines;
	sd_event_source *timer;
	char *filters;        /* as they stand in the query */
	uint64_t last_ns;     /* newest event seen, or when the first try was made */
	uint64_t replayed_ns; /* events up to here were seen before the connection was lost */
	uint64_t backoff_ms;
	uint64_t connected_ms; /* CLOCK_BOOTTIME, 0 = not connected */
	enum sb_code told;     /* of the loss that was reported; SB_OK = none since connecting */
};

static void events_free(void *state)
{
	struct events *ev = state;

	sd_event_source_disable_unref(ev->timer);
	json_lines_done(&ev->lines);
	free(ev->filters);
	free(ev);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int events_connect(struct sb_engine_call *call, struct sb_err *err)
{
	static const struct op op = { .name = "events", .method = "GET" };
	struct events *ev = call->state;

	ev->replayed_ns = ev->last_ns;
	sb_strbuf_reset(&ev->lines.line);
	call->retried = false;
	return call_next(call, &op,
			text_new("/events?since=%" PRIu64 ".%09" PRIu64 "&filters=%s",
					ev->last_ns / 1000000000, ev->last_ns % 1000000000,
					ev->filters),
			err);
}

static int on_backoff(sd_event_source *source, uint64_t usec, void *arg);

/* False when the call is over. */
static bool events_again_later(struct sb_engine_call *call)
{
	struct events *ev = call->state;
	const struct engine_limits *limits = &call->docker->limits;
	uint64_t delay_us = ev->backoff_ms * 1000;
	int rc;

	ev->backoff_ms *= 2;
	if (ev->backoff_ms > limits->backoff_max_ms)
		ev->backoff_ms = limits->backoff_max_ms;
	ev->timer = sd_event_source_disable_unref(ev->timer);
	rc = sd_event_add_time_relative(call->docker->loop, &ev->timer, CLOCK_BOOTTIME, delay_us,
			1000, on_backoff, call);
	if (rc < 0) {
		struct sb_err err = SB_ERR_INIT;

		/* Without a timer this stream is over, and must say so. */
		sb_err_errno(&err, -rc, "events: timer");
		call_fail(call, &err);
	}
	return rc >= 0;
}

static void events_lost(struct sb_engine_call *call, const struct sb_err *why)
{
	struct events *ev = call->state;
	uint64_t lived_ms = ev->connected_ms ? sb_now_boot_ms() - ev->connected_ms : 0;
	uint64_t now = now_ns();

	/* An engine that accepts and hangs up at once must not be asked ever so fast. */
	if (lived_ms >= call->docker->limits.backoff_max_ms)
		ev->backoff_ms = call->docker->limits.backoff_min_ms;
	ev->connected_ms = 0;
	/* A clock that was set back must not hide what is yet to come; and what does not parse
	 * must not be replayed. */
	if (ev->last_ns > now || why->code == SB_E_PROTOCOL || why->code == SB_E_RANGE)
		ev->last_ns = now;
	if (!events_again_later(call) || ev->told == why->code)
		return;
	ev->told = why->code;
	call->fn.event(call->ctx, NULL, false, why);
}

static int on_backoff(sd_event_source *source, uint64_t usec, void *arg)
{
	struct sb_engine_call *call = arg;

	/* Out of memory: the next try may find some. */
	if (events_connect(call, NULL) < 0)
		events_again_later(call);
	return 0;
}

static void events_head(struct sb_engine_call *call)
{
	struct events *ev = call->state;

	ev->connected_ms = sb_now_boot_ms();
	ev->told = SB_OK;
	call->fn.event(call->ctx, NULL, true, NULL);
}

static int on_event(void *ctx, const json_t *doc)
{
	struct events *ev = ctx;
	struct sb_engine_call *call = ev->call;
	SB_CLEANUP(sb_freep) struct sb_kv *attributes = NULL;
	struct sb_engine_event item;
	struct sb_err err = SB_ERR_INIT;
	int rc = event_parse(doc, &item, &attributes, &err);

	if (rc < 0)
		return rc;
	if (item.unix_ns && item.unix_ns <= ev->replayed_ns)
		return 0;
	if (item.unix_ns > ev->last_ns)
		ev->last_ns = item.unix_ns;
	call->fn.event(call->ctx, &item, false, NULL);
	return call->ended;
}

static void events_data(struct sb_engine_call *call, const char *data, size_t len)
{
	struct events *ev = call->state;
	struct sb_err err = SB_ERR_INIT;
	int rc = json_lines_feed(&ev->lines, data, len, &err);

	if (rc >= 0 || call->ended)
		return;
	if (!err.code)
		sb_err_set(&err, (enum sb_code) - rc, "an event does not parse");
	sb_err_wrap(&err, 0, "events");
	sb_http_cancel(sb_steal(call->req));
	events_lost(call, &err);
}

static void events_end(struct sb_engine_call *call, const struct sb_http_result *res,
		const struct sb_err *why)
{
	struct sb_err err = SB_ERR_INIT;

	if (why) {
		events_lost(call, why);
		return;
	}
	call->docker->api = 0;
	sb_err_set(&err, SB_E_UNAVAILABLE, "events: container engine at %s ended the stream",
			call->docker->socket);
	events_lost(call, &err);
}

static char *filters_new(const char *label)
{
	SB_CLEANUP(sb_freep) char *text = NULL;
	json_t *filters = label ? json_pack("{s:[s],s:[s]}", "type", "container", "label", label)
				: json_pack("{s:[s,s]}", "type", "container", "image");

	text = json_dumps(filters, JSON_COMPACT);
	json_decref(filters);
	return text ? url_escape(text) : NULL;
}

static int events_prepare(struct sb_engine_call *call, const char *label)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return -SB_E_NOMEM;
	call->state = ev;
	call->free_state = events_free;
	ev->call = call;
	ev->last_ns = now_ns();
	ev->backoff_ms = call->docker->limits.backoff_min_ms;
	json_lines_init(&ev->lines, EVENT_LINE_MAX, on_event, ev);
	ev->filters = filters_new(sb_empty(label) ? NULL : label);
	call->stream_head = events_head;
	call->stream_data = events_data;
	call->stream_end = events_end;
	call->idle_ms = call->docker->limits.answer_ms;
	return ev->filters ? 0 : -SB_E_NOMEM;
}

static void fail_events(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.event(call->ctx, NULL, false, err);
}

int docker_events(struct sb_engine *engine, const char *label, sb_engine_event_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "events", .method = "GET" };
	struct sb_engine_call *call;
	int rc = call_new(docker_of(engine), &op, "", fail_events, (union call_fn){ .event = fn },
			ctx, &call, err);

	if (rc < 0)
		return rc;
	rc = events_prepare(call, label);
	if (rc < 0)
		sb_err_nomem(err);
	else
		rc = events_connect(call, err);
	if (rc < 0) {
		call_cancel(call);
		return rc;
	}
	if (ret)
		*ret = call;
	return 0;
}
