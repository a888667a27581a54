/* test_rank_files.c - files of the plan: what is put into a container, when, whose, and what is
 * refused before anything is made. */
#include <archive.h>
#include <archive_entry.h>

#include "jobs_support.h"
#include "sb_entry.h"
#include "sb_fs.h"

static Sparkbus__LaunchPlan plan;

static Sparkbus__File files[4];
static Sparkbus__File *file_list[4] = { &files[0], &files[1], &files[2], &files[3] };

static void set_file(size_t i, const char *path, const char *text, uint32_t mode)
{
	sparkbus__file__init(&files[i]);
	files[i].path = (char *)path;
	files[i].content.data = (uint8_t *)text;
	files[i].content.len = strlen(text);
	files[i].mode = mode;
}

struct unpacked {
	unsigned n;
	char path[4][128], text[4][64];
	unsigned mode[4];
	int64_t uid[4];
};

static struct unpacked unpack(size_t node)
{
	struct unpacked u = { 0 };
	struct archive_entry *entry;
	struct archive *a = archive_read_new();
	size_t len;
	const void *tar = fake_engine_archive(nodes[node].engine, &len);

	ck_assert_ptr_nonnull(tar);
	archive_read_support_format_tar(a);
	ck_assert_int_eq(archive_read_open_memory(a, tar, len), ARCHIVE_OK);
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		ck_assert_uint_lt(u.n, 4);
		snprintf(u.path[u.n], sizeof(u.path[0]), "%s", archive_entry_pathname(entry));
		ck_assert_int_ge(archive_read_data(a, u.text[u.n], sizeof(u.text[0]) - 1), 0);
		u.mode[u.n] = archive_entry_perm(entry);
		u.uid[u.n++] = archive_entry_uid(entry);
	}
	archive_read_free(a);
	return u;
}

START_TEST(files_are_there_before_the_main_process_starts)
{
	struct unpacked u;

	plan = make_plan(2);
	set_file(0, "/etc/all", "for all", 0);
	set_file(1, "/workspace/one two/run.sh", "#!/bin/sh\n", 0755);
	plan.files = file_list;
	plan.n_files = 1;
	specs[1].files = file_list + 1;
	specs[1].n_files = 1;
	fake_engine_delay(nodes[1].engine, FAKE_ARCHIVE_PUT);
	launch(&plan);
	until(fake_engine_count(nodes[1].engine, FAKE_ARCHIVE_PUT) == 1);
	settle();
	ck_assert_uint_eq(fake_engine_count(nodes[1].engine, FAKE_START), 0);
	ck_assert_int_eq(container(1)->state, SB_CONTAINER_CREATED);
	fake_engine_release(nodes[1].engine, FAKE_ARCHIVE_PUT);
	until(state_of(0) == J(READY));
	u = unpack(0);
	ck_assert_uint_eq(u.n, 1);
	u = unpack(1);
	ck_assert_uint_eq(u.n, 2);
	ck_assert_str_eq(u.path[0], "etc/all");
	ck_assert_str_eq(u.text[0], "for all");
	ck_assert_uint_eq(u.mode[0], 0644);
	ck_assert_str_eq(u.path[1], "workspace/one two/run.sh");
	ck_assert_uint_eq(u.mode[1], 0755);
}
END_TEST

START_TEST(a_container_without_files_is_not_asked_to_take_any)
{
	plan = make_plan(1);
	launch_ready(&plan);
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_ARCHIVE_PUT), 0);
}
END_TEST

/* Runs as root only: the model cache of the node must belong to somebody else. */
START_TEST(files_belong_to_the_user_that_the_rank_runs_as)
{
	if (geteuid() != 0)
		return;
	plan = make_plan(1);
	options.user = (char *)"auto";
	set_file(0, "/secret", "s", 0600);
	plan.files = file_list;
	plan.n_files = 1;
	ck_assert_int_eq(chown(nodes[0].dir, 4321, 4321), 0);
	launch_ready(&plan);
	ck_assert_int_eq(unpack(0).uid[0], 4321);
	ck_assert_uint_eq(unpack(0).mode[0], 0600);
	ck_assert_str_eq(fake_engine_user(nodes[0].engine), "4321:4321");
}
END_TEST

static const struct {
	const char *user;
	int64_t uid;
} owners[] = {
	{ "1234:5678", 1234 },
	{ "1234", 1234 },
	{ "0:0", 0 },
	{ "", 0 },
	{ "nobody", 0 }, /* the node does not know the image's accounts */
	{ "12ab", 0 },
	{ "1234:x", 0 },
};

START_TEST(files_belong_to_a_user_given_by_number)
{
	plan = make_plan(1);
	options.user = (char *)owners[_i].user;
	set_file(0, "/secret", "s", 0600);
	plan.files = file_list;
	plan.n_files = 1;
	launch_ready(&plan);
	ck_assert_int_eq(unpack(0).uid[0], owners[_i].uid);
}
END_TEST

