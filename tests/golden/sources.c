/* sources.c - where everything in a plan is said to come from, against the plan and the file. */
#include <string.h>

#include "golden.h"

/* Line @n of the recipe, from 1; its length, 0 when there is no such line. */
static size_t line_of(const struct sb_strbuf *file, unsigned n, const char **ret)
{
	const char *p = sb_strbuf_str(file);

	for (; *p && n > 1; p++)
		n -= *p == '\n';
	*ret = p;
	return n == 1 ? strcspn(p, "\n") : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether every character but blanks is in the line, in this order: quotes were taken away. */
static bool is_in_line(const char *text, size_t len, const char *line, size_t line_len)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_blank(text[i]))
			continue;
		while (at < line_len && line[at] != text[i])
			at++;
		if (at++ == line_len)
			return false;
	}
	return true;
}

/* What a runtime writes for a value besides the value itself: the flag, and llama.cpp's words. */
static bool is_made(const char *text, size_t len)
{
	static const char *const words[] = { "row", "layer", "on" };

	for (size_t i = 0; i < sb_countof(words); i++)
		if (strlen(words[i]) == len && !memcmp(words[i], text, len))
			return true;
	return *text == '-';
}

/* The bytes of a word that have one mark. */
static bool piece_holds(const struct sb_workload *w, const struct sb_strbuf *file, uint32_t mark,
		const char *text, size_t len)
{
	const struct sb_source source = sb_mark_source(w, mark);
	const struct sb_value *value;
	const char *line;
	size_t line_len = line_of(file, source.line, &line);

	switch (source.kind) {
	case SB_SOURCE_COMMAND:
		return is_in_line(text, len, line, line_len);
	case SB_SOURCE_RECIPE:
		value = sb_workload_config(w, source.name);
		return value && source.line &&
				(is_made(text, len) ||
						is_in_line(text, len, value->text,
								strlen(value->text)));
	case SB_SOURCE_OVERRIDE:
		return !strcmp(source.option, "-o") && !source.line;
	default:
		return !source.line;
	}
}

static void check_word(struct golden_case *c, const struct sb_workload *w,
		const struct sb_strbuf *file, const char *word, const struct sb_words *told,
		size_t i)
{
	size_t len = strlen(word), n;

	golden_compare(c, "sources", word, i < told->n ? told->items[i] : "(nothing)");
	if (i >= told->n || strcmp(told->items[i], word) != 0)
		return;
	for (size_t at = 0; at < len; at += n) {
		uint32_t mark = sb_words_mark(told, i, at);

		for (n = 1; at + n < len && sb_words_mark(told, i, at + n) == mark;)
			n++;
		if (!piece_holds(w, file, mark, word + at, n))
			golden_differ(c, "sources", word, "has a source that does not have it");
	}
}

/* A variable of the recipe stands in the line that is told; an API key has its own. */
static void check_env(struct golden_case *c, const struct sb_strbuf *file,
		const Sparkbus__EnvVar *var, const struct sb_source *source)
{
	const char *line;
	size_t len = line_of(file, source->line, &line);

	if (source->kind == SB_SOURCE_RECIPE &&
			!memmem(line, len, source->name, strlen(source->name)))
		golden_differ(c, "sources", var->name, "is not in the line that is told");
	if (source->kind == SB_SOURCE_RECIPE && strcmp(source->section, "env") == 0)
		golden_compare(c, "sources", var->name, source->name);
}

void golden_check_sources(struct golden_case *c, const struct sb_strbuf *file,
		const struct sb_workload *w, const Sparkbus__LaunchPlan *plan,
		const struct sb_plan_sources *sources)
{
	if (sources->n != plan->n_ranks) {
		golden_differ(c, "sources", "one for each rank", "another number");
		return;
	}
	for (size_t r = 0; r < plan->n_ranks; r++) {
		const Sparkbus__RankSpec *rank = plan->ranks[r];
		const struct sb_words *told = &sources->ranks[r].argv;

		for (size_t i = 0; i < rank->n_argv || i < told->n; i++)
			check_word(c, w, file, i < rank->n_argv ? rank->argv[i] : "(nothing)", told,
					i);
		for (size_t i = 0; i < rank->n_env; i++)
			check_env(c, file, rank->env[i], &sources->ranks[r].env[i]);
	}
}
