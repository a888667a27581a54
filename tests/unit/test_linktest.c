/* Tests of links, over the loopback: both ends in one process, as two agents would be. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sb_linktest.h"

#define MIB ((uint64_t)1 << 20)

static sd_event *loop;
static struct sb_mailbox *box;
static struct sb_linktests *tests;
static uint16_t port;
static uint8_t token[SB_LINKTEST_TOKEN_LEN];
static struct {
	bool over, connected, has_packet, packet;
	uint64_t bytes, us;
	char error[120];
} got;

static void setup(void)
{
	memset(&got, 0, sizeof(got));
	ck_assert_int_ge(sd_event_new(&loop), 0);
	ck_assert_int_eq(sb_mailbox_new(loop, &box, NULL), 0);
	ck_assert_int_eq(sb_linktests_new(box, &tests, NULL), 0);
}

static void teardown(void)
{
	sb_linktests_free(tests);
	sb_mailbox_free(box);
	sd_event_unref(loop);
}

static void on_over(void *ctx, const Sparkbus__RunLinktestReply *reply)
{
	got.over = true;
	got.connected = reply->connected;
	got.bytes = reply->bytes;
	got.us = reply->us;
	got.has_packet = reply->has_packet_case;
	got.packet = reply->packet_passed;
	snprintf(got.error, sizeof(got.error), "%s", reply->error);
}

static int open_test(const char *address, uint32_t ms, uint64_t bytes)
{
	Sparkbus__OpenLinktestRequest r = SPARKBUS__OPEN_LINKTEST_REQUEST__INIT;

	r.address = (char *)address;
	r.max_ms = ms;
	r.max_bytes = bytes;
	return sb_linktest_open(tests, &r, &port, token, NULL);
}

static Sparkbus__RunLinktestRequest request(void)
{
	Sparkbus__RunLinktestRequest r = SPARKBUS__RUN_LINKTEST_REQUEST__INIT;

	r.source_address = (char *)"127.0.0.1";
	r.address = (char *)"127.0.0.1";
	r.port = port;
	r.token = (ProtobufCBinaryData){ sizeof(token), token };
	r.max_ms = 10000;
	r.send_ms = 9000;
	r.max_bytes = 8 * MIB;
	return r;
}

static void wait_over(void)
{
	while (!got.over)
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
}

static void run(const Sparkbus__RunLinktestRequest *r)
{
	struct sb_err err = SB_ERR_INIT;

	memset(&got, 0, sizeof(got));
	ck_assert_msg(sb_linktest_run(tests, r, on_over, NULL, &err) == 0, "%s", err.text);
	wait_over();
}

START_TEST(every_byte_is_counted_by_who_receives_it)
{
	Sparkbus__RunLinktestRequest r;

	ck_assert_int_eq(open_test("127.0.0.1", 10000, 100 * MIB), 0);
	r = request();
	r.packet_bytes = 8972;
	run(&r);
	ck_assert_str_eq(got.error, "");
	ck_assert(got.connected);
	ck_assert_uint_eq(got.bytes, 8 * MIB);
	ck_assert_uint_gt(got.us, 0);
	ck_assert(got.has_packet && got.packet);
}
END_TEST

/* 65,507 bytes are the most that a packet can carry. */
START_TEST(a_packet_too_large_for_the_path_does_not_pass)
{
	Sparkbus__RunLinktestRequest r;

	ck_assert_int_eq(open_test("127.0.0.1", 10000, MIB), 0);
	r = request();
	r.packet_bytes = 65535;
	r.send_ms = 0;
	run(&r);
	ck_assert(got.connected);
	ck_assert_uint_eq(got.bytes, 0);
	ck_assert(got.has_packet && !got.packet);
}
END_TEST

START_TEST(a_token_is_good_once)
{
	Sparkbus__RunLinktestRequest r;

	ck_assert_int_eq(open_test("127.0.0.1", 10000, 100 * MIB), 0);
	r = request();
	token[5] ^= 1;
	run(&r);
	ck_assert_uint_eq(got.bytes, 0);
	ck_assert_str_ne(got.error, "");
	token[5] ^= 1; /* a stranger does not end the test */
	run(&r);
	ck_assert_str_eq(got.error, "");
	ck_assert_uint_gt(got.bytes, 0);
	run(&r);
	ck_assert(!got.connected);
	ck_assert_ptr_nonnull(strstr(got.error, "connect: Connection refused"));
}
END_TEST

