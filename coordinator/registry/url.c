/* Addresses of repositories. What passes has one meaning only: no user or password to leak, no
 * characters that a shell, git or a server may read in their own way, never an option. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

static const struct {
	const char *prefix, *git;
} schemes[] = {
	[REG_HTTPS] = { "https://", "https" },
	[REG_SSH] = { "ssh://", "ssh" },
	[REG_HTTP] = { "http://", "http" },
	[REG_FILE] = { "file://", "file" },
};
static_assert(sb_countof(schemes) == REG_SCHEME_COUNT_, "a row for each scheme");

const char *reg_scheme_text(enum reg_scheme scheme)
{
	return schemes[scheme].git;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool only(const char *text, size_t len, const char *more)
{
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(text[i]) && !strchr(more, text[i]))
			return false;
	return true;
}

/* "host", "host:22", "[::1]:22", with @user allowed before an '@'. */
static bool split_host(const char *text, size_t len, bool user, struct reg_url *ret)
{
	const char *at = memchr(text, '@', len), *port;
	size_t skip = at ? (size_t)(at - text) + 1 : 0, host;

	if (at && (!user || skip == 1 || !is_alnum(*text) || !only(text, skip - 1, "._-")))
		return false;
	text += skip;
	len -= skip;
	if (len && *text == '[') {
		port = memchr(text, ']', len);
		host = port ? (size_t)(port - text) + 1 : 0;
		if (host < 4 || !only(text + 1, host - 2, ":"))
			return false;
	} else {
		host = strcspn(text, ":/");
		host = host < len ? host : len;
		if (!host || !is_alnum(*text) || !only(text, host, ".-"))
			return false;
	}
	ret->host = text;
	ret->host_len = host;
	if (host == len)
		return true;
	return text[host] == ':' && len - host - 1 <= 5 && len - host - 1 >= 1 &&
			strspn(text + host + 1, "0123456789") >= len - host - 1;
}

/* git's short form of ssh: "user@host:path". */
static bool split_short(const char *url, struct reg_url *ret)
{
	const char *colon = strchr(url, ':'), *slash = strchr(url, '/');

	if (!colon || (slash && slash < colon) || !colon[1] || colon[1] == '-' ||
			!memchr(url, '@', (size_t)(colon - url)))
		return false;
	ret->scheme = REG_SSH;
	ret->path = colon + 1;
	return split_host(url, (size_t)(colon - url), true, ret);
}

static int split(const char *url, struct reg_url *ret)
{
	*ret = (struct reg_url){ .scheme = REG_FILE, .path = url };
	if (url[0] == '/')
		return 0;
	for (size_t i = 0; i < sb_countof(schemes); i++) {
		size_t len = strlen(schemes[i].prefix), host;

		if (strncmp(url, schemes[i].prefix, len) != 0)
			continue;
		url += len;
		ret->scheme = (enum reg_scheme)i;
		host = i == REG_FILE ? 0 : strcspn(url, "/");
		ret->path = url + host + (i != REG_FILE);
		if (url[host] != '/' || !*ret->path || (i == REG_FILE && !url[1]))
			return -1;
		return i == REG_FILE || split_host(url, host, i == REG_SSH, ret) ? 0 : -1;
	}
	return split_short(url, ret) ? 0 : -1;
}

int reg_url_split(const char *url, const char *more, struct reg_url *ret, struct sb_err *err)
{
	char allowed[32];
	struct reg_url parts;
	size_t len = strlen(url);
	int rc;

	if (!len)
		return sb_err_set(err, SB_E_INVALID, "the address is empty");
	if (len > REG_URL_MAX)
		return sb_err_set(err, SB_E_INVALID, "the address has more than %u bytes",
				REG_URL_MAX);
	if (url[0] == '-')
		return sb_err_set(err, SB_E_INVALID, "%s: begins like an option", url);
	snprintf(allowed, sizeof(allowed), "-._~:/@%%+[]%s", more);
	if (!only(url, len, allowed) && url[0] != '/' && strncmp(url, "file://", 7) != 0)
		return sb_err_set(
				err, SB_E_INVALID, "%s: has characters that no address needs", url);
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return sb_err_set(err, SB_E_INVALID, "%s: has control characters", url);
	if (split(url, &parts) == 0) {
		*ret = parts;
		return 0;
	}
	rc = sb_err_set(err, SB_E_INVALID, "%s: not the address of a repository", url);
	return sb_err_hint(
			err, rc, "https://HOST/PATH or ssh://[USER@]HOST/PATH, without a password");
}

bool reg_url_is_loopback(const struct reg_url *url)
{
	const char *host = url->host;
	size_t len = url->host_len;

	if (!host)
		return false;
	return (len == 9 && !strncasecmp(host, "localhost", len)) ||
			(len == 5 && !strncmp(host, "[::1]", len)) ||
			(len > 4 && !strncmp(host, "127.", 4) &&
					strspn(host, "0123456789.") >= len);
}

int sb_registry_url_check(const char *url, bool allow_file, struct sb_err *err)
{
	struct reg_url parts;
	int rc = reg_url_split(url, REG_URL_PLAIN, &parts, err);

	if (rc < 0)
		return rc;
	if (parts.scheme == REG_HTTP && !reg_url_is_loopback(&parts))
		return sb_err_set(err, SB_E_INVALID,
				"%s: http is for this machine itself only; use https", url);
	if (parts.scheme != REG_FILE || allow_file)
		return 0;
	rc = sb_err_set(err, SB_E_INVALID, "%s: a repository on this machine's disk", url);
	return sb_err_hint(err, rc, "--allow-file allows it");
}
