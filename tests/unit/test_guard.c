/* The memory guard: what it decides, on figures as a Spark shows them; and that it really kills
 * what it chose, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy.h"
#include "sb_fs.h"
#include "source.h"
#include "testdir.h"

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

static const struct sb_guard_limits spark = { 8 * GIB, 4 * GIB, 2 * GIB };

/* --- policy --- */

static struct guard_state state;
static struct guard_verdict verdict;
static uint64_t now_ms;

static void reset(void)
{
	memset(&state, 0, sizeof(state));
	now_ms = 1000;
}

static void look_more(uint64_t available, uint64_t cached, unsigned stalled, bool dying)
{
	struct guard_sample sample = { .boot_ms = now_ms,
		.total = 121 * GIB,
		.available = available,
		.cached = cached,
		.stalled = stalled };

	guard_step(&state, &spark, &sample, dying, &verdict);
	now_ms += verdict.pause_ms;
}

static void look(uint64_t available)
{
	look_more(available, 0, 0, false);
}

START_TEST(a_calm_node_is_left_alone)
{
	static const unsigned gib[] = { 113, 60, 20, 9, 113 };

	for (size_t i = 0; i < sb_countof(gib); i++) {
		now_ms += 60000; /* slopes of minutes ago mean nothing */
		look(gib[i] * GIB);
		ck_assert_int_eq(verdict.level, SB_GUARD_OK);
		ck_assert(!verdict.entered && !verdict.drop && verdict.stop == GUARD_STOP_NONE);
		ck_assert_uint_eq(verdict.pause_ms, 250);
	}
}
END_TEST

START_TEST(levels_come_one_after_the_other)
{
	static const struct {
		uint64_t mib;
		enum sb_guard_level level;
		enum guard_stop stop;
	} rows[] = {
		{ 9000, SB_GUARD_OK, GUARD_STOP_NONE },
		{ 8000, SB_GUARD_LOW, GUARD_STOP_NONE },
		{ 4000, SB_GUARD_CRITICAL, GUARD_STOP_LOADING },
		{ 2000, SB_GUARD_EMERGENCY, GUARD_STOP_ANY },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		now_ms += 60000;
		look(rows[i].mib * MIB);
		ck_assert_int_eq(verdict.level, rows[i].level);
		ck_assert_int_eq(verdict.entered, i > 0);
		ck_assert_int_eq(verdict.stop, rows[i].stop);
		look(rows[i].mib * MIB);
		ck_assert_msg(!verdict.entered, "a level is entered once");
	}
	now_ms += 60000;
	look(20 * GIB);
	ck_assert(verdict.cleared);
	look(20 * GIB);
	ck_assert(!verdict.cleared);
}
END_TEST

/* A model that loads at 6 GiB/s passes from 6 GiB to nothing in a second: the guard must have acted
 * while there was something left, whatever the moment of its first look. */
START_TEST(a_fall_is_seen_before_the_limit_is_passed)
{
	uint64_t rate = (uint64_t)(_i + 1) * GIB;

	for (uint64_t first = 30 * GIB; first < 31 * GIB; first += 128 * MIB) {
		uint64_t began, left = first;

		reset();
		for (began = now_ms; !verdict.stop; look(left)) {
			uint64_t gone = rate * (now_ms - began) / 1000;

			ck_assert_uint_lt(gone, first);
			left = first - gone;
		}
		/* It acts on what is left when the kill takes effect. */
		ck_assert_uint_gt(left, rate * 250 / 1000);
		ck_assert_uint_lt(left, 4 * GIB + rate);
		memset(&verdict, 0, sizeof(verdict));
	}
}
END_TEST

START_TEST(a_load_that_ends_above_the_limits_is_let_be)
{
	uint64_t left = 100 * GIB;

	while (left > 13 * GIB) { /* 5 GiB/s down to 13 GiB, and then it serves */
		look(left);
		ck_assert_int_eq(verdict.stop, GUARD_STOP_NONE);
		left -= 5 * GIB * verdict.pause_ms / 1000;
	}
	for (int i = 0; i < 100; i++) {
		look(13 * GIB);
		ck_assert_int_eq(verdict.stop, GUARD_STOP_NONE);
	}
	ck_assert_int_eq(verdict.level, SB_GUARD_OK);
}
END_TEST

