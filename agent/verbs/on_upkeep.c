/* on_upkeep.c - chores of the node. */
#include "internal.h"

static void on_over(void *ctx, const Sparkbus__UpkeepReply *reply)
{
	sb_call_reply(ctx, &reply->base);
}

HANDLER(on_upkeep)
{
	return sb_upkeep_run(((struct sb_agent *)agent)->upkeep,
			(const Sparkbus__UpkeepRequest *)body, on_over, call, err);
}
