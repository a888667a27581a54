/* internal.h - shared between the files of agent/bus only. */
#ifndef SB_BUS_INTERNAL_H
#define SB_BUS_INTERNAL_H

#include <nng/nng.h>

#include "sb_bus.h"
#include "sb_link.h"
#include "sb_wire_nng.h"

struct conn;

#define LISTENERS_MAX 2 /* IPv6 and IPv4, where one socket does not take both */

/* One listening socket of a door, with one accept pending. */
struct listener {
	struct door *door;
	nng_stream_listener *stream;
	nng_aio *aio;
	struct sb_mail mail;
	bool pending;
	sd_event_source *retry; /* after an accept failed: descriptors or memory ran out */
};

struct door {
	struct sb_bus *bus;
	enum sb_bus_door id;
	struct listener listeners[LISTENERS_MAX];
	unsigned n_listeners;
	char *address;
	uint16_t asked_port, port;
	struct sb_tls_context *context;
	struct conn *conns;        /* open ones */
	struct sb_bus_call *calls; /* those that wait for their answer, newest first */
	unsigned n_conns, n_handshakes, n_calls;
};

struct sb_bus {
	sd_event *loop;
	struct sb_mailbox *box;
	struct sb_links *links;
	sb_bus_request_fn fn;
	void *ctx;
	struct door doors[SB_BUS_DOOR_COUNT_];
	sd_event_source *tick; /* armed while there is a connection */
	unsigned ticks;
};

/** Take over @stream, just accepted; it is closed when that fails. */
void conn_new(struct door *door, nng_stream *stream);
/** The door has @context from now on. Close every connection that did not get through its
 * handshake yet or that would not be let in any more; all of them when our own certificate is
 * another. */
void conns_use(struct door *door, struct sb_tls_context *context);
/** Close what does not finish its handshake; with @probe also what stalls or is broken. */
void conns_sweep(struct door *door, uint64_t now_ms, bool probe);
void conns_close_all(struct door *door);
/** Make sure that conns_sweep() is called while there is a connection. */
void bus_arm_tick(struct sb_bus *bus);

#endif
