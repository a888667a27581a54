/* The real command, as a person runs it, against nodes that say what the test wants. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <jansson.h>

#include "fake_agent.h"
#include "fake_hub.h"
#include "sb_fs.h"

#define OUTPUT_MAX (256 * 1024)
#define ARGS_MAX   24

static char home[64];

static void make_home(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(home, sizeof(home), "%s/sb-cli-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("SPARKBUS_HOME", home, 1);
	setenv("HOME", home, 1);
	setenv("SPARKBUS_RECIPES", home, 1);
	setenv("HF_HUB_OFFLINE", "1", 1);
	unsetenv("XDG_CACHE_HOME");
	unsetenv("DOCKER_CONFIG");
}

static void remove_home(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

/* --- running the command --- */

struct result {
	int status;
	char out[OUTPUT_MAX], err[OUTPUT_MAX];
};

static int spool(void)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/.spool-XXXXXX", home);
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

static void slurp(int fd, char *buf)
{
	ssize_t n = pread(fd, buf, OUTPUT_MAX - 1, 0);

	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	close(fd);
}

/* @pid_at: where the child's pid goes before it can talk to anybody; may be NULL. */
static struct result *run_args(atomic_int *pid_at, const char *const *args)
{
	static struct result r;
	char *argv[ARGS_MAX] = { (char *)"sparkbus" };
	int out = spool(), err = spool(), go[2], status;
	pid_t pid;

	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = (char *)args[i];
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		int null = open("/dev/null", O_RDONLY);
		char c;

		if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ||
				read(go[0], &c, 1) != 1)
			_exit(125);
		execv(SB_SPARKBUS, argv);
		_exit(126);
	}
	if (pid_at)
		atomic_store(pid_at, pid);
	ck_assert_int_eq(write(go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(go[0]);
	close(go[1]);
	r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	slurp(out, r.out);
	slurp(err, r.err);
	return &r;
}

#define RUN(...)                   run_args(NULL, (const char *const[]){ __VA_ARGS__, NULL })
#define RUN_AND_INTERRUPT(at, ...) run_args(at, (const char *const[]){ __VA_ARGS__, NULL })

static void ck_status(const struct result *r, int status)
{
	ck_assert_msg(r->status == status, "exit status %d instead of %d\n--- out\n%s--- err\n%s",
			r->status, status, r->out, r->err);
}

static void ck_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text);
}

static void ck_not(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) == NULL, "'%s' in:\n%s", part, text);
}

/* --- help and usage --- */

static const char *const helped[][4] = {
	{ "--help" },
	{ "help" },
	{ "run", "--help" },
	{ "stop", "-h" },
	{ "logs", "--help" },
	{ "status", "--help" },
	{ "node", "--help" },
	{ "node", "add", "--help" },
	{ "cluster", "--help" },
	{ "cluster", "create", "--help" },
	{ "help", "run" },
	{ "help", "cluster" },
	{ "help", "node", "revoke" },
	{ "-v", "run", "-h" },
};

START_TEST(help_at_every_level)
{
	const struct result *r = run_args(NULL, helped[_i]);

	ck_status(r, 0);
	ck_has(r->out, "Usage: sparkbus");
	ck_assert_str_eq(r->err, "");
}
END_TEST

static const struct {
	const char *args[8];
	const char *text;
} misused[] = {
	{ { "stauts" }, "Did you mean 'status'?" },
	{ { "cluster", "creat" }, "Did you mean 'cluster create'?" },
	{ { "run", "x", "--drty-run" }, "Did you mean --dry-run?" },
	{ { "run" }, "Missing argument" },
	{ { "run", "a", "b" }, "Unexpected argument: b" },
	{ { "run", "x", "--rootfull" }, "Did you mean --rootful?" },
	{ { "run", "x", "--transfer-mode", "auto" }, "every node pulls its images itself" },
	{ { "run", "x", "--executor-args=-v" }, "executor_config" },
	{ { "run", "x", "--cache-dir", "d" }, "models.hf_cache" },
	{ { "run", "x", "--port", "0" }, "not in the range" },
	{ { "run", "x", "--foreground", "--no-follow" }, "--foreground" },
	{ { "stop" }, "Must specify TARGET or --all." },
	{ { "stop", "x", "--all" }, "--all and TARGET are mutually exclusive." },
	{ { "logs", "x", "--rank", "first" }, "neither a rank nor 'all'" },
	{ { "node", "sign", "n" }, "--csr is needed" },
	{ { "node", "add", "bad name", "h" }, "cannot be a name" },
	{ { "cluster" }, "Usage: sparkbus cluster" },
	{ { "cluster", "create", "x", "-H", "a", "--topology", "star" }, "--topology" },
};

START_TEST(wrong_use_is_status_two)
{
	const struct result *r = run_args(NULL, misused[_i].args);

	ck_status(r, 2);
	ck_has(r->err, misused[_i].text);
	ck_assert_str_eq(r->out, "");
}
END_TEST

START_TEST(the_version_and_the_manual)
{
	const struct result *r = RUN("--version");

	ck_status(r, 0);
	ck_assert_str_eq(r->out, "sparkbus, version " SB_VERSION "\n");
	ck_status(RUN("run", "--version"), 0);
	r = RUN("help", "--markdown");
	ck_status(r, 0);
	ck_has(r->out, "### `sparkbus run RECIPE`");
	ck_has(r->out, "| `-H, --hosts A,B` |");
	r = RUN("help", "--man");
	ck_status(r, 0);
	ck_has(r->out, ".TH SPARKBUS 1");
	ck_has(r->out, "\\-\\-dry\\-run");
}
END_TEST

/* --- clusters --- */

static void add_node(const char *name, const char *address)
{
	ck_status(RUN("node", "add", name, address), 0);
}

START_TEST(clusters_are_kept)
{
	const struct result *r;
	json_t *json;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "10.0.0.11");
	add_node("s2", "10.0.0.12");
	r = RUN("cluster", "list");
	ck_assert_str_eq(r->out, "No saved clusters.\n");
	r = RUN("cluster", "create", "lab", "-H", "s1, 10.0.0.12,s1", "--default", "--executor",
			"ipc=host", "--executor", "user=a=b");
	ck_status(r, 0);
	ck_assert_str_eq(r->out,
			"Cluster 'lab' created with 2 host(s).\n"
			"Default cluster set to 'lab'.\n");
	r = RUN("cluster", "create", "lab", "-H", "s1");
	ck_status(r, 1);
	ck_has(r->err, "already exists");
	ck_status(RUN("cluster", "create", "-H", "s1", "--", "-bad"), 1);
	r = RUN("cluster", "create", "none");
	ck_status(r, 1);
	ck_has(r->err, "Error: No hosts provided.");
	r = RUN("cluster", "create", "odd", "-H", "s1,s9");
	ck_status(r, 1);
	ck_has(r->err, "unknown node 's9'; known nodes: s1, s2");
	r = RUN("cluster", "show", "lab", "--json");
	json = json_loads(r->out, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "hosts")), 2);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "executor"), 1)),
			"user=a=b");
	ck_assert(json_is_true(json_object_get(json, "default")));
	json_decref(json);
	ck_has(RUN("cluster", "default")->out, "lab");
}
END_TEST

