/* sb_linktest.h - does a path between two nodes work, and how fast: one TCP stream and one large
 * packet from one agent to another.
 *
 * An operator asks one agent to open a test on an address of its own, and gives the port and token
 * that it answers to the other. Only who has the token is served, once, within a time and a number
 * of bytes; what comes is thrown away, so a test gives nobody anything but a count. The bytes are
 * zeros in the clear: what is measured is the link.
 *
 * Sockets and waiting are on threads of their own; the loop gets the results. */
#ifndef SB_LINKTEST_H
#define SB_LINKTEST_H

#include "bus.pb-c.h"
#include "sb_loop.h"

#define SB_LINKTEST_ACTIVE_MAX 16u /* at once, of both kinds */
#define SB_LINKTEST_MS_MAX     30000u
#define SB_LINKTEST_BYTES_MAX  ((uint64_t)1 << 40)
#define SB_LINKTEST_TOKEN_LEN  32u

struct sb_linktests;
int sb_linktests_new(struct sb_mailbox *box, struct sb_linktests **ret, struct sb_err *err);
/** Breaks off what runs; callbacks are not called. */
void sb_linktests_free(struct sb_linktests *tests);
SB_DEFINE_CLEANUP(sb_linktests_free, struct sb_linktests *)

/** Wait for one caller, as @request says. @ret_port and @ret_token are what it needs. Return: 0;
 * -SB_E_INVALID for an address that is not this node's; -SB_E_RANGE; -SB_E_BUSY. */
int sb_linktest_open(struct sb_linktests *tests, const Sparkbus__OpenLinktestRequest *request,
		uint16_t *ret_port, uint8_t ret_token[SB_LINKTEST_TOKEN_LEN], struct sb_err *err);

typedef void (*sb_linktest_fn)(void *ctx, const Sparkbus__RunLinktestReply *reply);
/** Call an open test, and @fn on the loop when it is over, whatever came of it. */
int sb_linktest_run(struct sb_linktests *tests, const Sparkbus__RunLinktestRequest *request,
		sb_linktest_fn fn, void *ctx, struct sb_err *err);

#endif
