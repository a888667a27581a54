/* fabric check: what the reports say, what the agents measure between each other, and what is wrong
 * with it: symptom, cause, fix. */
#include <string.h>

#include "commands.h"
#include "fabric_measure.h"

#define CHECK_OPT(member) offsetof(struct fabric_check_opts, member)
#define SECONDS_DEFAULT   1

const struct opt fabric_check_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = CHECK_OPT(hosts), .group = host_options },
	{ OPT_FLAG, 0, "no-measure", NULL, NULL, "judge the nodes' reports alone; send nothing",
			CHECK_OPT(no_measure) },
	{ OPT_INT, 0, "seconds", NULL, "N", "how long each path is timed (1)", CHECK_OPT(seconds),
			1, 20 },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", CHECK_OPT(json) },
	{ OPT_END },
};

/* --- findings of all sources in one form --- */

struct remark {
	enum sb_fabric_severity severity;
	const char *id, *node, *text, *cause, *fix;
};
typedef void remark_fn(void *ctx, const struct remark *remark);

static bool has_rdma(const Sparkbus__NodeState *state)
{
	const Sparkbus__FabricState *fabric = fabric_state(state);

	return fabric && fabric->n_rdma;
}

/* Kernels that keep memory for a kexec handover leave no contiguous memory for the adapter. */
static void each_memory(const struct fabric_view *view, remark_fn *fn, void *ctx)
{
	for (size_t i = 0; i < view->nodes.n; i++) {
		const Sparkbus__NodeState *state = fleet_state(&view->fleet, i);
		const Sparkbus__MemoryState *m =
				state && state->telemetry ? state->telemetry->memory : NULL;

		if (!m || !m->has_cma_total_case || m->cma_total_bytes || !has_rdma(state))
			continue;
		fn(ctx,
				&(struct remark){ SB_FABRIC_REFUSE, "no-cma", view->reports[i].name,
						"CmaTotal is 0: the adapter cannot register memory",
						"kernel 7.0 without kho=off keeps it for itself: "
						"NCCL fails "
						"with ENOMEM",
						"install nvidia-spark-grub-kho and reboot" });
	}
}

static void each_remark(const struct fabric_view *view, const struct fabric_paths *paths,
		remark_fn *fn, void *ctx)
{
	const struct sb_fabric_finding *f;
	struct fabric_verdict verdict;

	for (size_t i = 0; (f = sb_fabric_finding_at(view->fabric, i)); i++)
		fn(ctx, &(struct remark){ f->severity, f->id, f->node, f->text, f->cause, f->fix });
	each_memory(view, fn, ctx);
	for (size_t i = 0; i < paths->n; i++)
		for (size_t k = 0; fabric_path_verdict(view, &paths->items[i], k, &verdict); k++)
			fn(ctx,
					&(struct remark){ verdict.severity, verdict.id,
							view->reports[paths->items[i].from].name,
							verdict.text, verdict.cause, verdict.fix });
}

static const char *severity_text(enum sb_fabric_severity severity)
{
	static const char *const texts[] = { "note", "warning", "error" };

	return texts[severity];
}

/* --- text --- */

static void print_remark(void *ctx, const struct remark *r)
{
	static const enum sb_color colors[] = { SB_BOLD, SB_YELLOW, SB_RED };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_render_clean(&text, r->text, strlen(r->text));
	printf("%s%s:%s %s%s%s [%s]\n  cause: %s\n  fix:   %s\n",
			sb_color(stdout, colors[r->severity]), severity_text(r->severity),
			sb_color(stdout, SB_PLAIN), r->node, *r->node ? ": " : "",
			sb_strbuf_str(&text), r->id, r->cause, r->fix);
}

static void add_path(
		const struct fabric_view *view, const struct fabric_path *p, struct sb_table *table)
{
	static const char *const tried[] = { "unknown", "no", "yes" };
	char by[24], packet[24], rate[24], rtt[24];

	snprintf(by, sizeof(by), "path %u", p->path);
	snprintf(packet, sizeof(packet), "%u %s", p->mtu, p->packet_passed ? "passes" : "is lost");
	snprintf(rate, sizeof(rate), "%.1f Gb/s", p->gbps);
	snprintf(rtt, sizeof(rtt), "%u us", p->rtt_us);
	sb_table_row(table,
			(const char *const[]){ view->reports[p->from].name,
					view->reports[p->to].name, p->path ? by : "management",
					p->address, tried[p->tried], p->has_packet ? packet : NULL,
					p->rtt_us ? rtt : NULL, p->gbps > 0 ? rate : NULL });
}

static int print_paths(const struct fabric_view *view, const struct fabric_paths *paths,
		struct sb_err *err)
{
	static const char *const headers[] = { "FROM", "TO", "BY", "ADDRESS", "REACHED", "PACKET",
		"RTT", "TCP" };
	SB_CLEANUP(sb_table_done) struct sb_table table = { 0 };

