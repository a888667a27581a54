#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "sb_events.h"

/* A circular array of events. A cursor is the ring's own random number and the seq of the next
 * event to read, so that a cursor of the agent's earlier life is recognised. Seqs that were never
 * stored (no memory) leave a gap, which readers see as lost. */

#define NONCE_BYTES 8

struct entry {
	uint64_t seq;
	size_t bytes; /* what it counts against SB_EVENTS_MAX_BYTES */
	Sparkbus__Event event;
};

struct sb_events {
	char *node;
	uint8_t nonce[NONCE_BYTES];
	struct entry *entries[SB_EVENTS_MAX];
	size_t oldest, count, bytes;
	uint64_t next; /* seq of the next event, from 1 */
	void (*on_add)(void *ctx);
	void *on_add_ctx;
};

static void entry_free(struct entry *entry)
{
	ProtobufCMessage *status = entry ? (ProtobufCMessage *)entry->event.status : NULL;

	if (!entry)
		return;
	free(entry->event.kind);
	free(entry->event.job);
	free(entry->event.text);
	sb_wire_freep(&status);
	free(entry);
}
SB_DEFINE_CLEANUP(entry_free, struct entry *)

int sb_events_new(const char *node, struct sb_events **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_events_freep) struct sb_events *events = calloc(1, sizeof(*events));

	if (!events)
		return sb_err_nomem(err);
	events->next = 1;
	events->node = strdup(node);
	if (!events->node)
		return sb_err_nomem(err);
	if (getrandom(events->nonce, NONCE_BYTES, 0) != NONCE_BYTES)
		return sb_err_errno(err, errno, "random bytes");
	*ret = sb_steal(events);
	return 0;
}

void sb_events_free(struct sb_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->count; i++)
		entry_free(events->entries[(events->oldest + i) % SB_EVENTS_MAX]);
	free(events->node);
	free(events);
}

static struct entry *entry_at(const struct sb_events *events, size_t i)
{
	return events->entries[(events->oldest + i) % SB_EVENTS_MAX];
}

static void drop_oldest(struct sb_events *events)
{
	struct entry *entry = entry_at(events, 0);

	events->bytes -= entry->bytes;
	events->oldest = (events->oldest + 1) % SB_EVENTS_MAX;
	events->count--;
	entry_free(entry);
}

/* The line of the event; '+' where it is cut. */
static char *make_text(const char *fmt, va_list ap) SB_PRINTF(1, 0);
static char *make_text(const char *fmt, va_list ap)
{
	char *text = NULL;
	int len = vasprintf(&text, fmt, ap);

	if (len < 0)
		return NULL;
	if ((size_t)len > SB_EVENTS_TEXT_MAX)
		strcpy(text + sb_text_cut(text, (size_t)len, SB_EVENTS_TEXT_MAX), "+");
	sb_text_clean(text);
	return text;
}

/* A status too large for the ring is left out: the event itself is worth more. Its log lines come
 * from containers, so its size is not ours. Out of memory is the same to a reader. */
static void attach_status(struct entry *entry, const Sparkbus__JobStatus *status)
{
	ProtobufCMessage *copy = NULL;
	size_t bytes = protobuf_c_message_get_packed_size(&status->base);

	if (bytes > SB_EVENTS_STATUS_MAX || sb_wire_dup(&status->base, &copy, NULL) < 0)
		return;
	entry->event.status = (Sparkbus__JobStatus *)copy;
	entry->bytes += bytes;
}

static struct entry *make_entry(struct sb_events *events, const char *kind, const char *job,
		int rank, const Sparkbus__JobStatus *status, char *text)
{
	SB_CLEANUP(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry) {
		free(text);
		return NULL;
	}
	sparkbus__event__init(&entry->event);
	entry->event.text = text;
	entry->event.kind = strdup(kind);
	entry->event.job = strdup(job ? job : "");
	if (!text || !entry->event.kind || !entry->event.job)
		return NULL;
	entry->event.node = events->node;
	entry->event.unix_ms = sb_now_unix_ms();
	if (rank >= 0) {
		entry->event.has_rank_case = SPARKBUS__EVENT__HAS_RANK_RANK;
		entry->event.rank = (uint32_t)rank;
	}
	entry->bytes = sizeof(*entry) + strlen(text) + strlen(kind) + strlen(entry->event.job);
	if (status)
		attach_status(entry, status);
	return sb_steal(entry);
}

