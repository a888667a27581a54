/* fuzz_lint.c - any bytes as rules, applied to a fixed launch; and, behind a line "%%", as the
 * recipe that shipped-like rules are applied to. Lint must say the same twice, and must be silent
 * when nothing is known. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sb_lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char recipe_text[] =
		"model: nvidia/Qwen3.6-35B-A3B-NVFP4\ncontainer: vllm/vllm-openai:nightly\n"
		"runtime: vllm\nenv: {A: b}\nmetadata: {tags: [code], concurrency: 1}\n"
		"command: |\n  vllm serve {model} -tp 2 --max-num-seqs 8 \\\n"
		"    --speculative-config '{\"method\": \"mtp\", \"a\": {\"b\": [1]}}'\n";
static const char rules_text[] =
		"flags: {vllm: {tensor-parallel-size: [tp]}}\n"
		"define: {many: {run.tp: {above: 1}}}\n"
		"derive: [{when: {model.id: \"*NVFP4*\"}, set: {model.quant: nvfp4, image.ngc: "
		"$image.tag}}]\n"
		"groups: [{name: g, rules: [{id: A, severity: error, source: s, fix: f, lower: "
		"{to: info, "
		"when: {env.A: true}}, message: \"{model.id} {flag.x.y}\", when: {any: [{is: "
		"many}, "
		"{flag.max-num-seqs: {above: 4}}, {flag.speculative-config.json: broken}, {not: "
		"{model.quant: nvfp4}}]}}]}]\n";

static void add_lines(const struct sb_findings *f, struct sb_strbuf *out)
{
	for (size_t i = 0; i < f->n; i++) {
		if (!f->items[i].message || !f->items[i].fix)
			abort();
		sb_strbuf_addf(out, "%s %d %u %s\n", f->items[i].rule.id, f->items[i].severity,
				f->items[i].place.line, f->items[i].message);
	}
	sb_strbuf_addf(out, "%zu", f->unknown);
}

static void lint(const struct sb_rules *rules, struct sb_facts *facts, struct sb_strbuf *out)
{
	struct sb_findings findings = { 0 };

	if (sb_lint(rules, facts, &findings, NULL) == 0)
		add_lines(&findings, out);
	sb_findings_done(&findings);
}

static void check(const struct sb_rules *rules, struct sb_facts *facts)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf first = SB_STRBUF_INIT, again = SB_STRBUF_INIT;

	lint(rules, facts, &first);
	lint(rules, facts, &again);
	if (strcmp(sb_strbuf_str(&first), sb_strbuf_str(&again)) != 0)
		abort();
}

static void apply(const struct sb_rules *rules, const char *text, size_t len)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_facts_freep) struct sb_facts *facts = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf command = SB_STRBUF_INIT;
	struct sb_lint_launch launch = { .nodes = 2 };
	struct sb_env env = { 0 };
	bool has = false;

	if (sb_recipe_parse("r.yaml", text, len, NULL, NULL, &recipe, NULL) < 0 ||
			sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, NULL) < 0 ||
			sb_workload_command(w, &command, &has, NULL, NULL) < 0 ||
			sb_facts_new(&facts, NULL) < 0)
		return;
	launch.workload = w;
	launch.source = text;
	launch.command = has ? sb_strbuf_str(&command) : NULL;
	launch.image = sb_workload_image(w);
	launch.n_env = sb_workload_env_at(w, 0, &env);
	launch.env = &env;
	sb_facts_gather(facts, rules, &launch, NULL);
	check(rules, facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SB_CLEANUP(sb_rules_freep) struct sb_rules *rules = NULL;
	SB_CLEANUP(sb_freep) char *text = calloc(1, size + 1);
	struct sb_rules_file file = { "f", NULL, 0 };
	struct sb_err err = SB_ERR_INIT;
	char *cut;

	if (!text)
		return 0;
	memcpy(text, data, size); /* strndup() would look for an end that is not there */
	cut = strstr(text, "\n%%\n");
	file.text = cut ? rules_text : text;
	file.len = strlen(file.text);
	if (sb_rules_parse(&file, 1, &rules, &err) < 0) {
		if (rules || !err.text[0] || cut)
			abort();
		return 0;
	}
	apply(rules, cut ? cut + 4 : recipe_text, strlen(cut ? cut + 4 : recipe_text));
	return 0;
}
