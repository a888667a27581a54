/* sb_guard.h - the memory guard: acts before the node runs out of memory.
 *
 * CPU and GPU share one memory, and a Spark whose last gigabytes go does not kill a process, it
 * freezes. The guard looks at absolute bytes, at how fast they shrink, and at PSI, and then does
 * what costs least: drop the page cache, warn, stop the job that is loading, stop the job that
 * matters least. It stops only jobs of its own agent. A job is stopped by SIGKILL to its main
 * process: what answers SIGTERM first allocates.
 *
 * It has a thread of its own, which touches no disk and allocates nothing: just when the guard is
 * needed the loop may wait for a disk that swaps. The loop tells it which jobs there are; it posts
 * back what it did. */
#ifndef SB_GUARD_H
#define SB_GUARD_H

#include <sys/types.h>

#include "sb_err.h"
#include "sb_loop.h"

enum sb_guard_mode { SB_GUARD_OFF, SB_GUARD_WARN, SB_GUARD_ACT };
/** "off", "warn", "act" */
const char *sb_guard_mode_name(enum sb_guard_mode mode);

enum sb_guard_level { SB_GUARD_OK, SB_GUARD_LOW, SB_GUARD_CRITICAL, SB_GUARD_EMERGENCY };
/** "ok", "low", "critical", "emergency" */
const char *sb_guard_level_name(enum sb_guard_level level);

/* Bytes of available memory below which something is done; each lower than the one before. */
struct sb_guard_limits {
	uint64_t warn;      /* drop the page cache, warn */
	uint64_t critical;  /* stop a job that is loading */
	uint64_t emergency; /* stop a job */
};
/** The limits on a machine of @total bytes. One that is not set (0) is the figure for a Spark, 8, 4
 * or 2 GiB, but at most a fifteenth, a thirtieth or a sixtieth of the memory: what is prudent on a
 * Spark would do harm on a small machine. None is above the one before it. */
struct sb_guard_limits sb_guard_scale(const struct sb_guard_limits *set, uint64_t total);

#define SB_GUARD_JOBS_MAX 32
#define SB_GUARD_JOB_MAX  64 /* bytes of a job's id */

/* A job whose rank runs here. */
struct sb_guard_job {
	char job[SB_GUARD_JOB_MAX];
	int pidfd; /* of the container's main process; -1 = not known: it cannot be stopped */
	int32_t priority;
	bool loading; /* it has not been READY yet */
	uint64_t started_unix_ms;
	uint64_t bytes; /* memory that it holds, as far as it is known */
};

enum sb_guard_kind {
	SB_GUARD_WARNED,
	SB_GUARD_CLEARED,
	SB_GUARD_DROP, /* the page cache should go: the loop has that done, for it takes a while */
	SB_GUARD_STOPPED,  /* job: which one was killed */
	SB_GUARD_HELPLESS, /* something should be stopped, and there is nothing that it may stop */
};

struct sb_guard_report {
	enum sb_guard_kind kind;
	enum sb_guard_level level;
	char job[SB_GUARD_JOB_MAX];      /* "" = none */
	uint64_t total, available, fall; /* bytes, bytes, bytes per second */
	uint64_t limit;                  /* the limit that was passed, bytes */
	unsigned stalled;                /* hundredths of a percent */
	uint64_t boot_ms;
};

/* On the loop thread. */
typedef void (*sb_guard_fn)(void *ctx, const struct sb_guard_report *report);

struct sb_guard_setup {
	enum sb_guard_mode mode;
	struct sb_guard_limits limits;
	const char *proc_root; /* "/proc", or a copy of it in tests */
	const char *cgroup;    /* folder of a cgroup (v1 memory or v2) that is guarded instead of
				  the machine; "" = the machine */
};

struct sb_guard;
/** Start guarding. Nothing is started when the mode is off: *ret is NULL then, which every function
 * here takes. -SB_E_INVALID, _NOT_FOUND: the source cannot be read. */
int sb_guard_new(struct sb_mailbox *box, const struct sb_guard_setup *setup, sb_guard_fn fn,
		void *ctx, struct sb_guard **ret, struct sb_err *err);
void sb_guard_free(struct sb_guard *guard);
SB_DEFINE_CLEANUP(sb_guard_free, struct sb_guard *)

/** The jobs that run here now, at most SB_GUARD_JOBS_MAX. The descriptors are duplicated. */
void sb_guard_set_jobs(struct sb_guard *guard, const struct sb_guard_job *jobs, size_t n);
/** The level, the limits in force and the newest figures. Any thread. Zeros without a guard. */
void sb_guard_now(struct sb_guard *guard, struct sb_guard_report *ret,
		struct sb_guard_limits *ret_limits);

/** What @report says, for people: "1.9 GiB of 121.7 GiB are available, below the limit of 2.0 GiB,
 * falling by 3.1 GiB/s: ...". */
void sb_guard_text(const struct sb_guard_report *report, char *buf, size_t size);

#endif
