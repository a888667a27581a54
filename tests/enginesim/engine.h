/* engine.h - the pretended model: admission, pace, counters and words
 *
 * One engine a process. Connection threads run requests; a lock guards the counters and the slots,
 * and no lock is held while a thread sleeps. */
#ifndef ES_ENGINE_H
#define ES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "es.h"

#define ES_NAMES_MAX 16

/** struct es_style - in whose words an engine speaks */
struct es_style {
	const char *name;        /* "vLLM" */
	const char *package;     /* of Python, in tracebacks */
	const char *args_file;   /* in it: where a configuration is refused */
	const char *worker;      /* a rank's process, "VllmWorker" */
	const char *worker_file; /* where the weights are loaded */
	const char *oom; /* what is said when the memory does not suffice; NULL for torch's words */
	const char *core; /* what crashes, "EngineCore" */
	const char *crash_file;
	const char *crash_error;
	const char *const *farewell; /* lines on SIGTERM, ends in NULL */
	const char *owner;           /* of a model in /v1/models */
	enum es_log_form log;
	void (*metrics)(struct es_buf *out); /* Prometheus' text */
};

/** struct es_config - set once before the first request, read-only after */
struct es_config {
	const struct es_style *style;
	const char *model;
	const char *names[ES_NAMES_MAX]; /* served model names; the first labels the metrics */
	size_t n_names;
	const char *const *api_keys;
	size_t n_api_keys;
	long max_model_len; /* tokens */
	int max_num_seqs;   /* requests that run at once */
	int ranks;          /* processes that met: nodes of one replica times replicas */
	double prefill_tps; /* prompt tokens a second, per request; 0 = no delay */
	double decode_tps;  /* generated tokens a second, per request; 0 = no delay */
	double kv_tokens;   /* capacity of the pretended KV cache */
	bool reasoning;     /* a --reasoning-parser was given */
	bool auto_tools;    /* --enable-auto-tool-choice and --tool-call-parser */
	bool pooling;       /* embeddings and scores instead of text */
	bool prefix_caching;
	bool any_name;      /* a request may name any model */
	void (*step)(void); /* before each token; NULL for nothing */
	const char *version;
};

extern struct es_config es_config;

/** struct es_gen - one request in the engine */
struct es_gen {
	int prompt_tokens;
	int max_tokens; /* of output */
	int client;     /* socket whose end aborts the request */

	int generated;
	double arrived;
	double next;  /* es_now() of the next token */
	double first; /* of the first one */
	double last;  /* es_now() of the last one */
};

/** es_gen_begin() - wait for a slot and prefill. Return: 0, or -1 if the client went. */
int es_gen_begin(struct es_gen *g);

/** es_gen_token() - wait for the next token and count it. Return: 0, or -1 if the client went. */
int es_gen_token(struct es_gen *g);

/** es_gen_end() - free the slot; @reason is a finished_reason: stop, length or abort */
void es_gen_end(struct es_gen *g, const char *reason);

enum es_hist_id {
	ES_H_TTFT,
	ES_H_ITL,
	ES_H_TPOT,
	ES_H_E2E,
	ES_H_QUEUE,
	ES_H_PREFILL,
	ES_H_DECODE,
	ES_H_PROMPT,
	ES_H_GENERATION,
	ES_H_COUNT_,
};

#define ES_BOUNDS_MAX 24
#define ES_REASONS    4

/** struct es_hist - what was observed so far */
struct es_hist {
	double bounds[ES_BOUNDS_MAX]; /* ascending; 0 ends them */
	unsigned long counts[ES_BOUNDS_MAX + 1];
	double sum;
};

/** struct es_stats - the counters at one moment */
struct es_stats {
	int running;
	int waiting;
	double tokens_held; /* prompt and output of the running requests */
	unsigned long prompt_tokens;
	unsigned long generation_tokens;
	unsigned long finished[ES_REASONS]; /* as es_reasons */
	struct es_hist hists[ES_H_COUNT_];
};

extern const char *const es_reasons[ES_REASONS];

/** es_stats_get() - a copy of the counters */
void es_stats_get(struct es_stats *ret);

/* The counters under each engine's names (metrics.c). */
void es_metrics_vllm(struct es_buf *out);
void es_metrics_sglang(struct es_buf *out);
void es_metrics_llama(struct es_buf *out);

/** es_words() - how many tokens a text has: its words */
int es_words(const char *text);

/** es_word() - the word at *@at with the space before it; moves *@at on; false at the end */
bool es_word(const char **at, const char **ret_p, size_t *ret_len);

#endif
