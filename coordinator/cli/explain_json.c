/* A launch explained to a program. */
#include <string.h>

#include "explain.h"

static const char *const kinds[SB_SOURCE_COUNT_] = { "runtime", "rank", "shell", "command",
	"recipe", "override", "cluster", "built-in" };

static void set(json_t *json, const char *key, json_t *value)
{
	json_object_set_new(json, key, value);
}

/* Masked text. */
static json_t *text_json(const struct launch *l, const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT;

	if (sb_mask_text(&l->mask, text, &plain) < 0)
		return NULL;
	return recipe_text_json(sb_strbuf_str(&plain));
}

static json_t *source_json(const struct launch *l, const struct sb_source *source)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf key = SB_STRBUF_INIT;
	json_t *json = json_object();

	set(json, "kind", json_string(kinds[source->kind]));
	if (source->name) {
		sb_strbuf_addf(&key, "%s%s%s", source->section, *source->section ? "." : "",
				source->name);
		set(json, "key", recipe_text_json(sb_strbuf_str(&key)));
	}
	if (source->option)
		set(json, "option", recipe_text_json(source->option));
	if (source->line)
		set(json, "line", json_integer(source->line));
	if (source->col)
		set(json, "column", json_integer(source->col));
	if (source->instead) {
		set(json, "instead_of",
				source->name && sb_plan_env_is_secret(source->name)
						? json_string(SB_RENDER_HIDDEN)
						: text_json(l, source->instead));
		set(json, "instead_of_line", json_integer(source->instead_line));
	}
	return json;
}

static json_t *piece_json(const struct launch *l, const char *text, uint32_t mark)
{
	struct sb_source source = sb_mark_source(l->workload, mark);

	return json_pack("{s:o, s:o}", "text", text_json(l, text), "from", source_json(l, &source));
}

/* A word and the pieces that it is made of, one after the other. A word with a hidden value in it
 * is one piece: where the value is would show how long it is. */
static json_t *word_json(const struct launch *l, const struct sb_words *words, size_t i)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT;
	const char *word = words->items[i];
	size_t len = strlen(word), n;
	json_t *pieces = json_array();

	sb_mask_text(&l->mask, word, &plain);
	for (size_t at = 0; at < len || at == 0; at += n) {
		SB_CLEANUP(sb_freep) char *text = NULL;
		uint32_t mark = len ? sb_words_mark(words, i, at) : 0;

		for (n = 1; at + n < len && sb_words_mark(words, i, at + n) == mark;)
			n++;
		if (strcmp(sb_strbuf_str(&plain), word) != 0)
			n = len;
		text = strndup(word + at, n);
		json_array_append_new(pieces, text ? piece_json(l, text, mark) : NULL);
	}
	return json_pack("{s:o, s:o}", "word", text_json(l, word), "pieces", pieces);
}

static json_t *env_json(const struct launch *l, size_t rank)
{
	const Sparkbus__RankSpec *spec = l->plan->ranks[rank];
	json_t *list = json_array();

	for (size_t i = 0; i < spec->n_env; i++) {
		const Sparkbus__EnvVar *var = spec->env[i];

		json_array_append_new(list,
				json_pack("{s:o, s:o, s:o}", "name", recipe_text_json(var->name),
						"value",
						var->secret ? json_string(SB_RENDER_HIDDEN)
							    : text_json(l, var->value),
						"from",
						source_json(l, &l->sources.ranks[rank].env[i])));
	}
	return list;
}

static json_t *mounts_json(const struct launch *l, const Sparkbus__RankSpec *spec)
{
	const struct sb_source source = { .kind = SB_SOURCE_BUILT_IN };
	json_t *list = json_array();

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const Sparkbus__Mount *mount = spec->mounts[i];

		json_array_append_new(list,
				json_pack("{s:s, s:s, s:b, s:o}", "source", mount->source, "target",
						mount->target, "read_only", mount->read_only,
						"from", source_json(l, &source)));
	}
	return list;
}

static json_t *rank_json(const struct launch *l, size_t rank)
{
	const struct sb_words *words = &l->sources.ranks[rank].argv;
	const Sparkbus__RankSpec *spec = l->plan->ranks[rank];
	json_t *argv = json_array();

	for (size_t i = 0; i < words->n; i++)
		json_array_append_new(argv, word_json(l, words, i));
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:o}", "rank", (int)spec->rank, "node",
			spec->node, "address", spec->address, "container", spec->container_name,
			"argv", argv, "env", env_json(l, rank), "mounts", mounts_json(l, spec));
}

static json_t *settings_json(const struct launch *l, const struct run_opts *opts)
{
	struct explain_setting setting = { 0 };
	json_t *list = json_array();

	for (size_t i = 0; explain_setting_at(l, opts, i, &setting); i++)
		json_array_append_new(list,
				json_pack("{s:s, s:o, s:o}", "key", setting.key, "value",
						text_json(l, sb_strbuf_str(&setting.value)), "from",
						source_json(l, &setting.source)));
	sb_strbuf_done(&setting.value);
	return list;
}

json_t *explain_json(const struct launch *l, const struct run_opts *opts)
{
	const struct sb_workload *w = l->workload;
	struct sb_source runtime = explain_runtime(l), image = sb_workload_image_source(w);
	struct sb_source model =
			sb_mark_source(w, sb_value_mark(w, sb_workload_config(w, "model")));
	json_t *ranks = json_array();

	for (size_t i = 0; i < l->plan->n_ranks; i++)
		json_array_append_new(ranks, rank_json(l, i));
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "recipe",
			recipe_text_json(l->recipe.name), "file", recipe_text_json(l->recipe.path),
			"job", l->plan->job, "runtime", l->plan->runtime, "runtime_from",
			source_json(l, &runtime), "image", recipe_text_json(l->plan->image),
			"image_from", source_json(l, &image), "model",
			recipe_text_json(l->plan->model), "model_from", source_json(l, &model),
			"ranks", ranks, "container", settings_json(l, opts));
}
