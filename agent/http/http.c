/* http.c - curl's multi interface on an sd-event loop.
 *
 * curl tells which descriptors it watches (on_socket) and when it wants to be woken (on_timer);
 * both become sd-event sources, and their handlers are the only places that drive curl. While
 * curl runs, its write and header callbacks only fill the request's buffer and put the request
 * into the ready list. When curl has returned, dispatch() hands buffers and ends to the owners of
 * the requests. A stream whose owner is slower than its peer is paused when its buffer is full,
 * so a request never holds more than HTTP_STREAM_MAX bytes, or its reply_max.
 *
 * The timeouts of a whole request are curl's. The time without a byte is ours: curl counts it in
 * whole seconds and only while a transfer runs. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <sys/queue.h>

#include "sb_http.h"
#include "sb_strbuf.h"

#define HTTP_STREAM_MAX   ((size_t)64 << 10) /* bytes of a stream not yet taken by its owner */
#define HTTP_ERROR_MAX    ((size_t)64 << 10) /* bytes of the body of a refusal */
#define HTTP_IDLE_CONNS   8L                 /* connections kept for the next request */
#define HTTP_CONNECT_MS   10000L
#define HTTP_VERSION_SIZE 16

struct sb_http {
	sd_event *loop;
	CURLM *multi;
	sd_event_source *timer;
	char *what, *socket, *base;
	const char *hint_down, *hint_denied;
	TAILQ_HEAD(, sb_http_req) all, ready;
	struct sb_http_later *later;
	bool dispatching, dead;
	struct sb_http_later destroy;
};

struct sb_http_req {
	struct sb_http *http;
	TAILQ_ENTRY(sb_http_req) all, ready;
	struct sb_http_later later;
	CURL *easy;
	struct curl_slist *headers;
	struct sb_http_ask ask;
	sd_event_source *idle;
	uint64_t last_us; /* of the last byte from the peer, CLOCK_MONOTONIC */
	struct sb_strbuf buf;
	struct sb_err err;
	int status;
	bool queued, headed, head_told, paused, over_cap, finished, dropped;
	char api_version[HTTP_VERSION_SIZE];
};

void sb_http_later(struct sb_http *http, struct sb_http_later *later)
{
	if (!http->dispatching) {
		later->run(later);
		return;
	}
	later->next = http->later;
	http->later = later;
}

static void queue(struct sb_http_req *req)
{
	if (req->queued || req->dropped)
		return;
	req->queued = true;
	TAILQ_INSERT_TAIL(&req->http->ready, req, ready);
}

static void req_free(struct sb_http_later *later)
{
	struct sb_http_req *req = sb_container_of(later, struct sb_http_req, later);

	sd_event_source_disable_unref(req->idle);
	curl_easy_cleanup(req->easy);
	curl_slist_free_all(req->headers);
	sb_strbuf_done(&req->buf);
	free(req);
}

/* From here on nothing of @req calls back; its memory goes when no callback is on the stack. */
static void req_drop(struct sb_http_req *req)
{
	struct sb_http *http = req->http;

	if (req->dropped)
		return;
	req->dropped = true;
	if (req->queued)
		TAILQ_REMOVE(&http->ready, req, ready);
	TAILQ_REMOVE(&http->all, req, all);
	curl_multi_remove_handle(http->multi, req->easy);
	req->idle = sd_event_source_disable_unref(req->idle);
	sb_http_later(http, &req->later);
}

void sb_http_cancel(struct sb_http_req *req)
{
	if (req)
		req_drop(req);
}

/* --- what a CURLcode means --- */

