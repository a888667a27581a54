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

static void job_free(struct job *job)
{
	gang_free(job->gang);
	rank_done(&job->rank);
	sd_event_source_disable_unref(job->lease_timer);
	sb_logring_close(job->ring);
	sparkbus__job_record__free_unpacked(job->rec, NULL);
	free(job);
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

	unlink_job(job);
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

void job_event(struct job *job, enum sb_job_event ev, const char *reason)
{
	Sparkbus__JobStatus *st = job->rec->status;
	sb_job_state to = sb_job_next(st->state, ev);

	if (reason)
		set_str(&st->reason, reason);
	if (to == st->state)
		return;
	st->state = to;
	if (to == SPARKBUS__JOB_STATE__JOB_STOPPING)
		st->health = SPARKBUS__HEALTH__HEALTH_UNKNOWN;
	if (sb_job_ended(to)) {
		st->ended_unix_ms = sb_now_unix_ms();
		st->health = SPARKBUS__HEALTH__HEALTH_DEAD;
	}
	sb_log(SB_LOG_INFO, "job.state", "job=%s state=%s reason=\"%s\"", st->job,
			sb_job_state_name(to), st->reason);
	sb_events_add(job->jobs->env.events, "job.state", st->job, -1, st, "%s%s%s",
			sb_job_state_name(to), sb_empty(st->reason) ? "" : ": ", st->reason);
	job_save(job);
	job_changed(job);
}

/* --- logs --- */

static int ring_dir(const struct sb_jobs *jobs, const char *job, char *path, size_t size,
		struct sb_err *err)
{
	if (snprintf(path, size, "%s/logs/%s", jobs->env.state_dir, job) >= (int)size)
		return sb_err_errno(err, ENAMETOOLONG, "%s", jobs->env.state_dir);
	return 0;
}

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
			(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, text, strlen(text),
			NULL);
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

static struct job *job_link(struct sb_jobs *jobs, Sparkbus__JobRecord *rec)
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

/* Drop ended jobs, oldest first, beyond what the configuration keeps. */
static void drop_old(struct sb_jobs *jobs)
{
	unsigned kept = 0;
	char dir[4096];

	for (struct job *job = jobs->list, *next; job; job = next) {
		next = job->next;
		if (!sb_job_ended(job->rec->status->state) || job->rec->n_owed_stops ||
				++kept <= jobs->env.ended_kept)
			continue;
		sb_logring_close(sb_steal(job->ring));
		if (ring_dir(jobs, job->rec->plan->job, dir, sizeof(dir), NULL) == 0)
			sb_logring_destroy(dir, NULL);
		job_remove(job);
	}
}

int job_adopt_plan(struct sb_jobs *jobs, const Sparkbus__LaunchPlan *plan, uint32_t rank,
		uint64_t lease_unix_ms, struct job **ret, struct sb_err *err)
{
	struct job *old = job_find(jobs, plan->job);
	struct job *job;
	Sparkbus__JobRecord *rec;
	int rc;

	drop_old(jobs);
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
	if (old) {
		unlink_job(old);
		job_free(old);
	}
	job_arm_lease(job);
	*ret = job;
	return 0;
}

/* --- leases --- */

static int on_lease(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct job *job = ctx;

	if (job->rec->committed || job->rec->status->state != SPARKBUS__JOB_STATE__JOB_PREPARED)
		return 0;
	sb_events_add(job->jobs->env.events, "job.lease", job->rec->plan->job, -1, NULL,
			"the lease ran out without a commit");
	job_remove(job);
	return 0;
}

void job_arm_lease(struct job *job)
{
	uint64_t now = sb_now_unix_ms();
	uint64_t left = job->rec->lease_unix_ms > now ? job->rec->lease_unix_ms - now : 0;

	sb_timer_once(job->jobs->env.loop, &job->lease_timer, left, on_lease, job, NULL);
}

int sb_jobs_release(struct sb_jobs *jobs, const char *name, bool *ret_released, struct sb_err *err)
{
	struct job *job = job_find(jobs, name);

	*ret_released = job && !job->rec->committed &&
			job->rec->status->state == SPARKBUS__JOB_STATE__JOB_PREPARED;
	if (*ret_released)
		job_remove(job);
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
		return sb_err_set(err, SB_E_INVALID, "%s has rank %u of %s; commit goes to rank 0 on %s",
				jobs->env.node_name, job->rec->rank, name,
				job->rec->plan->ranks[0]->node);
	if (sb_job_active(job->rec->status->state) && job->rec->committed)
		return 0;
	if (job->rec->status->state != SPARKBUS__JOB_STATE__JOB_PREPARED)
		return sb_err_set(err, SB_E_INVALID, "job %s is %s, not PREPARED", name,
				sb_job_state_name(job->rec->status->state));
	job->rec->committed = true;
	job->rec->lease_unix_ms = 0;
	job_event(job, SB_JOB_EV_COMMIT, "starting");
	return gang_run(job, err);
}

/* A command must mean this launch, and no older generation than the rank has seen. */
static int check_launch(struct job *job, uint64_t launch, uint64_t generation, struct sb_err *err)
{
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

int sb_jobs_stop_rank(struct sb_jobs *jobs, const Sparkbus__StopRankRequest *request,
		sb_stop_fn fn, void *ctx, struct sb_err *err)
{
	struct job *job;
	int rc = job_get(jobs, request->job, &job, err);

	if (rc == 0)
		rc = check_launch(job, request->launch_unix_ms, request->generation, err);
	if (rc < 0)
		return rc;
	if (!sb_job_ended(job->rec->status->state))
		job_note(job, "stopped by the leader: %s", request->reason);
	job_event(job, request->by_operator ? SB_JOB_EV_STOP : SB_JOB_EV_FAIL, request->reason);
	rank_stop(&job->rank,
			request->has_grace_s_case ? request->grace_s : job->rec->plan->stop_grace_s,
			request->by_operator, fn, ctx);
	return 0;
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
	/* Shown here, decided there: what this node does never depends on it. A stop that this node
	 * knows of is newer than what the leader says. */
	if (!job_is_leader(job) && sb_job_runs(request->job_state) &&
			sb_job_runs(job->rec->status->state))
		job->rec->status->state = request->job_state;
	*ret = job_own(job);
	return 0;
}

/* --- reading --- */

const Sparkbus__JobStatus *sb_jobs_status(struct sb_jobs *jobs, const char *name)
{
	struct job *job = job_find(jobs, name);

	return job ? job->rec->status : NULL;
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
	*ret_ended = !job->rank.log && (sb_job_ended(job->rec->status->state) ||
			job_own(job)->state == SPARKBUS__RANK_STATE__RANK_GONE ||
			job_own(job)->state == SPARKBUS__RANK_STATE__RANK_EXITED);
	return 0;
}

/* --- the agent starts --- */

static bool record_ok(const Sparkbus__JobRecord *rec, const char *name)
{
	return rec->plan && rec->status && rec->own && rec->rank < rec->plan->n_ranks &&
			strcmp(rec->plan->job, name) == 0 && rec->plan->n_ranks > 0;
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
		sb_log(SB_LOG_ERR, "job.load", "job=%s error=\"the record makes no sense\" %s", name,
				err.text);
		sb_store_set_aside(jobs->env.store, name);
		protobuf_c_message_free_unpacked(msg, NULL);
		return 0;
	}
	rec = (Sparkbus__JobRecord *)msg;
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

static void on_list(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err);

/* Ask the engine for everything of ours; what it says is the truth about the ranks. */
static void look_at_all(struct sb_jobs *jobs)
{
	struct sb_err err = SB_ERR_INIT;

	if (jobs->adopt)
		return;
	if (jobs->env.engine->ops->list(jobs->env.engine, LABEL_JOB, on_list, jobs, &jobs->adopt,
			    &err) < 0)
		sb_log(SB_LOG_WARN, "engine.list", "error=\"%s\"", err.text);
}

static const struct sb_container_info *container_of(const struct job *job,
		const struct sb_container_info *list, size_t n)
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

static void on_list(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err)
{
	struct sb_jobs *jobs = ctx;

	jobs->adopt = NULL;
	if (err) {
		sb_log(SB_LOG_WARN, "engine.list", "error=\"%s\"", err->text);
		return; /* the event stream's next resync comes back here */
	}
	jobs->adopted = true;
	for (struct job *job = jobs->list, *next; job; job = next) {
		next = job->next;
		if (!job->rec->committed)
			continue;
		rank_adopt(&job->rank, container_of(job, list, n));
		if (job_is_leader(job) && !job->gang &&
				(sb_job_active(job->rec->status->state) || job->rec->n_owed_stops) &&
				gang_run(job, NULL) < 0)
			sb_log(SB_LOG_ERR, "job.resume", "job=%s", job->rec->plan->job);
	}
}

static void on_engine_event(void *ctx, const struct sb_engine_event *ev, bool resync,
		const struct sb_err *err)
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
	rc = env->engine->ops->events(env->engine, LABEL_JOB, on_engine_event, jobs, &jobs->events,
			err);
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
	while (jobs->list) {
		struct job *job = jobs->list;

		jobs->list = job->next;
		job_free(job);
	}
	free(jobs);
}
