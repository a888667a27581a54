/* sign.c - authorities and what they sign.
 *
 * Callers may use any TLS library; nng's mbed TLS, the strictest, insists on: basicConstraints CA
 * and keyCertSign in the authority, cRLSign before it believes a revocation list, digitalSignature
 * for the ECDHE-ECDSA suites, the extended usage of the side that presents the certificate, and the
 * name in a DNS SAN (the CN is ignored once there is a SAN). */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define SERIAL_BITS 126
#define HOUR_S      3600
#define DAY_S       86400
#define MAX_DAYS    36500u /* a hundred years: later dates are typing errors */

struct ext {
	int nid;
	const char *value;
};

static bool add_exts(X509 *cert, X509 *issuer, const struct ext *exts, size_t n)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		SB_CLEANUP(X509_EXTENSION_freep)
		X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, exts[i].nid, exts[i].value);

		if (!ext || X509_add_ext(cert, ext, -1) != 1)
			return false;
	}
	return true;
}

static bool set_random_serial(X509 *cert)
{
	SB_CLEANUP(BN_freep) BIGNUM *number = BN_new();

	if (!number || BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1)
		return false;
	if (BN_is_zero(number) && BN_one(number) != 1)
		return false;
	return BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
}

/* Version, serial, subject CN, validity and public key: what all our certificates have. */
static bool fill_cert(X509 *cert, const char *name, int64_t from, int64_t until, EVP_PKEY *key)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	return X509_set_version(cert, X509_VERSION_3) == 1 && set_random_serial(cert) &&
			X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
					(const unsigned char *)name, -1, -1, 0) == 1 &&
			ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from) &&
			ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until) &&
			X509_set_pubkey(cert, key) == 1;
}

static X509 *make_ca(const char *name, int64_t from, int64_t until, EVP_PKEY *key)
{
	static const struct ext exts[] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
		{ NID_key_usage, "critical,keyCertSign,cRLSign" },
		{ NID_subject_key_identifier, "hash" },
	};
	SB_CLEANUP(X509_freep) X509 *cert = X509_new();

	if (!cert || !fill_cert(cert, name, from, until, key) ||
			X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
			!add_exts(cert, cert, exts, sb_countof(exts)) ||
			X509_sign(cert, key, EVP_sha256()) <= 0)
		return NULL;
	return sb_steal(cert);
}

int sb_tls_ca_new(const char *common_name, unsigned days, char **ret_key_pem, char **ret_cert_pem,
		struct sb_err *err)
{
	SB_CLEANUP(sb_tls_wipe_freep) char *key_pem = NULL;
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(X509_freep) X509 *cert = NULL;
	int64_t now = (int64_t)(sb_now_unix_ms() / 1000);
	char *cert_pem = NULL;
	int rc;

	if (sb_empty(common_name) || strlen(common_name) > TLS_COMMON_NAME_MAX)
		return sb_err_set(err, SB_E_INVALID, "authority name: expected 1 to %d bytes",
				TLS_COMMON_NAME_MAX);
	if (!days || days > MAX_DAYS)
		return sb_err_set(err, SB_E_RANGE, "authority validity: expected 1 to %u days",
				MAX_DAYS);
	rc = sb_tls_key_new(&key_pem, err);
	if (rc == 0)
		rc = tls_read_key(key_pem, &key, err);
	if (rc < 0)
		return rc;
	cert = make_ca(common_name, now - HOUR_S, now + (int64_t)days * DAY_S, key);
	if (!cert)
		return tls_fail(err, SB_E_INTERNAL, "make authority %s", common_name);
	rc = tls_write_cert(cert, &cert_pem, err);
	if (rc < 0)
		return rc;
	*ret_key_pem = sb_steal(key_pem);
	*ret_cert_pem = cert_pem;
	return 0;
}

/* A request may carry a SAN; whatever else it asks for there, we would not sign in silence. */
static bool san_names_only(const X509_REQ *csr, const char *name)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions((X509_REQ *)csr);
	SB_CLEANUP(GENERAL_NAMES_freep)
	GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);

	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

		if (one->type != GEN_DNS ||
				ASN1_STRING_length(one->d.dNSName) != (int)strlen(name) ||
				memcmp(ASN1_STRING_get0_data(one->d.dNSName), name, strlen(name)))
			return false;
	}
	return true;
}

