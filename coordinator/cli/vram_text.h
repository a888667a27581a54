/* vram_text.h - the memory estimate of a recipe, for `recipe vram`, `show` and `run`. */
#ifndef SB_CLI_VRAM_TEXT_H
#define SB_CLI_VRAM_TEXT_H

#include "checks.h"
#include "cli.h"
#include "sb_hub.h"
#include "sb_recipe.h"
#include "sb_vram_fit.h"

/* Where to look for what the model's own files say. */
enum vram_look { VRAM_ONLINE, VRAM_OFFLINE, VRAM_BLIND };

/** What this machine's Hugging Face cache knows of @model ("org/name", a GGUF's quant behind ':' is
 * dropped), else the hub (unless VRAM_OFFLINE), in its own folder of what it fetched before. That
 * little or nothing was found is no error: @why says so, else its text is "". Ctrl-C ends the wait:
 * -SB_E_CANCELLED. (vram_look.c) */
int vram_look(struct cli *cli, const char *model, const char *revision, enum vram_look how,
		struct sb_hub_model *ret, struct sb_err *why);

#define VRAM_NUMBERS_MAX 24

/* What an estimate is made from. Its texts point into it: it stays where it is. */
struct vram {
	bool blind;
	struct sb_hub_model model, draft;
	bool has_draft;
	struct sb_err why;            /* little or nothing was found of the model */
	struct sb_vram_recipe recipe; /* as the published tool reads it */
	struct sb_vram_launch launch; /* as it is run: flags of the command count */
	struct sb_facts *facts;       /* of the command; NULL when the caller's were given */
	char *speculative;            /* of a recipe that has it as YAML: the same as JSON */
	char numbers[VRAM_NUMBERS_MAX][32];
	size_t n_numbers;
};
/** Gather all of it for @w. @plan (may be NULL): what is run. @facts: lint's of the launch, or
 * NULL. Return: 0, also when nothing was found; -SB_E_CANCELLED; -SB_E_NOMEM. */
int vram_open(struct cli *cli, const struct sb_workload *w, const Sparkbus__LaunchPlan *plan,
		const struct sb_facts *facts, enum vram_look how, struct vram *ret,
		struct sb_err *err);
void vram_done(struct vram *v);
/** Say on stderr that little or nothing was found of the model. */
void vram_note(struct cli *cli, const struct vram *v);
/** By the published tool's rules. -SB_E_INVALID names the value that is no number. */
int vram_published(const struct vram *v, struct sb_vram_compat *ret, struct sb_err *err);
/** The estimate proper, on @nodes. -SB_E_INVALID the same. */
int vram_fit(const struct vram *v, const struct sb_vram_node *nodes, size_t n,
		struct sb_vram_fit *ret, struct sb_err *err);
/** Append the block "VRAM Estimation:" of @w, its first line empty; or one line on why there is no
 * estimate. */
int vram_block(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_strbuf *out);
/** The document; null when there is no estimate. */
json_t *vram_json(struct cli *cli, const struct sb_workload *w, enum vram_look how);

#endif
