/* test_bus.c - bus, rpc and client together, over real TLS on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "bus_support.h"
#include "nng_tls.h"
#include "sb_client.h"
#include "sb_wire_nng.h"

/* --- verbs: enough to show every path --- */

#define PARKED_MAX 2000
static struct sb_call *parked[PARKED_MAX]; /* loop thread only */
static atomic_int n_parked, stops, gone, audits;
static char audit_line[200];

static int on_ping(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	Sparkbus__PingReply reply = SPARKBUS__PING_REPLY__INIT;

	reply.version = (char *)sb_call_operator(call);
	ck_assert_int_eq(strncmp(sb_call_from(call), "127.0.0.1:", 10), 0);
	sb_call_reply(call, &reply.base);
	return 0;
}

static void park(struct sb_call *call)
{
	parked[atomic_fetch_add(&n_parked, 1)] = call;
}

static void on_gone(void *ctx, struct sb_call *call)
{
	ck_assert_ptr_eq(ctx, &gone);
	atomic_fetch_add(&gone, 1);
}

static int on_get_job(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	const Sparkbus__GetJobRequest *request = (const Sparkbus__GetJobRequest *)body;

	if (!strcmp(request->job, "fail")) {
		int rc = sb_err_set(err, SB_E_NOT_FOUND, "no job %s here", request->job);

		return sb_err_hint(err, rc, "see sparkbus status");
	}
	sb_call_on_gone(call, on_gone, &gone);
	park(call);
	return 0;
}

/* "slow" waits for answer_parked(); anything else is done at once. */
static int on_stop_job(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	const Sparkbus__StopJobRequest *request = (const Sparkbus__StopJobRequest *)body;
	Sparkbus__StopJobReply reply = SPARKBUS__STOP_JOB_REPLY__INIT;
	Sparkbus__RankStatus rank = SPARKBUS__RANK_STATUS__INIT;

	rank.version = (uint64_t)atomic_fetch_add(&stops, 1) + 1;
	reply.rank = &rank;
	if (!strcmp(request->job, "slow"))
		park(call);
	else
		sb_call_reply(call, &reply.base);
	return 0;
}

static int on_read_log(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	const Sparkbus__ReadLogRequest *request = (const Sparkbus__ReadLogRequest *)body;
	Sparkbus__ReadLogReply reply = SPARKBUS__READ_LOG_REPLY__INIT;
	SB_CLEANUP(sb_freep) uint8_t *data = malloc((size_t)request->max + 1);

	for (uint32_t i = 0; i < request->max; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	reply.next_cursor = (ProtobufCBinaryData){ request->max, data };
	sb_call_reply(call, &reply.base);
	return 0;
}

static int on_start_rank(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	Sparkbus__PingReply wrong = SPARKBUS__PING_REPLY__INIT;

	sb_call_reply(call, &wrong.base); /* our own bug must not crash the agent */
	return 0;
}

#define VERB(TYPE, type_, reply_, doors_, mutates_, fn)                                            \
	{                                                                                          \
		SPARKBUS__REQUEST__BODY_##TYPE, #type_, doors_, mutates_,                          \
				&sparkbus__##type_##_request__descriptor,                          \
				&sparkbus__##reply_##__descriptor, fn                              \
	}

static const struct sb_verb verbs[] = {
	VERB(PING, ping, ping_reply, SB_DOOR_CONTROL | SB_DOOR_PEER, false, on_ping),
	VERB(GET_JOB, get_job, job_status, SB_DOOR_CONTROL, false, on_get_job),
	VERB(STOP_JOB, stop_job, stop_job_reply, SB_DOOR_CONTROL, true, on_stop_job),
	VERB(READ_LOG, read_log, read_log_reply, SB_DOOR_CONTROL, false, on_read_log),
	VERB(START_RANK, start_rank, rank_status, SB_DOOR_PEER, true, on_start_rank),
};

static void on_audit(void *ctx, const char *operator_name, const char *from, const char *verb,
		const char *job, enum sb_code outcome, const char *text)
{
	snprintf(audit_line, sizeof(audit_line), "%s %s %s %s", operator_name, verb, job,
			sb_code_name(outcome));
	atomic_fetch_add(&audits, 1);
}

/* --- one agent and one operator for each test --- */

static struct agent agent;
static struct sb_client *client;
static struct sb_target target;

static void setup(void)
{
	struct sb_tls_creds creds = creds_of("alice", "nodeca", "node.crl");

	agent = (struct agent){
		.verbs = verbs, .n_verbs = sb_countof(verbs), .node = "node1", .audit = on_audit
	};
	agent_start(&agent);
	target = (struct sb_target){ "node1", "127.0.0.1", agent.control_port };
	ck_assert_int_eq(sb_client_new(&creds, "alice", &client, NULL), 0);
}

static void teardown(void)
{
	sb_client_free(client);
	agent_stop(&agent);
}

static int ping_with(struct sb_client *c, const struct sb_target *t, unsigned deadline_ms,
		struct sb_err *err)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__PingRequest body = SPARKBUS__PING_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer;
	int rc;

	request.body_case = SPARKBUS__REQUEST__BODY_PING;
	request.ping = &body;
	rc = sb_client_call(c, t, &request, deadline_ms, &answer, err);
	if (!rc) {
		ck_assert_str_eq(answer.reply->node, "node1");
		ck_assert_uint_eq(answer.reply->protocol, SB_PROTOCOL);
		ck_assert_str_eq(answer.reply->ping->version, "alice");
	}
	return rc;
}

#define assert_ping() ck_assert_int_eq(ping_with(client, &target, 20000, NULL), 0)

static int stop_job(const char *job, const uint8_t *id, unsigned deadline_ms, uint64_t *ret_version,
		struct sb_err *err)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__StopJobRequest body = SPARKBUS__STOP_JOB_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer;
	int rc;

	request.body_case = SPARKBUS__REQUEST__BODY_STOP_JOB;
	request.stop_job = &body;
	body.job = (char *)job;
	if (id)
		request.id = (ProtobufCBinaryData){ SB_WIRE_ID_BYTES, (uint8_t *)id };
	rc = sb_client_call(client, &target, &request, deadline_ms, &answer, err);
	if (!rc && ret_version)
		*ret_version = answer.reply->stop_job->rank->version;
	return rc;
}