START_TEST(clusters_are_changed_and_deleted)
{
	const struct result *r;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "10.0.0.11");
	add_node("s2", "10.0.0.12");
	ck_status(RUN("cluster", "create", "lab", "-H", "s1", "--default"), 0);
	r = RUN("cluster", "update", "lab", "--add-host", "s2", "--remove-host", "s1,zz");
	ck_status(r, 0);
	ck_assert_str_eq(r->out, "Cluster 'lab' updated (1 hosts: s2).\n");
	ck_has(r->err, "'zz' is not in the cluster");
	ck_status(RUN("cluster", "update", "lab", "--remove-host", "s2"), 1);
	ck_status(RUN("cluster", "update", "lab"), 1);
	ck_status(RUN("cluster", "update", "lab", "-H", "s1", "--add-host", "s2"), 1);
	r = RUN("cluster", "update", "lab", "-d", "two", "--topology", "direct");
	ck_assert_str_eq(r->out, "Cluster 'lab' updated.\n");
	ck_has(RUN("cluster", "show", "lab")->out, "switch");
	r = RUN("cluster", "delete", "lab");
	ck_status(r, 1);
	ck_has(r->err, "--force");
	ck_status(RUN("cluster", "delete", "lab", "--force"), 0);
	ck_assert_str_eq(RUN("cluster", "default")->out, "No default cluster set.\n");
	ck_status(RUN("cluster", "set-default", "lab"), 1);
	r = RUN("status", "--cluster", "lab");
	ck_status(r, 1);
	ck_has(r->err, "Cluster 'lab' not found.");
}
END_TEST

/* --- nodes that answer --- */

static struct fake_agent nodes[2];
static char recipe[96];

static char *read_pki(const char *folder, const char *file)
{
	struct sb_strbuf text = SB_STRBUF_INIT;
	char path[160];
	struct sb_err err;

	snprintf(path, sizeof(path), "%s/%s/%s", home, folder, file);
	ck_assert_msg(sb_fs_read(path, 1 << 20, &text, &err) == 0, "%s", err.text);
	return sb_strbuf_steal(&text);
}

static void write_file(const char *path, const char *text)
{
	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

/* Enrol a node as its owner would, and open its door. */
static void start_node(struct fake_agent *agent, const char *name)
{
	char csr_path[96], bundle[96], file[64], address[64];
	char *key, *csr, *cert, *ca;
	struct sb_err err;
	uint16_t port;

	agent->name = name;
	ck_assert_int_eq(sb_tls_key_new(&key, &err), 0);
	ck_assert_int_eq(sb_tls_csr_new(key, name, &csr, &err), 0);
	snprintf(csr_path, sizeof(csr_path), "%s/%s.csr", home, name);
	snprintf(bundle, sizeof(bundle), "%s/%s.bundle", home, name);
	snprintf(file, sizeof(file), "%s.crt", name);
	write_file(csr_path, csr);
	add_node(name, "127.0.0.1");
	ck_status(RUN("node", "sign", name, "--csr", csr_path, "--out", bundle), 0);
	cert = read_pki("nodes", file);
	ca = read_pki("pki", "operator-ca.crt");
	port = fake_agent_start(agent, &(struct sb_tls_creds){ cert, key, ca, NULL });
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	add_node(name, address);
	free(cert);
	free(ca);
	free(csr);
	sb_tls_wipe_free(key);
}

static Sparkbus__MemoryState *node_memory[2]; /* NULL = they tell nothing of it */

static void start_nodes(void)
{
	ck_status(RUN("init", "--operator", "alice"), 0);
	for (int i = 0; i < 2; i++) {
		nodes[i] = (struct fake_agent){ .result = SPARKBUS__JOB_STATE__JOB_READY,
			.stop_outcome = SPARKBUS__OUTCOME__OUTCOME_DONE,
			.stop_evidence_holds = true,
			.memory = node_memory[i] };
		start_node(&nodes[i], i ? "s2" : "s1");
	}
	snprintf(recipe, sizeof(recipe), "%s/two.yaml", home);
	write_file(recipe,
			"model: Qwen/Qwen3-1.7B\nruntime: vllm\ncontainer: img:1\n"
			"defaults:\n  port: 8000\n  tensor_parallel: 2\n");
}

static void stop_nodes(void)
{
	for (int i = 0; i < 2; i++)
		fake_agent_stop(&nodes[i]);
}

#define COUNT(node, verb) atomic_load(&nodes[node].counts[SPARKBUS__REQUEST__BODY_##verb])

START_TEST(a_launch_goes_from_the_recipe_to_ready)
{
	const struct result *r;
	char id[16];

	start_nodes();
	r = RUN("run", recipe, "-H", "s1,s2", "--no-follow");
	ck_status(r, 0);
	ck_has(r->out, "http://127.0.0.1:8000/v1");
	/* A path is not a name. */
	ck_has(r->out, "Recipe:    two\n");
	ck_assert_ptr_null(strstr(r->out, "Serve command:\n\n"));
	ck_has(r->err, "[3/5] Preparing nodes");
	ck_has(r->err, "[4/5] Fetching image — skipped (present)");
	ck_assert_uint_eq(COUNT(0, COMMIT), 1);
	ck_assert_uint_eq(COUNT(1, COMMIT), 0);
	ck_assert_uint_eq(COUNT(0, PREPARE), 1);
	ck_assert_uint_eq(COUNT(1, PREPARE), 1);
	nodes[1].state = SPARKBUS__JOB_STATE__JOB_READY;

	r = RUN("status");
	ck_status(r, 0);
	ck_has(r->out, "state: ready");
	ck_has(r->out, "Total: 1 job on 2 nodes");
	r = RUN("run", recipe, "-H", "s1,s2", "--ensure");
	ck_status(r, 0);
	ck_has(r->out, "Job already running");
	ck_assert_uint_eq(COUNT(0, COMMIT), 1);

	snprintf(id, sizeof(id), "%.8s", nodes[0].job + strlen("sparkbus_"));
	r = RUN("stop", id, "-n");
	ck_status(r, 0);
	ck_assert_uint_eq(COUNT(0, STOP_JOB), 0);
	r = RUN("stop", id);
	ck_status(r, 0);
	ck_has(r->out, "s1: done");
	ck_has(r->out, "+ the container is gone");
	ck_assert_uint_eq(COUNT(1, STOP_JOB), 1);
	stop_nodes();
}
END_TEST

START_TEST(a_jobs_recipe_is_told_by_its_nodes)
{
	char path[256], id[16];
	const struct result *r;

	start_nodes();
	ck_status(RUN("run", recipe, "-H", "s1,s2", "--no-follow", "-o", "dtype=half", "-o",
				  "env.HF_TOKEN=hf_secret", "--label", "a=b", "--port", "8001"),
			0);
	nodes[1].state = SPARKBUS__JOB_STATE__JOB_READY;
	snprintf(id, sizeof(id), "%.12s", nodes[0].job + strlen("sparkbus_"));
	r = RUN("export", "running-recipe", id);
	ck_status(r, 0);
	ck_has(r->out, " on s1, s2. Secrets are left out.\nmodel: Qwen/Qwen3-1.7B\n");
	ck_has(r->out, "  port: 8001\n  tensor_parallel: 2\n  dtype: half\n");
	ck_has(r->out, "  HF_TOKEN: \"$HF_TOKEN\"\n");
	ck_has(r->out, "  labels:\n    - a=b\n");
	ck_assert_ptr_null(strstr(r->out, "hf_secret"));
	/* What was saved is a recipe, and means the same job. */
	snprintf(path, sizeof(path), "%s/again.yaml", home);
	ck_status(RUN("export", "running-recipe", "two", "--save", path), 0);
	r = RUN("run", path, "-H", "s1,s2", "-n", "--no-lint");
	ck_status(r, 0);
	ck_has(r->out, id);
	r = RUN("export", "running-recipe", "two", "--json");
	ck_status(r, 0);
	ck_has(r->out, "\"port\": 8001");
	ck_status(RUN("export", "running-recipe", "another"), 1);
	nodes[0].recipe_yaml[0] = nodes[1].recipe_yaml[0] = '\0';
	r = RUN("export", "running-recipe", id);
	ck_status(r, 1);
	ck_has(r->err, "no node that answers has its recipe");
	stop_nodes();
}
END_TEST

START_TEST(a_problem_on_one_node_starts_nothing)
{
	const struct result *r;

	start_nodes();
	nodes[1].problem = SPARKBUS__PROBLEM_KIND__PROBLEM_PORT;
	r = RUN("run", recipe, "-H", "s1,s2", "--no-follow");
	ck_status(r, 1);
	ck_has(r->err, "s2: something is in the way (move it)");
	ck_has(r->err, "Nothing was started.");
	ck_assert_uint_eq(COUNT(0, RELEASE), 1);
	ck_assert_uint_eq(COUNT(1, RELEASE), 0);
	ck_assert_uint_eq(COUNT(0, COMMIT), 0);
	stop_nodes();
}
END_TEST

START_TEST(a_missing_image_is_fetched_first)
{
	start_nodes();
	nodes[1].problem = SPARKBUS__PROBLEM_KIND__PROBLEM_IMAGE;
	ck_status(RUN("run", recipe, "-H", "s1,s2", "--no-follow"), 0);
	ck_assert_uint_eq(COUNT(0, PULL_IMAGE), 0);
	ck_assert_uint_eq(COUNT(1, PULL_IMAGE), 1);
	ck_assert_uint_eq(COUNT(0, PREPARE), 2);
	ck_assert_uint_eq(COUNT(0, COMMIT), 1);
	stop_nodes();
}
END_TEST

START_TEST(a_launch_that_fails_says_why)
{
	const struct result *r;

	start_nodes();
	nodes[0].result = SPARKBUS__JOB_STATE__JOB_FAILED;
	r = RUN("run", recipe, "-H", "s1,s2", "--no-follow");
	ck_status(r, 1);
	ck_has(r->err, "rank 1 ended before it was ready");
	ck_has(r->err, "rank 1 (s2): exited, exit code 77");
	ck_has(r->err, "the line that matters");
	stop_nodes();
}
END_TEST

START_TEST(ctrl_c_detaches_from_a_launch)
{
	const struct result *r;

	start_nodes();
	nodes[0].result = SPARKBUS__JOB_STATE__JOB_STARTING;
	r = RUN_AND_INTERRUPT(&nodes[0].interrupt_pid, "run", recipe, "-H", "s1,s2");
	ck_status(r, 3);
	ck_has(r->err, "Detached; the launch goes on.");
	ck_has(r->err, "sparkbus stop ");
	ck_assert_uint_eq(COUNT(0, STOP_JOB), 0);
	ck_assert_uint_eq(COUNT(0, RELEASE), 0);
	stop_nodes();
}
END_TEST

START_TEST(ctrl_c_in_the_foreground_stops_the_job)
{
	const struct result *r;

	start_nodes();
	nodes[0].result = SPARKBUS__JOB_STATE__JOB_STARTING;
	r = RUN_AND_INTERRUPT(
			&nodes[0].interrupt_pid, "run", recipe, "-H", "s1,s2", "--foreground");
	ck_status(r, 0);
	ck_assert_uint_eq(COUNT(0, STOP_JOB), 1);
	ck_assert_uint_eq(COUNT(1, STOP_JOB), 1);
	stop_nodes();
}
END_TEST

static void running_job(void)
{
	static const char job[] = "sparkbus_0123456789ab";

	for (uint32_t i = 0; i < 2; i++) {
		snprintf(nodes[i].job, sizeof(nodes[i].job), "%s", job);
		snprintf(nodes[i].recipe, sizeof(nodes[i].recipe), "@official/qwen3");
		snprintf(nodes[i].nodes[0], sizeof(nodes[i].nodes[0]), "s1");
		snprintf(nodes[i].nodes[1], sizeof(nodes[i].nodes[1]), "s2");
		nodes[i].n_nodes = 2;
		nodes[i].rank = i;
		nodes[i].state = SPARKBUS__JOB_STATE__JOB_READY;
	}
}

START_TEST(stop_says_what_each_node_saw)
{
	const struct result *r;
	json_t *json;

	start_nodes();
	running_job();
	nodes[1].stop_outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
	nodes[1].stop_evidence_holds = false;
	r = RUN("stop", "qwen3");
	ck_status(r, 1);
	ck_has(r->out, "s1: done");
	ck_has(r->out, "s2: failed");
	ck_has(r->out, "- the container is still there");
	/* A node that says "done" and shows otherwise is not believed. */
	nodes[1].stop_outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	ck_status(RUN("stop", "qwen3"), 1);
	nodes[1].stop_outcome = SPARKBUS__OUTCOME__OUTCOME_UNKNOWN;
	r = RUN("stop", "--all", "--json");
	ck_status(r, 3);
	json = json_loads(r->out, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(
					 json_array_get(json_object_get(json, "jobs"), 0),
					 "outcome")),
			"unknown");
	json_decref(json);
	stop_nodes();
}
END_TEST

