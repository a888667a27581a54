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

/** struct es_config - set once before the first request, read-only after */
struct es_config {
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

/** es_metrics_write() - all counters in Prometheus' text form, under vLLM's names */
void es_metrics_write(struct es_buf *out);

/** es_words() - how many tokens a text has: its words */
int es_words(const char *text);

/** es_word() - the word at *@at with the space before it; moves *@at on; false at the end */
bool es_word(const char **at, const char **ret_p, size_t *ret_len);

#endif
