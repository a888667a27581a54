/* git, as a program: no shell, nobody's settings, no terminal, and an end to every wait. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "internal.h"

#define POLL_MS     100 /* how soon Ctrl-C is seen */
#define MESSAGE_MAX ((size_t)8 << 10)
#define OUTPUT_MAX  ((size_t)8 << 20)
#define WORDS_MAX   64
#define ENV_MAX     40

/* What a repository, its server or the user's own settings could otherwise bring to life. */
static const char *const settings[] = { "protocol.allow=never", "core.hooksPath=/dev/null",
	"core.fsmonitor=false", "core.autocrlf=false", "core.symlinks=true",
	"credential.helper=", "submodule.recurse=false", "gc.auto=0", "maintenance.auto=false",
	"init.defaultBranch=main", "advice.detachedHead=false" };

static const char *const fixed_env[] = { "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false", "SSH_ASKPASS_REQUIRE=never",
	/* A constant of ours; git puts host and command behind it as words of their own. */
	"GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=15 -oClearAllForwardings=yes" };

/* How this machine reaches the network, and the user's ssh keys. */
static const char *const kept_env[] = { "PATH", "HOME", "USER", "LOGNAME", "TMPDIR",
	"SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
	"no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO" };

/* Everything is laid out before the fork: between it and the exec nothing may allocate. */
struct words {
	const char *argv[WORDS_MAX];
	size_t n;
	char *env[ENV_MAX];
	size_t n_env;
	char protocol[40];
};

static void words_done(struct words *w)
{
	for (size_t i = 0; i < w->n_env; i++)
		free(w->env[i]);
}

static int add_env(struct words *w, const char *name, const char *value)
{
	if (asprintf(&w->env[w->n_env], "%s%s%s", name, value ? "=" : "", value ? value : "") < 0)
		return -1;
	w->n_env++;
	return 0;
}

static int lay_out(const struct reg_git *git, struct words *w)
{
	int rc = 0;

	w->argv[w->n++] = "git";
	for (size_t i = 0; i < sb_countof(settings); i++) {
		w->argv[w->n++] = "-c";
		w->argv[w->n++] = settings[i];
	}
	/* Also where a server sends us on to. */
	snprintf(w->protocol, sizeof(w->protocol), "protocol.%s.allow=always",
			reg_scheme_text(git->scheme));
	w->argv[w->n++] = "-c";
	w->argv[w->n++] = w->protocol;
	w->argv[w->n++] = "--literal-pathspecs";
	for (size_t i = 0; git->argv[i]; i++) {
		if (w->n == WORDS_MAX - 1)
			return -1;
		w->argv[w->n++] = git->argv[i];
	}
	for (size_t i = 0; rc == 0 && i < sb_countof(fixed_env); i++)
		rc = add_env(w, fixed_env[i], NULL);
	for (size_t i = 0; rc == 0 && i < sb_countof(kept_env); i++)
		if (getenv(kept_env[i]))
			rc = add_env(w, kept_env[i], getenv(kept_env[i]));
	/* Always set: the folder in which we happen to be is never asked. */
	if (rc == 0)
		rc = add_env(w, "GIT_DIR", git->git_dir ? git->git_dir : "/nonexistent");
	if (rc == 0 && git->work_tree)
		rc = add_env(w, "GIT_WORK_TREE", git->work_tree);
	return rc;
}

static void child(const struct words *w, rlim_t bytes, int out, int message)
{
	const struct rlimit file = { bytes, bytes }, core = { 0 };
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setpgid(0, 0);
	/* A CLI that is killed leaves nobody behind who goes on downloading. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setrlimit(RLIMIT_FSIZE, &file);
	setrlimit(RLIMIT_CORE, &core);
	umask(077);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(message, 2) < 0)
		_exit(127);
	environ = (char **)w->env;
	execvp("git", (char *const *)w->argv);
	_exit(errno == ENOENT ? 126 : 127);
}

struct running {
	pid_t pid;
	int out, message, self; /* pipes, and a descriptor of the process */
	struct sb_strbuf *into, said;
	uint64_t until;
	int status;
};

static void running_done(struct running *r)
{
	if (r->pid > 0) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL); /* in case it has not got its group yet */
		while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	sb_closep(&r->out);
	sb_closep(&r->message);
	sb_closep(&r->self);
	sb_strbuf_done(&r->said);
}

static int start(const struct words *w, rlim_t bytes, struct running *r, struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int out = -1;
	SB_CLEANUP(sb_closep) int message = -1;
	int pipes[4] = { -1, -1, -1, -1 };

	if (pipe2(pipes, O_CLOEXEC) < 0 || pipe2(pipes + 2, O_CLOEXEC) < 0) {
		sb_closep(&pipes[0]);
		sb_closep(&pipes[1]);
		return sb_err_errno(err, errno, "run git");
	}
	r->out = pipes[0];
	out = pipes[1];
	r->message = pipes[2];
	message = pipes[3];
	r->pid = fork();
	if (r->pid == 0)
		child(w, bytes, out, message);
	if (r->pid < 0)
		return sb_err_errno(err, errno, "run git");
	setpgid(r->pid, r->pid);
	r->self = (int)syscall(SYS_pidfd_open, r->pid, 0);
	return r->self < 0 ? sb_err_errno(err, errno, "watch git") : 0;
}

