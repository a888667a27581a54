/* internal.h - the tree behind sb_yaml.h, and what its files share. */
#ifndef SB_YAML_INTERNAL_H
#define SB_YAML_INTERNAL_H

#include <yaml.h>

#include "sb_yaml.h"

/* Nodes and texts live in one arena and die with the document. */
struct arena_block;
struct sb_yaml_doc {
	char *name;
	const struct sb_yaml_node *root;
	struct arena_block *blocks;
};

struct sb_yaml_node {
	enum sb_yaml_type type;
	unsigned line, col;
	uint32_t expanded; /* nodes below and including this one, aliases followed */
	uint32_t height;   /* levels below this one; 0 for a scalar */
	const char *text;  /* scalars: as written */
	union {
		bool boolean;
		int64_t integer;
		double real;
		struct {
			size_t n;
			const struct sb_yaml_node **keys; /* NULL for a list */
			const struct sb_yaml_node **values;
		};
	};
};

/** Zeroed memory that lives as long as @doc; NULL when out of memory. */
void *sb_yaml_alloc(struct sb_yaml_doc *doc, size_t size);

/* What a plain scalar means in YAML 1.1, as the published tools read it. */
enum sb_yaml_plain {
	SB_YAML_PLAIN_OK,
	SB_YAML_PLAIN_MERGE,    /* "<<" */
	SB_YAML_PLAIN_VALUE,    /* "=": a key, but not a value */
	SB_YAML_PLAIN_BAD,      /* digits are missing ("0x_") */
	SB_YAML_PLAIN_OVERFLOW, /* past 64 bits */
};
/** Set type and value of @node from @text by the implicit rules; "<<" and "=" become text. */
enum sb_yaml_plain sb_yaml_resolve_plain(struct sb_yaml_node *node, const char *text);

/** One UTF-8 character of @s into *@ret_cp. Return: its bytes; 0 at the end or when malformed. */
size_t sb_yaml_utf8(const char *s, uint32_t *ret_cp);

/** Whether a character may only stand in a quoted text, as an escape. */
bool sb_yaml_must_escape(uint32_t cp);

/** Say what @parser found wrong in @text. Return: -SB_E_INVALID or -SB_E_NOMEM. */
int sb_yaml_refuse_syntax(const yaml_parser_t *parser, const char *name, const char *text,
		size_t len, struct sb_err *err);

/** The parser proper: fills doc->root. */
int sb_yaml_build(struct sb_yaml_doc *doc, const char *text, size_t len, sb_yaml_warn_fn warn,
		void *warn_ctx, struct sb_err *err);

#endif
