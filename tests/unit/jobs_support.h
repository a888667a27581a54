/* jobs_support.h - two nodes in one process: real jobs, stores, logs and events, an engine that
 * lives in the process, and between the nodes calls that go through the loop but not over a wire
 * (the link takes sb_peer_call() from here). A node can be cut off, and its agent restarted. */
#ifndef JOBS_SUPPORT_H
#define JOBS_SUPPORT_H

#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "fake_engine.h"
#include "sb_events.h"
#include "sb_jobs.h"
#include "sb_lifecycle.h"
#include "sb_log.h"
#include "sb_logring.h"
#include "sb_peer.h"
#include "sb_store.h"
#include "testdir.h"

#define J(state) SPARKBUS__JOB_STATE__JOB_##state
#define R(state) SPARKBUS__RANK_STATE__RANK_##state
#define JOB      "sparkbus_0123456789ab"
#define IMAGE    "engine:1"
#define LAUNCH   1700000000000u
#define NODES    2

struct node {
	const char *name;
	char dir[256], container[64];
	struct fake_engine *engine;
	struct sb_store *store;
	struct sb_events *events;
	struct sb_jobs *jobs;
	sd_event_source *changed;
	unsigned ended_kept;
	bool away; /* its calls are not answered */
};

struct sb_peer_call {
	TAILQ_ENTRY(sb_peer_call) entry;
	struct node *to;
	Sparkbus__Request *request;
	sb_peer_fn fn;
	void *ctx;
	sd_event_source *turn;
	bool delivered, answered, over;
	Sparkbus__RankStatus *rank;
	Sparkbus__StopJobReply *stop;
	struct sb_err err;
};

static sd_event *loop;
static struct node nodes[NODES];
static TAILQ_HEAD(, sb_peer_call) calls = TAILQ_HEAD_INITIALIZER(calls);

/* --- calls between nodes --- */

static void answer_call(struct sb_peer_call *call, const Sparkbus__RankStatus *rank,
		const Sparkbus__StopJobReply *stop, const struct sb_err *err)
{
	ProtobufCMessage *copy = NULL;

	if (call->over || call->answered)
		return;
	call->answered = true;
	if (rank && sb_wire_dup(&rank->base, &copy, NULL) == 0)
		call->rank = (Sparkbus__RankStatus *)copy;
	if (stop && sb_wire_dup(&stop->base, &copy, NULL) == 0)
		call->stop = (Sparkbus__StopJobReply *)copy;
	if (err)
		call->err = *err;
	sd_event_source_set_enabled(call->turn, SD_EVENT_ONESHOT);
}

static void on_remote_rank(void *ctx, const Sparkbus__RankStatus *rank, const struct sb_err *err)
{
	answer_call(ctx, rank, NULL, err);
}

static void on_remote_stop(void *ctx, const Sparkbus__StopJobReply *stop)
{
	answer_call(ctx, NULL, stop, NULL);
}

static void try_remote_watch(struct sb_peer_call *call)
{
	const Sparkbus__WatchRankRequest *body = call->request->watch_rank;
	const Sparkbus__RankStatus *status;
	struct sb_err err = SB_ERR_INIT;

	if (sb_jobs_rank_status(call->to->jobs, body, &status, &err) < 0)
		answer_call(call, NULL, NULL, &err);
	else if (!body->after_version || status->version != body->after_version)
		answer_call(call, status, NULL, NULL);
}

static void deliver(struct sb_peer_call *call)
{
	Sparkbus__Request *r = call->request;
	struct sb_err err = SB_ERR_INIT;
	int rc = 0;

	call->delivered = true;
	if (call->to->away || !call->to->jobs)
		rc = sb_err_set(&err, SB_E_UNAVAILABLE, "%s is away", call->to->name);
	else if (r->body_case == SPARKBUS__REQUEST__BODY_START_RANK)
		rc = sb_jobs_start_rank(call->to->jobs, r->start_rank, on_remote_rank, call, &err);
	else if (r->body_case == SPARKBUS__REQUEST__BODY_STOP_RANK)
		rc = sb_jobs_stop_rank(call->to->jobs, r->stop_rank, on_remote_stop, call, &err);
	else
		try_remote_watch(call);
	if (rc < 0)
		answer_call(call, NULL, NULL, &err);
}

static int on_call_turn(sd_event_source *source, void *ctx)
{
	Sparkbus__Response reply = SPARKBUS__RESPONSE__INIT;
	struct sb_peer_call *call = ctx;

	if (call->over)
		return 0;
	if (!call->delivered) {
		deliver(call);
		return 0;
	}
	if (!call->answered)
		return 0;
	call->over = true;
	if (call->err.code) {
		call->fn(call->ctx, NULL, &call->err);
		return 0;
	}
	reply.result_case = (Sparkbus__Response__ResultCase)call->request->body_case;
	if (call->stop)
		reply.stop_rank = call->stop;
	else if (call->request->body_case == SPARKBUS__REQUEST__BODY_START_RANK)
		reply.start_rank = call->rank;
	else
		reply.watch_rank = call->rank;
	call->fn(call->ctx, &reply, NULL);
	return 0;
}

