/* links.c - rtnetlink: everything once, then every change.
 *
 * What was asked for and what changed come over one socket, in the order in which the kernel made
 * them. The socket is plain, since its errors must be told apart: ENOBUFS says that changes were
 * lost, and everything is asked for anew. Nothing is polled: an idle network costs nothing. */
#include <assert.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "links_parts.h"
#include "sb_loop.h"

#define BUFFER_BYTES  32768u /* the kernel's largest message to a socket that reads so much */
#define QUEUE_BYTES   (1 << 20)
#define READS_MAX     64u /* in one turn of the loop */
#define AGAIN_MS      200u
#define ANSWER_MAX_MS 5000u

static const struct {
	uint16_t type;
	size_t header;
	uint8_t family;
} lists[] = {
	[LINKS_LINK] = { RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC },
	[LINKS_ADDRESS] = { RTM_GETADDR, sizeof(struct ifaddrmsg), AF_UNSPEC },
	[LINKS_NEIGHBOUR] = { RTM_GETNEIGH, sizeof(struct ndmsg), AF_UNSPEC },
	[LINKS_ROUTE] = { RTM_GETROUTE, sizeof(struct rtmsg), AF_INET },
};
static_assert(sb_countof(lists) == LINKS_KIND_COUNT_, "a row per kind");

struct links {
	struct links_env env;
	sd_event_source *source, *again;
	int fd;
	struct links_model *model;
	struct links_news *news;
	bool wanted[LINKS_KIND_COUNT_]; /* lists to ask for */
	bool paused;                    /* before the next one */
	bool asking;                    /* one is under way: of @kind, with @seq */
	bool spoilt;                    /* it changed while it was made, or broke off */
	bool complete;                  /* each was read whole at least once */
	enum links_kind kind;
	uint32_t seq;
	uint64_t asked_ms;
	unsigned overflows;
	char error[96];
};

/* --- asking --- */

