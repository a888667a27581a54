#include <string.h>

#include "internal.h"

#define REPLACED '?'

/* One character of @text; never past its end. Broken bytes are a character each. */
static uint32_t decode(const char **text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)*text;
	size_t len = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
	uint32_t ch = len == 1 ? *s : *s & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*text += 1;
			return REPLACED;
		}
		ch = ch << 6 | (s[i] & 0x3f);
	}
	if (*s >= 0xf8 || (*s >= 0x80 && *s < 0xc0) || ch < least[len] || ch > 0x10ffff ||
			(ch >= 0xd800 && ch < 0xe000)) {
		*text += 1;
		return REPLACED;
	}
	*text += len;
	return ch;
}

struct range {
	uint32_t from, to;
};

static bool is_in(uint32_t ch, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ch >= ranges[i].from && ch <= ranges[i].to)
			return true;
	return false;
}

/* Not wcwidth(): what it says depends on the locale, and a frame must not. */
static size_t columns(uint32_t ch)
{
	/* Marks on the character before, and orders to the terminal about direction. */
	static const struct range none[] = { { 0x300, 0x36f }, { 0x200b, 0x200f },
		{ 0x202a, 0x202e }, { 0x2060, 0x206f }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f },
		{ 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff }, { 0xe0000, 0xe0fff } };
	static const struct range two[] = { { 0x1100, 0x115f }, { 0x2e80, 0x303e },
		{ 0x3041, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },
		{ 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
		{ 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd } };

	if (is_in(ch, none, sb_countof(none)))
		return 0;
	return is_in(ch, two, sb_countof(two)) ? 2 : 1;
}

static uint32_t printable(uint32_t ch)
{
	if (ch == '\t')
		return ' ';
	return ch < ' ' || (ch >= 0x7f && ch < 0xa0) ? REPLACED : ch;
}

size_t pen_width(const char *text)
{
	size_t width = 0;

	while (*text)
		width += columns(decode(&text));
	return width;
}

static void set(const struct pen *pen, size_t row, size_t col, uint32_t ch,
		enum sb_monitor_tone tone)
{
	struct sb_monitor_cell *cell = &pen->frame->cells[row * pen->frame->width + col];

	cell->ch = ch;
	cell->tone = (uint8_t)tone;
}

size_t pen_put(const struct pen *pen, size_t row, size_t col, size_t width, const char *text,
		enum sb_monitor_tone tone)
{
	size_t used = 0, room;
	bool cut;

	if (row >= pen->frame->height || col >= pen->frame->width)
		return 0;
	if (width > pen->frame->width - col)
		width = pen->frame->width - col;
	cut = pen_width(text) > width;
	room = cut && width ? width - 1 : width;
	while (*text) {
		uint32_t ch = printable(decode(&text));
		size_t n = columns(ch);

		if (used + n > room)
			break;
		if (pen->ascii && ch >= 0x80)
			ch = REPLACED;
		for (size_t i = 0; i < n; i++)
			set(pen, row, col + used + i, i && ch != REPLACED ? 0 : ch, tone);
		used += n;
	}
	if (cut && width)
		set(pen, row, col + used++, '+', tone);
	return used;
}

void pen_right(const struct pen *pen, size_t row, size_t col, size_t width, const char *text,
		enum sb_monitor_tone tone)
{
	size_t need = pen_width(text);

	if (need < width)
		col += width - need;
	pen_put(pen, row, col, need < width ? need : width, text, tone);
}

void pen_row_tone(const struct pen *pen, size_t row, enum sb_monitor_tone tone)
{
	for (size_t i = 0; row < pen->frame->height && i < pen->frame->width; i++)
		pen->frame->cells[row * pen->frame->width + i].tone = (uint8_t)tone;
}

void pen_row_mark(const struct pen *pen, size_t row)
{
	for (size_t i = 0; row < pen->frame->height && i < pen->frame->width; i++)
		pen->frame->cells[row * pen->frame->width + i].marked = true;
}
