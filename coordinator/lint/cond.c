/* cond.c - conditions: read from YAML, evaluated over facts with three values.
 *
 *   {model.quant: nvfp4, flag.moe-backend: false}     both must hold
 *   {all: [...]} {any: [...]} {not: ...} {is: name}   composition; "is" uses a definition
 *
 * What may stand behind a fact:
 *   true, false           it is set, it is absent; of a flag fact: its value
 *   text, [text, ...]     one of its texts matches one of these
 *   {not: text or list}   it is set, and none matches; an absent fact is no such thing
 *   {above: N}, {below: N}, {at_least: N}, {at_most: N}    numbers and versions
 * An operand "$fact" is that fact's texts. */
#include <string.h>
#include <strings.h>

#include "internal.h"

/* --- reading --- */

static const struct {
	const char *name;
	enum cond_op op;
} operators[] = {
	{ "not", COND_OTHER },
	{ "above", COND_ABOVE },
	{ "below", COND_BELOW },
	{ "at_least", COND_AT_LEAST },
	{ "at_most", COND_AT_MOST },
};

void cond_free(struct cond *cond)
{
	if (!cond)
		return;
	for (size_t i = 0; i < cond->n && cond->op != COND_USE; i++)
		cond_free(cond->kids[i]);
	free(cond->kids);
	free(cond->texts);
	free(cond);
}

static struct cond *add_kid(struct cond *cond, struct cond *kid)
{
	struct cond **kids = kid ? reallocarray(cond->kids, cond->n + 1, sizeof(*kids)) : NULL;

	if (!kids) {
		if (cond->op != COND_USE)
			cond_free(kid);
		return NULL;
	}
	cond->kids = kids;
	return kids[cond->n++] = kid;
}

struct reader {
	const struct sb_yaml_doc *doc;
	const struct definitions *definitions;
	unsigned depth;
	struct sb_err *err;
};

static struct cond *new_cond(struct cond *parent, enum cond_op op)
{
	struct cond *cond = calloc(1, sizeof(*cond));

	if (cond)
		cond->op = op;
	return add_kid(parent, cond);
}

static int take_text(struct reader *r, struct cond *cond, const struct sb_yaml_node *node)
{
	enum sb_yaml_type type = sb_yaml_type(node);
	const char *text = sb_yaml_str(node);

	if (type == SB_YAML_NULL || type == SB_YAML_LIST || type == SB_YAML_MAP)
		return sb_yaml_err(r->doc, node, r->err, "%s: expected text or a number, got %s",
				cond->fact.text, sb_yaml_type_name(type));
	if (text[0] != '$') {
		cond->texts[cond->n_texts++] = text;
		return 0;
	}
	if (cond->has_ref || !lint_fact_name(text + 1, &cond->ref))
		return sb_yaml_err(r->doc, node, r->err,
				"%s: expected one fact behind '$', got %.80s", cond->fact.text,
				text);
	cond->has_ref = true;
	return 0;
}

static int take_texts(struct reader *r, struct cond *cond, const struct sb_yaml_node *node)
{
	size_t n = sb_yaml_type(node) == SB_YAML_LIST ? sb_yaml_size(node) : 1;
	int rc = 0;

	if (!n)
		return sb_yaml_err(r->doc, node, r->err, "%s: expected a value, got an empty list",
				cond->fact.text);
	cond->texts = calloc(n, sizeof(*cond->texts));
	if (!cond->texts)
		return sb_err_nomem(r->err);
	if (sb_yaml_type(node) != SB_YAML_LIST)
		return take_text(r, cond, node);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = take_text(r, cond, sb_yaml_at(node, i));
	return rc;
}

static int check_compare(struct reader *r, const struct cond *cond, const struct sb_yaml_node *node)
{
	double value;

	if (cond->fact.id != FACT_OPEN && cond->fact.kind != SB_FACT_NUMBER &&
			cond->fact.kind != SB_FACT_VERSION)
		return sb_yaml_err(r->doc, node, r->err, "%s: is not a number", cond->fact.text);
	if (cond->n_texts + cond->has_ref != 1 ||
			(cond->n_texts && cond->fact.kind != SB_FACT_VERSION &&
					!lint_number(cond->texts[0], &value)))
		return sb_yaml_err(r->doc, node, r->err, "%s: expected a number to compare with",
				cond->fact.text);
	return 0;
}

