/* shape.c - from config.json to what each layer keeps. Names differ from family to family, what
 * they mean does not: a table of names per meaning, and one reader per way of saying which layer is
 * what. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shape.h"

/* No dimension of a model is larger; what a hostile file may claim. */
#define FIELD_MAX ((int64_t)1 << 24)

double shape_field(const struct shape_config *c, const char *const *names)
{
	int64_t value;

	for (; *names; names++) {
		const json_t *found = json_object_get(c->text, *names);

		if (!found)
			found = json_object_get(c->top, *names);
		if (found && vram_json_int(found, &value) && value > 0 && value <= FIELD_MAX)
			return (double)value;
	}
	return 0;
}

const json_t *shape_value(const struct shape_config *c, const char *name)
{
	const json_t *found = json_object_get(c->text, name);

	return found ? found : json_object_get(c->top, name);
}

const char *shape_word(const struct shape_config *c, const char *name)
{
	const char *text = json_string_value(shape_value(c, name));

	return text ? text : "";
}

static const json_t *text_map(const json_t *config)
{
	static const char *const names[] = { "text_config", "llm_config", "language_config",
		"thinker_config" };

	for (size_t i = 0; i < sb_countof(names); i++) {
		const json_t *map = json_object_get(config, names[i]);

		if (json_is_object(map))
			return i == 3 ? text_map(map) : map;
	}
	return config;
}

/* --- sets --- */

static bool same_set(const struct sb_vram_set *a, const struct sb_vram_set *b)
{
	return a->kind == b->kind && a->kv_heads == b->kv_heads && a->key_dim == b->key_dim &&
			a->value_dim == b->value_dim && a->window == b->window &&
			a->latent == b->latent && a->extra_bytes == b->extra_bytes &&
			a->every == b->every && a->conv_dim == b->conv_dim &&
			a->conv_len == b->conv_len && a->state_elements == b->state_elements;
}

/* The number of a set like @set. What there is no room for counts as the last one. */
static uint8_t set_number(struct sb_vram_shape *s, const struct sb_vram_set *set)
{
	for (size_t i = 0; i < s->n_sets; i++)
		if (same_set(&s->sets[i], set))
			return (uint8_t)i;
	if (s->n_sets < SB_VRAM_SETS_MAX)
		s->sets[s->n_sets++] = *set;
	return (uint8_t)(s->n_sets - 1);
}

/* --- which layer is what --- */

/* One letter per layer: full, window, state, none, both a state and attention. */
enum { FULL = 'F', WINDOW = 'W', STATE = 'S', NONE = 'N' };

static char kind_of_word(const char *word)
{
	static const struct {
		const char *word;
		char kind;
	} words[] = { { "full_attention", FULL }, { "attention", FULL }, { "global", FULL },
		{ "sliding_attention", WINDOW }, { "local_attention", WINDOW },
		{ "sliding", WINDOW }, { "local", WINDOW }, { "chunked_attention", WINDOW },
		{ "linear_attention", STATE }, { "mamba", STATE }, { "mamba2", STATE },
		{ "conv", STATE }, { "recurrent", STATE }, { "moe", NONE }, { "mlp", NONE } };

	for (size_t i = 0; word && i < sb_countof(words); i++)
		if (!strcmp(words[i].word, word))
			return words[i].kind;
	return FULL; /* too much rather than too little */
}

static bool by_words(const struct shape_config *c, char *kinds, size_t n)
{
	static const char *const names[] = { "layer_types", "layers_block_type", "block_types" };

	for (size_t k = 0; k < sb_countof(names); k++) {
		const json_t *list = shape_value(c, names[k]);
		size_t given = json_array_size(list);

		if (!given)
			continue;
		for (size_t i = 0; i < n; i++)
			kinds[i] = kind_of_word(json_string_value(json_array_get(list, i % given)));
		return true;
	}
	return false;
}

/* Nemotron-H: "MEM*E": Mamba, experts, attention, '-' an MLP. */
static bool by_pattern(const struct shape_config *c, char *kinds, size_t n)
{
	const char *pattern = shape_word(c, "hybrid_override_pattern");

	if (strlen(pattern) < n)
		return false;
	for (size_t i = 0; i < n; i++)
		kinds[i] = pattern[i] == '*' ? FULL : pattern[i] == 'M' ? STATE : NONE;
	return true;
}

