/* classify.c - who is cabled to whom, and what kind of fabric that makes.
 *
 * On a direct cable every function of a port hears both functions of the far port, and may hear
 * its own twin; on a switch it hears every machine there. So distinct machines are counted per
 * port, the own one left out. Where agents listen on their links, what they heard decides; where
 * none does, two ports are taken to be connected when they have addresses in one network. */
#include <string.h>
#include <strings.h>

#include "internal.h"

#define NOBODY (-1)

/* The node that a heard machine is; NOBODY for a stranger. */
static int node_of_machine(const struct sb_fabric *f, const Sparkbus__Heard *heard)
{
	for (unsigned i = 0; i < f->n_nodes; i++) {
		const Sparkbus__FabricState *state = f->nodes[i].state;

		if (!state)
			continue;
		if (*heard->machine_id && !strcmp(state->machine_id, heard->machine_id))
			return (int)i;
		for (size_t k = 0; k < state->n_links && *heard->mac; k++)
			if (!strcasecmp(state->links[k]->mac, heard->mac))
				return (int)i;
	}
	return NOBODY;
}

static void hear(struct sb_fabric *f, const struct func *func, unsigned other, bool listening)
{
	struct port *port = port_of(f, func->node, func->port);

	if (other == func->node || port->hears[other])
		return;
	port->hears[other] = true;
	port->n_hears++;
	port->by_listening = port->by_listening || listening;
}

static bool anyone_listens(const struct sb_fabric *f)
{
	for (size_t i = 0; i < f->n_funcs; i++)
		if (f->funcs[i].link->n_heard)
			return true;
	return false;
}

/* A cable carries both ways: the speaker's port reaches the listener, even if nobody listens there
 * yet. */
static void heard_back(struct sb_fabric *f, const struct func *listener, const char *mac)
{
	for (size_t i = 0; i < f->n_funcs; i++)
		if (!strcasecmp(f->funcs[i].link->mac, mac))
			hear(f, &f->funcs[i], listener->node, true);
}

static void take_heard(struct sb_fabric *f, const struct func *func)
{
	for (size_t i = 0; i < func->link->n_heard; i++) {
		int other = node_of_machine(f, func->link->heard[i]);

		if (other == NOBODY) {
			port_of(f, func->node, func->port)->strangers = true;
			continue;
		}
		hear(f, func, (unsigned)other, true);
		heard_back(f, func, func->link->heard[i]->mac);
	}
}

static void take_networks(struct sb_fabric *f, const struct func *func)
{
	for (size_t i = 0; i < f->n_funcs; i++) {
		const struct func *other = &f->funcs[i];

		if (func->usable && other->usable && other->path == func->path &&
				same_network(func, other))
			hear(f, func, other->node, false);
	}
}

/* --- links --- */

/* Whether a function of @b's port @b_port is what @a's port hears of @b: by the interface that @b
 * said, else by the networks. */
static bool meets(
		const struct sb_fabric *f, unsigned a, unsigned a_port, unsigned b, unsigned b_port)
{
	for (size_t i = 0; i < f->n_funcs; i++) {
		const struct func *x = &f->funcs[i];

		if (x->node != a || x->port != a_port || !x->carrier)
			continue;
		for (size_t k = 0; k < f->n_funcs; k++) {
			const struct func *y = &f->funcs[k];

			if (y->node != b || y->port != b_port || !y->carrier)
				continue;
			for (size_t h = 0; h < x->link->n_heard; h++)
				if (!strcasecmp(x->link->heard[h]->mac, y->link->mac))
					return true;
			if (!port_of(f, a, a_port)->by_listening && same_network(x, y))
				return true;
		}
	}
	return false;
}

