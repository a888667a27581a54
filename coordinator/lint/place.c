/* place.c - from a flag of the command back to the line of the recipe that makes it.
 *
 * YAML folds and unquotes, so the parsed command does not know lines. The flag is looked for in the
 * text of the file instead, from "command:" to the next key at the margin: that works for every
 * style of scalar. A flag whose value is a placeholder points to the value, which is what one would
 * change. */
#include <string.h>

#include "internal.h"

#define KEY_MAX 80

struct text_range {
	const char *at, *end;
	unsigned line;
};

static const char *line_end(const char *s)
{
	return s + strcspn(s, "\n");
}

/* The part of @source from line @line to the next text at the margin. */
static struct text_range block_at(const char *source, unsigned line)
{
	struct text_range r = { source, NULL, line };

	for (unsigned i = 1; i < line && *r.at; i++)
		r.at = line_end(r.at) + (*line_end(r.at) != '\0');
	r.end = line_end(r.at);
	while (*r.end && (strchr(" \t\n#", r.end[1]) && r.end[1]))
		r.end = line_end(r.end + 1);
	return r;
}

static bool ends_word(char c)
{
	return !c || strchr(" \t\r\n=\"'\\", c);
}

/* @word (of @len bytes) as a word of its own, in no comment; NULL when there is none. */
static const char *find_word(struct text_range *r, const char *word, size_t len)
{
	for (const char *line = r->at; line < r->end; r->line++) {
		const char *end = line_end(line);
		const char *s = line + strspn(line, " \t");

		for (; *s != '#' && s < end && (s = memmem(s, (size_t)(end - s), word, len)); s++)
			if (ends_word(s[len]) && (s == line || ends_word(s[-1]))) {
				r->at = line;
				return s;
			}
		line = *end ? end + 1 : end;
		if (!*end)
			break;
	}
	return NULL;
}

/* "{key}" behind a flag: the key's value. */
static const struct sb_value *placeholder(const struct sb_workload *w, const char *s)
{
	char key[KEY_MAX];
	size_t len;

	s += strspn(s, " =\t\"'");
	if (*s != '{')
		return NULL;
	len = strcspn(s + 1, "} \n");
	if (s[len + 1] != '}' || len >= sizeof(key))
		return NULL;
	memcpy(key, s + 1, len);
	key[len] = '\0';
	return sb_workload_config(w, key);
}

/* The default behind a flag that the runtime itself wrote: "max-model-len" is max_model_len, and
 * "tensor-parallel-size" is tensor_parallel. */
static const struct sb_value *default_of(const struct sb_workload *w, const char *name)
{
	const struct sb_value *value;
	char key[KEY_MAX];
	size_t len = strcspn(name, ".");

	if (len >= sizeof(key))
		return NULL;
	memcpy(key, name, len);
	key[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (key[i] == '-')
			key[i] = '_';
	value = sb_workload_config(w, key);
	if (!value && len > 5 && !strcmp(key + len - 5, "_size")) {
		key[len - 5] = '\0';
		value = sb_workload_config(w, key);
	}
	return value;
}

struct sb_place lint_flag_place(const struct sb_lint_launch *launch, const char *word, size_t len,
		const char *canonical)
{
	const struct sb_workload *w = launch->workload;
	const struct sb_yaml_node *command = sb_workload_key(w, "command");
	const struct sb_value *value = NULL;
	const char *hit = NULL;
	struct text_range r = { 0 };

	if (command && launch->source) {
		r = block_at(launch->source, sb_yaml_line(command));
		hit = find_word(&r, word, len);
		value = hit ? placeholder(w, hit + len) : NULL;
	}
	if (!hit)
		value = default_of(w, canonical);
	if (value && value->line)
		return (struct sb_place){ value->line, value->col, NULL };
	if (value)
		return (struct sb_place){ 0, 0, value->origin };
	if (hit)
		return (struct sb_place){ r.line, (unsigned)(hit - r.at) + 1, NULL };
	return (struct sb_place){ sb_yaml_line(command), sb_yaml_col(command), NULL };
}
