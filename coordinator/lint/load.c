/* load.c - rules from YAML, strictly: what is not understood is an error with its place.
 *
 * A file is a map; every section may be left out:
 *   flags:    {engine: {flag: [other names]}}
 *   define:   {name: condition}              for "is"
 *   derive:   [{when: condition, set: {fact: text or list}}]   the first that knows a fact wins
 *   groups:   [{name, when: condition, rules: [rule]}]
 *   policies: [{id, topic, positions, policy, rules, when, then: drop|keep|info|warning}] */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const char *const severity_names[] = { "none", "info", "warning", "error" };
static_assert(sb_countof(severity_names) == SB_SEVERITY_COUNT_, "one name each");

const char *sb_severity_name(enum sb_severity severity)
{
	return severity_names[severity];
}

struct loader {
	struct sb_rules *rules;
	const struct sb_yaml_doc *doc;
	const char *group; /* of the rules being read */
	const struct cond *scope;
	struct sb_err *err;
};

/* Room for one more in a list; the new item is zero. */
#define GROW(l, items, n)                                                                          \
	__extension__({                                                                            \
		__typeof__(items) sb_i_ = reallocarray((items), (n) + 1, sizeof(*(items)));        \
		if (sb_i_) {                                                                       \
			(items) = sb_i_;                                                           \
			memset(&(items)[n], 0, sizeof(*(items)));                                  \
		}                                                                                  \
		sb_i_ ? 0 : sb_err_nomem((l)->err);                                                \
	})

/* --- keys --- */

static int check_keys(const struct loader *l, const struct sb_yaml_node *map, const char *what,
		const char *const *keys, size_t n)
{
	int rc = sb_yaml_expect(l->doc, map, SB_YAML_MAP, what, l->err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(map); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(map, i);
		size_t at = 0;

		while (at < n && strcmp(keys[at], sb_yaml_str(key)) != 0)
			at++;
		if (at == n)
			return sb_yaml_err(l->doc, key, l->err, "%s: unknown key '%.40s'", what,
					sb_yaml_str(key));
	}
	return rc;
}

/* A text under @key. */
static int take_text(const struct loader *l, const struct sb_yaml_node *map, const char *key,
		bool must, const char **ret)
{
	const struct sb_yaml_node *node = sb_yaml_get(map, key);

	*ret = "";
	if (!node && !must)
		return 0;
	if (!node)
		return sb_yaml_err(l->doc, map, l->err, "expected '%s'", key);
	*ret = sb_yaml_str(node);
	if (sb_yaml_type(node) == SB_YAML_LIST || sb_yaml_type(node) == SB_YAML_MAP || !**ret)
		return sb_yaml_err(l->doc, node, l->err, "%s: expected text", key);
	return 0;
}

static int take_list(const struct loader *l, const struct sb_yaml_node *map, const char *key,
		const struct sb_yaml_node **ret)
{
	*ret = sb_yaml_get(map, key);
	return *ret ? sb_yaml_expect(l->doc, *ret, SB_YAML_LIST, key, l->err) : 0;
}

static int take_cond(const struct loader *l, const struct sb_yaml_node *map, const char *key,
		bool must, struct cond **ret)
{
	const struct sb_yaml_node *node = sb_yaml_get(map, key);

	if (!node)
		return must ? sb_yaml_err(l->doc, map, l->err, "expected '%s'", key) : 0;
	return cond_parse(l->doc, node, &l->rules->definitions, ret, l->err);
}

static int take_severity(
		const struct loader *l, const struct sb_yaml_node *node, enum sb_severity *ret)
{
	for (size_t i = 0; i < sb_countof(severity_names); i++)
		if (!strcmp(severity_names[i], sb_yaml_str(node))) {
			*ret = (enum sb_severity)i;
			return 0;
		}
	return sb_yaml_err(l->doc, node, l->err, "'%.40s': expected none, info, warning or error",
			sb_yaml_str(node));
}

/* --- messages --- */

