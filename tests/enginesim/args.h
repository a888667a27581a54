/* args.h - a command line as Python's argparse reads it, with vLLM's extensions
 *
 * Underscores count as dashes in a long name, a unique beginning of a name is enough, -Ox is
 * --optimization-level x, and --json-flag.key.key value builds a JSON object. */
#ifndef ES_ARGS_H
#define ES_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum es_kind {
	ES_SWITCH,   /* --x and --no-x */
	ES_TRUE,     /* --x only */
	ES_INT,      /* decimal */
	ES_SIZE,     /* 4096, 4k (1000), 4K (1024), 25.6k */
	ES_SIZEAUTO, /* the same, or -1, or auto */
	ES_FLOAT,
	ES_STR,
	ES_OPT,  /* a word that may be left out */
	ES_LIST, /* one word or more */
	ES_INTS, /* one integer or more */
	ES_JSON, /* any JSON text; --x.a.b value also works */
	ES_CHOICE,
	ES_KIND_COUNT_,
};

/** struct es_flag - one row of a command line table */
struct es_flag {
	const char *name;  /* without "--" */
	const char *alias; /* with its dash, as "-tp"; NULL if none */
	enum es_kind kind;
	const char *choices; /* ES_CHOICE: "a|b|c" */
};

struct es_values;

/** struct es_args - a parsed command line; borrowed strings live as long as argv */
struct es_args {
	const char *prog; /* "vllm serve": what error lines start with */
	const char *usage;
	const struct es_flag *flags;
	size_t n_flags;
	struct es_values *values; /* one per flag */
	const char *model;        /* the one positional argument, or NULL */
};

/**
 * es_args_parse() - parse or refuse
 *
 * What argparse refuses ends the process with status 2 and argparse's words on stderr.
 */
void es_args_parse(struct es_args *a, int argc, char **argv);

/** es_args_done() - forget what es_args_parse() found */
void es_args_done(struct es_args *a);

bool es_args_has(const struct es_args *a, const char *name);
bool es_args_on(const struct es_args *a, const char *name);
long long es_args_int(const struct es_args *a, const char *name, long long fallback);
const char *es_args_str(const struct es_args *a, const char *name, const char *fallback);

/** es_args_list() - the words of a flag; the count is 0 if it was not given */
size_t es_args_list(const struct es_args *a, const char *name, const char *const **ret_words);

#endif
