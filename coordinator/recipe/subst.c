/* subst.c - placeholders. "{" to the next "}" on the same line; the key is what is between, all
 * braces at its ends dropped. Values may hold placeholders, so passes repeat until nothing
 * changes. Two things are better than in the published tool: a cycle is an error that names it
 * (there: it never ends), and a placeholder inside a JSON group is found (there: the match that
 * starts at the group's own brace hides it). */
#include <string.h>

#include "internal.h"

struct hole {
	const char *start, *end; /* with the braces */
	const char *key;
	size_t key_len;
};

/* The first hole that starts at @s or later; false when there is none. Braces too far from their
 * '}' are passed over at once, so that a text full of '{' costs linear time. */
static bool find_hole(const char *s, struct hole *ret)
{
	const char *end = NULL, *key, *key_end;

	for (s = strchr(s, '{'); s; s = strchr(s + 1, '{')) {
		if (!end || end < s)
			end = s + strcspn(s, "}\n");
		if (!*end)
			return false;
		if (*end == '\n' || end - s > SB_PLACEHOLDER_MAX_BYTES) {
			s = *end == '\n' ? end : end - SB_PLACEHOLDER_MAX_BYTES - 1;
			continue;
		}
		key = s;
		key_end = end + 1;
		while (key < key_end && (*key == '{' || *key == '}'))
			key++;
		while (key_end > key && (key_end[-1] == '{' || key_end[-1] == '}'))
			key_end--;
		*ret = (struct hole){ s, end + 1, key, (size_t)(key_end - key) };
		return true;
	}
	return false;
}

static const struct sb_value *value_of(const struct sb_workload *w, const struct hole *hole)
{
	const struct sb_value *value = sb_value_find(w, hole->key, hole->key_len);

	return value && value->type != SB_YAML_NULL ? value : NULL;
}

/* The next hole in @s that has a value; NULL when there is none. */
static const struct sb_value *next_hole(
		const struct sb_workload *w, const char *s, struct hole *ret)
{
	const struct sb_value *value;

	for (; find_hole(s, ret); s = ret->start + 1) {
		value = value_of(w, ret);
		if (value)
			return value;
	}
	return NULL;
}

/* --- cycles: found on the values, before any text grows --- */

struct walk {
	const struct sb_workload *w;
	unsigned char *state; /* per value: 0 new, 1 on the path, 2 done */
	const struct sb_value **path;
	size_t depth;
	struct sb_err *err;
};

static int refuse_cycle(const struct walk *walk, const struct sb_value *again)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	const struct sb_recipe *recipe = walk->w->recipe;
	size_t from = 0;

	while (walk->path[from] != again)
		from++;
	for (size_t i = from; i < walk->depth; i++)
		sb_strbuf_addf(&names, "{%.40s} -> ", walk->path[i]->key);
	sb_strbuf_addf(&names, "{%.40s}", again->key);
	if (!again->line)
		return sb_err_set(walk->err, SB_E_INVALID,
				"%s %s: placeholders go in a circle: %s; expected an end",
				again->origin, again->key, sb_strbuf_str(&names));
	return sb_err_set(walk->err, SB_E_INVALID,
			"%s:%u:%u: placeholders go in a circle: %s; expected an end", recipe->path,
			again->line, again->col, sb_strbuf_str(&names));
}

static int walk_text(struct walk *walk, const char *text);

static int walk_value(struct walk *walk, const struct sb_value *value)
{
	size_t at = (size_t)(value - walk->w->values);
	int rc;

	if (walk->state[at] == 2)
		return 0;
	if (walk->state[at] == 1)
		return refuse_cycle(walk, value);
	if (walk->depth >= SB_RENDER_MAX_ROUNDS)
		return sb_err_set(walk->err, SB_E_RANGE,
				"%s:%u:%u: placeholders within placeholders; expected at most %u "
				"levels",
				walk->w->recipe->path, value->line, value->col,
				SB_RENDER_MAX_ROUNDS);
	walk->state[at] = 1;
	walk->path[walk->depth++] = value;
	rc = walk_text(walk, value->text);
	walk->depth--;
	walk->state[at] = 2;
	return rc;
}

static int walk_text(struct walk *walk, const char *text)
{
	const struct sb_value *value;
	struct hole hole;
	int rc = 0;

	while (rc == 0 && (value = next_hole(walk->w, text, &hole))) {
		rc = walk_value(walk, value);
		text = hole.end;
	}
	return rc;
}

static int check_cycles(const struct sb_workload *w, const char *text, struct sb_err *err)
{
	const struct sb_value *path[SB_RENDER_MAX_ROUNDS];
	SB_CLEANUP(sb_freep) unsigned char *state = calloc(w->n_values + 1, 1);
	struct walk walk = { .w = w, .state = state, .path = path, .err = err };

	return state ? walk_text(&walk, text) : sb_err_nomem(err);
}

/* --- substitution --- */