/* "{name.of.a.fact}" in a message stands for its value; a name that no table has is a mistake. */
static int check_message(const struct loader *l, const struct sb_yaml_node *node)
{
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQ"
					 "RSTUVWXYZ";
	struct fact_name fact;
	char name[80];

	for (const char *s = strchr(sb_yaml_str(node), '{'); s; s = strchr(s + 1, '{')) {
		size_t len = strspn(s + 1, name_chars);

		if (s[len + 1] != '}' || !memchr(s + 1, '.', len) || len >= sizeof(name))
			continue;
		memcpy(name, s + 1, len);
		name[len] = '\0';
		if (!lint_fact_name(name, &fact))
			return sb_yaml_err(l->doc, node, l->err, "unknown fact {%s}", name);
	}
	return 0;
}

/* --- sections --- */

static int load_lower(const struct loader *l, const struct sb_yaml_node *map, struct rule *rule)
{
	static const char *const keys[] = { "to", "when" };
	const struct sb_yaml_node *node = sb_yaml_get(map, "lower");
	int rc = 0;

	if (!node)
		return 0;
	rc = check_keys(l, node, "lower", keys, sb_countof(keys));
	if (rc == 0)
		rc = take_severity(l, sb_yaml_get(node, "to"), &rule->lower_to);
	return rc < 0 ? rc : take_cond(l, node, "when", true, &rule->lower_when);
}

static int load_rule(struct loader *l, const struct sb_yaml_node *map)
{
	static const char *const keys[] = { "id", "severity", "fatal", "when", "lower", "message",
		"fix", "source", "silences" };
	struct sb_rules *rules = l->rules;
	const struct sb_yaml_node *fatal = sb_yaml_get(map, "fatal");
	struct rule *rule;
	int rc = check_keys(l, map, "rule", keys, sb_countof(keys));

	if (rc == 0 && rules->n >= SB_RULES_MAX)
		rc = sb_yaml_err(l->doc, map, l->err, "expected at most %u rules", SB_RULES_MAX);
	if (rc == 0)
		rc = GROW(l, rules->rules, rules->n);
	if (rc < 0)
		return rc;
	rule = &rules->rules[rules->n];
	rc = take_text(l, map, "id", true, &rule->info.id);
	if (rc == 0 && rules_find(rules, rule->info.id) != SIZE_MAX)
		return sb_yaml_err(l->doc, map, l->err, "rule %.40s is there twice", rule->info.id);
	rules->n++; /* from here on it is freed with the rest */
	rule->doc = l->doc;
	rule->info.group = l->group;
	rule->scope = l->scope;
	if (rc == 0)
		rc = take_severity(l, sb_yaml_get(map, "severity"), &rule->info.severity);
	if (rc == 0 && fatal && sb_yaml_type(fatal) != SB_YAML_MAP)
		rc = sb_yaml_expect(l->doc, fatal, SB_YAML_BOOL, "fatal", l->err);
	if (rc == 0 && sb_yaml_type(fatal) == SB_YAML_MAP)
		rc = take_cond(l, map, "fatal", true, &rule->fatal_when);
	rule->info.fatal = rule->fatal_when || sb_yaml_bool(fatal);
	if (rc == 0)
		rc = take_text(l, map, "message", true, &rule->info.message);
	if (rc == 0)
		rc = check_message(l, sb_yaml_get(map, "message"));
	if (rc == 0)
		rc = take_text(l, map, "fix", false, &rule->info.fix);
	if (rc == 0)
		rc = check_message(l, sb_yaml_get(map, "fix"));
	if (rc == 0)
		rc = take_text(l, map, "source", true, &rule->info.source);
	if (rc == 0)
		rc = take_list(l, map, "silences", &rule->silences);
	if (rc == 0)
		rc = take_cond(l, map, "when", true, &rule->when);
	return rc < 0 ? rc : load_lower(l, map, rule);
}

static int load_group(struct loader *l, const struct sb_yaml_node *map)
{
	static const char *const keys[] = { "name", "when", "rules" };
	struct sb_rules *rules = l->rules;
	const struct sb_yaml_node *list = NULL;
	struct cond *scope = NULL;
	int rc = check_keys(l, map, "group", keys, sb_countof(keys));

	if (rc == 0)
		rc = take_text(l, map, "name", true, &l->group);
	if (rc == 0)
		rc = GROW(l, rules->scopes, rules->n_scopes);
	if (rc == 0)
		rc = take_cond(l, map, "when", false, &scope);
	if (rc == 0)
		rules->scopes[rules->n_scopes++] = scope;
	l->scope = scope;
	if (rc == 0)
		rc = take_list(l, map, "rules", &list);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(list); i++)
		rc = load_rule(l, sb_yaml_at(list, i));
	return rc;
}

