/* quant.c - how a checkpoint's weights are stored: from the recipe, config.json,
 * hf_quant_config.json or the suffix of a GGUF name, by the published tool's rules. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

bool vram_quant_given(const char *text)
{
	return !sb_empty(text) && strcasecmp(text, "none") != 0 && strcasecmp(text, "auto") != 0;
}

static void lower(char ret[SB_VRAM_NAME_MAX], const char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	vram_name(ret, text);
	len = strlen(ret);
	while (len && isspace((unsigned char)ret[len - 1]))
		ret[--len] = '\0';
	for (char *p = ret; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

void vram_algorithm(const char *name, struct sb_vram_quant *ret)
{
	static const struct {
		const char *name, *dtype;
		int64_t bits;
	} rows[] = { { "fp8", "fp8", 8 }, { "fp8_e4m3", "fp8", 8 }, { "fp8_e5m2", "fp8", 8 },
		{ "nvfp4", "nvfp4", 4 }, { "mxfp4", "mxfp4", 4 }, { "awq", "awq4", 4 },
		{ "gptq", "gptq", 4 }, { "marlin", "gptq", 4 }, { "int4", "int4", 4 },
		{ "int8", "int8", 8 } };

	lower(ret->dtype, name);
	ret->bits = 0;
	for (size_t i = 0; i < sb_countof(rows); i++) {
		if (strcmp(rows[i].name, ret->dtype) != 0)
			continue;
		strcpy(ret->dtype, rows[i].dtype);
		ret->bits = rows[i].bits;
		return;
	}
}

static void set(struct sb_vram_quant *q, const char *method, int64_t bits, const char *dtype)
{
	vram_name(q->method, method);
	vram_name(q->dtype, dtype);
	q->bits = bits;
}

/* "int4", "fp4": a kind and its bits. */
static void set_bits(struct sb_vram_quant *q, const char *method, const char *kind, int64_t bits)
{
	char dtype[SB_VRAM_NAME_MAX];

	snprintf(dtype, sizeof(dtype), "%s%lld", kind, (long long)bits);
	set(q, method, bits, dtype);
}

static bool truthy(const json_t *value)
{
	int64_t n;

	if (json_is_boolean(value))
		return json_is_true(value);
	if (json_is_string(value))
		return json_string_length(value) > 0;
	return vram_json_int(value, &n) && n != 0;
}

static int64_t int_or(const json_t *map, const char *key, int64_t fallback)
{
	int64_t value;

	return vram_json_int(json_object_get(map, key), &value) ? value : fallback;
}

static const char *text_or(const json_t *map, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(map, key));

	return text ? text : fallback;
}

/* --- one function per quant_method of config.json --- */

static void on_fp8(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	set(q, method, 8, "fp8");
}

static void on_fp4(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	set(q, method, 4, method);
}

static void on_awq(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	set_bits(q, method, "awq", int_or(map, "bits", 4));
}

static void on_gptq(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	int64_t bits = int_or(map, "bits", 4);

	set_bits(q, method, "int", bits);
	if (bits == 4)
		set(q, method, bits, "gptq");
}

static void on_bitsandbytes(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	if (truthy(json_object_get(map, "load_in_4bit")) ||
			!strcasecmp(text_or(map, "quant_type", ""), "nf4"))
		set(q, method, 4, "int4");
	else if (truthy(json_object_get(map, "load_in_8bit")))
		set(q, method, 8, "int8");
}

static void on_auto_round(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	bool whole = !strcasecmp(text_or(map, "data_type", "int"), "int");

	set_bits(q, "auto-round", whole ? "int" : "fp", int_or(map, "bits", 4));
	q->group_size = int_or(map, "group_size", 0);
}

/* --- compressed-tensors: groups of targets, each with its format --- */

struct group {
	const char *name;
	const json_t *value;
	bool whole_class; /* a target such as "Linear", not the path of a module */
};

