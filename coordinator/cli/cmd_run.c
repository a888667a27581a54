/* run: recipe + overrides + nodes -> plan -> prepare -> commit -> watch -> follow. */
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "run_hooks.h"

#define STEPS    5
#define LOG_TAIL 100

#define RUN_OPT(member) offsetof(struct run_opts, member)

const struct opt run_override_options[] = {
	{ OPT_INT, 0, "tp", "tensor-parallel", "N", "tensor parallel size", RUN_OPT(tp), 1, 1024 },
	{ OPT_INT, 0, "pp", "pipeline-parallel", "N", "pipeline parallel size", RUN_OPT(pp), 1,
			1024 },
	{ OPT_INT, 0, "dp", "data-parallel", "N", "data parallel size", RUN_OPT(dp), 1, 1024 },
	{ OPT_FLOAT, 0, "gpu-mem", "gpu-memory-utilization,mem-fraction-static", "F",
			"share of the memory that the engine may use, 0 to 1", RUN_OPT(gpu_mem), 0,
			1 },
	{ OPT_INT, 0, "max-model-len", NULL, "N", "longest context, in tokens",
			RUN_OPT(max_model_len), 1, 1e9 },
	{ OPT_TEXT, 0, "served-model-name", NULL, "NAME", "name that clients use",
			RUN_OPT(served_model_name) },
	{ OPT_INT, 0, "port", NULL, "N", "port of the API", RUN_OPT(port), 1, 65535 },
	{ OPT_TEXT, 0, "image", NULL, "REF", "container image instead of the recipe's",
			RUN_OPT(image) },
	{ OPT_LIST, 'o', "option", NULL, "KEY=VALUE",
			"any default of the recipe; env.NAME=VALUE sets a variable (repeat)",
			RUN_OPT(option) },
	{ OPT_END },
};

const struct opt run_container_options[] = {
	{ OPT_TEXT, 0, "memory-limit", NULL, "SIZE", "most memory of a container, \"100g\"",
			RUN_OPT(memory_limit) },
	{ OPT_FLAG, 0, "rootful", NULL, NULL,
			"privileged, and as the image's user: what the recipe does not set itself",
			RUN_OPT(rootful) },
	{ OPT_LIST, 0, "label", NULL, "KEY=VALUE",
			"label of the containers, instead of the recipe's (repeat)",
			RUN_OPT(label) },
	{ OPT_TEXT, 0, "restart", NULL, "POLICY", "no, always, unless-stopped or on-failure[:N]",
			RUN_OPT(restart) },
	{ OPT_TEXT, 0, "container-name", NULL, "NAME", "name of the job instead of its id",
			RUN_OPT(container_name) },
	{ OPT_FLAG, 0, "no-rm", NULL, NULL, "keep containers after their end", RUN_OPT(no_rm) },
	{ OPT_END },
};

const struct opt run_rank_options[] = {
	{ OPT_FLAG, 0, "solo", NULL, NULL, "use one node only", RUN_OPT(solo) },
	{ OPT_INT, 0, "init-port", NULL, "N", "port at which ranks meet (25000)",
			RUN_OPT(init_port), 1, 65535 },
	{ OPT_INT, 0, "ray-port", NULL, "N", "port at which Ray nodes meet (46379)",
			RUN_OPT(ray_port), 1, 65535 },
	{ OPT_FLAG, 0, "dashboard", NULL, NULL,
			"Ray's dashboard, at the head's address; without a password",
			RUN_OPT(dashboard) },
	{ OPT_INT, 0, "dashboard-port", NULL, "N", "its port (8265)", RUN_OPT(dashboard_port), 1,
			65535 },
	{ OPT_END },
};

/* Options of the published tool that have no meaning on the bus. */
static const struct opt gone_options[] = {
	{ OPT_GONE, .name = "cache-dir",
			.help = "The model cache is a setting of each node's agent: "
				"models.hf_cache" },
	{ OPT_GONE, .name = "transfer-mode",
			.help = "Leave it out: every node pulls its images itself" },
	{ OPT_GONE, .name = "executor-args",
			.help = "Use the recipe's executor_config, or -o KEY=VALUE with one of its "
				"keys" },
	{ OPT_GONE, .name = "no-sync-tuning",
			.help = "Leave it out: tuned kernel configurations are not copied" },
	{ OPT_GONE, .name = "collect-diagnostics",
			.help = "Use sparkbus job show and sparkbus logs; agents keep both" },
	{ OPT_END },
};

