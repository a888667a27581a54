/* scalar.c - what a plain scalar is. YAML 1.1 as PyYAML's safe loader reads it, because that is
 * what the authors of published recipes tested with: "yes" is true, "010" is 8, "1e5" is text
 * (no dot), "1.0e5" is text (no sign), "12:30" counts in sixties. */
#include <math.h>
#include <string.h>

#include "internal.h"

#define NUMBER_TEXT_MAX 400 /* a longer run of digits cannot fit 64 bits and is no sane float */

static const struct word {
	const char *text;
	enum sb_yaml_type type;
	bool value;
} words[] = {
	{ "", SB_YAML_NULL, false },
	{ "~", SB_YAML_NULL, false },
	{ "null", SB_YAML_NULL, false },
	{ "Null", SB_YAML_NULL, false },
	{ "NULL", SB_YAML_NULL, false },
	{ "yes", SB_YAML_BOOL, true },
	{ "Yes", SB_YAML_BOOL, true },
	{ "YES", SB_YAML_BOOL, true },
	{ "true", SB_YAML_BOOL, true },
	{ "True", SB_YAML_BOOL, true },
	{ "TRUE", SB_YAML_BOOL, true },
	{ "on", SB_YAML_BOOL, true },
	{ "On", SB_YAML_BOOL, true },
	{ "ON", SB_YAML_BOOL, true },
	{ "no", SB_YAML_BOOL, false },
	{ "No", SB_YAML_BOOL, false },
	{ "NO", SB_YAML_BOOL, false },
	{ "false", SB_YAML_BOOL, false },
	{ "False", SB_YAML_BOOL, false },
	{ "FALSE", SB_YAML_BOOL, false },
	{ "off", SB_YAML_BOOL, false },
	{ "Off", SB_YAML_BOOL, false },
	{ "OFF", SB_YAML_BOOL, false },
};

/* Length of the run of characters of @set at @s. */
#define run(s, set) strspn(s, set)
#define DIGITS      "0123456789"
#define DIGITS_     "0123456789_"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t sign_len(const char *s)
{
	return *s == '-' || *s == '+';
}

/* "(:[0-5]?[0-9])+": length, or 0 when there is none. */
static size_t sixties_len(const char *s)
{
	const char *p = s;

	while (*p == ':' && is_digit(p[1])) {
		if (p[1] <= '5' && is_digit(p[2]))
			p += 3;
		else
			p += 2;
	}
	return (size_t)(p - s);
}

/* Base of an integer: 2, 8, 10, 16, 60; 0 when @s is none. */
static int int_base(const char *s)
{
	const char *p = s + sign_len(s);
	size_t n;

	if (p[0] == '0' && p[1] == 'b')
		return p[2] && !p[2 + run(p + 2, "01_")] ? 2 : 0;
	if (p[0] == '0' && p[1] == 'x')
		return p[2] && !p[2 + run(p + 2, "0123456789abcdefABCDEF_")] ? 16 : 0;
	if (p[0] == '0')
		return !p[1] ? 10 : !p[1 + run(p + 1, "01234567_")] ? 8 : 0;
	if (!is_digit(*p))
		return 0;
	n = run(p, DIGITS_);
	if (!p[n])
		return 10;
	p += n;
	n = sixties_len(p);
	return n && !p[n] ? 60 : 0;
}

/* "([eE][-+][0-9]+)?" and then the end. */
static bool exponent_or_end(const char *s)
{
	if (!*s)
		return true;
	if ((*s != 'e' && *s != 'E') || !sign_len(s + 1) || !is_digit(s[2]))
		return false;
	return !s[2 + run(s + 2, DIGITS)];
}

static bool is_word_float(const char *s, bool *ret_nan)
{
	static const char *const infs[] = { ".inf", ".Inf", ".INF" };
	static const char *const nans[] = { ".nan", ".NaN", ".NAN" };

	for (size_t i = 0; i < sb_countof(infs); i++) {
		if (!strcmp(s + sign_len(s), infs[i])) {
			*ret_nan = false;
			return true;
		}
		if (!strcmp(s, nans[i])) {
			*ret_nan = true;
			return true;
		}
	}
	return false;
}

/* 10 or 60 for a float, else 0. */
static int float_base(const char *s)
{
	const char *p = s + sign_len(s);
	size_t n;

	if (*s == '.' && is_digit(s[1])) /* the rule allows no sign here */
		return exponent_or_end(s + 1 + run(s + 1, DIGITS_)) ? 10 : 0;
	if (!is_digit(*p))
		return 0;
	p += run(p, DIGITS_);
	if (*p == '.')
		return exponent_or_end(p + 1 + run(p + 1, DIGITS_)) ? 10 : 0;
	n = sixties_len(p);
	if (!n || p[n] != '.')
		return 0;
	p += n + 1;
	return !p[run(p, DIGITS_)] ? 60 : 0;
}

