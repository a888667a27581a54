/* sb_hub.h - what this machine's Hugging Face cache holds of a model. Reads files, never the
 * network:
 *
 *   <cache>/models--org--name/refs/main          the commit that "main" was
 *   <cache>/models--org--name/snapshots/<commit> its files, links to blobs
 *
 * The files are a stranger's: names are checked, sizes are capped. */
#ifndef SB_HUB_H
#define SB_HUB_H

#include <jansson.h>

#include "sb_err.h"
#include "sb_vram.h"

/* Bytes of config.json and hf_quant_config.json; of the index, which has a line per tensor. */
#define SB_HUB_CONFIG_MAX ((size_t)4 << 20)
#define SB_HUB_INDEX_MAX  ((size_t)64 << 20)
/* Files that an index may name. */
#define SB_HUB_FILES_MAX 4096u

/** Where the cache is: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else hub below HF_HOME, else
 * huggingface/hub below XDG_CACHE_HOME or ~/.cache. It need not exist.
 * Return: 0; -SB_E_NOT_FOUND when none of these is set; -SB_E_NOMEM. */
int sb_hub_cache(const char *(*getenv_fn)(const char *name), char **ret, struct sb_err *err);

/** Folder of @model ("org/name") at @revision (a branch, a tag or a commit; "" = main) in @cache.
 * *@ret is NULL when the cache has no such thing.
 * Return: 0; -SB_E_INVALID when @model or @revision cannot be a name of the hub. */
int sb_hub_snapshot(const char *cache, const char *model, const char *revision, char **ret,
		struct sb_err *err);

/* What was read of a snapshot. Zero is empty. */
struct sb_hub_model {
	json_t *config, *hf_quant, *index; /* NULL = not there */
	/* The weights' files, when every one of them is there; else none. */
	struct sb_vram_file *files;
	size_t n_files;
};
/** Read @snapshot. A file that is there but no use is told to @warn and left out. */
int sb_hub_model_read(const char *snapshot, void (*warn)(void *ctx, const char *text), void *ctx,
		struct sb_hub_model *ret, struct sb_err *err);
void sb_hub_model_done(struct sb_hub_model *model);
/** The same as the estimator takes it; borrowed from @model. */
struct sb_vram_facts sb_hub_facts(const struct sb_hub_model *model);

#endif