START_TEST(it_does_not_flap_at_a_limit)
{
	unsigned said = 0;

	for (int i = 0; i < 1000; i++) {
		now_ms += 1000;
		look(8 * GIB + (i % 2 ? 1 : -1) * 64 * (int64_t)MIB);
		said += verdict.entered + verdict.cleared;
	}
	ck_assert_uint_eq(said, 1);
}
END_TEST

START_TEST(short_memory_that_stalls_everything_is_critical)
{
	look_more(6 * GIB, 0, 999, false);
	ck_assert_int_eq(verdict.level, SB_GUARD_LOW);
	look_more(6 * GIB, 0, 1000, false);
	ck_assert_int_eq(verdict.level, SB_GUARD_CRITICAL);
	reset();
	look_more(60 * GIB, 0, 9000, false); /* swapping for another reason: a cgroup's limit */
	ck_assert_int_eq(verdict.level, SB_GUARD_OK);
}
END_TEST

START_TEST(after_a_stop_it_waits_for_the_memory)
{
	unsigned stops = 0;
	uint64_t began;

	look(GIB);
	ck_assert_int_eq(verdict.stop, GUARD_STOP_ANY);
	guard_stopped(&state, now_ms);
	for (began = now_ms; now_ms - began < 9500;) {
		look_more(GIB, 0, 0, true);
		stops += verdict.stop != GUARD_STOP_NONE;
	}
	ck_assert_msg(stops == 0, "the first has not even ended");
	while (now_ms - began < 11000) {
		look_more(GIB, 0, 0, true);
		stops += verdict.stop != GUARD_STOP_NONE;
	}
	ck_assert_msg(stops > 0, "but one that does not die must not hold the guard for ever");
	guard_stopped(&state, now_ms);
	look(GIB);
	ck_assert_int_eq(verdict.stop, GUARD_STOP_NONE);
	now_ms += 250;
	look(GIB);
	ck_assert_msg(verdict.stop == GUARD_STOP_ANY, "it has ended, and that was not enough");
}
END_TEST

START_TEST(the_fall_before_an_end_does_not_count_after_it)
{
	for (uint64_t mib = 12000; mib > 4000; mib -= 300)
		look(mib * MIB);
	ck_assert_int_eq(verdict.stop, GUARD_STOP_ANY);
	guard_stopped(&state, now_ms);
	look(3900 * MIB);
	now_ms += 300;
	look(3900 * MIB);
	ck_assert_msg(verdict.stop != GUARD_STOP_ANY, "it falls no more");
}
END_TEST

START_TEST(page_cache_goes_when_memory_is_low_but_not_all_the_time)
{
	unsigned drops = 0;

	look_more(30 * GIB, 25 * GIB, 0, false);
	ck_assert(!verdict.drop);
	for (uint64_t began = now_ms; now_ms - began < 59000;) {
		look_more(7 * GIB, 4 * GIB, 0, false);
		drops += verdict.drop;
	}
	ck_assert_uint_eq(drops, 1);
	reset();
	look_more(7 * GIB, GIB / 2, 0, false);
	ck_assert_msg(!verdict.drop, "there is nothing worth it");
	look_more(3 * GIB, 3 * GIB, 0, false);
	ck_assert_msg(!verdict.drop, "too late for it");
}
END_TEST

START_TEST(what_cannot_be_read_is_no_reason_to_act)
{
	const struct guard_sample nothing = { .boot_ms = 5000 };

	look(7 * GIB);
	guard_step(&state, &spark, &nothing, false, &verdict);
	ck_assert_int_eq(verdict.level, SB_GUARD_LOW);
	ck_assert(!verdict.entered && !verdict.cleared && !verdict.drop);
	ck_assert_int_eq(verdict.stop, GUARD_STOP_NONE);
}
END_TEST

START_TEST(limits_shrink_with_the_machine)
{
	static const struct sb_guard_limits unset = { 0, 0, 0 }, odd = { MIB, 0, 5 * MIB };
	struct sb_guard_limits l = sb_guard_scale(&unset, 121 * GIB);

	ck_assert_uint_eq(l.warn, 8 * GIB);
	ck_assert_uint_eq(l.critical, 4 * GIB);
	ck_assert_uint_eq(l.emergency, 2 * GIB);
	for (uint64_t total = MIB; total < 1000 * GIB; total = total * 3 / 2) {
		l = sb_guard_scale(&unset, total);
		ck_assert(l.warn >= l.critical && l.critical >= l.emergency);
		ck_assert_uint_le(l.warn, total / 15);
	}
	l = sb_guard_scale(&spark, 10 * GIB);
	ck_assert_msg(l.warn == 8 * GIB, "what was set is kept");
	l = sb_guard_scale(&odd, 121 * GIB);
	ck_assert(l.warn == MIB && l.critical == MIB && l.emergency == MIB);
}
END_TEST

