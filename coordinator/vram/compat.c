/* compat.c - the published tool's estimate: its order of steps, its order of arithmetic, doubles
 * throughout. What it gets wrong is kept: sizes of a KV cache that no engine would allocate,
 * weights halved by a recipe's quantization. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

#define GIB       1073741824.0
#define SPARK_GIB 121.0

/* What the steps hand on. */
struct state {
	const struct sb_vram_recipe *recipe;
	struct sb_vram_compat *e;
	char storage[SB_VRAM_NAME_MAX]; /* dtype of config.json */
	struct sb_vram_real model_vram, kv_vram_per_token;
};

static int bad_number(struct sb_err *err, const char *key, const char *text, const char *want)
{
	sb_err_set(err, SB_E_INVALID, "%s: expected %s, got '%s'", key, want, text);
	return sb_err_hint(err, -SB_E_INVALID, "mend it in the recipe or give another value");
}

static int whole(const char *key, const char *text, struct sb_vram_whole *ret, struct sb_err *err)
{
	if (!text)
		return 0;
	if (!vram_text_int(text, &ret->value))
		return bad_number(err, key, text, "a whole number");
	ret->known = true;
	return 0;
}

static int real(const char *key, const char *text, struct sb_vram_real *ret, struct sb_err *err)
{
	if (!text)
		return 0;
	if (!vram_text_real(text, &ret->value))
		return bad_number(err, key, text, "a number");
	ret->known = true;
	return 0;
}

static bool truthy(const struct sb_vram_whole *value)
{
	return value->known && value->value != 0;
}

static int take_metadata(struct state *s, struct sb_err *err)
{
	const struct sb_vram_recipe *r = s->recipe;
	int rc;

	if (!sb_empty(r->model_dtype))
		sb_vram_dtype_name(r->model_dtype, s->e->dtype);
	if (!sb_empty(r->kv_dtype))
		sb_vram_dtype_name(r->kv_dtype, s->e->kv_dtype);
	rc = whole("metadata.num_layers", r->num_layers, &s->e->layers, err);
	if (!rc)
		rc = whole("metadata.num_kv_heads", r->num_kv_heads, &s->e->kv_heads, err);
	if (!rc)
		rc = whole("metadata.head_dim", r->head_dim, &s->e->head_dim, err);
	if (!rc)
		rc = real("metadata.model_vram", r->model_vram, &s->model_vram, err);
	if (!rc)
		rc = real("metadata.kv_vram_per_token", r->kv_vram_per_token, &s->kv_vram_per_token,
				err);
	return rc;
}

static bool wants_detection(const struct state *s)
{
	const struct sb_vram_compat *e = s->e;
	bool weights = !s->model_vram.known && (!*e->dtype || sb_empty(s->recipe->model_params));
	bool cache = !s->kv_vram_per_token.known &&
			(!truthy(&e->layers) || !truthy(&e->kv_heads) || !truthy(&e->head_dim));

	return !sb_empty(s->recipe->model) && (weights || cache);
}

static void fill(struct sb_vram_whole *to, const struct sb_vram_whole *from)
{
	if (!truthy(to) && from->known)
		*to = *from;
}

static const char *given_quantization(const struct sb_vram_recipe *r)
{
	return sb_empty(r->meta_quantization) ? r->quantization : r->meta_quantization;
}

static void detect(struct state *s, const struct sb_vram_facts *facts)
{
	struct sb_vram_compat *e = s->e;
	struct vram_config config = { 0 };
	struct sb_vram_quant quant;

	sb_vram_quant(given_quantization(s->recipe), facts->config, facts->hf_quant,
			s->recipe->model, &quant);
	strcpy(e->method, quant.method);
	e->bits = quant.bits;
	if (!*e->dtype)
		strcpy(e->dtype, quant.dtype);
	if (!json_is_object(facts->config))
		return;
	vram_config_read(facts->config, &config);
	strcpy(s->storage, config.dtype);
	if (!*e->dtype)
		strcpy(e->dtype, config.dtype);
	if (!*e->kv_dtype)
		strcpy(e->kv_dtype, quant.kv_dtype);
	fill(&e->layers, &config.layers);
	fill(&e->kv_heads, &config.kv_heads);
	fill(&e->head_dim, &config.head_dim);
}

