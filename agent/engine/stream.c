/* stream.c - log streams and JSON lines: state machines that take their input cut anywhere.
 *
 * A log stream without a TTY is frames: one byte stream (1 stdout, 2 stderr), three zero bytes,
 * four bytes length, then the bytes. Docker writes one frame per message and, as asked for, puts
 * the time in front of each. A line over 16 KiB arrives as several messages, each with a time of
 * its own and only the last with a newline; so a time is looked for at the start of every frame
 * as well as at the start of every line. */
#include <stdio.h>
#include <string.h>

#include "sb_engine_parts.h"

static const char *take_number(const char *s, const char *end, int digits, int *ret)
{
	int value = 0;

	if (!s || end - s < digits)
		return NULL;
	for (; digits; digits--, s++) {
		if (*s < '0' || *s > '9')
			return NULL;
		value = value * 10 + (*s - '0');
	}
	*ret = value;
	return s;
}

static const char *take_char(const char *s, const char *end, char c)
{
	return s && s < end && *s == c ? s + 1 : NULL;
}

static const char *take_fraction(const char *s, const char *end, uint64_t *ret_ns)
{
	uint64_t unit = 100000000;

	*ret_ns = 0;
	if (!s || s >= end || *s != '.')
		return s;
	for (s++; s < end && *s >= '0' && *s <= '9'; s++, unit /= 10)
		*ret_ns += (uint64_t)(*s - '0') * unit;
	return s[-1] == '.' ? NULL : s;
}

static const char *take_zone(const char *s, const char *end, int *ret_seconds)
{
	int hours, minutes, sign;

	if (!s || s >= end)
		return NULL;
	*ret_seconds = 0;
	if (*s == 'Z')
		return s + 1;
	if (*s != '+' && *s != '-')
		return NULL;
	sign = *s == '-' ? -1 : 1;
	s = take_number(s + 1, end, 2, &hours);
	s = take_char(s, end, ':');
	s = take_number(s, end, 2, &minutes);
	if (!s || hours > 23 || minutes > 59)
		return NULL;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return s;
}

/* Days from 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t days_from_civil(int year, int month, int day)
{
	int y = year - (month <= 2);
	int era = (y >= 0 ? y : y - 399) / 400;
	int yoe = y - era * 400;
	int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return (int64_t)era * 146097 + doe - 719468;
}

size_t time_parse(const char *s, size_t len, uint64_t *ret_unix_ns)
{
	const char *end = s + len, *p;
	int year, month, day, hour, minute, second, zone;
	uint64_t fraction;
	int64_t seconds;

	p = take_char(take_number(s, end, 4, &year), end, '-');
	p = take_char(take_number(p, end, 2, &month), end, '-');
	p = take_char(take_number(p, end, 2, &day), end, 'T');
	p = take_char(take_number(p, end, 2, &hour), end, ':');
	p = take_char(take_number(p, end, 2, &minute), end, ':');
	p = take_fraction(take_number(p, end, 2, &second), end, &fraction);
	p = take_zone(p, end, &zone);
	if (!p || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
			second > 60)
		return 0;
	if (year > 2500) /* nanoseconds since 1970 would leave 64 bits in 2554 */
		return 0;
	seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
			zone;
	*ret_unix_ns = seconds < 0 ? 0 : (uint64_t)seconds * 1000000000u + fraction;
	return (size_t)(p - s);
}

/* --- lines --- */

static int line_emit(struct log_parser *p, struct log_line *line)
{
	struct sb_engine_log log = {
		.stream = line == &p->lines[1] ? 2 : 1,
		.unix_ns = line->unix_ns,
		.text = line->text,
		.len = line->len,
	};

	line->len = 0;
	if (line->stamped && line->unix_ns <= p->since_unix_ns)
		return 0;
	return p->fn(p->ctx, &log);
}

