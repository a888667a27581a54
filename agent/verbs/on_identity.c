/* on_identity.c - new revocation lists, in force without a restart. */
#include <string.h>

#include "internal.h"
#include "sb_tls.h"

static uint64_t crl_number(const char *ca_pem, const char *crl_pem)
{
	uint64_t number = 0;

	if (!sb_empty(crl_pem))
		sb_tls_crl_check(ca_pem, crl_pem, &number, NULL);
	return number;
}

int sb_agent_use_identity(struct sb_agent *agent, struct sb_identity *fresh, struct sb_err *err)
{
	struct sb_tls_cert_info info = { 0 };
	char *name = agent->identity.name;

	if (name && strcmp(name, fresh->name) != 0)
		return sb_err_set(err, SB_E_INVALID,
				"the certificate is for node %s now, this agent runs as %s: "
				"restart it",
				fresh->name, name);
	/* The features borrow the name for good, so it stays where it is. */
	if (name) {
		free(fresh->name);
		fresh->name = name;
		agent->identity.name = NULL;
	}
	sb_identity_done(&agent->identity);
	agent->identity = *fresh;
	*fresh = (struct sb_identity){ 0 };
	if (sb_tls_cert_info(agent->identity.cert, &info, NULL) == 0)
		memcpy(agent->cert_serial, info.serial, sizeof(agent->cert_serial));
	agent->operator_crl_number =
			crl_number(agent->identity.operator_ca, agent->identity.operator_crl);
	agent->node_crl_number = crl_number(agent->identity.node_ca, agent->identity.node_crl);
	return 0;
}

static char *text_of(const ProtobufCBinaryData *data)
{
	char *text = data->len ? malloc(data->len + 1) : NULL;

	if (text) {
		memcpy(text, data->data, data->len);
		text[data->len] = '\0';
	}
	return text;
}

HANDLER(on_put_crl)
{
	const Sparkbus__PutCrlRequest *request = (const Sparkbus__PutCrlRequest *)body;
	SB_CLEANUP(sb_freep) char *operator_crl = text_of(&request->operator_crl);
	SB_CLEANUP(sb_freep) char *node_crl = text_of(&request->node_crl);
	Sparkbus__PutCrlReply reply = SPARKBUS__PUT_CRL_REPLY__INIT;
	struct sb_agent *me = agent;
	SB_CLEANUP(sb_identity_done) struct sb_identity fresh = { 0 };
	int rc;

	rc = sb_identity_put_crls(me->config.identity_dir, operator_crl, node_crl, err);
	if (rc == 0)
		rc = sb_identity_load(me->config.identity_dir, &fresh, err);
	if (rc == 0)
		rc = sb_agent_use_identity(me, &fresh, err);
	if (rc == 0)
		rc = me->reload(me, err);
	if (rc < 0)
		return rc;
	/* Read back from the files that were written, and in force. */
	reply.outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	reply.operator_crl_number = me->operator_crl_number;
	reply.node_crl_number = me->node_crl_number;
	sb_events_add(me->events, "identity.crl", NULL, -1, NULL,
			"revocation lists: operators %llu, nodes %llu",
			(unsigned long long)me->operator_crl_number,
			(unsigned long long)me->node_crl_number);
	sb_call_reply(call, &reply.base);
	return 0;
}
