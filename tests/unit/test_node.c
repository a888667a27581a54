#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "node_parse.h"
#include "sb_node.h"
#include "testdir.h"

/* --- parsers --- */

/* MemTotal as a GB10 reports it: 128 GB less what firmware and display keep. */
static const char spark_meminfo[] = "MemTotal:       127600748 kB\n"
				    "MemFree:         2816680 kB\n"
				    "MemAvailable:   118345600 kB\n"
				    "Buffers:          401020 kB\n"
				    "Cached:         113254976 kB\n"
				    "SwapCached:            0 kB\n"
				    "Active(anon):    1234567 kB\n"
				    "HugePages_Total:       0\n"
				    "Hugepagesize:       2048 kB\n"
				    "Hugetlb:               0 kB\n";

static const char rollup[] = "aaaae1e60000-ffffd4e5d000 ---p 00000000 00:00 0                      "
			     "    [rollup]\n"
			     "Rss:               12032 kB\n"
			     "Pss:                7321 kB\n"
			     "Pss_Dirty:          2204 kB\n"
			     "Pss_Anon:           2200 kB\n";

START_TEST(memory_is_read_by_its_exact_key)
{
	uint64_t bytes = 0;

	ck_assert(node_parse_kb(spark_meminfo, "MemTotal", &bytes));
	ck_assert_uint_eq(bytes, UINT64_C(127600748) * 1024);
	ck_assert(node_parse_kb(spark_meminfo, "MemAvailable", &bytes));
	ck_assert_uint_eq(bytes, UINT64_C(118345600) * 1024);
	ck_assert(node_parse_kb(spark_meminfo, "Cached", &bytes)); /* not SwapCached */
	ck_assert_uint_eq(bytes, UINT64_C(113254976) * 1024);
	ck_assert(node_parse_kb(spark_meminfo, "Active(anon)", &bytes));
	ck_assert(node_parse_kb(rollup, "Pss", &bytes)); /* not Pss_Dirty */
	ck_assert_uint_eq(bytes, 7321 * 1024);
	bytes = 42;
	ck_assert(!node_parse_kb(spark_meminfo, "Mem", &bytes));
	ck_assert(!node_parse_kb(spark_meminfo, "HugePages_Total", &bytes)); /* no kB */
	ck_assert(!node_parse_kb(spark_meminfo, "SwapTotal", &bytes));
	ck_assert_uint_eq(bytes, 42);
}
END_TEST

START_TEST(what_is_no_number_of_kb_is_absent)
{
	static const char *const bad[] = { "", "\n", "K", "K:", "K: ", "K: kB", "K: -1 kB",
		"K: +1 kB", "K: 1 MB", "K: 1", "K: 1kB", "K: 1 kBx", "K: 0x10 kB", "K: 1e5 kB",
		"K: f kB", "K: 99999999999999999999 kB", "K: 18446744073709551615 kB", "XK: 1 kB",
		"K : 1 kB", "K:\n1 kB", "k: 1 kB" };
	uint64_t bytes = 42;

	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!node_parse_kb(bad[i], "K", &bytes), "%s", bad[i]);
	ck_assert_uint_eq(bytes, 42);
	ck_assert(node_parse_kb("a\n\n:\nK:\t 7 kB", "K", &bytes));
	ck_assert_uint_eq(bytes, 7 * 1024);
}
END_TEST

START_TEST(a_socket_line_gives_port_state_and_inode)
{
	struct node_socket sock;

	ck_assert(node_parse_socket("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 "
				    "00:00000000 00000000  1000"
				    "        0 123456 1 0000000000000000 100 0 0 10 0\n",
			&sock));
	ck_assert_uint_eq(sock.port, 8080);
	ck_assert_uint_eq(sock.state, NODE_TCP_LISTEN);
	ck_assert_uint_eq(sock.inode, 123456);
	ck_assert(node_parse_socket("1234: 00000000000000000000000000000000:B7FC "
				    "00000000000000000000000000000000:0000 01"
				    " 00000000:00000000 00:00000000 00000000     0        0 "
				    "4294967299 1 0000000000000000",
			&sock));
	ck_assert_uint_eq(sock.port, 47100);
	ck_assert_uint_eq(sock.state, 1);
	ck_assert_uint_eq(sock.inode, UINT64_C(4294967299));
}
END_TEST

