#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_plan.h"

#define BASE "model: org/m\ncontainer: img:1\n"

static const struct sb_plan_node nodes[] = {
	{ "spark1", "10.0.0.11", "192.168.0.11", 47101 },
	{ "spark2", "10.0.0.12", "192.168.0.12", 47102 },
	{ "spark3", "10.0.0.13", "192.168.0.13", 47101 },
	{ "spark4", "10.0.0.14", "192.168.0.14", 47101 },
	{ "spark5", "10.0.0.15", "192.168.0.15", 47101 },
};

struct fixture {
	struct sb_diags diags;
	struct sb_workload *w;
	Sparkbus__LaunchPlan *plan;
	struct sb_err err;
	int rc;
};

static void done(struct fixture *f)
{
	if (f->plan)
		sparkbus__launch_plan__free_unpacked(f->plan, NULL);
	sb_workload_free(f->w);
	sb_diags_done(&f->diags);
}

static struct sb_plan_input input_of(size_t n)
{
	return (struct sb_plan_input){ .nodes = nodes,
		.n_nodes = n,
		.operator_name = "ann",
		.tool_version = "1.2",
		.now_unix_ms = 77 };
}

static struct fixture compile(const char *text, const struct sb_plan_input *input)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct fixture f = { 0 };

	f.rc = sb_recipe_parse("r.yaml", text, strlen(text), NULL, &f.diags, &recipe, &f.err);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	f.rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &f.diags, &f.w, &f.err);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	f.rc = sb_plan_compile(f.w, input, &f.diags, &f.plan, &f.err);
	ck_assert(f.rc == 0 ? f.plan != NULL : f.plan == NULL);
	return f;
}

static struct fixture plan(const char *text, size_t n)
{
	struct sb_plan_input input = input_of(n);
	struct fixture f = compile(text, &input);

	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	return f;
}

static bool said(const struct fixture *f, enum sb_diag_level level, const char *text)
{
	for (size_t i = 0; i < f->diags.n; i++)
		if (f->diags.items[i].level == level && !strcmp(f->diags.items[i].text, text))
			return true;
	return false;
}

static const char *env_of(const Sparkbus__RankSpec *rank, const char *name, bool *ret_secret)
{
	for (size_t i = 0; i < rank->n_env; i++)
		if (!strcmp(rank->env[i]->name, name)) {
			if (ret_secret)
				*ret_secret = rank->env[i]->secret;
			return rank->env[i]->value;
		}
	return NULL;
}

/* --- job ids: the published ones, digits for digits --- */

static const struct {
	const char *runtime, *model, *defaults;
	const char *hosts[3];
	const char *id;
} ids[] = {
	{ "vllm-distributed", "Qwen/Qwen3-1.7B", "port: 8000, tensor_parallel: 2",
			{ "10.0.0.11", "10.0.0.12" }, "a9e83a7f0bc9" },
	{ "vllm-distributed", "Qwen/Qwen3-1.7B", "port: 8000, tensor_parallel: 2",
			{ "10.0.0.12", "10.0.0.11" }, "a9e83a7f0bc9" },
	{ "vllm-distributed", "Qwen/Qwen3-1.7B", "port: 8000, tensor_parallel: 2", { "10.0.0.11" },
			"6ea79ca6f08a" },
	{ "vllm-ray", "Qwen/Qwen3-1.7B", "port: 8000, served_model_name: q3, tensor_parallel: 2",
			{ "10.0.0.11", "10.0.0.12" }, "06b284faeb96" },
	{ "sglang", "org/m", "port: 8000", { "10.0.0.1" }, "4a2a0b3726b8" },
	{ "sglang", "org/m", "port: 8000, tensor_parallel: 1, pipeline_parallel: null",
			{ "10.0.0.1" }, "4a2a0b3726b8" },
	{ "vllm-distributed", "Qwen/Qwen3-1.7B", "port: 8000, served_model_name: qwen3-1.7b",
			{ "10.0.0.11" }, "db8bc4defdc9" },
	{ "vllm-distributed", "Qwen/Qwen3-1.7B",
			"port: 8000, served_model_name: qwen3-1.7b, tensor_parallel: 2",
			{ "10.0.0.11", "10.0.0.12" }, "d3d9bb4ada9d" },
};

