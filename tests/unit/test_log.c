#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "sb_log.h"

#define THREADS 4
#define LINES   500

static int pipe_fd;

/* Give this test's stderr to us. */
static void setup(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
		abort();
	close(fds[1]);
	pipe_fd = fds[0];
	fcntl(pipe_fd, F_SETPIPE_SZ, 1 << 20);
	fcntl(pipe_fd, F_SETFL, O_NONBLOCK);
}

static const char *logged(void)
{
	static char text[1 << 20];
	ssize_t n = read(pipe_fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

START_TEST(a_line_is_an_id_and_a_text)
{
	sb_log(SB_LOG_INFO, "job.exit", "job=%s code=%d", "llm", 3);
	ck_assert_str_eq(logged(), "job.exit job=llm code=3\n");
	sb_log(SB_LOG_ERR, "x", "%s", "");
	ck_assert_str_eq(logged(), "x \n");
}
END_TEST

START_TEST(the_prefix_is_the_priority_of_the_journal)
{
	sb_log_setup(SB_LOG_DEBUG, true);
	sb_log(SB_LOG_ERR, "a", "1");
	sb_log(SB_LOG_WARN, "a", "2");
	sb_log(SB_LOG_INFO, "a", "3");
	sb_log(SB_LOG_DEBUG, "a", "4");
	ck_assert_str_eq(logged(), "<3>a 1\n<4>a 2\n<6>a 3\n<7>a 4\n");
}
END_TEST

START_TEST(lines_above_the_level_are_dropped)
{
	sb_log(SB_LOG_DEBUG, "a", "not by default");
	sb_log_setup(SB_LOG_WARN, false);
	sb_log(SB_LOG_INFO, "a", "no");
	sb_log(SB_LOG_WARN, "a", "yes");
	ck_assert_str_eq(logged(), "a yes\n");
}
END_TEST

START_TEST(a_value_cannot_forge_a_line)
{
	sb_log(SB_LOG_INFO, "a", "v=%s", "x\n<0>root.login\tok\x1b[2J\x7f\xc2\x9b|");
	ck_assert_str_eq(logged(), "a v=x <0>root.login ok [2J   |\n");
	sb_log(SB_LOG_INFO, "a\nb", "größe");
	ck_assert_str_eq(logged(), "a b größe\n");
}
END_TEST

START_TEST(a_long_line_is_cut_and_marked)
{
	char big[10000];
	const char *text;

	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	sb_log(SB_LOG_INFO, "a", "%s", big);
	text = logged();
	ck_assert_uint_le(strlen(text), 2048);
	ck_assert_uint_gt(strlen(text), 2000);
	ck_assert_str_eq(text + strlen(text) - 3, "y+\n");
	sb_log(SB_LOG_INFO, big, "%s", big); /* the id is no better */
	text = logged();
	ck_assert_uint_le(strlen(text), 2048);
	ck_assert_str_eq(text + strlen(text) - 3, "y+\n");
}
END_TEST

START_TEST(errno_survives_logging)
{
	close(STDERR_FILENO);
	errno = ENOTTY;
	sb_log(SB_LOG_INFO, "a", "b");
	ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

static void *writer(void *arg)
{
	for (int i = 0; i < LINES; i++)
		sb_log(SB_LOG_INFO, "t", "from=%d text=%060d", *(int *)arg, i);
	return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
	pthread_t threads[THREADS];
	int ids[THREADS], next[THREADS] = { 0 }, id, number, used;
	const char *p;

	for (int i = 0; i < THREADS; i++) {
		ids[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, writer, &ids[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (p = logged(); *p; p += used) {
		used = 0;
		ck_assert_int_eq(sscanf(p, "t from=%d text=%d%n", &id, &number, &used), 2);
		ck_assert_int_eq(p[used++], '\n');
		ck_assert_int_eq(number, next[id]++);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(next[i], LINES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_line_is_an_id_and_a_text);
	tcase_add_test(tc, the_prefix_is_the_priority_of_the_journal);
	tcase_add_test(tc, lines_above_the_level_are_dropped);
	tcase_add_test(tc, a_value_cannot_forge_a_line);
	tcase_add_test(tc, a_long_line_is_cut_and_marked);
	tcase_add_test(tc, errno_survives_logging);
	tcase_add_test(tc, lines_of_threads_do_not_mix);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
