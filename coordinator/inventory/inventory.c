/* inventory.c - the folder: where it is, its lock, its files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "internal.h"

#define YAML_SUFFIX ".yaml"

/* Where the environment puts it; NULL when it does not say, or out of memory. */
static char *home_by_environment(void)
{
	const char *own = getenv("SPARKBUS_HOME"), *xdg = getenv("XDG_CONFIG_HOME");
	const char *user = getenv("HOME");

	if (!sb_empty(own))
		return strdup(own);
	if (!sb_empty(xdg) && xdg[0] == '/') /* the XDG specification: ignore relative ones */
		return sb_fs_join(xdg, "sparkbus");
	return sb_empty(user) ? NULL : sb_fs_join(user, ".config/sparkbus");
}

int sb_inventory_open(const char *home, struct sb_inventory **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = home ? strdup(home) : home_by_environment();
	struct sb_inventory *inv;

	if (sb_empty(path))
		return sb_err_set(err, SB_E_INVALID,
				"where is the configuration? none of SPARKBUS_HOME, "
				"XDG_CONFIG_HOME and HOME is set");
	inv = calloc(1, sizeof(*inv));
	if (!inv)
		return sb_err_nomem(err);
	inv->home = sb_steal(path);
	*ret = inv;
	return 0;
}

void sb_inventory_close(struct sb_inventory *inv)
{
	if (!inv)
		return;
	free(inv->home);
	free(inv->cert);
	sb_tls_wipe_free(inv->key);
	free(inv->node_ca);
	free(inv->node_crl);
	free(inv->operator_ca);
	free(inv->operator_crl);
	free(inv);
}

const char *sb_inventory_home(const struct sb_inventory *inv)
{
	return inv->home;
}

int inv_lock(struct sb_inventory *inv, int *ret_fd, struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int fd = -1;
	int rc = sb_fs_mkdirs(inv->home, INV_FOLDER_MODE, err);

	if (rc < 0)
		return rc;
	fd = open(inv->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return sb_err_errno(err, errno, "%s", inv->home);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return sb_err_errno(err, errno, "lock %s", inv->home);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

char *inv_path(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s/%s%s", inv->home, folder, name, suffix) < 0 ? NULL : path;
}

int inv_read(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, folder, name, suffix);
	struct sb_strbuf text = SB_STRBUF_INIT;
	int rc;

	if (!path)
		return sb_err_nomem(err);
	rc = sb_fs_read(path, INV_PEM_MAX, &text, err);
	if (rc == 0 && (!text.len || memchr(text.data, '\0', text.len)))
		rc = sb_err_set(err, SB_E_INVALID, "%s: %s", path,
				text.len ? "not a text" : "empty");
	if (rc == 0)
		*ret = text.data;
	else
		sb_tls_wipe_free(text.data); /* it may be a key */
	return rc;
}

int inv_write(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix, const char *text, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *dir = sb_fs_join(inv->home, folder);
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, folder, name, suffix);
	int rc;

	if (!dir || !path)
		return sb_err_nomem(err);
	rc = sb_fs_mkdirs(dir, INV_FOLDER_MODE, err);
	return rc < 0 ? rc : sb_fs_write(path, text, strlen(text), INV_FILE_MODE, err);
}

void inv_free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static int is_yaml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), end = strlen(YAML_SUFFIX);

	return entry->d_name[0] != '.' && len > end &&
			strcmp(entry->d_name + len - end, YAML_SUFFIX) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int inv_list(const struct sb_inventory *inv, const char *folder, char ***ret, size_t *ret_n,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(inv->home, folder);
	struct dirent **entries = NULL;
	char **list;
	size_t n;
	int found;

	if (!path)
		return sb_err_nomem(err);
	found = scandir(path, &entries, is_yaml, NULL);
	if (found < 0 && errno != ENOENT)
		return sb_err_errno(err, errno, "%s", path);
	n = found > 0 ? (size_t)found : 0;
	/* One more, so that an empty list is not NULL. */
	list = calloc(n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(entries[i]->d_name) - strlen(YAML_SUFFIX);

		if (list)
			list[i] = strndup(entries[i]->d_name, len);
		free(entries[i]);
	}
	free(entries);
	for (size_t i = 0; list && i < n; i++)
		if (!list[i]) {
			inv_free_list(list, n);
			list = NULL;
		}
	if (!list)
		return sb_err_nomem(err);
	if (n > INV_FILES_MAX) {
		inv_free_list(list, n);
		return sb_err_set(err, SB_E_RANGE, "%s: more than %u files", path, INV_FILES_MAX);
	}
	qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

void inv_warn(void (*warn)(void *ctx, const char *text), void *ctx, const struct sb_err *why)
{
	if (warn)
		warn(ctx, why->text);
}
