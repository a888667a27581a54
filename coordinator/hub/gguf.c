/* gguf.c - the head of a GGUF file, as the config.json that such a model does not have.
 *
 *   "GGUF"  u32 version  u64 tensors  u64 pairs  then pairs of key, u32 type, value
 *
 * Numbers are little-endian. Texts are u64 length and bytes; arrays are u32 type, u64 count and the
 * items. The pairs on the architecture come before the tokenizer's, which are long: what was read
 * of the file may end anywhere, and what came before counts. */
#include <string.h>

#include "internal.h"

#define PAIRS_MAX 4096u
#define ITEMS_MAX 1024u /* of an array that is kept: one a layer */
#define TEXT_MAX  128u

struct reader {
	const unsigned char *at, *end;
	bool failed; /* past the end, or nothing that can be skipped */
};

static uint64_t number(struct reader *r, size_t bytes)
{
	uint64_t value = 0;

	if ((size_t)(r->end - r->at) < bytes) {
		r->failed = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)r->at[i] << (8 * i);
	r->at += bytes;
	return value;
}

static void skip(struct reader *r, uint64_t bytes)
{
	if ((uint64_t)(r->end - r->at) < bytes)
		r->failed = true;
	else
		r->at += bytes;
}

/* "" for a text that is too long to be of use; it is skipped all the same. */
static void text(struct reader *r, char ret[TEXT_MAX])
{
	uint64_t len = number(r, 8);

	ret[0] = '\0';
	if (!r->failed && len < TEXT_MAX && (uint64_t)(r->end - r->at) >= len) {
		memcpy(ret, r->at, (size_t)len);
		ret[len] = '\0';
		sb_text_clean(ret);
	}
	skip(r, len);
}

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64, TYPES };
static const unsigned char widths[TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* NULL for what has no use here: floats, and numbers past an int64. */
static json_t *scalar(struct reader *r, uint32_t type)
{
	char word[TEXT_MAX];
	uint64_t value;

	if (type >= TYPES || type == ARRAY) {
		r->failed = true;
		return NULL;
	}
	if (type == TEXT) {
		text(r, word);
		return r->failed ? NULL : json_string(word);
	}
	value = number(r, widths[type]);
	if (r->failed || type == F32 || type == F64 || value > INT64_MAX)
		return NULL;
	return type == BOOL ? json_boolean(value) : json_integer((json_int_t)value);
}

/* Of a long array nothing is kept but its length. */
static json_t *array(struct reader *r, uint64_t *ret_count)
{
	uint32_t type = (uint32_t)number(r, 4);
	uint64_t n = number(r, 8);
	json_t *list = n <= ITEMS_MAX ? json_array() : NULL;

	*ret_count = r->failed ? 0 : n;
	if (type >= TYPES || type == ARRAY)
		r->failed = true;
	else if (!list && type != TEXT)
		skip(r, n > UINT64_MAX / 8 ? UINT64_MAX : n * widths[type]);
	for (uint64_t i = 0; !r->failed && (list || type == TEXT) && i < n; i++) {
		json_t *item = scalar(r, type);

		if (list)
			json_array_append_new(list, item ? item : json_null());
		else
			json_decref(item);
	}
	return list;
}

bool hub_is_gguf(const char *name)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	size_t len = strlen(base);

	return len > 5 && !strcmp(base + len - 5, ".gguf") && strncmp(base, "mmproj", 6) != 0 &&
			(!strstr(base, "-of-") || strstr(base, "-00001-of-"));
}

/* --- to the words of config.json --- */

static const char *name_of(const char *key)
{
	static const char *const names[][2] = { { "block_count", "num_hidden_layers" },
		{ "context_length", "max_position_embeddings" },
		{ "embedding_length", "hidden_size" },
		{ "feed_forward_length", "intermediate_size" }, { "vocab_size", "vocab_size" },
		{ "attention.head_count", "num_attention_heads" },
		{ "attention.head_count_kv", "num_key_value_heads" },
		{ "attention.key_length", "head_dim" }, { "attention.value_length", "v_head_dim" },
		{ "attention.sliding_window", "sliding_window" },
		{ "attention.sliding_window_pattern", "sliding_window_pattern" },
		{ "attention.kv_lora_rank", "kv_lora_rank" },
		{ "attention.q_lora_rank", "q_lora_rank" },
		{ "attention.key_length_mla", "key_length_mla" },
		{ "attention.value_length_mla", "value_length_mla" },
		{ "rope.dimension_count", "qk_rope_head_dim" }, { "expert_count", "num_experts" },
		{ "expert_used_count", "num_experts_per_tok" },
		{ "expert_feed_forward_length", "moe_intermediate_size" },
		{ "expert_shared_count", "n_shared_experts" },
		{ "expert_shared_feed_forward_length", "shared_expert_intermediate_size" },
		{ "leading_dense_block_count", "first_k_dense_replace" },
		{ "full_attention_interval", "full_attention_interval" },
		{ "ssm.conv_kernel", "conv_kernel" }, { "ssm.state_size", "ssm_state_size" },
		{ "ssm.group_count", "n_groups" }, { "ssm.time_step_rank", "mamba_num_heads" },
		{ "ssm.inner_size", "ssm_inner_size" } };

	for (size_t i = 0; i < sb_countof(names); i++)
		if (!strcmp(names[i][0], key))
			return names[i][1];
	return NULL;
}

