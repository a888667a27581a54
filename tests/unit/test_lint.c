#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_fs.h"
#include "sb_lint.h"

#define FILE_MAX ((size_t)1 << 20)

static const char *const rule_files[] = { RULES_DIR "/images.yaml", RULES_DIR "/models.yaml",
	RULES_DIR "/lint.yaml" };

/* --- the shipped rules and the table of cases --- */

static struct sb_rules *rules;
static struct sb_yaml_doc *cases;

static void read_file(const char *path, struct sb_strbuf *ret)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(sb_fs_read(path, FILE_MAX, ret, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	struct sb_strbuf texts[sb_countof(rule_files)] = { 0 };
	struct sb_rules_file files[sb_countof(rule_files)];
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < sb_countof(rule_files); i++) {
		read_file(rule_files[i], &texts[i]);
		files[i] = (struct sb_rules_file){ rule_files[i], sb_strbuf_str(&texts[i]),
			texts[i].len };
	}
	ck_assert_msg(sb_rules_parse(files, sb_countof(files), &rules, &err) == 0, "%s", err.text);
	ck_assert_msg(sb_yaml_load(CASES_DIR "/cases.yaml", NULL, NULL, &cases, &err) == 0, "%s",
			err.text);
	for (size_t i = 0; i < sb_countof(rule_files); i++)
		sb_strbuf_done(&texts[i]);
}

static void teardown(void)
{
	sb_rules_free(sb_steal(rules));
	sb_yaml_free(sb_steal(cases));
}

/* --- a case to a recipe to findings --- */

static const struct sb_yaml_node *pick(const struct sb_yaml_node *launch, const char *key)
{
	const struct sb_yaml_node *own = sb_yaml_get(launch, key);

	return own ? own : sb_yaml_get(sb_yaml_get(sb_yaml_root(cases), "base"), key);
}

/* Flow style, every scalar quoted but for those that are no text. */
static void write_node(const struct sb_yaml_node *node, struct sb_strbuf *out)
{
	enum sb_yaml_type type = sb_yaml_type(node);

	if (type != SB_YAML_LIST && type != SB_YAML_MAP) {
		if (type == SB_YAML_STR)
			ck_assert_int_eq(sb_yaml_write_scalar(out, sb_yaml_str(node)), 0);
		else
			sb_strbuf_adds(out, sb_yaml_str(node));
		return;
	}
	sb_strbuf_addc(out, type == SB_YAML_LIST ? '[' : '{');
	for (size_t i = 0; i < sb_yaml_size(node); i++) {
		sb_strbuf_adds(out, i ? ", " : "");
		if (type == SB_YAML_MAP) {
			sb_yaml_write_scalar(out, sb_yaml_str(sb_yaml_key(node, i)));
			sb_strbuf_adds(out, ": ");
		}
		write_node(sb_yaml_at(node, i), out);
	}
	sb_strbuf_addc(out, type == SB_YAML_LIST ? ']' : '}');
}

static void write_key(const char *key, const struct sb_yaml_node *node, struct sb_strbuf *out)
{
	if (!node)
		return;
	sb_strbuf_addf(out, "%s: ", key);
	write_node(node, out);
	sb_strbuf_addc(out, '\n');
}

static void write_recipe(const struct sb_yaml_node *launch, struct sb_strbuf *out)
{
	const struct sb_yaml_node *runtime = pick(launch, "runtime");

	write_key("model", pick(launch, "model"), out);
	write_key("container", pick(launch, "image"), out);
	sb_strbuf_addf(out, "runtime: %s\n", runtime ? sb_yaml_str(runtime) : "vllm");
	write_key("env", pick(launch, "env"), out);
	write_key("executor_config", pick(launch, "executor"), out);
	write_key("pre_exec", pick(launch, "pre_exec"), out);
	write_key("metadata", pick(launch, "metadata"), out);
	write_key("defaults", pick(launch, "defaults"), out);
	sb_strbuf_addf(out, "command: |\n  %s %s\n", sb_yaml_str(pick(launch, "command")),
			sb_yaml_str(pick(launch, "args")));
}

static void set_facts(struct sb_facts *facts, const struct sb_yaml_node *map)
{
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < sb_yaml_size(map); i++) {
		const char *name = sb_yaml_str(sb_yaml_key(map, i));
		const struct sb_yaml_node *value = sb_yaml_at(map, i);

		if (sb_yaml_type(value) == SB_YAML_NULL)
			ck_assert_msg(sb_facts_absent(facts, name, &err) == 0, "%s", err.text);
		else if (sb_yaml_type(value) != SB_YAML_LIST)
			ck_assert_msg(sb_facts_set(facts, name, sb_yaml_str(value), NULL, &err) ==
							0,
					"%s", err.text);
		for (size_t k = 0; sb_yaml_type(value) == SB_YAML_LIST && k < sb_yaml_size(value);
				k++)
			ck_assert_int_eq(
					sb_facts_set(facts, name, sb_yaml_str(sb_yaml_at(value, k)),
							NULL, &err),
					0);
	}
}

