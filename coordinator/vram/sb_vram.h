/* sb_vram.h - how much memory a model takes on the nodes that serve it. Pure.
 *
 *   what the recipe says + what the model's files say -> an estimate
 *
 * These are the figures of the published tool to the last bit, mistakes included, for those who
 * compare: every layer counts as full attention, every cache is split by all ranks. "GB" in what
 * is printed is GiB. */
#ifndef SB_VRAM_H
#define SB_VRAM_H

#include <jansson.h>

#include "sb_err.h"
#include "sb_strbuf.h"

/* --- input --- */

/* What the recipe and its operator say, as text; NULL = not said. Borrowed. */
struct sb_vram_recipe {
	const char *model; /* "org/name", "org/name:QUANT", a path */
	/* Of the recipe's metadata. */
	const char *model_dtype, *model_params, *model_vram, *kv_dtype;
	const char *num_layers, *num_kv_heads, *head_dim, *kv_vram_per_token, *meta_quantization;
	/* Of the configuration chain (overrides, then defaults). */
	const char *kv_cache_dtype, *quantization, *max_model_len;
	const char *tensor_parallel, *pipeline_parallel, *gpu_memory_utilization;
};

struct sb_vram_file {
	const char *name; /* path in the repository */
	uint64_t bytes;
};

/* What was read of the model's repository; absent parts are NULL or 0. Borrowed. */
struct sb_vram_facts {
	const json_t *config;   /* config.json */
	const json_t *hf_quant; /* hf_quant_config.json */
	const json_t *index;    /* model.safetensors.index.json */
	const json_t *counts;   /* "safetensors" of the hub's model API: parameters, total */
	const struct sb_vram_file *files;
	size_t n_files;
	const json_t *header; /* of a model that is one safetensors file */
	const json_t *gguf;   /* of a GGUF's head, in the words of config.json */
};

/* A figure that may be unknown. */
struct sb_vram_real {
	bool known;
	double value;
};
struct sb_vram_whole {
	bool known;
	int64_t value;
};

#define SB_VRAM_NAME_MAX  64
#define SB_VRAM_WARN_MAX  8
#define SB_VRAM_WARN_TEXT 200

struct sb_vram_warnings {
	char text[SB_VRAM_WARN_MAX][SB_VRAM_WARN_TEXT];
	size_t n;
};

/* --- tables and small steps --- */

/** Bytes an element of the published tool's dtype @name takes ("q4_k_m": 0.5625). Case, blanks
 * around it and '-' for '_' do not matter. False when the name is not known. */
bool sb_vram_dtype_bytes(const char *name, double *ret);
/** The spelling under which a dtype is kept: "BF16" -> "bfloat16". Cut at SB_VRAM_NAME_MAX. */
void sb_vram_dtype_name(const char *name, char ret[SB_VRAM_NAME_MAX]);
/** "7B", "0.5B", "7_000_000", "7.0e9": a number of parameters, cut to a whole number.
 * False for anything else, and for what passes 2^63. */
bool sb_vram_params(const char *text, int64_t *ret);
/** Append @value with commas between thousands. */
int sb_vram_thousands(struct sb_strbuf *out, int64_t value);

/* How the weights are stored. */
struct sb_vram_quant {
	char method[SB_VRAM_NAME_MAX]; /* "" = none found */
	char dtype[SB_VRAM_NAME_MAX];  /* of weights; "" = unknown */
	char kv_dtype[SB_VRAM_NAME_MAX];
	int64_t bits, group_size; /* 0 = unknown */
	const char *source;       /* static: "config.json", ...; NULL with method "" */
};
/** What the published tool makes of @config, @hf_quant (either may be NULL) and the suffix of
 * @model. @given: the recipe's quantization or NULL; when it names one, it wins. */
void sb_vram_quant(const char *given, const json_t *config, const json_t *hf_quant,
		const char *model, struct sb_vram_quant *ret);

/** Bytes of all safetensors files: the listing's sizes of the files that the index names, else the
 * index's total_size, else model.safetensors, else the API's counts by dtype.
 * *@ret_source is static text. False when none of these is there. */
bool sb_vram_disk_bytes(
		const struct sb_vram_facts *facts, uint64_t *ret_bytes, const char **ret_source);

/* --- the estimate --- */

struct sb_vram_compat {
	struct sb_vram_real weights_gb, kv_bytes_per_token, kv_gb, per_gpu_gb;
	struct sb_vram_whole max_model_len, params, layers, kv_heads, head_dim, max_tokens;
	int64_t tensor_parallel, pipeline_parallel;
	char dtype[SB_VRAM_NAME_MAX], kv_dtype[SB_VRAM_NAME_MAX]; /* "" = unknown */
	char method[SB_VRAM_NAME_MAX];                            /* of quantization */
	int64_t bits;                                             /* of a weight; 0 = unknown */
	struct sb_vram_real utilization, usable_gb, available_gb, multiplier;
	bool fits;          /* true also when the weights are unknown and count as 0 */
	bool weights_known; /* else weights_gb is 0 and a warning says why */
	struct sb_vram_warnings warnings;
};
/** @detect: look at @facts (false: the recipe's metadata alone). -SB_E_INVALID names the value of
 * the recipe that is no number. */
int sb_vram_compat(const struct sb_vram_recipe *recipe, const struct sb_vram_facts *facts,
		bool detect, struct sb_vram_compat *ret, struct sb_err *err);
/** Append the text block, its first line empty. */
int sb_vram_compat_text(const struct sb_vram_compat *e, struct sb_strbuf *out);
/** The fields of the JSON document, without recipe, model and runtime. NULL when out of memory. */
json_t *sb_vram_compat_json(const struct sb_vram_compat *e);

#endif
