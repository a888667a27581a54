/* session.c - one TLS connection between two memory buffers.
 *
 * OpenSSL does TLS; who may come in is decided here, by tls_verify_cert(), for one rule and one
 * set of words on both sides and in every tool. When a session ends, the reason is looked for in
 * the order in which it is surest:
 *   1. what we held against the other side's certificate;
 *   2. the alert that it sent: then our own certificate is checked first, against its authority
 *      and list where we have them, because the other side says no more than an alert does;
 *   3. whether what came was TLS at all. */
#include <openssl/err.h>
#include <string.h>

#include "internal.h"
#include "sb_session.h"

#define RECORD_ALERT     21 /* content types of the TLS record layer, RFC 8446, B.1 */
#define RECORD_HANDSHAKE 22
/* For TLS 1.2; all of TLS 1.3 qualify: keys of their own for each connection, no CBC. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct sb_tls_context {
	unsigned refs;
	enum sb_tls_side side;
	SSL_CTX *ssl;
	X509 *cert, *peer_ca;
	X509_CRL *peer_crl; /* may be NULL */
	X509 *own_ca;       /* may be NULL, and its list, too */
	X509_CRL *own_crl;
};

struct sb_tls_session {
	struct sb_tls_context *context;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	char *peer_name;
	X509 *peer;            /* what the other side presented */
	struct sb_err verdict; /* what we hold against it; code 0 = nothing */
	int alert;             /* received; -1 = none */
	bool received;         /* anything at all */
	bool not_tls;
};

/* --- judging --- */

/* @ret_x509: an X509_V_ERR_ for the alert, 0 when all is well. */
static int judge(const struct sb_tls_context *context, const char *name, X509 *peer, int *ret_x509,
		struct sb_err *err)
{
	int purpose = context->side == SB_TLS_DIALS ? X509_PURPOSE_SSL_SERVER
						    : X509_PURPOSE_SSL_CLIENT;
	char cn[TLS_COMMON_NAME_MAX * 2] = "?";
	int rc = tls_verify_cert(
			context->peer_ca, context->peer_crl, peer, 0, purpose, ret_x509, err);

	tls_common_name(X509_get_subject_name(peer), cn, sizeof(cn));
	if (rc < 0) {
		sb_err_wrap(err, rc, "it presents a certificate (%s) that we refuse", cn);
		return sb_err_hint(err, rc,
				"enroll the node again, or correct the clock of the machine where "
				"that is wrong");
	}
	if (!name || X509_check_host(peer, name, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1)
		return 0;
	ERR_clear_error();
	*ret_x509 = X509_V_ERR_HOSTNAME_MISMATCH;
	rc = sb_err_set(err, SB_E_DENIED, "it is node \"%s\", not \"%s\"", cn, name);
	return sb_err_hint(err, rc, "correct the node's address, or enroll it under this name");
}

/* OpenSSL asks whether the other side's chain is good. */
static int on_chain(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct sb_tls_session *session = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get0_cert(ctx);
	int x509 = X509_V_ERR_UNSPECIFIED;

	if (!cert || X509_up_ref(cert) != 1)
		return 0;
	X509_free(session->peer);
	session->peer = cert;
	if (judge(session->context, session->peer_name, cert, &x509, &session->verdict) == 0) {
		session->verdict.code = SB_OK;
		return 1;
	}
	X509_STORE_CTX_set_error(ctx, x509);
	return 0;
}

static void on_info(const SSL *ssl, int where, int ret)
{
	struct sb_tls_session *session = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && session->alert < 0 &&
			(ret & 0xff) != SSL_AD_CLOSE_NOTIFY)
		session->alert = ret & 0xff;
}

int sb_tls_session_judge(const struct sb_tls_session *session, const struct sb_tls_context *context,
		struct sb_err *err)
{
	int x509 = 0;

	if (!session->peer)
		return sb_err_set(err, SB_E_DENIED, "no certificate was presented yet");
	return judge(context, session->peer_name, session->peer, &x509, err);
}

/* --- why it ended --- */

