/* ray.c - ray start, ray status, ray stop, and vLLM's side of a cluster
 *
 * A node is one process: in the background, or the command itself with --block. It leaves its id
 * and the cluster's address in a folder of the node, as Ray does in /tmp/ray. */
#include "ray.h"

#include "args.h"
#include "gcs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT_DEFAULT   6379
#define JOIN_TIMEOUT_S 30

static const struct es_flag start_flags[] = {
	{ "head", NULL, ES_TRUE, NULL },
	{ "block", NULL, ES_TRUE, NULL },
	{ "address", NULL, ES_STR, NULL },
	{ "node-ip-address", NULL, ES_STR, NULL },
	{ "port", NULL, ES_INT, NULL },
	{ "num-cpus", NULL, ES_INT, NULL },
	{ "num-gpus", NULL, ES_INT, NULL },
	{ "node-name", NULL, ES_STR, NULL },
	{ "resources", NULL, ES_JSON, NULL },
	{ "labels", NULL, ES_STR, NULL },
	{ "labels-file", NULL, ES_STR, NULL },
	{ "memory", NULL, ES_INT, NULL },
	{ "object-store-memory", NULL, ES_INT, NULL },
	{ "object-manager-port", NULL, ES_INT, NULL },
	{ "node-manager-port", NULL, ES_INT, NULL },
	{ "gcs-server-port", NULL, ES_INT, NULL },
	{ "min-worker-port", NULL, ES_INT, NULL },
	{ "max-worker-port", NULL, ES_INT, NULL },
	{ "worker-port-list", NULL, ES_STR, NULL },
	{ "ray-client-server-port", NULL, ES_INT, NULL },
	{ "runtime-env-agent-port", NULL, ES_INT, NULL },
	{ "metrics-export-port", NULL, ES_INT, NULL },
	{ "include-dashboard", NULL, ES_CHOICE, "True|False|true|false|1|0|yes|no" },
	{ "dashboard-host", NULL, ES_STR, NULL },
	{ "dashboard-port", NULL, ES_INT, NULL },
	{ "dashboard-agent-listen-port", NULL, ES_INT, NULL },
	{ "dashboard-agent-grpc-port", NULL, ES_INT, NULL },
	{ "dashboard-grpc-port", NULL, ES_INT, NULL },
	{ "redis-username", NULL, ES_STR, NULL },
	{ "redis-password", NULL, ES_STR, NULL },
	{ "plasma-directory", NULL, ES_STR, NULL },
	{ "object-spilling-directory", NULL, ES_STR, NULL },
	{ "autoscaling-config", NULL, ES_STR, NULL },
	{ "no-redirect-output", NULL, ES_TRUE, NULL },
	{ "temp-dir", NULL, ES_STR, NULL },
	{ "storage", NULL, ES_STR, NULL },
	{ "system-config", NULL, ES_JSON, NULL },
	{ "enable-object-reconstruction", NULL, ES_TRUE, NULL },
	{ "disable-usage-stats", NULL, ES_TRUE, NULL },
	{ "tracing-startup-hook", NULL, ES_STR, NULL },
	{ "ray-debugger-external", NULL, ES_TRUE, NULL },
	{ "no-monitor", NULL, ES_TRUE, NULL },
	{ "enable-resource-isolation", NULL, ES_TRUE, NULL },
	{ "verbose", "-v", ES_TRUE, NULL },
	{ "log-style", NULL, ES_CHOICE, "auto|record|pretty" },
	{ "log-color", NULL, ES_CHOICE, "auto|false|true" },
};

static const struct es_flag status_flags[] = {
	{ "address", NULL, ES_STR, NULL },
	{ "verbose", "-v", ES_TRUE, NULL },
};

static const struct es_flag stop_flags[] = {
	{ "force", "-f", ES_TRUE, NULL },
	{ "grace-period", "-g", ES_INT, NULL },
	{ "verbose", "-v", ES_TRUE, NULL },
};

static const char *folder(void)
{
	const char *dir = getenv("ENGINESIM_RAY_DIR");

	return dir ? dir : "/tmp/ray";
}

/* --- where the cluster is --- */

static const char *cluster_address(void)
{
	static char address[300];
	const char *env = getenv("RAY_ADDRESS");
	char path[512];
	FILE *f;

	if (env && *env && strcmp(env, "auto"))
		return env;
	snprintf(path, sizeof(path), "%s/ray_current_cluster", folder());
	f = fopen(path, "re");
	if (!f)
		return NULL;
	if (!fgets(address, sizeof(address), f))
		address[0] = '\0';
	fclose(f);
	address[strcspn(address, "\n")] = '\0';
	return address[0] ? address : NULL;
}

/* Without a place to remember them in, `ray status` and `ray stop` find nothing. */
static void leave_address(const char *address)
{
	char path[512];
	FILE *f;

	mkdir(folder(), 0777);
	snprintf(path, sizeof(path), "%s/ray_current_cluster", folder());
	f = fopen(path, "we");
	if (f) {
		fprintf(f, "%s\n", address);
		fclose(f);
	}
}