static void answer_parked(struct agent *a)
{
	Sparkbus__StopJobReply stopped = SPARKBUS__STOP_JOB_REPLY__INIT;
	Sparkbus__RankStatus rank = SPARKBUS__RANK_STATUS__INIT;
	struct sb_err err;

	rank.version = 77;
	stopped.rank = &rank;
	sb_err_set(&err, SB_E_CANCELLED, "woken");
	for (int i = 0; i < atomic_load(&n_parked); i++) {
		/* Only stop_job mutates, and only it takes this type. */
		sb_call_reply(parked[i], &stopped.base);
	}
	atomic_store(&n_parked, 0);
}

/* --- plain nng as the caller, for what our client would never send --- */

struct raw {
	nng_socket socket;
	nng_dialer dialer;
};

static struct raw raw_open(uint16_t port, const char *who)
{
	struct sb_tls_creds creds = creds_of(who, "nodeca", NULL);
	char url[SB_WIRE_URL_MAX];
	nng_tls_config *config;
	struct raw raw;

	ck_assert_int_eq(sb_wire_url("tls+tcp", "127.0.0.1", port, url, NULL), 0);
	config = nng_tls_settings(&creds, "node1");
	ck_assert_int_eq(nng_req0_open(&raw.socket), 0);
	nng_socket_set_ms(raw.socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	ck_assert_int_eq(nng_dialer_create(&raw.dialer, raw.socket, url), 0);
	ck_assert_int_eq(nng_dialer_set_ptr(raw.dialer, NNG_OPT_TLS_CONFIG, config), 0);
	ck_assert_int_eq(nng_dialer_start(raw.dialer, 0), 0);
	nng_socket_set_ms(raw.socket, NNG_OPT_RECVTIMEO, 20000);
	nng_tls_config_free(config);
	return raw;
}

static Sparkbus__Response *raw_ask(struct raw *raw, const void *data, size_t len)
{
	nng_msg *msg;
	Sparkbus__Response *response;

	ck_assert_int_eq(nng_msg_alloc(&msg, 0), 0);
	nng_msg_append(msg, data, len);
	ck_assert_int_eq(nng_sendmsg(raw->socket, msg, 0), 0);
	ck_assert_int_eq(nng_recvmsg(raw->socket, &msg, 0), 0);
	response = sparkbus__response__unpack(NULL, nng_msg_len(msg), nng_msg_body(msg));
	ck_assert_ptr_ne(response, NULL);
	nng_msg_free(msg);
	return response;
}

/* Ask with @request as it is; check the error's code and that its text holds @has. */
static void raw_refused(uint16_t port, const char *who, const sb_request *request, int code,
		const char *has, const char *has_too)
{
	uint8_t data[500];
	size_t len = sparkbus__request__pack(request, data);
	struct raw raw = raw_open(port, who);
	Sparkbus__Response *response = raw_ask(&raw, data, len);

	ck_assert_int_eq(response->result_case, SPARKBUS__RESPONSE__RESULT_ERROR);
	ck_assert_int_eq((int)response->error->code, code);
	ck_assert_str_eq(response->error->node, "node1");
	ck_assert_ptr_ne(strstr(response->error->message, has), NULL);
	ck_assert_ptr_ne(strstr(response->error->message, has_too), NULL);
	ck_assert_uint_eq(response->id.len, request->id.len);
	sparkbus__response__free_unpacked(response, NULL);
	nng_close(raw.socket);
}

static uint8_t some_id[SB_WIRE_ID_BYTES] = { 1, 2, 3 };

static sb_request valid_ping(void)
{
	static Sparkbus__PingRequest body = SPARKBUS__PING_REQUEST__INIT;
	sb_request request = SPARKBUS__REQUEST__INIT;

	request.protocol = SB_PROTOCOL;
	request.id = (ProtobufCBinaryData){ SB_WIRE_ID_BYTES, some_id };
	request.deadline_ms = 10000;
	request.body_case = SPARKBUS__REQUEST__BODY_PING;
	request.ping = &body;
	return request;
}

/* --- who may enter --- */

START_TEST(an_operator_is_answered)
{
	assert_ping();
	assert_ping(); /* by the same connection */
}
END_TEST

static const struct {
	const char *who, *ca, *crl, *name;
	int door;
	const char *why;
} refused[] = {
	/* a node commands */
	{ "node1", "nodeca", NULL, "node1", SB_BUS_CONTROL, "authority that it does not trust" },
	/* an operator poses as a node */
	{ "alice", "nodeca", NULL, "node1", SB_BUS_PEER, "authority that it does not trust" },
	/* another cluster */
	{ "stranger", "nodeca", NULL, "node1", SB_BUS_CONTROL, "authority that it does not trust" },
	/* a revoked operator */
	{ "mallory", "nodeca", NULL, "node1", SB_BUS_CONTROL, "our certificate is revoked there" },
	/* the right authority, the wrong node */
	{ "alice", "nodeca", NULL, "node2", SB_BUS_CONTROL, "it is node \"node1\", not \"node2\"" },
	/* a node of another cluster */
	{ "alice", "strangerca", NULL, "node1", SB_BUS_CONTROL, "signed by another authority" },
	/* a revoked node */
	{ "alice", "nodeca", "node1.crl", "node1", SB_BUS_CONTROL, "that we refuse: revoked" },
};

START_TEST(who_does_not_belong_is_refused_and_told_why)
{
	struct sb_tls_creds creds = creds_of(refused[_i].who, refused[_i].ca, refused[_i].crl);
	SB_CLEANUP(sb_client_freep) struct sb_client *other = NULL;
	struct sb_target t = { refused[_i].name, "127.0.0.1",
		refused[_i].door == SB_BUS_CONTROL ? agent.control_port : agent.peer_port };
	struct sb_err err;

	ck_assert_int_eq(sb_client_new(&creds, "alice", &other, NULL), 0);
	ck_assert_int_eq(ping_with(other, &t, 20000, &err), -SB_E_DENIED);
	ck_assert_int_eq(strncmp(err.text, "node node", 9), 0);
	ck_assert_msg(strstr(err.text, refused[_i].why), "%s", err.text);
	assert_ping();
}
END_TEST

START_TEST(credentials_that_do_not_fit_are_refused_at_once)
{
	struct sb_tls_creds creds = creds_of("alice", "nodeca", NULL);
	struct sb_client *other = NULL;
	struct sb_err err;

	creds.key_pem = pki("mallory.key");
	ck_assert_int_eq(sb_client_new(&creds, "alice", &other, &err), -SB_E_INVALID);
	creds.key_pem = "rubbish";
	ck_assert_int_eq(sb_client_new(&creds, "alice", &other, &err), -SB_E_INVALID);
	creds = creds_of("alice", "nodeca", NULL);
	creds.peer_crl_pem = "rubbish";
	ck_assert_int_eq(sb_client_new(&creds, "alice", &other, &err), -SB_E_INVALID);
	ck_assert_ptr_eq(other, NULL);
}
END_TEST

START_TEST(nobody_listening_is_unavailable_with_a_cure)
{
	struct sb_target t = { "node1", "127.0.0.1", 1 };
	struct sb_err err;

	ck_assert_int_eq(ping_with(client, &t, 20000, &err), -SB_E_UNAVAILABLE);
	ck_assert_ptr_ne(strstr(err.text, "node node1: connect to 127.0.0.1:1"), NULL);
	ck_assert_ptr_ne(strstr(err.hint, "systemctl status sparkbusd"), NULL);
	t.address = "bad/host";
	ck_assert_int_eq(ping_with(client, &t, 20000, &err), -SB_E_INVALID);
	t.address = "no-such-host.invalid";
	ck_assert_int_lt(ping_with(client, &t, 20000, &err), 0);
}
END_TEST

/* --- what may be asked --- */

START_TEST(a_newer_protocol_is_unsupported_and_both_are_named)
{
	sb_request request = valid_ping();

	request.protocol = 7;
	raw_refused(agent.control_port, "alice", &request, SB_E_UNSUPPORTED, "protocol 7",
			"protocol 1");
	assert_ping();
}
END_TEST

START_TEST(a_verb_of_the_other_door_is_unsupported)
{
	Sparkbus__StartRankRequest start = SPARKBUS__START_RANK_REQUEST__INIT;
	Sparkbus__StopJobRequest stop = SPARKBUS__STOP_JOB_REQUEST__INIT;
	sb_request request = valid_ping();

	request.body_case = SPARKBUS__REQUEST__BODY_START_RANK;
	request.start_rank = &start;
	raw_refused(agent.control_port, "alice", &request, SB_E_UNSUPPORTED, "start_rank",
			"protocol 1");
	request.body_case = SPARKBUS__REQUEST__BODY_STOP_JOB;
	request.stop_job = &stop;
	raw_refused(agent.peer_port, "node2", &request, SB_E_UNSUPPORTED, "stop_job", "protocol 1");
	ck_assert_int_eq(atomic_load(&stops), 0);
}
END_TEST

START_TEST(an_unknown_verb_is_unsupported)
{
	sb_request request = valid_ping();
	ProtobufCMessageUnknownField field = { 99, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 1,
		(uint8_t[]){ 0 } };

	request.body_case = SPARKBUS__REQUEST__BODY__NOT_SET;
	request.base.n_unknown_fields = 1;
	request.base.unknown_fields = &field;
	raw_refused(agent.control_port, "alice", &request, SB_E_UNSUPPORTED, "verb 99",
			"protocol 1");
}
END_TEST

START_TEST(an_envelope_out_of_bounds_is_refused)
{
	sb_request request = valid_ping();

	request.protocol = 0;
	raw_refused(agent.control_port, "alice", &request, SB_E_PROTOCOL, "protocol", "");
	request = valid_ping();
	request.id.len = 3;
	raw_refused(agent.control_port, "alice", &request, SB_E_INVALID, "id", "16");
	request = valid_ping();
	request.deadline_ms = 0;
	raw_refused(agent.control_port, "alice", &request, SB_E_INVALID, "deadline", "");
	request.deadline_ms = SB_WIRE_DEADLINE_MAX_MS + 1;
	raw_refused(agent.control_port, "alice", &request, SB_E_INVALID, "deadline", "");
	request = valid_ping();
	request.operator_ =
			(char *)"0123456789012345678901234567890123456789012345678901234567890123";
	raw_refused(agent.control_port, "alice", &request, SB_E_INVALID, "operator", "");
	request = valid_ping();
	request.body_case = SPARKBUS__REQUEST__BODY__NOT_SET;
	raw_refused(agent.control_port, "alice", &request, SB_E_INVALID, "no body", "");
	ck_assert_int_eq(atomic_load(&audits), 0);
}
END_TEST

START_TEST(garbage_gets_a_protocol_error)
{
	static const uint8_t garbage[] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x13, 0x37 };
	struct raw raw = raw_open(agent.control_port, "alice");
	sb_request request = valid_ping();
	uint8_t data[200];
	size_t len = sparkbus__request__pack(&request, data);
	Sparkbus__Response *response;

