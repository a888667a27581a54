/* sb_node.h - what the agent reports of its own node, read when asked, without forking. */
#ifndef SB_NODE_H
#define SB_NODE_H

#include "sb_err.h"
#include "sb_wire.h"

struct sb_node;
int sb_node_new(const char *name, struct sb_node **ret, struct sb_err *err);
void sb_node_free(struct sb_node *node);
SB_DEFINE_CLEANUP(sb_node_free, struct sb_node *)

/** Fill the name and the fields that the system gives: boot id, uptime, uname, cpus, memory,
 * addresses (no loopback, no link-local; physical interfaces first), own PSS. Strings and arrays
 * are borrowed until the next call. What cannot be read stays absent. */
void sb_node_fill(struct sb_node *node, Sparkbus__NodeState *state);

/** Size of the file system that holds @path, and the bytes of it that others than root may still
 * take. A path that does not exist yet is held where its nearest existing parent is. */
int sb_node_disk(const char *path, uint64_t *ret_total, uint64_t *ret_free, struct sb_err *err);
/** Whether TCP @port is taken on this node (a bind to it on every address fails), by /proc/net/tcp
 * and tcp6; @who says who where it can be known ("" otherwise): "python3 (pid 1234)". */
int sb_node_port_busy(
		uint16_t port, bool *ret_busy, char *who, size_t who_size, struct sb_err *err);

#endif
