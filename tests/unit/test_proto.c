/* test_proto.c - the wire form is frozen.
 *
 * Every message that can be reached from what crosses the bus or lies on disk is written as text
 * and compared with tests/golden/proto.txt. Old agents, old clients and old files speak that form:
 * a number that changes its meaning corrupts them in silence. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bus.pb-c.h"
#include "sb_fs.h"

#define TYPES_MAX  256
#define GOLDEN_MAX ((size_t)1 << 20)

static const char advice[] =
		"The wire form differs from tests/golden/proto.txt.\n"
		"Adding a field or a message is fine: run\n"
		"    build/tests/unit/test_proto --write tests/golden/proto.txt\n"
		"and commit the result. A changed or reused number, a changed name or type is not: "
		"give\n"
		"the new thing a new number, keep the old line, or raise the protocol version.\n";

static const char *const types[] = {
	[PROTOBUF_C_TYPE_INT32] = "int32",
	[PROTOBUF_C_TYPE_SINT32] = "sint32",
	[PROTOBUF_C_TYPE_SFIXED32] = "sfixed32",
	[PROTOBUF_C_TYPE_INT64] = "int64",
	[PROTOBUF_C_TYPE_SINT64] = "sint64",
	[PROTOBUF_C_TYPE_SFIXED64] = "sfixed64",
	[PROTOBUF_C_TYPE_UINT32] = "uint32",
	[PROTOBUF_C_TYPE_FIXED32] = "fixed32",
	[PROTOBUF_C_TYPE_UINT64] = "uint64",
	[PROTOBUF_C_TYPE_FIXED64] = "fixed64",
	[PROTOBUF_C_TYPE_FLOAT] = "float",
	[PROTOBUF_C_TYPE_DOUBLE] = "double",
	[PROTOBUF_C_TYPE_BOOL] = "bool",
	[PROTOBUF_C_TYPE_ENUM] = "enum",
	[PROTOBUF_C_TYPE_STRING] = "string",
	[PROTOBUF_C_TYPE_BYTES] = "bytes",
	[PROTOBUF_C_TYPE_MESSAGE] = "message",
};

/* What was met: messages in one list, enums in the other; the first ones are the roots. */
static const ProtobufCMessageDescriptor *messages[TYPES_MAX] = {
	&sparkbus__request__descriptor,
	&sparkbus__response__descriptor,
	&sparkbus__job_record__descriptor,
};
static size_t n_messages = 3;
static const ProtobufCEnumDescriptor *enums[TYPES_MAX];
static size_t n_enums;

static void meet_message(const ProtobufCMessageDescriptor *message)
{
	for (size_t i = 0; i < n_messages; i++)
		if (messages[i] == message)
			return;
	if (n_messages >= TYPES_MAX)
		abort();
	messages[n_messages++] = message;
}

static void meet_enum(const ProtobufCEnumDescriptor *one)
{
	for (size_t i = 0; i < n_enums; i++)
		if (enums[i] == one)
			return;
	if (n_enums >= TYPES_MAX)
		abort();
	enums[n_enums++] = one;
}

static void write_field(const ProtobufCFieldDescriptor *field, struct sb_strbuf *out)
{
	const char *type = types[field->type];

	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		const ProtobufCMessageDescriptor *message = field->descriptor;

		type = message->short_name;
		meet_message(message);
	} else if (field->type == PROTOBUF_C_TYPE_ENUM) {
		const ProtobufCEnumDescriptor *one = field->descriptor;

		type = one->short_name;
		meet_enum(one);
	}
	sb_strbuf_addf(out, "  %u %s %s%s%s\n", field->id, field->name,
			field->label == PROTOBUF_C_LABEL_REPEATED ? "repeated " : "", type,
			field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? " in a oneof" : "");
}

