/* The folders: where the list and the copies lie, who may write them, and looking into a copy. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

#define LIST_FILE    "registries.yaml"
#define LOCK_POLL_MS 50

int sb_registry_cache_home(char **ret, struct sb_err *err)
{
	const char *own = getenv("SPARKBUS_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *user = getenv("HOME");
	char *path;

	if (!sb_empty(own))
		path = strdup(own);
	else if (!sb_empty(xdg) && xdg[0] == '/') /* the XDG specification: ignore relative ones */
		path = sb_fs_join(xdg, "sparkbus");
	else if (!sb_empty(user))
		path = sb_fs_join(user, ".cache/sparkbus");
	else
		return sb_err_set(err, SB_E_INVALID,
				"where is the cache? none of SPARKBUS_CACHE, XDG_CACHE_HOME and "
				"HOME is set");
	if (!path)
		return sb_err_nomem(err);
	*ret = path;
	return 0;
}

int sb_registry_open(const struct sb_registry_options *options, struct sb_registry_store **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep)
	struct sb_registry_store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return sb_err_nomem(err);
	store->allow_file = options->allow_file;
	store->fetch_ms = options->fetch_ms ? options->fetch_ms : REG_FETCH_MS;
	store->ask_ms = options->ask_ms ? options->ask_ms : REG_ASK_MS;
	store->max_bytes = options->max_bytes ? options->max_bytes : REG_BYTES_MAX;
	store->stopped = options->stopped;
	store->config = strdup(options->config);
	if (options->cache)
		store->cache = strdup(options->cache);
	else if ((rc = sb_registry_cache_home(&store->cache, err)) < 0)
		return rc;
	if (!store->config || !store->cache)
		return sb_err_nomem(err);
	*ret = sb_steal(store);
	return 0;
}

void sb_registry_close(struct sb_registry_store *store)
{
	if (!store)
		return;
	free(store->config);
	free(store->cache);
	free(store);
}

const char *sb_registry_cache(const struct sb_registry_store *store)
{
	return store->cache;
}

bool reg_stopped(const struct sb_registry_store *store)
{
	return store->stopped && store->stopped();
}

int reg_lock(const struct sb_registry_store *store, const char *path, int *ret_fd,
		struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, REG_FILE_MODE);
	uint64_t until = sb_now_boot_ms() + store->fetch_ms;

	if (fd < 0)
		return sb_err_errno(err, errno, "%s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return sb_err_errno(err, errno, "lock %s", path);
		if (reg_stopped(store))
			return sb_err_set(err, SB_E_CANCELLED, "interrupted");
		if (sb_now_boot_ms() > until)
			return sb_err_set(err, SB_E_BUSY, "%s: another sparkbus holds it", path);
		poll(NULL, 0, LOCK_POLL_MS);
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* --- the list --- */

static int load(const char *path, sb_registry_warn_fn warn, void *ctx, struct sb_registry_list *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err why = SB_ERR_INIT;
	int rc = sb_fs_read(path, REG_FILE_MAX, &text, &why);

	if (rc == -SB_E_NOT_FOUND)
		return sb_registry_defaults(ret, err);
	if (rc < 0) {
		if (err)
			*err = why;
		return rc;
	}
	return sb_registry_parse(path, sb_strbuf_str(&text), text.len, warn, ctx, ret, err);
}

int sb_registry_load(const struct sb_registry_store *store, sb_registry_warn_fn warn, void *ctx,
		struct sb_registry_list *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(store->config, LIST_FILE);

	return path ? load(path, warn, ctx, ret, err) : sb_err_nomem(err);
}

static int save(const char *path, const struct sb_registry_list *list, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = sb_registry_write(list, &text, err);

	return rc < 0 ? rc : sb_fs_write(path, sb_strbuf_str(&text), text.len, REG_FILE_MODE, err);
}

/* The list's file, and its lock held until *ret_fd is closed. */
static int lock_list(const struct sb_registry_store *store, char **ret_path, int *ret_fd,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	char *path = sb_fs_join(store->config, LIST_FILE),
	     *lock = sb_fs_join(store->config, "." LIST_FILE ".lock");
	int rc;

	if (!path || !lock)
		return sb_err_nomem(err);
	rc = sb_fs_mkdirs(store->config, REG_FOLDER_MODE, err);
	if (rc == 0)
		rc = reg_lock(store, lock, ret_fd, err);
	if (rc == 0)
		*ret_path = sb_steal(path);
	return rc;
}

int sb_registry_edit(const struct sb_registry_store *store,
		int (*change)(struct sb_registry_list *list, void *arg, struct sb_err *err),
		void *arg, sb_registry_warn_fn warn, void *ctx, struct sb_err *err)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	SB_CLEANUP(sb_freep) char *path = NULL;
	SB_CLEANUP(sb_closep) int fd = -1;
	int rc = lock_list(store, &path, &fd, err);

	if (rc == 0)
		rc = load(path, warn, ctx, &list, err);
	/* Writing would lose what could not be read. */
	if (rc == 0 && list.broken) {
		rc = sb_err_set(err, SB_E_INVALID, "%s: has %zu entries that cannot be read", path,
				list.broken);
		return sb_err_hint(err, rc, "mend or remove them, then repeat the command");
	}
	if (rc == 0)
		rc = change(&list, arg, err);
	return rc < 0 ? rc : save(path, &list, err);
}

int sb_registry_replace(const struct sb_registry_store *store, const struct sb_registry_list *list,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	SB_CLEANUP(sb_closep) int fd = -1;
	int rc = lock_list(store, &path, &fd, err);

	return rc < 0 ? rc : save(path, list, err);
}

