/* Laws of the job's life cycle over the whole table: every state, every event. */
#include <check.h>

#include "sb_lifecycle.h"

#define STATES   (SPARKBUS__JOB_STATE__JOB_FAILED + 1)
#define S(state) SPARKBUS__JOB_STATE__JOB_##state

START_TEST(an_ended_job_stays_ended)
{
	for (int ev = 0; sb_job_ended(_i) && ev < SB_JOB_EVENT_COUNT_; ev++)
		ck_assert_int_eq(sb_job_next(_i, ev), _i);
}
END_TEST

START_TEST(a_stop_and_everything_gone_ends_every_job)
{
	sb_job_state to = sb_job_next(_i, SB_JOB_EV_STOP);

	if (_i == S(STATE_UNSPECIFIED) || _i == S(RESTARTING) || sb_job_ended(_i))
		return;
	ck_assert_int_eq(to, S(STOPPING));
	ck_assert_int_eq(sb_job_next(to, SB_JOB_EV_GONE_STOPPED), S(STOPPED));
}
END_TEST

START_TEST(a_failure_tears_down_before_it_is_failed)
{
	sb_job_state to = sb_job_next(_i, SB_JOB_EV_FAIL);

	ck_assert(to == S(STOPPING) || to == (sb_job_state)_i);
	ck_assert(to != S(FAILED) || _i == S(FAILED));
}
END_TEST

START_TEST(only_a_proof_of_life_makes_ready)
{
	for (int ev = 0; ev < SB_JOB_EVENT_COUNT_; ev++)
		if (sb_job_next(_i, ev) == S(READY) && _i != S(READY))
			ck_assert_int_eq(ev, SB_JOB_EV_ALIVE);
}
END_TEST

START_TEST(nothing_but_a_commit_leaves_prepared_upwards)
{
	for (int ev = 0; ev < SB_JOB_EVENT_COUNT_; ev++) {
		sb_job_state to = sb_job_next(S(PREPARED), ev);

		if (to == S(STARTING))
			ck_assert_int_eq(ev, SB_JOB_EV_COMMIT);
		else
			ck_assert(to == S(PREPARED) || to == S(STOPPING));
	}
}
END_TEST

/* Repeated and late events are normal: applying one twice is applying it once. */
START_TEST(events_are_idempotent)
{
	for (int ev = 0; ev < SB_JOB_EVENT_COUNT_; ev++) {
		sb_job_state once = sb_job_next(_i, ev);

		if (ev == SB_JOB_EV_STOP || ev == SB_JOB_EV_FAIL || ev == SB_JOB_EV_ALIVE)
			ck_assert_int_eq(sb_job_next(once, ev), once);
	}
}
END_TEST

START_TEST(states_have_names_and_kinds)
{
	ck_assert_str_ne(sb_job_state_name(_i), "");
	ck_assert(!(sb_job_ended(_i) && sb_job_active(_i)));
	ck_assert_str_eq(sb_job_state_name(S(READY)), "READY");
	ck_assert_str_eq(sb_job_state_name(4711), "UNSPECIFIED");
	ck_assert_str_eq(sb_rank_state_name(SPARKBUS__RANK_STATE__RANK_UNKNOWN), "unknown");
	ck_assert_str_eq(sb_rank_state_name(4711), "unspecified");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lifecycle");
	TCase *tc = tcase_create("laws");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, an_ended_job_stays_ended, 0, STATES);
	tcase_add_loop_test(tc, a_stop_and_everything_gone_ends_every_job, 0, STATES);
	tcase_add_loop_test(tc, a_failure_tears_down_before_it_is_failed, 0, STATES);
	tcase_add_loop_test(tc, only_a_proof_of_life_makes_ready, 0, STATES);
	tcase_add_test(tc, nothing_but_a_commit_leaves_prepared_upwards);
	tcase_add_loop_test(tc, events_are_idempotent, 0, STATES);
	tcase_add_loop_test(tc, states_have_names_and_kinds, 0, STATES);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
