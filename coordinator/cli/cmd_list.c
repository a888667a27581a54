/* list, search: the recipes that can be named. A file that is no good recipe is counted, and said
 * with -v; the others are shown all the same. */
#include <string.h>

#include "families.h"
#include "list_table.h"
#include "recipe_index.h"
#include "registries.h"

#define CELL_MAX_BYTES 80

const struct opt list_options[] = {
	{ OPT_TEXT, 0, "registry", NULL, "NAME", "of this registry only; 'local' is this folder",
			offsetof(struct list_opts, registry) },
	{ OPT_TEXT, 0, "family", NULL, "NAME", "models of this family only: qwen, gemma, ...",
			offsetof(struct list_opts, family) },
	{ OPT_INT, 0, "nodes", NULL, "N", "only those for which N nodes are enough",
			offsetof(struct list_opts, nodes), 1, 1024 },
	{ OPT_TEXT, 0, "runtime", NULL, "NAME", "for this runtime only; 'vllm' is every vllm-...",
			offsetof(struct list_opts, runtime) },
	{ OPT_FLAG, 'a', "all", NULL, NULL, "of hidden registries, too",
			offsetof(struct list_opts, all) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct list_opts, json) },
	{ OPT_END },
};

struct listing {
	const struct list_opts *opts;
	const char *query; /* NULL = all */
	struct recipe_index *index;
	struct families *families;
	const struct recipe_list *list;
	struct list_table *table;
	json_t *good, *bad;
	size_t n_good, n_bad;
};

/* This folder may hold any YAML. What says neither model nor container is none of ours; what is
 * no YAML at all may be a recipe with a slip. */
static bool is_foreign(const struct recipe_source *source, const struct sb_strbuf *text)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	const struct sb_yaml_node *root;

	if (source->origin.kind != SB_ORIGIN_PATH ||
			sb_yaml_parse(source->path, sb_strbuf_str(text), text->len, NULL, NULL,
					&doc, NULL) < 0)
		return false;
	root = sb_yaml_root(doc);
	return !*sb_yaml_str(sb_yaml_get(root, "model")) ||
			!*sb_yaml_str(sb_yaml_get(root, "container"));
}

static bool has_text(const char *text, const char *query)
{
	return !query || strcasestr(text, query);
}

/* "vllm" is every "vllm-...". */
static bool is_runtime(const char *runtime, const char *want)
{
	size_t len = strlen(want);

	return !strncmp(runtime, want, len) && (!runtime[len] || runtime[len] == '-');
}

static bool are_enough(int64_t nodes, const struct recipe_facts *facts)
{
	return atoi(facts->nodes) <= nodes && atoi(facts->tp) <= nodes;
}

static bool is_wanted(const struct listing *l, const struct recipe_source *source,
		const struct recipe_facts *facts, const char *family)
{
	const struct list_opts *opts = l->opts;
	const char *slash = strrchr(source->path, '/');

	if ((opts->runtime && !is_runtime(facts->runtime, opts->runtime)) ||
			(opts->family && (!family || strcmp(family, opts->family) != 0)) ||
			(opts->nodes.text && !are_enough(opts->nodes.value, facts)))
		return false;
	return has_text(source->name, l->query) ||
			has_text(slash ? slash + 1 : source->path, l->query) ||
			has_text(facts->model, l->query) || has_text(facts->description, l->query);
}

/* A recipe's text in a cell, cut so that one recipe cannot spoil the table. */
static const char *cell(const char *text, char buf[CELL_MAX_BYTES + 2])
{
	size_t len = strlen(text), cut = sb_text_cut(text, len, CELL_MAX_BYTES);

	if (!len)
		return "-";
	snprintf(buf, CELL_MAX_BYTES + 2, "%.*s%s", (int)cut, text, cut < len ? "+" : "");
	return buf;
}

static const char *stem_of(const struct recipe_source *source)
{
	const char *slash = source->name[0] == '@' ? strchr(source->name, '/') : NULL;

	return slash ? slash + 1 : source->name;
}