static size_t all_env(const struct sb_workload *w, struct sb_env *env, size_t max)
{
	size_t n = 0;

	while (n < max && sb_workload_env_at(w, n, &env[n]))
		n++;
	return n;
}

/* Facts of a recipe, as the command line gathers them. */
static struct sb_facts *gather(const char *text, const struct sb_lint_launch *extra)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf command = SB_STRBUF_INIT;
	struct sb_lint_launch launch = extra ? *extra : (struct sb_lint_launch){ 0 };
	struct sb_env env[64];
	struct sb_facts *facts = NULL;
	struct sb_err err = SB_ERR_INIT;
	bool has = false;

	ck_assert_msg(sb_recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe, &err) == 0,
			"%s\n%s", err.text, text);
	ck_assert_msg(sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, &err) == 0,
			"%s\n%s", err.text, text);
	ck_assert_int_eq(sb_workload_command(w, &command, &has, NULL, &err), 0);
	launch.workload = w;
	launch.source = text;
	if (!launch.command)
		launch.command = has ? sb_strbuf_str(&command) : NULL;
	launch.image = sb_workload_image(w);
	launch.env = env;
	launch.n_env = all_env(w, env, sb_countof(env));
	ck_assert_int_eq(sb_facts_new(&facts, &err), 0);
	ck_assert_msg(sb_facts_gather(facts, rules, &launch, &err) == 0, "%s", err.text);
	return facts;
}

static struct sb_findings lint_case(const struct sb_yaml_node *launch)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const struct sb_yaml_node *mounts = pick(launch, "mounts");
	const struct sb_yaml_node *nodes = pick(launch, "nodes");
	struct sb_lint_launch extra = { .nodes = (unsigned)sb_yaml_int(nodes) };
	struct sb_findings findings = { 0 };
	struct sb_err err = SB_ERR_INIT;
	struct sb_facts *facts;
	const char *targets[8];

	ck_assert_uint_le(sb_yaml_size(mounts), sb_countof(targets));
	for (size_t i = 0; i < sb_yaml_size(mounts); i++)
		targets[i] = sb_yaml_str(sb_yaml_at(mounts, i));
	extra.mounts = targets;
	extra.n_mounts = sb_yaml_size(mounts);
	write_recipe(launch, &text);
	facts = gather(sb_strbuf_str(&text), &extra);
	set_facts(facts, sb_yaml_get(launch, "facts"));
	ck_assert_msg(sb_lint(rules, facts, &findings, &err) == 0, "%s", err.text);
	sb_facts_free(facts);
	return findings;
}

static const struct sb_finding *find(const struct sb_findings *f, const char *id)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->items[i].rule.id, id))
			return &f->items[i];
	return NULL;
}

static bool fires(const struct sb_yaml_node *launch, const char *id)
{
	struct sb_findings f = lint_case(launch);
	bool found = find(&f, id) != NULL;

	sb_findings_done(&f);
	return found;
}

static struct sb_rule_info rule_of(const char *id)
{
	struct sb_rule_info info = { 0 };

	for (size_t i = 0; sb_rules_at(rules, i, &info); i++)
		if (!strcmp(info.id, id))
			return info;
	ck_abort_msg("no rule %s", id);
	return info;
}

/* --- every rule --- */

static void check_yes(const struct sb_yaml_node *row, const char *id)
{
	const char *severity = sb_yaml_str(sb_yaml_get(row, "severity"));
	struct sb_findings f = lint_case(sb_yaml_get(row, "yes"));
	const struct sb_finding *found = find(&f, id);

	ck_assert_msg(found != NULL, "%s does not fire (cases.yaml:%u)", id, sb_yaml_line(row));
	ck_assert_msg(!*severity || !strcmp(severity, sb_severity_name(found->severity)),
			"%s is %s (cases.yaml:%u)", id, sb_severity_name(found->severity),
			sb_yaml_line(row));
	ck_assert_int_eq(found->fatal && sb_yaml_get(row, "fatal") != NULL,
			sb_yaml_bool(sb_yaml_get(row, "fatal")));
	ck_assert_msg(!strstr(found->message, "?") && !strstr(found->fix, "?"),
			"%s: a value is missing: %s / %s", id, found->message, found->fix);
	ck_assert_uint_gt(found->place.line, 0);
	sb_findings_done(&f);
}

START_TEST(every_rule_fires_on_its_case_and_not_beside_it)
{
	const struct sb_yaml_node *list = sb_yaml_get(sb_yaml_root(cases), "rules");

	for (size_t i = 0; i < sb_yaml_size(list); i++) {
		const struct sb_yaml_node *row = sb_yaml_at(list, i);
		const char *id = sb_yaml_str(sb_yaml_get(row, "id"));
		const char *silenced = sb_yaml_str(sb_yaml_get(row, "silences"));

		if (*silenced) { /* it says nothing itself: what it silences is heard without it */
			ck_assert_msg(!fires(sb_yaml_get(row, "yes"), silenced), "%s", id);
			ck_assert_msg(fires(sb_yaml_get(row, "no"), silenced), "%s", id);
			continue;
		}
		check_yes(row, id);
		ck_assert_msg(!fires(sb_yaml_get(row, "no"), id),
				"%s fires where it must not (cases.yaml:%u)", id,
				sb_yaml_line(row));
	}
}
END_TEST

