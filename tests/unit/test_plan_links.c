/* What the links between the nodes put into a plan. */
#include "fabric_world.h"
#include "sb_plan.h"

struct fixture {
	struct world *w;
	struct sb_diags diags;
	struct sb_workload *workload;
	Sparkbus__LaunchPlan *plan;
	bool warned;
};

static void fixture_done(struct fixture *f)
{
	sparkbus__launch_plan__free_unpacked(f->plan, NULL);
	sb_workload_free(f->workload);
	sb_diags_done(&f->diags);
	sb_fabric_free(f->w->fabric);
	free(f->w);
}

/* @text launched on all nodes of @w. */
static struct fixture launch(struct world *w, const char *text)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct sb_plan_node nodes[NODES];
	struct sb_plan_input input = { .nodes = nodes, .n_nodes = w->n, .now_unix_ms = 1 };
	struct sb_override option = { "env.NCCL_IB_HCA", "mine", "-o" };
	struct fixture f = { .w = w };
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < w->n; i++)
		nodes[i] = (struct sb_plan_node){ w->nodes[i].name, w->nodes[i].address,
			w->nodes[i].address, 47101 };
	if (sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, &err) < 0 ||
			sb_workload_resolve(recipe, &option, strstr(text, "# -o") ? 1 : 0, NULL,
					NULL, 0, NULL, &f.workload, &err) < 0 ||
			sb_plan_compile(f.workload, &input, NULL, &f.plan, &err) < 0 ||
			sb_fabric_derive(w->nodes, w->n, &w->fabric, &err) < 0 ||
			sb_plan_add_fabric(f.plan, w->fabric, &f.diags, &f.warned, &err) < 0)
		ck_abort_msg("%s", err.text);
	return f;
}

#define RECIPE "model: org/m\ncontainer: img:1\nruntime: vllm\ndefaults: {tensor_parallel: 2}\n"

static const Sparkbus__EnvVar *var(const struct fixture *f, unsigned rank, const char *name)
{
	const Sparkbus__RankSpec *spec = f->plan->ranks[rank];

	for (size_t i = 0; i < spec->n_env; i++)
		if (!strcmp(spec->env[i]->name, name))
			return spec->env[i];
	return NULL;
}

static bool said(const struct fixture *f, const char *text)
{
	for (size_t i = 0; i < f->diags.n; i++)
		if (strstr(f->diags.items[i].text, text))
			return true;
	return false;
}

START_TEST(every_rank_gets_its_own_interfaces_and_reasons)
{
	struct world *w = one_cable();
	struct fixture f;
	size_t n;

	w->m[1].management.name = (char *)"enP9s9";
	w->m[1].state.management_interface = (char *)"enP9s9";
	f = launch(w, RECIPE);
	ck_assert(!f.warned);
	ck_assert_uint_eq(f.diags.n, 0);
	ck_assert_str_eq(var(&f, 0, "NCCL_SOCKET_IFNAME")->value, "=enP7s7");
	ck_assert_str_eq(var(&f, 1, "NCCL_SOCKET_IFNAME")->value, "=enP9s9");
	ck_assert_str_eq(var(&f, 1, "NCCL_IB_HCA")->value, "=rocep1s0f1,roceP2p1s0f1");
	ck_assert_str_eq(var(&f, 1, "VLLM_HOST_IP")->value, "192.168.1.22");
	ck_assert(*var(&f, 1, "NCCL_IB_HCA")->reason);
	ck_assert_str_eq(var(&f, 1, "HF_HOME")->reason, "");
	n = f.plan->ranks[0]->n_env;
	for (size_t i = 1; i < n; i++) /* sorted, each once */
		ck_assert_int_lt(strcmp(f.plan->ranks[0]->env[i - 1]->name,
						 f.plan->ranks[0]->env[i]->name),
				0);
	fixture_done(&f);
}
END_TEST

