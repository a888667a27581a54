/* test_golden.c - what the published tool would run, against what we would run.
 *
 * Each published recipe is compiled for one to four nodes and once with overrides, and compared
 * in meaning: runtime, image, job id, ranks, words of the serve command, environment, mounts. A
 * difference must be in differences.yaml with its reason; any other fails. TAP, one line per
 * recipe; the counts come last. */
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sb_fs.h"
#include "sb_plan.h"

struct tally {
	unsigned exact, explained, failed, later;
};

#define MAX_ROWS 256

/* Rows of the table that covered something: one that covers nothing is stale, and fails. */
static bool used[MAX_ROWS];

/* One case under comparison. */
struct bench {
	const struct sb_yaml_node *table; /* the list of differences */
	const char *recipe;
	int nodes;
	bool overrides;
	unsigned explained, failed;
};

static const char *nothing(const char *name)
{
	return NULL;
}

/* --- the table of differences --- */

static bool text_matches(const struct sb_yaml_node *want, const char *got)
{
	return !want || fnmatch(sb_yaml_str(want), got, 0) == 0;
}

/* Note a difference of @field; it is explained when a row of the table covers it. */
static void differ(struct bench *b, const char *field, const char *theirs, const char *ours)
{
	for (size_t i = 0; i < sb_yaml_size(b->table); i++) {
		const struct sb_yaml_node *row = sb_yaml_at(b->table, i);

		if (strcmp(sb_yaml_str(sb_yaml_get(row, "field")), field) != 0 ||
				!text_matches(sb_yaml_get(row, "recipe"), b->recipe) ||
				!text_matches(sb_yaml_get(row, "theirs"), theirs) ||
				!text_matches(sb_yaml_get(row, "ours"), ours))
			continue;
		b->explained++;
		used[i % MAX_ROWS] = true;
		return;
	}
	b->failed++;
	printf("# %s, %d nodes%s: %s differs\n#   theirs: %s\n#   ours:   %s\n", b->recipe,
			b->nodes, b->overrides ? ", overrides" : "", field, theirs, ours);
}

static void compare(struct bench *b, const char *field, const char *theirs, const char *ours)
{
	if (strcmp(theirs, ours) != 0)
		differ(b, field, theirs, ours);
}

/* --- comparing --- */

static const char *get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void add_line(struct sb_strbuf *out, const char *a, const char *b)
{
	sb_strbuf_addf(out, "%s%s%s ", a, *b ? "=" : "", b);
}

static void compare_argv(struct bench *b, const json_t *theirs, const Sparkbus__RankSpec *ours)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf x = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf y = SB_STRBUF_INIT;

	for (size_t i = 0; i < json_array_size(theirs); i++)
		sb_strbuf_addf(&x, "<%s> ", json_string_value(json_array_get(theirs, i)));
	for (size_t i = 0; i < ours->n_argv; i++)
		sb_strbuf_addf(&y, "<%s> ", ours->argv[i]);
	compare(b, "argv", sb_strbuf_str(&x), sb_strbuf_str(&y));
}

static void compare_env(struct bench *b, json_t *theirs, const Sparkbus__RankSpec *ours)
{
	for (size_t i = 0; i < ours->n_env; i++) {
		const Sparkbus__EnvVar *var = ours->env[i];
		const char *value = json_string_value(json_object_get(theirs, var->name));

		if (!value || strcmp(value, var->value) != 0)
			differ(b, "env", value ? value : "(unset)", var->name);
		if (i && strcmp(ours->env[i - 1]->name, var->name) >= 0)
			differ(b, "env order", ours->env[i - 1]->name, var->name);
	}
	for (void *it = json_object_iter(theirs); it; it = json_object_iter_next(theirs, it)) {
		size_t i = 0;

		while (i < ours->n_env && strcmp(ours->env[i]->name, json_object_iter_key(it)) != 0)
			i++;
		if (i == ours->n_env)
			differ(b, "env", json_object_iter_key(it), "(unset)");
	}
}

