/* Everything that parses an engine's bytes. The first byte says which parser, the second how the
 * rest is cut; each parser must give the same for its input whole and in pieces. */
#include <stdlib.h>
#include <string.h>

#include "sb_engine_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* FNV-1a over what came out, so that two runs can be compared. */
struct sum {
	uint64_t hash;
};

static void mix(struct sum *sum, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		sum->hash = (sum->hash ^ p[i]) * 1099511628211u;
}

static int on_line(void *ctx, const struct sb_engine_log *log)
{
	if (log->len > LOG_LINE_MAX || (log->stream != 1 && log->stream != 2))
		abort();
	mix(ctx, &log->stream, sizeof(log->stream));
	mix(ctx, &log->unix_ns, sizeof(log->unix_ns));
	mix(ctx, &log->len, sizeof(log->len));
	mix(ctx, log->text, log->len);
	return 0;
}

static uint64_t run_log(const char *data, size_t size, bool tty, size_t step)
{
	static struct log_parser p;
	struct sum sum = { .hash = 14695981039346656037u };
	int rc = 0;

	log_parser_init(&p, tty, 1600000000000000000u, on_line, &sum);
	for (size_t at = 0; at < size && rc == 0; at += step)
		rc = log_parser_feed(&p, data + at, step < size - at ? step : size - at, NULL);
	if (rc == 0)
		rc = log_parser_end(&p, NULL);
	mix(&sum, &rc, sizeof(rc));
	return sum.hash;
}

static int on_doc(void *ctx, const json_t *doc)
{
	struct sb_engine_event ev = { NULL };
	struct sb_kv *kvs = NULL;

	if (event_parse(doc, &ev, &kvs, NULL) == 0) {
		mix(ctx, ev.action, strlen(ev.action));
		for (size_t i = 0; i < ev.n_attributes; i++)
			mix(ctx, ev.attributes[i].value, strlen(ev.attributes[i].value));
	}
	free(kvs);
	return 0;
}

static uint64_t run_lines(const char *data, size_t size, size_t step)
{
	struct sum sum = { .hash = 14695981039346656037u };
	struct json_lines p;
	int rc = 0;

	json_lines_init(&p, 4096, on_doc, &sum);
	for (size_t at = 0; at < size && rc == 0; at += step)
		rc = json_lines_feed(&p, data + at, step < size - at ? step : size - at, NULL);
	if (rc == 0)
		rc = json_lines_end(&p, NULL);
	json_lines_done(&p);
	return sum.hash;
}

static void run_rest(const char *data, size_t size)
{
	struct container_doc doc = { NULL };
	struct image_ref ref;
	struct sb_err err = SB_ERR_INIT;
	uint64_t ns;
	char *text = calloc(1, size + 1);

	if (!text)
		abort();
	memcpy(text, data, size); /* strndup() would look for an end that is not there */

	if (time_parse(data, size, &ns) > size)
		abort();
	if (container_doc_init(&doc, data, size, &err) == 0)
		sb_container_label(&doc.info, "x");
	container_doc_done(&doc);
	refusal_set(&err, 500, data, size);
	if (text) {
		api_parse(text);
		image_ref_parse(text, &ref, &err);
		refusal_set_text(&err, text);
		free(url_escape(text));
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data + 2;
	size_t step;

	if (size < 2)
		return 0;
	size -= 2;
	step = data[1] % 31 + 1u;
	switch (data[0] % 4) {
	case 0:
	case 1:
		if (run_log(rest, size, data[0] % 4, step) !=
				run_log(rest, size, data[0] % 4, size ? size : 1))
			abort();
		break;
	case 2:
		if (run_lines(rest, size, step) != run_lines(rest, size, size ? size : 1))
			abort();
		break;
	default:
		run_rest(rest, size);
	}
	return 0;
}
