/* The hub over HTTP: against a real server on this machine, well behaved and not. */
#include <string.h>

#include "fake_hub.h"
#include "sb_fs.h"
#include "sb_hub.h"
#include "testdir.h"

#define COMMIT      "0123456789abcdef0123456789abcdef01234567"
#define INFO        "/api/models/org/m/revision/main?blobs=true"
#define FILE_(name) "/org/m/resolve/" COMMIT "/" name

#define CONFIG "{\"model_type\":\"llama\",\"num_hidden_layers\":2}"
#define INDEX                                                                                      \
	"{\"metadata\":{\"total_size\":300},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":"        \
	"\"2.safetensors\"}}"
#define SHARDED                                                                                    \
	"{\"sha\":\"" COMMIT "\",\"siblings\":[{\"rfilename\":\"config.json\",\"size\":40},"       \
	"{\"rfilename\":\"1.safetensors\",\"size\":100},"                                          \
	"{\"rfilename\":\"2.safetensors\",\"size\":200},{\"rfilename\":\"README.md\",\"size\":9}," \
	"{\"rfilename\":\"model.safetensors.index.json\",\"size\":99}],"                           \
	"\"safetensors\":{\"parameters\":{\"BF16\":150},\"total\":150}}"
#define SINGLE                                                                                     \
	"{\"sha\":\"" COMMIT "\",\"siblings\":[{\"rfilename\":\"config.json\"},"                   \
	"{\"rfilename\":\"model.safetensors\",\"size\":1000}]}"
#define HEADER "{\"w\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]}}"

static const struct fake_hub_row good[] = { { INFO, .body = SHARDED },
	{ FILE_("config.json"), .body = CONFIG },
	{ FILE_("model.safetensors.index.json"), .body = INDEX }, { NULL } };

static struct fake_hub *hub;
static struct sb_hub_remote remote;
static char warning[600];
static unsigned warnings;

static void warn(void *ctx, const char *text)
{
	warnings++;
	snprintf(warning, sizeof(warning), "%s", text);
}

static void start(const struct fake_hub_row *rows, bool tls)
{
	SB_CLEANUP(sb_freep) char *ca = sb_fs_join(testdir, "ca.pem");

	hub = fake_hub_new(rows, tls, ca);
	remote = (struct sb_hub_remote){ .endpoint = strdup(fake_hub_url(hub)),
		.store = sb_fs_join(testdir, "store"),
		.ca_file = tls ? strdup(ca) : NULL,
		.deadline_ms = 20000 };
}

static void stop(void)
{
	fake_hub_free(hub);
	sb_hub_remote_done(&remote);
}

static int fetch(struct sb_hub_model *ret, struct sb_err *err)
{
	*err = (struct sb_err)SB_ERR_INIT;
	*ret = (struct sb_hub_model){ 0 };
	return sb_hub_fetch(&remote, "org/m", "", warn, NULL, ret, err);
}

static void must_be_good(const struct sb_hub_model *m)
{
	struct sb_vram_facts facts = sb_hub_facts(m);
	const char *source;
	uint64_t bytes;

	ck_assert_int_eq(json_integer_value(json_object_get(facts.config, "num_hidden_layers")), 2);
	ck_assert_uint_eq(facts.n_files, 2);
	ck_assert(sb_vram_disk_bytes(&facts, &bytes, &source));
	ck_assert_uint_eq(bytes, 300);
	ck_assert_int_eq(json_integer_value(json_object_get(facts.counts, "total")), 150);
}

START_TEST(a_model_is_read_and_kept)
{
	struct sb_hub_model m;
	struct sb_err err;
	unsigned asked;

	start(good, _i);
	ck_assert_msg(fetch(&m, &err) == 0, "%s", err.text);
	ck_assert_msg(!warnings, "%s", warning);
	must_be_good(&m);
	sb_hub_model_done(&m);
	asked = fake_hub_requests(hub);
	ck_assert_uint_eq(asked, 3);
	ck_assert_int_eq(fetch(&m, &err), 0);
	must_be_good(&m);
	sb_hub_model_done(&m);
	remote.offline = true;
	ck_assert_int_eq(fetch(&m, &err), 0);
	must_be_good(&m);
	sb_hub_model_done(&m);
	ck_assert_uint_eq(fake_hub_requests(hub), asked);
	stop();
}
END_TEST