int sb_peer_call(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		Sparkbus__Request *request, unsigned deadline_ms, sb_peer_fn fn, void *ctx,
		struct sb_peer_call **ret_call, struct sb_err *err)
{
	struct sb_peer_call *call = calloc(1, sizeof(*call));
	ProtobufCMessage *copy;

	ck_assert_uint_le(deadline_ms, SB_WIRE_DEADLINE_MAX_MS);
	ck_assert_int_eq(sb_wire_dup(&request->base, &copy, NULL), 0);
	call->request = (Sparkbus__Request *)copy;
	call->fn = fn;
	call->ctx = ctx;
	for (size_t i = 0; i < NODES; i++)
		if (strcmp(nodes[i].name, node) == 0)
			call->to = &nodes[i];
	ck_assert_ptr_nonnull(call->to);
	ck_assert_int_ge(sd_event_add_defer(loop, &call->turn, on_call_turn, call), 0);
	TAILQ_INSERT_TAIL(&calls, call, entry);
	*ret_call = call;
	return 0;
}

void sb_peer_cancel(struct sb_peer_call *call)
{
	if (call)
		call->over = true;
}

/* Lost connections tell their callers. */
static void break_calls(struct node *node)
{
	struct sb_peer_call *call;
	struct sb_err err = SB_ERR_INIT;

	sb_err_set(&err, SB_E_UNAVAILABLE, "the connection to %s is lost", node->name);
	TAILQ_FOREACH(call, &calls, entry)
	{
		if (call->to == node && call->delivered)
			answer_call(call, NULL, NULL, &err);
	}
}

static int on_node_changed(sd_event_source *source, void *ctx)
{
	struct node *node = ctx;
	struct sb_peer_call *call;

	TAILQ_FOREACH(call, &calls, entry)
	{
		if (call->to == node && call->delivered && !call->answered && !call->over &&
				node->jobs && !node->away &&
				call->request->body_case == SPARKBUS__REQUEST__BODY_WATCH_RANK)
			try_remote_watch(call);
	}
	return 0;
}

static void on_job_change(void *ctx, const char *job)
{
	sd_event_source_set_enabled(((struct node *)ctx)->changed, SD_EVENT_ONESHOT);
}

/* --- nodes --- */

static void agent_up(struct node *node)
{
	const struct sb_jobs_env env = {
		.loop = loop,
		.engine = fake_engine_ops(node->engine),
		.store = node->store,
		.events = node->events,
		.node_name = node->name,
		.state_dir = node->dir,
		.hf_cache = node->dir,
		.ended_kept = node->ended_kept,
		.on_change = on_job_change,
		.ctx = node,
	};
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_jobs_new(&env, &node->jobs, &err), 0);
}

static void agent_down(struct node *node)
{
	sb_jobs_free(node->jobs);
	node->jobs = NULL;
	break_calls(node);
}

static inline void agent_restart(struct node *node)
{
	agent_down(node);
	agent_up(node);
}

static void node_up(struct node *node, const char *name)
{
	node->name = name;
	node->ended_kept = 8;
	snprintf(node->dir, sizeof(node->dir), "%s/%s", testdir, name);
	snprintf(node->container, sizeof(node->container), JOB "_node_%s", name);
	ck_assert_int_eq(mkdir(node->dir, 0700), 0);
	fake_engine_new(loop, &node->engine);
	fake_engine_image(node->engine, IMAGE, true);
	ck_assert_int_eq(sb_store_open(node->dir, &node->store, NULL), 0);
	ck_assert_int_eq(sb_events_new(name, &node->events, NULL), 0);
	ck_assert_int_ge(sd_event_add_defer(loop, &node->changed, on_node_changed, node), 0);
	agent_up(node);
}

static void setup(void)
{
	sb_log_setup(SB_LOG_ERR, false);
	ck_assert_int_ge(sd_event_new(&loop), 0);
	node_up(&nodes[0], "one");
	node_up(&nodes[1], "two");
}

static void teardown(void)
{
	for (size_t i = 0; i < NODES; i++)
		agent_down(&nodes[i]);
	while (!TAILQ_EMPTY(&calls)) {
		struct sb_peer_call *call = TAILQ_FIRST(&calls);

		TAILQ_REMOVE(&calls, call, entry);
		sd_event_source_disable_unref(call->turn);
		protobuf_c_message_free_unpacked(&call->request->base, NULL);
		protobuf_c_message_free_unpacked(call->rank ? &call->rank->base : NULL, NULL);
		protobuf_c_message_free_unpacked(call->stop ? &call->stop->base : NULL, NULL);
		free(call);
	}
	for (size_t i = 0; i < NODES; i++) {
		sd_event_source_disable_unref(nodes[i].changed);
		sb_engine_free(fake_engine_ops(nodes[i].engine));
		sb_store_close(nodes[i].store);
		sb_events_free(nodes[i].events);
	}
	sd_event_unref(loop);
}

