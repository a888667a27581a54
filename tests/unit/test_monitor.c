/* The monitor's screen: every frame has the size that was asked for and shows what matters most. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_monitor.h"

static struct sb_monitor_model model;
static struct sb_monitor_lines lines;
static struct sb_monitor_view view;
static struct sb_strbuf text;

static char *copy_of(const char *s)
{
	char *copy = strdup(s);

	ck_assert_ptr_nonnull(copy);
	return copy;
}

static void make(size_t n_nodes, size_t n_jobs)
{
	char name[32];

	ck_assert_int_eq(sb_monitor_model_init(&model, n_nodes, n_jobs, NULL), 0);
	strcpy(model.clock, "14:03:21");
	for (size_t i = 0; i < n_nodes; i++) {
		struct sb_monitor_node *n = &model.nodes[i];

		snprintf(name, sizeof(name), "spark%zu", i + 1);
		n->name = copy_of(name);
		n->health = copy_of("ok");
		n->memory = copy_of("88.3 of 121.7 GiB");
		n->fabric = copy_of("2x200G");
		n->well = true;
		n->gpu_percent = 96;
		n->gpu_c = 62;
		n->gpu_w = 45;
		n->memory_percent = 27;
		n->jobs = 1;
	}
	for (size_t i = 0; i < n_jobs; i++) {
		struct sb_monitor_job *j = &model.jobs[i];

		snprintf(name, sizeof(name), "%012zx", i + 1);
		j->id = copy_of(name);
		snprintf(name, sizeof(name), "@official/job%zu", i + 1);
		j->name = copy_of(name);
		j->state = copy_of("ready");
		j->health = copy_of("healthy");
		j->up = copy_of("2h10m");
		j->model = copy_of("Qwen/Qwen3-32B");
		j->url = copy_of("http://10.0.0.11:8000/v1");
		j->tokens = copy_of("41.5");
		j->kv = copy_of("12%");
		j->requests = copy_of("3+1");
		j->nodes = copy_of("spark1,spark2");
	}
}

static void teardown(void)
{
	sb_monitor_model_done(&model);
	sb_monitor_lines_done(&lines);
	sb_strbuf_done(&text);
	view = (struct sb_monitor_view){ 0 };
}

/* The frame as text; its laws hold for whatever it shows. */
static const char *frame_of(size_t width, size_t height)
{
	SB_CLEANUP(sb_monitor_frame_done) struct sb_monitor_frame frame = { 0 };
	size_t rows = 0;

	ck_assert_int_eq(sb_monitor_frame(&model, &lines, &view, width, height, &frame, NULL), 0);
	ck_assert_uint_eq(frame.width, width);
	ck_assert_uint_eq(frame.height, height);
	for (size_t i = 0; i < width * height; i++) {
		ck_assert_uint_lt(frame.cells[i].tone, SB_MONITOR_TONE_COUNT_);
		if (frame.cells[i].ch)
			ck_assert(frame.cells[i].ch >= ' ' && frame.cells[i].ch <= 0x10ffff);
		else /* the right half of something in the same row */
			ck_assert(i % width && frame.cells[i - 1].ch > 0x1000);
		if (view.ascii)
			ck_assert_uint_lt(frame.cells[i].ch, 0x7f);
	}
	sb_strbuf_reset(&text);
	sb_monitor_frame_text(&frame, &text);
	for (const char *s = sb_strbuf_str(&text); *s; s++)
		rows += *s == '\n';
	ck_assert_uint_eq(rows, height);
	return sb_strbuf_str(&text);
}

static void assert_shown(const char *frame, const char *wanted)
{
	ck_assert_msg(strstr(frame, wanted) != NULL, "no \"%s\" in\n%s", wanted, frame);
}

static void assert_hidden(const char *frame, const char *unwanted)
{
	ck_assert_msg(!strstr(frame, unwanted), "\"%s\" in\n%s", unwanted, frame);
}

/* --- sparklines --- */

static const char *spark_of(const struct sb_monitor_history *history, size_t width, bool ascii)
{
	sb_strbuf_reset(&text);
	sb_monitor_spark(history, width, ascii, &text);
	return sb_strbuf_str(&text);
}