static int load_policy(struct loader *l, const struct sb_yaml_node *map)
{
	static const char *const keys[] = { "id", "topic", "positions", "policy", "rules", "when",
		"then" };
	struct sb_rules *rules = l->rules;
	const struct sb_yaml_node *then = sb_yaml_get(map, "then");
	struct policy *policy;
	int rc = check_keys(l, map, "policy", keys, sb_countof(keys));

	if (rc == 0)
		rc = GROW(l, rules->policies, rules->n_policies);
	if (rc < 0)
		return rc;
	policy = &rules->policies[rules->n_policies++];
	policy->doc = l->doc;
	policy->cap = SB_SEVERITY_ERROR;
	rc = take_text(l, map, "id", true, &policy->info.id);
	if (rc == 0)
		rc = take_text(l, map, "topic", true, &policy->info.topic);
	if (rc == 0)
		rc = take_text(l, map, "positions", true, &policy->info.positions);
	if (rc == 0)
		rc = take_text(l, map, "policy", true, &policy->info.policy);
	if (rc == 0)
		rc = take_list(l, map, "rules", &policy->rules);
	if (rc == 0)
		rc = take_cond(l, map, "when", false, &policy->when);
	if (rc < 0)
		return rc;
	policy->drop = !strcmp(sb_yaml_str(then), "drop");
	if (policy->drop || !strcmp(sb_yaml_str(then), "keep"))
		return 0;
	return take_severity(l, then, &policy->cap);
}

static int load_derivation(struct loader *l, const struct sb_yaml_node *map)
{
	static const char *const keys[] = { "when", "set" };
	struct sb_rules *rules = l->rules;
	const struct sb_yaml_node *set = sb_yaml_get(map, "set");
	struct derivation *d;
	int rc = check_keys(l, map, "derive", keys, sb_countof(keys));

	if (rc == 0)
		rc = GROW(l, rules->derivations, rules->n_derivations);
	if (rc < 0)
		return rc;
	d = &rules->derivations[rules->n_derivations++];
	d->set = set;
	rc = take_cond(l, map, "when", false, &d->when);
	if (rc == 0)
		rc = sb_yaml_expect(l->doc, set, SB_YAML_MAP, "set", l->err);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(set); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(set, i);
		struct fact_name fact;

		if (!lint_fact_name(sb_yaml_str(key), &fact))
			rc = sb_yaml_err(l->doc, key, l->err, "set: unknown fact '%.80s'",
					sb_yaml_str(key));
		else if (sb_yaml_str(sb_yaml_at(set, i))[0] == '$' &&
				!lint_fact_name(sb_yaml_str(sb_yaml_at(set, i)) + 1, &fact))
			rc = sb_yaml_err(l->doc, sb_yaml_at(set, i), l->err,
					"set: expected a fact behind '$'");
		else if (sb_yaml_type(sb_yaml_at(set, i)) == SB_YAML_MAP)
			rc = sb_yaml_err(l->doc, key, l->err, "set: %.80s: expected text or a list",
					sb_yaml_str(key));
	}
	return rc;
}

static int load_definitions(struct loader *l, const struct sb_yaml_node *map)
{
	struct definitions *d = &l->rules->definitions;
	int rc = sb_yaml_expect(l->doc, map, SB_YAML_MAP, "define", l->err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(map); i++) {
		struct cond *cond = NULL;

		rc = GROW(l, d->items, d->n);
		if (rc == 0)
			rc = cond_parse(l->doc, sb_yaml_at(map, i), d, &cond, l->err);
		if (rc == 0)
			d->items[d->n++] = (struct definition){ sb_yaml_str(sb_yaml_key(map, i)),
				cond };
	}
	return rc;
}

