#include <string.h>

#include "status_nodes.h"

#define GIB (1024.0 * 1024 * 1024)
/* An act of the memory guard is told this long. */
#define GUARD_TOLD_MS (60u * 60 * 1000)

static const Sparkbus__MemoryState *memory_of(const Sparkbus__NodeState *s)
{
	return s->telemetry ? s->telemetry->memory : NULL;
}

static const Sparkbus__GpuState *gpu_of(const Sparkbus__NodeState *s)
{
	return s->telemetry ? s->telemetry->gpu : NULL;
}

size_t status_node_jobs(const Sparkbus__NodeState *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_jobs; i++)
		n += !job_is_over(s->jobs[i]->state);
	return n;
}

/* --- cells --- */

static void add_word(struct sb_strbuf *out, bool wanted, const char *word)
{
	if (wanted)
		sb_strbuf_addf(out, "%s%s", out->len ? ", " : "", word);
}

/* NVML that is not installed is no fault; one that hangs or failed is. */
static bool gpu_fails(const Sparkbus__GpuState *gpu)
{
	return gpu && gpu->n_gpus && gpu->sample && *gpu->sample->error;
}

void status_node_health(const Sparkbus__NodeState *s, struct sb_strbuf *out)
{
	static const char *const levels[] = { "", "memory low", "memory critical",
		"memory emergency" };
	unsigned level = s->guard ? (unsigned)s->guard->level : 0;

	add_word(out, level && level < sb_countof(levels),
			level < sb_countof(levels) ? levels[level] : "");
	add_word(out, s->engine && !s->engine->reachable, "no engine");
	add_word(out, gpu_fails(gpu_of(s)), "GPU does not answer");
	if (!out->len)
		sb_strbuf_adds(out, "ok");
}

void status_node_memory(const Sparkbus__NodeState *s, struct sb_strbuf *out)
{
	const Sparkbus__MemoryState *m = memory_of(s);

	if (m && m->has_total_case && m->has_available_case)
		sb_strbuf_addf(out, "%.1f of %.1f GiB", (double)m->available_bytes / GIB,
				(double)m->total_bytes / GIB);
	else
		sb_strbuf_adds(out, "-");
}

static void add_reading(struct sb_strbuf *out, bool known, int value, const char *unit)
{
	if (known)
		sb_strbuf_addf(out, "%s%d%s", out->len ? " " : "", value, unit);
}

void status_node_gpu(const Sparkbus__NodeState *s, struct sb_strbuf *out)
{
	const Sparkbus__GpuState *gpu = gpu_of(s);
	const Sparkbus__Gpu *g = gpu && gpu->n_gpus ? gpu->gpus[0] : NULL;

	if (g) {
		add_reading(out, g->has_utilization_case, (int)g->utilization_percent, "%");
		add_reading(out, g->has_temperature_case, g->temperature_c, "C");
		add_reading(out, g->has_power_case, (int)(g->power_mw / 1000), "W");
		if (gpu->n_gpus > 1)
			sb_strbuf_addf(out, " +%zu", gpu->n_gpus - 1);
	}
	if (!out->len)
		sb_strbuf_adds(out, gpu && !g ? "none" : "-");
}

/* Ports with a cable, and what one of them runs at: "2x200G". */
void status_node_fabric(const Sparkbus__NodeState *s, const struct sb_fabric *fabric, unsigned node,
		struct sb_strbuf *out)
{
	const Sparkbus__FabricState *state = s->telemetry ? s->telemetry->fabric : NULL;
	unsigned ports = 0, mbps = 0, funcs = 0;
	struct sb_fabric_func f;

	for (size_t i = 0; sb_fabric_func_at(fabric, node, i, &f); i++) {
		funcs++;
		if (!f.carrier)
			continue;
		ports |= 1u << (f.port & 1);
		if (f.link && f.link->has_speed_case && f.link->speed_mbps > mbps)
			mbps = f.link->speed_mbps;
	}
	if (!state)
		sb_strbuf_adds(out, "-");
	else if (!funcs)
		sb_strbuf_adds(out, "none");
	else if (!ports)
		sb_strbuf_adds(out, "no cable");
	else if (!mbps)
		sb_strbuf_addf(out, "%d up", __builtin_popcount(ports));
	else
		sb_strbuf_addf(out, "%dx%uG", __builtin_popcount(ports), mbps / 1000);
}

/* --- the table --- */