void sb_events_add(struct sb_events *events, const char *kind, const char *job, int rank,
		const Sparkbus__JobStatus *status, const char *fmt, ...)
{
	struct entry *entry;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = make_text(fmt, ap);
	va_end(ap);
	entry = make_entry(events, kind, job, rank, status, text);
	if (entry) {
		entry->seq = events->next;
		events->bytes += entry->bytes;
		while (events->count &&
				(events->count == SB_EVENTS_MAX ||
						events->bytes > SB_EVENTS_MAX_BYTES))
			drop_oldest(events);
		events->entries[(events->oldest + events->count++) % SB_EVENTS_MAX] = entry;
	}
	events->next++;
	if (events->on_add)
		events->on_add(events->on_add_ctx);
}

void sb_events_on_add(struct sb_events *events, void (*fn)(void *ctx), void *ctx)
{
	events->on_add = fn;
	events->on_add_ctx = ctx;
}

static uint64_t oldest_seq(const struct sb_events *events)
{
	return events->count ? entry_at(events, 0)->seq : events->next;
}

/* Where reading starts; *ret_lost is what only a foreign cursor has lost already. */
static int find_start(const struct sb_events *events, const uint8_t *cursor, size_t len,
		bool from_start, uint64_t *ret_seq, uint64_t *ret_lost, struct sb_err *err)
{
	uint64_t seq;

	*ret_lost = 0;
	if (len == 0) {
		*ret_seq = from_start ? oldest_seq(events) : events->next;
		return 0;
	}
	if (len != SB_EVENTS_CURSOR)
		return sb_err_set(err, SB_E_INVALID, "cursor of %zu bytes: expected %d", len,
				SB_EVENTS_CURSOR);
	memcpy(&seq, cursor + NONCE_BYTES, sizeof(seq));
	seq = be64toh(seq);
	if (memcmp(cursor, events->nonce, NONCE_BYTES) != 0) {
		/* Of before this agent started: nobody knows how much, but it is not nothing. */
		*ret_seq = 1;
		*ret_lost = 1;
		return 0;
	}
	if (seq < 1 || seq > events->next)
		return sb_err_set(err, SB_E_INVALID, "cursor: no event of this agent");
	*ret_seq = seq;
	return 0;
}

static int make_cursor(const struct sb_events *events, uint64_t seq, ProtobufCBinaryData *ret)
{
	uint64_t wire = htobe64(seq);

	ret->data = malloc(SB_EVENTS_CURSOR);
	if (!ret->data)
		return -SB_E_NOMEM;
	ret->len = SB_EVENTS_CURSOR;
	memcpy(ret->data, events->nonce, NONCE_BYTES);
	memcpy(ret->data + NONCE_BYTES, &wire, sizeof(wire));
	return 0;
}

/* Index of the first entry at or after @seq. Seqs rise, with gaps. */
static size_t find_entry(const struct sb_events *events, uint64_t seq)
{
	size_t low = 0, high = events->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (entry_at(events, mid)->seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int sb_events_read(struct sb_events *events, const void *cursor, size_t cursor_len, bool from_start,
		const char *job, size_t max, Sparkbus__WatchEventsReply *reply, struct sb_err *err)
{
	Sparkbus__WatchEventsReply out = SPARKBUS__WATCH_EVENTS_REPLY__INIT;
	uint64_t seq = 0, lost = 0;
	size_t at;
	int rc = find_start(events, cursor, cursor_len, from_start, &seq, &lost, err);

	if (rc < 0)
		return rc;
	at = find_entry(events, seq);
	if (max == 0 || max > events->count - at)
		max = events->count - at;
	out.events = max ? calloc(max, sizeof(*out.events)) : NULL;
	if (max && !out.events)
		return sb_err_nomem(err);
	for (; at < events->count && out.n_events < max; at++) {
		struct entry *entry = entry_at(events, at);

		lost += entry->seq - seq;
		seq = entry->seq + 1;
		if (sb_empty(job) || strcmp(job, entry->event.job) == 0)
			out.events[out.n_events++] = &entry->event;
	}
	if (at == events->count) {
		lost += events->next - seq;
		seq = events->next;
	}
	out.lost = lost;
	if (make_cursor(events, seq, &out.next_cursor) < 0) {
		sb_events_reply_done(&out);
		return sb_err_nomem(err);
	}
	*reply = out;
	return 0;
}

void sb_events_reply_done(Sparkbus__WatchEventsReply *reply)
{
	free(reply->events);
	free(reply->next_cursor.data);
	*reply = (Sparkbus__WatchEventsReply)SPARKBUS__WATCH_EVENTS_REPLY__INIT;
}
