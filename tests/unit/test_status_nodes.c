/* The nodes of `status`: absent is "-", never 0, and what is wrong is said. */
#include <check.h>
#include <string.h>

#include "status_nodes.h"

static Sparkbus__NodeState node;
static Sparkbus__Telemetry telemetry;
static Sparkbus__MemoryState memory;
static Sparkbus__GpuState gpu;
static Sparkbus__Gpu gb10, *gpus[] = { &gb10, &gb10 };
static Sparkbus__Sample sample;
static Sparkbus__GuardState guard;
static Sparkbus__EngineState engine;

static void setup(void)
{
	sparkbus__node_state__init(&node);
	sparkbus__telemetry__init(&telemetry);
	sparkbus__memory_state__init(&memory);
	sparkbus__gpu_state__init(&gpu);
	sparkbus__gpu__init(&gb10);
	sparkbus__sample__init(&sample);
	sparkbus__guard_state__init(&guard);
	sparkbus__engine_state__init(&engine);
	gpu.sample = &sample;
	gpu.gpus = gpus;
}

#define assert_cell(call, wanted)                                                                  \
	do {                                                                                       \
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;                  \
		call;                                                                              \
		ck_assert_str_eq(sb_strbuf_str(&out), wanted);                                     \
	} while (0)

START_TEST(what_is_not_known_is_a_dash)
{
	assert_cell(status_node_memory(&node, &out), "-");
	assert_cell(status_node_gpu(&node, &out), "-");
	node.telemetry = &telemetry;
	assert_cell(status_node_memory(&node, &out), "-");
	telemetry.memory = &memory;
	memory.total_bytes = 5; /* without its case it is absent */
	assert_cell(status_node_memory(&node, &out), "-");
	telemetry.gpu = &gpu;
	assert_cell(status_node_gpu(&node, &out), "none");
	gpu.n_gpus = 1;
	assert_cell(status_node_gpu(&node, &out), "-"); /* every reading "not supported" */
}
END_TEST

START_TEST(what_is_known_is_shown)
{
	node.telemetry = &telemetry;
	telemetry.memory = &memory;
	telemetry.gpu = &gpu;
	memory.has_total_case = SPARKBUS__MEMORY_STATE__HAS_TOTAL_TOTAL_BYTES;
	memory.total_bytes = 127600748ull * 1024;
	memory.has_available_case = SPARKBUS__MEMORY_STATE__HAS_AVAILABLE_AVAILABLE_BYTES;
	memory.available_bytes = 9888072ull * 1024;
	assert_cell(status_node_memory(&node, &out), "9.4 of 121.7 GiB");
	gpu.n_gpus = 1;
	gb10.has_utilization_case = SPARKBUS__GPU__HAS_UTILIZATION_UTILIZATION_PERCENT;
	gb10.utilization_percent = 0;
	gb10.has_power_case = SPARKBUS__GPU__HAS_POWER_POWER_MW;
	gb10.power_mw = 45999;
	assert_cell(status_node_gpu(&node, &out), "0% 45W");
	gb10.has_temperature_case = SPARKBUS__GPU__HAS_TEMPERATURE_TEMPERATURE_C;
	gb10.temperature_c = 62;
	gpu.n_gpus = 2;
	assert_cell(status_node_gpu(&node, &out), "0% 62C 45W +1");
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
	assert_cell(status_node_health(&node, &out), "ok");
	node.guard = &guard;
	node.engine = &engine;
	engine.reachable = true;
	assert_cell(status_node_health(&node, &out), "ok");
	engine.reachable = false;
	guard.level = SPARKBUS__GUARD_LEVEL__GUARD_CRITICAL;
	assert_cell(status_node_health(&node, &out), "memory critical, no engine");
	guard.level = (Sparkbus__GuardLevel)99; /* of a newer agent */
	assert_cell(status_node_health(&node, &out), "no engine");
	node.telemetry = &telemetry;
	telemetry.gpu = &gpu;
	sample.error = (char *)"libnvidia-ml.so.1 is not installed";
	assert_cell(status_node_health(&node, &out), "no engine"); /* no GPU is no fault */
	gpu.n_gpus = 1;
	sample.error = (char *)"NVML has not answered for 5 s";
	assert_cell(status_node_health(&node, &out), "no engine, GPU does not answer");
}
END_TEST

