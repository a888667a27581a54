/* From a recipe file, the operator's overrides and the resolved nodes to a plan. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "run_hooks.h"
#include "sb_plan.h"
#include "sb_wire.h"

#define RAY_DASHBOARD_PORT 8265
#define SECRET_HEX         (4 * SB_WIRE_ID_BYTES)

#define OVERRIDES_MAX  256
#define LOOK_NODES_MAX 256

struct overrides {
	struct sb_override items[OVERRIDES_MAX];
	char *keys[OVERRIDES_MAX]; /* owned; NULL for dedicated options */
	size_t n;
};

static void overrides_done(struct overrides *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->keys[i]);
}

static int add_text(struct overrides *o, const char *text, const char *origin, struct sb_err *err)
{
	int rc;

	if (o->n == OVERRIDES_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %d overrides", OVERRIDES_MAX);
	rc = sb_override_parse(text, origin, &o->items[o->n], &o->keys[o->n], err);
	o->n += rc == 0;
	return rc;
}

/* Dedicated options come after -o, because the last one wins. */
static int collect_overrides(const struct run_opts *opts, struct overrides *o, struct sb_err *err)
{
	const struct {
		const char *key, *value, *origin;
	} dedicated[] = {
		{ "tensor_parallel", opts->tp.text, "--tp" },
		{ "pipeline_parallel", opts->pp.text, "--pp" },
		{ "data_parallel", opts->dp.text, "--dp" },
		{ "gpu_memory_utilization", opts->gpu_mem.text, "--gpu-mem" },
		{ "max_model_len", opts->max_model_len.text, "--max-model-len" },
		{ "served_model_name", opts->served_model_name, "--served-model-name" },
		{ "port", opts->port.text, "--port" },
		{ "memory_limit", opts->memory_limit, "--memory-limit" },
		{ "restart_policy", opts->restart, "--restart" },
	};

	for (size_t i = 0; i < opts->option.n; i++) {
		int rc = add_text(o, opts->option.items[i], "-o", err);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < sb_countof(dedicated); i++) {
		if (!dedicated[i].value)
			continue;
		if (o->n == OVERRIDES_MAX)
			return sb_err_set(err, SB_E_RANGE, "more than %d overrides", OVERRIDES_MAX);
		o->items[o->n++] = (struct sb_override){ dedicated[i].key, dedicated[i].value,
			dedicated[i].origin };
	}
	return 0;
}

/* Below everything that the recipe or the cluster says: what keeps a container from being root. */
static int collect_cluster(const struct launch *l, const struct run_opts *opts, struct overrides *o,
		struct sb_err *err)
{
	static const char *const rootful[] = { "privileged=true",
		"user=", "security_opt=", "cap_add=", "ulimit=", "devices=" };
	int rc = 0;

	for (size_t i = 0; !rc && opts->rootful && i < sb_countof(rootful); i++)
		rc = add_text(o, rootful[i], "--rootful", err);
	for (size_t i = 0; !rc && i < l->nodes.cluster.n_executor; i++)
		rc = add_text(o, l->nodes.cluster.executor[i], "cluster", err);
	return rc;
}

static const char *from_environment(const char *name)
{
	return getenv(name);
}

static int resolve_workload(struct launch *l, const struct run_opts *opts, struct sb_diags *diags,
		struct sb_strbuf *ret_text, struct sb_workload **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(overrides_done) struct overrides given = { .n = 0 }, cluster = { .n = 0 };
	int rc = recipe_load(l->recipe.path, from_environment, diags, ret_text, &recipe, err);

	if (!rc)
		rc = collect_overrides(opts, &given, err);
	if (!rc)
		rc = collect_cluster(l, opts, &cluster, err);
	if (!rc)
		rc = sb_workload_resolve(recipe, given.items, given.n, opts->image, cluster.items,
				cluster.n, diags, ret, err);
	return rc;
}

/* Lint is advice: without its files a launch goes on. */
static int gather_facts(struct launch *l, const struct sb_workload *workload, const char *source,
		struct sb_diags *diags, struct sb_err *err)
{
	struct sb_err why = SB_ERR_INIT;

	if (checks_load(&l->rules, &why) < 0) {
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0, "lint is left out: %s", why.text);
		return 0;
	}
	return checks_gather(l->rules, workload, source, l->plan, &l->facts, err);
}

