/* fuzz_vram.c - a line of a recipe, then any JSON in the place of each of a model's files. */
#include <stdint.h>
#include <string.h>

#include "sb_vram.h"

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
	json_decref(doc);
	return 0;
}
