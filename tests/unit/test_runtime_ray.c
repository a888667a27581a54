/* vLLM over Ray: what each rank runs, and the head's script, run for real with a ray of our own. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sb_runtime.h"
#include "testdir.h"

static const char *const addresses[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" };

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

static const struct sb_runtime *ray(void)
{
	const struct sb_runtime *runtime = NULL;

	ck_assert_int_eq(sb_runtime_find("vllm-ray", &runtime, NULL), 0);
	return runtime;
}

/* --- the command --- */

#define EVERY_KEY                                                                                  \
	"{port: 8000, tensor_parallel: 2, pipeline_parallel: 2, enforce_eager: true, "             \
	"enable_prefix_caching: false, trust_remote_code: '1', quantization: fp8, "                \
	"kv_cache_dtype: fp8, max_num_seqs: 8, dtype: auto, host: 0.0.0.0, "                       \
	"gpu_memory_utilization: 0.85, max_model_len: 4096, max_num_batched_tokens: 8192, "        \
	"served_model_name: m, otlp_traces_endpoint: 'http://x', api_key: k, data_parallel: 1}"

/* The published examples, but for the API key, which goes by the environment. */
static const struct {
	const char *recipe;
	size_t n;
	const char *want;
} commands[] = {
	{ "model: org/m\ndefaults: " EVERY_KEY "\n", 4,
			"vllm serve org/m -tp 2 --distributed-executor-backend ray --port 8000 "
			"--host 0.0.0.0 --gpu-memory-utilization 0.85 --max-model-len 4096 "
			"--max-num-batched-tokens 8192 --max-num-seqs 8 --served-model-name m "
			"--dtype auto --quantization fp8 --enforce-eager --trust-remote-code -pp 2 "
			"--data-parallel-size 1 --kv-cache-dtype fp8 --otlp-traces-endpoint "
			"http://x" },
	{ "model: m\ndefaults: {port: 8000, tensor_parallel: 2, distributed_executor_backend: ray, "
	  "served_model_name: q3}\n",
			1,
			"vllm serve m -tp 2 --port 8000 --served-model-name q3 "
			"--distributed-executor-backend ray" },
	{ "model: m\ndefaults: {tensor_parallel: 2, distributed_executor_backend: mp}\n", 2,
			"vllm serve m -tp 2 --distributed-executor-backend ray" },
	{ "model: m\ndefaults: {served_model_name: n}\ncommand: \"vllm serve m \\\\\\n\"\n", 2,
			"vllm serve m --distributed-executor-backend ray --served-model-name n" },
	{ "model: m\ncommand: vllm serve m --distributed-executor-backend=ray -tp 2\n", 2,
			"vllm serve m --distributed-executor-backend=ray -tp 2" },
	{ "model: m\ncommand: vllm serve m -tp 2\n", 1, "vllm serve m -tp 2" },
};

START_TEST(several_nodes_serve_by_ray)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_workload *w = load(commands[_i].recipe);
	struct sb_launch launch = { w, addresses, commands[_i].n, 25000 };

	ck_assert_int_eq(ray()->serve(&launch, &out, NULL, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&out), commands[_i].want);
	sb_workload_free(w);
}
END_TEST

START_TEST(data_parallelism_names_the_other_runtime)
{
	struct sb_workload *w =
			load("model: m\ndefaults: {tensor_parallel: 2,\n  data_parallel: 2}\n");
	struct sb_err err = SB_ERR_INIT;
	unsigned required = 99;

	ck_assert_int_eq(ray()->required(w, &required, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text,
			"r.yaml:3:18: [vllm-ray] data_parallel > 1 is not yet supported with the "
			"Ray backend");
	ck_assert_ptr_nonnull(strstr(err.hint, "vllm-distributed"));
	ck_assert_uint_eq(required, 99);
	sb_workload_free(w);
}
END_TEST

START_TEST(required_nodes_are_those_of_vllm)
{
	struct sb_workload *w = load("model: m\ndefaults: {tensor_parallel: 2, "
				     "pipeline_parallel: 2, data_parallel: 1}\n");
	unsigned required = 0;

	ck_assert_int_eq(ray()->required(w, &required, NULL), 0);
	ck_assert_uint_eq(required, 4);
	sb_workload_free(w);
}
END_TEST

/* --- eugr-vllm --- */

static const struct {
	const char *recipe;
	const char *warning, *note; /* NULL = none */
} eugrs[] = {
	{ "model: m\nruntime: eugr-vllm\ncommand: vllm serve m\n", NULL, "image vllm-node is not" },
	{ "model: m\nruntime: eugr-vllm\n",
			"[eugr-vllm] command template is recommended for eugr "
			"recipes",
			"image vllm-node is not" },
	{ "model: m\nruntime: eugr-vllm\ncommand: vllm serve m\ncontainer: ' vllm-node-tf5'\n",
			NULL, "image vllm-node-tf5 is not" },
	{ "model: m\nruntime: eugr-vllm\ncommand: vllm serve m\ncontainer: ghcr.io/a/b:latest\n",
			NULL, NULL },
};

static const char *remark_of(const struct sb_diags *diags, enum sb_diag_level level)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->items[i].level == level)
			return diags->items[i].text;
	return NULL;
}

