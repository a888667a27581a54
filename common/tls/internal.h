/* internal.h - what the files of this folder share: OpenSSL objects with scope cleanup, PEM text in
 * and out with caps, names and times. OpenSSL's error queue is emptied by whoever reports from it.
 */
#ifndef SB_TLS_INTERNAL_H
#define SB_TLS_INTERNAL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "sb_tls.h"

/* Bytes of PEM text. A P-256 certificate has about 800; ten thousand revocations, about 600 KiB. */
#define TLS_PEM_MAX         ((size_t)64 << 10)
#define TLS_CRL_PEM_MAX     ((size_t)1 << 20)
#define TLS_COMMON_NAME_MAX 64

SB_DEFINE_CLEANUP(X509_free, X509 *)
SB_DEFINE_CLEANUP(X509_REQ_free, X509_REQ *)
SB_DEFINE_CLEANUP(X509_CRL_free, X509_CRL *)
SB_DEFINE_CLEANUP(X509_REVOKED_free, X509_REVOKED *)
SB_DEFINE_CLEANUP(X509_EXTENSION_free, X509_EXTENSION *)
SB_DEFINE_CLEANUP(X509_STORE_free, X509_STORE *)
SB_DEFINE_CLEANUP(X509_STORE_CTX_free, X509_STORE_CTX *)
SB_DEFINE_CLEANUP(EVP_PKEY_free, EVP_PKEY *)
SB_DEFINE_CLEANUP(BIO_free_all, BIO *)
SB_DEFINE_CLEANUP(BN_free, BIGNUM *)
SB_DEFINE_CLEANUP(ASN1_INTEGER_free, ASN1_INTEGER *)
SB_DEFINE_CLEANUP(ASN1_TIME_free, ASN1_TIME *)
SB_DEFINE_CLEANUP(GENERAL_NAMES_free, GENERAL_NAMES *)

/** sb_err_set() with OpenSSL's last reason appended, when there is one. Empties its queue. */
int tls_fail(struct sb_err *err, enum sb_code code, const char *fmt, ...) SB_PRINTF(3, 4);

/* PEM text to objects. -SB_E_INVALID when it does not parse, -SB_E_RANGE over the caps above. */
int tls_read_cert(const char *pem, X509 **ret, struct sb_err *err);
int tls_read_csr(const char *pem, X509_REQ **ret, struct sb_err *err);
int tls_read_crl(const char *pem, X509_CRL **ret, struct sb_err *err);
int tls_read_key(const char *pem, EVP_PKEY **ret, struct sb_err *err); /* private, P-256 */

/** Copy what was written into memory BIO @bio to a heap text. */
int tls_take_text(BIO *bio, char **ret, struct sb_err *err);
int tls_write_cert(X509 *cert, char **ret, struct sb_err *err);

bool tls_is_p256(const EVP_PKEY *key);
/** The one CN of @name. False when there is none, it holds a NUL or does not fit. */
bool tls_common_name(const X509_NAME *name, char *buf, size_t size);
/** Seconds since 1970; 0 for what is no time. */
int64_t tls_unix_time(const ASN1_TIME *time);
/** "2026-03-01 12:00:00 UTC" into @buf, which is returned. */
const char *tls_time_text(int64_t unix_s, char buf[32]);
/** Lower-case hex without separators. -SB_E_RANGE for more than 20 bytes (RFC 5280, 4.1.2.2). */
int tls_serial_text(const ASN1_INTEGER *serial, char *buf, size_t size, struct sb_err *err);
int tls_serial_parse(const char *hex, ASN1_INTEGER **ret, struct sb_err *err);

/** Check @cert against authority, list (may be NULL), time (0 = now, SB_TLS_ANY_TIME) and
 * @purpose (an X509_PURPOSE_, 0 = any). The text names what is wrong, and @ret_x509 is its
 * X509_V_ERR_ when OpenSSL found it. */
int tls_verify_cert(X509 *ca, X509_CRL *crl, X509 *cert, int64_t now_unix_s, int purpose,
		int *ret_x509, struct sb_err *err);

#endif