START_TEST(a_stranger_s_certificate_is_refused)
{
	struct sb_hub_model m;
	struct sb_err err;

	start(good, true);
	free(remote.ca_file);
	remote.ca_file = NULL;
	ck_assert_int_eq(fetch(&m, &err), -SB_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1"));
	ck_assert_uint_eq(fake_hub_requests(hub), 0);
	stop();
}
END_TEST

START_TEST(offline_without_a_store_is_an_error)
{
	struct sb_hub_model m;
	struct sb_err err;

	start(good, false);
	remote.offline = true;
	ck_assert_int_eq(fetch(&m, &err), -SB_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "offline"));
	ck_assert_uint_eq(fake_hub_requests(hub), 0);
	stop();
}
END_TEST

/* --- refusals --- */

static const struct {
	struct fake_hub_row row;
	bool token;
	int rc;
	const char *text, *hint;
	bool again; /* the next command asks again */
} refusals[] = {
	{ { .status = 401 }, false, -SB_E_DENIED, "private, or not there", "HF_TOKEN", true },
	{ { .status = 401 }, true, -SB_E_DENIED, "does not take the token", "whoami", true },
	{ { .status = 403 }, true, -SB_E_DENIED, "licence", "accept", true },
	{ { .status = 401, .headers = "X-Error-Code: GatedRepo\r\n" }, false, -SB_E_DENIED,
			"licence", "then set HF_TOKEN", true },
	{ { .status = 404 }, true, -SB_E_NOT_FOUND, "no such thing", "", false },
	{ { .status = 404, .headers = "X-Error-Code: RevisionNotFound\r\n" }, true, -SB_E_NOT_FOUND,
			"no such revision", "", false },
	{ { .status = 429, .headers = "Retry-After: 17\r\n" }, true, -SB_E_UNAVAILABLE, "17 s", "",
			false },
	{ { .status = 429 }, true, -SB_E_UNAVAILABLE, "too often", "", false },
	{ { .status = 503 }, true, -SB_E_UNAVAILABLE, "in trouble", "", false },
	{ { .status = 418 }, true, -SB_E_PROTOCOL, "HTTP 418", "", false },
	{ { .status = 302 }, true, -SB_E_PROTOCOL, "redirect to nowhere", "", false },
	{ { .body = "{\"sha\": " }, true, -SB_E_PROTOCOL, "line 1", "", false },
	{ { .body = "[]" }, true, -SB_E_PROTOCOL, "no commit", "", false },
	{ { .body = "{\"sha\":\"../../x\",\"siblings\":[]}" }, true, -SB_E_PROTOCOL, "no commit",
			"", false },
	{ { .body = SHARDED, .way = FAKE_HUB_CUT }, true, -SB_E_PROTOCOL, "broke off", "", false },
	{ { .way = FAKE_HUB_ENDLESS }, true, -SB_E_RANGE, "larger than", "", true },
};

