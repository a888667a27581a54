#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "fake_agent.h"
#include "nng_tls.h"

struct door {
	nng_socket socket;
	pthread_t thread;
};

/* Messages of one answer; they point at each other and live until it is packed. */
struct scratch {
	Sparkbus__Error error;
	Sparkbus__NodeState node;
	Sparkbus__Telemetry telemetry;
	Sparkbus__JobStatus job, *jobs[1];
	Sparkbus__RankStatus ranks[2], *rank_list[2];
	char *node_list[2], *log_lines[1];
	Sparkbus__PrepareReply prepare;
	Sparkbus__Problem problem, *problems[1];
	Sparkbus__ReleaseReply release;
	Sparkbus__PullImageReply pull;
	Sparkbus__StopJobReply stop;
	Sparkbus__Evidence evidence, *evidences[1];
	Sparkbus__WatchEventsReply watch;
	Sparkbus__ReadLogReply log;
	Sparkbus__LogLine lines[16], *line_list[16];
};

static void fail(const char *what)
{
	fprintf(stderr, "fake agent: %s\n", what);
	abort();
}

static void fill_job(struct fake_agent *a, struct scratch *s)
{
	bool leader = a->rank == 0;
	size_t n = leader ? a->n_nodes : 1;

	s->job = (Sparkbus__JobStatus)SPARKBUS__JOB_STATUS__INIT;
	s->job.job = a->job;
	s->job.recipe = a->recipe;
	s->job.generation = 1;
	s->job.state = a->state;
	s->job.url = (char *)"http://127.0.0.1:8000/v1";
	s->job.served_model_name = (char *)"m";
	s->job.tensor_parallel = 2;
	s->job.authoritative = leader;
	s->job.leader = a->nodes[0];
	if (a->state == SPARKBUS__JOB_STATE__JOB_FAILED)
		s->job.reason = (char *)"rank 1 ended before it was ready";
	for (size_t i = 0; i < a->n_nodes; i++)
		s->node_list[i] = a->nodes[i];
	s->job.nodes = s->node_list;
	s->job.n_nodes = a->n_nodes;
	for (size_t i = 0; i < n; i++) {
		Sparkbus__RankStatus *r = &s->ranks[i];

		*r = (Sparkbus__RankStatus)SPARKBUS__RANK_STATUS__INIT;
		r->rank = leader ? (uint32_t)i : a->rank;
		r->node = a->nodes[r->rank];
		r->state = SPARKBUS__RANK_STATE__RANK_RUNNING;
		if (a->state == SPARKBUS__JOB_STATE__JOB_FAILED && r->rank == 1) {
			r->state = SPARKBUS__RANK_STATE__RANK_EXITED;
			r->has_exit_code_case = SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE;
			r->exit_code = 77;
			s->log_lines[0] = (char *)"torch.OutOfMemoryError: the line that matters";
			r->log_lines = s->log_lines;
			r->n_log_lines = 1;
		}
		s->rank_list[i] = r;
	}
	s->job.ranks = s->rank_list;
	s->job.n_ranks = n;
}

static void answer_node(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	s->node = (Sparkbus__NodeState)SPARKBUS__NODE_STATE__INIT;
	s->node.name = (char *)a->name;
	if (a->job[0] && a->state != SPARKBUS__JOB_STATE__JOB_STATE_UNSPECIFIED) {
		fill_job(a, s);
		s->jobs[0] = &s->job;
		s->node.jobs = s->jobs;
		s->node.n_jobs = 1;
	}
	s->telemetry = (Sparkbus__Telemetry)SPARKBUS__TELEMETRY__INIT;
	s->telemetry.fabric = a->fabric;
	s->telemetry.memory = a->memory;
	if (a->fabric || a->memory)
		s->node.telemetry = &s->telemetry;
	out->get_node = &s->node;
}

static void answer_job(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	int pid = atomic_exchange(&a->interrupt_pid, 0);

	if (pid)
		kill(pid, SIGINT);
	fill_job(a, s);
	if (in->get_job->with_recipe)
		s->job.recipe_yaml = a->recipe_yaml;
	out->get_job = &s->job;
	/* The next look finds it where the test wants it. */
	if (a->state == SPARKBUS__JOB_STATE__JOB_STARTING)
		a->state = a->result;
}

