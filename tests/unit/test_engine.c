/* The Docker client against an engine that is scripted to refuse, stall, truncate and hang up.
 * The engine runs on the same loop: a request line is matched against the script's rows in order,
 * each row serves once, and whatever /_ping has no row is answered well. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "sb_engine_parts.h"

enum after { KEEP, HANG_UP, STALL };

struct row {
	const char *match;
	const char *reply; /* NULL: nothing */
	size_t len;        /* 0: strlen(reply) */
	enum after after;
};

#define CONNS_MAX 32

struct conn {
	int fd;
	sd_event_source *source;
	struct sb_strbuf in;
};

static sd_event *loop;
static char dir[64], path[96];
static int listen_fd = -1;
static sd_event_source *listener;
static struct conn conns[CONNS_MAX];
static size_t n_conns;
static struct row rows[32];
static size_t n_rows, next_row;
static struct sb_strbuf asked; /* every request but pings: head and body */
static unsigned n_pings;
static const char *api = "1.41";
static struct sb_engine *eng;

static struct sb_strbuf told; /* what callbacks said */
static struct sb_err last;
static unsigned n_told, want_told;

/* --- the scripted engine --- */

static void conn_close(struct conn *c)
{
	c->source = sd_event_source_disable_unref(c->source);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	sb_strbuf_done(&c->in);
}

static void conn_reply(struct conn *c, const char *reply, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, reply, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		reply += n;
		len -= (size_t)n;
	}
}

static void conn_serve(struct conn *c, const char *request)
{
	struct row *row = &rows[next_row];
	char pong[128];

	if (next_row < n_rows && strstr(request, row->match)) {
		next_row++;
		sb_strbuf_adds(&asked, request);
		sb_strbuf_adds(&asked, "\n");
		if (row->reply)
			conn_reply(c, row->reply, row->len ? row->len : strlen(row->reply));
		if (row->after == HANG_UP)
			conn_close(c);
		return;
	}
	ck_assert_msg(strstr(request, "GET /_ping") == request, "not in the script: %s", request);
	n_pings++;
	snprintf(pong, sizeof(pong),
			"HTTP/1.1 200 OK\r\nApi-Version: %s\r\nContent-Length: 2\r\n\r\nOK", api);
	conn_reply(c, pong, strlen(pong));
}

static int on_conn(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct conn *c = arg;
	char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	const char *end, *length;
	size_t total;

	if (n <= 0) {
		conn_close(c);
		return 0;
	}
	sb_strbuf_add(&c->in, buf, (size_t)n);
	end = strstr(c->in.data, "\r\n\r\n");
	if (!end)
		return 0;
	length = strcasestr(c->in.data, "Content-Length: ");
	total = (size_t)(end + 4 - c->in.data) +
			(length && length < end ? strtoul(length + 16, NULL, 10) : 0);
	if (c->in.len < total)
		return 0;
	{
		SB_CLEANUP(sb_freep) char *request = strndup(c->in.data, total);

		sb_strbuf_consume(&c->in, total);
		conn_serve(c, request);
	}
	return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct conn *c = &conns[n_conns++];

	ck_assert_uint_lt(n_conns, CONNS_MAX);
	c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(c->fd, 0);
	ck_assert_int_ge(sd_event_add_io(loop, &c->source, c->fd, EPOLLIN, on_conn, c), 0);
	return 0;
}

static void server_up(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listen_fd, 8), 0);
	ck_assert_int_ge(sd_event_add_io(loop, &listener, listen_fd, EPOLLIN, on_accept, NULL), 0);
}

static void server_down(bool remove_socket)
{
	listener = sd_event_source_disable_unref(listener);
	if (listen_fd >= 0)
		close(listen_fd);
	listen_fd = -1;
	for (size_t i = 0; i < n_conns; i++)
		conn_close(&conns[i]);
	if (remove_socket)
		unlink(path);
}

static void script(const struct row *list, size_t n)
{
	memcpy(rows, list, n * sizeof(*list));
	n_rows = n;
	next_row = 0;
}
#define SCRIPT(...)                                                                                \
	script((const struct row[]){ __VA_ARGS__ },                                                \
			sizeof((const struct row[]){ __VA_ARGS__ }) / sizeof(struct row))

/* --- what callbacks tell --- */

static void note(const char *what, const struct sb_err *err)
{
	if (err)
		last = *err;
	sb_strbuf_addf(&told, "%s%s%s;", what, err ? ":" : "", err ? sb_code_name(err->code) : "");
	n_told++;
}

static void on_done(void *ctx, const struct sb_err *err)
{
	note("done", err);
}

static void on_id(void *ctx, const char *id, const struct sb_err *err)
{
	ck_assert_int_eq(id == NULL, err != NULL);
	note(id ? id : "id", err);
}

static void on_wait(void *ctx, int exit_code, const struct sb_err *err)
{
	sb_strbuf_addf(&told, "%d", exit_code);
	note("wait", err);
}

static void on_container(void *ctx, const struct sb_container_info *info, const struct sb_err *err)
{
	ck_assert_int_eq(info == NULL, err != NULL);
	note(info ? info->name : "container", err);
}

static void on_list(
		void *ctx, const struct sb_container_info *list, size_t n, const struct sb_err *err)
{
	for (size_t i = 0; i < n; i++)
		sb_strbuf_addf(&told, "%s,", list[i].name);
	note("list", err);
}

static void on_image(void *ctx, const struct sb_image_info *info, const struct sb_err *err)
{
	for (size_t i = 0; info && info->repo_digests[i]; i++)
		sb_strbuf_addf(&told, "%s,", info->repo_digests[i]);
	for (size_t i = 0; info && info->entrypoint[i]; i++)
		sb_strbuf_addf(&told, "%s,", info->entrypoint[i]);
	note(info ? info->id : "image", err);
}

