/* fuzz_template.c - hostile defaults, overrides and a command template, past YAML's syntax: the
 * first line chooses runtime and nodes, lines "key=value" are defaults, "!key=value" overrides, and
 * what follows a line "%" is the command. Expansion must settle, and a plan must tell where every
 * byte of it comes from, be the same twice, and be the same from the exported recipe. */
#include <stdint.h>
#include <string.h>

#include "sb_plan.h"
#include "sb_runtime.h"

#define LINES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A YAML text in double quotes that means exactly @text. */
static void add_quoted(struct sb_strbuf *out, const char *text)
{
	sb_strbuf_addc(out, '"');
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			sb_strbuf_addf(out, "\\x%02x", (unsigned char)*text);
		else
			sb_strbuf_addc(out, *text);
	sb_strbuf_addc(out, '"');
}

static void add_runtime(struct sb_strbuf *out, unsigned char choice)
{
	size_t n = 0;

	while (sb_runtime_at(n))
		n++;
	sb_strbuf_addf(out, "model: org/model\nruntime: %s\n", sb_runtime_at(choice % n)->name);
}

/* @text is cut into lines in place. */
static void make_recipe(
		char *text, struct sb_strbuf *out, struct sb_override *overrides, size_t *ret_n)
{
	char *command = strstr(text, "\n%\n"), *line;
	bool any = false;

	if (command)
		*command = '\0';
	line = strsep(&text, "\n");
	add_runtime(out, (unsigned char)*line);
	for (size_t i = 0; i < LINES_MAX && (line = strsep(&text, "\n")); i++) {
		char *eq = strchr(line, '=');

		if (!eq)
			continue;
		*eq = '\0';
		if (*line == '!') {
			overrides[(*ret_n)++] = (struct sb_override){ line + 1, eq + 1, "-o" };
			continue;
		}
		sb_strbuf_adds(out, any ? "  " : "defaults:\n  ");
		any = true;
		add_quoted(out, line);
		sb_strbuf_adds(out, ": ");
		add_quoted(out, eq + 1);
		sb_strbuf_addc(out, '\n');
	}
	if (command) {
		sb_strbuf_adds(out, "command: ");
		add_quoted(out, command + 3);
		sb_strbuf_addc(out, '\n');
	}
}

static void check_expansion(const struct sb_workload *w)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf once = SB_STRBUF_INIT, twice = SB_STRBUF_INIT;
	const char *command = sb_yaml_str(sb_workload_key(w, "command"));

	if (sb_workload_substitute(w, command, &once, NULL) < 0)
		return;
	if (sb_workload_substitute(w, sb_strbuf_str(&once), &twice, NULL) < 0 ||
			strcmp(sb_strbuf_str(&once), sb_strbuf_str(&twice)) != 0)
		abort();
}

static void check_sources(const struct sb_workload *w, const Sparkbus__LaunchPlan *plan,
		const struct sb_plan_sources *sources)
{
	if (sources->n != plan->n_ranks)
		abort();
	for (size_t r = 0; r < sources->n; r++) {
		const struct sb_words *words = &sources->ranks[r].argv;

		if (words->n != plan->ranks[r]->n_argv || !words->n)
			abort();
		for (size_t i = 0; i < words->n; i++) {
			if (strcmp(words->items[i], plan->ranks[r]->argv[i]) != 0)
				abort();
			for (size_t at = 0; words->items[i][at]; at++)
				if (sb_mark_source(w, sb_words_mark(words, i, at)).kind >=
						SB_SOURCE_COUNT_)
					abort();
		}
	}
}

static int compile(const struct sb_workload *w, size_t n, struct sb_strbuf *ret_bytes)
{
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.11", "10.0.0.11", 47101 },
		{ "spark2", "10.0.0.12", "10.0.0.12", 47101 },
		{ "spark3", "10.0.0.13", "10.0.0.13", 47101 },
		{ "spark4", "10.0.0.14", "10.0.0.14", 47101 },
	};
	const struct sb_plan_input input = { .nodes = nodes, .n_nodes = n };
	SB_CLEANUP(sb_plan_sources_done) struct sb_plan_sources sources = { 0 };
	SB_CLEANUP(sb_freep) uint8_t *bytes = NULL;
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_plan_explain(w, &input, NULL, &plan, &sources, &err);

	if (rc < 0) {
		if (!err.text[0] || err.code == SB_OK)
			abort();
		return rc;
	}
	check_sources(w, plan, &sources);
	bytes = malloc(sparkbus__launch_plan__get_packed_size(plan));
	if (!bytes)
		abort();
	sb_strbuf_add(ret_bytes, bytes, sparkbus__launch_plan__pack(plan, bytes));
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	return 0;
}

/* Written as a recipe, it is the same launch without the overrides. */
static void check_export(const struct sb_workload *w, size_t n, const struct sb_strbuf *want)
{
	static const struct sb_export_opts none = { .keep = false };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, got = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *again = NULL;

	if (sb_workload_export(w, &none, &text, NULL) < 0)
		return; /* an override is not UTF-8 */
	if (sb_recipe_parse("r.yaml", sb_strbuf_str(&text), text.len, NULL, NULL, &recipe, NULL) <
					0 ||
			sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &again, NULL) <
					0 ||
			compile(again, n, &got) < 0 || got.len != want->len ||
			memcmp(got.data, want->data, got.len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SB_CLEANUP(sb_strbuf_done)
	struct sb_strbuf yaml = SB_STRBUF_INIT, first = SB_STRBUF_INIT, again = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_freep) char *text = calloc(1, size + 1);
	struct sb_override overrides[LINES_MAX];
	size_t n = 0, nodes = size > 1 ? 1 + data[1] % 4 : 1;
	struct sb_err err = SB_ERR_INIT;

	if (!text)
		return 0;
	memcpy(text, data, size);
	make_recipe(text, &yaml, overrides, &n);
	if (sb_recipe_parse("r.yaml", sb_strbuf_str(&yaml), yaml.len, NULL, NULL, &recipe, &err) <
					0 ||
			sb_workload_resolve(recipe, overrides, n, NULL, NULL, 0, NULL, &w, &err) <
					0) {
		if (!err.text[0])
			abort();
		return 0;
	}
	check_expansion(w);
	if (compile(w, nodes, &first) < 0)
		return 0;
	if (compile(w, nodes, &again) < 0 || first.len != again.len ||
			memcmp(first.data, again.data, first.len) != 0)
		abort();
	check_export(w, nodes, &first);
	return 0;
}
