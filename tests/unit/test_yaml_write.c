#include <check.h>
#include <string.h>

#include "sb_yaml.h"

static struct sb_yaml_doc *parse(const char *text)
{
	struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_yaml_parse("t", text, strlen(text), NULL, NULL, &doc, &err) == 0,
			"%s in:\n%s", err.text, text);
	return doc;
}

static void write_map(const struct sb_yaml_node *map, struct sb_strbuf *out)
{
	for (size_t i = 0; i < sb_yaml_size(map); i++)
		ck_assert_int_eq(sb_yaml_write_entry(
						 out, 0, sb_yaml_key(map, i), sb_yaml_at(map, i)),
				0);
}

static void check_same(const struct sb_yaml_node *a, const struct sb_yaml_node *b, const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf x = SB_STRBUF_INIT, y = SB_STRBUF_INIT;

	ck_assert_msg(sb_yaml_type(a) == sb_yaml_type(b), "another type in:\n%s", text);
	ck_assert_msg(sb_yaml_size(a) == sb_yaml_size(b), "another size in:\n%s", text);
	for (size_t i = 0; i < sb_yaml_size(a); i++) {
		if (sb_yaml_type(a) == SB_YAML_MAP)
			check_same(sb_yaml_key(a, i), sb_yaml_key(b, i), text);
		check_same(sb_yaml_at(a, i), sb_yaml_at(b, i), text);
	}
	sb_yaml_render(a, &x);
	sb_yaml_render(b, &y);
	ck_assert_msg(!strcmp(sb_strbuf_str(&x), sb_strbuf_str(&y)), "<%s> is <%s> in:\n%s",
			sb_strbuf_str(&x), sb_strbuf_str(&y), text);
}

static const char *const docs[] = {
	"a: 1\nb: [1, two, 3.5, null, true, '']\nc: {d: {e: f}, g: []}\nh: {}\n",
	"a: 010\nb: 0x1F\nc: 1_000\nd: 12:30:45\ne: 1e5\nf: 1.0e+5\ng: .5\nh: .inf\ni: -.inf\nj: "
	"~\nk: \nl: 2024-01-01\nm: yes\nn: Off\no: y\n",
	"a: '1'\nb: 'true'\nc: 'null'\nd: '~'\ne: '12:30'\nf: '- x'\ng: '# x'\nh: 'a: b'\ni: ' x "
	"'\n",
	"a: !!float 1\nb: !!str 1\nc: !!int '7'\n",
	"command: |\n  vllm serve \\\n    --x 1\n\n  --y\n",
	"a: |+\n  x\n\n\nb: |-\n  x\n\n  y\nc: >\n  folded\n  words\n\n  more\n",
	"a: |2\n    four\n  two\nb: |2\n\n  behind a line\nc: \"\\ttab\\n x\"\n",
	"a: \"x\\r\\ny\"\nb: \"x\\x07\\ny\"\nc: \"\\n\"\nd: \"\\n\\n\"\ne: \" \\n \"\nf: \"x\\n  "
	"\\n\"\n",
	"a: \"line \\nwith blanks at its end  \\n\"\nb: \"x\\n\\u2028y\\n\"\nc: "
	"\"x\\n\\ufeff\\n\"\n",
	"l:\n- - a\n  - [b, c]\n- k: v\n  m: {n: o}\n- {}\n- []\n- |\n  t\n  u\n- null\n",
	"1: a\ntrue: b\n~: c\n1.5: d\n'1': e\n'<<': f\n'=': g\n'a b: c': h\n\"x\\ny\": i\n'': j\n",
	"ä: ö\nb: \"\\U0001f600\"\n",
	"base: &b {x: 1, y: [2]}\nuse: *b\nmerged: {<<: *b, z: 3}\n",
};

START_TEST(what_is_written_reads_back)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = parse(docs[_i]), *again = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT, twice = SB_STRBUF_INIT;

	write_map(sb_yaml_root(doc), &out);
	again = parse(sb_strbuf_str(&out));
	check_same(sb_yaml_root(doc), sb_yaml_root(again), sb_strbuf_str(&out));
	write_map(sb_yaml_root(again), &twice);
	ck_assert_str_eq(sb_strbuf_str(&out), sb_strbuf_str(&twice));
}
END_TEST

START_TEST(a_long_key_reads_back)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, out = SB_STRBUF_INIT;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL, *again = NULL;

	sb_strbuf_adds(&text, "a:\n  ? ");
	for (size_t i = 0; i < 3000; i++)
		sb_strbuf_addc(&text, 'k');
	sb_strbuf_adds(&text, "\n  : {b: [c, 1]}\n  d: e\n");
	doc = parse(sb_strbuf_str(&text));
	write_map(sb_yaml_root(doc), &out);
	again = parse(sb_strbuf_str(&out));
	check_same(sb_yaml_root(doc), sb_yaml_root(again), sb_strbuf_str(&out));
}
END_TEST

START_TEST(text_stays_text)
{
	static const char *const texts[] = { "1", "yes", "", "a\nb", "a\nb\n", "\na\n\n", "  a\nb",
		"a\n\tb\n", "null", "a\r\nb", "$x {y}" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf bad = SB_STRBUF_INIT;

	for (size_t i = 0; i < sb_countof(texts); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
		SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
		const struct sb_yaml_node *node;

		sb_strbuf_adds(&out, "m:\n");
		ck_assert_int_eq(sb_yaml_write_text(&out, 2, "k", texts[i]), 0);
		sb_strbuf_adds(&out, "z: 1\n");
		doc = parse(sb_strbuf_str(&out));
		node = sb_yaml_get(sb_yaml_get(sb_yaml_root(doc), "m"), "k");
		ck_assert_int_eq(sb_yaml_type(node), SB_YAML_STR);
		ck_assert_str_eq(sb_yaml_str(node), texts[i]);
		ck_assert_int_eq(sb_yaml_int(sb_yaml_get(sb_yaml_root(doc), "z")), 1);
	}
	ck_assert_int_eq(sb_yaml_write_text(&bad, 0, "k", "a\n\xff"), -SB_E_INVALID);
}
END_TEST

/* A command of several lines is written as people write it. */
START_TEST(lines_stay_lines)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	sb_yaml_write_text(&out, 0, "command", "vllm serve \\\n  --x '{\"a\": 1}'\n");
	ck_assert_str_eq(
			sb_strbuf_str(&out), "command: |\n  vllm serve \\\n    --x '{\"a\": 1}'\n");
}
END_TEST

START_TEST(floats_stay_floats)
{
	static const double values[] = { 1e16, 1e-5, 0.1, -2.5e-300, 100000, 1e300 };

	for (size_t i = 0; i < sb_countof(values); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
		SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;

		sb_yaml_write_float(&out, values[i]);
		doc = parse(sb_strbuf_str(&out));
		ck_assert_int_eq(sb_yaml_type(sb_yaml_root(doc)), SB_YAML_FLOAT);
		ck_assert(sb_yaml_float(sb_yaml_root(doc)) == values[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("yaml_write");
	TCase *tc = tcase_create("yaml_write");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, what_is_written_reads_back, 0, sb_countof(docs));
	tcase_add_test(tc, a_long_key_reads_back);
	tcase_add_test(tc, text_stays_text);
	tcase_add_test(tc, lines_stay_lines);
	tcase_add_test(tc, floats_stay_floats);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
