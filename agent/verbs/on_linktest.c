/* on_linktest.c - tests of a path to another node. */
#include "internal.h"

HANDLER(on_open_linktest)
{
	Sparkbus__OpenLinktestReply reply = SPARKBUS__OPEN_LINKTEST_REPLY__INIT;
	uint8_t token[SB_LINKTEST_TOKEN_LEN];
	uint16_t port = 0;
	int rc = sb_linktest_open(((struct sb_agent *)agent)->linktests,
			(const Sparkbus__OpenLinktestRequest *)body, &port, token, err);

	if (rc < 0)
		return rc;
	reply.port = port;
	reply.token = (ProtobufCBinaryData){ sizeof(token), token };
	sb_call_reply(call, &reply.base);
	return 0;
}

static void on_over(void *ctx, const Sparkbus__RunLinktestReply *reply)
{
	sb_call_reply(ctx, &reply->base);
}

HANDLER(on_run_linktest)
{
	return sb_linktest_run(((struct sb_agent *)agent)->linktests,
			(const Sparkbus__RunLinktestRequest *)body, on_over, call, err);
}
