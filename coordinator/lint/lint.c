/* lint.c - every rule over the facts, then silencing and policies, then an order for people. */
#include <string.h>

#include "internal.h"

/* --- derivation --- */

/* "$fact" is that fact's texts. */
static int derive_copy(
		struct sb_facts *facts, const char *name, const char *from, struct sb_err *err)
{
	struct fact_name key;
	const struct fact *source;
	int rc = 0;

	if (!lint_fact_name(from, &key))
		return 0;
	source = lint_fact(facts, &key);
	for (size_t i = 0; rc == 0 && i < source->n; i++)
		rc = sb_facts_set(facts, name, source->texts[i], NULL, err);
	return rc;
}

/* The first row that knows a fact wins, and what the caller set stays. While an earlier row cannot
 * tell, no later one may speak for it: a default would be a guess. */
static int derive_one(struct sb_facts *facts, const struct sb_yaml_node *set, size_t i,
		bool *blocked, bool *changed, struct sb_err *err)
{
	const struct sb_yaml_node *value = sb_yaml_at(set, i);
	const char *name = sb_yaml_str(sb_yaml_key(set, i));
	struct fact_name key;
	int rc = 0;

	if (!lint_fact_name(name, &key) || lint_fact(facts, &key)->state != FACT_UNKNOWN ||
			(key.id != FACT_OPEN && blocked[key.id]))
		return 0;
	if (sb_yaml_str(value)[0] == '$') {
		rc = derive_copy(facts, name, sb_yaml_str(value) + 1, err);
		*changed = *changed || lint_fact(facts, &key)->state != FACT_UNKNOWN;
		return rc;
	}
	if (sb_yaml_type(value) == SB_YAML_LIST && !sb_yaml_size(value))
		return 0;
	*changed = true;
	if (sb_yaml_type(value) == SB_YAML_NULL)
		return sb_facts_absent(facts, name, err);
	if (sb_yaml_type(value) != SB_YAML_LIST)
		return sb_facts_set(facts, name, sb_yaml_str(value), NULL, err);
	for (size_t k = 0; rc == 0 && k < sb_yaml_size(value); k++)
		rc = sb_facts_set(facts, name, sb_yaml_str(sb_yaml_at(value, k)), NULL, err);
	return rc;
}

static void block(const struct sb_yaml_node *set, bool *blocked)
{
	struct fact_name key;

	for (size_t i = 0; i < sb_yaml_size(set); i++)
		if (lint_fact_name(sb_yaml_str(sb_yaml_key(set, i)), &key) && key.id != FACT_OPEN)
			blocked[key.id] = true;
}

static int derive_round(const struct sb_rules *rules, struct sb_facts *facts, bool *changed,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) bool *blocked = calloc(lint_n_facts, sizeof(*blocked));
	int rc = blocked ? 0 : sb_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < rules->n_derivations; i++) {
		const struct derivation *d = &rules->derivations[i];
		enum tri value = cond_eval(d->when, facts);

		if (value == MAYBE)
			block(d->set, blocked);
		for (size_t k = 0; rc == 0 && value == YES && k < sb_yaml_size(d->set); k++)
			rc = derive_one(facts, d->set, k, blocked, changed, err);
	}
	return rc;
}

/* Rows may rest on what later rows say. Facts are only ever added, so this ends. */
static int derive(const struct sb_rules *rules, struct sb_facts *facts, struct sb_err *err)
{
	bool changed = true;
	int rc = 0;

	while (rc == 0 && changed) {
		changed = false;
		rc = derive_round(rules, facts, &changed, err);
		if (rc == 0)
			rc = lint_compute(facts, &changed, err);
	}
	return rc;
}

/* --- silencing and policies --- */

static bool names(const struct sb_yaml_node *list, const char *id)
{
	for (size_t i = 0; i < sb_yaml_size(list); i++)
		if (!strcmp(sb_yaml_str(sb_yaml_at(list, i)), id))
			return true;
	return false;
}

