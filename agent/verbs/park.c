/* park.c - long polls that have no answer yet. They wait here, not in a thread and not in nng. */
#include "internal.h"

/* News within this time is answered together, so that a fast log makes few, fuller replies. */
#define KICK_DELAY_MS 10
/* The answer leaves this long before the caller gives up. */
#define DEADLINE_MARGIN_MS 200

struct poll {
	struct poll *next;
	struct sb_parking *parking;
	struct sb_call *call;
	const ProtobufCMessage *body;
	park_fn fn;
	sd_event_source *timer;
};

struct sb_parking {
	struct sb_agent *agent;
	struct poll *polls;
	sd_event_source *kick;
	bool kicked;
};

static void poll_free(struct poll *poll)
{
	sd_event_source_disable_unref(poll->timer);
	free(poll);
}

static void unlink_poll(struct poll *poll)
{
	for (struct poll **at = &poll->parking->polls; *at; at = &(*at)->next)
		if (*at == poll) {
			*at = poll->next;
			return;
		}
}

static void on_gone(void *ctx, struct sb_call *call)
{
	struct poll *poll = ctx;

	unlink_poll(poll);
	poll_free(poll);
}

/* Nothing came in time: the answer says so, with a cursor to go on from. */
static int on_wait_over(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct poll *poll = ctx;

	unlink_poll(poll);
	sb_call_on_gone(poll->call, NULL, NULL);
	poll->fn(poll->parking->agent, poll->call, poll->body, true);
	poll_free(poll);
	return 0;
}

static int on_kick(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_parking *parking = ctx;
	struct poll **at = &parking->polls;

	parking->kicked = false;
	while (*at) {
		struct poll *poll = *at;

		sb_call_on_gone(poll->call, NULL, NULL); /* the answer ends the call */
		if (poll->fn(parking->agent, poll->call, poll->body, false)) {
			*at = poll->next;
			poll_free(poll);
		} else {
			sb_call_on_gone(poll->call, on_gone, poll);
			at = &poll->next;
		}
	}
	return 0;
}

void sb_parking_kick(struct sb_parking *parking)
{
	if (!parking || parking->kicked || !parking->polls)
		return;
	parking->kicked = sb_timer_once(parking->agent->loop, &parking->kick, KICK_DELAY_MS,
					  on_kick, parking, NULL) == 0;
}

int park(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		uint32_t wait_ms, park_fn fn, struct sb_err *err)
{
	uint64_t left = sb_call_left_ms(call);
	struct poll *poll;
	int rc;

	if (wait_ms > PARK_WAIT_MAX_MS)
		wait_ms = PARK_WAIT_MAX_MS;
	if (wait_ms + DEADLINE_MARGIN_MS > left)
		wait_ms = left > 2 * DEADLINE_MARGIN_MS ? (uint32_t)left - DEADLINE_MARGIN_MS : 0;
	if (fn(agent, call, body, wait_ms == 0))
		return 0;
	poll = calloc(1, sizeof(*poll));
	if (!poll)
		return sb_err_nomem(err);
	*poll = (struct poll){ .parking = agent->parking, .call = call, .body = body, .fn = fn };
	rc = sb_timer_once(agent->loop, &poll->timer, wait_ms, on_wait_over, poll, err);
	if (rc < 0) {
		poll_free(poll);
		return rc;
	}
	poll->next = agent->parking->polls;
	agent->parking->polls = poll;
	sb_call_on_gone(call, on_gone, poll);
	return 0;
}

int sb_parking_new(struct sb_agent *agent, struct sb_parking **ret, struct sb_err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return sb_err_nomem(err);
	(*ret)->agent = agent;
	return 0;
}

void sb_parking_free(struct sb_parking *parking)
{
	if (!parking)
		return;
	while (parking->polls) {
		struct poll *poll = parking->polls;

		parking->polls = poll->next;
		poll_free(poll);
	}
	sd_event_source_disable_unref(parking->kick);
	free(parking);
}
