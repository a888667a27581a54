/* vllm.c - `vllm serve`: parse, check, meet, load, serve
 *
 * The main thread does those in turn. A second thread waits for SIGTERM from the start on, so that
 * a rank which waits for others or loads can be stopped too; as process 1 of a container nothing
 * else would act on the signal. */
#include "vllm.h"

#include "api.h"
#include "engine.h"
#include "es.h"
#include "fault.h"
#include "http.h"
#include "mesh.h"
#include "ray.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION             "0.23.1+enginesim"
#define MODEL_LEN_DEFAULT   32768 /* tokens, when the command line does not say */
#define MASTER_PORT_DEFAULT 29501
#define DP_PORT_DEFAULT     29550

static const char usage_top[] = "usage: vllm [-h] [-v]\n            "
				"{chat,complete,serve,launch,bench,collect-env,run-batch} ...";

static const struct es_style style = { .name = "vLLM",
	.package = "vllm",
	.args_file = "engine/arg_utils.py",
	.worker = "VllmWorker",
	.worker_file = "v1/worker/gpu_worker.py",
	.core = "EngineCore",
	.crash_file = "v1/engine/async_llm.py",
	.crash_error = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an "
		       "issue. "
		       "See stack trace (above) for the root cause.",
	.farewell = (const char *const[]){ "INFO:     Shutting down",
			"INFO:     Waiting for application shutdown.",
			"INFO:     Application shutdown complete.", NULL },
	.owner = "vllm",
	.log = ES_LOG_VLLM,
	.metrics = es_metrics_vllm };

struct plan {
	struct es_args args;
	int tp, pp, dp;
	int nnodes, node_rank;
	int dp_start, dp_count; /* replicas that this process brings */
	bool headless;
	struct es_mesh world;
	struct es_mesh replicas;
};

/* Which replicas of the data-parallel group live in this process. */
static void place_replicas(struct plan *p)
{
	const struct es_args *a = &p->args;

	p->dp = es_positive(a, "data-parallel-size", 1);
	p->dp_start = (int)es_args_int(a, "data-parallel-start-rank", 0);
	p->dp_count = es_positive(a, "data-parallel-size-local", p->dp);
	if (es_args_has(a, "data-parallel-rank")) {
		p->dp_start = (int)es_args_int(a, "data-parallel-rank", 0);
		p->dp_count = 1;
	}
	if (p->dp_start < 0 || p->dp_count > p->dp || p->dp_start > p->dp - p->dp_count)
		es_config_error("ValueError: data_parallel_rank %d must be less than "
				"data_parallel_size %d",
				p->dp_start + p->dp_count - 1, p->dp);
	if (p->dp > ES_MESH_MAX)
		es_config_error("ValueError: enginesim: at most %d replicas", ES_MESH_MAX);
}

/* Without a cluster that it could join, vLLM makes do with this node. */
static bool uses_ray(const struct es_args *a)
{
	return !strcmp(es_args_str(a, "distributed-executor-backend", "mp"), "ray") &&
			es_ray_found();
}

static void check_world(const struct plan *p)
{
	int gpus = (int)es_env_num("ENGINESIM_GPUS_PER_NODE", 1);
	const char *backend = es_args_str(&p->args, "distributed-executor-backend", "mp");
	long world = (long)p->tp * p->pp * p->dp_count;

	if (p->node_rank < 0 || p->node_rank >= p->nnodes)
		es_config_error("AssertionError: node_rank=%d must be less than nnodes=%d.",
				p->node_rank, p->nnodes);
	if (p->nnodes > ES_MESH_MAX)
		es_config_error("ValueError: enginesim: at most %d nodes", ES_MESH_MAX);
	if (es_is_true(getenv("ENGINESIM_LAX_WORLD")))
		return;
	if (world % p->nnodes)
		es_config_error("AssertionError: world_size=%ld must be divisible by nnodes=%d.",
				world, p->nnodes);
	if (world / p->nnodes <= gpus)
		return;
	if (p->nnodes == 1 && uses_ray(&p->args))
		return; /* the cluster will say */
	if (!strcmp(backend, "ray"))
		es_config_error("ValueError: The number of required GPUs exceeds the total number "
				"of "
				"available GPUs in the placement group (%ld > %d).",
				world, gpus);
	es_config_error("pydantic_core._pydantic_core.ValidationError: 1 validation error for "
			"ParallelConfig\n  Value error, World size (%ld) is larger than the number "
			"of "
			"available GPUs (%d) in this node. If this is intentional and you are "
			"using:\n"
			"- ray, set '--distributed-executor-backend ray'.\n"
			"- multiprocessing, set '--nnodes' appropriately.",
			world / p->nnodes, gpus);
}

