/* owners.c - files in the model cache that containers made as root.
 *
 * The owner can change the tree while it is walked. So nothing is named by a path: folders are
 * opened without following links and everything is changed relative to them; file systems below are
 * left alone, and so are files with a second name, which may be one elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define DEPTH_MAX 64u

struct walk {
	struct chore *c;
	uid_t uid;
	gid_t gid;
	dev_t dev;
	unsigned long files, others, changed, linked, failed;
	int error; /* of the first failure */
};

static void fail(struct walk *w, int error)
{
	w->failed++;
	w->error = w->error ? w->error : error;
}

/* Give entry @name of folder @fd to the owner. */
static void visit(struct walk *w, int fd, const char *name, const struct stat *st)
{
	w->files++;
	if (st->st_uid == w->uid)
		return;
	w->others++;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		w->linked++;
		return;
	}
	if (w->c->dry_run)
		return;
	if (fchownat(fd, name, w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0)
		fail(w, errno);
	else
		w->changed++;
}

/* Takes @fd over. */
static void walk_folder(struct walk *w, int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		fail(w, errno);
		close(fd);
		return;
	}
	for (struct dirent *e; !atomic_load(w->c->stop) && (e = readdir(dir));) {
		struct stat st;
		int below;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != w->dev)
			continue;
		visit(w, fd, e->d_name, &st);
		if (!S_ISDIR(st.st_mode))
			continue;
		below = depth < DEPTH_MAX
				? openat(fd, e->d_name,
						  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				: -1;
		if (below >= 0)
			walk_folder(w, below, depth + 1);
		else
			fail(w, depth < DEPTH_MAX ? errno : ELOOP);
	}
	closedir(dir);
}

/* Whoever owns the cache; where root does, whoever owns the folder that it is in. */
static bool find_owner(const char *path, struct stat *ret)
{
	char *copy = strdup(path), *slash;
	bool found = copy != NULL;

	while (found && (stat(copy, ret) < 0 || ret->st_uid == 0)) {
		slash = strrchr(copy, '/');
		found = slash && slash != copy;
		if (found)
			*slash = '\0';
	}
	free(copy);
	return found;
}

static void tell(const struct walk *w)
{
	if (w->c->dry_run)
		chore_saw(w->c, "model cache", true,
				"%lu of %lu files in %s would be given to user %u",
				w->others - w->linked, w->files, w->c->hf_cache, w->uid);
	else
		chore_saw(w->c, "model cache", !w->failed,
				"%lu of %lu files in %s given to user %u", w->changed, w->files,
				w->c->hf_cache, w->uid);
	if (w->linked)
		chore_saw(w->c, "model cache", true, "%lu files with a second name are left alone",
				w->linked);
	if (w->failed)
		chore_saw(w->c, "model cache", false, "%lu could not be changed: %s", w->failed,
				strerror(w->error));
	w->c->reply.changed = w->changed > 0;
}

void chore_fix_owners(struct chore *c)
{
	struct walk w = { .c = c };
	struct stat owner, top;
	int fd = open(c->hf_cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		chore_saw(c, "model cache", errno == ENOENT, "%s: %s", c->hf_cache,
				errno == ENOENT ? "there is none" : strerror(errno));
		return;
	}
	if (fstat(fd, &top) < 0 || !find_owner(c->hf_cache, &owner)) {
		close(fd);
		chore_saw(c, "model cache", true, "%s is root's, and in nobody's home",
				c->hf_cache);
		return;
	}
	w.uid = owner.st_uid;
	w.gid = owner.st_gid;
	w.dev = top.st_dev;
	w.files = 1;
	if (top.st_uid != w.uid) {
		w.others = 1;
		if (!c->dry_run && fchown(fd, w.uid, w.gid) < 0)
			fail(&w, errno);
		else
			w.changed += !c->dry_run;
	}
	walk_folder(&w, fd, 0);
	tell(&w);
}
