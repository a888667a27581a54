/* sb_tls.h - identity: keys, certificate requests, two authorities and revocation (TLS itself:
 * sb_session.h). OpenSSL does the work; nothing here touches a file or keeps state.
 *
 * There are two authorities. The operator CA signs people, the node CA signs nodes. An agent's
 * control listener trusts the first only, its peer listener the second only. Keys are P-256. */
#ifndef SB_TLS_H
#define SB_TLS_H

#include "sb_err.h"

enum sb_tls_role { SB_TLS_OPERATOR, SB_TLS_NODE, SB_TLS_ROLE_COUNT_ };

/** Node and operator names: 1 to 63 of [A-Za-z0-9._-], beginning with a letter or digit. */
bool sb_tls_name_ok(const char *name);

/* All *ret_pem are on the heap: free(). Those that hold a private key are wiped with
 * sb_tls_wipe_free(). PEM inputs are NUL-terminated text. */
int sb_tls_key_new(char **ret_key_pem, struct sb_err *err);
void sb_tls_wipe_free(char *pem);
static inline void sb_tls_wipe_freep(char **pem)
{
	sb_tls_wipe_free(*pem);
}

/** Certificate request for @name with @key_pem; the name stands in CN and in SAN (DNS). */
int sb_tls_csr_new(const char *key_pem, const char *name, char **ret_pem, struct sb_err *err);

/** New authority: key and self-signed certificate, valid @days from now minus an hour. */
int sb_tls_ca_new(const char *common_name, unsigned days, char **ret_key_pem, char **ret_cert_pem,
		struct sb_err *err);

struct sb_tls_sign {
	enum sb_tls_role role;     /* sets the key usages: nodes serve and dial, operators dial */
	const char *name;          /* must be the request's name; refused when it is another */
	int64_t not_before_unix_s; /* 0 = an hour ago (clocks differ) */
	int64_t not_after_unix_s;  /* required */
};

/** Sign @csr_pem after checking its self-signature, key (P-256) and names. Serials are random, 126
 * bits. -SB_E_INVALID also when the certificate would outlive its authority. */
int sb_tls_sign(const char *ca_key_pem, const char *ca_cert_pem, const char *csr_pem,
		const struct sb_tls_sign *how, char **ret_cert_pem, struct sb_err *err);

struct sb_tls_cert_info {
	char name[64];    /* CN */
	char issuer[128]; /* issuer's CN */
	char serial[48];  /* lower-case hex, no separators */
	int64_t not_before_unix_s;
	int64_t not_after_unix_s;
};
int sb_tls_cert_info(const char *cert_pem, struct sb_tls_cert_info *ret, struct sb_err *err);

/* For @now_unix_s: leave dates alone. A machine that has just started may not know the time yet. */
#define SB_TLS_ANY_TIME ((int64_t)-1)

/** Whether @key_pem (NULL = not asked) belongs to @cert_pem and @ca_cert_pem signed it, and it is
 * valid at @now_unix_s (0 = now) and not in @crl_pem (may be NULL). The error says which it was:
 * "expired on ...", "not valid before ...", "revoked", "signed by another authority (X)".
 * Return: 0; -SB_E_DENIED; -SB_E_INVALID or -SB_E_RANGE for text that is not what it should be. */
int sb_tls_verify(const char *ca_cert_pem, const char *crl_pem, const char *cert_pem,
		const char *key_pem, int64_t now_unix_s, struct sb_err *err);

/** A revocation list with number 1 more than that of @old_crl_pem (NULL = none yet: 1) that also
 * revokes @serial_hex (NULL = none, for a first empty list). Valid as long as the CA itself. */
int sb_tls_crl_next(const char *ca_key_pem, const char *ca_cert_pem, const char *old_crl_pem,
		const char *serial_hex, char **ret_crl_pem, struct sb_err *err);
/** Check that @ca_cert_pem signed @crl_pem and read its number. */
int sb_tls_crl_check(const char *ca_cert_pem, const char *crl_pem, uint64_t *ret_number,
		struct sb_err *err);
/** Whether @serial_hex is in @crl_pem. */
int sb_tls_crl_has(const char *crl_pem, const char *serial_hex, bool *ret, struct sb_err *err);

/* What one side needs to talk TLS. Borrowed PEM text. */
struct sb_tls_creds {
	const char *cert_pem;     /* own certificate */
	const char *key_pem;      /* own key */
	const char *peer_ca_pem;  /* authority that the other side must be signed by */
	const char *peer_crl_pem; /* may be NULL */
	/* The authority of our own certificate and its list, when known; may be NULL. They serve
	 * only to tell what the other side holds against us. */
	const char *own_ca_pem;
	const char *own_crl_pem;
};

/* What an operator hands to a node: one text, each part announced by a line "# sparkbus <part>" and
 * followed by its PEM block. Lines in between are comments; parts of later versions are skipped. */
struct sb_tls_bundle {
	char *node_cert, *operator_ca, *node_ca, *operator_crl, *node_crl;
};
/** The text on the heap. Every part must be there. */
int sb_tls_bundle_write(const struct sb_tls_bundle *bundle, char **ret_text, struct sb_err *err);
/** The parts as text of their own. Nothing is verified but that each is there exactly once. */
int sb_tls_bundle_read(const char *text, struct sb_tls_bundle *ret, struct sb_err *err);
void sb_tls_bundle_done(struct sb_tls_bundle *bundle);

/** Cut the next PEM block out of @cursor, with anything between blocks dropped. *ret_block (heap)
 * is NULL after the last one. -SB_E_INVALID for a block that begins and does not end. */
int sb_tls_pem_next(const char **cursor, char **ret_block, struct sb_err *err);

/** Split "host:port", "[v6]:port" or "host" into parts; @ret_port keeps its value without one.
 * A host with several colons and no brackets is an IPv6 address without a port.
 * Return: 0; -SB_E_INVALID; -SB_E_RANGE when @host is too small. Outputs untouched then. */
int sb_tls_split_address(const char *text, char *host, size_t host_size, uint16_t *ret_port,
		struct sb_err *err);

#endif
