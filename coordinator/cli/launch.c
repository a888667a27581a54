#include <string.h>

#include "launch.h"

#define PREPARE_MS   30000u
#define RELEASE_MS   5000u
#define COMMIT_MS    30000u
#define COMMIT_TRIES 3
#define RETRY_MS     1000u

void launch_done(struct launch *l)
{
	if (l->plan)
		sparkbus__launch_plan__free_unpacked(l->plan, NULL);
	sb_plan_sources_done(&l->sources);
	sb_workload_free(l->workload);
	cli_nodes_done(&l->nodes);
	sb_mask_done(&l->mask);
	recipe_source_done(&l->recipe);
	sb_facts_free(l->facts);
	sb_rules_free(l->rules);
	free(l->ranks);
	free(l->leased);
	free(l->cursor);
	free(l->memory);
	free(l->fit);
	for (size_t i = 0; i < l->n_acts; i++)
		free(l->acts[i]);
}

static int hide_secrets(struct launch *l, struct sb_err *err)
{
	int rc = l->plan->readiness ? sb_mask_add(&l->mask, l->plan->readiness->api_key, err) : 0;

	for (size_t i = 0; !rc && i < l->plan->n_ranks; i++) {
		const Sparkbus__RankSpec *rank = l->plan->ranks[i];

		for (size_t k = 0; !rc && k < rank->n_env; k++)
			if (rank->env[k]->secret)
				rc = sb_mask_add(&l->mask, rank->env[k]->value, err);
	}
	return rc;
}

int launch_bind(struct launch *l, struct sb_err *err)
{
	size_t n = l->plan->n_ranks;

	if (!n)
		return sb_err_set(err, SB_E_INTERNAL, "the plan has no rank");
	l->ranks = calloc(n, sizeof(struct cli_node *));
	l->leased = calloc(n, sizeof(*l->leased));
	if (!l->ranks || !l->leased)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		l->ranks[i] = hosts_by_name(&l->nodes, l->plan->ranks[i]->node);
		if (!l->ranks[i])
			return sb_err_set(err, SB_E_INTERNAL, "the plan names node '%s'",
					l->plan->ranks[i]->node);
	}
	return hide_secrets(l, err);
}

void launch_release(struct launch *l)
{
	Sparkbus__ReleaseRequest body = SPARKBUS__RELEASE_REQUEST__INIT;
	size_t n = l->plan->n_ranks, asked = 0;
	struct ask *asks = calloc(n, sizeof(*asks));
	struct sb_client *client;

	/* A Ctrl-C may have broken the client off; leases that stay run out by themselves. */
	cli_client_renew(l->cli);
	body.job = l->plan->job;
	if (!asks || cli_client(l->cli, &client, NULL) < 0) {
		free(asks);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (l->leased[i] &&
				!ask_init(&asks[asked], l->ranks[i],
						SPARKBUS__REQUEST__BODY_RELEASE, &body, NULL))
			asked++;
	asks_send(l->cli, client, asks, asked, RELEASE_MS);
	memset(l->leased, 0, n * sizeof(*l->leased));
	asks_done(asks, asked);
}

/* --- prepare --- */

struct verdict {
	size_t silent, fatal;
	bool *image; /* per rank: only the image is missing */
	size_t images;
};

static void print_problem(const struct launch *l, const char *node, const Sparkbus__Problem *p)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_strbuf_addf(&line, "  %s: %s", node, p->fatal ? "" : "warning: ");
	sb_render_clean(&line, p->message, strlen(p->message));
	if (*p->hint) {
		sb_strbuf_adds(&line, " (");
		sb_render_clean(&line, p->hint, strlen(p->hint));
		sb_strbuf_addc(&line, ')');
	}
	fprintf(stderr, "%s\n", sb_strbuf_str(&line));
}

static void print_note(const char *node, const char *note)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_render_clean(&line, note, strlen(note));
	fprintf(stderr, "  %s: %s\n", node, sb_strbuf_str(&line));
}

