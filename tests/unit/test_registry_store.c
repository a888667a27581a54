/* Copies of repositories: real ones, made by git, on this disk. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_fs.h"
#include "sb_registry.h"
#include "testdir.h"

static char *repo, *config, *cache;

static void make_places(void)
{
	testdir_make();
	repo = sb_fs_join(testdir, "repo");
	config = sb_fs_join(testdir, "config");
	cache = sb_fs_join(testdir, "cache");
	setenv("HOME", testdir, 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
}

static void drop_places(void)
{
	free(repo);
	free(config);
	free(cache);
	testdir_done();
}

static void sh(const char *script)
{
	SB_CLEANUP(sb_freep) char *command = NULL;

	ck_assert_int_ge(asprintf(&command,
					 "cd '%s' && export LC_ALL=C GIT_AUTHOR_NAME=a "
					 "GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a "
					 "GIT_COMMITTER_EMAIL=a@b && { %s; } >/dev/null 2>&1",
					 testdir, script),
			0);
	ck_assert_msg(system(command) == 0, "%s", script);
}

static void make_repo(void)
{
	sh("git init -q -b main repo && cd repo && mkdir -p .sparkrun r/deep other mods/fix bench "
	   "&& "
	   "echo 'registries: [{name: x, recipes: r, mods: mods}, {name: y, recipes: other}]' "
	   "> .sparkrun/registry.yaml && echo one > r/a.yaml && echo two > r/deep/b.yaml && "
	   "echo three > other/c.yaml && echo four > unasked && echo run > mods/fix/run.sh && "
	   "git add -A && git commit -qm one");
}

static struct sb_registry_store *open_store(bool allow_file)
{
	const struct sb_registry_options options = {
		.config = config, .cache = cache, .allow_file = allow_file
	};
	struct sb_registry_store *store;

	ck_assert_int_eq(sb_registry_open(&options, &store, NULL), 0);
	return store;
}

static struct sb_registry_list list_of_repo(void)
{
	struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	const struct sb_registry items[] = {
		{ .name = (char *)"x",
				.url = repo,
				.subpath = (char *)"r",
				.mods_subpath = (char *)"mods",
				.tuning_subpath = (char *)"none",
				.enabled = true },
		{ .name = (char *)"y", .url = repo, .subpath = (char *)"other", .enabled = true },
	};

	for (size_t i = 0; i < sb_countof(items); i++)
		ck_assert_int_eq(sb_registry_append(&list, &items[i], NULL), 0);
	return list;
}

static struct sb_registry_update update_all(
		const struct sb_registry_store *store, const struct sb_registry_list *list)
{
	struct sb_registry_update updates[8] = { 0 };
	size_t n;

	ck_assert_int_eq(sb_registry_update(store, list, NULL, NULL, NULL, updates, &n, NULL), 0);
	ck_assert_uint_ge(n, 1);
	for (size_t i = 1; i < n; i++)
		ck_assert_int_eq(updates[i].changed, updates[0].changed);
	return updates[0];
}

static bool holds(const char *folder, const char *file, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(folder, file);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	return sb_fs_read(path, 4096, &out, NULL) == 0 && !strcmp(sb_strbuf_str(&out), text);
}

static char *folder_of(const struct sb_registry_store *store, const struct sb_registry *item,
		enum sb_registry_part part)
{
	char *path = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_registry_folder(store, item, part, &path, &err) == 0, "%s", err.text);
	return path;
}

/* What a shell prints of the cache. */
static const char *see(const char *command)
{
	static char out[8192];
	SB_CLEANUP(sb_freep) char *line = NULL;
	FILE *pipe;
	size_t n;

	ck_assert_int_ge(asprintf(&line, "cd '%s/registries' && %s", cache, command), 0);
	pipe = popen(line, "re");
	n = fread(out, 1, sizeof(out) - 1, pipe);
	pclose(pipe);
	out[n] = '\0';
	return out;
}

/* --- the list on disk --- */

START_TEST(without_a_file_the_list_is_the_built_in_one)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(false);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct stat st;

	ck_assert_str_eq(sb_registry_cache(store), cache);
	ck_assert_int_eq(sb_registry_load(store, NULL, NULL, &list, NULL), 0);
	ck_assert_uint_eq(list.n, 7);
	ck_assert(!list.from_file);
	/* Reading makes nothing. */
	ck_assert_int_lt(stat(config, &st), 0);
	ck_assert_int_lt(stat(cache, &st), 0);
}
END_TEST