START_TEST(a_silent_node_is_unknown)
{
	const struct result *r;
	json_t *json;

	start_nodes();
	running_job();
	fake_agent_stop(&nodes[1]);
	r = RUN("status");
	ck_status(r, 3);
	ck_has(r->out, "Unknown (no answer):\n  s2: ");
	r = RUN("cluster", "status", "--json");
	ck_status(r, 3);
	json = json_loads(r->out, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "unknown_nodes")), 1);
	json_decref(json);
	/* The job's other node is asked too, although only one was named. */
	r = RUN("stop", "0123456789ab", "-H", "s1");
	ck_status(r, 3);
	ck_has(r->out, "s1: done");
	ck_has(r->out, "s2: unknown");
	r = RUN("stop", "other");
	ck_status(r, 3);
	ck_has(r->err, "unknown whether other runs");
	r = RUN("run", recipe, "-H", "s1,s2");
	ck_status(r, 3);
	ck_has(r->err, "1 of 2 nodes did not answer");
	ck_assert_uint_eq(COUNT(0, PREPARE), 0);
	stop_nodes();
}
END_TEST

START_TEST(a_rank_alone_does_not_have_the_last_word)
{
	const struct result *r;

	start_nodes();
	running_job();
	fake_agent_stop(&nodes[0]);
	r = RUN("status");
	ck_status(r, 3);
	ck_has(r->out, "the leader did not answer");
	ck_has(r->out, "rank 0");
	ck_has(r->out, "unknown");
	stop_nodes();
}
END_TEST

START_TEST(nothing_to_stop)
{
	const struct result *r;

	start_nodes();
	r = RUN("stop", "qwen3");
	ck_status(r, 1);
	ck_has(r->err, "No such job: qwen3");
	r = RUN("stop", "--all");
	ck_status(r, 0);
	ck_assert_str_eq(r->out, "No sparkbus jobs running.\n");
	stop_nodes();
}
END_TEST

START_TEST(logs_of_all_ranks_are_merged_by_time)
{
	static const struct fake_line head[] = { { 10, "h1" }, { 30, "h2\033[2J" }, { 50, "h3" } };
	static const struct fake_line worker[] = { { 20, "w1" }, { 30, "w2" }, { 60, "a\rw3" } };
	const struct result *r;

	start_nodes();
	running_job();
	nodes[0].lines = head;
	nodes[1].lines = worker;
	nodes[0].n_lines = nodes[1].n_lines = 3;
	for (int i = 0; i < 2; i++)
		nodes[i].state = SPARKBUS__JOB_STATE__JOB_STOPPED;
	r = RUN("logs", "qwen3");
	ck_status(r, 0);
	ck_assert_str_eq(r->out, "h1\nh2?[2J\nh3\n");
	r = RUN("logs", "0123456789ab", "--rank", "all");
	ck_status(r, 0);
	ck_assert_str_eq(r->out,
			"rank 0 | h1\nrank 1 | w1\nrank 0 | h2?[2J\nrank 1 | w2\n"
			"rank 0 | h3\nrank 1 | w3\n");
	ck_assert_str_eq(RUN("logs", "qwen3", "--rank", "1")->out, "w1\nw2\nw3\n");
	ck_status(RUN("logs", "qwen3", "--rank", "7"), 1);
	stop_nodes();
}
END_TEST

