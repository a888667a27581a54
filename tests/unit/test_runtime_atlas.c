/* test_runtime_atlas.c - plans of Atlas: the published example, its container, its key. */
#include <check.h>
#include <string.h>

#include "sb_plan.h"

#define E9                                                                                         \
	"model: org/Model-NVFP4\nruntime: atlas\n"                                                 \
	"defaults: {port: 8888, host: 0.0.0.0, tensor_parallel: 2, ep_size: 2, "                   \
	"max_model_len: 8192, served_model_name: m, auth_token: sekret, speculative: true}\n"
#define E9_REST                                                                                    \
	" --host 0.0.0.0 --tp-size 2 --max-seq-len 8192 --model-name m --ep-size 2 --speculative " \
	"--auth-token sekret"
#define ATLAS "model: o/m\nruntime: atlas\n"

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
	Sparkbus__LaunchPlan *plan = must(E9, 2);

	ck_assert_uint_eq(plan->n_ranks, 2);
	check_argv(plan, 0,
			"spark serve org/Model-NVFP4 --port 8888" E9_REST
			" --rank 0 --world-size 2 --master-addr 10.0.0.1 --master-port 25000");
	check_argv(plan, 1,
			"spark serve org/Model-NVFP4 --port 0" E9_REST
			" --rank 1 --world-size 2 --master-addr 10.0.0.1 --master-port 25000");
	ck_assert_str_eq(plan->served_model_name, "m");
	ck_assert_uint_eq(plan->port, 8888);
	free_plan(plan);
}
END_TEST

START_TEST(the_bootstrap_is_open_before_others_dial)
{
	Sparkbus__LaunchPlan *plan = must(E9, 2);
	const Sparkbus__RankSpec *head = plan->ranks[0], *other = plan->ranks[1];

	ck_assert_uint_eq(head->gate_port, 25000);
	ck_assert_uint_gt(head->gate_timeout_ms, 0);
	ck_assert_uint_lt(head->stage, other->stage);
	ck_assert_uint_eq(head->n_ports, 2);
	ck_assert_uint_eq(other->n_ports, 0);
	ck_assert_uint_eq(other->gate_port, 0);
	free_plan(plan);
}
END_TEST

/* A template has one text for all ranks, its port included. */
START_TEST(a_template_listens_on_every_rank)
{
	Sparkbus__LaunchPlan *plan =
			must(ATLAS "defaults: {port: 9, served_model_name: z}\n"
				   "command: spark serve {model} --ep-size 2 --port {port}\n",
					3);

	ck_assert_uint_eq(plan->n_ranks, 2);
	check_argv(plan, 1,
			"spark serve o/m --ep-size 2 --port 9 --model-name z --rank 1 "
			"--world-size 2 --master-addr 10.0.0.1 --master-port 25000");
	ck_assert_uint_eq(plan->ranks[1]->n_ports, 1);
	ck_assert_uint_eq(plan->ranks[1]->ports[0], 9);
	free_plan(plan);
}
END_TEST

static const char *env_of(const Sparkbus__RankSpec *rank, const char *name)
{
	for (size_t i = 0; i < rank->n_env; i++)
		if (!strcmp(rank->env[i]->name, name))
			return rank->env[i]->value;
	return NULL;
}

START_TEST(several_nodes_get_its_environment)
{
	Sparkbus__LaunchPlan *plan = must(E9, 2);

	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(env_of(plan->ranks[i], "NCCL_IB_GID_INDEX"), "");
		ck_assert_str_eq(env_of(plan->ranks[i], "NCCL_CROSS_NIC"), "");
		ck_assert_str_eq(env_of(plan->ranks[i], "NCCL_PROTO"), "Simple");
	}
	free_plan(plan);
	plan = must(ATLAS, 1);
	ck_assert_ptr_null(env_of(plan->ranks[0], "NCCL_IB_GID_INDEX"));
	ck_assert_str_eq(env_of(plan->ranks[0], "HF_HUB_OFFLINE"), "1");
	free_plan(plan);
}
END_TEST

/* --- nodes --- */

static const struct {
	const char *text;
	unsigned ranks; /* 0: refused, three nodes are too few */
} sizes[] = {
	{ "defaults: {port: 1}", 1 },
	{ "defaults: {tensor_parallel: 1, ep_size: 1}", 1 },
	{ "defaults: {tensor_parallel: 2}", 2 },
	{ "defaults: {ep_size: 3}", 3 },
	{ "defaults: {tensor_parallel: 2, ep_size: 2}", 2 },
	{ "defaults: {tensor_parallel: 2, ep_size: 4}", 0 },
	{ "defaults: {tensor_parallel: 2, ep_size: many}", 2 },
	{ "defaults: {pipeline_parallel: 2, data_parallel: 2}", 1 },
	{ "command: spark serve --tp-size 3 --ep-size=3", 3 },
	{ "command: spark serve --tp-size 4096 --ep-size 4095", 0 },
	{ "command: spark serve --tp-size -1 --ep-size x", 1 },
};

START_TEST(nodes_are_what_the_sizes_make)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text, ATLAS "%s\n", sizes[_i].text);
	plan = compile(sb_strbuf_str(&text), 3, &err);
	ck_assert_uint_eq(plan ? plan->n_ranks : 0, sizes[_i].ranks);
	if (!plan) {
		ck_assert_ptr_nonnull(strstr(err.text, "nodes, but only 3 hosts"));
		return;
	}
	free_plan(plan);
}
END_TEST

/* --- the container --- */

static size_t count(char *const *items, size_t n, const char *item)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += !strcmp(items[i], item);
	return found;
}