	for (int i = 0; i < 2; i++) {
		/* Noise, and a valid request that lost its end: the same connection stays good. */
		response = i ? raw_ask(&raw, data, len - 1)
			     : raw_ask(&raw, garbage, sizeof(garbage));
		ck_assert_int_eq(response->result_case, SPARKBUS__RESPONSE__RESULT_ERROR);
		ck_assert_int_eq((int)response->error->code, SB_E_PROTOCOL);
		ck_assert_uint_eq(response->id.len, 0);
		sparkbus__response__free_unpacked(response, NULL);
	}
	response = raw_ask(&raw, data, len);
	ck_assert_int_eq(response->result_case, SPARKBUS__RESPONSE__RESULT_PING);
	sparkbus__response__free_unpacked(response, NULL);
	nng_close(raw.socket);
}
END_TEST

START_TEST(a_handlers_error_arrives_with_node_and_hint)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer;
	struct sb_err err;

	request.body_case = SPARKBUS__REQUEST__BODY_GET_JOB;
	request.get_job = &body;
	body.job = (char *)"fail";
	ck_assert_int_eq(sb_client_call(client, &target, &request, 20000, &answer, &err),
			-SB_E_NOT_FOUND);
	ck_assert_str_eq(err.text, "node node1: no job fail here");
	ck_assert_str_eq(err.hint, "see sparkbus status");
}
END_TEST

