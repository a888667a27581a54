/* layers.c - the sizes of one layer: attention in its forms, and what stands in its place. */
#include <string.h>

#include "shape.h"

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

double shape_window(const struct shape_config *c)
{
	return shape_field(c, NAMES("sliding_window", "attention_chunk_size", "window_size"));
}

static double heads(const struct shape_config *c)
{
	return shape_field(c, NAMES("num_attention_heads", "n_head", "n_heads"));
}

/* Qwen's newer families gate the output of attention: its projection for queries is twice as wide.
 */
static bool gated_output(const struct shape_config *c)
{
	const json_t *given = shape_value(c, "attn_output_gate");
	const char *type = shape_word(c, "model_type");

	if (given)
		return json_is_true(given);
	return !strncmp(type, "qwen3_5", 7) || !strncmp(type, "qwen3_next", 10);
}

/* DeepSeek's latent attention: what all heads share, and the part with the position. Sparse
 * attention keeps an index besides: a key of 8 bits an element and its scale. */
static void latent(const struct shape_config *c, struct sb_vram_shape *s, struct sb_vram_set *set)
{
	double rank = shape_field(c, NAMES("kv_lora_rank")), n = heads(c);
	double rope = shape_field(c, NAMES("qk_rope_head_dim"));
	double nope = shape_field(c, NAMES("qk_nope_head_dim"));
	double value = shape_field(c, NAMES("v_head_dim"));
	double q_rank = shape_field(c, NAMES("q_lora_rank"));
	double index = shape_field(c, NAMES("index_head_dim"));
	double queries = n * (nope + rope);

	set->kind = SB_VRAM_LATENT;
	set->latent = rank + rope;
	set->extra_bytes = index ? index + 4 : 0;
	set->every = 1;
	set->params = (q_rank ? s->hidden * q_rank + q_rank * queries : s->hidden * queries) +
			s->hidden * (rank + rope) + rank * n * (nope + value) +
			n * value * s->hidden;
}

/* DeepSeek V4: one key for all heads that is the value too; a layer keeps an entry for every so
 * many tokens, or a window alone. */
static void compressed(const struct shape_config *c, struct sb_vram_shape *s, size_t at,
		struct sb_vram_set *set)
{
	const json_t *ratio = json_array_get(shape_value(c, "compress_ratios"), at);
	double dim = shape_field(c, NAMES("head_dim")), n = heads(c);
	double index = shape_field(c, NAMES("index_head_dim"));
	double q_rank = shape_field(c, NAMES("q_lora_rank"));
	double o_rank = shape_field(c, NAMES("o_lora_rank")) * shape_field(c, NAMES("o_groups"));
	int64_t every = 0;

	vram_json_int(ratio, &every);
	s->guessed = true;
	set->kind = every > 0 && every < (int64_t)1 << 20 ? SB_VRAM_LATENT : SB_VRAM_WINDOW;
	set->latent = dim;
	set->every = set->kind == SB_VRAM_LATENT ? (double)every : 0;
	set->extra_bytes = set->kind == SB_VRAM_LATENT && every <= 4 ? index + 4 : 0;
	set->window = shape_window(c);
	if (set->kind == SB_VRAM_WINDOW) {
		set->kv_heads = 1;
		set->key_dim = dim;
	}
	set->params = s->hidden * q_rank + q_rank * n * dim + s->hidden * dim +
			n * dim *
					(o_rank ? o_rank / shape_field(c, NAMES("o_groups"))
						: s->hidden) +
			o_rank * s->hidden;
}

/* MiniMax M3 picks blocks of the cache by an index: a key more for each token of a sparse layer. */
static double index_bytes(const struct shape_config *c, struct sb_vram_shape *s, size_t at)
{
	const json_t *map = shape_value(c, "sparse_attention_config");
	const struct shape_config inner = { map, map };
	const json_t *sparse = json_array_get(json_object_get(map, "sparse_attention_freq"), at);

	if (!json_integer_value(sparse))
		return 0;
	s->guessed = true;
	return shape_field(&inner, NAMES("sparse_index_dim")) * s->dtype_bytes;
}

static void grouped(const struct shape_config *c, struct sb_vram_shape *s, bool window, size_t at,
		struct sb_vram_set *set)
{
	double n = heads(c),
	       kv = shape_field(c,
			       NAMES("num_key_value_heads", "num_kv_heads",
					       "multi_query_group_num"));
	double dim = shape_field(c, NAMES("head_dim", "attention_head_dim", "kv_channels"));
	double global = window ? 0 : shape_field(c, NAMES("global_head_dim"));
	double global_kv = window ? 0 : shape_field(c, NAMES("num_global_key_value_heads"));
	double value;

	if (global_kv && json_is_true(shape_value(c, "attention_k_eq_v")))
		kv = global_kv;
	dim = global ? global : dim ? dim : n ? (double)(int64_t)(s->hidden / n) : 0;
	kv = kv ? kv : n;
	value = shape_field(c, NAMES("v_head_dim"));
	value = value ? value : dim;
	set->kind = window ? SB_VRAM_WINDOW : SB_VRAM_FULL;
	if (!kv || !dim)
		set->kind = SB_VRAM_KIND_COUNT_;
	set->kv_heads = kv;
	set->key_dim = dim;
	set->value_dim = value;
	set->window = window ? shape_window(c) : 0;
	set->extra_bytes = index_bytes(c, s, at);
	set->params = s->hidden * n * dim * (gated_output(c) ? 2 : 1) +
			s->hidden * kv * (dim + value) + n * value * s->hidden;
}

