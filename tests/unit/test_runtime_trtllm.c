/* test_runtime_trtllm.c - plans of TensorRT-LLM: the published example, MPI without SSH, and the
 * file of extra settings. */
#include <check.h>
#include <string.h>

#include "sb_plan.h"

#define BASE   "model: org/m\nruntime: trtllm\ncontainer: i:1\n"
#define CONFIG "/tmp/extra-llm-api-config.yml"
#define E8                                                                                         \
	"model: nvidia/Qwen3-8B-NVFP4\nruntime: trtllm\n"                                          \
	"defaults: {port: 8000, host: 0.0.0.0, tensor_parallel: 2, max_model_len: 8192, "          \
	"max_batch_size: 4, free_gpu_memory_fraction: 0.8, kv_cache_dtype: fp8, "                  \
	"cuda_graph_padding: true, moe_backend: CUTLASS, trust_remote_code: true}\n"
#define E8_SERVE                                                                                   \
	"trtllm-serve nvidia/Qwen3-8B-NVFP4 --backend pytorch --port 8000 --host 0.0.0.0 "         \
	"--tp_size 2 --max_batch_size 4 --max_seq_len 8192 --trust_remote_code "                   \
	"--extra_llm_api_options " CONFIG
#define E8_FILE                                                                                    \
	"cuda_graph_config:\n  enable_padding: true\nkv_cache_config:\n  dtype: fp8\n  "           \
	"free_gpu_memory_fraction: 0.8\nmoe_config:\n  backend: CUTLASS\n"
#define SECRET "0123456789abcdef0123456789abcdef"

static const struct sb_plan_node nodes[] = {
	{ "a", "10.0.0.1", "10.0.0.1", 47101 },
	{ "b", "10.0.0.2", "10.0.0.2", 47101 },
	{ "c", "10.0.0.3", "10.0.0.3", 47101 },
};
static const struct sb_plan_node v6_nodes[] = {
	{ "a", "fd00::1", "fd00::1", 47101 },
	{ "b", "fd00::2", "fd00::2", 47101 },
};

static Sparkbus__LaunchPlan *compile(const char *text, const struct sb_plan_input *input,
		const struct sb_override *over, size_t n_over, struct sb_err *err)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	Sparkbus__LaunchPlan *plan = NULL;

	ck_assert_int_eq(
			sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, err), 0);
	ck_assert_int_eq(
			sb_workload_resolve(recipe, over, n_over, NULL, NULL, 0, NULL, &w, err), 0);
	sb_plan_compile(w, input, NULL, &plan, err);
	return plan;
}

static struct sb_plan_input input_of(size_t n)
{
	return (struct sb_plan_input){
		.nodes = nodes, .n_nodes = n, .now_unix_ms = 1, .secret = SECRET
	};
}

static Sparkbus__LaunchPlan *must(const char *text, size_t n)
{
	struct sb_plan_input input = input_of(n);
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(text, &input, NULL, 0, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	return plan;
}

static void refused(const char *text, size_t n, const char *say)
{
	struct sb_plan_input input = input_of(n);
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(!compile(text, &input, NULL, 0, &err), "%s", text);
	ck_assert_msg(strstr(err.text, say) != NULL, "%s", err.text);
}

static void free_plan(Sparkbus__LaunchPlan *plan)
{
	sparkbus__launch_plan__free_unpacked(plan, NULL);
}

/* The words of @rank are those of @want, parted by blanks. */
static void check_argv(const Sparkbus__LaunchPlan *plan, size_t rank, const char *want)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf got = SB_STRBUF_INIT;

	for (size_t i = 0; i < plan->ranks[rank]->n_argv; i++)
		sb_strbuf_addf(&got, "%s%s", i ? " " : "", plan->ranks[rank]->argv[i]);
	ck_assert_str_eq(sb_strbuf_str(&got), want);
}

