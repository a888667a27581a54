/* Stopping a job, told by what each node read back. */
#include <string.h>

#include "cli.h"

/* Besides the grace time: kill, remove, wait for the memory. */
#define STOP_EXTRA_MS 120000u
#define GRACE_MAX_S   3000

struct stop_node {
	const char *name;
	struct cli_node node;
	bool registered;
	struct ask ask;
	Sparkbus__Outcome outcome;
	struct sb_err err; /* why not done, when there is no evidence */
};

int outcome_exit(Sparkbus__Outcome outcome)
{
	switch (outcome) {
	case SPARKBUS__OUTCOME__OUTCOME_DONE:
		return EXIT_DONE;
	case SPARKBUS__OUTCOME__OUTCOME_FAILED:
		return EXIT_FAILED;
	default:
		return EXIT_UNKNOWN;
	}
}

Sparkbus__Outcome outcome_worse(Sparkbus__Outcome a, Sparkbus__Outcome b)
{
	static const Sparkbus__Outcome worst_first[] = { SPARKBUS__OUTCOME__OUTCOME_FAILED,
		SPARKBUS__OUTCOME__OUTCOME_UNKNOWN };

	for (size_t i = 0; i < sb_countof(worst_first); i++)
		if (a == worst_first[i] || b == worst_first[i])
			return worst_first[i];
	/* A newer agent's outcome that we cannot read is nothing we may call done. */
	if (a == SPARKBUS__OUTCOME__OUTCOME_DONE && b == SPARKBUS__OUTCOME__OUTCOME_DONE)
		return SPARKBUS__OUTCOME__OUTCOME_DONE;
	return SPARKBUS__OUTCOME__OUTCOME_UNKNOWN;
}

