#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "sb_loop.h"

#define IDLE_S 10 /* a worker without work ends after this */

struct task {
	struct sb_mail mail;
	struct sb_workers *workers;
	struct task *next;
	struct task *prev;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

/* Waiting tasks are a queue; worked ones stay in a list of their own until they are delivered, so
 * that sb_workers_free() finds what it must withdraw from the mailbox. */
struct sb_workers {
	struct sb_mailbox *box;
	pthread_mutex_t lock;
	pthread_cond_t more; /* work came, or the end */
	pthread_cond_t gone; /* a thread ended */
	unsigned threads_max, threads, idle;
	unsigned waiting;
	struct task *first; /* waiting, oldest first */
	struct task **tail;
	struct task *posted; /* done and not delivered */
	bool stop;
};

static void posted_remove(struct sb_workers *workers, struct task *task)
{
	if (task->prev)
		task->prev->next = task->next;
	else
		workers->posted = task->next;
	if (task->next)
		task->next->prev = task->prev;
}

static void deliver(struct sb_mail *mail)
{
	struct task *task = sb_container_of(mail, struct task, mail);
	void (*done)(void *arg) = task->done;
	void *arg = task->arg;

	pthread_mutex_lock(&task->workers->lock);
	posted_remove(task->workers, task);
	pthread_mutex_unlock(&task->workers->lock);
	free(task);
	if (done)
		done(arg);
}

/* Next task, or NULL when the thread is to end. Call with the lock held. */
static struct task *next_task(struct sb_workers *workers)
{
	struct task *task;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	workers->idle++;
	while (!workers->first && !workers->stop)
		if (pthread_cond_timedwait(&workers->more, &workers->lock, &until) == ETIMEDOUT)
			break;
	workers->idle--;
	task = workers->stop ? NULL : workers->first;
	if (!task)
		return NULL;
	workers->first = task->next;
	if (!workers->first)
		workers->tail = &workers->first;
	workers->waiting--;
	return task;
}

static void *run(void *arg)
{
	struct sb_workers *workers = arg;
	struct task *task;

	pthread_mutex_lock(&workers->lock);
	while ((task = next_task(workers))) {
		pthread_mutex_unlock(&workers->lock);
		task->work(task->arg);
		pthread_mutex_lock(&workers->lock);
		task->prev = NULL;
		task->next = workers->posted;
		if (task->next)
			task->next->prev = task;
		workers->posted = task;
		sb_mailbox_post(workers->box, &task->mail);
	}
	workers->threads--;
	pthread_cond_signal(&workers->gone);
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

/* Signals belong to the loop thread (signalfd), so a worker blocks them all. */
static int start_thread(struct sb_workers *workers)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, run, workers);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc)
		workers->threads++;
	return rc;
}

int sb_workers_new(struct sb_mailbox *box, unsigned threads, struct sb_workers **ret,
		struct sb_err *err)
{
	struct sb_workers *workers;
	pthread_condattr_t attr;

	if (!threads)
		return sb_err_set(err, SB_E_INVALID, "workers: at least one thread");
	workers = calloc(1, sizeof(*workers));
	if (!workers)
		return sb_err_nomem(err);
	workers->box = box;
	workers->threads_max = threads;
	workers->tail = &workers->first;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&workers->more, &attr);
	pthread_cond_init(&workers->gone, &attr);
	pthread_condattr_destroy(&attr);
	*ret = workers;
	return 0;
}

void sb_workers_free(struct sb_workers *workers)
{
	struct task *task;

	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->stop = true;
	pthread_cond_broadcast(&workers->more);
	while (workers->threads)
		pthread_cond_wait(&workers->gone, &workers->lock);
	pthread_mutex_unlock(&workers->lock);

	while ((task = workers->first)) {
		workers->first = task->next;
		free(task);
	}
	while ((task = workers->posted)) {
		workers->posted = task->next;
		sb_mailbox_withdraw(workers->box, &task->mail);
		free(task);
	}
	pthread_cond_destroy(&workers->more);
	pthread_cond_destroy(&workers->gone);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}

int sb_workers_run(struct sb_workers *workers, void (*work)(void *arg), void (*done)(void *arg),
		void *arg, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct task *task = calloc(1, sizeof(*task));
	int rc = 0;

	if (!task)
		return sb_err_nomem(err);
	*task = (struct task){
		.mail.deliver = deliver, .workers = workers, .work = work, .done = done, .arg = arg
	};
	pthread_mutex_lock(&workers->lock);
	if (workers->waiting >= SB_WORKERS_QUEUE_MAX) {
		rc = sb_err_set(err, SB_E_BUSY, "%u calls wait for a worker already",
				workers->waiting);
	} else if (workers->idle <= workers->waiting && workers->threads < workers->threads_max) {
		int errnum = start_thread(workers);

		/* With another worker alive the call only waits longer. */
		if (errnum && !workers->threads)
			rc = sb_err_errno(err, errnum, "start a worker thread");
	}
	if (!rc) {
		*workers->tail = task;
		workers->tail = &task->next;
		workers->waiting++;
		task = NULL;
		pthread_cond_signal(&workers->more);
	}
	pthread_mutex_unlock(&workers->lock);
	return rc;
}