/* --- whom --- */

START_TEST(the_loading_one_goes_first_then_the_least_important)
{
	struct sb_guard_job jobs[] = {
		{ "small", 3, 0, false, 100, 10 * GIB },
		{ "large", 3, 0, false, 90, 70 * GIB },
		{ "dear", 3, 5, false, 300, 90 * GIB },
		{ "loading", 3, 9, true, 400, 1 * GIB },
		{ "not-ours", -1, -9, true, 500, 99 * GIB },
	};

	ck_assert_int_eq(guard_choose(jobs, 5, GUARD_STOP_NONE), -1);
	ck_assert_int_eq(guard_choose(jobs, 5, GUARD_STOP_LOADING), 3);
	ck_assert_int_eq(guard_choose(jobs, 5, GUARD_STOP_ANY), 3);
	ck_assert_int_eq(guard_choose(jobs, 3, GUARD_STOP_LOADING), -1);
	ck_assert_int_eq(guard_choose(jobs, 3, GUARD_STOP_ANY), 1);
	jobs[0].priority = -1;
	ck_assert_int_eq(guard_choose(jobs, 3, GUARD_STOP_ANY), 0);
	jobs[0].priority = 0;
	jobs[0].bytes = jobs[1].bytes = 0;
	ck_assert_int_eq(guard_choose(jobs, 3, GUARD_STOP_ANY), 0); /* the youngest */
	ck_assert_int_eq(guard_choose(jobs, 0, GUARD_STOP_ANY), -1);
	ck_assert_int_eq(guard_choose(jobs + 4, 1, GUARD_STOP_ANY), -1);
}
END_TEST

/* --- texts --- */

START_TEST(texts_of_the_kernel)
{
	static const char *const bad[] = { "", "MemTotal: 5 kB", "MemAvailable: 5 kB",
		"MemTotal: x kB\nMemAvailable: 5 kB", "MemTotal: 0 kB\nMemAvailable: 0 kB",
		"MemTotal: 99999999999999999999999 kB\nMemAvailable: 1 kB",
		"xMemTotal: 5 kB\nMemAvailable: 5 kB", "MemTotal:\nMemAvailable:\n" };
	struct guard_sample s = { 0 };
	uint64_t value = 0;

	ck_assert(guard_parse_meminfo("MemTotal:       127600748 kB\nMemFree: 746728 kB\n"
				      "MemAvailable:   512344 kB\n",
			&s));
	ck_assert_uint_eq(s.total, 127600748ull * 1024);
	ck_assert_uint_eq(s.available, 512344ull * 1024);
	ck_assert_uint_eq(s.cached, 0); /* more is free than available: reserves */
	ck_assert(guard_parse_meminfo(
			"MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\n", &s));
	ck_assert_uint_eq(s.cached, 50 * 1024);
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!guard_parse_meminfo(bad[i], &s), "%s", bad[i]);
	ck_assert(guard_parse_stat(
			"cache 1\ntotal_inactive_file 4096\n", "total_inactive_file", &value));
	ck_assert_uint_eq(value, 4096);
	ck_assert(!guard_parse_stat("inactive_file_x 4096\n", "inactive_file", &value));
	ck_assert_uint_eq(guard_parse_stalled("some avg10=9.00 avg60=1\nfull avg10=12.34 avg60=0"),
			1234);
	ck_assert_uint_eq(guard_parse_stalled("some avg10=9.00\n"), 0);
	ck_assert_uint_eq(guard_parse_stalled("full avg10=x"), 0);
	ck_assert_uint_eq(guard_parse_stalled("full avg10=99999999999999999999"), 0);
	ck_assert_uint_eq(guard_parse_stalled("full avg10=0.5"), 50);
}
END_TEST

static char *in_dir(const char *name)
{
	static char path[2][512];
	static unsigned turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", testdir, name);
	return path[turn];
}

