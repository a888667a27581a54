/* spark_netlink.c - messages as the kernel sends them. */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spark.h"

static void need(bool what)
{
	if (!what)
		abort();
}

void spark_apply(struct links_model *m, struct nl_msg *msg)
{
	unsigned index;

	links_model_apply(m, nlmsg_hdr(msg), &index);
	nlmsg_free(msg);
}

static struct nl_msg *begin(int type, const void *header, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	need(msg != NULL);
	nlmsg_append(msg, (void *)header, len, NLMSG_ALIGNTO);
	return msg;
}

struct nl_msg *spark_link_message(const struct spark_link *row, int type)
{
	struct ifinfomsg info = { .ifi_index = row->index, .ifi_flags = row->flags };
	struct nl_msg *msg = begin(type, &info, sizeof(info));
	struct nlattr *nest;

	nla_put_string(msg, IFLA_IFNAME, row->name);
	nla_put_u32(msg, IFLA_MTU, row->mtu);
	nla_put_u8(msg, IFLA_OPERSTATE, row->oper);
	nla_put(msg, IFLA_ADDRESS, 6, row->mac);
	nla_put_u32(msg, IFLA_CARRIER_CHANGES, row->changes);
	if (row->carrier >= 0)
		nla_put_u8(msg, IFLA_CARRIER, (uint8_t)row->carrier);
	if (row->port) /* the kernel does not end this one with a NUL */
		nla_put(msg, IFLA_PHYS_PORT_NAME, (int)strlen(row->port), row->port);
	if (row->pci) {
		nla_put_string(msg, IFLA_PARENT_DEV_NAME, row->pci);
		nla_put_string(msg, IFLA_PARENT_DEV_BUS_NAME, "pci");
	}
	if (row->kind) {
		nest = nla_nest_start(msg, IFLA_LINKINFO);
		nla_put_string(msg, IFLA_INFO_KIND, row->kind);
		nla_nest_end(msg, nest);
	}
	return msg;
}

struct nl_msg *spark_address_message(unsigned index, const char *ip, uint8_t prefix, int type)
{
	bool six = strchr(ip, ':') != NULL;
	struct ifaddrmsg info = {
		.ifa_family = six ? AF_INET6 : AF_INET, .ifa_prefixlen = prefix, .ifa_index = index
	};
	struct nl_msg *msg = begin(type, &info, sizeof(info));
	uint8_t bytes[16];

	need(inet_pton(info.ifa_family, ip, bytes) == 1);
	nla_put(msg, six ? IFA_ADDRESS : IFA_LOCAL, six ? 16 : 4, bytes);
	nla_put_u32(msg, IFA_FLAGS, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
	return msg;
}

struct nl_msg *spark_neighbour_message(
		int index, const char *ip, const char *mac, uint16_t state, int type)
{
	struct ndmsg info = { .ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = state };
	struct nl_msg *msg = begin(type, &info, sizeof(info));
	uint8_t bytes[4], lladdr[6];

	need(inet_pton(AF_INET, ip, bytes) == 1);
	need(sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &lladdr[0], &lladdr[1], &lladdr[2],
			     &lladdr[3], &lladdr[4], &lladdr[5]) == 6);
	nla_put(msg, NDA_DST, 4, bytes);
	nla_put(msg, NDA_LLADDR, 6, lladdr);
	return msg;
}

struct nl_msg *spark_route_message(unsigned index, const char *network, uint8_t len,
		const char *gateway, uint32_t metric)
{
	struct rtmsg info = { .rtm_family = AF_INET,
		.rtm_dst_len = len,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST };
	struct nl_msg *msg = begin(RTM_NEWROUTE, &info, sizeof(info));
	uint8_t bytes[4];

	if (network && inet_pton(AF_INET, network, bytes) == 1)
		nla_put(msg, RTA_DST, 4, bytes);
	if (gateway && inet_pton(AF_INET, gateway, bytes) == 1)
		nla_put(msg, RTA_GATEWAY, 4, bytes);
	nla_put_u32(msg, RTA_OIF, index);
	nla_put_u32(msg, RTA_PRIORITY, metric);
	return msg;
}

/* --- one Spark --- */

void spark_links(const struct spark *spark, struct spark_link ret[SPARK_LINKS])
{
	static const struct spark_link common[SPARK_LINKS] = {
		{ 1, "lo", IFF_UP | IFF_LOOPBACK, 0, 1, 65536, { 0 } },
		{ 2, "enP7s7", IFF_UP, 6, 1, 1500, { 0 }, NULL, "0007:01:00.0", NULL, 2 },
		[6] = { 7, "wlP9s9", 0, 2, -1, 1500, { 0x90, 0xe8, 0x68, 0xa1, 0xb2, 0xc3 }, NULL,
				"0009:01:00.0", NULL, 1 },
		[7] = { 8, "docker0", IFF_UP, 2, 0, 1500, { 0x2e, 0x5a, 0x11, 0x22, 0x33, 0x44 },
				NULL, NULL, "bridge", 1 },
	};
	static const char *const pci[] = { "0000:01:00.0", "0000:01:00.1", "0002:01:00.0",
		"0002:01:00.1" };

	memcpy(ret, common, sizeof(common));
	spark_mac(spark, 0, ret[1].mac);
	for (unsigned f = 0; f < SPARK_FUNCS && !spark->powered_off; f++) {
		const struct spark_func *func = &spark_funcs[f];
		bool up = spark->ips[f] != NULL;

		ret[func->index - 1] = (struct spark_link){ (int)func->index, func->netdev, IFF_UP,
			up ? 6 : 2, up, up ? 9000 : 1500, { 0 }, func->port, pci[f], NULL,
			up ? 3 : 1 };
		spark_mac(spark, func->mac_offset, ret[func->index - 1].mac);
	}
}

static void apply_network(struct links_model *m, unsigned index, const char *ip, uint32_t metric)
{
	char network[INET_ADDRSTRLEN];

	snprintf(network, sizeof(network), "%s", ip);
	strcpy(strrchr(network, '.'), ".0");
	spark_apply(m, spark_address_message(index, ip, 24, RTM_NEWADDR));
	spark_apply(m, spark_route_message(index, network, 24, NULL, metric));
}

struct links_model *spark_model(const struct spark *spark)
{
	struct links_model *m = links_model_new();
	struct spark_link links[SPARK_LINKS];

	need(m != NULL);
	spark_links(spark, links);
	for (size_t i = SPARK_LINKS; i-- > 0;) /* in any order */
		if (links[i].name)
			spark_apply(m, spark_link_message(&links[i], RTM_NEWLINK));
	spark_apply(m, spark_address_message(1, "127.0.0.1", 8, RTM_NEWADDR));
	spark_apply(m, spark_address_message(8, "172.17.0.1", 16, RTM_NEWADDR));
	spark_apply(m, spark_address_message(2, "fe80::4ebb:47ff:fe10:2015", 64, RTM_NEWADDR));
	spark_apply(m, spark_route_message(2, NULL, 0, "192.168.1.1", 100));
	apply_network(m, 2, spark->management_ip, 100);
	for (unsigned f = 0; f < SPARK_FUNCS; f++)
		if (spark->ips[f])
			apply_network(m, spark_funcs[f].index, spark->ips[f], 101 + f);
	spark_apply(m,
			spark_neighbour_message(
					2, "192.168.1.1", "02:00:00:00:00:01", 2, RTM_NEWNEIGH));
	spark_apply(m,
			spark_neighbour_message(
					1, "224.0.0.251", "00:00:00:00:00:00", 64, RTM_NEWNEIGH));
	return m;
}
