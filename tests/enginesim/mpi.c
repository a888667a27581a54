/* mpi.c - Open MPI's mpirun, and orted, its daemon on another host
 *
 * As far as a launch sees it: mpirun runs the agent of plm_rsh_agent once for each host that is not
 * this one, with the host and the words of a daemon; the daemon dials back to the address that
 * stands in them, gets its rank's command and runs it. One process a host. What remote ranks say
 * stays where they run.
 *
 * Lines of text over TCP:
 *   orted -> mpirun   enginesim-mpi VPID         one a connection
 *   mpirun -> orted   run SIZE MESH WORDS        and then, for each word, its length and its bytes
 *   orted -> mpirun   exit STATUS                of the rank */
#include "es.h"
#include "gcs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTS_MAX      64
#define WORDS_MAX      1024
#define WORD_MAX       (1 << 16)
#define JOIN_TIMEOUT_S 30

static void fail(const char *fmt, ...) ES_PRINTF(1, 2) ES_NORETURN;
static void fail(const char *fmt, ...)
{
	va_list ap;

	fputs("--------------------------------------------------------------------------\n",
			stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n--------------------------------------------------------------------------\n",
			stderr);
	exit(1);
}

/* --- one rank's process, under mpirun or orted --- */

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static pid_t start_rank(int rank, int size, const char *mesh, char **words)
{
	pid_t pid = fork();
	char text[16];
	sigset_t none;

	if (pid < 0)
		fail("enginesim: no process: %s", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(text, sizeof(text), "%d", rank);
	setenv("OMPI_COMM_WORLD_RANK", text, 1);
	snprintf(text, sizeof(text), "%d", size);
	setenv("OMPI_COMM_WORLD_SIZE", text, 1);
	setenv("ENGINESIM_MPI_MESH", mesh, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(words[0], words);
	fprintf(stderr,
			"mpirun was unable to find the specified executable file, and therefore\n"
			"did not launch the job: %s\n",
			words[0]);
	_exit(1);
}

static int status_of(int raw)
{
	return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
}

static int end_rank(pid_t pid)
{
	int raw = 0;

	kill(pid, SIGTERM);
	waitpid(pid, &raw, 0);
	return status_of(raw);
}

/* --- mpirun --- */

struct mpirun {
	char *hosts[HOSTS_MAX];
	int n_hosts, self;
	const char *agent;
	bool root, attached;
	char **words;
	char address[64], mesh[96];
	int port, fds[HOSTS_MAX]; /* of the daemons, by rank */
	bool done[HOSTS_MAX];
};

static void unknown_option(const char *prog, const char *word) ES_NORETURN;
static void unknown_option(const char *prog, const char *word)
{
	fprintf(stderr, "%s: Error: unknown option \"%s\"\nType '%s --help' for usage.\n", prog,
			word, prog);
	exit(1);
}

static bool is_any(const char *word, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(word, *names))
			return true;
	return false;
}

static void take_hosts(struct mpirun *m, char *list)
{
	char *save = NULL;

	for (char *host = strtok_r(list, ",", &save); host; host = strtok_r(NULL, ",", &save)) {
		if (m->n_hosts == HOSTS_MAX)
			fail("enginesim: more than %d hosts", HOSTS_MAX);
		host[strcspn(host, ":")] = '\0'; /* slots */
		m->hosts[m->n_hosts++] = host;
	}
}

static void parse(struct mpirun *m, int argc, char **argv)
{
	static const char *const host[] = { "-H", "-host", "--host", NULL };
	static const char *const mca[] = { "-mca", "--mca", NULL };
	static const char *const one[] = { "-n", "-np", "--np", "-x", "--prefix", "--map-by",
		"--bind-to", "--tag-output", NULL };
	int i = 1, left;

	for (; i < argc && argv[i][0] == '-'; i++) {
		left = argc - i - 1;
		if (is_any(argv[i], host) && left > 0) {
			take_hosts(m, argv[++i]);
		} else if (is_any(argv[i], mca) && left > 1) {
			if (!strcmp(argv[i + 1], "plm_rsh_agent"))
				m->agent = argv[i + 2];
			i += 2;
		} else if (is_any(argv[i], one) && left > 0) {
			i++;
		} else if (!strcmp(argv[i], "--allow-run-as-root")) {
			m->root = true;
		} else if (!strcmp(argv[i], "--leave-session-attached")) {
			m->attached = true;
		} else {
			unknown_option("mpirun", argv[i]);
		}
	}
	if (i == argc)
		fail("mpirun could not find anything to do.");
	m->words = argv + i;
}

static void check_root(const struct mpirun *m)
{
	const char *ok = getenv("OMPI_ALLOW_RUN_AS_ROOT");
	const char *sure = getenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");

	if (getuid() == 0 && !m->root && !(ok && sure))
		fail("mpirun has detected an attempt to run as root.");
}

static int listen_at(const char *host, int *ret_port)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	if (es_resolve(host, 0, &sa, &len) < 0)
		fail("enginesim: host %s has no address", host);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, HOSTS_MAX) < 0 ||
			getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
	return fd;
}