/* A bundled recipe needs no registry before its name unless another has that name, too. */
static const char *shown_name(const struct listing *l, const struct recipe_source *source)
{
	if (strcmp(recipe_registry(source), BUNDLED_REGISTRY) != 0)
		return source->name;
	for (size_t i = 0; i < l->list->n; i++)
		if (&l->list->items[i] != source &&
				!strcmp(stem_of(&l->list->items[i]), stem_of(source)))
			return source->name;
	return stem_of(source);
}

static void add_good(struct listing *l, const struct recipe_source *source,
		const struct recipe_facts *facts, const char *family)
{
	char cells[4][CELL_MAX_BYTES + 2];

	l->n_good++;
	if (l->opts->json) {
		json_t *json = recipe_place_json(source), *more = json_loads(facts->json, 0, NULL);

		json_object_update(json, more);
		json_object_set_new(json, "family", family ? json_string(family) : json_null());
		json_decref(more);
		json_array_append_new(l->good, json);
		return;
	}
	list_table_add(l->table, source->origin.kind == SB_ORIGIN_PATH, family,
			(const char *const[LIST_CELL_COUNT_]){
					[LIST_NAME] = shown_name(l, source),
					[LIST_RUNTIME] = cell(facts->runtime, cells[0]),
					[LIST_TP] = cell(facts->tp, cells[1]),
					[LIST_NODES] = facts->nodes,
					[LIST_GPU_MEM] = cell(facts->gpu_mem, cells[2]),
					[LIST_MODEL] = cell(facts->model, cells[3]),
			});
}

static void add_bad(struct listing *l, const struct recipe_source *source, const char *why)
{
	l->n_bad++;
	json_array_append_new(l->bad,
			json_pack("{s:o, s:o, s:o, s:s}", "name", recipe_text_json(source->name),
					"path", recipe_text_json(source->path), "registry",
					recipe_text_json(recipe_registry(source)), "error", why));
}

static void take(struct listing *l, const struct recipe_source *source,
		const struct recipe_facts *facts)
{
	const char *family = families_of(l->families, facts->model);

	if (*facts->error)
		add_bad(l, source, facts->error);
	else if (is_wanted(l, source, facts, family))
		add_good(l, source, facts, family);
}

static void take_good(
		struct listing *l, const struct recipe_source *source, const struct sb_workload *w)
{
	char nodes[16];
	json_t *json = recipe_facts_json(w);
	SB_CLEANUP(sb_freep) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	const struct recipe_facts facts = { .error = "",
		.runtime = sb_workload_runtime(w),
		.model = sb_workload_model(w),
		.description = sb_workload_description(w),
		.nodes = nodes,
		.tp = sb_workload_text(w, "tensor_parallel", "-"),
		.gpu_mem = sb_workload_text(w, "gpu_memory_utilization", "-"),
		.json = text ? text : "{}" };

	json_decref(json);
	snprintf(nodes, sizeof(nodes), "%u", sb_workload_min_nodes(w));
	if (text)
		recipe_index_add(l->index, source, &facts);
	take(l, source, &facts);
}

static void add(struct listing *l, const struct recipe_source *source)
{
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const struct recipe_facts *known = recipe_index_find(l->index, source);
	struct recipe_facts bad = { "", "", "", "", "", "", "", "" };
	struct sb_err why = SB_ERR_INIT;
	int rc;

	if (known) {
		take(l, source, known);
		return;
	}
	rc = recipe_resolve(source->path, &text, &w, &why);
	if (text.len && is_foreign(source, &text))
		return;
	if (rc == 0) {
		take_good(l, source, w);
		return;
	}
	bad.error = why.text;
	/* What the system could not do it may do the next time. */
	if (rc == -SB_E_INVALID)
		recipe_index_add(l->index, source, &bad);
	take(l, source, &bad);
}