START_TEST(what_is_no_socket_line_is_refused_at_every_length)
{
	static const char line[] = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 "
				   "00:00000000 00000000  1000        0 ";
	static const char *const bad[] = { "", "\n",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
		" "
		"timeout inode",
		"0: 0100007F 0:0 0A 0:0 0:0 0 0 0 1", "0: 0100007F:1F901 0:0 0A 0:0 0:0 0 0 0 1",
		"0: 0100007F:-1 0:0 0A 0:0 0:0 0 0 0 1", "0: 0100007F:1F90 0:0 XX 0:0 0:0 0 0 0 1",
		"0: 0100007F:1F90 0:0 10A 0:0 0:0 0 0 0 1",
		"0: 0100007F:1F90 0:0 0A 0:0 0:0 0 0 0 x", ":::::::::::", "9 9 9 9 9 9 9 9 9 9 9" };
	struct node_socket sock;
	char part[sizeof(line)];

	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!node_parse_socket(bad[i], &sock), "%s", bad[i]);
	for (size_t len = 0; len < sizeof(line); len++) {
		snprintf(part, len + 1, "%s", line);
		ck_assert_msg(!node_parse_socket(part, &sock), "%s", part);
	}
}
END_TEST

START_TEST(links_and_boot_ids_are_checked)
{
	uint64_t inode = 0;
	char id[37] = "x";

	ck_assert(node_parse_socket_link("socket:[123]", &inode));
	ck_assert_uint_eq(inode, 123);
	ck_assert(!node_parse_socket_link("socket:[123", &inode));
	ck_assert(!node_parse_socket_link("socket:[]", &inode));
	ck_assert(!node_parse_socket_link("socket:[-1]", &inode));
	ck_assert(!node_parse_socket_link("pipe:[123]", &inode));
	ck_assert(!node_parse_socket_link("", &inode));
	ck_assert(node_parse_boot_id("0d4e1f3a-90ab-4cde-8f01-23456789abcd\n", id));
	ck_assert_str_eq(id, "0d4e1f3a-90ab-4cde-8f01-23456789abcd");
	ck_assert(!node_parse_boot_id("", id));
	ck_assert(!node_parse_boot_id("0d4e1f3a-90ab-4cde-8f01-23456789abc\n", id));
	ck_assert(!node_parse_boot_id("0d4e1f3a-90ab-4cde-8f01-23456789abcdef", id));
}
END_TEST

/* --- this machine --- */

START_TEST(the_state_is_this_machines)
{
	SB_CLEANUP(sb_node_freep) struct sb_node *node = NULL;
	Sparkbus__NodeState state = SPARKBUS__NODE_STATE__INIT;
	char hostname[256];

	ck_assert_int_eq(sb_node_new("spark1", &node, NULL), 0);
	sb_node_fill(node, &state);
	ck_assert_int_eq(gethostname(hostname, sizeof(hostname)), 0);
	ck_assert_str_eq(state.name, "spark1");
	ck_assert_str_eq(state.hostname, hostname);
	ck_assert_uint_eq(strlen(state.boot_id), 36);
	ck_assert_uint_eq(state.cpus, sysconf(_SC_NPROCESSORS_ONLN));
	ck_assert_uint_le(state.uptime_ms, sb_now_boot_ms());
	ck_assert_uint_gt(state.uptime_ms, state.agent_uptime_ms);
	ck_assert_uint_eq(state.has_memory_total_bytes_case,
			SPARKBUS__NODE_STATE__HAS_MEMORY_TOTAL_BYTES_MEMORY_TOTAL_BYTES);
	ck_assert_uint_eq(state.memory_total_bytes, state.memory_total_bytes / 1024 * 1024);
	ck_assert_uint_lt(state.memory_available_bytes, state.memory_total_bytes);
	ck_assert_uint_gt(state.memory_available_bytes, 0);
	ck_assert_uint_eq(state.has_agent_pss_bytes_case,
			SPARKBUS__NODE_STATE__HAS_AGENT_PSS_BYTES_AGENT_PSS_BYTES);
	ck_assert_uint_gt(state.agent_pss_bytes, 4096);
	ck_assert_uint_lt(state.agent_pss_bytes, UINT64_C(1) << 40);
	ck_assert_uint_gt(strlen(state.kernel) * strlen(state.machine), 0);
	ck_assert_uint_gt(protobuf_c_message_get_packed_size(&state.base), 0);
}
END_TEST

