/* test_verbs.c - the verbs that wait: long polls over logs, events and ranks, from the table's
 * rows. The bus is left out: the link takes a call's functions from here. */
#include "jobs_support.h"
#include "sb_agent.h"

struct sb_call {
	bool over;
	int failed;
	uint64_t left_ms;
	const ProtobufCMessageDescriptor *reply;
	ProtobufCMessage *answer;
	void (*gone)(void *ctx, struct sb_call *call);
	void *gone_ctx;
};

static struct sb_agent agent;

void sb_call_reply(struct sb_call *call, const ProtobufCMessage *body)
{
	ck_assert(!call->over);
	ck_assert_ptr_eq(body->descriptor, call->reply);
	call->over = true;
	ck_assert_int_eq(sb_wire_dup(body, &call->answer, NULL), 0);
}

void sb_call_fail(struct sb_call *call, const struct sb_err *err)
{
	ck_assert(!call->over);
	call->over = true;
	call->failed = -(int)err->code;
}

uint64_t sb_call_left_ms(const struct sb_call *call)
{
	return call->left_ms;
}

void sb_call_on_gone(struct sb_call *call, void (*fn)(void *ctx, struct sb_call *call), void *ctx)
{
	call->gone = fn;
	call->gone_ctx = ctx;
}

static void ask(struct sb_call *call, Sparkbus__Request__BodyCase type,
		const ProtobufCMessage *body)
{
	struct sb_err err = SB_ERR_INIT;
	size_t n;
	const struct sb_verb *verbs = sb_verbs(&n);

	for (size_t i = 0; i < n; i++)
		if (verbs[i].type == type) {
			*call = (struct sb_call){ .left_ms = 60000, .reply = verbs[i].reply };
			if (verbs[i].handle(&agent, call, body, &err) < 0)
				sb_call_fail(call, &err);
			return;
		}
	ck_abort_msg("no such verb");
}

static void call_done(struct sb_call *call)
{
	protobuf_c_message_free_unpacked(call->answer, NULL);
}

static void kick(void *ctx)
{
	sb_parking_kick(agent.parking);
}

static void agent_setup(void)
{
	setup();
	agent = (struct sb_agent){ .loop = loop,
		.engine = fake_engine_ops(nodes[0].engine),
		.events = nodes[0].events,
		.jobs = nodes[0].jobs };
	ck_assert_int_eq(sb_parking_new(&agent, &agent.parking, NULL), 0);
	ck_assert_int_eq(sb_pulls_new(&agent, &agent.pulls, NULL), 0);
	sb_events_on_add(agent.events, kick, NULL);
}

static void agent_teardown(void)
{
	sb_events_on_add(agent.events, NULL, NULL);
	sb_parking_free(agent.parking);
	sb_pulls_free(agent.pulls);
	teardown();
}

/* A reply holds a bounded number of bytes; the line for which there is no room comes next. */
START_TEST(no_line_is_missing_between_two_replies)
{
	Sparkbus__LaunchPlan plan = make_plan(1);
	Sparkbus__ReadLogRequest request = SPARKBUS__READ_LOG_REQUEST__INIT;
	static char text[9000];
	struct sb_logring *ring;
	uint8_t cursor[8];
	uint32_t rank;
	bool end;
	unsigned next = 0;

	settle();
	ck_assert(prepare_for(0, &plan, 0).leased);
	ck_assert_int_eq(sb_jobs_log(agent.jobs, JOB, &ring, &rank, &end, NULL), 0);
	for (unsigned i = 0; i < 400; i++) {
		memset(text, 'x', sizeof(text));
		snprintf(text, 16, "%u", i);
		sb_logring_add(ring, 1, 1, i + 1, text, sizeof(text), NULL);
	}
	request.job = (char *)JOB;
	while (next < 400) {
		struct sb_call call;
		const Sparkbus__ReadLogReply *reply;

		ask(&call, SPARKBUS__REQUEST__BODY_READ_LOG, &request.base);
		ck_assert(call.over && !call.failed);
		reply = (const Sparkbus__ReadLogReply *)call.answer;
		ck_assert_uint_eq(reply->lost, 0);
		ck_assert_uint_gt(reply->n_lines, 0);
		for (size_t i = 0; i < reply->n_lines; i++)
			ck_assert_int_eq(atoi((const char *)reply->lines[i]->text.data),
					(int)next++);
		memcpy(cursor, reply->next_cursor.data, sizeof(cursor));
		request.cursor.data = cursor;
		request.cursor.len = sizeof(cursor);
		call_done(&call);
	}
}
END_TEST

