#include "engine.h"

#include "fault.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define POLL_S 0.02 /* how often a waiting request looks whether its client is still there */

struct es_config es_config;

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

const char *const es_reasons[ES_REASONS] = { "stop", "length", "abort", "error" };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct es_stats st = { .hists = {
					      [ES_H_TTFT] = { .bounds = { 0.001, 0.005, 0.01, 0.02,
									      0.04, 0.06, 0.08, 0.1,
									      0.25, 0.5, 0.75, 1,
									      2.5, 5, 7.5, 10, 20,
									      40, 80, 160, 640 } },
					      [ES_H_ITL] = { .bounds = STEP_BOUNDS },
					      [ES_H_TPOT] = { .bounds = STEP_BOUNDS },
					      [ES_H_E2E] = { .bounds = LATENCY_BOUNDS },
					      [ES_H_QUEUE] = { .bounds = LATENCY_BOUNDS },
					      [ES_H_PREFILL] = { .bounds = LATENCY_BOUNDS },
					      [ES_H_DECODE] = { .bounds = LATENCY_BOUNDS },
					      [ES_H_PROMPT] = { .bounds = TOKEN_BOUNDS },
					      [ES_H_GENERATION] = { .bounds = TOKEN_BOUNDS },
			      } };

void es_stats_get(struct es_stats *ret)
{
	pthread_mutex_lock(&lock);
	*ret = st;
	pthread_mutex_unlock(&lock);
}

static void observe(struct es_hist *h, double v)
{
	int i = 0;

	while (i < ES_BOUNDS_MAX && h->bounds[i] > 0 && v > h->bounds[i])
		i++;
	if (i < ES_BOUNDS_MAX && h->bounds[i] <= 0)
		i = ES_BOUNDS_MAX; /* +Inf */
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

	pthread_mutex_lock(&lock);
	got = st.running < es_config.max_num_seqs;
	if (got) {
		st.waiting--;
		st.running++;
	}
	pthread_mutex_unlock(&lock);
	return got;
}

static int leave_queue(void)
{
	pthread_mutex_lock(&lock);
	st.waiting--;
	st.finished[2]++;
	pthread_mutex_unlock(&lock);
	return -1;
}

int es_gen_begin(struct es_gen *g)
{
	double start;

	g->arrived = es_now();
	pthread_mutex_lock(&lock);
	st.waiting++;
	pthread_mutex_unlock(&lock);
	while (!take_slot()) {
		if (client_gone(g->client))
			return leave_queue();
		es_sleep_until(es_now() + POLL_S / 4);
	}
	start = es_now();
	pthread_mutex_lock(&lock);
	st.tokens_held += g->prompt_tokens;
	observe(&st.hists[ES_H_QUEUE], start - g->arrived);
	pthread_mutex_unlock(&lock);
	g->first = start;
	g->last = start;
	g->next = start;
	if (es_config.prefill_tps > 0)
		g->next += g->prompt_tokens / es_config.prefill_tps;
	if (wait_until(g, g->next) < 0) {
		es_gen_end(g, "abort");
		return -1;
	}
	pthread_mutex_lock(&lock);
	st.prompt_tokens += (unsigned long)g->prompt_tokens;
	observe(&st.hists[ES_H_PREFILL], es_now() - start);
	pthread_mutex_unlock(&lock);
	return 0;
}

int es_gen_token(struct es_gen *g)
{
	double now;

	if (es_config.decode_tps > 0)
		g->next += 1 / es_config.decode_tps;
	if (wait_until(g, g->next) < 0)
		return -1;
	if (es_config.step)
		es_config.step();
	now = es_now();
	if (now - g->next > 1) /* after a hang the pace resumes, the lost time is not made up for */
		g->next = now;
	pthread_mutex_lock(&lock);
	st.generation_tokens++;
	st.tokens_held++;
	observe(&st.hists[g->generated ? ES_H_ITL : ES_H_TTFT],
			now - (g->generated ? g->last : g->arrived));
	pthread_mutex_unlock(&lock);
	if (!g->generated++)
		g->first = now;
	g->last = now;
	return 0;
}

void es_gen_end(struct es_gen *g, const char *reason)
{
	double now = es_now();

	pthread_mutex_lock(&lock);
	st.running--;
	st.tokens_held -= g->prompt_tokens + g->generated;
	for (size_t i = 0; i < ES_REASONS; i++)
		if (!strcmp(es_reasons[i], reason))
			st.finished[i]++;
	if (strcmp(reason, "abort")) {
		observe(&st.hists[ES_H_E2E], now - g->arrived);
		observe(&st.hists[ES_H_DECODE], g->last - g->first);
		observe(&st.hists[ES_H_PROMPT], g->prompt_tokens);
		observe(&st.hists[ES_H_GENERATION], g->generated);
		if (g->generated > 1)
			observe(&st.hists[ES_H_TPOT], (g->last - g->first) / (g->generated - 1));
	}
	pthread_mutex_unlock(&lock);
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
