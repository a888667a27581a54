/* watch_events.c - print a node's events as they come, until it is killed.
 * usage: watch_events NODE ADDRESS; prints "RECEIVED SAID KIND TEXT", both times in milliseconds
 * since 1970: when the line came here, and when the agent noticed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operator.h"
#include "sb_base.h"

#define WAIT_MS     5000u
#define DEADLINE_MS 60000u /* an emulated machine may be slow */
#define CURSOR_MAX  64u

struct cursor {
	size_t len;
	uint8_t bytes[CURSOR_MAX];
};

static int watch_once(struct sb_client *client, const struct sb_target *target,
		struct cursor *cursor, struct sb_err *err)
{
	Sparkbus__WatchEventsRequest watch = SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
	sb_request request = SPARKBUS__REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	const Sparkbus__WatchEventsReply *reply;
	int rc;

	watch.cursor.data = cursor->bytes;
	watch.cursor.len = cursor->len;
	watch.wait_ms = WAIT_MS;
	request.body_case = SPARKBUS__REQUEST__BODY_WATCH_EVENTS;
	request.watch_events = &watch;
	rc = sb_client_call(client, target, &request, DEADLINE_MS, &answer, err);
	if (rc < 0)
		return rc;
	reply = answer.reply->watch_events;
	for (size_t i = 0; i < reply->n_events; i++)
		printf("%" PRIu64 " %" PRIu64 " %s %s\n", sb_now_unix_ms(),
				reply->events[i]->unix_ms, reply->events[i]->kind,
				reply->events[i]->text);
	fflush(stdout);
	if (reply->next_cursor.len > sizeof(cursor->bytes))
		return sb_err_set(err, SB_E_RANGE, "the cursor is too long");
	cursor->len = reply->next_cursor.len;
	memcpy(cursor->bytes, reply->next_cursor.data, cursor->len);
	return 0;
}

int main(int argc, char **argv)
{
	SB_CLEANUP(sb_client_freep) struct sb_client *client = NULL;
	struct sb_target target = { .port = 47100 };
	struct cursor cursor = { 0 };
	struct sb_err err = SB_ERR_INIT;

	if (argc != 3) {
		fprintf(stderr, "usage: watch_events NODE ADDRESS\n");
		return 2;
	}
	target.name = argv[1];
	target.address = argv[2];
	if (operator_connect(&client, &err) == 0)
		while (watch_once(client, &target, &cursor, &err) == 0)
			;
	fprintf(stderr, "watch_events: %s\n", err.text);
	return 1;
}
