/* source.c - where the bytes of a command came from. */
#include <assert.h>
#include <string.h>

#include "internal.h"

static_assert((SB_YAML_MAX_BYTES | 2u * SB_CONFIG_MAX_KEYS) <= SB_MARK_NUMBER,
		"a line and an index fit into a mark");

uint32_t sb_value_mark(const struct sb_workload *w, const struct sb_value *value)
{
	return SB_MARK_VALUE | (uint32_t)(value - w->values);
}

static struct sb_source value_source(const struct sb_value *value)
{
	bool in_recipe = !strcmp(value->origin, "recipe");

	return (struct sb_source){
		.kind = in_recipe ? SB_SOURCE_RECIPE : SB_SOURCE_OVERRIDE,
		.section = in_recipe && !value->in_defaults ? "" : "defaults",
		.name = value->key,
		.option = in_recipe ? NULL : value->origin,
		.line = value->line,
		.col = value->col,
		.instead = value->instead,
		.instead_line = value->instead_line,
	};
}

const struct sb_value *sb_mark_value(const struct sb_workload *w, uint32_t mark)
{
	uint32_t number = mark & SB_MARK_NUMBER;

	return mark & SB_MARK_VALUE && number < w->n_values ? &w->values[number] : NULL;
}

struct sb_source sb_mark_source(const struct sb_workload *w, uint32_t mark)
{
	const struct sb_value *value = sb_mark_value(w, mark);
	uint32_t number = mark & SB_MARK_NUMBER;

	if (value)
		return value_source(value);
	if (mark & SB_MARK_COMMAND)
		return (struct sb_source){ .kind = SB_SOURCE_COMMAND, .line = number };
	if (mark == SB_MARK_SHELL)
		return (struct sb_source){ .kind = SB_SOURCE_SHELL };
	return (struct sb_source){
		.kind = mark == SB_MARK_RANK ? SB_SOURCE_RANK : SB_SOURCE_RUNTIME,
	};
}

struct sb_source sb_workload_image_source(const struct sb_workload *w)
{
	const struct sb_yaml_node *node = sb_yaml_get(w->recipe->root, "container");

	if (w->image_is_override)
		return (struct sb_source){ .kind = SB_SOURCE_OVERRIDE,
			.section = "",
			.name = "container",
			.option = "--image",
			.instead = sb_node_truthy(node) ? sb_yaml_str(node) : NULL,
			.instead_line = sb_node_truthy(node) ? sb_yaml_line(node) : 0 };
	if (!w->image[strspn(w->image, " \t\r\n")])
		return (struct sb_source){ .kind = SB_SOURCE_RUNTIME };
	return (struct sb_source){ .kind = SB_SOURCE_RECIPE,
		.section = "",
		.name = "container",
		.line = sb_yaml_line(node),
		.col = sb_yaml_col(node) };
}

/* --- lines of the command --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The text at @line and @col, counted in characters, from 1; @end when it is shorter. */
static const char *at_place(const char *text, const char *end, unsigned line, unsigned col)
{
	for (; text < end && line > 1; text++)
		line -= *text == '\n';
	for (; text < end && col > 1; col--)
		do
			text++;
		while (text < end && ((unsigned char)*text & 0xc0) == 0x80);
	return text;
}

/* YAML folds lines and cuts indents, but it keeps every other character in its order, or behind a
 * backslash or a quote: walked side by side, the file tells the line of each. Where it does not
 * (escapes, anchors), the line is that of the last character that it told. */
int sb_command_lines(struct sb_recipe *recipe, const char *text, size_t len)
{
	const struct sb_yaml_node *node = sb_yaml_get(recipe->root, "command");
	const char *value = recipe->command, *end = text + len;
	const char *raw = at_place(text, end, sb_yaml_line(node), sb_yaml_col(node));
	unsigned line = sb_yaml_line(node);

	if (!value)
		return 0;
	recipe->command_lines = calloc(strlen(value) + 1, sizeof(*recipe->command_lines));
	if (!recipe->command_lines)
		return -SB_E_NOMEM;
	if (raw < end && (*raw == '|' || *raw == '>')) /* its header */
		while (raw < end && *raw != '\n')
			raw++;
	for (size_t i = 0; value[i]; i++) {
		while (raw < end && !is_blank(value[i]) && *raw != value[i]) {
			line += *raw == '\n';
			raw = is_blank(*raw) || strchr("\"'\\", *raw) ? raw + 1 : end;
		}
		recipe->command_lines[i] = line;
		raw += raw < end && !is_blank(value[i]);
	}
	return 0;
}
