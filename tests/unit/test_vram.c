#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sb_vram.h"

/* --- the published examples --- */

#define LLAMA                                                                                      \
	"{'torch_dtype':'bfloat16','num_hidden_layers':32,'num_attention_heads':32,"               \
	"'num_key_value_heads':8,'hidden_size':4096}"
#define SHARDS                                                                                     \
	"{'metadata':{'total_size':16060522496},'weight_map':{'a':'model-1.safetensors',"          \
	"'b':'model-2.safetensors','c':'model-1.safetensors'}}"
#define EXPERTS                                                                                    \
	"{'torch_dtype':'bfloat16','num_hidden_layers':48,'num_attention_heads':32,"               \
	"'num_key_value_heads':4,'head_dim':128,'num_experts':128,"                                \
	"'quantization_config':{'quant_method':'fp8'}}"
#define SHAPE36                                                                                    \
	"{'torch_dtype':'bfloat16','num_hidden_layers':36,'num_key_value_heads':8,'head_dim':128}"
#define MLA                                                                                        \
	"{'torch_dtype':'bfloat16','num_hidden_layers':61,'num_attention_heads':128,"              \
	"'num_key_value_heads':128,'hidden_size':7168,'kv_lora_rank':512,"                         \
	"'qk_rope_head_dim':64,'quantization_config':{'quant_method':'fp8'}}"

static const struct sb_vram_file shards[] = { { "model-1.safetensors", 9000000000 },
	{ "model-2.safetensors", 7060530000 }, { "other.safetensors", 5000000000 } };