START_TEST(job_ids_are_the_published_ones)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	struct sb_plan_node hosts[3] = { 0 };
	char text[256], id[32], want[32];
	size_t n = 0;

	snprintf(text, sizeof(text), "model: %s\nruntime: %s\ndefaults: {%s}\n", ids[_i].model,
			ids[_i].runtime, ids[_i].defaults);
	for (; n < 3 && ids[_i].hosts[n]; n++)
		hosts[n].host = ids[_i].hosts[n];
	ck_assert_int_eq(sb_recipe_parse("r", text, strlen(text), NULL, NULL, &recipe, NULL), 0);
	ck_assert_int_eq(sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, NULL), 0);
	ck_assert_int_eq(sb_plan_job_id(w, hosts, n, id, NULL), 0);
	snprintf(want, sizeof(want), "sparkbus_%s", ids[_i].id);
	ck_assert_str_eq(id, want);
}
END_TEST

/* --- node rules --- */

static const struct {
	const char *yaml;
	size_t given;
	bool solo;
	size_t used; /* 0: an error */
	enum sb_diag_level level;
	const char *said;
} rules[] = {
	{ "defaults: {tensor_parallel: 2}", 2, false, 2, 0, NULL },
	{ "defaults: {tensor_parallel: 2}", 3, false, 2, SB_DIAG_NOTE,
			"2 nodes required, using 2 of 3 hosts" },
	{ "defaults: {tensor_parallel: 1}", 4, false, 1, SB_DIAG_NOTE,
			"1 nodes required, using 1 of 4 hosts" },
	{ "defaults: {tensor_parallel: 4}", 2, false, 0, 0,
			"runtime requires 4 nodes, but only 2 hosts provided" },
	{ "defaults: {tensor_parallel: 2}", 1, false, 0, 0,
			"runtime requires 2 nodes, but only 1 hosts provided" },
	{ "defaults: {tensor_parallel: 2}", 3, true, 1, SB_DIAG_NOTE,
			"solo mode enabled, using 1 of 3 hosts" },
	{ "defaults: {tensor_parallel: 2}", 1, true, 1, SB_DIAG_WARNING,
			"the parallelism settings ask for 2 nodes, but solo mode uses one; --tp 1 "
			"fits "
			"it" },
	{ "max_nodes: 1", 3, false, 1, SB_DIAG_NOTE, "recipe max_nodes=1, using 1 of 3 hosts" },
	{ "max_nodes: 2\ndefaults: {tensor_parallel: 3}", 3, false, 0, 0,
			"r.yaml:3:12: runtime requires 3 nodes (from parallelism settings), but "
			"recipe 'r' specifies max_nodes=2" },
	{ "mode: solo", 3, false, 1, SB_DIAG_NOTE, "recipe max_nodes=1, using 1 of 3 hosts" },
	{ "mode: cluster", 1, false, 1, SB_DIAG_WARNING,
			"Recipe requires cluster mode but only one host specified" },
	{ "min_nodes: 2", 1, false, 0, 0,
			"r.yaml:3:12: recipe 'r' needs at least 2 nodes (min_nodes), but only 1 "
			"hosts "
			"provided" },
	{ "min_nodes: 2", 1, true, 1, SB_DIAG_WARNING,
			"recipe asks for at least 2 nodes, using 1" },
	{ "mode: auto", 3, false, 1, SB_DIAG_NOTE,
			"no parallelism is set, using 1 of 3 hosts; --tp 3 uses all" },
	{ "mode: auto", 1, false, 1, 0, NULL },
	{ "mode: auto", 0, false, 0, 0, "No hosts specified. Use --hosts or configure defaults." },
};

START_TEST(nodes_are_trimmed_by_the_rules)
{
	struct sb_plan_input input = input_of(rules[_i].given);
	struct fixture f;
	char text[160];

	input.solo = rules[_i].solo;
	snprintf(text, sizeof(text), BASE "%s\n", rules[_i].yaml);
	f = compile(text, &input);
	if (!rules[_i].used) {
		ck_assert_int_lt(f.rc, 0);
		ck_assert_str_eq(f.err.text, rules[_i].said);
	} else {
		ck_assert_msg(f.rc == 0, "%s", f.err.text);
		ck_assert_uint_eq(f.plan->n_ranks, rules[_i].used);
		ck_assert(!rules[_i].said || said(&f, rules[_i].level, rules[_i].said));
	}
	done(&f);
}
END_TEST

