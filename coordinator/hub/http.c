/* http.c - one request after another to the hub, within one deadline.
 *
 * Redirects are followed here and not by curl: a file of the hub lies on another host, whose
 * address is signed. The token must not go there, and neither may plain HTTP. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "curl.h"
#include "internal.h"

#define REDIRECTS_MAX 5
#define CONNECT_MS    2000u
#define URL_MAX_BYTES 8192u

struct origin {
	char scheme[8], host[256], port[8];
};

struct hub_http {
	const struct sb_hub_remote *remote;
	const struct hub_curl *api;
	CURL *curl;
	struct curl_slist *headers; /* with the token */
	struct origin home;
	uint64_t end_ms;
};

/* One answer while it comes in. */
struct answer {
	struct sb_strbuf *body;
	size_t max;
	bool full;        /* more came than max */
	char reason[48];  /* X-Error-Code */
	unsigned retry_s; /* Retry-After */
};

/* --- addresses --- */

static bool copy_part(const struct hub_curl *api, CURLU *url, CURLUPart part, unsigned flags,
		char *to, size_t size)
{
	char *text = NULL;
	bool fits = !api->url_get(url, part, &text, flags) && strlen(text) < size;

	if (fits)
		strcpy(to, text);
	api->free(text);
	return fits;
}

static bool origin_of(const struct hub_curl *api, const char *text, struct origin *ret)
{
	CURLU *url = api->url_new();
	char user[2];
	bool good = url && strlen(text) < URL_MAX_BYTES &&
			!api->url_set(url, CURLUPART_URL, text, 0) &&
			copy_part(api, url, CURLUPART_SCHEME, 0, ret->scheme,
					sizeof(ret->scheme)) &&
			copy_part(api, url, CURLUPART_HOST, 0, ret->host, sizeof(ret->host)) &&
			copy_part(api, url, CURLUPART_PORT, CURLU_DEFAULT_PORT, ret->port,
					sizeof(ret->port)) &&
			!copy_part(api, url, CURLUPART_USER, 0, user, sizeof(user));

	api->url_free(url);
	return good;
}

static bool is_loopback(const char *host)
{
	return !strcasecmp(host, "localhost") || !strcmp(host, "[::1]") ||
			(!strncmp(host, "127.", 4) && !host[strspn(host, "0123456789.")]);
}

static bool same_origin(const struct origin *a, const struct origin *b)
{
	return !strcasecmp(a->scheme, b->scheme) && !strcasecmp(a->host, b->host) &&
			!strcmp(a->port, b->port);
}

/* Plain HTTP only to this machine, and only for those who asked for it. */
static bool is_allowed(const struct hub_http *http, const struct origin *to)
{
	if (!strcmp(to->scheme, "https"))
		return true;
	return !strcmp(to->scheme, "http") && is_loopback(to->host) &&
			!strcmp(http->home.scheme, "http");
}

/* --- curl --- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct answer *a = ctx;
	size_t room = a->max - a->body->len, take = n < room ? n : room;

	a->full = take < n;
	if (sb_strbuf_add(a->body, data, take) < 0 || a->full)
		return 0; /* ends the transfer */
	return n;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct answer *a = ctx;
	char text[128];

	snprintf(text, sizeof(text), "%.*s", (int)(n < 127 ? n : 127), line);
	text[strcspn(text, "\r\n")] = '\0';
	if (!strncasecmp(text, "x-error-code:", 13))
		snprintf(a->reason, sizeof(a->reason), "%s", text + 13 + strspn(text + 13, " "));
	if (!strncasecmp(text, "retry-after:", 12))
		a->retry_s = (unsigned)strtoul(text + 12, NULL, 10);
	return n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct hub_http *http = ctx;

	return http->remote->stop && http->remote->stop();
}

