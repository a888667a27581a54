/* table.c - differences.yaml: what we do otherwise than the published tool. Read by the
 * comparison and printed as a manual page, so that the two cannot say different things. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"

static bool text_matches(const struct sb_yaml_node *want, const char *got)
{
	return !want || fnmatch(sb_yaml_str(want), got, 0) == 0;
}

void golden_differ(struct golden_case *c, const char *field, const char *theirs, const char *ours)
{
	for (size_t i = 0; i < c->table->n; i++) {
		struct golden_row *row = &c->table->rows[i];

		if (strcmp(sb_yaml_str(sb_yaml_get(row->pattern, "field")), field) != 0 ||
				!text_matches(sb_yaml_get(row->pattern, "recipe"), c->recipe) ||
				!text_matches(sb_yaml_get(row->pattern, "theirs"), theirs) ||
				!text_matches(sb_yaml_get(row->pattern, "ours"), ours))
			continue;
		c->explained++;
		row->used = true;
		return;
	}
	c->failed++;
	printf("# %s, %d nodes%s: %s differs\n#   theirs: %s\n#   ours:   %s\n", c->recipe,
			c->nodes, c->overrides ? ", overrides" : "", field, theirs, ours);
}

int golden_table_load(const char *path, struct golden_table *ret, struct sb_err *err)
{
	const struct sb_yaml_node *root;
	int rc = sb_yaml_load(path, NULL, NULL, &ret->doc, err);

	if (rc < 0)
		return rc;
	root = sb_yaml_root(ret->doc);
	for (size_t i = 0; i < sb_yaml_size(root); i++) {
		const struct sb_yaml_node *rows = sb_yaml_get(sb_yaml_at(root, i), "golden");

		ret->rows = reallocarray(
				ret->rows, ret->n + sb_yaml_size(rows) + 1, sizeof(*ret->rows));
		if (!ret->rows)
			return sb_err_nomem(err);
		for (size_t k = 0; k < sb_yaml_size(rows); k++)
			ret->rows[ret->n++] = (struct golden_row){ sb_yaml_at(rows, k), false };
	}
	return 0;
}

void golden_table_done(struct golden_table *table)
{
	free(table->rows);
	sb_yaml_free(table->doc);
}

unsigned golden_table_stale(const struct golden_table *table)
{
	unsigned n = 0;

	for (size_t i = 0; i < table->n; i++) {
		if (table->rows[i].used)
			continue;
		printf("# differences.yaml:%u: this row covers nothing\n",
				sb_yaml_line(table->rows[i].pattern));
		n++;
	}
	return n;
}

/* --- the manual page --- */

static const char page_head[] =
		".\\\" Made from tests/golden/differences.yaml: "
		"build/tests/golden/test_golden --man tests/golden\n"
		".TH SPARKBUS-DIFFERENCES 7 \"\" sparkbus\n"
		".SH NAME\n"
		"sparkbus-differences \\- where sparkbus does otherwise than the published tool\n"
		".SH DESCRIPTION\n"
		"Recipes in the published format give the same launch as the published tool "
		"(sparkrun 0.2.40): runtime, image, job id, ranks, arguments, environment, mounts "
		"and options of the container.\n"
		"Below is everything that is otherwise, and why.\n"
		"Entries named D with a number are defects of that tool.\n";

/* Roff text: no macro at a line's start, no escape, an option's hyphen as such. */
static void add_roff(struct sb_strbuf *out, const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			sb_strbuf_adds(out, "\\&");
		line_start = *text == '\n';
		if (*text == '\\')
			sb_strbuf_adds(out, "\\e");
		else if (*text == '-')
			sb_strbuf_adds(out, "\\-");
		else
			sb_strbuf_addc(out, *text);
	}
	if (!line_start)
		sb_strbuf_addc(out, '\n');
}

int golden_table_man(const struct golden_table *table, struct sb_strbuf *out, struct sb_err *err)
{
	static const struct {
		const char *key, *lead;
	} parts[] = {
		{ "published", "Published tool:" },
		{ "here", "sparkbus:" },
		{ "why", "Why:" },
	};
	const struct sb_yaml_node *root = sb_yaml_root(table->doc);

	sb_strbuf_adds(out, page_head);
	for (size_t i = 0; i < sb_yaml_size(root); i++) {
		const struct sb_yaml_node *entry = sb_yaml_at(root, i);

		sb_strbuf_addf(out, ".SH \"%s\"\n", sb_yaml_str(sb_yaml_get(entry, "id")));
		for (size_t k = 0; k < sb_countof(parts); k++) {
			const char *text = sb_yaml_str(sb_yaml_get(entry, parts[k].key));

			if (!*text)
				return sb_yaml_err(table->doc, entry, err,
						"entry '%s': expected text under '%s'",
						sb_yaml_str(sb_yaml_get(entry, "id")),
						parts[k].key);
			sb_strbuf_addf(out, "%s.B %s\n", k ? ".PP\n" : "", parts[k].lead);
			add_roff(out, text);
		}
	}
	return out->failed ? sb_err_nomem(err) : 0;
}