static void answer_prepare(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	const Sparkbus__LaunchPlan *plan = in->prepare->plan;
	bool image = a->problem == SPARKBUS__PROBLEM_KIND__PROBLEM_IMAGE;

	if (!plan || plan->n_ranks > 2)
		fail("a plan of another size");
	snprintf(a->job, sizeof(a->job), "%s", plan->job);
	snprintf(a->recipe, sizeof(a->recipe), "%s", plan->recipe);
	snprintf(a->recipe_yaml, sizeof(a->recipe_yaml), "%s", plan->recipe_yaml);
	a->n_nodes = plan->n_ranks;
	a->rank = in->prepare->rank;
	for (size_t i = 0; i < plan->n_ranks; i++)
		snprintf(a->nodes[i], sizeof(a->nodes[i]), "%s", plan->ranks[i]->node);
	s->prepare = (Sparkbus__PrepareReply)SPARKBUS__PREPARE_REPLY__INIT;
	out->prepare = &s->prepare;
	if (!a->problem || (image && a->pulled)) {
		s->prepare.leased = true;
		return;
	}
	s->problem = (Sparkbus__Problem)SPARKBUS__PROBLEM__INIT;
	s->problem.kind = a->problem;
	s->problem.fatal = true;
	s->problem.message = (char *)"something is in the way";
	s->problem.hint = (char *)"move it";
	s->problems[0] = &s->problem;
	s->prepare.problems = s->problems;
	s->prepare.n_problems = 1;
}

static void answer_release(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	s->release = (Sparkbus__ReleaseReply)SPARKBUS__RELEASE_REPLY__INIT;
	s->release.released = true;
	out->release = &s->release;
}

static void answer_commit(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	a->state = SPARKBUS__JOB_STATE__JOB_STARTING;
	fill_job(a, s);
	out->commit = &s->job;
}

static void answer_pull(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	a->pulled = true;
	s->pull = (Sparkbus__PullImageReply)SPARKBUS__PULL_IMAGE_REPLY__INIT;
	out->pull_image = &s->pull;
}

static void answer_stop(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	s->stop = (Sparkbus__StopJobReply)SPARKBUS__STOP_JOB_REPLY__INIT;
	s->stop.outcome = a->stop_outcome;
	s->evidence = (Sparkbus__Evidence)SPARKBUS__EVIDENCE__INIT;
	s->evidence.subject = (char *)"container";
	s->evidence.observed = (char *)(a->stop_evidence_holds ? "the container is gone"
							       : "the container is still there");
	s->evidence.holds = a->stop_evidence_holds;
	s->evidences[0] = &s->evidence;
	s->stop.evidence = s->evidences;
	s->stop.n_evidence = 1;
	out->stop_job = &s->stop;
}

static void answer_watch(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	s->watch = (Sparkbus__WatchEventsReply)SPARKBUS__WATCH_EVENTS_REPLY__INIT;
	s->watch.next_cursor = (ProtobufCBinaryData){ 1, (uint8_t *)"c" };
	out->watch_events = &s->watch;
}

/* The cursor is how many lines were given. */
static void answer_log(
		struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	static uint8_t cursor;
	size_t from = in->read_log->cursor.len ? in->read_log->cursor.data[0] : 0;

	s->log = (Sparkbus__ReadLogReply)SPARKBUS__READ_LOG_REPLY__INIT;
	for (size_t i = from; i < a->n_lines; i++) {
		Sparkbus__LogLine *line = &s->lines[s->log.n_lines];

		*line = (Sparkbus__LogLine)SPARKBUS__LOG_LINE__INIT;
		line->unix_ns = a->lines[i].unix_ns;
		line->text = (ProtobufCBinaryData){ strlen(a->lines[i].text),
			(uint8_t *)a->lines[i].text };
		s->line_list[s->log.n_lines++] = line;
	}
	cursor = (uint8_t)a->n_lines;
	s->log.lines = s->line_list;
	s->log.next_cursor = (ProtobufCBinaryData){ 1, &cursor };
	s->log.end = true;
	out->read_log = &s->log;
}