static int by_reach(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->whole_class != y->whole_class)
		return x->whole_class ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool names_a_class(const json_t *targets)
{
	size_t i;
	json_t *target;

	json_array_foreach (targets, i, target)
		if (json_is_string(target) && !strchr(json_string_value(target), '.'))
			return true;
	return false;
}

static bool take_group(const json_t *group, const char *top_format, struct sb_vram_quant *q)
{
	const json_t *weights = json_object_get(group, "weights");
	char format[SB_VRAM_NAME_MAX], type[SB_VRAM_NAME_MAX];
	int64_t bits;

	if (!json_is_object(weights))
		return false;
	lower(format, text_or(weights, "strategy", ""));
	if (!*format || !strcmp(format, "group") || !strcmp(format, "tensor"))
		lower(format, text_or(group, "format", top_format));
	lower(type, text_or(weights, "type", ""));
	bits = int_or(weights, "num_bits", 0);
	if (!strcmp(type, "int") && !strcmp(format, "pack-quantized") && bits == 4) {
		set(q, "awq", 4, "awq4");
		q->group_size = int_or(weights, "group_size", 0);
	} else if (!strcmp(type, "int") &&
			(!strcmp(format, "pack-quantized") ||
					!strcmp(format, "channel-quantized"))) {
		set_bits(q, "compressed-tensors", "int", bits);
	} else if (!strcmp(type, "float") && bits == 8) {
		set(q, "fp8", 8, "fp8");
	} else if (!strcmp(type, "float")) {
		set_bits(q, "compressed-tensors", "fp", bits);
	} else {
		return false;
	}
	return true;
}

#define GROUPS_MAX 256

static void on_compressed(const json_t *map, const char *method, struct sb_vram_quant *q)
{
	json_t *groups = json_object_get(map, "config_groups"), *value;
	struct group sorted[GROUPS_MAX];
	const char *name;
	size_t n = 0;

	json_object_foreach (groups, name, value)
		if (n < GROUPS_MAX && json_is_object(value))
			sorted[n++] = (struct group){ name, value,
				names_a_class(json_object_get(value, "targets")) };
	qsort(sorted, n, sizeof(*sorted), by_reach);
	for (size_t i = 0; i < n; i++)
		if (take_group(sorted[i].value, text_or(map, "format", ""), q))
			return;
	set(q, method, 0, method);
}

static void from_config(const json_t *config, struct sb_vram_quant *q)
{
	static const struct {
		const char *method;
		void (*read)(const json_t *map, const char *method, struct sb_vram_quant *q);
	} rows[] = { { "fp8", on_fp8 }, { "awq", on_awq }, { "gptq", on_gptq },
		{ "marlin", on_gptq }, { "bitsandbytes", on_bitsandbytes }, { "mxfp4", on_fp4 },
		{ "nvfp4", on_fp4 }, { "auto-round", on_auto_round },
		{ "autoround", on_auto_round }, { "auto_round", on_auto_round },
		{ "compressed-tensors", on_compressed } };
	const json_t *map = json_object_get(config, "quantization_config");
	char method[SB_VRAM_NAME_MAX];

	lower(method, text_or(map, "quant_method", ""));
	for (size_t i = 0; i < sb_countof(rows); i++)
		if (!strcmp(rows[i].method, method))
			rows[i].read(map, method, q);
	if (*q->method)
		q->source = "config.json";
}

/* --- hf_quant_config.json --- */

struct vote {
	char text[SB_VRAM_NAME_MAX];
	size_t n;
};
#define VOTES_MAX 32

static void cast(struct vote *votes, size_t *n, const char *text)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(votes[i].text, text)) {
			votes[i].n++;
			return;
		}
	if (*n == VOTES_MAX)
		return;
	strcpy(votes[*n].text, text);
	votes[(*n)++].n = 1;
}

