/* fabric show: who is cabled to whom, and what every port of every node is like. */
#include <string.h>

#include "commands.h"
#include "fabric_nodes.h"

#define FABRIC_OPT(member) offsetof(struct fabric_opts, member)

const struct opt fabric_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = FABRIC_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", FABRIC_OPT(json) },
	{ OPT_END },
};

/* --- text --- */

static void print_links(const struct fabric_view *view)
{
	const struct sb_fabric_link *link;
	size_t i = 0;

	for (; (link = sb_fabric_link_at(view->fabric, i)); i++) {
		unsigned gbps = sb_fabric_expected_gbps(view->fabric, link->a, link->b);

		printf("  %s port %u ==== port %u %s", view->reports[link->a].name, link->a_port,
				link->b_port, view->reports[link->b].name);
		if (gbps)
			printf("  %u Gb/s at best", gbps);
		puts(link->heard ? "" : "  (by their addresses; nobody listens)");
	}
	putchar('\n');
}

/* "10.0.0.1/24", or what is missing. */
static const char *address_text(const Sparkbus__Link *link, char *buf, size_t size)
{
	for (size_t i = 0; i < link->n_addresses; i++) {
		const Sparkbus__LinkAddress *a = link->addresses[i];

		if (strchr(a->ip, ':'))
			continue;
		snprintf(buf, size, "%s/%u%s", a->ip, a->prefix_len, a->tentative ? "?" : "");
		return buf;
	}
	return NULL;
}

static const char *speed_text(const Sparkbus__Link *link, char *buf, size_t size)
{
	if (!link->has_speed_case || !link->speed_mbps || !link->carrier)
		return NULL;
	snprintf(buf, size, "%g Gb/s", link->speed_mbps / 1000.0);
	return buf;
}

/* The nodes that are heard, by their names; a machine that is none of these by its own. */
static void heard_text(
		const struct fabric_view *view, const Sparkbus__Link *link, struct sb_strbuf *out)
{
	for (size_t i = 0; i < link->n_heard; i++) {
		const Sparkbus__Heard *heard = link->heard[i];
		const char *name = *heard->node ? heard->node : heard->mac;

		if (out->len)
			sb_strbuf_adds(out, ", ");
		sb_render_clean(out, name, strlen(name));
		if (*heard->interface) {
			sb_strbuf_addc(out, ' ');
			sb_render_clean(out, heard->interface, strlen(heard->interface));
		}
	}
}

static const char *link_text(const Sparkbus__Link *link, const struct sb_fabric_func *func)
{
	if (!link->admin_up)
		return "off";
	if (!link->has_carrier_case)
		return "?";
	if (!link->carrier)
		return "no cable";
	return func && !func->active ? "no RDMA" : "up";
}

static void add_row(const struct fabric_view *view, struct sb_table *table, unsigned node,
		const Sparkbus__Link *link, const struct sb_fabric_func *func, const char *note)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf heard = SB_STRBUF_INIT;
	char port[12], path[12], mtu[12], speed[24], address[64];

	heard_text(view, link, &heard);
	if (func) {
		snprintf(port, sizeof(port), "%u", func->port);
		snprintf(path, sizeof(path), "%u", func->path);
	}
	snprintf(mtu, sizeof(mtu), "%u", link->mtu);
	sb_table_row(table,
			(const char *const[]){ view->reports[node].name, link->name,
					func ? func->device->name : NULL, func ? port : NULL,
					func ? path : NULL, link_text(link, func),
					speed_text(link, speed, sizeof(speed)), mtu,
					address_text(link, address, sizeof(address)),
					heard.len ? sb_strbuf_str(&heard) : note });
}

static const Sparkbus__Link *link_named(const Sparkbus__FabricState *state, const char *name)
{
	for (size_t i = 0; i < state->n_links; i++)
		if (!strcmp(state->links[i]->name, name))
			return state->links[i];
	return NULL;
}

static void add_node(const struct fabric_view *view, struct sb_table *table, unsigned node)
{
	const Sparkbus__FabricState *state = view->reports[node].state;
	const char *why = NULL, *name = sb_fabric_management(view->fabric, node, &why);
	const Sparkbus__Link *management = state && name ? link_named(state, name) : NULL;
	struct sb_fabric_func func;
	char note[64];

	snprintf(note, sizeof(note), "(management: %s)", why ? why : "?");
	if (!state) {
		sb_table_row(table,
				(const char *const[]){ view->reports[node].name, NULL, NULL, NULL,
						NULL, "unknown", NULL, NULL, NULL, NULL });
		return;
	}
	if (management)
		add_row(view, table, node, management, NULL, note);
	for (size_t i = 0; sb_fabric_func_at(view->fabric, node, i, &func); i++)
		if (func.link != management)
			add_row(view, table, node, func.link, &func, NULL);
	for (size_t i = 0; i < state->n_links; i++) {
		bool is_func = false;

		for (size_t k = 0; sb_fabric_func_at(view->fabric, node, k, &func); k++)
			is_func = is_func || func.link == state->links[i];
		if (!is_func && state->links[i] != management && state->links[i]->n_heard)
			add_row(view, table, node, state->links[i], NULL, NULL);
	}
}

