/* test_gguf.c - the file of a GGUF model in caches as they are, and as somebody might leave them.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "sb_gguf.h"
#include "testdir.h"

#define REPO  "org/m-GGUF"
#define MODEL "hub/models--org--m-GGUF"
#define SNAP  MODEL "/snapshots/0000/"

/* --- a cache --- */

static char *below(const char *path)
{
	char *full = NULL;

	ck_assert_int_ge(asprintf(&full, "%s/%s", testdir, path), 0);
	return full;
}

static void make_folder_of(const char *full)
{
	SB_CLEANUP(sb_freep) char *dir = strdup(full);

	*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(sb_fs_mkdirs(dir, 0755, NULL), 0);
}

static void put(const char *path, const char *text)
{
	SB_CLEANUP(sb_freep) char *full = below(path);
	FILE *out;

	make_folder_of(full);
	out = fopen(full, "w");
	ck_assert_msg(out != NULL, "%s", full);
	fputs(text, out);
	fclose(out);
}

static void put_link(const char *path, const char *to)
{
	SB_CLEANUP(sb_freep) char *full = below(path);

	make_folder_of(full);
	ck_assert_int_eq(symlink(to, full), 0);
}

static void put_all(const char *const *paths)
{
	put(MODEL "/refs/main", "0000\n");
	for (; *paths; paths++)
		put(*paths, "GGUF");
}

static int find(const char *revision, const char *quant, char **ret, struct sb_err *err)
{
	Sparkbus__GgufModel want = SPARKBUS__GGUF_MODEL__INIT;

	want.repo = (char *)REPO;
	want.revision = (char *)revision;
	want.quant = (char *)quant;
	return sb_gguf_find(testdir, &want, ret, err);
}

static void check_found(const char *revision, const char *quant, const char *want)
{
	SB_CLEANUP(sb_freep) char *got = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(find(revision, quant, &got, &err) == 0, "%s", err.text);
	ck_assert_str_eq(got, want);
}

