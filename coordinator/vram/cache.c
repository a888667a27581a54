/* cache.c - what a sequence takes of the pool.
 *
 * vLLM cuts the pool into blocks of one size. Layers that are alike form groups of as many layers
 * as the rarest kind has, and a block is one page of every layer of a group. A page holds the keys
 * and values of so many tokens, or one state. Where there are states, a page of attention is made
 * large enough for one: with Qwen3.6-35B-A3B (fp8 cache, 3 tokens drafted) a state takes 2,195,456
 * bytes, so a page has 2,144 tokens; 10 layers of attention and the drafting one make groups of 11,
 * so the 30 linear layers make 3; and a sequence of 65,536 tokens has 31 + 3 x 5 = 46 blocks. That
 * is what the engine printed, to the token. Other engines count by token. */
#include <math.h>
#include <string.h>

#include "internal.h"
#include "sb_vram_fit.h"

#define GRAIN        16.0   /* tokens; a page of attention is a multiple of it */
#define BATCHED      8192.0 /* tokens of a step, where the launch does not say */
#define SPLIT_BELOW  1.5    /* kinds nearer in number than this share one group size */
#define LLAMA_UBATCH 512.0

bool sb_vram_kv_element(const char *dtype, double model_bytes, double *ret)
{
	static const struct {
		const char *name;
		double bytes;
	} more[] = { { "f32", 4 }, { "f16", 2 }, { "fp8_inc", 1 }, { "nvfp4", 0.5 + 1.0 / 16 },
		{ "fp4_e2m1", 0.5 + 1.0 / 32 }, { "mxfp4", 0.5 + 1.0 / 32 },
		/* DeepSeek's sparse attention: 656 bytes for 576 elements. */
		{ "fp8_ds_mla", 656.0 / 576 } };
	char key[SB_VRAM_NAME_MAX];

	vram_key(key, dtype ? dtype : "");
	if (!*key || !strcmp(key, "auto")) {
		*ret = model_bytes;
		return true;
	}
	for (size_t i = 0; i < sb_countof(more); i++)
		if (!strcmp(more[i].name, key)) {
			*ret = more[i].bytes;
			return true;
		}
	return sb_vram_dtype_bytes(key, ret);
}

/* Numbers that the steps below share. */
struct layout {
	const struct sb_vram_shape *shape;
	const struct sb_vram_cache_settings *settings;
	double count[SB_VRAM_SETS_MAX]; /* layers of each set on this stage */
	double token[SB_VRAM_SETS_MAX]; /* bytes of a token in one layer */
	double state[SB_VRAM_SETS_MAX]; /* bytes of one state */
	double copies;                  /* states that a sequence keeps */
	bool windows, states, sparse;
};

static double share(double whole, int64_t tp)
{
	double part = ceil(whole / (double)tp);

	return part < 1 ? 1 : part;
}

static double token_bytes(const struct layout *l, const struct sb_vram_set *set)
{
	const struct sb_vram_cache_settings *s = l->settings;

	if (set->kind == SB_VRAM_FULL || set->kind == SB_VRAM_WINDOW)
		return share(set->kv_heads, s->tp) *
				(set->key_dim * s->key_bytes + set->value_dim * s->value_bytes) +
				set->extra_bytes;
	if (set->kind == SB_VRAM_LATENT)
		return (set->latent * s->key_bytes + set->extra_bytes) / set->every;
	return 0;
}

static double state_bytes(const struct layout *l, const struct sb_vram_set *set)
{
	double tp = (double)l->settings->tp;
	double past = set->conv_len + (double)l->settings->spec_tokens;

	if (set->kind != SB_VRAM_STATE)
		return 0;
	return set->conv_dim / tp * past * l->shape->dtype_bytes +
			set->state_elements / tp * set->state_bytes;
}