START_TEST(a_put_that_fails_ends_the_job_and_leaves_no_container)
{
	plan = make_plan(1);
	set_file(0, "/a", "x", 0);
	plan.files = file_list;
	plan.n_files = 1;
	fake_engine_fail_next(nodes[0].engine, FAKE_ARCHIVE_PUT, SB_E_INVALID, "no room");
	launch(&plan);
	until(sb_job_ended(state_of(0)));
	ck_assert_ptr_nonnull(strstr(status_of(0)->reason, "no room"));
	ck_assert_ptr_null(container(0));
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_START), 0);
}
END_TEST

START_TEST(a_stop_while_files_are_put_leaves_nothing)
{
	plan = make_plan(1);
	set_file(0, "/a", "x", 0);
	plan.files = file_list;
	plan.n_files = 1;
	fake_engine_delay(nodes[0].engine, FAKE_ARCHIVE_PUT);
	launch(&plan);
	until(fake_engine_count(nodes[0].engine, FAKE_ARCHIVE_PUT) == 1);
	sb_jobs_stop(nodes[0].jobs, JOB, -1, on_stopped, &(struct stopped){ 0 });
	settle();
	fake_engine_release(nodes[0].engine, FAKE_ARCHIVE_PUT);
	until(sb_job_ended(state_of(0)));
	ck_assert_ptr_null(container(0));
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_START), 0);
}
END_TEST

static const char *const bad_paths[] = { "", "/", "a", "a/b", "/a/", "//a", "/a//b", "/../a",
	"/a/..", "/a/../b", "/./a", "/models/x", "/models", "/etc/./x" };

START_TEST(a_path_that_leads_elsewhere_is_refused)
{
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;
	Sparkbus__Mount mount = SPARKBUS__MOUNT__INIT, *mounts[] = { &mount };
	struct sb_err err = SB_ERR_INIT;

	plan = make_plan(1);
	mount.source = (char *)"/tmp";
	mount.target = (char *)"/models/";
	specs[0].mounts = mounts;
	specs[0].n_mounts = 1;
	set_file(0, bad_paths[_i], "x", 0);
	plan.files = file_list;
	plan.n_files = 1;
	request.plan = &plan;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, &err),
			-SB_E_INVALID);
	set_file(0, "/modelsx/y", "x", 010000);
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, &err),
			-SB_E_INVALID);
	set_file(0, "/modelsx/..y/...", "x", 07777);
	ck_assert(prepare_for(0, &plan, 0).leased);
}
END_TEST

START_TEST(more_than_the_caps_is_refused)
{
	static Sparkbus__File *many[SB_PLAN_FILES_MAX + 1];
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;
	char *big = calloc(1, SB_PLAN_FILES_MAX_BYTES + 1);

	plan = make_plan(1);
	set_file(0, "/a", "", 0);
	for (size_t i = 0; i < sb_countof(many); i++)
		many[i] = &files[0];
	plan.files = many;
	plan.n_files = SB_PLAN_FILES_MAX;
	request.plan = &plan;
	ck_assert(prepare_for(0, &plan, 1).leased);
	specs[0].files = many;
	specs[0].n_files = 1;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_RANGE);
	plan.n_files = 0;
	files[0].content.data = (uint8_t *)big;
	files[0].content.len = SB_PLAN_FILES_MAX_BYTES + 1;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_RANGE);
	plan.ranks[0]->n_files = 0;
	memset(big, 'x', SB_PLAN_RECIPE_MAX_BYTES + 1);
	plan.recipe_yaml = big;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_RANGE);
	free(big);
}
END_TEST

/* --- the image's entrypoint --- */

static const struct {
	const char *of_image, *of_plan;
	bool keep;
	const char *want; /* NULL = nothing is said to the engine */
} entrypoints[] = {
	{ NULL, NULL, false, NULL },
	{ "vllm", NULL, false, "" },
	{ "/entrypoint.sh", NULL, false, "" },
	{ "/opt/nvidia/nvidia_entrypoint.sh", NULL, false, NULL },
	{ "/usr/local/bin/nvidia_entrypoint.sh", NULL, false, NULL },
	{ "/opt/not_nvidia_entrypoint.sh", NULL, false, "" },
	{ "nvidia_entrypoint.sh/", NULL, false, "" },
	{ "vllm", NULL, true, NULL },
	{ "vllm", "", false, "" },
	{ "/opt/nvidia/nvidia_entrypoint.sh", "", false, "" },
	{ "vllm", "/bin/sh", false, "/bin/sh" },
};

