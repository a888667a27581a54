/* Links, addresses, neighbours and routes: as messages of a Spark (published figures), as hostile
 * bytes, and by the kernel itself in a network namespace with a pair of links. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "spark.h"

/* One Spark with a cable in its second port. */
static struct spark_link spark_rows[SPARK_LINKS];

static struct links_model *spark(void)
{
	const struct spark *one = &spark_scenario("two, one cable")->nodes[0];
	struct links_model *m = spark_model(one);

	spark_links(one, spark_rows);
	spark_apply(m,
			spark_neighbour_message(
					4, "192.168.100.11", "48:21:0b:30:40:cc", 4, RTM_NEWNEIGH));
	return m;
}

START_TEST(the_links_of_a_spark)
{
	struct links_model *m = spark();
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;
	const Sparkbus__Link *l;

	links_model_view(m, &v);
	ck_assert_uint_eq(v.n_links, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(v.links[i]->index, i + 1);
	l = v.links[3];
	ck_assert_str_eq(l->name, "enp1s0f1np1");
	ck_assert_str_eq(l->mac, "4c:bb:47:10:20:17");
	ck_assert_str_eq(l->pci, "0000:01:00.1");
	ck_assert_str_eq(l->port_name, "p1");
	ck_assert_str_eq(l->kind, "");
	ck_assert(l->admin_up && l->has_carrier_case && l->carrier);
	ck_assert_uint_eq(l->oper_state, 6);
	ck_assert_uint_eq(l->mtu, 9000);
	ck_assert_uint_eq(l->carrier_changes, 3);
	ck_assert(!l->has_speed_case); /* rtnetlink does not know it */
	ck_assert_uint_eq(l->n_addresses, 1);
	ck_assert_str_eq(l->addresses[0]->ip, "192.168.100.10");
	ck_assert_uint_eq(l->addresses[0]->prefix_len, 24);
	ck_assert(!l->addresses[0]->tentative);
	ck_assert_uint_eq(l->n_neighbours, 1);
	ck_assert_str_eq(l->neighbours[0]->mac, "48:21:0b:30:40:cc");
	ck_assert(v.links[2]->has_carrier_case && !v.links[2]->carrier);
	ck_assert(!v.links[6]->has_carrier_case); /* not told: absent, not false */
	ck_assert_str_eq(v.links[7]->kind, "bridge");
	ck_assert_uint_eq(v.links[1]->n_addresses, 2);
	ck_assert_uint_eq(v.links[0]->n_neighbours, 0); /* answers for itself */
	links_model_free(m);
}
END_TEST

START_TEST(management_is_the_default_route_with_the_lowest_metric)
{
	struct links_model *m = spark();
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;

	links_model_view(m, &v);
	ck_assert_str_eq(v.management_interface, "enP7s7");
	ck_assert_str_eq(v.management_address, "192.168.1.21");
	ck_assert_uint_eq(v.n_routes, 4);
	spark_apply(m, spark_route_message(4, NULL, 0, "192.168.100.1", 50));
	links_model_view(m, &v);
	ck_assert_str_eq(v.management_interface, "enp1s0f1np1");
	ck_assert_str_eq(v.management_address, "192.168.100.10");
	links_model_begin(m, LINKS_ROUTE); /* a list of none */
	links_model_end(m, LINKS_ROUTE);
	links_model_view(m, &v);
	ck_assert_str_eq(v.management_interface, "");
	ck_assert_str_eq(v.management_address, "");
	links_model_free(m);
}
END_TEST

START_TEST(a_link_that_goes_takes_all_of_it_along)
{
	struct links_model *m = spark();
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;

	links_model_view(m, &v);
	spark_apply(m, spark_link_message(&spark_rows[3], RTM_DELLINK));
	links_model_view(m, &v);
	ck_assert_uint_eq(v.n_links, 7);
	ck_assert_uint_eq(v.n_routes, 3);
	ck_assert_ptr_null(links_model_link(m, 4));
	spark_apply(m, spark_link_message(&spark_rows[3], RTM_NEWLINK));
	links_model_view(m, &v);
	ck_assert_uint_eq(v.links[3]->n_addresses, 0);
	ck_assert_uint_eq(v.links[3]->n_neighbours, 0);
	links_model_free(m);
}
END_TEST

START_TEST(a_new_list_removes_what_it_does_not_name)
{
	struct links_model *m = spark();
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;

	links_model_view(m, &v);
	links_model_begin(m, LINKS_ADDRESS);
	spark_apply(m, spark_address_message(4, "192.168.100.99", 24, RTM_NEWADDR));
	links_model_end(m, LINKS_ADDRESS);
	links_model_view(m, &v);
	ck_assert_uint_eq(v.links[1]->n_addresses, 0);
	ck_assert_uint_eq(v.links[3]->n_addresses, 1);
	ck_assert_str_eq(v.links[3]->addresses[0]->ip, "192.168.100.99");
	links_model_free(m);
}
END_TEST

/* Any prefix of any message, and any byte of it changed: nothing is read past its end (sanitizers),
 * and what is taken is whole. */
START_TEST(hostile_messages)
{
	struct links_model *m = spark();
	struct nl_msg *all[] = { spark_link_message(&spark_rows[3], RTM_NEWLINK),
		spark_link_message(&spark_rows[7], RTM_NEWLINK),
		spark_address_message(4, "192.168.100.10", 24, RTM_NEWADDR),
		spark_neighbour_message(4, "192.168.100.11", "48:21:0b:30:40:cc", 4, RTM_NEWNEIGH),
		spark_route_message(2, NULL, 0, "192.168.1.1", 100) };
	const struct nlmsghdr *h = nlmsg_hdr(all[_i]);
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;
	unsigned index;

	for (uint32_t len = sizeof(*h); len < h->nlmsg_len; len++) {
		SB_CLEANUP(sb_freep) struct nlmsghdr *cut = malloc(len);

		memcpy(cut, h, len);
		cut->nlmsg_len = len;
		links_model_apply(m, cut, &index);
		links_model_view(m, &v);
	}
	for (uint32_t at = sizeof(*h); at < h->nlmsg_len; at++) {
		SB_CLEANUP(sb_freep) struct nlmsghdr *bad = malloc(h->nlmsg_len);

		memcpy(bad, h, h->nlmsg_len);
		((uint8_t *)bad)[at] ^= 0xff;
		links_model_apply(m, bad, &index);
		links_model_view(m, &v);
	}
	links_model_free(m);
	for (size_t i = 0; i < sb_countof(all); i++)
		nlmsg_free(all[i]);
}
END_TEST

START_TEST(there_is_an_end_to_what_is_kept)
{
	struct links_model *m = spark();
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;
	char ip[32];

	for (unsigned i = 0; i < ROUTES_MAX + 10; i++) {
		snprintf(ip, sizeof(ip), "10.%u.%u.0", i / 256, i % 256);
		spark_apply(m, spark_route_message(2, ip, 24, NULL, 7));
		spark_apply(m,
				spark_neighbour_message(
						2, ip, "02:00:00:00:00:01", 2, RTM_NEWNEIGH));
	}
	links_model_view(m, &v);
	ck_assert_uint_eq(v.n_routes, ROUTES_MAX);
	links_model_free(m);
}
END_TEST

/* --- news --- */

#define HEARD_MAX 64
static char heard[HEARD_MAX][200];
static size_t n_heard;

static void hear(void *ctx, const char *kind, const char *text)
{
	if (n_heard < HEARD_MAX)
		snprintf(heard[n_heard++], sizeof(heard[0]), "%s %s", kind, text);
}

static bool was_heard(const char *what)
{
	for (size_t i = 0; i < n_heard; i++)
		if (strcmp(heard[i], what) == 0)
			return true;
	return false;
}

static void change(struct links_news *news, struct links_model *m, struct nl_msg *msg,
		unsigned index, uint64_t now_ms)
{
	struct links_brief before, after;

	links_brief(m, index, &before);
	spark_apply(m, msg);
	links_brief(m, index, &after);
	links_news_tell(news, index, &before, &after, now_ms);
}

START_TEST(a_pulled_cable_in_words)
{
	struct links_news *news = links_news_new(hear, NULL);
	struct links_model *m = spark();
	struct spark_link row = spark_rows[3];

	row.carrier = 0;
	row.oper = 2;
	change(news, m, spark_link_message(&row, RTM_NEWLINK), 4, 1);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_str_eq(heard[0], "link.down enp1s0f1np1: link down (carrier lost)");
	row = spark_rows[3];
	row.mtu = 1500;
	change(news, m, spark_link_message(&row, RTM_NEWLINK), 4, 2);
	ck_assert_str_eq(heard[1], "link.up enp1s0f1np1: link up");
	ck_assert_str_eq(heard[2], "link.mtu enp1s0f1np1: MTU 1500, was 9000");
	change(news, m, spark_address_message(4, "192.168.100.10", 24, RTM_DELADDR), 4, 3);
	ck_assert_str_eq(heard[3], "link.address enp1s0f1np1: address 192.168.100.10/24 removed");
	change(news, m, spark_link_message(&row, RTM_DELLINK), 4, 4);
	ck_assert_str_eq(heard[4], "link.gone enp1s0f1np1: the device is gone");
	row = spark_rows[7];
	row.carrier = 1;
	row.oper = 6;
	change(news, m, spark_link_message(&row, RTM_NEWLINK), 8,
			5); /* a container started: no news */
	change(news, m, spark_link_message(&spark_rows[0], RTM_NEWLINK), 1,
			6); /* nothing changed */
	ck_assert_uint_eq(n_heard, 5);
	links_news_free(news);
	links_model_free(m);
}
END_TEST

START_TEST(a_link_that_flaps_is_summed_up)
{
	struct links_news *news = links_news_new(hear, NULL);
	struct links_model *m = spark();

	for (unsigned i = 0; i < 101; i++) {
		struct spark_link row = spark_rows[3];

		row.carrier = i % 2;
		row.oper = i % 2 ? 6 : 2;
		change(news, m, spark_link_message(&row, RTM_NEWLINK), 4, 1000 + i);
	}
	ck_assert_uint_eq(n_heard, 6);
	links_news_tick(news, m, 1500);
	ck_assert_uint_eq(n_heard, 6);
	links_news_tick(news, m, 11000);
	ck_assert_uint_eq(n_heard, 7);
	ck_assert_str_eq(heard[6],
			"link.unsteady enp1s0f1np1: 95 more changes within 10 s; now "
			"down (carrier lost)");
	links_news_tick(news, m, 30000);
	ck_assert_uint_eq(n_heard, 7);
	links_news_free(news);
	links_model_free(m);
}
END_TEST

START_TEST(what_else_changes_hides_no_pulled_cable)
{
	struct links_news *news = links_news_new(hear, NULL);
	struct links_model *m = spark();
	struct spark_link row = spark_rows[3];

	for (unsigned i = 0; i < 20; i++) {
		row.mtu = 2000 + i;
		change(news, m, spark_link_message(&row, RTM_NEWLINK), 4, 1000 + i);
	}
	ck_assert_uint_eq(n_heard, 6);
	row.carrier = 0;
	row.oper = 2;
	change(news, m, spark_link_message(&row, RTM_NEWLINK), 4, 1100);
	ck_assert_uint_eq(n_heard, 7);
	ck_assert_str_eq(heard[6], "link.down enp1s0f1np1: link down (carrier lost)");
	links_news_free(news);
	links_model_free(m);
}
END_TEST

/* --- the kernel --- */

static sd_event *loop;
static struct links *links;

static void ip(const char *args)
{
	char command[256];

	snprintf(command, sizeof(command), "ip %s", args);
	ck_assert_msg(system(command) == 0, "%s", command);
}

/* False where this is not allowed. */
static bool own_network(void)
{
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("# SKIP no network namespaces here: %s\n", strerror(errno));
		return false;
	}
	if (system("ip link add spark0 type veth peer name far0 2>/dev/null") != 0) {
		printf("# SKIP no ip, or no pairs of links here\n");
		return false;
	}
	ip("link set spark0 up");
	ip("link set far0 up");
	ip("addr add 192.168.100.10/24 dev spark0");
	ip("route add default via 192.168.100.1 metric 7");
	ck_assert_int_ge(sd_event_new(&loop), 0);
	return true;
}

