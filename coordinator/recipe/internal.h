/* internal.h - the recipe and the workload inside. */
#ifndef SB_RECIPE_INTERNAL_H
#define SB_RECIPE_INTERNAL_H

#include "sb_recipe.h"

/* Caps on what a recipe can make grow. */
/* A command with its placeholders substituted: Linux takes no longer word (MAX_ARG_STRLEN). */
#define SB_RENDER_MAX_BYTES      ((size_t)128 << 10)
#define SB_RENDER_MAX_ROUNDS     32u
#define SB_NODES_MAX             4096
#define SB_CONFIG_MAX_KEYS       1000u /* in "defaults", in "env" and by overrides */
#define SB_PLACEHOLDER_MAX_BYTES 256   /* from '{' to '}' */
#define SB_EXECUTOR_SETTINGS     15u
#define SB_EXPORT_INDENT         2

struct env_var {
	char *name, *value;
	struct sb_source source;
};
struct env_list {
	struct env_var *items;
	size_t n;
};
void sb_env_done(struct env_list *list);
/** Set or replace; name and value are copied. Return: 0 or -SB_E_NOMEM. */
int sb_env_set(struct env_list *list, const char *name, const char *value,
		const struct sb_source *source);

/* A mark is a kind and a number: the line of the command, or the index of a value. */
#define SB_MARK_COMMAND 0x40000000u
#define SB_MARK_VALUE   0x80000000u
#define SB_MARK_NUMBER  0x3fffffffu

struct sb_recipe {
	unsigned refs; /* the caller's, and one for each workload */
	char *path, *name;
	struct sb_yaml_doc *doc;
	const struct sb_yaml_node *root;
	struct env_list env; /* expanded */
	const char *model, *command;
	unsigned *command_lines;      /* of each byte of the command */
	bool runtime_is_null;         /* written as null, which is not the same as absent */
	int64_t min_nodes, max_nodes; /* max 0 = none */
	bool solo_only, cluster_only;
};

struct sb_workload {
	struct sb_recipe *recipe;
	struct sb_value *values;
	size_t n_values;
	const struct sb_value **sorted; /* by key, for placeholders */
	char **owned;                   /* texts of values */
	size_t n_owned;
	struct env_list env;
	char *image;
	bool image_is_override;
	struct sb_source executor_sources[SB_EXECUTOR_SETTINGS];
	const char *executor_texts[SB_EXECUTOR_SETTINGS]; /* not the recipe's; NULL = it or built in
							   */
	const char *runtime, *builder;
	enum sb_mode mode;
	unsigned min_nodes, max_nodes;
	struct sb_executor executor;
};

/** Fill recipe->command_lines from the recipe's @text of @len bytes. Return: 0 or -SB_E_NOMEM. */
int sb_command_lines(struct sb_recipe *recipe, const char *text, size_t len);
/** The value of the key @key of @len bytes, null too; NULL when there is none. */
const struct sb_value *sb_value_find(const struct sb_workload *w, const char *key, size_t len);
/** Check every key's type; fills the typed fields. */
int sb_recipe_check(struct sb_recipe *recipe, struct sb_diags *diags, struct sb_err *err);
/** The format's validation messages, as warnings. */
void sb_workload_validate(const struct sb_workload *w, struct sb_diags *diags);
/** The format's runtime and builder resolution, on the values already in @w. */
void sb_workload_detect(struct sb_workload *w);
/** Executor settings from overrides, recipe, cluster and built-in values. */
int sb_executor_resolve(struct sb_workload *w, const struct sb_override *overrides,
		size_t n_overrides, const struct sb_override *cluster, size_t n_cluster,
		struct sb_diags *diags, struct sb_err *err);
void sb_executor_done(struct sb_executor *executor);
bool sb_is_executor_key(const char *key);
/** The @i-th setting of all, below SB_EXECUTOR_SETTINGS. */
const char *sb_executor_name(size_t i);

/** Keep @text (heap, may be NULL when out of memory) for the life of @w. */
const char *sb_workload_own(struct sb_workload *w, char *text);
/** Python's truth of a node. */
bool sb_node_truthy(const struct sb_yaml_node *node);
/** true/yes/on/1 and false/no/off/0/"" in any case; false for anything else. */
bool sb_text_flag(const char *text, bool *ret);
/** A scalar as a whole number. */
bool sb_text_int(const char *text, int64_t *ret);

#endif
