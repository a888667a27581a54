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

#include "internal.h"

#define R(state) SPARKBUS__RANK_STATE__RANK_##state

#define EVIDENCE_MAX 16
/* Longest wait for the rest of a stopped container's log. */
#define DRAIN_MS 1000

static struct sb_engine *engine(const struct rank *rank)
{
	return rank->job->jobs->env.engine;
}

/* --- the answer --- */

struct answer {
	Sparkbus__StopJobReply reply;
	Sparkbus__Error error;
	Sparkbus__Evidence evidence[EVIDENCE_MAX];
	Sparkbus__Evidence *list[EVIDENCE_MAX];
	char texts[EVIDENCE_MAX][256];
};

static void answer_init(struct answer *a, Sparkbus__RankStatus *own)
{
	sparkbus__stop_job_reply__init(&a->reply);
	a->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	a->reply.evidence = a->list;
	a->reply.rank = own;
}

static void SB_PRINTF(4, 5)
observe(struct answer *a, const char *subject, bool holds, const char *fmt, ...)
{
	size_t n = a->reply.n_evidence;
	va_list ap;

	if (n == EVIDENCE_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->texts[n], sizeof(a->texts[n]), fmt, ap);
	va_end(ap);
	sparkbus__evidence__init(&a->evidence[n]);
	a->evidence[n].subject = (char *)subject;
	a->evidence[n].observed = a->texts[n];
	a->evidence[n].holds = holds;
	a->list[n] = &a->evidence[n];
	a->reply.n_evidence++;
	if (!holds && a->reply.outcome == SPARKBUS__OUTCOME__OUTCOME_DONE)
		a->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static void answer_error(struct answer *a, const struct sb_err *err, const char *node)
{
	sparkbus__error__init(&a->error);
	sb_wire_err_out(err, node, &a->error);
	a->reply.error = &a->error;
	/* Not knowing is not failing: only an engine that answered can have refused. */
	a->reply.outcome = sb_code_exit(err->code) == 3 ? SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
							: SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static void observe_ports(struct answer *a, const Sparkbus__RankSpec *spec)
{
	for (size_t i = 0; i < spec->n_ports; i++) {
		char who[128] = "";
		bool busy = false;

		if (sb_node_port_busy((uint16_t)spec->ports[i], &busy, who, sizeof(who), NULL) < 0)
			continue; /* not seen is not evidence */
		if (busy)
			observe(a, "port", false, "port %u is still open%s%s", spec->ports[i],
					*who ? ", held by " : "", who);
		else
			observe(a, "port", true, "port %u is closed", spec->ports[i]);
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

static void finish(struct rank *rank, struct answer *a)
{
	struct job *job = rank->job;

	rank->stopping = false;
	if (a->reply.outcome == SPARKBUS__OUTCOME__OUTCOME_DONE) {
		rank_set_state(rank, R(GONE));
		end_follower(job);
	}
	job_save(job);
	answer_all(rank, &a->reply);
}

static void failed(struct rank *rank, const struct sb_err *err, const char *what)
{
	struct answer a = { 0 };
	struct sb_err text = *err;

	sb_err_wrap(&text, 0, "%s", what);
	answer_init(&a, job_own(rank->job));
	answer_error(&a, &text, rank->job->jobs->env.node_name);
	finish(rank, &a);
}

static void on_verified(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	const Sparkbus__RankSpec *spec = job_spec(rank->job);
	const char *owner = info ? sb_container_label(info, LABEL_JOB) : NULL;
	struct answer a = { 0 };

	rank->op = NULL;
	if (err && err->code != SB_E_NOT_FOUND) {
		failed(rank, err, "reading back");
		return;
	}
	answer_init(&a, job_own(rank->job));
	if (err)
		observe(&a, "container", true, "%s is gone from the engine", spec->container_name);
	else if (!owner || strcmp(owner, rank->job->rec->plan->job) != 0)
		observe(&a, "container", true, "%s is another's container and was left alone",
				spec->container_name);
	else if (info->state == SB_CONTAINER_EXITED || info->state == SB_CONTAINER_DEAD)
		observe(&a, "container", !spec->options || !spec->options->auto_remove,
				"%s ended with status %d and is kept", spec->container_name,
				info->exit_code);
	else
		observe(&a, "container", false, "%s is still in the engine",
				spec->container_name);
	observe_ports(&a, spec);
	finish(rank, &a);
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
	const Sparkbus__ContainerOptions *opt = job_spec(rank->job)->options;
	struct sb_err err = SB_ERR_INIT;

	rank_stop_following(rank);
	rank_keep_last_lines(rank);
	if (opt && !opt->auto_remove)
		verify(rank);
	else if (engine(rank)->ops->remove(engine(rank), job_own(rank->job)->container_id, true,
				 on_removed, rank, &rank->op, &err) < 0)
		failed(rank, &err, "removing the container");
}

static int on_drained(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct rank *rank = ctx;

	sd_event_source_set_enabled(rank->drain_timer, SD_EVENT_OFF);
	remove_container(rank);
	return 0;
}

static void on_looked(void *ctx, const struct sb_container_info *info, const struct sb_err *err);

static void look(struct rank *rank)
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
		look(rank);
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
		if (engine(rank)->ops->stop(engine(rank), info->id, rank->grace_s, on_stopped, rank,
				    &rank->op, &own) < 0)
			failed(rank, &own, "stopping the container");
		return;
	}
	note_end(rank, info);
	/* on_log() brings this timer forward when the log stream has ended. */
	rank->exited = true;
	sb_timer_once(rank->job->jobs->env.loop, &rank->drain_timer, rank->log ? DRAIN_MS : 0,
			on_drained, rank, NULL);
}

/* --- the verb --- */

static void begin(struct rank *rank, unsigned grace_s)
{
	struct sb_err gone = SB_ERR_INIT;

	rank->stopping = true;
	rank->grace_s = grace_s;
	/* What was under way is overtaken; the look by name finds what it left behind. */
	if (rank->op)
		engine(rank)->ops->cancel(engine(rank), sb_steal(rank->op));
	sd_event_source_set_enabled(rank->gate_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(rank->drain_timer, SD_EVENT_OFF);
	sb_err_set(&gone, SB_E_CANCELLED, "the job is being stopped");
	rank_answer_starts(rank, &gone);
	look(rank);
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
		answer_init(&a, own);
		answer_error(&a, &err, job->jobs->env.node_name);
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
		job_save(job); /* before the act: the tombstone must outlive a crash in its middle */
	}
	if (!rank->stopping)
		begin(rank, grace_s);
}

/* --- a job that has no record here: whatever the engine has under its label goes --- */

struct orphans {
	struct sb_jobs *jobs;
	struct sb_engine_call *op;
	char *label;
	sb_stop_fn fn;
	void *ctx;
	char *id; /* being removed */
	unsigned removed;
	bool again;
};

static void orphans_end(struct orphans *o, const struct sb_err *err)
{
	struct answer a = { 0 };

	answer_init(&a, NULL);
	if (err)
		answer_error(&a, err, o->jobs->env.node_name);
	else if (o->removed)
		observe(&a, "container", true, "%u container(s) of the job removed, none is left",
				o->removed);
	else
		observe(&a, "container", true, "the engine has no container of the job");
	o->fn(o->ctx, &a.reply);
	free(o->label);
	free(o->id);
	free(o);
}

static void on_orphans(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err);

static void orphans_list(struct orphans *o)
{
	struct sb_engine *eng = o->jobs->env.engine;
	struct sb_err err = SB_ERR_INIT;

	if (eng->ops->list(eng, o->label, on_orphans, o, &o->op, &err) < 0)
		orphans_end(o, &err);
}

static void on_orphan_removed(void *ctx, const struct sb_err *err)
{
	struct orphans *o = ctx;

	if (err) {
		orphans_end(o, err);
		return;
	}
	o->removed++;
	orphans_list(o);
}

static void on_orphans(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err)
{
	struct orphans *o = ctx;
	struct sb_engine *eng = o->jobs->env.engine;
	struct sb_err own = SB_ERR_INIT;

	if (err || n == 0) {
		orphans_end(o, err);
		return;
	}
	if (o->id && strcmp(o->id, list[0].id) == 0) { /* removed, and still there */
		sb_err_set(&own, SB_E_INTERNAL, "container %s cannot be removed", list[0].name);
		orphans_end(o, &own);
		return;
	}
	free(o->id);
	o->id = strdup(list[0].id);
	if (!o->id || eng->ops->remove(eng, list[0].id, true, on_orphan_removed, o, &o->op, &own) < 0)
		orphans_end(o, &own);
}

static void stop_orphans(struct sb_jobs *jobs, const char *name, sb_stop_fn fn, void *ctx)
{
	struct orphans *o = calloc(1, sizeof(*o));

	if (!o || asprintf(&o->label, "%s=%s", LABEL_JOB, name) < 0) {
		struct answer a = { 0 };
		struct sb_err err = SB_ERR_INIT;

		sb_err_nomem(&err);
		answer_init(&a, NULL);
		answer_error(&a, &err, jobs->env.node_name);
		free(o);
		fn(ctx, &a.reply);
		return;
	}
	o->jobs = jobs;
	o->fn = fn;
	o->ctx = ctx;
	orphans_list(o);
}

void sb_jobs_stop(struct sb_jobs *jobs, const char *name, int grace_s, sb_stop_fn fn, void *ctx)
{
	struct job *job = job_find(jobs, name);

	if (!job) {
		stop_orphans(jobs, name, fn, ctx);
		return;
	}
	job_event(job, SB_JOB_EV_STOP, "stopped by an operator");
	rank_stop(&job->rank, grace_s >= 0 ? (unsigned)grace_s : job->rec->plan->stop_grace_s, true,
			fn, ctx);
	if (job->gang)
		gang_stop(job->gang, true, NULL);
	else if (job_is_leader(job) && sb_job_active(job->rec->status->state))
		gang_run(job, NULL); /* it only has an end to reach */
}
