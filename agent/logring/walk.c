#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "internal.h"

#define MAGIC 0x314c4253u /* "SBL1" */

struct head {
	uint32_t magic, crc, len, stream;
	uint64_t seq, unix_ns, generation;
};
_Static_assert(sizeof(struct head) == RECORD_HEAD, "no padding on disk");

/* crc32 of the head after the crc itself, and the text. */
static uint32_t checksum(const char *head, const char *text, size_t len)
{
	const size_t from = offsetof(struct head, len);
	uLong crc = crc32(0, (const Bytef *)head + from, (uInt)(RECORD_HEAD - from));

	return (uint32_t)crc32(crc, (const Bytef *)text, (uInt)len);
}

void record_encode(char *out, const struct sb_logring_line *line)
{
	struct head head = {
		.magic = htole32(MAGIC),
		.len = htole32((uint32_t)line->len),
		.stream = htole32((uint32_t)line->stream),
		.seq = htole64(line->seq),
		.unix_ns = htole64(line->unix_ns),
		.generation = htole64(line->generation),
	};

	head.crc = htole32(checksum((const char *)&head, line->text, line->len));
	memcpy(out, &head, RECORD_HEAD);
}

static size_t record_len(const char *data)
{
	struct head head;

	memcpy(&head, data, RECORD_HEAD);
	if (le32toh(head.magic) != MAGIC || le32toh(head.len) > SB_LOGRING_LINE_MAX)
		return 0;
	return RECORD_HEAD + le32toh(head.len);
}

static bool record_decode(const char *data, struct sb_logring_line *ret)
{
	struct head head;

	memcpy(&head, data, RECORD_HEAD);
	*ret = (struct sb_logring_line){
		.seq = le64toh(head.seq),
		.unix_ns = le64toh(head.unix_ns),
		.generation = le64toh(head.generation),
		.stream = (int)le32toh(head.stream),
		.text = data + RECORD_HEAD,
		.len = le32toh(head.len),
	};
	return checksum(data, ret->text, ret->len) == le32toh(head.crc);
}

char *segment_path(const struct sb_logring *ring, uint64_t first)
{
	char *path = NULL;

	return asprintf(&path, "%s/%08llu.log", ring->dir, (unsigned long long)first) < 0 ? NULL
											  : path;
}

void segment_mark(struct segment *segment, uint64_t seq, uint64_t offset)
{
	size_t n = segment->mark_count;

	if (n && offset < segment->marks[n - 1].offset + MARK_BYTES)
		return;
	if (n == segment->mark_space) {
		size_t space = n ? 2 * n : 8;
		struct mark *marks = reallocarray(segment->marks, space, sizeof(*marks));

		if (!marks)
			return;
		segment->marks = marks;
		segment->mark_space = space;
	}
	segment->marks[segment->mark_count++] = (struct mark){ seq, offset };
}

bool line_is_engines(const struct sb_logring_line *line)
{
	return line->stream == 1 || line->stream == 2;
}

int walk_begin(struct walk *walk, const struct sb_logring *ring, size_t segment, uint64_t seq,
		struct sb_err *err)
{
	struct segment *seg = &ring->segments[segment];
	SB_CLEANUP(sb_freep) char *path = segment_path(ring, seg->first);

	*walk = (struct walk){ .ring = ring, .segment = seg, .seq = seg->first, .fd = -1 };
	walk->limit = segment + 1 < ring->count ? seg[1].first : SEQ_MAX;
	walk->data = malloc(BUFFER_BYTES);
	if (!path || !walk->data)
		return sb_err_nomem(err);
	walk->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (walk->fd < 0 && errno != ENOENT)
		return sb_err_errno(err, errno, "%s", path);
	for (size_t i = seg->mark_count; i-- > 0;) {
		if (seg->marks[i].seq > seq)
			continue;
		walk->seq = seg->marks[i].seq;
		walk->offset = seg->marks[i].offset;
		break;
	}
	return 0;
}

void walk_done(struct walk *walk)
{
	sb_closep(&walk->fd);
	free(walk->data);
	*walk = (struct walk)WALK_INIT;
}

/* Load what follows offset: from the file, then from the ring's buffer, of which the last segment
 * has the end. */
static int load(struct walk *walk, struct sb_err *err)
{
	const struct sb_logring *ring = walk->ring;
	bool is_last = walk->segment == &ring->segments[ring->count - 1];
	uint64_t written = walk->segment->size - (is_last ? ring->buffered : 0);
	uint64_t at = walk->offset;

	walk->loaded = at;
	walk->have = 0;
	while (walk->have < BUFFER_BYTES && at < walk->segment->size) {
		size_t room = BUFFER_BYTES - walk->have;
		uint64_t left = (at < written ? written : walk->segment->size) - at;
		ssize_t n = (ssize_t)(left < room ? left : room);

		if (at >= written)
			memcpy(walk->data + walk->have, ring->buffer + (at - written), (size_t)n);
		else
			n = walk->fd < 0 ? 0
					 : pread(walk->fd, walk->data + walk->have, (size_t)n,
							   (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sb_err_errno(err, errno, "read a segment of %s", ring->dir);
		if (n == 0)
			break; /* the file is shorter than it was */
		walk->have += (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* Whether @need bytes from offset on are in data. */
static bool is_loaded(const struct walk *walk, size_t need)
{
	return walk->offset >= walk->loaded &&
			walk->offset - walk->loaded + need <= (uint64_t)walk->have;
}

static int need_bytes(struct walk *walk, size_t need, struct sb_err *err)
{
	int rc = is_loaded(walk, need) ? 0 : load(walk, err);

	return rc < 0 ? rc : is_loaded(walk, need);
}

int walk_next(struct walk *walk, struct sb_logring_line *ret_line, struct sb_err *err)
{
	struct sb_logring_line line;
	int rc = need_bytes(walk, RECORD_HEAD, err);
	size_t len;

	if (rc <= 0)
		return rc;
	len = record_len(walk->data + (walk->offset - walk->loaded));
	if (len == 0)
		return 0;
	rc = need_bytes(walk, len, err);
	if (rc <= 0)
		return rc;
	if (!record_decode(walk->data + (walk->offset - walk->loaded), &line))
		return 0;
	if (line.seq < walk->seq || line.seq >= walk->limit || line.seq >= SEQ_MAX)
		return 0; /* a whole record, but not one of this place */
	segment_mark(walk->segment, line.seq, walk->offset);
	walk->offset += len;
	walk->seq = line.seq + 1;
	*ret_line = line;
	return 1;
}
