/* gang.h - inside gang.c, gang_post.c and gang_calls.c: the leader's view of the ranks. */
#ifndef SB_GANG_H
#define SB_GANG_H

#include "internal.h"
#include "sb_probe.h"
#include "sb_watch.h"

/* One rank, ours or a peer's, and the one command that is under way for it. */
struct member {
	struct gang *gang;
	const Sparkbus__RankSpec *spec; /* of the plan; rank 0 is ours */
	struct sb_peer_call *call;      /* start, watch or stop on a peer */
	sd_event_source *retry;
	uint64_t patience_ms; /* CLOCK_BOOTTIME at which a start is given up; 0 = not asked yet */
	uint64_t version;     /* RankStatus.version that we have */
	unsigned stop_tries;
	bool running;
	bool gate_open;
	bool stop_pending; /* the job cannot end before it answered or was given up */
	bool owed;         /* it did not answer: it still has to be told */
	bool own_stop;     /* our own rank's stop is under way */
};

struct gang {
	struct job *job;
	struct sb_probe *probe;
	struct sb_watch *watch;
	struct sb_engine_call *post; /* the post_exec hook that runs */
	sd_event_source *gate_timer, *owed_timer, *probe_timer, *own_changed;
	uint32_t stage;
	bool ending;
	size_t n;
	struct member ranks[];
};

/* Ending or ended: what ranks say now changes nothing. */
bool gang_stopping(const struct gang *gang);
Sparkbus__JobStatus *gang_status(const struct gang *gang);
/* What the job is doing now, for people: reason and event. */
void gang_say(struct gang *gang, const char *fmt, ...) SB_PRINTF(2, 3);

/* It cannot go on, or must not: every rank is stopped. */
void gang_fail(struct gang *gang, const char *fmt, ...) SB_PRINTF(2, 3);

/* --- gang_life.c: is the engine alive? --- */
/* Have it produce something, which makes the job READY. */
void gang_probe(struct gang *gang);
/* Ask and look no more. */
void gang_life_end(struct gang *gang);

/* --- gang.c: what a member reports --- */
void gang_news(struct gang *gang, struct member *m, const Sparkbus__RankStatus *status);
void gang_silent(struct gang *gang, struct member *m, const struct sb_err *err);
void gang_refused(struct gang *gang, struct member *m, const struct sb_err *err);
void gang_member_down(struct gang *gang); /* one stop was answered or given up */

/* --- gang_post.c: what the plan asks for once the job is READY --- */
/* About to be READY for the first time: who sees that state sees that hooks are to come. */
void gang_post_expect(struct gang *gang);
/* Run them. */
void gang_post_run(struct gang *gang);
/* What runs, if anything, is not heard of any more: @why. */
void gang_post_lose(struct gang *gang, const char *why);

/* --- gang_calls.c: what is said to a member --- */
void member_start(struct member *m);
void member_watch(struct member *m);
void member_stop(struct member *m);
/* Forget what is under way. */
void member_quiet(struct member *m);

#endif
