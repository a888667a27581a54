/* Network settings that undo themselves. The kernel is a table here; the disk and the clock are
 * real. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "testdir.h"

#include "sb_fs.h"
#include "sb_netconf.h"

#define LINKS 2

static struct {
	const char *name;
	char address[24];
	uint32_t mtu;
	bool refuses; /* other addresses than its own */
} links[LINKS];

static int fake_read(const char *name, Sparkbus__InterfaceSetting *ret, struct sb_err *err)
{
	for (int i = 0; i < LINKS; i++) {
		if (strcmp(links[i].name, name) != 0)
			continue;
		ret->name = strdup(name);
		ret->mtu = links[i].mtu;
		ret->addresses = calloc(1, sizeof(char *));
		ret->n_addresses = *links[i].address != '\0';
		if (ret->n_addresses)
			ret->addresses[0] = strdup(links[i].address);
		return 0;
	}
	return sb_err_set(err, SB_E_NOT_FOUND, "no interface '%s'", name);
}

static int fake_apply(const Sparkbus__InterfaceSetting *want, struct sb_err *err)
{
	for (int i = 0; i < LINKS; i++) {
		const char *address = want->n_addresses ? want->addresses[0] : "";

		if (strcmp(links[i].name, want->name) != 0)
			continue;
		if (links[i].refuses && strcmp(address, "10.0.1.1/24") != 0)
			return sb_err_set(err, SB_E_INTERNAL, "%s: refused", want->name);
		snprintf(links[i].address, sizeof(links[i].address), "%s", address);
		links[i].mtu = want->mtu ? want->mtu : links[i].mtu;
	}
	return 0;
}

static const struct sb_netconf_ops fake = { fake_read, fake_apply };
static sd_event *loop;
static struct sb_netconf *netconf;
static char root[160];
static char said[64];

static void say(void *ctx, const char *kind, const char *text)
{
	snprintf(said, sizeof(said), "%s", kind);
}