/* The plan is pure, so what is random in it comes from here. */
static int new_secret(char ret[SECRET_HEX + 1], struct sb_err *err)
{
	uint8_t bytes[2][SB_WIRE_ID_BYTES];
	int rc = sb_wire_new_id(bytes[0], err);

	if (rc == 0)
		rc = sb_wire_new_id(bytes[1], err);
	for (size_t i = 0; rc == 0 && i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", ((uint8_t *)bytes)[i]);
	return rc;
}

/* The recipe goes with the plan, so that the nodes can tell what was launched. */
static int keep_recipe(struct launch *l, const struct run_opts *opts, struct sb_diags *diags,
		struct sb_err *err)
{
	const struct sb_export_opts how = { .keep = opts->no_rm,
		.labels = opts->label.items,
		.n_labels = opts->label.n,
		.hide = true,
		.is_secret = sb_plan_env_is_secret };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = { .max = SB_PLAN_RECIPE_MAX_BYTES };
	struct sb_err why = SB_ERR_INIT;
	char *recipe;

	if (sb_workload_export(l->workload, &how, &text, &why) < 0) {
		sb_diag_add(diags, SB_DIAG_NOTE, 0, 0, "the nodes do not keep the recipe: %s",
				why.text);
		return 0;
	}
	recipe = sb_strbuf_steal(&text);
	if (!recipe)
		return sb_err_nomem(err);
	l->plan->recipe_yaml = recipe;
	return 0;
}

int run_compile(struct launch *l, const struct run_opts *opts, struct sb_diags *diags,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) struct sb_plan_node *nodes = calloc(l->nodes.n, sizeof(*nodes));
	struct sb_plan_input input = { .nodes = nodes, .n_nodes = l->nodes.n, .solo = opts->solo };
	SB_CLEANUP(hook_trees_freep) struct hook_trees *trees = calloc(1, sizeof(*trees));
	char *name, secret[SECRET_HEX + 1];
	int rc = nodes && trees ? resolve_workload(l, opts, diags, &text, &l->workload, err)
				: sb_err_nomem(err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < l->nodes.n; i++) {
		const struct cli_node *item = &l->nodes.items[i];

		nodes[i] = (struct sb_plan_node){ item->node.name, item->host, item->node.address,
			item->node.peer_port };
	}
	input.init_port = (uint16_t)opts->init_port.value;
	input.ray_port = (uint16_t)opts->ray_port.value;
	if (opts->dashboard)
		input.dashboard_port = opts->dashboard_port.value
				? (uint16_t)opts->dashboard_port.value
				: RAY_DASHBOARD_PORT;
	input.operator_name = l->cli->operator_name;
	input.tool_version = SB_VERSION;
	input.now_unix_ms = sb_now_unix_ms();
	input.priority = (int32_t)opts->priority.value;
	input.ready_timeout_ms = (uint64_t)opts->ready_timeout.value * 1000;
	input.keep = opts->no_rm;
	input.job = opts->container_name;
	input.labels = opts->label.items;
	input.n_labels = opts->label.n;
	input.secret = secret;
	rc = new_secret(secret, err);
	if (rc == 0 && !l->no_trees)
		rc = hook_trees_read(l, l->workload, trees, err);
	if (rc < 0)
		return rc;
	input.trees = l->no_trees ? NULL : trees->views;
	input.n_trees = trees->n;
	rc = sb_plan_explain(l->workload, &input, diags, &l->plan, &l->sources, err);
	if (rc == 0 && !opts->no_lint)
		rc = gather_facts(l, l->workload, sb_strbuf_str(&text), diags, err);
	if (rc < 0)
		return rc;
	rc = keep_recipe(l, opts, diags, err);
	if (rc < 0)
		return rc;
	/* Which registry a recipe came from is known here only. */
	name = strdup(l->recipe.name);
	if (!name)
		return sb_err_nomem(err);
	if (l->plan->recipe != (char *)protobuf_c_empty_string)
		free(l->plan->recipe);
	l->plan->recipe = name;
	return launch_bind(l, err);
}

