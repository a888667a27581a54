/* The published fixtures: one Spark, two with one and two cables, a ring of three, four on a
 * switch, and what goes wrong with each. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "fabric_world.h"

static void derive(struct world *w)
{
	struct sb_err err = SB_ERR_INIT;

	sb_fabric_free(sb_steal(w->fabric));
	ck_assert_msg(sb_fabric_derive(w->nodes, w->n, &w->fabric, &err) == 0, "%s", err.text);
}

static void done(struct world *w)
{
	sb_fabric_free(w->fabric);
	free(w);
}

static const char *env(const struct world *w, unsigned node, const char *name)
{
	const struct sb_fabric_env *e;

	for (size_t i = 0; (e = sb_fabric_env_at(w->fabric, node, i)); i++)
		if (!strcmp(e->name, name))
			return e->value;
	return "-";
}

static bool found(const struct world *w, const char *id)
{
	const struct sb_fabric_finding *f;

	for (size_t i = 0; (f = sb_fabric_finding_at(w->fabric, i)); i++)
		if (!strcmp(f->id, id))
			return true;
	return false;
}

/* Nothing but notes. */
static void expect_healthy(const struct world *w)
{
	const struct sb_fabric_finding *f;

	for (size_t i = 0; (f = sb_fabric_finding_at(w->fabric, i)); i++)
		ck_assert_msg(f->severity == SB_FABRIC_NOTE, "%s: %s: %s", f->node, f->id, f->text);
}

static void expect_env(const struct world *w, unsigned node, const char *const (*rows)[2])
{
	for (; (*rows)[0]; rows++)
		ck_assert_msg(!strcmp(env(w, node, (*rows)[0]), (*rows)[1]),
				"node %u: %s is %s, not %s", node, (*rows)[0],
				env(w, node, (*rows)[0]), (*rows)[1]);
}

static const char *const common[][2] = {
	{ "NCCL_NET", "IB" },
	{ "NCCL_SOCKET_IFNAME", "=enP7s7" },
	{ "GLOO_SOCKET_IFNAME", "enP7s7" },
	{ "UCX_NET_DEVICES", "enP7s7" },
	{ "NCCL_IB_SUBNET_AWARE_ROUTING", "1" },
	{ "NCCL_NET_PLUGIN", "none" },
	{ "NCCL_IB_GID_INDEX", "-" },
	{ "NCCL_IB_SUBNET_PREFIX_LEN", "-" },
	{ "MASTER_ADDR", "192.168.1.21" },
	{ NULL, NULL },
};

/* --- fixtures --- */

START_TEST(one_spark_without_cable_is_healthy)
{
	struct world *w = world(1);

	w->m[0].state.n_rdma = 0;
	w->m[0].state.connectx_functions = 0;
	w->m[0].state.has_hotplug_case = SPARKBUS__FABRIC_STATE__HAS_HOTPLUG_HOTPLUG_ENABLED;
	w->m[0].state.hotplug_enabled = true;
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_NONE);
	ck_assert(found(w, "no-cable"));
	expect_healthy(w);
	ck_assert_str_eq(env(w, 0, "NCCL_IGNORE_CPU_AFFINITY"), "1");
	ck_assert_str_eq(env(w, 0, "NCCL_NET"), "-");
	w->m[0].state.hotplug_enabled = false;
	derive(w);
	ck_assert(found(w, "nic-missing"));
	done(w);
}
END_TEST