START_TEST(every_rule_has_a_case)
{
	const struct sb_yaml_node *list = sb_yaml_get(sb_yaml_root(cases), "rules");
	struct sb_rule_info info;

	for (size_t i = 0; sb_rules_at(rules, i, &info); i++) {
		bool found = false;

		for (size_t k = 0; k < sb_yaml_size(list); k++)
			found = found ||
					!strcmp(sb_yaml_str(sb_yaml_get(sb_yaml_at(list, k), "id")),
							info.id);
		ck_assert_msg(found, "%s has no case", info.id);
	}
}
END_TEST

/* severities.yaml is the published list; the rules file must hold it whole, and nothing else. */
START_TEST(all_published_rules_are_there_with_their_severity)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	const struct sb_yaml_node *root;
	struct sb_rule_info info;
	size_t n = 0;

	ck_assert_int_eq(sb_yaml_load(CASES_DIR "/severities.yaml", NULL, NULL, &doc, NULL), 0);
	root = sb_yaml_root(doc);
	for (size_t i = 0; i < sb_yaml_size(root); i++)
		for (size_t k = 0; k < sb_yaml_size(sb_yaml_at(root, i)); k++, n++) {
			info = rule_of(sb_yaml_str(sb_yaml_at(sb_yaml_at(root, i), k)));
			ck_assert_str_eq(sb_severity_name(info.severity),
					sb_yaml_str(sb_yaml_key(root, i)));
		}
	ck_assert_uint_eq(n, 135);
	ck_assert(sb_rules_at(rules, 134, &info) && !sb_rules_at(rules, 135, &info));
}
END_TEST

START_TEST(policies_change_what_they_say)
{
	const struct sb_yaml_node *list = sb_yaml_get(sb_yaml_root(cases), "policies");
	struct sb_policy_info info;
	size_t n = 0;

	for (size_t i = 0; i < sb_yaml_size(list); i++) {
		const struct sb_yaml_node *row = sb_yaml_at(list, i);
		const char *rule = sb_yaml_str(sb_yaml_get(row, "rule"));
		const char *id = sb_yaml_str(sb_yaml_get(row, "id"));

		ck_assert_msg(fires(sb_yaml_get(row, "without"), rule), "%s: %s", id, rule);
		ck_assert_msg(!fires(sb_yaml_get(row, "with"), rule), "%s: %s", id, rule);
	}
	for (; sb_policies_at(rules, n, &info); n++) {
		char want[8];

		snprintf(want, sizeof(want), "H%zu", n + 1);
		ck_assert_str_eq(info.id, want);
	}
	ck_assert_uint_eq(n, 13);
}
END_TEST

/* Read by compute.c or lint.c, and by nobody else. */
static bool is_input(const char *name)
{
	static const char *const inputs[] = { "model.bytes_per_param", "mem.kv_seq_gib",
		"node.usable_gib", "node.util_others", "recipe.accepted" };

	for (size_t i = 0; i < sb_countof(inputs); i++)
		if (!strcmp(inputs[i], name))
			return true;
	return false;
}

START_TEST(no_fact_is_idle)
{
	enum sb_fact_kind kind;
	const char *name, *meaning;

	for (size_t i = 0; (name = sb_fact_at(i, &kind, &meaning)); i++) {
		ck_assert_msg(sb_rules_use(rules, name) || is_input(name), "%s", name);
		ck_assert(*meaning && kind < SB_FACT_KIND_COUNT_);
	}
	ck_assert(!sb_rules_use(rules, "env.NO_SUCH_VARIABLE"));
}
END_TEST

/* --- what a recipe lives with --- */

static const char *accepted(const char *launch, const char *id)
{
	static char reason[80];
	struct sb_yaml_doc *doc = NULL;
	struct sb_findings f;
	const struct sb_finding *found;

	ck_assert_int_eq(sb_yaml_parse("case", launch, strlen(launch), NULL, NULL, &doc, NULL), 0);
	f = lint_case(sb_yaml_root(doc));
	found = find(&f, id);
	ck_assert_msg(found != NULL, "%s does not fire", id);
	snprintf(reason, sizeof(reason), "%s", found->accepted ? found->accepted : "");
	sb_findings_done(&f);
	sb_yaml_free(doc);
	return reason;
}

#define MOVING "image: 'vllm/vllm-openai:nightly'\nmetadata: "