static int read_operator(struct reader *r, struct cond *parent, const struct fact_name *fact,
		const struct sb_yaml_node *key, const struct sb_yaml_node *value)
{
	for (size_t i = 0; i < sb_countof(operators); i++) {
		struct cond *cond;
		int rc;

		if (strcmp(sb_yaml_str(key), operators[i].name) != 0)
			continue;
		cond = new_cond(parent, operators[i].op);
		if (!cond)
			return sb_err_nomem(r->err);
		cond->fact = *fact;
		rc = take_texts(r, cond, value);
		return rc < 0 || cond->op == COND_OTHER ? rc : check_compare(r, cond, value);
	}
	return sb_yaml_err(r->doc, key, r->err,
			"%s: unknown operator '%.40s'; expected not, above, below, at_least or "
			"at_most",
			fact->text, sb_yaml_str(key));
}

static int read_test(struct reader *r, struct cond *parent, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value)
{
	struct fact_name fact;
	struct cond *cond;
	int rc = 0;

	if (!lint_fact_name(sb_yaml_str(key), &fact))
		return sb_yaml_err(r->doc, key, r->err,
				"unknown fact '%.80s'; expected all, any, not, is or a fact",
				sb_yaml_str(key));
	if (sb_yaml_type(value) == SB_YAML_MAP) {
		for (size_t i = 0; rc == 0 && i < sb_yaml_size(value); i++)
			rc = read_operator(r, parent, &fact, sb_yaml_key(value, i),
					sb_yaml_at(value, i));
		return rc < 0 || sb_yaml_size(value)
				? rc
				: sb_yaml_err(r->doc, value, r->err, "%s: expected an operator",
						  fact.text);
	}
	cond = new_cond(parent, COND_IS);
	if (!cond)
		return sb_err_nomem(r->err);
	cond->fact = fact;
	if (sb_yaml_type(value) == SB_YAML_BOOL) {
		cond->op = sb_yaml_bool(value) ? COND_SET : COND_UNSET;
		return 0;
	}
	if (fact.id != FACT_OPEN && fact.kind == SB_FACT_FLAG)
		return sb_yaml_err(r->doc, value, r->err, "%s: expected true or false", fact.text);
	return take_texts(r, cond, value);
}

static int read_use(struct reader *r, struct cond *parent, const struct sb_yaml_node *value)
{
	size_t n = sb_yaml_type(value) == SB_YAML_LIST ? sb_yaml_size(value) : 1;

	for (size_t i = 0; i < n; i++) {
		const struct sb_yaml_node *name =
				sb_yaml_type(value) == SB_YAML_LIST ? sb_yaml_at(value, i) : value;
		const struct definitions *d = r->definitions;
		struct cond *use;
		size_t at = 0;

		while (at < d->n && strcmp(d->items[at].name, sb_yaml_str(name)) != 0)
			at++;
		if (at == d->n)
			return sb_yaml_err(r->doc, name, r->err,
					"'%.80s' is not defined before here", sb_yaml_str(name));
		use = new_cond(parent, COND_USE);
		if (!use || !add_kid(use, d->items[at].cond))
			return sb_err_nomem(r->err);
	}
	return 0;
}

static int read_map(struct reader *r, struct cond *parent, const struct sb_yaml_node *node);

/* Each item of a list is a condition of its own: the keys of one item must all hold. */
static int read_list(struct reader *r, struct cond *parent, enum cond_op op,
		const struct sb_yaml_node *key, const struct sb_yaml_node *node)
{
	struct cond *list = new_cond(parent, op);
	int rc = list ? sb_yaml_expect(r->doc, node, SB_YAML_LIST, sb_yaml_str(key), r->err)
		      : sb_err_nomem(r->err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(node); i++) {
		struct cond *item = new_cond(list, COND_ALL);

		rc = item ? read_map(r, item, sb_yaml_at(node, i)) : sb_err_nomem(r->err);
	}
	return rc;
}

