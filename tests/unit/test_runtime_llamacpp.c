/* test_runtime_llamacpp.c - plans of llama.cpp: the published examples, and where we differ. */
#include <check.h>
#include <string.h>

#include "sb_plan.h"

#define E7                                                                                         \
	"model: Qwen/Qwen3-1.7B-GGUF:Q8_0\nruntime: llama-cpp\n"                                   \
	"defaults: {port: 8000, host: 0.0.0.0, n_gpu_layers: 99, max_model_len: 8192, "            \
	"flash_attn: on, jinja: true, served_model_name: q}\n"
#define E7_HEAD                                                                                    \
	"llama-server -hf Qwen/Qwen3-1.7B-GGUF:Q8_0 --port 8000 --host 0.0.0.0 --ctx-size 8192 "   \
	"--n-gpu-layers 99 --split-mode layer --alias q --flash-attn on --jinja"

static const struct sb_plan_node nodes[] = {
	{ "a", "10.0.0.1", "10.0.0.1", 47101 },
	{ "b", "10.0.0.2", "10.0.0.2", 47101 },
	{ "c", "10.0.0.3", "10.0.0.3", 47101 },
};

static Sparkbus__LaunchPlan *compile(const char *text, size_t n, const struct sb_override *over,
		size_t n_over, struct sb_err *err)
{
	struct sb_plan_input input = { .nodes = nodes, .n_nodes = n, .now_unix_ms = 1 };
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	Sparkbus__LaunchPlan *plan = NULL;

	ck_assert_int_eq(
			sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, err), 0);
	ck_assert_int_eq(
			sb_workload_resolve(recipe, over, n_over, NULL, NULL, 0, NULL, &w, err), 0);
	sb_plan_compile(w, &input, NULL, &plan, err);
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

static void free_plan(Sparkbus__LaunchPlan *plan)
{
	sparkbus__launch_plan__free_unpacked(plan, NULL);
}

START_TEST(one_node_is_the_published_example)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(E7, 1, NULL, 0, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	check_argv(plan, 0, E7_HEAD);
	ck_assert_str_eq(plan->served_model_name, "q");
	ck_assert_uint_eq(plan->ranks[0]->n_env, 1);
	ck_assert_str_eq(plan->ranks[0]->env[0]->name, "HF_HOME");
	ck_assert_uint_eq(plan->ranks[0]->stage, 0);
	ck_assert(!plan->ranks[0]->options->init);
	free_plan(plan);
}
END_TEST

#define HEAD "model: org/m-GGUF:Q8_0\nruntime: llama-cpp\nmodel_revision: v1\n"

static const struct {
	const char *text;
	uint32_t word; /* 0 = the node does not look for a file */
	const char *repo, *quant, *revision;
} models[] = {
	{ HEAD, 2, "org/m-GGUF", "Q8_0", "v1" },
	{ "model: org/m\nruntime: llama-cpp\n", 2, "org/m", "", "" },
	{ HEAD "command: llama-server --jinja -hf {model}\n", 3, "org/m-GGUF", "Q8_0", "v1" },
	{ HEAD "command: llama-server --hf-repo org/other\n", 2, "org/other", "", "" },
	{ HEAD "command: llama-server -hf {model} --hf-file x.gguf\n" },
	{ HEAD "command: llama-server -m /models/x.gguf\n" },
	{ HEAD "command: cd / && llama-server -hf {model}\n" },
	{ HEAD "command: llama-server -hf /models/m\n" },
	{ HEAD "command: llama-server -hf\n" },
	{ "model: /models/m.gguf\nruntime: llama-cpp\n" },
};

START_TEST(the_head_s_node_may_have_the_file)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(models[_i].text, 2, NULL, 0, &err);
	const Sparkbus__GgufModel *gguf;

	ck_assert_msg(plan != NULL, "%s", err.text);
	gguf = plan->ranks[0]->gguf;
	ck_assert_int_eq(gguf != NULL, models[_i].word != 0);
	if (gguf) {
		ck_assert_uint_eq(gguf->word, models[_i].word);
		ck_assert_str_eq(gguf->file_flag, "-m");
		ck_assert_str_eq(gguf->repo, models[_i].repo);
		ck_assert_str_eq(gguf->quant, models[_i].quant);
		ck_assert_str_eq(gguf->revision, models[_i].revision);
	}
	for (size_t i = 1; i < plan->n_ranks; i++)
		ck_assert_ptr_null(plan->ranks[i]->gguf);
	free_plan(plan);
}
END_TEST