static int no_registry(const struct listing *l, const struct recipe_list *list, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	const char *before = "";

	for (size_t i = 0; i < list->n; i++) {
		const char *name = recipe_registry(&list->items[i]);

		if (strcmp(name, before))
			sb_strbuf_addf(&names, "%s%s", *before ? ", " : "", name);
		before = name;
	}
	sb_err_set(err, SB_E_NOT_FOUND, "No recipes of a registry '%s'; there are: %s",
			l->opts->registry, names.len ? sb_strbuf_str(&names) : "none");
	registries_hint(l->opts->registry, err);
	return -SB_E_NOT_FOUND;
}

static int check_family(const struct listing *l, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	const char *name;

	if (!l->opts->family)
		return 0;
	for (size_t i = 0; (name = families_at(l->families, i)); i++) {
		if (!strcmp(name, l->opts->family))
			return 0;
		sb_strbuf_addf(&names, "%s%s", i ? ", " : "", name);
	}
	return sb_err_set(err, SB_E_NOT_FOUND, "No family '%s'; there are: %s", l->opts->family,
			names.len ? sb_strbuf_str(&names) : "none");
}

static int fill(struct listing *l, struct cli *cli, struct sb_err *err)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	bool any = !l->opts->registry || !strcmp(l->opts->registry, "local");
	bool hidden = l->opts->all || l->opts->registry;
	int rc = families_load(recipe_bundled_root(), &l->families, err);

	if (rc == 0)
		rc = check_family(l, err);
	if (rc == 0)
		rc = recipe_list_scope(hidden ? RECIPES_HIDDEN : RECIPES_VISIBLE, registries_warn,
				cli, &list, err);
	l->list = &list;
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		if (l->opts->registry && strcmp(recipe_registry(&list.items[i]), l->opts->registry))
			continue;
		any = true;
		add(l, &list.items[i]);
	}
	l->list = NULL;
	return rc == 0 && !any ? no_registry(l, &list, err) : rc;
}

static void print_bad(const struct cli *cli, const struct listing *l)
{
	json_t *item;
	size_t i;

	printf("%zu %s", l->n_good, l->n_good == 1 ? "recipe" : "recipes");
	if (l->n_bad)
		printf("; %zu %s not a good recipe%s", l->n_bad,
				l->n_bad == 1 ? "file is" : "files are",
				cli->global.verbose ? ":" : " (-v says why)");
	putchar('\n');
	if (cli->global.verbose)
		json_array_foreach (l->bad, i, item)
			printf("  %s: %s\n", json_string_value(json_object_get(item, "name")),
					json_string_value(json_object_get(item, "error")));
}

static int print(const struct cli *cli, const struct listing *l, struct sb_err *err)
{
	int rc = list_table_print(l->table, stdout, err);

	if (rc < 0)
		return rc;
	if (l->n_good)
		putchar('\n');
	else if (l->query)
		printf("No recipes found matching '%s'.\n", l->query);
	else
		puts("No recipes found.");
	if (l->n_good || l->n_bad)
		print_bad(cli, l);
	return 0;
}

int cmd_list(struct cli *cli, const struct call *call)
{
	struct listing l = { .opts = call->opts,
		.query = call->n_args ? call->args[0] : NULL,
		.good = json_array(),
		.bad = json_array() };
	struct sb_err err = SB_ERR_INIT;
	int status = EXIT_DONE, rc;

	l.index = recipe_index_open();
	l.table = list_table_new();
	rc = fill(&l, cli, &err);
	if (rc == 0 && l.opts->json)
		status = cli_json(cli, json_pack("{s:O, s:O}", "recipes", l.good, "bad", l.bad),
				EXIT_DONE);
	else if (rc == 0)
		rc = print(cli, &l, &err);
	recipe_index_close(l.index);
	list_table_free(l.table);
	families_free(l.families);
	json_decref(l.good);
	json_decref(l.bad);
	return rc < 0 ? cli_fail(cli, &err) : status;
}
