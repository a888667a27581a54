/* The estimate proper, against figures that engines printed or makers published. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sb_vram_fit.h"

#define GIB 1073741824.0

static json_t *config(const char *name)
{
	char path[512];
	json_error_t error;
	json_t *json;

	snprintf(path, sizeof(path), "%s/%s.json", CONFIG_DIR, name);
	json = json_load_file(path, 0, &error);
	ck_assert_msg(json != NULL, "%s: %s", path, error.text);
	return json;
}

static struct sb_vram_shape shape_of(const char *name)
{
	json_t *json = config(name);
	struct sb_vram_shape shape;

	ck_assert_msg(sb_vram_shape_read(json, &shape), "%s", name);
	json_decref(json);
	return shape;
}

static struct sb_vram_cache_settings settings(double bytes)
{
	return (struct sb_vram_cache_settings){ .tp = 1, .key_bytes = bytes, .value_bytes = bytes };
}

static struct sb_vram_cache cache_of(const char *name, const struct sb_vram_cache_settings *s)
{
	struct sb_vram_shape shape = shape_of(name);
	struct sb_vram_cache cache;

	sb_vram_cache(&shape, s, &cache);
	ck_assert(cache.known);
	return cache;
}

/* --- shapes --- */

/* Parameters as published, in billions, and how near a count without norms must be. */
static const struct {
	const char *name, *layers;
	double params, active, within; /* active 0 = all */
	double token_bytes;            /* 16-bit cache */
	const char *source;
} models[] = {
	{ "llama-3.1-8b", "32 layers: 32 full attention", 8.030261248, 0, 0.0001, 131072,
			"parameters: the hub" },
	{ "llama-3.1-405b", "126 layers: 126 full attention", 405.853388800, 0, 0.0001, 516096,
			"cache: DeepSeek-V3 hardware paper, table 1" },
	{ "qwen2.5-72b", "80 layers: 80 full attention", 72.706203648, 0, 0.0001, 327680,
			"cache: the same table" },
	{ "deepseek-v3", "61 layers: 61 latent attention", 671, 37, 0.02, 70272,
			"cache: the same table; parameters: its report" },
	{ "qwen3-1.7b", "28 layers: 28 full attention", 1.720574976, 0, 0.0005, 114688, "the hub" },
	{ "qwen3-8b", "36 layers: 36 full attention", 8.190735360, 0, 0.0005, 147456, "the hub" },
	{ "qwen3-vl-8b", "36 layers: 36 full attention", 8.77, 0, 0.03, 147456, "the hub" },
	{ "qwen3-next-80b", "48 layers: 12 full attention, 36 linear", 79.674391296, 3.874929408,
			0.005, 24576, "headers of its safetensors files" },
	{ "qwen3.6-35b-a3b", "40 layers: 10 full attention, 30 linear", 35, 3.5, 0.08, 20480,
			"name" },
	{ "qwen3.5-27b", "64 layers: 16 full attention, 48 linear", 27, 0, 0.02, 65536, "name" },
	{ "nemotron-3-nano-30b", "52 layers: 6 full attention, 23 linear, 23 without a cache", 31.6,
			3.6, 0.03, 6144, "cache: worked example; parameters: its report" },
	{ "nemotron-3-super-120b", "88 layers: 8 full attention, 40 linear, 40 without a cache",
			120.668708, 12.770216960, 0.05, 8192,
			"headers of its safetensors files, less MTP" },
	{ "gpt-oss-120b", "36 layers: 18 full attention, 18 sliding window", 116.8, 5.1, 0.06,
			36864, "its model card" },
	{ "minimax-m2", "62 layers: 62 full attention", 229, 10, 0.08, 253952, "name" },
	{ "glm-4.7-flash", "47 layers: 47 latent attention", 30, 3, 0.35, 54144, "name" },
	{ "gemma-4-26b-a4b", "30 layers: 5 full attention, 25 sliding window", 26, 4, 0.1, 20480,
			"name" },
	/* 60 layers of 4 x 256 elements, 57 of them with an index of 128; nobody's figure. */
	{ "minimax-m3", "60 layers: 60 full attention", 0, 0, 0, 60 * 2048 + 57 * 256,
			"config.json" },
	{ "deepseek-v4-flash", "43 layers: 2 sliding window, 41 latent attention", 284, 13, 0.1, 0,
			"name" },
};