void shape_attention(const struct shape_config *c, struct sb_vram_shape *s, bool window, size_t at,
		struct sb_vram_set *ret)
{
	if (json_array_size(shape_value(c, "compress_ratios")))
		compressed(c, s, at, ret);
	else if (shape_field(c, NAMES("kv_lora_rank")))
		latent(c, s, ret);
	else
		grouped(c, s, window && shape_window(c), at, ret);
}

/* --- states --- */

static double state_bytes(const struct shape_config *c, const struct sb_vram_shape *s)
{
	static const char *const names[] = { "mamba_ssm_dtype", "mamba_ssm_cache_dtype" };
	double bytes;

	for (size_t i = 0; i < sb_countof(names); i++)
		if (sb_vram_dtype_bytes(shape_word(c, names[i]), &bytes))
			return bytes;
	return s->dtype_bytes;
}

/* Gated DeltaNet (Qwen3-Next, Qwen3.5). */
static bool delta(const struct shape_config *c, const struct sb_vram_shape *s,
		struct sb_vram_set *set)
{
	double k_heads = shape_field(c, NAMES("linear_num_key_heads"));
	double v_heads = shape_field(c, NAMES("linear_num_value_heads"));
	double k_dim = shape_field(c, NAMES("linear_key_head_dim"));
	double v_dim = shape_field(c, NAMES("linear_value_head_dim"));
	double kernel = shape_field(c, NAMES("linear_conv_kernel_dim"));

	set->conv_dim = 2 * k_heads * k_dim + v_heads * v_dim;
	set->conv_len = kernel - 1;
	set->state_elements = v_heads * k_dim * v_dim;
	set->params = s->hidden * (2 * k_heads * k_dim + 2 * v_heads * v_dim + 2 * v_heads) +
			set->conv_dim * kernel + v_heads * v_dim * s->hidden;
	return k_heads && v_heads && k_dim && v_dim && kernel;
}

/* Mamba 2 (Nemotron-H, Bamba, Granite). */
static bool mamba2(const struct shape_config *c, const struct sb_vram_shape *s,
		struct sb_vram_set *set)
{
	double n = shape_field(c, NAMES("mamba_num_heads", "mamba_n_heads", "num_heads"));
	double dim = shape_field(c, NAMES("mamba_head_dim", "mamba_d_head", "head_dim"));
	double groups = shape_field(c, NAMES("n_groups", "mamba_n_groups", "mamba_ngroups"));
	double state = shape_field(c, NAMES("ssm_state_size", "mamba_d_state", "state_size"));
	double kernel = shape_field(c, NAMES("conv_kernel", "mamba_d_conv", "conv_kernel_size"));

	set->conv_dim = n * dim + 2 * groups * state;
	set->conv_len = kernel - 1;
	set->state_elements = n * dim * state;
	set->params = s->hidden * (n * dim + set->conv_dim + n) + set->conv_dim * kernel +
			n * dim * s->hidden;
	return n && dim && groups && state && kernel;
}

/* Mamba 1 (Jamba, Falcon Mamba). */
static bool mamba1(const struct shape_config *c, const struct sb_vram_shape *s,
		struct sb_vram_set *set)
{
	double expand = shape_field(c, NAMES("mamba_expand", "expand"));
	double inner = expand ? expand * s->hidden : shape_field(c, NAMES("intermediate_size"));
	double state = shape_field(c, NAMES("mamba_d_state", "state_size"));
	double kernel = shape_field(c, NAMES("mamba_d_conv", "conv_kernel"));
	double rank = shape_field(c, NAMES("mamba_dt_rank", "time_step_rank"));

	set->conv_dim = inner;
	set->conv_len = kernel - 1;
	set->state_elements = inner * state;
	set->params = s->hidden * 2 * inner + inner * (kernel + rank + 2 * state) + rank * inner +
			inner * s->hidden;
	return inner && state && kernel;
}

/* Kimi Linear: a convolution each for queries, keys and values. */
static bool kimi(const struct shape_config *c, const struct sb_vram_shape *s,
		struct sb_vram_set *set)
{
	const json_t *map = shape_value(c, "linear_attn_config");
	const struct shape_config inner = { map, map };
	double n = shape_field(&inner, NAMES("num_heads")),
	       dim = shape_field(&inner, NAMES("head_dim"));
	double kernel = shape_field(&inner, NAMES("short_conv_kernel_size"));

	set->conv_dim = 3 * n * dim;
	set->conv_len = kernel - 1;
	set->state_elements = n * dim * dim;
	set->params = 4 * s->hidden * n * dim;
	return n && dim && kernel;
}

/* Short convolutions (LFM2), lightning attention (MiniMax-01). */
static bool others(const struct shape_config *c, const struct sb_vram_shape *s,
		struct sb_vram_set *set)
{
	double past = shape_field(c, NAMES("conv_L_cache")), n = heads(c);
	double dim = shape_field(c, NAMES("head_dim"));

	if (past) {
		set->conv_dim = s->hidden;
		set->conv_len = past;
		set->params = 4 * s->hidden * s->hidden;
		return s->hidden > 0;
	}
	set->state_elements = n * dim * dim;
	set->params = 5 * s->hidden * n * dim;
	return n && dim;
}

void shape_state(const struct shape_config *c, struct sb_vram_shape *s, struct sb_vram_set *ret)
{
	static bool (*const readers[])(const struct shape_config *c, const struct sb_vram_shape *s,
			struct sb_vram_set *set) = { delta, kimi, mamba2, mamba1, others };

	for (size_t i = 0; i < sb_countof(readers); i++) {
		struct sb_vram_set set = { .kind = SB_VRAM_STATE,
			.state_bytes = state_bytes(c, s) };

		if (!readers[i](c, s, &set))
			continue;
		if (i) /* the first alone agrees with a page size that an engine printed */
			s->guessed = true;
		*ret = set;
		return;
	}
	ret->kind = SB_VRAM_KIND_COUNT_;
}
