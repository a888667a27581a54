#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "sb_fs.h"
#include "sb_store.h"
#include "testdir.h"

/* --- records --- */

struct seen {
	char text[512]; /* "job=data;..." */
	char bad[512];  /* "job;..." */
	struct sb_store *store;
	int answer;
};

static int see(void *ctx, const char *job, const void *data, size_t len)
{
	struct seen *seen = ctx;
	size_t at = strlen(seen->text);

	snprintf(seen->text + at, sizeof(seen->text) - at, "%s=%.*s;", job, (int)len,
			(const char *)data);
	return seen->answer;
}

static void see_bad(void *ctx, const char *job, const struct sb_err *err)
{
	struct seen *seen = ctx;

	ck_assert_int_ne(err->code, SB_OK);
	strcat(strcat(seen->bad, job), ";");
}

static struct seen look(struct sb_store *store)
{
	struct seen seen = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_store_each(store, see, see_bad, &seen, &err) == 0, "%s", err.text);
	return seen;
}

static struct sb_store *opened(void)
{
	struct sb_store *store = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_store_open(testdir, &store, &err) == 0, "%s", err.text);
	return store;
}

static char *in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", testdir, name);
	return path;
}

static void put(struct sb_store *store, const char *job, const char *text)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_store_put(store, job, text, strlen(text), &err) == 0, "%s", err.text);
}