/* --- the plan --- */

START_TEST(a_cluster_plan_is_complete)
{
	struct fixture f = plan(BASE "model_revision: abc\nenv: {FOO: 'a b', HF_HOME: /nope}\n"
				     "defaults: {port: 8001, tensor_parallel: 2, host: 0.0.0.0}\n",
			2);
	const Sparkbus__LaunchPlan *p = f.plan;
	const Sparkbus__RankSpec *head = p->ranks[0], *other = p->ranks[1];
	static const char *const argv[] = { "vllm", "serve", "org/m", "-tp", "2", "--port", "8001",
		"--host", "0.0.0.0", "--nnodes", "2", "--node-rank", "1", "--master-addr",
		"192.168.0.11", "--master-port", "25000", "--headless" };

	ck_assert_uint_eq(strlen(p->job), strlen("sparkbus_") + 12);
	ck_assert_str_eq(p->recipe, "r");
	ck_assert_str_eq(p->model, "org/m");
	ck_assert_str_eq(p->model_revision, "abc");
	ck_assert_str_eq(p->runtime, "vllm-distributed");
	ck_assert_str_eq(p->image, "img:1");
	ck_assert_str_eq(p->served_model_name, "org/m");
	ck_assert_uint_eq(p->port, 8001);
	ck_assert_uint_eq(p->tensor_parallel, 2);
	ck_assert_uint_eq(p->pipeline_parallel, 1);
	ck_assert_uint_eq(p->data_parallel, 1);
	ck_assert_uint_gt(p->stop_grace_s, 0);
	ck_assert_str_eq(p->operator_, "ann");
	ck_assert_str_eq(p->tool_version, "1.2");
	ck_assert_uint_eq(p->created_unix_ms, 77);
	ck_assert_str_eq(p->serve_command, "vllm serve org/m -tp 2 --port 8001 --host 0.0.0.0");
	ck_assert_uint_eq(p->n_warnings, 0);

	ck_assert_uint_eq(head->rank, 0);
	ck_assert_str_eq(other->node, "spark2");
	ck_assert_str_eq(other->address, "192.168.0.12");
	ck_assert_uint_eq(other->peer_port, 47102);
	ck_assert_str_eq(other->image, "img:1");
	ck_assert_str_eq(strrchr(other->container_name, '_'), "_1");
	ck_assert_ptr_nonnull(strstr(other->container_name, "_node_1"));
	ck_assert_uint_eq(other->n_argv, sb_countof(argv));
	for (size_t i = 0; i < sb_countof(argv); i++)
		ck_assert_str_eq(other->argv[i], argv[i]);
	ck_assert_ptr_nonnull(strstr(other->serve_text, "--node-rank 1"));
	ck_assert_uint_eq(head->n_ports, 2);
	ck_assert_uint_eq(other->n_ports, 0);
	ck_assert_uint_eq(head->stage, 0);
	ck_assert_uint_eq(head->gate_port, 25000);
	ck_assert_uint_eq(other->stage, 1);
	ck_assert_str_eq(env_of(head, "HF_HOME", NULL), "/cache/huggingface");
	ck_assert_str_eq(env_of(head, "FOO", NULL), "a b");
	ck_assert_str_eq(env_of(head, "HF_HUB_OFFLINE", NULL), "1");
	ck_assert_str_eq(env_of(head, "NCCL_CUMEM_ENABLE", NULL), "0");
	ck_assert_str_eq(head->mounts[0]->source, "{hf_cache}");
	ck_assert_str_eq(head->mounts[0]->target, "/cache/huggingface");
	ck_assert(!head->mounts[0]->read_only);
	ck_assert(!head->options->init);
	ck_assert(head->options->devices[0]->optional);
	ck_assert_int_eq(head->options->has_entrypoint_case,
			SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT__NOT_SET);
	done(&f);
}
END_TEST

