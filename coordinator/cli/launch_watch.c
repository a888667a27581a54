/* Watching a launch: the leader's events as progress, its word on the job as the truth. */
#include <string.h>

#include "launch.h"

#define POLL_MS  5000u
#define RETRY_MS 1000u
/* Silence of the leader beyond the launch's own time limit, after which we know nothing. */
#define LOST_EXTRA_MS 120000u

struct watch {
	struct launch *l;
	Sparkbus__JobStatus *status;
	uint64_t silent_since_ms; /* 0 = it answers */
	bool gone;                /* the leader does not know the job any more */
	bool refused;
	bool post; /* the end that is waited for is that of post_exec */
};

static void keep_status(struct watch *w, const Sparkbus__JobStatus *status)
{
	ProtobufCMessage *copy;

	if (sb_wire_dup(&status->base, &copy, NULL) < 0)
		return;
	if (w->status)
		sparkbus__job_status__free_unpacked(w->status, NULL);
	w->status = (Sparkbus__JobStatus *)copy;
}

/* True when the leader answered. */
static bool answered(struct watch *w, int rc, const struct sb_err *err)
{
	bool silent = rc < 0 && sb_code_exit(err->code) == EXIT_UNKNOWN;

	if (silent && !w->silent_since_ms && !interrupted()) {
		w->silent_since_ms = sb_now_boot_ms();
		sb_progress_note(&w->l->progress, err->text);
		sb_progress_note(&w->l->progress, "the launch goes on without us; asking again");
	} else if (rc == -SB_E_NOT_FOUND) {
		w->gone = true;
	} else if (rc < 0 && !silent && !interrupted()) {
		sb_progress_note(&w->l->progress, err->text);
		w->refused = true;
	} else if (!rc && w->silent_since_ms) {
		w->silent_since_ms = 0;
		sb_progress_note(&w->l->progress, "the leader answers again");
	}
	return rc == 0;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* The state at the end of a rank's event: behind "rank 1 on spark2 ", or "rank 0 ". */
static const char *rank_news(const Sparkbus__Event *event, const char *node)
{
	char prefix[160];
	const char *text = event->text;

	snprintf(prefix, sizeof(prefix), "rank %u ", event->rank);
	if (!begins(text, prefix))
		return text;
	text += strlen(prefix);
	snprintf(prefix, sizeof(prefix), "on %s ", node);
	return begins(text, prefix) ? text + strlen(prefix) : text;
}

static void show_rank(struct launch *l, const Sparkbus__Event *event)
{
	const char *node = l->plan->ranks[event->rank]->node;
	const char *news = rank_news(event, node);
	char line[512];

	/* That it is being made was said when it was started. */
	if (begins(news, "prepared") || begins(news, "creating"))
		return;
	snprintf(line, sizeof(line), "rank %u (%s): %s", event->rank, node, news);
	sb_progress_note(&l->progress, line);
}

/* The step's own lines tell that the job starts and is ready, the end of the command why it ended;
 * of its states remain those that a launch should not have. */
static void show_state(struct launch *l, const Sparkbus__JobStatus *status)
{
	char line[512];

	if (status->state != SPARKBUS__JOB_STATE__JOB_STOPPING &&
			status->state != SPARKBUS__JOB_STATE__JOB_RESTARTING &&
			status->state != SPARKBUS__JOB_STATE__JOB_UNHEALTHY)
		return;
	snprintf(line, sizeof(line), "job %s: %s", job_state_text(status->state), status->reason);
	sb_progress_note(&l->progress, line);
}

static void show_event(struct launch *l, const Sparkbus__Event *event)
{
	bool of_rank = event->has_rank_case == SPARKBUS__EVENT__HAS_RANK_RANK &&
			event->rank < l->plan->n_ranks;

	if (!strcmp(event->kind, "rank.state") && of_rank)
		show_rank(l, event);
	else if (!strcmp(event->kind, "job.state") && event->status)
		show_state(l, event->status);
	else if (*event->text)
		sb_progress_note(&l->progress, event->text);
}

static void take_events(struct watch *w, const Sparkbus__WatchEventsReply *reply)
{
	struct launch *l = w->l;
	uint8_t *cursor = malloc(reply->next_cursor.len + 1);

	for (size_t i = 0; i < reply->n_events; i++)
		show_event(l, reply->events[i]);
	if (!cursor)
		return; /* the same events once more */
	if (reply->next_cursor.len)
		memcpy(cursor, reply->next_cursor.data, reply->next_cursor.len);
	free(l->cursor);
	l->cursor = cursor;
	l->cursor_len = reply->next_cursor.len;
}

static bool poll_events(struct watch *w)
{
	Sparkbus__WatchEventsRequest body = SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	body.job = w->l->plan->job;
	body.cursor = (ProtobufCBinaryData){ w->l->cursor_len, w->l->cursor };
	body.wait_ms = POLL_MS;
	rc = ask_one(w->l->cli, w->l->ranks[0], SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &body,
			POLL_MS + ASK_DEADLINE_MS, &answer, &err);
	if (!answered(w, rc, &err))
		return false;
	take_events(w, answer.reply->watch_events);
	return true;
}

static bool poll_status(struct watch *w)
{
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	body.job = w->l->plan->job;
	rc = ask_one(w->l->cli, w->l->ranks[0], SPARKBUS__REQUEST__BODY_GET_JOB, &body,
			ASK_DEADLINE_MS, &answer, &err);
	if (!answered(w, rc, &err))
		return false;
	keep_status(w, answer.reply->get_job);
	return true;
}

static bool lost(const struct watch *w)
{
	uint64_t limit = LOST_EXTRA_MS;

	if (w->l->plan->readiness)
		limit += w->l->plan->readiness->timeout_ms;
	return w->silent_since_ms && sb_now_boot_ms() - w->silent_since_ms > limit;
}

static bool arrived(const struct watch *w)
{
	const Sparkbus__PostExec *post = w->status->post;

	if (w->status->state != SPARKBUS__JOB_STATE__JOB_READY)
		return false;
	return !w->post || !post || post->state != SPARKBUS__POST_STATE__POST_RUNNING;
}

static enum watch_end watch(struct launch *l, bool until_post, Sparkbus__JobStatus **ret_status)
{
	struct watch w = { .l = l, .post = until_post };
	enum watch_end end = WATCH_DETACHED;

	/* The state first: the job may be there before the first event is read. */
	while (!interrupted()) {
		bool ok = poll_status(&w);

		if (ok && w.status && arrived(&w))
			end = WATCH_READY;
		else if ((ok && w.status && job_is_over(w.status->state)) || w.gone)
			end = WATCH_OVER;
		else if (w.refused || lost(&w))
			end = WATCH_LOST;
		if (end != WATCH_DETACHED)
			break;
		if (!ok || !poll_events(&w))
			interrupt_wait(RETRY_MS);
	}
	*ret_status = w.status;
	return end;
}

enum watch_end launch_watch(struct launch *l, Sparkbus__JobStatus **ret_status)
{
	return watch(l, false, ret_status);
}

enum watch_end launch_watch_post(struct launch *l, Sparkbus__JobStatus **ret_status)
{
	return watch(l, true, ret_status);
}

static void print_lines(const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_render_clean(&line, text, strlen(text));
	fprintf(stderr, "    %s\n", sb_strbuf_str(&line));
}

void launch_print_failure(const Sparkbus__JobStatus *status)
{
	for (size_t i = 0; status && i < status->n_ranks; i++) {
		const Sparkbus__RankStatus *rank = status->ranks[i];

		if (!*rank->reason && !rank->n_log_lines)
			continue;
		fprintf(stderr, "  rank %u (%s): %s", rank->rank, rank->node,
				rank_state_text(rank->state));
		if (rank->has_exit_code_case == SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE)
			fprintf(stderr, ", exit code %d", rank->exit_code);
		fputs(rank->oom_killed ? ", killed for memory\n" : "\n", stderr);
		if (*rank->reason)
			print_lines(rank->reason);
		for (size_t k = 0; k < rank->n_log_lines; k++)
			print_lines(rank->log_lines[k]);
	}
}
