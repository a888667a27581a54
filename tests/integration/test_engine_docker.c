/* The Docker client against a real engine. From the environment:
 *   SB_TEST_DOCKER_SOCK     its socket; without it the whole program is skipped
 *   SB_TEST_DOCKER_IMAGE    an image there with /bin/sh and /bin/busybox (default testimg:1)
 *   SB_TEST_DOCKER_RESTART  a command that restarts the engine (kill -9, then up again) and
 *                           returns when its socket answers; without it those tests are left out
 *   SB_TEST_PULL_REF, SB_TEST_PULL_AUTH, SB_TEST_PULL_BAD_AUTH   an image in a registry that the
 *                           engine reaches, and right and wrong values of X-Registry-Auth
 * Everything it makes carries the label sparkbus.test=<pid> and is removed. Containers use the
 * host's network and IPC, since a nested engine often has no other. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "sb_engine.h"
#include "sb_strbuf.h"

static const char *sock, *image;
static sd_event *loop;
static struct sb_engine *eng;
static char label[64], name[64], id[128];

static struct sb_err last;
static bool done;
static int exit_code;
static struct sb_strbuf told;

static int on_stuck(sd_event_source *source, uint64_t usec, void *arg)
{
	ck_abort_msg("stuck after: %s", sb_strbuf_str(&told));
	return 0;
}

static void run_until(bool (*ready)(void))
{
	sd_event_source *stuck = NULL;

	ck_assert_int_ge(sd_event_add_time_relative(loop, &stuck, CLOCK_MONOTONIC, 90u * 1000000u,
					 0, on_stuck, NULL),
			0);
	while (!ready())
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
	sd_event_source_disable_unref(stuck);
}

static bool is_done(void)
{
	return done;
}

/* Wait for the answer. Return: its code. */
static enum sb_code answer(void)
{
	run_until(is_done);
	done = false;
	return last.code;
}

static void finish(const struct sb_err *err)
{
	last = err ? *err : (struct sb_err)SB_ERR_INIT;
	done = true;
}

static void on_done(void *ctx, const struct sb_err *err)
{
	finish(err);
}

static void on_id(void *ctx, const char *new_id, const struct sb_err *err)
{
	snprintf(id, sizeof(id), "%s", new_id ? new_id : "");
	finish(err);
}

static void on_wait(void *ctx, int code, const struct sb_err *err)
{
	exit_code = code;
	finish(err);
}

/* For when another answer is waited for. */
static void on_killed(void *ctx, const struct sb_err *err)
{
	ck_assert_msg(!err, "%s", err ? err->text : "");
}

static void on_log(void *ctx, const struct sb_engine_log *log, const struct sb_err *err)
{
	uint64_t *newest = ctx;

	if (!log) {
		finish(err);
		return;
	}
	if (newest)
		*newest = log->unix_ns;
	ck_assert_uint_gt(log->unix_ns, 1600000000000000000u);
	sb_strbuf_addf(&told, "%d:%.*s;", log->stream, (int)(log->len < 100 ? log->len : 100),
			log->text);
	if (log->len > 100)
		sb_strbuf_addf(&told, "[%zu]", log->len);
}

static void setup(void)
{
	ck_assert_int_ge(sd_event_new(&loop), 0);
	ck_assert_int_eq(sb_engine_docker_new(loop, sock, &eng, NULL), 0);
	snprintf(label, sizeof(label), "%d", (int)getpid());
	snprintf(name, sizeof(name), "sbtest-%d", (int)getpid());
	told = (struct sb_strbuf)SB_STRBUF_INIT;
	done = false;
}

static void teardown(void)
{
	eng->ops->remove(eng, name, true, on_done, NULL, NULL, NULL);
	answer();
	sb_engine_free(eng);
	sd_event_unref(loop);
	sb_strbuf_done(&told);
}

static enum sb_code create_spec(struct sb_container_spec *spec, const char *script)
{
	const char *const argv[] = { "/bin/sh", "-c", script };
	const struct sb_kv labels[] = { { "sparkbus.test", label }, { "sparkbus.job", "j1" } };
	struct sb_err err = SB_ERR_INIT;

	spec->name = name;
	spec->image = image;
	spec->argv = argv;
	spec->n_argv = 3;
	spec->labels = labels;
	spec->n_labels = 2;
	spec->network = "host";
	spec->ipc = "host";
	ck_assert_msg(eng->ops->create(eng, spec, on_id, NULL, NULL, &err) == 0, "%s", err.text);
	return answer();
}