void launch_print_diags(const struct launch *l, const struct sb_diags *diags)
{
	static const char *const tags[] = { "Note", "Warning", "Error" };

	for (size_t i = 0; i < diags->n; i++) {
		const struct sb_diag *d = &diags->items[i];
		char place[64] = "";

		if (d->level == SB_DIAG_NOTE && l->cli->global.quiet)
			continue;
		if (d->line)
			snprintf(place, sizeof(place), ":%u:%u: ", d->line, d->col);
		fprintf(stderr, "%s%s:%s %s%s%s\n",
				sb_color(stderr, d->level == SB_DIAG_NOTE ? SB_BOLD : SB_YELLOW),
				tags[d->level], sb_color(stderr, SB_PLAIN),
				d->line ? l->recipe.path : "", place, d->text);
	}
}

static int pretend(struct launch *l, size_t n, struct sb_err *err)
{
	struct cli_nodes *nodes = &l->nodes;

	l->pretended = true;
	nodes->items = calloc(n, sizeof(*nodes->items));
	nodes->label = strdup("nodes that need not be there");
	if (!nodes->items || !nodes->label)
		return sb_err_nomem(err);
	for (; nodes->n < n; nodes->n++) {
		struct cli_node *item = &nodes->items[nodes->n];
		char name[32];

		snprintf(name, sizeof(name), "node%zu", nodes->n + 1);
		item->host = strdup(name);
		item->node.name = strdup(name);
		item->node.address = strdup(name);
		item->node.peer_port = SB_PEER_PORT;
		if (!item->host || !item->node.name || !item->node.address)
			return sb_err_nomem(err);
	}
	return 0;
}

/* Without a word about nodes: those of the default cluster; where there is none, as many as the
 * recipe asks for. */
static int any_nodes(struct launch *l, const struct run_opts *opts, struct sb_err *err)
{
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	struct sb_err why = SB_ERR_INIT;
	unsigned n;
	int rc;

	if (hosts_resolve(l->cli, &opts->hosts, HOSTS_MUST, &l->nodes, &why) == 0)
		return 0;
	rc = resolve_workload(l, opts, NULL, NULL, &w, err);
	if (rc < 0)
		return rc;
	n = opts->solo ? 1 : sb_plan_nodes_wanted(w);
	n = n > LOOK_NODES_MAX ? LOOK_NODES_MAX : n;
	cli_note(l->cli, "As if there were %u node%s: %s", n, plural(n), why.text);
	return pretend(l, n, err);
}

int launch_look(struct launch *l, const struct run_opts *opts, const struct opt_int *nodes,
		const char *target, struct sb_err *err)
{
	const struct host_opts *hosts = &opts->hosts;
	struct sb_diags diags = SB_DIAGS_INIT;
	struct run_opts own = *opts;
	int rc = recipe_find(target, &l->recipe, err);

	own.no_lint = true;
	l->no_trees = true;
	if (rc == 0 && nodes->text)
		rc = pretend(l, (size_t)nodes->value, err);
	else if (rc == 0 && (hosts->hosts || hosts->hosts_file || hosts->cluster))
		rc = hosts_resolve(l->cli, hosts, HOSTS_MUST, &l->nodes, err);
	else if (rc == 0)
		rc = any_nodes(l, &own, err);
	if (rc == 0)
		rc = run_compile(l, &own, &diags, err);
	launch_print_diags(l, &diags);
	sb_diags_done(&diags);
	return rc;
}

int launch_resolve(struct launch *l, const struct run_opts *opts, const char *target,
		struct sb_err *err)
{
	struct sb_diags diags = SB_DIAGS_INIT;
	int rc = recipe_find(target, &l->recipe, err);

	if (rc == 0)
		rc = resolve_workload(l, opts, &diags, NULL, &l->workload, err);
	launch_print_diags(l, &diags);
	sb_diags_done(&diags);
	return rc;
}