static int set_up(struct hub_http *http, struct sb_err *err)
{
	const struct sb_hub_remote *r = http->remote;
	const struct hub_curl *api = http->api;
	CURL *curl = api->easy_init();

	if (!curl)
		return sb_err_nomem(err);
	http->curl = curl;
	api->setopt(curl, CURLOPT_NOSIGNAL, 1L);
	api->setopt(curl, CURLOPT_USERAGENT, "sparkbus/" SB_VERSION);
	api->setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	api->setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	api->setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	api->setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	api->setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	api->setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	api->setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	api->setopt(curl, CURLOPT_XFERINFODATA, http);
	api->setopt(curl, CURLOPT_NOPROGRESS, 0L);
	/* A name server that is silent must not hold us up past the deadline. */
	api->setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	if (r->ca_file)
		api->setopt(curl, CURLOPT_CAINFO, r->ca_file);
	if (is_loopback(http->home.host))
		api->setopt(curl, CURLOPT_NOPROXY, "*");
	return 0;
}

static int add_token(struct hub_http *http, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *line = NULL;

	if (!http->remote->token)
		return 0;
	if (asprintf(&line, "Authorization: Bearer %s", http->remote->token) < 0) {
		line = NULL;
		return sb_err_nomem(err);
	}
	http->headers = http->api->slist_append(NULL, line);
	explicit_bzero(line, strlen(line));
	return http->headers ? 0 : sb_err_nomem(err);
}

int hub_http_new(const struct sb_hub_remote *remote, struct hub_http **ret, struct sb_err *err)
{
	SB_CLEANUP(hub_http_freep) struct hub_http *http = calloc(1, sizeof(*http));
	int rc = http ? hub_curl_load(&http->api, err) : sb_err_nomem(err);

	if (rc < 0)
		return rc;
	http->remote = remote;
	http->end_ms = sb_now_boot_ms() + remote->deadline_ms;
	if (!origin_of(http->api, remote->endpoint, &http->home) ||
			!is_allowed(http, &http->home)) {
		sb_err_set(err, SB_E_INVALID, "HF_ENDPOINT: '%s' is no address of a hub",
				remote->endpoint);
		return sb_err_hint(err, -SB_E_INVALID,
				"https://HOST, or http://127.0.0.1:PORT, without a user name");
	}
	rc = set_up(http, err);
	if (!rc)
		rc = add_token(http, err);
	if (!rc)
		*ret = sb_steal(http);
	return rc;
}

void hub_http_free(struct hub_http *http)
{
	if (!http)
		return;
	for (struct curl_slist *line = http->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	if (http->curl) {
		http->api->slist_free(http->headers);
		http->api->easy_cleanup(http->curl);
	}
	free(http);
}

/* --- answers --- */

static int say_denied(const struct hub_http *http, const char *what, int status,
		const struct answer *a, struct sb_err *err)
{
	bool gated = !strcmp(a->reason, "GatedRepo") || status == 403;

	if (gated) {
		sb_err_set(err, SB_E_DENIED, "%s: its licence has not been accepted (HTTP %d)",
				what, status);
		return sb_err_hint(err, -SB_E_DENIED,
				http->remote->token ? "accept it on the model's page, with the "
						      "account that the token is of"
						    : "accept it on the model's page, then set "
						      "HF_TOKEN");
	}
	if (http->remote->token) {
		sb_err_set(err, SB_E_DENIED, "%s: the hub does not take the token (HTTP %d)", what,
				status);
		return sb_err_hint(err, -SB_E_DENIED, "hf auth whoami tells whether it is good");
	}
	sb_err_set(err, SB_E_DENIED, "%s: private, or not there (HTTP %d)", what, status);
	return sb_err_hint(err, -SB_E_DENIED, "look at the name; a private model wants HF_TOKEN");
}

static int refused(const struct hub_http *http, const char *what, int status,
		const struct answer *a, struct sb_err *err)
{
	if (status == 401 || status == 403)
		return say_denied(http, what, status, a, err);
	if (status == 404)
		return sb_err_set(err, SB_E_NOT_FOUND, "%s: the hub has no such %s (HTTP 404)",
				what,
				!strcmp(a->reason, "RevisionNotFound")                ? "revision"
						: !strcmp(a->reason, "EntryNotFound") ? "file"
										      : "thing");
	if (status == 429 && a->retry_s)
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"%s: the hub wants to be left alone for %u s (HTTP 429)", what,
				a->retry_s);
	if (status == 429)
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"%s: the hub was asked too often (HTTP 429)", what);
	if (status >= 500)
		return sb_err_set(err, SB_E_UNAVAILABLE, "%s: the hub is in trouble (HTTP %d)",
				what, status);
	return sb_err_set(err, SB_E_PROTOCOL, "%s: the hub answered HTTP %d", what, status);
}

