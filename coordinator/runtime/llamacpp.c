/* llamacpp.c - llama.cpp: one llama-server, which spreads the model's layers over the rpc-servers
 * of the other nodes. Workers come first and the head dials them; only the head reads the model. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define RPC_PORT 50052
/* An rpc-server opens its port as soon as it has found its GPU. */
#define GATE_TIMEOUT_MS ((uint64_t)2 * 60 * 1000)

static const struct sb_flag flags[] = {
	{ "port", "--port" },
	{ "host", "--host" },
	{ "ctx_size", "--ctx-size" },
	{ "n_gpu_layers", "--n-gpu-layers" },
	{ "parallel", "--parallel" },
	{ "threads", "--threads" },
	{ "chat_template", "--chat-template" },
	{ "reasoning_format", "--reasoning-format" },
	{ "split_mode", "--split-mode" },
	{ "served_model_name", "--alias" },
	/* Current llama.cpp takes the word behind a bare flag as its value. */
	{ "flash_attn", "--flash-attn on", true },
	{ "cont_batching", "--cont-batching", true },
	{ "no_webui", "--no-webui", true },
	{ "jinja", "--jinja", true },
};
/* "api_key" is not among them: it goes into the environment as LLAMA_API_KEY. */

static const struct sb_endpoint endpoint = { 8080, "LLAMA_API_KEY", "--api-key" };

static const char *const repo_flags[] = { "-hf", "-hfr", "--hf-repo", NULL };
static const char *const file_flags[] = { "-hff", "--hf-file", NULL };
static const struct sb_gguf_flags gguf = { repo_flags, "-m", file_flags, false };

/* --- nodes --- */

static int required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	bool has_tp = sb_workload_config(w, "tensor_parallel") != NULL;
	bool has_pp = sb_workload_config(w, "pipeline_parallel") != NULL;
	unsigned tp = 1, pp = 1, dp = 1;
	int rc = sb_parallel_of(w, "tensor_parallel", &tp, err);

	if (rc == 0)
		rc = sb_parallel_of(w, "pipeline_parallel", &pp, err);
	if (rc == 0)
		rc = sb_parallel_of(w, "data_parallel", &dp, err);
	if (rc < 0)
		return rc;
	if (dp > 1)
		return sb_workload_err(w, "defaults.data_parallel", SB_E_INVALID, err,
				"llama.cpp runtime does not support data_parallel > 1 (got %u)",
				dp);
	if (tp > 1 && pp > 1)
		return sb_workload_err(w, "defaults.pipeline_parallel", SB_E_INVALID, err,
				"llama.cpp does not support tensor_parallel and pipeline_parallel "
				"simultaneously; set one of them");
	*ret = !has_tp && !has_pp ? 0 : tp > 1 ? tp : pp;
	return 0;
}

/* The parallelism setting that splits the model; NULL when they say nothing. */
static const struct sb_value *split_value(const struct sb_workload *w)
{
	static const char *const keys[] = { "tensor_parallel", "pipeline_parallel" };

	for (size_t i = 0; i < sb_countof(keys); i++) {
		unsigned n = 1;

		sb_parallel_of(w, keys[i], &n, NULL);
		if (n > 1)
			return sb_workload_config(w, keys[i]);
	}
	return NULL;
}

static void split_add(
		const struct sb_workload *w, const struct sb_value *parallel, struct sb_strbuf *out)
{
	sb_strbuf_addm(out, sb_value_mark(w, parallel), " --split-mode %s",
			!strcmp(parallel->key, "tensor_parallel") ? "row" : "layer");
}

/* --- the command --- */

static bool is_gguf_file(const char *model)
{
	size_t len = strlen(model);

	return len >= 5 && !strcasecmp(model + len - 5, ".gguf");
}

static void generate(const struct sb_workload *w, struct sb_strbuf *out)
{
	static const char *const skip[] = { "split_mode", "served_model_name", "flash_attn",
		"cont_batching", "no_webui", "jinja", NULL };
	const struct sb_value *own = sb_workload_config(w, "split_mode");
	const struct sb_value *mode = split_value(w);
	const char *model = sb_workload_model(w);
	size_t behind = 0; /* the first flag behind --split-mode */

	while (strcmp(flags[behind++].key, "split_mode") != 0)
		;
	sb_model_add(w,
			!is_gguf_file(model) && strchr(model, '/') ? "llama-server -hf"
								   : "llama-server -m",
			out);
	sb_flags_add(w, flags, sb_countof(flags), skip, out);
	if (mode)
		split_add(w, mode, out);
	else
		sb_strbuf_addm(out, own ? sb_value_mark(w, own) : out->mark, " --split-mode %s",
				own ? own->text : "layer");
	sb_flags_add(w, flags + behind, sb_countof(flags) - behind, NULL, out);
}

