/* prepare.c - may this rank run here? Everything that is wrong, at once, and then the lease.
 *
 * What the node itself knows (ports, devices, disks) is looked at first; the engine is asked for
 * the image and for a container in the way, both at the same time. The lease is taken only after
 * everything answered and nothing fatal was found. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "rank_spec.h"
#include "sb_gguf.h"

#define PROBLEMS_MAX   32
#define STATE_FREE_MIN ((uint64_t)64 << 20) /* records and logs need this much */
#define LEASE_MAX_MS   3600000u
#define TEXT_MAX       400
#define RANKS_MAX      256u /* of a plan; each is a node */

#define P(kind) SPARKBUS__PROBLEM_KIND__PROBLEM_##kind

struct prepare {
	struct prepare *next;
	struct sb_jobs *jobs;
	Sparkbus__LaunchPlan *plan;
	uint32_t rank;
	uint32_t lease_ms;
	sb_prepare_fn fn;
	void *ctx;
	struct sb_engine_call *image, *container;
	unsigned pending;
	Sparkbus__Problem problems[PROBLEMS_MAX];
	Sparkbus__Problem *list[PROBLEMS_MAX];
	char messages[PROBLEMS_MAX][TEXT_MAX];
	char hints[PROBLEMS_MAX][TEXT_MAX];
	size_t n;
	char note[TEXT_MAX], *notes[1];
	bool fatal;
	bool job_here;
};

static const Sparkbus__RankSpec *spec_of(const struct prepare *p)
{
	return p->plan->ranks[p->rank];
}

static void SB_PRINTF(5, 6) problem(struct prepare *p, Sparkbus__ProblemKind kind, bool fatal,
		const char *hint, const char *fmt, ...)
{
	va_list ap;

	if (p->n == PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(p->messages[p->n], TEXT_MAX, fmt, ap);
	va_end(ap);
	snprintf(p->hints[p->n], TEXT_MAX, "%s", hint);
	sparkbus__problem__init(&p->problems[p->n]);
	p->problems[p->n].kind = kind;
	p->problems[p->n].fatal = fatal;
	p->problems[p->n].message = p->messages[p->n];
	p->problems[p->n].hint = p->hints[p->n];
	p->list[p->n] = &p->problems[p->n];
	p->n++;
	p->fatal |= fatal;
}

/* --- what the node knows by itself --- */

static void check_job(struct prepare *p)
{
	const struct job *job = job_find(p->jobs, p->plan->job);
	const Sparkbus__JobStatus *st = job ? job->rec->status : NULL;
	char hint[TEXT_MAX];

	if (!st || !job_busy(job))
		return;
	snprintf(hint, sizeof(hint), "sparkbus stop %s", p->plan->job);
	if (sb_job_ended(st->state))
		problem(p, P(JOB), true, hint,
				"%s has ended, but not every rank of it is known to have stopped",
				p->plan->job);
	else
		problem(p, P(JOB), true, hint, "%s is already here and %s", p->plan->job,
				sb_job_state_name(st->state));
}

/* Ports that another job of this node will use, though its engine may not have opened them yet. */
static const struct job *port_owner(struct prepare *p, uint32_t port)
{
	for (const struct job *job = p->jobs->list; job; job = job->next) {
		const Sparkbus__RankSpec *spec = job_spec(job);

		if (strcmp(job->rec->plan->job, p->plan->job) == 0 ||
				sb_job_ended(job->rec->status->state))
			continue;
		for (size_t i = 0; i < spec->n_ports; i++)
			if (spec->ports[i] == port)
				return job;
	}
	return NULL;
}

static void check_ports(struct prepare *p)
{
	for (size_t i = 0; i < spec_of(p)->n_ports; i++) {
		uint32_t port = spec_of(p)->ports[i];
		const struct job *owner = port_owner(p, port);
		char who[128] = "";
		bool busy = false;

		if (port == 0 || port > 65535)
			problem(p, P(PLAN), true, "", "port %u is not a TCP port", port);
		else if (owner)
			problem(p, P(PORT), true, "choose another with --port",
					"port %u belongs to %s (%s)", port, owner->rec->plan->job,
					sb_job_state_name(owner->rec->status->state));
		else if (sb_node_port_busy((uint16_t)port, &busy, who, sizeof(who), NULL) == 0 &&
				busy)
			problem(p, P(PORT), true, "stop what uses it, or choose another port",
					"port %u is in use%s%s", port, *who ? " by " : "", who);
	}
}

static void check_devices(struct prepare *p)
{
	const Sparkbus__ContainerOptions *opt = spec_of(p)->options;

	for (size_t i = 0; opt && i < opt->n_devices; i++)
		if (!opt->devices[i]->optional && access(opt->devices[i]->path, F_OK) < 0)
			problem(p, P(DEVICE), true, "", "device %s does not exist",
					opt->devices[i]->path);
	if (opt && !sb_empty(opt->restart_policy) && strcmp(opt->restart_policy, "no") != 0)
		problem(p, P(PLAN), false, "",
				"restart policy \"%s\" is not given to the engine: a rank that "
				"dies ends "
				"its gang",
				opt->restart_policy);
}

static void check_mounts(struct prepare *p)
{
	static const char marker[] = "{hf_cache}";
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < spec_of(p)->n_mounts; i++) {
		const char *source = spec_of(p)->mounts[i]->source;

		if (strncmp(source, marker, strlen(marker)) != 0) {
			if (access(source, F_OK) < 0)
				problem(p, P(PLAN), true, "", "mount source %s does not exist",
						source);
		} else if (access(p->jobs->env.hf_cache, F_OK) < 0 &&
				sb_fs_mkdirs(p->jobs->env.hf_cache, 0755, &err) < 0) {
			problem(p, P(DISK), true,
					"set models.hf_cache in the agent's configuration",
					"the model cache cannot be made: %s", err.text);
		}
	}
}

