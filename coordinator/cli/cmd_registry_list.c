/* registry list: whose recipes there are, what has been fetched of them, and whom you trust. */
#include <string.h>

#include "registries.h"

#define SHORT_COMMIT 10
#define URL_MAX      64

const struct opt registry_list_options[] = {
	{ OPT_FLAG, 0, "show-disabled", NULL, NULL, "the disabled ones, too",
			offsetof(struct registry_opts, show_disabled) },
	{ OPT_FLAG, 0, "only-show-visible", NULL, NULL, "leave the hidden ones out",
			offsetof(struct registry_opts, only_visible) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct registry_opts, json) },
	{ OPT_END },
};

static bool is_wanted(const struct registry_opts *opts, const struct sb_registry *item)
{
	return (item->enabled || opts->show_disabled) && (item->visible || !opts->only_visible);
}

static int by_use(const void *a, const void *b)
{
	const struct sb_registry *x = *(const struct sb_registry *const *)a;
	const struct sb_registry *y = *(const struct sb_registry *const *)b;
	int order = y->enabled - x->enabled;

	if (!order)
		order = y->visible - x->visible;
	return order ? order : strcasecmp(x->name, y->name);
}

static json_t *text_json(const char *text)
{
	return sb_empty(text) ? json_null() : json_string(text);
}

static json_t *item_json(const struct sb_registry *item, const char *commit)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "name",
			item->name, "url", item->url, "description", text_json(item->description),
			"subpath", item->subpath, "enabled", item->enabled, "visible",
			item->visible, "trusted", item->trusted, "commit", text_json(commit),
			"tuning_subpath", text_json(item->tuning_subpath), "benchmark_subpath",
			text_json(item->benchmark_subpath), "mods_subpath",
			text_json(item->mods_subpath));
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

/* Folders besides that of the recipes. */
static void add_extras(const struct sb_registry *item, struct sb_strbuf *out)
{
	const char *const rows[][2] = { { item->mods_subpath, "mods" },
		{ item->tuning_subpath, "tuning" }, { item->benchmark_subpath, "benchmarks" } };

	for (size_t i = 0; i < sb_countof(rows); i++)
		if (!sb_empty(rows[i][0]))
			sb_strbuf_addf(out, "%s%s", out->len ? "," : "", rows[i][1]);
}

static void add_row(struct sb_table *table, const struct sb_registry *item, const char *commit)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf extras = SB_STRBUF_INIT;
	char url[URL_MAX + 4], copy[SHORT_COMMIT + 16];
	size_t cut = sb_text_cut(item->url, strlen(item->url), URL_MAX);

	snprintf(url, sizeof(url), "%.*s%s", (int)cut, item->url, item->url[cut] ? ".." : "");
	snprintf(copy, sizeof(copy), "%.*s", SHORT_COMMIT, *commit ? commit : "none");
	add_extras(item, &extras);
	sb_table_row(table,
			(const char *const[]){ item->name, item->enabled ? copy : "disabled",
					yes_no(item->visible), yes_no(item->trusted),
					extras.len ? sb_strbuf_str(&extras) : NULL, url });
}

static void print_notes(size_t n, size_t fetched, size_t trusted)
{
	putchar('\n');
	if (!fetched)
		puts("Nothing has been fetched: `sparkbus registry update [NAME]` does.");
	else if (fetched < n)
		printf("%zu of %zu have been fetched; `sparkbus registry update` fetches all.\n",
				fetched, n);
	if (!trusted)
		puts("None is trusted: what their recipes do on this machine is asked about first "
		     "(`sparkbus registry trust NAME`).");
}

static int print(const struct sb_registry_store *store, const struct sb_registry *const *items,
		size_t n, struct sb_err *err)
{
	static const char *const headers[] = { "NAME", "COPY", "VISIBLE", "TRUSTED", "HAS",
		"REPOSITORY" };
	struct sb_table table;
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1];
	size_t fetched = 0, trusted = 0;
	int rc;

	sb_table_init(&table, headers, sb_countof(headers));
	for (size_t i = 0; i < n; i++) {
		sb_registry_commit(store, items[i], commit);
		fetched += *commit != '\0';
		trusted += items[i]->trusted;
		add_row(&table, items[i], commit);
	}
	rc = sb_table_print(&table, stdout, err);
	sb_table_done(&table);
	if (rc == 0 && n)
		print_notes(n, fetched, trusted);
	else if (rc == 0)
		puts("No registries.");
	return rc;
}

static json_t *to_json(const struct sb_registry_store *store,
		const struct sb_registry *const *items, size_t n, bool from_file)
{
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1];
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		sb_registry_commit(store, items[i], commit);
		json_array_append_new(all, item_json(items[i], commit));
	}
	return json_pack("{s:o, s:b}", "registries", all, "built_in", !from_file);
}

int cmd_registry_list(struct cli *cli, const struct call *call)
{
	const struct registry_opts *opts = call->opts;
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	SB_CLEANUP(sb_freep) const struct sb_registry **items = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	if (registries_open(false, &store, &err) < 0 ||
			sb_registry_load(store, registries_warn, cli, &list, &err) < 0)
		return cli_fail(cli, &err);
	items = calloc(list.n + 1, sizeof(*items));
	if (!items) {
		sb_err_nomem(&err);
		return cli_fail(cli, &err);
	}
	for (size_t i = 0; i < list.n; i++)
		if (is_wanted(opts, &list.items[i]))
			items[n++] = &list.items[i];
	qsort(items, n, sizeof(*items), by_use);
	if (opts->json)
		return cli_json(cli, to_json(store, items, n, list.from_file), EXIT_DONE);
	return print(store, items, n, &err) < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}
