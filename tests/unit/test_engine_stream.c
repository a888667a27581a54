/* The pure parsers of what an engine sends: cut anywhere, hostile, and as published. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_engine_parts.h"

/* --- a sink that writes each line as "stream|ns|length|text;" --- */

struct sink {
	struct sb_strbuf out;
	unsigned n, stop_at;
};

static int on_line(void *ctx, const struct sb_engine_log *log)
{
	struct sink *sink = ctx;

	ck_assert_uint_le(log->len, LOG_LINE_MAX);
	sb_strbuf_addf(&sink->out, "%d|%llu|%zu|%.*s;", log->stream,
			(unsigned long long)log->unix_ns, log->len,
			(int)(log->len < 40 ? log->len : 40), log->text);
	return ++sink->n == sink->stop_at ? 42 : 0;
}

static void frame(struct sb_strbuf *to, int stream, const char *text)
{
	size_t len = strlen(text);
	unsigned char head[8] = { (unsigned char)stream, 0, 0, 0, (unsigned char)(len >> 24),
		(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len };

	sb_strbuf_add(to, head, sizeof(head));
	sb_strbuf_add(to, text, len);
}

/* 1700000000 s is 2023-11-14T22:13:20Z. */
#define T0 "2023-11-14T22:13:20.000000001Z "
#define T1 "2023-11-14T22:13:20.000000002Z "
#define T2 "2023-11-14T22:13:20.000000003Z "

static char *parse(const struct sb_strbuf *in, bool tty, uint64_t since, size_t cut, size_t step,
		int *ret_rc)
{
	static struct log_parser p;
	struct sink sink = { .n = 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	log_parser_init(&p, tty, since, on_line, &sink);
	rc = log_parser_feed(&p, in->data, cut, &err);
	for (size_t at = cut; at < in->len && rc == 0; at += step)
		rc = log_parser_feed(
				&p, in->data + at, step < in->len - at ? step : in->len - at, &err);
	if (rc == 0)
		rc = log_parser_end(&p, &err);
	if (ret_rc)
		*ret_rc = rc;
	ck_assert(rc >= 0 || err.code == (enum sb_code) - rc);
	return sb_strbuf_steal(&sink.out);
}

static void sample(struct sb_strbuf *in)
{
	frame(in, 1, T0 "hello\n");
	frame(in, 2, T1 "from stderr\n");
	frame(in, 1, T1 "half a ");
	frame(in, 2, T2 "between\n");
	frame(in, 1, T2 "line\n");
	frame(in, 1, "");
	frame(in, 1, T2 "\n");
	frame(in, 1, "no time\n");
	frame(in, 0, T2 "two\nlines\n");
	frame(in, 1, T2 "no end");
}

#define SAMPLE                                                                                     \
	"1|1700000000000000001|5|hello;"                                                           \
	"2|1700000000000000002|11|from stderr;"                                                    \
	"2|1700000000000000003|7|between;"                                                         \
	"1|1700000000000000002|11|half a line;"                                                    \
	"1|1700000000000000003|0|;"                                                                \
	"1|1700000000000000003|7|no time;"                                                         \
	"1|1700000000000000003|3|two;"                                                             \
	"1|1700000000000000003|5|lines;"                                                           \
	"1|1700000000000000003|6|no end;"

START_TEST(lines_do_not_depend_on_where_the_stream_is_cut)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	int rc;

	sample(&in);
	for (size_t cut = 0; cut <= in.len; cut++) {
		SB_CLEANUP(sb_freep) char *out = parse(&in, false, 0, cut, in.len, &rc);

		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(out, SAMPLE);
	}
	for (size_t step = 1; step < 20; step++) {
		SB_CLEANUP(sb_freep) char *out = parse(&in, false, 0, 0, step, &rc);

		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(out, SAMPLE);
	}
}
END_TEST

START_TEST(a_stream_cut_inside_a_frame_gives_its_part_and_an_error)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *out = NULL;
	int rc;

	frame(&in, 1, T0 "whole\n");
	frame(&in, 1, T1 "partial line\n");
	in.len -= 6;
	out = parse(&in, false, 0, in.len, 1, &rc);
	ck_assert_int_eq(rc, -SB_E_UNAVAILABLE);
	ck_assert_str_eq(out, "1|1700000000000000001|5|whole;1|1700000000000000002|7|partial;");
}
END_TEST

