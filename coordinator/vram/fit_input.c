/* fit_input.c - what the launch says, as numbers; where it is silent, what its engine does. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fit.h"

#define COUNT_MAX ((int64_t)1 << 40)

static int whole(const char *key, const char *text, int64_t max, int64_t *ret, struct sb_err *err)
{
	int64_t value;

	if (sb_empty(text) || !strcasecmp(text, "auto"))
		return 0;
	if (!vram_text_int(text, &value) || value > max) {
		sb_err_set(err, SB_E_INVALID, "%s: expected a whole number, got '%s'", key, text);
		return sb_err_hint(
				err, -SB_E_INVALID, "mend it in the recipe or give another value");
	}
	if (value > 0)
		*ret = value;
	return 0;
}

static int take_numbers(struct fit_state *s, struct sb_err *err)
{
	const struct sb_vram_launch *l = s->launch;
	struct sb_vram_fit *f = s->fit;
	const struct {
		const char *key, *text;
		int64_t max, *ret;
	} rows[] = { { "tensor_parallel", l->recipe.tensor_parallel, 1024, &f->tp },
		{ "pipeline_parallel", l->recipe.pipeline_parallel, 1024, &f->pp },
		{ "data_parallel", l->data_parallel, 1024, &f->dp },
		{ "max_model_len", l->recipe.max_model_len, COUNT_MAX, &f->len },
		{ "max_num_seqs", l->max_num_seqs, COUNT_MAX, &f->seqs },
		{ "max_num_batched_tokens", l->max_num_batched_tokens, COUNT_MAX,
				&s->cache.batched_tokens },
		{ "block_size", l->block_size, 65536, &s->cache.block_tokens } };
	int rc = 0;

	f->tp = f->pp = f->dp = 1;
	for (size_t i = 0; rc == 0 && i < sb_countof(rows); i++)
		rc = whole(rows[i].key, rows[i].text, rows[i].max, rows[i].ret, err);
	/* Layers go to the nodes one after another, whatever the recipe calls it. */
	if (l->engine == SB_VRAM_LLAMA_CPP) {
		f->pp = f->tp > f->pp ? f->tp : f->pp;
		f->tp = 1;
	}
	f->len_given = f->len > 0;
	return rc;
}

static int take_share(struct fit_state *s, struct sb_err *err)
{
	/* Of all memory; TensorRT-LLM's is of what is free once the model is loaded. */
	static const double shares[] = { [SB_VRAM_VLLM] = 0.9,
		[SB_VRAM_SGLANG] = 0.85,
		[SB_VRAM_LLAMA_CPP] = 0,
		[SB_VRAM_TRTLLM] = 0.9,
		[SB_VRAM_OTHER] = 0.9 };
	static_assert(sb_countof(shares) == SB_VRAM_ENGINE_COUNT_, "a share per engine");
	const char *text = s->launch->recipe.gpu_memory_utilization;
	struct sb_vram_fit *f = s->fit;

	f->utilization = shares[s->launch->engine];
	if (sb_empty(text) || s->launch->engine == SB_VRAM_LLAMA_CPP)
		return 0;
	if (!vram_text_real(text, &f->utilization)) {
		sb_err_set(err, SB_E_INVALID, "gpu_memory_utilization: expected a number, got '%s'",
				text);
		return sb_err_hint(
				err, -SB_E_INVALID, "mend it in the recipe or give another value");
	}
	f->utilization_given = f->utilization > 0 && f->utilization <= 1;
	if (!f->utilization_given) {
		vram_warn(&f->notes, "gpu_memory_utilization is %s: counted as %g", text,
				shares[s->launch->engine]);
		f->utilization = shares[s->launch->engine];
	}
	return 0;
}

/* A shape of the metadata alone: every layer attends in full. */
static void shape_by_metadata(struct fit_state *s)
{
	const struct sb_vram_recipe *r = &s->launch->recipe;
	struct sb_vram_shape *shape = &s->fit->shape;
	int64_t layers, heads, dim;

	if (shape->layers || !r->num_layers || !r->num_kv_heads || !r->head_dim ||
			!vram_text_int(r->num_layers, &layers) ||
			!vram_text_int(r->num_kv_heads, &heads) ||
			!vram_text_int(r->head_dim, &dim) || layers < 1 ||
			layers > SB_VRAM_LAYERS_MAX || heads < 1 || heads > 65536 || dim < 1 ||
			dim > 65536)
		return;
	shape->layers = layers;
	shape->n_sets = 1;
	shape->sets[0] = (struct sb_vram_set){ .kind = SB_VRAM_FULL,
		.kv_heads = (double)heads,
		.key_dim = (double)dim,
		.value_dim = (double)dim };
	shape->dtype_bytes = 2;
	shape->guessed = true;
	vram_warn(&s->fit->notes,
			"no config.json was found: every layer of the metadata's counts as "
			"full attention");
}

