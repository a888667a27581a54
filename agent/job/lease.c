/* lease.c - a prepared job that nobody commits is dropped, by its time or when it is released. */
#include "internal.h"

/* The lease was not used. What the job was before it is known again, with its logs. */
static void drop_lease(struct job *job)
{
	if (!job->before) {
		job_remove(job);
		return;
	}
	sparkbus__job_record__free_unpacked(job->rec, NULL);
	job->rec = sb_steal(job->before);
	job_save(job);
	job_changed(job);
}

static int on_lease(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct job *job = ctx;

	if (job->rec->committed || job->rec->status->state != SPARKBUS__JOB_STATE__JOB_PREPARED)
		return 0;
	sb_events_add(job->jobs->env.events, "job.lease", job->rec->plan->job, -1, NULL,
			"the lease ran out without a commit");
	drop_lease(job);
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
		drop_lease(job);
	return 0;
}