START_TEST(each_refusal_has_its_own_words)
{
	struct fake_hub_row rows[] = { refusals[_i].row, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;
	unsigned asked;

	rows[0].path = INFO;
	start(rows, false);
	remote.token = refusals[_i].token ? strdup("hf_secret") : NULL;
	ck_assert_msg(fetch(&m, &err) == refusals[_i].rc, "%s", err.text);
	ck_assert_msg(strstr(err.text, refusals[_i].text) != NULL, "%s", err.text);
	ck_assert_msg(strstr(err.hint, refusals[_i].hint) != NULL, "%s", err.hint);
	ck_assert(!strstr(err.text, "hf_secret") && !strstr(err.hint, "hf_secret"));
	asked = fake_hub_requests(hub);
	ck_assert_int_eq(fetch(&m, &err), refusals[_i].rc);
	ck_assert_msg(strstr(err.text, refusals[_i].text) != NULL, "%s", err.text);
	ck_assert_uint_eq(fake_hub_requests(hub), refusals[_i].again ? asked * 2 : asked);
	stop();
}
END_TEST

static const enum fake_hub_way slow[] = { FAKE_HUB_SILENT, FAKE_HUB_DRIP };

START_TEST(a_slow_hub_holds_nobody_up)
{
	const struct fake_hub_row rows[] = { { INFO, .way = slow[_i] }, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	remote.deadline_ms = 300;
	ck_assert_int_eq(fetch(&m, &err), -SB_E_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "within 0.3 s"));
	/* The next command does not even try. */
	ck_assert_int_eq(fetch(&m, &err), -SB_E_TIMEOUT);
	ck_assert_uint_eq(fake_hub_requests(hub), 1);
	stop();
}
END_TEST

static bool yes(void)
{
	return true;
}

START_TEST(ctrl_c_ends_the_wait)
{
	const struct fake_hub_row rows[] = { { INFO, .way = FAKE_HUB_DRIP }, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	remote.deadline_ms = 600000;
	remote.stop = yes;
	ck_assert_int_eq(fetch(&m, &err), -SB_E_CANCELLED);
	stop();
}
END_TEST

START_TEST(what_was_known_serves_while_the_hub_is_away)
{
	const struct fake_hub_row away[] = { { INFO, .status = 503 }, { NULL } };
	SB_CLEANUP(sb_freep) char *ref = NULL;
	struct sb_hub_model m;
	struct sb_err err;

	start(good, false);
	ck_assert_int_eq(fetch(&m, &err), 0);
	sb_hub_model_done(&m);
	fake_hub_rows(hub, away);
	ck_assert_int_gt(asprintf(&ref, "%s/127.0.0.1_%u/models--org--m/refs/main.json",
					 remote.store, fake_hub_port(hub)),
			0);
	/* As if it had been read long ago. */
	ck_assert_int_eq(
			sb_fs_write(ref, "{\"commit\":\"" COMMIT "\",\"checked_unix_ms\":1}",
					strlen("{\"commit\":\"" COMMIT "\",\"checked_unix_ms\":1}"),
					0600, NULL),
			0);
	ck_assert_int_eq(fetch(&m, &err), 0);
	must_be_good(&m);
	sb_hub_model_done(&m);
	ck_assert_uint_eq(warnings, 1);
	ck_assert_ptr_nonnull(strstr(warning, "in trouble"));
	stop();
}
END_TEST

/* --- redirects and the token --- */

START_TEST(the_token_goes_to_the_endpoint_alone)
{
	const struct fake_hub_row other_rows[] = { { "/blob", .body = CONFIG }, { NULL } };
	struct fake_hub *other = fake_hub_new(other_rows, false, NULL);
	char to[64];
	struct fake_hub_row rows[] = { { INFO, .status = 307, .headers = "Location: /moved\r\n" },
		{ "/moved", .body = SHARDED },
		{ FILE_("config.json"), .status = 302, .headers = to },
		{ FILE_("model.safetensors.index.json"), .body = INDEX }, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	snprintf(to, sizeof(to), "Location: %s/blob\r\n", fake_hub_url(other));
	start(rows, false);
	remote.token = strdup("hf_secret");
	ck_assert_msg(fetch(&m, &err) == 0, "%s", err.text);
	must_be_good(&m);
	ck_assert_uint_eq(fake_hub_requests(hub), 4);
	ck_assert_uint_eq(fake_hub_tokens(hub), 4);
	ck_assert_uint_eq(fake_hub_requests(other), 1);
	ck_assert_uint_eq(fake_hub_tokens(other), 0);
	sb_hub_model_done(&m);
	fake_hub_free(other);
	stop();
}
END_TEST

static const char *const bad_places[] = { "Location: http://192.0.2.1/x\r\n",
	"Location: file:///etc/passwd\r\n", "Location: ftp://127.0.0.1/x\r\n",
	"Location: http://127.0.0.1.example.org/x\r\n", "Location: http://u:p@127.0.0.1/x\r\n",
	"Location: http://localhost.example.org/x\r\n" };

START_TEST(a_redirect_leads_nowhere_else)
{
	const struct fake_hub_row rows[] = { { INFO, .status = 302, .headers = bad_places[_i] },
		{ NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	ck_assert_int_eq(fetch(&m, &err), -SB_E_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "redirect"));
	stop();
}
END_TEST

START_TEST(https_does_not_fall_back_to_http)
{
	const struct fake_hub_row rows[] = {
		{ INFO, .status = 302, .headers = "Location: http://127.0.0.1:@PORT@/\r\n" },
		{ NULL }
	};
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, true);
	ck_assert_int_eq(fetch(&m, &err), -SB_E_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "not https"));
	stop();
}
END_TEST

START_TEST(a_ring_of_redirects_ends)
{
	const struct fake_hub_row rows[] = {
		{ INFO, .status = 302, .headers = "Location: " INFO "\r\n" }, { NULL }
	};
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	ck_assert_int_eq(fetch(&m, &err), -SB_E_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 5 redirects"));
	ck_assert_uint_eq(fake_hub_requests(hub), 6);
	stop();
}
END_TEST

/* --- a model that is one file --- */

static size_t with_header(char *to, uint64_t len, const char *json)
{
	for (int i = 0; i < 8; i++)
		to[i] = (char)(len >> (8 * i));
	strcpy(to + 8, json);
	return 8 + strlen(json);
}

static const struct {
	uint64_t len; /* 0 = the true one */
	const char *json;
	bool ranges, good;
	const char *warning;
} headers[] = {
	{ 0, HEADER, true, true, NULL },
	{ 0, HEADER, false, true, NULL }, /* a server that sends all of it */
	{ 1 << 20, HEADER, true, false, "shorter than its header" },
	{ UINT64_MAX, HEADER, true, false, "a header of" },
	{ (uint64_t)1 << 40, HEADER, true, false, "a header of" },
	{ 1, "{", true, false, "a header of" },
	{ 0, "{\"w\":", true, false, "line 1" },
};

START_TEST(the_header_of_a_single_file)
{
	char bytes[256];
	size_t len = with_header(bytes,
			headers[_i].len ? headers[_i].len : strlen(headers[_i].json),
			headers[_i].json);
	const struct fake_hub_row rows[] = { { INFO, .body = SINGLE },
		{ FILE_("config.json"), .body = CONFIG },
		{ FILE_("model.safetensors"), .body = bytes, .len = len,
				.ranges = headers[_i].ranges },
		{ NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	ck_assert_msg(fetch(&m, &err) == 0, "%s", err.text);
	ck_assert_ptr_nonnull(m.config);
	ck_assert_uint_eq(m.n_files, 1);
	ck_assert_msg((m.header != NULL) == headers[_i].good, "%s", warning);
	if (headers[_i].warning)
		ck_assert_msg(strstr(warning, headers[_i].warning) != NULL, "%s", warning);
	ck_assert_uint_eq(warnings, !headers[_i].good);
	sb_hub_model_done(&m);
	stop();
}
END_TEST

START_TEST(a_long_header_takes_two_requests)
{
	size_t len = (size_t)400 << 10;
	SB_CLEANUP(sb_freep) char *bytes = calloc(1, len + 1), *json = malloc(len + 1);
	struct fake_hub_row rows[] = { { INFO, .body = SINGLE },
		{ FILE_("config.json"), .body = CONFIG },
		{ FILE_("model.safetensors"), .len = len + 8, .ranges = true }, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	memset(json, ' ', len);
	json[len] = '\0';
	memcpy(json, HEADER, strlen(HEADER));
	bytes = realloc(bytes, len + 16);
	with_header(bytes, len, json);
	rows[2].body = bytes;
	start(rows, false);
	ck_assert_msg(fetch(&m, &err) == 0, "%s", err.text);
	ck_assert_msg(m.header != NULL, "%s", warning);
	ck_assert_uint_eq(fake_hub_requests(hub), 4);
	sb_hub_model_done(&m);
	stop();
}
END_TEST

START_TEST(a_part_that_is_missing_is_said)
{
	const struct fake_hub_row rows[] = { { INFO, .body = SHARDED },
		{ FILE_("config.json"), .status = 401, .headers = "X-Error-Code: GatedRepo\r\n" },
		{ FILE_("model.safetensors.index.json"), .body = INDEX }, { NULL } };
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	ck_assert_int_eq(fetch(&m, &err), 0);
	ck_assert_ptr_null(m.config);
	ck_assert_ptr_nonnull(m.index);
	ck_assert_uint_eq(warnings, 1);
	ck_assert_ptr_nonnull(strstr(warning, "config.json of org/m: its licence"));
	sb_hub_model_done(&m);
	stop();
}
END_TEST

/* A repository without config.json: the head of a GGUF tells. */
START_TEST(the_head_of_a_gguf)
{
	static const char head[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"
				   "\24\0\0\0\0\0\0\0general.architecture\10\0\0\0"
				   "\1\0\0\0\0\0\0\0x"
				   "\15\0\0\0\0\0\0\0x.block_count\4\0\0\0\7\0\0\0";
	const struct fake_hub_row rows[] = {
		{ INFO,
				.body = "{\"sha\":\"" COMMIT
					"\",\"siblings\":[{\"rfilename\":\"mmproj-F16."
					"gguf\",\"size\":5},{\"rfilename\":\"m-Q8_0.gguf\","
					"\"size\":700}]}" },
		{ FILE_("m-Q8_0.gguf"), .body = head, .len = sizeof(head) - 1, .ranges = true },
		{ NULL }
	};
	struct sb_hub_model m;
	struct sb_err err;

	start(rows, false);
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(fetch(&m, &err) == 0, "%s", err.text);
		ck_assert_msg(m.gguf != NULL, "%s", warning);
		ck_assert_int_eq(json_integer_value(json_object_get(m.gguf, "num_hidden_layers")),
				7);
		ck_assert_uint_eq(m.n_files, 2);
		sb_hub_model_done(&m);
		ck_assert_uint_eq(fake_hub_requests(hub), 2);
	}
	stop();
}
END_TEST

/* --- settings --- */

static const char *const *environment;

static const char *from_table(const char *name)
{
	for (const char *const *e = environment; e[0]; e += 2)
		if (!strcmp(e[0], name))
			return e[1];
	return NULL;
}

START_TEST(settings_are_those_of_the_hub_s_tools)
{
	SB_CLEANUP(sb_freep) char *token = sb_fs_join(testdir, "token");
	const char *const file[] = { "HF_HOME", testdir, "HOME", "/h", NULL };
	const char *const given[] = { "HF_HOME", testdir, "HF_TOKEN", "hf_b", "HF_ENDPOINT",
		"https://mirror.example.org//", "HF_HUB_OFFLINE", "1", "XDG_CACHE_HOME", "/x",
		NULL };
	const char *const off[] = { "HF_HOME", testdir, "HF_HUB_DISABLE_IMPLICIT_TOKEN", "true",
		NULL };
	const char *const bad[] = { "HF_TOKEN", "hf_secret\r\nX: y", NULL };
	struct sb_err err = SB_ERR_INIT;
	struct sb_hub_remote r;

	ck_assert_int_eq(sb_fs_write(token, "hf_a\n", 5, 0600, NULL), 0);
	environment = file;
	ck_assert_int_eq(sb_hub_remote_read(from_table, &r, &err), 0);
	ck_assert_str_eq(r.token, "hf_a");
	ck_assert_str_eq(r.endpoint, SB_HUB_ENDPOINT);
	ck_assert_str_eq(r.store, "/h/.cache/sparkbus/hub");
	ck_assert(!r.offline);
	sb_hub_remote_done(&r);
	environment = given;
	ck_assert_int_eq(sb_hub_remote_read(from_table, &r, &err), 0);
	ck_assert_str_eq(r.token, "hf_b");
	ck_assert_str_eq(r.endpoint, "https://mirror.example.org");
	ck_assert_str_eq(r.store, "/x/sparkbus/hub");
	ck_assert(r.offline);
	sb_hub_remote_done(&r);
	environment = off;
	ck_assert_int_eq(sb_hub_remote_read(from_table, &r, &err), 0);
	ck_assert_ptr_null(r.token);
	sb_hub_remote_done(&r);
	environment = bad;
	ck_assert_int_eq(sb_hub_remote_read(from_table, &r, &err), -SB_E_INVALID);
	ck_assert_ptr_null(strstr(err.text, "secret"));
}
END_TEST

static const char *const bad_endpoints[] = { "http://example.org", "ftp://127.0.0.1", "nonsense",
	"https://u:p@example.org", "file:///etc", "" };

START_TEST(an_endpoint_is_https_or_this_machine)
{
	struct sb_hub_model m;
	struct sb_err err;

	remote = (struct sb_hub_remote){ .endpoint = strdup(bad_endpoints[_i]), .deadline_ms = 1 };
	ck_assert_int_eq(fetch(&m, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "HF_ENDPOINT"));
	sb_hub_remote_done(&remote);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hub_remote");
	TCase *tc = tcase_create("hub_remote");
	SRunner *sr;
	int failed;

	testdir_use(tc);
	tcase_add_loop_test(tc, a_model_is_read_and_kept, 0, 2);
	tcase_add_test(tc, a_stranger_s_certificate_is_refused);
	tcase_add_test(tc, offline_without_a_store_is_an_error);
	tcase_add_loop_test(tc, each_refusal_has_its_own_words, 0, sb_countof(refusals));
	tcase_add_loop_test(tc, a_slow_hub_holds_nobody_up, 0, sb_countof(slow));
	tcase_add_test(tc, ctrl_c_ends_the_wait);
	tcase_add_test(tc, what_was_known_serves_while_the_hub_is_away);
	tcase_add_test(tc, the_token_goes_to_the_endpoint_alone);
	tcase_add_loop_test(tc, a_redirect_leads_nowhere_else, 0, sb_countof(bad_places));
	tcase_add_test(tc, https_does_not_fall_back_to_http);
	tcase_add_test(tc, a_ring_of_redirects_ends);
	tcase_add_loop_test(tc, the_header_of_a_single_file, 0, sb_countof(headers));
	tcase_add_test(tc, a_long_header_takes_two_requests);
	tcase_add_test(tc, a_part_that_is_missing_is_said);
	tcase_add_test(tc, the_head_of_a_gguf);
	tcase_add_test(tc, settings_are_those_of_the_hub_s_tools);
	tcase_add_loop_test(tc, an_endpoint_is_https_or_this_machine, 0, sb_countof(bad_endpoints));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