START_TEST(recipe_runtime_and_options_win_and_keep_the_reason)
{
	struct fixture f = launch(
			one_cable(), RECIPE "env: {NCCL_IB_HCA: rocep1s0f1, NCCL_NET: IB}\n");
	const Sparkbus__EnvVar *hca = var(&f, 0, "NCCL_IB_HCA");

	ck_assert_str_eq(hca->value, "rocep1s0f1");
	ck_assert_str_eq(hca->computed, "=rocep1s0f1,roceP2p1s0f1");
	ck_assert(*hca->reason);
	ck_assert_str_eq(var(&f, 0, "NCCL_NET")->computed, ""); /* the same value */
	fixture_done(&f);
	f = launch(one_cable(), RECIPE "env: {NCCL_IB_HCA: rocep1s0f1} # -o\n");
	ck_assert_str_eq(var(&f, 1, "NCCL_IB_HCA")->value, "mine");
	ck_assert_str_eq(var(&f, 1, "NCCL_IB_HCA")->computed, "=rocep1s0f1,roceP2p1s0f1");
	fixture_done(&f);
}
END_TEST

START_TEST(a_container_with_its_own_network_has_no_interfaces)
{
	struct fixture f = launch(one_cable(), RECIPE "executor_config: {network: bridge}\n");

	ck_assert_ptr_null(var(&f, 0, "GLOO_SOCKET_IFNAME"));
	fixture_done(&f);
}
END_TEST

START_TEST(a_launch_over_ethernet_says_so_and_why)
{
	struct world *w = one_cable();
	struct fixture f;

	w->m[1].state.n_rdma = 0;
	w->m[1].state.connectx_functions = 0;
	f = launch(w, RECIPE);
	ck_assert(f.warned);
	ck_assert(said(&f, "over Ethernet, not over the fabric"));
	ck_assert(said(&f, "no RDMA device on spark-b"));
	ck_assert_uint_eq(f.plan->n_warnings, 1);
	ck_assert_str_eq(f.plan->warnings[0], f.diags.items[0].text);
	ck_assert_str_eq(var(&f, 0, "NCCL_IB_DISABLE")->value, "1");
	ck_assert_ptr_null(var(&f, 0, "NCCL_IB_HCA"));
	fixture_done(&f);
}
END_TEST

START_TEST(silence_is_not_taken_for_ethernet)
{
	struct world *w = one_cable();
	struct fixture f;

	w->nodes[1].state = NULL;
	f = launch(w, RECIPE);
	ck_assert(f.warned);
	ck_assert(said(&f, "it is not known whether"));
	ck_assert_ptr_null(var(&f, 0, "NCCL_IB_DISABLE"));
	ck_assert_ptr_null(var(&f, 1, "GLOO_SOCKET_IFNAME"));
	ck_assert_str_eq(var(&f, 1, "NODE_IP")->value, "192.168.1.22");
	fixture_done(&f);
}
END_TEST

START_TEST(a_slow_fabric_is_warned_of)
{
	struct world *w = one_cable();
	struct fixture f;

	w->m[1].f[1].link.speed_mbps = 100000;
	f = launch(w, RECIPE);
	ck_assert(f.warned);
	ck_assert(said(&f, "spark-b: enp1s0f1np1 runs at 100000 Mb/s"));
	ck_assert_str_eq(var(&f, 1, "NCCL_NET")->value, "IB");
	fixture_done(&f);
}
END_TEST

START_TEST(one_rank_needs_no_links)
{
	struct fixture f = launch(world(1), "model: org/m\ncontainer: img:1\nruntime: vllm\n");

	ck_assert(!f.warned);
	ck_assert_ptr_null(var(&f, 0, "NCCL_IGNORE_CPU_AFFINITY"));
	fixture_done(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan_links");
	TCase *tc = tcase_create("plan_links");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, every_rank_gets_its_own_interfaces_and_reasons);
	tcase_add_test(tc, recipe_runtime_and_options_win_and_keep_the_reason);
	tcase_add_test(tc, a_container_with_its_own_network_has_no_interfaces);
	tcase_add_test(tc, a_launch_over_ethernet_says_so_and_why);
	tcase_add_test(tc, silence_is_not_taken_for_ethernet);
	tcase_add_test(tc, a_slow_fabric_is_warned_of);
	tcase_add_test(tc, one_rank_needs_no_links);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
