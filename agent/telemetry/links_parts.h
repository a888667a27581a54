/* links_parts.h - what the kernel says of links, addresses, neighbours and routes.
 *
 * links_model.c keeps it, from messages of rtnetlink, and is pure. links_news.c puts changes into
 * words. links.c has the socket: one stream brings both what was asked for and what changed, so
 * that nothing old can overtake something new. */
#ifndef LINKS_PARTS_H
#define LINKS_PARTS_H

#include <linux/netlink.h>

#include "sb_telemetry.h"

/* Entries of each kind; what comes after that is left out. */
#define LINKS_MAX      256u
#define ADDRESSES_MAX  1024u
#define NEIGHBOURS_MAX 1024u
#define ROUTES_MAX     512u

/* --- the model --- */

enum links_kind {
	LINKS_LINK,
	LINKS_ADDRESS,
	LINKS_NEIGHBOUR,
	LINKS_ROUTE,
	LINKS_KIND_COUNT_,
};

struct links_model;
struct links_model *links_model_new(void);
void links_model_free(struct links_model *model);
SB_DEFINE_CLEANUP(links_model_free, struct links_model *)

/** Take one message of any kind; what is not understood, cut short or of no interest changes
 * nothing. @ret_index: of which interface it speaks, 0 = none. Return: whether it was taken. */
bool links_model_apply(
		struct links_model *model, const struct nlmsghdr *message, unsigned *ret_index);
/** A list of all of @kind begins. At its end, what it did not name is removed. */
void links_model_begin(struct links_model *model, enum links_kind kind);
void links_model_end(struct links_model *model, enum links_kind kind);
/** Whether the kernel removed routes without a word since the last list of routes: it does when a
 * link goes down or loses an address. */
bool links_model_routes_stale(const struct links_model *model);

/** Links, routes and the management interface into @ret; the rest of it is not touched. Borrowed:
 * until the model changes. */
void links_model_view(struct links_model *model, Sparkbus__FabricState *ret);
/** The newest of interface @index, by itself; NULL when there is none. */
const Sparkbus__Link *links_model_link(struct links_model *model, unsigned index);

/** Add to @link, which is one of a view, what only sysfs knows of it. */
void links_model_add_hardware(Sparkbus__Link *link, const Sparkbus__Link *from);

/* --- news --- */

#define LINKS_IPS_MAX 16u

/* What is told of a link when it changes. */
struct links_brief {
	bool known, up, told; /* told: a link of which changes are told at all */
	bool hardware;
	const char *why; /* it is not up */
	char name[16];
	uint32_t mtu;
	size_t n_ips;
	char ips[LINKS_IPS_MAX][24]; /* "192.168.100.10/24" */
};
void links_brief(struct links_model *model, unsigned index, struct links_brief *ret);

struct links_news;
struct links_news *links_news_new(sb_telemetry_say_fn *say, void *ctx);
void links_news_free(struct links_news *news);
/** Say how @after differs from @before, both of interface @index. A link that changes all the time
 * is told of a few times, and then summed up. */
void links_news_tell(struct links_news *news, unsigned index, const struct links_brief *before,
		const struct links_brief *after, uint64_t now_ms);
/** Sum up what was held back and is old enough. */
void links_news_tick(struct links_news *news, struct links_model *model, uint64_t now_ms);

/* --- the socket --- */

struct links;
struct links_env {
	sd_event *loop;
	sb_telemetry_say_fn *say;
	void *say_ctx;
	/* A link or an address changed: what else is known of them may be old. May be NULL. */
	void (*changed)(void *ctx);
	void *changed_ctx;
};
/** Read all, and then every change. Return: 0; an error where there is no rtnetlink. */
int links_new(const struct links_env *env, struct links **ret, struct sb_err *err);
void links_free(struct links *links);
struct links_model *links_get(struct links *links);
/** "" once everything was read; else why not. */
const char *links_error(const struct links *links);
/** Once a second. */
void links_tick(struct links *links);
/** How often the kernel had to drop messages, after which everything was read anew. */
unsigned links_overflows(const struct links *links);

#endif
