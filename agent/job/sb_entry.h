/* sb_entry.h - the script that a container starts with when its recipe has hooks. Pure.
 *
 * It is process 1: it runs the hooks, gives up root where the rank is to run as somebody else, and
 * becomes the serve command. A hook that fails ends it, and with it the rank. */
#ifndef SB_ENTRY_H
#define SB_ENTRY_H

#include "plan.pb-c.h"
#include "sb_err.h"
#include "sb_strbuf.h"

#define SB_ENTRY_DIR  "/.sparkbus" /* in the container: the script, and what hooks copy */
#define SB_ENTRY_PATH SB_ENTRY_DIR "/entry"
/* How a line of the script's own begins in the rank's log. */
#define SB_ENTRY_MARK "sparkbus-entry: "

/** The script for plan->pre_exec; its arguments are the serve command. @user is whom that runs as
 * ("uid:gid", "name", ...; "" = whom the script runs as).
 * Return: 0; -SB_E_INVALID for a user or hook that cannot be; -SB_E_NOMEM. */
int sb_entry_script(const Sparkbus__LaunchPlan *plan, const char *user, struct sb_strbuf *out,
		struct sb_err *err);
/** True when @user ("" is nobody in particular) is not root by name or number: then the script
 * must start as root, and drops. */
bool sb_entry_drops(const char *user);
/** True when the image's @entrypoint (NULL-terminated) is one that prepares the environment and
 * then becomes its arguments, so that it may stay before the serve command. Any other is cleared:
 * many are an engine of their own, to which our command would be arguments. */
bool sb_entry_keeps(const char *const *entrypoint);
/** Append @text as one word of a POSIX shell. */
int sb_entry_quote(struct sb_strbuf *out, const char *text);

#endif
