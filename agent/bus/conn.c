/* conn.c - one accepted connection: nng's REP over a TLS stream of nng.
 *
 * Why not nng's own REP socket. In nng 1.5 a connection that sends nothing after the TCP accept, or
 * stops half way through the TLS handshake, is kept for ever: the ten-second timeout of the
 * negotiation cancels a send that was never started, and nothing happens. Each holds a descriptor
 * and 70 KB, before anyone was authenticated, and no option or call reaches it. Further, a read
 * that is posted after the peer's FIN was seen never completes, so a caller that sends and hangs
 * up can leave a connection behind for good. Streams give us what we need to cure both: we hold
 * every connection from its first byte, and closing one completes whatever it waits for.
 *
 * The wire form is that of the SP protocols, so that any nng REQ socket can call:
 *   both, once:  00 'S' 'P' 00, own protocol (16 bits), 00 00
 *   a message:   length (64 bits), request id (32 bits, top bit set), body
 * All numbers are big-endian. The length counts the id. An answer repeats the id.
 *
 * All of this runs on the loop thread; nng's callbacks only post a letter. A connection has at
 * most one read and one write in the air. It is freed when it is closed, both came back and nobody
 * is inside it (refs). Calls that wait keep a pointer to it, which is cleared when it goes. */
#include <arpa/inet.h>
#include <endian.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_wire.h"

#define HEAD_BYTES   8 /* of the greeting, and of a message's length */
#define ID_BYTES     4
#define ID_FLAG      0x80000000u
#define BUFFER_BYTES 4096 /* what a connection without a large message keeps */
#define MESSAGE_MAX  (SB_WIRE_MAX_BYTES + ID_BYTES)
#define FROM_MAX     64

struct out {
	struct out *next;
	size_t len, sent;
	uint8_t data[];
};

struct conn {
	struct door *door;
	struct conn *next, *prev;
	nng_stream *stream;
	nng_aio *rx, *tx;
	struct sb_mail rx_mail, tx_mail;
	bool rx_pending, tx_pending, closed;
	unsigned holds; /* functions of ours that still look at it */
	bool greeted;   /* the peer is authenticated and speaks REQ */
	unsigned generation;
	uint64_t since_ms; /* accepted, or last message complete */
	uint64_t rx_ms;    /* last byte received */
	uint64_t tx_ms;    /* last byte taken by the stream */
	uint8_t *buf;      /* received and not yet used */
	size_t have, space;
	struct out *out, **out_tail;
	size_t out_bytes;
	unsigned n_calls; /* requests that wait for their answer */
	char from[FROM_MAX];
};

struct sb_bus_call {
	struct door *door; /* NULL once the bus is gone */
	struct conn *conn; /* NULL once the caller is gone */
	struct sb_bus_call *next, *prev;
	uint32_t id;
	bool over;
};

static void rx_start(struct conn *conn);
static void tx_start(struct conn *conn);

/* --- life --- */

static void conn_free(struct conn *conn)
{
	struct out *out;

	while ((out = conn->out)) {
		conn->out = out->next;
		free(out);
	}
	nng_aio_free(conn->rx);
	nng_aio_free(conn->tx);
	nng_stream_free(conn->stream);
	free(conn->buf);
	free(conn);
}

static void conn_unlink(struct conn *conn)
{
	struct door *door = conn->door;

	if (conn->prev)
		conn->prev->next = conn->next;
	else
		door->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
}

static void conn_put(struct conn *conn)
{
	conn->holds--;
	if (!conn->closed || conn->rx_pending || conn->tx_pending || conn->holds)
		return;
	conn_unlink(conn);
	conn_free(conn);
}

/* Closing completes what is pending, by letters that arrive later. */
static void conn_close(struct conn *conn)
{
	if (conn->closed)
		return;
	conn->holds++;
	conn->closed = true;
	conn->door->n_conns--;
	if (!conn->greeted)
		conn->door->n_handshakes--;
	for (struct sb_bus_call *call = conn->door->calls; call && conn->n_calls;
			call = call->next) {
		if (call->conn != conn)
			continue;
		call->conn = NULL;
		conn->n_calls--;
	}
	nng_stream_close(conn->stream);
	conn_put(conn);
}

