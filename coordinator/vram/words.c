/* words.c - numbers and names as the recipe format writes them. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

void vram_name(char ret[SB_VRAM_NAME_MAX], const char *text)
{
	size_t len = text ? strlen(text) : 0;

	len = sb_text_cut(text, len, SB_VRAM_NAME_MAX - 1);
	memmove(ret, text ? text : "", len);
	ret[len] = '\0';
	sb_text_clean(ret);
}

void vram_key(char ret[SB_VRAM_NAME_MAX], const char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	vram_name(ret, text);
	len = strlen(ret);
	while (len && isspace((unsigned char)ret[len - 1]))
		ret[--len] = '\0';
	for (char *p = ret; *p; p++)
		*p = *p == '-' ? '_' : (char)tolower((unsigned char)*p);
}

void vram_warn(struct sb_vram_warnings *warnings, const char *fmt, ...)
{
	va_list args;

	if (warnings->n == SB_VRAM_WARN_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(warnings->text[warnings->n], SB_VRAM_WARN_TEXT, fmt, args);
	va_end(args);
	sb_text_clean(warnings->text[warnings->n++]);
}

#define NUMBER_MAX 64

/* @text without blanks around it and without '_' between digits; false when it is none. */
static bool bare_number(const char *text, char ret[NUMBER_MAX])
{
	size_t n = 0, end;

	text += strspn(text, " \t\r\n");
	end = strlen(text);
	while (end && strchr(" \t\r\n", text[end - 1]))
		end--;
	for (size_t i = 0; i < end; i++) {
		bool between = i && i + 1 < end && isdigit((unsigned char)text[i - 1]) &&
				isdigit((unsigned char)text[i + 1]);

		if (text[i] == '_' && between)
			continue;
		if (n == NUMBER_MAX - 1)
			return false;
		ret[n++] = text[i];
	}
	ret[n] = '\0';
	return n > 0;
}

bool vram_text_int(const char *text, int64_t *ret)
{
	char number[NUMBER_MAX], *end;
	long long value;
	size_t sign;

	if (!bare_number(text, number))
		return false;
	sign = number[0] == '-' || number[0] == '+';
	if (!number[sign] || number[sign + strspn(number + sign, "0123456789")])
		return false;
	errno = 0;
	value = strtoll(number, &end, 10);
	if (errno || *end)
		return false;
	*ret = value;
	return true;
}

/* Decimal digits only: no hexadecimal, no infinity. A double that would overflow is refused. */
static bool read_real(const char *number, double *ret)
{
	char *end;
	double value;

	if (!*number || number[strspn(number, "0123456789.eE+-")])
		return false;
	value = strtod(number, &end);
	if (end == number || *end || !isfinite(value))
		return false;
	*ret = value;
	return true;
}

bool vram_text_real(const char *text, double *ret)
{
	char number[NUMBER_MAX];

	return bare_number(text, number) && read_real(number, ret);
}

#define WHOLE_LIMIT 9223372036854775808.0 /* 2^63 */

static bool cut_real(double value, int64_t *ret)
{
	if (!(value > -WHOLE_LIMIT && value < WHOLE_LIMIT))
		return false;
	*ret = (int64_t)value;
	return true;
}

bool vram_json_int(const json_t *value, int64_t *ret)
{
	if (json_is_integer(value)) {
		*ret = json_integer_value(value);
		return true;
	}
	if (json_is_real(value))
		return cut_real(json_real_value(value), ret);
	return json_is_string(value) && vram_text_int(json_string_value(value), ret);
}

bool sb_vram_params(const char *text, int64_t *ret)
{
	static const struct {
		char letter;
		double scale;
	} suffixes[] = { { 'T', 1e12 }, { 'B', 1e9 }, { 'M', 1e6 }, { 'K', 1e3 } };
	char number[NUMBER_MAX];
	size_t n = 0, len;
	double value;

	/* Unlike in other numbers a '_' may stand anywhere here. */
	for (const char *p = text; *p; p++) {
		if (*p == '_')
			continue;
		if (n == NUMBER_MAX - 1)
			return false;
		number[n++] = *p;
	}
	number[n] = '\0';
	len = strlen(number);
	while (len && isspace((unsigned char)number[len - 1]))
		number[--len] = '\0';
	if (vram_text_real(number, &value))
		return cut_real(value, ret);
	for (size_t i = 0; len && i < sb_countof(suffixes); i++) {
		if (toupper((unsigned char)number[len - 1]) != suffixes[i].letter)
			continue;
		number[len - 1] = '\0';
		return vram_text_real(number, &value) && cut_real(value * suffixes[i].scale, ret);
	}
	return false;
}

int sb_vram_thousands(struct sb_strbuf *out, int64_t value)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)value);
	size_t first = digits[0] == '-';

	for (size_t i = 0; i < len; i++) {
		if (i > first && (len - i) % 3 == 0)
			sb_strbuf_addc(out, ',');
		sb_strbuf_addc(out, digits[i]);
	}
	return out->failed;
}
