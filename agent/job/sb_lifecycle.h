/* sb_lifecycle.h - where a job may go from where it is. A table, no I/O and no clock.
 *
 *   PREPARED ──commit──▶ STARTING ──alive──▶ READY ⇄ UNHEALTHY
 *       │                    │                 │        │
 *       └──────stop / fail───┴────────┬────────┴────────┘
 *                                     ▼
 *                                  STOPPING ──gone──▶ STOPPED | FAILED
 *
 * The leader's word on a job is this state; the other nodes follow it. */
#ifndef SB_LIFECYCLE_H
#define SB_LIFECYCLE_H

#include "job.pb-c.h"
#include "sb_base.h"

typedef Sparkbus__JobState sb_job_state;

enum sb_job_event {
	SB_JOB_EV_COMMIT,       /* an operator said go */
	SB_JOB_EV_ALIVE,        /* the engine produced something */
	SB_JOB_EV_SILENT,       /* it was alive; its probe fails now */
	SB_JOB_EV_FAIL,         /* a rank died, a gate or probe timed out, a start was refused */
	SB_JOB_EV_STOP,         /* an operator said stop */
	SB_JOB_EV_GONE_STOPPED, /* every rank is down or given up, after a stop */
	SB_JOB_EV_GONE_FAILED,  /* the same after a failure */
	SB_JOB_EVENT_COUNT_,
};

/** Where @ev leads from @from; @from itself when the event says nothing new there. */
sb_job_state sb_job_next(sb_job_state from, enum sb_job_event ev);

/** STOPPED or FAILED: nothing leads out. */
bool sb_job_ended(sb_job_state state);
/** Ranks may be running: neither PREPARED nor ended. */
bool sb_job_active(sb_job_state state);
/** A rank may be started: the job has neither ended nor begun to. */
bool sb_job_startable(sb_job_state state);
/** "READY", ... */
const char *sb_job_state_name(sb_job_state state);
/** "running", "exited", ... */
const char *sb_rank_state_name(Sparkbus__RankState state);

#endif
