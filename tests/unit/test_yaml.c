#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_fs.h"
#include "sb_yaml.h"

struct remark {
	unsigned n, line, col;
	char text[200];
};

static void on_warning(void *ctx, unsigned line, unsigned col, const char *text)
{
	struct remark *r = ctx;

	r->n++;
	r->line = line;
	r->col = col;
	snprintf(r->text, sizeof(r->text), "%s", text);
}

static struct sb_yaml_doc *parse(const char *text)
{
	struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_yaml_parse("f", text, strlen(text), NULL, NULL, &doc, &err) == 0, "%s: %s",
			text, err.text);
	return doc;
}

static void assert_renders(const char *text, const char *want)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse(text);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_yaml_render(sb_yaml_root(doc), &out), 0);
	ck_assert_msg(!strcmp(sb_strbuf_str(&out), want), "%s: want %s, got %s", text, want,
			sb_strbuf_str(&out));
}

/* The published table of scalars: what is written, what it is, how it prints. */
static const struct {
	const char *written;
	enum sb_yaml_type type;
	const char *rendered;
} scalars[] = {
	{ "true", SB_YAML_BOOL, "True" },
	{ "Yes", SB_YAML_BOOL, "True" },
	{ "ON", SB_YAML_BOOL, "True" },
	{ "no", SB_YAML_BOOL, "False" },
	{ "Off", SB_YAML_BOOL, "False" },
	{ "y", SB_YAML_STR, "y" },
	{ "n", SB_YAML_STR, "n" },
	{ "tRue", SB_YAML_STR, "tRue" },
	{ "010", SB_YAML_INT, "8" },
	{ "08", SB_YAML_STR, "08" },
	{ "0o10", SB_YAML_STR, "0o10" },
	{ "0x1F", SB_YAML_INT, "31" },
	{ "0b11", SB_YAML_INT, "3" },
	{ "1_000", SB_YAML_INT, "1000" },
	{ "+5", SB_YAML_INT, "5" },
	{ "-0", SB_YAML_INT, "0" },
	{ "12:30:45", SB_YAML_INT, "45045" },
	{ "-12:30", SB_YAML_INT, "-750" },
	{ "1:60", SB_YAML_STR, "1:60" },
	{ "1:30.5", SB_YAML_FLOAT, "90.5" },
	{ "1e5", SB_YAML_STR, "1e5" },
	{ "1.0e5", SB_YAML_STR, "1.0e5" },
	{ "1e+5", SB_YAML_STR, "1e+5" },
	{ "1.0e+5", SB_YAML_FLOAT, "100000.0" },
	{ ".5", SB_YAML_FLOAT, "0.5" },
	{ "-.5", SB_YAML_STR, "-.5" },
	{ "1.", SB_YAML_FLOAT, "1.0" },
	{ ".inf", SB_YAML_FLOAT, "inf" },
	{ "-.INF", SB_YAML_FLOAT, "-inf" },
	{ ".NaN", SB_YAML_FLOAT, "nan" },
	{ "~", SB_YAML_NULL, "" },
	{ "NULL", SB_YAML_NULL, "" },
	{ "2024-01-01", SB_YAML_STR, "2024-01-01" },
	{ "0.90", SB_YAML_FLOAT, "0.9" },
	{ "0.00001", SB_YAML_FLOAT, "1e-05" },
	{ "0.0001", SB_YAML_FLOAT, "0.0001" },
	{ "1.0e+16", SB_YAML_FLOAT, "1e+16" },
	{ "1.0e+15", SB_YAML_FLOAT, "1000000000000000.0" },
	{ "123456789012345680.0", SB_YAML_FLOAT, "1.2345678901234568e+17" },
	{ "0.1", SB_YAML_FLOAT, "0.1" },
	{ "5.0e-324", SB_YAML_FLOAT, "5e-324" },
	{ "-0.0", SB_YAML_FLOAT, "-0.0" },
	{ "'12'", SB_YAML_STR, "12" },
	{ "!!str 12", SB_YAML_STR, "12" },
	{ "!!int '12'", SB_YAML_INT, "12" },
	{ "!!float 3", SB_YAML_FLOAT, "3.0" },
	{ "! 12", SB_YAML_STR, "12" },
	{ "-9223372036854775808", SB_YAML_INT, "-9223372036854775808" },
};

START_TEST(scalars_are_yaml_1_1)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse(scalars[_i].written);

	ck_assert_msg(sb_yaml_type(sb_yaml_root(doc)) == scalars[_i].type, "%s is %s",
			scalars[_i].written, sb_yaml_type_name(sb_yaml_type(sb_yaml_root(doc))));
	assert_renders(scalars[_i].written, scalars[_i].rendered);
}
END_TEST