/* All published cases share one set of docker words; it is spelled out here. */
static void compare_options(struct bench *b, const Sparkbus__ContainerOptions *o)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_strbuf_addf(&text, "%s gpus=%s ipc=%s shm=%llu network=%s user=%s",
			o->privileged ? "privileged" : "-", o->gpus, o->ipc,
			(unsigned long long)o->shm_bytes, o->network, o->user);
	for (size_t i = 0; i < o->n_security_opt; i++)
		add_line(&text, " security-opt", o->security_opt[i]);
	for (size_t i = 0; i < o->n_ulimits; i++)
		sb_strbuf_addf(&text, "%s=%lld:%lld ", o->ulimits[i]->name,
				(long long)o->ulimits[i]->soft, (long long)o->ulimits[i]->hard);
	for (size_t i = 0; i < o->n_devices; i++)
		add_line(&text, "device", o->devices[i]->path);
	sb_strbuf_addf(&text, "%s caps=%zu", o->auto_remove ? "rm" : "keep", o->n_cap_add);
	compare(b, "options",
			"- gpus=all ipc=host shm=34359738368 network=host user=auto "
			"security-opt=no-new-privileges memlock=-1:-1 stack=67108864:67108864 "
			"device=/dev/infiniband rm caps=0",
			sb_strbuf_str(&text));
}

static void compare_rank(struct bench *b, const json_t *theirs, const Sparkbus__RankSpec *ours)
{
	const char *name = strchr(ours->container_name, '_');
	json_t *mounts = json_object_get(theirs, "mounts");

	name = name ? strchr(name + 1, '_') : NULL;
	compare(b, "container name", get_text(theirs, "name"), name ? name + 1 : "");
	compare(b, "address", get_text(theirs, "host"), ours->address);
	compare_argv(b, json_object_get(theirs, "argv"), ours);
	compare_env(b, json_object_get(theirs, "env"), ours);
	if (json_array_size(mounts) != ours->n_mounts)
		differ(b, "mounts", "another number", "another number");
	for (size_t i = 0; i < ours->n_mounts && i < json_array_size(mounts); i++)
		compare(b, "mounts", json_string_value(json_array_get(mounts, i)),
				ours->mounts[i]->target);
	compare_options(b, ours->options);
}

static void compare_plan(struct bench *b, json_t *theirs, const Sparkbus__LaunchPlan *ours)
{
	json_t *ranks = json_object_get(theirs, "ranks");
	char x[16], y[16];

	compare(b, "runtime", get_text(theirs, "runtime"), ours->runtime);
	compare(b, "image", get_text(theirs, "image"), ours->image);
	compare(b, "job", get_text(theirs, "id"), ours->job + strlen("sparkbus_"));
	snprintf(x, sizeof(x), "%lld", json_integer_value(json_object_get(theirs, "port")));
	snprintf(y, sizeof(y), "%u", ours->port);
	compare(b, "port", x, y);
	snprintf(x, sizeof(x), "%zu", json_array_size(ranks));
	snprintf(y, sizeof(y), "%zu", ours->n_ranks);
	compare(b, "ranks", x, y);
	for (size_t i = 0; i < ours->n_ranks && i < json_array_size(ranks); i++)
		compare_rank(b, json_array_get(ranks, i), ours->ranks[i]);
}

/* Each of their notes and warnings must be among ours. */
static void compare_notes(struct bench *b, const json_t *theirs, const struct sb_diags *ours)
{
	static const char *const prefix[] = { "Note: ", "Warning: ", "Error: " };

	for (size_t i = 0; i < json_array_size(theirs); i++) {
		const char *text = json_string_value(json_array_get(theirs, i));
		bool found = false;

		for (size_t k = 0; k < ours->n; k++) {
			const char *lead = prefix[ours->items[k].level];

			found = found ||
					(!strncmp(text, lead, strlen(lead)) &&
							!strcmp(text + strlen(lead),
									ours->items[k].text));
		}
		if (!found)
			differ(b, "note", text, "(none)");
	}
}

/* --- one case --- */

static int compile(const char *path, const char *text, size_t len, const struct bench *b, bool solo,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret, struct sb_err *err)
{
	static const struct sb_override overrides[] = {
		{ "port", "9123", "-o" },
		{ "gpu_memory_utilization", "0.5", "-o" },
		{ "max_model_len", "4096", "-o" },
	};
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.11", "10.0.0.11", 47101 },
		{ "spark2", "10.0.0.12", "10.0.0.12", 47101 },
		{ "spark3", "10.0.0.13", "10.0.0.13", 47101 },
		{ "spark4", "10.0.0.14", "10.0.0.14", 47101 },
	};
	struct sb_plan_input input = {
		.nodes = nodes,
		.n_nodes = (size_t)b->nodes,
		.solo = solo,
		.operator_name = "op",
		.tool_version = "test",
		.now_unix_ms = 1,
	};
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	int rc = sb_recipe_parse(path, text, len, nothing, diags, &recipe, err);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, overrides,
				b->overrides ? sb_countof(overrides) : 0, NULL, NULL, 0, diags, &w,
				err);
	return rc == 0 ? sb_plan_compile(w, &input, diags, ret, err) : rc;
}

