#include <check.h>
#include <string.h>

#include "bus.pb-c.h"
#include "sb_render.h"

static json_t *render(const void *msg, const struct sb_mask *mask)
{
	json_t *json = sb_render_message(msg, mask);

	ck_assert_ptr_nonnull(json);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

START_TEST(scalars_keep_their_values)
{
	Sparkbus__JobStatus s = SPARKBUS__JOB_STATUS__INIT;
	json_t *json;

	s.job = (char *)"sparkbus_0123456789ab";
	s.generation = (uint64_t)1 << 53;
	s.state = SPARKBUS__JOB_STATE__JOB_READY;
	s.authoritative = true;
	json = render(&s, NULL);
	ck_assert_str_eq(text_of(json, "job"), s.job);
	ck_assert(json_is_integer(json_object_get(json, "generation")));
	ck_assert_int_eq(json_integer_value(json_object_get(json, "generation")),
			(long long)1 << 53);
	ck_assert_str_eq(text_of(json, "state"), "READY");
	ck_assert_str_eq(text_of(json, "health"), "UNKNOWN");
	ck_assert(json_is_true(json_object_get(json, "authoritative")));
	ck_assert(json_is_array(json_object_get(json, "ranks")));
	json_decref(json);
}
END_TEST

START_TEST(absent_is_absent_and_zero_is_zero)
{
	Sparkbus__RankStatus r = SPARKBUS__RANK_STATUS__INIT;
	json_t *json = render(&r, NULL);

	ck_assert_ptr_null(json_object_get(json, "exit_code"));
	json_decref(json);
	r.has_exit_code_case = SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE;
	json = render(&r, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "exit_code")), 0);
	ck_assert_ptr_nonnull(json_object_get(json, "exit_code"));
	json_decref(json);
}
END_TEST

START_TEST(an_enum_value_of_the_future_is_a_number)
{
	Sparkbus__RankStatus r = SPARKBUS__RANK_STATUS__INIT;
	json_t *json;
	char buf[32];

	r.state = (Sparkbus__RankState)99;
	json = render(&r, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "state")), 99);
	json_decref(json);
	ck_assert_str_eq(sb_render_enum(&sparkbus__rank_state__descriptor, 99, buf, sizeof(buf)),
			"?");
	ck_assert_str_eq(sb_render_enum(&sparkbus__rank_state__descriptor,
					 SPARKBUS__RANK_STATE__RANK_RUNNING, buf, sizeof(buf)),
			"running");
}
END_TEST

START_TEST(log_bytes_become_utf8_and_others_hex)
{
	/* Valid: e with acute. Invalid: a lone 0xff, an overlong slash, a surrogate, a NUL. */
	static const char bytes[] = "\xc3\xa9\xff\xc0\xaf\xed\xa0\x80\0z";
	Sparkbus__LogLine line = SPARKBUS__LOG_LINE__INIT, *lines[] = { &line };
	Sparkbus__ReadLogReply reply = SPARKBUS__READ_LOG_REPLY__INIT;
	json_t *json, *got;

	line.text = (ProtobufCBinaryData){ sizeof(bytes) - 1, (uint8_t *)bytes };
	reply.lines = lines;
	reply.n_lines = 1;
	reply.next_cursor = (ProtobufCBinaryData){ 3, (uint8_t *)"\x00\xab\x7f" };
	json = render(&reply, NULL);
	got = json_array_get(json_object_get(json, "lines"), 0);
	ck_assert_str_eq(text_of(got, "text"),
			"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	ck_assert_str_eq(text_of(json, "next_cursor"), "00ab7f");
	json_decref(json);
}
END_TEST

static void fill_plan(Sparkbus__LaunchPlan *plan, Sparkbus__RankSpec *rank, Sparkbus__EnvVar *env,
		Sparkbus__Readiness *ready)
{
	static char *argv[] = { (char *)"vllm", (char *)"--api-key=tok-abcdef", (char *)"short" };
	static Sparkbus__EnvVar *envs[2];
	static Sparkbus__RankSpec *ranks[1];
	static Sparkbus__File files[2], *list[] = { &files[0], &files[1] };

	for (int i = 0; i < 2; i++) {
		files[i] = (Sparkbus__File)SPARKBUS__FILE__INIT;
		files[i].content.data = (uint8_t *)(i ? "a: tok-abcdef\n" : "file_secret");
		files[i].content.len = strlen((const char *)files[i].content.data);
	}
	files[0].secret = true;
	for (int i = 0; i < 2; i++) {
		env[i] = (Sparkbus__EnvVar)SPARKBUS__ENV_VAR__INIT;
		envs[i] = &env[i];
	}
	env[0].name = (char *)"HF_TOKEN";
	env[0].value = (char *)"hf_secret";
	env[0].secret = true;
	env[1].name = (char *)"PLAIN";
	env[1].value = (char *)"shown";
	*ready = (Sparkbus__Readiness)SPARKBUS__READINESS__INIT;
	ready->api_key = (char *)"tok-abcdef";
	*rank = (Sparkbus__RankSpec)SPARKBUS__RANK_SPEC__INIT;
	rank->argv = argv;
	rank->n_argv = 3;
	rank->env = envs;
	rank->n_env = 2;
	rank->files = list;
	rank->n_files = 2;
	ranks[0] = rank;
	*plan = (Sparkbus__LaunchPlan)SPARKBUS__LAUNCH_PLAN__INIT;
	plan->ranks = ranks;
	plan->n_ranks = 1;
	plan->readiness = ready;
}

START_TEST(no_secret_of_a_plan_is_shown)
{
	SB_CLEANUP(sb_mask_done) struct sb_mask mask = SB_MASK_INIT;
	Sparkbus__LaunchPlan plan;
	Sparkbus__Readiness ready;
	Sparkbus__RankSpec rank;
	Sparkbus__EnvVar env[2];
	json_t *json;
	char *text;

	fill_plan(&plan, &rank, env, &ready);
	ck_assert_int_eq(sb_mask_add(&mask, ready.api_key, NULL), 0);
	ck_assert_int_eq(sb_mask_add(&mask, "", NULL), 0);
	json = render(&plan, &mask);
	text = json_dumps(json, 0);
	ck_assert_ptr_null(strstr(text, "hf_secret"));
	ck_assert_ptr_null(strstr(text, "tok-abcdef"));
	ck_assert_ptr_null(strstr(text, "file_secret"));
	ck_assert_ptr_nonnull(strstr(text, "a: ***\\n"));
	ck_assert_ptr_nonnull(strstr(text, "--api-key=***"));
	ck_assert_ptr_nonnull(strstr(text, "shown"));
	free(text);
	json_decref(json);
}
END_TEST

START_TEST(short_secrets_hide_whole_texts_only)
{
	SB_CLEANUP(sb_mask_done) struct sb_mask mask = SB_MASK_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_mask_add(&mask, "a", NULL), 0);
	sb_mask_text(&mask, "banana", &out);
	ck_assert_str_eq(sb_strbuf_str(&out), "banana");
	sb_strbuf_reset(&out);
	sb_mask_text(&mask, "a", &out);
	ck_assert_str_eq(sb_strbuf_str(&out), "***");
}
END_TEST