START_TEST(a_poll_waits_for_news_and_gives_up_when_its_caller_is_gone)
{
	Sparkbus__WatchEventsRequest request = SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
	struct sb_call now, news, gone;
	Sparkbus__WatchEventsReply *reply;

	ask(&now, SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &request.base);
	ck_assert(now.over); /* "from now on" gives a cursor at once */
	request.cursor = ((Sparkbus__WatchEventsReply *)now.answer)->next_cursor;
	request.wait_ms = 50000;
	ask(&news, SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &request.base);
	ask(&gone, SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &request.base);
	settle();
	ck_assert(!news.over && !gone.over);
	gone.gone(gone.gone_ctx, &gone);
	sb_events_add(agent.events, "test", NULL, -1, NULL, "hello");
	until(news.over);
	reply = (Sparkbus__WatchEventsReply *)news.answer;
	ck_assert_uint_eq(reply->n_events, 1);
	ck_assert_str_eq(reply->events[0]->text, "hello");
	ck_assert(!gone.over);
	call_done(&news);
	call_done(&now);
}
END_TEST

START_TEST(a_poll_without_news_is_answered_in_time)
{
	Sparkbus__WatchEventsRequest request = SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
	struct sb_call now, later;

	ask(&now, SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &request.base);
	request.cursor = ((Sparkbus__WatchEventsReply *)now.answer)->next_cursor;
	request.wait_ms = 50;
	ask(&later, SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &request.base);
	ck_assert(!later.over);
	until(later.over);
	ck_assert_uint_eq(((Sparkbus__WatchEventsReply *)later.answer)->n_events, 0);
	call_done(&now);
	call_done(&later);
}
END_TEST

/* "0 = answer at once" (bus.proto), whatever the version is. */
START_TEST(a_watcher_that_knows_nothing_is_answered_at_once)
{
	Sparkbus__LaunchPlan plan = make_plan(2);
	Sparkbus__WatchRankRequest request = SPARKBUS__WATCH_RANK_REQUEST__INIT;
	struct sb_call first, second;

	settle();
	ck_assert(prepare_for(1, &plan, 0).leased);
	agent.jobs = nodes[1].jobs;
	request.job = (char *)JOB;
	request.launch_unix_ms = LAUNCH;
	request.wait_ms = 100;
	ask(&first, SPARKBUS__REQUEST__BODY_WATCH_RANK, &request.base);
	ck_assert(first.over && !first.failed);
	request.after_version = ((Sparkbus__RankStatus *)first.answer)->version;
	ck_assert_uint_gt(request.after_version, 0);
	ask(&second, SPARKBUS__REQUEST__BODY_WATCH_RANK, &request.base);
	ck_assert(!second.over);
	until(second.over);
	call_done(&first);
	call_done(&second);
}
END_TEST

START_TEST(one_pull_serves_all_who_ask_with_the_same_key)
{
	Sparkbus__PullImageRequest request = SPARKBUS__PULL_IMAGE_REQUEST__INIT;
	struct sb_call a, b, c, present;

	request.image = (char *)"new:1";
	fake_engine_delay(nodes[0].engine, FAKE_IMAGE_PULL);
	ask(&a, SPARKBUS__REQUEST__BODY_PULL_IMAGE, &request.base);
	ask(&b, SPARKBUS__REQUEST__BODY_PULL_IMAGE, &request.base);
	request.registry_auth = (char *)"key";
	ask(&c, SPARKBUS__REQUEST__BODY_PULL_IMAGE, &request.base);
	settle();
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_IMAGE_PULL), 2);
	fake_engine_fail_next(nodes[0].engine, FAKE_IMAGE_PULL, SB_E_DENIED, "no");
	fake_engine_release(nodes[0].engine, FAKE_IMAGE_PULL);
	until(a.over && b.over && c.over);
	ck_assert_int_eq(a.failed, -SB_E_DENIED);
	ck_assert_int_eq(b.failed, -SB_E_DENIED);
	ck_assert_int_eq(c.failed, 0);
	ask(&present, SPARKBUS__REQUEST__BODY_PULL_IMAGE, &request.base);
	until(present.over);
	ck_assert(((Sparkbus__PullImageReply *)present.answer)->already_present);
	call_done(&c);
	call_done(&present);
}
END_TEST

START_TEST(a_stop_of_nothing_is_refused)
{
	Sparkbus__StopJobRequest request = SPARKBUS__STOP_JOB_REQUEST__INIT;
	struct sb_call call;

	ask(&call, SPARKBUS__REQUEST__BODY_STOP_JOB, &request.base);
	ck_assert_int_eq(call.failed, -SB_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("verbs");
	TCase *tc = tcase_create("polls");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_checked_fixture(tc, agent_setup, agent_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, no_line_is_missing_between_two_replies);
	tcase_add_test(tc, a_poll_waits_for_news_and_gives_up_when_its_caller_is_gone);
	tcase_add_test(tc, a_poll_without_news_is_answered_in_time);
	tcase_add_test(tc, a_watcher_that_knows_nothing_is_answered_at_once);
	tcase_add_test(tc, one_pull_serves_all_who_ask_with_the_same_key);
	tcase_add_test(tc, a_stop_of_nothing_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
