#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sb_export.h"
#include "sb_fs.h"
#include "sb_plan.h"

static const struct sb_export_place place = {
	.hf_cache = "/home/me/.cache/huggingface",
	.user = "1000:1000",
	.env_file = "/etc/sparkbus/j.env",
};

static const char *no_env(const char *name)
{
	return NULL;
}

static Sparkbus__LaunchPlan *compile(const char *text, size_t n)
{
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.1", "10.0.0.1", 47101 },
		{ "spark2", "10.0.0.2", "10.0.0.2", 47101 },
	};
	const struct sb_plan_input input = { .nodes = nodes, .n_nodes = n, .job = "j" };
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_recipe_parse("r.yaml", text, strlen(text), no_env, NULL, &recipe, &err);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, &err);
	if (rc == 0)
		rc = sb_plan_compile(w, &input, NULL, &plan, &err);
	ck_assert_msg(rc == 0, "%s", err.text);
	return plan;
}

struct made {
	struct sb_strbuf text, secrets;
};

static void done(struct made *m)
{
	sb_strbuf_done(&m->text);
	sb_strbuf_done(&m->secrets);
}

static struct made compose(const char *recipe, size_t n, size_t rank)
{
	Sparkbus__LaunchPlan *plan = compile(recipe, n);
	struct made m = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_export_compose(plan, rank, &place, &m.text, &m.secrets, &err) == 0, "%s",
			err.text);
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	return m;
}

static struct made unit(const char *recipe, size_t n, size_t rank)
{
	Sparkbus__LaunchPlan *plan = compile(recipe, n);
	struct made m = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_export_systemd(plan, rank, &place, &m.text, &m.secrets, &err) == 0, "%s",
			err.text);
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	return m;
}

static void has(const struct sb_strbuf *text, const char *part)
{
	ck_assert_msg(strstr(sb_strbuf_str(text), part) != NULL, "no '%s' in:\n%s", part,
			sb_strbuf_str(text));
}

static void has_not(const struct sb_strbuf *text, const char *part)
{
	ck_assert_msg(!strstr(sb_strbuf_str(text), part), "'%s' in:\n%s", part,
			sb_strbuf_str(text));
}

/* A command with everything that YAML, compose, systemd and docker read something into. */
#define NASTY                                                                                      \
	"model: org/m\ncontainer: r.io/img:1\nenv: {A: \"100% $HOME \\\"q\\\" \\\\ 'x'\", "        \
	"HF_TOKEN: "                                                                               \
	"hf_secret1}\nexecutor_config: {gpus: 'device=0,1', memory_limit: 2g, labels: "            \
	"['a=$b%']}\n"                                                                             \
	"command: |\n  serve --p '50%' --d '$x ${y}' --q 'a\"b' --s '\\n' --e '' --c ';' --l 'x\n" \
	"  y' --t hf_secret1 --u '~x' --z 'é'\n"

START_TEST(compose_doubles_dollars_and_quotes)
{
	SB_CLEANUP(done) struct made m = compose(NASTY, 1, 0);

	has(&m.text,
			"    entrypoint:\n      - serve\n    command:\n      - \"--p\"\n      - "
			"50%\n");
	has(&m.text, "      - \"$$x $${y}\"\n");
	has(&m.text, "      - \"a\\\"b\"\n");
	has(&m.text, "      - \"\\\\n\"\n");
	has(&m.text, "      - \"\"\n");
	has(&m.text, "      - \"x\\ny\"\n");
	has(&m.text, "      - \"${HF_TOKEN}\"\n");
	has(&m.text, "      A: \"100% $$HOME \\\"q\\\" \\\\ 'x'\"\n");
	has(&m.text, "      HF_TOKEN: \"${HF_TOKEN:?is to be in the file .env}\"\n");
	has(&m.text, "      - \"a=$$b%\"\n");
	has(&m.text,
			"              device_ids:\n                - \"0\"\n                - "
			"\"1\"\n");
	has(&m.text, "    mem_limit: \"2147483648\"\n");
	has_not(&m.text, "hf_secret1");
	ck_assert_str_eq(sb_strbuf_str(&m.secrets), "HF_TOKEN='hf_secret1'\n");
}
END_TEST

