/* fabric explain: the environment of each rank of a launch on these nodes, and why. */
#include "commands.h"
#include "fabric_nodes.h"

static void print_rank(const struct fabric_view *view, unsigned rank)
{
	const struct sb_fabric_env *env;

	printf("Rank %u on %s (%s)\n", rank, view->reports[rank].name, view->reports[rank].address);
	for (size_t i = 0; (env = sb_fabric_env_at(view->fabric, rank, i)); i++)
		printf("  %s=%s\n    %s\n    from: %s\n", env->name, env->value, env->reason,
				env->source);
	putchar('\n');
}

static json_t *explain_json(const struct fabric_view *view)
{
	json_t *json = fabric_json(view), *ranks = json_array();
	const struct sb_fabric_env *env;

	for (unsigned i = 0; i < view->nodes.n; i++) {
		json_t *list = json_array();

		for (size_t k = 0; (env = sb_fabric_env_at(view->fabric, i, k)); k++)
			json_array_append_new(list,
					json_pack("{s:s, s:s, s:s, s:s}", "name", env->name,
							"value", env->value, "reason", env->reason,
							"source", env->source));
		json_array_append_new(ranks,
				json_pack("{s:i, s:s, s:s, s:o}", "rank", (int)i, "node",
						view->reports[i].name, "address",
						view->reports[i].address, "environment", list));
	}
	json_object_set_new(json, "ranks", ranks);
	return json;
}

int cmd_fabric_explain(struct cli *cli, const struct call *call)
{
	const struct fabric_opts *opts = call->opts;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	SB_CLEANUP(fabric_view_done) struct fabric_view view = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int status;

	interrupt_catch();
	if (fabric_view_ask(cli, &opts->hosts, &view, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	status = view.fleet.silent ? EXIT_UNKNOWN : EXIT_DONE;
	if (opts->json)
		return cli_json(cli, explain_json(&view), status);
	fabric_headline(&view, &line);
	printf("Fabric: %s\n\n", sb_strbuf_str(&line));
	for (unsigned i = 0; i < view.nodes.n; i++)
		print_rank(&view, i);
	if (view.fleet.silent) {
		printf("Unknown (no answer):\n");
		fleet_print_silent(&view.fleet, stdout);
	}
	return status;
}