START_TEST(workers_listen_before_the_head_dials)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(E7, 3, NULL, 0, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	ck_assert_uint_eq(plan->n_ranks, 3);
	check_argv(plan, 0, E7_HEAD " --rpc 10.0.0.2:50052,10.0.0.3:50052");
	check_argv(plan, 2, "rpc-server --host 10.0.0.3 --port 50052");
	ck_assert_ptr_nonnull(strstr(plan->ranks[0]->container_name, "_head"));
	for (size_t i = 1; i < 3; i++) {
		const Sparkbus__RankSpec *worker = plan->ranks[i];

		ck_assert_uint_lt(worker->stage, plan->ranks[0]->stage);
		ck_assert_uint_eq(worker->gate_port, 50052);
		ck_assert_uint_eq(worker->ports[0], 50052);
		ck_assert(worker->options->init);
		ck_assert_ptr_nonnull(strstr(worker->container_name, "_worker"));
	}
	free_plan(plan);
}
END_TEST

/* The published tool's head drops the template and the row split. */
START_TEST(the_head_runs_what_is_shown)
{
	static const char text[] =
			"model: o/m-GGUF:Q8_0\nruntime: llama-cpp\n"
			"defaults: {tensor_parallel: 2, max_model_len: 64, served_model_name: q}\n"
			"command: llama-server -hf {model} --split-mode layer --split-mode-x y -c "
			"{ctx_size} --port 9\n";
	static const struct sb_override over[] = { { "max_model_len", "32", "--max-model-len" } };
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(text, 2, over, 1, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	check_argv(plan, 0,
			"llama-server -hf o/m-GGUF:Q8_0 --split-mode-x y -c 32 --port 9 "
			"--split-mode row --alias q --rpc 10.0.0.2:50052");
	free_plan(plan);
}
END_TEST

static const struct {
	const char *defaults, *key, *value, *want;
} sizes[] = {
	{ "max_model_len: 64", "x", "1", "--ctx-size 64 " },
	{ "max_model_len: 64, ctx_size: 8", "x", "1", "--ctx-size 8 " },
	{ "max_model_len: 64, ctx_size: 8", "max_model_len", "32", "--ctx-size 32 " },
	{ "max_model_len: 64", "ctx_size", "16", "--ctx-size 16 " },
};

START_TEST(an_override_of_the_length_counts_first)
{
	const struct sb_override over = { sizes[_i].key, sizes[_i].value, "-o" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text, "model: o/m\nruntime: llama-cpp\ndefaults: {%s}\n",
			sizes[_i].defaults);
	plan = compile(sb_strbuf_str(&text), 1, &over, 1, &err);
	ck_assert_msg(plan != NULL, "%s", err.text);
	ck_assert_ptr_nonnull(strstr(plan->serve_command, sizes[_i].want));
	free_plan(plan);
}
END_TEST

START_TEST(it_is_asked_at_its_own_port)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile("model: o/m\nruntime: llama-cpp\n", 1, NULL, 0, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	ck_assert_uint_eq(plan->port, 8080);
	ck_assert_uint_eq(plan->readiness->port, 8080);
	ck_assert_uint_eq(plan->ranks[0]->ports[0], 8080);
	free_plan(plan);
}
END_TEST

static const char *const refused[] = {
	"data_parallel: 2",
	"tensor_parallel: 2, pipeline_parallel: 2",
};

START_TEST(what_llama_cpp_cannot_is_refused)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	sb_strbuf_addf(&text, "model: o/m\nruntime: llama-cpp\ndefaults: {%s}\n", refused[_i]);
	ck_assert_ptr_null(compile(sb_strbuf_str(&text), 3, NULL, 0, &err));
	ck_assert_int_eq(err.code, SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "does not support"));
}
END_TEST

START_TEST(the_key_is_not_on_the_command_line)
{
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan =
			compile("model: o/m\nruntime: llama-cpp\ndefaults: {api_key: sekret}\n", 1,
					NULL, 0, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	check_argv(plan, 0, "llama-server -hf o/m --split-mode layer");
	ck_assert_str_eq(plan->readiness->api_key, "sekret");
	ck_assert_str_eq(plan->ranks[0]->env[1]->name, "LLAMA_API_KEY");
	ck_assert(plan->ranks[0]->env[1]->secret);
	free_plan(plan);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("runtime_llamacpp");
	TCase *tc = tcase_create("llamacpp");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, one_node_is_the_published_example);
	tcase_add_loop_test(tc, the_head_s_node_may_have_the_file, 0, sb_countof(models));
	tcase_add_test(tc, workers_listen_before_the_head_dials);
	tcase_add_test(tc, the_head_runs_what_is_shown);
	tcase_add_loop_test(tc, an_override_of_the_length_counts_first, 0, sb_countof(sizes));
	tcase_add_loop_test(tc, what_llama_cpp_cannot_is_refused, 0, sb_countof(refused));
	tcase_add_test(tc, it_is_asked_at_its_own_port);
	tcase_add_test(tc, the_key_is_not_on_the_command_line);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