static int by_value(const void *a, const void *b)
{
	const ProtobufCEnumValue *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static void write_enum(const ProtobufCEnumDescriptor *one, struct sb_strbuf *out)
{
	ProtobufCEnumValue values[TYPES_MAX];

	if (one->n_values >= TYPES_MAX)
		abort();
	memcpy(values, one->values, one->n_values * sizeof(values[0]));
	qsort(values, one->n_values, sizeof(values[0]), by_value);
	sb_strbuf_addf(out, "enum %s\n", one->name);
	for (unsigned i = 0; i < one->n_values; i++)
		sb_strbuf_addf(out, "  %d %s\n", values[i].value, values[i].name);
}

static void write_all(struct sb_strbuf *out)
{
	for (size_t i = 0; i < n_messages; i++) { /* grows as it goes */
		sb_strbuf_addf(out, "message %s\n", messages[i]->name);
		for (unsigned k = 0; k < messages[i]->n_fields; k++)
			write_field(&messages[i]->fields[k], out);
	}
	for (size_t i = 0; i < n_enums; i++)
		write_enum(enums[i], out);
}

START_TEST(the_wire_form_is_the_frozen_one)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf now = SB_STRBUF_INIT, golden = SB_STRBUF_INIT;
	char *now_at, *golden_at, *now_line, *golden_line;
	int line = 0;

	write_all(&now);
	ck_assert_int_eq(now.failed, 0);
	ck_assert_int_eq(sb_fs_read(GOLDEN_DIR "/proto.txt", GOLDEN_MAX, &golden, NULL), 0);
	if (!strcmp(sb_strbuf_str(&now), sb_strbuf_str(&golden)))
		return;
	now_line = strtok_r(now.data, "\n", &now_at);
	golden_line = strtok_r(golden.data, "\n", &golden_at);
	while (now_line && golden_line && !strcmp(now_line, golden_line)) {
		line++;
		now_line = strtok_r(NULL, "\n", &now_at);
		golden_line = strtok_r(NULL, "\n", &golden_at);
	}
	ck_abort_msg("%sline %d was \"%s\" and is \"%s\"", advice, line + 1,
			golden_line ? golden_line : "(the end)", now_line ? now_line : "(the end)");
}
END_TEST

/* What protoc accepts and the golden file cannot show by itself. */
START_TEST(no_number_or_name_is_used_twice)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf all = SB_STRBUF_INIT;

	write_all(&all);
	for (size_t i = 0; i < n_messages; i++) {
		const ProtobufCMessageDescriptor *m = messages[i];

		for (unsigned a = 0; a < m->n_fields; a++)
			for (unsigned b = a + 1; b < m->n_fields; b++) {
				ck_assert_uint_ne(m->fields[a].id, m->fields[b].id);
				ck_assert_str_ne(m->fields[a].name, m->fields[b].name);
			}
	}
	for (size_t i = 0; i < n_enums; i++)
		ck_assert_ptr_ne(protobuf_c_enum_descriptor_get_value(enums[i], 0), NULL);
}
END_TEST

/* The dispatcher finds a verb's answer by the verb's own number. */
START_TEST(every_verb_has_an_answer_of_the_same_number_and_name)
{
	const ProtobufCMessageDescriptor *request = &sparkbus__request__descriptor;
	unsigned verbs = 0;

	for (unsigned i = 0; i < request->n_fields; i++) {
		const ProtobufCFieldDescriptor *verb = &request->fields[i], *answer;

		if (!(verb->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
			continue;
		answer = protobuf_c_message_descriptor_get_field(
				&sparkbus__response__descriptor, verb->id);
		ck_assert_ptr_ne(answer, NULL);
		ck_assert_str_eq(answer->name, verb->name);
		ck_assert(answer->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
		verbs++;
	}
	ck_assert_uint_ge(verbs, 13);
}
END_TEST

static int write_golden(const char *path)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err;

	write_all(&out);
	if (sb_fs_write(path, out.data, out.len, 0644, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("proto");
	TCase *tc = tcase_create("proto");
	SRunner *runner;
	int failed;

	if (argc == 3 && !strcmp(argv[1], "--write"))
		return write_golden(argv[2]);
	tcase_add_test(tc, the_wire_form_is_the_frozen_one);
	tcase_add_test(tc, no_number_or_name_is_used_twice);
	tcase_add_test(tc, every_verb_has_an_answer_of_the_same_number_and_name);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
