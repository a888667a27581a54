/* recipe rules: what lint knows, as a table, as JSON, and as sparkbus-lint(7). */
#include <string.h>

#include "checks.h"
#include "commands.h"

#define RULES_OPT(member) offsetof(struct rules_opts, member)

const struct opt rules_options[] = {
	{ OPT_FLAG, 0, "policies", NULL, NULL, "where sources disagree, and what is made of it",
			RULES_OPT(policies) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", RULES_OPT(json) },
	{ OPT_FLAG, 0, "man", NULL, NULL, "the manual page sparkbus-lint(7)", RULES_OPT(man) },
	{ OPT_END },
};

static bool is_wanted(const struct call *call, const char *id)
{
	for (size_t i = 0; i < call->n_args; i++)
		if (strncasecmp(id, call->args[i], strlen(call->args[i])) == 0)
			return true;
	return call->n_args == 0;
}

/* --- JSON --- */

static json_t *rule_json(const struct sb_rule_info *r)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "id", r->id, "severity",
			sb_severity_name(r->severity), "fatal", (int)r->fatal, "group", r->group,
			"message", r->message, "fix", r->fix, "source", r->source);
}

static json_t *policy_json(const struct sb_policy_info *p)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "id", p->id, "topic", p->topic, "positions",
			p->positions, "policy", p->policy);
}

static int print_json(struct cli *cli, const struct call *call, const struct sb_rules *rules)
{
	const struct rules_opts *opts = call->opts;
	json_t *list = json_array();
	struct sb_policy_info policy;
	struct sb_rule_info rule;

	for (size_t i = 0; !opts->policies && sb_rules_at(rules, i, &rule); i++)
		if (is_wanted(call, rule.id))
			json_array_append_new(list, rule_json(&rule));
	for (size_t i = 0; opts->policies && sb_policies_at(rules, i, &policy); i++)
		if (is_wanted(call, policy.id))
			json_array_append_new(list, policy_json(&policy));
	return cli_json(cli, list, EXIT_DONE);
}

/* --- text --- */

static int print_text(struct cli *cli, const struct call *call, const struct sb_rules *rules)
{
	const struct rules_opts *opts = call->opts;
	struct sb_policy_info policy;
	struct sb_rule_info rule;
	size_t n = 0;

	for (size_t i = 0; !opts->policies && sb_rules_at(rules, i, &rule); i++) {
		if (!is_wanted(call, rule.id))
			continue;
		n++;
		printf("%s  %-7s  %s%s\n", rule.id, sb_severity_name(rule.severity), rule.message,
				rule.fatal ? " (fatal)" : "");
		if (*rule.fix)
			printf("  fix: %s\n", rule.fix);
		printf("  source: %s\n", rule.source);
	}
	for (size_t i = 0; opts->policies && sb_policies_at(rules, i, &policy); i++) {
		if (!is_wanted(call, policy.id))
			continue;
		n++;
		printf("%s  %s\n  positions: %s\n  policy: %s\n", policy.id, policy.topic,
				policy.positions, policy.policy);
	}
	if (n)
		return EXIT_DONE;
	fprintf(stderr, "Error: no %s begins with '%s'\n", opts->policies ? "policy" : "rule",
			call->args[0]);
	return EXIT_FAILED;
}

/* --- the manual --- */

static void roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
}

static void line(FILE *out, const char *before, const char *text, const char *after)
{
	fputs(before, out);
	roff(out, text);
	fputs(after, out);
}

