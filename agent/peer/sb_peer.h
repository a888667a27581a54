/* sb_peer.h - calls from this agent to other agents' peer doors; never blocks the loop.
 * One connection per remote node, made when first needed and kept (sb_dial.h). Nothing is ever
 * sent twice by itself. */
#ifndef SB_PEER_H
#define SB_PEER_H

#include "sb_loop.h"
#include "sb_tls.h"
#include "sb_wire.h"

#define SB_PEERS_MAX 256 /* nodes at once; one without a waiting call gives way */

struct sb_peers;
struct sb_peer_call;

/** @reply is borrowed during the callback, NULL on failure; then @err says why: SB_E_UNAVAILABLE
 * (no connection within the deadline, or it was lost), SB_E_TIMEOUT, SB_E_DENIED, or the peer's own
 * error. */
typedef void (*sb_peer_fn)(void *ctx, const Sparkbus__Response *reply, const struct sb_err *err);

int sb_peers_new(sd_event *loop, struct sb_mailbox *box, struct sb_peers **ret, struct sb_err *err);
/** Calls that wait are dropped and their callbacks not called. Not from such a callback. */
void sb_peers_free(struct sb_peers *peers);
SB_DEFINE_CLEANUP(sb_peers_free, struct sb_peers *)
/** Set or replace our credentials (copied). Existing connections are closed, and the calls that
 * wait fail with SB_E_UNAVAILABLE from within. On failure nothing changes. Not from a callback. */
int sb_peers_creds(struct sb_peers *peers, const struct sb_tls_creds *creds, struct sb_err *err);

/** Send @request to @node (name in its certificate) at @address:@port and call @fn once.
 * protocol and deadline are filled in here, and the id when there is none; @request is packed
 * before this returns, and not changed. @ret_call may be NULL.
 * -SB_E_BUSY when calls to SB_PEERS_MAX other nodes wait. */
int sb_peer_call(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		Sparkbus__Request *request, unsigned deadline_ms, sb_peer_fn fn, void *ctx,
		struct sb_peer_call **ret_call, struct sb_err *err);
/** Drop a call that waits; its callback is not called. NULL is fine. */
void sb_peer_cancel(struct sb_peer_call *call);

#endif
