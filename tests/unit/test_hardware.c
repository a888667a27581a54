/* Devices by sysfs and libibverbs: the published Sparks, and what the fabric's model makes of them;
 * hostile texts. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sb_fabric.h"
#include "spark.h"
#include "testdir.h"

/* --- texts --- */

START_TEST(texts_of_sysfs)
{
	uint32_t value = 7;
	int32_t t = 7;

	ck_assert(rdma_parse_rate("200 Gb/sec (4X HDR)", &value));
	ck_assert_uint_eq(value, 200000);
	ck_assert(rdma_parse_rate("2.5 Gb/sec (1X SDR)", &value));
	ck_assert_uint_eq(value, 2500);
	ck_assert(rdma_parse_state("4: ACTIVE", &value));
	ck_assert_uint_eq(value, 4);
	ck_assert(rdma_parse_state("5: ACTIVE_DEFER", &value));
	ck_assert_uint_eq(value, 5);
	ck_assert(pcie_parse_speed("32.0 GT/s PCIe", &value));
	ck_assert_uint_eq(value, 32000);
	ck_assert(pcie_parse_speed("2.5 GT/s", &value));
	ck_assert_uint_eq(value, 2500);
	ck_assert(pci_is_address("0002:01:00.1") && pci_is_address("10000:e1:00.0"));
	ck_assert(!pci_is_address("virtio0") && !pci_is_address("0002:01:00.1x"));
	ck_assert(rdma_is_guid("4cbb:4703:0010:2016", 4));
	ck_assert(rdma_is_guid("fe80:0000:0000:0000:4ebb:47ff:fe10:2017", 8));
	ck_assert(!rdma_is_guid("4cbb:4703:0010:201", 4) &&
			!rdma_is_guid("4cbb:4703:0010-2016", 4));
	ck_assert(sensor_parse("54300", &t));
	ck_assert_int_eq(t, 54300);
	ck_assert(sensor_parse("-5000", &t));
	ck_assert_int_eq(t, -5000);
}
END_TEST

static const char *const hostile[] = { "", " ", "-", "x", "Unknown", "4", "4 ACTIVE", ": ACTIVE",
	"-1: DOWN", "99999999999999999999: ACTIVE", "Gb/sec", "200 Mb/sec", "9999999 Gb/sec",
	"4294967296.5 Gb/sec", "GT/s", "32 GT/s", "99999.9 GT/s", "-32.0 GT/s",
	"99999999999999999999", "--5", "-99999999", "400000", "1e9", "\xff\xfe", "5\n6" };

START_TEST(hostile_texts)
{
	uint32_t value = 7;
	uint64_t number = 7;
	int32_t t = 7;

	ck_assert(!rdma_parse_rate(hostile[_i], &value));
	ck_assert(!rdma_parse_state(hostile[_i], &value));
	ck_assert(!pcie_parse_speed(hostile[_i], &value));
	ck_assert(!pci_is_address(hostile[_i]));
	ck_assert(!rdma_is_guid(hostile[_i], 4));
	if (strcmp(hostile[_i], "4") != 0)
		ck_assert(!sensor_parse(hostile[_i], &t));
	if (hostile[_i][0] == 'x' || hostile[_i][0] == '-')
		ck_assert(!sys_parse_u64(hostile[_i], &number));
	ck_assert_uint_eq(value, 7);
}
END_TEST

/* --- one Spark --- */

static void no_verbs(Sparkbus__FabricState *ret, char *error, size_t size)
{
}

static Sparkbus__FabricState *collect(
		const struct spark *spark, const char *root, verbs_read_fn *verbs, char error[200])
{
	SB_CLEANUP(sb_closep) int sys = sys_open(AT_FDCWD, root);
	Sparkbus__FabricState *f = malloc(sizeof(*f));
	struct rdma_session session = { 0 };

	ck_assert_int_ge(sys, 0);
	sparkbus__fabric_state__init(f);
	spark_of_verbs = spark;
	hardware_links_read(sys, f);
	hardware_nic_read(sys, f);
	snprintf(error, 200, "%s", rdma_read(&session, sys, verbs, false, f));
	rdma_session_done(&session);
	return f;
}

