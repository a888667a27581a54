/* sglang.c - SGLang: parse, check, meet, load, serve
 *
 * Differs from vLLM in what a launcher can notice: the API port is bound after loading, on
 * 127.0.0.1 unless told otherwise; ranks above 0 answer /health on it, too; and /metrics wants a
 * flag. */
#include "sglang.h"

#include "api.h"
#include "engine.h"
#include "es.h"
#include "fault.h"
#include "http.h"
#include "mesh.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION      "0.5.9+enginesim"
#define PORT_DEFAULT 30000

#define ARGS(name)                                                                                 \
	{                                                                                          \
		.prog = (name), .usage = "usage: " name " [-h] --model-path MODEL_PATH [options]", \
		.nothing_free = true, .flags = es_sglang_flags, .n_flags = es_sglang_n_flags       \
	}

static const struct es_style style = { .name = "sglang",
	.package = "sglang",
	.args_file = "srt/server_args.py",
	.worker = "sglang::scheduler",
	.worker_file = "srt/model_executor/model_runner.py",
	.core = "Scheduler",
	.crash_file = "srt/managers/scheduler.py",
	.crash_error = "torch.AcceleratorError: the scheduler of this rank died",
	.farewell =
			(const char *const[]){
					"SIGTERM received. Draining requests and shutting down...",
					"INFO:     Shutting down", NULL },
	.owner = "sglang",
	.log = ES_LOG_SGLANG,
	.metrics = es_metrics_sglang };

struct plan {
	const struct es_args *args;
	int nnodes, node_rank;
	struct es_mesh world;
};

static void check_world(const struct plan *p)
{
	const struct es_args *a = p->args;
	bool dp_attention = es_args_on(a, "enable-dp-attention");
	int gpus = (int)es_env_num("ENGINESIM_GPUS_PER_NODE", 1);
	int dp = es_positive(a, "data-parallel-size", 1);
	long world = (long)es_positive(a, "tensor-parallel-size", 1) *
			es_positive(a, "pipeline-parallel-size", 1);

	if (p->node_rank < 0 || p->node_rank >= p->nnodes || p->nnodes > ES_MESH_MAX)
		es_config_error("AssertionError: node_rank=%d is not in 0..%d", p->node_rank,
				p->nnodes - 1);
	if (es_is_true(getenv("ENGINESIM_LAX_WORLD")))
		return;
	if (world % p->nnodes)
		es_config_error("AssertionError: tp_size must be divisible by number of nodes");
	if (dp > 1 && p->nnodes > 1 && !dp_attention)
		es_config_error("AssertionError: multi-node data parallel is not supported unless "
				"dp attention!");
	if (world / p->nnodes * (dp_attention ? 1 : dp) > gpus)
		es_config_error("torch.AcceleratorError: CUDA error: invalid device ordinal");
}

static void configure(const struct plan *p)
{
	const struct es_args *a = p->args;
	struct es_config *c = &es_config;
	double share = strtod(es_args_str(a, "mem-fraction-static", "0.85"), NULL);
	long long len = es_args_int(a, "context-length", 32768);

	if (!(share > 0 && share < 1))
		es_config_error("ValueError: mem_fraction_static=%g is not between 0 and 1", share);
	if (es_args_has(a, "config") || es_args_has(a, "ssl-keyfile"))
		es_config_error("ValueError: enginesim reads no --config and serves plain HTTP "
				"only");
	c->model = es_plain(es_args_str(a, "model-path", NULL));
	c->names[0] = es_plain(es_args_str(a, "served-model-name", c->model));
	c->n_names = 1;
	es_api_keys(a, NULL);
	c->max_model_len = len > 0 && len < 100000000 ? (long)len : 32768;
	c->max_num_seqs = es_positive(a, "max-running-requests", 48);
	c->ranks = p->nnodes;
	c->reasoning = es_args_has(a, "reasoning-parser");
	c->auto_tools = es_args_has(a, "tool-call-parser");
	c->pooling = es_args_on(a, "is-embedding");
	c->prefix_caching = !es_args_on(a, "disable-radix-cache");
	c->version = VERSION;
	es_pace_init();
}

static void meet(struct plan *p)
{
	static char host[256];
	const char *addr = es_args_str(p->args, "dist-init-addr", "127.0.0.1:5000");
	const char *colon = strrchr(addr, ':');
	char *end = NULL;
	long port = colon ? strtol(colon + 1, &end, 10) : 0;
	bool bracket = addr[0] == '[' && colon && colon > addr + 1 && colon[-1] == ']';

	if (!end || *end || port < 1 || port > 65535 || colon - addr >= (long)sizeof(host))
		es_config_error("ValueError: Invalid dist-init-addr '%.300s': expected HOST:PORT",
				addr);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - addr) - 2 * bracket, addr + bracket);
	p->world = (struct es_mesh){ .group = "world",
		.model = es_config.model,
		.size = p->nnodes,
		.addr = host,
		.rank = p->node_rank,
		.count = 1,
		.port = (int)port,
		.timeout = es_env_num("ENGINESIM_JOIN_TIMEOUT", ES_JOIN_TIMEOUT_S) };
	es_mesh_join(&p->world);
	es_mesh_watch(&p->world);
}

