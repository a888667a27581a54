/* Recipes at an address, from a server of the test's own that says what it wants. */
#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sb_fs.h"
#include "sb_registry.h"
#include "testdir.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static pid_t server;
static char base[64];
static struct sb_registry_store *store;

/* One answer to every request. What is sent after the answer never ends when @flood. */
static void answer(int fd, const char *text, bool flood)
{
	char request[4096], part[4096];

	if (read(fd, request, sizeof(request)) <= 0)
		return;
	memset(part, 'x', sizeof(part));
	if (write(fd, text, strlen(text)) < 0)
		return;
	while (flood && write(fd, part, sizeof(part)) > 0)
		;
}

static void serve(const char *text, bool flood)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/", ntohs(address.sin_port));
	server = fork();
	if (server == 0) {
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int peer = accept(fd, NULL, NULL);

			answer(peer, text, flood);
			close(peer);
		}
	}
	close(fd);
}

static void stop(void)
{
	if (server <= 0)
		return;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
}

static void open_store(void)
{
	SB_CLEANUP(sb_freep) char *cache = NULL;
	struct sb_registry_options options = { 0 };

	testdir_make();
	cache = sb_fs_join(testdir, "cache");
	options.config = testdir;
	options.cache = cache;
	ck_assert_int_eq(sb_registry_open(&options, &store, NULL), 0);
}

static void close_store(void)
{
	stop();
	sb_registry_close(store);
	testdir_done();
}

static int fetch(const char *name, char **ret_path, char **ret_stale, struct sb_err *err)
{
	char url[128];

	snprintf(url, sizeof(url), "%s%s", base, name);
	return sb_registry_download(store, url, ret_path, ret_stale, err);
}

static void ck_holds(const char *path, const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	ck_assert_int_eq(sb_fs_read(path, 4096, &out, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&out), text);
}

START_TEST(a_recipe_is_fetched_and_kept)
{
	SB_CLEANUP(sb_freep) char *path = NULL, *stale = NULL, *again = NULL;
	struct sb_err err = SB_ERR_INIT;

	serve(OK_HEAD "\r\nmodel: a/b\n", false);
	ck_assert_msg(fetch("r.yaml?a=1&b=2", &path, &stale, &err) == 0, "%s", err.text);
	ck_assert_ptr_null(stale);
	ck_holds(path, "model: a/b\n");
	ck_assert_ptr_nonnull(strstr(path, "/remote-recipes/"));
	stop();
	/* The server is gone: the copy is used, and it is said why and of when it is. */
	ck_assert_msg(fetch("r.yaml?a=1&b=2", &again, &stale, &err) == 0, "%s", err.text);
	ck_assert_str_eq(again, path);
	ck_assert_ptr_nonnull(strstr(stale, "this is the copy of 2"));
	ck_holds(again, "model: a/b\n");
}
END_TEST

/* What a server says is its word, and no older copy stands in for it. */
static const struct {
	const char *answer;
	bool flood;
	enum sb_code code;
	const char *why;
	bool older; /* is used */
} answers[] = {
	{ "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", false, SB_E_NOT_FOUND, "HTTP 404",
			false },
	{ "HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n", false, SB_E_NOT_FOUND, "HTTP 410",
			false },
	{ "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n", false, SB_E_DENIED, "HTTP 401", false },
	{ "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/x\r\nConnection: close\r\n\r\n", false,
			SB_E_DENIED, "leads on to where it may not", false },
	{ "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nConnection: close\r\n\r\n", false,
			SB_E_DENIED, "leads on to where it may not", false },
	{ OK_HEAD "\r\n", true, SB_E_RANGE, "more than 1048576 bytes", false },
	{ OK_HEAD "Content-Length: 99999999999\r\n\r\n", true, SB_E_RANGE, "more than 1048576",
			false },
	{ "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", false, SB_E_UNAVAILABLE, "HTTP 503",
			true },
	{ OK_HEAD "Content-Length: 100\r\n\r\nmodel", false, SB_E_UNAVAILABLE, "127.0.0.1", true },
	{ "nonsense\r\n\r\n", false, SB_E_UNAVAILABLE, "127.0.0.1", true },
	{ "", false, SB_E_UNAVAILABLE, "127.0.0.1", true },
};

START_TEST(a_bad_answer_is_an_error)
{
	SB_CLEANUP(sb_freep) char *path = NULL, *stale = NULL;
	struct sb_err err = SB_ERR_INIT;

	serve(answers[_i].answer, answers[_i].flood);
	ck_assert_int_eq(fetch("r.yaml", &path, &stale, &err), -(int)answers[_i].code);
	ck_assert_msg(strstr(err.text, answers[_i].why) != NULL, "%s", err.text);
	ck_assert_ptr_null(path);
	ck_assert_ptr_null(stale);
}
END_TEST

/* The same with a copy that was fetched before. */
START_TEST(only_silence_makes_an_older_copy_good)
{
	SB_CLEANUP(sb_freep) char *path = NULL, *stale = NULL, *first = NULL;
	struct sb_err err = SB_ERR_INIT;

	serve(answers[_i].answer, answers[_i].flood);
	/* By the file that the first fetch would have left. */
	ck_assert_int_lt(fetch("r.yaml", &path, &stale, NULL), 0);
	{
		char url[128], command[512];

		snprintf(url, sizeof(url), "%sr.yaml", base);
		snprintf(command, sizeof(command),
				"mkdir -p %s/cache/remote-recipes && echo old > "
				"%s/cache/remote-recipes/$(printf %%s '%s' | sha256sum | "
				"cut -c1-16).yaml",
				testdir, testdir, url);
		ck_assert_int_eq(system(command), 0);
	}
	ck_assert_int_eq(fetch("r.yaml", &first, &stale, &err) == 0, answers[_i].older);
	if (answers[_i].older) {
		ck_holds(first, "old\n");
		ck_assert_ptr_nonnull(stale);
	}
}
END_TEST

START_TEST(only_https_and_this_machine)
{
	static const char *const bad[] = { "http://example.org/r.yaml", "ftp://127.0.0.1/r.yaml",
		"file:///etc/passwd", "https://", "https://h", "https://user:secret@h/r.yaml",
		"https://h/r.yaml\r\nX: y", "https://h/a b", "ssh://h/r.yaml",
		"http://127.0.0.1@example.org/r.yaml", "/etc/passwd", "" };

	for (size_t i = 0; i < sb_countof(bad); i++) {
		SB_CLEANUP(sb_freep) char *path = NULL, *stale = NULL;
		struct sb_err err;

		ck_assert_msg(sb_registry_download(store, bad[i], &path, &stale, &err) ==
						-SB_E_INVALID,
				"%s", bad[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry_download");
	TCase *tc = tcase_create("download");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(tc, testdir_root_make, testdir_root_remove);
	tcase_add_checked_fixture(tc, open_store, close_store);
	tcase_add_test(tc, a_recipe_is_fetched_and_kept);
	tcase_add_loop_test(tc, a_bad_answer_is_an_error, 0, sb_countof(answers));
	tcase_add_loop_test(tc, only_silence_makes_an_older_copy_good, 0, sb_countof(answers));
	tcase_add_test(tc, only_https_and_this_machine);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
