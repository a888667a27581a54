#include <check.h>
#include <string.h>

#include "sb_wire.h"

START_TEST(ids_differ)
{
	uint8_t a[SB_WIRE_ID_BYTES] = { 0 }, b[SB_WIRE_ID_BYTES] = { 0 };

	ck_assert_int_eq(sb_wire_new_id(a, NULL), 0);
	ck_assert_int_eq(sb_wire_new_id(b, NULL), 0);
	ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

START_TEST(a_message_survives_pack_and_unpack)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__ReleaseRequest body = SPARKBUS__RELEASE_REQUEST__INIT;
	SB_CLEANUP(sb_wire_freep) sb_request *copy = NULL;
	ProtobufCMessage *msg;
	struct sb_err err;

	body.job = (char *)"sparkbus_0123456789ab";
	request.protocol = SB_PROTOCOL;
	request.deadline_ms = 1234;
	request.operator_ = (char *)"alice";
	ck_assert_int_eq(sb_wire_set_oneof(&request.base, SPARKBUS__REQUEST__BODY_RELEASE,
					 &body.base, &err),
			0);
	ck_assert_int_eq(sb_wire_dup(&request.base, &msg, &err), 0);
	copy = (sb_request *)msg;
	ck_assert_uint_eq(copy->deadline_ms, 1234);
	ck_assert_str_eq(copy->operator_, "alice");
	ck_assert_ptr_eq(sb_wire_oneof(msg, SPARKBUS__REQUEST__BODY_PING), NULL);
	msg = sb_wire_oneof(msg, SPARKBUS__REQUEST__BODY_RELEASE);
	ck_assert_ptr_ne(msg, NULL);
	ck_assert_str_eq(((Sparkbus__ReleaseRequest *)msg)->job, body.job);
}
END_TEST