START_TEST(a_dry_run_needs_no_node_and_hides_secrets)
{
	const struct result *r;
	json_t *json;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	snprintf(recipe, sizeof(recipe), "%s/one.yaml", home);
	write_file(recipe,
			"model: Qwen/Qwen3-1.7B\nruntime: vllm\ncontainer: img:1\n"
			"env:\n  HF_TOKEN: hf_abcdefgh\n  PLAIN: visible\n");
	r = RUN("run", recipe, "-H", "s1", "-n");
	ck_status(r, 0);
	ck_has(r->out, "Dry run: nothing was started.");
	ck_has(r->out, "PLAIN=visible");
	ck_not(r->out, "hf_abcdefgh");
	r = RUN("run", recipe, "-H", "s1", "-n", "--json");
	ck_status(r, 0);
	ck_not(r->out, "hf_abcdefgh");
	json = json_loads(r->out, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "model")), "Qwen/Qwen3-1.7B");
	json_decref(json);
	r = RUN("run", recipe, "-H", "s1,nobody");
	ck_status(r, 1);
	ck_has(r->err, "unknown node 'nobody'; known nodes: s1");
	r = RUN("run", "nosuch", "-H", "s1");
	ck_status(r, 1);
	ck_has(r->err, "Recipe 'nosuch' not found.");
	r = RUN("run", recipe);
	ck_status(r, 1);
	ck_has(r->err, "Error: No hosts specified. Use --hosts or configure defaults.");
}
END_TEST

/* Nodes that do not answer have links that nobody knows: no variable says otherwise. */
START_TEST(a_launch_says_what_the_links_give)
{
	const struct result *r;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	add_node("s2", "127.0.0.2:1");
	snprintf(recipe, sizeof(recipe), "%s/one.yaml", home);
	write_file(recipe,
			"model: m\nruntime: vllm\ncontainer: img:1\n"
			"defaults: {tensor_parallel: 2}\nenv: {NODE_IP: mine}\n");
	r = RUN("run", recipe, "-H", "s1,s2", "-n");
	ck_status(r, 0);
	ck_has(r->err, "Warning: it is not known whether the ranks talk over the fabric");
	ck_has(r->out, "VLLM_HOST_IP=127.0.0.2\n               # vLLM otherwise takes");
	ck_has(r->out, "NODE_IP=mine\n               # instead of 127.0.0.1\n");
	ck_not(r->out, "NCCL_IB_DISABLE");
	r = RUN("run", recipe, "-H", "s1,s2", "-n", "--strict");
	ck_status(r, 1);
	ck_has(r->err, "with --strict warnings are errors. Nothing was started.");
	ck_not(r->out, "VLLM_HOST_IP");
}
END_TEST

/* Options of the container beat the recipe; --rootful is below it. */
START_TEST(container_options_reach_the_plan)
{
	const struct result *r;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	snprintf(recipe, sizeof(recipe), "%s/one.yaml", home);
	write_file(recipe,
			"model: m\nruntime: vllm\ncontainer: img:1\n"
			"executor_config: {memory_limit: 1g, labels: [a=b], cap_add: "
			"[SYS_NICE]}\n");
	r = RUN("run", recipe, "-H", "s1", "-n", "--memory-limit", "2g", "--label", "x=y z",
			"--label", "k", "--restart", "on-failure:3", "--container-name", "mine",
			"--rootful");
	ck_status(r, 0);
	ck_has(r->out, "container mine_solo");
	ck_has(r->out, "privileged gpus=all");
	ck_has(r->out, "memory=2.0 GiB cap=SYS_NICE label=x=y z label=k restart=on-failure:3");
	ck_not(r->out, "user=");
	ck_not(r->out, "a=b");
	ck_not(r->out, "no-new-privileges");
	ck_not(r->out, "infiniband");
	r = RUN("run", recipe, "-H", "s1", "-n");
	ck_has(r->out, "user=auto");
	ck_has(r->out, "security=no-new-privileges");
	ck_has(r->out, "label=a=b");
	r = RUN("run", recipe, "-H", "s1", "-n", "--container-name", "Mine");
	ck_status(r, 1);
	ck_has(r->err, "job name 'Mine'");
	r = RUN("run", recipe, "-H", "s1", "-n", "--memory-limit", "much");
	ck_status(r, 1);
	ck_has(r->err, "--memory-limit memory_limit: expected a size");
}
END_TEST

/* What leaves this machine is shown; a file that others may write is not the operator's word. */
START_TEST(hooks_that_act_here_are_shown_and_asked_about)
{
	const struct result *r;

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	snprintf(recipe, sizeof(recipe), "%s/one.yaml", home);
	write_file(recipe,
			"model: m\nruntime: vllm\ncontainer: img:1\n"
			"post_commands: [\"echo one\\necho \\e[31m{base_url}\"]\n"
			"stop_after_post: true\n");
	r = RUN("run", recipe, "-H", "s1", "-n");
	ck_status(r, 0);
	ck_has(r->out,
			"On this machine\n  post_commands[0]: runs here:\n    echo one\n    echo "
			"?[31mhttp://127.0.0.1:8000/v1\n  and then stops the job\n");
	r = RUN("run", recipe, "-H", "s1"); /* our own file: the node is what is missing */
	ck_status(r, 3);
	ck_not(r->err, "does this on your machine");
	ck_assert_int_eq(chmod(recipe, 0646), 0);
	r = RUN("run", recipe, "-H", "s1");
	ck_status(r, 1);
	ck_has(r->err, "from a file of another user and does this on your machine");
	ck_has(r->err, "    echo one\n");
	ck_has(r->err, "--trust");
	r = RUN("run", recipe, "-H", "s1", "--trust");
	ck_status(r, 3);
}
END_TEST

START_TEST(bundled_recipes_are_found_by_name)
{
	char path[160];

	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s/family", home, i ? "other" : "official");
		ck_assert_int_eq(sb_fs_mkdirs(path, 0700, NULL), 0);
		strcat(path, "/both.yaml");
		write_file(path, "model: org/m\nruntime: vllm\ncontainer: img:1\n");
	}
	snprintf(path, sizeof(path), "%s/official/family/one.yaml", home);
	write_file(path, "model: org/m\nruntime: vllm\ncontainer: img:1\n");
	ck_has(RUN("run", "one", "-H", "s1", "-n")->out, "@official/one");
	ck_has(RUN("run", "@other/both", "-H", "s1", "-n")->out, "@other/both");
	ck_status(RUN("run", "@other/one", "-H", "s1", "-n"), 1);
	ck_status(RUN("run", "@../one", "-H", "s1", "-n"), 1);
	ck_has(RUN("run", "both", "-H", "s1", "-n")->err, "@official/both, @other/both");
}
END_TEST

