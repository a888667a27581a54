/* sb_hub.h - what the small files of a model say: from this machine's Hugging Face cache,
 *
 *   <cache>/models--org--name/refs/main          the commit that "main" was
 *   <cache>/models--org--name/snapshots/<commit> its files, links to blobs
 *
 * or from the hub itself. No weights are fetched. The files are a stranger's: names are checked,
 * sizes are capped. */
#ifndef SB_HUB_H
#define SB_HUB_H

#include <jansson.h>

#include "sb_err.h"
#include "sb_vram.h"

/* Bytes of config.json and hf_quant_config.json; of the index, which has a line per tensor. */
#define SB_HUB_CONFIG_MAX ((size_t)4 << 20)
#define SB_HUB_INDEX_MAX  ((size_t)64 << 20)
/* Bytes of a GGUF's head that are read: what the architecture says comes first. */
#define SB_HUB_GGUF_MAX ((size_t)256 << 10)
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
	json_t *header;                    /* of a lone model.safetensors, from the hub */
	json_t *counts;                    /* parameters by dtype, from the hub */
	json_t *gguf; /* of a GGUF's head, in the words of config.json; with no config alone */
	/* The weights' files, when every one of them is there; else none. From the hub: whatever
	 * safetensors and GGUF files the repository has. */
	struct sb_vram_file *files;
	size_t n_files;
};
/** The head of a GGUF file, of which @len bytes were read, in the words of config.json. NULL when
 * it is none, or does not say how many layers it has. */
json_t *sb_hub_gguf(const void *data, size_t len);

/** Read @snapshot. A file that is there but no use is told to @warn and left out. */
int sb_hub_model_read(const char *snapshot, void (*warn)(void *ctx, const char *text), void *ctx,
		struct sb_hub_model *ret, struct sb_err *err);
void sb_hub_model_done(struct sb_hub_model *model);

/* --- the hub --- */

#define SB_HUB_ENDPOINT    "https://huggingface.co"
#define SB_HUB_DEADLINE_MS 4000u
#define SB_HUB_COMMIT_MAX  65u
/* Bytes of the hub's word on a repository; of a safetensors file's header. */
#define SB_HUB_INFO_MAX   ((size_t)16 << 20)
#define SB_HUB_HEADER_MAX ((size_t)16 << 20)

/* Which hub, and how to ask it. Texts are owned: sb_hub_remote_done(). */
struct sb_hub_remote {
	char *endpoint; /* without '/' at its end; https, or http on this machine */
	char *token;    /* NULL = none. Goes to the endpoint's host and to no other */
	char *store;    /* folder for what was fetched; NULL = keep nothing */
	char *ca_file;  /* certificates to trust; NULL = the system's */
	bool offline;   /* read the store only */
	unsigned deadline_ms;
	bool (*stop)(void); /* asked now and then; true breaks off. May be NULL */
};
/** From the environment: HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, else the file
 * HF_TOKEN_PATH, else "token" below HF_HOME or ~/.cache/huggingface (none with
 * HF_HUB_DISABLE_IMPLICIT_TOKEN); HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE; REQUESTS_CA_BUNDLE,
 * CURL_CA_BUNDLE or SSL_CERT_FILE; the store is sparkbus/hub below XDG_CACHE_HOME or ~/.cache.
 * Return: 0; -SB_E_INVALID for an endpoint or a token that cannot be one (no token is told). */
int sb_hub_remote_read(const char *(*getenv_fn)(const char *name), struct sb_hub_remote *ret,
		struct sb_err *err);
void sb_hub_remote_done(struct sb_hub_remote *remote);
/** What the hub says of @model at @revision ("" = main), from the store where it is fresh there. A
 * part that cannot be had is told to @warn and left out.
 * Return: 0; -SB_E_INVALID a name that cannot be one; -SB_E_NOT_FOUND; -SB_E_DENIED (no token, a
 * bad one, a licence that was not accepted); -SB_E_TIMEOUT; -SB_E_UNAVAILABLE, also when offline;
 * -SB_E_PROTOCOL; -SB_E_CANCELLED. */
int sb_hub_fetch(const struct sb_hub_remote *remote, const char *model, const char *revision,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_hub_model *ret,
		struct sb_err *err);

/** The same as the estimator takes it; borrowed from @model. */
struct sb_vram_facts sb_hub_facts(const struct sb_hub_model *model);

#endif
