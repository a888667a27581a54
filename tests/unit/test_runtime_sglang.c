/* test_runtime_sglang.c - plans of SGLang: the published example, and where we differ. */
#include <check.h>
#include <string.h>

#include "sb_plan.h"

#define E6                                                                                         \
	"model: Qwen/Qwen3-1.7B\nruntime: sglang\n"                                                \
	"defaults: {port: 30000, host: 0.0.0.0, tensor_parallel: 2, max_model_len: 8192, "         \
	"max_num_seqs: 16, chunked_prefill: 2048, gpu_memory_utilization: 0.8, "                   \
	"speculative_draft_model: org/draft, disable_radix_cache: true}\n"
#define E6_SERVE                                                                                   \
	"python3 -m sglang.launch_server --model-path Qwen/Qwen3-1.7B --tp-size 2 --port 30000 "   \
	"--host 0.0.0.0 --mem-fraction-static 0.8 --context-length 8192 "                          \
	"--max-running-requests 16 --chunked-prefill-size 2048 "                                   \
	"--speculative-draft-model-path org/draft"
#define GGUF "model: o/m-GGUF:Q8_0\nruntime: sglang\n"

static const struct sb_plan_node nodes[] = {
	{ "a", "10.0.0.1", "10.0.0.1", 47101 },
	{ "b", "10.0.0.2", "10.0.0.2", 47101 },
	{ "c", "10.0.0.3", "10.0.0.3", 47101 },
};

static Sparkbus__LaunchPlan *compile(const char *text, size_t n, struct sb_err *err)
{
	struct sb_plan_input input = { .nodes = nodes, .n_nodes = n, .now_unix_ms = 1 };
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = { 0 };
	Sparkbus__LaunchPlan *plan = NULL;

	ck_assert_int_eq(
			sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, err), 0);
	ck_assert_int_eq(sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &diags, &w, err), 0);
	sb_plan_compile(w, &input, &diags, &plan, err);
	return plan;
}

static Sparkbus__LaunchPlan *must(const char *text, size_t n)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(text, n, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	return plan;
}

/* The words of @rank are those of @want, parted by blanks. */
static void check_argv(const Sparkbus__LaunchPlan *plan, size_t rank, const char *want)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf got = SB_STRBUF_INIT;

	for (size_t i = 0; i < plan->ranks[rank]->n_argv; i++)
		sb_strbuf_addf(&got, "%s%s", i ? " " : "", plan->ranks[rank]->argv[i]);
	ck_assert_str_eq(sb_strbuf_str(&got), want);
}

static bool warns(const Sparkbus__LaunchPlan *plan, const char *part)
{
	for (size_t i = 0; i < plan->n_warnings; i++)
		if (strstr(plan->warnings[i], part))
			return true;
	return false;
}

static void free_plan(Sparkbus__LaunchPlan *plan)
{
	sparkbus__launch_plan__free_unpacked(plan, NULL);
}

START_TEST(two_nodes_are_the_published_example)
{
	Sparkbus__LaunchPlan *plan = must(E6, 2);

	ck_assert_uint_eq(plan->n_ranks, 2);
	check_argv(plan, 0, E6_SERVE " --dist-init-addr 10.0.0.1:25000 --nnodes 2 --node-rank 0");
	check_argv(plan, 1, E6_SERVE " --dist-init-addr 10.0.0.1:25000 --nnodes 2 --node-rank 1");
	ck_assert_uint_eq(plan->n_warnings, 0);
	free_plan(plan);
}
END_TEST

/* Rank 0 holds the rendezvous; the others dial it, and also listen where the API is. */
START_TEST(the_rendezvous_is_open_before_others_dial)
{
	Sparkbus__LaunchPlan *plan = must(E6, 2);
	const Sparkbus__RankSpec *head = plan->ranks[0], *other = plan->ranks[1];

	ck_assert_uint_eq(head->gate_port, 25000);
	ck_assert_uint_gt(head->gate_timeout_ms, 0);
	ck_assert_uint_lt(head->stage, other->stage);
	ck_assert_uint_eq(head->n_ports, 2);
	ck_assert_uint_eq(head->ports[0], 30000);
	ck_assert_uint_eq(head->ports[1], 25000);
	ck_assert_uint_eq(other->n_ports, 1);
	ck_assert_uint_eq(other->ports[0], 30000);
	ck_assert_uint_eq(other->gate_port, 0);
	ck_assert(head->options->init && other->options->init);
	free_plan(plan);
}
END_TEST

