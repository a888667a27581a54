/* fuzz_registry.c - a repository's manifest, a list of registries, and addresses in them. The first
 * byte says which. */
#include <stdint.h>
#include <string.h>

#include "sb_registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const char *text)
{
	if (!*text || strchr(text, '\n') || strchr(text, '\033'))
		abort();
	++*(size_t *)ctx;
}

/* Whatever a file says: what is let in can be used as it is. */
static void check(const struct sb_registry_list *list, const char *url)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct sb_registry *item = &list->items[i];
		const char *const folders[] = { item->subpath, item->tuning_subpath,
			item->benchmark_subpath, item->mods_subpath };

		if (!sb_registry_name_ok(item->name) ||
				sb_registry_find(list, item->name) != item ||
				sb_registry_url_check(item->url, true, NULL) < 0)
			abort();
		for (size_t k = 0; k < sb_countof(folders); k++)
			if (folders[k] ? !sb_registry_subpath_ok(folders[k]) : k == 0)
				abort();
		if (url &&
				(item->trusted || strcmp(item->url, url) != 0 ||
						!sb_registry_name_free(item->name, url)))
			abort();
	}
}

/* What was read can be written, and reads back as itself. */
static void write_back(const struct sb_registry_list *list)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, again = SB_STRBUF_INIT;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list back = SB_REGISTRY_LIST_INIT;
	size_t warned = 0;

	if (sb_registry_write(list, &text, NULL) < 0 ||
			sb_registry_parse("back", sb_strbuf_str(&text), text.len, count, &warned,
					&back, NULL) < 0 ||
			warned || back.n != list->n || sb_registry_write(&back, &again, NULL) < 0 ||
			strcmp(sb_strbuf_str(&text), sb_strbuf_str(&again)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char url[] = "https://example.org/r.git";
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	struct sb_err err = SB_ERR_INIT;
	bool is_manifest = size && data[0] == 'm';
	const char *text = (const char *)data + 1;
	size_t warned = 0;
	int rc;

	if (!size)
		return 0;
	rc = is_manifest ? sb_manifest_parse("f", text, size - 1, url, count, &warned, &list, &err)
			 : sb_registry_parse("f", text, size - 1, count, &warned, &list, &err);
	if (rc < 0) {
		if (list.n || !err.text[0])
			abort();
		return 0;
	}
	if (warned != list.broken)
		abort();
	check(&list, is_manifest ? url : NULL);
	write_back(&list);
	return 0;
}