static void check_disk(struct prepare *p)
{
	uint64_t total, free_bytes;
	struct sb_err err = SB_ERR_INIT;

	if (sb_node_disk(p->jobs->env.state_dir, &total, &free_bytes, &err) < 0)
		problem(p, P(DISK), true, "", "state folder: %s", err.text);
	else if (free_bytes < STATE_FREE_MIN)
		problem(p, P(DISK), true, "free some space there",
				"%s has %llu MiB free, %llu MiB are needed", p->jobs->env.state_dir,
				(unsigned long long)(free_bytes >> 20),
				(unsigned long long)(STATE_FREE_MIN >> 20));
}

/* Hugging Face layout: hub/models--<org>--<name>/snapshots/<commit>/. */
static bool model_cached(const char *hf_cache, const char *model)
{
	char path[4096];
	size_t at;
	int n = snprintf(path, sizeof(path), "%s/hub/models--", hf_cache);
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (n < 0 || (size_t)n + 3 * strlen(model) + sizeof("/snapshots") >= sizeof(path))
		return false;
	at = (size_t)n;
	for (const char *c = model; *c && *c != ':'; c++) {
		if (*c == '/') {
			path[at++] = '-';
			path[at++] = '-';
		} else {
			path[at++] = *c;
		}
	}
	strcpy(path + at, "/snapshots");
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	closedir(dir);
	return found;
}

#define DRAFTS_MAX 8 /* looked for; no engine takes more */

static void check_model(struct prepare *p, const char *model, const char *what)
{
	if (sb_empty(model) || model[0] == '/')
		return;
	if (!model_cached(p->jobs->env.hf_cache, model))
		problem(p, P(MODEL), false, "", "%s%s is not in the model cache %s", what, model,
				p->jobs->env.hf_cache);
}

/* Which file a GGUF model is. Without one the engine is left to find it, as the recipe has it. */
static void check_gguf(struct prepare *p)
{
	const Sparkbus__RankSpec *spec = spec_of(p);
	SB_CLEANUP(sb_freep) char *word = NULL, *file = NULL;
	struct sb_err err = SB_ERR_INIT;

	if (rank_gguf(p->jobs, spec, &word, &file, &err) == 0)
		snprintf(p->note, sizeof(p->note), "serves %.300s from the model cache", file);
	else
		problem(p, P(MODEL), false, "", "%s; the engine must find %s itself", err.text,
				spec->argv[spec->gguf->word]);
}

/* Where another rank is told the model's file, and this one is not, this one reads no model:
 * llama.cpp's workers get their part from the head. */
