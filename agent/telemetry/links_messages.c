/* links_messages.c - messages of rtnetlink into the tables of the model. */
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>

#include "links_model.h"

#define TEXT_MAX 64u
#define MAC_MAX  20u /* bytes; InfiniBand's is the longest */

/* --- values --- */

/* The kernel ends some names with a NUL and others not. */
static void set_text(char **field, const struct nlattr *attr)
{
	char text[TEXT_MAX] = "";
	size_t len = attr ? (size_t)nla_len(attr) : 0;

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	if (len)
		memcpy(text, nla_data(attr), len);
	sb_text_clean(text);
	links_set(field, text);
}

static void set_mac(char **field, const struct nlattr *attr)
{
	char text[MAC_MAX * 3 + 1] = "";
	size_t len = attr ? (size_t)nla_len(attr) : 0;
	const uint8_t *bytes = attr ? nla_data(attr) : NULL;

	for (size_t i = 0; i < len && i < MAC_MAX; i++)
		snprintf(text + (i ? i * 3 - 1 : 0), 4, i ? ":%02x" : "%02x", bytes[i]);
	links_set(field, text);
}

/* Return: false for what is no address of that family. */
static bool ip_text(int family, const struct nlattr *attr, char ret[INET6_ADDRSTRLEN])
{
	size_t want = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;

	return want && attr && (size_t)nla_len(attr) == want &&
			inet_ntop(family, nla_data(attr), ret, INET6_ADDRSTRLEN);
}

static uint32_t number(struct nlattr **attrs, int type)
{
	return attrs[type] ? nla_get_u32(attrs[type]) : 0;
}

/* --- links --- */

static struct nla_policy link_policy[IFLA_MAX + 1] = {
	[IFLA_MTU] = { .type = NLA_U32 },
	[IFLA_MASTER] = { .type = NLA_U32 },
	[IFLA_OPERSTATE] = { .type = NLA_U8 },
	[IFLA_CARRIER] = { .type = NLA_U8 },
	[IFLA_CARRIER_CHANGES] = { .type = NLA_U32 },
	[IFLA_LINKINFO] = { .type = NLA_NESTED },
	[IFLA_PROP_LIST] = { .type = NLA_NESTED },
};

static void take_kind(Sparkbus__Link *link, struct nlattr *info)
{
	struct nlattr *attrs[IFLA_INFO_MAX + 1] = { NULL };

	if (info && nla_parse_nested(attrs, IFLA_INFO_MAX, info, NULL) < 0)
		return;
	set_text(&link->kind, attrs[IFLA_INFO_KIND]);
}

static void take_alt_names(Sparkbus__Link *link, const struct nlattr *list)
{
	struct nlattr *attr;
	int left;

	for (size_t i = 0; i < link->n_alt_names; i++)
		free(link->alt_names[i]);
	free(link->alt_names);
	link->alt_names = NULL;
	link->n_alt_names = 0;
	if (!list)
		return;
	nla_for_each_nested(attr, list, left)
	{
		char **longer, *name = (char *)protobuf_c_empty_string;

		if (nla_type(attr) != IFLA_ALT_IFNAME)
			continue;
		set_text(&name, attr);
		longer = *name ? realloc(link->alt_names, (link->n_alt_names + 1) * sizeof(*longer))
			       : NULL;
		if (!longer) {
			if (*name)
				free(name);
			return;
		}
		link->alt_names = longer;
		link->alt_names[link->n_alt_names++] = name;
	}
}

