/* identity.c - two authorities and an operator, made once and all together.
 *
 * They are written into pki.new/, which becomes pki/ by one rename: a crash before it leaves a
 * folder that the next attempt clears away, and never an authority without its key. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define PKI              "pki"
#define PKI_NEW          "pki.new"
#define DAY_S            86400
#define NO_IDENTITY_HINT "make one with `sparkbus init`"

struct pki {
	char *operator_ca_key, *operator_ca, *operator_crl;
	char *node_ca_key, *node_ca, *node_crl;
	char *operator_key, *operator_cert;
};

static const struct {
	const char *name;
	size_t at;
	bool secret;
} files[] = {
	{ "operator-ca.key", offsetof(struct pki, operator_ca_key), true },
	{ "operator-ca.crt", offsetof(struct pki, operator_ca), false },
	{ "operator-ca.crl", offsetof(struct pki, operator_crl), false },
	{ "node-ca.key", offsetof(struct pki, node_ca_key), true },
	{ "node-ca.crt", offsetof(struct pki, node_ca), false },
	{ "node-ca.crl", offsetof(struct pki, node_crl), false },
	{ "operator.key", offsetof(struct pki, operator_key), true },
	{ "operator.crt", offsetof(struct pki, operator_cert), false },
};

static char **file_of(struct pki *pki, size_t i)
{
	return (char **)((char *)pki + files[i].at);
}

static void pki_done(struct pki *pki)
{
	for (size_t i = 0; i < sb_countof(files); i++) {
		if (files[i].secret)
			sb_tls_wipe_free(*file_of(pki, i));
		else
			free(*file_of(pki, i));
	}
}

static int make_operator(struct pki *pki, const char *name, unsigned days, struct sb_err *err)
{
	struct sb_tls_sign how = { .role = SB_TLS_OPERATOR, .name = name };
	SB_CLEANUP(sb_freep) char *csr = NULL;
	struct sb_tls_cert_info ca;
	int rc = sb_tls_cert_info(pki->operator_ca, &ca, err);

	if (rc == 0)
		rc = sb_tls_key_new(&pki->operator_key, err);
	if (rc == 0)
		rc = sb_tls_csr_new(pki->operator_key, name, &csr, err);
	if (rc < 0)
		return rc;
	how.not_after_unix_s = (int64_t)(sb_now_unix_ms() / 1000) + (int64_t)days * DAY_S;
	if (how.not_after_unix_s > ca.not_after_unix_s) /* as many days, a moment later */
		how.not_after_unix_s = ca.not_after_unix_s;
	return sb_tls_sign(pki->operator_ca_key, pki->operator_ca, csr, &how, &pki->operator_cert,
			err);
}

static int make_pki(struct pki *pki, const char *name, unsigned ca_days, unsigned operator_days,
		struct sb_err *err)
{
	int rc = sb_tls_ca_new("sparkbus operator authority", ca_days, &pki->operator_ca_key,
			&pki->operator_ca, err);

	if (rc == 0)
		rc = sb_tls_ca_new("sparkbus node authority", ca_days, &pki->node_ca_key,
				&pki->node_ca, err);
	if (rc == 0)
		rc = sb_tls_crl_next(pki->operator_ca_key, pki->operator_ca, NULL, NULL,
				&pki->operator_crl, err);
	if (rc == 0)
		rc = sb_tls_crl_next(
				pki->node_ca_key, pki->node_ca, NULL, NULL, &pki->node_crl, err);
	return rc < 0 ? rc : make_operator(pki, name, operator_days, err);
}

/* Other files in pki/ are found by the rename, which wants it absent or empty. */
static int check_absent(const struct sb_inventory *inv, struct sb_err *err)
{
	const char *missing = NULL;
	size_t present = 0;
	struct stat st;
	int rc;

	for (size_t i = 0; i < sb_countof(files); i++) {
		SB_CLEANUP(sb_freep) char *path = inv_path(inv, PKI, files[i].name, "");

		if (!path)
			return sb_err_nomem(err);
		if (lstat(path, &st) == 0)
			present++;
		else if (!missing)
			missing = files[i].name;
	}
	if (!present)
		return 0;
	if (!missing)
		return sb_err_set(err, SB_E_BUSY, "there is an identity in %s/" PKI " already",
				inv->home);
	rc = sb_err_set(err, SB_E_BUSY,
			"there is an identity in %s/" PKI " already, without its %s", inv->home,
			missing);
	return sb_err_hint(err, rc, "restore the file, or move " PKI "/ away and begin anew");
}

