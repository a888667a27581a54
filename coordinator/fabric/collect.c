/* collect.c - from the reports to functions: which netdevs are fabric, on which port and path. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

#define PORT_ACTIVE     4u /* IBV_PORT_ACTIVE; 5 is ACTIVE_DEFER, which cannot be used */
#define PHYS_LINK_UP    5u
#define PART_VIRTUAL    0x101e /* mlx5 virtual function: its port is the physical function's */
#define PREFIX_MAX_IPV4 32u

bool sb_fabric_ipv4(const char *text, uint32_t *ret)
{
	struct in_addr addr;

	if (!text || inet_pton(AF_INET, text, &addr) != 1)
		return false;
	*ret = ntohl(addr.s_addr);
	return true;
}

bool sb_fabric_pci(const char *text, uint64_t *ret)
{
	unsigned domain, bus, slot, func;

	if (!text || sscanf(text, "%8x:%2x:%2x.%1x", &domain, &bus, &slot, &func) != 4)
		return false;
	*ret = (uint64_t)domain << 24 | bus << 16 | slot << 8 | func;
	return true;
}

const Sparkbus__Link *sb_fabric_link_named(const Sparkbus__FabricState *state, const char *name)
{
	for (size_t i = 0; !sb_empty(name) && i < state->n_links; i++)
		if (!strcmp(state->links[i]->name, name))
			return state->links[i];
	return NULL;
}

const char *sb_fabric_machine(const struct sb_fabric *f, unsigned node)
{
	const Sparkbus__FabricState *state = f->nodes[node].state;

	return state ? state->machine_id : "";
}

/* The physical port: what the driver says, else "npN" at the end of the name, else the PCI
 * function. */
static unsigned port_number(const Sparkbus__Link *link)
{
	const char *np = strstr(link->name, "np");
	uint64_t pci;

	if (link->port_name[0] == 'p' && isdigit((unsigned char)link->port_name[1]))
		return (unsigned)(link->port_name[1] - '0') % PORTS_PER_NODE;
	if (np && isdigit((unsigned char)np[2]) && !np[3])
		return (unsigned)(np[2] - '0') % PORTS_PER_NODE;
	return sb_fabric_pci(link->pci, &pci) ? (unsigned)(pci & 0xf) % PORTS_PER_NODE : 0;
}

/* The address that RoCE v2 and TCP use. One that is still being checked does not count. */
static void take_address(struct func *func)
{
	for (size_t i = 0; i < func->link->n_addresses && !func->has_ip; i++) {
		const Sparkbus__LinkAddress *a = func->link->addresses[i];

		func->has_ip = !a->tentative && a->prefix_len <= PREFIX_MAX_IPV4 &&
				sb_fabric_ipv4(a->ip, &func->ip);
		func->prefix = a->prefix_len;
		func->ip_text = a->ip;
	}
}

static void take_state(struct func *func)
{
	const Sparkbus__Link *link = func->link;

	if (func->rdma->n_ports)
		func->rport = func->rdma->ports[0];
	func->carrier = link->admin_up && link->has_carrier_case && link->carrier;
	func->active = func->rport && func->rport->state == PORT_ACTIVE &&
			(!func->rport->phys_state || func->rport->phys_state == PHYS_LINK_UP);
	take_address(func);
	func->usable = func->carrier && func->active && func->has_ip;
}

/* A netdev is fabric when an RDMA device belongs to it, whatever its name. Not the one of the
 * default route, and not what is virtual or part of a bond. */
static bool is_fabric(const Sparkbus__FabricState *state, const Sparkbus__RdmaDevice *rdma,
		const Sparkbus__Link *link)
{
	return link && rdma->vendor_part_id != PART_VIRTUAL &&
			strcmp(link->name, state->management_interface) != 0;
}

/* --- management --- */

static bool has_address(const Sparkbus__Link *link, const char *ip)
{
	for (size_t i = 0; i < link->n_addresses; i++)
		if (!strcmp(link->addresses[i]->ip, ip))
			return true;
	return false;
}

