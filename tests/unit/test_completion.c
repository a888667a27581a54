/* Completion as a person has it: a real shell on a terminal, some letters, and the Tab key. A
 * function in place of sparkbus prints the words that the shell made of them. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sb_fs.h"
#include "testdir.h"

#define OUTPUT_MAX (256 * 1024)
#define WAIT_MS    60000

static void write_file(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);
	SB_CLEANUP(sb_freep) char *folder = strdup(path);

	*strrchr(folder, '/') = '\0';
	ck_assert_int_eq(sb_fs_mkdirs(folder, 0700, NULL), 0);
	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

/* Output of a command line run by sh. */
static const char *sh(const char *command)
{
	static char out[OUTPUT_MAX];
	FILE *pipe = popen(command, "re");
	size_t n;

	ck_assert_ptr_nonnull(pipe);
	n = fread(out, 1, sizeof(out) - 1, pipe);
	out[n] = '\0';
	ck_assert_msg(pclose(pipe) == 0, "%s", command);
	return out;
}

static void make_home(void)
{
	SB_CLEANUP(sb_freep) char *bin = strdup(SB_SPARKBUS);
	SB_CLEANUP(sb_freep) char *path = NULL;
	static const char recipe[] = "model: a/b\ncontainer: c\nruntime: vllm\n";

	testdir_make();
	write_file("recipes/extra/llama.yaml", recipe);
	write_file("recipes/official/qwen3-small.yaml", recipe);
	write_file("recipes/families.yaml", "glm: [x]\ngemma: [y]\nqwen: [z]\n");
	write_file("here/mine.yaml", recipe);
	write_file("here/only-here.txt", "");
	write_file("here/$(touch gone).yaml", recipe);
	*strrchr(bin, '/') = '\0';
	ck_assert_int_ge(asprintf(&path, "%s:%s", bin, getenv("PATH")), 0);
	setenv("PATH", path, 1);
	setenv("HOME", testdir, 1);
	setenv("ZDOTDIR", testdir, 1);
	unsetenv("XDG_DATA_HOME");
	/* Without that folder every fish reads all manual pages of the machine, in the background.
	 */
	write_file(".local/share/fish/generated_completions/none", "");
	setenv("SPARKBUS_HOME", testdir, 1);
	free(path);
	path = sb_fs_join(testdir, "recipes");
	setenv("SPARKBUS_RECIPES", path, 1);
	free(path);
	path = sb_fs_join(testdir, "here");
	ck_assert_int_eq(chdir(path), 0);
	sh("(sparkbus init --operator alice && sparkbus node add spark1 10.0.0.1 && "
	   "sparkbus node add spark2 10.0.0.2 && sparkbus cluster create lab -H spark1,spark2) "
	   "2>&1");
}

/* --- what may come next --- */

static const struct {
	const char *line, *candidates; /* without descriptions */
} asked[] = {
	{ "stat", "status " },
	{ "nosuch ''", "" },
	{ "cluster s", "show set-default status " },
	{ "help cl", "cluster " },
	{ "help cluster set", "set-default " },
	{ "run --ini", "--init-port " },
	{ "run x --verb", "--verbose " },
	{ "run ''", "mine llama qwen3-small " },
	{ "run @", "@extra/llama @official/qwen3-small " },
	{ "run ./x", ":files " },
	{ "run nothing-like-it", ":files " },
	{ "run mine ''", "" },
	{ "recipe validate mine l", "llama " },
	{ "stop q", "qwen3-small " },
	{ "status -H ''", "spark1 spark2 " },
	{ "status --hosts spark1,", "spark1,spark1 spark1,spark2 " },
	{ "status --hosts=spark2,s", "--hosts=spark2,spark1 --hosts=spark2,spark2 " },
	{ "run --port 1 --cluster ''", "lab " },
	{ "run --tensor-parallel m", "" },
	{ "cluster delete ''", "lab " },
	{ "cluster create ''", "" },
	{ "node show ''", "spark1 spark2 " },
	{ "node add ''", "" },
	{ "status --hosts-file ''", ":files " },
	{ "list --registry ''", "local extra official " },
	{ "list --runtime ll", "llama-cpp " },
	{ "list --family g", "gemma glm " },
	{ "run -- -", ":files " },
	{ "completion ''", "bash zsh fish " },
	{ "-v sta", "status " },
	{ "complet", "completion " },
};

START_TEST(candidates_come_from_the_table_and_this_machine)
{
	char command[256];

	snprintf(command, sizeof(command), "sparkbus complete -- %s | cut -f 1 | tr '\\n' ' '",
			asked[_i].line);
	ck_assert_str_eq(sh(command), asked[_i].candidates);
}
END_TEST

START_TEST(candidates_are_described)
{
	ck_assert_str_eq(sh("sparkbus complete -- logou"), "");
	ck_assert_str_eq(sh("sparkbus complete -- log"), "logs\tshow a job's log\n");
	ck_assert_str_eq(sh("sparkbus complete"), sh("sparkbus complete ''"));
}
END_TEST

START_TEST(without_a_home_there_are_fewer)
{
	setenv("SPARKBUS_HOME", "/nonexistent/x", 1);
	setenv("SPARKBUS_RECIPES", "/nonexistent/y", 1);
	ck_assert_str_eq(sh("sparkbus complete -- node show '' 2>&1"), "");
	ck_assert_str_eq(sh("sparkbus complete -- status --cluster '' 2>&1"), "");
	ck_assert_str_eq(sh("sparkbus complete -- run @ 2>&1"), "");
}
END_TEST