/* Without our own authority the certificate stands in for it, and only its dates count. */
static int check_own(const struct sb_tls_context *context, struct sb_err *err)
{
	char name[TLS_COMMON_NAME_MAX * 2] = "?";
	int64_t now = (int64_t)(sb_now_unix_ms() / 1000);
	int64_t from = tls_unix_time(X509_get0_notBefore(context->cert));
	int64_t until = tls_unix_time(X509_get0_notAfter(context->cert));
	char when[32];
	int x509, rc = 0;

	if (context->own_ca)
		rc = tls_verify_cert(context->own_ca, context->own_crl, context->cert, now, 0,
				&x509, err);
	else if (now < from)
		rc = sb_err_set(err, SB_E_DENIED, "not valid before %s", tls_time_text(from, when));
	else if (now > until)
		rc = sb_err_set(err, SB_E_DENIED, "expired on %s", tls_time_text(until, when));
	if (rc == 0)
		return 0;
	tls_common_name(X509_get_subject_name(context->cert), name, sizeof(name));
	sb_err_wrap(err, rc, "our own certificate (%s)", name);
	if (err)
		err->code = SB_E_DENIED;
	return sb_err_hint(err, -SB_E_DENIED,
			"get a new certificate, or correct this machine's clock if that is wrong");
}

/* What the other side's last word says about us. OpenSSL calls a certificate of another name, from
 * the future, and an unusable list "bad"; mbed TLS, in nng's own sockets, "unknown". */
static const struct {
	int alert;
	const char *text;
} verdicts[] = {
	{ SSL_AD_UNKNOWN_CA, "our certificate is signed by an authority that it does not trust" },
	{ SSL_AD_CERTIFICATE_EXPIRED,
			"our certificate, or its revocation list, has expired by its clock: "
			"compare the clocks" },
	{ SSL_AD_CERTIFICATE_REVOKED, "our certificate is revoked there" },
	{ SSL_AD_CERTIFICATE_UNKNOWN,
			"our certificate is not valid yet by its clock, or its revocation list is "
			"bad" },
	{ SSL_AD_BAD_CERTIFICATE,
			"our certificate has another name than it expects or is not valid yet by "
			"its clock, or its revocation list is bad" },
	{ SSL_AD_DECRYPT_ERROR,
			"our certificate is signed by an authority that it does not trust" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE, "our certificate is not meant for this use" },
	{ SSL_AD_CERTIFICATE_REQUIRED, "it wants a certificate" },
	{ SSL_AD_ACCESS_DENIED, "access denied" },
	{ SSL_AD_HANDSHAKE_FAILURE, "no cipher or certificate that both sides can use" },
	{ SSL_AD_PROTOCOL_VERSION, "no common TLS version" },
	{ SSL_AD_UNRECOGNIZED_NAME, "it does not know itself by this name" },
};

static int explain_alert(const struct sb_tls_session *session, struct sb_err *err)
{
	int rc = check_own(session->context, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sb_countof(verdicts); i++)
		if (verdicts[i].alert == session->alert)
			return sb_err_set(err, SB_E_DENIED, "it refuses us: %s", verdicts[i].text);
	return sb_err_set(err, SB_E_DENIED, "it refuses us: TLS alert %d (%s)", session->alert,
			SSL_alert_desc_string_long(session->alert));
}

static int explain(struct sb_tls_session *session, struct sb_err *err)
{
	unsigned long reason = ERR_peek_last_error();
	const char *text = reason ? ERR_reason_error_string(reason) : NULL;

	ERR_clear_error();
	if (session->verdict.code) {
		if (err)
			*err = session->verdict;
		return -(int)session->verdict.code;
	}
	if (session->alert >= 0)
		return explain_alert(session, err);
	if (session->not_tls)
		return sb_err_set(err, SB_E_PROTOCOL,
				"what %s there does not speak TLS: it is not an agent",
				session->context->side == SB_TLS_DIALS ? "listens" : "calls from");
	return sb_err_set(err, SB_E_PROTOCOL, "TLS failed: %s", text ? text : "unknown reason");
}

