#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"

/* Let @buf take @max bytes more, whatever cap it came with. */
static void raise_cap(struct sb_strbuf *buf, size_t max)
{
	size_t now = buf->max ? buf->max : SB_STRBUF_MAX_DEFAULT;
	size_t need = max < SIZE_MAX - buf->len ? buf->len + max : SIZE_MAX;

	if (now < need)
		buf->max = need;
}

static int read_all(int fd, const char *path, size_t max, struct sb_strbuf *ret, struct sb_err *err)
{
	char chunk[16384];
	size_t got = 0;

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sb_err_errno(err, errno, "%s", path);
		if ((size_t)n > max - got)
			return sb_err_set(err, SB_E_RANGE, "%s: more than the %zu bytes allowed",
					path, max);
		got += (size_t)n;
		if (sb_strbuf_add(ret, chunk, (size_t)n) < 0)
			return sb_err_nomem(err);
		if (n == 0)
			return 0;
	}
}

int sb_fs_read(const char *path, size_t max, struct sb_strbuf *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t before = ret->len;
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return sb_err_errno(err, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return sb_err_set(err, SB_E_INVALID, "%s: is a directory", path);
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
		return sb_err_set(err, SB_E_RANGE, "%s: %lld bytes, more than the %zu allowed",
				path, (long long)st.st_size, max);
	raise_cap(ret, max);
	rc = read_all(fd, path, max, ret, err);
	if (rc < 0 && ret->data) {
		ret->len = before; /* a part is worse than nothing */
		ret->data[before] = '\0';
	}
	return rc;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_parent(const char *path)
{
	char copy[PATH_MAX];
	SB_CLEANUP(sb_closep) int fd = -1;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_synced(const char *path, const void *data, size_t len, mode_t mode)
{
	SB_CLEANUP(sb_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fchmod(fd, mode) < 0 ? -errno : 0; /* the umask must not loosen or tighten it */
	if (rc == 0)
		rc = write_all(fd, data, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc;
}

int sb_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct sb_err *err)
{
	static unsigned counter;
	char temp[PATH_MAX];
	int rc;

	if (snprintf(temp, sizeof(temp), "%s.%ld.%u.tmp", path, (long)getpid(),
			    __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED)) >= (int)sizeof(temp))
		return sb_err_errno(err, ENAMETOOLONG, "%s", path);
	unlink(temp);
	rc = write_synced(temp, data, len, mode);
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temp);
		return sb_err_errno(err, -rc, "write %s", path);
	}
	rc = sync_parent(path);
	return rc < 0 ? sb_err_errno(err, -rc, "sync the folder of %s", path) : 0;
}

int sb_fs_mkdirs(const char *path, mode_t mode, struct sb_err *err)
{
	char copy[PATH_MAX];
	struct stat st;

	if (!*path)
		return sb_err_set(err, SB_E_INVALID, "make folder: the path is empty");
	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return sb_err_errno(err, ENAMETOOLONG, "%s", path);
	for (char *p = copy + 1;; p++) {
		char keep = *p;

		if (keep != '/' && keep != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return sb_err_errno(err, errno, "make folder %s", copy);
		*p = keep;
		if (keep == '\0')
			break;
	}
	if (stat(path, &st) < 0)
		return sb_err_errno(err, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return sb_err_errno(err, ENOTDIR, "%s", path);
	return 0;
}

int sb_fs_remove(const char *path, struct sb_err *err)
{
	int rc;

	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : sb_err_errno(err, errno, "remove %s", path);
	rc = sync_parent(path);
	return rc < 0 ? sb_err_errno(err, -rc, "sync the folder of %s", path) : 0;
}

char *sb_fs_join(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}
