#include "http.h"

#include "engine.h"
#include "es.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEAD_MAX        (64u << 10) /* bytes of request line and headers */
#define BODY_MAX        (32u << 20) /* bytes of a body */
#define CONNECTIONS_MAX 256         /* threads */
#define KEEP_ALIVE_S    5  /* an idle connection is closed after this, as vLLM's uvicorn does */
#define SEND_TIMEOUT_S  30 /* a client that does not read is given up */

static struct {
	const struct es_route *routes;
	size_t n_routes;
	bool (*guard)(struct es_req *req);
	atomic_int connections;
	const char *host;
	int port;
} srv;

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Request Entity Too Large" },
		{ 431, "Request Header Fields Too Large" },
		{ 503, "Service Unavailable" },
	};

	for (size_t i = 0; i < ES_COUNTOF(rows); i++)
		if (rows[i].status == status)
			return rows[i].text;
	return "Unknown";
}

static void send_all(struct es_req *req, const char *p, size_t len)
{
	while (len && !req->broken) {
		ssize_t n = send(req->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			req->broken = true;
			return;
		}
		p += n;
		len -= (size_t)n;
	}
}

void es_reply(struct es_req *req, int status, const char *type, const char *body, size_t len)
{
	struct es_buf out = { 0 };

	es_buf_printf(&out, "HTTP/1.1 %d %s\r\nserver: uvicorn\r\ncontent-length: %zu\r\n", status,
			status_text(status), len);
	if (type)
		es_buf_printf(&out, "content-type: %s\r\n", type);
	if (!req->keep_alive)
		es_buf_printf(&out, "connection: close\r\n");
	es_buf_add(&out, "\r\n", 2);
	if (strcmp(req->method, "HEAD"))
		es_buf_add(&out, body, len);
	send_all(req, out.p, out.len);
	es_buf_free(&out);
	es_raw("INFO:     \"%s %s HTTP/1.1\" %d %s", req->method, req->path, status,
			status_text(status));
}

void es_reply_json(struct es_req *req, int status, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(j);
	if (!text) {
		es_raw("enginesim: out of memory");
		es_exit(70);
	}
	es_reply(req, status, "application/json", text, strlen(text));
	free(text);
}

static void stream_begin(struct es_req *req)
{
	static const char header[] = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\n"
				     "content-type: text/event-stream; charset=utf-8\r\n"
				     "transfer-encoding: chunked\r\n\r\n";

	req->streaming = true;
	send_all(req, header, sizeof(header) - 1);
	es_raw("INFO:     \"%s %s HTTP/1.1\" 200 OK", req->method, req->path);
}

void es_sse(struct es_req *req, const char *text)
{
	struct es_buf out = { 0 };

	if (!req->streaming)
		stream_begin(req);
	es_buf_printf(&out, "%zx\r\ndata: %s\n\n\r\n", strlen(text) + 8, text);
	send_all(req, out.p, out.len);
	es_buf_free(&out);
}

void es_sse_json(struct es_req *req, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (text)
		es_sse(req, text);
	free(text);
}

void es_sse_end(struct es_req *req)
{
	send_all(req, "0\r\n\r\n", 5);
}

bool es_query(const struct es_req *req, const char *name, char *ret, size_t cap)
{
	size_t n = strlen(name);

	for (const char *p = req->query; *p; p += strcspn(p, "&"), p += *p == '&')
		if (!strncmp(p, name, n) && p[n] == '=') {
			snprintf(ret, cap, "%.*s", (int)strcspn(p + n + 1, "&"), p + n + 1);
			return true;
		}
	return false;
}

static void detail(struct es_req *req, int status, const char *what)
{
	es_reply_json(req, status, json_pack("{s:s}", "detail", what));
}

static void dispatch(struct es_req *req)
{
	bool path_known = false;

	if (srv.guard && !srv.guard(req))
		return;
	for (size_t i = 0; i < srv.n_routes; i++) {
		if (strcmp(srv.routes[i].path, req->path))
			continue;
		path_known = true;
		if (!strcmp(srv.routes[i].method, req->method)) {
			srv.routes[i].handle(req);
			return;
		}
	}
	detail(req, path_known ? 405 : 404, path_known ? "Method Not Allowed" : "Not Found");
}

/* Receive until @in holds a whole head. Return: its length with the empty line; 0 at the end of the
 * connection, -1 if it grew past its cap. */
