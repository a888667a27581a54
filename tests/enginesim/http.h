/* http.h - a small HTTP/1.1 server: a thread per connection, keep-alive, chunked streams */
#ifndef ES_HTTP_H
#define ES_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** struct es_req - one request; its strings live until its handler returns */
struct es_req {
	int fd;
	const char *method;
	const char *path;          /* without the query */
	const char *query;         /* "" if there is none */
	const char *authorization; /* "" if there is none */
	char *body;                /* with a NUL after its last byte */
	size_t body_len;
	bool keep_alive;
	bool streaming;
	bool broken; /* the client is gone: answers are dropped */
};

/** struct es_route - one row of a server's table */
struct es_route {
	const char *method;
	const char *path;
	void (*handle)(struct es_req *req);
};

/** es_http_bind() - bind early, as vLLM does; a busy port ends the process. Return: the socket. */
int es_http_bind(const char *host, int port);

/**
 * es_http_serve() - listen and answer for ever
 * @guard: may answer itself and return false
 * @announce: says that it listens; NULL for uvicorn's words
 */
void es_http_serve(int fd, const struct es_route *routes, size_t n_routes,
		bool (*guard)(struct es_req *req), void (*announce)(const char *host, int port))
		__attribute__((noreturn));

void es_reply(struct es_req *req, int status, const char *type, const char *body, size_t len);

/** es_reply_json() - takes over @j */
void es_reply_json(struct es_req *req, int status, json_t *j);

/** es_sse() - one server-sent event, "data: TEXT"; the first one also sends the header */
void es_sse(struct es_req *req, const char *text);

/** es_sse_json() - the same with a JSON text; takes over @j */
void es_sse_json(struct es_req *req, json_t *j);

/** es_sse_end() - end the stream */
void es_sse_end(struct es_req *req);

/** es_query() - the value of a query parameter, copied to @ret; false if it is not there */
bool es_query(const struct es_req *req, const char *name, char *ret, size_t cap);

#endif