static int read_key(struct reader *r, struct cond *parent, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value)
{
	const char *name = sb_yaml_str(key);
	struct cond *cond;

	if (!strcmp(name, "all") || !strcmp(name, "any"))
		return read_list(r, parent, name[1] == 'l' ? COND_ALL : COND_ANY, key, value);
	if (!strcmp(name, "is"))
		return read_use(r, parent, value);
	if (strcmp(name, "not") != 0)
		return read_test(r, parent, key, value);
	cond = new_cond(parent, COND_NOT);
	cond = cond ? new_cond(cond, COND_ALL) : NULL;
	return cond ? read_map(r, cond, value) : sb_err_nomem(r->err);
}

static int read_map(struct reader *r, struct cond *parent, const struct sb_yaml_node *node)
{
	int rc = sb_yaml_expect(r->doc, node, SB_YAML_MAP, "condition", r->err);

	if (rc == 0 && !sb_yaml_size(node))
		return sb_yaml_err(r->doc, node, r->err, "condition: expected a fact, got nothing");
	if (rc == 0 && ++r->depth > SB_RULES_DEPTH_MAX)
		return sb_yaml_err(r->doc, node, r->err,
				"conditions within conditions; expected at most %u levels",
				SB_RULES_DEPTH_MAX);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(node); i++)
		rc = read_key(r, parent, sb_yaml_key(node, i), sb_yaml_at(node, i));
	r->depth--;
	return rc;
}

static size_t weigh(const struct cond *cond)
{
	size_t sum = cond->op == COND_USE ? cond->kids[0]->weight : 1;

	for (size_t i = 0; i < cond->n && cond->op != COND_USE; i++)
		sum += weigh(cond->kids[i]);
	return sum;
}

int cond_parse(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct definitions *definitions, struct cond **ret, struct sb_err *err)
{
	SB_CLEANUP(cond_freep) struct cond *cond = calloc(1, sizeof(*cond));
	struct reader r = { doc, definitions, 0, err };
	int rc = cond ? read_map(&r, cond, node) : sb_err_nomem(err);

	if (rc < 0)
		return rc;
	if (weigh(cond) > COND_TESTS_MAX)
		return sb_yaml_err(doc, node, err,
				"a condition with its definitions; expected at most %u tests",
				COND_TESTS_MAX);
	cond->weight = (unsigned)weigh(cond);
	*ret = sb_steal(cond);
	return 0;
}

/* --- evaluating --- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* '*' and '?' only, so that "vllm[audio]" is what it says, and never more than |text| x |pattern|
 * steps, which fnmatch() does not promise. */
static bool matches(const char *text, const char *pattern)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern && (*pattern == '?' || lower(*pattern) == lower(*text))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* "v0.20.0" and "0.20" are the same; "0.18.2-dev" is 0.18.2. */
static bool compare_versions(const char *a, const char *b, int *ret)
{
	a += *a == 'v';
	b += *b == 'v';
	if (*a < '0' || *a > '9' || *b < '0' || *b > '9')
		return false;
	*ret = 0;
	while (*ret == 0 && ((*a >= '0' && *a <= '9') || (*b >= '0' && *b <= '9'))) {
		char *end_a = (char *)a, *end_b = (char *)b;
		unsigned long x = *a >= '0' && *a <= '9' ? strtoul(a, &end_a, 10) : 0;
		unsigned long y = *b >= '0' && *b <= '9' ? strtoul(b, &end_b, 10) : 0;

		*ret = (x > y) - (x < y);
		a = end_a + (*end_a == '.');
		b = end_b + (*end_b == '.');
	}
	return true;
}

static bool equal(enum sb_fact_kind kind, const char *text, const char *want)
{
	double a, b;
	int order;

	if (kind == SB_FACT_NUMBER && lint_number(text, &a) && lint_number(want, &b))
		return a == b;
	if (kind == SB_FACT_VERSION && compare_versions(text, want, &order))
		return order == 0;
	return matches(text, want);
}