static bool reads_no_model(const struct prepare *p)
{
	bool other = false;

	for (size_t i = 0; i < p->plan->n_ranks; i++)
		other |= p->plan->ranks[i]->gguf != NULL;
	return other && !spec_of(p)->gguf;
}

static void check_models(struct prepare *p)
{
	if (spec_of(p)->gguf)
		check_gguf(p);
	else if (!reads_no_model(p))
		check_model(p, p->plan->model, "");
	for (size_t i = 0; i < p->plan->n_draft_models && i < DRAFTS_MAX; i++)
		check_model(p, p->plan->draft_models[i], "the draft ");
}

/* --- what the engine knows --- */

static void p_free(struct prepare *p)
{
	sparkbus__launch_plan__free_unpacked(p->plan, NULL);
	free(p);
}

void prepares_free(struct sb_jobs *jobs)
{
	struct sb_engine *eng = jobs->env.engine;

	while (jobs->prepares) {
		struct prepare *p = jobs->prepares;

		jobs->prepares = p->next;
		if (p->image)
			eng->ops->cancel(eng, p->image);
		if (p->container)
			eng->ops->cancel(eng, p->container);
		p_free(p);
	}
}

static void unlink_prepare(struct prepare *p)
{
	for (struct prepare **at = &p->jobs->prepares; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			return;
		}
}

static void finish(struct prepare *p)
{
	Sparkbus__PrepareReply reply = SPARKBUS__PREPARE_REPLY__INIT;
	uint64_t until = sb_now_unix_ms() + p->lease_ms;
	struct sb_err err = SB_ERR_INIT;
	struct job *job;

	/* Another caller may have got the job or a port while the engine was asked. */
	if (!p->fatal) {
		check_job(p);
		check_ports(p);
	}
	if (!p->fatal && job_adopt_plan(p->jobs, p->plan, p->rank, until, &job, &err) < 0)
		problem(p, P(DISK), true, err.hint, "the plan cannot be kept: %s", err.text);
	if (!p->fatal) {
		reply.leased = true;
		reply.lease_unix_ms = until;
		sb_events_add(p->jobs->env.events, "job.state", p->plan->job, -1, job->rec->status,
				"PREPARED: lease for %u s", p->lease_ms / 1000);
	}
	reply.problems = p->list;
	reply.n_problems = p->n;
	p->notes[0] = p->note;
	reply.notes = p->notes;
	reply.n_notes = *p->note ? 1 : 0;
	unlink_prepare(p);
	p->fn(p->ctx, &reply, NULL);
	p_free(p);
}

static void engine_trouble(struct prepare *p, const struct sb_err *err)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->problems[i].kind == P(ENGINE))
			return; /* two questions, one trouble */
	problem(p, P(ENGINE), true, err->hint, "%s", err->text);
}

static void answered(struct prepare *p)
{
	if (--p->pending == 0)
		finish(p);
}

static void on_image(void *ctx, const struct sb_image_info *info, const struct sb_err *err)
{
	struct prepare *p = ctx;

	p->image = NULL;
	if (err && err->code == SB_E_NOT_FOUND)
		problem(p, P(IMAGE), true, "", "image %s is not on this node", spec_of(p)->image);
	else if (err)
		engine_trouble(p, err);
	answered(p);
}

static void on_container(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct prepare *p = ctx;
	const char *owner = info ? sb_container_label(info, LABEL_JOB) : NULL;
	char hint[TEXT_MAX];

	p->container = NULL;
	if (err && err->code != SB_E_NOT_FOUND) {
		engine_trouble(p, err);
	} else if (info && (!owner || strcmp(owner, p->plan->job) != 0)) {
		snprintf(hint, sizeof(hint), "rename or remove it: docker rename %s ...",
				info->name);
		problem(p, P(NAME), true, hint,
				"a container that is not ours has the name %s; it is left alone",
				spec_of(p)->container_name);
	} else if (info && !p->job_here) {
		problem(p, P(NAME), false, "", "%s is left from an earlier launch and is replaced",
				spec_of(p)->container_name);
	}
	answered(p);
}