/* --- copies --- */

int reg_hash(const char *text, size_t digits, char *ret, struct sb_err *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL))
		return sb_err_set(err, SB_E_INTERNAL, "SHA-256 is not to be had");
	for (size_t i = 0; i < digits; i++)
		ret[i] = "0123456789abcdef"[(digest[i / 2] >> (i % 2 ? 0 : 4)) & 15];
	ret[digits] = '\0';
	return 0;
}

int reg_home(const struct sb_registry_store *store, const char *url, char **ret, struct sb_err *err)
{
	char digits[REG_URL_DIGITS + 1], *path = NULL;
	int rc = reg_hash(url, REG_URL_DIGITS, digits, err);

	if (rc < 0)
		return rc;
	if (asprintf(&path, "%s/" REG_FOLDER "/_url_%s", store->cache, digits) < 0)
		return sb_err_nomem(err);
	*ret = path;
	return 0;
}

/* "tree-<commit>-<set>" and nothing else: the link is not followed to wherever it may lead. */
static bool is_tree(const char *name)
{
	static const char hex[] = "0123456789abcdef";
	const char *commit = name + strlen(REG_TREE);

	return !strncmp(name, REG_TREE, strlen(REG_TREE)) &&
			strspn(commit, hex) == REG_COMMIT_DIGITS &&
			commit[REG_COMMIT_DIGITS] == '-' &&
			strspn(commit + REG_COMMIT_DIGITS + 1, hex) == REG_SET_DIGITS &&
			!commit[REG_COMMIT_DIGITS + 1 + REG_SET_DIGITS];
}

bool reg_current(const char *home, char ret[REG_TREE_MAX])
{
	SB_CLEANUP(sb_freep) char *link = sb_fs_join(home, REG_CURRENT);
	char name[REG_TREE_MAX];
	ssize_t n = link ? readlink(link, name, sizeof(name) - 1) : -1;

	if (n < 0)
		return false;
	name[n] = '\0';
	if (!is_tree(name))
		return false;
	memcpy(ret, name, (size_t)n + 1);
	return true;
}

void sb_registry_commit(const struct sb_registry_store *store, const struct sb_registry *item,
		char ret[REG_COMMIT_DIGITS + 1])
{
	SB_CLEANUP(sb_freep) char *home = NULL;
	char tree[REG_TREE_MAX];

	ret[0] = '\0';
	if (reg_home(store, item->url, &home, NULL) == 0 && reg_current(home, tree)) {
		memcpy(ret, tree + strlen(REG_TREE), REG_COMMIT_DIGITS);
		ret[REG_COMMIT_DIGITS] = '\0';
	}
}

const char *reg_part(const struct sb_registry *item, enum sb_registry_part part)
{
	const char *const parts[SB_REGISTRY_PART_COUNT_] = { item->subpath, item->tuning_subpath,
		item->benchmark_subpath, item->mods_subpath };

	return parts[part];
}

int reg_inside(const char *root, const char *sub, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(root, sub), *real = NULL, *top = NULL;
	size_t len;

	if (!path)
		return sb_err_nomem(err);
	top = realpath(root, NULL);
	real = realpath(path, NULL);
	if (!top || !real)
		return sb_err_errno(err, errno, "%s", path);
	len = strlen(top);
	if (strncmp(real, top, len) != 0 || (real[len] && real[len] != '/'))
		return sb_err_set(err, SB_E_DENIED, "%s: a link that leads out of the copy", path);
	*ret = sb_steal(real);
	return 0;
}

int sb_registry_folder(const struct sb_registry_store *store, const struct sb_registry *item,
		enum sb_registry_part part, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *home = NULL, *root = NULL;
	const char *sub = reg_part(item, part);
	char tree[REG_TREE_MAX];
	int rc;

	if (sb_empty(sub))
		return sb_err_set(err, SB_E_NOT_FOUND, "registry %s has no folder of these",
				item->name);
	rc = reg_home(store, item->url, &home, err);
	if (rc < 0)
		return rc;
	if (!reg_current(home, tree)) {
		rc = sb_err_set(err, SB_E_NOT_FOUND, "registry %s has not been fetched",
				item->name);
		return sb_err_hint(err, rc, "sparkbus registry update %s", item->name);
	}
	root = sb_fs_join(home, tree);
	if (!root)
		return sb_err_nomem(err);
	rc = reg_inside(root, sub, ret, err);
	return rc < 0 ? sb_err_wrap(err, rc, "registry %s", item->name) : 0;
}

const struct sb_registry *sb_registry_of_path(const struct sb_registry_store *store,
		const struct sb_registry_list *list, const char *path, bool *ret_foreign)
{
	SB_CLEANUP(sb_freep) char *real = realpath(path, NULL), *top = realpath(store->cache, NULL);
	size_t len = top ? strlen(top) : 0, best_len = 0;
	const struct sb_registry *best = NULL;

	/* All of the cache was written by strangers. */
	*ret_foreign = real && top && !strncmp(real, top, len) && real[len] == '/';
	for (size_t i = 0; *ret_foreign && i < list->n; i++) {
		SB_CLEANUP(sb_freep) char *folder = NULL;
		size_t n;

		if (sb_registry_folder(store, &list->items[i], SB_REGISTRY_RECIPES, &folder, NULL) <
				0)
			continue;
		n = strlen(folder);
		if (n > best_len && !strncmp(real, folder, n) && real[n] == '/') {
			best = &list->items[i];
			best_len = n;
		}
	}
	return best;
}
