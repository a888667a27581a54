#include <string.h>

#include "sb_shellwords.h"

void sb_words_done(struct sb_words *words)
{
	for (size_t i = 0; i < words->n; i++) {
		free(words->items[i]);
		free(words->marks[i]);
	}
	free(words->items);
	free(words->marks);
	*words = (struct sb_words){ 0 };
}

/* @marks (may be NULL) are copied. */
static int add(struct sb_words *words, const char *text, size_t len, const uint32_t *marks)
{
	SB_CLEANUP(sb_freep) char *copy = strndup(text, len);
	SB_CLEANUP(sb_freep) uint32_t *own = NULL;
	uint32_t **all_marks;
	char **items;

	if (words->n >= SB_WORDS_MAX)
		return -SB_E_RANGE;
	items = reallocarray(words->items, words->n + 2, sizeof(*items));
	if (items)
		words->items = items;
	all_marks = reallocarray(words->marks, words->n + 1, sizeof(*all_marks));
	if (all_marks)
		words->marks = all_marks;
	if (marks && len)
		own = reallocarray(NULL, len, sizeof(*own));
	if (!copy || !items || !all_marks || (marks && len && !own))
		return -SB_E_NOMEM;
	if (own)
		memcpy(own, marks, len * sizeof(*own));
	all_marks[words->n] = sb_steal(own);
	items[words->n++] = sb_steal(copy);
	items[words->n] = NULL;
	return 0;
}

int sb_words_add(struct sb_words *words, const char *text)
{
	return add(words, text, strlen(text), NULL);
}

int sb_words_add_buf(struct sb_words *words, const struct sb_strbuf *text)
{
	return add(words, sb_strbuf_str(text), text->len, text->marks);
}

int sb_words_add_marked(struct sb_words *words, const char *text, uint32_t mark)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = { .mark = mark };
	int rc = sb_strbuf_adds(&buf, text);

	return rc < 0 ? rc : sb_words_add_buf(words, &buf);
}

int sb_words_move(struct sb_words *words, struct sb_words *from)
{
	size_t n = words->n + from->n;
	uint32_t **marks;
	char **items;

	items = reallocarray(words->items, n + 1, sizeof(*items));
	if (items)
		words->items = items;
	marks = reallocarray(words->marks, n + 1, sizeof(*marks));
	if (marks)
		words->marks = marks;
	if (!items || !marks)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < from->n; i++) {
		items[words->n + i] = from->items[i];
		marks[words->n + i] = from->marks[i];
	}
	items[n] = NULL;
	words->n = n;
	from->n = 0;
	sb_words_done(from);
	return 0;
}

uint32_t sb_words_mark(const struct sb_words *words, size_t i, size_t at)
{
	return words->marks[i] ? words->marks[i][at] : 0;
}

const char *sb_words_flag(const struct sb_words *words, const char *flag)
{
	size_t len = strlen(flag);

	for (size_t i = words->n; i-- > 0;) {
		const char *word = words->items[i];

		if (strncmp(word, flag, len) != 0)
			continue;
		if (word[len] == '=')
			return word + len + 1;
		if (!word[len])
			return i + 1 < words->n ? words->items[i + 1] : "";
	}
	return NULL;
}
