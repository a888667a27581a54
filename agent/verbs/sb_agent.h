/* sb_agent.h - the agent as its verbs see it: the features, made in this order in main.c and freed
 * in reverse. Only the loop thread touches them. */
#ifndef SB_AGENT_H
#define SB_AGENT_H

#include "sb_config.h"
#include "sb_engine.h"
#include "sb_enroll.h"
#include "sb_events.h"
#include "sb_guard.h"
#include "sb_jobs.h"
#include "sb_linktest.h"
#include "sb_netconf.h"
#include "sb_node.h"
#include "sb_rpc.h"
#include "sb_telemetry.h"
#include "sb_upkeep.h"

struct sb_parking;
struct sb_pulls;
struct sb_engine_seen;
struct sb_guarding;

struct sb_agent {
	struct sb_config config;
	struct sb_identity identity; /* set by sb_agent_use_identity(), with what follows */
	char cert_serial[48];
	uint64_t operator_crl_number, node_crl_number; /* 0 = no list */
	sd_event *loop;
	uint64_t started_boot_ms;
	struct sb_node *node;
	struct sb_events *events;
	struct sb_telemetry *telemetry;
	struct sb_engine *engine;
	struct sb_jobs *jobs;
	struct sb_parking *parking; /* long polls that wait for something to happen */
	struct sb_pulls *pulls;     /* image pulls under way */
	struct sb_linktests *linktests;
	struct sb_netconf *netconf;
	struct sb_upkeep *upkeep;
	struct sb_engine_seen *seen; /* what is known of the engine, for get_node */
	struct sb_guarding *guarding;
	/* Put the identity's present certificates and lists to use: listeners, peer calls. */
	int (*reload)(struct sb_agent *agent, struct sb_err *err);
};

/** Take over @fresh, leaving it empty, and free the identity before it, but for the node's name:
 * the string stays the same one for the life of the agent. Return: 0; -SB_E_INVALID when @fresh
 * is another node's, and the identity is what it was. */
int sb_agent_use_identity(struct sb_agent *agent, struct sb_identity *fresh, struct sb_err *err);

/** The table of verbs, for sb_rpc_new(); their agent is a struct sb_agent. */
const struct sb_verb *sb_verbs(size_t *ret_n);

int sb_parking_new(struct sb_agent *agent, struct sb_parking **ret, struct sb_err *err);
void sb_parking_free(struct sb_parking *parking);
/** Something happened: look soon whether a parked long poll has its answer. */
void sb_parking_kick(struct sb_parking *parking);

int sb_engine_seen_new(struct sb_agent *agent, struct sb_engine_seen **ret, struct sb_err *err);
void sb_engine_seen_free(struct sb_engine_seen *seen);
/** The engine is back (@err NULL: its version is asked for) or away. */
void sb_engine_seen(struct sb_engine_seen *seen, const struct sb_err *err);

/** The memory guard and what it needs: jobs to choose from, events for what it did. Made after the
 * jobs, freed before them. */
int sb_guarding_new(struct sb_agent *agent, struct sb_mailbox *box, struct sb_guarding **ret,
		struct sb_err *err);
void sb_guarding_free(struct sb_guarding *guarding);
/** For get_node; NULL when it is off. Borrowed until the loop runs again. */
Sparkbus__GuardState *sb_guarding_state(struct sb_guarding *guarding);

int sb_pulls_new(struct sb_agent *agent, struct sb_pulls **ret, struct sb_err *err);
void sb_pulls_free(struct sb_pulls *pulls);

#endif
