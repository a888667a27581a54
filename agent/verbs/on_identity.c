/* on_identity.c - new revocation lists, in force without a restart. */
#include <string.h>

#include "internal.h"

static char *text_of(const ProtobufCBinaryData *data)
{
	return data->len ? strndup((const char *)data->data, data->len) : NULL;
}

HANDLER(on_put_crl)
{
	const Sparkbus__PutCrlRequest *request = (const Sparkbus__PutCrlRequest *)body;
	SB_CLEANUP(sb_freep) char *operator_crl = text_of(&request->operator_crl);
	SB_CLEANUP(sb_freep) char *node_crl = text_of(&request->node_crl);
	Sparkbus__PutCrlReply reply = SPARKBUS__PUT_CRL_REPLY__INIT;
	struct sb_agent *me = agent;
	struct sb_identity fresh = { 0 };
	int rc;

	rc = sb_identity_put_crls(me->config.identity_dir, operator_crl, node_crl, err);
	if (rc == 0)
		rc = sb_identity_load(me->config.identity_dir, &fresh, err);
	if (rc < 0)
		return rc;
	sb_identity_done(&me->identity);
	me->identity = fresh;
	/* Read back from the files that were written. */
	reply.outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	reply.operator_crl_number = fresh.operator_crl_number;
	reply.node_crl_number = fresh.node_crl_number;
	sb_events_add(me->events, "identity.crl", NULL, -1, NULL,
			"revocation lists: operators %llu, nodes %llu",
			(unsigned long long)fresh.operator_crl_number,
			(unsigned long long)fresh.node_crl_number);
	sb_call_reply(call, &reply.base);
	/* The old listeners' connections close, this call's too: not before its answer is out. */
	me->reload(me);
	return 0;
}