static const Sparkbus__File *find_file(const Sparkbus__RankSpec *rank, const char *path)
{
	for (size_t i = 0; i < rank->n_files; i++)
		if (!strcmp(rank->files[i]->path, path))
			return rank->files[i];
	return NULL;
}

static void check_file(const Sparkbus__RankSpec *rank, const char *path, const char *want)
{
	const Sparkbus__File *file = find_file(rank, path);

	ck_assert_msg(file != NULL, "no %s", path);
	ck_assert_uint_eq(file->content.len, strlen(want));
	if (*want)
		ck_assert_mem_eq(file->content.data, want, strlen(want));
}

static const char *env_of(const Sparkbus__RankSpec *rank, const char *name)
{
	for (size_t i = 0; i < rank->n_env; i++)
		if (!strcmp(rank->env[i]->name, name))
			return rank->env[i]->value;
	return "(unset)";
}

/* --- one node --- */

START_TEST(one_node_is_the_published_example)
{
	struct sb_plan_input input = input_of(1);
	struct sb_err err = SB_ERR_INIT;
	const struct sb_override over[] = { { "tensor_parallel", "1", "--tp" } };
	Sparkbus__LaunchPlan *plan = compile(E8, &input, over, 1, &err);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf want = SB_STRBUF_INIT;
	const char *at = strstr(E8_SERVE, "--tp_size 2");

	ck_assert_msg(plan != NULL, "%s", err.text);
	sb_strbuf_add(&want, E8_SERVE, (size_t)(at - E8_SERVE));
	sb_strbuf_addf(&want, "--tp_size 1%s", at + strlen("--tp_size 2"));
	check_argv(plan, 0, sb_strbuf_str(&want));
	check_file(plan->ranks[0], CONFIG, E8_FILE);
	ck_assert_uint_eq(plan->ranks[0]->n_files, 1);
	ck_assert_str_eq(plan->image, "nvcr.io/nvidia/tensorrt-llm/release:latest");
	ck_assert_str_eq(env_of(plan->ranks[0], "OMPI_ALLOW_RUN_AS_ROOT"), "(unset)");
	ck_assert_str_eq(env_of(plan->ranks[0], "HF_HUB_OFFLINE"), "1");
	ck_assert_uint_eq(plan->ranks[0]->ports[0], 8000);
	free_plan(plan);
}
END_TEST

static const struct {
	const char *text, *want;
} commands[] = {
	{ BASE, "trtllm-serve org/m --backend pytorch --host 0.0.0.0" },
	{ BASE "defaults: {backend: tensorrt, port: 9}\n",
			"trtllm-serve org/m --port 9 --backend tensorrt --host 0.0.0.0" },
	{ BASE "defaults: {backend: ''}\n", "trtllm-serve org/m --backend pytorch --host 0.0.0.0" },
	{ BASE "defaults: {host: 127.0.0.1}\n",
			"trtllm-serve org/m --backend pytorch --host 127.0.0.1" },
	{ BASE "defaults: {trust_remote_code: false}\n",
			"trtllm-serve org/m --backend pytorch --host 0.0.0.0" },
	{ BASE "command: trtllm-serve {model} --host 10.0.0.1\n",
			"trtllm-serve org/m --host 10.0.0.1" },
	{ BASE "defaults: {moe_backend: x}\n"
	       "command: trtllm-serve {model} --host h --extra_llm_api_options /own.yml\n",
			"trtllm-serve org/m --host h --extra_llm_api_options /own.yml" },
	{ BASE "defaults: {served_model_name: x}\ncommand: trtllm-serve {model} --host h\n",
			"trtllm-serve org/m --host h" },
	{ BASE "command: mpirun -n 1 trtllm-llmapi-launch trtllm-serve {model} --host h\n",
			"mpirun -n 1 trtllm-llmapi-launch trtllm-serve org/m --host h" },
};

