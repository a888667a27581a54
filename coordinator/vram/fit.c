/* fit.c - from weights, cache and memory to a verdict. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fit.h"

#define GIB 1073741824.0

/* A Spark's memory as the engines see it, and what of it is free when nothing runs: with a desktop
 * and services, without. Activations and CUDA graphs: what a pool that was measured left
 * unexplained (4.4), rounded both ways. llama.cpp allocates less, and as it goes. */
#define SPARK_TOTAL     (121 * GIB)
#define SPARK_FREE_LOW  (107 * GIB)
#define SPARK_FREE_HIGH (117 * GIB)
#define ENGINE_LOW      (4 * GIB)
#define ENGINE_HIGH     (5 * GIB)
#define LLAMA_LOW       (0.5 * GIB)
#define LLAMA_HIGH      (2 * GIB)
#define LONGEST         ((int64_t)1 << 24) /* tokens; looked for no further */
#define KEEP_FREE       (4 * GIB)          /* below it a Spark is in trouble */

void fit_term(struct sb_vram_term *t, enum sb_vram_origin origin, double low, double high,
		const char *fmt, ...)
{
	va_list args;

	t->origin = origin;
	t->low = low;
	t->high = high;
	va_start(args, fmt);
	vsnprintf(t->how, sizeof(t->how), fmt, args);
	va_end(args);
	sb_text_clean(t->how);
}

const char *sb_vram_origin_name(enum sb_vram_origin origin)
{
	static const char *const names[] = { "known", "read", "guessed", "unknown" };

	return names[origin];
}

const char *sb_vram_verdict_name(enum sb_vram_verdict verdict)
{
	static const char *const names[] = { "fits", "tight", "unknown", "does not fit" };

	return names[verdict];
}

/* --- stages --- */

/* As vLLM does: what does not divide goes to the last stages but one. */
static void split_layers(struct sb_vram_fit *f)
{
	int64_t n = f->pp < SB_VRAM_STAGES_MAX ? f->pp : SB_VRAM_STAGES_MAX;
	int64_t each = f->shape.layers / f->pp, rest = f->shape.layers % f->pp, at = 0;

	if (f->pp > SB_VRAM_STAGES_MAX)
		vram_warn(&f->notes, "only the first %d of %lld stages are shown",
				SB_VRAM_STAGES_MAX, (long long)f->pp);
	for (int64_t i = 0; i < n; i++) {
		struct sb_vram_stage *stage = &f->stages[i];
		int64_t from_end = f->pp - 1 - i;

		stage->first_layer = at;
		stage->n_layers = each + (from_end >= 1 && from_end <= rest);
		at += stage->n_layers;
	}
	f->n_stages = (size_t)n;
}

static double stage_part(const struct sb_vram_fit *f, const struct sb_vram_stage *stage, size_t i,
		double all)
{
	const struct sb_vram_shape *shape = &f->shape;
	double ends = shape->embedding * shape->dtype_bytes, body;

	if (f->pp == 1 || !shape->layers)
		return all / (double)f->tp / (double)f->pp;
	body = all - ends * (shape->tied ? 1 : 2);
	if (body < 0)
		body = all, ends = 0;
	body = body * (double)stage->n_layers / (double)shape->layers;
	if (i == 0)
		body += ends;
	if ((int64_t)i == f->pp - 1)
		body += ends;
	return body / (double)f->tp;
}

