/* internal.h - the runtimes' objects and what they share. */
#ifndef SB_RUNTIME_INTERNAL_H
#define SB_RUNTIME_INTERNAL_H

#include "sb_runtime.h"

#define SB_PARALLEL_MAX 4096 /* of one kind of parallelism */

/* One row of an engine's flags: order is that of the generated command. */
struct sb_flag {
	const char *key, *flag;
	bool boolean; /* the flag alone, when the value is true */
};

/** Append " <flag> <text>" for every key of @flags that has a value, but for those in @skip
 * (NULL-terminated). Nothing is quoted: that is the format. */
void sb_flags_add(const struct sb_workload *w, const struct sb_flag *flags, size_t n,
		const char *const *skip, struct sb_strbuf *out);
/** Append "<before> <model>". */
void sb_model_add(const struct sb_workload *w, const char *before, struct sb_strbuf *out);
/** Append " <flag> <served_model_name>" unless the command says @flag already or there is none. */
void sb_served_name_add(const struct sb_workload *w, const char *flag, struct sb_strbuf *out);
/** The recipe's template, rendered and trimmed for appending. *@ret false when there is none. */
int sb_template_add(const struct sb_workload *w, struct sb_strbuf *out, bool *ret,
		struct sb_diags *diags, struct sb_err *err);
/** Its words as far as they can be read: none without a template, or with one that no shell can
 * read, which is refused where it is used. */
int sb_template_words(const struct sb_workload *w, struct sb_words *ret, struct sb_err *err);
/** Product of tensor_, pipeline_ and data_parallel; 0 when none of them is set. */
int sb_parallel_required(const struct sb_workload *w, unsigned *ret, struct sb_err *err);
/** One of them: at least 1, 1 when unset. */
int sb_parallel_of(const struct sb_workload *w, const char *key, unsigned *ret, struct sb_err *err);

/* Where an engine listens, and how it is told its API key. */
struct sb_endpoint {
	uint16_t port;       /* unless the command says another */
	const char *key_env; /* NULL = none */
	const char *key_flag;
	const char *host_also; /* a second name of "--host"; NULL = none */
};
/** The port behind "--port"; @otherwise when there is none that is a port. */
uint16_t sb_words_port(const struct sb_words *words, uint16_t otherwise);
/** The first of @flags (NULL-terminated) that the command has; NULL when it has none. Borrowed. */
const char *sb_words_any(const struct sb_words *words, const char *const *flags);
/** A number of nodes behind the first of @flags that is there; 1 when that is none. */
unsigned sb_words_size(const struct sb_words *words, const char *const *flags);
/** Where the head listens and with what key: host, port and api_key of @ret. The key is that of
 * overrides and defaults, then of the engine's variable, then of the words. A port that the command
 * does not use is remarked on. Return: 0; -SB_E_INVALID for a port that is none. */
int sb_ready_endpoint(const struct sb_workload *w, const struct sb_words *words,
		const struct sb_endpoint *endpoint, struct sb_ready *ret, struct sb_diags *diags,
		struct sb_err *err);

#define SB_VLLM_IMAGE "ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest"
/* Environment and endpoint of all that serve by vLLM. */
extern const struct sb_env sb_vllm_env[];
extern const struct sb_endpoint sb_vllm_endpoint;
/** The generated command: "vllm serve MODEL", "-tp N" where set, @words (a blank before each), then
 * vLLM's flags but for those in @skip (NULL-terminated), which should have tensor_parallel. */
void sb_vllm_generate(const struct sb_workload *w, const char *words, const char *const *skip,
		struct sb_strbuf *out);
/** struct sb_runtime.ready of all that serve by vLLM. */
int sb_vllm_ready(const struct sb_launch *launch, const struct sb_words *words,
		struct sb_ready *ret, struct sb_diags *diags, struct sb_err *err);
/** What to ask of a vLLM server, from its flags and the model's name. */
enum sb_probe sb_vllm_probe(const struct sb_words *words, const char *model);

/* vLLM over Ray, for more than one runtime: struct sb_runtime's operations and cluster_env. */
extern const struct sb_env sb_vllm_ray_env[];
int sb_vllm_ray_required(const struct sb_workload *w, unsigned *ret, struct sb_err *err);
int sb_vllm_ray_serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err);
int sb_vllm_ray_rank(const struct sb_launch *launch, unsigned rank, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err);

/* An MPI job over the launch's containers (mpi.c): the head's mpirun starts a daemon in each. */
#define SB_MPI_DIR "/.sparkbus/mpi" /* in the containers */
/** -SB_E_UNSUPPORTED for an address that Open MPI cannot take. */
int sb_mpi_check(const struct sb_launch *launch, struct sb_err *err);
/** Rank 0: mpirun with its words into ret->before, its files; what it runs comes behind. */
int sb_mpi_head(const struct sb_launch *launch, struct sb_rank_part *ret);
/** Another rank: its main process waits for the head's command and becomes it. */
int sb_mpi_worker(const struct sb_launch *launch, unsigned rank, struct sb_rank_part *ret);

/** The file for --extra_llm_api_options; nothing is added when no setting needs it. */
int sb_trtllm_config(const struct sb_workload *w, struct sb_strbuf *out, struct sb_err *err);

extern const struct sb_runtime sb_runtime_atlas;
extern const struct sb_runtime sb_runtime_eugr_vllm;
extern const struct sb_runtime sb_runtime_llama_cpp;
extern const struct sb_runtime sb_runtime_sglang;
extern const struct sb_runtime sb_runtime_trtllm;
extern const struct sb_runtime sb_runtime_vllm_distributed;
extern const struct sb_runtime sb_runtime_vllm_ray;

#endif
