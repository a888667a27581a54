/* internal.h - one test, as a worker runs it. */
#ifndef SB_LINKTEST_INTERNAL_H
#define SB_LINKTEST_INTERNAL_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "sb_linktest.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define COUNT_BYTES 8u /* what the receiver says at the end */

struct side {
	const atomic_bool *stop; /* the agent ends */
	uint64_t until_ms;       /* CLOCK_BOOTTIME */
	uint8_t token[SB_LINKTEST_TOKEN_LEN];
	uint64_t max_bytes;
};

/* Who waits. */
struct server {
	struct side side;
	int tcp, udp; /* one port; -1 = none */
};
/** Both sockets on @address and a port of the kernel's choice, of which @ret_port is told. */
int linktest_bind(const char *address, struct server *s, uint16_t *ret_port, struct sb_err *err);
/** Serve one caller until it ends, or until time is up. */
void linktest_serve(struct server *s);

/* Who calls. */
struct client {
	struct side side;
	struct sockaddr_storage source, to;
	socklen_t source_len, to_len;
	uint32_t packet_bytes; /* of the large packet; 0 = none is sent */
	uint32_t send_ms;      /* 0 = connect, and send nothing */
	Sparkbus__RunLinktestReply reply;
	char error[120];
};
void linktest_call(struct client *c);

/** "10.0.0.1" or IPv6, and a port, to an address; false for anything else. */
bool linktest_address(const char *ip, uint16_t port, struct sockaddr_storage *ret, socklen_t *len);
/** Wait for @events of @fd. Return: 1; 0 when time is up or the agent ends; -errno. */
int linktest_wait(const struct side *side, int fd, short events);
/** Read or write all of @len bytes. Return: 0; -errno, -ETIMEDOUT when time is up, -EPIPE when the
 * other side closed. */
int linktest_read_all(const struct side *side, int fd, void *data, size_t len);
int linktest_write_all(const struct side *side, int fd, const void *data, size_t len);

#endif
