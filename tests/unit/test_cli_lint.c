/* recipe validate, recipe rules, and what run says of lint: the real command on real files. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sb_fs.h"

#define OUTPUT_MAX (1024 * 1024)

static char home[64], output[OUTPUT_MAX];

static void make_home(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-lint-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	ck_assert_int_eq(chdir(home), 0);
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
	setenv("SPARKBUS_RECIPES", SOURCE_RECIPES, 1);
}

static void remove_home(void)
{
	char command[128];

	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *path, const char *text)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_fs_write(path, text, strlen(text), 0600, &err) == 0, "%s", err.text);
}

/* Both streams go to output[]. Return: the exit status. */
static int run(const char *args)
{
	char command[512];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "'%s' %s 2>&1 </dev/null", SB_SPARKBUS, args);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static void ck_run(const char *args, int status)
{
	int got = run(args);

	ck_assert_msg(got == status, "%s: exit status %d\n%s", args, got, output);
}

static void ck_has(const char *part)
{
	ck_assert_msg(strstr(output, part) != NULL, "no '%s' in:\n%s", part, output);
}

static void ck_not(const char *part)
{
	ck_assert_msg(strstr(output, part) == NULL, "'%s' in:\n%s", part, output);
}

#define CLEAN                                                                                      \
	"model: org/plain\nruntime: vllm\ncontainer: img:1\n"                                      \
	"defaults: {gpu_memory_utilization: 0.85, max_model_len: 8192, max_num_seqs: 4}\n"

START_TEST(a_clean_recipe_is_valid)
{
	write_file("good.yaml", CLEAN);
	ck_run("recipe validate good", 0);
	ck_assert_str_eq(output, "Recipe 'good' is valid.\n");
	ck_run("recipe validate --strict good.yaml", 0);
	ck_run("recipe validate -q good", 0);
	ck_assert_str_eq(output, "");
	ck_run("recipe validate -v good", 0);
	ck_has(" rules could not be checked");
}
END_TEST

START_TEST(findings_come_with_place_fix_and_source)
{
	write_file("bad.yaml",
			CLEAN "command: |\n  vllm serve {model} --max-num-seqs 4 \\\n"
			      "     --gpu-memory-utilization {gpu_memory_utilization} \\\n"
			      "     --max-model-len 8192 --enable-auto-tool-choice \\\n"
			      "     --enforce-eager\n");
	ck_run("recipe validate bad", 1);
	ck_has("./bad.yaml:8:27: error: --enable-auto-tool-choice and --tool-call-parser go "
	       "together, and one is missing [TLC001]\n  fix: add the other\n  source: guide 8\n");
	ck_has("./bad.yaml:9:6: warning: --enforce-eager gives up CUDA graphs [MEM015]\n");
	ck_has("Recipe 'bad' has issues: 1 error, 1 warning.\n");
}
END_TEST

START_TEST(warnings_fail_when_strict)
{
	write_file("warn.yaml",
			"model: org/plain\nruntime: vllm\ncontainer: img:1\n"
			"metadata: {model_dtype: strange}\n");
	ck_run("recipe validate warn", 0);
	ck_has("./warn.yaml:4:25: warning: metadata.model_dtype 'strange' is not a recognized "
	       "dtype\n");
	ck_has("[MEM001]");
	ck_has("Recipe 'warn' is valid: 4 warnings.");
	ck_run("recipe validate --strict warn", 1);
	ck_has("Recipe 'warn' has issues: 4 warnings.");
}
END_TEST

START_TEST(what_a_recipe_accepts_is_told_on_request)
{
	json_t *json;

	write_file("a.yaml",
			"model: org/m\nruntime: vllm\ncontainer: \"vllm/vllm-openai:nightly\"\n"
			"defaults: {gpu_memory_utilization: 0.85, max_model_len: 8192, "
			"max_num_seqs: 4}\nmetadata: {accept: {IMG005: we like it new}}\n");
	ck_run("recipe validate --strict a", 0);
	ck_has("Recipe 'a' is valid.\n  The recipe accepts 1 finding (-v says which, and why).");
	ck_not("IMG005");
	ck_run("recipe validate --strict -v a", 0);
	ck_has("a moving tag: the next pull may be another build [IMG005]\n"
	       "  accepted: we like it new\n");
	ck_run("recipe validate --json a", 0);
	json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "findings")), 0);
	ck_assert_str_eq(json_string_value(json_object_get(
					 json_array_get(json_object_get(json, "accepted"), 0),
					 "accepted")),
			"we like it new");
	json_decref(json);
	ck_run("init --operator alice", 0);
	ck_run("node add s1 127.0.0.1:1", 0);
	ck_run("run a -H s1 -n --strict", 0);
	ck_not("IMG005");
}
END_TEST

