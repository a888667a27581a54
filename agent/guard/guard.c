/* guard.c - the guard's thread: sample, judge, kill, report. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "sb_fs.h"
#include "source.h"

#define REPORTS_MAX 32 /* not yet delivered; more are dropped: the loop has other troubles then */
#define HELPLESS_MS 60000u

struct letter {
	struct sb_mail mail;
	struct sb_guard *guard;
	struct sb_guard_report report;
	bool posted; /* under the lock */
};

struct sb_guard {
	struct sb_mailbox *box;
	sb_guard_fn fn;
	void *ctx;
	enum sb_guard_mode mode;
	struct sb_guard_limits set, limits;
	struct guard_source source;
	struct guard_state state;
	int quit; /* eventfd */
	bool started;
	pthread_t thread;
	uint64_t helpless_ms; /* when it last said so; 0 = never */
	int dying;            /* pidfd of the job that was stopped last; -1 = none */
	/* Shared with the loop. */
	pthread_mutex_t lock;
	struct sb_guard_job jobs[SB_GUARD_JOBS_MAX];
	size_t n_jobs;
	char stopped[SB_GUARD_JOB_MAX]; /* whose end is waited for: it is chosen no more */
	struct sb_guard_report now;
	struct letter letters[REPORTS_MAX];
};

/* --- reports --- */

static void deliver(struct sb_mail *mail)
{
	struct letter *letter = sb_container_of(mail, struct letter, mail);
	struct sb_guard *guard = letter->guard;
	struct sb_guard_report report;

	pthread_mutex_lock(&guard->lock);
	report = letter->report;
	letter->posted = false;
	pthread_mutex_unlock(&guard->lock);
	guard->fn(guard->ctx, &report);
}

static void post(struct sb_guard *guard, enum sb_guard_kind kind, const char *job)
{
	struct letter *letter = NULL;

	pthread_mutex_lock(&guard->lock);
	for (size_t i = 0; !letter && i < REPORTS_MAX; i++)
		if (!guard->letters[i].posted)
			letter = &guard->letters[i];
	if (letter) {
		letter->posted = true;
		letter->report = guard->now;
		letter->report.kind = kind;
		snprintf(letter->report.job, sizeof(letter->report.job), "%s", job);
	}
	pthread_mutex_unlock(&guard->lock);
	if (letter)
		sb_mailbox_post(guard->box, &letter->mail);
}

static uint64_t passed_limit(const struct sb_guard_limits *limits, enum sb_guard_level level)
{
	const uint64_t by_level[] = { limits->warn, limits->warn, limits->critical,
		limits->emergency };

	return by_level[level];
}

static void publish(struct sb_guard *guard, const struct guard_sample *sample,
		const struct guard_verdict *verdict)
{
	pthread_mutex_lock(&guard->lock);
	guard->now = (struct sb_guard_report){
		.level = verdict->level,
		.total = sample->total,
		.available = sample->available,
		.fall = verdict->fall,
		.limit = passed_limit(&guard->limits, verdict->level),
		.stalled = sample->stalled,
		.boot_ms = sample->boot_ms,
	};
	pthread_mutex_unlock(&guard->lock);
}

/* --- acts --- */

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, timeout_ms) > 0;
}

static bool dying(struct sb_guard *guard)
{
	if (guard->dying < 0)
		return false;
	if (!readable(guard->dying, 0))
		return true;
	close(guard->dying); /* it has ended */
	guard->dying = -1;
	pthread_mutex_lock(&guard->lock);
	*guard->stopped = '\0';
	pthread_mutex_unlock(&guard->lock);
	return false;
}

/* Take the one to stop out of the list: nobody is killed twice. Its descriptor is ours then. */
static bool take_victim(struct sb_guard *guard, enum guard_stop stop, struct sb_guard_job *ret)
{
	int at;

	pthread_mutex_lock(&guard->lock);
	at = guard_choose(guard->jobs, guard->n_jobs, stop);
	if (at >= 0) {
		*ret = guard->jobs[at];
		guard->jobs[at].pidfd = -1;
		snprintf(guard->stopped, sizeof(guard->stopped), "%s", ret->job);
	}
	pthread_mutex_unlock(&guard->lock);
	return at >= 0;
}

static void stop_one(
		struct sb_guard *guard, const struct guard_sample *sample, enum guard_stop stop)
{
	struct sb_guard_job victim;

	if (take_victim(guard, stop, &victim)) {
		/* First the word, then the act: the loop must know why before it sees the end. */
		post(guard, SB_GUARD_STOPPED, victim.job);
		pidfd_send_signal(victim.pidfd, SIGKILL, NULL, 0);
		if (guard->dying >= 0)
			close(guard->dying);
		guard->dying = victim.pidfd;
		guard_stopped(&guard->state, sample->boot_ms);
	} else if (stop == GUARD_STOP_ANY && !dying(guard) &&
			(!guard->helpless_ms ||
					sample->boot_ms - guard->helpless_ms >= HELPLESS_MS)) {
		guard->helpless_ms = sample->boot_ms;
		post(guard, SB_GUARD_HELPLESS, "");
	}
}

static unsigned step(struct sb_guard *guard)
{
	struct guard_sample sample;
	struct guard_verdict verdict;
	bool act = guard->mode == SB_GUARD_ACT;

	guard_source_read(&guard->source, &sample);
	if (sample.total)
		guard->limits = sb_guard_scale(&guard->set, sample.total);
	guard_step(&guard->state, &guard->limits, &sample, dying(guard), &verdict);
	if (!sample.total)
		return verdict.pause_ms;
	publish(guard, &sample, &verdict);
	if (act && verdict.stop)
		stop_one(guard, &sample, verdict.stop);
	if (verdict.entered)
		post(guard, SB_GUARD_WARNED, "");
	if (act && verdict.drop)
		post(guard, SB_GUARD_DROP, "");
	if (verdict.cleared) {
		guard->helpless_ms = 0;
		post(guard, SB_GUARD_CLEARED, "");
	}
	return verdict.pause_ms;
}

