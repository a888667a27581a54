/* conn.c - the connections of a door: who may stay, and which calls came by them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define FROM_MAX 64

struct conn {
	struct door *door;
	struct conn *next, *prev;
	struct sb_link *link;
	unsigned holds; /* of ours that still look at it, the link included */
	bool closed;
	bool greeted;      /* the peer is authenticated */
	uint64_t since_ms; /* accepted, or the last message */
	unsigned n_calls;  /* requests that wait for their answer */
	char from[FROM_MAX];
};

struct sb_bus_call {
	struct door *door; /* NULL once the bus is gone */
	struct conn *conn; /* NULL once the caller is gone */
	struct sb_bus_call *next, *prev;
	uint32_t id;
	bool over;
};

static void conn_put(struct conn *conn)
{
	if (--conn->holds == 0)
		free(conn);
}

/* Out of every list and count. */
static void conn_forget(struct conn *conn)
{
	struct door *door = conn->door;

	if (conn->closed)
		return;
	conn->closed = true;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		door->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	door->n_conns--;
	if (!conn->greeted)
		door->n_handshakes--;
	for (struct sb_bus_call *call = door->calls; call && conn->n_calls; call = call->next) {
		if (call->conn != conn)
			continue;
		call->conn = NULL;
		conn->n_calls--;
	}
	conn_put(conn);
}

static void conn_close(struct conn *conn)
{
	sb_link_close(conn->link);
	conn_forget(conn);
}

/* "10.0.0.5:41234", "[fe80::1]:41234"; an IPv4 caller on an IPv6 socket is shown as IPv4. */
static void read_from(nng_stream *stream, char from[FROM_MAX])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char host[INET6_ADDRSTRLEN] = "?";
	nng_sockaddr sa;

	snprintf(from, FROM_MAX, "?");
	if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &sa))
		return;
	if (sa.s_family == NNG_AF_INET) {
		inet_ntop(AF_INET, &sa.s_in.sa_addr, host, sizeof(host));
		snprintf(from, FROM_MAX, "%s:%u", host, ntohs(sa.s_in.sa_port));
	} else if (sa.s_family == NNG_AF_INET6) {
		bool v4 = !memcmp(sa.s_in6.sa_addr, mapped, sizeof(mapped));

		inet_ntop(v4 ? AF_INET : AF_INET6, sa.s_in6.sa_addr + (v4 ? 12 : 0), host,
				sizeof(host));
		snprintf(from, FROM_MAX, v4 ? "%s:%u" : "[%s]:%u", host, ntohs(sa.s_in6.sa_port));
	}
}

/* --- what the link tells --- */

static void on_open(void *ctx)
{
	struct conn *conn = ctx;

	conn->greeted = true;
	conn->door->n_handshakes--;
}

static void on_message(void *ctx, uint32_t id, const void *data, size_t len)
{
	struct conn *conn = ctx;
	struct door *door = conn->door;
	struct sb_bus *bus = door->bus;
	struct sb_bus_call *call = calloc(1, sizeof(*call));

	if (!call) {
		conn_close(conn);
		return;
	}
	conn->since_ms = sb_now_boot_ms();
	*call = (struct sb_bus_call){ .door = door,
		.conn = conn,
		.next = door->calls,
		.id = id,
		.over = door->n_calls >= SB_BUS_CALLS_MAX };
	if (call->next)
		call->next->prev = call;
	door->calls = call;
	door->n_calls++;
	conn->n_calls++;
	/* Held, because answering may close it and from[] is still in use. */
	conn->holds++;
	bus->fn(bus->ctx, call, door->id, conn->from, data, len);
	conn_put(conn);
}

static void on_closed(void *ctx, const struct sb_err *why)
{
	struct conn *conn = ctx;

	conn_forget(conn);
}

static const struct sb_link_ops link_ops = { on_open, on_message, on_closed };

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
	/* A caller that does not read its answers is of no use to anyone. */
	if (call->conn && sb_link_send(call->conn->link, call->id, data, len) < 0)
		conn_close(call->conn);
	call_free(call);
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
		if (handshaking ? conn->greeted : conn->n_calls > 0)
			continue;
		if (!worst || conn->since_ms < worst->since_ms)
			worst = conn;
	}
	if (worst)
		conn_close(worst);
	return worst;
}

void conn_new(struct door *door, nng_stream *stream)
{
	struct sb_link_how how = { SB_LINK_AGENT, door->context, NULL };
	struct conn *conn;

	if ((door->n_handshakes >= SB_BUS_HANDSHAKES_MAX && !evict(door, true)) ||
			(door->n_conns >= SB_BUS_CONNS_MAX && !evict(door, false)) ||
			!(conn = calloc(1, sizeof(*conn)))) {
		nng_stream_free(stream);
		return;
	}
	*conn = (struct conn){ .door = door, .holds = 1, .since_ms = sb_now_boot_ms() };
	read_from(stream, conn->from);
	if (sb_link_new(door->bus->links, stream, &how, &link_ops, conn, &conn->link, NULL) < 0) {
		free(conn);
		return;
	}
	conn->next = door->conns;
	if (conn->next)
		conn->next->prev = conn;
	door->conns = conn;
	door->n_conns++;
	door->n_handshakes++;
	bus_arm_tick(door->bus);
}

void conns_use(struct door *door, struct sb_tls_context *context)
{
	struct sb_tls_context *old = door->context;
	struct conn *next;

	door->context = sb_tls_context_ref(context);
	for (struct conn *conn = door->conns; conn; conn = next) {
		next = conn->next;
		if (!conn->greeted || !sb_tls_context_same(old, context) ||
				sb_link_judge(conn->link, context, NULL) < 0)
			conn_close(conn);
	}
	sb_tls_context_unref(old);
}

void conns_sweep(struct door *door, uint64_t now_ms, bool probe)
{
	struct conn *next;

	for (struct conn *conn = door->conns; conn; conn = next) {
		bool late = !conn->greeted && now_ms - conn->since_ms > SB_BUS_HANDSHAKE_MS;

		next = conn->next;
		if (late || (probe && sb_link_dead(conn->link, now_ms)))
			conn_close(conn);
	}
}

void conns_close_all(struct door *door)
{
	while (door->conns)
		conn_close(door->conns);
	/* Whoever holds a call may still answer or drop it; it goes nowhere. */
	for (struct sb_bus_call *call = door->calls; call; call = call->next)
		call->door = NULL;
	door->calls = NULL;
	door->n_calls = 0;
}
