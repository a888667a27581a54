/* hear.c - the packet socket on which machines say their names. One for all links: frames say on
 * which they came. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hear_parts.h"
#include "sb_loop.h"

/* Whoever sends more than this in a second is not listened to until the next one. */
#define FRAMES_MAX 1024u
#define READS_MAX  64u /* in one turn of the loop */

struct hear {
	struct hear_table *table;
	sd_event_source *source;
	int fd;
	unsigned frames; /* in this second */
	char error[96];  /* why nothing is heard; "" */
};

static int on_frame(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct hear *h = ctx;

	for (unsigned i = 0; i < READS_MAX; i++) {
		uint8_t frame[HEAR_FRAME_MAX];
		struct sockaddr_ll from = { 0 };
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, frame, sizeof(frame), MSG_DONTWAIT,
				(struct sockaddr *)&from, &from_len);

		if (n < 0)
			return 0; /* drained, or a link that went down: the next frame tells */
		if (from.sll_halen == HEAR_MAC_BYTES && from.sll_ifindex > 0)
			hear_table_take(h->table, (unsigned)from.sll_ifindex, from.sll_addr, frame,
					(size_t)n, sb_now_boot_ms());
		if (++h->frames < FRAMES_MAX)
			continue;
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		return 0;
	}
	return 0;
}

static int open_socket(struct hear *h, sd_event *loop)
{
	struct sockaddr_ll where = { .sll_family = AF_PACKET,
		.sll_protocol = htons(HEAR_ETHERTYPE) };

	/* Protocol 0 receives nothing until it is bound. */
	h->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->fd < 0 || bind(h->fd, (struct sockaddr *)&where, sizeof(where)) < 0)
		return -errno;
	return sd_event_add_io(loop, &h->source, h->fd, EPOLLIN, on_frame, h);
}

int hear_new(sd_event *loop, const char *node, const char *setting, struct hear **ret,
		struct sb_err *err)
{
	struct hear *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return sb_err_nomem(err);
	h->fd = -1;
	h->table = hear_table_new(node, setting);
	if (!h->table) {
		hear_free(h);
		return sb_err_nomem(err);
	}
	rc = strcmp(setting, "off") == 0 ? 0 : open_socket(h, loop);
	if (rc < 0)
		snprintf(h->error, sizeof(h->error), "packet socket: %s", strerror(-rc));
	else if (h->fd < 0)
		snprintf(h->error, sizeof(h->error), "turned off (fabric.beacon)");
	*ret = h;
	return 0;
}

void hear_free(struct hear *h)
{
	if (!h)
		return;
	sd_event_source_disable_unref(h->source);
	if (h->fd >= 0)
		close(h->fd);
	hear_table_free(h->table);
	free(h);
}

static void say(struct hear *h, unsigned index, const uint8_t *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_protocol = htons(HEAR_ETHERTYPE),
		.sll_ifindex = (int)index,
		.sll_halen = HEAR_MAC_BYTES };

	memset(to.sll_addr, 0xff, HEAR_MAC_BYTES);
	/* One that is lost is said again. */
	(void)!sendto(h->fd, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

void hear_tick(struct hear *h, const Sparkbus__FabricState *state)
{
	uint8_t frame[HEAR_FRAME_MAX];
	uint64_t now = sb_now_boot_ms();
	unsigned index;
	size_t len;

	if (*h->error)
		return;
	h->frames = 0;
	sd_event_source_set_enabled(h->source, SD_EVENT_ON);
	hear_table_links(h->table, state, now);
	while (hear_table_due(h->table, now, &index, frame, &len))
		say(h, index, frame, len);
}

void hear_fill(struct hear *h, Sparkbus__FabricState *state)
{
	hear_table_fill(h->table, state, sb_now_boot_ms());
	state->listening_error = *h->error ? h->error : (char *)protobuf_c_empty_string;
}