static void on_version(void *ctx, const struct sb_engine_version *v, const struct sb_err *err)
{
	note(v ? v->version : "version", err);
}

static void on_info(void *ctx, const struct sb_engine_info *i, const struct sb_err *err)
{
	note(i ? i->root_dir : "info", err);
}

static void on_df(void *ctx, const struct sb_engine_df *df, const struct sb_err *err)
{
	if (df)
		sb_strbuf_addf(&told, "%d,%d,%d", (int)df->images_bytes, (int)df->containers_bytes,
				(int)df->volumes_bytes);
	note("df", err);
}

static void on_progress(void *ctx, const char *layer, const char *status, uint64_t current_bytes,
		uint64_t total_bytes)
{
	sb_strbuf_addf(&told, "%s %s %d/%d;", layer, status, (int)current_bytes, (int)total_bytes);
}

static void on_log(void *ctx, const struct sb_engine_log *log, const struct sb_err *err)
{
	note(log ? log->text && log->len ? strndupa(log->text, log->len) : "" : "end", err);
}

static void on_event(
		void *ctx, const struct sb_engine_event *ev, bool resync, const struct sb_err *err)
{
	note(resync ? "resync" : ev ? ev->action : "lost", err);
}

/* A loop that does not come to its end within this is a failure, not a wait. */
#define STUCK_US (20u * 1000000u)

static int on_stuck(sd_event_source *source, uint64_t usec, void *arg)
{
	ck_abort_msg("stuck after '%s'; asked: %s", sb_strbuf_str(&told), sb_strbuf_str(&asked));
	return 0;
}

/* Until @n callbacks came since the last time. */
static const char *after(unsigned n)
{
	sd_event_source *stuck = NULL;

	ck_assert_int_ge(sd_event_add_time_relative(loop, &stuck, CLOCK_MONOTONIC, STUCK_US, 0,
					 on_stuck, NULL),
			0);
	for (want_told += n; n_told < want_told;)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
	sd_event_source_disable_unref(stuck);
	return sb_strbuf_str(&told);
}

static const struct engine_limits limits = {
	.deadline_max_ms = 10000,
	.answer_ms = 10000,
	.pull_idle_ms = 10000,
	.log_end_ms = 50,
	.backoff_min_ms = 1,
	.backoff_max_ms = 20,
};

static void new_engine(const struct engine_limits *with)
{
	ck_assert_int_eq(sb_engine_docker_new_limited(loop, path, with, &eng, NULL), 0);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%.40s/sbengXXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	ck_assert_int_ge(sd_event_new(&loop), 0);
	asked = told = (struct sb_strbuf)SB_STRBUF_INIT;
	last = (struct sb_err)SB_ERR_INIT;
	n_conns = n_rows = next_row = 0;
	n_told = want_told = n_pings = 0;
	api = "1.41";
	server_up();
	new_engine(&limits);
}

static void teardown(void)
{
	sb_engine_free(eng);
	eng = NULL;
	server_down(true);
	rmdir(dir);
	sd_event_unref(loop);
	sb_strbuf_done(&asked);
	sb_strbuf_done(&told);
}

/* A reply with its length; the result lives until the next test. */
static const char *reply(const char *status, const char *body)
{
	static char store[16][4096];
	static unsigned at;
	char *out = store[at++ % 16];

	snprintf(out, sizeof(store[0]), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
			strlen(body), body);
	return out;
}

#define BOX(id)                                                                                    \
	"{\"Id\":\"" id "\",\"Name\":\"/" id "\",\"State\":{\"Status\":\"running\"},\"Config\":{}" \
	"}"

/* --- the engine is not there --- */

START_TEST(an_absent_engine_is_unavailable)
{
	server_down(true);
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "done:UNAVAILABLE;");
	ck_assert_ptr_nonnull(strstr(last.text, path));
	ck_assert_ptr_nonnull(strstr(last.text, "not running (no such socket)"));
	ck_assert(*last.hint);
}
END_TEST

START_TEST(a_dead_socket_is_unavailable)
{
	server_down(false);
	eng->ops->inspect(eng, "c1", on_container, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "container:UNAVAILABLE;");
	ck_assert_ptr_nonnull(strstr(last.text, "not running (connection refused)"));
	ck_assert_ptr_nonnull(strstr(last.text, "inspect c1: "));
}
END_TEST

START_TEST(a_closed_door_is_denied)
{
	if (geteuid() == 0) {
		/* Root passes any mode; another user is who this is about. */
		ck_assert_int_eq(chmod(path, 0600), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	} else {
		ck_assert_int_eq(chmod(path, 0), 0);
	}
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	after(1);
	ck_assert_int_eq(seteuid(getuid()), 0);
	ck_assert_str_eq(told.data, "done:DENIED;");
	ck_assert(*last.hint);
}
END_TEST

START_TEST(no_descriptor_would_be_inherited)
{
	bool before[256];
	int flags;

	sb_engine_free(eng);
	for (int fd = 0; fd < 256; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	new_engine(&limits);
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	after(1);
	for (int fd = 0; fd < 256; fd++)
		if (!before[fd] && (flags = fcntl(fd, F_GETFD)) >= 0)
			ck_assert_msg(flags & FD_CLOEXEC, "descriptor %d", fd);
}
END_TEST

START_TEST(a_long_path_is_refused_at_once)
{
	char longest[200];
	struct sb_engine *none = NULL;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(sb_engine_docker_new(loop, longest, &none, NULL), -SB_E_INVALID);
	ck_assert_ptr_null(none);
}
END_TEST

/* --- versions --- */

START_TEST(the_version_is_the_lower_of_both)
{
	api = "1.40";
	SCRIPT({ "GET /v1.40/info ", reply("200 OK", "{\"DockerRootDir\":\"/d\"}") },
			{ "GET /v1.40/info ", reply("200 OK", "{\"DockerRootDir\":\"/d\"}") });
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(2), "/d;/d;");
	ck_assert_uint_eq(n_pings, 1);
}
END_TEST

START_TEST(a_newer_engine_is_spoken_to_in_our_version)
{
	api = "1.52";
	SCRIPT({ "GET /v1.44/info ", reply("200 OK", "{\"DockerRootDir\":\"/d\"}") });
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "/d;");
}
END_TEST