/* --- in the shells --- */

static const struct shell {
	const char *name, *rc_name, *rc;
	const char *argv[6];
} shells[] = {
	{ "bash", "rc",
			"PS1='READY> '\n"
			"sparkbus() { printf 'GOT<%s>' \"$@\"; printf 'DO%s\\n' NE; }\n"
			"source <(command sparkbus completion bash)\n",
			{ "bash", "--noprofile", "--rcfile", "../rc", "-i" } },
	{ "zsh", ".zshrc",
			"PS1='READY> '\nautoload -U compinit\ncompinit -D -u\n"
			"sparkbus() { printf 'GOT<%s>' \"$@\"; printf 'DO%s\\n' NE; }\n"
			"source <(command sparkbus completion zsh)\n",
			{ "zsh", "-d", "-i" } },
	{ "fish", "rc",
			"function fish_prompt; printf 'READY> '; end\n"
			"set -g fish_greeting\n"
			"function sparkbus; printf 'GOT<%s>' $argv; printf 'DO%s\\n' NE; end\n"
			"command sparkbus completion fish | source\n",
			{ "fish", "--private", "-i", "-C", "source ../rc" } },
};

static const struct {
	const char *typed, *words;
} typed[] = {
	{ "sto", "GOT<stop>" },
	{ "cluster set-d", "GOT<cluster>GOT<set-default>" },
	{ "run --dry", "GOT<run>GOT<--dry-run>" },
	{ "show @extra/ll", "GOT<show>GOT<@extra/llama>" },
	{ "show @ext", "GOT<show>GOT<@extra/llama>" },
	{ "run qw", "GOT<run>GOT<qwen3-small>" },
	{ "cluster show l", "GOT<cluster>GOT<show>GOT<lab>" },
	{ "status --cluster=l", "GOT<status>GOT<--cluster=lab>" },
	{ "status --cluster l", "GOT<status>GOT<--cluster>GOT<lab>" },
	{ "run ./only-h", "GOT<run>GOT<./only-here.txt>" },
	{ "nosuch x", "GOT<nosuch>GOT<x>" },
};

/* Read what the terminal shows until @text is there. */
static void await(int terminal, char *shown, size_t *len, const char *text)
{
	while (!strstr(shown, text)) {
		struct pollfd fd = { .fd = terminal, .events = POLLIN };
		ssize_t n;

		ck_assert_msg(poll(&fd, 1, WAIT_MS) > 0, "no '%s' in:\n%s", text, shown);
		n = read(terminal, shown + *len, OUTPUT_MAX - 1 - *len);
		ck_assert_msg(n > 0, "the shell ended; no '%s' in:\n%s", text, shown);
		*len += (size_t)n;
		shown[*len] = '\0';
	}
}

static bool is_installed(const char *name)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return system(command) == 0;
}

static void press_tab(const struct shell *shell, const char *line, const char *words)
{
	static char shown[OUTPUT_MAX];
	struct winsize size = { .ws_row = 24, .ws_col = 120 };
	char keys[128];
	int terminal, status;
	size_t len = 0;
	pid_t pid;

	shown[0] = '\0';
	setenv("TERM", "xterm", 1);
	write_file(shell->rc_name, shell->rc);
	pid = forkpty(&terminal, NULL, NULL, &size);
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		execvp(shell->argv[0], (char *const *)shell->argv);
		_exit(127);
	}
	await(terminal, shown, &len, "READY> ");
	snprintf(keys, sizeof(keys), "sparkbus %s\t\n", line);
	ck_assert_int_eq(write(terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
	await(terminal, shown, &len, "DONE");
	ck_assert_msg(strstr(shown, words) != NULL, "%s: no '%s' in:\n%s", shell->name, words,
			shown);
	close(terminal);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(the_tab_key_completes)
{
	const struct shell *shell = &shells[_i];

	if (!is_installed(shell->name)) {
		fprintf(stderr, "# %s is not installed: its completion is not tested\n",
				shell->name);
		return;
	}
	for (size_t i = 0; i < sb_countof(typed); i++)
		press_tab(shell, typed[i].typed, typed[i].words);
}
END_TEST

START_TEST(an_unknown_shell_is_wrong_use)
{
	ck_assert_str_eq(sh("sparkbus completion tcsh 2>&1 || echo status $?") +
					strlen("Usage: sparkbus completion [OPTIONS] SHELL\n"),
			"Error: 'tcsh' is none of bash, zsh, fish\n"
			"Hint: sparkbus completion --help\nstatus 2\n");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("completion");
	TCase *all = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_unchecked_fixture(all, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(all, make_home, NULL);
	tcase_add_loop_test(
			all, candidates_come_from_the_table_and_this_machine, 0, sb_countof(asked));
	tcase_add_test(all, candidates_are_described);
	tcase_add_test(all, without_a_home_there_are_fewer);
	tcase_add_loop_test(all, the_tab_key_completes, 0, sb_countof(shells));
	tcase_add_test(all, an_unknown_shell_is_wrong_use);
	tcase_set_timeout(all, 120);
	suite_add_tcase(s, all);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
