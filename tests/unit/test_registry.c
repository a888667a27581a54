/* Registries: which recipes may act on the workstation. */
#include <string.h>
#include <check.h>

#include "sb_origin.h"

START_TEST(only_what_the_operator_chose_may_act_here)
{
	struct sb_origin origin = { .kind = _i };

	ck_assert_int_eq(sb_origin_may_act_here(&origin),
			_i == SB_ORIGIN_PATH || _i == SB_ORIGIN_BUNDLED);
	origin.trusted = true; /* an address is never trusted, whatever a bug sets */
	ck_assert_int_eq(sb_origin_may_act_here(&origin), _i != SB_ORIGIN_URL);
}
END_TEST

START_TEST(an_origin_says_what_it_is)
{
	static const struct {
		struct sb_origin origin;
		const char *text, *kind;
	} rows[] = {
		{ { .kind = SB_ORIGIN_PATH }, "a file", "path" },
		{ { .kind = SB_ORIGIN_BUNDLED }, "bundled", "bundled" },
		{ { .kind = SB_ORIGIN_REGISTRY, .registry = (char *)"x" },
				"registry x (not trusted)", "registry" },
		{ { .kind = SB_ORIGIN_REGISTRY, .registry = (char *)"x", .trusted = true },
				"registry x (trusted)", "registry" },
		{ { .kind = SB_ORIGIN_URL, .url = (char *)"https://h/r" }, "https://h/r", "url" },
	};
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < sb_countof(rows); i++) {
		sb_strbuf_reset(&out);
		ck_assert_int_eq(sb_origin_text(&rows[i].origin, &out), 0);
		ck_assert_str_eq(sb_strbuf_str(&out), rows[i].text);
		ck_assert_str_eq(sb_origin_kind_text(rows[i].origin.kind), rows[i].kind);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry");
	TCase *tc = tcase_create("origin");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
			tc, only_what_the_operator_chose_may_act_here, 0, SB_ORIGIN_KIND_COUNT_);
	tcase_add_test(tc, an_origin_says_what_it_is);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