/* Remove what an interrupted attempt left. Nothing was ever used of it. */
static int clear_new(const char *dir, struct sb_err *err)
{
	DIR *d = opendir(dir);

	if (!d)
		return errno == ENOENT ? 0 : sb_err_errno(err, errno, "%s", dir);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(d), e->d_name, 0); /* a failure shows in rmdir */
	closedir(d);
	return rmdir(dir) < 0 ? sb_err_errno(err, errno, "remove %s", dir) : 0;
}

static int put_in_place(
		const struct sb_inventory *inv, const char *from, int home_fd, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *to = sb_fs_join(inv->home, PKI);
	int rc;

	if (!to)
		return sb_err_nomem(err);
	if (rename(from, to) < 0) {
		if (errno != ENOTEMPTY && errno != EEXIST)
			return sb_err_errno(err, errno, "make %s", to);
		rc = sb_err_set(err, SB_E_BUSY, "%s exists and holds other files", to);
		return sb_err_hint(err, rc, "move it away and begin anew");
	}
	return fsync(home_fd) < 0 ? sb_err_errno(err, errno, "sync %s", inv->home) : 0;
}

int sb_inventory_init(struct sb_inventory *inv, const char *operator_name, unsigned ca_days,
		unsigned operator_days, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *dir = sb_fs_join(inv->home, PKI_NEW);
	SB_CLEANUP(pki_done) struct pki pki = { 0 };
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc;

	if (!dir)
		return sb_err_nomem(err);
	if (!operator_days || operator_days > ca_days)
		return sb_err_set(err, SB_E_INVALID,
				"operator certificate: expected 1 to %u days, as long as its "
				"authority",
				ca_days);
	rc = inv_lock(inv, &lock, err);
	if (rc == 0)
		rc = check_absent(inv, err);
	if (rc == 0)
		rc = make_pki(&pki, operator_name, ca_days, operator_days, err);
	if (rc == 0)
		rc = clear_new(dir, err);
	for (size_t i = 0; rc == 0 && i < sb_countof(files); i++)
		rc = inv_write(inv, PKI_NEW, files[i].name, "", *file_of(&pki, i), err);
	if (rc == 0)
		rc = put_in_place(inv, dir, lock, err);
	if (rc < 0)
		clear_new(dir, NULL);
	return rc;
}

static int load_one(struct sb_inventory *inv, const char *name, char **ret, struct sb_err *err)
{
	int rc = inv_read(inv, PKI, name, "", ret, err);

	return rc == -SB_E_NOT_FOUND ? sb_err_hint(err, rc, NO_IDENTITY_HINT) : rc;
}

int sb_inventory_creds(struct sb_inventory *inv, struct sb_tls_creds *ret,
		const char **ret_operator, struct sb_err *err)
{
	struct sb_inventory fresh = { 0 };
	const struct {
		const char *name;
		char **into;
	} wanted[] = {
		{ "operator.crt", &fresh.cert },
		{ "operator.key", &fresh.key },
		{ "node-ca.crt", &fresh.node_ca },
		{ "node-ca.crl", &fresh.node_crl },
		{ "operator-ca.crt", &fresh.operator_ca },
		{ "operator-ca.crl", &fresh.operator_crl },
	};
	struct sb_inventory *old;
	int rc = 0;

	old = calloc(1, sizeof(*old));
	if (!old)
		return sb_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < sb_countof(wanted); i++)
		rc = load_one(inv, wanted[i].name, wanted[i].into, err);
	if (rc == 0)
		rc = sb_tls_cert_info(fresh.cert, &fresh.info, err);
	if (rc < 0) {
		*old = fresh;
	} else {
		*old = *inv;
		fresh.home = sb_steal(old->home);
		*inv = fresh;
		*ret = (struct sb_tls_creds){ inv->cert, inv->key, inv->node_ca, inv->node_crl,
			inv->operator_ca, inv->operator_crl };
		*ret_operator = inv->info.name;
	}
	sb_inventory_close(old);
	return rc;
}

int sb_inventory_crls(struct sb_inventory *inv, char **ret_operator_crl, char **ret_node_crl,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *operators = NULL;
	SB_CLEANUP(sb_freep) char *nodes = NULL;
	int rc = load_one(inv, "operator-ca.crl", &operators, err);

	if (rc == 0)
		rc = load_one(inv, "node-ca.crl", &nodes, err);
	if (rc < 0)
		return rc;
	*ret_operator_crl = sb_steal(operators);
	*ret_node_crl = sb_steal(nodes);
	return 0;
}
