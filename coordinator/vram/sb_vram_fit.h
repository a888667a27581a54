/* sb_vram_fit.h - whether a launch fits its nodes, and what it leaves for contexts. Pure.
 *
 *   config.json --sb_vram_shape_read--> shape --+
 *   sizes of the files, settings ---------------+--sb_vram_fit--> terms per rank, verdict
 *   memory measured on the nodes ---------------+
 *
 * Where sb_vram.h repeats the published tool's figures, these are meant to be right: layers without
 * a cache take none, sliding windows end, latent attention (MLA) keeps a latent, states of linear
 * attention are counted by sequence, and pages are those that the engine cuts. Every term says how
 * it is known. Bytes are doubles: whole ones are exact up to 2^53. */
#ifndef SB_VRAM_FIT_H
#define SB_VRAM_FIT_H

#include "sb_vram.h"

/* --- the shape of a model --- */

enum sb_vram_kind {
	SB_VRAM_FULL,   /* keys and values of every token */
	SB_VRAM_WINDOW, /* of the last @window tokens */
	SB_VRAM_LATENT, /* one latent vector per token for all heads; every rank holds it */
	SB_VRAM_STATE,  /* linear attention, state space: a fixed size per sequence */
	SB_VRAM_NONE,   /* no cache: experts or an MLP alone, or another layer's cache */
	SB_VRAM_KIND_COUNT_,
};

/* Layers that are alike. */
struct sb_vram_set {
	enum sb_vram_kind kind;
	double kv_heads, key_dim, value_dim; /* FULL, WINDOW */
	double window;                       /* tokens */
	double latent;                       /* LATENT: elements per token */
	double extra_bytes; /* per token besides, of an index for sparse attention; on every rank */
	double every;       /* LATENT: tokens that share an entry; 1 = none do */
	double conv_dim, conv_len;          /* STATE: convolution: channels, past inputs */
	double state_elements, state_bytes; /* STATE: elements, and bytes of one */
	double params;                      /* of the attention, or what stands in its place */
};

#define SB_VRAM_SETS_MAX   8
#define SB_VRAM_LAYERS_MAX 1024

struct sb_vram_shape {
	char model_type[SB_VRAM_NAME_MAX]; /* "" = config.json names none */
	struct sb_vram_set sets[SB_VRAM_SETS_MAX];
	size_t n_sets;
	uint8_t set_of[SB_VRAM_LAYERS_MAX]; /* each layer's set */
	int64_t layers;                     /* 0 = the shape is unknown */
	int64_t mtp_layers;                 /* further ones, used by speculation only */
	int64_t native_len;                 /* longest context that it was made for; 0 = unknown */
	double hidden, vocab;
	/* Parameters by config.json: all, those that work on a token, embeddings and head. 0 =
	 * unknown. Norms and biases are left out; vision and audio towers are a guess and not in
	 * @active. */
	double params, active, embedding, tower;
	bool tied;          /* embeddings and head are the same */
	bool vision;        /* has a tower for images, video or sound */
	double dtype_bytes; /* of an element as it is stored before quantization */
	bool guessed;       /* this kind of attention was not checked against an engine */
};
/** Read config.json. False, and layers 0, when it does not say what a cache would need. */
bool sb_vram_shape_read(const json_t *config, struct sb_vram_shape *ret);
/** "40 layers: 10 full attention, 30 linear". */
void sb_vram_shape_text(const struct sb_vram_shape *shape, char *text, size_t size);

/* --- the cache --- */

enum sb_vram_engine {
	SB_VRAM_VLLM,
	SB_VRAM_SGLANG,
	SB_VRAM_LLAMA_CPP,
	SB_VRAM_TRTLLM,
	SB_VRAM_OTHER, /* takes a share like vLLM; how it keeps its cache is not known */
	SB_VRAM_ENGINE_COUNT_,
};

/* How the engine keeps it. */
struct sb_vram_cache_settings {
	enum sb_vram_engine engine;
	int64_t tp, first_layer, n_layers; /* of a pipeline's stage; n_layers 0 = all */
	double key_bytes, value_bytes;     /* of an element, its share of scales included */
	int64_t block_tokens;              /* 0 = the engine's own */
	int64_t batched_tokens;            /* of one step */
	int64_t spec_tokens;               /* drafted per step; 0 = no speculation */
	bool mtp;                          /* by the model's own layers, on the last stage */
	bool no_prefix_cache;
};

/* What a sequence takes on a rank, in blocks of one size or, where @paged is not set, in bytes. */
struct sb_vram_cache {
	bool known, paged;
	double block_bytes; /* of the pool, that a block takes; 1 when not paged */
	double token_bytes; /* that a token adds to a long sequence, without rounding */
	double fixed_bytes; /* that every sequence takes, whatever its length: states, windows */
	struct sb_vram_part {
		double groups; /* of layers, each with blocks of its own */
		double tokens; /* of a block */
		double limit;  /* tokens that are kept; 0 = all */
		double spare;  /* blocks besides */
		double fixed;  /* blocks, whatever the length; 0 = by tokens */
		double unit;   /* bytes of a block */
	} parts[SB_VRAM_SETS_MAX];
	size_t n_parts;
};
void sb_vram_cache(const struct sb_vram_shape *shape, const struct sb_vram_cache_settings *settings,
		struct sb_vram_cache *ret);
