/* What runs where, and what nobody told us. */
#include <string.h>

#include "commands.h"
#include "status_nodes.h"

#define STATUS_OPT(member) offsetof(struct status_opts, member)
#define NODE_COLS          16

const struct opt status_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = STATUS_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 'a', "all", NULL, NULL, "also jobs that ended", STATUS_OPT(all) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", STATUS_OPT(json) },
	{ OPT_END },
};
const struct opt job_show_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = offsetof(struct job_opts, hosts),
			.group = host_options },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct job_opts, json) },
	{ OPT_END },
};

/* Whether nobody can say what the rank does now: its node is silent and the leader, if it was
 * heard, cannot see it either. */
static bool rank_unknown(const struct job_rank *rank)
{
	return !rank->status || rank->status->state == SPARKBUS__RANK_STATE__RANK_UNKNOWN;
}

/* A node's clock may be ahead of ours: that is no time, not a huge one. */
static const char *age_of(uint64_t unix_ms, char *buf, size_t size)
{
	uint64_t now = sb_now_unix_ms();

	return sb_render_duration(now > unix_ms ? now - unix_ms : 0, buf, size);
}

static void print_rank(const struct job_rank *rank)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf note = SB_STRBUF_INIT;
	char age[32];

	if (!rank_unknown(rank) && rank->status->state == SPARKBUS__RANK_STATE__RANK_RUNNING &&
			rank->status->started_unix_ms)
		sb_strbuf_addf(&note, "for %s",
				age_of(rank->status->started_unix_ms, age, sizeof(age)));
	if (rank->status &&
			rank->status->has_exit_code_case ==
					SPARKBUS__RANK_STATUS__HAS_EXIT_CODE_EXIT_CODE)
		sb_strbuf_addf(&note, "exit code %d", rank->status->exit_code);
	if (rank->status && *rank->status->reason) {
		sb_strbuf_adds(&note, note.len ? ": " : "");
		sb_render_clean(&note, rank->status->reason, strlen(rank->status->reason));
	}
	printf("  rank %-3u  %-*s  %s", rank->rank, NODE_COLS, *rank->node ? rank->node : "?",
			rank_unknown(rank) ? "unknown" : rank_state_text(rank->status->state));
	printf("%s%s\n", note.len ? "  " : "", sb_strbuf_str(&note));
}

static enum sb_color color_of(const Sparkbus__JobStatus *s)
{
	if (s->state == SPARKBUS__JOB_STATE__JOB_READY &&
			s->health == SPARKBUS__HEALTH__HEALTH_HEALTHY)
		return SB_GREEN;
	return s->state == SPARKBUS__JOB_STATE__JOB_FAILED ||
					s->state == SPARKBUS__JOB_STATE__JOB_UNHEALTHY
			? SB_RED
			: SB_YELLOW;
}

/* Behind the state: how long it has lasted, and how fresh the proof of life is. */
static void add_times(const Sparkbus__JobStatus *s, struct sb_strbuf *out)
{
	bool over = job_is_over(s->state);
	bool ready = s->state == SPARKBUS__JOB_STATE__JOB_READY;
	char age[32];

	if (over && s->ended_unix_ms)
		sb_strbuf_addf(out, " %s ago", age_of(s->ended_unix_ms, age, sizeof(age)));
	if (ready && s->ready_unix_ms)
		sb_strbuf_addf(out, " for %s", age_of(s->ready_unix_ms, age, sizeof(age)));
	if (!over)
		sb_strbuf_addf(out, ", %s", health_text(s->health));
	if (!over && s->proved_unix_ms)
		sb_strbuf_addf(out, " (life proved %s ago)",
				age_of(s->proved_unix_ms, age, sizeof(age)));
}

/* What the engine said of its work, if that was a moment ago. */
static void print_load(const Sparkbus__EngineLoad *e)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char age[32];

	if (!e || !e->told)
		return;
	if (e->has_running_case)
		sb_strbuf_addf(&text, "%u running", e->running);
	if (e->has_waiting_case)
		sb_strbuf_addf(&text, ", %u waiting", e->waiting);
	if (e->has_rate_case)
		sb_strbuf_addf(&text, ", %.1f tokens/s", e->tokens_per_s);
	if (e->has_kv_case)
		sb_strbuf_addf(&text, ", KV cache %u%%", e->kv_used / 100);
	if (text.len)
		printf("  load:  %s (%s ago)\n", sb_strbuf_str(&text),
				age_of(e->unix_ms, age, sizeof(age)));
}

