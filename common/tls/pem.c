/* pem.c - PEM text, names and times: the edges between OpenSSL's objects and plain C. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define SERIAL_MAX_BYTES 20

int tls_fail(struct sb_err *err, enum sb_code code, const char *fmt, ...)
{
	unsigned long last = ERR_peek_last_error();
	const char *reason = last ? ERR_reason_error_string(last) : NULL;
	char what[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (last && ERR_GET_REASON(last) == ERR_R_MALLOC_FAILURE)
		code = SB_E_NOMEM;
	ERR_clear_error();
	return sb_err_set(err, code, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

/* Without a callback OpenSSL asks for the passphrase of an encrypted key on the terminal. */
static int no_passphrase(char *buf, int size, int for_writing, void *ctx)
{
	return -1;
}

static int open_pem(const char *pem, size_t max, const char *what, BIO **ret, struct sb_err *err)
{
	size_t len = pem ? strnlen(pem, max + 1) : 0;
	BIO *bio;

	if (!len)
		return sb_err_set(err, SB_E_INVALID, "%s: empty", what);
	if (len > max)
		return sb_err_set(err, SB_E_RANGE, "%s: more than %zu bytes", what, max);
	ERR_clear_error();
	bio = BIO_new_mem_buf(pem, (int)len);
	if (!bio)
		return sb_err_nomem(err);
	*ret = bio;
	return 0;
}

int tls_read_cert(const char *pem, X509 **ret, struct sb_err *err)
{
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL;
	int rc = open_pem(pem, TLS_PEM_MAX, "certificate", &bio, err);
	X509 *cert;

	if (rc < 0)
		return rc;
	cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (!cert)
		return tls_fail(err, SB_E_INVALID, "not a PEM certificate");
	*ret = cert;
	return 0;
}

int tls_read_csr(const char *pem, X509_REQ **ret, struct sb_err *err)
{
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL;
	int rc = open_pem(pem, TLS_PEM_MAX, "certificate request", &bio, err);
	X509_REQ *csr;

	if (rc < 0)
		return rc;
	csr = PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, NULL);
	if (!csr)
		return tls_fail(err, SB_E_INVALID, "not a PEM certificate request");
	*ret = csr;
	return 0;
}

int tls_read_crl(const char *pem, X509_CRL **ret, struct sb_err *err)
{
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL;
	int rc = open_pem(pem, TLS_CRL_PEM_MAX, "revocation list", &bio, err);
	X509_CRL *crl;

	if (rc < 0)
		return rc;
	crl = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL);
	if (!crl)
		return tls_fail(err, SB_E_INVALID, "not a PEM revocation list");
	*ret = crl;
	return 0;
}

int tls_read_key(const char *pem, EVP_PKEY **ret, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL;
	int rc = open_pem(pem, TLS_PEM_MAX, "private key", &bio, err);

	if (rc < 0)
		return rc;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (!key)
		return tls_fail(err, SB_E_INVALID, "not a PEM private key without passphrase");
	if (!tls_is_p256(key))
		return sb_err_set(err, SB_E_INVALID, "the private key is not a P-256 key");
	*ret = sb_steal(key);
	return 0;
}

bool tls_is_p256(const EVP_PKEY *key)
{
	char group[32];

	return key && EVP_PKEY_is_a(key, "EC") &&
			EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group,
					sizeof(group), NULL) == 1 &&
			strcmp(group, SN_X9_62_prime256v1) == 0;
}

int tls_take_text(BIO *bio, char **ret, struct sb_err *err)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	char *text;

	if (len <= 0)
		return tls_fail(err, SB_E_INTERNAL, "write PEM");
	text = malloc((size_t)len + 1);
	if (!text)
		return sb_err_nomem(err);
	memcpy(text, data, (size_t)len);
	text[len] = '\0';
	*ret = text;
	return 0;
}