/* Two registries and a folder of one's own, with good recipes, bad ones and other YAML. */
static void make_recipes(void)
{
	static const char *const files[][2] = {
		{ "recipes/official/README.md", "# words" },
		{ "recipes/official/qwen/qwen3.yaml",
				"model: Q/three\nruntime: vllm\ncontainer: img:1\n"
				"description: Small and quick\nmin_nodes: 1\nmax_nodes: 2\n"
				"defaults:\n  tensor_parallel: 1\n"
				"  gpu_memory_utilization: 0.30\n" },
		{ "recipes/official/qwen/broken.yaml", "model: [\n" },
		{ "recipes/official/ray.yml",
				"model: org/big\ncontainer: img:1\nmin_nodes: 2\n"
				"defaults: {distributed_executor_backend: ray}\n"
				"command: vllm serve {model}\n" },
		{ "recipes/extra/llama.yaml",
				"model: org/m:Q4\ncontainer: img:1\ncommand: llama-server x\n" },
		{ "here/mine.yaml", "model: me/mine\nruntime: sglang\ncontainer: img:1\n" },
		{ "here/compose.yaml", "services: {web: {image: nginx}}\n" },
		{ "here/slip.yml", "model: a\n  b: c\n" },
	};
	char path[192];

	for (size_t i = 0; i < sb_countof(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", home, files[i][0]);
		*strrchr(path, '/') = '\0';
		ck_assert_int_eq(sb_fs_mkdirs(path, 0700, NULL), 0);
		snprintf(path, sizeof(path), "%s/%s", home, files[i][0]);
		write_file(path, files[i][1]);
	}
	snprintf(path, sizeof(path), "%s/recipes", home);
	setenv("SPARKBUS_RECIPES", path, 1);
	snprintf(path, sizeof(path), "%s/here", home);
	ck_assert_int_eq(chdir(path), 0);
}

START_TEST(recipes_are_listed_and_bad_ones_counted)
{
	const struct result *r;

	make_recipes();
	r = RUN("list");
	ck_status(r, 0);
	ck_assert_str_eq(r->out,
			"NAME             RUNTIME           TP  NODES  GPU MEM  MODEL\n"
			"mine             sglang            -   1      -        me/mine\n"
			"@extra/llama     llama-cpp         -   1      -        org/m:Q4\n"
			"@official/qwen3  vllm-distributed  1   1      0.3      Q/three\n"
			"@official/ray    vllm-ray          -   2      -        org/big\n"
			"\n4 recipes; 2 files are not a good recipe (-v says why)\n");
	r = RUN("recipe", "list", "-v");
	ck_has(r->out, "  @official/broken: ");
	ck_has(r->out, "official/qwen/broken.yaml:2:1");
	ck_has(r->out, "  slip: ./slip.yml:2:");
	ck_not(r->out, "compose");
	ck_has(RUN("list", "--runtime", "vllm")->out, "\n2 recipes");
	ck_has(RUN("list", "--runtime", "vllm-ray")->out, "\n1 recipe;");
	ck_has(RUN("list", "--registry", "local")->out, "\n1 recipe; 1 file is");
	ck_has(RUN("list", "--nodes", "1")->out, "\n3 recipes");
	ck_has(RUN("list", "--nodes", "2")->out, "\n4 recipes");
	ck_status(RUN("list", "--nodes", "0"), 2);
	ck_has(RUN("list", "--family", "qwen")->err, "No family 'qwen'; there are: none");
	r = RUN("list", "--registry", "offical");
	ck_status(r, 1);
	ck_has(r->err, "there are: local, extra, official");
	/* Text from a file does not drive the terminal. */
	write_file("odd\033[2J.yaml", "model: a/b\ncontainer: c\nruntime: vllm\n");
	ck_not(RUN("list")->out, "\033");
}
END_TEST

/* Files of this folder, then the families, then the rest. A bundled recipe has its registry before
 * its name only where another has the same name. */
START_TEST(recipes_are_listed_by_family)
{
	static const char vllm[] = "container: img:1\nruntime: vllm\n";
	static const char *const files[][2] = {
		{ "qwen/big.yaml", "model: Q/Qwen3-Big\ndefaults: {tensor_parallel: 4}\n" },
		{ "qwen/small.yaml", "model: Q/Qwen3-Small\n" },
		{ "gemma/dup.yaml", "model: g/Gemma-9\n" },
		{ "official/qwen3-pub.yaml", "model: Q/qwen3\n" },
	};
	const struct result *r;
	json_t *json;

	make_recipes();
	write_file("../recipes/families.yaml", "qwen: [\"*qwen*\"]\ngemma: [\"*gemma*\"]\n");
	write_file("dup.yaml", "model: me/other\nruntime: vllm\ncontainer: img:1\n");
	for (size_t i = 0; i < sb_countof(files); i++) {
		char path[128], text[256];

		snprintf(path, sizeof(path), "../recipes/%s", files[i][0]);
		*strrchr(path, '/') = '\0';
		ck_assert_int_eq(sb_fs_mkdirs(path, 0700, NULL), 0);
		snprintf(path, sizeof(path), "../recipes/%s", files[i][0]);
		snprintf(text, sizeof(text), "%s%s", files[i][1], vllm);
		write_file(path, text);
	}
	r = RUN("list");
	ck_status(r, 0);
	ck_assert_str_eq(r->out,
			"NAME                   RUNTIME           TP  NODES  GPU MEM  MODEL\n"
			"this folder\n"
			"  dup                  vllm-distributed  -   1      -        me/other\n"
			"  mine                 sglang            -   1      -        me/mine\n"
			"gemma\n"
			"  @bundled/dup         vllm-distributed  -   1      -        g/Gemma-9\n"
			"qwen\n"
			"  big                  vllm-distributed  4   1      -        Q/Qwen3-Big\n"
			"  small                vllm-distributed  -   1      -        "
			"Q/Qwen3-Small\n"
			"  @official/qwen3-pub  vllm-distributed  -   1      -        Q/qwen3\n"
			"others\n"
			"  @extra/llama         llama-cpp         -   1      -        org/m:Q4\n"
			"  @official/qwen3      vllm-distributed  1   1      0.3      Q/three\n"
			"  @official/ray        vllm-ray          -   2      -        org/big\n"
			"\n9 recipes; 2 files are not a good recipe (-v says why)\n");
	ck_has(RUN("show", "small", "--no-vram")->out, "Name:         @bundled/small\n");
	r = RUN("search", "big", "--family", "qwen");
	ck_has(r->out, "  big ");
	ck_not(r->out, "others");
	ck_has(r->out, "\n1 recipe");
	ck_has(RUN("list", "--nodes", "3", "--family", "qwen")->out, "\n2 recipes");
	r = RUN("list", "--family", "quen");
	ck_status(r, 1);
	ck_has(r->err, "No family 'quen'; there are: gemma, qwen");
	r = RUN("list", "--json", "--family", "gemma");
	json = json_loads(r->out, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "recipes")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(
					 json_array_get(json_object_get(json, "recipes"), 0),
					 "family")),
			"gemma");
	json_decref(json);
}
END_TEST

START_TEST(recipes_are_searched)
{
	static const char *const found_by[] = { "QWEN3", "qwen3.yaml", "q/THREE", "and quick" };
	const struct result *r;
	json_t *json, *item;

	make_recipes();
	for (size_t i = 0; i < sb_countof(found_by); i++) {
		r = RUN("search", found_by[i]);
		ck_status(r, 0);
		ck_has(r->out, "@official/qwen3");
		ck_has(r->out, "\n1 recipe;");
	}
	r = RUN("recipe", "search", "nothing like it");
	ck_status(r, 0);
	ck_has(r->out, "No recipes found matching 'nothing like it'.");
	ck_status(RUN("search"), 2);
	r = RUN("search", "qwen3", "--json");
	ck_status(r, 0);
	json = json_loads(r->out, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "bad")), 2);
	item = json_array_get(json_object_get(json, "recipes"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(item, "name")), "@official/qwen3");
	ck_assert_str_eq(json_string_value(json_object_get(item, "file")), "qwen3.yaml");
	ck_assert_int_eq(json_integer_value(json_object_get(item, "max_nodes")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(item, "tp")), 1);
	ck_assert(json_real_value(json_object_get(item, "gpu_mem")) == 0.3);
	json_decref(json);
}
END_TEST