static bool by_numbers(const json_t *list, size_t base, char *kinds, size_t n, char kind)
{
	json_t *item;
	size_t i;
	int64_t at;

	json_array_foreach (list, i, item)
		if (vram_json_int(item, &at) && at >= (int64_t)base && at < (int64_t)(n + base))
			kinds[(size_t)at - base] = kind;
	return json_array_size(list) > 0;
}

/* Lists of the layers that attend: Bamba counts from 0, Kimi Linear from 1. */
static bool by_lists(const struct shape_config *c, char *kinds, size_t n)
{
	const json_t *attend = shape_value(c, "attn_layer_indices");
	const json_t *kimi =
			json_object_get(shape_value(c, "linear_attn_config"), "full_attn_layers");
	const json_t *flags = shape_value(c, "attn_type_list");

	if (json_array_size(flags) >= n) { /* MiniMax-01: 0 = linear */
		for (size_t i = 0; i < n; i++)
			kinds[i] = json_integer_value(json_array_get(flags, i)) ? FULL : STATE;
		return true;
	}
	if (!json_array_size(attend) && !json_array_size(kimi))
		return false;
	memset(kinds, STATE, n);
	return json_array_size(kimi) ? by_numbers(kimi, 1, kinds, n, FULL)
				     : by_numbers(attend, 0, kinds, n, FULL);
}

/* "Every so many layers one attends in full." */
static bool by_interval(const struct shape_config *c, char *kinds, size_t n)
{
	static const char *const linear[] = { "full_attention_interval", NULL };
	static const char *const jamba[] = { "attn_layer_period", NULL };
	static const char *const heads[] = { "linear_num_value_heads", NULL };
	size_t every = (size_t)shape_field(c, linear), offset;

	if (every || shape_field(c, heads)) {
		every = every ? every : 4;
		offset = every - 1;
	} else {
		every = (size_t)shape_field(c, jamba);
		offset = (size_t)json_integer_value(shape_value(c, "attn_layer_offset"));
	}
	for (size_t i = 0; every && i < n; i++)
		kinds[i] = i % every == offset ? FULL : STATE;
	return every > 0;
}

/* Sliding windows without a list: the pattern by number, or the family's habit. */
static bool by_window(const struct shape_config *c, char *kinds, size_t n)
{
	static const char *const pattern[] = { "sliding_window_pattern", "_sliding_window_pattern",
		NULL };
	static const char *const from[] = { "max_window_layers", NULL };
	const json_t *use = shape_value(c, "use_sliding_window");
	size_t every = (size_t)shape_field(c, pattern), first = (size_t)shape_field(c, from);
	const char *type = shape_word(c, "model_type");

	if (!shape_window(c) || json_is_false(use))
		return false;
	if (!every && !strncmp(type, "gemma2", 6))
		every = 2;
	if (!every && !strncmp(type, "gemma3", 6))
		every = 6;
	for (size_t i = 0; i < n; i++)
		kinds[i] = (every && (i + 1) % every == 0) || (json_is_true(use) && i < first)
				? FULL
				: WINDOW;
	return true;
}

/* No attention at all. */
static bool by_family(const struct shape_config *c, char *kinds, size_t n)
{
	static const char *const types[] = { "mamba", "mamba2", "falcon_mamba" };

	for (size_t i = 0; i < sb_countof(types); i++)
		if (!strcmp(types[i], shape_word(c, "model_type"))) {
			memset(kinds, STATE, n);
			return true;
		}
	return false;
}

static void which_layer(const struct shape_config *c, char *kinds, size_t n)
{
	static bool (*const readers[])(const struct shape_config *c, char *kinds, size_t n) = {
		by_words, by_pattern, by_lists, by_interval, by_window, by_family
	};
	static const char *const shared[] = { "num_kv_shared_layers", NULL };
	size_t share = (size_t)shape_field(c, shared);

	memset(kinds, FULL, n);
	for (size_t i = 0; i < sb_countof(readers); i++)
		if (readers[i](c, kinds, n))
			break;
	/* Gemma's last layers read the cache of earlier ones. */
	for (size_t i = share < n ? n - share : n; i < n; i++)
		kinds[i] = NONE;
}

