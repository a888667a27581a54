/* trtllm.c - TensorRT-LLM: trtllm-serve, and trtllm-llmapi-launch for its ranks of an MPI job
 *
 * Rank 0 of the job serves; the others work for it. They meet at the place that mpirun gave them.
 */
#include "api.h"
#include "args.h"
#include "engine.h"
#include "es.h"
#include "fault.h"
#include "http.h"
#include "mesh.h"
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION      "1.1.0+enginesim"
#define PORT_DEFAULT 8000

/* Of "trtllm-serve serve", releases 0.20 to 1.1. */
static const struct es_flag flags[] = {
	{ "tokenizer", NULL, ES_STR, NULL },
	{ "host", NULL, ES_STR, NULL },
	{ "port", NULL, ES_INT, NULL },
	{ "backend", NULL, ES_CHOICE, "pytorch|tensorrt|trt|_autodeploy" },
	{ "log_level", NULL, ES_CHOICE, "internal_error|error|warning|info|verbose|debug|trace" },
	{ "max_beam_width", NULL, ES_INT, NULL },
	{ "max_batch_size", NULL, ES_INT, NULL },
	{ "max_num_tokens", NULL, ES_INT, NULL },
	{ "max_seq_len", NULL, ES_INT, NULL },
	{ "tp_size", NULL, ES_INT, NULL },
	{ "pp_size", NULL, ES_INT, NULL },
	{ "ep_size", NULL, ES_INT, NULL },
	{ "cluster_size", NULL, ES_INT, NULL },
	{ "gpus_per_node", NULL, ES_INT, NULL },
	{ "kv_cache_free_gpu_memory_fraction", NULL, ES_FLOAT, NULL },
	{ "num_postprocess_workers", NULL, ES_INT, NULL },
	{ "trust_remote_code", NULL, ES_TRUE, NULL },
	{ "extra_llm_api_options", NULL, ES_STR, NULL },
	{ "reasoning_parser", NULL, ES_STR, NULL },
	{ "metadata_server_config_file", NULL, ES_STR, NULL },
	{ "server_role", NULL, ES_STR, NULL },
	{ "fail_fast_on_attention_window_too_large", NULL, ES_TRUE, NULL },
	{ "otlp_traces_endpoint", NULL, ES_STR, NULL },
};

static const struct es_style style = { .name = "TensorRT-LLM",
	.package = "tensorrt_llm",
	.args_file = "llmapi/llm_args.py",
	.worker = "MpiWorker",
	.worker_file = "_torch/pyexecutor/model_loader.py",
	.core = "PyExecutor",
	.crash_file = "_torch/pyexecutor/py_executor.py",
	.crash_error = "RuntimeError: Executor worker returned error",
	.farewell = (const char *const[]){ "INFO:     Shutting down", NULL },
	.owner = "tensorrt_llm",
	.log = ES_LOG_BARE };

/* --- the job --- */

static int number_of(const char *variable, int otherwise)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : otherwise;
}

/* Only trtllm-llmapi-launch makes one model of the ranks; without it each is a job of its own. */
static int world_of(int *ret_rank)
{
	bool launched = getenv("TLLM_SPAWN_PROXY_PROCESS") != NULL;
	int size = launched ? number_of("OMPI_COMM_WORLD_SIZE", 1) : 1;

	*ret_rank = launched ? number_of("OMPI_COMM_WORLD_RANK", 0) : 0;
	if (size < 1 || size > ES_MESH_MAX || *ret_rank < 0 || *ret_rank >= size)
		es_config_error("RuntimeError: rank %d of %d", *ret_rank, size);
	return size;
}

static void check_world(const struct es_args *a, int nodes)
{
	int world = es_positive(a, "tp_size", 1) * es_positive(a, "pp_size", 1);
	int gpus = (int)es_env_num("ENGINESIM_GPUS_PER_NODE", 1);

	if (es_is_true(getenv("ENGINESIM_LAX_WORLD")))
		return;
	if (nodes > 1 && world != nodes)
		es_config_error("RuntimeError: World size mismatch: tp_size * pp_size is %d, but "
				"MPI has %d ranks",
				world, nodes);
	if (nodes == 1 && world > gpus)
		es_config_error("ValueError: Number of GPUs per node %d is less than the world "
				"size %d",
				gpus, world);
}

