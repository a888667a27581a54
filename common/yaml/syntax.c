/* syntax.c - what libyaml found wrong, as "name:line:col: what, and what was expected". */
#include <string.h>
#include <yaml.h>

#include "internal.h"

struct source {
	const yaml_parser_t *parser;
	const char *name, *text;
	size_t len;
	struct sb_err *err;
};

static int refuse(const struct source *src, const yaml_mark_t *at, const char *text)
{
	return sb_err_set(src->err, SB_E_INVALID, "%s:%zu:%zu: %s", src->name, at->line + 1,
			at->column + 1, text);
}

static const struct {
	const char *problem, *say;
} problems[] = {
	{ "mapping values are not allowed in this context",
			"a ':' where no key can be; expected quotes around the text, or "
			"another indentation" },
	{ "could not find expected ':'", "expected ':' after the key" },
	{ "did not find expected key", "expected a key at the same indentation as those above" },
	{ "did not find expected '-' indicator", "expected '-' as for the items above" },
	{ "found character that cannot start any token",
			"a character that cannot start a value; expected the value in quotes" },
	{ "found unexpected end of stream",
			"the file ends inside quotes; expected the closing quote" },
	{ "found undefined alias", "this alias has no anchor; expected '&name' before '*name'" },
	{ "did not find expected <document start>",
			"text after the end of the document; expected one document" },
};

/* The byte at @line and @col (from 0) of the text; col counts characters. */
static char char_at(const struct source *src, size_t line, size_t col)
{
	const char *p = src->text, *end = src->text + src->len;

	for (; line && p < end; p++)
		line -= *p == '\n';
	for (; col && p < end; p++)
		col -= (p[0] & 0xc0) != 0x80;
	while (p < end && (*p & 0xc0) == 0x80)
		p++;
	return p < end ? *p : '\0';
}

/* Errors of the reader (bad bytes) have an offset, not a mark. */
static int refuse_bytes(const struct source *src)
{
	const char *say = "bytes that are not UTF-8; expected UTF-8 text";
	yaml_mark_t at = { 0 };

	for (size_t i = 0; i < src->parser->problem_offset && i < src->len; i++) {
		at.column += (src->text[i] & 0xc0) != 0x80;
		if (src->text[i] == '\n') {
			at.line++;
			at.column = 0;
		}
	}
	if (src->parser->problem_value == 0 && src->parser->problem_offset < src->len &&
			src->text[src->parser->problem_offset] == '\0')
		say = "a NUL byte; expected text";
	else if (src->parser->problem && strstr(src->parser->problem, "control characters"))
		say = "a control character; expected text";
	return refuse(src, &at, say);
}

int sb_yaml_refuse_syntax(const yaml_parser_t *parser, const char *name, const char *text,
		size_t len, struct sb_err *err)
{
	struct source src = { parser, name, text, len, err };
	const yaml_mark_t *at = &parser->problem_mark;
	const char *say = parser->problem ? parser->problem : "not YAML";

	if (parser->error == YAML_MEMORY_ERROR)
		return sb_err_nomem(err);
	if (parser->error == YAML_READER_ERROR)
		return refuse_bytes(&src);
	if (char_at(&src, at->line, at->column) == '\t' || strstr(say, "tab character"))
		return refuse(&src, at, "a tab in the indentation; expected spaces");
	for (size_t i = 0; i < sb_countof(problems); i++)
		if (!strcmp(say, problems[i].problem))
			return refuse(&src, at, problems[i].say);
	if (parser->context && parser->context_mark.line != at->line)
		return sb_err_set(err, SB_E_INVALID, "%s:%zu:%zu: %s (%s at line %zu)", name,
				at->line + 1, at->column + 1, say, parser->context,
				parser->context_mark.line + 1);
	return refuse(&src, at, say);
}
