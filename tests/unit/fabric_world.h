/* fabric_world.h - reports of Sparks as the agents send them: the published fixtures. */
#ifndef SB_TEST_FABRIC_WORLD_H
#define SB_TEST_FABRIC_WORLD_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_fabric.h"

#define NODES 5u
#define FUNCS 4u

/* Path and port of a Spark's four functions, in NCCL's order. */
static const struct {
	const char *netdev, *rdma, *pci, *port;
	unsigned mac; /* added to the RJ45's */
} spark[FUNCS] = {
	{ "enp1s0f0np0", "rocep1s0f0", "0000:01:00.0", "p0", 1 },
	{ "enp1s0f1np1", "rocep1s0f1", "0000:01:00.1", "p1", 2 },
	{ "enP2p1s0f0np0", "roceP2p1s0f0", "0002:01:00.0", "p0", 5 },
	{ "enP2p1s0f1np1", "roceP2p1s0f1", "0002:01:00.1", "p1", 6 },
};

struct function {
	Sparkbus__Link link;
	Sparkbus__LinkAddress address, *addresses[1];
	Sparkbus__RdmaDevice rdma;
	Sparkbus__RdmaPort port, *ports[1];
	Sparkbus__Gid gid, *gids[1];
	Sparkbus__Heard heard[NODES], *heards[NODES];
	char mac[18], ip[16], gid_text[48], heard_mac[NODES][18];
};
struct machine {
	Sparkbus__FabricState state;
	Sparkbus__Sample rdma_sample;
	Sparkbus__Link management, *links[FUNCS + 1];
	Sparkbus__RdmaDevice *rdma[FUNCS];
	Sparkbus__Route route, *routes[1];
	struct function f[FUNCS];
	char id[24], name[16], address[16];
};
struct world {
	struct machine m[NODES];
	struct sb_fabric_node nodes[NODES];
	size_t n;
	struct sb_fabric *fabric;
};

static inline void mac_of(char out[18], unsigned node, unsigned offset)
{
	snprintf(out, 18, "4c:bb:47:10:%02x:%02x", 0x20 + node, 0x15 + offset);
}

static inline void init_function(struct machine *m, unsigned node, unsigned i)
{
	struct function *f = &m->f[i];

	sparkbus__link__init(&f->link);
	sparkbus__rdma_device__init(&f->rdma);
	sparkbus__rdma_port__init(&f->port);
	mac_of(f->mac, node, spark[i].mac);
	f->link.name = (char *)spark[i].netdev;
	f->link.pci = (char *)spark[i].pci;
	f->link.port_name = (char *)spark[i].port;
	f->link.mac = f->mac;
	f->link.admin_up = true;
	f->link.mtu = 1500;
	f->link.has_carrier_case = SPARKBUS__LINK__HAS_CARRIER_CARRIER;
	f->rdma.name = (char *)spark[i].rdma;
	f->rdma.netdev = (char *)spark[i].netdev;
	f->rdma.pci = (char *)spark[i].pci;
	f->rdma.vendor_id = 0x02c9;
	f->rdma.vendor_part_id = 4129;
	f->port.state = 1;
	f->port.phys_state = 3;
	f->ports[0] = &f->port;
	f->rdma.ports = f->ports;
	f->rdma.n_ports = 1;
	m->links[i + 1] = &f->link;
	m->rdma[i] = &f->rdma;
}

static inline void init_machine(struct world *w, unsigned node)
{
	struct machine *m = &w->m[node];

	sparkbus__fabric_state__init(&m->state);
	sparkbus__link__init(&m->management);
	sparkbus__sample__init(&m->rdma_sample);
	m->state.rdma_sample = &m->rdma_sample;
	snprintf(m->name, sizeof(m->name), "spark-%c", 'a' + (int)node);
	snprintf(m->address, sizeof(m->address), "192.168.1.%u", 21 + node);
	snprintf(m->id, sizeof(m->id), "4cbb:4703:0010:%02x16", 0x20 + node);
	m->management.name = (char *)"enP7s7";
	m->management.admin_up = true;
	m->links[0] = &m->management;
	for (unsigned i = 0; i < FUNCS; i++)
		init_function(m, node, i);
	m->state.links = m->links;
	m->state.n_links = FUNCS + 1;
	m->state.rdma = m->rdma;
	m->state.n_rdma = FUNCS;
	m->state.management_interface = (char *)"enP7s7";
	m->state.management_address = m->address;
	m->state.machine_id = m->id;
	m->state.has_pci_case = SPARKBUS__FABRIC_STATE__HAS_PCI_CONNECTX_FUNCTIONS;
	m->state.connectx_functions = FUNCS;
	w->nodes[node] = (struct sb_fabric_node){ m->name, m->address, &m->state };
}

