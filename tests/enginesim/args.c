/* args.c - which values a flag takes, and what was given */
#include "args.h"
#include "es.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(const char *word)
{
	char *end;

	strtod(word, &end);
	return end != word && !*end;
}

static bool check_size(const char *word, bool auto_too)
{
	char *end;
	bool whole;

	if (auto_too && (!strcmp(word, "-1") || !strcmp(word, "auto")))
		return true;
	strtod(word, &end);
	whole = !memchr(word, '.', (size_t)(end - word));
	if (end == word || !isdigit((unsigned char)word[0]))
		return false;
	if (!*end)
		return whole;
	return !end[1] && (strchr("kmgt", *end) || (strchr("KMGT", *end) && whole));
}

static bool check_int(const char *word)
{
	char *end;

	strtoll(word, &end, 10);
	return end != word && !*end;
}

static bool check_json(const char *word)
{
	json_t *j = json_loads(word, JSON_DECODE_ANY, NULL);

	json_decref(j);
	return j != NULL;
}

bool es_args_named(const char *alias, const char *word)
{
	size_t len = strlen(word), n;

	for (const char *p = alias ? alias : ""; *p; p += n, p += *p == '|') {
		n = strcspn(p, "|");
		if (n == len && !strncmp(p, word, n))
			return true;
	}
	return false;
}

bool es_args_fits(const struct es_flag *f, const char *word)
{
	if (f->kind == ES_INT || f->kind == ES_INTS)
		return check_int(word);
	if (f->kind == ES_FLOAT)
		return is_number(word);
	if (f->kind == ES_SIZE || f->kind == ES_SIZEAUTO)
		return check_size(word, f->kind == ES_SIZEAUTO);
	if (f->kind == ES_JSON)
		return check_json(word);
	return !f->choices || es_args_named(f->choices, word);
}

void es_args_parse(struct es_args *a, int argc, char **argv)
{
	a->values = es_alloc(a->n_flags, sizeof(*a->values));
	if (a->dialect)
		es_args_exact(a, argc, argv);
	else
		es_args_argparse(a, argc, argv);
}

void es_args_help(const struct es_args *a)
{
	printf("%s\n\n", a->usage);
	for (size_t i = 0; i < a->n_flags; i++)
		printf("  --%s%s%s\n", a->flags[i].name, a->flags[i].alias ? ", " : "",
				a->flags[i].alias ? a->flags[i].alias : "");
}

void es_args_done(struct es_args *a)
{
	free(a->values);
	a->values = NULL;
}

static const struct es_values *lookup(const struct es_args *a, const char *name)
{
	for (size_t i = 0; i < a->n_flags; i++)
		if (!strcmp(a->flags[i].name, name))
			return &a->values[i];
	es_raw("enginesim: bug: no flag --%s in the table", name);
	es_exit(70);
}

bool es_args_has(const struct es_args *a, const char *name)
{
	return lookup(a, name)->n > 0 || lookup(a, name)->on;
}

bool es_args_on(const struct es_args *a, const char *name)
{
	return lookup(a, name)->on;
}

const char *es_args_str(const struct es_args *a, const char *name, const char *fallback)
{
	const struct es_values *v = lookup(a, name);

	return v->n ? v->words[v->n - 1] : fallback;
}

/* The multiplier of a size's suffix: lower case counts in thousands, upper case in 1024s. */
static double multiplier(char suffix)
{
	static const char units[] = "kmgt";
	const char *at = suffix ? strchr(units, tolower((unsigned char)suffix)) : NULL;
	double step = islower((unsigned char)suffix) ? 1000 : 1024, m = 1;

	for (long i = 0; at && i <= at - units; i++)
		m *= step;
	return m;
}

long long es_args_int(const struct es_args *a, const char *name, long long fallback)
{
	const char *word = es_args_str(a, name, NULL);
	double v;
	char *end;

	if (!word || !strcmp(word, "auto"))
		return fallback;
	v = strtod(word, &end) * multiplier(*end);
	return v > -1e15 && v < 1e15 ? (long long)v : fallback;
}

size_t es_args_list(const struct es_args *a, const char *name, const char *const **ret_words)
{
	const struct es_values *v = lookup(a, name);

	*ret_words = v->words;
	return v->n;
}
