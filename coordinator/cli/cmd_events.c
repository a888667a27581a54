/* What happened on the nodes, and with -f what happens. Each node is read by long polls with its
 * own cursor: a broken connection costs no event, and what a node had to drop is said. */
#include <string.h>
#include <time.h>

#include "commands.h"

#define EVENTS_OPT(member) offsetof(struct events_opts, member)
#define EVENTS_PER_POLL    256u
#define POLL_ONE_MS        10000u
/* All nodes are asked at once, and the slowest holds up what the others have to say. */
#define POLL_MANY_MS 100u
#define RETRY_MS     1000u
#define TAIL_DEFAULT 50
#define NODE_COLS    10

const struct opt events_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = EVENTS_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 'f', "follow", NULL, NULL, "wait for more", EVENTS_OPT(follow) },
	{ OPT_INT, 0, "tail", NULL, "N", "begin this many events before the end (50); 0 = all",
			EVENTS_OPT(tail), 0, 1e6 },
	{ OPT_TEXT, 0, "job", NULL, "JOB", "only events of this job", EVENTS_OPT(job) },
	{ OPT_TEXT, 0, "kind", NULL, "WORD", "only kinds that begin so: \"guard\", \"link.down\"",
			EVENTS_OPT(kind) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON: an object a line", EVENTS_OPT(json) },
	{ OPT_END },
};

/* One node's place in its events. */
struct reader {
	const struct cli_node *node;
	uint8_t cursor[64];
	size_t cursor_len;
	bool more; /* the last answer was full */
	unsigned failures;
	struct sb_err err;
};

struct item {
	uint64_t unix_ms, seq;
	json_t *json;
	char *text;
};

struct events {
	struct cli *cli;
	const struct events_opts *opts;
	const char *job; /* the full id */
	struct reader *readers;
	size_t n;
	struct item *items; /* read, not printed */
	size_t n_items, space;
	uint64_t seq;
};

static void item_done(struct item *item)
{
	json_decref(item->json);
	free(item->text);
}

static void events_done(struct events *e)
{
	for (size_t i = 0; i < e->n_items; i++)
		item_done(&e->items[i]);
	free(e->items);
	free(e->readers);
}

/* "14:03:21.123  spark1      link.down      text" */
static char *line_of(const Sparkbus__Event *ev)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	time_t seconds = (time_t)(ev->unix_ms / 1000);
	struct tm tm;
	char stamp[32];

	localtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%m-%d %H:%M:%S", &tm);
	sb_strbuf_addf(&line, "%s.%03u  %-*s  %-14s  ", stamp, (unsigned)(ev->unix_ms % 1000),
			NODE_COLS, ev->node, ev->kind);
	if (*ev->job)
		sb_strbuf_addf(&line, "[%s] ", job_short(ev->job));
	sb_render_clean(&line, ev->text, strlen(ev->text));
	return strdup(sb_strbuf_str(&line));
}

static int add_item(struct events *e, const Sparkbus__Event *ev)
{
	const char *kind = e->opts->kind;
	struct item *item;

	if (kind && strncmp(ev->kind, kind, strlen(kind)) != 0)
		return 0;
	if (e->n_items == e->space) {
		struct item *grown = reallocarray(e->items, e->space * 2 + 64, sizeof(*grown));

		if (!grown)
			return -SB_E_NOMEM;
		e->items = grown;
		e->space = e->space * 2 + 64;
	}
	item = &e->items[e->n_items++];
	*item = (struct item){ .unix_ms = ev->unix_ms, .seq = e->seq++ };
	if (e->opts->json)
		item->json = sb_render_message(&ev->base, NULL);
	else
		item->text = line_of(ev);
	return item->json || item->text ? 0 : -SB_E_NOMEM;
}

static int by_time(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->unix_ms != y->unix_ms)
		return x->unix_ms < y->unix_ms ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* The last @tail of what was read (0 = all of it), by time. */
static int print_items(struct events *e, size_t tail, struct sb_err *err)
{
	if (e->n_items)
		qsort(e->items, e->n_items, sizeof(*e->items), by_time);
	for (size_t i = 0; i < e->n_items; i++) {
		bool shown = !tail || e->n_items - i <= tail;

		if (shown && e->items[i].json) {
			json_dumpf(e->items[i].json, stdout, JSON_COMPACT);
			putchar('\n');
		} else if (shown) {
			puts(e->items[i].text);
		}
		item_done(&e->items[i]);
	}
	e->n_items = 0;
	fflush(stdout);
	return ferror(stdout) ? sb_err_set(err, SB_E_INTERNAL, "cannot write the events") : 0;
}

static int take_reply(struct events *e, struct reader *r, const Sparkbus__WatchEventsReply *reply)
{
	const char *name = r->node->node.name;

	if (r->failures)
		cli_note(e->cli, "node %s answers again", name);
	r->failures = 0;
	if (reply->lost && r->cursor_len)
		cli_warn(e->cli, "%s: %llu events were dropped before they could be read", name,
				(unsigned long long)reply->lost);
	for (size_t i = 0; i < reply->n_events; i++)
		if (add_item(e, reply->events[i]) < 0)
			return -SB_E_NOMEM;
	r->more = reply->n_events >= EVENTS_PER_POLL;
	if (reply->next_cursor.len > sizeof(r->cursor))
		return -SB_E_PROTOCOL;
	r->cursor_len = reply->next_cursor.len;
	if (r->cursor_len)
		memcpy(r->cursor, reply->next_cursor.data, r->cursor_len);
	return 0;
}

