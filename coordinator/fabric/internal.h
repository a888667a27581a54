/* internal.h - the fabric inside. */
#ifndef SB_FABRIC_INTERNAL_H
#define SB_FABRIC_INTERNAL_H

#include "sb_fabric.h"

#define PORTS_PER_NODE     2u
#define FUNCS_PER_NODE_MAX 16u /* four on a Spark; a report may claim anything */
#define FINDINGS_MAX       1000u
#define PATH_GBPS          100u /* of RDMA payload over Gen5 x4 */

/* One PCI function of a ConnectX: netdev and RDMA device. */
struct func {
	unsigned node, port, path;
	const Sparkbus__Link *link; /* never NULL */
	const Sparkbus__RdmaDevice *rdma;
	const Sparkbus__RdmaPort *rport; /* NULL when the report has none */
	bool carrier, active;            /* cable and partner; verbs can be used */
	bool has_ip;
	uint32_t ip; /* first IPv4 that is not tentative, host order */
	unsigned prefix;
	const char *ip_text;
	bool usable; /* carrier, active and address */
};

struct port {
	bool exists, carrier, strangers;
	bool *hears; /* per node */
	unsigned n_hears;
	bool by_listening;
};

/* How a node reaches the others outside the fabric. */
struct management {
	const char *interface; /* NULL = nobody knows */
	const char *why;
};

struct sb_fabric {
	const struct sb_fabric_node *nodes;
	size_t n_nodes;
	struct management *management; /* per node */
	struct func *funcs;
	size_t n_funcs;
	struct port *ports; /* [node * PORTS_PER_NODE + number] */
	bool *hears;        /* storage of ports[].hears */
	enum sb_topology topology;
	unsigned max_ports; /* carried ports of the node that has most */
	struct sb_fabric_link *links;
	size_t n_links;
	struct sb_fabric_finding *findings;
	size_t n_findings;
	struct sb_fabric_env **env; /* per node, ended by a NULL name */
	bool refused;
};

/** Functions and ports from the reports. */
int sb_fabric_collect(struct sb_fabric *f, struct sb_err *err);
/** Who hears whom, the links, the topology. */
int sb_fabric_classify(struct sb_fabric *f, struct sb_err *err);
/** Findings. */
int sb_fabric_check(struct sb_fabric *f, struct sb_err *err);
/** Environment of every node. */
int sb_fabric_plan_env(struct sb_fabric *f, struct sb_err *err);

static inline struct port *port_of(const struct sb_fabric *f, unsigned node, unsigned number)
{
	return &f->ports[(size_t)node * PORTS_PER_NODE + number];
}

static inline uint32_t net_mask(unsigned prefix)
{
	return prefix ? ~(uint32_t)0 << (32 - prefix) : 0;
}

/** Both in the network of @a. */
static inline bool same_network(const struct func *a, const struct func *b)
{
	return a->has_ip && b->has_ip && a->prefix == b->prefix && a->prefix &&
			((a->ip ^ b->ip) & net_mask(a->prefix)) == 0;
}

/** Dotted quad to host order; false for anything else. */
bool sb_fabric_ipv4(const char *text, uint32_t *ret);
/** A PCI address as a number that sorts as NCCL sorts; false for none. */
bool sb_fabric_pci(const char *text, uint64_t *ret);
/** The link named @name in a report; NULL. */
const Sparkbus__Link *sb_fabric_link_named(const Sparkbus__FabricState *state, const char *name);
/** Machines are told apart by this: the report's own identity. "" when there is none. */
const char *sb_fabric_machine(const struct sb_fabric *f, unsigned node);

#endif
