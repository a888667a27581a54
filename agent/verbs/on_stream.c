/* on_stream.c - events and logs by long polls with cursors. */
#include <endian.h>
#include <string.h>

#include "internal.h"
#include "sb_logring.h"

#define EVENTS_PER_REPLY 256
#define LINES_PER_REPLY  2000
#define LOG_REPLY_BYTES  ((size_t)1 << 20)

static size_t at_most(uint32_t asked, size_t cap)
{
	return asked && asked < cap ? asked : cap;
}

/* --- events --- */

static bool try_events(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		bool last)
{
	const Sparkbus__WatchEventsRequest *request = (const Sparkbus__WatchEventsRequest *)body;
	Sparkbus__WatchEventsReply reply = SPARKBUS__WATCH_EVENTS_REPLY__INIT;
	struct sb_err err = SB_ERR_INIT;
	bool first = request->cursor.len == 0 && !request->from_start;
	bool answered;

	if (sb_events_read(agent->events, request->cursor.data, request->cursor.len,
			    request->from_start, request->job,
			    at_most(request->max, EVENTS_PER_REPLY), &reply, &err) < 0) {
		sb_call_fail(call, &err);
		return true;
	}
	/* "From now on" is answered at once, or the caller has no cursor to go on from. */
	answered = reply.n_events || reply.lost || first || last;
	if (answered)
		sb_call_reply(call, &reply.base);
	sb_events_reply_done(&reply);
	return answered;
}

HANDLER(on_watch_events)
{
	return park(agent, call, body, ((const Sparkbus__WatchEventsRequest *)body)->wait_ms,
			try_events, err);
}

/* --- logs: the cursor is the number of the next line, big-endian --- */

/* Where to begin: at the cursor, or @tail lines before the end. The ring is the job's, over all
 * its launches, so that line numbers never go back; a cursor stays good. */
static int begin_at(const Sparkbus__ReadLogRequest *request, struct sb_logring *ring,
		uint64_t *ret_seq, struct sb_err *err)
{
	uint64_t first = sb_logring_first(ring), next = sb_logring_next(ring);
	uint64_t raw;

	if (request->cursor.len && request->cursor.len != sizeof(raw))
		return sb_err_set(err, SB_E_INVALID, "that is not a cursor of a log");
	if (request->cursor.len) {
		memcpy(&raw, request->cursor.data, sizeof(raw));
		*ret_seq = be64toh(raw);
		return 0;
	}
	*ret_seq = request->tail && next - first > request->tail ? next - request->tail : first;
	return 0;
}

struct lines {
	Sparkbus__ReadLogReply reply;
	Sparkbus__LogLine *items;
	uint32_t rank;
	size_t max, bytes;
	uint8_t *text; /* LOG_REPLY_BYTES */
};

static void lines_done(struct lines *lines)
{
	free(lines->items);
	free(lines->reply.lines);
	free(lines->text);
}

static bool add_line(void *ctx, const struct sb_logring_line *line)
{
	struct lines *out = ctx;
	Sparkbus__LogLine *item = &out->items[out->reply.n_lines];

	sparkbus__log_line__init(item);
	item->unix_ns = line->unix_ns;
	item->stream = (uint32_t)line->stream;
	item->rank = out->rank;
	item->generation = line->generation;
	item->text.data = out->text + out->bytes;
	item->text.len = line->len;
	memcpy(item->text.data, line->text, line->len);
	out->bytes += line->len;
	out->reply.lines[out->reply.n_lines++] = item;
	/* The ring counts this line as given: it must not be handed one that has no room. */
	return out->reply.n_lines < out->max && out->bytes + SB_LOGRING_LINE_MAX <= LOG_REPLY_BYTES;
}

static int read_lines(struct sb_logring *ring, uint64_t seq, struct lines *out, uint64_t *ret_next,
		struct sb_err *err)
{
	uint64_t lost = 0;
	int rc;

	sparkbus__read_log_reply__init(&out->reply);
	*ret_next = seq;
	if (sb_logring_next(ring) <= seq)
		return 0;
	out->items = calloc(out->max, sizeof(*out->items));
	out->reply.lines = calloc(out->max, sizeof(*out->reply.lines));
	out->text = malloc(LOG_REPLY_BYTES);
	if (!out->items || !out->reply.lines || !out->text)
		return sb_err_nomem(err);
	rc = sb_logring_read(ring, seq, out->max, add_line, out, ret_next, &lost, err);
	out->reply.lost = lost;
	return rc;
}

static bool try_log(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		bool last)
{
	const Sparkbus__ReadLogRequest *request = (const Sparkbus__ReadLogRequest *)body;
	SB_CLEANUP(lines_done) struct lines lines = { 0 };
	struct sb_err err = SB_ERR_INIT;
	struct sb_logring *ring;
	uint64_t seq = 0, next = 0, raw;
	bool ended = false;
	int rc;

	lines.max = at_most(request->max, LINES_PER_REPLY);
	rc = sb_jobs_log(agent->jobs, request->job, &ring, &lines.rank, &ended, &err);
	if (rc == 0)
		rc = begin_at(request, ring, &seq, &err);
	if (rc == 0)
		rc = read_lines(ring, seq, &lines, &next, &err);
	if (rc < 0) {
		sb_call_fail(call, &err);
		return true;
	}
	lines.reply.end = ended && next >= sb_logring_next(ring);
	if (!lines.reply.n_lines && !lines.reply.lost && !lines.reply.end && !last &&
			request->cursor.len)
		return false;
	raw = htobe64(next);
	lines.reply.next_cursor.data = (uint8_t *)&raw;
	lines.reply.next_cursor.len = sizeof(raw);
	sb_call_reply(call, &lines.reply.base);
	return true;
}

HANDLER(on_read_log)
{
	return park(agent, call, body, ((const Sparkbus__ReadLogRequest *)body)->wait_ms, try_log,
			err);
}