static void fill_link(struct entry *entry, const struct ifinfomsg *info, struct nlattr **attrs)
{
	const struct nlattr *bus = attrs[IFLA_PARENT_DEV_BUS_NAME];
	bool on_pci = bus && nla_len(bus) >= 3 && !memcmp(nla_data(bus), "pci", 3);
	Sparkbus__Link *link = entry->message;

	link->index = entry->index;
	set_text(&link->name, attrs[IFLA_IFNAME]);
	set_mac(&link->mac, attrs[IFLA_ADDRESS]);
	set_text(&link->port_name, attrs[IFLA_PHYS_PORT_NAME]);
	set_text(&link->pci, on_pci ? attrs[IFLA_PARENT_DEV_NAME] : NULL);
	take_kind(link, attrs[IFLA_LINKINFO]);
	take_alt_names(link, attrs[IFLA_PROP_LIST]);
	link->admin_up = info->ifi_flags & IFF_UP;
	link->has_carrier_case = attrs[IFLA_CARRIER] ? SPARKBUS__LINK__HAS_CARRIER_CARRIER
						     : SPARKBUS__LINK__HAS_CARRIER__NOT_SET;
	link->carrier = attrs[IFLA_CARRIER] && nla_get_u8(attrs[IFLA_CARRIER]);
	link->oper_state = attrs[IFLA_OPERSTATE] ? nla_get_u8(attrs[IFLA_OPERSTATE]) : 0;
	link->mtu = number(attrs, IFLA_MTU);
	link->carrier_changes = number(attrs, IFLA_CARRIER_CHANGES);
	entry->master = number(attrs, IFLA_MASTER);
}

/* Of a link that is gone, everything is. */
static void remove_of(struct links_model *m, enum links_kind kind, unsigned index)
{
	for (size_t i = m->tables[kind].n; i-- > 0;)
		if (m->tables[kind].entries[i].index == index)
			links_remove(m, kind, i);
}

static bool apply_link(struct links_model *m, const struct nlmsghdr *h, unsigned *ret_index)
{
	struct nlattr *attrs[IFLA_MAX + 1];
	const struct ifinfomsg *info = NLMSG_DATA(h);
	struct table *table = &m->tables[LINKS_LINK];
	struct entry *entry;
	size_t at = 0;

	/* A bridge speaks of its ports in the same words, and WLAN drivers of scans. */
	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*info), attrs, IFLA_MAX, link_policy) < 0 ||
			info->ifi_family != AF_UNSPEC || info->ifi_index <= 0 ||
			attrs[IFLA_WIRELESS])
		return false;
	*ret_index = (unsigned)info->ifi_index;
	if (h->nlmsg_type == RTM_DELLINK) {
		for (int kind = 0; kind < LINKS_KIND_COUNT_; kind++)
			remove_of(m, kind, *ret_index);
		return true;
	}
	while (at < table->n && table->entries[at].index < *ret_index)
		at++;
	entry = at < table->n && table->entries[at].index == *ret_index
			? &table->entries[at]
			: links_insert(m, LINKS_LINK, at, *ret_index);
	if (!entry)
		return false;
	entry->seen = true;
	if (((Sparkbus__Link *)entry->message)->admin_up && !(info->ifi_flags & IFF_UP))
		m->routes_stale = true;
	fill_link(entry, info, attrs);
	links_forget_view(m); /* names of masters and routes may be others now */
	return true;
}

/* --- addresses and neighbours --- */

static bool apply_address(struct links_model *m, const struct nlmsghdr *h, unsigned *ret_index)
{
	struct nlattr *attrs[IFA_MAX + 1];
	const struct ifaddrmsg *info = NLMSG_DATA(h);
	struct table *table = &m->tables[LINKS_ADDRESS];
	char ip[INET6_ADDRSTRLEN];
	Sparkbus__LinkAddress *address;
	struct entry *entry = NULL;
	uint32_t flags;
	size_t at;

	/* IFA_ADDRESS is the other end of a point-to-point link. */
	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*info), attrs, IFA_MAX, NULL) < 0 ||
			!ip_text(info->ifa_family,
					attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS],
					ip))
		return false;
	for (at = 0; at < table->n; at++) {
		address = table->entries[at].message;
		if (table->entries[at].index == info->ifa_index && strcmp(address->ip, ip) == 0 &&
				address->prefix_len == info->ifa_prefixlen)
			break;
	}
	*ret_index = info->ifa_index;
	if (h->nlmsg_type == RTM_DELADDR) {
		m->routes_stale = true;
		if (at < table->n)
			links_remove(m, LINKS_ADDRESS, at);
		return true;
	}
	entry = at < table->n ? &table->entries[at]
			      : links_insert(m, LINKS_ADDRESS, at, info->ifa_index);
	if (!entry)
		return false;
	flags = attrs[IFA_FLAGS] && nla_len(attrs[IFA_FLAGS]) >= 4 ? nla_get_u32(attrs[IFA_FLAGS])
								   : info->ifa_flags;
	entry->seen = true;
	address = entry->message;
	links_set(&address->ip, ip);
	address->prefix_len = info->ifa_prefixlen;
	address->tentative = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED);
	links_forget_view(m);
	return true;
}