START_TEST(one_cable_uses_both_twins)
{
	struct world *w = one_cable();
	struct sb_fabric_pair pair;

	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_DIRECT_1);
	ck_assert(sb_fabric_usable(w->fabric));
	expect_healthy(w);
	for (unsigned i = 0; i < 2; i++) {
		expect_env(w, i, common);
		ck_assert_str_eq(env(w, i, "NCCL_IB_HCA"), "=rocep1s0f1,roceP2p1s0f1");
		ck_assert_str_eq(env(w, i, "NCCL_IB_MERGE_NICS"), "-");
	}
	ck_assert_str_eq(env(w, 1, "VLLM_HOST_IP"), "192.168.1.22");
	ck_assert(sb_fabric_pair_at(w->fabric, 0, 1, 0, &pair));
	ck_assert_str_eq(pair.address, "192.168.100.10");
	ck_assert_str_eq(pair.peer_address, "192.168.100.11");
	ck_assert(sb_fabric_pair_at(w->fabric, 0, 1, 1, &pair));
	ck_assert_str_eq(pair.peer_address, "192.168.101.11");
	ck_assert(!sb_fabric_pair_at(w->fabric, 0, 1, 2, &pair));
	ck_assert_uint_eq(sb_fabric_expected_gbps(w->fabric, 0, 1), 200);
	done(w);
}
END_TEST

START_TEST(two_cables_are_four_devices_and_no_more_bandwidth)
{
	struct world *w = two_cables();

	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_DIRECT_2);
	expect_healthy(w);
	expect_env(w, 0, common);
	ck_assert_str_eq(env(w, 1, "NCCL_IB_HCA"),
			"=rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1");
	ck_assert_uint_eq(sb_fabric_expected_gbps(w->fabric, 1, 0), 200);
	done(w);
}
END_TEST

START_TEST(a_ring_of_three)
{
	struct world *w = ring(3);
	struct sb_fabric_pair pair;
	const struct sb_fabric_link *l;
	size_t n = 0;

	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_RING);
	expect_healthy(w);
	for (unsigned i = 0; i < 3; i++) {
		expect_env(w, i, common);
		ck_assert_str_eq(env(w, i, "NCCL_IB_MERGE_NICS"), "0");
		ck_assert_str_eq(env(w, i, "NCCL_ALGO"), "-");
	}
	ck_assert(sb_fabric_pair_at(w->fabric, 0, 1, 0, &pair));
	ck_assert_str_eq(pair.peer_address, "192.168.10.2");
	ck_assert(sb_fabric_pair_at(w->fabric, 0, 2, 0, &pair));
	ck_assert_str_eq(pair.peer_address, "192.168.30.1");
	while ((l = sb_fabric_link_at(w->fabric, n)))
		n++;
	ck_assert_uint_eq(n, 3);
	done(w);
}
END_TEST

START_TEST(a_ring_of_four_says_what_it_costs)
{
	struct world *w = ring(4);

	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_RING);
	ck_assert(found(w, "ring-unsupported"));
	ck_assert(sb_fabric_usable(w->fabric));
	ck_assert_str_eq(env(w, 2, "NCCL_ALGO"), "Ring");
	ck_assert_uint_eq(sb_fabric_expected_gbps(w->fabric, 0, 2), 0);
	done(w);
}
END_TEST

START_TEST(four_up_is_not_a_ring_when_ports_hear_three) /* 0: one port each, 1: both */
{
	struct world *w = on_switch(_i);

	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_SWITCH);
	expect_healthy(w);
	expect_env(w, 3, common);
	ck_assert_str_eq(env(w, 3, "NCCL_IB_HCA"),
			_i ? "=rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1"
			   : "=rocep1s0f1,roceP2p1s0f1");
	ck_assert_str_eq(env(w, 3, "NCCL_IB_MERGE_NICS"), "-");
	done(w);
}
END_TEST

START_TEST(what_is_heard_outweighs_addresses)
{
	struct world *w = one_cable();

	/* On one cable each function hears both of the far port, and its own twin. */
	for (unsigned node = 0; node < 2; node++)
		for (unsigned i = 1; i < FUNCS; i += 2) {
			hears(w, node, i, 1 - node, 1);
			hears(w, node, i, 1 - node, 3);
			hears(w, node, i, node, i == 1 ? 3 : 1);
		}
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_DIRECT_1);
	ck_assert(sb_fabric_link_at(w->fabric, 0)->heard);
	ck_assert(!found(w, "stranger"));
	hears(w, 0, 1, 4, 1); /* a machine that nobody registered */
	derive(w);
	ck_assert(found(w, "stranger"));
	done(w);
}
END_TEST

