/* test_golden.c - what the published tool would run, against what we would run.
 *
 * Each published recipe is compiled for one to four nodes and once with overrides, and compared
 * in meaning: runtime, image, job id, ranks, words of the serve command, environment, mounts and
 * options of the container. A difference must be in differences.yaml with its reason; any other
 * fails. TAP, one line per recipe; the counts come last.
 *
 *   test_golden DIR MANPAGE    compare; the manual page must be what differences.yaml gives
 *   test_golden --man DIR      print that page */
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "sb_fs.h"
#include "sb_runtime.h"

#define MAX_RECIPES  512
#define MAX_RUNTIMES 16

struct tally {
	const char *runtime;
	unsigned exact, explained, failed, later;
};

struct suite {
	const char *dir;
	struct golden_table table;
	json_t *data[MAX_RUNTIMES]; /* per runtime, in the table's order */
	struct tally tally[MAX_RUNTIMES];
	size_t n, test;
	bool bad;
};

static const char *nothing(const char *name)
{
	return NULL;
}

static void report(struct suite *s, bool good, const char *what)
{
	printf("%s %zu - %s\n", good ? "ok" : "not ok", ++s->test, what);
	s->bad = s->bad || !good;
}

/* --- one case --- */

struct compiled {
	struct sb_recipe *recipe;
	struct sb_workload *workload;
	Sparkbus__LaunchPlan *plan;
	struct sb_plan_sources sources;
	struct sb_plan_input input;
	struct sb_diags diags;
};

static void compiled_done(struct compiled *out)
{
	if (out->plan)
		sparkbus__launch_plan__free_unpacked(out->plan, NULL);
	sb_plan_sources_done(&out->sources);
	sb_workload_free(out->workload);
	sb_recipe_free(out->recipe);
	sb_diags_done(&out->diags);
	*out = (struct compiled){ 0 };
}

static int compile(const char *path, const struct sb_strbuf *text, const struct golden_case *c,
		bool solo, struct compiled *out, struct sb_err *err)
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
	int rc = sb_recipe_parse(path, sb_strbuf_str(text), text->len, nothing, &out->diags,
			&out->recipe, err);

	out->input = (struct sb_plan_input){
		.nodes = nodes,
		.n_nodes = (size_t)c->nodes,
		.solo = solo,
		.operator_name = "op",
		.tool_version = "test",
		.now_unix_ms = 1,
	};

	if (rc == 0)
		rc = sb_workload_resolve(out->recipe, overrides,
				c->overrides ? sb_countof(overrides) : 0, NULL, NULL, 0,
				&out->diags, &out->workload, err);
	return rc == 0 ? sb_plan_explain(out->workload, &out->input, &out->diags, &out->plan,
					 &out->sources, err)
		       : rc;
}

static void run_case(struct golden_case *c, const struct sb_strbuf *text, json_t *row,
		json_t *results, struct tally *tally)
{
	SB_CLEANUP(compiled_done) struct compiled out = { 0 };
	const char *their_error = golden_text(row, "error");
	json_int_t result = json_integer_value(json_object_get(row, "result"));
	struct sb_err err = SB_ERR_INIT;
	int rc = compile(c->recipe, text, c, false, &out, &err);

	if (rc == -SB_E_UNSUPPORTED) {
		tally->later++;
		return;
	}
	if (rc < 0 || *their_error)
		golden_compare(c, "outcome", *their_error ? their_error : "(launch)",
				rc < 0 ? err.text : "(launch)");
	if (rc < 0 && !*their_error) { /* what would --solo run? The rest must still agree. */
		compiled_done(&out);
		rc = compile(c->recipe, text, c, true, &out, &err);
		if (rc < 0)
			golden_compare(c, "outcome", "(launch)", err.text);
	}
	if (rc == 0 && !*their_error) {
		golden_compare_plan(
				c, json_array_get(results, (size_t)result), out.workload, out.plan);
		golden_check_sources(c, text, out.workload, out.plan, &out.sources);
		golden_check_files(c, out.plan);
		golden_check_export(c, out.workload, &out.input, out.plan);
		golden_compare_notes(c, json_object_get(row, "notes"), &out.diags);
	}
	tally->failed += c->failed > 0;
	tally->explained += !c->failed && c->explained;
	tally->exact += !c->failed && !c->explained;
}

static bool run_recipe(struct suite *s, json_t *entry, struct tally *tally)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	unsigned before = tally->failed;
	char path[4096];
	json_t *row;
	size_t i;

	snprintf(path, sizeof(path), "%s/corpus/%s", s->dir, golden_text(entry, "recipe"));
	if (sb_fs_read(path, SB_YAML_MAX_BYTES, &text, &err) < 0) {
		printf("# %s\n", err.text);
		return false;
	}
	json_array_foreach (json_object_get(entry, "cases"), i, row) {
		struct golden_case c = {
			.table = &s->table,
			.recipe = golden_text(entry, "recipe"),
			.nodes = (int)json_integer_value(json_object_get(row, "nodes")),
			.overrides = json_is_true(json_object_get(row, "overrides")),
		};

		run_case(&c, &text, row, json_object_get(entry, "results"), tally);
	}
	return tally->failed == before;
}

