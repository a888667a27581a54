/* The list of registries and the manifests of repositories: strangers write the latter. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_registry.h"

#define URL "https://github.com/spark-arena/recipe-registry.git"

static char warned[4096];

static void remember(void *ctx, const char *text)
{
	size_t len = strlen(warned);

	snprintf(warned + len, sizeof(warned) - len, "%s\n", text);
}

static int parse(const char *text, struct sb_registry_list *ret, struct sb_err *err)
{
	warned[0] = '\0';
	return sb_registry_parse("r.yaml", text, strlen(text), remember, NULL, ret, err);
}

static int manifest(
		const char *text, const char *url, struct sb_registry_list *ret, struct sb_err *err)
{
	warned[0] = '\0';
	return sb_manifest_parse("m.yaml", text, strlen(text), url, remember, NULL, ret, err);
}

/* --- the list --- */

START_TEST(the_published_list_is_built_in)
{
	static const struct {
		const char *name, *repository, *subpath;
		bool visible;
	} published[] = {
		{ "sparkrun-testing", "dbotwinick/sparkrun-recipe-registry.git", "testing/recipes",
				false },
		{ "official", "spark-arena/recipe-registry.git", "official-recipes", true },
		{ "eugr", "eugr/spark-vllm-docker", "recipes", true },
		{ "sparkrun-transitional", "dbotwinick/sparkrun-recipe-registry.git",
				"transitional/recipes", true },
		{ "experimental", "spark-arena/recipe-registry.git", "experimental-recipes",
				false },
		{ "community", "spark-arena/community-recipe-registry.git", "recipes", false },
		{ "atlas", "Avarok-Cybersecurity/atlas-recipes.git", "recipes", false },
	};
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;

	ck_assert_int_eq(sb_registry_defaults(&list, NULL), 0);
	ck_assert_uint_eq(list.n, sb_countof(published));
	for (size_t i = 0; i < list.n; i++) {
		const struct sb_registry *item = &list.items[i];

		ck_assert_str_eq(item->name, published[i].name);
		ck_assert_str_eq(
				item->url + strlen("https://github.com/"), published[i].repository);
		ck_assert_str_eq(item->subpath, published[i].subpath);
		ck_assert_int_eq(item->visible, published[i].visible);
		ck_assert(item->enabled && !item->trusted);
		ck_assert(sb_registry_name_ok(item->name));
		ck_assert(sb_registry_name_free(item->name, item->url));
		ck_assert_int_eq(sb_registry_url_check(item->url, false, NULL), 0);
	}
}
END_TEST

START_TEST(a_list_written_reads_back_the_same)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 }, back = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, again = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_registry_defaults(&list, NULL), 0);
	list.items[0].trusted = true;
	list.items[1].enabled = false;
	list.items[2].description = strdup("a: \"b\" # c\n- \xc3\xa9");
	ck_assert_int_eq(sb_registry_write(&list, &text, NULL), 0);
	ck_assert_int_eq(parse(sb_strbuf_str(&text), &back, NULL), 0);
	ck_assert_str_eq(warned, "");
	ck_assert_uint_eq(back.n, list.n);
	ck_assert(back.from_file && back.items[0].trusted && !back.items[1].enabled);
	ck_assert_str_eq(back.items[2].description, list.items[2].description);
	ck_assert_int_eq(sb_registry_write(&back, &again, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&again), sb_strbuf_str(&text));
	/* A default is left out. */
	ck_assert_ptr_null(strstr(text.data, "enabled: true"));
	ck_assert_ptr_null(strstr(text.data, "trusted: false"));
}
END_TEST

START_TEST(an_empty_list_reads_back_empty)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_registry_write(&list, &text, NULL), 0);
	ck_assert_int_eq(parse(sb_strbuf_str(&text), &list, NULL), 0);
	ck_assert_uint_eq(list.n, 0);
	ck_assert(list.from_file);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_not_written)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err;

	ck_assert_int_eq(sb_registry_defaults(&list, NULL), 0);
	list.items[3].description = strdup("\xff");
	ck_assert_int_eq(sb_registry_write(&list, &text, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "sparkrun-transitional: its description"));
}
END_TEST

