/* render.c - values back to text: as the published recipes' tools print them (Python's str and
 * repr), and as YAML for files that the tool keeps itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Fewest digits that read back as the same double: d.ddde±xx into @buf. */
static void shortest(double value, char *buf, size_t size)
{
	for (int digits = 0; digits < 17; digits++) {
		snprintf(buf, size, "%.*e", digits, value);
		if (strtod(buf, NULL) == value)
			return;
	}
}

/* Python's repr(float): exponent form when the decimal exponent is < -4 or >= 16, and always a
 * '.' or an exponent. */
int sb_yaml_render_float(double value, struct sb_strbuf *out)
{
	char sci[40];
	char *e;
	int exp, digits;

	if (isnan(value))
		return sb_strbuf_adds(out, "nan");
	if (isinf(value))
		return sb_strbuf_adds(out, value < 0 ? "-inf" : "inf");
	shortest(value, sci, sizeof(sci));
	e = strchr(sci, 'e');
	exp = atoi(e + 1);
	if (exp < -4 || exp >= 16)
		return sb_strbuf_adds(out, sci);
	digits = (int)(e - sci) - (sci[0] == '-') - 1; /* behind the dot, or 0 */
	digits = (digits > 0 ? digits - 1 : 0) - exp;
	return sb_strbuf_addf(out, "%.*f", digits < 1 ? 1 : digits, value);
}

/* Characters that Python's repr() escapes; the rest is printed as it is. */
static bool is_unprintable(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x1f },
		{ 0x7f, 0xa0 },
		{ 0xad, 0xad },
		{ 0x200b, 0x200f },
		{ 0x2028, 0x202f },
		{ 0x205f, 0x206f },
		{ 0x3000, 0x3000 },
		{ 0xe000, 0xf8ff },
		{ 0xfeff, 0xfeff },
		{ 0xfff0, 0xfffb },
		{ 0xfffe, 0xffff },
		{ 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < sb_countof(ranges); i++)
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	return false;
}

static void add_code(struct sb_strbuf *out, uint32_t cp)
{
	if (cp < 0x100)
		sb_strbuf_addf(out, "\\x%02x", (unsigned)cp);
	else if (cp < 0x10000)
		sb_strbuf_addf(out, "\\u%04x", (unsigned)cp);
	else
		sb_strbuf_addf(out, "\\U%08x", (unsigned)cp);
}

static void add_quoted(struct sb_strbuf *out, const char *s)
{
	char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';
	uint32_t cp;
	size_t n;

	sb_strbuf_addc(out, quote);
	for (; (n = sb_yaml_utf8(s, &cp)) > 0; s += n) {
		if (cp == '\n' || cp == '\r' || cp == '\t')
			sb_strbuf_adds(out, cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : "\\t");
		else if (cp == '\\' || cp == (unsigned char)quote)
			sb_strbuf_addf(out, "\\%c", (char)cp);
		else if (is_unprintable(cp))
			add_code(out, cp);
		else
			sb_strbuf_add(out, s, n);
	}
	sb_strbuf_addc(out, quote);
}

/* str() at the top, repr() inside lists and maps. */
static void render(const struct sb_yaml_node *node, struct sb_strbuf *out, bool inside)
{
	enum sb_yaml_type type = sb_yaml_type(node);

	switch (type) {
	case SB_YAML_NULL:
		sb_strbuf_adds(out, inside ? "None" : "");
		break;
	case SB_YAML_BOOL:
		sb_strbuf_adds(out, node->boolean ? "True" : "False");
		break;
	case SB_YAML_INT:
		sb_strbuf_addf(out, "%lld", (long long)node->integer);
		break;
	case SB_YAML_FLOAT:
		sb_yaml_render_float(node->real, out);
		break;
	case SB_YAML_STR:
		if (inside)
			add_quoted(out, node->text);
		else
			sb_strbuf_adds(out, node->text);
		break;
	case SB_YAML_LIST:
	case SB_YAML_MAP:
		sb_strbuf_addc(out, type == SB_YAML_MAP ? '{' : '[');
		for (size_t i = 0; i < node->n; i++) {
			sb_strbuf_adds(out, i ? ", " : "");
			if (type == SB_YAML_MAP) {
				render(node->keys[i], out, true);
				sb_strbuf_adds(out, ": ");
			}
			render(node->values[i], out, true);
		}
		sb_strbuf_addc(out, type == SB_YAML_MAP ? '}' : ']');
		break;
	default:
		break;
	}
}

int sb_yaml_render(const struct sb_yaml_node *node, struct sb_strbuf *out)
{
	render(node, out, false);
	return out->failed;
}

/* Text that reads back as itself in any YAML reader, old or new. */
static bool is_plain_safe(const char *s)
{
	static const char first[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/";
	static const char rest[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/.+@%=:-";
	struct sb_yaml_node probe = { 0 };
	size_t len = strlen(s);

	if (!len || !strchr(first, s[0]) || strspn(s, rest) != len || s[len - 1] == ':')
		return false;
	if (!strcasecmp(s, "y") || !strcasecmp(s, "n"))
		return false;
	if (strspn(s, "0123456789.+-_:eExXoObBaAcCdDfFtTzZ") == len && s[0] >= '0' && s[0] <= '9')
		return false; /* numbers, dates and what other readers take for them */
	return sb_yaml_resolve_plain(&probe, s) == SB_YAML_PLAIN_OK && probe.type == SB_YAML_STR;
}

bool sb_yaml_must_escape(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
			cp == 0xfeff || cp == 0xfffe || cp == 0xffff;
}

int sb_yaml_write_scalar(struct sb_strbuf *out, const char *text)
{
	uint32_t cp;
	size_t n;

	for (const char *s = text; *s; s += n) {
		n = sb_yaml_utf8(s, &cp);
		if (!n)
			return -SB_E_INVALID;
	}
	if (is_plain_safe(text))
		return sb_strbuf_adds(out, text);
	sb_strbuf_addc(out, '"');
	for (const char *s = text; (n = sb_yaml_utf8(s, &cp)) > 0; s += n) {
		if (cp == '"' || cp == '\\')
			sb_strbuf_addf(out, "\\%c", (char)cp);
		else if (cp == '\n' || cp == '\t')
			sb_strbuf_adds(out, cp == '\n' ? "\\n" : "\\t");
		else if (sb_yaml_must_escape(cp))
			add_code(out, cp);
		else
			sb_strbuf_add(out, s, n);
	}
	sb_strbuf_addc(out, '"');
	return out->failed;
}