/* "10.0.0.5:41234", "[fe80::1]:41234"; an IPv4 caller on an IPv6 socket is shown as IPv4. */
static void read_from(struct conn *conn)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char host[INET6_ADDRSTRLEN] = "?";
	nng_sockaddr sa;

	snprintf(conn->from, sizeof(conn->from), "?");
	if (nng_stream_get_addr(conn->stream, NNG_OPT_REMADDR, &sa))
		return;
	if (sa.s_family == NNG_AF_INET) {
		inet_ntop(AF_INET, &sa.s_in.sa_addr, host, sizeof(host));
		snprintf(conn->from, sizeof(conn->from), "%s:%u", host, ntohs(sa.s_in.sa_port));
	} else if (sa.s_family == NNG_AF_INET6) {
		bool v4 = !memcmp(sa.s_in6.sa_addr, mapped, sizeof(mapped));

		inet_ntop(v4 ? AF_INET : AF_INET6, sa.s_in6.sa_addr + (v4 ? 12 : 0), host,
				sizeof(host));
		snprintf(conn->from, sizeof(conn->from), v4 ? "%s:%u" : "[%s]:%u", host,
				ntohs(sa.s_in6.sa_port));
	}
}

/* --- sending --- */

static int queue(struct conn *conn, size_t len, struct out **ret)
{
	struct out *out;

	if (conn->out_bytes + len > SB_BUS_OUT_MAX_BYTES)
		return -SB_E_RANGE;
	out = malloc(sizeof(*out) + len);
	if (!out)
		return -SB_E_NOMEM;
	*out = (struct out){ .len = len };
	*conn->out_tail = out;
	conn->out_tail = &out->next;
	conn->out_bytes += len;
	*ret = out;
	return 0;
}

static void queue_greeting(struct conn *conn)
{
	static const uint8_t greeting[HEAD_BYTES] = { 0, 'S', 'P', 0, NNG_REP0_SELF >> 8,
		NNG_REP0_SELF & 0xff };
	struct out *out;

	if (queue(conn, sizeof(greeting), &out) < 0)
		conn_close(conn);
	else
		memcpy(out->data, greeting, sizeof(greeting));
}

static void queue_answer(struct conn *conn, uint32_t id, const void *data, size_t len)
{
	uint64_t head = htobe64(ID_BYTES + len);
	uint32_t word = htobe32(id);
	struct out *out;

	/* A caller that does not read its answers is of no use to anyone. */
	if (queue(conn, HEAD_BYTES + ID_BYTES + len, &out) < 0) {
		conn_close(conn);
		return;
	}
	memcpy(out->data, &head, HEAD_BYTES);
	memcpy(out->data + HEAD_BYTES, &word, ID_BYTES);
	if (len)
		memcpy(out->data + HEAD_BYTES + ID_BYTES, data, len);
}

static void tx_start(struct conn *conn)
{
	struct out *out = conn->out;
	nng_iov iov;

	if (conn->closed || conn->tx_pending || !out)
		return;
	if (!out->sent)
		conn->tx_ms = sb_now_boot_ms();
	iov = (nng_iov){ out->data + out->sent, out->len - out->sent };
	nng_aio_set_iov(conn->tx, 1, &iov);
	conn->tx_pending = true;
	nng_stream_send(conn->stream, conn->tx);
}

static void tx_done(struct sb_mail *mail)
{
	struct conn *conn = sb_container_of(mail, struct conn, tx_mail);
	struct out *out = conn->out;

	conn->holds++;
	conn->tx_pending = false;
	if (nng_aio_result(conn->tx)) {
		conn_close(conn);
	} else if (!conn->closed) {
		out->sent += nng_aio_count(conn->tx);
		conn->tx_ms = sb_now_boot_ms();
		if (out->sent == out->len) {
			conn->out = out->next;
			if (!conn->out)
				conn->out_tail = &conn->out;
			conn->out_bytes -= out->len;
			free(out);
		}
		tx_start(conn);
	}
	conn_put(conn);
}

/* --- receiving --- */

static bool greeting_ok(const uint8_t *head)
{
	static const uint8_t expected[HEAD_BYTES] = { 0, 'S', 'P', 0, NNG_REP0_PEER >> 8,
		NNG_REP0_PEER & 0xff };

	return !memcmp(head, expected, sizeof(expected));
}

