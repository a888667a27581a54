#include <string.h>

#include "sb_shellwords.h"

void sb_words_done(struct sb_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct sb_words){ 0 };
}

int sb_words_add(struct sb_words *words, const char *text)
{
	char **items;
	char *copy;

	if (words->n >= SB_WORDS_MAX)
		return -SB_E_RANGE;
	items = reallocarray(words->items, words->n + 2, sizeof(*items));
	if (!items)
		return -SB_E_NOMEM;
	words->items = items;
	copy = strdup(text);
	if (!copy)
		return -SB_E_NOMEM;
	items[words->n++] = copy;
	items[words->n] = NULL;
	return 0;
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