START_TEST(since_leaves_out_what_is_not_later)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *out = NULL;

	frame(&in, 1, T0 "a\n");
	frame(&in, 1, T1 "b\n");
	frame(&in, 1, T2 "c\n");
	frame(&in, 1, "untimed\n");
	out = parse(&in, false, 1700000000000000002u, in.len, 1, NULL);
	ck_assert_str_eq(out, "1|1700000000000000003|1|c;1|1700000000000000003|7|untimed;");
}
END_TEST

/* Docker cuts at 16 KiB and puts a time before each part, but a newline after the last only. */
START_TEST(long_lines_come_in_parts_without_times_in_them)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	static char text[40 + LOG_LINE_MAX + 2];
	SB_CLEANUP(sb_freep) char *out = NULL;
	SB_CLEANUP(sb_freep) char *bytewise = NULL;

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, T0, strlen(T0));
	text[strlen(T0) + LOG_LINE_MAX] = '\0';
	frame(&in, 1, text);
	memcpy(text, T1, strlen(T1));
	frame(&in, 1, text);
	frame(&in, 1, T2 "rest\n");
	frame(&in, 1, text);
	frame(&in, 1, T2 "\n");
	frame(&in, 1, T2 "next\n");
	out = parse(&in, false, 0, in.len, 1, NULL);
	bytewise = parse(&in, false, 0, 0, 1, NULL);
	ck_assert_str_eq(out, bytewise);
#define XS "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	ck_assert_str_eq(out,
			"1|1700000000000000001|16384|" XS ";1|1700000000000000002|16384|" XS
			";1|1700000000000000003|4|rest;1|1700000000000000002|16384|" XS
			";1|1700000000000000003|4|next;");
}
END_TEST

START_TEST(a_line_without_end_is_bounded)
{
	static struct log_parser p;
	static char chunk[4096];
	struct sink sink = { .n = 0 };

	memset(chunk, 'y', sizeof(chunk));
	log_parser_init(&p, true, 0, on_line, &sink);
	for (int i = 0; i < 9; i++)
		ck_assert_int_eq(log_parser_feed(&p, chunk, sizeof(chunk), NULL), 0);
	ck_assert_uint_eq(sink.n, 2);
	sb_strbuf_done(&sink.out);
}
END_TEST

START_TEST(a_tty_has_no_frames_and_loses_its_carriage_returns)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;

	sb_strbuf_adds(&in, T0 "a\r\n" T1 "\001\002b\r\n" T2 "c");
	for (size_t cut = 0; cut <= in.len; cut++) {
		SB_CLEANUP(sb_freep) char *out = parse(&in, true, 0, cut, in.len, NULL);

		ck_assert_str_eq(out,
				"1|1700000000000000001|1|a;1|1700000000000000002|3|\001\002b;"
				"1|1700000000000000003|1|c;");
	}
}
END_TEST

START_TEST(hostile_headers_are_refused)
{
	static const unsigned char heads[][8] = {
		{ 4, 0, 0, 0, 0, 0, 0, 1 },
		{ 255, 0, 0, 0, 0, 0, 0, 1 },
		{ 1, 1, 0, 0, 0, 0, 0, 1 },
		{ 1, 0, 0, 7, 0, 0, 0, 1 },
		{ 1, 0, 0, 0, 1, 0, 0, 1 },
		{ 2, 0, 0, 0, 255, 255, 255, 255 },
		{ 'H', 'T', 'T', 'P', '/', '1', '.', '1' },
	};
	static struct log_parser p;
	struct sink sink = { .n = 0 };
	struct sb_err err;

	log_parser_init(&p, false, 0, on_line, &sink);
	ck_assert_int_eq(log_parser_feed(&p, (const char *)heads[_i], 8, &err), -SB_E_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "no frame header"));
}
END_TEST

START_TEST(the_engines_own_error_ends_the_stream)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	struct sink sink = { .n = 0 };
	static struct log_parser p;
	struct sb_err err;
	int rc = 0;

	frame(&in, 2, T0 "open");
	frame(&in, 3, "error grabbing logs");
	log_parser_init(&p, false, 0, on_line, &sink);
	for (size_t i = 0; i < in.len && rc == 0; i++)
		rc = log_parser_feed(&p, in.data + i, 1, &err);
	ck_assert_int_eq(rc, -SB_E_PROTOCOL);
	ck_assert_str_eq(err.text, "log stream: engine said: error grabbing logs");
	ck_assert_str_eq(sink.out.data, "2|1700000000000000001|4|open;");
	sb_strbuf_done(&sink.out);
}
END_TEST

