#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "options.h"

/* Words longer than this are not compared: no option or command has such a name. */
#define WORD_MAX_BYTES 48
#define NAMES_MAX      128
#define LIST_MAX       4096

static const bool takes_value[] = {
	[OPT_TEXT] = true,
	[OPT_INT] = true,
	[OPT_FLOAT] = true,
	[OPT_LIST] = true,
	[OPT_GROUP] = false,
	[OPT_GONE] = false,
};

/* A row and the member that it fills. */
struct found {
	const struct opt *row;
	char *at;
};

static bool in_alias(const char *alias, const char *name, size_t len)
{
	while (alias && *alias) {
		size_t part = strcspn(alias, ",");

		if (part == len && !strncmp(alias, name, len))
			return true;
		alias += part + (alias[part] == ',');
	}
	return false;
}

static bool matches(const struct opt *row, char letter, const char *name, size_t len)
{
	if (letter)
		return row->letter == letter;
	return (strlen(row->name) == len && !strncmp(row->name, name, len)) ||
			in_alias(row->alias, name, len);
}

static bool find_in(const struct opt *table, char *base, char letter, const char *name, size_t len,
		struct found *ret)
{
	for (const struct opt *row = table; row && row->kind != OPT_END; row++) {
		if (row->kind == OPT_GROUP) {
			if (find_in(row->group, base + row->at, letter, name, len, ret))
				return true;
		} else if (matches(row, letter, name, len)) {
			*ret = (struct found){ row, base + row->at };
			return true;
		}
	}
	return false;
}

static bool find(const struct opt_target *targets, size_t n, char letter, const char *name,
		size_t len, struct found *ret)
{
	for (size_t i = 0; i < n; i++)
		if (find_in(targets[i].table, targets[i].base, letter, name, len, ret))
			return true;
	return false;
}

static int out_of_range(const struct opt *row, const char *text, struct sb_err *err)
{
	return sb_err_set(err, SB_E_INVALID, "--%s: '%s' is not in the range %.10g to %.10g",
			row->name, text, row->min, row->max);
}

static int store_int(const struct found *at, const char *text, struct sb_err *err)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end)
		return sb_err_set(err, SB_E_INVALID, "--%s: '%s' is not a whole number",
				at->row->name, text);
	if (errno == ERANGE || (double)value < at->row->min || (double)value > at->row->max)
		return out_of_range(at->row, text, err);
	*(struct opt_int *)(void *)at->at = (struct opt_int){ text, value };
	return 0;
}

static int store_float(const struct found *at, const char *text, struct sb_err *err)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value))
		return sb_err_set(err, SB_E_INVALID, "--%s: '%s' is not a number", at->row->name,
				text);
	if (value < at->row->min || value > at->row->max)
		return out_of_range(at->row, text, err);
	*(struct opt_float *)(void *)at->at = (struct opt_float){ text, value };
	return 0;
}

static int store_list(const struct found *at, const char *text, struct sb_err *err)
{
	struct opt_list *list = (void *)at->at;
	const char **items;

	if (list->n >= LIST_MAX)
		return sb_err_set(err, SB_E_INVALID, "--%s: given more than %d times",
				at->row->name, LIST_MAX);
	items = reallocarray(list->items, list->n + 1, sizeof(*items));
	if (!items)
		return sb_err_nomem(err);
	items[list->n++] = text;
	list->items = items;
	return 0;
}

static int store(const struct found *at, const char *text, struct sb_err *err)
{
	switch (at->row->kind) {
	case OPT_FLAG:
		*(bool *)at->at = true;
		return 0;
	case OPT_COUNT:
		++*(int *)(void *)at->at;
		return 0;
	case OPT_SET:
		*(int *)(void *)at->at = at->row->value;
		return 0;
	case OPT_TEXT:
		*(const char **)(void *)at->at = text;
		return 0;
	case OPT_INT:
		return store_int(at, text, err);
	case OPT_FLOAT:
		return store_float(at, text, err);
	case OPT_LIST:
		return store_list(at, text, err);
	case OPT_END:
	case OPT_GROUP:
	case OPT_GONE:
		break;
	}
	assert(!"a row that holds no option");
	return 0;
}

struct names {
	const char *items[NAMES_MAX];
	size_t n;
};

static void collect_name(void *ctx, const char *heading, const struct opt *row)
{
	struct names *names = ctx;

	if (names->n < NAMES_MAX)
		names->items[names->n++] = row->name;
}

static int unknown_option(const struct opt_target *targets, size_t n, const char *word, size_t len,
		struct sb_err *err)
{
	struct names names = { .n = 0 };
	char name[WORD_MAX_BYTES];
	const char *near;

	sb_err_set(err, SB_E_INVALID, "No such option: %.*s", (int)len, word);
	if (len < 4 || len - 2 >= sizeof(name))
		return -SB_E_INVALID;
	for (size_t i = 0; i < n; i++)
		options_each(targets[i].table, collect_name, &names);
	memcpy(name, word + 2, len - 2);
	name[len - 2] = '\0';
	near = did_you_mean(name, names.items, names.n);
	return near ? sb_err_hint(err, -SB_E_INVALID, "Did you mean --%s?", near) : -SB_E_INVALID;
}