START_TEST(a_shape_is_what_its_maker_says)
{
	struct sb_vram_cache_settings s = settings(2);
	struct sb_vram_shape shape = shape_of(models[_i].name);
	struct sb_vram_cache cache = cache_of(models[_i].name, &s);
	/* Makers count the embeddings in, of which a token reads a row. */
	double active = (shape.active + (shape.tied ? 0 : shape.embedding)) / 1e9;
	char text[160];

	sb_vram_shape_text(&shape, text, sizeof(text));
	ck_assert_str_eq(text, models[_i].layers);
	ck_assert(shape.params >= shape.active && shape.active > 0);
	if (models[_i].params)
		ck_assert_msg(fabs(shape.params / 1e9 / models[_i].params - 1) <= models[_i].within,
				"%s: %.6g B parameters", models[_i].name, shape.params / 1e9);
	if (models[_i].active)
		ck_assert_msg(fabs(active / models[_i].active - 1) <= models[_i].within * 2,
				"%s: %.6g B active", models[_i].name, active);
	if (models[_i].token_bytes)
		ck_assert_msg(cache.token_bytes == models[_i].token_bytes, "%s: %.17g",
				models[_i].name, cache.token_bytes);
}
END_TEST

/* --- the cache of vLLM's hybrid allocator, as it was printed --- */

START_TEST(pages_are_those_that_vllm_printed)
{
	struct sb_vram_cache_settings s = settings(1);
	struct sb_vram_cache cache;
	double pool = 76.49 * GIB, n;

	s.mtp = true;
	s.spec_tokens = 3;
	cache = cache_of("qwen3.6-35b-a3b", &s);
	ck_assert(cache.paged);
	ck_assert(cache.block_bytes == 11 * 2195456.0);
	ck_assert(sb_vram_cache_bytes(&cache, 65536) == 46 * cache.block_bytes);
	n = sb_vram_cache_sequences(&cache, pool, 65536);
	ck_assert_int_eq((int64_t)(n * 65536), 4843965);
	ck_assert_msg(fabs(n - 73.91) < 0.005, "%.17g", n);
	/* 16,955 bytes a token of what was printed; 4.14 GiB for four such sequences. */
	ck_assert(fabs(pool / (n * 65536) - 16955) < 0.5);
	ck_assert(fabs(4 * sb_vram_cache_bytes(&cache, 65536) / GIB - 4.14) < 0.005);
}
END_TEST

START_TEST(a_hybrid_keeps_tokens_in_few_layers)
{
	struct sb_vram_cache_settings s = settings(2);
	struct sb_vram_cache cache;

	s.engine = SB_VRAM_SGLANG; /* by token, without pages */
	cache = cache_of("nemotron-3-nano-30b", &s);
	ck_assert(cache.token_bytes == 6144);
	ck_assert(fabs(cache.token_bytes * 200000 / GIB - 1.14) < 0.005);
	/* The state besides: 23 layers, 64 heads of 64 x 128 at 32 bits, and three past inputs. */
	ck_assert(cache.fixed_bytes == 23 * (64 * 64 * 128 * 4.0 + (4096 + 2 * 8 * 128) * 3 * 2.0));
	ck_assert(sb_vram_cache_bytes(&cache, 200000) == 200000 * 6144.0 + cache.fixed_bytes);
	s.key_bytes = s.value_bytes = 1;
	cache = cache_of("nemotron-3-nano-30b", &s);
	ck_assert(fabs(cache.token_bytes * 200000 / GIB - 0.57) < 0.005);
	ck_assert(cache.token_bytes * 262144 * 8 == 6.0 * GIB);
}
END_TEST

START_TEST(a_dense_model_takes_what_it_says)
{
	struct sb_vram_cache_settings s = settings(2);
	struct sb_vram_cache cache = cache_of("qwen3-1.7b", &s);

	ck_assert(sb_vram_cache_bytes(&cache, 32768) == 3.5 * GIB);
	/* A page has 16 tokens: one more token takes a page. */
	ck_assert(sb_vram_cache_bytes(&cache, 32769) == 3.5 * GIB + 16 * 114688.0);
	ck_assert(sb_vram_cache_sequences(&cache, 3.5 * GIB, 32768) == 1);
	ck_assert_int_eq(sb_vram_cache_longest(&cache, 3.5 * GIB, 1000000), 32768);
	ck_assert_int_eq(sb_vram_cache_longest(&cache, 3.5 * GIB, 4096), 4096);
	ck_assert_int_eq(sb_vram_cache_longest(&cache, 16 * 114688.0 - 1, 4096), 0);
}
END_TEST

