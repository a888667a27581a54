#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config_parse.h"
#include "sb_config.h"
#include "sb_fs.h"
#include "sb_guard.h"
#include "testdir.h"

static char *in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", testdir, name);
	return path;
}

static int load_text(const char *text, struct sb_config *ret, struct sb_err *err)
{
	ck_assert_int_eq(sb_fs_write(in_dir("agent.yaml"), text, strlen(text), 0600, NULL), 0);
	return sb_config_load(in_dir("agent.yaml"), ret, err);
}

static void assert_defaults(const struct sb_config *config)
{
	ck_assert_str_eq(config->identity_dir, "/etc/sparkbus/identity");
	ck_assert_str_eq(config->state_dir, "/var/lib/sparkbus");
	ck_assert_str_eq(config->listen_address, "");
	ck_assert_uint_eq(config->control_port, 47100);
	ck_assert_uint_eq(config->peer_port, 47101);
	ck_assert_str_eq(config->engine_socket, "/run/docker.sock");
	ck_assert_int_eq(config->hf_cache[0], '/');
	ck_assert_ptr_nonnull(strstr(config->hf_cache, "huggingface"));
	ck_assert_uint_eq(config->log_max_bytes, 33554432);
	ck_assert_uint_eq(config->ended_jobs_kept, 32);
	ck_assert_uint_eq(config->health_frozen_s, 60);
	ck_assert_uint_eq(config->health_prove_s, 60);
	ck_assert_int_eq(config->guard_mode, SB_GUARD_ACT);
	ck_assert_uint_eq(config->guard_warn, 0);
	ck_assert_uint_eq(config->guard_critical, 0);
	ck_assert_uint_eq(config->guard_emergency, 0);
	ck_assert_str_eq(config->guard_cgroup, "");
	ck_assert_int_eq(config->log_level, 6);
	ck_assert_str_eq(config->fabric_beacon, "auto");
}

START_TEST(without_a_file_there_are_the_documented_defaults)
{
	static const char *const nothing[] = { "", "# only a remark\n",
		"listen:\n  # all default\n", "---\n", "{}\n" };
	SB_CLEANUP(sb_config_done) struct sb_config config = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_config_load(NULL, &config, &err) == 0, "%s", err.text);
	assert_defaults(&config);
	for (size_t i = 0; i < sb_countof(nothing); i++) {
		sb_config_done(&config);
		ck_assert_msg(load_text(nothing[i], &config, &err) == 0, "%s", err.text);
		assert_defaults(&config);
	}
}
END_TEST

START_TEST(every_key_is_read)
{
	SB_CLEANUP(sb_config_done) struct sb_config config = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc = load_text("identity_dir: /i\n"
			   "state_dir: /s\n"
			   "listen:\n"
			   "  address: 10.0.0.11\n"
			   "  control_port: 1\n"
			   "  peer_port: 65535\n"
			   "engine:\n"
			   "  socket: /run/podman/podman.sock\n"
			   "models:\n"
			   "  hf_cache: /models\n"
			   "logs:\n"
			   "  max_bytes: 1G\n"
			   "jobs: {ended_kept: 0}\n"
			   "health: {frozen_s: 0, prove_s: 7}\n"
			   "log: {level: debug}\n"
			   "guard: {mode: off, warn: 3G, critical: 2G, emergency: 1G, cgroup: /c}\n"
			   "fabric: {beacon: 'eth0,eth1'}\n",
			&config, &err);

	ck_assert_msg(rc == 0, "%s", err.text);
	ck_assert_str_eq(config.identity_dir, "/i");
	ck_assert_str_eq(config.state_dir, "/s");
	ck_assert_str_eq(config.listen_address, "10.0.0.11");
	ck_assert_uint_eq(config.control_port, 1);
	ck_assert_uint_eq(config.peer_port, 65535);
	ck_assert_str_eq(config.engine_socket, "/run/podman/podman.sock");
	ck_assert_str_eq(config.hf_cache, "/models");
	ck_assert_uint_eq(config.log_max_bytes, UINT64_C(1) << 30);
	ck_assert_uint_eq(config.ended_jobs_kept, 0);
	ck_assert_int_eq(config.log_level, 7);
	ck_assert_str_eq(config.fabric_beacon, "eth0,eth1");
	ck_assert_uint_eq(config.health_frozen_s, 0);
	ck_assert_uint_eq(config.health_prove_s, 7);
	ck_assert_int_eq(config.guard_mode, SB_GUARD_OFF);
	ck_assert_uint_eq(config.guard_warn, 3ull << 30);
	ck_assert_uint_eq(config.guard_critical, 2ull << 30);
	ck_assert_uint_eq(config.guard_emergency, 1ull << 30);
	ck_assert_str_eq(config.guard_cgroup, "/c");
}
END_TEST

