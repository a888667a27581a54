#ifndef SB_PLAN_INTERNAL_H
#define SB_PLAN_INTERNAL_H

#include "sb_plan.h"
#include "sb_runtime.h"

/** What this version cannot do, named with line and key; remarks on what it does differently. */
int sb_plan_check_supported(
		const struct sb_workload *w, struct sb_diags *diags, struct sb_err *err);

/** How many of the input's nodes are used, by the format's rules, in the published words. */
int sb_plan_trim(const struct sb_workload *w, const struct sb_runtime *runtime,
		const struct sb_plan_input *input, struct sb_diags *diags, size_t *ret_n,
		struct sb_err *err);

/** Copy @text into a field of a fresh message; empty text leaves protobuf's default. */
int sb_plan_text(char **field, const char *text);

/** A file for containers, path and content copied; NULL when out of memory. */
Sparkbus__File *sb_plan_file(const char *path, const void *content, size_t len);

/** pre_exec, mods and post hooks of @w into @plan, whose ranks are there. */
int sb_plan_hooks(const struct sb_workload *w, const struct sb_plan_input *input,
		Sparkbus__LaunchPlan *plan, struct sb_err *err);
/** How the image of @w is made when no registry has it, into plan->build_command; a remark about a
 * builder that is not needed or not known. */
int sb_plan_builder(const struct sb_workload *w, const char *image, struct sb_diags *diags,
		Sparkbus__LaunchPlan *plan, struct sb_err *err);

/** Draft models that the recipe names by their ids, into plan->draft_models. */
int sb_plan_drafts(const struct sb_workload *w, Sparkbus__LaunchPlan *plan, struct sb_err *err);

/** Say what in the shared command @serve, whose words are @words, is likely not meant. */
void sb_plan_remarks(const struct sb_launch *launch, const struct sb_strbuf *serve,
		const struct sb_words *words, struct sb_diags *diags);

/* What all ranks share. */
struct rank_shared {
	const struct sb_launch *launch;
	const struct sb_runtime *runtime;
	const struct sb_plan_input *input;
	const char *job, *image;
	const struct sb_strbuf *serve;
	const struct sb_words *words;
	const char *api_key; /* "" when there is none */
};
/** The GGUF model in spec->argv, if the runtime has a way to be told a file instead. */
int sb_plan_gguf(const struct rank_shared *shared, Sparkbus__RankSpec *spec);
/** @ret_sources is empty; the caller frees it in any case: sb_plan_rank_sources_done(). */
int sb_plan_rank(const struct rank_shared *shared, unsigned rank, Sparkbus__RankSpec **ret,
		struct sb_plan_rank_sources *ret_sources, struct sb_err *err);
void sb_plan_rank_sources_done(struct sb_plan_rank_sources *sources);
/** The text for people: the API key behind "--api-key" or "--auth-token" becomes "***". NULL when
 * out of memory. */
char *sb_plan_redact(const char *serve, const char *api_key);

#endif