/* Copy without '_' (and without the sign, which goes to *@ret_negative). */
static bool clean(const char *s, char *out, bool *ret_negative)
{
	size_t n = 0;

	*ret_negative = *s == '-';
	for (s += sign_len(s); *s; s++) {
		if (*s == '_')
			continue;
		if (n + 1 >= NUMBER_TEXT_MAX)
			return false;
		out[n++] = *s;
	}
	out[n] = '\0';
	return true;
}

static unsigned digit_value(char c)
{
	if (is_digit(c))
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a') + 10;
}

/* A group of digits in @base, up to ':' or the end, onto *@acc scaled by @scale. */
static bool add_group(const char **s, unsigned base, unsigned scale, uint64_t *acc)
{
	uint64_t group = 0;

	for (; **s && **s != ':'; (*s)++)
		if (__builtin_mul_overflow(group, base, &group) ||
				__builtin_add_overflow(group, digit_value(**s), &group))
			return false;
	return !__builtin_mul_overflow(*acc, scale, acc) &&
			!__builtin_add_overflow(*acc, group, acc);
}

static enum sb_yaml_plain take_int(struct sb_yaml_node *node, const char *text, int base)
{
	char digits[NUMBER_TEXT_MAX];
	const char *p = digits;
	uint64_t value = 0;
	bool negative;

	if (!clean(text, digits, &negative))
		return SB_YAML_PLAIN_OVERFLOW;
	if (base == 2 || base == 16)
		p += 2;
	if (!*p)
		return SB_YAML_PLAIN_BAD;
	while (*p) {
		if (!add_group(&p, base == 60 ? 10 : (unsigned)base, 60, &value))
			return SB_YAML_PLAIN_OVERFLOW;
		p += *p == ':';
	}
	if (value > (uint64_t)INT64_MAX + negative)
		return SB_YAML_PLAIN_OVERFLOW;
	node->type = SB_YAML_INT;
	node->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
	return SB_YAML_PLAIN_OK;
}

static enum sb_yaml_plain take_float(struct sb_yaml_node *node, const char *text)
{
	char digits[NUMBER_TEXT_MAX];
	double value = 0;
	bool negative;
	char *p = digits;

	if (!clean(text, digits, &negative))
		return SB_YAML_PLAIN_OVERFLOW;
	for (;;) {
		value = value * 60 + strtod(p, &p);
		if (*p != ':')
			break;
		p++;
	}
	node->type = SB_YAML_FLOAT;
	node->real = negative ? -value : value;
	return SB_YAML_PLAIN_OK;
}

enum sb_yaml_plain sb_yaml_resolve_plain(struct sb_yaml_node *node, const char *text)
{
	bool nan;
	int base;

	for (size_t i = 0; i < sb_countof(words); i++) {
		if (strcmp(text, words[i].text) != 0)
			continue;
		node->type = words[i].type;
		node->boolean = words[i].value;
		return SB_YAML_PLAIN_OK;
	}
	base = int_base(text);
	if (base)
		return take_int(node, text, base);
	if (is_word_float(text, &nan)) {
		node->type = SB_YAML_FLOAT;
		node->real = nan ? NAN : *text == '-' ? -INFINITY : INFINITY;
		return SB_YAML_PLAIN_OK;
	}
	if (float_base(text))
		return take_float(node, text);
	node->type = SB_YAML_STR;
	if (!strcmp(text, "<<"))
		return SB_YAML_PLAIN_MERGE;
	return !strcmp(text, "=") ? SB_YAML_PLAIN_VALUE : SB_YAML_PLAIN_OK;
}

size_t sb_yaml_utf8(const char *s, uint32_t *ret_cp)
{
	const unsigned char *p = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *p < 0x80        ? 1
			: *p < 0xc2 ? 0
			: *p < 0xe0 ? 2
			: *p < 0xf0 ? 3
			: *p < 0xf5 ? 4
				    : 0;
	uint32_t cp;

	if (!*p || !n)
		return 0;
	cp = n == 1 ? *p : *p & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[n] || (cp >= 0xd800 && cp < 0xe000) || cp > 0x10ffff)
		return 0;
	*ret_cp = cp;
	return n;
}
