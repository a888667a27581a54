/* fabric_nodes.h - the fabric model for the commands. */
#ifndef SB_CLI_FABRIC_NODES_H
#define SB_CLI_FABRIC_NODES_H

#include "cli.h"
#include "sb_fabric.h"

/** What a node says of its links; NULL when it does not. Borrowed from @state, which may be NULL.
 */
const Sparkbus__FabricState *fabric_state(const Sparkbus__NodeState *state);

/* The nodes of a command, what they said, and what follows from it. Zero is empty. */
struct fabric_view {
	struct cli_nodes nodes;
	struct fleet fleet;
	struct sb_fabric_node *reports; /* as nodes.items */
	struct sb_fabric *fabric;
};
/** Ask the nodes of @opts, or all; silent ones are part of it, without a report. */
int fabric_view_ask(struct cli *cli, const struct host_opts *opts, struct fabric_view *ret,
		struct sb_err *err);
void fabric_view_done(struct fabric_view *view);

/** "one cable between 2 nodes, 200 Gb/s at best" */
void fabric_headline(const struct fabric_view *view, struct sb_strbuf *out);
/** Fields that every document of these commands has: topology, usable, why_not, unknown_nodes.
 * NULL when out of memory. */
json_t *fabric_json(const struct fabric_view *view);

#endif
