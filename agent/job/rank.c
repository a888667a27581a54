/* rank.c - this node's container of a job: what it is, its log, its gate, its end. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_entry.h"

#define GATE_FIRST_MS 10
#define GATE_LAST_MS  250
/* An ended container's log stream ends with it; this is how long it may take all the same. */
#define DRAIN_MS      300
#define LOG_RETRY_MS  1000
#define LOOK_RETRY_MS 1000
#define KEPT_LINE_MAX ((size_t)512) /* bytes of a line in a status: forty of them, per rank */

#define R(state) SPARKBUS__RANK_STATE__RANK_##state

static struct sb_engine *engine(const struct rank *rank)
{
	return rank->job->jobs->env.engine;
}

void rank_init(struct rank *rank, struct job *job)
{
	rank->job = job;
	rank->pidfd = -1;
}

/* Whoever still waits is not called: a caller on the bus has its deadline, a gang goes as well. */
void rank_done(struct rank *rank)
{
	const struct sb_engine_ops *ops = engine(rank)->ops;

	if (rank->op)
		ops->cancel(engine(rank), sb_steal(rank->op));
	rank_stop_following(rank);
	sd_event_source_disable_unref(rank->gate_timer);
	sd_event_source_disable_unref(rank->drain_timer);
	sd_event_source_disable_unref(rank->look_timer);
	sd_event_source_disable_unref(rank->log_timer);
	rank_let_process(rank);
	free(sb_steal(rank->killed_why));
	while (rank->starts) {
		struct start_waiter *w = rank->starts;

		rank->starts = w->next;
		free(w);
	}
	while (rank->stops) {
		struct stop_waiter *w = rank->stops;

		rank->stops = w->next;
		free(w);
	}
}

/* Own status is shown in the job's status, too: rank 0 leads the list, or is alone in it. */
static void mirror_own(struct job *job)
{
	Sparkbus__JobStatus *st = job->rec->status;
	ProtobufCMessage *copy = NULL;
	size_t at = job_is_leader(job) ? job->rec->rank : 0;

	if (at >= st->n_ranks || sb_wire_dup(&job_own(job)->base, &copy, NULL) < 0)
		return;
	sparkbus__rank_status__free_unpacked(st->ranks[at], NULL);
	st->ranks[at] = (Sparkbus__RankStatus *)copy;
}

/* Everything that watches the rank hears of it, with a new version. */
static void publish(struct rank *rank)
{
	job_own(rank->job)->version++;
	mirror_own(rank->job);
	job_changed(rank->job);
	if (rank->job->gang)
		gang_own_changed(rank->job->gang);
}

void rank_set_state(struct rank *rank, Sparkbus__RankState state)
{
	struct job *job = rank->job;
	Sparkbus__RankStatus *own = job_own(job);

	if (own->state == state)
		return;
	own->state = state;
	if (state != R(RUNNING))
		rank_let_process(rank);
	sb_log(SB_LOG_INFO, "rank.state", "job=%s rank=%u state=%s reason=\"%s\"",
			job->rec->plan->job, own->rank, sb_rank_state_name(state), own->reason);
	sb_events_add(job->jobs->env.events, "rank.state", job->rec->plan->job, (int)own->rank,
			NULL, "rank %u %s%s%s", own->rank, sb_rank_state_name(state),
			sb_empty(own->reason) ? "" : ": ", own->reason);
	publish(rank);
}

/* --- log --- */

static int on_follow_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct rank *rank = ctx;

	if (job_own(rank->job)->state == R(RUNNING) && !rank->stopping)
		rank_follow_log(rank);
	return 0;
}

static void follow_later(struct rank *rank)
{
	sb_timer_once(rank->job->jobs->env.loop, &rank->log_timer, LOG_RETRY_MS, on_follow_again,
			rank, NULL);
}

static void on_log(void *ctx, const struct sb_engine_log *line, const struct sb_err *err)
{
	struct rank *rank = ctx;
	struct job *job = rank->job;

	if (line) {
		sb_logring_add(job->ring, job_own(job)->generation, line->stream, line->unix_ns,
				line->text, line->len, NULL);
		job_changed(job);
		return;
	}
	rank->log = NULL;
	sb_logring_flush(job->ring, NULL);
	if (err && job_own(job)->state == R(RUNNING) && !rank->exited) {
		sb_log(SB_LOG_WARN, "rank.log", "job=%s error=\"%s\"", job->rec->plan->job,
				err->text);
		follow_later(rank);
	}
	if (rank->exited && rank->drain_timer)
		sd_event_source_set_time(rank->drain_timer, 0); /* nothing more will come */
	job_changed(job);
}

void rank_follow_log(struct rank *rank)
{
	struct job *job = rank->job;
	struct sb_err err = SB_ERR_INIT;
	uint64_t since;

	if (rank->log)
		return;
	if (job_open_ring(job, &err) == 0) {
		since = sb_logring_last_ns(job->ring, job_own(job)->generation);
		if (engine(rank)->ops->logs(engine(rank), job_own(job)->container_id, since, true,
				    on_log, rank, &rank->log, &err) == 0)
			return;
	}
	sb_log(SB_LOG_WARN, "rank.log", "job=%s error=\"%s\"", job->rec->plan->job, err.text);
	if (!rank->exited && !rank->stopping)
		follow_later(rank);
}