static int take_links(struct sb_fabric *f, struct sb_err *err)
{
	size_t max = f->n_nodes * f->n_nodes * PORTS_PER_NODE * PORTS_PER_NODE / 2 + 1;

	f->links = calloc(max, sizeof(*f->links));
	if (!f->links)
		return sb_err_nomem(err);
	for (unsigned a = 0; a < f->n_nodes; a++)
		for (unsigned p = 0; p < PORTS_PER_NODE; p++)
			for (unsigned b = a + 1; b < f->n_nodes; b++)
				for (unsigned q = 0; q < PORTS_PER_NODE; q++) {
					const struct port *port = port_of(f, a, p);

					if (!port->hears[b] || !meets(f, a, p, b, q))
						continue;
					f->links[f->n_links++] = (struct sb_fabric_link){ a, b, p,
						q, port->by_listening };
				}
	return 0;
}

/* --- topology --- */

/* Distinct nodes that @node hears over all its ports. */
static unsigned neighbours(const struct sb_fabric *f, unsigned node, int ret[2])
{
	unsigned n = 0;

	for (unsigned other = 0; other < f->n_nodes; other++) {
		bool any = false;

		for (unsigned p = 0; p < PORTS_PER_NODE; p++)
			any = any || port_of(f, node, p)->hears[other];
		if (any && n < 2)
			ret[n] = (int)other;
		n += any;
	}
	return n;
}

/* Every node has two neighbours, one a port, and walking on leads through all of them. */
static bool is_ring(const struct sb_fabric *f)
{
	unsigned steps = 0, at = 0;
	int before = NOBODY;

	if (f->n_nodes < 3)
		return false;
	do {
		int next[2] = { NOBODY, NOBODY };

		if (neighbours(f, at, next) != 2 || port_of(f, at, 0)->n_hears != 1 ||
				port_of(f, at, 1)->n_hears != 1)
			return false;
		if (next[0] != before) {
			before = (int)at;
			at = (unsigned)next[0];
		} else {
			before = (int)at;
			at = (unsigned)next[1];
		}
		steps++;
	} while (at != 0 && steps <= f->n_nodes);
	return steps == f->n_nodes;
}

static bool any_port_hears(const struct sb_fabric *f, unsigned at_least)
{
	for (size_t i = 0; i < f->n_nodes * PORTS_PER_NODE; i++)
		if (f->ports[i].n_hears >= at_least)
			return true;
	return false;
}

/* On a switch: every node hears every other one. */
static bool all_hear_all(const struct sb_fabric *f)
{
	int some[2];

	for (unsigned i = 0; i < f->n_nodes; i++)
		if (neighbours(f, i, some) != f->n_nodes - 1)
			return false;
	return true;
}

static enum sb_topology topology_of(const struct sb_fabric *f)
{
	if (f->n_nodes < 2 || !any_port_hears(f, 1))
		return SB_TOPOLOGY_NONE;
	if (any_port_hears(f, 2))
		return all_hear_all(f) ? SB_TOPOLOGY_SWITCH : SB_TOPOLOGY_BROKEN;
	if (f->n_nodes == 2) {
		if (!all_hear_all(f))
			return SB_TOPOLOGY_BROKEN;
		return port_of(f, 0, 0)->n_hears && port_of(f, 0, 1)->n_hears
				? SB_TOPOLOGY_DIRECT_2
				: SB_TOPOLOGY_DIRECT_1;
	}
	return is_ring(f) ? SB_TOPOLOGY_RING : SB_TOPOLOGY_BROKEN;
}

int sb_fabric_classify(struct sb_fabric *f, struct sb_err *err)
{
	bool listening = anyone_listens(f);

	for (size_t i = 0; i < f->n_funcs; i++) {
		if (listening)
			take_heard(f, &f->funcs[i]);
		else
			take_networks(f, &f->funcs[i]);
	}
	for (unsigned i = 0; i < f->n_nodes; i++) {
		unsigned carried = 0;

		for (unsigned p = 0; p < PORTS_PER_NODE; p++)
			carried += port_of(f, i, p)->carrier;
		f->max_ports = carried > f->max_ports ? carried : f->max_ports;
	}
	f->topology = topology_of(f);
	return take_links(f, err);
}
