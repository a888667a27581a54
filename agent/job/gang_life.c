/* gang_life.c - is the engine alive? Before READY it is asked until it produces something. After
 * that its counters are watched, and it is asked again when they give reason to.
 *
 * A job that was READY is not killed for an answer that does not come: it is UNHEALTHY, wedged when
 * the door still answers, and READY again as soon as it generates. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gang.h"

#define PROVE_AGAIN_MS 10000
/* How long one token may take when nothing else is set: it may wait behind others' long prompts. */
#define CONFIRM_MS 60000u

#define J(state)  SPARKBUS__JOB_STATE__JOB_##state
#define H(health) SPARKBUS__HEALTH__HEALTH_##health

static void watch(struct gang *gang);

/* --- what it says of its load --- */

static Sparkbus__EngineLoad *load_of(struct gang *gang)
{
	Sparkbus__JobStatus *st = gang_status(gang);

	if (!st->engine) {
		st->engine = malloc(sizeof(*st->engine));
		if (st->engine)
			sparkbus__engine_load__init(st->engine);
	}
	return st->engine;
}

static uint32_t to_count(double value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void on_load(void *ctx, const struct sb_load *load, double rate)
{
	struct gang *gang = ctx;
	Sparkbus__EngineLoad *out = load_of(gang);

	if (!out)
		return;
	sparkbus__engine_load__init(out);
	out->unix_ms = sb_now_unix_ms();
	out->told = load != NULL;
	if (!load)
		return;
	if (load->has_running) {
		out->has_running_case = SPARKBUS__ENGINE_LOAD__HAS_RUNNING_RUNNING;
		out->running = to_count(load->running);
	}
	if (load->has_waiting) {
		out->has_waiting_case = SPARKBUS__ENGINE_LOAD__HAS_WAITING_WAITING;
		out->waiting = to_count(load->waiting);
	}
	if (load->has_generated) {
		out->has_generated_case = SPARKBUS__ENGINE_LOAD__HAS_GENERATED_GENERATED_TOKENS;
		out->generated_tokens = (uint64_t)load->generated;
	}
	if (load->has_prompt) {
		out->has_prompt_case = SPARKBUS__ENGINE_LOAD__HAS_PROMPT_PROMPT_TOKENS;
		out->prompt_tokens = (uint64_t)load->prompt;
	}
	if (load->has_kv && load->kv <= 1) {
		out->has_kv_case = SPARKBUS__ENGINE_LOAD__HAS_KV_KV_USED;
		out->kv_used = (uint32_t)(load->kv * 10000 + 0.5);
	}
	if (rate >= 0) {
		out->has_rate_case = SPARKBUS__ENGINE_LOAD__HAS_RATE_TOKENS_PER_S;
		out->tokens_per_s = rate;
	}
}

/* --- what the proof, or its absence, means --- */

static int on_prove_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct gang *gang = ctx;

	if (!gang_stopping(gang))
		gang_probe(gang);
	return 0;
}

static void not_proved(struct gang *gang, const struct sb_err *err)
{
	Sparkbus__JobStatus *st = gang_status(gang);
	bool serves = err->code == SB_E_TIMEOUT; /* else there was not even a door */
	char why[SB_ERR_TEXT_MAX + 16];

	if (st->state == J(STARTING)) {
		gang_fail(gang, "the engine never came alive: %s", err->text);
		return;
	}
	st->health = serves ? H(WEDGED) : H(DEAD);
	snprintf(why, sizeof(why), "%s: %s", serves ? "wedged" : "no answer", err->text);
	if (st->state == J(READY))
		sb_events_add(gang->job->jobs->env.events, serves ? "job.wedged" : "job.silent",
				st->job, -1, NULL, "%s", why);
	job_event(gang->job, SB_JOB_EV_SILENT, why);
	sb_timer_once(gang->job->jobs->env.loop, &gang->probe_timer, PROVE_AGAIN_MS, on_prove_again,
			gang, NULL);
}