START_TEST(a_sink_may_stop_the_parser)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	struct sink sink = { .stop_at = 2 };
	static struct log_parser p;

	sample(&in);
	log_parser_init(&p, false, 0, on_line, &sink);
	ck_assert_int_eq(log_parser_feed(&p, in.data, in.len, NULL), 42);
	ck_assert_uint_eq(sink.n, 2);
	sb_strbuf_done(&sink.out);
}
END_TEST

/* --- times: figures of RFC 3339, section 5.8, and of date(1) --- */

static const struct {
	const char *text;
	size_t used;
	uint64_t ns;
} times[] = {
	{ "1970-01-01T00:00:00Z", 20, 0 },
	{ "1985-04-12T23:20:50.52Z", 23, 482196050520000000u },
	{ "1996-12-19T16:39:57-08:00", 25, 851042397000000000u },
	{ "1937-01-01T12:00:27.87+00:20", 28, 0 },
	{ "2023-11-14T22:13:20.123456789Z", 30, 1700000000123456789u },
	{ "2023-11-14T22:13:20.1234567899Z", 31, 1700000000123456789u },
	{ "2000-02-29T00:00:00Z x", 20, 951782400000000000u },
	{ "2024-03-01T00:00:00Z", 20, 1709251200000000000u },
	{ "0001-01-01T00:00:00Z", 20, 0 },
	{ "2023-11-14 22:13:20Z", 0, 0 },
	{ "2023-13-14T22:13:20Z", 0, 0 },
	{ "2023-11-14T24:13:20Z", 0, 0 },
	{ "2023-11-14T22:13:20.Z", 0, 0 },
	{ "2023-11-14T22:13:20", 0, 0 },
	{ "2023-11-14T22:13:20+1", 0, 0 },
	{ "9999-11-14T22:13:20Z", 0, 0 },
	{ "", 0, 0 },
};

START_TEST(times_parse)
{
	uint64_t ns = 0;

	ck_assert_uint_eq(time_parse(times[_i].text, strlen(times[_i].text), &ns), times[_i].used);
	ck_assert_uint_eq(ns, times[_i].ns);
	for (size_t len = 0; len < times[_i].used; len++)
		time_parse(times[_i].text, len, &ns); /* reads no further: ASan knows */
}
END_TEST

/* --- JSON --- */

static int on_doc(void *ctx, const json_t *doc)
{
	struct sink *sink = ctx;

	sb_strbuf_addf(&sink->out, "%s;", json_text(doc, "a"));
	return ++sink->n == sink->stop_at ? 42 : 0;
}

START_TEST(json_lines_do_not_depend_on_cuts)
{
	static const char in[] = "{\"a\":\"1\"}\r\n\n{\"a\":\"2\\n\"}\n{\"b\":1}\n{\"a\":\"3\"}";

	for (size_t cut = 0; cut < sizeof(in); cut++) {
		struct sink sink = { .n = 0 };
		struct json_lines p;

		json_lines_init(&p, 100, on_doc, &sink);
		ck_assert_int_eq(json_lines_feed(&p, in, cut, NULL), 0);
		ck_assert_int_eq(json_lines_feed(&p, in + cut, sizeof(in) - 1 - cut, NULL), 0);
		ck_assert_int_eq(json_lines_end(&p, NULL), 0);
		ck_assert_str_eq(sink.out.data, "1;2\n;;3;");
		json_lines_done(&p);
		sb_strbuf_done(&sink.out);
	}
}
END_TEST

START_TEST(json_lines_refuse_what_is_no_json_or_too_long)
{
	struct sink sink = { .n = 0 };
	struct json_lines p;
	struct sb_err err;

	json_lines_init(&p, 8, on_doc, &sink);
	ck_assert_int_eq(json_lines_feed(&p, "{\"a\":\n", 6, &err), -SB_E_PROTOCOL);
	ck_assert_int_eq(json_lines_feed(&p, "123456789", 9, &err), -SB_E_RANGE);
	json_lines_done(&p);
	json_lines_init(&p, 8, on_doc, &sink);
	ck_assert_int_eq(json_lines_feed(&p, "{\"a\"", 4, &err), 0);
	ck_assert_int_eq(json_lines_end(&p, &err), -SB_E_PROTOCOL);
	json_lines_done(&p);
	sink.stop_at = 1;
	json_lines_init(&p, 8, on_doc, &sink);
	ck_assert_int_eq(json_lines_feed(&p, "{}\n{}\n", 6, &err), 42);
	json_lines_done(&p);
	sb_strbuf_done(&sink.out);
}
END_TEST