	sb_table_init(&table, headers, sb_countof(headers));
	for (size_t i = 0; i < paths->n; i++)
		add_path(view, &paths->items[i], &table);
	return sb_table_print(&table, stdout, err);
}

/* --- JSON --- */

static void remark_json(void *ctx, const struct remark *r)
{
	json_array_append_new(ctx,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "severity",
					severity_text(r->severity), "id", r->id, "node", r->node,
					"text", r->text, "cause", r->cause, "fix", r->fix));
}

static json_t *path_json(const struct fabric_view *view, const struct fabric_path *p)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s?, s:i}", "from",
			view->reports[p->from].name, "to", view->reports[p->to].name, "path",
			(int)p->path, "source", p->source, "address", p->address, "interface",
			p->interface, "mtu", (int)p->mtu);

	if (p->tried != FABRIC_UNKNOWN)
		json_object_set_new(json, "reached", json_boolean(p->tried == FABRIC_REACHED));
	if (*p->error)
		json_object_set_new(json, "error", json_string(p->error));
	if (p->has_packet)
		json_object_set_new(json, "mtu_passes", json_boolean(p->packet_passed));
	if (p->rtt_us)
		json_object_set_new(json, "rtt_us", json_integer(p->rtt_us));
	if (p->gbps > 0) {
		json_object_set_new(json, "tcp_gbps", json_real(p->gbps));
		json_object_set_new(json, "retransmits", json_integer(p->retransmits));
	}
	return json;
}

static json_t *check_json(const struct fabric_view *view, const struct fabric_paths *paths)
{
	json_t *json = fabric_json(view), *remarks = json_array(), *list = json_array();

	each_remark(view, paths, remark_json, remarks);
	for (size_t i = 0; i < paths->n; i++)
		json_array_append_new(list, path_json(view, &paths->items[i]));
	json_object_set_new(json, "findings", remarks);
	json_object_set_new(json, "paths", list);
	return json;
}

/* --- the command --- */

static void keep_worst(void *ctx, const struct remark *r)
{
	enum sb_fabric_severity *worst = ctx;

	*worst = r->severity > *worst ? r->severity : *worst;
}

/* Wrong is worse than unknown. */
static int exit_of(const struct fabric_view *view, const struct fabric_paths *paths, bool measured)
{
	enum sb_fabric_severity worst = SB_FABRIC_NOTE;
	bool unknown = view->fleet.silent > 0;

	each_remark(view, paths, keep_worst, &worst);
	for (size_t i = 0; i < paths->n && measured; i++)
		unknown = unknown || paths->items[i].tried == FABRIC_UNKNOWN;
	if (worst > SB_FABRIC_NOTE)
		return EXIT_FAILED;
	return unknown ? EXIT_UNKNOWN : EXIT_DONE;
}

static int print_text(const struct fabric_view *view, const struct fabric_paths *paths,
		bool measured, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	fabric_headline(view, &line);
	printf("Fabric: %s\n\n", sb_strbuf_str(&line));
	if (measured && paths->n && print_paths(view, paths, err) < 0)
		return -(int)err->code;
	if (measured && paths->n)
		putchar('\n');
	for (size_t i = 0; i < paths->n && measured; i++)
		if (paths->items[i].tried == FABRIC_UNKNOWN)
			printf("unknown: %s to %s at %s: %s\n",
					view->reports[paths->items[i].from].name,
					view->reports[paths->items[i].to].name,
					paths->items[i].address, paths->items[i].error);
	each_remark(view, paths, print_remark, NULL);
	if (view->fleet.silent) {
		printf("Unknown (no answer):\n");
		fleet_print_silent(&view->fleet, stdout);
	}
	return 0;
}

int cmd_fabric_check(struct cli *cli, const struct call *call)
{
	const struct fabric_check_opts *opts = call->opts;
	SB_CLEANUP(fabric_view_done) struct fabric_view view = { 0 };
	SB_CLEANUP(fabric_paths_done) struct fabric_paths paths = { 0 };
	unsigned seconds = opts->seconds.text ? (unsigned)opts->seconds.value : SECONDS_DEFAULT;
	bool measured = !opts->no_measure;
	struct sb_err err = SB_ERR_INIT;
	int status, rc;

	interrupt_catch();
	rc = fabric_view_ask(cli, &opts->hosts, &view, &err);
	if (rc == 0)
		rc = fabric_paths_list(&view, &paths, &err);
	if (rc == 0 && measured)
		rc = fabric_paths_try(cli, &view, &paths, &err);
	if (rc == 0 && measured)
		rc = fabric_paths_time(cli, &view, &paths, seconds * 1000, &err);
	if (rc < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	status = exit_of(&view, &paths, measured);
	if (opts->json)
		return cli_json(cli, check_json(&view, &paths), status);
	if (print_text(&view, &paths, measured, &err) < 0)
		return cli_fail(cli, &err);
	if (status == EXIT_DONE)
		puts("Nothing is wrong.");
	return status;
}