START_TEST(the_cache_is_where_the_environment_says)
{
	static const struct {
		const char *own, *xdg, *home, *want;
	} rows[] = { { "/own", "/xdg", "/home", "/own" }, { "", "/xdg", "/home", "/xdg/sparkbus" },
		{ NULL, "relative", "/home", "/home/.cache/sparkbus" },
		{ NULL, NULL, "/home", "/home/.cache/sparkbus" }, { NULL, NULL, NULL, NULL } };

	for (size_t i = 0; i < sb_countof(rows); i++) {
		SB_CLEANUP(sb_freep) char *got = NULL;

		rows[i].own ? setenv("SPARKBUS_CACHE", rows[i].own, 1) : unsetenv("SPARKBUS_CACHE");
		rows[i].xdg ? setenv("XDG_CACHE_HOME", rows[i].xdg, 1) : unsetenv("XDG_CACHE_HOME");
		rows[i].home ? setenv("HOME", rows[i].home, 1) : unsetenv("HOME");
		ck_assert_int_eq(sb_registry_cache_home(&got, NULL),
				rows[i].want ? 0 : -SB_E_INVALID);
		if (rows[i].want)
			ck_assert_str_eq(got, rows[i].want);
	}
}
END_TEST

static int trust_eugr(struct sb_registry_list *list, void *arg, struct sb_err *err)
{
	sb_registry_find(list, "eugr")->trusted = true;
	return *(int *)arg;
}

START_TEST(an_edit_is_whole_or_not_at_all)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(false);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(config, "registries.yaml");
	struct stat st;
	int fails = -SB_E_BUSY, works = 0;

	ck_assert_int_eq(sb_registry_edit(store, trust_eugr, &fails, NULL, NULL, NULL), -SB_E_BUSY);
	ck_assert_int_lt(stat(path, &st), 0);
	ck_assert_int_eq(sb_registry_edit(store, trust_eugr, &works, NULL, NULL, NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(sb_registry_load(store, NULL, NULL, &list, NULL), 0);
	ck_assert(list.from_file && list.n == 7);
	for (size_t i = 0; i < list.n; i++)
		ck_assert_int_eq(list.items[i].trusted, !strcmp(list.items[i].name, "eugr"));
}
END_TEST

START_TEST(an_edit_does_not_lose_what_it_cannot_read)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(false);
	struct sb_err err = SB_ERR_INIT;
	int works = 0;

	sh("mkdir -p config && printf 'registries:\\n- {name: a}\\n- {name: eugr, url: "
	   "https://h/r, "
	   "subpath: r}\\n' > config/registries.yaml && cp config/registries.yaml before");
	ck_assert_int_eq(sb_registry_edit(store, trust_eugr, &works, NULL, NULL, &err),
			-SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "1 entries that cannot be read"));
	sh("cmp before config/registries.yaml");
}
END_TEST

/* --- copies --- */

START_TEST(an_update_copies_the_named_folders_and_no_git)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL, *mods = NULL, *y = NULL, *none = NULL;
	struct sb_registry_update update;
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1];
	struct sb_err err = SB_ERR_INIT;

	make_repo();
	list = list_of_repo();
	sb_registry_commit(store, &list.items[0], commit);
	ck_assert_str_eq(commit, "");
	ck_assert_int_eq(sb_registry_folder(store, &list.items[0], SB_REGISTRY_RECIPES, &x, &err),
			-SB_E_NOT_FOUND);
	ck_assert_str_eq(err.hint, "sparkbus registry update x");
	update = update_all(store, &list);
	ck_assert_msg(!update.failed, "%s", update.err.text);
	ck_assert(update.changed && !update.had_copy);
	sb_registry_commit(store, &list.items[0], commit);
	ck_assert_str_eq(commit, update.commit);
	ck_assert_uint_eq(strlen(commit), 40);
	x = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	mods = folder_of(store, &list.items[0], SB_REGISTRY_MODS);
	y = folder_of(store, &list.items[1], SB_REGISTRY_RECIPES);
	ck_assert(holds(x, "a.yaml", "one\n") && holds(x, "deep/b.yaml", "two\n"));
	ck_assert(holds(mods, "fix/run.sh", "run\n") && holds(y, "c.yaml", "three\n"));
	/* Neither a folder of the list that the repository does not have ... */
	ck_assert_int_eq(sb_registry_folder(store, &list.items[0], SB_REGISTRY_TUNING, &none, NULL),
			-SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_registry_folder(store, &list.items[1], SB_REGISTRY_MODS, &none, NULL),
			-SB_E_NOT_FOUND);
	/* ... nor one of the repository that no registry names, nor anything of git. */
	ck_assert_str_eq(see("find . -name unasked -o -name bench -o -name '.git*' -o -name HEAD"),
			"");
	ck_assert_str_eq(see("ls -d _url_*/fetch-* 2>/dev/null"), "");
}
END_TEST