static const Sparkbus__RdmaDevice *rdma_named(const Sparkbus__FabricState *f, const char *name)
{
	for (size_t i = 0; i < f->n_rdma; i++)
		if (strcmp(f->rdma[i]->name, name) == 0)
			return f->rdma[i];
	ck_abort_msg("no %s", name);
}

static const Sparkbus__Link *link_named(const Sparkbus__FabricState *f, const char *name)
{
	for (size_t i = 0; i < f->n_links; i++)
		if (strcmp(f->links[i]->name, name) == 0)
			return f->links[i];
	ck_abort_msg("no %s", name);
}

static uint64_t counter(const Sparkbus__RdmaPort *port, const char *name)
{
	for (size_t i = 0; i < port->n_counters; i++)
		if (strcmp(port->counters[i]->name, name) == 0)
			return port->counters[i]->value;
	ck_abort_msg("no %s", name);
}

static void expect_linked(const Sparkbus__RdmaDevice *d, bool by_verbs)
{
	const Sparkbus__RdmaPort *port = d->ports[0];

	ck_assert_str_eq(d->netdev, "enp1s0f1np1");
	ck_assert_str_eq(d->pci, "0000:01:00.1");
	ck_assert_str_eq(d->node_guid, "4cbb:4703:0010:2017");
	ck_assert_str_eq(d->sys_image_guid, "4cbb:4703:0010:2016");
	ck_assert_str_eq(d->firmware, "28.45.4028");
	ck_assert_str_eq(d->board_id, "NVD0000000087");
	ck_assert_uint_eq(d->vendor_id, by_verbs ? 0x02c9 : 0);
	ck_assert_uint_eq(d->vendor_part_id, by_verbs ? 4129 : 0);
	ck_assert_uint_eq(d->n_ports, 1);
	ck_assert_uint_eq(port->state, 4);
	ck_assert_uint_eq(port->phys_state, 5);
	ck_assert(port->has_rate_case);
	ck_assert_uint_eq(port->rate_mbps, 200000);
	ck_assert_str_eq(port->link_layer, "Ethernet");
	ck_assert_uint_eq(port->active_mtu, by_verbs ? 4096 : 0);
	ck_assert_uint_eq(port->n_gids, 4);
	ck_assert_uint_eq(port->gids[3]->index, 3);
	ck_assert_str_eq(port->gids[3]->gid, "0000:0000:0000:0000:0000:ffff:c0a8:640a");
	ck_assert_str_eq(port->gids[3]->type, "RoCE v2");
	ck_assert_str_eq(port->gids[3]->netdev, "enp1s0f1np1");
	ck_assert_str_eq(port->gids[0]->gid, "fe80:0000:0000:0000:4ebb:47ff:fe10:2017");
	ck_assert_uint_eq(counter(port, "port_xmit_data"), 5611844238ull * 4);
	ck_assert_uint_eq(counter(port, "rx_write_requests"), 22364011);
	ck_assert_uint_eq(counter(port, "packet_seq_err"), 0);
	for (size_t i = 0; i < port->n_counters; i++)
		ck_assert_str_ne(port->counters[i]->name, "lifespan");
}

START_TEST(a_spark_with_one_cable)
{
	const struct spark *spark = &spark_scenario("two, one cable")->nodes[0];
	Sparkbus__FabricState *f;
	const Sparkbus__RdmaDevice *down;
	char error[200];

	spark_sysfs(spark, testdir);
	f = collect(spark, testdir, spark_verbs, error);
	ck_assert_str_eq(error, "");
	ck_assert_uint_eq(f->n_rdma, 4);
	expect_linked(rdma_named(f, "rocep1s0f1"), true);
	down = rdma_named(f, "roceP2p1s0f0");
	ck_assert_uint_eq(down->ports[0]->state, 1);
	ck_assert(!down->ports[0]->has_rate_case); /* it says its driver's default */
	ck_assert_uint_eq(down->ports[0]->n_gids, 2);
	ck_assert(f->has_hotplug_case && f->hotplug_enabled && f->has_pci_case);
	ck_assert_uint_eq(f->connectx_functions, 4);
	ck_assert_uint_eq(link_named(f, "enp1s0f1np1")->speed_mbps, 200000);
	ck_assert_uint_eq(link_named(f, "enp1s0f1np1")->index, 4);
	ck_assert_uint_eq(link_named(f, "enp1s0f1np1")->pcie_mts, 32000);
	ck_assert_uint_eq(link_named(f, "enp1s0f1np1")->pcie_width, 4);
	ck_assert_uint_eq(link_named(f, "enp1s0f1np1")->pcie_max_width, 16);
	ck_assert_str_eq(link_named(f, "enp1s0f1np1")->pci, "0000:01:00.1");
	ck_assert(!link_named(f, "enp1s0f0np0")->has_speed_case);
	ck_assert(!link_named(f, "docker0")->has_speed_case); /* made up */
	ck_assert(link_named(f, "wlP9s9")->wireless && !link_named(f, "enP7s7")->wireless);
	sparkbus__fabric_state__free_unpacked(f, NULL);
}
END_TEST

