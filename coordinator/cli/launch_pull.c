/* Fetching an image on several nodes at once. One thread waits for the answers, which may take an
 * hour; this one shows the nodes' progress events meanwhile, over connections of its own. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "launch.h"
#include "sb_fs.h"

#define PULL_MS          SB_WIRE_DEADLINE_MAX_MS
#define PULL_TRIES       4 /* the same request again after an hour without an answer */
#define POLL_MS          500u
#define CONFIG_MAX_BYTES ((size_t)1 << 20)
#define SHOW_EVERY_MS    2000u

struct pull {
	struct launch *l;
	struct sb_client *client;
	struct ask *asks;
	size_t n;
	atomic_bool done;
};

struct progress_of {
	const struct cli_node *node;
	uint8_t *cursor;
	size_t cursor_len;
	uint64_t shown_ms;
};

static void *wait_answers(void *arg)
{
	struct pull *p = arg;

	for (int i = 0; i < PULL_TRIES && !interrupted(); i++) {
		bool again = false;

		asks_send(p->l->cli, p->client, p->asks, p->n, PULL_MS);
		for (size_t k = 0; k < p->n; k++)
			again |= p->asks[k].answer.err.code == SB_E_TIMEOUT;
		if (!again)
			break;
	}
	atomic_store(&p->done, true);
	return NULL;
}

static void show_events(
		struct launch *l, struct progress_of *of, const Sparkbus__WatchEventsReply *reply)
{
	const char *text = NULL;
	char line[512];
	uint8_t *cursor = malloc(reply->next_cursor.len + 1);

	for (size_t i = 0; i < reply->n_events; i++)
		if (!strcmp(reply->events[i]->kind, "image.pull") && *reply->events[i]->text)
			text = reply->events[i]->text;
	if (text && sb_now_boot_ms() - of->shown_ms >= SHOW_EVERY_MS) {
		snprintf(line, sizeof(line), "%s: %s", of->node->node.name, text);
		sb_progress_note(&l->progress, line);
		of->shown_ms = sb_now_boot_ms();
	}
	if (!cursor)
		return;
	if (reply->next_cursor.len)
		memcpy(cursor, reply->next_cursor.data, reply->next_cursor.len);
	free(of->cursor);
	of->cursor = cursor;
	of->cursor_len = reply->next_cursor.len;
}

static void poll_progress(struct launch *l, struct progress_of *of, size_t n)
{
	struct ask *asks = calloc(n, sizeof(*asks));
	SB_CLEANUP(sb_freep) Sparkbus__WatchEventsRequest *bodies = calloc(n, sizeof(*bodies));
	struct sb_client *client;
	size_t ready = 0;

	if (asks && bodies && !cli_client(l->cli, &client, NULL)) {
		for (; ready < n; ready++) {
			bodies[ready] = (Sparkbus__WatchEventsRequest)
					SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
			bodies[ready].cursor = (ProtobufCBinaryData){ of[ready].cursor_len,
				of[ready].cursor };
			bodies[ready].wait_ms = POLL_MS;
			if (ask_init(&asks[ready], of[ready].node,
					    SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &bodies[ready],
					    NULL) < 0)
				break;
		}
		/* Progress is a courtesy: a node that does not tell any is not an error. */
		if (asks_send(l->cli, client, asks, ready, POLL_MS + ASK_DEADLINE_MS))
			interrupt_wait(POLL_MS);
		for (size_t i = 0; i < ready; i++)
			if (asks[i].answer.reply)
				show_events(l, &of[i], asks[i].answer.reply->watch_events);
	}
	asks_done(asks, ready);
}

static int read_auth(struct launch *l, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = NULL;
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	int rc;

	if (!sb_empty(dir))
		path = sb_fs_join(dir, "config.json");
	else if (home)
		path = sb_fs_join(home, ".docker/config.json");
	if (!path || access(path, F_OK) < 0) {
		*ret = strdup("");
		return *ret ? 0 : sb_err_nomem(err);
	}
	rc = sb_fs_read(path, CONFIG_MAX_BYTES, &text, err);
	if (!rc)
		rc = registry_auth(sb_strbuf_str(&text), l->plan->image, ret, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	if (rc < 0 && rc != -SB_E_UNSUPPORTED)
		return sb_err_wrap(err, rc, "%s", path);
	if (rc == -SB_E_UNSUPPORTED) { /* the image may be public: say it and try */
		cli_warn(l->cli, "%s", err->text);
		*ret = strdup("");
		rc = *ret ? 0 : sb_err_nomem(err);
	}
	return rc;
}

static int judge(struct pull *p)
{
	int status = LAUNCH_GO_ON;

	sb_progress_break(&p->l->progress);
	for (size_t i = 0; i < p->n; i++) {
		struct sb_answer *answer = &p->asks[i].answer;

		if (answer->reply || interrupted())
			continue;
		cli_fail(p->l->cli, &answer->err);
		status = EXIT_FAILED; /* also where a node is silent: it is known that nothing runs
				       */
	}
	return interrupted() ? EXIT_INTERRUPT : status;
}

static int run_pull(struct pull *p, struct sb_err *err)
{
	struct progress_of *of = calloc(p->n, sizeof(*of));
	pthread_t thread;
	int rc;

	if (!of)
		return sb_err_nomem(err);
	for (size_t i = 0; i < p->n; i++)
		of[i].node = p->asks[i].node;
	rc = pthread_create(&thread, NULL, wait_answers, p);
	if (rc) {
		free(of);
		return sb_err_errno(err, rc, "thread");
	}
	while (!atomic_load(&p->done) && !interrupted())
		poll_progress(p->l, of, p->n);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < p->n; i++)
		free(of[i].cursor);
	free(of);
	return 0;
}

int launch_pull(struct launch *l, const bool *wanted)
{
	Sparkbus__PullImageRequest body = SPARKBUS__PULL_IMAGE_REQUEST__INIT;
	struct pull p = { .l = l, .asks = calloc(l->plan->n_ranks, sizeof(*p.asks)) };
	struct sb_err err = SB_ERR_INIT;
	char *auth = NULL;
	int rc = p.asks ? read_auth(l, &auth, &err) : sb_err_nomem(&err), status;

	body.image = l->plan->image;
	body.registry_auth = auth;
	for (size_t i = 0; !rc && i < l->plan->n_ranks; i++)
		if (wanted[i])
			rc = ask_init(&p.asks[p.n++], l->ranks[i],
					SPARKBUS__REQUEST__BODY_PULL_IMAGE, &body, &err);
	if (!rc)
		rc = cli_client_new(l->cli, &p.client, &err);
	if (!rc)
		rc = run_pull(&p, &err);
	status = rc < 0 ? cli_fail(l->cli, &err) : judge(&p);
	if (p.client)
		cli_client_free(p.client);
	asks_done(p.asks, p.n);
	if (auth)
		explicit_bzero(auth, strlen(auth));
	free(auth);
	return status;
}
