/* client.c - who calls: a large packet first, then as many bytes as time and limits allow. */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define PACKET_TRIES   4
#define PACKET_WAIT_MS 250u
#define TIMEOUT_TEXT   "no answer in time"

static const uint8_t zeros[CHUNK_BYTES];

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int failed(struct client *c, const char *what, int rc)
{
	snprintf(c->error, sizeof(c->error), "%s: %s", what,
			rc == -ETIMEDOUT ? TIMEOUT_TEXT : strerror(-rc));
	return rc;
}

static int open_from(struct client *c, int type)
{
	int fd = socket(c->to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd < 0)
		return -errno;
	if (!c->source_len || bind(fd, (struct sockaddr *)&c->source, c->source_len) == 0)
		return fd;
	saved = errno;
	close(fd);
	return -saved;
}

/* --- the large packet --- */

/* One packet that must not be cut up on the way. Return: 1 came through; 0 lost; -errno. */
static int try_packet(struct client *c, int fd, const uint8_t *packet)
{
	struct side wait = c->side;
	uint64_t soon = sb_now_boot_ms() + PACKET_WAIT_MS;
	uint8_t answer[SB_LINKTEST_TOKEN_LEN];
	int rc;

	/* EMSGSIZE: larger than the MTU of our own interface. */
	if (send(fd, packet, c->packet_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EAGAIN || errno == ECONNREFUSED ? 0 : -errno;
	wait.until_ms = soon < wait.until_ms ? soon : wait.until_ms;
	rc = linktest_wait(&wait, fd, POLLIN);
	if (rc <= 0)
		return rc;
	return recv(fd, answer, sizeof(answer), MSG_DONTWAIT) == (ssize_t)sizeof(answer) &&
			memcmp(answer, c->side.token, sizeof(answer)) == 0;
}

static int send_packet(struct client *c)
{
	SB_CLEANUP(sb_freep) uint8_t *packet = calloc(1, c->packet_bytes);
	int fd = open_from(c, SOCK_DGRAM), rc = 0;
	int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;
	bool six = c->to.ss_family == AF_INET6;

	if (fd < 0 || !packet)
		return fd < 0 ? fd : -ENOMEM;
	memcpy(packet, c->side.token, SB_LINKTEST_TOKEN_LEN);
	if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
			    six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, six ? &probe6 : &probe4,
			    sizeof(int)) < 0 ||
			connect(fd, (struct sockaddr *)&c->to, c->to_len) < 0)
		rc = -errno;
	for (int i = 0; rc == 0 && i < PACKET_TRIES; i++)
		rc = try_packet(c, fd, packet);
	close(fd);
	return rc;
}

static void test_packet(struct client *c)
{
	int rc = c->packet_bytes ? send_packet(c) : -ENODATA;

	if (rc < 0 && rc != -EMSGSIZE)
		return; /* not known */
	c->reply.has_packet_case = SPARKBUS__RUN_LINKTEST_REPLY__HAS_PACKET_PACKET_PASSED;
	c->reply.packet_passed = rc == 1;
}

/* --- the stream --- */

static int connect_out(struct client *c)
{
	int fd = open_from(c, SOCK_STREAM), rc, problem = 0;
	socklen_t len = sizeof(problem);

	if (fd < 0)
		return fd;
	rc = connect(fd, (struct sockaddr *)&c->to, c->to_len) < 0 ? -errno : 0;
	if (rc == -EINPROGRESS) {
		rc = linktest_wait(&c->side, fd, POLLOUT);
		rc = rc > 0 ? 0 : rc == 0 ? -ETIMEDOUT : rc;
		if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) < 0)
			rc = -errno;
		if (rc == 0)
			rc = -problem;
	}
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

/* Only whole bytes that the other side confirms count, so this is what went through. */
static int pump(struct client *c, int fd)
{
	struct side sending = c->side;
	uint64_t begin = now_us(), sent = 0, count = 0, soon = sb_now_boot_ms() + c->send_ms;
	int rc = 0;

	sending.until_ms = soon < c->side.until_ms ? soon : c->side.until_ms;
	while (c->send_ms && sent < c->side.max_bytes && rc == 0) {
		size_t part = c->side.max_bytes - sent < CHUNK_BYTES
				? (size_t)(c->side.max_bytes - sent)
				: CHUNK_BYTES;

		rc = linktest_write_all(&sending, fd, zeros, part);
		sent += part;
	}
	if (rc < 0 && rc != -ETIMEDOUT)
		return rc;
	shutdown(fd, SHUT_WR);
	rc = linktest_read_all(&c->side, fd, &count, COUNT_BYTES);
	if (rc < 0)
		return rc;
	c->reply.bytes = be64toh(count);
	c->reply.us = now_us() - begin;
	return 0;
}

static void look(struct client *c, int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return;
	c->reply.retransmits = info.tcpi_total_retrans;
	c->reply.rtt_us = info.tcpi_rtt;
	c->reply.segment_bytes = info.tcpi_snd_mss;
}

void linktest_call(struct client *c)
{
	int fd, rc;

	sparkbus__run_linktest_reply__init(&c->reply);
	c->reply.error = c->error;
	test_packet(c);
	fd = connect_out(c);
	if (fd < 0) {
		failed(c, "connect", fd);
		return;
	}
	c->reply.connected = true;
	rc = linktest_write_all(&c->side, fd, c->side.token, SB_LINKTEST_TOKEN_LEN);
	if (rc == 0)
		rc = pump(c, fd);
	if (rc < 0)
		failed(c, "stream", rc);
	look(c, fd);
	close(fd);
}
