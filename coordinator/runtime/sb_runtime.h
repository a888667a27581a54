/* sb_runtime.h - how an engine is launched: one const object per runtime, listed in one table.
 *
 * A runtime turns a resolved workload into words: the serve command, and what each rank adds to
 * it. It knows nothing of containers or the wire, does no I/O and reads no clock; coordinator/plan
 * puts the rest around it. A new runtime is one file with one object and one row in runtime.c. */
#ifndef SB_RUNTIME_H
#define SB_RUNTIME_H

#include "sb_recipe.h"
#include "sb_shellwords.h"

#define SB_RANK_PORTS_MAX 8

/* Where one launch stands: final nodes, in rank order. */
struct sb_launch {
	const struct sb_workload *workload;
	const char *const *addresses; /* management addresses, [0] is the head's */
	size_t n;
	uint16_t init_port;      /* rendezvous of native runtimes; never 0 */
	uint16_t ray_port;       /* where Ray nodes meet; 0 = the usual */
	uint16_t dashboard_port; /* Ray's dashboard, on the head; 0 = none */
	const char *secret;      /* by which ranks know each other; NULL = it will not be run */
};

/* A file that a rank finds in its container; plan.proto, File. */
struct sb_rank_file {
	char *path, *content;
	size_t len;
	unsigned mode; /* 0 = 0644 */
	bool secret;
};

/* What one rank is, beyond what all share. Zero is a valid empty one. */
struct sb_rank_part {
	struct sb_strbuf serve; /* its whole serve command, as people see it */
	/* What its main process does first: words that stand before those of the serve command and
	 * execute them in the end. Empty = the main process is the serve command. */
	struct sb_words before;
	uint16_t ports[SB_RANK_PORTS_MAX]; /* TCP ports that it will listen on */
	size_t n_ports;
	unsigned stage;     /* ranks of one stage start together, see plan.proto */
	uint16_t gate_port; /* what the next stage waits for; 0 = nothing */
	uint64_t gate_timeout_ms;
	struct sb_rank_file *files;
	size_t n_files;
	bool init; /* its main process does not answer SIGTERM as PID 1: the engine's init does */
};
void sb_rank_part_done(struct sb_rank_part *part);
/** Add a file (copied) at the absolute @path of the container. Return: 0 or -SB_E_NOMEM. */
int sb_rank_part_file(struct sb_rank_part *part, const char *path, const void *content, size_t len,
		unsigned mode, bool secret);
/** Add a port once; 0 and more than SB_RANK_PORTS_MAX are ignored. */
void sb_rank_part_port(struct sb_rank_part *part, uint16_t port);

enum sb_probe { /* the numbers of plan.proto, Probe */
	SB_PROBE_GENERATE,
	SB_PROBE_EMBED,
	SB_PROBE_SCORE,
	SB_PROBE_MODELS,
	SB_PROBE_COUNT_,
};

/* How to tell that the head serves. Texts are borrowed from the workload and the words. */
struct sb_ready {
	enum sb_probe probe;
	const char *host; /* to ask, on the head's node */
	uint16_t port;
	const char *model;   /* the name clients use */
	const char *api_key; /* "" when there is none */
};

/* How containers are named after the job: "<job>_solo" with one node, else by role. */
enum sb_naming {
	SB_NAMING_NODE, /* "<job>_node_<rank>" */
	SB_NAMING_ROLE, /* "<job>_head", "<job>_worker" */
};

/* How an engine is told a GGUF model, so that a node can put a file of its cache in its place. */
struct sb_gguf_flags {
	const char *const *flags; /* before "repository:quant"; NULL-terminated */
	const char *file_flag;    /* before a file; NULL = the same */
	/* With one of these (NULL-terminated) the recipe has chosen already. */
	const char *const *chosen;
	bool others; /* the flags are for other models as well: a name must say that it is GGUF */
};

struct sb_runtime {
	const char *name;          /* as recipes and job ids have it */
	const char *default_image; /* when the recipe names none */
	const char *family;        /* engine family: "vllm", "sglang", ... */
	enum sb_naming naming;
	/* Environment below the recipe's: of every rank, and with several nodes. NULL-terminated by
	 * a NULL name. */
	const struct sb_env *env, *cluster_env;
	/* Variable in which the engine takes its API key; NULL = by the command line only. */
	const char *api_key_env;
	/* What its container has besides the executor settings; NULL = nothing, else
	 * NULL-terminated. */
	const char *const *cap_add, *const *security_opt;
	/* Entrypoint unless the executor settings have one; "" clears that of the image. */
	const char *entrypoint;
	/* With no parallelism set there is nothing to spread: one node is used, whatever is given.
	 * Otherwise every node given is used. */
	bool one_node_by_default;
	const struct sb_gguf_flags *gguf; /* NULL = it serves no GGUF */

	/* Nodes that the parallelism settings ask for. Called first, before nodes are trimmed.
	 * 0 in *ret: the settings say nothing. Return: 0; -SB_E_INVALID naming a bad value. */
	int (*required)(const struct sb_workload *w, unsigned *ret, struct sb_err *err);
	/* The serve command that all ranks share, without per-rank words, trimmed so that words can
	 * be appended. What comes from a value has its mark (sb_strbuf_addm()). Called once, with
	 * the final number of nodes. Remarks go to @diags. Return: 0 or an error. */
	int (*serve)(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
			struct sb_err *err);
	/* Fill @ret (empty) for @rank from the shared command @serve and its words. Called once per
	 * rank, in order. The shared command goes over with its marks (sb_strbuf_add_part()); what
	 * is added has the rank's. Return: 0 or an error; then the caller still calls
	 * sb_rank_part_done().
	 */
	int (*rank)(const struct sb_launch *launch, unsigned rank, const struct sb_strbuf *serve,
			const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err);
	/* How to tell that the head serves, from the words of the shared command. Called once,
	 * before rank(). Return: 0 or an error. */
	int (*ready)(const struct sb_launch *launch, const struct sb_words *words,
			struct sb_ready *ret, struct sb_diags *diags, struct sb_err *err);
};

/** The runtime @name. Return: 0; -SB_E_INVALID for a name that is none, listing the names. The
 * caller adds the place. */
int sb_runtime_find(const char *name, const struct sb_runtime **ret, struct sb_err *err);
/** The @i-th runtime, by name; NULL past the end. */
const struct sb_runtime *sb_runtime_at(size_t i);

#endif