int sb_tls_session_broken(struct sb_tls_session *session, struct sb_err *err)
{
	int rc;

	if (session->verdict.code || session->alert >= 0)
		return explain(session, err);
	if (session->context->side == SB_TLS_DIALS && session->peer) {
		rc = check_own(session->context, err);
		return rc < 0 ? rc : sb_err_set(err, SB_E_UNAVAILABLE, "the other side ended it");
	}
	return sb_err_set(err, SB_E_UNAVAILABLE,
			session->received ? "the other side ended it in the TLS handshake"
					  : "it took the connection and hung up before the TLS "
					    "handshake");
}

/* --- bytes --- */

int sb_tls_session_feed(
		struct sb_tls_session *session, const void *data, size_t len, struct sb_err *err)
{
	const unsigned char *bytes = data;

	if (!session->received && len && bytes[0] != RECORD_HANDSHAKE && bytes[0] != RECORD_ALERT)
		session->not_tls = true;
	session->received |= len > 0;
	return BIO_write(session->in, data, (int)len) == (int)len ? 0 : sb_err_nomem(err);
}

/* @rc of SSL_do_handshake() or SSL_read(), not positive. Return: 0 when more bytes are needed. */
static int stopped(struct sb_tls_session *session, int rc, struct sb_err *err)
{
	int why = SSL_get_error(session->ssl, rc);

	if (why == SSL_ERROR_WANT_READ && !session->not_tls)
		return 0;
	if (why == SSL_ERROR_ZERO_RETURN)
		return sb_err_set(err, SB_E_UNAVAILABLE, "the other side ended it");
	return explain(session, err);
}

int sb_tls_session_read(struct sb_tls_session *session, void *buf, size_t size, size_t *ret_n,
		struct sb_err *err)
{
	int want = size > INT32_MAX ? INT32_MAX : (int)size;
	int rc;

	ERR_clear_error();
	rc = SSL_is_init_finished(session->ssl) ? 1 : SSL_do_handshake(session->ssl);
	if (rc == 1)
		rc = SSL_read(session->ssl, buf, want);
	if (rc > 0) {
		*ret_n = (size_t)rc;
		return 0;
	}
	rc = stopped(session, rc, err);
	if (rc == 0)
		*ret_n = 0;
	return rc;
}

int sb_tls_session_write(
		struct sb_tls_session *session, const void *data, size_t len, struct sb_err *err)
{
	size_t n;

	ERR_clear_error();
	/* A memory buffer takes everything, or there is no memory. */
	if (len && SSL_write_ex(session->ssl, data, len, &n) != 1)
		return explain(session, err);
	return 0;
}

size_t sb_tls_session_give(struct sb_tls_session *session, void *buf, size_t size)
{
	int n = BIO_read(session->out, buf, size > INT32_MAX ? INT32_MAX : (int)size);

	return n > 0 ? (size_t)n : 0;
}

size_t sb_tls_session_pending(const struct sb_tls_session *session)
{
	return BIO_ctrl_pending(session->out);
}

bool sb_tls_session_ready(const struct sb_tls_session *session)
{
	return SSL_is_init_finished(session->ssl);
}

/* --- life --- */

static int parse_creds(struct sb_tls_context *context, const struct sb_tls_creds *creds,
		EVP_PKEY **ret_key, struct sb_err *err)
{
	int rc;

	if (!creds->cert_pem || !creds->key_pem || !creds->peer_ca_pem)
		return sb_err_set(err, SB_E_INVALID, "certificate, key or authority is missing");
	rc = tls_read_cert(creds->cert_pem, &context->cert, err);
	if (rc == 0)
		rc = tls_read_key(creds->key_pem, ret_key, err);
	if (rc < 0)
		return rc;
	if (X509_check_private_key(context->cert, *ret_key) != 1)
		return tls_fail(err, SB_E_INVALID, "the private key is not the certificate's");
	rc = tls_read_cert(creds->peer_ca_pem, &context->peer_ca, err);
	if (rc == 0 && creds->peer_crl_pem)
		rc = tls_read_crl(creds->peer_crl_pem, &context->peer_crl, err);
	if (rc == 0 && creds->own_ca_pem)
		rc = tls_read_cert(creds->own_ca_pem, &context->own_ca, err);
	if (rc == 0 && creds->own_crl_pem)
		rc = tls_read_crl(creds->own_crl_pem, &context->own_crl, err);
	return rc < 0 ? sb_err_wrap(err, rc, "authority") : 0;
}

