#include <check.h>
#include <string.h>

#include "sb_plan.h"

static const char *env_of(const char *name)
{
	return !strcmp(name, "HF_TOKEN") ? "hf_real" : NULL;
}

static struct sb_workload *load(const char *text, const struct sb_override *o, size_t n,
		const char *image, const struct sb_override *cluster, size_t n_cluster)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct sb_workload *w = NULL;
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_recipe_parse("r.yaml", text, strlen(text), env_of, NULL, &recipe, &err);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, o, n, image, cluster, n_cluster, NULL, &w, &err);
	ck_assert_msg(rc == 0, "%s in:\n%s", err.text, text);
	return w;
}

static char *export_of(const struct sb_workload *w, const struct sb_export_opts *opts)
{
	static const struct sb_export_opts none = { .keep = false };
	struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_workload_export(w, opts ? opts : &none, &out, &err) == 0, "%s", err.text);
	return sb_strbuf_steal(&out);
}

static size_t pack(const struct sb_workload *w, uint8_t **ret)
{
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.1", "10.0.0.1", 47101 },
		{ "spark2", "10.0.0.2", "10.0.0.2", 47101 },
	};
	const struct sb_plan_input input = { .nodes = nodes, .n_nodes = 2 };
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n;

	ck_assert_msg(sb_plan_compile(w, &input, NULL, &plan, &err) == 0, "%s", err.text);
	*ret = malloc(sparkbus__launch_plan__get_packed_size(plan));
	n = sparkbus__launch_plan__pack(plan, *ret);
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	return n;
}

/* Everything that can be said beside a recipe, said by all who can say it. */
static const struct {
	const char *text, *image;
	struct sb_override o[8], cluster[3];
} cases[] = {
	{ "model: m\n", NULL, { { "port", "1", "-o" } } },
	{ "model: m\ndefaults: {port: 8000, x: '007'}\n", "i:1",
			{ { "port", "9000", "--port" }, { "gpu_memory_utilization", "1e-5", "-o" },
					{ "trust_remote_code", "yes", "-o" },
					{ "dtype", "half", "-o" }, { "seed", "007", "-o" },
					{ "a", "1e16", "-o" }, { "b", "nan", "-o" } } },
	{ "model: m\ncommand: 'vllm serve {model} {a} {b} {c} {d}'\n", NULL,
			{ { "a", "null", "-o" }, { "b", "~", "-o" }, { "c", "on", "-o" },
					{ "d", "0x10", "-o" } } },
	{ "model: m\nenv: {A: 1, B: $HF_TOKEN, 3: c}\n", NULL,
			{ { "env.A", "true", "-o" }, { "env.C", "x y", "-o" } } },
	{ "model: m\ndefaults: {model: n}\n", NULL, { { "model", "org/other", "-o" } } },
	{ "model: m\nexecutor_config: {gpus: '1', privileged: null, devices: [/dev/a]}\n", NULL,
			{ { "gpus", "device=0", "-o" }, { "shm_size", "1g", "-o" },
					{ "ulimit", "nofile=1:2,core=0", "-o" } },
			{ { "ipc", "private", "cluster" }, { "gpus", "2", "cluster" } } },
	{ "model: m\n", NULL, { { "memory_limit", "8g", "--memory-limit" } },
			{ { "privileged", "true", "--rootful" }, { "user", "", "--rootful" },
					{ "devices", "", "--rootful" } } },
	{ "model: org/m\nruntime: llama-cpp\ndefaults: {ctx_size: 5}\n", NULL,
			{ { "max_model_len", "4096", "--max-model-len" } } },
	{ "model: m\nruntime: atlas\n", NULL, { { "auth_token", "k", "-o" } } },
	{ "model: m\ndefaults: {distributed_executor_backend: mp}\n", NULL,
			{ { "distributed_executor_backend", "ray", "-o" } } },
	{ "model: m\nenv: null\ndefaults: null\nexecutor_config: null\ncommand: |\n"
	  "  vllm serve {model} \\\n    --port {port}\n",
			NULL, { { "port", "7", "-o" }, { "env.X", "1", "-o" } } },
	{ "model: m\nmods: [mods/x]\n", "ghcr.io/spark-arena/dgx-vllm-eugr-nightly:latest",
			{ { "served_model_name", "1e5", "--served-model-name" } } },
};

