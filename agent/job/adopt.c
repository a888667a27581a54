/* adopt.c - what was written down and what the engine runs, brought together: when the agent
 * starts, and whenever the engine's events may have been missed. */
#include <string.h>

#include "internal.h"

#define LIST_RETRY_MS 1000

/* --- the store --- */

/* Statuses are found by rank: in the leader's record there is one for each. */
static bool record_ok(const Sparkbus__JobRecord *rec, const char *name)
{
	size_t listed;

	if (!rec->plan || !rec->status || !rec->own || rec->rank >= rec->plan->n_ranks ||
			strcmp(rec->plan->job, name) != 0)
		return false;
	for (size_t i = 0; i < rec->plan->n_ranks; i++)
		if (rec->plan->ranks[i]->rank != i)
			return false;
	listed = rec->rank == 0 ? rec->plan->n_ranks : 1;
	return rec->status->n_ranks == listed &&
			rec->status->state >= SPARKBUS__JOB_STATE__JOB_PREPARED;
}

static int load_record(void *ctx, const char *name, const void *data, size_t len)
{
	struct sb_jobs *jobs = ctx;
	ProtobufCMessage *msg = NULL;
	Sparkbus__JobRecord *rec;
	struct sb_err err = SB_ERR_INIT;
	struct job *job;

	if (sb_wire_unpack(&sparkbus__job_record__descriptor, data, len, &msg, &err) < 0 ||
			!record_ok((Sparkbus__JobRecord *)msg, name)) {
		sb_log(SB_LOG_ERR, "job.load", "job=%s error=\"the record makes no sense\" %s",
				name, err.text);
		sb_store_set_aside(jobs->env.store, name);
		protobuf_c_message_free_unpacked(msg, NULL);
		return 0;
	}
	rec = (Sparkbus__JobRecord *)msg;
	/* Not every change of the version was written. A watcher that asks what is newer than one
	 * of those must not be left to wait, so each life of the agent counts from a higher number.
	 */
	if (rec->own->version < sb_now_unix_ms())
		rec->own->version = sb_now_unix_ms();
	rec->own->version++;
	job = job_link(jobs, rec);
	if (!job)
		protobuf_c_message_free_unpacked(msg, NULL);
	else if (!rec->committed && rec->status->state == SPARKBUS__JOB_STATE__JOB_PREPARED)
		job_arm_lease(job);
	return 0;
}

static void bad_record(void *ctx, const char *name, const struct sb_err *err)
{
	sb_log(SB_LOG_ERR, "job.load", "job=%s error=\"%s\"", name, err->text);
}

/* The list is kept newest first. */
static void sort_jobs(struct sb_jobs *jobs)
{
	struct job *sorted = NULL;

	while (jobs->list) {
		struct job *job = jobs->list, **at = &sorted;

		jobs->list = job->next;
		while (*at && (*at)->rec->plan->created_unix_ms > job->rec->plan->created_unix_ms)
			at = &(*at)->next;
		job->next = *at;
		*at = job;
	}
	jobs->list = sorted;
}

/* --- the engine --- */

static void on_list(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err);
static void look_at_all(struct sb_jobs *jobs);

static int on_list_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	look_at_all(ctx);
	return 0;
}

static void list_failed(struct sb_jobs *jobs, const struct sb_err *err)
{
	sb_log(SB_LOG_WARN, "engine.list", "error=\"%s\"", err->text);
	sb_timer_once(jobs->env.loop, &jobs->adopt_timer, LIST_RETRY_MS, on_list_again, jobs, NULL);
}

/* Ask the engine for everything of ours; what it says is the truth about the ranks. */
static void look_at_all(struct sb_jobs *jobs)
{
	struct sb_err err = SB_ERR_INIT;

	jobs->adopt_again = jobs->adopt != NULL; /* that answer may be from before */
	if (!jobs->adopt &&
			jobs->env.engine->ops->list(jobs->env.engine, LABEL_JOB, on_list, jobs,
					&jobs->adopt, &err) < 0)
		list_failed(jobs, &err);
}