/* --- the whole --- */

static size_t count_layers(const struct shape_config *c)
{
	static const char *const names[] = { "num_hidden_layers", "n_layer", "num_layers",
		"n_layers", NULL };
	size_t n = (size_t)shape_field(c, names);

	if (!n)
		n = json_array_size(shape_value(c, "layers_block_type"));
	return n <= SB_VRAM_LAYERS_MAX ? n : 0;
}

static void read_numbers(const struct shape_config *c, struct sb_vram_shape *s)
{
	static const char *const mtp[] = { "num_nextn_predict_layers", "mtp_num_hidden_layers",
		"mtp_num_layers", NULL };
	static const char *const len[] = { "max_position_embeddings", "n_positions", "max_seq_len",
		"seq_length", NULL };
	static const char *const hidden[] = { "hidden_size", "n_embd", "d_model", NULL };
	static const char *const vocab[] = { "vocab_size", NULL };
	const char *dtype = shape_word(c, "torch_dtype");
	const char *type = json_string_value(json_object_get(c->top, "model_type"));

	vram_name(s->model_type, type ? type : shape_word(c, "model_type"));
	s->mtp_layers = (int64_t)shape_field(c, mtp);
	s->native_len = (int64_t)shape_field(c, len);
	s->hidden = shape_field(c, hidden);
	s->vocab = shape_field(c, vocab);
	/* Gemma's files leave out what is its family's habit. */
	s->tied = shape_value(c, "tie_word_embeddings")
			? json_is_true(shape_value(c, "tie_word_embeddings"))
			: !strncmp(s->model_type, "gemma", 5);
	s->vision = json_is_object(json_object_get(c->top, "vision_config")) ||
			json_is_object(json_object_get(c->top, "audio_config"));
	if (!sb_vram_dtype_bytes(*dtype ? dtype : shape_word(c, "dtype"), &s->dtype_bytes))
		s->dtype_bytes = 2;
}

bool sb_vram_shape_read(const json_t *config, struct sb_vram_shape *ret)
{
	struct shape_config c = { config, text_map(config) };
	struct sb_vram_shape s = { 0 };
	char kinds[SB_VRAM_LAYERS_MAX];
	size_t n = count_layers(&c);

	*ret = s;
	read_numbers(&c, &s);
	if (!n) {
		*ret = s;
		return false;
	}
	which_layer(&c, kinds, n);
	for (size_t i = 0; i < n; i++) {
		struct sb_vram_set set = { 0 };

		switch (kinds[i]) {
		case STATE:
			shape_state(&c, &s, &set);
			break;
		case NONE:
			set.kind = SB_VRAM_NONE;
			break;
		default:
			shape_attention(&c, &s, kinds[i] == WINDOW, i, &set);
		}
		if (set.kind == SB_VRAM_KIND_COUNT_) {
			s.n_sets = 0;
			*ret = s;
			return false;
		}
		s.set_of[i] = set_number(&s, &set);
	}
	s.layers = (int64_t)n;
	shape_params(&c, kinds, &s);
	*ret = s;
	return true;
}

void sb_vram_shape_text(const struct sb_vram_shape *s, char *text, size_t size)
{
	static const char *const names[] = { [SB_VRAM_FULL] = "full attention",
		[SB_VRAM_WINDOW] = "sliding window",
		[SB_VRAM_LATENT] = "latent attention",
		[SB_VRAM_STATE] = "linear",
		[SB_VRAM_NONE] = "without a cache" };
	int64_t counts[SB_VRAM_KIND_COUNT_] = { 0 };
	size_t at;

	for (int64_t i = 0; i < s->layers; i++)
		counts[s->sets[s->set_of[i]].kind]++;
	at = (size_t)snprintf(text, size, "%lld layers", (long long)s->layers);
	for (size_t i = 0, n = 0; i < sb_countof(names); i++)
		if (counts[i] && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s%lld %s", n++ ? ", " : ": ",
					(long long)counts[i], names[i]);
}
