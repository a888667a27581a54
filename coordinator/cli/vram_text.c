/* From a resolved recipe and what is known of its model to an estimate of memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vram_text.h"

/* A number that is written 2.0 or true counts as a whole one where one is wanted. */
static const char *whole_text(struct vram *v, enum sb_yaml_type type, const char *text)
{
	char *to = v->numbers[v->n_numbers];
	double value;

	if ((type != SB_YAML_FLOAT && type != SB_YAML_BOOL) || v->n_numbers == VRAM_NUMBERS_MAX)
		return text;
	value = type == SB_YAML_BOOL ? strchr("tTyY", text[0]) || !strcasecmp(text, "on")
				     : strtod(text, NULL);
	if (!(fabs(value) < 9e18))
		return text;
	v->n_numbers++;
	snprintf(to, sizeof(v->numbers[0]), "%lld", (long long)value);
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

static void set(struct vram *v, const struct field *field, enum sb_yaml_type type, const char *text)
{
	*(const char **)((char *)&v->recipe + field->at) =
			field->whole ? whole_text(v, type, text) : text;
}

static void take_metadata(const struct sb_workload *w, struct vram *v)
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
			set(v, &fields[i], sb_yaml_type(node), sb_yaml_str(node));
	}
}

static void take_settings(const struct sb_workload *w, struct vram *v)
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
			set(v, &fields[i], value->type, value->text);
	}
}

/* --- the launch as it is run --- */

static enum sb_vram_engine engine_of(const char *runtime)
{
	static const struct {
		const char *runtime;
		enum sb_vram_engine engine;
	} rows[] = { { "vllm-distributed", SB_VRAM_VLLM }, { "vllm-ray", SB_VRAM_VLLM },
		{ "eugr-vllm", SB_VRAM_VLLM }, { "sglang", SB_VRAM_SGLANG },
		{ "llama-cpp", SB_VRAM_LLAMA_CPP }, { "trtllm", SB_VRAM_TRTLLM } };

	for (size_t i = 0; i < sb_countof(rows); i++)
		if (!strcmp(rows[i].runtime, runtime))
			return rows[i].engine;
	return SB_VRAM_OTHER;
}

/* A key of the recipe's configuration, or a flag of the command that was made from it: the flag is
 * what the engine sees. A number that only a shell knows is left to the recipe. */
struct word {
	const char *key, *flag;
	size_t at;
	bool number;
};
#define WORD(key, flag, member, number)                                                            \
	{                                                                                          \
		key, flag, offsetof(struct sb_vram_launch, member), number                         \
	}
static const struct word words[] = {
	WORD("max_model_len", "flag.max-model-len", recipe.max_model_len, true),
	WORD("ctx_size", "flag.ctx-size", recipe.max_model_len, true),
	WORD("max_seq_len", "flag.max-seq-len", recipe.max_model_len, true),
	WORD("tp_size", "flag.tp-size", recipe.tensor_parallel, true),
	WORD("pp_size", "flag.pp-size", recipe.pipeline_parallel, true),
	WORD("tensor_parallel", "flag.tensor-parallel-size", recipe.tensor_parallel, true),
	WORD("pipeline_parallel", "flag.pipeline-parallel-size", recipe.pipeline_parallel, true),
	WORD("data_parallel", "flag.data-parallel-size", data_parallel, true),
	WORD("gpu_memory_utilization", "flag.gpu-memory-utilization", recipe.gpu_memory_utilization,
			true),
	WORD("kv_cache_dtype", "flag.kv-cache-dtype", recipe.kv_cache_dtype, false),
	WORD("cache_type_k", "flag.cache-type-k", recipe.kv_cache_dtype, false),
	WORD("cache_type_v", "flag.cache-type-v", kv_cache_dtype_v, false),
	WORD("quantization", "flag.quantization", recipe.quantization, false),
	WORD("max_num_seqs", "flag.max-num-seqs", max_num_seqs, true),
	WORD("max_running_requests", "flag.max-running-requests", max_num_seqs, true),
	WORD("max_batch_size", "flag.max-batch-size", max_num_seqs, true),
	WORD("kv_cache_free_gpu_memory_fraction", "flag.kv-cache-free-gpu-memory-fraction",
			recipe.gpu_memory_utilization, true),
	WORD("max_num_batched_tokens", "flag.max-num-batched-tokens", max_num_batched_tokens, true),
	WORD("block_size", "flag.block-size", block_size, true),
	WORD("speculative_config", "flag.speculative-config", speculative, false),
	WORD("no_enable_prefix_caching", "flag.no-enable-prefix-caching", no_prefix_cache, false),
};

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789.eE+-_")];
}

static void take_words(const struct sb_workload *w, const struct sb_facts *facts, struct vram *v)
{
	for (size_t i = 0; i < sb_countof(words); i++) {
		const struct sb_value *value = sb_workload_config(w, words[i].key);
		const char **to = (const char **)((char *)&v->launch + words[i].at);
		const char *flag = facts ? sb_facts_text(facts, words[i].flag) : NULL;

		if (value && !*to)
			*to = whole_text(v, words[i].number ? value->type : SB_YAML_STR,
					value->text);
		if (!sb_empty(flag) && (!words[i].number || is_number(flag)))
			*to = flag;
	}
}

