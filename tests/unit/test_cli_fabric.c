/* fabric show, explain and check, and what run says of the fabric: the real command against nodes
 * that report the published fixtures. */
#include <jansson.h>
#include <sys/wait.h>

#include "fabric_world.h"
#include "fake_agent.h"
#include "sb_fs.h"

#define OUTPUT_MAX (1024 * 1024)

static char home[64], output[OUTPUT_MAX];
static struct fake_agent agents[NODES];
static struct world *w;

static void make_home(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-fabric-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	ck_assert_int_eq(chdir(home), 0);
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
}

static void remove_home(void)
{
	char command[128];

	for (size_t i = 0; w && i < w->n; i++)
		fake_agent_stop(&agents[i]);
	free(w);
	w = NULL;
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

/* Both streams go to output[]. */
static void ck_run(const char *args, int status)
{
	char command[512];
	FILE *pipe;
	size_t n;
	int got;

	snprintf(command, sizeof(command), "'%s' %s 2>&1 </dev/null", SB_SPARKBUS, args);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[n] = '\0';
	got = WEXITSTATUS(pclose(pipe));
	ck_assert_msg(got == status, "%s: exit status %d\n%s", args, got, output);
}

static void ck_has(const char *part)
{
	ck_assert_msg(strstr(output, part) != NULL, "no '%s' in:\n%s", part, output);
}

static json_t *ck_json(void)
{
	json_error_t why;
	json_t *json = json_loads(output, 0, &why);

	ck_assert_msg(json != NULL, "%s in:\n%s", why.text, output);
	return json;
}

static void write_file(const char *path, const char *text)
{
	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

static char *read_file(const char *path)
{
	struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_fs_read(path, 1 << 20, &text, &err) == 0, "%s", err.text);
	return sb_strbuf_steal(&text);
}

/* Enrol a node as its owner would, and open its door. */
static void start_node(struct fake_agent *agent, const char *name)
{
	char *key, *csr, *cert, *ca, args[256], path[128];
	struct sb_err err;
	uint16_t port;

	ck_assert_int_eq(sb_tls_key_new(&key, &err), 0);
	ck_assert_int_eq(sb_tls_csr_new(key, name, &csr, &err), 0);
	write_file("csr", csr);
	snprintf(args, sizeof(args), "node add %s 127.0.0.1 --csr csr --out bundle", name);
	ck_run(args, 0);
	snprintf(path, sizeof(path), "nodes/%s.crt", name);
	cert = read_file(path);
	ca = read_file("pki/operator-ca.crt");
	port = fake_agent_start(agent, &(struct sb_tls_creds){ cert, key, ca, NULL });
	snprintf(args, sizeof(args), "node add %s 127.0.0.1:%u", name, port);
	ck_run(args, 0);
	free(cert);
	free(ca);
	free(csr);
	sb_tls_wipe_free(key);
}

static void start(struct world *world)
{
	w = world;
	ck_run("init --operator alice", 0);
	for (size_t i = 0; i < w->n; i++) {
		agents[i] = (struct fake_agent){ .name = w->m[i].name, .fabric = &w->m[i].state };
		start_node(&agents[i], w->m[i].name);
	}
}

START_TEST(show_draws_one_cable)
{
	start(one_cable());
	ck_run("fabric show", 0);
	ck_has("Fabric: one cable, 2 nodes, 200 Gb/s between neighbours at best\n"
	       "  spark-a port 1 ==== port 1 spark-b  200 Gb/s at best  (by their addresses; ");
	ck_has("192.168.100.10/24");
	ck_has("no cable"); /* of the other port */
	ck_has("(management: default route)");
}
END_TEST

START_TEST(show_as_json_has_every_report)
{
	json_t *json, *link;

	start(ring(3));
	ck_run("fabric show --json", 0);
	json = ck_json();
	ck_assert_str_eq(json_string_value(json_object_get(json, "topology")), "ring");
	ck_assert(json_is_true(json_object_get(json, "usable")));
	ck_assert_uint_eq(json_array_size(json_object_get(json, "nodes")), 3);
	link = json_array_get(json_object_get(json, "links"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(link, "a")), "spark-a");
	ck_assert_uint_eq(json_array_size(json_object_get(link, "ways")), 2);
	json_decref(json);
}
END_TEST

START_TEST(a_silent_node_is_unknown_and_hides_nobody)
{
	start(one_cable());
	fake_agent_stop(&agents[1]);
	ck_run("fabric show", 3);
	ck_has("RDMA unknown");
	ck_has("192.168.100.10/24");
	ck_has("Unknown (no answer):\n  spark-b");
}
END_TEST

START_TEST(explain_gives_value_reason_and_source)
{
	json_t *json, *rank;

	start(one_cable());
	ck_run("fabric explain -H spark-b,spark-a", 0);
	ck_has("Rank 0 on spark-b (127.0.0.1)\n");
	ck_has("  NCCL_IB_HCA==rocep1s0f1,roceP2p1s0f1\n    every device of this node");
	ck_has("    from: RDMA devices of the node\n");
	ck_has("    from: default route\n");
	ck_run("fabric explain --json", 0);
	json = ck_json();
	rank = json_array_get(json_object_get(json, "ranks"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(rank, "node")), "spark-b");
	ck_assert_uint_gt(json_array_size(json_object_get(rank, "environment")), 10);
	json_decref(json);
}
END_TEST

START_TEST(check_judges_the_reports)
{
	json_t *json, *finding;

	start(one_cable());
	ck_run("fabric check --no-measure", 0);
	ck_has("Nothing is wrong.");
	w->m[1].f[1].link.speed_mbps = 100000;
	ck_run("fabric check --no-measure", 1);
	ck_has("warning: spark-b: enp1s0f1np1 runs at 100000 Mb/s instead of 200000 [slow-link]\n"
	       "  cause: ");
	ck_run("fabric check --no-measure --json", 1);
	json = ck_json();
	finding = json_array_get(json_object_get(json, "findings"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(finding, "id")), "slow-link");
	ck_assert_str_eq(json_string_value(json_object_get(finding, "severity")), "warning");
	/* Two paths and the management network, both ways; nobody says that they were tried. */
	ck_assert_uint_eq(json_array_size(json_object_get(json, "paths")), 6);
	ck_assert_ptr_null(json_object_get(
			json_array_get(json_object_get(json, "paths"), 0), "reached"));
	json_decref(json);
	w->m[1].f[1].link.speed_mbps = 200000;
	fake_agent_stop(&agents[0]);
	ck_run("fabric check --no-measure -H spark-b", 0);
	ck_run("fabric check", 1); /* of the silent one nothing is known, which is a warning */
}
END_TEST

/* A launch takes what its own nodes report. */
START_TEST(run_takes_it_into_the_plan)
{
	start(one_cable());
	write_file("two.yaml",
			"model: org/m\nruntime: vllm\ncontainer: img:1\n"
			"defaults: {tensor_parallel: 2}\n");
	ck_run("run ./two.yaml -H spark-a,spark-b -n --no-lint --strict", 0);
	ck_has("NCCL_IB_HCA==rocep1s0f1,roceP2p1s0f1\n               # every device");
	w->m[1].state.n_rdma = 0;
	w->m[1].state.connectx_functions = 0;
	ck_run("run ./two.yaml -H spark-a,spark-b -n --no-lint", 0);
	ck_has("Warning: the ranks talk over Ethernet, not over the fabric");
	ck_has("no RDMA device on spark-b");
	ck_run("run ./two.yaml -H spark-a,spark-b -n --no-lint --strict", 1);
}
END_TEST

START_TEST(node_show_tells_of_links_and_devices)
{
	start(one_cable());
	ck_run("node show spark-a", 0);
	ck_has("Links:       enP7s7 up, MTU 0, management\n");
	ck_has(" enp1s0f1np1 up, 200 Gb/s, MTU 9000, PCIe x4, ");
	ck_has(", 192.168.100.10/24\n");
	ck_has(" enp1s0f0np0 no carrier, ");
	ck_has(" rocep1s0f1 active, on enp1s0f1np1, ");
	ck_has(", GID 3");
	ck_has("RDMA:        rocep1s0f0 down, on enp1s0f0np0");
}
END_TEST

START_TEST(node_show_says_that_a_nic_without_a_cable_is_off)
{
	struct world *alone = one_cable();
	Sparkbus__FabricState *state = &alone->m[0].state;

	state->n_rdma = 0;
	state->connectx_functions = 0;
	state->has_hotplug_case = SPARKBUS__FABRIC_STATE__HAS_HOTPLUG_HOTPLUG_ENABLED;
	state->hotplug_enabled = true;
	start(alone);
	ck_run("node show spark-a", 0);
	ck_has("RDMA:        none: no cable is plugged, and the network card is off");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_fabric");
	TCase *tc = tcase_create("cli_fabric");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, make_home, remove_home);
	tcase_add_test(tc, show_draws_one_cable);
	tcase_add_test(tc, show_as_json_has_every_report);
	tcase_add_test(tc, a_silent_node_is_unknown_and_hides_nobody);
	tcase_add_test(tc, explain_gives_value_reason_and_source);
	tcase_add_test(tc, check_judges_the_reports);
	tcase_add_test(tc, run_takes_it_into_the_plan);
	tcase_add_test(tc, node_show_tells_of_links_and_devices);
	tcase_add_test(tc, node_show_says_that_a_nic_without_a_cable_is_off);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
