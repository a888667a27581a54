/* sb_wire_nng.h - what both ends of the bus do alike with nng: TLS settings, URLs, errors. */
#ifndef SB_WIRE_NNG_H
#define SB_WIRE_NNG_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "sb_tls.h"

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

/** sb_err_set() with ": <nng's text>" appended and the code derived from nng's result @rv. */
int sb_wire_err_nng(struct sb_err *err, int rv, const char *fmt, ...) SB_PRINTF(3, 4);

#endif
