/* orphans.c - the stop of a job that has no record here: whatever the engine has under its label
 * goes, and nothing else. */
#include <stdio.h>
#include <string.h>

#include "answer.h"

struct orphans {
	struct orphans *next;
	struct sb_jobs *jobs;
	struct sb_engine_call *op;
	char *label;
	sb_stop_fn fn;
	void *ctx;
	char *id; /* being removed */
	unsigned removed;
	bool again;
};

static void o_free(struct orphans *o)
{
	free(o->label);
	free(o->id);
	free(o);
}

void orphans_free(struct sb_jobs *jobs)
{
	while (jobs->orphans) {
		struct orphans *o = jobs->orphans;

		jobs->orphans = o->next;
		if (o->op)
			jobs->env.engine->ops->cancel(jobs->env.engine, o->op);
		o_free(o);
	}
}

static void unlink_orphans(struct orphans *o)
{
	for (struct orphans **at = &o->jobs->orphans; *at; at = &(*at)->next)
		if (*at == o) {
			*at = o->next;
			return;
		}
}

static void orphans_end(struct orphans *o, const struct sb_err *err)
{
	struct answer a = { 0 };

	stop_answer_init(&a, NULL);
	if (err)
		stop_answer_error(&a, err, o->jobs->env.node_name);
	else if (o->removed)
		stop_observe(&a, "container", true,
				"%u container(s) of the job removed, none is left", o->removed);
	else
		stop_observe(&a, "container", true, "the engine has no container of the job");
	unlink_orphans(o);
	o->fn(o->ctx, &a.reply);
	o_free(o);
}

static void on_orphans(void *ctx, const struct sb_container_info *list, size_t n,
		const struct sb_err *err);

static void orphans_list(struct orphans *o)
{
	struct sb_engine *eng = o->jobs->env.engine;
	struct sb_err err = SB_ERR_INIT;

	if (eng->ops->list(eng, o->label, on_orphans, o, &o->op, &err) < 0)
		orphans_end(o, &err);
}

static void on_orphan_removed(void *ctx, const struct sb_err *err)
{
	struct orphans *o = ctx;

	o->op = NULL;
	if (err) {
		orphans_end(o, err);
		return;
	}
	o->removed++;
	orphans_list(o);
}

static void on_orphans(
		void *ctx, const struct sb_container_info *list, size_t n, const struct sb_err *err)
{
	struct orphans *o = ctx;
	struct sb_engine *eng = o->jobs->env.engine;
	struct sb_err own = SB_ERR_INIT;

	o->op = NULL;
	if (!err && n && job_find(o->jobs, strchr(o->label, '=') + 1)) {
		sb_err_set(&own, SB_E_BUSY, "the job was launched meanwhile: stop it again");
		err = &own;
	}
	if (err || n == 0) {
		orphans_end(o, err);
		return;
	}
	if (o->id && strcmp(o->id, list[0].id) == 0) { /* removed, and still there */
		sb_err_set(&own, SB_E_INTERNAL, "container %s cannot be removed", list[0].name);
		orphans_end(o, &own);
		return;
	}
	free(o->id);
	o->id = strdup(list[0].id);
	if (!o->id ||
			eng->ops->remove(eng, list[0].id, true, on_orphan_removed, o, &o->op,
					&own) < 0)
		orphans_end(o, &own);
}

void orphans_stop(struct sb_jobs *jobs, const char *name, sb_stop_fn fn, void *ctx)
{
	struct orphans *o = calloc(1, sizeof(*o));

	if (!o || asprintf(&o->label, "%s=%s", LABEL_JOB, name) < 0) {
		struct answer a = { 0 };
		struct sb_err err = SB_ERR_INIT;

		sb_err_nomem(&err);
		stop_answer_init(&a, NULL);
		stop_answer_error(&a, &err, jobs->env.node_name);
		free(o);
		fn(ctx, &a.reply);
		return;
	}
	o->jobs = jobs;
	o->next = jobs->orphans;
	jobs->orphans = o;
	o->fn = fn;
	o->ctx = ctx;
	orphans_list(o);
}