static void *run(void *arg)
{
	struct sb_guard *guard = arg;
	unsigned pause_ms;

	do
		pause_ms = step(guard);
	while (!readable(guard->quit, (int)pause_ms));
	return NULL;
}

/* --- life --- */

/* Signals are the loop's. */
static int start(struct sb_guard *guard, struct sb_err *err)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&guard->thread, NULL, run, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return sb_err_errno(err, rc, "thread of the memory guard");
	guard->started = true;
	return 0;
}

int sb_guard_new(struct sb_mailbox *box, const struct sb_guard_setup *setup, sb_guard_fn fn,
		void *ctx, struct sb_guard **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_guard_freep) struct sb_guard *guard = NULL;
	int rc;

	*ret = NULL;
	if (setup->mode == SB_GUARD_OFF)
		return 0;
	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return sb_err_nomem(err);
	pthread_mutex_init(&guard->lock, NULL);
	guard->box = box;
	guard->fn = fn;
	guard->ctx = ctx;
	guard->mode = setup->mode;
	guard->set = setup->limits;
	guard->dying = -1;
	guard->source = (struct guard_source)GUARD_SOURCE_INIT;
	for (size_t i = 0; i < REPORTS_MAX; i++)
		guard->letters[i] = (struct letter){ .mail.deliver = deliver, .guard = guard };
	guard->quit = eventfd(0, EFD_CLOEXEC);
	if (guard->quit < 0)
		return sb_err_errno(err, errno, "eventfd");
	rc = guard_source_open(&guard->source, setup->proc_root, setup->cgroup, err);
	if (rc == 0)
		rc = start(guard, err);
	if (rc < 0)
		return rc;
	*ret = sb_steal(guard);
	return 0;
}

static void drop_jobs(struct sb_guard *guard)
{
	for (size_t i = 0; i < guard->n_jobs; i++)
		if (guard->jobs[i].pidfd >= 0)
			close(guard->jobs[i].pidfd);
	guard->n_jobs = 0;
}

void sb_guard_free(struct sb_guard *guard)
{
	const uint64_t one = 1;

	if (!guard)
		return;
	if (guard->started && write(guard->quit, &one, sizeof(one)) == sizeof(one))
		pthread_join(guard->thread, NULL);
	for (size_t i = 0; i < REPORTS_MAX; i++)
		sb_mailbox_withdraw(guard->box, &guard->letters[i].mail);
	drop_jobs(guard);
	if (guard->dying >= 0)
		close(guard->dying);
	if (guard->quit >= 0)
		close(guard->quit);
	guard_source_close(&guard->source);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
}

/* --- the loop's side --- */

void sb_guard_set_jobs(struct sb_guard *guard, const struct sb_guard_job *jobs, size_t n)
{
	if (!guard)
		return;
	pthread_mutex_lock(&guard->lock);
	drop_jobs(guard);
	for (size_t i = 0; i < n && i < SB_GUARD_JOBS_MAX; i++) {
		bool over = jobs[i].pidfd < 0 || readable(jobs[i].pidfd, 0) ||
				strcmp(jobs[i].job, guard->stopped) == 0;

		guard->jobs[i] = jobs[i];
		guard->jobs[i].pidfd = over ? -1 : fcntl(jobs[i].pidfd, F_DUPFD_CLOEXEC, 3);
		guard->n_jobs++;
	}
	pthread_mutex_unlock(&guard->lock);
}

void sb_guard_now(struct sb_guard *guard, struct sb_guard_report *ret,
		struct sb_guard_limits *ret_limits)
{
	*ret = (struct sb_guard_report){ 0 };
	*ret_limits = (struct sb_guard_limits){ 0 };
	if (!guard)
		return;
	pthread_mutex_lock(&guard->lock);
	*ret = guard->now;
	*ret_limits = sb_guard_scale(&guard->set, guard->now.total);
	pthread_mutex_unlock(&guard->lock);
}

/* --- words --- */

#define GIB(bytes) ((double)(bytes) / (1 << 30))

void sb_guard_text(const struct sb_guard_report *r, char *buf, size_t size)
{
	static const char *const acts[] = {
		[SB_GUARD_WARNED] = "memory is short",
		[SB_GUARD_CLEARED] = "memory is back",
		[SB_GUARD_DROP] = "dropping the page cache",
		[SB_GUARD_STOPPED] = "stopped the job",
		[SB_GUARD_HELPLESS] =
				"no job of sparkbus is left to stop; look for what uses the memory",
	};
	int n = snprintf(buf, size, "%s: %.2f of %.1f GiB available", acts[r->kind],
			GIB(r->available), GIB(r->total));

	if (n > 0 && (size_t)n < size && r->level)
		n += snprintf(buf + n, size - (size_t)n, ", limit %.2f GiB (%s)", GIB(r->limit),
				sb_guard_level_name(r->level));
	if (n > 0 && (size_t)n < size && r->fall >> 20)
		n += snprintf(buf + n, size - (size_t)n, ", falling by %.2f GiB/s", GIB(r->fall));
	if (n > 0 && (size_t)n < size && r->stalled)
		snprintf(buf + n, size - (size_t)n, ", everything stalled %u.%02u %% of 10 s",
				r->stalled / 100, r->stalled % 100);
}