static const struct sb_container_info *container_of(
		const struct job *job, const struct sb_container_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = sb_container_label(&list[i], LABEL_JOB);
		const char *plan = sb_container_label(&list[i], LABEL_PLAN);

		if (name && plan && strcmp(name, job->rec->plan->job) == 0 &&
				strtoull(plan, NULL, 10) == job->rec->plan->created_unix_ms)
			return &list[i];
	}
	return NULL;
}

static void nobody_waits(void *ctx, const Sparkbus__StopJobReply *reply)
{
}

/* Go on with what the record says was being done. */
static void resume(struct job *job)
{
	sb_job_state state = job->rec->status->state;

	if (!job_is_leader(job)) {
		if (state == SPARKBUS__JOB_STATE__JOB_STOPPING && !job->rank.stopping)
			rank_stop(&job->rank, job->rec->plan->stop_grace_s, job->rec->tombstone,
					nobody_waits, NULL);
	} else if (!job->gang && (sb_job_active(state) || job->rec->n_owed_stops)) {
		if (gang_run(job, NULL) < 0)
			sb_log(SB_LOG_ERR, "job.resume", "job=%s", job->rec->plan->job);
	}
}

static void on_list(
		void *ctx, const struct sb_container_info *list, size_t n, const struct sb_err *err)
{
	struct sb_jobs *jobs = ctx;

	jobs->adopt = NULL;
	if (err) {
		list_failed(jobs, err);
		return;
	}
	jobs->adopted = true;
	for (struct job *job = jobs->list; job; job = job->next) {
		if (!job->rec->committed &&
				job->rec->status->state == SPARKBUS__JOB_STATE__JOB_PREPARED)
			continue;
		rank_adopt(&job->rank, container_of(job, list, n));
		resume(job);
	}
	if (jobs->adopt_again)
		look_at_all(jobs);
}

static void on_engine_event(
		void *ctx, const struct sb_engine_event *ev, bool resync, const struct sb_err *err)
{
	struct sb_jobs *jobs = ctx;

	if (resync) {
		if (jobs->env.on_engine)
			jobs->env.on_engine(jobs->env.ctx, NULL);
		look_at_all(jobs);
	}
	if (err) {
		if (jobs->env.on_engine)
			jobs->env.on_engine(jobs->env.ctx, err);
		sb_log(SB_LOG_WARN, "engine.lost", "error=\"%s\"", err->text);
		sb_events_add(jobs->env.events, "engine.lost", NULL, -1, NULL, "%s", err->text);
	}
	if (!ev || (strcmp(ev->action, "die") != 0 && strcmp(ev->action, "destroy") != 0))
		return;
	for (struct job *job = jobs->list; job; job = job->next)
		if (strcmp(job_own(job)->container_id, ev->id) == 0) {
			rank_look(&job->rank);
			return;
		}
}

int sb_jobs_new(const struct sb_jobs_env *env, struct sb_jobs **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_jobs_freep) struct sb_jobs *jobs = calloc(1, sizeof(*jobs));
	int rc;

	if (!jobs)
		return sb_err_nomem(err);
	jobs->env = *env;
	rc = sb_store_each(env->store, load_record, bad_record, jobs, err);
	if (rc < 0)
		return rc;
	sort_jobs(jobs);
	/* Its first word is a resync, which adopts what runs. */
	rc = env->engine->ops->events(
			env->engine, LABEL_JOB, on_engine_event, jobs, &jobs->events, err);
	if (rc < 0)
		return rc;
	*ret = sb_steal(jobs);
	return 0;
}

void sb_jobs_free(struct sb_jobs *jobs)
{
	if (!jobs)
		return;
	if (jobs->events)
		jobs->env.engine->ops->cancel(jobs->env.engine, jobs->events);
	if (jobs->adopt)
		jobs->env.engine->ops->cancel(jobs->env.engine, jobs->adopt);
	sd_event_source_disable_unref(jobs->adopt_timer);
	prepares_free(jobs);
	orphans_free(jobs);
	while (jobs->list) {
		struct job *job = jobs->list;

		jobs->list = job->next;
		job_free(job);
	}
	free(jobs);
}
