/* gang_post.c - post_exec: commands in the head's container, once the job is READY.
 *
 * They run one after the other, as root. What they say goes into the job's log, its last lines into
 * the status, and the first that fails ends the list: the job goes on, for it serves. They are not
 * run again after a restart of the agent; one that was under way then is unknown. */
#include <stdio.h>
#include <string.h>

#include "gang.h"

#define HOOK_MS      600000u /* of one command, as published */
#define OUTPUT_KEPT  40u
#define LINE_MAX_LEN ((size_t)512)

#define P(state) SPARKBUS__POST_STATE__POST_##state

static const Sparkbus__LaunchPlan *plan_of(const struct gang *gang)
{
	return gang->job->rec->plan;
}

/* Told at once, and on disk: a hook that ran must not be taken for one that did not. */
static void say(struct gang *gang, Sparkbus__PostState state, const char *text)
{
	Sparkbus__PostExec *post = gang_status(gang)->post;

	post->state = state;
	if (state != P(RUNNING))
		set_str(&post->reason, text);
	sb_events_add(gang->job->jobs->env.events, "job.post", gang_status(gang)->job, -1, NULL,
			"%s", text);
	job_note(gang->job, "%s", text);
	job_save(gang->job);
	job_changed(gang->job);
}

void gang_post_expect(struct gang *gang)
{
	Sparkbus__PostExec *post;

	if (!plan_of(gang)->n_post_exec || gang_status(gang)->post)
		return;
	post = malloc(sizeof(*post));
	if (!post)
		return; /* seen as such by gang_post_run() */
	sparkbus__post_exec__init(post);
	post->state = P(RUNNING);
	gang_status(gang)->post = post;
}

void gang_post_lose(struct gang *gang, const char *why)
{
	Sparkbus__PostExec *post = gang_status(gang)->post;
	struct sb_engine *engine = gang->job->jobs->env.engine;
	char text[160];

	if (gang->post)
		engine->ops->cancel(engine, sb_steal(gang->post));
	if (!post || post->state != P(RUNNING))
		return;
	snprintf(text, sizeof(text), "post_exec: %s", why);
	say(gang, P(UNKNOWN), text);
}

/* --- output --- */

static void keep_line(Sparkbus__PostExec *post, const struct sb_engine_log *line)
{
	char *text = strndup(line->text, line->len < LINE_MAX_LEN ? line->len : LINE_MAX_LEN);

	if (!text)
		return;
	if (!post->output)
		post->output = calloc(OUTPUT_KEPT, sizeof(*post->output));
	if (!post->output) {
		free(text);
		return;
	}
	for (char *p = text; *p; p++) /* a protobuf string; the log itself keeps the bytes */
		if ((unsigned char)*p >= 0x80 || ((unsigned char)*p < ' ' && *p != '\t'))
			*p = '?';
	if (post->n_output == OUTPUT_KEPT) {
		free(post->output[0]);
		memmove(post->output, post->output + 1, (OUTPUT_KEPT - 1) * sizeof(*post->output));
		post->n_output--;
	}
	post->output[post->n_output++] = text;
}

/* --- one after the other --- */

static void next(struct gang *gang);

static void on_exec(void *ctx, const struct sb_engine_log *line, int exit_code,
		const struct sb_err *err)
{
	struct gang *gang = ctx;
	Sparkbus__PostExec *post = gang_status(gang)->post;
	const char *label = plan_of(gang)->post_exec[post->done]->label;
	char text[sizeof(err->text) + 64];

	if (line) {
		keep_line(post, line);
		job_note(gang->job, "%s: %.*s", label, (int)line->len, line->text);
		job_changed(gang->job);
		return;
	}
	gang->post = NULL;
	if (!err && exit_code == 0) {
		post->done++;
		next(gang);
		return;
	}
	if (!err)
		snprintf(text, sizeof(text), "%.40s ended with status %d", label, exit_code);
	else
		snprintf(text, sizeof(text), "%.40s: %s", label, err->text);
	/* Not having heard of its end is not having seen it fail. */
	say(gang, err && err->code != SB_E_INVALID ? P(UNKNOWN) : P(FAILED), text);
}

/* "{cache_dir}" is this node's model cache. */
static int fill_in(struct sb_strbuf *out, const char *text, const char *cache_dir)
{
	static const char hole[] = "{cache_dir}";
	const char *hit;

	for (; (hit = strstr(text, hole)); text = hit + strlen(hole)) {
		sb_strbuf_add(out, text, (size_t)(hit - text));
		sb_strbuf_adds(out, cache_dir);
	}
	return sb_strbuf_adds(out, text);
}

static int run(struct gang *gang, const Sparkbus__Hook *hook, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_engine *engine = gang->job->jobs->env.engine;
	const char *argv[] = { "sh", "-c",
		"if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc -c \"$1\"; "
		"fi; exec sh -c \"$1\"",
		"post_exec", NULL };
	const struct sb_exec_spec spec = {
		.argv = argv, .n_argv = sb_countof(argv), .user = "0:0", .limit_ms = HOOK_MS
	};

	if (fill_in(&text, hook->command, gang->job->jobs->env.hf_cache) < 0)
		return sb_err_nomem(err);
	argv[4] = sb_strbuf_str(&text);
	return engine->ops->exec(engine, job_own(gang->job)->container_id, &spec, on_exec, gang,
			&gang->post, err);
}

static void next(struct gang *gang)
{
	const Sparkbus__LaunchPlan *plan = plan_of(gang);
	Sparkbus__PostExec *post = gang_status(gang)->post;
	struct sb_err err = SB_ERR_INIT;
	char text[sizeof(err.text) + 64];

	if (post->done < plan->n_post_exec) {
		say(gang, P(RUNNING), plan->post_exec[post->done]->label);
		if (run(gang, plan->post_exec[post->done], &err) == 0)
			return;
		snprintf(text, sizeof(text), "%.40s: %s", plan->post_exec[post->done]->label,
				err.text);
		say(gang, P(FAILED), text);
		return;
	}
	say(gang, P(DONE), "post_exec is done");
	if (plan->stop_after_post && !plan->n_post_commands)
		gang_stop(gang, true, "stopped after its post hooks, as the recipe says");
}

void gang_post_run(struct gang *gang)
{
	if (!plan_of(gang)->n_post_exec || gang_stopping(gang))
		return;
	if (gang_status(gang)->post)
		next(gang);
	else
		job_note(gang->job, "post_exec is not run: out of memory");
}
