#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "node_parse.h"
#include "sb_fs.h"
#include "sb_node.h"

#define ADDRESSES_MAX  64u
#define PROC_MAX_BYTES ((size_t)64 << 10)

struct found_address {
	Sparkbus__Address message;
	char interface[IF_NAMESIZE];
	char ip[INET6_ADDRSTRLEN];
	bool is_physical;
	int family;
	unsigned if_index;
};

struct sb_node {
	char *name;
	uint64_t started_ms; /* CLOCK_BOOTTIME */
	struct utsname uts;
	char boot_id[37];
	struct found_address found[ADDRESSES_MAX];
	Sparkbus__Address *addresses[ADDRESSES_MAX];
};

int sb_node_new(const char *name, struct sb_node **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_node_freep) struct sb_node *node = calloc(1, sizeof(*node));

	if (!node)
		return sb_err_nomem(err);
	node->started_ms = sb_now_boot_ms();
	node->name = strdup(name);
	if (!node->name)
		return sb_err_nomem(err);
	*ret = sb_steal(node);
	return 0;
}

void sb_node_free(struct sb_node *node)
{
	if (!node)
		return;
	free(node->name);
	free(node);
}

/* --- addresses --- */

static bool is_link_local(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET6)
		return IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)addr)->sin6_addr);
	return (ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 16) == 0xa9fe;
}

static bool is_wanted(const struct ifaddrs *ifa)
{
	if (!ifa->ifa_addr || !ifa->ifa_netmask || !(ifa->ifa_flags & IFF_UP) ||
			(ifa->ifa_flags & IFF_LOOPBACK))
		return false;
	if (ifa->ifa_addr->sa_family != AF_INET && ifa->ifa_addr->sa_family != AF_INET6)
		return false;
	return !is_link_local(ifa->ifa_addr);
}

static unsigned count_bits(const void *bytes, size_t len)
{
	unsigned bits = 0;

	for (size_t i = 0; i < len; i++)
		bits += (unsigned)__builtin_popcount(((const uint8_t *)bytes)[i]);
	return bits;
}

/* A device of the machine, not a bridge or veth of a container engine. */
static bool is_physical(const char *interface)
{
	char path[64 + IF_NAMESIZE];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", interface);
	return access(path, F_OK) == 0;
}

static void keep_address(const struct ifaddrs *ifa, struct found_address *ret)
{
	bool six = ifa->ifa_addr->sa_family == AF_INET6;
	const void *ip = six ? (const void *)&((struct sockaddr_in6 *)ifa->ifa_addr)->sin6_addr
			     : (const void *)&((struct sockaddr_in *)ifa->ifa_addr)->sin_addr;
	const void *mask = six ? (const void *)&((struct sockaddr_in6 *)ifa->ifa_netmask)->sin6_addr
			       : (const void *)&((struct sockaddr_in *)ifa->ifa_netmask)->sin_addr;

	snprintf(ret->interface, sizeof(ret->interface), "%s", ifa->ifa_name);
	inet_ntop(ifa->ifa_addr->sa_family, ip, ret->ip, sizeof(ret->ip));
	sparkbus__address__init(&ret->message);
	ret->message.prefix_len = count_bits(mask, six ? 16 : 4);
	ret->is_physical = is_physical(ret->interface);
	ret->family = ifa->ifa_addr->sa_family;
	ret->if_index = if_nametoindex(ret->interface);
}

/* Physical first, then as the kernel counts them, IPv4 before IPv6. */
static int by_use(const void *a, const void *b)
{
	const struct found_address *x = a, *y = b;

	if (x->is_physical != y->is_physical)
		return x->is_physical ? -1 : 1;
	if (x->if_index != y->if_index)
		return x->if_index < y->if_index ? -1 : 1;
	if (x->family != y->family)
		return x->family == AF_INET ? -1 : 1;
	return strcmp(x->ip, y->ip);
}

static void fill_addresses(struct sb_node *node, Sparkbus__NodeState *state)
{
	struct ifaddrs *all;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *ifa = all; ifa && n < ADDRESSES_MAX; ifa = ifa->ifa_next)
		if (is_wanted(ifa))
			keep_address(ifa, &node->found[n++]);
	freeifaddrs(all);
	qsort(node->found, n, sizeof(node->found[0]), by_use);
	for (size_t i = 0; i < n; i++) {
		struct found_address *found = &node->found[i];

		found->message.interface = found->interface;
		found->message.ip = found->ip;
		node->addresses[i] = &found->message;
	}
	state->addresses = node->addresses;
	state->n_addresses = n;
}

/* --- procfs --- */

static void fill_memory(Sparkbus__NodeState *state)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (sb_fs_read("/proc/meminfo", PROC_MAX_BYTES, &text, NULL) < 0)
		return;
	if (node_parse_kb(text.data, "MemTotal", &state->memory_total_bytes))
		state->has_memory_total_bytes_case =
				SPARKBUS__NODE_STATE__HAS_MEMORY_TOTAL_BYTES_MEMORY_TOTAL_BYTES;
	if (node_parse_kb(text.data, "MemAvailable", &state->memory_available_bytes))
		state->has_memory_available_bytes_case =
				SPARKBUS__NODE_STATE__HAS_MEMORY_AVAILABLE_BYTES_MEMORY_AVAILABLE_BYTES;
}

static void fill_own_pss(Sparkbus__NodeState *state)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (sb_fs_read("/proc/self/smaps_rollup", PROC_MAX_BYTES, &text, NULL) == 0 &&
			node_parse_kb(text.data, "Pss", &state->agent_pss_bytes))
		state->has_agent_pss_bytes_case =
				SPARKBUS__NODE_STATE__HAS_AGENT_PSS_BYTES_AGENT_PSS_BYTES;
}

static void fill_boot_id(struct sb_node *node, Sparkbus__NodeState *state)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (sb_fs_read("/proc/sys/kernel/random/boot_id", PROC_MAX_BYTES, &text, NULL) == 0 &&
			node_parse_boot_id(text.data, node->boot_id))
		state->boot_id = node->boot_id;
}

void sb_node_fill(struct sb_node *node, Sparkbus__NodeState *state)
{
	uint64_t now = sb_now_boot_ms();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	state->name = node->name;
	state->uptime_ms = now;
	state->agent_uptime_ms = now - node->started_ms;
	if (uname(&node->uts) == 0) {
		state->hostname = node->uts.nodename;
		state->kernel = node->uts.release;
		state->machine = node->uts.machine;
	}
	if (cpus > 0)
		state->cpus = (uint32_t)cpus;
	fill_boot_id(node, state);
	fill_memory(state);
	fill_own_pss(state);
	fill_addresses(node, state);
}

/* --- disks --- */

/* Cut @path to its parent; false when there is none. */
static bool to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || strcmp(path, "/") == 0)
		return false;
	slash[slash == path] = '\0';
	return true;
}

int sb_node_disk(const char *path, uint64_t *ret_total, uint64_t *ret_free, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *nearest = strdup(path);
	struct statvfs st;

	if (!nearest)
		return sb_err_nomem(err);
	while (statvfs(nearest, &st) < 0)
		if (errno != ENOENT || !to_parent(nearest))
			return sb_err_errno(err, errno, "%s", path);
	*ret_total = (uint64_t)st.f_blocks * st.f_frsize;
	*ret_free = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
