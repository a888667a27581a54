/* guarding.c - the memory guard among the other features: it is told of the jobs, and what it did
 * becomes events, reasons and a state to show. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_log.h"

#define JOBS_EVERY_MS 500u
#define DROP_CACHES   "/proc/sys/vm/drop_caches"

struct sb_guarding {
	struct sb_agent *agent;
	struct sb_guard *guard;
	struct sb_workers *workers; /* dropping the cache takes as long as there is cache */
	sd_event_source *timer;
	Sparkbus__GuardState state;
	char last_act[256];
	bool dropping;
	uint64_t drop_began_ms;
	int drop_errno;
};

/* --- jobs to choose from --- */

/* Bytes that @job holds here: its cgroup's, and the GPU's, which no cgroup counts. */
static uint64_t bytes_of(struct sb_agent *agent, const char *job)
{
	const Sparkbus__Telemetry *t = agent->telemetry ? sb_telemetry_get(agent->telemetry) : NULL;
	uint64_t sum = 0;

	for (size_t i = 0; t && i < t->n_jobs; i++) {
		if (strcmp(t->jobs[i]->job, job) != 0)
			continue;
		if (t->jobs[i]->has_memory_case)
			sum += t->jobs[i]->memory_bytes;
		if (t->jobs[i]->has_gpu_memory_case)
			sum += t->jobs[i]->gpu_memory_bytes;
	}
	return sum;
}

static void tell_jobs(struct sb_guarding *g)
{
	struct sb_job_process running[SB_GUARD_JOBS_MAX];
	struct sb_guard_job jobs[SB_GUARD_JOBS_MAX];
	size_t n = sb_jobs_processes(g->agent->jobs, running, sb_countof(running));

	for (size_t i = 0; i < n; i++) {
		jobs[i] = (struct sb_guard_job){
			.pidfd = running[i].pidfd,
			.priority = running[i].priority,
			.loading = running[i].loading,
			.started_unix_ms = running[i].started_unix_ms,
			.bytes = bytes_of(g->agent, running[i].job),
		};
		snprintf(jobs[i].job, sizeof(jobs[i].job), "%s", running[i].job);
	}
	sb_guard_set_jobs(g->guard, jobs, n);
}

static int on_jobs(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_guarding *g = ctx;

	tell_jobs(g);
	return sb_timer_once(g->agent->loop, &g->timer, JOBS_EVERY_MS, on_jobs, g, NULL);
}

/* --- the page cache --- */

static void drop_cache(void *arg)
{
	struct sb_guarding *g = arg;
	int fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);

	g->drop_errno = fd < 0 || write(fd, "1\n", 2) != 2 ? errno : 0;
	if (fd >= 0)
		close(fd);
}

static void on_dropped(void *arg)
{
	struct sb_guarding *g = arg;
	struct sb_guard_report now;
	struct sb_guard_limits limits;

	g->dropping = false;
	sb_guard_now(g->guard, &now, &limits);
	sb_events_add(g->agent->events, "guard.dropped", NULL, -1, NULL,
			"page cache %s%s after %u ms; %.2f GiB available",
			g->drop_errno ? "could not be dropped: " : "dropped",
			g->drop_errno ? strerror(g->drop_errno) : "",
			(unsigned)(sb_now_boot_ms() - g->drop_began_ms),
			(double)now.available / (1 << 30));
}

/* The cache is the machine's: one that guards a cgroup leaves it alone. */
static void start_drop(struct sb_guarding *g)
{
	if (g->dropping || *g->agent->config.guard_cgroup)
		return;
	g->drop_began_ms = sb_now_boot_ms();
	g->dropping = sb_workers_run(g->workers, drop_cache, on_dropped, g, NULL) == 0;
}

/* --- what it did --- */

static void on_report(void *ctx, const struct sb_guard_report *report)
{
	static const struct {
		const char *event;
		enum sb_log_level level;
	} rows[] = {
		[SB_GUARD_WARNED] = { "guard.warning", SB_LOG_WARN },
		[SB_GUARD_CLEARED] = { "guard.cleared", SB_LOG_INFO },
		[SB_GUARD_DROP] = { "guard.drop", SB_LOG_INFO },
		[SB_GUARD_STOPPED] = { "guard.stopped", SB_LOG_ERR },
		[SB_GUARD_HELPLESS] = { "guard.helpless", SB_LOG_ERR },
	};
	struct sb_guarding *g = ctx;
	char text[200], why[256];

	sb_guard_text(report, text, sizeof(text));
	sb_log(rows[report->kind].level, rows[report->kind].event, "job=%s text=\"%s\"",
			report->job, text);
	sb_events_add(g->agent->events, rows[report->kind].event, *report->job ? report->job : NULL,
			-1, NULL, "%s", text);
	if (report->kind == SB_GUARD_STOPPED) {
		snprintf(why, sizeof(why), "by the memory guard: %s", text);
		sb_jobs_killed(g->agent->jobs, report->job, why);
	}
	if (report->kind == SB_GUARD_DROP)
		start_drop(g);
	if (report->kind == SB_GUARD_STOPPED || report->kind == SB_GUARD_DROP) {
		snprintf(g->last_act, sizeof(g->last_act), "%s", text);
		g->state.last_act_unix_ms = sb_now_unix_ms();
	}
}

Sparkbus__GuardState *sb_guarding_state(struct sb_guarding *g)
{
	struct sb_guard_report now;
	struct sb_guard_limits limits;

	if (!g || !g->guard)
		return NULL;
	sb_guard_now(g->guard, &now, &limits);
	g->state.mode = (Sparkbus__GuardMode)g->agent->config.guard_mode;
	g->state.level = (Sparkbus__GuardLevel)now.level;
	g->state.warn_bytes = limits.warn;
	g->state.critical_bytes = limits.critical;
	g->state.emergency_bytes = limits.emergency;
	g->state.total_bytes = now.total;
	g->state.available_bytes = now.available;
	g->state.fall_bytes_per_s = now.fall;
	g->state.last_act = g->last_act;
	return &g->state;
}

/* --- life --- */

int sb_guarding_new(struct sb_agent *agent, struct sb_mailbox *box, struct sb_guarding **ret,
		struct sb_err *err)
{
	const struct sb_config *c = &agent->config;
	const struct sb_guard_setup setup = {
		.mode = (enum sb_guard_mode)c->guard_mode,
		.limits = { c->guard_warn, c->guard_critical, c->guard_emergency },
		.proc_root = "/proc",
		.cgroup = c->guard_cgroup,
	};
	struct sb_guarding *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return sb_err_nomem(err);
	g->agent = agent;
	sparkbus__guard_state__init(&g->state);
	*ret = g; /* from here on the agent's, whatever comes */
	if (setup.mode == SB_GUARD_OFF)
		return 0;
	rc = sb_workers_new(box, 1, &g->workers, err);
	if (rc == 0)
		rc = sb_guard_new(box, &setup, on_report, g, &g->guard, err);
	if (rc == 0)
		rc = sb_timer_once(agent->loop, &g->timer, JOBS_EVERY_MS, on_jobs, g, err);
	return rc;
}

void sb_guarding_free(struct sb_guarding *g)
{
	if (!g)
		return;
	sd_event_source_disable_unref(g->timer);
	sb_guard_free(g->guard);
	sb_workers_free(g->workers);
	free(g);
}