static inline struct world *world(size_t n)
{
	struct world *w = calloc(1, sizeof(*w));

	w->n = n;
	for (unsigned i = 0; i < n; i++)
		init_machine(w, i);
	return w;
}

/* Cable in, verbs active, address (NULL = none) and its RoCE v2 GID at index 3. */
static inline struct function *up(struct world *w, unsigned node, unsigned i, const char *ip)
{
	struct function *f = &w->m[node].f[i];
	unsigned a, b, c, d;

	f->link.carrier = true;
	f->link.mtu = 9000;
	f->link.has_speed_case = SPARKBUS__LINK__HAS_SPEED_SPEED_MBPS;
	f->link.speed_mbps = 200000;
	f->link.has_pcie_width_case = SPARKBUS__LINK__HAS_PCIE_WIDTH_PCIE_WIDTH;
	f->link.pcie_width = 4;
	f->port.state = 4;
	f->port.phys_state = 5;
	if (!ip)
		return f;
	ck_assert_int_eq(sscanf(ip, "%u.%u.%u.%u", &a, &b, &c, &d), 4);
	snprintf(f->ip, sizeof(f->ip), "%s", ip);
	snprintf(f->gid_text, sizeof(f->gid_text),
			"0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x", a, b, c, d);
	sparkbus__link_address__init(&f->address);
	f->address.ip = f->ip;
	f->address.prefix_len = 24;
	f->addresses[0] = &f->address;
	f->link.addresses = f->addresses;
	f->link.n_addresses = 1;
	sparkbus__gid__init(&f->gid);
	f->gid.index = 3;
	f->gid.gid = f->gid_text;
	f->gid.type = (char *)"RoCE v2";
	f->gids[0] = &f->gid;
	f->port.gids = f->gids;
	f->port.n_gids = 1;
	return f;
}

/* Function @i of @node hears function @k of @other. */
static inline void hears(struct world *w, unsigned node, unsigned i, unsigned other, unsigned k)
{
	struct function *f = &w->m[node].f[i];
	size_t n = f->link.n_heard++;

	sparkbus__heard__init(&f->heard[n]);
	mac_of(f->heard_mac[n], other, spark[k].mac);
	f->heard[n].mac = f->heard_mac[n];
	f->heard[n].machine_id = other < w->n ? w->m[other].id : (char *)"9999:9999:9999:9999";
	f->heards[n] = &f->heard[n];
	f->link.heard = f->heards;
	w->m[node].state.listening = true;
}

static inline struct world *one_cable(void)
{
	struct world *w = world(2);

	up(w, 0, 1, "192.168.100.10");
	up(w, 0, 3, "192.168.101.10");
	up(w, 1, 1, "192.168.100.11");
	up(w, 1, 3, "192.168.101.11");
	return w;
}

static inline struct world *two_cables(void)
{
	struct world *w = one_cable();

	up(w, 0, 0, "192.168.102.10");
	up(w, 0, 2, "192.168.103.10");
	up(w, 1, 0, "192.168.102.11");
	up(w, 1, 2, "192.168.103.11");
	return w;
}

/* Port 0 of each to port 1 of the next. */
static inline struct world *ring(unsigned n)
{
	struct world *w = world(n);
	char ip[16];

	for (unsigned i = 0; i < n; i++)
		for (unsigned path = 0; path < 2; path++) {
			snprintf(ip, sizeof(ip), "192.168.%u.1", 10 * (i + 1) + path);
			up(w, i, 2 * path, ip);
			snprintf(ip, sizeof(ip), "192.168.%u.2", 10 * (i + 1) + path);
			up(w, (i + 1) % n, 2 * path + 1, ip);
		}
	return w;
}

static inline struct world *on_switch(bool both_ports)
{
	struct world *w = world(4);
	char ip[16];

	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < FUNCS; k++) {
			if (!both_ports && k % 2 == 0)
				continue;
			snprintf(ip, sizeof(ip), "192.168.%u.%u", 100 + k, 21 + i);
			up(w, i, k, ip);
		}
	return w;
}

#endif
