/* rank_process.c - the main process of a container, held by a descriptor, so that it can be killed
 * without asking the engine and without hitting another that got its number. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "internal.h"

#define R(state) SPARKBUS__RANK_STATE__RANK_##state

/* The engine names a container's cgroup after its id. */
static bool in_container(int pid, const char *id)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return !sb_empty(id) && sb_fs_read(path, 64 << 10, &text, NULL) == 0 &&
			strstr(sb_strbuf_str(&text), id);
}

static bool ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

void rank_let_process(struct rank *rank)
{
	if (rank->pidfd >= 0)
		close(rank->pidfd);
	rank->pidfd = -1;
	rank->pid = 0;
}

void rank_hold_process(struct rank *rank, const struct sb_container_info *info)
{
	rank_let_process(rank);
	free(sb_steal(rank->killed_why));
	if (info->pid <= 0)
		return;
	rank->pidfd = pidfd_open(info->pid, 0);
	rank->pid = info->pid;
	/* Looked at after the descriptor was had, and alive still: the number was not reused. */
	if (rank->pidfd >= 0 && (!in_container(info->pid, info->id) || ended(rank->pidfd)))
		rank_let_process(rank);
}

size_t sb_jobs_processes(struct sb_jobs *jobs, struct sb_job_process *list, size_t max)
{
	size_t n = 0;

	for (struct job *job = jobs->list; job && n < max; job = job->next) {
		if (job_own(job)->state != R(RUNNING) || job->rank.stopping)
			continue;
		list[n++] = (struct sb_job_process){
			.job = job->rec->plan->job,
			.rank = job_own(job)->rank,
			.container = job_own(job)->container_id,
			.pidfd = job->rank.pidfd,
			.pid = job->rank.pid,
			.priority = job->rec->plan->priority,
			.loading = job->rec->status->state <= SPARKBUS__JOB_STATE__JOB_STARTING,
			.started_unix_ms = job_own(job)->started_unix_ms,
		};
	}
	return n;
}

static void on_killed(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;

	rank->op = NULL;
	if (err)
		sb_log(SB_LOG_WARN, "rank.kill", "job=%s error=\"%s\"", rank->job->rec->plan->job,
				err->text);
	rank_look(rank);
}

void sb_jobs_killed(struct sb_jobs *jobs, const char *name, const char *why)
{
	struct job *job = job_find(jobs, name);
	struct rank *rank = job ? &job->rank : NULL;
	struct sb_engine *engine = jobs->env.engine;

	if (!job || job_own(job)->state != R(RUNNING) || rank->exited)
		return;
	free(rank->killed_why);
	rank->killed_why = strdup(why);
	job_note(job, "%s", why);
	if (!rank->op && !rank->stopping)
		engine->ops->kill(engine, job_own(job)->container_id, SIGKILL, on_killed, rank,
				&rank->op, NULL);
}