/* One pass over @text. */
static bool pass(const struct sb_workload *w, const struct sb_strbuf *text, struct sb_strbuf *out)
{
	const char *all = sb_strbuf_str(text), *in = all;
	const struct sb_value *value;
	bool changed = false;
	struct hole hole;

	while ((value = next_hole(w, in, &hole))) {
		sb_strbuf_add_part(out, text, (size_t)(in - all), (size_t)(hole.start - in));
		sb_strbuf_addm(out, sb_value_mark(w, value), "%s", value->text);
		in = hole.end;
		changed = true;
	}
	sb_strbuf_add_part(out, text, (size_t)(in - all), strlen(in));
	return changed;
}

static int too_long(const struct sb_workload *w, const struct sb_strbuf *text, struct sb_err *err)
{
	if (text->failed == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE,
				"%s: a text with its placeholders substituted; expected at most "
				"%zu bytes",
				w->recipe->path, SB_RENDER_MAX_BYTES);
	return sb_err_nomem(err);
}

static int substitute(const struct sb_workload *w, const struct sb_strbuf *text,
		struct sb_strbuf *out, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf now = { .max = SB_RENDER_MAX_BYTES };
	bool changed = true;
	int rc = check_cycles(w, sb_strbuf_str(text), err);

	if (rc < 0)
		return rc;
	sb_strbuf_add_part(&now, text, 0, text->len);
	for (unsigned round = 0; changed && !now.failed; round++) {
		struct sb_strbuf next = { .max = SB_RENDER_MAX_BYTES };

		if (round > SB_RENDER_MAX_ROUNDS)
			return sb_err_set(err, SB_E_INVALID,
					"%s: placeholders do not settle after %u rounds; expected "
					"an end",
					w->recipe->path, SB_RENDER_MAX_ROUNDS);
		changed = pass(w, &now, &next);
		sb_strbuf_done(&now);
		now = next;
	}
	if (now.failed)
		return too_long(w, &now, err);
	return sb_strbuf_add_part(out, &now, 0, now.len) < 0 ? sb_err_nomem(err) : 0;
}

int sb_workload_substitute(const struct sb_workload *w, const char *text, struct sb_strbuf *out,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf marked = { .mark = out->mark };

	if (sb_strbuf_adds(&marked, text) < 0)
		return sb_err_nomem(err);
	return substitute(w, &marked, out, err);
}

/* --- the command --- */

/* Backslash, blanks, newline: the author meant a continued line. */
static void fix_continuations(const struct sb_strbuf *text, struct sb_strbuf *out)
{
	const char *in = sb_strbuf_str(text);
	size_t len = text->len, from = 0;

	for (size_t i = 0; i < len; i++) {
		size_t blanks = i + 1;

		if (in[i] != '\\')
			continue;
		while (blanks < len && in[blanks] == ' ')
			blanks++;
		if (blanks == i + 1 || blanks == len || in[blanks] != '\n')
			continue;
		sb_strbuf_add_part(out, text, from, i + 1 - from);
		from = blanks;
		i = blanks - 1;
	}
	sb_strbuf_add_part(out, text, from, len - from);
}

static bool is_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_' ||
				    (i && s[i] >= '0' && s[i] <= '9')))
			return false;
	return len > 0;
}

/* What still looks like "{name}" has no value; "${NAME}" is the shell's. */
static void warn_unresolved(const struct sb_workload *w, const char *text, struct sb_diags *diags)
{
	const struct sb_yaml_node *command = sb_yaml_get(w->recipe->root, "command");
	struct hole hole;

	for (const char *s = text; find_hole(s, &hole); s = hole.start + 1) {
		if ((hole.start > text && hole.start[-1] == '$') ||
				hole.key_len + 2 != (size_t)(hole.end - hole.start) ||
				!is_name(hole.key, hole.key_len))
			continue;
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(command), sb_yaml_col(command),
				"command: the placeholder {%.*s} has no value and is left as it is",
				(int)(hole.key_len > 80 ? 80 : hole.key_len), hole.key);
	}
}

/* The template without blanks at its ends; each byte is marked with its line. */
static int take_template(const struct sb_recipe *recipe, struct sb_strbuf *out, struct sb_err *err)
{
	static const char blanks[] = " \t\r\n\v\f";
	const unsigned *lines = recipe->command_lines;
	const char *text = recipe->command;
	size_t from = strspn(text, blanks), to = strlen(text), n;

	while (to > from && strchr(blanks, text[to - 1]))
		to--;
	for (; from < to; from += n) {
		for (n = 1; from + n < to && lines[from + n] == lines[from];)
			n++;
		out->mark = SB_MARK_COMMAND | lines[from];
		sb_strbuf_add(out, text + from, n);
	}
	return out->failed ? sb_err_nomem(err) : 0;
}

int sb_workload_command(const struct sb_workload *w, struct sb_strbuf *out, bool *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = { .max = SB_RENDER_MAX_BYTES };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf template = SB_STRBUF_INIT;
	int rc;

	*ret = false;
	if (!w->recipe->command)
		return 0;
	rc = take_template(w->recipe, &template, err);
	if (rc == 0)
		rc = substitute(w, &template, &text, err);
	if (rc < 0)
		return rc;
	warn_unresolved(w, sb_strbuf_str(&text), diags);
	fix_continuations(&text, out);
	*ret = true;
	return out->failed ? sb_err_nomem(err) : 0;
}
