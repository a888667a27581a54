/* on_job.c - the verbs of jobs and ranks. The jobs module does the work; here wire meets it. */
#include "internal.h"

static void answer_prepare(void *ctx, const Sparkbus__PrepareReply *reply, const struct sb_err *err)
{
	if (err)
		sb_call_fail(ctx, err);
	else
		sb_call_reply(ctx, &reply->base);
}

HANDLER(on_prepare)
{
	return sb_jobs_prepare(((struct sb_agent *)agent)->jobs,
			(const Sparkbus__PrepareRequest *)body, answer_prepare, call, err);
}

HANDLER(on_release)
{
	Sparkbus__ReleaseReply reply = SPARKBUS__RELEASE_REPLY__INIT;
	bool released = false;
	int rc = sb_jobs_release(((struct sb_agent *)agent)->jobs,
			((const Sparkbus__ReleaseRequest *)body)->job, &released, err);

	if (rc < 0)
		return rc;
	reply.released = released;
	sb_call_reply(call, &reply.base);
	return 0;
}

static int reply_status(
		struct sb_agent *agent, struct sb_call *call, const char *job, struct sb_err *err)
{
	const Sparkbus__JobStatus *status = sb_jobs_status(agent->jobs, job);

	if (!status)
		return sb_err_set(err, SB_E_NOT_FOUND, "job %s is not known on %s", job,
				agent->identity.name);
	sb_call_reply(call, &status->base);
	return 0;
}

HANDLER(on_commit)
{
	const char *job = ((const Sparkbus__CommitRequest *)body)->job;
	int rc = sb_jobs_commit(((struct sb_agent *)agent)->jobs, job, err);

	return rc < 0 ? rc : reply_status(agent, call, job, err);
}

HANDLER(on_get_job)
{
	const Sparkbus__GetJobRequest *request = (const Sparkbus__GetJobRequest *)body;
	struct sb_agent *self = agent;
	const Sparkbus__JobStatus *status = sb_jobs_status(self->jobs, request->job);
	Sparkbus__JobStatus full;

	if (!status || !request->with_recipe)
		return reply_status(agent, call, request->job, err);
	full = *status;
	full.recipe_yaml = (char *)sb_jobs_recipe(self->jobs, request->job);
	sb_call_reply(call, &full.base);
	return 0;
}

static void answer_stop(void *ctx, const Sparkbus__StopJobReply *reply)
{
	sb_call_reply(ctx, &reply->base);
}

HANDLER(on_stop_job)
{
	const Sparkbus__StopJobRequest *request = (const Sparkbus__StopJobRequest *)body;

	if (sb_empty(request->job))
		return sb_err_set(err, SB_E_INVALID, "no job is named");
	sb_jobs_stop(((struct sb_agent *)agent)->jobs, request->job,
			request->has_grace_s_case ? (int)request->grace_s : -1, answer_stop, call);
	return 0;
}

HANDLER(on_stop_rank)
{
	return sb_jobs_stop_rank(((struct sb_agent *)agent)->jobs,
			(const Sparkbus__StopRankRequest *)body, answer_stop, call, err);
}

static void answer_start(void *ctx, const Sparkbus__RankStatus *status, const struct sb_err *err)
{
	if (err)
		sb_call_fail(ctx, err);
	else
		sb_call_reply(ctx, &status->base);
}

HANDLER(on_start_rank)
{
	return sb_jobs_start_rank(((struct sb_agent *)agent)->jobs,
			(const Sparkbus__StartRankRequest *)body, answer_start, call, err);
}

static bool try_watch(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		bool last)
{
	const Sparkbus__WatchRankRequest *request = (const Sparkbus__WatchRankRequest *)body;
	const Sparkbus__RankStatus *status;
	struct sb_err err = SB_ERR_INIT;

	if (sb_jobs_rank_status(agent->jobs, request, &status, &err) < 0) {
		sb_call_fail(call, &err);
		return true;
	}
	/* Any other version is news: a restarted agent counts from what it had on disk. */
	if (request->after_version && status->version == request->after_version && !last)
		return false;
	sb_call_reply(call, &status->base);
	return true;
}

HANDLER(on_watch_rank)
{
	return park(agent, call, body, ((const Sparkbus__WatchRankRequest *)body)->wait_ms,
			try_watch, err);
}
