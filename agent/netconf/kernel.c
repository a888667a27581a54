/* kernel.c - addresses and MTU by rtnetlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

#define ADDRESSES_MAX 16u

bool netconf_parse(const char *text, uint32_t *ret_ip, unsigned *ret_prefix)
{
	char ip[INET_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	struct in_addr addr;
	char end;

	if (len >= sizeof(ip) || sscanf(text + len, "/%2u%c", ret_prefix, &end) != 1 ||
			*ret_prefix < 1 || *ret_prefix > 31)
		return false;
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, &addr) != 1)
		return false;
	*ret_ip = addr.s_addr;
	return true;
}

/* --- reading --- */

static unsigned prefix_of(const struct sockaddr *mask)
{
	return (unsigned)__builtin_popcount(((const struct sockaddr_in *)mask)->sin_addr.s_addr);
}

static int add_address(Sparkbus__InterfaceSetting *ret, const struct ifaddrs *ifa)
{
	char ip[INET_ADDRSTRLEN], *text = NULL;
	char **grown;

	if (ret->n_addresses == ADDRESSES_MAX)
		return 0;
	grown = reallocarray(ret->addresses, ret->n_addresses + 1, sizeof(*grown));
	if (!grown)
		return -SB_E_NOMEM;
	ret->addresses = grown;
	inet_ntop(AF_INET, &((const struct sockaddr_in *)ifa->ifa_addr)->sin_addr, ip, sizeof(ip));
	if (asprintf(&text, "%s/%u", ip, prefix_of(ifa->ifa_netmask)) < 0)
		return -SB_E_NOMEM;
	grown[ret->n_addresses++] = text;
	return 0;
}

static int read_mtu(const char *name, uint32_t *ret)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	rc = ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : 0;
	close(fd);
	*ret = (uint32_t)request.ifr_mtu;
	return rc;
}

static int read_setting(const char *name, Sparkbus__InterfaceSetting *ret, struct sb_err *err)
{
	struct ifaddrs *all = NULL;
	int rc = read_mtu(name, &ret->mtu);

	if (rc < 0)
		return rc == -ENODEV ? sb_err_set(err, SB_E_NOT_FOUND, "no interface '%s'", name)
				     : sb_err_errno(err, -rc, "interface %s", name);
	ret->name = strdup(name);
	if (!ret->name) {
		ret->name = (char *)protobuf_c_empty_string;
		return sb_err_nomem(err);
	}
	if (getifaddrs(&all) < 0)
		return sb_err_errno(err, errno, "addresses of %s", name);
	for (struct ifaddrs *ifa = all; ifa && rc == 0; ifa = ifa->ifa_next)
		if (strcmp(ifa->ifa_name, name) == 0 && ifa->ifa_addr && ifa->ifa_netmask &&
				ifa->ifa_addr->sa_family == AF_INET)
			rc = add_address(ret, ifa);
	freeifaddrs(all);
	return rc < 0 ? sb_err_nomem(err) : 0;
}

/* --- writing --- */

static int change(struct nl_sock *sock, struct nl_msg *msg, const char *name, const char *what,
		struct sb_err *err)
{
	int rc = nl_send_sync(sock, msg); /* frees it */

	/* What is there already, or gone already, is as it should be. */
	if (rc == 0 || rc == -NLE_EXIST || rc == -NLE_NOADDR)
		return 0;
	return sb_err_set(err, SB_E_INTERNAL, "%s: %s: %s", name, what, nl_geterror(rc));
}

static int change_address(struct nl_sock *sock, const char *name, unsigned index, const char *text,
		bool add, struct sb_err *err)
{
	struct ifaddrmsg head = { .ifa_family = AF_INET, .ifa_index = index };
	struct nl_msg *msg = nlmsg_alloc_simple(
			add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	uint32_t ip, broadcast;
	unsigned prefix;

	if (!msg)
		return sb_err_nomem(err);
	if (!netconf_parse(text, &ip, &prefix)) {
		nlmsg_free(msg);
		return sb_err_set(err, SB_E_INVALID, "%s: '%s' is no address", name, text);
	}
	head.ifa_prefixlen = (uint8_t)prefix;
	broadcast = ip | htonl(0xffffffffu >> prefix);
	if (nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0 ||
			nla_put_u32(msg, IFA_LOCAL, ip) < 0 ||
			nla_put_u32(msg, IFA_ADDRESS, ip) < 0 ||
			(add && prefix < 31 && nla_put_u32(msg, IFA_BROADCAST, broadcast) < 0)) {
		nlmsg_free(msg);
		return sb_err_nomem(err);
	}
	return change(sock, msg, name, text, err);
}

static int change_link(struct nl_sock *sock, const char *name, unsigned index, uint32_t mtu,
		struct sb_err *err)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
		.ifi_index = (int)index,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, 0);

	if (!msg)
		return sb_err_nomem(err);
	if (nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0 ||
			(mtu && nla_put_u32(msg, IFLA_MTU, mtu) < 0)) {
		nlmsg_free(msg);
		return sb_err_nomem(err);
	}
	return change(sock, msg, name, "mtu", err);
}

static bool has(const Sparkbus__InterfaceSetting *setting, const char *address)
{
	for (size_t i = 0; i < setting->n_addresses; i++)
		if (strcmp(setting->addresses[i], address) == 0)
			return true;
	return false;
}

/* Every address of @of that @but does not have is added or removed. */
static int change_addresses(struct nl_sock *sock, unsigned index,
		const Sparkbus__InterfaceSetting *of, const Sparkbus__InterfaceSetting *but,
		bool add, struct sb_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < of->n_addresses && rc == 0; i++)
		if (!has(but, of->addresses[i]))
			rc = change_address(sock, but->name, index, of->addresses[i], add, err);
	return rc;
}

/* With a first address the kernel may take others of its network along: so look again between. */
static int apply_with(
		struct nl_sock *sock, const Sparkbus__InterfaceSetting *want, struct sb_err *err)
{
	Sparkbus__InterfaceSetting before = SPARKBUS__INTERFACE_SETTING__INIT;
	Sparkbus__InterfaceSetting after = SPARKBUS__INTERFACE_SETTING__INIT;
	unsigned index = if_nametoindex(want->name);
	int rc = read_setting(want->name, &before, err);

	if (rc == 0)
		rc = change_link(sock, want->name, index, want->mtu == before.mtu ? 0 : want->mtu,
				err);
	if (rc == 0)
		rc = change_addresses(sock, index, &before, want, false, err);
	if (rc == 0)
		rc = read_setting(want->name, &after, err);
	if (rc == 0)
		rc = change_addresses(sock, index, want, &after, true, err);
	sb_netconf_setting_done(&before);
	sb_netconf_setting_done(&after);
	return rc;
}

static int apply_setting(const Sparkbus__InterfaceSetting *want, struct sb_err *err)
{
	struct nl_sock *sock = nl_socket_alloc();
	int rc = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

	if (rc < 0)
		rc = sb_err_set(err, SB_E_INTERNAL, "rtnetlink: %s", nl_geterror(rc));
	else
		rc = apply_with(sock, want, err);
	if (sock)
		nl_socket_free(sock);
	return rc;
}

const struct sb_netconf_ops sb_netconf_rtnetlink = { read_setting, apply_setting };
