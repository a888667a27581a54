#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_runtime.h"

static struct sb_workload *load(const char *text)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct sb_workload *w = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, &err) == 0,
			"%s", err.text);
	ck_assert_msg(sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, &err) == 0,
			"%s", err.text);
	return w;
}

static const struct sb_runtime *vllm(void)
{
	const struct sb_runtime *runtime = NULL;

	ck_assert_int_eq(sb_runtime_find("vllm-distributed", &runtime, NULL), 0);
	return runtime;
}

static const char *const addresses[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" };

static void serve(const struct sb_workload *w, size_t n, struct sb_strbuf *out)
{
	struct sb_launch launch = { w, addresses, n, 25000 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(vllm()->serve(&launch, out, NULL, &err) == 0, "%s", err.text);
}

START_TEST(every_published_runtime_is_known)
{
	static const char *const names[] = { "atlas", "eugr-vllm", "llama-cpp", "sglang", "trtllm",
		"vllm-distributed", "vllm-ray" };
	const struct sb_runtime *found = NULL;

	for (size_t i = 0; i < sb_countof(names); i++) {
		ck_assert_int_eq(sb_runtime_find(names[i], &found, NULL), 0);
		ck_assert_str_eq(found->name, names[i]);
		ck_assert_ptr_eq(sb_runtime_at(i), found);
	}
	ck_assert_ptr_null(sb_runtime_at(sb_countof(names)));
}
END_TEST

START_TEST(an_unknown_runtime_lists_the_known)
{
	const struct sb_runtime *runtime = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_runtime_find("VLLM", &runtime, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "Unknown runtime: 'VLLM'. Available: [atlas, "));
	ck_assert_ptr_null(runtime);
}
END_TEST

static const struct {
	const char *defaults;
	int required; /* -1: an error */
} sizes[] = {
	{ "port: 1", 0 },
	{ "tensor_parallel: 2", 2 },
	{ "tensor_parallel: 1", 1 },
	{ "tensor_parallel: '2', pipeline_parallel: 2, data_parallel: 2", 8 },
	{ "tensor_parallel: null", 0 },
	{ "tensor_parallel: 0", -1 },
	{ "tensor_parallel: two", -1 },
	{ "tensor_parallel: -2", -1 },
	{ "tensor_parallel: 4096, pipeline_parallel: 4096, data_parallel: 4096", -1 },
};

START_TEST(required_nodes_are_the_product)
{
	struct sb_err err = SB_ERR_INIT;
	struct sb_workload *w;
	unsigned required = 99;
	char text[160];
	int rc;

	snprintf(text, sizeof(text), "model: m\ndefaults: {%s}\n", sizes[_i].defaults);
	w = load(text);
	rc = vllm()->required(w, &required, &err);
	if (sizes[_i].required < 0) {
		ck_assert_int_lt(rc, 0);
		ck_assert_uint_eq(required, 99);
	} else {
		ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(required, sizes[_i].required);
	}
	sb_workload_free(w);
}
END_TEST

/* The published example with every key, in table order whatever the recipe's order; but the API
 * key, which goes by the environment. */
START_TEST(flags_come_in_table_order)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_workload *w = load(
			"model: org/m\ndefaults: {port: 8000, tensor_parallel: 2, "
			"pipeline_parallel: 2, "
			"enforce_eager: true, enable_prefix_caching: false, trust_remote_code: "
			"'1', "
			"quantization: fp8, kv_cache_dtype: fp8, max_num_seqs: 8, dtype: auto, "
			"host: "
			"0.0.0.0, gpu_memory_utilization: 0.85, max_model_len: 4096, "
			"max_num_batched_tokens: 8192, served_model_name: m, otlp_traces_endpoint: "
			"'http://x', api_key: k, data_parallel: 1, enable_auto_tool_choice: true, "
			"tool_call_parser: hermes}\n");

	serve(w, 4, &out);
	ck_assert_str_eq(sb_strbuf_str(&out),
			"vllm serve org/m -tp 2 --port 8000 --host 0.0.0.0 "
			"--gpu-memory-utilization "
			"0.85 --max-model-len 4096 --max-num-batched-tokens 8192 --max-num-seqs 8 "
			"--served-model-name m --dtype auto --quantization fp8 --enforce-eager "
			"--trust-remote-code -pp 2 --data-parallel-size 1 --kv-cache-dtype fp8 "
			"--otlp-traces-endpoint http://x");
	sb_workload_free(w);
}
END_TEST

