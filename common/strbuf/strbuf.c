#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sb_err.h"
#include "sb_strbuf.h"

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
	if (want <= buf->space)
		return 0;
	space = buf->space ? buf->space : 64;
	while (space < want)
		space *= 2;
	data = realloc(buf->data, space);
	if (!data)
		return buf->failed = -SB_E_NOMEM;
	buf->data = data;
	buf->space = space;
	return 0;
}

int sb_strbuf_add(struct sb_strbuf *buf, const void *data, size_t len)
{
	int rc = reserve(buf, len);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int sb_strbuf_adds(struct sb_strbuf *buf, const char *text)
{
	return sb_strbuf_add(buf, text, strlen(text));
}

int sb_strbuf_addc(struct sb_strbuf *buf, char c)
{
	return sb_strbuf_add(buf, &c, 1);
}

int sb_strbuf_addf(struct sb_strbuf *buf, const char *fmt, ...)
{
	va_list ap;
	int n, rc;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return buf->failed = -SB_E_NOMEM;
	rc = reserve(buf, (size_t)n);
	if (rc < 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return 0;
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
	if (!buf->data)
		return;
	if (n > buf->len)
		n = buf->len;
	memmove(buf->data, buf->data + n, buf->len - n + 1);
	buf->len -= n;
}

void sb_strbuf_done(struct sb_strbuf *buf)
{
	free(buf->data);
	*buf = (struct sb_strbuf){ .max = buf->max };
}