START_TEST(an_update_without_news_changes_nothing)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *before = NULL;
	struct sb_registry_update update;

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	before = strdup(see("ls -id _url_*/tree-*"));
	update = update_all(store, &list);
	ck_assert(!update.failed && !update.changed && update.had_copy);
	ck_assert_str_eq(see("ls -id _url_*/tree-*"), before);
	/* Another set of folders is another tree of the same commit. */
	list.items[1].enabled = false;
	update = update_all(store, &list);
	ck_assert(!update.failed && update.changed);
	ck_assert_str_eq(see("ls -d _url_*/current/other 2>/dev/null"), "");
}
END_TEST

START_TEST(a_new_commit_replaces_the_copy_and_the_last_but_one_goes)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *old = NULL, *new = NULL;

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	old = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	sh("cd repo && echo new > r/a.yaml && git commit -qam two");
	ck_assert(update_all(store, &list).changed);
	new = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	ck_assert(holds(new, "a.yaml", "new\n"));
	/* Whoever had begun to read goes on reading the same. */
	ck_assert(holds(old, "a.yaml", "one\n"));
	sh("cd repo && echo newer > r/a.yaml && git commit -qam three");
	ck_assert(update_all(store, &list).changed);
	ck_assert(!holds(old, "a.yaml", "one\n"));
	ck_assert(holds(new, "a.yaml", "new\n"));
}
END_TEST

START_TEST(an_update_that_fails_leaves_the_copy)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL;
	struct sb_registry_update update, both[3] = { 0 };
	struct sb_registry good;
	size_t n;

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	sh("cp -r repo second && mv repo away");
	update = update_all(store, &list);
	ck_assert(update.failed && !update.changed && update.had_copy);
	ck_assert_msg(strstr(update.err.text, "git ls-remote: ") != NULL, "%s", update.err.text);
	x = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	ck_assert(holds(x, "a.yaml", "one\n"));
	/* And hinders no other. */
	good = (struct sb_registry){ .name = (char *)"z",
		.url = sb_fs_join(testdir, "second"),
		.subpath = (char *)".",
		.enabled = true };
	ck_assert_int_eq(sb_registry_append(&list, &good, NULL), 0);
	free(good.url);
	ck_assert_int_eq(sb_registry_update(store, &list, NULL, NULL, NULL, both, &n, NULL), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert(both[0].failed && both[1].failed && !both[2].failed && both[2].changed);
	ck_assert_str_eq(both[2].item->name, "z");
}
END_TEST

START_TEST(what_a_killed_update_left_is_swept_by_the_next)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	see("mkdir -p _url_*/. && for d in _url_*/; do mkdir -p $d/fetch-abcdef/git; done");
	sh("cd repo && git commit -q --allow-empty -m two");
	ck_assert(update_all(store, &list).changed);
	ck_assert_str_eq(see("ls -d _url_*/fetch-* 2>/dev/null"), "");
}
END_TEST

START_TEST(a_link_to_elsewhere_is_no_copy)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL;

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	see("for d in _url_*/; do ln -sfn /etc $d/current; done");
	ck_assert_int_eq(sb_registry_folder(store, &list.items[0], SB_REGISTRY_RECIPES, &x, NULL),
			-SB_E_NOT_FOUND);
	ck_assert(update_all(store, &list).changed);
}
END_TEST

