#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
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

#define REDIAL_MIN_MS 100
#define REDIAL_MAX_MS 2000
#define REQ_ID_BYTES  4 /* nng counts its own header as part of the message */

static int req_dialer(
		nng_socket socket, const char *url, nng_tls_config *config, nng_dialer *ret_dialer)
{
	nng_dialer dialer;
	int rv;

	rv = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (!rv)
		rv = nng_socket_set_size(
				socket, NNG_OPT_RECVMAXSZ, SB_WIRE_MAX_BYTES + REQ_ID_BYTES);
	if (!rv)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, REDIAL_MIN_MS);
	if (!rv)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, REDIAL_MAX_MS);
	if (!rv)
		rv = nng_dialer_create(&dialer, socket, url);
	if (!rv)
		rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config);
	if (!rv)
		rv = nng_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY, true);
	if (!rv)
		rv = nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		*ret_dialer = dialer;
	return rv;
}

int sb_wire_req_open(const struct sb_tls_creds *creds, const char *node, const char *address,
		uint16_t port, nng_socket *ret_socket, nng_dialer *ret_dialer, struct sb_err *err)
{
	SB_CLEANUP(config_freep) nng_tls_config *config = NULL;
	char url[SB_WIRE_URL_MAX];
	nng_socket socket;
	int rv, rc;

	rc = sb_wire_url("tls+tcp", address, port, url, err);
	if (!rc)
		rc = sb_wire_tls_config(creds, node, &config, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "node %s", node);
	rv = nng_req0_open(&socket);
	if (rv)
		return sb_wire_err_nng(err, rv, "node %s: open a socket", node);
	rv = req_dialer(socket, url, config, ret_dialer);
	if (rv) {
		nng_close(socket);
		return sb_wire_err_nng(
				err, rv, "node %s (%s): make a dialer", node, strchr(url, ':') + 3);
	}
	*ret_socket = socket;
	return 0;
}

int sb_wire_request_msg(const sb_request *request, unsigned deadline_ms, nng_msg **ret,
		uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err)
{
	sb_request copy = *request; /* the members stay the caller's */
	nng_msg *msg;
	size_t len;
	int rc, rv;

	if (copy.id.len && copy.id.len != SB_WIRE_ID_BYTES)
		return sb_err_set(
				err, SB_E_INVALID, "a request's id has %d bytes", SB_WIRE_ID_BYTES);
	if (copy.id.len) {
		memcpy(id, copy.id.data, SB_WIRE_ID_BYTES);
	} else {
		rc = sb_wire_new_id(id, err);
		if (rc < 0)
			return rc;
	}
	copy.id = (ProtobufCBinaryData){ SB_WIRE_ID_BYTES, id };
	copy.protocol = SB_PROTOCOL;
	copy.deadline_ms = deadline_ms;
	len = sparkbus__request__get_packed_size(&copy);
	if (len > SB_WIRE_MAX_BYTES)
		return sb_err_set(err, SB_E_RANGE, "request of %zu bytes is over the limit of %zu",
				len, SB_WIRE_MAX_BYTES);
	rv = nng_msg_alloc(&msg, len);
	if (rv)
		return sb_wire_err_nng(err, rv, "request");
	sparkbus__request__pack(&copy, nng_msg_body(msg));
	*ret = msg;
	return 0;
}

int sb_wire_response_msg(nng_msg *msg, const uint8_t id[SB_WIRE_ID_BYTES], sb_response **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_wire_freep) sb_response *response = NULL;
	ProtobufCMessage *message = NULL;
	int rc;

	rc = sb_wire_unpack(&sparkbus__response__descriptor, nng_msg_body(msg), nng_msg_len(msg),
			&message, err);
	nng_msg_free(msg);
	if (rc < 0)
		return rc;
	response = (sb_response *)message;
	if (response->result_case == SPARKBUS__RESPONSE__RESULT_ERROR)
		return sb_wire_err_in(response->error, err);
	if (response->id.len != SB_WIRE_ID_BYTES || memcmp(response->id.data, id, SB_WIRE_ID_BYTES))
		return sb_err_set(err, SB_E_PROTOCOL, "the answer is to another request");
	*ret = sb_steal(response);
	return 0;
}
