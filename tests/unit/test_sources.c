#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_plan.h"

static const char *no_env(const char *name)
{
	return NULL;
}

struct fixture {
	struct sb_workload *w;
	Sparkbus__LaunchPlan *plan;
	struct sb_plan_sources sources;
};

static void done(struct fixture *f)
{
	if (f->plan)
		sparkbus__launch_plan__free_unpacked(f->plan, NULL);
	sb_plan_sources_done(&f->sources);
	sb_workload_free(f->w);
}

static struct fixture explain(const char *text, const struct sb_override *o, size_t n_overrides,
		const char *image, size_t n_nodes)
{
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.1", "10.0.0.1", 47101 },
		{ "spark2", "10.0.0.2", "10.0.0.2", 47101 },
	};
	static const struct sb_override cluster = { "shm_size", "1gb", "cluster" };
	const struct sb_plan_input input = { .nodes = nodes, .n_nodes = n_nodes };
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct sb_err err = SB_ERR_INIT;
	struct fixture f = { 0 };
	int rc = sb_recipe_parse("r.yaml", text, strlen(text), no_env, NULL, &recipe, &err);

	if (rc == 0)
		rc = sb_workload_resolve(
				recipe, o, n_overrides, image, &cluster, 1, NULL, &f.w, &err);
	if (rc == 0)
		rc = sb_plan_explain(f.w, &input, NULL, &f.plan, &f.sources, &err);
	ck_assert_msg(rc == 0, "%s", err.text);
	return f;
}

/* The source of the byte @at of the first word of @rank that has @part. */
static struct sb_source source_of(const struct fixture *f, size_t rank, const char *part)
{
	const struct sb_words *words = &f->sources.ranks[rank].argv;

	for (size_t i = 0; i < words->n; i++) {
		const char *hit = strstr(words->items[i], part);

		if (hit)
			return sb_mark_source(f->w,
					sb_words_mark(words, i, (size_t)(hit - words->items[i])));
	}
	ck_abort_msg("no word has '%s'", part);
}

static void check(const struct fixture *f, size_t rank, const char *part, enum sb_source_kind kind,
		const char *name, unsigned line)
{
	struct sb_source got = source_of(f, rank, part);

	ck_assert_msg(got.kind == kind, "%s: kind %d", part, got.kind);
	ck_assert_msg(!name == !got.name && (!name || !strcmp(name, got.name)), "%s: %s", part,
			got.name ? got.name : "(none)");
	ck_assert_msg(got.line == line, "%s: line %u", part, got.line);
}

START_TEST(a_template_and_its_values_are_told_apart)
{
	struct fixture f = explain("model: org/m\n"
				   "command: |\n"
				   "  vllm serve {model} \\\n"
				   "    --port={port} \\\n"
				   "    --x '{\"d\":\"{draft}\"}'\n"
				   "defaults:\n"
				   "  port: 8000\n"
				   "  draft: a/{kind}\n"
				   "  kind: eagle\n",
			NULL, 0, NULL, 1);

	check(&f, 0, "serve", SB_SOURCE_COMMAND, NULL, 3);
	check(&f, 0, "org/m", SB_SOURCE_RECIPE, "model", 1);
	check(&f, 0, "--port", SB_SOURCE_COMMAND, NULL, 4);
	check(&f, 0, "8000", SB_SOURCE_RECIPE, "port", 7);
	check(&f, 0, "{\"d\"", SB_SOURCE_COMMAND, NULL, 5);
	check(&f, 0, "a/", SB_SOURCE_RECIPE, "draft", 8);
	check(&f, 0, "eagle", SB_SOURCE_RECIPE, "kind", 9); /* a value within a value */
	check(&f, 0, "\"}", SB_SOURCE_COMMAND, NULL, 5);
	ck_assert_str_eq(source_of(&f, 0, "8000").section, "defaults");
	ck_assert_str_eq(source_of(&f, 0, "org/m").section, "");
	done(&f);
}
END_TEST

START_TEST(an_override_tells_what_it_took_the_place_of)
{
	static const struct sb_override o[] = {
		{ "port", "1", "-o" },
		{ "port", "9000", "--port" },
		{ "dtype", "half", "-o" },
	};
	struct fixture f = explain("model: m\ndefaults:\n  port: 8000\n", o, 3, NULL, 1);
	struct sb_source port = source_of(&f, 0, "9000"), dtype = source_of(&f, 0, "half");

	check(&f, 0, "--port", SB_SOURCE_OVERRIDE, "port", 0);
	ck_assert_str_eq(port.option, "--port");
	ck_assert_str_eq(port.instead, "8000"); /* the recipe's, not the other option's */
	ck_assert_uint_eq(port.instead_line, 3);
	ck_assert_str_eq(dtype.option, "-o");
	ck_assert_ptr_null(dtype.instead);
	done(&f);
}
END_TEST

