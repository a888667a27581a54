/* workload.c - a recipe with overrides applied: the chain of values, topology, accessors. */
#include <string.h>

#include "internal.h"

/* --- values --- */

const char *sb_workload_own(struct sb_workload *w, char *text)
{
	char **owned;

	if (!text)
		return NULL;
	owned = reallocarray(w->owned, w->n_owned + 1, sizeof(*owned));
	if (!owned) {
		free(text);
		return NULL;
	}
	w->owned = owned;
	return owned[w->n_owned++] = text;
}

static struct sb_value *find_value(const struct sb_workload *w, const char *key)
{
	for (size_t i = 0; i < w->n_values; i++)
		if (!strcmp(w->values[i].key, key))
			return &w->values[i];
	return NULL;
}

/* Replace the value of the same key, or append. */
static int put_value(struct sb_workload *w, const struct sb_value *value)
{
	struct sb_value *old = find_value(w, value->key), *values;

	if (old) {
		struct sb_value before = *old;

		*old = *value;
		if (!value->line && !value->instead) {
			old->instead = before.line ? before.text : before.instead;
			old->instead_line = before.line ? before.line : before.instead_line;
		}
		return 0;
	}
	values = reallocarray(w->values, w->n_values + 1, sizeof(*values));
	if (!values)
		return -SB_E_NOMEM;
	w->values = values;
	values[w->n_values++] = *value;
	return 0;
}

static int put_node(struct sb_workload *w, const char *key, const struct sb_yaml_node *node,
		bool in_defaults)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_value value = {
		.key = key,
		.type = sb_yaml_type(node),
		.origin = "recipe",
		.line = sb_yaml_line(node),
		.col = sb_yaml_col(node),
		.truthy = sb_node_truthy(node),
		.in_defaults = in_defaults,
	};

	sb_yaml_render(node, &text);
	value.text = sb_workload_own(w, sb_strbuf_steal(&text));
	return value.text ? put_value(w, &value) : -SB_E_NOMEM;
}

static int put_defaults(struct sb_workload *w, struct sb_err *err)
{
	const struct sb_yaml_node *defaults = sb_yaml_get(w->recipe->root, "defaults");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(defaults); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(defaults, i);

		if (sb_yaml_type(key) == SB_YAML_STR)
			rc = put_node(w, sb_yaml_str(key), sb_yaml_at(defaults, i), true);
	}
	if (rc == 0 && !find_value(w, "model"))
		rc = put_node(w, "model", sb_yaml_get(w->recipe->root, "model"), false);
	return rc < 0 ? sb_err_nomem(err) : 0;
}

/* float() of the published tools on what int() refused: no hexadecimal, "inf" and "nan" in any
 * case. */
static bool text_float(const char *text, double *ret)
{
	const char *p = text + (*text == '-' || *text == '+');
	char *end;

	if (!*p || strchr(" \t", *p))
		return false;
	if (strcasecmp(p, "inf") && strcasecmp(p, "infinity") && strcasecmp(p, "nan") &&
			p[strspn(p, "0123456789.eE+-")])
		return false;
	*ret = strtod(text, &end);
	return end != text && !*end;
}

/* The rules for "-o": true/yes, false/no, whole numbers, floats, else text. */
static int type_text(const char *text, struct sb_value *value, struct sb_strbuf *out)
{
	int64_t whole;
	double real;

	if (!strcasecmp(text, "true") || !strcasecmp(text, "yes")) {
		value->type = SB_YAML_BOOL;
		value->truthy = true;
		return sb_strbuf_adds(out, "True");
	}
	if (!strcasecmp(text, "false") || !strcasecmp(text, "no")) {
		value->type = SB_YAML_BOOL;
		return sb_strbuf_adds(out, "False");
	}
	if (sb_text_int(text, &whole)) {
		value->type = SB_YAML_INT;
		value->truthy = whole != 0;
		return sb_strbuf_addf(out, "%lld", (long long)whole);
	}
	if (text_float(text, &real)) {
		value->type = SB_YAML_FLOAT;
		value->truthy = real != 0;
		return sb_yaml_render_float(real, out);
	}
	value->type = SB_YAML_STR;
	value->truthy = *text != '\0';
	return sb_strbuf_adds(out, text);
}