START_TEST(json_trees_are_bounded)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf in = SB_STRBUF_INIT;
	struct sb_err err;
	json_t *doc = NULL;

	sb_strbuf_addc(&in, '[');
	for (size_t i = 0; i < JSON_NODES_MAX; i++)
		sb_strbuf_adds(&in, "1,");
	sb_strbuf_adds(&in, "1]");
	ck_assert_int_eq(json_parse(in.data, in.len, &doc, &err), -SB_E_RANGE);
	ck_assert_ptr_null(doc);
	sb_strbuf_reset(&in);
	for (size_t i = 0; i < 100000; i++)
		sb_strbuf_addc(&in, '[');
	ck_assert_int_eq(json_parse(in.data, in.len, &doc, &err), -SB_E_PROTOCOL);
	ck_assert_int_eq(json_parse("{\"n\":1e300}", 11, &doc, &err), 0);
	ck_assert_int_eq(json_number(doc, "n"), 0);
	ck_assert_int_eq(json_number(doc, "x"), 0);
	ck_assert_str_eq(json_text(doc, "n"), "");
	json_decref(doc);
}
END_TEST

/* --- replies --- */

static const struct {
	int status;
	const char *body;
	enum sb_code code;
	bool hint;
} refusals[] = {
	{ 404, "{\"message\":\"No such container: x\"}", SB_E_NOT_FOUND, false },
	{ 409, "{\"message\":\"Conflict. The name is in use\"}", SB_E_BUSY, false },
	{ 400, "{\"message\":\"bad parameter\"}", SB_E_INVALID, false },
	{ 500, "{\"message\":\"write /x: no space left on device\"}", SB_E_RANGE, true },
	{ 500, "{\"message\":\"could not select device driver \\\"\\\"\"}", SB_E_UNSUPPORTED,
			true },
	{ 500, "{\"message\":\"oops\"}", SB_E_INTERNAL, false },
	{ 500, "not json", SB_E_INTERNAL, false },
	{ 500, "", SB_E_INTERNAL, false },
	{ 503, "{}", SB_E_UNAVAILABLE, false },
	{ 302, "", SB_E_PROTOCOL, false },
};

START_TEST(refusals_carry_the_engines_words)
{
	struct sb_err err;
	int rc = refusal_set(
			&err, refusals[_i].status, refusals[_i].body, strlen(refusals[_i].body));

	ck_assert_int_eq(rc, -(int)refusals[_i].code);
	ck_assert_int_eq(err.hint[0] != '\0', refusals[_i].hint);
	ck_assert_int_eq(refusal_set_text(&err, "manifest unknown: x"), -SB_E_NOT_FOUND);
}
END_TEST

#define BOX                                                                                        \
	"{\"Id\":\"c1\",\"Name\":\"/llm-0\",\"State\":{\"Status\":\"exited\",\"ExitCode\":137,"    \
	"\"OOMKilled\":true,\"Error\":\"e\",\"Pid\":0,\"StartedAt\":\"2023-11-14T22:13:20.5Z\","   \
	"\"FinishedAt\":\"0001-01-01T00:00:00Z\"},\"Config\":{\"Image\":\"i:1\",\"Labels\":"       \
	"{\"a\":\"1\",\"b\":\"\",\"n\":null}}}"

START_TEST(containers_parse)
{
	struct container_doc doc = { NULL };

	ck_assert_int_eq(container_doc_init(&doc, BOX, strlen(BOX), NULL), 0);
	ck_assert_str_eq(doc.info.id, "c1");
	ck_assert_str_eq(doc.info.name, "llm-0");
	ck_assert_str_eq(doc.info.image, "i:1");
	ck_assert_int_eq(doc.info.state, SB_CONTAINER_EXITED);
	ck_assert_int_eq(doc.info.exit_code, 137);
	ck_assert(doc.info.oom_killed);
	ck_assert_uint_eq(doc.info.started_unix_ms, 1700000000500u);
	ck_assert_uint_eq(doc.info.finished_unix_ms, 0);
	ck_assert_uint_eq(doc.info.n_labels, 2);
	ck_assert_str_eq(sb_container_label(&doc.info, "a"), "1");
	ck_assert_ptr_null(sb_container_label(&doc.info, "n"));
	container_doc_done(&doc);
	ck_assert_int_eq(container_doc_init(&doc, "{}", 2, NULL), -SB_E_PROTOCOL);
	ck_assert_int_eq(container_doc_init(&doc, "[]", 2, NULL), -SB_E_PROTOCOL);
	ck_assert_int_eq(container_doc_init(&doc, "{\"Id\":\"x\"}", 10, NULL), -SB_E_PROTOCOL);
	ck_assert_ptr_null(doc.doc);
}
END_TEST