START_TEST(cabled_without_a_common_network_is_refused)
{
	struct world *w = one_cable();

	up(w, 1, 1, "10.9.9.1");
	up(w, 1, 3, "10.9.10.1");
	hears(w, 0, 1, 1, 1);
	derive(w);
	ck_assert(found(w, "no-common-network"));
	ck_assert(!sb_fabric_usable(w->fabric));
	ck_assert_str_eq(env(w, 0, "NCCL_NET"), "-");
	ck_assert_str_eq(env(w, 0, "NCCL_IB_DISABLE"), "1");
	ck_assert_str_eq(env(w, 0, "NCCL_SOCKET_IFNAME"), "=enP7s7");
	done(w);
}
END_TEST

START_TEST(an_open_chain_is_refused)
{
	struct world *w = ring(3);

	/* The cable from c's port 0 to a's port 1 is pulled. */
	for (unsigned path = 0; path < 2; path++) {
		w->m[2].f[2 * path].link.carrier = false;
		w->m[0].f[2 * path + 1].link.carrier = false;
	}
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_BROKEN);
	ck_assert(found(w, "open-chain"));
	ck_assert(!sb_fabric_usable(w->fabric));
	done(w);
}
END_TEST

START_TEST(a_cable_in_the_other_port_gives_each_rank_its_own_list)
{
	struct world *w = world(2);

	up(w, 0, 1, "192.168.100.10");
	up(w, 0, 3, "192.168.101.10");
	up(w, 1, 0, "192.168.100.11");
	up(w, 1, 2, "192.168.101.11");
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_DIRECT_1);
	ck_assert(found(w, "ports-differ"));
	ck_assert_str_eq(env(w, 0, "NCCL_IB_HCA"), "=rocep1s0f1,roceP2p1s0f1");
	ck_assert_str_eq(env(w, 1, "NCCL_IB_HCA"), "=rocep1s0f0,roceP2p1s0f0");
	done(w);
}
END_TEST

START_TEST(wifi_on_one_node_stays_on_that_node)
{
	struct world *w = one_cable();

	w->m[1].management.name = (char *)"wlP9s9";
	w->m[1].management.wireless = true;
	w->m[1].state.management_interface = (char *)"wlP9s9";
	derive(w);
	ck_assert(found(w, "management-wireless"));
	ck_assert_str_eq(env(w, 0, "GLOO_SOCKET_IFNAME"), "enP7s7");
	ck_assert_str_eq(env(w, 1, "GLOO_SOCKET_IFNAME"), "wlP9s9");
	ck_assert(sb_fabric_usable(w->fabric));
	done(w);
}
END_TEST

START_TEST(gid_indices_that_drifted_are_a_note_and_never_pinned)
{
	struct world *w = one_cable();

	w->m[1].f[1].gid.index = 5;
	derive(w);
	ck_assert(found(w, "gid-index-differs"));
	ck_assert_str_eq(env(w, 1, "NCCL_IB_GID_INDEX"), "-");
	expect_healthy(w);
	done(w);
}
END_TEST

START_TEST(active_defer_is_not_active)
{
	struct world *w = one_cable();

	w->m[0].f[1].port.state = 5;
	derive(w);
	ck_assert(found(w, "not-active"));
	ck_assert_str_eq(env(w, 0, "NCCL_IB_HCA"), "=roceP2p1s0f1");
	ck_assert_uint_eq(sb_fabric_expected_gbps(w->fabric, 0, 1), 100);
	done(w);
}
END_TEST