/* One example: what goes in, and the figures as they are published. NULL = unknown. */
static const struct example {
	struct sb_vram_recipe recipe;
	const char *config, *hf_quant, *index, *counts; /* JSON with ' for " */
	const struct sb_vram_file *files;
	size_t n_files;
	uint64_t single; /* bytes of model.safetensors; 0 = no such file */
	bool blind;      /* no look at the model */
	const char *weights, *per_token, *cache, *total, *usable, *available, *tokens, *multiplier;
	const char *dtype, *kv_dtype, *params;
	bool exceeds;
} examples[] = {
	{ .recipe = { .model = "org/m",
			  .model_params = "30B",
			  .model_dtype = "nvfp4",
			  .num_layers = "52",
			  .num_kv_heads = "2",
			  .head_dim = "128",
			  .gpu_memory_utilization = "0.8",
			  .max_model_len = "200000",
			  .tensor_parallel = "1" },
			.weights = "13.969838619232178",
			.per_token = "53248.0",
			.cache = "9.918212890625",
			.total = "23.888051509857178",
			.usable = "96.80000000000001",
			.available = "82.83016138076783",
			.tokens = "1670263",
			.multiplier = "8.351315",
			.dtype = "nvfp4",
			.kv_dtype = "bfloat16",
			.params = "30000000000" },
	{ .recipe = { .model = "org/m",
			  .tensor_parallel = "2",
			  .max_model_len = "32768",
			  .gpu_memory_utilization = "0.9" },
			.config = LLAMA,
			.index = SHARDS,
			.files = shards,
			.n_files = 3,
			.weights = "14.957534149289131",
			.per_token = "131072.0",
			.cache = "4.0",
			.total = "9.478767074644566",
			.usable = "108.9",
			.available = "101.42123292535544",
			.tokens = "1661685",
			.multiplier = "50.710601806640625",
			.dtype = "bfloat16",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m", .max_model_len = "auto", .pipeline_parallel = "2" },
			.config = "{'dtype':'float16','num_hidden_layers':32,'num_attention_heads':"
				  "32,'hidden_size':4096}",
			.index = "{'metadata':{'total_size':16060522496},'weight_map':{}}",
			.weights = "14.957527160644531",
			.per_token = "524288.0",
			.total = "7.478763580322266",
			.dtype = "float16",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m", .max_model_len = "8192", .gpu_memory_utilization = "0.5" },
			.config = "{'text_config':{'dtype':'bfloat16','num_hidden_layers':36,"
				  "'num_attention_heads':32,'num_key_value_heads':8,'head_dim':128,"
				  "'hidden_size':2560}}",
			.single = 8875719144,
			.weights = "8.266157604753971",
			.per_token = "147456.0",
			.cache = "1.125",
			.total = "9.391157604753971",
			.usable = "60.5",
			.available = "52.23384239524603",
			.tokens = "380355",
			.multiplier = "46.4300537109375",
			.dtype = "bfloat16",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m",
			  .tensor_parallel = "2",
			  .max_model_len = "131072",
			  .gpu_memory_utilization = "0.85",
			  .kv_cache_dtype = "fp8" },
			.config = EXPERTS,
			.single = 31000000000,
			.weights = "28.870999813079834",
			.per_token = "49152.0",
			.cache = "6.0",
			.total = "17.435499906539917",
			.usable = "102.85",
			.available = "88.41450009346008",
			.tokens = "3862888",
			.multiplier = "29.47149658203125",
			.dtype = "fp8",
			.kv_dtype = "fp8" },
	{ .recipe = { .model = "org/m", .max_model_len = "40960", .gpu_memory_utilization = "0.7" },
			.config = SHAPE36,
			.hf_quant = "{'quantization':{'quant_algo':'NVFP4','kv_cache_quant_algo':"
				    "'FP8','group_size':16}}",
			.counts = "{'parameters':{'BF16':1244659712,'F8_E4M3':434110464,"
				  "'U8':3472883712},'total':5151653888}",
			.weights = "5.95703125",
			.per_token = "73728.0",
			.cache = "2.8125",
			.total = "8.76953125",
			.usable = "84.69999999999999",
			.available = "78.74296874999999",
			.tokens = "1146777",
			.multiplier = "27.9974853515625",
			.dtype = "nvfp4",
			.kv_dtype = "fp8" },
	{ .recipe = { .model = "org/m",
			  .quantization = "fp8",
			  .max_model_len = "32768",
			  .gpu_memory_utilization = "0.3" },
			.config = LLAMA,
			.index = SHARDS,
			.files = shards,
			.n_files = 3,
			.weights = "7.478767074644566",
			.per_token = "131072.0",
			.cache = "4.0",
			.total = "11.478767074644566",
			.usable = "36.3",
			.available = "28.82123292535543",
			.tokens = "236103",
			.multiplier = "7.205291748046875",
			.dtype = "fp8",
			.kv_dtype = "bfloat16",
			.params = "8030265000" },
	{ .recipe = { .model = "org/m", .quantization = "fp8", .max_model_len = "32768" },
			.config = EXPERTS,
			.single = 31000000000,
			.weights = "14.435499906539917",
			.per_token = "98304.0",
			.cache = "3.0",
			.total = "17.435499906539917",
			.dtype = "fp8",
			.kv_dtype = "bfloat16",
			.params = "15500000000" },
	{ .recipe = { .model = "Qwen/Qwen3-1.7B-GGUF:Q4_K_M",
			  .model_params = "1.7B",
			  .num_layers = "28",
			  .num_kv_heads = "8",
			  .head_dim = "128",
			  .max_model_len = "8192" },
			.weights = "0.8905772119760513",
			.per_token = "114688.0",
			.cache = "0.875",
			.total = "1.7655772119760513",
			.dtype = "q4_k_m",
			.kv_dtype = "bfloat16",
			.params = "1700000000" },
	{ .recipe = { .model = "org/m",
			  .model_params = "235B",
			  .model_dtype = "bf16",
			  .num_layers = "94",
			  .num_kv_heads = "4",
			  .head_dim = "128",
			  .max_model_len = "40960",
			  .tensor_parallel = "2",
			  .gpu_memory_utilization = "0.9" },
			.blind = true,
			.weights = "437.7216100692749",
			.per_token = "192512.0",
			.cache = "7.34375",
			.total = "222.53268003463745",
			.usable = "108.9",
			.available = "0.0",
			.tokens = "0",
			.multiplier = "0.0",
			.dtype = "bfloat16",
			.kv_dtype = "bfloat16",
			.params = "235000000000",
			.exceeds = true },
	{ .recipe = { .model = "org/m",
			  .tensor_parallel = "8",
			  .max_model_len = "32768",
			  .gpu_memory_utilization = "0.9" },
			.config = MLA,
			.index = "{'metadata':{'total_size':688586727753},'weight_map':{'a':"
				 "'model-1.safetensors'}}",
			.weights = "641.2963641369715",
			.per_token = "1748992.0",
			.cache = "53.375",
			.total = "86.83392051712144",
			.usable = "108.9",
			.available = "28.737954482878564",
			.tokens = "141142",
			.multiplier = "4.30731201171875",
			.dtype = "fp8",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m",
			  .model_vram = "16.5",
			  .kv_vram_per_token = "0.0001",
			  .model_dtype = "awq4",
			  .kv_dtype = "fp8_e5m2",
			  .tensor_parallel = "2",
			  .max_model_len = "32768",
			  .gpu_memory_utilization = "0.5" },
			.weights = "16.5",
			.per_token = "107374.1824",
			.cache = "3.2768",
			.total = "9.8884",
			.usable = "60.5",
			.available = "52.25",
			.tokens = "1045000",
			.multiplier = "31.890869140625",
			.dtype = "awq4",
			.kv_dtype = "fp8_e5m2" },
	{ .recipe = { .model = "org/m",
			  .model_params = "120B",
			  .model_dtype = "mxfp4",
			  .num_layers = "36",
			  .num_kv_heads = "8",
			  .head_dim = "64",
			  .max_model_len = "1000000",
			  .gpu_memory_utilization = "0.7" },
			.weights = "55.87935447692871",
			.per_token = "73728.0",
			.cache = "68.66455078125",
			.total = "124.54390525817871",
			.usable = "84.69999999999999",
			.available = "28.820645523071278",
			.tokens = "419731",
			.multiplier = "0.419731",
			.dtype = "mxfp4",
			.kv_dtype = "bfloat16",
			.params = "120000000000",
			.exceeds = true },
	{ .recipe = { .model = "org/m",
			  .max_model_len = "262144",
			  .gpu_memory_utilization = "0.8",
			  .kv_cache_dtype = "auto" },
			.config = "{'text_config':{'dtype':'bfloat16','num_hidden_layers':48,"
				  "'num_key_value_heads':2,'head_dim':256,'layer_types':['linear']}"
				  ","
				  "'quantization_config':{'quant_method':'fp8'}}",
			.single = 80000000000,
			.weights = "74.50580596923828",
			.per_token = "98304.0",
			.cache = "24.0",
			.total = "98.50580596923828",
			.usable = "96.80000000000001",
			.available = "22.29419403076173",
			.tokens = "243512",
			.multiplier = "0.928924560546875",
			.dtype = "fp8",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m",
			  .quantization = "compressed-tensors",
			  .max_model_len = "32768" },
			.config = LLAMA,
			.index = SHARDS,
			.files = shards,
			.n_files = 3,
			.weights = "0.0",
			.per_token = "131072.0",
			.cache = "4.0",
			.total = "4.0",
			.dtype = "compressed-tensors",
			.kv_dtype = "bfloat16",
			.params = "8030265000" },
	{ .recipe = { .model = "org/m", .max_model_len = "32768" },
			.config = LLAMA,
			.hf_quant = "{'quantization':{'quant_algo':null,"
				    "'kv_cache_quant_algo':'FP8'}}",
			.single = 16060556288,
			.weights = "14.957558631896973",
			.per_token = "65536.0",
			.cache = "2.0",
			.total = "16.957558631896973",
			.dtype = "none",
			.kv_dtype = "fp8" },
	{ .recipe = { .model = "org/m-GGUF:UD-Q4_K_XL" },
			.weights = "0.0",
			.total = "0.0",
			.kv_dtype = "bfloat16" },
	{ .recipe = { .model = "org/m",
			  .model_params = "8B",
			  .model_dtype = "BF16",
			  .num_layers = "30",
			  .num_kv_heads = "8",
			  .head_dim = "128",
			  .kv_dtype = "FP8-E4M3",
			  .max_model_len = "1024",
			  .tensor_parallel = "2",
			  .gpu_memory_utilization = "0.905" },
			.weights = "14.901161193847656",
			.per_token = "61440.0",
			.cache = "0.05859375",
			.total = "7.479877471923828",
			.usable = "109.50500000000001",
			.available = "102.05441940307618",
			.tokens = "3567060",
			.multiplier = "3483.45703125",
			.dtype = "bfloat16",
			.kv_dtype = "fp8_e4m3",
			.params = "8000000000" },
};

