#include <string.h>

#include "commands.h"

#define STOP_OPT(member) offsetof(struct stop_opts, member)

const struct opt stop_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = STOP_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 'a', "all", NULL, NULL, "stop every job of the nodes", STOP_OPT(all) },
	{ OPT_FLAG, 'n', "dry-run", NULL, NULL, "show what would be stopped", STOP_OPT(dry_run) },
	{ OPT_INT, 0, "grace", NULL, "S", "seconds from SIGTERM to SIGKILL (the plan's)",
			STOP_OPT(grace), 0, 3000 },
	{ OPT_INT, 0, "tp", "tensor-parallel", "N", "only jobs of this tensor parallel size",
			STOP_OPT(filter.tp), 1, 1024 },
	{ OPT_INT, 0, "port", NULL, "N", "only jobs whose API has this port", STOP_OPT(filter.port),
			1, 65535 },
	{ OPT_TEXT, 0, "served-model-name", NULL, "NAME", "only jobs that serve this name",
			STOP_OPT(filter.served_model_name) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", STOP_OPT(json) },
	{ OPT_END },
};

/* Nodes of a job: those that its plan names, and those where it was seen. */
struct names {
	const char **items;
	size_t n;
};

static void add_name(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->items[i], name))
			return;
	if (*name)
		names->items[names->n++] = name;
}

static int nodes_of(const struct fleet *fleet, const struct job_view *view, struct names *ret,
		struct sb_err *err)
{
	const Sparkbus__JobStatus *status = view->status;

	ret->items = calloc(
			status->n_nodes + view->n_ranks + fleet->nodes->n + 1, sizeof(*ret->items));
	if (!ret->items)
		return sb_err_nomem(err);
	for (size_t i = 0; i < status->n_nodes; i++)
		add_name(ret, status->nodes[i]);
	for (size_t i = 0; i < view->n_ranks; i++)
		add_name(ret, view->ranks[i].node);
	for (size_t i = 0; i < fleet->nodes->n; i++) {
		const Sparkbus__NodeState *state = fleet_state(fleet, i);

		for (size_t k = 0; state && k < state->n_jobs; k++)
			if (!strcmp(state->jobs[k]->job, status->job))
				add_name(ret, fleet->nodes->items[i].node.name);
	}
	return 0;
}

static int stop_one(struct cli *cli, const struct fleet *fleet, const struct job_view *view,
		const struct stop_opts *opts, json_t *list, Sparkbus__Outcome *worst,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf label = SB_STRBUF_INIT;
	struct stop_result result = { .outcome = SPARKBUS__OUTCOME__OUTCOME_DONE };
	struct names names = { 0 };
	int rc = nodes_of(fleet, view, &names, err);

	job_label(view->status, &label);
	if (!list)
		printf("%s%s\n", sb_strbuf_str(&label),
				opts->dry_run ? "  (would be stopped)" : "");
	if (!rc && !opts->dry_run)
		rc = stop_job(cli, view->status->job, names.items, names.n, opts->grace,
				list != NULL, &result, err);
	for (size_t i = 0; !rc && !list && opts->dry_run && i < names.n; i++)
		printf("  %s\n", names.items[i]);
	free(names.items);
	if (rc < 0)
		return rc;
	if (list)
		json_array_append_new(list,
				json_pack("{s:s, s:s, s:s, s:o}", "job", view->status->job,
						"recipe", view->status->recipe, "outcome",
						opts->dry_run ? "dry-run"
							      : outcome_text(result.outcome),
						"nodes", result.json ? result.json : json_array()));
	*worst = outcome_worse(*worst, result.outcome);
	return 0;
}

/* Nothing was found. Where a node is silent, that says nothing about it. */
static int nothing(struct cli *cli, const struct fleet *fleet, const struct job_filter *filter)
{
	struct sb_err err;

	if (fleet->silent) {
		sb_err_set(&err, SB_E_UNAVAILABLE,
				"it is unknown whether %s runs on the nodes that did not answer:",
				filter->target ? filter->target : "a job");
		cli_fail(cli, &err);
		fleet_print_silent(fleet, stderr);
		return EXIT_UNKNOWN;
	}
	if (!filter->target) {
		puts("No sparkbus jobs running.");
		return EXIT_DONE;
	}
	sb_err_set(&err, SB_E_NOT_FOUND, "No such job: %s", filter->target);
	sb_err_hint(&err, 0, "sparkbus status shows what runs");
	return cli_fail(cli, &err);
}