/* One thing wrong with the pair of one cable, and what must be said of it. */
static void no_address(struct world *w)
{
	w->m[0].f[3].link.n_addresses = 0;
}
static void tentative(struct world *w)
{
	w->m[0].f[3].address.tentative = true;
}
static void at_100g(struct world *w)
{
	w->m[1].f[1].link.speed_mbps = 100000;
}
static void two_lanes(struct world *w)
{
	w->m[0].f[3].link.pcie_width = 2;
}
static void other_mtu(struct world *w)
{
	w->m[1].f[1].link.mtu = 1500;
}
static void same_address(struct world *w)
{
	up(w, 1, 1, "192.168.100.10");
}
static void twins_in_one(struct world *w)
{
	up(w, 0, 3, "192.168.100.12");
}
static void bonded(struct world *w)
{
	w->m[0].f[1].link.master = (char *)"bond0";
}
static void stale_gid(struct world *w)
{
	w->m[0].f[1].gid.gid = (char *)"fe80:0000:0000:0000:4ebb:47ff:fe10:2017";
}
static void lan_overlaps(struct world *w)
{
	struct machine *m = &w->m[0];

	sparkbus__route__init(&m->route);
	m->route.network = (char *)"192.168.0.0";
	m->route.prefix_len = 16;
	m->route.interface = (char *)"enP7s7";
	m->routes[0] = &m->route;
	m->state.routes = m->routes;
	m->state.n_routes = 1;
}
static void no_report(struct world *w)
{
	w->nodes[1].state = NULL;
}
static void fewer_drivers(struct world *w)
{
	w->m[0].state.n_rdma = 3;
}
static void unnamed(struct world *w)
{
	w->m[0].f[0].rdma.name = (char *)"mlx5_0";
}
static void no_gateway(struct world *w)
{
	w->m[0].state.management_interface = (char *)"";
}

static const struct fault {
	void (*break_it)(struct world *w);
	const char *id;
	bool usable;
} faults[] = {
	{ no_address, "twin-without-address", true },
	{ tentative, "twin-without-address", true },
	{ at_100g, "slow-link", true },
	{ two_lanes, "pcie-degraded", true },
	{ other_mtu, "mtu-differs", false },
	{ same_address, "duplicate-address", false },
	{ twins_in_one, "twins-share-network", false },
	{ bonded, "bonded", true },
	{ stale_gid, "no-rocev2-gid", true },
	{ lan_overlaps, "overlaps-route", true },
	{ no_report, "no-report", false },
	{ fewer_drivers, "nic-degraded", true },
	{ unnamed, "rename-pending", true },
	{ no_gateway, "no-management", true },
};

START_TEST(each_fault_is_named)
{
	const struct fault *fault = &faults[_i];
	struct world *w = one_cable();

	derive(w);
	ck_assert_msg(!found(w, fault->id), "%s: without cause", fault->id);
	fault->break_it(w);
	derive(w);
	ck_assert_msg(found(w, fault->id), "%s: not found", fault->id);
	ck_assert_msg(sb_fabric_usable(w->fabric) == fault->usable, "%s", fault->id);
	done(w);
}
END_TEST

START_TEST(strange_reports_do_no_harm)
{
	struct world *w = one_cable();

	w->m[0].f[1].link.pci = (char *)"not an address";
	w->m[0].f[1].link.port_name = (char *)"p9";
	w->m[0].f[3].address.prefix_len = 200;
	w->m[1].f[1].rdma.n_ports = 0;
	w->m[1].f[3].address.ip = (char *)"::1";
	derive(w);
	ck_assert(!sb_fabric_usable(w->fabric));
	ck_assert_ptr_null(sb_fabric_env_at(w->fabric, 7, 0));
	w->n = 0;
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_NONE);
	done(w);
}
END_TEST

/* --- management --- */

