/* registry remove: out of the list, and its copy off the disk. */
#include <string.h>

#include "registries.h"

struct removal {
	const char *name;
	char *url; /* when no other registry is of this repository */
};

static int drop(struct sb_registry_list *list, void *arg, struct sb_err *err)
{
	struct removal *r = arg;
	const struct sb_registry *item = sb_registry_find(list, r->name);
	bool shared = false;

	if (!item)
		return registries_unknown(list, r->name, err);
	for (size_t i = 0; i < list->n; i++)
		shared = shared ||
				(&list->items[i] != item && !strcmp(list->items[i].url, item->url));
	if (!shared) {
		r->url = strdup(item->url);
		if (!r->url)
			return sb_err_nomem(err);
	}
	sb_registry_drop(list, (size_t)(item - list->items));
	return 0;
}

int cmd_registry_remove(struct cli *cli, const struct call *call)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	struct removal r = { .name = call->args[0] };
	struct sb_err err = SB_ERR_INIT;
	int rc = registries_open(false, &store, &err);

	if (rc == 0)
		rc = sb_registry_edit(store, drop, &r, registries_warn, cli, &err);
	if (rc == 0 && r.url)
		rc = sb_registry_forget(store, r.url, &err);
	free(r.url);
	if (rc < 0)
		return cli_fail(cli, &err);
	printf("Registry '%s' removed.\n", r.name);
	return EXIT_DONE;
}