START_TEST(what_a_recipe_accepts_keeps_its_reason)
{
	ck_assert_str_eq(accepted(MOVING "{accept: {IMG005: no digest}}", "IMG005"), "no digest");
	ck_assert_str_eq(accepted(MOVING "{accept: {IMG005: \"a\\eb\"}}", "IMG005"), "a b");
	ck_assert_str_eq(accepted(MOVING "{accept: {IMG00: x, IMG0055: x}}", "IMG005"), "");
	/* Without a reason nobody knows whether it is meant. */
	ck_assert_str_eq(accepted(MOVING "{accept: {IMG005: }}", "IMG005"), "");
	ck_assert_str_eq(accepted(MOVING "{accept: [IMG005]}", "IMG005"), "");
	ck_assert_str_eq(accepted(MOVING "{accept: IMG005 x}", "IMG005"), "");
}
END_TEST

START_TEST(an_error_is_not_lived_with)
{
	ck_assert_str_eq(accepted("image: 'vllm/vllm-openai:gemma4'\n"
				  "metadata: {accept: {IMG006: it works here}}",
					 "IMG006"),
			"");
}
END_TEST

/* --- laws --- */

START_TEST(a_plain_launch_is_clean)
{
	struct sb_findings f = lint_case(NULL);

	for (size_t i = 0; i < f.n; i++)
		ck_assert_msg(false, "%s: %s", f.items[i].rule.id, f.items[i].message);
	ck_assert_uint_gt(f.unknown, 10);
	sb_findings_done(&f);
}
END_TEST

START_TEST(nothing_known_nothing_said)
{
	struct sb_findings f = { 0 };
	struct sb_facts *facts = NULL;

	ck_assert_int_eq(sb_facts_new(&facts, NULL), 0);
	ck_assert_int_eq(sb_lint(rules, facts, &f, NULL), 0);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_uint_eq(f.unknown, 133); /* all but the two that only silence */
	sb_findings_done(&f);
	sb_facts_free(facts);
}
END_TEST

static void add_line(struct sb_strbuf *out, const struct sb_finding *f)
{
	sb_strbuf_addf(out, "%s %d %d %u:%u %s %s\n", f->rule.id, f->severity, f->fatal,
			f->place.line, f->place.col, f->message, f->fix);
}

static char *lint_text(struct sb_facts *facts)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_findings f = { 0 };

	ck_assert_int_eq(sb_lint(rules, facts, &f, NULL), 0);
	for (size_t i = 0; i < f.n; i++)
		add_line(&out, &f.items[i]);
	sb_strbuf_addf(&out, "%zu unknown", f.unknown);
	sb_findings_done(&f);
	return sb_strbuf_steal(&out);
}

START_TEST(twice_says_the_same)
{
	const struct sb_yaml_node *list = sb_yaml_get(sb_yaml_root(cases), "rules");

	for (size_t i = 0; i < sb_yaml_size(list); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
		SB_CLEANUP(sb_freep) char *first = NULL, *second = NULL;
		struct sb_facts *facts;

		write_recipe(sb_yaml_get(sb_yaml_at(list, i), "yes"), &text);
		facts = gather(sb_strbuf_str(&text), NULL);
		first = lint_text(facts);
		second = lint_text(facts);
		ck_assert_str_eq(first, second);
		sb_facts_free(facts);
	}
}
END_TEST

/* Learning a fact may only turn "cannot tell" into yes or no for rules that ask for it; whoever
 * fires without it must not be silenced by order. Facts are given forwards and backwards. */
START_TEST(the_order_of_facts_does_not_matter)
{
	static const char *const facts[][2] = { { "run.engine", "vllm" },
		{ "image.repo", "vllm/vllm-openai" }, { "image.tag", "nightly" },
		{ "image.ref", "vllm/vllm-openai:nightly" },
		{ "model.id", "nvidia/Qwen3.6-35B-A3B-NVFP4" }, { "model.org", "nvidia" },
		{ "model.name", "Qwen3.6-35B-A3B-NVFP4" }, { "flag.max-num-seqs", "9" },
		{ "flag.speculative-config.method", "mtp" },
		{ "flag.speculative-config.num_speculative_tokens", "7" },
		{ "env.VLLM_USE_FLASHINFER_MOE_FP4", "1" }, { "run.gpus", "2" },
		{ "run.nodes", "1" } };
	SB_CLEANUP(sb_freep) char *forwards = NULL, *backwards = NULL;
	struct sb_facts *a = NULL, *b = NULL;

	ck_assert(sb_facts_new(&a, NULL) == 0 && sb_facts_new(&b, NULL) == 0);
	sb_facts_close(a, "flag");
	for (size_t i = 0, n = sb_countof(facts); i < n; i++) {
		ck_assert_int_eq(sb_facts_set(a, facts[i][0], facts[i][1], NULL, NULL), 0);
		ck_assert_int_eq(sb_facts_set(b, facts[n - 1 - i][0], facts[n - 1 - i][1], NULL,
						 NULL),
				0);
	}
	sb_facts_close(b, "flag");
	forwards = lint_text(a);
	backwards = lint_text(b);
	ck_assert_str_eq(forwards, backwards);
	ck_assert(strstr(forwards, "SPC009") && strstr(forwards, "MEM005"));
	sb_facts_free(a);
	sb_facts_free(b);
}
END_TEST