const struct opt run_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = RUN_OPT(hosts), .group = host_options },
	{ OPT_GROUP, .name = "Recipe overrides", .at = 0, .group = run_override_options },
	{ OPT_GROUP, .name = "Containers", .at = 0, .group = run_container_options },
	{ OPT_GROUP, .name = "Ranks", .at = 0, .group = run_rank_options },
	{ OPT_GROUP, .name = "Gone", .at = 0, .group = gone_options },
	{ OPT_FLAG, 'n', "dry-run", NULL, NULL, "print the plan; start nothing", RUN_OPT(dry_run) },
	{ OPT_FLAG, 0, "ensure", NULL, NULL, "do nothing when the job runs already",
			RUN_OPT(ensure) },
	{ OPT_FLAG, 0, "no-follow", NULL, NULL, "return when the job is ready",
			RUN_OPT(no_follow) },
	{ OPT_FLAG, 0, "foreground", NULL, NULL,
			"Ctrl-C stops the job; exit with the engine's status",
			RUN_OPT(foreground) },
	{ OPT_FLAG, 0, "trust", NULL, NULL,
			"let the recipe's hooks act on this machine without asking",
			RUN_OPT(trust) },
	{ OPT_INT, 0, "ready-timeout", NULL, "SECONDS",
			"longest wait for the job to be ready (3600)", RUN_OPT(ready_timeout), 1,
			604800 },
	{ OPT_INT, 0, "priority", NULL, "N",
			"when a node's memory runs out, the job with the lowest is stopped first "
			"(0)",
			RUN_OPT(priority), -1000, 1000 },
	{ OPT_FLAG, 0, "strict", NULL, NULL,
			"start nothing when lint, the links between the nodes or their memory give "
			"a warning",
			RUN_OPT(strict) },
	{ OPT_FLAG, 0, "no-lint", NULL, NULL, "do not compare the launch with lint's rules",
			RUN_OPT(no_lint) },
	{ OPT_FLAG, 0, "offline", NULL, NULL, "do not ask the hub how large the model is",
			RUN_OPT(offline) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON: the plan with -n, else the job once ready",
			RUN_OPT(json) },
	{ OPT_END },
};