START_TEST(collections_print_as_python_shows_them)
{
	assert_renders("[1, b, null, true]", "[1, 'b', None, True]");
	assert_renders("{k: 1}", "{'k': 1}");
	assert_renders("[]", "[]");
	assert_renders("{a: {b: [1.5]}}", "{'a': {'b': [1.5]}}");
	assert_renders("[\"it's\"]", "[\"it's\"]");
	assert_renders("['it''s \"x\"']", "['it\\'s \"x\"']");
	assert_renders("[\"a\\nb\\t\\\\\"]", "['a\\nb\\t\\\\']");
	assert_renders("[\"\\u200b\\x01é\"]", "['\\u200b\\x01é']");
}
END_TEST

START_TEST(nodes_know_their_places)
{
	SB_CLEANUP(sb_yaml_freep)
	struct sb_yaml_doc *doc = parse("a: 1\nb:\n  - x\n  -   {c: yes}\n");
	const struct sb_yaml_node *b = sb_yaml_get(sb_yaml_root(doc), "b");
	const struct sb_yaml_node *c = sb_yaml_get(sb_yaml_at(b, 1), "c");

	ck_assert_str_eq(sb_yaml_name(doc), "f");
	ck_assert_uint_eq(sb_yaml_line(b), 3);
	ck_assert_uint_eq(sb_yaml_line(c), 4);
	ck_assert_uint_eq(sb_yaml_col(c), 11);
	ck_assert(sb_yaml_bool(c));
	ck_assert_str_eq(sb_yaml_str(c), "yes");
	ck_assert_uint_eq(sb_yaml_size(b), 2);
	ck_assert_str_eq(sb_yaml_str(sb_yaml_key(sb_yaml_root(doc), 1)), "b");
	ck_assert_uint_eq(sb_yaml_line(sb_yaml_key(sb_yaml_root(doc), 1)), 2);
	ck_assert_ptr_null(sb_yaml_at(b, 2));
	ck_assert_ptr_null(sb_yaml_key(b, 0));
	ck_assert_int_eq(sb_yaml_int(sb_yaml_get(sb_yaml_root(doc), "a")), 1);
	ck_assert_double_eq(sb_yaml_float(sb_yaml_get(sb_yaml_root(doc), "a")), 1.0);
}
END_TEST

START_TEST(null_is_a_node_like_any_other)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse("# nothing\n");

	ck_assert_int_eq(sb_yaml_type(sb_yaml_root(doc)), SB_YAML_NULL);
	ck_assert_int_eq(sb_yaml_type(NULL), SB_YAML_NULL);
	ck_assert_str_eq(sb_yaml_str(NULL), "");
	ck_assert_uint_eq(sb_yaml_size(NULL), 0);
	ck_assert_uint_eq(sb_yaml_line(NULL), 0);
	ck_assert_uint_eq(sb_yaml_col(NULL), 0);
	ck_assert_ptr_null(sb_yaml_get(NULL, "x"));
	ck_assert_ptr_null(sb_yaml_root(NULL));
	sb_yaml_free(NULL);
}
END_TEST

START_TEST(the_last_of_two_equal_keys_wins_and_is_remarked)
{
	static const char text[] = "a: 1\nb: 2\na: 3\n";
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	struct remark r = { 0 };

	ck_assert_int_eq(sb_yaml_parse("f", text, strlen(text), on_warning, &r, &doc, NULL), 0);
	ck_assert_uint_eq(r.n, 1);
	ck_assert_uint_eq(r.line, 3);
	ck_assert_uint_eq(r.col, 1);
	ck_assert_ptr_nonnull(strstr(r.text, "line 1"));
	ck_assert_int_eq(sb_yaml_int(sb_yaml_get(sb_yaml_root(doc), "a")), 3);
	ck_assert_uint_eq(sb_yaml_size(sb_yaml_root(doc)), 2);
}
END_TEST

START_TEST(merge_keys_fill_in_and_never_replace)
{
	assert_renders("{<<: {a: 1, c: 2}, b: 3, a: 4}", "{'a': 4, 'c': 2, 'b': 3}");
	assert_renders("{<<: [{a: 1}, {a: 2, c: 3}]}", "{'a': 1, 'c': 3}");
	assert_renders("x: &x {a: 1}\ny: {<<: *x, b: 2}", "{'x': {'a': 1}, 'y': {'a': 1, 'b': 2}}");
	assert_renders("{'<<': 1}", "{'<<': 1}");
}
END_TEST

START_TEST(aliases_are_the_node_they_name)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse("[&a {k: 1}, *a, &a 5, *a]");
	const struct sb_yaml_node *root = sb_yaml_root(doc);

	ck_assert_ptr_eq(sb_yaml_at(root, 0), sb_yaml_at(root, 1));
	ck_assert_int_eq(sb_yaml_int(sb_yaml_at(root, 3)), 5);
}
END_TEST