static json_t *load(const char *text)
{
	char copy[4096];
	json_error_t error;
	json_t *value;

	if (!text)
		return NULL;
	ck_assert_uint_lt(strlen(text), sizeof(copy));
	strcpy(copy, text);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	value = json_loads(copy, JSON_DECODE_ANY, &error);
	ck_assert_msg(value, "%s: %s", text, error.text);
	return value;
}

static struct sb_vram_compat estimate(const struct example *x)
{
	struct sb_vram_file single = { "model.safetensors", x->single };
	json_t *config = load(x->config), *hf_quant = load(x->hf_quant), *index = load(x->index),
	       *counts = load(x->counts);
	struct sb_vram_facts facts = { config, hf_quant, index, counts,
		x->single ? &single : x->files, x->single ? 1 : x->n_files };
	struct sb_vram_compat e;
	struct sb_err err = { 0 };
	int rc = sb_vram_compat(&x->recipe, &facts, !x->blind, &e, &err);

	ck_assert_msg(rc == 0, "%s", err.text);
	json_decref(config);
	json_decref(hf_quant);
	json_decref(index);
	json_decref(counts);
	return e;
}

/* To the last bit: both are the double nearest to the published digits. */
static void same_real(const json_t *doc, const char *key, const char *want)
{
	const json_t *got = json_object_get(doc, key);

	if (!want)
		ck_assert_msg(json_is_null(got), "%s is not null", key);
	else
		ck_assert_msg(json_is_real(got) && json_real_value(got) == strtod(want, NULL),
				"%s: %.17g, not %s", key, json_real_value(got), want);
}

static void same_whole(const json_t *doc, const char *key, const char *want)
{
	const json_t *got = json_object_get(doc, key);

	if (!want)
		ck_assert_msg(json_is_null(got), "%s is not null", key);
	else
		ck_assert_msg(json_is_integer(got) && json_integer_value(got) == atoll(want),
				"%s: %lld, not %s", key, (long long)json_integer_value(got), want);
}

static void same_text(const json_t *doc, const char *key, const char *want)
{
	const json_t *got = json_object_get(doc, key);

	if (!want)
		ck_assert_msg(json_is_null(got), "%s is not null", key);
	else
		ck_assert_str_eq(json_string_value(got), want);
}