/* Of the checkpoint, when it asks for a dtype of its own: ModelOpt's file or compressed-tensors. */
static const char *asked_by_model(const struct fit_state *s, const struct sb_vram_quant *quant)
{
	const json_t *map = json_object_get(s->facts->config, "quantization_config");
	const json_t *scheme = json_object_get(map, "kv_cache_scheme");
	int64_t bits = 0;

	if (*quant->kv_dtype)
		return quant->kv_dtype;
	vram_json_int(json_object_get(scheme, "num_bits"), &bits);
	return bits == 8 ? "fp8" : "";
}

static void take_kv(struct fit_state *s)
{
	const struct sb_vram_launch *l = s->launch;
	struct sb_vram_fit *f = s->fit;
	const char *given = l->recipe.kv_cache_dtype;
	struct sb_vram_quant quant;

	sb_vram_quant(NULL, s->facts->config, s->facts->hf_quant, l->recipe.model, &quant);
	vram_name(f->weight_dtype,
			!sb_empty(l->recipe.model_dtype)            ? l->recipe.model_dtype
					: *quant.dtype              ? quant.dtype
					: f->shape.dtype_bytes == 4 ? "float32"
					: f->shape.layers && s->facts->config ? "bfloat16"
									      : "");
	if (sb_empty(given) || !strcasecmp(given, "auto"))
		given = l->recipe.kv_dtype;
	if (sb_empty(given) || !strcasecmp(given, "auto"))
		given = l->engine == SB_VRAM_LLAMA_CPP ? "f16" : asked_by_model(s, &quant);
	vram_name(f->kv_dtype, given);
	s->kv_known = sb_vram_kv_element(given, f->shape.dtype_bytes, &s->cache.key_bytes);
	s->cache.value_bytes = s->cache.key_bytes;
	if (s->kv_known && !sb_empty(l->kv_cache_dtype_v))
		s->kv_known = sb_vram_kv_element(
				l->kv_cache_dtype_v, f->shape.dtype_bytes, &s->cache.value_bytes);
	if (!s->kv_known)
		vram_warn(&f->notes, "'%s' is no dtype of a KV cache that is known here", given);
	if (!*f->kv_dtype)
		strcpy(f->kv_dtype, f->shape.dtype_bytes == 4 ? "float32" : "16 bit");
}

void sb_vram_drafter(const struct sb_vram_launch *launch, char *ret, size_t size)
{
	json_t *json = sb_empty(launch->speculative) ? NULL
						     : json_loads(launch->speculative, 0, NULL);
	const char *model = json_string_value(json_object_get(json, "model"));

	snprintf(ret, size, "%s", model && strcmp(model, "[ngram]") != 0 ? model : "");
	/* A folder in the container cannot be looked into. */
	if (*ret == '/')
		*ret = '\0';
	json_decref(json);
}

static void take_speculation(struct fit_state *s)
{
	const char *text = s->launch->speculative;
	json_t *json = sb_empty(text) ? NULL : json_loads(text, 0, NULL);
	const char *method = json_string_value(json_object_get(json, "method"));
	int64_t tokens = 0;

	if (vram_json_int(json_object_get(json, "num_speculative_tokens"), &tokens) && tokens > 0 &&
			tokens < 1024)
		s->cache.spec_tokens = tokens;
	s->cache.mtp = method && strstr(method, "mtp");
	sb_vram_drafter(s->launch, s->drafter, sizeof(s->drafter));
	if (!sb_empty(text) && !json_is_object(json))
		vram_warn(&s->fit->notes,
				"the speculative configuration is no JSON object: not counted");
	json_decref(json);
}

int fit_input(struct fit_state *s, struct sb_err *err)
{
	struct sb_vram_fit *f = s->fit;
	int rc = take_numbers(s, err);

	if (rc == 0)
		rc = take_share(s, err);
	if (rc < 0)
		return rc;
	sb_vram_shape_read(s->facts->config ? s->facts->config : s->facts->gguf, &f->shape);
	shape_by_metadata(s);
	take_kv(s);
	take_speculation(s);
	s->cache.engine = s->launch->engine;
	s->cache.tp = f->tp;
	s->cache.no_prefix_cache =
			s->launch->no_prefix_cache && !strcmp(s->launch->no_prefix_cache, "true");
	if (!f->len)
		f->len = f->shape.native_len;
	if (f->shape.guessed && *f->shape.model_type)
		vram_warn(&f->notes,
				"the cache of %s is by its config.json alone: no engine's figure "
				"was at hand to check it with",
				f->shape.model_type);
	if (s->launch->engine == SB_VRAM_OTHER)
		vram_warn(&f->notes,
				"how this engine keeps its cache is not known here: it is counted "
				"by "
				"token");
	if (f->dp > 1)
		vram_warn(&f->notes,
				"each of the %lld replicas holds all weights here; with expert "
				"parallelism they hold less",
				(long long)f->dp);
	return 0;
}
