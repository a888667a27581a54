/* build.c - libyaml's events to a tree.
 *
 * Children are complete before their parent, so an alias either names a finished node, which is
 * shared, or one that is still open, which is a cycle. Every node carries the number of nodes and
 * levels below it with aliases followed: a flood of aliases ("billion laughs") is refused when
 * the sum passes the cap, in time proportional to the text. */
#include <search.h>
#include <string.h>
#include <yaml.h>

#include "internal.h"

struct anchor {
	char *name;
	const struct sb_yaml_node *node; /* NULL while it is open */
	unsigned line;
};

struct builder {
	struct sb_yaml_doc *doc;
	yaml_parser_t parser;
	const char *text;
	size_t len;
	sb_yaml_warn_fn warn;
	void *warn_ctx;
	void *anchors; /* tsearch() tree of struct anchor */
	unsigned depth;
	struct sb_err *err;
};

/* Entries of a list or map while it grows. */
struct pair {
	const struct sb_yaml_node *key, *value;
	bool merged; /* came by "<<": a key of the map itself replaces it without remark */
};
struct entries {
	struct pair *items;
	size_t n, space;
};

static void event_done(yaml_event_t *event)
{
	yaml_event_delete(event);
}

static void entries_done(struct entries *list)
{
	free(list->items);
}

static int refuse(struct builder *b, const yaml_mark_t *at, enum sb_code code, const char *text)
{
	return sb_err_set(b->err, code, "%s:%zu:%zu: %s", b->doc->name, at->line + 1,
			at->column + 1, text);
}

static int next_event(struct builder *b, yaml_event_t *ret)
{
	if (!yaml_parser_parse(&b->parser, ret)) {
		memset(ret, 0, sizeof(*ret));
		return sb_yaml_refuse_syntax(&b->parser, b->doc->name, b->text, b->len, b->err);
	}
	return 0;
}

/* --- anchors --- */

static int compare_anchors(const void *a, const void *b)
{
	return strcmp(((const struct anchor *)a)->name, ((const struct anchor *)b)->name);
}

static void anchor_free(void *p)
{
	struct anchor *anchor = p;

	free(anchor->name);
	free(anchor);
}

/* Bind @name to @node (NULL = open from here). A later anchor of the same name replaces it. */
static int bind_anchor(
		struct builder *b, const char *name, const struct sb_yaml_node *node, unsigned line)
{
	struct anchor probe = { .name = (char *)name };
	struct anchor **found, *fresh;

	if (!name)
		return 0;
	found = tfind(&probe, &b->anchors, compare_anchors);
	if (found) {
		(*found)->node = node;
		(*found)->line = line;
		return 0;
	}
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return sb_err_nomem(b->err);
	*fresh = (struct anchor){ .name = strdup(name), .node = node, .line = line };
	if (!fresh->name || !tsearch(fresh, &b->anchors, compare_anchors)) {
		anchor_free(fresh);
		return sb_err_nomem(b->err);
	}
	return 0;
}

static int follow_alias(
		struct builder *b, const yaml_event_t *event, const struct sb_yaml_node **ret)
{
	struct anchor probe = { .name = (char *)event->data.alias.anchor };
	struct anchor **found = tfind(&probe, &b->anchors, compare_anchors);

	if (!found)
		return sb_err_set(b->err, SB_E_INVALID,
				"%s:%zu:%zu: alias '*%.60s' has no anchor; expected '&%.60s' "
				"before it",
				b->doc->name, event->start_mark.line + 1,
				event->start_mark.column + 1, probe.name, probe.name);
	if (!(*found)->node)
		return sb_err_set(b->err, SB_E_INVALID,
				"%s:%zu:%zu: alias '*%.60s' is inside its own anchor (line %u); "
				"expected "
				"no cycle",
				b->doc->name, event->start_mark.line + 1,
				event->start_mark.column + 1, probe.name, (*found)->line);
	if ((*found)->node->height + b->depth > SB_YAML_MAX_DEPTH)
		return sb_err_set(b->err, SB_E_RANGE,
				"%s:%zu:%zu: nested too deep; expected at most %d levels",
				b->doc->name, event->start_mark.line + 1,
				event->start_mark.column + 1, SB_YAML_MAX_DEPTH);
	*ret = (*found)->node;
	return 0;
}

/* --- nodes --- */

static struct sb_yaml_node *node_new(
		struct builder *b, enum sb_yaml_type type, const yaml_mark_t *at)
{
	struct sb_yaml_node *node = sb_yaml_alloc(b->doc, sizeof(*node));

	if (!node) {
		sb_err_nomem(b->err);
		return NULL;
	}
	node->type = type;
	node->line = (unsigned)at->line + 1;
	node->col = (unsigned)at->column + 1;
	node->expanded = 1;
	node->text = "";
	return node;
}

