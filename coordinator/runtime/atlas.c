/* atlas.c - Atlas: every rank runs "spark serve"; rank 0 opens NCCL's bootstrap and serves. Sizes
 * are tensor and expert parallelism, which may overlap on the same nodes. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Rank 0 opens the bootstrap before it loads weights. As in vllm.c, waiting long costs nothing. */
#define GATE_TIMEOUT_MS ((uint64_t)5 * 60 * 1000)

static const struct sb_flag flags[] = {
	{ "port", "--port" },
	{ "host", "--host" },
	{ "tensor_parallel", "--tp-size" },
	{ "gpu_memory_utilization", "--gpu-memory-utilization" },
	{ "max_model_len", "--max-seq-len" },
	{ "max_num_seqs", "--max-num-seqs" },
	{ "max_num_batched_tokens", "--max-prefill-tokens" },
	{ "served_model_name", "--model-name" },
	{ "kv_cache_dtype", "--kv-cache-dtype" },
	{ "ep_size", "--ep-size" },
	{ "max_batch_size", "--max-batch-size" },
	{ "block_size", "--block-size" },
	{ "kv_high_precision_layers", "--kv-high-precision-layers" },
	{ "tool_call_parser", "--tool-call-parser" },
	{ "tool_max_tokens", "--tool-max-tokens" },
	{ "scheduling_policy", "--scheduling-policy" },
	{ "tbt_deadline_ms", "--tbt-deadline-ms" },
	{ "max_prefill_tokens", "--max-prefill-tokens" },
	{ "oom_guard_mb", "--oom-guard-mb" },
	{ "ssm_cache_slots", "--ssm-cache-slots" },
	{ "ssm_checkpoint_interval", "--ssm-checkpoint-interval" },
	{ "mtp_quantization", "--mtp-quantization" },
	{ "mtp_vocab", "--mtp-vocab" },
	{ "num_drafts", "--num-drafts" },
	{ "draft_model", "--draft-model" },
	{ "dflash_gamma", "--dflash-gamma" },
	{ "dflash_window_size", "--dflash-window-size" },
	{ "max_thinking_budget", "--max-thinking-budget" },
	{ "model_from_path", "--model-from-path" },
	{ "cache_dir", "--cache-dir" },
	{ "gpu_ordinal", "--gpu-ordinal" },
	{ "high_speed_swap_dir", "--high-speed-swap-dir" },
	{ "high_speed_swap_gb", "--high-speed-swap-gb" },
	{ "high_speed_swap_resident_blocks", "--high-speed-swap-resident-blocks" },
	{ "high_speed_swap_rank", "--high-speed-swap-rank" },
	{ "high_speed_swap_qd", "--high-speed-swap-qd" },
	{ "high_speed_swap_cache_blocks_per_seq", "--high-speed-swap-cache-blocks-per-seq" },
	{ "enable_prefix_caching", "--enable-prefix-caching", true },
	{ "speculative", "--speculative", true },
	{ "self_speculative", "--self-speculative", true },
	{ "ngram_speculative", "--ngram-speculative", true },
	{ "dflash", "--dflash", true },
	{ "disable_thinking", "--disable-thinking", true },
	{ "high_speed_swap", "--high-speed-swap", true },
	{ "require_auth", "--require-auth", true },
	{ "api_key", "--auth-token" },
};

static const struct sb_endpoint endpoint = { 8888, NULL, "--auth-token", "--bind" };

static const struct sb_env common_env[] = {
	{ "HF_HUB_OFFLINE", "1" },
	{ "TRANSFORMERS_OFFLINE", "1" },
	{ 0 },
};
/* The two that are empty take back what the fabric sets for the other engines. */
static const struct sb_env cluster_env[] = {
	{ "NCCL_IB_GID_INDEX", "" },
	{ "NCCL_CROSS_NIC", "" },
	{ "NCCL_DEBUG", "INFO" },
	{ "NCCL_IB_DISABLE", "0" },
	{ "NCCL_IB_ROCE_VERSION_NUM", "2" },
	{ "NCCL_IB_ADDR_FAMILY", "AF_INET" },
	{ "NCCL_IB_TIMEOUT", "22" },
	{ "NCCL_IB_RETRY_CNT", "7" },
	{ "NCCL_NET_GDR_LEVEL", "0" },
	{ "NCCL_NET_GDR_C2C", "0" },
	{ "NCCL_DMABUF_ENABLE", "0" },
	{ "NCCL_NVLS_ENABLE", "0" },
	{ "NCCL_CUMEM_HOST_ENABLE", "0" },
	{ "NCCL_PROTO", "Simple" },
	{ "NCCL_ALGO", "Ring" },
	{ "NCCL_BUFFSIZE", "33554432" },
	{ "NCCL_MIN_NCHANNELS", "1" },
	{ "NCCL_MAX_NCHANNELS", "2" },
	{ 0 },
};
static const char *const cap_add[] = { "IPC_LOCK", "SYS_NICE", NULL };
static const char *const security_opt[] = { "seccomp=unconfined", NULL };

