/* curl.h - libcurl, loaded when the hub is asked and not before: with all that it needs it takes
 * longer to load than most commands take to run. */
#ifndef SB_HUB_CURL_H
#define SB_HUB_CURL_H

#include <curl/curl.h>

#include "sb_err.h"

struct hub_curl {
	CURL *(*easy_init)(void);
	CURLcode (*setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*perform)(CURL *curl);
	CURLcode (*getinfo)(CURL *curl, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *curl);
	const char *(*easy_text)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
	void (*slist_free)(struct curl_slist *list);
	void (*free)(void *p);
	CURLU *(*url_new)(void);
	void (*url_free)(CURLU *url);
	CURLUcode (*url_get)(const CURLU *url, CURLUPart what, char **part, unsigned flags);
	CURLUcode (*url_set)(CURLU *url, CURLUPart what, const char *part, unsigned flags);
};

/** Stays loaded. -SB_E_UNAVAILABLE when it is not installed. */
int hub_curl_load(const struct hub_curl **ret, struct sb_err *err);

#endif
