/* sb_wire_nng.h - what both ends of the bus do alike with nng: URLs, errors. */
#ifndef SB_WIRE_NNG_H
#define SB_WIRE_NNG_H

#include <nng/nng.h>

#include "sb_err.h"

#define SB_WIRE_URL_MAX 300
/** "<scheme>://host:port", an IPv6 literal in brackets. -SB_E_INVALID for a host that could change
 * the URL's meaning or does not fit. */
int sb_wire_url(const char *scheme, const char *host, uint16_t port, char url[SB_WIRE_URL_MAX],
		struct sb_err *err);

/** sb_err_set() with ": <nng's text>" appended and the code derived from nng's result @rv. */
int sb_wire_err_nng(struct sb_err *err, int rv, const char *fmt, ...) SB_PRINTF(3, 4);

#endif
