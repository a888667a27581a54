/* What is heard on a link: frames in, machines out. The clock is the test's. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "hear_parts.h"

enum { FABRIC, TWIN, MANAGEMENT, WIFI, VETH, N_LINKS };

/* One machine as its own telemetry sees it. */
struct node {
	struct hear_table *table;
	Sparkbus__FabricState state;
	Sparkbus__Link link[N_LINKS], *links[N_LINKS];
	Sparkbus__RdmaDevice rdma[N_LINKS], *rdmas[N_LINKS];
	char mac[N_LINKS][18];
	uint8_t raw[N_LINKS][HEAR_MAC_BYTES];
};

static void node_init(struct node *n, uint8_t number, const char *name, const char *setting)
{
	static const char *const names[] = { "enp1s0f0np0", "enP2p1s0f0np0", "enP7s7", "wlP9s9",
		"veth0" };

	memset(n, 0, sizeof(*n));
	sparkbus__fabric_state__init(&n->state);
	for (int i = 0; i < N_LINKS; i++) {
		sparkbus__link__init(&n->link[i]);
		sparkbus__rdma_device__init(&n->rdma[i]);
		n->raw[i][4] = number;
		n->raw[i][5] = (uint8_t)i;
		snprintf(n->mac[i], sizeof(n->mac[i]), "00:00:00:00:%02x:%02x", number, i);
		n->link[i].mac = n->mac[i];
		n->link[i].name = (char *)names[i];
		n->link[i].index = (uint32_t)i + 1;
		n->link[i].admin_up = true;
		n->link[i].has_carrier_case = SPARKBUS__LINK__HAS_CARRIER_CARRIER;
		n->link[i].carrier = true;
		n->rdma[i].netdev = (char *)names[i];
		n->links[i] = &n->link[i];
		n->rdmas[i] = &n->rdma[i];
	}
	n->link[WIFI].wireless = true;
	n->link[VETH].kind = (char *)"veth";
	n->state.links = n->links;
	n->state.n_links = N_LINKS;
	n->state.rdma = n->rdmas;
	n->state.n_rdma = N_LINKS; /* even where there should be none */
	n->state.management_interface = (char *)"enP7s7";
	n->state.machine_id = number == 1 ? (char *)"4cbb:4703:0010:2016" : (char *)"other";
	n->table = hear_table_new(name, setting);
	ck_assert_ptr_nonnull(n->table);
}

/* Every frame that @from has to say now reaches @to's link of the same number. Return: how many. */
static unsigned speak(struct node *from, struct node *to, uint64_t now)
{
	uint8_t frame[HEAR_FRAME_MAX];
	unsigned index, n = 0;
	size_t len;

	hear_table_links(from->table, &from->state, now);
	for (; hear_table_due(from->table, now, &index, frame, &len); n++)
		if (to)
			hear_table_take(to->table, index, from->raw[index - 1], frame, len, now);
	return n;
}

static const Sparkbus__Link *told(struct node *n, int link, uint64_t now)
{
	hear_table_fill(n->table, &n->state, now);
	return &n->link[link];
}

START_TEST(a_machine_is_heard_with_its_name_and_forgotten_when_silent)
{
	struct node a, b;
	const Sparkbus__Link *link;

	node_init(&a, 1, "spark-a", "auto");
	node_init(&b, 2, "spark-b", "auto");
	hear_table_links(b.table, &b.state, 1000);
	ck_assert_uint_eq(speak(&a, &b, 1000), 2); /* both twins, and nothing else */
	link = told(&b, TWIN, 1500);
	ck_assert_uint_eq(link->n_heard, 1);
	ck_assert_str_eq(link->heard[0]->node, "spark-a");
	ck_assert_str_eq(link->heard[0]->interface, "enP2p1s0f0np0");
	ck_assert_str_eq(link->heard[0]->machine_id, "4cbb:4703:0010:2016");
	ck_assert_str_eq(link->heard[0]->mac, "00:00:00:00:01:01");
	ck_assert_uint_eq(link->heard[0]->age_ms, 500);
	ck_assert(b.state.listening);
	ck_assert_uint_eq(told(&b, MANAGEMENT, 1500)->n_heard, 0);
	hear_table_links(b.table, &b.state, 1000 + HEAR_FORGET_MS);
	ck_assert_uint_eq(told(&b, TWIN, 1000 + HEAR_FORGET_MS)->n_heard, 1);
	hear_table_links(b.table, &b.state, 1001 + HEAR_FORGET_MS);
	ck_assert_uint_eq(told(&b, TWIN, 1001 + HEAR_FORGET_MS)->n_heard, 0);
	hear_table_free(a.table);
	hear_table_free(b.table);
}
END_TEST

START_TEST(it_speaks_now_and_then_and_at_once_to_whom_it_did_not_know)
{
	struct node a, b;

	node_init(&a, 1, "spark-a", "auto");
	node_init(&b, 2, "spark-b", "auto");
	ck_assert_uint_eq(speak(&a, NULL, 1000), 2);
	ck_assert_uint_eq(speak(&a, NULL, 1000 + HEAR_EVERY_MS - 1), 0);
	ck_assert_uint_eq(speak(&b, &a, 1100), 2);
	ck_assert_uint_eq(speak(&a, &b, 1200), 2); /* b came later */
	ck_assert_uint_eq(speak(&b, &a, 1300), 2); /* and now hears a */
	ck_assert_uint_eq(speak(&a, &b, 1400), 0);
	ck_assert_uint_eq(speak(&a, &b, 1200 + HEAR_EVERY_MS), 2);
	hear_table_free(a.table);
	hear_table_free(b.table);
}
END_TEST

