#include <check.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

struct inner {
	const char *text;
	struct opt_list list;
};
struct outer {
	bool flag;
	int loud, choice;
	struct opt_int number;
	struct opt_float share;
	struct inner in;
};

static const struct opt inner_rows[] = {
	{ OPT_TEXT, 'H', "hosts", "nodes,machines", "A,B", "x", offsetof(struct inner, text) },
	{ OPT_LIST, 'o', "option", NULL, "K=V", "x", offsetof(struct inner, list) },
	{ OPT_END },
};
static const struct opt rows[] = {
	{ OPT_FLAG, 'n', "dry-run", NULL, NULL, "x", offsetof(struct outer, flag) },
	{ OPT_COUNT, 'v', "verbose", NULL, NULL, "x", offsetof(struct outer, loud) },
	{ OPT_SET, 0, "follow", NULL, NULL, "x", offsetof(struct outer, choice), .value = 1 },
	{ OPT_SET, 0, "no-follow", NULL, NULL, "x", offsetof(struct outer, choice), .value = 2 },
	{ OPT_INT, 0, "port", NULL, "N", "x", offsetof(struct outer, number), 1, 65535 },
	{ OPT_FLOAT, 0, "gpu-mem", NULL, "F", "x", offsetof(struct outer, share), 0, 1 },
	{ OPT_GROUP, .name = "Hosts", .at = offsetof(struct outer, in), .group = inner_rows },
	{ OPT_END },
};

#define ARGS_MAX 16

struct parsed {
	struct outer opts;
	const char *args[ARGS_MAX];
	size_t n;
	struct sb_err err;
	int rc;
};

static void parse(struct parsed *p, const char *const *argv)
{
	const struct opt_target target = { rows, &p->opts };
	size_t argc = 0;

	memset(p, 0, sizeof(*p));
	while (argv[argc])
		argc++;
	p->rc = options_parse(&target, 1, argv, argc, p->args, &p->n, NULL, &p->err);
}

#define PARSE(p, ...) parse(p, (const char *const[]){ __VA_ARGS__, NULL })

static void done(struct parsed *p)
{
	options_done(&(struct opt_target){ rows, &p->opts });
}

START_TEST(options_and_words_interleave)
{
	struct parsed p;

	PARSE(&p, "a", "-n", "b", "--port", "8000", "c", "--hosts=x,y", "-vv");
	ck_assert_int_eq(p.rc, 0);
	ck_assert_uint_eq(p.n, 3);
	ck_assert_str_eq(p.args[2], "c");
	ck_assert(p.opts.flag);
	ck_assert_int_eq(p.opts.number.value, 8000);
	ck_assert_str_eq(p.opts.in.text, "x,y");
	ck_assert_int_eq(p.opts.loud, 2);
	done(&p);
}
END_TEST

START_TEST(two_dashes_end_the_options_and_one_is_a_word)
{
	struct parsed p;

	PARSE(&p, "-", "--", "-n", "--port");
	ck_assert_int_eq(p.rc, 0);
	ck_assert_uint_eq(p.n, 3);
	ck_assert_str_eq(p.args[0], "-");
	ck_assert_str_eq(p.args[1], "-n");
	ck_assert(!p.opts.flag);
	done(&p);
}
END_TEST

START_TEST(short_forms_are_equal)
{
	struct parsed p;

	PARSE(&p, "-nHa,b");
	ck_assert_int_eq(p.rc, 0);
	ck_assert(p.opts.flag);
	ck_assert_str_eq(p.opts.in.text, "a,b");
	done(&p);
	PARSE(&p, "-n", "-H", "a,b");
	ck_assert_str_eq(p.opts.in.text, "a,b");
	done(&p);
}
END_TEST

START_TEST(aliases_lists_and_last_word)
{
	struct parsed p;

	PARSE(&p, "--machines", "m", "-o", "a=1", "-o", "b=-2", "--option=c=", "--follow",
			"--no-follow");
	ck_assert_int_eq(p.rc, 0);
	ck_assert_str_eq(p.opts.in.text, "m");
	ck_assert_uint_eq(p.opts.in.list.n, 3);
	ck_assert_str_eq(p.opts.in.list.items[1], "b=-2");
	ck_assert_str_eq(p.opts.in.list.items[2], "c=");
	ck_assert_int_eq(p.opts.choice, 2);
	done(&p);
}
END_TEST

static const struct {
	const char *argv[4];
	const char *text, *hint;
} wrong[] = {
	{ { "--prot", "1" }, "No such option: --prot", "Did you mean --port?" },
	{ { "--machine=x" }, "No such option: --machine", NULL },
	{ { "--gpu" }, "No such option: --gpu", "Did you mean --gpu-mem?" },
	{ { "--zzzzzz" }, "No such option: --zzzzzz", "" },
	{ { "-x" }, "No such option: -x", "" },
	{ { "--port" }, "--port needs a value: N", "" },
	{ { "-H" }, "-H needs a value: A,B", "" },
	{ { "--port", "" }, "not a whole number", "" },
	{ { "--port", "80x" }, "not a whole number", "" },
	{ { "--port", "0" }, "not in the range 1 to 65535", "" },
	{ { "--port", "65536" }, "not in the range", "" },
	{ { "--port", "99999999999999999999" }, "not in the range", "" },
	{ { "--gpu-mem", "1.01" }, "not in the range 0 to 1", "" },
	{ { "--gpu-mem", "nan" }, "not a number", "" },
	{ { "--gpu-mem", "inf" }, "not a number", "" },
	{ { "--dry-run=yes" }, "--dry-run takes no value", "" },
};

