#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_fs.h"
#include "sb_logring.h"
#include "testdir.h"

#define RECORD_HEAD 40 /* what a line costs on disk besides its text */

static struct sb_logring *opened(uint64_t max_bytes)
{
	struct sb_logring *ring = NULL;
	struct sb_err err = SB_ERR_INIT;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/ring", testdir);
	ck_assert_msg(sb_logring_open(dir, max_bytes, &ring, &err) == 0, "%s", err.text);
	return ring;
}

static char *in_ring(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/ring/%s", testdir, name);
	return path;
}

/* Name of the newest segment, and all bytes of the ring. */
static const char *newest(uint64_t *ret_total)
{
	static char name[300];
	DIR *d = opendir(in_ring(""));
	struct dirent *entry;
	struct stat st;

	ck_assert_ptr_nonnull(d);
	name[0] = '\0';
	*ret_total = 0;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		ck_assert_int_eq(fstatat(dirfd(d), entry->d_name, &st, 0), 0);
		*ret_total += (uint64_t)st.st_size;
		if (strcmp(entry->d_name, name) > 0)
			snprintf(name, sizeof(name), "%s", entry->d_name);
	}
	closedir(d);
	return name;
}

/* Line n has a length and a text of its own. */
static size_t make_text(uint64_t n, char *buf)
{
	size_t len = (size_t)sprintf(buf, "line %llu ", (unsigned long long)n);
	size_t more = n * 7919 % 101;

	memset(buf + len, (int)('a' + n % 26), more);
	return len + more;
}

static void add(struct sb_logring *ring, uint64_t n)
{
	struct sb_err err = SB_ERR_INIT;
	char text[256];
	size_t len = make_text(n, text);

	ck_assert_msg(sb_logring_add(ring, 1 + n / 1000, 1 + (int)(n % 2), n * 10, text, len,
				      &err) == 0,
			"%s", err.text);
}

struct seen {
	uint64_t count, first, last;
	uint64_t next, lost;
	uint64_t stop_at; /* answer false at this seq */
	bool gaps_allowed;
};

/* Every line given must be exactly the one that was added under its seq. */
static bool see(void *ctx, const struct sb_logring_line *line)
{
	struct seen *seen = ctx;
	char text[256];
	size_t len = make_text(line->seq, text);

	if (seen->count && !seen->gaps_allowed)
		ck_assert_uint_eq(line->seq, seen->last + 1);
	if (line->len != len || memcmp(line->text, text, len) != 0)
		ck_abort_msg("line %llu is wrong", (unsigned long long)line->seq);
	if (line->unix_ns != line->seq * 10 || line->generation != 1 + line->seq / 1000 ||
			line->stream != 1 + (int)(line->seq % 2))
		ck_abort_msg("line %llu has wrong fields", (unsigned long long)line->seq);
	if (!seen->count++)
		seen->first = line->seq;
	seen->last = line->seq;
	return line->seq != seen->stop_at;
}

static struct seen read_from(struct sb_logring *ring, uint64_t from, size_t max)
{
	struct seen seen = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_logring_read(ring, from, max, see, &seen, &seen.next, &seen.lost, &err) ==
					0,
			"%s", err.text);
	if (from && from <= sb_logring_next(ring))
		ck_assert_uint_eq(seen.next - from, seen.count + seen.lost);
	return seen;
}

static struct seen read_all(struct sb_logring *ring)
{
	struct seen seen = read_from(ring, 0, SIZE_MAX);

	ck_assert_uint_eq(seen.count, sb_logring_next(ring) - sb_logring_first(ring));
	ck_assert_uint_eq(seen.next, sb_logring_next(ring));
	ck_assert_uint_eq(seen.lost, 0);
	if (seen.count) {
		ck_assert_uint_eq(seen.first, sb_logring_first(ring));
		ck_assert_uint_eq(seen.last, sb_logring_next(ring) - 1);
	}
	return seen;
}

