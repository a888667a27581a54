/* Chores, on a copy of /proc and on real files. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "testdir.h"

#include "sb_fs.h"
#include "sb_upkeep.h"

#define OWNER 12345u

static sd_event *loop;
static struct sb_mailbox *box;
static struct sb_upkeep *upkeep;
static char cache[128];
static struct {
	bool over, changed;
	Sparkbus__Outcome outcome;
	char text[512];
} got;

static void put(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);

	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

static void folder(const char *name)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);

	ck_assert_int_eq(sb_fs_mkdirs(path, 0755, NULL), 0);
}

static void own(const char *name, uid_t uid)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);

	ck_assert_int_eq(lchown(path, uid, uid), 0);
}

static uid_t owner(const char *name)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st.st_uid;
}

static void setup(void)
{
	testdir_make();
	snprintf(cache, sizeof(cache), "%s/home/cache", testdir);
	ck_assert_int_ge(sd_event_new(&loop), 0);
	ck_assert_int_eq(sb_mailbox_new(loop, &box, NULL), 0);
	ck_assert_int_eq(sb_upkeep_new(box, testdir, cache, &upkeep, NULL), 0);
}

static void teardown(void)
{
	sb_upkeep_free(upkeep);
	sb_mailbox_free(box);
	sd_event_unref(loop);
	testdir_done();
}

static void on_over(void *ctx, const Sparkbus__UpkeepReply *reply)
{
	got.over = true;
	got.changed = reply->changed;
	got.outcome = reply->outcome;
	for (size_t i = 0; i < reply->n_evidence; i++) {
		strncat(got.text, reply->evidence[i]->observed,
				sizeof(got.text) - strlen(got.text) - 1);
		strncat(got.text, "\n", sizeof(got.text) - strlen(got.text) - 1);
	}
}

static void run(Sparkbus__Chore chore, bool dry)
{
	Sparkbus__UpkeepRequest request = SPARKBUS__UPKEEP_REQUEST__INIT;

	request.chore = chore;
	request.dry_run = dry;
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(sb_upkeep_run(upkeep, &request, on_over, NULL, NULL), 0);
	ck_assert_int_eq(sb_upkeep_run(upkeep, &request, on_over, NULL, NULL), -SB_E_BUSY);
	while (!got.over)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
}

#define DONE   SPARKBUS__OUTCOME__OUTCOME_DONE
#define FAILED SPARKBUS__OUTCOME__OUTCOME_FAILED

START_TEST(the_cache_is_dropped_and_both_sizes_told)
{
	struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, "sys/vm/drop_caches");

	folder("sys/vm");
	put("sys/vm/drop_caches", "");
	put("meminfo", "MemTotal: 127600748 kB\nBuffers:    1048576 kB\nCached:    36700160 kB\n");
	run(SPARKBUS__CHORE__CHORE_CLEAR_CACHE, true);
	ck_assert_str_eq(got.text, "36.00 GiB would be dropped, but for what is in use\n");
	ck_assert(!got.changed);
	ck_assert_int_eq(sb_fs_read(path, 100, &text, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&text), "");
	run(SPARKBUS__CHORE__CHORE_CLEAR_CACHE, false);
	ck_assert_int_eq(got.outcome, DONE);
	ck_assert_str_eq(got.text, "36.00 GiB before, 36.00 GiB after\n");
	ck_assert_int_eq(sb_fs_read(path, 100, &text, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&text), "3\n");
	sb_strbuf_done(&text);
}
END_TEST

START_TEST(what_cannot_be_dropped_is_no_success)
{
	run(SPARKBUS__CHORE__CHORE_CLEAR_CACHE, false);
	ck_assert_int_eq(got.outcome, FAILED);
	ck_assert(!got.changed);
	ck_assert_ptr_nonnull(strstr(got.text, "No such file or directory"));
}
END_TEST

/* A tree as containers leave it, with a trap. */
static void make_tree(void)
{
	SB_CLEANUP(sb_freep) char *from = sb_fs_join(testdir, "shadow");
	SB_CLEANUP(sb_freep) char *hard = sb_fs_join(testdir, "home/cache/hub/hard");
	SB_CLEANUP(sb_freep) char *soft = sb_fs_join(testdir, "home/cache/hub/soft");
	SB_CLEANUP(sb_freep) char *up = sb_fs_join(testdir, "home/cache/hub/up");

	folder("home/cache/hub/blobs");
	put("home/cache/hub/blobs/a", "weights");
	put("shadow", "root's own");
	put("home/cache/mine", "");
	ck_assert_int_eq(link(from, hard), 0);
	ck_assert_int_eq(symlink("../../../shadow", soft), 0);
	ck_assert_int_eq(symlink("..", up), 0);
	own("home", OWNER);
	own("home/cache/mine", OWNER);
}

START_TEST(the_owner_gets_his_files_and_nothing_else)
{
	if (geteuid() != 0) /* only root can give files away */
		return;
	make_tree();
	run(SPARKBUS__CHORE__CHORE_FIX_OWNERS, true);
	ck_assert_int_eq(got.outcome, DONE);
	ck_assert(!got.changed);
	ck_assert_uint_eq(owner("home/cache/hub/blobs/a"), 0);
	run(SPARKBUS__CHORE__CHORE_FIX_OWNERS, false);
	ck_assert_int_eq(got.outcome, DONE);
	ck_assert(got.changed);
	ck_assert_ptr_nonnull(strstr(got.text, "6 of 8 files in"));
	ck_assert_ptr_nonnull(strstr(got.text, "1 files with a second name are left alone"));
	ck_assert_uint_eq(owner("home/cache"), OWNER);
	ck_assert_uint_eq(owner("home/cache/hub/blobs/a"), OWNER);
	ck_assert_uint_eq(owner("home/cache/hub/soft"), OWNER); /* the link itself */
	ck_assert_uint_eq(owner("shadow"), 0);
	run(SPARKBUS__CHORE__CHORE_FIX_OWNERS, false);
	ck_assert(!got.changed); /* the second time there is nothing to do */
}
END_TEST

START_TEST(no_cache_is_no_failure)
{
	run(SPARKBUS__CHORE__CHORE_FIX_OWNERS, false);
	ck_assert_int_eq(got.outcome, DONE);
	ck_assert_ptr_nonnull(strstr(got.text, "there is none"));
}
END_TEST

START_TEST(an_unknown_chore_is_refused)
{
	Sparkbus__UpkeepRequest request = SPARKBUS__UPKEEP_REQUEST__INIT;

	ck_assert_int_eq(sb_upkeep_run(upkeep, &request, on_over, NULL, NULL), -SB_E_INVALID);
	request.chore = (Sparkbus__Chore)99;
	ck_assert_int_eq(sb_upkeep_run(upkeep, &request, on_over, NULL, NULL), -SB_E_INVALID);
	request.chore = (Sparkbus__Chore)-1;
	ck_assert_int_eq(sb_upkeep_run(upkeep, &request, on_over, NULL, NULL), -SB_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("upkeep");
	TCase *tc = tcase_create("upkeep");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_cache_is_dropped_and_both_sizes_told);
	tcase_add_test(tc, what_cannot_be_dropped_is_no_success);
	tcase_add_test(tc, the_owner_gets_his_files_and_nothing_else);
	tcase_add_test(tc, no_cache_is_no_failure);
	tcase_add_test(tc, an_unknown_chore_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