/* Drop every "--split-mode <word>" of @text and end it with the mode that parallelism asks for. */
static void replace_split_mode(
		const struct sb_workload *w, const struct sb_value *parallel, struct sb_strbuf *out)
{
	static const char flag[] = "--split-mode";
	static const char blanks[] = " \t\r\n";
	size_t from = 0;
	const char *hit;

	while ((hit = strstr(sb_strbuf_str(out) + from, flag))) {
		const char *value = hit + strlen(flag);

		from = (size_t)(hit - out->data);
		if (!*value || !strchr(blanks, *value)) { /* another flag, or "--split-mode=x" */
			from += strlen(flag);
			continue;
		}
		value += strspn(value, blanks);
		value += strcspn(value, blanks);
		sb_strbuf_remove(out, from, (size_t)(value - hit));
	}
	sb_shell_trim_tail_buf(out);
	split_add(w, parallel, out);
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;
	const struct sb_value *mode = split_value(w);
	bool has_template = false;
	int rc = sb_template_add(w, out, &has_template, diags, err);

	if (rc == 0 && !has_template)
		generate(w, out);
	if (rc == 0 && has_template && mode)
		replace_split_mode(w, mode, out);
	if (rc == 0 && has_template)
		sb_served_name_add(w, "--alias", out);
	if (rc < 0)
		return rc;
	return out->failed ? sb_err_nomem(err) : 0;
}

/* --- ranks --- */

/* It takes commands from whoever reaches it, so it listens where the head dials and nowhere else.
 */
static void be_worker(const struct sb_launch *launch, unsigned rank, struct sb_rank_part *ret)
{
	sb_strbuf_addf(&ret->serve, "rpc-server --host %s --port %u", launch->addresses[rank],
			RPC_PORT);
	sb_rank_part_port(ret, RPC_PORT);
	ret->gate_port = RPC_PORT;
	ret->gate_timeout_ms = GATE_TIMEOUT_MS;
	ret->init = true;
}

static void be_head(const struct sb_launch *launch, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret)
{
	sb_strbuf_add_part(&ret->serve, base, 0, base->len);
	for (size_t i = 1; i < launch->n; i++)
		sb_strbuf_addf(&ret->serve, "%s%s:%u", i > 1 ? "," : " --rpc ",
				launch->addresses[i], RPC_PORT);
	sb_rank_part_port(ret, sb_words_port(words, endpoint.port));
	ret->stage = launch->n > 1;
}

static int rank(const struct sb_launch *launch, unsigned rank_, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	if (rank_)
		be_worker(launch, rank_, ret);
	else
		be_head(launch, base, words, ret);
	return ret->serve.failed ? sb_err_nomem(err) : 0;
}

/* --- readiness --- */

static bool has_word(const struct sb_words *words, const char *const *any)
{
	for (; *any; any++)
		if (sb_words_flag(words, *any))
			return true;
	return false;
}

static enum sb_probe probe_of(const struct sb_words *words)
{
	static const char *const rerank[] = { "--reranking", "--rerank", NULL };
	static const char *const embed[] = { "--embedding", "--embeddings", NULL };

	if (has_word(words, rerank))
		return SB_PROBE_SCORE;
	return has_word(words, embed) ? SB_PROBE_EMBED : SB_PROBE_GENERATE;
}

static int ready(const struct sb_launch *launch, const struct sb_words *words, struct sb_ready *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;
	const char *name = sb_words_flag(words, "--alias");
	int rc = sb_ready_endpoint(w, words, &endpoint, ret, diags, err);

	if (rc < 0)
		return rc;
	if (sb_empty(name))
		name = sb_words_flag(words, "-a");
	ret->model = sb_empty(name) ? sb_workload_model(w) : name;
	ret->probe = probe_of(words);
	return 0;
}

const struct sb_runtime sb_runtime_llama_cpp = {
	.name = "llama-cpp",
	.default_image = "scitrera/dgx-spark-llama-cpp:latest",
	.family = "llama-cpp",
	.naming = SB_NAMING_ROLE,
	.api_key_env = "LLAMA_API_KEY",
	.gguf = &gguf,
	.required = required,
	.serve = serve,
	.rank = rank,
	.ready = ready,
};