/* Each entry is bad in one way; a good one stands before and behind it. */
static const struct {
	const char *entry, *why;
} bad_entries[] = {
	{ "just text", "r.yaml:3:3: a registry: expected a map" },
	{ "{url: 'https://h/r', subpath: r}", "r.yaml:3:3: a registry without a name" },
	{ "{name: b, subpath: r}", "registry b has no url" },
	{ "{name: b, url: 'https://h/r'}", "registry b has no subpath" },
	{ "{name: [b], url: 'https://h/r', subpath: r}", "r.yaml:3:10: name: expected text" },
	{ "{name: 'a/b', url: 'https://h/r', subpath: r}", "'a/b' cannot be" },
	{ "{name: local, url: 'https://h/r', subpath: r}", "'local' cannot be" },
	{ "{name: GOOD, url: 'https://h/r', subpath: r}", "a registry 'GOOD' already" },
	{ "{name: b, url: 'https://h/r', subpath: ../r}", "subpath: '../r' is no folder" },
	{ "{name: b, url: 'https://h/r', subpath: /r}", "subpath: '/r' is no folder" },
	{ "{name: b, url: 'https://h/r', subpath: r, mods_subpath: .git/hooks}", "mods_subpath" },
	{ "{name: b, url: '-oProxyCommand=x', subpath: r}", "begins like an option" },
	{ "{name: b, url: 'ext::sh -c x', subpath: r}", "registry b: ext::sh -c x" },
	{ "{name: b, url: 'https://h/r', subpath: r, enabled: maybe}", "enabled: expected true" },
};

START_TEST(a_bad_entry_is_told_and_hides_no_other)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	char text[512];

	snprintf(text, sizeof(text),
			"registries:\n- {name: good, url: 'https://h/r', subpath: r}\n- %s\n"
			"- {name: last, url: 'https://h/r', subpath: r}\n",
			bad_entries[_i].entry);
	ck_assert_int_eq(parse(text, &list, NULL), 0);
	ck_assert_uint_eq(list.n, 2);
	ck_assert_uint_eq(list.broken, 1);
	ck_assert_ptr_nonnull(sb_registry_find(&list, "last"));
	ck_assert_msg(!strncmp(warned, "r.yaml:3:", 9) && strstr(warned, bad_entries[_i].why), "%s",
			warned);
}
END_TEST

static const struct {
	const char *text, *why;
} bad_files[] = {
	{ "", "r.yaml: the file" },
	{ "[]", "the file: expected a map" },
	{ "registry: []", "no list 'registries'" },
	{ "registries: {}", "registries: expected a list" },
	{ "registries: [", "r.yaml:" },
};

START_TEST(what_is_no_list_is_an_error)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_lt(parse(bad_files[_i].text, &list, &err), 0);
	ck_assert_msg(strstr(err.text, "r.yaml") == err.text, "%s", err.text);
	if (_i)
		ck_assert_msg(strstr(err.text, bad_files[_i].why) != NULL, "%s", err.text);
	ck_assert_uint_eq(list.n, 0);
}
END_TEST

START_TEST(lists_have_a_cap)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_err err;

	sb_strbuf_adds(&text, "registries:\n");
	for (unsigned i = 0; i < SB_REGISTRIES_MAX; i++)
		sb_strbuf_addf(&text, "- {name: r%u, url: 'https://h/r', subpath: r}\n", i);
	ck_assert_int_eq(parse(text.data, &list, NULL), 0);
	ck_assert_uint_eq(list.n, SB_REGISTRIES_MAX);
	ck_assert_int_eq(sb_registry_append(&list,
					 &(struct sb_registry){ .name = (char *)"x",
							 .url = (char *)"https://h/r",
							 .subpath = (char *)"." },
					 &err),
			-SB_E_RANGE);
	sb_registry_list_done(&list);
	sb_strbuf_adds(&text, "- {name: x, url: 'https://h/r', subpath: r}\n");
	ck_assert_int_eq(parse(text.data, &list, &err), -SB_E_RANGE);
	ck_assert_uint_eq(list.n, 0);
}
END_TEST

START_TEST(entries_come_and_go)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry item = { .name = (char *)"Mine",
		.url = (char *)"https://h/r",
		.subpath = (char *)".",
		.enabled = true };
	struct sb_err err;

	ck_assert_int_eq(sb_registry_append(&list, &item, NULL), 0);
	item.name = (char *)"mine";
	ck_assert_int_eq(sb_registry_append(&list, &item, &err), -SB_E_BUSY);
	item.name = (char *)"other";
	ck_assert_int_eq(sb_registry_append(&list, &item, NULL), 0);
	ck_assert_str_eq(sb_registry_find(&list, "MINE")->name, "Mine");
	ck_assert_ptr_null(sb_registry_find(&list, "min"));
	sb_registry_drop(&list, 0);
	ck_assert_uint_eq(list.n, 1);
	ck_assert_str_eq(list.items[0].name, "other");
	sb_registry_drop(&list, 0);
	ck_assert_ptr_null(sb_registry_find(&list, "other"));
}
END_TEST

