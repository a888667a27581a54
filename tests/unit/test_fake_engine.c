/* The fake keeps the contract of struct sb_engine_ops, so that a test on it means something. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fake_engine.h"
#include "sb_strbuf.h"

static sd_event *loop;
static struct fake_engine *fake;
static struct sb_engine *eng;
static struct sb_strbuf told;
static char last_id[64];

static void setup(void)
{
	ck_assert_int_ge(sd_event_new(&loop), 0);
	fake_engine_new(loop, &fake);
	eng = fake_engine_ops(fake);
	told = (struct sb_strbuf)SB_STRBUF_INIT;
}

static void teardown(void)
{
	sb_engine_free(eng);
	sd_event_unref(loop);
	sb_strbuf_done(&told);
}

/* Run the loop until it has nothing to do. */
static const char *settle(void)
{
	while (sd_event_run(loop, 0) > 0)
		;
	return sb_strbuf_str(&told);
}

static void note(const char *what, const struct sb_err *err)
{
	sb_strbuf_addf(&told, "%s%s%s;", what, err ? ":" : "", err ? sb_code_name(err->code) : "");
}

static void on_done(void *ctx, const struct sb_err *err)
{
	note(ctx, err);
}

static void on_id(void *ctx, const char *id, const struct sb_err *err)
{
	snprintf(last_id, sizeof(last_id), "%s", id ? id : "");
	note(ctx, err);
}

static void on_wait(void *ctx, int exit_code, const struct sb_err *err)
{
	sb_strbuf_addf(&told, "exit %d", exit_code);
	note("", err);
}

static void on_event(
		void *ctx, const struct sb_engine_event *ev, bool resync, const struct sb_err *err)
{
	note(resync ? "resync" : ev ? ev->action : "lost", err);
}

static void on_log(void *ctx, const struct sb_engine_log *log, const struct sb_err *err)
{
	note(log ? log->text : "end", err);
}

static void on_list(
		void *ctx, const struct sb_container_info *list, size_t n, const struct sb_err *err)
{
	sb_strbuf_addf(&told, "%zu of them", n);
	note("", err);
}

static void create(const char *name)
{
	static const struct sb_kv labels[] = { { "job", "j1" } };
	struct sb_container_spec spec = {
		.name = name, .image = "i", .labels = labels, .n_labels = 1
	};

	eng->ops->create(eng, &spec, on_id, (void *)"created", NULL, NULL);
}

START_TEST(a_container_lives_and_its_events_tell)
{
	fake_engine_image(fake, "i", true);
	eng->ops->events(eng, "job", on_event, NULL, NULL, NULL);
	ck_assert_str_eq(sb_strbuf_str(&told), "");
	ck_assert_str_eq(settle(), "resync;");
	create("n");
	settle();
	eng->ops->start(eng, last_id, on_done, (void *)"started", NULL, NULL);
	settle();
	eng->ops->wait(eng, "n", on_wait, NULL, NULL, NULL);
	ck_assert_str_eq(settle(), "resync;created;create;started;start;");
	sb_strbuf_reset(&told);
	fake_engine_exit(fake, "n", 3);
	ck_assert_str_eq(sb_strbuf_str(&told), "");
	settle();
	eng->ops->list(eng, "job=j1", on_list, NULL, NULL, NULL);
	eng->ops->list(eng, "job=j2", on_list, NULL, NULL, NULL);
	settle();
	eng->ops->remove(eng, "n", false, on_done, (void *)"removed", NULL, NULL);
	eng->ops->remove(eng, "n", false, on_done, (void *)"again", NULL, NULL);
	settle();
	ck_assert_ptr_nonnull(strstr(told.data, "exit 3;"));
	ck_assert_ptr_nonnull(strstr(told.data, "die;"));
	ck_assert_ptr_nonnull(strstr(told.data, "1 of them;0 of them;"));
	ck_assert_ptr_nonnull(strstr(told.data, "removed;"));
	ck_assert_ptr_nonnull(strstr(told.data, "again;"));
	ck_assert_ptr_nonnull(strstr(told.data, "destroy;"));
	ck_assert_ptr_null(fake_engine_find(fake, "n"));
}
END_TEST

START_TEST(failures_are_as_the_contract_says)
{
	create("n");
	ck_assert_str_eq(settle(), "created:NOT_FOUND;");
	eng->ops->image_pull(eng, "i", NULL, NULL, on_done, (void *)"pulled", NULL, NULL);
	settle();
	fake_engine_foreign(fake, "n", "other");
	create("n");
	ck_assert_str_eq(settle(), "created:NOT_FOUND;pulled;created:BUSY;");
	sb_strbuf_reset(&told);
	fake_engine_fail_next(fake, FAKE_PING, SB_E_UNAVAILABLE, "away");
	eng->ops->ping(eng, on_done, (void *)"1", NULL, NULL);
	settle();
	eng->ops->ping(eng, on_done, (void *)"2", NULL, NULL);
	ck_assert_str_eq(settle(), "1:UNAVAILABLE;2;");
	ck_assert_uint_eq(fake_engine_count(fake, FAKE_PING), 2);
}
END_TEST

START_TEST(what_is_held_back_waits_and_can_be_cancelled)
{
	struct sb_engine_call *call;

	fake_engine_delay(fake, FAKE_PING);
	eng->ops->ping(eng, on_done, (void *)"1", NULL, NULL);
	eng->ops->ping(eng, on_done, (void *)"2", &call, NULL);
	ck_assert_str_eq(settle(), "");
	eng->ops->cancel(eng, call);
	fake_engine_release(fake, FAKE_PING);
	ck_assert_str_eq(settle(), "1;");
}
END_TEST

START_TEST(logs_follow_until_the_end_or_the_cut)
{
	struct sb_err err = { SB_E_UNAVAILABLE, "gone", "" };

	fake_engine_foreign(fake, "n", "i");
	fake_engine_log(fake, "n", 1, 5, "old");
	fake_engine_log(fake, "n", 1, 6, "a");
	eng->ops->logs(eng, "n", 5, true, on_log, NULL, NULL, NULL);
	settle();
	fake_engine_log(fake, "n", 2, 7, "b");
	ck_assert_str_eq(settle(), "a;b;");
	fake_engine_hang_up(fake, &err);
	ck_assert_str_eq(settle(), "a;b;end:UNAVAILABLE;");
	eng->ops->logs(eng, "n", 7, true, on_log, NULL, NULL, NULL);
	settle();
	eng->ops->kill(eng, "n", SIGKILL, on_done, (void *)"killed", NULL, NULL);
	ck_assert_str_eq(settle(), "a;b;end:UNAVAILABLE;killed;end;");
	ck_assert_int_eq(fake_engine_find(fake, "n")->exit_code, 137);
}
END_TEST

START_TEST(events_are_lost_and_come_back)
{
	struct sb_err err = { SB_E_UNAVAILABLE, "gone", "" };
	struct sb_engine_event ev = { .type = "image", .action = "pull" };

	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	settle();
	fake_engine_hang_up(fake, &err);
	settle();
	fake_engine_event(fake, &ev);
	ck_assert_str_eq(settle(), "resync;lost:UNAVAILABLE;resync;pull;");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fake_engine");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_container_lives_and_its_events_tell);
	tcase_add_test(tc, failures_are_as_the_contract_says);
	tcase_add_test(tc, what_is_held_back_waits_and_can_be_cancelled);
	tcase_add_test(tc, logs_follow_until_the_end_or_the_cut);
	tcase_add_test(tc, events_are_lost_and_come_back);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