static bool apply_neighbour(struct links_model *m, const struct nlmsghdr *h, unsigned *ret_index)
{
	struct nlattr *attrs[NDA_MAX + 1];
	const struct ndmsg *info = NLMSG_DATA(h);
	struct table *table = &m->tables[LINKS_NEIGHBOUR];
	char ip[INET6_ADDRSTRLEN];
	Sparkbus__Neighbour *neighbour;
	struct entry *entry;
	bool gone;
	size_t at;

	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*info), attrs, NDA_MAX, NULL) < 0 ||
			info->ndm_ifindex <= 0 || !ip_text(info->ndm_family, attrs[NDA_DST], ip))
		return false;
	for (at = 0; at < table->n; at++) {
		neighbour = table->entries[at].message;
		if (table->entries[at].index == (unsigned)info->ndm_ifindex &&
				strcmp(neighbour->ip, ip) == 0)
			break;
	}
	/* Entries that answer for themselves (multicast, loopback) say nothing of who is there. */
	gone = h->nlmsg_type == RTM_DELNEIGH || !info->ndm_state || info->ndm_state & NUD_NOARP;
	if (gone) {
		if (at < table->n)
			links_remove(m, LINKS_NEIGHBOUR, at);
		return true;
	}
	entry = at < table->n ? &table->entries[at]
			      : links_insert(m, LINKS_NEIGHBOUR, at, (unsigned)info->ndm_ifindex);
	if (!entry)
		return false;
	entry->seen = true;
	neighbour = entry->message;
	links_set(&neighbour->ip, ip);
	set_mac(&neighbour->mac, attrs[NDA_LLADDR]);
	neighbour->state = info->ndm_state;
	links_forget_view(m);
	return true;
}

/* --- routes --- */

static struct nla_policy route_policy[RTA_MAX + 1] = {
	[RTA_OIF] = { .type = NLA_U32 },
	[RTA_PRIORITY] = { .type = NLA_U32 },
	[RTA_TABLE] = { .type = NLA_U32 },
	[RTA_PREFSRC] = { .minlen = 4 },
};

/* Of a route with several ways, the first. */
static void first_way(struct nlattr **attrs)
{
	struct rtnexthop *way = attrs[RTA_MULTIPATH] ? nla_data(attrs[RTA_MULTIPATH]) : NULL;
	size_t room = way ? (size_t)nla_len(attrs[RTA_MULTIPATH]) : 0;
	struct nlattr *of[RTA_MAX + 1];

	if (room < sizeof(*way) || way->rtnh_len < sizeof(*way) || way->rtnh_len > room)
		return;
	if (nla_parse(of, RTA_MAX, (struct nlattr *)(void *)RTNH_DATA(way),
			    (int)(way->rtnh_len - sizeof(*way)), NULL) == 0)
		attrs[RTA_GATEWAY] = of[RTA_GATEWAY];
}

static unsigned way_index(struct nlattr **attrs)
{
	const struct nlattr *ways = attrs[RTA_MULTIPATH];

	if (attrs[RTA_OIF])
		return nla_get_u32(attrs[RTA_OIF]);
	if (!ways || (size_t)nla_len(ways) < sizeof(struct rtnexthop))
		return 0;
	return (unsigned)((const struct rtnexthop *)nla_data(ways))->rtnh_ifindex;
}

