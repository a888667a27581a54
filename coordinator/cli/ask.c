/* Questions to nodes. The id of a request is made here and kept in the ask, so that a question
 * that timed out can be asked again as the same one. */
#include <string.h>

#include "cli.h"

int ask_init(struct ask *ask, const struct cli_node *node, unsigned tag, void *body,
		struct sb_err *err)
{
	int rc;

	*ask = (struct ask){ .node = node, .request = SPARKBUS__REQUEST__INIT };
	rc = sb_wire_new_id(ask->id, err);
	if (rc < 0)
		return rc;
	ask->request.id = (ProtobufCBinaryData){ sizeof(ask->id), ask->id };
	return sb_wire_set_oneof(&ask->request.base, tag, body, err);
}

/* A request's body and its answer have the same field number; anything else is no answer. */
static void check_kind(struct ask *ask)
{
	struct sb_answer *answer = &ask->answer;

	if (!answer->reply ||
			(unsigned)answer->reply->result_case == (unsigned)ask->request.body_case)
		return;
	sb_answer_done(answer);
	memset(answer, 0, sizeof(*answer));
	sb_err_set(&answer->err, SB_E_PROTOCOL, "node %s: the answer is of another kind",
			ask->node->node.name);
}

size_t asks_send(struct cli *cli, struct sb_client *client, struct ask *asks, size_t n,
		unsigned deadline_ms)
{
	SB_CLEANUP(sb_freep) struct sb_target *targets = calloc(n + 1, sizeof(*targets));
	SB_CLEANUP(sb_freep) sb_request **requests = calloc(n + 1, sizeof(*requests));
	SB_CLEANUP(sb_freep) struct sb_answer *answers = calloc(n + 1, sizeof(*answers));
	size_t failed = 0;

	for (size_t i = 0; i < n; i++) {
		sb_answer_done(&asks[i].answer);
		memset(&asks[i].answer, 0, sizeof(asks[i].answer));
		sb_err_nomem(&asks[i].answer.err);
	}
	if (!targets || !requests || !answers)
		return n;
	for (size_t i = 0; i < n; i++) {
		const struct sb_inv_node *node = &asks[i].node->node;

		targets[i] = (struct sb_target){ node->name, node->address, node->control_port };
		requests[i] = &asks[i].request;
	}
	sb_client_fan(client, targets, requests, n, deadline_ms, answers);
	for (size_t i = 0; i < n; i++) {
		asks[i].answer = answers[i];
		check_kind(&asks[i]);
		failed += !asks[i].answer.reply;
	}
	return failed;
}

void asks_done(struct ask *asks, size_t n)
{
	for (size_t i = 0; asks && i < n; i++)
		sb_answer_done(&asks[i].answer);
	free(asks);
}

int ask_one(struct cli *cli, const struct cli_node *node, unsigned tag, void *body,
		unsigned deadline_ms, struct sb_answer *ret, struct sb_err *err)
{
	struct sb_client *client;
	struct ask ask;
	int rc = cli_client(cli, &client, err);

	memset(ret, 0, sizeof(*ret));
	if (!rc)
		rc = ask_init(&ask, node, tag, body, err);
	if (rc < 0)
		return rc;
	asks_send(cli, client, &ask, 1, deadline_ms);
	*ret = ask.answer;
	if (ret->reply)
		return 0;
	if (err)
		*err = ret->err;
	return -(int)ret->err.code;
}

bool ask_unknown(const struct sb_answer *answer)
{
	return !answer->reply && sb_code_exit(answer->err.code) == EXIT_UNKNOWN;
}

const char *ask_reason(const struct cli_node *node, const struct sb_answer *answer)
{
	const char *text = answer->err.text;
	size_t len = strlen(node->node.name);

	if (!strncmp(text, "node ", 5) && !strncmp(text + 5, node->node.name, len) &&
			!strncmp(text + 5 + len, ": ", 2))
		text += 5 + len + 2;
	return text;
}
