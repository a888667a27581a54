/* sb_dial.h - calls to one agent: connect when needed, many calls at once, a deadline on each.
 * Never repeats a request by itself. Everything runs on the loop thread and nothing blocks. */
#ifndef SB_DIAL_H
#define SB_DIAL_H

#include "sb_link.h"

/* From connect to an authenticated connection. It comes within milliseconds, or the node is off,
 * frozen or behind a firewall: nobody should sit through a long deadline to learn that. */
#define SB_DIAL_HANDSHAKE_MS 4000

struct sb_dial;
struct sb_dial_call;

struct sb_dial_to {
	const char *node;    /* name that its certificate must have */
	const char *address; /* host or IP */
	uint16_t port;
	/** After a failure try again, 100 ms to 2 s apart, as long as calls wait, unless one side
	 * refused the other's certificate; false: every call that waits fails at once with the
	 * reason. */
	bool retry;
};

/** @context (of a dialer) is held. Nothing is connected yet. */
int sb_dial_new(sd_event *loop, struct sb_mailbox *box, struct sb_links *links,
		struct sb_tls_context *context, const struct sb_dial_to *to, struct sb_dial **ret,
		struct sb_err *err);
/** Calls that wait are dropped and their callbacks not called. Not from a callback of its own. */
void sb_dial_free(struct sb_dial *dial);
SB_DEFINE_CLEANUP(sb_dial_free, struct sb_dial *)

/** @reply is the callee's to free; NULL on failure, and @err says why, with the node's name:
 * SB_E_UNAVAILABLE: not connected, or the connection was lost; the text says whether anything was
 * asked. SB_E_DENIED: one side refused the other's certificate. SB_E_TIMEOUT: asked and no answer
 * in time. Or the agent's own error. */
typedef void (*sb_dial_fn)(void *ctx, sb_response *reply, const struct sb_err *err);

/** Send @request and call @fn once, later. protocol and deadline are filled in, and the id when
 * there is none. @request is packed before this returns and not changed. */
int sb_dial_call(struct sb_dial *dial, const sb_request *request, unsigned deadline_ms,
		sb_dial_fn fn, void *ctx, struct sb_dial_call **ret, struct sb_err *err);
/** Drop the call; @fn is not called. Only while it waits. */
void sb_dial_cancel(struct sb_dial_call *call);
/** Whether the request went out, so that it may have been done. */
bool sb_dial_call_sent(const struct sb_dial_call *call);

/** Close the connection and fail every call that waits. */
void sb_dial_break(struct sb_dial *dial, const char *why);
/** Number of calls that wait. */
unsigned sb_dial_waiting(const struct sb_dial *dial);

#endif
