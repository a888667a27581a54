/* access.c - what others ask of a workload. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

const char *sb_workload_name(const struct sb_workload *w)
{
	return w->recipe->name;
}

const char *sb_workload_path(const struct sb_workload *w)
{
	return w->recipe->path;
}

const char *sb_workload_description(const struct sb_workload *w)
{
	const char *own = sb_yaml_str(sb_yaml_get(w->recipe->root, "description"));

	return *own ? own : sb_yaml_str(sb_yaml_get(sb_workload_metadata(w), "description"));
}

const char *sb_workload_model(const struct sb_workload *w)
{
	return sb_workload_text(w, "model", w->recipe->model);
}

const char *sb_workload_recipe_model(const struct sb_workload *w)
{
	return w->recipe->model;
}

const char *sb_workload_revision(const struct sb_workload *w)
{
	return sb_yaml_str(sb_yaml_get(w->recipe->root, "model_revision"));
}

const char *sb_workload_runtime(const struct sb_workload *w)
{
	return w->runtime;
}

const char *sb_workload_builder(const struct sb_workload *w)
{
	return w->builder;
}

const char *sb_workload_image(const struct sb_workload *w)
{
	return w->image;
}

const struct sb_yaml_node *sb_workload_metadata(const struct sb_workload *w)
{
	const struct sb_yaml_node *node = sb_yaml_get(w->recipe->root, "metadata");

	return sb_yaml_type(node) == SB_YAML_MAP ? node : NULL;
}

enum sb_mode sb_workload_mode(const struct sb_workload *w)
{
	return w->mode;
}

unsigned sb_workload_min_nodes(const struct sb_workload *w)
{
	return w->min_nodes;
}

unsigned sb_workload_max_nodes(const struct sb_workload *w)
{
	return w->max_nodes;
}

struct probe {
	const char *key;
	size_t len;
};

static int compare_key(const void *a, const void *b)
{
	const struct probe *probe = a;
	const struct sb_value *value = *(const struct sb_value *const *)b;
	int order = strncmp(probe->key, value->key, probe->len);

	return order ? order : -(value->key[probe->len] != '\0');
}

const struct sb_value *sb_value_find(const struct sb_workload *w, const char *key, size_t len)
{
	struct probe probe = { key, len };
	const struct sb_value **found =
			bsearch(&probe, w->sorted, w->n_values, sizeof(*w->sorted), compare_key);

	return found ? *found : NULL;
}

const struct sb_value *sb_workload_config(const struct sb_workload *w, const char *key)
{
	const struct sb_value *value = sb_value_find(w, key, strlen(key));

	return value && value->type != SB_YAML_NULL ? value : NULL;
}

const char *sb_workload_text(const struct sb_workload *w, const char *key, const char *fallback)
{
	const struct sb_value *value = sb_workload_config(w, key);

	return value ? value->text : fallback;
}

const struct sb_value *sb_workload_config_at(const struct sb_workload *w, size_t i)
{
	return i < w->n_values ? &w->values[i] : NULL;
}

static bool value_int(const struct sb_value *value, int64_t *ret)
{
	double real;

	switch (value->type) {
	case SB_YAML_BOOL:
		*ret = value->truthy;
		return true;
	case SB_YAML_INT:
	case SB_YAML_STR:
		return sb_text_int(value->text, ret);
	case SB_YAML_FLOAT:
		real = strtod(value->text, NULL);
		if (!(real > -1e15 && real < 1e15))
			return false;
		*ret = (int64_t)real;
		return true;
	default:
		return false;
	}
}

int sb_workload_int(const struct sb_workload *w, const char *key, int64_t min, int64_t max,
		int64_t *ret, struct sb_err *err)
{
	const struct sb_value *value = sb_workload_config(w, key);
	int64_t got;

	if (!value)
		return 0;
	if (value_int(value, &got) && got >= min && got <= max) {
		*ret = got;
		return 0;
	}
	if (value->line)
		return sb_err_set(err, SB_E_INVALID,
				"%s:%u:%u: %s: expected a whole number from %lld to %lld, got "
				"'%.80s'",
				w->recipe->path, value->line, value->col, key, (long long)min,
				(long long)max, value->text);
	return sb_err_set(err, SB_E_INVALID,
			"%s %s: expected a whole number from %lld to %lld, got '%.80s'",
			value->origin, key, (long long)min, (long long)max, value->text);
}

/* What says yes or no by itself, or is a number, means that; of the rest ("auto", "default") the
 * published letters decide. */
bool sb_value_flag(const struct sb_value *value)
{
	bool flag = false;
	double number;
	char *end;

	if (!value || value->type == SB_YAML_BOOL || !value->truthy)
		return value && value->truthy;
	if (sb_text_flag(value->text, &flag))
		return flag;
	number = strtod(value->text, &end);
	if (end != value->text && !*end)
		return number != 0;
	return !strncasecmp(value->text, "enable", 6) || strpbrk(value->text, "1tTyY") != NULL;
}

bool sb_workload_env_at(const struct sb_workload *w, size_t i, struct sb_env *ret)
{
	if (i >= w->env.n)
		return false;
	*ret = (struct sb_env){ w->env.items[i].name, w->env.items[i].value,
		w->env.items[i].source };
	return true;
}

const char *sb_workload_env(const struct sb_workload *w, const char *name)
{
	for (size_t i = 0; i < w->env.n; i++)
		if (!strcmp(w->env.items[i].name, name))
			return w->env.items[i].value;
	return NULL;
}

const struct sb_executor *sb_workload_executor(const struct sb_workload *w)
{
	return &w->executor;
}

const struct sb_yaml_node *sb_workload_key(const struct sb_workload *w, const char *key)
{
	const struct sb_yaml_node *node = sb_yaml_get(w->recipe->root, key);

	if (!sb_node_truthy(node) && (!strcmp(key, "mods") || !strcmp(key, "build_args")))
		node = sb_yaml_get(sb_yaml_get(w->recipe->root, "runtime_config"), key);
	return node;
}

/* "a.b.c": the deepest node of the path that exists. */
static const struct sb_yaml_node *node_at_path(const struct sb_workload *w, const char *path)
{
	const struct sb_yaml_node *node = w->recipe->root, *next;
	char part[64];

	while (*path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(part))
			break;
		memcpy(part, path, n);
		part[n] = '\0';
		next = node == w->recipe->root ? sb_workload_key(w, part) : sb_yaml_get(node, part);
		if (!next)
			break;
		node = next;
		path += n + (path[n] == '.');
	}
	return node;
}

int sb_workload_err(const struct sb_workload *w, const char *key, enum sb_code code,
		struct sb_err *err, const char *fmt, ...)
{
	const struct sb_yaml_node *node = node_at_path(w, key);
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sb_err_set(err, code, "%s:%u:%u: %s", w->recipe->path, sb_yaml_line(node),
			sb_yaml_col(node), text);
}