START_TEST(eugr_tells_what_its_recipes_lack)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_diags diags = SB_DIAGS_INIT;
	struct sb_workload *w = load(eugrs[_i].recipe);
	struct sb_launch launch = { w, addresses, 2, 25000 };
	const struct sb_runtime *eugr = NULL;
	const char *warning, *note;

	ck_assert_int_eq(sb_runtime_find("eugr-vllm", &eugr, NULL), 0);
	ck_assert_int_eq(eugr->serve(&launch, &out, &diags, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&out), "vllm serve m --distributed-executor-backend ray");
	warning = remark_of(&diags, SB_DIAG_WARNING);
	note = remark_of(&diags, SB_DIAG_NOTE);
	ck_assert_pstr_eq(warning, eugrs[_i].warning);
	ck_assert_int_eq(note != NULL, eugrs[_i].note != NULL);
	if (note)
		ck_assert_ptr_nonnull(strstr(note, eugrs[_i].note));
	sb_diags_done(&diags);
	sb_workload_free(w);
}
END_TEST

/* --- ranks --- */

static void rank_of(const char *serve, size_t n, unsigned rank, struct sb_rank_part *part)
{
	struct sb_workload *w = load("model: m\n");
	struct sb_launch launch = { w, addresses, n, 25000 };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	const struct sb_strbuf base = sb_strbuf_view(serve);
	enum sb_shell_kind kind;

	ck_assert_int_eq(sb_shell_split(serve, &words, &kind, NULL), 0);
	ck_assert_int_eq(ray()->rank(&launch, rank, &base, &words, part, NULL), 0);
	sb_workload_free(w);
}

START_TEST(the_head_starts_ray_and_then_serves)
{
	static const char *const want[] = { "bash", "--noprofile", "--norc", "-c", NULL, "sparkbus",
		"3", "300", "ray", "start", "--head", "--port", "46379", "--node-ip-address",
		"10.0.0.1", "--disable-usage-stats", "--" };
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };

	rank_of("v --port 8001", 3, 0, &part);
	ck_assert_str_eq(sb_strbuf_str(&part.serve), "v --port 8001");
	ck_assert_uint_eq(part.before.n, sb_countof(want));
	for (size_t i = 0; i < sb_countof(want); i++)
		if (want[i])
			ck_assert_str_eq(part.before.items[i], want[i]);
	ck_assert(part.init);
	ck_assert_uint_eq(part.stage, 0);
	ck_assert_uint_eq(part.gate_port, 46379);
	ck_assert_uint_gt(part.gate_timeout_ms, 0);
	ck_assert_uint_eq(part.n_ports, 2);
	ck_assert_uint_eq(part.ports[0] + part.ports[1], 46379 + 8001);
}
END_TEST

/* The published example, but for the host: there the dashboard is open on every interface. */
START_TEST(the_dashboard_is_at_the_heads_address)
{
	static const char *const want[] = { "--node-ip-address", "10.0.0.1",
		"--include-dashboard=True", "--dashboard-host", "10.0.0.1", "--dashboard-port",
		"8265", "--disable-usage-stats", "--" };
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	struct sb_workload *w = load("model: m\n");
	struct sb_launch launch = { w, addresses, 2, 25000, .dashboard_port = 8265 };
	const struct sb_strbuf base = sb_strbuf_view("v");

	ck_assert_int_eq(ray()->rank(&launch, 0, &base, &words, &part, NULL), 0);
	ck_assert_uint_gt(part.before.n, sb_countof(want));
	for (size_t i = 0; i < sb_countof(want); i++)
		ck_assert_str_eq(part.before.items[part.before.n - sb_countof(want) + i], want[i]);
	ck_assert_uint_eq(part.n_ports, 3);
	sb_workload_free(w);
}
END_TEST

START_TEST(the_others_join_at_their_own_address)
{
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };

	rank_of("v --port 8001", 3, 2, &part);
	ck_assert_str_eq(sb_strbuf_str(&part.serve),
			"ray start --block --address=10.0.0.1:46379 --node-ip-address 10.0.0.3");
	ck_assert_uint_eq(part.before.n, 0);
	ck_assert(part.init);
	ck_assert_uint_eq(part.stage, 1);
	ck_assert_uint_eq(part.gate_port, 0);
	ck_assert_uint_eq(part.n_ports, 0);
}
END_TEST

