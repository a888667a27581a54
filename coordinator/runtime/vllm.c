/* vllm.c - vLLM over torch.distributed: every rank runs "vllm serve"; the head of a replica waits
 * at the rendezvous port for the others. tensor x pipeline parallelism makes one replica of R
 * nodes; data parallelism makes several replicas. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_DP_PORT 13345
/* The rendezvous opens after the imports, which take minutes from a cold page cache. Waiting long
 * costs nothing: a head that dies is seen at once by its container. */
#define GATE_TIMEOUT_MS ((uint64_t)5 * 60 * 1000)

static const struct sb_flag flags[] = {
	{ "port", "--port" },
	{ "host", "--host" },
	{ "tensor_parallel", "-tp" },
	{ "gpu_memory_utilization", "--gpu-memory-utilization" },
	{ "max_model_len", "--max-model-len" },
	{ "max_num_batched_tokens", "--max-num-batched-tokens" },
	{ "max_num_seqs", "--max-num-seqs" },
	{ "served_model_name", "--served-model-name" },
	{ "dtype", "--dtype" },
	{ "quantization", "--quantization" },
	{ "enforce_eager", "--enforce-eager", true },
	{ "enable_prefix_caching", "--enable-prefix-caching", true },
	{ "trust_remote_code", "--trust-remote-code", true },
	{ "distributed_executor_backend", "--distributed-executor-backend" },
	{ "pipeline_parallel", "-pp" },
	{ "data_parallel", "--data-parallel-size" },
	{ "kv_cache_dtype", "--kv-cache-dtype" },
	{ "otlp_traces_endpoint", "--otlp-traces-endpoint" },
};
/* "api_key" is not among them: a key on a command line is for everyone to read. It goes into the
 * environment as VLLM_API_KEY, which vLLM takes just as well. */

const struct sb_endpoint sb_vllm_endpoint = { 8000, "VLLM_API_KEY", "--api-key" };

const struct sb_env sb_vllm_env[] = {
	{ "HF_HUB_OFFLINE", "1" },
	{ "TRANSFORMERS_OFFLINE", "1" },
	{ 0 },
};
static const struct sb_env cluster_env[] = {
	{ "NCCL_CUMEM_ENABLE", "0" },
	{ "OMP_NUM_THREADS", "4" },
	{ 0 },
};

void sb_vllm_generate(const struct sb_workload *w, const char *words, const char *const *skip,
		struct sb_strbuf *out)
{
	const struct sb_value *tp = sb_workload_config(w, "tensor_parallel");

	sb_model_add(w, "vllm serve", out);
	if (tp && tp->truthy)
		sb_strbuf_addm(out, sb_value_mark(w, tp), " -tp %s", tp->text);
	sb_strbuf_adds(out, words);
	sb_flags_add(w, flags, sb_countof(flags), skip, out);
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	static const char *const skip[] = { "tensor_parallel", "distributed_executor_backend",
		NULL };
	bool has_template = false;
	int rc = sb_template_add(launch->workload, out, &has_template, diags, err);

	if (rc < 0)
		return rc;
	if (has_template)
		sb_served_name_add(launch->workload, "--served-model-name", out);
	else
		sb_vllm_generate(launch->workload, "", skip, out);
	return out->failed ? sb_err_nomem(err) : 0;
}

/* --- ranks --- */

struct layout {
	unsigned per_replica; /* R: nodes of one replica */
	unsigned replicas;
	uint16_t dp_port;
};

static int layout_of(const struct sb_workload *w, struct layout *ret, struct sb_err *err)
{
	unsigned tp = 1, pp = 1;
	int64_t port = DEFAULT_DP_PORT;
	int rc = sb_parallel_of(w, "tensor_parallel", &tp, err);

	if (rc == 0)
		rc = sb_parallel_of(w, "pipeline_parallel", &pp, err);
	if (rc == 0)
		rc = sb_parallel_of(w, "data_parallel", &ret->replicas, err);
	if (rc == 0)
		rc = sb_workload_int(w, "data_parallel_rpc_port", 1, UINT16_MAX, &port, err);
	ret->per_replica = tp * pp;
	ret->dp_port = (uint16_t)port;
	return rc;
}