START_TEST(a_plan_survives_the_wire)
{
	struct fixture f =
			plan(BASE "defaults: {tensor_parallel: 2}\nexecutor_config: {entrypoint: "
				  "''}\n",
					2);
	size_t len = sparkbus__launch_plan__get_packed_size(f.plan);
	SB_CLEANUP(sb_freep) uint8_t *bytes = malloc(len);
	Sparkbus__LaunchPlan *back;

	ck_assert_uint_eq(sparkbus__launch_plan__pack(f.plan, bytes), len);
	back = sparkbus__launch_plan__unpack(NULL, len, bytes);
	ck_assert_ptr_nonnull(back);
	ck_assert_str_eq(back->job, f.plan->job);
	ck_assert_uint_eq(back->n_ranks, 2);
	ck_assert_int_eq(back->ranks[1]->options->has_entrypoint_case,
			SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT);
	ck_assert_str_eq(back->ranks[1]->options->entrypoint, "");
	sparkbus__launch_plan__free_unpacked(back, NULL);
	done(&f);
}
END_TEST

START_TEST(the_same_input_gives_the_same_plan)
{
	static const char text[] =
			BASE "defaults: {tensor_parallel: 2, api_key: k}\nenv: {B: 1, A: 2}\n";
	struct fixture a = plan(text, 2), b = plan(text, 2);
	size_t len = sparkbus__launch_plan__get_packed_size(a.plan);
	SB_CLEANUP(sb_freep) uint8_t *x = malloc(len);
	SB_CLEANUP(sb_freep) uint8_t *y = malloc(len);

	ck_assert_uint_eq(sparkbus__launch_plan__get_packed_size(b.plan), len);
	sparkbus__launch_plan__pack(a.plan, x);
	sparkbus__launch_plan__pack(b.plan, y);
	ck_assert_mem_eq(x, y, len);
	done(&a);
	done(&b);
}
END_TEST

START_TEST(readiness_asks_the_head)
{
	struct fixture f = plan(BASE "defaults: {port: 9000, served_model_name: n}\n", 1);
	const Sparkbus__Readiness *r = f.plan->readiness;

	ck_assert_str_eq(r->host, "127.0.0.1");
	ck_assert_uint_eq(r->port, 9000);
	ck_assert_str_eq(r->model, "n");
	ck_assert_int_eq(r->probe, SPARKBUS__PROBE__PROBE_GENERATE);
	ck_assert_uint_eq(r->timeout_ms, 3600000);
	ck_assert_uint_gt(r->interval_ms, 0);
	ck_assert_ptr_nonnull(strstr(f.plan->ranks[0]->container_name, "_solo"));
	ck_assert_ptr_null(env_of(f.plan->ranks[0], "OMP_NUM_THREADS", NULL));
	done(&f);
}
END_TEST

START_TEST(inputs_reach_the_plan)
{
	struct sb_plan_input input = input_of(2);
	struct fixture f;

	input.job = "my-job_1";
	input.keep = true;
	input.init_port = 26000;
	input.ready_timeout_ms = 5000;
	f = compile("model: m\ndefaults: {tensor_parallel: 2}\n", &input);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	ck_assert_str_eq(f.plan->job, "my-job_1");
	ck_assert_str_eq(f.plan->ranks[0]->container_name, "my-job_1_node_0");
	ck_assert(!f.plan->ranks[0]->options->auto_remove);
	ck_assert_uint_eq(f.plan->ranks[0]->gate_port, 26000);
	ck_assert_uint_eq(f.plan->readiness->timeout_ms, 5000);
	ck_assert_str_eq(f.plan->image, "ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest");
	done(&f);
	for (const char **bad = (const char *[]){ "", "../x", "a b", "-x", "a/b", "A", "a.b",
			     NULL };
			*bad; bad++) {
		input.job = *bad;
		f = compile(BASE, &input);
		ck_assert_int_eq(f.rc, -SB_E_INVALID);
		done(&f);
	}
}
END_TEST

