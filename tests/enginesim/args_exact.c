/* args_exact.c - parsers that know a flag by its exact names only, and their complaints */
#include "args.h"
#include "es.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct match {
	int flag;             /* index, or -1 */
	bool negated;         /* came as --no-NAME */
	const char *attached; /* VALUE of NAME=VALUE; NULL if there is none */
};

static struct match find(const struct es_args *a, const char *word)
{
	struct match m = { .flag = -1 };
	size_t n = a->dialect->equals && !strncmp(word, "--", 2) ? strcspn(word, "=")
								 : strlen(word);
	char key[256];

	snprintf(key, sizeof(key), "%.*s", (int)n, word);
	for (char *c = key; a->dialect->underscores && !strncmp(key, "--", 2) && *c; c++)
		if (*c == '_')
			*c = '-';
	for (size_t i = 0; m.flag < 0 && i < a->n_flags; i++) {
		const struct es_flag *f = &a->flags[i];

		m.negated = f->kind == ES_SWITCH && !strncmp(key, "--no-", 5) &&
				!strcmp(key + 5, f->name);
		if (m.negated || es_args_named(f->alias, key) ||
				(!strncmp(key, "--", 2) && !strcmp(key + 2, f->name)))
			m.flag = (int)i;
	}
	if (m.flag >= 0 && word[n] == '=')
		m.attached = word + n + 1;
	return m;
}

static bool takes(const struct es_flag *f, const char *word)
{
	return word && (f->choices ? es_args_fits(f, word) : word[0] != '-');
}

static void add(struct es_args *a, int flag, const char *name, const char *word)
{
	struct es_values *v = &a->values[flag];

	if (!es_args_fits(&a->flags[flag], word) || v->n == ES_WORDS_MAX)
		a->dialect->bad(a, &a->flags[flag], name, word);
	v->words[v->n++] = word;
}

/* Return: the index of the next word. */
static int take(struct es_args *a, const struct match *m, int argc, char **argv, int i)
{
	const struct es_flag *f = &a->flags[m->flag];
	struct es_values *v = &a->values[m->flag];
	const char *name = argv[i++], *next = i < argc ? argv[i] : NULL;
	bool many = f->kind == ES_LIST || f->kind == ES_INTS;

	if (v->on && a->dialect->once && !many)
		a->dialect->twice(a, f);
	v->on = !m->negated;
	if (!many)
		v->n = 0; /* the last of several wins */
	if (m->attached) {
		add(a, m->flag, name, m->attached);
		return i;
	}
	if (f->kind == ES_SWITCH || f->kind == ES_TRUE || (f->kind == ES_OPT && !takes(f, next)))
		return i;
	if (!next)
		a->dialect->missing(a, f, name);
	add(a, m->flag, name, argv[i++]);
	while (many && f->kind == ES_INTS && i < argc && es_args_fits(f, argv[i]))
		add(a, m->flag, name, argv[i++]);
	return i;
}

void es_args_exact(struct es_args *a, int argc, char **argv)
{
	bool all_free = false; /* after "--" */

	for (int i = 0; i < argc;) {
		struct match m = { .flag = -1 };

		if (!all_free && !strcmp(argv[i], "--") && a->dialect->equals) {
			all_free = true;
			i++;
			continue;
		}
		if (!all_free)
			m = find(a, argv[i]);
		if (m.flag >= 0) {
			i = take(a, &m, argc, argv, i);
			continue;
		}
		if (!all_free && argv[i][0] == '-' && argv[i][1])
			a->dialect->unknown(a, argv[i]);
		if (a->model || a->nothing_free)
			a->dialect->extra(a, argv[i]);
		a->model = argv[i++];
	}
}

/* --- click: trtllm-serve, ray --- */

static void click_refuse(const struct es_args *a, const char *fmt, ...) ES_PRINTF(2, 3) ES_NORETURN;
static void click_refuse(const struct es_args *a, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s\nTry '%s --help' for help.\n\nError: ", a->usage, a->prog);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void click_unknown(const struct es_args *a, const char *word)
{
	click_refuse(a, "No such option: %.*s", (int)strcspn(word, "="), word);
}

static void click_extra(const struct es_args *a, const char *word)
{
	click_refuse(a, "Got unexpected extra argument (%s)", word);
}

static void click_missing(const struct es_args *a, const struct es_flag *f, const char *word)
{
	click_refuse(a, "Option '%s' requires an argument.", word);
}

static void click_bad(const struct es_args *a, const struct es_flag *f, const char *word,
		const char *value)
{
	struct es_buf list = { 0 };

	if (f->kind != ES_CHOICE)
		click_refuse(a, "Invalid value for '--%s': '%s' is not a valid %s.", f->name, value,
				f->kind == ES_INT ? "integer" : "float");
	for (const char *p = f->choices; *p; p += strcspn(p, "|"), p += *p == '|')
		es_buf_printf(&list, "%s'%.*s'", list.len ? ", " : "", (int)strcspn(p, "|"), p);
	click_refuse(a, "Invalid value for '--%s': '%s' is not one of %s.", f->name, value, list.p);
}

const struct es_dialect es_click = { .equals = true,
	.unknown = click_unknown,
	.extra = click_extra,
	.missing = click_missing,
	.bad = click_bad };

/* --- clap: spark --- */

static const char clap_end[] = "\n\nFor more information, try '--help'.\n";

/* clap shows a flag's value by its name in capitals: --max-seq-len <MAX_SEQ_LEN> */
static const char *clap_value(const struct es_flag *f)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s", f->name);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	return name;
}

