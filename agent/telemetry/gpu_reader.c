/* gpu_reader.c - a thread for calls that may never come back.
 *
 * A stuck driver holds a call into NVML for seconds, or for ever. The loop asks and takes; the
 * thread reads in between. Both own the reader, and the last one frees it: an agent that ends waits
 * a moment for its thread, and goes without it when a call hangs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "telemetry_parts.h"

/* A call that works is back within milliseconds. */
#define END_WAIT_MS 200

struct gpu_reader {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ending;
	unsigned owners;
	bool asked, quit, ended;
	uint64_t busy_since_ms; /* 0 = idle */
	Sparkbus__GpuState *result;
	char library[]; /* name to open */
};

/* Called with the lock held; lets go of it. */
static void let_go(struct gpu_reader *r)
{
	bool last = --r->owners == 0;

	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	if (r->result)
		sparkbus__gpu_state__free_unpacked(r->result, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->ending);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void *run(void *arg)
{
	struct gpu_reader *r = arg;
	struct nvml_session session = { 0 };

	pthread_mutex_lock(&r->lock);
	while (!r->quit) {
		Sparkbus__GpuState *fresh;

		if (!r->asked) {
			pthread_cond_wait(&r->wake, &r->lock);
			continue;
		}
		r->asked = false;
		r->busy_since_ms = sb_now_boot_ms();
		pthread_mutex_unlock(&r->lock);
		fresh = nvml_read(&session, r->library);
		pthread_mutex_lock(&r->lock);
		r->busy_since_ms = 0;
		if (r->result)
			sparkbus__gpu_state__free_unpacked(r->result, NULL);
		r->result = fresh;
	}
	pthread_mutex_unlock(&r->lock);
	nvml_done(&session);
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_signal(&r->ending);
	let_go(r);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct gpu_reader *r)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int gpu_reader_new(const char *library, struct gpu_reader **ret, struct sb_err *err)
{
	size_t size = strlen(library) + 1;
	struct gpu_reader *r = calloc(1, sizeof(*r) + size);
	int rc;

	if (!r)
		return sb_err_nomem(err);
	memcpy(r->library, library, size);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	pthread_cond_init(&r->ending, NULL);
	r->owners = 2;
	rc = start(r);
	if (rc != 0) {
		r->owners = 1;
		pthread_mutex_lock(&r->lock);
		let_go(r);
		return sb_err_errno(err, rc, "thread for the GPU");
	}
	*ret = r;
	return 0;
}

/* What the C library keeps for a thread is freed when it is joined, and not while a process ends.
 */
static void joined(struct gpu_reader *r)
{
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_mutex_lock(&r->lock);
}

void gpu_reader_free(struct gpu_reader *r)
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

void gpu_reader_ask(struct gpu_reader *r)
{
	pthread_mutex_lock(&r->lock);
	if (!r->busy_since_ms) {
		r->asked = true;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
}

Sparkbus__GpuState *gpu_reader_take(struct gpu_reader *r, uint64_t *ret_busy_ms)
{
	Sparkbus__GpuState *result;

	pthread_mutex_lock(&r->lock);
	result = sb_steal(r->result);
	*ret_busy_ms = r->busy_since_ms ? sb_now_boot_ms() - r->busy_since_ms : 0;
	pthread_mutex_unlock(&r->lock);
	return result;
}