static const struct {
	CURLcode from;
	enum sb_code code;
	const char *text;
} ends[] = {
	{ CURLE_OPERATION_TIMEDOUT, SB_E_TIMEOUT, "no answer within the deadline" },
	{ CURLE_GOT_NOTHING, SB_E_UNAVAILABLE, "hung up without an answer" },
	{ CURLE_PARTIAL_FILE, SB_E_UNAVAILABLE, "hung up in the middle of its answer" },
	{ CURLE_RECV_ERROR, SB_E_UNAVAILABLE, "hung up in the middle of its answer" },
	{ CURLE_SEND_ERROR, SB_E_UNAVAILABLE, "hung up before it had the request" },
	{ CURLE_WEIRD_SERVER_REPLY, SB_E_PROTOCOL, "does not speak HTTP" },
	{ CURLE_UNSUPPORTED_PROTOCOL, SB_E_PROTOCOL, "does not speak HTTP" },
	{ CURLE_BAD_CONTENT_ENCODING, SB_E_PROTOCOL, "sent an unknown content encoding" },
	{ CURLE_OUT_OF_MEMORY, SB_E_NOMEM, "out of memory" },
};

static void set_connect_err(const struct sb_http_req *req, struct sb_err *err)
{
	const struct sb_http *http = req->http;
	long errnum = 0;

	curl_easy_getinfo(req->easy, CURLINFO_OS_ERRNO, &errnum);
	if (errnum == EACCES || errnum == EPERM) {
		sb_err_set(err, SB_E_DENIED, "%s: permission denied", http->what);
		sb_err_hint(err, 0, "%s", http->hint_denied);
		return;
	}
	if (errnum == ENOENT)
		sb_err_set(err, SB_E_UNAVAILABLE, "%s: not running (no such socket)", http->what);
	else if (errnum == ECONNREFUSED || errnum == 0)
		sb_err_set(err, SB_E_UNAVAILABLE, "%s: not running (connection refused)",
				http->what);
	else
		sb_err_set(err, SB_E_UNAVAILABLE, "%s: cannot connect (%s)", http->what,
				strerror((int)errnum));
	sb_err_hint(err, 0, "%s", http->hint_down);
}

static void set_end_err(struct sb_http_req *req, CURLcode code)
{
	const char *what = req->http->what;

	if (req->over_cap) {
		sb_err_set(&req->err, SB_E_RANGE, "%s: reply larger than %zu bytes", what,
				req->buf.max);
		return;
	}
	if (code == CURLE_COULDNT_CONNECT) {
		set_connect_err(req, &req->err);
		return;
	}
	for (size_t i = 0; i < sb_countof(ends); i++)
		if (ends[i].from == code) {
			sb_err_set(&req->err, ends[i].code, "%s: %s", what, ends[i].text);
			return;
		}
	sb_err_set(&req->err, SB_E_INTERNAL, "%s: %s", what, curl_easy_strerror(code));
}

/* --- handing over: the only place where owners are called --- */

static bool is_stream(const struct sb_http_req *req)
{
	return req->ask.data && req->status >= 200 && req->status < 300;
}

static void deliver_end(struct sb_http_req *req)
{
	struct sb_http_result res = {
		.status = req->status,
		.body = sb_strbuf_str(&req->buf),
		.len = req->buf.len,
		.api_version = req->api_version,
		.err = req->err.code ? &req->err : NULL,
	};

	/* Out of the lists first, so that a cancel from within done() finds it gone. */
	req_drop(req);
	req->ask.done(req->ask.ctx, &res);
}

static void deliver(struct sb_http_req *req)
{
	if (req->headed && !req->head_told && is_stream(req)) {
		req->head_told = true;
		if (req->ask.head)
			req->ask.head(req->ask.ctx);
	}
	if (!req->dropped && is_stream(req) && req->buf.len) {
		req->ask.data(req->ask.ctx, req->buf.data, req->buf.len);
		sb_strbuf_reset(&req->buf);
	}
	if (req->dropped)
		return;
	if (req->finished) {
		deliver_end(req);
	} else if (req->paused) {
		req->paused = false;
		curl_easy_pause(req->easy, CURLPAUSE_CONT);
	}
}

