/* node_network.c - links, RDMA devices and temperatures for `node show`. Who is cabled to whom is
 * `fabric show`'s. */
#include <string.h>

#include "node_text.h"

#define OPER_UP     6u
#define PORT_ACTIVE 4u

static const char *gigabits(uint32_t mbps, char *text, size_t size)
{
	if (mbps % 1000)
		snprintf(text, size, "%u.%u Gb/s", mbps / 1000, mbps % 1000 / 100);
	else
		snprintf(text, size, "%u Gb/s", mbps / 1000);
	return text;
}

/* Hardware, what is built on it, and what the node is managed by; not the links of containers. */
static bool is_shown(const Sparkbus__Link *link, const Sparkbus__FabricState *fabric)
{
	static const char *const kinds[] = { "", "bond", "team", "vlan", "wireguard" };

	if (strcmp(link->name, "lo") == 0)
		return false;
	for (size_t i = 0; i < sb_countof(kinds); i++)
		if (strcmp(link->kind, kinds[i]) == 0)
			return true;
	return strcmp(link->name, fabric->management_interface) == 0;
}

static const char *state_of(const Sparkbus__Link *link)
{
	if (!link->admin_up)
		return "set down";
	if (link->has_carrier_case && !link->carrier)
		return "no carrier";
	return link->oper_state == OPER_UP || !link->oper_state ? "up" : "not ready";
}

static void print_link(const Sparkbus__Link *link, bool management, const char *name)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char speed[32], pcie[32] = "";

	if (link->has_pcie_speed_case)
		snprintf(pcie, sizeof(pcie), "%u GT/s ", link->pcie_mts / 1000);
	sb_strbuf_addf(&text, "%s %s", link->name, state_of(link));
	node_part(&text, link->has_speed_case, "%s",
			gigabits(link->speed_mbps, speed, sizeof(speed)));
	node_part(&text, true, "MTU %u", link->mtu);
	node_part(&text, link->has_pcie_width_case, "PCIe %sx%u", pcie, link->pcie_width);
	node_part(&text, *link->port_name, "port %s", link->port_name);
	node_part(&text, *link->master, "part of %s", link->master);
	node_part(&text, link->wireless, "wireless");
	node_part(&text, management, "management");
	for (size_t i = 0; i < link->n_addresses; i++)
		node_part(&text, !strchr(link->addresses[i]->ip, ':'), "%s/%u",
				link->addresses[i]->ip, link->addresses[i]->prefix_len);
	node_field(name, sb_strbuf_str(&text));
}

static void print_device(const Sparkbus__RdmaDevice *device, const char *name)
{
	for (size_t i = 0; i < device->n_ports; i++) {
		const Sparkbus__RdmaPort *port = device->ports[i];
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
		char rate[32];

		sb_strbuf_addf(&text, "%s", device->name);
		if (device->n_ports > 1)
			sb_strbuf_addf(&text, "/%u", port->number);
		sb_strbuf_addf(&text, " %s", port->state == PORT_ACTIVE ? "active" : "down");
		node_part(&text, *device->netdev, "on %s", device->netdev);
		node_part(&text, port->has_rate_case, "%s",
				gigabits(port->rate_mbps, rate, sizeof(rate)));
		node_part(&text, port->active_mtu && port->state == PORT_ACTIVE, "MTU %u",
				port->active_mtu);
		for (size_t k = 0; k < port->n_gids; k++)
			node_part(&text,
					strstr(port->gids[k]->gid, ":ffff:") &&
							strcmp(port->gids[k]->type, "RoCE v2") ==
									0 &&
							strncmp(port->gids[k]->gid, "0000:", 5) ==
									0,
					"GID %u", port->gids[k]->index);
		node_part(&text, *device->firmware, "firmware %s", device->firmware);
		node_field(i ? "" : name, sb_strbuf_str(&text));
	}
}

static void print_rdma(const Sparkbus__FabricState *fabric)
{
	const char *error = fabric->rdma_sample ? fabric->rdma_sample->error : "not read yet";

	for (size_t i = 0; i < fabric->n_rdma; i++)
		print_device(fabric->rdma[i], i ? "" : "RDMA:");
	if (*error)
		node_field(fabric->n_rdma ? "" : "RDMA:", error);
	else if (fabric->n_rdma)
		return;
	else if (fabric->has_hotplug_case && fabric->hotplug_enabled && fabric->has_pci_case &&
			!fabric->connectx_functions)
		node_field("RDMA:",
				"none: no cable is plugged, and the network card is off to save "
				"power");
	else
		node_field("RDMA:", "none");
}

void node_print_network(const Sparkbus__FabricState *fabric)
{
	const char *name = "Links:";

	for (size_t i = 0; i < fabric->n_links; i++) {
		const Sparkbus__Link *link = fabric->links[i];

		if (!is_shown(link, fabric))
			continue;
		print_link(link, strcmp(link->name, fabric->management_interface) == 0, name);
		name = "";
	}
	if (fabric->links_sample && *fabric->links_sample->error)
		node_field(name, fabric->links_sample->error);
	print_rdma(fabric);
}

/* One part for each name: its hottest. */
void node_print_sensors(const Sparkbus__SensorState *sensors)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < sensors->n_sensors; i++) {
		const Sparkbus__Sensor *s = sensors->sensors[i];
		const char *what = strncmp(s->name, "thermal_zone", 12) == 0 ? "board" : s->name;
		bool hottest = true, zone = what != s->name;

		for (size_t k = 0; k < sensors->n_sensors && hottest; k++) {
			const Sparkbus__Sensor *o = sensors->sensors[k];
			bool alike = zone ? strncmp(o->name, "thermal_zone", 12) == 0
					  : strcmp(o->name, s->name) == 0;

			hottest = !alike || o->millidegrees < s->millidegrees ||
					(o->millidegrees == s->millidegrees && k >= i);
		}
		node_part(&text, hottest, "%.20s %d C", what, s->millidegrees / 1000);
	}
	if (text.len)
		node_field("Temperature:", sb_strbuf_str(&text));
}
