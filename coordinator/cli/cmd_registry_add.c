/* registry add: what a repository's manifest says that it holds goes into the list. */
#include <string.h>

#include "registries.h"

const struct opt registry_add_options[] = {
	{ OPT_FLAG, 0, "allow-file", NULL, NULL, "a repository on this machine's disk is fine",
			offsetof(struct registry_opts, allow_file) },
	{ OPT_FLAG, 0, "no-update", NULL, NULL, "do not fetch its recipes yet",
			offsetof(struct registry_opts, no_update) },
	{ OPT_END },
};

struct addition {
	struct cli *cli;
	const struct sb_registry_list *found;
	struct sb_registry_list added; /* copies of those that were not there */
};

static int add_new(struct sb_registry_list *list, void *arg, struct sb_err *err)
{
	struct addition *a = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < a->found->n; i++) {
		const struct sb_registry *item = &a->found->items[i];
		const struct sb_registry *there = sb_registry_find(list, item->name);

		if (there && strcmp(there->url, item->url) != 0)
			cli_warn(a->cli, "'%s' is not added: the registry %s has this name",
					item->name, there->url);
		if (there)
			continue;
		rc = sb_registry_append(list, item, err);
		if (rc == 0)
			rc = sb_registry_append(&a->added, item, err);
	}
	return rc;
}

static void print_added(const struct sb_registry_list *added)
{
	printf("Added %zu %s:\n", added->n, added->n == 1 ? "registry" : "registries");
	for (size_t i = 0; i < added->n; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf about = SB_STRBUF_INIT;
		const struct sb_registry *item = &added->items[i];

		if (item->description)
			sb_render_clean(&about, item->description, strlen(item->description));
		printf("  %s%s%s%s%s\n", item->name, about.len ? " - " : "", sb_strbuf_str(&about),
				item->visible ? "" : " (hidden)",
				item->enabled ? "" : " (disabled)");
	}
}

/* One of the new ones stands for the repository: all of them come with it. */
static int fetch(struct cli *cli, const struct sb_registry_store *store,
		const struct sb_registry_list *added)
{
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	struct sb_err err = SB_ERR_INIT;

	if (sb_registry_load(store, NULL, NULL, &list, &err) < 0)
		return cli_fail(cli, &err);
	for (size_t i = 0; i < list.n; i++)
		if (!sb_registry_find(added, list.items[i].name))
			list.items[i].enabled = !strcmp(list.items[i].url, added->items[0].url) &&
					list.items[i].enabled;
	return registries_update(cli, store, &list, NULL, false);
}

int cmd_registry_add(struct cli *cli, const struct call *call)
{
	const struct registry_opts *opts = call->opts;
	const char *url = call->args[0];
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list found = SB_REGISTRY_LIST_INIT;
	struct addition a = { .cli = cli, .found = &found };
	struct sb_err err = SB_ERR_INIT;
	int rc, status = EXIT_DONE;

	interrupt_catch();
	rc = registries_open(opts->allow_file, &store, &err);
	if (rc == 0)
		rc = sb_registry_url_check(url, opts->allow_file, &err);
	if (rc == 0) {
		cli_note(cli, "Asking %s which registries it has...", url);
		rc = sb_registry_discover(store, url, registries_warn, cli, &found, &err);
	}
	if (rc == 0)
		rc = sb_registry_edit(store, add_new, &a, registries_warn, cli, &err);
	if (rc == 0 && a.added.n) {
		print_added(&a.added);
		if (!opts->no_update)
			status = fetch(cli, store, &a.added);
		cli_note(cli, "They are not trusted; `sparkbus registry trust NAME` changes that.");
	} else if (rc == 0) {
		puts("No new registries: those of this repository are in the list.");
	}
	sb_registry_list_done(&a.added);
	if (rc < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	return status;
}
