/* sb_wire_nng.h - what both ends of the bus do alike with nng: TLS settings, URLs, errors. */
#ifndef SB_WIRE_NNG_H
#define SB_WIRE_NNG_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "sb_tls.h"
#include "sb_wire.h"

/** TLS settings from @creds: TLS 1.2 or later, the other side's certificate required and signed by
 * peer_ca_pem, not in peer_crl_pem. @server_name: the name a dialer demands of the listener; NULL
 * makes settings for a listener. Free with nng_tls_config_free().
 * -SB_E_INVALID when PEM text does not parse or the key is not the certificate's. */
int sb_wire_tls_config(const struct sb_tls_creds *creds, const char *server_name,
		nng_tls_config **ret, struct sb_err *err);

#define SB_WIRE_URL_MAX 300
/** "<scheme>://host:port", an IPv6 literal in brackets. -SB_E_INVALID for a host that could change
 * the URL's meaning or does not fit. */
int sb_wire_url(const char *scheme, const char *host, uint16_t port, char url[SB_WIRE_URL_MAX],
		struct sb_err *err);

/** Open a REQ socket and make its dialer for one node: never resends, takes answers up to
 * SB_WIRE_MAX_BYTES, dials again 100 ms to 2 s after a loss. The dialer is not started. */
int sb_wire_req_open(const struct sb_tls_creds *creds, const char *node, const char *address,
		uint16_t port, nng_socket *ret_socket, nng_dialer *ret_dialer, struct sb_err *err);

/** Pack @request as a message with our protocol version and @deadline_ms, and with a new id when
 * it has none. @request is left as it was; @id gets the id that was sent. */
int sb_wire_request_msg(const sb_request *request, unsigned deadline_ms, nng_msg **ret,
		uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err);
/** Unpack the answer to @id. An Error answer is an error here (sb_wire_err_in()). @msg is freed
 * in every case. -SB_E_PROTOCOL when it is no Response or answers another id. */
int sb_wire_response_msg(nng_msg *msg, const uint8_t id[SB_WIRE_ID_BYTES], sb_response **ret,
		struct sb_err *err);

/** sb_err_set() with ": <nng's text>" appended and the code derived from nng's result @rv. */
int sb_wire_err_nng(struct sb_err *err, int rv, const char *fmt, ...) SB_PRINTF(3, 4);

#endif