/* A quantization in the recipe that is not the storage format by name counts as done at load. */
static bool quantized_at_load(const struct state *s)
{
	return vram_quant_given(given_quantization(s->recipe)) && *s->storage &&
			strcmp(s->storage, s->e->dtype) != 0;
}

static void size_on_disk(struct state *s, const struct sb_vram_facts *facts)
{
	const char *source;
	uint64_t total;
	int64_t count;
	double bytes;

	if (sb_vram_disk_bytes(facts, &total, &source)) {
		if (quantized_at_load(s) && sb_vram_dtype_bytes(s->storage, &bytes))
			s->e->params = (struct sb_vram_whole){ true,
				(int64_t)((double)total / bytes) };
		else
			s->model_vram = (struct sb_vram_real){ true, (double)total / GIB };
		return;
	}
	if (vram_json_int(json_object_get(facts->counts, "total"), &count) && count > 0)
		s->e->params = (struct sb_vram_whole){ true, count };
}

static int take_settings(struct state *s, struct sb_err *err)
{
	const struct sb_vram_recipe *r = s->recipe;
	struct sb_vram_whole tp = { 0 }, pp = { 0 };
	int rc = 0;

	if (r->max_model_len && strcasecmp(r->max_model_len, "auto") != 0)
		rc = whole("max_model_len", r->max_model_len, &s->e->max_model_len, err);
	if (!rc)
		rc = whole("tensor_parallel", r->tensor_parallel, &tp, err);
	if (!rc)
		rc = whole("pipeline_parallel", r->pipeline_parallel, &pp, err);
	if (!rc)
		rc = real("gpu_memory_utilization", r->gpu_memory_utilization, &s->e->utilization,
				err);
	s->e->tensor_parallel = tp.known ? tp.value : 1;
	s->e->pipeline_parallel = pp.known ? pp.value : 1;
	if (!*s->e->kv_dtype && r->kv_cache_dtype && strcmp(r->kv_cache_dtype, "auto") != 0)
		vram_name(s->e->kv_dtype, r->kv_cache_dtype);
	return rc;
}

/* --- formulas --- */

static void weights(struct state *s)
{
	struct sb_vram_compat *e = s->e;
	double bytes;

	e->weights_gb = (struct sb_vram_real){ true, 0 };
	e->weights_known = s->model_vram.known;
	if (s->model_vram.known)
		e->weights_gb.value = s->model_vram.value;
	else if (!truthy(&e->params))
		vram_warn(&e->warnings,
				"model_params not available; model weight estimate is zero");
	else if (!*e->dtype)
		vram_warn(&e->warnings, "model_dtype not available; model weight estimate is zero");
	else if ((e->weights_known = sb_vram_dtype_bytes(e->dtype, &bytes)))
		e->weights_gb.value = (double)e->params.value * bytes / GIB;
	else
		vram_warn(&e->warnings, "Unknown dtype '%s'; cannot estimate model weight VRAM",
				e->dtype);
}

static void missing_shape(struct sb_vram_compat *e)
{
	char names[64] = "";
	const struct {
		const struct sb_vram_whole *value;
		const char *name;
	} parts[] = { { &e->layers, "num_layers" }, { &e->kv_heads, "num_kv_heads" },
		{ &e->head_dim, "head_dim" } };

	for (size_t i = 0; i < sb_countof(parts); i++) {
		if (truthy(parts[i].value))
			continue;
		if (*names)
			strcat(names, ", ");
		strcat(names, parts[i].name);
	}
	vram_warn(&e->warnings, "Missing architecture info (%s); KV cache estimate unavailable",
			names);
}

