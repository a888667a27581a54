#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_events.h"

static struct sb_events *events;

static void setup(void)
{
	struct sb_err err;

	ck_assert_int_eq(sb_events_new("spark1", &events, &err), 0);
}

static void teardown(void)
{
	sb_events_free(events);
}

/* Follow the ring: reads on from where the last one ended. */
struct reader {
	uint8_t cursor[SB_EVENTS_CURSOR];
	size_t cursor_len;
	uint64_t lost, given;
	char last[32];
};

static size_t read_on(struct reader *reader, bool from_start, const char *job, size_t max)
{
	Sparkbus__WatchEventsReply reply;
	struct sb_err err = SB_ERR_INIT;
	size_t n;

	ck_assert_msg(sb_events_read(events, reader->cursor, reader->cursor_len, from_start, job,
				      max, &reply, &err) == 0,
			"%s", err.text);
	ck_assert_uint_eq(reply.next_cursor.len, SB_EVENTS_CURSOR);
	memcpy(reader->cursor, reply.next_cursor.data, SB_EVENTS_CURSOR);
	reader->cursor_len = SB_EVENTS_CURSOR;
	n = reply.n_events;
	if (max)
		ck_assert_uint_le(n, max);
	reader->lost += reply.lost;
	reader->given += n;
	if (n)
		snprintf(reader->last, sizeof(reader->last), "%s", reply.events[n - 1]->text);
	sb_events_reply_done(&reply);
	return n;
}

START_TEST(an_event_says_what_when_and_where)
{
	Sparkbus__JobStatus status = SPARKBUS__JOB_STATUS__INIT;
	Sparkbus__WatchEventsReply reply;
	uint64_t before = sb_now_unix_ms();
	char reason[] = "because";

	status.reason = reason;
	sb_events_add(events, "job.state", "job_1", 3, &status, "rank %d said %s", 3, "no\n");
	reason[0] = 'X'; /* the ring has its own copy */
	sb_events_add(events, "engine.lost", NULL, -1, NULL, "%s", "gone");
	ck_assert_int_eq(sb_events_read(events, NULL, 0, true, NULL, 0, &reply, NULL), 0);
	ck_assert_uint_eq(reply.n_events, 2);
	ck_assert_str_eq(reply.events[0]->kind, "job.state");
	ck_assert_str_eq(reply.events[0]->node, "spark1");
	ck_assert_str_eq(reply.events[0]->job, "job_1");
	ck_assert_str_eq(reply.events[0]->text, "rank 3 said no ");
	ck_assert_int_eq(reply.events[0]->has_rank_case, SPARKBUS__EVENT__HAS_RANK_RANK);
	ck_assert_uint_eq(reply.events[0]->rank, 3);
	ck_assert_str_eq(reply.events[0]->status->reason, "because");
	ck_assert_uint_ge(reply.events[0]->unix_ms, before);
	ck_assert_uint_le(reply.events[0]->unix_ms, sb_now_unix_ms());
	ck_assert_str_eq(reply.events[1]->job, "");
	ck_assert_int_eq(reply.events[1]->has_rank_case, SPARKBUS__EVENT__HAS_RANK__NOT_SET);
	ck_assert_ptr_null(reply.events[1]->status);
	ck_assert_uint_gt(protobuf_c_message_get_packed_size(&reply.base), 0);
	sb_events_reply_done(&reply);
}
END_TEST

START_TEST(an_empty_cursor_is_now_or_the_start)
{
	struct reader now = { 0 }, start = { 0 };

	ck_assert_uint_eq(read_on(&now, true, NULL, 0), 0);
	sb_events_add(events, "k", NULL, -1, NULL, "1");
	ck_assert_uint_eq(read_on(&now, false, NULL, 0), 1); /* its cursor was before it */
	now = (struct reader){ 0 };
	ck_assert_uint_eq(read_on(&now, false, NULL, 0), 0);
	ck_assert_uint_eq(read_on(&start, true, NULL, 0), 1);
	sb_events_add(events, "k", NULL, -1, NULL, "2");
	ck_assert_uint_eq(read_on(&now, false, NULL, 0), 1);
	ck_assert_str_eq(now.last, "2");
	ck_assert_uint_eq(read_on(&start, false, NULL, 0), 1);
	ck_assert_uint_eq(now.lost + start.lost, 0);
}
END_TEST