START_TEST(a_pulled_cable_forgets_at_once)
{
	struct node a, b;

	node_init(&a, 1, "spark-a", "auto");
	node_init(&b, 2, "spark-b", "auto");
	hear_table_links(b.table, &b.state, 1000);
	speak(&a, &b, 1000);
	b.link[FABRIC].carrier = false;
	hear_table_links(b.table, &b.state, 1001);
	ck_assert_uint_eq(told(&b, FABRIC, 1001)->n_heard, 0);
	ck_assert_uint_eq(told(&b, TWIN, 1001)->n_heard, 1);
	b.link[TWIN].carrier = false;
	hear_table_links(b.table, &b.state, 1002);
	told(&b, TWIN, 1002);
	ck_assert(!b.state.listening);
	hear_table_free(a.table);
	hear_table_free(b.table);
}
END_TEST

static const struct {
	const char *setting;
	unsigned links;
} settings[] = {
	{ "auto", 2 },
	{ "off", 0 },
	{ "veth0", 1 },
	{ "veth0, wlP9s9", 2 }, /* by name: the operator's word */
	{ "veth", 0 },
	{ "veth00", 0 },
};

START_TEST(links_are_those_of_the_setting)
{
	struct node a;

	node_init(&a, 1, "spark-a", settings[_i].setting);
	ck_assert_uint_eq(speak(&a, NULL, 1000), settings[_i].links);
	hear_table_free(a.table);
}
END_TEST

/* By its twin, by a switch that sends a frame back, and by another of its interfaces. */
START_TEST(its_own_voice_is_not_another_machine)
{
	struct node a;
	uint8_t frame[HEAR_FRAME_MAX], mac[HEAR_MAC_BYTES] = { 9, 9, 9, 9, 9, 9 };
	unsigned index;
	size_t len;

	node_init(&a, 1, "spark-a", "auto");
	hear_table_links(a.table, &a.state, 1000);
	ck_assert(hear_table_due(a.table, 1000, &index, frame, &len));
	ck_assert(!hear_table_take(a.table, 2, a.raw[index - 1], frame, len, 1000));
	ck_assert(!hear_table_take(a.table, 1, a.raw[index - 1], frame, len, 1000));
	ck_assert(!hear_table_take(a.table, 1, mac, frame, len, 1000));
	hear_table_free(a.table);
}
END_TEST

START_TEST(what_is_no_frame_of_ours_is_dropped)
{
	struct node a, b;
	uint8_t frame[HEAR_FRAME_MAX], bad[HEAR_FRAME_MAX];
	unsigned index;
	size_t len;

	node_init(&a, 1, "spark-a", "auto");
	node_init(&b, 2, "spark-b", "auto");
	hear_table_links(a.table, &a.state, 1000);
	hear_table_links(b.table, &b.state, 1000);
	ck_assert(hear_table_due(a.table, 1000, &index, frame, &len));
	for (size_t cut = 0; cut < len; cut++)
		ck_assert(!hear_table_take(b.table, index, a.raw[0], frame, cut, 1000));
	for (size_t i = 0; i < 5; i++) { /* magic and version */
		memcpy(bad, frame, sizeof(bad));
		bad[i] ^= 1;
		ck_assert(!hear_table_take(b.table, index, a.raw[0], bad, len, 1000));
	}
	memcpy(bad, frame, sizeof(bad));
	*(uint8_t *)memmem(bad, len, "spark-a", 7) = '\033'; /* would reach a terminal */
	ck_assert(!hear_table_take(b.table, index, a.raw[0], bad, len, 1000));
	ck_assert(!hear_table_take(b.table, 99, a.raw[0], frame, len, 1000)); /* no link of ours */
	memset(frame + len, 0, sizeof(frame) - len); /* short frames are padded on the wire */
	ck_assert(hear_table_take(b.table, index, a.raw[0], frame, sizeof(frame), 1000));
	hear_table_free(a.table);
	hear_table_free(b.table);
}
END_TEST

START_TEST(a_crowd_is_capped)
{
	struct node a, b;
	uint8_t frame[HEAR_FRAME_MAX], mac[HEAR_MAC_BYTES] = { 2 };
	unsigned index, taken = 0;
	size_t len;

	node_init(&a, 1, "spark-a", "auto");
	node_init(&b, 2, "spark-b", "auto");
	hear_table_links(a.table, &a.state, 1000);
	hear_table_links(b.table, &b.state, 1000);
	ck_assert(hear_table_due(a.table, 1000, &index, frame, &len));
	for (unsigned i = 0; i < 4 * HEAR_MACHINES_MAX; i++) {
		mac[4] = (uint8_t)(i >> 8);
		mac[5] = (uint8_t)i;
		taken += hear_table_take(b.table, index, mac, frame, len, 1000);
	}
	ck_assert_uint_eq(taken, HEAR_MACHINES_MAX);
	ck_assert_uint_eq(told(&b, FABRIC, 1000)->n_heard, HEAR_MACHINES_MAX);
	hear_table_links(b.table, &b.state, 1001 + HEAR_FORGET_MS);
	ck_assert(hear_table_take(b.table, index, mac, frame, len, 1001 + HEAR_FORGET_MS));
	hear_table_free(a.table);
	hear_table_free(b.table);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hear");
	TCase *tc = tcase_create("hear");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, a_machine_is_heard_with_its_name_and_forgotten_when_silent);
	tcase_add_test(tc, it_speaks_now_and_then_and_at_once_to_whom_it_did_not_know);
	tcase_add_test(tc, a_pulled_cable_forgets_at_once);
	tcase_add_loop_test(tc, links_are_those_of_the_setting, 0, sb_countof(settings));
	tcase_add_test(tc, its_own_voice_is_not_another_machine);
	tcase_add_test(tc, what_is_no_frame_of_ours_is_dropped);
	tcase_add_test(tc, a_crowd_is_capped);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