START_TEST(a_mistyped_recipe_is_guessed)
{
	const struct result *r;

	make_recipes();
	ck_status(RUN("init", "--operator", "alice"), 0);
	add_node("s1", "127.0.0.1:1");
	r = RUN("run", "qwem3", "-H", "s1", "-n");
	ck_status(r, 1);
	ck_has(r->err, "Recipe 'qwem3' not found.");
	ck_has(r->err, "Did you mean 'qwen3'?");
	ck_has(RUN("run", "@oficial/ray", "-H", "s1", "-n")->err, "Did you mean '@official/ray'?");
	ck_not(RUN("run", "zzzz", "-H", "s1", "-n")->err, "Did you mean");
	/* The top of a registry goes before its depths; a file here before all. */
	write_file("../recipes/official/qwen/ray.yaml", "model: deep/one\ncontainer: c\n");
	r = RUN("run", "ray", "-H", "s1", "-n");
	ck_not(r->err, "several places");
	write_file("llama.yml", "model: my/llama\ncontainer: img:1\nruntime: vllm\n");
	ck_has(RUN("run", "llama", "-H", "s1", "-n")->out, "Model:     my/llama");
}
END_TEST

/* --- memory estimates, from a cache of models as the hub's library leaves it --- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void cache_file(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/hf/hub/models--org--m/snapshots/" COMMIT "/%s", home,
			name);
	write_file(path, text);
}

/* A file of weights; sparse. */
static void cache_shard(const char *name, off_t bytes)
{
	char path[256];

	cache_file(name, "");
	snprintf(path, sizeof(path), "%s/hf/hub/models--org--m/snapshots/" COMMIT "/%s", home,
			name);
	ck_assert_int_eq(truncate(path, bytes), 0);
}

static void make_cache(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/hf", home);
	setenv("HF_HOME", path, 1);
	unsetenv("HF_HUB_CACHE");
	unsetenv("HUGGINGFACE_HUB_CACHE");
	strcat(path, "/hub/models--org--m/snapshots/" COMMIT);
	ck_assert_int_eq(sb_fs_mkdirs(path, 0700, NULL), 0);
	snprintf(path, sizeof(path), "%s/hf/hub/models--org--m/refs", home);
	ck_assert_int_eq(sb_fs_mkdirs(path, 0700, NULL), 0);
	strcat(path, "/main");
	write_file(path, COMMIT "\n");
	cache_file("config.json",
			"{\"torch_dtype\":\"bfloat16\",\"num_hidden_layers\":32,"
			"\"num_attention_heads\":32,\"num_key_value_heads\":8,\"hidden_"
			"size\":"
			"4096}");
	snprintf(recipe, sizeof(recipe), "%s/r.yaml", home);
	write_file(recipe,
			"model: org/m\nruntime: vllm\ncontainer: img:1\ndefaults:\n"
			"  max_model_len: 32768\n  gpu_memory_utilization: 0.9\n");
}

static double vram_figure(const char *key)
{
	const struct result *r = RUN("recipe", "vram", recipe, "--tp", "2", "--json");
	json_t *json = json_loads(r->out, 0, NULL);
	double value;

	ck_status(r, 0);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "model")), "org/m");
	value = json_number_value(json_object_get(json, key));
	json_decref(json);
	return value;
}

/* The second published example, its weights as files of the published sizes. */
START_TEST(memory_is_estimated_from_the_cache)
{
	const struct result *r;

	make_cache();
	cache_file("model.safetensors.index.json",
			"{\"metadata\":{\"total_size\":16060522496},\"weight_map\":{"
			"\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"1."
			"safetensors\"}"
			"}");
	cache_shard("1.safetensors", 9000000000);
	cache_shard("2.safetensors", 7060530000);
	r = RUN("recipe", "vram", recipe, "--tp", "2", "--json");
	ck_status(r, 0);
	ck_assert_str_eq(r->err, "");
	ck_has(r->out, "\"model_weights_gb\": 14.957534149289131,");
	ck_has(r->out, "\"available_kv_gb\": 101.42123292535544,");
	ck_has(r->out, "\"max_context_tokens\": 1661685,");
	ck_has(r->out, "\"gpu_memory_utilization\": 0.9,");
	r = RUN("recipe", "vram", recipe, "--gpu-mem", "0.5", "--max-model-len", "1000");
	ck_status(r, 0);
	ck_has(r->out,
			"Recipe:  r\nModel:   org/m\nRuntime: vllm-distributed\n\n"
			"VRAM Estimation:\n  Model:            32 layers: 32 full attention\n");
	ck_has(r->out, "14.96  read     sizes of the safetensors files\n");
	ck_has(r->out, "60.50  known    0.5 of 121.0 GiB\n");
	ck_has(r->out, "  At 1,000 tokens: ");
	ck_has(r->out, "  Verdict:          fits\n");
	r = RUN("recipe", "vram", recipe, "--published", "--gpu-mem", "0.5", "--max-model-len",
			"1000");
	ck_status(r, 0);
	ck_has(r->out, "\n\nVRAM Estimation:\n  Model dtype:      bfloat16\n");
	ck_has(r->out, "(max_model_len=1,000)");
	ck_has(r->out, "gpu_memory_utilization: 50%");
	/* A map in the recipe, and flags of the command, which the engine sees. */
	write_file(recipe,
			"model: org/m\nruntime: vllm\ncontainer: img:1\ndefaults:\n"
			"  speculative_config: {method: mtp, num_speculative_tokens: 2}\n"
			"  max_model_len: 4096\n"
			"command: vllm serve {model} --max-model-len 8192 --kv-cache-dtype fp8\n");
	r = RUN("recipe", "vram", recipe);
	ck_has(r->out, "KV cache:         fp8; of a rank 67,584 B a token\n");
	ck_has(r->out, "  At 8,192 tokens: ");
}
END_TEST

/* One shard is not there yet: the index knows the whole. */
START_TEST(half_a_download_is_not_half_a_model)
{
	make_cache();
	cache_file("model.safetensors.index.json",
			"{\"metadata\":{\"total_size\":1073741824},\"weight_map\":{"
			"\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
	cache_shard("1.safetensors", 1000);
	ck_assert(vram_figure("model_weights_gb") == 1.0);
	cache_shard("2.safetensors", 1073740824);
	ck_assert(vram_figure("model_weights_gb") == 1.0);
	cache_shard("2.safetensors", 2147482648);
	ck_assert(vram_figure("model_weights_gb") == 2.0);
}
END_TEST

START_TEST(memory_is_estimated_without_a_cache)
{
	const struct result *r;

	make_cache();
	setenv("HF_HUB_CACHE", "/nonexistent", 1);
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 0);
	ck_has(r->err, "only the recipe is looked at: org/m: not fetched before, and offline");
	ck_has(r->out, "Verdict:          unknown: the size of the weights is not known\n");
	r = RUN("recipe", "vram", recipe, "--published");
	ck_has(r->out, "Warning: model_params not available; model weight estimate is zero");
	ck_assert_str_eq(RUN("-q", "recipe", "vram", recipe)->err, "");
	r = RUN("recipe", "vram", recipe, "--no-auto-detect");
	ck_status(r, 0);
	ck_assert_str_eq(r->err, "");
	write_file(recipe, "model: ../../etc\nruntime: vllm\ncontainer: img:1\n");
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 0);
	ck_has(r->err, "'../../etc' is not org/name");
	write_file(recipe, "model: org/m:Q4_K_M\nruntime: llama-cpp\ncontainer: img:1\n");
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 0);
	ck_has(r->out, "Weights:          q4_k_m\n");
	ck_has(r->out, "Verdict:          unknown: ");
	write_file(recipe,
			"model: org/m\nruntime: vllm\ncontainer: img:1\nmetadata:\n"
			"  num_layers: 52.0\n  model_vram: lots\n");
	r = RUN("recipe", "vram", recipe, "--published");
	ck_status(r, 1);
	ck_has(r->err, "VRAM estimation failed: metadata.model_vram: expected a number");
	write_file(recipe,
			"model: org/m\nruntime: vllm\ncontainer: img:1\ndefaults:\n"
			"  max_num_seqs: lots\n");
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 1);
	ck_has(r->err, "VRAM estimation failed: max_num_seqs: expected a whole number");
	unsetenv("HF_HUB_CACHE");
}
END_TEST