static void run(const char *script)
{
	struct sb_container_spec spec = { .name = name };

	ck_assert_msg(create_spec(&spec, script) == SB_OK, "%s", last.text);
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL);
	ck_assert_msg(answer() == SB_OK, "%s", last.text);
}

/* --- inspect --- */

static struct sb_container_info info;

static void on_info(void *ctx, const struct sb_container_info *c, const struct sb_err *err)
{
	if (c) {
		info = *c;
		ck_assert_str_eq(c->name, name);
		ck_assert_str_eq(c->id, id);
		ck_assert_str_eq(c->image, image);
		ck_assert_str_eq(sb_container_label(c, "sparkbus.job"), "j1");
		ck_assert_str_eq(sb_container_label(c, "sparkbus.test"), label);
	}
	finish(err);
}

static enum sb_code inspect(void)
{
	eng->ops->inspect(eng, name, on_info, NULL, NULL, NULL);
	return answer();
}

static void on_list(
		void *ctx, const struct sb_container_info *list, size_t n, const struct sb_err *err)
{
	sb_strbuf_addf(&told, "%zu:", n);
	for (size_t i = 0; i < n; i++)
		sb_strbuf_addf(&told, "%s,%d,%d;", list[i].name, (int)list[i].state,
				list[i].exit_code);
	finish(err);
}