/* Text of the line; a part goes out only when more text follows, so no part is empty. */
static int line_text(struct log_parser *p, struct log_line *line, const char *data, size_t len)
{
	while (len) {
		size_t room = LOG_LINE_MAX - line->len, n = len < room ? len : room;
		int rc;

		if (!n) {
			line->parted = true;
			rc = line_emit(p, line);
			if (rc)
				return rc;
			continue;
		}
		memcpy(line->text + line->len, data, n);
		line->len += n;
		data += n;
		len -= n;
	}
	return 0;
}

/* What was kept back as a possible time: either it is one, or it was text all along. */
static int line_settle_stamp(struct log_parser *p, struct log_line *line)
{
	uint64_t unix_ns;
	size_t used = time_parse(line->stamp, line->n_stamp, &unix_ns);
	size_t n = line->n_stamp;
	int rc;

	line->want_stamp = false;
	line->n_stamp = 0;
	if (!used || (used < n && line->stamp[used] != ' '))
		return line_text(p, line, line->stamp, n);
	/* A further part of a long line: what is there belongs to the time before. */
	if (line->len == LOG_LINE_MAX) {
		line->parted = true;
		rc = line_emit(p, line);
		if (rc)
			return rc;
	}
	if (!line->len) {
		line->unix_ns = unix_ns;
		line->stamped = true;
	}
	return used < n ? line_text(p, line, line->stamp + used + 1, n - used - 1) : 0;
}

static void line_start(struct log_line *line)
{
	line->want_stamp = true;
	line->n_stamp = 0;
	line->open = line->parted = line->stamped = false;
}

static int line_finish(struct log_parser *p, struct log_line *line)
{
	int rc = 0;

	if (line->want_stamp)
		rc = line_settle_stamp(p, line);
	if (rc)
		return rc;
	if (p->tty && line->len && line->text[line->len - 1] == '\r')
		line->len--;
	/* The newline after an exactly full part ends it; there is no empty rest. */
	if (line->len || !line->parted)
		rc = line_emit(p, line);
	line_start(line);
	return rc;
}

static int line_feed(struct log_parser *p, struct log_line *line, const char *data, size_t len)
{
	const char *end = data + len;
	int rc = 0;

	while (data < end && !rc) {
		if (*data == '\n') {
			rc = line_finish(p, line);
			data++;
			continue;
		}
		line->open = true;
		if (line->want_stamp) {
			line->stamp[line->n_stamp++] = *data;
			if (*data == ' ' || line->n_stamp == LOG_STAMP_MAX)
				rc = line_settle_stamp(p, line);
			data++;
			continue;
		}
		const char *stop = memchr(data, '\n', (size_t)(end - data));

		stop = stop ? stop : end;
		rc = line_text(p, line, data, (size_t)(stop - data));
		data = stop;
	}
	return rc;
}

/* --- frames --- */

void log_parser_init(
		struct log_parser *p, bool tty, uint64_t since_unix_ns, log_line_fn fn, void *ctx)
{
	p->tty = tty;
	p->since_unix_ns = since_unix_ns;
	p->fn = fn;
	p->ctx = ctx;
	p->n_head = 0;
	p->left = 0;
	p->n_said = 0;
	for (size_t i = 0; i < sb_countof(p->lines); i++) {
		p->lines[i].len = 0;
		p->lines[i].unix_ns = 0;
		line_start(&p->lines[i]);
	}
}

/* Stream 0 is stdin, which engines use for stdout; 3 is a message of the engine itself. */
#define STREAM_ENGINE 3
#define SAID_MAX      ((size_t)200) /* bytes of such a message that are told */

static struct log_line *line_of(struct log_parser *p)
{
	return &p->lines[p->head[0] >= 2];
}

static int frame_start(struct log_parser *p, struct sb_err *err)
{
	const unsigned char *h = p->head;
	struct log_line *line;
	int rc = 0;

	p->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	if (h[0] > STREAM_ENGINE || h[1] || h[2] || h[3] || p->left > LOG_FRAME_MAX)
		return sb_err_set(err, SB_E_PROTOCOL,
				"log stream: %02x%02x%02x%02x%02x%02x%02x%02x is no frame header",
				h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]);
	line = line_of(p);
	if (p->left && line->want_stamp && line->n_stamp)
		rc = line_settle_stamp(p, line);
	if (p->left && h[0] != STREAM_ENGINE)
		line->want_stamp = true;
	if (!p->left)
		p->n_head = 0;
	return rc;
}

