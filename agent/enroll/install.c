/* install.c - five files that change as one.
 *
 * rename() replaces one file at a time, so the new set first goes whole into install.pem. From then
 * on it is the identity: whoever finds that file copies it out over the five and removes it, as
 * often as it takes. Before that, the old set is untouched. */
#include <string.h>

#include "internal.h"

#define INSTALL_FILE "install.pem"

int enroll_check_set(const struct sb_tls_bundle *set, const char *key_pem, int64_t now_unix_s,
		struct sb_err *err)
{
	const struct {
		const char *ca, *crl, *what;
	} lists[] = {
		{ set->operator_ca, set->operator_crl, "operator revocation list" },
		{ set->node_ca, set->node_crl, "node revocation list" },
	};
	const char *own_crl = now_unix_s == SB_TLS_ANY_TIME ? NULL : set->node_crl;
	uint64_t number;
	int rc;

	for (size_t i = 0; i < sb_countof(lists); i++) {
		rc = sb_tls_crl_check(lists[i].ca, lists[i].crl, &number, err);
		if (rc < 0)
			return sb_err_wrap(err, rc, "%s", lists[i].what);
	}
	rc = sb_tls_verify(set->node_ca, own_crl, set->node_cert, key_pem, now_unix_s, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "this node's certificate");
	/* An authority is signed by itself; this finds one that has expired. */
	rc = sb_tls_verify(set->operator_ca, NULL, set->operator_ca, NULL, now_unix_s, err);
	return rc < 0 ? sb_err_wrap(err, rc, "operator authority") : 0;
}

static int copy_out(const char *dir, struct sb_tls_bundle *set, struct sb_err *err)
{
	for (size_t i = 0; i < ENROLL_FILES; i++) {
		int rc = enroll_write(dir, enroll_files[i].name, *enroll_part(set, i), err);

		if (rc < 0)
			return rc;
	}
	return enroll_remove(dir, INSTALL_FILE, err);
}

int enroll_recover(const char *dir, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle set = { 0 };
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *text = NULL;
	int rc = enroll_read(dir, INSTALL_FILE, &text, err);

	if (rc == -SB_E_NOT_FOUND)
		return 0;
	if (rc == 0)
		rc = enroll_read(dir, ENROLL_KEY, &key, err);
	if (rc == 0)
		rc = sb_tls_bundle_read(text, &set, err);
	if (rc == 0)
		rc = enroll_check_set(&set, key, SB_TLS_ANY_TIME, err);
	if (rc == 0)
		rc = copy_out(dir, &set, err);
	return rc < 0 ? sb_err_wrap(err, rc, "complete the installation in %s/" INSTALL_FILE, dir)
		      : 0;
}

/* An old bundle must not bring back what was revoked since: keep the list on disk if it is of the
 * same authority and has a higher number. What is on disk and does not fit is replaced. */
static int keep_newer_list(
		const char *dir, const char *name, const char *ca, char **crl, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *present = NULL;
	uint64_t here = 0, offered = 0;
	int rc = enroll_read(dir, name, &present, err);

	if (rc == -SB_E_NOT_FOUND || rc == -SB_E_INVALID)
		return 0;
	if (rc < 0)
		return rc;
	if (sb_tls_crl_check(ca, present, &here, NULL) < 0)
		return 0;
	rc = sb_tls_crl_check(ca, *crl, &offered, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "%s of the bundle", name);
	if (here > offered) {
		free(*crl);
		*crl = sb_steal(present);
	}
	return 0;
}

int sb_enroll_install(const char *identity_dir, const char *bundle_pem, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle set = { 0 };
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *text = NULL;
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = sb_tls_bundle_read(bundle_pem, &set, err);

	if (rc == 0)
		rc = enroll_lock(identity_dir, &lock, err);
	if (rc < 0)
		return rc;
	rc = enroll_read(identity_dir, ENROLL_KEY, &key, err);
	if (rc == -SB_E_NOT_FOUND)
		sb_err_hint(err, rc, "run `sparkbusd enroll` on this node first");
	if (rc == 0)
		rc = keep_newer_list(identity_dir, ENROLL_OPERATOR_CRL, set.operator_ca,
				&set.operator_crl, err);
	if (rc == 0)
		rc = keep_newer_list(
				identity_dir, ENROLL_NODE_CRL, set.node_ca, &set.node_crl, err);
	if (rc == 0)
		rc = enroll_check_set(&set, key, (int64_t)(sb_now_unix_ms() / 1000), err);
	if (rc == 0)
		rc = sb_tls_bundle_write(&set, &text, err);
	if (rc == 0)
		rc = enroll_write(identity_dir, INSTALL_FILE, text, err);
	return rc < 0 ? rc : copy_out(identity_dir, &set, err);
}
