/* Following logs. Each rank's log is read by long polls from its own node with its own cursor; a
 * broken connection costs nothing but time, because the next poll starts at the last cursor.
 *
 * Several logs are merged by time. A rank that has more to give than one answer holds must not
 * be overtaken by another's later lines, so lines wait until every such rank has come past them. */
#include <string.h>

#include "cli.h"

#define LINES_PER_POLL 500u
#define POLL_ONE_MS    10000u /* a single log: the answer comes as soon as there is a line */
#define POLL_MANY_MS   500u   /* several: the slowest poll delays the others' lines */
#define RETRY_MS       1000u
#define TRIES_ONCE     3 /* without following, a silent node is given up after these */

struct reader {
	const struct log_source *source;
	uint8_t *cursor;
	size_t cursor_len;
	Sparkbus__ReadLogRequest body;
	uint64_t given_ns; /* time of the last line that came */
	bool more;         /* the last answer was full */
	bool end;
	unsigned failures;
	struct sb_err err; /* of the last failure */
};

struct line {
	uint64_t ns;
	uint64_t seq; /* keeps a rank's lines of one instant in order */
	uint32_t rank;
	char *text;
	size_t len;
};

struct follow {
	struct cli *cli;
	const struct follow_opts *opts;
	FILE *out;
	struct reader *readers;
	struct line *lines;
	size_t n_lines, space;
	uint64_t seq;
};

static void follow_done(struct follow *f)
{
	for (size_t i = 0; f->readers && i < f->opts->n_sources; i++)
		free(f->readers[i].cursor);
	for (size_t i = 0; i < f->n_lines; i++)
		free(f->lines[i].text);
	free(f->readers);
	free(f->lines);
}

