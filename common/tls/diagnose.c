/* diagnose.c - why was a connection refused?
 *
 * The bus library reports every refusal with the same two words, so after one we look for the
 * reason ourselves, in the order in which it is cheapest and surest to find:
 *   1. our own certificate, against its authority and list where we have them: the other side
 *      would say no more about it than an alert does, and often less;
 *   2. one handshake: what the other side presents, against its authority, its list and the name
 *      that we expect. It is judged here and not by OpenSSL, so that the handshake goes on and the
 *      other side gets to judge us too;
 *   3. the alert with which it ended the handshake, if it sent one before it hung up.
 * TLS runs between two memory buffers and the socket is ours: the first byte tells TLS from
 * something else, an orderly end differs from silence, and a peer that hangs up raises no SIGPIPE.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

#define RECORD_ALERT        21 /* content types of the TLS record layer, RFC 8446, B.1 */
#define RECORD_HANDSHAKE    22
#define HANDSHAKE_MAX_BYTES ((size_t)1 << 20) /* from the peer, before we give up on it */

enum ending { OPEN, ACCEPTED, CLOSED, SILENT, NOT_TLS, FAILED };

struct probe {
	int fd;
	uint64_t deadline; /* boot ms */
	SSL *ssl;
	BIO *in, *out;   /* owned by ssl */
	X509 *peer;      /* what the other side presented; owned */
	int alert;       /* received; -1 = none */
	size_t received; /* bytes */
	enum ending ending;
};

static void probe_done(struct probe *p)
{
	SSL_free(p->ssl);
	X509_free(p->peer);
	sb_closep(&p->fd);
}

/* OpenSSL asks whether the peer's chain is good: keep it for our own judgement and say yes. */
static int on_peer_chain(X509_STORE_CTX *ctx, void *arg)
{
	struct probe *p = arg;
	X509 *cert = X509_STORE_CTX_get0_cert(ctx);

	if (cert && !p->peer && X509_up_ref(cert) == 1)
		p->peer = cert;
	return 1;
}

static void on_info(const SSL *ssl, int where, int ret)
{
	struct probe *p = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && p->alert < 0)
		p->alert = ret & 0xff;
}

static int load_own(SSL_CTX *ctx, const struct sb_tls_creds *creds, struct sb_err *err)
{
	SB_CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	SB_CLEANUP(X509_freep) X509 *cert = NULL;
	int rc = tls_read_cert(creds->cert_pem, &cert, err);

	if (rc == 0)
		rc = tls_read_key(creds->key_pem, &key, err);
	if (rc < 0)
		return rc;
	if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		return tls_fail(err, SB_E_DENIED, "our certificate cannot be used");
	return 0;
}

static int probe_start(struct probe *p, const struct sb_tls_creds *creds, const char *server_name,
		struct sb_err *err)
{
	SB_CLEANUP(SSL_CTX_freep) SSL_CTX *ctx = NULL;
	int rc;

	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return tls_fail(err, SB_E_INTERNAL, "start TLS");
	rc = load_own(ctx, creds, err);
	if (rc < 0)
		return rc;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_peer_chain, p);
	p->ssl = SSL_new(ctx);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	if (!p->ssl || !p->in || !p->out ||
			SSL_set_tlsext_host_name(p->ssl, (char *)server_name) != 1) {
		BIO_free(p->in);
		BIO_free(p->out);
		return tls_fail(err, SB_E_INTERNAL, "start TLS");
	}
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_app_data(p->ssl, p);
	SSL_set_info_callback(p->ssl, on_info);
	SSL_set_connect_state(p->ssl);
	return 0;
}

static void send_pending(struct probe *p)
{
	char *data = NULL;
	long len = BIO_get_mem_data(p->out, &data);

	while (len > 0) {
		ssize_t n = send(p->fd, data, (size_t)len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && tls_wait(p->fd, POLLOUT, p->deadline) == 1)
			continue;
		if (n < 0)
			break; /* the peer may have hung up after an alert: go and read it */
		data += n;
		len -= n;
	}
	(void)BIO_reset(p->out);
}

