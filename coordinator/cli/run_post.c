/* What comes after READY: the leader's post_exec, then commands of this machine, then perhaps the
 * end of the job. The job goes on whatever becomes of them: it serves. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "run_hooks.h"

extern char **environ;

bool hooks_come_after(const struct launch *l)
{
	return l->plan->n_post_exec || l->plan->n_post_commands;
}

bool hooks_ended(const struct launch *l, const Sparkbus__JobStatus *status)
{
	return status && l->plan->stop_after_post && !l->plan->n_post_commands && status->post &&
			status->post->state == SPARKBUS__POST_STATE__POST_DONE &&
			status->state == SPARKBUS__JOB_STATE__JOB_STOPPED;
}

static int failed(struct launch *l, int status, const char *what)
{
	sb_progress_break(&l->progress);
	fprintf(stderr, "Error in post hooks: %s\n", what);
	fprintf(stderr, "The job goes on.\n");
	return status;
}

/* --- post_exec --- */

static void print_output(const Sparkbus__PostExec *post)
{
	for (size_t i = 0; i < post->n_output; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

		sb_render_clean(&line, post->output[i], strlen(post->output[i]));
		fprintf(stderr, "    %s\n", sb_strbuf_str(&line));
	}
}

static void renew(Sparkbus__JobStatus **status, Sparkbus__JobStatus *news)
{
	if (!news)
		return;
	sparkbus__job_status__free_unpacked(*status, NULL);
	*status = news;
}

/* The leader runs them; its word tells how they ended. */
static int wait_exec(struct launch *l, Sparkbus__JobStatus **status, bool *ret_over)
{
	Sparkbus__JobStatus *news = NULL;
	enum watch_end end = launch_watch_post(l, &news);
	const Sparkbus__PostExec *post;

	renew(status, news);
	post = (*status)->post;
	*ret_over = end == WATCH_OVER && hooks_ended(l, *status);
	if (*ret_over)
		return EXIT_DONE;
	if (end == WATCH_DETACHED)
		return failed(l, EXIT_UNKNOWN, "interrupted; the leader goes on with post_exec");
	if (end == WATCH_OVER) {
		sb_progress_break(&l->progress);
		fprintf(stderr, "Error: %s: %s\n", l->plan->job, (*status)->reason);
		launch_print_failure(*status);
		return EXIT_FAILED;
	}
	if (end == WATCH_LOST || !post)
		return failed(l, EXIT_UNKNOWN, "the leader does not tell what became of post_exec");
	if (post->state == SPARKBUS__POST_STATE__POST_DONE)
		return EXIT_DONE;
	print_output(post);
	return failed(l,
			post->state == SPARKBUS__POST_STATE__POST_FAILED ? EXIT_FAILED
									 : EXIT_UNKNOWN,
			post->reason);
}

/* The recipe ends the job, and the leader does it: there are no commands of ours. */
static int wait_stop(struct launch *l, Sparkbus__JobStatus **status)
{
	while (!interrupted() && !job_is_over((*status)->state)) {
		Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
		SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
		struct sb_err err = SB_ERR_INIT;
		ProtobufCMessage *copy;

		body.job = l->plan->job;
		if (ask_one(l->cli, l->ranks[0], SPARKBUS__REQUEST__BODY_GET_JOB, &body,
				    ASK_DEADLINE_MS, &answer, &err) < 0)
			return cli_fail(l->cli, &err);
		if (sb_wire_dup(&answer.reply->get_job->base, &copy, NULL) == 0)
			renew(status, (Sparkbus__JobStatus *)copy);
		if (!job_is_over((*status)->state))
			interrupt_wait(200);
	}
	if ((*status)->state == SPARKBUS__JOB_STATE__JOB_STOPPED)
		return EXIT_DONE;
	return interrupted() ? EXIT_UNKNOWN : EXIT_FAILED;
}

/* --- post_commands --- */

