/* The bundled recipes, every one: without findings, found by its name, in the folder of its family.
 */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "families.h"
#include "metadata_text.h"
#include "sb_fs.h"
#include "sb_yaml.h"

#define OUTPUT_MAX  (1024 * 1024)
#define RECIPES_MIN 33 /* those of the guides and the scripts; none gets lost */

static char home[64], output[OUTPUT_MAX];
static struct families *families;

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-bundled-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	ck_assert_int_eq(chdir(home), 0);
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
	setenv("SPARKBUS_RECIPES", SOURCE_RECIPES, 1);
	ck_assert_int_eq(families_load(SOURCE_RECIPES, &families, NULL), 0);
}

static void teardown(void)
{
	char command[128];

	families_free(families);
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

static int run(const char *args)
{
	char command[1024];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "'%s' %s 2>&1 </dev/null", SB_SPARKBUS, args);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

/* The JSON that @args print. The caller releases it. */
static json_t *run_json(const char *args)
{
	int status = run(args);
	json_t *json = json_loads(output, 0, NULL);

	ck_assert_msg(json && status <= 1, "%s: status %d: %s", args, status, output);
	return json;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_t *bundled(void)
{
	json_t *list = run_json("list --registry " BUNDLED_REGISTRY " --json");
	json_t *recipes = json_incref(json_object_get(list, "recipes"));

	ck_assert_msg(!json_array_size(json_object_get(list, "bad")), "%s", output);
	json_decref(list);
	ck_assert_uint_ge(json_array_size(recipes), RECIPES_MIN);
	return recipes;
}

START_TEST(every_one_is_clean)
{
	json_t *recipes = bundled(), *item;
	size_t i;

	json_array_foreach (recipes, i, item) {
		char args[512];

		snprintf(args, sizeof(args), "recipe validate --strict '%s'",
				text_of(item, "name"));
		ck_assert_msg(run(args) == 0 && !strstr(output, "hint:"), "%s", output);
	}
	json_decref(recipes);
}
END_TEST

/* An acceptance that no rule asks for any more would hide the next finding. */
START_TEST(nothing_is_accepted_without_need)
{
	json_t *recipes = bundled(), *item, *report;
	struct sb_yaml_doc *doc = NULL;
	size_t i;

	json_array_foreach (recipes, i, item) {
		char args[512];
		size_t n;

		snprintf(args, sizeof(args), "recipe validate --json '%s'", text_of(item, "name"));
		report = run_json(args);
		ck_assert_int_eq(sb_yaml_load(text_of(item, "path"), NULL, NULL, &doc, NULL), 0);
		n = sb_yaml_size(sb_yaml_get(sb_yaml_get(sb_yaml_root(doc), "metadata"), "accept"));
		ck_assert_msg(json_array_size(json_object_get(report, "accepted")) == n,
				"%s accepts %zu: %s", text_of(item, "name"), n, output);
		sb_yaml_free(sb_steal(doc));
		json_decref(report);
	}
	json_decref(recipes);
}
END_TEST

/* By its stem alone, so that no other bundled or published recipe has that name. */
START_TEST(every_one_is_found_by_its_name)
{
	json_t *recipes = bundled(), *item, *shown;
	size_t i;

	json_array_foreach (recipes, i, item) {
		const char *slash = strchr(text_of(item, "name"), '/');
		char args[512];

		ck_assert_ptr_nonnull(slash);
		snprintf(args, sizeof(args), "show --no-vram --json '%s'", slash + 1);
		shown = run_json(args);
		ck_assert_str_eq(text_of(shown, "name"), text_of(item, "name"));
		ck_assert_msg(*text_of(item, "description"), "%s says nothing", slash);
		/* With its label it is a line of a terminal. */
		ck_assert_msg(strlen(text_of(item, "description")) <= 66, "%s says too much",
				slash);
		json_decref(shown);
	}
	json_decref(recipes);
}
END_TEST

static const char *metadata_of(const struct sb_yaml_doc *doc, const char *key)
{
	return sb_yaml_str(sb_yaml_get(sb_yaml_get(sb_yaml_root(doc), "metadata"), key));
}

START_TEST(every_one_says_where_it_comes_from)
{
	json_t *recipes = bundled(), *item;
	struct sb_yaml_doc *doc = NULL;
	size_t i;

	json_array_foreach (recipes, i, item) {
		const char *path = text_of(item, "path"), *family;
		char want[512];

		ck_assert_int_eq(sb_yaml_load(path, NULL, NULL, &doc, NULL), 0);
		family = families_of(families, text_of(item, "model"));
		snprintf(want, sizeof(want), SOURCE_RECIPES "/%s/", family ? family : "?");
		ck_assert_msg(!strncmp(path, want, strlen(want)), "%s is not in %s", path, want);
		ck_assert_msg(sb_yaml_size(sb_yaml_get(sb_yaml_get(sb_yaml_root(doc), "metadata"),
					      "source")) >= 2,
				"%s names no source", path);
		ck_assert_msg(*metadata_of(doc, "maintainer"), "%s has no maintainer", path);
		ck_assert_str_eq(
				sb_yaml_str(sb_yaml_get(sb_yaml_root(doc), "recipe_version")), "2");
		sb_yaml_free(sb_steal(doc));
	}
	json_decref(recipes);
}
END_TEST

/* What lies beside the families is a registry, and known to be one. */
START_TEST(every_folder_is_a_family_or_known)
{
	DIR *dir = opendir(SOURCE_RECIPES);
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		char path[512];
		struct stat st;

		snprintf(path, sizeof(path), SOURCE_RECIPES "/%s", entry->d_name);
		if (entry->d_name[0] == '.' || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		ck_assert_msg(!strcmp(families_registry(families, entry->d_name),
					      BUNDLED_REGISTRY) ||
						!strcmp(entry->d_name, "official") ||
						!strcmp(entry->d_name, "rules"),
				"%s", entry->d_name);
	}
	closedir(dir);
}
END_TEST

START_TEST(show_tells_what_was_measured_and_by_whom)
{
	json_t *json;

	ck_assert_int_eq(run("show --no-vram qwen3.6-35b-a3b-nvfp4"), 0);
	ck_assert_ptr_nonnull(strstr(output, "\nNodes:        1\n"));
	ck_assert_ptr_nonnull(strstr(output, "\nGood for:     reasoning, vision, tools\n"));
	ck_assert_ptr_nonnull(strstr(output,
			"\nSource:       community guide for DGX Spark (June 2026), 7.1.1\n"
			"              https://huggingface.co/nvidia/Qwen3.6-35B-A3B-NVFP4\n"));
	ck_assert_ptr_nonnull(strstr(output,
			"\nMeasured by the source:\n"
			"  decode tok/s: answer 102, thinking 117 to 125\n"
			"  prefill tok/s: 6200\n"));
	ck_assert_int_eq(run("show --no-vram nemotron-3-nano-omni-30b-nvfp4"), 0);
	ck_assert_ptr_nonnull(strstr(output,
			"\nBefore it serves, in each container:\n  pip install 'vllm[audio]'\n"));
	ck_assert_int_eq(run("show --no-vram phi-4"), 0);
	ck_assert_ptr_null(strstr(output, "Before it serves"));
	ck_assert_ptr_null(strstr(output, "Measured"));
	json = run_json("show --no-vram --json qwen3.6-35b-a3b-nvfp4");
	ck_assert_int_eq(json_integer_value(json_object_get(
					 json_object_get(json_object_get(json, "metadata"),
							 "measured"),
					 "prefill_tok_s")),
			6200);
	json_decref(json);
}
END_TEST

/* --- values of metadata --- */

START_TEST(values_are_told_in_words)
{
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{ "7", "7" },
		{ "[1.5, 2]", "1.5 to 2" },
		{ "[1, 2, 3]", "1, 2, 3" },
		{ "[a, b]", "a, b" },
		{ "{at_16k: 41, long: [1, 2]}", "at 16k 41, long 1 to 2" },
		{ "{decode_tok_s: null}", "decode tok/s -" },
		{ "[]", "" },
		{ "[[[[[1]]]]]", "..." },
	};

	for (size_t i = 0; i < sb_countof(cases); i++) {
		struct sb_strbuf text = SB_STRBUF_INIT;
		struct sb_yaml_doc *doc = NULL;

		ck_assert_int_eq(sb_yaml_parse("case", cases[i].yaml, strlen(cases[i].yaml), NULL,
						 NULL, &doc, NULL),
				0);
		metadata_value(sb_yaml_root(doc), &text);
		ck_assert_str_eq(sb_strbuf_str(&text), cases[i].text);
		sb_strbuf_done(&text);
		sb_yaml_free(doc);
	}
}
END_TEST

/* --- the table of families --- */

START_TEST(a_model_has_the_first_family_that_fits)
{
	static const struct {
		const char *model, *family;
	} cases[] = {
		{ "Qwen/Qwen3-8B", "qwen" },
		{ "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "deepseek" },
		{ "nvidia/Llama-3_3-Nemotron-Super-49B-v1", "nemotron" },
		{ "MINIMAXAI/minimax-m2", "minimax" },
		{ "zai-org/GLM-4.7-Flash", "glm" },
		{ "/models/qwen3", "qwen" },
		{ "example/new-thing", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sb_countof(cases); i++)
		ck_assert_pstr_eq(families_of(families, cases[i].model), cases[i].family);
	for (size_t i = 1; families_at(families, i); i++)
		ck_assert_int_lt(strcmp(families_at(families, i - 1), families_at(families, i)), 0);
}
END_TEST

static void write_table(const char *text)
{
	ck_assert_int_eq(sb_fs_write(FAMILIES_FILE, text, strlen(text), 0600, NULL), 0);
}

START_TEST(a_bad_table_is_told_and_none_is_none)
{
	static const char *const bad[] = { "- a\n", "qwen: yes\n", "qwen: [a\n", "" };
	struct families *f = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(families_load(home, &f, NULL), 0);
	ck_assert_ptr_null(families_at(f, 0));
	ck_assert_ptr_null(families_of(f, "Qwen/Qwen3-8B"));
	ck_assert_str_eq(families_registry(f, "qwen"), "qwen");
	families_free(f);
	for (size_t i = 0; i < sb_countof(bad); i++) {
		write_table(bad[i]);
		ck_assert_msg(families_load(home, &f, &err) < 0, "%s", bad[i]);
		ck_assert_msg(strstr(err.text, FAMILIES_FILE) != NULL, "%s", err.text);
	}
	write_table("b: [\"*x*\"]\na: []\n");
	ck_assert_int_eq(families_load(home, &f, NULL), 0);
	ck_assert_str_eq(families_at(f, 0), "a");
	ck_assert_str_eq(families_of(f, "axb"), "b");
	ck_assert_str_eq(families_registry(f, "a"), BUNDLED_REGISTRY);
	families_free(f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bundled");
	TCase *tc = tcase_create("bundled");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_one_is_clean);
	tcase_add_test(tc, nothing_is_accepted_without_need);
	tcase_add_test(tc, every_one_is_found_by_its_name);
	tcase_add_test(tc, every_one_says_where_it_comes_from);
	tcase_add_test(tc, every_folder_is_a_family_or_known);
	tcase_add_test(tc, show_tells_what_was_measured_and_by_whom);
	tcase_add_test(tc, values_are_told_in_words);
	tcase_add_test(tc, a_model_has_the_first_family_that_fits);
	tcase_add_test(tc, a_bad_table_is_told_and_none_is_none);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
