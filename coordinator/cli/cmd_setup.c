/* setup clear-cache, setup fix-permissions: chores of nodes, with what they saw. */
#include <string.h>

#include "commands.h"

#define SETUP_OPT(member) offsetof(struct setup_opts, member)
#define CHORE_MS          600000u /* a large cache has a million files */

const struct opt setup_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = SETUP_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 'n', "dry-run", NULL, NULL, "say what would be done; change nothing",
			SETUP_OPT(dry_run) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", SETUP_OPT(json) },
	{ OPT_END },
};

static Sparkbus__Outcome outcome_of(const struct ask *ask)
{
	if (ask->answer.reply)
		return ask->answer.reply->upkeep->outcome;
	return ask_unknown(&ask->answer) ? SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
					 : SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static void print_one(const struct ask *ask, bool dry)
{
	const Sparkbus__UpkeepReply *reply = ask->answer.reply ? ask->answer.reply->upkeep : NULL;
	Sparkbus__Outcome outcome = outcome_of(ask);

	printf("%s: %s\n", ask->node->node.name,
			dry && outcome == SPARKBUS__OUTCOME__OUTCOME_DONE ? "would be done"
									  : outcome_text(outcome));
	if (!reply)
		printf("  %s\n", ask_reason(ask->node, &ask->answer));
	for (size_t i = 0; reply && i < reply->n_evidence; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
		const char *observed = reply->evidence[i]->observed;

		sb_render_clean(&text, observed, strlen(observed));
		printf("  %s\n", sb_strbuf_str(&text));
	}
}

static json_t *one_json(const struct ask *ask)
{
	json_t *json = ask->answer.reply
			? sb_render_message(&ask->answer.reply->upkeep->base, NULL)
			: json_pack("{s:s, s:s}", "outcome",
					  outcome_of(ask) == SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
							  ? "UNKNOWN"
							  : "FAILED",
					  "error", ask_reason(ask->node, &ask->answer));

	json_object_set_new(json, "node", json_string(ask->node->node.name));
	return json;
}

static int run_chore(struct cli *cli, const struct call *call, Sparkbus__Chore chore)
{
	const struct setup_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	Sparkbus__UpkeepRequest body = SPARKBUS__UPKEEP_REQUEST__INIT;
	Sparkbus__Outcome worst = SPARKBUS__OUTCOME__OUTCOME_DONE;
	struct sb_client *client = NULL;
	struct sb_err err = SB_ERR_INIT;
	json_t *list = json_array();
	struct ask *asks;
	int rc = hosts_resolve(cli, &opts->hosts, HOSTS_MUST, &nodes, &err);

	body.chore = chore;
	body.dry_run = opts->dry_run;
	asks = calloc(nodes.n + 1, sizeof(*asks));
	interrupt_catch();
	if (rc == 0)
		rc = asks ? cli_client(cli, &client, &err) : sb_err_nomem(&err);
	for (size_t i = 0; i < nodes.n && rc == 0; i++)
		rc = ask_init(&asks[i], &nodes.items[i], SPARKBUS__REQUEST__BODY_UPKEEP, &body,
				&err);
	if (rc == 0)
		asks_send(cli, client, asks, nodes.n, CHORE_MS);
	for (size_t i = 0; i < nodes.n && rc == 0; i++) {
		worst = outcome_worse(worst, outcome_of(&asks[i]));
		json_array_append_new(list, one_json(&asks[i]));
		if (!opts->json)
			print_one(&asks[i], opts->dry_run);
	}
	asks_done(asks, rc == 0 ? nodes.n : 0);
	if (rc == 0 && opts->json)
		return cli_json(cli, list, outcome_exit(worst));
	json_decref(list);
	return rc < 0 ? cli_fail(cli, &err) : outcome_exit(worst);
}

int cmd_setup_clear_cache(struct cli *cli, const struct call *call)
{
	return run_chore(cli, call, SPARKBUS__CHORE__CHORE_CLEAR_CACHE);
}

int cmd_setup_fix_permissions(struct cli *cli, const struct call *call)
{
	return run_chore(cli, call, SPARKBUS__CHORE__CHORE_FIX_OWNERS);
}