START_TEST(an_image_s_entrypoint_never_stands_before_the_serve_command)
{
	const char *got;

	plan = make_plan(1);
	fake_engine_image_entrypoint(nodes[0].engine, entrypoints[_i].of_image);
	options.image_entrypoint = entrypoints[_i].keep;
	if (entrypoints[_i].of_plan) {
		options.has_entrypoint_case =
				SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT;
		options.entrypoint = (char *)entrypoints[_i].of_plan;
	}
	launch_ready(&plan);
	got = fake_engine_entrypoint(nodes[0].engine);
	ck_assert_int_eq(got != NULL, entrypoints[_i].want != NULL);
	if (got)
		ck_assert_str_eq(got, entrypoints[_i].want);
}
END_TEST

START_TEST(a_wrapper_that_has_words_of_its_own_is_none)
{
	static const char *const with_more[] = { "/opt/nvidia/nvidia_entrypoint.sh", "vllm", NULL };
	static const char *const alone[] = { "/opt/nvidia/nvidia_entrypoint.sh", NULL };
	static const char *const none[] = { NULL };

	ck_assert(!sb_entry_keeps(with_more));
	ck_assert(sb_entry_keeps(alone));
	ck_assert(!sb_entry_keeps(none));
}
END_TEST

START_TEST(an_image_that_has_gone_ends_the_job)
{
	plan = make_plan(1);
	prepare_all(&plan);
	fake_engine_fail_next(nodes[0].engine, FAKE_IMAGE_INSPECT, SB_E_NOT_FOUND, "no such image");
	ck_assert_int_eq(sb_jobs_commit(nodes[0].jobs, JOB, NULL), 0);
	until(state_of(0) == J(FAILED));
	ck_assert_uint_eq(fake_engine_count(nodes[0].engine, FAKE_CREATE), 0);
}
END_TEST

/* --- a GGUF model --- */

#define GGUF_FILE "hub/models--org--m-GGUF/snapshots/0000/m-Q8_0.gguf"

static Sparkbus__GgufModel gguf;
static Sparkbus__Mount cache;
static Sparkbus__Mount *mounts[] = { &cache };
static char *gguf_argv[] = { (char *)"llama-server", (char *)"-hf", (char *)"org/m-GGUF:Q8_0",
	(char *)"--jinja" };

static void use_gguf(void)
{
	sparkbus__gguf_model__init(&gguf);
	gguf.word = 2;
	gguf.file_flag = (char *)"-m";
	gguf.repo = (char *)"org/m-GGUF";
	gguf.quant = (char *)"Q8_0";
	sparkbus__mount__init(&cache);
	cache.source = (char *)"{hf_cache}";
	cache.target = (char *)"/cache/huggingface";
	plan = make_plan(1);
	specs[0].argv = gguf_argv;
	specs[0].n_argv = sb_countof(gguf_argv);
	specs[0].gguf = &gguf;
	specs[0].mounts = mounts;
	specs[0].n_mounts = 1;
}

static void cache_model(void)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	int fd;

	ck_assert_int_ge(asprintf(&path, "%s/" GGUF_FILE, nodes[0].dir), 0);
	*strrchr(path, '/') = '\0';
	ck_assert_int_eq(sb_fs_mkdirs(path, 0755, NULL), 0);
	path[strlen(path)] = '/';
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	ck_assert_int_eq((int)write(fd, "GGUF", 4), 4);
	close(fd);
}

struct answer_to_prepare {
	bool done, leased;
	char note[256], problem[256];
};

static void on_answer(void *ctx, const Sparkbus__PrepareReply *reply, const struct sb_err *err)
{
	struct answer_to_prepare *a = ctx;

	a->done = true;
	a->leased = reply->leased;
	if (reply->n_notes)
		snprintf(a->note, sizeof(a->note), "%s", reply->notes[0]);
	if (reply->n_problems)
		snprintf(a->problem, sizeof(a->problem), "%s", reply->problems[0]->message);
}

static struct answer_to_prepare ask(void)
{
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;
	struct answer_to_prepare a = { 0 };
	struct sb_err err = SB_ERR_INIT;

	request.plan = &plan;
	ck_assert_msg(sb_jobs_prepare(nodes[0].jobs, &request, on_answer, &a, &err) == 0, "%s",
			err.text);
	until(a.done);
	return a;
}

START_TEST(a_gguf_file_of_the_cache_takes_the_place_of_its_name)
{
	struct answer_to_prepare a;

	use_gguf();
	cache_model();
	a = ask();
	ck_assert(a.leased);
	ck_assert_str_eq(a.note, "serves " GGUF_FILE " from the model cache");
	ck_assert_str_eq(a.problem, "");
	launch_ready(&plan);
	ck_assert_str_eq(fake_engine_argv(nodes[0].engine),
			"llama-server -m /cache/huggingface/" GGUF_FILE " --jinja");
}
END_TEST