static int send_request(struct links *l, enum links_kind kind)
{
	struct {
		struct nlmsghdr h;
		uint8_t family; /* comes first in the header of every kind */
		char rest[63];
	} request = { .h = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(lists[kind].header),
				      .nlmsg_type = lists[kind].type,
				      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
				      .nlmsg_seq = ++l->seq },
		.family = lists[kind].family };

	return send(l->fd, &request, request.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

static void ask_next(struct links *l);
static int on_again(sd_event_source *source, uint64_t usec, void *ctx)
{
	((struct links *)ctx)->paused = false;
	ask_next(ctx);
	return 0;
}

static void pause_asking(struct links *l)
{
	l->paused = sb_timer_once(l->env.loop, &l->again, AGAIN_MS, on_again, l, NULL) == 0;
}

/* Ask for the next wanted list. One that fails is tried again after a pause. */
static void ask_next(struct links *l)
{
	int kind = 0, rc;

	if (l->asking || l->paused)
		return;
	while (kind < LINKS_KIND_COUNT_ && !l->wanted[kind])
		kind++;
	if (kind == LINKS_KIND_COUNT_) {
		l->complete = true;
		*l->error = '\0';
		return;
	}
	rc = send_request(l, (enum links_kind)kind);
	if (rc < 0) {
		snprintf(l->error, sizeof(l->error), "rtnetlink: %s", strerror(-rc));
		pause_asking(l);
		return;
	}
	l->kind = (enum links_kind)kind;
	l->wanted[kind] = false;
	l->asking = true;
	l->spoilt = false;
	l->asked_ms = sb_now_boot_ms();
	links_model_begin(l->model, l->kind);
}

static void want_all(struct links *l)
{
	for (int kind = 0; kind < LINKS_KIND_COUNT_; kind++)
		l->wanted[kind] = true;
	l->asking = false; /* what is still to come of a list has an older seq */
}

static void tell_changed(struct links *l)
{
	if (l->env.changed)
		l->env.changed(l->env.changed_ctx);
}

/* Remove what a list did not name, and tell of it. */
static void sweep(struct links *l)
{
	Sparkbus__FabricState view = SPARKBUS__FABRIC_STATE__INIT;
	SB_CLEANUP(sb_freep) struct links_brief *before = NULL;
	struct links_brief after;
	unsigned indexes[LINKS_MAX];
	size_t n;

	links_model_view(l->model, &view);
	n = view.n_links;
	before = l->complete ? calloc(n + 1, sizeof(*before)) : NULL;
	for (size_t i = 0; before && i < n; i++) {
		indexes[i] = view.links[i]->index;
		links_brief(l->model, indexes[i], &before[i]);
	}
	links_model_end(l->model, l->kind);
	for (size_t i = 0; before && i < n; i++) {
		links_brief(l->model, indexes[i], &after);
		links_news_tell(l->news, indexes[i], &before[i], &after, sb_now_boot_ms());
	}
}

/* A list came to its end. */
static void finish(struct links *l)
{
	l->asking = false;
	if (l->spoilt) {
		l->wanted[l->kind] = true;
		pause_asking(l);
		return;
	}
	if (l->kind == LINKS_LINK || l->kind == LINKS_ADDRESS) {
		sweep(l);
		tell_changed(l);
	} else
		links_model_end(l->model, l->kind);
}

/* --- receiving --- */

static void take(struct links *l, const struct nlmsghdr *h)
{
	bool neighbour = h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH;
	bool route = h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE;
	struct links_brief before, after;
	unsigned index = 0;

	if (neighbour || route || !l->complete) {
		links_model_apply(l->model, h, &index);
		return;
	}
	/* Both messages of which there is news begin with family and index alike in size. */
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifaddrmsg)))
		return;
	if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR)
		index = ((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index;
	else
		index = (unsigned)((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_index;
	links_brief(l->model, index, &before);
	if (!links_model_apply(l->model, h, &index))
		return;
	links_brief(l->model, index, &after);
	tell_changed(l);
	links_news_tell(l->news, index, &before, &after, sb_now_boot_ms());
	if (links_model_routes_stale(l->model))
		l->wanted[LINKS_ROUTE] = true;
}

static void take_one(struct links *l, const struct nlmsghdr *h)
{
	bool answer = l->asking && h->nlmsg_seq == l->seq;

	if (answer && h->nlmsg_flags & NLM_F_DUMP_INTR)
		l->spoilt = true;
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
		if (answer) {
			l->spoilt = l->spoilt || h->nlmsg_type == NLMSG_ERROR;
			finish(l);
		}
		return;
	}
	take(l, h);
}

/* Return: false when there is nothing more to read for now. */
static bool receive(struct links *l, void *buffer)
{
	struct sockaddr_nl from = { 0 };
	struct iovec part = { .iov_base = buffer, .iov_len = BUFFER_BYTES };
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1
	};
	ssize_t got = recvmsg(l->fd, &message, 0);
	int left;

	if (got < 0 && errno == ENOBUFS) {
		l->overflows++;
		want_all(l);
		return true;
	}
	if (got < 0)
		return errno == EINTR;
	if (from.nl_pid != 0) /* not the kernel */
		return true;
	if (message.msg_flags & MSG_TRUNC) {
		want_all(l);
		return true;
	}
	left = (int)got;
	for (struct nlmsghdr *h = buffer; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
		take_one(l, h);
	return true;
}

/* Nothing is asked for before all was read: a full socket has no room for the answer. */
static int on_readable(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	SB_CLEANUP(sb_freep) void *buffer = malloc(BUFFER_BYTES);
	struct links *l = ctx;

	for (unsigned i = 0; buffer && i < READS_MAX; i++)
		if (!receive(l, buffer)) {
			ask_next(l);
			break;
		}
	return 0;
}

/* --- outside --- */

static int open_socket(struct links *l, struct sb_err *err)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
				RTMGRP_IPV4_ROUTE };
	int size = QUEUE_BYTES, rc;

	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (l->fd < 0)
		return sb_err_errno(err, errno, "rtnetlink");
	/* Not fatal: with less room more has to be asked for anew. */
	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(l->fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return sb_err_errno(err, errno, "rtnetlink");
	rc = sd_event_add_io(l->env.loop, &l->source, l->fd, EPOLLIN, on_readable, l);
	return rc < 0 ? sb_err_errno(err, -rc, "rtnetlink") : 0;
}
SB_DEFINE_CLEANUP(links_free, struct links *)

int links_new(const struct links_env *env, struct links **ret, struct sb_err *err)
{
	SB_CLEANUP(links_freep) struct links *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return sb_err_nomem(err);
	l->fd = -1;
	l->env = *env;
	sd_event_ref(l->env.loop);
	l->model = links_model_new();
	l->news = links_news_new(env->say, env->say_ctx);
	if (!l->model || !l->news)
		return sb_err_nomem(err);
	snprintf(l->error, sizeof(l->error), "not read yet");
	rc = open_socket(l, err);
	if (rc < 0)
		return rc;
	want_all(l);
	ask_next(l);
	*ret = sb_steal(l);
	return 0;
}

void links_free(struct links *l)
{
	if (!l)
		return;
	sd_event_source_disable_unref(l->source);
	sd_event_source_disable_unref(l->again);
	if (l->fd >= 0)
		close(l->fd);
	links_model_free(l->model);
	links_news_free(l->news);
	sd_event_unref(l->env.loop);
	free(l);
}

struct links_model *links_get(struct links *l)
{
	return l->model;
}

const char *links_error(const struct links *l)
{
	return l->error;
}

unsigned links_overflows(const struct links *l)
{
	return l->overflows;
}

void links_tick(struct links *l)
{
	if (l->asking && sb_now_boot_ms() - l->asked_ms > ANSWER_MAX_MS) {
		want_all(l);
		ask_next(l);
	}
	links_news_tick(l->news, l->model, sb_now_boot_ms());
}