START_TEST(a_handlers_answer_of_the_wrong_type_is_our_own_error)
{
	Sparkbus__StartRankRequest start = SPARKBUS__START_RANK_REQUEST__INIT;
	sb_request request = valid_ping();

	request.body_case = SPARKBUS__REQUEST__BODY_START_RANK;
	request.start_rank = &start;
	raw_refused(agent.peer_port, "node2", &request, SB_E_INTERNAL, "start_rank", "");
}
END_TEST

START_TEST(answers_of_every_size_arrive_whole)
{
	static const uint32_t sizes[] = { 0, 1, 4000, 16384, 65536, 1 << 20, 7 << 20, 9 << 20 };
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__ReadLogRequest body = SPARKBUS__READ_LOG_REQUEST__INIT;

	request.body_case = SPARKBUS__REQUEST__BODY_READ_LOG;
	request.read_log = &body;
	for (size_t i = 0; i < sb_countof(sizes); i++) {
		SB_CLEANUP(sb_answer_done) struct sb_answer answer;
		ProtobufCBinaryData *got;

		body.max = sizes[i];
		if (sizes[i] > SB_WIRE_MAX_BYTES) {
			ck_assert_int_eq(sb_client_call(client, &target, &request, 20000, &answer,
							 NULL),
					-SB_E_RANGE);
			continue;
		}
		ck_assert_int_eq(
				sb_client_call(client, &target, &request, 20000, &answer, NULL), 0);
		got = &answer.reply->read_log->next_cursor;
		ck_assert_uint_eq(got->len, sizes[i]);
		for (uint32_t k = 0; k < sizes[i]; k += 977)
			ck_assert_uint_eq(got->data[k], (uint8_t)(k * 2654435761u >> 13));
	}
	assert_ping();
}
END_TEST

/* --- once and only once --- */

START_TEST(a_repeated_id_gets_the_same_answer_and_runs_once)
{
	uint8_t id[SB_WIRE_ID_BYTES] = { 9 };
	uint64_t first = 0, again = 0, other = 0;
	struct sb_err err;

	ck_assert_int_eq(stop_job("j", id, 20000, &first, NULL), 0);
	ck_assert_int_eq(stop_job("j", id, 20000, &again, NULL), 0);
	ck_assert_uint_eq(first, again);
	ck_assert_int_eq(atomic_load(&stops), 1);
	ck_assert_int_eq(atomic_load(&audits), 1);
	ck_assert_str_eq(audit_line, "alice stop_job j OK");
	ck_assert_int_eq(stop_job("k", id, 20000, NULL, &err), -SB_E_INVALID);
	ck_assert_int_eq(atomic_load(&stops), 1);
	ck_assert_int_eq(stop_job("j", NULL, 20000, &other, NULL), 0);
	ck_assert_uint_ne(first, other);
}
END_TEST

START_TEST(an_answer_after_the_deadline_is_kept_for_who_asks_again)
{
	uint8_t id[SB_WIRE_ID_BYTES] = { 8 };
	uint64_t version = 0;
	struct sb_err err;
	int rc;

	assert_ping(); /* connected, so that the deadline is the answer's alone */
	rc = stop_job("slow", id, 500, NULL, &err);
	ck_assert_int_eq(rc, -SB_E_TIMEOUT);
	ck_assert_ptr_ne(strstr(err.text, "unknown"), NULL);
	agent_do(&agent, answer_parked);
	ck_assert_int_eq(stop_job("slow", id, 20000, &version, NULL), 0);
	ck_assert_uint_eq(version, 77);
	ck_assert_int_eq(atomic_load(&stops), 1);
}
END_TEST

/* The agent's own TIMEOUT leaves when the caller stops waiting, so that answers arrive at, before
 * and after the end of their calls, and connections are closed under them. */
START_TEST(answers_at_the_deadline_wedge_nothing)
{
	struct sb_tls_creds creds = creds_of("alice", "nodeca", "node.crl");

	for (int i = 0; i < 60; i++) {
		struct sb_client *other;

		ck_assert_int_eq(sb_client_new(&creds, "alice", &other, NULL), 0);
		ck_assert_int_eq(ping_with(other, &target, 20000, NULL), 0);
		{
			struct sb_client *mine = client;

			client = other;
			ck_assert_int_eq(stop_job("slow", NULL, 5, NULL, NULL), -SB_E_TIMEOUT);
			client = mine;
		}
		sb_client_free(other);
	}
	assert_ping();
	agent_do(&agent, answer_parked);
	assert_ping();
}
END_TEST

struct asker {
	pthread_t thread;
	struct raw raw;
	uint8_t data[200];
	size_t len;
	uint64_t version;
};

static void *ask_slow(void *arg)
{
	struct asker *asker = arg;
	Sparkbus__Response *response = raw_ask(&asker->raw, asker->data, asker->len);

	if (response->result_case == SPARKBUS__RESPONSE__RESULT_STOP_JOB)
		asker->version = response->stop_job->rank->version;
	sparkbus__response__free_unpacked(response, NULL);
	return NULL;
}

static int calls_at_control(void)
{
	return atomic_load(&n_parked);
}

START_TEST(a_repeated_id_joins_the_call_in_progress)
{
	Sparkbus__StopJobRequest stop = SPARKBUS__STOP_JOB_REQUEST__INIT;
	sb_request request = valid_ping();
	struct asker askers[3];

	stop.job = (char *)"slow";
	request.body_case = SPARKBUS__REQUEST__BODY_STOP_JOB;
	request.stop_job = &stop;
	for (size_t i = 0; i < sb_countof(askers); i++) {
		askers[i].version = 0;
		askers[i].len = sparkbus__request__pack(&request, askers[i].data);
		askers[i].raw = raw_open(agent.control_port, "alice");
		pthread_create(&askers[i].thread, NULL, ask_slow, &askers[i]);
	}
	while (!calls_at_control())
		sched_yield();
	/* Those who come after the answer get it from memory: all the same to them. */
	agent_do(&agent, answer_parked);
	for (size_t i = 0; i < sb_countof(askers); i++) {
		pthread_join(askers[i].thread, NULL);
		ck_assert_uint_eq(askers[i].version, 77);
		nng_close(askers[i].raw.socket);
	}
	ck_assert_int_eq(atomic_load(&stops), 1);
	ck_assert_int_eq(atomic_load(&audits), 1);
}
END_TEST