/** Bytes that one sequence of @tokens takes of the pool. */
double sb_vram_cache_bytes(const struct sb_vram_cache *cache, double tokens);
/** How many sequences of @tokens a pool of @bytes holds, not rounded: what vLLM calls its maximum
 * concurrency. */
double sb_vram_cache_sequences(const struct sb_vram_cache *cache, double bytes, double tokens);
/** The longest sequence that @bytes hold, at most @limit. */
int64_t sb_vram_cache_longest(const struct sb_vram_cache *cache, double bytes, int64_t limit);

/** Bytes of an element of a KV cache dtype, its share of scales included. "auto" and "" are
 * @model_bytes. False for what no table has. */
bool sb_vram_kv_element(const char *dtype, double model_bytes, double *ret);
/** Tokens a second of one sequence that 273 GB/s of memory allow: each reads all active weights. */
double sb_vram_decode_ceiling(double active_params, double bytes_per_param);

/* --- the estimate --- */

/* What the launch says besides sb_vram_recipe, as text; NULL = not said. Borrowed. */
struct sb_vram_launch {
	struct sb_vram_recipe recipe;
	enum sb_vram_engine engine;
	const char *max_num_seqs, *max_num_batched_tokens, *block_size, *data_parallel;
	const char *kv_cache_dtype_v; /* of values, where the engine tells them apart */
	const char *speculative;      /* vLLM's JSON */
	const char *no_prefix_cache;  /* "true" */
};

/* What a node said. */
struct sb_vram_node {
	const char *name;
	bool has_total, has_available;
	double total, available; /* bytes */
};

enum sb_vram_origin {
	SB_VRAM_KNOWN,   /* a file or the launch says it */
	SB_VRAM_READ,    /* measured on a node, listed by the hub */
	SB_VRAM_GUESSED, /* derived or a rule of thumb */
	SB_VRAM_UNKNOWN,
	SB_VRAM_ORIGIN_COUNT_,
};
const char *sb_vram_origin_name(enum sb_vram_origin origin);

struct sb_vram_term {
	char name[40];
	enum sb_vram_origin origin;
	double low, high; /* bytes; 0 when unknown */
	char how[160];
};

#define SB_VRAM_TERMS_MAX  10
#define SB_VRAM_STAGES_MAX 16
#define SB_VRAM_NODES_MAX  64

/* The ranks of one stage of the pipeline; all of them hold the same. */
struct sb_vram_stage {
	int64_t first_layer, n_layers;
	struct sb_vram_term terms[SB_VRAM_TERMS_MAX];
	size_t n_terms;
	double fixed_low, fixed_high;   /* everything but the cache */
	double inside_low, inside_high; /* what of it counts against the engine's share */
	bool weights_known;
	struct sb_vram_cache cache;
};

enum sb_vram_verdict {
	SB_VRAM_FITS,
	SB_VRAM_TIGHT, /* by the low ends of the guesses, or with less than what was asked for */
	SB_VRAM_IS_UNKNOWN,
	SB_VRAM_NOT,
	SB_VRAM_VERDICT_COUNT_,
};
const char *sb_vram_verdict_name(enum sb_vram_verdict verdict);

struct sb_vram_on_node {
	const char *name; /* borrowed */
	enum sb_vram_verdict verdict;
	char why[200]; /* "" when it fits */
};

struct sb_vram_fit {
	struct sb_vram_shape shape;
	enum sb_vram_engine engine;
	int64_t tp, pp, dp;
	int64_t len; /* context that counts: asked for, else the model's own; 0 = unknown */
	bool len_given;
	int64_t seqs; /* that are to run at once; 0 = not said */
	char kv_dtype[SB_VRAM_NAME_MAX], weight_dtype[SB_VRAM_NAME_MAX];
	double utilization; /* 0 = the engine takes what it needs */
	bool utilization_given;
	struct sb_vram_term budget, memory; /* of a rank; of a node */
	struct sb_vram_stage stages[SB_VRAM_STAGES_MAX];
	size_t n_stages, worst;
	double pool_low, pool_high; /* bytes for the cache, in the worst stage */
	/* In the worst stage, for the smaller pool. */
	struct sb_vram_whole longest, sequences, pool_tokens;
	struct sb_vram_real active_bytes, ceiling; /* of the weights that a token reads; tok/s */
	enum sb_vram_verdict verdict;
	char why[200];
	struct sb_vram_on_node nodes[SB_VRAM_NODES_MAX];
	size_t n_nodes;
	struct sb_vram_warnings notes;
};
/** @facts: of the model; @draft: of the drafter that @launch names (NULL = not read). @nodes: those
 * of the launch (@n may be 0). -SB_E_INVALID names the value that is no number. */
int sb_vram_fit(const struct sb_vram_launch *launch, const struct sb_vram_facts *facts,
		const struct sb_vram_facts *draft, const struct sb_vram_node *nodes, size_t n,
		struct sb_vram_fit *ret, struct sb_err *err);
/** The model that the launch drafts with ("" = none, or the model itself). */
void sb_vram_drafter(const struct sb_vram_launch *launch, char *ret, size_t size);

/** Append the block for people, its first line empty. */
int sb_vram_fit_text(const struct sb_vram_fit *fit, struct sb_strbuf *out);
/** One line: weights, cache, verdict. */
int sb_vram_fit_line(const struct sb_vram_fit *fit, struct sb_strbuf *out);
/** The document. NULL when out of memory. */
json_t *sb_vram_fit_json(const struct sb_vram_fit *fit);

#endif
