/* The nodes and jobs, live. */
#include <stdio.h>

#include "commands.h"
#include "monitor.h"

#define MONITOR_OPT(member) offsetof(struct monitor_opts, member)
/* A silent node costs a round this much, and the others' rows are as old. */
#define DEADLINE_MS  2000u
#define ONCE_COLUMNS 80
#define ONCE_LINES   10

const struct opt monitor_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = MONITOR_OPT(hosts), .group = host_options },
	{ OPT_INT, 0, "interval", NULL, "SECONDS", "ask the nodes this often (1)",
			MONITOR_OPT(interval), 1, 3600 },
	{ OPT_FLAG, 0, "once", NULL, NULL, "print what there is now as text, and leave",
			MONITOR_OPT(once) },
	{ OPT_END },
};

static int print_once(struct monitor *m, struct sb_err *err)
{
	SB_CLEANUP(sb_monitor_frame_done) struct sb_monitor_frame frame = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const struct sb_monitor_view view = { .plain = true, .ascii = monitor_ascii() };
	size_t columns = sb_terminal_columns(stdout), lines = m->events.n, height, silent;
	int rc = monitor_round(m, &silent, err);

	if (rc < 0)
		return rc;
	lines = m->events.n < ONCE_LINES ? m->events.n : ONCE_LINES;
	height = sb_monitor_height(&m->model, lines);
	rc = sb_monitor_frame(&m->model, &m->events, &view, columns ? columns : ONCE_COLUMNS,
			height, &frame, err);
	if (rc < 0)
		return rc;
	sb_monitor_frame_text(&frame, &text);
	fputs(sb_strbuf_str(&text), stdout);
	return silent ? EXIT_UNKNOWN : EXIT_DONE;
}

int cmd_monitor(struct cli *cli, const struct call *call)
{
	const struct monitor_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(monitor_done) struct monitor m = { 0 };
	struct sb_err err = SB_ERR_INIT;
	unsigned interval_s = opts->interval.text ? (unsigned)opts->interval.value : 1;
	int rc;

	if (!opts->once && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return cli_usage(call,
				"monitor needs a terminal: elsewhere use `sparkbus status`, "
				"or --once");
	interrupt_catch();
	rc = hosts_resolve(cli, &opts->hosts, HOSTS_OR_ALL, &nodes, &err);
	if (rc == 0)
		rc = monitor_init(&m, cli, &nodes, interval_s * 1000,
				opts->once ? ASK_DEADLINE_MS : DEADLINE_MS, &err);
	if (rc == 0)
		rc = opts->once ? print_once(&m, &err) : monitor_screen(&m, &err);
	if (rc < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	return rc;
}