static void deliver(struct conn *conn, uint32_t id, const uint8_t *data, size_t len)
{
	struct door *door = conn->door;
	struct sb_bus *bus = door->bus;
	struct sb_bus_call *call = calloc(1, sizeof(*call));

	if (!call) {
		conn_close(conn);
		return;
	}
	call->door = door;
	call->conn = conn;
	call->id = id;
	call->over = door->n_calls >= SB_BUS_CALLS_MAX;
	call->next = door->calls;
	if (call->next)
		call->next->prev = call;
	door->calls = call;
	door->n_calls++;
	conn->n_calls++;
	bus->fn(bus->ctx, call, door->id, conn->from, data, len);
}

/* Use one greeting or message at @data. Return: bytes used; 0 = more are needed. */
static size_t use_one(struct conn *conn, const uint8_t *data, size_t len)
{
	uint64_t size;
	uint32_t id;

	if (len < HEAD_BYTES)
		return 0;
	if (!conn->greeted) {
		if (!greeting_ok(data)) {
			conn_close(conn);
			return 0;
		}
		conn->greeted = true;
		conn->door->n_handshakes--;
		return HEAD_BYTES;
	}
	memcpy(&size, data, sizeof(size));
	size = be64toh(size);
	if (size < ID_BYTES || size > MESSAGE_MAX) {
		conn_close(conn);
		return 0;
	}
	if (len - HEAD_BYTES < size)
		return 0;
	memcpy(&id, data + HEAD_BYTES, sizeof(id));
	id = be32toh(id);
	/* Without the flag it is a hop of a forwarder; there are none here. */
	if (!(id & ID_FLAG)) {
		conn_close(conn);
		return 0;
	}
	deliver(conn, id, data + HEAD_BYTES + ID_BYTES, size - ID_BYTES);
	return HEAD_BYTES + size;
}

/* Room for the next read. The buffer follows what has come, not what a header announces, so that
 * eight bytes do not cost eight megabytes. */
static int make_room(struct conn *conn)
{
	size_t space = conn->space;
	uint8_t *buf;

	if (!conn->have && space > BUFFER_BYTES)
		space = BUFFER_BYTES;
	else if (conn->have == space)
		space = space ? space * 2 : BUFFER_BYTES;
	if (space == conn->space)
		return 0;
	buf = realloc(conn->buf, space);
	if (!buf)
		return -SB_E_NOMEM;
	conn->buf = buf;
	conn->space = space;
	return 0;
}

static void rx_start(struct conn *conn)
{
	nng_iov iov;

	if (conn->closed || conn->rx_pending)
		return;
	if (make_room(conn) < 0) {
		conn_close(conn);
		return;
	}
	iov = (nng_iov){ conn->buf + conn->have, conn->space - conn->have };
	nng_aio_set_iov(conn->rx, 1, &iov);
	conn->rx_pending = true;
	nng_stream_recv(conn->stream, conn->rx);
}

static void rx_use(struct conn *conn)
{
	size_t used = 0, n;

	while (!conn->closed && (n = use_one(conn, conn->buf + used, conn->have - used)))
		used += n;
	conn->have -= used;
	if (used)
		conn->since_ms = conn->rx_ms;
	if (used && conn->have)
		memmove(conn->buf, conn->buf + used, conn->have);
}

static void rx_done(struct sb_mail *mail)
{
	struct conn *conn = sb_container_of(mail, struct conn, rx_mail);

	conn->holds++;
	conn->rx_pending = false;
	/* A read of nothing is the end of the stream (the peer's close_notify). */
	if (nng_aio_result(conn->rx) || !nng_aio_count(conn->rx)) {
		conn_close(conn);
	} else if (!conn->closed) {
		conn->have += nng_aio_count(conn->rx);
		conn->rx_ms = sb_now_boot_ms();
		rx_use(conn);
		rx_start(conn);
	}
	conn_put(conn);
}

/* These two run on nng's threads. */
static void on_rx(void *arg)
{
	struct conn *conn = arg;

	sb_mailbox_post(conn->door->bus->box, &conn->rx_mail);
}

static void on_tx(void *arg)
{
	struct conn *conn = arg;

	sb_mailbox_post(conn->door->bus->box, &conn->tx_mail);
}

/* --- calls --- */

static void call_free(struct sb_bus_call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else if (call->door)
		call->door->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	if (call->door)
		call->door->n_calls--;
	if (call->conn)
		call->conn->n_calls--;
	free(call);
}