static long recv_head(int fd, struct es_buf *in)
{
	char chunk[8192];
	const char *end;
	ssize_t n;

	for (;;) {
		end = in->len ? memmem(in->p, in->len, "\r\n\r\n", 4) : NULL;
		if (end)
			return end + 4 - in->p;
		if (in->len > HEAD_MAX)
			return -1;
		n = recv(fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return 0;
		es_buf_add(in, chunk, (size_t)n);
	}
}

static int recv_body(struct es_req *req, struct es_buf *in, size_t head, size_t len)
{
	char chunk[16384];
	ssize_t n;

	while (in->len < head + len) {
		n = recv(req->fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return -1;
		es_buf_add(in, chunk, (size_t)n);
	}
	return 0;
}

struct headers {
	long long length;
	bool chunked;
	bool expect;
	bool close;
	char authorization[1024];
};

static void read_header(struct headers *h, const char *name, const char *value)
{
	char *end;

	if (!strcasecmp(name, "content-length")) {
		h->length = strtoll(value, &end, 10);
		if (end == value || *end || h->length < 0)
			h->length = -1;
	} else if (!strcasecmp(name, "transfer-encoding")) {
		h->chunked = true;
	} else if (!strcasecmp(name, "expect")) {
		h->expect = !strcasecmp(value, "100-continue");
	} else if (!strcasecmp(name, "connection")) {
		h->close = !strcasecmp(value, "close");
	} else if (!strcasecmp(name, "authorization")) {
		snprintf(h->authorization, sizeof(h->authorization), "%s", value);
	}
}

/* Cut the head, which ends in a NUL, into @req and @h. Return: -1 if it is no HTTP. */
static int parse_head(struct es_req *req, struct headers *h, char *head)
{
	char *save = NULL, *line = strtok_r(head, "\r\n", &save), *colon, *word, *path, *query;

	if (!line || !(req->method = strtok_r(line, " ", &word)) ||
			!(path = strtok_r(NULL, " ", &word)))
		return -1;
	h->close = !strcmp(word, "HTTP/1.0");
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	req->path = path;
	req->query = query ? query : "";
	while ((line = strtok_r(NULL, "\r\n", &save))) {
		colon = strchr(line, ':');
		if (!colon)
			return -1;
		*colon++ = '\0';
		read_header(h, line, colon + strspn(colon, " \t"));
	}
	return 0;
}

/* An answer to something that is not a request, after which nothing can be trusted. */
static bool give_up(struct es_req *req, int status)
{
	req->method = req->method ? req->method : "?";
	req->path = req->path ? req->path : "?";
	req->keep_alive = false;
	detail(req, status, status_text(status));
	return false;
}

/* Answer one request from @in. Return: whether the connection lives on. */
static bool serve_one(int fd, struct es_buf *in)
{
	struct es_req req = { .fd = fd };
	struct headers h = { 0 };
	long head = recv_head(fd, in);
	char *head_text, saved;
	int rc;

	if (head == 0)
		return false;
	if (head < 0)
		return give_up(&req, 431);
	head_text = strndup(in->p, (size_t)head);
	rc = head_text ? parse_head(&req, &h, head_text) : -1;
	req.keep_alive = !h.close;
	req.authorization = h.authorization;
	if (rc < 0 || h.length < 0 || h.chunked || h.length > BODY_MAX) {
		give_up(&req, rc < 0 || h.length < 0 ? 400 : h.chunked ? 411 : 413);
		goto out;
	}
	if (h.expect)
		send_all(&req, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (recv_body(&req, in, (size_t)head, (size_t)h.length) < 0) {
		req.keep_alive = false;
		goto out;
	}
	/* What follows the body is the next request; its first byte makes room for a NUL. */
	req.body = in->p + head;
	req.body_len = (size_t)h.length;
	saved = req.body[req.body_len];
	req.body[req.body_len] = '\0';
	dispatch(&req);
	req.body[req.body_len] = saved;
	in->len -= (size_t)head + req.body_len;
	memmove(in->p, in->p + head + req.body_len, in->len + 1);
out:
	free(head_text);
	return req.keep_alive && !req.broken;
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg, one = 1;
	struct timeval in_s = { .tv_sec = KEEP_ALIVE_S }, out_s = { .tv_sec = SEND_TIMEOUT_S };
	struct es_buf in = { 0 };

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &in_s, sizeof(in_s));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &out_s, sizeof(out_s));
	while (serve_one(fd, &in))
		;
	es_buf_free(&in);
	close(fd);
	atomic_fetch_sub(&srv.connections, 1);
	return NULL;
}

static void bind_error(int error) ES_NORETURN;
static void bind_error(int error)
{
	char text[128];

	if (es_config.style->log == ES_LOG_BARE) {
		es_raw("start: couldn't bind HTTP server socket, hostname: %s, port: %d", srv.host,
				srv.port);
		es_raw("main: exiting due to HTTP server error");
		es_exit(1);
	}
	snprintf(text, sizeof(text), "%s", strerror(error));
	text[0] |= 0x20; /* uvicorn writes "address already in use" */
	es_raw("ERROR:    [Errno %d] error while attempting to bind on address ('%s', %d): %s",
			error, srv.host, srv.port, text);
	es_exit(1);
}

int es_http_bind(const char *host, int port)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd, one = 1;

	srv.host = host && *host ? host : "0.0.0.0";
	srv.port = port;
	if (port < 0 || port > 65535 || es_resolve(host, port, &sa, &len) < 0)
		bind_error(EADDRNOTAVAIL);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		bind_error(errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		bind_error(errno);
	return fd;
}

static void uvicorn(const char *host, int port)
{
	es_raw("INFO:     Application startup complete.");
	es_raw("INFO:     Uvicorn running on http://%s:%d (Press CTRL+C to quit)", host, port);
}

void es_http_serve(int fd, const struct es_route *routes, size_t n_routes,
		bool (*guard)(struct es_req *req), void (*announce)(const char *host, int port))
{
	srv.routes = routes;
	srv.n_routes = n_routes;
	srv.guard = guard;
	if (listen(fd, 128) < 0)
		bind_error(errno);
	(announce ? announce : uvicorn)(srv.host, srv.port);
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE)
				es_sleep_until(es_now() + 0.05);
			continue;
		}
		if (atomic_fetch_add(&srv.connections, 1) >= CONNECTIONS_MAX) {
			struct es_req req = { .fd = client };

			give_up(&req, 503);
			atomic_fetch_sub(&srv.connections, 1);
			close(client);
			continue;
		}
		es_thread(connection, (void *)(intptr_t)client);
	}
}
