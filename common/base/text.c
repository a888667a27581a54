#include <string.h>

#include "sb_base.h"

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the well-formed character at @p (Unicode 15, table 3-7); 0 = ill-formed. A short
 * character at the end of the text meets its NUL, which is no tail byte. */
static size_t char_len(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return is_tail(p[1]) ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0; /* overlong; a surrogate */
		return is_tail(p[1]) && is_tail(p[2]) ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
			return 0; /* overlong; past U+10FFFF */
		return is_tail(p[1]) && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
	}
	return 0;
}

void sb_text_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p;) {
		size_t len = char_len(p);

		if (len == 0)
			*p = '?';
		else if (*p < ' ' || *p == 0x7f)
			*p = ' ';
		else if (len == 2 && *p == 0xc2 && p[1] < 0xa0)
			p[0] = p[1] = ' ';
		p += len ? len : 1;
	}
}

size_t sb_text_cut(const char *text, size_t len, size_t max)
{
	size_t at = max;

	if (len <= max)
		return len;
	while (at && max - at < 3 && is_tail((unsigned char)text[at]))
		at--;
	return is_tail((unsigned char)text[at]) ? max : at;
}
