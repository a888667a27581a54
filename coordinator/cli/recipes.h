/* recipes.h - the recipes that can be named: where they lie, and reading one. */
#ifndef SB_CLI_RECIPES_H
#define SB_CLI_RECIPES_H

#include <jansson.h>

#include "sb_origin.h"
#include "sb_recipe.h"

/* A recipe's file. Zero is empty. */
struct recipe_source {
	char *path, *name; /* the name is qualified: "@registry/stem", else its stem */
	struct sb_origin origin;
	unsigned depth; /* folders between it and the top of its registry */
};
void recipe_source_done(struct recipe_source *source);
/** Fill @ret with copies; a name that begins with '@' makes it a bundled recipe's. */
int recipe_source_set(
		const char *path, const char *name, struct recipe_source *ret, struct sb_err *err);

struct recipe_list {
	struct recipe_source *items; /* by name; files of this folder first */
	size_t n;
	size_t seen; /* files looked at, of one registry */
};
void recipe_list_done(struct recipe_list *list);
/** Every file that may be a recipe: *.yaml and *.yml of this folder, of the copies of registries,
 * and below the bundled tree. There a first-level folder is a family of the registry "bundled", or
 * else called like a registry; its recipe is left out when that has one of the same name. What
 * cannot be read is left out; files beyond a cap are too. The network is not asked. */
int recipe_list_fill(struct recipe_list *ret, struct sb_err *err);

enum recipe_scope {
	RECIPES_VISIBLE, /* of registries that are enabled and visible */
	RECIPES_HIDDEN,  /* of hidden ones, too */
};
/** The same. @warn (may be NULL) hears what is wrong with the list of registries. */
int recipe_list_scope(enum recipe_scope scope, void (*warn)(void *ctx, const char *text), void *ctx,
		struct recipe_list *ret, struct sb_err *err);
/** The same of the folder @dir and of those in it, as files of nobody. */
int recipe_list_folder(const char *dir, struct recipe_list *ret, struct sb_err *err);
struct sb_registry;
/** @source is of @registry's copy. */
int recipe_origin_set(struct recipe_source *source, const struct sb_registry *registry,
		const char *commit, struct sb_err *err);
/** "local" for a file of this folder. */
const char *recipe_registry(const struct recipe_source *source);
/** Where an installed sparkbus has its recipes: beside the program, else in the prefix of the
 * build. It need not exist. */
const char *recipe_installed_root(void);
/** Folder of the bundled recipes. */
const char *recipe_bundled_root(void);

/** Find a recipe: an address (it is fetched), a path, a stem here, "@registry/stem", or a stem
 * among those of visible registries and the bundled ones. Several candidates are an error that
 * names them, none one that names a near miss. A copy that is used because the server does not
 * answer is warned of on stderr. */
int recipe_find(const char *target, struct recipe_source *ret, struct sb_err *err);

/** Read and parse the file @path. @getenv_fn and @diags: see sb_recipe_parse(). @ret_text (may be
 * NULL) gets the file's bytes. */
int recipe_load(const char *path, const char *(*getenv_fn)(const char *name),
		struct sb_diags *diags, struct sb_strbuf *ret_text, struct sb_recipe **ret,
		struct sb_err *err);
/** Load it as it is, without overrides and with $NAME left alone. */
int recipe_resolve(const char *path, struct sb_strbuf *ret_text, struct sb_workload **ret,
		struct sb_err *err);

/** What listings and `show` have in common: name, path, registry, model, runtime, nodes, ... */
json_t *recipe_json(const struct recipe_source *source, const struct sb_workload *w);
/** Its two parts: where it is, and what the file says. */
json_t *recipe_place_json(const struct recipe_source *source);
json_t *recipe_facts_json(const struct sb_workload *w);
/** A value of a recipe with its type; a number that JSON has not becomes text. */
json_t *recipe_yaml_json(const struct sb_yaml_node *node);
/** Text of a file name or an error, as JSON takes it. */
json_t *recipe_text_json(const char *text);

#endif
