#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sb_shellwords.h"

static void join(const struct sb_words *words, struct sb_strbuf *out)
{
	for (size_t i = 0; i < words->n; i++)
		sb_strbuf_addf(out, "<%s>", words->items[i]);
}

static const struct {
	const char *text, *words; /* NULL: a script */
} cases[] = {
	{ "vllm serve m", "<vllm><serve><m>" },
	{ "  vllm\tserve  m \n", "<vllm><serve><m>" },
	{ "# lead\n\nvllm serve m # tail\n# more\n", "<vllm><serve><m>" },
	{ "vllm serve \\\n  m \\\n  --port 8000", "<vllm><serve><m><--port><8000>" },
	{ "vl\\\nlm x", "<vllm><x>" },
	{ "a '{\"x\": 1, \"y\": [2]}' b", "<a><{\"x\": 1, \"y\": [2]}><b>" },
	{ "a \"{\\\"x\\\": 1}\"", "<a><{\"x\": 1}>" },
	{ "a \"x\\ny\" 'x\\ny'", "<a><x\\ny><x\\ny>" },
	{ "a \"x\\\ny\"", "<a><xy>" },
	{ "a \"\" ''", "<a><><>" },
	{ "a x\"y\"'z'w", "<a><xyzw>" },
	{ "a \\$x \\# \\'", "<a><$x><#><'>" },
	{ "a x#y", "<a><x#y>" },
	{ "a {unknown} {}", "<a><{unknown}><{}>" },
	{ "a x~ y=~z", NULL },
	{ "a x~", "<a><x~>" },
	{ "''~", "<~>" },
	{ "a ''~ \"\"~x", "<a><~><~x>" },
	{ "A=1 B='x y' vllm serve", "<env><A=1><B=x y><vllm><serve>" },
	{ "a A=1", "<a><A=1>" },
	{ "'A=1' a", "<A=1><a>" },
	{ "A'='1 a", "<A=1><a>" },
	{ "a é=1", "<a><é=1>" },
	{ "A=1", NULL },
	{ "a $HOME", NULL },
	{ "a \"$HOME\"", NULL },
	{ "a '$HOME'", "<a><$HOME>" },
	{ "a `b`", NULL },
	{ "a \"`b`\"", NULL },
	{ "a; b", NULL },
	{ "a && b", NULL },
	{ "a | b", NULL },
	{ "a > b", NULL },
	{ "a 2>&1", NULL },
	{ "(a)", NULL },
	{ "a &", NULL },
	{ "a\nb", NULL },
	{ "a *", NULL },
	{ "a x?", NULL },
	{ "a [x]", NULL },
	{ "a '*'", "<a><*>" },
	{ "a ~/x", NULL },
	{ "A=~/x a", NULL },
	{ "a {1,2}", NULL },
	{ "a {1..3}", NULL },
	{ "a 1,2..3{x}", "<a><1,2..3{x}>" },
	{ "a '{1,2}'", "<a><{1,2}>" },
	{ "exec a", NULL },
	{ "cd /x", NULL },
	{ "export A=1", NULL },
	{ "if a", NULL },
	{ "A=1 exec b", NULL },
	{ "! a", NULL },
	{ "'if' a", "<if><a>" },
	{ "a exec", "<a><exec>" },
	{ "a \\", "<a><\\>" },
};

START_TEST(text_becomes_words_or_a_script)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf got = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	enum sb_shell_kind kind;

	ck_assert_msg(sb_shell_split(cases[_i].text, &words, &kind, &err) == 0, "%s: %s",
			cases[_i].text, err.text);
	join(&words, &got);
	if (!cases[_i].words)
		ck_assert_msg(kind == SB_SHELL_SCRIPT, "%s: %s", cases[_i].text,
				sb_strbuf_str(&got));
	else
		ck_assert_msg(kind == SB_SHELL_SIMPLE &&
						!strcmp(sb_strbuf_str(&got), cases[_i].words),
				"%s: want %s, got %s (%d)", cases[_i].text, cases[_i].words,
				sb_strbuf_str(&got), kind);
}
END_TEST

START_TEST(no_command_and_open_quotes_are_errors)
{
	static const char *const texts[] = { "", "  \n", "# only", "a 'x", "a \"x", "a \"x\\\"",
		"\\\n" };
	struct sb_words words = { 0 };
	struct sb_err err = SB_ERR_INIT;
	enum sb_shell_kind kind;

	for (size_t i = 0; i < sb_countof(texts); i++) {
		ck_assert_int_eq(sb_shell_split(texts[i], &words, &kind, &err), -SB_E_INVALID);
		ck_assert_ptr_nonnull(strstr(err.text, "expected"));
		ck_assert_uint_eq(words.n, 0);
	}
}
END_TEST

START_TEST(too_many_words_are_refused)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_words words = { 0 };
	enum sb_shell_kind kind;

	for (unsigned i = 0; i <= SB_WORDS_MAX; i++)
		sb_strbuf_adds(&text, "a ");
	ck_assert_int_eq(sb_shell_split(sb_strbuf_str(&text), &words, &kind, NULL), -SB_E_RANGE);
}
END_TEST

