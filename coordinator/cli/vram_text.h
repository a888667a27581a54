/* vram_text.h - the memory estimate of a recipe, for `recipe vram` and whoever shows it beside
 * other things. */
#ifndef SB_CLI_VRAM_TEXT_H
#define SB_CLI_VRAM_TEXT_H

#include "cli.h"
#include "sb_recipe.h"
#include "sb_vram.h"

/** Estimate @w. With @detect the model's files in this machine's Hugging Face cache are read too;
 * that there are none is said on stderr (cli_note) and no error. -SB_E_INVALID names the value of
 * the recipe that is no number. */
int vram_estimate(struct cli *cli, const struct sb_workload *w, bool detect,
		struct sb_vram_compat *ret, struct sb_err *err);
/** Append the block "VRAM Estimation:" of @w, its first line empty; or one line on why there is no
 * estimate. */
int vram_block(struct cli *cli, const struct sb_workload *w, struct sb_strbuf *out);

#endif
