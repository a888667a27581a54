/* spark.h - what the sources of the network say on a DGX Spark, in published figures with invented
 * identities: messages of rtnetlink, a tree of sysfs, the answers of libibverbs. */
#ifndef SPARK_H
#define SPARK_H

#include <netlink/msg.h>

#include "hardware_parts.h"
#include "links_parts.h"

#define SPARK_FUNCS 4u

/* One node and how it is cabled. */
struct spark {
	const char *name;
	uint8_t mac[6]; /* of the RJ45 port; those of the ConnectX-7 follow from it */
	const char *management_ip;
	/* Address of each function in the order of PCI addresses; NULL = no cable. */
	const char *ips[SPARK_FUNCS];
	bool powered_off;     /* no cable at all, and the platform saves power: no NIC to see */
	bool no_hotplug;      /* an older system, which leaves it on */
	const char *lanes[2]; /* of path 1 and 2; NULL = "4" */
};

/** Scenarios of one to four nodes, "" past the last. */
struct spark_scenario {
	const char *name;
	struct spark nodes[4];
};
extern const struct spark_scenario spark_scenarios[];
const struct spark_scenario *spark_scenario(const char *name);

/** Make the tree below @root. */
void spark_sysfs(const struct spark *spark, const char *root);
/** Write @text and a line's end to the formatted path below @root, with the folders on the way. */
void spark_put(const char *root, const char *text, const char *fmt, ...) SB_PRINTF(3, 4);
/** The one of which spark_verbs(), a verbs_read_fn, speaks. */
extern const struct spark *spark_of_verbs;
void spark_verbs(Sparkbus__FabricState *ret, char *error, size_t error_size);

/* --- rtnetlink --- */

struct spark_link {
	int index;
	const char *name;
	unsigned flags;
	uint8_t oper;
	int carrier; /* -1 = not told */
	uint32_t mtu;
	uint8_t mac[6];
	const char *port, *pci, *kind;
	uint32_t changes;
};
#define SPARK_LINKS 8u
/** The links of @spark, by index; those of a NIC that is off have no name. */
void spark_links(const struct spark *spark, struct spark_link ret[SPARK_LINKS]);
/** A model that took everything. */
struct links_model *spark_model(const struct spark *spark);

/** Messages; spark_apply() frees one. */
void spark_apply(struct links_model *model, struct nl_msg *msg);
struct nl_msg *spark_link_message(const struct spark_link *link, int type);
struct nl_msg *spark_address_message(unsigned index, const char *ip, uint8_t prefix, int type);
struct nl_msg *spark_neighbour_message(
		int index, const char *ip, const char *mac, uint16_t state, int type);
struct nl_msg *spark_route_message(unsigned index, const char *network, uint8_t len,
		const char *gateway, uint32_t metric);

/* The functions of the NIC. */
struct spark_func {
	unsigned domain, func;
	const char *netdev, *rdma, *port;
	unsigned mac_offset, index; /* from the RJ45's; of the link */
};
extern const struct spark_func spark_funcs[SPARK_FUNCS];
void spark_mac(const struct spark *spark, unsigned offset, uint8_t ret[6]);

#endif
