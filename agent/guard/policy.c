/* policy.c - limits, slope and what follows from them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define GIB           ((uint64_t)1 << 30)
#define PAUSE_CALM_MS 250u
#define PAUSE_NEAR_MS 50u
/* A level is left only when there is an eighth more than its limit: no flapping. */
#define MARGIN(limit) ((limit) + (limit) / 8)

const char *sb_guard_mode_name(enum sb_guard_mode mode)
{
	static const char *const names[] = { "off", "warn", "act" };

	return (unsigned)mode < sb_countof(names) ? names[mode] : "off";
}

const char *sb_guard_level_name(enum sb_guard_level level)
{
	static const char *const names[] = { "ok", "low", "critical", "emergency" };

	return (unsigned)level < sb_countof(names) ? names[level] : "ok";
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

struct sb_guard_limits sb_guard_scale(const struct sb_guard_limits *set, uint64_t total)
{
	struct sb_guard_limits l = {
		.warn = set->warn ? set->warn : lower(8 * GIB, total / 15),
		.critical = set->critical ? set->critical : lower(4 * GIB, total / 30),
		.emergency = set->emergency ? set->emergency : lower(2 * GIB, total / 60),
	};

	l.critical = lower(l.critical, l.warn);
	l.emergency = lower(l.emergency, l.critical);
	return l;
}

/* --- slope --- */

static void remember(struct guard_state *state, const struct guard_sample *sample)
{
	state->past[state->next].boot_ms = sample->boot_ms;
	state->past[state->next].available = sample->available;
	state->next = (state->next + 1) % GUARD_SAMPLES;
	if (state->n < GUARD_SAMPLES)
		state->n++;
}

/* Bytes per second since the oldest sample of the window; 0 when it does not shrink. */
static uint64_t fall(const struct guard_state *state, const struct guard_sample *sample)
{
	for (unsigned back = state->n; back > 0; back--) {
		unsigned at = (state->next + GUARD_SAMPLES - back) % GUARD_SAMPLES;
		uint64_t then = state->past[at].boot_ms, had = state->past[at].available;
		uint64_t ms = sample->boot_ms - then;

		if (then >= sample->boot_ms || ms > GUARD_WINDOW_MS)
			continue;
		if (had <= sample->available)
			return 0;
		return (uint64_t)((double)(had - sample->available) * 1000.0 / (double)ms);
	}
	return 0;
}

/* What will be left @ms from now. */
static uint64_t ahead(const struct guard_sample *sample, uint64_t fall, unsigned ms)
{
	double lost = (double)fall * ms / 1000.0;

	return lost >= (double)sample->available ? 0 : sample->available - (uint64_t)lost;
}

/* --- levels --- */

static enum sb_guard_level level_of(const struct sb_guard_limits *limits, uint64_t available)
{
	if (available < limits->emergency)
		return SB_GUARD_EMERGENCY;
	if (available < limits->critical)
		return SB_GUARD_CRITICAL;
	return available < limits->warn ? SB_GUARD_LOW : SB_GUARD_OK;
}

static enum sb_guard_level judge(const struct guard_state *state,
		const struct sb_guard_limits *limits, const struct guard_sample *sample,
		uint64_t fall)
{
	const struct sb_guard_limits leave = { MARGIN(limits->warn), MARGIN(limits->critical),
		MARGIN(limits->emergency) };
	/* Far above the limits a fall is a model being loaded, and nobody knows where it ends. */
	bool near = sample->available < 2 * limits->warn;
	enum sb_guard_level soon = level_of(
			limits, near ? ahead(sample, fall, GUARD_REACTION_MS) : sample->available);
	enum sb_guard_level held = level_of(&leave, sample->available);
	enum sb_guard_level level = soon;

	/* Coming from above, the limits count; coming from below, the margins. */
	if (held > soon && state->level > soon)
		level = held < state->level ? held : state->level;
	/* Memory is short and everything waits for it: it is being swapped. */
	if (level == SB_GUARD_LOW && sample->stalled >= GUARD_STALLED)
		level = SB_GUARD_CRITICAL;
	return level;
}

void guard_stopped(struct guard_state *state, uint64_t boot_ms)
{
	state->awaiting = true;
	state->pause_until_ms = boot_ms + GUARD_DYING_MS;
}

/* Once it has ended, how memory fell before that does not count. */
static void settle(struct guard_state *state, uint64_t boot_ms, bool dying)
{
	if (!state->awaiting || dying)
		return;
	state->awaiting = false;
	state->n = 0;
	state->pause_until_ms = boot_ms + GUARD_SETTLE_MS;
}

static bool worth_dropping(const struct guard_state *state, const struct guard_sample *sample)
{
	return sample->cached >= sample->total / 64 &&
			(!state->dropped_ms ||
					sample->boot_ms - state->dropped_ms >= GUARD_DROP_MS);
}

static enum guard_stop wanted(const struct guard_verdict *verdict)
{
	if (verdict->level == SB_GUARD_EMERGENCY)
		return GUARD_STOP_ANY;
	return verdict->level == SB_GUARD_CRITICAL ? GUARD_STOP_LOADING : GUARD_STOP_NONE;
}

void guard_step(struct guard_state *state, const struct sb_guard_limits *limits,
		const struct guard_sample *sample, bool dying, struct guard_verdict *ret)
{
	*ret = (struct guard_verdict){ .level = state->level, .pause_ms = PAUSE_CALM_MS };
	if (!sample->total)
		return; /* not knowing is no reason to act */
	settle(state, sample->boot_ms, dying);
	ret->fall = fall(state, sample);
	ret->level = judge(state, limits, sample, ret->fall);
	ret->entered = ret->level > state->level;
	ret->cleared = state->level && !ret->level;
	ret->drop = ret->level == SB_GUARD_LOW && worth_dropping(state, sample);
	if (sample->boot_ms >= state->pause_until_ms)
		ret->stop = wanted(ret);
	if (ret->level > SB_GUARD_OK ||
			level_of(limits, ahead(sample, ret->fall, 4 * PAUSE_CALM_MS)) > SB_GUARD_OK)
		ret->pause_ms = PAUSE_NEAR_MS;
	if (ret->drop)
		state->dropped_ms = sample->boot_ms;
	state->level = ret->level;
	remember(state, sample);
}

/* --- whom --- */

static bool matters_less(const struct sb_guard_job *a, const struct sb_guard_job *b)
{
	if (a->loading != b->loading)
		return a->loading;
	if (!a->loading && a->priority != b->priority)
		return a->priority < b->priority;
	if (!a->loading && a->bytes != b->bytes)
		return a->bytes > b->bytes;
	return a->started_unix_ms > b->started_unix_ms;
}

int guard_choose(const struct sb_guard_job *jobs, size_t n, enum guard_stop stop)
{
	int chosen = -1;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].pidfd < 0 || stop == GUARD_STOP_NONE ||
				(stop == GUARD_STOP_LOADING && !jobs[i].loading))
			continue;
		if (chosen < 0 || matters_less(&jobs[i], &jobs[chosen]))
			chosen = (int)i;
	}
	return chosen;
}