START_TEST(what_the_runtime_and_the_rank_add_is_said)
{
	struct fixture f = explain("model: m\ndefaults: {tensor_parallel: 2}\n", NULL, 0, NULL, 2);

	check(&f, 0, "vllm", SB_SOURCE_RUNTIME, NULL, 0);
	check(&f, 0, "-tp", SB_SOURCE_RECIPE, "tensor_parallel", 2);
	check(&f, 1, "--node-rank", SB_SOURCE_RANK, NULL, 0);
	check(&f, 1, "--headless", SB_SOURCE_RANK, NULL, 0);
	done(&f);
}
END_TEST

START_TEST(a_script_is_run_by_a_shell)
{
	struct fixture f = explain(
			"model: m\ncommand: 'cd /x && vllm serve {model}'\n", NULL, 0, NULL, 1);

	check(&f, 0, "--norc", SB_SOURCE_SHELL, NULL, 0);
	check(&f, 0, "cd /x", SB_SOURCE_COMMAND, NULL, 2);
	done(&f);
}
END_TEST

/* Lines of the same words, written in every way that YAML has for a long text. */
static const struct {
	const char *text;
	unsigned vllm, x, y;
} styles[] = {
	{ "model: m\ncommand: |\n  vllm serve m\n  \\\n  --x 1 \\\n  --y 2\n", 3, 5, 6 },
	{ "model: m\ncommand: >-\n  vllm serve m\n  --x 1\n\n  --y 2\n", 3, 4, 6 },
	{ "model: m\ncommand: >2 # of three\n  vllm serve m\n  --x 1\n  --y 2\n", 3, 4, 5 },
	{ "model: m\ncommand: vllm serve m\n  --x 1\n  --y 2\n", 2, 3, 4 },
	{ "model: m\ncommand:\n  vllm serve m\n  --x 1\n  --y 2\n", 3, 4, 5 },
	{ "model: m\ncommand: \"vllm serve m\n  --x 1 \\\n  --y 2\"\n", 2, 3, 4 },
	{ "model: m\ncommand: 'vllm serve m\n  --x ''1''\n  --y 2'\n", 2, 3, 4 },
	{ "model: ä\nenv: {a: ä}\ncommand: |\n  vllm serve {model} --z ü\n  --x 1 \\\n  --y 2\n", 4,
			5, 6 },
	/* what cannot be told has the line that was told last */
	{ "model: m\ncommand: &c |\n  vllm serve m --x 1 --y 2\n", 2, 2, 2 },
	{ "model: m\ncommand: \"vllm \\x73erve m\\\n  --x 1\\\n --y 2\"\n", 2, 2, 2 },
};

START_TEST(every_style_of_text_has_its_lines)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	const char *text = styles[_i].text;
	const struct {
		const char *part;
		unsigned line;
	} want[] = { { "vllm", styles[_i].vllm }, { "--x", styles[_i].x },
		{ "--y", styles[_i].y } };
	bool has = false;

	ck_assert_int_eq(sb_recipe_parse("r", text, strlen(text), NULL, NULL, &recipe, NULL), 0);
	ck_assert_int_eq(sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, NULL), 0);
	ck_assert_int_eq(sb_workload_command(w, &out, &has, NULL, NULL), 0);
	for (size_t i = 0; i < sb_countof(want); i++) {
		size_t at = (size_t)(strstr(out.data, want[i].part) - out.data);
		struct sb_source got = sb_mark_source(w, out.marks[at]);

		ck_assert_msg(got.line == want[i].line, "%s: line %u", want[i].part, got.line);
	}
}
END_TEST

START_TEST(llama_cpp_tells_which_setting_splits_the_model)
{
	struct fixture f = explain(
			"model: a/b\nruntime: llama-cpp\ndefaults:\n"
			"  pipeline_parallel: 2\n"
			"command: llama-server --split-mode none --split-mode-x y -hf {model}\n",
			NULL, 0, NULL, 2);

	check(&f, 0, "layer", SB_SOURCE_RECIPE, "pipeline_parallel", 4);
	check(&f, 0, "--split-mode-x", SB_SOURCE_COMMAND, NULL, 5);
	check(&f, 0, "--rpc", SB_SOURCE_RANK, NULL, 0);
	done(&f);
}
END_TEST