START_TEST(figures_are_the_published_ones)
{
	const struct example *x = &examples[_i];
	struct sb_vram_compat e = estimate(x);
	json_t *doc = sb_vram_compat_json(&e);

	ck_assert_ptr_nonnull(doc);
	/* Of weights that it does not know the published tool says 0.0, and that they fit. */
	same_real(doc, "model_weights_gb", e.weights_known ? x->weights : NULL);
	same_real(doc, "kv_cache_per_token_bytes", x->per_token);
	same_real(doc, "kv_cache_total_gb", x->cache);
	same_real(doc, "total_per_gpu_gb", e.weights_known ? x->total : NULL);
	same_real(doc, "usable_gpu_memory_gb", x->usable);
	same_real(doc, "available_kv_gb", e.weights_known ? x->available : NULL);
	same_whole(doc, "max_context_tokens", e.weights_known ? x->tokens : NULL);
	same_real(doc, "context_multiplier", e.weights_known ? x->multiplier : NULL);
	same_text(doc, "model_dtype", x->dtype);
	same_text(doc, "kv_dtype", x->kv_dtype);
	same_whole(doc, "model_params", x->params);
	if (e.weights_known)
		ck_assert(json_boolean_value(json_object_get(doc, "fits_dgx_spark")) ==
				!x->exceeds);
	else
		ck_assert(json_is_null(json_object_get(doc, "fits_dgx_spark")));
	json_decref(doc);
}
END_TEST

static const struct {
	size_t example;
	const char *text;
} warned[] = {
	{ 10, "Model weights (218.9 GB) exceed usable GPU memory (108.9 GB at 90% utilization)" },
	{ 15, "Unknown dtype 'compressed-tensors'; cannot estimate model weight VRAM" },
	{ 17, "model_params not available; model weight estimate is zero" },
	{ 17,
			"Missing architecture info (num_layers, num_kv_heads, head_dim); KV cache "
			"estimate "
			"unavailable" },
};

START_TEST(a_figure_that_misleads_comes_with_a_warning)
{
	struct sb_vram_compat e = estimate(&examples[warned[_i].example - 1]);
	bool found = false;

	for (size_t i = 0; i < e.warnings.n; i++)
		found |= !strcmp(e.warnings.text[i], warned[_i].text);
	ck_assert_msg(found, "%s", warned[_i].text);
	ck_assert_uint_eq(e.warnings.n, warned[_i].example == 17 ? 2 : 1);
}
END_TEST

START_TEST(other_examples_have_no_warning)
{
	static const bool warns[18] = { [9] = true, [14] = true, [16] = true };

	for (size_t i = 0; i < sb_countof(examples); i++)
		if (!warns[i])
			ck_assert_uint_eq(estimate(&examples[i]).warnings.n, 0);
}
END_TEST

/* --- the text --- */

static const struct {
	size_t example;
	const char *text;
} texts[] = {
	{ 1,
			"\n"
			"VRAM Estimation:\n"
			"  Model dtype:      nvfp4\n"
			"  Model params:     30,000,000,000\n"
			"  KV cache dtype:   bfloat16\n"
			"  Architecture:     52 layers, 2 KV heads, 128 head_dim\n"
			"  Model weights:    13.97 GB\n"
			"  KV cache:         9.92 GB (max_model_len=200,000)\n"
			"  Tensor parallel:  1\n"
			"  Per-GPU total:    23.89 GB\n"
			"  DGX Spark fit:    YES\n"
			"\n"
			"  GPU Memory Budget:\n"
			"    gpu_memory_utilization: 80%\n"
			"    Usable GPU memory:     96.8 GB (121 GB x 80%)\n"
			"    Available for KV:      82.8 GB\n"
			"    Max context tokens:    1,670,263\n"
			"    Context multiplier:    8.4x (vs max_model_len=200,000)\n" },
	{ 3,
			"\n"
			"VRAM Estimation:\n"
			"  Model dtype:      float16\n"
			"  KV cache dtype:   bfloat16\n"
			"  Architecture:     32 layers, 32 KV heads, 128 head_dim\n"
			"  Model weights:    14.96 GB\n"
			"  Tensor parallel:  1\n"
			"  Pipeline parallel: 2\n"
			"  Per-GPU total:    7.48 GB\n"
			"  DGX Spark fit:    YES\n" },
	{ 10,
			"\n"
			"VRAM Estimation:\n"
			"  Model dtype:      bfloat16\n"
			"  Model params:     235,000,000,000\n"
			"  KV cache dtype:   bfloat16\n"
			"  Architecture:     94 layers, 4 KV heads, 128 head_dim\n"
			"  Model weights:    437.72 GB\n"
			"  KV cache:         7.34 GB (max_model_len=40,960)\n"
			"  Tensor parallel:  2\n"
			"  Per-GPU total:    222.53 GB\n"
			"  DGX Spark fit:    EXCEEDS 121 GB\n"
			"\n"
			"  GPU Memory Budget:\n"
			"    gpu_memory_utilization: 90%\n"
			"    Usable GPU memory:     108.9 GB (121 GB x 90%)\n"
			"    Available for KV:      0.0 GB\n"
			"    Max context tokens:    0\n"
			"    Context multiplier:    0.0x (vs max_model_len=40,960)\n"
			"    WARNING: max_model_len exceeds available KV budget (0.0% fits)\n"
			"  Warning: Model weights (218.9 GB) exceed usable GPU memory (108.9 GB at "
			"90% "
			"utilization)\n" },
};

