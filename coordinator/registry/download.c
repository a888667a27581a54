/* A recipe by its address. libcurl is loaded when it is needed and not before: with all that it
 * brings along it takes longer to load than most commands take to run. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

#define DEADLINE_MS   30000L
#define CONNECT_MS    10000L
#define REDIRECTS_MAX 5L
#define FOLDER        "remote-recipes"
#define DIGITS        16

struct api {
	CURL *(*easy_init)(void);
	CURLcode (*setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*perform)(CURL *curl);
	CURLcode (*getinfo)(CURL *curl, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *curl);
	const char *(*easy_text)(CURLcode code);
};

static const struct {
	size_t at;
	const char *name;
} symbols[] = {
	{ offsetof(struct api, easy_init), "curl_easy_init" },
	{ offsetof(struct api, setopt), "curl_easy_setopt" },
	{ offsetof(struct api, perform), "curl_easy_perform" },
	{ offsetof(struct api, getinfo), "curl_easy_getinfo" },
	{ offsetof(struct api, easy_cleanup), "curl_easy_cleanup" },
	{ offsetof(struct api, easy_text), "curl_easy_strerror" },
};

struct download {
	const struct sb_registry_store *store;
	const char *url;
	struct api api;
	CURL *curl;
	struct sb_strbuf body;
	char said[CURL_ERROR_SIZE];
	bool gone; /* the server answered, and has no such thing */
};

static void download_done(struct download *d)
{
	if (d->curl)
		d->api.easy_cleanup(d->curl);
	sb_strbuf_done(&d->body);
}

static int load(struct api *api, struct sb_err *err)
{
	void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); /* stays loaded */

	for (size_t i = 0; i < sb_countof(symbols); i++) {
		void *symbol = handle ? dlsym(handle, symbols[i].name) : NULL;

		if (!symbol)
			return sb_err_set(err, SB_E_UNSUPPORTED,
					handle ? "libcurl is too old: it has no %s"
					       : "libcurl is not installed: no %s",
					symbols[i].name);
		memcpy((char *)api + symbols[i].at, &symbol, sizeof(symbol));
	}
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct download *d = ctx;

	return sb_strbuf_add(&d->body, data, n) < 0 ? 0 : n; /* 0 ends the transfer */
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t e)
{
	const struct download *d = ctx;

	return reg_stopped(d->store);
}

static void set_up(struct download *d, const struct reg_url *parts)
{
	const struct api *api = &d->api;
	CURL *curl = d->curl;

	api->setopt(curl, CURLOPT_URL, d->url);
	api->setopt(curl, CURLOPT_NOSIGNAL, 1L);
	api->setopt(curl, CURLOPT_USERAGENT, "sparkbus/" SB_VERSION);
	api->setopt(curl, CURLOPT_PROTOCOLS_STR, reg_scheme_text(parts->scheme));
	api->setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	api->setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	api->setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	api->setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	api->setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	api->setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	api->setopt(curl, CURLOPT_TIMEOUT_MS, DEADLINE_MS);
	/* A name server that is silent must not hold us up past the deadline. */
	api->setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	api->setopt(curl, CURLOPT_ERRORBUFFER, d->said);
	api->setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	api->setopt(curl, CURLOPT_WRITEDATA, d);
	api->setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	api->setopt(curl, CURLOPT_XFERINFODATA, d);
	api->setopt(curl, CURLOPT_NOPROGRESS, 0L);
	if (reg_url_is_loopback(parts))
		api->setopt(curl, CURLOPT_NOPROXY, "*");
}

