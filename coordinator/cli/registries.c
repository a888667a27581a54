/* What the registry commands have in common. */
#include <string.h>

#include "registries.h"

#define SHORT_COMMIT 10

int registries_open(bool allow_file, struct sb_registry_store **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_inventory_closep) struct sb_inventory *inv = NULL;
	int rc = sb_inventory_open(NULL, &inv, err);
	struct sb_registry_options options = { .allow_file = allow_file, .stopped = interrupted };

	if (rc < 0)
		return rc;
	options.config = sb_inventory_home(inv);
	return sb_registry_open(&options, ret, err);
}

void registries_warn(void *ctx, const char *text)
{
	cli_warn(ctx, "%s", text);
}

int registries_unknown(const struct sb_registry_list *list, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) const char **names = calloc(list->n + 1, sizeof(*names));
	const char *near = NULL;
	int rc = sb_err_set(err, SB_E_NOT_FOUND, "There is no registry '%s'.", name);

	for (size_t i = 0; names && i < list->n; i++)
		names[i] = list->items[i].name;
	if (names)
		near = did_you_mean(name, names, list->n);
	if (near)
		return sb_err_hint(err, rc, "Did you mean '%s'?", near);
	return sb_err_hint(err, rc, "`sparkbus registry list --show-disabled` shows all.");
}

static bool is_here(const struct sb_registry_store *store, const struct sb_registry *item)
{
	SB_CLEANUP(sb_freep) char *folder = NULL;

	return sb_registry_folder(store, item, SB_REGISTRY_RECIPES, &folder, NULL) !=
			-SB_E_NOT_FOUND;
}

bool registries_hint(const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list all = SB_REGISTRY_LIST_INIT;
	bool wanting = false;

	if (registries_open(false, &store, NULL) < 0 ||
			sb_registry_load(store, NULL, NULL, &all, NULL) < 0)
		return false;
	for (size_t i = 0; i < all.n; i++) {
		const struct sb_registry *item = &all.items[i];

		if (name && !strcasecmp(item->name, name) && !item->enabled)
			return sb_err_hint(err, true, "it is disabled: sparkbus registry enable %s",
					item->name);
		if (name && !strcasecmp(item->name, name) && !is_here(store, item))
			return sb_err_hint(err, true,
					"it has not been fetched: sparkbus registry update %s",
					item->name);
		wanting = wanting || (item->enabled && item->visible && !is_here(store, item));
	}
	return !name && wanting &&
			sb_err_hint(err, true,
					"there are registries that have not been fetched: "
					"sparkbus registry update");
}

/* --- fetching --- */

static void print_update(void *ctx, const struct sb_registry_update *update)
{
	struct cli *cli = ctx;
	const char *name = update->item->name;

	if (update->failed)
		printf("  %s: FAILED: %s%s\n", name, update->err.text,
				update->had_copy ? "; the copy that is here stays in use" : "");
	else
		printf("  %s: %.*s, %s\n", name, SHORT_COMMIT, update->commit,
				!update->changed                   ? "nothing new"
						: update->had_copy ? "updated"
								   : "fetched");
	fflush(stdout);
	if (update->links)
		cli_warn(cli,
				"registry %s: %zu symbolic link%s lead%s out of it and %s left out "
				"(%s)",
				name, update->links, plural(update->links),
				update->links == 1 ? "s" : "", update->links == 1 ? "was" : "were",
				update->link);
}

static json_t *update_json(const struct sb_registry_update *update)
{
	json_t *json = json_pack("{s:s, s:s, s:b, s:o}", "name", update->item->name, "outcome",
			update->failed ? "failed" : "done", "changed", update->changed, "commit",
			*update->commit ? json_string(update->commit) : json_null());

	if (update->failed)
		json_object_set_new(json, "error", json_string(update->err.text));
	return json;
}

static void print_hints(const struct sb_registry_update *updates, size_t n)
{
	const char *before = "";

	for (size_t i = 0; i < n; i++) {
		if (updates[i].failed && *updates[i].err.hint &&
				strcmp(updates[i].err.hint, before) != 0)
			cli_hint("%s: %s", updates[i].item->name, updates[i].err.hint);
		before = updates[i].failed ? updates[i].err.hint : before;
	}
}

int registries_update(struct cli *cli, const struct sb_registry_store *store,
		const struct sb_registry_list *list, const char *only, bool json)
{
	SB_CLEANUP(sb_freep)
	struct sb_registry_update *updates = calloc(list->n + 1, sizeof(*updates));
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0, failed = 0;
	int rc = updates ? 0 : sb_err_nomem(&err), status;
	json_t *all;

	interrupt_catch();
	if (rc == 0)
		rc = sb_registry_update(store, list, only, json ? NULL : print_update, cli, updates,
				&n, &err);
	if (rc < 0)
		return cli_fail(cli, &err);
	for (size_t i = 0; i < n; i++)
		failed += updates[i].failed;
	status = interrupted() ? EXIT_INTERRUPT : failed ? EXIT_FAILED : EXIT_DONE;
	if (json) {
		all = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(all, update_json(&updates[i]));
		return cli_json(cli, json_pack("{s:o}", "registries", all), status);
	}
	print_hints(updates, n);
	if (failed)
		printf("%zu of %zu registries updated (%zu failed).\n", n - failed, n, failed);
	else
		printf("%zu %s updated.\n", n, n == 1 ? "registry" : "registries");
	return status;
}