static int check_request(X509_REQ *csr, const char *name, struct sb_err *err)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
	char asked[TLS_COMMON_NAME_MAX];

	if (!tls_is_p256(key))
		return tls_fail(err, SB_E_INVALID, "the request's key is not a P-256 key");
	if (X509_REQ_verify(csr, key) != 1)
		return tls_fail(err, SB_E_INVALID, "the request is not signed with its own key");
	if (!tls_common_name(X509_REQ_get_subject_name(csr), asked, sizeof(asked)))
		return sb_err_set(err, SB_E_INVALID, "the request has no usable common name");
	if (strcmp(asked, name))
		return sb_err_set(err, SB_E_INVALID, "the request is for \"%s\", not for \"%s\"",
				asked, name);
	if (!san_names_only(csr, name))
		return sb_err_set(err, SB_E_INVALID,
				"the request also asks for names other than %s", name);
	return 0;
}

static int check_terms(const struct sb_tls_sign *how, int64_t from, X509 *ca, struct sb_err *err)
{
	int64_t ca_until = tls_unix_time(X509_get0_notAfter(ca));
	char text[2][32];

	if (!sb_tls_name_ok(how->name))
		return sb_err_set(err, SB_E_INVALID, "\"%s\" is not a name",
				how->name ? how->name : "");
	if ((unsigned)how->role >= SB_TLS_ROLE_COUNT_)
		return sb_err_set(err, SB_E_INVALID, "role %d is unknown", (int)how->role);
	if (how->not_after_unix_s <= from)
		return sb_err_set(err, SB_E_INVALID, "certificate of %s would end before it begins",
				how->name);
	if (how->not_after_unix_s > ca_until)
		return sb_err_set(err, SB_E_INVALID,
				"certificate of %s until %s would outlive its authority, which "
				"ends %s",
				how->name, tls_time_text(how->not_after_unix_s, text[0]),
				tls_time_text(ca_until, text[1]));
	return 0;
}

static X509 *make_leaf(const struct sb_tls_sign *how, int64_t from, EVP_PKEY *key, X509 *ca,
		EVP_PKEY *ca_key)
{
	static const char *const usage[] = {
		[SB_TLS_OPERATOR] = "clientAuth",
		[SB_TLS_NODE] = "serverAuth,clientAuth",
	};
	SB_CLEANUP(X509_freep) X509 *cert = X509_new();
	char san[TLS_COMMON_NAME_MAX + 8];
	const struct ext exts[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, usage[how->role] },
		{ NID_subject_alt_name, san },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid:always" },
	};

	snprintf(san, sizeof(san), "DNS:%s", how->name);
	if (!cert || !fill_cert(cert, how->name, from, how->not_after_unix_s, key) ||
			X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1 ||
			!add_exts(cert, ca, exts, sb_countof(exts)) ||
			X509_sign(cert, ca_key, EVP_sha256()) <= 0)
		return NULL;
	return sb_steal(cert);
}

int sb_tls_sign(const char *ca_key_pem, const char *ca_cert_pem, const char *csr_pem,
		const struct sb_tls_sign *how, char **ret_cert_pem, struct sb_err *err)
{
	int64_t from = how->not_before_unix_s ? how->not_before_unix_s
					      : (int64_t)(sb_now_unix_ms() / 1000) - HOUR_S;
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *ca_key = NULL;
	SB_CLEANUP(X509_REQ_freep) X509_REQ *csr = NULL;
	SB_CLEANUP(X509_freep) X509 *cert = NULL;
	SB_CLEANUP(X509_freep) X509 *ca = NULL;
	int rc = tls_read_cert(ca_cert_pem, &ca, err);

	if (rc == 0)
		rc = tls_read_key(ca_key_pem, &ca_key, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "authority");
	if (X509_check_private_key(ca, ca_key) != 1)
		return tls_fail(err, SB_E_INVALID,
				"the authority's key is not that of its certificate");
	if (X509_check_ca(ca) != 1)
		return sb_err_set(err, SB_E_INVALID,
				"the authority's certificate is not an authority");
	rc = tls_read_csr(csr_pem, &csr, err);
	if (rc == 0)
		rc = check_terms(how, from, ca, err);
	if (rc == 0)
		rc = check_request(csr, how->name, err);
	if (rc < 0)
		return rc;
	cert = make_leaf(how, from, X509_REQ_get0_pubkey(csr), ca, ca_key);
	if (!cert)
		return tls_fail(err, SB_E_INTERNAL, "sign the certificate of %s", how->name);
	return tls_write_cert(cert, ret_cert_pem, err);
}