/* "--name", "--name=value" or "--name value". *@i is the word, and then the last one used. */
static int parse_long(const struct opt_target *targets, size_t n_targets, const char *const *argv,
		size_t argc, size_t *i, struct sb_err *err)
{
	const char *word = argv[*i];
	size_t len = strcspn(word, "=");
	const char *value = word[len] ? word + len + 1 : NULL;
	struct found at;

	if (!find(targets, n_targets, 0, word + 2, len - 2, &at))
		return unknown_option(targets, n_targets, word, len, err);
	if (at.row->kind == OPT_GONE) {
		sb_err_set(err, SB_E_INVALID, "--%s is not an option of sparkbus", at.row->name);
		return sb_err_hint(err, -SB_E_INVALID, "%s", at.row->help);
	}
	if (!takes_value[at.row->kind]) {
		if (value)
			return sb_err_set(err, SB_E_INVALID, "--%s takes no value", at.row->name);
		return store(&at, NULL, err);
	}
	if (!value && *i + 1 >= argc)
		return sb_err_set(err, SB_E_INVALID, "--%s needs a value: %s", at.row->name,
				at.row->arg);
	return store(&at, value ? value : argv[++*i], err);
}

/* "-n", "-nv", "-H a,b" or "-Ha,b". */
static int parse_short(const struct opt_target *targets, size_t n_targets, const char *const *argv,
		size_t argc, size_t *i, struct sb_err *err)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		struct found at;
		int rc;

		if (!find(targets, n_targets, *p, NULL, 0, &at))
			return sb_err_set(err, SB_E_INVALID, "No such option: -%c", *p);
		if (takes_value[at.row->kind]) {
			if (!p[1] && *i + 1 >= argc)
				return sb_err_set(err, SB_E_INVALID, "-%c needs a value: %s", *p,
						at.row->arg);
			return store(&at, p[1] ? p + 1 : argv[++*i], err);
		}
		rc = store(&at, NULL, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int options_parse(const struct opt_target *targets, size_t n_targets, const char *const *argv,
		size_t argc, const char **ret_args, size_t *ret_n_args, size_t *ret_stop,
		struct sb_err *err)
{
	bool only_words = false;
	size_t n = 0, i;

	for (i = 0; i < argc; i++) {
		const char *word = argv[i];
		int rc;

		if (only_words || word[0] != '-' || !word[1]) { /* "-" is stdin, a word */
			if (ret_stop)
				break;
			ret_args[n++] = word;
			continue;
		}
		if (!strcmp(word, "--")) {
			only_words = true;
			continue;
		}
		rc = word[1] == '-' ? parse_long(targets, n_targets, argv, argc, &i, err)
				    : parse_short(targets, n_targets, argv, argc, &i, err);
		if (rc < 0)
			return rc;
	}
	if (ret_stop)
		*ret_stop = i;
	*ret_n_args = n;
	return 0;
}

static void free_lists(const struct opt *table, char *base)
{
	for (const struct opt *row = table; row && row->kind != OPT_END; row++) {
		if (row->kind == OPT_GROUP)
			free_lists(row->group, base + row->at);
		else if (row->kind == OPT_LIST)
			free(((struct opt_list *)(void *)(base + row->at))->items);
	}
}

void options_done(const struct opt_target *target)
{
	free_lists(target->table, target->base);
}

void options_each(const struct opt *table,
		void (*fn)(void *ctx, const char *heading, const struct opt *row), void *ctx)
{
	for (const struct opt *row = table; row && row->kind != OPT_END; row++)
		if (row->kind != OPT_GROUP && row->kind != OPT_GONE)
			fn(ctx, NULL, row);
	for (const struct opt *row = table; row && row->kind != OPT_END; row++)
		for (const struct opt *in = row->kind == OPT_GROUP ? row->group : NULL;
				in && in->kind != OPT_END; in++)
			if (in->kind != OPT_GONE)
				fn(ctx, row->name, in);
}

/* Edits from @a to @b: insert, drop, change, swap of neighbours (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX_BYTES + 1];
	size_t *before = rows[0], *above = rows[1], *here = rows[2], *spare;
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX_BYTES || m > WORD_MAX_BYTES)
		return WORD_MAX_BYTES;
	for (size_t j = 0; j <= m; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= n; i++) {
		here[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (here[j - 1] + 1 < best)
				best = here[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
					before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			here[j] = best;
		}
		spare = before;
		before = above;
		above = here;
		here = spare;
	}
	return above[m];
}

const char *did_you_mean(const char *word, const char *const *names, size_t n)
{
	size_t len = strlen(word), limit = len < 5 ? 1 : len / 3 + 1, best = limit + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, names[i]);

		/* A word that was typed only in part is nearer than its edits say. */
		if (len >= 3 && !strncmp(word, names[i], len))
			d = 1;
		/* Equal edits everywhere is no likeness: "ls" is not "ps". */
		if (d < best && d < len) {
			best = d;
			found = names[i];
		}
	}
	return found;
}

int split_list(const char *text, char ***list, size_t *n, struct sb_err *err)
{
	while (*text) {
		size_t len = strcspn(text, ","), from = 0, to = len;
		char **grown;

		while (from < to && strchr(" \t", text[from]))
			from++;
		while (to > from && strchr(" \t\r\n", text[to - 1]))
			to--;
		if (to > from) {
			if (*n >= LIST_MAX)
				return sb_err_set(err, SB_E_RANGE, "more than %d names", LIST_MAX);
			grown = reallocarray(*list, *n + 1, sizeof(*grown));
			if (!grown)
				return sb_err_nomem(err);
			*list = grown;
			grown[*n] = strndup(text + from, to - from);
			if (!grown[*n])
				return sb_err_nomem(err);
			++*n;
		}
		text += len + (text[len] == ',');
	}
	return 0;
}

void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}