/* --- manifests --- */

START_TEST(a_published_manifest_reads)
{
	static const char text[] = "registries:\n"
				   "  - name: official\n"
				   "    description: Recipes\n"
				   "    recipes: official-recipes\n"
				   "    tuning: tuning\n"
				   "    benchmarks: benchmarking\n"
				   "    mods: official-mods\n"
				   "  - name: experimental\n"
				   "    recipes: short\n"
				   "    subpath: long\n"
				   "    visible: false\n"
				   "  - name: community\n";
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	const struct sb_registry *item;

	ck_assert_int_eq(manifest(text, URL, &list, NULL), 0);
	ck_assert_str_eq(warned, "");
	ck_assert_uint_eq(list.n, 3);
	item = &list.items[0];
	ck_assert_str_eq(item->url, URL);
	ck_assert_str_eq(item->subpath, "official-recipes");
	ck_assert_str_eq(item->tuning_subpath, "tuning");
	ck_assert_str_eq(item->benchmark_subpath, "benchmarking");
	ck_assert_str_eq(item->mods_subpath, "official-mods");
	ck_assert_str_eq(item->description, "Recipes");
	ck_assert(item->enabled && item->visible);
	ck_assert_str_eq(list.items[1].subpath, "long"); /* the long key goes before */
	ck_assert(!list.items[1].visible);
	ck_assert_str_eq(list.items[2].subpath, "recipes"); /* the default */
}
END_TEST

START_TEST(a_manifest_says_neither_trust_nor_address)
{
	static const char text[] = "registries:\n"
				   "- {name: x, trusted: true, url: 'https://elsewhere/r'}\n";
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };

	ck_assert_int_eq(manifest(text, "https://h/r", &list, NULL), 0);
	ck_assert(!list.items[0].trusted);
	ck_assert_str_eq(list.items[0].url, "https://h/r");
}
END_TEST

START_TEST(a_manifest_without_a_good_entry_is_an_error)
{
	static const char *const texts[] = { "registries: []", "registries:", "{}",
		"registries: [{name: official}]", "registries: [{}, 3]", "\xff" };
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_err err;

	for (size_t i = 0; i < sb_countof(texts); i++) {
		ck_assert_int_eq(manifest(texts[i], "https://h/r", &list, &err), -SB_E_INVALID);
		ck_assert_uint_eq(list.n, 0);
	}
}
END_TEST

/* --- names, folders, addresses --- */

START_TEST(names_of_others_are_refused)
{
	static const struct {
		const char *name, *url;
		bool is_free;
	} rows[] = {
		{ "mine", "https://example.org/r", true },
		{ "official", "https://example.org/spark-arena/r", false },
		{ "Official-2", "https://github.com/somebody/r", false },
		{ "official", "https://github.com/spark-arena/r", true },
		{ "OFFICIAL", "https://GitHub.com/Spark-Arena/r", true },
		{ "official", "https://github.com/spark-arena-fake/r", false },
		{ "official", "https://github.com.example.org/spark-arena/r", false },
		{ "official", "http://github.com/spark-arena/r", false },
		{ "official", "/srv/github.com/spark-arena/r", false },
		{ "eugr-x", "git@github.com:eugr/r", true },
		{ "eugr-x", "ssh://git@github.com/eugr/r", true },
		{ "sparkrunner", "https://github.com/scitrera/r", true },
		{ "sparkrunner", "https://github.com/x/r", false },
		{ "atlas", "https://github.com/spark-arena/r", false },
		{ "atlas", "https://github.com/Avarok-Cybersecurity/r", true },
		{ "atlas2", "https://example.org/r", true },
	};

	for (size_t i = 0; i < sb_countof(rows); i++)
		ck_assert_msg(sb_registry_name_free(rows[i].name, rows[i].url) == rows[i].is_free,
				"%s at %s", rows[i].name, rows[i].url);
}
END_TEST

