/* The pure half of the readiness probe: what is asked, and what counts as produced. */
#include <check.h>
#include <jansson.h>
#include <string.h>

#include "sb_probe.h"

static Sparkbus__Readiness how_to(Sparkbus__Probe probe)
{
	Sparkbus__Readiness how = SPARKBUS__READINESS__INIT;

	how.probe = probe;
	how.model = (char *)"a \"quoted\" model";
	return how;
}

static bool produced(Sparkbus__Probe probe, const char *body)
{
	Sparkbus__Readiness how = how_to(probe);

	return sb_probe_produced(&how, 0, body, strlen(body));
}

START_TEST(every_way_asks_for_the_model_in_valid_json)
{
	Sparkbus__Readiness how = how_to(_i);

	for (unsigned attempt = 0;; attempt++) {
		char *body = NULL;
		const char *target = sb_probe_request(&how, attempt, &body);
		json_t *json;

		if (!target)
			break;
		ck_assert_int_eq(target[0], '/');
		json = json_loads(body, 0, NULL);
		ck_assert_ptr_nonnull(json);
		ck_assert_str_eq(json_string_value(json_object_get(json, "model")), how.model);
		json_decref(json);
		free(body);
	}
}
END_TEST

START_TEST(a_generating_engine_is_asked_for_one_token)
{
	Sparkbus__Readiness how = how_to(SPARKBUS__PROBE__PROBE_GENERATE);
	char *body = NULL;

	ck_assert_str_eq(sb_probe_request(&how, 0, &body), "/v1/completions");
	ck_assert_ptr_nonnull(strstr(body, "\"max_tokens\":1"));
	free(body);
	ck_assert_str_eq(sb_probe_request(&how, 1, &body), "/v1/chat/completions");
	free(body);
	ck_assert_ptr_null(sb_probe_request(&how, 2, &body));
	ck_assert_ptr_null(body);
}
END_TEST

START_TEST(models_alone_asks_for_nothing_more)
{
	Sparkbus__Readiness how = how_to(SPARKBUS__PROBE__PROBE_MODELS);
	char *body = NULL;

	ck_assert_ptr_null(sb_probe_request(&how, 0, &body));
}
END_TEST

START_TEST(a_token_is_life)
{
	ck_assert(produced(SPARKBUS__PROBE__PROBE_GENERATE,
			"{\"choices\":[{\"text\":\" 4\"}],\"usage\":{\"completion_tokens\":1}}"));
	ck_assert(produced(SPARKBUS__PROBE__PROBE_GENERATE, "{\"choices\":[{\"text\":\"\"}]}"));
	ck_assert(produced(SPARKBUS__PROBE__PROBE_EMBED, "{\"data\":[{\"embedding\":[0.5]}]}"));
	ck_assert(produced(SPARKBUS__PROBE__PROBE_SCORE, "{\"data\":[{\"score\":0.5}]}"));
}
END_TEST

START_TEST(a_valid_answer_without_a_product_is_not)
{
	static const char *const dead[] = {
		"",
		"null",
		"[]",
		"{}",
		"not json",
		"{\"choices\":[]}",
		"{\"choices\":{}}",
		"{\"choices\":[{}],\"usage\":{\"completion_tokens\":0}}",
		"{\"status\":\"ok\"}",
		"{\"choices\":",
		"\xff\xfe",
	};

	for (size_t i = 0; i < sb_countof(dead); i++)
		ck_assert_msg(!produced(SPARKBUS__PROBE__PROBE_GENERATE, dead[i]), "%s", dead[i]);
	ck_assert(!produced(SPARKBUS__PROBE__PROBE_EMBED, "{\"choices\":[{}]}"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tc = tcase_create("pure");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, every_way_asks_for_the_model_in_valid_json, 0, 4);
	tcase_add_test(tc, a_generating_engine_is_asked_for_one_token);
	tcase_add_test(tc, models_alone_asks_for_nothing_more);
	tcase_add_test(tc, a_token_is_life);
	tcase_add_test(tc, a_valid_answer_without_a_product_is_not);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