START_TEST(a_shell_reads_back_what_was_quoted)
{
	static const char *const args[] = { "plain", "", "two words", "it's", "$HOME `x` \\ \"q\"",
		"line\nbreak", "a=b", "*", "~", "#x", "{\"k\": 1}" };

	for (size_t i = 0; i < sb_countof(args); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf cmd = SB_STRBUF_INIT;
		char back[64];
		size_t n;
		FILE *pipe;

		sb_strbuf_adds(&cmd, "printf %s ");
		sb_render_shell(&cmd, args[i]);
		pipe = popen(sb_strbuf_str(&cmd), "r");
		ck_assert_ptr_nonnull(pipe);
		n = fread(back, 1, sizeof(back) - 1, pipe);
		back[n] = '\0';
		ck_assert_int_eq(pclose(pipe), 0);
		ck_assert_str_eq(back, args[i]);
	}
}
END_TEST

START_TEST(durations_and_sizes)
{
	char buf[32];

	ck_assert_str_eq(sb_render_duration(45000, buf, sizeof(buf)), "45s");
	ck_assert_str_eq(sb_render_duration(185000, buf, sizeof(buf)), "3m05s");
	ck_assert_str_eq(sb_render_duration(7800000, buf, sizeof(buf)), "2h10m");
	ck_assert_str_eq(sb_render_duration(356400000, buf, sizeof(buf)), "4d03h");
	ck_assert_str_eq(sb_render_bytes(1023, buf, sizeof(buf)), "1023 B");
	ck_assert_str_eq(sb_render_bytes(1024, buf, sizeof(buf)), "1.0 KiB");
	ck_assert_str_eq(sb_render_bytes(1048575, buf, sizeof(buf)), "1.0 MiB");
	ck_assert_str_eq(sb_render_bytes((uint64_t)128 << 30, buf, sizeof(buf)), "128.0 GiB");
}
END_TEST

START_TEST(nothing_steers_a_terminal)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	static const char text[] = "a\033]0;t\007b\tc\xc2\x9b"
				   "d\x7f\xc3\xa9";

	sb_render_clean(&out, text, sizeof(text) - 1);
	ck_assert_str_eq(sb_strbuf_str(&out), "a?]0;t?b\tc?d?\xc3\xa9");
}
END_TEST

START_TEST(columns_line_up)
{
	static const char *const headers[] = { "NAME", "X", "LAST" };
	struct sb_table table;
	struct sb_err err;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	sb_table_init(&table, headers, 3);
	ck_assert_int_eq(sb_table_print(&table, out, &err), 0);
	ck_assert_int_eq(ftell(out), 0);
	sb_table_row(&table, (const char *const[]){ "a", NULL, "z" });
	sb_table_row(&table, (const char *const[]){ "longer\xc3\xa9", "1\n2", "y" });
	ck_assert_int_eq(sb_table_print(&table, out, &err), 0);
	fclose(out);
	ck_assert_str_eq(text, "NAME     X    LAST\na        -    z\nlonger\xc3\xa9  1?2  y\n");
	free(text);
	sb_table_done(&table);
}
END_TEST