static void leave_pid(pid_t pid)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/node.%d", folder(), (int)pid);
	f = fopen(path, "we");
	if (f)
		fclose(f);
}

/* --- ray start --- */

static void fail(const char *fmt, ...) ES_PRINTF(1, 2) ES_NORETURN;
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void describe(const struct es_args *a, struct es_ray_node *ret)
{
	unsigned char raw[ES_RAY_HEX / 2] = { 0 };
	FILE *f = fopen("/dev/urandom", "re");

	if (!f || fread(raw, sizeof(raw), 1, f) != 1)
		fail("enginesim: /dev/urandom: %s", strerror(errno));
	fclose(f);
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(ret->hex + 2 * i, 3, "%02x", raw[i]);
	snprintf(ret->ip, sizeof(ret->ip), "%s", es_args_str(a, "node-ip-address", "127.0.0.1"));
	ret->gpus = (int)es_args_int(
			a, "num-gpus", (long long)es_env_num("ENGINESIM_GPUS_PER_NODE", 1));
}

/* Register at the head, with patience. Return: the connection that is the membership. */
static int join(const char *address, const struct es_ray_node *self)
{
	double timeout = es_env_num("ENGINESIM_JOIN_TIMEOUT", JOIN_TIMEOUT_S);
	double deadline = es_now() + timeout;
	char line[128];
	int fd;

	while ((fd = es_gcs_dial(address)) < 0) {
		if (es_now() >= deadline)
			fail("ConnectionError: ray.exceptions.RpcError: Timed out while waiting "
			     "for GCS to become available. Failed to connect to GCS at address %s "
			     "within %.0f seconds.",
					address, timeout);
		es_sleep_until(es_now() + 0.1);
	}
	dprintf(fd, "enginesim-ray node %s %s %d\n", self->hex, self->ip, self->gpus);
	if (es_gcs_line(fd, line, sizeof(line)) < 0 || strcmp(line, "ok"))
		fail("ConnectionError: %s is not a Ray cluster.", address);
	return fd;
}

static void say_started(
		const struct es_args *a, const struct es_ray_node *self, const char *address)
{
	if (es_args_on(a, "disable-usage-stats"))
		puts("Usage stats collection is disabled.\n");
	printf("Local node IP: %s\n\n--------------------\nRay runtime started.\n"
	       "--------------------\n\n",
			self->ip);
	if (es_args_on(a, "head"))
		printf("Next steps\n  To add another node to this Ray cluster, run\n"
		       "    ray start --address='%s'\n\n",
				address);
	puts("To terminate the Ray runtime, run\n  ray stop");
	if (es_args_on(a, "block"))
		puts("\n--block\n  This command will now block forever until terminated by a "
		     "signal.");
	fflush(stdout);
}

/* Go on in the background; the command itself ends with 0. */
static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child = fork();

	if (child < 0 || null < 0)
		fail("enginesim: no background process: %s", strerror(errno));
	if (child > 0) {
		leave_pid(child);
		_exit(0);
	}
	setsid();
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
}

static void on_term(int sig)
{
	(void)sig;
	_exit(1); /* Ray's handler ends so, too */
}

/* The head has gone if its connection ends; it sends nothing. */
static void be_worker(int fd) ES_NORETURN;
static void be_worker(int fd)
{
	struct timeval for_ever = { 0 };
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
	while (recv(fd, &c, 1, 0) > 0)
		;
	fputs("Some Ray subprocesses exited unexpectedly:\n  raylet [exit code=1]\n\n"
	      "Remaining processes will be killed.\n",
			stderr);
	exit(1);
}

static void start(const struct es_args *a) ES_NORETURN;
static void start(const struct es_args *a)
{
	bool head = es_args_on(a, "head");
	int port = (int)es_args_int(a, "port", PORT_DEFAULT), fd;
	char own[128];
	const char *address = es_args_str(a, "address", NULL);
	struct es_ray_node self;

	if (head == (address != NULL))
		fail("Either --head or --address must be given, and not both.");
	describe(a, &self);
	snprintf(own, sizeof(own), "%s:%d", self.ip, port);
	if (head)
		address = own;
	fd = head ? es_gcs_listen(port) : join(address, &self);
	if (fd < 0)
		fail("ConnectionError: Ray is trying to start at %s, but is already running at %s. "
		     "Please specify a different port using the `--port` flag of `ray start` "
		     "command. (%s)",
				own, own, strerror(errno));
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	say_started(a, &self, address);
	leave_address(address);
	if (es_args_on(a, "block"))
		leave_pid(getpid());
	else
		detach();
	if (head)
		es_gcs_serve(fd, &self);
	be_worker(fd);
}

/* --- ray status, ray stop --- */