/* What there is in a pipe; it is closed at its end. The head of a flood of messages is kept. */
static int take(int *fd, struct sb_strbuf *into, bool drop, struct sb_err *err)
{
	char part[16384];
	ssize_t n = read(*fd, part, sizeof(part));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		sb_closep(fd);
		*fd = -1;
	}
	if (n > 0 && into && sb_strbuf_add(into, part, (size_t)n) < 0 && !drop)
		return sb_err_set(err, SB_E_RANGE, "git says more than %zu bytes", into->max);
	return 0;
}

static int wait_for(const struct sb_registry_store *store, const struct reg_git *git,
		struct running *r, struct sb_err *err)
{
	bool over = false;
	int rc = 0;

	while (rc == 0 && (!over || r->out >= 0 || r->message >= 0)) {
		struct pollfd fds[] = { { .fd = r->out, .events = POLLIN },
			{ .fd = r->message, .events = POLLIN },
			{ .fd = over ? -1 : r->self, .events = POLLIN } };

		/* What it started may hold the pipes open after its end: only what is there. */
		if (poll(fds, 3, over ? 0 : POLL_MS) == 0 && over)
			break;
		if (reg_stopped(store))
			return sb_err_set(err, SB_E_CANCELLED, "interrupted");
		if (sb_now_boot_ms() > r->until)
			return sb_err_set(err, SB_E_TIMEOUT, "git %s: not done within %u s",
					git->argv[0], git->limit_ms / 1000);
		over = over || (fds[2].revents & POLLIN);
		if (fds[0].revents)
			rc = take(&r->out, r->into, false, err);
		if (rc == 0 && fds[1].revents)
			rc = take(&r->message, &r->said, true, err);
	}
	while (rc == 0 && waitpid(r->pid, &r->status, 0) < 0)
		if (errno != EINTR)
			rc = sb_err_errno(err, errno, "wait for git");
	if (rc == 0) {
		kill(-r->pid, SIGKILL); /* whoever stayed behind in its group */
		r->pid = 0;
	}
	return rc;
}

/* The line that says why: the last "fatal:", else the last one. */
static const char *reason(char *said)
{
	const char *best = "", *last = "";
	char *line, *rest = said;

	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "fatal: ", 7))
			best = line + 7;
		if (*line)
			last = line;
	}
	return *best ? best : last;
}

/* A file over the limit: git itself was ended, or a helper of its, which it tells. */
static bool is_too_large(const struct running *r)
{
	return (WIFSIGNALED(r->status) && WTERMSIG(r->status) == SIGXFSZ) ||
			strstr(sb_strbuf_str(&r->said), "died of signal 25") ||
			strstr(sb_strbuf_str(&r->said), "File too large");
}

static int judge(const struct sb_registry_store *store, const struct reg_git *git,
		struct running *r, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *said = strdup(sb_strbuf_str(&r->said));
	const char *why = said ? reason(said) : "";
	int rc;

	if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0)
		return 0;
	if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 126) {
		rc = sb_err_set(err, SB_E_UNSUPPORTED, "there is no git on this machine");
		return sb_err_hint(err, rc, "install the package git");
	}
	if (is_too_large(r))
		return sb_err_set(err, SB_E_RANGE, "git %s: over the %llu bytes allowed",
				git->argv[0], (unsigned long long)store->max_bytes);
	if (WIFSIGNALED(r->status))
		return sb_err_set(err, SB_E_INTERNAL, "git %s: ended by signal %d (%s)",
				git->argv[0], WTERMSIG(r->status), strsignal(WTERMSIG(r->status)));
	rc = sb_err_set(err, SB_E_INVALID, "git %s: %s", git->argv[0],
			*why ? why : "failed without a word");
	if (strstr(why, "could not read Username") || strstr(why, "Authentication failed") ||
			strstr(why, "terminal prompts disabled"))
		return sb_err_hint(err, rc,
				"no such repository, or a private one: use ssh://git@HOST/PATH");
	if (strstr(why, "Could not read from remote") || strstr(why, "unable to access"))
		return sb_err_hint(err, rc, "is the address right, and the network up?");
	return rc;
}

int reg_git(const struct sb_registry_store *store, const struct reg_git *git, struct sb_strbuf *out,
		struct sb_err *err)
{
	SB_CLEANUP(words_done) struct words w = { .n = 0 };
	SB_CLEANUP(running_done)
	struct running r = { .out = -1, .message = -1, .self = -1, .into = out };
	int rc;

	r.said.max = MESSAGE_MAX;
	if (out && !out->max)
		out->max = OUTPUT_MAX;
	if (lay_out(git, &w) < 0)
		return sb_err_nomem(err);
	if (reg_stopped(store))
		return sb_err_set(err, SB_E_CANCELLED, "interrupted");
	r.until = sb_now_boot_ms() + git->limit_ms;
	rc = start(&w, store->max_bytes, &r, err);
	if (rc == 0)
		rc = wait_for(store, git, &r, err);
	return rc < 0 ? rc : judge(store, git, &r, err);
}