static void ask_engine(struct prepare *p)
{
	struct sb_engine *eng = p->jobs->env.engine;
	struct sb_err err = SB_ERR_INIT;

	p->pending = 3; /* one for us, so that finish() comes after both were asked */
	if (eng->ops->image_inspect(eng, spec_of(p)->image, on_image, p, &p->image, &err) < 0) {
		engine_trouble(p, &err);
		p->pending--;
	}
	if (eng->ops->inspect(eng, spec_of(p)->container_name, on_container, p, &p->container,
			    &err) < 0) {
		engine_trouble(p, &err);
		p->pending--;
	}
	answered(p);
}

/* --- the verb --- */

static bool job_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 64 &&
			strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* The leader finds ranks by their numbers and nodes by their names: one rank on a node. */
static int check_ranks(const Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	if (plan->n_ranks > RANKS_MAX)
		return sb_err_set(err, SB_E_RANGE, "plan of %s has %zu ranks, over %u", plan->job,
				plan->n_ranks, RANKS_MAX);
	for (size_t i = 0; i < plan->n_ranks; i++) {
		if (plan->ranks[i]->rank != i)
			return sb_err_set(err, SB_E_INVALID, "rank %zu of %s has the number %u", i,
					plan->job, plan->ranks[i]->rank);
		for (size_t k = 0; k < i; k++)
			if (strcmp(plan->ranks[k]->node, plan->ranks[i]->node) == 0)
				return sb_err_set(err, SB_E_INVALID,
						"ranks %zu and %zu of %s are both on node %s", k, i,
						plan->job, plan->ranks[i]->node);
	}
	return 0;
}

static int check_plan(const struct sb_jobs *jobs, const Sparkbus__PrepareRequest *request,
		struct sb_err *err)
{
	const Sparkbus__LaunchPlan *plan = request->plan;
	const Sparkbus__RankSpec *spec;
	int rc;

	if (!plan || !job_name_ok(plan->job))
		return sb_err_set(err, SB_E_INVALID, "the plan has no valid job id");
	if (request->rank >= plan->n_ranks)
		return sb_err_set(err, SB_E_INVALID, "plan of %s has %zu ranks, none is %u",
				plan->job, plan->n_ranks, request->rank);
	rc = check_ranks(plan, err);
	if (rc < 0)
		return rc;
	spec = plan->ranks[request->rank];
	if (spec->rank != request->rank || strcmp(spec->node, jobs->env.node_name) != 0)
		return sb_err_set(err, SB_E_INVALID, "rank %u of %s is for node %s, this is %s",
				request->rank, plan->job, spec->node, jobs->env.node_name);
	if (spec->n_argv == 0 || sb_empty(spec->image) || sb_empty(spec->container_name))
		return sb_err_set(err, SB_E_INVALID,
				"rank %u of %s lacks its command, image or container name",
				spec->rank, plan->job);
	if (plan->created_unix_ms == 0)
		return sb_err_set(
				err, SB_E_INVALID, "plan of %s has no time of creation", plan->job);
	rc = spec->gguf ? sb_gguf_check(spec->gguf, spec->n_argv, err) : 0;
	return rc < 0 ? rc : files_check(plan, err);
}

int sb_jobs_prepare(struct sb_jobs *jobs, const Sparkbus__PrepareRequest *request, sb_prepare_fn fn,
		void *ctx, struct sb_err *err)
{
	struct prepare *p;
	ProtobufCMessage *plan = NULL;
	int rc = check_plan(jobs, request, err);

	if (rc == 0)
		rc = sb_wire_dup(&request->plan->base, &plan, err);
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p) {
		protobuf_c_message_free_unpacked(plan, NULL);
		return sb_err_nomem(err);
	}
	p->jobs = jobs;
	p->plan = (Sparkbus__LaunchPlan *)plan;
	p->rank = request->rank;
	p->lease_ms = request->lease_ms ? request->lease_ms : SB_LEASE_DEFAULT_MS;
	if (p->lease_ms > LEASE_MAX_MS)
		p->lease_ms = LEASE_MAX_MS;
	p->fn = fn;
	p->ctx = ctx;
	p->next = jobs->prepares;
	jobs->prepares = p;
	check_job(p);
	p->job_here = p->fatal; /* then its port and its container are no news */
	if (!p->job_here)
		check_ports(p);
	check_devices(p);
	check_mounts(p);
	check_disk(p);
	check_models(p);
	ask_engine(p);
	return 0;
}
