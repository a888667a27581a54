/* internal.h - records, segments and how they are walked. */
#ifndef SB_LOGRING_INTERNAL_H
#define SB_LOGRING_INTERNAL_H

#include "sb_logring.h"

/* A record, little-endian: magic u32, crc32 u32 of all that follows, text length u32, stream u32,
 * seq u64, unix_ns u64, generation u64, text. */
#define RECORD_HEAD  40u
#define RECORD_MAX   (RECORD_HEAD + SB_LOGRING_LINE_MAX)
#define BUFFER_BYTES ((size_t)64 << 10)   /* appends held back; also the size of a read */
#define MARK_BYTES   ((uint64_t)64 << 10) /* one entry of the index per this much of a segment */
#define SEGMENTS     8u
#define SEQ_MAX      (UINT64_C(1) << 60) /* no ring gets there; a file that says so lies */

/* Where a record starts, so that a read need not walk its segment from the beginning. */
struct mark {
	uint64_t seq, offset;
};

/* One file, named by the seq of its first line: the names are the index of the segments. */
struct segment {
	uint64_t first;
	uint64_t size; /* bytes, with what is still in the buffer */
	struct mark *marks;
	size_t mark_count, mark_space;
};

struct sb_logring {
	char *dir;
	uint64_t max_bytes, segment_bytes;
	struct segment *segments; /* oldest first; appends go to the last */
	size_t count, space;
	int fd;       /* of the last segment, -1 = none yet */
	char *buffer; /* the last bytes of the last segment, not yet written; NULL until needed */
	size_t buffered;
	uint64_t next;                     /* seq of the next line */
	uint64_t reopened_at;              /* next when the ring was opened */
	uint64_t last_generation, last_ns; /* of the newest line from the engine; 0, 0 = none */
};

/* A walk over one segment: bytes of its file, then those in the ring's buffer. */
struct walk {
	const struct sb_logring *ring;
	struct segment *segment;
	uint64_t limit;  /* seqs from here on are of the next segment */
	uint64_t seq;    /* the least seq that may come */
	uint64_t offset; /* of the next record */
	uint64_t loaded; /* offset of data[0] */
	size_t have;     /* bytes in data */
	int fd;          /* -1 = nothing of it is on disk */
	char *data;
};
#define WALK_INIT                                                                                  \
	{                                                                                          \
		.fd = -1                                                                           \
	}

void record_encode(char *head, const struct sb_logring_line *line);

/* Start at the last known record at or before @seq. A file that is gone is an empty segment. */
int walk_begin(struct walk *walk, const struct sb_logring *ring, size_t segment, uint64_t seq,
		struct sb_err *err);
/* 1 and the next line (text borrowed until the next call); 0 at the end, or where the bytes stop
 * making sense, which ends the segment; -code when the file cannot be read. */
int walk_next(struct walk *walk, struct sb_logring_line *ret_line, struct sb_err *err);
void walk_done(struct walk *walk);

char *segment_path(const struct sb_logring *ring, uint64_t first);
/* Note the record at @offset in the index; without memory reads are merely slower. */
void segment_mark(struct segment *segment, uint64_t seq, uint64_t offset);
/* Whether @line counts for resuming the engine's stream: the agent's own remarks do not. */
bool line_is_engines(const struct sb_logring_line *line);

#endif
