#include "fault.h"

#include "engine.h"
#include "es.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool needs_value;
	bool at_run_time; /* may be switched over HTTP */
} rows[ES_FAULT_COUNT_] = {
	[ES_FAULT_CRASH_AT] = { "crash_at", true, false },
	[ES_FAULT_CRASH_LOAD] = { "crash_load", false, false },
	[ES_FAULT_OOM_LOAD] = { "oom_load", false, false },
	[ES_FAULT_NEVER_READY] = { "never_ready", false, false },
	[ES_FAULT_HANG] = { "hang", false, true },
	[ES_FAULT_SLOW_LOAD] = { "slow_load", true, false },
	[ES_FAULT_EXIT_CODE] = { "exit_code", true, false },
	[ES_FAULT_IGNORE_TERM] = { "ignore_term", false, true },
	[ES_FAULT_EAT] = { "eat", false, true },
	[ES_FAULT_TOOLS_400] = { "tools_400", false, true },
};

static atomic_bool on[ES_FAULT_COUNT_];
static double values[ES_FAULT_COUNT_];
static double started;

static void bad(const char *item) ES_NORETURN;
static void bad(const char *item)
{
	es_raw("enginesim: ENGINESIM_FAULT: '%s' is not a fault: see tests/enginesim/README.md",
			item);
	es_exit(2);
}

static int find(const char *name)
{
	for (int i = 0; i < ES_FAULT_COUNT_; i++)
		if (!strcmp(rows[i].name, name))
			return i;
	return -1;
}

/* Cut "@rank=R" off @item. Return: R, or -1 if there is none. */
static int cut_rank(char *item)
{
	char *at = strchr(item, '@'), *end;
	long rank;

	if (!at)
		return -1;
	*at = '\0';
	if (strncmp(at + 1, "rank=", 5))
		bad(item);
	rank = strtol(at + 6, &end, 10);
	if (end == at + 6 || *end || rank < 0 || rank > 1 << 20)
		bad(item);
	return (int)rank;
}

static void parse_one(char *item, int rank)
{
	int only = cut_rank(item), f;
	char *value = strchr(item, '='), *end = NULL;
	double v = 0;

	if (value)
		*value++ = '\0';
	f = find(item);
	if (f < 0 || rows[f].needs_value != (value != NULL))
		bad(item);
	if (value) {
		v = strtod(value, &end);
		if (end == value || !(v >= 0 && v < 1e9))
			bad(item);
		if (f == ES_FAULT_CRASH_AT && *end == ':')
			only = (int)strtol(end + 1, &end, 10);
		if (*end)
			bad(item);
	}
	if (only >= 0 && only != rank)
		return;
	values[f] = v;
	atomic_store(&on[f], true);
}

void es_fault_init(int rank)
{
	const char *env = getenv("ENGINESIM_FAULT");
	char *copy, *save = NULL;

	started = es_now();
	if (!env)
		return;
	copy = strdup(env);
	for (char *item = copy ? strtok_r(copy, ", ", &save) : NULL; item;
			item = strtok_r(NULL, ", ", &save))
		parse_one(item, rank);
	free(copy);
}

bool es_fault_on(enum es_fault f)
{
	return atomic_load(&on[f]);
}

double es_fault_value(enum es_fault f, double fallback)
{
	return es_fault_on(f) ? values[f] : fallback;
}

int es_fault_set(const char *name, bool value)
{
	int f = find(name);

	if (f < 0 || !rows[f].at_run_time)
		return -1;
	atomic_store(&on[f], value);
	return 0;
}

void es_crash(const char *why)
{
	const struct es_style *style = es_config.style;

	es_log("ERROR", "core.py:1136", "%s encountered a fatal error: %s", style->core, why);
	es_traceback((int)es_fault_value(ES_FAULT_EXIT_CODE, 1), style->crash_file,
			style->crash_error);
}

static void *crash_later(void *arg)
{
	es_sleep_until(started + values[ES_FAULT_CRASH_AT]);
	es_crash("CUDA error: an illegal memory access was encountered");
	return arg;
}

#define EAT_STEP_S 0.02

/* The pages are touched, and never given back: what a load that does not fit does. */
static void *eat(void *arg)
{
	double rate = es_env_num("ENGINESIM_EAT_MIB_S", 200);
	size_t bite = (size_t)(rate * EAT_STEP_S * (1 << 20));

	for (double next = es_now();; es_sleep_until(next += EAT_STEP_S)) {
		void *block = es_fault_on(ES_FAULT_EAT) ? malloc(bite) : NULL;

		if (block)
			memset(block, 0x5a, bite);
		else
			next = es_now();
	}
	return arg;
}

void es_fault_start_timer(void)
{
	es_thread(eat, NULL);
	if (es_fault_on(ES_FAULT_CRASH_AT))
		es_thread(crash_later, NULL);
}