static int judge(struct download *d, CURLcode code, struct sb_err *err)
{
	long status = 0;

	if (d->body.failed == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE, "%s: more than %zu bytes", d->url, d->body.max);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return sb_err_set(err, SB_E_CANCELLED, "interrupted");
	d->api.getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && status / 100 == 3) {
		d->gone = true;
		return sb_err_set(err, SB_E_DENIED, "%s: leads on to where it may not (%s)", d->url,
				*d->said ? d->said : d->api.easy_text(code));
	}
	if (code != CURLE_OK)
		return sb_err_set(err,
				code == CURLE_OPERATION_TIMEDOUT ? SB_E_TIMEOUT : SB_E_UNAVAILABLE,
				"%s: %s", d->url, *d->said ? d->said : d->api.easy_text(code));
	d->gone = status >= 400 && status < 500;
	if (status == 404 || status == 410)
		return sb_err_set(err, SB_E_NOT_FOUND, "%s: no such recipe (HTTP %ld)", d->url,
				status);
	if (status != 200)
		return sb_err_set(err, d->gone ? SB_E_DENIED : SB_E_UNAVAILABLE,
				"%s: the server answers with HTTP %ld", d->url, status);
	return 0;
}

static int fetch(struct download *d, const struct reg_url *parts, struct sb_err *err)
{
	int rc = load(&d->api, err);

	if (rc < 0)
		return rc;
	d->body.max = SB_REGISTRY_RECIPE_MAX;
	d->curl = d->api.easy_init();
	if (!d->curl)
		return sb_err_nomem(err);
	set_up(d, parts);
	return judge(d, d->api.perform(d->curl), err);
}

/* What was fetched before; none when there is no such file. */
static char *older(const char *path, const struct sb_err *why)
{
	char date[32] = "?", *text = NULL;
	struct stat st;
	struct tm tm;

	if (stat(path, &st) < 0)
		return NULL;
	if (localtime_r(&st.st_mtime, &tm))
		strftime(date, sizeof(date), "%F %H:%M", &tm);
	if (asprintf(&text, "%s; this is the copy of %s", why->text, date) < 0)
		return NULL;
	return text;
}

static int web_check(const char *url, struct reg_url *ret, struct sb_err *err)
{
	int rc = reg_url_split(url, REG_URL_QUERY, ret, err);

	if (rc < 0)
		return rc;
	if (ret->scheme == REG_HTTP && !reg_url_is_loopback(ret))
		return sb_err_set(err, SB_E_INVALID,
				"%s: http is for this machine itself only; use https", url);
	if (ret->scheme != REG_HTTP && ret->scheme != REG_HTTPS)
		return sb_err_set(err, SB_E_INVALID, "%s: a recipe's address is https", url);
	return 0;
}

int sb_registry_download(const struct sb_registry_store *store, const char *url, char **ret_path,
		char **ret_stale, struct sb_err *err)
{
	SB_CLEANUP(download_done) struct download d = { .store = store, .url = url };
	SB_CLEANUP(sb_freep)
	char *folder = sb_fs_join(store->cache, FOLDER), *path = NULL, *stale = NULL;
	char digits[DIGITS + 1];
	struct sb_err why = SB_ERR_INIT;
	struct reg_url parts;
	int rc = web_check(url, &parts, err);

	if (rc == 0)
		rc = reg_hash(url, DIGITS, digits, err);
	if (rc == 0 && (!folder || asprintf(&path, "%s/%s.yaml", folder, digits) < 0))
		rc = sb_err_nomem(err);
	if (rc < 0)
		return rc;
	rc = fetch(&d, &parts, &why);
	if (rc == 0)
		rc = sb_fs_mkdirs(folder, REG_FOLDER_MODE, &why);
	if (rc == 0)
		rc = sb_fs_write(path, sb_strbuf_str(&d.body), d.body.len, REG_FILE_MODE, &why);
	else if (!d.gone && rc != -SB_E_CANCELLED && rc != -SB_E_RANGE)
		stale = older(path, &why);
	if (rc < 0 && !stale) {
		if (err)
			*err = why;
		return rc;
	}
	*ret_path = sb_steal(path);
	*ret_stale = sb_steal(stale);
	return 0;
}
