/* testdir.h - a folder of its own for every test.
 * check runs each test in a child, where a failed assertion skips the teardown. So the runner
 * itself makes one root (unchecked fixture), each test a folder in it, and the runner removes all.
 */
#ifndef TESTDIR_H
#define TESTDIR_H

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <check.h>

static char *testdir_root;
static char *testdir; /* this test's own, fresh and empty, mode 0700 */

static inline int testdir_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void testdir_root_make(void)
{
	const char *tmp = getenv("TMPDIR");

	if (asprintf(&testdir_root, "%s/sb-test-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0 ||
			!mkdtemp(testdir_root))
		abort();
}

static inline void testdir_root_remove(void)
{
	nftw(testdir_root, testdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
	free(testdir_root);
}

static inline void testdir_make(void)
{
	if (asprintf(&testdir, "%s/XXXXXX", testdir_root) < 0 || !mkdtemp(testdir))
		abort();
}

static inline void testdir_done(void)
{
	free(testdir);
}

/** Writes past @bytes of a file fail, as on a full disk; RLIM_INFINITY ends it. check's own
 * messages go through a file too: assert little in between. */
static inline void testdir_limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
}

/** Give every test of @tc a folder: testdir. */
static inline void testdir_use(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, testdir_make, testdir_done);
}

#endif