static struct sb_vram_term *next_term(struct sb_vram_stage *stage, const char *name)
{
	struct sb_vram_term *t = &stage->terms[stage->n_terms++];

	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

static void add_weights(struct sb_vram_fit *f, size_t i, const struct sb_vram_term *whole)
{
	struct sb_vram_stage *stage = &f->stages[i];
	struct sb_vram_term *t = next_term(stage, whole->name);

	*t = *whole;
	t->low = stage_part(f, stage, i, whole->low);
	t->high = stage_part(f, stage, i, whole->high);
	if (f->tp * f->pp > 1 && t->origin != SB_VRAM_UNKNOWN) {
		size_t at = strlen(t->how);

		snprintf(t->how + at, sizeof(t->how) - at, "; %.2f GiB in all", whole->low / GIB);
	}
	if (f->pp > 1 && t->origin == SB_VRAM_KNOWN)
		t->origin = SB_VRAM_GUESSED; /* layers are not all of one size */
	stage->fixed_low += t->low;
	stage->fixed_high += t->high;
	stage->inside_low += t->low;
	stage->inside_high += t->high;
}

/* A drafter is whole on every rank of the last stage, split by tensors at most. */
static void add_drafter(struct fit_state *s, const struct sb_vram_term *draft)
{
	struct sb_vram_stage *stage = &s->fit->stages[s->fit->n_stages - 1];
	struct sb_vram_term *t = next_term(stage, draft->name);

	*t = *draft;
	stage->fixed_low += draft->low / (double)s->fit->tp;
	stage->fixed_high += draft->high;
	stage->inside_low += draft->low / (double)s->fit->tp;
	stage->inside_high += draft->high;
	if (draft->origin == SB_VRAM_UNKNOWN)
		vram_warn(&s->fit->notes,
				"the drafter %s was not found: its weights are not counted",
				s->drafter);
}

static void add_engine(struct sb_vram_fit *f, struct sb_vram_stage *stage)
{
	bool llama = f->engine == SB_VRAM_LLAMA_CPP;
	struct sb_vram_term *t =
			next_term(stage, llama ? "compute buffers" : "activations, CUDA graphs");

	fit_term(t, SB_VRAM_GUESSED, llama ? LLAMA_LOW : ENGINE_LOW,
			llama ? LLAMA_HIGH : ENGINE_HIGH, "rule of thumb");
	stage->fixed_low += t->low;
	stage->fixed_high += t->high;
	/* SGLang's share is for weights and cache alone. */
	if (f->engine == SB_VRAM_SGLANG)
		return;
	stage->inside_low += t->low;
	stage->inside_high += t->high;
}

static void by_metadata(const struct fit_state *s, struct sb_vram_cache *cache)
{
	const char *text = s->launch->recipe.kv_vram_per_token;
	double each;

	if (sb_empty(text) || !vram_text_real(text, &each) || !(each > 0))
		return;
	*cache = (struct sb_vram_cache){ .known = true, .block_bytes = 1, .n_parts = 1 };
	cache->token_bytes = each * GIB / (double)(s->fit->tp * s->fit->pp);
	cache->parts[0].groups = cache->parts[0].tokens = 1;
	cache->parts[0].unit = cache->token_bytes;
}

static void fill_stages(struct fit_state *s)
{
	struct sb_vram_fit *f = s->fit;
	struct sb_vram_term weights = { 0 }, draft = { 0 };
	bool drafts;

	fit_weights(s, &weights);
	drafts = fit_draft_weights(s, &draft);
	split_layers(f);
	for (size_t i = 0; i < f->n_stages; i++) {
		struct sb_vram_stage *stage = &f->stages[i];

		stage->weights_known = weights.origin != SB_VRAM_UNKNOWN;
		add_weights(f, i, &weights);
		if (drafts && i == f->n_stages - 1)
			add_drafter(s, &draft);
		add_engine(f, stage);
		s->cache.first_layer = stage->first_layer;
		s->cache.n_layers = f->pp > 1 ? stage->n_layers : 0;
		if (s->kv_known && (f->pp == 1 || stage->n_layers))
			sb_vram_cache(&f->shape, &s->cache, &stage->cache);
		by_metadata(s, &stage->cache);
	}
	if (f->shape.params && weights.low > 0 && f->shape.active) {
		f->active_bytes = (struct sb_vram_real){ true,
			weights.low * fmin(f->shape.active / f->shape.params, 1) };
		f->ceiling = (struct sb_vram_real){ true,
			sb_vram_decode_ceiling(f->active_bytes.value, 1) * (double)f->tp };
	}
}

/* --- memory --- */

double fit_budget(const struct sb_vram_fit *f, double total)
{
	bool what_is_free = f->engine == SB_VRAM_LLAMA_CPP || f->engine == SB_VRAM_TRTLLM;

	return what_is_free ? 0 : f->utilization * total;
}

/* Bytes for the cache on a stage. */
static double pool(const struct sb_vram_fit *f, double total, double available, double inside)
{
	double budget = fit_budget(f, total), rest = (budget ? budget : available) - inside;

	if (f->engine == SB_VRAM_TRTLLM)
		rest *= f->utilization;
	return rest > 0 ? rest : 0;
}

/* The stage with the least room for a sequence. */
static size_t worst_stage(const struct sb_vram_fit *f, double total, double available)
{
	size_t worst = 0;
	double least = INFINITY;

	for (size_t i = 0; i < f->n_stages; i++) {
		const struct sb_vram_stage *stage = &f->stages[i];
		double room = pool(f, total, available, stage->inside_high);
		double one = sb_vram_cache_bytes(&stage->cache, f->len ? (double)f->len : 1);
		double left = room - one;

		if (left < least) {
			least = left;
			worst = i;
		}
	}
	return worst;
}

static int64_t cut(double value)
{
	return value >= 9.2e18 ? INT64_MAX : value > 0 ? (int64_t)value : 0;
}

static void use_pool(struct sb_vram_fit *f, double total, double low, double high)
{
	const struct sb_vram_stage *stage;
	int64_t limit = !f->shape.native_len           ? LONGEST
			: f->shape.native_len > f->len ? f->shape.native_len
						       : f->len;
	double n;

	f->worst = worst_stage(f, total, low);
	stage = &f->stages[f->worst];
	f->pool_low = pool(f, total, low, stage->inside_high);
	f->pool_high = pool(f, total, high, stage->inside_low);
	if (!stage->weights_known || !stage->cache.known)
		return;
	f->longest = (struct sb_vram_whole){ true,
		sb_vram_cache_longest(&stage->cache, f->pool_low, limit) };
	if (!f->len)
		return;
	n = sb_vram_cache_sequences(&stage->cache, f->pool_low, (double)f->len);
	f->sequences = (struct sb_vram_whole){ true, cut(floor(n)) };
	f->pool_tokens = (struct sb_vram_whole){ true, cut(n * (double)f->len) };
}

/* --- verdict --- */

static enum sb_vram_verdict say(char why[200], enum sb_vram_verdict verdict, const char *fmt, ...)
		SB_PRINTF(3, 4);
static enum sb_vram_verdict say(char why[200], enum sb_vram_verdict verdict, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, 200, fmt, args);
	va_end(args);
	return verdict;
}

