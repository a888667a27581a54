#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

/* A ring is a folder of segments. Lines go to the newest; when it has an eighth of the bound, a
 * new one is begun, and the oldest go until the bound holds. A segment is named by the seq of its
 * first line, so opening a ring reads names and the newest segment only, whatever its size.
 *
 * Lines that could not be kept (disk full, bytes that went bad) leave a gap in the seqs, which a
 * reader is told of as lost. After a power cut the lines that the kernel had not written are gone
 * without a trace, and their seqs are given again. */

static void segment_done(struct segment *segment)
{
	free(segment->marks);
}

static int add_segment(struct sb_logring *ring, uint64_t first, uint64_t size)
{
	if (ring->count == ring->space) {
		size_t space = ring->space ? 2 * ring->space : 2 * SEGMENTS;
		struct segment *grown = reallocarray(ring->segments, space, sizeof(*grown));

		if (!grown)
			return -SB_E_NOMEM;
		ring->segments = grown;
		ring->space = space;
	}
	ring->segments[ring->count++] = (struct segment){ .first = first, .size = size };
	return 0;
}

static struct segment *last_segment(const struct sb_logring *ring)
{
	return ring->count ? &ring->segments[ring->count - 1] : NULL;
}

static uint64_t total_bytes(const struct sb_logring *ring)
{
	uint64_t total = 0;

	for (size_t i = 0; i < ring->count; i++)
		total += ring->segments[i].size;
	return total;
}

/* --- open --- */

/* The seq in a name that segment_path() could have made; 0 = another file. */
static uint64_t seq_of_name(const char *name)
{
	unsigned long long seq;
	char again[48];

	if (name[0] < '0' || name[0] > '9')
		return 0;
	errno = 0;
	seq = strtoull(name, NULL, 10);
	snprintf(again, sizeof(again), "%08llu.log", seq);
	return errno || seq >= SEQ_MAX || strcmp(again, name) != 0 ? 0 : seq;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int by_first(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int list_segments(struct sb_logring *ring, struct sb_err *err)
{
	SB_CLEANUP(closedirp) DIR *d = opendir(ring->dir);
	struct dirent *entry;

	if (!d)
		return sb_err_errno(err, errno, "%s", ring->dir);
	while ((errno = 0, entry = readdir(d))) {
		uint64_t first = seq_of_name(entry->d_name);
		struct stat st;

		if (first == 0 || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
				!S_ISREG(st.st_mode))
			continue;
		if (add_segment(ring, first, (uint64_t)st.st_size) < 0)
			return sb_err_nomem(err);
	}
	if (errno)
		return sb_err_errno(err, errno, "%s", ring->dir);
	if (ring->count)
		qsort(ring->segments, ring->count, sizeof(*ring->segments), by_first);
	return 0;
}

static int open_last(struct sb_logring *ring, int flags, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = segment_path(ring, last_segment(ring)->first);
	int fd;

	if (!path)
		return sb_err_nomem(err);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd < 0)
		return sb_err_errno(err, errno, "%s", path);
	sb_closep(&ring->fd);
	ring->fd = fd;
	return 0;
}

static void note_newest(struct sb_logring *ring, const struct sb_logring_line *line)
{
	if (!line_is_engines(line))
		return;
	ring->last_generation = line->generation;
	ring->last_ns = line->unix_ns;
}

/* Find the end of the newest segment, and cut off what is no whole record. */
static int recover_last(struct sb_logring *ring, struct sb_err *err)
{
	SB_CLEANUP(walk_done) struct walk walk = WALK_INIT;
	struct segment *last = last_segment(ring);
	struct sb_logring_line line;
	int rc = walk_begin(&walk, ring, ring->count - 1, last->first, err);

	while (rc == 0 && (rc = walk_next(&walk, &line, err)) > 0) {
		note_newest(ring, &line);
		rc = 0;
	}
	if (rc < 0)
		return rc;
	ring->next = walk.seq;
	rc = open_last(ring, 0, err);
	if (rc < 0)
		return rc;
	if (walk.offset < last->size && ftruncate(ring->fd, (off_t)walk.offset) < 0)
		return sb_err_errno(err, errno, "cut a torn line off %s", ring->dir);
	last->size = walk.offset;
	return 0;
}

int sb_logring_open(
		const char *dir, uint64_t max_bytes, struct sb_logring **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_logring_closep) struct sb_logring *ring = calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return sb_err_nomem(err);
	ring->fd = -1;
	ring->next = 1;
	ring->max_bytes = max_bytes ? max_bytes : SB_LOGRING_MAX_BYTES;
	ring->segment_bytes = ring->max_bytes / SEGMENTS;
	ring->dir = strdup(dir);
	if (!ring->dir)
		return sb_err_nomem(err);
	rc = sb_fs_mkdirs(dir, 0700, err);
	if (rc == 0)
		rc = list_segments(ring, err);
	if (rc == 0 && ring->count)
		rc = recover_last(ring, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "log ring");
	ring->reopened_at = ring->next;
	*ret = sb_steal(ring);
	return 0;
}