static void start(const char *backend)
{
	struct sb_netconf_env env = { .loop = loop,
		.state_dir = testdir,
		.root = root,
		.backend = backend,
		.ops = &fake,
		.say = say };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_netconf_new(&env, &netconf, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	testdir_make();
	snprintf(root, sizeof(root), "%s/root", testdir);
	*said = '\0';
	for (int i = 0; i < LINKS; i++) {
		links[i].name = i ? "right" : "left";
		snprintf(links[i].address, sizeof(links[i].address), "10.0.%d.1/24", i);
		links[i].mtu = 1500;
		links[i].refuses = false;
	}
	ck_assert_int_ge(sd_event_new(&loop), 0);
}

static void teardown(void)
{
	sb_netconf_free(netconf);
	netconf = NULL;
	sd_event_unref(loop);
	testdir_done();
}

static Sparkbus__InterfaceSetting left, right, *both[] = { &left, &right };
static char *left_address[] = { (char *)"192.168.100.11/24" };
static char *right_address[] = { (char *)"192.168.101.11/24" };

static Sparkbus__SetNetworkRequest request(void)
{
	Sparkbus__SetNetworkRequest r = SPARKBUS__SET_NETWORK_REQUEST__INIT;

	sparkbus__interface_setting__init(&left);
	sparkbus__interface_setting__init(&right);
	left.name = (char *)"left";
	right.name = (char *)"right";
	left.addresses = left_address;
	right.addresses = right_address;
	left.n_addresses = right.n_addresses = 1;
	left.mtu = right.mtu = 9000;
	r.interfaces = both;
	r.n_interfaces = 2;
	r.confirm_ms = SB_NETCONF_CONFIRM_MAX_MS;
	return r;
}

static int set(const Sparkbus__SetNetworkRequest *r, Sparkbus__Outcome outcome)
{
	Sparkbus__SetNetworkReply *reply = NULL;
	int rc = sb_netconf_set(netconf, r, "eth0", &reply, NULL);

	if (rc < 0)
		return rc;
	ck_assert_int_eq(reply->outcome, outcome);
	sparkbus__set_network_reply__free_unpacked(reply, NULL);
	return 0;
}

static bool confirm(bool back)
{
	Sparkbus__ConfirmNetworkReply *reply = NULL;
	bool pending;

	ck_assert_int_eq(sb_netconf_confirm(netconf, back, &reply, NULL), 0);
	pending = reply->was_pending;
	sparkbus__confirm_network_reply__free_unpacked(reply, NULL);
	return pending;
}

static bool is_old(void)
{
	return !strcmp(links[0].address, "10.0.0.1/24") && links[0].mtu == 1500 &&
			!strcmp(links[1].address, "10.0.1.1/24") && links[1].mtu == 1500;
}

static bool is_new(void)
{
	return !strcmp(links[0].address, "192.168.100.11/24") && links[0].mtu == 9000 &&
			!strcmp(links[1].address, "192.168.101.11/24") && links[1].mtu == 9000;
}

#define DONE SPARKBUS__OUTCOME__OUTCOME_DONE

START_TEST(what_is_confirmed_stays)
{
	Sparkbus__SetNetworkRequest r = request();

	start("rtnetlink");
	ck_assert_int_eq(set(&r, DONE), 0);
	ck_assert(is_new());
	ck_assert_int_eq(set(&r, DONE), -SB_E_BUSY); /* it waits */
	ck_assert(confirm(false));
	ck_assert(!confirm(false));
	ck_assert_str_eq(said, "network.confirmed");
	sb_netconf_free(netconf);
	start("rtnetlink");
	ck_assert(is_new());
}
END_TEST

START_TEST(an_agent_that_ends_puts_it_back_when_it_starts)
{
	Sparkbus__SetNetworkRequest r = request();

	start("rtnetlink");
	ck_assert_int_eq(set(&r, DONE), 0);
	sb_netconf_free(netconf);
	ck_assert(is_new());
	start("rtnetlink");
	ck_assert(is_old());
	ck_assert_str_eq(said, "network.rolled_back");
	ck_assert(!confirm(false));
}
END_TEST

START_TEST(nobody_confirms_in_time)
{
	Sparkbus__SetNetworkRequest r = request();

	r.confirm_ms = SB_NETCONF_CONFIRM_MIN_MS;
	start("rtnetlink");
	ck_assert_int_eq(set(&r, DONE), 0);
	while (!*said)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
	ck_assert_str_eq(said, "network.rolled_back");
	ck_assert(is_old());
	ck_assert_int_eq(set(&r, DONE), 0); /* and it can be tried again */
}
END_TEST

START_TEST(an_operator_takes_it_back)
{
	Sparkbus__SetNetworkRequest r = request();

	start("rtnetlink");
	ck_assert_int_eq(set(&r, DONE), 0);
	ck_assert(confirm(true));
	ck_assert(is_old());
}
END_TEST

/* Half done is not left. */
START_TEST(one_that_fails_takes_the_others_back)
{
	Sparkbus__SetNetworkRequest r = request();

	links[1].refuses = true;
	start("rtnetlink");
	ck_assert_int_eq(set(&r, DONE), -SB_E_INTERNAL);
	ck_assert(is_old());
	ck_assert(!confirm(false));
}
END_TEST

START_TEST(revert_leads_before_the_first_change)
{
	Sparkbus__SetNetworkRequest r = request();

	start("rtnetlink");
	r.revert = true;
	ck_assert_int_eq(set(&r, DONE), -SB_E_NOT_FOUND);
	r.revert = false;
	r.n_interfaces = 1; /* the other one comes into it later */
	ck_assert_int_eq(set(&r, DONE), 0);
	ck_assert(confirm(false));
	r.n_interfaces = 2;
	left_address[0] = (char *)"192.168.7.11/24";
	ck_assert_int_eq(set(&r, DONE), 0);
	ck_assert(confirm(false));
	left_address[0] = (char *)"192.168.100.11/24";
	r = request();
	r.revert = true;
	r.n_interfaces = 0;
	ck_assert_int_eq(set(&r, DONE), 0);
	ck_assert(is_old());
	ck_assert(confirm(false));
}
END_TEST

/* --- files --- */

static char *content(const char *path)
{
	struct sb_strbuf text = SB_STRBUF_INIT;
	char full[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	if (sb_fs_read(full, 1 << 16, &text, NULL) < 0)
		return NULL;
	return sb_strbuf_steal(&text);
}

static void folder(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert_int_eq(sb_fs_mkdirs(full, 0755, NULL), 0);
}

START_TEST(netplan_gets_a_file_that_comes_and_goes_with_the_settings)
{
	static const char want[] =
			"# Written by sparkbus fabric configure; --revert removes it.\n"
			"network:\n  version: 2\n  ethernets:\n    left:\n"
			"      addresses: [192.168.100.11/24]\n      dhcp4: false\n"
			"      dhcp6: false\n      link-local: []\n      accept-ra: false\n"
			"      mtu: 9000\n      optional: true\n    right:\n";
	Sparkbus__SetNetworkRequest r = request();
	SB_CLEANUP(sb_freep) char *text = NULL;
	struct stat st;
	char path[256];

	folder("/etc/netplan");
	start("auto");
	ck_assert_int_eq(set(&r, DONE), 0);
	text = content("/etc/netplan/90-sparkbus.yaml");
	ck_assert_ptr_nonnull(text);
	ck_assert_msg(strncmp(text, want, strlen(want)) == 0, "%s", text);
	snprintf(path, sizeof(path), "%s/etc/netplan/90-sparkbus.yaml", root);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert(confirm(true));
	ck_assert_ptr_null(content("/etc/netplan/90-sparkbus.yaml"));
}
END_TEST

START_TEST(networkd_gets_one_for_each_interface)
{
	Sparkbus__SetNetworkRequest r = request();
	SB_CLEANUP(sb_freep) char *text = NULL;

	folder("/run/systemd/netif");
	folder("/etc/systemd/network");
	start("auto");
	ck_assert_int_eq(set(&r, DONE), 0);
	text = content("/etc/systemd/network/90-sparkbus-right.network");
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "[Match]\nName=right\n"));
	ck_assert_ptr_nonnull(strstr(text, "MTUBytes=9000\n"));
	ck_assert_ptr_nonnull(strstr(text, "Address=192.168.101.11/24\n"));
}
END_TEST

