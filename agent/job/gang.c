/* gang.c - the leader's side of a job: all ranks or none.
 *
 *   start stage 0 ▶ its gates open ▶ start stage 1 ▶ … ▶ probe until the engine produces something
 *   ▶ READY, watching every rank ▶ stop them all when one dies or an operator says so.
 *
 * News of a rank comes from one place, gang_news(), whether the rank is ours or a peer's. Any
 * failure before or after READY leads to gang_stop(), which tells every rank to stop and ends the
 * job when all have answered. A rank that does not answer is unknown, not failed: the leader says
 * for whom it waits, and goes on owing that rank its stop after the job has ended, also across a
 * restart. After a restart the same steps run again from the job's state: each may be repeated. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gang.h"

#define OWED_RETRY_MS   5000
#define GATE_DEFAULT_MS 120000

#define J(state) SPARKBUS__JOB_STATE__JOB_##state
#define R(state) SPARKBUS__RANK_STATE__RANK_##state

Sparkbus__JobStatus *gang_status(const struct gang *gang)
{
	return gang->job->rec->status;
}

bool gang_stopping(const struct gang *gang)
{
	return gang_status(gang)->state == J(STOPPING) || sb_job_ended(gang_status(gang)->state);
}

void gang_say(struct gang *gang, const char *fmt, ...)
{
	Sparkbus__JobStatus *st = gang_status(gang);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(st->reason, text) == 0)
		return;
	set_str(&st->reason, text);
	sb_events_add(gang->job->jobs->env.events, "job.progress", st->job, -1, NULL, "%s", text);
	job_changed(gang->job);
}

void gang_fail(struct gang *gang, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gang_stop(gang, false, text);
}

/* --- stages --- */

/* The first stage after @stage that has a rank; @stage when there is none. */
static uint32_t stage_after(const struct gang *gang, uint32_t stage)
{
	uint32_t next = stage;

	for (size_t i = 0; i < gang->n; i++) {
		uint32_t own = gang->ranks[i].spec->stage;

		if (own > stage && (next == stage || own < next))
			next = own;
	}
	return next;
}

static uint32_t last_stage(const struct gang *gang)
{
	uint32_t last = 0;

	for (size_t i = 0; i < gang->n; i++)
		if (gang->ranks[i].spec->stage > last)
			last = gang->ranks[i].spec->stage;
	return last;
}

static int on_gate_timeout(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct gang *gang = ctx;

	for (size_t i = 0; i < gang->n; i++) {
		struct member *m = &gang->ranks[i];

		if (m->spec->stage != gang->stage || !m->spec->gate_port || m->gate_open)
			continue;
		gang_fail(gang, "rank %u (%s) did not open port %u within %" PRIu64 " s",
				m->spec->rank, m->spec->node, m->spec->gate_port,
				(m->spec->gate_timeout_ms ?: GATE_DEFAULT_MS) / 1000);
		break;
	}
	return 0;
}

static void arm_gate_timeout(struct gang *gang)
{
	uint64_t wait_ms = 0;

	for (size_t i = 0; i < gang->n; i++) {
		const Sparkbus__RankSpec *spec = gang->ranks[i].spec;
		uint64_t own = spec->gate_timeout_ms ?: GATE_DEFAULT_MS;

		if (spec->stage == gang->stage && spec->gate_port && own > wait_ms)
			wait_ms = own;
	}
	if (wait_ms)
		sb_timer_once(gang->job->jobs->env.loop, &gang->gate_timer, wait_ms,
				on_gate_timeout, gang, NULL);
}

/* Our own rank may answer at once, and its answer may end the stage, or the gang. */
static void start_stage(struct gang *gang)
{
	uint32_t stage = gang->stage;

	arm_gate_timeout(gang);
	for (size_t i = 0; i < gang->n; i++)
		if (gang->ranks[i].spec->stage == stage && !gang_stopping(gang))
			member_start(&gang->ranks[i]);
}

/* Go on when everything that this stage waits for is there. */
static void check_stage(struct gang *gang)
{
	if (gang_status(gang)->state != J(STARTING) || gang->probe)
		return;
	for (size_t i = 0; i < gang->n; i++) {
		struct member *m = &gang->ranks[i];

		if (m->spec->stage > gang->stage)
			continue;
		if (!m->running) {
			gang_say(gang, "starting rank %u on %s", m->spec->rank, m->spec->node);
			return;
		}
		if (m->spec->gate_port && !m->gate_open) {
			gang_say(gang, "waiting for rank %u (%s) to open port %u", m->spec->rank,
					m->spec->node, m->spec->gate_port);
			return;
		}
	}
	if (gang->stage >= last_stage(gang)) {
		gang_probe(gang);
		return;
	}
	gang->stage = stage_after(gang, gang->stage);
	start_stage(gang);
}

/* --- news --- */

