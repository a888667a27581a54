/* Bringing copies up to date. Repositories are independent of each other: a few are done at a
 * time, each once however many registries it has, and one that fails hinders no other. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

#define WORKERS       4
#define SCRATCH       "fetch-"
#define SCRATCH_MAKE  SCRATCH "XXXXXX"
#define MANIFEST_PATH REG_MANIFEST_FOLDER "/registry.yaml"

/* --- which folders --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void set_add(struct reg_set *set, const char *path)
{
	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->paths[i], path))
			return;
	if (set->n == REG_SET_MAX || !strcmp(path, "."))
		set->all = true;
	else
		set->paths[set->n++] = path;
}

/* Folders that the enabled registries of @url name, and the manifest's. Borrows from @list. */
static struct reg_set set_of(const struct sb_registry_list *list, const char *url)
{
	struct reg_set set = { .paths = { REG_MANIFEST_FOLDER }, .n = 1 };

	for (size_t i = 0; i < list->n; i++) {
		const struct sb_registry *item = &list->items[i];

		for (int part = 0; part < SB_REGISTRY_PART_COUNT_; part++)
			if (item->enabled && !strcmp(item->url, url) &&
					!sb_empty(reg_part(item, part)))
				set_add(&set, reg_part(item, part));
	}
	if (set.all) {
		set.paths[0] = ".";
		set.n = 1;
	}
	qsort(set.paths, set.n, sizeof(*set.paths), by_text);
	return set;
}

static int set_hash(const struct reg_set *set, char ret[REG_SET_DIGITS + 1], struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < set->n; i++)
		sb_strbuf_addf(&text, "%s\n", set->paths[i]);
	if (text.failed)
		return sb_err_nomem(err);
	return reg_hash(sb_strbuf_str(&text), REG_SET_DIGITS, ret, err);
}

/* --- one repository; its lock is held --- */

/* What an update that was killed left, and trees that nobody reads any more. The one before the
 * current may still be open somewhere. */
static void sweep(const char *home, const char *keep, const char *keep_too)
{
	DIR *stream = opendir(home);
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		SB_CLEANUP(sb_freep) char *path = NULL;
		const char *name = entry->d_name;

		if (strncmp(name, SCRATCH, strlen(SCRATCH)) != 0 &&
				(strncmp(name, REG_TREE, strlen(REG_TREE)) != 0 ||
						!strcmp(name, keep) || !strcmp(name, keep_too)))
			continue;
		path = sb_fs_join(home, name);
		if (path)
			reg_remove_tree(path);
	}
	if (stream)
		closedir(stream);
}

/* Move the link: the one moment at which readers go over from the old copy to the new. */
static int publish(const char *home, const char *scratch, const char *tree, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	char *from = sb_fs_join(scratch, "tree"), *to = sb_fs_join(home, tree),
	     *link = sb_fs_join(scratch, "link"), *current = sb_fs_join(home, REG_CURRENT);
	SB_CLEANUP(sb_closep) int fd = -1;

	if (!from || !to || !link || !current)
		return sb_err_nomem(err);
	fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A power cut must not find the link moved and the files empty. */
	if (fd < 0 || syncfs(fd) < 0)
		return sb_err_errno(err, errno, "%s", from);
	reg_remove_tree(to);
	if (rename(from, to) < 0 || symlink(tree, link) < 0 || rename(link, current) < 0)
		return sb_err_errno(err, errno, "%s", to);
	return 0;
}

static int renew(const struct sb_registry_store *store, const char *url, const struct reg_set *set,
		const char *home, const char *before, struct reg_copy *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *scratch = sb_fs_join(home, SCRATCH_MAKE);
	char hash[REG_SET_DIGITS + 1], tree[REG_TREE_MAX];
	int rc = set_hash(set, hash, err);

	if (rc == 0 && !scratch)
		rc = sb_err_nomem(err);
	if (rc < 0)
		return rc;
	sweep(home, before, before);
	if (!mkdtemp(scratch))
		return sb_err_errno(err, errno, "%s", scratch);
	rc = reg_copy(store, url, set, scratch, ret, err);
	if (rc == 0) {
		snprintf(tree, sizeof(tree), REG_TREE "%s-%s", ret->commit, hash);
		rc = publish(home, scratch, tree, err);
	}
	reg_remove_tree(scratch);
	if (rc == 0)
		sweep(home, tree, before);
	return rc;
}

