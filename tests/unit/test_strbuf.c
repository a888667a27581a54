#include <check.h>
#include <limits.h>
#include <string.h>

#include "sb_err.h"
#include "sb_strbuf.h"

START_TEST(an_empty_buffer_is_the_empty_text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *text = NULL;

	ck_assert_str_eq(sb_strbuf_str(&buf), "");
	ck_assert_int_eq(sb_strbuf_add(&buf, NULL, 0), 0);
	ck_assert_str_eq(sb_strbuf_str(&buf), "");
	sb_strbuf_done(&buf);
	text = sb_strbuf_steal(&buf);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(every_way_of_adding_appends)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_strbuf_adds(&buf, "ab"), 0);
	ck_assert_int_eq(sb_strbuf_addc(&buf, 'c'), 0);
	ck_assert_int_eq(sb_strbuf_add(&buf, "d\0e", 3), 0);
	ck_assert_int_eq(sb_strbuf_addf(&buf, "%s-%d", "f", 7), 0);
	ck_assert_int_eq(sb_strbuf_addf(&buf, "%s", ""), 0);
	ck_assert_uint_eq(buf.len, 9);
	ck_assert_mem_eq(buf.data, "abcd\0ef-7", 10);
}
END_TEST

static void check_marks(const struct sb_strbuf *buf, const char *want)
{
	ck_assert_uint_eq(buf->len, strlen(want));
	for (size_t i = 0; i < buf->len; i++)
		ck_assert_msg(buf->marks[i] == (uint32_t)(want[i] - '0'), "byte %zu has %u", i,
				buf->marks[i]);
}

START_TEST(every_byte_keeps_its_mark)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT, copy = { .mark = 5 };

	sb_strbuf_adds(&buf, "ab");
	ck_assert_ptr_null(buf.marks); /* nobody asked */
	buf.mark = 1;
	sb_strbuf_addc(&buf, 'c');
	sb_strbuf_addm(&buf, 2, "%d", 42);
	sb_strbuf_adds(&buf, "d");
	ck_assert_str_eq(buf.data, "abc42d");
	check_marks(&buf, "001221");
	sb_strbuf_adds(&copy, "<");
	sb_strbuf_add_part(&copy, &buf, 1, 4);
	sb_strbuf_adds(&copy, ">");
	ck_assert_str_eq(copy.data, "<bc42>");
	check_marks(&copy, "501225");
	sb_strbuf_remove(&copy, 1, 2);
	ck_assert_str_eq(copy.data, "<42>");
	check_marks(&copy, "5225");
	sb_strbuf_consume(&copy, 1);
	check_marks(&copy, "225");
	sb_strbuf_remove(&copy, 2, 100);
	check_marks(&copy, "22");
	sb_strbuf_remove(&copy, 3, 1); /* past its end: nothing */
	check_marks(&copy, "22");
	sb_strbuf_reset(&copy);
	for (size_t i = 0; i < 1000; i++)
		sb_strbuf_addm(&copy, (uint32_t)i, "x");
	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(copy.marks[i], i);
}
END_TEST

START_TEST(a_part_without_marks_has_those_of_its_new_place)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = { .mark = 3 };
	const struct sb_strbuf view = sb_strbuf_view("abc");

	sb_strbuf_add_part(&buf, &view, 1, 2);
	ck_assert_str_eq(buf.data, "bc");
	check_marks(&buf, "33");
}
END_TEST

START_TEST(the_text_is_terminated_after_every_add)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;

	for (size_t i = 0; i < 5000; i++) {
		ck_assert_int_eq(sb_strbuf_addc(&buf, (char)('a' + i % 26)), 0);
		ck_assert_uint_eq(strlen(buf.data), i + 1);
		ck_assert_uint_lt(buf.len, buf.space);
		i += i / 7; /* fewer strlen of long texts */
		while (buf.len < i + 1)
			sb_strbuf_addc(&buf, '.');
	}
}
END_TEST

