/* fit.h - what the steps of the estimate hand on. */
#ifndef SB_VRAM_FIT_STATE_H
#define SB_VRAM_FIT_STATE_H

#include "internal.h"
#include "sb_vram_fit.h"

struct fit_state {
	const struct sb_vram_launch *launch;
	const struct sb_vram_facts *facts, *draft; /* draft may be NULL */
	struct sb_vram_fit *fit;
	struct sb_vram_cache_settings cache;
	char drafter[SB_VRAM_NAME_MAX * 4];
	bool kv_known;
};

void fit_term(struct sb_vram_term *t, enum sb_vram_origin origin, double low, double high,
		const char *fmt, ...) SB_PRINTF(5, 6);
void fit_weights(struct fit_state *s, struct sb_vram_term *t);
/** False when the launch drafts with no other model. */
bool fit_draft_weights(const struct fit_state *s, struct sb_vram_term *t);
/** Read the texts of the launch: parallelism, lengths, cache dtype, speculation (fit_input.c). */
int fit_input(struct fit_state *s, struct sb_err *err);
/** Judge what was computed against one node's memory: bytes; @measured, or else a guess. */
enum sb_vram_verdict fit_judge(const struct sb_vram_fit *fit, double total, double available_low,
		double available_high, bool measured, char why[200]);
/** What the engine takes of a node with @total bytes, by the worst stage. */
double fit_budget(const struct sb_vram_fit *fit, double total);

#endif