/* --- fabric --- */

static Sparkbus__FabricState fabric_state;
static Sparkbus__Link links[4], *link_list[4];
static Sparkbus__RdmaDevice devices[4], *device_list[4];
static Sparkbus__RdmaPort ports[4], *port_list[4];

static void add_port(unsigned i, const char *name, const char *pci, bool carrier)
{
	sparkbus__link__init(&links[i]);
	links[i].name = (char *)name;
	links[i].pci = (char *)pci;
	links[i].driver = (char *)"mlx5_core";
	links[i].has_carrier_case = SPARKBUS__LINK__HAS_CARRIER_CARRIER;
	links[i].carrier = carrier;
	links[i].admin_up = true;
	if (carrier) {
		links[i].has_speed_case = SPARKBUS__LINK__HAS_SPEED_SPEED_MBPS;
		links[i].speed_mbps = 200000;
	}
	link_list[i] = &links[i];
	sparkbus__rdma_device__init(&devices[i]);
	sparkbus__rdma_port__init(&ports[i]);
	ports[i].number = 1;
	ports[i].state = carrier ? 4 : 1;
	ports[i].link_layer = (char *)"Ethernet";
	port_list[i] = &ports[i];
	devices[i].ports = &port_list[i];
	devices[i].n_ports = 1;
	devices[i].name = (char *)name;
	devices[i].netdev = (char *)name;
	devices[i].pci = (char *)pci;
	devices[i].vendor_id = 0x02c9;
	devices[i].vendor_part_id = 4129;
	device_list[i] = &devices[i];
}

START_TEST(ports_are_counted_not_functions)
{
	struct sb_fabric_node report = { "a", "10.0.0.1", &fabric_state };
	SB_CLEANUP(sb_fabric_freep) struct sb_fabric *none = NULL, *fabric = NULL, *dark = NULL;

	sparkbus__fabric_state__init(&fabric_state);
	node.telemetry = &telemetry;
	ck_assert_int_eq(sb_fabric_derive(&report, 1, &none, NULL), 0);
	assert_cell(status_node_fabric(&node, none, 0, &out), "-");
	telemetry.fabric = &fabric_state;
	assert_cell(status_node_fabric(&node, none, 0, &out), "none");
	fabric_state.links = link_list;
	fabric_state.n_links = 4;
	fabric_state.rdma = device_list;
	fabric_state.n_rdma = 4;
	add_port(0, "enp1s0f0np0", "0000:01:00.0", false);
	add_port(1, "enp1s0f1np1", "0000:01:00.1", false);
	add_port(2, "enP2p1s0f0np0", "0002:01:00.0", false);
	add_port(3, "enP2p1s0f1np1", "0002:01:00.1", false);
	ck_assert_int_eq(sb_fabric_derive(&report, 1, &dark, NULL), 0);
	assert_cell(status_node_fabric(&node, dark, 0, &out), "no cable");
	add_port(1, "enp1s0f1np1", "0000:01:00.1", true);
	add_port(3, "enP2p1s0f1np1", "0002:01:00.1", true);
	ck_assert_int_eq(sb_fabric_derive(&report, 1, &fabric, NULL), 0);
	assert_cell(status_node_fabric(&node, fabric, 0, &out), "1x200G");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("status_nodes");
	TCase *tc = tcase_create("status_nodes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_is_not_known_is_a_dash);
	tcase_add_test(tc, what_is_known_is_shown);
	tcase_add_test(tc, what_is_wrong_is_said);
	tcase_add_test(tc, ports_are_counted_not_functions);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
