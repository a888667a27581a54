/* sb_loop.h - what meets the event loop from outside: other threads and slow work.
 *
 * The loop itself is sd-event: one thread owns the agent's state, and features use sd_event for
 * descriptors, timers (CLOCK_BOOTTIME) and signals directly. Two things sd-event leaves to us:
 * a mailbox by which nng's threads hand something to the loop, and a few workers for calls that
 * block (hashing, statfs on a dead mount), which get a copy and send back a result. */
#ifndef SB_LOOP_H
#define SB_LOOP_H

#include <systemd/sd-event.h>

#include "sb_err.h"

/* --- mailbox: any thread posts, the loop thread receives, in order --- */

/* One letter; embed it. While posted it belongs to the mailbox. */
struct sb_mail {
	struct sb_mail *next;
	void (*deliver)(struct sb_mail *mail); /* runs on the loop thread */
};

struct sb_mailbox;
int sb_mailbox_new(sd_event *loop, struct sb_mailbox **ret, struct sb_err *err);
/** Letters not yet delivered are dropped, not delivered. Call only when nobody posts any more. */
void sb_mailbox_free(struct sb_mailbox *box);
SB_DEFINE_CLEANUP(sb_mailbox_free, struct sb_mailbox *)
/** From any thread; never blocks and never fails. A letter that is already posted must not be
 * posted again before it was delivered. */
void sb_mailbox_post(struct sb_mailbox *box, struct sb_mail *mail);
/** Take @mail back when it is posted and not delivered, so that what embeds it can be freed. Call
 * on the loop thread, after whoever posts @mail was stopped. */
void sb_mailbox_withdraw(struct sb_mailbox *box, struct sb_mail *mail);

/* --- workers --- */

struct sb_workers;
/** At most @threads threads, started when first needed, that end after being idle. */
int sb_workers_new(struct sb_mailbox *box, unsigned threads, struct sb_workers **ret,
		struct sb_err *err);
/** Waits for the running calls; waiting ones are dropped and their done() is not called. */
void sb_workers_free(struct sb_workers *workers);
SB_DEFINE_CLEANUP(sb_workers_free, struct sb_workers *)

#define SB_WORKERS_QUEUE_MAX 256
/** Run @work(@arg) on a worker, then @done(@arg) on the loop. @work must touch only @arg.
 * -SB_E_BUSY when SB_WORKERS_QUEUE_MAX calls wait already. */
int sb_workers_run(struct sb_workers *workers, void (*work)(void *arg), void (*done)(void *arg),
		void *arg, struct sb_err *err);

/* --- timers: sd-event's, in our units --- */

/** Call @fn once, @delay_ms from now on CLOCK_BOOTTIME. A timer that *@source held is cancelled,
 * also from its own handler. Unref it (sd_event_source_disable_unref) to cancel. */
int sb_timer_once(sd_event *loop, sd_event_source **source, uint64_t delay_ms,
		sd_event_time_handler_t fn, void *ctx, struct sb_err *err);

#endif
