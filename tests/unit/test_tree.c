/* test_tree.c - folders that go along with a plan: everything in them, nothing from outside. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_wire.h"
#include "testdir.h"
#include "tree.h"

static struct tree tree;
static struct sb_err err;

static void make(const char *commands)
{
	char text[2048];

	snprintf(text, sizeof(text), "cd '%s' && %s", testdir, commands);
	ck_assert_int_eq(system(text), 0);
}

static int get(const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", testdir, name);
	tree_done(&tree);
	return tree_read(path, &tree, &err);
}

START_TEST(everything_comes_along_in_order)
{
	make("mkdir -p 'd/b c/e' d/empty && printf x >'d/b c/e/f' && printf '' >d/z && "
	     "printf 'a\\0b' >d/a && chmod 4755 d/a && chmod 600 d/z && ln -s a d/link && "
	     "ln -s '../b c/e/f' d/empty/up && echo h >d/.hidden && ln -s d dlink");
	ck_assert_msg(get("d") == 0, "%s", err.text);
	ck_assert_uint_eq(tree.view.n, 6);
	ck_assert_str_eq(tree.view.files[0].path, ".hidden");
	ck_assert_str_eq(tree.view.files[1].path, "a");
	ck_assert_mem_eq(tree.view.files[1].content, "a\0b", 3);
	ck_assert_uint_eq(tree.view.files[1].len, 3);
	ck_assert_uint_eq(tree.view.files[1].mode, 0755); /* no setuid bit */
	ck_assert_str_eq(tree.view.files[2].path, "b c/e/f");
	ck_assert_str_eq(tree.view.files[3].path, "empty/up");
	ck_assert_mem_eq(tree.view.files[3].content, "x", 1);
	ck_assert_str_eq(tree.view.files[4].path, "link");
	ck_assert_str_eq(tree.view.files[5].path, "z");
	ck_assert_uint_eq(tree.view.files[5].len, 0);
	ck_assert_uint_eq(tree.view.files[5].mode, 0600);
	ck_assert_int_eq(get("dlink"), 0); /* the folder itself may be named by a link */
	ck_assert_uint_eq(tree.view.n, 6);
	tree_done(&tree);
}
END_TEST

static const char *const bad[] = {
	"mkdir d && ln -s /etc/passwd d/x",
	"mkdir d dd && echo s >dd/s && ln -s ../dd/s d/x", /* a neighbour whose name begins alike */
	"mkdir d && ln -s . d/x",
	"mkdir d && ln -s nowhere d/x",
	"mkdir d && ln -s x d/x",
	"mkdir d && mkfifo d/x",
	"mkdir d dd && ln -s ../dd d/x",
	"echo >d",
	"true",
	"mkdir -p d/$(seq -s / 20) && echo >d/$(seq -s / 20)/x",
};

START_TEST(what_is_not_within_or_not_plain_is_refused)
{
	make(bad[_i]);
	ck_assert_int_lt(get("d"), 0);
	ck_assert_uint_eq(tree.view.n, 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/d"));
}
END_TEST

START_TEST(the_caps_hold)
{
	char path[1024];
	int fd;

	make("mkdir d");
	snprintf(path, sizeof(path), "%s/d/big", testdir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, (off_t)SB_PLAN_FILES_MAX_BYTES), 0);
	ck_assert_int_eq(get("d"), 0);
	make("echo >d/one");
	ck_assert_int_eq(get("d"), -SB_E_RANGE);
	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0); /* not read to find out */
	ck_assert_int_eq(get("d"), -SB_E_RANGE);
	close(fd);
	make("rm d/big && i=0; while [ $i -lt 1023 ]; do : >d/$i; i=$((i + 1)); done");
	ck_assert_int_eq(get("d"), 0);
	make(": >d/more");
	ck_assert_int_eq(get("d"), -SB_E_RANGE);
	tree_done(&tree);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree");
	TCase *tc = tcase_create("tree");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_test(tc, everything_comes_along_in_order);
	tcase_add_loop_test(tc, what_is_not_within_or_not_plain_is_refused, 0, sb_countof(bad));
	tcase_add_test(tc, the_caps_hold);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