/* Everything that @text prints when bash runs it with "p" as a function that shows its words. */
static void bash_says(const char *text, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf script = SB_STRBUF_INIT;
	char chunk[4096];
	int fds[2];
	ssize_t n;
	pid_t pid;

	sb_strbuf_addf(&script, "p() { printf '<%%s>' p \"$@\"; }\n%s", text);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		dup2(open("/dev/null", O_WRONLY), 2);
		execlp("bash", "bash", "--noprofile", "--norc", "-c", sb_strbuf_str(&script), NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((n = read(fds[0], chunk, sizeof(chunk))) > 0)
		sb_strbuf_add(out, chunk, (size_t)n);
	close(fds[0]);
	waitpid(pid, NULL, 0);
}

/* Law: what we call simple, bash splits into the same words. Texts are made of the pieces that
 * matter, in every order that a fixed sequence of numbers gives. */
START_TEST(bash_agrees_on_what_is_simple)
{
	static const char *const pieces[] = { "a", " ", "\\", "'", "\"", "#", "\n", "{", "}", "=",
		"b c", "\\\n", "é", "-", ":", "]", "^", "%", "!", "@", "+", "\t", ",", ".." };
	uint32_t seed = 12345 + (uint32_t)_i;
	unsigned simple = 0;

	for (int round = 0; round < 40; round++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf ours = SB_STRBUF_INIT;
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf theirs = SB_STRBUF_INIT;
		SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
		enum sb_shell_kind kind;

		sb_strbuf_adds(&text, "p ");
		for (int i = 0; i < 12; i++) {
			seed = seed * 1664525 + 1013904223;
			sb_strbuf_adds(&text, pieces[(seed >> 16) % sb_countof(pieces)]);
		}
		if (sb_shell_split(sb_strbuf_str(&text), &words, &kind, NULL) < 0 ||
				kind != SB_SHELL_SIMPLE)
			continue;
		simple++;
		join(&words, &ours);
		bash_says(sb_strbuf_str(&text), &theirs);
		ck_assert_msg(!strcmp(sb_strbuf_str(&ours), sb_strbuf_str(&theirs)),
				"text [%s]\nours   %s\ntheirs %s", sb_strbuf_str(&text),
				sb_strbuf_str(&ours), sb_strbuf_str(&theirs));
	}
	ck_assert_uint_gt(simple, 0);
}
END_TEST

static const struct {
	const char *text, *want;
} tails[] = {
	{ "a b", "a b" },
	{ "a b  \n", "a b" },
	{ "a b \\", "a b" },
	{ "a b \\\n", "a b" },
	{ "a b \\\\", "a b \\\\" },
	{ "a b # c", "a b" },
	{ "a b\n# c", "a b" },
	{ "a b \\\n# c\n# d \\", "a b" },
	{ "a '# b'", "a '# b'" },
	{ "a \"# b\"", "a \"# b\"" },
	{ "a b#c", "a b#c" },
	{ "# c\na", "# c\na" },
	{ "a \\# b", "a \\# b" },
	{ "# only", "" },
	{ "a \\\n# c \\\n\\\n  # d\n\\ \n# e\n", "a" },
	{ "a # b\nc # d", "a # b\nc" },
	{ "a # it's\nb 'x # y'", "a # it's\nb 'x # y'" },
	{ "", "" },
};

START_TEST(nothing_at_the_tail_swallows_what_follows)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", tails[_i].text);
	sb_shell_trim_tail(text);
	ck_assert_str_eq(text, tails[_i].want);
}
END_TEST

START_TEST(flags_are_found_in_both_spellings)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	enum sb_shell_kind kind;

	ck_assert_int_eq(sb_shell_split("v --port 1 --port=2 --portal 3 --last", &words, &kind,
					 NULL),
			0);
	ck_assert_str_eq(sb_words_flag(&words, "--port"), "2");
	ck_assert_str_eq(sb_words_flag(&words, "--last"), "");
	ck_assert_ptr_null(sb_words_flag(&words, "--por"));
}
END_TEST

static const struct {
	const char *text, *want; /* NULL = no such line */
} strays[] = {
	{ "a --x\n--y 1", "--y 1" },
	{ "a \\\n  --x \\\n\n  --y", "--y" },
	{ "a \\\n  # why\n  -tp 2", "-tp 2" },
	{ "a --x \\\n--y", NULL },
	{ "a\nb --y", NULL },
	{ "a '\n--y'", NULL },
	{ "a\n'--y'", NULL },
	{ "# lead\n\na --x\n", NULL },
	{ "a\n# --y\n", NULL },
	{ "--x", NULL },
};

