/* sb_jobs.h - the jobs of this node: their own ranks, and the gangs that this agent leads.
 *
 * One record per job, kept in the store across crashes. A job has this node's rank, which drives
 * one container (create, start, follow its log, notice its end, stop, remove), and, where this
 * node has rank 0, a gang, which starts all ranks in order, proves the engine alive, and tears
 * every rank down when one fails or an operator says stop. A rank knows nothing of gangs.
 *
 * What the agent may be killed in the middle of is written down before it is done, and every step
 * may be repeated: after a restart the store says what was wanted, the engine says what is. */
#ifndef SB_JOBS_H
#define SB_JOBS_H

#include <systemd/sd-event.h>

#include "sb_engine.h"
#include "sb_err.h"
#include "sb_watch.h"
#include "sb_wire.h"

struct sb_jobs;
struct sb_peers;
struct sb_store;
struct sb_events;
struct sb_logring;

#define SB_LEASE_DEFAULT_MS 60000u
#define SB_JOBS_MAX         256 /* records, ended ones included */

/* What the jobs work with. Borrowed: must outlive them. */
struct sb_jobs_env {
	sd_event *loop;
	struct sb_engine *engine;
	struct sb_peers *peers;
	struct sb_store *store;
	struct sb_events *events;
	const char *node_name;
	const char *state_dir; /* logs live in <state_dir>/logs/<job> */
	const char *hf_cache;
	uint64_t log_max_bytes;
	unsigned ended_kept;
	struct sb_watch_times watch;
	/* Something about @job's own rank changed, or its log grew: long polls may have an answer.
	 */
	void (*on_change)(void *ctx, const char *job);
	/* The engine's event stream was connected (@err NULL) or lost. May be NULL. */
	void (*on_engine)(void *ctx, const struct sb_err *err);
	void *ctx;
};

/** Load the store, then adopt what the engine runs of it. Work goes on in the loop. */
int sb_jobs_new(const struct sb_jobs_env *env, struct sb_jobs **ret, struct sb_err *err);
/** Containers stay as they are. */
void sb_jobs_free(struct sb_jobs *jobs);
SB_DEFINE_CLEANUP(sb_jobs_free, struct sb_jobs *)

/* --- verbs; each callback comes once, from the loop or before the call returns --- */

typedef void (*sb_prepare_fn)(
		void *ctx, const Sparkbus__PrepareReply *reply, const struct sb_err *err);
/** Check everything that @request's rank needs here, and take the lease if nothing is fatal. */
int sb_jobs_prepare(struct sb_jobs *jobs, const Sparkbus__PrepareRequest *request, sb_prepare_fn fn,
		void *ctx, struct sb_err *err);
/** Give up an uncommitted lease. *ret_released false when there was none. */
int sb_jobs_release(struct sb_jobs *jobs, const char *job, bool *ret_released, struct sb_err *err);
/** Leader: start the gang. Repeating it while the job is active changes nothing. */
int sb_jobs_commit(struct sb_jobs *jobs, const char *job, struct sb_err *err);

typedef void (*sb_rank_fn)(void *ctx, const Sparkbus__RankStatus *status, const struct sb_err *err);
/** Run own rank of @job. An already running rank of this launch and generation answers at once. */
int sb_jobs_start_rank(struct sb_jobs *jobs, const Sparkbus__StartRankRequest *request,
		sb_rank_fn fn, void *ctx, struct sb_err *err);

typedef void (*sb_stop_fn)(void *ctx, const Sparkbus__StopJobReply *reply);
/** Operator: stop own rank, leave a tombstone, and on the leader end the gang. A job that is not
 * known is looked for in the engine by label all the same. @grace_s < 0: the plan's. */
void sb_jobs_stop(struct sb_jobs *jobs, const char *job, int grace_s, sb_stop_fn fn, void *ctx);
/** Leader: stop own rank because the gang ends. */
int sb_jobs_stop_rank(struct sb_jobs *jobs, const Sparkbus__StopRankRequest *request, sb_stop_fn fn,
		void *ctx, struct sb_err *err);

/* --- the memory guard, which kills without asking, and telemetry --- */

/* The main process of a rank that runs here. Borrowed until the loop runs again. */
struct sb_job_process {
	const char *job;
	uint32_t rank;
	const char *container; /* its id */
	int pidfd, pid;        /* -1 and 0 = its process could not be made sure of */
	int32_t priority;
	bool loading; /* the job was not READY yet */
	uint64_t started_unix_ms;
};
/** Return: how many, at most @max. */
size_t sb_jobs_processes(struct sb_jobs *jobs, struct sb_job_process *list, size_t max);
/** Own rank of @job was killed, and @why is to be the reason of its end. Its engine is told to kill
 * the container, too, should the process live. */
void sb_jobs_killed(struct sb_jobs *jobs, const char *job, const char *why);

/* --- reading; results are borrowed until the loop runs again --- */

/** Own rank's status for a leader, which tells its view of the job. Checks the launch. */
int sb_jobs_rank_status(struct sb_jobs *jobs, const Sparkbus__WatchRankRequest *request,
		const Sparkbus__RankStatus **ret, struct sb_err *err);
const Sparkbus__JobStatus *sb_jobs_status(struct sb_jobs *jobs, const char *job);
/** The recipe that the job's plan holds; "" when there is none. */
const char *sb_jobs_recipe(struct sb_jobs *jobs, const char *job);
/** All statuses, newest first; at most @max. Return: how many. */
size_t sb_jobs_list(struct sb_jobs *jobs, bool running_only, const Sparkbus__JobStatus **list,
		size_t max);
/** The log ring of @job's own rank, and its rank number. */
int sb_jobs_log(struct sb_jobs *jobs, const char *job, struct sb_logring **ret, uint32_t *ret_rank,
		bool *ret_ended, struct sb_err *err);

#endif
