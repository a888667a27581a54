/* fuzz_metrics.c - an engine's /metrics, and what the watch makes of two of them in a row. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sb_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool known, double value)
{
	if (known && !(isfinite(value) && value >= 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sb_watch_times times = { 60000, 60000 };
	size_t half = size / 2;
	char *first = malloc(half + 1), *second = malloc(size - half + 1);
	struct sb_watch_state state = { 0 };
	struct sb_load a, b;

	if (!first || !second)
		abort();
	memcpy(first, data, half);
	memcpy(second, data + half, size - half);
	sb_metrics_parse(first, half, &a);
	sb_metrics_parse(second, size - half, &b);
	check(a.has_running, a.running);
	check(a.has_waiting, a.waiting);
	check(a.has_generated, a.generated);
	check(a.has_prompt, a.prompt);
	check(a.has_kv, a.kv);
	sb_watch_step(&state, &times, &a, 1000);
	/* More tokens than before are life, whatever else it says. */
	if (a.has_generated && b.has_generated && b.generated > a.generated &&
			sb_watch_step(&state, &times, &b, 2000) != SB_WATCH_LIVES)
		abort();
	free(first);
	free(second);
	return 0;
}