START_TEST(one_bad_file_does_not_stop_the_others)
{
	ck_assert_int_eq(sb_fs_mkdirs("d/deep", 0700, NULL), 0);
	write_file("d/a.yaml", "model: [\n");
	write_file("d/deep/b.yml", CLEAN);
	write_file("d/c.yaml", "model: m\nruntime: vllm\n");
	ck_run("recipe validate d", 1);
	ck_has("d/a.yaml:");
	ck_has("Recipe 'a' has issues: 1 error.");
	ck_has("Recipe 'b' is valid.");
	ck_has("3 recipes, 1 with issues.\n");
	ck_run("recipe validate nowhere d/deep/b.yml", 1);
	ck_has("Recipe 'nowhere' not found.");
	ck_has("Recipe 'b' is valid.");
	ck_run("recipe validate /", 1);
	ck_run("recipe validate", 2);
}
END_TEST

START_TEST(an_unknown_runtime_is_an_issue_and_a_missing_one_is_not)
{
	write_file("u.yaml", "model: m\nruntime: warp\ncontainer: i:1\n");
	ck_run("recipe validate u", 1);
	ck_has("./u.yaml:2:10: error: Unknown runtime: 'warp'.");
	write_file("m.yaml", CLEAN "mods: [mods/x]\n");
	run("recipe validate m"); /* until mods are there it is a warning; then it is nothing */
	ck_not("error");
}
END_TEST

START_TEST(json_has_everything)
{
	json_t *json, *first;

	write_file("j.yaml",
			"model: org/plain\nruntime: vllm\ncontainer: img:1\n"
			"defaults: {gpu_memory_utilization: 0.96}\n");
	ck_run("recipe validate --json j", 1);
	json = json_loads(output, 0, NULL);
	ck_assert(json_is_object(json) && json_is_false(json_object_get(json, "valid")));
	ck_assert_str_eq(json_string_value(json_object_get(json, "recipe")), "j");
	ck_assert(json_is_array(json_object_get(json, "issues")));
	first = json_array_get(json_object_get(json, "findings"), 2);
	ck_assert_str_eq(json_string_value(json_object_get(first, "id")), "MEM002");
	ck_assert_str_eq(json_string_value(json_object_get(first, "severity")), "error");
	ck_assert_int_eq(json_integer_value(json_object_get(first, "line")), 4);
	ck_assert_int_eq(json_integer_value(json_object_get(first, "column")), 36);
	json_decref(json);
	ck_run("recipe validate --json j j", 1);
	json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json), 2);
	json_decref(json);
}
END_TEST

START_TEST(rules_are_shown)
{
	json_t *json;

	ck_run("recipe rules", 0);
	ck_has("IMG001  error    ");
	ck_has("SEC002  warning  ");
	ck_run("recipe rules moe005", 0);
	ck_has("MOE005");
	ck_not("MOE006");
	ck_run("recipe rules ZZZ", 1);
	ck_run("recipe rules --json", 0);
	json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json), 135);
	json_decref(json);
	ck_run("recipe rules --json --policies", 0);
	json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json), 13);
	json_decref(json);
	ck_run("recipe rules --man", 0);
	ck_has(".TH SPARKBUS-LINT 7");
	ck_has("\\fBTRC001\\fR (warning)");
	ck_has("\\fBH13\\fR");
}
END_TEST

/* A tree of recipes without rules leaves the ones that came with the program; bad rules are told.
 */