START_TEST(text_is_the_published_one)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_vram_compat e = estimate(&examples[texts[_i].example - 1]);

	ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
	ck_assert_str_eq(sb_strbuf_str(&out), texts[_i].text);
}
END_TEST

/* Halves go to the even neighbour, on the binary value. */
static const struct {
	size_t example;
	const char *line;
} lines[] = {
	{ 5, "    Usable GPU memory:     102.8 GB (121 GB x 85%)\n" },
	{ 12, "    Available for KV:      52.2 GB\n" },
	{ 4, "  KV cache:         1.12 GB (max_model_len=8,192)\n" },
	{ 9, "  KV cache:         0.88 GB (max_model_len=8,192)\n" },
	{ 18, "    gpu_memory_utilization: 90%\n" },
	{ 13, "    WARNING: max_model_len exceeds available KV budget (42.0% fits)\n" },
	{ 14, "    WARNING: max_model_len exceeds available KV budget (92.9% fits)\n" },
};

START_TEST(halves_are_rounded_to_even)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_vram_compat e = estimate(&examples[lines[_i].example - 1]);

	ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
	ck_assert_msg(strstr(sb_strbuf_str(&out), lines[_i].line), "%s", sb_strbuf_str(&out));
}
END_TEST

/* --- small steps --- */

static const struct {
	const char *text;
	int64_t value; /* -1 = refused */
} params[] = {
	{ "7B", 7000000000 },
	{ "0.5B", 500000000 },
	{ "480M", 480000000 },
	{ "7_000_000_000", 7000000000 },
	{ "30 B", 30000000000 },
	{ " 12k ", 12000 },
	{ "7.0e9", 7000000000 },
	{ "1.5", 1 },
	{ "1T", 1000000000000 },
	{ "30B-A3B", -1 },
	{ "", -1 },
	{ " ", -1 },
	{ "_", -1 },
	{ "B", -1 },
	{ "7BB", -1 },
	{ "nan", -1 },
	{ "infB", -1 },
	{ "0x10", -1 },
	{ "1e400", -1 },
	{ "1e300T", -1 },
	{ "9223372036854775808", -1 },
	{ "99999999999999999999999999999999999999999999999999999999999999999999999", -1 },
};

START_TEST(parameter_counts_are_read)
{
	int64_t value = -1;

	ck_assert_int_eq(sb_vram_params(params[_i].text, &value), params[_i].value >= 0);
	ck_assert_msg(value == params[_i].value, "%s: %lld", params[_i].text, (long long)value);
}
END_TEST

START_TEST(thousands_have_commas)
{
	static const struct {
		int64_t value;
		const char *text;
	} rows[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { -999, "-999" },
		{ -1000, "-1,000" }, { INT64_MAX, "9,223,372,036,854,775,807" },
		{ INT64_MIN, "-9,223,372,036,854,775,808" } };

	for (size_t i = 0; i < sb_countof(rows); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

		ck_assert_int_eq(sb_vram_thousands(&out, rows[i].value), 0);
		ck_assert_str_eq(sb_strbuf_str(&out), rows[i].text);
	}
}
END_TEST

START_TEST(dtypes_are_known_by_many_spellings)
{
	static const struct {
		const char *name;
		double bytes; /* 0 = not known */
		const char *kept;
	} rows[] = { { " BF16 ", 2, "bfloat16" }, { "FP8-E4M3", 1, "fp8_e4m3" },
		{ "fp32", 4, "float32" }, { "FP16", 2, "float16" },
		{ "iq3-xxs", 0.4063, "iq3_xxs" }, { "Q6_K", 0.8125, "q6_k" }, { "fp4", 0, "fp4" },
		{ "f16", 0, "f16" }, { "auto", 0, "auto" }, { "", 0, "" },
		{ "fp8_ds_mla", 0, "fp8_ds_mla" } };

	for (size_t i = 0; i < sb_countof(rows); i++) {
		char kept[SB_VRAM_NAME_MAX];
		double bytes = 0;

		ck_assert(sb_vram_dtype_bytes(rows[i].name, &bytes) == (rows[i].bytes > 0));
		ck_assert_msg(bytes == rows[i].bytes, "%s: %g", rows[i].name, bytes);
		sb_vram_dtype_name(rows[i].name, kept);
		ck_assert_str_eq(kept, rows[i].kept);
	}
}
END_TEST

/* A quantization as its files describe it, and what it comes to. */
#define CT(groups)                                                                                 \
	"{'quantization_config':{'quant_method':'compressed-tensors','format':"                    \
	"'pack-quantized','config_groups':{" groups "}}}"
