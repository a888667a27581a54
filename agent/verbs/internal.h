/* internal.h - handlers, as table.c lists them, and the parking place of long polls. */
#ifndef SB_VERBS_INTERNAL_H
#define SB_VERBS_INTERNAL_H

#include "sb_agent.h"

#define HANDLER(name)                                                                              \
	int name(void *agent, struct sb_call *call, const ProtobufCMessage *body,                  \
			struct sb_err *err)

HANDLER(on_ping);
HANDLER(on_get_node);
HANDLER(on_get_job);
HANDLER(on_prepare);
HANDLER(on_release);
HANDLER(on_commit);
HANDLER(on_stop_job);
HANDLER(on_start_rank);
HANDLER(on_stop_rank);
HANDLER(on_watch_rank);
HANDLER(on_watch_events);
HANDLER(on_read_log);
HANDLER(on_pull_image);
HANDLER(on_put_crl);
HANDLER(on_open_linktest);
HANDLER(on_run_linktest);
HANDLER(on_set_network);
HANDLER(on_confirm_network);
HANDLER(on_upkeep);

/** Answer @call when there is something to say: true when it was answered. @last: time is up, say
 * what there is. @body is the request, which lives as long as the call. */
typedef bool (*park_fn)(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		bool last);

#define PARK_WAIT_MAX_MS 60000u
/** Try @fn now; if it has no answer yet, again after every kick and at last after @wait_ms or
 * shortly before the caller's deadline. */
int park(struct sb_agent *agent, struct sb_call *call, const ProtobufCMessage *body,
		uint32_t wait_ms, park_fn fn, struct sb_err *err);

#endif
