#include <dlfcn.h>
#include <assert.h>
#include <string.h>

#include "curl.h"

static const struct {
	size_t at;
	const char *name;
} symbols[] = {
	{ offsetof(struct hub_curl, easy_init), "curl_easy_init" },
	{ offsetof(struct hub_curl, setopt), "curl_easy_setopt" },
	{ offsetof(struct hub_curl, perform), "curl_easy_perform" },
	{ offsetof(struct hub_curl, getinfo), "curl_easy_getinfo" },
	{ offsetof(struct hub_curl, easy_cleanup), "curl_easy_cleanup" },
	{ offsetof(struct hub_curl, easy_text), "curl_easy_strerror" },
	{ offsetof(struct hub_curl, slist_append), "curl_slist_append" },
	{ offsetof(struct hub_curl, slist_free), "curl_slist_free_all" },
	{ offsetof(struct hub_curl, free), "curl_free" },
	{ offsetof(struct hub_curl, url_new), "curl_url" },
	{ offsetof(struct hub_curl, url_free), "curl_url_cleanup" },
	{ offsetof(struct hub_curl, url_get), "curl_url_get" },
	{ offsetof(struct hub_curl, url_set), "curl_url_set" },
};
static_assert(sb_countof(symbols) * sizeof(void *) == sizeof(struct hub_curl), "a row per member");

int hub_curl_load(const struct hub_curl **ret, struct sb_err *err)
{
	static struct hub_curl curl;
	static bool loaded;
	void *handle = loaded ? NULL : dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!loaded && !handle)
		return sb_err_set(err, SB_E_UNAVAILABLE,
				"libcurl, which asks the hub, is not installed");
	for (size_t i = 0; !loaded && i < sb_countof(symbols); i++) {
		void *symbol = dlsym(handle, symbols[i].name);

		if (!symbol) {
			dlclose(handle);
			return sb_err_set(err, SB_E_UNAVAILABLE, "libcurl is too old: it has no %s",
					symbols[i].name);
		}
		memcpy((char *)&curl + symbols[i].at, &symbol, sizeof(symbol));
	}
	loaded = true;
	*ret = &curl;
	return 0;
}
