/* sb_events.h - the agent's bounded ring of events, with cursors. In memory; starts anew with the
 * agent, and a cursor from before says so by "lost". */
#ifndef SB_EVENTS_H
#define SB_EVENTS_H

#include "sb_err.h"
#include "sb_wire.h"

#define SB_EVENTS_MAX        4096
#define SB_EVENTS_MAX_BYTES  ((size_t)2 << 20)
#define SB_EVENTS_CURSOR     16                  /* bytes: which ring, then which event */
#define SB_EVENTS_TEXT_MAX   ((size_t)1024)      /* bytes of a line; '+' where it is cut */
#define SB_EVENTS_STATUS_MAX ((size_t)256 << 10) /* packed; a larger status is left out */

struct sb_events;
int sb_events_new(const char *node, struct sb_events **ret, struct sb_err *err);
void sb_events_free(struct sb_events *events);
SB_DEFINE_CLEANUP(sb_events_free, struct sb_events *)

/** Append; node and unix_ms are filled in. @job may be NULL, @rank -1, @status NULL (it is copied).
 * Out of memory drops the event and counts it as lost. */
void sb_events_add(struct sb_events *events, const char *kind, const char *job, int rank,
		const Sparkbus__JobStatus *status, const char *fmt, ...) SB_PRINTF(6, 7);

/** Called after every add, so that long polls can be answered. One listener; @fn NULL = none. It
 * may read but not add. */
void sb_events_on_add(struct sb_events *events, void (*fn)(void *ctx), void *ctx);

/** Fill @reply from @cursor (empty = from now, or from the oldest with @from_start) with at most
 * @max events of @job (NULL or "" = all; @max 0 = every one). A cursor of another ring (the agent
 * was restarted) starts at the oldest and has lost at least 1. Lost events count whatever their job
 * was.
 * @reply is written only on success. The strings are borrowed until the next add; free only
 * the arrays with sb_events_reply_done(). -SB_E_INVALID for a cursor that is not ours. */
int sb_events_read(struct sb_events *events, const void *cursor, size_t cursor_len, bool from_start,
		const char *job, size_t max, Sparkbus__WatchEventsReply *reply, struct sb_err *err);
void sb_events_reply_done(Sparkbus__WatchEventsReply *reply);

#endif