/* The host that is this machine: its address can be listened at. Ranks meet there as well. */
static int find_self(struct mpirun *m)
{
	int fd = -1, mesh_port = 0, probe;

	for (m->self = 0; m->self < m->n_hosts; m->self++) {
		fd = listen_at(m->hosts[m->self], &m->port);
		if (fd >= 0)
			break;
	}
	if (fd < 0)
		fail("enginesim: none of the hosts is this one");
	probe = listen_at(m->hosts[m->self], &mesh_port);
	close(probe);
	snprintf(m->address, sizeof(m->address), "%s", m->hosts[m->self]);
	snprintf(m->mesh, sizeof(m->mesh), "%s:%d", m->address, mesh_port);
	return fd;
}

/* "agent with words" HOST " orted" ...: the daemon's words for a shell, quoted as Open MPI does. */
static void run_agent(const struct mpirun *m, int rank)
{
	char *words[32], copy[512], vpid[16], uri[160], *save = NULL;
	const char *const daemon[] = { m->hosts[rank], " orted", m->attached ? NULL : "--daemonize",
		"-mca", "ess", "\"env\"", "-mca", "ess_base_vpid", vpid, "-mca", "orte_hnp_uri",
		uri };
	int n = 0, raw = 0;
	pid_t pid;

	snprintf(vpid, sizeof(vpid), "%d", rank);
	snprintf(uri, sizeof(uri), "\"1.0;tcp://%s:%d\"", m->address, m->port);
	snprintf(copy, sizeof(copy), "%s", m->agent ? m->agent : "ssh");
	for (char *word = strtok_r(copy, " ", &save); word && n < 16;
			word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	for (size_t i = 0; i < ES_COUNTOF(daemon); i++)
		if (daemon[i])
			words[n++] = (char *)daemon[i];
	words[n] = NULL;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		execvp(words[0], words);
		fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &raw, 0) < 0 || status_of(raw))
		fail("ORTE was unable to reliably start one or more daemons.");
}

static void send_command(const struct mpirun *m, int fd)
{
	struct es_buf b = { 0 };
	int n = 0;

	while (m->words[n])
		n++;
	es_buf_printf(&b, "run %d %s %d\n", m->n_hosts, m->mesh, n);
	for (int i = 0; i < n; i++)
		es_buf_printf(&b, "%zu\n%s", strlen(m->words[i]), m->words[i]);
	if (send(fd, b.p, b.len, MSG_NOSIGNAL) != (ssize_t)b.len)
		fail("ORTE has lost communication with a remote daemon.");
	es_buf_free(&b);
}

static void await_daemons(struct mpirun *m, int listener)
{
	double deadline = es_now() + es_env_num("ENGINESIM_JOIN_TIMEOUT", JOIN_TIMEOUT_S);
	struct pollfd p = { .fd = listener, .events = POLLIN };

	for (int missing = m->n_hosts - 1; missing;) {
		char line[64];
		int fd, rank;

		if (poll(&p, 1, (int)((deadline - es_now()) * 1000) + 1) <= 0)
			fail("ORTE was unable to reliably start one or more daemons.");
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 || es_gcs_line(fd, line, sizeof(line)) < 0 ||
				sscanf(line, "enginesim-mpi %d", &rank) != 1 || rank < 0 ||
				rank >= m->n_hosts || rank == m->self || m->fds[rank] >= 0) {
			close(fd); /* a stranger */
			continue;
		}
		m->fds[rank] = fd;
		missing--;
	}
	close(listener);
	for (int i = 0; i < m->n_hosts; i++)
		if (i != m->self)
			send_command(m, m->fds[i]);
}

static void end_all(const struct mpirun *m, pid_t own, int status) ES_NORETURN;
static void end_all(const struct mpirun *m, pid_t own, int status)
{
	for (int i = 0; i < m->n_hosts; i++)
		if (m->fds[i] >= 0)
			shutdown(m->fds[i], SHUT_RDWR);
	if (own > 0)
		end_rank(own);
	exit(status);
}

static void rank_ended(struct mpirun *m, pid_t own, int rank, int status)
{
	m->done[rank] = true;
	if (status) {
		fprintf(stderr,
				"mpirun detected that one or more processes exited with non-zero "
				"status, thus causing\nthe job to be terminated. The first process "
				"to do so was:\n\n  Process name: [[1,1],%d]\n  Exit code:    %d\n",
				rank, status);
		end_all(m, rank == m->self ? 0 : own, status);
	}
	for (int i = 0; i < m->n_hosts; i++)
		if (!m->done[i])
			return;
	end_all(m, 0, 0);
}

static void on_signal(struct mpirun *m, pid_t own, int signal_fd)
{
	struct signalfd_siginfo info;
	int raw;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGCHLD)
		end_all(m, own, 1);
	if (waitpid(own, &raw, WNOHANG) == own)
		rank_ended(m, own, m->self, status_of(raw));
}

static void on_daemon(struct mpirun *m, pid_t own, int rank)
{
	char line[64];
	int status;

	if (es_gcs_line(m->fds[rank], line, sizeof(line)) >= 0 &&
			sscanf(line, "exit %d", &status) == 1) {
		rank_ended(m, own, rank, status);
		return;
	}
	fputs("ORTE has lost communication with a remote daemon.\n", stderr);
	end_all(m, own, 1);
}

