/* rpc.c - rpc-server, and llama-server's side of it
 *
 * Of the real protocol only HELLO is spoken: a command byte and the length of what follows (eight
 * bytes, little-endian), answered by a length and the version. It stands for every computation. */
#include "es.h"
#include "llama.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define RPC_MAX      64 /* servers of one llama-server */
#define CMD_HELLO    14
#define PORT_DEFAULT 50052
#define TIMEOUT_S    5

static const unsigned char request[9] = { CMD_HELLO };
static const unsigned char version[11] = { 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0 };

static struct {
	pthread_mutex_t lock;
	int fds[RPC_MAX];
	int n;
} rpc = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool hello(int fd)
{
	unsigned char answer[sizeof(version)];

	return send(fd, request, sizeof(request), MSG_NOSIGNAL) == sizeof(request) &&
			recv(fd, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer) &&
			!memcmp(answer, version, sizeof(version));
}

static int dial(const char *endpoint)
{
	const char *colon = strrchr(endpoint, ':');
	struct timeval tv = { .tv_sec = TIMEOUT_S };
	struct sockaddr_storage sa;
	socklen_t len;
	char host[256];
	int fd;

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - endpoint) : 0, endpoint);
	if (!colon || es_resolve(host, atoi(colon + 1), &sa, &len) < 0)
		return -1;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (!connect(fd, (struct sockaddr *)&sa, len) && hello(fd))
		return fd;
	close(fd);
	return -1;
}

int es_rpc_connect(const char *list, char *ret_bad, size_t cap)
{
	ret_bad[0] = '\0';
	for (size_t n; *list; list += n, list += *list == ',') {
		n = strcspn(list, ",");
		snprintf(ret_bad, cap, "%.*s", (int)n, list);
		if (rpc.n == RPC_MAX || (rpc.fds[rpc.n] = dial(ret_bad)) < 0)
			return -1;
		rpc.n++;
	}
	ret_bad[0] = '\0';
	return rpc.n;
}

void es_rpc_ping(void)
{
	pthread_mutex_lock(&rpc.lock);
	for (int i = 0; i < rpc.n; i++)
		if (!hello(rpc.fds[i])) {
			es_raw("ggml-rpc.cpp:619: Remote RPC server crashed or returned malformed "
			       "response");
			es_exit(134); /* what a shell makes of SIGABRT */
		}
	pthread_mutex_unlock(&rpc.lock);
}

static const struct es_flag rpc_flags[] = {
	{ "threads", "-t", ES_INT, NULL },
	{ "device", "-d", ES_STR, NULL },
	{ "host", "-H", ES_STR, NULL },
	{ "port", "-p", ES_INT, NULL },
	{ "cache", "-c", ES_TRUE, NULL },
};

/* One client at a time, as the real one does. */
static void serve_client(int fd)
{
	unsigned char got[sizeof(request)];

	puts("Accepted client connection");
	fflush(stdout);
	while (recv(fd, got, sizeof(got), MSG_WAITALL) == sizeof(got) &&
			!memcmp(got, request, sizeof(got)))
		if (send(fd, version, sizeof(version), MSG_NOSIGNAL) < 0)
			break;
	close(fd);
	puts("Client connection closed");
	fflush(stdout);
}

static int listen_at(const char *host, int port)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd, one = 1;

	if (port < 1 || port > 65535 || es_resolve(host, port, &sa, &len) < 0)
		return -1;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&sa, len) && !listen(fd, 1))
		return fd;
	close(fd);
	return -1;
}

/* No handler for SIGTERM: as process 1 it would not even notice, in which it is like the real one.
 */
static int run_rpc(int argc, char **argv)
{
	struct es_args a = { .prog = "rpc-server",
		.usage = "Usage: rpc-server [options]",
		.dialect = &es_rpc_args,
		.nothing_free = true,
		.flags = rpc_flags,
		.n_flags = ES_COUNTOF(rpc_flags) };
	const char *host;
	int port, fd;

	es_args_parse(&a, argc - 1, argv + 1);
	host = es_args_str(&a, "host", "127.0.0.1");
	port = (int)es_args_int(&a, "port", PORT_DEFAULT);
	es_args_done(&a);
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY")))
		return 0;
	fd = listen_at(host, port);
	if (fd < 0) {
		fputs("Failed to create server socket\n", stderr);
		return 1;
	}
	printf("Starting RPC server v3.0.0\n  endpoint       : %s:%d\n", host, port);
	fflush(stdout);
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client >= 0)
			serve_client(client);
		else if (errno == EMFILE || errno == ENFILE)
			es_sleep_until(es_now() + 0.05);
	}
}

const struct es_personality es_rpc_server = { .name = "rpc-server", .run = run_rpc };