START_TEST(links_out_of_the_repository_are_left_out)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL;
	struct sb_registry_update update;

	make_repo();
	sh("cd repo && ln -s /etc/passwd r/out.yaml && ln -s ../../../../.. r/deep/up && "
	   "ln -s ../other/c.yaml r/in.yaml && ln -s nowhere r/gone.yaml && "
	   "ln -s loop r/loop && git add -A && git commit -qm links");
	list = list_of_repo();
	update = update_all(store, &list);
	ck_assert_msg(!update.failed, "%s", update.err.text);
	ck_assert_uint_eq(update.links, 4);
	ck_assert_ptr_nonnull(strstr(update.link, "r/"));
	x = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	ck_assert(holds(x, "in.yaml", "three\n"));
	ck_assert_str_eq(see("find -L . -name 'out*' -o -name up -o -name gone.yaml"), "");
}
END_TEST

START_TEST(a_folder_that_is_a_link_out_is_no_folder)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL;

	make_repo();
	sh("cd repo && git rm -qr r && ln -s /etc r && git add -A && git commit -qm link");
	list = list_of_repo();
	ck_assert(!update_all(store, &list).failed);
	ck_assert_int_lt(sb_registry_folder(store, &list.items[0], SB_REGISTRY_RECIPES, &x, NULL),
			0);
}
END_TEST

START_TEST(nothing_of_a_repository_comes_to_life)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *mark = sb_fs_join(testdir, "mark"), *script = NULL;
	struct stat st;

	make_repo();
	/* The user's and the machine's own settings, hooks of a template, a filter, a submodule. */
	ck_assert_int_ge(asprintf(&script,
					 "mkdir -p hooks && printf '#!/bin/sh\\ntouch %s\\n' > "
					 "hooks/post-checkout && chmod +x hooks/post-checkout && "
					 "printf '[core]\\nhooksPath = %s/hooks\\n"
					 "[filter \"f\"]\\nsmudge = touch %s\\nrequired = true\\n"
					 "[init]\\ntemplateDir = %s\\n' > .gitconfig && "
					 "cd repo && echo '*.yaml filter=f' > .gitattributes && "
					 "cp .gitattributes r/ && "
					 "printf '[submodule \"s\"]\\npath = r/s\\nurl = %s\\n' > "
					 ".gitmodules && git add -A && git update-index --add "
					 "--cacheinfo 160000,$(git rev-parse HEAD),r/s && "
					 "git commit -qm traps",
					 mark, testdir, mark, testdir, repo),
			0);
	sh(script);
	unsetenv("GIT_CONFIG_GLOBAL");
	list = list_of_repo();
	ck_assert(!update_all(store, &list).failed);
	ck_assert_int_lt(stat(mark, &st), 0);
	ck_assert_str_eq(see("find . -path '*/s/*'"), "");
}
END_TEST

START_TEST(too_many_files_are_refused)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry_update update;

	make_repo();
	/* One blob under 20,001 names. */
	sh("cd repo && blob=$(git hash-object -w r/a.yaml) && seq 20001 | "
	   "sed \"s,.*,100644 blob $blob\tr/&.yaml,\" | tr '\\t' '\\t' | "
	   "git update-index --index-info && git commit -qm many");
	list = list_of_repo();
	update = update_all(store, &list);
	ck_assert(update.failed);
	ck_assert_msg(strstr(update.err.text, "more than 20000 files") != NULL, "%s",
			update.err.text);
	ck_assert_str_eq(see("ls _url_*/"), "");
}
END_TEST

/* Of what nobody could compress: one large file, and many that are large together. */
START_TEST(too_many_bytes_are_refused)
{
	const struct sb_registry_options options = {
		.config = config, .cache = cache, .allow_file = true, .max_bytes = 200000
	};
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry_update update;

	make_repo();
	ck_assert_int_eq(sb_registry_open(&options, &store, NULL), 0);
	list = list_of_repo();
	sh("cd repo && head -c 150000 /dev/urandom > unasked && git add -A && git commit -qm some");
	update = update_all(store, &list);
	ck_assert_msg(!update.failed, "%s", update.err.text);
	sh(_i ? "cd repo && head -c 300000 /dev/urandom > unasked && git add -A && "
		"git commit -qm large"
	      : "cd repo && cp unasked r/one && cp unasked r/two && git add -A && "
		"git commit -qm many");
	update = update_all(store, &list);
	ck_assert(update.failed && update.had_copy);
	ck_assert_int_eq(update.err.code, SB_E_RANGE);
	ck_assert_msg(strstr(update.err.text, "over the 200000 bytes allowed") != NULL, "%s",
			update.err.text);
	ck_assert_str_eq(see("ls -d _url_*/fetch-* 2>/dev/null"), "");
}
END_TEST

