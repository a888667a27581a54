/* sb_bus.h - the agent's two listeners: bytes in, bytes out, nothing of what they mean.
 *
 * One listener for operators (control) and one for agents (peer), each with its own authority. They
 * speak nng's REP over TLS over nng's TCP streams (link.c says why not by nng's own REP socket).
 * nng's threads put what they receive into the mailbox; the loop thread answers. A request holds
 * nothing but memory until it is answered, so that any number of waiting long polls (up to
 * SB_BUS_CALLS_MAX) never delays a command. */
#ifndef SB_BUS_H
#define SB_BUS_H

#include "sb_err.h"
#include "sb_loop.h"
#include "sb_tls.h"

#define SB_BUS_CALLS_MAX      1024  /* requests being answered at once, per listener */
#define SB_BUS_CONNS_MAX      512   /* connections per listener; the longest idle one gives way */
#define SB_BUS_HANDSHAKES_MAX 64    /* of these not yet authenticated; the oldest gives way */
#define SB_BUS_HANDSHAKE_MS   10000 /* from accept to an authenticated connection */

enum sb_bus_door { SB_BUS_CONTROL, SB_BUS_PEER, SB_BUS_DOOR_COUNT_ };

struct sb_bus;
struct sb_bus_call; /* one request that waits for its answer */

/** A request came in through @door from @from ("10.0.0.5:41234"). @data is borrowed during the
 * callback. Every call must be answered once by sb_bus_reply() or dropped by sb_bus_drop(). */
typedef void (*sb_bus_request_fn)(void *ctx, struct sb_bus_call *call, enum sb_bus_door door,
		const char *from, const void *data, size_t len);

int sb_bus_new(sd_event *loop, struct sb_mailbox *box, sb_bus_request_fn fn, void *ctx,
		struct sb_bus **ret, struct sb_err *err);
/** Closes both doors. The loop must not run any more. Calls that wait still want sb_bus_reply() or
 * sb_bus_drop(), which then only free them. */
void sb_bus_free(struct sb_bus *bus);
SB_DEFINE_CLEANUP(sb_bus_free, struct sb_bus *)

/** Open @door on @address:@port with @creds (copied). @address "" = every address, IPv4 and IPv6.
 * Calling it again with the same place replaces the credentials and CRL without a restart and
 * without closing the port. It counts when this returns: a connection stays only if its caller's
 * certificate passes the new authority and list, and ours is the same. On failure nothing changes:
 * the old credentials go on serving.
 * SB_E_BUSY when the port is taken; SB_E_INVALID when the credentials do not load, or when the
 * door is open already at another place. */
int sb_bus_listen(struct sb_bus *bus, enum sb_bus_door door, const char *address, uint16_t port,
		const struct sb_tls_creds *creds, struct sb_err *err);

/** Port that @door listens on (the one the system chose, when 0 was asked for); 0 = not open. */
uint16_t sb_bus_port(const struct sb_bus *bus, enum sb_bus_door door);

/** Whether SB_BUS_CALLS_MAX other calls wait at this door: answer SB_E_BUSY at once. */
bool sb_bus_call_over(const struct sb_bus_call *call);

/** Send @len bytes as the answer (copied) and end the call. A caller that went away is fine. */
void sb_bus_reply(struct sb_bus_call *call, const void *data, size_t len);
void sb_bus_drop(struct sb_bus_call *call);

#endif