/* libibverbs leaves devices out without a word: they are reported, with the reason. */
START_TEST(without_verbs_sysfs_says_what_it_can)
{
	const struct spark *spark = &spark_scenario("two, one cable")->nodes[0];
	Sparkbus__FabricState *f;
	char error[200];

	spark_sysfs(spark, testdir);
	f = collect(spark, testdir, no_verbs, error);
	ck_assert_ptr_nonnull(strstr(error, "libibverbs does not know roceP2p1s0f0"));
	ck_assert_uint_eq(f->n_rdma, 4);
	expect_linked(rdma_named(f, "rocep1s0f1"), false);
	sparkbus__fabric_state__free_unpacked(f, NULL);
}
END_TEST

START_TEST(no_cable_and_no_nic)
{
	const struct spark_scenario *s =
			spark_scenario(_i ? "alone, older system" : "alone, powered off");
	Sparkbus__FabricState *f;
	char error[200];

	spark_sysfs(&s->nodes[0], testdir);
	f = collect(&s->nodes[0], testdir, spark_verbs, error);
	ck_assert_str_eq(error, "");
	ck_assert_uint_eq(f->n_rdma, _i ? 4 : 0);
	ck_assert(f->has_pci_case);
	ck_assert_uint_eq(f->connectx_functions, _i ? 4 : 0);
	ck_assert_int_eq(f->has_hotplug_case != 0, !_i);
	sparkbus__fabric_state__free_unpacked(f, NULL);
}
END_TEST

START_TEST(nothing_to_read_is_no_error)
{
	Sparkbus__FabricState *f;
	Sparkbus__SensorState *sensors;
	SB_CLEANUP(sb_closep) int sys = sys_open(AT_FDCWD, testdir);
	char error[200];

	f = collect(NULL, testdir, spark_verbs, error);
	ck_assert_uint_eq(f->n_rdma + f->n_links, 0);
	ck_assert(!f->has_pci_case && !f->has_hotplug_case);
	sparkbus__fabric_state__free_unpacked(f, NULL);
	sensors = sensors_read(sys);
	ck_assert_str_eq(sensors->sample->error, "no thermometer answers");
	sparkbus__sensor_state__free_unpacked(sensors, NULL);
}
END_TEST

START_TEST(files_full_of_nonsense)
{
	const struct spark *spark = &spark_scenario("two, one cable")->nodes[0];
	static const char *const files[] = { "state", "phys_state", "rate", "link_layer", "gids/0",
		"gid_attrs/types/0", "counters/port_xmit_data", "hw_counters/packet_seq_err" };
	Sparkbus__FabricState *f;
	char error[200];

	spark_sysfs(spark, testdir);
	for (size_t i = 0; i < sb_countof(files); i++)
		spark_put(testdir, hostile[_i], "class/infiniband/rocep1s0f1/ports/1/%s", files[i]);
	spark_put(testdir, hostile[_i], "class/infiniband/rocep1s0f1/node_guid");
	spark_put(testdir, hostile[_i], "class/net/enp1s0f1np1/speed");
	f = collect(spark, testdir, no_verbs, error);
	ck_assert_uint_eq(f->n_rdma, 4);
	ck_assert_str_eq(rdma_named(f, "rocep1s0f1")->node_guid, "");
	ck_assert(!rdma_named(f, "rocep1s0f1")->ports[0]->has_rate_case);
	sparkbus__fabric_state__free_unpacked(f, NULL);
}
END_TEST