/* Who connects and says nothing. */
START_TEST(a_silent_caller_does_not_hold_the_test_up)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	Sparkbus__RunLinktestRequest r;
	int fd;

	ck_assert_int_eq(open_test("127.0.0.1", 20000, 100 * MIB), 0);
	at.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	r = request();
	run(&r);
	ck_assert_str_eq(got.error, "");
	ck_assert_uint_gt(got.bytes, 0);
	close(fd);
}
END_TEST

START_TEST(the_receiver_ends_at_its_limit)
{
	Sparkbus__RunLinktestRequest r;

	ck_assert_int_eq(open_test("127.0.0.1", 10000, MIB), 0);
	r = request();
	r.max_bytes = 1000 * MIB;
	run(&r);
	ck_assert(got.connected);
	ck_assert_uint_lt(got.bytes, 1000 * MIB);
}
END_TEST

START_TEST(nobody_waits_for_ever)
{
	Sparkbus__RunLinktestRequest r;
	uint64_t begin = sb_now_boot_ms();

	ck_assert_int_eq(open_test("127.0.0.1", 1, MIB), 0);
	while (sb_now_boot_ms() < begin + 2) /* its time is over before anyone calls */
		;
	r = request();
	r.max_ms = 500;
	run(&r);
	ck_assert_uint_eq(got.bytes, 0);
	ck_assert_str_ne(got.error, "");
}
END_TEST

START_TEST(addresses_and_limits_are_checked)
{
	Sparkbus__RunLinktestRequest r = request();

	ck_assert_int_eq(open_test("192.0.2.1", 1000, 1), -SB_E_INVALID);
	ck_assert_int_eq(open_test("0.0.0.0", 1000, 1), -SB_E_INVALID);
	ck_assert_int_eq(open_test("::", 1000, 1), -SB_E_INVALID);
	ck_assert_int_eq(open_test("here", 1000, 1), -SB_E_INVALID);
	ck_assert_int_eq(open_test("127.0.0.1", 0, 1), -SB_E_RANGE);
	ck_assert_int_eq(open_test("127.0.0.1", SB_LINKTEST_MS_MAX + 1, 1), -SB_E_RANGE);
	ck_assert_int_eq(open_test("127.0.0.1", 1, SB_LINKTEST_BYTES_MAX + 1), -SB_E_RANGE);
	r.port = 65536;
	ck_assert_int_eq(sb_linktest_run(tests, &r, on_over, NULL, NULL), -SB_E_INVALID);
	r = request();
	r.port = 1;
	r.token.len = 31;
	ck_assert_int_eq(sb_linktest_run(tests, &r, on_over, NULL, NULL), -SB_E_INVALID);
	r = request();
	r.port = 1;
	r.source_address = (char *)"::1"; /* of another family */
	ck_assert_int_eq(sb_linktest_run(tests, &r, on_over, NULL, NULL), -SB_E_INVALID);
	r = request();
	r.port = 1;
	r.packet_bytes = 31;
	ck_assert_int_eq(sb_linktest_run(tests, &r, on_over, NULL, NULL), -SB_E_RANGE);
}
END_TEST

/* And the end of the agent breaks them off. */
START_TEST(tests_are_counted)
{
	uint64_t begin;

	for (unsigned i = 0; i < SB_LINKTEST_ACTIVE_MAX; i++)
		ck_assert_int_eq(open_test("127.0.0.1", SB_LINKTEST_MS_MAX, 1), 0);
	ck_assert_int_eq(open_test("127.0.0.1", 1000, 1), -SB_E_BUSY);
	begin = sb_now_boot_ms();
	sb_linktests_free(sb_steal(tests));
	ck_assert_uint_lt(sb_now_boot_ms() - begin, SB_LINKTEST_MS_MAX / 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("linktest");
	TCase *tc = tcase_create("linktest");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_byte_is_counted_by_who_receives_it);
	tcase_add_test(tc, a_packet_too_large_for_the_path_does_not_pass);
	tcase_add_test(tc, a_token_is_good_once);
	tcase_add_test(tc, a_silent_caller_does_not_hold_the_test_up);
	tcase_add_test(tc, the_receiver_ends_at_its_limit);
	tcase_add_test(tc, nobody_waits_for_ever);
	tcase_add_test(tc, addresses_and_limits_are_checked);
	tcase_add_test(tc, tests_are_counted);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