/* Taking away what is known can never make a rule fire: it is asked again with each known fact of
 * the positive case forgotten, by giving only a part of them. */
START_TEST(less_knowledge_never_says_more)
{
	static const char *const facts[][2] = { { "run.engine", "vllm" },
		{ "image.tag", "nightly" }, { "model.id", "google/gemma-2-27b-it" },
		{ "run.ipc", "private" }, { "run.shm_gib", "8" }, { "run.nodes", "2" },
		{ "run.tp", "2" }, { "run.gpus", "2" }, { "run.network", "bridge" },
		{ "run.privileged", "false" } };
	struct sb_facts *all = NULL;
	SB_CLEANUP(sb_freep) char *most = NULL;

	sb_facts_new(&all, NULL);
	for (size_t i = 0; i < sb_countof(facts); i++)
		sb_facts_set(all, facts[i][0], facts[i][1], NULL, NULL);
	most = lint_text(all);
	sb_facts_free(all);
	for (unsigned mask = 0; mask < 1u << sb_countof(facts); mask++) {
		struct sb_findings f = { 0 };
		struct sb_facts *some = NULL;

		sb_facts_new(&some, NULL);
		for (size_t i = 0; i < sb_countof(facts); i++)
			if (mask & (1u << i))
				sb_facts_set(some, facts[i][0], facts[i][1], NULL, NULL);
		ck_assert_int_eq(sb_lint(rules, some, &f, NULL), 0);
		for (size_t i = 0; i < f.n; i++)
			ck_assert_msg(strstr(most, f.items[i].rule.id) != NULL, "%s, mask %x",
					f.items[i].rule.id, mask);
		sb_findings_done(&f);
		sb_facts_free(some);
	}
}
END_TEST

/* --- places --- */

static const char placed[] = "model: nvidia/Qwen3.6-35B-A3B-NVFP4\n"     /* 1 */
			     "container: vllm/vllm-openai:nightly\n"     /* 2 */
			     "defaults:\n"                               /* 3 */
			     "  max_model_len: 1010000\n"                /* 4 */
			     "env:\n"                                    /* 5 */
			     "  VLLM_FP8_MOE_BACKEND: x\n"               /* 6 */
			     "command: |\n"                              /* 7 */
			     "  # --enforce-eager is not here\n"         /* 8 */
			     "  {model} --reasoning-parser qwen3 \\\n"   /* 9 */
			     "     --max-model-len {max_model_len} \\\n" /* 10 */
			     "     --enforce-eager \\\n"                 /* 11 */
			     "     --tool-call-parser=hermes\n"          /* 12 */
			     "runtime: vllm\n";

START_TEST(findings_point_at_what_one_would_change)
{
	static const struct {
		const char *id;
		unsigned line, col;
	} want[] = {
		{ "MEM015", 11, 6 }, /* the flag, not the comment */
		{ "MEM007", 4, 18 }, /* the value behind the placeholder */
		{ "TLC004", 12, 6 }, /* --flag=value */
		{ "MOE007", 6, 3 },  /* the variable */
		{ "IMG005", 2, 12 }, /* the image */
		{ "MEM001", 7, 10 }, /* a flag that is missing: the command */
	};
	struct sb_facts *facts = gather(placed, NULL);
	struct sb_findings f = { 0 };

	ck_assert_int_eq(sb_lint(rules, facts, &f, NULL), 0);
	for (size_t i = 0; i < sb_countof(want); i++) {
		const struct sb_finding *found = find(&f, want[i].id);

		ck_assert_msg(found != NULL, "%s", want[i].id);
		ck_assert_msg(found->place.line == want[i].line && found->place.col == want[i].col,
				"%s at %u:%u", want[i].id, found->place.line, found->place.col);
	}
	for (size_t i = 1; i < f.n; i++)
		ck_assert_uint_le(f.items[i - 1].place.line, f.items[i].place.line);
	sb_findings_done(&f);
	sb_facts_free(facts);
}
END_TEST

