/* sb_link.h - one connection of the bus: messages with ids over TLS over a TCP stream of nng.
 *
 * Both ends use it: the agent's doors for what they accept, callers (sb_dial.h) for what they dial.
 * Everything runs on the loop thread; nng's threads only post letters. link.c says why not by
 * nng's own sockets. */
#ifndef SB_LINK_H
#define SB_LINK_H

#include <nng/nng.h>

#include "sb_loop.h"
#include "sb_session.h"
#include "sb_wire.h"

#define SB_LINK_STALL_MS      30000              /* longest pause inside a message, either way */
#define SB_LINK_OUT_MAX_BYTES ((size_t)64 << 20) /* sent and not yet taken by the other side */

/* All links of one owner, those that are closed and still wait for nng included. */
struct sb_links;
int sb_links_new(struct sb_mailbox *box, struct sb_links **ret, struct sb_err *err);
/** Closes what is open, without a callback, and frees all at once. */
void sb_links_free(struct sb_links *links);
SB_DEFINE_CLEANUP(sb_links_free, struct sb_links *)

struct sb_link;
struct sb_link_ops {
	/** The other side is authenticated and greeted. */
	void (*open)(void *ctx);
	/** A message; @data is borrowed. May send and may close. */
	void (*message)(void *ctx, uint32_t id, const void *data, size_t len);
	/** The link ended by itself and is gone when this returns. @why: SB_E_DENIED: one side
	 * refused the other's certificate, in words; SB_E_PROTOCOL or SB_E_RANGE: what came is not
	 * the bus; SB_E_UNAVAILABLE: the other side, or the network, ended it. */
	void (*closed)(void *ctx, const struct sb_err *why);
};

enum sb_link_side { SB_LINK_CALLER, SB_LINK_AGENT }; /* REQ and REP of nng */

struct sb_link_how {
	enum sb_link_side side;
	struct sb_tls_context *context; /* of the same side; the link holds it */
	const char *peer_name;          /* demanded of the other side's certificate; NULL = any */
};

/** Start on @stream, which is taken over also on failure. The TLS handshake begins here. */
int sb_link_new(struct sb_links *links, nng_stream *stream, const struct sb_link_how *how,
		const struct sb_link_ops *ops, void *ctx, struct sb_link **ret, struct sb_err *err);
/** Whether the other side's certificate would be accepted by @context, too: -SB_E_DENIED if not. */
int sb_link_judge(const struct sb_link *link, const struct sb_tls_context *context,
		struct sb_err *err);
/** End it; no callback comes any more. NULL is fine. */
void sb_link_close(struct sb_link *link);

#define SB_LINK_ID_FLAG 0x80000000u /* every id has this bit */
/** Send a message (copied). -SB_E_RANGE when the other side does not read: then close it. */
int sb_link_send(struct sb_link *link, uint32_t id, const void *data, size_t len);

/** Whether it stalls inside a message, or is broken without nng having said so. */
bool sb_link_dead(const struct sb_link *link, uint64_t now_ms);
/** CLOCK_BOOTTIME of the last byte received; of its start when there was none. */
uint64_t sb_link_heard_ms(const struct sb_link *link);

#endif
