/* metrics.c - the engine's counters in Prometheus' text form, under each engine's own names */
#include "engine.h"

#include <string.h>

/* What a row shows. */
enum what {
	W_RUNNING,
	W_WAITING,
	W_KV_SHARE,
	W_KV_TOKENS,
	W_PROMPT,
	W_GENERATION,
	W_FINISHED,
	W_PROMPT_S,
	W_GENERATION_S,
	W_PROMPT_RATE,
	W_GENERATION_RATE,
	W_ZERO,
	W_COUNT,
};

struct row {
	const char *name; /* with the prefix; as it is on the sample */
	const char *type;
	enum what what;
	const char *help;
};

struct hist_row {
	const char *name;
	enum es_hist_id id;
	const char *help;
};

/* One engine's names. */
struct names {
	bool bare;          /* no labels at all */
	const char *before; /* labels that sort before "le" and "model_name", with their comma */
	const char *after;  /* behind the model's name, with a comma in front */
	const struct row *rows;
	size_t n_rows;
	const struct hist_row *hists;
	size_t n_hists;
};

static void head(struct es_buf *b, const char *name, const char *type, const char *help)
{
	es_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static double value(const struct es_stats *st, enum what what)
{
	double prefill = st->hists[ES_H_PREFILL].sum, decode = st->hists[ES_H_DECODE].sum;
	double finished = 0;

	for (size_t i = 0; i < ES_REASONS; i++)
		finished += (double)st->finished[i];
	return (const double[W_COUNT]){ [W_RUNNING] = st->running,
		[W_WAITING] = st->waiting,
		[W_KV_SHARE] = st->tokens_held / es_config.kv_tokens,
		[W_KV_TOKENS] = st->tokens_held,
		[W_PROMPT] = (double)st->prompt_tokens,
		[W_GENERATION] = (double)st->generation_tokens,
		[W_PROMPT_S] = prefill,
		[W_GENERATION_S] = decode,
		[W_PROMPT_RATE] = prefill > 0 ? (double)st->prompt_tokens / prefill : 0,
		[W_GENERATION_RATE] = decode > 0 ? (double)st->generation_tokens / decode : 0,
		[W_FINISHED] = finished }[what];
}

static void write_hist(struct es_buf *b, const struct names *n, const struct hist_row *row,
		const struct es_hist *h)
{
	const char *model = es_config.names[0];
	unsigned long count = 0;

	head(b, row->name, "histogram", row->help);
	for (int i = 0; i < ES_BOUNDS_MAX && h->bounds[i] > 0; i++) {
		count += h->counts[i];
		es_buf_printf(b, "%s_bucket{%sle=\"%g\",model_name=\"%s\"%s} %lu\n", row->name,
				n->before, h->bounds[i], model, n->after, count);
	}
	count += h->counts[ES_BOUNDS_MAX];
	es_buf_printf(b, "%s_bucket{%sle=\"+Inf\",model_name=\"%s\"%s} %lu\n", row->name, n->before,
			model, n->after, count);
	es_buf_printf(b, "%s_count{%smodel_name=\"%s\"%s} %lu\n", row->name, n->before, model,
			n->after, count);
	es_buf_printf(b, "%s_sum{%smodel_name=\"%s\"%s} %.9g\n", row->name, n->before, model,
			n->after, h->sum);
}

static void write_all(struct es_buf *b, const struct names *n, const struct es_stats *st)
{
	for (size_t i = 0; i < n->n_rows; i++) {
		const struct row *r = &n->rows[i];

		head(b, r->name, r->type, r->help);
		if (n->bare)
			es_buf_printf(b, "%s %.17g\n", r->name, value(st, r->what));
		else
			es_buf_printf(b, "%s{%smodel_name=\"%s\"%s} %.17g\n", r->name, n->before,
					es_config.names[0], n->after, value(st, r->what));
	}
	for (size_t i = 0; i < n->n_hists; i++)
		write_hist(b, n, &n->hists[i], &st->hists[n->hists[i].id]);
}

/* --- vLLM --- */

static const struct row vllm_rows[] = {
	{ "vllm:num_requests_running", "gauge", W_RUNNING,
			"Number of requests in model execution batches." },
	{ "vllm:num_requests_waiting", "gauge", W_WAITING,
			"Number of requests waiting to be processed." },
	{ "vllm:kv_cache_usage_perc", "gauge", W_KV_SHARE,
			"KV-cache usage. 1 means 100 percent usage." },
	{ "vllm:gpu_cache_usage_perc", "gauge", W_KV_SHARE,
			"GPU KV-cache usage. 1 means 100 percent usage." },
	{ "vllm:num_preemptions_total", "counter", W_ZERO,
			"Cumulative number of preemption from the engine." },
	{ "vllm:prefix_cache_queries_total", "counter", W_PROMPT,
			"Prefix cache queries, in tokens." },
	{ "vllm:prefix_cache_hits_total", "counter", W_ZERO, "Prefix cache hits, in tokens." },
	{ "vllm:prompt_tokens_total", "counter", W_PROMPT, "Number of prefill tokens processed." },
	{ "vllm:generation_tokens_total", "counter", W_GENERATION,
			"Number of generation tokens processed." },
};

static const struct hist_row vllm_hists[] = {
	{ "vllm:time_to_first_token_seconds", ES_H_TTFT,
			"Histogram of time to first token in seconds." },
	{ "vllm:inter_token_latency_seconds", ES_H_ITL,
			"Histogram of inter-token latency in seconds." },
	{ "vllm:time_per_output_token_seconds", ES_H_TPOT,
			"Histogram of time per output token in seconds." },
	{ "vllm:e2e_request_latency_seconds", ES_H_E2E,
			"Histogram of e2e request latency in seconds." },
	{ "vllm:request_queue_time_seconds", ES_H_QUEUE,
			"Histogram of time spent in WAITING phase for request." },
	{ "vllm:request_prefill_time_seconds", ES_H_PREFILL,
			"Histogram of time spent in PREFILL phase for request." },
	{ "vllm:request_decode_time_seconds", ES_H_DECODE,
			"Histogram of time spent in DECODE phase for request." },
	{ "vllm:request_prompt_tokens", ES_H_PROMPT, "Number of prefill tokens processed." },
	{ "vllm:request_generation_tokens", ES_H_GENERATION,
			"Number of generation tokens processed." },
};

static const struct names vllm_names = { .before = "engine=\"0\",",
	.after = "",
	.rows = vllm_rows,
	.n_rows = ES_COUNTOF(vllm_rows),
	.hists = vllm_hists,
	.n_hists = ES_COUNTOF(vllm_hists) };

void es_metrics_vllm(struct es_buf *b)
{
	struct es_stats st;

	es_stats_get(&st);
	write_all(b, &vllm_names, &st);
	head(b, "vllm:request_success_total", "counter",
			"Count of successfully processed requests.");
	for (size_t i = 0; i < ES_REASONS; i++)
		es_buf_printf(b,
				"vllm:request_success_total{engine=\"0\",finished_reason=\"%s\","
				"model_name=\"%s\"} %lu\n",
				es_reasons[i], es_config.names[0], st.finished[i]);
	head(b, "vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
	es_buf_printf(b,
			"vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\","
			"enable_prefix_caching=\"%s\",engine=\"0\",num_gpu_blocks=\"%.0f\"} 1.0\n",
			es_config.prefix_caching ? "True" : "False", es_config.kv_tokens / 16);
}

/* --- SGLang --- */

static const struct row sglang_rows[] = {
	{ "sglang:num_running_reqs", "gauge", W_RUNNING, "The number of running requests." },
	{ "sglang:num_queue_reqs", "gauge", W_WAITING,
			"The number of requests in the waiting queue." },
	{ "sglang:num_used_tokens", "gauge", W_KV_TOKENS, "The number of used tokens." },
	{ "sglang:token_usage", "gauge", W_KV_SHARE, "The token usage." },
	{ "sglang:cache_hit_rate", "gauge", W_ZERO, "The prefix cache hit rate." },
	{ "sglang:prompt_tokens_total", "counter", W_PROMPT,
			"Number of prefill tokens processed." },
	{ "sglang:generation_tokens_total", "counter", W_GENERATION,
			"Number of generation tokens processed." },
	{ "sglang:num_requests_total", "counter", W_FINISHED, "Number of requests processed." },
};

static const struct hist_row sglang_hists[] = {
	{ "sglang:time_to_first_token_seconds", ES_H_TTFT,
			"Histogram of time to first token in seconds." },
	{ "sglang:inter_token_latency_seconds", ES_H_ITL,
			"Histogram of inter-token latency in seconds." },
	{ "sglang:e2e_request_latency_seconds", ES_H_E2E,
			"Histogram of End-to-end request latency in seconds" },
};

static const struct names sglang_names = { .before = "engine_type=\"unified\",",
	.after = ",pp_rank=\"0\",tp_rank=\"0\"",
	.rows = sglang_rows,
	.n_rows = ES_COUNTOF(sglang_rows),
	.hists = sglang_hists,
	.n_hists = ES_COUNTOF(sglang_hists) };

void es_metrics_sglang(struct es_buf *b)
{
	struct es_stats st;

	es_stats_get(&st);
	write_all(b, &sglang_names, &st);
}

/* --- llama.cpp --- */

static const struct row llama_rows[] = {
	{ "llamacpp:prompt_tokens_total", "counter", W_PROMPT,
			"Number of prompt tokens processed." },
	{ "llamacpp:prompt_seconds_total", "counter", W_PROMPT_S, "Prompt process time" },
	{ "llamacpp:tokens_predicted_total", "counter", W_GENERATION,
			"Number of generation tokens processed." },
	{ "llamacpp:tokens_predicted_seconds_total", "counter", W_GENERATION_S,
			"Predict process time" },
	{ "llamacpp:n_decode_total", "counter", W_GENERATION,
			"Total number of llama_decode() calls" },
	{ "llamacpp:prompt_tokens_seconds", "gauge", W_PROMPT_RATE,
			"Average prompt throughput in tokens/s." },
	{ "llamacpp:predicted_tokens_seconds", "gauge", W_GENERATION_RATE,
			"Average generation throughput in tokens/s." },
	{ "llamacpp:requests_processing", "gauge", W_RUNNING, "Number of requests processing." },
	{ "llamacpp:requests_deferred", "gauge", W_WAITING, "Number of requests deferred." },
};

static const struct names llama_names = {
	.bare = true, .rows = llama_rows, .n_rows = ES_COUNTOF(llama_rows)
};

void es_metrics_llama(struct es_buf *b)
{
	struct es_stats st;

	es_stats_get(&st);
	write_all(b, &llama_names, &st);
}