static int rank(const struct sb_launch *launch, unsigned rank_, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	struct layout layout = { 0 };
	unsigned replica, local;
	int rc = layout_of(launch->workload, &layout, err);

	if (rc < 0)
		return rc;
	replica = rank_ / layout.per_replica;
	local = rank_ % layout.per_replica;
	sb_strbuf_add_part(&ret->serve, base, 0, base->len);
	ret->stage = rank_ ? 1 : 0;
	if (local == 0)
		sb_rank_part_port(ret, sb_words_port(words, sb_vllm_endpoint.port));
	if (launch->n > 1 && layout.per_replica > 1) {
		size_t head = (size_t)replica * layout.per_replica;

		sb_strbuf_addf(&ret->serve,
				" --nnodes %u --node-rank %u --master-addr %s --master-port %u%s",
				layout.per_replica, local,
				launch->addresses[head < launch->n ? head : 0], launch->init_port,
				local ? " --headless" : "");
		if (local == 0)
			sb_rank_part_port(ret, launch->init_port);
		ret->gate_port = rank_ ? 0 : launch->init_port;
		ret->gate_timeout_ms = rank_ ? 0 : GATE_TIMEOUT_MS;
	}
	if (launch->n > 1 && layout.replicas > 1) {
		if (!strstr(sb_strbuf_str(base), "--data-parallel-size"))
			sb_strbuf_addf(&ret->serve, " --data-parallel-size %u", layout.replicas);
		sb_strbuf_addf(&ret->serve,
				" --data-parallel-rank %u --data-parallel-address %s "
				"--data-parallel-rpc-port %u",
				replica, launch->addresses[0], layout.dp_port);
		if (rank_ == 0)
			sb_rank_part_port(ret, layout.dp_port);
	}
	return ret->serve.failed ? sb_err_nomem(err) : 0;
}

/* --- readiness --- */

static bool contains(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

/* What a flag says outweighs what the name suggests; a pooling runner without more is told apart
 * by name, as vLLM itself does not say it either. */
enum sb_probe sb_vllm_probe(const struct sb_words *words, const char *model)
{
	static const struct {
		const char *flag, *value;
		enum sb_probe probe;
	} rules[] = {
		{ "--task", "generate", SB_PROBE_GENERATE },
		{ "--task", "embed", SB_PROBE_EMBED },
		{ "--task", "embedding", SB_PROBE_EMBED },
		{ "--task", "score", SB_PROBE_SCORE },
		{ "--task", "classify", SB_PROBE_SCORE },
		{ "--task", "reward", SB_PROBE_MODELS },
		{ "--task", "transcription", SB_PROBE_MODELS },
		{ "--convert", "embed", SB_PROBE_EMBED },
		{ "--convert", "classify", SB_PROBE_SCORE },
		{ "--convert", "reward", SB_PROBE_MODELS },
		{ "--runner", "generate", SB_PROBE_GENERATE },
		{ "--runner", "draft", SB_PROBE_MODELS },
	};
	const char *runner = sb_words_flag(words, "--runner");

	for (size_t i = 0; i < sb_countof(rules); i++) {
		const char *value = sb_words_flag(words, rules[i].flag);

		if (value && !strcmp(value, rules[i].value))
			return rules[i].probe;
	}
	if (contains(model, "rerank"))
		return SB_PROBE_SCORE;
	if (contains(model, "embed") || (runner && !strcmp(runner, "pooling")))
		return SB_PROBE_EMBED;
	return SB_PROBE_GENERATE;
}

int sb_vllm_ready(const struct sb_launch *launch, const struct sb_words *words,
		struct sb_ready *ret, struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;
	const char *name = sb_words_flag(words, "--served-model-name");
	int rc = sb_ready_endpoint(w, words, &sb_vllm_endpoint, ret, diags, err);

	if (rc < 0)
		return rc;
	ret->model = sb_empty(name) ? sb_workload_model(w) : name;
	ret->probe = sb_vllm_probe(words, sb_workload_model(w));
	return 0;
}

const struct sb_runtime sb_runtime_vllm_distributed = {
	.name = "vllm-distributed",
	.default_image = SB_VLLM_IMAGE,
	.family = "vllm",
	.naming = SB_NAMING_NODE,
	.env = sb_vllm_env,
	.cluster_env = cluster_env,
	.api_key_env = "VLLM_API_KEY",
	.one_node_by_default = true,
	.required = sb_parallel_required,
	.serve = serve,
	.rank = rank,
	.ready = sb_vllm_ready,
};