START_TEST(another_file_for_the_same_interface_is_told)
{
	Sparkbus__SetNetworkRequest r = request();
	Sparkbus__SetNetworkReply *reply = NULL;
	char path[256];

	folder("/etc/netplan");
	snprintf(path, sizeof(path), "%s/etc/netplan/40-cx7.yaml", root);
	ck_assert_int_eq(sb_fs_write(path, "  left:\n  rightmost:\n", 21, 0600, NULL), 0);
	start("auto");
	r.dry_run = true;
	ck_assert_int_eq(sb_netconf_set(netconf, &r, "eth0", &reply, NULL), 0);
	ck_assert_uint_eq(reply->n_warnings, 1);
	ck_assert_ptr_nonnull(strstr(reply->warnings[0], "40-cx7.yaml speaks of left, too"));
	ck_assert_uint_eq(reply->n_files, 1);
	ck_assert_uint_eq(reply->n_before, 2);
	ck_assert_str_eq(reply->before[1]->addresses[0], "10.0.1.1/24");
	ck_assert(is_old());
	ck_assert_ptr_null(content("/etc/netplan/90-sparkbus.yaml"));
	sparkbus__set_network_reply__free_unpacked(reply, NULL);
}
END_TEST

/* --- what is refused --- */

static const struct {
	const char *name, *address;
	uint32_t mtu, confirm_ms;
	int rc;
} bad[] = {
	{ "eth0", "192.168.1.1/24", 0, 9000, -SB_E_INVALID }, /* management */
	{ "nosuch", "192.168.1.1/24", 0, 9000, -SB_E_NOT_FOUND },
	{ "../x", "192.168.1.1/24", 0, 9000, -SB_E_INVALID },
	{ "a: {b", "192.168.1.1/24", 0, 9000, -SB_E_INVALID },
	{ "averyverylongname", "192.168.1.1/24", 0, 9000, -SB_E_INVALID },
	{ "left", "192.168.1.1", 0, 9000, -SB_E_INVALID },
	{ "left", "192.168.1.1/0", 0, 9000, -SB_E_INVALID },
	{ "left", "192.168.1.1/24]\n", 0, 9000, -SB_E_INVALID },
	{ "left", "fe80::1/64", 0, 9000, -SB_E_INVALID },
	{ "left", "192.168.1.1/24", 100000, 9000, -SB_E_RANGE },
	{ "left", "192.168.1.1/24", 0, 0, -SB_E_RANGE },
	{ "left", "192.168.1.1/24", 0, UINT32_MAX, -SB_E_RANGE },
};

START_TEST(nonsense_touches_nothing)
{
	Sparkbus__SetNetworkRequest r = request();

	start("rtnetlink");
	left_address[0] = (char *)bad[_i].address;
	left.name = (char *)bad[_i].name;
	left.mtu = bad[_i].mtu;
	r.n_interfaces = 1;
	r.confirm_ms = bad[_i].confirm_ms;
	ck_assert_int_eq(set(&r, DONE), bad[_i].rc);
	left_address[0] = (char *)"192.168.100.11/24";
	ck_assert(is_old());
	ck_assert(!confirm(false));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netconf");
	TCase *tc = tcase_create("netconf");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_confirmed_stays);
	tcase_add_test(tc, an_agent_that_ends_puts_it_back_when_it_starts);
	tcase_add_test(tc, nobody_confirms_in_time);
	tcase_add_test(tc, an_operator_takes_it_back);
	tcase_add_test(tc, one_that_fails_takes_the_others_back);
	tcase_add_test(tc, revert_leads_before_the_first_change);
	tcase_add_test(tc, netplan_gets_a_file_that_comes_and_goes_with_the_settings);
	tcase_add_test(tc, networkd_gets_one_for_each_interface);
	tcase_add_test(tc, another_file_for_the_same_interface_is_told);
	tcase_add_loop_test(tc, nonsense_touches_nothing, 0, sb_countof(bad));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