START_TEST(libibverbs_is_asked_when_something_changed)
{
	const struct spark *spark = &spark_scenario("two, one cable")->nodes[0];
	SB_CLEANUP(sb_closep) int sys = sys_open(AT_FDCWD, testdir);
	struct rdma_session session = { 0 };
	static const struct {
		bool again;
		const char *state;
		bool asked;
	} steps[] = { { false, "4: ACTIVE", true }, { false, "4: ACTIVE", false },
		{ false, "1: DOWN", true }, { false, "1: DOWN", false },
		{ true, "1: DOWN", true } };

	spark_sysfs(spark, testdir);
	spark_of_verbs = spark;
	for (size_t i = 0; i < sb_countof(steps); i++) {
		Sparkbus__FabricState f = SPARKBUS__FABRIC_STATE__INIT;
		const Sparkbus__FabricState *before = session.known;

		session.verbs_ms = before ? sb_now_boot_ms() : 0;
		spark_put(testdir, steps[i].state, "class/infiniband/rocep1s0f1/ports/1/state");
		rdma_read(&session, sys, steps[i].asked ? spark_verbs : no_verbs, steps[i].again,
				&f);
		ck_assert_uint_eq(rdma_named(&f, "rocep1s0f1")->vendor_part_id, 4129);
		ck_assert_uint_eq(rdma_named(&f, "rocep1s0f1")->ports[0]->state,
				steps[i].state[0] - '0'); /* never the older one */
		for (size_t k = 0; k < f.n_rdma; k++)
			sparkbus__rdma_device__free_unpacked(f.rdma[k], NULL);
		free(f.rdma);
	}
	rdma_session_done(&session);
}
END_TEST

START_TEST(thermometers)
{
	SB_CLEANUP(sb_closep) int sys = sys_open(AT_FDCWD, testdir);
	Sparkbus__SensorState *s;

	spark_sysfs(&spark_scenario("two, one cable")->nodes[0], testdir);
	spark_put(testdir, "-273000", "class/thermal/thermal_zone9/temp"); /* none there */
	spark_put(testdir, "k10temp", "class/hwmon/hwmon3/name");
	spark_put(testdir, "47000", "class/hwmon/hwmon3/temp3_input"); /* there is no first one */
	s = sensors_read(sys);
	ck_assert_uint_eq(s->n_sensors, 10);
	ck_assert_str_eq(s->sensors[0]->name, "thermal_zone0");
	ck_assert_str_eq(s->sensors[0]->label, "acpitz");
	ck_assert_int_eq(s->sensors[0]->millidegrees, 54300);
	ck_assert_str_eq(s->sensors[7]->name, "nvme");
	ck_assert(!s->sensors[7]->has_critical_case);
	ck_assert_str_eq(s->sensors[8]->name, "mlx5");
	ck_assert_str_eq(s->sensors[8]->label, "asic");
	ck_assert_int_eq(s->sensors[8]->critical_millidegrees, 105000);
	ck_assert_int_eq(s->sensors[9]->millidegrees, 47000);
	sparkbus__sensor_state__free_unpacked(s, NULL);
}
END_TEST

/* --- and all of them together: from the sources to the verdict --- */

static const struct verdict {
	const char *scenario;
	enum sb_topology topology;
	const char *finding; /* that must be among those that are no notes; NULL = none */
	const char *hca;     /* of the first rank; NULL = one node */
} verdicts[] = {
	{ "alone, powered off", SB_TOPOLOGY_NONE, NULL, NULL },
	{ "alone, older system", SB_TOPOLOGY_NONE, NULL, NULL },
	{ "two, one cable", SB_TOPOLOGY_DIRECT_1, NULL, "=rocep1s0f1,roceP2p1s0f1" },
	{ "two, two cables", SB_TOPOLOGY_DIRECT_2, NULL,
			"=rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1" },
	{ "ring of three", SB_TOPOLOGY_RING, NULL,
			"=rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1" },
	{ "four on a switch", SB_TOPOLOGY_SWITCH, NULL, "=rocep1s0f1,roceP2p1s0f1" },
	{ "a degraded path", SB_TOPOLOGY_DIRECT_1, "pcie-degraded", "=rocep1s0f1,roceP2p1s0f1" },
	{ "a wrong port", SB_TOPOLOGY_DIRECT_1, NULL, "=rocep1s0f1,roceP2p1s0f1" },
};