static void receive_some(struct probe *p)
{
	unsigned char chunk[4096];
	int ready = tls_wait(p->fd, POLLIN, p->deadline);
	ssize_t n = ready == 1 ? recv(p->fd, chunk, sizeof(chunk), 0) : -1;

	if (ready == 0) {
		p->ending = SILENT;
		return;
	}
	if (n < 0 && ready == 1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		p->ending = CLOSED;
		return;
	}
	if (!p->received && chunk[0] != RECORD_HANDSHAKE && chunk[0] != RECORD_ALERT)
		p->ending = NOT_TLS;
	p->received += (size_t)n;
	if (p->received > HANDSHAKE_MAX_BYTES || BIO_write(p->in, chunk, (int)n) != n)
		p->ending = FAILED;
}

/* One step of @rc = SSL_do_handshake() or SSL_read(): whether it can go on after more bytes. */
static bool wants_more(struct probe *p, int rc)
{
	int why = SSL_get_error(p->ssl, rc);

	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* In TLS 1.3 the client is done before the server has judged its certificate. The verdict is the
 * next thing that comes: an alert, or the session tickets and data that follow acceptance. */
static void await_verdict(struct probe *p)
{
	char byte;

	while (p->ending == OPEN) {
		int rc = SSL_peek(p->ssl, &byte, 1);

		if (rc > 0)
			p->ending = ACCEPTED;
		else if (!wants_more(p, rc))
			p->ending = p->alert > 0 ? FAILED : CLOSED;
		else
			receive_some(p);
	}
	if (p->ending == SILENT)
		p->ending = ACCEPTED; /* it had until the deadline to object */
}

static void handshake(struct probe *p)
{
	p->ending = OPEN;
	while (p->ending == OPEN) {
		int rc = SSL_do_handshake(p->ssl);

		send_pending(p);
		if (rc == 1)
			break;
		if (!wants_more(p, rc))
			p->ending = FAILED;
		else
			receive_some(p);
	}
	if (p->ending != OPEN)
		return;
	if (SSL_version(p->ssl) >= TLS1_3_VERSION)
		await_verdict(p);
	else
		p->ending = ACCEPTED; /* a TLS 1.2 server finishes after it has judged us */
}

static int check_own(const struct sb_tls_creds *creds, struct sb_err *err)
{
	struct sb_tls_cert_info info = { .name = "?" };
	/* Without our own authority the certificate stands in for it, and only its dates count. */
	int rc = sb_tls_cert_info(creds->cert_pem, &info, err);
	int64_t now = (int64_t)(sb_now_unix_ms() / 1000);
	char when[32];

	if (rc < 0) {
		rc = sb_err_set(err, SB_E_DENIED, "our own certificate cannot be read");
	} else if (creds->own_ca_pem) {
		rc = sb_tls_verify(creds->own_ca_pem, creds->own_crl_pem, creds->cert_pem,
				creds->key_pem, now, err);
	} else if (now < info.not_before_unix_s) {
		rc = sb_err_set(err, SB_E_DENIED, "not valid before %s",
				tls_time_text(info.not_before_unix_s, when));
	} else if (now > info.not_after_unix_s) {
		rc = sb_err_set(err, SB_E_DENIED, "expired on %s",
				tls_time_text(info.not_after_unix_s, when));
	}
	if (rc == 0)
		return 0;
	sb_err_wrap(err, rc, "our own certificate (%s)", info.name);
	if (err)
		err->code = SB_E_DENIED;
	return sb_err_hint(err, -SB_E_DENIED,
			"get a new certificate, or correct this machine's clock if that is wrong");
}

/* What the other side presented, judged as the bus would. */
static int check_peer(X509 *peer, const struct sb_tls_creds *creds, const char *server_name,
		struct sb_err *err)
{
	SB_CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
	SB_CLEANUP(X509_freep) X509 *ca = NULL;
	char name[TLS_COMMON_NAME_MAX * 2] = "?";
	int rc = tls_read_cert(creds->peer_ca_pem, &ca, err);

	if (rc == 0 && creds->peer_crl_pem)
		rc = tls_read_crl(creds->peer_crl_pem, &crl, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "the authority that we know for the other side");
	tls_common_name(X509_get_subject_name(peer), name, sizeof(name));
	rc = tls_verify_cert(ca, crl, peer, 0, X509_PURPOSE_SSL_SERVER, err);
	if (rc < 0) {
		sb_err_wrap(err, rc, "it presents a certificate (%s) that we refuse", name);
		return sb_err_hint(err, rc,
				"enroll the node again, or correct the clock of the machine where "
				"that is wrong");
	}
	if (X509_check_host(peer, server_name, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1)
		return 0;
	ERR_clear_error();
	rc = sb_err_set(err, SB_E_DENIED, "it is node \"%s\", not \"%s\"", name, server_name);
	return sb_err_hint(err, rc, "correct the node's address, or enroll it under this name");
}

/* What a server's last word says about us. Which words mbed TLS 2.28 picks was measured against
 * it: "unknown" certificate covers both a certificate from the future and a bad list. */
static const struct {
	int alert;
	const char *text;
} verdicts[] = {
	{ SSL_AD_UNKNOWN_CA, "our certificate is signed by an authority that it does not trust" },
	{ SSL_AD_CERTIFICATE_EXPIRED,
			"our certificate has expired by its clock: compare the clocks" },
	{ SSL_AD_CERTIFICATE_REVOKED, "our certificate is revoked there" },
	{ SSL_AD_CERTIFICATE_UNKNOWN,
			"our certificate is not valid yet by its clock, or its revocation list is "
			"bad" },
	{ SSL_AD_BAD_CERTIFICATE, "our certificate is damaged or not for us" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE, "our certificate is not meant for this use" },
	{ SSL_AD_ACCESS_DENIED, "access denied" },
	{ SSL_AD_HANDSHAKE_FAILURE, "no cipher or certificate that both sides can use" },
	{ SSL_AD_PROTOCOL_VERSION, "no common TLS version" },
	{ SSL_AD_UNRECOGNIZED_NAME, "it does not know itself by this name" },
};

static int explain_alert(int alert, struct sb_err *err)
{
	for (size_t i = 0; i < sb_countof(verdicts); i++)
		if (verdicts[i].alert == alert)
			return sb_err_set(err, SB_E_DENIED, "it refuses us: %s", verdicts[i].text);
	return sb_err_set(err, SB_E_DENIED, "it refuses us: TLS alert %d (%s)", alert,
			SSL_alert_desc_string_long(alert));
}

static int explain(const struct probe *p, unsigned timeout_ms, struct sb_err *err)
{
	unsigned long reason = ERR_peek_last_error();

	if (p->alert > 0)
		return explain_alert(p->alert, err);
	switch (p->ending) {
	case NOT_TLS:
		return sb_err_set(err, SB_E_PROTOCOL,
				"what listens there does not speak TLS: it is not an agent");
	case SILENT:
		return sb_err_set(err, SB_E_TIMEOUT,
				"it took the connection and did not answer within %u ms",
				timeout_ms);
	case ACCEPTED:
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"the refusal did not repeat: both certificates were accepted now");
	case CLOSED:
		if (p->peer)
			return sb_err_set(err, SB_E_DENIED,
					"it hung up after it saw our certificate and did not say "
					"why");
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"it took the connection and hung up before the TLS handshake");
	default:
		return sb_err_set(err, SB_E_PROTOCOL, "TLS handshake failed: %s",
				reason ? ERR_reason_error_string(reason) : "unknown reason");
	}
}