static void http_destroy(struct sb_http_later *later)
{
	struct sb_http *http = sb_container_of(later, struct sb_http, destroy);

	curl_multi_cleanup(http->multi);
	sd_event_source_disable_unref(http->timer);
	sd_event_unref(http->loop);
	free(http->what);
	free(http->socket);
	free(http->base);
	free(http);
	curl_global_cleanup();
}

static void dispatch(struct sb_http *http)
{
	struct sb_http_req *req;
	CURLMsg *msg;
	int left;

	http->dispatching = true;
	while ((msg = curl_multi_info_read(http->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&req);
		req->finished = true;
		/* For curl, a connection that ends within the headers ends well. */
		if (!req->err.code && (msg->data.result != CURLE_OK || !req->headed))
			set_end_err(req, msg->data.result ? msg->data.result : CURLE_PARTIAL_FILE);
		queue(req);
	}
	while ((req = TAILQ_FIRST(&http->ready))) {
		TAILQ_REMOVE(&http->ready, req, ready);
		req->queued = false;
		deliver(req);
	}
	/* What runs now may free http itself, which was added last and so would run first. */
	struct sb_http_later *todo = sb_steal(http->later);
	bool dead = http->dead;
	http->dispatching = false;
	while (todo) {
		struct sb_http_later *next = todo->next;

		todo->run(todo);
		todo = next;
	}
	if (dead)
		http_destroy(&http->destroy);
}

/* --- curl to sd-event --- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct sb_http *http = arg;
	int mask = 0, running;

	if (revents & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (revents & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(http->multi, fd, mask, &running);
	dispatch(http);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
	struct sb_http *http = arg;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	dispatch(http);
	return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
	static const uint32_t events[] = {
		[CURL_POLL_NONE] = 0,
		[CURL_POLL_IN] = EPOLLIN,
		[CURL_POLL_OUT] = EPOLLOUT,
		[CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT,
	};
	struct sb_http *http = arg;
	sd_event_source *source = socketp;

	if (what == CURL_POLL_REMOVE) {
		sd_event_source_disable_unref(source);
		return 0;
	}
	if (source)
		return sd_event_source_set_io_events(source, events[what]) < 0 ? -1 : 0;
	if (sd_event_add_io(http->loop, &source, fd, events[what], on_io, http) < 0)
		return -1;
	curl_multi_assign(http->multi, fd, source);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct sb_http *http = arg;

	if (timeout_ms < 0)
		return sd_event_source_set_enabled(http->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(http->timer, (uint64_t)timeout_ms * 1000) < 0)
		return -1;
	return sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

/* curl itself opens sockets that a child would inherit. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
}

/* --- one request --- */

static void touch(struct sb_http_req *req)
{
	sd_event_now(req->http->loop, CLOCK_MONOTONIC, &req->last_us);
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
	struct sb_http_req *req = arg;

	n *= size;
	touch(req);
	if (is_stream(req) && req->buf.len && req->buf.len + n > HTTP_STREAM_MAX) {
		req->paused = true;
		queue(req);
		return CURL_WRITEFUNC_PAUSE;
	}
	if (sb_strbuf_add(&req->buf, data, n) < 0) {
		req->over_cap = req->buf.failed == -SB_E_RANGE;
		if (!req->over_cap)
			sb_err_nomem(&req->err);
		return 0;
	}
	if (is_stream(req))
		queue(req);
	return n;
}

static void take_version(struct sb_http_req *req, const char *line, size_t n)
{
	static const char name[] = "Api-Version:";
	size_t at = sizeof(name) - 1, len = 0;

	if (n < at || strncasecmp(line, name, at))
		return;
	while (at < n && line[at] == ' ')
		at++;
	while (at < n && line[at] > ' ' && len < sizeof(req->api_version) - 1)
		req->api_version[len++] = line[at++];
	req->api_version[len] = '\0';
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct sb_http_req *req = arg;
	long status = 0;

	n *= size;
	touch(req);
	if (n > 2) {
		take_version(req, line, n);
		return n;
	}
	curl_easy_getinfo(req->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return n;
	req->status = (int)status;
	req->headed = true;
	if (req->ask.data && !is_stream(req))
		req->buf.max = HTTP_ERROR_MAX;
	if (is_stream(req)) {
		req->buf.max = HTTP_STREAM_MAX + CURL_MAX_WRITE_SIZE;
		queue(req);
	}
	return n;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *arg)
{
	struct sb_http_req *req = arg;
	struct sb_http *http = req->http;
	uint64_t limit_us = req->ask.idle_ms * 1000, now, idle_us;

	if (req->headed && !req->ask.idle_always)
		return 0;
	sd_event_now(http->loop, CLOCK_MONOTONIC, &now);
	idle_us = now > req->last_us ? now - req->last_us : 0;
	if (idle_us < limit_us) {
		sd_event_source_set_time_relative(source, limit_us - idle_us);
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	sb_err_set(&req->err, SB_E_TIMEOUT, "%s: silent for %llu ms", http->what,
			(unsigned long long)req->ask.idle_ms);
	req->finished = true;
	queue(req);
	dispatch(http);
	return 0;
}

static int add_header(struct sb_http_req *req, const char *name, const char *value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	struct curl_slist *list;

	if (sb_strbuf_addf(&line, "%s: %s", name, value) < 0)
		return -SB_E_NOMEM;
	list = curl_slist_append(req->headers, line.data);

	if (!list)
		return -SB_E_NOMEM;
	req->headers = list;
	return 0;
}

static int add_bearer(struct sb_http_req *req)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf value = SB_STRBUF_INIT;

	if (sb_strbuf_addf(&value, "Bearer %s", req->ask.bearer) < 0)
		return -SB_E_NOMEM;
	return add_header(req, "Authorization", value.data);
}

/* curl announces bodies over 1 MiB by "Expect:", which would cost a second. */
static int set_headers(struct sb_http_req *req)
{
	const struct sb_http_ask *ask = &req->ask;
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	if (!list)
		return -SB_E_NOMEM;
	req->headers = list;
	/* Without a type, curl would call an empty body a form. */
	if (add_header(req, "Content-Type", ask->content_type ? ask->content_type : "") < 0)
		return -SB_E_NOMEM;
	if (ask->auth && add_header(req, "X-Registry-Auth", ask->auth) < 0)
		return -SB_E_NOMEM;
	if (ask->bearer && add_bearer(req) < 0)
		return -SB_E_NOMEM;
	return 0;
}

static bool set_options(struct sb_http_req *req)
{
	const struct sb_http_ask *ask = &req->ask;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf url = SB_STRBUF_INIT;
	const char *base = req->http->base ? req->http->base : "http://localhost";
	CURL *e = req->easy;
	bool bad = sb_strbuf_addf(&url, "%s%s", base, ask->target) < 0;

	bad = bad || curl_easy_setopt(e, CURLOPT_URL, url.data);
	bad = bad || curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, req->http->socket);
	if (ask->body || !strcmp(ask->method, "POST")) {
		bad = bad || curl_easy_setopt(e, CURLOPT_POST, 1L);
		bad = bad || curl_easy_setopt(e, CURLOPT_POSTFIELDS, ask->body ? ask->body : "");
		bad = bad || curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->len);
	}
	bad = bad || curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, ask->method);
	bad = bad || curl_easy_setopt(e, CURLOPT_HTTPHEADER, req->headers);
	bad = bad || curl_easy_setopt(e, CURLOPT_PRIVATE, req);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, req);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, req);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, ""); /* else http_proxy of the environment counts */
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)ask->deadline_ms);
	/* On a kept connection that turns out dead, curl repeats the request by itself. */
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, ask->once ? 1L : 0L);
	return !bad;
}

