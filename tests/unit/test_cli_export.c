/* export recipe, compose and systemd: the real command and the files that it writes. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_fs.h"

#define OUTPUT_MAX (256 * 1024)

static char home[64], output[OUTPUT_MAX];

static void make_home(void)
{
	static const char recipe[] = "model: org/m\ncontainer: img:1\ndefaults:\n  port: 8000\n"
				     "env: {HF_TOKEN: $SB_TEST_TOKEN}\n";
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-export-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	ck_assert_int_eq(chdir(home), 0);
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
	setenv("SB_TEST_TOKEN", "hf_not_to_be_seen", 1);
	ck_assert_int_eq(sb_fs_write("r.yaml", recipe, strlen(recipe), 0600, NULL), 0);
}

static void remove_home(void)
{
	char command[128];

	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

/* Both streams go to output[]. */
static void run(const char *args, int status)
{
	char command[512];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "'%s' %s 2>&1 </dev/null", SB_SPARKBUS, args);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	n = (size_t)WEXITSTATUS(pclose(pipe));
	ck_assert_msg((int)n == status, "%s: exit status %zu\n%s", args, n, output);
}

static void has(const char *part)
{
	ck_assert_msg(strstr(output, part) != NULL, "no '%s' in:\n%s", part, output);
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "no %s", path);
	return st.st_mode & 0777;
}

static void read_file(const char *path)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_fs_read(path, OUTPUT_MAX, &text, NULL), 0);
	snprintf(output, sizeof(output), "%s", sb_strbuf_str(&text));
}

START_TEST(a_recipe_is_printed_with_its_options)
{
	run("export recipe r --port 9 -o dtype=half --image own:2", 0);
	ck_assert_str_eq(output,
			"model: org/m\ncontainer: own:2\ndefaults:\n  port: 9\n"
			"  dtype: half\nenv:\n  HF_TOKEN: \"$SB_TEST_TOKEN\"\n");
	run("export recipe r --json --tp 2", 0);
	has("\"tensor_parallel\": 2");
	run("export recipe r --save", 2);
	run("export recipe r --save x --json", 2);
	run("export recipe r --force", 2);
	run("export recipe nowhere", 1);
}
END_TEST

START_TEST(a_saved_recipe_is_one)
{
	run("export recipe r --port 9 --save out.yaml", 0);
	run("export recipe out.yaml", 0);
	has("port: 9");
	run("export recipe r --save out.yaml", 1);
	has("out.yaml is there already");
	run("export recipe r --save out.yaml --force -o api_key=sesame", 0);
	ck_assert_uint_eq(mode_of("out.yaml"), 0600);
	run("recipe validate out.yaml -q", 0);
}
END_TEST

START_TEST(secrets_are_in_a_file_of_their_own)
{
	run("export compose r --save dir", 0);
	ck_assert_uint_eq(mode_of("dir/.env"), 0600);
	ck_assert_uint_eq(mode_of("dir/compose.yaml"), 0644);
	read_file("dir/compose.yaml");
	ck_assert_ptr_null(strstr(output, "hf_not"));
	has("image: img:1\n");
	read_file("dir/.env");
	ck_assert_str_eq(output, "HF_TOKEN='hf_not_to_be_seen'\n");
	run("export compose r", 0);
	has("As if there were 1 node: ");
	ck_assert_ptr_null(strstr(output, "hf_not"));
	has("HF_TOKEN. They belong into .env");
}
END_TEST

START_TEST(every_rank_has_its_unit)
{
	run("export systemd r --nodes 2 --tp 2 --container-name pair --save units", 0);
	has("the nodes are called node1");
	read_file("units/pair-rank1.service");
	has("--node-rank 1 --master-addr node1");
	has("\nEnvironmentFile=/etc/sparkbus/pair.env\n");
	ck_assert_uint_eq(mode_of("units/pair.env"), 0600);
	run("export systemd r --nodes 2 --tp 2 --rank 1", 0);
	has("--node-rank 1");
	ck_assert_ptr_null(strstr(output, "--node-rank 0"));
	run("export systemd r --rank 1", 1);
	has("rank 1; the launch has 1");
}
END_TEST

START_TEST(places_are_checked)
{
	run("export compose r --user 5:6 --hf-cache /data/hf", 0);
	has("user: \"5:6\"");
	has("source: /data/hf\n");
	run("export compose r --user me", 1);
	has("expected numbers, UID:GID");
	run("export compose r --user 5:", 1);
	run("export compose r --hf-cache data", 1);
	has("expected an absolute path");
	run("export compose r --force", 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_export");
	TCase *tc = tcase_create("cli_export");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, make_home, remove_home);
	tcase_add_test(tc, a_recipe_is_printed_with_its_options);
	tcase_add_test(tc, a_saved_recipe_is_one);
	tcase_add_test(tc, secrets_are_in_a_file_of_their_own);
	tcase_add_test(tc, every_rank_has_its_unit);
	tcase_add_test(tc, places_are_checked);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