static void take_pair(struct reader *r, json_t *config, const char *key, uint32_t type)
{
	const char *type_name = json_string_value(json_object_get(config, "model_type"));
	size_t len = type_name ? strlen(type_name) : 0;
	const char *name = len && !strncmp(key, type_name, len) && key[len] == '.'
			? name_of(key + len + 1)
			: !strcmp(key, "general.architecture") ? "model_type"
							       : NULL;
	uint64_t count = 0;
	json_t *value = type == ARRAY ? array(r, &count) : scalar(r, type);

	if (!strcmp(key, "tokenizer.ggml.tokens") && count && count <= INT64_MAX) {
		json_decref(value);
		value = json_integer((json_int_t)count);
		name = "vocab_size";
	}
	if (name && value && (!r->failed || !strcmp(name, "vocab_size")))
		json_object_set(config, name, value);
	json_decref(value);
}

static json_int_t at_layer(const json_t *value, size_t i)
{
	return json_integer_value(json_is_array(value) ? json_array_get(value, i) : value);
}

/* Where layers differ, lists tell: heads of the cache (none: no attention), width of the MLP (none:
 * a state alone), windows. */
static void spread_layers(json_t *config)
{
	json_t *heads = json_object_get(config, "num_key_value_heads");
	json_t *inner = json_object_get(config, "intermediate_size");
	json_t *windows = json_object_get(config, "sliding_window_pattern");
	json_t *kinds = json_array(), *first = NULL;
	size_t n = json_is_array(windows) ? json_array_size(windows) : json_array_size(heads);

	for (size_t i = 0; i < n; i++) {
		bool state = json_is_array(heads) && !at_layer(heads, i);
		bool window = json_is_array(windows) &&
				(json_is_true(json_array_get(windows, i)) || at_layer(windows, i));

		if (!state && !first)
			first = json_integer(at_layer(heads, i));
		json_array_append_new(kinds,
				json_string(!state ? window ? "sliding_attention" : "full_attention"
								: json_is_array(inner) &&
										at_layer(inner, i)
								? "mlp"
								: "mamba"));
	}
	if (n)
		json_object_set(config, "layer_types", kinds);
	if (json_is_array(heads) && first)
		json_object_set(config, "num_key_value_heads", first);
	if (json_is_array(windows))
		json_object_del(config, "sliding_window_pattern");
	json_decref(kinds);
	json_decref(first);
}

/* The window without a pattern: llama.cpp has it in its code. Elsewhere every layer counts in full.
 */
static void add_pattern(json_t *config)
{
	static const struct {
		const char *type;
		int every;
	} rows[] = { { "gpt-oss", 2 }, { "gemma2", 2 }, { "gemma3", 6 }, { "gemma3n", 5 },
		{ "cohere2", 4 } };
	const char *type = json_string_value(json_object_get(config, "model_type"));

	if (json_object_get(config, "sliding_window_pattern") ||
			json_object_get(config, "layer_types"))
		return;
	for (size_t i = 0; i < sb_countof(rows); i++)
		if (type && !strcmp(rows[i].type, type)) {
			json_object_set_new(config, "sliding_window_pattern",
					json_integer(rows[i].every));
			return;
		}
	json_object_del(config, "sliding_window");
}

static json_int_t get(const json_t *config, const char *name)
{
	return json_integer_value(json_object_get(config, name));
}

/* The same keys mean Mamba's states and those of Gated DeltaNet. */
static void add_states(json_t *config)
{
	const char *type = json_string_value(json_object_get(config, "model_type"));
	json_int_t n = get(config, "mamba_num_heads"), inner = get(config, "ssm_inner_size");
	bool delta = type && (!strncmp(type, "qwen3next", 9) || !strncmp(type, "qwen35", 6));
	static const char *const copies[][2] = { { "n_groups", "linear_num_key_heads" },
		{ "mamba_num_heads", "linear_num_value_heads" },
		{ "ssm_state_size", "linear_key_head_dim" },
		{ "conv_kernel", "linear_conv_kernel_dim" } };

	if (n <= 0 || inner <= 0)
		return;
	/* llama.cpp keeps states in 32 bits. */
	json_object_set_new(config, "mamba_ssm_dtype", json_string("float32"));
	json_object_set_new(config, delta ? "linear_value_head_dim" : "mamba_head_dim",
			json_integer(inner / n));
	for (size_t i = 0; delta && i < sb_countof(copies); i++) {
		json_object_set(config, copies[i][1], json_object_get(config, copies[i][0]));
		json_object_del(config, copies[i][0]);
	}
}

/* Of latent attention, heads as they are before they share a latent. */
static void add_latent(json_t *config)
{
	json_int_t key = get(config, "key_length_mla"), value = get(config, "value_length_mla");

	if (!json_object_get(config, "kv_lora_rank"))
		return;
	key = key ? key : get(config, "head_dim");
	json_object_set_new(config, "qk_nope_head_dim",
			json_integer(key - get(config, "qk_rope_head_dim")));
	if (value)
		json_object_set_new(config, "v_head_dim", json_integer(value));
}

json_t *sb_hub_gguf(const void *data, size_t len)
{
	struct reader r = { data, (const unsigned char *)data + len, false };
	json_t *config;
	uint64_t version, pairs;

	if (len < 4 || memcmp(data, "GGUF", 4) != 0)
		return NULL;
	skip(&r, 4);
	version = number(&r, 4);
	number(&r, 8);
	pairs = number(&r, 8);
	if (r.failed || version < 2 || version > 3 || pairs > PAIRS_MAX)
		return NULL;
	config = json_object();
	for (uint64_t i = 0; config && !r.failed && i < pairs; i++) {
		char key[TEXT_MAX];
		uint32_t type;

		text(&r, key);
		type = (uint32_t)number(&r, 4);
		if (!r.failed)
			take_pair(&r, config, key, type);
	}
	spread_layers(config);
	add_pattern(config);
	add_states(config);
	add_latent(config);
	if (json_object_get(config, "num_hidden_layers"))
		return config;
	json_decref(config);
	return NULL;
}