static void keep_status(struct gang *gang, struct member *m, const Sparkbus__RankStatus *status)
{
	Sparkbus__JobStatus *st = gang_status(gang);
	Sparkbus__RankStatus *old = st->ranks[m->spec->rank];
	ProtobufCMessage *copy = NULL;

	if (status == old || sb_wire_dup(&status->base, &copy, NULL) < 0)
		return;
	if (old->state != status->state && m->spec->rank != 0)
		sb_events_add(gang->job->jobs->env.events, "rank.state", st->job,
				(int)m->spec->rank, NULL, "rank %u on %s %s%s%s", m->spec->rank,
				m->spec->node, sb_rank_state_name(status->state),
				sb_empty(status->reason) ? "" : ": ", status->reason);
	sparkbus__rank_status__free_unpacked(old, NULL);
	st->ranks[m->spec->rank] = (Sparkbus__RankStatus *)copy;
	job_changed(gang->job);
}

/* An operator reached that rank and not us. Its end may have made other ranks die before this was
 * heard: even so the job was stopped, it did not fail. */
static void stopped_there(struct gang *gang, struct member *m)
{
	char why[160];

	snprintf(why, sizeof(why), "rank %u was stopped on %s by an operator", m->spec->rank,
			m->spec->node);
	set_str(&gang_status(gang)->reason, why);
	gang_stop(gang, true, why);
}

void gang_news(struct gang *gang, struct member *m, const Sparkbus__RankStatus *status)
{
	m->version = status->version;
	m->running = status->state == R(RUNNING);
	m->gate_open = status->gate_open;
	keep_status(gang, m, status);
	if (status->stopped_by_operator && !gang->job->rec->tombstone)
		stopped_there(gang, m);
	if (gang_stopping(gang))
		return;
	if (status->state == R(EXITED) || status->state == R(GONE)) {
		gang_fail(gang, "rank %u (%s) died: %s", m->spec->rank, m->spec->node,
				status->reason);
	} else if (gang_status(gang)->state == J(STARTING)) {
		check_stage(gang);
	} else {
		set_str(&gang_status(gang)->reason, ""); /* whom we waited for has answered */
	}
}

void gang_silent(struct gang *gang, struct member *m, const struct sb_err *err)
{
	Sparkbus__RankStatus *st = gang_status(gang)->ranks[m->spec->rank];

	m->version = 0; /* what it says next is news, whatever it was before */
	if (st->state != R(UNKNOWN)) {
		st->state = R(UNKNOWN);
		set_str(&st->reason, err->text);
		sb_events_add(gang->job->jobs->env.events, "rank.state", gang_status(gang)->job,
				(int)m->spec->rank, NULL, "rank %u on %s unknown: %s",
				m->spec->rank, m->spec->node, err->text);
	}
	gang_say(gang, "waiting for rank %u (%s): %s", m->spec->rank, m->spec->node, err->text);
}

void gang_refused(struct gang *gang, struct member *m, const struct sb_err *err)
{
	gang_fail(gang, "rank %u (%s) could not be started: %s", m->spec->rank, m->spec->node,
			err->text);
}

/* Own rank's news comes from under the feet of the code that changed it: take it later. */
static int on_own_changed(sd_event_source *source, void *ctx)
{
	struct gang *gang = ctx;

	gang_news(gang, &gang->ranks[0], job_own(gang->job));
	return 0;
}

void gang_own_changed(struct gang *gang)
{
	sd_event_source_set_enabled(gang->own_changed, SD_EVENT_ONESHOT);
}

/* --- the end --- */

static int on_owed(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct gang *gang = ctx;

	for (size_t i = 0; i < gang->n; i++)
		if (gang->ranks[i].owed && !gang->ranks[i].call)
			member_stop(&gang->ranks[i]);
	return 0;
}

/* True when it is not what the record has. */
static bool keep_owed(struct gang *gang)
{
	Sparkbus__JobRecord *rec = gang->job->rec;
	uint32_t *list = calloc(gang->n, sizeof(*list));
	size_t n = 0;
	bool changed;

	for (size_t i = 0; list && i < gang->n; i++)
		if (gang->ranks[i].owed)
			list[n++] = gang->ranks[i].spec->rank;
	changed = list &&
			(n != rec->n_owed_stops ||
					(n &&
							memcmp(list, rec->owed_stops,
									n * sizeof(*list)) != 0));
	if (list) {
		free(rec->owed_stops);
		rec->owed_stops = list;
		rec->n_owed_stops = n;
	}
	if (rec->n_owed_stops)
		sb_timer_once(gang->job->jobs->env.loop, &gang->owed_timer, OWED_RETRY_MS, on_owed,
				gang, NULL);
	return changed;
}

/* When one rank dies the others soon die of it, and the leader may hear of a victim first. Now that
 * every rank has told its end, the first to die by itself is to blame. */
static void blame_first(struct gang *gang)
{
	Sparkbus__JobStatus *st = gang_status(gang);
	const Sparkbus__RankStatus *first = NULL;

	for (size_t i = 0; i < st->n_ranks; i++)
		if (st->ranks[i]->died && st->ranks[i]->finished_unix_ms &&
				(!first ||
						st->ranks[i]->finished_unix_ms <
								first->finished_unix_ms))
			first = st->ranks[i];
	if (first && !gang->job->rec->tombstone)
		set_strf(&st->reason, "rank %u (%s) died: %s", first->rank, first->node,
				first->reason);
}

