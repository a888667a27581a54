#include <check.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "sb_err.h"

START_TEST(set_returns_minus_the_code_and_fills_all)
{
	struct sb_err err = { .hint = "old cure" };

	ck_assert_int_eq(sb_err_set(&err, SB_E_BUSY, "port %d", 8000), -SB_E_BUSY);
	ck_assert_int_eq(err.code, SB_E_BUSY);
	ck_assert_str_eq(err.text, "port 8000");
	ck_assert_str_eq(err.hint, "");
}
END_TEST

START_TEST(a_null_error_still_gives_the_code)
{
	ck_assert_int_eq(sb_err_set(NULL, SB_E_RANGE, "x"), -SB_E_RANGE);
	ck_assert_int_eq(sb_err_wrap(NULL, -SB_E_RANGE, "x"), -SB_E_RANGE);
	ck_assert_int_eq(sb_err_hint(NULL, -SB_E_RANGE, "x"), -SB_E_RANGE);
	ck_assert_int_eq(sb_err_errno(NULL, ENOENT, "x"), -SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_err_nomem(NULL), -SB_E_NOMEM);
}
END_TEST

START_TEST(wrap_puts_context_in_front_and_keeps_code_and_hint)
{
	struct sb_err err;

	sb_err_set(&err, SB_E_TIMEOUT, "no answer");
	ck_assert_int_eq(sb_err_hint(&err, -7, "look at %s", "it"), -7);
	ck_assert_int_eq(sb_err_wrap(&err, -SB_E_TIMEOUT, "node %s", "spark1"), -SB_E_TIMEOUT);
	sb_err_wrap(&err, 0, "job");
	ck_assert_str_eq(err.text, "job: node spark1: no answer");
	ck_assert_str_eq(err.hint, "look at it");
	ck_assert_int_eq(err.code, SB_E_TIMEOUT);
}
END_TEST

START_TEST(a_peer_cannot_forge_lines_or_escapes)
{
	struct sb_err err;

	sb_err_set(&err, SB_E_INVALID, "a\nb\tc\x1b[31m\x7f|");
	ck_assert_str_eq(err.text, "a b c [31m |");
	sb_err_set(&err, SB_E_INVALID, "a\xc2\x9b|"); /* U+009B: one-character CSI */
	ck_assert_ptr_null(memchr(err.text, 0x9b, strlen(err.text)));
	sb_err_hint(&err, 0, "x\ry");
	ck_assert_str_eq(err.hint, "x y");
}
END_TEST

/* The text goes into protobuf strings and JSON, which must be UTF-8. */
START_TEST(bytes_that_are_no_utf8_are_replaced)
{
	static const char *const bad[] = { "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xe2\x82", "\x80" };
	struct sb_err err;

	sb_err_set(&err, SB_E_INVALID, "<%s>", bad[_i]);
	for (const char *p = err.text; *p; p++)
		ck_assert_int_lt((unsigned char)*p, 0x80);
	ck_assert_int_eq(err.text[0], '<');
	ck_assert_int_eq(err.text[strlen(err.text) - 1], '>');
	sb_err_set(&err, SB_E_INVALID, "größe 模型 🚀");
	ck_assert_str_eq(err.text, "größe 模型 🚀");
}
END_TEST

static void assert_ends_on_whole_euro(const char *text, size_t size)
{
	size_t len = strlen(text);

	ck_assert_uint_lt(len, size);
	ck_assert_uint_ge(len, size - 4);
	ck_assert_int_eq(text[len - 1], '+');
	for (size_t i = len - 1; i >= 3 && (unsigned char)text[i - 1] >= 0x80; i -= 3)
		ck_assert_mem_eq(text + i - 3, "\xe2\x82\xac", 3);
}