void rank_stop_following(struct rank *rank)
{
	if (rank->log)
		engine(rank)->ops->cancel(engine(rank), sb_steal(rank->log));
	if (rank->job->ring)
		sb_logring_flush(rank->job->ring, NULL);
}

static bool keep_line(void *ctx, const struct sb_logring_line *line)
{
	Sparkbus__RankStatus *own = ctx;
	size_t len = line->len < KEPT_LINE_MAX ? line->len : KEPT_LINE_MAX;
	char *text;

	/* The ring holds the job's earlier launches, too. An engine stamps the first lines some
	 * milliseconds before it says that it has started the container. */
	if (line->unix_ns / 1000000 + 1000 < own->started_unix_ms)
		return true;
	text = strndup(line->text, len);
	if (!text)
		return false;
	for (char *p = text; *p; p++) /* a protobuf string; the log itself keeps the bytes */
		if ((unsigned char)*p >= 0x80 || ((unsigned char)*p < ' ' && *p != '\t'))
			*p = '?';
	own->log_lines[own->n_log_lines++] = text;
	return own->n_log_lines < LOG_LINES_KEPT;
}

void rank_keep_last_lines(struct rank *rank)
{
	struct job *job = rank->job;
	Sparkbus__RankStatus *own = job_own(job);
	uint64_t first, next, after, lost;

	if (own->n_log_lines || job_open_ring(job, NULL) < 0)
		return;
	own->log_lines = calloc(LOG_LINES_KEPT, sizeof(*own->log_lines));
	if (!own->log_lines)
		return;
	first = sb_logring_first(job->ring);
	next = sb_logring_next(job->ring);
	if (next - first > LOG_LINES_KEPT)
		first = next - LOG_LINES_KEPT;
	sb_logring_read(job->ring, first, LOG_LINES_KEPT, keep_line, own, &after, &lost, NULL);
	if (!own->n_log_lines)
		free(sb_steal(own->log_lines));
}

/* --- gate: has the engine opened the port that the next stage waits for? --- */

static int on_gate(sd_event_source *source, uint64_t usec, void *ctx);

static void arm_gate(struct rank *rank)
{
	sb_timer_once(rank->job->jobs->env.loop, &rank->gate_timer, rank->gate_delay_ms, on_gate,
			rank, NULL);
}

static int on_gate(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct rank *rank = ctx;
	Sparkbus__RankStatus *own = job_own(rank->job);
	bool busy = false;
	char who[64];

	if (own->state != R(RUNNING) || rank->stopping)
		return 0;
	if (sb_node_port_busy((uint16_t)job_spec(rank->job)->gate_port, &busy, who, sizeof(who),
			    NULL) == 0 &&
			busy) {
		own->gate_open = true;
		/* On disk before the next stage hears of it: an engine may close the port once its
		 * ranks have met, and after a crash nobody would see it open again. */
		job_save(rank->job);
		publish(rank);
		return 0;
	}
	rank->gate_delay_ms = rank->gate_delay_ms * 2 < GATE_LAST_MS ? rank->gate_delay_ms * 2
								     : GATE_LAST_MS;
	arm_gate(rank);
	return 0;
}

void rank_running(struct rank *rank, const struct sb_container_info *info)
{
	Sparkbus__RankStatus *own = job_own(rank->job);
	bool news = own->state != R(RUNNING);

	set_str(&own->container_id, info->id);
	own->started_unix_ms = info->started_unix_ms;
	own->finished_unix_ms = 0;
	set_str(&own->reason, "");
	rank_hold_process(rank, info);
	rank_set_state(rank, R(RUNNING));
	if (news)
		job_save(rank->job);
	rank_follow_log(rank);
	if (job_spec(rank->job)->gate_port && !own->gate_open) {
		rank->gate_delay_ms = GATE_FIRST_MS;
		arm_gate(rank);
	}
}

/* --- the end of the main process --- */

void rank_describe_end(struct rank *rank, const struct sb_container_info *info)
{
	Sparkbus__RankStatus *own = job_own(rank->job);

	own->has_exit_code_case = SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE;
	own->exit_code = info->exit_code;
	own->oom_killed = info->oom_killed;
	own->finished_unix_ms = info->finished_unix_ms;
	own->died = true;
	if (rank->killed_why)
		set_str(&own->reason, rank->killed_why);
	else if (!sb_empty(info->error))
		set_strf(&own->reason, "the engine could not run it: %s", info->error);
	else if (info->oom_killed)
		set_str(&own->reason, "killed by the kernel: out of memory");
	else if (info->exit_code > 128 && info->exit_code < 128 + 65)
		set_strf(&own->reason, "killed by signal %d (SIG%s)", info->exit_code - 128,
				sigabbrev_np(info->exit_code - 128) ?: "?");
	else
		set_strf(&own->reason, "ended with status %d", info->exit_code);
}