static int print_text(const struct fabric_view *view, struct sb_err *err)
{
	static const char *const headers[] = { "NODE", "INTERFACE", "DEVICE", "PORT", "PATH",
		"LINK", "SPEED", "MTU", "ADDRESS", "HEARS" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	SB_CLEANUP(sb_table_done) struct sb_table table = { 0 };
	size_t n = 0;

	fabric_headline(view, &line);
	printf("Fabric: %s\n", sb_strbuf_str(&line));
	print_links(view);
	sb_table_init(&table, headers, sb_countof(headers));
	for (unsigned i = 0; i < view->nodes.n; i++)
		add_node(view, &table, i);
	while (sb_fabric_finding_at(view->fabric, n))
		n++;
	if (sb_table_print(&table, stdout, err) < 0)
		return -(int)err->code;
	if (n)
		printf("\n%zu remark%s: sparkbus fabric check\n", n, plural(n));
	return 0;
}

/* --- JSON --- */

static json_t *func_json(const struct sb_fabric_func *func)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:b, s:b, s:b, s:s?}", "interface", func->link->name,
			"device", func->device->name, "port", (int)func->port, "path",
			(int)func->path, "carrier", func->carrier, "active", func->active, "usable",
			func->usable, "address", func->address);
}

static json_t *node_json(const struct fabric_view *view, unsigned node)
{
	const char *why = NULL, *name = sb_fabric_management(view->fabric, node, &why);
	json_t *json = json_pack("{s:s, s:s, s:s?, s:s}", "name", view->reports[node].name,
			"address", view->reports[node].address, "management_interface", name,
			"management_why", why ? why : "");
	json_t *funcs = json_array();
	struct sb_fabric_func func;

	for (size_t i = 0; sb_fabric_func_at(view->fabric, node, i, &func); i++)
		json_array_append_new(funcs, func_json(&func));
	json_object_set_new(json, "functions", funcs);
	if (view->reports[node].state)
		json_object_set_new(json, "report",
				sb_render_message(&view->reports[node].state->base, NULL));
	return json;
}

static json_t *link_json(const struct fabric_view *view, const struct sb_fabric_link *link)
{
	json_t *ways = json_array();
	struct sb_fabric_pair pair;

	for (size_t i = 0; sb_fabric_pair_at(view->fabric, link->a, link->b, i, &pair); i++)
		json_array_append_new(ways,
				json_pack("{s:i, s:s, s:s, s:s, s:s}", "path", (int)pair.path,
						"a_interface", pair.interface, "a_address",
						pair.address, "b_interface", pair.peer_interface,
						"b_address", pair.peer_address));
	return json_pack("{s:s, s:i, s:s, s:i, s:b, s:i, s:o}", "a", view->reports[link->a].name,
			"a_port", (int)link->a_port, "b", view->reports[link->b].name, "b_port",
			(int)link->b_port, "heard", link->heard, "gbps_at_best",
			(int)sb_fabric_expected_gbps(view->fabric, link->a, link->b), "ways", ways);
}

static json_t *show_json(const struct fabric_view *view)
{
	json_t *json = fabric_json(view), *links = json_array(), *nodes = json_array();
	const struct sb_fabric_link *link;

	for (size_t i = 0; (link = sb_fabric_link_at(view->fabric, i)); i++)
		json_array_append_new(links, link_json(view, link));
	for (unsigned i = 0; i < view->nodes.n; i++)
		json_array_append_new(nodes, node_json(view, i));
	json_object_set_new(json, "links", links);
	json_object_set_new(json, "nodes", nodes);
	return json;
}

int cmd_fabric_show(struct cli *cli, const struct call *call)
{
	const struct fabric_opts *opts = call->opts;
	SB_CLEANUP(fabric_view_done) struct fabric_view view = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int status;

	interrupt_catch();
	if (fabric_view_ask(cli, &opts->hosts, &view, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	status = view.fleet.silent ? EXIT_UNKNOWN : EXIT_DONE;
	if (opts->json)
		return cli_json(cli, show_json(&view), status);
	if (print_text(&view, &err) < 0)
		return cli_fail(cli, &err);
	if (view.fleet.silent) {
		printf("\nUnknown (no answer):\n");
		fleet_print_silent(&view.fleet, stdout);
	}
	return status;
}