START_TEST(a_cut_shows_and_splits_no_character)
{
	char big[2 * SB_ERR_TEXT_MAX + 8];
	struct sb_err err;
	size_t at = (size_t)_i; /* every alignment of the cut */

	memset(big, 'x', at);
	for (; at + 3 < sizeof(big); at += 3)
		memcpy(big + at, "\xe2\x82\xac", 3);
	big[at] = '\0';
	sb_err_set(&err, SB_E_INVALID, "%s", big);
	assert_ends_on_whole_euro(err.text, sizeof(err.text));
	sb_err_hint(&err, 0, "%s", big);
	assert_ends_on_whole_euro(err.hint, sizeof(err.hint));
	sb_err_set(&err, SB_E_INVALID, "%.*s", 480 + _i, big);
	sb_err_wrap(&err, 0, "%.120s", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	assert_ends_on_whole_euro(err.text, sizeof(err.text));
	sb_err_errno(&err, EIO, "%s", big);
	ck_assert_uint_lt(strlen(err.text), sizeof(err.text));
}
END_TEST

START_TEST(the_longest_text_that_fits_is_not_marked)
{
	char fits[SB_ERR_TEXT_MAX];
	struct sb_err err;

	memset(fits, 'x', sizeof(fits) - 1);
	fits[sizeof(fits) - 1] = '\0';
	sb_err_set(&err, SB_E_INVALID, "%s", fits);
	ck_assert_str_eq(err.text, fits);
}
END_TEST

/* `sb_err_set(err, code, "...%s", err->text)` is the natural way to change a code. */
START_TEST(an_error_may_be_built_from_itself)
{
	struct sb_err err;

	sb_err_set(&err, SB_E_INVALID, "inner");
	sb_err_set(&err, SB_E_INTERNAL, "outer (%s)", err.text);
	ck_assert_str_eq(err.text, "outer (inner)");
	sb_err_hint(&err, 0, "cure");
	sb_err_hint(&err, 0, "first %s", err.hint);
	ck_assert_str_eq(err.hint, "first cure");
	sb_err_wrap(&err, 0, "<%s>", err.text);
	ck_assert_str_eq(err.text, "<outer (inner)>: outer (inner)");
}
END_TEST

START_TEST(errno_becomes_a_code_and_words)
{
	static const struct {
		int errnum;
		enum sb_code code;
	} rows[] = {
		{ ENOENT, SB_E_NOT_FOUND },
		{ EACCES, SB_E_DENIED },
		{ ETIMEDOUT, SB_E_TIMEOUT },
		{ ECONNREFUSED, SB_E_UNAVAILABLE },
		{ EADDRINUSE, SB_E_BUSY },
		{ ENOSPC, SB_E_RANGE },
		{ EFBIG, SB_E_RANGE },
		{ ENOMEM, SB_E_NOMEM },
		{ EINVAL, SB_E_INVALID },
		{ EIO, SB_E_INTERNAL },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		struct sb_err err;

		ck_assert_int_eq(sb_err_errno(&err, rows[i].errnum, "open %s", "f"),
				-(int)rows[i].code);
		ck_assert_ptr_eq(strstr(err.text, "open f: "), err.text);
		ck_assert_ptr_nonnull(strstr(err.text, strerror(rows[i].errnum)));
	}
}
END_TEST

START_TEST(every_code_has_a_name_of_its_own)
{
	for (int a = 0; a < SB_CODE_COUNT_; a++) {
		ck_assert_uint_gt(strlen(sb_code_name((enum sb_code)a)), 0);
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(sb_code_name((enum sb_code)a),
					sb_code_name((enum sb_code)b));
	}
	ck_assert_str_eq(sb_code_name((enum sb_code)999), "INTERNAL");
	ck_assert_str_eq(sb_code_name((enum sb_code)INT_MIN), "INTERNAL");
	ck_assert_int_eq(sb_code_exit((enum sb_code)999), 1);
	ck_assert(!sb_code_retry((enum sb_code)999));
}
END_TEST

/* The truth rule: only what was not answered is unknown (3); only SB_OK is 0. */
START_TEST(exit_status_keeps_the_truth_rule)
{
	for (int c = 0; c < SB_CODE_COUNT_; c++) {
		bool unknown = c == SB_E_TIMEOUT || c == SB_E_UNAVAILABLE;

		ck_assert_int_eq(sb_code_exit((enum sb_code)c), c == SB_OK ? 0 : unknown ? 3 : 1);
		if (unknown)
			ck_assert(sb_code_retry((enum sb_code)c));
	}
	ck_assert(!sb_code_retry(SB_E_INVALID));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("err");
	TCase *tc = tcase_create("err");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, set_returns_minus_the_code_and_fills_all);
	tcase_add_test(tc, a_null_error_still_gives_the_code);
	tcase_add_test(tc, wrap_puts_context_in_front_and_keeps_code_and_hint);
	tcase_add_test(tc, a_peer_cannot_forge_lines_or_escapes);
	tcase_add_loop_test(tc, bytes_that_are_no_utf8_are_replaced, 0, 6);
	tcase_add_loop_test(tc, a_cut_shows_and_splits_no_character, 0, 4);
	tcase_add_test(tc, the_longest_text_that_fits_is_not_marked);
	tcase_add_test(tc, an_error_may_be_built_from_itself);
	tcase_add_test(tc, errno_becomes_a_code_and_words);
	tcase_add_test(tc, every_code_has_a_name_of_its_own);
	tcase_add_test(tc, exit_status_keeps_the_truth_rule);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