START_TEST(an_export_compiles_to_the_same_plan)
{
	size_t n_o = 0, n_cluster = 0, n_want, n_got;
	uint8_t *want, *got;
	struct sb_workload *w, *again;
	char *text, *twice;

	while (n_o < sb_countof(cases[_i].o) && cases[_i].o[n_o].key)
		n_o++;
	while (n_cluster < sb_countof(cases[_i].cluster) && cases[_i].cluster[n_cluster].key)
		n_cluster++;
	w = load(cases[_i].text, cases[_i].o, n_o, cases[_i].image, cases[_i].cluster, n_cluster);
	text = export_of(w, NULL);
	again = load(text, NULL, 0, NULL, NULL, 0);
	n_want = pack(w, &want);
	n_got = pack(again, &got);
	ck_assert_msg(n_want == n_got && !memcmp(want, got, n_got), "another plan by:\n%s", text);
	twice = export_of(again, NULL);
	ck_assert_str_eq(twice, text);
	free(want);
	free(got);
	free(text);
	free(twice);
	sb_workload_free(w);
	sb_workload_free(again);
}
END_TEST

START_TEST(what_nobody_overrode_stays_as_it_was)
{
	static const char recipe[] = "recipe_version: \"2\"\n"
				     "model: org/m\n"
				     "unknown: [1, two]\n"
				     "defaults:\n"
				     "  z: 010\n"
				     "  a: 0.90\n"
				     "command: |\n"
				     "  vllm serve {model} \\\n"
				     "    --x {z}\n"
				     "env:\n"
				     "  TOKEN: $HF_TOKEN\n";
	static const struct sb_override o = { "a", "0.5", "-o" };
	struct sb_workload *w = load(recipe, &o, 1, NULL, NULL, 0);
	char *text = export_of(w, NULL);

	ck_assert_str_eq(text,
			"recipe_version: \"2\"\n"
			"model: org/m\n"
			"unknown:\n"
			"  - 1\n"
			"  - two\n"
			"defaults:\n"
			"  z: 010\n"
			"  a: 0.5\n"
			"command: |\n"
			"  vllm serve {model} \\\n"
			"    --x {z}\n"
			"env:\n"
			"  TOKEN: \"$HF_TOKEN\"\n");
	free(text);
	sb_workload_free(w);
}
END_TEST

START_TEST(labels_and_keeping_are_written)
{
	static const char *const labels[] = { "a=b", "c" };
	const struct sb_export_opts opts = { .keep = true, .labels = labels, .n_labels = 2 };
	struct sb_workload *w = load("model: m\nexecutor_config: {labels: [old], ipc: host}\n",
			NULL, 0, NULL, NULL, 0);
	char *text = export_of(w, &opts);
	struct sb_workload *again = load(text, NULL, 0, NULL, NULL, 0);
	const struct sb_executor *e = sb_workload_executor(again);

	ck_assert(!e->auto_remove);
	ck_assert_uint_eq(e->labels.n, 2);
	ck_assert_str_eq(e->labels.items[1], "c");
	free(text);
	sb_workload_free(w);
	sb_workload_free(again);
}
END_TEST

START_TEST(secrets_can_be_left_out)
{
	static const struct sb_override o[] = {
		{ "api_key", "sesame", "-o" },
		{ "env.MY_TOKEN", "hf_x", "-o" },
		{ "env.PLAIN", "1", "-o" },
	};
	const struct sb_export_opts opts = { .hide = true, .is_secret = sb_plan_env_is_secret };
	struct sb_workload *w = load("model: m\nenv: {A_SECRET: abc, HF_TOKEN: $HF_TOKEN}\n"
				     "defaults: {auth_token: x, port: 1}\n",
			o, 3, NULL, NULL, 0);
	char *text = export_of(w, &opts);

	ck_assert_str_eq(text,
			"model: m\nenv:\n  A_SECRET: \"$A_SECRET\"\n  HF_TOKEN: "
			"\"$HF_TOKEN\"\n  MY_TOKEN: \"$MY_TOKEN\"\n  PLAIN: \"1\"\n"
			"defaults:\n  port: 1\n");
	free(text);
	sb_workload_free(w);
}
END_TEST

START_TEST(what_no_file_can_hold_is_refused)
{
	static const struct sb_override o = { "x", "\xff", "-o" };
	static const struct sb_export_opts none = { .keep = false };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_workload *w = load("model: m\n", &o, 1, NULL, NULL, 0);
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_workload_export(w, &none, &out, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "UTF-8"));
	sb_workload_free(w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("recipe_export");
	TCase *tc = tcase_create("recipe_export");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, an_export_compiles_to_the_same_plan, 0, sb_countof(cases));
	tcase_add_test(tc, what_nobody_overrode_stays_as_it_was);
	tcase_add_test(tc, labels_and_keeping_are_written);
	tcase_add_test(tc, secrets_can_be_left_out);
	tcase_add_test(tc, what_no_file_can_hold_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
