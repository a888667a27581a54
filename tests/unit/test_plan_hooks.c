/* test_plan_hooks.c - hooks and images that a builder makes, in the plan. */
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

/* --- hooks --- */

START_TEST(hooks_come_in_their_order_with_their_files)
{
	static const struct sb_tree_file a[] = { { "x/y", "Y", 1, 0600 }, { "z", "", 0, 0 } },
					 b[] = { { "run.sh", "#!/bin/sh", 9, 0755 } };
	static const struct sb_tree trees[] = { { a, 2 }, { b, 1 } };
	struct sb_plan_input input = input_of(2);
	struct fixture f;
	Sparkbus__Hook **h;

	input.trees = trees;
	input.n_trees = 2;
	f = compile(BASE
			"defaults: {tensor_parallel: 2, port: 81, lst: [1, 2]}\n"
			"pre_exec:\n- echo {port} {lst} {nope}\n- {copy: ~/a/, dest: '/o/{port}'}\n"
			"- ' '\n- 5\n- \"two\\nlines\"\n"
			"mods: [mods/fix-x]\n",
			&input);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	h = f.plan->pre_exec;
	ck_assert_uint_eq(f.plan->n_pre_exec, 5);
	ck_assert_str_eq(h[0]->command, "echo 81 [1, 2] {nope}");
	ck_assert_str_eq(h[0]->label, "pre_exec[0]");
	ck_assert_str_eq(h[1]->copy_to, "/o/81");
	ck_assert_str_eq(h[1]->copy_from, "/.sparkbus/copy/1");
	ck_assert_str_eq(h[2]->command, "two\nlines");
	ck_assert_str_eq(h[2]->label, "pre_exec[4]");
	ck_assert_str_eq(h[3]->copy_to, "/workspace/mods/fix-x");
	ck_assert_str_eq(h[4]->command,
			"export WORKSPACE_DIR=$PWD && cd /workspace/mods/fix-x && chmod +x run.sh "
			"&& ./run.sh");
	ck_assert_str_eq(h[4]->label, "mods[0]");
	ck_assert_uint_eq(f.plan->n_files, 3);
	ck_assert_str_eq(f.plan->files[0]->path, "/.sparkbus/copy/1/x/y");
	ck_assert_uint_eq(f.plan->files[0]->mode, 0600);
	ck_assert_str_eq(f.plan->files[2]->path, "/.sparkbus/copy/3/run.sh");
	ck_assert_mem_eq(f.plan->files[2]->content.data, "#!/bin/sh", 9);
	/* The second stage waits for hooks, too: five of at most ten minutes each. */
	ck_assert_uint_ge(f.plan->ranks[0]->gate_timeout_ms, 5 * 600000);
	ck_assert(!f.plan->stop_after_post);
	done(&f);
}
END_TEST

START_TEST(one_text_is_one_hook)
{
	struct fixture f = plan(BASE "pre_exec: ls {model}\n", 1);

	ck_assert_uint_eq(f.plan->n_pre_exec, 1);
	ck_assert_str_eq(f.plan->pre_exec[0]->command, "ls org/m");
	done(&f);
}
END_TEST

START_TEST(a_plan_never_leaves_files_out_or_grows_too_large)
{
	struct sb_plan_input input = input_of(1);
	char *big = calloc(1, (4 << 20) + 1);
	struct sb_tree_file file = { "f", big, (4 << 20) + 1, 0 };
	struct sb_tree tree = { &file, 1 };
	struct fixture f;

	input.trees = &tree;
	f = compile(BASE "mods: [a]\n", &input); /* n_trees is 0 */
	ck_assert_int_lt(f.rc, 0);
	done(&f);
	input.n_trees = 1;
	f = compile(BASE "mods: [a]\n", &input);
	ck_assert_int_eq(f.rc, -SB_E_RANGE);
	done(&f);
	file.len--;
	f = compile(BASE "mods: [a]\n", &input);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	done(&f);
	free(big);
}
END_TEST