START_TEST(a_spark_never_falls_when_the_reading_rises)
{
	char before[8] = "";

	for (int percent = 0; percent <= 100; percent++) {
		struct sb_monitor_history history = { 0 };
		const char *spark;

		sb_monitor_history_add(&history, percent);
		spark = spark_of(&history, 1, _i);
		ck_assert_int_ge(strcmp(spark, before), 0); /* UTF-8 sorts as its characters */
		strcpy(before, spark);
		if (!percent)
			ck_assert_str_eq(spark, _i ? "0" : "▁");
	}
	ck_assert_str_eq(before, _i ? "9" : "█");
}
END_TEST

START_TEST(a_spark_has_the_newest_last_and_blanks_for_what_is_not_known)
{
	struct sb_monitor_history history = { 0 };

	ck_assert_str_eq(spark_of(&history, 3, false), "   ");
	sb_monitor_history_add(&history, 0);
	sb_monitor_history_add(&history, SB_MONITOR_NONE);
	sb_monitor_history_add(&history, 100);
	ck_assert_str_eq(spark_of(&history, 5, false), "  ▁ █");
	ck_assert_str_eq(spark_of(&history, 2, false), " █");
	ck_assert_str_eq(spark_of(&history, 0, false), "");
}
END_TEST

START_TEST(a_history_forgets_the_oldest_and_takes_no_strange_reading)
{
	struct sb_monitor_history history = { 0 };

	sb_monitor_history_add(&history, 100);
	for (int i = 0; i < SB_MONITOR_HISTORY; i++)
		sb_monitor_history_add(&history, i % 2 ? -5 : 0);
	ck_assert_ptr_null(strchr(spark_of(&history, SB_MONITOR_HISTORY, true), '9'));
	ck_assert_uint_eq(text.len, SB_MONITOR_HISTORY);
	sb_monitor_history_add(&history, 100000);
	ck_assert_str_eq(spark_of(&history, 1, true), "9");
}
END_TEST

START_TEST(histories_follow_their_node)
{
	struct sb_monitor_model before;

	make(2, 0);
	model.nodes[1].memory_percent = 100;
	sb_monitor_model_follow(&model, &(struct sb_monitor_model){ 0 });
	before = model;
	make(3, 0); /* spark3 is new; spark1 stands where spark2 did */
	free(model.nodes[0].name);
	free(model.nodes[1].name);
	model.nodes[0].name = copy_of("spark2");
	model.nodes[1].name = copy_of("spark1");
	model.nodes[0].memory_percent = SB_MONITOR_NONE;
	sb_monitor_model_follow(&model, &before);
	sb_monitor_model_done(&before);
	ck_assert_str_eq(spark_of(&model.nodes[0].memory_history, 3, true), " 9 ");
	ck_assert_str_eq(spark_of(&model.nodes[1].memory_history, 3, true), " 22");
	ck_assert_str_eq(spark_of(&model.nodes[2].memory_history, 3, true), "  2");
}
END_TEST

/* --- frames --- */

START_TEST(eighty_by_twenty_four_shows_it_all)
{
	const char *frame;

	make(2, 1);
	sb_monitor_model_follow(&model, &(struct sb_monitor_model){ 0 });
	sb_monitor_lines_add(&lines, copy_of("14:03:21 spark1 link.down cable0"));
	frame = frame_of(80, 24);
	assert_shown(frame, "sparkbus  2 nodes, 1 job");
	assert_shown(frame, "spark1 ok     88.3 of 121.7 GiB ");
	assert_shown(frame, " 96% ");
	assert_shown(frame, " 62  45 2x200G    1\n");
	assert_shown(frame, "@official/job1");
	assert_shown(frame, "2h10m");
	assert_shown(frame, " 41.5  12%   3+1 spark1,spark2\n");
	assert_shown(frame, "  http://10.0.0.11:8000/v1  Qwen/Qwen3-32B\n");
	assert_shown(frame, "EVENTS\n14:03:21 spark1 link.down cable0\n");
	assert_shown(frame, "▂"); /* 27 % */
	assert_shown(frame, "▇"); /* 96 % */
}
END_TEST