static void add_row(struct sb_table *table, const struct fleet *fleet,
		const struct sb_fabric *fabric, unsigned i)
{
	const Sparkbus__NodeState *s = fleet_state(fleet, i);
	struct sb_strbuf cells[4] = { SB_STRBUF_INIT, SB_STRBUF_INIT, SB_STRBUF_INIT,
		SB_STRBUF_INIT };
	char jobs[16];

	status_node_health(s, &cells[0]);
	status_node_memory(s, &cells[1]);
	status_node_gpu(s, &cells[2]);
	status_node_fabric(s, fabric, i, &cells[3]);
	snprintf(jobs, sizeof(jobs), "%zu", status_node_jobs(s));
	sb_table_row(table,
			(const char *const[]){ fleet->nodes->items[i].node.name,
					sb_strbuf_str(&cells[0]), sb_strbuf_str(&cells[1]),
					sb_strbuf_str(&cells[2]), sb_strbuf_str(&cells[3]), jobs });
	for (size_t k = 0; k < sb_countof(cells); k++)
		sb_strbuf_done(&cells[k]);
}

/* What the table has no room for. */
static void print_remarks(const struct fleet *fleet, unsigned i, FILE *out)
{
	const Sparkbus__NodeState *s = fleet_state(fleet, i);
	const char *name = fleet->nodes->items[i].node.name;
	char age[32];

	if (s->engine && !s->engine->reachable)
		fprintf(out, "%s: container engine: %s\n", name, s->engine->error);
	if (gpu_fails(gpu_of(s)))
		fprintf(out, "%s: GPU: %s\n", name, gpu_of(s)->sample->error);
	if (s->guard && s->guard->last_act_unix_ms + GUARD_TOLD_MS > sb_now_unix_ms())
		fprintf(out, "%s: memory guard, %s ago: %s\n", name,
				sb_render_duration(sb_now_unix_ms() - s->guard->last_act_unix_ms,
						age, sizeof(age)),
				s->guard->last_act);
}

int status_nodes_print(const struct fleet *fleet, const struct sb_fabric *fabric, FILE *out,
		struct sb_err *err)
{
	static const char *const titles[] = { "NODE", "HEALTH", "AVAILABLE", "GPU", "FABRIC",
		"JOBS" };
	struct sb_table table;
	int rc;

	sb_table_init(&table, titles, sb_countof(titles));
	for (unsigned i = 0; i < fleet->nodes->n; i++)
		if (fleet_state(fleet, i))
			add_row(&table, fleet, fabric, i);
	rc = sb_table_print(&table, out, err);
	sb_table_done(&table);
	for (unsigned i = 0; i < fleet->nodes->n; i++)
		if (fleet_state(fleet, i))
			print_remarks(fleet, i, out);
	return rc;
}

int status_fabric(const struct fleet *fleet, struct sb_fabric_node **ret_reports,
		struct sb_fabric **ret, struct sb_err *err)
{
	size_t n = fleet->nodes->n;

	*ret_reports = calloc(n + 1, sizeof(**ret_reports));
	if (!*ret_reports)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const Sparkbus__NodeState *s = fleet_state(fleet, i);

		(*ret_reports)[i] = (struct sb_fabric_node){ fleet->nodes->items[i].node.name,
			fleet->nodes->items[i].node.address,
			s && s->telemetry ? s->telemetry->fabric : NULL };
	}
	return sb_fabric_derive(*ret_reports, n, ret, err);
}

/* --- JSON --- */

static json_t *node_json(const struct fleet *fleet, const struct sb_fabric *fabric, unsigned i)
{
	const Sparkbus__NodeState *s = fleet_state(fleet, i);
	const Sparkbus__MemoryState *m = memory_of(s);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf health = SB_STRBUF_INIT, text = SB_STRBUF_INIT;
	json_t *json;

	status_node_health(s, &health);
	status_node_fabric(s, fabric, i, &text);
	json = json_pack("{s:s, s:s, s:s, s:I}", "node", fleet->nodes->items[i].node.name, "health",
			sb_strbuf_str(&health), "fabric", sb_strbuf_str(&text), "jobs",
			(json_int_t)status_node_jobs(s));
	/* Not known is null, as nowhere 0. */
	json_object_set_new(json, "memory_total_bytes",
			m && m->has_total_case ? json_integer((json_int_t)m->total_bytes)
					       : json_null());
	json_object_set_new(json, "memory_available_bytes",
			m && m->has_available_case ? json_integer((json_int_t)m->available_bytes)
						   : json_null());
	json_object_set_new(json, "gpu",
			gpu_of(s) && gpu_of(s)->n_gpus
					? sb_render_message(&gpu_of(s)->gpus[0]->base, NULL)
					: json_null());
	return json;
}

json_t *status_nodes_json(const struct fleet *fleet, const struct sb_fabric *fabric)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < fleet->nodes->n; i++)
		if (fleet_state(fleet, i))
			json_array_append_new(list, node_json(fleet, fabric, i));
	return list;
}
