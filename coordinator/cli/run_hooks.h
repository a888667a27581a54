/* run_hooks.h - what a recipe's hooks take from this workstation and do on it, and whether they
 * may. */
#ifndef SB_CLI_RUN_HOOKS_H
#define SB_CLI_RUN_HOOKS_H

#include "launch.h"
#include "sb_hooks.h"
#include "tree.h"

/* One folder per copy and mod, in the order of sb_hooks_before(). Zero is a valid empty one. */
struct hook_trees {
	struct tree items[2 * SB_HOOKS_MAX];
	struct sb_tree views[2 * SB_HOOKS_MAX];
	size_t n;
};
void hook_trees_freep(struct hook_trees **trees);

/** Find and read the folders that @w's hooks name. Those that are this workstation's, and no part
 * of what the recipe came with, are noted in l->acts. */
int hook_trees_read(struct launch *l, const struct sb_workload *w, struct hook_trees *ret,
		struct sb_err *err);

/** Before anything leaves this machine: may the recipe do what l->plan and l->acts say it does
 * here? Asks on a terminal unless @trust. *@ret false: the operator said no. */
int hooks_may_act(struct launch *l, bool trust, bool *ret, struct sb_err *err);
/** What it would do here, and whether that would be asked about; for a dry run. */
void hooks_print(const struct launch *l, FILE *out);

/** Whether something comes after READY before the launch is through. */
bool hooks_come_after(const struct launch *l);
/** After READY (run_post.c): wait for the leader's post_exec, run post_commands here, and stop the
 * job if the recipe says so. *@status is replaced by the leader's last word; *@ret_over: the job
 * was stopped. Return: EXIT_DONE, or the exit status of hooks that failed, are unknown, or were
 * interrupted; it was said why. */
int hooks_after(struct launch *l, Sparkbus__JobStatus **status, bool *ret_over);
/** A job that is over is so because its hooks were through. */
bool hooks_ended(const struct launch *l, const Sparkbus__JobStatus *status);

#endif
