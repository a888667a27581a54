/* size.c - bytes of a checkpoint on disk, without having it. */
#include <string.h>

#include "internal.h"

static bool listed(const struct sb_vram_facts *facts, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < facts->n_files; i++) {
		if (strcmp(facts->files[i].name, name) != 0 || !facts->files[i].bytes)
			continue;
		*ret = facts->files[i].bytes;
		return true;
	}
	return false;
}

/* Every file that the map names, once. The map has an entry per tensor: tens of thousands. */
static json_t *file_set(const json_t *weight_map)
{
	json_t *set = json_object();
	const char *tensor;
	json_t *file;

	json_object_foreach ((json_t *)weight_map, tensor, file) {
		const char *name = json_string_value(file);

		if (name && !json_object_get(set, name))
			json_object_set_new(set, name, json_true());
	}
	return set;
}

static bool from_listing(const struct sb_vram_facts *facts, uint64_t *ret)
{
	json_t *set = file_set(json_object_get(facts->index, "weight_map")), *unused;
	uint64_t sum = 0, bytes;
	const char *name;
	bool any = false;

	json_object_foreach (set, name, unused) {
		if (!listed(facts, name, &bytes))
			continue;
		any = !__builtin_add_overflow(sum, bytes, &sum);
		if (!any)
			break;
	}
	json_decref(set);
	if (any)
		*ret = sum;
	return any;
}

static bool from_index(const struct sb_vram_facts *facts, uint64_t *ret)
{
	int64_t total;

	if (!vram_json_int(json_object_get(json_object_get(facts->index, "metadata"), "total_size"),
			    &total) ||
			total <= 0)
		return false;
	*ret = (uint64_t)total;
	return true;
}

static bool from_single(const struct sb_vram_facts *facts, uint64_t *ret)
{
	return listed(facts, "model.safetensors", ret);
}

static uint64_t element_bytes(const char *dtype)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = { { "F64", 8 }, { "I64", 8 }, { "F32", 4 }, { "I32", 4 }, { "F8_E4M3", 1 },
		{ "F8_E5M2", 1 }, { "I8", 1 }, { "U8", 1 }, { "BOOL", 1 } };

	for (size_t i = 0; i < sb_countof(rows); i++)
		if (!strcmp(rows[i].name, dtype))
			return rows[i].bytes;
	return 2; /* F16, BF16, I16, and what is not known */
}

static bool from_counts(const struct sb_vram_facts *facts, uint64_t *ret)
{
	json_t *counts = json_object_get(facts->counts, "parameters"), *count;
	uint64_t sum = 0, bytes;
	const char *dtype;
	int64_t n;

	json_object_foreach (counts, dtype, count) {
		if (!vram_json_int(count, &n) || n < 0 ||
				__builtin_mul_overflow((uint64_t)n, element_bytes(dtype), &bytes) ||
				__builtin_add_overflow(sum, bytes, &sum))
			return false;
	}
	if (sum)
		*ret = sum;
	return sum > 0;
}

bool sb_vram_disk_bytes(
		const struct sb_vram_facts *facts, uint64_t *ret_bytes, const char **ret_source)
{
	static const struct {
		bool (*read)(const struct sb_vram_facts *facts, uint64_t *ret);
		const char *source;
	} steps[] = {
		{ from_listing, "sizes of the safetensors files" },
		{ from_index, "model.safetensors.index.json" },
		{ from_single, "size of model.safetensors" },
		{ from_counts, "parameter counts of the hub" },
	};

	for (size_t i = 0; i < sb_countof(steps); i++) {
		if (!steps[i].read(facts, ret_bytes))
			continue;
		*ret_source = steps[i].source;
		return true;
	}
	return false;
}
