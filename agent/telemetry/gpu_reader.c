/* gpu_reader.c - a thread for calls that may never come back.
 *
 * A stuck driver holds a call into NVML for seconds, or for ever. The loop asks and takes; the
 * thread reads in between. Both own the reader, and the last one frees it, so that an agent which
 * ends does not wait for a call that hangs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "telemetry_parts.h"

struct gpu_reader {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned owners;
	bool asked, quit;
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
	let_go(r);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct gpu_reader *r)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, run, r);
	pthread_attr_destroy(&attr);
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
	r->owners = 2;
	rc = start(r);
	if (rc != 0) {
		r->owners = 1;
		gpu_reader_free(r);
		return sb_err_errno(err, rc, "thread for the GPU");
	}
	*ret = r;
	return 0;
}

void gpu_reader_free(struct gpu_reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	pthread_cond_signal(&r->wake);
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