static int count_child(struct builder *b, struct sb_yaml_node *parent,
		const struct sb_yaml_node *child, const yaml_mark_t *at)
{
	parent->expanded += child->expanded; /* both are below the cap: no overflow */
	if (parent->height < child->height + 1)
		parent->height = child->height + 1;
	if (parent->expanded > SB_YAML_MAX_NODES)
		return sb_err_set(b->err, SB_E_RANGE,
				"%s:%zu:%zu: too many values, aliases followed; expected at most "
				"%u",
				b->doc->name, at->line + 1, at->column + 1, SB_YAML_MAX_NODES);
	return 0;
}

/* The type that an explicit tag asks for; false when it is none of YAML's own. */
static bool type_of_tag(const char *tag, enum sb_yaml_type *ret)
{
	static const struct {
		const char *tag;
		enum sb_yaml_type type;
	} tags[] = {
		{ YAML_NULL_TAG, SB_YAML_NULL },
		{ YAML_BOOL_TAG, SB_YAML_BOOL },
		{ YAML_STR_TAG, SB_YAML_STR },
		{ YAML_INT_TAG, SB_YAML_INT },
		{ YAML_FLOAT_TAG, SB_YAML_FLOAT },
		{ YAML_TIMESTAMP_TAG, SB_YAML_STR },
		{ YAML_SEQ_TAG, SB_YAML_LIST },
		{ YAML_MAP_TAG, SB_YAML_MAP },
	};

	for (size_t i = 0; i < sb_countof(tags); i++)
		if (!strcmp(tag, tags[i].tag)) {
			*ret = tags[i].type;
			return true;
		}
	return false;
}

static int refuse_tag(struct builder *b, const char *tag, const yaml_mark_t *at)
{
	return sb_err_set(b->err, SB_E_INVALID,
			"%s:%zu:%zu: tag '%.80s' does not fit here; expected a plain value",
			b->doc->name, at->line + 1, at->column + 1, tag);
}

static int resolve(struct builder *b, struct sb_yaml_node *node, const yaml_event_t *event,
		bool is_key, bool *ret_merge)
{
	const char *tag = (const char *)event->data.scalar.tag;
	enum sb_yaml_type want = SB_YAML_STR;
	enum sb_yaml_plain plain;

	node->type = SB_YAML_STR;
	if (tag && !strcmp(tag, "!"))
		return 0;
	if (tag && !type_of_tag(tag, &want))
		return refuse_tag(b, tag, &event->start_mark);
	if (tag ? want == SB_YAML_STR : !event->data.scalar.plain_implicit)
		return 0;
	plain = sb_yaml_resolve_plain(node, node->text);
	if (plain == SB_YAML_PLAIN_BAD)
		return refuse(b, &event->start_mark, SB_E_INVALID,
				"a number without digits; "
				"expected digits, or quotes");
	if (plain == SB_YAML_PLAIN_OVERFLOW)
		return refuse(b, &event->start_mark, SB_E_RANGE,
				"a number past 64 bits; expected a smaller one, or quotes");
	if (plain >= SB_YAML_PLAIN_MERGE && plain <= SB_YAML_PLAIN_VALUE && !is_key)
		return refuse(b, &event->start_mark, SB_E_INVALID,
				"a bare '=' or '<<' is no value; expected a value, or quotes");
	*ret_merge = plain == SB_YAML_PLAIN_MERGE && is_key;
	if (tag && node->type == SB_YAML_INT && want == SB_YAML_FLOAT) {
		node->type = SB_YAML_FLOAT;
		node->real = (double)node->integer;
	}
	if (tag && node->type != want)
		return refuse_tag(b, tag, &event->start_mark);
	return 0;
}

static int build_scalar(struct builder *b, const yaml_event_t *event, bool is_key, bool *ret_merge,
		const struct sb_yaml_node **ret)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct sb_yaml_node *node = node_new(b, SB_YAML_STR, &event->start_mark);
	char *text;
	int rc;

	if (!node)
		return -SB_E_NOMEM;
	if (memchr(value, '\0', len))
		return refuse(b, &event->start_mark, SB_E_INVALID,
				"a NUL character in a text; expected none");
	text = sb_yaml_alloc(b->doc, len + 1);
	if (!text)
		return sb_err_nomem(b->err);
	memcpy(text, value, len);
	node->text = text;
	rc = resolve(b, node, event, is_key, ret_merge);
	if (rc < 0)
		return rc;
	if (node->type == SB_YAML_NULL)
		node->text = "";
	*ret = node;
	return bind_anchor(b, (const char *)event->data.scalar.anchor, node, node->line);
}

/* --- lists and maps --- */