START_TEST(a_window_ends)
{
	struct sb_vram_cache_settings s = settings(2);
	struct sb_vram_cache cache;
	double step;

	s.engine = SB_VRAM_SGLANG;
	cache = cache_of("gpt-oss-120b", &s);
	/* 18 layers keep all tokens, 18 the last 128: 2 KiB a token and layer. */
	step = sb_vram_cache_bytes(&cache, 100000) - sb_vram_cache_bytes(&cache, 99999);
	ck_assert(step == 18 * 2048.0);
	ck_assert(sb_vram_cache_bytes(&cache, 100000) == 18 * 2048.0 * (100000 + 128));
	ck_assert(sb_vram_cache_bytes(&cache, 100) == 36 * 2048.0 * 100);
	/* vLLM keeps the tokens of a step besides, in pages of 16 and one to spare. */
	s.engine = SB_VRAM_VLLM;
	s.batched_tokens = 2048;
	cache = cache_of("gpt-oss-120b", &s);
	ck_assert(cache.block_bytes == 18 * 2048.0 * 16);
	ck_assert(sb_vram_cache_bytes(&cache, 32768) ==
			(32768 / 16 + 136 + 1) * cache.block_bytes); /* (127 + 2048) / 16 up */
}
END_TEST

/* Each rank of a tensor parallel group has a head at least; a latent is whole on every rank. */
START_TEST(ranks_share_heads_and_not_latents)
{
	static const struct {
		const char *name;
		int64_t tp;
		double token;
	} rows[] = { { "llama-3.1-8b", 2, 65536 }, { "llama-3.1-8b", 8, 16384 },
		{ "llama-3.1-8b", 16, 16384 }, { "nemotron-3-nano-30b", 2, 3072 },
		{ "nemotron-3-nano-30b", 4, 3072 }, { "deepseek-v3", 8, 70272 } };

	for (size_t i = 0; i < sb_countof(rows); i++) {
		struct sb_vram_cache_settings s = settings(2);
		struct sb_vram_cache cache;

		s.tp = rows[i].tp;
		cache = cache_of(rows[i].name, &s);
		ck_assert_msg(cache.token_bytes == rows[i].token, "%s tp %d: %.17g", rows[i].name,
				(int)rows[i].tp, cache.token_bytes);
	}
}
END_TEST

START_TEST(stages_share_layers)
{
	struct sb_vram_cache_settings s = settings(2);
	double sum = 0;

	for (int64_t at = 0; at < 52; at += 13) {
		s.first_layer = at;
		s.n_layers = 13;
		sum += cache_of("nemotron-3-nano-30b", &s).token_bytes;
	}
	ck_assert(sum == 6144);
}
END_TEST

START_TEST(a_longer_sequence_never_takes_less)
{
	struct sb_vram_cache_settings s = settings(1);

	for (s.engine = SB_VRAM_VLLM; s.engine < SB_VRAM_ENGINE_COUNT_; s.engine++) {
		struct sb_vram_cache cache = cache_of(models[_i].name, &s);
		double last = 0;

		for (double tokens = 1; tokens < 300000; tokens *= 1.7) {
			double bytes = sb_vram_cache_bytes(&cache, floor(tokens));

			ck_assert(bytes >= last && bytes > 0);
			ck_assert(bytes >= (cache.paged ? floor(tokens) * cache.token_bytes : 0));
			last = bytes;
		}
	}
}
END_TEST

static const struct {
	const char *dtype;
	double bytes; /* 0 = not known */
} elements[] = { { "auto", 2 }, { "", 2 }, { NULL, 2 }, { "fp8", 1 }, { "FP8_E4M3", 1 },
	{ "fp8_e5m2", 1 }, { "int8", 1 }, { "nvfp4", 0.5625 }, { "bfloat16", 2 }, { "f16", 2 },
	{ "q8_0", 1.0625 }, { "float32", 4 }, { "fp9", 0 } };

START_TEST(elements_of_a_cache)
{
	double bytes = 0;

	ck_assert(sb_vram_kv_element(elements[_i].dtype, 2, &bytes) == (elements[_i].bytes > 0));
	ck_assert(bytes == elements[_i].bytes);
}
END_TEST

