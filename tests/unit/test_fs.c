#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "testdir.h"

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_mode & 07777;
}

START_TEST(what_is_written_is_read)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	struct sb_err err;
	char data[70000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 >> 3);
	ck_assert_int_eq(sb_fs_write(path, data, sizeof(data), 0600, &err), 0);
	sb_strbuf_adds(&buf, "before");
	ck_assert_int_eq(sb_fs_read(path, sizeof(data), &buf, &err), 0);
	ck_assert_uint_eq(buf.len, sizeof(data) + 6);
	ck_assert_mem_eq(buf.data, "before", 6);
	ck_assert_mem_eq(buf.data + 6, data, sizeof(data));
	ck_assert_int_eq(sb_fs_write(path, "", 0, 0600, &err), 0);
	sb_strbuf_reset(&buf);
	ck_assert_int_eq(sb_fs_read(path, 0, &buf, &err), 0);
	ck_assert_uint_eq(buf.len, 0);
	ck_assert_int_eq(entries(testdir), 1); /* no temporary left */
}
END_TEST

START_TEST(the_mode_is_exact_whatever_the_umask)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	mode_t old = umask(_i ? 0777 : 0);

	ck_assert_int_eq(sb_fs_write(path, "x", 1, 0640, NULL), 0);
	umask(old);
	ck_assert_uint_eq(mode_of(path), 0640);
	ck_assert_int_eq(sb_fs_write(path, "y", 1, 0600, NULL), 0);
	ck_assert_uint_eq(mode_of(path), 0600);
}
END_TEST

START_TEST(a_read_over_the_cap_reads_nothing)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	struct sb_err err;

	ck_assert_int_eq(sb_fs_write(path, "0123456789", 10, 0600, &err), 0);
	sb_strbuf_adds(&buf, "kept");
	ck_assert_int_eq(sb_fs_read(path, 9, &buf, &err), -SB_E_RANGE);
	ck_assert_str_eq(sb_strbuf_str(&buf), "kept");
	ck_assert_int_eq(sb_fs_read(path, 10, &buf, &err), 0);
	ck_assert_str_eq(sb_strbuf_str(&buf), "kept0123456789");
}
END_TEST

/* procfs says size 0, so the cap is found only while reading. */
START_TEST(the_cap_holds_where_the_size_is_not_told)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	static char big[40000]; /* more than one read's worth */
	char path[64];
	struct sb_err err;
	int fds[2];

	sb_strbuf_adds(&buf, "kept");
	ck_assert_int_eq(sb_fs_read("/proc/self/status", 10, &buf, &err), -SB_E_RANGE);
	ck_assert_str_eq(sb_strbuf_str(&buf), "kept");
	ck_assert_int_eq(buf.failed, 0);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(write(fds[1], big, sizeof(big)), sizeof(big));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	ck_assert_int_eq(sb_fs_read(path, sizeof(big) - 1, &buf, &err), -SB_E_RANGE);
	ck_assert_str_eq(sb_strbuf_str(&buf), "kept");
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(sb_fs_read("/proc/self/status", 1 << 20, &buf, &err), 0);
	ck_assert_ptr_nonnull(strstr(buf.data, "\nPid:\t"));
}
END_TEST

START_TEST(the_buffers_own_cap_is_raised_to_fit)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "big");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf small = { .max = 3 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf dflt = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	size_t size = SB_STRBUF_MAX_DEFAULT + 1;
	int fd;

	ck_assert_int_eq(sb_fs_write(path, "12345", 5, 0600, &err), 0);
	ck_assert_int_eq(sb_fs_read(path, 100, &small, &err), 0);
	ck_assert_str_eq(sb_strbuf_str(&small), "12345");
	ck_assert_int_eq(sb_fs_read(path, SIZE_MAX, &small, &err), 0);
	ck_assert_str_eq(sb_strbuf_str(&small), "1234512345");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0); /* sparse: takes no room on disk */
	close(fd);
	ck_assert_int_eq(sb_fs_read(path, size, &dflt, &err), 0);
	ck_assert_uint_eq(dflt.len, size);
}
END_TEST

START_TEST(what_cannot_be_read_says_why)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "absent");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	struct sb_err err;

	ck_assert_int_eq(sb_fs_read(path, 10, &buf, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "absent"));
	ck_assert_int_eq(sb_fs_read(testdir, 10, &buf, &err), -SB_E_INVALID);
}
END_TEST

