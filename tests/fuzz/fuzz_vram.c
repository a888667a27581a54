/* fuzz_vram.c - a line of a recipe, then any JSON in the place of each of a model's files: for the
 * published tool's estimate and for ours. */
#include <stdint.h>
#include <string.h>

#include "sb_vram_fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the files say: text that steers no terminal, and a document. */
static void estimate(const struct sb_vram_recipe *recipe, const struct sb_vram_facts *facts)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_vram_compat e;
	struct sb_err err = SB_ERR_INIT;
	json_t *json;

	if (sb_vram_compat(recipe, facts, true, &e, &err) < 0) {
		if (!err.text[0])
			abort();
		return;
	}
	if (sb_vram_compat_text(&e, &out) < 0)
		abort();
	for (const char *p = sb_strbuf_str(&out); *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n')
			abort();
	json = sb_vram_compat_json(&e);
	if (!json)
		abort();
	json_decref(json);
}

static void fit(const struct sb_vram_launch *launch, const struct sb_vram_facts *facts)
{
	static const struct sb_vram_node nodes[] = { { "spark1", true, true, 130e9, 100e9 } };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	struct sb_vram_fit f;
	json_t *json;

	if (sb_vram_fit(launch, facts, facts, nodes, 1, &f, &err) < 0) {
		if (!err.text[0])
			abort();
		return;
	}
	if (sb_vram_fit_text(&f, &out) < 0 || sb_vram_fit_line(&f, &out) < 0)
		abort();
	for (const char *p = sb_strbuf_str(&out); *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n')
			abort();
	json = sb_vram_fit_json(&f);
	if (!json)
		abort();
	json_decref(json);
}

/* The launch's own words, for each engine. */
static void fit_all(const char *word, const struct sb_vram_facts *facts)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m", .tensor_parallel = "2" },
		.speculative = "{\"method\":\"mtp\",\"num_speculative_tokens\":2}" };

	for (launch.engine = 0; launch.engine < SB_VRAM_ENGINE_COUNT_; launch.engine++)
		fit(&launch, facts);
	launch.engine = SB_VRAM_VLLM;
	launch.recipe = (struct sb_vram_recipe){ .model = word,
		.kv_cache_dtype = word,
		.quantization = word,
		.model_dtype = word,
		.max_model_len = "5000" };
	launch.speculative = word;
	fit(&launch, facts);
	launch.recipe = (struct sb_vram_recipe){ .pipeline_parallel = word,
		.gpu_memory_utilization = word,
		.max_model_len = word,
		.num_layers = word,
		.num_kv_heads = word,
		.head_dim = "64",
		.model_params = word,
		.kv_vram_per_token = word };
	launch.max_num_seqs = launch.block_size = word;
	fit(&launch, facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t line = end ? (size_t)(end - data) : size;
	size_t used = line + (end != NULL);
	static const struct sb_vram_file files[] = { { "1.safetensors", 5000 },
		{ "2.safetensors", UINT64_MAX }, { "model.safetensors", 1 } };
	SB_CLEANUP(sb_freep) char *word = malloc(line + 1);
	json_t *doc = json_loadb((const char *)data + used, size - used, JSON_DECODE_ANY, NULL);
	struct sb_vram_facts facts = { doc, doc, doc, doc, files, sb_countof(files), doc };
	struct sb_vram_recipe recipe = {
		.model = "o/m", .max_model_len = "4096", .gpu_memory_utilization = "0.9"
	};

	memcpy(word, data, line);
	word[line] = '\0';
	estimate(&recipe, &facts);
	facts.n_files = 0;
	recipe.quantization = recipe.kv_cache_dtype = word;
	estimate(&recipe, &facts);
	recipe.model_dtype = recipe.model_params = recipe.max_model_len = word;
	estimate(&recipe, &facts);
	recipe = (struct sb_vram_recipe){ .model = word,
		.model_vram = word,
		.kv_dtype = word,
		.num_layers = word,
		.kv_vram_per_token = word,
		.tensor_parallel = word };
	estimate(&recipe, &facts);
	fit_all(word, &facts);
	facts.n_files = sb_countof(files);
	facts.index = facts.header = NULL;
	fit_all(word, &facts);
	json_decref(doc);
	return 0;
}