/* Whatever style the command is written in. */
START_TEST(a_flag_is_found_in_every_style)
{
	static const struct {
		const char *command;
		unsigned line, col;
	} rows[] = {
		{ "command: vllm serve a/b --enforce-eager\n", 3, 25 },
		{ "command: vllm serve a/b\n  --enforce-eager\n", 4, 3 },
		{ "command: >-\n\n  vllm serve a/b\n  --x y --enforce-eager\n", 6, 9 },
		{ "command: \"vllm serve a/b\n  --enforce-eager\"\n", 4, 3 },
		{ "command: |\n  vllm serve a/b --enforce-eager-not \\\n    --enforce-eager\n", 5,
				5 },
		{ "command: |\n  # --enforce-eager\n  vllm serve a/b \\\n    --enforce-eager", 6,
				5 },
		{ "defaults: {enforce_eager: true}\n", 3, 27 },
		{ "defaults: {x: --enforce-eager}\ncommand: vllm serve a/b {x}\n", 4, 10 },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		SB_CLEANUP(sb_freep) char *text = NULL;
		struct sb_findings f = { 0 };
		struct sb_facts *facts;
		const struct sb_finding *found;

		ck_assert_int_ge(asprintf(&text, "model: a/b\nruntime: vllm\n%s", rows[i].command),
				0);
		/* Without a template it is the runtime that writes the command. */
		facts = gather(text,
				strstr(text, "command:")
						? NULL
						: &(struct sb_lint_launch){
								  .command = "vllm serve a/b "
									     "--enforce-eager" });
		ck_assert_int_eq(sb_lint(rules, facts, &f, NULL), 0);
		found = find(&f, "MEM015");
		ck_assert_msg(found && found->place.line == rows[i].line &&
						found->place.col == rows[i].col,
				"%s: %u:%u", text, found ? found->place.line : 0,
				found ? found->place.col : 0);
		sb_findings_done(&f);
		sb_facts_free(facts);
	}
}
END_TEST

START_TEST(flags_are_read_as_engines_read_them)
{
	static const struct {
		const char *args, *fact, *want; /* NULL = absent, opaque or unknown */
	} rows[] = {
		{ "-tp 2", "flag.tensor-parallel-size", "2" },
		{ "--max_num_seqs 3", "flag.max-num-seqs", "3" },
		{ "--max-num-seqs 3 --max-num-seqs=9", "flag.max-num-seqs", "9" },
		{ "--port $PORT", "flag.port", NULL },
		{ "--port {nowhere}", "flag.port", NULL },
		{ "--x -1.5", "flag.x", "-1.5" },
		{ "--speculative_config '{\"method\": \"mtp\"}'", "flag.speculative-config.method",
				"mtp" },
		{ "--speculative-config.method eagle", "flag.speculative-config.method", "eagle" },
		{ "--speculative-config.method eagle", "flag.speculative-config", "" },
		{ "--hf-overrides '{\"a\": {\"b\": [1, 2]}}'", "flag.hf-overrides.a.b", "[1,2]" },
		{ "--a '{\"b\": 1}' --a '{\"c\": 2}'", "flag.a.b", NULL },
		{ "--a '{broken'", "flag.a.json", "broken" },
		{ "--enable-x", "flag.enable-x", "" },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		SB_CLEANUP(sb_freep) char *text = NULL;
		struct sb_facts *facts;
		const char *got;

		ck_assert_int_ge(asprintf(&text,
						 "model: a/b\nruntime: vllm\ncommand: >-\n  vllm "
						 "serve a/b %s\n",
						 rows[i].args),
				0);
		facts = gather(text, NULL);
		got = sb_facts_text(facts, rows[i].fact);
		ck_assert_msg(rows[i].want ? got && !strcmp(got, rows[i].want) : !got, "%s: %s",
				rows[i].args, got ? got : "(none)");
		sb_facts_free(facts);
	}
}
END_TEST

START_TEST(sizes_are_read_from_names)
{
	static const struct {
		const char *model, *total, *active;
	} rows[] = {
		{ "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", "120", "12" },
		{ "Qwen/Qwen3-1.7B", "1.7", NULL },
		{ "mistralai/Mixtral-8x7B-Instruct", NULL, NULL },
		{ "google/gemma-4-E2B-it", NULL, NULL },
		{ "org/Qwen3-14Base", NULL, NULL },
		{ "org/AWQ-4bit", NULL, NULL },
		{ "/models/x-30b-a3b", "30", "3" },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		SB_CLEANUP(sb_freep) char *text = NULL;
		struct sb_facts *facts;
		const char *total, *active;

		ck_assert_int_ge(asprintf(&text, "model: %s\nruntime: vllm\n", rows[i].model), 0);
		facts = gather(text, NULL);
		total = sb_facts_text(facts, "model.params_b");
		active = sb_facts_text(facts, "model.active_b");
		ck_assert_pstr_eq(total, rows[i].total);
		ck_assert_pstr_eq(active, rows[i].active);
		sb_facts_free(facts);
	}
}
END_TEST

/* --- rules that are wrong --- */

#define RULE(when)                                                                                 \
	"groups: [{name: g, rules: [{id: A, severity: error, message: m, source: s, when: " when   \
	"}]}]"

