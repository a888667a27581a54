/* test_jobs.c - the life of jobs on two nodes, and what becomes of it when something goes wrong.
 * The law that every restart test looks for: READY, or gone without a rest. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "jobs_support.h"

static Sparkbus__LaunchPlan plan;

static void commit_again(void)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, JOB, &err), 0);
}

static bool ended(size_t node)
{
	return sb_job_ended(state_of(node));
}

static void nothing_left(void)
{
	for (size_t i = 0; i < plan.n_ranks; i++) {
		ck_assert_ptr_null(container(i));
		ck_assert_int_eq(rank_of(i), R(GONE));
	}
}

/* --- one rank --- */

START_TEST(a_launch_gets_ready_and_a_stop_shows_that_it_is_gone)
{
	struct stopped s;

	plan = make_plan(1);
	launch_ready(&plan);
	ck_assert_int_eq(container(0)->state, SB_CONTAINER_RUNNING);
	ck_assert_uint_gt(status_of(0)->ready_unix_ms, 0);
	ck_assert_str_eq(status_of(0)->reason, "");
	commit_again();
	settle();
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_CREATE), 1);
	s = stop_at(0);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	ck_assert_ptr_nonnull(strstr(s.observed, "gone from the engine"));
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	nothing_left();
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE); /* again is fine */
	ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, JOB, NULL), -SB_E_INVALID);
}
END_TEST

START_TEST(a_create_that_fails_ends_the_job_and_says_why)
{
	plan = make_plan(1);
	prepare_all(&plan);
	fake_engine_image(nodes[0].engine, IMAGE, false);
	commit_again();
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "no such image"));
	nothing_left();
}
END_TEST

START_TEST(a_start_that_fails_leaves_no_container)
{
	plan = make_plan(1);
	fake_engine_fail_next(nodes[0].engine, FAKE_START, SB_E_INVALID, "no such device");
	launch(&plan);
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "no such device"));
	nothing_left();
}
END_TEST

START_TEST(anothers_container_is_never_removed)
{
	struct prepared p;

	plan = make_plan(1);
	prepare_all(&plan);
	fake_engine_foreign(nodes[0].engine, nodes[0].container, "theirs");
	commit_again();
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "taken"));
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	ck_assert_int_eq(container(0)->state, SB_CONTAINER_RUNNING);
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_STOP), 0);
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_REMOVE), 0);
	p = prepare_for(0, &plan, 0);
	ck_assert(!p.leased);
	ck_assert_int_eq(p.first, SPARKBUS__PROBLEM_KIND__PROBLEM_NAME);
}
END_TEST

START_TEST(an_engine_that_is_away_makes_a_stop_unknown)
{
	struct stopped s;

	plan = make_plan(1);
	launch_ready(&plan);
	fake_engine_fail_next(nodes[0].engine, FAKE_INSPECT, SB_E_UNAVAILABLE, "engine away");
	s = stop_at(0);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_UNKNOWN);
	ck_assert(!s.gone);
	until(ended(0)); /* the leader asks its own rank again, and now the engine is there */
	until(!container(0));
	until(rank_of(0) == R(GONE));
}
END_TEST

START_TEST(a_stop_that_the_engine_does_not_obey_ends)
{
	struct stopped s;

	plan = make_plan(1);
	launch_ready(&plan);
	fake_engine_fail_next(nodes[0].engine, FAKE_REMOVE, SB_E_INTERNAL, "device busy");
	s = stop_at(0);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_FAILED);
	ck_assert(!s.gone);
	until(!container(0));
	until(ended(0));
	until(rank_of(0) == R(GONE));
	nothing_left();
}
END_TEST

