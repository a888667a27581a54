/* key.c - private keys, and the requests that a machine makes with its own. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool sb_tls_name_ok(const char *name)
{
	size_t len = name ? strnlen(name, TLS_COMMON_NAME_MAX) : 0;

	return len > 0 && len < TLS_COMMON_NAME_MAX && strchr(NAME_CHARS, name[0]) &&
			strspn(name, NAME_CHARS "._-") == len;
}

int sb_tls_key_new(char **ret_key_pem, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL; /* its memory is cleared when freed */

	ERR_clear_error();
	key = EVP_EC_gen("P-256");
	bio = BIO_new(BIO_s_mem());
	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_fail(err, SB_E_INTERNAL, "make a key");
	return tls_take_text(bio, ret_key_pem, err);
}

/* @name is checked: it cannot bring further items into the configuration string. */
static bool add_request_name(X509_REQ *csr, const char *name)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	X509_NAME *subject = X509_REQ_get_subject_name(csr);
	char san[TLS_COMMON_NAME_MAX + 8];
	X509_EXTENSION *ext;
	bool ok;

	snprintf(san, sizeof(san), "DNS:%s", name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	ok = ext && X509v3_add_ext(&exts, ext, -1) && X509_REQ_add_extensions(csr, exts) == 1 &&
			X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
					(const unsigned char *)name, -1, -1, 0) == 1;
	X509_EXTENSION_free(ext); /* the stack holds a copy */
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return ok;
}

int sb_tls_csr_new(const char *key_pem, const char *name, char **ret_pem, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(X509_REQ_freep) X509_REQ *csr = NULL;
	SB_CLEANUP(BIO_free_allp) BIO *bio = NULL;
	int rc;

	if (!sb_tls_name_ok(name))
		return sb_err_set(err, SB_E_INVALID,
				"\"%s\" is not a name: 1 to 63 of A-Z a-z 0-9 . _ -, beginning "
				"with a "
				"letter or digit",
				name ? name : "");
	rc = tls_read_key(key_pem, &key, err);
	if (rc < 0)
		return rc;
	csr = X509_REQ_new();
	bio = BIO_new(BIO_s_mem());
	if (!csr || !bio || X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 ||
			!add_request_name(csr, name) || X509_REQ_set_pubkey(csr, key) != 1 ||
			X509_REQ_sign(csr, key, EVP_sha256()) <= 0 ||
			PEM_write_bio_X509_REQ(bio, csr) != 1)
		return tls_fail(err, SB_E_INTERNAL, "make a certificate request");
	return tls_take_text(bio, ret_pem, err);
}