/* Each is refused at its place, and says what helps. */
static const struct {
	const char *text, *place, *says;
} refused[] = {
	{ "stat_dir: /x\n", ":1:1:", "did you mean \"state_dir\"?" },
	{ "state_dir: /x\nlisten:\n  contol_port: 1\n", ":3:3:", "\"control_port\" under listen" },
	{ "lsiten:\n  peer_port: 1\n", ":1:1:", "did you mean \"listen\"?" },
	{ "control_port: 1\n", ":1:1:", "\"control_port\" under listen" },
	{ "listen.control_port: 1\n", ":1:1:", "\"control_port\" under listen" },
	{ "engine:\n  peer_port: 5\n", ":2:3:", "\"peer_port\" under listen" },
	{ "listen:\n  listen:\n    address: ''\n", ":2:3:", "unknown key \"listen\"" },
	{ "qqqqqqqq: 1\n", ":1:1:", "unknown key \"qqqqqqqq\"" },
	{ "x: 1\n", ":1:1:", "unknown key \"x\"" },
	{ "state_dir: relative/path\n", ":1:12:", "absolute path" },
	{ "state_dir: ''\n", ":1:12:", "absolute path" },
	{ "state_dir: ~\n", ":1:12:", "expected text" },
	{ "state_dir: [/x]\n", ":1:12:", "expected text" },
	{ "state_dir:\n  x: 1\n", ":2:3:", "expected text" },
	{ "listen: 47100\n", ":1:9:", "expected a map" },
	{ "- state_dir\n", ":1:1:", "expected a map" },
	{ "listen:\n  address: localhost\n", ":2:12:", "IPv4 or IPv6" },
	{ "listen:\n  address: 10.0.0.256\n", ":2:12:", "IPv4 or IPv6" },
	{ "listen:\n  control_port: 0\n", ":2:17:", "expected 1 to 65535, got 0" },
	{ "listen:\n  control_port: 65536\n", ":2:17:", "expected 1 to 65535, got 65536" },
	{ "listen:\n  control_port: -1\n", ":2:17:", "expected 1 to 65535, got -1" },
	{ "listen:\n  control_port: '8080'\n", ":2:17:", "a whole number" },
	{ "listen:\n  control_port: 1.5\n", ":2:17:", "a whole number" },
	{ "listen:\n  control_port: true\n", ":2:17:", "a whole number" },
	{ "listen:\n  control_port: 47101\n", ":2:3:", "both 47101" },
	{ "logs:\n  max_bytes: 1\n", ":2:14:", "expected 262144 to" },
	{ "logs:\n  max_bytes: 1k\n", ":2:14:", "expected 262144 to" },
	{ "logs:\n  max_bytes: 99T\n", ":2:14:", "expected 262144 to" },
	{ "logs:\n  max_bytes: 32 apples\n", ":2:14:", "a size as" },
	{ "logs:\n  max_bytes: -1\n", ":2:14:", "expected 262144 to" },
	{ "jobs:\n  ended_kept: many\n", ":2:15:", "a whole number" },
	{ "jobs:\n  ended_kept: 9999999\n", ":2:15:", "expected 0 to" },
	{ "log:\n  level: loud\n", ":2:10:", "error, warn, info or debug" },
	{ "fabric:\n  beacon: a/b\n", ":2:11:", "auto, off or names of interfaces" },
	{ "fabric:\n  backend: ifupdown\n", ":2:12:", "auto, netplan, networkd or" },
	{ "fabric:\n  beacon: ''\n", ":2:11:", "auto, off or names of interfaces" },
	{ "fabric:\n  beacon: eth0,\n", ":2:11:", "auto, off or names of interfaces" },
	{ "fabric:\n  beacon: averyverylongname\n", ":2:11:", "auto, off or names" },
	{ "log:\n  level: [info]\n", ":2:10:", "error, warn, info or debug" },
	{ "state_dir: /a\nstate_dir: /b\n", ":2:1:", "already given" },
	{ "listen:\n  peer_port: 1\n  peer_port: 1\n", ":3:3:", "already given" },
	{ "listen: {\n", ":", "" },
};

START_TEST(what_is_wrong_is_refused_at_its_place)
{
	struct sb_config config = { .control_port = 7 };
	struct sb_err err = SB_ERR_INIT;
	char place[600];

	ck_assert_int_eq(load_text(refused[_i].text, &config, &err), -SB_E_INVALID);
	snprintf(place, sizeof(place), "%s%s", in_dir("agent.yaml"), refused[_i].place);
	ck_assert_msg(strstr(err.text, place) != NULL, "%s: %s", refused[_i].text, err.text);
	ck_assert_msg(strstr(err.text, refused[_i].says) != NULL, "%s", err.text);
	ck_assert_uint_eq(config.control_port, 7); /* untouched */
	ck_assert_ptr_null(config.state_dir);
}
END_TEST