START_TEST(files_of_this_disk_need_leave)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(false);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 }, found = { 0 };
	struct sb_registry_update update;
	struct sb_err err;

	make_repo();
	list = list_of_repo();
	update = update_all(store, &list);
	ck_assert(update.failed);
	ck_assert_str_eq(update.err.hint, "--allow-file allows it");
	ck_assert_int_eq(
			sb_registry_discover(store, repo, NULL, NULL, &found, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.hint, "--allow-file allows it");
}
END_TEST

START_TEST(a_repository_says_what_it_holds)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list found = { 0 };
	struct sb_err err = SB_ERR_INIT;

	make_repo();
	ck_assert_msg(sb_registry_discover(store, repo, NULL, NULL, &found, &err) == 0, "%s",
			err.text);
	ck_assert_uint_eq(found.n, 2);
	ck_assert_str_eq(found.items[0].name, "x");
	ck_assert_str_eq(found.items[0].mods_subpath, "mods");
	ck_assert_str_eq(found.items[1].url, repo);
	ck_assert_str_eq(see("ls -d fetch-* _url_* 2>/dev/null"), "");
	sb_registry_list_done(&found);
	sh("cd repo && git rm -qr .sparkrun && git commit -qm none");
	ck_assert_int_eq(sb_registry_discover(store, repo, NULL, NULL, &found, &err),
			-SB_E_NOT_FOUND);
	sh("rm -rf repo && git init -q repo");
	ck_assert_int_lt(sb_registry_discover(store, repo, NULL, NULL, &found, &err), 0);
	ck_assert_str_eq(see("ls -d fetch-* 2>/dev/null"), "");
}
END_TEST

START_TEST(only_one_and_only_enabled_ones_are_updated)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry_update updates[2] = { 0 };
	struct sb_err err;
	size_t n;

	make_repo();
	list = list_of_repo();
	ck_assert_int_eq(sb_registry_update(store, &list, "Y", NULL, NULL, updates, &n, NULL), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(updates[0].item->name, "y");
	list.items[0].enabled = false;
	ck_assert_int_eq(sb_registry_update(store, &list, "x", NULL, NULL, updates, &n, &err),
			-SB_E_INVALID);
	ck_assert_str_eq(err.hint, "sparkbus registry enable x");
	ck_assert_int_eq(sb_registry_update(store, &list, "w", NULL, NULL, updates, &n, &err),
			-SB_E_NOT_FOUND);
}
END_TEST

START_TEST(two_updates_at_once_fetch_once)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	int changed = 0, status;
	pid_t pids[3];

	make_repo();
	list = list_of_repo();
	for (size_t i = 0; i < sb_countof(pids); i++) {
		pids[i] = fork();
		if (!pids[i]) {
			struct sb_registry_update update = update_all(store, &list);

			_exit(update.failed ? 2 : update.changed);
		}
	}
	for (size_t i = 0; i < sb_countof(pids); i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		changed += WEXITSTATUS(status);
	}
	ck_assert_int_eq(changed, 1);
}
END_TEST

static bool at_once(void)
{
	return true;
}

START_TEST(an_update_can_be_stopped)
{
	const struct sb_registry_options options = {
		.config = config, .cache = cache, .allow_file = true, .stopped = at_once
	};
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry_update update;

	make_repo();
	ck_assert_int_eq(sb_registry_open(&options, &store, NULL), 0);
	list = list_of_repo();
	update = update_all(store, &list);
	ck_assert(update.failed);
	ck_assert_int_eq(update.err.code, SB_E_CANCELLED);
}
END_TEST

/* A git that never ends, and starts another that does not either. */
START_TEST(an_update_has_a_deadline_and_leaves_no_process)
{
	const struct sb_registry_options options = {
		.config = config, .cache = cache, .allow_file = true, .ask_ms = 200
	};
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *path = NULL, *lock = sb_fs_join(testdir, "held");
	struct sb_registry_update update;
	int fd;

	make_repo();
	sh("mkdir bin && printf '#!/bin/sh\\nflock \"$HOME/held\" sleep 600 &\\nsleep 600\\n' > "
	   "bin/git && chmod +x bin/git");
	ck_assert_int_ge(asprintf(&path, "%s/bin:%s", testdir, getenv("PATH")), 0);
	ck_assert_int_eq(sb_registry_open(&options, &store, NULL), 0);
	list = list_of_repo();
	setenv("PATH", path, 1);
	update = update_all(store, &list);
	ck_assert(update.failed);
	ck_assert_int_eq(update.err.code, SB_E_TIMEOUT);
	/* The lock is free when nobody of them is left. */
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	close(fd);
}
END_TEST

