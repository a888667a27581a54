/* dial.c - a TCP connection with a deadline. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "internal.h"

static void free_addresses(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

int tls_wait(int fd, short events, uint64_t deadline_boot_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = sb_now_boot_ms();
		uint64_t left = now < deadline_boot_ms ? deadline_boot_ms - now : 0;
		int n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);

		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && left <= INT32_MAX)
			return 0;
	}
}

/* Return: 0, -ETIMEDOUT at the deadline, or what connect said. */
static int connect_one(const struct addrinfo *to, uint64_t deadline, int *ret_fd)
{
	SB_CLEANUP(sb_closep)
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
	int error = 0;
	socklen_t len = sizeof(error);
	int rc;

	if (fd < 0)
		return -errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		rc = tls_wait(fd, POLLOUT, deadline);
		if (rc <= 0)
			return rc == 0 ? -ETIMEDOUT : rc;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		if (error)
			return -error;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int explain(const char *host, uint16_t port, int error, struct sb_err *err)
{
	if (error == ECONNREFUSED)
		return sb_err_hint(err,
				sb_err_set(err, SB_E_UNAVAILABLE,
						"%s port %u: connection refused: nothing listens "
						"there",
						host, port),
				"check that sparkbusd runs on the node: systemctl status "
				"sparkbusd");
	if (error == ETIMEDOUT)
		return sb_err_hint(err,
				sb_err_set(err, SB_E_TIMEOUT,
						"%s port %u: no answer to a connection", host,
						port),
				"check that the node is up and that no firewall drops the port");
	return sb_err_errno(err, error, "%s port %u", host, port);
}

int tls_dial(const char *host, uint16_t port, uint64_t deadline_boot_ms, int *ret_fd,
		struct sb_err *err)
{
	SB_CLEANUP(free_addresses) struct addrinfo *list = NULL;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	char service[8];
	size_t left = 0;
	int rc;

	/* The resolver has time-outs of its own; the name was resolved a moment ago for the
	 * connection that failed, or it would not have come as far as a refusal. */
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc)
		return sb_err_set(err, SB_E_UNAVAILABLE, "%s: %s", host,
				rc == EAI_SYSTEM ? "cannot be resolved" : gai_strerror(rc));
	for (const struct addrinfo *to = list; to; to = to->ai_next)
		left++;
	rc = -EADDRNOTAVAIL;
	for (const struct addrinfo *to = list; to; to = to->ai_next, left--) {
		uint64_t now = sb_now_boot_ms();
		uint64_t share = now < deadline_boot_ms ? (deadline_boot_ms - now) / left : 0;

		rc = connect_one(to, now + share, ret_fd);
		if (rc == 0)
			return 0;
	}
	return explain(host, port, -rc, err);
}
