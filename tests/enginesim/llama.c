/* llama.c - llama-server: parse, reach the RPC servers, serve, load
 *
 * The port is bound first and answers 503 while the model loads. An RPC server that cannot be
 * reached is a wrong argument; one that goes later ends the process at the next token. */
#include "llama.h"

#include "api.h"
#include "engine.h"
#include "es.h"
#include "fault.h"
#include "http.h"
#include "serve.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION         "b7000-enginesim"
#define PORT_DEFAULT    8080
#define SLOTS_DEFAULT   4
#define CONTEXT_DEFAULT 32768 /* tokens; the real one asks the model */

static const struct es_style style = { .name = "llama.cpp",
	.core = "GGML_ABORT: llama-server",
	.crash_error = "ggml_abort: the process dies",
	.farewell =
			(const char *const[]){
					"srv    operator(): operator(): cleaning up before exit...",
					NULL },
	.owner = "llamacpp",
	.oom = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 2376.00 MiB on device 0: "
	       "cudaMalloc failed: out of memory",
	.log = ES_LOG_BARE,
	.metrics = es_metrics_llama };

static atomic_bool ready;

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

static int in_range(const struct es_args *a, const char *name, long long fallback)
{
	long long v = es_args_int(a, name, fallback);

	return v > 0 && v < 100000000 ? (int)v : (int)fallback;
}

static void configure(const struct es_args *a)
{
	struct es_config *c = &es_config;
	const char *file = es_args_str(a, "model", NULL);

	c->model = file ? file : es_args_str(a, "hf-repo", es_args_str(a, "model-url", NULL));
	if (!c->model)
		fail("error: --model is required");
	c->names[0] = es_args_str(a, "alias", c->model);
	c->n_names = 1;
	c->any_name = true;
	es_api_keys(a, "LLAMA_API_KEY");
	c->max_model_len = in_range(a, "ctx-size", CONTEXT_DEFAULT);
	c->max_num_seqs = in_range(a, "parallel", SLOTS_DEFAULT);
	c->ranks = 1;
	c->reasoning = strcmp(es_args_str(a, "reasoning-format", "none"), "none") != 0;
	c->auto_tools = true;
	c->pooling = es_args_on(a, "embeddings") || es_args_on(a, "reranking");
	c->version = VERSION;
	es_pace_init();
	if (strchr(c->names[0], '"') || strchr(c->names[0], '\\') || strlen(c->names[0]) > 500)
		fail("error: enginesim: the model's name is too odd");
	if (es_args_has(a, "ssl-key-file"))
		fail("error: enginesim serves plain HTTP only");
}

static void reach_servers(const struct es_args *a)
{
	const char *list = es_args_str(a, "rpc", NULL);
	char bad[256];
	int n;

	if (!list)
		return;
	n = es_rpc_connect(list, bad, sizeof(bad));
	if (n < 0)
		fail("Failed to connect to %s\nerror while handling argument \"--rpc\": failed to "
		     "register RPC device",
				bad);
	es_config.ranks = 1 + n;
	es_config.step = es_rpc_ping;
	es_raw("register_device: %d RPC servers: %s", n, list);
}

static void *load(void *arg)
{
	const char *file = es_args_str(arg, "model", NULL);

	if (file && access(file, R_OK)) {
		es_raw("gguf_init_from_file: failed to open GGUF file '%s'", file);
		es_raw("main: exiting due to model loading error");
		es_exit(1);
	}
	es_load();
	atomic_store(&ready, true);
	es_raw("main: model loaded");
	es_raw("main: server is listening on http://%s:%d - starting the main loop",
			es_args_str(arg, "host", "127.0.0.1"),
			(int)es_args_int(arg, "port", PORT_DEFAULT));
	es_raw("srv  update_slots: all slots are idle");
	return NULL;
}

static void say_nothing(const char *host, int port)
{
}

/* --api-key takes several with commas between them. */
static bool has_key(const char *list, const char *key)
{
	size_t len = strlen(key), n;

	for (; *list; list += n, list += *list == ',') {
		n = strcspn(list, ",");
		if (n == len && !strncmp(list, key, n))
			return true;
	}
	return false;
}

static bool guard(struct es_req *req)
{
	static const char *const open[] = { "/health", "/v1/health", "/models", "/v1/models" };

	if (!atomic_load(&ready)) {
		es_fail(req, 503, "unavailable_error", NULL, "Loading model");
		return false;
	}
	for (size_t i = 0; i < ES_COUNTOF(open); i++)
		if (!strcmp(req->path, open[i]))
			return true;
	for (size_t i = 0; i < es_config.n_api_keys; i++)
		if (!strncmp(req->authorization, "Bearer ", 7) &&
				has_key(es_config.api_keys[i], req->authorization + 7))
			return true;
	if (!es_config.n_api_keys)
		return true;
	es_fail(req, 401, "authentication_error", NULL, "Invalid API Key");
	return false;
}

static int run_llama(int argc, char **argv)
{
	static struct es_args a = { .prog = "llama-server",
		.usage = "usage: llama-server [options]",
		.dialect = &es_llama_args,
		.nothing_free = true };
	bool metrics;
	int fd;

	a.flags = es_llama_flags;
	a.n_flags = es_llama_n_flags;
	es_config.style = &style;
	es_args_parse(&a, argc - 1, argv + 1);
	if (es_args_on(&a, "help"))
		es_args_help(&a);
	if (es_args_on(&a, "version"))
		fprintf(stderr, "version: %s\n", VERSION);
	if (es_args_on(&a, "help") || es_args_on(&a, "version") ||
			es_is_true(getenv("ENGINESIM_PARSE_ONLY"))) {
		es_args_done(&a);
		return 0;
	}
	es_log_init(style.log, "", "");
	configure(&a);
	es_fault_init(0);
	reach_servers(&a);
	es_signals_start();
	es_fault_start_timer();
	metrics = es_args_on(&a, "metrics");
	fd = es_http_bind(es_args_str(&a, "host", "127.0.0.1"),
			(int)es_args_int(&a, "port", PORT_DEFAULT));
	es_exit_fault();
	es_thread(load, &a);
	es_http_serve(fd, es_llama_routes + metrics, es_llama_n_routes - 1, guard, say_nothing);
}

const struct es_personality es_llama_server = { .name = "llama-server", .run = run_llama };