/* Whether the copy is of @commit and has the folders of @set. */
static bool is_same(const char *tree, const char *commit, const struct reg_set *set)
{
	char hash[REG_SET_DIGITS + 1], wanted[REG_TREE_MAX];

	if (set_hash(set, hash, NULL) < 0)
		return false;
	snprintf(wanted, sizeof(wanted), REG_TREE "%s-%s", commit, hash);
	return !strcmp(tree, wanted);
}

static int bring_up(const struct sb_registry_store *store, const char *url,
		const struct reg_set *set, struct sb_registry_update *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *home = NULL, *lock = NULL;
	SB_CLEANUP(sb_closep) int fd = -1;
	struct reg_copy copy = { 0 };
	char before[REG_TREE_MAX] = "";
	int rc = reg_home(store, url, &home, err);

	if (rc < 0)
		return rc;
	ret->had_copy = reg_current(home, before);
	rc = sb_registry_url_check(url, store->allow_file, err);
	if (rc == 0 && asprintf(&lock, "%s.lock", home) < 0)
		rc = sb_err_nomem(err);
	if (rc == 0)
		rc = sb_fs_mkdirs(home, REG_FOLDER_MODE, err);
	if (rc == 0)
		rc = reg_lock(store, lock, &fd, err);
	if (rc == 0)
		rc = reg_remote_commit(store, url, copy.commit, err);
	if (rc < 0)
		return rc;
	/* Looked at under the lock: another sparkbus may just have done it. */
	reg_current(home, before);
	if (!is_same(before, copy.commit, set)) {
		rc = renew(store, url, set, home, before, &copy, err);
		ret->changed = rc == 0;
	}
	if (rc == 0) {
		memcpy(ret->commit, copy.commit, sizeof(ret->commit));
		memcpy(ret->link, copy.link, sizeof(ret->link));
		ret->links = copy.links;
	}
	return rc;
}

/* --- several at a time --- */

struct work {
	const struct sb_registry_store *store;
	const struct sb_registry_list *list;
	void (*done)(void *ctx, const struct sb_registry_update *update);
	void *ctx;
	struct sb_registry_update *updates; /* those of one repository stand together */
	size_t n, next;
	pthread_mutex_t mutex; /* next, and calls of done */
};

static bool take_next(struct work *w, size_t *ret_first, size_t *ret_n)
{
	size_t first, end;

	pthread_mutex_lock(&w->mutex);
	first = end = w->next;
	while (end < w->n && !strcmp(w->updates[end].item->url, w->updates[first].item->url))
		end++;
	w->next = end;
	pthread_mutex_unlock(&w->mutex);
	*ret_first = first;
	*ret_n = end - first;
	return end > first;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	size_t first, n;

	while (take_next(w, &first, &n)) {
		struct sb_registry_update result = { 0 };
		const char *url = w->updates[first].item->url;
		struct reg_set set = set_of(w->list, url);

		result.failed = bring_up(w->store, url, &set, &result, &result.err) < 0;
		pthread_mutex_lock(&w->mutex);
		for (size_t i = first; i < first + n; i++) {
			const struct sb_registry *item = w->updates[i].item;

			w->updates[i] = result;
			w->updates[i].item = item;
			if (w->done)
				w->done(w->ctx, &w->updates[i]);
		}
		pthread_mutex_unlock(&w->mutex);
	}
	return NULL;
}

static int by_url(const void *a, const void *b)
{
	const struct sb_registry_update *x = a, *y = b;
	int order = strcmp(x->item->url, y->item->url);

	return order ? order : (x->item > y->item) - (x->item < y->item);
}

static int in_list_order(const void *a, const void *b)
{
	const struct sb_registry_update *x = a, *y = b;

	return (x->item > y->item) - (x->item < y->item);
}

static int choose(const struct sb_registry_list *list, const char *only, struct work *w,
		struct sb_err *err)
{
	const struct sb_registry *one = only ? sb_registry_find(list, only) : NULL;
	int rc;

