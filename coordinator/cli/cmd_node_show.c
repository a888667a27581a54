/* A node's own word on itself. */
#include <stdarg.h>
#include <string.h>

#include "commands.h"
#include "node_text.h"

void node_field(const char *name, const char *value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_render_clean(&text, value, strlen(value));
	printf("%-12s %s\n", name, sb_strbuf_str(&text));
}

static void print_memory(const Sparkbus__NodeState *s)
{
	char total[32], available[32], text[96];

	if (s->has_memory_total_bytes_case !=
			SPARKBUS__NODE_STATE__HAS_MEMORY_TOTAL_BYTES_MEMORY_TOTAL_BYTES)
		return;
	sb_render_bytes(s->memory_total_bytes, total, sizeof(total));
	if (s->has_memory_available_bytes_case ==
			SPARKBUS__NODE_STATE__HAS_MEMORY_AVAILABLE_BYTES_MEMORY_AVAILABLE_BYTES)
		snprintf(text, sizeof(text), "%s, %s available", total,
				sb_render_bytes(s->memory_available_bytes, available,
						sizeof(available)));
	else
		snprintf(text, sizeof(text), "%s", total);
	node_field("Memory:", text);
}

/* "98.76" from hundredths. */
static const char *hundredths(uint32_t value, char *text, size_t size)
{
	snprintf(text, size, "%u.%02u", value / 100, value % 100);
	return text;
}

void node_part(struct sb_strbuf *out, bool known, const char *fmt, ...)
{
	char text[64];
	va_list ap;

	if (!known)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_strbuf_addf(out, "%s%s", out->len ? ", " : "", text);
}

static void print_load(const Sparkbus__Telemetry *t)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf load = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf stalls = SB_STRBUF_INIT;
	const Sparkbus__Pressure *p = t->pressure ? t->pressure->memory : NULL;
	char a[16], b[16];

	if (t->cpu) {
		node_part(&load, t->cpu->has_load1_case, "%s",
				hundredths(t->cpu->load1, a, sizeof(a)));
		node_part(&load, t->cpu->has_busy_case, "CPU %u%% busy", t->cpu->busy / 100);
	}
	if (load.len)
		node_field("Load:", sb_strbuf_str(&load));
	if (!p)
		return;
	node_part(&stalls, true, "some %s%%", hundredths(p->some_avg10, a, sizeof(a)));
	node_part(&stalls, p->has_full_case, "all %s%%", hundredths(p->full_avg10, b, sizeof(b)));
	sb_strbuf_adds(&stalls, " of the last 10 s waiting for memory");
	node_field("Stalls:", sb_strbuf_str(&stalls));
}

static void print_gpu(const Sparkbus__Gpu *gpu)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char used[32], total[32];

	node_part(&text, true, "%s", gpu->name);
	node_part(&text, gpu->has_utilization_case, "%u%% used", gpu->utilization_percent);
	node_part(&text, gpu->has_temperature_case, "%d C", gpu->temperature_c);
	node_part(&text, gpu->has_power_case, "%u.%u W", gpu->power_mw / 1000,
			gpu->power_mw % 1000 / 100);
	node_part(&text, gpu->has_sm_clock_case, "%u MHz", gpu->sm_clock_mhz);
	node_part(&text, gpu->has_memory_total_case && gpu->has_memory_used_case, "%s of %s memory",
			sb_render_bytes(gpu->memory_used_bytes, used, sizeof(used)),
			sb_render_bytes(gpu->memory_total_bytes, total, sizeof(total)));
	for (size_t i = 0; i < gpu->n_throttle; i++)
		node_part(&text, strcmp(gpu->throttle[i], "idle") != 0, "slowed: %s",
				gpu->throttle[i]);
	node_field("GPU:", sb_strbuf_str(&text));
	for (size_t i = 0; i < gpu->n_processes; i++) {
		const Sparkbus__GpuProcess *p = gpu->processes[i];
		char line[96];

		snprintf(line, sizeof(line), "  pid %u%s%.20s%s%.24s: %s", p->pid,
				*p->command ? " " : "", p->command, *p->job ? " of " : "", p->job,
				p->has_memory_case ? sb_render_bytes(p->memory_bytes, used,
								     sizeof(used))
						   : "memory not told");
		node_field("", line);
	}
}

static void print_telemetry(const Sparkbus__Telemetry *t)
{
	print_load(t);
	if (t->sensors)
		node_print_sensors(t->sensors);
	if (t->fabric)
		node_print_network(t->fabric);
	if (!t->gpu)
		return;
	for (size_t i = 0; i < t->gpu->n_gpus; i++)
		print_gpu(t->gpu->gpus[i]);
	if (t->gpu->sample && *t->gpu->sample->error)
		node_field("GPU:", t->gpu->sample->error);
	else if (!t->gpu->n_gpus)
		node_field("GPU:", "none");
	if (*t->gpu->driver_version)
		node_field("Driver:", t->gpu->driver_version);
}