START_TEST(one_node_has_no_rendezvous)
{
	Sparkbus__LaunchPlan *plan = must("model: o/m\nruntime: sglang\n", 1);

	check_argv(plan, 0, "python3 -m sglang.launch_server --model-path o/m");
	ck_assert_uint_eq(plan->port, 30000);
	ck_assert_uint_eq(plan->ranks[0]->ports[0], 30000);
	ck_assert_uint_eq(plan->ranks[0]->gate_port, 0);
	ck_assert_str_eq(plan->readiness->host, "127.0.0.1");
	ck_assert(warns(plan, "no --host"));
	free_plan(plan);
}
END_TEST

static const struct {
	const char *text;
	size_t ranks;
} sizes[] = {
	{ "defaults: {port: 1}", 1 },
	{ "defaults: {tensor_parallel: 2}", 2 },
	{ "defaults: {tensor_parallel: 3}", 3 },
	{ "command: sglang serve --tp 2", 2 },
	{ "command: sglang serve --tp-size=2", 2 },
	{ "command: sglang serve --tp 1 --pipeline-parallel-size 3", 3 },
	{ "command: sglang serve --tp 99999999999999999999", 1 },
	{ "command: sglang serve --tp -2", 1 },
	{ "command: sglang serve --tp", 1 },
};

START_TEST(nodes_are_what_the_sizes_divide)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text, "model: o/m\nruntime: sglang\n%s\n", sizes[_i].text);
	plan = must(sb_strbuf_str(&text), 3);
	ck_assert_uint_eq(plan->n_ranks, sizes[_i].ranks);
	free_plan(plan);
}
END_TEST

static const struct {
	const char *text, *want; /* want: NULL = none about GGUF's tokenizer */
} tokenizers[] = {
	{ GGUF, "no tokenizer path configured" },
	{ GGUF "defaults: {tokenizer_path: o/m}\n", NULL },
	{ GGUF "command: sglang serve --tokenizer-path o/m\n", NULL },
	{ GGUF "command: sglang serve\n", "no tokenizer path configured" },
	{ GGUF "defaults: {tokenizer_path: o/m}\ncommand: sglang serve\n",
			"'tokenizer_path' in defaults but" },
	{ GGUF "defaults: {tokenizer_path: o/m}\n"
	       "command: sglang serve --tokenizer-path {tokenizer_path}\n",
			NULL },
	{ "model: o/m\nruntime: sglang\n", NULL },
};

START_TEST(a_gguf_model_wants_a_tokenizer)
{
	const char *want = tokenizers[_i].want;
	Sparkbus__LaunchPlan *plan = must(tokenizers[_i].text, 1);

	ck_assert_int_eq(warns(plan, "no tokenizer path configured"),
			want && !strcmp(want, "no tokenizer path configured"));
	ck_assert_int_eq(warns(plan, "'tokenizer_path' in defaults but"),
			want && !strcmp(want, "'tokenizer_path' in defaults but"));
	free_plan(plan);
}
END_TEST

START_TEST(every_node_of_a_gguf_model_may_have_the_file)
{
	Sparkbus__LaunchPlan *plan = must(GGUF "defaults: {tensor_parallel: 2}\n", 2);

	for (size_t i = 0; i < 2; i++) {
		const Sparkbus__GgufModel *gguf = plan->ranks[i]->gguf;

		ck_assert_ptr_nonnull(gguf);
		ck_assert_str_eq(plan->ranks[i]->argv[gguf->word], "o/m-GGUF:Q8_0");
		ck_assert_str_eq(gguf->repo, "o/m-GGUF");
		ck_assert_str_eq(gguf->quant, "Q8_0");
		ck_assert_str_eq(gguf->file_flag, "");
	}
	free_plan(plan);
	plan = must("model: o/m\nruntime: sglang\n", 1);
	ck_assert_ptr_null(plan->ranks[0]->gguf);
	free_plan(plan);
}
END_TEST

