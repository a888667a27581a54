/* test_entry.c - the entry script: its text once, and then what it does, under the shells that are
 * here. Nothing in a hook's text or label may become anything but that hook's text. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_entry.h"
#include "testdir.h"

static Sparkbus__LaunchPlan plan;
static Sparkbus__Hook hooks[4];
static Sparkbus__Hook *list[] = { &hooks[0], &hooks[1], &hooks[2], &hooks[3] };

static void hook(const char *command, const char *from, const char *to)
{
	static const char *const labels[] = { "pre_exec[0]", "pre_exec[1]", "mods[0]", "mods[1]" };
	Sparkbus__Hook *h = &hooks[plan.n_pre_exec];

	sparkbus__hook__init(h);
	h->label = (char *)labels[plan.n_pre_exec];
	if (command)
		h->command = (char *)command;
	if (from)
		h->copy_from = (char *)from;
	if (to)
		h->copy_to = (char *)to;
	plan.pre_exec = list;
	plan.n_pre_exec++;
}

static void setup(void)
{
	sparkbus__launch_plan__init(&plan);
}

static char *script(const char *user)
{
	struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_entry_script(&plan, user, &out, &err) == 0, "%s", err.text);
	return sb_strbuf_steal(&out);
}

/* Run the script with @shell and the words @serve (shell text); *ret gets both outputs. */
static int run(const char *shell, const char *user, const char *serve, struct sb_strbuf *ret)
{
	char *text = script(user), path[512], command[2048], part[512];
	FILE *f, *p;
	size_t n;

	snprintf(path, sizeof(path), "%s/entry", testdir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	free(text);
	snprintf(command, sizeof(command), "cd %s && %s %s %s 2>&1", testdir, shell, path, serve);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	sb_strbuf_reset(ret);
	while ((n = fread(part, 1, sizeof(part), p)) > 0)
		sb_strbuf_add(ret, part, n);
	return WEXITSTATUS(pclose(p));
}

static const char *const shells[] = { "sh", "bash", "busybox sh" };

START_TEST(the_text_is_this)
{
	char *text;
	const char *tail;

	hook("echo 'a' \"b\"\n", NULL, NULL);
	hook(NULL, "/.sparkbus/copy/1", "/o p");
	text = script("");
	tail = strstr(text, "hook 'pre");
	ck_assert_ptr_nonnull(tail);
	ck_assert_str_eq(tail,
			"hook 'pre_exec[0]' 'echo '\\''a'\\'' \"b\"\n'\n"
			"copy 'pre_exec[1]' '/.sparkbus/copy/1' '/o p'\n"
			"trap - TERM INT\n"
			"exec \"$@\"\n");
	ck_assert_int_eq(strncmp(text, "#!/bin/sh\n", 10), 0);
	free(text);
}
END_TEST

START_TEST(hooks_run_in_order_and_then_the_command_becomes_the_process)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	hook("cd /; X=1; echo one >&2", NULL, NULL);
	hook("echo two $X; pwd | grep -c sb-test", NULL, NULL);
	hook("cat; echo three", NULL, NULL); /* standard input is nobody's */
	ck_assert_int_eq(
			run(shells[_i], "", "sh -c 'echo serve \"$1\"; exit 7' x 'a  b'", &out), 7);
	ck_assert_msg(strstr(sb_strbuf_str(&out),
				      SB_ENTRY_MARK "pre_exec[0]\none\n" SB_ENTRY_MARK
						    "pre_exec[1]\ntwo\n") != NULL,
			"%s", sb_strbuf_str(&out));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "three\nserve a  b\n"));
}
END_TEST

START_TEST(a_hook_that_fails_is_named_and_nothing_serves)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	hook("true", NULL, NULL);
	hook("echo why; exit 3", NULL, NULL);
	hook("echo later", NULL, NULL);
	ck_assert_int_eq(run(shells[_i], "", "echo serve", &out), 3);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out),
			"why\n" SB_ENTRY_MARK "pre_exec[1] failed with status 3; the serve command "
			"was not started\n"));
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "later"));
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "\nserve"));
}
END_TEST

static const char *const hostile[] = { "'", "''", "'; echo HACKED; '", "$(echo HACKED)",
	"`echo HACKED`", "\\", "\\'", "a\nb", "\"", "!!", "$'x'", "${IFS}", "; exit 9", "#", "*",
	"\n'\n", "\xff\xfe", "&& echo HACKED", "EOF\nHACKED" };