static void fired_up(const char *host, int port)
{
	es_raw("INFO:     Uvicorn running on http://%s:%d (Press CTRL+C to quit)", host, port);
	es_log("INFO", "http_server.py:1", "The server is fired up and ready to roll!");
}

static void run(struct plan *p) ES_NORETURN;
static void run(struct plan *p)
{
	const char *host = es_args_str(p->args, "host", "127.0.0.1");
	int port = (int)es_args_int(p->args, "port", PORT_DEFAULT);
	bool metrics = es_args_on(p->args, "enable-metrics");

	es_log("INFO", "server_args.py:1", "server_args=ServerArgs(model_path='%s', port=%d)",
			es_config.model, port);
	if (p->nnodes > 1)
		meet(p);
	es_exit_fault();
	es_load();
	if (p->node_rank == 0)
		es_http_serve(es_http_bind(host, port), es_sglang_routes + !metrics,
				es_sglang_n_routes - !metrics, es_api_guard, fired_up);
	es_log("INFO", "entrypoints/engine.py:1",
			"Dummy health check server started in background thread at %s:%d", host,
			port);
	es_http_serve(es_http_bind(host, port), es_health_routes, es_health_n_routes, es_api_guard,
			NULL);
}

static int serve(struct es_args *a, int argc, char **argv)
{
	struct plan p = { .args = a };

	es_config.style = &style;
	es_args_parse(a, argc, argv);
	if (!es_args_has(a, "model-path")) {
		fprintf(stderr,
				"%s\n%s: error: the following arguments are required: "
				"--model-path/--model\n",
				a->usage, a->prog);
		es_args_done(a);
		return 2;
	}
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY"))) {
		es_args_done(a);
		return 0;
	}
	es_log_init(style.log, "", style.package);
	p.nnodes = es_positive(a, "nnodes", 1);
	p.node_rank = (int)es_args_int(a, "node-rank", 0);
	check_world(&p);
	configure(&p);
	es_fault_init(p.node_rank);
	es_signals_start();
	es_fault_start_timer();
	run(&p);
}

static bool wants_help(int argc, char **argv)
{
	return argc > 0 && (!strcmp(argv[0], "-h") || !strcmp(argv[0], "--help"));
}

static int run_sglang(int argc, char **argv)
{
	struct es_args a = ARGS("sglang");
	const char *word = argc > 1 ? argv[1] : "";

	if (!strcmp(word, "version")) {
		printf("sglang version: %s\n", VERSION);
		return 0;
	}
	if (strcmp(word, "serve")) {
		fprintf(stderr,
				"usage: sglang [-h] {serve,generate,version} ...\nsglang: error: "
				"argument subcommand: invalid choice: '%s' (choose from 'serve', "
				"'generate', 'version')\n",
				word);
		return 2;
	}
	if (wants_help(argc - 2, argv + 2)) {
		es_args_help(&a);
		return 0;
	}
	return serve(&a, argc - 2, argv + 2);
}

#define REAL_PYTHON "/usr/bin/python3"

/* The interpreter as far as SGLang needs it: it knows the one module that recipes start. A script
 * is for the real one, if the image has it. */
static int run_python(int argc, char **argv)
{
	struct es_args a = ARGS("launch_server.py");

	if (argc > 2 && !strcmp(argv[1], "-m") && !strcmp(argv[2], "sglang.launch_server"))
		return wants_help(argc - 3, argv + 3) ? es_args_help(&a),
		       0                              : serve(&a, argc - 3, argv + 3);
	if (argc > 2 && !strcmp(argv[1], "-m"))
		fprintf(stderr, "/usr/bin/%s: No module named %s\n", argv[0], argv[2]);
	else if (argc > 1 && argv[1][0] != '-' && !access(REAL_PYTHON, X_OK))
		execv(REAL_PYTHON, argv);
	else
		fprintf(stderr, "enginesim: this %s runs -m sglang.launch_server only\n", argv[0]);
	return 1;
}

const struct es_personality es_sglang = { .name = "sglang", .run = run_sglang };
const struct es_personality es_python3 = { .name = "python3", .run = run_python };
const struct es_personality es_python = { .name = "python", .run = run_python };
