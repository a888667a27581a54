/* test_peer.c - calls from a loop to another agent's peer door, over real TLS on loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "bus_support.h"
#include "sb_peer.h"

static struct sb_call *parked[200]; /* the agent's loop thread only */
static atomic_int n_parked;

static int on_ping(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	Sparkbus__PingReply reply = SPARKBUS__PING_REPLY__INIT;

	ck_assert_int_eq(sb_call_door(call), SB_BUS_PEER);
	reply.version = (char *)"v";
	sb_call_reply(call, &reply.base);
	return 0;
}

static int on_watch(
		void *agent, struct sb_call *call, const ProtobufCMessage *body, struct sb_err *err)
{
	const Sparkbus__WatchRankRequest *request = (const Sparkbus__WatchRankRequest *)body;

	if (!strcmp(request->job, "fail"))
		return sb_err_set(err, SB_E_NOT_FOUND, "no such rank");
	ck_assert_uint_gt(sb_call_left_ms(call), 0);
	parked[atomic_fetch_add(&n_parked, 1)] = call;
	return 0;
}

static const struct sb_verb verbs[] = {
	{ SPARKBUS__REQUEST__BODY_PING, "ping", SB_DOOR_PEER, false,
			&sparkbus__ping_request__descriptor, &sparkbus__ping_reply__descriptor,
			on_ping },
	{ SPARKBUS__REQUEST__BODY_WATCH_RANK, "watch_rank", SB_DOOR_PEER, false,
			&sparkbus__watch_rank_request__descriptor,
			&sparkbus__rank_status__descriptor, on_watch },
};

static struct agent agent;
static bool agent_runs;
static sd_event *loop;
static struct sb_mailbox *box;
static struct sb_peers *peers;

/* What became of the last calls. */
static int answers, failures;
static struct sb_err last_err;

static void on_answer(void *ctx, const Sparkbus__Response *reply, const struct sb_err *err)
{
	ck_assert_ptr_eq(ctx, &answers);
	ck_assert((reply != NULL) == (err == NULL));
	if (err)
		last_err = *err;
	answers += reply != NULL;
	failures += err != NULL;
}

static void setup(void)
{
	struct sb_tls_creds creds = creds_of("node2", "nodeca", "node.crl");

	agent = (struct agent){ .verbs = verbs, .n_verbs = sb_countof(verbs), .node = "node1" };
	agent_start(&agent);
	agent_runs = true;
	ck_assert_int_ge(sd_event_new(&loop), 0);
	ck_assert_int_eq(sb_mailbox_new(loop, &box, NULL), 0);
	ck_assert_int_eq(sb_peers_new(loop, box, &peers, NULL), 0);
	ck_assert_int_eq(sb_peers_creds(peers, &creds, NULL), 0);
}

static void teardown(void)
{
	sb_peers_free(peers);
	if (agent_runs)
		agent_stop(&agent);
	sb_mailbox_free(box);
	sd_event_unref(loop);
}

static void run_until(const int *value, int wanted)
{
	while (*value < wanted)
		ck_assert_int_gt(sd_event_run(loop, 60000000), 0);
}

static int ping(const char *node, uint16_t port, unsigned deadline_ms, struct sb_peer_call **ret)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__PingRequest body = SPARKBUS__PING_REQUEST__INIT;

	request.body_case = SPARKBUS__REQUEST__BODY_PING;
	request.ping = &body;
	return sb_peer_call(peers, node, "127.0.0.1", port, &request, deadline_ms, on_answer,
			&answers, ret, &last_err);
}

static int watch(const char *job, unsigned deadline_ms, struct sb_peer_call **ret)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__WatchRankRequest body = SPARKBUS__WATCH_RANK_REQUEST__INIT;

	request.body_case = SPARKBUS__REQUEST__BODY_WATCH_RANK;
	request.watch_rank = &body;
	body.job = (char *)job;
	return sb_peer_call(peers, "node1", "127.0.0.1", agent.peer_port, &request, deadline_ms,
			on_answer, &answers, ret, &last_err);
}

static void wait_parked(int wanted)
{
	while (atomic_load(&n_parked) < wanted)
		ck_assert_int_ge(sd_event_run(loop, 1000), 0); /* it sends, too */
}

static void answer_parked(struct agent *a)
{
	Sparkbus__RankStatus status = SPARKBUS__RANK_STATUS__INIT;

	for (int i = 0; i < atomic_load(&n_parked); i++)
		sb_call_reply(parked[i], &status.base);
	atomic_store(&n_parked, 0);
}