/* An isolated pair: no default route; the registered address is on some link. */
START_TEST(without_a_gateway_the_registered_address_tells)
{
	struct world *w = one_cable();
	const char *why = NULL;

	for (unsigned i = 0; i < 2; i++)
		w->m[i].state.management_interface = (char *)"";
	w->nodes[0].address = "192.168.100.10"; /* the fabric's: it stays fabric */
	w->nodes[1].address = "192.168.100.11";
	derive(w);
	ck_assert_str_eq(sb_fabric_management(w->fabric, 0, &why), "enp1s0f1np1");
	ck_assert_str_eq(why, "has the registered address");
	ck_assert(sb_fabric_usable(w->fabric));
	ck_assert(!found(w, "no-management"));
	ck_assert_str_eq(env(w, 1, "GLOO_SOCKET_IFNAME"), "enp1s0f1np1");
	ck_assert_str_eq(env(w, 1, "NCCL_SOCKET_IFNAME"), "=enp1s0f1np1");
	ck_assert_str_eq(env(w, 1, "NCCL_IB_HCA"), "=rocep1s0f1,roceP2p1s0f1");
	ck_assert_ptr_null(sb_fabric_management(w->fabric, 2, NULL));
	done(w);
}
END_TEST

/* Registered by a name: the first wired interface with an address, and never a fabric one. */
START_TEST(a_node_known_by_a_name_has_its_wired_interface)
{
	struct world *w = one_cable();
	Sparkbus__LinkAddress address = SPARKBUS__LINK_ADDRESS__INIT, *addresses[] = { &address };

	w->m[0].state.management_interface = (char *)"";
	w->nodes[0].address = "spark-a.local";
	derive(w);
	ck_assert(found(w, "no-management"));
	address.ip = (char *)"10.1.1.1";
	address.prefix_len = 24;
	w->m[0].management.addresses = addresses;
	w->m[0].management.n_addresses = 1;
	derive(w);
	ck_assert_str_eq(sb_fabric_management(w->fabric, 0, NULL), "enP7s7");
	w->m[0].management.wireless = true;
	derive(w);
	ck_assert_ptr_null(sb_fabric_management(w->fabric, 0, NULL));
	done(w);
}
END_TEST

/* --- why not --- */

static void all_down(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < FUNCS; k++)
			w->m[i].f[k].link.carrier = false;
}
static void no_device(struct world *w)
{
	w->m[1].state.n_rdma = 0;
	w->m[1].state.connectx_functions = 0;
}
static void nobody_looked(struct world *w)
{
	no_device(w);
	w->m[1].state.rdma_sample = NULL;
}
static void unreadable(struct world *w)
{
	no_device(w);
	w->m[1].rdma_sample.error = (char *)"ibverbs cannot be read";
}

static const struct {
	void (*break_it)(struct world *w);
	const char *why;
	bool known;
} reasons[] = {
	{ no_device, "no RDMA device on spark-b", true },
	{ all_down, "no port has a carrier on spark-a", true },
	{ no_report, "nothing is known of its links on spark-b", false },
	{ unreadable, "no RDMA device on spark-b", false },
	{ nobody_looked, "no RDMA device on spark-b", false },
	{ other_mtu, "has MTU 1500", true },
	{ twins_in_one, "both in the network of 192.168.100.10/24", true },
};

START_TEST(it_says_why_there_is_no_fabric)
{
	struct world *w = one_cable();
	SB_CLEANUP(sb_freep) char *before = NULL, *why = NULL;

	derive(w);
	before = sb_fabric_why_not(w->fabric);
	ck_assert_str_eq(before, "");
	reasons[_i].break_it(w);
	derive(w);
	why = sb_fabric_why_not(w->fabric);
	ck_assert_msg(strstr(why, reasons[_i].why) != NULL, "%s", why);
	ck_assert(!sb_fabric_usable(w->fabric));
	ck_assert(sb_fabric_known(w->fabric) == reasons[_i].known);
	/* What nobody knows is not decided for NCCL. */
	ck_assert_str_eq(env(w, 0, "NCCL_IB_DISABLE"), reasons[_i].known ? "1" : "-");
	ck_assert_str_eq(env(w, 0, "GLOO_SOCKET_IFNAME"), "enP7s7");
	done(w);
}
END_TEST