/* No session outlives its connection: resuming one would skip the judgement of a certificate that
 * may be revoked meanwhile. */
static bool settings(SSL_CTX *ctx, X509 *cert, EVP_PKEY *key)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_chain, NULL);
	SSL_CTX_set_info_callback(ctx, on_info);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
			SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
			SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
			SSL_CTX_use_certificate(ctx, cert) == 1 &&
			SSL_CTX_use_PrivateKey(ctx, key) == 1;
}

int sb_tls_context_new(const struct sb_tls_creds *creds, enum sb_tls_side side,
		struct sb_tls_context **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_context_unrefp)
	struct sb_tls_context *context = calloc(1, sizeof(*context));
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	int rc;

	if (!context)
		return sb_err_nomem(err);
	context->refs = 1;
	context->side = side;
	ERR_clear_error();
	rc = parse_creds(context, creds, &key, err);
	if (rc < 0)
		return rc;
	context->ssl = SSL_CTX_new(
			side == SB_TLS_DIALS ? TLS_client_method() : TLS_server_method());
	if (!context->ssl || !settings(context->ssl, context->cert, key))
		return tls_fail(err, SB_E_INVALID, "TLS settings");
	*ret = sb_steal(context);
	return 0;
}

struct sb_tls_context *sb_tls_context_ref(struct sb_tls_context *context)
{
	context->refs++;
	return context;
}

void sb_tls_context_unref(struct sb_tls_context *context)
{
	if (!context || --context->refs)
		return;
	SSL_CTX_free(context->ssl);
	X509_free(context->cert);
	X509_free(context->peer_ca);
	X509_CRL_free(context->peer_crl);
	X509_free(context->own_ca);
	X509_CRL_free(context->own_crl);
	free(context);
}

bool sb_tls_context_same(const struct sb_tls_context *one, const struct sb_tls_context *two)
{
	return X509_cmp(one->cert, two->cert) == 0;
}

int sb_tls_session_new(struct sb_tls_context *context, const char *peer_name,
		struct sb_tls_session **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_session_freep)
	struct sb_tls_session *session = calloc(1, sizeof(*session));
	BIO *in, *out;

	if (!session)
		return sb_err_nomem(err);
	session->context = sb_tls_context_ref(context);
	session->alert = -1;
	session->peer_name = peer_name ? strdup(peer_name) : NULL;
	session->ssl = SSL_new(context->ssl);
	if (!session->ssl || (peer_name && !session->peer_name))
		return sb_err_nomem(err);
	in = BIO_new(BIO_s_mem());
	out = BIO_new(BIO_s_mem());
	if (!in || !out) {
		BIO_free(in);
		BIO_free(out);
		return sb_err_nomem(err);
	}
	SSL_set_bio(session->ssl, in, out);
	session->in = in;
	session->out = out;
	SSL_set_app_data(session->ssl, session);
	if (context->side == SB_TLS_LISTENS)
		SSL_set_accept_state(session->ssl);
	else
		SSL_set_connect_state(session->ssl);
	if (peer_name && SSL_set_tlsext_host_name(session->ssl, peer_name) != 1)
		return tls_fail(err, SB_E_INVALID, "\"%s\" is no server name", peer_name);
	*ret = sb_steal(session);
	return 0;
}

void sb_tls_session_free(struct sb_tls_session *session)
{
	if (!session)
		return;
	SSL_free(session->ssl);
	X509_free(session->peer);
	free(session->peer_name);
	sb_tls_context_unref(session->context);
	free(session);
}
