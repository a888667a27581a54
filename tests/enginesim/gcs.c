#include "gcs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PEERS_MAX 256
#define HELLO_S   5
#define LOST_MAX  8 /* nodes that `ray status` remembers as failed */

enum kind {
	NODE,
	JOB,
};

struct peer {
	int fd; /* -1: a free place, or the head's own node */
	bool used;
	enum kind kind;
	struct es_ray_node node;
	int takes[PEERS_MAX]; /* a job's GPUs, by the node's place */
};

static struct {
	struct peer peers[PEERS_MAX];
	struct es_ray_node lost[LOST_MAX];
	size_t n_lost;
} gcs;

int es_gcs_listen(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&sa, sizeof(sa)) && !listen(fd, PEERS_MAX))
		return fd;
	close(fd);
	return -1;
}

static void set_patience(int fd, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

int es_gcs_dial(const char *address)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_storage sa;
	socklen_t len;
	char host[256];
	int fd;

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - address) : 0, address);
	if (!colon || !host[0] || es_resolve(host, atoi(colon + 1), &sa, &len) < 0)
		return -1;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	set_patience(fd, HELLO_S);
	if (!connect(fd, (struct sockaddr *)&sa, len))
		return fd;
	close(fd);
	return -1;
}

int es_gcs_line(int fd, char *ret, int cap)
{
	for (int n = 0; n < cap - 1 && recv(fd, ret + n, 1, 0) == 1; n++)
		if (ret[n] == '\n') {
			ret[n] = '\0';
			return n;
		}
	return -1;
}

static void say(int fd, const char *fmt, ...) ES_PRINTF(2, 3);
static void say(int fd, const char *fmt, ...)
{
	struct es_buf b = { 0 };
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	es_buf_printf(&b, "%s\n", line);
	if (send(fd, b.p, b.len, MSG_NOSIGNAL) < 0)
		shutdown(fd, SHUT_RDWR); /* the next round sees its end */
	es_buf_free(&b);
}

static int taken(size_t node)
{
	int n = 0;

	for (size_t i = 0; i < PEERS_MAX; i++)
		if (gcs.peers[i].used && gcs.peers[i].kind == JOB)
			n += gcs.peers[i].takes[node];
	return n;
}

static bool is_node(size_t i)
{
	return gcs.peers[i].used && gcs.peers[i].kind == NODE;
}

/* Give a new job its GPUs, node by node. */
static bool place(struct peer *job, int want)
{
	int total = 0, nodes = 0;

	memset(job->takes, 0, sizeof(job->takes));
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (is_node(i)) {
			int left = gcs.peers[i].node.gpus - taken(i);

			job->takes[i] = left < want ? left : want;
			want -= job->takes[i];
			total += gcs.peers[i].node.gpus;
			nodes += job->takes[i] > 0;
		}
	if (want > 0)
		say(job->fd, "refuse %d", total);
	else
		say(job->fd, "ok %d", nodes);
	return want <= 0;
}

static void write_nodes(struct es_buf *b, double *ret_used, double *ret_gpus)
{
	es_buf_printf(b, "Active:\n");
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (is_node(i)) {
			es_buf_printf(b, " 1 node_%s\n", gcs.peers[i].node.hex);
			*ret_used += taken(i);
			*ret_gpus += gcs.peers[i].node.gpus;
		}
	es_buf_printf(b, "Pending:\n (no pending nodes)\nRecent failures:\n");
	for (size_t i = 0; i < gcs.n_lost; i++)
		es_buf_printf(b, " node_%s: NodeTerminated (ip: %s)\n", gcs.lost[i].hex,
				gcs.lost[i].ip);
	if (!gcs.n_lost)
		es_buf_printf(b, " (no failures)\n");
}

static void write_status(int fd)
{
	static const char rule[] =
			"---------------------------------------------------------------";
	struct es_buf b = { 0 };
	double used = 0, gpus = 0;
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%F %T", &tm);
	es_buf_printf(&b, "======== Autoscaler status: %s.000000 ========\nNode status\n%s\n",
			stamp, rule);
	write_nodes(&b, &used, &gpus);
	es_buf_printf(&b,
			"\nResources\n%s\nTotal Usage:\n 0.0/20.0 CPU\n %.1f/%.1f GPU\n"
			" 0B/80.00GiB memory\n 0B/30.00GiB object_store_memory\n\n"
			"Total Constraints:\n (no request_resources() constraints)\n"
			"Total Demands:\n (no resource demands)\n",
			rule, used, gpus);
	if (send(fd, b.p, b.len, MSG_NOSIGNAL) < 0)
		es_raw("enginesim: who asked for the status is gone");
	es_buf_free(&b);
}

/* Return: whether the connection stays. */
static bool admit(struct peer *p)
{
	char line[256];
	int gpus;

	if (es_gcs_line(p->fd, line, sizeof(line)) < 0)
		return false;
	if (!strcmp(line, "enginesim-ray status")) {
		write_status(p->fd);
		return false;
	}
	if (sscanf(line, "enginesim-ray node %56s %63s %d", p->node.hex, p->node.ip,
			    &p->node.gpus) == 3) {
		p->kind = NODE;
		say(p->fd, "ok");
		return true;
	}
	p->kind = JOB;
	return sscanf(line, "enginesim-ray job %d", &gpus) == 1 && place(p, gpus);
}

static void accept_one(int fd)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	size_t i = 0;

	if (client < 0)
		return;
	while (i < PEERS_MAX && gcs.peers[i].used)
		i++;
	set_patience(client, HELLO_S);
	if (i < PEERS_MAX) {
		gcs.peers[i].fd = client;
		gcs.peers[i].used = admit(&gcs.peers[i]);
	}
	if (i == PEERS_MAX || !gcs.peers[i].used)
		close(client);
}

static void drop(size_t at)
{
	struct peer *p = &gcs.peers[at];

	close(p->fd);
	p->used = false;
	if (p->kind != NODE)
		return;
	memmove(gcs.lost + 1, gcs.lost, sizeof(gcs.lost) - sizeof(gcs.lost[0]));
	gcs.lost[0] = p->node;
	gcs.n_lost += gcs.n_lost < LOST_MAX;
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (gcs.peers[i].used && gcs.peers[i].kind == JOB && gcs.peers[i].takes[at])
			say(gcs.peers[i].fd, "down %s", p->node.hex);
}

void es_gcs_serve(int fd, const struct es_ray_node *self)
{
	struct pollfd fds[PEERS_MAX + 1];

	gcs.peers[0] = (struct peer){ .fd = -1, .used = true, .kind = NODE, .node = *self };
	for (;;) {
		for (size_t i = 0; i < PEERS_MAX; i++)
			fds[i] = (struct pollfd){ .fd = gcs.peers[i].used ? gcs.peers[i].fd : -1,
				.events = POLLIN };
		fds[PEERS_MAX] = (struct pollfd){ .fd = fd, .events = POLLIN };
		if (poll(fds, PEERS_MAX + 1, -1) <= 0)
			continue;
		for (size_t i = 0; i < PEERS_MAX; i++)
			if (fds[i].revents) /* a member says nothing more: this is its end */
				drop(i);
		if (fds[PEERS_MAX].revents)
			accept_one(fd);
	}
}