/* --- addresses --- */

static const char *assigned(const struct sb_fabric_assignment *list, size_t n, unsigned node,
		const char *interface)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].node == node && !strcmp(list[i].interface, interface))
			return list[i].address;
	return "-";
}

/* Cables are in and verbs active, but nobody has an address; agents hear each other. */
static struct world *unconfigured(struct world *w)
{
	for (size_t node = 0; node < w->n; node++)
		for (unsigned i = 0; i < FUNCS; i++)
			w->m[node].f[i].link.n_addresses = 0;
	return w;
}

START_TEST(twins_get_networks_of_their_own)
{
	struct world *w = unconfigured(one_cable());
	SB_CLEANUP(sb_freep) struct sb_fabric_assignment *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	hears(w, 0, 1, 1, 1);
	hears(w, 1, 3, 0, 3);
	derive(w);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, NULL, 9000, &list, &n, &err), 0);
	ck_assert_uint_eq(n, 4);
	ck_assert_str_eq(assigned(list, n, 0, "enp1s0f1np1"), "192.168.100.11/24");
	ck_assert_str_eq(assigned(list, n, 1, "enp1s0f1np1"), "192.168.100.12/24");
	ck_assert_str_eq(assigned(list, n, 0, "enP2p1s0f1np1"), "192.168.101.11/24");
	ck_assert_str_eq(assigned(list, n, 1, "enP2p1s0f1np1"), "192.168.101.12/24");
	done(w);
}
END_TEST

START_TEST(every_cable_of_a_ring_has_two_networks)
{
	struct world *w = unconfigured(ring(3));
	SB_CLEANUP(sb_freep) struct sb_fabric_assignment *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++) {
		hears(w, i, 0, (i + 1) % 3, 1);
		hears(w, (i + 1) % 3, 1, i, 0);
	}
	derive(w);
	ck_assert_int_eq(sb_fabric_topology(w->fabric), SB_TOPOLOGY_RING);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, "10.7.0.0", 9000, &list, &n, &err), 0);
	ck_assert_uint_eq(n, 12);
	for (size_t i = 0; i < n; i++) { /* six networks of two ends */
		unsigned ends = 0;

		for (size_t k = 0; k < n; k++)
			ends += strcspn(list[i].address, ".") &&
					!strncmp(list[i].address, list[k].address, 7);
		ck_assert_uint_eq(ends, 2);
		ck_assert(!strncmp(list[i].address, "10.7.", 5));
	}
	done(w);
}
END_TEST

START_TEST(what_fits_is_kept_and_routes_are_avoided)
{
	struct world *w = one_cable();
	SB_CLEANUP(sb_freep) struct sb_fabric_assignment *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 9;

	derive(w);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, NULL, 9000, &list, &n, &err), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, NULL, 1500, &list, &n, &err), 0);
	ck_assert_uint_eq(n, 4); /* another MTU */
	free(sb_steal(list));
	lan_overlaps(w); /* 192.168.0.0/16 is the office's */
	derive(w);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, NULL, 1500, &list, &n, &err), 0);
	ck_assert_str_eq(assigned(list, n, 0, "enp1s0f1np1"), "10.100.0.11/24");
	free(sb_steal(list));
	ck_assert_int_eq(sb_fabric_assign(w->fabric, "192.168.5.0", 1500, &list, &n, &err),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, "10.1.1.1", 1500, &list, &n, &err),
			-SB_E_INVALID);
	done(w);
}
END_TEST