/* The first of the most frequent. */
static const struct vote *winner(const struct vote *votes, size_t n)
{
	const struct vote *best = votes;

	for (size_t i = 1; i < n; i++)
		if (votes[i].n > best->n)
			best = &votes[i];
	return n ? best : NULL;
}

/* The layers' most frequent algorithm, and that one's most frequent group size. */
static bool mixed(const json_t *layers, char algorithm[SB_VRAM_NAME_MAX], int64_t *group_size)
{
	struct vote names[VOTES_MAX], sizes[VOTES_MAX];
	size_t n_names = 0, n_sizes = 0;
	const struct vote *best;
	const char *layer;
	json_t *value;
	char name[SB_VRAM_NAME_MAX];
	int64_t size;

	json_object_foreach ((json_t *)layers, layer, value) {
		lower(name, text_or(value, "quant_algo", ""));
		if (*name)
			cast(names, &n_names, name);
	}
	best = winner(names, n_names);
	if (!best)
		return false;
	strcpy(algorithm, best->text);
	json_object_foreach ((json_t *)layers, layer, value) {
		lower(name, text_or(value, "quant_algo", ""));
		if (strcmp(name, algorithm) != 0 ||
				!vram_json_int(json_object_get(value, "group_size"), &size))
			continue;
		snprintf(name, sizeof(name), "%lld", (long long)size);
		cast(sizes, &n_sizes, name);
	}
	best = winner(sizes, n_sizes);
	if (best)
		vram_text_int(best->text, group_size);
	return true;
}

static void from_hf(const json_t *hf_quant, struct sb_vram_quant *q)
{
	const json_t *map = json_object_get(hf_quant, "quantization");
	const json_t *algorithm = json_object_get(map, "quant_algo");
	char name[SB_VRAM_NAME_MAX];
	int64_t group_size = int_or(map, "group_size", 0);

	if (!json_is_object(map))
		return;
	/* The published tool takes null for the text "None". */
	lower(name, json_is_null(algorithm) ? "none" : text_or(map, "quant_algo", ""));
	if (!strcmp(name, "mixed_precision") &&
			!mixed(json_object_get(map, "quantized_layers"), name, &group_size))
		return;
	if (!*name)
		return;
	vram_algorithm(name, q);
	strcpy(q->method, name);
	lower(q->kv_dtype, text_or(map, "kv_cache_quant_algo", ""));
	q->group_size = group_size;
	q->source = "hf_quant_config.json";
}

/* --- GGUF --- */

static void from_suffix(const char *model, struct sb_vram_quant *q)
{
	const char *colon = model ? strrchr(model, ':') : NULL;
	char key[SB_VRAM_NAME_MAX];
	double bytes;
	size_t len;

	if (!colon)
		return;
	vram_key(key, colon + 1);
	len = strlen(key);
	if (!sb_vram_dtype_bytes(key, &bytes)) {
		if (len < 3 || key[len - 2] != '_' || !strchr("sml", key[len - 1]))
			return;
		key[len - 2] = '\0';
		if (!sb_vram_dtype_bytes(key, &bytes))
			return;
	}
	set(q, "gguf", 0, key);
	q->source = "name of the model";
}

void sb_vram_quant(const char *given, const json_t *config, const json_t *hf_quant,
		const char *model, struct sb_vram_quant *ret)
{
	struct sb_vram_quant hf = { 0 };

	*ret = (struct sb_vram_quant){ 0 };
	from_hf(hf_quant, &hf);
	if (vram_quant_given(given)) {
		vram_algorithm(given, ret);
		vram_name(ret->method, given);
		ret->source = "recipe";
	} else {
		from_config(config, ret);
		if (!ret->source)
			*ret = hf;
		if (!ret->source)
			from_suffix(model, ret);
	}
	if (!*ret->kv_dtype)
		strcpy(ret->kv_dtype, hf.kv_dtype);
	if (!ret->group_size)
		ret->group_size = hf.group_size;
}
