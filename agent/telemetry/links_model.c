/* links_model.c - links, addresses, neighbours and routes, kept from messages of rtnetlink.
 *
 * One table for each kind. An entry is the message of the agent's own answer, so that a view of
 * the whole is only pointers. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "links_model.h"

static const struct kind {
	size_t max;
	const ProtobufCMessageDescriptor *type;
} kinds[] = {
	[LINKS_LINK] = { LINKS_MAX, &sparkbus__link__descriptor },
	[LINKS_ADDRESS] = { ADDRESSES_MAX, &sparkbus__link_address__descriptor },
	[LINKS_NEIGHBOUR] = { NEIGHBOURS_MAX, &sparkbus__neighbour__descriptor },
	[LINKS_ROUTE] = { ROUTES_MAX, &sparkbus__route__descriptor },
};
static_assert(sb_countof(kinds) == LINKS_KIND_COUNT_, "a row per kind");

/* --- tables --- */

void links_forget_view(struct links_model *m)
{
	const struct table *links = &m->tables[LINKS_LINK];

	if (!m->viewed)
		return;
	for (size_t i = 0; i < links->n; i++) {
		Sparkbus__Link *link = links->entries[i].message;

		link->addresses = NULL;
		link->n_addresses = 0;
		link->neighbours = NULL;
		link->n_neighbours = 0;
		link->heard = NULL; /* lent by hear.c */
		link->n_heard = 0;
	}
	free(m->parts);
	m->parts = NULL;
	m->viewed = false;
}

void links_remove(struct links_model *m, enum links_kind kind, size_t at)
{
	struct table *table = &m->tables[kind];

	links_forget_view(m);
	protobuf_c_message_free_unpacked(table->entries[at].message, NULL);
	memmove(&table->entries[at], &table->entries[at + 1],
			(--table->n - at) * sizeof(*table->entries));
}

struct entry *links_insert(struct links_model *m, enum links_kind kind, size_t at, unsigned index)
{
	struct table *table = &m->tables[kind];
	struct entry *entries;
	void *message;

	if (table->n == kinds[kind].max)
		return NULL;
	links_forget_view(m);
	message = malloc(kinds[kind].type->sizeof_message);
	entries = realloc(table->entries, (table->n + 1) * sizeof(*entries));
	if (entries)
		table->entries = entries;
	if (!message || !entries) {
		free(message);
		return NULL;
	}
	protobuf_c_message_init(kinds[kind].type, message);
	memmove(&entries[at + 1], &entries[at], (table->n++ - at) * sizeof(*entries));
	entries[at] = (struct entry){ .message = message, .index = index, .seen = true };
	return &entries[at];
}

struct links_model *links_model_new(void)
{
	return calloc(1, sizeof(struct links_model));
}

void links_model_free(struct links_model *m)
{
	if (!m)
		return;
	links_forget_view(m);
	for (int kind = 0; kind < LINKS_KIND_COUNT_; kind++) {
		for (size_t i = 0; i < m->tables[kind].n; i++)
			protobuf_c_message_free_unpacked(m->tables[kind].entries[i].message, NULL);
		free(m->tables[kind].entries);
	}
	free(m);
}

void links_model_begin(struct links_model *m, enum links_kind kind)
{
	for (size_t i = 0; i < m->tables[kind].n; i++)
		m->tables[kind].entries[i].seen = false;
	if (kind == LINKS_ROUTE)
		m->routes_stale = false;
}

void links_model_end(struct links_model *m, enum links_kind kind)
{
	for (size_t i = m->tables[kind].n; i-- > 0;)
		if (!m->tables[kind].entries[i].seen)
			links_remove(m, kind, i);
}

bool links_model_routes_stale(const struct links_model *m)
{
	return m->routes_stale;
}

void links_set(char **field, const char *value)
{
	char *copy;

	if (strcmp(*field, value) == 0)
		return;
	copy = *value ? strdup(value) : NULL;
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = copy ? copy : (char *)protobuf_c_empty_string;
}

/* --- the view --- */

const Sparkbus__Link *links_model_link(struct links_model *m, unsigned index)
{
	const struct table *table = &m->tables[LINKS_LINK];

	for (size_t i = 0; i < table->n; i++)
		if (table->entries[i].index == index)
			return table->entries[i].message;
	return NULL;
}

static const char *name_of(struct links_model *m, unsigned index)
{
	const Sparkbus__Link *link = index ? links_model_link(m, index) : NULL;

	return link ? link->name : "";
}

