/* sb_inventory.h - what the workstation knows: the operator's identity, nodes, clusters.
 *
 *   $SPARKBUS_HOME, else $XDG_CONFIG_HOME/sparkbus, else ~/.config/sparkbus
 *     pki/operator-ca.{key,crt,crl}  pki/node-ca.{key,crt,crl}  pki/operator.{key,crt}
 *     nodes/<name>.yaml      address, control_port, peer_port, serial, not_after
 *     nodes/<name>.crt       the node's certificate; below it older ones that are still in force
 *     clusters/<name>.yaml   hosts, description, user, cache_dir, ..., executor_config
 *     clusters/.default      name of the default cluster
 *
 * Files are 0600, folders 0700, writes crash-safe; writers take a lock on the folder. Unknown keys
 * in a file are passed over, so that files of a later version still read. */
#ifndef SB_INVENTORY_H
#define SB_INVENTORY_H

#include "sb_err.h"
#include "sb_tls.h"

struct sb_inventory;
/** Open the folder above (@home overrides; NULL = by environment). Reads nothing yet. */
int sb_inventory_open(const char *home, struct sb_inventory **ret, struct sb_err *err);
void sb_inventory_close(struct sb_inventory *inv);
SB_DEFINE_CLEANUP(sb_inventory_close, struct sb_inventory *)
const char *sb_inventory_home(const struct sb_inventory *inv);

/* --- identity --- */

/** Make both authorities and the operator's key and certificate: all of pki/ or nothing of it, also
 * after a crash. SB_E_BUSY when pki/ exists; when files of it are missing the error names the
 * first. Nothing is changed then. @operator_days may not pass @ca_days. */
int sb_inventory_init(struct sb_inventory *inv, const char *operator_name, unsigned ca_days,
		unsigned operator_days, struct sb_err *err);
/** Load the credentials for the client; hint "sparkbus init" when there are none.
 * The pointers in @ret are borrowed from @inv: until the next call of this or the close. */
int sb_inventory_creds(struct sb_inventory *inv, struct sb_tls_creds *ret,
		const char **ret_operator, struct sb_err *err);
/** Sign a node's request: writes nodes/<name>.crt. *ret_bundle (heap) is what the node installs:
 * its certificate, both CA certificates and both CRLs as concatenated PEM with comment lines that
 * name each part; `sparkbusd enroll --install` reads it. */
int sb_inventory_sign(struct sb_inventory *inv, const char *name, const char *csr_pem,
		int64_t not_after_unix_s, char **ret_bundle, struct sb_err *err);
/** Put every certificate of @name that is in force into the node CRL (next number) and mark the
 * node revoked. Again: nothing to do, 0. SB_E_NOT_FOUND when nothing was ever signed for @name. */
int sb_inventory_revoke(struct sb_inventory *inv, const char *name, struct sb_err *err);
/** Both CRLs as PEM (heap), for PutCrl. */
int sb_inventory_crls(struct sb_inventory *inv, char **ret_operator_crl, char **ret_node_crl,
		struct sb_err *err);

/* --- nodes --- */

struct sb_inv_node {
	char *name, *address, *serial;
	uint16_t control_port, peer_port; /* read: 47100 and 47101 when the file has none */
	int64_t not_after_unix_s;
	bool revoked;
};
void sb_inv_node_done(struct sb_inv_node *node);
int sb_inventory_node_put(
		struct sb_inventory *inv, const struct sb_inv_node *node, struct sb_err *err);
int sb_inventory_node_get(struct sb_inventory *inv, const char *name, struct sb_inv_node *ret,
		struct sb_err *err);
/** Forgets the address, not the certificate: it can still be revoked. SB_E_NOT_FOUND. */
int sb_inventory_node_remove(struct sb_inventory *inv, const char *name, struct sb_err *err);
/** All nodes in name order (free each with sb_inv_node_done() and the array with free()). One bad
 * file is reported through @warn ("path: why") and does not hide the others. */
int sb_inventory_nodes(struct sb_inventory *inv, struct sb_inv_node **ret, size_t *ret_n,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_err *err);

/* --- clusters --- */

struct sb_inv_cluster {
	char *name, *description, *user, *cache_dir, *transfer_mode, *transfer_interface, *topology;
	char **hosts; /* NULL-terminated */
	size_t n_hosts;
	char **executor; /* "key=value" lines of executor_config, NULL-terminated */
	size_t n_executor;
};
void sb_inv_cluster_done(struct sb_inv_cluster *cluster);
/** Create or replace. -SB_E_INVALID: a name that is not ^[a-zA-Z0-9][a-zA-Z0-9_-]*$, no hosts, a
 * host twice, a word outside transfer_mode auto|local|push|delegated, transfer_interface
 * auto|cx7|mgmt, topology none|direct|switch|ring. */
int sb_inventory_cluster_put(
		struct sb_inventory *inv, const struct sb_inv_cluster *c, struct sb_err *err);
int sb_inventory_cluster_get(struct sb_inventory *inv, const char *name, struct sb_inv_cluster *ret,
		struct sb_err *err);
/** Also unsets the default when it is this one. SB_E_NOT_FOUND. */
int sb_inventory_cluster_remove(struct sb_inventory *inv, const char *name, struct sb_err *err);
int sb_inventory_clusters(struct sb_inventory *inv, struct sb_inv_cluster **ret, size_t *ret_n,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_err *err);
/** Heap copy of the default cluster's name, or NULL when none is set. */
int sb_inventory_default(struct sb_inventory *inv, char **ret, struct sb_err *err);
/** NULL unsets. SB_E_NOT_FOUND when there is no such cluster. */
int sb_inventory_set_default(struct sb_inventory *inv, const char *name, struct sb_err *err);

#endif