int tls_write_cert(X509 *cert, char **ret, struct sb_err *err)
{
	SB_CLEANUP(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509(bio, cert) != 1)
		return tls_fail(err, SB_E_INTERNAL, "write certificate");
	return tls_take_text(bio, ret, err);
}

void sb_tls_wipe_free(char *pem)
{
	if (pem)
		OPENSSL_cleanse(pem, strlen(pem));
	free(pem);
}

bool tls_common_name(const X509_NAME *name, char *buf, size_t size)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	bool ok;
	int len;

	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return false;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len < 0) {
		ERR_clear_error();
		return false;
	}
	ok = (size_t)len < size && !memchr(utf8, '\0', (size_t)len);
	if (ok) {
		memcpy(buf, utf8, (size_t)len);
		buf[len] = '\0';
	}
	OPENSSL_free(utf8);
	return ok;
}

int64_t tls_unix_time(const ASN1_TIME *time)
{
	struct tm tm;

	if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
		return 0;
	return timegm(&tm);
}

const char *tls_time_text(int64_t unix_s, char buf[32])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(buf, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(buf, 32, "@%lld", (long long)unix_s);
	return buf;
}

int tls_serial_text(const ASN1_INTEGER *serial, char *buf, size_t size, struct sb_err *err)
{
	int bytes = ASN1_STRING_length(serial);
	const unsigned char *data = ASN1_STRING_get0_data(serial);

	if (bytes < 1 || bytes > SERIAL_MAX_BYTES || (size_t)bytes * 2 >= size ||
			ASN1_STRING_type(serial) != V_ASN1_INTEGER)
		return sb_err_set(err, SB_E_RANGE, "serial number is not 1 to %d bytes",
				SERIAL_MAX_BYTES);
	for (int i = 0; i < bytes; i++)
		snprintf(buf + 2 * i, 3, "%02x", data[i]);
	return 0;
}

int tls_serial_parse(const char *hex, ASN1_INTEGER **ret, struct sb_err *err)
{
	SB_CLEANUP(BN_freep) BIGNUM *number = NULL;
	size_t len = hex ? strnlen(hex, 2 * SERIAL_MAX_BYTES + 1) : 0;
	ASN1_INTEGER *serial;

	if (!len || len > 2 * SERIAL_MAX_BYTES || strspn(hex, "0123456789abcdefABCDEF") != len)
		return sb_err_set(err, SB_E_INVALID, "serial number: expected 1 to %d hex digits",
				2 * SERIAL_MAX_BYTES);
	if (!BN_hex2bn(&number, hex))
		return tls_fail(err, SB_E_NOMEM, "serial number");
	serial = BN_to_ASN1_INTEGER(number, NULL);
	if (!serial)
		return tls_fail(err, SB_E_NOMEM, "serial number");
	*ret = serial;
	return 0;
}

static int fill_info(X509 *cert, struct sb_tls_cert_info *info, struct sb_err *err)
{
	if (!tls_common_name(X509_get_subject_name(cert), info->name, sizeof(info->name)))
		return sb_err_set(err, SB_E_INVALID, "certificate without a usable common name");
	if (!tls_common_name(X509_get_issuer_name(cert), info->issuer, sizeof(info->issuer)))
		return sb_err_set(err, SB_E_INVALID, "certificate without a usable issuer name");
	info->not_before_unix_s = tls_unix_time(X509_get0_notBefore(cert));
	info->not_after_unix_s = tls_unix_time(X509_get0_notAfter(cert));
	return tls_serial_text(
			X509_get0_serialNumber(cert), info->serial, sizeof(info->serial), err);
}

int sb_tls_cert_info(const char *cert_pem, struct sb_tls_cert_info *ret, struct sb_err *err)
{
	SB_CLEANUP(X509_freep) X509 *cert = NULL;
	struct sb_tls_cert_info info = { 0 };
	int rc = tls_read_cert(cert_pem, &cert, err);

	if (rc == 0)
		rc = fill_info(cert, &info, err);
	if (rc == 0)
		*ret = info;
	return rc;
}
