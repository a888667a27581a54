/* sb_http.h - HTTP requests that never block: curl's multi interface on the event loop.
 *
 * Knows nothing of containers or engines; agent/engine asks a unix socket with it, the readiness
 * probe a TCP port.
 *
 * Re-entrance: curl's own callbacks only fill buffers. The users' callbacks run from a dispatcher
 * outside of curl, so they may start, cancel and free anything. What they cancel or free may still
 * be on the stack below them, so memory goes back by sb_http_later(). */
#ifndef SB_HTTP_H
#define SB_HTTP_H

#include <systemd/sd-event.h>

#include "sb_err.h"

struct sb_http;
struct sb_http_req;

/* Something to do when no callback is on the stack any more. Embed it. */
struct sb_http_later {
	struct sb_http_later *next;
	void (*run)(struct sb_http_later *later);
};

struct sb_http_result {
	int status;       /* 0 when no answer came */
	const char *body; /* of a collected reply, NUL-terminated, never NULL */
	size_t len;
	const char *api_version;  /* header Api-Version, "" when absent */
	const struct sb_err *err; /* transport failure; NULL when the reply is whole */
};

struct sb_http_ask {
	const char *method, *target; /* copied */
	const char *content_type;    /* static; NULL without body */
	const char *body;            /* must live until done() or sb_http_cancel() */
	size_t len;
	const char *auth;     /* X-Registry-Auth, copied; NULL = none */
	const char *bearer;   /* Authorization: Bearer, copied; NULL = none */
	size_t reply_max;     /* bytes of a collected reply */
	uint64_t deadline_ms; /* whole request; 0 = none */
	uint64_t idle_ms;     /* without a byte from the engine; 0 = none */
	bool idle_always;     /* else only until the answer's headers are there */
	bool once;            /* never repeated: a request whose repetition would do harm */
	/* A stream: of an answer 2xx every part goes to data(); else the body is collected. */
	void (*head)(void *ctx); /* headers of an answer 2xx are there; may be NULL */
	void (*data)(void *ctx, const char *data, size_t len);
	/* Exactly once, unless cancelled; the request is gone after it. */
	void (*done)(void *ctx, const struct sb_http_result *res);
	void *ctx;
};

/* Whom the requests go to, and what to say when it is not there. All copied but the hints. */
struct sb_http_peer {
	const char *what;        /* "container engine at /run/docker.sock": begins every error */
	const char *socket;      /* unix socket; NULL = TCP to @base */
	const char *base;        /* "http://127.0.0.1:8000"; NULL with a socket */
	const char *hint_down;   /* static; "" = none */
	const char *hint_denied; /* static; "" = none */
};

/** Does not connect. */
int sb_http_new(sd_event *loop, const struct sb_http_peer *peer, struct sb_http **ret,
		struct sb_err *err);
void sb_http_free(struct sb_http *http);
int sb_http_start(struct sb_http *http, const struct sb_http_ask *ask, struct sb_http_req **ret,
		struct sb_err *err);
/** Also from callbacks, also of this request: nothing of it calls back any more. NULL is fine. */
void sb_http_cancel(struct sb_http_req *req);
/** Run @later once the dispatcher is at its end; at once when it is not running. */
void sb_http_later(struct sb_http *http, struct sb_http_later *later);

#endif
