/* check.c - what is wrong, or slower than it could be: one small function a question. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define FUNCS_OF_A_SPARK 4u
#define PORT_MBPS        200000u
#define PCIE_GEN5_MTS    32000u
#define PCIE_LANES       4u
#define STATE_ACTIVE     4u

/* Findings with a constant cause and cure: the words that a person sees. */
static const struct what {
	const char *id;
	enum sb_fabric_severity severity;
	const char *cause, *fix;
	bool no_link; /* why a node takes no part where no two nodes share a cable */
} kinds[] = {
	{ "no-report", SB_FABRIC_WARNING, "the agent is away, or older than this program",
			"sparkbus node show NODE; update the agent", true },
	{ "no-cable", SB_FABRIC_NOTE,
			"without a cable the platform powers the network adapter off; this is "
			"healthy",
			"plug a cable in to use the fabric", true },
	{ "nic-missing", SB_FABRIC_WARNING, "the adapter or its driver is absent",
			"look again after 30 s; then power off, unplug for a minute, start", true },
	{ "nic-degraded", SB_FABRIC_WARNING, "the driver failed on some functions",
			"dmesg | grep mlx5; power off, unplug for a minute, start", true },
	{ "no-link", SB_FABRIC_NOTE, "no cable is plugged in, or the other end is off",
			"plug a cable in, into the same port at both ends", true },
	{ "path-missing", SB_FABRIC_WARNING, "one of the two PCIe attachments is lost",
			"lspci -d 15b3: ; power off, unplug for a minute, start" },
	{ "rename-pending", SB_FABRIC_NOTE, "udev has not renamed the devices yet",
			"look again in a few seconds" },
	{ "not-active", SB_FABRIC_WARNING, "just plugged in, or a driver error",
			"wait 10 s; reseat the cable; reload mlx5_core", true },
	{ "twin-without-address", SB_FABRIC_WARNING,
			"only functions with an IPv4 address carry RoCE v2: half of the speed",
			"give both twins an address, each in a /24 of its own: sparkbus fabric "
			"configure",
			true },
	{ "slow-link", SB_FABRIC_WARNING, "auto-negotiation settled for less, or the cable is bad",
			"force 200G on the switch; try another cable" },
	{ "pcie-degraded", SB_FABRIC_WARNING, "the slot trained below Gen5 x4",
			"update the BIOS; power off, unplug for a minute, start" },
	{ "bonded", SB_FABRIC_WARNING, "RoCE does not work over a bond or bridge here",
			"take the interface out of it" },
	{ "twins-share-network", SB_FABRIC_REFUSE,
			"both twins answer for each other and one path carries everything",
			"put them into different /24 networks: sparkbus fabric configure" },
	{ "mtu-differs", SB_FABRIC_REFUSE,
			"small packets pass and large ones vanish: NCCL hangs in its warm-up",
			"the same MTU everywhere: sparkbus fabric configure --mtu 9000" },
	{ "duplicate-address", SB_FABRIC_REFUSE, "two interfaces claim one address",
			"sparkbus fabric configure" },
	{ "overlaps-route", SB_FABRIC_WARNING,
			"traffic for that network leaves by the other interface",
			"choose another network for the fabric: sparkbus fabric configure "
			"--network" },
	{ "no-rocev2-gid", SB_FABRIC_WARNING, "the GID table has no RoCE v2 entry for the address",
			"remove and add the address again" },
	{ "gid-index-differs", SB_FABRIC_NOTE,
			"addresses came up in another order; NCCL finds the right entry by itself",
			"leave NCCL_IB_GID_INDEX unset" },
	{ "unknown-peer", SB_FABRIC_NOTE, "no agent at the other end, or it does not get through",
			"install the agent there; check VLANs and MTU" },
	{ "stranger", SB_FABRIC_NOTE, "another machine is on the same link",
			"register it: sparkbus node add" },
	{ "ports-differ", SB_FABRIC_NOTE,
			"interface names differ at the two ends; the environment is per rank, so "
			"this works",
			"move one cable, for the sake of order" },
	{ "management-wireless", SB_FABRIC_WARNING,
			"the default route goes by WiFi: slow start, and API traffic over it",
			"plug the wired network in" },
	{ "no-management", SB_FABRIC_WARNING,
			"it is not known how this node reaches the others; NCCL picks an interface "
			"by itself",
			"give the wired interface a gateway, or register the node by an address "
			"that it has" },
	{ "without-fabric", SB_FABRIC_REFUSE, "the others have RDMA and this node has none",
			"check its cable and addresses: sparkbus fabric check" },
	{ "open-chain", SB_FABRIC_REFUSE,
			"some nodes have no cable in common; NCCL needs a ring or a switch",
			"close the ring, or use a switch, or fewer nodes" },
	{ "no-common-network", SB_FABRIC_REFUSE, "cabled, but no addresses in one network",
			"sparkbus fabric configure" },
	{ "ring-unsupported", SB_FABRIC_WARNING,
			"the maker supports rings of three; larger ones work with NCCL's ring "
			"algorithm only",
			"a switch, for four nodes or more" },
};

