/* test_bundled.c - the plan of every bundled recipe, on as many nodes as it asks for, against the
 * text of it that is kept in bundled/FAMILY/NAME.txt. What a change of a recipe, a runtime or the
 * compiler does to a launch shows there, to be read before it goes in. TAP, one line per recipe.
 *
 *   test_bundled DIR RECIPES             compare
 *   test_bundled --write DIR RECIPES     write the texts anew, and remove those without a recipe */
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "launch.h"
#include "sb_fs.h"
#include "sb_yaml.h"

#define NODES_MAX  8
#define TEXT_MAX   ((size_t)1 << 20)
#define TEXTS_DIR  "bundled"
#define DIFF_LINES 12

struct suite {
	const char *dir, *recipes;
	bool write, bad;
	size_t test;
};

static const char *nothing(const char *name)
{
	return NULL;
}

/* --- the text --- */

static void print_remarks(const struct sb_diags *diags, FILE *out)
{
	static const char *const words[] = { "Note", "Warning", "Error" };

	for (size_t i = 0; i < diags->n; i++)
		fprintf(out, "%s: %s\n", words[diags->items[i].level], diags->items[i].text);
	if (diags->n)
		fputc('\n', out);
}

static int print_plan(
		const struct sb_workload *w, struct sb_diags *diags, FILE *out, struct sb_err *err)
{
	static const struct sb_plan_node nodes[NODES_MAX] = {
		{ "spark1", "10.0.0.11", "10.0.0.11", 47101 },
		{ "spark2", "10.0.0.12", "10.0.0.12", 47101 },
		{ "spark3", "10.0.0.13", "10.0.0.13", 47101 },
		{ "spark4", "10.0.0.14", "10.0.0.14", 47101 },
		{ "spark5", "10.0.0.15", "10.0.0.15", 47101 },
		{ "spark6", "10.0.0.16", "10.0.0.16", 47101 },
		{ "spark7", "10.0.0.17", "10.0.0.17", 47101 },
		{ "spark8", "10.0.0.18", "10.0.0.18", 47101 },
	};
	struct sb_plan_input input = {
		.nodes = nodes,
		.n_nodes = sb_plan_nodes_wanted(w),
		.operator_name = "op",
		.tool_version = "test",
		.now_unix_ms = 1,
	};
	struct launch launch = { 0 };
	int rc = input.n_nodes <= NODES_MAX
			? sb_plan_compile(w, &input, diags, &launch.plan, err)
			: sb_err_set(err, SB_E_RANGE, "more than %d nodes", NODES_MAX);

	if (rc < 0)
		return rc;
	fprintf(out, "Runtime: %s\nImage:   %s\nModel:   %s\nJob:     %s\n", launch.plan->runtime,
			launch.plan->image, launch.plan->model, launch.plan->job);
	for (size_t i = 0; i < launch.plan->n_draft_models; i++)
		fprintf(out, "Draft:   %s\n", launch.plan->draft_models[i]);
	fputc('\n', out);
	print_remarks(diags, out);
	plan_print_ranks(&launch, out);
	sparkbus__launch_plan__free_unpacked(launch.plan, NULL);
	return 0;
}

static int make_text(const char *path, struct sb_strbuf *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = { 0 };
	char *buf = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&buf, &len);
	int rc = out ? sb_fs_read(path, SB_YAML_MAX_BYTES, &text, err) : sb_err_nomem(err);

	if (rc == 0)
		rc = sb_recipe_parse(path, sb_strbuf_str(&text), text.len, nothing, &diags, &recipe,
				err);
	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &diags, &w, err);
	if (rc == 0)
		rc = print_plan(w, &diags, out, err);
	if (out)
		fclose(out);
	if (rc == 0)
		sb_strbuf_add(ret, buf, len);
	free(buf);
	return rc;
}

/* --- comparing --- */

static void report(struct suite *s, bool good, const char *what)
{
	printf("%s %zu - %s\n", good ? "ok" : "not ok", ++s->test, what);
	s->bad = s->bad || !good;
}

static size_t line_length(const char *text)
{
	return strcspn(text, "\n");
}