static void judge(struct stop_node *n)
{
	const Sparkbus__StopJobReply *reply;

	n->outcome = SPARKBUS__OUTCOME__OUTCOME_UNKNOWN;
	if (!n->registered)
		return;
	if (!n->ask.answer.reply) {
		n->err = n->ask.answer.err;
		/* A Ctrl-C while the node was at it leaves the same doubt as silence. */
		if (!ask_unknown(&n->ask.answer) && n->err.code != SB_E_CANCELLED)
			n->outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
		return;
	}
	reply = n->ask.answer.reply->stop_job;
	n->outcome = outcome_worse(reply->outcome, reply->outcome);
	if (reply->error)
		sb_wire_err_in(reply->error, &n->err);
	/* "Done" is what was read back, not what was said. */
	for (size_t i = 0; i < reply->n_evidence; i++)
		if (!reply->evidence[i]->holds && n->outcome == SPARKBUS__OUTCOME__OUTCOME_DONE)
			n->outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static const Sparkbus__StopJobReply *reply_of(const struct stop_node *n)
{
	return n->registered && n->ask.answer.reply ? n->ask.answer.reply->stop_job : NULL;
}

static const char *reason_of(const struct stop_node *n)
{
	return n->registered && !n->ask.answer.reply ? ask_reason(&n->node, &n->ask.answer)
						     : n->err.text;
}

static void print_node(const struct stop_node *n)
{
	static const enum sb_color colors[] = {
		[SPARKBUS__OUTCOME__OUTCOME_UNKNOWN] = SB_YELLOW,
		[SPARKBUS__OUTCOME__OUTCOME_DONE] = SB_GREEN,
		[SPARKBUS__OUTCOME__OUTCOME_FAILED] = SB_RED,
	};
	const Sparkbus__StopJobReply *reply = reply_of(n);

	printf("  %s: %s%s%s%s%s\n", n->name, sb_color(stdout, colors[n->outcome]),
			outcome_text(n->outcome), sb_color(stdout, SB_PLAIN),
			n->err.code ? ": " : "", n->err.code ? reason_of(n) : "");
	for (size_t i = 0; reply && i < reply->n_evidence; i++) {
		const Sparkbus__Evidence *e = reply->evidence[i];
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		sb_render_clean(&text, e->observed, strlen(e->observed));
		printf("    %s %s\n", e->holds ? "+" : "-", sb_strbuf_str(&text));
	}
}

static json_t *node_json(const struct stop_node *n)
{
	const Sparkbus__StopJobReply *reply = reply_of(n);
	json_t *json = json_pack(
			"{s:s, s:s}", "node", n->name, "outcome", outcome_text(n->outcome));
	json_t *evidence = json_array();

	for (size_t i = 0; reply && i < reply->n_evidence; i++)
		json_array_append_new(evidence, sb_render_message(&reply->evidence[i]->base, NULL));
	json_object_set_new(json, "evidence", evidence);
	if (n->err.code)
		json_object_set_new(json, "error", json_string(reason_of(n)));
	return json;
}

static int prepare_asks(struct cli *cli, struct stop_node *nodes, size_t n,
		Sparkbus__StopJobRequest *body, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = hosts_find(cli, nodes[i].name, &nodes[i].node.node, &nodes[i].err);

		nodes[i].registered = rc == 0;
		if (rc == -SB_E_NOT_FOUND)
			continue; /* unknown, and said so */
		if (!rc)
			rc = ask_init(&nodes[i].ask, &nodes[i].node,
					SPARKBUS__REQUEST__BODY_STOP_JOB, body, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* asks_send() wants the asks in one row. */
static int send_all(struct cli *cli, struct stop_node *nodes, size_t n, unsigned deadline_ms,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct ask *asks = calloc(n + 1, sizeof(*asks));
	struct sb_client *client;
	size_t asked = 0;
	int rc = asks ? cli_client(cli, &client, err) : sb_err_nomem(err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].registered)
			continue;
		asks[asked] = nodes[i].ask;
		asks[asked].request.id.data = asks[asked].id; /* the copy's own */
		asked++;
	}
	asks_send(cli, client, asks, asked, deadline_ms);
	asked = 0;
	for (size_t i = 0; i < n; i++)
		if (nodes[i].registered)
			nodes[i].ask.answer = asks[asked++].answer;
	return 0;
}

int stop_job(struct cli *cli, const char *job, const char *const *names, size_t n,
		struct opt_int grace, bool want_json, struct stop_result *ret, struct sb_err *err)
{
	Sparkbus__StopJobRequest body = SPARKBUS__STOP_JOB_REQUEST__INIT;
	struct stop_node *nodes = calloc(n + 1, sizeof(*nodes));
	struct stop_result result = { .outcome = SPARKBUS__OUTCOME__OUTCOME_DONE };
	unsigned deadline_ms = STOP_EXTRA_MS;
	int rc = 0;

	if (!nodes)
		return sb_err_nomem(err);
	body.job = (char *)job;
	if (grace.text) {
		body.has_grace_s_case = SPARKBUS__STOP_JOB_REQUEST__HAS_GRACE_S_GRACE_S;
		body.grace_s = (uint32_t)grace.value;
		deadline_ms += (unsigned)grace.value * 1000;
	}
	for (size_t i = 0; i < n; i++)
		nodes[i].name = names[i];
	rc = prepare_asks(cli, nodes, n, &body, err);
	if (!rc)
		rc = send_all(cli, nodes, n, deadline_ms, err);
	if (!rc && want_json)
		result.json = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!rc) {
			judge(&nodes[i]);
			result.outcome = outcome_worse(result.outcome, nodes[i].outcome);
			if (want_json)
				json_array_append_new(result.json, node_json(&nodes[i]));
			else
				print_node(&nodes[i]);
		}
		if (nodes[i].registered)
			sb_answer_done(&nodes[i].ask.answer);
		sb_inv_node_done(&nodes[i].node.node);
	}
	free(nodes);
	fflush(stdout);
	if (!rc)
		*ret = result;
	return rc;
}