START_TEST(events_parse)
{
	static const char in[] =
			"{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"c1\","
			"\"Attributes\":{\"exitCode\":\"3\",\"name\":\"n\",\"l\":\"v\"}},"
			"\"timeNano\":1700000000000000001}";
	struct sb_engine_event ev = { NULL };
	struct sb_kv *kvs = NULL;
	json_t *doc;

	ck_assert_int_eq(json_parse(in, strlen(in), &doc, NULL), 0);
	ck_assert_int_eq(event_parse(doc, &ev, &kvs, NULL), 0);
	ck_assert_str_eq(ev.id, "c1");
	ck_assert_str_eq(ev.name, "n");
	ck_assert_int_eq(ev.exit_code, 3);
	ck_assert_uint_eq(ev.n_attributes, 3);
	ck_assert_uint_eq(ev.unix_ns, 1700000000000000001u);
	free(kvs);
	json_decref(doc);
	ck_assert_int_eq(json_parse("{\"Type\":\"x\"}", 12, &doc, NULL), 0);
	ck_assert_int_eq(event_parse(doc, &ev, &kvs, NULL), -SB_E_PROTOCOL);
	json_decref(doc);
}
END_TEST

START_TEST(versions_order_as_numbers)
{
	ck_assert_uint_gt(api_parse("1.41"), api_parse("1.9"));
	ck_assert_uint_gt(api_parse("2.0"), api_parse("1.99"));
	ck_assert_uint_eq(api_parse("1.41"), API_VERSION(1, 41));
	ck_assert_uint_eq(api_parse(""), 0);
	ck_assert_uint_eq(api_parse("1"), 0);
	ck_assert_uint_eq(api_parse("1.41x"), 0);
	ck_assert_uint_eq(api_parse("x1.41"), 0);
}
END_TEST

/* --- requests --- */

static const struct {
	const char *ref, *name, *tag;
} refs[] = {
	{ "busybox", "busybox", "latest" },
	{ "a/b:1", "a/b", "1" },
	{ "localhost:5000/a/b", "localhost:5000/a/b", "latest" },
	{ "localhost:5000/a/b:v2", "localhost:5000/a/b", "v2" },
	{ "r.io/x@sha256:aa", "r.io/x", "sha256:aa" },
	{ "r.io:443/x:1@sha256:aa", "r.io:443/x", "sha256:aa" },
	{ "[::1]:5000/x:1", "[::1]:5000/x", "1" },
	{ "", NULL, NULL },
	{ ":1", NULL, NULL },
	{ "@sha256:aa", NULL, NULL },
	{ "a:", NULL, NULL },
	{ "a/", NULL, NULL },
	{ "a@", NULL, NULL },
	{ "a b", NULL, NULL },
	{ "a?x=1", NULL, NULL },
	{ "a\r\nX: y", NULL, NULL },
	{ "a%2f", NULL, NULL },
};

START_TEST(image_references_come_apart)
{
	struct image_ref ref;
	int rc = image_ref_parse(refs[_i].ref, &ref, NULL);

	ck_assert_int_eq(rc, refs[_i].name ? 0 : -SB_E_INVALID);
	if (rc == 0) {
		ck_assert_str_eq(ref.name, refs[_i].name);
		ck_assert_str_eq(ref.tag, refs[_i].tag);
	}
}
END_TEST

static json_t *spec_doc(const struct sb_container_spec *spec)
{
	SB_CLEANUP(sb_freep) char *text = NULL;
	struct sb_err err = SB_ERR_INIT;
	json_t *doc;

	ck_assert_msg(spec_to_json(spec, &text, &err) == 0, "%s", err.text);
	ck_assert_int_eq(json_parse(text, strlen(text), &doc, NULL), 0);
	return doc;
}