/* 273 GB/s; NVFP4 with its scales takes 0.5625 bytes a weight. */
static const struct {
	double active, bytes, ceiling;
} ceilings[] = { { 3.5, 0.5625, 139 }, { 3.8, 0.5625, 128 }, { 10, 0.5625, 49 }, { 12, 0.5625, 40 },
	{ 30.7, 0.5625, 15.8 }, { 3, 1, 91 } };

START_TEST(bandwidth_limits_decoding)
{
	double ceiling = sb_vram_decode_ceiling(ceilings[_i].active * 1e9, ceilings[_i].bytes);

	ck_assert_msg(fabs(ceiling - ceilings[_i].ceiling) <
					(ceilings[_i].ceiling > 20 ? 0.5 : 0.05),
			"%.17g", ceiling);
	ck_assert(sb_vram_decode_ceiling(0, 1) == 0);
}
END_TEST

/* --- the estimate --- */

static const struct sb_vram_file qwen_file[] = { { "model.safetensors",
		23557895946 } }; /* 21.94 GiB */

static struct sb_vram_fit fit(const char *name, const struct sb_vram_launch *launch,
		const struct sb_vram_file *file, const struct sb_vram_node *nodes, size_t n)
{
	json_t *json = name ? config(name) : NULL;
	struct sb_vram_facts facts = { .config = json, .files = file, .n_files = file != NULL };
	struct sb_err err = SB_ERR_INIT;
	struct sb_vram_fit f;

	ck_assert_msg(sb_vram_fit(launch, &facts, NULL, nodes, n, &f, &err) == 0, "%s", err.text);
	json_decref(json);
	return f;
}

static const struct {
	const char *share;
	double pool;
} pools[] = { { "0.85", 76.5 }, { "0.50", 34.2 }, { "0.40", 22.1 } };

/* The pool that was measured lies between what the two ends of the guess leave. */
START_TEST(the_pool_is_what_weights_and_engine_leave)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .max_model_len = "65536",
							 .kv_cache_dtype = "fp8",
							 .gpu_memory_utilization =
									 pools[_i].share },
		.speculative = "{\"method\":\"mtp\",\"num_speculative_tokens\":3}" };
	struct sb_vram_fit f = fit("qwen3.6-35b-a3b", &launch, qwen_file, NULL, 0);

	ck_assert(f.pool_low / GIB < pools[_i].pool && pools[_i].pool < f.pool_high / GIB);
	ck_assert(fabs(f.pool_high - f.pool_low - GIB) < 1);
	ck_assert_int_eq(f.verdict, SB_VRAM_FITS);
	ck_assert_int_eq(f.stages[0].terms[0].origin, SB_VRAM_READ);
	ck_assert_int_eq(f.longest.value, 262144);
	ck_assert(f.stages[0].cache.block_bytes == 11 * 2195456.0);
}
END_TEST

/* Whose share is of what: u = 0.5 of 121 GiB, 117 free at best, 10 GiB of weights. */
static const struct {
	enum sb_vram_engine engine;
	double pool; /* GiB at best */
} shares[] = { { SB_VRAM_VLLM, 60.5 - 10 - 4 }, { SB_VRAM_SGLANG, 60.5 - 10 },
	{ SB_VRAM_LLAMA_CPP, 117 - 10 - 0.5 }, { SB_VRAM_TRTLLM, 0.5 * (117 - 10 - 4) },
	{ SB_VRAM_OTHER, 60.5 - 10 - 4 } };

START_TEST(engines_take_their_share_of_different_things)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .model_vram = "10",
							 .gpu_memory_utilization = "0.5",
							 .max_model_len = "4096" },
		.engine = shares[_i].engine };
	struct sb_vram_fit f = fit("llama-3.1-8b", &launch, NULL, NULL, 0);

	ck_assert_msg(fabs(f.pool_high / GIB - shares[_i].pool) < 1e-6, "%.17g", f.pool_high / GIB);
	ck_assert_int_eq(f.verdict, SB_VRAM_FITS);
	ck_assert_uint_eq(f.notes.n, shares[_i].engine == SB_VRAM_OTHER);
}
END_TEST

