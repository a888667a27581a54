/* rank_start.c - from a rank's spec to a running container: create, files, start, read back. */
#include <string.h>

#include "rank_spec.h"

#define R(state) SPARKBUS__RANK_STATE__RANK_##state

static struct sb_engine *engine(const struct rank *rank)
{
	return rank->job->jobs->env.engine;
}

void rank_answer_starts(struct rank *rank, const struct sb_err *err)
{
	while (rank->starts) {
		struct start_waiter *w = rank->starts;

		rank->starts = w->next;
		w->fn(w->ctx, err ? NULL : job_own(rank->job), err);
		free(w);
	}
}

/* The container could not be made or started. The rank is as good as ended; the leader decides. */
static void start_failed(struct rank *rank, const struct sb_err *err)
{
	struct sb_err copy = *err; /* the caller's may be the engine's */
	bool again = err->code == SB_E_UNAVAILABLE || err->code == SB_E_TIMEOUT;

	set_strf(&job_own(rank->job)->reason, "could not be started: %s", copy.text);
	job_note(rank->job, "could not be started: %s", copy.text);
	/* An engine that is away may come back: the leader asks again until its patience ends. */
	rank_set_state(rank, again ? R(PREPARED) : R(GONE));
	job_save(rank->job);
	rank_answer_starts(rank, &copy);
}

static void on_inspected(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	bool ended;

	rank->op = NULL;
	if (err) {
		start_failed(rank, err);
		return;
	}
	/* A process that ended within these milliseconds shows in the next look. */
	ended = info->state != SB_CONTAINER_RUNNING || rank->look_wanted;
	rank->look_wanted = false;
	rank_running(rank, info);
	rank_answer_starts(rank, NULL);
	if (ended)
		rank_look(rank);
}

/* An act came back. True when a stop began meanwhile, which takes over. */
static bool acted(struct rank *rank)
{
	rank->op = NULL;
	rank->acting = false;
	if (rank->stopping)
		rank_stop_look(rank);
	return rank->stopping;
}

static void on_started(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct sb_err own = SB_ERR_INIT;

	if (acted(rank))
		return;
	if (err) {
		start_failed(rank, err);
		return;
	}
	if (engine(rank)->ops->inspect(engine(rank), job_own(rank->job)->container_id, on_inspected,
			    rank, &rank->op, &own) < 0)
		start_failed(rank, &own);
}

static int create(struct rank *rank, struct sb_err *err);

static void on_in_the_way_removed(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct sb_err own = SB_ERR_INIT;

	if (acted(rank))
		return;
	if (err)
		start_failed(rank, err);
	else if (create(rank, &own) < 0)
		start_failed(rank, &own);
}

/* A container has the name. Ours of this launch: use it. Ours of an earlier one: replace it.
 * Somebody else's: leave it alone and say so. */
static void on_in_the_way(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct job *job = rank->job;
	const char *owner = info ? sb_container_label(info, LABEL_JOB) : NULL;
	const char *plan = info ? sb_container_label(info, LABEL_PLAN) : NULL;
	struct sb_err own = SB_ERR_INIT;

	rank->op = NULL;
	if (err) {
		start_failed(rank, err);
		return;
	}
	if (!owner || strcmp(owner, job->rec->plan->job) != 0 || rank->replaced) {
		sb_err_set(&own, SB_E_BUSY, "the name %s is taken by another container",
				info->name);
		start_failed(rank, &own);
		return;
	}
	if (info->state == SB_CONTAINER_RUNNING && plan &&
			strtoull(plan, NULL, 10) == job->rec->plan->created_unix_ms) {
		rank_running(rank, info);
		rank_answer_starts(rank, NULL);
		rank_look(rank); /* its events before this moment were not known to be ours */
		return;
	}
	rank->replaced = true;
	if (engine(rank)->ops->remove(engine(rank), info->id, true, on_in_the_way_removed, rank,
			    &rank->op, &own) < 0)
		start_failed(rank, &own);
	else
		rank->acting = true;
}

static int run(struct rank *rank, struct sb_err *err)
{
	int rc = engine(rank)->ops->start(engine(rank), job_own(rank->job)->container_id,
			on_started, rank, &rank->op, err);

	rank->acting = rc == 0;
	return rc;
}

static void on_files_put(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct sb_err own = SB_ERR_INIT;

	if (acted(rank))
		return;
	if (err)
		start_failed(rank, err);
	else if (run(rank, &own) < 0)
		start_failed(rank, &own);
}

/* The container exists: its files, and then its main process. */
static int put_files(struct rank *rank, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf tar = SB_STRBUF_INIT;
	int rc = files_tar(rank->job, &tar, err);

	if (rc < 0)
		return rc;
	if (!tar.len)
		return run(rank, err);
	rc = engine(rank)->ops->archive_put(engine(rank), job_own(rank->job)->container_id, "/",
			tar.data, tar.len, on_files_put, rank, &rank->op, err);
	rank->acting = rc == 0;
	return rc;
}

