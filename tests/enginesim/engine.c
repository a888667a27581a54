#include "engine.h"

#include "fault.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define POLL_S 0.02 /* how often a waiting request looks whether its client is still there */

#define BOUNDS_MAX 24

struct es_config es_config;

struct hist {
	const char *name;
	const char *help;
	double bounds[BOUNDS_MAX]; /* ascending; 0 ends them */
	unsigned long counts[BOUNDS_MAX + 1];
	double sum;
};

enum {
	H_TTFT,
	H_ITL,
	H_TPOT,
	H_E2E,
	H_QUEUE,
	H_PREFILL,
	H_DECODE,
	H_PROMPT,
	H_GENERATION,
	H_COUNT
};

#define LATENCY_BOUNDS                                                                             \
	{                                                                                          \
		0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960   \
	}
#define STEP_BOUNDS                                                                                \
	{                                                                                          \
		0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, \
				20                                                                 \
	}
#define TOKEN_BOUNDS                                                                               \
	{                                                                                          \
		1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, \
				200000                                                             \
	}

static struct hist hists[H_COUNT] = {
	[H_TTFT] = { "time_to_first_token_seconds", "Histogram of time to first token in seconds.",
			{ 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5,
					5, 7.5, 10, 20, 40, 80, 160, 640 } },
	[H_ITL] = { "inter_token_latency_seconds", "Histogram of inter-token latency in seconds.",
			STEP_BOUNDS },
	[H_TPOT] = { "time_per_output_token_seconds",
			"Histogram of time per output token in seconds.", STEP_BOUNDS },
	[H_E2E] = { "e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.",
			LATENCY_BOUNDS },
	[H_QUEUE] = { "request_queue_time_seconds",
			"Histogram of time spent in WAITING phase for request.", LATENCY_BOUNDS },
	[H_PREFILL] = { "request_prefill_time_seconds",
			"Histogram of time spent in PREFILL phase for request.", LATENCY_BOUNDS },
	[H_DECODE] = { "request_decode_time_seconds",
			"Histogram of time spent in DECODE phase for request.", LATENCY_BOUNDS },
	[H_PROMPT] = { "request_prompt_tokens", "Number of prefill tokens processed.",
			TOKEN_BOUNDS },
	[H_GENERATION] = { "request_generation_tokens", "Number of generation tokens processed.",
			TOKEN_BOUNDS },
};

static const char *const reasons[] = { "stop", "length", "abort", "error" };

static struct {
	pthread_mutex_t lock;
	int running;
	int waiting;
	double tokens_held; /* prompt and output of the running requests */
	unsigned long prompt_tokens;
	unsigned long generation_tokens;
	unsigned long finished[ES_COUNTOF(reasons)];
} st = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void observe(struct hist *h, double v)
{
	int i = 0;

	while (i < BOUNDS_MAX && h->bounds[i] > 0 && v > h->bounds[i])
		i++;
	if (i < BOUNDS_MAX && h->bounds[i] <= 0)
		i = BOUNDS_MAX; /* +Inf */
	h->counts[i]++;
	h->sum += v;
}

