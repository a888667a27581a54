/* gang_calls.c - start, watch and stop one rank, by a peer call or, for our own, directly. */
#include <stdio.h>
#include <string.h>

#include "gang.h"

#define START_DEADLINE_MS 120000 /* one answer: an engine may unpack a large image first */
#define START_PATIENCE_MS 60000  /* how long a silent node is waited for */
#define WATCH_WAIT_MS     20000
#define WATCH_DEADLINE_MS 25000
#define STOP_EXTRA_MS     15000 /* beyond the grace time */
#define STOP_TRIES        2
#define RETRY_MS          1000

static const struct sb_jobs_env *env(const struct member *m)
{
	return &m->gang->job->jobs->env;
}

static bool is_own(const struct member *m)
{
	return m->spec->rank == 0;
}

static uint64_t generation(const struct member *m)
{
	return gang_status(m->gang)->generation;
}

static uint64_t launch(const struct member *m)
{
	return m->gang->job->rec->plan->created_unix_ms;
}

static char *job_name(const struct member *m)
{
	return m->gang->job->rec->plan->job;
}

static int call(struct member *m, Sparkbus__Request *request, unsigned deadline_ms, sb_peer_fn fn,
		struct sb_err *err)
{
	return sb_peer_call(env(m)->peers, m->spec->node, m->spec->address,
			(uint16_t)m->spec->peer_port, request, deadline_ms, fn, m, &m->call, err);
}

void member_quiet(struct member *m)
{
	if (m->call)
		sb_peer_cancel(sb_steal(m->call));
	sd_event_source_disable_unref(sb_steal(m->retry));
}

static void again(struct member *m, unsigned delay_ms, sd_event_time_handler_t fn)
{
	/* A timer that is armed again keeps its function: this one may have had another. */
	sd_event_source_disable_unref(sb_steal(m->retry));
	sb_timer_once(env(m)->loop, &m->retry, delay_ms, fn, m, NULL);
}

/* --- start --- */

static int on_start_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	member_start(ctx);
	return 0;
}

/* Starting may be repeated, so a node that is away for a moment (its agent restarts) is asked
 * again, up to a limit: the launch is for somebody who waits. */
static void start_answered(
		struct member *m, const Sparkbus__RankStatus *status, const struct sb_err *err)
{
	if (m->gang->ending || gang_stopping(m->gang))
		return;
	if (!err) {
		m->patience_ms = 0;
		gang_news(m->gang, m, status);
		if (!m->gang->ending)
			member_watch(m);
	} else if (sb_code_retry(err->code) && sb_now_boot_ms() < m->patience_ms) {
		gang_silent(m->gang, m, err);
		again(m, RETRY_MS, on_start_again);
	} else {
		gang_refused(m->gang, m, err);
	}
}

static void on_start_reply(void *ctx, const Sparkbus__Response *reply, const struct sb_err *err)
{
	struct member *m = ctx;

	m->call = NULL;
	start_answered(m, err ? NULL : reply->start_rank, err);
}

static void on_own_started(void *ctx, const Sparkbus__RankStatus *status, const struct sb_err *err)
{
	start_answered(ctx, status, err);
}

static int start_own(struct member *m, struct sb_err *err)
{
	return rank_start(&m->gang->job->rank, generation(m), on_own_started, m, err);
}

static int start_peer(struct member *m, struct sb_err *err)
{
	Sparkbus__StartRankRequest body = SPARKBUS__START_RANK_REQUEST__INIT;
	Sparkbus__Request request = SPARKBUS__REQUEST__INIT;

	body.job = job_name(m);
	body.generation = generation(m);
	body.launch_unix_ms = launch(m);
	request.body_case = SPARKBUS__REQUEST__BODY_START_RANK;
	request.start_rank = &body;
	return call(m, &request, START_DEADLINE_MS, on_start_reply, err);
}

void member_start(struct member *m)
{
	struct sb_err err = SB_ERR_INIT;

	member_quiet(m); /* it was watched until now */
	if (!m->patience_ms)
		m->patience_ms = sb_now_boot_ms() + START_PATIENCE_MS;
	if ((is_own(m) ? start_own(m, &err) : start_peer(m, &err)) < 0)
		start_answered(m, NULL, &err);
}

/* --- watch --- */

static int on_watch_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	member_watch(ctx);
	return 0;
}

static void on_watch_reply(void *ctx, const Sparkbus__Response *reply, const struct sb_err *err)
{
	struct member *m = ctx;
	Sparkbus__RankStatus lost = SPARKBUS__RANK_STATUS__INIT;

	m->call = NULL;
	if (m->gang->ending)
		return;
	if (err && err->code == SB_E_NOT_FOUND) {
		lost.rank = m->spec->rank;
		lost.node = m->spec->node;
		lost.container_name = m->spec->container_name;
		lost.state = SPARKBUS__RANK_STATE__RANK_GONE;
		lost.reason = (char *)"its node does not know the job any more";
		gang_news(m->gang, m, &lost);
	} else if (err) {
		gang_silent(m->gang, m, err);
		again(m, RETRY_MS, on_watch_again);
	} else {
		gang_news(m->gang, m, reply->watch_rank);
		if (!m->gang->ending)
			member_watch(m);
	}
}

