#include <string.h>

#include "commands.h"

#define LOGS_OPT(member) offsetof(struct logs_opts, member)
#define TAIL_DEFAULT     100

enum follow_choice { FOLLOW_AUTO, FOLLOW_YES, FOLLOW_NO };

const struct opt logs_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = LOGS_OPT(hosts), .group = host_options },
	{ OPT_TEXT, 0, "rank", NULL, "N|all", "whose log: a rank (0, the head), or all, by time",
			LOGS_OPT(rank) },
	{ OPT_INT, 0, "tail", NULL, "N",
			"begin this many lines before the end (100); 0 = from the "
			"beginning",
			LOGS_OPT(tail), 0, 1e9 },
	{ OPT_SET, 'f', "follow", NULL, NULL, "wait for more lines", LOGS_OPT(follow),
			.value = FOLLOW_YES },
	{ OPT_SET, 0, "no-follow", NULL, NULL, "end after the lines that are there",
			LOGS_OPT(follow), .value = FOLLOW_NO },
	{ OPT_INT, 0, "tp", "tensor-parallel", "N", "only jobs of this tensor parallel size",
			LOGS_OPT(filter.tp), 1, 1024 },
	{ OPT_INT, 0, "port", NULL, "N", "only jobs whose API has this port", LOGS_OPT(filter.port),
			1, 65535 },
	{ OPT_TEXT, 0, "served-model-name", NULL, "NAME", "only jobs that serve this name",
			LOGS_OPT(filter.served_model_name) },
	{ OPT_END },
};

struct sources {
	struct log_source *items;
	struct cli_nodes nodes; /* of the job */
	size_t n;
};

static void sources_done(struct sources *s)
{
	free(s->items);
	cli_nodes_done(&s->nodes);
}

/* The job's own nodes: they may be more than those that were asked for it. */
static int find_sources(struct cli *cli, const struct job_view *view, long rank, bool all,
		struct sources *ret, struct sb_err *err)
{
	ret->items = calloc(view->n_ranks + 1, sizeof(*ret->items));
	if (!ret->items)
		return sb_err_nomem(err);
	for (size_t i = 0; i < view->n_ranks; i++)
		if (*view->ranks[i].node &&
				hosts_add(cli, &ret->nodes, view->ranks[i].node, err) < 0)
			cli_warn(cli, "rank %u: %s", view->ranks[i].rank, err->text);
	for (size_t i = 0; i < view->n_ranks; i++) {
		const struct job_rank *r = &view->ranks[i];
		const struct cli_node *node = hosts_by_name(&ret->nodes, r->node);

		if (node && (all || r->rank == (uint32_t)rank))
			ret->items[ret->n++] = (struct log_source){ node, r->rank };
	}
	if (!ret->n)
		return sb_err_set(err, SB_E_NOT_FOUND, "job %s: no rank %ld is known",
				job_short(view->status->job), all ? 0 : rank);
	return 0;
}

static int print_logs(struct cli *cli, const struct job_view *view, const struct logs_opts *opts,
		long rank, bool all)
{
	SB_CLEANUP(sources_done) struct sources sources = { 0 };
	struct follow_opts follow = { .job = view->status->job };
	enum follow_end end = FOLLOW_OVER;
	struct sb_err err = SB_ERR_INIT;

	if (find_sources(cli, view, rank, all, &sources, &err) < 0)
		return cli_fail(cli, &err);
	follow.sources = sources.items;
	follow.n_sources = sources.n;
	follow.prefix = all;
	follow.tail = opts->tail.text ? (uint32_t)opts->tail.value : TAIL_DEFAULT;
	follow.follow = opts->follow == FOLLOW_YES ||
			(opts->follow == FOLLOW_AUTO && !job_is_over(view->status->state));
	follow.leader = *view->status->leader ? hosts_by_name(&sources.nodes, view->status->leader)
					      : NULL;
	if (!follow.leader)
		follow.leader = sources.items[0].node;
	if (follow_logs(cli, &follow, stdout, &end, NULL, &err) < 0)
		return cli_fail(cli, &err);
	return EXIT_DONE;
}

static int none_found(struct cli *cli, const struct fleet *fleet, const char *target)
{
	struct sb_err err;

	if (fleet->silent)
		sb_err_set(&err, SB_E_UNAVAILABLE,
				"no answering node has a job '%s'; %zu did not answer:", target,
				fleet->silent);
	else
		sb_err_set(&err, SB_E_NOT_FOUND, "No such job: %s", target);
	cli_fail(cli, &err);
	fleet_print_silent(fleet, stderr);
	return fleet->silent ? EXIT_UNKNOWN : EXIT_FAILED;
}

/* A recipe that runs now is meant rather than its earlier runs; without one, the latest run. */
static size_t choose(struct job_list *jobs)
{
	size_t running = 0;

	while (running < jobs->n && !job_is_over(jobs->items[running].status->state))
		running++;
	return running ? running : jobs->n ? 1 : 0;
}

int cmd_logs(struct cli *cli, const struct call *call)
{
	const struct logs_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	bool all = opts->rank && !strcmp(opts->rank, "all");
	struct job_filter filter = opts->filter;
	struct sb_err err = SB_ERR_INIT;
	char *end = NULL;
	long rank = opts->rank && !all ? strtol(opts->rank, &end, 10) : 0;
	size_t n;

	if (end && (end == opts->rank || *end || rank < 0 || rank > 65535))
		return cli_usage(call, "--rank: '%s' is neither a rank nor 'all'", opts->rank);
	filter.target = call->args[0];
	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			fleet_ask(cli, &nodes, false, &fleet, &err) < 0 ||
			jobs_find(&fleet, &filter, &jobs, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	n = choose(&jobs);
	if (!n)
		return none_found(cli, &fleet, filter.target);
	if (n > 1) {
		sb_err_set(&err, SB_E_INVALID, "%s means %zu jobs:", filter.target, n);
		cli_fail(cli, &err);
		jobs_print_choice(&jobs);
		cli_hint("give the job id, or --tp, --port or --served-model-name");
		return EXIT_FAILED;
	}
	return print_logs(cli, &jobs.items[0], opts, rank, all);
}
