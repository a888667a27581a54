/* recipe_index.h - what listings say of recipes, remembered between runs.
 *
 * An entry holds as long as its file has the same size, time of change and inode. The index is for
 * showing only: `run` and `show` read the file itself. An index that is damaged, or of another
 * version, is as good as none; it is written anew, whole or not at all. */
#ifndef SB_CLI_RECIPE_INDEX_H
#define SB_CLI_RECIPE_INDEX_H

#include "recipes.h"

/* Texts are borrowed from the index and never NULL. */
struct recipe_facts {
	const char *error; /* why it is no good recipe, or "" */
	const char *runtime, *model, *description, *nodes, *tp, *gpu_mem;
	const char *json; /* recipe_facts_json() */
};

struct recipe_index;
/** Read the index of the cache. NULL when out of memory, which every function here takes. */
struct recipe_index *recipe_index_open(void);
/** What is known of @source, or NULL. Only absolute paths are remembered. */
const struct recipe_facts *recipe_index_find(
		struct recipe_index *index, const struct recipe_source *source);
/** Remember @facts (copied) of @source as it is on disk now. */
void recipe_index_add(struct recipe_index *index, const struct recipe_source *source,
		const struct recipe_facts *facts);
/** Write it when something was added, without what is gone, and free it. That it cannot be written
 * matters to nobody. */
void recipe_index_close(struct recipe_index *index);
SB_DEFINE_CLEANUP(recipe_index_close, struct recipe_index *)

#endif