struct node {
	struct links_model *model;
	Sparkbus__FabricState *read, all;
};

static void collect_node(const struct spark *spark, struct node *node)
{
	char root[PATH_MAX], error[200];

	snprintf(root, sizeof(root), "%s/%s", testdir, spark->name);
	spark_sysfs(spark, root);
	node->read = collect(spark, root, spark_verbs, error);
	node->model = spark_model(spark);
	node->all = *node->read;
	links_model_view(node->model, &node->all);
	for (size_t i = 0; i < node->all.n_links; i++)
		for (size_t k = 0; k < node->read->n_links; k++)
			if (strcmp(node->all.links[i]->name, node->read->links[k]->name) == 0)
				links_model_add_hardware(node->all.links[i], node->read->links[k]);
}

static const char *env_of(const struct sb_fabric *fabric, const char *name)
{
	const struct sb_fabric_env *e;

	for (size_t i = 0; (e = sb_fabric_env_at(fabric, 0, i)); i++)
		if (strcmp(e->name, name) == 0)
			return e->value;
	return NULL;
}

static void expect_findings(const struct sb_fabric *fabric, const char *wanted)
{
	const struct sb_fabric_finding *f;
	bool found = !wanted;

	for (size_t i = 0; (f = sb_fabric_finding_at(fabric, i)); i++) {
		if (f->severity == SB_FABRIC_NOTE)
			continue;
		ck_assert_msg(wanted && strcmp(f->id, wanted) == 0, "%s: %s", f->id, f->text);
		found = true;
	}
	ck_assert_msg(found, "no %s", wanted);
}

START_TEST(from_the_sources_to_the_verdict)
{
	const struct verdict *v = &verdicts[_i];
	const struct spark_scenario *s = spark_scenario(v->scenario);
	struct sb_fabric_node nodes[4];
	struct node collected[4];
	struct sb_fabric *fabric = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	for (; n < 4 && s->nodes[n].name; n++) {
		collect_node(&s->nodes[n], &collected[n]);
		ck_assert_str_eq(collected[n].all.management_interface, "enP7s7");
		nodes[n] = (struct sb_fabric_node){ s->nodes[n].name, s->nodes[n].management_ip,
			&collected[n].all };
	}
	ck_assert_uint_gt(n, 0);
	ck_assert_msg(sb_fabric_derive(nodes, n, &fabric, &err) == 0, "%s", err.text);
	ck_assert_str_eq(sb_topology_name(sb_fabric_topology(fabric)),
			sb_topology_name(v->topology));
	expect_findings(fabric, v->finding);
	if (v->hca)
		ck_assert_pstr_eq(env_of(fabric, "NCCL_IB_HCA"), v->hca);
	sb_fabric_free(fabric);
	while (n-- > 0) {
		links_model_free(collected[n].model);
		sparkbus__fabric_state__free_unpacked(collected[n].read, NULL);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hardware");
	TCase *tc = tcase_create("hardware");
	SRunner *sr = srunner_create(s);
	int failed;

	testdir_use(tc);
	tcase_add_test(tc, texts_of_sysfs);
	tcase_add_loop_test(tc, hostile_texts, 0, sb_countof(hostile));
	tcase_add_test(tc, a_spark_with_one_cable);
	tcase_add_test(tc, without_verbs_sysfs_says_what_it_can);
	tcase_add_loop_test(tc, no_cable_and_no_nic, 0, 2);
	tcase_add_test(tc, nothing_to_read_is_no_error);
	tcase_add_loop_test(tc, files_full_of_nonsense, 0, sb_countof(hostile));
	tcase_add_test(tc, libibverbs_is_asked_when_something_changed);
	tcase_add_test(tc, thermometers);
	tcase_add_loop_test(tc, from_the_sources_to_the_verdict, 0, sb_countof(verdicts));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
