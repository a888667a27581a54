/* nng_tls.h - nng's own TLS, for tests that talk to us by nng's sockets and not by our code. */
#ifndef NNG_TLS_H
#define NNG_TLS_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <stdlib.h>

#include "sb_tls.h"

/** Settings from @creds; @server_name: demanded of a listener, NULL makes a listener's own. Free
 * with nng_tls_config_free(). */
static inline nng_tls_config *nng_tls_settings(
		const struct sb_tls_creds *creds, const char *server_name)
{
	nng_tls_config *config;

	if (nng_tls_config_alloc(
			    &config, server_name ? NNG_TLS_MODE_CLIENT : NNG_TLS_MODE_SERVER) ||
			nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED) ||
			(server_name && nng_tls_config_server_name(config, server_name)) ||
			nng_tls_config_ca_chain(config, creds->peer_ca_pem, creds->peer_crl_pem) ||
			nng_tls_config_own_cert(config, creds->cert_pem, creds->key_pem, NULL)) {
		fprintf(stderr, "nng does not take the TLS settings\n");
		abort();
	}
	return config;
}

#endif
