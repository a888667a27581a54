/* rank_spec.c - from a rank's part of the plan to what the engine is asked to make. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "rank_spec.h"
#include "sb_gguf.h"

#define CACHE_MARKER "{hf_cache}"

void rank_spec_done(struct rank_spec *b)
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
	free(b->argv);
	free(b->model);
}

/* "auto" is the owner of the model cache, so that what the engine writes there stays theirs. */
bool rank_mapped_user(const struct job *job, uid_t *ret_uid, gid_t *ret_gid)
{
	const Sparkbus__ContainerOptions *opt = job_spec(job)->options;
	struct stat st;

	if (!opt || strcmp(opt->user, "auto") != 0)
		return false;
	if (stat(job->jobs->env.hf_cache, &st) < 0 || st.st_uid == 0)
		return false;
	*ret_uid = st.st_uid;
	*ret_gid = st.st_gid;
	return true;
}

bool rank_owner(const struct job *job, uid_t *ret_uid, gid_t *ret_gid)
{
	const Sparkbus__ContainerOptions *opt = job_spec(job)->options;
	unsigned uid, gid = 0;
	char rest;

	if (rank_mapped_user(job, ret_uid, ret_gid))
		return true;
	if (!opt || !isdigit((unsigned char)opt->user[0]))
		return false;
	if (sscanf(opt->user, "%9u%c", &uid, &rest) != 1 &&
			sscanf(opt->user, "%9u:%9u%c", &uid, &gid, &rest) != 2)
		return false;
	*ret_uid = uid;
	*ret_gid = gid;
	return true;
}

const char *rank_user(const struct job *job, char buf[RANK_USER_MAX])
{
	const Sparkbus__ContainerOptions *opt = job_spec(job)->options;
	uid_t uid;
	gid_t gid;

	if (!rank_mapped_user(job, &uid, &gid))
		return opt && strcmp(opt->user, "auto") != 0 ? opt->user : "";
	snprintf(buf, RANK_USER_MAX, "%u:%u", (unsigned)uid, (unsigned)gid);
	return buf;
}

int rank_gguf(const struct sb_jobs *jobs, const Sparkbus__RankSpec *spec, char **ret_word,
		char **ret_file, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *file = NULL;
	const Sparkbus__Mount *cache = NULL;
	int rc;

	for (size_t i = 0; i < spec->n_mounts; i++)
		if (!strcmp(spec->mounts[i]->source, CACHE_MARKER))
			cache = spec->mounts[i];
	if (!cache)
		return sb_err_set(err, SB_E_NOT_FOUND, "the container has no model cache");
	rc = sb_gguf_find(jobs->env.hf_cache, spec->gguf, &file, err);
	if (rc < 0)
		return rc;
	if (asprintf(ret_word, "%s/%s", cache->target, file) < 0) {
		*ret_word = NULL;
		return sb_err_nomem(err);
	}
	*ret_file = sb_steal(file);
	return 0;
}

/* The file of a GGUF model takes the place of its name. */
static void use_gguf(struct rank_spec *b, const struct job *job, const char **argv)
{
	const Sparkbus__GgufModel *gguf = job_spec(job)->gguf;
	SB_CLEANUP(sb_freep) char *file = NULL;

	if (!gguf || rank_gguf(job->jobs, job_spec(job), &b->model, &file, NULL) < 0)
		return;
	argv[gguf->word] = b->model;
	if (*gguf->file_flag)
		argv[gguf->word - 1] = gguf->file_flag;
}

/* With hooks, the entry script comes first; it may have to be root to run them, and drops. */
static int build_main(struct rank_spec *b, const struct job *job)
{
	const Sparkbus__RankSpec *rank = job_spec(job);
	size_t n = job->rec->plan->n_pre_exec ? 2 : 0; /* words before the plan's */

	b->spec.user = rank_user(job, b->user);
	b->argv = calloc(rank->n_argv + 2, sizeof(*b->argv));
	if (!b->argv)
		return -1;
	memcpy(b->argv + n, rank->argv, rank->n_argv * sizeof(*b->argv));
	use_gguf(b, job, b->argv + n);
	b->spec.argv = b->argv;
	b->spec.n_argv = n + rank->n_argv;
	if (!n)
		return 0;
	if (sb_entry_drops(b->spec.user))
		b->spec.user = "0:0";
	b->argv[0] = "/bin/sh";
	b->argv[1] = SB_ENTRY_PATH;
	return 0;
}

static int build_mounts(struct rank_spec *b, const Sparkbus__RankSpec *rank, const char *hf_cache,
		bool mapped)
{
	static const char *const accounts[] = { "/etc/passwd", "/etc/group" };
	static const char marker[] = CACHE_MARKER;

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

static int build_env(struct rank_spec *b, const Sparkbus__RankSpec *rank, bool mapped)
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
		struct rank_spec *b, const struct job *job, const Sparkbus__ContainerOptions *opt)
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

static int build_limits(struct rank_spec *b, const Sparkbus__ContainerOptions *opt)
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

int rank_spec_fill(struct rank_spec *b, const struct job *job)
{
	static const Sparkbus__ContainerOptions none = SPARKBUS__CONTAINER_OPTIONS__INIT;
	const Sparkbus__RankSpec *rank = job_spec(job);
	const Sparkbus__ContainerOptions *opt = rank->options ? rank->options : &none;
	const char *hf_cache = job->jobs->env.hf_cache;
	uid_t uid;
	gid_t gid;
	bool mapped = rank_mapped_user(job, &uid, &gid);

	b->spec.name = rank->container_name;
	b->spec.image = rank->image;
	b->spec.set_entrypoint = opt->has_entrypoint_case != 0 || job->rank.clear;
	b->spec.entrypoint = opt->has_entrypoint_case ? opt->entrypoint : "";
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
	if (build_main(b, job) < 0 || build_mounts(b, rank, hf_cache, mapped) < 0 ||
			build_env(b, rank, mapped) < 0 || build_labels(b, job, opt) < 0 ||
			build_limits(b, opt) < 0)
		return -1;
	return 0;
}