static void count_layers(struct layout *l)
{
	const struct sb_vram_shape *shape = l->shape;
	const struct sb_vram_cache_settings *s = l->settings;
	int64_t from = s->n_layers ? s->first_layer : 0;
	int64_t to = s->n_layers ? s->first_layer + s->n_layers : shape->layers;

	for (int64_t i = from; i < to && i < shape->layers; i++)
		l->count[shape->set_of[i]]++;
	/* The layers that draft attend in full. */
	for (size_t i = 0; s->mtp && to >= shape->layers && i < shape->n_sets; i++)
		if (shape->sets[i].kind == SB_VRAM_FULL || shape->sets[i].kind == SB_VRAM_LATENT) {
			l->count[i] += shape->mtp_layers ? (double)shape->mtp_layers : 1;
			break;
		}
	for (size_t i = 0; i < shape->n_sets; i++) {
		const struct sb_vram_set *set = &shape->sets[i];

		l->token[i] = token_bytes(l, set);
		l->state[i] = state_bytes(l, set);
		if (!l->count[i])
			continue;
		l->windows |= set->kind == SB_VRAM_WINDOW;
		l->states |= set->kind == SB_VRAM_STATE;
		l->sparse |= set->kind == SB_VRAM_LATENT && set->every > 1;
	}
}

static bool has_cache(const struct layout *l, size_t i)
{
	return l->count[i] > 0 && l->shape->sets[i].kind != SB_VRAM_NONE;
}

/* Tokens of a window that are kept while a step of many tokens is worked on. */
static double window_tokens(const struct layout *l, const struct sb_vram_set *set)
{
	double step = l->settings->batched_tokens ? (double)l->settings->batched_tokens : BATCHED;

	if (l->settings->engine == SB_VRAM_VLLM)
		return set->window - 1 + step;
	return set->window + (l->settings->engine == SB_VRAM_LLAMA_CPP ? LLAMA_UBATCH : 0);
}

static struct sb_vram_part *add_part(struct sb_vram_cache *cache)
{
	struct sb_vram_part *part = &cache->parts[cache->n_parts++];

	part->groups = part->tokens = 1;
	return part;
}

/* By token, each kind for itself. */
static void by_token(const struct layout *l, struct sb_vram_cache *cache)
{
	cache->block_bytes = 1;
	for (size_t i = 0; i < l->shape->n_sets; i++) {
		const struct sb_vram_set *set = &l->shape->sets[i];
		struct sb_vram_part *part;

		if (!has_cache(l, i))
			continue;
		part = add_part(cache);
		if (set->kind == SB_VRAM_STATE) {
			part->fixed = l->copies;
			part->unit = l->count[i] * l->state[i];
			continue;
		}
		part->unit = l->count[i] * l->token[i];
		if (set->kind == SB_VRAM_WINDOW)
			part->limit = window_tokens(l, set);
	}
}

/* One kind of attention, perhaps of several widths: a block is a page of every layer. */
static void one_group(const struct layout *l, double grain, struct sb_vram_cache *cache)
{
	struct sb_vram_part *part = add_part(cache);

	for (size_t i = 0; i < l->shape->n_sets; i++)
		part->unit += l->count[i] * l->token[i] * grain;
	part->tokens = grain;
	cache->paged = true;
	cache->block_bytes = part->unit;
}

static double group_size(const struct layout *l)
{
	double least = INFINITY, most = 0;

	for (size_t i = 0; i < l->shape->n_sets; i++) {
		if (!has_cache(l, i))
			continue;
		least = fmin(least, l->count[i]);
		most = fmax(most, l->count[i]);
	}
	return most < least * SPLIT_BELOW ? most : least;
}

/* Bytes of a page: of attention, or of a state when that is larger. */
static double page_bytes(const struct layout *l, double grain)
{
	double token = 0, state = 0;

	for (size_t i = 0; i < l->shape->n_sets; i++) {
		if (!has_cache(l, i))
			continue;
		token = fmax(token, l->token[i]);
		state = fmax(state, l->state[i]);
	}
	if (!token)
		return state;
	if (state > token * grain)
		grain = GRAIN * ceil(state / (GRAIN * token));
	return token * grain;
}

