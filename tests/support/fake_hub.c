#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "fake_hub.h"

#define REQUEST_MAX 16384
#define DRIP_MS     50

struct fake_hub {
	_Atomic(const struct fake_hub_row *) rows;
	int listener, wake[2];
	unsigned port;
	char url[48];
	atomic_uint requests, tokens;
	SSL_CTX *tls;
	pthread_t thread;
};

struct connection {
	int fd;
	SSL *ssl;
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

static ssize_t get(struct connection *c, char *to, size_t size)
{
	return c->ssl ? SSL_read(c->ssl, to, (int)size) : read(c->fd, to, size);
}

static bool put(struct connection *c, const char *data, size_t len)
{
	while (len) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, data, (int)len)
				   : send(c->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* True when the other side is gone or the hub ends. */
static bool over(struct fake_hub *hub, struct connection *c, int wait_ms)
{
	struct pollfd fds[] = { { c->fd, POLLIN, 0 }, { hub->wake[0], POLLIN, 0 } };

	return poll(fds, 2, wait_ms) > 0;
}

static void put_headers(struct fake_hub *hub, struct connection *c, const struct fake_hub_row *row,
		int status, size_t len)
{
	char head[4096], more[2048] = "", port[8];
	const char *text = row->headers ? row->headers : "", *mark;

	snprintf(port, sizeof(port), "%u", hub->port);
	while ((mark = strstr(text, "@PORT@"))) {
		snprintf(more + strlen(more), sizeof(more) - strlen(more), "%.*s%s",
				(int)(mark - text), text, port);
		text = mark + 6;
	}
	snprintf(more + strlen(more), sizeof(more) - strlen(more), "%s", text);
	snprintf(head, sizeof(head), "HTTP/1.1 %d Some\r\nContent-Length: %zu\r\n%s\r\n", status,
			len, more);
	put(c, head, strlen(head));
}

static void misbehave(struct fake_hub *hub, struct connection *c, enum fake_hub_way way)
{
	static const char blanks[4096] = { ' ' };

	if (way == FAKE_HUB_SILENT)
		over(hub, c, -1);
	while (way == FAKE_HUB_DRIP && !over(hub, c, DRIP_MS) && put(c, " ", 1))
		;
	while (way == FAKE_HUB_ENDLESS && !over(hub, c, 0) && put(c, blanks, sizeof(blanks)))
		;
}

static void answer(struct fake_hub *hub, struct connection *c, const struct fake_hub_row *row,
		const char *request)
{
	size_t len = row->len ? row->len : row->body ? strlen(row->body) : 0;
	const char *range = strcasestr(request, "\r\nRange: bytes=0-");
	int status = row->status ? row->status : 200;

	if (row->ranges && range) {
		size_t end = strtoul(range + 17, NULL, 10) + 1;

		status = 206;
		len = end < len ? end : len;
	}
	if (row->way == FAKE_HUB_SILENT) {
		misbehave(hub, c, row->way);
		return;
	}
	put_headers(hub, c, row, status, row->way >= FAKE_HUB_DRIP ? (size_t)1 << 40 : len);
	put(c, row->body ? row->body : "", row->way == FAKE_HUB_CUT ? len / 2 : len);
	misbehave(hub, c, row->way);
}

/* Return: false when the connection is to be closed. */
static bool serve_one(struct fake_hub *hub, struct connection *c)
{
	static const struct fake_hub_row nothing = { .status = 404, .body = "{}" };
	char request[REQUEST_MAX + 1], path[2048] = "";
	const struct fake_hub_row *row = hub->rows;
	size_t len = 0;

	request[0] = '\0';
	while (!strstr(request, "\r\n\r\n")) {
		ssize_t n = len < REQUEST_MAX ? get(c, request + len, REQUEST_MAX - len) : 0;

		if (n <= 0)
			return false;
		len += (size_t)n;
		request[len] = '\0';
	}
	sscanf(request, "GET %2047s", path);
	hub->requests++;
	hub->tokens += strcasestr(request, "\r\nAuthorization:") != NULL;
	while (row->path && strcmp(row->path, path) != 0)
		row++;
	answer(hub, c, row->path ? row : &nothing, request);
	return row->way == FAKE_HUB_WHOLE;
}

static void *serve(void *ctx)
{
	struct fake_hub *hub = ctx;
	struct pollfd fds[] = { { hub->listener, POLLIN, 0 }, { hub->wake[0], POLLIN, 0 } };

	while (poll(fds, 2, -1) > 0 && !(fds[1].revents & POLLIN)) {
		struct connection c = { accept(hub->listener, NULL, NULL), NULL };
		bool good = true;

		if (hub->tls) {
			c.ssl = SSL_new(hub->tls);
			SSL_set_fd(c.ssl, c.fd);
			good = SSL_accept(c.ssl) == 1;
		}
		while (good) {
			struct pollfd in[] = { { c.fd, POLLIN, 0 }, { hub->wake[0], POLLIN, 0 } };

			good = poll(in, 2, -1) > 0 && !(in[1].revents & POLLIN) &&
					serve_one(hub, &c);
		}
		SSL_free(c.ssl);
		close(c.fd);
	}
	return NULL;
}

static void make_tls(struct fake_hub *hub, const char *ca_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_EXTENSION *name =
			X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	FILE *file = fopen(ca_path, "we");

	must(key && cert && name && file, "certificate");
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
			(const unsigned char *)"fake hub", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	X509_add_ext(cert, name, -1);
	must(X509_sign(cert, key, EVP_sha256()) > 0, "sign");
	must(PEM_write_X509(file, cert) == 1 && fclose(file) == 0, ca_path);
	hub->tls = SSL_CTX_new(TLS_server_method());
	must(SSL_CTX_use_certificate(hub->tls, cert) == 1 &&
					SSL_CTX_use_PrivateKey(hub->tls, key) == 1,
			"TLS");
	X509_EXTENSION_free(name);
	X509_free(cert);
	EVP_PKEY_free(key);
}

struct fake_hub *fake_hub_new(const struct fake_hub_row *rows, bool tls, const char *ca_path)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct fake_hub *hub = calloc(1, sizeof(*hub));

	must(hub, "memory");
	signal(SIGPIPE, SIG_IGN);
	hub->rows = rows;
	hub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(!bind(hub->listener, (struct sockaddr *)&at, sizeof(at)) &&
					!listen(hub->listener, 8) &&
					!getsockname(hub->listener, (struct sockaddr *)&at, &len) &&
					!pipe(hub->wake),
			"listen");
	hub->port = ntohs(at.sin_port);
	snprintf(hub->url, sizeof(hub->url), "%s://127.0.0.1:%u", tls ? "https" : "http",
			hub->port);
	if (tls)
		make_tls(hub, ca_path);
	must(!pthread_create(&hub->thread, NULL, serve, hub), "thread");
	return hub;
}

void fake_hub_free(struct fake_hub *hub)
{
	must(write(hub->wake[1], "x", 1) == 1, "wake");
	pthread_join(hub->thread, NULL);
	SSL_CTX_free(hub->tls);
	close(hub->listener);
	close(hub->wake[0]);
	close(hub->wake[1]);
	free(hub);
}

unsigned fake_hub_port(const struct fake_hub *hub)
{
	return hub->port;
}

const char *fake_hub_url(const struct fake_hub *hub)
{
	return hub->url;
}

unsigned fake_hub_requests(const struct fake_hub *hub)
{
	return hub->requests;
}

unsigned fake_hub_tokens(const struct fake_hub *hub)
{
	return hub->tokens;
}

void fake_hub_rows(struct fake_hub *hub, const struct fake_hub_row *rows)
{
	hub->rows = rows;
}