void sb_logring_close(struct sb_logring *ring)
{
	if (!ring)
		return;
	sb_logring_flush(ring, NULL);
	sb_closep(&ring->fd);
	for (size_t i = 0; i < ring->count; i++)
		segment_done(&ring->segments[i]);
	free(ring->segments);
	free(ring->buffer);
	free(ring->dir);
	free(ring);
}

int sb_logring_destroy(const char *dir, struct sb_err *err)
{
	SB_CLEANUP(closedirp) DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d)
		return errno == ENOENT ? 0 : sb_err_errno(err, errno, "%s", dir);
	while ((errno = 0, entry = readdir(d)))
		if (seq_of_name(entry->d_name) && unlinkat(dirfd(d), entry->d_name, 0) < 0)
			return sb_err_errno(err, errno, "remove %s/%s", dir, entry->d_name);
	if (errno)
		return sb_err_errno(err, errno, "%s", dir);
	return rmdir(dir) < 0 ? sb_err_errno(err, errno, "remove %s", dir) : 0;
}

/* --- append --- */

int sb_logring_flush(struct sb_logring *ring, struct sb_err *err)
{
	struct segment *last = last_segment(ring);

	while (ring->buffered) {
		ssize_t n = pwrite(ring->fd, ring->buffer, ring->buffered,
				(off_t)(last->size - ring->buffered));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sb_err_errno(err, errno, "write the log in %s", ring->dir);
		/* What a full disk let through is on disk, the rest stays here: together whole. */
		ring->buffered -= (size_t)n;
		memmove(ring->buffer, ring->buffer + n, ring->buffered);
	}
	return 0;
}

static int drop_oldest(struct sb_logring *ring, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = segment_path(ring, ring->segments[0].first);

	if (!path)
		return sb_err_nomem(err);
	if (unlink(path) < 0 && errno != ENOENT)
		return sb_err_errno(err, errno, "remove %s", path);
	segment_done(&ring->segments[0]);
	ring->count--;
	memmove(ring->segments, ring->segments + 1, ring->count * sizeof(*ring->segments));
	return 0;
}

/* A new segment, whose first line is the next one. */
static int begin_segment(struct sb_logring *ring, struct sb_err *err)
{
	int rc = sb_logring_flush(ring, err);

	if (rc < 0)
		return rc;
	if (add_segment(ring, ring->next, 0) < 0)
		return sb_err_nomem(err);
	rc = open_last(ring, O_CREAT | O_TRUNC, err);
	if (rc < 0)
		ring->count--; /* fd is still the one before */
	return rc;
}

/* Make a place for @need bytes in the last segment and in the buffer. */
static int make_room(struct sb_logring *ring, size_t need, struct sb_err *err)
{
	struct segment *last = last_segment(ring);
	int rc = 0;

	if (!ring->buffer)
		ring->buffer = malloc(BUFFER_BYTES);
	if (!ring->buffer)
		return sb_err_nomem(err);
	if (!last || (last->size && last->size + need > ring->segment_bytes))
		rc = begin_segment(ring, err);
	while (rc == 0 && ring->count > 1 && total_bytes(ring) + need > ring->max_bytes)
		rc = drop_oldest(ring, err);
	if (rc == 0 && ring->buffered + need > BUFFER_BYTES)
		rc = sb_logring_flush(ring, err);
	return rc;
}