/* --- nodes --- */

/* What is set counts, else what a template has written out. Pipeline and data parallelism are
 * not Atlas's. */
static int required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	static const char *const tp_flags[] = { "--tp-size", NULL };
	static const char *const ep_flags[] = { "--ep-size", NULL };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	unsigned tp = 1, ep = 1;
	int rc = sb_parallel_of(w, "tensor_parallel", &tp, err);

	if (rc < 0)
		return rc;
	sb_parallel_of(w, "ep_size", &ep, NULL); /* one that is no number counts as 1 */
	if (tp == 1 && ep == 1) {
		rc = sb_template_words(w, &words, err);
		if (rc < 0)
			return rc;
		tp = sb_words_size(&words, tp_flags);
		ep = sb_words_size(&words, ep_flags);
	}
	*ret = tp == ep ? tp : tp * ep;
	*ret = *ret > 1 ? *ret : 0;
	return 0;
}

/* --- the command --- */

/* Only rank 0 serves: a generated command leaves the others the choice of a port. */
static void generate(const struct sb_workload *w, bool worker, struct sb_strbuf *out)
{
	static const char *const skip[] = { "port", NULL };

	sb_model_add(w, "spark serve", out);
	if (worker)
		sb_strbuf_addm(out, SB_MARK_RANK, " --port 0");
	sb_flags_add(w, flags, sb_countof(flags), worker ? skip : NULL, out);
}

static int command(const struct sb_workload *w, bool worker, struct sb_strbuf *out,
		bool *ret_template, struct sb_diags *diags, struct sb_err *err)
{
	int rc = sb_template_add(w, out, ret_template, diags, err);

	if (rc < 0)
		return rc;
	if (*ret_template)
		sb_served_name_add(w, "--model-name", out);
	else
		generate(w, worker, out);
	return out->failed ? sb_err_nomem(err) : 0;
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	bool has_template = false;

	return command(launch->workload, false, out, &has_template, diags, err);
}

/* --- ranks --- */

static int rank(const struct sb_launch *launch, unsigned rank_, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	bool has_template = false;
	uint32_t mark = ret->serve.mark;
	int rc;

	ret->serve.mark = SB_MARK_RUNTIME;
	rc = command(launch->workload, rank_ > 0, &ret->serve, &has_template, NULL, err);
	ret->serve.mark = mark;
	if (rc < 0)
		return rc;
	if (rank_ == 0 || has_template)
		sb_rank_part_port(ret, sb_words_port(words, endpoint.port));
	ret->init = true; /* as process 1 it need not answer SIGTERM while it loads */
	if (launch->n > 1) {
		sb_strbuf_addf(&ret->serve,
				" --rank %u --world-size %zu --master-addr %s --master-port %u",
				rank_, launch->n, launch->addresses[0], launch->init_port);
		ret->stage = rank_ ? 1 : 0;
	}
	if (launch->n > 1 && rank_ == 0) {
		sb_rank_part_port(ret, launch->init_port);
		ret->gate_port = launch->init_port;
		ret->gate_timeout_ms = GATE_TIMEOUT_MS;
	}
	return ret->serve.failed ? sb_err_nomem(err) : 0;
}

/* --- readiness --- */

static void warn_exposure(const struct sb_words *words, struct sb_diags *diags)
{
	static const char *const hosts[] = { "--host", "--bind", NULL };
	bool has_key = sb_words_flag(words, "--auth-token") != NULL;

	if (!sb_words_any(words, hosts))
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"the command has no --host: Atlas listens on 127.0.0.1, where only "
				"its own node reaches it");
	if (has_key)
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"--auth-token puts the API key on the command line, which ps shows "
				"to everyone on the node");
	if (has_key && !sb_words_flag(words, "--require-auth"))
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"Atlas asks nobody for the key of --auth-token without "
				"--require-auth: set require_auth: true");
}

static int ready(const struct sb_launch *launch, const struct sb_words *words, struct sb_ready *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	static const char *const names[] = { "--model-name", "--served-model-name", NULL };
	const char *name = sb_words_any(words, names);
	int rc = sb_ready_endpoint(launch->workload, words, &endpoint, ret, diags, err);

	if (rc < 0)
		return rc;
	warn_exposure(words, diags);
	ret->model = sb_empty(name) ? sb_workload_model(launch->workload) : name;
	ret->probe = SB_PROBE_GENERATE;
	return 0;
}

const struct sb_runtime sb_runtime_atlas = {
	.name = "atlas",
	.default_image = "avarok/atlas-gb10:latest",
	.family = "atlas",
	.naming = SB_NAMING_NODE,
	.env = common_env,
	.cluster_env = cluster_env,
	.cap_add = cap_add,
	.security_opt = security_opt,
	.entrypoint = "",
	.one_node_by_default = true,
	.required = required,
	.serve = serve,
	.rank = rank,
	.ready = ready,
};