#define PACKED "'weights':{'type':'int','num_bits':"
static const struct {
	const char *given, *config, *hf_quant, *model;
	const char *method, *dtype, *kv_dtype;
	int64_t bits, group_size;
} quants[] = {
	{ NULL, NULL, NULL, NULL, "", "", "", 0, 0 },
	{ NULL, "{'quantization_config':{'quant_method':' AWQ '}}", NULL, NULL, "awq", "awq4", "",
			4, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'awq','bits':8}}", NULL, NULL, "awq",
			"awq8", "", 8, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'gptq','bits':4}}", NULL, NULL, "gptq",
			"gptq", "", 4, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'marlin','bits':3}}", NULL, NULL, "marlin",
			"int3", "", 3, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'bitsandbytes','load_in_4bit':true}}", NULL,
			NULL, "bitsandbytes", "int4", "", 4, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'bitsandbytes','load_in_8bit':1}}", NULL,
			NULL, "bitsandbytes", "int8", "", 8, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'bitsandbytes'}}", NULL, NULL, "", "", "",
			0, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'auto-round','group_size':128}}", NULL,
			NULL, "auto-round", "int4", "", 4, 128 },
	{ NULL, "{'quantization_config':{'quant_method':'autoround','data_type':'mx_fp','bits':8}}",
			NULL, NULL, "auto-round", "fp8", "", 8, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'modelopt'}}", NULL, NULL, "", "", "", 0,
			0 },
	{ NULL, CT("'g':{'targets':['Linear']," PACKED "4,'group_size':32,'strategy':'group'}}"),
			NULL, NULL, "awq", "awq4", "", 4, 32 },
	{ NULL, CT("'g':{'targets':['Linear']," PACKED "8}}"), NULL, NULL, "compressed-tensors",
			"int8", "", 8, 0 },
	{ NULL, CT("'g':{'targets':['Linear']," PACKED "4,'strategy':'channel'}}"), NULL, NULL,
			"compressed-tensors", "compressed-tensors", "", 0, 0 },
	{ NULL,
			CT("'a':{'targets':['lm.head']," PACKED
			   "8}},'b':{'targets':['Linear'],'weights':{'type':'float','num_bits':8}"
			   "}"),
			NULL, NULL, "fp8", "fp8", "", 8, 0 },
	{ NULL,
			CT("'g':{'format':'nvfp4-pack-quantized','targets':['Linear'],"
			   "'weights':{'type':'float','num_bits':4}}"),
			NULL, NULL, "compressed-tensors", "fp4", "", 4, 0 },
	{ NULL, NULL,
			"{'quantization':{'quant_algo':'MIXED_PRECISION','quantized_layers':{"
			"'a':{'quant_algo':'FP8'},'b':{'quant_algo':'NVFP4','group_size':16},"
			"'c':{'quant_algo':'NVFP4','group_size':16}}}}",
			NULL, "nvfp4", "nvfp4", "", 4, 16 },
	{ NULL, NULL, "{'quantization':{'quant_algo':'MIXED_PRECISION'}}", NULL, "", "", "", 0, 0 },
	{ NULL, NULL, "{'quantization':{'quant_algo':'W4A8_AWQ'}}", NULL, "w4a8_awq", "w4a8_awq",
			"", 0, 0 },
	{ NULL, "{'quantization_config':{'quant_method':'fp8'}}",
			"{'quantization':{'quant_algo':'NVFP4','kv_cache_quant_algo':'FP8','group_"
			"size':16}}",
			NULL, "fp8", "fp8", "fp8", 8, 16 },
	{ "auto", "{'quantization_config':{'quant_method':'fp8'}}", NULL, NULL, "fp8", "fp8", "", 8,
			0 },
	{ "modelopt", "{'quantization_config':{'quant_method':'fp8'}}", NULL, NULL, "modelopt",
			"modelopt", "", 0, 0 },
	{ "awq_marlin", NULL, NULL, NULL, "awq_marlin", "awq_marlin", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:Q3_K_L", "gguf", "q3_k", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:Q6_K_L", "gguf", "q6_k", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:IQ4_XS", "gguf", "iq4_xs", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:BF16", "gguf", "bf16", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:UD-Q4_K_XL", "", "", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:IQ3_M", "", "", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:F16", "", "", "", 0, 0 },
	{ NULL, NULL, NULL, "o/m:", "", "", "", 0, 0 },
};

START_TEST(quantization_is_read_from_its_places)
{
	json_t *config = load(quants[_i].config), *hf_quant = load(quants[_i].hf_quant);
	struct sb_vram_quant q;

	sb_vram_quant(quants[_i].given, config, hf_quant, quants[_i].model, &q);
	ck_assert_str_eq(q.method, quants[_i].method);
	ck_assert_str_eq(q.dtype, quants[_i].dtype);
	ck_assert_str_eq(q.kv_dtype, quants[_i].kv_dtype);
	ck_assert_int_eq(q.bits, quants[_i].bits);
	ck_assert_int_eq(q.group_size, quants[_i].group_size);
	ck_assert((q.source != NULL) == (*q.method != '\0'));
	json_decref(config);
	json_decref(hf_quant);
}
END_TEST

