/* links_model.h - inside the model of links: tables (links_model.c), and the messages that fill
 * them (links_messages.c). */
#ifndef LINKS_MODEL_H
#define LINKS_MODEL_H

#include <arpa/inet.h>
#include <net/if.h>

#include "links_parts.h"

struct entry {
	void *message;
	unsigned index;  /* of the interface */
	unsigned master; /* of a link: the interface that it is part of */
	uint32_t source; /* of a route: the address it wants as source, network order; 0 = none */
	bool seen;       /* in the list that is under way */
};

struct table {
	struct entry *entries;
	size_t n;
};

struct links_model {
	struct table tables[LINKS_KIND_COUNT_];
	bool routes_stale;
	bool viewed; /* the lists below are of the tables as they are */
	Sparkbus__Link *links[LINKS_MAX];
	Sparkbus__Route *routes[ROUTES_MAX];
	void **parts; /* the addresses and neighbours of each link, one list after the other */
	char management_interface[IF_NAMESIZE], management_address[INET_ADDRSTRLEN];
};

/** A new entry at @at, with an empty message; NULL when full or out of memory. */
struct entry *links_insert(
		struct links_model *model, enum links_kind kind, size_t at, unsigned index);
void links_remove(struct links_model *model, enum links_kind kind, size_t at);
/** What a view lent to the links goes back before anything is changed or freed. */
void links_forget_view(struct links_model *model);
/** Replace a text of a message by a copy of @value. */
void links_set(char **field, const char *value);

#endif
