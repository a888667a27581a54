/* sb_store.h - what must survive a crash of the agent: one file per job, and the audit file.
 * Records are opaque bytes here (JobRecord, job.proto). Every write is whole or not at all. */
#ifndef SB_STORE_H
#define SB_STORE_H

#include "sb_err.h"

#define SB_STORE_RECORD_MAX ((size_t)8 << 20)
#define SB_STORE_JOBS_MAX   4096u /* records; a further new job is refused with -SB_E_RANGE */
#define SB_STORE_JOB_MAX    64    /* bytes of a job id, all of [a-z0-9_-]; else -SB_E_INVALID */

struct sb_store;
/** Open, making @dir (0700) when needed; takes a lock so that two agents cannot share it:
 * -SB_E_BUSY names the other process. Removes what a crash in the middle of a put left. */
int sb_store_open(const char *dir, struct sb_store **ret, struct sb_err *err);
void sb_store_close(struct sb_store *store);
SB_DEFINE_CLEANUP(sb_store_close, struct sb_store *)

/** Write @job's record, crash-safe. On failure the old record stays. -SB_E_RANGE: over a cap, or
 * the disk is full, and the hint says so. */
int sb_store_put(struct sb_store *store, const char *job, const void *data, size_t len,
		struct sb_err *err);
/** Remove @job's record. Absent is fine. */
int sb_store_remove(struct sb_store *store, const char *job, struct sb_err *err);
/** Call @fn for every record, in name order. A record that cannot be read is
 * reported through @bad (may be NULL), and moved aside to "<job>.bad" when its file is at fault
 * (its name, kind or size) rather than the disk; the others are still given. @data is borrowed for
 * the call. @fn may put, remove and set aside. A negative result of @fn ends the walk and is
 * returned. */
int sb_store_each(struct sb_store *store,
		int (*fn)(void *ctx, const char *job, const void *data, size_t len),
		void (*bad)(void *ctx, const char *job, const struct sb_err *err), void *ctx,
		struct sb_err *err);
/** Move @job's record aside to "<job>.bad" (its content made no sense to the caller). */
void sb_store_set_aside(struct sb_store *store, const char *job);

/* --- audit: append-only, one JSON object a line, rotated by size, 0600 --- */
#define SB_AUDIT_MAX_BYTES ((uint64_t)4 << 20) /* then audit.log becomes audit.log.1 ... */
#define SB_AUDIT_KEEP      4                   /* ... and this many old ones are kept */
#define SB_AUDIT_TEXT_MAX  1024u               /* bytes of text; '+' where it is cut */

struct sb_audit;
int sb_audit_open(const char *path, struct sb_audit **ret, struct sb_err *err);
void sb_audit_close(struct sb_audit *audit);
SB_DEFINE_CLEANUP(sb_audit_close, struct sb_audit *)
/** Append {time, operator, from, verb, job, outcome, text}: the whole line or, on failure, nothing.
 * NULL is "". A failure is returned, not logged. Safe from any thread. Not synced: a power cut can
 * take the last seconds. */
int sb_audit_add(struct sb_audit *audit, const char *operator_name, const char *from,
		const char *verb, const char *job, enum sb_code outcome, const char *text,
		struct sb_err *err);

#endif