static const struct {
	unsigned tag;
	void (*answer)(struct fake_agent *a, const sb_request *in, struct scratch *s,
			sb_response *out);
} verbs[] = {
	{ SPARKBUS__REQUEST__BODY_GET_NODE, answer_node },
	{ SPARKBUS__REQUEST__BODY_GET_JOB, answer_job },
	{ SPARKBUS__REQUEST__BODY_PREPARE, answer_prepare },
	{ SPARKBUS__REQUEST__BODY_RELEASE, answer_release },
	{ SPARKBUS__REQUEST__BODY_COMMIT, answer_commit },
	{ SPARKBUS__REQUEST__BODY_PULL_IMAGE, answer_pull },
	{ SPARKBUS__REQUEST__BODY_STOP_JOB, answer_stop },
	{ SPARKBUS__REQUEST__BODY_WATCH_EVENTS, answer_watch },
	{ SPARKBUS__REQUEST__BODY_READ_LOG, answer_log },
};

static void answer(struct fake_agent *a, const sb_request *in, struct scratch *s, sb_response *out)
{
	unsigned tag = (unsigned)in->body_case;

	out->id = in->id;
	out->protocol = SB_PROTOCOL;
	out->node = (char *)a->name;
	if (tag < FAKE_TAGS)
		atomic_fetch_add(&a->counts[tag], 1);
	for (size_t i = 0; i < sb_countof(verbs); i++) {
		if (verbs[i].tag != tag)
			continue;
		out->result_case = (Sparkbus__Response__ResultCase)tag;
		verbs[i].answer(a, in, s, out);
		return;
	}
	s->error = (Sparkbus__Error)SPARKBUS__ERROR__INIT;
	s->error.code = SPARKBUS__CODE__CODE_UNSUPPORTED;
	s->error.message = (char *)"no such verb";
	out->result_case = SPARKBUS__RESPONSE__RESULT_ERROR;
	out->error = &s->error;
}

static void *serve(void *arg)
{
	struct fake_agent *a = arg;
	struct door *door = a->door;
	nng_msg *msg;

	while (!nng_recvmsg(door->socket, &msg, 0)) {
		sb_response out = SPARKBUS__RESPONSE__INIT;
		struct scratch scratch = { .error = SPARKBUS__ERROR__INIT };
		ProtobufCMessage *in = NULL;
		uint8_t *data;
		size_t len;

		if (sb_wire_unpack(&sparkbus__request__descriptor, nng_msg_body(msg),
				    nng_msg_len(msg), &in, NULL) < 0)
			fail("a request that does not decode");
		nng_msg_free(msg);
		answer(a, (const sb_request *)in, &scratch, &out);
		if (sb_wire_pack(&out.base, &data, &len, NULL) < 0)
			fail("cannot pack");
		protobuf_c_message_free_unpacked(in, NULL);
		nng_send(door->socket, data, len, 0); /* copies; the client may be gone */
		free(data);
	}
	return NULL;
}

uint16_t fake_agent_start(struct fake_agent *agent, const struct sb_tls_creds *creds)
{
	struct door *door = calloc(1, sizeof(*door));
	nng_tls_config *tls = nng_tls_settings(creds, NULL);
	nng_listener listener;
	nng_sockaddr address;

	if (!door)
		fail("no memory");
	agent->door = door;
	if (nng_rep0_open(&door->socket) ||
			nng_listener_create(&listener, door->socket, "tls+tcp://127.0.0.1:0") ||
			nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls) ||
			nng_listener_start(listener, 0) ||
			nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address))
		fail("cannot listen");
	nng_tls_config_free(tls);
	if (pthread_create(&door->thread, NULL, serve, agent))
		fail("no thread");
	return (uint16_t)((address.s_in.sa_port >> 8) | (address.s_in.sa_port << 8));
}

void fake_agent_stop(struct fake_agent *agent)
{
	struct door *door = agent->door;

	if (!door)
		return;
	nng_close(door->socket);
	pthread_join(door->thread, NULL);
	free(door);
	agent->door = NULL;
}
