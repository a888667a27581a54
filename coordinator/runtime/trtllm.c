/* trtllm.c - TensorRT-LLM: trtllm-serve, over several nodes as an MPI job that the head starts. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define LAUNCHER     "trtllm-llmapi-launch"
#define CONFIG_PATH  "/tmp/extra-llm-api-config.yml" /* templates have it written out */
#define CONFIG_FLAG  "--extra_llm_api_options"
#define HOST_DEFAULT "0.0.0.0"

static const struct sb_flag flags[] = {
	{ "port", "--port" },
	{ "host", "--host" },
	{ "tensor_parallel", "--tp_size" },
	{ "pipeline_parallel", "--pp_size" },
	{ "expert_parallel", "--ep_size" },
	{ "max_num_tokens", "--max_num_tokens" },
	{ "max_batch_size", "--max_batch_size" },
	{ "max_model_len", "--max_seq_len" },
	{ "backend", "--backend" },
	{ "tokenizer", "--tokenizer" },
	{ "kv_cache_free_gpu_memory_fraction", "--kv_cache_free_gpu_memory_fraction" },
	{ "trust_remote_code", "--trust_remote_code", true },
};

static const struct sb_endpoint endpoint = { 8000, NULL, "--api-key", NULL };

static const struct sb_env common_env[] = {
	{ "HF_HUB_OFFLINE", "1" },
	{ "TRANSFORMERS_OFFLINE", "1" },
	{ 0 },
};
static const struct sb_env cluster_env[] = {
	{ "NCCL_CUMEM_ENABLE", "0" },
	{ "OMPI_ALLOW_RUN_AS_ROOT", "1" },
	{ "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1" },
	{ "OMPI_MCA_rmaps_ppr_n_pernode", "1" },
	{ 0 },
};

/* --- nodes --- */

/* What is set counts, else what a template has written out. */
static int required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	static const char *const tp_flags[] = { "--tp_size", NULL };
	static const char *const pp_flags[] = { "--pp_size", NULL };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	unsigned replicas = 1;
	int rc = sb_parallel_of(w, "data_parallel", &replicas, err);

	if (rc == 0 && replicas > 1)
		return sb_workload_err(w, "defaults.data_parallel", SB_E_INVALID, err,
				"[trtllm] trtllm-serve has no data parallelism (data_parallel is "
				"%u)",
				replicas);
	if (rc == 0)
		rc = sb_parallel_required(w, ret, err);
	if (rc < 0 || *ret)
		return rc;
	rc = sb_template_words(w, &words, err);
	*ret = sb_words_size(&words, tp_flags) * sb_words_size(&words, pp_flags);
	*ret = *ret > 1 ? *ret : 0;
	return rc;
}

/* --- the command --- */

static void generate(const struct sb_workload *w, struct sb_strbuf *out)
{
	static const char *const skip[] = { "backend", NULL };
	const struct sb_value *backend = sb_workload_config(w, "backend");
	bool set = backend && backend->truthy;

	sb_model_add(w, "trtllm-serve", out);
	if (!set)
		sb_strbuf_adds(out, " --backend pytorch");
	sb_flags_add(w, flags, sb_countof(flags), set ? NULL : skip, out);
}

/* Some templates start MPI themselves, over hosts of their author. What comes behind it counts. */
static void drop_mpirun(const struct sb_workload *w, struct sb_strbuf *out, struct sb_diags *diags)
{
	const struct sb_yaml_node *place = sb_workload_key(w, "command");
	const char *text = sb_strbuf_str(out), *from = strstr(text, "trtllm-");

	if (strncmp(text, "mpirun", 6) != 0 || !from)
		return;
	sb_diag_add(diags, SB_DIAG_NOTE, sb_yaml_line(place), sb_yaml_col(place),
			"the command's own mpirun is left out: sparkbus starts the ranks");
	sb_strbuf_consume(out, (size_t)(from - text));
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf config = SB_STRBUF_INIT;
	const struct sb_workload *w = launch->workload;
	bool has_template = false;
	int rc = sb_trtllm_config(w, &config, err);

	if (rc == 0)
		rc = sb_template_add(w, out, &has_template, diags, err);
	if (rc == 0 && launch->n > 1)
		rc = sb_mpi_check(launch, err);
	if (rc < 0)
		return rc;
	if (!has_template)
		generate(w, out);
	else if (launch->n > 1)
		drop_mpirun(w, out, diags);
	/* By itself it listens on the loopback. */
	if (!strstr(sb_strbuf_str(out), "--host"))
		sb_strbuf_adds(out, " --host " HOST_DEFAULT);
	if (config.len && !strstr(sb_strbuf_str(out), CONFIG_FLAG))
		sb_strbuf_adds(out, " " CONFIG_FLAG " " CONFIG_PATH);
	return out->failed ? sb_err_nomem(err) : 0;
}

/* --- ranks --- */

static int be_head(const struct sb_launch *launch, const struct sb_strbuf *base,
		struct sb_rank_part *ret)
{
	int rc = 0;

	if (launch->n > 1)
		rc = sb_mpi_head(launch, ret);
	if (rc == 0 && launch->n > 1 &&
			strncmp(sb_strbuf_str(base), LAUNCHER, strlen(LAUNCHER)) != 0)
		rc = sb_words_add_marked(&ret->before, LAUNCHER, SB_MARK_RANK);
	sb_strbuf_add_part(&ret->serve, base, 0, base->len);
	ret->init = true; /* Python does not answer SIGTERM while it loads */
	return rc < 0 || ret->serve.failed ? -SB_E_NOMEM : 0;
}

static int rank(const struct sb_launch *launch, unsigned rank_, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf config = SB_STRBUF_INIT;
	int rc = sb_trtllm_config(launch->workload, &config, err);

	if (rc < 0)
		return rc;
	if (rank_)
		rc = sb_mpi_worker(launch, rank_, ret);
	else
		rc = be_head(launch, base, ret);
	if (rank_ == 0)
		sb_rank_part_port(ret, sb_words_port(words, endpoint.port));
	if (rc == 0 && config.len)
		rc = sb_rank_part_file(ret, CONFIG_PATH, config.data, config.len, 0, false);
	return rc < 0 ? sb_err_nomem(err) : 0;
}

/* --- readiness --- */

static int ready(const struct sb_launch *launch, const struct sb_words *words, struct sb_ready *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;
	const char *name = sb_words_flag(words, "--served_model_name");
	const char *model = sb_workload_model(w), *base = strrchr(model, '/');
	int rc = sb_ready_endpoint(w, words, &endpoint, ret, diags, err);

	if (rc < 0)
		return rc;
	/* A folder is served by its last part. */
	if (*model == '/' && base && base[1])
		model = base + 1;
	ret->model = sb_empty(name) ? model : name;
	ret->probe = SB_PROBE_GENERATE;
	return 0;
}

const struct sb_runtime sb_runtime_trtllm = {
	.name = "trtllm",
	.default_image = "nvcr.io/nvidia/tensorrt-llm/release:latest",
	.family = "trtllm",
	.naming = SB_NAMING_NODE,
	.env = common_env,
	.cluster_env = cluster_env,
	.one_node_by_default = true,
	.required = required,
	.serve = serve,
	.rank = rank,
	.ready = ready,
};
