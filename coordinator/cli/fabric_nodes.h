/* fabric_nodes.h - the fabric model for the commands. */
#ifndef SB_CLI_FABRIC_NODES_H
#define SB_CLI_FABRIC_NODES_H

#include "node.pb-c.h"
#include "sb_fabric.h"

/** What a node says of its links; NULL when it does not. Borrowed from @state, which may be NULL.
 */
const Sparkbus__FabricState *fabric_state(const Sparkbus__NodeState *state);

#endif
