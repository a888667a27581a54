/* fuzz_gguf.c - any bytes as the head of a GGUF, and what an estimate makes of it. */
#include <stdint.h>

#include "sb_hub.h"
#include "sb_vram_fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *config = sb_hub_gguf(data, size), *json;
	struct sb_vram_facts facts = { .gguf = config };
	struct sb_vram_launch launch = { .recipe.model = "o/m:Q8_0", .engine = SB_VRAM_LLAMA_CPP };
	struct sb_vram_fit fit;

	if (!config)
		return 0;
	if (sb_vram_fit(&launch, &facts, NULL, NULL, 0, &fit, NULL) < 0)
		abort();
	json = sb_vram_fit_json(&fit);
	if (!json)
		abort();
	json_decref(json);
	json_decref(config);
	return 0;
}
