/* options.h - option tables: one row is parsed, checked, shown in help and in the manual. */
#ifndef SB_CLI_OPTIONS_H
#define SB_CLI_OPTIONS_H

#include "sb_err.h"
#include "sb_strbuf.h"

enum opt_kind {
	OPT_END,
	OPT_FLAG,  /* bool: true */
	OPT_COUNT, /* int: one more each time */
	OPT_SET,   /* int: the row's value */
	OPT_TEXT,  /* const char * into argv; the last one wins */
	OPT_INT,   /* struct opt_int, min to max */
	OPT_FLOAT, /* struct opt_float, min to max */
	OPT_LIST,  /* struct opt_list: may be repeated */
	OPT_GROUP, /* the rows of another table, under a heading */
	OPT_GONE,  /* of the published tool, not shown: help says what to do instead */
};

struct opt_int {
	const char *text; /* as given; NULL = not given */
	long value;
};
struct opt_float {
	const char *text;
	double value;
};
struct opt_list {
	const char **items;
	size_t n;
};

struct opt {
	enum opt_kind kind;
	char letter;       /* 0 = none */
	const char *name;  /* without dashes; of a group: its heading */
	const char *alias; /* more names, "a,b"; not shown in help */
	const char *arg;   /* what the value is, "FILE"; NULL for those without */
	const char *help;
	size_t at;               /* offset of the member in the options struct */
	double min, max;         /* of OPT_INT and OPT_FLOAT */
	int value;               /* of OPT_SET */
	const struct opt *group; /* of OPT_GROUP; offsets count from at */
};

/* A table and the struct that it fills. */
struct opt_target {
	const struct opt *table; /* ends with OPT_END; may be NULL */
	void *base;
};

/** Parse @argv[0..@argc). Options and other words may interleave; "--" ends the options.
 * @targets: later tables are asked when earlier ones do not know an option. @ret_args (room for
 * @argc) gets the other words. With @ret_stop (may be NULL) parsing ends at the first other word
 * and its index is given. -SB_E_INVALID with a hint is a usage error. */
int options_parse(const struct opt_target *targets, size_t n_targets, const char *const *argv,
		size_t argc, const char **ret_args, size_t *ret_n_args, size_t *ret_stop,
		struct sb_err *err);
/** Free what OPT_LIST rows allocated. */
void options_done(const struct opt_target *target);

/** The rows of @table and of its groups, in order; for help and manuals.
 * @heading is NULL for the table's own rows. */
void options_each(const struct opt *table,
		void (*fn)(void *ctx, const char *heading, const struct opt *row), void *ctx);

/** The best of @names (@n of them) for a mistyped @word, or NULL when none is near. */
const char *did_you_mean(const char *word, const char *const *names, size_t n);

/** Split "a, b ,c" at commas, drop blanks and empty parts, append copies to *@list, @n of them. */
int split_list(const char *text, char ***list, size_t *n, struct sb_err *err);
void free_list(char **list, size_t n);

#endif