START_TEST(an_old_engine_is_refused)
{
	api = "1.39";
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	after(2);
	ck_assert_int_eq(last.code, SB_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(last.text, "speaks API 1.39, at least 1.40"));
	ck_assert(*last.hint);
}
END_TEST

START_TEST(a_server_without_version_is_no_engine)
{
	api = "";
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "info:PROTOCOL;");
}
END_TEST

START_TEST(the_version_is_asked_again_after_the_engine_was_away)
{
	/* Twice: curl asks again by itself when a kept connection turns out dead. */
	SCRIPT({ "GET /v1.41/info ", NULL, 0, HANG_UP }, { "GET /v1.41/info ", NULL, 0, HANG_UP },
			{ "GET /v1.40/info ", reply("200 OK", "{\"DockerRootDir\":\"/d\"}") });
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "info:UNAVAILABLE;");
	api = "1.40";
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "info:UNAVAILABLE;/d;");
	ck_assert_uint_eq(n_pings, 2);
}
END_TEST

START_TEST(an_engine_that_was_replaced_while_idle_is_asked_again)
{
	SCRIPT({ "GET /v1.41/info ",
			       reply("400 Bad Request",
					       "{\"message\":\"client version 1.41 is too new. "
					       "Maximum supported API version is 1.40\"}") },
			{ "GET /v1.40/info ", reply("200 OK", "{\"DockerRootDir\":\"/d\"}") });
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	after(1);
	api = "1.40";
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "done;/d;");
}
END_TEST

START_TEST(an_engine_that_refuses_every_version_is_not_asked_for_ever)
{
	const char *no = reply(
			"400 Bad Request", "{\"message\":\"client version 1.41 is too old\"}");

	SCRIPT({ "GET /v1.41/info ", no }, { "GET /v1.41/info ", no });
	eng->ops->info(eng, on_info, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "info:INVALID;");
}
END_TEST

/* --- one answer --- */

START_TEST(operations_ask_what_the_api_wants)
{
	static const struct sb_container_spec spec = { .name = "llm-0", .image = "i:1" };

	SCRIPT({ "GET /version ", reply("200 OK", "{\"Version\":\"20\"}") },
			{ "GET /v1.41/system/df ",
					reply("200 OK",
							"{\"LayersSize\":1,\"Containers\":[{"
							"\"SizeRw\":2},{}],"
							"\"Volumes\":[{\"UsageData\":{\"Size\":-1}}"
							","
							"{\"UsageData\":{\"Size\":3}}]}") },
			{ "GET /v1.41/images/r.io:5/a/b:1/json ",
					reply("200 OK",
							"{\"Id\":\"sha256:x\",\"Size\":1,"
							"\"RepoDigests\":[\"d\"],"
							"\"Config\":{\"Entrypoint\":[\"e\"]}}") },
			{ "POST /v1.41/containers/create?name=llm-0 ",
					reply("201 Created", "{\"Id\":\"c1\",\"Warnings\":[]}") },
			{ "POST /v1.41/containers/c1/start ", reply("204 No Content", "") },
			{ "POST /v1.41/containers/c1/stop?t=7 ", reply("304 Not Modified", "") },
			{ "POST /v1.41/containers/c1/kill?signal=10 ",
					reply("204 No Content", "") },
			{ "POST /v1.41/containers/c1/wait?condition=not-running ",
					reply("200 OK", "{\"StatusCode\":137}") },
			{ "PUT /v1.41/containers/c1/archive?path=%2Fa%20b ", reply("200 OK", "") },
			{ "DELETE /v1.41/containers/c1?v=1&force=1 ",
					reply("404 Not Found",
							"{\"message\":\"No such container\"}") });
	eng->ops->version(eng, on_version, NULL, NULL, NULL);
	after(1);
	eng->ops->df(eng, on_df, NULL, NULL, NULL);
	after(1);
	eng->ops->image_inspect(eng, "r.io:5/a/b:1", on_image, NULL, NULL, NULL);
	after(1);
	eng->ops->create(eng, &spec, on_id, NULL, NULL, NULL);
	after(1);
	eng->ops->start(eng, "c1", on_done, NULL, NULL, NULL);
	after(1);
	eng->ops->stop(eng, "c1", 7, on_done, NULL, NULL, NULL);
	after(1);
	eng->ops->kill(eng, "c1", SIGUSR1, on_done, NULL, NULL, NULL);
	after(1);
	eng->ops->wait(eng, "c1", on_wait, NULL, NULL, NULL);
	after(1);
	eng->ops->archive_put(eng, "c1", "/a b", "TAR\nBYTES", 9, on_done, NULL, NULL, NULL);
	after(1);
	eng->ops->remove(eng, "c1", true, on_done, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "20;1,2,3df;d,e,sha256:x;c1;done;done;done;137wait;done;done;");
	ck_assert_ptr_nonnull(strstr(asked.data, "{\"Image\":\"i:1\",\"HostConfig\":{}}"));
	ck_assert_ptr_nonnull(strstr(asked.data, "TAR\nBYTES"));
	ck_assert_ptr_null(strstr(asked.data, "Expect:"));
	ck_assert_ptr_null(strstr(asked.data, "urlencoded"));
}
END_TEST

