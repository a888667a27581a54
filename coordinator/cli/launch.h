/* launch.h - the steps of a launch, from a compiled plan to READY. Each step prints what it finds
 * and returns 0 to go on, or the exit status. Until the commit nothing runs anywhere and an end
 * gives the leases back; after it the leader carries the launch and this side only watches. */
#ifndef SB_CLI_LAUNCH_H
#define SB_CLI_LAUNCH_H

#include "checks.h"
#include "cli.h"
#include "sb_diag.h"
#include "sb_plan.h"

#define LAUNCH_GO_ON    0
#define LAUNCH_ACTS_MAX 128

struct launch {
	struct cli *cli;
	struct cli_nodes nodes;
	struct recipe_source recipe;
	struct sb_workload *workload;
	Sparkbus__LaunchPlan *plan;
	struct sb_plan_sources sources; /* of the plan; texts are the workload's */
	bool pretended;                 /* the nodes are not there */
	bool no_trees;                  /* hooks bring no files of this workstation */
	const struct cli_node **ranks;  /* node of each rank of the plan, in rank order */
	bool *leased;                   /* per rank */
	struct sb_rules *rules;         /* lint; NULL when it was left out */
	struct sb_facts *facts;         /* of the launch; NULL with the rules */
	struct sb_mask mask;            /* values of the plan that must not be shown */
	struct sb_progress progress;
	uint8_t *cursor; /* of the leader's events, taken before the commit */
	size_t cursor_len;
	bool foreground;
	char *acts[LAUNCH_ACTS_MAX]; /* what hooks do with files of this workstation */
	size_t n_acts;
	struct sb_vram_fit *fit; /* the estimate; NULL = none was made */
	char *memory;            /* the same in a line */
};

void launch_done(struct launch *l);

struct run_opts;
/** Compile l->recipe.path for l->nodes into l->workload and l->plan (run_compile.c) and bind it.
 * Remarks go to
 * @diags, also when it fails. */
int run_compile(struct launch *l, const struct run_opts *opts, struct sb_diags *diags,
		struct sb_err *err);

struct fleet;
/** Give l->plan what follows from the links between its nodes, as @fleet has them (run_fabric.c).
 * @ret_warned: the ranks will not have the fabric, or not all of it; @diags says why. */
int run_fabric(struct launch *l, const struct fleet *fleet, struct sb_diags *diags,
		bool *ret_warned, struct sb_err *err);

/** Find and compile @target to be looked at; no node is asked. With @nodes there are so many of
 * them: "node1" and on, whose names are their addresses. Without hosts and default cluster there
 * are as many as the recipe asks for. Remarks are printed. */
int launch_look(struct launch *l, const struct run_opts *opts, const struct opt_int *nodes,
		const char *target, struct sb_err *err);
/** Find @target and resolve it with the options into l->workload; nodes do not matter. Remarks are
 * printed. */
int launch_resolve(struct launch *l, const struct run_opts *opts, const char *target,
		struct sb_err *err);
/** Remarks of a compile, on stderr. */
void launch_print_diags(const struct launch *l, const struct sb_diags *diags);
/** Estimate what the launch takes of its nodes: l->fit, l->memory for the summary, and what lint
 * can use of it (run_memory.c). Return: EXIT_DONE, also without an estimate, or the exit status. */
int run_estimate(struct launch *l, const struct run_opts *opts, const struct fleet *fleet);
/** Whether the estimate came to a verdict: it then stands for lint's rougher rule. */
bool run_memory_known(const struct launch *l);
/** Warn of nodes whose measured memory the launch does not fit. Return: EXIT_DONE, or the exit
 * status when it must not go on. */
int run_memory(struct launch *l, const struct run_opts *opts);

/** Fill ranks and mask from the plan. */
int launch_bind(struct launch *l, struct sb_err *err);
/** Prepare every rank; fetch a missing image and prepare again. */
int launch_prepare(struct launch *l);
/** Hand the prepared job to the leader. */
int launch_commit(struct launch *l);
enum watch_end { WATCH_READY, WATCH_OVER, WATCH_DETACHED, WATCH_LOST };
/** Watch the leader until the job is ready or over, Ctrl-C, or the leader is silent for longer
 * than the launch may take. *ret_status (may stay NULL) is the last status: free_unpacked. */
enum watch_end launch_watch(struct launch *l, Sparkbus__JobStatus **ret_status);
/** The same until the leader's post_exec is through, or the job over. */
enum watch_end launch_watch_post(struct launch *l, Sparkbus__JobStatus **ret_status);
/** Give every lease back; for ends before the commit. */
void launch_release(struct launch *l);
/** What failed: reason, rank, the lines of its log that matter. */
void launch_print_failure(const Sparkbus__JobStatus *status);

/** Fetch the plan's image on the ranks with @wanted[rank] (launch_pull.c). */
int launch_pull(struct launch *l, const bool *wanted);

/* --- the plan for people (plan_text.c) --- */
/** The short block at the start of a run. */
void plan_print_summary(const struct launch *l, FILE *out);
/** Everything that a node will be asked to run, secrets hidden. */
void plan_print_ranks(const struct launch *l, FILE *out);

#endif