/* As a hook's own text a shell would run it; as an argument of one it must come through whole. */
START_TEST(nothing_breaks_out_of_its_quotes)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT, text = SB_STRBUF_INIT;
	char want[128];

	sb_strbuf_adds(&text, "printf '<%s>' ");
	sb_entry_quote(&text, hostile[_i]);
	hook(sb_strbuf_str(&text), NULL, NULL);
	snprintf(want, sizeof(want), "<%s>", hostile[_i]);
	for (size_t i = 0; i < sb_countof(shells); i++) {
		ck_assert_int_eq(run(shells[i], "", "echo serve", &out), 0);
		ck_assert_msg(strstr(sb_strbuf_str(&out), want) != NULL, "%s: %s", shells[i],
				sb_strbuf_str(&out));
	}
}
END_TEST

START_TEST(a_copy_takes_the_contents_and_keeps_what_is_there)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	char from[512], to[512], make[2048];

	snprintf(from, sizeof(from), "%s/from it's", testdir);
	snprintf(to, sizeof(to), "%s/new/to", testdir);
	snprintf(make, sizeof(make),
			"mkdir -p '%s/from it'\\''s/sub' '%s' && echo A >'%s/from it'\\''s/sub/a' "
			"&& "
			"chmod 750 '%s/from it'\\''s/sub/a' && echo B >'%s/b'",
			testdir, to, testdir, testdir, to);
	ck_assert_int_eq(system(make), 0);
	hook(NULL, from, to);
	ck_assert_int_eq(run(shells[_i], "",
					 "sh -c 'cat new/to/sub/a new/to/b; stat -c %a "
					 "new/to/sub/a'",
					 &out),
			0);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "A\nB\n750\n"));
	plan.n_pre_exec = 0;
	hook(NULL, "/nowhere", to);
	ck_assert_int_eq(run(shells[_i], "", "echo serve", &out), 1);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "pre_exec[0] failed: copying to"));
}
END_TEST

/* Fields of /proc/self/status after the drop, as the container's engine would have it. */
START_TEST(the_command_runs_as_the_user_and_as_nothing_more)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	const char *text;

	if (geteuid() != 0)
		return;
	hook("id -u", NULL, NULL);
	ck_assert_int_eq(chmod(testdir, 0755) | chmod(testdir_root, 0755), 0);
	ck_assert_int_eq(run("sh", _i ? "4321" : "4321:4322",
					 "grep -E '^(Uid|Gid|Groups|Cap(Eff|Prm|Inh|Amb))' "
					 "/proc/self/status",
					 &out),
			0);
	text = sb_strbuf_str(&out);
	ck_assert_msg(strstr(text, "pre_exec[0]\n0\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "Uid:\t4321\t4321\t4321\t4321\n") != NULL, "%s", text);
	ck_assert_ptr_nonnull(
			strstr(text, _i ? "Gid:\t0\t0\t0\t0\n" : "Gid:\t4322\t4322\t4322\t4322\n"));
	ck_assert_ptr_nonnull(strstr(text, "Groups:\t \n"));
	ck_assert_ptr_nonnull(strstr(text, "CapPrm:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(text, "CapEff:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(text, "CapInh:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(text, "CapAmb:\t0000000000000000\n"));
}
END_TEST

START_TEST(names_are_looked_up_where_the_command_runs)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	if (geteuid() != 0)
		return;
	hook("true", NULL, NULL);
	ck_assert_int_eq(chmod(testdir, 0755) | chmod(testdir_root, 0755), 0);
	ck_assert_int_eq(run("sh", "nobody:daemon", "sh -c 'id -un; id -gn'", &out), 0);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "nobody\ndaemon\n"));
	ck_assert_int_eq(run("sh", "no-such", "echo serve", &out), 126);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "knows no user no-such"));
	ck_assert_int_eq(run("sh", "nobody:no-such", "echo serve", &out), 126);
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "\nserve"));
}
END_TEST

/* An image without setpriv has python3, or coreutils' chroot; without any the engine does not run
 * as root by mistake. */