static const struct sb_source *env_of(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->plan->ranks[0]->n_env; i++)
		if (!strcmp(f->plan->ranks[0]->env[i]->name, name))
			return &f->sources.ranks[0].env[i];
	ck_abort_msg("no %s", name);
}

START_TEST(variables_have_their_sources)
{
	static const struct sb_override o[] = {
		{ "env.B", "2", "-o" },
		{ "api_key", "k", "-o" },
	};
	struct fixture f = explain("model: m\nenv:\n  A: 1\n  B: 1\n  OMP_NUM_THREADS: 9\n"
				   "defaults: {tensor_parallel: 2}\n",
			o, 2, NULL, 2);

	ck_assert_int_eq(env_of(&f, "A")->kind, SB_SOURCE_RECIPE);
	ck_assert_uint_eq(env_of(&f, "A")->line, 3);
	ck_assert_str_eq(env_of(&f, "A")->section, "env");
	ck_assert_int_eq(env_of(&f, "B")->kind, SB_SOURCE_OVERRIDE);
	ck_assert_str_eq(env_of(&f, "B")->option, "-o");
	ck_assert_str_eq(env_of(&f, "B")->instead, "1");
	ck_assert_uint_eq(env_of(&f, "B")->instead_line, 4);
	ck_assert_int_eq(env_of(&f, "OMP_NUM_THREADS")->kind, SB_SOURCE_RECIPE);
	ck_assert_int_eq(env_of(&f, "NCCL_CUMEM_ENABLE")->kind, SB_SOURCE_RUNTIME);
	ck_assert_int_eq(env_of(&f, "HF_HOME")->kind, SB_SOURCE_BUILT_IN);
	ck_assert_int_eq(env_of(&f, "VLLM_API_KEY")->kind, SB_SOURCE_OVERRIDE);
	done(&f);
}
END_TEST

START_TEST(image_and_container_settings_have_their_sources)
{
	static const struct sb_override o[] = { { "ipc", "private", "-o" } };
	struct fixture f = explain(
			"model: m\ncontainer: i:1\nexecutor_config: {user: me}\n", o, 1, NULL, 1);
	struct sb_source image = sb_workload_image_source(f.w);

	ck_assert_int_eq(image.kind, SB_SOURCE_RECIPE);
	ck_assert_uint_eq(image.line, 2);
	ck_assert_int_eq(sb_workload_executor_source(f.w, "user").kind, SB_SOURCE_RECIPE);
	ck_assert_uint_eq(sb_workload_executor_source(f.w, "user").line, 3);
	ck_assert_int_eq(sb_workload_executor_source(f.w, "ipc").kind, SB_SOURCE_OVERRIDE);
	ck_assert_int_eq(sb_workload_executor_source(f.w, "shm_size").kind, SB_SOURCE_CLUSTER);
	ck_assert_int_eq(sb_workload_executor_source(f.w, "gpus").kind, SB_SOURCE_BUILT_IN);
	done(&f);
	f = explain("model: m\ncontainer: i:1\n", NULL, 0, "j:2", 1);
	image = sb_workload_image_source(f.w);
	ck_assert_int_eq(image.kind, SB_SOURCE_OVERRIDE);
	ck_assert_str_eq(image.instead, "i:1");
	done(&f);
	f = explain("model: m\n", NULL, 0, NULL, 1);
	ck_assert_int_eq(sb_workload_image_source(f.w).kind, SB_SOURCE_RUNTIME);
	done(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sources");
	TCase *tc = tcase_create("sources");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, a_template_and_its_values_are_told_apart);
	tcase_add_test(tc, an_override_tells_what_it_took_the_place_of);
	tcase_add_test(tc, what_the_runtime_and_the_rank_add_is_said);
	tcase_add_test(tc, a_script_is_run_by_a_shell);
	tcase_add_loop_test(tc, every_style_of_text_has_its_lines, 0, sb_countof(styles));
	tcase_add_test(tc, llama_cpp_tells_which_setting_splits_the_model);
	tcase_add_test(tc, variables_have_their_sources);
	tcase_add_test(tc, image_and_container_settings_have_their_sources);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