static void on_created(void *ctx, const char *id, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct sb_err own = SB_ERR_INIT;
	int rc;

	if (id)
		set_str(&job_own(rank->job)->container_id, id);
	if (acted(rank))
		return;
	if (err && err->code == SB_E_BUSY) {
		rc = engine(rank)->ops->inspect(engine(rank), job_spec(rank->job)->container_name,
				on_in_the_way, rank, &rank->op, &own);
	} else if (err) {
		start_failed(rank, err);
		return;
	} else {
		rc = put_files(rank, &own);
	}
	if (rc < 0)
		start_failed(rank, &own);
}

/* --- making it --- */

static int create(struct rank *rank, struct sb_err *err)
{
	SB_CLEANUP(rank_spec_done) struct rank_spec b = { 0 };
	int rc;

	if (rank_spec_fill(&b, rank->job) < 0)
		return sb_err_nomem(err);
	rc = engine(rank)->ops->create(engine(rank), &b.spec, on_created, rank, &rank->op, err);
	rank->acting = rc == 0;
	return rc;
}

static void on_image(void *ctx, const struct sb_image_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct sb_err own = SB_ERR_INIT;

	rank->op = NULL;
	if (err) {
		start_failed(rank, err);
		return;
	}
	rank->clear = info->entrypoint[0] && !sb_entry_keeps(info->entrypoint);
	if (create(rank, &own) < 0)
		start_failed(rank, &own);
}

/* What runs is the plan's words and nothing around them, so the image is looked at first, unless
 * the plan says what its entrypoint is to be. */
static int look_and_create(struct rank *rank, struct sb_err *err)
{
	const Sparkbus__RankSpec *spec = job_spec(rank->job);
	const Sparkbus__ContainerOptions *opt = spec->options;

	rank->clear = false;
	if (opt && (opt->has_entrypoint_case || opt->image_entrypoint))
		return create(rank, err);
	return engine(rank)->ops->image_inspect(
			engine(rank), spec->image, on_image, rank, &rank->op, err);
}

/* --- the verb --- */

/* Answer without starting anything: 1 = answered, 0 = go on, < 0 = refused. */
static int answer_now(struct rank *rank, uint64_t generation, sb_rank_fn fn, void *ctx,
		struct sb_err *err)
{
	struct job *job = rank->job;
	Sparkbus__RankStatus *own = job_own(job);

	if (own->stopped_by_operator ||
			(own->generation == generation &&
					(own->state == R(RUNNING) || own->state == R(EXITED) ||
							own->state == R(GONE)))) {
		fn(ctx, own, NULL);
		return 1;
	}
	if (rank->stopping)
		return sb_err_set(err, SB_E_BUSY, "rank %u of %s is being stopped", own->rank,
				job->rec->plan->job);
	/* A command may be overtaken by the stop that was sent after it. */
	if (!sb_job_startable(job->rec->status->state))
		return sb_err_set(err, SB_E_CANCELLED, "job %s is %s on %s", job->rec->plan->job,
				sb_job_state_name(job->rec->status->state),
				job->jobs->env.node_name);
	if (!job->jobs->adopted || (rank->op && own->state != R(CREATING)))
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"the container engine of %s has not answered yet",
				job->jobs->env.node_name);
	return 0;
}

/* The intent goes to disk before the container exists; without it nothing is made that a restarted
 * agent would not know of. */
static int begin(struct rank *rank, uint64_t generation, struct sb_err *err)
{
	struct job *job = rank->job;
	Sparkbus__RankStatus *own = job_own(job);
	int rc;

	own->generation = generation;
	own->gate_open = false;
	rank->replaced = false;
	rank->exited = false;
	rank->told = false;
	own->died = false;
	set_str(&own->reason, "");
	rank_set_state(rank, R(CREATING));
	rc = job_commit(job, err);
	return rc < 0 ? rc : look_and_create(rank, err);
}

int rank_start(struct rank *rank, uint64_t generation, sb_rank_fn fn, void *ctx, struct sb_err *err)
{
	struct start_waiter *w;
	int rc = answer_now(rank, generation, fn, ctx, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	w = malloc(sizeof(*w));
	if (!w)
		return sb_err_nomem(err);
	*w = (struct start_waiter){ .fn = fn, .ctx = ctx, .next = rank->starts };
	if (rank->starts || rank->op) { /* under way: share its outcome */
		rank->starts = w;
		return 0;
	}
	rc = begin(rank, generation, err);
	if (rc < 0) {
		free(w);
		rank_set_state(rank, R(PREPARED));
		return rc;
	}
	rank->starts = w;
	return 0;
}
