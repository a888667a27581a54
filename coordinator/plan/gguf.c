/* gguf.c - a GGUF model among a rank's words, for its node to find in its own cache. */
#include <string.h>

#include "internal.h"

/* Index of the word behind the last of @flags; 0 when there is none. */
static size_t find_word(const Sparkbus__RankSpec *spec, const char *const *flags)
{
	for (size_t i = spec->n_argv; i-- > 1;)
		for (const char *const *flag = flags; *flag; flag++)
			if (!strcmp(spec->argv[i - 1], *flag))
				return i;
	return 0;
}

static bool has_any(const Sparkbus__RankSpec *spec, const char *const *flags)
{
	for (size_t i = 0; flags && i < spec->n_argv; i++)
		for (const char *const *flag = flags; *flag; flag++)
			if (!strcmp(spec->argv[i], *flag))
				return true;
	return false;
}

/* "organisation/name" or "organisation/name:quant", and no file. */
static bool is_repo(const char *word, bool must_say)
{
	const char *slash = strchr(word, '/');
	size_t len = strlen(word);

	if (!slash || slash == word || strchr(slash + 1, '/') || strchr("./~", *word))
		return false;
	if (len >= 5 && !strcasecmp(word + len - 5, ".gguf"))
		return false;
	return !must_say || strchr(word, ':') || strcasestr(word, "gguf");
}

/* The recipe's revision is its model's. */
static bool is_recipes(const struct sb_workload *w, const char *repo)
{
	const char *model = sb_workload_recipe_model(w);
	size_t len = strcspn(model, ":");

	return strlen(repo) == len && !strncmp(model, repo, len);
}

int sb_plan_gguf(const struct rank_shared *shared, Sparkbus__RankSpec *spec)
{
	const struct sb_workload *w = shared->launch->workload;
	const struct sb_gguf_flags *how = shared->runtime->gguf;
	SB_CLEANUP(sb_freep) char *repo = NULL;
	Sparkbus__GgufModel *gguf;
	const char *quant;
	size_t word;

	word = how ? find_word(spec, how->flags) : 0;
	if (!word || !is_repo(spec->argv[word], how->others) || has_any(spec, how->chosen))
		return 0;
	quant = strchr(spec->argv[word], ':');
	repo = strndup(spec->argv[word], strcspn(spec->argv[word], ":"));
	gguf = malloc(sizeof(*gguf));
	if (!repo || !gguf) {
		free(gguf);
		return -SB_E_NOMEM;
	}
	sparkbus__gguf_model__init(gguf);
	spec->gguf = gguf;
	gguf->word = (uint32_t)word;
	if (sb_plan_text(&gguf->repo, repo) < 0 ||
			sb_plan_text(&gguf->file_flag, how->file_flag) < 0 ||
			sb_plan_text(&gguf->quant, quant ? quant + 1 : NULL) < 0)
		return -SB_E_NOMEM;
	return is_recipes(w, repo) ? sb_plan_text(&gguf->revision, sb_workload_revision(w)) : 0;
}