START_TEST(a_peer_answers)
{
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 1);
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 2);
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(many_calls_share_a_connection)
{
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 1);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(watch("wait", 60000, NULL), 0);
	wait_parked(100);
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 2); /* not behind the hundred */
	agent_do(&agent, answer_parked);
	run_until(&answers, 102);
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(a_peers_error_is_the_calls_error)
{
	ck_assert_int_eq(watch("fail", 20000, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_NOT_FOUND);
	ck_assert_str_eq(last_err.text, "node node1: no such rank");
}
END_TEST

START_TEST(a_call_without_sense_is_refused_at_once)
{
	sb_request request = SPARKBUS__REQUEST__INIT;

	ck_assert_int_eq(ping("node1", agent.peer_port, 0, NULL), -SB_E_INVALID);
	ck_assert_int_eq(ping("node1", agent.peer_port, SB_WIRE_DEADLINE_MAX_MS + 1, NULL),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_peer_call(peers, "node1", "a/b", 1, &request, 1000, on_answer, &answers,
					 NULL, &last_err),
			-SB_E_INVALID);
	ck_assert_int_eq(answers + failures, 0);
}
END_TEST

START_TEST(nobody_listening_is_unavailable_and_says_so)
{
	ck_assert_int_eq(ping("node1", 1, 500, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_UNAVAILABLE);
	ck_assert_ptr_ne(strstr(last_err.text, "Connection refused"), NULL);
	ck_assert_ptr_ne(strstr(last_err.hint, "sparkbusd"), NULL);
}
END_TEST

START_TEST(another_nodes_name_is_denied)
{
	ck_assert_int_eq(ping("node2", agent.peer_port, 2000, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_DENIED);
}
END_TEST

START_TEST(a_handshake_that_stalls_ends_at_the_deadline)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	ck_assert_int_eq(ping("node1", ntohs(sa.sin_port), 300, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_UNAVAILABLE);
	close(fd);
}
END_TEST

START_TEST(a_late_answer_is_a_timeout_and_the_next_call_is_fine)
{
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 1); /* connected, so that the deadline is the answer's alone */
	ck_assert_int_eq(watch("wait", 500, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_TIMEOUT);
	ck_assert_ptr_ne(strstr(last_err.text, "unknown"), NULL);
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 2);
}
END_TEST

START_TEST(a_cancelled_call_is_silent)
{
	struct sb_peer_call *call;

	ck_assert_int_eq(watch("wait", 60000, &call), 0);
	wait_parked(1);
	sb_peer_cancel(call);
	sb_peer_cancel(NULL);
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, &call), 0);
	run_until(&answers, 1);
	agent_do(&agent, answer_parked);
	ck_assert_int_eq(ping("node1", agent.peer_port, 20000, NULL), 0);
	run_until(&answers, 2);
	ck_assert_int_eq(failures, 0);
}
END_TEST

/* Quickly, and not at the deadline: the socket's resend would otherwise wait for a new connection
 * and then repeat the command. */
START_TEST(a_lost_connection_ends_its_calls_at_once)
{
	ck_assert_int_eq(watch("wait", 3600000, NULL), 0);
	wait_parked(1);
	agent_stop(&agent);
	agent_runs = false;
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_UNAVAILABLE);
	ck_assert_ptr_ne(strstr(last_err.text, "unknown"), NULL);
}
END_TEST

START_TEST(new_credentials_close_what_the_old_ones_opened)
{
	struct sb_tls_creds stranger = creds_of("stranger", "nodeca", NULL);
	struct sb_tls_creds broken = creds_of("node2", "nodeca", NULL);

	ck_assert_int_eq(watch("wait", 3600000, NULL), 0);
	wait_parked(1);
	broken.key_pem = pki("node1.key");
	ck_assert_int_eq(sb_peers_creds(peers, &broken, NULL), -SB_E_INVALID);
	ck_assert_int_eq(failures, 0);
	ck_assert_int_eq(sb_peers_creds(peers, &stranger, NULL), 0);
	run_until(&failures, 1);
	ck_assert_int_eq(last_err.code, SB_E_UNAVAILABLE);
	ck_assert_int_eq(ping("node1", agent.peer_port, 2000, NULL), 0);
	run_until(&failures, 2);
	ck_assert_int_eq(last_err.code, SB_E_DENIED);
}
END_TEST

START_TEST(without_credentials_nothing_is_called)
{
	struct sb_peers *bare;
	sb_request request = SPARKBUS__REQUEST__INIT;

	ck_assert_int_eq(sb_peers_new(loop, box, &bare, NULL), 0);
	ck_assert_int_eq(sb_peer_call(bare, "node1", "127.0.0.1", agent.peer_port, &request, 1000,
					 on_answer, &answers, NULL, NULL),
			-SB_E_UNAVAILABLE);
	sb_peers_free(bare);
}
END_TEST

START_TEST(freeing_drops_what_is_in_the_air)
{
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(watch("wait", 3600000, NULL), 0);
		ck_assert_int_eq(ping("node1", agent.peer_port, 3600000, NULL), 0);
	}
	wait_parked(20);
	/* teardown() frees the peers; ASan looks for the rest */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peer");
	TCase *tc = tcase_create("peer");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	pki_make();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, a_peer_answers);
	tcase_add_test(tc, many_calls_share_a_connection);
	tcase_add_test(tc, a_peers_error_is_the_calls_error);
	tcase_add_test(tc, a_call_without_sense_is_refused_at_once);
	tcase_add_test(tc, nobody_listening_is_unavailable_and_says_so);
	tcase_add_test(tc, another_nodes_name_is_denied);
	tcase_add_test(tc, a_handshake_that_stalls_ends_at_the_deadline);
	tcase_add_test(tc, a_late_answer_is_a_timeout_and_the_next_call_is_fine);
	tcase_add_test(tc, a_cancelled_call_is_silent);
	tcase_add_test(tc, a_lost_connection_ends_its_calls_at_once);
	tcase_add_test(tc, new_credentials_close_what_the_old_ones_opened);
	tcase_add_test(tc, without_credentials_nothing_is_called);
	tcase_add_test(tc, freeing_drops_what_is_in_the_air);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	pki_remove();
	return failed ? 1 : 0;
}
