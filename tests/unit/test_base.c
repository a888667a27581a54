#include <check.h>
#include <string.h>

#include "sb_base.h"

START_TEST(clean_text_stays)
{
	char text[] = "plain, größe, \xc2\xa0, 模型, 🚀, \xef\xbf\xbf, \xf4\x8f\xbf\xbf";
	char copy[sizeof(text)];

	memcpy(copy, text, sizeof(text));
	sb_text_clean(text);
	ck_assert_str_eq(text, copy);
}
END_TEST

static const struct {
	const char *in, *out;
} rows[] = {
	{ "", "" }, { "\n\r\t\x1b\x01\x1f\x7f", "       " }, { "a\xc2\x80\xc2\x9f", "a    " },
	{ "\xff\xfe", "??" }, { "\xc0\xaf", "??" }, /* overlong '/' */
	{ "\xe0\x80\xaf", "???" },                  /* overlong '/' */
	{ "\xed\xa0\x80", "???" },                  /* surrogate */
	{ "\xf4\x90\x80\x80", "????" },             /* U+110000 */
	{ "x\xe2\x82", "x??" },                     /* cut short */
	{ "\xe2\x82x", "??x" }, { "\xf0\x9f\x9a", "???" },
	{ "\xc3\n", "? " }, /* the line end is not swallowed */
};

START_TEST(what_is_unfit_is_replaced_byte_by_byte)
{
	char text[16];

	strcpy(text, rows[_i].in);
	sb_text_clean(text);
	ck_assert_str_eq(text, rows[_i].out);
}
END_TEST

START_TEST(a_cut_never_splits_a_character)
{
	const char *text = "aé€🚀z"; /* 1 + 2 + 3 + 4 + 1 bytes */
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };

	for (size_t max = 0; max < sb_countof(want); max++)
		ck_assert_uint_eq(sb_text_cut(text, strlen(text), max), want[max]);
	ck_assert_uint_eq(sb_text_cut("\x80\x80\x80\x80\x80\x80", 6, 5), 5); /* no text: just cut */
}
END_TEST

START_TEST(clocks_advance_in_milliseconds)
{
	uint64_t boot = sb_now_boot_ms(), unix_ms = sb_now_unix_ms();

	ck_assert_uint_ge(sb_now_boot_ms(), boot);
	ck_assert_uint_gt(unix_ms, UINT64_C(1600000000000));
	ck_assert_uint_lt(unix_ms, UINT64_C(10000000000000));
}
END_TEST

START_TEST(steal_and_empty)
{
	char *p = strdup("x"), *q = sb_steal(p);

	ck_assert_ptr_null(p);
	ck_assert_str_eq(q, "x");
	free(q);
	ck_assert(sb_empty(NULL));
	ck_assert(sb_empty(""));
	ck_assert(!sb_empty("x"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, clean_text_stays);
	tcase_add_loop_test(tc, what_is_unfit_is_replaced_byte_by_byte, 0, sb_countof(rows));
	tcase_add_test(tc, a_cut_never_splits_a_character);
	tcase_add_test(tc, clocks_advance_in_milliseconds);
	tcase_add_test(tc, steal_and_empty);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