START_TEST(a_bare_spec_asks_for_nothing)
{
	json_t *doc = spec_doc(&(struct sb_container_spec){ .image = "i" });
	json_t *want = json_pack("{s:s,s:{}}", "Image", "i", "HostConfig");

	ck_assert(json_equal(doc, want));
	json_decref(doc);
	json_decref(want);
}
END_TEST

START_TEST(every_member_of_a_spec_has_its_place)
{
	static const char *const argv[] = { "sh", "-c", "exit" };
	static const struct sb_kv env[] = { { "A", "1=2" }, { "B", NULL } };
	static const struct sb_kv labels[] = { { "l", "v" } };
	static const struct sb_engine_mount mounts[] = { { "/a", "/b", true }, { "vol", "/c" } };
	static const char *const devices[] = { "/dev/infiniband" };
	static const char *const caps[] = { "IPC_LOCK" };
	static const char *const security[] = { "no-new-privileges" };
	static const struct sb_engine_ulimit ulimits[] = { { "memlock", -1, -1 } };
	struct sb_container_spec spec = { .image = "i",
		.argv = argv,
		.n_argv = 3,
		.set_entrypoint = true,
		.env = env,
		.n_env = 2,
		.labels = labels,
		.n_labels = 1,
		.mounts = mounts,
		.n_mounts = 2,
		.devices = devices,
		.n_devices = 1,
		.cap_add = caps,
		.n_cap_add = 1,
		.security_opt = security,
		.n_security_opt = 1,
		.ulimits = ulimits,
		.n_ulimits = 1,
		.gpus = "device=0,1",
		.ipc = "host",
		.network = "host",
		.user = "1:2",
		.restart_policy = "on-failure:3",
		.shm_bytes = 10,
		.memory_bytes = 20,
		.privileged = true,
		.init = true };
	json_t *doc = spec_doc(&spec), *want;
	json_error_t why;

	want = json_pack_ex(&why, 0,
			"{s:s,s:s,s:[sss],s:[s],s:[ss],s:{s:s},s:{s:s,s:s,s:i,s:i,s:b,s:b,"
			"s:[{s:s,s:s,s:s,s:b},{s:s,s:s,s:s}],s:[{s:s,s:s,s:s}],s:[s],s:[s],"
			"s:[{s:s,s:i,s:i}],s:[{s:[ss],s:[[s]]}],s:{s:s,s:i}}}",
			"Image", "i", "User", "1:2", "Cmd", "sh", "-c", "exit", "Entrypoint", "",
			"Env", "A=1=2", "B=", "Labels", "l", "v", "HostConfig", "IpcMode", "host",
			"NetworkMode", "host", "ShmSize", 10, "Memory", 20, "Privileged", 1, "Init",
			1, "Mounts", "Type", "bind", "Source", "/a", "Target", "/b", "ReadOnly", 1,
			"Type", "volume", "Source", "vol", "Target", "/c", "Devices", "PathOnHost",
			"/dev/infiniband", "PathInContainer", "/dev/infiniband",
			"CgroupPermissions", "rwm", "CapAdd", "IPC_LOCK", "SecurityOpt",
			"no-new-privileges", "Ulimits", "Name", "memlock", "Soft", -1, "Hard", -1,
			"DeviceRequests", "DeviceIDs", "0", "1", "Capabilities", "gpu",
			"RestartPolicy", "Name", "on-failure", "MaximumRetryCount", 3);
	ck_assert_msg(want != NULL, "%s", why.text);
	ck_assert(json_equal(doc, want));
	json_decref(doc);
	json_decref(want);
}
END_TEST

static const struct {
	const char *gpus, *want;
} gpus[] = {
	{ "all", "[{\"Count\":-1,\"Capabilities\":[[\"gpu\"]]}]" },
	{ "2", "[{\"Count\":2,\"Capabilities\":[[\"gpu\"]]}]" },
	{ "device=GPU-1", "[{\"DeviceIDs\":[\"GPU-1\"],\"Capabilities\":[[\"gpu\"]]}]" },
	{ "\"device=0,2\"", "[{\"DeviceIDs\":[\"0\",\"2\"],\"Capabilities\":[[\"gpu\"]]}]" },
	{ "0", NULL },
	{ "-1", NULL },
	{ "two", NULL },
	{ "device=", NULL },
	{ "device=0,", NULL },
};