static void print_job(const struct job_view *view)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf label = SB_STRBUF_INIT, reason = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf times = SB_STRBUF_INIT;
	const Sparkbus__JobStatus *s = view->status;

	job_label(s, &label);
	add_times(s, &times);
	printf("Job: %s\n", sb_strbuf_str(&label));
	printf("  state: %s%s%s%s", sb_color(stdout, color_of(s)), job_state_text(s->state),
			sb_color(stdout, SB_PLAIN), sb_strbuf_str(&times));
	if (s->generation > 1)
		printf(", generation %llu", (unsigned long long)s->generation);
	puts(view->leader_ended ? "  (as a rank sees it; for its leader it has ended)"
					: view->leader_silent
					? "  (as a rank saw it last; the leader did not answer)"
					: "");
	sb_render_clean(&reason, s->reason, strlen(s->reason));
	if (reason.len)
		printf("  why:   %s\n", sb_strbuf_str(&reason));
	if (*s->url && !job_is_over(s->state))
		printf("  url:   %s\n", s->url);
	if (!job_is_over(s->state))
		print_load(s->engine);
	for (size_t i = 0; i < view->n_ranks; i++)
		print_rank(&view->ranks[i]);
	printf("  logs:  sparkbus logs %s\n", job_short(s->job));
	if (!job_is_over(s->state))
		printf("  stop:  sparkbus stop %s\n", job_short(s->job));
	putchar('\n');
}

static int print_nodes(
		const struct fleet *fleet, const struct sb_fabric *fabric, struct sb_err *err)
{
	int rc = status_nodes_print(fleet, fabric, stdout, err);

	putchar('\n');
	if (fleet->silent) {
		printf("%sUnknown%s (no answer):\n", sb_color(stdout, SB_YELLOW),
				sb_color(stdout, SB_PLAIN));
		fleet_print_silent(fleet, stdout);
		putchar('\n');
	}
	return rc;
}

static json_t *job_json(const struct job_view *view)
{
	json_t *json = sb_render_message(&view->status->base, NULL), *ranks = json_array();

	for (size_t i = 0; i < view->n_ranks; i++) {
		const struct job_rank *r = &view->ranks[i];

		json_array_append_new(ranks,
				r->status ? sb_render_message(&r->status->base, NULL)
					  : json_pack("{s:I, s:s, s:s}", "rank",
							    (json_int_t)r->rank, "node", r->node,
							    "state", "UNKNOWN"));
	}
	json_object_set_new(json, "ranks", ranks);
	return json;
}

static json_t *status_json(const struct fleet *fleet, const struct job_list *jobs,
		const struct sb_fabric *fabric)
{
	json_t *list = json_array(), *idle = json_array();

	for (size_t i = 0; i < jobs->n; i++)
		json_array_append_new(list, job_json(&jobs->items[i]));
	for (size_t i = 0; i < fleet->nodes->n; i++) {
		const Sparkbus__NodeState *state = fleet_state(fleet, i);

		if (state && !status_node_jobs(state))
			json_array_append_new(idle, json_string(fleet->nodes->items[i].node.name));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "jobs", list, "nodes",
			status_nodes_json(fleet, fabric), "idle_nodes", idle, "unknown_nodes",
			fleet_silent_json(fleet));
}

int cmd_status(struct cli *cli, const struct call *call)
{
	const struct status_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	SB_CLEANUP(sb_freep) struct sb_fabric_node *reports = NULL;
	SB_CLEANUP(sb_fabric_freep) struct sb_fabric *fabric = NULL;
	struct sb_err err = SB_ERR_INIT;
	int status;

	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			fleet_ask(cli, &nodes, !opts->all, &fleet, &err) < 0 ||
			fleet_jobs(&fleet, &jobs, &err) < 0 ||
			status_fabric(&fleet, &reports, &fabric, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	status = fleet.silent ? EXIT_UNKNOWN : EXIT_DONE;
	if (opts->json)
		return cli_json(cli, status_json(&fleet, &jobs, fabric), status);
	for (size_t i = 0; i < jobs.n; i++)
		print_job(&jobs.items[i]);
	if (print_nodes(&fleet, fabric, &err) < 0)
		return cli_fail(cli, &err);
	printf("Total: %zu job%s on %zu node%s", jobs.n, plural(jobs.n), nodes.n, plural(nodes.n));
	if (fleet.silent)
		printf(", of which %zu did not answer", fleet.silent);
	putchar('\n');
	return status;
}

int cmd_job_show(struct cli *cli, const struct call *call)
{
	const struct job_opts *opts = call->opts;
	const struct job_filter filter = { .target = call->args[0] };
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	struct sb_err err = SB_ERR_INIT;

	interrupt_catch();
	if (hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err) < 0 ||
			fleet_ask(cli, &nodes, false, &fleet, &err) < 0 ||
			jobs_find(&fleet, &filter, &jobs, &err) < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	if (fleet.silent) {
		cli_warn(cli, "%zu node%s did not answer:", fleet.silent, plural(fleet.silent));
		fleet_print_silent(&fleet, stderr);
	}
	if (!jobs.n && !fleet.silent) {
		sb_err_set(&err, SB_E_NOT_FOUND, "No such job: %s", filter.target);
		return cli_fail(cli, &err);
	}
	if (opts->json) {
		json_t *list = json_array();

		for (size_t i = 0; i < jobs.n; i++)
			json_array_append_new(list, job_json(&jobs.items[i]));
		return cli_json(cli, list, fleet.silent ? EXIT_UNKNOWN : EXIT_DONE);
	}
	for (size_t i = 0; i < jobs.n; i++)
		print_job(&jobs.items[i]);
	return fleet.silent ? EXIT_UNKNOWN : EXIT_DONE;
}