START_TEST(bad_rules_are_refused_with_their_place)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ RULE("{image.colour: red}"), "r:1:83: unknown fact 'image.colour'" },
		{ RULE("{run.nodes: {over: 1}}"), "r:1:95: run.nodes: unknown operator 'over'" },
		{ RULE("{image.tag: {above: 1}}"), "image.tag: is not a number" },
		{ RULE("{run.nodes: {above: many}}"), "expected a number to compare with" },
		{ RULE("{run.nodes: {above: $image.colour}}"), "expected one fact behind '$'" },
		{ RULE("{model.moe: yes please}"), "model.moe: expected true or false" },
		{ RULE("{is: nothing}"), "'nothing' is not defined" },
		{ RULE("{}"), "expected a fact" },
		{ RULE("[run.nodes]"), "condition: expected a map" },
		{ RULE("{any: {run.nodes: 1}}"), "any: expected a list" },
		{ RULE("{run.nodes: []}"), "got an empty list" },
		{ "groups: [{name: g, rules: [{id: A, severity: bad, message: m, source: s, when: "
		  "{run.nodes: 1}}]}]",
				"expected none, info, warning or error" },
		{ "groups: [{name: g, rules: [{id: A, severity: error, source: s, when: "
		  "{run.nodes: 1}}]}]",
				"expected 'message'" },
		{ "groups: [{name: g, rules: [{id: A, severity: error, message: "
		  "\"{image.colour}\", source: s, when: {run.nodes: 1}}]}]",
				"unknown fact {image.colour}" },
		{ "groups: [{name: g, rules: [{id: A, severity: error, message: m, source: s, wen: "
		  "1}]}]",
				"rule: unknown key 'wen'" },
		{ "groups: [{name: g, rules: [{id: A, severity: error, message: m, source: s, "
		  "silences: [B], when: {run.nodes: 1}}]}]",
				"there is no rule 'B'" },
		{ "groups: [{name: g, rules: [{id: A, severity: error, message: m, source: s, "
		  "when: {run.nodes: 1}}, {id: A, severity: error, message: m, source: s, when: "
		  "{run.nodes: 1}}]}]",
				"rule A is there twice" },
		{ "derive: [{set: {image.colour: red}}]", "set: unknown fact 'image.colour'" },
		{ "derive: [{set: {image.tag: $image.colour}}]", "expected a fact behind '$'" },
		{ "grups: []", "rules: unknown key 'grups'" },
		{ "derive: []\nderive: []", "r:2:1: key 'derive' was already given" },
		{ "[1, 2]", "rules: expected a map" },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		const struct sb_rules_file file = { "r", rows[i].text, strlen(rows[i].text) };
		struct sb_rules *bad = NULL;
		struct sb_err err = SB_ERR_INIT;

		ck_assert_msg(sb_rules_parse(&file, 1, &bad, &err) == -SB_E_INVALID, "%s",
				rows[i].text);
		ck_assert_msg(strstr(err.text, rows[i].want) && !strncmp(err.text, "r:", 2),
				"%s\n%s", rows[i].text, err.text);
		ck_assert_ptr_null(bad);
	}
}
END_TEST

START_TEST(conditions_and_definitions_are_bounded)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf deep = SB_STRBUF_INIT, wide = SB_STRBUF_INIT;
	struct sb_rules *bad = NULL;
	struct sb_err err = SB_ERR_INIT;

	sb_strbuf_adds(&deep, "define: {x: ");
	for (int i = 0; i < 20; i++)
		sb_strbuf_adds(&deep, "{not: ");
	sb_strbuf_adds(&deep, "{run.nodes: 1}");
	for (int i = 0; i < 21; i++)
		sb_strbuf_adds(&deep, "}");
	ck_assert_int_lt(sb_rules_parse(&(struct sb_rules_file){ "r", sb_strbuf_str(&deep),
							deep.len },
					 1, &bad, &err),
			0);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 16 levels"));
	sb_strbuf_adds(&wide, "define:\n  d0: {run.nodes: 1}\n");
	for (int i = 1; i < 20; i++)
		sb_strbuf_addf(&wide, "  d%d: {is: [d%d, d%d, d%d]}\n", i, i - 1, i - 1, i - 1);
	ck_assert_int_lt(sb_rules_parse(&(struct sb_rules_file){ "r", sb_strbuf_str(&wide),
							wide.len },
					 1, &bad, &err),
			0);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 1000 tests"));
}
END_TEST

static bool holds(const char *when, const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *yaml = NULL;
	SB_CLEANUP(sb_rules_freep) struct sb_rules *r = NULL;
	SB_CLEANUP(sb_facts_freep) struct sb_facts *facts = NULL;
	struct sb_findings f = { 0 };
	struct sb_err err = SB_ERR_INIT;
	bool result;

	ck_assert_int_ge(asprintf(&yaml, RULE("%s"), when), 0);
	ck_assert_msg(sb_rules_parse(&(struct sb_rules_file){ "r", yaml, strlen(yaml) }, 1, &r,
				      &err) == 0,
			"%s", err.text);
	sb_facts_new(&facts, NULL);
	sb_facts_close(facts, "flag");
	ck_assert_int_eq(sb_facts_set(facts, name, text, NULL, NULL), 0);
	ck_assert_int_eq(sb_lint(r, facts, &f, NULL), 0);
	result = f.n == 1;
	sb_findings_done(&f);
	return result;
}