static void check_missing(const char *revision, const char *quant, const char *say)
{
	char *got = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(find(revision, quant, &got, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_null(got);
	ck_assert_msg(strstr(err.text, say) != NULL, "%s", err.text);
}

/* --- the right one --- */

START_TEST(the_hub_s_layout_of_links_is_understood)
{
	put(MODEL "/refs/main", "0000");
	put(MODEL "/blobs/abc", "GGUF");
	put_link(SNAP "m-Q8_0.gguf", "../../blobs/abc");
	check_found("", "Q8_0", SNAP "m-Q8_0.gguf");
}
END_TEST

static const struct {
	const char *quant, *want;
} choices[] = {
	{ "Q8_0", "m-Q8_0.gguf" },
	{ "q8_0", "m-Q8_0.gguf" },
	{ "Q4_K", "m-Q4_K.gguf" }, /* not Q4_K_M or Q4_K_S, which come before */
	{ "Q4_K_M", "m-Q4_K_M.gguf" },
	{ "F16", "m-F16.gguf" }, /* not BF16 */
	{ "BF16", "bf16/m-BF16-00001-of-00002.gguf" },
	{ "Q5", "m-Q5_K_M.gguf" }, /* a part of a name, when nothing has it as a word */
	{ "", "m-Q4_K_M.gguf" },
	{ "iq2", "m-IQ2_XXS.gguf" },
};
static const char *const choice_files[] = { SNAP "README.md", SNAP "m-Q8_0.gguf",
	SNAP "m-Q4_K.gguf", SNAP "m-BQ4_K_M.gguf", SNAP "m-Q4_K_M.gguf", SNAP "m-Q4_K_S.gguf",
	SNAP "m-F16.gguf", SNAP "bf16/m-BF16-00001-of-00002.gguf",
	SNAP "bf16/m-BF16-00002-of-00002.gguf", SNAP "m-Q5_K_S.gguf", SNAP "m-Q5_K_M.gguf",
	SNAP "m-IQ2_XXS.gguf", SNAP "mmproj-m-Q8_0.gguf", SNAP "m-imatrix-Q8_0.gguf",
	SNAP "a-MMPROJ-F16.gguf", NULL };

START_TEST(the_quant_chooses_as_a_word_of_the_name)
{
	SB_CLEANUP(sb_freep) char *want = NULL;

	put_all(choice_files);
	ck_assert_int_ge(asprintf(&want, SNAP "%s", choices[_i].want), 0);
	check_found("", choices[_i].quant, want);
}
END_TEST

START_TEST(without_a_quant_any_file_will_do_when_there_is_no_q4_k_m)
{
	put_all((const char *const[]){ SNAP "z.gguf", SNAP "b/y-F16.gguf", SNAP "mmproj-F16.gguf",
			SNAP "b.gguf", NULL });
	check_found("", "", SNAP "b/y-F16.gguf");
}
END_TEST

START_TEST(a_split_file_needs_all_its_parts)
{
	put_all((const char *const[]){ SNAP "m-Q8_0-00001-of-00003.gguf",
			SNAP "m-Q8_0-00003-of-00003.gguf", NULL });
	check_missing("", "Q8_0", "parts are missing of " SNAP "m-Q8_0-00001-of-00003.gguf");
	put(SNAP "m-Q8_0-00002-of-00003.gguf", "");
	check_missing("", "Q8_0", "parts are missing"); /* an empty one is none */
	put(SNAP "m-Q8_0-00002-of-00003.gguf", "GGUF");
	check_found("", "Q8_0", SNAP "m-Q8_0-00001-of-00003.gguf");
}
END_TEST

START_TEST(a_whole_file_is_taken_before_one_in_parts_that_lacks_some)
{
	put_all((const char *const[]){
			SNAP "a-Q8_0-00001-of-00002.gguf", SNAP "m-Q8_0.gguf", NULL });
	check_found("", "Q8_0", SNAP "m-Q8_0.gguf");
}
END_TEST

START_TEST(a_part_alone_is_no_model)
{
	put_all((const char *const[]){ SNAP "m-Q8_0-00002-of-00002.gguf", NULL });
	check_missing("", "Q8_0", "no GGUF file for Q8_0");
}
END_TEST

START_TEST(the_revision_says_which_snapshot)
{
	put_all((const char *const[]){ SNAP "m-Q8_0.gguf", MODEL "/snapshots/1111/m-Q8_0.gguf",
			MODEL "/snapshots/2222/m-Q8_0.gguf", NULL });
	put(MODEL "/refs/v1", "1111");
	put(MODEL "/refs/refs/pr/2", "2222");
	check_found("", "Q8_0", SNAP "m-Q8_0.gguf");
	check_found("v1", "Q8_0", MODEL "/snapshots/1111/m-Q8_0.gguf");
	check_found("2222", "Q8_0", MODEL "/snapshots/2222/m-Q8_0.gguf");
	check_found("refs/pr/2", "Q8_0", MODEL "/snapshots/2222/m-Q8_0.gguf");
	check_missing("v2", "Q8_0", "org/m-GGUF is not in the model cache");
}
END_TEST

START_TEST(without_a_reference_the_only_snapshot_is_meant)
{
	put(SNAP "m-Q8_0.gguf", "GGUF");
	check_found("", "Q8_0", SNAP "m-Q8_0.gguf");
	put(MODEL "/snapshots/1111/m-Q8_0.gguf", "GGUF");
	check_missing("", "Q8_0", "is not in the model cache");
}
END_TEST

/* --- what others may leave there --- */

START_TEST(links_that_lead_nowhere_or_out_are_no_files)
{
	SB_CLEANUP(sb_freep) char *inside = below(MODEL "/blobs/abc");

	put(MODEL "/refs/main", "0000");
	put(MODEL "/blobs/abc", "GGUF");
	put_link(SNAP "m-Q8_0.gguf", "../../blobs/gone");
	check_missing("", "Q8_0", "no GGUF file");
	put_link(SNAP "n-Q8_0.gguf", "/etc/passwd");
	put_link(SNAP "o-Q8_0.gguf", "../../../../../../../../../../../etc/passwd");
	put_link(SNAP "p-Q8_0.gguf", "p-Q8_0.gguf");
	put_link(SNAP "q-Q8_0.gguf", inside); /* the container has it under another path */
	put_link(SNAP "r-Q8_0.gguf", "..");
	check_missing("", "Q8_0", "no GGUF file");
	put_link(SNAP "z-Q8_0.gguf", "../../blobs/abc");
	check_found("", "Q8_0", SNAP "z-Q8_0.gguf");
}
END_TEST

START_TEST(a_snapshot_or_reference_that_leads_out_is_none)
{
	put("else/m-Q8_0.gguf", "GGUF");
	put(MODEL "/refs/main", "../../../else");
	check_missing("", "Q8_0", "is not in the model cache");
	put_link(MODEL "/snapshots/0000", "/");
	put(MODEL "/refs/main", "0000");
	check_missing("", "Q8_0", "is not in the model cache");
	put(MODEL "/refs/main", "");
	check_missing("", "Q8_0", "is not in the model cache");
	put_link(MODEL "/refs/v1", "/dev/zero");
	check_missing("v1", "Q8_0", "is not in the model cache");
}
END_TEST

START_TEST(absurd_names_are_passed_over)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf longest = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *fifo = below(SNAP "c-Q8_0.gguf");

	put(MODEL "/refs/main", "0000");
	put(SNAP "a\n-Q8_0.gguf", "GGUF");
	put(SNAP "a\033[31m-Q8_0.gguf", "GGUF");
	put(SNAP "a\xff-Q8_0.gguf", "GGUF");
	put(SNAP "b-Q8_0.gguf/inner-Q8_0.gguf", "GGUF");
	put(SNAP ".hidden-Q8_0.gguf", "GGUF");
	put(SNAP ".gguf", "GGUF");
	put(SNAP "d-Q8_0-00001-of-99999.gguf", "");
	put(SNAP "d-Q8_0-00000-of-00000.gguf", "");
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	check_missing("", "Q8_0", "no GGUF file");
	sb_strbuf_adds(&longest, SNAP);
	for (int i = 0; i < 245; i++)
		sb_strbuf_addc(&longest, 'x');
	sb_strbuf_adds(&longest, "-Q8_0.gguf");
	put(sb_strbuf_str(&longest), "GGUF");
	check_found("", "Q8_0", sb_strbuf_str(&longest));
}
END_TEST

START_TEST(a_cache_without_an_end_is_left)
{
	char path[128], *got = NULL;
	struct sb_err err = SB_ERR_INIT;

	put(MODEL "/refs/main", "0000");
	put(SNAP "1/2/3/4/m-Q8_0.gguf", "GGUF");
	check_found("", "Q8_0", SNAP "1/2/3/4/m-Q8_0.gguf");
	put(SNAP "1/2/3/4/5/m-Q6_K.gguf", "GGUF");
	check_missing("", "Q6_K", "no GGUF file");
	for (int i = 0; i < 4200; i++) {
		snprintf(path, sizeof(path), SNAP "f%d", i);
		put(path, "");
	}
	ck_assert_int_eq(find("", "Q8_0", &got, &err), -SB_E_RANGE);
}
END_TEST

/* --- what a plan may ask for --- */

static const struct {
	uint32_t word;
	const char *repo, *revision, *quant;
	bool good;
} wants[] = {
	{ 1, REPO, "", "", true },
	{ 2, REPO, "refs/pr/1", "UD-Q4_K_XL", true },
	{ 1, "m", "", "", true },
	{ 0, REPO, "", "", false },
	{ 3, REPO, "", "", false },
	{ 1, "", "", "", false },
	{ 1, "/etc", "", "", false },
	{ 1, "a/b/c", "", "", false },
	{ 1, "../x", "", "", false },
	{ 1, "a/..", "", "", false },
	{ 1, "a/", "", "", false },
	{ 1, "a//b", "", "", false },
	{ 1, "a/b c", "", "", false },
	{ 1, REPO, "../x", "", false },
	{ 1, REPO, "a/../b", "", false },
	{ 1, REPO, "", "a/b", false },
	{ 1, REPO, "", "*", false },
	{ 1, REPO, "", "a\nb", false },
};

START_TEST(a_plan_may_ask_for_names_alone)
{
	Sparkbus__GgufModel want = SPARKBUS__GGUF_MODEL__INIT;

	want.word = wants[_i].word;
	want.repo = (char *)wants[_i].repo;
	want.revision = (char *)wants[_i].revision;
	want.quant = (char *)wants[_i].quant;
	ck_assert_int_eq(sb_gguf_check(&want, 3, NULL), wants[_i].good ? 0 : -SB_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gguf");
	TCase *tc = tcase_create("cache");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_hub_s_layout_of_links_is_understood);
	tcase_add_loop_test(tc, the_quant_chooses_as_a_word_of_the_name, 0, sb_countof(choices));
	tcase_add_test(tc, without_a_quant_any_file_will_do_when_there_is_no_q4_k_m);
	tcase_add_test(tc, a_split_file_needs_all_its_parts);
	tcase_add_test(tc, a_whole_file_is_taken_before_one_in_parts_that_lacks_some);
	tcase_add_test(tc, a_part_alone_is_no_model);
	tcase_add_test(tc, the_revision_says_which_snapshot);
	tcase_add_test(tc, without_a_reference_the_only_snapshot_is_meant);
	tcase_add_test(tc, links_that_lead_nowhere_or_out_are_no_files);
	tcase_add_test(tc, a_snapshot_or_reference_that_leads_out_is_none);
	tcase_add_test(tc, absurd_names_are_passed_over);
	tcase_add_test(tc, a_cache_without_an_end_is_left);
	tcase_add_loop_test(tc, a_plan_may_ask_for_names_alone, 0, sb_countof(wants));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
