/* request.c - a key of the node's own, and the request that the operator signs. */
#include "sb_fs.h"

#include "internal.h"

#define FOLDER_MODE 0700

static int get_key(const char *dir, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	int rc = enroll_read(dir, ENROLL_KEY, &key, err);

	if (rc == -SB_E_NOT_FOUND) {
		rc = sb_tls_key_new(&key, err);
		if (rc == 0)
			rc = enroll_write(dir, ENROLL_KEY, key, err);
	}
	if (rc == 0)
		*ret = sb_steal(key);
	return rc;
}

int sb_enroll_request(
		const char *identity_dir, const char *name, char **ret_csr_path, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *csr = NULL;
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(identity_dir, ENROLL_CSR);
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc;

	if (!path)
		return sb_err_nomem(err);
	if (!sb_tls_name_ok(name))
		return sb_err_set(err, SB_E_INVALID,
				"node name: expected 1 to 63 of A-Z a-z 0-9 . _ -, beginning with "
				"a "
				"letter or digit");
	rc = sb_fs_mkdirs(identity_dir, FOLDER_MODE, err);
	if (rc == 0)
		rc = enroll_lock(identity_dir, &lock, err);
	if (rc == 0)
		rc = get_key(identity_dir, &key, err);
	if (rc < 0)
		return rc;
	rc = sb_tls_csr_new(key, name, &csr, err);
	if (rc < 0) {
		sb_err_wrap(err, rc, "%s/" ENROLL_KEY, identity_dir);
		return sb_err_hint(
				err, rc, "move the file away to get a new key, and enroll again");
	}
	rc = enroll_write(identity_dir, ENROLL_CSR, csr, err);
	if (rc == 0)
		*ret_csr_path = sb_steal(path);
	return rc;
}
