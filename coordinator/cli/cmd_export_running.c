/* export running-recipe: what a job was launched from, as its nodes keep it. */
#include <string.h>

#include "commands.h"

#define RUNNING_OPT(member) offsetof(struct export_running_opts, member)

const struct opt export_running_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = RUNNING_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", RUNNING_OPT(json) },
	{ OPT_TEXT, 0, "save", NULL, "FILE", "write to FILE instead of printing",
			RUNNING_OPT(save) },
	{ OPT_FLAG, 0, "force", NULL, NULL, "replace FILE", RUNNING_OPT(force) },
	{ OPT_END },
};

static void add_comment(const Sparkbus__JobStatus *job, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_strbuf_addf(&line, "%s, launched from %s", job->job, job->recipe);
	for (size_t i = 0; i < job->n_nodes; i++)
		sb_strbuf_addf(&line, "%s%s", i ? ", " : " on ", job->nodes[i]);
	sb_strbuf_adds(out, "# Job ");
	sb_render_clean(out, sb_strbuf_str(&line), line.len);
	sb_strbuf_adds(out, ". Secrets are left out.\n");
}

/* Ask a node for the recipe; every node of the job has it. */
static int ask_node(struct cli *cli, const struct cli_node *node, const char *job,
		struct sb_strbuf *out, struct sb_err *err)
{
	Sparkbus__GetJobRequest body = SPARKBUS__GET_JOB_REQUEST__INIT;
	struct sb_answer answer = { 0 };
	int rc;

	body.job = (char *)job;
	body.with_recipe = true;
	rc = ask_one(cli, node, SPARKBUS__REQUEST__BODY_GET_JOB, &body, ASK_DEADLINE_MS, &answer,
			err);
	if (rc == 0 && *answer.reply->get_job->recipe_yaml) {
		add_comment(answer.reply->get_job, out);
		sb_strbuf_adds(out, answer.reply->get_job->recipe_yaml);
	}
	sb_answer_done(&answer);
	return rc;
}

static int find_recipe(struct cli *cli, const struct cli_nodes *nodes,
		const Sparkbus__JobStatus *job, struct sb_strbuf *out, struct sb_err *err)
{
	int rc = sb_err_set(err, SB_E_NOT_FOUND, "job %s: no node that answers has its recipe",
			job->job);

	for (size_t i = 0; i < job->n_nodes && !out->len; i++) {
		const struct cli_node *node = hosts_by_name(nodes, job->nodes[i]);

		if (node)
			ask_node(cli, node, job->job, out, NULL);
	}
	if (out->failed)
		return sb_err_nomem(err);
	return out->len ? 0 : sb_err_hint(err, rc, "a job of an earlier version keeps none");
}

static int find_job(const struct fleet *fleet, const struct job_list *jobs, const char *target,
		const Sparkbus__JobStatus **ret, struct sb_err *err)
{
	if (!jobs->n)
		return sb_err_set(err, fleet->silent ? SB_E_UNAVAILABLE : SB_E_NOT_FOUND,
				"No such job: %s", target);
	/* Running ones come first; an ended one of the same recipe is not meant then. */
	if (jobs->n > 1 && !job_is_over(jobs->items[1].status->state)) {
		jobs_print_choice(jobs);
		return sb_err_set(err, SB_E_INVALID, "%s means %zu jobs; expected the id of one",
				target, jobs->n);
	}
	*ret = jobs->items[0].status;
	return 0;
}

int cmd_export_running(struct cli *cli, const struct call *call)
{
	const struct export_running_opts *opts = call->opts;
	const struct job_filter filter = { .target = call->args[0] };
	const struct export_put how = { opts->save, opts->force, opts->json, 0644 };
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const Sparkbus__JobStatus *job = NULL;
	struct sb_err err = SB_ERR_INIT;

	if (opts->force && !opts->save)
		return cli_usage(call, "--force goes with --save");
	if (opts->save && opts->json)
		return cli_usage(call, "--json does not go with --save");
	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			fleet_ask(cli, &nodes, false, &fleet, &err) < 0 ||
			jobs_find(&fleet, &filter, &jobs, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	if (fleet.silent) {
		cli_warn(cli, "%zu node%s did not answer:", fleet.silent, plural(fleet.silent));
		fleet_print_silent(&fleet, stderr);
	}
	if (find_job(&fleet, &jobs, filter.target, &job, &err) < 0 ||
			find_recipe(cli, &nodes, job, &text, &err) < 0 ||
			export_put(cli, &how, &text, &err) < 0)
		return cli_fail(cli, &err);
	return EXIT_DONE;
}