/* A name is text even when it looks like a number: --served-model-name 1e5. */
static bool is_name_option(const struct sb_override *o)
{
	return !strcmp(o->key, "served_model_name") && o->origin && strcmp(o->origin, "-o") != 0;
}

/* "env.NAME" */
static int put_env(struct sb_workload *w, const struct sb_value *value, const char *text)
{
	struct sb_source source = { .kind = SB_SOURCE_OVERRIDE,
		.section = "env",
		.name = value->key + 4,
		.option = value->origin };
	const struct env_list *own = &w->recipe->env;

	for (size_t i = 0; i < own->n; i++)
		if (!strcmp(own->items[i].name, value->key + 4)) {
			source.instead = own->items[i].value;
			source.instead_line = own->items[i].source.line;
		}
	return sb_env_set(&w->env, value->key + 4, text, &source);
}

static int put_override(struct sb_workload *w, const struct sb_override *o)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct sb_value value = { .key = sb_workload_own(w, strdup(o->key)) };

	value.origin = sb_workload_own(w, strdup(o->origin ? o->origin : "-o"));
	if (!value.key || !value.origin)
		return -SB_E_NOMEM;
	if (is_name_option(o)) {
		value.type = SB_YAML_STR;
		value.truthy = *o->value != '\0';
		sb_strbuf_adds(&text, o->value);
	} else {
		type_text(o->value, &value, &text);
	}
	if (!strncmp(o->key, "env.", 4))
		return text.failed ? text.failed : put_env(w, &value, sb_strbuf_str(&text));
	value.text = sb_workload_own(w, sb_strbuf_steal(&text));
	return value.text ? put_value(w, &value) : -SB_E_NOMEM;
}

static int put_overrides(struct sb_workload *w, const struct sb_override *overrides, size_t n,
		struct sb_err *err)
{
	if (n > SB_CONFIG_MAX_KEYS)
		return sb_err_set(err, SB_E_RANGE, "%zu overrides; expected at most %u", n,
				SB_CONFIG_MAX_KEYS);
	for (size_t i = 0; i < n; i++) {
		const char *key = overrides[i].key;

		if (sb_is_executor_key(key))
			continue;
		if (!strncmp(key, "env.", 4) && (!key[4] || strchr(key + 4, '=')))
			return sb_err_set(err, SB_E_INVALID,
					"%s %s: expected env.NAME=value with the name of a "
					"variable",
					overrides[i].origin ? overrides[i].origin : "-o", key);
		if (put_override(w, &overrides[i]) < 0)
			return sb_err_nomem(err);
	}
	return 0;
}

/* --- topology (recipe format, derived topology: three steps, in this order) --- */

static void derive_topology(struct sb_workload *w)
{
	const struct sb_recipe *recipe = w->recipe;
	const char *mode = sb_yaml_str(sb_yaml_get(recipe->root, "mode"));
	int64_t min = recipe->min_nodes, max = recipe->max_nodes;

	if (!strcmp(mode, "solo")) {
		w->mode = SB_MODE_SOLO;
		min = max = 1;
	} else if (!strcmp(mode, "cluster") || min > 1) {
		w->mode = SB_MODE_CLUSTER;
	} else if (max == 1) {
		w->mode = SB_MODE_SOLO;
	}
	if (recipe->cluster_only) {
		min = min < 2 ? 2 : min;
		w->mode = SB_MODE_CLUSTER;
	}
	if (recipe->solo_only) {
		max = 1;
		w->mode = SB_MODE_SOLO;
	}
	w->min_nodes = min < 1 ? 1 : (unsigned)min;
	w->max_nodes = (unsigned)max;
}

/* --- resolve --- */

static int copy_env(struct sb_workload *w, struct sb_err *err)
{
	const struct env_list *from = &w->recipe->env;

	for (size_t i = 0; i < from->n; i++)
		if (sb_env_set(&w->env, from->items[i].name, from->items[i].value,
				    &from->items[i].source) < 0)
			return sb_err_nomem(err);
	return 0;
}

static int compare_values(const void *a, const void *b)
{
	return strcmp((*(const struct sb_value *const *)a)->key,
			(*(const struct sb_value *const *)b)->key);
}