static int failed(const struct hub_http *http, const char *what, CURLcode code, struct sb_err *err)
{
	const struct sb_hub_remote *r = http->remote;

	if (code == CURLE_ABORTED_BY_CALLBACK)
		return sb_err_set(err, SB_E_CANCELLED, "%s: interrupted", what);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return sb_err_set(err, SB_E_TIMEOUT, "%s: no answer from %s within %u.%u s", what,
				http->home.host, r->deadline_ms / 1000,
				r->deadline_ms % 1000 / 100);
	if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING)
		return sb_err_set(err, SB_E_PROTOCOL, "%s: the answer broke off", what);
	return sb_err_set(err, SB_E_UNAVAILABLE, "%s: %s: %s", what, http->home.host,
			http->api->easy_text(code));
}

/* Return: 1 to go to the address that is now in @url. */
static int redirect(const struct hub_http *http, const char *what, char url[URL_MAX_BYTES],
		struct sb_err *err)
{
	char *to = NULL;
	struct origin origin;

	http->api->getinfo(http->curl, CURLINFO_REDIRECT_URL, &to);
	if (!to)
		return sb_err_set(err, SB_E_PROTOCOL, "%s: a redirect to nowhere", what);
	if (!origin_of(http->api, to, &origin) || !is_allowed(http, &origin))
		return sb_err_set(err, SB_E_PROTOCOL, "%s: a redirect to what is not https", what);
	snprintf(url, URL_MAX_BYTES, "%s", to);
	return 1;
}

/* Return: 0; 1 to go to the address that is now in @url; a negative code. */
static int get_once(struct hub_http *http, const char *what, char url[URL_MAX_BYTES], bool head,
		struct answer *a, struct sb_err *err)
{
	uint64_t now = sb_now_boot_ms();
	long left = now < http->end_ms ? (long)(http->end_ms - now) : 0, status = 0;
	struct origin origin;
	char range[40];
	CURLcode code;

	if (!left)
		return failed(http, what, CURLE_OPERATION_TIMEDOUT, err);
	snprintf(range, sizeof(range), "0-%zu", a->max - 1);
	http->api->setopt(http->curl, CURLOPT_URL, url);
	http->api->setopt(http->curl, CURLOPT_RANGE, head ? range : NULL);
	http->api->setopt(http->curl, CURLOPT_TIMEOUT_MS, left);
	http->api->setopt(http->curl, CURLOPT_CONNECTTIMEOUT_MS,
			left < (long)CONNECT_MS ? left : (long)CONNECT_MS);
	http->api->setopt(http->curl, CURLOPT_WRITEDATA, a);
	http->api->setopt(http->curl, CURLOPT_HEADERDATA, a);
	http->api->setopt(http->curl, CURLOPT_HTTPHEADER,
			origin_of(http->api, url, &origin) && same_origin(&origin, &http->home)
					? http->headers
					: NULL);
	code = http->api->perform(http->curl);
	http->api->getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR && a->body->failed)
		return sb_err_nomem(err);
	if (code && !a->full)
		return failed(http, what, code, err);
	if (status >= 300 && status < 400)
		return redirect(http, what, url, err);
	if (status != 200 && status != 206)
		return refused(http, what, (int)status, a, err);
	if (a->full && !head)
		return sb_err_set(err, SB_E_RANGE, "%s: larger than %zu bytes", what, a->max);
	return 0;
}

int hub_http_get(struct hub_http *http, const char *what, const char *path, bool head, size_t max,
		struct sb_strbuf *body, struct sb_err *err)
{
	char url[URL_MAX_BYTES];
	int n = snprintf(url, sizeof(url), "%s%s", http->remote->endpoint, path), rc;

	if (n < 0 || (size_t)n >= sizeof(url))
		return sb_err_set(err, SB_E_RANGE, "%s: an address that is too long", what);
	body->max = max;
	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		struct answer a = { .body = body, .max = max };

		sb_strbuf_reset(body);
		rc = get_once(http, what, url, head, &a, err);
		if (rc <= 0)
			return rc;
	}
	return sb_err_set(err, SB_E_PROTOCOL, "%s: more than %d redirects", what, REDIRECTS_MAX);
}
