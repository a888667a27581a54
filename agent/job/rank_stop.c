/* rank_stop.c - stop a container, remove it, and read back that it is so.
 *
 *   look ──running──▶ stop ──▶ look ──▶ remove ──▶ verify ──▶ answer
 *     └──ended──────────────────┘  └──kept──────────▶┘
 *
 * The answer holds only what was seen after the act. When the engine does not answer, the outcome
 * is unknown: neither done nor failed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"

#define R(state) SPARKBUS__RANK_STATE__RANK_##state

/* Longest wait for the rest of a stopped container's log. */
#define DRAIN_MS   1000
#define ROUNDS_MAX 3

static struct sb_engine *engine(const struct rank *rank)
{
	return rank->job->jobs->env.engine;
}

/* --- the answer --- */

static void observe_ports(struct answer *a, const Sparkbus__RankSpec *spec)
{
	for (size_t i = 0; i < spec->n_ports; i++) {
		char who[128] = "";
		bool busy = false;

		if (sb_node_port_busy((uint16_t)spec->ports[i], &busy, who, sizeof(who), NULL) < 0)
			continue; /* not seen is not evidence */
		if (busy)
			stop_observe(a, "port", false, "port %u is still open%s%s", spec->ports[i],
					*who ? ", held by " : "", who);
		else
			stop_observe(a, "port", true, "port %u is closed", spec->ports[i]);
	}
}

/* --- the end of it, good or bad --- */

static void answer_all(struct rank *rank, const Sparkbus__StopJobReply *reply)
{
	while (rank->stops) {
		struct stop_waiter *w = rank->stops;

		rank->stops = w->next;
		w->fn(w->ctx, reply);
		free(w);
	}
}

/* On a node that does not lead, the job ends with its rank. */
static void end_follower(struct job *job)
{
	bool asked = job_own(job)->stopped_by_operator;

	if (!job_is_leader(job))
		job_event(job, asked ? SB_JOB_EV_GONE_STOPPED : SB_JOB_EV_GONE_FAILED, NULL);
}

/* @down: nothing of the rank is left in the engine. The outcome may be worse all the same (a port
 * is still open), but there is nothing more to stop. */
static void finish(struct rank *rank, struct answer *a, bool down)
{
	struct job *job = rank->job;
	Sparkbus__RankState state = job_own(job)->state;

	rank->stopping = false;
	if (down) {
		rank_set_state(rank, R(GONE));
		end_follower(job);
	} else if (rank->exited && (state == R(RUNNING) || state == R(CREATING))) {
		rank_set_state(rank, R(EXITED));
	}
	job_save(job);
	answer_all(rank, &a->reply);
}

static void failed(struct rank *rank, const struct sb_err *err, const char *what)
{
	struct answer a = { 0 };
	struct sb_err text = *err;

	sb_err_wrap(&text, 0, "%s", what);
	stop_answer_init(&a, job_own(rank->job));
	stop_answer_error(&a, &text, rank->job->jobs->env.node_name);
	finish(rank, &a, false);
}

static bool keeps(const Sparkbus__RankSpec *spec)
{
	return spec->options && !spec->options->auto_remove;
}

static void on_verified(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	const Sparkbus__RankSpec *spec = job_spec(rank->job);
	const char *owner = info ? sb_container_label(info, LABEL_JOB) : NULL;
	struct answer a = { 0 };
	bool down = true;

	rank->op = NULL;
	if (err && err->code != SB_E_NOT_FOUND) {
		failed(rank, err, "reading back");
		return;
	}
	stop_answer_init(&a, job_own(rank->job));
	if (err)
		stop_observe(&a, "container", true, "%s is gone from the engine",
				spec->container_name);
	else if (!owner || strcmp(owner, rank->job->rec->plan->job) != 0)
		stop_observe(&a, "container", true, "%s is another's container and was left alone",
				spec->container_name);
	else if (info->state == SB_CONTAINER_EXITED && keeps(spec))
		stop_observe(&a, "container", true, "%s ended with status %d and is kept",
				spec->container_name, info->exit_code);
	else
		stop_observe(&a, "container", down = false, "%s is still in the engine",
				spec->container_name);
	observe_ports(&a, spec);
	finish(rank, &a, down);
}

/* --- the steps --- */

static void verify(struct rank *rank)
{
	struct sb_err err = SB_ERR_INIT;

	if (engine(rank)->ops->inspect(engine(rank), job_spec(rank->job)->container_name,
			    on_verified, rank, &rank->op, &err) < 0)
		failed(rank, &err, "reading back");
}

static void on_removed(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;

	rank->op = NULL;
	if (err)
		failed(rank, err, "removing the container");
	else
		verify(rank);
}

static void remove_container(struct rank *rank)
{
	struct sb_err err = SB_ERR_INIT;

	if (engine(rank)->ops->remove(engine(rank), job_own(rank->job)->container_id, true,
			    on_removed, rank, &rank->op, &err) < 0)
		failed(rank, &err, "removing the container");
}

void rank_stop_drained(struct rank *rank)
{
	rank_stop_following(rank);
	rank_keep_last_lines(rank);
	if (keeps(job_spec(rank->job)))
		verify(rank);
	else
		remove_container(rank);
}