START_TEST(a_rank_that_died_is_removed_and_its_last_words_are_kept)
{
	uint64_t now_ns;

	plan = make_plan(1);
	launch_ready(&plan);
	now_ns = sb_now_unix_ms() * 1000000;
	fake_engine_log(nodes[0].engine, nodes[0].container, 2, now_ns, "CUDA error: \x01\xff");
	fake_engine_log(nodes[0].engine, nodes[0].container, 2, now_ns + 1, "last words");
	fake_engine_exit(nodes[0].engine, nodes[0].container, 134);
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "SIGABRT"));
	ck_assert_uint_eq(status_of(0)->ranks[0]->n_log_lines, 2);
	ck_assert_str_eq(status_of(0)->ranks[0]->log_lines[1], "last words");
	ck_assert_int_eq(status_of(0)->ranks[0]->exit_code, 134);
	nothing_left();
}
END_TEST

/* The look that the "die" event asked for fails: the end must be found all the same. */
START_TEST(an_end_is_found_though_the_engine_did_not_answer)
{
	plan = make_plan(1);
	launch_ready(&plan);
	fake_engine_fail_next(nodes[0].engine, FAKE_INSPECT, SB_E_TIMEOUT, "too slow");
	fake_engine_exit(nodes[0].engine, nodes[0].container, 1);
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	nothing_left();
}
END_TEST

/* The inspect of the start was answered before the end, and delivered after it. */
START_TEST(an_end_during_the_start_is_not_missed)
{
	plan = make_plan(1);
	prepare_all(&plan);
	fake_engine_delay(nodes[0].engine, FAKE_INSPECT);
	commit_again();
	until(container(0) && container(0)->state == SB_CONTAINER_RUNNING);
	settle();
	fake_engine_exit(nodes[0].engine, nodes[0].container, 3);
	settle();
	fake_engine_release(nodes[0].engine, FAKE_INSPECT);
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(FAILED));
	nothing_left();
}
END_TEST

START_TEST(a_log_that_breaks_off_is_taken_up_again)
{
	struct sb_err lost = SB_ERR_INIT;
	struct sb_logring *ring;
	uint32_t rank;
	bool end;

	plan = make_plan(1);
	launch_ready(&plan);
	sb_err_set(&lost, SB_E_UNAVAILABLE, "broken");
	settle();
	fake_engine_hang_up(nodes[0].engine, &lost);
	settle();
	fake_engine_log(nodes[0].engine, nodes[0].container, 1, sb_now_unix_ms() * 1000000, "more");
	ck_assert_int_eq(sb_jobs_log(nodes[0].jobs, JOB, &ring, &rank, &end, NULL), 0);
	until(sb_logring_last_ns(ring, 1) > 0);
	ck_assert(!end);
}
END_TEST

START_TEST(a_stop_while_the_container_is_made_leaves_nothing)
{
	struct stopped s = { 0 };

	plan = make_plan(1);
	prepare_all(&plan);
	fake_engine_delay(nodes[0].engine, FAKE_CREATE);
	commit_again();
	settle();
	sb_jobs_stop(nodes[0].jobs, JOB, -1, on_stopped, &s);
	settle();
	/* The engine makes what it was asked for, whether somebody listens or not. */
	fake_engine_release(nodes[0].engine, FAKE_CREATE);
	until(s.done && ended(0));
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	ck_assert_int_eq(state_of(0), J(STOPPED));
	ck_assert_str_eq(status_of(0)->reason, "stopped by an operator");
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_START), 0);
	nothing_left();
}
END_TEST

START_TEST(a_prepared_job_can_be_stopped)
{
	plan = make_plan(2);
	prepare_all(&plan);
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	until(ended(0) && ended(1));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	ck_assert_int_eq(state_of(1), J(STOPPED));
	ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, JOB, NULL), -SB_E_INVALID);
}
END_TEST

START_TEST(a_failures_reason_outlives_a_later_stop)
{
	plan = make_plan(1);
	launch_ready(&plan);
	fake_engine_exit(nodes[0].engine, nodes[0].container, 7);
	until(ended(0));
	stop_at(0);
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "status 7"));
}
END_TEST