static void cache(struct state *s)
{
	struct sb_vram_compat *e = s->e;
	double len = truthy(&e->max_model_len) ? (double)e->max_model_len.value : 0, bytes, b;

	if (s->kv_vram_per_token.known) {
		b = s->kv_vram_per_token.value;
		e->kv_bytes_per_token = (struct sb_vram_real){ true, b * GIB };
		e->kv_gb = (struct sb_vram_real){ len != 0, b * len };
		return;
	}
	if (!truthy(&e->layers) || !truthy(&e->kv_heads) || !truthy(&e->head_dim)) {
		missing_shape(e);
		return;
	}
	if (!sb_vram_dtype_bytes(e->kv_dtype, &bytes)) {
		vram_warn(&e->warnings, "Unknown KV cache dtype '%s'", e->kv_dtype);
		return;
	}
	b = 2.0 * (double)e->layers.value * (double)e->kv_heads.value * (double)e->head_dim.value *
			bytes;
	e->kv_bytes_per_token = (struct sb_vram_real){ true, b };
	e->kv_gb = (struct sb_vram_real){ len != 0, b * len / GIB };
}

/* @value is not negative; infinite over infinite is no number. */
static int64_t cut(double value)
{
	if (isnan(value))
		return 0;
	return value >= 9.2e18 ? INT64_MAX : (int64_t)value;
}

static void budget(struct sb_vram_compat *e, double ranks)
{
	double u = e->utilization.value, usable = SPARK_GIB * u;
	double mine = e->weights_gb.value / ranks, room = usable - mine, per;

	if (!e->utilization.known || u <= 0)
		return;
	if (room < 0) {
		room = 0;
		vram_warn(&e->warnings,
				"Model weights (%.1f GB) exceed usable GPU memory (%.1f GB at "
				"%.0f%% utilization)",
				mine, usable, u * 100);
	}
	e->usable_gb = (struct sb_vram_real){ true, usable };
	e->available_gb = (struct sb_vram_real){ true, room };
	per = e->kv_bytes_per_token.known ? e->kv_bytes_per_token.value / ranks / GIB : 0;
	if (per <= 0)
		return;
	e->max_tokens = (struct sb_vram_whole){ true, cut(room / per) };
	if (e->max_model_len.known && e->max_model_len.value > 0)
		e->multiplier = (struct sb_vram_real){ true,
			(double)e->max_tokens.value / (double)e->max_model_len.value };
}

static void compute(struct state *s)
{
	struct sb_vram_compat *e = s->e;
	double tp = e->tensor_parallel > 1 ? (double)e->tensor_parallel : 1;
	double pp = e->pipeline_parallel > 1 ? (double)e->pipeline_parallel : 1, ranks = tp * pp;

	if (!*e->kv_dtype)
		strcpy(e->kv_dtype, "bfloat16");
	weights(s);
	cache(s);
	e->per_gpu_gb = (struct sb_vram_real){ true,
		e->weights_gb.value / ranks + (e->kv_gb.known ? e->kv_gb.value / ranks : 0) };
	e->fits = e->per_gpu_gb.value <= SPARK_GIB;
	budget(e, ranks);
}

int sb_vram_compat(const struct sb_vram_recipe *recipe, const struct sb_vram_facts *facts,
		bool with_facts, struct sb_vram_compat *ret, struct sb_err *err)
{
	/* Its hub library takes "org/name:QUANT" for the repository's name and finds nothing. */
	static const struct sb_vram_facts none = { 0 };
	const struct sb_vram_facts *seen =
			facts && recipe->model && !strchr(recipe->model, ':') ? facts : &none;
	struct sb_vram_compat e = { 0 };
	struct state s = { .recipe = recipe, .e = &e };
	int rc = take_metadata(&s, err);

	if (rc < 0)
		return rc;
	if (with_facts && wants_detection(&s))
		detect(&s, seen);
	if (recipe->model_params)
		e.params.known = sb_vram_params(recipe->model_params, &e.params.value);
	if (with_facts && !sb_empty(recipe->model) && sb_empty(recipe->model_params) &&
			!s.model_vram.known)
		size_on_disk(&s, seen);
	rc = take_settings(&s, err);
	if (rc < 0)
		return rc;
	compute(&s);
	*ret = e;
	return 0;
}
