#include <string.h>

#include "metadata_text.h"

#define DEPTH_MAX 4

void metadata_key(const char *key, struct sb_strbuf *out)
{
	const char *rate = strstr(key, "tok_s");

	for (; *key; key++) {
		bool slash = rate && key == rate + strlen("tok");

		sb_strbuf_addc(out, slash ? '/' : *key == '_' ? ' ' : *key);
	}
}

static bool is_number(const struct sb_yaml_node *node)
{
	return sb_yaml_type(node) == SB_YAML_INT || sb_yaml_type(node) == SB_YAML_FLOAT;
}

static bool is_range(const struct sb_yaml_node *node)
{
	return sb_yaml_type(node) == SB_YAML_LIST && sb_yaml_size(node) == 2 &&
			is_number(sb_yaml_at(node, 0)) && is_number(sb_yaml_at(node, 1));
}

static void add_value(const struct sb_yaml_node *node, unsigned depth, struct sb_strbuf *out)
{
	enum sb_yaml_type type = sb_yaml_type(node);
	const char *between = is_range(node) ? " to " : ", ";

	if (type != SB_YAML_LIST && type != SB_YAML_MAP) {
		sb_strbuf_adds(out, type == SB_YAML_NULL ? "-" : sb_yaml_str(node));
		return;
	}
	if (depth == DEPTH_MAX) {
		sb_strbuf_adds(out, "...");
		return;
	}
	for (size_t i = 0; i < sb_yaml_size(node); i++) {
		sb_strbuf_adds(out, i ? between : "");
		if (type == SB_YAML_MAP) {
			metadata_key(sb_yaml_str(sb_yaml_key(node, i)), out);
			sb_strbuf_addc(out, ' ');
		}
		add_value(sb_yaml_at(node, i), depth + 1, out);
	}
}

void metadata_value(const struct sb_yaml_node *node, struct sb_strbuf *out)
{
	add_value(node, 0, out);
}
