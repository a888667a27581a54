#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sb_err.h"
#include "sb_strbuf.h"

/* As much room for marks as for bytes. Those from before the first one are 0. */
static void reserve_marks(struct sb_strbuf *buf, size_t space)
{
	bool first = !buf->marks;
	uint32_t *marks;

	if (!first && space == buf->space)
		return;
	marks = reallocarray(buf->marks, space, sizeof(*marks));
	if (!marks) {
		buf->failed = -SB_E_NOMEM;
		return;
	}
	if (first)
		memset(marks, 0, buf->len * sizeof(*marks));
	buf->marks = marks;
}

static int reserve(struct sb_strbuf *buf, size_t more)
{
	size_t max = buf->max ? buf->max : SB_STRBUF_MAX_DEFAULT;
	size_t want, space;
	char *data;

	if (max > SIZE_MAX / 4)
		max = SIZE_MAX / 4; /* so that doubling cannot wrap */
	if (buf->failed)
		return buf->failed;
	if (more > max || buf->len > max - more)
		return buf->failed = -SB_E_RANGE;
	want = buf->len + more + 1;
	space = buf->space ? buf->space : 64;
	while (space < want)
		space *= 2;
	if (space > buf->space) {
		data = realloc(buf->data, space);
		if (!data)
			return buf->failed = -SB_E_NOMEM;
		buf->data = data;
	}
	if (buf->mark || buf->marks)
		reserve_marks(buf, space);
	if (!buf->failed)
		buf->space = space;
	return buf->failed;
}

/* The bytes that reserve() made room for and the caller wrote are part of the text. */
static void took(struct sb_strbuf *buf, size_t len)
{
	for (size_t i = 0; buf->marks && i < len; i++)
		buf->marks[buf->len + i] = buf->mark;
	buf->len += len;
	buf->data[buf->len] = '\0';
}

int sb_strbuf_add(struct sb_strbuf *buf, const void *data, size_t len)
{
	int rc = reserve(buf, len);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	took(buf, len);
	return 0;
}

int sb_strbuf_add_part(struct sb_strbuf *buf, const struct sb_strbuf *from, size_t at, size_t len)
{
	uint32_t mark = buf->mark;
	int rc = 0;

	if (!from->marks)
		return sb_strbuf_add(buf, sb_strbuf_str(from) + at, len);
	for (size_t i = 0, n; rc == 0 && i < len; i += n) {
		buf->mark = from->marks[at + i];
		for (n = 1; i + n < len && from->marks[at + i + n] == buf->mark;)
			n++;
		rc = sb_strbuf_add(buf, from->data + at + i, n);
	}
	buf->mark = mark;
	return rc;
}

int sb_strbuf_adds(struct sb_strbuf *buf, const char *text)
{
	return sb_strbuf_add(buf, text, strlen(text));
}

int sb_strbuf_addc(struct sb_strbuf *buf, char c)
{
	return sb_strbuf_add(buf, &c, 1);
}

SB_PRINTF(2, 0)
static int add_formatted(struct sb_strbuf *buf, const char *fmt, va_list ap)
{
	va_list again;
	int n, rc;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return buf->failed = -SB_E_NOMEM;
	rc = reserve(buf, (size_t)n);
	if (rc < 0)
		return rc;
	vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
	took(buf, (size_t)n);
	return 0;
}

int sb_strbuf_addf(struct sb_strbuf *buf, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = add_formatted(buf, fmt, ap);
	va_end(ap);
	return rc;
}

int sb_strbuf_addm(struct sb_strbuf *buf, uint32_t mark, const char *fmt, ...)
{
	uint32_t before = buf->mark;
	va_list ap;
	int rc;

	buf->mark = mark;
	va_start(ap, fmt);
	rc = add_formatted(buf, fmt, ap);
	va_end(ap);
	buf->mark = before;
	return rc;
}

struct sb_strbuf sb_strbuf_view(const char *text)
{
	return (struct sb_strbuf){ .data = (char *)text, .len = strlen(text) };
}

const char *sb_strbuf_str(const struct sb_strbuf *buf)
{
	return buf->data ? buf->data : "";
}

char *sb_strbuf_steal(struct sb_strbuf *buf)
{
	char *data;

	if (!buf->data && !buf->failed)
		sb_strbuf_add(buf, "", 0);
	data = buf->failed ? NULL : sb_steal(buf->data);
	sb_strbuf_done(buf);
	return data;
}

void sb_strbuf_reset(struct sb_strbuf *buf)
{
	buf->len = 0;
	buf->failed = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void sb_strbuf_consume(struct sb_strbuf *buf, size_t n)
{
	sb_strbuf_remove(buf, 0, n);
}

void sb_strbuf_remove(struct sb_strbuf *buf, size_t at, size_t n)
{
	if (!buf->data || at > buf->len)
		return;
	if (n > buf->len - at)
		n = buf->len - at;
	memmove(buf->data + at, buf->data + at + n, buf->len - at - n + 1);
	if (buf->marks)
		memmove(buf->marks + at, buf->marks + at + n,
				(buf->len - at - n) * sizeof(*buf->marks));
	buf->len -= n;
}

void sb_strbuf_done(struct sb_strbuf *buf)
{
	free(buf->data);
	free(buf->marks);
	*buf = (struct sb_strbuf){ .max = buf->max };
}
