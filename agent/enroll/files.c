/* files.c - the folder of the identity: lock, read, write. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "sb_fs.h"

#include "internal.h"

#define FILE_MAX  ((size_t)4 << 20) /* bytes; the largest is an installation in progress */
#define FILE_MODE 0600

const struct enroll_file enroll_files[ENROLL_FILES] = {
	{ "operator-ca.crt", offsetof(struct sb_tls_bundle, operator_ca) },
	{ "node-ca.crt", offsetof(struct sb_tls_bundle, node_ca) },
	{ ENROLL_OPERATOR_CRL, offsetof(struct sb_tls_bundle, operator_crl) },
	{ ENROLL_NODE_CRL, offsetof(struct sb_tls_bundle, node_crl) },
	{ "node.crt", offsetof(struct sb_tls_bundle, node_cert) },
};

static int not_enrolled(int rc, struct sb_err *err)
{
	if (rc == -SB_E_NOT_FOUND)
		sb_err_hint(err, rc,
				"run `sparkbusd enroll` on this node and have its request signed");
	return rc;
}

int enroll_lock(const char *dir, int *ret_fd, struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return not_enrolled(sb_err_errno(err, errno, "identity folder %s", dir), err);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return sb_err_errno(err, errno, "lock %s", dir);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int enroll_read(const char *dir, const char *name, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);
	struct sb_strbuf text = SB_STRBUF_INIT;
	int rc;

	if (!path)
		return sb_err_nomem(err);
	rc = sb_fs_read(path, FILE_MAX, &text, err);
	if (rc == 0 && memchr(sb_strbuf_str(&text), '\0', text.len))
		rc = sb_err_set(err, SB_E_INVALID, "%s: not a text", path);
	if (rc == 0 && !text.len)
		rc = sb_err_set(err, SB_E_INVALID, "%s: empty", path);
	if (rc == 0)
		*ret = text.data;
	else
		sb_tls_wipe_free(text.data); /* it may be the key */
	return rc;
}

int enroll_write(const char *dir, const char *name, const char *text, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);

	return path ? sb_fs_write(path, text, strlen(text), FILE_MODE, err) : sb_err_nomem(err);
}

int enroll_remove(const char *dir, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);

	return path ? sb_fs_remove(path, err) : sb_err_nomem(err);
}

int enroll_read_set(const char *dir, struct sb_tls_bundle *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle set = { 0 };

	for (size_t i = 0; i < ENROLL_FILES; i++) {
		int rc = enroll_read(dir, enroll_files[i].name, enroll_part(&set, i), err);

		if (rc < 0)
			return not_enrolled(rc, err);
	}
	*ret = set;
	set = (struct sb_tls_bundle){ 0 };
	return 0;
}