static void print_guard(const Sparkbus__GuardState *g)
{
	static const char *const modes[] = { "off", "warns", "acts" };
	static const char *const levels[] = { "ok", "low", "critical", "emergency" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char warn[32], critical[32], emergency[32], when[32];

	if (!g) {
		node_field("Guard:", "off");
		return;
	}
	sb_strbuf_addf(&text, "%s; memory is %s (limits %s, %s, %s)",
			g->mode < sb_countof(modes) ? modes[g->mode] : "?",
			g->level < sb_countof(levels) ? levels[g->level] : "?",
			sb_render_bytes(g->warn_bytes, warn, sizeof(warn)),
			sb_render_bytes(g->critical_bytes, critical, sizeof(critical)),
			sb_render_bytes(g->emergency_bytes, emergency, sizeof(emergency)));
	node_field("Guard:", sb_strbuf_str(&text));
	if (!g->last_act_unix_ms)
		return;
	sb_strbuf_reset(&text);
	sb_strbuf_addf(&text, "%s ago: %s",
			sb_render_duration(
					sb_now_unix_ms() - g->last_act_unix_ms, when, sizeof(when)),
			g->last_act);
	node_field("", sb_strbuf_str(&text));
}

static void add_usage(const Sparkbus__Telemetry *t, const char *job, struct sb_strbuf *out)
{
	char memory[32], gpu[32];

	for (size_t i = 0; t && i < t->n_jobs; i++) {
		const Sparkbus__JobUsage *use = t->jobs[i];

		if (strcmp(use->job, job) != 0)
			continue;
		node_part(out, use->has_memory_case, "%s of memory",
				sb_render_bytes(use->memory_bytes, memory, sizeof(memory)));
		node_part(out, use->has_gpu_memory_case, "%s by the GPU",
				sb_render_bytes(use->gpu_memory_bytes, gpu, sizeof(gpu)));
	}
}

static void print_state(const struct cli_node *node, const Sparkbus__NodeState *s)
{
	char text[512], up[32];

	node_field("Name:", s->name);
	snprintf(text, sizeof(text), "%s, control %u, peer %u", node->node.address,
			node->node.control_port, s->peer_port);
	node_field("Address:", text);
	node_field("Hostname:", s->hostname);
	snprintf(text, sizeof(text), "%s (protocol %u)", s->agent_version, s->protocol);
	node_field("Agent:", text);
	node_field("Up:", sb_render_duration(s->uptime_ms, up, sizeof(up)));
	snprintf(text, sizeof(text), "%s, %s, %u CPUs", s->kernel, s->machine, s->cpus);
	node_field("Kernel:", text);
	print_memory(s);
	print_guard(s->guard);
	if (s->telemetry)
		print_telemetry(s->telemetry);
	if (s->engine && s->engine->reachable)
		snprintf(text, sizeof(text), "%s (API %s)", s->engine->version,
				s->engine->api_version);
	else
		snprintf(text, sizeof(text), "not reachable: %s",
				s->engine ? s->engine->error : "not told");
	node_field("Engine:", text);
	for (size_t i = 0; i < s->n_disks; i++) {
		char available[32], total[32];

		snprintf(text, sizeof(text), "%s: %s free of %s (%s)", s->disks[i]->purpose,
				sb_render_bytes(s->disks[i]->free_bytes, available,
						sizeof(available)),
				sb_render_bytes(s->disks[i]->total_bytes, total, sizeof(total)),
				s->disks[i]->path);
		node_field(i ? "" : "Disks:", text);
	}
	for (size_t i = 0; i < s->n_addresses; i++) {
		snprintf(text, sizeof(text), "%s %s/%u", s->addresses[i]->interface,
				s->addresses[i]->ip, s->addresses[i]->prefix_len);
		node_field(i ? "" : "Addresses:", text);
	}
	node_field("Models:", s->hf_cache);
	for (size_t i = 0; i < s->n_jobs; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf label = SB_STRBUF_INIT;

		job_label(s->jobs[i], &label);
		sb_strbuf_addf(&label, "  %s", job_state_text(s->jobs[i]->state));
		add_usage(s->telemetry, s->jobs[i]->job, &label);
		node_field(i ? "" : "Jobs:", sb_strbuf_str(&label));
	}
}

int cmd_node_show(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	Sparkbus__GetNodeRequest body = SPARKBUS__GET_NODE_REQUEST__INIT;
	struct sb_err err = SB_ERR_INIT;

	if (hosts_add(cli, &nodes, call->args[0], &err) < 0 ||
			ask_one(cli, &nodes.items[0], SPARKBUS__REQUEST__BODY_GET_NODE, &body,
					ASK_DEADLINE_MS, &answer, &err) < 0)
		return cli_fail(cli, &err);
	if (opts->json)
		return cli_json(cli, sb_render_message(&answer.reply->get_node->base, NULL),
				EXIT_DONE);
	print_state(&nodes.items[0], answer.reply->get_node);
	return EXIT_DONE;
}