/* --- many at once --- */

struct poll_call {
	nng_ctx ctx;
	nng_aio *aio;
	int busy;
	struct raw *raw;
	bool sent;
	atomic_bool ended;
};

static void on_poll(void *arg)
{
	struct poll_call *call = arg;
	nng_msg *msg;

	if (nng_aio_result(call->aio)) {
		atomic_store(&call->ended, true);
	} else if (!call->sent) {
		call->sent = true;
		nng_ctx_recv(call->ctx, call->aio);
	} else {
		Sparkbus__Response *response;

		msg = nng_aio_get_msg(call->aio);
		response = sparkbus__response__unpack(NULL, nng_msg_len(msg), nng_msg_body(msg));
		call->busy = response &&
				response->result_case == SPARKBUS__RESPONSE__RESULT_ERROR &&
				(int)response->error->code == SB_E_BUSY;
		sparkbus__response__free_unpacked(response, NULL);
		nng_msg_free(msg);
		atomic_store(&call->ended, true);
	}
}

static void poll_start(struct poll_call *call, struct raw *raw, uint8_t number)
{
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	sb_request request = valid_ping();
	uint8_t id[SB_WIRE_ID_BYTES] = { number };
	nng_msg *msg;

	*call = (struct poll_call){ .raw = raw };
	body.job = (char *)"wait";
	request.id.data = id;
	request.deadline_ms = 600000;
	request.body_case = SPARKBUS__REQUEST__BODY_GET_JOB;
	request.get_job = &body;
	nng_msg_alloc(&msg, sparkbus__request__get_packed_size(&request));
	sparkbus__request__pack(&request, nng_msg_body(msg));
	ck_assert_int_eq(nng_ctx_open(&call->ctx, raw->socket), 0);
	ck_assert_int_eq(nng_aio_alloc(&call->aio, on_poll, call), 0);
	nng_aio_set_msg(call->aio, msg);
	nng_ctx_send(call->ctx, call->aio);
}

#define POLLS (SB_BUS_CALLS_MAX + 100)

START_TEST(long_polls_up_to_the_cap_delay_nothing_and_the_rest_is_busy)
{
	struct poll_call *polls = calloc(POLLS, sizeof(*polls));
	struct raw raw = raw_open(agent.control_port, "alice");
	int busy;

	for (int i = 0; i < 200; i++)
		poll_start(&polls[i], &raw, (uint8_t)i);
	while (atomic_load(&n_parked) < 200)
		sched_yield();
	assert_ping(); /* answered though 200 wait */
	for (int i = 200; i < POLLS; i++)
		poll_start(&polls[i], &raw, (uint8_t)i);
	do {
		busy = 0;
		for (int i = 0; i < POLLS; i++)
			busy += atomic_load(&polls[i].ended) && polls[i].busy;
		sched_yield();
	} while (busy < POLLS - SB_BUS_CALLS_MAX);
	ck_assert_int_eq(atomic_load(&n_parked), SB_BUS_CALLS_MAX);
	ck_assert_int_eq(ping_with(client, &target, 20000, NULL), -SB_E_BUSY);
	agent_do(&agent, answer_parked);
	assert_ping();
	for (int i = 0; i < POLLS; i++) {
		nng_aio_wait(polls[i].aio);
		nng_aio_free(polls[i].aio);
		nng_ctx_close(polls[i].ctx);
	}
	nng_close(raw.socket);
	free(polls);
}
END_TEST

static int silent_listener(uint16_t *ret_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

START_TEST(a_silent_node_hides_nobody)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__PingRequest body = SPARKBUS__PING_REQUEST__INIT;
	sb_request *requests[8];
	struct sb_target targets[8];
	struct sb_answer answers[8];
	uint16_t silent;
	int fd = silent_listener(&silent);

	request.body_case = SPARKBUS__REQUEST__BODY_PING;
	request.ping = &body;
	for (int i = 0; i < 8; i++) {
		targets[i] = target;
		requests[i] = &request;
	}
	targets[3].port = silent; /* takes the connection and never speaks */
	targets[5].port = 1;      /* nobody there */
	ck_assert_uint_eq(sb_client_fan(client, targets, requests, 8, 2000, answers), 2);
	for (int i = 0; i < 8; i++) {
		if (i == 3 || i == 5) {
			ck_assert_int_eq(answers[i].err.code, SB_E_UNAVAILABLE);
			ck_assert_ptr_eq(answers[i].reply, NULL);
		} else {
			ck_assert_ptr_ne(answers[i].reply, NULL);
		}
		sb_answer_done(&answers[i]);
	}
	close(fd);
}
END_TEST

static void *interrupt_it(void *arg)
{
	while (!atomic_load(&n_parked))
		sched_yield();
	sb_client_interrupt(client);
	return NULL;
}

START_TEST(an_interrupt_ends_a_call)
{
	pthread_t thread;
	struct sb_err err;

	sb_client_interrupt(client); /* before: the next call is cancelled */
	ck_assert_int_eq(ping_with(client, &target, 20000, &err), -SB_E_CANCELLED);
	assert_ping();
	pthread_create(&thread, NULL, interrupt_it, NULL);
	ck_assert_int_eq(stop_job("slow", NULL, 60000, NULL, &err), -SB_E_CANCELLED);
	ck_assert_ptr_ne(strstr(err.text, "unknown"), NULL);
	pthread_join(thread, NULL);
	assert_ping();
}
END_TEST

START_TEST(a_long_poll_is_told_when_its_caller_is_gone)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer;

	request.body_case = SPARKBUS__REQUEST__BODY_GET_JOB;
	request.get_job = &body;
	body.job = (char *)"wait";
	assert_ping();
	ck_assert_int_eq(sb_client_call(client, &target, &request, 500, &answer, NULL),
			-SB_E_TIMEOUT);
	while (!atomic_load(&gone))
		sched_yield();
	agent_do(&agent, answer_parked);
	assert_ping();
}
END_TEST

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* --- new credentials --- */

static int relisten_rc;
static struct sb_err relisten_err;

