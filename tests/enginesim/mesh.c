/* mesh.c
 *
 * Lines of text, so that a stranger who dials the port is told apart at once:
 *   rank -> 0   enginesim GROUP SIZE RANK COUNT MODEL
 *   0 -> rank   ok | refuse REASON
 *   0 -> rank   go                once all are there
 *   0 -> rank   down R            before rank 0 gives up because R went
 *   rank -> 0   hang on|off       this rank stalls the collectives
 *
 * Rank 0 serves the newcomers one at a time; each has HELLO_S seconds to say its line. */
#include "mesh.h"

#include "engine.h"
#include "es.h"
#include "fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_CAP 1024
#define HELLO_S  5
#define RETRY_S  0.1

static int sock_new(const struct sockaddr_storage *sa)
{
	int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		es_raw("enginesim: socket: %s", strerror(errno));
		es_exit(1);
	}
	return fd;
}

/* Read one line; a byte at a time is fine for the few that there are.
 * Return: 0, or -1 on end, error, an endless line or @deadline (es_now()). */
static int read_line(int fd, char *line, double deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (size_t n = 0; n < LINE_CAP - 1; n++) {
		double left = deadline - es_now();

		if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			return -1;
		if (recv(fd, line + n, 1, 0) != 1)
			return -1;
		if (line[n] == '\n') {
			line[n] = '\0';
			return 0;
		}
	}
	return -1;
}

static void say(int fd, const char *fmt, ...) ES_PRINTF(2, 3);
static void say(int fd, const char *fmt, ...)
{
	char line[LINE_CAP];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0 && send(fd, line, (size_t)n, MSG_NOSIGNAL) < 0)
		return; /* the watcher will see that the peer is gone */
}

static void tcp_error(const struct es_mesh *m, const char *what, int error) ES_NORETURN;
static void tcp_error(const struct es_mesh *m, const char *what, int error)
{
	char last[512];

	snprintf(last, sizeof(last),
			"torch.distributed.DistNetworkError: The server socket has failed to %s on "
			"(%s, %d): "
			"[Errno %d] %s",
			what, m->addr, m->port, error, strerror(error));
	es_traceback(1, "distributed/parallel_state.py", last);
}

static int open_listener(const struct es_mesh *m)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd, one = 1;

	if (es_resolve(m->addr, m->port, &sa, &len) < 0)
		tcp_error(m, "resolve its name", EADDRNOTAVAIL);
	fd = sock_new(&sa);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		tcp_error(m, "bind", errno);
	if (listen(fd, ES_MESH_MAX) < 0)
		tcp_error(m, "listen", errno);
	return fd;
}

static const char *objection(const struct es_mesh *m, const char *group, int size, int rank,
		int count, const char *model)
{
	if (strcmp(group, m->group))
		return "another group of ranks meets here";
	if (size != m->size)
		return "world size differs";
	if (strcmp(model, m->model))
		return "model differs";
	if (rank < m->count || count < 1 || rank >= m->size || count > m->size - rank)
		return "rank is out of range";
	for (int i = m->count; i < m->size; i++)
		if (m->fds[i] >= 0 && rank < i + m->counts[i] && i < rank + count)
			return "rank is taken";
	return NULL;
}

/* Return: the slots that the newcomer fills; 0 if it was sent away. */
static int admit(struct es_mesh *m, int fd)
{
	char line[LINE_CAP] = "", group[64], model[512];
	const char *why = "this is a rendezvous of enginesim";
	int size, rank, count;

	if (!read_line(fd, line, es_now() + HELLO_S) &&
			sscanf(line, "enginesim %63s %d %d %d %511s", group, &size, &rank, &count,
					model) == 5)
		why = objection(m, group, size, rank, count, model);
	if (why) {
		say(fd, "refuse %s\n", why);
		close(fd);
		es_log("WARNING", "parallel_state.py:1200", "refused a rank at %s:%d: %s", m->addr,
				m->port, why);
		return 0;
	}
	say(fd, "ok\n");
	m->fds[rank] = fd;
	m->counts[rank] = count;
	return count;
}

