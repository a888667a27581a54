/* fake_hub.h - a hub on 127.0.0.1 for tests: answers by a table, and misbehaves where a row says
 * so. One thread, one connection after another. */
#ifndef FAKE_HUB_H
#define FAKE_HUB_H

#include <stdbool.h>
#include <stddef.h>

enum fake_hub_way {
	FAKE_HUB_WHOLE,
	FAKE_HUB_CUT,     /* hangs up in the middle of the body */
	FAKE_HUB_SILENT,  /* takes the request and never answers */
	FAKE_HUB_DRIP,    /* a byte now and then, for ever */
	FAKE_HUB_ENDLESS, /* a body without end */
};

struct fake_hub_row {
	const char *path;    /* of the request, with its query */
	int status;          /* 0 = 200 */
	const char *headers; /* more lines, each with "\r\n"; "@PORT@" stands for the hub's port */
	const char *body;
	size_t len; /* 0 = strlen */
	enum fake_hub_way way;
	bool ranges; /* answer Range with 206 and the part */
};

struct fake_hub;
/** @rows ends with a row without a path; borrowed. @tls: with a certificate of its own for
 * 127.0.0.1, which is written to @ca_path. Aborts on failure. */
struct fake_hub *fake_hub_new(const struct fake_hub_row *rows, bool tls, const char *ca_path);
void fake_hub_free(struct fake_hub *hub);
unsigned fake_hub_port(const struct fake_hub *hub);
/** "http://127.0.0.1:PORT"; lives as long as the hub. */
const char *fake_hub_url(const struct fake_hub *hub);
/** How many requests came, and how many of them with an Authorization header. */
unsigned fake_hub_requests(const struct fake_hub *hub);
unsigned fake_hub_tokens(const struct fake_hub *hub);
/** Answer by another table from now on. */
void fake_hub_rows(struct fake_hub *hub, const struct fake_hub_row *rows);

#endif
