/* The readiness probe: what is asked, what counts as produced, and the whole of it over TCP. */
#include <check.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

/* --- the whole probe, against an engine of a few lines --- */

/* What the engine answers, one connection after the other; the last one again and again. */
struct scene {
	const char *target; /* the request that must come; NULL = any */
	int status;         /* 0 = take the request and never answer */
	const char *body;
};

struct engine {
	sd_event *loop;
	int listener;
	uint16_t port;
	const struct scene *scenes;
	sd_event_source *accepting, *reading[64];
	int fds[64];
	size_t n;
	char asked[256]; /* targets, in order */
};

struct outcome {
	bool done, alive;
	struct sb_err err;
	char progress[SB_ERR_TEXT_MAX];
};

static int on_request(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct engine *engine = ctx;
	const struct scene *scene = engine->scenes;
	char request[4096], target[64], reply[1024];
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
	size_t len = strlen(engine->asked);

	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (n <= 0)
		return 0;
	request[n] = '\0';
	ck_assert_int_eq(sscanf(request, "%*s %63s", target), 1);
	snprintf(engine->asked + len, sizeof(engine->asked) - len, "%s ", target);
	if (scene->target)
		ck_assert_str_eq(target, scene->target);
	if (scene[1].target || scene[1].status)
		engine->scenes++;
	if (!scene->status)
		return 0;
	n = snprintf(reply, sizeof(reply),
			"HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			scene->status, strlen(scene->body), scene->body);
	ck_assert_int_eq(send(fd, reply, (size_t)n, MSG_NOSIGNAL), n);
	shutdown(fd, SHUT_WR);
	return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct engine *engine = ctx;
	size_t i = engine->n++;

	ck_assert_uint_lt(i, sb_countof(engine->fds));
	engine->fds[i] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(engine->fds[i], 0);
	ck_assert_int_ge(sd_event_add_io(engine->loop, &engine->reading[i], engine->fds[i], EPOLLIN,
					 on_request, engine),
			0);
	return 0;
}

static void engine_up(struct engine *engine)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	ck_assert_int_ge(sd_event_new(&engine->loop), 0);
	engine->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(engine->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(engine->listener, 16), 0);
	getsockname(engine->listener, (struct sockaddr *)&sa, &len);
	engine->port = ntohs(sa.sin_port);
	ck_assert_int_ge(sd_event_add_io(engine->loop, &engine->accepting, engine->listener,
					 EPOLLIN, on_connection, engine),
			0);
}

static void engine_down(struct engine *engine)
{
	for (size_t i = 0; i < engine->n; i++) {
		sd_event_source_disable_unref(engine->reading[i]);
		close(engine->fds[i]);
	}
	sd_event_source_disable_unref(engine->accepting);
	close(engine->listener);
	sd_event_unref(engine->loop);
}

static void on_progress(void *ctx, const char *text)
{
	snprintf(((struct outcome *)ctx)->progress, SB_ERR_TEXT_MAX, "%s", text);
}

static void on_done(void *ctx, const struct sb_err *err)
{
	struct outcome *out = ctx;

	ck_assert(!out->done);
	out->done = true;
	out->alive = !err;
	if (err)
		out->err = *err;
}

static struct outcome play(const struct scene *scenes, uint64_t timeout_ms, char asked[256])
{
	struct engine engine = { .scenes = scenes };
	Sparkbus__Readiness how = how_to(SPARKBUS__PROBE__PROBE_GENERATE);
	struct outcome out = { 0 };
	struct sb_probe *probe;

	engine_up(&engine);
	how.port = engine.port;
	how.timeout_ms = timeout_ms;
	how.interval_ms = 5;
	ck_assert_int_eq(
			sb_probe_start(engine.loop, &how, on_progress, on_done, &out, &probe, NULL),
			0);
	while (!out.done)
		ck_assert_int_ge(sd_event_run(engine.loop, 60000000), 0);
	snprintf(asked, 256, "%s", engine.asked);
	engine_down(&engine);
	return out;
}

#define TOKEN "{\"choices\":[{\"text\":\"4\"}]}"

START_TEST(an_engine_without_completions_is_asked_by_chat)
{
	static const struct scene scenes[] = { { "/v1/models", 200, "{}" },
		{ "/v1/completions", 404, "" }, { "/v1/chat/completions", 200, TOKEN }, { 0 } };
	char asked[256];

	ck_assert(play(scenes, 60000, asked).alive);
}
END_TEST

