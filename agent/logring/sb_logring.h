/* sb_logring.h - the output of a job's rank on this node, kept on disk within a bound.
 * Lines outlive their container, a crash of the agent and a reboot. The oldest go first. A torn
 * record at the end (power cut, kill -9) is cut off when the ring is opened. Lines that could not
 * be kept (full disk, bytes that went bad) are counted as lost when a reader comes by. Not for use
 * by several threads at once. */
#ifndef SB_LOGRING_H
#define SB_LOGRING_H

#include "sb_err.h"

#define SB_LOGRING_LINE_MAX  ((size_t)16 << 10)
#define SB_LOGRING_MAX_BYTES ((uint64_t)32 << 20) /* per ring, in segments of an eighth of it */

struct sb_logring;

struct sb_logring_line {
	uint64_t seq; /* from 1; reused only for lines that a power cut took */
	uint64_t unix_ns;
	uint64_t generation;
	int stream; /* LogLine.stream */
	const char *text;
	size_t len;
};

/** Open or make the ring in folder @dir (0700). @max_bytes: bound on its files (0 = default). */
int sb_logring_open(
		const char *dir, uint64_t max_bytes, struct sb_logring **ret, struct sb_err *err);
void sb_logring_close(struct sb_logring *ring);
SB_DEFINE_CLEANUP(sb_logring_close, struct sb_logring *)
/** Remove a ring that is not open, with its folder. Absent is fine. */
int sb_logring_destroy(const char *dir, struct sb_err *err);

/** Append one line (copied; cut at SB_LOGRING_LINE_MAX). Buffered: readers in this process see it
 * at once; sb_logring_flush() hands it to the kernel, and so do a full buffer, a read and the
 * close. A full disk loses the line, keeps the ring and returns the error. */
int sb_logring_add(struct sb_logring *ring, uint64_t generation, int stream, uint64_t unix_ns,
		const void *text, size_t len, struct sb_err *err);
/** What cannot be written stays buffered for the next try. */
int sb_logring_flush(struct sb_logring *ring, struct sb_err *err);

/** Oldest line still held and the one after the newest; equal when empty. */
uint64_t sb_logring_first(const struct sb_logring *ring);
uint64_t sb_logring_next(const struct sb_logring *ring);
/** Time of the newest line of @generation that came from the engine (stream 1 or 2); 0 = none. For
 * resuming the engine's stream. Quick for the newest generation; an older one is searched for. */
uint64_t sb_logring_last_ns(const struct sb_logring *ring, uint64_t generation);

/** Give @fn at most @max lines from @from_seq on (or from the oldest that is left: then *ret_lost
 * counts those that are gone), until it returns false. *ret_next is where to go on.
 * The line for which @fn returned false counts as given. A @from_seq of 0 is the oldest line, with
 * nothing lost. *ret_lost also counts lines missing between those given, so that *ret_next -
 * @from_seq is always the lines given plus *ret_lost. line->text is borrowed for the call; @fn must
 * not use the ring. */
int sb_logring_read(struct sb_logring *ring, uint64_t from_seq, size_t max,
		bool (*fn)(void *ctx, const struct sb_logring_line *line), void *ctx,
		uint64_t *ret_next, uint64_t *ret_lost, struct sb_err *err);

#endif
