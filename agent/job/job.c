/* job.c - the set of jobs, their records on disk, and the verbs' way in. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

void set_str(char **field, const char *value)
{
	char *copy = strdup(value ? value : "");

	if (!copy)
		return;
	if (*field != (char *)protobuf_c_empty_string)
		free(*field);
	*field = copy;
}

void set_strf(char **field, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_text_clean(text); /* an engine's or a peer's words are in it */
	set_str(field, text);
}

/* --- the set --- */

struct job *job_find(struct sb_jobs *jobs, const char *name)
{
	for (struct job *job = jobs->list; job; job = job->next)
		if (strcmp(job->rec->plan->job, name) == 0)
			return job;
	return NULL;
}

int job_get(struct sb_jobs *jobs, const char *name, struct job **ret, struct sb_err *err)
{
	struct job *job = job_find(jobs, name);

	if (!job)
		return sb_err_set(err, SB_E_NOT_FOUND, "job %s is not known on %s", name,
				jobs->env.node_name);
	*ret = job;
	return 0;
}

const Sparkbus__RankSpec *job_spec(const struct job *job)
{
	return job->rec->plan->ranks[job->rec->rank];
}

/* The record that a lease hides will not come back. */
static void forget_before(struct job *job)
{
	if (job->before)
		sparkbus__job_record__free_unpacked(sb_steal(job->before), NULL);
}

void job_free(struct job *job)
{
	gang_free(job->gang);
	rank_done(&job->rank);
	sd_event_source_disable_unref(job->lease_timer);
	sb_logring_close(job->ring);
	if (job->rec)
		sparkbus__job_record__free_unpacked(job->rec, NULL);
	forget_before(job);
	free(job);
}

static int ring_dir(const struct sb_jobs *jobs, const char *job, char *path, size_t size,
		struct sb_err *err)
{
	if (snprintf(path, size, "%s/logs/%s", jobs->env.state_dir, job) >= (int)size)
		return sb_err_errno(err, ENAMETOOLONG, "%s", jobs->env.state_dir);
	return 0;
}

static void unlink_job(struct job *job)
{
	for (struct job **at = &job->jobs->list; *at; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			job->jobs->n--;
			return;
		}
}

void job_remove(struct job *job)
{
	struct sb_err err = SB_ERR_INIT;
	char dir[4096];

	unlink_job(job);
	sb_logring_close(sb_steal(job->ring));
	if (ring_dir(job->jobs, job->rec->plan->job, dir, sizeof(dir), NULL) == 0)
		sb_logring_destroy(dir, NULL);
	if (sb_store_remove(job->jobs->env.store, job->rec->plan->job, &err) < 0)
		sb_log(SB_LOG_WARN, "job.remove", "job=%s error=\"%s\"", job->rec->plan->job,
				err.text);
	job_free(job);
}

/* --- records --- */

int job_try_save(struct job *job, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) uint8_t *data = NULL;
	size_t len;
	int rc;

	rc = sb_wire_pack(&job->rec->base, &data, &len, err);
	if (rc < 0)
		return rc;
	return sb_store_put(job->jobs->env.store, job->rec->plan->job, data, len, err);
}

void job_save(struct job *job)
{
	struct sb_err err = SB_ERR_INIT;

	if (job_try_save(job, &err) == 0)
		return;
	sb_log(SB_LOG_ERR, "job.save", "job=%s error=\"%s\"", job->rec->plan->job, err.text);
	sb_events_add(job->jobs->env.events, "store.failed", job->rec->plan->job, -1, NULL,
			"the state of %s could not be written: %s", job->rec->plan->job, err.text);
}

void job_changed(struct job *job)
{
	job->jobs->env.on_change(job->jobs->env.ctx, job->rec->plan->job);
}

static void tell_state(struct job *job)
{
	const Sparkbus__JobStatus *st = job->rec->status;

	sb_log(SB_LOG_INFO, "job.state", "job=%s state=%s reason=\"%s\"", st->job,
			sb_job_state_name(st->state), st->reason);
	sb_events_add(job->jobs->env.events, "job.state", st->job, -1, st, "%s%s%s",
			sb_job_state_name(st->state), sb_empty(st->reason) ? "" : ": ", st->reason);
	job_changed(job);
}

void job_event(struct job *job, enum sb_job_event ev, const char *reason)
{
	Sparkbus__JobStatus *st = job->rec->status;
	sb_job_state to = sb_job_next(st->state, ev);

	if (to == st->state)
		return; /* the reason of what it is already stays, too */
	if (reason)
		set_str(&st->reason, reason);
	st->state = to;
	if (to == SPARKBUS__JOB_STATE__JOB_STOPPING)
		st->health = SPARKBUS__HEALTH__HEALTH_UNKNOWN;
	if (sb_job_ended(to)) {
		st->ended_unix_ms = sb_now_unix_ms();
		st->health = SPARKBUS__HEALTH__HEALTH_DEAD;
	}
	job_save(job);
	tell_state(job);
}

