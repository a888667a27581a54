/* recipe explain: what a launch would execute, and where every word of it comes from. */
#include <string.h>

#include "explain.h"
#include "sb_runtime.h"

#define EXPLAIN_OPT(member) offsetof(struct explain_opts, member)

const struct opt explain_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = EXPLAIN_OPT(run.hosts), .group = host_options },
	{ OPT_GROUP, .name = "Recipe overrides", .at = EXPLAIN_OPT(run),
			.group = run_override_options },
	{ OPT_GROUP, .name = "Containers", .at = EXPLAIN_OPT(run), .group = run_container_options },
	{ OPT_GROUP, .name = "Ranks", .at = EXPLAIN_OPT(run), .group = run_rank_options },
	{ OPT_INT, 0, "nodes", NULL, "N", "as if there were N nodes", EXPLAIN_OPT(nodes), 1, 256 },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", EXPLAIN_OPT(run.json) },
	{ OPT_END },
};

int cmd_recipe_explain(struct cli *cli, const struct call *call)
{
	const struct explain_opts *opts = call->opts;
	struct launch l = { .cli = cli };
	struct sb_err err = SB_ERR_INIT;
	int rc = launch_look(&l, &opts->run, &opts->nodes, call->args[0], &err), status;

	if (rc == 0 && opts->run.json) {
		status = cli_json(cli, explain_json(&l, &opts->run), EXIT_DONE);
	} else {
		if (rc == 0)
			rc = explain_text(&l, &opts->run, stdout, &err);
		status = rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
	}
	launch_done(&l);
	return status;
}