/* A rank that dies before "go" frees its place. */
static int drop_dead(struct es_mesh *m)
{
	int lost = 0;
	char c;

	for (int i = m->count; i < m->size; i++)
		if (m->fds[i] >= 0 && recv(m->fds[i], &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0) {
			close(m->fds[i]);
			m->fds[i] = -1;
			lost += m->counts[i];
		}
	return lost;
}

static void lead(struct es_mesh *m)
{
	double deadline = es_now() + m->timeout;
	struct pollfd p = { .fd = open_listener(m), .events = POLLIN };
	int joined = m->count, fd;
	char last[256];

	while (joined < m->size && es_now() < deadline) {
		if (poll(&p, 1, 100) > 0 && (fd = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			joined += admit(m, fd);
		joined -= drop_dead(m);
	}
	close(p.fd);
	if (joined < m->size) {
		snprintf(last, sizeof(last),
				"torch.distributed.DistStoreError: Timed out after %.0f seconds "
				"waiting for clients. "
				"%d/%d clients joined.",
				m->timeout, joined, m->size);
		es_traceback(1, "distributed/parallel_state.py", last);
	}
	for (int i = m->count; i < m->size; i++)
		if (m->fds[i] >= 0)
			say(m->fds[i], "go\n");
}

static int dial(const struct es_mesh *m, double deadline)
{
	struct sockaddr_storage sa;
	socklen_t len;
	char last[512];

	if (es_resolve(m->addr, m->port, &sa, &len) < 0)
		tcp_error(m, "resolve its name", EADDRNOTAVAIL);
	while (es_now() < deadline) {
		int fd = sock_new(&sa);
		/* Bounds connect() to a host that drops packets, too. */
		struct timeval tv = { .tv_sec = 2 };

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		if (!connect(fd, (struct sockaddr *)&sa, len))
			return fd;
		close(fd);
		es_sleep_until(es_now() + RETRY_S);
	}
	snprintf(last, sizeof(last),
			"torch.distributed.DistNetworkError: The client socket has timed out after "
			"%.0fms "
			"while trying to connect to (%s, %d).",
			m->timeout * 1000, m->addr, m->port);
	es_traceback(1, "distributed/parallel_state.py", last);
}

static void follow(struct es_mesh *m)
{
	double deadline = es_now() + m->timeout;
	char line[LINE_CAP], last[LINE_CAP + 128];
	int fd = dial(m, deadline);

	say(fd, "enginesim %s %d %d %d %s\n", m->group, m->size, m->rank, m->count, m->model);
	if (read_line(fd, line, deadline) < 0)
		snprintf(line, sizeof(line), "no answer");
	if (strcmp(line, "ok")) {
		snprintf(last, sizeof(last),
				"torch.distributed.DistNetworkError: rank %d at (%s, %d): %s",
				m->rank, m->addr, m->port, line);
		es_traceback(1, "distributed/parallel_state.py", last);
	}
	if (read_line(fd, line, deadline) < 0 || strcmp(line, "go"))
		es_traceback(1, "distributed/parallel_state.py",
				"torch.distributed.DistNetworkError: Connection closed by remote "
				"peer while "
				"waiting for the other ranks.");
	m->fds[0] = fd;
}

void es_mesh_join(struct es_mesh *m)
{
	for (int i = 0; i < ES_MESH_MAX; i++)
		m->fds[i] = -1;
	es_log("INFO", "parallel_state.py:1208",
			"world_size=%d rank=%d local_rank=0 distributed_init_method=tcp://%s:%d "
			"backend=nccl",
			m->size, m->rank, m->addr, m->port);
	if (m->rank == 0)
		lead(m);
	else
		follow(m);
	es_log("INFO", "pynccl.py:103", "%s is using nccl==2.28.3 (%s: all %d ranks are here)",
			es_config.style->name, m->group, m->size);
}

static void peer_lost(struct es_mesh *m, int rank) ES_NORETURN;
static void peer_lost(struct es_mesh *m, int rank)
{
	char last[256];

	for (int i = m->rank == 0 ? m->count : m->size; i < m->size; i++)
		if (m->fds[i] >= 0)
			say(m->fds[i], "down %d\n", rank);
	snprintf(last, sizeof(last),
			"RuntimeError: NCCL error: remote process exited or there was a network "
			"error "
			"(ncclRemoteError: socket closed by %s rank %d)",
			m->group, rank);
	es_log("ERROR", "multiproc_executor.py:246",
			"Worker proc %s-%d died unexpectedly, shutting down executor.",
			es_config.style->worker, rank);
	es_traceback(1, "distributed/device_communicators/pynccl.py", last);
}

/* A line came, or the peer at slot @slot went. */
static void on_readable(struct es_mesh *m, int slot)
{
	char line[LINE_CAP];
	int rank;

	if (read_line(m->fds[slot], line, es_now() + HELLO_S) < 0)
		peer_lost(m, slot);
	if (sscanf(line, "down %d", &rank) == 1)
		peer_lost(m, rank);
	if (!strncmp(line, "hang ", 5))
		es_fault_set("hang", es_is_true(line + 5));
}

static void *watch(void *arg)
{
	struct es_mesh *m = arg;
	struct pollfd p[ES_MESH_MAX];
	bool told = false;

	for (;;) {
		if (m->rank != 0 && told != es_fault_on(ES_FAULT_HANG)) {
			told = !told;
			say(m->fds[0], "hang %s\n", told ? "on" : "off");
		}
		for (int i = 0; i < m->size; i++)
			p[i] = (struct pollfd){ .fd = m->fds[i], .events = POLLIN };
		if (poll(p, (nfds_t)m->size, -1) <= 0)
			continue;
		for (int i = 0; i < m->size; i++)
			if (p[i].revents)
				on_readable(m, i);
	}
	return NULL;
}

void es_mesh_watch(struct es_mesh *m)
{
	es_thread(watch, m);
}