static int status(const struct es_args *a)
{
	const char *address = es_args_str(a, "address", cluster_address());
	char buf[4096];
	ssize_t n;
	int fd;

	if (!address)
		fail("ConnectionError: Could not find any running Ray instance. Please specify the "
		     "one to connect to by setting `--address` flag or `RAY_ADDRESS` environment "
		     "variable.");
	fd = es_gcs_dial(address);
	if (fd < 0)
		fail("Ray cluster is not found at %s", address);
	dprintf(fd, "enginesim-ray status\n");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	close(fd);
	return 0;
}

static int stop_all(const struct es_args *a)
{
	int sig = es_args_on(a, "force") ? SIGKILL : SIGTERM, stopped = 0;
	DIR *dir = opendir(folder());
	struct dirent *e;
	char path[1024];
	int pid;

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder(), e->d_name);
		if (sscanf(e->d_name, "node.%d", &pid) == 1) {
			stopped += pid > 1 && !kill(pid, sig);
			unlink(path);
		} else if (!strcmp(e->d_name, "ray_current_cluster")) {
			unlink(path);
		}
	}
	if (dir)
		closedir(dir);
	if (stopped)
		printf("Stopped all %d Ray processes.\n", stopped);
	else
		puts("Did not find any active Ray processes.");
	return 0;
}

static const struct command {
	const char *name;
	const char *prog;
	const char *usage;
	const struct es_flag *flags;
	size_t n_flags;
} commands[] = {
	{ "start", "ray start", "Usage: ray start [OPTIONS]", start_flags,
			ES_COUNTOF(start_flags) },
	{ "status", "ray status", "Usage: ray status [OPTIONS]", status_flags,
			ES_COUNTOF(status_flags) },
	{ "stop", "ray stop", "Usage: ray stop [OPTIONS]", stop_flags, ES_COUNTOF(stop_flags) },
};

static int run_command(const struct command *c, int argc, char **argv)
{
	struct es_args a = { .prog = c->prog,
		.usage = c->usage,
		.dialect = &es_click,
		.nothing_free = true,
		.flags = c->flags,
		.n_flags = c->n_flags };
	int rc;

	if (argc > 0 && !strcmp(argv[0], "--help")) {
		es_args_help(&a);
		return 0;
	}
	es_args_parse(&a, argc, argv);
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY")))
		return es_args_done(&a), 0;
	if (c->flags == start_flags)
		start(&a);
	rc = c->flags == status_flags ? status(&a) : stop_all(&a);
	es_args_done(&a);
	return rc;
}

static int run_ray(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ES_COUNTOF(commands); i++)
		if (!strcmp(commands[i].name, word))
			return run_command(&commands[i], argc - 2, argv + 2);
	if (!strcmp(word, "--version")) {
		puts("ray, version 2.50.1");
		return 0;
	}
	fprintf(stderr,
			"Usage: ray [OPTIONS] COMMAND [ARGS]...\nTry 'ray --help' for "
			"help.\n\nError: "
			"No such command '%s'.\n",
			word);
	return 2;
}

const struct es_personality es_ray = { .name = "ray", .run = run_ray };

/* --- vLLM --- */

bool es_ray_found(void)
{
	return cluster_address() != NULL;
}

static void *watch(void *arg)
{
	int fd = *(int *)arg;
	struct timeval for_ever = { 0 };
	char line[128] = "", last[300];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
	if (es_gcs_line(fd, line, sizeof(line)) < 0)
		snprintf(line, sizeof(line), "down the head");
	snprintf(last, sizeof(last),
			"ray.exceptions.ActorDiedError: The actor died unexpectedly before "
			"finishing "
			"this task. The actor is dead because its node has died. Node Id: %s",
			line + strlen("down "));
	es_traceback(1, "v1/executor/ray_executor.py", last);
}

int es_ray_take(int gpus)
{
	static int fd;
	const char *address = cluster_address();
	char line[128], last[300];
	int n = 0;

	fd = address ? es_gcs_dial(address) : -1;
	if (fd < 0) {
		snprintf(last, sizeof(last), "ConnectionError: Ray cluster is not found at %.200s",
				address ? address : "?");
		es_traceback(1, "v1/executor/ray_utils.py", last);
	}
	dprintf(fd, "enginesim-ray job %d\n", gpus);
	if (es_gcs_line(fd, line, sizeof(line)) < 0 || sscanf(line, "ok %d", &n) != 1) {
		sscanf(line, "refuse %d", &n);
		snprintf(last, sizeof(last),
				"ValueError: The number of required GPUs exceeds the total number "
				"of "
				"available GPUs in the placement group (%d > %d).",
				gpus, n);
		es_traceback(1, "v1/executor/ray_utils.py", last);
	}
	es_log("INFO", "ray_utils.py:300", "Ray cluster at %s: %d GPUs on %d nodes", address, gpus,
			n);
	es_thread(watch, &fd);
	return n;
}