	if (only && !one) {
		rc = sb_err_set(err, SB_E_NOT_FOUND, "there is no registry '%s'", only);
		return sb_err_hint(err, rc, "`sparkbus registry list` shows all");
	}
	if (one && !one->enabled) {
		rc = sb_err_set(err, SB_E_INVALID, "registry %s is disabled", one->name);
		return sb_err_hint(err, rc, "sparkbus registry enable %s", one->name);
	}
	for (size_t i = 0; i < list->n; i++)
		if (one ? one == &list->items[i] : list->items[i].enabled)
			w->updates[w->n++].item = &list->items[i];
	return 0;
}

int sb_registry_update(const struct sb_registry_store *store, const struct sb_registry_list *list,
		const char *only, void (*done)(void *ctx, const struct sb_registry_update *update),
		void *ctx, struct sb_registry_update *ret, size_t *ret_n, struct sb_err *err)
{
	struct work w = { .store = store,
		.list = list,
		.done = done,
		.ctx = ctx,
		.updates = ret,
		.mutex = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[WORKERS - 1];
	size_t n_threads = 0;
	int rc = choose(list, only, &w, err);

	if (rc < 0)
		return rc;
	qsort(ret, w.n, sizeof(*ret), by_url);
	while (n_threads < sb_countof(threads) && n_threads + 1 < w.n &&
			pthread_create(&threads[n_threads], NULL, worker, &w) == 0)
		n_threads++;
	worker(&w);
	for (size_t i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	qsort(ret, w.n, sizeof(*ret), in_list_order);
	*ret_n = w.n;
	return 0;
}

/* --- the rest of a repository's life --- */

int sb_registry_discover(const struct sb_registry_store *store, const char *url,
		sb_registry_warn_fn warn, void *ctx, struct sb_registry_list *ret,
		struct sb_err *err)
{
	const struct reg_set set = { .paths = { REG_MANIFEST_FOLDER }, .n = 1 };
	SB_CLEANUP(sb_freep)
	char *folder = sb_fs_join(store->cache, REG_FOLDER),
	     *lock = sb_fs_join(store->cache, REG_FOLDER "/add.lock"),
	     *scratch = sb_fs_join(store->cache, REG_FOLDER "/" SCRATCH_MAKE), *path = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_closep) int fd = -1;
	struct reg_copy copy;
	int rc;

	if (!folder || !lock || !scratch)
		return sb_err_nomem(err);
	rc = sb_fs_mkdirs(folder, REG_FOLDER_MODE, err);
	if (rc == 0)
		rc = reg_lock(store, lock, &fd, err);
	if (rc < 0)
		return rc;
	sweep(folder, "", "");
	if (!mkdtemp(scratch))
		return sb_err_errno(err, errno, "%s", scratch);
	rc = reg_copy(store, url, &set, scratch, &copy, err);
	path = sb_fs_join(scratch, "tree/" MANIFEST_PATH);
	if (rc == 0 && !path)
		rc = sb_err_nomem(err);
	if (rc == 0 && sb_fs_read(path, REG_FILE_MAX, &text, err) < 0)
		rc = sb_err_set(err, SB_E_NOT_FOUND,
				"%s: no " MANIFEST_PATH " in it: this is no registry of recipes",
				url);
	if (rc == 0)
		rc = sb_manifest_parse(MANIFEST_PATH, sb_strbuf_str(&text), text.len, url, warn,
				ctx, ret, err);
	reg_remove_tree(scratch);
	return rc;
}

int sb_registry_forget(const struct sb_registry_store *store, const char *url, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *home = NULL, *lock = NULL;
	SB_CLEANUP(sb_closep) int fd = -1;
	struct stat st;
	int rc = reg_home(store, url, &home, err);

	if (rc == 0 && asprintf(&lock, "%s.lock", home) < 0)
		rc = sb_err_nomem(err);
	if (rc < 0 || lstat(home, &st) < 0)
		return rc;
	rc = reg_lock(store, lock, &fd, err);
	if (rc < 0)
		return rc;
	reg_remove_tree(home);
	return lstat(home, &st) == 0
			? sb_err_set(err, SB_E_INTERNAL, "%s: could not be removed", home)
			: 0;
}
