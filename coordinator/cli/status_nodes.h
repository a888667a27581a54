/* status_nodes.h - the nodes of `status`: one line each, and what is wrong with them. */
#ifndef SB_CLI_STATUS_NODES_H
#define SB_CLI_STATUS_NODES_H

#include "cli.h"
#include "sb_fabric.h"

/** A table of the nodes that answered, and below it what there is to say of one. */
int status_nodes_print(const struct fleet *fleet, const struct sb_fabric *fabric, FILE *out,
		struct sb_err *err);
/** What is wrong with a node, in a few words: "memory critical, no engine"; "ok". */
void status_node_health(const Sparkbus__NodeState *state, struct sb_strbuf *out);
/** The cells of the table: "88.3 of 121.7 GiB", "96% 62C 45W", "2x200G"; "-" when it is not known,
 * "none" when there is none. */
void status_node_memory(const Sparkbus__NodeState *state, struct sb_strbuf *out);
void status_node_gpu(const Sparkbus__NodeState *state, struct sb_strbuf *out);
void status_node_fabric(const Sparkbus__NodeState *state, const struct sb_fabric *fabric,
		unsigned node, struct sb_strbuf *out);
/** Jobs of the node that have not ended. */
size_t status_node_jobs(const Sparkbus__NodeState *state);
/** [{"node", "health", "memory_total_bytes", ...}] */
json_t *status_nodes_json(const struct fleet *fleet, const struct sb_fabric *fabric);
/** Derive the fabric from what @fleet reported. Free with sb_fabric_free(). */
int status_fabric(const struct fleet *fleet, struct sb_fabric_node **ret_reports,
		struct sb_fabric **ret, struct sb_err *err);

#endif