static const struct {
	const char *answer;
	enum after after;
	enum sb_code code;
	const char *words;
} answers[] = {
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 31\r\n\r\n{\"message\":\"no such container\"}",
			KEEP, SB_E_NOT_FOUND, "inspect c1: engine said 404: no such container" },
	{ "HTTP/1.1 409 Conflict\r\nContent-Length: 18\r\n\r\n{\"message\":\"busy\"}", KEEP,
			SB_E_BUSY, "engine said 409: busy" },
	{ "HTTP/1.1 500 Oh\r\nContent-Length: 37\r\n\r\n{\"message\":\"no space left on device\"} "
	  " ",
			KEEP, SB_E_RANGE, "no space left" },
	{ "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops", KEEP, SB_E_INTERNAL, "no reason" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"Id\"", KEEP, SB_E_PROTOCOL,
			"inspect c1: malformed JSON" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP, SB_E_PROTOCOL, "inspect c1" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", KEEP, SB_E_PROTOCOL, "without Id" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"Id\":", HANG_UP,
			SB_E_UNAVAILABLE, "hung up in the middle" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"Id\":", HANG_UP, SB_E_UNAVAILABLE,
			"hung up in the middle" },
	{ "HTTP/1.1 200 OK\r\nContent-", HANG_UP, SB_E_UNAVAILABLE, "hung up" },
	{ NULL, HANG_UP, SB_E_UNAVAILABLE, "hung up without an answer" },
	{ "SSH-2.0-OpenSSH\r\n", HANG_UP, SB_E_PROTOCOL, "does not speak HTTP" },
};

START_TEST(bad_answers_are_told_apart)
{
	/* Twice: curl asks again by itself when a kept connection brings no answer at all. */
	SCRIPT({ "GET /v1.41/containers/c1/json ", answers[_i].answer, 0, answers[_i].after },
			{ "GET /v1.41/containers/c1/json ", answers[_i].answer, 0,
					answers[_i].after });
	eng->ops->inspect(eng, "c1", on_container, NULL, NULL, NULL);
	after(1);
	ck_assert_msg(last.code == answers[_i].code, "%s", last.text);
	ck_assert_msg(strstr(last.text, answers[_i].words) != NULL, "%s", last.text);
}
END_TEST

START_TEST(a_silent_engine_runs_into_the_deadline)
{
	struct engine_limits shorter = limits;

	shorter.deadline_max_ms = 30;
	sb_engine_free(eng);
	new_engine(&shorter);
	SCRIPT({ "GET /version ", NULL, 0, STALL });
	eng->ops->version(eng, on_version, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "version:TIMEOUT;");
}
END_TEST

START_TEST(replies_are_bounded)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf big = SB_STRBUF_INIT;

	sb_strbuf_adds(&big, head);
	while (big.len < 100000 + strlen(head))
		sb_strbuf_addc(&big, ' ');
	SCRIPT({ "GET /version ", big.data });
	eng->ops->version(eng, on_version, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "version:RANGE;");
	ck_assert_ptr_nonnull(strstr(last.text, "larger than 65536 bytes"));
}
END_TEST

START_TEST(connections_are_kept)
{
	for (int i = 0; i < 5; i++) {
		SCRIPT({ "GET /version ", reply("200 OK", "{\"Version\":\"20\"}") });
		eng->ops->version(eng, on_version, NULL, NULL, NULL);
		after(1);
	}
	ck_assert_uint_eq(n_conns, 1);
}
END_TEST

START_TEST(a_list_is_whole_and_leaves_out_who_is_gone)
{
	SCRIPT({ "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D ",
			       reply("200 OK",
					       "[{\"Id\":\"c1\"},{\"Id\":\"c2\"},{\"Id\":\"c3\"}"
					       "]") },
			{ "/containers/c1/json ", reply("200 OK", BOX("c1")) },
			{ "/containers/c2/json ", reply("404 Not Found", "{}") },
			{ "/containers/c3/json ", reply("200 OK", BOX("c3")) },
			{ "/containers/json?all=1 ", reply("200 OK", "[]") },
			{ "/containers/json?all=1 ", reply("200 OK", "[{\"Id\":\"../x\"}]") });
	eng->ops->list(eng, "a=b", on_list, NULL, NULL, NULL);
	after(1);
	eng->ops->list(eng, NULL, on_list, NULL, NULL, NULL);
	after(1);
	eng->ops->list(eng, NULL, on_list, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "c1,c3,list;list;list:PROTOCOL;");
}
END_TEST

START_TEST(names_that_would_change_the_path_are_refused)
{
	static const char *const names[] = { "", "../x", "a/b", "a?x", "a b", "a\r\nX: y", NULL };
	struct sb_err err;

	for (size_t i = 0; i < sb_countof(names); i++) {
		ck_assert_int_eq(eng->ops->inspect(eng, names[i], on_container, NULL, NULL, &err),
				-SB_E_INVALID);
		ck_assert_int_eq(eng->ops->remove(eng, names[i], true, on_done, NULL, NULL, &err),
				-SB_E_INVALID);
	}
	ck_assert_int_eq(eng->ops->archive_put(eng, "c1", "x", "", 0, on_done, NULL, NULL, &err),
			-SB_E_INVALID);
}
END_TEST

START_TEST(calls_are_bounded)
{
	struct sb_err err;
	int rc = 0, n = 0;

	server_down(true);
	while ((rc = eng->ops->ping(eng, on_done, NULL, NULL, &err)) == 0)
		ck_assert_int_lt(++n, 10000);
	ck_assert_int_eq(rc, -SB_E_BUSY);
	after((unsigned)n);
	ck_assert_int_eq(eng->ops->ping(eng, on_done, NULL, NULL, &err), 0);
	after(1);
}
END_TEST