START_TEST(the_cap_is_exact_and_sticks)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = { .max = 10 };

	ck_assert_int_eq(sb_strbuf_adds(&buf, "0123456789"), 0);
	ck_assert_int_eq(sb_strbuf_add(&buf, "", 0), 0);
	ck_assert_int_eq(sb_strbuf_addc(&buf, 'x'), -SB_E_RANGE);
	ck_assert_str_eq(sb_strbuf_str(&buf), "0123456789");
	ck_assert_int_eq(sb_strbuf_add(&buf, "", 0), -SB_E_RANGE);
	ck_assert_int_eq(sb_strbuf_addf(&buf, "%d", 1), -SB_E_RANGE);
	ck_assert_int_eq(buf.failed, -SB_E_RANGE);
	ck_assert_ptr_null(sb_strbuf_steal(&buf));
	ck_assert_uint_eq(buf.max, 10); /* the cap outlives its content */
	ck_assert_int_eq(sb_strbuf_adds(&buf, "again"), 0);
}
END_TEST

START_TEST(an_add_over_the_cap_adds_nothing)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = { .max = 4 };

	ck_assert_int_eq(sb_strbuf_adds(&buf, "ab"), 0);
	ck_assert_int_eq(sb_strbuf_addf(&buf, "%s", "cde"), -SB_E_RANGE);
	ck_assert_str_eq(sb_strbuf_str(&buf), "ab");
	sb_strbuf_reset(&buf);
	ck_assert_int_eq(buf.failed, 0);
	ck_assert_str_eq(sb_strbuf_str(&buf), "");
	ck_assert_int_eq(sb_strbuf_adds(&buf, "cdef"), 0);
}
END_TEST

/* Lengths next to SIZE_MAX come from arithmetic on a peer's numbers. */
START_TEST(absurd_lengths_are_refused_not_wrapped)
{
	static const size_t lens[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 1 };

	for (size_t i = 0; i < sb_countof(lens); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = { .max = SIZE_MAX };
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf dflt = SB_STRBUF_INIT;

		ck_assert_int_eq(sb_strbuf_addc(&buf, 'x'), 0);
		ck_assert_int_eq(sb_strbuf_add(&buf, "y", lens[i]), -SB_E_RANGE);
		ck_assert_str_eq(sb_strbuf_str(&buf), "x");
		ck_assert_int_eq(sb_strbuf_add(&dflt, "y", lens[i]), -SB_E_RANGE);
	}
}
END_TEST

START_TEST(consume_drops_from_the_front)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;

	sb_strbuf_consume(&buf, 3);
	sb_strbuf_adds(&buf, "hello");
	sb_strbuf_consume(&buf, 0);
	ck_assert_str_eq(sb_strbuf_str(&buf), "hello");
	sb_strbuf_consume(&buf, 2);
	ck_assert_str_eq(sb_strbuf_str(&buf), "llo");
	ck_assert_uint_eq(buf.len, 3);
	sb_strbuf_consume(&buf, 99);
	ck_assert_str_eq(sb_strbuf_str(&buf), "");
	ck_assert_uint_eq(buf.len, 0);
}
END_TEST

START_TEST(steal_hands_over_and_leaves_a_usable_buffer)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *text = NULL;

	sb_strbuf_adds(&buf, "mine");
	text = sb_strbuf_steal(&buf);
	ck_assert_str_eq(text, "mine");
	ck_assert_uint_eq(buf.len, 0);
	ck_assert_ptr_null(buf.data);
	sb_strbuf_adds(&buf, "next");
	ck_assert_str_eq(sb_strbuf_str(&buf), "next");
	ck_assert_str_eq(text, "mine");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strbuf");
	TCase *tc = tcase_create("strbuf");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, an_empty_buffer_is_the_empty_text);
	tcase_add_test(tc, every_way_of_adding_appends);
	tcase_add_test(tc, every_byte_keeps_its_mark);
	tcase_add_test(tc, a_part_without_marks_has_those_of_its_new_place);
	tcase_add_test(tc, the_text_is_terminated_after_every_add);
	tcase_add_test(tc, the_cap_is_exact_and_sticks);
	tcase_add_test(tc, an_add_over_the_cap_adds_nothing);
	tcase_add_test(tc, absurd_lengths_are_refused_not_wrapped);
	tcase_add_test(tc, consume_drops_from_the_front);
	tcase_add_test(tc, steal_hands_over_and_leaves_a_usable_buffer);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