static void free_plan(Sparkbus__LaunchPlan **plan)
{
	if (*plan)
		sparkbus__launch_plan__free_unpacked(*plan, NULL);
}

static void run_case(struct bench *b, const struct sb_strbuf *text, json_t *row, json_t *results,
		struct tally *tally)
{
	SB_CLEANUP(free_plan) Sparkbus__LaunchPlan *plan = NULL;
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = SB_DIAGS_INIT;
	const char *their_error = get_text(row, "error");
	struct sb_err err = SB_ERR_INIT;
	int rc = compile(b->recipe, sb_strbuf_str(text), text->len, b, false, &diags, &plan, &err);

	if (rc == -SB_E_UNSUPPORTED) {
		tally->later++;
		return;
	}
	if (rc < 0 || *their_error)
		compare(b, "outcome", *their_error ? their_error : "(launch)",
				rc < 0 ? err.text : "(launch)");
	if (rc < 0 && !*their_error) /* what would --solo run? The rest must still agree. */
		rc = compile(b->recipe, sb_strbuf_str(text), text->len, b, true, &diags, &plan,
				&err);
	if (rc == 0 && !*their_error) {
		compare_plan(b,
				json_array_get(results,
						(size_t)json_integer_value(
								json_object_get(row, "result"))),
				plan);
		compare_notes(b, json_object_get(row, "notes"), &diags);
	}
	tally->failed += b->failed > 0;
	tally->explained += !b->failed && b->explained;
	tally->exact += !b->failed && !b->explained;
}

static bool run_recipe(const char *dir, json_t *entry, const struct sb_yaml_node *table,
		struct tally *tally)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	json_t *cases = json_object_get(entry, "cases");
	struct sb_err err = SB_ERR_INIT;
	unsigned before = tally->failed;
	char path[4096];

	snprintf(path, sizeof(path), "%s/corpus/%s", dir, get_text(entry, "recipe"));
	if (sb_fs_read(path, SB_YAML_MAX_BYTES, &text, &err) < 0) {
		printf("# %s\n", err.text);
		tally->failed++;
	}
	for (size_t i = 0; tally->failed == before && i < json_array_size(cases); i++) {
		json_t *row = json_array_get(cases, i);
		struct bench b = {
			.table = table,
			.recipe = get_text(entry, "recipe"),
			.nodes = (int)json_integer_value(json_object_get(row, "nodes")),
			.overrides = json_is_true(json_object_get(row, "overrides")),
		};

		run_case(&b, &text, row, json_object_get(entry, "results"), tally);
	}
	return tally->failed == before;
}

static json_t *load_json(const char *dir)
{
	json_error_t error;
	char path[4096];
	json_t *all;

	snprintf(path, sizeof(path), "%s/vllm-distributed.json", dir);
	all = json_load_file(path, 0, &error);
	if (!all)
		printf("Bail out! %s:%d: %s\n", path, error.line, error.text);
	return all;
}

static unsigned stale_rows(const struct sb_yaml_node *table)
{
	unsigned n = 0;

	for (size_t i = 0; i < sb_yaml_size(table); i++) {
		if (used[i % MAX_ROWS])
			continue;
		printf("# differences.yaml:%u: this row covers nothing\n",
				sb_yaml_line(sb_yaml_at(table, i)));
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	const char *dir = argc > 1 ? argv[1] : ".";
	struct sb_err err = SB_ERR_INIT;
	struct tally tally = { 0 };
	char path[4096];
	json_t *all = load_json(dir);

	snprintf(path, sizeof(path), "%s/differences.yaml", dir);
	if (!all || sb_yaml_load(path, NULL, NULL, &doc, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		json_decref(all);
		return 1;
	}
	printf("1..%zu\n", json_array_size(all) + 1);
	for (size_t i = 0; i < json_array_size(all); i++) {
		json_t *entry = json_array_get(all, i);
		bool good = run_recipe(dir, entry, sb_yaml_root(doc), &tally);

		printf("%s %zu - %s\n", good ? "ok" : "not ok", i + 1, get_text(entry, "recipe"));
	}
	tally.failed += stale_rows(sb_yaml_root(doc));
	printf("%s %zu - every difference is explained, and every explanation is needed\n",
			tally.failed ? "not ok" : "ok", json_array_size(all) + 1);
	printf("# exact %u, explained %u, failed %u, not yet supported %u\n", tally.exact,
			tally.explained, tally.failed, tally.later);
	json_decref(all);
	return tally.failed ? 1 : 0;
}