static void start(void)
{
	struct links_env env = { .loop = loop, .say = hear };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(links_new(&env, &links, &err) == 0, "%s", err.text);
	while (*links_error(links))
		ck_assert_int_gt(sd_event_run(loop, UINT64_MAX), 0);
}

static void stop(void)
{
	links_free(links);
	sd_event_unref(loop);
}

static void until_heard(const char *what)
{
	while (!was_heard(what))
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
}

static const Sparkbus__Link *named(Sparkbus__FabricState *view, const char *name)
{
	links_model_view(links_get(links), view);
	for (size_t i = 0; i < view->n_links; i++)
		if (strcmp(view->links[i]->name, name) == 0)
			return view->links[i];
	return NULL;
}

START_TEST(the_kernel_tells_of_a_cut_link)
{
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;
	const Sparkbus__Link *l;

	if (!own_network())
		return;
	ip("link property add dev spark0 altname first-port");
	start();
	l = named(&v, "spark0");
	ck_assert_ptr_nonnull(l);
	ck_assert_str_eq(l->kind, "veth");
	ck_assert_uint_eq(l->mtu, 1500);
	ck_assert(l->admin_up && l->has_carrier_case);
	ck_assert_uint_eq(strlen(l->mac), 17);
	ck_assert_uint_eq(l->n_alt_names, 1);
	ck_assert_str_eq(l->alt_names[0], "first-port");
	ck_assert_str_eq(v.management_interface, "spark0");
	ck_assert_str_eq(v.management_address, "192.168.100.10");

	ip("link set far0 down");
	until_heard("link.down spark0: link down (carrier lost)");
	ck_assert(!named(&v, "spark0")->carrier);
	ip("link set far0 up");
	until_heard("link.up spark0: link up");
	ip("link set spark0 mtu 9000");
	until_heard("link.mtu spark0: MTU 9000, was 1500");
	ck_assert_uint_eq(named(&v, "spark0")->mtu, 9000);
	ip("addr add 192.168.101.10/24 dev spark0");
	until_heard("link.address spark0: address 192.168.101.10/24 added");
	/* The kernel removes the routes of a link that is set down, and says nothing of it. */
	ip("link set spark0 down");
	until_heard("link.down spark0: link down (set down)");
	while (named(&v, "spark0") && v.n_routes)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
	ck_assert_str_eq(v.management_interface, "");
	stop();
}
END_TEST