/* What a launch says, on a Spark of which nothing was measured, and what is to be said of it. */
static const struct {
	const char *name, *share, *len, *seqs, *tp, *why;
	uint64_t bytes;
	enum sb_vram_verdict verdict;
} verdicts[] = {
	{ "llama-3.1-8b", "0.85", "8192", "4", "1", "", 16060522496, SB_VRAM_FITS },
	{ "llama-3.1-8b", "0.5", "131072", "4", "1", "room for 2 of 4", 16060522496,
			SB_VRAM_TIGHT },
	{ "llama-3.1-8b", "0.92", "8192", NULL, "1", "an idle Spark has", 16060522496,
			SB_VRAM_TIGHT },
	{ "llama-3.1-8b", "0.98", "8192", NULL, "1", "free on an idle Spark", 16060522496,
			SB_VRAM_NOT },
	{ "llama-3.1-8b", "0.15", "8192", NULL, "1", "before any cache", 16060522496, SB_VRAM_NOT },
	{ "llama-3.1-8b", "0.18", "131072", NULL, "1", "a context of 131072", 16060522496,
			SB_VRAM_NOT },
	{ "llama-3.1-405b", "0.85", "8192", NULL, "1", "before any cache", 811706777600,
			SB_VRAM_NOT },
	{ "llama-3.1-405b", "0.85", "8192", NULL, "8", "", 811706777600 / 2, SB_VRAM_FITS },
	{ "deepseek-v3", "0.9", "8192", NULL, "8", "an idle Spark has", 688586727753,
			SB_VRAM_TIGHT },
	{ "qwen3-next-80b", "0.85", "262144", "1", "1", "", 80000000000, SB_VRAM_FITS },
};

START_TEST(a_verdict_has_its_reason)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .max_model_len = verdicts[_i].len,
							 .tensor_parallel = verdicts[_i].tp,
							 .gpu_memory_utilization =
									 verdicts[_i].share },
		.max_num_seqs = verdicts[_i].seqs };
	const struct sb_vram_file file = { "model.safetensors", verdicts[_i].bytes };
	struct sb_vram_fit f = fit(verdicts[_i].name, &launch, &file, NULL, 0);

	ck_assert_msg(f.verdict == verdicts[_i].verdict, "%s: %s", sb_vram_verdict_name(f.verdict),
			f.why);
	ck_assert_msg(strstr(f.why, verdicts[_i].why) && !*f.why == !*verdicts[_i].why, "%s",
			f.why);
}
END_TEST

START_TEST(unknown_is_unknown)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m" } };
	struct sb_vram_fit f = fit("llama-3.1-8b", &launch, NULL, NULL, 0);

	/* By config.json alone the weights are a guess. */
	ck_assert_int_eq(f.stages[0].terms[0].origin, SB_VRAM_GUESSED);
	ck_assert(fabs(f.stages[0].terms[0].low / 16060522496 - 1) < 0.001);
	ck_assert_int_eq(f.len, 131072);
	f = fit(NULL, &launch, NULL, NULL, 0);
	ck_assert_int_eq(f.verdict, SB_VRAM_IS_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(f.why, "size of the weights"));
	ck_assert(!f.longest.known && !f.sequences.known);
	f = fit(NULL, &launch, qwen_file, NULL, 0);
	ck_assert_int_eq(f.verdict, SB_VRAM_IS_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(f.why, "a token takes"));
	launch.recipe.kv_cache_dtype = "strange";
	f = fit("llama-3.1-8b", &launch, qwen_file, NULL, 0);
	ck_assert_int_eq(f.verdict, SB_VRAM_IS_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(f.notes.text[0], "'strange'"));
}
END_TEST

START_TEST(nodes_are_judged_by_what_they_measured)
{
	const struct sb_vram_node nodes[] = { { "spark1", true, true, 121.7 * GIB, 115 * GIB },
		{ "spark2", true, true, 121.7 * GIB, 60 * GIB },
		{ "spark3", true, true, 121.7 * GIB, 105 * GIB }, { .name = "spark4" } };
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .max_model_len = "8192",
							 .tensor_parallel = "4",
							 .gpu_memory_utilization = "0.85" } };
	struct sb_vram_fit f = fit("llama-3.1-8b", &launch, qwen_file, nodes, 4);

	ck_assert_uint_eq(f.n_nodes, 4);
	ck_assert_int_eq(f.nodes[0].verdict, SB_VRAM_FITS);
	ck_assert_int_eq(f.nodes[1].verdict, SB_VRAM_NOT);
	ck_assert_str_eq(f.nodes[1].name, "spark2");
	ck_assert_ptr_nonnull(strstr(f.nodes[1].why, "takes 103.4 GiB, 60.0 GiB are available"));
	ck_assert_int_eq(f.nodes[2].verdict, SB_VRAM_TIGHT);
	ck_assert_ptr_nonnull(strstr(f.nodes[2].why, "less than 4 GiB are left"));
	ck_assert_int_eq(f.nodes[3].verdict, SB_VRAM_FITS);
	ck_assert_int_eq(f.verdict, SB_VRAM_NOT);
	ck_assert_int_eq(f.memory.origin, SB_VRAM_READ);
	ck_assert(f.memory.low == 60 * GIB);
}
END_TEST