static enum tri any_matches(
		const struct cond *cond, const struct fact *fact, const struct fact *ref)
{
	if (fact->opaque)
		return MAYBE;
	for (size_t i = 0; i < fact->n; i++) {
		for (size_t k = 0; k < cond->n_texts; k++)
			if (equal(cond->fact.kind, fact->texts[i], cond->texts[k]))
				return YES;
		for (size_t k = 0; ref && k < ref->n; k++)
			if (equal(cond->fact.kind, fact->texts[i], ref->texts[k]))
				return YES;
	}
	return ref && (ref->state == FACT_UNKNOWN || ref->opaque) ? MAYBE : NO;
}

static enum tri compare(const struct cond *cond, const struct fact *fact, const struct fact *ref)
{
	const char *want = cond->n_texts ? cond->texts[0] : NULL;
	double a, b;
	int order;

	if (ref && (ref->state == FACT_ABSENT))
		return NO;
	if (ref && ref->state == FACT_SET && !ref->opaque && ref->n)
		want = ref->texts[0];
	if (fact->opaque || !want || !fact->n)
		return MAYBE;
	if (cond->fact.kind == SB_FACT_VERSION) {
		if (!compare_versions(fact->texts[0], want, &order))
			return MAYBE;
	} else if (lint_number(fact->texts[0], &a) && lint_number(want, &b)) {
		order = (a > b) - (a < b);
	} else {
		return MAYBE;
	}
	switch (cond->op) {
	case COND_ABOVE:
		return order > 0 ? YES : NO;
	case COND_BELOW:
		return order < 0 ? YES : NO;
	case COND_AT_LEAST:
		return order >= 0 ? YES : NO;
	default:
		return order <= 0 ? YES : NO;
	}
}

static enum tri set(const struct cond *cond, const struct fact *fact)
{
	if (fact->state != FACT_SET)
		return NO;
	if (cond->fact.id == FACT_OPEN || cond->fact.kind != SB_FACT_FLAG)
		return YES;
	return fact->opaque || !fact->n ? MAYBE : strcmp(fact->texts[0], "true") ? NO : YES;
}

static enum tri negate(enum tri value)
{
	return (enum tri)(YES - value);
}

static enum tri eval_test(const struct cond *cond, const struct sb_facts *facts)
{
	const struct fact *fact = lint_fact(facts, &cond->fact);
	const struct fact *ref = cond->has_ref ? lint_fact(facts, &cond->ref) : NULL;

	if (fact->state == FACT_UNKNOWN)
		return MAYBE;
	if (cond->op == COND_SET || cond->op == COND_UNSET)
		return cond->op == COND_SET ? set(cond, fact) : negate(set(cond, fact));
	if (fact->state == FACT_ABSENT)
		return NO;
	if (cond->op == COND_IS)
		return any_matches(cond, fact, ref);
	if (cond->op == COND_OTHER)
		return negate(any_matches(cond, fact, ref));
	return compare(cond, fact, ref);
}

enum tri cond_eval(const struct cond *cond, const struct sb_facts *facts)
{
	enum tri value, result = YES;

	if (!cond)
		return YES;
	if (cond->op == COND_NOT)
		return negate(cond_eval(cond->kids[0], facts));
	if (cond->op == COND_USE)
		return cond_eval(cond->kids[0], facts);
	if (cond->op != COND_ALL && cond->op != COND_ANY)
		return eval_test(cond, facts);
	result = cond->op == COND_ALL ? YES : NO;
	for (size_t i = 0; i < cond->n; i++) {
		value = cond_eval(cond->kids[i], facts);
		if (cond->op == COND_ALL ? value < result : value > result)
			result = value;
	}
	return result;
}

void cond_each(const struct cond *cond, void (*fn)(void *ctx, const struct fact_name *), void *ctx)
{
	if (!cond)
		return;
	for (size_t i = 0; i < cond->n; i++)
		cond_each(cond->kids[i], fn, ctx);
	if (cond->fact.text)
		fn(ctx, &cond->fact);
	if (cond->has_ref)
		fn(ctx, &cond->ref);
}