/* Every node must answer before a plan is made for it; a dry run says who does not. */
static int ask_nodes(struct launch *l, const struct run_opts *opts, struct fleet *fleet)
{
	struct sb_err err = SB_ERR_INIT;

	if (fleet_ask(l->cli, &l->nodes, true, fleet, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(l->cli, &err);
	sb_progress_break(&l->progress);
	if (!fleet->silent)
		return EXIT_DONE;
	sb_err_set(&err, SB_E_UNAVAILABLE, "%zu of %zu nodes did not answer:", fleet->silent,
			l->nodes.n);
	if (opts->dry_run)
		cli_warn(l->cli, "%s", err.text);
	else
		cli_fail(l->cli, &err);
	fleet_print_silent(fleet, stderr);
	return opts->dry_run ? EXIT_DONE : EXIT_UNKNOWN;
}

/* --- lint --- */

/* The nodes of the plan alone count. */
static int add_node_facts(struct launch *l, const struct fleet *fleet, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	const Sparkbus__NodeState **states = calloc(l->nodes.n, sizeof(*states));
	size_t n = 0;

	if (!states)
		return sb_err_nomem(err);
	for (size_t i = 0; i < l->nodes.n; i++)
		for (size_t k = 0; k < l->plan->n_ranks; k++)
			if (!strcmp(l->plan->ranks[k]->node, l->nodes.items[i].node.name)) {
				states[n++] = fleet_state(fleet, i);
				break;
			}
	return checks_add_nodes(l->facts, states, n, err);
}

/* Hints are for `recipe validate`. Return: how many were printed. */
static size_t print_findings(
		struct launch *l, const struct sb_findings *findings, size_t *ret_fatal)
{
	size_t n = 0;

	for (size_t i = 0; i < findings->n; i++) {
		const struct sb_finding *f = &findings->items[i];

		if (f->severity <= SB_SEVERITY_INFO || f->accepted)
			continue;
		/* The estimate says it by node. */
		if (!strcmp(f->rule.id, "MEM003") && run_memory_known(l))
			continue;
		if (!n++)
			sb_progress_break(&l->progress);
		checks_print(stderr, l->recipe.path, f, true, false);
		*ret_fatal += f->fatal;
	}
	return n;
}

/* Say what is known to go wrong with this launch on these nodes. Return: the exit status when it
 * must not go on, else EXIT_DONE. */
static int lint(struct launch *l, const struct run_opts *opts, const struct fleet *fleet)
{
	SB_CLEANUP(sb_findings_done) struct sb_findings findings = { 0 };
	struct sb_err err = SB_ERR_INIT;
	size_t fatal = 0, bad;

	if (!l->facts)
		return EXIT_DONE;
	if (add_node_facts(l, fleet, &err) < 0 || sb_lint(l->rules, l->facts, &findings, &err) < 0)
		return cli_fail(l->cli, &err);
	bad = print_findings(l, &findings, &fatal);
	if (!fatal && !(opts->strict && bad))
		return EXIT_DONE;
	fprintf(stderr, "%sError:%s %s. Nothing was started; --no-lint goes on all the same.\n",
			sb_color(stderr, SB_RED), sb_color(stderr, SB_PLAIN),
			fatal ? "the launch would fail" : "with --strict warnings are errors");
	return EXIT_FAILED;
}

/* What the links give the ranks. Return: the exit status when the launch must not go on, else
 * EXIT_DONE. */
static int add_fabric(struct launch *l, const struct run_opts *opts, const struct fleet *fleet)
{
	struct sb_diags diags = SB_DIAGS_INIT;
	struct sb_err err = SB_ERR_INIT;
	bool warned = false;
	int rc = l->plan->n_ranks > 1 ? run_fabric(l, fleet, &diags, &warned, &err) : 0;

	if (diags.n)
		sb_progress_break(&l->progress);
	launch_print_diags(l, &diags);
	sb_diags_done(&diags);
	if (rc < 0)
		return cli_fail(l->cli, &err);
	if (!warned || !opts->strict)
		return EXIT_DONE;
	fprintf(stderr, "%sError:%s with --strict warnings are errors. Nothing was started.\n",
			sb_color(stderr, SB_RED), sb_color(stderr, SB_PLAIN));
	return EXIT_FAILED;
}

static int print_dry_run(struct launch *l, bool json)
{
	if (json)
		return cli_json(l->cli, sb_render_message(&l->plan->base, &l->mask), EXIT_DONE);
	plan_print_summary(l, stdout);
	plan_print_ranks(l, stdout);
	hooks_print(l, stdout);
	puts("Dry run: nothing was started.");
	return EXIT_DONE;
}

/* True when the leader says that this very job is up or on its way. */
static bool already_runs(struct launch *l, const struct fleet *fleet, bool json, int *ret_status)
{
	struct job_list jobs = { 0 };
	const Sparkbus__JobStatus *found = NULL;

	if (fleet_jobs(fleet, &jobs, NULL) < 0)
		return false;
	for (size_t i = 0; i < jobs.n; i++)
		if (!strcmp(jobs.items[i].status->job, l->plan->job) &&
				!jobs.items[i].leader_silent &&
				(jobs.items[i].status->state == SPARKBUS__JOB_STATE__JOB_READY ||
						jobs.items[i].status->state ==
								SPARKBUS__JOB_STATE__JOB_STARTING))
			found = jobs.items[i].status;
	job_list_done(&jobs);
	if (!found)
		return false;
	*ret_status = EXIT_DONE;
	if (json) {
		*ret_status = cli_json(l->cli, sb_render_message(&found->base, NULL), EXIT_DONE);
		return true;
	}
	printf("Job already running (%s)\n  Recipe: %s\n  State:  %s\n  URL:    %s\n  Hosts: ",
			found->job, found->recipe, job_state_text(found->state), found->url);
	for (size_t i = 0; i < found->n_nodes; i++)
		printf("%s %s", i ? "," : "", found->nodes[i]);
	putchar('\n');
	return true;
}

static int stop_foreground(struct launch *l)
{
	SB_CLEANUP(sb_freep) const char **names = calloc(l->plan->n_ranks, sizeof(*names));
	struct stop_result result = { .outcome = SPARKBUS__OUTCOME__OUTCOME_UNKNOWN };
	struct sb_err err = SB_ERR_INIT;

	if (!names)
		return EXIT_FAILED;
	interrupt_reset();
	cli_client_renew(l->cli);
	for (size_t i = 0; i < l->plan->n_ranks; i++)
		names[i] = l->plan->ranks[i]->node;
	fprintf(stderr, "\nStopping %s ...\n", l->plan->job);
	if (stop_job(l->cli, l->plan->job, names, l->plan->n_ranks, (struct opt_int){ 0 }, false,
			    &result, &err) < 0)
		return cli_fail(l->cli, &err);
	return outcome_exit(result.outcome);
}

static void print_how_to(const struct launch *l, FILE *out)
{
	fprintf(out, "Logs:      sparkbus logs %s\nStop:      sparkbus stop %s\n",
			job_short(l->plan->job), job_short(l->plan->job));
}

static int detached(struct launch *l, bool ready)
{
	if (l->foreground)
		return stop_foreground(l);
	fprintf(stderr,
			ready ? "\nDetached; the job goes on.\n"
			      : "\nDetached; the launch goes on.\n");
	if (!ready)
		fprintf(stderr, "State:     sparkbus status\n");
	print_how_to(l, stderr);
	return ready ? EXIT_DONE : EXIT_UNKNOWN;
}

static int follow_head(struct launch *l)
{
	const struct log_source head = { l->ranks[0], 0 };
	const struct follow_opts follow = { .job = l->plan->job,
		.sources = &head,
		.n_sources = 1,
		.tail = LOG_TAIL,
		.follow = true,
		.leader = l->ranks[0] };
	enum follow_end end = FOLLOW_OVER;
	Sparkbus__JobStatus *last = NULL;
	struct sb_err err = SB_ERR_INIT;
	int status = EXIT_DONE;

	if (follow_logs(l->cli, &follow, stdout, &end, &last, &err) < 0)
		status = cli_fail(l->cli, &err);
	else if (end == FOLLOW_INTERRUPTED)
		status = detached(l, true);
	else if (!last)
		status = EXIT_UNKNOWN;
	else if (l->foreground && last->n_ranks &&
			last->ranks[0]->has_exit_code_case ==
					SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE)
		status = last->ranks[0]->exit_code & 0xff;
	else
		status = last->state == SPARKBUS__JOB_STATE__JOB_STOPPED ? EXIT_DONE : EXIT_FAILED;
	if (last) {
		fprintf(stderr, "Job %s: %s%s%s\n", last->job, job_state_text(last->state),
				*last->reason ? ": " : "", last->reason);
		sparkbus__job_status__free_unpacked(last, NULL);
	}
	return status;
}

static int print_over(
		struct launch *l, const struct run_opts *opts, const Sparkbus__JobStatus *status)
{
	if (opts->json)
		return cli_json(l->cli, sb_render_message(&status->base, &l->mask), EXIT_DONE);
	printf("Job:       %s\nStopped after its post hooks, as the recipe says.\n", l->plan->job);
	return EXIT_DONE;
}

static int ready(struct launch *l, const struct run_opts *opts, Sparkbus__JobStatus **ret_status)
{
	const Sparkbus__JobStatus *status;
	bool over = false;
	int result = hooks_come_after(l) ? hooks_after(l, ret_status, &over) : EXIT_DONE;

	status = *ret_status;
	if (over && result == EXIT_DONE)
		return print_over(l, opts, status);
	if (result != EXIT_DONE || opts->json)
		return opts->json ? cli_json(l->cli, sb_render_message(&status->base, &l->mask),
						    result)
				  : result;
	printf("\nJob:       %s\nURL:       %s\nModel:     %s\n", status->job, status->url,
			status->served_model_name);
	print_how_to(l, stdout);
	fflush(stdout);
	if (opts->no_follow && !opts->foreground)
		return EXIT_DONE;
	cli_note(l->cli,
			opts->foreground ? "\nFollowing the log; Ctrl-C stops the job."
					 : "\nFollowing the log; Ctrl-C detaches.");
	return follow_head(l);
}

static int watch(struct launch *l, const struct run_opts *opts)
{
	Sparkbus__JobStatus *status = NULL;
	char label[128];
	enum watch_end end;
	int result;

	snprintf(label, sizeof(label), "Starting %s", l->plan->runtime);
	sb_progress_step(&l->progress, label);
	end = launch_watch(l, &status);
	if (end == WATCH_READY || (end == WATCH_OVER && hooks_ended(l, status)))
		sb_progress_done(&l->progress);
	else
		sb_progress_break(&l->progress);
	if (end == WATCH_READY) {
		result = ready(l, opts, &status);
	} else if (end == WATCH_OVER && hooks_ended(l, status)) {
		result = print_over(l, opts, status);
	} else if (end == WATCH_DETACHED) {
		result = detached(l, false);
	} else if (end == WATCH_LOST) {
		fprintf(stderr,
				"Error: it is unknown what became of %s: its leader does not "
				"tell\n",
				l->plan->job);
		result = EXIT_UNKNOWN;
	} else {
		fprintf(stderr, "Error: %s: %s\n", l->plan->job,
				status && *status->reason
						? status->reason
						: "the leader knows no such job any more");
		launch_print_failure(status);
		result = EXIT_FAILED;
	}
	if (status)
		sparkbus__job_status__free_unpacked(status, NULL);
	return result;
}

static int start(struct launch *l, const struct run_opts *opts)
{
	int status;

	if (!opts->json)
		plan_print_summary(l, stdout);
	fflush(stdout);
	status = launch_prepare(l);
	if (status == LAUNCH_GO_ON)
		status = launch_commit(l);
	return status == LAUNCH_GO_ON ? watch(l, opts) : status;
}

/* Nothing has left this machine yet. */
static int ask_for_trust(struct launch *l, const struct run_opts *opts)
{
	struct sb_err err = SB_ERR_INIT;
	bool yes = true;

	if (!opts->dry_run && hooks_may_act(l, opts->trust, &yes, &err) < 0)
		return cli_fail(l->cli, &err);
	if (!yes)
		fprintf(stderr, "Nothing was started.\n");
	return yes ? EXIT_DONE : EXIT_FAILED;
}

static int plan_and_start(struct launch *l, const struct run_opts *opts, const char *target)
{
	struct sb_diags diags = SB_DIAGS_INIT;
	struct sb_err err = SB_ERR_INIT;
	struct fleet fleet = { 0 };
	struct sb_client *client;
	bool over = false;
	int status, rc;

	if (hosts_resolve(l->cli, &opts->hosts, HOSTS_MUST, &l->nodes, &err) < 0 ||
			recipe_find(target, &l->recipe, &err) < 0 ||
			cli_client(l->cli, &client, &err) < 0)
		return cli_fail(l->cli, &err);
	sb_progress_step(&l->progress, "Compiling the plan");
	rc = run_compile(l, opts, &diags, &err);
	if (rc < 0 || diags.n)
		sb_progress_break(&l->progress);
	launch_print_diags(l, &diags);
	sb_diags_done(&diags);
	if (rc < 0)
		return cli_fail(l->cli, &err);
	sb_progress_done(&l->progress);
	status = ask_for_trust(l, opts);
	if (status != EXIT_DONE)
		return status;
	sb_progress_step(&l->progress, "Asking nodes");
	status = ask_nodes(l, opts, &fleet);
	if (status == EXIT_DONE) {
		sb_progress_done(&l->progress);
		status = add_fabric(l, opts, &fleet);
	}
	if (status == EXIT_DONE)
		status = run_estimate(l, opts, &fleet);
	if (status == EXIT_DONE)
		status = lint(l, opts, &fleet);
	/* A job that is up has the memory that it would need. */
	if (status == EXIT_DONE && opts->ensure && !opts->dry_run)
		over = already_runs(l, &fleet, opts->json, &status);
	if (status == EXIT_DONE && !over)
		status = run_memory(l, opts);
	if (status == EXIT_DONE && !over)
		status = opts->dry_run ? print_dry_run(l, opts->json) : start(l, opts);
	fleet_done(&fleet);
	return status;
}

int cmd_run(struct cli *cli, const struct call *call)
{
	const struct run_opts *opts = call->opts;
	struct launch l = { .cli = cli, .foreground = opts->foreground };
	int status;

	if (opts->foreground && (opts->json || opts->no_follow))
		return cli_usage(call, "--foreground does not go with --json or --no-follow");
	l.progress.out = cli->global.quiet ? NULL : stderr;
	l.progress.steps = opts->dry_run ? 2 : STEPS;
	interrupt_catch();
	status = plan_and_start(&l, opts, call->args[0]);
	launch_done(&l);
	return status;
}
