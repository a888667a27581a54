/* verify.c - is this certificate good, and if not, why, in words that lead to a cure. */
#include <openssl/err.h>
#include <stdio.h>
#include <time.h>

#include "internal.h"

/* What OpenSSL says to its reason in our words. Rows with a NULL text need the certificate's own
 * data and are written by explain(). */
static const struct {
	int error;
	const char *text;
} reasons[] = {
	{ X509_V_ERR_CERT_REVOKED, "revoked" },
	{ X509_V_ERR_INVALID_PURPOSE, "not meant for this side of a connection" },
	{ X509_V_ERR_CRL_HAS_EXPIRED, "cannot be checked: the revocation list has expired" },
	{ X509_V_ERR_CRL_NOT_YET_VALID, "cannot be checked: the revocation list is not valid yet" },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE,
			"cannot be checked: the revocation list is not signed by the authority" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL,
			"cannot be checked: the revocation list is another authority's" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,
			"cannot be checked: the revocation list is another authority's" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, NULL },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, NULL },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, NULL },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, NULL },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, NULL },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, NULL },
};

static int explain(X509_STORE_CTX *ctx, X509 *cert, struct sb_err *err)
{
	int error = X509_STORE_CTX_get_error(ctx);
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	const char *whose = X509_STORE_CTX_get_error_depth(ctx) > 0 ? "its authority " : "";
	char issuer[TLS_COMMON_NAME_MAX * 2] = "?";
	char when[32];

	ERR_clear_error();
	at = at ? at : cert;
	if (error == X509_V_ERR_CERT_HAS_EXPIRED)
		return sb_err_set(err, SB_E_DENIED, "%sexpired on %s", whose,
				tls_time_text(tls_unix_time(X509_get0_notAfter(at)), when));
	if (error == X509_V_ERR_CERT_NOT_YET_VALID)
		return sb_err_set(err, SB_E_DENIED, "%snot valid before %s", whose,
				tls_time_text(tls_unix_time(X509_get0_notBefore(at)), when));
	for (size_t i = 0; i < sb_countof(reasons); i++) {
		if (reasons[i].error != error)
			continue;
		if (reasons[i].text)
			return sb_err_set(err, SB_E_DENIED, "%s", reasons[i].text);
		tls_common_name(X509_get_issuer_name(cert), issuer, sizeof(issuer));
		return sb_err_set(err, SB_E_DENIED, "signed by another authority (%s)", issuer);
	}
	if (error == X509_V_ERR_OUT_OF_MEM)
		return sb_err_nomem(err);
	return sb_err_set(err, SB_E_DENIED, "refused: %s", X509_verify_cert_error_string(error));
}

static bool prepare(X509_STORE *store, X509_STORE_CTX *ctx, X509 *ca, X509_CRL *crl, X509 *cert,
		int64_t now_unix_s, int purpose)
{
	X509_VERIFY_PARAM *param;

	if (!store || !ctx || X509_STORE_add_cert(store, ca) != 1 ||
			(crl && X509_STORE_add_crl(store, crl) != 1) ||
			X509_STORE_CTX_init(ctx, store, cert, NULL) != 1)
		return false;
	param = X509_STORE_CTX_get0_param(ctx);
	if (crl)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK);
	if (now_unix_s == SB_TLS_ANY_TIME)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	else
		X509_VERIFY_PARAM_set_time(param, now_unix_s ? (time_t)now_unix_s : time(NULL));
	return !purpose || X509_VERIFY_PARAM_set_purpose(param, purpose) == 1;
}

static int verify_once(X509 *ca, X509_CRL *crl, X509 *cert, int64_t now_unix_s, int purpose,
		int *ret_x509, struct sb_err *err)
{
	SB_CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = NULL;
	SB_CLEANUP(X509_STORE_freep) X509_STORE *store = NULL;

	ERR_clear_error();
	store = X509_STORE_new();
	ctx = X509_STORE_CTX_new();
	if (!prepare(store, ctx, ca, crl, cert, now_unix_s, purpose))
		return tls_fail(err, SB_E_INTERNAL, "prepare to check a certificate");
	if (X509_verify_cert(ctx) == 1)
		return 0;
	*ret_x509 = X509_STORE_CTX_get_error(ctx);
	return explain(ctx, cert, err);
}

/* OpenSSL looks at the list before it looks at dates. With a wrong clock the list is "not valid
 * yet" as well, and that would hide the plainer reason, so the list has a turn of its own. */
int tls_verify_cert(X509 *ca, X509_CRL *crl, X509 *cert, int64_t now_unix_s, int purpose,
		int *ret_x509, struct sb_err *err)
{
	int rc = verify_once(ca, NULL, cert, now_unix_s, purpose, ret_x509, err);

	if (rc < 0 || !crl)
		return rc;
	return verify_once(ca, crl, cert, now_unix_s, purpose, ret_x509, err);
}

int sb_tls_verify(const char *ca_cert_pem, const char *crl_pem, const char *cert_pem,
		const char *key_pem, int64_t now_unix_s, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
	SB_CLEANUP(X509_freep) X509 *cert = NULL;
	SB_CLEANUP(X509_freep) X509 *ca = NULL;
	int x509, rc = tls_read_cert(cert_pem, &cert, err);

	if (rc == 0 && key_pem)
		rc = tls_read_key(key_pem, &key, err);
	if (rc < 0)
		return rc;
	rc = tls_read_cert(ca_cert_pem, &ca, err);
	if (rc == 0 && crl_pem)
		rc = tls_read_crl(crl_pem, &crl, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "authority");
	if (key && X509_check_private_key(cert, key) != 1)
		return tls_fail(err, SB_E_DENIED, "the key does not belong to the certificate");
	return tls_verify_cert(ca, crl, cert, now_unix_s, 0, &x509, err);
}