int sb_logring_add(struct sb_logring *ring, uint64_t generation, int stream, uint64_t unix_ns,
		const void *text, size_t len, struct sb_err *err)
{
	struct sb_logring_line line = {
		.seq = ring->next,
		.unix_ns = unix_ns,
		.generation = generation,
		.stream = stream,
		.text = len ? text : "",
		.len = len < SB_LOGRING_LINE_MAX ? len : SB_LOGRING_LINE_MAX,
	};
	size_t need = RECORD_HEAD + line.len;
	int rc = make_room(ring, need, err);
	struct segment *last;

	ring->next++; /* also of a line that is lost: the gap tells readers */
	if (rc < 0)
		return rc;
	last = last_segment(ring);
	record_encode(ring->buffer + ring->buffered, &line);
	memcpy(ring->buffer + ring->buffered + RECORD_HEAD, line.text, line.len);
	segment_mark(last, line.seq, last->size);
	ring->buffered += need;
	last->size += need;
	note_newest(ring, &line);
	return 0;
}

/* --- read --- */

uint64_t sb_logring_first(const struct sb_logring *ring)
{
	return ring->count ? ring->segments[0].first : ring->next;
}

uint64_t sb_logring_next(const struct sb_logring *ring)
{
	return ring->next;
}

/* The newest line of @generation in one segment; 0 = none there, or not to be read. */
static uint64_t last_ns_in(const struct sb_logring *ring, size_t segment, uint64_t generation)
{
	SB_CLEANUP(walk_done) struct walk walk = WALK_INIT;
	struct sb_logring_line line;
	uint64_t ns = 0;

	if (walk_begin(&walk, ring, segment, 0, NULL) < 0)
		return 0;
	while (walk_next(&walk, &line, NULL) > 0)
		if (line.generation == generation && line_is_engines(&line))
			ns = line.unix_ns;
	return ns;
}

uint64_t sb_logring_last_ns(const struct sb_logring *ring, uint64_t generation)
{
	uint64_t ns = 0;

	if (ring->last_ns && ring->last_generation == generation)
		return ring->last_ns;
	for (size_t i = ring->count; i-- > 0 && ns == 0;)
		ns = last_ns_in(ring, i, generation);
	return ns;
}

/* Where the reading has got to. */
struct reading {
	uint64_t next, lost;
	size_t left;
	bool enough;
};

static int read_segment(struct sb_logring *ring, size_t segment, struct reading *reading,
		bool (*fn)(void *ctx, const struct sb_logring_line *line), void *ctx,
		struct sb_err *err)
{
	SB_CLEANUP(walk_done) struct walk walk = WALK_INIT;
	struct sb_logring_line line;
	int rc = walk_begin(&walk, ring, segment, reading->next, err);

	if (rc < 0)
		return rc;
	while (!reading->enough && (rc = walk_next(&walk, &line, err)) > 0) {
		if (line.seq < reading->next)
			continue;
		reading->lost += line.seq - reading->next;
		reading->next = line.seq + 1;
		reading->enough = !fn(ctx, &line) || --reading->left == 0;
	}
	return rc < 0 ? rc : 0;
}

int sb_logring_read(struct sb_logring *ring, uint64_t from_seq, size_t max,
		bool (*fn)(void *ctx, const struct sb_logring_line *line), void *ctx,
		uint64_t *ret_next, uint64_t *ret_lost, struct sb_err *err)
{
	struct reading reading = { .next = from_seq, .left = max, .enough = max == 0 };
	int rc = 0;

	if (from_seq == 0)
		reading.next = sb_logring_first(ring);
	else if (from_seq > ring->next)
		reading.next = ring->reopened_at; /* a power cut took lines that were read before */
	/* Then what readers saw outlives a kill of this process. If the disk is full, the lines are
	 * given from the buffer. */
	sb_logring_flush(ring, NULL);
	for (size_t i = 0; rc == 0 && i < ring->count && !reading.enough; i++)
		if (i + 1 == ring->count || ring->segments[i + 1].first > reading.next)
			rc = read_segment(ring, i, &reading, fn, ctx, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "log ring");
	if (!reading.enough) { /* lines that could not be kept at all */
		reading.lost += ring->next - reading.next;
		reading.next = ring->next;
	}
	*ret_next = reading.next;
	*ret_lost = reading.lost;
	return 0;
}