START_TEST(a_missing_file_is_an_error_unless_it_is_the_default)
{
	SB_CLEANUP(sb_config_done) struct sb_config config = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_config_load(in_dir("absent.yaml"), &config, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "absent.yaml"));
	if (access(SB_CONFIG_DEFAULT_PATH, F_OK) == 0)
		return; /* a machine with an agent of its own */
	ck_assert_msg(sb_config_load(SB_CONFIG_DEFAULT_PATH, &config, &err) == 0, "%s", err.text);
	assert_defaults(&config);
}
END_TEST

START_TEST(sizes_are_read_as_people_write_them)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "7B", 7 },
		{ "64k", 65536 },
		{ "64K", 65536 },
		{ "32MiB", 33554432 },
		{ "32 mib", 33554432 },
		{ "32MB", 32000000 },
		{ "1G", UINT64_C(1) << 30 },
		{ "2T", UINT64_C(2) << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "", " ", "k", "-1", "+1", " 1", "1.5G", "1x", "1 k b",
		"1kk", "0x10", "1e3", "18446744073709551616", "16777216T", "32MiBs", "32Mi" };
	uint64_t bytes;

	for (size_t i = 0; i < sb_countof(rows); i++) {
		ck_assert_msg(config_parse_size(rows[i].text, &bytes), "%s", rows[i].text);
		ck_assert_uint_eq(bytes, rows[i].bytes);
	}
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(!config_parse_size(bad[i], &bytes), "%s", bad[i]);
}
END_TEST

/* Laws of a distance, and the figures of the textbooks. */
START_TEST(distance_is_a_distance)
{
	static const char *const words[] = { "", "a", "listen", "lsiten", "peer_port",
		"control_port", "kitten", "sitting" };
	char big[200];

	for (size_t a = 0; a < sb_countof(words); a++) {
		for (size_t b = 0; b < sb_countof(words); b++) {
			unsigned d = config_distance(words[a], words[b]);

			ck_assert_uint_eq(d, config_distance(words[b], words[a]));
			ck_assert_int_eq(d == 0, a == b);
		}
		ck_assert_uint_eq(config_distance("", words[a]), strlen(words[a]));
	}
	ck_assert_uint_eq(config_distance("kitten", "sitting"), 3);
	ck_assert_uint_eq(config_distance("listen", "lsiten"), 1);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ck_assert_uint_ge(config_distance(big, "x"), 64);
}
END_TEST

static struct passwd *next_row(void *ctx)
{
	return fgetpwent(*(FILE **)ctx);
}

static char *cache_for(const char *passwd)
{
	FILE *file = fmemopen((void *)(uintptr_t)passwd, strlen(passwd), "r");
	char *path = config_default_hf_cache(next_row, &file);

	fclose(file);
	return path;
}

START_TEST(the_model_cache_is_the_first_humans_who_has_one)
{
	char passwd[3000], want[600], *got;

	snprintf(passwd, sizeof(passwd),
			"root:x:0:0::%s/root:/bin/sh\n"
			"gone:x:1000:1000::%s/gone:/bin/sh\n"
			"ann:x:1001:1001::%s/ann:/bin/sh\n"
			"bob:x:1002:1002::%s/bob:/bin/sh\n"
			"nobody:x:65534:65534::%s/bob:/bin/sh\n",
			testdir, testdir, testdir, testdir, testdir);
	got = cache_for(passwd);
	ck_assert_str_eq(got, "/var/lib/sparkbus/huggingface");
	free(got);
	ck_assert_int_eq(sb_fs_mkdirs(in_dir("root/.cache/huggingface"), 0700, NULL), 0);
	ck_assert_int_eq(sb_fs_mkdirs(in_dir("ann"), 0700, NULL), 0);
	ck_assert_int_eq(sb_fs_mkdirs(in_dir("bob"), 0700, NULL), 0);
	got = cache_for(passwd);
	snprintf(want, sizeof(want), "%s/ann/.cache/huggingface", testdir);
	ck_assert_str_eq(got, want);
	free(got);
	ck_assert_int_eq(sb_fs_mkdirs(in_dir("bob/.cache/huggingface"), 0700, NULL), 0);
	got = cache_for(passwd);
	snprintf(want, sizeof(want), "%s/bob/.cache/huggingface", testdir);
	ck_assert_str_eq(got, want);
	free(got);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner;
	int failed;

	testdir_use(tc);
	tcase_add_test(tc, without_a_file_there_are_the_documented_defaults);
	tcase_add_test(tc, every_key_is_read);
	tcase_add_loop_test(tc, what_is_wrong_is_refused_at_its_place, 0, sb_countof(refused));
	tcase_add_test(tc, a_missing_file_is_an_error_unless_it_is_the_default);
	tcase_add_test(tc, sizes_are_read_as_people_write_them);
	tcase_add_test(tc, distance_is_a_distance);
	tcase_add_test(tc, the_model_cache_is_the_first_humans_who_has_one);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