START_TEST(without_git_it_says_so)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	struct sb_registry_update update;

	make_repo();
	list = list_of_repo();
	setenv("PATH", testdir, 1);
	update = update_all(store, &list);
	ck_assert_str_eq(update.err.text, "there is no git on this machine");
}
END_TEST

START_TEST(a_copy_can_be_forgotten)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };

	make_repo();
	list = list_of_repo();
	ck_assert_int_eq(sb_registry_forget(store, repo, NULL), 0); /* absent is fine */
	update_all(store, &list);
	ck_assert_str_ne(see("ls -d _url_*/current"), "");
	ck_assert_int_eq(sb_registry_forget(store, repo, NULL), 0);
	ck_assert_str_eq(see("ls -d _url_*/ 2>/dev/null"), "");
}
END_TEST

START_TEST(a_file_of_a_copy_knows_its_registry)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = open_store(true);
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = { 0 };
	SB_CLEANUP(sb_freep) char *x = NULL, *in_x = NULL, *in_mods = NULL, *link = NULL;
	bool foreign;

	make_repo();
	list = list_of_repo();
	update_all(store, &list);
	x = folder_of(store, &list.items[0], SB_REGISTRY_RECIPES);
	in_x = sb_fs_join(x, "deep/b.yaml");
	ck_assert_ptr_eq(sb_registry_of_path(store, &list, in_x, &foreign), &list.items[0]);
	ck_assert(foreign);
	/* However it is reached. */
	link = sb_fs_join(testdir, "mine.yaml");
	ck_assert_int_eq(symlink(in_x, link), 0);
	ck_assert_ptr_eq(sb_registry_of_path(store, &list, link, &foreign), &list.items[0]);
	/* What is in the cache and of no registry is a stranger's all the same. */
	in_mods = sb_fs_join(x, "../mods/fix/run.sh");
	ck_assert_ptr_null(sb_registry_of_path(store, &list, in_mods, &foreign));
	ck_assert(foreign);
	ck_assert_ptr_null(sb_registry_of_path(store, &list, testdir, &foreign));
	ck_assert(!foreign);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry_store");
	TCase *tc = tcase_create("store");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, make_places, drop_places);
	tcase_add_test(tc, without_a_file_the_list_is_the_built_in_one);
	tcase_add_test(tc, the_cache_is_where_the_environment_says);
	tcase_add_test(tc, an_edit_is_whole_or_not_at_all);
	tcase_add_test(tc, an_edit_does_not_lose_what_it_cannot_read);
	tcase_add_test(tc, an_update_copies_the_named_folders_and_no_git);
	tcase_add_test(tc, an_update_without_news_changes_nothing);
	tcase_add_test(tc, a_new_commit_replaces_the_copy_and_the_last_but_one_goes);
	tcase_add_test(tc, an_update_that_fails_leaves_the_copy);
	tcase_add_test(tc, what_a_killed_update_left_is_swept_by_the_next);
	tcase_add_test(tc, a_link_to_elsewhere_is_no_copy);
	tcase_add_test(tc, links_out_of_the_repository_are_left_out);
	tcase_add_test(tc, a_folder_that_is_a_link_out_is_no_folder);
	tcase_add_test(tc, nothing_of_a_repository_comes_to_life);
	tcase_add_test(tc, too_many_files_are_refused);
	tcase_add_loop_test(tc, too_many_bytes_are_refused, 0, 2);
	tcase_add_test(tc, files_of_this_disk_need_leave);
	tcase_add_test(tc, a_repository_says_what_it_holds);
	tcase_add_test(tc, only_one_and_only_enabled_ones_are_updated);
	tcase_add_test(tc, two_updates_at_once_fetch_once);
	tcase_add_test(tc, an_update_can_be_stopped);
	tcase_add_test(tc, an_update_has_a_deadline_and_leaves_no_process);
	tcase_add_test(tc, without_git_it_says_so);
	tcase_add_test(tc, a_copy_can_be_forgotten);
	tcase_add_test(tc, a_file_of_a_copy_knows_its_registry);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