static const struct {
	const char *command, *want;
} templates[] = {
	{ "vllm serve {model}", "vllm serve m --served-model-name n" },
	{ "vllm serve m --served-model-name x", "vllm serve m --served-model-name x" },
	{ "vllm serve m --served-model-name-foo y", "vllm serve m --served-model-name-foo y" },
	{ "vllm serve m \\\\", "vllm serve m --served-model-name n" },
	{ "vllm serve m # note", "vllm serve m --served-model-name n" },
	{ "vllm serve m\\n# note \\\\", "vllm serve m --served-model-name n" },
};

START_TEST(the_served_name_is_appended_where_it_counts)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_workload *w;
	char text[200];

	snprintf(text, sizeof(text),
			"model: m\ndefaults: {served_model_name: n}\ncommand: \"%s\"\n",
			templates[_i].command);
	w = load(text);
	serve(w, 1, &out);
	ck_assert_str_eq(sb_strbuf_str(&out), templates[_i].want);
	sb_workload_free(w);
}
END_TEST

static void rank_of(const struct sb_workload *w, size_t n, unsigned rank, struct sb_rank_part *part)
{
	struct sb_launch launch = { w, addresses, n, 25000 };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	const struct sb_strbuf base = sb_strbuf_view("v --port 8001");
	enum sb_shell_kind kind;

	ck_assert_int_eq(sb_shell_split("v --port 8001", &words, &kind, NULL), 0);
	ck_assert_int_eq(vllm()->rank(&launch, rank, &base, &words, part, NULL), 0);
}

static bool listens(const struct sb_rank_part *part, uint16_t port)
{
	for (size_t i = 0; i < part->n_ports; i++)
		if (part->ports[i] == port)
			return true;
	return false;
}

/* The published example: tensor 2 x data 2 on four nodes. */
START_TEST(ranks_know_their_replica)
{
	static const char *const want[] = {
		"v --port 8001 --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 25000 "
		"--data-parallel-size 2 --data-parallel-rank 0 --data-parallel-address 10.0.0.1 "
		"--data-parallel-rpc-port 13345",
		"v --port 8001 --nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 25000 "
		"--headless --data-parallel-size 2 --data-parallel-rank 0 --data-parallel-address "
		"10.0.0.1 --data-parallel-rpc-port 13345",
		"v --port 8001 --nnodes 2 --node-rank 0 --master-addr 10.0.0.3 --master-port 25000 "
		"--data-parallel-size 2 --data-parallel-rank 1 --data-parallel-address 10.0.0.1 "
		"--data-parallel-rpc-port 13345",
		"v --port 8001 --nnodes 2 --node-rank 1 --master-addr 10.0.0.3 --master-port 25000 "
		"--headless --data-parallel-size 2 --data-parallel-rank 1 --data-parallel-address "
		"10.0.0.1 --data-parallel-rpc-port 13345",
	};
	struct sb_workload *w =
			load("model: m\ndefaults: {tensor_parallel: 2, data_parallel: 2}\n");

	for (unsigned r = 0; r < 4; r++) {
		SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };

		rank_of(w, 4, r, &part);
		ck_assert_str_eq(sb_strbuf_str(&part.serve), want[r]);
		ck_assert_uint_eq(part.stage, r ? 1 : 0);
		ck_assert_uint_eq(part.gate_port, r ? 0 : 25000);
		ck_assert_int_eq(part.gate_timeout_ms > 0, r == 0);
		ck_assert_int_eq(listens(&part, 8001), r % 2 == 0);
		ck_assert_int_eq(listens(&part, 25000), r % 2 == 0);
		ck_assert_int_eq(listens(&part, 13345), r == 0);
	}
	sb_workload_free(w);
}
END_TEST