START_TEST(a_failed_write_keeps_the_old_file)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *data = calloc(1, 100000);
	struct sb_err err;

	ck_assert_int_eq(sb_fs_write(path, "old", 3, 0600, &err), 0);
	testdir_limit_files(4096);
	ck_assert_int_eq(sb_fs_write(path, data, 100000, 0600, &err), -SB_E_RANGE);
	testdir_limit_files(RLIM_INFINITY);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(sb_fs_read(path, 10, &buf, &err), 0);
	ck_assert_str_eq(sb_strbuf_str(&buf), "old");
	ck_assert_int_eq(entries(testdir), 1);
}
END_TEST

START_TEST(a_write_that_has_no_place_fails_cleanly)
{
	SB_CLEANUP(sb_freep) char *sub = sb_fs_join(testdir, "no/such");
	SB_CLEANUP(sb_freep) char *in_the_way = sb_fs_join(testdir, "folder");
	struct sb_err err;

	ck_assert_int_eq(sb_fs_write(sub, "x", 1, 0600, &err), -SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_fs_mkdirs(in_the_way, 0700, &err), 0);
	ck_assert_int_lt(sb_fs_write(in_the_way, "x", 1, 0600, &err), 0);
	ck_assert_int_eq(entries(testdir), 1);
}
END_TEST

START_TEST(folders_are_made_with_their_parents_and_kept)
{
	SB_CLEANUP(sb_freep) char *deep = sb_fs_join(testdir, "a//b/c/");
	SB_CLEANUP(sb_freep) char *top = sb_fs_join(testdir, "a");
	mode_t old = umask(022);
	struct sb_err err;

	ck_assert_int_eq(sb_fs_mkdirs(deep, 0700, &err), 0);
	ck_assert_uint_eq(mode_of(deep), 0700);
	ck_assert_uint_eq(mode_of(top), 0700);
	ck_assert_int_eq(chmod(top, 0755), 0);
	ck_assert_int_eq(sb_fs_mkdirs(deep, 0700, &err), 0);
	ck_assert_uint_eq(mode_of(top), 0755);
	ck_assert_int_eq(sb_fs_mkdirs("/", 0700, &err), 0);
	umask(old);
}
END_TEST

START_TEST(what_is_no_folder_is_refused)
{
	SB_CLEANUP(sb_freep) char *file = sb_fs_join(testdir, "f");
	SB_CLEANUP(sb_freep) char *below = sb_fs_join(file, "x");
	struct sb_err err;

	ck_assert_int_eq(sb_fs_write(file, "x", 1, 0600, &err), 0);
	ck_assert_int_eq(sb_fs_mkdirs(file, 0700, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_fs_mkdirs(below, 0700, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_fs_mkdirs("", 0700, &err), -SB_E_INVALID);
}
END_TEST

START_TEST(remove_takes_a_file_and_forgives_its_absence)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	struct sb_err err;

	ck_assert_int_eq(sb_fs_write(path, "x", 1, 0600, &err), 0);
	ck_assert_int_eq(sb_fs_remove(path, &err), 0);
	ck_assert_int_eq(entries(testdir), 0);
	ck_assert_int_eq(sb_fs_remove(path, &err), 0);
	ck_assert_int_lt(sb_fs_remove(testdir, &err), 0);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "f");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	int before = entries("/proc/self/fd");

	sb_fs_write(path, "x", 1, 0600, NULL);
	sb_fs_read(path, 10, &buf, NULL);
	sb_fs_read(path, 0, &buf, NULL);
	sb_fs_read(testdir, 10, &buf, NULL);
	sb_fs_remove(path, NULL);
	ck_assert_int_eq(entries("/proc/self/fd"), before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fs");
	TCase *tc = tcase_create("fs");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_is_written_is_read);
	tcase_add_loop_test(tc, the_mode_is_exact_whatever_the_umask, 0, 2);
	tcase_add_test(tc, a_read_over_the_cap_reads_nothing);
	tcase_add_test(tc, the_cap_holds_where_the_size_is_not_told);
	tcase_add_test(tc, the_buffers_own_cap_is_raised_to_fit);
	tcase_add_test(tc, what_cannot_be_read_says_why);
	tcase_add_test(tc, a_failed_write_keeps_the_old_file);
	tcase_add_test(tc, a_write_that_has_no_place_fails_cleanly);
	tcase_add_test(tc, folders_are_made_with_their_parents_and_kept);
	tcase_add_test(tc, what_is_no_folder_is_refused);
	tcase_add_test(tc, remove_takes_a_file_and_forgives_its_absence);
	tcase_add_test(tc, no_descriptor_is_left_open);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