static int arm_idle(struct sb_http_req *req, struct sb_err *err)
{
	int rc;

	touch(req);
	if (!req->ask.idle_ms)
		return 0;
	rc = sd_event_add_time_relative(req->http->loop, &req->idle, CLOCK_MONOTONIC,
			req->ask.idle_ms * 1000, 1000, on_idle, req);
	return rc < 0 ? sb_err_errno(err, -rc, "timer") : 0;
}

int sb_http_start(struct sb_http *http, const struct sb_http_ask *ask, struct sb_http_req **ret,
		struct sb_err *err)
{
	struct sb_http_req *req = calloc(1, sizeof(*req));
	CURLMcode mc;
	int rc;

	if (!req)
		return sb_err_nomem(err);
	req->http = http;
	req->ask = *ask;
	req->later.run = req_free;
	req->buf.max = ask->reply_max;
	req->easy = curl_easy_init();
	if (!req->easy || set_headers(req) < 0 || !set_options(req)) {
		req_free(&req->later);
		return sb_err_nomem(err);
	}
	req->ask.target = req->ask.auth = req->ask.bearer =
			NULL; /* curl has copies; the caller's may go */
	rc = arm_idle(req, err);
	if (rc < 0) {
		req_free(&req->later);
		return rc;
	}
	mc = curl_multi_add_handle(http->multi, req->easy);
	if (mc) {
		req_free(&req->later);
		return sb_err_set(err, SB_E_INTERNAL, "curl: %s", curl_multi_strerror(mc));
	}
	TAILQ_INSERT_TAIL(&http->all, req, all);
	*ret = req;
	return 0;
}