static int say(struct sb_fabric *f, int node, const char *id, const char *subject, const char *fmt,
		...) SB_PRINTF(5, 6);
static int say(struct sb_fabric *f, int node, const char *id, const char *subject, const char *fmt,
		...)
{
	const struct what *what = kinds;
	struct sb_fabric_finding *finding;
	va_list ap;
	char *text = NULL;
	int n;

	while (strcmp(what->id, id) != 0)
		what++;
	f->refused = f->refused || what->severity == SB_FABRIC_REFUSE;
	if (f->n_findings >= FINDINGS_MAX)
		return 0;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -SB_E_NOMEM;
	finding = &f->findings[f->n_findings];
	*finding = (struct sb_fabric_finding){ what->severity, what->id,
		node < 0 ? "" : f->nodes[node].name, strdup(subject), text, what->cause, what->fix,
		what->no_link };
	if (!finding->subject) {
		free(text);
		return -SB_E_NOMEM;
	}
	f->n_findings++;
	return 0;
}

static unsigned funcs_of(const struct sb_fabric *f, unsigned node, bool only_usable)
{
	unsigned n = 0;

	for (size_t i = 0; i < f->n_funcs; i++)
		n += f->funcs[i].node == node && (!only_usable || f->funcs[i].usable);
	return n;
}

/* --- one node --- */

static int check_devices(struct sb_fabric *f, unsigned node)
{
	const Sparkbus__FabricState *s = f->nodes[node].state;
	unsigned n = funcs_of(f, node, false), paths = 0;
	bool unnamed = false;
	int rc = 0;

	if (!n) {
		bool on_bus = s->has_pci_case && s->connectx_functions;

		if (on_bus)
			return say(f, (int)node, "nic-degraded", "",
					"%u ConnectX functions on the bus, no RDMA device",
					s->connectx_functions);
		return say(f, (int)node,
				s->has_hotplug_case && s->hotplug_enabled ? "no-cable"
									  : "nic-missing",
				"", "no RDMA device");
	}
	for (size_t i = 0; i < f->n_funcs; i++) {
		if (f->funcs[i].node != node)
			continue;
		paths = f->funcs[i].path > paths ? f->funcs[i].path : paths;
		unnamed = unnamed || !strncmp(f->funcs[i].rdma->name, "mlx5_", 5);
	}
	if (!port_of(f, node, 0)->carrier && !port_of(f, node, 1)->carrier)
		rc = say(f, (int)node, "no-link", "", "no port has a carrier");
	if (rc < 0)
		return rc;
	if (unnamed)
		return say(f, (int)node, "rename-pending", "", "RDMA devices are named mlx5_N");
	if (s->has_pci_case && s->connectx_functions == FUNCS_OF_A_SPARK && n < FUNCS_OF_A_SPARK)
		return say(f, (int)node, "nic-degraded", "", "%u of %u functions have a driver", n,
				FUNCS_OF_A_SPARK);
	if (s->has_pci_case && s->connectx_functions == FUNCS_OF_A_SPARK / 2 && paths == 1)
		return say(f, (int)node, "path-missing", "", "%u functions instead of %u", n,
				FUNCS_OF_A_SPARK);
	return 0;
}

static int check_management(struct sb_fabric *f, unsigned node)
{
	const Sparkbus__FabricState *s = f->nodes[node].state;
	const char *name = sb_fabric_management(f, node, NULL);
	const Sparkbus__Link *link = sb_fabric_link_named(s, name);

	if (f->n_nodes < 2)
		return 0;
	if (!name)
		return say(f, (int)node, "no-management", "",
				"no default route, and no interface has %s",
				f->nodes[node].address);
	if (link && link->wireless)
		return say(f, (int)node, "management-wireless", link->name,
				"the management interface is %s", link->name);
	return 0;
}

/* --- one function --- */

