/* registry revert-to-defaults: the list that is built in. */
#include "registries.h"

const struct opt registry_revert_options[] = {
	{ OPT_FLAG, 0, "force", NULL, NULL, "do not ask", offsetof(struct registry_opts, force) },
	{ OPT_END },
};

int cmd_registry_revert(struct cli *cli, const struct call *call)
{
	const struct registry_opts *opts = call->opts;
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;
	struct sb_err err = SB_ERR_INIT;
	bool yes = opts->force;

	if (!yes &&
			cli_confirm("Forget every registry that was added, and whom you trust?",
					&yes, &err) < 0)
		return cli_fail(cli, &err);
	if (!yes)
		return EXIT_FAILED;
	if (registries_open(false, &store, &err) < 0 || sb_registry_defaults(&list, &err) < 0 ||
			sb_registry_replace(store, &list, &err) < 0)
		return cli_fail(cli, &err);
	printf("The list is the built-in one again: %zu registries.\n", list.n);
	return EXIT_DONE;
}