static void watch(struct mpirun *m, pid_t own, int signal_fd) ES_NORETURN;
static void watch(struct mpirun *m, pid_t own, int signal_fd)
{
	struct pollfd p[HOSTS_MAX + 1];

	for (;;) {
		for (int i = 0; i < m->n_hosts; i++)
			p[i] = (struct pollfd){ .fd = m->done[i] ? -1 : m->fds[i],
				.events = POLLIN };
		p[m->n_hosts] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		if (poll(p, (nfds_t)m->n_hosts + 1, -1) < 0)
			continue;
		if (p[m->n_hosts].revents)
			on_signal(m, own, signal_fd);
		for (int i = 0; i < m->n_hosts; i++)
			if (p[i].revents)
				on_daemon(m, own, i);
	}
}

static int run_mpirun(int argc, char **argv)
{
	static char here[] = "127.0.0.1";
	static struct mpirun m;
	int listener, signal_fd;

	parse(&m, argc, argv);
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY")))
		return 0;
	check_root(&m);
	if (!m.n_hosts)
		m.hosts[m.n_hosts++] = here;
	for (int i = 0; i < m.n_hosts; i++)
		m.fds[i] = -1;
	listener = find_self(&m);
	for (int i = 0; i < m.n_hosts; i++)
		if (i != m.self)
			run_agent(&m, i);
	signal_fd = signals();
	await_daemons(&m, listener);
	watch(&m, start_rank(m.self, m.n_hosts, m.mesh, m.words), signal_fd);
}

/* --- orted --- */

struct orted {
	int rank;
	char address[64];
	bool background;
};

static void parse_daemon(struct orted *o, int argc, char **argv)
{
	const char *uri;

	o->rank = -1;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--daemonize")) {
			o->background = true;
		} else if ((!strcmp(argv[i], "-mca") || !strcmp(argv[i], "--mca")) &&
				i + 2 < argc) {
			uri = !strcmp(argv[i + 1], "orte_hnp_uri") ? strstr(argv[i + 2], "tcp://")
								   : NULL;
			if (uri)
				snprintf(o->address, sizeof(o->address), "%.*s",
						(int)strcspn(uri + 6, ";"), uri + 6);
			if (!strcmp(argv[i + 1], "ess_base_vpid"))
				o->rank = atoi(argv[i + 2]);
			i += 2;
		} else {
			unknown_option("orted", argv[i]);
		}
	}
	if (o->rank < 0 || !*o->address)
		fail("orted: ess_base_vpid and orte_hnp_uri are wanted");
}

/* The command of this rank. Return: the size of the job. */
static int receive(int fd, char *mesh, char ***ret_words)
{
	char line[160];
	int size, n;

	if (es_gcs_line(fd, line, sizeof(line)) < 0 ||
			sscanf(line, "run %d %95s %d", &size, mesh, &n) != 3 || n < 1 ||
			n > WORDS_MAX)
		fail("ORTE has lost communication with mpirun.");
	*ret_words = es_alloc((size_t)n + 1, sizeof(**ret_words));
	for (int i = 0; i < n; i++) {
		int len;

		if (es_gcs_line(fd, line, sizeof(line)) < 0 || sscanf(line, "%d", &len) != 1 ||
				len < 0 || len > WORD_MAX)
			fail("ORTE has lost communication with mpirun.");
		(*ret_words)[i] = es_alloc((size_t)len + 1, 1);
		if (len && recv(fd, (*ret_words)[i], (size_t)len, MSG_WAITALL) != len)
			fail("ORTE has lost communication with mpirun.");
	}
	return size;
}

static int run_orted(int argc, char **argv)
{
	struct orted o = { 0 };
	char mesh[96], **words, c;
	int fd, size, raw, signal_fd;
	struct pollfd p[2];
	pid_t own;

	parse_daemon(&o, argc, argv);
	if (o.background && fork() > 0)
		return 0;
	fd = es_gcs_dial(o.address);
	if (fd < 0)
		fail("ORTE cannot connect to mpirun at %s", o.address);
	dprintf(fd, "enginesim-mpi %d\n", o.rank);
	size = receive(fd, mesh, &words);
	signal_fd = signals();
	own = start_rank(o.rank, size, mesh, words);
	p[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	for (;;) {
		struct signalfd_siginfo info;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents && recv(fd, &c, 1, 0) <= 0)
			break; /* mpirun ends the job, or has gone */
		if (!p[1].revents || read(signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGCHLD)
			break;
		if (own > 0 && waitpid(own, &raw, WNOHANG) == own) {
			dprintf(fd, "exit %d\n", status_of(raw));
			own = 0;
		}
	}
	if (own > 0)
		end_rank(own);
	for (char **word = words; *word; word++)
		free(*word);
	free(words);
	return 0;
}

const struct es_personality es_mpirun = { .name = "mpirun", .run = run_mpirun };
const struct es_personality es_orted = { .name = "orted", .run = run_orted };