void member_watch(struct member *m)
{
	Sparkbus__WatchRankRequest body = SPARKBUS__WATCH_RANK_REQUEST__INIT;
	Sparkbus__Request request = SPARKBUS__REQUEST__INIT;
	struct sb_err err = SB_ERR_INIT;

	if (is_own(m) || m->call) /* our own rank tells by itself */
		return;
	body.job = job_name(m);
	body.generation = generation(m);
	body.launch_unix_ms = launch(m);
	body.after_version = m->version;
	body.wait_ms = WATCH_WAIT_MS;
	body.job_state = gang_status(m->gang)->state;
	request.body_case = SPARKBUS__REQUEST__BODY_WATCH_RANK;
	request.watch_rank = &body;
	if (call(m, &request, WATCH_DEADLINE_MS, on_watch_reply, &err) < 0) {
		gang_silent(m->gang, m, &err);
		again(m, RETRY_MS, on_watch_again);
	}
}

/* --- stop --- */

static int on_stop_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	member_stop(ctx);
	return 0;
}

/* Answered, or given up for now: then it is owed, and the job may end without it. */
static void stop_answered(
		struct member *m, const Sparkbus__StopJobReply *reply, const struct sb_err *err)
{
	Sparkbus__RankStatus *st = gang_status(m->gang)->ranks[m->spec->rank];
	bool gone = err && err->code == SB_E_NOT_FOUND; /* no such launch there: nothing to stop */
	/* A port that somebody else has opened is no reason to stop it again. */
	bool down = gone ||
			(reply &&
					(reply->outcome == SPARKBUS__OUTCOME__OUTCOME_DONE ||
							(reply->rank &&
									reply->rank->state ==
											SPARKBUS__RANK_STATE__RANK_GONE)));

	if (reply && reply->rank)
		gang_news(m->gang, m, reply->rank);
	if (!down && m->stop_pending && ++m->stop_tries < STOP_TRIES) {
		again(m, RETRY_MS, on_stop_again);
		return;
	}
	st = gang_status(m->gang)->ranks[m->spec->rank];
	if (gone) {
		st->state = SPARKBUS__RANK_STATE__RANK_GONE;
	} else if (!down && !reply) {
		st->state = SPARKBUS__RANK_STATE__RANK_UNKNOWN;
		set_strf(&st->reason, "did not answer the stop: %s", err ? err->text : "no reason");
	} else if (!down) {
		set_strf(&st->reason, "could not be stopped: %s",
				reply->error ? reply->error->message : "see its evidence");
	}
	m->owed = !down;
	m->stop_pending = false;
	gang_member_down(m->gang);
}

static void on_stop_reply(void *ctx, const Sparkbus__Response *reply, const struct sb_err *err)
{
	struct member *m = ctx;

	m->call = NULL;
	stop_answered(m, err ? NULL : reply->stop_rank, err);
}

static void on_own_stopped(void *ctx, const Sparkbus__StopJobReply *reply)
{
	struct member *m = ctx;

	m->own_stop = false;
	stop_answered(m, reply, NULL);
}

static void stop_own(struct member *m)
{
	struct job *job = m->gang->job;

	if (m->own_stop)
		return;
	m->own_stop = true;
	rank_stop(&job->rank, job->rec->plan->stop_grace_s, job->rec->tombstone, on_own_stopped, m);
}

void member_stop(struct member *m)
{
	Sparkbus__StopRankRequest body = SPARKBUS__STOP_RANK_REQUEST__INIT;
	Sparkbus__Request request = SPARKBUS__REQUEST__INIT;
	const Sparkbus__JobRecord *rec = m->gang->job->rec;
	uint64_t deadline_ms = (uint64_t)rec->plan->stop_grace_s * 1000 + STOP_EXTRA_MS;
	struct sb_err err = SB_ERR_INIT;

	if (is_own(m)) {
		stop_own(m);
		return;
	}
	body.job = job_name(m);
	body.generation = generation(m);
	body.launch_unix_ms = launch(m);
	body.reason = rec->status->reason;
	body.by_operator = rec->tombstone;
	request.body_case = SPARKBUS__REQUEST__BODY_STOP_RANK;
	request.stop_rank = &body;
	if (deadline_ms > SB_WIRE_DEADLINE_MAX_MS)
		deadline_ms = SB_WIRE_DEADLINE_MAX_MS;
	if (call(m, &request, (unsigned)deadline_ms, on_stop_reply, &err) < 0)
		stop_answered(m, NULL, &err);
}
