/* sb_session.h - TLS between memory buffers: whoever owns the connection carries the bytes.
 *
 * What one side needs (certificate, key, authority, list) is parsed once into a context; each
 * connection has a session. The other side's certificate is always required and is judged by our
 * own rules (authority, list, dates, use, name), and whatever ends a session comes as a text that
 * says who refused whom and why. One thread at a time; nothing here blocks. */
#ifndef SB_SESSION_H
#define SB_SESSION_H

#include "sb_tls.h"

enum sb_tls_side { SB_TLS_DIALS, SB_TLS_LISTENS };

struct sb_tls_context;
/** Parse @creds (nothing of it is kept). -SB_E_INVALID when something is missing, does not parse,
 * or the key is not the certificate's; -SB_E_RANGE for PEM text over its cap. */
int sb_tls_context_new(const struct sb_tls_creds *creds, enum sb_tls_side side,
		struct sb_tls_context **ret, struct sb_err *err);
/** Another owner of @context; sessions hold one themselves. */
struct sb_tls_context *sb_tls_context_ref(struct sb_tls_context *context);
void sb_tls_context_unref(struct sb_tls_context *context);
SB_DEFINE_CLEANUP(sb_tls_context_unref, struct sb_tls_context *)
/** Whether both present the same certificate. */
bool sb_tls_context_same(const struct sb_tls_context *one, const struct sb_tls_context *two);

struct sb_tls_session;
/** @peer_name: that the other side's certificate must have (copied); NULL = any. */
int sb_tls_session_new(struct sb_tls_context *context, const char *peer_name,
		struct sb_tls_session **ret, struct sb_err *err);
void sb_tls_session_free(struct sb_tls_session *session);
SB_DEFINE_CLEANUP(sb_tls_session_free, struct sb_tls_session *)

/** @len bytes came from the other side (copied). */
int sb_tls_session_feed(
		struct sb_tls_session *session, const void *data, size_t len, struct sb_err *err);
/** Go on with the handshake, then decrypt up to @size bytes. *ret_n = 0: more must come first.
 * After any failure the session is over, but its last bytes (an alert) still want to be sent.
 * Return: 0; -SB_E_DENIED: one side refused the other's certificate; -SB_E_PROTOCOL: not TLS, or
 * no TLS in common; -SB_E_UNAVAILABLE: the other side ended it in order. */
int sb_tls_session_read(struct sb_tls_session *session, void *buf, size_t size, size_t *ret_n,
		struct sb_err *err);
/** Encrypt all of @data. Only when ready. */
int sb_tls_session_write(
		struct sb_tls_session *session, const void *data, size_t len, struct sb_err *err);
/** Move up to @size bytes that are to be sent into @buf. Return: how many. */
size_t sb_tls_session_give(struct sb_tls_session *session, void *buf, size_t size);
/** How many wait to be given. */
size_t sb_tls_session_pending(const struct sb_tls_session *session);
/** Whether our half of the handshake is done. With TLS 1.3 a listener may still refuse a dialer
 * that is ready: only what it then sends shows that it did not. */
bool sb_tls_session_ready(const struct sb_tls_session *session);

/** The connection broke without an orderly end: put into @err what that means. Never 0. */
int sb_tls_session_broken(struct sb_tls_session *session, struct sb_err *err);
/** Judge the other side again, by @context, which may be newer than the session's own.
 * -SB_E_DENIED also when it has not presented a certificate yet. */
int sb_tls_session_judge(const struct sb_tls_session *session, const struct sb_tls_context *context,
		struct sb_err *err);

#endif