START_TEST(without_cables_there_is_no_plan)
{
	struct world *w = unconfigured(one_cable());
	struct sb_fabric_assignment *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	derive(w); /* nobody listens */
	ck_assert_int_eq(sb_fabric_assign(w->fabric, NULL, 9000, &list, &n, &err), -SB_E_INVALID);
	ck_assert(*err.hint);
	done(w);
}
END_TEST

START_TEST(a_switch_has_a_network_per_port_and_path) /* 0: one port each, 1: both */
{
	struct world *w = on_switch(_i);
	SB_CLEANUP(sb_freep) struct sb_fabric_assignment *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	derive(w);
	ck_assert_int_eq(sb_fabric_assign(w->fabric, "10.7.0.0", 9000, &list, &n, &err), 0);
	ck_assert_uint_eq(n, _i ? 16 : 8);
	ck_assert_str_eq(assigned(list, n, 3, "enp1s0f1np1"), _i ? "10.7.2.14/24" : "10.7.0.14/24");
	ck_assert_str_eq(assigned(list, n, 3, "enP2p1s0f1np1"),
			_i ? "10.7.3.14/24" : "10.7.1.14/24");
	done(w);
}
END_TEST

START_TEST(too_many_nodes_are_an_error)
{
	struct sb_fabric *fabric = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_fabric_derive(NULL, SB_FABRIC_NODES_MAX + 1, &fabric, &err),
			-SB_E_RANGE);
	ck_assert_ptr_null(fabric);
}
END_TEST

START_TEST(every_row_of_the_table_says_when_and_why)
{
	const char *value, *when, *why, *name;

	for (size_t i = 0;; i++) {
		value = when = why = NULL;
		name = sb_fabric_env_row(i, &value, &when, &why);
		if (!name)
			break;
		ck_assert_msg(value && when && why && *why, "%s", name);
	}
	for (int i = 0; i < SB_TOPOLOGY_COUNT_; i++)
		ck_assert(*sb_topology_name((enum sb_topology)i));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fabric");
	TCase *tc = tcase_create("fabric");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, one_spark_without_cable_is_healthy);
	tcase_add_test(tc, one_cable_uses_both_twins);
	tcase_add_test(tc, two_cables_are_four_devices_and_no_more_bandwidth);
	tcase_add_test(tc, a_ring_of_three);
	tcase_add_test(tc, a_ring_of_four_says_what_it_costs);
	tcase_add_loop_test(tc, four_up_is_not_a_ring_when_ports_hear_three, 0, 2);
	tcase_add_test(tc, what_is_heard_outweighs_addresses);
	tcase_add_test(tc, cabled_without_a_common_network_is_refused);
	tcase_add_test(tc, an_open_chain_is_refused);
	tcase_add_test(tc, a_cable_in_the_other_port_gives_each_rank_its_own_list);
	tcase_add_test(tc, wifi_on_one_node_stays_on_that_node);
	tcase_add_test(tc, gid_indices_that_drifted_are_a_note_and_never_pinned);
	tcase_add_test(tc, active_defer_is_not_active);
	tcase_add_loop_test(tc, each_fault_is_named, 0, sb_countof(faults));
	tcase_add_test(tc, strange_reports_do_no_harm);
	tcase_add_test(tc, without_a_gateway_the_registered_address_tells);
	tcase_add_test(tc, a_node_known_by_a_name_has_its_wired_interface);
	tcase_add_loop_test(tc, it_says_why_there_is_no_fabric, 0, sb_countof(reasons));
	tcase_add_test(tc, twins_get_networks_of_their_own);
	tcase_add_test(tc, every_cable_of_a_ring_has_two_networks);
	tcase_add_test(tc, what_fits_is_kept_and_routes_are_avoided);
	tcase_add_test(tc, without_cables_there_is_no_plan);
	tcase_add_loop_test(tc, a_switch_has_a_network_per_port_and_path, 0, 2);
	tcase_add_test(tc, too_many_nodes_are_an_error);
	tcase_add_test(tc, every_row_of_the_table_says_when_and_why);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