START_TEST(one_node_needs_no_cluster)
{
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };

	rank_of("v --port 8001", 1, 0, &part);
	ck_assert_str_eq(sb_strbuf_str(&part.serve), "v --port 8001");
	ck_assert_uint_eq(part.before.n, 0);
	ck_assert(!part.init);
	ck_assert_uint_eq(part.n_ports, 1);
	ck_assert_uint_eq(part.gate_port, 0);
}
END_TEST

/* --- the script, for two nodes; in a folder that has bin/ray, and what was written --- */

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static const char *read_file(const char *name)
{
	static char text[8192];
	FILE *file = fopen(name, "r");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[n] = '\0';
	if (file)
		fclose(file);
	return text;
}

/* A ray that does @start and @status. */
static void make_ray(const char *start, const char *status)
{
	char text[2048];

	ck_assert_int_eq(chdir(testdir), 0);
	ck_assert_int_eq(mkdir("bin", 0700), 0);
	snprintf(text, sizeof(text),
			"#!/bin/bash\n"
			"echo \"$*\" >>calls\n"
			"if [ \"$1\" = start ]; then\n%s\n"
			"elif [ \"$1\" = status ]; then\n%s\n"
			"fi\n",
			start, status);
	write_file("bin/ray", text, 0700);
}

/* Start the head; it has @limit_s to see the others. */
static pid_t begin(const char *limit_s)
{
	static const char *const serve[] = { "bash", "-c",
		"echo \"$$ $# $2 ${VLLM_CONFIG_ROOT##*/}\" >served; exit 5", "serve", "a", "b  c" };
	SB_CLEANUP(sb_rank_part_done) struct sb_rank_part part = { 0 };
	pid_t pid;

	rank_of("v", 2, 0, &part);
	free(part.before.items[7]);
	part.before.items[7] = strdup(limit_s);
	for (size_t i = 0; i < sb_countof(serve); i++)
		ck_assert_int_eq(sb_words_add(&part.before, serve[i]), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		char path[4096], config[4096];

		snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", testdir);
		snprintf(config, sizeof(config), "%s/config", testdir);
		setenv("PATH", path, 1);
		setenv("VLLM_CONFIG_ROOT", config, 1);
		if (!freopen("errors", "w", stderr))
			_exit(125);
		execvp(part.before.items[0], part.before.items);
		_exit(126);
	}
	return pid;
}