/* --- the corpus: no recipe without data --- */

static char *corpus[MAX_RECIPES];
static size_t n_corpus;

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	size_t len = strlen(path);

	if (type != FTW_F || len < 5 || strcmp(path + len - 5, ".yaml") != 0 ||
			sb_yaml_load(path, NULL, NULL, &doc, NULL) < 0 ||
			!sb_yaml_get(sb_yaml_root(doc), "model") || n_corpus == MAX_RECIPES)
		return 0;
	corpus[n_corpus] = strdup(path);
	return corpus[n_corpus++] ? 0 : -1;
}

static bool has_data(const struct suite *s, const char *recipe)
{
	json_t *entry;
	size_t i;

	for (size_t k = 0; k < s->n; k++)
		json_array_foreach (s->data[k], i, entry)
			if (!strcmp(golden_text(entry, "recipe"), recipe))
				return true;
	return false;
}

static bool check_corpus(const struct suite *s)
{
	char root[4096];
	bool good;

	snprintf(root, sizeof(root), "%s/corpus", s->dir);
	good = nftw(root, on_file, 16, FTW_PHYS) == 0 && n_corpus > 0;
	for (size_t i = 0; i < n_corpus; i++) {
		if (!has_data(s, corpus[i] + strlen(root) + 1)) {
			printf("# %s is in no file of data/\n", corpus[i]);
			good = false;
		}
		free(corpus[i]);
	}
	return good;
}

/* --- the manual page --- */

static bool check_page(const struct suite *s, const char *path)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf want = SB_STRBUF_INIT, got = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;

	if (golden_table_man(&s->table, &want, &err) < 0 ||
			sb_fs_read(path, (size_t)1 << 20, &got, &err) < 0) {
		printf("# %s\n", err.text);
		return false;
	}
	if (!strcmp(sb_strbuf_str(&want), sb_strbuf_str(&got)))
		return true;
	printf("# %s is not what differences.yaml gives; mend it with\n"
	       "#   build/tests/golden/test_golden --man tests/golden >%s\n",
			path, "deploy/man/sparkbus-differences.7");
	return false;
}

/* --- all --- */

static int load(struct suite *s, struct sb_err *err)
{
	const struct sb_runtime *runtime;
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/differences.yaml", s->dir);
	rc = golden_table_load(path, &s->table, err);
	for (; rc == 0 && (runtime = sb_runtime_at(s->n)) && s->n < MAX_RUNTIMES; s->n++) {
		json_error_t error;

		snprintf(path, sizeof(path), "%s/data/%s.json", s->dir, runtime->name);
		s->tally[s->n].runtime = runtime->name;
		s->data[s->n] = json_load_file(path, 0, &error);
		if (!s->data[s->n])
			return sb_err_set(err, SB_E_INVALID, "%s:%d: %s", path, error.line,
					error.text);
	}
	return rc;
}

static void run(struct suite *s)
{
	json_t *entry;
	size_t i;

	for (size_t k = 0; k < s->n; k++)
		json_array_foreach (s->data[k], i, entry)
			report(s, run_recipe(s, entry, &s->tally[k]), golden_text(entry, "recipe"));
	report(s, golden_table_stale(&s->table) == 0, "every row of differences.yaml is needed");
	report(s, check_corpus(s), "every recipe of the corpus has its data");
}

static void print_counts(const struct suite *s)
{
	struct tally sum = { .runtime = "all" };

	for (size_t k = 0; k <= s->n; k++) {
		const struct tally *t = k < s->n ? &s->tally[k] : &sum;

		printf("# %s: exact %u, explained %u, failed %u, not yet supported %u\n",
				t->runtime, t->exact, t->explained, t->failed, t->later);
		sum.exact += t->exact;
		sum.explained += t->explained;
		sum.failed += t->failed;
		sum.later += t->later;
	}
}

static int print_page(const struct suite *s, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf page = SB_STRBUF_INIT;
	int rc = golden_table_man(&s->table, &page, err);

	if (rc == 0)
		fputs(sb_strbuf_str(&page), stdout);
	return rc;
}

int main(int argc, char **argv)
{
	bool man = argc == 3 && !strcmp(argv[1], "--man");
	struct suite s = { .dir = argc == 3 ? argv[man ? 2 : 1] : "." };
	struct sb_err err = SB_ERR_INIT;
	int rc = load(&s, &err);

	if (rc == 0 && man)
		rc = print_page(&s, &err);
	if (rc < 0) {
		printf("Bail out! %s\n", err.text);
		s.bad = true;
	} else if (!man) {
		run(&s);
		report(&s, check_page(&s, argc == 3 ? argv[2] : ""),
				"the manual page is what differences.yaml gives");
		print_counts(&s);
		printf("1..%zu\n", s.test);
	}
	for (size_t k = 0; k < s.n; k++)
		json_decref(s.data[k]);
	golden_table_done(&s.table);
	return s.bad ? 1 : 0;
}