/* --- life --- */

/* curl_multi_init() opens a pair of sockets for curl_multi_wakeup() that children would inherit,
 * and offers no way to name them: they are the descriptors that were not there before. */
#define FDS_LOOKED_AT 1024

static CURLM *multi_new(void)
{
	bool open[FDS_LOOKED_AT];
	CURLM *multi;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		open[fd] = fcntl(fd, F_GETFD) >= 0;
	multi = curl_multi_init();
	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		if (!open[fd])
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	return multi;
}

static int copy_peer(struct sb_http *http, const struct sb_http_peer *peer)
{
	http->what = strdup(peer->what);
	http->socket = peer->socket ? strdup(peer->socket) : NULL;
	http->base = peer->base ? strdup(peer->base) : NULL;
	http->hint_down = peer->hint_down;
	http->hint_denied = peer->hint_denied;
	return http->what && !http->socket == !peer->socket && !http->base == !peer->base
			? 0
			: -SB_E_NOMEM;
}

int sb_http_new(sd_event *loop, const struct sb_http_peer *peer, struct sb_http **ret,
		struct sb_err *err)
{
	struct sb_http *http;
	int rc;

	if (peer->socket && strlen(peer->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return sb_err_set(err, SB_E_INVALID, "socket path %s is too long", peer->socket);
	http = calloc(1, sizeof(*http));
	if (!http)
		return sb_err_nomem(err);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	TAILQ_INIT(&http->all);
	TAILQ_INIT(&http->ready);
	http->loop = sd_event_ref(loop);
	http->multi = multi_new();
	rc = sd_event_add_time(loop, &http->timer, CLOCK_MONOTONIC, 0, 1000, on_time, http);
	if (rc < 0 || !http->multi || copy_peer(http, peer) < 0) {
		http_destroy(&http->destroy);
		return rc < 0 ? sb_err_errno(err, -rc, "timer") : sb_err_nomem(err);
	}
	sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, HTTP_IDLE_CONNS);
	*ret = http;
	return 0;
}

void sb_http_free(struct sb_http *http)
{
	struct sb_http_req *req;

	if (!http)
		return;
	while ((req = TAILQ_FIRST(&http->all)))
		req_drop(req);
	http->dead = true;
	if (!http->dispatching)
		http_destroy(&http->destroy);
}