static bool is_local(const char *ip)
{
	struct ifaddrs *all;
	bool found = false;
	char text[INET6_ADDRSTRLEN];

	ck_assert_int_eq(getifaddrs(&all), 0);
	for (struct ifaddrs *ifa = all; ifa; ifa = ifa->ifa_next) {
		if (!ifa->ifa_addr ||
				(ifa->ifa_addr->sa_family != AF_INET &&
						ifa->ifa_addr->sa_family != AF_INET6))
			continue;
		if (ifa->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)ifa->ifa_addr)->sin_addr, text,
					sizeof(text));
		else
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)ifa->ifa_addr)->sin6_addr,
					text, sizeof(text));
		found |= strcmp(text, ip) == 0;
	}
	freeifaddrs(all);
	return found;
}

START_TEST(addresses_can_be_reached_from_elsewhere)
{
	SB_CLEANUP(sb_node_freep) struct sb_node *node = NULL;
	Sparkbus__NodeState state = SPARKBUS__NODE_STATE__INIT;
	bool was_virtual = false;
	char path[128];

	ck_assert_int_eq(sb_node_new("spark1", &node, NULL), 0);
	sb_node_fill(node, &state);
	sb_node_fill(node, &state); /* not appended twice */
	for (size_t i = 0; i < state.n_addresses; i++) {
		const Sparkbus__Address *address = state.addresses[i];

		ck_assert(is_local(address->ip));
		ck_assert_uint_ge(address->prefix_len, 1);
		ck_assert_uint_le(address->prefix_len, strchr(address->ip, ':') ? 128 : 32);
		ck_assert_str_ne(address->interface, "lo");
		ck_assert_int_ne(strncmp(address->ip, "127.", 4), 0);
		ck_assert_int_ne(strncmp(address->ip, "169.254.", 8), 0);
		ck_assert_int_ne(strncmp(address->ip, "fe80:", 5), 0);
		snprintf(path, sizeof(path), "/sys/class/net/%s/device", address->interface);
		if (access(path, F_OK) == 0)
			ck_assert(!was_virtual);
		else
			was_virtual = true;
		for (size_t k = 0; k < i; k++)
			ck_assert(strcmp(state.addresses[k]->ip, address->ip) != 0 ||
					strcmp(state.addresses[k]->interface, address->interface) !=
							0);
	}
}
END_TEST