/* A map in the recipe is put into a command in quotes that JSON does not know, but YAML does. */
static void take_speculation(struct vram *v)
{
	const char *text = v->launch.speculative;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	json_t *json = NULL;

	if (sb_empty(text) ||
			sb_yaml_parse("speculative_config", text, strlen(text), NULL, NULL, &doc,
					NULL) < 0)
		return;
	if (sb_yaml_type(sb_yaml_root(doc)) == SB_YAML_MAP)
		json = recipe_yaml_json(sb_yaml_root(doc));
	v->speculative = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (v->speculative)
		v->launch.speculative = v->speculative;
	json_decref(json);
}

/* llama.cpp is told of its nodes by their addresses alone. */
static void take_ranks(const Sparkbus__LaunchPlan *plan, struct vram *v)
{
	char *to = v->numbers[v->n_numbers];

	if (!plan || plan->n_ranks < 2 || v->launch.engine != SB_VRAM_LLAMA_CPP ||
			v->n_numbers == VRAM_NUMBERS_MAX)
		return;
	v->n_numbers++;
	snprintf(to, sizeof(v->numbers[0]), "%zu", plan->n_ranks);
	v->launch.recipe.pipeline_parallel = to;
}

/* The flags of the command, when nobody gathered them yet. Without lint's files it is the recipe's
 * settings alone that count. */
static void take_facts(
		const struct sb_workload *w, const Sparkbus__LaunchPlan *plan, struct vram *v)
{
	SB_CLEANUP(sb_rules_freep) struct sb_rules *rules = NULL;

	if (checks_load(&rules, NULL) == 0)
		checks_gather(rules, w, NULL, plan, &v->facts, NULL);
}

int vram_open(struct cli *cli, const struct sb_workload *w, const Sparkbus__LaunchPlan *plan,
		const struct sb_facts *facts, enum vram_look how, struct vram *ret,
		struct sb_err *err)
{
	char drafter[256];
	int rc = 0;

	*ret = (struct vram){ .blind = how == VRAM_BLIND };
	ret->recipe.model = sb_workload_model(w);
	take_metadata(w, ret);
	take_settings(w, ret);
	if (!facts)
		take_facts(w, plan, ret);
	ret->launch.recipe = ret->recipe;
	ret->launch.engine = engine_of(sb_workload_runtime(w));
	take_words(w, facts ? facts : ret->facts, ret);
	take_ranks(plan, ret);
	take_speculation(ret);
	if (how == VRAM_BLIND)
		return 0;
	rc = vram_look(cli, ret->recipe.model, sb_workload_revision(w), how, &ret->model,
			&ret->why);
	sb_vram_drafter(&ret->launch, drafter, sizeof(drafter));
	if (rc == 0 && *drafter) {
		struct sb_err unused = SB_ERR_INIT;

		/* A hub that is away is not waited for twice. */
		rc = vram_look(cli, drafter, "", *ret->why.text ? VRAM_OFFLINE : how, &ret->draft,
				&unused);
		ret->has_draft = true;
	}
	if (rc < 0) {
		*err = ret->why;
		vram_done(ret);
	}
	return rc;
}

void vram_done(struct vram *v)
{
	sb_hub_model_done(&v->model);
	sb_hub_model_done(&v->draft);
	sb_facts_free(v->facts);
	free(v->speculative);
	v->facts = NULL;
	v->speculative = NULL;
}

int vram_published(const struct vram *v, struct sb_vram_compat *ret, struct sb_err *err)
{
	struct sb_vram_facts facts = sb_hub_facts(&v->model);

	return sb_vram_compat(&v->recipe, &facts, !v->blind, ret, err);
}

int vram_fit(const struct vram *v, const struct sb_vram_node *nodes, size_t n,
		struct sb_vram_fit *ret, struct sb_err *err)
{
	struct sb_vram_facts facts = sb_hub_facts(&v->model), draft = sb_hub_facts(&v->draft);

	return sb_vram_fit(&v->launch, &facts, v->has_draft ? &draft : NULL, nodes, n, ret, err);
}

/* --- for people --- */

void vram_note(struct cli *cli, const struct vram *v)
{
	if (*v->why.text)
		cli_note(cli, "Note: %s is looked at: %s%s%s",
				v->model.config ? "only what the cache has of the model"
						: "only the recipe",
				v->why.text, *v->why.hint ? "; " : "", v->why.hint);
}

int vram_block(struct cli *cli, const struct sb_workload *w, enum vram_look how,
		struct sb_strbuf *out)
{
	SB_CLEANUP(vram_done) struct vram v = { 0 };
	struct sb_vram_fit fit;
	struct sb_err err = SB_ERR_INIT;
	int rc = vram_open(cli, w, NULL, NULL, how, &v, &err);

	if (rc == 0) {
		vram_note(cli, &v);
		rc = vram_fit(&v, NULL, 0, &fit, &err);
	}
	if (rc < 0)
		return sb_strbuf_addf(out, "\nVRAM estimation failed: %s\n", err.text);
	return sb_vram_fit_text(&fit, out);
}

json_t *vram_json(struct cli *cli, const struct sb_workload *w, enum vram_look how)
{
	SB_CLEANUP(vram_done) struct vram v = { 0 };
	struct sb_vram_fit fit;
	struct sb_err err = SB_ERR_INIT;

	if (vram_open(cli, w, NULL, NULL, how, &v, &err) < 0)
		return json_null();
	vram_note(cli, &v);
	return vram_fit(&v, NULL, 0, &fit, &err) < 0 ? json_null() : sb_vram_fit_json(&fit);
}