/* Whether the engine may start at all: it looks at what is free before it loads anything. */
static enum sb_vram_verdict judge_start(const struct sb_vram_fit *f, double total, double low,
		double high, bool measured, char why[200])
{
	double ask = fit_budget(f, total);

	if (!ask)
		return SB_VRAM_FITS;
	if (f->engine == SB_VRAM_SGLANG)
		ask += ENGINE_LOW;
	if (ask > high)
		return say(why, SB_VRAM_NOT, "the engine takes %.1f GiB, %.1f GiB are %s",
				ask / GIB, high / GIB,
				measured ? "available" : "free on an idle Spark at best");
	if (ask > low)
		return say(why, SB_VRAM_TIGHT,
				"the engine takes %.1f GiB, an idle Spark has %.0f to %.0f GiB "
				"free",
				ask / GIB, low / GIB, high / GIB);
	if (measured && low - ask < KEEP_FREE)
		return say(why, SB_VRAM_TIGHT,
				"the engine takes %.1f of %.1f GiB available: less than %.0f GiB "
				"are left",
				ask / GIB, low / GIB, KEEP_FREE / GIB);
	return SB_VRAM_FITS;
}

static enum sb_vram_verdict judge_cache(
		const struct sb_vram_fit *f, double room_low, double room_high, char why[200])
{
	const struct sb_vram_stage *stage = &f->stages[f->worst];
	double one = sb_vram_cache_bytes(&stage->cache, (double)f->len);
	double n = sb_vram_cache_sequences(&stage->cache, room_high, (double)f->len);

	if (n < 1)
		return say(why, SB_VRAM_NOT,
				"a context of %lld tokens takes %.2f GiB, %.2f GiB are left for it",
				(long long)f->len, one / GIB, room_high / GIB);
	if (sb_vram_cache_sequences(&stage->cache, room_low, (double)f->len) < 1)
		return say(why, SB_VRAM_TIGHT,
				"a context of %lld tokens takes %.2f GiB, %.2f to %.2f GiB are "
				"left",
				(long long)f->len, one / GIB, room_low / GIB, room_high / GIB);
	if (f->seqs && f->len_given && n < (double)f->seqs)
		return say(why, SB_VRAM_TIGHT,
				"room for %lld of %lld sequences of %lld tokens at once",
				(long long)floor(n), (long long)f->seqs, (long long)f->len);
	return SB_VRAM_FITS;
}

