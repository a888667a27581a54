/* server.c - who waits: one caller with the token, and what it sends is counted and dropped. */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <openssl/crypto.h>

#include "internal.h"

#define BIND_TRIES   8
#define STRANGERS    16u   /* callers without the token before the test ends */
#define STRANGER_MS  1000u /* they have, to show it */
#define DATAGRAM_MAX 65536u

/* --- sockets --- */

static int open_bound(int type, const struct sockaddr_storage *at, socklen_t len)
{
	int fd = socket(at->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)at, len) < 0) {
		int saved = errno;

		close(fd);
		return -saved;
	}
	return fd;
}

/* A port that is free for TCP may be taken for UDP: then another one. */
static int bind_pair(struct server *s, struct sockaddr_storage *at, socklen_t len)
{
	s->tcp = open_bound(SOCK_STREAM, at, len);
	if (s->tcp < 0)
		return s->tcp;
	if (listen(s->tcp, 4) < 0 || getsockname(s->tcp, (struct sockaddr *)at, &len) < 0)
		return -errno;
	s->udp = open_bound(SOCK_DGRAM, at, len);
	return s->udp < 0 ? s->udp : 0;
}

static uint16_t port_of(const struct sockaddr_storage *at)
{
	return ntohs(at->ss_family == AF_INET ? ((const struct sockaddr_in *)at)->sin_port
					      : ((const struct sockaddr_in6 *)at)->sin6_port);
}

static void close_all(struct server *s)
{
	if (s->tcp >= 0)
		close(s->tcp);
	if (s->udp >= 0)
		close(s->udp);
	s->tcp = s->udp = -1;
}

int linktest_bind(const char *address, struct server *s, uint16_t *ret_port, struct sb_err *err)
{
	int rc = -EADDRINUSE;

	s->tcp = s->udp = -1;
	for (int i = 0; i < BIND_TRIES && rc == -EADDRINUSE; i++) {
		struct sockaddr_storage at;
		socklen_t len;

		if (!linktest_address(address, 0, &at, &len))
			return sb_err_set(err, SB_E_INVALID,
					"address '%s': expected one of this node's", address);
		rc = bind_pair(s, &at, len);
		if (rc == 0)
			*ret_port = port_of(&at);
		else
			close_all(s);
	}
	if (rc == -EADDRNOTAVAIL)
		return sb_err_set(err, SB_E_INVALID, "address '%s' is not this node's", address);
	return rc < 0 ? sb_err_errno(err, -rc, "bind %s", address) : 0;
}

/* --- serving --- */

static bool has_token(const struct server *s, const void *data)
{
	return CRYPTO_memcmp(data, s->side.token, SB_LINKTEST_TOKEN_LEN) == 0;
}

/* A large packet is answered by a small one: what is asked is whether it came through. */
static void answer_packet(struct server *s)
{
	static _Thread_local uint8_t packet[DATAGRAM_MAX];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(s->udp, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&from,
			&from_len);

	if (n < (ssize_t)SB_LINKTEST_TOKEN_LEN || !has_token(s, packet))
		return;
	(void)!sendto(s->udp, s->side.token, SB_LINKTEST_TOKEN_LEN, MSG_DONTWAIT,
			(struct sockaddr *)&from, from_len);
}

/* Count until the caller ends or reaches its limit. MSG_TRUNC drops the bytes in the kernel. */
static uint64_t drain(struct server *s, int fd)
{
	uint64_t total = 0;

	while (total < s->side.max_bytes) {
		ssize_t n = recv(fd, NULL, CHUNK_BYTES, MSG_TRUNC | MSG_DONTWAIT);

		if (n > 0) {
			total += (uint64_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (linktest_wait(&s->side, fd, POLLIN) <= 0)
			break;
	}
	return total;
}

/* Return: true when the caller had the token; the test is then over. */
static bool serve_caller(struct server *s)
{
	struct side patience = s->side;
	uint8_t token[SB_LINKTEST_TOKEN_LEN];
	uint64_t count, soon = sb_now_boot_ms() + STRANGER_MS;
	int fd = accept4(s->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	bool known;

	if (fd < 0)
		return false;
	patience.until_ms = soon < patience.until_ms ? soon : patience.until_ms;
	known = linktest_read_all(&patience, fd, token, sizeof(token)) == 0 && has_token(s, token);
	if (known) {
		close(s->tcp); /* nobody else is served */
		s->tcp = -1;
		count = htobe64(drain(s, fd));
		linktest_write_all(&s->side, fd, &count, COUNT_BYTES);
	}
	close(fd);
	return known;
}

void linktest_serve(struct server *s)
{
	unsigned strangers = 0;

	while (strangers < STRANGERS && !atomic_load(s->side.stop)) {
		struct pollfd p[] = { { .fd = s->tcp, .events = POLLIN },
			{ .fd = s->udp, .events = POLLIN } };

		if (sb_now_boot_ms() >= s->side.until_ms)
			break;
		if (poll(p, sb_countof(p), 50) <= 0)
			continue;
		if (p[1].revents)
			answer_packet(s);
		if (p[0].revents && serve_caller(s))
			break;
		strangers += p[0].revents != 0;
	}
	close_all(s);
	OPENSSL_cleanse(s->side.token, sizeof(s->side.token));
}
