#include <inttypes.h>
#include <string.h>

#include "sb_render.h"

/* Below this a value is too common a text to be replaced inside others. */
#define MASK_INSIDE_MIN 6

int sb_mask_add(struct sb_mask *mask, const char *value, struct sb_err *err)
{
	char **values, *copy;

	if (sb_empty(value))
		return 0;
	values = reallocarray(mask->values, mask->n + 1, sizeof(*values));
	if (!values)
		return sb_err_nomem(err);
	mask->values = values;
	copy = strdup(value);
	if (!copy)
		return sb_err_nomem(err);
	mask->values[mask->n++] = copy;
	return 0;
}

/* Length of the hidden value that @text begins with (the longest), or 0. */
static size_t hidden_at(const struct sb_mask *mask, const char *text)
{
	size_t longest = 0;

	for (size_t i = 0; i < mask->n; i++) {
		size_t len = strlen(mask->values[i]);

		if (len >= MASK_INSIDE_MIN && len > longest && !strncmp(text, mask->values[i], len))
			longest = len;
	}
	return longest;
}

int sb_mask_text(const struct sb_mask *mask, const char *text, struct sb_strbuf *out)
{
	if (!mask || !mask->n)
		return sb_strbuf_adds(out, text);
	for (size_t i = 0; i < mask->n; i++)
		if (!strcmp(text, mask->values[i]))
			return sb_strbuf_adds(out, SB_RENDER_HIDDEN);
	while (*text) {
		size_t len = hidden_at(mask, text);

		if (len)
			sb_strbuf_adds(out, SB_RENDER_HIDDEN);
		else
			sb_strbuf_addc(out, *text);
		text += len ? len : 1;
	}
	return out->failed;
}

void sb_mask_done(struct sb_mask *mask)
{
	for (size_t i = 0; i < mask->n; i++) {
		explicit_bzero(mask->values[i], strlen(mask->values[i]));
		free(mask->values[i]);
	}
	free(mask->values);
	*mask = (struct sb_mask)SB_MASK_INIT;
}

int sb_render_shell(struct sb_strbuf *out, const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:=,@%+";

	if (*arg && !arg[strspn(arg, plain)])
		return sb_strbuf_adds(out, arg);
	sb_strbuf_addc(out, '\'');
	for (; *arg; arg++)
		if (*arg == '\'')
			sb_strbuf_adds(out, "'\\''");
		else
			sb_strbuf_addc(out, *arg);
	return sb_strbuf_addc(out, '\'');
}

const char *sb_render_duration(uint64_t ms, char *buf, size_t size)
{
	uint64_t s = ms / 1000;

	if (s < 60)
		snprintf(buf, size, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buf, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
	return buf;
}

const char *sb_render_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, size, "%" PRIu64 " B", bytes);
		return buf;
	}
	/* 1023.95 and more would print as 1024.0 of the smaller unit. */
	for (value /= 1024; value >= 1023.95 && unit + 1 < sb_countof(units); unit++)
		value /= 1024;
	snprintf(buf, size, "%.1f %s", value, units[unit]);
	return buf;
}

size_t sb_render_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

int sb_render_clean(struct sb_strbuf *out, const void *text, size_t len)
{
	const unsigned char *s = text;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == 0xc2 && i + 1 < len && s[i + 1] >= 0x80 && s[i + 1] < 0xa0) {
			sb_strbuf_addc(out, '?');
			i++;
		} else if ((s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f) {
			sb_strbuf_addc(out, '?');
		} else {
			sb_strbuf_addc(out, (char)s[i]);
		}
	}
	return out->failed;
}