START_TEST(tests_mean_what_the_manual_says)
{
	static const struct {
		const char *when, *name, *text;
		bool want;
	} rows[] = {
		{ "{image.vllm: {below: 0.20}}", "image.vllm", "0.9.1", true },
		{ "{image.vllm: {below: 0.20}}", "image.vllm", "v0.20.0", false },
		{ "{image.vllm: {at_least: 0.20.0}}", "image.vllm", "0.20", true },
		{ "{image.vllm: {at_least: 0.18.2}}", "image.vllm", "0.18.2-dev", true },
		{ "{image.vllm: {below: 0.20}}", "image.vllm", "nightly", false },
		{ "{image.vllm: {at_least: 0.20}}", "image.vllm", "nightly", false },
		{ "{flag.x: {above: 64000}}", "flag.x", "64K", true },
		{ "{flag.x: {above: 64000}}", "flag.x", "64k", false },
		{ "{flag.x: {above: 1}}", "flag.x", "auto", false },
		{ "{flag.x: \"a*C?\"}", "flag.x", "ABBcd", true },
		{ "{flag.x: \"a*C?\"}", "flag.x", "ABBc", false },
		{ "{flag.x: \"v[audio]\"}", "flag.x", "v[audio]", true },
		{ "{flag.x: \"v[audio]\"}", "flag.x", "va", false },
		{ "{flag.x: {not: [a, b]}}", "flag.x", "c", true },
		{ "{flag.x: {not: [a, b]}}", "flag.x", "B", false },
		{ "{flag.y: {not: a}}", "flag.x", "c", false }, /* absent is no such thing */
		{ "{not: {flag.y: a}}", "flag.x", "c", true },
		{ "{flag.y: false}", "flag.x", "c", true },
		{ "{env.y: false}", "flag.x", "c", false }, /* not closed: unknown */
		{ "{not: {env.y: true}}", "flag.x", "c", false },
		{ "{any: [{env.y: true}, {flag.x: c}]}", "flag.x", "c", true },
		{ "{all: [{env.y: true}, {flag.x: c}]}", "flag.x", "c", false },
		{ "{model.moe: true}", "model.moe", "false", false },
		{ "{model.moe: false}", "model.moe", "false", true },
	};

	for (size_t i = 0; i < sb_countof(rows); i++)
		ck_assert_msg(holds(rows[i].when, rows[i].name, rows[i].text) == rows[i].want,
				"%s with %s", rows[i].when, rows[i].text);
}
END_TEST

START_TEST(facts_have_caps_and_names)
{
	struct sb_facts *facts = NULL;
	struct sb_err err = SB_ERR_INIT;
	char name[40];
	int rc = 0;

	sb_facts_new(&facts, NULL);
	ck_assert_int_eq(sb_facts_set(facts, "image.colour", "red", NULL, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_facts_set(facts, "flag.", "x", NULL, &err), -SB_E_INVALID);
	for (unsigned i = 0; i <= SB_FACT_NAMES_MAX && rc == 0; i++) {
		snprintf(name, sizeof(name), "env.N%u", i);
		rc = sb_facts_set(facts, name, "x", NULL, &err);
	}
	ck_assert_int_eq(rc, -SB_E_RANGE);
	rc = 0;
	for (unsigned i = 0; i <= SB_FACT_TEXTS_MAX && rc == 0; i++)
		rc = sb_facts_set(facts, "run.device", "x", NULL, &err);
	ck_assert_int_eq(rc, -SB_E_RANGE);
	sb_facts_free(facts);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lint");
	TCase *tc = tcase_create("lint");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_rule_fires_on_its_case_and_not_beside_it);
	tcase_add_test(tc, every_rule_has_a_case);
	tcase_add_test(tc, all_published_rules_are_there_with_their_severity);
	tcase_add_test(tc, policies_change_what_they_say);
	tcase_add_test(tc, no_fact_is_idle);
	tcase_add_test(tc, a_plain_launch_is_clean);
	tcase_add_test(tc, nothing_known_nothing_said);
	tcase_add_test(tc, twice_says_the_same);
	tcase_add_test(tc, the_order_of_facts_does_not_matter);
	tcase_add_test(tc, less_knowledge_never_says_more);
	tcase_add_test(tc, what_a_recipe_accepts_keeps_its_reason);
	tcase_add_test(tc, an_error_is_not_lived_with);
	tcase_add_test(tc, findings_point_at_what_one_would_change);
	tcase_add_test(tc, a_flag_is_found_in_every_style);
	tcase_add_test(tc, flags_are_read_as_engines_read_them);
	tcase_add_test(tc, sizes_are_read_from_names);
	tcase_add_test(tc, bad_rules_are_refused_with_their_place);
	tcase_add_test(tc, conditions_and_definitions_are_bounded);
	tcase_add_test(tc, tests_mean_what_the_manual_says);
	tcase_add_test(tc, facts_have_caps_and_names);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
