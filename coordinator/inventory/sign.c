/* sign.c - certificates of nodes, and taking them back.
 *
 * Every certificate of a node that is still in force is kept in nodes/<name>.crt, newest first: one
 * that is signed again does not end the one before, and "revoked" must mean all of them. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define PKI       "pki"
#define NODES     "nodes"
#define CERTS_MAX 32 /* of one name, in force at the same time */

static int bad_name(const char *name, struct sb_err *err)
{
	return sb_err_set(err, SB_E_INVALID,
			"\"%s\" is not a node name: 1 to 63 of A-Z a-z 0-9 . _ -",
			name ? name : "");
}

static int load(struct sb_inventory *inv, const char *name, char **ret, struct sb_err *err)
{
	int rc = inv_read(inv, PKI, name, "", ret, err);

	return rc == -SB_E_NOT_FOUND ? sb_err_hint(err, rc, "make an identity with `sparkbus init`")
				     : rc;
}

/* The new certificate, and below it what is in force of @old (NULL = nothing). */
static int stack_certs(const char *name, const char *cert, const char *old, struct sb_strbuf *out,
		struct sb_err *err)
{
	int64_t now = (int64_t)(sb_now_unix_ms() / 1000);
	unsigned n = 1;

	sb_strbuf_adds(out, cert);
	for (const char *cursor = old; cursor;) {
		SB_CLEANUP(sb_freep) char *block = NULL;
		struct sb_tls_cert_info info;
		int rc = sb_tls_pem_next(&cursor, &block, err);

		if (rc == 0 && !block)
			break;
		if (rc == 0)
			rc = sb_tls_cert_info(block, &info, err);
		if (rc < 0)
			return sb_err_wrap(err, rc, NODES "/%s.crt", name);
		if (info.not_after_unix_s <= now)
			continue;
		if (++n > CERTS_MAX)
			return sb_err_hint(err,
					sb_err_set(err, SB_E_RANGE,
							"%s has %d certificates in force", name,
							CERTS_MAX),
					"revoke the node, then sign again");
		sb_strbuf_adds(out, block);
	}
	return inv_built(out, err);
}

/* Bring the record, if there is one, up to date. */
static int update_record(struct sb_inventory *inv, const char *name, const char *cert, bool revoked,
		struct sb_err *err)
{
	SB_CLEANUP(sb_inv_node_done) struct sb_inv_node node = { 0 };
	struct sb_tls_cert_info info;
	int rc = sb_inventory_node_get(inv, name, &node, err);

	if (rc == -SB_E_NOT_FOUND)
		return 0;
	if (rc == 0 && cert) {
		rc = sb_tls_cert_info(cert, &info, err);
		if (rc < 0)
			return rc;
		free(node.serial);
		node.serial = strdup(info.serial);
		if (!node.serial)
			return sb_err_nomem(err);
		node.not_after_unix_s = info.not_after_unix_s;
	}
	node.revoked = revoked;
	return rc < 0 ? rc : inv_node_write(inv, &node, err);
}

static int keep_cert(
		struct sb_inventory *inv, const char *name, const char *cert, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf stack = { .max = INV_PEM_MAX };
	SB_CLEANUP(sb_freep) char *old = NULL;
	int rc = inv_read(inv, NODES, name, ".crt", &old, err);

	if (rc < 0 && rc != -SB_E_NOT_FOUND)
		return rc;
	rc = stack_certs(name, cert, old, &stack, err);
	if (rc == 0)
		rc = inv_write(inv, NODES, name, ".crt", sb_strbuf_str(&stack), err);
	return rc < 0 ? rc : update_record(inv, name, cert, false, err);
}