static void clap_unknown(const struct es_args *a, const char *word)
{
	int n = (int)strcspn(word, "=");

	fprintf(stderr, "error: unexpected argument '%.*s' found\n\n", n, word);
	if (!a->model)
		fprintf(stderr, "  tip: to pass '%.*s' as a value, use '-- %.*s'\n\n", n, word, n,
				word);
	fprintf(stderr, "%s%s", a->usage, clap_end);
	exit(2);
}

static void clap_extra(const struct es_args *a, const char *word)
{
	fprintf(stderr, "error: unexpected argument '%s' found\n\n%s%s", word, a->usage, clap_end);
	exit(2);
}

static void clap_missing(const struct es_args *a, const struct es_flag *f, const char *word)
{
	fprintf(stderr, "error: a value is required for '--%s <%s>' but none was supplied%s",
			f->name, clap_value(f), clap_end);
	exit(2);
}

static void clap_bad(const struct es_args *a, const struct es_flag *f, const char *word,
		const char *value)
{
	fprintf(stderr, "error: invalid value '%s' for '--%s <%s>': invalid %s%s", value, f->name,
			clap_value(f),
			f->kind == ES_INT ? "digit found in string" : "float literal", clap_end);
	exit(2);
}

static void clap_twice(const struct es_args *a, const struct es_flag *f)
{
	bool bare = f->kind == ES_TRUE;

	fprintf(stderr, "error: the argument '--%s%s%s%s' cannot be used multiple times\n\n%s%s",
			f->name, bare ? "" : " <", bare ? "" : clap_value(f), bare ? "" : ">",
			a->usage, clap_end);
	exit(2);
}

const struct es_dialect es_clap = { .equals = true,
	.once = true,
	.unknown = clap_unknown,
	.extra = clap_extra,
	.missing = clap_missing,
	.bad = clap_bad,
	.twice = clap_twice };

/* --- llama.cpp: llama-server --- */

static void llama_unknown(const struct es_args *a, const char *word)
{
	fprintf(stderr, "error: invalid argument: %s\n", word);
	exit(1);
}

static void llama_trouble(const struct es_flag *f, const char *word, const char *what) ES_NORETURN;
static void llama_trouble(const struct es_flag *f, const char *word, const char *what)
{
	fprintf(stderr,
			"error while handling argument \"%s\": %s\n\nusage:\n%s%s--%s\n\n\nto show "
			"complete usage, run with -h\n",
			word, what, f->alias ? f->alias : "", f->alias ? ", " : "", f->name);
	exit(1);
}

static void llama_missing(const struct es_args *a, const struct es_flag *f, const char *word)
{
	llama_trouble(f, word, "expected value for argument");
}

static void llama_bad(const struct es_args *a, const struct es_flag *f, const char *word,
		const char *value)
{
	char what[256];

	snprintf(what, sizeof(what), "unknown value '%.200s'", value);
	llama_trouble(f, word, f->kind == ES_INT ? "stoi" : f->kind == ES_FLOAT ? "stof" : what);
}

const struct es_dialect es_llama_args = { .underscores = true,
	.unknown = llama_unknown,
	.extra = llama_unknown,
	.missing = llama_missing,
	.bad = llama_bad };

/* --- rpc-server, which ends with 0 after a word that it does not know --- */

static void rpc_unknown(const struct es_args *a, const char *word)
{
	fprintf(stderr, "error: unknown argument: %s\n%s\n", word, a->usage);
	exit(0);
}

static void rpc_missing(const struct es_args *a, const struct es_flag *f, const char *word)
{
	fputs("Invalid parameters\n", stderr);
	exit(1);
}

static void rpc_bad(const struct es_args *a, const struct es_flag *f, const char *word,
		const char *value)
{
	rpc_missing(a, f, word);
}

const struct es_dialect es_rpc_args = {
	.unknown = rpc_unknown, .extra = rpc_unknown, .missing = rpc_missing, .bad = rpc_bad
};