START_TEST(a_container_lives_from_create_to_remove)
{
	char filter[96], want[128];

	snprintf(filter, sizeof(filter), "sparkbus.test=%s", label);
	run("trap 'exit 7' TERM; while :; do /bin/busybox sleep 0.1; done");
	ck_assert_int_eq(inspect(), SB_OK);
	ck_assert_int_eq(info.state, SB_CONTAINER_RUNNING);
	ck_assert_int_gt(info.pid, 0);
	ck_assert_uint_gt(info.started_unix_ms, 1600000000000u);
	ck_assert_uint_eq(info.finished_unix_ms, 0);
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL); /* again: nothing to do */
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->stop(eng, id, 20, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_int_eq(inspect(), SB_OK);
	ck_assert_int_eq(info.state, SB_CONTAINER_EXITED);
	ck_assert_int_eq(info.exit_code, 7);
	ck_assert_int_eq(info.pid, 0);
	eng->ops->stop(eng, id, 20, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->kill(eng, id, SIGTERM, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_E_BUSY);
	eng->ops->list(eng, filter, on_list, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	snprintf(want, sizeof(want), "1:%s,%d,7;", name, SB_CONTAINER_EXITED);
	ck_assert_str_eq(told.data, want);
	eng->ops->remove(eng, id, false, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->remove(eng, id, false, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_int_eq(inspect(), SB_E_NOT_FOUND);
	sb_strbuf_reset(&told);
	eng->ops->list(eng, filter, on_list, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_str_eq(told.data, "0:");
}
END_TEST

START_TEST(a_wait_ends_with_the_container)
{
	run("trap '' TERM; while :; do /bin/busybox sleep 0.1; done");
	eng->ops->wait(eng, id, on_wait, NULL, NULL, NULL);
	for (int i = 0; i < 3; i++)
		sd_event_run(loop, 10000);
	ck_assert(!done);
	eng->ops->kill(eng, id, SIGKILL, on_killed, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_int_eq(exit_code, 137);
	eng->ops->wait(eng, "no-such-container", on_wait, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_E_NOT_FOUND);
}
END_TEST

START_TEST(failures_are_told_apart)
{
	struct sb_container_spec spec = { .name = name };

	run("exit 0");
	ck_assert_int_eq(create_spec(&spec, "exit 0"), SB_E_BUSY);
	image = "no-such-image:1";
	ck_assert_int_eq(create_spec(&spec, "exit 0"), SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(last.text, "no-such-image"));
	eng->ops->start(eng, "no-such-container", on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_E_NOT_FOUND);
}
END_TEST

START_TEST(a_command_that_is_not_there_says_so)
{
	struct sb_container_spec spec = { .set_entrypoint = true,
		.entrypoint = "/no/such/program" };

	ck_assert_int_eq(create_spec(&spec, "x"), SB_OK);
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL);
	ck_assert_int_ne(answer(), SB_OK);
	ck_assert_ptr_nonnull(strstr(last.text, "/no/such/program"));
	ck_assert_int_eq(inspect(), SB_OK);
	ck_assert_int_ne(info.state, SB_CONTAINER_RUNNING);
}
END_TEST

START_TEST(every_option_reaches_the_container)
{
	static const struct sb_kv env[] = { { "SB_A", "x=y z" } };
	static const struct sb_engine_mount mounts[] = { { "/etc", "/mnt/etc", true } };
	static const char *const devices[] = { "/dev/null" };
	static const char *const caps[] = { "SYS_PTRACE" };
	static const char *const security[] = { "no-new-privileges" };
	static const struct sb_engine_ulimit ulimits[] = { { "nofile", 1000, 1000 } };
	struct sb_container_spec spec = { .set_entrypoint = true,
		.entrypoint = "",
		.env = env,
		.n_env = 1,
		.mounts = mounts,
		.n_mounts = 1,
		.devices = devices,
		.n_devices = 1,
		.cap_add = caps,
		.n_cap_add = 1,
		.security_opt = security,
		.n_security_opt = 1,
		.ulimits = ulimits,
		.n_ulimits = 1,
		.user = "12:34",
		.init = true,
		.restart_policy = "on-failure:3",
		.memory_bytes = 64 << 20 };

	ck_assert_msg(create_spec(&spec,
				      "echo \"$SB_A\"; ulimit -n; "
				      "test -r /mnt/etc/passwd && echo mounted; "
				      "/bin/busybox touch /mnt/etc/x 2>/dev/null || echo "
				      "read-only; "
				      "/bin/busybox id -u; /bin/busybox grep NoNewPrivs "
				      "/proc/self/status") == SB_OK,
			"%s", last.text);
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL);
	ck_assert_msg(answer() == SB_OK, "%s", last.text);
	eng->ops->logs(eng, id, 0, true, on_log, NULL, NULL, NULL);
	ck_assert_msg(answer() == SB_OK, "%s", last.text);
	ck_assert_str_eq(told.data, "1:x=y z;1:1000;1:mounted;1:read-only;1:12;1:NoNewPrivs:\t1;");
}
END_TEST

START_TEST(logs_follow_to_the_end_and_resume)
{
	uint64_t newest = 0, first;

	run("echo one; echo two >&2; printf three; /bin/busybox sleep 0.2; echo; echo four");
	eng->ops->logs(eng, id, 0, true, on_log, &newest, NULL, NULL);
	ck_assert_msg(answer() == SB_OK, "%s", last.text);
	ck_assert_ptr_nonnull(strstr(told.data, "1:one;"));
	ck_assert_ptr_nonnull(strstr(told.data, "2:two;"));
	ck_assert_ptr_nonnull(strstr(told.data, "1:three;1:four;"));
	first = newest;
	sb_strbuf_reset(&told);
	eng->ops->logs(eng, id, first, true, on_log, &newest, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_str_eq(sb_strbuf_str(&told), "");
	eng->ops->logs(eng, id, first - 1, false, on_log, &newest, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_str_eq(told.data, "1:four;");
}
END_TEST

START_TEST(a_very_long_line_comes_in_parts)
{
	run("/bin/busybox head -c 40000 /dev/zero | /bin/busybox tr '\\0' x; echo; echo end");
	eng->ops->logs(eng, id, 0, true, on_log, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_ptr_nonnull(strstr(told.data, "[16384]"));
	ck_assert_ptr_nonnull(strstr(told.data, "[7232]"));
	ck_assert_ptr_nonnull(strstr(told.data, "1:end;"));
	ck_assert_ptr_null(strstr(told.data, "T"));
}
END_TEST

/* --- events --- */

static const char *wanted;

static bool is_told(void)
{
	return strstr(sb_strbuf_str(&told), wanted) != NULL;
}

static void on_event(
		void *ctx, const struct sb_engine_event *ev, bool resync, const struct sb_err *err)
{
	if (ev)
		sb_strbuf_addf(&told, "%s %s %d;", ev->action, ev->name, ev->exit_code);
	else
		sb_strbuf_addf(&told, "%s;", resync ? "resync" : sb_code_name(err->code));
}

static void until_told(const char *what)
{
	wanted = what;
	run_until(is_told);
}

START_TEST(events_tell_a_life)
{
	char filter[96], want[512];
	struct sb_engine_call *call;

	snprintf(filter, sizeof(filter), "sparkbus.test=%s", label);
	eng->ops->events(eng, filter, on_event, NULL, &call, NULL);
	until_told("resync;");
	run("exit 3");
	until_told("die ");
	eng->ops->remove(eng, id, true, on_done, NULL, NULL, NULL);
	answer();
	until_told("destroy ");
	snprintf(want, sizeof(want), "resync;create %s 0;start %s 0;die %s 3;destroy %s 0;", name,
			name, name, name);
	ck_assert_str_eq(told.data, want);
	eng->ops->cancel(eng, call);
}
END_TEST

/* --- the rest --- */

static void on_version(void *ctx, const struct sb_engine_version *v, const struct sb_err *err)
{
	if (v) {
		ck_assert_str_eq(v->os, "linux");
		ck_assert(*v->api_version && *v->arch);
	}
	finish(err);
}

static void on_engine_info(void *ctx, const struct sb_engine_info *i, const struct sb_err *err)
{
	if (i)
		ck_assert(i->root_dir[0] == '/' && *i->driver);
	finish(err);
}

static void on_df(void *ctx, const struct sb_engine_df *df, const struct sb_err *err)
{
	if (df)
		ck_assert_uint_gt(df->images_bytes, 100000);
	finish(err);
}

static void on_image(void *ctx, const struct sb_image_info *i, const struct sb_err *err)
{
	if (i) {
		ck_assert_int_eq(strncmp(i->id, "sha256:", 7), 0);
		ck_assert_uint_gt(i->size_bytes, 100000);
		ck_assert(*i->arch);
	}
	finish(err);
}

START_TEST(the_engine_tells_about_itself)
{
	eng->ops->ping(eng, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->version(eng, on_version, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->info(eng, on_engine_info, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->df(eng, on_df, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->image_inspect(eng, image, on_image, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->image_inspect(eng, "no-such-image:1", on_image, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_E_NOT_FOUND);
}
END_TEST

START_TEST(files_can_be_put_into_a_container)
{
	struct sb_container_spec spec = { .name = name };
	struct archive *tar = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	static char buf[65536];
	size_t used = 0;

	archive_write_set_format_ustar(tar);
	archive_write_open_memory(tar, buf, sizeof(buf), &used);
	archive_entry_set_pathname(entry, "hello.txt");
	archive_entry_set_size(entry, 6);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_write_header(tar, entry);
	archive_write_data(tar, "world\n", 6);
	archive_entry_free(entry);
	archive_write_close(tar);
	archive_write_free(tar);
	ck_assert_int_eq(create_spec(&spec, "/bin/busybox cat /bin/hello.txt"), SB_OK);
	eng->ops->archive_put(eng, id, "/bin", buf, used, on_done, NULL, NULL, NULL);
	ck_assert_msg(answer() == SB_OK, "%s", last.text);
	eng->ops->archive_put(eng, id, "/no/such/folder", buf, used, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_E_NOT_FOUND);
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	eng->ops->logs(eng, id, 0, true, on_log, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_str_eq(told.data, "1:world;");
}
END_TEST

/* --- commands in a container --- */

static void on_exec(void *ctx, const struct sb_engine_log *line, int code, const struct sb_err *err)
{
	if (line) {
		sb_strbuf_addf(&told, "%d:%.*s;", line->stream, (int)line->len, line->text);
		return;
	}
	sb_strbuf_addf(&told, "=%d", code);
	on_done(ctx, err);
}

static enum sb_code exec_as(const char *user, const char *text, uint64_t limit_ms)
{
	const char *const argv[] = { "/bin/busybox", "sh", "-c", text };
	const struct sb_exec_spec spec = {
		.argv = argv, .n_argv = sb_countof(argv), .user = user, .limit_ms = limit_ms
	};

	sb_strbuf_reset(&told);
	eng->ops->exec(eng, id, &spec, on_exec, NULL, NULL, NULL);
	return answer();
}

START_TEST(commands_run_in_a_container)
{
	struct sb_container_spec spec = { .name = name, .user = "1000:1000" };

	ck_assert_int_eq(create_spec(&spec, "/bin/busybox sleep 60"), SB_OK);
	ck_assert_int_eq(exec_as("0:0", "true", 10000), SB_E_BUSY); /* it does not run */
	eng->ops->start(eng, id, on_done, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	ck_assert_msg(exec_as("0:0", "id -u; echo two >&2; exit 7", 10000) == SB_OK, "%s",
			last.text);
	ck_assert_ptr_nonnull(strstr(told.data, "1:0;"));
	ck_assert_ptr_nonnull(strstr(told.data, "2:two;"));
	ck_assert_ptr_nonnull(strstr(told.data, "=7"));
	ck_assert_int_eq(exec_as("", "id -u", 10000), SB_OK);
	ck_assert_str_eq(told.data, "1:1000;=0");
	ck_assert_int_eq(exec_as("", "printf \"it's\\n\"", 10000), SB_OK);
	ck_assert_str_eq(told.data, "1:it's;=0");
	for (int i = 0; i < 20; i++) { /* its end may be heard after its output's */
		ck_assert_int_eq(exec_as("", "exit 5", 10000), SB_OK);
		ck_assert_str_eq(told.data, "=5");
	}
	ck_assert_int_eq(exec_as("", "sleep 30", 200), SB_E_TIMEOUT);
}
END_TEST

/* --- an engine that goes and comes --- */

static void restart_engine(void)
{
	ck_assert_int_eq(system(getenv("SB_TEST_DOCKER_RESTART")), 0);
}

START_TEST(a_log_follow_says_that_the_engine_went)
{
	run("while :; do echo tick; /bin/busybox sleep 0.1; done");
	eng->ops->logs(eng, id, 0, true, on_log, NULL, NULL, NULL);
	until_told("tick;");
	restart_engine();
	ck_assert_int_eq(answer(), SB_E_UNAVAILABLE);
	ck_assert_int_eq(inspect(), SB_OK);
}
END_TEST

START_TEST(events_survive_the_engine)
{
	char filter[96];
	struct sb_engine_call *call;

	snprintf(filter, sizeof(filter), "sparkbus.test=%s", label);
	eng->ops->events(eng, filter, on_event, NULL, &call, NULL);
	until_told("resync;");
	restart_engine();
	until_told("UNAVAILABLE;resync;");
	run("exit 3");
	until_told("die ");
	eng->ops->cancel(eng, call);
}
END_TEST

/* --- pull --- */

static void on_progress(void *ctx, const char *layer, const char *status, uint64_t current_bytes,
		uint64_t total_bytes)
{
	sb_strbuf_addf(&told, "%s %s;", layer, status);
}

static enum sb_code pull(const char *ref, const char *auth)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(eng->ops->image_pull(
				      eng, ref, auth, on_progress, on_done, NULL, NULL, &err) == 0,
			"%s", err.text);
	return answer();
}

START_TEST(an_image_is_pulled)
{
	const char *ref = getenv("SB_TEST_PULL_REF"), *bad = getenv("SB_TEST_PULL_BAD_AUTH");
	const char *colon = strrchr(ref, ':');
	char missing[256];

	ck_assert_msg(pull(ref, getenv("SB_TEST_PULL_AUTH")) == SB_OK, "%s", last.text);
	ck_assert_ptr_nonnull(strstr(told.data, "Digest: sha256:"));
	eng->ops->image_inspect(eng, ref, on_image, NULL, NULL, NULL);
	ck_assert_int_eq(answer(), SB_OK);
	snprintf(missing, sizeof(missing), "%.*s:nosuchtag", (int)(colon - ref), ref);
	ck_assert_msg(pull(missing, getenv("SB_TEST_PULL_AUTH")) == SB_E_NOT_FOUND, "%s",
			last.text);
	if (bad)
		ck_assert_msg(pull(ref, bad) == SB_E_DENIED, "%s", last.text);
	ck_assert_msg(pull("127.0.0.1:1/x:1", NULL) == SB_E_UNAVAILABLE, "%s", last.text);
}
END_TEST

int main(void)
{
	Suite *suite;
	SRunner *runner;
	TCase *tc;
	int failed;

	sock = getenv("SB_TEST_DOCKER_SOCK");
	image = getenv("SB_TEST_DOCKER_IMAGE") ? getenv("SB_TEST_DOCKER_IMAGE") : "testimg:1";
	if (!sock) {
		printf("skipped: SB_TEST_DOCKER_SOCK names no engine\n");
		return 77;
	}
	suite = suite_create("engine_docker");
	tc = tcase_create("all");
	runner = srunner_create(suite);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, the_engine_tells_about_itself);
	tcase_add_test(tc, a_container_lives_from_create_to_remove);
	tcase_add_test(tc, a_wait_ends_with_the_container);
	tcase_add_test(tc, failures_are_told_apart);
	tcase_add_test(tc, a_command_that_is_not_there_says_so);
	tcase_add_test(tc, every_option_reaches_the_container);
	tcase_add_test(tc, logs_follow_to_the_end_and_resume);
	tcase_add_test(tc, a_very_long_line_comes_in_parts);
	tcase_add_test(tc, events_tell_a_life);
	tcase_add_test(tc, files_can_be_put_into_a_container);
	tcase_add_test(tc, commands_run_in_a_container);
	if (getenv("SB_TEST_DOCKER_RESTART")) {
		tcase_add_test(tc, a_log_follow_says_that_the_engine_went);
		tcase_add_test(tc, events_survive_the_engine);
	}
	if (getenv("SB_TEST_PULL_REF"))
		tcase_add_test(tc, an_image_is_pulled);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
