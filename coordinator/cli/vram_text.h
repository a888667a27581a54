/* vram_text.h - the memory estimate of a recipe, for `recipe vram` and whoever shows it beside
 * other things. */
#ifndef SB_CLI_VRAM_TEXT_H
#define SB_CLI_VRAM_TEXT_H

#include "cli.h"
#include "sb_hub.h"
#include "sb_recipe.h"
#include "sb_vram.h"

/* Where to look for what the model's own files say. */
enum vram_look { VRAM_ONLINE, VRAM_OFFLINE, VRAM_BLIND };

/** What this machine's Hugging Face cache knows of @w's model, else the hub (unless @offline), in
 * its own folder of what it fetched before (vram_look.c). That little or nothing was found is said
 * on stderr (cli_note) and no error. Ctrl-C ends the wait. */
int vram_look(struct cli *cli, const struct sb_workload *w, bool offline, struct sb_hub_model *ret,
		struct sb_err *err);

/** Estimate @w by the published tool's rules. -SB_E_INVALID names the value of the recipe that is
 * no number. */
int vram_estimate(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_vram_compat *ret, struct sb_err *err);
/** Append the block "VRAM Estimation:" of @w, its first line empty; or one line on why there is no
 * estimate. */
int vram_block(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_strbuf *out);

#endif