START_TEST(a_small_one_shows_what_matters)
{
	const char *frame;

	make(2, 1);
	frame = frame_of(40, 10);
	assert_shown(frame, "spark1 ok     88.3 of 121.7 GiB  96%");
	assert_shown(frame, "spark2");
	assert_shown(frame, "ready");
	assert_hidden(frame, "FABRIC");
	assert_shown(frame_of(10, 3), "too small");
}
END_TEST

START_TEST(a_large_one_has_longer_sparklines)
{
	make(2, 1);
	for (int i = 0; i < SB_MONITOR_HISTORY; i++) {
		sb_monitor_history_add(&model.nodes[0].memory_history, 100);
		sb_monitor_history_add(&model.nodes[0].gpu_history, 100);
	}
	assert_shown(frame_of(200, 60), "██████████████████████████████");
	ck_assert_int_eq(sb_monitor_frame(&model, &lines, &view, 0, 24,
					 &(struct sb_monitor_frame){ 0 }, NULL),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_monitor_frame(&model, &lines, &view, 80, SB_MONITOR_SIDE_MAX + 1,
					 &(struct sb_monitor_frame){ 0 }, NULL),
			-SB_E_INVALID);
}
END_TEST

/* Nothing but its laws, asserted in frame_of(), with contents that do not fit anywhere. */
START_TEST(every_size_is_filled_exactly)
{
	view.ascii = _i & 1;
	view.help = _i & 2;
	view.log = _i & 4;
	make(5, 3);
	free(model.nodes[0].name);
	model.nodes[0].name = copy_of("ein-sehr-langer-Name-für-einen-Knoten-日本語のノード");
	model.nodes[1].silent =
			copy_of("no answer within 2000 ms, and much more is said of it here");
	free(model.jobs[1].model);
	model.jobs[1].model =
			copy_of("模型/\xff\xc3\x1b[31m\xe2\x80\xae\xf4\x90\x80\x80 e\xcc\x81");
	for (int i = 0; i < SB_MONITOR_LINES + 7; i++)
		sb_monitor_lines_add(&lines, copy_of("日本語日本語日本語日本語 event"));
	ck_assert_uint_eq(lines.n, SB_MONITOR_LINES);
	for (size_t width = 1; width < 130; width += width < 84 ? 1 : 7)
		for (size_t height = 1; height < 40; height += height < 26 ? 1 : 5)
			frame_of(width, height);
}
END_TEST

START_TEST(a_cut_text_says_so_and_keeps_no_half_of_a_character)
{
	const char *frame;

	make(1, 0);
	free(model.nodes[0].name);
	model.nodes[0].name = copy_of("日本語のノード");
	frame = frame_of(36, 12);
	assert_shown(frame, "日本+ ");
	free(model.nodes[0].name);
	model.nodes[0].name = copy_of("knöten-a\xcc\x88");
	assert_shown(frame_of(80, 12), "knöten-a ok ");
	view.ascii = true;
	assert_shown(frame_of(80, 12), "kn?ten-a ok ");
}
END_TEST

START_TEST(a_silent_node_is_unknown_and_says_why)
{
	const char *frame;

	make(3, 0);
	model.nodes[1].silent = copy_of("no answer within 2000 ms");
	model.nodes[1].jobs = 7; /* of that nothing is known */
	frame = frame_of(80, 24);
	assert_shown(frame, "3 nodes, 1 silent");
	assert_shown(frame, "spark2 unknown no answer within 2000 ms\n");
	assert_shown(frame, "spark3 ok ");
}
END_TEST

START_TEST(what_is_not_known_is_a_dash)
{
	make(1, 0);
	model.nodes[0].gpu_percent = model.nodes[0].gpu_c = SB_MONITOR_NONE;
	model.nodes[0].gpu_w = 0;
	assert_shown(frame_of(80, 24), "   -   0 2x200G    1\n");
}
END_TEST

/* --- selection, order --- */

