/* recipe explain: the real command on recipes of the golden corpus. tests/golden/explain has what
 * it prints; "test_explain --write" writes it anew. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sb_fs.h"

#define OUTPUT_MAX (1024 * 1024)

static char home[64], output[OUTPUT_MAX];

static const struct {
	const char *name, *args;
} cases[] = {
	{ "generated.txt", "handmade/vd.yaml --nodes 2 --port 9000 -o env.X=1 -o dtype=half" },
	{ "template.txt",
			"official/official-recipes/minimax-m2.7/minimax-m2.7-awq4-vllm.yaml "
			"--nodes 2 --tp 2" },
	{ "ray.txt", "handmade/ray.yaml --nodes 2" },
	{ "llama-cpp.txt", "handmade/lct.yaml --nodes 3 --tp 3" },
	{ "executor.txt", "handmade/ex.yaml --nodes 1 --no-rm --label a=b --memory-limit 1g" },
	{ "template.json", "handmade/t.yaml --solo --image own:1 --json" },
};

/* What --json says is looked at for these, too. */
static const char *const more[] = {
	"handmade/sg.yaml --nodes 2",
	"handmade/atlas.yaml --nodes 2",
	"handmade/dp.yaml --nodes 4",
	"handmade/w1.yaml --nodes 2",
	"handmade/eug.yaml --nodes 2",
	"handmade/trt.yaml --nodes 2",
};

static bool enter(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-explain-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(home) || chdir(GOLDEN_DIR "/corpus") < 0)
		return false;
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
	return true;
}

static void make_home(void)
{
	ck_assert(enter());
}

static void remove_home(void)
{
	ck_assert_int_eq(rmdir(home), 0); /* nothing was left there */
}

/* stdout goes to output[]. Return: the exit status. */
static int run(const char *args)
{
	char command[512];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "'%s' recipe explain %s 2>/dev/null </dev/null",
			SB_SPARKBUS, args);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

START_TEST(it_prints_what_it_printed)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf want = SB_STRBUF_INIT;
	char path[512];

	snprintf(path, sizeof(path), GOLDEN_DIR "/explain/%s", cases[_i].name);
	ck_assert_int_eq(sb_fs_read(path, OUTPUT_MAX, &want, NULL), 0);
	ck_assert_int_eq(run(cases[_i].args), 0);
	ck_assert_msg(!strcmp(output, sb_strbuf_str(&want)),
			"%s: not what it was; if it is as meant, \"test_explain --write\" and look "
			"at "
			"the difference. Now:\n%s",
			path, output);
}
END_TEST

/* The pieces of each word, put together, are the word. */
static void check_word(const json_t *word)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf all = SB_STRBUF_INIT;
	json_t *piece;
	size_t i;

	json_array_foreach (json_object_get(word, "pieces"), i, piece) {
		const json_t *from = json_object_get(piece, "from");

		sb_strbuf_adds(&all, json_string_value(json_object_get(piece, "text")));
		ck_assert_ptr_nonnull(json_string_value(json_object_get(from, "kind")));
	}
	ck_assert_str_eq(sb_strbuf_str(&all), json_string_value(json_object_get(word, "word")));
}

START_TEST(pieces_make_the_word)
{
	json_t *json, *rank, *word;
	char args[256];
	size_t i, k;

	snprintf(args, sizeof(args), "%s --json",
			(size_t)_i < sb_countof(cases) ? cases[_i].args
						       : more[(size_t)_i - sb_countof(cases)]);
	ck_assert_int_eq(run(args), 0);
	json = json_loads(output, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_uint_gt(json_array_size(json_object_get(json, "ranks")), 0);
	json_array_foreach (json_object_get(json, "ranks"), i, rank) {
		ck_assert_uint_gt(json_array_size(json_object_get(rank, "argv")), 0);
		json_array_foreach (json_object_get(rank, "argv"), k, word)
			check_word(word);
	}
	json_decref(json);
}
END_TEST

START_TEST(no_secret_is_shown)
{
	static const char args[] = "handmade/sg.yaml --nodes 2 -o api_key=sesame-open "
				   "-o env.HF_TOKEN=hf_very_secret -o env.OTHER=hf_very_secret";
	char json[sizeof(args) + 16];

	ck_assert_int_eq(run(args), 0);
	ck_assert_ptr_nonnull(strstr(output, "HF_TOKEN=***"));
	ck_assert_ptr_nonnull(strstr(output, "--api-key '***'"));
	ck_assert_ptr_null(strstr(output, "sesame"));
	ck_assert_ptr_null(strstr(output, "hf_very"));
	snprintf(json, sizeof(json), "%s --json", args);
	ck_assert_int_eq(run(json), 0);
	ck_assert_ptr_null(strstr(output, "sesame"));
	ck_assert_ptr_null(strstr(output, "hf_very"));
}
END_TEST

/* Nobody has to have a node, and what is asked for decides how many there would be. */
START_TEST(without_hosts_the_recipe_says_how_many_nodes)
{
	ck_assert_int_eq(run("handmade/vd.yaml"), 0);
	ck_assert_ptr_nonnull(strstr(output, "Rank 1, on node2"));
	ck_assert_ptr_null(strstr(output, "Rank 2"));
	ck_assert_int_eq(run("handmade/vd.yaml --tp 3"), 0);
	ck_assert_ptr_nonnull(strstr(output, "Rank 2, on node3"));
	ck_assert_int_eq(run("handmade/vd.yaml --solo"), 0);
	ck_assert_ptr_null(strstr(output, "Rank 1"));
	ck_assert_int_eq(run("handmade/vd.yaml --hosts nowhere"), 1);
	ck_assert_int_eq(run("handmade/vd.yaml --nodes 0"), 2);
}
END_TEST

static int write_all(void)
{
	char path[512];
	struct sb_err err;

	if (!enter())
		return 1;
	for (size_t i = 0; i < sb_countof(cases); i++) {
		run(cases[i].args);
		snprintf(path, sizeof(path), GOLDEN_DIR "/explain/%s", cases[i].name);
		if (sb_fs_write(path, output, strlen(output), 0644, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
	}
	return rmdir(home) < 0;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("explain");
	TCase *tc = tcase_create("explain");
	SRunner *runner;
	int failed;

	if (argc == 2 && !strcmp(argv[1], "--write"))
		return write_all();
	tcase_add_checked_fixture(tc, make_home, remove_home);
	tcase_add_loop_test(tc, it_prints_what_it_printed, 0, sb_countof(cases));
	tcase_add_loop_test(tc, pieces_make_the_word, 0, sb_countof(cases) + sb_countof(more));
	tcase_add_test(tc, no_secret_is_shown);
	tcase_add_test(tc, without_hosts_the_recipe_says_how_many_nodes);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