/* Pointers to the entries of @index in @table, from @parts on. Return: how many. */
static size_t gather(const struct table *table, unsigned index, void **parts)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++)
		if (table->entries[i].index == index)
			parts[n++] = table->entries[i].message;
	return n;
}

static void view_links(struct links_model *m)
{
	const struct table *addresses = &m->tables[LINKS_ADDRESS];
	const struct table *neighbours = &m->tables[LINKS_NEIGHBOUR];
	void **next;

	m->parts = calloc(addresses->n + neighbours->n + 1, sizeof(*m->parts));
	next = m->parts;
	for (size_t i = 0; i < m->tables[LINKS_LINK].n; i++) {
		const struct entry *entry = &m->tables[LINKS_LINK].entries[i];
		Sparkbus__Link *link = entry->message;

		m->links[i] = link;
		links_set(&link->master, name_of(m, entry->master));
		if (!next)
			continue;
		link->addresses = (Sparkbus__LinkAddress **)next;
		next += link->n_addresses = gather(addresses, entry->index, next);
		link->neighbours = (Sparkbus__Neighbour **)next;
		next += link->n_neighbours = gather(neighbours, entry->index, next);
	}
}

/* The address of @link that counts: the one its route asks for, else the first. */
static const char *source_of(const Sparkbus__Link *link, uint32_t wanted)
{
	char text[INET_ADDRSTRLEN] = "";

	if (wanted && inet_ntop(AF_INET, &wanted, text, sizeof(text)))
		for (size_t i = 0; i < link->n_addresses; i++)
			if (strcmp(link->addresses[i]->ip, text) == 0)
				return link->addresses[i]->ip;
	for (size_t i = 0; i < link->n_addresses; i++)
		if (!strchr(link->addresses[i]->ip, ':'))
			return link->addresses[i]->ip;
	return "";
}

static void view_management(struct links_model *m)
{
	const struct entry *best = NULL;
	const Sparkbus__Link *link;

	for (size_t i = 0; i < m->tables[LINKS_ROUTE].n; i++) {
		const struct entry *entry = &m->tables[LINKS_ROUTE].entries[i];
		const Sparkbus__Route *route = entry->message;

		if (!route->prefix_len && entry->index &&
				(!best ||
						route->metric < ((Sparkbus__Route *)best->message)
										->metric))
			best = entry;
	}
	link = best ? links_model_link(m, best->index) : NULL;
	snprintf(m->management_interface, sizeof(m->management_interface), "%s",
			link ? link->name : "");
	snprintf(m->management_address, sizeof(m->management_address), "%s",
			link ? source_of(link, best->source) : "");
}

void links_model_view(struct links_model *m, Sparkbus__FabricState *ret)
{
	const struct table *routes = &m->tables[LINKS_ROUTE];

	if (!m->viewed) {
		m->viewed = true;
		view_links(m);
		for (size_t i = 0; i < routes->n; i++) {
			m->routes[i] = routes->entries[i].message;
			links_set(&m->routes[i]->interface, name_of(m, routes->entries[i].index));
		}
		view_management(m);
	}
	ret->links = m->links;
	ret->n_links = m->tables[LINKS_LINK].n;
	ret->routes = m->routes;
	ret->n_routes = routes->n;
	ret->management_interface = m->management_interface;
	ret->management_address = m->management_address;
}

void links_model_add_hardware(Sparkbus__Link *link, const Sparkbus__Link *from)
{
	/* Read some time ago, when there may have been a carrier. */
	bool carrier = link->has_carrier_case && link->carrier;

	links_set(&link->driver, from->driver);
	if (!*link->pci)
		links_set(&link->pci, from->pci);
	link->wireless = from->wireless;
	link->has_speed_case = carrier ? from->has_speed_case : SPARKBUS__LINK__HAS_SPEED__NOT_SET;
	link->speed_mbps = from->speed_mbps;
	link->has_pcie_speed_case = from->has_pcie_speed_case;
	link->pcie_mts = from->pcie_mts;
	link->has_pcie_width_case = from->has_pcie_width_case;
	link->pcie_width = from->pcie_width;
	link->has_pcie_speed_max_case = from->has_pcie_speed_max_case;
	link->pcie_max_mts = from->pcie_max_mts;
	link->has_pcie_width_max_case = from->has_pcie_width_max_case;
	link->pcie_max_width = from->pcie_max_width;
}