START_TEST(other_programs_drop_as_well)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	static const char *const hidden[] = { "/usr/bin/setpriv", "/usr/bin/python3",
		"/usr/sbin/chroot" };
	char shell[2048] = "PATH=/usr/sbin:/usr/bin unshare -m sh -c '";

	/* Mounts of its own, in which programs are hidden: root's, and not every root's. */
	if (geteuid() != 0 || system("unshare -m true 2>/dev/null") != 0 ||
			(_i == 0 && access(hidden[1], X_OK) < 0))
		return;
	hook("true", NULL, NULL);
	ck_assert_int_eq(chmod(testdir, 0755) | chmod(testdir_root, 0755), 0);
	for (int i = 0; i <= _i; i++)
		if (access(hidden[i], F_OK) == 0)
			sprintf(shell + strlen(shell), "mount --bind /dev/null %s && ", hidden[i]);
	strcat(shell, "exec sh \"$@\"' x");
	ck_assert_int_eq(run(shell, "4321:4322", "cat /proc/self/status", &out), _i == 2 ? 126 : 0);
	if (_i == 2)
		ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "cannot become user 4321:4322"));
	else
		ck_assert_msg(strstr(sb_strbuf_str(&out), "Uid:\t4321\t4321") != NULL &&
						strstr(sb_strbuf_str(&out), "Gid:\t4322") != NULL &&
						strstr(sb_strbuf_str(&out), "Groups:\t \n") !=
								NULL &&
						strstr(sb_strbuf_str(&out),
								"CapEff:\t0000000000000000"),
				"%s", sb_strbuf_str(&out));
}
END_TEST

START_TEST(a_stop_during_a_hook_is_heard_at_once)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	hook("sleep 5", NULL, NULL);
	/* As process 1, whose default is to ignore: the trap must be there. */
	ck_assert_int_eq(run("timeout -s TERM 0.3 sh", "", "echo serve", &out), 124);
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "\nserve"));
}
END_TEST

START_TEST(root_needs_no_drop)
{
	static const char *const stay[] = { "", "root", "0", "0:0", "root:users", "0:1000" };
	static const char *const drop[] = { "1000", "1000:0", "me", "rooty", "10:0", "00x" };

	for (size_t i = 0; i < sb_countof(stay); i++)
		ck_assert_msg(!sb_entry_drops(stay[i]), "%s", stay[i]);
	for (size_t i = 0; i < sb_countof(drop); i++)
		ck_assert_msg(sb_entry_drops(drop[i]), "%s", drop[i]);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	static const char *const users[] = { "a b", "$(id)", "a:", ":1", "a:b:c", "'", "-u", "a:-g",
		"\n" };
	struct sb_strbuf out = SB_STRBUF_INIT;

	hook("true", NULL, NULL);
	for (size_t i = 0; i < sb_countof(users); i++)
		if (sb_entry_drops(users[i]))
			ck_assert_int_eq(sb_entry_script(&plan, users[i], &out, NULL),
					-SB_E_INVALID);
	plan.n_pre_exec = 0;
	hook(NULL, NULL, NULL);
	ck_assert_int_eq(sb_entry_script(&plan, "", &out, NULL), -SB_E_INVALID);
	plan.n_pre_exec = 0;
	hook("x", NULL, "/y");
	ck_assert_int_eq(sb_entry_script(&plan, "", &out, NULL), -SB_E_INVALID);
	plan.n_pre_exec = 0;
	hook(NULL, "/x", "y");
	ck_assert_int_eq(sb_entry_script(&plan, "", &out, NULL), -SB_E_INVALID);
	sb_strbuf_done(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entry");
	TCase *tc = tcase_create("entry");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_text_is_this);
	tcase_add_loop_test(tc, hooks_run_in_order_and_then_the_command_becomes_the_process, 0, 3);
	tcase_add_loop_test(tc, a_hook_that_fails_is_named_and_nothing_serves, 0, 3);
	tcase_add_loop_test(tc, nothing_breaks_out_of_its_quotes, 0, sb_countof(hostile));
	tcase_add_loop_test(tc, a_copy_takes_the_contents_and_keeps_what_is_there, 0, 3);
	tcase_add_loop_test(tc, the_command_runs_as_the_user_and_as_nothing_more, 0, 2);
	tcase_add_test(tc, names_are_looked_up_where_the_command_runs);
	tcase_add_loop_test(tc, other_programs_drop_as_well, 0, 3);
	tcase_add_test(tc, a_stop_during_a_hook_is_heard_at_once);
	tcase_add_test(tc, root_needs_no_drop);
	tcase_add_test(tc, what_cannot_be_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