static bool has_gid(const struct func *func, unsigned *ret_index)
{
	for (size_t i = 0; i < func->rport->n_gids; i++) {
		const Sparkbus__Gid *gid = func->rport->gids[i];
		const char *tail = strstr(gid->gid, ":ffff:");
		unsigned hi, lo;

		if (strcmp(gid->type, "RoCE v2") != 0 || !tail ||
				strncmp(gid->gid, "0000:0000:", 10) != 0 ||
				sscanf(tail, ":ffff:%4x:%4x", &hi, &lo) != 2)
			continue;
		if (((uint32_t)hi << 16 | lo) != func->ip)
			continue;
		*ret_index = gid->index;
		return true;
	}
	return false;
}

static int check_function(struct sb_fabric *f, const struct func *func)
{
	const Sparkbus__Link *link = func->link;
	int node = (int)func->node, rc = 0;
	unsigned index;

	if (*link->master)
		rc = say(f, node, "bonded", link->name, "%s is part of %s", link->name,
				link->master);
	if (rc == 0 && !func->carrier)
		return 0;
	if (rc == 0 && !func->active)
		return say(f, node, "not-active", func->rdma->name,
				"%s has a carrier, %s is in state %u", link->name, func->rdma->name,
				func->rport ? func->rport->state : 0);
	if (rc == 0 && link->has_speed_case && link->speed_mbps && link->speed_mbps < PORT_MBPS)
		rc = say(f, node, "slow-link", link->name, "%s runs at %u Mb/s instead of %u",
				link->name, link->speed_mbps, PORT_MBPS);
	if (rc == 0 && link->has_pcie_width_case && link->pcie_width < PCIE_LANES)
		rc = say(f, node, "pcie-degraded", link->name, "%s sits on PCIe x%u instead of x%u",
				link->name, link->pcie_width, PCIE_LANES);
	if (rc == 0 && link->has_pcie_speed_case && link->pcie_mts < PCIE_GEN5_MTS)
		rc = say(f, node, "pcie-degraded", link->name,
				"%s sits on PCIe at %u MT/s instead of %u", link->name,
				link->pcie_mts, PCIE_GEN5_MTS);
	if (rc == 0 && !func->has_ip)
		return say(f, node, "twin-without-address", link->name, "%s has no IPv4 address",
				link->name);
	if (rc == 0 && func->rport->n_gids && !has_gid(func, &index))
		rc = say(f, node, "no-rocev2-gid", func->rdma->name, "%s has no RoCE v2 GID for %s",
				func->rdma->name, func->ip_text);
	return rc;
}

/* --- two functions --- */

static int check_two(struct sb_fabric *f, const struct func *a, const struct func *b)
{
	int rc = 0;

	if (!a->usable || !b->usable)
		return 0;
	if (a->ip == b->ip)
		return say(f, (int)b->node, "duplicate-address", b->link->name,
				"%s of %s has %s, which is %s of %s too", b->link->name,
				f->nodes[b->node].name, b->ip_text, a->link->name,
				f->nodes[a->node].name);
	if (a->node == b->node && same_network(a, b))
		return say(f, (int)a->node, "twins-share-network", b->link->name,
				"%s and %s are both in the network of %s/%u", a->link->name,
				b->link->name, a->ip_text, a->prefix);
	if (a->node != b->node && same_network(a, b) && a->link->mtu != b->link->mtu)
		rc = say(f, (int)b->node, "mtu-differs", b->link->name,
				"%s of %s has MTU %u, %s of %s has %u", b->link->name,
				f->nodes[b->node].name, b->link->mtu, a->link->name,
				f->nodes[a->node].name, a->link->mtu);
	return rc;
}

/* A route of any node, by another interface, into the network of a fabric address. */
static int check_routes(struct sb_fabric *f, const struct func *func)
{
	const Sparkbus__FabricState *s = f->nodes[func->node].state;

	for (size_t i = 0; func->has_ip && i < s->n_routes; i++) {
		const Sparkbus__Route *r = s->routes[i];
		uint32_t net, mask;
		unsigned shorter = r->prefix_len < func->prefix ? r->prefix_len : func->prefix;

		if (!r->prefix_len || r->prefix_len > 32 || !sb_fabric_ipv4(r->network, &net) ||
				!strcmp(r->interface, func->link->name))
			continue;
		mask = net_mask(shorter);
		if ((net & mask) == (func->ip & mask))
			return say(f, (int)func->node, "overlaps-route", func->link->name,
					"%s/%u of %s overlaps the route %s/%u by %s", func->ip_text,
					func->prefix, func->link->name, r->network, r->prefix_len,
					r->interface);
	}
	return 0;
}