/* From the first line that differs, some of both. */
static void print_difference(const char *want, const char *got)
{
	const struct {
		char mark;
		const char *text;
	} sides[] = { { '-', want }, { '+', got } };
	size_t same = 0;

	for (size_t i = 0; want[i] && want[i] == got[i]; i++)
		if (want[i] == '\n')
			same = i + 1;
	for (size_t k = 0; k < sb_countof(sides); k++) {
		const char *at = sides[k].text + same;

		for (size_t n = 0; *at && n < DIFF_LINES; n++) {
			printf("# %c%.*s\n", sides[k].mark, (int)line_length(at), at);
			at += line_length(at);
			at += *at == '\n';
		}
	}
}

/* "RECIPES/qwen/x.yaml" is kept in "DIR/bundled/qwen/x.txt". */
static char *text_path(const struct suite *s, const char *recipe)
{
	const char *tail = recipe + strlen(s->recipes) + 1;
	char *path = NULL;

	if (asprintf(&path, "%s/" TEXTS_DIR "/%.*s.txt", s->dir,
			    (int)(strlen(tail) - strlen(".yaml")), tail) < 0)
		abort();
	return path;
}

static int write_text(const char *path, const struct sb_strbuf *text, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int rc;

	if (!slash)
		return sb_err_nomem(err);
	*slash = '\0';
	rc = sb_fs_mkdirs(folder, 0777, err);
	return rc < 0 ? rc : sb_fs_write(path, sb_strbuf_str(text), text->len, 0644, err);
}

static void compare(struct suite *s, const char *recipe)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf got = SB_STRBUF_INIT, want = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = text_path(s, recipe);
	struct sb_err err = SB_ERR_INIT;
	int rc = make_text(recipe, &got, &err);
	bool good;

	if (rc == 0)
		rc = s->write ? write_text(path, &got, &err)
			      : sb_fs_read(path, TEXT_MAX, &want, &err);
	good = rc == 0 && (s->write || !strcmp(sb_strbuf_str(&want), sb_strbuf_str(&got)));
	report(s, good, recipe + strlen(s->recipes) + 1);
	if (rc < 0)
		printf("# %s\n", err.text);
	else if (!good)
		print_difference(sb_strbuf_str(&want), sb_strbuf_str(&got));
}

/* --- all --- */

/* Call @fn for each file of @pattern below @root. Return: how many. */
static size_t each(struct suite *s, const char *root, const char *pattern,
		void (*fn)(struct suite *s, const char *path))
{
	SB_CLEANUP(sb_freep) char *full = NULL;
	glob_t found = { 0 };
	size_t n = 0;

	if (asprintf(&full, "%s/%s", root, pattern) < 0)
		abort();
	if (glob(full, 0, NULL, &found) == 0)
		for (; n < found.gl_pathc; n++)
			fn(s, found.gl_pathv[n]);
	globfree(&found);
	return n;
}

/* A text whose recipe is gone. */
static void check_text(struct suite *s, const char *path)
{
	SB_CLEANUP(sb_freep) char *texts = sb_fs_join(s->dir, TEXTS_DIR);
	SB_CLEANUP(sb_freep) char *recipe = NULL;
	const char *tail = texts ? path + strlen(texts) + 1 : path;

	if (asprintf(&recipe, "%s/%.*s.yaml", s->recipes, (int)(strlen(tail) - strlen(".txt")),
			    tail) < 0)
		abort();
	if (access(recipe, F_OK) == 0)
		return;
	if (s->write)
		unlink(path);
	else
		report(s, false, path);
}

int main(int argc, char **argv)
{
	bool write = argc == 4 && !strcmp(argv[1], "--write");
	struct suite s = { .write = write };
	SB_CLEANUP(families_freep) struct families *families = NULL;
	struct sb_err err = SB_ERR_INIT;

	if (argc != 3 && !write) {
		fprintf(stderr, "usage: test_bundled [--write] DIR RECIPES\n");
		return 2;
	}
	s.dir = argv[argc - 2];
	s.recipes = argv[argc - 1];
	if (families_load(s.recipes, &families, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	for (size_t i = 0; families_at(families, i); i++) {
		SB_CLEANUP(sb_freep) char *pattern = NULL;

		if (asprintf(&pattern, "%s/*.yaml", families_at(families, i)) < 0)
			abort();
		each(&s, s.recipes, pattern, compare);
	}
	report(&s, s.test > 0, "there are recipes");
	each(&s, s.dir, TEXTS_DIR "/*/*.txt", check_text);
	if (s.bad && !s.write)
		printf("# when the plans are right: build/tests/golden/test_bundled --write "
		       "tests/golden recipes\n");
	printf("1..%zu\n", s.test);
	return s.bad ? 1 : 0;
}