START_TEST(a_stop_of_an_unknown_job_removes_what_carries_its_label)
{
	struct stopped s;

	plan = make_plan(1);
	launch_ready(&plan);
	agent_down(&nodes[0]);
	ck_assert_int_eq(sb_store_remove(nodes[0].store, JOB, NULL), 0);
	agent_up(&nodes[0]);
	settle();
	fake_engine_foreign(nodes[0].engine, "theirs", "x");
	s = stop_at(0);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	ck_assert_ptr_null(container(0));
	ck_assert_ptr_nonnull(fake_engine_find(nodes[0].engine, "theirs"));
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	fake_engine_fail_next(nodes[0].engine, FAKE_LIST, SB_E_UNAVAILABLE, "away");
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_UNKNOWN);
}
END_TEST

/* --- leases and records --- */

START_TEST(a_lease_runs_out)
{
	plan = make_plan(1);
	settle();
	ck_assert(prepare_for(0, &plan, 1).leased);
	until(!status_of(0));
	ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, JOB, NULL), -SB_E_NOT_FOUND);
}
END_TEST

START_TEST(a_lease_that_is_not_used_gives_back_what_was_before)
{
	bool released = false;

	plan = make_plan(1);
	launch_ready(&plan);
	fake_engine_exit(nodes[0].engine, nodes[0].container, 7);
	until(ended(0));
	plan.created_unix_ms++;
	ck_assert(prepare_for(0, &plan, 0).leased);
	ck_assert_int_eq(state_of(0), J(PREPARED));
	ck_assert_int_eq(sb_jobs_release(nodes[0].jobs, JOB, &released, NULL), 0);
	ck_assert(released);
	ck_assert_int_eq(state_of(0), J(FAILED));
	agent_restart(&nodes[0]);
	ck_assert_int_eq(state_of(0), J(FAILED));
}
END_TEST

START_TEST(a_job_is_launched_again_though_no_ended_one_is_kept)
{
	plan = make_plan(1);
	nodes[0].ended_kept = 0;
	agent_restart(&nodes[0]);
	for (int i = 0; i < 3; i++) {
		plan.created_unix_ms++;
		launch_ready(&plan);
		stop_at(0);
		until(ended(0));
	}
}
END_TEST

START_TEST(ended_jobs_are_kept_within_the_bound)
{
	const Sparkbus__JobStatus *list[16];
	char name[32], dir[600];

	plan = make_plan(1);
	nodes[0].ended_kept = 2;
	agent_restart(&nodes[0]);
	settle();
	plan.job = name;
	for (int i = 0; i < 5; i++) {
		struct stopped s = { 0 };

		snprintf(name, sizeof(name), "job-%d", i);
		plan.created_unix_ms++;
		ck_assert(prepare_for(0, &plan, 0).leased);
		ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, name, NULL), 0);
		until(sb_jobs_status(nodes[0].jobs, name)->state == J(READY));
		sb_jobs_stop(nodes[0].jobs, name, -1, on_stopped, &s);
		until(s.done && sb_job_ended(sb_jobs_status(nodes[0].jobs, name)->state));
	}
	ck_assert_uint_le(sb_jobs_list(nodes[0].jobs, false, list, 16), 3);
	ck_assert_str_eq(list[0]->job, "job-4");
	snprintf(dir, sizeof(dir), "%s/logs/job-0", nodes[0].dir);
	ck_assert_int_ne(access(dir, F_OK), 0);
}
END_TEST

START_TEST(a_record_without_sense_is_set_aside)
{
	static const uint8_t junk[] = { 0xff, 0xff, 0xff };
	Sparkbus__JobRecord rec = SPARKBUS__JOB_RECORD__INIT;
	Sparkbus__JobStatus st = SPARKBUS__JOB_STATUS__INIT;
	Sparkbus__RankStatus own = SPARKBUS__RANK_STATUS__INIT;
	uint8_t *data;
	size_t len;

	plan = make_plan(2);
	rec.plan = &plan;
	rec.status = &st;
	rec.own = &own;
	st.state = J(READY);
	rec.committed = true; /* the leader's, and without a status for each rank */
	agent_down(&nodes[0]);
	ck_assert_int_eq(sb_wire_pack(&rec.base, &data, &len, NULL), 0);
	ck_assert_int_eq(sb_store_put(nodes[0].store, JOB, data, len, NULL), 0);
	ck_assert_int_eq(sb_store_put(nodes[0].store, "junk", junk, sizeof(junk), NULL), 0);
	free(data);
	agent_up(&nodes[0]);
	settle();
	ck_assert_ptr_null(status_of(0));
	agent_restart(&nodes[0]);
	ck_assert_ptr_null(status_of(0));
}
END_TEST

