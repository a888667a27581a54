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