static void put(const char *name, const char *text)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT, 0600);

	/* In place: the guard holds the file open, as it does the kernel's. */
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (int)strlen(text));
	ck_assert_int_eq(ftruncate(fd, (off_t)strlen(text)), 0);
	close(fd);
}

START_TEST(a_cgroup_of_either_kind)
{
	struct guard_source source = GUARD_SOURCE_INIT;
	struct sb_err err = SB_ERR_INIT;
	struct guard_sample s;

	ck_assert_int_eq(guard_source_open(&source, testdir, testdir, &err), -SB_E_NOT_FOUND);
	guard_source_close(&source);
	put("memory.max", "2147483648\n");
	put("memory.current", "2000000000\n");
	put("memory.stat", "anon 1\ninactive_file 500000000\n");
	put("memory.pressure", "full avg10=1.50 avg60=0\n");
	ck_assert_int_eq(guard_source_open(&source, testdir, testdir, &err), 0);
	ck_assert(guard_source_read(&source, &s));
	ck_assert_uint_eq(s.total, 2147483648u);
	ck_assert_uint_eq(s.available, 2147483648u - 1500000000u);
	ck_assert_uint_eq(s.cached, 500000000u);
	ck_assert_uint_eq(s.stalled, 150);
	put("memory.max", "max\n");
	ck_assert(!guard_source_read(&source, &s));
	ck_assert_uint_eq(s.total, 0);
	guard_source_close(&source);
	ck_assert_int_eq(unlink(in_dir("memory.current")), 0);
	put("memory.usage_in_bytes", "300\n");
	put("memory.limit_in_bytes", "200\n");
	put("memory.stat", "total_inactive_file 50\n");
	ck_assert_int_eq(guard_source_open(&source, testdir, testdir, &err), 0);
	ck_assert(guard_source_read(&source, &s));
	ck_assert_uint_eq(s.available, 0); /* more in use than allowed */
	guard_source_close(&source);
}
END_TEST

/* --- the thread, with real processes --- */

static sd_event *loop;
static struct sb_mailbox *box;
static struct sb_guard *guard;
static struct sb_guard_report seen[64];
static size_t n_seen;

static void on_report(void *ctx, const struct sb_guard_report *report)
{
	if (n_seen < sb_countof(seen))
		seen[n_seen++] = *report;
}

static const struct sb_guard_report *report_of(enum sb_guard_kind kind)
{
	for (size_t i = 0; i < n_seen; i++)
		if (seen[i].kind == kind)
			return &seen[i];
	return NULL;
}

static void meminfo(unsigned available_mib)
{
	char text[128];

	snprintf(text, sizeof(text), "MemTotal: %u kB\nMemFree: 1 kB\nMemAvailable: %u kB\n",
			121 << 20, available_mib << 10);
	put("meminfo", text);
}

static void thread_setup(void)
{
	n_seen = 0;
	ck_assert_int_ge(sd_event_new(&loop), 0);
	ck_assert_int_eq(sb_mailbox_new(loop, &box, NULL), 0);
}

static void thread_teardown(void)
{
	sb_guard_free(guard);
	guard = NULL;
	sb_mailbox_free(box);
	sd_event_unref(loop);
}

static void start_guard(enum sb_guard_mode mode)
{
	const struct sb_guard_setup setup = { mode, spark, testdir, "" };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_guard_new(box, &setup, on_report, NULL, &guard, &err) == 0, "%s",
			err.text);
}

static pid_t sleeper(int *ret_pidfd)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	*ret_pidfd = pidfd_open(pid, 0);
	ck_assert_int_ge(*ret_pidfd, 0);
	return pid;
}

static void until_seen(enum sb_guard_kind kind)
{
	while (!report_of(kind))
		ck_assert_int_ge(sd_event_run(loop, 60000000), 0);
}

