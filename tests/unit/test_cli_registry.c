/* The registry commands, and listings with their index: the real command on real repositories. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_fs.h"
#include "testdir.h"

#define OUTPUT_MAX (1024 * 1024)

static char output[OUTPUT_MAX];

static void sh(const char *script)
{
	SB_CLEANUP(sb_freep) char *command = NULL;

	ck_assert_int_ge(asprintf(&command, "{ %s; } >/dev/null 2>&1", script), 0);
	ck_assert_msg(system(command) == 0, "%s", script);
}

/* A folder of its own, in which nothing but one repository exists. */
static void make_home(void)
{
	SB_CLEANUP(sb_freep) char *bundled = NULL;

	testdir_make();
	ck_assert_int_eq(chdir(testdir), 0);
	setenv("HOME", testdir, 1);
	setenv("SPARKBUS_HOME", testdir, 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	setenv("GIT_AUTHOR_NAME", "a", 1);
	setenv("GIT_AUTHOR_EMAIL", "a@b", 1);
	setenv("GIT_COMMITTER_NAME", "a", 1);
	setenv("GIT_COMMITTER_EMAIL", "a@b", 1);
	sh("mkdir -p bundled/official cache here && cd here && "
	   "printf 'model: a/b\\ncontainer: c\\nruntime: vllm\\n' > ../bundled/official/old.yaml");
	ck_assert_int_eq(chdir("here"), 0);
	setenv("SPARKBUS_CACHE", "../cache", 1);
	bundled = sb_fs_join(testdir, "bundled");
	setenv("SPARKBUS_RECIPES", bundled, 1);
}

static void leave_home(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	testdir_done();
}

static void make_repo(void)
{
	sh("git init -q -b main ../repo && cd ../repo && mkdir -p .sparkrun r && "
	   "printf 'registries: [{name: mine, recipes: r}, {name: shy, recipes: s, visible: no}]' "
	   "> .sparkrun/registry.yaml && "
	   "printf 'model: org/first\\ncontainer: c\\nruntime: vllm\\ndescription: \"a\\\\tb\"\\n"
	   "defaults: {tensor_parallel: 2, gpu_memory_utilization: 0.85}\\n' > r/first.yaml && "
	   "printf 'model: org/bad\\ncontainer: [\\n' > r/bad.yaml && mkdir s && "
	   "cp r/first.yaml s/hidden.yaml && git add -A && git commit -qm one");
}

/* Both streams go to output[]. */
static void ck_run(const char *args, int status)
{
	char command[512];
	FILE *pipe;
	size_t n;
	int got;

	snprintf(command, sizeof(command), "'%s' %s 2>&1 </dev/null", SB_SPARKBUS, args);
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	got = WEXITSTATUS(pclose(pipe));
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

static void add_repo(void)
{
	char args[256];

	make_repo();
	snprintf(args, sizeof(args), "registry add %s/repo --allow-file", testdir);
	ck_run(args, 0);
}

/* --- the list --- */

START_TEST(flags_are_set_and_said)
{
	static const struct {
		const char *args, *says, *again;
	} rows[] = { { "registry disable eugr", "'eugr' disabled.", "is disabled already" },
		{ "registry enable eugr", "'eugr' enabled.", "is enabled already" },
		{ "registry trust EUGR", "trusted.", "is trusted already" },
		{ "registry untrust eugr", "not trusted any more", "is not trusted" } };

	for (size_t i = 0; i < sb_countof(rows); i++) {
		ck_run(rows[i].args, 0);
		ck_has(rows[i].says);
		ck_run(rows[i].args, 0);
		ck_has(rows[i].again);
	}
	ck_run("registry trust eurg", 1);
	ck_has("There is no registry 'eurg'");
	ck_has("Did you mean 'eugr'?");
}
END_TEST

START_TEST(a_list_shows_what_is_asked_for)
{
	json_t *json;

	ck_run("registry disable community", 0);
	ck_run("registry trust official", 0);
	ck_run("registry list", 0);
	ck_not("community");
	ck_has("atlas");
	ck_not("None is trusted");
	ck_run("registry list --show-disabled", 0);
	ck_has("community");
	ck_run("registry list --only-show-visible", 0);
	ck_not("atlas");
	ck_run("registry list --json", 0);
	json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "registries")), 6);
	ck_assert(json_is_false(json_object_get(json, "built_in")));
	json_decref(json);
}
END_TEST

