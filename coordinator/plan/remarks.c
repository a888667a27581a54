/* remarks.c - what a shared command is likely not meant to be. It is launched as it is written: so
 * the published tool does as well. */
#include <string.h>

#include "internal.h"

/* A line that a shell takes for another command: a folded text kept a line end, a comment or an
 * empty line stands between lines that go on. */
static void warn_stray(
		const struct sb_workload *w, const struct sb_strbuf *serve, struct sb_diags *diags)
{
	const char *at = sb_shell_stray_option(serve);
	struct sb_source source;
	int len;

	if (!at)
		return;
	source = sb_mark_source(w,
			serve->marks ? serve->marks[at - sb_strbuf_str(serve)] : SB_MARK_RUNTIME);
	len = (int)strcspn(at, " \t\n=");
	sb_diag_add(diags, SB_DIAG_WARNING, source.line, 0,
			"command: %.*s begins a line that is no part of the command before it, so "
			"the engine does not get it; a line goes on when a backslash ends it, and "
			"comments and empty lines break that",
			len > 60 ? 60 : len, at);
}

/* Lists and maps stand in a command as Python prints them, which is not JSON. */
static void warn_displayed(
		const struct sb_workload *w, const struct sb_strbuf *serve, struct sb_diags *diags)
{
	const struct sb_value *before = NULL;

	for (size_t i = 0; serve->marks && i < serve->len; i++) {
		const struct sb_value *value = sb_mark_value(w, serve->marks[i]);

		if (!value || value == before ||
				(value->type != SB_YAML_LIST && value->type != SB_YAML_MAP))
			continue;
		before = value;
		sb_diag_add(diags, SB_DIAG_WARNING, value->line, value->col,
				"%s is %s, which the command gets as Python prints it; where JSON "
				"is expected, write it as text in quotes",
				value->key, sb_yaml_type_name(value->type));
	}
}

/* "bash -c TEXT": words behind the text are that shell's arguments. */
static void warn_inner_shell(const struct sb_words *words, size_t n_nodes, struct sb_diags *diags)
{
	static const char *const shells[] = { "bash", "sh", "/bin/bash", "/bin/sh" };

	for (size_t i = 0; i < sb_countof(shells) && n_nodes > 1 && words->n > 2; i++)
		if (!strcmp(words->items[0], shells[i]) && words->items[1][0] == '-' &&
				strchr(words->items[1], 'c') && words->items[1][1] != '-')
			sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
					"the command is a text for %s -c: what each rank adds to "
					"it, "
					"the place where ranks meet for instance, does not reach "
					"the "
					"engine; write the command without %s -c",
					words->items[0], words->items[0]);
}

void sb_plan_remarks(const struct sb_launch *launch, const struct sb_strbuf *serve,
		const struct sb_words *words, struct sb_diags *diags)
{
	warn_stray(launch->workload, serve, diags);
	warn_displayed(launch->workload, serve, diags);
	warn_inner_shell(words, launch->n, diags);
}