/* --- weights --- */

START_TEST(quantization_does_not_count_twice)
{
	const struct sb_vram_file file = { "model.safetensors", 31000000000 };
	struct sb_vram_launch launch = { .recipe = { .model = "o/m", .quantization = "fp8" } };
	struct sb_vram_fit f = fit("deepseek-v3", &launch, &file, NULL, 0);

	/* It is FP8 already. */
	ck_assert(f.stages[0].terms[0].low == 31000000000);
	/* This one is not: all but embeddings and head shrinks to half. */
	f = fit("llama-3.1-8b", &launch, &(struct sb_vram_file){ "model.safetensors", 16060522496 },
			NULL, 0);
	ck_assert_int_eq(f.stages[0].terms[0].origin, SB_VRAM_GUESSED);
	ck_assert(fabs(f.stages[0].terms[0].low - (16060522496 / 2.0 + 128256.0 * 4096 * 2)) < 1);
	/* A name that no table has shrinks nothing. */
	launch.recipe.quantization = "compressed-tensors";
	f = fit("llama-3.1-8b", &launch, &(struct sb_vram_file){ "model.safetensors", 16060522496 },
			NULL, 0);
	ck_assert(f.stages[0].terms[0].low == 16060522496);
}
END_TEST

static const struct {
	const char *quant;
	double bytes;
} ggufs[] = { { "Q8_0", 8 }, { "q8_0", 8 }, { "Q4_K_M", 4 }, { "UD-Q4_K_M", 5 }, { "BF16", 30 },
	{ "IQ4", 0 }, { "gguf", 0 }, { "", 0 } };

START_TEST(a_gguf_is_one_of_many)
{
	static const struct sb_vram_file files[] = { { "M-Q8_0.gguf", 8 }, { "M-Q4_K_M.gguf", 4 },
		{ "M-UD-Q4_K_M.gguf", 5 }, { "mmproj-BF16.gguf", 99 },
		{ "BF16/M-BF16-00001-of-00002.gguf", 10 },
		{ "BF16/M-BF16-00002-of-00002.gguf", 20 }, { "M-IQ4_XS.gguf", 7 } };
	struct sb_vram_facts facts = { .files = files, .n_files = sb_countof(files) };
	struct sb_vram_launch launch = { .engine = SB_VRAM_LLAMA_CPP };
	struct sb_vram_fit f;
	char model[32];

	snprintf(model, sizeof(model), "o/m:%s", ggufs[_i].quant);
	launch.recipe.model = model;
	ck_assert_int_eq(sb_vram_fit(&launch, &facts, NULL, NULL, 0, &f, NULL), 0);
	ck_assert_msg(f.stages[0].terms[0].low == ggufs[_i].bytes, "%s: %.17g", model,
			f.stages[0].terms[0].low);
	ck_assert_int_eq(f.stages[0].terms[0].origin,
			ggufs[_i].bytes > 0 ? SB_VRAM_READ : SB_VRAM_UNKNOWN);
}
END_TEST

START_TEST(ends_of_a_pipeline_hold_more)
{
	const struct sb_vram_file file = { "model.safetensors", 16060522496 };
	struct sb_vram_launch launch = { .recipe = { .model = "o/m", .pipeline_parallel = "3" } };
	struct sb_vram_fit f = fit("llama-3.1-8b", &launch, &file, NULL, 0);
	double ends = 128256.0 * 4096 * 2, body = 16060522496 - 2 * ends, sum = 0;

	/* 32 layers: vLLM gives the stages before the last what is over. */
	ck_assert_uint_eq(f.n_stages, 3);
	ck_assert_int_eq(f.stages[0].n_layers, 11);
	ck_assert_int_eq(f.stages[1].n_layers, 11);
	ck_assert_int_eq(f.stages[2].n_layers, 10);
	ck_assert(fabs(f.stages[0].terms[0].low - body * 11 / 32 - ends) < 1);
	ck_assert(fabs(f.stages[1].terms[0].low - body * 11 / 32) < 1);
	for (size_t i = 0; i < 3; i++)
		sum += f.stages[i].terms[0].low;
	ck_assert(fabs(sum - 16060522496) < 1);
	ck_assert_uint_eq(f.worst, 0);
}
END_TEST

