/* node_parse.h - the texts of procfs as values; no I/O, so that tests can feed a Spark's own. */
#ifndef SB_NODE_PARSE_H
#define SB_NODE_PARSE_H

#include "sb_base.h"

/** The line "<key>:   <n> kB" of /proc/meminfo or smaps_rollup, in bytes. False when there is no
 * such line or it is not a number of kB; *ret is untouched then. */
bool node_parse_kb(const char *text, const char *key, uint64_t *ret_bytes);

struct node_socket {
	uint16_t port;  /* local */
	unsigned state; /* NODE_TCP_LISTEN, ... */
	uint64_t inode;
};
#define NODE_TCP_LISTEN 0x0au

/** One line of /proc/net/tcp or tcp6. False for the heading and for what is no such line. */
bool node_parse_socket(const char *line, struct node_socket *ret);

/** The inode in the target of a /proc/<pid>/fd link, "socket:[123]". */
bool node_parse_socket_link(const char *target, uint64_t *ret_inode);

/** Copy a boot id (a UUID and a line end) without the line end; false when it is none. */
bool node_parse_boot_id(const char *text, char ret[37]);

#endif