static void alive(struct gang *gang, Sparkbus__Health health)
{
	Sparkbus__JobStatus *st = gang_status(gang);
	bool first = st->state == J(STARTING);

	st->health = health;
	if (!st->ready_unix_ms)
		st->ready_unix_ms = sb_now_unix_ms();
	set_str(&st->reason, "");
	if (st->state == J(READY)) { /* after a restart of the agent: known again */
		job_save(gang->job);
		job_changed(gang->job);
		return;
	}
	if (first)
		gang_post_expect(gang);
	job_event(gang->job, SB_JOB_EV_ALIVE, "");
	if (first)
		gang_post_run(gang);
}

static void on_probed(void *ctx, const struct sb_err *err)
{
	struct gang *gang = ctx;
	bool known;

	gang->probe = NULL;
	if (gang_stopping(gang))
		return;
	if (err) {
		not_proved(gang, err);
		return;
	}
	/* That an idle engine answers as it did a minute ago is no news. */
	known = gang_status(gang)->state == J(READY) && gang_status(gang)->health == H(HEALTHY);
	gang_status(gang)->proved_unix_ms = sb_now_unix_ms();
	if (gang->watch)
		sb_watch_proved(sb_watch_state(gang->watch), sb_now_boot_ms());
	if (!known)
		alive(gang, H(HEALTHY));
	if (!gang_stopping(gang))
		watch(gang);
}

static void on_probe_progress(void *ctx, const char *text)
{
	struct gang *gang = ctx;

	if (gang_status(gang)->state == J(STARTING))
		gang_say(gang, "loading: %s", text);
}

static bool can_ask(const Sparkbus__Readiness *r)
{
	return r && r->port;
}

void gang_probe(struct gang *gang)
{
	const Sparkbus__Readiness *r = gang->job->rec->plan->readiness;
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__Readiness how;

	if (gang->probe)
		return;
	sd_event_source_disable_unref(sb_steal(gang->gate_timer));
	if (!can_ask(r)) { /* nothing to ask: running is all that can be said */
		alive(gang, H(UNKNOWN));
		return;
	}
	how = *r;
	if (gang_status(gang)->state == J(STARTING))
		gang_say(gang, "loading: waiting for the engine");
	else
		how.timeout_ms = gang->job->jobs->env.watch.frozen_ms ?: CONFIRM_MS;
	if (sb_probe_start(gang->job->jobs->env.loop, &how, on_probe_progress, on_probed, gang,
			    &gang->probe, &err) < 0)
		gang_fail(gang, "the engine cannot be probed: %s", err.text);
}

/* --- watching --- */

static void on_verdict(void *ctx, enum sb_watch_verdict verdict)
{
	struct gang *gang = ctx;

	if (verdict == SB_WATCH_ASK) {
		gang_probe(gang);
		return;
	}
	if (verdict != SB_WATCH_LIVES)
		return;
	if (gang->probe) /* answered by what others asked */
		sb_probe_cancel(sb_steal(gang->probe));
	gang_status(gang)->proved_unix_ms = sb_now_unix_ms();
	if (gang_status(gang)->state != J(READY) || gang_status(gang)->health != H(HEALTHY))
		alive(gang, H(HEALTHY));
}

static const struct sb_watch_ops watch_ops = { on_load, on_verdict };

static void watch(struct gang *gang)
{
	struct sb_err err = SB_ERR_INIT;

	if (gang->watch)
		return;
	if (sb_watch_new(gang->job->jobs->env.loop, gang->job->rec->plan->readiness,
			    &gang->job->jobs->env.watch, &watch_ops, gang, &gang->watch, &err) < 0)
		sb_log(SB_LOG_WARN, "job.watch", "job=%s error=\"%s\"", gang_status(gang)->job,
				err.text);
}

void gang_life_end(struct gang *gang)
{
	if (gang->probe)
		sb_probe_cancel(sb_steal(gang->probe));
	sb_watch_free(sb_steal(gang->watch));
	sd_event_source_disable_unref(sb_steal(gang->probe_timer));
}