static void check_options(const struct es_args *a)
{
	double share = strtod(es_args_str(a, "gpu-memory-utilization", "0.9"), NULL);

	if (!(share > 0 && share <= 1))
		es_config_error("pydantic_core._pydantic_core.ValidationError: 1 validation error "
				"for "
				"CacheConfig\ngpu_memory_utilization\n  Input should be greater "
				"than "
				"0 and "
				"less than or equal to 1 [input_value=%g]",
				share);
	if (es_args_on(a, "enable-auto-tool-choice") && !es_args_has(a, "tool-call-parser"))
		es_traceback(1, "entrypoints/openai/cli_args.py",
				"TypeError: Error: --enable-auto-tool-choice requires "
				"--tool-call-parser");
	if (es_args_has(a, "config"))
		es_config_error("ValueError: enginesim does not read --config files");
	if (es_args_has(a, "ssl-keyfile") || es_args_has(a, "uds"))
		es_config_error("ValueError: enginesim serves plain HTTP over TCP only");
}

static bool is_pooling(const struct es_args *a)
{
	static const char *const tasks[] = { "embed", "embedding", "classify", "score", "reward" };
	const char *task = es_args_str(a, "task", "");

	for (size_t i = 0; i < ES_COUNTOF(tasks); i++)
		if (!strcmp(task, tasks[i]))
			return true;
	return !strcmp(es_args_str(a, "runner", ""), "pooling");
}

static void configure_engine(const struct plan *p)
{
	const struct es_args *a = &p->args;
	struct es_config *c = &es_config;
	const char *const *names;
	long long len = es_args_int(a, "max-model-len", MODEL_LEN_DEFAULT);

	c->model = a->model;
	c->n_names = es_args_list(a, "served-model-name", &names);
	if (c->n_names > ES_NAMES_MAX)
		es_config_error("ValueError: enginesim: at most %d served names", ES_NAMES_MAX);
	for (size_t i = 0; i < c->n_names; i++)
		c->names[i] = es_plain(names[i]);
	if (!c->n_names)
		c->names[c->n_names++] = c->model;
	es_api_keys(a, "VLLM_API_KEY");
	c->max_model_len = len > 0 && len < 100000000 ? (long)len : MODEL_LEN_DEFAULT;
	c->max_num_seqs = es_positive(a, "max-num-seqs", 256);
	c->ranks = p->nnodes * p->dp / p->dp_count;
	es_pace_init();
	c->reasoning = es_args_has(a, "reasoning-parser");
	c->auto_tools = es_args_on(a, "enable-auto-tool-choice");
	c->pooling = is_pooling(a);
	c->prefix_caching = es_args_on(a, "enable-prefix-caching");
	c->version = VERSION;
}