START_TEST(gpus_are_read_as_the_docker_command_reads_them)
{
	struct sb_container_spec spec = { .image = "i", .gpus = gpus[_i].gpus };
	char *untouched = NULL;
	json_t *doc, *want;

	if (!gpus[_i].want) {
		ck_assert_int_eq(spec_to_json(&spec, &untouched, NULL), -SB_E_INVALID);
		ck_assert_ptr_null(untouched);
		return;
	}
	doc = spec_doc(&spec);
	want = json_loads(gpus[_i].want, 0, NULL);
	ck_assert(json_equal(json_object_get(json_object_get(doc, "HostConfig"), "DeviceRequests"),
			want));
	json_decref(doc);
	json_decref(want);
}
END_TEST

START_TEST(wrong_specs_are_refused_without_telling_values)
{
	static const struct sb_kv secret[] = { { "TOKEN", "hf_\xff\xfe" } };
	static const struct sb_kv noname[] = { { "A=B", "1" } };
	static const char *const device[] = { "sda" };
	static const struct sb_engine_mount mount[] = { { "/a", "relative" } };
	static const struct sb_container_spec specs[] = {
		{ .image = NULL },
		{ .image = "i", .env = secret, .n_env = 1 },
		{ .image = "i", .env = noname, .n_env = 1 },
		{ .image = "i", .labels = secret, .n_labels = 1 },
		{ .image = "i", .devices = device, .n_devices = 1 },
		{ .image = "i", .mounts = mount, .n_mounts = 1 },
		{ .image = "i", .restart_policy = "sometimes" },
		{ .image = "i", .restart_policy = "always:3" },
		{ .image = "i", .restart_policy = "on-failure:x" },
		{ .image = "i", .memory_bytes = UINT64_MAX },
	};
	char *untouched = NULL;

	for (size_t i = 0; i < sb_countof(specs); i++) {
		struct sb_err err = SB_ERR_INIT;

		ck_assert_int_eq(spec_to_json(&specs[i], &untouched, &err), -SB_E_INVALID);
		ck_assert_ptr_null(untouched);
		ck_assert_ptr_null(strstr(err.text, "hf_"));
		ck_assert(*err.text);
	}
}
END_TEST

START_TEST(urls_are_escaped)
{
	SB_CLEANUP(sb_freep) char *out = url_escape("a/b {\"x\":1}\r\n~._-%");

	ck_assert_str_eq(out, "a%2Fb%20%7B%22x%22%3A1%7D%0D%0A~._-%25");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine_stream");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lines_do_not_depend_on_where_the_stream_is_cut);
	tcase_add_test(tc, a_stream_cut_inside_a_frame_gives_its_part_and_an_error);
	tcase_add_test(tc, since_leaves_out_what_is_not_later);
	tcase_add_test(tc, long_lines_come_in_parts_without_times_in_them);
	tcase_add_test(tc, a_line_without_end_is_bounded);
	tcase_add_test(tc, a_tty_has_no_frames_and_loses_its_carriage_returns);
	tcase_add_loop_test(tc, hostile_headers_are_refused, 0, 7);
	tcase_add_test(tc, the_engines_own_error_ends_the_stream);
	tcase_add_test(tc, a_sink_may_stop_the_parser);
	tcase_add_loop_test(tc, times_parse, 0, sb_countof(times));
	tcase_add_test(tc, json_lines_do_not_depend_on_cuts);
	tcase_add_test(tc, json_lines_refuse_what_is_no_json_or_too_long);
	tcase_add_test(tc, json_trees_are_bounded);
	tcase_add_loop_test(tc, refusals_carry_the_engines_words, 0, sb_countof(refusals));
	tcase_add_test(tc, containers_parse);
	tcase_add_test(tc, events_parse);
	tcase_add_test(tc, versions_order_as_numbers);
	tcase_add_loop_test(tc, image_references_come_apart, 0, sb_countof(refs));
	tcase_add_test(tc, a_bare_spec_asks_for_nothing);
	tcase_add_test(tc, every_member_of_a_spec_has_its_place);
	tcase_add_loop_test(
			tc, gpus_are_read_as_the_docker_command_reads_them, 0, sb_countof(gpus));
	tcase_add_test(tc, wrong_specs_are_refused_without_telling_values);
	tcase_add_test(tc, urls_are_escaped);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