START_TEST(wrong_input_is_named)
{
	struct parsed p;

	parse(&p, wrong[_i].argv);
	ck_assert_int_eq(p.rc, -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(p.err.text, wrong[_i].text));
	if (wrong[_i].hint)
		ck_assert_str_eq(p.err.hint, wrong[_i].hint);
	done(&p);
}
END_TEST

START_TEST(parsing_can_stop_at_the_first_word)
{
	const char *const argv[] = { "-n", "run", "--port", "1" };
	struct outer opts = { 0 };
	const struct opt_target target = { rows, &opts };
	struct sb_err err;
	size_t n, stop;

	ck_assert_int_eq(options_parse(&target, 1, argv, 4, NULL, &n, &stop, &err), 0);
	ck_assert_uint_eq(stop, 1);
	ck_assert(opts.flag);
}
END_TEST

START_TEST(near_words_are_found_and_far_ones_not)
{
	static const char *const names[] = { "run", "stop", "status", "logs", "cluster" };

	ck_assert_str_eq(did_you_mean("stauts", names, 5), "status");
	ck_assert_str_eq(did_you_mean("clutser", names, 5), "cluster");
	ck_assert_str_eq(did_you_mean("clu", names, 5), "cluster");
	ck_assert_str_eq(did_you_mean("rnu", names, 5), "run");
	ck_assert_ptr_null(did_you_mean("benchmark", names, 5));
	ck_assert_ptr_null(did_you_mean("x", names, 5));
	ck_assert_ptr_null(did_you_mean("", names, 5));
}
END_TEST

START_TEST(lists_drop_blanks_and_empty_parts)
{
	struct sb_err err;
	char **list = NULL;
	size_t n = 0;

	ck_assert_int_eq(split_list(" a , ,b,\tc d ,", &list, &n, &err), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(list[0], "a");
	ck_assert_str_eq(list[2], "c d");
	free_list(list, n);
}
END_TEST

/* --- credentials of registries --- */

static void ck_auth(const char *config, const char *image, int want, const char *has)
{
	char *auth = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(registry_auth(config, image, &auth, &err), want);
	if (has)
		ck_assert_str_eq(auth, has);
	ck_assert_ptr_null(strstr(err.text, "cGFzcw"));
	free(auth);
}

START_TEST(registry_logins_are_found)
{
	/* user:pass */
	static const char config[] = "{\"auths\":{\"ghcr.io\":{\"auth\":\"dXNlcjpwYXNz\"},"
				     "\"https://index.docker.io/v1/\":{\"auth\":\"YTpi\"}}}";

	/* base64url of {"username":"user","password":"pass","serveraddress":"ghcr.io"} */
	ck_auth(config, "ghcr.io/x/y:1", 0,
			"eyJ1c2VybmFtZSI6InVzZXIiLCJwYXNzd29yZCI6InBhc3MiLCJzZXJ2ZXJhZGRyZXNzIjoiZ2"
			"hjci5pbyJ9");
	ck_auth(config, "vllm/vllm-openai:latest", 0,
			"eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImIiLCJzZXJ2ZXJhZGRyZXNzIjoiZG9ja2VyLm"
			"lvIn0=");
	ck_auth(config, "quay.io/x/y", 0, "");
	ck_auth(config, "ghcr.io.evil.example/x", 0, "");
	ck_auth("{}", "alpine", 0, "");
	ck_auth("{\"auths\":{\"ghcr.io\":{\"auth\":\"####\"}}}", "ghcr.io/x", 0, "");
	ck_auth("{\"credsStore\":\"desktop\"}", "ghcr.io/x", -SB_E_UNSUPPORTED, NULL);
	ck_auth("{\"credHelpers\":{\"ghcr.io\":\"gh\"}}", "ghcr.io/x", -SB_E_UNSUPPORTED, NULL);
	ck_auth("{\"credHelpers\":{\"ghcr.io\":\"gh\"}}", "quay.io/x", 0, "");
	ck_auth("not json", "alpine", -SB_E_INVALID, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *tc = tcase_create("options");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, options_and_words_interleave);
	tcase_add_test(tc, two_dashes_end_the_options_and_one_is_a_word);
	tcase_add_test(tc, short_forms_are_equal);
	tcase_add_test(tc, aliases_lists_and_last_word);
	tcase_add_loop_test(tc, wrong_input_is_named, 0, sb_countof(wrong));
	tcase_add_test(tc, parsing_can_stop_at_the_first_word);
	tcase_add_test(tc, near_words_are_found_and_far_ones_not);
	tcase_add_test(tc, lists_drop_blanks_and_empty_parts);
	tcase_add_test(tc, registry_logins_are_found);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