START_TEST(a_line_that_begins_with_an_option_is_found)
{
	const struct sb_strbuf text = sb_strbuf_view(strays[_i].text);
	const char *got = sb_shell_stray_option(&text);

	if (strays[_i].want)
		ck_assert_str_eq(got, strays[_i].want);
	else
		ck_assert_ptr_null(got);
}
END_TEST

START_TEST(a_simple_command_is_its_own_process)
{
	SB_CLEANUP(sb_words_done) struct sb_words argv = { 0 };
	const struct sb_strbuf text = sb_strbuf_view("vllm serve 'a b'");
	bool init = true;

	ck_assert_int_eq(sb_shell_argv(&text, 0, &argv, &init, NULL), 0);
	ck_assert(!init);
	ck_assert_uint_eq(argv.n, 3);
	ck_assert_str_eq(argv.items[2], "a b");
	ck_assert_ptr_null(argv.items[3]);
}
END_TEST

/* "up" must come from the engine itself: a signal that meets the shell between two commands may be
 * lost in the exec that follows. */
/* Start the argv for @text; its stdout comes by *@ret_fd. */
static pid_t start(const char *text, int *ret_fd)
{
	SB_CLEANUP(sb_words_done) struct sb_words argv = { 0 };
	const struct sb_strbuf buf = sb_strbuf_view(text);
	bool init = false;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(sb_shell_argv(&buf, 0, &argv, &init, NULL), 0);
	ck_assert(init);
	ck_assert_str_eq(argv.items[0], "bash");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(fds[1], 1);
		execvp(argv.items[0], argv.items);
		_exit(127);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

/* Read until @want was seen or the writers are gone. */
static void read_until(int fd, const char *want)
{
	char got[256] = "";
	size_t n = 0;

	while (!strstr(got, want)) {
		ssize_t r = read(fd, got + n, sizeof(got) - 1 - n);

		ck_assert_msg(r > 0, "want %s, got %s", want, got);
		n += (size_t)r;
		got[n] = '\0';
	}
}

static int wait_status(pid_t pid)
{
	int status = 0;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(a_script_ends_with_its_own_status)
{
	int fd = -1;
	pid_t pid = start("true && exit 7", &fd);

	ck_assert_int_eq(WEXITSTATUS(wait_status(pid)), 7);
	close(fd);
}
END_TEST

/* The engine stands in a pipe, as far from the shell as it gets; the signal must reach it and its
 * status must come back. End of file says that nothing was left behind. */
START_TEST(a_script_passes_sigterm_to_the_engine)
{
	int fd = -1;
	pid_t pid = start("set -o pipefail; "
			  "bash -c 'trap \"echo bye; exit 42\" TERM; echo up; "
			  "while :; do sleep 0.05; done' | "
			  "(trap '' TERM; cat)",
			&fd);
	char rest[64];

	read_until(fd, "up");
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	read_until(fd, "bye");
	ck_assert_int_eq(WEXITSTATUS(wait_status(pid)), 42);
	ck_assert_int_eq(read(fd, rest, sizeof(rest)), 0);
	close(fd);
}
END_TEST

/* What stands behind the engine in the text must not start when the engine was told to end. */
START_TEST(a_script_does_not_go_on_after_sigterm)
{
	int fd = -1;
	pid_t pid = start("bash -c 'echo up; while :; do sleep 0.05; done'; echo more; sleep 1000",
			&fd);
	char rest[64];

	read_until(fd, "up");
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(WEXITSTATUS(wait_status(pid)), 128 + SIGTERM);
	ck_assert_int_eq(read(fd, rest, sizeof(rest)), 0);
	close(fd);
}
END_TEST

START_TEST(an_engine_without_a_handler_dies_of_sigterm)
{
	int fd = -1;
	pid_t pid = start("exec bash -c 'echo up; while :; do sleep 0.05; done'", &fd);
	char rest[64];

	read_until(fd, "up");
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(WEXITSTATUS(wait_status(pid)), 128 + SIGTERM);
	ck_assert_int_eq(read(fd, rest, sizeof(rest)), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shellwords");
	TCase *tc = tcase_create("shellwords");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, text_becomes_words_or_a_script, 0, sb_countof(cases));
	tcase_add_test(tc, no_command_and_open_quotes_are_errors);
	tcase_add_test(tc, too_many_words_are_refused);
	tcase_add_loop_test(tc, bash_agrees_on_what_is_simple, 0, 10);
	tcase_add_loop_test(tc, nothing_at_the_tail_swallows_what_follows, 0, sb_countof(tails));
	tcase_add_test(tc, flags_are_found_in_both_spellings);
	tcase_add_loop_test(tc, a_line_that_begins_with_an_option_is_found, 0, sb_countof(strays));
	tcase_add_test(tc, a_simple_command_is_its_own_process);
	tcase_add_test(tc, a_script_ends_with_its_own_status);
	tcase_add_test(tc, a_script_passes_sigterm_to_the_engine);
	tcase_add_test(tc, a_script_does_not_go_on_after_sigterm);
	tcase_add_test(tc, an_engine_without_a_handler_dies_of_sigterm);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
