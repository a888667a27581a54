/* sb_enroll.h - a node's identity on disk: how it is asked for, installed, loaded and kept current.
 *
 *   <identity_dir>/node.key         made here, never leaves the node
 *   <identity_dir>/node.csr         what the operator signs
 *   <identity_dir>/node.crt         operator-ca.crt node-ca.crt operator.crl node.crl
 *   <identity_dir>/install.pem      only while an installation is under way
 *
 * Files are 0600, the folder 0700, writes crash-safe. Writers take a lock on the folder, so that
 * `sparkbusd enroll` beside a running agent is fine. */
#ifndef SB_ENROLL_H
#define SB_ENROLL_H

#include "sb_err.h"

/** Make node.key, unless there is one, and node.csr for @name; *ret_csr_path (heap) is the request.
 * Asking again gives a request of the same key. -SB_E_INVALID for a bad @name and for a node.key
 * that is there and is not a P-256 key: it is left alone. */
int sb_enroll_request(const char *identity_dir, const char *name, char **ret_csr_path,
		struct sb_err *err);

/** Install what the operator handed over (sb_inventory_sign() makes it). First everything is
 * checked: the certificate belongs to node.key, is signed by the node CA of the bundle, in force
 * and not revoked, and each list is signed by its authority. Then the five files are replaced; a
 * crash leaves the old set or the new one, which the next sb_identity_load() completes. A list on
 * disk that is newer than the bundle's is kept. On failure nothing has changed. */
int sb_enroll_install(const char *identity_dir, const char *bundle_pem, struct sb_err *err);

/* PEM texts, ready for the bus. Zero is a valid empty one. */
struct sb_identity {
	char *name; /* of this node, from its certificate */
	char *cert, *key;
	char *operator_ca, *node_ca;
	char *operator_crl, *node_crl;
	int64_t not_after_unix_s; /* end of the certificate */
};

/** Read the identity, at start and again after a revocation list has changed. What belongs together
 * is checked to do so; dates and the node's own revocation are not, since a node that has just
 * started may not know the time yet: ask sb_identity_check(). Completes an interrupted
 * installation. -SB_E_NOT_FOUND with a hint when the node was never enrolled. */
int sb_identity_load(const char *identity_dir, struct sb_identity *ret, struct sb_err *err);
void sb_identity_done(struct sb_identity *identity); /* wipes the key */

/** Whether others will accept this node at @now_unix_s (0 = now): -SB_E_DENIED says why not
 * ("expired on ...", "not valid before ...", "revoked"). */
int sb_identity_check(const struct sb_identity *identity, int64_t now_unix_s, struct sb_err *err);

/** Replace the revocation lists; NULL leaves one as it is. Each must be signed by its authority and
 * be no older than the present one. The present one again is fine; another list with the present
 * number is not. Both are checked before either is written.
 * Return: 0; -SB_E_INVALID (older, or does not parse); -SB_E_DENIED (another authority's). */
int sb_identity_put_crls(const char *identity_dir, const char *operator_crl_pem,
		const char *node_crl_pem, struct sb_err *err);

#endif
