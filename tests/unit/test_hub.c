#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sb_fs.h"
#include "sb_hub.h"

static char cache[64];

static void make_cache(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(cache, sizeof(cache), "%s/sb-hub-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(cache));
}

static void remove_cache(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", cache);
	ck_assert_int_eq(system(command), 0);
}

/* Write @text to @name below the cache; NULL makes a folder. */
static void put(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(cache, name);
	SB_CLEANUP(sb_freep) char *dir = strdup(path);

	if (text)
		*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(sb_fs_mkdirs(dir, 0700, NULL), 0);
	if (text)
		ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

/* --- where the cache is --- */

static const char *const *environment;

static const char *from_table(const char *name)
{
	for (const char *const *e = environment; e[0]; e += 2)
		if (!strcmp(e[0], name))
			return e[1];
	return NULL;
}

static const struct {
	const char *env[11];
	const char *place; /* NULL = none */
} places[] = {
	{ { "HOME", "/h" }, "/h/.cache/huggingface/hub" },
	{ { "HOME", "/h", "XDG_CACHE_HOME", "/x" }, "/x/huggingface/hub" },
	{ { "HOME", "/h", "XDG_CACHE_HOME", "/x", "HF_HOME", "/f" }, "/f/hub" },
	{ { "HOME", "/h", "HF_HOME", "~/f" }, "/h/f/hub" },
	{ { "HF_HOME", "/f", "HUGGINGFACE_HUB_CACHE", "/old" }, "/old" },
	{ { "HF_HOME", "/f", "HUGGINGFACE_HUB_CACHE", "/old", "HF_HUB_CACHE", "/c" }, "/c" },
	{ { "HOME", "/h", "HF_HOME", "" }, "/h/.cache/huggingface/hub" },
	{ { "HF_HOME", "" }, NULL },
};

START_TEST(the_environment_says_where_the_cache_is)
{
	SB_CLEANUP(sb_freep) char *place = NULL;
	struct sb_err err = SB_ERR_INIT;

	environment = places[_i].env;
	if (places[_i].place) {
		ck_assert_int_eq(sb_hub_cache(from_table, &place, &err), 0);
		ck_assert_str_eq(place, places[_i].place);
	} else {
		ck_assert_int_eq(sb_hub_cache(from_table, &place, &err), -SB_E_NOT_FOUND);
	}
}
END_TEST

/* --- from a name to a folder --- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static const struct {
	const char *model, *revision;
	bool found;
	int rc;
} names[] = {
	{ "org/m", "", true, 0 },
	{ "org/m", NULL, true, 0 },
	{ "org/m", "main", true, 0 },
	{ "org/m", COMMIT, true, 0 },
	{ "org/m", "refs/pr/1", true, 0 },
	{ "gpt2", "", true, 0 },
	{ "org/m", "other", false, 0 },
	{ "org/m", "evil", false, 0 },
	{ "org/m", "empty", false, 0 },
	{ "org/m", "huge", false, 0 },
	{ "org/m", "folder", false, 0 },
	{ "org/n", "", false, 0 },
	{ "", "", false, -SB_E_INVALID },
	{ "/", "", false, -SB_E_INVALID },
	{ "/models/m", "", false, -SB_E_INVALID },
	{ "org/", "", false, -SB_E_INVALID },
	{ "a/b/c", "", false, -SB_E_INVALID },
	{ "../..", "", false, -SB_E_INVALID },
	{ "org/..", "", false, -SB_E_INVALID },
	{ "./m", "", false, -SB_E_INVALID },
	{ "org/m:Q4_K_M", "", false, -SB_E_INVALID },
	{ "org/m\n", "", false, -SB_E_INVALID },
	{ "org/m", "../main", false, -SB_E_INVALID },
	{ "org/m", "/main", false, -SB_E_INVALID },
};

START_TEST(a_model_is_found_by_its_name)
{
	SB_CLEANUP(sb_freep) char *folder = NULL;
	struct sb_err err = SB_ERR_INIT;
	char huge[4096];

	memset(huge, 'a', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	put("models--org--m/refs/main", COMMIT);
	put("models--org--m/refs/refs/pr/1", COMMIT "\n");
	put("models--org--m/refs/evil", "../../../..");
	put("models--org--m/refs/empty", "");
	put("models--org--m/refs/huge", huge);
	put("models--org--m/refs/folder", NULL);
	put("models--org--m/snapshots/" COMMIT, NULL);
	put("models--gpt2/refs/main", COMMIT);
	put("models--gpt2/snapshots/" COMMIT, NULL);
	ck_assert_int_eq(sb_hub_snapshot(cache, names[_i].model, names[_i].revision, &folder, &err),
			names[_i].rc);
	ck_assert_msg((folder != NULL) == names[_i].found, "%s: %s", names[_i].model, folder);
	if (folder)
		ck_assert_str_eq(folder + strlen(folder) - strlen(COMMIT), COMMIT);
}
END_TEST

/* --- the files --- */

static void count(void *ctx, const char *text)
{
	++*(size_t *)ctx;
	ck_assert_uint_gt(strlen(text), 0);
}

static struct sb_hub_model read_model(size_t want_warnings)
{
	struct sb_hub_model m = { 0 };
	struct sb_err err = SB_ERR_INIT;
	size_t warnings = 0;

	ck_assert_int_eq(sb_hub_model_read(cache, count, &warnings, &m, &err), 0);
	ck_assert_uint_eq(warnings, want_warnings);
	return m;
}

START_TEST(files_are_read_as_they_are_there)
{
	struct sb_hub_model m = read_model(0);
	struct sb_vram_facts facts = sb_hub_facts(&m);

	ck_assert(!facts.config && !facts.hf_quant && !facts.index && !facts.n_files);
	sb_hub_model_done(&m);
	put("model.safetensors", "12345");
	put("config.json", "{}");
	put("hf_quant_config.json", "[]");
	m = read_model(0);
	facts = sb_hub_facts(&m);
	ck_assert(json_is_object(facts.config) && json_is_array(facts.hf_quant));
	ck_assert_uint_eq(facts.n_files, 1);
	ck_assert_str_eq(facts.files[0].name, "model.safetensors");
	ck_assert_uint_eq(facts.files[0].bytes, 5);
	sb_hub_model_done(&m);
	sb_hub_model_done(&m);
}
END_TEST

static const struct {
	const char *map;
	size_t n;
} maps[] = {
	{ "{\"a\":\"1\",\"b\":\"2\",\"c\":\"1\"}", 2 },
	{ "{\"a\":\"1\",\"b\":\"3\"}", 0 },
	{ "{\"a\":\"1\",\"b\":\"gone\"}", 0 }, /* a link whose blob is not there */
	{ "{\"a\":\"1\",\"b\":5}", 0 },
	{ "{\"a\":\"../1\"}", 0 },
	{ "{\"a\":\"sub/1\"}", 0 },
	{ "{\"a\":\"..\"}", 0 },
	{ "{\"a\":\"\"}", 0 },
	{ "{}", 0 },
	{ "[\"1\"]", 0 },
	{ "7", 0 },
};

START_TEST(all_files_that_the_index_names_or_none)
{
	char text[256], link[128];
	struct sb_hub_model m;

	put("1", "a");
	put("2", "bb");
	put("sub/1", "ccc");
	put("model.safetensors", "old"); /* is not what the index means */
	snprintf(link, sizeof(link), "%s/gone", cache);
	ck_assert_int_eq(symlink("../../blobs/none", link), 0);
	snprintf(text, sizeof(text), "{\"weight_map\":%s}", maps[_i].map);
	put("model.safetensors.index.json", text);
	m = read_model(0);
	ck_assert_uint_eq(m.n_files, maps[_i].n);
	sb_hub_model_done(&m);
}
END_TEST

START_TEST(what_is_no_use_is_said_and_left_out)
{
	SB_CLEANUP(sb_freep) char *huge = malloc(SB_HUB_CONFIG_MAX + 2);
	SB_CLEANUP(sb_freep) char *deep = malloc(100001);
	struct sb_hub_model m;

	memset(huge, ' ', SB_HUB_CONFIG_MAX + 1);
	huge[SB_HUB_CONFIG_MAX + 1] = '\0';
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	put("config.json", huge);
	put("hf_quant_config.json", "{\"a\": NaN}");
	put("model.safetensors.index.json", deep);
	m = read_model(3);
	ck_assert(!m.config && !m.hf_quant && !m.index && !m.n_files);
	sb_hub_model_done(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hub");
	TCase *tc = tcase_create("hub");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, make_cache, remove_cache);
	tcase_add_loop_test(tc, the_environment_says_where_the_cache_is, 0, sb_countof(places));
	tcase_add_loop_test(tc, a_model_is_found_by_its_name, 0, sb_countof(names));
	tcase_add_test(tc, files_are_read_as_they_are_there);
	tcase_add_loop_test(tc, all_files_that_the_index_names_or_none, 0, sb_countof(maps));
	tcase_add_test(tc, what_is_no_use_is_said_and_left_out);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
