/* sb_gguf.h - which file of the model cache a GGUF model is. Reads folders; opens no model. */
#ifndef SB_GGUF_H
#define SB_GGUF_H

#include "plan.pb-c.h"
#include "sb_err.h"

/** May @want be looked for? Return: 0; -SB_E_INVALID for names that could lead out of the cache or
 * a word that is none of @n_argv. */
int sb_gguf_check(const Sparkbus__GgufModel *want, size_t n_argv, struct sb_err *err);

/** The file in the Hugging Face cache at @hf_cache: its path below that folder, "hub/models--...",
 * allocated. It is the snapshot of the revision, or the only one there is; the file whose name has
 * the quant as a word of its own, else as a part; not a projector (mmproj) and not an importance
 * matrix (imatrix); of a split file the first part, when all parts are there. Links that lead
 * nowhere or out of the cache are no files.
 * Return: 0; -SB_E_NOT_FOUND, saying what is missing; -SB_E_RANGE for a cache without an end. */
int sb_gguf_find(const char *hf_cache, const Sparkbus__GgufModel *want, char **ret_path,
		struct sb_err *err);

#endif