static int summary(struct cli *cli, const struct fleet *fleet, const struct stop_opts *opts,
		const struct job_list *jobs, Sparkbus__Outcome worst)
{
	int status = outcome_exit(worst);

	/* For one named job every node was asked by name. With --all a silent node may have more.
	 */
	if (opts->all && fleet->silent) {
		cli_warn(cli, "%zu node%s did not answer; what runs there is unknown:",
				fleet->silent, plural(fleet->silent));
		fleet_print_silent(fleet, stderr);
		if (status == EXIT_DONE)
			status = EXIT_UNKNOWN;
	}
	if (opts->json || opts->dry_run)
		return status;
	if (worst == SPARKBUS__OUTCOME__OUTCOME_DONE)
		printf("Stopped %zu job%s.\n", jobs->n, plural(jobs->n));
	else
		fprintf(stderr, "%s\n",
				worst == SPARKBUS__OUTCOME__OUTCOME_FAILED
						? "Not everything was stopped."
						: "It is unknown whether everything was stopped.");
	return status;
}

static int stop_found(struct cli *cli, const struct fleet *fleet, const struct stop_opts *opts,
		struct job_list *jobs)
{
	Sparkbus__Outcome worst = SPARKBUS__OUTCOME__OUTCOME_DONE;
	json_t *list = opts->json ? json_array() : NULL;
	struct sb_err err = SB_ERR_INIT;
	int status;

	for (size_t i = 0; i < jobs->n; i++) {
		if (stop_one(cli, fleet, &jobs->items[i], opts, list, &worst, &err) < 0) {
			json_decref(list);
			return cli_fail(cli, &err);
		}
	}
	status = summary(cli, fleet, opts, jobs, worst);
	if (list)
		status = cli_json(cli,
				json_pack("{s:o, s:o}", "jobs", list, "unknown_nodes",
						fleet_silent_json(fleet)),
				status);
	return status;
}

/* Jobs come running ones first. A name means what runs; where nothing of it runs, the one that
 * ended last is looked at once more, so that stopping twice shows the evidence twice. */
static void prefer_running(struct job_list *jobs)
{
	size_t running = 0;

	while (running < jobs->n && !job_is_over(jobs->items[running].status->state))
		running++;
	if (!running)
		running = 1;
	while (jobs->n > running)
		free(jobs->items[--jobs->n].ranks);
}

static int find_and_stop(struct cli *cli, const struct stop_opts *opts,
		const struct job_filter *filter, const struct fleet *fleet)
{
	struct sb_err err = SB_ERR_INIT;
	struct job_list jobs = { 0 };
	int status;

	if (jobs_find(fleet, filter, &jobs, &err) < 0)
		return cli_fail(cli, &err);
	prefer_running(&jobs);
	if (!jobs.n && opts->json && opts->all) {
		status = cli_json(cli,
				json_pack("{s:[], s:o}", "jobs", "unknown_nodes",
						fleet_silent_json(fleet)),
				fleet->silent ? EXIT_UNKNOWN : EXIT_DONE);
	} else if (!jobs.n) {
		status = nothing(cli, fleet, filter);
	} else if (jobs.n > 1 && !opts->all) {
		sb_err_set(&err, SB_E_INVALID, "%s means %zu jobs:", filter->target, jobs.n);
		status = cli_fail(cli, &err);
		jobs_print_choice(&jobs);
		cli_hint("give the job id, or --tp, --port or --served-model-name");
	} else {
		status = stop_found(cli, fleet, opts, &jobs);
	}
	job_list_done(&jobs);
	return status;
}

int cmd_stop(struct cli *cli, const struct call *call)
{
	const struct stop_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	struct job_filter filter = opts->filter;
	struct sb_err err = SB_ERR_INIT;

	filter.target = call->n_args ? call->args[0] : NULL;
	if (opts->all && filter.target)
		return cli_usage(call, "--all and TARGET are mutually exclusive.");
	if (!opts->all && !filter.target)
		return cli_usage(call, "Must specify TARGET or --all.");
	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			fleet_ask(cli, &nodes, opts->all, &fleet, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	return find_and_stop(cli, opts, &filter, &fleet);
}