START_TEST(rules_are_found_beside_the_recipes)
{
	write_file("good.yaml", CLEAN);
	setenv("SPARKBUS_RECIPES", home, 1);
	ck_run("recipe validate good", 0);
	ck_assert_int_eq(sb_fs_mkdirs("rules", 0700, NULL), 0);
	ck_run("recipe validate good", 1);
	ck_has("rules/images.yaml");
	write_file("rules/images.yaml", "derive: []\n");
	write_file("rules/models.yaml", "derive: []\n");
	write_file("rules/lint.yaml", "groups:\n- {name: g, rules: [{id: X, severity: error}]}\n");
	ck_run("recipe validate good", 1);
	ck_has("rules/lint.yaml:2:21: expected 'message'");
	ck_run("list", 0);
	ck_not("@rules");
	setenv("SPARKBUS_RECIPES", SOURCE_RECIPES, 1);
}
END_TEST

START_TEST(run_tells_errors_and_warnings_and_goes_on)
{
	ck_run("init --operator alice", 0);
	ck_run("node add s1 127.0.0.1:1", 0);
	write_file("e.yaml",
			CLEAN "command: vllm serve {model} --gpu-memory-utilization 0.85 "
			      "--max-model-len 8192 --max-num-seqs 9 --tool-call-parser x "
			      "--swap-space 4\n");
	ck_run("run e -H s1 -n", 0);
	ck_has("Warning: ./e.yaml:5:80: above about 4 streams");
	ck_has("Error: ./e.yaml:5:97: --enable-auto-tool-choice and --tool-call-parser go");
	ck_has("Dry run: nothing was started.");
	ck_not("MEM014"); /* a hint */
	ck_run("run e -H s1 -n --no-lint", 0);
	ck_not("MEM005");
	ck_run("run e -H s1 -n --strict", 1);
	ck_has("with --strict warnings are errors");
	ck_not("Dry run");
	write_file("good.yaml", CLEAN);
	ck_run("run good -H s1 -n --strict", 0);
	ck_not("Warning: ./good");
	ck_run("run good -H s1 -n --max-model-len 9000 -o max_num_seqs=8", 0);
	ck_has("Warning: -o: above about 4 streams");
}
END_TEST

START_TEST(run_refuses_what_is_fatal)
{
	ck_run("init --operator alice", 0);
	ck_run("node add s1 127.0.0.1:1", 0);
	write_file("f.yaml",
			CLEAN "command: |\n  vllm serve {model} --speculative-config '{\"method\": "
			      "mtp}'\n");
	ck_run("run f -H s1 -n", 1);
	ck_has("[SPC018]");
	ck_has("Error: the launch would fail. Nothing was started; --no-lint goes on all the "
	       "same.");
	ck_not("Dry run");
	ck_run("run f -H s1 -n --no-lint", 0);
}
END_TEST

/* The published recipes may have findings, but every one must be looked at to the end. */
START_TEST(the_corpus_is_linted)
{
	json_t *json, *item;
	size_t i, with_findings = 0;

	ck_assert_int_le(run("recipe validate --json " SOURCE_CORPUS), 1);
	json = json_loads(output, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_uint_gt(json_array_size(json), 50);
	json_array_foreach (json, i, item)
		with_findings += json_array_size(json_object_get(item, "findings")) > 0;
	ck_assert_uint_gt(with_findings, 40);
	json_decref(json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_lint");
	TCase *tc = tcase_create("lint");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, make_home, remove_home);
	tcase_add_test(tc, a_clean_recipe_is_valid);
	tcase_add_test(tc, findings_come_with_place_fix_and_source);
	tcase_add_test(tc, warnings_fail_when_strict);
	tcase_add_test(tc, what_a_recipe_accepts_is_told_on_request);
	tcase_add_test(tc, one_bad_file_does_not_stop_the_others);
	tcase_add_test(tc, an_unknown_runtime_is_an_issue_and_a_missing_one_is_not);
	tcase_add_test(tc, json_has_everything);
	tcase_add_test(tc, rules_are_shown);
	tcase_add_test(tc, rules_are_found_beside_the_recipes);
	tcase_add_test(tc, run_tells_errors_and_warnings_and_goes_on);
	tcase_add_test(tc, run_refuses_what_is_fatal);
	tcase_add_test(tc, the_corpus_is_linted);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
