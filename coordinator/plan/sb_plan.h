/* sb_plan.h - workload + nodes -> LaunchPlan. Pure: no I/O, no clock; the same input gives the
 * same plan, so a golden test is a file in and a file out. */
#ifndef SB_PLAN_H
#define SB_PLAN_H

#include "plan.pb-c.h"
#include "sb_fabric.h"
#include "sb_recipe.h"
#include "sb_shellwords.h"

struct sb_plan_node {
	const char *name;    /* node name */
	const char *host;    /* as the operator wrote it; goes into the job id */
	const char *address; /* management address */
	uint16_t peer_port;
};

/* What a copy entry or a mod brings along; the plan copies it. */
struct sb_tree_file {
	const char *path; /* below the folder: "run.sh", "lib/x.py" */
	const void *content;
	size_t len;
	unsigned mode; /* permission bits; 0 = 0644 */
};
struct sb_tree {
	const struct sb_tree_file *files;
	size_t n;
};

struct sb_plan_input {
	const struct sb_plan_node *nodes; /* in the operator's order: the first is the head */
	size_t n_nodes;
	bool solo;               /* --solo */
	uint16_t init_port;      /* --init-port; 0 = the runtime's default (25000) */
	uint16_t ray_port;       /* --ray-port; 0 = the runtime's default (46379) */
	uint16_t dashboard_port; /* of Ray's dashboard; 0 = none */
	/* By which ranks know each other where their engine needs it: random text of at least 32
	 * bytes. NULL: the plan is made to be looked at, and such ranks refuse to start. */
	const char *secret;
	const char *operator_name;
	const char *tool_version;
	uint64_t now_unix_ms;
	int32_t priority;          /* --priority: the memory guard gives up the lowest first */
	uint64_t ready_timeout_ms; /* 0 = default (1 h: a large model loads for many minutes) */
	const char *job;           /* --container-name: replaces the computed id; NULL = compute */
	bool keep;                 /* --no-rm */
	const char *const *labels; /* --label: instead of the recipe's, when there are any */
	size_t n_labels;
	/* One for each copy and mod of sb_hooks_before(), in its order. NULL: the plan is made to
	 * be looked at, and its copies have no files. */
	const struct sb_tree *trees;
	size_t n_trees;
};

/** Trim nodes to what the runtime needs (notes go to @diags with the reference's words), compute
 * the job id, build every rank. Remarks have no "Note: " or "Warning: " before them: that is their
 * level. All remarks in @diags above a note, also those added before, become plan->warnings.
 * @diags may be NULL. Errors: too few nodes, max_nodes, an unknown runtime, a recipe
 * that needs what this version does not have. Free with launch_plan__free_unpacked(). */
int sb_plan_compile(const struct sb_workload *workload, const struct sb_plan_input *input,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret, struct sb_err *err);

/* Where everything in a rank of the plan comes from. */
struct sb_plan_rank_sources {
	struct sb_words argv;  /* those of the plan, with marks: sb_mark_source() */
	struct sb_source *env; /* of each variable, in the plan's order */
};
/* Parallel to a plan. Zero is empty; texts are the workload's. */
struct sb_plan_sources {
	struct sb_plan_rank_sources *ranks;
	size_t n;
};
void sb_plan_sources_done(struct sb_plan_sources *sources);
/** sb_plan_compile() that tells where everything comes from. @ret_sources is empty. */
int sb_plan_explain(const struct sb_workload *workload, const struct sb_plan_input *input,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret,
		struct sb_plan_sources *ret_sources, struct sb_err *err);

/** Give every rank of @plan the variables that follow from the links between their nodes, with the
 * reason of each. @fabric was derived for the plan's nodes, in rank order. Runtime, recipe and
 * options win: the variable keeps its value, and gets the reason and the computed value beside it.
 * Containers that do not share their node's network get none. A launch that cannot use the fabric,
 * or not all of it, is warned of in @diags and in plan->warnings. *@ret_warned (may be NULL): it
 * was. On failure @plan may have some of it. */
int sb_plan_add_fabric(Sparkbus__LaunchPlan *plan, const struct sb_fabric *fabric,
		struct sb_diags *diags, bool *ret_warned, struct sb_err *err);
/** As many nodes as the recipe asks for, at least 1: what its parallelism needs, or its min_nodes.
 */
unsigned sb_plan_nodes_wanted(const struct sb_workload *workload);

/** Whether the value of a variable called @name must not be shown. */
bool sb_plan_env_is_secret(const char *name);

/** "sparkbus_" + 12 hex digits of SHA-256 over the identity parts (recipe format, job identity). */
int sb_plan_job_id(const struct sb_workload *workload, const struct sb_plan_node *nodes,
		size_t n_nodes, char ret_id[32], struct sb_err *err);

#endif
