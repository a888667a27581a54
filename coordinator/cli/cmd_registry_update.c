/* registry update: the newest commit of each repository. */
#include "registries.h"

const struct opt registry_update_options[] = {
	{ OPT_FLAG, 0, "allow-file", NULL, NULL, "repositories on this machine's disk are fine",
			offsetof(struct registry_opts, allow_file) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct registry_opts, json) },
	{ OPT_END },
};

int cmd_registry_update(struct cli *cli, const struct call *call)
{
	const struct registry_opts *opts = call->opts;
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	const char *only = call->n_args ? call->args[0] : NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	if (registries_open(opts->allow_file, &store, &err) < 0 ||
			sb_registry_load(store, registries_warn, cli, &list, &err) < 0)
		return cli_fail(cli, &err);
	for (size_t i = 0; i < list.n; i++)
		n += list.items[i].enabled;
	if (!only && !opts->json)
		cli_note(cli, "Updating %zu %s...", n, n == 1 ? "registry" : "registries");
	return registries_update(cli, store, &list, only, opts->json);
}
