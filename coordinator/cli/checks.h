/* checks.h - lint for the commands: the rules' files, the facts of a launch, findings as lines. */
#ifndef SB_CLI_CHECKS_H
#define SB_CLI_CHECKS_H

#include <stdio.h>
#include <jansson.h>

#include "node.pb-c.h"
#include "plan.pb-c.h"
#include "sb_lint.h"

/** Read the rules beside the bundled recipes; a bundled tree without any leaves the installed ones.
 * The error names the file. */
int checks_load(struct sb_rules **ret, struct sb_err *err);

/** Facts of what @plan will run; with NULL of what the recipe alone says. @source is the recipe's
 * text. Free with sb_facts_free(). */
int checks_gather(const struct sb_rules *rules, const struct sb_workload *workload,
		const char *source, const Sparkbus__LaunchPlan *plan, struct sb_facts **ret,
		struct sb_err *err);
/** Add what the nodes of the launch say of themselves; nothing when one of them (NULL) does not. */
int checks_add_nodes(struct sb_facts *facts, const Sparkbus__NodeState *const *states, size_t n,
		struct sb_err *err);

/** "path:line:col: error: text [ID]", with what to do below; @tag_first puts the tag before the
 * place, as `run` does. @source_too adds where the knowledge is from. */
void checks_print(FILE *out, const char *path, const struct sb_finding *finding, bool tag_first,
		bool source_too);
/** "accepted" has the recipe's reason, and is left out where there is none. */
json_t *checks_json(const struct sb_finding *finding);
/** How many findings are of @severity, without those that the recipe accepts. */
size_t checks_count(const struct sb_findings *findings, enum sb_severity severity);

#endif