/* --- texts of the kernel --- */

/* The number behind @key at the start of a line. */
static bool number_after(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		char *end;

		line += *line == '\n';
		if (strncmp(line, key, len) != 0 || (line[len] != ' ' && line[len] != '\t'))
			continue;
		line += len + strspn(line + len, " \t");
		if (!isdigit((unsigned char)*line))
			return false;
		*ret = strtoull(line, &end, 10);
		return *ret <= INT64_MAX;
	}
	return false;
}

static bool kilobytes(const char *text, const char *key, uint64_t *ret)
{
	uint64_t kb;

	if (!number_after(text, key, &kb) || kb > INT64_MAX / 1024)
		return false;
	*ret = kb * 1024;
	return true;
}

bool guard_parse_meminfo(const char *text, struct guard_sample *ret)
{
	uint64_t total, available, free;

	if (!kilobytes(text, "MemTotal:", &total) ||
			!kilobytes(text, "MemAvailable:", &available) || !total)
		return false;
	ret->total = total;
	ret->available = available;
	ret->cached = 0;
	if (kilobytes(text, "MemFree:", &free) && free < available)
		ret->cached = available - free;
	return true;
}

bool guard_parse_stat(const char *text, const char *key, uint64_t *ret)
{
	return number_after(text, key, ret);
}

unsigned guard_parse_stalled(const char *text)
{
	const char *p = strstr(text, "full avg10=");
	unsigned whole = 0, parts = 0, scale = 10;

	if (!p)
		return 0;
	for (p += strlen("full avg10="); isdigit((unsigned char)*p) && whole <= 100; p++)
		whole = whole * 10 + (unsigned)(*p - '0');
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p) && scale; p++, scale /= 10)
			parts += (unsigned)(*p - '0') * scale;
	return whole <= 100 ? whole * 100 + parts : 0;
}