static const char man_head[] =
		".SH NAME\n"
		"sparkbus\\-lint \\- what sparkbus knows to go wrong with recipes\n"
		".SH SYNOPSIS\n"
		".B sparkbus recipe validate\n"
		".RI [ \\-\\-strict ]\n"
		".IR RECIPE \" ...\"\n"
		".br\n"
		".B sparkbus recipe rules\n"
		".RI [ ID \" ...]\"\n"
		".SH DESCRIPTION\n"
		"A recipe, or the launch that\n"
		".B sparkbus run\n"
		"makes of it, is compared with rules: combinations of image, model, flags and "
		"nodes that are known\n"
		"to fail, to be slow or to give garbage.\n"
		".B recipe validate\n"
		"prints all findings and exits with 1 when one is an error, with\n"
		".B \\-\\-strict\n"
		"when one is a warning.\n"
		".B run\n"
		"prints errors and warnings and goes on, unless a finding is fatal or\n"
		".B \\-\\-strict\n"
		"is given;\n"
		".B \\-\\-no\\-lint\n"
		"leaves the rules out.\n"
		".PP\n"
		"What is not known is not guessed: a rule that asks for it is not reported, and "
		"counted by\n"
		".BR \\-v .\n"
		".SS What a recipe can say\n"
		"Keys of the recipe's metadata that rules look at:\n"
		".TP\n.B tested\n"
		"A list of flags, without dashes, whose values the author measured: "
		"[moe\\-backend, attention\\-backend].\n"
		"Rules that would choose otherwise are silent then.\n"
		".TP\n.B accept\n"
		"A map of rules that the author knows to fire and lives with, each with the "
		"reason: "
		"{IMG005: \"no digest was published\"}.\n"
		"Such findings are shown by\n"
		".B recipe validate \\-v\n"
		"only. An error cannot be accepted.\n"
		".TP\n.B tags\n"
		"What the recipe is for: agent, tools, chat, code, rag, json, prose, latency, "
		"audio, text.\n"
		".TP\n.B concurrency\n"
		"How many requests there are at a time.\n"
		".SH RULES IN YAML\n"
		"The files\n"
		".IR images.yaml ,\n"
		".I models.yaml\n"
		"and\n"
		".I lint.yaml\n"
		"lie in the folder\n"
		".I rules\n"
		"beside the bundled recipes, and are read in this order, strictly: a word that is "
		"not understood is an error with its line.\n"
		".TP\n.B flags\n"
		"Other names of flags, by engine.\n"
		".TP\n.B define\n"
		"Conditions with a name.\n"
		".TP\n.B derive\n"
		"Facts that follow from others. The first row that knows a fact wins, and no row "
		"after one that cannot tell.\n"
		".TP\n.B groups\n"
		"Rules, each with id, severity, when, message, fix and source. A group's condition "
		"holds for all its rules.\n"
		"lower makes a finding milder where its condition holds; fatal (true, or a "
		"condition) refuses the launch; silences names rules that are not reported "
		"together with this one.\n"
		".TP\n.B policies\n"
		"Where sources disagree: rules, when, and then drop, keep, or the highest severity "
		"that stays.\n"
		".SS Conditions\n"
		"A condition is a map; all its keys must hold.\n"
		".TP\n.B all, any\nA list of conditions.\n"
		".TP\n.B not\nA condition.\n"
		".TP\n.B is\nThe name of a definition, or a list of names.\n"
		".TP\n.IB fact \": true, \" fact \": false\"\n"
		"It is set; it is known to be absent. Of a fact that is a flag: its value.\n"
		".TP\n.IB fact \": text\"\n"
		"One of the fact's texts is this, in any case; * and ? match. A list is one of "
		"these.\n"
		".TP\n.IB fact \": {not: text}\"\n"
		"It is set, and no text is this.\n"
		".TP\n.IB fact \": {above: N}\"\n"
		"Also below, at_least and at_most; of numbers and versions.\n"
		".PP\n"
		"An operand $\\fIfact\\fR stands for that fact's value, and so does "
		"{\\fIfact\\fR} in a message.\n"
		"A condition over an unknown fact is unknown, unless the rest decides it.\n"
		".SH FACTS\n"
		".TP\n.BI flag. NAME\nA flag of the serve command, by its long name.\n"
		".TP\n.BI flag. NAME . MEMBER\nA member of a flag's JSON value.\n"
		".TP\n.BI env. NAME\nA variable of the container.\n";

static void man_facts(FILE *out)
{
	static const char *const kinds[] = { "text", "flag", "number", "version" };
	enum sb_fact_kind kind;
	const char *name, *meaning;

	for (size_t i = 0; (name = sb_fact_at(i, &kind, &meaning)); i++) {
		line(out, ".TP\n\\fB", name, "\\fR");
		fprintf(out, " (%s)\n", kinds[kind]);
		line(out, "", meaning, ".\n");
	}
}

static void man_rule(FILE *out, const struct sb_rule_info *rule, const char **group)
{
	if (strcmp(*group, rule->group) != 0)
		line(out, ".SS ", *group = rule->group, "\n");
	line(out, ".TP\n\\fB", rule->id, "\\fR ");
	fprintf(out, "(%s%s)\n", sb_severity_name(rule->severity), rule->fatal ? ", fatal" : "");
	line(out, "", rule->message, ".\n");
	if (*rule->fix)
		line(out, ".br\nFix: ", rule->fix, ".\n");
	line(out, ".br\nSource: ", rule->source, ".\n");
}

static void print_man(FILE *out, const struct sb_rules *rules)
{
	struct sb_policy_info policy;
	struct sb_rule_info rule;
	const char *group = "";

	fprintf(out, ".TH SPARKBUS-LINT 7 \"\" \"sparkbus %s\" \"sparkbus\"\n%s", SB_VERSION,
			man_head);
	man_facts(out);
	fputs(".SH RULES\n"
	      "guide: community guide for DGX Spark (June 2026), by section; team: article of the "
	      "vLLM team (June 2026);\n"
	      "scripts: two\\-node cluster scripts; registry: README of the published tool; "
	      "playbook: NVIDIA's; derived: follows from how the parts work.\n"
	      "Severity none says that something is right, and silences other rules.\n",
			out);
	for (size_t i = 0; sb_rules_at(rules, i, &rule); i++)
		man_rule(out, &rule, &group);
	fputs(".SH POLICIES\n", out);
	for (size_t i = 0; sb_policies_at(rules, i, &policy); i++) {
		line(out, ".TP\n\\fB", policy.id, "\\fR ");
		line(out, "", policy.topic, "\n");
		line(out, "", policy.positions, ".\n");
		line(out, ".br\nPolicy: ", policy.policy, ".\n");
	}
	fputs(".SH SEE ALSO\n.BR sparkbus (1)\n", out);
}

int cmd_recipe_rules(struct cli *cli, const struct call *call)
{
	SB_CLEANUP(sb_rules_freep) struct sb_rules *rules = NULL;
	const struct rules_opts *opts = call->opts;
	struct sb_err err = SB_ERR_INIT;

	if (checks_load(&rules, &err) < 0)
		return cli_fail(cli, &err);
	if (opts->json)
		return print_json(cli, call, rules);
	if (!opts->man)
		return print_text(cli, call, rules);
	print_man(stdout, rules);
	return EXIT_DONE;
}