static bool lives(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

START_TEST(it_kills_the_one_it_chose)
{
	struct sb_guard_job jobs[] = { { "serving", -1, 0, false, 10, 50 * GIB },
		{ "loading", -1, 0, true, 20, 0 } };
	pid_t serving = sleeper(&jobs[0].pidfd), loading = sleeper(&jobs[1].pidfd);
	struct sb_guard_limits limits;
	struct sb_guard_report now;
	char text[200];
	int status;

	meminfo(3000);
	start_guard(SB_GUARD_ACT);
	until_seen(SB_GUARD_WARNED);
	ck_assert(lives(serving) && lives(loading));
	sb_guard_set_jobs(guard, jobs, 2);
	close(jobs[0].pidfd); /* it has its own */
	close(jobs[1].pidfd);
	ck_assert_int_eq(waitpid(loading, &status, 0), loading);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	until_seen(SB_GUARD_STOPPED);
	ck_assert_str_eq(report_of(SB_GUARD_STOPPED)->job, "loading");
	sb_guard_text(report_of(SB_GUARD_STOPPED), text, sizeof(text));
	ck_assert_msg(strstr(text, "2.93 of 121.0 GiB available, limit 4.00 GiB (critical)"), "%s",
			text);
	ck_assert(lives(serving));
	sb_guard_now(guard, &now, &limits);
	ck_assert_uint_eq(limits.emergency, 2 * GIB);
	n_seen = 0;
	meminfo(30000);
	until_seen(SB_GUARD_CLEARED);
	ck_assert(lives(serving));
	meminfo(1000);
	ck_assert_int_eq(waitpid(serving, &status, 0), serving);
	n_seen = 0;
	until_seen(SB_GUARD_HELPLESS);
}
END_TEST

START_TEST(one_that_only_warns_does_not_act)
{
	struct sb_guard_job job = { "loading", -1, 0, true, 20, 0 };
	pid_t loading = sleeper(&job.pidfd);

	meminfo(50000);
	start_guard(SB_GUARD_WARN);
	sb_guard_set_jobs(guard, &job, 1);
	meminfo(1000);
	until_seen(SB_GUARD_WARNED);
	meminfo(50000);
	until_seen(SB_GUARD_CLEARED);
	ck_assert(!report_of(SB_GUARD_STOPPED) && !report_of(SB_GUARD_DROP));
	ck_assert(lives(loading));
	kill(loading, SIGKILL);
	waitpid(loading, NULL, 0);
	close(job.pidfd);
}
END_TEST

START_TEST(off_is_nothing_and_nonsense_is_refused)
{
	struct sb_guard_setup setup = { SB_GUARD_OFF, spark, testdir, "" };
	struct sb_guard_limits limits;
	struct sb_guard_report now;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_guard_new(box, &setup, on_report, NULL, &guard, &err), 0);
	ck_assert_ptr_null(guard);
	sb_guard_set_jobs(guard, NULL, 0);
	sb_guard_now(guard, &now, &limits);
	ck_assert_uint_eq(now.total, 0);
	setup.mode = SB_GUARD_ACT;
	setup.proc_root = "/nonexistent";
	ck_assert_int_lt(sb_guard_new(box, &setup, on_report, NULL, &guard, &err), 0);
	setup.proc_root = testdir;
	put("meminfo", "MemTotal: 5 kB\n");
	ck_assert_int_lt(sb_guard_new(box, &setup, on_report, NULL, &guard, &err), 0);
	ck_assert_msg(strstr(err.text, "MemAvailable"), "%s", err.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("guard");
	TCase *c = tcase_create("policy"), *t = tcase_create("thread");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, reset, NULL);
	tcase_add_test(c, a_calm_node_is_left_alone);
	tcase_add_test(c, levels_come_one_after_the_other);
	tcase_add_loop_test(c, a_fall_is_seen_before_the_limit_is_passed, 0, 8);
	tcase_add_test(c, a_load_that_ends_above_the_limits_is_let_be);
	tcase_add_test(c, it_does_not_flap_at_a_limit);
	tcase_add_test(c, short_memory_that_stalls_everything_is_critical);
	tcase_add_test(c, after_a_stop_it_waits_for_the_memory);
	tcase_add_test(c, the_fall_before_an_end_does_not_count_after_it);
	tcase_add_test(c, page_cache_goes_when_memory_is_low_but_not_all_the_time);
	tcase_add_test(c, what_cannot_be_read_is_no_reason_to_act);
	tcase_add_test(c, limits_shrink_with_the_machine);
	tcase_add_test(c, the_loading_one_goes_first_then_the_least_important);
	tcase_add_test(c, texts_of_the_kernel);
	suite_add_tcase(s, c);
	testdir_use(t);
	tcase_add_checked_fixture(t, thread_setup, thread_teardown);
	tcase_add_test(t, a_cgroup_of_either_kind);
	tcase_add_test(t, it_kills_the_one_it_chose);
	tcase_add_test(t, one_that_only_warns_does_not_act);
	tcase_add_test(t, off_is_nothing_and_nonsense_is_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