START_TEST(pure_data_parallel_has_no_rendezvous)
{
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };
	struct sb_workload *w = load("model: m\ndefaults: {tensor_parallel: 1, data_parallel: 2, "
				     "data_parallel_rpc_port: 999}\n");

	rank_of(w, 2, 1, &part);
	ck_assert_str_eq(sb_strbuf_str(&part.serve),
			"v --port 8001 --data-parallel-size 2 --data-parallel-rank 1 "
			"--data-parallel-address 10.0.0.1 --data-parallel-rpc-port 999");
	ck_assert_uint_eq(part.gate_port, 0);
	sb_workload_free(w);
}
END_TEST

START_TEST(one_node_gets_no_suffix)
{
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };
	struct sb_workload *w = load("model: m\ndefaults: {tensor_parallel: 2}\n");

	rank_of(w, 1, 0, &part);
	ck_assert_str_eq(sb_strbuf_str(&part.serve), "v --port 8001");
	ck_assert_uint_eq(part.n_ports, 1);
	sb_workload_free(w);
}
END_TEST

START_TEST(ports_are_kept_once)
{
	struct sb_rank_part part = { 0 };

	for (unsigned i = 0; i < 3; i++)
		sb_rank_part_port(&part, 80);
	sb_rank_part_port(&part, 0);
	ck_assert_uint_eq(part.n_ports, 1);
	for (uint16_t i = 1; i < 100; i++)
		sb_rank_part_port(&part, i);
	ck_assert_uint_eq(part.n_ports, SB_RANK_PORTS_MAX);
	sb_rank_part_done(&part);
}
END_TEST

START_TEST(a_ranks_files_are_its_own)
{
	struct sb_rank_part part = { 0 };
	char content[] = "a\0b";

	ck_assert_int_eq(sb_rank_part_file(&part, "/etc/x", content, 3, 0600, true), 0);
	content[0] = 'z';
	ck_assert_int_eq(sb_rank_part_file(&part, "/etc/y", NULL, 0, 0, false), 0);
	ck_assert_uint_eq(part.n_files, 2);
	ck_assert_str_eq(part.files[0].path, "/etc/x");
	ck_assert_mem_eq(part.files[0].content, "a\0b", 3);
	ck_assert_uint_eq(part.files[0].mode, 0600);
	ck_assert(part.files[0].secret && !part.files[1].secret);
	ck_assert_uint_eq(part.files[1].len, 0);
	sb_rank_part_done(&part);
	ck_assert_uint_eq(part.n_files, 0);
}
END_TEST

static const struct {
	const char *model, *words;
	enum sb_probe probe;
} probes[] = {
	{ "m", "v", SB_PROBE_GENERATE },
	{ "m", "v --task embed", SB_PROBE_EMBED },
	{ "m", "v --task=score", SB_PROBE_SCORE },
	{ "m", "v --task classify", SB_PROBE_SCORE },
	{ "m", "v --convert embed", SB_PROBE_EMBED },
	{ "m", "v --runner pooling", SB_PROBE_EMBED },
	{ "m", "v --task reward", SB_PROBE_MODELS },
	{ "Qwen/Qwen3-VL-Embedding-8B", "v --runner pooling", SB_PROBE_EMBED },
	{ "Qwen/Qwen3-VL-Reranker-8B", "v --runner pooling", SB_PROBE_SCORE },
	{ "Qwen/Qwen3-VL-Reranker-8B", "v --runner generate", SB_PROBE_GENERATE },
	{ "Qwen/Qwen3-Embedding-8B", "v", SB_PROBE_EMBED },
	{ "BAAI/bge-reranker-v2-m3", "v", SB_PROBE_SCORE },
};