static bool has_ipv4(const Sparkbus__Link *link)
{
	uint32_t ip;

	for (size_t i = 0; i < link->n_addresses; i++)
		if (!link->addresses[i]->tentative && sb_fabric_ipv4(link->addresses[i]->ip, &ip))
			return true;
	return false;
}

static bool has_rdma(const Sparkbus__FabricState *state, const Sparkbus__Link *link)
{
	for (size_t i = 0; i < state->n_rdma; i++)
		if (!strcmp(state->rdma[i]->netdev, link->name))
			return true;
	return false;
}

/* An isolated pair may have no default route, and be known by addresses of its fabric. */
static struct management management_of(const struct sb_fabric_node *node)
{
	const Sparkbus__FabricState *state = node->state;

	if (!state)
		return (struct management){ NULL, "the node did not report" };
	if (*state->management_interface)
		return (struct management){ state->management_interface, "default route" };
	for (size_t i = 0; i < state->n_links; i++)
		if (has_address(state->links[i], node->address))
			return (struct management){ state->links[i]->name,
				"has the registered address" };
	for (size_t i = 0; i < state->n_links; i++) {
		const Sparkbus__Link *link = state->links[i];

		if (link->admin_up && !*link->kind && !link->wireless && has_ipv4(link) &&
				strcmp(link->name, "lo") != 0 && !has_rdma(state, link))
			return (struct management){ link->name, "first wired one with an address" };
	}
	return (struct management){ NULL, "no interface has an address" };
}

/* --- functions --- */

static int by_pci(const void *a, const void *b)
{
	const struct func *x = a, *y = b;
	uint64_t p = 0, q = 0;

	sb_fabric_pci(x->link->pci, &p);
	sb_fabric_pci(y->link->pci, &q);
	if (p != q)
		return p < q ? -1 : 1;
	return strcmp(x->link->name, y->link->name);
}

/* Paths are numbered by PCI domain in order. What is not on PCI has one path for each port. */
static void number_paths(struct func *funcs, size_t n)
{
	unsigned path = 0;
	uint64_t last = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t pci = 0;

		sb_fabric_pci(funcs[i].link->pci, &pci);
		if (!path || pci >> 24 != last)
			path++;
		last = pci >> 24;
		funcs[i].path = path;
	}
}

static void collect_node(struct sb_fabric *f, unsigned node)
{
	const Sparkbus__FabricState *state = f->nodes[node].state;
	struct func *first = f->funcs + f->n_funcs;
	size_t n = 0;

	for (size_t i = 0; state && i < state->n_rdma && n < FUNCS_PER_NODE_MAX; i++) {
		const Sparkbus__RdmaDevice *rdma = state->rdma[i];
		const Sparkbus__Link *link = sb_fabric_link_named(state, rdma->netdev);

		if (!is_fabric(state, rdma, link))
			continue;
		first[n] = (struct func){ .node = node, .link = link, .rdma = rdma };
		first[n].port = port_number(link);
		take_state(&first[n++]);
	}
	if (n)
		qsort(first, n, sizeof(*first), by_pci);
	number_paths(first, n);
	for (size_t i = 0; i < n; i++) {
		struct port *port = port_of(f, node, first[i].port);

		port->exists = true;
		port->carrier = port->carrier || first[i].carrier;
	}
	f->n_funcs += n;
}

int sb_fabric_collect(struct sb_fabric *f, struct sb_err *err)
{
	size_t ports = f->n_nodes * PORTS_PER_NODE;

	f->funcs = calloc(f->n_nodes * FUNCS_PER_NODE_MAX + 1, sizeof(*f->funcs));
	f->ports = calloc(ports + 1, sizeof(*f->ports));
	f->hears = calloc(ports * f->n_nodes + 1, sizeof(*f->hears));
	f->management = calloc(f->n_nodes + 1, sizeof(*f->management));
	if (!f->funcs || !f->ports || !f->hears || !f->management)
		return sb_err_nomem(err);
	for (size_t i = 0; i < ports; i++)
		f->ports[i].hears = f->hears + i * f->n_nodes;
	for (unsigned i = 0; i < f->n_nodes; i++) {
		f->management[i] = management_of(&f->nodes[i]);
		collect_node(f, i);
	}
	return 0;
}