START_TEST(a_gguf_model_that_is_not_there_is_the_engine_s_to_find)
{
	struct answer_to_prepare a;

	use_gguf();
	a = ask();
	ck_assert(a.leased);
	ck_assert_str_eq(a.note, "");
	ck_assert_ptr_nonnull(strstr(a.problem, "the engine must find org/m-GGUF:Q8_0 itself"));
	launch_ready(&plan);
	ck_assert_str_eq(fake_engine_argv(nodes[0].engine),
			"llama-server -hf org/m-GGUF:Q8_0 --jinja");
}
END_TEST

START_TEST(a_gguf_model_comes_behind_the_hooks)
{
	Sparkbus__Hook hook = SPARKBUS__HOOK__INIT, *hooks[] = { &hook };

	use_gguf();
	cache_model();
	hook.label = (char *)"pre_exec[0]";
	hook.command = (char *)"true";
	plan.pre_exec = hooks;
	plan.n_pre_exec = 1;
	gguf.file_flag = (char *)"";
	launch_ready(&plan);
	ck_assert_str_eq(fake_engine_argv(nodes[0].engine),
			"/bin/sh /.sparkbus/entry llama-server -hf /cache/huggingface/" GGUF_FILE
			" --jinja");
}
END_TEST

START_TEST(a_container_without_the_cache_gets_no_file_of_it)
{
	use_gguf();
	cache_model();
	cache.source = (char *)"/tmp";
	launch_ready(&plan);
	ck_assert_str_eq(fake_engine_argv(nodes[0].engine),
			"llama-server -hf org/m-GGUF:Q8_0 --jinja");
}
END_TEST

START_TEST(a_model_is_looked_for_where_the_hub_puts_it)
{
	use_gguf();
	specs[0].gguf = NULL;
	plan.model = (char *)"org/m-GGUF";
	ck_assert_ptr_nonnull(strstr(ask().problem, "org/m-GGUF is not in the model cache"));
	cache_model();
	ck_assert_str_eq(ask().problem, "");
}
END_TEST

START_TEST(a_rank_that_is_told_no_file_reads_no_model)
{
	struct answer_to_prepare a = { 0 };
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;

	use_gguf();
	plan = make_plan(2);
	specs[0].gguf = &gguf;
	plan.model = (char *)"org/m-GGUF:Q8_0";
	specs[0].argv = gguf_argv;
	specs[0].n_argv = sb_countof(gguf_argv);
	request.plan = &plan;
	request.rank = 1;
	ck_assert_int_eq(sb_jobs_prepare(nodes[1].jobs, &request, on_answer, &a, NULL), 0);
	until(a.done);
	ck_assert_str_eq(a.problem, "");
	ck_assert(ask().problem[0]);
}
END_TEST

START_TEST(a_gguf_word_that_is_none_is_refused)
{
	Sparkbus__PrepareRequest request = SPARKBUS__PREPARE_REQUEST__INIT;

	use_gguf();
	gguf.word = 4;
	request.plan = &plan;
	ck_assert_int_eq(sb_jobs_prepare(nodes[0].jobs, &request, on_prepared, NULL, NULL),
			-SB_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rank files");
	TCase *tc = tcase_create("files");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, files_are_there_before_the_main_process_starts);
	tcase_add_test(tc, a_container_without_files_is_not_asked_to_take_any);
	tcase_add_test(tc, files_belong_to_the_user_that_the_rank_runs_as);
	tcase_add_loop_test(tc, files_belong_to_a_user_given_by_number, 0, sb_countof(owners));
	tcase_add_test(tc, a_put_that_fails_ends_the_job_and_leaves_no_container);
	tcase_add_test(tc, a_stop_while_files_are_put_leaves_nothing);
	tcase_add_loop_test(tc, a_path_that_leads_elsewhere_is_refused, 0, sb_countof(bad_paths));
	tcase_add_test(tc, more_than_the_caps_is_refused);
	tcase_add_loop_test(tc, an_image_s_entrypoint_never_stands_before_the_serve_command, 0,
			sb_countof(entrypoints));
	tcase_add_test(tc, a_wrapper_that_has_words_of_its_own_is_none);
	tcase_add_test(tc, an_image_that_has_gone_ends_the_job);
	tcase_add_test(tc, a_gguf_file_of_the_cache_takes_the_place_of_its_name);
	tcase_add_test(tc, a_gguf_model_that_is_not_there_is_the_engine_s_to_find);
	tcase_add_test(tc, a_gguf_model_comes_behind_the_hooks);
	tcase_add_test(tc, a_container_without_the_cache_gets_no_file_of_it);
	tcase_add_test(tc, a_model_is_looked_for_where_the_hub_puts_it);
	tcase_add_test(tc, a_rank_that_is_told_no_file_reads_no_model);
	tcase_add_test(tc, a_gguf_word_that_is_none_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
