/* sglang.c - SGLang: every rank runs the same server; rank 0 opens the rendezvous and serves, the
 * others answer health checks at the same address and nothing else. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* As in vllm.c: the rendezvous opens after imports that take minutes from a cold page cache. */
#define GATE_TIMEOUT_MS ((uint64_t)5 * 60 * 1000)

static const struct sb_flag flags[] = {
	{ "port", "--port" }, { "host", "--host" }, { "tensor_parallel", "--tp-size" },
	{ "pipeline_parallel", "--pp-size" }, { "gpu_memory_utilization", "--mem-fraction-static" },
	{ "max_model_len", "--context-length" }, { "max_num_seqs", "--max-running-requests" },
	{ "served_model_name", "--served-model-name" }, { "dtype", "--dtype" },
	{ "quantization", "--quantization" }, { "trust_remote_code", "--trust-remote-code", true },
	{ "chunked_prefill", "--chunked-prefill-size" }, { "kv_cache_dtype", "--kv-cache-dtype" },
	{ "tokenizer_path", "--tokenizer-path" },
	{ "speculative_draft_model_path", "--speculative-draft-model-path" },
	{ "api_key", "--api-key" }, /* it has no variable for it */
};

static const struct sb_endpoint endpoint = { 30000, NULL, "--api-key" };

static const struct sb_env common_env[] = {
	{ "HF_HUB_OFFLINE", "1" },
	{ "TRANSFORMERS_OFFLINE", "1" },
	{ 0 },
};
static const struct sb_env cluster_env[] = {
	{ "NCCL_CUMEM_ENABLE", "0" },
	{ "SGLANG_ENABLE_TP_MEMORY_INBALANCE_CHECK", "0" },
	{ 0 },
};

/* --- nodes --- */

/* A template may have its sizes written out. */
static int required_by_command(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	static const char *const tp[] = { "--tp-size", "--tp", "--tensor-parallel-size", NULL };
	static const char *const pp[] = { "--pp-size", "--pp", "--pipeline-parallel-size", NULL };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	int rc = sb_template_words(w, &words, err);
	unsigned n = sb_words_size(&words, tp) * sb_words_size(&words, pp);

	if (rc == 0)
		*ret = n > 1 ? n : 0;
	return rc;
}

static int required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	int rc = sb_parallel_required(w, ret, err);

	return rc < 0 || *ret ? rc : required_by_command(w, ret, err);
}

static const char *const model_flags[] = { "--model-path", "--model", NULL };
static const struct sb_gguf_flags gguf = { model_flags, NULL, NULL, true };

/* --- the command --- */

/* As the format has it: a quantisation behind ':', or a name that says so. */
static bool is_gguf(const char *model)
{
	return strchr(model, ':') || strcasestr(model, "gguf");
}

static void warn_gguf(const struct sb_workload *w, struct sb_diags *diags)
{
	const struct sb_value *model = sb_workload_config(w, "model");
	const struct sb_value *tokenizer = sb_workload_config(w, "tokenizer_path");
	const char *command = sb_yaml_str(sb_workload_key(w, "command"));
	bool used = strstr(command, "--tokenizer-path") || strstr(command, "{tokenizer_path}");

	if (!is_gguf(model->text))
		return;
	if (!tokenizer && !used)
		sb_diag_add(diags, SB_DIAG_WARNING, model->line, model->col,
				"[sglang] GGUF model detected but no tokenizer path configured. "
				"Set tokenizer_path to the model that it was made from");
	if (tokenizer && *command && !used)
		sb_diag_add(diags, SB_DIAG_WARNING, tokenizer->line, tokenizer->col,
				"[sglang] GGUF recipe has 'tokenizer_path' in defaults but the "
				"command has no --tokenizer-path {tokenizer_path}");
}

static void generate(const struct sb_workload *w, struct sb_strbuf *out)
{
	static const char *const skip[] = { "tensor_parallel", NULL };
	const struct sb_value *tp = sb_workload_config(w, "tensor_parallel");

	sb_model_add(w, "python3 -m sglang.launch_server --model-path", out);
	if (tp && tp->truthy)
		sb_strbuf_addm(out, sb_value_mark(w, tp), " --tp-size %s", tp->text);
	sb_flags_add(w, flags, sb_countof(flags), skip, out);
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	bool has_template = false;
	int rc = sb_template_add(launch->workload, out, &has_template, diags, err);

	if (rc < 0)
		return rc;
	if (has_template)
		sb_served_name_add(launch->workload, "--served-model-name", out);
	else
		generate(launch->workload, out);
	warn_gguf(launch->workload, diags);
	return out->failed ? sb_err_nomem(err) : 0;
}

/* --- ranks --- */

static int rank(const struct sb_launch *launch, unsigned rank_, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	sb_strbuf_add_part(&ret->serve, base, 0, base->len);
	sb_rank_part_port(ret, sb_words_port(words, endpoint.port));
	/* While it loads, for minutes, Python has no handler for SIGTERM. */
	ret->init = true;
	if (launch->n > 1) {
		sb_strbuf_addf(&ret->serve, " --dist-init-addr %s:%u --nnodes %zu --node-rank %u",
				launch->addresses[0], launch->init_port, launch->n, rank_);
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

/* Rerankers of SGLang come in two kinds with different requests: only that they are up is asked. */
static enum sb_probe probe_of(const struct sb_words *words, const char *model)
{
	if (strcasestr(model, "rerank"))
		return SB_PROBE_MODELS;
	return sb_words_flag(words, "--is-embedding") ? SB_PROBE_EMBED : SB_PROBE_GENERATE;
}

static void warn_exposure(const struct sb_words *words, struct sb_diags *diags)
{
	if (!sb_words_flag(words, "--host"))
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"the command has no --host: SGLang listens on 127.0.0.1, where "
				"only its own node reaches it");
	if (sb_words_flag(words, "--api-key"))
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"SGLang takes its API key from the command line alone, which ps "
				"shows to everyone on the node");
}

static int ready(const struct sb_launch *launch, const struct sb_words *words, struct sb_ready *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;
	const char *name = sb_words_flag(words, "--served-model-name");
	int rc = sb_ready_endpoint(w, words, &endpoint, ret, diags, err);

	if (rc < 0)
		return rc;
	warn_exposure(words, diags);
	ret->model = sb_empty(name) ? sb_workload_model(w) : name;
	ret->probe = probe_of(words, sb_workload_model(w));
	return 0;
}

const struct sb_runtime sb_runtime_sglang = {
	.name = "sglang",
	.default_image = "scitrera/dgx-spark-sglang:latest",
	.family = "sglang",
	.naming = SB_NAMING_NODE,
	.env = common_env,
	.cluster_env = cluster_env,
	.one_node_by_default = true,
	.gguf = &gguf,
	.required = required,
	.serve = serve,
	.rank = rank,
	.ready = ready,
};