static bool client_gone(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Sleep to @when, and on while the engine hangs. Return: -1 if the client went meanwhile. */
static int wait_until(const struct es_gen *g, double when)
{
	for (;;) {
		double now = es_now();
		bool hung = es_fault_on(ES_FAULT_HANG);

		if (now >= when && !hung)
			return 0;
		if (client_gone(g->client))
			return -1;
		es_sleep_until(hung || when - now > POLL_S ? now + POLL_S : when);
	}
}

static bool take_slot(void)
{
	bool got;

	pthread_mutex_lock(&st.lock);
	got = st.running < es_config.max_num_seqs;
	if (got) {
		st.waiting--;
		st.running++;
	}
	pthread_mutex_unlock(&st.lock);
	return got;
}

static int leave_queue(void)
{
	pthread_mutex_lock(&st.lock);
	st.waiting--;
	st.finished[2]++;
	pthread_mutex_unlock(&st.lock);
	return -1;
}

int es_gen_begin(struct es_gen *g)
{
	double start;

	g->arrived = es_now();
	pthread_mutex_lock(&st.lock);
	st.waiting++;
	pthread_mutex_unlock(&st.lock);
	while (!take_slot()) {
		if (client_gone(g->client))
			return leave_queue();
		es_sleep_until(es_now() + POLL_S / 4);
	}
	start = es_now();
	pthread_mutex_lock(&st.lock);
	st.tokens_held += g->prompt_tokens;
	observe(&hists[H_QUEUE], start - g->arrived);
	pthread_mutex_unlock(&st.lock);
	g->first = start;
	g->last = start;
	g->next = start;
	if (es_config.prefill_tps > 0)
		g->next += g->prompt_tokens / es_config.prefill_tps;
	if (wait_until(g, g->next) < 0) {
		es_gen_end(g, "abort");
		return -1;
	}
	pthread_mutex_lock(&st.lock);
	st.prompt_tokens += (unsigned long)g->prompt_tokens;
	observe(&hists[H_PREFILL], es_now() - start);
	pthread_mutex_unlock(&st.lock);
	return 0;
}

int es_gen_token(struct es_gen *g)
{
	double now;

	if (es_config.decode_tps > 0)
		g->next += 1 / es_config.decode_tps;
	if (wait_until(g, g->next) < 0)
		return -1;
	now = es_now();
	if (now - g->next > 1) /* after a hang the pace resumes, the lost time is not made up for */
		g->next = now;
	pthread_mutex_lock(&st.lock);
	st.generation_tokens++;
	st.tokens_held++;
	observe(&hists[g->generated ? H_ITL : H_TTFT], now - (g->generated ? g->last : g->arrived));
	pthread_mutex_unlock(&st.lock);
	if (!g->generated++)
		g->first = now;
	g->last = now;
	return 0;
}

void es_gen_end(struct es_gen *g, const char *reason)
{
	double now = es_now();

	pthread_mutex_lock(&st.lock);
	st.running--;
	st.tokens_held -= g->prompt_tokens + g->generated;
	for (size_t i = 0; i < ES_COUNTOF(reasons); i++)
		if (!strcmp(reasons[i], reason))
			st.finished[i]++;
	if (strcmp(reason, "abort")) {
		observe(&hists[H_E2E], now - g->arrived);
		observe(&hists[H_DECODE], g->last - g->first);
		observe(&hists[H_PROMPT], g->prompt_tokens);
		observe(&hists[H_GENERATION], g->generated);
		if (g->generated > 1)
			observe(&hists[H_TPOT], (g->last - g->first) / (g->generated - 1));
	}
	pthread_mutex_unlock(&st.lock);
}

static void head(struct es_buf *b, const char *name, const char *type, const char *help)
{
	const char *suffix = strcmp(type, "counter") ? "" : "_total";

	es_buf_printf(b, "# HELP vllm:%s%s %s\n# TYPE vllm:%s%s %s\n", name, suffix, help, name,
			suffix, type);
}

static void single(struct es_buf *b, const char *name, const char *type, const char *help, double v)
{
	head(b, name, type, help);
	es_buf_printf(b, "vllm:%s%s{engine=\"0\",model_name=\"%s\"} %.17g\n", name,
			strcmp(type, "counter") ? "" : "_total", es_config.names[0], v);
}

static void write_hist(struct es_buf *b, const struct hist *h)
{
	unsigned long n = 0;

	head(b, h->name, "histogram", h->help);
	for (int i = 0; i < BOUNDS_MAX && h->bounds[i] > 0; i++) {
		n += h->counts[i];
		es_buf_printf(b, "vllm:%s_bucket{engine=\"0\",le=\"%g\",model_name=\"%s\"} %lu\n",
				h->name, h->bounds[i], es_config.names[0], n);
	}
	n += h->counts[BOUNDS_MAX];
	es_buf_printf(b, "vllm:%s_bucket{engine=\"0\",le=\"+Inf\",model_name=\"%s\"} %lu\n",
			h->name, es_config.names[0], n);
	es_buf_printf(b, "vllm:%s_count{engine=\"0\",model_name=\"%s\"} %lu\n", h->name,
			es_config.names[0], n);
	es_buf_printf(b, "vllm:%s_sum{engine=\"0\",model_name=\"%s\"} %.9g\n", h->name,
			es_config.names[0], h->sum);
}

static void write_info(struct es_buf *b)
{
	head(b, "cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
	es_buf_printf(b,
			"vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\","
			"enable_prefix_caching=\"%s\",engine=\"0\",num_gpu_blocks=\"%.0f\"} 1.0\n",
			es_config.prefix_caching ? "True" : "False", es_config.kv_tokens / 16);
}

void es_metrics_write(struct es_buf *b)
{
	double usage;

	pthread_mutex_lock(&st.lock);
	usage = st.tokens_held / es_config.kv_tokens;
	single(b, "num_requests_running", "gauge", "Number of requests in model execution batches.",
			st.running);
	single(b, "num_requests_waiting", "gauge", "Number of requests waiting to be processed.",
			st.waiting);
	single(b, "kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.",
			usage);
	single(b, "gpu_cache_usage_perc", "gauge", "GPU KV-cache usage. 1 means 100 percent usage.",
			usage);
	single(b, "num_preemptions", "counter", "Cumulative number of preemption from the engine.",
			0);
	single(b, "prefix_cache_queries", "counter", "Prefix cache queries, in tokens.",
			(double)st.prompt_tokens);
	single(b, "prefix_cache_hits", "counter", "Prefix cache hits, in tokens.", 0);
	single(b, "prompt_tokens", "counter", "Number of prefill tokens processed.",
			(double)st.prompt_tokens);
	single(b, "generation_tokens", "counter", "Number of generation tokens processed.",
			(double)st.generation_tokens);
	head(b, "request_success", "counter", "Count of successfully processed requests.");
	for (size_t i = 0; i < ES_COUNTOF(reasons); i++)
		es_buf_printf(b,
				"vllm:request_success_total{engine=\"0\",finished_reason=\"%s\","
				"model_name=\"%s\"} %lu\n",
				reasons[i], es_config.names[0], st.finished[i]);
	for (size_t i = 0; i < H_COUNT; i++)
		write_hist(b, &hists[i]);
	write_info(b);
	pthread_mutex_unlock(&st.lock);
}

bool es_word(const char **at, const char **ret_p, size_t *ret_len)
{
	const char *p = *at;

	while (isspace((unsigned char)*p))
		p++;
	if (!*p)
		return false;
	while (*p && !isspace((unsigned char)*p))
		p++;
	*ret_p = *at;
	*ret_len = (size_t)(p - *at);
	*at = p;
	return true;
}

int es_words(const char *text)
{
	bool in_word = false;
	int n = 0;

	for (; *text; text++) {
		bool space = isspace((unsigned char)*text);

		n += !space && !in_word;
		in_word = !space;
	}
	return n;
}