/* systemd.service(5), systemd.syntax(7): '%%', '$$', C-style escapes in double quotes. */
START_TEST(a_unit_quotes_every_word)
{
	SB_CLEANUP(done) struct made m = unit(NASTY, 1, 0);

	has(&m.text,
			" --p \"50%%\" --d \"$$x $${y}\" --q \"a\\\"b\" --s \"\\\\n\" --e \"\" --c "
			"\";\" "
			"--l \"x\\ny\" --t \"${HF_TOKEN}\" --u \"~x\" --z \"é\"\n");
	has(&m.text, "    --env \"A=100%% $$HOME \\\"q\\\" \\\\ 'x'\" \\\n");
	has(&m.text, "    --env HF_TOKEN \\\n");
	has(&m.text, "    --label \"a=$$b%%\" \\\n");
	has(&m.text, "    --gpus \"\\\"device=0,1\\\"\" \\\n");
	has(&m.text, "    --memory 2147483648 \\\n");
	has(&m.text, "EnvironmentFile=/etc/sparkbus/j.env\n");
	has(&m.text, "ExecStop=/usr/bin/docker stop --time 30 j_solo\n");
	has_not(&m.text, "hf_secret1");
	ck_assert_str_eq(sb_strbuf_str(&m.secrets), "HF_TOKEN=\"hf_secret1\"\n");
}
END_TEST

START_TEST(secrets_are_quoted_for_their_readers)
{
	static const char recipe[] =
			"model: m\nenv: {T_TOKEN: \"a'b\\\"c$d\\\\e`f\", U_TOKEN: xyz}\n"
			"command: serve xyz xyzzy --k=xyz\n";
	SB_CLEANUP(done) struct made c = compose(recipe, 1, 0), u = unit(recipe, 1, 0);

	ck_assert_str_eq(sb_strbuf_str(&c.secrets),
			"T_TOKEN=\"a'b\\\"c\\$d\\\\e`f\"\nU_TOKEN='xyz'\n");
	ck_assert_str_eq(sb_strbuf_str(&u.secrets),
			"T_TOKEN=\"a'b\\\"c\\$d\\\\e\\`f\"\nU_TOKEN=\"xyz\"\n");
	/* a short one is found as a whole word only: it would turn up by chance */
	has(&u.text, " \"${U_TOKEN}\" xyzzy --k=xyz\n");
}
END_TEST

START_TEST(an_api_key_on_the_command_line_is_a_variable)
{
	static const char recipe[] =
			"model: m\nruntime: sglang\ndefaults: {api_key: sesame-open}\n";
	SB_CLEANUP(done) struct made c = compose(recipe, 1, 0), u = unit(recipe, 1, 0);

	has(&c.text, "      - \"${SPARKBUS_API_KEY}\"\n");
	has(&u.text, " --api-key \"${SPARKBUS_API_KEY}\"\n");
	has_not(&c.text, "sesame");
	has_not(&u.text, "sesame");
	has(&c.secrets, "SPARKBUS_API_KEY='sesame-open'\n");
}
END_TEST

START_TEST(the_container_is_the_plans)
{
	SB_CLEANUP(done)
	struct made m = compose("model: m\ndefaults: {tensor_parallel: 2}\n", 2, 1);

	has(&m.text, "rank 1 of 2, for node spark2");
	has(&m.text, "    network_mode: host\n    ipc: host\n");
	has(&m.text, "    devices:\n      - /dev/infiniband\n"); /* for the others; alone it is left
								    out */
	has(&m.text, "      memlock:\n        soft: -1\n        hard: -1\n");
	has(&m.text, "        source: /home/me/.cache/huggingface\n");
	has(&m.text, "    user: \"1000:1000\"\n");
	has(&m.text, "      HOME: /tmp\n");
	has(&m.text,
			"        source: /etc/passwd\n        target: /etc/passwd\n        "
			"read_only: true\n");
	has(&m.text, "      - \"--headless\"\n");
	done(&m);
	m = compose("model: m\nexecutor_config: {user: null, entrypoint: /e}\n", 1, 0);
	has_not(&m.text, "/dev/infiniband");
	has_not(&m.text, "user:");
	has_not(&m.text, " HOME:");
	has_not(&m.text, "/etc/passwd");
	has(&m.text, "    entrypoint:\n      - /e\n    command:\n      - vllm\n");
}
END_TEST

