/* What the nodes of a launch say of themselves, as facts for lint. Of several nodes the worst
 * counts: a launch is as good as its weakest rank. What a node does not tell stays unknown. */
#include <stdio.h>
#include <string.h>

#include "checks.h"

#define GIB ((double)(1 << 30))

struct worst {
	const char *driver;
	bool drivers_differ, alien_gpu;
	bool has_total, has_available, has_free;
	double total, available, free, cached; /* GiB; cached where free is least */
	unsigned capability;
};

static void take_gpus(struct worst *w, const Sparkbus__GpuState *gpu)
{
	if (!gpu)
		return;
	if (*gpu->driver_version) {
		if (w->driver && strcmp(w->driver, gpu->driver_version) != 0)
			w->drivers_differ = true;
		if (!w->driver || strverscmp(gpu->driver_version, w->driver) < 0)
			w->driver = gpu->driver_version;
	}
	for (size_t i = 0; i < gpu->n_gpus; i++)
		if (gpu->gpus[i]->has_capability_case && gpu->gpus[i]->capability != 121) {
			w->alien_gpu = true;
			w->capability = gpu->gpus[i]->capability;
		}
}

static void least(double *field, bool *has, uint64_t bytes)
{
	double value = (double)bytes / GIB;

	if (!*has || value < *field)
		*field = value;
	*has = true;
}

static void take_memory(struct worst *w, const Sparkbus__MemoryState *m)
{
	double before = w->has_free ? w->free : -1;

	if (!m)
		return;
	if (m->has_total_case)
		least(&w->total, &w->has_total, m->total_bytes);
	if (m->has_available_case)
		least(&w->available, &w->has_available, m->available_bytes);
	if (!m->has_free_case || !m->has_cached_case)
		return;
	least(&w->free, &w->has_free, m->free_bytes);
	if (w->free != before)
		w->cached = (double)m->cached_bytes / GIB;
}

static int put_number(struct sb_facts *facts, const char *name, double value, struct sb_err *err)
{
	char text[40];

	snprintf(text, sizeof(text), "%.4g", value);
	return sb_facts_set(facts, name, text, NULL, err);
}

static int put_memory(const struct worst *w, struct sb_facts *facts, struct sb_err *err)
{
	int rc = 0;

	if (w->has_total)
		rc = put_number(facts, "node.usable_gib", w->total, err);
	if (rc == 0 && w->has_available)
		rc = put_number(facts, "node.mem_available_gib", w->available, err);
	if (rc == 0 && w->has_free)
		rc = put_number(facts, "node.mem_free_gib", w->free, err);
	if (rc == 0 && w->has_free)
		rc = put_number(facts, "node.page_cache_gib", w->cached, err);
	return rc;
}

static int put_gpus(const struct worst *w, struct sb_facts *facts, struct sb_err *err)
{
	char text[24];
	int rc = 0;

	if (w->alien_gpu) {
		snprintf(text, sizeof(text), "sm%u", w->capability);
		rc = sb_facts_set(facts, "node.gpu", text, NULL, err);
	}
	if (rc == 0 && w->driver)
		rc = sb_facts_set(facts, "node.driver", w->driver, NULL, err);
	/* That drivers are the same does not tell that firmware and images are. */
	if (rc == 0 && w->drivers_differ)
		rc = sb_facts_set(facts, "node.same_software", "false", NULL, err);
	return rc;
}

int checks_add_nodes(struct sb_facts *facts, const Sparkbus__NodeState *const *states, size_t n,
		struct sb_err *err)
{
	struct worst w = { 0 };
	int rc;

	for (size_t i = 0; i < n; i++) {
		const Sparkbus__Telemetry *t = states[i] ? states[i]->telemetry : NULL;

		if (!t) /* one that is silent could be worse than all others */
			return 0;
		take_gpus(&w, t->gpu);
		take_memory(&w, t->memory);
	}
	rc = put_memory(&w, facts, err);
	return rc < 0 ? rc : put_gpus(&w, facts, err);
}