static const char *const rights[] = { "", "executor_config: {cap_add: [], security_opt: []}\n",
	"executor_config: {cap_add: [SYS_NICE], security_opt: 'seccomp=unconfined'}\n" };

START_TEST(its_rights_are_there_once)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const Sparkbus__ContainerOptions *o;
	Sparkbus__LaunchPlan *plan;

	sb_strbuf_addf(&text, ATLAS "%s", rights[_i]);
	plan = must(sb_strbuf_str(&text), 1);
	o = plan->ranks[0]->options;
	ck_assert_uint_eq(count(o->cap_add, o->n_cap_add, "IPC_LOCK"), 1);
	ck_assert_uint_eq(count(o->cap_add, o->n_cap_add, "SYS_NICE"), 1);
	ck_assert_uint_eq(o->n_cap_add, 2);
	ck_assert_uint_eq(count(o->security_opt, o->n_security_opt, "seccomp=unconfined"), 1);
	ck_assert_uint_eq(count(o->security_opt, o->n_security_opt, "no-new-privileges"),
			*rights[_i] ? 0 : 1);
	ck_assert(!o->privileged && o->init);
	free_plan(plan);
}
END_TEST

static const struct {
	const char *text, *entrypoint; /* NULL = the image's */
} entrypoints[] = {
	{ ATLAS, "" },
	{ ATLAS "executor_config: {entrypoint: null}\n", NULL },
	{ ATLAS "executor_config: {entrypoint: /bin/sh}\n", "/bin/sh" },
	{ ATLAS "executor_config: {entrypoint: ''}\n", "" },
	{ "model: o/m\nruntime: vllm\n", NULL },
};

START_TEST(its_entrypoint_is_cleared_unless_the_recipe_says)
{
	Sparkbus__LaunchPlan *plan = must(entrypoints[_i].text, 1);
	const Sparkbus__ContainerOptions *o = plan->ranks[0]->options;
	bool set = o->has_entrypoint_case == SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT;

	ck_assert_int_eq(set, entrypoints[_i].entrypoint != NULL);
	if (set)
		ck_assert_str_eq(o->entrypoint, entrypoints[_i].entrypoint);
	free_plan(plan);
}
END_TEST

START_TEST(other_runtimes_get_none_of_its_rights)
{
	Sparkbus__LaunchPlan *plan = must("model: o/m\nruntime: vllm\n", 1);

	ck_assert_uint_eq(plan->ranks[0]->options->n_cap_add, 0);
	ck_assert_uint_eq(plan->ranks[0]->options->n_security_opt, 1);
	free_plan(plan);
}
END_TEST

/* --- the key --- */

static const struct {
	const char *text;
	bool has_key, open; /* open: a key that nobody is asked for */
} keys[] = {
	{ ATLAS, false, false },
	{ ATLAS "defaults: {auth_token: sekret}\n", true, true },
	{ ATLAS "defaults: {api_key: sekret}\n", true, true },
	{ ATLAS "defaults: {api_key: sekret, auth_token: other}\n", true, true },
	{ ATLAS "defaults: {api_key: '', auth_token: sekret}\n", true, true },
	{ ATLAS "defaults: {auth_token: sekret, require_auth: true}\n", true, false },
	{ ATLAS "defaults: {require_auth: true}\n", false, false },
	{ ATLAS "command: spark serve {model} --auth-token=sekret\n", true, true },
	{ ATLAS "command: spark serve {model} --require-auth --auth-token 'sekret'\n", true,
			false },
};

START_TEST(the_key_is_used_and_hidden)
{
	Sparkbus__LaunchPlan *plan = must(keys[_i].text, 1);

	ck_assert_str_eq(plan->readiness->api_key, keys[_i].has_key ? "sekret" : "");
	ck_assert_ptr_null(strstr(plan->serve_command, "sekret"));
	ck_assert_ptr_null(strstr(plan->ranks[0]->serve_text, "sekret"));
	ck_assert_int_eq(warns(plan, "without --require-auth"), keys[_i].open);
	ck_assert_int_eq(warns(plan, "on the command line"), keys[_i].has_key);
	for (size_t i = 0; i < plan->n_warnings; i++)
		ck_assert_ptr_null(strstr(plan->warnings[i], "sekret"));
	free_plan(plan);
}
END_TEST

START_TEST(it_listens_where_it_is_told)
{
	Sparkbus__LaunchPlan *plan = must(ATLAS, 1);

	ck_assert_uint_eq(plan->port, 8888);
	ck_assert(warns(plan, "no --host"));
	free_plan(plan);
	plan = must(ATLAS "command: spark serve {model} --bind 10.0.0.1\n", 1);
	ck_assert_str_eq(plan->readiness->host, "10.0.0.1");
	ck_assert(!warns(plan, "no --host"));
	free_plan(plan);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("runtime_atlas");
	TCase *tc = tcase_create("atlas");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, two_nodes_are_the_published_example);
	tcase_add_test(tc, the_bootstrap_is_open_before_others_dial);
	tcase_add_test(tc, a_template_listens_on_every_rank);
	tcase_add_test(tc, several_nodes_get_its_environment);
	tcase_add_loop_test(tc, nodes_are_what_the_sizes_make, 0, sb_countof(sizes));
	tcase_add_loop_test(tc, its_rights_are_there_once, 0, sb_countof(rights));
	tcase_add_loop_test(tc, its_entrypoint_is_cleared_unless_the_recipe_says, 0,
			sb_countof(entrypoints));
	tcase_add_test(tc, other_runtimes_get_none_of_its_rights);
	tcase_add_loop_test(tc, the_key_is_used_and_hidden, 0, sb_countof(keys));
	tcase_add_test(tc, it_listens_where_it_is_told);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