static void ready_of(const char *recipe, const char *text, struct sb_diags *diags,
		void (*check)(const struct sb_ready *))
{
	struct sb_workload *w = load(recipe);
	struct sb_launch launch = { w, addresses, 1, 25000 };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	struct sb_ready ready = { 0 };
	enum sb_shell_kind kind;

	ck_assert_int_eq(sb_shell_split(text, &words, &kind, NULL), 0);
	ck_assert_int_eq(vllm()->ready(&launch, &words, &ready, diags, NULL), 0);
	check(&ready);
	sb_workload_free(w);
}

static enum sb_probe want_probe;

static void check_probe(const struct sb_ready *ready)
{
	ck_assert_int_eq(ready->probe, want_probe);
}

START_TEST(the_probe_fits_the_model)
{
	char recipe[128];

	snprintf(recipe, sizeof(recipe), "model: %s\n", probes[_i].model);
	want_probe = probes[_i].probe;
	ready_of(recipe, probes[_i].words, NULL, check_probe);
}
END_TEST

static void check_given(const struct sb_ready *ready)
{
	ck_assert_uint_eq(ready->port, 9000);
	ck_assert_str_eq(ready->host, "192.168.1.5");
	ck_assert_str_eq(ready->model, "n");
	ck_assert_str_eq(ready->api_key, "sekret");
}

static void check_default(const struct sb_ready *ready)
{
	ck_assert_uint_eq(ready->port, 8000);
	ck_assert_str_eq(ready->host, "127.0.0.1");
	ck_assert_str_eq(ready->model, "m");
	ck_assert_str_eq(ready->api_key, "");
}

static void check_key(const struct sb_ready *ready)
{
	ck_assert_str_eq(ready->api_key, "k");
}

START_TEST(the_words_say_where_to_ask)
{
	struct sb_diags diags = SB_DIAGS_INIT;

	ready_of("model: m\n",
			"v --port=9000 --host 192.168.1.5 --served-model-name n --api-key sekret",
			&diags, check_given);
	ck_assert_uint_eq(diags.n, 0);
	ready_of("model: m\ndefaults: {port: 9000}\n", "v --host 0.0.0.0 --api-key {x}", &diags,
			check_default);
	ck_assert_uint_eq(diags.n, 1); /* a port that the command does not take */
	ck_assert_uint_eq(diags.items[0].line, 2);
	ready_of("model: m\ndefaults: {api_key: k}\nenv: {VLLM_API_KEY: e}\n", "v", NULL,
			check_key);
	ready_of("model: m\nenv: {VLLM_API_KEY: k}\n", "v --api-key z", NULL, check_key);
	sb_diags_done(&diags);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("runtime");
	TCase *tc = tcase_create("runtime");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, every_published_runtime_is_known);
	tcase_add_test(tc, an_unknown_runtime_lists_the_known);
	tcase_add_loop_test(tc, required_nodes_are_the_product, 0, sb_countof(sizes));
	tcase_add_test(tc, flags_come_in_table_order);
	tcase_add_loop_test(
			tc, the_served_name_is_appended_where_it_counts, 0, sb_countof(templates));
	tcase_add_test(tc, ranks_know_their_replica);
	tcase_add_test(tc, pure_data_parallel_has_no_rendezvous);
	tcase_add_test(tc, one_node_gets_no_suffix);
	tcase_add_test(tc, ports_are_kept_once);
	tcase_add_test(tc, a_ranks_files_are_its_own);
	tcase_add_loop_test(tc, the_probe_fits_the_model, 0, sb_countof(probes));
	tcase_add_test(tc, the_words_say_where_to_ask);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