void gang_member_down(struct gang *gang)
{
	bool waiting = false, changed;

	for (size_t i = 0; i < gang->n; i++)
		waiting |= gang->ranks[i].stop_pending;
	if (waiting)
		return;
	changed = keep_owed(gang);
	if (gang_status(gang)->state == J(STOPPING)) {
		blame_first(gang);
		job_event(gang->job,
				gang->job->rec->tombstone ? SB_JOB_EV_GONE_STOPPED
							  : SB_JOB_EV_GONE_FAILED,
				NULL);
	} else if (changed) /* a node that is away is asked every few seconds; that is no news */
		job_save(gang->job);
}

static void quiet(struct gang *gang)
{
	gang_life_end(gang);
	if (gang->post)
		gang_post_lose(gang, "the job was stopped while it ran");
	sd_event_source_disable_unref(sb_steal(gang->gate_timer));
	for (size_t i = 0; i < gang->n; i++)
		member_quiet(&gang->ranks[i]);
}

void gang_stop(struct gang *gang, bool by_operator, const char *why)
{
	if (by_operator)
		gang->job->rec->tombstone = true;
	if (gang->ending)
		return;
	gang->ending = true;
	job_event(gang->job, by_operator ? SB_JOB_EV_STOP : SB_JOB_EV_FAIL, why);
	if (why)
		job_note(gang->job, "the gang ends: %s", why);
	quiet(gang);
	if (gang_status(gang)->engine) /* what it said of its work is over */
		sparkbus__engine_load__free_unpacked(sb_steal(gang_status(gang)->engine), NULL);
	for (size_t i = 0; i < gang->n; i++)
		gang->ranks[i].stop_pending = true;
	for (size_t i = 0; i < gang->n; i++)
		member_stop(&gang->ranks[i]);
}

/* --- beginning, and beginning again --- */

static struct gang *gang_new(struct job *job)
{
	const Sparkbus__LaunchPlan *plan = job->rec->plan;
	struct gang *gang = calloc(1, sizeof(*gang) + plan->n_ranks * sizeof(gang->ranks[0]));

	if (!gang)
		return NULL;
	gang->job = job;
	gang->n = plan->n_ranks;
	for (size_t i = 0; i < gang->n; i++) {
		gang->ranks[i].gang = gang;
		gang->ranks[i].spec = plan->ranks[i];
	}
	for (size_t i = 0; i < job->rec->n_owed_stops; i++)
		if (job->rec->owed_stops[i] < gang->n)
			gang->ranks[job->rec->owed_stops[i]].owed = true;
	if (sd_event_add_defer(job->jobs->env.loop, &gang->own_changed, on_own_changed, gang) < 0) {
		free(gang);
		return NULL;
	}
	sd_event_source_set_enabled(gang->own_changed, SD_EVENT_OFF);
	return gang;
}

void gang_free(struct gang *gang)
{
	struct sb_engine *engine = gang ? gang->job->jobs->env.engine : NULL;

	if (!gang)
		return;
	if (gang->post) /* the record says that it runs: whoever reads it next draws the conclusion
			 */
		engine->ops->cancel(engine, sb_steal(gang->post));
	quiet(gang);
	sd_event_source_disable_unref(gang->own_changed);
	sd_event_source_disable_unref(gang->owed_timer);
	free(gang);
}

/* READY before the agent went away: watch again, and have the engine prove itself anew. */
static void resume_ready(struct gang *gang)
{
	gang_status(gang)->health = SPARKBUS__HEALTH__HEALTH_UNKNOWN;
	gang->stage = last_stage(gang);
	gang_post_lose(gang, "the agent was restarted while it ran");
	for (size_t i = 0; i < gang->n; i++)
		member_watch(&gang->ranks[i]);
	gang_own_changed(gang);
	gang_probe(gang);
}

/* Ranks of later stages are watched from now on: by that their nodes learn that the job is
 * committed, and keep their leases; and one that is lost is known before its turn. */
static void begin(struct gang *gang)
{
	start_stage(gang);
	if (!gang_stopping(gang))
		check_stage(gang);
	for (size_t i = 0; i < gang->n && !gang_stopping(gang); i++)
		if (gang->ranks[i].spec->stage > gang->stage)
			member_watch(&gang->ranks[i]);
}

int gang_run(struct job *job, struct sb_err *err)
{
	struct gang *gang = job->gang;

	if (gang)
		return 0;
	gang = job->gang = gang_new(job);
	if (!gang)
		return sb_err_nomem(err);
	switch (gang_status(gang)->state) {
	case J(STARTING):
		begin(gang);
		break;
	case J(READY):
	case J(UNHEALTHY):
		resume_ready(gang);
		break;
	case J(STOPPING):
		gang_stop(gang, job->rec->tombstone, NULL);
		break;
	default:
		gang->ending = true;
		on_owed(NULL, 0, gang);
		break;
	}
	return 0;
}