START_TEST(a_list_that_cannot_be_read_is_told_and_can_be_replaced)
{
	sh("printf 'registries:\\n- {name: ok, url: https://h/r, subpath: r}\\n- {name: x}\\n' > "
	   "../registries.yaml");
	ck_run("registry list", 0);
	ck_has("registries.yaml:3:3: registry x has no url");
	ck_has("ok ");
	ck_run("list", 0);
	ck_has("registries.yaml:3:3: registry x has no url");
	ck_has("@official/old");
	ck_run("registry trust ok", 1);
	ck_has("mend or remove them");
	sh("printf '[' > ../registries.yaml");
	ck_run("list", 0);
	ck_has("registries.yaml:");
	ck_has("@official/old");
	ck_run("registry revert-to-defaults", 1);
	ck_has("--force");
	ck_run("registry revert-to-defaults --force", 0);
	ck_run("registry list", 0);
	ck_has("sparkrun-transitional");
}
END_TEST

START_TEST(a_repository_comes_and_goes)
{
	add_repo();
	ck_has("Added 2 registries");
	ck_has("shy (hidden)");
	ck_has("mine: ");
	ck_run("registry list --json", 0);
	ck_has("\"commit\": \"");
	ck_run("registry update mine", 1);
	ck_has("--allow-file allows it");
	ck_has("the copy that is here stays in use");
	ck_run("registry update mine --allow-file", 0);
	ck_has("nothing new");
	ck_run("registry update nobody", 1);
	/* A folder that the list names since, and the copy does not have yet. */
	ck_run("registry disable shy", 0);
	ck_run("registry update mine --allow-file", 0);
	ck_run("show @shy/hidden --no-vram", 1);
	ck_has("it is disabled: sparkbus registry enable shy");
	ck_run("registry enable shy", 0);
	ck_run("show @shy/hidden --no-vram", 1);
	ck_has("it has not been fetched: sparkbus registry update shy");
	ck_run("list --registry shy", 1);
	ck_has("it has not been fetched: sparkbus registry update shy");
	ck_run("registry update --allow-file shy", 0);
	ck_run("registry remove mine", 0);
	ck_run("show @shy/hidden --no-vram", 0); /* of the same repository */
	ck_run("registry remove shy", 0);
	ck_run("show @shy/hidden --no-vram", 1);
	ck_run("registry remove shy", 1);
}
END_TEST

/* --- recipes --- */

START_TEST(a_registry_goes_before_what_is_bundled_under_its_name)
{
	add_repo();
	sh("mkdir -p ../bundled/mine && printf 'model: bundled/one\\ncontainer: c\\nruntime: "
	   "vllm\\n' > ../bundled/mine/first.yaml && cp ../bundled/mine/first.yaml "
	   "../bundled/mine/more.yaml");
	ck_run("show first --no-vram", 0);
	ck_has("org/first");
	ck_has("registry mine (not trusted)");
	ck_run("show @mine/more --no-vram", 0);
	ck_has("bundled, ");
	ck_run("list --registry mine", 0);
	ck_has("org/first");
	ck_has("bundled/one");
	ck_has("2 recipes");
}
END_TEST

START_TEST(a_recipe_of_the_cache_is_never_the_operators_own)
{
	add_repo();
	ck_run("show $(echo ../cache/registries/_url_*/current/r/first.yaml) --no-vram", 0);
	ck_has("registry mine (not trusted)");
	sh("ln -s $(realpath ../cache/registries/_url_*/current/r/first.yaml) link.yaml");
	ck_run("show ./link.yaml --no-vram", 0);
	ck_has("registry mine (not trusted)");
	ck_run("show link --no-vram", 0);
	ck_has("registry mine (not trusted)");
	sh("mkdir -p ../cache/other && cp link.yaml ../cache/other/x.yaml");
	ck_run("show ../cache/other/x.yaml --no-vram", 0);
	ck_has("registry ? (not trusted)");
	sh("cp link.yaml own.yaml");
	ck_run("show ./own.yaml --no-vram", 0);
	ck_has("a file, ");
}
END_TEST

START_TEST(a_profiles_name_steers_no_terminal)
{
	sh("mkdir -p ../benchmarking && printf 'framework: x\\033[2J\\n' > "
	   "../benchmarking/plain.yaml && cp ../benchmarking/plain.yaml "
	   "../benchmarking/$(printf 'a\\033[31mb').yaml");
	ck_run("registry list-benchmark-profiles", 0);
	ck_has("plain");
	ck_not("\033");
	ck_run("registry show-benchmark-profile $(printf 'a\\033[31mb')", 1);
	ck_not("\033");
	sh("printf 'framework: x\\n' > ../benchmarking/$(printf 'a\\033[31mb').yaml");
	ck_run("registry show-benchmark-profile $(printf 'a\\033[31mb')", 0);
	ck_has("Profile: a?[31mb");
	ck_not("\033");
	ck_run("registry show-benchmark-profile none", 1);
	ck_has("No benchmark profile 'none'");
}
END_TEST

