/* sb_engine_parts.h - the pure parts of the Docker client: parsers of what an engine sends and
 * builders of what it gets. No I/O, no clock. For the files of this folder, their tests and the
 * fuzzer; not for other modules.
 *
 * All input here comes from the engine and may be anything: parsers hold a bounded amount of it
 * and answer with SB_E_PROTOCOL or SB_E_RANGE. */
#ifndef SB_ENGINE_PARTS_H
#define SB_ENGINE_PARTS_H

#include <jansson.h>

#include "sb_engine.h"
#include "sb_strbuf.h"

/* --- time --- */

/** Parse an RFC 3339 time with up to nine digits of fraction ("2023-11-14T22:13:20.5Z", also with
 * "+01:00") at the start of @s. Before 1970, which engines use for "never", gives 0.
 * Return: bytes used; 0 when there is no such time. */
size_t time_parse(const char *s, size_t len, uint64_t *ret_unix_ns);

/* --- log streams --- */

#define LOG_LINE_MAX  ((size_t)16 << 10)   /* bytes; longer lines come in parts of this size */
#define LOG_FRAME_MAX ((uint32_t)16 << 20) /* bytes a frame may claim; engines write <= 1 MiB */
#define LOG_STAMP_MAX 40                   /* bytes of a time at the start of a line */

/* Returns 0 to go on, anything else to stop. @log->unix_ns is 0 while no time was seen. */
typedef int (*log_line_fn)(void *ctx, const struct sb_engine_log *log);

/* One of the two streams: the line that is being put together. */
struct log_line {
	char text[LOG_LINE_MAX];
	size_t len;
	char stamp[LOG_STAMP_MAX];
	size_t n_stamp;
	bool want_stamp; /* at the start of a line or frame: a time may come */
	bool open;       /* something of this line came already */
	bool parted;     /* a full part of this line was delivered */
	uint64_t unix_ns;
	bool stamped; /* unix_ns is of this line */
};

struct log_parser {
	bool tty; /* raw: no frames, everything is stdout */
	uint64_t since_unix_ns;
	log_line_fn fn;
	void *ctx;
	unsigned char head[8];
	size_t n_head;
	uint32_t left; /* bytes of the frame still to come */
	size_t n_said; /* of the engine's own error */
	struct log_line lines[2];
};

/** Lines whose time is <= @since_unix_ns are left out; lines without a time never are. */
void log_parser_init(
		struct log_parser *p, bool tty, uint64_t since_unix_ns, log_line_fn fn, void *ctx);
/** Feed bytes, cut anywhere. Return: 0; what fn returned when not 0; -SB_E_PROTOCOL on a header
 * that no engine sends, or with the engine's own words if it reports an error in the stream. */
int log_parser_feed(struct log_parser *p, const char *data, size_t len, struct sb_err *err);
/** The end of the stream: deliver the lines that have no end yet. Return: 0; what fn returned;
 * -SB_E_UNAVAILABLE when the stream ends inside a frame. */
int log_parser_end(struct log_parser *p, struct sb_err *err);

/* --- JSON --- */

#define JSON_NODES_MAX                                                                             \
	((size_t)512 << 10) /* values in one document: bounds the memory of a tree                 \
			     */

/** Parse one document. -SB_E_PROTOCOL; -SB_E_RANGE with more than JSON_NODES_MAX values. */
int json_parse(const char *data, size_t len, json_t **ret, struct sb_err *err);
/** Member @key as text; "" when absent or of another type. Borrowed from @obj. */
const char *json_text(const json_t *obj, const char *key);
/** Member @key as a number; 0 when absent or of another type. */
int64_t json_number(const json_t *obj, const char *key);

/** Returns 0 to go on, anything else to stop. */
typedef int (*json_line_fn)(void *ctx, const json_t *doc);

struct json_lines {
	struct sb_strbuf line;
	json_line_fn fn;
	void *ctx;
};

/** @line_max: bytes of the longest line. */
void json_lines_init(struct json_lines *p, size_t line_max, json_line_fn fn, void *ctx);
void json_lines_done(struct json_lines *p);
/** Feed bytes, cut anywhere. Return: 0; what fn returned; -SB_E_PROTOCOL; -SB_E_RANGE;
 * -SB_E_NOMEM. */
int json_lines_feed(struct json_lines *p, const char *data, size_t len, struct sb_err *err);
/** The end: what has no newline yet must be a whole document. */
int json_lines_end(struct json_lines *p, struct sb_err *err);

/* --- replies --- */

/** "1.41" to a number that grows with the version; 0 when it is none. */
unsigned api_parse(const char *version);
#define API_VERSION(major, minor) (((unsigned)(major) << 16) | (unsigned)(minor))

/** An engine's refusal as an error: code by status and text, the engine's own words. Return: -code.
 */
int refusal_set(struct sb_err *err, int status, const char *body, size_t len);
/** The same for words that came inside a progress stream. */
int refusal_set_text(struct sb_err *err, const char *message);

/* A container as parsed; the info's pointers go into doc and labels. */
struct container_doc {
	json_t *doc;
	struct sb_kv *labels;
	struct sb_container_info info;
};
int container_doc_init(struct container_doc *ret, const char *body, size_t len, struct sb_err *err);
void container_doc_done(struct container_doc *doc);

/** Parse one event. @attributes must be freed by the caller, after the last use of @ret. */
int event_parse(const json_t *doc, struct sb_engine_event *ret, struct sb_kv **ret_attributes,
		struct sb_err *err);

/** The members of @object that are text, borrowed from it. free() the array. */
int json_kvs(const json_t *object, struct sb_kv **ret, size_t *ret_n, struct sb_err *err);
/** The texts of @array, NULL-terminated, borrowed from it. free() the array. */
int json_texts(const json_t *array, const char ***ret, struct sb_err *err);

/* --- requests --- */

#define IMAGE_REF_MAX 512 /* bytes */

/* An image reference taken apart: "localhost:5000/a/b:1@sha256:..." */
struct image_ref {
	char name[IMAGE_REF_MAX]; /* "localhost:5000/a/b" */
	char tag[IMAGE_REF_MAX];  /* the digest when there is one, else the tag, else "latest" */
};
int image_ref_parse(const char *ref, struct image_ref *ret, struct sb_err *err);

/** The body of "create" on the heap. -SB_E_INVALID names the member that is wrong. */
int spec_to_json(const struct sb_container_spec *spec, char **ret, struct sb_err *err);

/** @s with everything but letters, digits and "-._~" percent-encoded; NULL when out of memory. */
char *url_escape(const char *s);

/* --- the client with other limits, for tests --- */

struct engine_limits {
	uint64_t deadline_max_ms; /* cap on every deadline of an operation; 0 = none */
	uint64_t answer_ms;       /* a stream's time to its headers */
	uint64_t pull_idle_ms;    /* a pull's time without a byte */
	uint64_t log_end_ms;      /* for a container to end after its logs ended */
	uint64_t backoff_min_ms, backoff_max_ms; /* between two tries of the event stream */
};
extern const struct engine_limits engine_limits_default;
int sb_engine_docker_new_limited(sd_event *loop, const char *socket, const struct engine_limits *,
		struct sb_engine **ret, struct sb_err *err);

#endif