static void take_failure(struct events *e, struct reader *r, const struct sb_err *err)
{
	r->more = false;
	r->err = *err;
	if (!r->failures++ && !interrupted() && e->opts->follow)
		cli_note(e->cli, "%s; asking again", err->text);
}

static bool any_more(const struct events *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->readers[i].more)
			return true;
	return false;
}

static void ask_body(const struct events *e, struct reader *r, unsigned wait_ms,
		Sparkbus__WatchEventsRequest *body)
{
	sparkbus__watch_events_request__init(body);
	body->cursor = (ProtobufCBinaryData){ r->cursor_len, r->cursor };
	body->from_start = !r->cursor_len;
	body->job = (char *)(e->job ? e->job : "");
	body->max = EVENTS_PER_POLL;
	body->wait_ms = wait_ms;
}

/* Ask every node once. *@ret_failed: how many did not answer. */
static int poll_once(struct events *e, unsigned wait_ms, size_t *ret_failed, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	Sparkbus__WatchEventsRequest *bodies = calloc(e->n, sizeof(*bodies));
	struct ask *asks = calloc(e->n, sizeof(*asks));
	struct sb_client *client;
	int rc = bodies && asks ? cli_client(e->cli, &client, err) : sb_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < e->n; i++) {
		ask_body(e, &e->readers[i], wait_ms, &bodies[i]);
		rc = ask_init(&asks[i], e->readers[i].node, SPARKBUS__REQUEST__BODY_WATCH_EVENTS,
				&bodies[i], err);
	}
	if (rc == 0)
		*ret_failed = asks_send(e->cli, client, asks, e->n, wait_ms + ASK_DEADLINE_MS);
	for (size_t i = 0; rc == 0 && i < e->n; i++) {
		if (!asks[i].answer.reply)
			take_failure(e, &e->readers[i], &asks[i].answer.err);
		else if (take_reply(e, &e->readers[i], asks[i].answer.reply->watch_events) < 0)
			rc = sb_err_set(err, SB_E_PROTOCOL, "node %s: strange events",
					e->readers[i].node->node.name);
	}
	asks_done(asks, e->n);
	return rc;
}

/* What the nodes have kept. */
static int read_kept(struct events *e, struct sb_err *err)
{
	size_t tail = e->opts->tail.text ? (size_t)e->opts->tail.value : TAIL_DEFAULT, failed;
	int rc;

	do
		rc = poll_once(e, 0, &failed, err);
	while (rc == 0 && any_more(e) && !interrupted());
	return rc < 0 ? rc : print_items(e, tail, err);
}

static int follow(struct events *e, struct sb_err *err)
{
	unsigned wait_ms = e->n == 1 ? POLL_ONE_MS : POLL_MANY_MS;
	int rc = 0;

	while (rc == 0 && !interrupted()) {
		size_t failed = 0;

		rc = poll_once(e, any_more(e) ? 0 : wait_ms, &failed, err);
		if (rc == 0)
			rc = print_items(e, 0, err);
		if (failed == e->n)
			interrupt_wait(RETRY_MS);
	}
	return interrupted() ? 0 : rc;
}

static int print_silent(const struct events *e)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < e->n; i++) {
		if (!e->readers[i].failures)
			continue;
		fprintf(stderr, "Unknown: %s\n", e->readers[i].err.text);
		status = EXIT_UNKNOWN;
	}
	return status;
}

/* A job is named as everywhere: by its id, or by its recipe while it is known to the nodes. */
static int find_job(struct events *e, const struct cli_nodes *nodes, char **ret, struct sb_err *err)
{
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	const struct job_filter filter = { .target = e->opts->job };
	int rc;

	if (!e->opts->job)
		return 0;
	rc = fleet_ask(e->cli, nodes, false, &fleet, err);
	if (rc == 0)
		rc = jobs_find(&fleet, &filter, &jobs, err);
	if (rc < 0)
		return rc;
	if (!jobs.n)
		return sb_err_set(err, SB_E_NOT_FOUND, "No such job: %s", e->opts->job);
	*ret = strdup(jobs.items[0].status->job);
	return *ret ? 0 : sb_err_nomem(err);
}

int cmd_events(struct cli *cli, const struct call *call)
{
	const struct events_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(events_done) struct events e = { .cli = cli, .opts = opts };
	SB_CLEANUP(sb_freep) char *job = NULL;
	struct sb_err err = SB_ERR_INIT;

	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			find_job(&e, &nodes, &job, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	e.job = job;
	e.readers = calloc(nodes.n + 1, sizeof(*e.readers));
	if (!e.readers) {
		sb_err_nomem(&err);
		return cli_fail(cli, &err);
	}
	for (; e.n < nodes.n; e.n++)
		e.readers[e.n].node = &nodes.items[e.n];
	if (e.n && (read_kept(&e, &err) < 0 || (opts->follow && follow(&e, &err) < 0)))
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	return interrupted() ? EXIT_DONE : print_silent(&e);
}