static int entries_add(struct builder *b, struct entries *list, struct pair entry)
{
	if (list->n == list->space) {
		size_t space = list->space ? list->space * 2 : 8;
		struct pair *items = reallocarray(list->items, space, sizeof(*items));

		if (!items)
			return sb_err_nomem(b->err);
		list->items = items;
		list->space = space;
	}
	list->items[list->n++] = entry;
	return 0;
}

static int freeze(struct builder *b, struct sb_yaml_node *node, const struct entries *list)
{
	size_t size = list->n * sizeof(node->values[0]);

	node->n = list->n;
	if (!list->n)
		return 0;
	node->values = sb_yaml_alloc(b->doc, size);
	if (node->type == SB_YAML_MAP)
		node->keys = sb_yaml_alloc(b->doc, size);
	if (!node->values || (node->type == SB_YAML_MAP && !node->keys))
		return sb_err_nomem(b->err);
	for (size_t i = 0; i < list->n; i++) {
		node->values[i] = list->items[i].value;
		if (node->keys)
			node->keys[i] = list->items[i].key;
	}
	return 0;
}

static int build_node(struct builder *b, yaml_event_t *event, bool is_key, bool *ret_merge,
		const struct sb_yaml_node **ret);

static int build_list(struct builder *b, const yaml_event_t *start, struct sb_yaml_node *node)
{
	SB_CLEANUP(entries_done) struct entries list = { 0 };
	int rc;

	for (;;) {
		SB_CLEANUP(event_done) yaml_event_t event = { 0 };
		struct pair entry = { 0 };
		bool merge = false;

		rc = next_event(b, &event);
		if (rc < 0)
			return rc;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			return freeze(b, node, &list);
		rc = build_node(b, &event, false, &merge, &entry.value);
		if (rc == 0)
			rc = count_child(b, node, entry.value, &event.start_mark);
		if (rc == 0)
			rc = entries_add(b, &list, entry);
		if (rc < 0)
			return rc;
	}
}

/* A key's place in the map that grows: a tsearch() tree over these keeps long maps cheap. */
struct slot {
	const struct sb_yaml_node *key;
	size_t at;
};

static int compare_slots(const void *a, const void *b)
{
	const struct sb_yaml_node *x = ((const struct slot *)a)->key;
	const struct sb_yaml_node *y = ((const struct slot *)b)->key;

	return x->type != y->type ? (x->type < y->type ? -1 : 1) : strcmp(x->text, y->text);
}

struct map {
	struct entries list;
	void *slots;
};

static void map_done(struct map *map)
{
	tdestroy(map->slots, free);
	free(map->list.items);
}

static int put(struct builder *b, struct map *map, struct pair entry)
{
	struct slot probe = { .key = entry.key }, *slot, **found;
	struct pair *old;

	found = tfind(&probe, &map->slots, compare_slots);
	if (found) {
		old = &map->list.items[(*found)->at];
		if (!old->merged && !entry.merged && b->warn) {
			char text[160];

			snprintf(text, sizeof(text),
					"key '%.80s' was already given at line %u; the last one "
					"wins",
					entry.key->text, old->key->line);
			b->warn(b->warn_ctx, entry.key->line, entry.key->col, text);
		}
		*old = entry;
		return 0;
	}
	slot = malloc(sizeof(*slot));
	if (!slot)
		return sb_err_nomem(b->err);
	*slot = (struct slot){ .key = entry.key, .at = map->list.n };
	if (!tsearch(slot, &map->slots, compare_slots)) {
		free(slot);
		return sb_err_nomem(b->err);
	}
	return entries_add(b, &map->list, entry);
}