START_TEST(names_are_plain)
{
	static const char *const good[] = { "a", "9", "my.reg_1-x",
		"a23456789012345678901234567890123456789012345678901234567890123" };
	static const char *const bad[] = { "", ".", "..", "-x", "_x", "a/b", "a b", "a@b", "a\n",
		"caf\xc3\xa9", "Local",
		"a234567890123456789012345678901234567890123456789012345678901234" };

	for (size_t i = 0; i < sb_countof(good); i++)
		ck_assert_msg(sb_registry_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!sb_registry_name_ok(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(folders_stay_inside)
{
	static const char *const good[] = { ".", "a", "a/b c/d", "..a", "a..", ".sparkrun",
		".github" };
	static const char *const bad[] = { "", "..", "a/..", "../a", "a/../b", "/a", "a/", "a//b",
		"./a", "a/.", ".git", "a/.GIT/b", "a\\b", "a\nb", "\x7f" };
	char longest[300];

	for (size_t i = 0; i < sb_countof(good); i++)
		ck_assert_msg(sb_registry_subpath_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!sb_registry_subpath_ok(bad[i]), "%s", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	ck_assert(!sb_registry_subpath_ok(longest));
	longest[255] = '\0';
	ck_assert(sb_registry_subpath_ok(longest));
}
END_TEST

START_TEST(addresses_are_https_or_ssh)
{
	static const char *const good[] = { "https://github.com/a/b.git", "https://h:8443/r",
		"https://[2001:db8::1]/r", "https://h/a/-b", "ssh://git@h/r", "ssh://h:22/r",
		"git@github.com:a/b.git", "http://127.0.0.1:8080/r", "http://localhost/r",
		"http://[::1]:1/r" };
	static const char *const bad[] = { "", "-c", "--upload-pack=x", "https://", "https://h",
		"https://h/", "https:///r", "https://h:/r", "https://h:123456/r", "https://h:x/r",
		"https://user@h/r", "https://user:secret@h/r", "https://-h/r", "http://h/r",
		"http://127.0.0.1.example.org/r", "http://localhost.example.org/r",
		"http://127.0.0.1@h/r", "ssh://-oProxyCommand=x/r", "ssh://a:b@h/r", "ssh://-u@h/r",
		"-o@h:r", "git@-h:r", "git@h:-r", "h:r", "git@h:", "ext::sh -c x", "git://h/r",
		"ftp://h/r", "HTTPS://h/r", "https://h/r r", "https://h/r\n", "https://h/r;x",
		"https://h/$(x)", "https://h/r?q=1", "https://h/r#f", "file://", "file://h/r",
		"relative/r", "./r" };
	static const char *const files[] = { "/srv/r", "file:///srv/r" };

	for (size_t i = 0; i < sb_countof(good); i++)
		ck_assert_msg(sb_registry_url_check(good[i], false, NULL) == 0, "%s", good[i]);
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(sb_registry_url_check(bad[i], true, NULL) == -SB_E_INVALID, "%s",
				bad[i]);
	for (size_t i = 0; i < sb_countof(files); i++) {
		struct sb_err err;

		ck_assert_int_eq(sb_registry_url_check(files[i], true, NULL), 0);
		ck_assert_int_eq(sb_registry_url_check(files[i], false, &err), -SB_E_INVALID);
		ck_assert_str_eq(err.hint, "--allow-file allows it");
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry_list");
	TCase *tc = tcase_create("list");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, the_published_list_is_built_in);
	tcase_add_test(tc, a_list_written_reads_back_the_same);
	tcase_add_test(tc, an_empty_list_reads_back_empty);
	tcase_add_test(tc, text_that_is_not_utf8_is_not_written);
	tcase_add_loop_test(tc, a_bad_entry_is_told_and_hides_no_other, 0, sb_countof(bad_entries));
	tcase_add_loop_test(tc, what_is_no_list_is_an_error, 0, sb_countof(bad_files));
	tcase_add_test(tc, lists_have_a_cap);
	tcase_add_test(tc, entries_come_and_go);
	tcase_add_test(tc, a_published_manifest_reads);
	tcase_add_test(tc, a_manifest_says_neither_trust_nor_address);
	tcase_add_test(tc, a_manifest_without_a_good_entry_is_an_error);
	tcase_add_test(tc, names_of_others_are_refused);
	tcase_add_test(tc, names_are_plain);
	tcase_add_test(tc, folders_stay_inside);
	tcase_add_test(tc, addresses_are_https_or_ssh);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
