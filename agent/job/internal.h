/* internal.h - what the files of this module share: the job, its rank, its gang. */
#ifndef SB_JOB_INTERNAL_H
#define SB_JOB_INTERNAL_H

#include <stdarg.h>

#include "sb_events.h"
#include "sb_fs.h"
#include "sb_jobs.h"
#include "sb_lifecycle.h"
#include "sb_log.h"
#include "sb_logring.h"
#include "sb_loop.h"
#include "sb_node.h"
#include "sb_peer.h"
#include "sb_store.h"

#define LABEL_JOB        "sparkbus.job"
#define LABEL_RANK       "sparkbus.rank"
#define LABEL_GENERATION "sparkbus.generation"
#define LABEL_PLAN       "sparkbus.plan" /* LaunchPlan.created_unix_ms */

#define LOG_LINES_KEPT 40 /* last lines of a rank that ended by itself */

struct gang;
struct job;
struct orphans;
struct prepare;

/* Callers that wait for the running start or stop of a rank. */
struct start_waiter {
	struct start_waiter *next;
	sb_rank_fn fn;
	void *ctx;
};
struct stop_waiter {
	struct stop_waiter *next;
	sb_stop_fn fn;
	void *ctx;
};

/* This node's part of a job: one container and what is being done with it. What must survive a
 * restart is in the record (job->rec->own); here is only what is under way. */
struct rank {
	struct job *job;
	struct sb_engine_call *op;  /* the step of start or stop that is under way */
	struct sb_engine_call *log; /* follows the container's log */
	struct start_waiter *starts;
	struct stop_waiter *stops;
	sd_event_source *gate_timer;
	sd_event_source *drain_timer;            /* how long an ended container's log may take */
	sd_event_source *look_timer, *log_timer; /* ask the engine again */
	unsigned gate_delay_ms;
	unsigned grace_s;
	unsigned stop_rounds; /* a container that is stopped and runs is not stopped for ever */
	bool stopping;
	bool acting;      /* op changes the engine: a stop waits for it, and does not cancel it */
	bool look_wanted; /* the engine told of an end while op was under way */
	bool clear;       /* the image's entrypoint is not to run before the plan's words */
	bool replaced;    /* a container in the way was removed once: do not loop */
	bool exited;      /* its end was seen; waiting for the rest of its log */
	bool told;        /* the engine was asked to stop the container: its end is our doing */
	int pidfd, pid;   /* of the container's main process while it runs; -1 and 0 = none */
	char *killed_why; /* who ended it without asking anybody; NULL = nobody */
};

struct job {
	struct sb_jobs *jobs;
	struct job *next;
	Sparkbus__JobRecord *rec;    /* the truth on disk; never NULL */
	Sparkbus__JobRecord *before; /* the ended launch that a lease hides; NULL = none */
	struct sb_logring *ring;
	struct rank rank;
	struct gang *gang; /* NULL unless this agent leads a committed job */
	sd_event_source *lease_timer;
};

struct sb_jobs {
	struct sb_jobs_env env;
	struct job *list; /* newest first */
	size_t n;
	struct sb_engine_call *events;
	struct sb_engine_call *adopt;
	sd_event_source *adopt_timer;
	struct prepare *prepares; /* being checked */
	struct orphans *orphans;  /* being removed */
	bool adopt_again;
	bool adopted; /* what the engine runs is known; ranks may be driven */
};

/* --- job.c --- */
struct job *job_find(struct sb_jobs *jobs, const char *name);
int job_get(struct sb_jobs *jobs, const char *name, struct job **ret, struct sb_err *err);
/* Write the record; a failure is logged and told as an event, and life goes on. */
void job_save(struct job *job);
int job_try_save(struct job *job, struct sb_err *err);
/* Tell those who wait for news of this job. */
void job_changed(struct job *job);
/* The job's state changes: status, disk, event, listeners. @reason may be NULL (keep). */
void job_event(struct job *job, enum sb_job_event ev, const char *reason);
/* From lease to work, on disk before it is so: a failure changes nothing. Again is fine. */
int job_commit(struct job *job, struct sb_err *err);
/* Something of the job is still under way or owed: no other launch may take its place. */
bool job_busy(const struct job *job);
int job_open_ring(struct job *job, struct sb_err *err);
/* Add a line of our own to the rank's log (stream 3). */
void job_note(struct job *job, const char *fmt, ...) SB_PRINTF(2, 3);
/* Put @plan's job into the set in state PREPARED, replacing a record that ended. */
int job_adopt_plan(struct sb_jobs *jobs, const Sparkbus__LaunchPlan *plan, uint32_t rank,
		uint64_t lease_unix_ms, struct job **ret, struct sb_err *err);
