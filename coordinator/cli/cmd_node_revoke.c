/* Withdrawing a certificate: a new revocation list here, then on every other node, each of which
 * says which list it uses now. */
#include <string.h>

#include "commands.h"

#define PUT_MS 15000u

const struct opt node_revoke_options[] = {
	{ OPT_FLAG, 0, "force", NULL, NULL, "do not ask", offsetof(struct node_opts, force) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct node_opts, json) },
	{ OPT_END },
};

static Sparkbus__Outcome judge(const struct ask *ask)
{
	if (ask->answer.reply)
		return outcome_worse(ask->answer.reply->put_crl->outcome,
				ask->answer.reply->put_crl->outcome);
	return ask_unknown(&ask->answer) ? SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
					 : SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static json_t *result_json(const struct ask *ask, Sparkbus__Outcome outcome)
{
	const Sparkbus__PutCrlReply *reply = ask->answer.reply ? ask->answer.reply->put_crl : NULL;
	json_t *json = json_pack("{s:s, s:s}", "node", ask->node->node.name, "outcome",
			outcome_text(outcome));

	if (reply)
		json_object_set_new(json, "node_crl_number",
				json_integer((json_int_t)reply->node_crl_number));
	else
		json_object_set_new(
				json, "error", json_string(ask_reason(ask->node, &ask->answer)));
	return json;
}

static void print_result(const struct ask *ask, Sparkbus__Outcome outcome)
{
	const Sparkbus__PutCrlReply *reply = ask->answer.reply ? ask->answer.reply->put_crl : NULL;

	if (reply)
		printf("  %s: %s (uses list %llu)\n", ask->node->node.name, outcome_text(outcome),
				(unsigned long long)reply->node_crl_number);
	else
		printf("  %s: %s: %s\n", ask->node->node.name, outcome_text(outcome),
				ask_reason(ask->node, &ask->answer));
}

static int send_lists(struct cli *cli, const struct cli_nodes *nodes, struct ask *asks,
		Sparkbus__PutCrlRequest *body, struct sb_err *err)
{
	struct sb_client *client;
	int rc = cli_client(cli, &client, err);

	for (size_t i = 0; !rc && i < nodes->n; i++)
		rc = ask_init(&asks[i], &nodes->items[i], SPARKBUS__REQUEST__BODY_PUT_CRL, body,
				err);
	if (!rc)
		asks_send(cli, client, asks, nodes->n, PUT_MS);
	return rc;
}

static int add_others(struct cli *cli, struct cli_nodes *nodes, struct sb_err *err)
{
	const struct sb_inv_node *known;
	size_t n;
	int rc = cli_known(cli, &known, &n, err);

	for (size_t i = 0; !rc && i < n; i++)
		if (!known[i].revoked)
			rc = hosts_add(cli, nodes, known[i].name, err);
	return rc;
}

static int push(struct cli *cli, bool json)
{
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(sb_freep) char *operator_crl = NULL, *node_crl = NULL;
	Sparkbus__PutCrlRequest body = SPARKBUS__PUT_CRL_REQUEST__INIT;
	Sparkbus__Outcome outcome, worst = SPARKBUS__OUTCOME__OUTCOME_DONE;
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;
	struct ask *asks = NULL;
	json_t *list = json ? json_array() : NULL;
	int rc = cli_inventory(cli, &inv, &err);

	if (!rc)
		rc = sb_inventory_crls(inv, &operator_crl, &node_crl, &err);
	if (!rc)
		rc = add_others(cli, &nodes, &err);
	if (!rc) {
		body.operator_crl = (ProtobufCBinaryData){ strlen(operator_crl),
			(uint8_t *)operator_crl };
		body.node_crl = (ProtobufCBinaryData){ strlen(node_crl), (uint8_t *)node_crl };
		asks = calloc(nodes.n + 1, sizeof(*asks));
		rc = asks ? send_lists(cli, &nodes, asks, &body, &err) : sb_err_nomem(&err);
	}
	for (size_t i = 0; !rc && i < nodes.n; i++) {
		outcome = judge(&asks[i]);
		worst = outcome_worse(worst, outcome);
		if (json)
			json_array_append_new(list, result_json(&asks[i], outcome));
		else
			print_result(&asks[i], outcome);
	}
	asks_done(asks, nodes.n);
	if (rc < 0) {
		json_decref(list);
		return cli_fail(cli, &err);
	}
	if (worst != SPARKBUS__OUTCOME__OUTCOME_DONE)
		cli_hint("nodes that did not take the list still trust what it revokes; repeat "
			 "with "
			 "sparkbus node push-crl");
	return json ? cli_json(cli, list, outcome_exit(worst)) : outcome_exit(worst);
}

int cmd_node_revoke(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;
	SB_CLEANUP(sb_inv_node_done) struct sb_inv_node node = { 0 };
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;
	char question[128];
	bool yes = opts->force;
	int rc = cli_inventory(cli, &inv, &err);

	if (!rc)
		rc = sb_inventory_node_get(inv, call->args[0], &node, &err);
	snprintf(question, sizeof(question), "Revoke the certificate of node '%s'?", call->args[0]);
	if (!rc && !yes && !node.revoked)
		rc = cli_confirm(question, &yes, &err);
	if (rc < 0)
		return cli_fail(cli, &err);
	if (!yes && !node.revoked) {
		fprintf(stderr, "Aborted!\n");
		return EXIT_FAILED;
	}
	/* Again for a revoked node: only the nodes that missed the list are left to do. */
	if (!node.revoked && sb_inventory_revoke(inv, call->args[0], &err) < 0)
		return cli_fail(cli, &err);
	if (!opts->json)
		printf("Node '%s' is revoked here; telling the other nodes:\n", call->args[0]);
	return push(cli, opts->json);
}

int cmd_node_push_crl(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;

	return push(cli, opts->json);
}
