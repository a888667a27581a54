/* sb_yaml.h - YAML text to a tree that remembers lines and columns.
 * libyaml does the reading. Scalars follow YAML 1.1 as the published recipes expect them
 * ("yes" is a bool, "010" is 8, "12:30:45" is 45045, "1e5" is text). Aliases are resolved to the
 * same node; a cycle, a flood of aliases, depth and size are refused, each with its place. */
#ifndef SB_YAML_H
#define SB_YAML_H

#include "sb_err.h"
#include "sb_strbuf.h"

enum sb_yaml_type {
	SB_YAML_NULL,
	SB_YAML_BOOL,
	SB_YAML_INT,
	SB_YAML_FLOAT,
	SB_YAML_STR, /* also dates */
	SB_YAML_LIST,
	SB_YAML_MAP,
	SB_YAML_TYPE_COUNT_,
};

/* Caps; a document over one of them is an error that names the cap. */
#define SB_YAML_MAX_BYTES ((size_t)4 << 20)
#define SB_YAML_MAX_DEPTH 64
#define SB_YAML_MAX_NODES 200000u /* after aliases are followed */

struct sb_yaml_doc;
struct sb_yaml_node;

/** A remark about a place: today only "duplicate key" (the last one wins, as in the published
 * tools). @line and @col count from 1. */
typedef void (*sb_yaml_warn_fn)(void *ctx, unsigned line, unsigned col, const char *text);

/** Parse one document of @len bytes. @name stands before line and column in errors and is copied.
 * An empty document has a null root. Errors read "name:line:col: what, and what was expected".
 * @warn may be NULL. Return: 0; -SB_E_INVALID; -SB_E_RANGE; -SB_E_NOMEM. */
int sb_yaml_parse(const char *name, const char *text, size_t len, sb_yaml_warn_fn warn,
		void *warn_ctx, struct sb_yaml_doc **ret_doc, struct sb_err *err);
/** sb_yaml_parse() of a file; @path stands in the errors. */
int sb_yaml_load(const char *path, sb_yaml_warn_fn warn, void *warn_ctx,
		struct sb_yaml_doc **ret_doc, struct sb_err *err);
void sb_yaml_free(struct sb_yaml_doc *doc);
SB_DEFINE_CLEANUP(sb_yaml_free, struct sb_yaml_doc *)

/* Everything below is borrowed from the document. All take a NULL node, which is of type
 * SB_YAML_NULL, so that optional keys need no special case. */
const struct sb_yaml_node *sb_yaml_root(const struct sb_yaml_doc *doc);
const char *sb_yaml_name(const struct sb_yaml_doc *doc);
enum sb_yaml_type sb_yaml_type(const struct sb_yaml_node *node);
/** "null", "true or false", "a whole number", "a number", "text", "a list", "a map" */
const char *sb_yaml_type_name(enum sb_yaml_type type);
unsigned sb_yaml_line(const struct sb_yaml_node *node); /* from 1; 0 for NULL */
unsigned sb_yaml_col(const struct sb_yaml_node *node);

bool sb_yaml_bool(const struct sb_yaml_node *node);
int64_t sb_yaml_int(const struct sb_yaml_node *node);
double sb_yaml_float(const struct sb_yaml_node *node); /* also of an int */
/** The scalar as written, after YAML's own unquoting and folding; "" for null, lists and maps. */
const char *sb_yaml_str(const struct sb_yaml_node *node);

/** Items of a list or entries of a map; 0 for anything else. */
size_t sb_yaml_size(const struct sb_yaml_node *node);
/** The @i-th item of a list, or value of a map; NULL past the end. Order is the file's. */
const struct sb_yaml_node *sb_yaml_at(const struct sb_yaml_node *node, size_t i);
/** The @i-th key of a map (a node, so that it has a place). */
const struct sb_yaml_node *sb_yaml_key(const struct sb_yaml_node *node, size_t i);
/** The value under @key of a map; NULL when absent. Keys compare by their written text. */
const struct sb_yaml_node *sb_yaml_get(const struct sb_yaml_node *map, const char *key);

/** Append the value's text as published recipes render it: True/False, shortest round-trip
 * floats, [1, 'b', None] and {'k': 1} for lists and maps, nothing for null. */
int sb_yaml_render(const struct sb_yaml_node *node, struct sb_strbuf *out);

/** Append a float as sb_yaml_render() does: fewest digits that read back the same. */
int sb_yaml_render_float(double value, struct sb_strbuf *out);

/** Fill @err with "name:line:col: <text>". Return: -SB_E_INVALID. */
int sb_yaml_err(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node, struct sb_err *err,
		const char *fmt, ...) SB_PRINTF(4, 5);
/** Refuse a node that is not of @want: "name:3:7: port: expected a whole number, got text".
 * An int passes where a float is wanted. Return: 0 or -SB_E_INVALID. */
int sb_yaml_expect(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		enum sb_yaml_type want, const char *what, struct sb_err *err);

/* --- writing: for files that the tool itself keeps (clusters, nodes) --- */
/** Append @text as a YAML scalar, quoted when it would read back as anything else.
 * Return: 0; -SB_E_INVALID when @text is not UTF-8 (nothing is added); @out's failure. */
int sb_yaml_write_scalar(struct sb_strbuf *out, const char *text);
/** Append a float that reads back as the same float. */
void sb_yaml_write_float(struct sb_strbuf *out, double value);
/** Append the lines of the entry @key: @value (NULL = null) of a map whose keys stand behind
 * @indent blanks, all in block style. Read back, types, order and texts are the same.
 * Return: 0; -SB_E_INVALID when a text is not UTF-8; @out's failure. */
int sb_yaml_write_entry(struct sb_strbuf *out, unsigned indent, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value);
/** The same with a text for a value, which stays text whatever it looks like. */
int sb_yaml_write_text(struct sb_strbuf *out, unsigned indent, const char *key, const char *text);

#endif
