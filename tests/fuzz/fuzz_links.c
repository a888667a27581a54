/* fuzz_links.c - any bytes as what a netlink socket delivers: a sequence of messages, each cut to
 * what it says of its length. Whatever they say, the model stays within its caps, and what it
 * holds packs and unpacks.
 * Has no main: link it with libFuzzer, or with a program that replays the corpus. */
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "links_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_news(void *ctx, const char *kind, const char *text)
{
	if (!*kind || !*text || strchr(text, '\n'))
		abort();
}

static void check(struct links_model *model)
{
	Sparkbus__FabricState view = SPARKBUS__FABRIC_STATE__INIT, *back;
	uint8_t *packed;
	size_t len;

	links_model_view(model, &view);
	if (view.n_links > LINKS_MAX || view.n_routes > ROUTES_MAX)
		abort();
	len = sparkbus__fabric_state__get_packed_size(&view);
	packed = malloc(len + 1);
	if (!packed)
		return;
	sparkbus__fabric_state__pack(&view, packed);
	back = sparkbus__fabric_state__unpack(NULL, len, packed);
	if (!back || back->n_links != view.n_links)
		abort();
	sparkbus__fabric_state__free_unpacked(back, NULL);
	free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct links_model *model = links_model_new();
	struct links_news *news = links_news_new(no_news, NULL);
	struct links_brief before, after;
	uint64_t now_ms = 1;

	for (size_t at = 0; model && news && at + sizeof(struct nlmsghdr) <= size;) {
		struct nlmsghdr head, *h;
		unsigned index;
		size_t len;

		memcpy(&head, data + at, sizeof(head));
		len = head.nlmsg_len;
		if (len < sizeof(head) || len > size - at)
			break;
		h = malloc(len); /* alone, so that nothing can be read past its end unseen */
		if (!h)
			break;
		memcpy(h, data + at, len);
		if (head.nlmsg_seq % 16 == 15) /* a list begins or ends here */
			links_model_begin(model, head.nlmsg_pid % LINKS_KIND_COUNT_);
		if (head.nlmsg_seq % 16 == 14)
			links_model_end(model, head.nlmsg_pid % LINKS_KIND_COUNT_);
		links_brief(model, head.nlmsg_seq % 8, &before);
		if (links_model_apply(model, h, &index)) {
			links_brief(model, index, &after);
			links_news_tell(news, index, &before, &after, now_ms);
		}
		links_news_tick(news, model, now_ms += 3000);
		free(h);
		at += NLMSG_ALIGN(len);
	}
	if (model)
		check(model);
	links_news_free(news);
	links_model_free(model);
	return 0;
}
