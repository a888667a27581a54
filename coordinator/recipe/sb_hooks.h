/* sb_hooks.h - what a recipe does besides its serve command, as its file says it. Pure.
 *
 * In every container, before the serve command: pre_exec and then mods. Once the job is ready:
 * post_exec in the head's container, post_commands on the workstation. */
#ifndef SB_HOOKS_H
#define SB_HOOKS_H

#include "sb_recipe.h"

#define SB_HOOKS_MAX     64u /* entries of one list */
#define SB_HOOK_MODS_DIR "/workspace/mods"

enum sb_hook_kind {
	SB_HOOK_COMMAND, /* text: for a shell */
	SB_HOOK_COPY,    /* text: a folder of the workstation; dest: where its contents go */
	SB_HOOK_MOD,     /* text: a reference; dest: where it goes; its run.sh is run there */
};

struct sb_hook {
	enum sb_hook_kind kind;
	char label[32];    /* "pre_exec[0]", "mods[1]" */
	char *text, *dest; /* placeholders substituted; dest NULL for a command */
	unsigned line, col;
};
/* Zero is a valid empty one. */
struct sb_hooks {
	struct sb_hook *items;
	size_t n;
};
void sb_hooks_done(struct sb_hooks *hooks);

/** pre_exec and mods, in the order in which they run. Entries that are neither text nor a map with
 * "copy" were warned of by the parser and are left out. Return: 0; -SB_E_INVALID or
 * -SB_E_UNSUPPORTED with the place of the entry; -SB_E_RANGE. */
int sb_hooks_before(const struct sb_workload *w, struct sb_hooks *ret, struct sb_err *err);

enum sb_hooks_after { SB_POST_EXEC, SB_POST_COMMANDS, SB_HOOKS_AFTER_COUNT_ };
/** post_exec or post_commands. @vars (NULL-terminated by a NULL name, may be NULL) are known
 * besides the recipe's own values, which they hide; one without a value only hides, so that its
 * placeholder stays. */
int sb_hooks_after(const struct sb_workload *w, enum sb_hooks_after which,
		const struct sb_env *vars, struct sb_hooks *ret, struct sb_err *err);
/** Whether the job is stopped once its post hooks are through. */
bool sb_hooks_stop_after(const struct sb_workload *w);

#endif