/* A rank that never came to its serve command: the entry script said which hook it was. */
static void blame_hook(struct rank *rank)
{
	Sparkbus__RankStatus *own = job_own(rank->job);
	const size_t mark = strlen(SB_ENTRY_MARK);

	for (size_t i = own->n_log_lines; rank->job->rec->plan->n_pre_exec && i-- > 0;) {
		const char *line = own->log_lines[i];

		if (strncmp(line, SB_ENTRY_MARK, mark) != 0)
			continue;
		if (strstr(line, " failed") || strstr(line, "cannot") || strstr(line, "knows no"))
			set_str(&own->reason, line + mark);
		return;
	}
}

static int on_drained(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct rank *rank = ctx;

	sd_event_source_set_enabled(rank->drain_timer, SD_EVENT_OFF);
	if (rank->stopping) { /* the stop waited for the same */
		rank_stop_drained(rank);
		return 0;
	}
	/* A stream that still has something to say goes on: only the status does not wait for it.
	 */
	rank_keep_last_lines(rank);
	blame_hook(rank);
	rank_set_state(rank, R(EXITED));
	job_save(rank->job);
	return 0;
}

void rank_drain(struct rank *rank, unsigned longest_ms)
{
	struct sb_err err = SB_ERR_INIT;

	rank->exited = true;
	if (!rank->log)
		rank_follow_log(rank); /* the last lines may not have been read yet */
	if (sb_timer_once(rank->job->jobs->env.loop, &rank->drain_timer, rank->log ? longest_ms : 0,
			    on_drained, rank, &err) == 0)
		return;
	sb_log(SB_LOG_WARN, "rank.log", "job=%s error=\"%s\"", rank->job->rec->plan->job, err.text);
	on_drained(rank->drain_timer, 0, rank);
}

static void rank_ended(struct rank *rank, const struct sb_container_info *info)
{
	if (rank->exited || rank->stopping)
		return;
	set_str(&job_own(rank->job)->container_id, info->id);
	rank_describe_end(rank, info);
	rank_drain(rank, DRAIN_MS);
}

static void rank_lost(struct rank *rank)
{
	if (rank->stopping || rank->exited)
		return;
	set_str(&job_own(rank->job)->reason, "its container is not in the engine any more");
	rank_stop_following(rank);
	rank_keep_last_lines(rank);
	rank_set_state(rank, R(GONE));
	job_save(rank->job);
}

static int on_look_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	rank_look(ctx);
	return 0;
}

static void look_later(struct rank *rank)
{
	sb_timer_once(rank->job->jobs->env.loop, &rank->look_timer, LOOK_RETRY_MS, on_look_again,
			rank, NULL);
}

static void on_looked(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	struct rank *rank = ctx;
	bool again = rank->look_wanted;

	rank->op = NULL;
	rank->look_wanted = false;
	if (err && err->code == SB_E_NOT_FOUND)
		rank_lost(rank);
	else if (info && info->state == SB_CONTAINER_RUNNING)
		rank_running(rank, info);
	else if (info)
		rank_ended(rank, info);
	else
		look_later(rank); /* not knowing is no reason to stop asking */
	if (again)
		rank_look(rank);
}

void rank_look(struct rank *rank)
{
	if (rank->exited || rank->stopping)
		return;
	/* What is under way may have been answered before the container ended. */
	rank->look_wanted = rank->op != NULL;
	if (rank->op || job_own(rank->job)->state != R(RUNNING))
		return;
	if (engine(rank)->ops->inspect(engine(rank), job_own(rank->job)->container_id, on_looked,
			    rank, &rank->op, NULL) < 0)
		look_later(rank);
}

/* --- after a restart of the agent, or of the engine --- */

/* Killed between the intent and the container's start: what is there is not running, so it goes,
 * and the leader, which repeats its command, makes a new one. */
static void on_cleared(void *ctx, const struct sb_err *err)
{
	struct rank *rank = ctx;

	rank->op = NULL;
	if (err)
		sb_log(SB_LOG_WARN, "rank.clear", "job=%s error=\"%s\"", rank->job->rec->plan->job,
				err->text);
}

static void adopt_unstarted(struct rank *rank, const struct sb_container_info *info)
{
	rank_set_state(rank, R(PREPARED));
	if (info)
		engine(rank)->ops->remove(
				engine(rank), info->id, true, on_cleared, rank, &rank->op, NULL);
}

void rank_adopt(struct rank *rank, const struct sb_container_info *info)
{
	Sparkbus__RankStatus *own = job_own(rank->job);
	bool running = info && info->state == SB_CONTAINER_RUNNING;

	if (rank->op || rank->stopping || rank->starts)
		return; /* something is being done with it, and will find out */
	switch (own->state) {
	case R(CREATING):
		if (running)
			rank_running(rank, info);
		else if (info && info->state != SB_CONTAINER_CREATED)
			rank_ended(rank, info);
		else
			adopt_unstarted(rank, info);
		break;
	case R(RUNNING):
		if (running)
			rank_running(rank, info);
		else if (info)
			rank_ended(rank, info);
		else
			rank_lost(rank);
		break;
	default:
		break; /* not started, or ended and accounted for */
	}
}
