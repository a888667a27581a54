#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "internal.h"

#define SLICE_MS 100 /* how soon the end of the agent is noticed */

bool linktest_address(const char *ip, uint16_t port, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		*len = sizeof(*four);
		return four->sin_addr.s_addr != INADDR_ANY;
	}
	if (inet_pton(AF_INET6, ip, &six->sin6_addr) != 1)
		return false;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	*len = sizeof(*six);
	return !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}

int linktest_wait(const struct side *side, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	while (!atomic_load(side->stop)) {
		uint64_t now = sb_now_boot_ms();
		uint64_t left = side->until_ms > now ? side->until_ms - now : 0;
		int n;

		if (!left)
			return 0;
		n = poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

static int transfer(const struct side *side, int fd, uint8_t *data, size_t len, bool out)
{
	while (len) {
		ssize_t n = out ? send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				: recv(fd, data, len, MSG_DONTWAIT);
		int rc;

		if (n > 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (n == 0)
			return -EPIPE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		rc = linktest_wait(side, fd, out ? POLLOUT : POLLIN);
		if (rc <= 0)
			return rc ? rc : -ETIMEDOUT;
	}
	return 0;
}

int linktest_read_all(const struct side *side, int fd, void *data, size_t len)
{
	return transfer(side, fd, data, len, false);
}

int linktest_write_all(const struct side *side, int fd, const void *data, size_t len)
{
	return transfer(side, fd, (uint8_t *)data, len, true);
}