static void meet(int world, int rank)
{
	static struct es_mesh mesh;
	static char address[96];
	const char *where = getenv("ENGINESIM_MPI_MESH");
	char *colon;

	snprintf(address, sizeof(address), "%s", where ? where : "");
	colon = strrchr(address, ':');
	if (!colon)
		es_config_error("RuntimeError: MPI was not started by mpirun");
	*colon = '\0';
	mesh = (struct es_mesh){ .group = "world",
		.model = es_config.model,
		.size = world,
		.addr = address,
		.rank = rank,
		.count = 1,
		.port = atoi(colon + 1),
		.timeout = es_env_num("ENGINESIM_JOIN_TIMEOUT", ES_JOIN_TIMEOUT_S) };
	es_mesh_join(&mesh);
	es_mesh_watch(&mesh);
}

/* --- trtllm-serve --- */

static void configure(const struct es_args *a, int world)
{
	const char *extra = es_args_str(a, "extra_llm_api_options", NULL);
	long long len = es_args_int(a, "max_seq_len", 0);
	struct es_config *c = &es_config;
	const char *base = strrchr(a->model, '/');

	if (extra && access(extra, R_OK) < 0)
		es_config_error("FileNotFoundError: [Errno %d] %s: '%s'", errno, strerror(errno),
				extra);
	c->model = es_plain(a->model);
	c->names[0] = *c->model == '/' && base ? base + 1 : c->model;
	c->n_names = 1;
	c->any_name = true;
	c->max_model_len = len > 0 && len < 100000000 ? (long)len : 32768;
	c->max_num_seqs = es_positive(a, "max_batch_size", 2048);
	c->ranks = world;
	c->reasoning = es_args_has(a, "reasoning_parser");
	c->version = VERSION;
	es_pace_init();
}

static void announce(const char *host, int port)
{
	es_raw("INFO:     Application startup complete.");
	es_raw("INFO:     Uvicorn running on http://%s:%d (Press CTRL+C to quit)", host, port);
}

static int serve(const struct es_args *a)
{
	int rank, world, fd = -1;

	es_log_init(style.log, "", "tensorrt_llm");
	world = world_of(&rank);
	configure(a, world);
	check_world(a, world);
	es_fault_init(rank);
	es_signals_start();
	es_fault_start_timer();
	if (world > 1)
		meet(world, rank);
	es_exit_fault();
	es_load();
	if (rank)
		es_idle();
	/* Behind the model: until then nobody answers. */
	fd = es_http_bind(es_args_str(a, "host", "127.0.0.1"),
			(int)es_args_int(a, "port", PORT_DEFAULT));
	es_http_serve(fd, es_atlas_routes, es_atlas_n_routes, es_api_guard, announce);
	es_idle();
}

static int run_serve(int argc, char **argv)
{
	struct es_args a = { .prog = "trtllm-serve serve",
		.usage = "Usage: trtllm-serve serve [OPTIONS] MODEL",
		.dialect = &es_click,
		.flags = flags,
		.n_flags = ES_COUNTOF(flags) };
	int skip = argc > 1 && !strcmp(argv[1], "serve") ? 2 : 1; /* the default command */

	es_config.style = &style;
	if (argc > skip && !strcmp(argv[skip], "--help"))
		return es_args_help(&a), 0;
	es_args_parse(&a, argc - skip, argv + skip);
	if (!a.model) {
		fprintf(stderr,
				"%s\nTry '%s --help' for help.\n\nError: Missing argument "
				"'MODEL'.\n",
				a.usage, a.prog);
		es_args_done(&a);
		return 2;
	}
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY")))
		return es_args_done(&a), 0;
	return serve(&a);
}

/* --- trtllm-llmapi-launch --- */

static int run_launch(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: trtllm-llmapi-launch COMMAND [ARG]...\n");
		return 1;
	}
	setenv("TLLM_SPAWN_PROXY_PROCESS", "1", 1);
	execvp(argv[1], argv + 1);
	fprintf(stderr, "trtllm-llmapi-launch: %s: %s\n", argv[1], strerror(errno));
	return 127;
}

const struct es_personality es_trtllm_serve = { .name = "trtllm-serve", .run = run_serve };
const struct es_personality es_trtllm_launch = { .name = "trtllm-llmapi-launch",
	.run = run_launch };