START_TEST(a_plan_that_numbers_its_ranks_wrongly_is_refused)
{
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;

	plan = make_plan(2);
	request.plan = &plan;
	specs[1].rank = 4000000000u;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_INVALID);
	specs[1].rank = 1;
	specs[1].node = specs[0].node;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_INVALID);
}
END_TEST

START_TEST(a_commit_that_cannot_be_written_is_refused)
{
	struct sb_err err = SB_ERR_INIT;
	int rc;

	plan = make_plan(1);
	prepare_all(&plan);
	testdir_limit_files(1);
	rc = sb_jobs_commit(nodes[0].jobs, JOB, &err);
	testdir_limit_files(RLIM_INFINITY);
	ck_assert_int_lt(rc, 0);
	ck_assert_int_eq(state_of(0), J(PREPARED));
	settle();
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_CREATE), 0);
	commit_again();
	until(state_of(0) == J(READY));
}
END_TEST

/* --- an engine that is not there yet --- */

START_TEST(a_list_that_failed_is_asked_for_again)
{
	plan = make_plan(1);
	fake_engine_fail_next(nodes[0].engine, FAKE_LIST, SB_E_TIMEOUT, "too slow");
	launch_ready(&plan);
}
END_TEST

/* --- two ranks --- */

START_TEST(a_stage_waits_for_its_gate)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	plan = make_plan(2);
	specs[0].gate_port = ntohs(sa.sin_port);
	specs[1].stage = 3000000000u; /* the next one, whatever its number */
	close(fd);
	launch(&plan);
	until(rank_of(0) == R(RUNNING));
	settle();
	ck_assert_ptr_null(container(1));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	until(state_of(0) == J(READY));
	ck_assert_int_eq(container(1)->state, SB_CONTAINER_RUNNING);
	ck_assert_uint_eq(fake_engine_count(nodes[1].engine, FAKE_CREATE), 1);
	close(fd);
}
END_TEST

START_TEST(a_gate_that_stays_closed_ends_the_gang)
{
	plan = make_plan(2);
	specs[0].gate_port = 1;
	specs[0].gate_timeout_ms = 50;
	specs[1].stage = 1;
	launch(&plan);
	until(ended(0) && ended(1));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "did not open port 1"));
	nothing_left();
}
END_TEST

/* The lease of a rank whose turn comes late is shorter than the wait for its turn. */
START_TEST(a_commit_holds_the_leases_of_later_stages)
{
	plan = make_plan(2);
	specs[1].stage = 1;
	settle();
	fake_engine_delay(nodes[0].engine, FAKE_CREATE);
	ck_assert(prepare_for(0, &plan, 0).leased);
	ck_assert(prepare_for(1, &plan, 200).leased);
	commit_again();
	until(state_of(1) == J(STARTING));
	for (uint64_t end = sb_now_boot_ms() + 300; sb_now_boot_ms() < end;)
		sd_event_run(loop, 20000);
	ck_assert_int_eq(state_of(1), J(STARTING));
	fake_engine_release(nodes[0].engine, FAKE_CREATE);
	until(state_of(0) == J(READY));
}
END_TEST

START_TEST(a_death_takes_the_whole_gang)
{
	size_t dead = (size_t)_i % 2;
	bool ready = _i / 2;

	plan = make_plan(2);
	if (!ready) { /* one of them cannot start, so that the job stays STARTING */
		fake_engine_delay(nodes[!dead].engine, FAKE_START);
		launch(&plan);
		until(rank_of(dead) == R(RUNNING));
	} else {
		launch_ready(&plan);
	}
	fake_engine_log(nodes[dead].engine, nodes[dead].container, 2, sb_now_unix_ms() * 1000000,
			"out of memory");
	fake_engine_exit(nodes[dead].engine, nodes[dead].container, 9);
	settle();
	fake_engine_release(nodes[!dead].engine, FAKE_START);
	until(ended(0) && ended(1));
	ck_assert_int_eq(state_of(0), J(FAILED));
	ck_assert_int_eq(state_of(1), J(FAILED));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "died: ended with status 9"));
	ck_assert_uint_eq(status_of(0)->ranks[dead]->n_log_lines, 1);
	ck_assert_str_eq(status_of(0)->ranks[dead]->log_lines[0], "out of memory");
	nothing_left();
}
END_TEST