START_TEST(nothing_twice_and_nothing_missing)
{
	struct reader reader = { 0 };
	unsigned seed = 1;
	int next = 0;
	char want[32];

	read_on(&reader, false, NULL, 0);
	for (int i = 0; i < 3000; i++) {
		sb_events_add(events, "k", NULL, -1, NULL, "%d", i);
		if (rand_r(&seed) % 4 || (size_t)(i + 1 - next) == 0)
			continue;
		next += (int)read_on(&reader, false, NULL, 1 + (size_t)rand_r(&seed) % 10);
		snprintf(want, sizeof(want), "%d", next - 1);
		ck_assert_str_eq(reader.last, want);
	}
	while (read_on(&reader, false, NULL, 100))
		continue;
	ck_assert_uint_eq(reader.given, 3000);
	ck_assert_uint_eq(reader.lost, 0);
}
END_TEST

START_TEST(a_slow_reader_is_told_what_it_lost)
{
	struct reader reader = { 0 }, late = { 0 };

	read_on(&reader, false, NULL, 0);
	for (int i = 0; i < SB_EVENTS_MAX + 10; i++)
		sb_events_add(events, "k", NULL, -1, NULL, "%d", i);
	read_on(&reader, false, NULL, 0);
	ck_assert_uint_eq(reader.lost, 10);
	ck_assert_uint_eq(reader.given, SB_EVENTS_MAX);
	read_on(&late, true, NULL, 0); /* asked for what is there, and got that */
	ck_assert_uint_eq(late.lost, 0);
	ck_assert_uint_eq(late.given, SB_EVENTS_MAX);
}
END_TEST

START_TEST(the_bytes_are_bounded_too)
{
	char text[SB_EVENTS_TEXT_MAX + 1];
	struct reader reader = { 0 };
	Sparkbus__WatchEventsReply reply;
	size_t bytes = 0;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	read_on(&reader, false, NULL, 0);
	for (int i = 0; i < 4000; i++)
		sb_events_add(events, "k", NULL, -1, NULL, "%s", text);
	ck_assert_int_eq(sb_events_read(events, NULL, 0, true, NULL, 0, &reply, NULL), 0);
	for (size_t i = 0; i < reply.n_events; i++)
		bytes += strlen(reply.events[i]->text);
	ck_assert_uint_lt(bytes, SB_EVENTS_MAX_BYTES);
	ck_assert_uint_gt(bytes, SB_EVENTS_MAX_BYTES / 2);
	sb_events_reply_done(&reply);
	read_on(&reader, false, NULL, 0);
	ck_assert_uint_eq(reader.given + reader.lost, 4000);
}
END_TEST

START_TEST(a_container_cannot_flood_the_ring)
{
	SB_CLEANUP(sb_freep) char *big = malloc(SB_EVENTS_STATUS_MAX + 1);
	Sparkbus__JobStatus status = SPARKBUS__JOB_STATUS__INIT;
	Sparkbus__WatchEventsReply reply;

	memset(big, 'x', SB_EVENTS_STATUS_MAX);
	big[SB_EVENTS_STATUS_MAX] = '\0';
	status.reason = big;
	sb_events_add(events, "k", "j", -1, NULL, "first");
	sb_events_add(events, "k", "j", -1, &status, "%s", big);
	ck_assert_int_eq(sb_events_read(events, NULL, 0, true, NULL, 0, &reply, NULL), 0);
	ck_assert_uint_eq(reply.n_events, 2);
	ck_assert_ptr_null(reply.events[1]->status);
	ck_assert_uint_eq(strlen(reply.events[1]->text), SB_EVENTS_TEXT_MAX + 1);
	ck_assert_int_eq(reply.events[1]->text[SB_EVENTS_TEXT_MAX], '+');
	sb_events_reply_done(&reply);
}
END_TEST