/* The same from a hub, once. */
START_TEST(memory_is_estimated_from_the_hub)
{
	static const struct fake_hub_row rows[] = {
		{ "/api/models/org/m/revision/v1?blobs=true",
				.body = "{\"sha\":\"" COMMIT "\",\"siblings\":[{\"rfilename\":"
					"\"config.json\"},{\"rfilename\":\"model.safetensors.index."
					"json\"},{\"rfilename\":\"1.safetensors\",\"size\":"
					"16060530000}]}" },
		{ "/org/m/resolve/" COMMIT "/config.json",
				.body = "{\"torch_dtype\":\"bfloat16\",\"num_hidden_layers\":32,"
					"\"num_attention_heads\":32,\"num_key_value_heads\":8,"
					"\"hidden_size\":4096}" },
		{ "/org/m/resolve/" COMMIT "/model.safetensors.index.json",
				.body = "{\"weight_map\":{\"a\":\"1.safetensors\"}}" },
		{ NULL }
	};
	struct fake_hub *hub = fake_hub_new(rows, false, NULL);
	const struct result *r;

	make_cache();
	setenv("HF_HUB_CACHE", "/nonexistent", 1);
	setenv("HF_ENDPOINT", fake_hub_url(hub), 1);
	setenv("HF_HUB_OFFLINE", "0", 1);
	write_file(recipe,
			"model: org/m\nmodel_revision: v1\nruntime: vllm\ncontainer: img:1\n"
			"defaults:\n  max_model_len: 32768\n  gpu_memory_utilization: 0.9\n");
	ck_status(RUN("recipe", "vram", recipe, "--offline"), 0);
	ck_assert_uint_eq(fake_hub_requests(hub), 0);
	for (int i = 0; i < 2; i++) {
		r = RUN("recipe", "vram", recipe, "--tp", "2", "--json");
		ck_status(r, 0);
		ck_assert_str_eq(r->err, "");
		ck_has(r->out, "\"model_weights_gb\": 14.957534149289131,");
		ck_has(r->out, "\"max_context_tokens\": 1661685,");
		ck_assert_uint_eq(fake_hub_requests(hub), 3);
	}
	fake_hub_rows(hub, &(struct fake_hub_row){ NULL });
	write_file(recipe, "model: org/other\nruntime: vllm\ncontainer: img:1\n");
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 0);
	ck_has(r->err, "only the recipe is looked at: org/other: the hub has no such thing");
	setenv("HF_HUB_OFFLINE", "1", 1);
	unsetenv("HF_ENDPOINT");
	unsetenv("HF_HUB_CACHE");
	fake_hub_free(hub);
}
END_TEST

/* The engine takes its share of the whole before it looks at what is free. */
START_TEST(a_launch_is_compared_with_the_memory_of_its_nodes)
{
	static const uint64_t gib = (uint64_t)1 << 30;
	Sparkbus__MemoryState memory[2];
	const struct result *r;

	for (int i = 0; i < 2; i++) {
		memory[i] = (Sparkbus__MemoryState)SPARKBUS__MEMORY_STATE__INIT;
		memory[i].has_total_case = SPARKBUS__MEMORY_STATE__HAS_TOTAL_TOTAL_BYTES;
		memory[i].total_bytes = 120 * gib;
		memory[i].has_allocatable_case =
				SPARKBUS__MEMORY_STATE__HAS_ALLOCATABLE_ALLOCATABLE_BYTES;
		memory[i].allocatable_bytes = (i ? 61 : 115) * gib;
		node_memory[i] = &memory[i];
	}
	start_nodes();
	make_cache();
	cache_file("model.safetensors.index.json", "{\"metadata\":{\"total_size\":16060522496}}");
	r = RUN("run", recipe, "-H", "s1,s2", "--tp", "2", "-n", "--no-lint");
	ck_status(r, 0);
	ck_has(r->out, "\nMemory:    7.5 GiB of weights on a node, of 108.00 GiB; room for ");
	ck_has(r->out, " of 32,768 tokens: does not fit\n");
	ck_has(r->err, "Warning: s2: memory: the engine takes 108.0 GiB, 61.0 GiB are available\n");
	ck_not(r->err, "s1: memory");
	r = RUN("run", recipe, "-H", "s1,s2", "--tp", "2", "-n", "--no-lint", "--strict");
	ck_status(r, 1);
	ck_has(r->err, "with --strict warnings are errors. Nothing was started.");
	r = RUN("run", recipe, "-H", "s1,s2", "--tp", "2", "-n", "--no-lint", "--gpu-mem", "0.45");
	ck_status(r, 0);
	ck_has(r->out, " of 32,768 tokens: fits\n");
	ck_not(r->err, "memory");
	r = RUN("run", recipe, "-H", "s1,s2", "--tp", "2", "-n", "--no-lint", "-o",
			"max_num_seqs=x");
	ck_status(r, 0);
	ck_has(r->err, "no estimate of memory: max_num_seqs: expected a whole number");
	/* What the estimate knows of the model, lint knows too; and nothing is said twice. */
	setenv("SPARKBUS_RECIPES", SOURCE_RECIPES, 1);
	cache_file("config.json",
			"{\"num_hidden_layers\":32,\"num_attention_heads\":32,\"num_key_value_"
			"heads\":8,"
			"\"hidden_size\":4096,\"max_position_embeddings\":16384}");
	r = RUN("run", recipe, "-H", "s1,s2", "--tp", "2", "-n", "--gpu-mem", "0.1");
	ck_status(r, 0);
	ck_has(r->err, "is past the 16384 tokens of m");
	ck_has(r->err, "Warning: s1: memory: ");
	write_file(recipe,
			"model: Qwen/Qwen3-Coder-Next-FP8\nruntime: vllm\ncontainer: img:1\n"
			"metadata: {model_vram: 75}\ndefaults: {gpu_memory_utilization: 0.1}\n");
	r = RUN("run", recipe, "-H", "s1", "-n");
	ck_has(r->err, "Warning: s1: memory: 79.0 GiB before any cache");
	ck_not(r->err, "[MEM003]");
	setenv("SPARKBUS_RECIPES", home, 1);
	stop_nodes();
}
END_TEST

START_TEST(show_has_the_estimate)
{
	const struct result *r;

	make_cache();
	cache_file("model.safetensors.index.json", "{\"metadata\":{\"total_size\":1073741824}}");
	r = RUN("show", recipe);
	ck_status(r, 0);
	ck_has(r->out, "\n\nVRAM Estimation:\n  Model:            32 layers: 32 full attention\n");
	ck_has(r->out, "1.00  known    model.safetensors.index.json\n");
	r = RUN("show", recipe, "--json");
	ck_has(r->out, "\"source\": \"model.safetensors.index.json\"");
	ck_not(RUN("show", recipe, "--json", "--no-vram")->out, "safetensors");
	ck_not(RUN("show", recipe, "--no-vram")->out, "VRAM");
	write_file(recipe,
			"model: org/m\nruntime: vllm\ncontainer: i:1\ndefaults: {max_num_seqs: "
			"x}\n");
	r = RUN("show", recipe);
	ck_status(r, 0);
	ck_has(r->out, "VRAM estimation failed: max_num_seqs: expected a whole number");
}
END_TEST