/* --- all --- */

static int check_gids(struct sb_fabric *f)
{
	unsigned first = 0, index;
	bool any = false;

	for (size_t i = 0; i < f->n_funcs; i++) {
		if (!f->funcs[i].usable || !has_gid(&f->funcs[i], &index))
			continue;
		if (any && index != first)
			return say(f, (int)f->funcs[i].node, "gid-index-differs",
					f->funcs[i].rdma->name,
					"the RoCE v2 GID of %s is at index %u, elsewhere at %u",
					f->funcs[i].rdma->name, index, first);
		first = any ? first : index;
		any = true;
	}
	return 0;
}

static int check_ports(struct sb_fabric *f)
{
	int rc = 0;

	for (unsigned i = 0; i < f->n_nodes * PORTS_PER_NODE && rc == 0; i++) {
		const struct port *port = &f->ports[i];
		int node = (int)(i / PORTS_PER_NODE);

		if (port->strangers)
			rc = say(f, node, "stranger", "",
					"port %u hears a machine that is not among these nodes",
					i % PORTS_PER_NODE);
		else if (port->carrier && !port->n_hears && f->n_nodes > 1 &&
				f->nodes[node].state->listening)
			rc = say(f, node, "unknown-peer", "",
					"port %u has a carrier and hears nobody",
					i % PORTS_PER_NODE);
	}
	for (size_t i = 0; i < f->n_links && rc == 0; i++) {
		const struct sb_fabric_link *l = &f->links[i];

		if (l->a_port != l->b_port && f->topology != SB_TOPOLOGY_RING)
			rc = say(f, (int)l->b, "ports-differ", "",
					"port %u of %s is cabled to port %u of %s", l->b_port,
					f->nodes[l->b].name, l->a_port, f->nodes[l->a].name);
	}
	return rc;
}

/* Nodes that must talk and cannot. */
static int check_reach(struct sb_fabric *f)
{
	struct sb_fabric_pair pair;
	int rc = 0;

	if (f->topology == SB_TOPOLOGY_NONE)
		return 0;
	for (unsigned i = 0; i < f->n_nodes && rc == 0; i++)
		if (f->nodes[i].state && !funcs_of(f, i, true))
			rc = say(f, (int)i, "without-fabric", "", "no usable RDMA device");
	for (size_t i = 0; i < f->n_links && rc == 0; i++)
		if (!sb_fabric_pair_at(f, f->links[i].a, f->links[i].b, 0, &pair))
			rc = say(f, (int)f->links[i].a, "no-common-network", "",
					"%s and %s are cabled and share no network",
					f->nodes[f->links[i].a].name, f->nodes[f->links[i].b].name);
	if (rc == 0 && f->topology == SB_TOPOLOGY_BROKEN)
		rc = say(f, -1, "open-chain", "", "the cables do not connect all %zu nodes",
				f->n_nodes);
	if (rc == 0 && f->topology == SB_TOPOLOGY_RING && f->n_nodes > 3)
		rc = say(f, -1, "ring-unsupported", "", "a ring of %zu nodes", f->n_nodes);
	return rc;
}

int sb_fabric_check(struct sb_fabric *f, struct sb_err *err)
{
	int rc = 0;

	f->findings = calloc(FINDINGS_MAX, sizeof(*f->findings));
	if (!f->findings)
		return sb_err_nomem(err);
	for (unsigned i = 0; i < f->n_nodes && rc == 0; i++) {
		if (!f->nodes[i].state) {
			rc = say(f, (int)i, "no-report", "", "nothing is known of its links");
			continue;
		}
		rc = check_devices(f, i);
		if (rc == 0)
			rc = check_management(f, i);
	}
	for (size_t i = 0; i < f->n_funcs && rc == 0; i++) {
		rc = check_function(f, &f->funcs[i]);
		if (rc == 0)
			rc = check_routes(f, &f->funcs[i]);
		for (size_t k = i + 1; k < f->n_funcs && rc == 0; k++)
			rc = check_two(f, &f->funcs[i], &f->funcs[k]);
	}
	if (rc == 0)
		rc = check_gids(f);
	if (rc == 0)
		rc = check_ports(f);
	if (rc == 0)
		rc = check_reach(f);
	return rc < 0 ? sb_err_nomem(err) : 0;
}
