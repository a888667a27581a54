/* atlas.c - Atlas: spark serve
 *
 * Ranks meet at --master-addr as torch's do, and only rank 0 serves. A key is asked for with
 * --require-auth alone. */
#include "api.h"
#include "args.h"
#include "engine.h"
#include "es.h"
#include "fault.h"
#include "http.h"
#include "mesh.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION             "0.1.0+enginesim"
#define PORT_DEFAULT        8888
#define MASTER_PORT_DEFAULT 29500

static const struct es_flag flags[] = {
	{ "port", NULL, ES_INT, NULL },
	{ "host", "--bind", ES_STR, NULL },
	{ "model-name", "--served-model-name", ES_STR, NULL },
	{ "tp-size", NULL, ES_INT, NULL },
	{ "ep-size", NULL, ES_INT, NULL },
	{ "rank", NULL, ES_INT, NULL },
	{ "world-size", NULL, ES_INT, NULL },
	{ "master-addr", NULL, ES_STR, NULL },
	{ "master-port", NULL, ES_INT, NULL },
	{ "gpu-memory-utilization", NULL, ES_FLOAT, NULL },
	{ "gpu-ordinal", NULL, ES_INT, NULL },
	{ "oom-guard-mb", NULL, ES_INT, NULL },
	{ "max-seq-len", NULL, ES_INT, NULL },
	{ "max-num-seqs", NULL, ES_INT, NULL },
	{ "max-batch-size", NULL, ES_INT, NULL },
	{ "max-prefill-tokens", NULL, ES_INT, NULL },
	{ "block-size", NULL, ES_INT, NULL },
	{ "kv-cache-dtype", NULL, ES_STR, NULL },
	{ "kv-high-precision-layers", NULL, ES_STR, NULL },
	{ "enable-prefix-caching", NULL, ES_TRUE, NULL },
	{ "scheduling-policy", NULL, ES_STR, NULL },
	{ "tbt-deadline-ms", NULL, ES_INT, NULL },
	{ "ssm-cache-slots", NULL, ES_INT, NULL },
	{ "ssm-checkpoint-interval", NULL, ES_INT, NULL },
	{ "model-from-path", NULL, ES_STR, NULL },
	{ "cache-dir", NULL, ES_STR, NULL },
	{ "tool-call-parser", NULL, ES_STR, NULL },
	{ "tool-max-tokens", NULL, ES_INT, NULL },
	{ "disable-thinking", NULL, ES_TRUE, NULL },
	{ "max-thinking-budget", NULL, ES_INT, NULL },
	{ "speculative", NULL, ES_TRUE, NULL },
	{ "self-speculative", NULL, ES_TRUE, NULL },
	{ "ngram-speculative", NULL, ES_TRUE, NULL },
	{ "num-drafts", NULL, ES_INT, NULL },
	{ "draft-model", NULL, ES_STR, NULL },
	{ "mtp-quantization", NULL, ES_STR, NULL },
	{ "mtp-vocab", NULL, ES_INT, NULL },
	{ "dflash", NULL, ES_TRUE, NULL },
	{ "dflash-gamma", NULL, ES_INT, NULL },
	{ "dflash-window-size", NULL, ES_INT, NULL },
	{ "high-speed-swap", NULL, ES_TRUE, NULL },
	{ "high-speed-swap-dir", NULL, ES_STR, NULL },
	{ "high-speed-swap-gb", NULL, ES_INT, NULL },
	{ "high-speed-swap-resident-blocks", NULL, ES_INT, NULL },
	{ "high-speed-swap-rank", NULL, ES_INT, NULL },
	{ "high-speed-swap-qd", NULL, ES_INT, NULL },
	{ "high-speed-swap-cache-blocks-per-seq", NULL, ES_INT, NULL },
	{ "require-auth", NULL, ES_TRUE, NULL },
	{ "auth-token", NULL, ES_STR, NULL },
};

