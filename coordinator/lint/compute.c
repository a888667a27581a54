/* compute.c - facts that are arithmetic over others. A result is set only when all that it rests on
 * is known. */
#include <stdio.h>

#include "internal.h"

#define GB_PER_GIB   1.073741824
#define OVERHEAD_GIB 4.0 /* activations and graphs */
#define UTIL_DEFAULT 0.9 /* what the engine takes when nothing is said */

struct sums {
	struct sb_facts *facts;
	bool *changed;
	struct sb_err *err;
	int rc;
};

static bool get(const struct sums *s, const char *name, double *ret)
{
	return lint_fact_number(s->facts, name, ret);
}

static void put(struct sums *s, const char *name, double value)
{
	struct fact_name key;
	char text[40];

	if (s->rc < 0 || !lint_fact_name(name, &key) ||
			lint_fact(s->facts, &key)->state != FACT_UNKNOWN)
		return;
	snprintf(text, sizeof(text), "%.6g", value);
	s->rc = sb_facts_set(s->facts, name, text, NULL, s->err);
	*s->changed = true;
}

/* Share of the memory that the engine takes; false when that is not known. */
static bool utilization(const struct sums *s, double *ret)
{
	struct fact_name key;

	if (get(s, "flag.gpu-memory-utilization", ret))
		return true;
	*ret = UTIL_DEFAULT;
	return lint_fact_name("flag.gpu-memory-utilization", &key) &&
			lint_fact(s->facts, &key)->state == FACT_ABSENT;
}

static void memory(struct sums *s)
{
	double weights, gpus = 1, util, usable, kv = 0, seqs, len, pool, others;

	if (get(s, "model.params_b", &weights) && get(s, "model.bytes_per_param", &util))
		put(s, "model.weights_gb", weights * util);
	if (utilization(s, &util)) {
		if (get(s, "node.usable_gib", &usable))
			put(s, "mem.share_gib", util * usable);
		if (get(s, "node.util_others", &others))
			put(s, "mem.util_total", util + others);
	}
	/* The KV cache counts when it is known; without it this is the least that is needed. */
	get(s, "mem.kv_seq_gib", &kv);
	if (get(s, "model.weights_gb", &weights) && get(s, "run.gpus", &gpus) && gpus >= 1)
		put(s, "mem.need_gib", weights / GB_PER_GIB / gpus + OVERHEAD_GIB + kv);
	if (get(s, "flag.max-num-seqs", &seqs) && get(s, "flag.max-model-len", &len)) {
		put(s, "mem.asked_tokens", seqs * len);
		if (get(s, "mem.pool_tokens", &pool) && seqs * len > 0)
			put(s, "mem.pool_ratio", pool / (seqs * len));
	}
}

int lint_compute(struct sb_facts *facts, bool *changed, struct sb_err *err)
{
	struct sums s = { facts, changed, err, 0 };

	memory(&s);
	return s.rc;
}
