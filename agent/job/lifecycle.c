#include <assert.h>

#include "sb_lifecycle.h"

#define S(state) SPARKBUS__JOB_STATE__JOB_##state

static const struct {
	sb_job_state from;
	enum sb_job_event on;
	sb_job_state to;
} edges[] = {
	{ S(PREPARED), SB_JOB_EV_COMMIT, S(STARTING) },
	{ S(PREPARED), SB_JOB_EV_FAIL, S(STOPPING) },
	{ S(PREPARED), SB_JOB_EV_STOP, S(STOPPING) },
	{ S(STARTING), SB_JOB_EV_ALIVE, S(READY) },
	{ S(STARTING), SB_JOB_EV_FAIL, S(STOPPING) },
	{ S(STARTING), SB_JOB_EV_STOP, S(STOPPING) },
	{ S(READY), SB_JOB_EV_SILENT, S(UNHEALTHY) },
	{ S(READY), SB_JOB_EV_FAIL, S(STOPPING) },
	{ S(READY), SB_JOB_EV_STOP, S(STOPPING) },
	{ S(UNHEALTHY), SB_JOB_EV_ALIVE, S(READY) },
	{ S(UNHEALTHY), SB_JOB_EV_FAIL, S(STOPPING) },
	{ S(UNHEALTHY), SB_JOB_EV_STOP, S(STOPPING) },
	{ S(STOPPING), SB_JOB_EV_GONE_STOPPED, S(STOPPED) },
	{ S(STOPPING), SB_JOB_EV_GONE_FAILED, S(FAILED) },
};

static const char *const job_names[] = {
	[SPARKBUS__JOB_STATE__JOB_STATE_UNSPECIFIED] = "UNSPECIFIED",
	[S(PREPARED)] = "PREPARED",
	[S(STARTING)] = "STARTING",
	[S(READY)] = "READY",
	[S(UNHEALTHY)] = "UNHEALTHY",
	[S(RESTARTING)] = "RESTARTING",
	[S(STOPPING)] = "STOPPING",
	[S(STOPPED)] = "STOPPED",
	[S(FAILED)] = "FAILED",
};

static const char *const rank_names[] = {
	[SPARKBUS__RANK_STATE__RANK_STATE_UNSPECIFIED] = "unspecified",
	[SPARKBUS__RANK_STATE__RANK_PREPARED] = "prepared",
	[SPARKBUS__RANK_STATE__RANK_CREATING] = "creating",
	[SPARKBUS__RANK_STATE__RANK_RUNNING] = "running",
	[SPARKBUS__RANK_STATE__RANK_EXITED] = "exited",
	[SPARKBUS__RANK_STATE__RANK_GONE] = "gone",
	[SPARKBUS__RANK_STATE__RANK_UNKNOWN] = "unknown",
};

sb_job_state sb_job_next(sb_job_state from, enum sb_job_event ev)
{
	for (size_t i = 0; i < sb_countof(edges); i++)
		if (edges[i].from == from && edges[i].on == ev)
			return edges[i].to;
	return from;
}

bool sb_job_ended(sb_job_state state)
{
	return state == S(STOPPED) || state == S(FAILED);
}

bool sb_job_active(sb_job_state state)
{
	return state >= S(STARTING) && state <= S(STOPPING);
}

bool sb_job_startable(sb_job_state state)
{
	return state >= S(PREPARED) && state < S(STOPPING);
}

const char *sb_job_state_name(sb_job_state state)
{
	return (unsigned)state < sb_countof(job_names) ? job_names[state] : "UNSPECIFIED";
}

const char *sb_rank_state_name(Sparkbus__RankState state)
{
	return (unsigned)state < sb_countof(rank_names) ? rank_names[state] : "unspecified";
}