START_TEST(a_stop_anywhere_ends_the_job_everywhere)
{
	plan = make_plan(2);
	launch_ready(&plan);
	ck_assert_int_eq(stop_at((size_t)_i).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	until(ended(0) && ended(1));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	ck_assert_int_eq(state_of(1), J(STOPPED));
	nothing_left();
}
END_TEST

/* The leader's watch that waits on the other node says READY long after the stop began there. */
START_TEST(a_stop_is_not_undone_by_the_leaders_older_word)
{
	struct stopped s = { 0 };

	plan = make_plan(2);
	launch_ready(&plan);
	settle();
	fake_engine_delay(nodes[1].engine, FAKE_STOP);
	nodes[0].away = true;
	sb_jobs_stop(nodes[1].jobs, JOB, -1, on_stopped, &s);
	settle();
	ck_assert_int_eq(state_of(1), J(STOPPING));
	fake_engine_release(nodes[1].engine, FAKE_STOP);
	until(s.done);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	until(ended(1));
	ck_assert_int_eq(state_of(1), J(STOPPED));
	nodes[0].away = false;
}
END_TEST

START_TEST(a_leader_that_was_away_respects_the_tombstone)
{
	plan = make_plan(2);
	launch_ready(&plan);
	agent_down(&nodes[0]);
	ck_assert_int_eq(stop_at(1).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	ck_assert_int_eq(state_of(1), J(STOPPED));
	agent_up(&nodes[0]);
	until(ended(0));
	ck_assert_int_eq(state_of(0), J(STOPPED));
	nothing_left();
}
END_TEST

START_TEST(a_node_that_is_away_is_owed_its_stop)
{
	struct prepared p;

	plan = make_plan(2);
	launch_ready(&plan);
	nodes[1].away = true;
	break_calls(&nodes[1]);
	ck_assert_int_eq(stop_at(0).outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	until(ended(0));
	ck_assert_int_eq(status_of(0)->ranks[1]->state, R(UNKNOWN));
	ck_assert_int_eq(container(1)->state, SB_CONTAINER_RUNNING);
	plan.created_unix_ms++; /* its place is not free while the old launch may run */
	p = prepare_for(0, &plan, 0);
	ck_assert(!p.leased);
	ck_assert_int_eq(p.first, SPARKBUS__PROBLEM_KIND__PROBLEM_JOB);
	agent_restart(&nodes[0]);
	nodes[1].away = false;
	until(ended(1));
	ck_assert_int_eq(state_of(1), J(STOPPED));
	until(status_of(0)->ranks[1]->state == R(GONE));
	nothing_left();
	ck_assert(prepare_for(0, &plan, 0).leased);
}
END_TEST

static void on_rank(void *ctx, const Sparkbus__RankStatus *status, const struct sb_err *err)
{
	*(int *)ctx = err ? -(int)err->code : 1;
}

START_TEST(commands_of_another_launch_or_from_before_a_stop_are_refused)
{
	Sparkbus__StartRankRequest start = SPARKBUS__START_RANK_REQUEST__INIT;
	Sparkbus__StopRankRequest stop = SPARKBUS__STOP_RANK_REQUEST__INIT;
	struct stopped s = { 0 };
	int answer = 0;

	plan = make_plan(2);
	prepare_all(&plan);
	start.job = stop.job = (char *)JOB;
	start.generation = stop.generation = 2;
	start.launch_unix_ms = LAUNCH - 1;
	ck_assert_int_eq(sb_jobs_start_rank(nodes[1].jobs, &start, on_rank, &answer, NULL),
			-SB_E_NOT_FOUND);
	start.launch_unix_ms = stop.launch_unix_ms = LAUNCH;
	ck_assert_int_eq(sb_jobs_start_rank(nodes[0].jobs, &start, on_rank, &answer, NULL),
			-SB_E_INVALID); /* the leader's own */
	ck_assert_int_eq(sb_jobs_stop_rank(nodes[1].jobs, &stop, on_stopped, &s, NULL), 0);
	until(s.done);
	ck_assert_int_eq(s.outcome, SPARKBUS__OUTCOME__OUTCOME_DONE);
	start.generation = 1;
	ck_assert_int_eq(sb_jobs_start_rank(nodes[1].jobs, &start, on_rank, &answer, NULL),
			-SB_E_INVALID);
	/* The start that the stop overtook. */
	start.generation = 2;
	sb_jobs_start_rank(nodes[1].jobs, &start, on_rank, &answer, NULL);
	settle();
	ck_assert_uint_eq(fake_engine_count(nodes[1].engine, FAKE_CREATE), 0);
}
END_TEST

/* --- restarts of the agent --- */

enum step { PREPARED, BEFORE_CREATE, CREATED, STARTED, READY, STOPPING, STEPS };

static void go_to(enum step step, struct stopped *s)
{
	static const enum fake_op held[STEPS] = { [BEFORE_CREATE] = FAKE_CREATE,
		[CREATED] = FAKE_START,
		[STARTED] = FAKE_INSPECT,
		[STOPPING] = FAKE_STOP };
	const enum fake_op op = held[step];

	prepare_all(&plan);
	if (step == PREPARED)
		return;
	if (step == BEFORE_CREATE || step == CREATED || step == STARTED)
		for (size_t i = 0; i < NODES; i++)
			fake_engine_delay(nodes[i].engine, op);
	commit_again();
	if (step >= READY)
		until(state_of(0) == J(READY));
	if (step == STOPPING) {
		for (size_t i = 0; i < NODES; i++)
			fake_engine_delay(nodes[i].engine, op);
		sb_jobs_stop(nodes[0].jobs, JOB, -1, on_stopped, s);
	}
	settle();
}

START_TEST(a_restart_at_any_step_ends_ready_or_gone)
{
	enum step step = (enum step)(_i / 3);
	int which = _i % 3; /* the leader, the other, both */
	struct stopped s = { 0 };

	plan = make_plan(2);
	go_to(step, &s);
	for (int i = 0; i < 2; i++)
		if (which == i || which == 2)
			agent_down(&nodes[i]);
	for (int op = 0; op < FAKE_OP_COUNT_; op++)
		for (int i = 0; i < 2; i++)
			fake_engine_release(nodes[i].engine, (enum fake_op)op);
	settle();
	for (int i = 0; i < 2; i++)
		if (!nodes[i].jobs)
			agent_up(&nodes[i]);
	if (step == PREPARED)
		commit_again();
	if (step == STOPPING) {
		until(ended(0) && ended(1));
		ck_assert_int_eq(state_of(0), J(STOPPED));
		nothing_left();
		return;
	}
	until(state_of(0) == J(READY));
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(container(i)->state, SB_CONTAINER_RUNNING);
		ck_assert_int_eq(rank_of(i), R(RUNNING));
	}
	fake_engine_exit(nodes[1].engine, nodes[1].container, 1); /* and it is watched */
	until(ended(0) && ended(1));
	nothing_left();
}
END_TEST

START_TEST(a_rank_that_ended_while_its_agent_was_away_is_noticed)
{
	plan = make_plan(2);
	launch_ready(&plan);
	settle();
	agent_down(&nodes[_i]);
	fake_engine_exit(nodes[_i].engine, nodes[_i].container, 5);
	agent_up(&nodes[_i]);
	until(ended(0) && ended(1));
	ck_assert_int_eq(state_of(0), J(FAILED));
	nothing_left();
}
END_TEST

/* A watcher may hold a version that the restarted agent never wrote. */
START_TEST(versions_go_up_over_a_restart)
{
	uint64_t before;

	plan = make_plan(1);
	launch_ready(&plan);
	before = status_of(0)->ranks[0]->version;
	agent_restart(&nodes[0]);
	settle();
	until(state_of(0) == J(READY));
	fake_engine_exit(nodes[0].engine, nodes[0].container, 5);
	until(ended(0));
	ck_assert_uint_gt(status_of(0)->ranks[0]->version, before + 2);
}
END_TEST

static TCase *cases(const char *name)
{
	TCase *tc = tcase_create(name);

	testdir_use(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	return tc;
}

static void add_solo(TCase *tc)
{
	tcase_add_test(tc, a_launch_gets_ready_and_a_stop_shows_that_it_is_gone);
	tcase_add_test(tc, a_create_that_fails_ends_the_job_and_says_why);
	tcase_add_test(tc, a_start_that_fails_leaves_no_container);
	tcase_add_test(tc, anothers_container_is_never_removed);
	tcase_add_test(tc, an_engine_that_is_away_makes_a_stop_unknown);
	tcase_add_test(tc, a_stop_that_the_engine_does_not_obey_ends);
	tcase_add_test(tc, a_rank_that_died_is_removed_and_its_last_words_are_kept);
	tcase_add_test(tc, an_end_is_found_though_the_engine_did_not_answer);
	tcase_add_test(tc, an_end_during_the_start_is_not_missed);
	tcase_add_test(tc, a_log_that_breaks_off_is_taken_up_again);
	tcase_add_test(tc, a_stop_while_the_container_is_made_leaves_nothing);
	tcase_add_test(tc, a_prepared_job_can_be_stopped);
	tcase_add_test(tc, a_failures_reason_outlives_a_later_stop);
	tcase_add_test(tc, a_stop_of_an_unknown_job_removes_what_carries_its_label);
	tcase_add_test(tc, a_list_that_failed_is_asked_for_again);
}

static void add_records(TCase *tc)
{
	tcase_add_test(tc, a_lease_runs_out);
	tcase_add_test(tc, a_lease_that_is_not_used_gives_back_what_was_before);
	tcase_add_test(tc, a_job_is_launched_again_though_no_ended_one_is_kept);
	tcase_add_test(tc, ended_jobs_are_kept_within_the_bound);
	tcase_add_test(tc, a_record_without_sense_is_set_aside);
	tcase_add_test(tc, a_plan_that_numbers_its_ranks_wrongly_is_refused);
	tcase_add_test(tc, a_commit_that_cannot_be_written_is_refused);
}

static void add_gang(TCase *tc)
{
	tcase_add_test(tc, a_stage_waits_for_its_gate);
	tcase_add_test(tc, a_gate_that_stays_closed_ends_the_gang);
	tcase_add_test(tc, a_commit_holds_the_leases_of_later_stages);
	tcase_add_loop_test(tc, a_death_takes_the_whole_gang, 0, 4);
	tcase_add_loop_test(tc, a_stop_anywhere_ends_the_job_everywhere, 0, 2);
	tcase_add_test(tc, a_stop_is_not_undone_by_the_leaders_older_word);
	tcase_add_test(tc, a_leader_that_was_away_respects_the_tombstone);
	tcase_add_test(tc, a_node_that_is_away_is_owed_its_stop);
	tcase_add_test(tc, commands_of_another_launch_or_from_before_a_stop_are_refused);
}

static void add_restarts(TCase *tc)
{
	tcase_add_loop_test(tc, a_restart_at_any_step_ends_ready_or_gone, 0, STEPS * 3);
	tcase_add_loop_test(tc, a_rank_that_ended_while_its_agent_was_away_is_noticed, 0, 2);
	tcase_add_test(tc, versions_go_up_over_a_restart);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*add)(TCase *tc);
	} groups[] = { { "solo", add_solo }, { "records", add_records }, { "gang", add_gang },
		{ "restarts", add_restarts } };
	Suite *suite = suite_create("jobs");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < sb_countof(groups); i++) {
		TCase *tc = cases(groups[i].name);

		groups[i].add(tc);
		suite_add_tcase(suite, tc);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
