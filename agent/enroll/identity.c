/* identity.c - what the agent holds of it in memory, and its revocation lists. */
#include <string.h>

#include "internal.h"

void sb_identity_done(struct sb_identity *identity)
{
	free(identity->name);
	free(identity->cert);
	sb_tls_wipe_free(identity->key);
	free(identity->operator_ca);
	free(identity->node_ca);
	free(identity->operator_crl);
	free(identity->node_crl);
	*identity = (struct sb_identity){ 0 };
}

int sb_identity_load(const char *identity_dir, struct sb_identity *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle set = { 0 };
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_closep) int lock = -1;
	struct sb_tls_cert_info info;
	char *name;
	int rc = enroll_lock(identity_dir, &lock, err);

	if (rc == 0)
		rc = enroll_recover(identity_dir, err);
	if (rc == 0)
		rc = enroll_read_set(identity_dir, &set, err);
	if (rc == 0)
		rc = enroll_read(identity_dir, ENROLL_KEY, &key, err);
	if (rc == 0)
		rc = enroll_check_set(&set, key, SB_TLS_ANY_TIME, err);
	if (rc == 0)
		rc = sb_tls_cert_info(set.node_cert, &info, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "identity of this node");
	name = strdup(info.name);
	if (!name)
		return sb_err_nomem(err);
	*ret = (struct sb_identity){
		.name = name,
		.cert = sb_steal(set.node_cert),
		.key = sb_steal(key),
		.operator_ca = sb_steal(set.operator_ca),
		.node_ca = sb_steal(set.node_ca),
		.operator_crl = sb_steal(set.operator_crl),
		.node_crl = sb_steal(set.node_crl),
		.not_after_unix_s = info.not_after_unix_s,
	};
	return 0;
}

int sb_identity_check(const struct sb_identity *identity, int64_t now_unix_s, struct sb_err *err)
{
	int rc = sb_tls_verify(identity->node_ca, identity->node_crl, identity->cert, identity->key,
			now_unix_s, err);

	return rc < 0 ? sb_err_wrap(err, rc, "certificate of node %s", identity->name) : 0;
}

/* Whether @offered may take the place of @present; *ret_write is false when it is the same. */
static int may_replace(const char *ca, const char *present, const char *offered, bool *ret_write,
		struct sb_err *err)
{
	uint64_t here = 0, number = 0;
	int rc = sb_tls_crl_check(ca, offered, &number, err);

	if (rc < 0)
		return rc;
	if (sb_tls_crl_check(ca, present, &here, NULL) < 0) {
		*ret_write = true; /* a list that is no use any more does not stand in the way */
		return 0;
	}
	if (number < here)
		return sb_err_set(err, SB_E_INVALID, "number %llu is older than the present %llu",
				(unsigned long long)number, (unsigned long long)here);
	if (number == here && strcmp(present, offered))
		return sb_err_set(err, SB_E_INVALID, "another list with the same number %llu",
				(unsigned long long)number);
	*ret_write = number > here;
	return 0;
}

int sb_identity_put_crls(const char *identity_dir, const char *operator_crl_pem,
		const char *node_crl_pem, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle set = { 0 };
	SB_CLEANUP(sb_closep) int lock = -1;
	bool write_operator = false, write_node = false;
	int rc = enroll_lock(identity_dir, &lock, err);

	if (rc == 0)
		rc = enroll_recover(identity_dir, err);
	if (rc == 0)
		rc = enroll_read_set(identity_dir, &set, err);
	if (rc < 0)
		return rc;
	if (operator_crl_pem)
		rc = may_replace(set.operator_ca, set.operator_crl, operator_crl_pem,
				&write_operator, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "operator revocation list");
	if (node_crl_pem)
		rc = may_replace(set.node_ca, set.node_crl, node_crl_pem, &write_node, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "node revocation list");
	if (write_operator)
		rc = enroll_write(identity_dir, ENROLL_OPERATOR_CRL, operator_crl_pem, err);
	if (rc == 0 && write_node)
		rc = enroll_write(identity_dir, ENROLL_NODE_CRL, node_crl_pem, err);
	return rc;
}