START_TEST(a_disk_has_a_size_even_below_what_exists)
{
	uint64_t total = 0, avail = 0, total2 = 0, avail2 = 0;
	char path[512];
	struct sb_err err;

	ck_assert_int_eq(sb_node_disk(testdir, &total, &avail, &err), 0);
	ck_assert_uint_gt(total, 0);
	ck_assert_uint_le(avail, total);
	snprintf(path, sizeof(path), "%s/not/made/yet", testdir);
	ck_assert_int_eq(sb_node_disk(path, &total2, &avail2, &err), 0);
	ck_assert_uint_eq(total2, total);
	ck_assert_int_eq(sb_node_disk("/no-such-folder-here", &total, &avail, &err), 0);
	ck_assert_int_eq(sb_node_disk("/proc/version/x", &total, &avail, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_node_disk("", &total, &avail, &err), -SB_E_NOT_FOUND);
}
END_TEST

/* --- ports --- */

/* A socket on an ephemeral port of @address; -1 where the machine does not have that family. */
static int bound(int family, const char *address, uint16_t *ret_port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	bool is_six = family == AF_INET6;
	struct sockaddr *addr = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t len = is_six ? sizeof(six) : sizeof(four);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	inet_pton(family, address, is_six ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	if (is_six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, addr, len) < 0 || getsockname(fd, addr, &len) < 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(is_six ? six.sin6_port : four.sin_port);
	return fd;
}

static const struct {
	int family;
	const char *address;
} listeners[] = {
	{ AF_INET, "0.0.0.0" },
	{ AF_INET, "127.0.0.1" },
	{ AF_INET, "127.7.7.7" },
	{ AF_INET6, "::" },
	{ AF_INET6, "::1" },
};

/* What others see; in an emulator, the emulator. */
static void own_name(char name[16])
{
	FILE *f = fopen("/proc/self/comm", "re");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%15[^\n]", name), 1);
	fclose(f);
}

START_TEST(a_listener_makes_its_port_busy_and_is_named)
{
	uint16_t port = 0;
	bool busy = true;
	char who[128] = "x", me[64], name[16] = "";
	struct sb_err err;
	int fd = bound(listeners[_i].family, listeners[_i].address, &port);

	if (fd < 0) {
		fprintf(stderr, "# skipped: no %s here\n", listeners[_i].address);
		return;
	}
	ck_assert_int_eq(sb_node_port_busy(port, &busy, who, sizeof(who), &err), 0);
	ck_assert(!busy); /* bound is not listening */
	ck_assert_str_eq(who, "");
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(sb_node_port_busy(port, &busy, who, sizeof(who), &err), 0);
	ck_assert(busy);
	own_name(name);
	snprintf(me, sizeof(me), "%s (pid %d)", name, (int)getpid());
	ck_assert_str_eq(who, me);
	ck_assert_int_eq(sb_node_port_busy(port, &busy, NULL, 0, &err), 0);
	ck_assert(busy);
	ck_assert_int_eq(sb_node_port_busy(port, &busy, who, 5, &err), 0);
	ck_assert_uint_eq(strlen(who), 4);
	ck_assert_int_eq(strncmp(who, me, 4), 0);
	close(fd);
	ck_assert_int_eq(sb_node_port_busy(port, &busy, who, sizeof(who), &err), 0);
	ck_assert(!busy);
}
END_TEST

START_TEST(a_connection_is_no_listener)
{
	uint16_t port = 0;
	bool busy = true;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	char who[64];
	int fd = bound(AF_INET, "127.0.0.1", &port), client = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(listen(fd, 1), 0);
	addr.sin_port = htons(port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(getsockname(client, (struct sockaddr *)&own, &len), 0);
	ck_assert_int_eq(sb_node_port_busy(ntohs(own.sin_port), &busy, who, sizeof(who), NULL), 0);
	ck_assert(!busy);
	close(client);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node");
	TCase *tc = tcase_create("node");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_test(tc, memory_is_read_by_its_exact_key);
	tcase_add_test(tc, what_is_no_number_of_kb_is_absent);
	tcase_add_test(tc, a_socket_line_gives_port_state_and_inode);
	tcase_add_test(tc, what_is_no_socket_line_is_refused_at_every_length);
	tcase_add_test(tc, links_and_boot_ids_are_checked);
	tcase_add_test(tc, the_state_is_this_machines);
	tcase_add_test(tc, addresses_can_be_reached_from_elsewhere);
	tcase_add_test(tc, a_disk_has_a_size_even_below_what_exists);
	tcase_add_loop_test(
			tc, a_listener_makes_its_port_busy_and_is_named, 0, sb_countof(listeners));
	tcase_add_test(tc, a_connection_is_no_listener);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