START_TEST(no_secret_is_shown)
{
	struct fixture f =
			plan(BASE "defaults: {api_key: sekret}\nenv: {HF_TOKEN: tok, X: y}\n", 1);
	const Sparkbus__RankSpec *rank = f.plan->ranks[0];
	bool secret = false;

	ck_assert_str_eq(f.plan->readiness->api_key, "sekret");
	ck_assert_str_eq(env_of(rank, "VLLM_API_KEY", &secret), "sekret");
	ck_assert(secret);
	env_of(rank, "HF_TOKEN", &secret);
	ck_assert(secret);
	env_of(rank, "X", &secret);
	ck_assert(!secret);
	for (size_t i = 0; i < rank->n_argv; i++)
		ck_assert_ptr_null(strstr(rank->argv[i], "sekret"));
	done(&f);

	f = plan(BASE "defaults: {api_key: sekret}\ncommand: vllm serve m --api-key {api_key} -x\n",
			1);
	rank = f.plan->ranks[0];
	ck_assert_str_eq(rank->argv[4], "sekret"); /* the author's own words run as they are */
	ck_assert_str_eq(rank->serve_text, "vllm serve m --api-key *** -x");
	ck_assert_str_eq(f.plan->serve_command, rank->serve_text);
	ck_assert_ptr_null(env_of(rank, "VLLM_API_KEY", NULL));
	done(&f);
}
END_TEST

START_TEST(shell_text_runs_under_a_shell)
{
	struct fixture f = plan(BASE "command: 'cd /x && vllm serve {model} {nope}'\n", 1);
	const Sparkbus__RankSpec *rank = f.plan->ranks[0];

	ck_assert_str_eq(rank->argv[0], "bash");
	ck_assert_str_eq(rank->argv[rank->n_argv - 1], "cd /x && vllm serve org/m {nope}");
	ck_assert(rank->options->init);
	ck_assert_uint_eq(f.plan->n_warnings, 1);
	ck_assert_ptr_nonnull(strstr(f.plan->warnings[0], "{nope}"));
	done(&f);
}
END_TEST

static const struct {
	const char *yaml, *place, *say;
	enum sb_code code;
} refused[] = {
	{ "runtime: foo", "r.yaml:3:10: ", "Unknown runtime: 'foo'", SB_E_INVALID },
	{ "command: \"vllm 'x\"", "r.yaml:3:10: ", "unclosed '", SB_E_INVALID },
	{ "command: '# nothing'", "r.yaml:3:10: ", "expected a program", SB_E_INVALID },
	{ "defaults: {tensor_parallel: 0}", "r.yaml:3:29: ", "tensor_parallel: expected",
			SB_E_INVALID },
	{ "defaults: {port: 70000}", "r.yaml:3:18: ", "port: expected", SB_E_INVALID },
	{ "defaults: {a: '{a}'}\ncommand: vllm {a}", "r.yaml:3:15: ", "circle", SB_E_INVALID },
};

START_TEST(what_cannot_run_is_refused_at_its_place)
{
	struct sb_plan_input input = input_of(1);
	struct fixture f;
	char text[200];

	snprintf(text, sizeof(text), BASE "%s\n", refused[_i].yaml);
	f = compile(text, &input);
	ck_assert_int_eq(f.rc, -(int)refused[_i].code);
	ck_assert_msg(!strncmp(f.err.text, refused[_i].place, strlen(refused[_i].place)) &&
					strstr(f.err.text, refused[_i].say),
			"%s", f.err.text);
	done(&f);
}
END_TEST

START_TEST(rays_ports_reach_the_plan)
{
	struct sb_plan_input input = input_of(2);
	struct fixture f;
	bool asked = false;

	input.ray_port = 6379;
	input.dashboard_port = 8266;
	f = compile("model: m\nruntime: vllm-ray\ndefaults: {tensor_parallel: 2}\n", &input);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	ck_assert_uint_eq(f.plan->ranks[0]->gate_port, 6379);
	for (size_t i = 0; i < f.plan->ranks[0]->n_ports; i++)
		asked |= f.plan->ranks[0]->ports[i] == 8266;
	ck_assert(asked);
	ck_assert_ptr_nonnull(strstr(f.plan->ranks[1]->serve_text, ":6379 "));
	done(&f);
}
END_TEST