/* The published worked example, but for our prefix and what only a node knows. */
START_TEST(post_hooks_know_the_launch)
{
	static const struct sb_plan_node two[] = {
		{ "a", "10.0.0.1", "10.0.0.1", 47101 },
		{ "b", "10.0.0.2", "10.0.0.2", 47101 },
	};
	struct sb_plan_input input = input_of(2);
	struct fixture f;

	input.nodes = two;
	f = compile(BASE "defaults: {port: 8000, tensor_parallel: 2, head_ip: mine, cache_dir: x, "
			 "base_url: '{base_url}'}\n"
			 "post_exec: \"curl {base_url} {container_name} {cluster_id} {cache_dir} "
			 "{head_host} {head_ip} {port}\"\n"
			 "post_commands: [\"{base_url} {model}\", 7]\nstop_after_post: yes\n",
			&input);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	ck_assert_uint_eq(f.plan->n_post_exec, 1);
	ck_assert_str_eq(f.plan->post_exec[0]->command,
			"curl http://10.0.0.1:8000/v1 sparkbus_d7a3055298e3_node_0 "
			"sparkbus_d7a3055298e3 {cache_dir} 10.0.0.1 10.0.0.1 8000");
	ck_assert_uint_eq(f.plan->n_post_commands, 1);
	ck_assert_str_eq(f.plan->post_commands[0]->command, "http://10.0.0.1:8000/v1 org/m");
	ck_assert(f.plan->stop_after_post);
	done(&f);
	f = plan(BASE "stop_after_post: 'no'\npost_exec: [x]\n", 1);
	ck_assert(!f.plan->stop_after_post);
	done(&f);
	f = plan(BASE "stop_after_post: true\n", 1); /* nothing to stop after */
	ck_assert(!f.plan->stop_after_post);
	done(&f);
	/* D4: over Ray the head's container has another name. */
	f = plan(BASE "runtime: vllm-ray\ndefaults: {tensor_parallel: 2}\n"
		      "post_exec: \"{container_name}\"\n",
			2);
	ck_assert_str_eq(f.plan->post_exec[0]->command, f.plan->ranks[0]->container_name);
	ck_assert_ptr_nonnull(strstr(f.plan->post_exec[0]->command, "_head"));
	done(&f);
}
END_TEST

static const struct {
	const char *yaml, *command;
} builds[] = {
	{ "container: vllm-node-tf5\nbuild_args: [--tf5, 'a b']\n",
			"git clone https://github.com/eugr/spark-vllm-docker.git && cd "
			"spark-vllm-docker && ./build-and-copy.sh -t vllm-node-tf5 --tf5 'a b' "
			"--cleanup" },
	{ "container: n\nrecipe_version: '1'\nbuilder_config: {branch: dev}\n"
	  "build_args: [--cleanup]\n",
			"git clone -b dev https://github.com/eugr/spark-vllm-docker.git && cd "
			"spark-vllm-docker && ./build-and-copy.sh -t n --cleanup" },
	{ "container: ghcr.io/x/y:1\nbuild_args: [--tf5]\n", "" },
	{ "runtime: eugr-vllm\n",
			"git clone https://github.com/eugr/spark-vllm-docker.git && cd "
			"spark-vllm-docker && ./build-and-copy.sh -t vllm-node --cleanup" },
	{ "container: local\n", "" },
	{ "container: local\nbuilder: docker-pull\n", "" },
	{ "container: local\nbuilder: magic\n", "" },
};

START_TEST(an_image_of_no_registry_comes_with_its_build)
{
	char text[300];
	struct fixture f;

	snprintf(text, sizeof(text), "model: m\n%s", builds[_i].yaml);
	f = plan(text, 1);
	ck_assert_str_eq(f.plan->build_command, builds[_i].command);
	if (strstr(text, "magic"))
		ck_assert(said(&f, SB_DIAG_WARNING, "Builder 'magic' not found, skipping"));
	done(&f);
}
END_TEST

static const struct {
	const char *yaml, *place, *say;
	enum sb_code code;
} refused[] = {
	{ "pre_exec: [{copy: /x, source_host: h}]", "r.yaml:3:36: ", "source_host is not supported",
			SB_E_INVALID },
	{ "pre_exec: [ls, {copy: /x, dest: y}]",
			"r.yaml:3:33: ", "pre_exec[1]: expected an absolute", SB_E_INVALID },
	{ "pre_exec: [{copy: ''}]", "r.yaml:3:19: ", "pre_exec[0]: expected a folder",
			SB_E_INVALID },
	{ "pre_exec: [{copy: /}]", "r.yaml:3:19: ", "expected a folder with a name", SB_E_INVALID },
	{ "mods: [a, 'b; rm -rf /']", "r.yaml:3:11: ", "mods[1]: expected a name", SB_E_INVALID },
	{ "mods: [..]", "r.yaml:3:8: ", "expected a folder with a name", SB_E_INVALID },
	{ "pre_exec: 'x{a}'\ndefaults: {a: '{a}'}", "r.yaml:4:15: ", "circle", SB_E_INVALID },
};

START_TEST(what_cannot_be_a_hook_is_refused_at_its_place)
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

int main(void)
{
	Suite *s = suite_create("plan hooks");
	TCase *tc = tcase_create("hooks");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, hooks_come_in_their_order_with_their_files);
	tcase_add_test(tc, one_text_is_one_hook);
	tcase_add_test(tc, post_hooks_know_the_launch);
	tcase_add_test(tc, a_plan_never_leaves_files_out_or_grows_too_large);
	tcase_add_loop_test(
			tc, an_image_of_no_registry_comes_with_its_build, 0, sb_countof(builds));
	tcase_add_loop_test(
			tc, what_cannot_be_a_hook_is_refused_at_its_place, 0, sb_countof(refused));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
