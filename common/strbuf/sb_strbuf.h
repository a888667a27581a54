/* sb_strbuf.h - bytes that grow up to a named cap, always NUL-terminated. */
#ifndef SB_STRBUF_H
#define SB_STRBUF_H

#include "sb_base.h"

/** Used where a buffer names no cap of its own. */
#define SB_STRBUF_MAX_DEFAULT ((size_t)64 << 20)

struct sb_strbuf {
	char *data;   /* NULL while nothing was added; else data[len] == '\0' */
	size_t len;   /* bytes in use, without the final NUL */
	size_t space; /* bytes allocated */
	size_t max;   /* cap on len; 0 = SB_STRBUF_MAX_DEFAULT */
	int failed;   /* first error of any add: 0, -SB_E_NOMEM or -SB_E_RANGE */
	/* What the writer wants to know of a byte later, where it came from for instance. Bytes
	 * that are added get @mark, which the writer sets; @marks is NULL while it never was but 0,
	 * else it has one for every byte. */
	uint32_t *marks;
	uint32_t mark;
};

#define SB_STRBUF_INIT                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

/** Append. After a failure every further add does nothing and returns the same error, so a
 * writer may add many times and look at @buf->failed once.
 * Return: 0; -SB_E_NOMEM; -SB_E_RANGE if the cap would be passed (nothing is added then). */
int sb_strbuf_add(struct sb_strbuf *buf, const void *data, size_t len);
int sb_strbuf_adds(struct sb_strbuf *buf, const char *text);
int sb_strbuf_addc(struct sb_strbuf *buf, char c);
int sb_strbuf_addf(struct sb_strbuf *buf, const char *fmt, ...) SB_PRINTF(2, 3);
/** The same with @mark, for these bytes alone. */
int sb_strbuf_addm(struct sb_strbuf *buf, uint32_t mark, const char *fmt, ...) SB_PRINTF(3, 4);
/** Append @len bytes of @from, which has them, from @at on, with the marks that they have there. */
int sb_strbuf_add_part(struct sb_strbuf *buf, const struct sb_strbuf *from, size_t at, size_t len);

/** @text as a buffer, borrowed: to be read, never added to or freed. */
struct sb_strbuf sb_strbuf_view(const char *text);
/** The text so far; "" when empty. Borrowed: lives until the next add. */
const char *sb_strbuf_str(const struct sb_strbuf *buf);
/** Hand the bytes to the caller (free()) and leave @buf empty; NULL when out of memory or failed.
 */
char *sb_strbuf_steal(struct sb_strbuf *buf);
/** Keep the allocation, forget the bytes and the error. */
void sb_strbuf_reset(struct sb_strbuf *buf);
/** Drop the first @n bytes. */
void sb_strbuf_consume(struct sb_strbuf *buf, size_t n);
/** Drop @n bytes from @at on; no more than there are. */
void sb_strbuf_remove(struct sb_strbuf *buf, size_t at, size_t n);
void sb_strbuf_done(struct sb_strbuf *buf);

#endif