/* What stays of @rule's severity once silencing rules and policies were heard. */
static enum sb_severity judge(const struct sb_rules *rules, const enum tri *values,
		const struct sb_facts *facts, const struct rule *rule)
{
	enum sb_severity severity = rule->info.severity;

	if (rule->lower_when && cond_eval(rule->lower_when, facts) == YES &&
			rule->lower_to < severity)
		severity = rule->lower_to;
	for (size_t i = 0; i < rules->n; i++)
		if (values[i] == YES && names(rules->rules[i].silences, rule->info.id))
			return SB_SEVERITY_NONE;
	for (size_t i = 0; i < rules->n_policies; i++) {
		const struct policy *policy = &rules->policies[i];

		if (!names(policy->rules, rule->info.id) || cond_eval(policy->when, facts) != YES)
			continue;
		if (policy->drop)
			return SB_SEVERITY_NONE;
		severity = policy->cap < severity ? policy->cap : severity;
	}
	return severity;
}

/* --- places --- */

/* A flag or a variable that is set is what the author can change. One that is missing is added to
 * the command. Else it is the image or the model that a rule is about. */
struct search {
	const struct sb_facts *facts;
	const struct fact *given, *about;
	bool missing;
};

/* What is derived from the image or the model stands where they stand. */
static const struct fact *root_of(const struct sb_facts *facts, const char *name)
{
	struct fact_name root;

	if (!strncmp(name, "image.", 6) && lint_fact_name("image.ref", &root))
		return lint_fact(facts, &root);
	if (!strncmp(name, "model.", 6) && lint_fact_name("model.id", &root))
		return lint_fact(facts, &root);
	return NULL;
}

static bool has_place(const struct fact *fact)
{
	return fact && fact->state == FACT_SET && (fact->place.line || fact->place.origin);
}

static void consider(void *ctx, const struct fact_name *name)
{
	struct search *search = ctx;
	const struct fact *fact = lint_fact(search->facts, name);

	if (!has_place(fact) && name->id != FACT_OPEN)
		fact = root_of(search->facts, name->text);
	if (name->id == FACT_OPEN && fact->state == FACT_ABSENT)
		search->missing = true;
	if (!has_place(fact))
		return;
	if (name->id == FACT_OPEN && !search->given)
		search->given = fact;
	else if (name->id != FACT_OPEN && !search->about)
		search->about = fact;
}

static int take_place(const struct sb_facts *facts, const struct rule *rule, struct sb_place *ret,
		struct sb_err *err)
{
	struct search search = { .facts = facts };
	struct sb_place place = lint_command_place(facts);

	cond_each(rule->when, consider, &search);
	if (search.given)
		place = search.given->place;
	else if (!search.missing && search.about)
		place = search.about->place;
	if (place.origin && !(place.origin = strdup(place.origin)))
		return sb_err_nomem(err);
	*ret = place;
	return 0;
}

/* --- findings --- */

/* The value of "{name}" at @s; its length with the braces, or 0. */
static size_t add_value(const struct sb_facts *facts, const char *s, struct sb_strbuf *out)
{
	const char *end = strchr(s, '}'), *text;
	char name[80];
	size_t len = end ? (size_t)(end - s) - 1 : 0;

	if (!len || len >= sizeof(name))
		return 0;
	memcpy(name, s + 1, len);
	name[len] = '\0';
	text = strchr(name, '.') ? sb_facts_text(facts, name) : NULL;
	if (!text && !(strchr(name, '.') && !strpbrk(name, " \"{:")))
		return 0;
	sb_strbuf_adds(out, text ? text : "?");
	return len + 2;
}

static int expand(const struct sb_facts *facts, const char *message, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	while (*message) {
		size_t used = *message == '{' ? add_value(facts, message, &out) : 0;

		if (!used)
			sb_strbuf_addc(&out, *message);
		message += used ? used : 1;
	}
	*ret = sb_strbuf_steal(&out);
	if (!*ret)
		return sb_err_nomem(err);
	sb_text_clean(*ret);
	return 0;
}

