/* Is a READY engine alive? What it says at /metrics, and what follows from it. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_watch.h"

/* --- /metrics, as vLLM 0.11, SGLang 0.5 and llama.cpp write it --- */

static const char vllm[] =
		"# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
		"# TYPE vllm:num_requests_running gauge\n"
		"vllm:num_requests_running{engine=\"0\",model_name=\"a {odd\\\"} name\"} 2.0\n"
		"vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 1.0\n"
		"vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 0.0\n"
		"vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.25\n"
		"vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.75\n"
		"vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"} 1.234567e+06\n"
		"vllm:generation_tokens_created{engine=\"0\"} 1.7e+09\n"
		"vllm:prompt_tokens_total{engine=\"0\",model_name=\"m\"} 400.0 1700000000000\n";
static const char sglang[] = "sglang:num_running_reqs{model_name=\"m\",tp_rank=\"0\"} 3.0\n"
			     "sglang:num_queue_reqs{model_name=\"m\"} 4.0\n"
			     "sglang:token_usage{model_name=\"m\"} 0.5\n"
			     "sglang:generation_tokens_total{model_name=\"m\"} 77.0";
static const char llama[] = "llamacpp:requests_processing 1\r\nllamacpp:requests_deferred 0\r\n"
			    "llamacpp:tokens_predicted_total 99\r\n";

START_TEST(engines_tell_of_their_work)
{
	struct sb_load l;

	sb_metrics_parse(vllm, strlen(vllm), &l);
	ck_assert(l.has_running && l.has_waiting && l.has_generated && l.has_prompt && l.has_kv);
	ck_assert_double_eq(l.running, 3); /* of both engines behind the door */
	ck_assert_double_eq(l.waiting, 0);
	ck_assert_double_eq(l.kv, 0.75);
	ck_assert_double_eq(l.generated, 1234567);
	ck_assert_double_eq(l.prompt, 400);
	sb_metrics_parse(sglang, strlen(sglang), &l);
	ck_assert(!l.has_prompt);
	ck_assert_double_eq(l.running + l.waiting + l.generated, 84);
	sb_metrics_parse(llama, strlen(llama), &l);
	ck_assert(l.has_running && l.has_waiting && l.has_generated && !l.has_kv);
	ck_assert_double_eq(l.generated, 99);
}
END_TEST

static const char *const hostile[] = { "", "\n\n", "vllm:num_requests_running",
	"vllm:num_requests_running ", "vllm:num_requests_running{",
	"vllm:num_requests_running{a=\"} 5", "vllm:num_requests_running NaN",
	"vllm:num_requests_running -1", "vllm:num_requests_running inf",
	"vllm:num_requests_running 5x", "xvllm:num_requests_running 5",
	"vllm:num_requests_running_total 5", "vllm:num_requests_running{a=\"\\",
	"sglang:token_usage 9999999999999999999999999999999999999999999999999999999999999999" };

START_TEST(what_is_no_number_is_absent)
{
	size_t len = strlen(hostile[_i]);
	char *exact = malloc(len + 1); /* nothing behind its end for a read too far */
	struct sb_load l;

	memcpy(exact, hostile[_i], len + 1);
	sb_metrics_parse(exact, len, &l);
	ck_assert(!l.has_running && !l.has_waiting && !l.has_generated && !l.has_kv);
	free(exact);
}
END_TEST

/* --- the judgement --- */

static const struct sb_watch_times minute = { 60000, 60000 };
static struct sb_watch_state state;
static uint64_t now_ms;

static void setup(void)
{
	memset(&state, 0, sizeof(state));
	now_ms = 1000;
}

static enum sb_watch_verdict tick(double running, double generated)
{
	struct sb_load load = { .has_running = true,
		.running = running,
		.has_generated = generated >= 0,
		.generated = generated };

	now_ms += 5000;
	return sb_watch_step(&state, &minute, &load, now_ms);
}

START_TEST(tokens_that_come_are_proof_enough)
{
	double tokens = 10;

	ck_assert_int_eq(tick(1, tokens), SB_WATCH_NOTHING);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(tick(1, tokens += 7), SB_WATCH_LIVES);
}
END_TEST

START_TEST(requests_without_tokens_are_asked_about_after_their_time)
{
	unsigned silent = 0;

	tick(1, 10);
	while (tick(3, 10) == SB_WATCH_NOTHING)
		silent++;
	ck_assert_uint_ge(silent, 11); /* 60 s of 5 s each */
	ck_assert_uint_le(silent, 12);
	ck_assert_msg(tick(3, 10) == SB_WATCH_ASK, "and again until it is known");
	ck_assert_int_eq(tick(3, 11), SB_WATCH_LIVES);
	ck_assert_int_eq(tick(3, 11), SB_WATCH_NOTHING);
}
END_TEST

START_TEST(a_request_that_has_just_begun_is_given_its_time)
{
	for (int i = 0; i < 11; i++)
		tick(0, 10); /* idle: the counter stands still, and rightly so */
	for (int i = 0; i < 11; i++)
		ck_assert_int_eq(tick(1, 10), SB_WATCH_NOTHING);
}
END_TEST

START_TEST(an_idle_engine_is_asked_now_and_then)
{
	unsigned asked = 0;

	for (int i = 0; i < 120; i++)
		if (tick(0, 10) == SB_WATCH_ASK) {
			asked++;
			sb_watch_proved(&state, now_ms);
		}
	ck_assert_uint_ge(asked, 9); /* ten minutes */
	ck_assert_uint_le(asked, 10);
}
END_TEST

START_TEST(one_that_tells_nothing_is_asked_too)
{
	unsigned asked = 0;

	for (int i = 0; i < 25; i++, now_ms += 5000)
		if (sb_watch_step(&state, &minute, NULL, now_ms) == SB_WATCH_ASK) {
			asked++;
			sb_watch_proved(&state, now_ms);
		}
	ck_assert_uint_eq(asked, 2);
	for (int i = 0; i < 13; i++)
		asked += tick(1, -1) == SB_WATCH_ASK; /* it counts requests and no tokens */
	ck_assert_uint_ge(asked, 3);
}
END_TEST

START_TEST(an_engine_started_anew_counts_from_nothing)
{
	tick(1, 5000);
	ck_assert_int_eq(tick(1, 3), SB_WATCH_NOTHING);
	ck_assert_int_eq(tick(1, 4), SB_WATCH_LIVES);
}
END_TEST

START_TEST(never_is_never)
{
	static const struct sb_watch_times never = { 0, 0 };
	struct sb_load load = { .has_running = true, .running = 5, .has_generated = true };

	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(sb_watch_step(&state, &never, i % 2 ? &load : NULL,
						 now_ms += 60000),
				SB_WATCH_NOTHING);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("watch");
	TCase *tc = tcase_create("watch");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, engines_tell_of_their_work);
	tcase_add_loop_test(tc, what_is_no_number_is_absent, 0, sb_countof(hostile));
	tcase_add_test(tc, tokens_that_come_are_proof_enough);
	tcase_add_test(tc, requests_without_tokens_are_asked_about_after_their_time);
	tcase_add_test(tc, a_request_that_has_just_begun_is_given_its_time);
	tcase_add_test(tc, an_idle_engine_is_asked_now_and_then);
	tcase_add_test(tc, one_that_tells_nothing_is_asked_too);
	tcase_add_test(tc, an_engine_started_anew_counts_from_nothing);
	tcase_add_test(tc, never_is_never);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