static void judge_rank(
		struct launch *l, size_t rank, struct ask *ask, bool may_pull, struct verdict *v)
{
	const char *node = ask->node->node.name;
	const Sparkbus__PrepareReply *reply;
	size_t fatal = 0, image = 0;

	if (!ask->answer.reply) {
		fprintf(stderr, "  %s\n", ask->answer.err.text);
		if (ask_unknown(&ask->answer)) {
			v->silent++;
			l->leased[rank] = true; /* perhaps: release it */
		} else {
			v->fatal++;
		}
		return;
	}
	reply = ask->answer.reply->prepare;
	l->leased[rank] = reply->leased;
	for (size_t i = 0; i < reply->n_problems; i++) {
		const Sparkbus__Problem *p = reply->problems[i];

		if (may_pull && p->kind == SPARKBUS__PROBLEM_KIND__PROBLEM_IMAGE) {
			image++;
			continue;
		}
		print_problem(l, node, p);
		fatal += p->fatal;
	}
	for (size_t i = 0; i < reply->n_notes; i++)
		print_note(node, reply->notes[i]);
	v->fatal += fatal;
	v->image[rank] = image > 0;
	v->images += image > 0;
	/* No lease and no reason: the node must not be counted on. */
	if (!reply->leased && !fatal && !image) {
		fprintf(stderr, "  %s: refused without a reason\n", node);
		v->fatal++;
	}
}

static int prepare_all(struct launch *l, bool may_pull, struct verdict *v, struct sb_err *err)
{
	size_t n = l->plan->n_ranks;
	struct ask *asks = calloc(n, sizeof(*asks));
	SB_CLEANUP(sb_freep) Sparkbus__PrepareRequest *bodies = calloc(n, sizeof(*bodies));
	struct sb_client *client;
	int rc = asks && bodies ? cli_client(l->cli, &client, err) : sb_err_nomem(err);

	for (size_t i = 0; !rc && i < n; i++) {
		bodies[i] = (Sparkbus__PrepareRequest)SPARKBUS__PREPARE_REQUEST__INIT;
		bodies[i].plan = l->plan;
		bodies[i].rank = (uint32_t)i;
		rc = ask_init(&asks[i], l->ranks[i], SPARKBUS__REQUEST__BODY_PREPARE, &bodies[i],
				err);
	}
	if (!rc) {
		asks_send(l->cli, client, asks, n, PREPARE_MS);
		if (interrupted()) /* what was leased is not known: give all back */
			memset(l->leased, true, n * sizeof(*l->leased));
		else
			sb_progress_break(&l->progress);
		for (size_t i = 0; !interrupted() && i < n; i++)
			judge_rank(l, i, &asks[i], may_pull, v);
	}
	asks_done(asks, n);
	return rc;
}

static int abandon(struct launch *l, int status)
{
	sb_progress_break(&l->progress);
	launch_release(l);
	fprintf(stderr,
			status == EXIT_INTERRUPT ? "Interrupted; nothing was started.\n"
						 : "Nothing was started.\n");
	return status;
}

static int prepare_round(struct launch *l, bool may_pull, struct verdict *v)
{
	struct sb_err err = SB_ERR_INIT;

	if (prepare_all(l, may_pull, v, &err) < 0)
		return abandon(l, cli_fail(l->cli, &err));
	if (interrupted())
		return abandon(l, EXIT_INTERRUPT);
	if (v->fatal)
		return abandon(l, EXIT_FAILED);
	if (v->silent)
		return abandon(l, EXIT_UNKNOWN);
	return LAUNCH_GO_ON;
}

/* An image that no registry has: who lacks it, who has it, and how it is made. */
static int print_build(struct launch *l, const bool *lacks)
{
	const Sparkbus__LaunchPlan *plan = l->plan;
	struct sb_err err = SB_ERR_INIT;

	sb_progress_break(&l->progress);
	for (size_t i = 0; i < plan->n_ranks; i++)
		fprintf(stderr,
				lacks[i] ? "  %s: image %s is not on this node\n"
					 : "  %s: has %s\n",
				plan->ranks[i]->node, plan->image);
	sb_err_set(&err, SB_E_NOT_FOUND, "image %s is on no registry: it has to be built",
			plan->image);
	cli_fail(l->cli, &err);
	fprintf(stderr, "On each node that lacks it:\n  %s\n", plan->build_command);
	return EXIT_FAILED;
}