START_TEST(what_comes_before_the_serve_command_is_in_argv_alone)
{
	struct fixture f = plan("model: m\nruntime: vllm-ray\ncontainer: docker.io/x/y:1\n"
				"defaults: {tensor_parallel: 2}\ncommand: vllm serve m \"$A\"\n",
			2);
	const Sparkbus__RankSpec *head = f.plan->ranks[0], *worker = f.plan->ranks[1];
	size_t at = 0;

	ck_assert_str_eq(
			head->serve_text, "vllm serve m \"$A\" --distributed-executor-backend ray");
	ck_assert_str_eq(f.plan->serve_command, head->serve_text);
	while (at < head->n_argv && strcmp(head->argv[at], "--") != 0)
		at++;
	ck_assert_uint_gt(at, 0);
	ck_assert_uint_lt(at + 1, head->n_argv);
	ck_assert_str_eq(head->argv[at + 1], "bash"); /* the text needs a shell */
	ck_assert_str_eq(head->argv[head->n_argv - 1], head->serve_text);
	ck_assert(head->options->init && worker->options->init);
	ck_assert_str_eq(worker->argv[0], "ray");
	ck_assert_ptr_nonnull(strstr(head->container_name, "_head"));
	ck_assert_ptr_nonnull(strstr(worker->container_name, "_worker"));
	done(&f);
}
END_TEST

START_TEST(the_sentinel_image_needs_no_builder)
{
	struct fixture f = plan("model: m\ncontainer: "
				"ghcr.io/spark-arena/dgx-vllm-eugr-nightly:latest\n",
			1);

	ck_assert_str_eq(f.plan->image, "ghcr.io/spark-arena/dgx-vllm-eugr-nightly:latest");
	ck_assert(said(&f, SB_DIAG_NOTE,
			"builder 'eugr' is not needed: the published image is used as it is"));
	done(&f);
}
END_TEST

START_TEST(what_is_not_fetched_is_said)
{
	struct fixture f = plan(BASE "distribution_config: {models: {}}\n", 1);

	ck_assert_uint_eq(f.plan->n_warnings, 1);
	done(&f);
}
END_TEST

/* Each launches as it is written, and hardly as it is meant. */
static const struct {
	const char *text;
	size_t nodes;
	const char *want; /* NULL = nothing is said */
	unsigned line;
} traps[] = {
	{ "command: >-\n  vllm serve m\n  --port 1\n    --max-num-seqs 4\n  -tp 2\n", 1,
			"--max-num-seqs begins a line", 6 },
	{ "command: |\n  vllm serve m \\\n    # why\n    --port 1\n", 1, "--port begins a line",
			6 },
	{ "command: >-\n  vllm serve m\n  --port 1\n", 1, NULL, 0 },
	{ "defaults: {x: {a: 1}}\ncommand: vllm serve m --x '{x}'\n", 1, "x is a map", 3 },
	{ "defaults: {served_model_name: [a, b]}\n", 1, "served_model_name is a list", 3 },
	{ "defaults: {x: {a: 1}}\ncommand: vllm serve m\n", 1, NULL, 0 },
	{ "defaults: {tensor_parallel: 2}\ncommand: bash -c 'vllm serve m'\n", 2,
			"does not reach the engine", 0 },
	{ "command: bash -c 'vllm serve m'\n", 1, NULL, 0 },
};

START_TEST(likely_slips_are_remarked)
{
	char text[512];
	struct fixture f;
	bool found = false, any = false;

	snprintf(text, sizeof(text), "%s%s", BASE, traps[_i].text);
	f = plan(text, traps[_i].nodes);
	for (size_t i = 0; i < f.diags.n; i++) {
		const struct sb_diag *d = &f.diags.items[i];

		any = any || strstr(d->text, "begins a line") || strstr(d->text, "Python prints") ||
				strstr(d->text, "does not reach");
		found = found ||
				(traps[_i].want && strstr(d->text, traps[_i].want) &&
						d->line == traps[_i].line &&
						d->level == SB_DIAG_WARNING);
	}
	ck_assert_msg(traps[_i].want ? found : !any, "%s", text);
	done(&f);
}
END_TEST