static int diagnose(const char *host, uint16_t port, const struct sb_tls_creds *creds,
		const char *server_name, unsigned timeout_ms, struct sb_err *err)
{
	SB_CLEANUP(probe_done)
	struct probe p = { .fd = -1, .alert = -1, .deadline = sb_now_boot_ms() + timeout_ms };
	int rc = check_own(creds, err);

	if (rc < 0)
		return rc;
	rc = tls_dial(host, port, p.deadline, &p.fd, err);
	if (rc < 0)
		return rc;
	rc = probe_start(&p, creds, server_name, err);
	if (rc < 0)
		return rc;
	handshake(&p);
	rc = p.peer ? check_peer(p.peer, creds, server_name, err) : 0;
	if (rc == 0)
		rc = explain(&p, timeout_ms, err);
	ERR_clear_error();
	return sb_err_wrap(err, rc, "%s port %u", host, port);
}

int sb_tls_diagnose(const char *host, uint16_t port, const struct sb_tls_creds *creds,
		const char *server_name, unsigned timeout_ms, struct sb_err *err)
{
	int rc = diagnose(host, port, creds, server_name, timeout_ms, err);

	/* This runs on worker threads, too. What OpenSSL keeps for a thread it frees when the
	 * thread ends, unless the process ends before. */
	OPENSSL_thread_stop();
	return rc;
}
