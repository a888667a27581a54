/* golden.h - the comparison with the published tool: one case, the table of differences. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <jansson.h>

#include "sb_diag.h"
#include "sb_plan.h"
#include "sb_yaml.h"

/* One row of the table: a difference that an entry explains. */
struct golden_row {
	const struct sb_yaml_node *pattern; /* field, recipe, theirs, ours */
	bool used;                          /* a row that covers nothing is stale, and fails */
};

/* differences.yaml */
struct golden_table {
	struct sb_yaml_doc *doc;
	struct golden_row *rows;
	size_t n;
};
int golden_table_load(const char *path, struct golden_table *ret, struct sb_err *err);
void golden_table_done(struct golden_table *table);
/** Print every row that covered nothing. Return: how many. */
unsigned golden_table_stale(const struct golden_table *table);
/** The table as a manual page. Return: 0; -SB_E_INVALID naming the entry that lacks a text. */
int golden_table_man(const struct golden_table *table, struct sb_strbuf *out, struct sb_err *err);

/* One case under comparison. */
struct golden_case {
	struct golden_table *table;
	const char *recipe; /* "handmade/t.yaml" */
	int nodes;
	bool overrides;
	unsigned explained, failed;
};
/** Note a difference of @field; it is explained when a row of the table covers it, else printed. */
void golden_differ(struct golden_case *c, const char *field, const char *theirs, const char *ours);
void golden_compare(struct golden_case *c, const char *field, const char *theirs, const char *ours);
void golden_compare_plan(struct golden_case *c, json_t *theirs, const struct sb_workload *w,
		const Sparkbus__LaunchPlan *ours);
/** Each of their notes and warnings must be among ours. */
void golden_compare_notes(struct golden_case *c, const json_t *theirs, const struct sb_diags *ours);
/** Laws of where things come from: the words that are told are those of the plan, what is the
 * command's stands in the line of @file that is told, and what is a value's in that value. */
void golden_check_sources(struct golden_case *c, const struct sb_strbuf *file,
		const struct sb_workload *w, const Sparkbus__LaunchPlan *plan,
		const struct sb_plan_sources *sources);
/** Export @w, load it again without overrides, and compile it: the plan must be the same. */
void golden_check_export(struct golden_case *c, const struct sb_workload *w,
		const struct sb_plan_input *input, const Sparkbus__LaunchPlan *plan);
/** Compose files and units of @plan, read back as their readers do, hold its containers. */
void golden_check_files(struct golden_case *c, const Sparkbus__LaunchPlan *plan);
/** A text member; "" when there is none. Borrowed. */
const char *golden_text(const json_t *object, const char *key);

/** Container options in docker's words: sizes in bytes, limits with both ends.
 * Return: 0 or -SB_E_NOMEM. */
struct sb_words;
int golden_options(const Sparkbus__ContainerOptions *options, struct sb_words *ret);

#endif
