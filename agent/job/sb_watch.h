/* sb_watch.h - does a READY engine still live? Its tokens are the proof: while their counter moves,
 * nothing has to be asked. When requests run and the counter stands still, or nothing was asked for
 * a while, a token is asked for; who does not give one is wedged, however green its /health is. */
#ifndef SB_WATCH_H
#define SB_WATCH_H

#include <systemd/sd-event.h>

#include "plan.pb-c.h"
#include "sb_err.h"
#include "sb_metrics.h"

/* How long tokens may stand still while requests run, and how long an idle engine is believed; 0 =
 * for ever. */
struct sb_watch_times {
	uint64_t frozen_ms, prove_ms;
};

/* --- pure, for tests --- */

enum sb_watch_verdict {
	SB_WATCH_NOTHING,
	SB_WATCH_LIVES, /* tokens came */
	SB_WATCH_ASK,   /* nobody knows: have it generate one */
};

/* Zero is a valid empty one. */
struct sb_watch_state {
	uint64_t proved_ms; /* last proof of life; 0 = none */
	uint64_t moved_ms;  /* when the counter moved last, or no request ran */
	double generated;
	bool has_generated;
};
/** Judge what the engine said at @now_ms (CLOCK_BOOTTIME); @load NULL = it did not answer. */
enum sb_watch_verdict sb_watch_step(struct sb_watch_state *state,
		const struct sb_watch_times *times, const struct sb_load *load, uint64_t now_ms);
/** A token came by other ways. */
void sb_watch_proved(struct sb_watch_state *state, uint64_t now_ms);

/* --- the watch itself --- */

#define SB_WATCH_EVERY_MS 5000u

struct sb_watch;
struct sb_watch_ops {
	/* @load NULL: it does not tell. @rate: tokens per second since the last time, negative =
	 * not known. */
	void (*load)(void *ctx, const struct sb_load *load, double rate);
	void (*verdict)(void *ctx, enum sb_watch_verdict verdict);
};
/** Look at @how's engine every few seconds until freed. */
int sb_watch_new(sd_event *loop, const Sparkbus__Readiness *how, const struct sb_watch_times *times,
		const struct sb_watch_ops *ops, void *ctx, struct sb_watch **ret,
		struct sb_err *err);
void sb_watch_free(struct sb_watch *watch);
struct sb_watch_state *sb_watch_state(struct sb_watch *watch);

#endif