static void relisten_alice_revoked(struct agent *a)
{
	struct sb_tls_creds creds = creds_of("node1", "opca", "op-alice.crl");

	relisten_rc = sb_bus_listen(a->bus, SB_BUS_CONTROL, "127.0.0.1", a->control_port, &creds,
			&relisten_err);
}

static void relisten_as_before(struct agent *a)
{
	struct sb_tls_creds creds = creds_of("node1", "opca", "op.crl");

	relisten_rc = sb_bus_listen(a->bus, SB_BUS_CONTROL, "127.0.0.1", a->control_port, &creds,
			&relisten_err);
}

static void relisten_broken(struct agent *a)
{
	struct sb_tls_creds creds = creds_of("node1", "opca", "op.crl");

	creds.key_pem = pki("node2.key");
	relisten_rc = sb_bus_listen(a->bus, SB_BUS_CONTROL, "127.0.0.1", a->control_port, &creds,
			&relisten_err);
}

START_TEST(a_new_revocation_list_counts_at_once)
{
	struct sb_err err;

	assert_ping(); /* this connection is open and must not survive */
	agent_do(&agent, relisten_alice_revoked);
	ck_assert_int_eq(relisten_rc, 0);
	ck_assert_int_lt(ping_with(client, &target, 20000, &err), 0);
	ck_assert_int_eq(ping_with(client, &target, 20000, &err), -SB_E_DENIED);
	agent_do(&agent, relisten_as_before);
	ck_assert_int_eq(relisten_rc, 0);
	assert_ping();
}
END_TEST

START_TEST(a_failed_reload_leaves_the_old_credentials_serving)
{
	assert_ping();
	agent_do(&agent, relisten_broken);
	ck_assert_int_eq(relisten_rc, -SB_E_INVALID);
	ck_assert_ptr_ne(strstr(relisten_err.text, "control listener"), NULL);
	assert_ping();
}
END_TEST

static void listen_on_a_taken_port(struct agent *a)
{
	struct sb_tls_creds creds = creds_of("node1", "opca", "op.crl");
	struct sb_bus *other;

	ck_assert_int_eq(sb_bus_new(a->loop, a->box, sb_rpc_request, a->rpc, &other, NULL), 0);
	relisten_rc = sb_bus_listen(
			other, SB_BUS_CONTROL, "127.0.0.1", a->control_port, &creds, &relisten_err);
	ck_assert_uint_eq(sb_bus_port(other, SB_BUS_CONTROL), 0);
	sb_bus_free(other);
}

START_TEST(a_taken_port_is_busy)
{
	agent_do(&agent, listen_on_a_taken_port);
	ck_assert_int_eq(relisten_rc, -SB_E_BUSY);
	assert_ping();
}
END_TEST

static uint16_t any_port;
static struct sb_bus *any_bus;

static void listen_everywhere(struct agent *a)
{
	struct sb_tls_creds creds = creds_of("node1", "opca", "op.crl");

	ck_assert_int_eq(sb_bus_new(a->loop, a->box, sb_rpc_request, a->rpc, &any_bus, NULL), 0);
	relisten_rc = sb_bus_listen(any_bus, SB_BUS_CONTROL, "", 0, &creds, &relisten_err);
	any_port = sb_bus_port(any_bus, SB_BUS_CONTROL);
}

static void close_everywhere(struct agent *a)
{
	sb_bus_free(any_bus);
}

static bool have_ipv6(void)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && !bind(fd, (struct sockaddr *)&sa, sizeof(sa));

	sb_closep(&fd);
	return ok;
}

START_TEST(no_address_means_every_address)
{
	struct sb_target t = target;

	agent_do(&agent, listen_everywhere);
	ck_assert_int_eq(relisten_rc, 0);
	t.port = any_port;
	ck_assert_int_eq(ping_with(client, &t, 20000, NULL), 0); /* and on_ping() saw IPv4 */
	if (have_ipv6()) {
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
			.sin6_port = htons(any_port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT };

		ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		close(fd);
	}
	agent_do(&agent, close_everywhere);
}
END_TEST

/* Eight connections to eight addresses, all new: what a cold CLI does. */
START_TEST(a_cold_fan_asks_eight_nodes)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__PingRequest body = SPARKBUS__PING_REQUEST__INIT;
	sb_request *requests[8];
	struct sb_target targets[8];
	struct sb_answer answers[8];
	char addresses[8][16];
	double start_ms;

	agent_do(&agent, listen_everywhere);
	ck_assert_int_eq(relisten_rc, 0);
	request.body_case = SPARKBUS__REQUEST__BODY_PING;
	request.ping = &body;
	for (int i = 0; i < 8; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "127.0.0.%d", i + 1);
		targets[i] = (struct sb_target){ "node1", addresses[i], any_port };
		requests[i] = &request;
	}
	for (int round = 0; round < 2; round++) { /* cold, then by the connections made */
		start_ms = now_ms();
		ck_assert_uint_eq(sb_client_fan(client, targets, requests, 8, 20000, answers), 0);
		if (getenv("SB_BENCH"))
			fprintf(stderr, "fan of 8, %s: %.1f ms\n", round ? "warm" : "cold",
					now_ms() - start_ms);
		for (int i = 0; i < 8; i++)
			sb_answer_done(&answers[i]);
	}
	start_ms = now_ms();
	assert_ping();
	if (getenv("SB_BENCH"))
		fprintf(stderr, "dial and ping one: %.1f ms\n", now_ms() - start_ms);
	agent_do(&agent, close_everywhere);
}
END_TEST

/* --- hostile callers --- */

static int tcp_connect(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* The other side closed, gracefully or not. */
static void assert_closed(int fd)
{
	char buf[4096];
	ssize_t n;

	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n > 0);
	ck_assert(n == 0 || errno == ECONNRESET);
	close(fd);
}

static void talk_http(void)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = tcp_connect(agent.control_port);

	ck_assert_int_gt(send(fd, http, sizeof(http) - 1, MSG_NOSIGNAL), 0);
	assert_closed(fd);
}

START_TEST(text_and_noise_are_hung_up_on)
{
	uint8_t noise[2000];
	int fd;

	talk_http();
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 7919 >> 3);
	fd = tcp_connect(agent.peer_port);
	ck_assert_int_gt(send(fd, noise, sizeof(noise), MSG_NOSIGNAL), 0);
	assert_closed(fd);
	assert_ping();
}
END_TEST