static int load_flags(struct loader *l, const struct sb_yaml_node *map)
{
	struct sb_rules *rules = l->rules;
	int rc = sb_yaml_expect(l->doc, map, SB_YAML_MAP, "flags", l->err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(map); i++) {
		const struct sb_yaml_node *engine = sb_yaml_at(map, i);

		rc = sb_yaml_expect(l->doc, engine, SB_YAML_MAP, "flags", l->err);
		for (size_t k = 0; rc == 0 && k < sb_yaml_size(engine); k++)
			rc = sb_yaml_expect(l->doc, sb_yaml_at(engine, k), SB_YAML_LIST, "flags",
					l->err);
	}
	if (rc == 0)
		rc = GROW(l, rules->aliases, rules->n_aliases);
	if (rc == 0)
		rules->aliases[rules->n_aliases++] = map;
	return rc;
}

static int load_list(struct loader *l, const struct sb_yaml_node *list, const char *what,
		int (*load)(struct loader *, const struct sb_yaml_node *))
{
	int rc = sb_yaml_expect(l->doc, list, SB_YAML_LIST, what, l->err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(list); i++)
		rc = load(l, sb_yaml_at(list, i));
	return rc;
}

/* Sections of a file are read in this order, wherever they stand. */
static int load_doc(struct loader *l)
{
	static const char *const keys[] = { "flags", "define", "derive", "groups", "policies" };
	const struct sb_yaml_node *root = sb_yaml_root(l->doc);
	int rc = check_keys(l, root, "rules", keys, sb_countof(keys));

	if (rc == 0 && sb_yaml_get(root, "flags"))
		rc = load_flags(l, sb_yaml_get(root, "flags"));
	if (rc == 0 && sb_yaml_get(root, "define"))
		rc = load_definitions(l, sb_yaml_get(root, "define"));
	if (rc == 0 && sb_yaml_get(root, "derive"))
		rc = load_list(l, sb_yaml_get(root, "derive"), "derive", load_derivation);
	if (rc == 0 && sb_yaml_get(root, "groups"))
		rc = load_list(l, sb_yaml_get(root, "groups"), "groups", load_group);
	if (rc == 0 && sb_yaml_get(root, "policies"))
		rc = load_list(l, sb_yaml_get(root, "policies"), "policies", load_policy);
	return rc;
}

/* --- the whole --- */

static int check_ids(const struct loader *l, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *list)
{
	for (size_t i = 0; i < sb_yaml_size(list); i++)
		if (rules_find(l->rules, sb_yaml_str(sb_yaml_at(list, i))) == SIZE_MAX)
			return sb_yaml_err(doc, sb_yaml_at(list, i), l->err,
					"there is no rule '%.40s'",
					sb_yaml_str(sb_yaml_at(list, i)));
	return 0;
}

/* Ids may be of later files, so they are looked at last. */
static int check_references(const struct loader *l)
{
	const struct sb_rules *rules = l->rules;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rules->n; i++)
		rc = check_ids(l, rules->rules[i].doc, rules->rules[i].silences);
	for (size_t i = 0; rc == 0 && i < rules->n_policies; i++)
		rc = check_ids(l, rules->policies[i].doc, rules->policies[i].rules);
	return rc;
}

static void refuse_duplicate(void *ctx, unsigned line, unsigned col, const char *text)
{
	struct sb_err *err = ctx;

	if (err->code == SB_OK)
		sb_err_set(err, SB_E_INVALID, "%u:%u: %s", line, col, text);
}

static int load_file(struct loader *l, const struct sb_rules_file *file)
{
	struct sb_rules *rules = l->rules;
	struct sb_err twice = SB_ERR_INIT;
	int rc = GROW(l, rules->docs, rules->n_docs);

	if (rc == 0)
		rc = sb_yaml_parse(file->name, file->text, file->len, refuse_duplicate, &twice,
				&rules->docs[rules->n_docs], l->err);
	if (rc < 0)
		return rc;
	l->doc = rules->docs[rules->n_docs++];
	if (twice.code != SB_OK)
		return sb_err_set(l->err, SB_E_INVALID, "%s:%s", file->name, twice.text);
	return load_doc(l);
}