static int finish(pid_t pid)
{
	int status = 0;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

#define BOTH "echo 'Active:'; echo ' 1 node_aa'; echo ' 1 node_bb'; echo 'Pending:'"

START_TEST(with_every_node_there_it_becomes_the_server)
{
	char want[64];
	pid_t pid;

	make_ray("exit 0", BOTH);
	pid = begin("300");
	ck_assert_int_eq(finish(pid), 5);
	snprintf(want, sizeof(want), "%d 2 b  c config\n", pid);
	ck_assert_str_eq(read_file("served"), want);
	ck_assert_str_eq(read_file("calls"),
			"start --head --port 46379 --node-ip-address 10.0.0.1 "
			"--disable-usage-stats\nstatus\n");
	ck_assert_str_eq(read_file("errors"), "");
	ck_assert_ptr_nonnull(strstr(
			read_file("config/ray_non_carry_over_env_vars.json"), "\"NCCL_IB_HCA\""));
}
END_TEST

START_TEST(it_waits_for_a_node_that_joins_late)
{
	make_ray("exit 0",
			"echo 'Active:'; echo ' 1 node_aa'\n"
			"[ $(grep -c status calls) -lt 2 ] || echo ' 1 node_bb'");
	ck_assert_int_eq(finish(begin("300")), 5);
	ck_assert_str_eq(strstr(read_file("calls"), "status"), "status\nstatus\n");
}
END_TEST

/* What ray says of two nodes, and how many of them are in. */
static const struct {
	const char *status;
	int there;
} statuses[] = {
	{ "======== Autoscaler status: 2025-01-01 ========\nNode status\n-----\nActive:\n"
	  " 1 node_aa\n 1 node_bb\nPending:\n (no pending nodes)\nRecent failures:\n"
	  " (no failures)\n\nResources\n-----\nUsage:\n 0.0/2.0 GPU\n\nDemands:\n"
	  " (no resource demands)\n",
			2 },
	{ "Active:\n (no active nodes)\nIdle:\n 1 node_aa\n 1 node_bb\nPending:\n", 2 },
	{ "Active:\n 1 node_aa\nIdle:\n 1 node_bb\nPending:\n", 2 },
	{ "Healthy:\n 1 node_aa\n 1 node_bb\nPending:\n", 2 },
	{ "Active:\n 1 node_aa\nPending:\n 1 node_bb, launching\nRecent failures:\n", 1 },
	{ "Active:\n 1 node_aa\nRecent failures:\n 1 node_bb: NodeTerminated (ip: 10.0.0.2)\n", 1 },
	{ "Active:\n 1 node_aa\nUsage:\n 2.0/2.0 node_cc\n", 1 },
	{ "Active:\n (no active nodes)\nPending:\n", 0 },
	{ "Ray runtime started.\n", 0 },
	{ "", 0 },
};

START_TEST(only_nodes_that_are_in_count)
{
	char want[64];
	int rc;

	make_ray("exit 0", "cat status");
	write_file("status", statuses[_i].status, 0600);
	rc = finish(begin("0"));
	if (statuses[_i].there == 2) {
		ck_assert_int_eq(rc, 5);
		return;
	}
	ck_assert_int_eq(rc, 1);
	ck_assert_int_ne(access("served", F_OK), 0);
	snprintf(want, sizeof(want), "sparkbus: %d of 2 Ray nodes are there after 0 s;",
			statuses[_i].there);
	ck_assert_ptr_nonnull(strstr(read_file("errors"), want));
}
END_TEST

START_TEST(a_ray_that_does_not_start_ends_it)
{
	make_ray("echo 'no port' >&2; exit 7", BOTH);
	ck_assert_int_eq(finish(begin("300")), 7);
	ck_assert_str_eq(read_file("errors"), "no port\n");
	ck_assert_str_eq(strstr(read_file("calls"), "status") ? "asked" : "", "");
	ck_assert_int_ne(access("served", F_OK), 0);
}
END_TEST

/* A stop comes while it waits: between two looks, and during one that hangs. */
static const char *const looks[] = { "echo >asked", "echo >asked; exec sleep 15" };

START_TEST(it_can_be_stopped_while_it_waits)
{
	pid_t pid;

	make_ray("exit 0", looks[_i]);
	ck_assert_int_eq(mkfifo("asked", 0600), 0);
	pid = begin("300");
	read_file("asked"); /* until ray was asked */
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(finish(pid), 143);
	ck_assert_int_ne(access("served", F_OK), 0);
}
END_TEST

START_TEST(a_list_that_is_there_is_kept)
{
	make_ray("exit 0", BOTH);
	ck_assert_int_eq(mkdir("config", 0700), 0);
	write_file("config/ray_non_carry_over_env_vars.json", "[]", 0600);
	ck_assert_int_eq(finish(begin("300")), 5);
	ck_assert_str_eq(read_file("config/ray_non_carry_over_env_vars.json"), "[]");
}
END_TEST

START_TEST(a_list_that_cannot_be_written_is_told)
{
	make_ray("exit 0", BOTH);
	write_file("config", "not a folder", 0600);
	ck_assert_int_eq(finish(begin("300")), 5);
	ck_assert_ptr_nonnull(strstr(read_file("errors"), "ray_non_carry_over_env_vars.json: not"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("runtime_ray");
	TCase *tc = tcase_create("plan"), *script = tcase_create("script");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, several_nodes_serve_by_ray, 0, sb_countof(commands));
	tcase_add_test(tc, data_parallelism_names_the_other_runtime);
	tcase_add_test(tc, required_nodes_are_those_of_vllm);
	tcase_add_loop_test(tc, eugr_tells_what_its_recipes_lack, 0, sb_countof(eugrs));
	tcase_add_test(tc, the_head_starts_ray_and_then_serves);
	tcase_add_test(tc, the_dashboard_is_at_the_heads_address);
	tcase_add_test(tc, the_others_join_at_their_own_address);
	tcase_add_test(tc, one_node_needs_no_cluster);
	suite_add_tcase(s, tc);
	testdir_use(script);
	tcase_add_test(script, with_every_node_there_it_becomes_the_server);
	tcase_add_test(script, it_waits_for_a_node_that_joins_late);
	tcase_add_loop_test(script, only_nodes_that_are_in_count, 0, sb_countof(statuses));
	tcase_add_test(script, a_ray_that_does_not_start_ends_it);
	tcase_add_loop_test(script, it_can_be_stopped_while_it_waits, 0, sb_countof(looks));
	tcase_add_test(script, a_list_that_is_there_is_kept);
	tcase_add_test(script, a_list_that_cannot_be_written_is_told);
	suite_add_tcase(s, script);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