/* The reason for which the recipe lives with what @id finds. An error is not lived with. */
static const char *acceptance(
		const struct sb_facts *facts, const char *id, enum sb_severity severity)
{
	struct fact_name name;
	const struct fact *fact;
	size_t len = strlen(id);

	if (severity == SB_SEVERITY_ERROR || !lint_fact_name("recipe.accepted", &name))
		return NULL;
	fact = lint_fact(facts, &name);
	for (size_t i = 0; i < fact->n; i++)
		if (!strncmp(fact->texts[i], id, len) && fact->texts[i][len] == ' ')
			return fact->texts[i] + len + 1;
	return NULL;
}

static int add_finding(const struct sb_facts *facts, const struct rule *rule,
		enum sb_severity severity, struct sb_findings *ret, struct sb_err *err)
{
	struct sb_finding *items = reallocarray(ret->items, ret->n + 1, sizeof(*items));
	const char *reason = acceptance(facts, rule->info.id, severity);
	struct sb_finding *finding;
	int rc;

	if (!items)
		return sb_err_nomem(err);
	ret->items = items;
	finding = &items[ret->n];
	*finding = (struct sb_finding){ .rule = rule->info, .severity = severity };
	finding->fatal = rule->info.fatal && severity == SB_SEVERITY_ERROR &&
			cond_eval(rule->fatal_when, facts) == YES;
	ret->n++;
	rc = expand(facts, rule->info.message, &finding->message, err);
	if (rc == 0)
		rc = expand(facts, rule->info.fix, &finding->fix, err);
	if (rc == 0 && reason && !(finding->accepted = strdup(reason)))
		rc = sb_err_nomem(err);
	if (rc == 0 && reason)
		sb_text_clean(finding->accepted);
	return rc < 0 ? rc : take_place(facts, rule, &finding->place, err);
}

/* Insertion keeps the rules' order among findings of one place. */
static void sort(struct sb_findings *f)
{
	for (size_t i = 1; i < f->n; i++) {
		struct sb_finding item = f->items[i];
		size_t at = i;

		for (; at && f->items[at - 1].place.line > item.place.line; at--)
			f->items[at] = f->items[at - 1];
		f->items[at] = item;
	}
}

void sb_findings_done(struct sb_findings *findings)
{
	for (size_t i = 0; i < findings->n; i++) {
		free(findings->items[i].message);
		free(findings->items[i].fix);
		free(findings->items[i].accepted);
		free((char *)findings->items[i].place.origin);
	}
	free(findings->items);
	*findings = (struct sb_findings){ 0 };
}

static enum tri both(enum tri a, enum tri b)
{
	return a < b ? a : b;
}

int sb_lint(const struct sb_rules *rules, struct sb_facts *facts, struct sb_findings *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) enum tri *values = calloc(rules->n + 1, sizeof(*values));
	SB_CLEANUP(sb_findings_done) struct sb_findings found = { 0 };
	int rc = values ? derive(rules, facts, err) : sb_err_nomem(err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < rules->n; i++)
		values[i] = both(cond_eval(rules->rules[i].scope, facts),
				cond_eval(rules->rules[i].when, facts));
	for (size_t i = 0; rc == 0 && i < rules->n; i++) {
		const struct rule *rule = &rules->rules[i];
		enum sb_severity severity;

		found.unknown += values[i] == MAYBE && rule->info.severity != SB_SEVERITY_NONE;
		severity = values[i] == YES ? judge(rules, values, facts, rule) : SB_SEVERITY_NONE;
		if (severity != SB_SEVERITY_NONE)
			rc = add_finding(facts, rule, severity, &found, err);
	}
	if (rc < 0)
		return rc;
	sort(&found);
	*ret = found;
	found = (struct sb_findings){ 0 };
	return 0;
}