static void meet(struct plan *p)
{
	const struct es_args *a = &p->args;
	double timeout = es_env_num("ENGINESIM_JOIN_TIMEOUT", ES_JOIN_TIMEOUT_S);

	/* The master of a replica is told apart from that of another one by its size and model
	 * only, as in torch: a wrong address is an error of the operator that must show. */
	p->world = (struct es_mesh){ .group = "world",
		.model = a->model,
		.size = p->nnodes,
		.addr = es_args_str(a, "master-addr", "127.0.0.1"),
		.rank = p->node_rank,
		.count = 1,
		.port = (int)es_args_int(a, "master-port", MASTER_PORT_DEFAULT),
		.timeout = timeout };
	p->replicas = (struct es_mesh){ .group = "dp",
		.model = a->model,
		.size = p->dp,
		.addr = es_args_str(a, "data-parallel-address", "127.0.0.1"),
		.rank = p->dp_start,
		.count = p->dp_count,
		.timeout = timeout,
		.port = (int)es_args_int(a, "data-parallel-rpc-port", DP_PORT_DEFAULT) };
	if (p->nnodes == 1 && uses_ray(a))
		es_config.ranks = es_ray_take(p->tp * p->pp);
	if (p->nnodes > 1)
		es_mesh_join(&p->world);
	if (p->dp_count < p->dp && p->node_rank == 0)
		es_mesh_join(&p->replicas);
	if (p->nnodes > 1)
		es_mesh_watch(&p->world);
	if (p->dp_count < p->dp && p->node_rank == 0)
		es_mesh_watch(&p->replicas);
}

static void run(struct plan *p) ES_NORETURN;
static void run(struct plan *p)
{
	bool serves = p->node_rank == 0 && !p->headless;
	int fd = -1;

	if (serves)
		fd = es_http_bind(es_args_str(&p->args, "host", NULL),
				(int)es_args_int(&p->args, "port", 8000));
	es_log("INFO", "api_server.py:1977", "vLLM API server version %s", VERSION);
	meet(p);
	es_exit_fault();
	es_load();
	if (serves)
		es_http_serve(fd, es_api_routes, es_api_n_routes, es_api_guard, NULL);
	es_log("INFO", "serve.py:130", "Rank %d is ready; rank 0 serves.", p->node_rank);
	es_idle();
}

#define VLLM_ARGS                                                                                  \
	{                                                                                          \
		.prog = "vllm serve", .usage = "usage: vllm serve [model_tag] [options]",          \
		.flexible = true, .flags = es_vllm_flags, .n_flags = es_vllm_n_flags               \
	}

static int serve(int argc, char **argv)
{
	struct plan p = { .args = VLLM_ARGS };
	struct es_args *a = &p.args;

	es_config.style = &style;
	es_args_parse(a, argc, argv);
	if (!a->model)
		a->model = es_args_str(a, "model", "Qwen/Qwen3-0.6B"); /* vLLM's own default */
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY"))) {
		es_args_done(a);
		return 0;
	}
	p.tp = es_positive(a, "tensor-parallel-size", 1);
	p.pp = es_positive(a, "pipeline-parallel-size", 1);
	p.nnodes = es_positive(a, "nnodes", 1);
	p.node_rank = (int)es_args_int(a, "node-rank", 0);
	p.headless = es_args_on(a, "headless");
	es_log_init(style.log, p.node_rank || p.headless ? "Worker" : "APIServer", style.package);
	place_replicas(&p);
	check_world(&p);
	check_options(a);
	es_plain(a->model);
	configure_engine(&p);
	es_fault_init(p.nnodes > 1 ? p.node_rank : p.dp_count < p.dp ? p.dp_start : 0);
	es_signals_start();
	es_fault_start_timer();
	run(&p);
}

static int run_vllm(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "-h";
	const char *junk = argc > 1 ? argv[1] : "";

	if (!strcmp(word, "serve") && argc > 2 &&
			(!strcmp(argv[2], "-h") || !strcmp(argv[2], "--help"))) {
		const struct es_args a = VLLM_ARGS;

		es_args_help(&a);
		return 0;
	}
	if (!strcmp(word, "serve"))
		return serve(argc - 2, argv + 2);
	if (!strcmp(word, "--version") || !strcmp(word, "-v")) {
		puts(VERSION);
		return 0;
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
		puts(usage_top);
		return 0;
	}
	fprintf(stderr,
			"%s\nvllm: error: argument subparser: invalid choice: '%s' (choose from "
			"'serve')\n",
			usage_top, junk);
	return 2;
}

const struct es_personality es_vllm = { .name = "vllm", .run = run_vllm };