START_TEST(an_engine_that_loads_is_waited_for)
{
	static const struct scene scenes[] = { { "/v1/models", 503, "" }, { "/v1/models", 200, "" },
		{ "/v1/completions", 503, "" }, { "/v1/models", 200, "" },
		{ "/v1/completions", 200, TOKEN }, { 0 } };
	char asked[256];

	ck_assert(play(scenes, 60000, asked).alive);
}
END_TEST

/* A door that was missing while the engine loaded is tried anew. */
START_TEST(every_try_begins_at_the_first_way)
{
	static const struct scene scenes[] = { { "/v1/models", 200, "" },
		{ "/v1/completions", 404, "" }, { "/v1/chat/completions", 503, "" },
		{ "/v1/models", 200, "" }, { "/v1/completions", 200, TOKEN }, { 0 } };
	char asked[256];

	ck_assert(play(scenes, 60000, asked).alive);
}
END_TEST

START_TEST(a_refused_key_ends_it_at_once)
{
	static const struct scene at_models[] = { { "/v1/models", 401, "" }, { 0 } };
	static const struct scene at_token[] = { { "/v1/models", 200, "" },
		{ "/v1/completions", 401, "" }, { 0 } };
	char asked[256];
	struct outcome out = play(_i ? at_token : at_models, 3600000, asked);

	ck_assert(!out.alive);
	ck_assert_int_eq(out.err.code, SB_E_DENIED);
}
END_TEST

START_TEST(an_engine_that_hangs_is_given_up_in_time)
{
	static const struct scene scenes[] = { { "/v1/models", 200, "" },
		{ "/v1/completions", 0, NULL }, { 0 } };
	char asked[256];
	struct outcome out = play(scenes, 300, asked);

	ck_assert(!out.alive);
	ck_assert_int_eq(out.err.code, SB_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(out.err.text, "generates nothing"));
}
END_TEST

START_TEST(no_token_is_no_life_and_the_engines_words_are_clean)
{
	static const struct scene scenes[] = { { "/v1/models", 200, "" },
		{ "/v1/completions", 200,
				"{\"choices\":[{}],\"usage\":{\"completion_tokens\":0}}\n\x1b["
				"31m\xff" },
		{ 0 } };
	char asked[256];
	struct outcome out = play(scenes, 300, asked);

	ck_assert(!out.alive);
	ck_assert_int_eq(out.err.code, SB_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(out.err.text, "instead of a token"));
	ck_assert_ptr_null(strpbrk(out.err.text, "\n\x1b\xff"));
}
END_TEST

START_TEST(nobody_there_is_said_and_a_cancelled_probe_is_silent)
{
	Sparkbus__Readiness how = how_to(SPARKBUS__PROBE__PROBE_MODELS);
	struct outcome out = { 0 }, silent = { 0 };
	struct sb_probe *probe, *other;
	sd_event *loop;

	ck_assert_int_ge(sd_event_new(&loop), 0);
	how.port = 1;
	how.timeout_ms = 100;
	ck_assert_int_eq(
			sb_probe_start(loop, &how, on_progress, on_done, &silent, &other, NULL), 0);
	sd_event_run(loop, 1000000);
	sb_probe_cancel(other);
	ck_assert_int_eq(sb_probe_start(loop, &how, on_progress, on_done, &out, &probe, NULL), 0);
	while (!out.done)
		ck_assert_int_ge(sd_event_run(loop, 60000000), 0);
	ck_assert_int_eq(out.err.code, SB_E_UNAVAILABLE);
	ck_assert_str_eq(out.err.text, "no answer yet on port 1");
	ck_assert(!silent.done);
	sb_probe_cancel(NULL);
	sd_event_unref(loop);
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
	tc = tcase_create("engine");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_engine_without_completions_is_asked_by_chat);
	tcase_add_test(tc, an_engine_that_loads_is_waited_for);
	tcase_add_test(tc, every_try_begins_at_the_first_way);
	tcase_add_loop_test(tc, a_refused_key_ends_it_at_once, 0, 2);
	tcase_add_test(tc, an_engine_that_hangs_is_given_up_in_time);
	tcase_add_test(tc, no_token_is_no_life_and_the_engines_words_are_clean);
	tcase_add_test(tc, nobody_there_is_said_and_a_cancelled_probe_is_silent);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
