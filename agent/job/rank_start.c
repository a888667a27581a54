/* rank_start.c - from a rank's spec to a running container: create, start, read back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

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
		rc = engine(rank)->ops->start(engine(rank), id, on_started, rank, &rank->op, &own);
		rank->acting = rc == 0;
	}
	if (rc < 0)
		start_failed(rank, &own);
}

/* --- RankSpec to container spec --- */

/* What the engine's spec borrows while create() runs. */
struct build {
	struct sb_container_spec spec;
	struct sb_kv *env, *labels;
	struct sb_engine_mount *mounts;
	struct sb_engine_ulimit *ulimits;
	const char **devices;
	char **paths; /* mount sources with {hf_cache} filled in */
	size_t n_paths;
	char *label_texts; /* "key=value" of the plan, cut at '=' */
	char user[48], rank[16], generation[24], plan[24];
};

static void build_done(struct build *b)
{
	for (size_t i = 0; i < b->n_paths; i++)
		free(b->paths[i]);
	free(b->paths);
	free(b->env);
	free(b->labels);
	free(b->mounts);
	free(b->ulimits);
	free(b->devices);
	free(b->label_texts);
}

/* "auto" is the owner of the model cache, so that what the engine writes there stays theirs. */
static bool resolve_user(struct build *b, const char *user, const char *hf_cache)
{
	struct stat st;

	if (strcmp(user, "auto") != 0) {
		b->spec.user = user;
		return false;
	}
	if (stat(hf_cache, &st) < 0 || st.st_uid == 0)
		return false;
	snprintf(b->user, sizeof(b->user), "%u:%u", (unsigned)st.st_uid, (unsigned)st.st_gid);
	b->spec.user = b->user;
	return true;
}

static int build_mounts(
		struct build *b, const Sparkbus__RankSpec *rank, const char *hf_cache, bool mapped)
{
	static const char *const accounts[] = { "/etc/passwd", "/etc/group" };
	static const char marker[] = "{hf_cache}";

	b->mounts = calloc(rank->n_mounts + sb_countof(accounts), sizeof(*b->mounts));
	b->paths = calloc(rank->n_mounts + 1, sizeof(*b->paths));
	if (!b->mounts || !b->paths)
		return -1;
	for (size_t i = 0; i < rank->n_mounts; i++) {
		const Sparkbus__Mount *m = rank->mounts[i];
		bool cache = strncmp(m->source, marker, strlen(marker)) == 0;

		if (asprintf(&b->paths[i], "%s%s", cache ? hf_cache : "",
				    m->source + (cache ? strlen(marker) : 0)) < 0) {
			b->paths[i] = NULL;
			return -1;
		}
		b->n_paths++;
		b->mounts[b->spec.n_mounts++] = (struct sb_engine_mount){
			.source = b->paths[i], .target = m->target, .read_only = m->read_only
		};
	}
	for (size_t i = 0; mapped && i < sb_countof(accounts); i++)
		b->mounts[b->spec.n_mounts++] = (struct sb_engine_mount){
			.source = accounts[i], .target = accounts[i], .read_only = true
		};
	b->spec.mounts = b->mounts;
	return 0;
}

static int build_env(struct build *b, const Sparkbus__RankSpec *rank, bool mapped)
{
	bool has_home = false;

	b->env = calloc(rank->n_env + 1, sizeof(*b->env));
	if (!b->env)
		return -1;
	for (size_t i = 0; i < rank->n_env; i++) {
		has_home |= strcmp(rank->env[i]->name, "HOME") == 0;
		b->env[b->spec.n_env++] = (struct sb_kv){ rank->env[i]->name, rank->env[i]->value };
	}
	if (mapped && !has_home) /* the mapped user has no home in the image */
		b->env[b->spec.n_env++] = (struct sb_kv){ "HOME", "/tmp" };
	b->spec.env = b->env;
	return 0;
}

static int build_labels(
		struct build *b, const struct job *job, const Sparkbus__ContainerOptions *opt)
{
	size_t size = 1;
	char *at;

