/* table.c - every verb in one row: its number in the envelope, the doors it exists on, whether it
 * changes something, its request and its reply, its handler. */
#include "internal.h"

#define ROW(CASE, verb_name, where, changes, request, response, handler)                           \
	{                                                                                          \
		.type = SPARKBUS__REQUEST__BODY_##CASE, .name = verb_name, .doors = where,         \
		.mutates = changes, .body = &sparkbus__##request##__descriptor,                    \
		.reply = &sparkbus__##response##__descriptor, .handle = handler                    \
	}

#define BOTH     (SB_DOOR_CONTROL | SB_DOOR_PEER)
#define OPERATOR SB_DOOR_CONTROL
#define NODE     SB_DOOR_PEER

static const struct sb_verb verbs[] = {
	ROW(PING, "ping", BOTH, false, ping_request, ping_reply, on_ping),
	ROW(GET_NODE, "get_node", BOTH, false, get_node_request, node_state, on_get_node),
	ROW(GET_JOB, "get_job", BOTH, false, get_job_request, job_status, on_get_job),
	ROW(WATCH_EVENTS, "watch_events", BOTH, false, watch_events_request, watch_events_reply,
			on_watch_events),
	ROW(READ_LOG, "read_log", BOTH, false, read_log_request, read_log_reply, on_read_log),
	ROW(PREPARE, "prepare", OPERATOR, true, prepare_request, prepare_reply, on_prepare),
	ROW(RELEASE, "release", OPERATOR, true, release_request, release_reply, on_release),
	ROW(COMMIT, "commit", OPERATOR, true, commit_request, job_status, on_commit),
	ROW(STOP_JOB, "stop_job", OPERATOR, true, stop_job_request, stop_job_reply, on_stop_job),
	ROW(PULL_IMAGE, "pull_image", OPERATOR, true, pull_image_request, pull_image_reply,
			on_pull_image),
	ROW(PUT_CRL, "put_crl", OPERATOR, true, put_crl_request, put_crl_reply, on_put_crl),
	ROW(OPEN_LINKTEST, "open_linktest", OPERATOR, true, open_linktest_request,
			open_linktest_reply, on_open_linktest),
	ROW(RUN_LINKTEST, "run_linktest", OPERATOR, true, run_linktest_request, run_linktest_reply,
			on_run_linktest),
	ROW(SET_NETWORK, "set_network", OPERATOR, true, set_network_request, set_network_reply,
			on_set_network),
	ROW(CONFIRM_NETWORK, "confirm_network", OPERATOR, true, confirm_network_request,
			confirm_network_reply, on_confirm_network),
	ROW(UPKEEP, "upkeep", OPERATOR, true, upkeep_request, upkeep_reply, on_upkeep),
	ROW(START_RANK, "start_rank", NODE, true, start_rank_request, rank_status, on_start_rank),
	ROW(STOP_RANK, "stop_rank", NODE, true, stop_rank_request, stop_job_reply, on_stop_rank),
	ROW(WATCH_RANK, "watch_rank", NODE, false, watch_rank_request, rank_status, on_watch_rank),
};

const struct sb_verb *sb_verbs(size_t *ret_n)
{
	*ret_n = sb_countof(verbs);
	return verbs;
}
