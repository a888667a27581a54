/* test_post.c - post_exec: after READY and not before, one after the other, and what is said of an
 * end that was not seen. */
#include "jobs_support.h"

static Sparkbus__LaunchPlan plan;
static Sparkbus__Hook hooks[2];
static Sparkbus__Hook *list[] = { &hooks[0], &hooks[1] };

static void make(size_t n)
{
	plan = make_plan(2);
	for (size_t i = 0; i < 2; i++) {
		sparkbus__hook__init(&hooks[i]);
		hooks[i].label = (char *)(i ? "post_exec[1]" : "post_exec[0]");
		hooks[i].command = (char *)(i ? "second" : "first {cache_dir}");
	}
	plan.post_exec = list;
	plan.n_post_exec = n;
}

static const Sparkbus__PostExec *post(void)
{
	return status_of(0)->post;
}

static unsigned execs(size_t node)
{
	return fake_engine_count(nodes[node].engine, FAKE_EXEC);
}

START_TEST(hooks_run_in_the_heads_container_one_after_the_other)
{
	char want[512];

	make(2);
	fake_engine_exec(nodes[0].engine, "said", 0);
	fake_engine_delay(nodes[0].engine, FAKE_EXEC);
	launch_ready(&plan);
	until(execs(0) == 1);
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_RUNNING);
	snprintf(want, sizeof(want), "post_exec first %s", nodes[0].dir);
	ck_assert_ptr_nonnull(strstr(fake_engine_exec_argv(nodes[0].engine), want));
	ck_assert_int_eq(strncmp(fake_engine_exec_argv(nodes[0].engine), "0:0 sh -c ", 10), 0);
	settle();
	ck_assert_uint_eq(execs(0), 1);
	fake_engine_release(nodes[0].engine, FAKE_EXEC);
	until(post()->state != SPARKBUS__POST_STATE__POST_RUNNING);
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_DONE);
	ck_assert_uint_eq(post()->done, 2);
	ck_assert_uint_eq(post()->n_output, 2);
	ck_assert_str_eq(post()->output[0], "said");
	ck_assert_uint_eq(execs(0), 2);
	ck_assert_uint_eq(execs(1), 0);
	ck_assert_int_eq(state_of(0), J(READY));
}
END_TEST

START_TEST(a_hook_that_fails_ends_the_list_and_not_the_job)
{
	make(2);
	fake_engine_exec(nodes[0].engine, "why\x1b", 9);
	launch_ready(&plan);
	until(post()->state != SPARKBUS__POST_STATE__POST_RUNNING);
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_FAILED);
	ck_assert_str_eq(post()->reason, "post_exec[0] ended with status 9");
	ck_assert_str_eq(post()->output[0], "why?");
	settle();
	ck_assert_uint_eq(execs(0), 1);
	ck_assert_int_eq(state_of(0), J(READY));
}
END_TEST

START_TEST(an_engine_that_does_not_answer_leaves_it_unknown)
{
	make(1);
	fake_engine_fail_next(nodes[0].engine, FAKE_EXEC, SB_E_UNAVAILABLE, "hung up");
	launch_ready(&plan);
	until(post()->state != SPARKBUS__POST_STATE__POST_RUNNING);
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(post()->reason, "hung up"));
}
END_TEST

START_TEST(a_restart_of_the_agent_does_not_run_them_again)
{
	make(1);
	fake_engine_delay(nodes[0].engine, FAKE_EXEC);
	launch_ready(&plan);
	until(execs(0) == 1);
	agent_restart(&nodes[0]);
	until(state_of(0) == J(READY) && post()->state != SPARKBUS__POST_STATE__POST_RUNNING);
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(post()->reason, "restarted"));
	settle();
	ck_assert_uint_eq(execs(0), 1);
}
END_TEST

START_TEST(a_restart_after_them_changes_nothing)
{
	make(1);
	launch_ready(&plan);
	until(post()->state == SPARKBUS__POST_STATE__POST_DONE);
	agent_restart(&nodes[0]);
	until(state_of(0) == J(READY));
	settle();
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_DONE);
	ck_assert_uint_eq(execs(0), 1);
}
END_TEST

START_TEST(a_stop_while_one_runs_is_not_held_up)
{
	make(1);
	fake_engine_delay(nodes[0].engine, FAKE_EXEC);
	launch_ready(&plan);
	until(execs(0) == 1);
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	until(sb_job_ended(state_of(0)));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_UNKNOWN);
}
END_TEST

START_TEST(the_leader_stops_the_job_when_the_recipe_says_so)
{
	make(1);
	plan.stop_after_post = true;
	launch(&plan);
	until(sb_job_ended(state_of(0)));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	ck_assert_int_eq(post()->state, SPARKBUS__POST_STATE__POST_DONE);
	ck_assert_ptr_null(container(0));
	until(sb_job_ended(state_of(1)));
	ck_assert_ptr_null(container(1));
}
END_TEST

/* With commands of the workstation, the workstation does; and a hook that failed stops nothing. */
START_TEST(the_leader_does_not_stop_what_is_not_through)
{
	make(1);
	plan.stop_after_post = true;
	if (_i) {
		fake_engine_exec(nodes[0].engine, "", 1);
	} else {
		plan.post_commands = list;
		plan.n_post_commands = 1;
	}
	launch_ready(&plan);
	until(post()->state != SPARKBUS__POST_STATE__POST_RUNNING);
	settle();
	ck_assert_int_eq(state_of(0), J(READY));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("post");
	TCase *tc = tcase_create("post");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, hooks_run_in_the_heads_container_one_after_the_other);
	tcase_add_test(tc, a_hook_that_fails_ends_the_list_and_not_the_job);
	tcase_add_test(tc, an_engine_that_does_not_answer_leaves_it_unknown);
	tcase_add_test(tc, a_restart_of_the_agent_does_not_run_them_again);
	tcase_add_test(tc, a_restart_after_them_changes_nothing);
	tcase_add_test(tc, a_stop_while_one_runs_is_not_held_up);
	tcase_add_test(tc, the_leader_stops_the_job_when_the_recipe_says_so);
	tcase_add_loop_test(tc, the_leader_does_not_stop_what_is_not_through, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
