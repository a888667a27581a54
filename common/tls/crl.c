/* crl.c - revocation lists.
 *
 * A list is ordered by its number, never by its date. Its dates are the authority's own, because
 * the TLS library of the bus treats a list that is expired, or dated in the future, as a failed
 * check of every certificate: a list stamped "now" would lock a node whose clock is behind out of
 * the cluster for good. Who believes the authority is valid believes its lists are. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "internal.h"

static int crl_number(X509_CRL *crl, uint64_t *ret, struct sb_err *err)
{
	SB_CLEANUP(ASN1_INTEGER_freep)
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	uint64_t value;

	if (!number)
		return tls_fail(err, SB_E_INVALID, "revocation list without a number");
	if (ASN1_INTEGER_get_uint64(&value, number) != 1)
		return tls_fail(err, SB_E_RANGE, "number of the revocation list");
	*ret = value;
	return 0;
}

/* Whether @ca signed @crl, and its number. */
static int check_signed(X509 *ca, X509_CRL *crl, uint64_t *ret_number, struct sb_err *err)
{
	char issuer[TLS_COMMON_NAME_MAX * 2] = "?";

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) ||
			X509_CRL_verify(crl, X509_get0_pubkey(ca)) != 1) {
		ERR_clear_error();
		tls_common_name(X509_CRL_get_issuer(crl), issuer, sizeof(issuer));
		return sb_err_set(err, SB_E_DENIED,
				"revocation list is signed by another authority (%s)", issuer);
	}
	return crl_number(crl, ret_number, err);
}

int sb_tls_crl_check(const char *ca_cert_pem, const char *crl_pem, uint64_t *ret_number,
		struct sb_err *err)
{
	SB_CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
	SB_CLEANUP(X509_freep) X509 *ca = NULL;
	int rc = tls_read_cert(ca_cert_pem, &ca, err);

	if (rc < 0)
		return sb_err_wrap(err, rc, "authority");
	rc = tls_read_crl(crl_pem, &crl, err);
	return rc < 0 ? rc : check_signed(ca, crl, ret_number, err);
}

static bool has_serial(X509_CRL *crl, ASN1_INTEGER *serial)
{
	X509_REVOKED *entry = NULL;

	return X509_CRL_get0_by_serial(crl, &entry, serial) == 1;
}

int sb_tls_crl_has(const char *crl_pem, const char *serial_hex, bool *ret, struct sb_err *err)
{
	SB_CLEANUP(ASN1_INTEGER_freep) ASN1_INTEGER *serial = NULL;
	SB_CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
	int rc = tls_read_crl(crl_pem, &crl, err);

	if (rc == 0)
		rc = tls_serial_parse(serial_hex, &serial, err);
	if (rc == 0)
		*ret = has_serial(crl, serial);
	return rc;
}

static int add_entry(X509_CRL *crl, const char *serial_hex, struct sb_err *err)
{
	SB_CLEANUP(ASN1_INTEGER_freep) ASN1_INTEGER *serial = NULL;
	SB_CLEANUP(X509_REVOKED_freep) X509_REVOKED *entry = NULL;
	SB_CLEANUP(ASN1_TIME_freep) ASN1_TIME *now = NULL;
	int rc = tls_serial_parse(serial_hex, &serial, err);

	if (rc < 0)
		return rc;
	if (has_serial(crl, serial))
		return 0;
	entry = X509_REVOKED_new();
	now = ASN1_TIME_set(NULL, (time_t)(sb_now_unix_ms() / 1000));
	if (!entry || !now || X509_REVOKED_set_serialNumber(entry, serial) != 1 ||
			X509_REVOKED_set_revocationDate(entry, now) != 1 ||
			X509_CRL_add0_revoked(crl, entry) != 1)
		return tls_fail(err, SB_E_INTERNAL, "revoke %s", serial_hex);
	entry = NULL; /* the list owns it */
	return 0;
}

/* Number, dates, issuer and the two extensions of RFC 5280, 5.2; then order and signature. */
static bool finish(X509_CRL *crl, uint64_t number, X509 *ca, EVP_PKEY *ca_key)
{
	SB_CLEANUP(ASN1_INTEGER_freep) ASN1_INTEGER *value = ASN1_INTEGER_new();
	X509_EXTENSION *key_id;
	X509V3_CTX ctx;
	bool ok;

	while (X509_CRL_get_ext_count(crl) > 0)
		X509_EXTENSION_free(X509_CRL_delete_ext(crl, 0));
	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	key_id = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = value && key_id && ASN1_INTEGER_set_uint64(value, number) == 1 &&
			X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1 &&
			X509_CRL_add_ext(crl, key_id, -1) == 1 &&
			X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
			X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
			X509_CRL_set1_lastUpdate(crl, X509_get0_notBefore(ca)) == 1 &&
			X509_CRL_set1_nextUpdate(crl, X509_get0_notAfter(ca)) == 1 &&
			X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, ca_key, EVP_sha256()) > 0;
	X509_EXTENSION_free(key_id);
	return ok;
}

static int write_crl(X509_CRL *crl, char **ret, struct sb_err *err)
{
	SB_CLEANUP(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509_CRL(bio, crl) != 1)
		return tls_fail(err, SB_E_INTERNAL, "write revocation list");
	if (BIO_ctrl_pending(bio) > TLS_CRL_PEM_MAX)
		return sb_err_set(err, SB_E_RANGE, "revocation list: more than %zu bytes",
				TLS_CRL_PEM_MAX);
	return tls_take_text(bio, ret, err);
}

int sb_tls_crl_next(const char *ca_key_pem, const char *ca_cert_pem, const char *old_crl_pem,
		const char *serial_hex, char **ret_crl_pem, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *ca_key = NULL;
	SB_CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
	SB_CLEANUP(X509_freep) X509 *ca = NULL;
	uint64_t number = 0;
	int rc = tls_read_cert(ca_cert_pem, &ca, err);

	if (rc == 0)
		rc = tls_read_key(ca_key_pem, &ca_key, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "authority");
	if (X509_check_private_key(ca, ca_key) != 1)
		return tls_fail(err, SB_E_INVALID,
				"the authority's key is not that of its certificate");
	if (old_crl_pem) {
		rc = tls_read_crl(old_crl_pem, &crl, err);
		if (rc == 0)
			rc = check_signed(ca, crl, &number, err);
		if (rc < 0)
			return rc;
		if (number == UINT64_MAX)
			return sb_err_set(err, SB_E_RANGE, "revocation list has the last number");
	} else {
		crl = X509_CRL_new();
		if (!crl)
			return sb_err_nomem(err);
	}
	if (serial_hex)
		rc = add_entry(crl, serial_hex, err);
	if (rc < 0)
		return rc;
	if (!finish(crl, number + 1, ca, ca_key))
		return tls_fail(err, SB_E_INTERNAL, "sign the revocation list");
	return write_crl(crl, ret_crl_pem, err);
}