START_TEST(commands_are_the_published_and_listen_everywhere)
{
	Sparkbus__LaunchPlan *plan = must(commands[_i].text, 1);

	check_argv(plan, 0, commands[_i].want);
	free_plan(plan);
}
END_TEST

/* --- several nodes --- */

START_TEST(workers_wait_for_the_head_s_command)
{
	Sparkbus__LaunchPlan *plan = must(E8, 3);
	const Sparkbus__RankSpec *head = plan->ranks[0], *worker = plan->ranks[1];

	ck_assert_uint_eq(plan->n_ranks, 2);
	ck_assert_uint_eq(head->n_argv > 5, 1);
	ck_assert_str_eq(head->argv[4], "plm_rsh_agent");
	ck_assert_str_eq(head->argv[5], "/.sparkbus/mpi/start run 25000");
	check_argv(plan, 0,
			"mpirun --allow-run-as-root --leave-session-attached --mca plm_rsh_agent "
			"/.sparkbus/mpi/start run 25000 --mca plm_rsh_no_tree_spawn 1 --mca "
			"rmaps_ppr_n_pernode 1 -H 10.0.0.1,10.0.0.2 /.sparkbus/mpi/start own "
			"trtllm-llmapi-launch " E8_SERVE);
	check_argv(plan, 1, "python3 /.sparkbus/mpi/start wait 10.0.0.2 25000");
	ck_assert_uint_eq(worker->stage, 0);
	ck_assert_uint_eq(worker->gate_port, 25000);
	ck_assert_uint_eq(worker->ports[0], 25000);
	ck_assert_uint_eq(head->stage, 1);
	ck_assert_uint_eq(head->gate_port, 0);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(plan->ranks[i]->options->init);
		check_file(plan->ranks[i], CONFIG, E8_FILE);
		ck_assert_str_eq(env_of(plan->ranks[i], "OMPI_ALLOW_RUN_AS_ROOT"), "1");
	}
	free_plan(plan);
}
END_TEST

START_TEST(the_secret_is_in_a_private_file_and_nowhere_else)
{
	Sparkbus__LaunchPlan *plan = must(E8, 2);
	uint8_t wire[1 << 16];
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		const Sparkbus__File *file = find_file(plan->ranks[i], "/.sparkbus/mpi/secret");

		check_file(plan->ranks[i], "/.sparkbus/mpi/secret", SECRET);
		ck_assert_uint_eq(file->mode, 0600);
		ck_assert(file->secret);
		ck_assert_uint_eq(find_file(plan->ranks[i], "/.sparkbus/mpi/start")->mode, 0755);
	}
	ck_assert_uint_lt(sparkbus__launch_plan__get_packed_size(plan), sizeof(wire));
	n = sparkbus__launch_plan__pack(plan, wire);
	for (size_t i = 0, hits = 0; i + sizeof(SECRET) - 1 <= n; i++) {
		hits += !memcmp(wire + i, SECRET, sizeof(SECRET) - 1);
		ck_assert_uint_le(hits, 2);
	}
	free_plan(plan);
}
END_TEST

START_TEST(a_plan_to_be_looked_at_has_no_secret)
{
	struct sb_plan_input input = input_of(2);
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan;

	input.secret = NULL;
	plan = compile(E8, &input, NULL, 0, &err);
	ck_assert_msg(plan != NULL, "%s", err.text);
	check_file(plan->ranks[1], "/.sparkbus/mpi/secret", "");
	free_plan(plan);
}
END_TEST

START_TEST(the_init_port_is_the_waiters)
{
	struct sb_plan_input input = input_of(2);
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan;

	input.init_port = 4711;
	plan = compile(E8, &input, NULL, 0, &err);
	ck_assert_msg(plan != NULL, "%s", err.text);
	check_argv(plan, 1, "python3 /.sparkbus/mpi/start wait 10.0.0.2 4711");
	ck_assert_str_eq(plan->ranks[0]->argv[5], "/.sparkbus/mpi/start run 4711");
	free_plan(plan);
}
END_TEST

