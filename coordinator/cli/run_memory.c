/* Whether the launch fits the memory that its nodes measured. */
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "vram_text.h"

/* A GPU with memory of its own counts by that; on a Spark it shares the node's. */
static void take_memory(const Sparkbus__NodeState *state, struct sb_vram_node *ret)
{
	const Sparkbus__Telemetry *t = state ? state->telemetry : NULL;
	const Sparkbus__GpuState *gpu = t ? t->gpu : NULL;
	const Sparkbus__MemoryState *m = t ? t->memory : NULL;

	if (gpu && gpu->n_gpus && gpu->gpus[0]->has_memory_total_case) {
		ret->has_total = true;
		ret->total = (double)gpu->gpus[0]->memory_total_bytes;
		ret->has_available = gpu->gpus[0]->has_memory_used_case;
		ret->available = ret->total - (double)gpu->gpus[0]->memory_used_bytes;
		return;
	}
	if (!m)
		return;
	ret->has_total = m->has_total_case;
	ret->total = (double)m->total_bytes;
	ret->has_available = m->has_allocatable_case || m->has_available_case;
	ret->available = (double)(m->has_allocatable_case ? m->allocatable_bytes
							  : m->available_bytes);
}

static struct sb_vram_node node_of(
		const struct launch *l, const struct fleet *fleet, const char *name)
{
	struct sb_vram_node node = { .name = name };

	for (size_t i = 0; i < l->nodes.n; i++)
		if (!strcmp(l->nodes.items[i].node.name, name))
			take_memory(fleet_state(fleet, i), &node);
	return node;
}

static int estimate(struct launch *l, const struct vram *v, const struct fleet *fleet,
		struct sb_vram_fit *ret, struct sb_err *err)
{
	size_t n = l->plan->n_ranks;
	SB_CLEANUP(sb_freep) struct sb_vram_node *nodes = calloc(n, sizeof(*nodes));

	if (!nodes)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n; i++)
		nodes[i] = node_of(l, fleet, l->plan->ranks[i]->node);
	return vram_fit(v, nodes, n, ret, err);
}

/* The line of the plan's summary. */
static void keep_line(struct launch *l, const struct vram *v, const struct sb_vram_fit *fit)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	if (fit->verdict == SB_VRAM_IS_UNKNOWN)
		sb_strbuf_addf(&line, "unknown: %s", *v->why.text ? v->why.text : fit->why);
	else
		sb_vram_fit_line(fit, &line);
	l->memory = sb_strbuf_steal(&line);
}

/* Return: how many nodes it does not fit. */
static size_t warn(struct launch *l, const struct sb_vram_fit *fit)
{
	size_t n = 0;

	for (size_t i = 0; i < fit->n_nodes; i++) {
		if (fit->nodes[i].verdict != SB_VRAM_NOT)
			continue;
		if (!n++)
			sb_progress_break(&l->progress);
		cli_warn(l->cli, "%s: memory: %s", fit->nodes[i].name, fit->nodes[i].why);
	}
	return n;
}

/* What lint's tables do not know of most models. What it makes of tables alone is left out. */
static int add_facts(struct launch *l, const struct sb_vram_fit *fit, struct sb_err *err)
{
	const struct {
		const char *name;
		bool known;
		int64_t value;
	} rows[] = { { "model.native_len", fit->shape.native_len > 0, fit->shape.native_len },
		{ "mem.pool_tokens", fit->pool_tokens.known, fit->pool_tokens.value } };
	char text[32];
	int rc = 0;

	for (size_t i = 0; rc == 0 && l->facts && i < sb_countof(rows); i++) {
		snprintf(text, sizeof(text), "%lld", (long long)rows[i].value);
		if (rows[i].known)
			rc = sb_facts_set(l->facts, rows[i].name, text, NULL, err);
	}
	return rc;
}

int run_estimate(struct launch *l, const struct run_opts *opts, const struct fleet *fleet)
{
	SB_CLEANUP(vram_done) struct vram v = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc = vram_open(l->cli, l->workload, l->plan, l->facts,
			opts->offline ? VRAM_OFFLINE : VRAM_ONLINE, &v, &err);

	if (rc < 0)
		return rc == -SB_E_CANCELLED ? EXIT_INTERRUPT : cli_fail(l->cli, &err);
	l->fit = calloc(1, sizeof(*l->fit));
	if (!l->fit)
		return EXIT_FAILED;
	rc = estimate(l, &v, fleet, l->fit, &err);
	if (rc < 0) {
		/* An estimate is advice: the launch itself says whether its numbers are good. */
		free(l->fit);
		l->fit = NULL;
		sb_progress_break(&l->progress);
		cli_warn(l->cli, "no estimate of memory: %s", err.text);
		return EXIT_DONE;
	}
	keep_line(l, &v, l->fit);
	return add_facts(l, l->fit, &err) < 0 ? cli_fail(l->cli, &err) : EXIT_DONE;
}

bool run_memory_known(const struct launch *l)
{
	return l->fit && l->fit->verdict != SB_VRAM_IS_UNKNOWN;
}

int run_memory(struct launch *l, const struct run_opts *opts)
{
	if (!l->fit || !warn(l, l->fit) || !opts->strict)
		return EXIT_DONE;
	fprintf(stderr, "%sError:%s with --strict warnings are errors. Nothing was started.\n",
			sb_color(stderr, SB_RED), sb_color(stderr, SB_PLAIN));
	return EXIT_FAILED;
}