	for (size_t i = 0; i < opt->n_labels; i++)
		size += strlen(opt->labels[i]) + 1;
	b->labels = calloc(opt->n_labels + 4, sizeof(*b->labels));
	at = b->label_texts = malloc(size);
	if (!b->labels || !at)
		return -1;
	for (size_t i = 0; i < opt->n_labels; i++) {
		char *eq;

		strcpy(at, opt->labels[i]);
		eq = strchr(at, '=');
		if (eq)
			*eq = '\0';
		b->labels[b->spec.n_labels++] = (struct sb_kv){ at, eq ? eq + 1 : "" };
		at += strlen(opt->labels[i]) + 1;
	}
	snprintf(b->rank, sizeof(b->rank), "%u", job->rec->rank);
	snprintf(b->generation, sizeof(b->generation), "%" PRIu64, job->rec->own->generation);
	snprintf(b->plan, sizeof(b->plan), "%" PRIu64, job->rec->plan->created_unix_ms);
	b->labels[b->spec.n_labels++] = (struct sb_kv){ LABEL_JOB, job->rec->plan->job };
	b->labels[b->spec.n_labels++] = (struct sb_kv){ LABEL_RANK, b->rank };
	b->labels[b->spec.n_labels++] = (struct sb_kv){ LABEL_GENERATION, b->generation };
	b->labels[b->spec.n_labels++] = (struct sb_kv){ LABEL_PLAN, b->plan };
	b->spec.labels = b->labels;
	return 0;
}

static int build_limits(struct build *b, const Sparkbus__ContainerOptions *opt)
{
	b->ulimits = calloc(opt->n_ulimits + 1, sizeof(*b->ulimits));
	b->devices = calloc(opt->n_devices + 1, sizeof(*b->devices));
	if (!b->ulimits || !b->devices)
		return -1;
	for (size_t i = 0; i < opt->n_ulimits; i++)
		b->ulimits[b->spec.n_ulimits++] =
				(struct sb_engine_ulimit){ .name = opt->ulimits[i]->name,
					.soft = opt->ulimits[i]->soft,
					.hard = opt->ulimits[i]->hard };
	for (size_t i = 0; i < opt->n_devices; i++)
		if (!opt->devices[i]->optional || access(opt->devices[i]->path, F_OK) == 0)
			b->devices[b->spec.n_devices++] = opt->devices[i]->path;
	b->spec.ulimits = b->ulimits;
	b->spec.devices = b->devices;
	return 0;
}

static int build_spec(struct build *b, const struct job *job)
{
	static const Sparkbus__ContainerOptions none = SPARKBUS__CONTAINER_OPTIONS__INIT;
	const Sparkbus__RankSpec *rank = job_spec(job);
	const Sparkbus__ContainerOptions *opt = rank->options ? rank->options : &none;
	const char *hf_cache = job->jobs->env.hf_cache;
	bool mapped;

	b->spec.name = rank->container_name;
	b->spec.image = rank->image;
	b->spec.argv = (const char *const *)rank->argv;
	b->spec.n_argv = rank->n_argv;
	b->spec.set_entrypoint = opt->has_entrypoint_case != 0;
	b->spec.entrypoint = opt->has_entrypoint_case ? opt->entrypoint : NULL;
	b->spec.cap_add = (const char *const *)opt->cap_add;
	b->spec.n_cap_add = opt->n_cap_add;
	b->spec.security_opt = (const char *const *)opt->security_opt;
	b->spec.n_security_opt = opt->n_security_opt;
	b->spec.gpus = opt->gpus;
	b->spec.ipc = opt->ipc;
	b->spec.network = opt->network;
	b->spec.shm_bytes = opt->shm_bytes;
	b->spec.memory_bytes = opt->memory_bytes;
	b->spec.privileged = opt->privileged;
	b->spec.init = opt->init;
	/* The gang restarts ranks, all together; the engine must not restart one by itself. */
	b->spec.restart_policy = NULL;
	mapped = resolve_user(b, opt->user, hf_cache);
	if (build_mounts(b, rank, hf_cache, mapped) < 0 || build_env(b, rank, mapped) < 0 ||
			build_labels(b, job, opt) < 0 || build_limits(b, opt) < 0)
		return -1;
	return 0;
}

static int create(struct rank *rank, struct sb_err *err)
{
	SB_CLEANUP(build_done) struct build b = { 0 };
	int rc;

	if (build_spec(&b, rank->job) < 0)
		return sb_err_nomem(err);
	rc = engine(rank)->ops->create(engine(rank), &b.spec, on_created, rank, &rank->op, err);
	rank->acting = rc == 0;
	return rc;
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
	return rc < 0 ? rc : create(rank, err);
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