static const struct {
	const char *command, *want;
} templates[] = {
	{ "trtllm-serve m --host h", "trtllm-llmapi-launch trtllm-serve m --host h" },
	{ "trtllm-llmapi-launch trtllm-serve m --host h",
			"trtllm-llmapi-launch trtllm-serve m --host h" },
	{ "mpirun -n 2 -H x,y trtllm-llmapi-launch trtllm-serve m --host h",
			"trtllm-llmapi-launch trtllm-serve m --host h" },
	{ "mpirun -n 2 trtllm-serve m --host h", "trtllm-llmapi-launch trtllm-serve m --host h" },
	{ "A=1 trtllm-serve m --host h", "trtllm-llmapi-launch env A=1 trtllm-serve m --host h" },
};

START_TEST(a_template_is_launched_by_one_mpirun)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, got = SB_STRBUF_INIT;
	Sparkbus__LaunchPlan *plan;
	size_t i = 0;

	sb_strbuf_addf(&text, BASE "defaults: {tensor_parallel: 2}\ncommand: %s\n",
			templates[_i].command);
	plan = must(sb_strbuf_str(&text), 2);
	ck_assert_str_eq(plan->ranks[0]->argv[0], "mpirun");
	while (strcmp(plan->ranks[0]->argv[i], "10.0.0.1,10.0.0.2") != 0)
		i++;
	ck_assert_str_eq(plan->ranks[0]->argv[i + 2], "own");
	for (i += 3; i < plan->ranks[0]->n_argv; i++)
		sb_strbuf_addf(&got, "%s%s", got.len ? " " : "", plan->ranks[0]->argv[i]);
	ck_assert_str_eq(sb_strbuf_str(&got), templates[_i].want);
	free_plan(plan);
}
END_TEST

START_TEST(a_template_that_needs_a_shell_has_one_below_mpirun)
{
	Sparkbus__LaunchPlan *plan = must(BASE "defaults: {tensor_parallel: 2}\n"
					       "command: cd /x && trtllm-serve m --host h\n",
			2);
	const Sparkbus__RankSpec *head = plan->ranks[0];

	ck_assert_str_eq(head->argv[0], "mpirun");
	for (size_t i = 1; i < head->n_argv; i++)
		if (!strcmp(head->argv[i], "trtllm-llmapi-launch"))
			ck_assert_str_eq(head->argv[i + 1], "bash");
	free_plan(plan);
}
END_TEST

START_TEST(nodes_are_those_of_the_sizes)
{
	Sparkbus__LaunchPlan *plan = must(BASE, 3);

	ck_assert_uint_eq(plan->n_ranks, 1);
	free_plan(plan);
	plan = must(BASE "command: trtllm-serve m --tp_size 3\n", 3);
	ck_assert_uint_eq(plan->n_ranks, 3);
	free_plan(plan);
	plan = must(BASE "defaults: {tensor_parallel: 1, pipeline_parallel: 2}\n", 3);
	ck_assert_uint_eq(plan->n_ranks, 2);
	free_plan(plan);
}
END_TEST

/* --- the file --- */

static const struct {
	const char *set, *want;
} configs[] = {
	{ "print_iter_log: true", "print_iter_log: true\n" },
	{ "print_iter_log: 0, kv_cache_enable_block_reuse: no",
			"kv_cache_config:\n  enable_block_reuse: false\nprint_iter_log: false\n" },
	{ "cuda_graph_max_batch_size: '16', cuda_graph_padding: off",
			"cuda_graph_config:\n  enable_padding: false\n  max_batch_size: 16\n" },
	{ "free_gpu_memory_fraction: 1", "kv_cache_config:\n  free_gpu_memory_fraction: 1.0\n" },
	{ "moe_backend: 'on'", "moe_config:\n  backend: \"on\"\n" },
	{ "moe_backend: 'a: b # c'", "moe_config:\n  backend: \"a: b # c\"\n" },
};