int sb_inventory_sign(struct sb_inventory *inv, const char *name, const char *csr_pem,
		int64_t not_after_unix_s, char **ret_bundle, struct sb_err *err)
{
	struct sb_tls_sign how = { SB_TLS_NODE, name, 0, not_after_unix_s };
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle parts = { 0 };
	SB_CLEANUP(sb_tls_wipe_freep) char *ca_key = NULL;
	SB_CLEANUP(sb_freep) char *text = NULL;
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc;

	if (!sb_tls_name_ok(name))
		return bad_name(name, err);
	rc = inv_lock(inv, &lock, err);
	if (rc == 0)
		rc = load(inv, "node-ca.key", &ca_key, err);
	if (rc == 0)
		rc = load(inv, "node-ca.crt", &parts.node_ca, err);
	if (rc == 0)
		rc = load(inv, "node-ca.crl", &parts.node_crl, err);
	if (rc == 0)
		rc = load(inv, "operator-ca.crt", &parts.operator_ca, err);
	if (rc == 0)
		rc = load(inv, "operator-ca.crl", &parts.operator_crl, err);
	if (rc == 0)
		rc = sb_tls_sign(ca_key, parts.node_ca, csr_pem, &how, &parts.node_cert, err);
	if (rc == 0)
		rc = sb_tls_bundle_write(&parts, &text, err);
	if (rc == 0)
		rc = keep_cert(inv, name, parts.node_cert, err);
	if (rc == 0)
		*ret_bundle = sb_steal(text);
	return rc;
}

struct lists {
	char *ca_key, *ca, *crl;
	bool changed;
};

static void lists_done(struct lists *l)
{
	sb_tls_wipe_free(l->ca_key);
	free(l->ca);
	free(l->crl);
}

static int revoke_serial(struct lists *l, const char *serial, struct sb_err *err)
{
	bool has = false;
	char *next = NULL;
	int rc = sb_tls_crl_has(l->crl, serial, &has, err);

	if (rc < 0 || has)
		return rc;
	rc = sb_tls_crl_next(l->ca_key, l->ca, l->crl, serial, &next, err);
	if (rc < 0)
		return rc;
	free(l->crl);
	l->crl = next;
	l->changed = true;
	return 0;
}

/* Serials of nodes/<name>.crt, and that of the record, should the two differ. */
static int revoke_all(
		struct sb_inventory *inv, const char *name, struct lists *l, struct sb_err *err)
{
	SB_CLEANUP(sb_inv_node_done) struct sb_inv_node node = { 0 };
	SB_CLEANUP(sb_freep) char *certs = NULL;
	int rc = inv_read(inv, NODES, name, ".crt", &certs, err);
	int found = sb_inventory_node_get(inv, name, &node, NULL);

	if (rc < 0 && rc != -SB_E_NOT_FOUND)
		return rc;
	if (!certs && (found < 0 || sb_empty(node.serial)))
		return sb_err_set(err, SB_E_NOT_FOUND, "no certificate was ever signed for node %s",
				name);
	rc = found == 0 && !sb_empty(node.serial) ? revoke_serial(l, node.serial, err) : 0;
	for (const char *cursor = certs; rc == 0 && cursor;) {
		SB_CLEANUP(sb_freep) char *block = NULL;
		struct sb_tls_cert_info info;

		rc = sb_tls_pem_next(&cursor, &block, err);
		if (rc == 0 && !block)
			break;
		if (rc == 0)
			rc = sb_tls_cert_info(block, &info, err);
		if (rc == 0)
			rc = revoke_serial(l, info.serial, err);
	}
	return rc;
}

int sb_inventory_revoke(struct sb_inventory *inv, const char *name, struct sb_err *err)
{
	SB_CLEANUP(lists_done) struct lists l = { 0 };
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc;

	if (!sb_tls_name_ok(name))
		return bad_name(name, err);
	rc = inv_lock(inv, &lock, err);
	if (rc == 0)
		rc = load(inv, "node-ca.key", &l.ca_key, err);
	if (rc == 0)
		rc = load(inv, "node-ca.crt", &l.ca, err);
	if (rc == 0)
		rc = load(inv, "node-ca.crl", &l.crl, err);
	if (rc == 0)
		rc = revoke_all(inv, name, &l, err);
	if (rc == 0 && l.changed)
		rc = inv_write(inv, PKI, "node-ca.crl", "", l.crl, err);
	return rc < 0 ? rc : update_record(inv, name, NULL, true, err);
}