static int merge_one(struct builder *b, struct map *merged, const struct sb_yaml_node *from,
		const yaml_mark_t *at)
{
	if (from->type != SB_YAML_MAP)
		return refuse(b, at, SB_E_INVALID,
				"'<<' merges something else; expected a map or a list of maps");
	for (size_t i = 0; i < from->n; i++) {
		int rc = put(b, merged, (struct pair){ from->keys[i], from->values[i], true });

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Of a list of maps the first has the say, so it is put last. */
static int merge(struct builder *b, struct map *merged, const struct sb_yaml_node *from,
		const yaml_mark_t *at)
{
	if (from->type != SB_YAML_LIST)
		return merge_one(b, merged, from, at);
	for (size_t i = from->n; i-- > 0;) {
		int rc = merge_one(b, merged, from->values[i], at);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* One key and its value. *@ret_end when the map ended instead. */
static int build_pair(struct builder *b, struct sb_yaml_node *node, struct map *own,
		struct map *merged, bool *ret_end)
{
	SB_CLEANUP(event_done) yaml_event_t key_event = { 0 };
	SB_CLEANUP(event_done) yaml_event_t value_event = { 0 };
	struct pair entry = { 0 };
	bool is_merge = false, ignored = false;
	int rc = next_event(b, &key_event);

	if (rc < 0)
		return rc;
	if (key_event.type == YAML_MAPPING_END_EVENT) {
		*ret_end = true;
		return 0;
	}
	rc = build_node(b, &key_event, true, &is_merge, &entry.key);
	if (rc < 0)
		return rc;
	if (entry.key->type == SB_YAML_LIST || entry.key->type == SB_YAML_MAP)
		return refuse(b, &key_event.start_mark, SB_E_INVALID,
				"a list or map as a key; expected text");
	rc = next_event(b, &value_event);
	if (rc == 0)
		rc = build_node(b, &value_event, false, &ignored, &entry.value);
	if (rc == 0)
		rc = count_child(b, node, entry.key, &key_event.start_mark);
	if (rc == 0)
		rc = count_child(b, node, entry.value, &value_event.start_mark);
	if (rc < 0)
		return rc;
	return is_merge ? merge(b, merged, entry.value, &value_event.start_mark)
			: put(b, own, entry);
}

static int build_map(struct builder *b, const yaml_event_t *start, struct sb_yaml_node *node)
{
	SB_CLEANUP(map_done) struct map own = { 0 };
	SB_CLEANUP(map_done) struct map all = { 0 };
	bool end = false;

	while (!end) {
		int rc = build_pair(b, node, &own, &all, &end);

		if (rc < 0)
			return rc;
	}
	if (!all.list.n)
		return freeze(b, node, &own.list);
	for (size_t i = 0; i < own.list.n; i++) {
		int rc = put(b, &all, own.list.items[i]);

		if (rc < 0)
			return rc;
	}
	return freeze(b, node, &all.list);
}

static int build_collection(
		struct builder *b, const yaml_event_t *event, const struct sb_yaml_node **ret)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	const char *tag = (const char *)(is_map ? event->data.mapping_start.tag
						: event->data.sequence_start.tag);
	const char *anchor = (const char *)(is_map ? event->data.mapping_start.anchor
						   : event->data.sequence_start.anchor);
	enum sb_yaml_type type = is_map ? SB_YAML_MAP : SB_YAML_LIST, want = type;
	struct sb_yaml_node *node = node_new(b, type, &event->start_mark);
	int rc;

	if (!node)
		return -SB_E_NOMEM;
	if (tag && strcmp(tag, "!") != 0 && (!type_of_tag(tag, &want) || want != type))
		return refuse_tag(b, tag, &event->start_mark);
	if (b->depth >= SB_YAML_MAX_DEPTH)
		return sb_err_set(b->err, SB_E_RANGE,
				"%s:%u:%u: nested too deep; expected at most %d levels",
				b->doc->name, node->line, node->col, SB_YAML_MAX_DEPTH);
	rc = bind_anchor(b, anchor, NULL, node->line);
	if (rc < 0)
		return rc;
	b->depth++;
	rc = is_map ? build_map(b, event, node) : build_list(b, event, node);
	b->depth--;
	if (rc < 0)
		return rc;
	*ret = node;
	return bind_anchor(b, anchor, node, node->line);
}

static int build_node(struct builder *b, yaml_event_t *event, bool is_key, bool *ret_merge,
		const struct sb_yaml_node **ret)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return follow_alias(b, event, ret);
	case YAML_SCALAR_EVENT:
		return build_scalar(b, event, is_key, ret_merge, ret);
	default:
		return build_collection(b, event, ret);
	}
}

/* stream start, document start, a node, document end, stream end */
static int build_stream(struct builder *b)
{
	bool merge = false;

	for (;;) {
		SB_CLEANUP(event_done) yaml_event_t event = { 0 };
		int rc = next_event(b, &event);

		if (rc < 0)
			return rc;
		if (event.type == YAML_STREAM_END_EVENT)
			return 0;
		if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT)
			continue;
		if (event.type == YAML_DOCUMENT_START_EVENT) {
			if (b->doc->root)
				return refuse(b, &event.start_mark, SB_E_INVALID,
						"a second document starts here; expected one "
						"document");
			continue;
		}
		rc = build_node(b, &event, false, &merge, &b->doc->root);
		if (rc < 0)
			return rc;
	}
}

int sb_yaml_build(struct sb_yaml_doc *doc, const char *text, size_t len, sb_yaml_warn_fn warn,
		void *warn_ctx, struct sb_err *err)
{
	struct builder b = {
		.doc = doc,
		.text = text,
		.len = len,
		.warn = warn,
		.warn_ctx = warn_ctx,
		.err = err,
	};
	int rc;

	if (!yaml_parser_initialize(&b.parser))
		return sb_err_nomem(err);
	/* Fixed, so that a file's first bytes cannot choose UTF-16 and break the places. */
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	rc = build_stream(&b);
	tdestroy(b.anchors, anchor_free);
	yaml_parser_delete(&b.parser);
	return rc;
}
