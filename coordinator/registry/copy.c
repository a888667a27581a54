/* One repository to a folder of plain files. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

#define OPEN_FOLDERS 16
#define REF          "refs/copy"

/* --- trees on disk --- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void reg_remove_tree(const char *path)
{
	nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

/* Links of a tree lead to files of it, or are taken out. */
static int prune(const char *root, const char *dir, struct reg_copy *ret, struct sb_err *err)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	int rc = stream ? 0 : sb_err_errno(err, errno, "%s", dir);

	while (rc == 0 && (entry = readdir(stream))) {
		SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, entry->d_name), *real = NULL;
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!path)
			rc = sb_err_nomem(err);
		else if (lstat(path, &st) < 0)
			rc = sb_err_errno(err, errno, "%s", path);
		else if (S_ISDIR(st.st_mode))
			rc = prune(root, path, ret, err);
		else if (S_ISLNK(st.st_mode) &&
				reg_inside(root, path + strlen(root) + 1, &real, NULL) < 0) {
			if (unlink(path) < 0)
				rc = sb_err_errno(err, errno, "%s", path);
			if (!ret->links++)
				snprintf(ret->link, sizeof(ret->link), "%s",
						path + strlen(root) + 1);
		}
	}
	if (stream)
		closedir(stream);
	return rc;
}

/* --- what the commit has --- */

struct contents {
	const struct reg_set *set;
	uint64_t max_bytes;
	bool present[REG_SET_MAX]; /* of the set's folders */
	size_t files;
	uint64_t bytes;
};

static void mark_present(struct contents *c, const char *path)
{
	for (size_t i = 0; i < c->set->n; i++) {
		size_t len = strlen(c->set->paths[i]);

		if (!strcmp(c->set->paths[i], ".") ||
				(!strncmp(path, c->set->paths[i], len) &&
						(path[len] == '/' || !path[len])))
			c->present[i] = true;
	}
}