START_TEST(a_drafter_takes_room_too)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m" },
		.speculative = "{\"method\":\"dflash\",\"model\":\"z/draft\","
			       "\"num_speculative_tokens\":15}" };
	const struct sb_vram_file file = { "model.safetensors", 1000000000 };
	const struct sb_vram_facts draft = { .files = &file, .n_files = 1 };
	struct sb_vram_facts facts = { .files = qwen_file, .n_files = 1 };
	struct sb_vram_fit with, without;
	char name[64];

	facts.config = config("qwen3-8b");
	sb_vram_drafter(&launch, name, sizeof(name));
	ck_assert_str_eq(name, "z/draft");
	ck_assert_int_eq(sb_vram_fit(&launch, &facts, &draft, NULL, 0, &with, NULL), 0);
	ck_assert_int_eq(sb_vram_fit(&launch, &facts, NULL, NULL, 0, &without, NULL), 0);
	ck_assert(fabs(without.pool_low - with.pool_low - 1000000000) < 1);
	ck_assert_str_eq(with.stages[0].terms[1].name, "drafter's weights");
	ck_assert_int_eq(without.stages[0].terms[1].origin, SB_VRAM_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(without.notes.text[0], "z/draft"));
	json_decref((json_t *)facts.config);
}
END_TEST

/* --- input --- */

static const struct {
	const char *len, *share, *tp;
} bad[] = { { "long", NULL, NULL }, { NULL, "most", NULL }, { NULL, NULL, "2.5" },
	{ NULL, NULL, "99999" } };

START_TEST(what_is_no_number_is_named)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .max_model_len = bad[_i].len,
							 .gpu_memory_utilization = bad[_i].share,
							 .tensor_parallel = bad[_i].tp } };
	struct sb_err err = SB_ERR_INIT;
	struct sb_vram_fit f;

	ck_assert_int_eq(sb_vram_fit(&launch, NULL, NULL, NULL, 0, &f, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "expected a"));
}
END_TEST

/* Whatever a file says: no crash, a text of clean lines and a document. */
static const char *const odd[] = { "{}", "[]", "7",
	"{'num_hidden_layers':1e300,'num_attention_heads':-1}", "{'num_hidden_layers':1000000000}",
	"{'num_hidden_layers':4,'num_attention_heads':16777216,'hidden_size':16777216,"
	"'head_dim':16777216,'vocab_size':16777216,'intermediate_size':16777216,"
	"'num_experts':16777216,'num_experts_per_tok':16777216}",
	"{'num_hidden_layers':4,'kv_lora_rank':512}",
	"{'num_hidden_layers':4,'layer_types':['linear_attention']}",
	"{'num_hidden_layers':4,'layer_types':[4,null,{}],'num_attention_heads':1,'head_dim':1}",
	"{'num_hidden_layers':4,'layer_types':[],'hybrid_override_pattern':'M'}",
	"{'num_hidden_layers':4,'compress_ratios':[-1,0,1e9,'x'],'head_dim':64}",
	"{'num_hidden_layers':4,'full_attention_interval':16777216,'linear_num_value_heads':1}",
	"{'num_hidden_layers':4,'linear_attn_config':{'full_attn_layers':[0,99,-4]}}",
	"{'text_config':{'text_config':{}},'num_hidden_layers':2,'num_kv_shared_layers':9,"
	"'num_attention_heads':2,'hidden_size':8}",
	"{'thinker_config':{'text_config':{'num_hidden_layers':3,'num_attention_heads':4,"
	"'hidden_size':64}},'quantization_config':{'kv_cache_scheme':{'num_bits':8}}}",
	"{'model_type':'a\\u0007\\u202e','num_hidden_layers':1,'num_attention_heads':1,'head_dim':"
	"8}" };