bool sb_bus_call_over(const struct sb_bus_call *call)
{
	return call->over;
}

void sb_bus_reply(struct sb_bus_call *call, const void *data, size_t len)
{
	struct conn *conn = call->conn;

	if (conn) {
		conn->holds++;
		queue_answer(conn, call->id, data, len);
		tx_start(conn);
	}
	call_free(call);
	if (conn)
		conn_put(conn);
}

void sb_bus_drop(struct sb_bus_call *call)
{
	call_free(call);
}

/* --- all connections of a door --- */

/* Make room for one more: of those that are not authenticated the oldest goes, else the one that
 * was idle the longest. Return: false when every connection has a call waiting. */
static bool evict(struct door *door, bool handshaking)
{
	struct conn *worst = NULL;

	for (struct conn *conn = door->conns; conn; conn = conn->next) {
		if (conn->closed || (handshaking ? conn->greeted : conn->n_calls > 0))
			continue;
		if (!worst || conn->since_ms < worst->since_ms)
			worst = conn;
	}
	if (worst)
		conn_close(worst);
	return worst;
}

void conn_new(struct door *door, nng_stream *stream, unsigned generation)
{
	struct conn *conn;

	if ((door->n_handshakes >= SB_BUS_HANDSHAKES_MAX && !evict(door, true)) ||
			(door->n_conns >= SB_BUS_CONNS_MAX && !evict(door, false)) ||
			!(conn = calloc(1, sizeof(*conn)))) {
		nng_stream_free(stream);
		return;
	}
	conn->stream = stream;
	conn->door = door;
	conn->generation = generation;
	conn->out_tail = &conn->out;
	conn->rx_mail.deliver = rx_done;
	conn->tx_mail.deliver = tx_done;
	conn->since_ms = conn->rx_ms = conn->tx_ms = sb_now_boot_ms();
	if (nng_aio_alloc(&conn->rx, on_rx, conn) || nng_aio_alloc(&conn->tx, on_tx, conn)) {
		conn_free(conn);
		return;
	}
	read_from(conn);
	conn->next = door->conns;
	if (conn->next)
		conn->next->prev = conn;
	door->conns = conn;
	door->n_conns++;
	door->n_handshakes++;
	conn->holds++;
	queue_greeting(conn);
	tx_start(conn); /* this starts the TLS handshake */
	rx_start(conn);
	conn_put(conn);
	bus_arm_tick(door->bus);
}

void conns_close_before(struct door *door, unsigned generation)
{
	struct conn *next;

	for (struct conn *conn = door->conns; conn; conn = next) {
		next = conn->next;
		if (conn->generation != generation)
			conn_close(conn);
	}
}

static bool late(const struct conn *conn, uint64_t now_ms)
{
	if (!conn->greeted)
		return now_ms - conn->since_ms > SB_BUS_HANDSHAKE_MS;
	if (conn->have && now_ms - conn->rx_ms > SB_BUS_STALL_MS)
		return true;
	return conn->tx_pending && now_ms - conn->tx_ms > SB_BUS_STALL_MS;
}

void conns_sweep(struct door *door, uint64_t now_ms, bool probe)
{
	struct conn *next;
	nng_sockaddr sa;

	for (struct conn *conn = door->conns; conn; conn = next) {
		next = conn->next;
		if (conn->closed)
			continue;
		/* A socket without a peer is one whose end nng saw and could not report. */
		if (late(conn, now_ms) ||
				(probe && nng_stream_get_addr(conn->stream, NNG_OPT_REMADDR, &sa)))
			conn_close(conn);
	}
}

void conns_free(struct door *door)
{
	struct conn *conn;

	/* Whoever holds a call may still answer or drop it; it goes nowhere. */
	for (struct sb_bus_call *call = door->calls; call; call = call->next) {
		call->door = NULL;
		call->conn = NULL;
	}
	door->calls = NULL;
	door->n_calls = 0;

	while ((conn = door->conns)) {
		/* Held, so that nothing frees it; the letters are taken back by hand. */
		conn->holds++;
		conn_close(conn);
		nng_aio_stop(conn->rx);
		nng_aio_stop(conn->tx);
		sb_mailbox_withdraw(door->bus->box, &conn->rx_mail);
		sb_mailbox_withdraw(door->bus->box, &conn->tx_mail);
		conn_unlink(conn);
		conn_free(conn);
	}
}
