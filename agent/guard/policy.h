/* policy.h - what the memory guard does about a sample. Pure: no clock, no file. */
#ifndef SB_GUARD_POLICY_H
#define SB_GUARD_POLICY_H

#include "sb_guard.h"

struct guard_sample {
	uint64_t boot_ms;   /* CLOCK_BOOTTIME */
	uint64_t total;     /* bytes; 0 = could not be read */
	uint64_t available; /* bytes that could be had without swapping */
	uint64_t cached;    /* bytes of them that are page cache now */
	unsigned stalled; /* PSI "full" of memory over 10 s, hundredths of a percent; 0 = not known
			   */
};

enum guard_stop {
	GUARD_STOP_NONE,
	GUARD_STOP_LOADING, /* a job that is loading, if there is one */
	GUARD_STOP_ANY,     /* a job that is loading, else the one that matters least */
};

struct guard_verdict {
	enum sb_guard_level level;
	bool entered; /* the level is worse than before: say so */
	bool cleared; /* it is SB_GUARD_OK again */
	bool drop;    /* give the page cache back */
	enum guard_stop stop;
	uint64_t fall;     /* bytes per second by which "available" shrinks; 0 = it does not */
	unsigned pause_ms; /* until the next sample */
};

#define GUARD_SAMPLES 16u
/* Samples of this long ago do not tell what happens now. */
#define GUARD_WINDOW_MS 600u
/* From a sample to memory that is back: the next sample, the kill, the kernel's unmapping. What
 * falls below a limit within this time is treated as if it had. */
#define GUARD_REACTION_MS 400u
/* Longest wait for the end of one that was stopped, and the pause after it, to see how it is then.
 */
#define GUARD_DYING_MS  10000u
#define GUARD_SETTLE_MS 250u
#define GUARD_DROP_MS   60000u /* page cache that comes back at once is in use */
/* More than this share of ten seconds in which nothing ran for want of memory is swapping. */
#define GUARD_STALLED 1000u

/* Zero is a valid empty one. */
struct guard_state {
	struct {
		uint64_t boot_ms, available;
	} past[GUARD_SAMPLES]; /* a ring */
	unsigned next, n;
	enum sb_guard_level level;
	uint64_t dropped_ms; /* 0 = never */
	bool awaiting;       /* the end of one that was stopped */
	uint64_t pause_until_ms;
};

/** Judge @sample. @dying: the job that was stopped has not ended yet. */
void guard_step(struct guard_state *state, const struct sb_guard_limits *limits,
		const struct guard_sample *sample, bool dying, struct guard_verdict *ret);

/** A job was stopped. */
void guard_stopped(struct guard_state *state, uint64_t boot_ms);

/** Index of the job to stop, -1 = none: one that is loading, the youngest first, else the one with
 * the lowest priority, of those the one that holds the most memory, then the youngest. */
int guard_choose(const struct sb_guard_job *jobs, size_t n, enum guard_stop stop);

/** Text of /proc/meminfo into @ret. False when total or available is missing. */
bool guard_parse_meminfo(const char *text, struct guard_sample *ret);
/** Value of the line "@key NUMBER" of a memory.stat. False when there is none. */
bool guard_parse_stat(const char *text, const char *key, uint64_t *ret);
/** avg10 of the "full" line of a pressure file, hundredths of a percent; 0 without one. */
unsigned guard_parse_stalled(const char *text);

#endif