START_TEST(a_present_null_blocks_the_keys_after_it)
{
	struct example x = { .recipe = { .model = "o/m", .model_vram = "1" },
		.config = "{'head_dim':null,'hidden_size':64,'num_attention_heads':2,"
			  "'num_hidden_layers':null,'n_layer':7,'num_key_value_heads':0}" };
	struct sb_vram_compat e = estimate(&x);

	ck_assert(!e.layers.known && !e.head_dim.known);
	ck_assert_str_eq(e.warnings.text[0],
			"Missing architecture info (num_layers, num_kv_heads, head_dim); KV cache "
			"estimate unavailable");
}
END_TEST

/* --- hostile input --- */

static const struct {
	struct sb_vram_recipe recipe;
	const char *say;
} refused[] = {
	{ { .max_model_len = "many" }, "max_model_len: expected a whole number, got 'many'" },
	{ { .max_model_len = "1.5" }, "max_model_len: expected a whole number" },
	{ { .max_model_len = "" }, "max_model_len: expected a whole number" },
	{ { .tensor_parallel = "99999999999999999999" }, "tensor_parallel: expected" },
	{ { .pipeline_parallel = "two" }, "pipeline_parallel: expected" },
	{ { .gpu_memory_utilization = "90%" }, "gpu_memory_utilization: expected a number" },
	{ { .gpu_memory_utilization = "nan" }, "gpu_memory_utilization: expected a number" },
	{ { .model_vram = "1e999" }, "metadata.model_vram: expected a number" },
	{ { .num_layers = "-" }, "metadata.num_layers: expected a whole number" },
	{ { .kv_vram_per_token = "\033[2J" }, "metadata.kv_vram_per_token: expected" },
};

START_TEST(what_is_no_number_is_refused_by_name)
{
	struct sb_vram_compat e = { .bits = 77 };
	struct sb_err err = { 0 };

	ck_assert_int_eq(sb_vram_compat(&refused[_i].recipe, NULL, true, &e, &err), -SB_E_INVALID);
	ck_assert_msg(strstr(err.text, refused[_i].say), "%s", err.text);
	ck_assert_ptr_null(strchr(err.text, '\033'));
	ck_assert_int_eq(e.bits, 77);
}
END_TEST

static const char *const odd[] = {
	"null",
	"[]",
	"'text'",
	"7",
	"{}",
	"{'quantization_config':null,'text_config':[1],'llm_config':null}",
	"{'quantization_config':'fp8','quantization':[],'metadata':3,'weight_map':[]}",
	"{'quantization_config':{'quant_method':['awq'],'bits':{}}}",
	"{'quantization_config':{'quant_method':'awq','bits':'many'}}",
	"{'quantization_config':{'quant_method':'gptq','bits':-9223372036854775807}}",
	"{'quantization_config':{'quant_method':'gptq','bits':1e300}}",
	"{'quantization_config':{'quant_method':'compressed-tensors','config_groups':[]}}",
	"{'quantization_config':{'quant_method':'compressed-tensors','format':5,'config_groups':"
	"{'a':null,'b':{'weights':[]},'c':{'weights':{'type':7,'num_bits':null}},"
	"'d':{'targets':[1,null,'x.y'],'weights':{'type':'float','num_bits':1e99}}}}}",
	"{'quantization':{'quant_algo':7,'kv_cache_quant_algo':[],'group_size':'x'}}",
	"{'quantization':{'quant_algo':'mixed_precision','quantized_layers':{'a':1,'b':{},"
	"'c':{'quant_algo':'FP8','group_size':9223372036854775807}}}}",
	"{'torch_dtype':7,'num_hidden_layers':'many','num_key_value_heads':[1],'hidden_size':{}}",
	"{'torch_dtype':'fp8','num_hidden_layers':9223372036854775807,"
	"'num_key_value_heads':9223372036854775807,'head_dim':9223372036854775807}",
	"{'num_hidden_layers':-1,'num_key_value_heads':-1,'head_dim':-1}",
	"{'hidden_size':9223372036854775807,'num_attention_heads':-1,'n_layer':true}",
	"{'metadata':{'total_size':-1},'weight_map':{'a':5,'b':null,'c':'../../x'}}",
	"{'metadata':{'total_size':9223372036854775807},'weight_map':{'a':'huge'}}",
	"{'parameters':{'BF16':9223372036854775807,'F64':9223372036854775807},'total':1e30}",
	"{'parameters':{'BF16':-5,'':0},'total':-5}",
	"{'parameters':[],'total':'9223372036854775807'}",
};

