/* address.c - "host:port" as people write it. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

static int bad(struct sb_err *err, const char *text, const char *why)
{
	return sb_err_set(err, SB_E_INVALID, "address \"%s\": %s", text, why);
}

static int parse_port(const char *text, const char *digits, uint16_t *ret, struct sb_err *err)
{
	size_t len = strlen(digits);
	unsigned long value;

	if (!len || len > 5 || strspn(digits, "0123456789") != len)
		return bad(err, text, "expected a port from 1 to 65535 after the colon");
	value = strtoul(digits, NULL, 10);
	if (value < 1 || value > UINT16_MAX)
		return bad(err, text, "expected a port from 1 to 65535 after the colon");
	*ret = (uint16_t)value;
	return 0;
}

/* Host from @from for @len bytes; the rest begins at *ret_rest with ':' or is empty. */
static int find_host(const char *text, const char **from, size_t *len, const char **ret_rest,
		struct sb_err *err)
{
	const char *colon = strchr(text, ':');

	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (!close || (close[1] && close[1] != ':'))
			return bad(err, text, "expected [address] or [address]:port");
		*from = text + 1;
		*len = (size_t)(close - text - 1);
		*ret_rest = close + 1;
		return 0;
	}
	*from = text;
	*len = colon && !strchr(colon + 1, ':') ? (size_t)(colon - text) : strlen(text);
	*ret_rest = text + *len;
	return 0;
}

int sb_tls_split_address(const char *text, char *host, size_t host_size, uint16_t *ret_port,
		struct sb_err *err)
{
	uint16_t port = *ret_port;
	const char *from = text, *rest = text;
	size_t len = 0;
	int rc;

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/')
			return bad(err, text, "a space, slash or control character in it");
	rc = find_host(text, &from, &len, &rest, err);
	if (rc == 0 && !len)
		rc = bad(err, text, "no host");
	if (rc == 0 && *rest)
		rc = parse_port(text, rest + 1, &port, err);
	if (rc < 0)
		return rc;
	if (len >= host_size)
		return sb_err_set(err, SB_E_RANGE, "address: host longer than %zu bytes",
				host_size - 1);
	memcpy(host, from, len);
	host[len] = '\0';
	*ret_port = port;
	return 0;
}
