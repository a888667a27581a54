/* explain.h - where everything in a launch comes from, for people and for programs. */
#ifndef SB_CLI_EXPLAIN_H
#define SB_CLI_EXPLAIN_H

#include "commands.h"
#include "launch.h"

/* A setting of the container, by the recipe's name for it. */
struct explain_setting {
	const char *key;
	struct sb_strbuf value; /* "" = not set */
	struct sb_source source;
};
/** The @i-th setting of the plan's ranks, which all have the same; false past the end.
 * @ret->value is empty, or what the call before left. */
bool explain_setting_at(const struct launch *l, const struct run_opts *opts, size_t i,
		struct explain_setting *ret);
/** Where the runtime's name comes from: the recipe's key, or (zero) what the recipe is like. */
struct sb_source explain_runtime(const struct launch *l);
/** The plan's words, variables and the rest, with their sources. */
int explain_text(
		const struct launch *l, const struct run_opts *opts, FILE *out, struct sb_err *err);
json_t *explain_json(const struct launch *l, const struct run_opts *opts);

#endif