/* --- pull --- */

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* The chunks of a stream, each with its length. */
static const char *chunk(const char *text)
{
	static char store[16][4096];
	static unsigned at;
	char *out = store[at++ % 16];

	snprintf(out, sizeof(store[0]), "%zx\r\n%s\r\n", strlen(text), text);
	return out;
}

static const char *join(const char *a, const char *b, const char *c)
{
	static char store[8][8192];
	static unsigned at;
	char *out = store[at++ % 8];

	snprintf(out, sizeof(store[0]), "%s%s%s", a, b, c);
	return out;
}

START_TEST(a_pull_tells_its_progress)
{
	SCRIPT({ "POST /v1.41/images/create?fromImage=r.io%3A5%2Fa&tag=latest ",
			join(CHUNKED,
					chunk("{\"status\":\"Pulling\",\"id\":\"latest\"}\r\n"
					      "{\"status\":\"Downloading\",\"id\":\"l1\","
					      "\"progressDetail\":{\"current\":5,\"total\":10}}"
					      "\r\n"),
					"0\r\n\r\n") });
	eng->ops->image_pull(eng, "r.io:5/a", "c2VjcmV0", on_progress, on_done, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "latest Pulling 0/0;l1 Downloading 5/10;done;");
	ck_assert_ptr_nonnull(strstr(asked.data, "X-Registry-Auth: c2VjcmV0\r\n"));
}
END_TEST

START_TEST(an_error_in_the_progress_is_the_pulls)
{
	SCRIPT({ "POST ",
			join(CHUNKED,
					chunk("{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{"
					      "\"message\":"
					      "\"write: no space left on "
					      "device\"},\"error\":\"x\"}\r\n"),
					"0\r\n\r\n") });
	eng->ops->image_pull(eng, "a", NULL, NULL, on_done, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "done:RANGE;");
	ck_assert_str_eq(last.text, "pull a: engine said: write: no space left on device");
	ck_assert(*last.hint);
}
END_TEST

START_TEST(a_pull_that_is_refused_or_cut_or_silent_fails)
{
	struct engine_limits shorter = limits;
	struct sb_err err;

	shorter.pull_idle_ms = 30;
	sb_engine_free(eng);
	new_engine(&shorter);
	SCRIPT({ "POST ", reply("404 Not Found", "{\"message\":\"manifest unknown\"}") },
			{ "POST ", CHUNKED "5\r\n{}", 0, HANG_UP },
			{ "POST ", CHUNKED "3\r\n{}\n\r\n", 0, STALL },
			{ "POST ", join(CHUNKED, chunk("{no json}\n"), "0\r\n\r\n") });
	for (int i = 0; i < 4; i++) {
		eng->ops->image_pull(eng, "a", NULL, NULL, on_done, NULL, NULL, NULL);
		after(1);
	}
	ck_assert_str_eq(told.data, "done:NOT_FOUND;done:UNAVAILABLE;done:TIMEOUT;done:PROTOCOL;");
	ck_assert_int_eq(eng->ops->image_pull(
					 eng, "a", "x\r\nEvil: 1", NULL, on_done, NULL, NULL, &err),
			-SB_E_INVALID);
	ck_assert_ptr_null(strstr(err.text, "Evil"));
}
END_TEST

/* --- logs --- */

#define TS "2023-11-14T22:13:20.000000001Z "

/* One frame of stdout as a chunk: 8 bytes of head, then @text. */
static size_t frame_chunk(char *out, const char *text, size_t claim)
{
	size_t len = strlen(text);
	int n = sprintf(out, CHUNKED "%zx\r\n", len + 8);

	memcpy(out + n, (char[]){ 1, 0, 0, 0, 0, 0, (char)(claim >> 8), (char)claim }, 8);
	memcpy(out + n + 8, text, len);
	memcpy(out + n + 8 + len, "\r\n", 2);
	return (size_t)n + len + 10;
}

/* --- exec --- */

static void on_exec(void *ctx, const struct sb_engine_log *line, int exit_code,
		const struct sb_err *err)
{
	if (line)
		sb_strbuf_addf(&told, "%.*s,", (int)line->len, line->text);
	else
		sb_strbuf_addf(&told, "%d", exit_code);
	if (!line)
		note("exec", err);
}

static const char *const exec_words[] = { "sh", "-c", "echo 'x'" };
static const struct sb_exec_spec exec_spec = {
	.argv = exec_words, .n_argv = 3, .user = "0:0", .limit_ms = 60000
};

/* A frame as an exec's stream has it: no chunks, no times, and then the end of the connection. */
static size_t raw_frame(char *out, const char *text)
{
	int n = sprintf(out,
			"HTTP/1.1 200 OK\r\nContent-Type: "
			"application/vnd.docker.raw-stream\r\n\r\n");

	memcpy(out + n, (char[]){ 1, 0, 0, 0, 0, 0, 0, (char)strlen(text) }, 8);
	strcpy(out + n + 8, text);
	return (size_t)n + 8 + strlen(text);
}

START_TEST(a_command_in_a_container_tells_its_lines_and_then_its_status)
{
	char out[512];
	size_t len = raw_frame(out, "one\ntwo");

	SCRIPT({ "POST /v1.41/containers/c1/exec ", reply("201 Created", "{\"Id\":\"e1\"}") },
			{ "POST /v1.41/exec/e1/start ", out, len, HANG_UP },
			{ "GET /v1.41/exec/e1/json ",
					reply("200 OK", "{\"Running\":true,\"ExitCode\":null}") },
			{ "GET /v1.41/exec/e1/json ",
					reply("200 OK", "{\"Running\":false,\"ExitCode\":3}") });
	eng->ops->exec(eng, "c1", &exec_spec, on_exec, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "one,two,3exec;");
	ck_assert_ptr_nonnull(strstr(asked.data, "\"Cmd\":[\"sh\",\"-c\",\"echo 'x'\"]"));
	ck_assert_ptr_nonnull(strstr(asked.data, "\"User\":\"0:0\""));
}
END_TEST