START_TEST(extra_settings_keep_their_types)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text, BASE "defaults: {%s}\n", configs[_i].set);
	plan = must(sb_strbuf_str(&text), 1);
	check_file(plan->ranks[0], CONFIG, configs[_i].want);
	free_plan(plan);
}
END_TEST

START_TEST(a_setting_of_the_launch_alone_is_in_the_file)
{
	const struct sb_override over[] = { { "kv_cache_dtype", "fp8", "-o" } };
	struct sb_plan_input input = input_of(1);
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan = compile(BASE, &input, over, 1, &err);

	ck_assert_msg(plan != NULL, "%s", err.text);
	check_file(plan->ranks[0], CONFIG, "kv_cache_config:\n  dtype: fp8\n");
	check_argv(plan, 0,
			"trtllm-serve org/m --backend pytorch --host 0.0.0.0 "
			"--extra_llm_api_options " CONFIG);
	free_plan(plan);
}
END_TEST

START_TEST(what_cannot_be_is_refused_with_its_place)
{
	struct sb_plan_input input = { .nodes = v6_nodes, .n_nodes = 2, .now_unix_ms = 1 };
	struct sb_err err = SB_ERR_INIT;

	refused(BASE "defaults: {free_gpu_memory_fraction: many}\n", 1,
			"r.yaml:4:38: free_gpu_memory_fraction: expected a number, got 'many'");
	refused(BASE "defaults: {cuda_graph_max_batch_size: x}\n", 1, "cuda_graph_max_batch_size");
	refused(BASE "defaults: {data_parallel: 2}\n", 2, "data_parallel is 2");
	ck_assert_ptr_null(compile(E8, &input, NULL, 0, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "fd00::1: Open MPI takes IPv4 addresses only"));
}
END_TEST

START_TEST(readiness_asks_for_the_name_that_is_served)
{
	Sparkbus__LaunchPlan *plan = must(BASE "command: trtllm-serve /models/m --port 9\n", 1);

	ck_assert_str_eq(plan->readiness->model, "org/m");
	ck_assert_str_eq(plan->readiness->host, "127.0.0.1");
	ck_assert_uint_eq(plan->readiness->port, 9);
	free_plan(plan);
	plan = must("model: /models/m\nruntime: trtllm\ncontainer: i\n", 1);
	ck_assert_str_eq(plan->readiness->model, "m");
	free_plan(plan);
	plan = must(BASE "command: trtllm-serve {model} --served_model_name x\n", 1);
	ck_assert_str_eq(plan->readiness->model, "x");
	free_plan(plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime trtllm");
	TCase *tc = tcase_create("plans");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, one_node_is_the_published_example);
	tcase_add_loop_test(tc, commands_are_the_published_and_listen_everywhere, 0,
			sb_countof(commands));
	tcase_add_test(tc, workers_wait_for_the_head_s_command);
	tcase_add_test(tc, the_secret_is_in_a_private_file_and_nowhere_else);
	tcase_add_test(tc, a_plan_to_be_looked_at_has_no_secret);
	tcase_add_test(tc, the_init_port_is_the_waiters);
	tcase_add_loop_test(tc, a_template_is_launched_by_one_mpirun, 0, sb_countof(templates));
	tcase_add_test(tc, a_template_that_needs_a_shell_has_one_below_mpirun);
	tcase_add_test(tc, nodes_are_those_of_the_sizes);
	tcase_add_loop_test(tc, extra_settings_keep_their_types, 0, sb_countof(configs));
	tcase_add_test(tc, a_setting_of_the_launch_alone_is_in_the_file);
	tcase_add_test(tc, what_cannot_be_is_refused_with_its_place);
	tcase_add_test(tc, readiness_asks_for_the_name_that_is_served);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
