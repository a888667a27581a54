#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sb_wire_nng.h"

static enum sb_code code_of_nng(int rv)
{
	static const struct {
		int rv;
		enum sb_code code;
	} codes[] = {
		{ NNG_ENOMEM, SB_E_NOMEM },
		{ NNG_EADDRINUSE, SB_E_BUSY },
		{ NNG_EBUSY, SB_E_BUSY },
		{ NNG_ETIMEDOUT, SB_E_TIMEOUT },
		{ NNG_ECONNREFUSED, SB_E_UNAVAILABLE },
		{ NNG_ECONNRESET, SB_E_UNAVAILABLE },
		{ NNG_ECONNABORTED, SB_E_UNAVAILABLE },
		{ NNG_ECONNSHUT, SB_E_UNAVAILABLE },
		{ NNG_EUNREACHABLE, SB_E_UNAVAILABLE },
		{ NNG_EAGAIN, SB_E_UNAVAILABLE },
		{ NNG_ECLOSED, SB_E_CANCELLED },
		{ NNG_ECANCELED, SB_E_CANCELLED },
		{ NNG_EPEERAUTH, SB_E_DENIED },
		{ NNG_ECRYPTO, SB_E_DENIED },
		{ NNG_EPERM, SB_E_DENIED },
		{ NNG_EADDRINVAL, SB_E_INVALID },
		{ NNG_EINVAL, SB_E_INVALID },
		{ NNG_EPROTO, SB_E_PROTOCOL },
		{ NNG_EMSGSIZE, SB_E_RANGE },
		{ NNG_ENOFILES, SB_E_RANGE },
	};

	for (size_t i = 0; i < sb_countof(codes); i++)
		if (codes[i].rv == rv)
			return codes[i].code;
	return SB_E_INTERNAL;
}

int sb_wire_err_nng(struct sb_err *err, int rv, const char *fmt, ...)
{
	char what[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return sb_err_set(err, code_of_nng(rv), "%s: %s", what, nng_strerror(rv));
}

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static void x509_freep(X509 **cert)
{
	X509_free(*cert);
}

static void pkey_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

/* mbed TLS takes a key that is not the certificate's and then fails every handshake. */
static int check_pair(const struct sb_tls_creds *creds, struct sb_err *err)
{
	SB_CLEANUP(bio_freep) BIO *cert_bio = BIO_new_mem_buf(creds->cert_pem, -1);
	SB_CLEANUP(bio_freep) BIO *key_bio = BIO_new_mem_buf(creds->key_pem, -1);
	SB_CLEANUP(x509_freep) X509 *cert = NULL;
	SB_CLEANUP(pkey_freep) EVP_PKEY *key = NULL;

	if (!cert_bio || !key_bio)
		return sb_err_nomem(err);
	cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
	if (!cert)
		return sb_err_set(err, SB_E_INVALID, "the certificate is not PEM");
	/* An empty password, so that an encrypted key fails and does not ask on the terminal. */
	key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)"");
	if (!key)
		return sb_err_set(err, SB_E_INVALID, "the private key is not plain PEM");
	if (X509_check_private_key(cert, key) != 1)
		return sb_err_set(err, SB_E_INVALID, "the private key is not the certificate's");
	return 0;
}

static void config_freep(nng_tls_config **config)
{
	if (*config)
		nng_tls_config_free(*config);
}

int sb_wire_tls_config(const struct sb_tls_creds *creds, const char *server_name,
		nng_tls_config **ret, struct sb_err *err)
{
	SB_CLEANUP(config_freep) nng_tls_config *config = NULL;
	int rv, rc;

	if (!creds->cert_pem || !creds->key_pem || !creds->peer_ca_pem)
		return sb_err_set(err, SB_E_INVALID, "certificate, key or authority is missing");
	rc = check_pair(creds, err);
	if (rc < 0)
		return rc;
	rv = nng_tls_config_alloc(&config, server_name ? NNG_TLS_MODE_CLIENT : NNG_TLS_MODE_SERVER);
	if (rv)
		return sb_wire_err_nng(err, rv, "TLS settings");
	rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_3);
	if (!rv)
		rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
	if (!rv && server_name)
		rv = nng_tls_config_server_name(config, server_name);
	if (rv)
		return sb_wire_err_nng(err, rv, "TLS settings");
	rv = nng_tls_config_ca_chain(config, creds->peer_ca_pem, creds->peer_crl_pem);
	if (rv)
		return sb_err_set(err, SB_E_INVALID,
				"the authority's certificate or revocation list does not load: %s",
				nng_strerror(rv));
	rv = nng_tls_config_own_cert(config, creds->cert_pem, creds->key_pem, NULL);
	if (rv)
		return sb_err_set(err, SB_E_INVALID, "the certificate and key do not load: %s",
				nng_strerror(rv));
	*ret = sb_steal(config);
	return 0;
}

int sb_wire_url(const char *scheme, const char *host, uint16_t port, char url[SB_WIRE_URL_MAX],
		struct sb_err *err)
{
	bool literal6 = strchr(host, ':');
	int n;

	/* nng reads user@, source;host, paths and queries in a URL. */
	if (!*host || strpbrk(host, "/?#@;[]* \t"))
		return sb_err_set(err, SB_E_INVALID, "\"%s\" is not a host name or address", host);
	n = snprintf(url, SB_WIRE_URL_MAX, literal6 ? "%s://[%s]:%u" : "%s://%s:%u", scheme, host,
			port);
	if (n < 0 || n >= SB_WIRE_URL_MAX)
		return sb_err_set(err, SB_E_INVALID, "host name of %zu bytes is too long",
				strlen(host));
	return 0;
}
