/* compat_text.c - the published tool's estimate as it prints it, and as JSON. */
#include <math.h>

#include "internal.h"

static void budget_text(const struct sb_vram_compat *e, struct sb_strbuf *out)
{
	double percent = e->utilization.value * 100;

	/* A share of 0 makes the published tool stop here with an error; we leave the block out. */
	if (!e->usable_gb.known)
		return;
	sb_strbuf_adds(out, "\n  GPU Memory Budget:\n");
	sb_strbuf_addf(out, "    gpu_memory_utilization: %.0f%%\n", percent);
	sb_strbuf_addf(out, "    Usable GPU memory:     %.1f GB (121 GB x %.0f%%)\n",
			e->usable_gb.value, percent);
	if (!e->weights_known) {
		sb_strbuf_adds(out, "    Available for KV:      UNKNOWN\n");
		return;
	}
	sb_strbuf_addf(out, "    Available for KV:      %.1f GB\n", e->available_gb.value);
	if (!e->max_tokens.known)
		return;
	sb_strbuf_adds(out, "    Max context tokens:    ");
	sb_vram_thousands(out, e->max_tokens.value);
	sb_strbuf_addc(out, '\n');
	if (!e->multiplier.known)
		return;
	sb_strbuf_addf(out,
			"    Context multiplier:    %.1fx (vs max_model_len=", e->multiplier.value);
	sb_vram_thousands(out, e->max_model_len.value);
	sb_strbuf_adds(out, ")\n");
	if (e->multiplier.value < 1)
		sb_strbuf_addf(out,
				"    WARNING: max_model_len exceeds available KV budget (%.1f%% "
				"fits)\n",
				e->multiplier.value * 100);
}

static void model_text(const struct sb_vram_compat *e, struct sb_strbuf *out)
{
	if (*e->dtype)
		sb_strbuf_addf(out, "  Model dtype:      %s\n", e->dtype);
	if (e->params.known && e->params.value) {
		sb_strbuf_adds(out, "  Model params:     ");
		sb_vram_thousands(out, e->params.value);
		sb_strbuf_addc(out, '\n');
	}
	sb_strbuf_addf(out, "  KV cache dtype:   %s\n", e->kv_dtype);
	if (e->layers.known && e->layers.value && e->kv_heads.known && e->kv_heads.value &&
			e->head_dim.known && e->head_dim.value)
		sb_strbuf_addf(out,
				"  Architecture:     %lld layers, %lld KV heads, %lld head_dim\n",
				(long long)e->layers.value, (long long)e->kv_heads.value,
				(long long)e->head_dim.value);
}

int sb_vram_compat_text(const struct sb_vram_compat *e, struct sb_strbuf *out)
{
	sb_strbuf_adds(out, "\nVRAM Estimation:\n");
	model_text(e, out);
	/* The published tool says 0.00 GB of weights that it does not know, and that they fit. */
	if (e->weights_known)
		sb_strbuf_addf(out, "  Model weights:    %.2f GB\n", e->weights_gb.value);
	else
		sb_strbuf_adds(out, "  Model weights:    unknown\n");
	if (e->kv_gb.known) {
		sb_strbuf_addf(out, "  KV cache:         %.2f GB (max_model_len=", e->kv_gb.value);
		sb_vram_thousands(out, e->max_model_len.value);
		sb_strbuf_adds(out, ")\n");
	}
	sb_strbuf_addf(out, "  Tensor parallel:  %lld\n", (long long)e->tensor_parallel);
	if (e->pipeline_parallel > 1)
		sb_strbuf_addf(out, "  Pipeline parallel: %lld\n", (long long)e->pipeline_parallel);
	if (e->weights_known)
		sb_strbuf_addf(out, "  Per-GPU total:    %.2f GB\n", e->per_gpu_gb.value);
	else
		sb_strbuf_adds(out, "  Per-GPU total:    unknown\n");
	sb_strbuf_addf(out, "  DGX Spark fit:    %s\n",
			!e->fits                           ? "EXCEEDS 121 GB"
					: e->weights_known ? "YES"
							   : "UNKNOWN");
	budget_text(e, out);
	for (size_t i = 0; i < e->warnings.n; i++)
		sb_strbuf_addf(out, "  Warning: %s\n", e->warnings.text[i]);
	return out->failed;
}

/* JSON knows no infinity. */
static json_t *real(const struct sb_vram_real *value)
{
	return value->known && isfinite(value->value) ? json_real(value->value) : json_null();
}

static json_t *whole(const struct sb_vram_whole *value)
{
	return value->known ? json_integer(value->value) : json_null();
}

static json_t *text(const char *value)
{
	return *value ? json_string(value) : json_null();
}

static json_t *warnings(const struct sb_vram_warnings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, json_string(list->text[i]));
	return array;
}

/* Without the weights there is no sum and no verdict, unless what is known is too much already. */
static json_t *sum(const struct sb_vram_compat *e, const struct sb_vram_real *value)
{
	return e->weights_known ? real(value) : json_null();
}

static json_t *fits(const struct sb_vram_compat *e)
{
	return e->weights_known || !e->fits ? json_boolean(e->fits) : json_null();
}

json_t *sb_vram_compat_json(const struct sb_vram_compat *e)
{
	return json_pack("{so so so so so sI sI so so so so so so so so so so so so so}",
			"model_weights_gb", sum(e, &e->weights_gb), "kv_cache_per_token_bytes",
			real(&e->kv_bytes_per_token), "kv_cache_total_gb", real(&e->kv_gb),
			"total_per_gpu_gb", sum(e, &e->per_gpu_gb), "max_model_len",
			whole(&e->max_model_len), "tensor_parallel", (json_int_t)e->tensor_parallel,
			"pipeline_parallel", (json_int_t)e->pipeline_parallel, "warnings",
			warnings(&e->warnings), "model_params", whole(&e->params), "model_dtype",
			text(e->dtype), "kv_dtype", text(e->kv_dtype), "num_layers",
			whole(&e->layers), "num_kv_heads", whole(&e->kv_heads), "head_dim",
			whole(&e->head_dim), "gpu_memory_utilization", real(&e->utilization),
			"usable_gpu_memory_gb", real(&e->usable_gb), "available_kv_gb",
			sum(e, &e->available_gb), "max_context_tokens",
			e->weights_known ? whole(&e->max_tokens) : json_null(),
			"context_multiplier", sum(e, &e->multiplier), "fits_dgx_spark", fits(e));
}
