/* config.c - config.json as the published tool reads it. A key that is there with null counts as
 * there: it blocks the keys after it. */
#include <string.h>

#include "internal.h"

static const char *const dtype_keys[] = { "torch_dtype", "dtype", NULL };
static const char *const layer_keys[] = { "num_hidden_layers", "n_layer", "num_layers", "n_layers",
	NULL };
static const char *const kv_head_keys[] = { "num_key_value_heads", "num_kv_heads",
	"num_attention_heads", "n_head", NULL };
static const char *const head_keys[] = { "num_attention_heads", "n_head", NULL };

static const json_t *first_of(const json_t *map, const char *const *keys)
{
	for (; *keys; keys++) {
		const json_t *value = json_object_get(map, *keys);

		if (value)
			return value;
	}
	return NULL;
}

static void whole(const json_t *value, struct sb_vram_whole *ret)
{
	ret->known = value && vram_json_int(value, &ret->value);
}

static void head_dim(const json_t *map, struct sb_vram_whole *ret)
{
	const json_t *given = json_object_get(map, "head_dim");
	int64_t hidden, heads;

	if (given) {
		whole(given, ret);
		return;
	}
	if (!vram_json_int(json_object_get(map, "hidden_size"), &hidden) ||
			!vram_json_int(first_of(map, head_keys), &heads) || heads <= 0)
		return;
	*ret = (struct sb_vram_whole){ true, hidden / heads };
}

static void read_map(const json_t *map, struct vram_config *ret)
{
	vram_name(ret->dtype, json_string_value(first_of(map, dtype_keys)));
	whole(first_of(map, layer_keys), &ret->layers);
	whole(first_of(map, kv_head_keys), &ret->kv_heads);
	head_dim(map, &ret->head_dim);
}

void vram_config_read(const json_t *config, struct vram_config *ret)
{
	static const char *const nested[] = { "text_config", "llm_config", "language_config" };
	struct vram_config inner = { 0 };

	*ret = (struct vram_config){ 0 };
	read_map(config, ret);
	if (*ret->dtype && ret->layers.known && ret->kv_heads.known && ret->head_dim.known)
		return;
	for (size_t i = 0; i < sb_countof(nested); i++) {
		const json_t *map = json_object_get(config, nested[i]);

		if (!json_is_object(map))
			continue;
		read_map(map, &inner);
		if (!*ret->dtype)
			strcpy(ret->dtype, inner.dtype);
		if (!ret->layers.known)
			ret->layers = inner.layers;
		if (!ret->kv_heads.known)
			ret->kv_heads = inner.kv_heads;
		if (!ret->head_dim.known)
			ret->head_dim = inner.head_dim;
		return;
	}
}