static const struct es_style style = { .name = "atlas",
	.worker = "atlas",
	.core = "atlas engine",
	.crash_error = "Error: the engine of this rank died",
	.oom = "Error: cudaMalloc failed: out of memory (requested 2.32 GiB)",
	.farewell = (const char *const[]){ "INFO atlas: shutting down", NULL },
	.owner = "atlas",
	.log = ES_LOG_BARE };

static void configure(const struct es_args *a, int world)
{
	struct es_config *c = &es_config;
	long long len = es_args_int(a, "max-seq-len", 0);

	c->model = es_plain(a->model);
	c->names[0] = es_plain(es_args_str(a, "model-name", c->model));
	c->n_names = 1;
	if (es_args_on(a, "require-auth"))
		c->n_api_keys = es_args_list(a, "auth-token", &c->api_keys);
	c->max_model_len = len > 0 && len < 100000000 ? (long)len : 32768;
	c->max_num_seqs = es_positive(a, "max-num-seqs", 128);
	c->ranks = world;
	c->reasoning = !es_args_on(a, "disable-thinking");
	c->auto_tools = es_args_has(a, "tool-call-parser");
	c->prefix_caching = es_args_on(a, "enable-prefix-caching");
	c->version = VERSION;
	es_pace_init();
}

static void meet(const struct es_args *a, int world, int rank)
{
	static struct es_mesh mesh;

	mesh = (struct es_mesh){ .group = "world",
		.model = es_config.model,
		.size = world,
		.addr = es_args_str(a, "master-addr", "127.0.0.1"),
		.rank = rank,
		.count = 1,
		.port = (int)es_args_int(a, "master-port", MASTER_PORT_DEFAULT),
		.timeout = es_env_num("ENGINESIM_JOIN_TIMEOUT", ES_JOIN_TIMEOUT_S) };
	es_mesh_join(&mesh);
	es_mesh_watch(&mesh);
}

static void announce(const char *host, int port)
{
	es_raw("INFO atlas: listening on http://%s:%d", host, port);
}

static int serve(const struct es_args *a)
{
	int world, rank = (int)es_args_int(a, "rank", 0), fd = -1;

	es_log_init(style.log, "", "");
	world = es_positive(a, "world-size", 1);
	if (rank < 0 || rank >= world || world > ES_MESH_MAX)
		es_config_error("Error: rank %d is not below world size %d", rank, world);
	configure(a, world);
	es_fault_init(rank);
	es_signals_start();
	es_fault_start_timer();
	if (rank == 0)
		fd = es_http_bind(es_args_str(a, "host", "127.0.0.1"),
				(int)es_args_int(a, "port", PORT_DEFAULT));
	if (world > 1)
		meet(a, world, rank);
	es_exit_fault();
	es_load();
	if (rank == 0)
		es_http_serve(fd, es_atlas_routes, es_atlas_n_routes, es_api_guard, announce);
	es_idle();
}

static int run_spark(int argc, char **argv)
{
	struct es_args a = { .prog = "spark serve",
		.usage = "Usage: spark serve [OPTIONS] <MODEL>",
		.dialect = &es_clap,
		.flags = flags,
		.n_flags = ES_COUNTOF(flags) };
	const char *word = argc > 1 ? argv[1] : "";

	es_config.style = &style;
	if (strcmp(word, "serve")) {
		fprintf(stderr,
				"error: unrecognized subcommand '%s'\n\nUsage: spark "
				"<COMMAND>\n\nFor "
				"more information, try '--help'.\n",
				word);
		return 2;
	}
	if (argc > 2 && !strcmp(argv[2], "--help"))
		return es_args_help(&a), 0;
	es_args_parse(&a, argc - 2, argv + 2);
	if (!a.model) {
		fprintf(stderr,
				"error: the following required arguments were not provided:\n  "
				"<MODEL>\n\nUsage: spark serve <MODEL>\n\nFor more information, "
				"try '--help'.\n");
		es_args_done(&a);
		return 2;
	}
	if (es_is_true(getenv("ENGINESIM_PARSE_ONLY")))
		return es_args_done(&a), 0;
	return serve(&a);
}

const struct es_personality es_spark = { .name = "spark", .run = run_spark };