START_TEST(an_empty_ring_has_nothing)
{
	struct sb_logring *ring = opened(0);
	struct stat st;

	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(sb_logring_first(ring), 1);
		ck_assert_uint_eq(sb_logring_next(ring), 1);
		ck_assert_uint_eq(sb_logring_last_ns(ring, 1), 0);
		ck_assert_uint_eq(read_from(ring, 1, 10).next, 1);
		ck_assert_uint_eq(read_all(ring).count, 0);
		ck_assert_int_eq(sb_logring_flush(ring, NULL), 0);
		sb_logring_close(ring);
		ring = opened(0);
	}
	ck_assert_int_eq(stat(in_ring(""), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	sb_logring_close(ring);
	sb_logring_close(NULL);
}
END_TEST

START_TEST(lines_come_back_at_once_and_after_reopening)
{
	struct sb_logring *ring = opened(0);
	struct stat st;
	uint64_t total;

	for (uint64_t n = 1; n <= 500; n++) {
		add(ring, n);
		if (n % 50 == 0)
			ck_assert_uint_eq(read_all(ring).count, n);
	}
	sb_logring_close(ring);
	ring = opened(0);
	ck_assert_uint_eq(read_all(ring).count, 500);
	add(ring, 501);
	ck_assert_uint_eq(read_all(ring).count, 501);
	sb_logring_close(ring);
	ck_assert_int_eq(stat(in_ring(newest(&total)), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

/* Bounds from absurd to roomy; reopened on the way with the same bound. */
START_TEST(the_files_never_exceed_the_bound)
{
	static const uint64_t bounds[] = { 1, 300, 4096, 20000, 100000, 1000000 };
	uint64_t bound = bounds[_i], total;
	struct sb_logring *ring = opened(bound);

	for (uint64_t n = 1; n <= 3000; n++) {
		add(ring, n);
		if (n % 20)
			continue;
		ck_assert_int_eq(sb_logring_flush(ring, NULL), 0);
		newest(&total);
		ck_assert_uint_le(total, bound + RECORD_HEAD + 256);
		if (n > 2900 && bound >= 4096)
			ck_assert_uint_ge(total, bound / 8 * 5 < 200000 ? bound / 8 * 5 : 200000);
		ck_assert_uint_gt(read_all(ring).count, 0);
		if (n % 500 == 0) {
			sb_logring_close(ring);
			ring = opened(bound);
		}
	}
	sb_logring_close(ring);
}
END_TEST

START_TEST(a_smaller_bound_holds_after_the_next_line)
{
	struct sb_logring *ring = opened(1000000);
	uint64_t total;

	for (uint64_t n = 1; n <= 3000; n++)
		add(ring, n);
	sb_logring_close(ring);
	ring = opened(20000);
	ck_assert_uint_eq(read_all(ring).count, 3000);
	add(ring, 3001);
	ck_assert_int_eq(sb_logring_flush(ring, NULL), 0);
	newest(&total);
	ck_assert_uint_le(total, 20000);
	ck_assert_uint_eq(read_all(ring).last, 3001);
	sb_logring_close(ring);
}
END_TEST

START_TEST(reading_may_start_and_stop_anywhere)
{
	SB_CLEANUP(sb_logring_closep) struct sb_logring *ring = opened(200000);
	uint64_t first, next, at;
	struct seen seen;
	unsigned seed = 1;

	for (uint64_t n = 1; n <= 5000; n++)
		add(ring, n);
	first = sb_logring_first(ring);
	next = sb_logring_next(ring);
	ck_assert_uint_gt(first, 1);
	for (int i = 0; i < 300; i++) {
		uint64_t from = first + (uint64_t)rand_r(&seed) % (next - first);
		size_t max = (size_t)rand_r(&seed) % 50;

		seen = read_from(ring, from, max);
		ck_assert_uint_eq(seen.lost, 0);
		ck_assert_uint_eq(seen.count, max < next - from ? max : next - from);
		if (seen.count)
			ck_assert_uint_eq(seen.first, from);
	}
	for (at = 1; at < next; at = seen.next) { /* in steps, from before the oldest */
		seen = read_from(ring, at, 37);
		ck_assert_uint_eq(seen.lost, at == 1 ? first - 1 : 0);
	}
	ck_assert_uint_eq(at, next);
	seen = (struct seen){ .stop_at = first + 5 };
	ck_assert_int_eq(
			sb_logring_read(ring, first, 100, see, &seen, &seen.next, &seen.lost, NULL),
			0);
	ck_assert_uint_eq(seen.next, first + 6); /* the line that made it stop was given */
}
END_TEST

START_TEST(a_ring_of_100000_lines_reopens)
{
	struct sb_logring *ring = opened(0);

	for (uint64_t n = 1; n <= 100000; n++)
		add(ring, n);
	ck_assert_uint_eq(read_all(ring).count, 100000);
	sb_logring_close(ring);
	ring = opened(0);
	ck_assert_uint_eq(read_all(ring).count, 100000);
	ck_assert_uint_eq(sb_logring_last_ns(ring, 101), 1000000);
	ck_assert_uint_eq(sb_logring_last_ns(ring, 3), 29990);
	sb_logring_close(ring);
}
END_TEST

/* The law of a torn write: whatever length the last file has, the ring holds exactly the lines
 * that are whole in it, and goes on from there. */
START_TEST(a_file_cut_anywhere_holds_exactly_the_whole_lines)
{
	struct sb_logring *ring = opened(0);
	uint64_t ends[4], total, whole;
	char text[256];
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf bytes = SB_STRBUF_INIT;
	char *path;

	for (uint64_t n = 1; n <= 20; n++)
		add(ring, n);
	sb_logring_close(ring);
	path = strdup(in_ring(newest(&total)));
	ends[3] = total;
	for (uint64_t n = 20; n > 17; n--)
		ends[n - 18] = ends[n - 17] - RECORD_HEAD - make_text(n, text);
	ck_assert_int_eq(sb_fs_read(path, 1 << 20, &bytes, NULL), 0);
	for (uint64_t size = ends[0]; size <= ends[3]; size++) {
		for (int garbage = 0; garbage < 2; garbage++) {
			int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

			ck_assert_int_eq(write(fd, bytes.data, size), (ssize_t)size);
			if (garbage) /* zeros, as file systems leave them */
				ck_assert_int_eq(ftruncate(fd, (off_t)size + 500), 0);
			close(fd);
			whole = 17 + (size >= ends[1]) + (size >= ends[2]) + (size >= ends[3]);
			ring = opened(0);
			ck_assert_uint_eq(sb_logring_next(ring), whole + 1);
			ck_assert_uint_eq(read_all(ring).count, whole);
			add(ring, whole + 1);
			sb_logring_close(ring);
			ring = opened(0);
			ck_assert_uint_eq(read_all(ring).count, whole + 1);
			sb_logring_close(ring);
		}
	}
	free(path);
}
END_TEST

START_TEST(a_flipped_bit_is_found)
{
	struct sb_logring *ring = opened(0);
	uint64_t total, offset;
	char *path, c;
	int fd;

	for (uint64_t n = 1; n <= 3; n++)
		add(ring, n);
	sb_logring_close(ring);
	path = strdup(in_ring(newest(&total)));
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (offset = 0; offset < total; offset++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf bytes = SB_STRBUF_INIT;
		struct seen seen = { 0 };

		ck_assert_int_eq(sb_fs_read(path, 1 << 20, &bytes, NULL), 0);
		c = (char)(bytes.data[offset] ^ (1 << offset % 8));
		ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)offset), 1);
		ring = opened(0);
		seen = read_from(ring, 0, SIZE_MAX); /* see() checks that what is left is right */
		ck_assert_uint_lt(seen.count, 3);
		sb_logring_close(ring);
		ck_assert_int_eq(pwrite(fd, bytes.data, bytes.len, 0), (ssize_t)bytes.len);
	}
	close(fd);
	free(path);
}
END_TEST

START_TEST(a_bad_segment_in_the_middle_costs_its_lines_and_is_counted)
{
	struct sb_logring *ring = opened(80000);
	uint64_t total, first, next;
	struct seen seen;
	char name[64];

	for (uint64_t n = 1; n <= 2000; n++)
		add(ring, n);
	first = sb_logring_first(ring);
	next = sb_logring_next(ring);
	sb_logring_close(ring);
	newest(&total);
	snprintf(name, sizeof(name), "%08llu.log", (unsigned long long)first);
	ck_assert_int_eq(truncate(in_ring(name), 1000), 0);
	ring = opened(80000);
	seen = (struct seen){ .gaps_allowed = true };
	ck_assert_int_eq(sb_logring_read(ring, first, SIZE_MAX, see, &seen, &seen.next, &seen.lost,
					 NULL),
			0);
	ck_assert_uint_gt(seen.lost, 10);
	ck_assert_uint_eq(seen.count + seen.lost, next - first);
	ck_assert_uint_eq(seen.last, next - 1);
	ck_assert_int_eq(unlink(in_ring(name)), 0); /* gone under an open ring */
	seen = (struct seen){ .gaps_allowed = true };
	ck_assert_int_eq(sb_logring_read(ring, first, SIZE_MAX, see, &seen, &seen.next, &seen.lost,
					 NULL),
			0);
	ck_assert_uint_eq(seen.count + seen.lost, next - first);
	sb_logring_close(ring);
}
END_TEST

START_TEST(files_of_others_are_left_alone)
{
	static const char *const others[] = { "notes.txt", "1.log", "00000000.log", "-0000001.log",
		"000000001.log", "99999999999999999999.log", "00000001.log.tmp" };
	struct sb_logring *ring = opened(0);
	struct sb_err err;
	char dir[512];

	for (size_t i = 0; i < sb_countof(others); i++)
		ck_assert_int_eq(sb_fs_write(in_ring(others[i]), "x", 1, 0600, NULL), 0);
	add(ring, 1);
	sb_logring_close(ring);
	ring = opened(0);
	ck_assert_uint_eq(read_all(ring).count, 1);
	sb_logring_close(ring);
	snprintf(dir, sizeof(dir), "%s/ring", testdir);
	ck_assert_int_lt(
			sb_logring_destroy(dir, &err), 0); /* says so rather than take them along */
	for (size_t i = 0; i < sb_countof(others); i++)
		ck_assert_int_eq(unlink(in_ring(others[i])), 0);
	ck_assert_int_eq(sb_logring_destroy(dir, &err), 0);
	ck_assert_int_eq(access(dir, F_OK), -1);
	ck_assert_int_eq(sb_logring_destroy(dir, &err), 0);
}
END_TEST

struct raw {
	char *data;
	size_t len;
	int stream;
};

static bool take_raw(void *ctx, const struct sb_logring_line *line)
{
	struct raw *raw = ctx;

	free(raw->data);
	raw->data = malloc(line->len + 1);
	memcpy(raw->data, line->text, line->len);
	raw->len = line->len;
	raw->stream = line->stream;
	return true;
}

START_TEST(text_is_bytes_and_is_cut_at_the_cap)
{
	static const char odd[] = "a\0b\xff\xfe\n\r\x1b[0m";
	SB_CLEANUP(sb_freep) char *big = malloc(1 << 20);
	struct sb_logring *ring = opened(0);
	struct raw raw = { 0 };
	uint64_t next, lost;

	for (size_t i = 0; i < 1 << 20; i++)
		big[i] = (char)(i * 131 >> 2);
	ck_assert_int_eq(sb_logring_add(ring, 7, 3, 1, odd, sizeof(odd), NULL), 0);
	ck_assert_int_eq(sb_logring_add(ring, 7, 3, 2, NULL, 0, NULL), 0);
	ck_assert_int_eq(sb_logring_add(ring, 7, 3, 3, big, 1 << 20, NULL), 0);
	sb_logring_close(ring);
	ring = opened(0);
	sb_logring_read(ring, 1, 1, take_raw, &raw, &next, &lost, NULL);
	ck_assert_uint_eq(raw.len, sizeof(odd));
	ck_assert_mem_eq(raw.data, odd, sizeof(odd));
	ck_assert_int_eq(raw.stream, 3);
	sb_logring_read(ring, 2, 1, take_raw, &raw, &next, &lost, NULL);
	ck_assert_uint_eq(raw.len, 0);
	sb_logring_read(ring, 3, 1, take_raw, &raw, &next, &lost, NULL);
	ck_assert_uint_eq(raw.len, SB_LOGRING_LINE_MAX);
	ck_assert_mem_eq(raw.data, big, SB_LOGRING_LINE_MAX);
	free(raw.data);
	sb_logring_close(ring);
}
END_TEST

START_TEST(the_newest_time_is_the_engines_and_per_generation)
{
	struct sb_logring *ring = opened(8 * 400);

	sb_logring_add(ring, 1, 1, 100, "a", 1, NULL);
	sb_logring_add(ring, 1, 2, 110, "b", 1, NULL);
	sb_logring_add(ring, 2, 1, 200, "c", 1, NULL);
	sb_logring_add(ring, 2, 3, 900, "the agent's own remark", 22, NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(sb_logring_last_ns(ring, 1), 110);
		ck_assert_uint_eq(sb_logring_last_ns(ring, 2), 200);
		ck_assert_uint_eq(sb_logring_last_ns(ring, 3), 0);
		sb_logring_close(ring);
		ring = opened(8 * 400);
	}
	for (int i = 0; i < 12; i++) /* the newest segment holds none of the engine's */
		sb_logring_add(ring, 2, 3, 901, "one more remark", 15, NULL);
	sb_logring_close(ring);
	ring = opened(8 * 400);
	ck_assert_uint_gt(sb_logring_next(ring), 12);
	ck_assert_uint_eq(sb_logring_last_ns(ring, 2), 200);
	sb_logring_close(ring);
}
END_TEST

START_TEST(a_full_disk_loses_lines_and_says_how_many)
{
	SB_CLEANUP(sb_logring_closep) struct sb_logring *ring = opened(0);
	struct seen seen = { .gaps_allowed = true };
	struct sb_err err = SB_ERR_INIT;
	uint64_t n, refused = 0;
	char text[256];

	testdir_limit_files(20000);
	for (n = 1; n <= 3000; n++) {
		size_t len = make_text(n, text);

		refused += sb_logring_add(ring, 1 + n / 1000, 1 + (int)(n % 2), n * 10, text, len,
					   &err) < 0;
	}
	sb_logring_read(ring, 1, SIZE_MAX, see, &seen, &seen.next, &seen.lost, NULL);
	testdir_limit_files(RLIM_INFINITY);
	ck_assert_int_eq(err.code, SB_E_RANGE);
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_eq(seen.lost, refused);
	ck_assert_uint_eq(seen.count, 3000 - refused);
	ck_assert_int_eq(sb_logring_flush(ring, &err), 0); /* there is room again */
	add(ring, n);
	seen = (struct seen){ .gaps_allowed = true };
	sb_logring_read(ring, 1, SIZE_MAX, see, &seen, &seen.next, &seen.lost, NULL);
	ck_assert_uint_eq(seen.lost, refused);
	ck_assert_uint_eq(seen.last, n);
	sb_logring_close(sb_steal(ring));
	ring = opened(0);
	seen = (struct seen){ .gaps_allowed = true };
	sb_logring_read(ring, 1, SIZE_MAX, see, &seen, &seen.next, &seen.lost, NULL);
	ck_assert_uint_eq(seen.count, 3001 - refused);
}
END_TEST

/* A reader's cursor from before a power cut that took the newest lines. */
START_TEST(a_cursor_past_the_end_goes_on_with_what_is_new)
{
	struct sb_logring *ring = opened(0);
	struct seen seen;

	for (uint64_t n = 1; n <= 10; n++)
		add(ring, n);
	sb_logring_close(ring);
	ring = opened(0);
	ck_assert_uint_eq(read_from(ring, 50, 10).next, 11);
	add(ring, 11);
	add(ring, 12);
	seen = read_from(ring, 50, 10);
	ck_assert_uint_eq(seen.first, 11);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_uint_eq(seen.next, 13);
	sb_logring_close(ring);
}
END_TEST

START_TEST(what_was_flushed_or_read_outlives_a_kill)
{
	int fds[2], status;
	struct sb_logring *ring;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		ring = opened(0);
		for (uint64_t n = 1; n <= 100; n++)
			add(ring, n);
		sb_logring_flush(ring, NULL);
		for (uint64_t n = 101; n <= 200; n++)
			add(ring, n);
		read_from(ring, 150, 1);
		for (uint64_t n = 201; n <= 210; n++)
			add(ring, n);
		if (write(fds[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	ring = opened(0);
	ck_assert_uint_ge(read_all(ring).count, 200);
	sb_logring_close(ring);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logring");
	TCase *tc = tcase_create("logring");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_empty_ring_has_nothing);
	tcase_add_test(tc, lines_come_back_at_once_and_after_reopening);
	tcase_add_loop_test(tc, the_files_never_exceed_the_bound, 0, 6);
	tcase_add_test(tc, a_smaller_bound_holds_after_the_next_line);
	tcase_add_test(tc, reading_may_start_and_stop_anywhere);
	tcase_add_test(tc, a_ring_of_100000_lines_reopens);
	tcase_add_test(tc, a_file_cut_anywhere_holds_exactly_the_whole_lines);
	tcase_add_test(tc, a_flipped_bit_is_found);
	tcase_add_test(tc, a_bad_segment_in_the_middle_costs_its_lines_and_is_counted);
	tcase_add_test(tc, files_of_others_are_left_alone);
	tcase_add_test(tc, text_is_bytes_and_is_cut_at_the_cap);
	tcase_add_test(tc, the_newest_time_is_the_engines_and_per_generation);
	tcase_add_test(tc, a_full_disk_loses_lines_and_says_how_many);
	tcase_add_test(tc, a_cursor_past_the_end_goes_on_with_what_is_new);
	tcase_add_test(tc, what_was_flushed_or_read_outlives_a_kill);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