/* The first bytes of a real ClientHello, and then nothing: hung up on at the deadline of a
 * handshake, though nng itself would wait for ever. */
START_TEST(half_a_handshake_is_hung_up_on)
{
	static const uint8_t hello[] = { 0x16, 0x03, 0x01, 0x00, 0xc8, 0x01, 0x00, 0x00, 0xc4, 0x03,
		0x03 };
	int mute = tcp_connect(agent.control_port);
	int half = tcp_connect(agent.control_port);

	ck_assert_int_gt(send(half, hello, sizeof(hello), MSG_NOSIGNAL), 0);
	assert_ping();
	assert_closed(half);
	assert_closed(mute);
	assert_ping();
}
END_TEST

#define SILENT         5000
#define SILENT_AT_ONCE 100 /* less than the kernel queues for a listener (128) */

START_TEST(silent_callers_cost_a_bounded_number_of_descriptors)
{
	int fds[SILENT_AT_ONCE], before;

	assert_ping();
	before = count_fds();
	for (int round = 0; round < SILENT / SILENT_AT_ONCE; round++) {
		for (int i = 0; i < SILENT_AT_ONCE; i++)
			fds[i] = tcp_connect(agent.control_port);
		assert_ping(); /* while they all wait */
		/* Who is heard was accepted after them all. Without this the kernel's queue runs
		 * over, and it makes the next ones wait for seconds. */
		talk_http();
		for (int i = 0; i < SILENT_AT_ONCE; i++)
			close(fds[i]);
	}
	/* What is left of them goes as its end is seen. */
	while (count_fds() > before)
		sched_yield();
	assert_ping();
}
END_TEST

START_TEST(silent_callers_that_stay_give_way_to_others)
{
	int fds[SILENT_AT_ONCE], before, mine;

	assert_ping();
	before = count_fds();
	for (int i = 0; i < SILENT_AT_ONCE; i++)
		fds[i] = tcp_connect(agent.control_port);
	for (int i = 0; i < 20; i++) {
		struct raw raw = raw_open(agent.control_port, "alice"); /* new ones get in */

		nng_close(raw.socket);
	}
	mine = SILENT_AT_ONCE;
	while (count_fds() - before - mine > SB_BUS_HANDSHAKES_MAX + 8)
		sched_yield();
	for (int i = 0; i < SILENT_AT_ONCE; i++)
		close(fds[i]);
	while (count_fds() > before)
		sched_yield();
}
END_TEST

/* An authenticated stream below SP, to send what no nng socket would. */
static nng_stream *stream_open(void)
{
	static const uint8_t greeting[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
	struct sb_tls_creds creds = creds_of("alice", "nodeca", NULL);
	char url[SB_WIRE_URL_MAX];
	nng_stream_dialer *dialer;
	nng_tls_config *config;
	nng_stream *stream;
	nng_aio *aio;

	ck_assert_int_eq(sb_wire_url("tls+tcp", "127.0.0.1", agent.control_port, url, NULL), 0);
	config = nng_tls_settings(&creds, "node1");
	ck_assert_int_eq(nng_stream_dialer_alloc(&dialer, url), 0);
	ck_assert_int_eq(nng_stream_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
	ck_assert_int_eq(nng_aio_alloc(&aio, NULL, NULL), 0);
	nng_stream_dialer_dial(dialer, aio);
	nng_aio_wait(aio);
	ck_assert_int_eq(nng_aio_result(aio), 0);
	stream = nng_aio_get_output(aio, 0);
	nng_aio_set_iov(aio, 1, &(nng_iov){ (void *)greeting, sizeof(greeting) });
	nng_stream_send(stream, aio);
	nng_aio_wait(aio);
	ck_assert_int_eq(nng_aio_result(aio), 0);
	nng_aio_free(aio);
	nng_stream_dialer_free(dialer);
	nng_tls_config_free(config);
	return stream;
}

static void stream_send(nng_stream *stream, const void *data, size_t len)
{
	nng_aio *aio;

	ck_assert_int_eq(nng_aio_alloc(&aio, NULL, NULL), 0);
	nng_aio_set_iov(aio, 1, &(nng_iov){ (void *)data, len });
	nng_stream_send(stream, aio);
	nng_aio_wait(aio);
	ck_assert_int_eq(nng_aio_result(aio), 0);
	nng_aio_free(aio);
}

/* Read until @wanted bytes came or the other side ended it. Return: bytes read. */
static size_t stream_read(nng_stream *stream, size_t wanted)
{
	uint8_t buf[4096];
	size_t all = 0;
	nng_aio *aio;

	ck_assert_int_eq(nng_aio_alloc(&aio, NULL, NULL), 0);
	while (all < wanted) {
		nng_aio_set_iov(aio, 1, &(nng_iov){ buf, sizeof(buf) });
		nng_stream_recv(stream, aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio) || !nng_aio_count(aio))
			break;
		all += nng_aio_count(aio);
	}
	nng_aio_free(aio);
	return all;
}

static const struct {
	const char *what;
	uint8_t data[12];
} bad_frames[] = {
	{ "longer than the cap", { 0, 0, 0, 0, 0, 0x90, 0, 0, 0x80, 0, 0, 1 } },
	{ "longer than memory", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 1 } },
	{ "shorter than its id", { 0, 0, 0, 0, 0, 0, 0, 3, 0x80, 0, 0, 1 } },
	{ "an id without its flag", { 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1 } },
};

START_TEST(a_bad_frame_ends_its_connection_only)
{
	nng_stream *stream = stream_open();

	stream_send(stream, bad_frames[_i].data, sizeof(bad_frames[_i].data));
	ck_assert_uint_eq(stream_read(stream, SIZE_MAX), 8); /* the greeting */
	nng_stream_free(stream);
	assert_ping();
}
END_TEST