int job_commit(struct job *job, struct sb_err *err)
{
	Sparkbus__JobRecord *rec = job->rec;
	const Sparkbus__JobRecord before = *rec;
	sb_job_state from = rec->status->state;
	int rc;

	rec->committed = true;
	rec->lease_unix_ms = 0;
	rec->status->state = sb_job_next(from, SB_JOB_EV_COMMIT);
	rc = job_try_save(job, err);
	if (rc < 0) {
		rec->committed = before.committed;
		rec->lease_unix_ms = before.lease_unix_ms;
		rec->status->state = from;
		return sb_err_wrap(err, rc, "job %s cannot be kept", rec->plan->job);
	}
	forget_before(job);
	if (from != rec->status->state) {
		set_str(&rec->status->reason, "starting");
		tell_state(job);
	}
	return 0;
}

/* --- logs --- */

int job_open_ring(struct job *job, struct sb_err *err)
{
	char dir[4096];
	int rc;

	if (job->ring)
		return 0;
	rc = ring_dir(job->jobs, job->rec->plan->job, dir, sizeof(dir), err);
	if (rc < 0)
		return rc;
	return sb_logring_open(dir, job->jobs->env.log_max_bytes, &job->ring, err);
}

void job_note(struct job *job, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	struct timespec ts;

	if (job_open_ring(job, NULL) < 0)
		return; /* the failure shows where the log is read */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &ts);
	sb_logring_add(job->ring, job_own(job)->generation, 3,
			(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, text,
			strlen(text), NULL);
	sb_logring_flush(job->ring, NULL);
	job_changed(job);
}

/* --- making a job from a plan --- */

static Sparkbus__RankStatus *new_rank_status(const Sparkbus__RankSpec *spec)
{
	Sparkbus__RankStatus *st = malloc(sizeof(*st));

	if (!st)
		return NULL;
	sparkbus__rank_status__init(st);
	st->rank = spec->rank;
	st->version = sb_now_unix_ms(); /* see load_record() */
	st->state = SPARKBUS__RANK_STATE__RANK_PREPARED;
	set_str(&st->node, spec->node);
	set_str(&st->container_name, spec->container_name);
	return st;
}

static int copy_nodes(const Sparkbus__LaunchPlan *plan, Sparkbus__JobStatus *st)
{
	st->nodes = calloc(plan->n_ranks, sizeof(*st->nodes));
	if (!st->nodes)
		return -1;
	for (; st->n_nodes < plan->n_ranks; st->n_nodes++) {
		st->nodes[st->n_nodes] = strdup(plan->ranks[st->n_nodes]->node);
		if (!st->nodes[st->n_nodes])
			return -1;
	}
	return 0;
}

/* On the leader a status lists every rank; elsewhere only the node's own. */
static int copy_ranks(const Sparkbus__LaunchPlan *plan, uint32_t rank, Sparkbus__JobStatus *st)
{
	size_t first = rank == 0 ? 0 : rank, last = rank == 0 ? plan->n_ranks : rank + 1;

	st->ranks = calloc(last - first, sizeof(*st->ranks));
	if (!st->ranks)
		return -1;
	for (size_t i = first; i < last; i++, st->n_ranks++) {
		st->ranks[st->n_ranks] = new_rank_status(plan->ranks[i]);
		if (!st->ranks[st->n_ranks])
			return -1;
	}
	return 0;
}

static Sparkbus__JobStatus *new_status(const Sparkbus__LaunchPlan *plan, uint32_t rank)
{
	Sparkbus__JobStatus *st = malloc(sizeof(*st));

	if (!st)
		return NULL;
	sparkbus__job_status__init(st);
	st->generation = 1;
	st->state = SPARKBUS__JOB_STATE__JOB_PREPARED;
	st->tensor_parallel = plan->tensor_parallel;
	st->pipeline_parallel = plan->pipeline_parallel;
	st->data_parallel = plan->data_parallel;
	st->created_unix_ms = plan->created_unix_ms;
	st->authoritative = rank == 0;
	set_str(&st->job, plan->job);
	set_str(&st->recipe, plan->recipe);
	set_str(&st->model, plan->model);
	set_str(&st->runtime, plan->runtime);
	set_str(&st->image, plan->image);
	set_str(&st->served_model_name, plan->served_model_name);
	set_str(&st->operator_, plan->operator_);
	set_str(&st->leader, plan->ranks[0]->node);
	set_strf(&st->url, "http://%s:%u/v1", plan->ranks[0]->address, plan->port);
	if (copy_nodes(plan, st) < 0 || copy_ranks(plan, rank, st) < 0) {
		sparkbus__job_status__free_unpacked(st, NULL);
		return NULL;
	}
	return st;
}

