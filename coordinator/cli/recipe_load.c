/* A recipe's file, read; and as JSON. */
#include <math.h>
#include <string.h>

#include "recipes.h"
#include "sb_fs.h"

#define RECIPE_MAX_BYTES ((size_t)4 << 20)

int recipe_load(const char *path, const char *(*getenv_fn)(const char *name),
		struct sb_diags *diags, struct sb_strbuf *ret_text, struct sb_recipe **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf own = SB_STRBUF_INIT;
	struct sb_strbuf *text = ret_text ? ret_text : &own;
	int rc = sb_fs_read(path, RECIPE_MAX_BYTES, text, err);

	return rc < 0 ? rc
		      : sb_recipe_parse(path, sb_strbuf_str(text), text->len, getenv_fn, diags, ret,
					err);
}

int recipe_resolve(const char *path, struct sb_strbuf *ret_text, struct sb_workload **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	int rc = recipe_load(path, NULL, NULL, ret_text, &recipe, err);

	return rc < 0 ? rc : sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, ret, err);
}

json_t *recipe_text_json(const char *text)
{
	SB_CLEANUP(sb_freep) char *copy = strdup(text);

	if (copy)
		sb_text_clean(copy);
	return copy ? json_string(copy) : NULL;
}

static json_t *list_json(const struct sb_yaml_node *list)
{
	json_t *json = json_array();

	for (size_t i = 0; i < sb_yaml_size(list); i++)
		json_array_append_new(json, recipe_yaml_json(sb_yaml_at(list, i)));
	return json;
}

static json_t *map_json(const struct sb_yaml_node *map)
{
	json_t *json = json_object();

	for (size_t i = 0; i < sb_yaml_size(map); i++)
		json_object_set_new(json, sb_yaml_str(sb_yaml_key(map, i)),
				recipe_yaml_json(sb_yaml_at(map, i)));
	return json;
}

static json_t *scalar_json(const struct sb_yaml_node *node)
{
	enum sb_yaml_type type = sb_yaml_type(node);

	if (type == SB_YAML_NULL)
		return json_null();
	if (type == SB_YAML_BOOL)
		return json_boolean(sb_yaml_bool(node));
	if (type == SB_YAML_INT)
		return json_integer(sb_yaml_int(node));
	if (type == SB_YAML_FLOAT && isfinite(sb_yaml_float(node)))
		return json_real(sb_yaml_float(node));
	return json_string(sb_yaml_str(node));
}

json_t *recipe_yaml_json(const struct sb_yaml_node *node)
{
	if (sb_yaml_type(node) == SB_YAML_LIST)
		return list_json(node);
	return sb_yaml_type(node) == SB_YAML_MAP ? map_json(node) : scalar_json(node);
}

json_t *recipe_place_json(const struct recipe_source *source)
{
	const char *slash = strrchr(source->path, '/');

	return json_pack("{s:o, s:o, s:o, s:o}", "name", recipe_text_json(source->name), "file",
			recipe_text_json(slash ? slash + 1 : source->path), "path",
			recipe_text_json(source->path), "registry",
			recipe_text_json(recipe_registry(source)));
}

json_t *recipe_facts_json(const struct sb_workload *w)
{
	const struct sb_yaml_node *defaults = sb_workload_key(w, "defaults");
	unsigned max = sb_workload_max_nodes(w);

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o}", "model", sb_workload_model(w),
			"description", sb_workload_description(w), "runtime",
			sb_workload_runtime(w), "builder", sb_workload_builder(w), "min_nodes",
			(int)sb_workload_min_nodes(w), "max_nodes",
			max ? json_integer(max) : json_null(), "tp",
			recipe_yaml_json(sb_yaml_get(defaults, "tensor_parallel")), "gpu_mem",
			recipe_yaml_json(sb_yaml_get(defaults, "gpu_memory_utilization")));
}

json_t *recipe_json(const struct recipe_source *source, const struct sb_workload *w)
{
	json_t *json = recipe_place_json(source), *facts = recipe_facts_json(w);

	if (!json || !facts || json_object_update(json, facts) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(facts);
	return json;
}
