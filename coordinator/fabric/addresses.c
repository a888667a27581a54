/* addresses.c - which address each function should have.
 *
 * Functions that share a cable and a path are one group, and a group is one /24; on a switch it is
 * every node's function of one port and path. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define FIRST_HOST   11u
#define HOSTS_MAX    200u
#define GROUPS_MAX   (2u * SB_FABRIC_NODES_MAX)
#define PREFIX       24u
#define BLOCK        256u       /* addresses of a /24 */
#define BASE_FIRST   0xc0a86400 /* 192.168.100.0 */
#define BASE_LAST    0xc0a8fe00 /* 192.168.254.0 */
#define SECOND_FIRST 0x0a640000 /* 10.100.0.0, where 192.168 is in use */
#define SECOND_LAST  0x0afe0000

struct groups {
	const struct sb_fabric *f;
	int *of; /* group of each function; -1 = none */
	unsigned n;
};

static bool is_switch(const struct sb_fabric *f)
{
	return f->topology == SB_TOPOLOGY_SWITCH;
}

static void join(struct groups *g, unsigned node, unsigned port, unsigned path, unsigned group)
{
	for (size_t i = 0; i < g->f->n_funcs; i++) {
		const struct func *func = &g->f->funcs[i];

		if (func->node != node || func->port != port || func->path != path ||
				!func->carrier)
			continue;
		g->of[i] = (int)group;
		g->n = group >= g->n ? group + 1 : g->n;
	}
}

/* On a switch the ports in use are numbered from 0, so that one port each makes two groups. */
static void group_switch(struct groups *g)
{
	unsigned used = 0;

	for (unsigned port = 0; port < PORTS_PER_NODE; port++) {
		bool any = false;

		for (unsigned node = 0; node < g->f->n_nodes; node++) {
			any = any || port_of(g->f, node, port)->n_hears;
			for (unsigned path = 1; path <= 2; path++)
				join(g, node, port, path, 2 * used + path - 1);
		}
		used += any;
	}
}

static void group_cables(struct groups *g)
{
	for (size_t i = 0; i < g->f->n_links && i < GROUPS_MAX / 2; i++)
		for (unsigned path = 1; path <= 2; path++) {
			const struct sb_fabric_link *l = &g->f->links[i];

			join(g, l->a, l->a_port, path, (unsigned)(2 * i + path - 1));
			join(g, l->b, l->b_port, path, (unsigned)(2 * i + path - 1));
		}
}

/* --- what is there --- */

/* Every function of a group in one network of 24 bits, with one MTU and hosts of their own, and no
 * other group there. */
static bool fits(const struct groups *g, uint32_t mtu)
{
	const struct sb_fabric *f = g->f;

	for (size_t i = 0; i < f->n_funcs; i++) {
		if (g->of[i] < 0)
			continue;
		if (!f->funcs[i].has_ip || f->funcs[i].prefix != PREFIX ||
				f->funcs[i].link->mtu != mtu)
			return false;
		for (size_t k = 0; k < f->n_funcs; k++) {
			bool together = g->of[i] == g->of[k];

			if (k == i || g->of[k] < 0)
				continue;
			if (same_network(&f->funcs[i], &f->funcs[k]) != together ||
					f->funcs[i].ip == f->funcs[k].ip)
				return false;
		}
	}
	return true;
}

static bool is_fabric_interface(const struct sb_fabric *f, unsigned node, const char *name)
{
	for (size_t i = 0; i < f->n_funcs; i++)
		if (f->funcs[i].node == node && !strcmp(f->funcs[i].link->name, name))
			return true;
	return false;
}

/* Whether a node reaches any of the @count /24s from @base by something else than its fabric. */
static bool taken(const struct sb_fabric *f, uint32_t base, unsigned count)
{
	uint32_t last = base + count * BLOCK - 1;

	for (unsigned node = 0; node < f->n_nodes; node++) {
		const Sparkbus__FabricState *s = f->nodes[node].state;

		for (size_t i = 0; s && i < s->n_routes; i++) {
			const Sparkbus__Route *r = s->routes[i];
			uint32_t net;

			if (!r->prefix_len || r->prefix_len > 32 ||
					!sb_fabric_ipv4(r->network, &net) ||
					is_fabric_interface(f, node, r->interface))
				continue;
			if (net <= last && (net | ~net_mask(r->prefix_len)) >= base)
				return true;
		}
	}
	return false;
}

static int choose_base(
		const struct groups *g, const char *network, uint32_t *ret, struct sb_err *err)
{
	if (network) {
		if (!sb_fabric_ipv4(network, ret) || *ret & (BLOCK - 1))
			return sb_err_set(err, SB_E_INVALID,
					"network '%s': expected the first address of a /24, as "
					"192.168.100.0",
					network);
		return !taken(g->f, *ret, g->n) ? 0
						: sb_err_set(err, SB_E_INVALID,
								  "network %s: a node has a route "
								  "into it or one of "
								  "the %u networks after it",
								  network, g->n - 1);
	}
	for (*ret = BASE_FIRST; *ret + g->n * BLOCK <= BASE_LAST; *ret += BLOCK)
		if (!taken(g->f, *ret, g->n))
			return 0;
	for (*ret = SECOND_FIRST; *ret + g->n * BLOCK <= SECOND_LAST; *ret += BLOCK)
		if (!taken(g->f, *ret, g->n))
			return 0;
	return sb_err_set(err, SB_E_RANGE, "no %u free networks were found; give --network", g->n);
}

/* --- the plan --- */

static int make(const struct groups *g, uint32_t base, struct sb_fabric_assignment **ret,
		size_t *ret_n, struct sb_err *err)
{
	const struct sb_fabric *f = g->f;
	struct sb_fabric_assignment *list = calloc(f->n_funcs + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return sb_err_nomem(err);
	for (size_t i = 0; i < f->n_funcs; i++) {
		struct in_addr ip;
		char text[INET_ADDRSTRLEN];

		if (g->of[i] < 0)
			continue;
		ip.s_addr = htonl(
				base + (uint32_t)g->of[i] * BLOCK + FIRST_HOST + f->funcs[i].node);
		inet_ntop(AF_INET, &ip, text, sizeof(text));
		list[n].node = f->funcs[i].node;
		list[n].interface = f->funcs[i].link->name;
		snprintf(list[n++].address, sizeof(list[0].address), "%s/%u", text, PREFIX);
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int sb_fabric_assign(const struct sb_fabric *f, const char *network, uint32_t mtu,
		struct sb_fabric_assignment **ret, size_t *ret_n, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) int *of = calloc(f->n_funcs + 1, sizeof(*of));
	struct groups g = { f, of, 0 };
	uint32_t base = 0;
	int rc;

	if (!of)
		return sb_err_nomem(err);
	for (size_t i = 0; i < f->n_funcs; i++)
		of[i] = -1;
	if (is_switch(f))
		group_switch(&g);
	else
		group_cables(&g);
	if (!g.n)
		return sb_err_hint(err,
				sb_err_set(err, SB_E_INVALID,
						"it is not known who is cabled to whom"),
				"see sparkbus fabric show; agents must listen (fabric.beacon)");
	if (f->n_nodes > HOSTS_MAX)
		return sb_err_set(err, SB_E_RANGE, "%zu nodes; expected at most %u", f->n_nodes,
				HOSTS_MAX);
	if (!network && fits(&g, mtu)) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	rc = choose_base(&g, network, &base, err);
	return rc < 0 ? rc : make(&g, base, ret, ret_n, err);
}