/* What is printed of a table with a title, in @fit columns. */
static const char *print_fitted(size_t fit)
{
	static const char *const headers[] = { "NAME", "X", "A LONG LAST ONE" };
	static char copy[256];
	struct sb_table table;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	sb_table_init(&table, headers, 3);
	table.fit = fit;
	sb_table_row(&table, (const char *const[]){ "a", "", "short" });
	sb_table_title(&table, "a title that is as long as it likes, \033 too");
	sb_table_row(&table,
			(const char *const[]){
					"bb", "1", "\xc3\xa9\xc3\xa9\xc3\xa9-0123456789abcdef" });
	ck_assert_int_eq(sb_table_print(&table, out, NULL), 0);
	fclose(out);
	snprintf(copy, sizeof(copy), "%s", text);
	free(text);
	sb_table_done(&table);
	return copy;
}

#define TITLE "a title that is as long as it likes, ? too\n"

START_TEST(a_table_fits_the_terminal)
{
	static const char whole[] = "NAME  X  A LONG LAST ONE\na        short\n" TITLE
				    "bb    1  \xc3\xa9\xc3\xa9\xc3\xa9-0123456789abcdef\n";
	FILE *file = tmpfile();

	ck_assert_str_eq(print_fitted(0), whole);
	ck_assert_str_eq(print_fitted(29), whole);
	ck_assert_str_eq(print_fitted(28),
			"NAME  X  A LONG LAST ONE\na        short\n" TITLE
			"bb    1  \xc3\xa9\xc3\xa9\xc3\xa9-0123456789abcd+\n");
	ck_assert_str_eq(print_fitted(21),
			"NAME  X  A LONG LAST+\na        short\n" TITLE
			"bb    1  \xc3\xa9\xc3\xa9\xc3\xa9-0123456+\n");
	/* Less would tell nothing. */
	ck_assert_str_eq(print_fitted(20), "NAME  X\na     \n" TITLE "bb    1\n");
	ck_assert_uint_eq(sb_terminal_columns(file), 0);
	fclose(file);
}
END_TEST

START_TEST(progress_in_a_file_is_whole_lines)
{
	FILE *out = tmpfile();
	struct sb_progress p = { .out = out, .steps = 3 };
	char line[3][64];

	ck_assert_ptr_nonnull(out);
	sb_progress_step(&p, "One");
	sb_progress_note(&p, "x\033y");
	sb_progress_skip(&p, "Two", "no need");
	rewind(out);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(fgets(line[i], sizeof(line[i]), out));
	ck_assert_str_eq(line[0], "[1/3] One\n");
	ck_assert_str_eq(line[1], "  x?y\n");
	ck_assert_str_eq(line[2], "[2/3] Two — skipped (no need)\n");
	fclose(out);
	p = (struct sb_progress){ .steps = 1 };
	sb_progress_step(&p, "quiet");
	sb_progress_done(&p);
}
END_TEST

START_TEST(a_document_is_json_with_short_floats)
{
	static const char *const same[] = { "{}", "[]", "null",
		"{\"a\":[1,[],{},true,null,\"x\\n\"]}",
		"[[[]],{\"k\\\"\":{\"z\":-1,\"a\":\"\u00e9\"}}]" };
	static const char *const reals[] = { "0.8", "96.80000000000001", "1.0", "1e+16", "5e-324",
		"-0.1" };
	char *text, *want;
	size_t len;

	for (size_t i = 0; i < sb_countof(same) + sb_countof(reals); i++) {
		const char *from = i < sb_countof(same) ? same[i] : reals[i - sb_countof(same)];
		json_t *json = json_loads(from, JSON_DECODE_ANY, NULL);
		FILE *out = open_memstream(&text, &len);

		ck_assert_ptr_nonnull(json);
		ck_assert_int_eq(sb_render_json(out, json, NULL), 0);
		fclose(out);
		text[len - 1] = '\0'; /* the line end */
		want = i < sb_countof(same) ? json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY)
					    : strdup(from);
		ck_assert_str_eq(text, want);
		free(text);
		free(want);
		json_decref(json);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("render");
	TCase *tc = tcase_create("render");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, scalars_keep_their_values);
	tcase_add_test(tc, absent_is_absent_and_zero_is_zero);
	tcase_add_test(tc, an_enum_value_of_the_future_is_a_number);
	tcase_add_test(tc, log_bytes_become_utf8_and_others_hex);
	tcase_add_test(tc, no_secret_of_a_plan_is_shown);
	tcase_add_test(tc, short_secrets_hide_whole_texts_only);
	tcase_add_test(tc, a_shell_reads_back_what_was_quoted);
	tcase_add_test(tc, durations_and_sizes);
	tcase_add_test(tc, nothing_steers_a_terminal);
	tcase_add_test(tc, columns_line_up);
	tcase_add_test(tc, a_table_fits_the_terminal);
	tcase_add_test(tc, a_document_is_json_with_short_floats);
	tcase_add_test(tc, progress_in_a_file_is_whole_lines);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