enum sb_vram_verdict fit_judge(const struct sb_vram_fit *f, double total, double low, double high,
		bool measured, char why[200])
{
	const struct sb_vram_stage *stage = &f->stages[f->worst];
	double budget = fit_budget(f, total), room = budget ? budget : high;
	char start_why[200] = "";
	enum sb_vram_verdict start = judge_start(f, total, low, high, measured, start_why), cache;

	why[0] = '\0';
	if (stage->inside_low >= room)
		return say(why, SB_VRAM_NOT, "%s%.1f GiB before any cache, more than %s %.1f GiB",
				stage->weights_known ? "" : "even without the weights ",
				stage->inside_low / GIB,
				budget ? "the engine's share of" : "the available", room / GIB);
	if (start == SB_VRAM_NOT)
		return say(why, start, "%s", start_why);
	if (!stage->weights_known)
		return say(why, SB_VRAM_IS_UNKNOWN, "the size of the weights is not known");
	if (!stage->cache.known)
		return say(why, SB_VRAM_IS_UNKNOWN, "what a token takes of the cache is not known");
	if (!f->len)
		return say(why, SB_VRAM_IS_UNKNOWN,
				"neither the recipe nor the model names a context");
	cache = judge_cache(f, pool(f, total, low, stage->inside_high),
			pool(f, total, high, stage->inside_low), why);
	if (cache != SB_VRAM_FITS || start == SB_VRAM_FITS)
		return cache;
	return say(why, start, "%s", start_why);
}

static void judge_nodes(struct sb_vram_fit *f, const struct sb_vram_node *nodes, size_t n)
{
	for (size_t i = 0; i < n && i < SB_VRAM_NODES_MAX; i++) {
		struct sb_vram_on_node *on = &f->nodes[f->n_nodes++];
		bool measured = nodes[i].has_available;

		on->name = nodes[i].name;
		on->verdict = fit_judge(f, nodes[i].has_total ? nodes[i].total : SPARK_TOTAL,
				measured ? nodes[i].available : SPARK_FREE_LOW,
				measured ? nodes[i].available : SPARK_FREE_HIGH, measured, on->why);
		if (i == 0 || on->verdict > f->verdict) {
			f->verdict = on->verdict;
			strcpy(f->why, on->why);
		}
	}
}

/* The least of all nodes counts: every rank takes the same. */
static void take_memory(struct sb_vram_fit *f, const struct sb_vram_node *nodes, size_t n)
{
	double total = SPARK_TOTAL, low = SPARK_FREE_LOW, high = SPARK_FREE_HIGH;
	bool have_total = false, have_free = false;

	for (size_t i = 0; i < n; i++) {
		if (nodes[i].has_total && (!have_total || nodes[i].total < total)) {
			total = nodes[i].total;
			have_total = true;
		}
		if (nodes[i].has_available && (!have_free || nodes[i].available < low)) {
			low = high = nodes[i].available;
			have_free = true;
		}
	}
	strcpy(f->memory.name, "free memory of a node");
	fit_term(&f->memory, have_free ? SB_VRAM_READ : SB_VRAM_GUESSED, low, high,
			have_free ? "measured" : "an idle Spark, with and without a desktop");
	strcpy(f->budget.name, "engine's share");
	if (fit_budget(f, total))
		fit_term(&f->budget,
				!f->utilization_given        ? SB_VRAM_GUESSED
						: have_total ? SB_VRAM_READ
							     : SB_VRAM_KNOWN,
				fit_budget(f, total), fit_budget(f, total), "%s%g of %.1f GiB",
				f->utilization_given ? "" : "not given: ", f->utilization,
				total / GIB);
	else
		fit_term(&f->budget, f->memory.origin, low, high, "what is free");
	use_pool(f, total, low, high);
	if (n)
		judge_nodes(f, nodes, n);
	else
		f->verdict = fit_judge(f, total, low, high, false, f->why);
}

int sb_vram_fit(const struct sb_vram_launch *launch, const struct sb_vram_facts *facts,
		const struct sb_vram_facts *draft, const struct sb_vram_node *nodes, size_t n,
		struct sb_vram_fit *ret, struct sb_err *err)
{
	static const struct sb_vram_facts none = { 0 };
	struct fit_state s = { .launch = launch, .facts = facts ? facts : &none, .draft = draft };
	int rc;

	*ret = (struct sb_vram_fit){ .engine = launch->engine };
	s.fit = ret;
	rc = fit_input(&s, err);
	if (rc < 0)
		return rc;
	fill_stages(&s);
	take_memory(ret, nodes, n);
	return 0;
}