/* The engine's own error ends the stream. Its words gather in the buffer of stderr. */
static int frame_of_engine(struct log_parser *p, const char *data, size_t len, struct sb_err *err)
{
	struct log_line *line = &p->lines[1];
	size_t room = SAID_MAX - p->n_said, n = len < room ? len : room;
	int rc = !p->n_said && line->open ? line_finish(p, line) : 0;

	if (rc)
		return rc;
	memcpy(line->text + p->n_said, data, n);
	p->n_said += n;
	p->left -= (uint32_t)len;
	if (p->left && p->n_said < SAID_MAX)
		return 0;
	return sb_err_set(err, SB_E_PROTOCOL, "log stream: engine said: %.*s", (int)p->n_said,
			line->text);
}

int log_parser_feed(struct log_parser *p, const char *data, size_t len, struct sb_err *err)
{
	int rc = 0;

	if (p->tty)
		return line_feed(p, &p->lines[0], data, len);
	while (len && !rc) {
		size_t n;

		if (p->n_head < sizeof(p->head)) {
			p->head[p->n_head++] = (unsigned char)*data++;
			len--;
			if (p->n_head == sizeof(p->head))
				rc = frame_start(p, err);
			continue;
		}
		n = len < p->left ? len : p->left;
		if (p->head[0] == STREAM_ENGINE) {
			rc = frame_of_engine(p, data, n, err);
		} else {
			rc = line_feed(p, line_of(p), data, n);
			p->left -= (uint32_t)n;
		}
		data += n;
		len -= n;
		if (!p->left)
			p->n_head = 0;
	}
	return rc;
}

int log_parser_end(struct log_parser *p, struct sb_err *err)
{
	for (size_t i = 0; i < sb_countof(p->lines); i++) {
		struct log_line *line = &p->lines[i];
		int rc = line->open ? line_finish(p, line) : 0;

		if (rc)
			return rc;
	}
	if (p->n_head)
		return sb_err_set(err, SB_E_UNAVAILABLE, "log stream was cut inside a frame");
	return 0;
}

/* --- JSON lines --- */

void json_lines_init(struct json_lines *p, size_t line_max, json_line_fn fn, void *ctx)
{
	*p = (struct json_lines){ .line = { .max = line_max }, .fn = fn, .ctx = ctx };
}

void json_lines_done(struct json_lines *p)
{
	sb_strbuf_done(&p->line);
}

static bool blank(const char *s, size_t len)
{
	while (len && strchr(" \t\r", *s) && *s)
		s++, len--;
	return !len;
}

int json_lines_end(struct json_lines *p, struct sb_err *err)
{
	json_t *doc;
	int rc;

	if (blank(sb_strbuf_str(&p->line), p->line.len))
		return 0;
	rc = json_parse(p->line.data, p->line.len, &doc, err);
	sb_strbuf_reset(&p->line);
	if (rc < 0)
		return rc;
	rc = p->fn(p->ctx, doc);
	json_decref(doc);
	return rc;
}

int json_lines_feed(struct json_lines *p, const char *data, size_t len, struct sb_err *err)
{
	while (len) {
		const char *stop = memchr(data, '\n', len);
		size_t n = stop ? (size_t)(stop - data) : len;
		int rc = sb_strbuf_add(&p->line, data, n);

		if (rc == -SB_E_RANGE)
			return sb_err_set(err, SB_E_RANGE, "line of more than %zu bytes",
					p->line.max);
		if (rc < 0)
			return sb_err_nomem(err);
		if (!stop)
			return 0;
		rc = json_lines_end(p, err);
		if (rc)
			return rc;
		sb_strbuf_reset(&p->line);
		data += n + 1;
		len -= n + 1;
	}
	return 0;
}