static Sparkbus__JobRecord *new_record(const Sparkbus__LaunchPlan *plan, uint32_t rank)
{
	Sparkbus__JobRecord *rec = malloc(sizeof(*rec));
	ProtobufCMessage *copy = NULL;

	if (!rec)
		return NULL;
	sparkbus__job_record__init(rec);
	rec->rank = rank;
	if (sb_wire_dup(&plan->base, &copy, NULL) == 0)
		rec->plan = (Sparkbus__LaunchPlan *)copy;
	rec->status = new_status(plan, rank);
	rec->own = new_rank_status(plan->ranks[rank]);
	if (rec->plan && rec->status && rec->own)
		return rec;
	sparkbus__job_record__free_unpacked(rec, NULL);
	return NULL;
}

struct job *job_link(struct sb_jobs *jobs, Sparkbus__JobRecord *rec)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->jobs = jobs;
	job->rec = rec;
	rank_init(&job->rank, job);
	job->next = jobs->list;
	jobs->list = job;
	jobs->n++;
	return job;
}

bool job_busy(const struct job *job)
{
	sb_job_state state = job->rec->status->state;

	if (state == SPARKBUS__JOB_STATE__JOB_PREPARED)
		return job->rec->committed;
	return !sb_job_ended(state) || job->rec->n_owed_stops || job->rank.stopping;
}

/* Drop ended jobs, oldest first, beyond what the configuration keeps; not @but. */
static void drop_old(struct sb_jobs *jobs, const struct job *but)
{
	unsigned kept = 0;

	for (struct job *job = jobs->list, *next; job; job = next) {
		next = job->next;
		if (job != but && sb_job_ended(job->rec->status->state) && !job_busy(job) &&
				++kept > jobs->env.ended_kept)
			job_remove(job);
	}
}

/* @job has taken the place of @old. A lease that is not used gives it back. */
static void replace(struct job *job, struct job *old)
{
	unlink_job(old);
	if (sb_job_ended(old->rec->status->state))
		job->before = sb_steal(old->rec);
	else
		job->before = sb_steal(old->before);
	job_free(old);
}

int job_adopt_plan(struct sb_jobs *jobs, const Sparkbus__LaunchPlan *plan, uint32_t rank,
		uint64_t lease_unix_ms, struct job **ret, struct sb_err *err)
{
	struct job *old = job_find(jobs, plan->job);
	struct job *job;
	Sparkbus__JobRecord *rec;
	int rc;

	drop_old(jobs, old);
	if (!old && jobs->n >= SB_JOBS_MAX)
		return sb_err_set(err, SB_E_RANGE, "%zu jobs are known already", jobs->n);
	rec = new_record(plan, rank);
	if (!rec)
		return sb_err_nomem(err);
	rec->lease_unix_ms = lease_unix_ms;
	job = job_link(jobs, rec);
	if (!job) {
		sparkbus__job_record__free_unpacked(rec, NULL);
		return sb_err_nomem(err);
	}
	rc = job_try_save(job, err); /* overwrites the old record: same name */
	if (rc < 0) {
		unlink_job(job);
		job_free(job);
		return rc;
	}
	if (old)
		replace(job, old);
	job_arm_lease(job);
	*ret = job;
	return 0;
}

/* --- the other verbs --- */

int sb_jobs_commit(struct sb_jobs *jobs, const char *name, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, name, &job, err);

	if (rc < 0)
		return sb_err_hint(err, rc, "its lease may have run out: prepare it again");
	if (!job_is_leader(job))
		return sb_err_set(err, SB_E_INVALID,
				"%s has rank %u of %s; commit goes to rank 0 on %s",
				jobs->env.node_name, job->rec->rank, name,
				job->rec->plan->ranks[0]->node);
	if (sb_job_active(job->rec->status->state) && job->rec->committed)
		return 0;
	if (job->rec->status->state != SPARKBUS__JOB_STATE__JOB_PREPARED)
		return sb_err_set(err, SB_E_INVALID, "job %s is %s, not PREPARED", name,
				sb_job_state_name(job->rec->status->state));
	rc = job_commit(job, err);
	return rc < 0 ? rc : gang_run(job, err);
}

/* A command must mean this launch, and no older generation than the rank has seen. The leader's
 * own rank takes none: its gang is here. */