/* The model cache of the head's node; only it knows where that is. */
static int cache_dir(struct launch *l, char **ret, struct sb_err *err)
{
	Sparkbus__GetNodeRequest body = SPARKBUS__GET_NODE_REQUEST__INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	int rc = ask_one(l->cli, l->ranks[0], SPARKBUS__REQUEST__BODY_GET_NODE, &body,
			ASK_DEADLINE_MS, &answer, err);

	if (rc < 0)
		return rc;
	*ret = strdup(answer.reply->get_node->hf_cache);
	return *ret ? 0 : sb_err_nomem(err);
}

static int fill_in(struct launch *l, const char *text, struct sb_strbuf *out, struct sb_err *err)
{
	static const char hole[] = "{cache_dir}";
	SB_CLEANUP(sb_freep) char *dir = NULL;
	const char *hit;
	int rc = strstr(text, hole) ? cache_dir(l, &dir, err) : 0;

	if (rc < 0)
		return rc;
	for (; (hit = strstr(text, hole)); text = hit + strlen(hole)) {
		sb_strbuf_add(out, text, (size_t)(hit - text));
		sb_strbuf_adds(out, dir);
	}
	return sb_strbuf_adds(out, text) < 0 ? sb_err_nomem(err) : 0;
}

/* Both outputs go to our standard error: our standard output may have to be JSON. */
static int run_shell(const char *text, int *ret_status, struct sb_err *err)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)text, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	rc = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		return sb_err_errno(err, rc, "/bin/sh");
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return sb_err_errno(err, errno, "/bin/sh");
	return 0;
}

static int run_command(struct launch *l, const Sparkbus__Hook *hook)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	char what[sizeof(err.text) + 80];
	int status = 0;

	sb_progress_note(&l->progress, hook->label);
	if (fill_in(l, hook->command, &text, &err) < 0 ||
			run_shell(sb_strbuf_str(&text), &status, &err) < 0) {
		snprintf(what, sizeof(what), "%.40s: %s", hook->label, err.text);
		return failed(l, EXIT_FAILED, what);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EXIT_DONE;
	if (WIFEXITED(status))
		snprintf(what, sizeof(what), "%.40s ended with status %d", hook->label,
				WEXITSTATUS(status));
	else
		snprintf(what, sizeof(what), "%.40s was killed by signal %d", hook->label,
				WTERMSIG(status));
	return failed(l, EXIT_FAILED, what);
}

static int stop_after(struct launch *l)
{
	SB_CLEANUP(sb_freep) const char **names = calloc(l->plan->n_ranks, sizeof(*names));
	struct stop_result result = { .outcome = SPARKBUS__OUTCOME__OUTCOME_UNKNOWN };
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; names && i < l->plan->n_ranks; i++)
		names[i] = l->plan->ranks[i]->node;
	if (!names)
		return EXIT_FAILED;
	/* What each node saw is told on standard output, which may have to be JSON. */
	if (stop_job(l->cli, l->plan->job, names, l->plan->n_ranks, (struct opt_int){ 0 }, true,
			    &result, &err) < 0)
		return cli_fail(l->cli, &err);
	json_decref(result.json);
	return outcome_exit(result.outcome);
}

int hooks_after(struct launch *l, Sparkbus__JobStatus **status, bool *ret_over)
{
	int result = EXIT_DONE;

	sb_progress_note(&l->progress, "ready; the recipe's post hooks come now");
	if (l->plan->n_post_exec)
		result = wait_exec(l, status, ret_over);
	for (size_t i = 0; result == EXIT_DONE && i < l->plan->n_post_commands; i++)
		result = interrupted() ? failed(l, EXIT_INTERRUPT, "interrupted")
				       : run_command(l, l->plan->post_commands[i]);
	if (result == EXIT_DONE && l->plan->stop_after_post && !*ret_over) {
		if (l->plan->n_post_commands)
			result = stop_after(l);
		if (result == EXIT_DONE)
			result = wait_stop(l, status);
		*ret_over = true;
	}
	return result;
}