START_TEST(a_gguf_file_needs_no_remark)
{
	Sparkbus__LaunchPlan *plan = must("model: /cache/huggingface/hub/x.gguf\nruntime: sglang\n"
					  "defaults: {tokenizer_path: o/m, host: 0.0.0.0}\n",
			1);

	ck_assert_uint_eq(plan->n_warnings, 0);
	free_plan(plan);
}
END_TEST

START_TEST(the_key_is_hidden_where_the_command_is_shown)
{
	Sparkbus__LaunchPlan *plan = must("model: o/m\nruntime: sglang\n"
					  "defaults: {api_key: sekret, host: 0.0.0.0}\n",
			1);

	check_argv(plan, 0,
			"python3 -m sglang.launch_server --model-path o/m --host 0.0.0.0 "
			"--api-key sekret");
	ck_assert_str_eq(plan->readiness->api_key, "sekret");
	ck_assert_ptr_null(strstr(plan->serve_command, "sekret"));
	ck_assert_ptr_null(strstr(plan->ranks[0]->serve_text, "sekret"));
	ck_assert(warns(plan, "command line"));
	for (size_t i = 0; i < plan->n_warnings; i++)
		ck_assert_ptr_null(strstr(plan->warnings[i], "sekret"));
	free_plan(plan);
}
END_TEST

static const struct {
	const char *model, *flags;
	Sparkbus__Probe probe;
} probes[] = {
	{ "o/m", "", SPARKBUS__PROBE__PROBE_GENERATE },
	{ "o/e", "--is-embedding", SPARKBUS__PROBE__PROBE_EMBED },
	{ "o/x-reranker", "--is-embedding", SPARKBUS__PROBE__PROBE_MODELS },
};

START_TEST(what_is_asked_is_what_it_serves)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text,
			"model: %s\nruntime: sglang\ndefaults: {served_model_name: q}\n"
			"command: sglang serve --model-path {model} --port 9 %s\n",
			probes[_i].model, probes[_i].flags);
	plan = must(sb_strbuf_str(&text), 1);
	ck_assert_int_eq(plan->readiness->probe, probes[_i].probe);
	ck_assert_uint_eq(plan->port, 9);
	ck_assert_str_eq(plan->served_model_name, "q");
	free_plan(plan);
}
END_TEST

/* An empty own value gives way, a set one does not. */
START_TEST(the_draft_model_has_two_names)
{
	Sparkbus__LaunchPlan *plan = must(
			"model: o/m\nruntime: sglang\n"
			"defaults: {speculative_draft_model_path: '', speculative_draft_model: a}\n"
			"command: sglang serve {speculative_draft_model_path}\n",
			1);

	check_argv(plan, 0, "sglang serve a");
	free_plan(plan);
	plan = must("model: o/m\nruntime: sglang\n"
		    "defaults: {speculative_draft_model_path: b, speculative_draft_model: a}\n"
		    "command: sglang serve {speculative_draft_model_path}\n",
			1);
	check_argv(plan, 0, "sglang serve b");
	free_plan(plan);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("runtime_sglang");
	TCase *tc = tcase_create("sglang");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, two_nodes_are_the_published_example);
	tcase_add_test(tc, the_rendezvous_is_open_before_others_dial);
	tcase_add_test(tc, one_node_has_no_rendezvous);
	tcase_add_loop_test(tc, nodes_are_what_the_sizes_divide, 0, sb_countof(sizes));
	tcase_add_loop_test(tc, a_gguf_model_wants_a_tokenizer, 0, sb_countof(tokenizers));
	tcase_add_test(tc, every_node_of_a_gguf_model_may_have_the_file);
	tcase_add_test(tc, a_gguf_file_needs_no_remark);
	tcase_add_test(tc, the_key_is_hidden_where_the_command_is_shown);
	tcase_add_loop_test(tc, what_is_asked_is_what_it_serves, 0, sb_countof(probes));
	tcase_add_test(tc, the_draft_model_has_two_names);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
