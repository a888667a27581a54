/* args_argparse.c - argparse's rules, in its order of precedence
 *
 * A word is an option if it is the exact name of one, or NAME=VALUE, or the unique beginning of
 * one; failing that, a negative number or a word with a space in it is a value, and anything else
 * with a dash is "unrecognized", together with the values that follow it. */
#include "args.h"
#include "es.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct match {
	int flag;              /* index, or -1: not an option that we know */
	bool optional_looking; /* has the shape of an option, known or not */
	bool negated;          /* came as --no-NAME */
	bool dotted;           /* came as --NAME.key */
	const char *attached;  /* VALUE of NAME=VALUE; NULL if there is none */
};

static void refuse(const struct es_args *a, const char *fmt, ...) ES_PRINTF(2, 3) ES_NORETURN;
static void refuse(const struct es_args *a, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s\n%s: error: ", a->usage, a->prog);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

/* What no parser knows is told by the outermost one, which has the program's bare name. */
static void refuse_words(const struct es_args *a, const char *words) ES_NORETURN;
static void refuse_words(const struct es_args *a, const char *words)
{
	fprintf(stderr, "%s\n%.*s: error: unrecognized arguments:%s\n", a->usage,
			(int)strcspn(a->prog, " "), a->prog, words);
	exit(2);
}

/* argparse names a flag by all its names: --tensor-parallel-size/-tp */
static const char *full_name(const struct es_flag *f)
{
	static char name[256];

	snprintf(name, sizeof(name), "--%s%s%s", f->name, f->alias ? "/" : "",
			f->alias ? f->alias : "");
	for (char *c = name; *c; c++)
		if (*c == '|')
			*c = '/';
	return name;
}

/* A name up to its '='; a flexible one up to its first dot, and with its underscores as dashes. */
static size_t canonical(const struct es_args *a, const char *word, char *ret, size_t cap)
{
	bool bend = a->flexible && !strncmp(word, "--", 2);
	size_t n = 0;

	for (; word[n] && word[n] != '=' && !(a->flexible && word[n] == '.') && n + 1 < cap; n++)
		ret[n] = bend && word[n] == '_' ? '-' : word[n];
	ret[n] = '\0';
	return n;
}

static bool names(const struct es_flag *f, const char *word, bool *ret_negated)
{
	*ret_negated = false;
	if (es_args_named(f->alias, word))
		return true;
	if (strncmp(word, "--", 2))
		return false;
	if (!strcmp(f->name, word + 2))
		return true;
	*ret_negated = f->kind == ES_SWITCH && !strncmp(word, "--no-", 5) &&
			!strcmp(f->name, word + 5);
	return *ret_negated;
}

/* Add the names of @f that begin with @word to @could. Return: how many there are. */
static size_t begins(const struct es_flag *f, const char *word, struct es_buf *could)
{
	size_t len = strlen(word), hits = 0, n;

	if (!strncmp(f->name, word + 2, len - 2)) {
		es_buf_printf(could, "%s--%s", could->len ? ", " : "", f->name);
		hits++;
	}
	for (const char *p = f->alias ? f->alias : ""; *p; p += n, p += *p == '|') {
		n = strcspn(p, "|");
		if (n < len || strncmp(p, word, len))
			continue;
		es_buf_printf(could, "%s%.*s", could->len ? ", " : "", (int)n, p);
		hits++;
	}
	return hits;
}

/* The beginning of exactly one long name stands for it; of several, it is an error. */
static int by_prefix(const struct es_args *a, const char *word)
{
	struct es_buf could = { 0 };
	size_t hits = 0, n;
	int found = -1;

	if (strncmp(word, "--", 2) || !word[2])
		return -1;
	for (size_t i = 0; i < a->n_flags; i++) {
		n = begins(&a->flags[i], word, &could);
		hits += n;
		if (n)
			found = (int)i;
	}
	if (hits > 1)
		refuse(a, "ambiguous option: %s could match %s", word, could.p);
	es_buf_free(&could);
	return found;
}

/* -q and -n take their value attached: -qfp8 */
static bool by_short(const struct es_args *a, const char *word, struct match *m)
{
	for (size_t i = 0; word[1] != '-' && strlen(word) > 2 && i < a->n_flags; i++) {
		const char *alias = a->flags[i].alias;

		if (alias && strlen(alias) == 2 && !strncmp(alias, word, 2)) {
			m->flag = (int)i;
			m->attached = word + 2;
			return true;
		}
	}
	return false;
}

static bool is_number(const char *word)
{
	char *end;

	strtod(word, &end);
	return end != word && !*end;
}

static struct match match_word(const struct es_args *a, const char *word)
{
	struct match m = { .flag = -1 };
	char key[256];
	size_t n;

	if (word[0] != '-' || !word[1])
		return m;
	n = canonical(a, word, key, sizeof(key));
	m.dotted = word[n] == '.';
	m.attached = strchr(word + n, '=');
	if (m.attached)
		m.attached++;
	for (size_t i = 0; m.flag < 0 && i < a->n_flags; i++)
		if (names(&a->flags[i], key, &m.negated))
			m.flag = (int)i;
	if (m.flag < 0 && !m.dotted)
		m.flag = by_prefix(a, key);
	if (m.flag < 0 && by_short(a, word, &m))
		m.dotted = false;
	if (m.flag >= 0 && m.dotted && a->flags[m.flag].kind != ES_JSON)
		m.flag = -1;
	m.optional_looking = m.flag >= 0 || (!is_number(word) && !strchr(word, ' '));
	return m;
}

static void refuse_choice(
		const struct es_args *a, const struct es_flag *f, const char *word) ES_NORETURN;
static void refuse_choice(const struct es_args *a, const struct es_flag *f, const char *word)
{
	struct es_buf list = { 0 };

	for (const char *p = f->choices; *p; p += strcspn(p, "|"), p += *p == '|')
		es_buf_printf(&list, "%s'%.*s'", list.len ? ", " : "", (int)strcspn(p, "|"), p);
	refuse(a, "argument %s: invalid choice: '%s' (choose from %s)", full_name(f), word, list.p);
}

static void check_value(const struct es_args *a, const struct es_flag *f, const char *word)
{
	static const char *const types[ES_KIND_COUNT_] = { [ES_INT] = "int",
		[ES_INTS] = "int",
		[ES_FLOAT] = "float",
		[ES_SIZE] = "human_readable_int",
		[ES_SIZEAUTO] = "human_readable_int_or_auto" };

	if (es_args_fits(f, word))
		return;
	if (f->choices)
		refuse_choice(a, f, word);
	if (f->kind == ES_JSON)
		refuse(a, "argument %s: Value %s cannot be converted to <function loads>.",
				full_name(f), word);
	refuse(a, "argument %s: invalid %s value: '%s'", full_name(f), types[f->kind], word);
}

static void add_value(struct es_args *a, const struct match *m, const char *word)
{
	struct es_values *v = &a->values[m->flag];

	if (!m->dotted) /* a dotted value is one leaf of the object; any text is a fit leaf */
		check_value(a, &a->flags[m->flag], word);
	if (v->n == ES_WORDS_MAX)
		refuse(a, "argument %s: too many values", full_name(&a->flags[m->flag]));
	v->words[v->n++] = word;
}

static bool is_value(const struct es_args *a, int argc, char **argv, int i)
{
	return i < argc && !match_word(a, argv[i]).optional_looking;
}

/* Take the option at argv[i] and its values. Return: the index of the next word. */
static int take_option(struct es_args *a, const struct match *m, int argc, char **argv, int i)
{
	const struct es_flag *f = &a->flags[m->flag];
	struct es_values *v = &a->values[m->flag];
	bool many = f->kind == ES_LIST || f->kind == ES_INTS;

	v->on = !m->negated;
	if (!m->dotted)
		v->n = 0; /* the last of several wins */
	if (f->kind == ES_SWITCH || f->kind == ES_TRUE) {
		if (m->attached)
			refuse(a, "argument %s: ignored explicit argument '%s'", full_name(f),
					m->attached);
		return i + 1;
	}
	if (m->attached) {
		add_value(a, m, m->attached);
		return i + 1;
	}
	i++;
	if (!is_value(a, argc, argv, i) && f->kind == ES_OPT)
		return i;
	if (!is_value(a, argc, argv, i))
		refuse(a, "argument %s: expected %s argument", full_name(f),
				many ? "at least one" : "one");
	do
		add_value(a, m, argv[i++]);
	while (many && is_value(a, argc, argv, i));
	return i;
}

void es_args_argparse(struct es_args *a, int argc, char **argv)
{
	struct es_buf unknown = { 0 };

	for (int i = 0; i < argc;) {
		struct match m = match_word(a, argv[i]);

		if (m.flag >= 0) {
			i = take_option(a, &m, argc, argv, i);
			continue;
		}
		if (!m.optional_looking && !a->nothing_free && !a->model && !strchr(argv[i], ' '))
			a->model = argv[i];
		else
			es_buf_printf(&unknown, " %s", argv[i]);
		i++;
	}
	if (unknown.len)
		refuse_words(a, unknown.p);
}