/* What is refused, where, and what was expected instead. */
static const struct {
	const char *text, *place, *say;
} refused[] = {
	{ "a: b: c", "f:1:5: ", "expected quotes" },
	{ "a:\n\t- b", "f:2:1: ", "expected spaces" },
	{ "a: [1,\n 2", "f:", "expected ',' or ']'" },
	{ "a: \"x", "f:1:", "closing quote" },
	{ "x: @a", "f:1:4: ", "in quotes" },
	{ "--- 1\n--- 2\n", "f:2:1: ", "expected one document" },
	{ "a: *nope", "f:1:4: ", "'&nope'" },
	{ "a: &a [1, *a]", "f:1:11: ", "no cycle" },
	{ "a: &a {b: *a}", "f:1:11: ", "no cycle" },
	{ "x: =", "f:1:4: ", "expected a value" },
	{ "x: <<", "f:1:4: ", "expected a value" },
	{ "? [1]\n: 2", "f:1:3: ", "expected text" },
	{ "<<: 5", "f:1:5: ", "a map or a list of maps" },
	{ "x: 0x_", "f:1:4: ", "expected digits" },
	{ "x: 9223372036854775808", "f:1:4: ", "64 bits" },
	{ "x: !!binary aGk=", "f:1:4: ", "expected a plain value" },
	{ "x: !!int abc", "f:1:4: ", "expected a plain value" },
	{ "x: \"a\\0b\"", "f:1:4: ", "NUL" },
	{ "a: 1\nb: \xff\n", "f:2:4: ", "UTF-8" },
	{ "a: \x01", "f:1:4: ", "control character" },
};

START_TEST(what_is_wrong_has_a_place_and_a_cure)
{
	struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_yaml_parse(
			"f", refused[_i].text, strlen(refused[_i].text), NULL, NULL, &doc, &err);

	ck_assert_int_lt(rc, 0);
	ck_assert_ptr_null(doc);
	ck_assert_msg(!strncmp(err.text, refused[_i].place, strlen(refused[_i].place)) &&
					strstr(err.text, refused[_i].say),
			"%s: %s", refused[_i].text, err.text);
}
END_TEST

START_TEST(a_nul_byte_is_refused_at_its_place)
{
	static const char text[] = "a: 1\nb: x\0y\n";
	struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_yaml_parse("f", text, sizeof(text) - 1, NULL, NULL, &doc, &err),
			-SB_E_INVALID);
	ck_assert_msg(!strncmp(err.text, "f:2:5: a NUL byte", 17), "%s", err.text);
}
END_TEST

static int parse_built(struct sb_strbuf *text, struct sb_err *err)
{
	struct sb_yaml_doc *doc = NULL;
	int rc = sb_yaml_parse("f", sb_strbuf_str(text), text->len, NULL, NULL, &doc, err);

	sb_yaml_free(doc);
	return rc;
}

START_TEST(caps_hold)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	for (int i = 0; i < SB_YAML_MAX_DEPTH; i++)
		sb_strbuf_addc(&text, '[');
	for (int i = 0; i < SB_YAML_MAX_DEPTH; i++)
		sb_strbuf_addc(&text, ']');
	ck_assert_msg(parse_built(&text, &err) == 0, "%s", err.text);
	sb_strbuf_reset(&text);
	for (int i = 0; i < 100000; i++)
		sb_strbuf_addc(&text, '[');
	ck_assert_int_eq(parse_built(&text, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.text, "64 levels"));

	sb_strbuf_reset(&text); /* nine levels of nine aliases: 9^9 values */
	sb_strbuf_adds(&text, "a0: &a0 [x]\n");
	for (int i = 1; i < 10; i++) {
		sb_strbuf_addf(&text, "a%d: &a%d [", i, i);
		for (int k = 0; k < 9; k++)
			sb_strbuf_addf(&text, "*a%d,", i - 1);
		sb_strbuf_adds(&text, "]\n");
	}
	ck_assert_int_eq(parse_built(&text, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.text, "200000"));

	sb_strbuf_reset(&text);
	for (size_t i = 0; i <= SB_YAML_MAX_BYTES; i++)
		sb_strbuf_addc(&text, ' ');
	ck_assert_int_eq(parse_built(&text, &err), -SB_E_RANGE);
}
END_TEST

START_TEST(depth_counts_through_aliases)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	sb_strbuf_adds(&text, "a0: &a0 []\n");
	for (int i = 1; i < 80; i++)
		sb_strbuf_addf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	ck_assert_int_eq(parse_built(&text, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.text, "levels"));
}
END_TEST