static void on_looked(void *ctx, const struct sb_container_info *info, const struct sb_err *err);

void rank_stop_look(struct rank *rank)
{
	struct sb_err err = SB_ERR_INIT;

	if (engine(rank)->ops->inspect(engine(rank), job_spec(rank->job)->container_name, on_looked,
			    rank, &rank->op, &err) < 0)
		failed(rank, &err, "looking at the container");
}

static void on_stopped(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;

	rank->op = NULL;
	if (err)
		failed(rank, err, "stopping the container");
	else
		rank_stop_look(rank);
}

static void note_end(struct rank *rank, const struct sb_container_info *info)
{
	Sparkbus__RankStatus *own = job_own(rank->job);

	if (info->state != SB_CONTAINER_EXITED && info->state != SB_CONTAINER_DEAD)
		return;
	if (!rank->told && !own->died) {
		rank_describe_end(rank, info);
		return;
	}
	own->has_exit_code_case = SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE;
	own->exit_code = info->exit_code;
	own->oom_killed = info->oom_killed;
	own->finished_unix_ms = info->finished_unix_ms;
}

static void on_looked(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	const char *owner = info ? sb_container_label(info, LABEL_JOB) : NULL;
	struct sb_err own = SB_ERR_INIT;

	rank->op = NULL;
	if (err && err->code != SB_E_NOT_FOUND) {
		failed(rank, err, "looking at the container");
		return;
	}
	if (err || !owner || strcmp(owner, rank->job->rec->plan->job) != 0) {
		verify(rank); /* nothing of ours to stop */
		return;
	}
	set_str(&job_own(rank->job)->container_id, info->id);
	if (info->state == SB_CONTAINER_RUNNING || info->state == SB_CONTAINER_PAUSED ||
			info->state == SB_CONTAINER_RESTARTING) {
		rank->told = true;
		sb_err_set(&own, SB_E_INTERNAL, "%s runs again after it was stopped", info->name);
		if (rank->stop_rounds++ == ROUNDS_MAX)
			failed(rank, &own, "stopping the container");
		else if (engine(rank)->ops->stop(engine(rank), info->id, rank->grace_s, on_stopped,
					 rank, &rank->op, &own) < 0)
			failed(rank, &own, "stopping the container");
		return;
	}
	note_end(rank, info);
	if (info->state == SB_CONTAINER_EXITED)
		rank_drain(rank, DRAIN_MS);
	else
		remove_container(rank); /* it never ran, or is half removed: nothing to keep */
}

/* --- the verb --- */

static void begin(struct rank *rank, unsigned grace_s)
{
	struct sb_err gone = SB_ERR_INIT;

	rank->stopping = true;
	rank->stop_rounds = 0;
	rank->grace_s = grace_s;
	/* A question is overtaken. An act is not: the engine goes on with it whether we listen or
	 * not, and what it makes after we have looked would stay. Its callback looks. */
	if (rank->op && !rank->acting)
		engine(rank)->ops->cancel(engine(rank), sb_steal(rank->op));
	sd_event_source_set_enabled(rank->gate_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(rank->drain_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(rank->look_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(rank->log_timer, SD_EVENT_OFF);
	sb_err_set(&gone, SB_E_CANCELLED, "the job is being stopped");
	rank_answer_starts(rank, &gone);
	if (!rank->op)
		rank_stop_look(rank);
}

void rank_stop(struct rank *rank, unsigned grace_s, bool by_operator, sb_stop_fn fn, void *ctx)
{
	struct job *job = rank->job;
	Sparkbus__RankStatus *own = job_own(job);
	struct stop_waiter *w = malloc(sizeof(*w));
	struct answer a = { 0 };
	struct sb_err err = SB_ERR_INIT;

	if (!w) {
		sb_err_nomem(&err);
		stop_answer_init(&a, own);
		stop_answer_error(&a, &err, job->jobs->env.node_name);
		fn(ctx, &a.reply);
		return;
	}
	*w = (struct stop_waiter){ .fn = fn, .ctx = ctx, .next = rank->stops };
	rank->stops = w;
	job->rec->committed = true; /* a lease that is stopped is not a lease any more */
	if (by_operator && !own->stopped_by_operator) {
		job->rec->tombstone = true;
		own->stopped_by_operator = true;
		own->version++;
		job_save(job); /* before the act: the tombstone must outlive a crash in its middle
				*/
	}
	if (!rank->stopping)
		begin(rank, grace_s);
}

void sb_jobs_stop(struct sb_jobs *jobs, const char *name, int grace_s, sb_stop_fn fn, void *ctx)
{
	struct job *job = job_find(jobs, name);

	if (!job) {
		orphans_stop(jobs, name, fn, ctx);
		return;
	}
	job->rec->tombstone = true; /* written with the new state */
	job_event(job, SB_JOB_EV_STOP, "stopped by an operator");
	rank_stop(&job->rank, grace_s >= 0 ? (unsigned)grace_s : job->rec->plan->stop_grace_s, true,
			fn, ctx);
	if (job->gang)
		gang_stop(job->gang, true, NULL);
	else if (job_is_leader(job) && sb_job_active(job->rec->status->state))
		gang_run(job, NULL); /* it only has an end to reach */
}
