#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static void (*const chores[])(struct chore *) = {
	[SPARKBUS__CHORE__CHORE_CLEAR_CACHE] = chore_clear_cache,
	[SPARKBUS__CHORE__CHORE_FIX_OWNERS] = chore_fix_owners,
};

struct sb_upkeep {
	struct sb_workers *workers;
	atomic_bool stop;
	bool busy;
	unsigned kind;
	struct chore chore; /* the worker's while busy */
	sb_upkeep_fn fn;
	void *ctx;
};

void chore_saw(struct chore *c, const char *subject, bool holds, const char *fmt, ...)
{
	Sparkbus__Evidence *e = &c->evidence[c->reply.n_evidence];
	va_list ap;

	if (!holds)
		c->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
	if (c->reply.n_evidence == EVIDENCE_MAX)
		return;
	sparkbus__evidence__init(e);
	va_start(ap, fmt);
	vsnprintf(c->texts[c->reply.n_evidence], sizeof(c->texts[0]), fmt, ap);
	va_end(ap);
	e->subject = (char *)subject;
	e->observed = c->texts[c->reply.n_evidence];
	e->holds = holds;
	c->list[c->reply.n_evidence++] = e;
}

int sb_upkeep_new(struct sb_mailbox *box, const char *proc_root, const char *hf_cache,
		struct sb_upkeep **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_upkeep_freep) struct sb_upkeep *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return sb_err_nomem(err);
	u->chore.proc_root = proc_root;
	u->chore.hf_cache = hf_cache;
	u->chore.stop = &u->stop;
	rc = sb_workers_new(box, 1, &u->workers, err);
	if (rc == 0)
		*ret = sb_steal(u);
	return rc;
}

void sb_upkeep_free(struct sb_upkeep *u)
{
	if (!u)
		return;
	atomic_store(&u->stop, true);
	sb_workers_free(u->workers);
	free(u);
}

static void work(void *arg)
{
	struct sb_upkeep *u = arg;

	chores[u->kind](&u->chore);
}

static void done(void *arg)
{
	struct sb_upkeep *u = arg;

	u->busy = false;
	u->fn(u->ctx, &u->chore.reply);
}

int sb_upkeep_run(struct sb_upkeep *u, const Sparkbus__UpkeepRequest *request, sb_upkeep_fn fn,
		void *ctx, struct sb_err *err)
{
	struct chore *c = &u->chore;
	int rc;

	if ((unsigned)request->chore >= sb_countof(chores) || !chores[request->chore])
		return sb_err_set(err, SB_E_INVALID, "chore %d is not known", (int)request->chore);
	if (u->busy)
		return sb_err_set(err, SB_E_BUSY, "another chore runs here");
	u->kind = (unsigned)request->chore;
	u->fn = fn;
	u->ctx = ctx;
	c->dry_run = request->dry_run;
	sparkbus__upkeep_reply__init(&c->reply);
	c->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	c->reply.evidence = c->list;
	rc = sb_workers_run(u->workers, work, done, u, err);
	u->busy = rc == 0;
	return rc;
}