int sb_rules_parse(const struct sb_rules_file *files, size_t n, struct sb_rules **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_rules_freep) struct sb_rules *rules = calloc(1, sizeof(*rules));
	struct loader l = { .rules = rules, .err = err };
	int rc = rules ? 0 : sb_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = load_file(&l, &files[i]);
	if (rc == 0)
		rc = check_references(&l);
	if (rc == 0)
		*ret = sb_steal(rules);
	return rc;
}

void sb_rules_free(struct sb_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n; i++) {
		cond_free(rules->rules[i].when);
		cond_free(rules->rules[i].lower_when);
		cond_free(rules->rules[i].fatal_when);
	}
	for (size_t i = 0; i < rules->n_policies; i++)
		cond_free(rules->policies[i].when);
	for (size_t i = 0; i < rules->n_derivations; i++)
		cond_free(rules->derivations[i].when);
	for (size_t i = 0; i < rules->definitions.n; i++)
		cond_free(rules->definitions.items[i].cond);
	for (size_t i = 0; i < rules->n_scopes; i++)
		cond_free(rules->scopes[i]);
	for (size_t i = 0; i < rules->n_docs; i++)
		sb_yaml_free(rules->docs[i]);
	free(rules->rules);
	free(rules->policies);
	free(rules->derivations);
	free(rules->definitions.items);
	free(rules->scopes);
	free(rules->aliases);
	free(rules->docs);
	free(rules);
}

/* --- asking --- */

size_t rules_find(const struct sb_rules *rules, const char *id)
{
	for (size_t i = 0; i < rules->n; i++)
		if (!strcmp(rules->rules[i].info.id, id))
			return i;
	return SIZE_MAX;
}

bool sb_rules_at(const struct sb_rules *rules, size_t i, struct sb_rule_info *ret)
{
	if (i >= rules->n)
		return false;
	*ret = rules->rules[i].info;
	return true;
}

bool sb_policies_at(const struct sb_rules *rules, size_t i, struct sb_policy_info *ret)
{
	if (i >= rules->n_policies)
		return false;
	*ret = rules->policies[i].info;
	return true;
}

static const char *alias_in(const struct sb_yaml_node *flags, const char *name, size_t len)
{
	for (size_t i = 0; i < sb_yaml_size(flags); i++)
		for (size_t k = 0; k < sb_yaml_size(sb_yaml_at(flags, i)); k++) {
			const char *other = sb_yaml_str(sb_yaml_at(sb_yaml_at(flags, i), k));

			if (!strncmp(other, name, len) && !other[len])
				return sb_yaml_str(sb_yaml_key(flags, i));
		}
	return NULL;
}

const char *rules_flag_alias(
		const struct sb_rules *rules, const char *engine, const char *name, size_t len)
{
	const char *found = NULL;

	for (size_t i = 0; !found && i < rules->n_aliases; i++)
		found = alias_in(sb_yaml_get(rules->aliases[i], engine), name, len);
	return found;
}

struct use {
	const char *name;
	bool found;
};

static void look(void *ctx, const struct fact_name *fact)
{
	struct use *use = ctx;

	use->found = use->found || !strcmp(fact->text, use->name);
}

static bool mentions(const char *text, const char *name)
{
	SB_CLEANUP(sb_freep) char *hole = NULL;

	return asprintf(&hole, "{%s}", name) >= 0 && strstr(text, hole);
}

bool sb_rules_use(const struct sb_rules *rules, const char *name)
{
	struct use use = { .name = name };

	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = &rules->rules[i];

		cond_each(rule->when, look, &use);
		cond_each(rule->lower_when, look, &use);
		cond_each(rule->fatal_when, look, &use);
		use.found = use.found || mentions(rule->info.message, name) ||
				mentions(rule->info.fix, name);
	}
	for (size_t i = 0; i < rules->n_policies; i++)
		cond_each(rules->policies[i].when, look, &use);
	for (size_t i = 0; i < rules->n_derivations; i++)
		cond_each(rules->derivations[i].when, look, &use);
	for (size_t i = 0; i < rules->n_scopes; i++)
		cond_each(rules->scopes[i], look, &use);
	return use.found;
}
