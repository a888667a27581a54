/* write.c - a tree back to text, in block style. What is read back is the same tree: types, order
 * and texts; how it was quoted, folded and commented is not kept. */
#include <math.h>
#include <string.h>

#include "internal.h"

#define STEP    2   /* blanks per level */
#define KEY_MAX 900 /* a reader takes no longer key in front of a ':' */

static void add_blanks(struct sb_strbuf *out, unsigned n)
{
	sb_strbuf_addf(out, "%*s", (int)n, "");
}

void sb_yaml_write_float(struct sb_strbuf *out, double value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const char *e;

	if (isnan(value) || isinf(value)) {
		sb_strbuf_adds(out, isnan(value) ? ".nan" : value < 0 ? "-.inf" : ".inf");
		return;
	}
	sb_yaml_render_float(value, &text);
	e = strchr(sb_strbuf_str(&text), 'e');
	if (e && !strchr(sb_strbuf_str(&text), '.')) /* without a point it would be text */
		sb_strbuf_addf(out, "%.*s.0%s", (int)(e - text.data), text.data, e);
	else
		sb_strbuf_adds(out, sb_strbuf_str(&text));
}

/* As written where that means the same, else (tags) the plainest way to say it. */
static int write_typed(struct sb_strbuf *out, const struct sb_yaml_node *node)
{
	struct sb_yaml_node probe = { 0 };

	if (node->type == SB_YAML_STR)
		return sb_yaml_write_scalar(out, node->text);
	if (*node->text && sb_yaml_resolve_plain(&probe, node->text) == SB_YAML_PLAIN_OK &&
			probe.type == node->type)
		return sb_strbuf_adds(out, node->text);
	if (node->type == SB_YAML_NULL)
		sb_strbuf_adds(out, "null");
	else if (node->type == SB_YAML_BOOL)
		sb_strbuf_adds(out, node->boolean ? "true" : "false");
	else if (node->type == SB_YAML_INT)
		sb_strbuf_addf(out, "%lld", (long long)node->integer);
	else
		sb_yaml_write_float(out, node->real);
	return out->failed;
}

/* Several lines, none of which needs an escape. */
static bool is_block(const char *text)
{
	uint32_t cp;
	size_t n;

	if (!strchr(text, '\n') || !text[strspn(text, " \t\n")])
		return false;
	for (; *text; text += n) {
		n = sb_yaml_utf8(text, &cp);
		if (!n || (cp != '\n' && cp != '\t' && sb_yaml_must_escape(cp)))
			return false;
	}
	return true;
}

/* Text behind "key:" or "-". A block's own indent counts from @indent, the place of that word. */
static int write_text(struct sb_strbuf *out, unsigned indent, const char *text)
{
	size_t len = strlen(text), tail = 0;
	int rc;

	sb_strbuf_addc(out, ' ');
	if (!is_block(text)) {
		rc = sb_yaml_write_scalar(out, text);
		sb_strbuf_addc(out, '\n');
		return rc;
	}
	while (text[len - 1 - tail] == '\n')
		tail++;
	sb_strbuf_addc(out, '|');
	if (strchr(" \t\n", text[0]))
		sb_strbuf_addf(out, "%u", STEP);
	sb_strbuf_adds(out, tail == 0 ? "-\n" : tail == 1 ? "\n" : "+\n");
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n)
			add_blanks(out, indent + STEP);
		sb_strbuf_add(out, text, n);
		sb_strbuf_addc(out, '\n');
		text += n + (text[n] == '\n');
	}
	return out->failed;
}

static int write_key(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *key)
{
	size_t before = out->len;
	int rc = write_typed(out, key);

	if (out->len - before > KEY_MAX) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		sb_strbuf_adds(&text, sb_strbuf_str(out) + before);
		sb_strbuf_remove(out, before, text.len);
		sb_strbuf_addf(out, "? %s\n", sb_strbuf_str(&text));
		add_blanks(out, indent);
	}
	sb_strbuf_addc(out, ':');
	return rc;
}

static int write_value(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *node);

/* With @inside the first entry goes on in a line that was begun. */
static int write_map(
		struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *map, bool inside)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < map->n; i++) {
		if (!inside || i)
			add_blanks(out, indent);
		rc = write_key(out, indent, map->keys[i]);
		if (rc == 0)
			rc = write_value(out, indent, map->values[i]);
	}
	return rc;
}

static int write_list(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *list)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		const struct sb_yaml_node *item = list->values[i];

		add_blanks(out, indent);
		sb_strbuf_addc(out, '-');
		if (item->type == SB_YAML_MAP && item->n) {
			sb_strbuf_addc(out, ' ');
			rc = write_map(out, indent + STEP, item, true);
		} else {
			rc = write_value(out, indent, item);
		}
	}
	return rc;
}

/* Behind "key:" or "-", whose place @indent is. */
static int write_value(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *node)
{
	bool many = node->type == SB_YAML_LIST || node->type == SB_YAML_MAP;
	int rc;

	if (node->type == SB_YAML_STR)
		return write_text(out, indent, node->text);
	if (many && node->n) {
		sb_strbuf_addc(out, '\n');
		return node->type == SB_YAML_LIST ? write_list(out, indent + STEP, node)
						  : write_map(out, indent + STEP, node, false);
	}
	sb_strbuf_addc(out, ' ');
	if (many)
		rc = sb_strbuf_adds(out, node->type == SB_YAML_LIST ? "[]" : "{}");
	else
		rc = write_typed(out, node);
	sb_strbuf_addc(out, '\n');
	return rc;
}

int sb_yaml_write_entry(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value)
{
	static const struct sb_yaml_node null = { .type = SB_YAML_NULL, .text = "" };
	int rc;

	add_blanks(out, indent);
	rc = write_key(out, indent, key);
	return rc == 0 ? write_value(out, indent, value ? value : &null) : rc;
}

int sb_yaml_write_text(struct sb_strbuf *out, unsigned indent, const char *key, const char *text)
{
	const struct sb_yaml_node name = { .type = SB_YAML_STR, .text = key };
	int rc;

	add_blanks(out, indent);
	rc = write_key(out, indent, &name);
	return rc == 0 ? write_text(out, indent, text) : rc;
}
