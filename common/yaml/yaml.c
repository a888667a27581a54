#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"

#define ARENA_BLOCK_BYTES ((size_t)16 << 10)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) char data[];
};

static const char *const type_names[] = {
	[SB_YAML_NULL] = "null",
	[SB_YAML_BOOL] = "true or false",
	[SB_YAML_INT] = "a whole number",
	[SB_YAML_FLOAT] = "a number",
	[SB_YAML_STR] = "text",
	[SB_YAML_LIST] = "a list",
	[SB_YAML_MAP] = "a map",
};
_Static_assert(sb_countof(type_names) == SB_YAML_TYPE_COUNT_, "a name for each type");

void *sb_yaml_alloc(struct sb_yaml_doc *doc, size_t size)
{
	struct arena_block *block = doc->blocks;
	size_t room;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!block || block->size - block->used < size) {
		room = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
		block = calloc(1, sizeof(*block) + room);
		if (!block)
			return NULL;
		block->size = room;
		block->next = doc->blocks;
		doc->blocks = block;
	}
	p = block->data + block->used;
	block->used += size;
	return p;
}

int sb_yaml_parse(const char *name, const char *text, size_t len, sb_yaml_warn_fn warn,
		void *warn_ctx, struct sb_yaml_doc **ret_doc, struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc;

	if (len > SB_YAML_MAX_BYTES)
		return sb_err_set(err, SB_E_RANGE, "%s:1:1: %zu bytes; expected at most %zu", name,
				len, SB_YAML_MAX_BYTES);
	doc = calloc(1, sizeof(*doc));
	if (!doc)
		return sb_err_nomem(err);
	doc->name = strdup(name);
	if (!doc->name)
		return sb_err_nomem(err);
	rc = sb_yaml_build(doc, text, len, warn, warn_ctx, err);
	if (rc < 0)
		return rc;
	*ret_doc = sb_steal(doc);
	return 0;
}

int sb_yaml_load(const char *path, sb_yaml_warn_fn warn, void *warn_ctx,
		struct sb_yaml_doc **ret_doc, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = sb_fs_read(path, SB_YAML_MAX_BYTES, &text, err);

	if (rc < 0)
		return rc;
	return sb_yaml_parse(path, sb_strbuf_str(&text), text.len, warn, warn_ctx, ret_doc, err);
}

void sb_yaml_free(struct sb_yaml_doc *doc)
{
	struct arena_block *next;

	if (!doc)
		return;
	for (struct arena_block *block = doc->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	free(doc->name);
	free(doc);
}

const struct sb_yaml_node *sb_yaml_root(const struct sb_yaml_doc *doc)
{
	return doc ? doc->root : NULL;
}

const char *sb_yaml_name(const struct sb_yaml_doc *doc)
{
	return doc->name;
}

enum sb_yaml_type sb_yaml_type(const struct sb_yaml_node *node)
{
	return node ? node->type : SB_YAML_NULL;
}

const char *sb_yaml_type_name(enum sb_yaml_type type)
{
	return (unsigned)type < sb_countof(type_names) ? type_names[type] : "unknown";
}

unsigned sb_yaml_line(const struct sb_yaml_node *node)
{
	return node ? node->line : 0;
}

unsigned sb_yaml_col(const struct sb_yaml_node *node)
{
	return node ? node->col : 0;
}

bool sb_yaml_bool(const struct sb_yaml_node *node)
{
	return sb_yaml_type(node) == SB_YAML_BOOL && node->boolean;
}

int64_t sb_yaml_int(const struct sb_yaml_node *node)
{
	return sb_yaml_type(node) == SB_YAML_INT ? node->integer : 0;
}

double sb_yaml_float(const struct sb_yaml_node *node)
{
	switch (sb_yaml_type(node)) {
	case SB_YAML_INT:
		return (double)node->integer;
	case SB_YAML_FLOAT:
		return node->real;
	default:
		return 0;
	}
}

const char *sb_yaml_str(const struct sb_yaml_node *node)
{
	return node ? node->text : "";
}

static bool is_collection(const struct sb_yaml_node *node)
{
	return node && (node->type == SB_YAML_LIST || node->type == SB_YAML_MAP);
}

size_t sb_yaml_size(const struct sb_yaml_node *node)
{
	return is_collection(node) ? node->n : 0;
}

const struct sb_yaml_node *sb_yaml_at(const struct sb_yaml_node *node, size_t i)
{
	return i < sb_yaml_size(node) ? node->values[i] : NULL;
}

const struct sb_yaml_node *sb_yaml_key(const struct sb_yaml_node *node, size_t i)
{
	return sb_yaml_type(node) == SB_YAML_MAP && i < node->n ? node->keys[i] : NULL;
}

const struct sb_yaml_node *sb_yaml_get(const struct sb_yaml_node *map, const char *key)
{
	if (sb_yaml_type(map) != SB_YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (!strcmp(map->keys[i]->text, key))
			return map->values[i];
	return NULL;
}

int sb_yaml_err(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node, struct sb_err *err,
		const char *fmt, ...)
{
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!node)
		return sb_err_set(err, SB_E_INVALID, "%s: %s", doc->name, text);
	return sb_err_set(
			err, SB_E_INVALID, "%s:%u:%u: %s", doc->name, node->line, node->col, text);
}

int sb_yaml_expect(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		enum sb_yaml_type want, const char *what, struct sb_err *err)
{
	enum sb_yaml_type got = sb_yaml_type(node);

	if (got == want || (want == SB_YAML_FLOAT && got == SB_YAML_INT))
		return 0;
	return sb_yaml_err(doc, node, err, "%s: expected %s, got %s", what, sb_yaml_type_name(want),
			sb_yaml_type_name(got));
}