static void by_groups(const struct layout *l, double grain, struct sb_vram_cache *cache)
{
	double page = page_bytes(l, grain), size = group_size(l);

	cache->paged = true;
	cache->block_bytes = page * size;
	for (size_t i = 0; i < l->shape->n_sets; i++) {
		const struct sb_vram_set *set = &l->shape->sets[i];
		struct sb_vram_part *part;

		if (!has_cache(l, i))
			continue;
		part = add_part(cache);
		part->groups = ceil(l->count[i] / size);
		part->unit = cache->block_bytes;
		if (set->kind == SB_VRAM_STATE) {
			part->fixed = l->copies;
			continue;
		}
		part->tokens = fmax(GRAIN, GRAIN * floor(page / (GRAIN * l->token[i])));
		if (set->kind == SB_VRAM_WINDOW) {
			part->limit = window_tokens(l, set);
			part->spare = 1;
		}
	}
}

static void sum_up(const struct layout *l, struct sb_vram_cache *cache)
{
	for (size_t i = 0; i < l->shape->n_sets; i++) {
		const struct sb_vram_set *set = &l->shape->sets[i];

		if (set->kind == SB_VRAM_FULL || set->kind == SB_VRAM_LATENT)
			cache->token_bytes += l->count[i] * l->token[i];
		else if (set->kind == SB_VRAM_WINDOW)
			cache->fixed_bytes += l->count[i] * l->token[i] * set->window;
		else
			cache->fixed_bytes += l->count[i] * l->state[i];
	}
}

void sb_vram_cache(const struct sb_vram_shape *shape, const struct sb_vram_cache_settings *settings,
		struct sb_vram_cache *ret)
{
	struct layout l = { .shape = shape, .settings = settings };
	double grain = settings->block_tokens > 0 ? (double)settings->block_tokens : GRAIN;
	struct sb_vram_cache cache = { .known = shape->layers > 0 };

	if (cache.known) {
		count_layers(&l);
		/* With a cache of prefixes a sequence keeps the state before its last block too. */
		l.copies = settings->engine == SB_VRAM_VLLM
				? (settings->no_prefix_cache ? 1.0 : 2.0) +
						(double)settings->spec_tokens
				: 1;
		if (settings->engine != SB_VRAM_VLLM || l.sparse)
			by_token(&l, &cache);
		else if (l.windows || l.states)
			by_groups(&l, grain, &cache);
		else
			one_group(&l, grain, &cache);
		sum_up(&l, &cache);
	}
	*ret = cache;
}

static double blocks(const struct sb_vram_part *part, double tokens)
{
	if (part->fixed)
		return part->groups * part->fixed;
	if (part->limit && tokens > part->limit)
		tokens = part->limit;
	return part->groups * (ceil(tokens / part->tokens) + part->spare);
}

double sb_vram_cache_bytes(const struct sb_vram_cache *cache, double tokens)
{
	double sum = 0;

	for (size_t i = 0; i < cache->n_parts; i++)
		sum += blocks(&cache->parts[i], tokens) * cache->parts[i].unit;
	return sum;
}

double sb_vram_cache_sequences(const struct sb_vram_cache *cache, double bytes, double tokens)
{
	double one = sb_vram_cache_bytes(cache, tokens);

	if (!(one > 0) || !(bytes > 0))
		return 0;
	if (!cache->paged)
		return bytes / one;
	return floor(bytes / cache->block_bytes) / (one / cache->block_bytes);
}

int64_t sb_vram_cache_longest(const struct sb_vram_cache *cache, double bytes, int64_t limit)
{
	int64_t good = 0, bad = limit + 1;

	if (limit <= 0 || !(sb_vram_cache_bytes(cache, (double)limit) > 0))
		return 0;
	while (bad - good > 1) {
		int64_t middle = good + (bad - good) / 2;

		if (sb_vram_cache_sequences(cache, bytes, (double)middle) >= 1)
			good = middle;
		else
			bad = middle;
	}
	return good;
}

#define BANDWIDTH 273e9 /* bytes a second, of LPDDR5X on a Spark */

double sb_vram_decode_ceiling(double active_params, double bytes_per_param)
{
	double bytes = active_params * bytes_per_param;

	return bytes > 0 ? BANDWIDTH / bytes : 0;
}