START_TEST(records_survive_and_come_in_name_order)
{
	struct sb_store *store = opened();
	struct stat st;

	put(store, "b", "2");
	put(store, "a", "1");
	put(store, "c", "");
	put(store, "b", "two");
	sb_store_close(store);
	store = opened();
	ck_assert_str_eq(look(store).text, "a=1;b=two;c=;");
	ck_assert_int_eq(stat(in_dir("jobs/a.pb"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(in_dir("jobs"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(sb_store_remove(store, "b", NULL), 0);
	ck_assert_int_eq(sb_store_remove(store, "b", NULL), 0);
	ck_assert_str_eq(look(store).text, "a=1;c=;");
	sb_store_close(store);
	sb_store_close(NULL);
}
END_TEST

START_TEST(a_job_id_is_never_a_path)
{
	static const char long_id[] =
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char *const bad[] = { "", ".", "..", "../x", "a/b", "/etc/passwd", "A", "a.b",
		"a b", "a\n", "\xc3\xa4", "a%2f", long_id };
	SB_CLEANUP(sb_store_closep) struct sb_store *store = opened();
	struct sb_err err;

	for (size_t i = 0; i < sb_countof(bad); i++) {
		ck_assert_int_eq(sb_store_put(store, bad[i], "x", 1, &err), -SB_E_INVALID);
		ck_assert_int_eq(sb_store_remove(store, bad[i], &err), -SB_E_INVALID);
		sb_store_set_aside(store, bad[i]);
	}
	ck_assert_int_eq(sb_store_put(store, NULL, "x", 1, &err), -SB_E_INVALID);
	ck_assert_str_eq(look(store).text, "");
	ck_assert_int_eq(sb_store_put(store, long_id + 1, "x", 1, &err), 0); /* 64 */
	ck_assert_int_eq(sb_store_put(store, "sparkbus_0123456789ab", "x", 1, &err), 0);
	ck_assert_int_eq(sb_store_put(store, "-", "x", 1, &err), 0);
}
END_TEST

START_TEST(two_agents_cannot_share_a_store)
{
	struct sb_store *store = opened(), *other = NULL;
	struct sb_err err;
	char me[32];

	snprintf(me, sizeof(me), "process %d", (int)getpid());
	ck_assert_int_eq(sb_store_open(testdir, &other, &err), -SB_E_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, me));
	ck_assert_ptr_null(other);
	sb_store_close(store);
	sb_store_close(opened());
}
END_TEST

/* The kernel drops the lock with its owner: no stale lock after kill -9. */
START_TEST(a_killed_owner_leaves_no_lock)
{
	struct sb_store *store;
	int fds[2], status;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (sb_store_open(testdir, &store, NULL) == 0 && write(fds[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	ck_assert_int_eq(sb_store_open(testdir, &store, NULL), -SB_E_BUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	sb_store_close(opened());
	close(fds[0]);
}
END_TEST

START_TEST(a_crashed_puts_temporary_is_cleaned_at_open)
{
	struct sb_store *store = opened();

	put(store, "a", "whole");
	sb_store_close(store);
	ck_assert_int_eq(sb_fs_write(in_dir("jobs/a.pb.77.1.tmp"), "hal", 3, 0600, NULL), 0);
	store = opened();
	ck_assert_int_eq(access(in_dir("jobs/a.pb.77.1.tmp"), F_OK), -1);
	ck_assert_str_eq(look(store).text, "a=whole;");
	sb_store_close(store);
}
END_TEST

START_TEST(a_bad_record_is_set_aside_and_the_others_given)
{
	SB_CLEANUP(sb_store_closep) struct sb_store *store = opened();
	struct seen seen;

	put(store, "a", "1");
	put(store, "huge", "x");
	put(store, "z", "26");
	ck_assert_int_eq(truncate(in_dir("jobs/huge.pb"), (off_t)SB_STORE_RECORD_MAX + 1), 0);
	ck_assert_int_eq(mkdir(in_dir("jobs/folder.pb"), 0700), 0);
	ck_assert_int_eq(mkfifo(in_dir("jobs/fifo.pb"), 0600), 0);
	ck_assert_int_eq(sb_fs_write(in_dir("jobs/Not an id.pb"), "x", 1, 0600, NULL), 0);
	ck_assert_int_eq(sb_fs_write(in_dir("jobs/notes.txt"), "x", 1, 0600, NULL), 0);
	seen = look(store);
	ck_assert_str_eq(seen.text, "a=1;z=26;");
	ck_assert_str_eq(seen.bad, "Not an id;fifo;folder;huge;");
	ck_assert_int_eq(access(in_dir("jobs/huge.bad"), F_OK), 0);
	seen = look(store);
	ck_assert_str_eq(seen.bad, ""); /* told once */
	sb_store_set_aside(store, "a");
	ck_assert_str_eq(look(store).text, "z=26;");
	ck_assert_int_eq(access(in_dir("jobs/a.bad"), F_OK), 0);
}
END_TEST

static int remove_next(void *ctx, const char *job, const void *data, size_t len)
{
	struct seen *seen = ctx;

	see(ctx, job, data, len);
	sb_store_remove(seen->store, "b", NULL);
	sb_store_put(seen->store, "a", "changed", 7, NULL);
	return 0;
}

START_TEST(the_walker_may_change_the_store_and_stop)
{
	SB_CLEANUP(sb_store_closep) struct sb_store *store = opened();
	struct seen seen = { .store = store };
	struct sb_err err;

	put(store, "a", "1");
	put(store, "b", "2");
	put(store, "c", "3");
	ck_assert_int_eq(sb_store_each(store, remove_next, see_bad, &seen, &err), 0);
	ck_assert_str_eq(seen.text, "a=1;c=3;");
	ck_assert_str_eq(seen.bad, "");
	seen = (struct seen){ .answer = -SB_E_CANCELLED };
	ck_assert_int_eq(sb_store_each(store, see, see_bad, &seen, &err), -SB_E_CANCELLED);
	ck_assert_str_eq(seen.text, "a=changed;");
}
END_TEST

START_TEST(a_record_over_the_cap_is_refused)
{
	SB_CLEANUP(sb_store_closep) struct sb_store *store = opened();
	SB_CLEANUP(sb_freep) char *big = calloc(1, SB_STORE_RECORD_MAX + 1);
	struct sb_err err;

	ck_assert_int_eq(sb_store_put(store, "a", big, SB_STORE_RECORD_MAX + 1, &err), -SB_E_RANGE);
	ck_assert_int_eq(sb_store_put(store, "a", big, SB_STORE_RECORD_MAX, &err), 0);
	ck_assert_str_eq(look(store).bad, "");
}
END_TEST

START_TEST(the_number_of_records_is_bounded)
{
	struct sb_store *store = opened();
	struct sb_err err;
	char name[64];

	for (unsigned i = 0; i < SB_STORE_JOBS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "jobs/%u.pb", i);
		close(open(in_dir(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	sb_store_close(store);
	store = opened();
	put(store, "last", "x");
	ck_assert_int_eq(sb_store_put(store, "more", "x", 1, &err), -SB_E_RANGE);
	put(store, "last", "y"); /* not a new one */
	ck_assert_int_eq(sb_store_remove(store, "7", NULL), 0);
	put(store, "more", "x");
	ck_assert_int_eq(sb_store_put(store, "evenmore", "x", 1, &err), -SB_E_RANGE);
	sb_store_set_aside(store, "8");
	put(store, "evenmore", "x");
	sb_store_close(store);
}
END_TEST

static void assert_full_disk_keeps_the_record(struct sb_store *store)
{
	SB_CLEANUP(sb_freep) char *big = calloc(1, 1 << 20);
	struct sb_err err;

	ck_assert_int_eq(sb_store_put(store, "a", big, 1 << 20, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.text, "job a"));
	ck_assert_ptr_nonnull(strstr(err.hint, "earlier record is kept"));
	ck_assert_int_eq(sb_store_put(store, "b", big, 1 << 20, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.hint, "not recorded"));
	ck_assert_str_eq(look(store).text, "a=old;");
	put(store, "a", "new"); /* nothing was left behind that fills the disk */
	ck_assert_str_eq(look(store).text, "a=new;");
}

START_TEST(a_full_disk_keeps_the_old_record)
{
	struct sb_store *store;

	/* A mount namespace of this test's own process: nothing to undo, whatever happens. */
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("tmpfs", testdir, "tmpfs", 0, "size=256k") < 0) {
		fprintf(stderr, "# skipped: no tmpfs can be mounted here: %s\n", strerror(errno));
		return;
	}
	store = opened();
	put(store, "a", "old");
	assert_full_disk_keeps_the_record(store);
	sb_store_close(store);
}
END_TEST

START_TEST(a_file_size_limit_keeps_the_old_record)
{
	SB_CLEANUP(sb_store_closep) struct sb_store *store = opened();

	put(store, "a", "old");
	testdir_limit_files(65536);
	assert_full_disk_keeps_the_record(store);
}
END_TEST

#define VERSION_BYTES 20000
#define KILLS         40

/* Version n of the record: VERSION_BYTES times the byte n. */
static void put_for_ever(int ready)
{
	static unsigned char data[VERSION_BYTES];
	struct sb_store *store = NULL;

	if (sb_store_open(testdir, &store, NULL) < 0)
		_exit(1);
	for (unsigned n = 0;; n++) {
		memset(data, (int)(n & 0xff), sizeof(data));
		if (sb_store_put(store, "a", data, sizeof(data), NULL) < 0)
			_exit(2);
		if (n == 0 && write(ready, "x", 1) != 1)
			_exit(3);
	}
}

static int assert_whole(void *ctx, const char *job, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	ck_assert_str_eq(job, "a");
	ck_assert_uint_eq(len, VERSION_BYTES);
	for (size_t i = 1; i < len; i++)
		ck_assert_uint_eq(bytes[i], bytes[0]);
	++*(int *)ctx;
	return 0;
}

START_TEST(kill_9_in_the_middle_of_put_leaves_a_whole_version)
{
	unsigned seed = (unsigned)getpid();

	for (int i = 0; i < KILLS; i++) {
		struct timespec wait = { 0,
			rand_r(&seed) % 3000000 }; /* the moment, not a wait for one */
		struct sb_store *store;
		int fds[2], status, count = 0;
		pid_t pid;
		char c;

		ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			put_for_ever(fds[1]);
		close(fds[1]);
		ck_assert_int_eq(read(fds[0], &c, 1), 1);
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status));
		close(fds[0]);
		store = opened();
		ck_assert_int_eq(sb_store_each(store, assert_whole, NULL, &count, NULL), 0);
		ck_assert_int_eq(count, 1);
		sb_store_close(store);
	}
}
END_TEST

/* --- audit --- */

static struct sb_audit *audit_opened(void)
{
	struct sb_audit *audit = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_audit_open(in_dir("audit.log"), &audit, &err) == 0, "%s", err.text);
	return audit;
}

/* Parse every line of @name; the last one is returned. */
static json_t *parse_lines(const char *name, size_t *ret_count)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	json_t *last = NULL;

	ck_assert_int_eq(sb_fs_read(in_dir(name), SB_AUDIT_MAX_BYTES, &buf, NULL), 0);
	*ret_count = 0;
	for (char *p = buf.data, *end; p && *p; p = end + 1) {
		end = strchr(p, '\n');
		ck_assert_ptr_nonnull(end);
		json_decref(last);
		last = json_loadb(p, (size_t)(end - p), 0, NULL);
		ck_assert_msg(last != NULL, "%.*s", (int)(end - p), p);
		++*ret_count;
	}
	return last;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

START_TEST(an_audit_line_says_who_what_and_when)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();
	time_t before = time(NULL), then;
	struct tm tm = { 0 };
	struct stat st;
	json_t *line;
	size_t count;
	int ms = -1;

	ck_assert_int_eq(sb_audit_add(audit, "ann", "10.0.0.1", "stop_job", "job_1", SB_E_BUSY,
					 "said \"no\"", NULL),
			0);
	line = parse_lines("audit.log", &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(text_of(line, "operator"), "ann");
	ck_assert_str_eq(text_of(line, "from"), "10.0.0.1");
	ck_assert_str_eq(text_of(line, "verb"), "stop_job");
	ck_assert_str_eq(text_of(line, "job"), "job_1");
	ck_assert_str_eq(text_of(line, "outcome"), "BUSY");
	ck_assert_str_eq(text_of(line, "text"), "said \"no\"");
	ck_assert_uint_eq(strlen(text_of(line, "time")), strlen("2026-01-02T03:04:05.678Z"));
	ck_assert_int_eq(sscanf(strptime(text_of(line, "time"), "%Y-%m-%dT%H:%M:%S", &tm), ".%3dZ",
					 &ms),
			1);
	then = timegm(&tm);
	ck_assert_int_ge(then, before);
	ck_assert_int_le(then, time(NULL));
	ck_assert_int_eq(stat(in_dir("audit.log"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	json_decref(line);
}
END_TEST

START_TEST(what_a_peer_claims_cannot_break_the_audit_file)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();
	SB_CLEANUP(sb_freep) char *big = malloc(100001);
	json_t *line;
	size_t count;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	ck_assert_int_eq(sb_audit_add(audit, "eve\n{\"operator\":\"root\"}", "\xff\xfe", big, NULL,
					 SB_OK, big, NULL),
			0);
	line = parse_lines("audit.log", &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(text_of(line, "operator"), "eve {\"operator\":\"root\"}");
	ck_assert_str_eq(text_of(line, "from"), "??");
	ck_assert_str_eq(text_of(line, "job"), "");
	ck_assert_uint_eq(strlen(text_of(line, "text")), SB_AUDIT_TEXT_MAX + 1);
	ck_assert_int_eq(text_of(line, "text")[SB_AUDIT_TEXT_MAX], '+');
	ck_assert_uint_lt(strlen(text_of(line, "verb")), 300);
	json_decref(line);
}
END_TEST

START_TEST(the_audit_file_is_appended_to_and_torn_lines_end)
{
	size_t count;
	int fd;

	for (int i = 0; i < 2; i++) {
		SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();

		ck_assert_int_eq(sb_audit_add(audit, "a", "b", "c", "d", SB_OK, "", NULL), 0);
	}
	json_decref(parse_lines("audit.log", &count));
	ck_assert_uint_eq(count, 2);
	fd = open(in_dir("audit.log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "{}", 2), 2); /* a line that lost its end */
	close(fd);
	sb_audit_close(audit_opened());
	json_decref(parse_lines("audit.log", &count));
	ck_assert_uint_eq(count, 3);
	sb_audit_close(NULL);
}
END_TEST

START_TEST(the_audit_files_are_bounded_and_lose_only_the_oldest)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();
	char text[SB_AUDIT_TEXT_MAX], name[32];
	size_t count, total = 0, added = 0;
	struct stat st;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (uint64_t bytes = 0; bytes < (SB_AUDIT_KEEP + 2) * SB_AUDIT_MAX_BYTES; added++) {
		ck_assert_int_eq(sb_audit_add(audit, "a", "b", "c", "d", SB_OK, text, NULL), 0);
		bytes += sizeof(text);
	}
	for (int i = 0; i <= SB_AUDIT_KEEP; i++) {
		snprintf(name, sizeof(name), i ? "audit.log.%d" : "audit.log", i);
		ck_assert_int_eq(stat(in_dir(name), &st), 0);
		ck_assert_uint_le(st.st_size, SB_AUDIT_MAX_BYTES);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
		json_decref(parse_lines(name, &count));
		total += count;
	}
	snprintf(name, sizeof(name), "audit.log.%d", SB_AUDIT_KEEP + 1);
	ck_assert_int_eq(access(in_dir(name), F_OK), -1);
	ck_assert_uint_lt(total, added);
	ck_assert_uint_gt(total, added / 2);
}
END_TEST

START_TEST(a_full_disk_leaves_no_half_line)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();
	struct sb_err err = SB_ERR_INIT;
	size_t count, added = 0;

	testdir_limit_files(1000);
	while (added < 100 &&
			sb_audit_add(audit, "a", "b", "c", "d", SB_OK, "0123456789", &err) == 0)
		added++;
	testdir_limit_files(RLIM_INFINITY);
	ck_assert_int_eq(err.code, SB_E_RANGE);
	json_decref(parse_lines("audit.log", &count));
	ck_assert_uint_eq(count, added);
}
END_TEST

static void *add_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		if (sb_audit_add(arg, "thread", "b", "c", "d", SB_OK, "text", NULL) < 0)
			return arg;
	return NULL;
}

START_TEST(threads_append_whole_lines)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = audit_opened();
	pthread_t threads[4];
	size_t count;
	void *failed;

	for (size_t i = 0; i < sb_countof(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, audit), 0);
	for (size_t i = 0; i < sb_countof(threads); i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	json_decref(parse_lines("audit.log", &count));
	ck_assert_uint_eq(count, sb_countof(threads) * 500);
}
END_TEST

START_TEST(what_cannot_be_opened_says_why)
{
	struct sb_audit *audit = NULL;
	struct sb_store *store = NULL;
	struct sb_err err;

	ck_assert_int_eq(sb_audit_open(in_dir("no/such/folder"), &audit, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_null(audit);
	ck_assert_int_eq(sb_fs_write(in_dir("file"), "", 0, 0600, NULL), 0);
	ck_assert_int_eq(sb_store_open(in_dir("file"), &store, &err), -SB_E_INVALID);
	ck_assert_ptr_null(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("store");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, records_survive_and_come_in_name_order);
	tcase_add_test(tc, a_job_id_is_never_a_path);
	tcase_add_test(tc, two_agents_cannot_share_a_store);
	tcase_add_test(tc, a_killed_owner_leaves_no_lock);
	tcase_add_test(tc, a_crashed_puts_temporary_is_cleaned_at_open);
	tcase_add_test(tc, a_bad_record_is_set_aside_and_the_others_given);
	tcase_add_test(tc, the_walker_may_change_the_store_and_stop);
	tcase_add_test(tc, a_record_over_the_cap_is_refused);
	tcase_add_test(tc, the_number_of_records_is_bounded);
	tcase_add_test(tc, a_full_disk_keeps_the_old_record);
	tcase_add_test(tc, a_file_size_limit_keeps_the_old_record);
	tcase_add_test(tc, kill_9_in_the_middle_of_put_leaves_a_whole_version);
	tcase_add_test(tc, an_audit_line_says_who_what_and_when);
	tcase_add_test(tc, what_a_peer_claims_cannot_break_the_audit_file);
	tcase_add_test(tc, the_audit_file_is_appended_to_and_torn_lines_end);
	tcase_add_test(tc, the_audit_files_are_bounded_and_lose_only_the_oldest);
	tcase_add_test(tc, a_full_disk_leaves_no_half_line);
	tcase_add_test(tc, threads_append_whole_lines);
	tcase_add_test(tc, what_cannot_be_opened_says_why);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