/* --- the index --- */

static void list_twice(char ret[OUTPUT_MAX])
{
	ck_run("list --json", 0);
	memcpy(ret, output, OUTPUT_MAX);
	ck_run("list --json", 0);
	ck_assert_str_eq(output, ret);
}

static bool same_file(const char *path, const struct stat *before)
{
	struct stat now;

	return stat(path, &now) == 0 && now.st_ino == before->st_ino;
}

START_TEST(a_listing_from_the_index_is_the_same)
{
	static char text[OUTPUT_MAX];
	struct stat st;

	add_repo();
	list_twice(text);
	ck_has("\"a\\tb\"");
	ck_has("bad.yaml:");
	ck_assert_int_eq(stat("../cache/recipe-index", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_run("list", 0);
	ck_has("0.85");
	/* Nothing new, nothing written. */
	ck_assert(same_file("../cache/recipe-index", &st));
}
END_TEST

/* What the index says of a file that has changed since counts for nothing. */
START_TEST(a_file_that_changed_is_read_again)
{
	static char text[OUTPUT_MAX];

	add_repo();
	list_twice(text);
	/* The same size; only times and content differ. */
	sh("sed -i s,org/first,org/other, ../cache/registries/_url_*/current/r/first.yaml");
	ck_run("list", 0);
	ck_has("org/other");
	ck_not("org/first");
}
END_TEST

static const char *const damages[] = { ": > ../cache/recipe-index",
	"truncate -s -1 ../cache/recipe-index", "echo more >> ../cache/recipe-index",
	"sed -i 's,org/first,org/wrong,' ../cache/recipe-index",
	"sed -i '1s,recipes [0-9]*,recipes 0,' ../cache/recipe-index",
	"head -c 5000 /dev/urandom > ../cache/recipe-index",
	"rm ../cache/recipe-index && mkdir ../cache/recipe-index",
	"rm ../cache/recipe-index && ln -s /dev/zero ../cache/recipe-index" };

START_TEST(a_damaged_index_is_none)
{
	static char text[OUTPUT_MAX];

	add_repo();
	list_twice(text);
	sh(damages[_i]);
	ck_run("list --json", 0);
	ck_assert_str_eq(output, text);
}
END_TEST

START_TEST(the_index_forgets_what_is_gone)
{
	add_repo();
	ck_run("list --all", 0);
	sh("grep -q s/hidden.yaml ../cache/recipe-index");
	ck_run("registry remove mine", 0);
	ck_run("registry remove shy", 0);
	sh("touch ../bundled/official/old.yaml");
	ck_run("list", 0);
	sh("! grep -q hidden.yaml ../cache/recipe-index");
}
END_TEST

START_TEST(without_a_place_for_it_there_is_no_index)
{
	add_repo();
	setenv("SPARKBUS_CACHE", "/dev/null/x", 1);
	ck_run("list", 0);
	ck_has("@official/old");
}
END_TEST

/* --- completion --- */

START_TEST(completion_knows_registries)
{
	add_repo();
	ck_run("complete registry tr", 0);
	ck_has("trust");
	ck_run("complete registry trust m", 0);
	ck_has("mine");
	ck_run("complete show @s", 0);
	ck_has("@shy/hidden");
	ck_run("complete show hid", 0);
	ck_not("hidden");
	ck_run("complete -- list --registry ''", 0);
	ck_has("mine");
	ck_has("shy");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_registry");
	TCase *tc = tcase_create("registry");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, make_home, leave_home);
	tcase_add_test(tc, flags_are_set_and_said);
	tcase_add_test(tc, a_list_shows_what_is_asked_for);
	tcase_add_test(tc, a_list_that_cannot_be_read_is_told_and_can_be_replaced);
	tcase_add_test(tc, a_repository_comes_and_goes);
	tcase_add_test(tc, a_registry_goes_before_what_is_bundled_under_its_name);
	tcase_add_test(tc, a_recipe_of_the_cache_is_never_the_operators_own);
	tcase_add_test(tc, a_profiles_name_steers_no_terminal);
	tcase_add_test(tc, a_listing_from_the_index_is_the_same);
	tcase_add_test(tc, a_file_that_changed_is_read_again);
	tcase_add_loop_test(tc, a_damaged_index_is_none, 0, sb_countof(damages));
	tcase_add_test(tc, the_index_forgets_what_is_gone);
	tcase_add_test(tc, without_a_place_for_it_there_is_no_index);
	tcase_add_test(tc, completion_knows_registries);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