START_TEST(lost_messages_are_made_up_for)
{
	Sparkbus__FabricState v = SPARKBUS__FABRIC_STATE__INIT;
	FILE *batch;

	if (!own_network())
		return;
	start();
	/* More than the socket can hold, while nobody reads. */
	batch = popen("ip -batch -", "w");
	ck_assert_ptr_nonnull(batch);
	for (unsigned i = 0; i < 3000; i++)
		fprintf(batch, "link set spark0 mtu %u\n", 2000 + i);
	fprintf(batch, "addr del 192.168.100.10/24 dev spark0\n");
	fprintf(batch, "link del far0\n");
	fprintf(batch, "link add late0 type veth peer name late1\n");
	ck_assert_int_eq(pclose(batch), 0);
	while (named(&v, "spark0") || !named(&v, "late0") || v.n_routes)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
	ck_assert_uint_gt(links_overflows(links), 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("links");
	TCase *tc = tcase_create("links");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, the_links_of_a_spark);
	tcase_add_test(tc, management_is_the_default_route_with_the_lowest_metric);
	tcase_add_test(tc, a_link_that_goes_takes_all_of_it_along);
	tcase_add_test(tc, a_new_list_removes_what_it_does_not_name);
	tcase_add_loop_test(tc, hostile_messages, 0, 5);
	tcase_add_test(tc, there_is_an_end_to_what_is_kept);
	tcase_add_test(tc, a_pulled_cable_in_words);
	tcase_add_test(tc, a_link_that_flaps_is_summed_up);
	tcase_add_test(tc, what_else_changes_hides_no_pulled_cable);
	tcase_add_test(tc, the_kernel_tells_of_a_cut_link);
	tcase_add_test(tc, lost_messages_are_made_up_for);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