START_TEST(the_selected_row_is_always_in_sight)
{
	char name[32];

	make(64, 20);
	assert_shown(frame_of(80, 24), "1-7 of 64");
	for (int i = 1; i < 64 + 20; i++) {
		sb_monitor_move(&model, &view, 1);
		snprintf(name, sizeof(name), i < 64 ? "\nspark%d " : "@official/job%d ",
				i < 64 ? i + 1 : i - 63);
		assert_shown(frame_of(80, 24), name);
		ck_assert_int_eq(view.on_job, i >= 64);
	}
	sb_monitor_move(&model, &view, 1);
	ck_assert_str_eq(view.selected, "000000000014");
	ck_assert_str_eq(sb_monitor_log_job(&model, &view), "000000000014");
	sb_monitor_move(&model, &view, -1000);
	ck_assert_str_eq(view.selected, "spark1");
	ck_assert_str_eq(sb_monitor_log_job(&model, &view), "000000000001");
}
END_TEST

START_TEST(selection_stays_with_its_row_and_survives_its_end)
{
	make(2, 1);
	sb_monitor_move(&model, &view, 2);
	ck_assert(view.on_job);
	sb_monitor_model_done(&model);
	make(2, 0);
	ck_assert_ptr_null(sb_monitor_log_job(&model, &view));
	sb_monitor_move(&model, &view, 1);
	ck_assert_str_eq(view.selected, "spark2");
	sb_monitor_model_done(&model);
	make(0, 0);
	sb_monitor_move(&model, &view, 1);
	frame_of(80, 24);
}
END_TEST

START_TEST(order_is_a_permutation_with_the_silent_last)
{
	size_t order[5];
	unsigned seen = 0;

	make(5, 0);
	model.nodes[0].silent = copy_of("no answer");
	model.nodes[0].memory_percent = model.nodes[0].gpu_percent = 99;
	model.nodes[3].memory_percent = model.nodes[3].gpu_percent = 98;
	model.nodes[2].gpu_percent = SB_MONITOR_NONE;
	model.nodes[3].jobs = 5;
	sb_monitor_order(&model, (enum sb_monitor_sort)_i, order);
	for (size_t i = 0; i < 5; i++)
		seen |= 1u << order[i];
	ck_assert_uint_eq(seen, 31);
	if (_i == SB_MONITOR_BY_NAME) {
		ck_assert_uint_eq(order[0], 0);
		return;
	}
	ck_assert_uint_eq(order[0], 3);
	ck_assert_uint_eq(order[4], 0);
	if (_i == SB_MONITOR_BY_GPU)
		ck_assert_uint_eq(order[3], 2);
	else
		ck_assert(order[1] == 1 && order[2] == 2 && order[3] == 4); /* stable */
}
END_TEST

START_TEST(paper_is_high_enough_for_everything)
{
	make(9, 4);
	for (int i = 0; i < 10; i++)
		sb_monitor_lines_add(&lines, copy_of(i ? "later" : "the first line"));
	view.plain = true;
	frame_of(80, sb_monitor_height(&model, 10));
	assert_shown(sb_strbuf_str(&text), "\nspark9 ");
	assert_shown(sb_strbuf_str(&text), "@official/job4");
	assert_shown(sb_strbuf_str(&text), "the first line");
	assert_hidden(sb_strbuf_str(&text), " of 9");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor");
	TCase *tc = tcase_create("monitor");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_spark_never_falls_when_the_reading_rises, 0, 2);
	tcase_add_test(tc, a_spark_has_the_newest_last_and_blanks_for_what_is_not_known);
	tcase_add_test(tc, a_history_forgets_the_oldest_and_takes_no_strange_reading);
	tcase_add_test(tc, histories_follow_their_node);
	tcase_add_test(tc, eighty_by_twenty_four_shows_it_all);
	tcase_add_test(tc, a_small_one_shows_what_matters);
	tcase_add_test(tc, a_large_one_has_longer_sparklines);
	tcase_add_loop_test(tc, every_size_is_filled_exactly, 0, 8);
	tcase_add_test(tc, a_cut_text_says_so_and_keeps_no_half_of_a_character);
	tcase_add_test(tc, a_silent_node_is_unknown_and_says_why);
	tcase_add_test(tc, what_is_not_known_is_a_dash);
	tcase_add_test(tc, the_selected_row_is_always_in_sight);
	tcase_add_test(tc, selection_stays_with_its_row_and_survives_its_end);
	tcase_add_loop_test(
			tc, order_is_a_permutation_with_the_silent_last, 0, SB_MONITOR_SORT_COUNT_);
	tcase_add_test(tc, paper_is_high_enough_for_everything);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