/* "<mode> <type> <object> <size, right-aligned>\t<path>" */
static int take_entry(struct contents *c, const char *line, struct sb_err *err)
{
	const char *tab = strchr(line, '\t');
	unsigned long long size = 0;
	char type[8] = "";

	if (!tab || sscanf(line, "%*o %7s %*s %llu", type, &size) < 1)
		return sb_err_set(err, SB_E_PROTOCOL, "git's list of files reads: %s", line);
	if (strcmp(type, "blob") != 0) /* a submodule */
		return 0;
	c->files++;
	c->bytes += size;
	if (c->files > REG_FILES_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u files", REG_FILES_MAX);
	if (size > c->max_bytes || c->bytes > c->max_bytes)
		return sb_err_set(err, SB_E_RANGE, "%s: with it, over the %llu bytes allowed",
				tab + 1, (unsigned long long)c->max_bytes);
	mark_present(c, tab + 1);
	return 0;
}

static bool is_all(const struct reg_set *set)
{
	return set->n == 1 && !strcmp(set->paths[0], ".");
}

static int look_at(const struct sb_registry_store *store, struct reg_git *git, struct contents *c,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf list = SB_STRBUF_INIT;
	const char *argv[REG_SET_MAX + 8] = { "ls-tree", "-r", "-l", "-z", "--full-tree", REF };
	size_t n = 6;
	int rc;

	if (!is_all(c->set)) {
		argv[n++] = "--";
		for (size_t i = 0; i < c->set->n; i++)
			argv[n++] = c->set->paths[i];
	}
	git->argv = argv;
	rc = reg_git(store, git, &list, err);
	for (size_t at = 0; rc == 0 && at < list.len; at += strlen(list.data + at) + 1)
		rc = take_entry(c, list.data + at, err);
	return rc;
}

/* git takes a folder that the commit does not have for an error: only those that it has. */
static int write_out(const struct sb_registry_store *store, struct reg_git *git,
		const struct contents *c, struct sb_err *err)
{
	const char *argv[REG_SET_MAX + 8] = { "checkout", "--quiet", "--force", REF, "--" };
	size_t n = 5;

	for (size_t i = 0; i < c->set->n; i++)
		if (c->present[i])
			argv[n++] = c->set->paths[i];
	git->argv = argv;
	return n == 5 ? 0 : reg_git(store, git, NULL, err);
}

/* --- the commit --- */

/* Exactly 40: repositories of the other hash have 64. */
static bool is_commit(const char *text)
{
	return strspn(text, "0123456789abcdef") == REG_COMMIT_DIGITS;
}

static int take_commit(
		const struct sb_strbuf *out, char ret[REG_COMMIT_DIGITS + 1], struct sb_err *err)
{
	const char *text = sb_strbuf_str(out);

	if (!is_commit(text))
		return sb_err_set(err, SB_E_PROTOCOL, "git names no commit: %.60s", text);
	memcpy(ret, text, REG_COMMIT_DIGITS);
	ret[REG_COMMIT_DIGITS] = '\0';
	return 0;
}

int reg_remote_commit(const struct sb_registry_store *store, const char *url,
		char ret[REG_COMMIT_DIGITS + 1], struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	const char *const argv[] = { "ls-remote", "--exit-code", "--quiet", "--", url, "HEAD",
		NULL };
	struct reg_git git = { .argv = argv, .limit_ms = store->ask_ms };
	struct reg_url parts;
	int rc = reg_url_split(url, REG_URL_PLAIN, &parts, err);

	if (rc < 0)
		return rc;
	git.scheme = parts.scheme;
	rc = reg_git(store, &git, &out, err);
	return rc < 0 ? rc : take_commit(&out, ret, err);
}

static int fetch_commit(const struct sb_registry_store *store, struct reg_git *git, const char *url,
		char ret[REG_COMMIT_DIGITS + 1], struct sb_err *err)
{
	const char *const init[] = { "init", "--quiet", "--template=", NULL };
	/* All of the newest commit and nothing older. Not a partial one: those fetch behind our
	 * back whatever a later command happens to touch. */
	const char *const fetch[] = { "fetch", "--quiet", "--depth=1", "--no-tags",
		"--no-recurse-submodules", "--", url, "HEAD:" REF, NULL };
	const char *const parse[] = { "rev-parse", "--verify", REF "^{commit}", NULL };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	int rc;

	git->argv = init;
	rc = reg_git(store, git, NULL, err);
	git->argv = fetch;
	if (rc == 0)
		rc = reg_git(store, git, NULL, err);
	git->argv = parse;
	if (rc == 0)
		rc = reg_git(store, git, &out, err);
	return rc < 0 ? rc : take_commit(&out, ret, err);
}

int reg_copy(const struct sb_registry_store *store, const char *url, const struct reg_set *set,
		const char *scratch, struct reg_copy *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	char *git_dir = sb_fs_join(scratch, "git"), *tree = sb_fs_join(scratch, "tree");
	struct contents contents = { .set = set, .max_bytes = store->max_bytes };
	struct reg_copy copy = { 0 };
	struct reg_git git = { .limit_ms = store->fetch_ms, .git_dir = git_dir, .work_tree = tree };
	struct reg_url parts;
	int rc;

	if (!git_dir || !tree)
		return sb_err_nomem(err);
	rc = sb_registry_url_check(url, store->allow_file, err);
	if (rc == 0)
		rc = reg_url_split(url, REG_URL_PLAIN, &parts, err);
	if (rc == 0)
		rc = sb_fs_mkdirs(tree, REG_FOLDER_MODE, err);
	if (rc < 0)
		return rc;
	git.scheme = parts.scheme;
	rc = fetch_commit(store, &git, url, copy.commit, err);
	if (rc == 0)
		rc = look_at(store, &git, &contents, err);
	if (rc == 0)
		rc = write_out(store, &git, &contents, err);
	reg_remove_tree(git_dir);
	if (rc == 0)
		rc = prune(tree, tree, &copy, err);
	if (rc == 0)
		*ret = copy;
	return rc;
}
