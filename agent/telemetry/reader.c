/* reader.c - a thread for calls that may never come back.
 *
 * A stuck driver holds a call into NVML or libibverbs, or a read of sysfs, for seconds, or for
 * ever. The loop asks and takes; the thread reads in between. Both own the reader, and the last one
 * frees it: an agent that ends waits a moment for its thread, and goes without it when a call
 * hangs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "telemetry_parts.h"

/* A call that works is back within milliseconds. */
#define END_WAIT_MS 200

struct reader {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ending;
	unsigned owners;
	bool asked, quit, ended;
	uint64_t busy_since_ms; /* 0 = idle */
	const struct reader_ops *ops;
	void *session; /* only the thread looks into it */
	void *result;
};

/* Called with the lock held; lets go of it. */
static void let_go(struct reader *r)
{
	bool last = --r->owners == 0;

	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	if (r->result)
		r->ops->free_result(r->result);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->ending);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void *run(void *arg)
{
	struct reader *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->quit) {
		void *fresh;

		if (!r->asked) {
			pthread_cond_wait(&r->wake, &r->lock);
			continue;
		}
		r->asked = false;
		r->busy_since_ms = sb_now_boot_ms();
		pthread_mutex_unlock(&r->lock);
		fresh = r->ops->read(r->session);
		pthread_mutex_lock(&r->lock);
		r->busy_since_ms = 0;
		if (r->result)
			r->ops->free_result(r->result);
		r->result = fresh;
	}
	pthread_mutex_unlock(&r->lock);
	r->ops->free_session(r->session);
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_signal(&r->ending);
	let_go(r);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct reader *r)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int reader_new(const struct reader_ops *ops, void *session, struct reader **ret, struct sb_err *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		ops->free_session(session);
		return sb_err_nomem(err);
	}
	r->ops = ops;
	r->session = session;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	pthread_cond_init(&r->ending, NULL);
	r->owners = 2;
	rc = start(r);
	if (rc != 0) {
		ops->free_session(session);
		r->owners = 1;
		pthread_mutex_lock(&r->lock);
		let_go(r);
		return sb_err_errno(err, rc, "thread for %s", ops->name);
	}
	*ret = r;
	return 0;
}

/* What the C library keeps for a thread is freed when it is joined, and not while a process ends.
 */
static void joined(struct reader *r)
{
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_mutex_lock(&r->lock);
}

void reader_free(struct reader *r)
{
	struct timespec until;
	int rc = 0;

	if (!r)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += END_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	pthread_cond_signal(&r->wake);
	while (!r->ended && rc == 0)
		rc = pthread_cond_clockwait(&r->ending, &r->lock, CLOCK_MONOTONIC, &until);
	if (r->ended) /* it holds the lock no more than a moment from here on */
		joined(r);
	else
		pthread_detach(r->thread);
	let_go(r);
}

void reader_ask(struct reader *r)
{
	pthread_mutex_lock(&r->lock);
	if (!r->busy_since_ms) {
		r->asked = true;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
}

void *reader_take(struct reader *r, uint64_t *ret_busy_ms)
{
	void *result;

	pthread_mutex_lock(&r->lock);
	result = sb_steal(r->result);
	*ret_busy_ms = r->busy_since_ms ? sb_now_boot_ms() - r->busy_since_ms : 0;
	pthread_mutex_unlock(&r->lock);
	return result;
}