/* A job of @rec, first in the list. NULL: out of memory, and @rec is still the caller's. */
struct job *job_link(struct sb_jobs *jobs, Sparkbus__JobRecord *rec);
/* Forget it, with its record and its logs. */
void job_remove(struct job *job);
void job_free(struct job *job);
const Sparkbus__RankSpec *job_spec(const struct job *job);
static inline Sparkbus__RankStatus *job_own(struct job *job)
{
	return job->rec->own;
}
static inline bool job_is_leader(const struct job *job)
{
	return job->rec->rank == 0;
}
void job_arm_lease(struct job *job);

/* protobuf strings that we own: replace one (out of memory leaves the old text). */
void set_str(char **field, const char *value);
void set_strf(char **field, const char *fmt, ...) SB_PRINTF(2, 3);

/* --- rank*.c --- */
void rank_init(struct rank *rank, struct job *job);
void rank_done(struct rank *rank);
/* Run the container of @generation; see sb_jobs_start_rank(). */
int rank_start(struct rank *rank, uint64_t generation, sb_rank_fn fn, void *ctx,
		struct sb_err *err);
/* Stop and remove the container and read back that it is so. @by_operator leaves a tombstone. */
void rank_stop(struct rank *rank, unsigned grace_s, bool by_operator, sb_stop_fn fn, void *ctx);
/* After a restart: @info is our container as the engine has it (NULL = it has none). */
void rank_adopt(struct rank *rank, const struct sb_container_info *info);
/* The engine says that the container of this rank ended, or may have. */
void rank_look(struct rank *rank);
/* The container runs: follow its log and watch its gate. */
void rank_running(struct rank *rank, const struct sb_container_info *info);
void rank_set_state(struct rank *rank, Sparkbus__RankState state);
void rank_answer_starts(struct rank *rank, const struct sb_err *err);
void rank_follow_log(struct rank *rank);
void rank_stop_following(struct rank *rank);
void rank_keep_last_lines(struct rank *rank);
/* @info is our running container: take hold of its main process, if it is really that. */
void rank_hold_process(struct rank *rank, const struct sb_container_info *info);
void rank_let_process(struct rank *rank);
/* The container was found ended though nobody stopped it: how and why. */
void rank_describe_end(struct rank *rank, const struct sb_container_info *info);
/* The container has ended: wait for the rest of its log, at most @longest_ms, and then account for
 * the end, or go on with the stop that is under way. */
void rank_drain(struct rank *rank, unsigned longest_ms);
void rank_stop_drained(struct rank *rank);
/* A step of the start came back after a stop had begun. */
void rank_stop_look(struct rank *rank);

/* --- gang.c --- */
/* Start, or after a restart go on with, the job that this agent leads. */
int gang_run(struct job *job, struct sb_err *err);
void gang_free(struct gang *gang);
/* News of own rank, which the gang does not poll. */
void gang_own_changed(struct gang *gang);
/* End the gang: an operator's stop, or a failure (then @why is the job's reason). */
void gang_stop(struct gang *gang, bool by_operator, const char *why);

/* --- files.c --- */
/* May the files of @plan be put into containers, and its hooks be run? -SB_E_INVALID names the
 * first that may not; -SB_E_RANGE for too many of them. */
int files_check(const Sparkbus__LaunchPlan *plan, struct sb_err *err);

/* --- prepare.c, orphans.c: what is under way is dropped, nobody is called --- */
void prepares_free(struct sb_jobs *jobs);
void orphans_free(struct sb_jobs *jobs);
void orphans_stop(struct sb_jobs *jobs, const char *name, sb_stop_fn fn, void *ctx);

#endif
