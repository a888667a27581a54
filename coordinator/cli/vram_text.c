/* From a resolved recipe and the local cache of models to an estimate of memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vram_text.h"

#define NUMBER_MAX 32

/* The texts that the estimator takes, and room for those that are not the recipe's own. */
struct inputs {
	struct sb_vram_recipe recipe;
	char numbers[16][NUMBER_MAX];
	size_t n;
};

/* A number that is written 2.0 or true counts as a whole one where one is wanted. */
static const char *whole_text(struct inputs *in, enum sb_yaml_type type, const char *text)
{
	char *to = in->numbers[in->n];
	double value;

	if (type != SB_YAML_FLOAT && type != SB_YAML_BOOL)
		return text;
	value = type == SB_YAML_BOOL ? strchr("tTyY", text[0]) || !strcasecmp(text, "on")
				     : strtod(text, NULL);
	if (!(fabs(value) < 9e18))
		return text;
	in->n++;
	snprintf(to, NUMBER_MAX, "%lld", (long long)value);
	return to;
}

struct field {
	const char *key;
	size_t at;
	bool whole;
};
#define FIELD(key, member, whole)                                                                  \
	{                                                                                          \
		key, offsetof(struct sb_vram_recipe, member), whole                                \
	}

static void set(struct inputs *in, const struct field *field, enum sb_yaml_type type,
		const char *text)
{
	*(const char **)((char *)&in->recipe + field->at) =
			field->whole ? whole_text(in, type, text) : text;
}

static void take_metadata(const struct sb_workload *w, struct inputs *in)
{
	static const struct field fields[] = { FIELD("model_dtype", model_dtype, false),
		FIELD("model_params", model_params, false), FIELD("model_vram", model_vram, false),
		FIELD("kv_dtype", kv_dtype, false), FIELD("num_layers", num_layers, true),
		FIELD("num_kv_heads", num_kv_heads, true), FIELD("head_dim", head_dim, true),
		FIELD("kv_vram_per_token", kv_vram_per_token, false),
		FIELD("quantization", meta_quantization, false) };

	for (size_t i = 0; i < sb_countof(fields); i++) {
		const struct sb_yaml_node *node =
				sb_yaml_get(sb_workload_metadata(w), fields[i].key);

		if (sb_yaml_type(node) != SB_YAML_NULL)
			set(in, &fields[i], sb_yaml_type(node), sb_yaml_str(node));
	}
}

static void take_settings(const struct sb_workload *w, struct inputs *in)
{
	static const struct field fields[] = { FIELD("kv_cache_dtype", kv_cache_dtype, false),
		FIELD("quantization", quantization, false),
		FIELD("max_model_len", max_model_len, true),
		FIELD("tensor_parallel", tensor_parallel, true),
		FIELD("pipeline_parallel", pipeline_parallel, true),
		FIELD("gpu_memory_utilization", gpu_memory_utilization, false) };

	for (size_t i = 0; i < sb_countof(fields); i++) {
		const struct sb_value *value = sb_workload_config(w, fields[i].key);

		if (value)
			set(in, &fields[i], value->type, value->text);
	}
}

int vram_estimate(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_vram_compat *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_hub_model_done) struct sb_hub_model model = { 0 };
	struct inputs in = { .recipe.model = sb_workload_model(w) };
	struct sb_vram_facts facts;
	int rc = 0;

	take_metadata(w, &in);
	take_settings(w, &in);
	if (how != VRAM_BLIND)
		rc = vram_look(cli, w, how == VRAM_OFFLINE, &model, err);
	if (rc < 0)
		return rc;
	facts = sb_hub_facts(&model);
	return sb_vram_compat(&in.recipe, &facts, how != VRAM_BLIND, ret, err);
}

int vram_block(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_strbuf *out)
{
	struct sb_vram_compat estimate;
	struct sb_err err = SB_ERR_INIT;

	if (vram_estimate(cli, w, how, &estimate, &err) < 0)
		return sb_strbuf_addf(out, "\nVRAM estimation failed: %s\n", err.text);
	return sb_vram_compat_text(&estimate, out);
}