START_TEST(odd_files_are_survived)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *text = strdup(odd[_i]);
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .pipeline_parallel = "1000" } };
	struct sb_vram_facts facts = { 0 };
	struct sb_vram_fit f;
	json_t *json;

	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	facts.config = json = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(json);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(sb_vram_fit(&launch, &facts, &facts, NULL, 0, &f, NULL), 0);
		ck_assert_int_eq(sb_vram_fit_text(&f, &out), 0);
		ck_assert_int_eq(sb_vram_fit_line(&f, &out), 0);
		launch.recipe.pipeline_parallel = "1";
	}
	for (const char *p = sb_strbuf_str(&out); *p; p++)
		ck_assert_msg((unsigned char)*p >= ' ' || *p == '\n', "%02x", *p);
	json_decref(json);
	json = sb_vram_fit_json(&f);
	ck_assert_ptr_nonnull(json);
	json_decref(json);
}
END_TEST

START_TEST(the_text_says_how_it_is_known)
{
	struct sb_vram_launch launch = { .recipe = { .model = "o/m",
							 .max_model_len = "65536",
							 .kv_cache_dtype = "fp8",
							 .gpu_memory_utilization = "0.85" },
		.speculative = "{\"method\":\"mtp\",\"num_speculative_tokens\":3}" };
	struct sb_vram_fit f = fit("qwen3.6-35b-a3b", &launch, qwen_file, NULL, 0);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	json_t *json = sb_vram_fit_json(&f);

	ck_assert_int_eq(sb_vram_fit_text(&f, &out), 0);
	if (getenv("SHOW"))
		puts(sb_strbuf_str(&out));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "10 full attention, 30 linear"));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "read     size of model.safetensors\n"));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "guessed  rule of thumb\n"));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "known    0.85 of 121.0 GiB\n"));
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "  Verdict:          fits\n"));
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "verdict")), "fits");
	ck_assert_int_eq(json_integer_value(json_object_get(
					 json_array_get(json_object_get(json, "stages"), 0),
					 "cache_block_bytes")),
			11 * 2195456);
	ck_assert(json_is_array(json_object_get(json, "notes")));
	if (getenv("SHOW"))
		json_dumpf(json, stdout, JSON_INDENT(2));
	json_decref(json);
	sb_strbuf_reset(&out);
	ck_assert_int_eq(sb_vram_fit_line(&f, &out), 0);
	ck_assert_msg(strstr(sb_strbuf_str(&out), "21.9 GiB of weights") != NULL, "%s",
			sb_strbuf_str(&out));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vram_fit");
	TCase *tc = tcase_create("vram_fit");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, a_shape_is_what_its_maker_says, 0, sb_countof(models));
	tcase_add_test(tc, pages_are_those_that_vllm_printed);
	tcase_add_test(tc, a_hybrid_keeps_tokens_in_few_layers);
	tcase_add_test(tc, a_dense_model_takes_what_it_says);
	tcase_add_test(tc, a_window_ends);
	tcase_add_test(tc, ranks_share_heads_and_not_latents);
	tcase_add_test(tc, stages_share_layers);
	tcase_add_loop_test(tc, a_longer_sequence_never_takes_less, 0, sb_countof(models));
	tcase_add_loop_test(tc, elements_of_a_cache, 0, sb_countof(elements));
	tcase_add_loop_test(tc, bandwidth_limits_decoding, 0, sb_countof(ceilings));
	tcase_add_loop_test(tc, the_pool_is_what_weights_and_engine_leave, 0, sb_countof(pools));
	tcase_add_loop_test(
			tc, engines_take_their_share_of_different_things, 0, sb_countof(shares));
	tcase_add_loop_test(tc, a_verdict_has_its_reason, 0, sb_countof(verdicts));
	tcase_add_test(tc, unknown_is_unknown);
	tcase_add_test(tc, nodes_are_judged_by_what_they_measured);
	tcase_add_test(tc, quantization_does_not_count_twice);
	tcase_add_loop_test(tc, a_gguf_is_one_of_many, 0, sb_countof(ggufs));
	tcase_add_test(tc, ends_of_a_pipeline_hold_more);
	tcase_add_test(tc, a_drafter_takes_room_too);
	tcase_add_loop_test(tc, what_is_no_number_is_named, 0, sb_countof(bad));
	tcase_add_loop_test(tc, odd_files_are_survived, 0, sb_countof(odd));
	tcase_add_test(tc, the_text_says_how_it_is_known);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
