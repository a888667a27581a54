#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "sb_wire.h"
#include "tree.h"

#define DEPTH_MAX 16

struct reader {
	struct tree *tree;
	const char *root; /* without links */
	struct sb_err *err;
};

void tree_done(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++) {
		free((char *)tree->files[i].path);
		free((char *)tree->files[i].content);
	}
	free(tree->files);
	*tree = (struct tree){ 0 };
}

static int too_much(const struct reader *r)
{
	return sb_err_set(r->err, SB_E_RANGE,
			"%s: expected at most %u files with %zu bytes together", r->root,
			SB_PLAN_FILES_MAX, SB_PLAN_FILES_MAX_BYTES);
}

/* Also for what is no link itself: a folder above it may be one. */
static int check_within(const struct reader *r, const char *path)
{
	SB_CLEANUP(sb_freep) char *real = realpath(path, NULL);
	size_t len = strlen(r->root);

	if (!real)
		return sb_err_errno(r->err, errno, "%s", path);
	if (strncmp(real, r->root, len) == 0 && real[len] == '/')
		return 0;
	return sb_err_set(r->err, SB_E_INVALID, "%s: a link that leads out of %s", path, r->root);
}

static int read_file(struct reader *r, const char *path, const char *below, const struct stat *st)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *name = strdup(below);
	struct tree *t = r->tree;
	struct sb_tree_file *files;
	int rc;

	if (t->n == SB_PLAN_FILES_MAX || st->st_size < 0 ||
			(uint64_t)st->st_size > SB_PLAN_FILES_MAX_BYTES - t->bytes)
		return too_much(r);
	rc = sb_fs_read(path, SB_PLAN_FILES_MAX_BYTES - t->bytes, &text, r->err);
	if (rc < 0)
		return rc;
	files = reallocarray(t->files, t->n + 1, sizeof(*files));
	if (!files || !name)
		return sb_err_nomem(r->err);
	t->files = files;
	files[t->n] = (struct sb_tree_file){ .len = text.len, .mode = st->st_mode & 0777 };
	files[t->n].content = text.len ? sb_strbuf_steal(&text) : calloc(1, 1);
	if (!files[t->n].content)
		return sb_err_nomem(r->err);
	files[t->n].path = sb_steal(name);
	t->bytes += files[t->n++].len;
	return 0;
}

static int read_folder(struct reader *r, const char *path, const char *below, unsigned depth);

static int read_entry(struct reader *r, const char *path, const char *below, unsigned depth)
{
	struct stat st, own;
	int rc = check_within(r, path);

	if (rc < 0)
		return rc;
	if (stat(path, &st) < 0 || lstat(path, &own) < 0)
		return sb_err_errno(r->err, errno, "%s", path);
	if (S_ISREG(st.st_mode))
		return read_file(r, path, below, &st);
	if (S_ISDIR(own.st_mode) && depth < DEPTH_MAX)
		return read_folder(r, path, below, depth + 1);
	return sb_err_set(r->err, SB_E_INVALID, "%s: expected a plain file or a folder%s", path,
			S_ISDIR(st.st_mode) ? " of at most 16 levels" : "");
}

static void free_entries(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
}

static int read_folder(struct reader *r, const char *path, const char *below, unsigned depth)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, NULL, alphasort), rc = 0;

	if (n < 0)
		return sb_err_errno(r->err, errno, "%s", path);
	for (int i = 0; rc == 0 && i < n; i++) {
		const char *name = entries[i]->d_name;
		SB_CLEANUP(sb_freep) char *inner = NULL, *inner_below = NULL;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		inner = sb_fs_join(path, name);
		inner_below = *below ? sb_fs_join(below, name) : strdup(name);
		rc = inner && inner_below ? read_entry(r, inner, inner_below, depth)
					  : sb_err_nomem(r->err);
	}
	free_entries(entries, n);
	return rc;
}

int tree_read(const char *root, struct tree *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *real = realpath(root, NULL);
	SB_CLEANUP(tree_done) struct tree tree = { 0 };
	struct reader r = { &tree, real, err };
	struct stat st;
	int rc;

	if (!real || stat(real, &st) < 0)
		return sb_err_errno(err, errno, "%s", root);
	if (!S_ISDIR(st.st_mode))
		return sb_err_set(err, SB_E_INVALID, "%s: expected a folder", root);
	rc = read_folder(&r, real, "", 0);
	if (rc < 0)
		return rc;
	tree.view = (struct sb_tree){ tree.files, tree.n };
	*ret = tree;
	tree = (struct tree){ 0 };
	return 0;
}