/* --- plans --- */

static Sparkbus__RankSpec specs[NODES];
static Sparkbus__RankSpec *spec_list[NODES];
static Sparkbus__ContainerOptions options;
static char *argv_one[] = { (char *)"serve" };

static Sparkbus__LaunchPlan make_plan(size_t n)
{
	Sparkbus__LaunchPlan plan = SPARKBUS__LAUNCH_PLAN__INIT;

	sparkbus__container_options__init(&options);
	options.auto_remove = true;
	for (size_t i = 0; i < n; i++) {
		sparkbus__rank_spec__init(&specs[i]);
		specs[i].rank = (uint32_t)i;
		specs[i].node = (char *)nodes[i].name;
		specs[i].address = (char *)"127.0.0.1";
		specs[i].peer_port = 1;
		specs[i].container_name = nodes[i].container;
		specs[i].image = (char *)IMAGE;
		specs[i].argv = argv_one;
		specs[i].n_argv = 1;
		specs[i].options = &options;
		spec_list[i] = &specs[i];
	}
	plan.job = (char *)JOB;
	plan.ranks = spec_list;
	plan.n_ranks = n;
	plan.created_unix_ms = LAUNCH;
	return plan;
}

/* --- what tests say --- */

static void settle(void)
{
	while (sd_event_run(loop, 0) > 0)
		;
}

#define until(condition)                                                                           \
	while (!(condition))                                                                       \
	ck_assert_int_ge(sd_event_run(loop, 60000000), 0)

struct prepared {
	bool done, leased;
	size_t n;
	Sparkbus__ProblemKind first;
};

static void on_prepared(void *ctx, const Sparkbus__PrepareReply *reply, const struct sb_err *err)
{
	struct prepared *p = ctx;

	ck_assert_ptr_null(err);
	p->done = true;
	p->leased = reply->leased;
	p->n = reply->n_problems;
	if (p->n)
		p->first = reply->problems[0]->kind;
}

static struct prepared prepare_for(size_t node, Sparkbus__LaunchPlan *plan, uint32_t lease_ms)
{
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;
	struct prepared p = { 0 };
	struct sb_err err = SB_ERR_INIT;

	request.plan = plan;
	request.rank = (uint32_t)node;
	request.lease_ms = lease_ms;
	ck_assert_msg(sb_jobs_prepare(nodes[node].jobs, &request, on_prepared, &p, &err) == 0, "%s",
			err.text);
	until(p.done);
	return p;
}

static inline void prepare_all(Sparkbus__LaunchPlan *plan)
{
	settle();
	for (size_t i = 0; i < plan->n_ranks; i++)
		ck_assert(prepare_for(i, plan, 0).leased);
}

static const Sparkbus__JobStatus *status_of(size_t node)
{
	return nodes[node].jobs ? sb_jobs_status(nodes[node].jobs, JOB) : NULL;
}

static inline Sparkbus__JobState state_of(size_t node)
{
	const Sparkbus__JobStatus *st = status_of(node);

	return st ? st->state : J(STATE_UNSPECIFIED);
}

static inline Sparkbus__RankState rank_of(size_t node)
{
	return status_of(node)->ranks[0]->state;
}

static inline const struct sb_container_info *container(size_t node)
{
	return fake_engine_find(nodes[node].engine, nodes[node].container);
}

static inline void launch(Sparkbus__LaunchPlan *plan)
{
	struct sb_err err = SB_ERR_INIT;

	prepare_all(plan);
	ck_assert_msg(sb_jobs_commit(nodes[0].jobs, JOB, &err) == 0, "%s", err.text);
}

static inline void launch_ready(Sparkbus__LaunchPlan *plan)
{
	launch(plan);
	until(state_of(0) == J(READY));
}

struct stopped {
	bool done, gone;
	Sparkbus__Outcome outcome;
	char observed[256];
};

static void on_stopped(void *ctx, const Sparkbus__StopJobReply *reply)
{
	struct stopped *s = ctx;

	s->done = true;
	s->outcome = reply->outcome;
	for (size_t i = 0; i < reply->n_evidence; i++)
		if (strcmp(reply->evidence[i]->subject, "container") == 0)
			snprintf(s->observed, sizeof(s->observed), "%s",
					reply->evidence[i]->observed);
	s->gone = reply->rank && reply->rank->state == R(GONE);
}

static inline struct stopped stop_at(size_t node)
{
	struct stopped s = { 0 };

	sb_jobs_stop(nodes[node].jobs, JOB, -1, on_stopped, &s);
	until(s.done);
	return s;
}

#endif