int launch_prepare(struct launch *l)
{
	SB_CLEANUP(sb_freep) bool *image = calloc(l->plan->n_ranks, sizeof(*image));
	struct verdict v = { .image = image };
	int status;

	if (!image)
		return EXIT_FAILED;
	sb_progress_step(&l->progress, "Preparing nodes");
	status = prepare_round(l, true, &v);
	if (status != LAUNCH_GO_ON)
		return status;
	sb_progress_done(&l->progress);
	if (!v.images) {
		sb_progress_skip(&l->progress, "Fetching image", "present");
		return LAUNCH_GO_ON;
	}
	if (*l->plan->build_command)
		return abandon(l, print_build(l, image));
	/* Leases would run out during a long pull. */
	launch_release(l);
	sb_progress_step(&l->progress, "Fetching image");
	status = launch_pull(l, image);
	if (status != LAUNCH_GO_ON)
		return abandon(l, status);
	status = prepare_round(l, false, &(struct verdict){ .image = image });
	if (status == LAUNCH_GO_ON)
		sb_progress_done(&l->progress);
	return status;
}

/* --- commit --- */

/* Events from here on: a job that ran before under the same id has left some. */
static int take_cursor(struct launch *l, struct sb_err *err)
{
	Sparkbus__WatchEventsRequest body = SPARKBUS__WATCH_EVENTS_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	const ProtobufCBinaryData *cursor;
	int rc;

	body.job = l->plan->job;
	rc = ask_one(l->cli, l->ranks[0], SPARKBUS__REQUEST__BODY_WATCH_EVENTS, &body,
			ASK_DEADLINE_MS, &answer, err);
	if (rc < 0)
		return rc;
	cursor = &answer.reply->watch_events->next_cursor;
	l->cursor = malloc(cursor->len + 1);
	if (!l->cursor)
		return sb_err_nomem(err);
	if (cursor->len)
		memcpy(l->cursor, cursor->data, cursor->len);
	l->cursor_len = cursor->len;
	return 0;
}

static int commit_unknown(struct launch *l, const struct sb_err *err)
{
	sb_progress_break(&l->progress);
	cli_fail(l->cli, err);
	fprintf(stderr, "It is unknown whether %s was started.\n", l->plan->job);
	cli_hint("sparkbus status; sparkbus stop %s", job_short(l->plan->job));
	return EXIT_UNKNOWN;
}

int launch_commit(struct launch *l)
{
	Sparkbus__CommitRequest body = SPARKBUS__COMMIT_REQUEST__INIT;
	struct sb_err err = SB_ERR_INIT;
	struct sb_client *client;
	struct ask ask;

	body.job = l->plan->job;
	if (take_cursor(l, &err) < 0 || cli_client(l->cli, &client, &err) < 0 ||
			ask_init(&ask, l->ranks[0], SPARKBUS__REQUEST__BODY_COMMIT, &body, &err) <
					0) {
		if (interrupted())
			return abandon(l, EXIT_INTERRUPT);
		return abandon(l, cli_fail(l->cli, &err));
	}
	/* The same id again is the same commit: the leader remembers its answer. */
	for (int i = 0; i < COMMIT_TRIES; i++) {
		if (!asks_send(l->cli, client, &ask, 1, COMMIT_MS) || !ask_unknown(&ask.answer) ||
				interrupted())
			break;
		interrupt_wait(RETRY_MS);
	}
	err = ask.answer.err;
	if (ask.answer.reply) {
		sb_answer_done(&ask.answer);
		return LAUNCH_GO_ON;
	}
	if (ask_unknown(&ask.answer) || interrupted())
		return commit_unknown(l, &err);
	return abandon(l, cli_fail(l->cli, &err));
}
