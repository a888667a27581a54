/* sb_recipe.h - a published recipe, and what it becomes with the operator's overrides. Pure.
 *
 *   YAML text --sb_recipe_parse--> recipe --sb_workload_resolve--> workload
 *
 * The recipe is the file as its author wrote it, typed and checked. The workload is the recipe
 * with overrides applied, runtime chosen and topology derived; every value knows its origin. */
#ifndef SB_RECIPE_H
#define SB_RECIPE_H

#include "sb_diag.h"
#include "sb_err.h"
#include "sb_strbuf.h"
#include "sb_yaml.h"

struct sb_recipe;

/** Parse @text. @path stands in errors ("path:line:col: ..."); the recipe's name is its stem.
 * Unknown keys, duplicate keys and the like go to @diags with their line and never stop it.
 * @getenv_fn expands $NAME in env values (the caller's environment; NULL = expand nothing). */
int sb_recipe_parse(const char *path, const char *text, size_t len,
		const char *(*getenv_fn)(const char *name), struct sb_diags *diags,
		struct sb_recipe **ret, struct sb_err *err);
void sb_recipe_free(struct sb_recipe *recipe);
SB_DEFINE_CLEANUP(sb_recipe_free, struct sb_recipe *)

const char *sb_recipe_name(const struct sb_recipe *recipe);
const char *sb_recipe_path(const struct sb_recipe *recipe);

/* One override as given: "-o key=value" or a dedicated option turned into one. */
struct sb_override {
	const char *key;
	const char *value;  /* text; typed by the -o rules (true/yes, integers, floats, else text) */
	const char *origin; /* "-o", "--tp", ...; for explain */
};

/** Split "key=value". -SB_E_INVALID with the reference's words for a missing '=' or empty key. */
int sb_override_parse(const char *text, const char *origin, struct sb_override *ret, char **ret_key,
		struct sb_err *err);

struct sb_workload;
/** Apply @overrides (later ones win; env.NAME goes to the environment; executor keys go to the
 * executor settings) and @image (NULL = the recipe's), resolve runtime and topology.
 * @cluster_executor: defaults of the cluster, below the recipe's own executor_config (may be
 * empty). Validation issues go to @diags. */
int sb_workload_resolve(const struct sb_recipe *recipe, const struct sb_override *overrides,
		size_t n_overrides, const char *image, const struct sb_override *cluster_executor,
		size_t n_cluster_executor, struct sb_diags *diags, struct sb_workload **ret,
		struct sb_err *err);
void sb_workload_free(struct sb_workload *workload);
SB_DEFINE_CLEANUP(sb_workload_free, struct sb_workload *)

/* Accessors (borrowed; live as long as the workload) are declared here as runtimes need them. */

#endif