/* Every document in every place, with a fair and with an extreme recipe. */
START_TEST(odd_files_are_survived)
{
	static const struct sb_vram_file huge[] = { { "huge", UINT64_MAX },
		{ "model-1.safetensors", UINT64_MAX }, { "model-2.safetensors", UINT64_MAX },
		{ "model.safetensors", UINT64_MAX } };
	static const struct sb_vram_recipe recipes[] = {
		{ .model = "o/m" },
		{ .model = "o/m",
				.max_model_len = "9223372036854775807",
				.gpu_memory_utilization = "1e308",
				.tensor_parallel = "-3",
				.quantization = "int8" },
		{ .model = "o/m",
				.max_model_len = "-9223372036854775808",
				.kv_vram_per_token = "1e308",
				.gpu_memory_utilization = "1e307",
				.model_vram = "-1e308",
				.tensor_parallel = "9223372036854775807",
				.pipeline_parallel = "9223372036854775807" },
		{ .model = "",
				.model_params = "-9e18",
				.model_dtype = "fp32",
				.kv_vram_per_token = "-1e-300",
				.gpu_memory_utilization = "-1" },
	};

	for (size_t i = 0; i < sb_countof(odd); i++)
		for (size_t r = 0; r < sb_countof(recipes); r++) {
			SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
			json_t *doc = load(odd[_i]), *other = load(odd[i]), *json;
			struct sb_vram_facts facts = { doc, other, doc, other, huge, 4 };
			struct sb_vram_compat e;
			struct sb_err err = { 0 };

			if (r % 2)
				facts.n_files = 0;
			ck_assert_int_eq(sb_vram_compat(&recipes[r], &facts, true, &e, &err), 0);
			ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
			json = sb_vram_compat_json(&e);
			ck_assert_ptr_nonnull(json);
			json_decref(json);
			json_decref(doc);
			json_decref(other);
		}
}
END_TEST

/* 15: a dtype without a size; 17: nothing is known. */
START_TEST(unknown_weights_are_not_said_to_fit)
{
	for (size_t i = 0; i < sb_countof(examples); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
		struct sb_vram_compat e = estimate(&examples[i]);
		bool unknown = i + 1 == 15 || i + 1 == 17;

		ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
		ck_assert((strstr(sb_strbuf_str(&out), "fit:    UNKNOWN\n") != NULL) == unknown);
		ck_assert((strstr(sb_strbuf_str(&out), "weights:    unknown\n") != NULL) ==
				unknown);
	}
}
END_TEST

START_TEST(unknown_weights_leave_no_known_room)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct example x = examples[14];
	struct sb_vram_compat e;

	x.recipe.gpu_memory_utilization = "0.9";
	e = estimate(&x);
	ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
	ck_assert_ptr_nonnull(strstr(sb_strbuf_str(&out), "Available for KV:      UNKNOWN\n"));
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "Max context"));
}
END_TEST

START_TEST(a_share_of_nothing_prints_no_budget)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct example x = { .recipe = { .model_vram = "1", .gpu_memory_utilization = "0" } };
	struct sb_vram_compat e = estimate(&x);

	ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
	ck_assert_ptr_null(strstr(sb_strbuf_str(&out), "Budget"));
}
END_TEST

START_TEST(names_of_a_file_reach_no_terminal_raw)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct example x = {
		.recipe = { .model = "o/m", .model_params = "1B" },
		.config = "{'torch_dtype':'\\u001b]0;"
			  "x\\u0007\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9"
			  "\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\"
			  "u00e9"
			  "\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\"
			  "u00e9"
			  "\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9'}"
	};
	struct sb_vram_compat e = estimate(&x);
	json_t *json = sb_vram_compat_json(&e);

	ck_assert_int_eq(sb_vram_compat_text(&e, &out), 0);
	ck_assert_ptr_null(strpbrk(sb_strbuf_str(&out), "\033\007"));
	ck_assert_ptr_nonnull(json); /* a cut character would not be UTF-8 */
	json_decref(json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vram");
	TCase *published = tcase_create("published"), *steps = tcase_create("steps"),
	      *hostile = tcase_create("hostile");

	tcase_add_loop_test(published, figures_are_the_published_ones, 0, sb_countof(examples));
	tcase_add_loop_test(published, a_figure_that_misleads_comes_with_a_warning, 0,
			sb_countof(warned));
	tcase_add_test(published, other_examples_have_no_warning);
	tcase_add_loop_test(published, text_is_the_published_one, 0, sb_countof(texts));
	tcase_add_loop_test(published, halves_are_rounded_to_even, 0, sb_countof(lines));
	tcase_add_test(published, unknown_weights_are_not_said_to_fit);
	tcase_add_test(published, unknown_weights_leave_no_known_room);
	tcase_add_loop_test(steps, parameter_counts_are_read, 0, sb_countof(params));
	tcase_add_test(steps, thousands_have_commas);
	tcase_add_test(steps, dtypes_are_known_by_many_spellings);
	tcase_add_loop_test(steps, quantization_is_read_from_its_places, 0, sb_countof(quants));
	tcase_add_test(steps, a_present_null_blocks_the_keys_after_it);
	tcase_add_loop_test(hostile, what_is_no_number_is_refused_by_name, 0, sb_countof(refused));
	tcase_add_loop_test(hostile, odd_files_are_survived, 0, sb_countof(odd));
	tcase_add_test(hostile, a_share_of_nothing_prints_no_budget);
	tcase_add_test(hostile, names_of_a_file_reach_no_terminal_raw);
	suite_add_tcase(suite, published);
	suite_add_tcase(suite, steps);
	suite_add_tcase(suite, hostile);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
