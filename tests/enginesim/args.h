/* args.h - a command line as the engine's own parser reads it
 *
 * Rows of a table say which flags there are; the dialect says how words are matched to them and in
 * which words a mistake is refused: Python's argparse, click, Rust's clap, llama.cpp's own. */
#ifndef ES_ARGS_H
#define ES_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define ES_WORDS_MAX 256 /* words of one list flag, and of the complaint about unknown ones */

enum es_kind {
	ES_SWITCH,   /* --x and --no-x */
	ES_TRUE,     /* --x only */
	ES_INT,      /* decimal */
	ES_SIZE,     /* 4096, 4k (1000), 4K (1024), 25.6k */
	ES_SIZEAUTO, /* the same, or -1, or auto */
	ES_FLOAT,
	ES_STR,
	ES_OPT,  /* a word that may be left out; with choices, only one of them is taken for it */
	ES_LIST, /* one word or more */
	ES_INTS, /* one integer or more */
	ES_JSON, /* any JSON text; --x.a.b value also works */
	ES_CHOICE,
	ES_KIND_COUNT_,
};

/** struct es_flag - one row of a command line table */
struct es_flag {
	const char *name;  /* without "--" */
	const char *alias; /* further names with their dashes, "-tp" or "-ngl|--gpu-layers" */
	enum es_kind kind;
	const char *choices; /* "a|b|c" */
};

struct es_args;

/** struct es_dialect - a parser that knows exact names only; argparse is the one that does not */
struct es_dialect {
	bool equals;      /* --name=value is one word */
	bool underscores; /* count as dashes in a long name */

	bool once; /* a flag that comes twice is refused */

	/* Each ends the process. @word is as it was typed, @value what does not fit. */
	void (*unknown)(const struct es_args *a, const char *word);
	void (*extra)(const struct es_args *a, const char *word); /* a positional too many */
	void (*missing)(const struct es_args *a, const struct es_flag *f, const char *word);
	void (*bad)(const struct es_args *a, const struct es_flag *f, const char *word,
			const char *value);
	void (*twice)(const struct es_args *a, const struct es_flag *f);
};

extern const struct es_dialect es_click, es_clap, es_llama_args, es_rpc_args;

/** struct es_values - what was given for one flag */
struct es_values {
	const char *words[ES_WORDS_MAX];
	size_t n;
	bool on;
};

/** struct es_args - a parsed command line; borrowed strings live as long as argv */
struct es_args {
	const char *prog; /* "vllm serve": what error lines start with */
	const char *usage;
	const struct es_dialect *dialect; /* NULL: argparse */
	bool flexible;     /* argparse with vLLM's extensions: underscores count as dashes in a long
			      name, --json-flag.key.key value builds a JSON object */
	bool nothing_free; /* no positional argument */
	const struct es_flag *flags;
	size_t n_flags;
	struct es_values *values; /* one per flag */
	const char *model;        /* the one positional argument, or NULL */
};

/**
 * es_args_parse() - parse or refuse
 *
 * What the engine's parser refuses ends the process with its status and its words on stderr.
 */
void es_args_parse(struct es_args *a, int argc, char **argv);

/** es_args_done() - forget what es_args_parse() found */
void es_args_done(struct es_args *a);

/** es_args_help() - the table on stdout */
void es_args_help(const struct es_args *a);

bool es_args_has(const struct es_args *a, const char *name);
bool es_args_on(const struct es_args *a, const char *name);
long long es_args_int(const struct es_args *a, const char *name, long long fallback);
const char *es_args_str(const struct es_args *a, const char *name, const char *fallback);

/** es_args_list() - the words of a flag; the count is 0 if it was not given */
size_t es_args_list(const struct es_args *a, const char *name, const char *const **ret_words);

/* For the parsers. */

/** es_args_fits() - whether a value is one that its flag takes */
bool es_args_fits(const struct es_flag *f, const char *word);

/** es_args_named() - whether @word is one of the "|"-separated names of @alias */
bool es_args_named(const char *alias, const char *word);

/** es_args_exact() - parse by a->dialect */
void es_args_exact(struct es_args *a, int argc, char **argv);

/** es_args_argparse() - parse as argparse does */
void es_args_argparse(struct es_args *a, int argc, char **argv);

#endif