START_TEST(a_oneof_takes_only_its_own_types)
{
	sb_request request = SPARKBUS__REQUEST__INIT;
	Sparkbus__PingRequest ping = SPARKBUS__PING_REQUEST__INIT;
	struct sb_err err;

	ck_assert_int_eq(sb_wire_set_oneof(&request.base, SPARKBUS__REQUEST__BODY_RELEASE,
					 &ping.base, &err),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_wire_set_oneof(&request.base, 1, &ping.base, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_wire_set_oneof(&request.base, 9999, &ping.base, &err), -SB_E_INVALID);
	ck_assert_int_eq(request.body_case, SPARKBUS__REQUEST__BODY__NOT_SET);
	ck_assert_ptr_eq(sb_wire_oneof(&request.base, 1), NULL);
}
END_TEST

START_TEST(no_cut_of_a_message_is_read_as_something_else)
{
	Sparkbus__ReleaseRequest body = SPARKBUS__RELEASE_REQUEST__INIT;
	SB_CLEANUP(sb_freep) uint8_t *data = NULL;
	ProtobufCMessage *msg = (ProtobufCMessage *)&body;
	struct sb_err err;
	size_t len;

	body.job = (char *)"sparkbus_0123456789ab";
	ck_assert_int_eq(sb_wire_pack(&body.base, &data, &len, &err), 0);
	for (size_t cut = 1; cut < len; cut++) {
		ProtobufCMessage *before = msg;

		ck_assert_int_eq(sb_wire_unpack(body.base.descriptor, data, cut, &msg, &err),
				-SB_E_PROTOCOL);
		ck_assert_ptr_eq(msg, before); /* untouched */
	}
}
END_TEST

START_TEST(bytes_over_the_cap_are_refused_both_ways)
{
	Sparkbus__LogLine line = SPARKBUS__LOG_LINE__INIT;
	SB_CLEANUP(sb_freep) uint8_t *big = calloc(1, SB_WIRE_MAX_BYTES + 1);
	ProtobufCMessage *msg;
	uint8_t *data;
	size_t len;

	line.text = (ProtobufCBinaryData){ SB_WIRE_MAX_BYTES, big };
	ck_assert_int_eq(sb_wire_pack(&line.base, &data, &len, NULL), -SB_E_RANGE);
	ck_assert_int_eq(sb_wire_unpack(line.base.descriptor, big, SB_WIRE_MAX_BYTES + 1, &msg,
					 NULL),
			-SB_E_RANGE);
}
END_TEST

/* Two bytes make an empty Event, whose struct takes about a hundred: 8 MiB of them would be
 * hundreds of megabytes. */
START_TEST(a_small_message_cannot_take_much_memory)
{
	SB_CLEANUP(sb_freep) uint8_t *bomb = malloc(SB_WIRE_MAX_BYTES);
	ProtobufCMessage *msg;
	struct sb_err err;

	for (size_t i = 0; i < SB_WIRE_MAX_BYTES; i += 2) {
		bomb[i] = 1 << 3 | 2; /* WatchEventsReply.events */
		bomb[i + 1] = 0;
	}
	ck_assert_int_eq(sb_wire_unpack(&sparkbus__watch_events_reply__descriptor, bomb,
					 SB_WIRE_MAX_BYTES, &msg, &err),
			-SB_E_RANGE);
	/* A thousandth of it is fine, so it was the memory and not the form. */
	ck_assert_int_eq(sb_wire_unpack(&sparkbus__watch_events_reply__descriptor, bomb, 8000, &msg,
					 &err),
			0);
	sb_wire_freep(&msg);
}
END_TEST

START_TEST(an_error_crosses_the_wire_whole)
{
	struct sb_err out, in;
	Sparkbus__Error e;
	int rc;

	for (int code = 1; code < SB_CODE_COUNT_; code++) {
		rc = sb_err_set(&out, (enum sb_code)code, "port %d is taken", 8000);
		sb_err_hint(&out, rc, "stop it");
		sb_wire_err_out(&out, "spark2", &e);
		ck_assert_int_eq(sb_wire_err_in(&e, &in), -code);
		ck_assert_int_eq(in.code, code);
		ck_assert_str_eq(in.text, "node spark2: port 8000 is taken");
		ck_assert_str_eq(in.hint, "stop it");
	}
}
END_TEST

START_TEST(a_code_from_the_future_is_an_error_too)
{
	static const int codes[] = { 0, -1, SB_CODE_COUNT_, 100000 };
	Sparkbus__Error e = SPARKBUS__ERROR__INIT;
	char *path[] = { (char *)"prepare", (char *)"rank 1" };
	struct sb_err err;

	e.message = (char *)"one\ntwo";
	e.path = path;
	e.n_path = 2;
	e.code = (Sparkbus__Code)codes[_i];
	ck_assert_int_eq(sb_wire_err_in(&e, &err), -SB_E_INTERNAL);
	ck_assert_str_eq(err.text, "prepare: rank 1: one two");
}
END_TEST

START_TEST(wire_codes_are_ours)
{
	for (int code = 0; code < SB_CODE_COUNT_; code++) {
		const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
				&sparkbus__code__descriptor, code);

		ck_assert_ptr_ne(value, NULL);
		ck_assert_str_eq(value->name + strlen("CODE_"), sb_code_name((enum sb_code)code));
	}
	ck_assert_uint_eq(sparkbus__code__descriptor.n_values, SB_CODE_COUNT_);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tc = tcase_create("wire");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, ids_differ);
	tcase_add_test(tc, a_message_survives_pack_and_unpack);
	tcase_add_test(tc, a_oneof_takes_only_its_own_types);
	tcase_add_test(tc, no_cut_of_a_message_is_read_as_something_else);
	tcase_add_test(tc, bytes_over_the_cap_are_refused_both_ways);
	tcase_add_test(tc, a_small_message_cannot_take_much_memory);
	tcase_add_test(tc, an_error_crosses_the_wire_whole);
	tcase_add_loop_test(tc, a_code_from_the_future_is_an_error_too, 0, 4);
	tcase_add_test(tc, wire_codes_are_ours);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