/* The routes of people: IPv4, to somewhere, in the main table. */
static bool parse_route(const struct nlmsghdr *h, struct nlattr **attrs, Sparkbus__Route *ret)
{
	const struct rtmsg *info = NLMSG_DATA(h);
	char network[INET6_ADDRSTRLEN] = "", gateway[INET6_ADDRSTRLEN] = "";

	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*info), attrs, RTA_MAX, route_policy) < 0 ||
			info->rtm_family != AF_INET || info->rtm_type != RTN_UNICAST ||
			info->rtm_flags & RTM_F_CLONED)
		return false;
	if ((attrs[RTA_TABLE] ? nla_get_u32(attrs[RTA_TABLE]) : info->rtm_table) != RT_TABLE_MAIN)
		return false;
	first_way(attrs);
	if (info->rtm_dst_len && !ip_text(AF_INET, attrs[RTA_DST], network))
		return false;
	if (attrs[RTA_GATEWAY] && !ip_text(AF_INET, attrs[RTA_GATEWAY], gateway))
		return false;
	links_set(&ret->network, network);
	links_set(&ret->gateway, gateway);
	ret->prefix_len = info->rtm_dst_len;
	ret->metric = number(attrs, RTA_PRIORITY);
	return true;
}

static bool same_goal(const Sparkbus__Route *x, const Sparkbus__Route *y)
{
	return x->prefix_len == y->prefix_len && x->metric == y->metric &&
			strcmp(x->network, y->network) == 0;
}

static void remove_goal(struct links_model *m, const Sparkbus__Route *route)
{
	for (size_t i = m->tables[LINKS_ROUTE].n; i-- > 0;)
		if (same_goal(m->tables[LINKS_ROUTE].entries[i].message, route))
			links_remove(m, LINKS_ROUTE, i);
}

static size_t find_route(const struct table *table, const Sparkbus__Route *route, unsigned index)
{
	size_t at;

	for (at = 0; at < table->n; at++) {
		const Sparkbus__Route *known = table->entries[at].message;

		if (table->entries[at].index == index && same_goal(known, route) &&
				strcmp(known->gateway, route->gateway) == 0)
			break;
	}
	return at;
}

static void free_texts(Sparkbus__Route *route)
{
	links_set(&route->network, "");
	links_set(&route->gateway, "");
}

static bool apply_route(struct links_model *m, const struct nlmsghdr *h, unsigned *ret_index)
{
	SB_CLEANUP(free_texts) Sparkbus__Route route = SPARKBUS__ROUTE__INIT;
	struct nlattr *attrs[RTA_MAX + 1];
	struct table *table = &m->tables[LINKS_ROUTE];
	struct entry *entry;
	Sparkbus__Route *own;
	unsigned index;
	size_t at;

	if (!parse_route(h, attrs, &route))
		return false;
	index = way_index(attrs);
	if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_flags & NLM_F_REPLACE)
		remove_goal(m, &route); /* nothing else says that the one before is gone */
	at = find_route(table, &route, index);
	if (h->nlmsg_type == RTM_DELROUTE) {
		if (at < table->n)
			links_remove(m, LINKS_ROUTE, at);
		return true;
	}
	entry = at < table->n ? &table->entries[at] : links_insert(m, LINKS_ROUTE, at, index);
	if (!entry)
		return false;
	entry->seen = true;
	entry->source = number(attrs, RTA_PREFSRC);
	own = entry->message;
	links_set(&own->network, route.network);
	links_set(&own->gateway, route.gateway);
	own->prefix_len = route.prefix_len;
	own->metric = route.metric;
	links_forget_view(m);
	return true;
}

bool links_model_apply(struct links_model *m, const struct nlmsghdr *h, unsigned *ret_index)
{
	static const struct {
		uint16_t add, del;
		bool (*apply)(struct links_model *, const struct nlmsghdr *, unsigned *);
	} rows[] = {
		{ RTM_NEWLINK, RTM_DELLINK, apply_link },
		{ RTM_NEWADDR, RTM_DELADDR, apply_address },
		{ RTM_NEWNEIGH, RTM_DELNEIGH, apply_neighbour },
		{ RTM_NEWROUTE, RTM_DELROUTE, apply_route },
	};

	*ret_index = 0;
	for (size_t i = 0; i < sb_countof(rows); i++)
		if (h->nlmsg_type == rows[i].add || h->nlmsg_type == rows[i].del)
			return rows[i].apply(m, h, ret_index);
	return false;
}