START_TEST(one_who_stalls_inside_a_message_holds_up_nobody)
{
	static const uint8_t start[] = { 0, 0, 0, 0, 0, 0x70, 0, 0, 0x80, 0, 0, 1, 'x', 'y' };
	nng_stream *stalled = stream_open();
	nng_stream *split = stream_open();
	sb_request request = valid_ping();
	uint8_t frame[300] = { 0 };
	size_t len = sparkbus__request__pack(&request, frame + 12);

	stream_send(stalled, start, sizeof(start));
	assert_ping();
	/* Another one sends byte by byte, and is answered. */
	frame[7] = (uint8_t)(len + 4);
	frame[8] = 0x80;
	for (size_t i = 0; i < len + 12; i++)
		stream_send(split, frame + i, 1);
	ck_assert_uint_gt(stream_read(split, 8 + 12 + 1), 8 + 12); /* greeting and an answer */
	nng_stream_free(stalled);
	nng_stream_free(split);
	assert_ping();
}
END_TEST

/* --- flat memory --- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__has_feature)
#define COUNTS_MEMORY 1
#elif defined(__has_feature)
#if !__has_feature(address_sanitizer)
#define COUNTS_MEMORY 1
#endif
#endif

#define REQUESTS 10000

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

#define KEYS_MAX 600000 /* the kernel keeps the answers to some hundred thousand */

/* TLS 1.3 answers a wish for new keys, and the answers of who never reads pile up on our side. */
START_TEST(one_who_wants_new_keys_and_reads_nothing_is_hung_up_on)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int n = 0, fd = tcp_connect(agent.control_port);
	char path[300];
	SSL *ssl;

	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s/alice.crt", pki_dir);
	ck_assert_int_eq(SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM), 1);
	snprintf(path, sizeof(path), "%s/alice.key", pki_dir);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
	ssl = SSL_new(ctx);
	ck_assert_int_eq(SSL_set_fd(ssl, fd), 1);
	ck_assert_int_eq(SSL_connect(ssl), 1);
	ck_assert_int_eq(SSL_version(ssl), TLS1_3_VERSION);
	ck_assert_int_eq(SSL_write(ssl, (const char[]){ 0, 'S', 'P', 0, 0, 0x30, 0, 0 }, 8), 8);
	while (n < KEYS_MAX && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
			SSL_do_handshake(ssl) == 1)
		n++;
	ck_assert_int_lt(n, KEYS_MAX);
	assert_ping();
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
}
END_TEST

START_TEST(ten_thousand_requests_leave_nothing_behind)
{
	static double us[REQUESTS];
	size_t before = 0, after = 0;

	for (int i = 0; i < 2 * SB_RPC_REPLAY_MAX; i++) /* fill what may be filled */
		ck_assert_int_eq(stop_job("j", NULL, 20000, NULL, NULL), 0);
#ifdef COUNTS_MEMORY
	before = mallinfo2().uordblks;
#endif
	for (int i = 0; i < REQUESTS; i++) {
		double start_ms = now_ms();

		if (i % 4)
			assert_ping();
		else
			ck_assert_int_eq(stop_job("j", NULL, 20000, NULL, NULL), 0);
		us[i] = (now_ms() - start_ms) * 1e3;
	}
#ifdef COUNTS_MEMORY
	after = mallinfo2().uordblks;
#endif
	ck_assert_uint_le(after, before + (64 << 10));
	qsort(us, REQUESTS, sizeof(us[0]), by_size);
	if (getenv("SB_BENCH"))
		fprintf(stderr, "round trip: median %.0f us, p99 %.0f us; heap %+zd bytes\n",
				us[REQUESTS / 2], us[REQUESTS * 99 / 100],
				(ssize_t)(after - before));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tc = tcase_create("bus");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	pki_make();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, an_operator_is_answered);
	tcase_add_loop_test(
			tc, who_does_not_belong_is_refused_and_told_why, 0, sb_countof(refused));
	tcase_add_test(tc, credentials_that_do_not_fit_are_refused_at_once);
	tcase_add_test(tc, nobody_listening_is_unavailable_with_a_cure);
	tcase_add_test(tc, a_newer_protocol_is_unsupported_and_both_are_named);
	tcase_add_test(tc, a_verb_of_the_other_door_is_unsupported);
	tcase_add_test(tc, an_unknown_verb_is_unsupported);
	tcase_add_test(tc, an_envelope_out_of_bounds_is_refused);
	tcase_add_test(tc, garbage_gets_a_protocol_error);
	tcase_add_test(tc, a_handlers_error_arrives_with_node_and_hint);
	tcase_add_test(tc, a_handlers_answer_of_the_wrong_type_is_our_own_error);
	tcase_add_test(tc, answers_of_every_size_arrive_whole);
	tcase_add_test(tc, a_repeated_id_gets_the_same_answer_and_runs_once);
	tcase_add_test(tc, an_answer_after_the_deadline_is_kept_for_who_asks_again);
	tcase_add_test(tc, answers_at_the_deadline_wedge_nothing);
	tcase_add_test(tc, a_repeated_id_joins_the_call_in_progress);
	tcase_add_test(tc, long_polls_up_to_the_cap_delay_nothing_and_the_rest_is_busy);
	tcase_add_test(tc, a_silent_node_hides_nobody);
	tcase_add_test(tc, an_interrupt_ends_a_call);
	tcase_add_test(tc, a_long_poll_is_told_when_its_caller_is_gone);
	tcase_add_test(tc, a_new_revocation_list_counts_at_once);
	tcase_add_test(tc, a_failed_reload_leaves_the_old_credentials_serving);
	tcase_add_test(tc, a_taken_port_is_busy);
	tcase_add_test(tc, no_address_means_every_address);
	tcase_add_test(tc, a_cold_fan_asks_eight_nodes);
	tcase_add_test(tc, text_and_noise_are_hung_up_on);
	tcase_add_test(tc, half_a_handshake_is_hung_up_on);
	tcase_add_test(tc, silent_callers_cost_a_bounded_number_of_descriptors);
	tcase_add_test(tc, silent_callers_that_stay_give_way_to_others);
	tcase_add_loop_test(tc, a_bad_frame_ends_its_connection_only, 0, sb_countof(bad_frames));
	tcase_add_test(tc, one_who_stalls_inside_a_message_holds_up_nobody);
	tcase_add_test(tc, one_who_wants_new_keys_and_reads_nothing_is_hung_up_on);
	tcase_add_test(tc, ten_thousand_requests_leave_nothing_behind);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	pki_remove();
	return failed ? 1 : 0;
}