/* From here on values are only looked up. */
static int sort_values(struct sb_workload *w, struct sb_err *err)
{
	free(w->sorted);
	w->sorted = calloc(w->n_values, sizeof(*w->sorted));
	if (!w->sorted)
		return sb_err_nomem(err);
	for (size_t i = 0; i < w->n_values; i++)
		w->sorted[i] = &w->values[i];
	qsort(w->sorted, w->n_values, sizeof(*w->sorted), compare_values);
	return 0;
}

static int check_model_override(const struct sb_workload *w, struct sb_err *err)
{
	const struct sb_value *model = sb_workload_config(w, "model");

	if (model && *model->text)
		return 0;
	return sb_err_set(err, SB_E_INVALID,
			"%s: model: expected a Hugging Face id or a path, got nothing (set by %s)",
			w->recipe->path, model ? model->origin : "defaults");
}

static bool is_override(const struct sb_value *value)
{
	return strcmp(value->origin, "recipe") != 0;
}

static int put_alias(struct sb_workload *w, const char *key, const struct sb_value *from,
		struct sb_err *err)
{
	struct sb_value value = *from;

	value.key = key;
	return put_value(w, &value) < 0 ? sb_err_nomem(err) : sort_values(w, err);
}

/* llama.cpp calls it ctx_size: what recipes and --max-model-len give as max_model_len counts for
 * it, an override before the recipe. */
static int alias_ctx_size(struct sb_workload *w, struct sb_err *err)
{
	const struct sb_value *own = sb_workload_config(w, "ctx_size");
	const struct sb_value *common = sb_workload_config(w, "max_model_len");

	if (strcmp(w->runtime, "llama-cpp") != 0 || !common ||
			(own && (is_override(own) || !is_override(common))))
		return 0;
	return put_alias(w, "ctx_size", common, err);
}

/* Second names that the format has for settings of one runtime. Templates see the result. */
static int apply_aliases(struct sb_workload *w, struct sb_err *err)
{
	static const struct {
		const char *runtime, *key, *also;
	} aliases[] = {
		{ "atlas", "api_key", "auth_token" },
		{ "sglang", "speculative_draft_model_path", "speculative_draft_model" },
	};
	int rc = alias_ctx_size(w, err);

	for (size_t i = 0; rc == 0 && i < sb_countof(aliases); i++) {
		const struct sb_value *own = sb_workload_config(w, aliases[i].key);
		const struct sb_value *also = sb_workload_config(w, aliases[i].also);

		if (!strcmp(w->runtime, aliases[i].runtime) && also && also->truthy &&
				!(own && own->truthy))
			rc = put_alias(w, aliases[i].key, also, err);
	}
	return rc;
}

int sb_workload_resolve(const struct sb_recipe *recipe, const struct sb_override *overrides,
		size_t n_overrides, const char *image, const struct sb_override *cluster_executor,
		size_t n_cluster_executor, struct sb_diags *diags, struct sb_workload **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return sb_err_nomem(err);
	w->recipe = (struct sb_recipe *)recipe; /* shared from here on: only its count changes */
	w->recipe->refs++;
	w->image_is_override = image != NULL;
	w->image = strdup(image ? image : sb_yaml_str(sb_yaml_get(recipe->root, "container")));
	if (!w->image)
		return sb_err_nomem(err);
	rc = put_defaults(w, err);
	if (rc == 0)
		rc = copy_env(w, err);
	if (rc == 0)
		rc = put_overrides(w, overrides, n_overrides, err);
	if (rc == 0)
		rc = sort_values(w, err);
	if (rc == 0)
		rc = check_model_override(w, err);
	if (rc == 0)
		rc = sb_executor_resolve(w, overrides, n_overrides, cluster_executor,
				n_cluster_executor, diags, err);
	if (rc < 0)
		return rc;
	sb_workload_detect(w);
	rc = apply_aliases(w, err);
	if (rc < 0)
		return rc;
	derive_topology(w);
	sb_workload_validate(w, diags);
	*ret = sb_steal(w);
	return 0;
}

void sb_workload_free(struct sb_workload *w)
{
	if (!w)
		return;
	sb_executor_done(&w->executor);
	sb_env_done(&w->env);
	for (size_t i = 0; i < w->n_owned; i++)
		free(w->owned[i]);
	free(w->owned);
	free(w->values);
	free(w->sorted);
	free(w->image);
	sb_recipe_free(w->recipe);
	free(w);
}