static const struct {
	struct row rows[3];
	const char *told;
} exec_failures[] = {
	{ { { "/exec ", "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}" } }, "0exec:BUSY;" },
	{ { { "/exec ", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}" } },
			"0exec:PROTOCOL;" },
	{ { { "/exec ", "HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{\"Id\":\"e1/../\"}" } },
			"0exec:PROTOCOL;" },
	{ { { "/exec ", "HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{\"Id\":\"e1\"}" },
			  { "/start ", "HTTP/1.1 404 Gone\r\nContent-Length: 2\r\n\r\n{}" } },
			"0exec:NOT_FOUND;" },
	{ { { "/exec ", "HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{\"Id\":\"e1\"}" },
			  { "/start ", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
			  { "/json ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" } },
			"0exec:PROTOCOL;" },
};

START_TEST(a_command_that_cannot_be_run_is_an_error)
{
	size_t n = 0;

	while (n < 3 && exec_failures[_i].rows[n].match)
		n++;
	script(exec_failures[_i].rows, n);
	eng->ops->exec(eng, "c1", &exec_spec, on_exec, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), exec_failures[_i].told);
}
END_TEST

START_TEST(a_command_has_a_limit)
{
	struct sb_exec_spec spec = exec_spec;

	spec.limit_ms = 50;
	SCRIPT({ "/exec ", reply("201 Created", "{\"Id\":\"e1\"}") },
			{ "/start ", NULL, 0, STALL });
	eng->ops->exec(eng, "c1", &spec, on_exec, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "0exec:TIMEOUT;");
}
END_TEST

START_TEST(logs_follow_to_the_containers_end)
{
	char out[512];
	size_t len = frame_chunk(out, TS "one\n", strlen(TS) + 4);

	memcpy(out + len, "0\r\n\r\n", 5);
	SCRIPT({ "GET /v1.41/containers/c1/json ", reply("200 OK", BOX("c1")) },
			{ "GET /v1.41/containers/c1/logs?stdout=1&stderr=1&timestamps=1&follow=1"
			  "&since=1699999999.000000007 ",
					out, len + 5 },
			{ "POST /v1.41/containers/c1/wait?condition=not-running ",
					reply("200 OK", "{\"StatusCode\":0}") });
	eng->ops->logs(eng, "c1", 1699999999000000007u, true, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(2), "one;end;");
}
END_TEST

START_TEST(logs_that_end_before_their_container_were_cut)
{
	char out[512];
	size_t len = frame_chunk(out, TS "one\n", strlen(TS) + 4);

	memcpy(out + len, "0\r\n\r\n", 5);
	SCRIPT({ "/json ", reply("200 OK", BOX("c1")) }, { "/logs?", out, len + 5 },
			{ "/wait?", NULL, 0, STALL });
	eng->ops->logs(eng, "c1", 0, true, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(2), "one;end:UNAVAILABLE;");
}
END_TEST

START_TEST(logs_cut_inside_a_frame_give_what_came)
{
	char out[512];
	size_t len = frame_chunk(out, TS "one\n" TS "tw", 2 * strlen(TS) + 20);

	SCRIPT({ "/json ", reply("200 OK", BOX("c1")) }, { "/logs?", out, len, HANG_UP });
	eng->ops->logs(eng, "c1", 0, true, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(3), "one;tw;end:UNAVAILABLE;");
}
END_TEST

START_TEST(logs_of_a_tty_have_no_frames)
{
	SCRIPT({ "/json ", reply("200 OK", "{\"Id\":\"c1\",\"Config\":{\"Tty\":true}}") },
			{ "follow=0 ", join(CHUNKED, chunk(TS "raw\r\n"), "0\r\n\r\n") });
	eng->ops->logs(eng, "c1", 0, false, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(2), "raw;end;");
}
END_TEST

START_TEST(logs_that_are_no_frames_are_refused)
{
	SCRIPT({ "/json ", reply("200 OK", BOX("c1")) },
			{ "/logs?", join(CHUNKED, chunk("plain text\n"), "") });
	eng->ops->logs(eng, "c1", 0, true, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "end:PROTOCOL;");
	SCRIPT({ "/json ", reply("404 Not Found", "{\"message\":\"gone\"}") });
	eng->ops->logs(eng, "c2", 0, true, on_log, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "end:PROTOCOL;end:NOT_FOUND;");
}
END_TEST

/* A stream may be as long as it likes: what its reader has not taken yet is bounded. */
START_TEST(long_logs_arrive_whole)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf big = SB_STRBUF_INIT;
	const unsigned lines = 20000;

	sb_strbuf_adds(&big, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	sb_strbuf_addf(&big, "%x\r\n", lines * 8);
	for (unsigned i = 0; i < lines; i++)
		sb_strbuf_addf(&big, "x%06u\n", i);
	sb_strbuf_adds(&big, "\r\n0\r\n\r\n");
	SCRIPT({ "/json ", reply("200 OK", "{\"Id\":\"c1\",\"Config\":{\"Tty\":true}}") },
			{ "/logs?", big.data, big.len < 190000 ? big.len : 190000 });
	eng->ops->logs(eng, "c1", 0, false, on_log, NULL, NULL, NULL);
	after(lines + 1);
	ck_assert_uint_eq(told.len, lines * 8 + 4);
	ck_assert_ptr_nonnull(strstr(told.data, "x019999;end;"));
}
END_TEST

/* --- events --- */

/* The newest connection that is open. */
static struct conn *streaming(void)
{
	for (size_t i = n_conns; i-- > 0;)
		if (conns[i].fd >= 0)
			return &conns[i];
	ck_abort_msg("nothing is connected");
	return NULL;
}

#define EVENT(action, ns)                                                                          \
	"{\"Type\":\"container\",\"Action\":\"" action                                             \
	"\",\"Actor\":{\"ID\":\"c1\"},\"timeNano\":" ns "}\n"

START_TEST(events_come_back_and_replay)
{
	struct sb_engine_call *call;

	SCRIPT({ "GET /v1.41/events?since=",
			       join(CHUNKED,
					       chunk(EVENT("start", "7000000000000000001") EVENT(
							       "die", "7000000000000000002")),
					       ""),
			       0, HANG_UP },
			{ "GET /v1.41/events?since=", CHUNKED "5\r\n{\"Ty", 0, HANG_UP },
			{ "GET /v1.41/events?since=", join(CHUNKED, chunk("{bad\n"), ""), 0, KEEP },
			{ "GET /v1.41/events?since=",
					join(CHUNKED,
							chunk(EVENT("destroy",
									"7000000000000000003")),
							"") });
	eng->ops->events(eng, "job=a", on_event, NULL, &call, NULL);
	ck_assert_str_eq(after(4), "resync;start;die;lost:UNAVAILABLE;");
	ck_assert_str_eq(after(2), "resync;start;die;lost:UNAVAILABLE;resync;lost:UNAVAILABLE;");
	after(4);
	ck_assert_ptr_nonnull(
			strstr(told.data, "UNAVAILABLE;resync;lost:PROTOCOL;resync;destroy;"));
	ck_assert_ptr_nonnull(strstr(asked.data, "%22label%22%3A%5B%22job%3Da%22%5D"));
	eng->ops->cancel(eng, call);
}
END_TEST

/* The event carries the time at which it is sent: later than the subscription, not in the future,
 * so since= of the next try is the event's own time. */
START_TEST(what_was_seen_is_asked_for_and_not_told_twice)
{
	char first[512], second[1024], since[64], body[512];
	struct timespec now;
	unsigned long long at;

	SCRIPT({ "/events?", CHUNKED });
	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	after(1);
	clock_gettime(CLOCK_REALTIME, &now);
	at = (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
	snprintf(body, sizeof(body),
			"{\"Type\":\"container\",\"Action\":\"start\",\"timeNano\":%llu}\n", at);
	snprintf(first, sizeof(first), "%s", chunk(body));
	snprintf(body, sizeof(body),
			"{\"Type\":\"container\",\"Action\":\"start\",\"timeNano\":%llu}\n"
			"{\"Type\":\"container\",\"Action\":\"die\",\"timeNano\":%llu}\n",
			at, at + 1);
	snprintf(second, sizeof(second), "%s%s", CHUNKED, chunk(body));
	snprintf(since, sizeof(since), "since=%llu.%09llu&", at / 1000000000, at % 1000000000);
	SCRIPT({ since, second });
	conn_reply(streaming(), first, strlen(first));
	ck_assert_str_eq(after(1), "resync;start;");
	conn_close(streaming());
	ck_assert_str_eq(after(3), "resync;start;lost:UNAVAILABLE;resync;die;");
}
END_TEST

START_TEST(an_absent_engine_is_told_once_and_tried_again)
{
	server_down(true);
	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	ck_assert_str_eq(after(1), "lost:UNAVAILABLE;");
	for (int i = 0; i < 5; i++)
		sd_event_run(loop, UINT64_MAX);
	SCRIPT({ "/events?", CHUNKED });
	server_up();
	ck_assert_str_eq(after(1), "lost:UNAVAILABLE;resync;");
}
END_TEST

START_TEST(a_stream_whose_headers_do_not_come_times_out)
{
	struct engine_limits shorter = limits;

	shorter.answer_ms = 30;
	sb_engine_free(eng);
	new_engine(&shorter);
	SCRIPT({ "/events?", NULL, 0, STALL }, { "/events?", CHUNKED });
	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	ck_assert_str_eq(after(2), "lost:TIMEOUT;resync;");
}
END_TEST

/* --- cancel and free, from everywhere --- */

static struct sb_engine_call *running;

static void cancelling_log(void *ctx, const struct sb_engine_log *log, const struct sb_err *err)
{
	on_log(ctx, log, err);
	eng->ops->cancel(eng, running);
	eng->ops->cancel(eng, running);
}

static void freeing_log(void *ctx, const struct sb_engine_log *log, const struct sb_err *err)
{
	on_log(ctx, log, err);
	sb_engine_free(eng);
	eng = NULL;
}

static void freeing_done(void *ctx, const struct sb_err *err)
{
	on_done(ctx, err);
	sb_engine_free(eng);
	eng = NULL;
}

static void freeing_event(
		void *ctx, const struct sb_engine_event *ev, bool resync, const struct sb_err *err)
{
	on_event(ctx, ev, resync, err);
	sb_engine_free(eng);
	eng = NULL;
}

static void cancelling_self(void *ctx, const struct sb_err *err)
{
	on_done(ctx, err);
	eng->ops->cancel(eng, running);
}

/* Whatever is under way gets its chance to call back where it must not. */
static void drain(void)
{
	for (int i = 0; i < 20 && sd_event_run(loop, 0) > 0; i++)
		;
}

START_TEST(a_stream_may_be_cancelled_by_its_own_callback)
{
	SCRIPT({ "/json ", reply("200 OK", "{\"Id\":\"c1\",\"Config\":{\"Tty\":true}}") },
			{ "/logs?", join(CHUNKED, chunk("a\nb\nc\n"), "0\r\n\r\n") });
	eng->ops->logs(eng, "c1", 0, true, cancelling_log, NULL, &running, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "a;");
}
END_TEST

START_TEST(the_engine_may_be_freed_by_a_streams_callback)
{
	SCRIPT({ "/json ", reply("200 OK", "{\"Id\":\"c1\",\"Config\":{\"Tty\":true}}") },
			{ "/logs?", join(CHUNKED, chunk("a\nb\nc\n"), "0\r\n\r\n") });
	eng->ops->logs(eng, "c1", 0, true, freeing_log, NULL, &running, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "a;");
}
END_TEST

START_TEST(the_engine_may_be_freed_by_one_of_many_answers)
{
	server_down(true);
	eng->ops->start(eng, "c1", freeing_done, NULL, NULL, NULL);
	eng->ops->start(eng, "c2", freeing_done, NULL, NULL, NULL);
	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "done:UNAVAILABLE;");
}
END_TEST

START_TEST(the_engine_may_be_freed_by_an_event)
{
	SCRIPT({ "/events?", join(CHUNKED, chunk(EVENT("start", "7000000000000000001")), "") });
	eng->ops->events(eng, NULL, freeing_event, NULL, NULL, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "resync;");
}
END_TEST

START_TEST(the_engine_may_be_freed_by_a_lost_connection)
{
	server_down(true);
	eng->ops->events(eng, NULL, freeing_event, NULL, NULL, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "lost:UNAVAILABLE;");
}
END_TEST

START_TEST(a_call_may_cancel_itself_or_another_one)
{
	struct sb_engine_call *other;

	eng->ops->ping(eng, cancelling_self, NULL, &running, NULL);
	eng->ops->wait(eng, "c1", on_wait, NULL, &other, NULL);
	eng->ops->cancel(eng, other);
	eng->ops->cancel(eng, NULL);
	after(1);
	drain();
	ck_assert_str_eq(told.data, "done;");
}
END_TEST

START_TEST(running_calls_end_silently_with_the_engine)
{
	SCRIPT({ "/wait?", NULL, 0, STALL });
	eng->ops->wait(eng, "c1", on_wait, NULL, NULL, NULL);
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	eng->ops->events(eng, NULL, on_event, NULL, NULL, NULL);
	sb_engine_free(eng);
	eng = NULL;
	drain();
	ck_assert_uint_eq(n_told, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_absent_engine_is_unavailable);
	tcase_add_test(tc, a_dead_socket_is_unavailable);
	tcase_add_test(tc, a_closed_door_is_denied);
	tcase_add_test(tc, no_descriptor_would_be_inherited);
	tcase_add_test(tc, a_long_path_is_refused_at_once);
	tcase_add_test(tc, the_version_is_the_lower_of_both);
	tcase_add_test(tc, a_newer_engine_is_spoken_to_in_our_version);
	tcase_add_test(tc, an_old_engine_is_refused);
	tcase_add_test(tc, a_server_without_version_is_no_engine);
	tcase_add_test(tc, the_version_is_asked_again_after_the_engine_was_away);
	tcase_add_test(tc, an_engine_that_was_replaced_while_idle_is_asked_again);
	tcase_add_test(tc, an_engine_that_refuses_every_version_is_not_asked_for_ever);
	tcase_add_test(tc, operations_ask_what_the_api_wants);
	tcase_add_loop_test(tc, bad_answers_are_told_apart, 0, sb_countof(answers));
	tcase_add_test(tc, a_silent_engine_runs_into_the_deadline);
	tcase_add_test(tc, replies_are_bounded);
	tcase_add_test(tc, connections_are_kept);
	tcase_add_test(tc, a_list_is_whole_and_leaves_out_who_is_gone);
	tcase_add_test(tc, names_that_would_change_the_path_are_refused);
	tcase_add_test(tc, calls_are_bounded);
	tcase_add_test(tc, a_pull_tells_its_progress);
	tcase_add_test(tc, an_error_in_the_progress_is_the_pulls);
	tcase_add_test(tc, a_pull_that_is_refused_or_cut_or_silent_fails);
	tcase_add_test(tc, a_command_in_a_container_tells_its_lines_and_then_its_status);
	tcase_add_loop_test(
			tc, a_command_that_cannot_be_run_is_an_error, 0, sb_countof(exec_failures));
	tcase_add_test(tc, a_command_has_a_limit);
	tcase_add_test(tc, logs_follow_to_the_containers_end);
	tcase_add_test(tc, logs_that_end_before_their_container_were_cut);
	tcase_add_test(tc, logs_cut_inside_a_frame_give_what_came);
	tcase_add_test(tc, logs_of_a_tty_have_no_frames);
	tcase_add_test(tc, logs_that_are_no_frames_are_refused);
	tcase_add_test(tc, long_logs_arrive_whole);
	tcase_add_test(tc, events_come_back_and_replay);
	tcase_add_test(tc, what_was_seen_is_asked_for_and_not_told_twice);
	tcase_add_test(tc, an_absent_engine_is_told_once_and_tried_again);
	tcase_add_test(tc, a_stream_whose_headers_do_not_come_times_out);
	tcase_add_test(tc, a_stream_may_be_cancelled_by_its_own_callback);
	tcase_add_test(tc, the_engine_may_be_freed_by_a_streams_callback);
	tcase_add_test(tc, the_engine_may_be_freed_by_one_of_many_answers);
	tcase_add_test(tc, the_engine_may_be_freed_by_an_event);
	tcase_add_test(tc, the_engine_may_be_freed_by_a_lost_connection);
	tcase_add_test(tc, a_call_may_cancel_itself_or_another_one);
	tcase_add_test(tc, running_calls_end_silently_with_the_engine);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