START_TEST(a_broken_cache_is_left_out)
{
	const struct result *r;

	make_cache();
	cache_file("config.json", "{\"torch_dtype\": bfloat16}");
	r = RUN("recipe", "vram", recipe);
	ck_status(r, 0);
	ck_has(r->err, "config.json is left out: line 1, column ");
	ck_has(r->out, "KV cache:         unknown\n");
}
END_TEST

static const char full_recipe[] =
		"recipe_version: '2'\nmodel: me/full\ncontainer: img:2\nmax_nodes: 4\n"
		"description: All there is\nmetadata: {maintainer: A. Person}\nmods: [mods/x]\n"
		"defaults:\n  port: 8000\n  gpu_memory_utilization: 0.85\n  extra: [a, 2]\n"
		"env:\n  Z: last\n  HF_TOKEN: $HF_TOKEN\n  API_KEY: sk-very-secret\n"
		"command: |\n  vllm serve {model} \\\n    --api-key sk-very-secret\n";

START_TEST(a_recipe_is_shown)
{
	const struct result *r;

	make_recipes();
	write_file("full.yaml", full_recipe);
	setenv("HF_TOKEN", "hf_abcdefgh", 1);
	r = RUN("show", "full", "--no-vram");
	ck_status(r, 0);
	ck_assert_str_eq(r->out,
			"Name:         full\nDescription:  All there is\n"
			"Maintainer:   A. Person\nRuntime:      vllm-distributed\n"
			"Builder:      eugr\nModel:        me/full\nContainer:    img:2\n"
			"Nodes:        1 - 4\nFrom:         a file, "
			"./full.yaml\n"
			"\nDefaults:\n  extra: ['a', 2]\n  gpu_memory_utilization: 0.85\n"
			"  port: 8000\n"
			"\nEnvironment:\n  API_KEY=***\n  HF_TOKEN=$HF_TOKEN\n  Z=last\n"
			"\nCommand:\n  vllm serve {model} \\\n    --api-key ***\n"
			"\nBefore it serves, in each container:\n  mod: mods/x\n");
	r = RUN("recipe", "show", "@extra/llama");
	ck_status(r, 0);
	ck_has(r->out, "Nodes:        1 - unlimited\n");
	ck_has(r->out, "From:         bundled, ");
	ck_not(r->out, "Defaults:");
	r = RUN("show", "slip.yml");
	ck_status(r, 1);
	ck_has(r->err, "slip.yml:2:");
	r = RUN("show", "fulll");
	ck_status(r, 1);
	ck_has(r->err, "Did you mean 'full'?");
}
END_TEST

START_TEST(a_recipe_is_shown_as_json)
{
	const struct result *r;
	json_t *json, *defaults;

	make_recipes();
	write_file("full.yaml", full_recipe);
	r = RUN("show", "./full.yaml", "--json");
	ck_status(r, 0);
	ck_not(r->out, "sk-very-secret");
	ck_has(r->out, ": 0.85");
	json = json_loads(r->out, 0, NULL);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "origin")), "path");
	ck_assert_str_eq(json_string_value(json_object_get(json, "mode")), "auto");
	defaults = json_object_get(json, "defaults");
	ck_assert_int_eq(json_integer_value(json_object_get(defaults, "port")), 8000);
	ck_assert_uint_eq(json_array_size(json_object_get(defaults, "extra")), 2);
	ck_assert_str_eq(json_string_value(
					 json_object_get(json_object_get(json, "env"), "HF_TOKEN")),
			"$HF_TOKEN");
	json_decref(json);
}
END_TEST

START_TEST(a_recipe_is_saved)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const struct result *r;

	make_recipes();
	write_file("full.yaml", full_recipe);
	r = RUN("show", "full", "--save", "copy.yaml");
	ck_status(r, 0);
	ck_has(r->err, "Saved to copy.yaml.");
	ck_assert_int_eq(sb_fs_read("copy.yaml", 1 << 20, &text, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&text), full_recipe);
	r = RUN("show", "@extra/llama", "--save", "copy.yaml");
	ck_status(r, 1);
	ck_has(r->err, "copy.yaml is there already");
	sb_strbuf_reset(&text);
	ck_assert_int_eq(sb_fs_read("copy.yaml", 1 << 20, &text, NULL), 0);
	ck_assert_str_eq(sb_strbuf_str(&text), full_recipe);
	ck_status(RUN("show", "@extra/llama", "--save", "copy.yaml", "--force"), 0);
	ck_has(RUN("show", "copy")->out, "org/m:Q4");
	ck_status(RUN("show", "full", "--save", "no/such/folder"), 1);
	ck_status(RUN("show", "full", "--force"), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli");
	TCase *words = tcase_create("words"), *flow = tcase_create("flow");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(words, make_home, remove_home);
	tcase_add_loop_test(words, help_at_every_level, 0, sb_countof(helped));
	tcase_add_loop_test(words, wrong_use_is_status_two, 0, sb_countof(misused));
	tcase_add_test(words, the_version_and_the_manual);
	tcase_add_test(words, clusters_are_kept);
	tcase_add_test(words, clusters_are_changed_and_deleted);
	tcase_add_test(words, a_dry_run_needs_no_node_and_hides_secrets);
	tcase_add_test(words, a_launch_says_what_the_links_give);
	tcase_add_test(words, container_options_reach_the_plan);
	tcase_add_test(words, hooks_that_act_here_are_shown_and_asked_about);
	tcase_add_test(words, bundled_recipes_are_found_by_name);
	tcase_add_test(words, recipes_are_listed_and_bad_ones_counted);
	tcase_add_test(words, recipes_are_listed_by_family);
	tcase_add_test(words, recipes_are_searched);
	tcase_add_test(words, a_mistyped_recipe_is_guessed);
	tcase_add_test(words, memory_is_estimated_from_the_cache);
	tcase_add_test(words, half_a_download_is_not_half_a_model);
	tcase_add_test(words, memory_is_estimated_without_a_cache);
	tcase_add_test(words, memory_is_estimated_from_the_hub);
	tcase_add_test(words, a_launch_is_compared_with_the_memory_of_its_nodes);
	tcase_add_test(words, show_has_the_estimate);
	tcase_add_test(words, a_broken_cache_is_left_out);
	tcase_add_test(words, a_recipe_is_shown);
	tcase_add_test(words, a_recipe_is_shown_as_json);
	tcase_add_test(words, a_recipe_is_saved);
	tcase_set_timeout(words, 60);
	suite_add_tcase(s, words);
	tcase_add_checked_fixture(flow, make_home, remove_home);
	tcase_add_test(flow, a_launch_goes_from_the_recipe_to_ready);
	tcase_add_test(flow, a_problem_on_one_node_starts_nothing);
	tcase_add_test(flow, a_missing_image_is_fetched_first);
	tcase_add_test(flow, a_jobs_recipe_is_told_by_its_nodes);
	tcase_add_test(flow, a_launch_that_fails_says_why);
	tcase_add_test(flow, ctrl_c_detaches_from_a_launch);
	tcase_add_test(flow, ctrl_c_in_the_foreground_stops_the_job);
	tcase_add_test(flow, stop_says_what_each_node_saw);
	tcase_add_test(flow, a_silent_node_is_unknown);
	tcase_add_test(flow, a_rank_alone_does_not_have_the_last_word);
	tcase_add_test(flow, nothing_to_stop);
	tcase_add_test(flow, logs_of_all_ranks_are_merged_by_time);
	tcase_set_timeout(flow, 60);
	suite_add_tcase(s, flow);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