static int check_launch(struct job *job, uint64_t launch, uint64_t generation, struct sb_err *err)
{
	if (job_is_leader(job))
		return sb_err_set(err, SB_E_INVALID, "%s leads %s itself", job->jobs->env.node_name,
				job->rec->plan->job);
	if (launch != job->rec->plan->created_unix_ms)
		return sb_err_set(err, SB_E_NOT_FOUND, "that launch of %s is not here any more",
				job->rec->plan->job);
	if (generation < job_own(job)->generation)
		return sb_err_set(err, SB_E_INVALID,
				"generation %llu of %s is over, %llu is the present one",
				(unsigned long long)generation, job->rec->plan->job,
				(unsigned long long)job_own(job)->generation);
	return 0;
}

int sb_jobs_start_rank(struct sb_jobs *jobs, const Sparkbus__StartRankRequest *request,
		sb_rank_fn fn, void *ctx, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, request->job, &job, err);

	if (rc == 0)
		rc = check_launch(job, request->launch_unix_ms, request->generation, err);
	if (rc < 0)
		return rc;
	return rank_start(&job->rank, request->generation, fn, ctx, err);
}

int sb_jobs_stop_rank(struct sb_jobs *jobs, const Sparkbus__StopRankRequest *request, sb_stop_fn fn,
		void *ctx, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, request->job, &job, err);

	if (rc == 0)
		rc = check_launch(job, request->launch_unix_ms, request->generation, err);
	if (rc < 0)
		return rc;
	if (!sb_job_ended(job->rec->status->state))
		job_note(job, "stopped by the leader: %s", request->reason);
	if (job_own(job)->generation < request->generation)
		job_own(job)->generation = request->generation;
	job->rec->committed = true; /* a lease that is stopped is not a lease any more */
	if (request->by_operator)
		job->rec->tombstone = true;
	job_event(job, request->by_operator ? SB_JOB_EV_STOP : SB_JOB_EV_FAIL, request->reason);
	rank_stop(&job->rank,
			request->has_grace_s_case ? request->grace_s : job->rec->plan->stop_grace_s,
			request->by_operator, fn, ctx);
	return 0;
}

static bool runs(sb_job_state state)
{
	return sb_job_active(state) && sb_job_startable(state);
}

/* Shown here, decided there: what this node does never depends on it. The leader's word may be
 * older than a stop that an operator asked for here. */
static void follow_leader(struct job *job, sb_job_state state)
{
	Sparkbus__JobStatus *st = job->rec->status;

	if (st->state == state || !runs(state) || !runs(st->state))
		return;
	st->state = state;
	job_changed(job);
}

int sb_jobs_rank_status(struct sb_jobs *jobs, const Sparkbus__WatchRankRequest *request,
		const Sparkbus__RankStatus **ret, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, request->job, &job, err);

	if (rc == 0)
		rc = check_launch(job, request->launch_unix_ms, request->generation, err);
	if (rc < 0)
		return rc;
	if (request->job_state == SPARKBUS__JOB_STATE__JOB_STARTING &&
			job->rec->status->state == SPARKBUS__JOB_STATE__JOB_PREPARED) {
		/* Committed, though this rank's turn has not come: its lease must not run out. */
		rc = job_commit(job, err);
		if (rc < 0)
			return rc;
	}
	follow_leader(job, request->job_state);
	*ret = job_own(job);
	return 0;
}

/* --- reading --- */

const Sparkbus__JobStatus *sb_jobs_status(struct sb_jobs *jobs, const char *name)
{
	struct job *job = job_find(jobs, name);

	return job ? job->rec->status : NULL;
}

const char *sb_jobs_recipe(struct sb_jobs *jobs, const char *name)
{
	struct job *job = job_find(jobs, name);

	return job ? job->rec->plan->recipe_yaml : "";
}

size_t sb_jobs_list(struct sb_jobs *jobs, bool running_only, const Sparkbus__JobStatus **list,
		size_t max)
{
	size_t n = 0;

	for (struct job *job = jobs->list; job && n < max; job = job->next)
		if (!running_only || !sb_job_ended(job->rec->status->state))
			list[n++] = job->rec->status;
	return n;
}

int sb_jobs_log(struct sb_jobs *jobs, const char *name, struct sb_logring **ret, uint32_t *ret_rank,
		bool *ret_ended, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, name, &job, err);

	if (rc == 0)
		rc = job_open_ring(job, err);
	if (rc < 0)
		return rc;
	*ret = job->ring;
	*ret_rank = job->rec->rank;
	*ret_ended = !job->rank.log &&
			(sb_job_ended(job->rec->status->state) ||
					job_own(job)->state == SPARKBUS__RANK_STATE__RANK_GONE ||
					job_own(job)->state == SPARKBUS__RANK_STATE__RANK_EXITED);
	return 0;
}