/* Nodes look for drafts as they do for the model. A path lies in the container already. */
START_TEST(drafts_are_in_the_plan)
{
	static const struct {
		const char *runtime, *defaults, *draft;
	} cases[] = {
		{ "vllm", "speculative_config: '{\"model\": \"o/d\"}'", "o/d" },
		{ "vllm-ray",
				"speculative_config: '{\"a\": {\"model\": \"x/y\"}, \"model\": "
				"\"o/d\"}'",
				"o/d" },
		{ "vllm", "speculative_config: '{\"model\": \"/opt/draft\"}'", NULL },
		{ "vllm", "speculative_config: '{\"method\": \"mtp\"}'", NULL },
		{ "vllm", "speculative_config: '{\"model\": 7}'", NULL },
		{ "vllm", "speculative_config: '{\"model\": \"o/d'", NULL },
		{ "vllm", "speculative_draft_model: o/d", NULL },
		{ "sglang", "speculative_draft_model: o/d", "o/d" },
		{ "sglang", "{speculative_draft_model: o/d, speculative_draft_model_path: o/d}",
				"o/d" },
		{ "atlas", "draft_model: o/d", "o/d" },
		{ "atlas", "draft_model: o/m", NULL }, /* the model itself */
	};

	for (size_t i = 0; i < sb_countof(cases); i++) {
		const char *defaults = cases[i].defaults;
		char text[256];
		struct fixture f;

		snprintf(text, sizeof(text),
				"model: o/m\ncontainer: i:1\nruntime: %s\ndefaults: %s%s%s\n",
				cases[i].runtime, *defaults == '{' ? "" : "{", defaults,
				*defaults == '{' ? "" : "}");
		f = plan(text, 1);
		ck_assert_msg(f.rc == 0, "%s: %s", text, f.err.text);
		ck_assert_msg(f.plan->n_draft_models == (cases[i].draft ? 1 : 0), "%s", text);
		if (cases[i].draft)
			ck_assert_str_eq(f.plan->draft_models[0], cases[i].draft);
		done(&f);
	}
}
END_TEST

START_TEST(nodes_must_be_sound)
{
	struct sb_plan_node two[] = { nodes[0], nodes[0] };
	struct sb_plan_input input = input_of(2);
	struct fixture f;

	input.nodes = two;
	f = compile(BASE, &input);
	ck_assert_int_eq(f.rc, -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(f.err.text, "given twice"));
	done(&f);
	two[1] = (struct sb_plan_node){ .name = "x", .host = "x" };
	f = compile(BASE, &input);
	ck_assert_int_eq(f.rc, -SB_E_INVALID);
	done(&f);
	input.n_nodes = 257;
	f = compile(BASE, &input);
	ck_assert_int_eq(f.rc, -SB_E_RANGE);
	done(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan");
	TCase *tc = tcase_create("plan");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, job_ids_are_the_published_ones, 0, sb_countof(ids));
	tcase_add_loop_test(tc, nodes_are_trimmed_by_the_rules, 0, sb_countof(rules));
	tcase_add_test(tc, a_cluster_plan_is_complete);
	tcase_add_test(tc, a_plan_survives_the_wire);
	tcase_add_test(tc, the_same_input_gives_the_same_plan);
	tcase_add_test(tc, readiness_asks_the_head);
	tcase_add_test(tc, inputs_reach_the_plan);
	tcase_add_test(tc, no_secret_is_shown);
	tcase_add_test(tc, shell_text_runs_under_a_shell);
	tcase_add_loop_test(tc, what_cannot_run_is_refused_at_its_place, 0, sb_countof(refused));
	tcase_add_test(tc, rays_ports_reach_the_plan);
	tcase_add_test(tc, what_comes_before_the_serve_command_is_in_argv_alone);
	tcase_add_test(tc, the_sentinel_image_needs_no_builder);
	tcase_add_loop_test(tc, likely_slips_are_remarked, 0, sb_countof(traps));
	tcase_add_test(tc, what_is_not_fetched_is_said);
	tcase_add_test(tc, drafts_are_in_the_plan);
	tcase_add_test(tc, nodes_must_be_sound);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