/* Length of the colour sequence (ESC [ digits and ; m) at @s, or 0. */
static size_t color_at(const char *s, size_t len)
{
	size_t i = 2;

	if (len < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (i < len && ((s[i] >= '0' && s[i] <= '9') || s[i] == ';'))
		i++;
	return i < len && s[i] == 'm' ? i + 1 : 0;
}

/* An engine's own colours may pass to a terminal; whatever else could steer it may not. */
void log_text(struct sb_strbuf *line, const char *text, size_t len, bool colors)
{
	const char *cr = len ? memrchr(text, '\r', len - 1) : NULL;
	bool colored = false;

	if (cr) { /* a progress bar: what it showed last */
		len -= (size_t)(cr + 1 - text);
		text = cr + 1;
	}
	if (len && text[len - 1] == '\r')
		len--;
	while (len) {
		size_t color = color_at(text, len);
		const char *next = memchr(text + 1, '\033', len - 1);
		size_t part = color ? color : next ? (size_t)(next - text) : len;

		if (color && colors)
			sb_strbuf_add(line, text, color);
		else if (!color)
			sb_render_clean(line, text, part);
		colored |= color && colors;
		text += part;
		len -= part;
	}
	if (colored)
		sb_strbuf_adds(line, "\033[0m");
}

static int add_line(struct follow *f, struct reader *r, const Sparkbus__LogLine *from)
{
	struct line *grown = f->lines;

	if (f->n_lines == f->space) {
		grown = reallocarray(f->lines, f->space * 2 + 64, sizeof(*grown));
		if (!grown)
			return -SB_E_NOMEM;
		f->lines = grown;
		f->space = f->space * 2 + 64;
	}
	grown = &grown[f->n_lines];
	*grown = (struct line){ from->unix_ns, f->seq++, r->source->rank, NULL, from->text.len };
	grown->text = malloc(from->text.len + 1);
	if (!grown->text)
		return -SB_E_NOMEM;
	if (from->text.len)
		memcpy(grown->text, from->text.data, from->text.len);
	f->n_lines++;
	if (from->unix_ns > r->given_ns)
		r->given_ns = from->unix_ns;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns < y->ns ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static void print_line(struct follow *f, const struct line *line)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (f->opts->prefix)
		sb_strbuf_addf(&text, "rank %u | ", line->rank);
	log_text(&text, line->text, line->len, *sb_color(f->out, SB_BOLD) != '\0');
	fprintf(f->out, "%s\n", sb_strbuf_str(&text));
}

/* Print what no other log can still precede. */
static void print_lines(struct follow *f, bool all)
{
	uint64_t until = UINT64_MAX;
	size_t i;

	for (i = 0; i < f->opts->n_sources; i++)
		if (f->readers[i].more && !all && f->readers[i].given_ns < until)
			until = f->readers[i].given_ns;
	/* One log is printed as it was written, whatever its clock did. */
	if (f->n_lines && f->opts->n_sources > 1)
		qsort(f->lines, f->n_lines, sizeof(*f->lines), by_time);
	for (i = 0; i < f->n_lines && (f->opts->n_sources == 1 || f->lines[i].ns <= until); i++) {
		print_line(f, &f->lines[i]);
		free(f->lines[i].text);
	}
	f->n_lines -= i;
	if (f->n_lines)
		memmove(f->lines, f->lines + i, f->n_lines * sizeof(*f->lines));
	fflush(f->out);
}

static int keep_cursor(struct reader *r, const ProtobufCBinaryData *cursor)
{
	uint8_t *copy = malloc(cursor->len + 1);

	if (!copy)
		return -SB_E_NOMEM;
	if (cursor->len)
		memcpy(copy, cursor->data, cursor->len);
	free(r->cursor);
	r->cursor = copy;
	r->cursor_len = cursor->len;
	return 0;
}

static int take_reply(struct follow *f, struct reader *r, const Sparkbus__ReadLogReply *reply)
{
	if (r->failures)
		cli_note(f->cli, "node %s answers again", r->source->node->node.name);
	r->failures = 0;
	if (reply->lost)
		cli_warn(f->cli, "rank %u: %llu lines were dropped before they could be read",
				r->source->rank, (unsigned long long)reply->lost);
	for (size_t i = 0; i < reply->n_lines; i++)
		if (add_line(f, r, reply->lines[i]) < 0)
			return -SB_E_NOMEM;
	r->end = reply->end || (!f->opts->follow && !reply->n_lines);
	r->more = reply->n_lines >= LINES_PER_POLL && !reply->end;
	return keep_cursor(r, &reply->next_cursor);
}

static void take_failure(struct follow *f, struct reader *r, const struct sb_err *err)
{
	bool again = sb_code_exit(err->code) == EXIT_UNKNOWN;

	r->err = *err;
	r->more = false;
	if (!r->failures++ && again && !interrupted())
		cli_note(f->cli, "%s; asking again", err->text);
	if (!again || (!f->opts->follow && r->failures >= TRIES_ONCE))
		r->end = true;
}

/* One poll of every log that has not ended. */
static int poll_logs(struct follow *f, bool first, bool *ret_failed, struct sb_err *err)
{
	size_t n = f->opts->n_sources, asked = 0;
	unsigned wait_ms = n == 1 ? POLL_ONE_MS : POLL_MANY_MS;
	SB_CLEANUP(sb_freep) struct reader **who = calloc(n, sizeof(struct reader *));
	struct ask *asks = calloc(n, sizeof(*asks));
	struct sb_client *client;
	int rc = who && asks ? cli_client(f->cli, &client, err) : sb_err_nomem(err);

	/* Nobody waits for new lines while others still have old ones to give. */
	for (size_t i = 0; i < n; i++)
		if (first || !f->opts->follow || f->readers[i].more)
			wait_ms = 0;
	for (size_t i = 0; !rc && i < n; i++) {
		struct reader *r = &f->readers[i];

		if (r->end)
			continue;
		r->body.wait_ms = wait_ms;
		r->body.cursor = (ProtobufCBinaryData){ r->cursor_len, r->cursor };
		rc = ask_init(&asks[asked], r->source->node, SPARKBUS__REQUEST__BODY_READ_LOG,
				&r->body, err);
		who[asked++] = r;
	}
	if (!rc)
		*ret_failed = asks_send(f->cli, client, asks, asked, wait_ms + ASK_DEADLINE_MS) > 0;
	for (size_t i = 0; !rc && i < asked; i++) {
		if (!asks[i].answer.reply)
			take_failure(f, who[i], &asks[i].answer.err);
		else if (take_reply(f, who[i], asks[i].answer.reply->read_log) < 0)
			rc = sb_err_nomem(err);
	}
	asks_done(asks, asked);
	return rc;
}

static bool all_ended(const struct follow *f)
{
	for (size_t i = 0; i < f->opts->n_sources; i++)
		if (!f->readers[i].end)
			return false;
	return true;
}

/* A rank that ended may be started again: only the leader knows whether the job is over. */
static bool job_over(struct follow *f, Sparkbus__JobStatus **ret_status)
{
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	struct sb_err err;
	int rc;

	if (!f->opts->follow || !f->opts->leader)
		return true;
	body.job = (char *)f->opts->job;
	rc = ask_one(f->cli, f->opts->leader, SPARKBUS__REQUEST__BODY_GET_JOB, &body,
			ASK_DEADLINE_MS, &answer, &err);
	if (rc < 0)
		return sb_code_exit(err.code) != EXIT_UNKNOWN;
	if (!job_is_over(answer.reply->get_job->state))
		return false;
	if (ret_status)
		sb_wire_dup(&answer.reply->get_job->base, (ProtobufCMessage **)ret_status, NULL);
	return true;
}

static void begin(struct follow *f)
{
	for (size_t i = 0; i < f->opts->n_sources; i++) {
		struct reader *r = &f->readers[i];

		r->source = &f->opts->sources[i];
		r->body = (Sparkbus__ReadLogRequest)SPARKBUS__READ_LOG_REQUEST__INIT;
		r->body.job = (char *)f->opts->job;
		r->body.tail = f->opts->tail;
		r->body.max = LINES_PER_POLL;
	}
}

static void reopen(struct follow *f)
{
	for (size_t i = 0; i < f->opts->n_sources; i++)
		f->readers[i].end = false;
}

/* Without following, a log that could not be read to its end is an error. */
static int first_failure(const struct follow *f, struct sb_err *err)
{
	for (size_t i = 0; i < f->opts->n_sources; i++) {
		const struct reader *r = &f->readers[i];

		if (r->failures) {
			*err = r->err;
			return -(int)r->err.code;
		}
	}
	return 0;
}

int follow_logs(struct cli *cli, const struct follow_opts *opts, FILE *out, enum follow_end *ret,
		Sparkbus__JobStatus **ret_status, struct sb_err *err)
{
	SB_CLEANUP(follow_done) struct follow f = { .cli = cli, .opts = opts, .out = out };
	bool failed = false;
	int rc = 0;

	f.readers = calloc(opts->n_sources, sizeof(*f.readers));
	if (!f.readers)
		return sb_err_nomem(err);
	begin(&f);
	for (bool first = true; !interrupted(); first = false) {
		rc = poll_logs(&f, first, &failed, err);
		if (rc < 0)
			return rc;
		print_lines(&f, false);
		if (ferror(out))
			return sb_err_set(err, SB_E_INTERNAL, "cannot write the log");
		if (all_ended(&f)) {
			if (job_over(&f, ret_status))
				break;
			reopen(&f);
			interrupt_wait(RETRY_MS);
		} else if (failed) {
			interrupt_wait(RETRY_MS);
		}
	}
	print_lines(&f, true);
	*ret = interrupted() ? FOLLOW_INTERRUPTED : FOLLOW_OVER;
	return interrupted() ? 0 : first_failure(&f, err);
}
