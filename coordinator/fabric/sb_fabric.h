/* sb_fabric.h - what the nodes' reports say of the fabric between them. Pure: reports in, answers
 * out; no I/O, no clock.
 *
 * One Spark has one ConnectX-7 with two cages ("ports") and two PCIe attachments ("paths"), hence
 * four functions, each a netdev with an RDMA device. The two functions of a port are twins: they
 * share its cable, and each carries half of what the port can. So machines are counted per port,
 * never per function, and both twins are used.
 *
 * From the reports of all nodes follow: which netdevs are fabric, who is cabled to whom, the
 * topology, what is wrong, the addresses between each pair, and the environment of each rank. */
#ifndef SB_FABRIC_H
#define SB_FABRIC_H

#include "sb_err.h"
#include "telemetry.pb-c.h"

#define SB_FABRIC_NODES_MAX 256u

struct sb_fabric_node {
	const char *name;
	const char *address;                /* registered: by which the others reach it */
	const Sparkbus__FabricState *state; /* NULL = the node did not report */
};

enum sb_topology {
	SB_TOPOLOGY_NONE,     /* one node, or no two nodes share a cable */
	SB_TOPOLOGY_DIRECT_1, /* two nodes, one cable */
	SB_TOPOLOGY_DIRECT_2, /* two nodes, two cables */
	SB_TOPOLOGY_RING,     /* three or more nodes, each cabled to two others, closed */
	SB_TOPOLOGY_SWITCH,   /* some port hears two machines or more */
	SB_TOPOLOGY_BROKEN,   /* cables that leave some node out: an open chain, a missing link */
	SB_TOPOLOGY_COUNT_,
};
/** "none", "one cable", "two cables", "ring", "switch", "incomplete". */
const char *sb_topology_name(enum sb_topology topology);

enum sb_fabric_severity {
	SB_FABRIC_NOTE,
	SB_FABRIC_WARNING, /* works, but slower or less safely than it could */
	SB_FABRIC_REFUSE,  /* RDMA between these nodes cannot work */
};

struct sb_fabric_finding {
	enum sb_fabric_severity severity;
	const char *id;   /* "twin-without-address"; stable, for scripts */
	const char *node; /* "" = of all */
	char *subject;    /* interface, device or network; "" = the node */
	char *text;       /* what was seen, with its numbers */
	const char *cause, *fix;
	bool no_link; /* why the node takes no part where no two nodes share a cable */
};

/* One cable, or one port's way to another through a switch. */
struct sb_fabric_link {
	unsigned a, b;           /* nodes, a < b */
	unsigned a_port, b_port; /* 0 or 1 */
	bool heard;              /* by listening; otherwise it follows from the addresses */
};

/* Two ends in one network over which bulk data goes: one per path, so that both are used. */
struct sb_fabric_pair {
	const char *interface, *address;           /* of the node that asks */
	const char *peer_interface, *peer_address; /* of the other */
	unsigned path;                             /* 1 or 2 */
};

struct sb_fabric_env {
	const char *name;
	char *value;
	const char *reason; /* why this variable, and why this value */
	const char *source; /* what the value was taken from */
};

/* One PCI function of a ConnectX as one node reports it. */
struct sb_fabric_func {
	const Sparkbus__Link *link;
	const Sparkbus__RdmaDevice *device;
	unsigned port;       /* cage: 0 or 1 */
	unsigned path;       /* PCIe attachment: 1 or 2 */
	const char *address; /* IPv4; NULL = none */
	unsigned prefix;
	bool carrier; /* cable and partner */
	bool active;  /* verbs can be used */
	bool usable;  /* both, and an address */
};

struct sb_fabric;
/** Derive everything. The reports are borrowed and must outlive the result. Free with
 * sb_fabric_free(). Return: 0; -SB_E_RANGE for too many nodes; -SB_E_NOMEM. Strange reports are
 * findings, never errors. */
int sb_fabric_derive(const struct sb_fabric_node *nodes, size_t n_nodes, struct sb_fabric **ret,
		struct sb_err *err);
void sb_fabric_free(struct sb_fabric *fabric);
SB_DEFINE_CLEANUP(sb_fabric_free, struct sb_fabric *)

enum sb_topology sb_fabric_topology(const struct sb_fabric *fabric);
/** True when every rank can use RDMA: there is a topology and nothing refuses it. */
bool sb_fabric_usable(const struct sb_fabric *fabric);
/** True when every node told of its links and RDMA devices. Otherwise "not usable" means that
 * nobody knows. */
bool sb_fabric_known(const struct sb_fabric *fabric);
/** Why it is not usable, with the nodes' names, in one line: "no RDMA device on spark2: ...". NULL
 * when out of memory; "" when it is usable. The caller frees it. */
char *sb_fabric_why_not(const struct sb_fabric *fabric);
/** The interface by which @node reaches all others: that of its default route, else the one that
 * has its registered address, else its first wired one with an address. NULL when there is none.
 * @ret_why (may be NULL): which of these it is. */
const char *sb_fabric_management(
		const struct sb_fabric *fabric, unsigned node, const char **ret_why);

/* Each returns NULL past the end. Lists are ordered: by node, then by PCI address. */
const struct sb_fabric_finding *sb_fabric_finding_at(const struct sb_fabric *fabric, size_t i);
const struct sb_fabric_link *sb_fabric_link_at(const struct sb_fabric *fabric, size_t i);
/** The @i-th function of @node, in PCI order; false past the end. */
bool sb_fabric_func_at(const struct sb_fabric *fabric, unsigned node, size_t i,
		struct sb_fabric_func *ret);
/** The environment of @node's rank; the head is node 0. Empty for one node alone but for what does
 * no harm there. */
const struct sb_fabric_env *sb_fabric_env_at(
		const struct sb_fabric *fabric, unsigned node, size_t i);
/** The @i-th way from @from to @to: same network, same path first. False when there is none more;
 * then the management addresses are what is left. */
bool sb_fabric_pair_at(const struct sb_fabric *fabric, unsigned from, unsigned to, size_t i,
		struct sb_fabric_pair *ret);

/** Gb/s between two neighbours that this cabling can give at best, by what the functions' PCIe
 * attachments carry (100 Gb/s a path; a function's 200 Gb/s is its port's): 0 = no link. */
unsigned sb_fabric_expected_gbps(const struct sb_fabric *fabric, unsigned from, unsigned to);

/* An address that a function should have. */
struct sb_fabric_assignment {
	unsigned node;
	const char *interface; /* the report's */
	char address[24];      /* "192.168.100.11/24" */
};
/** Addresses for every cabled function: a /24 for each cable (or each port on a switch) and path,
 * so that twins are in different ones, beginning at @network ("192.168.100.0"; NULL = the first
 * block that no node has a route into). What the functions have already is kept when it fits. Nodes
 * have .11, .12, ... in their order. *@ret is the caller's, and empty when all is as it should be.
 * Return: 0; -SB_E_INVALID when it is not known who is cabled to whom, or the network is none;
 * -SB_E_RANGE for too many nodes. */
int sb_fabric_assign(const struct sb_fabric *fabric, const char *network, uint32_t mtu,
		struct sb_fabric_assignment **ret, size_t *ret_n, struct sb_err *err);

/** A row of the decision table, for documents: NULL past the end. @ret_when (may be NULL): for
 * which topologies. */
const char *sb_fabric_env_row(
		size_t i, const char **ret_value, const char **ret_when, const char **ret_reason);

#endif