START_TEST(errors_and_expectations_name_the_place)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse("a: 1\nport: x\n");
	const struct sb_yaml_node *port = sb_yaml_get(sb_yaml_root(doc), "port");
	const struct sb_yaml_node *a = sb_yaml_get(sb_yaml_root(doc), "a");
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_yaml_expect(doc, port, SB_YAML_INT, "port", &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "f:2:7: port: expected a whole number, got text");
	ck_assert_int_eq(sb_yaml_expect(doc, a, SB_YAML_FLOAT, "a", &err), 0);
	ck_assert_int_eq(sb_yaml_expect(doc, NULL, SB_YAML_MAP, "x", &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "f: x: expected a map, got null");
	ck_assert_int_eq(sb_yaml_err(doc, a, &err, "no %d", 3), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "f:1:4: no 3");
	ck_assert_str_eq(sb_yaml_type_name(SB_YAML_LIST), "a list");
}
END_TEST

/* What was written reads back as the same text, whatever it looks like. */
START_TEST(a_written_scalar_reads_back)
{
	static const char *const texts[] = {
		"",
		"plain",
		"10.0.0.1:80",
		"true",
		"y",
		"null",
		"~",
		"010",
		"1e5",
		"0x1F",
		"12:30",
		"2024-01-01",
		"=",
		"<<",
		"a b",
		" lead",
		"trail ",
		"a: b",
		"a:",
		"#x",
		"a #x",
		"- x",
		"[x]",
		"{x}",
		"*x",
		"&x",
		"!x",
		"|",
		">",
		"'",
		"\"",
		"it's \"q\"",
		"\\",
		"a\nb\n",
		"tab\there",
		"\x01\x1b",
		"é",
		"\xc2\x85",
		"\xe2\x80\xa8",
		"\xef\xbb\xbf",
		"%x",
		"@x",
		"`x",
		"?",
		"? x",
		"-",
		"---",
		"...",
		"/dev/infiniband",
		"\xf0\x9f\x98\x80",
	};

	for (size_t i = 0; i < sb_countof(texts); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
		SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
		const struct sb_yaml_node *node;

		sb_strbuf_adds(&out, "k: ");
		ck_assert_int_eq(sb_yaml_write_scalar(&out, texts[i]), 0);
		sb_strbuf_adds(&out, "\nz: 1\n");
		doc = parse(sb_strbuf_str(&out));
		node = sb_yaml_get(sb_yaml_root(doc), "k");
		ck_assert_msg(sb_yaml_type(node) == SB_YAML_STR, "%s", sb_strbuf_str(&out));
		ck_assert_str_eq(sb_yaml_str(node), texts[i]);
	}
	ck_assert_int_eq(sb_yaml_write_scalar(&(struct sb_strbuf)SB_STRBUF_INIT, "\xff"),
			-SB_E_INVALID);
}
END_TEST

START_TEST(a_file_is_read_or_named)
{
	char dir[] = "/tmp/sb-yaml-XXXXXX";
	SB_CLEANUP(sb_freep) char *path = NULL;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	path = sb_fs_join(dir, "x.yaml");
	ck_assert_int_eq(sb_yaml_load(path, NULL, NULL, &doc, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "x.yaml"));
	ck_assert_int_eq(sb_fs_write(path, "a: 1\n", 5, 0600, NULL), 0);
	ck_assert_int_eq(sb_yaml_load(path, NULL, NULL, &doc, &err), 0);
	ck_assert_str_eq(sb_yaml_name(doc), path);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(floats_print_the_fewest_digits)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (double x = 1e-12; x < 1e22; x *= 3.7) {
		sb_strbuf_reset(&out);
		ck_assert_int_eq(sb_yaml_render_float(x, &out), 0);
		ck_assert_msg(strtod(sb_strbuf_str(&out), NULL) == x, "%s", sb_strbuf_str(&out));
		ck_assert(strpbrk(sb_strbuf_str(&out), ".e"));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("yaml");
	TCase *tc = tcase_create("yaml");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, scalars_are_yaml_1_1, 0, sb_countof(scalars));
	tcase_add_test(tc, collections_print_as_python_shows_them);
	tcase_add_test(tc, nodes_know_their_places);
	tcase_add_test(tc, null_is_a_node_like_any_other);
	tcase_add_test(tc, the_last_of_two_equal_keys_wins_and_is_remarked);
	tcase_add_test(tc, merge_keys_fill_in_and_never_replace);
	tcase_add_test(tc, aliases_are_the_node_they_name);
	tcase_add_loop_test(tc, what_is_wrong_has_a_place_and_a_cure, 0, sb_countof(refused));
	tcase_add_test(tc, a_nul_byte_is_refused_at_its_place);
	tcase_add_test(tc, caps_hold);
	tcase_add_test(tc, depth_counts_through_aliases);
	tcase_add_test(tc, errors_and_expectations_name_the_place);
	tcase_add_test(tc, a_written_scalar_reads_back);
	tcase_add_test(tc, a_file_is_read_or_named);
	tcase_add_test(tc, floats_print_the_fewest_digits);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