START_TEST(restarts_are_the_managers)
{
	static const char *const policies[][2] = { { "null", "on-failure" }, { "'no'", "no" },
		{ "always", "always" }, { "unless-stopped", "always" },
		{ "on-failure:3", "on-failure" } };

	for (size_t i = 0; i < sb_countof(policies); i++) {
		SB_CLEANUP(done) struct made m = { 0 };
		char recipe[128], want[64];

		snprintf(recipe, sizeof(recipe),
				"model: m\nexecutor_config: {restart_policy: %s}\n",
				policies[i][0]);
		snprintf(want, sizeof(want), "Restart=%s\n", policies[i][1]);
		m = unit(recipe, 1, 0);
		has(&m.text, want);
	}
}
END_TEST

START_TEST(what_no_file_can_do_is_refused)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT, secrets = SB_STRBUF_INIT;
	Sparkbus__LaunchPlan *plan = compile("model: m\npre_exec: [apt-get update]\n", 1);
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_export_compose(plan, 0, &place, &out, &secrets, &err),
			-SB_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.text, "pre_exec[0]"));
	ck_assert_int_eq(sb_export_systemd(plan, 0, &place, &out, &secrets, &err),
			-SB_E_UNSUPPORTED);
	ck_assert_int_eq(sb_export_systemd(plan, 1, &place, &out, &secrets, &err), -SB_E_INVALID);
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	plan = compile("model: m\nruntime: trtllm\ndefaults: {free_gpu_memory_fraction: 0.5}\n", 1);
	ck_assert_int_eq(sb_export_systemd(plan, 0, &place, &out, &secrets, &err),
			-SB_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.text, ".yml"));
	ck_assert_int_eq(sb_export_compose(plan, 0, &place, &out, &secrets, &err), 0);
	has(&out, "    configs:\n      - source: file0\n        target: /tmp/");
	has(&out, "configs:\n  file0:\n    content: \"kv_cache_config:\\n");
	sparkbus__launch_plan__free_unpacked(plan, NULL);
}
END_TEST

/* --- the real readers, where this machine has them --- */

static bool have(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return system(command) == 0;
}

/* Write @m into a folder of its own and run @command there: nothing may be said on stderr. */
static void ask(const struct made *m, const char *name, const char *command)
{
	char dir[] = "/tmp/sb-export-XXXXXX", line[512], said[4096];
	FILE *pipe;
	size_t n;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(line, sizeof(line), "%s/%s", dir, name);
	ck_assert_int_eq(sb_fs_write(line, sb_strbuf_str(&m->text), m->text.len, 0644, NULL), 0);
	snprintf(line, sizeof(line), "%s/.env", dir);
	ck_assert_int_eq(sb_fs_write(line, sb_strbuf_str(&m->secrets), m->secrets.len, 0600, NULL),
			0);
	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1 >/dev/null; rc=$?; rm -rf %s; exit $rc",
			dir, command, dir);
	pipe = popen(line, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(said, 1, sizeof(said) - 1, pipe);
	said[n] = '\0';
	ck_assert_msg(pclose(pipe) == 0 && !n, "%s: %s\n%s", command, said,
			sb_strbuf_str(&m->text));
}

START_TEST(systemd_takes_the_unit)
{
	SB_CLEANUP(done) struct made m = unit(NASTY, 1, 0);

	if (!have("systemd-analyze") || access("/usr/bin/docker", X_OK) < 0)
		return;
	ask(&m, "j.service", "systemd-analyze verify ./j.service");
}
END_TEST

START_TEST(compose_takes_the_file)
{
	SB_CLEANUP(done) struct made m = compose(NASTY, 1, 0);

	if (have("docker-compose"))
		ask(&m, "compose.yaml", "docker-compose -f compose.yaml config");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("export");
	TCase *tc = tcase_create("export");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, compose_doubles_dollars_and_quotes);
	tcase_add_test(tc, a_unit_quotes_every_word);
	tcase_add_test(tc, secrets_are_quoted_for_their_readers);
	tcase_add_test(tc, an_api_key_on_the_command_line_is_a_variable);
	tcase_add_test(tc, the_container_is_the_plans);
	tcase_add_test(tc, restarts_are_the_managers);
	tcase_add_test(tc, what_no_file_can_do_is_refused);
	tcase_add_test(tc, systemd_takes_the_unit);
	tcase_add_test(tc, compose_takes_the_file);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