START_TEST(a_filter_gives_one_job_and_passes_the_others)
{
	struct reader reader = { 0 };

	for (int i = 0; i < 100; i++)
		sb_events_add(events, "k", i % 10 ? "other" : "mine", -1, NULL, "%d", i);
	ck_assert_uint_eq(read_on(&reader, true, "mine", 4), 4);
	ck_assert_str_eq(reader.last, "30");
	ck_assert_uint_eq(read_on(&reader, true, "mine", 0), 6);
	ck_assert_uint_eq(read_on(&reader, true, "mine", 0), 0);
	ck_assert_uint_eq(read_on(&reader, true, "", 0), 0); /* the cursor is past all of them */
	ck_assert_uint_eq(reader.lost, 0);
}
END_TEST

START_TEST(a_cursor_from_before_a_restart_starts_anew_and_says_so)
{
	struct reader reader = { 0 };

	for (int i = 0; i < 5; i++)
		sb_events_add(events, "k", NULL, -1, NULL, "old %d", i);
	read_on(&reader, true, NULL, 2);
	sb_events_free(events);
	setup();
	sb_events_add(events, "k", NULL, -1, NULL, "new 0");
	sb_events_add(events, "k", NULL, -1, NULL, "new 1");
	ck_assert_uint_eq(read_on(&reader, false, NULL, 0), 2);
	ck_assert_uint_ge(reader.lost, 1);
	reader.lost = 0;
	ck_assert_uint_eq(read_on(&reader, false, NULL, 0), 0);
	ck_assert_uint_eq(reader.lost, 0); /* said once */
}
END_TEST

START_TEST(a_cursor_that_is_not_ours_is_refused)
{
	struct reader reader = { 0 };
	Sparkbus__WatchEventsReply reply = SPARKBUS__WATCH_EVENTS_REPLY__INIT;
	struct sb_err err;

	read_on(&reader, false, NULL, 0);
	for (size_t len = 1; len < 40; len++) {
		uint8_t bytes[40] = { 0 };

		if (len == SB_EVENTS_CURSOR)
			continue;
		ck_assert_int_eq(sb_events_read(events, bytes, len, false, NULL, 0, &reply, &err),
				-SB_E_INVALID);
	}
	for (int i = 0; i < 2; i++) { /* the ring is right, the event is of the future, or none */
		memset(reader.cursor + 8, i ? 0xff : 0, 8);
		ck_assert_int_eq(sb_events_read(events, reader.cursor, SB_EVENTS_CURSOR, false,
						 NULL, 0, &reply, &err),
				-SB_E_INVALID);
	}
	ck_assert_ptr_null(reply.events);
}
END_TEST

static void count(void *ctx)
{
	struct reader reader = { 0 };

	++*(int *)ctx;
	ck_assert_uint_ge(read_on(&reader, true, NULL, 0), 1); /* the event is there already */
}

START_TEST(the_listener_hears_every_event)
{
	int heard = 0;

	sb_events_on_add(events, count, &heard);
	sb_events_add(events, "k", NULL, -1, NULL, "1");
	sb_events_add(events, "k", NULL, -1, NULL, "2");
	ck_assert_int_eq(heard, 2);
	sb_events_on_add(events, NULL, NULL);
	sb_events_add(events, "k", NULL, -1, NULL, "3");
	ck_assert_int_eq(heard, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tc = tcase_create("events");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_event_says_what_when_and_where);
	tcase_add_test(tc, an_empty_cursor_is_now_or_the_start);
	tcase_add_test(tc, nothing_twice_and_nothing_missing);
	tcase_add_test(tc, a_slow_reader_is_told_what_it_lost);
	tcase_add_test(tc, the_bytes_are_bounded_too);
	tcase_add_test(tc, a_container_cannot_flood_the_ring);
	tcase_add_test(tc, a_filter_gives_one_job_and_passes_the_others);
	tcase_add_test(tc, a_cursor_from_before_a_restart_starts_anew_and_says_so);
	tcase_add_test(tc, a_cursor_that_is_not_ours_is_refused);
	tcase_add_test(tc, the_listener_hears_every_event);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
