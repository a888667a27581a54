/* links_news.c - changes of links in words.
 *
 * Told is what an owner of the machine would want to know: hardware and what is built on it, not
 * the links that container engines make and drop. A link that goes down and up all the time is told
 * of NEWS_MAX times in NEWS_WINDOW_MS; the rest is counted and summed up at the end. What else
 * changes all the time has a measure of its own, and hides no pulled cable. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "links_parts.h"

#define NEWS_MAX       6u
#define NEWS_WINDOW_MS 10000u
#define OPER_UNKNOWN   0u /* a driver that does not say */
#define OPER_DOWN      2u
#define OPER_LOWER     3u
#define OPER_DORMANT   5u
#define OPER_UP        6u

enum measure { UP_OR_DOWN, OTHER, MEASURE_COUNT_ };

struct window {
	unsigned index; /* of the interface; 0 = free */
	unsigned told[MEASURE_COUNT_], held;
	uint64_t start_ms;
};

struct links_news {
	sb_telemetry_say_fn *say;
	void *ctx;
	struct window windows[LINKS_MAX];
};

struct links_news *links_news_new(sb_telemetry_say_fn *say, void *ctx)
{
	struct links_news *news = calloc(1, sizeof(*news));

	if (!news)
		return NULL;
	news->say = say;
	news->ctx = ctx;
	return news;
}

void links_news_free(struct links_news *news)
{
	free(news);
}

/* --- what is told --- */

static bool is_told(const Sparkbus__Link *link)
{
	static const char *const kinds[] = { "", "bond", "team", "vlan", "macvlan", "ipvlan",
		"wireguard" };

	if (strcmp(link->name, "lo") == 0)
		return false;
	/* Half of a pair belongs to a container's bridge, or is all that this namespace has. */
	if (strcmp(link->kind, "veth") == 0)
		return !*link->master;
	for (size_t i = 0; i < sb_countof(kinds); i++)
		if (strcmp(link->kind, kinds[i]) == 0)
			return true;
	return false;
}

static const char *why_down(const Sparkbus__Link *link)
{
	if (!link->admin_up)
		return "set down";
	if (link->has_carrier_case && !link->carrier)
		return "carrier lost";
	if (link->oper_state == OPER_LOWER)
		return "the link below it is down";
	if (link->oper_state == OPER_DORMANT)
		return "waiting for a peer";
	return "not ready";
}

void links_brief(struct links_model *model, unsigned index, struct links_brief *ret)
{
	Sparkbus__FabricState view = SPARKBUS__FABRIC_STATE__INIT;
	const Sparkbus__Link *link;

	*ret = (struct links_brief){ 0 };
	links_model_view(model, &view); /* for addresses and masters */
	link = index ? links_model_link(model, index) : NULL;
	if (!link)
		return;
	ret->known = true;
	ret->told = is_told(link);
	ret->hardware = !*link->kind && strcmp(link->name, "lo") != 0;
	ret->up = link->admin_up && (!link->has_carrier_case || link->carrier) &&
			(link->oper_state == OPER_UP || link->oper_state == OPER_UNKNOWN);
	ret->why = why_down(link);
	ret->mtu = link->mtu;
	snprintf(ret->name, sizeof(ret->name), "%.15s", link->name);
	for (size_t i = 0; i < link->n_addresses && ret->n_ips < LINKS_IPS_MAX; i++)
		if (!strchr(link->addresses[i]->ip, ':'))
			snprintf(ret->ips[ret->n_ips++], sizeof(ret->ips[0]), "%.15s/%u",
					link->addresses[i]->ip, link->addresses[i]->prefix_len);
}

/* --- telling --- */

static struct window *window_of(struct links_news *news, unsigned index, uint64_t now_ms)
{
	struct window *free_one = NULL;

	for (size_t i = 0; i < LINKS_MAX; i++) {
		struct window *w = &news->windows[i];

		if (w->index == index)
			return w;
		if (!free_one && !w->index)
			free_one = w;
	}
	if (free_one)
		*free_one = (struct window){ .index = index, .start_ms = now_ms };
	return free_one;
}

static bool may_tell(struct links_news *news, unsigned index, enum measure measure, uint64_t now_ms)
{
	struct window *w = window_of(news, index, now_ms);

	if (!w)
		return false;
	if (w->told[measure] < NEWS_MAX)
		return w->told[measure]++, true;
	w->held++;
	return false;
}

static void say(struct links_news *news, const char *kind, const char *fmt, ...) SB_PRINTF(3, 4);
static void say(struct links_news *news, const char *kind, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (!news->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	news->say(news->ctx, kind, text);
}

static bool has_ip(const struct links_brief *brief, const char *ip)
{
	for (size_t i = 0; i < brief->n_ips; i++)
		if (strcmp(brief->ips[i], ip) == 0)
			return true;
	return false;
}

static void tell_ips(struct links_news *news, unsigned index, const struct links_brief *before,
		const struct links_brief *after, uint64_t now_ms)
{
	for (size_t i = 0; i < before->n_ips; i++)
		if (!has_ip(after, before->ips[i]) && may_tell(news, index, OTHER, now_ms))
			say(news, "link.address", "%s: address %s removed", before->name,
					before->ips[i]);
	for (size_t i = 0; i < after->n_ips; i++)
		if (!has_ip(before, after->ips[i]) && may_tell(news, index, OTHER, now_ms))
			say(news, "link.address", "%s: address %s added", after->name,
					after->ips[i]);
}

static void tell_state(struct links_news *news, const struct links_brief *link)
{
	if (link->up)
		say(news, "link.up", "%s: link up", link->name);
	else
		say(news, "link.down", "%s: link down (%s)", link->name, link->why);
}

void links_news_tell(struct links_news *news, unsigned index, const struct links_brief *before,
		const struct links_brief *after, uint64_t now_ms)
{
	if (!before->told && !after->told)
		return;
	if (before->known != after->known) {
		const struct links_brief *link = before->known ? before : after;

		if (link->hardware && may_tell(news, index, OTHER, now_ms))
			say(news, before->known ? "link.gone" : "link.new", "%s: %s", link->name,
					before->known ? "the device is gone" : "a new device");
		return;
	}
	if (strcmp(before->name, after->name) != 0 && may_tell(news, index, OTHER, now_ms))
		say(news, "link.name", "%s: renamed to %s", before->name, after->name);
	if (before->up != after->up && may_tell(news, index, UP_OR_DOWN, now_ms))
		tell_state(news, after);
	if (before->mtu != after->mtu && may_tell(news, index, OTHER, now_ms))
		say(news, "link.mtu", "%s: MTU %u, was %u", after->name, after->mtu, before->mtu);
	tell_ips(news, index, before, after, now_ms);
}

void links_news_tick(struct links_news *news, struct links_model *model, uint64_t now_ms)
{
	for (size_t i = 0; i < LINKS_MAX; i++) {
		struct window *w = &news->windows[i];
		struct links_brief now;

		if (!w->index || now_ms - w->start_ms < NEWS_WINDOW_MS)
			continue;
		links_brief(model, w->index, &now);
		if (w->held && now.known)
			say(news, "link.unsteady", "%s: %u more changes within %u s; now %s%s%s",
					now.name, w->held, NEWS_WINDOW_MS / 1000,
					now.up ? "up" : "down (", now.up ? "" : now.why,
					now.up ? "" : ")");
		*w = (struct window){ 0 };
	}
}
