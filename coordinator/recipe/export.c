/* export.c - a workload as a recipe of its own: what overrides, options and the cluster said stands
 * in it, so that it resolves to the same workload without them. What the author wrote and nobody
 * overrode stays as it was, in its order; so do references to the environment ("$NAME"). */
#include <string.h>

#include "internal.h"

struct writer {
	const struct sb_workload *w;
	const struct sb_export_opts *opts;
	struct sb_strbuf *out;
	struct sb_err *err;
	int rc; /* the first failure */
};

static void took(struct writer *wr, int rc)
{
	if (wr->rc == 0)
		wr->rc = rc;
}

static void entry(
		struct writer *wr, const struct sb_yaml_node *key, const struct sb_yaml_node *value)
{
	took(wr, sb_yaml_write_entry(wr->out, SB_EXPORT_INDENT, key, value));
}

static void text_entry(struct writer *wr, const char *key, const char *text)
{
	took(wr, sb_yaml_write_text(wr->out, SB_EXPORT_INDENT, key, text));
}

/* A heading, when the section is not empty; the first entry calls it. */
static void begin(struct writer *wr, const char *section, bool *begun)
{
	if (!*begun)
		sb_strbuf_addf(wr->out, "%s:\n", section);
	*begun = true;
}

/* --- defaults --- */

static bool is_override(const struct sb_value *value)
{
	return strcmp(value->origin, "recipe") != 0;
}

/* A key that the engine is told by, in the recipe or beside it. */
static bool is_hidden_key(const struct writer *wr, const char *key)
{
	return wr->opts->hide && (!strcmp(key, "api_key") || !strcmp(key, "auth_token"));
}

/* The value as -o took it: a whole number is one again, text stays text. */
static void typed_entry(struct writer *wr, const struct sb_value *value)
{
	if (value->type == SB_YAML_STR) {
		text_entry(wr, value->key, value->text);
		return;
	}
	sb_strbuf_addf(wr->out, "%*s", SB_EXPORT_INDENT, "");
	took(wr, sb_yaml_write_scalar(wr->out, value->key));
	sb_strbuf_adds(wr->out, ": ");
	if (value->type == SB_YAML_BOOL)
		sb_strbuf_adds(wr->out, value->truthy ? "true" : "false");
	else if (value->type == SB_YAML_INT)
		sb_strbuf_adds(wr->out, value->text);
	else
		sb_yaml_write_float(wr->out, strtod(value->text, NULL));
	sb_strbuf_addc(wr->out, '\n');
}

static void write_defaults(struct writer *wr)
{
	const struct sb_yaml_node *map = sb_yaml_get(wr->w->recipe->root, "defaults");
	bool begun = false;

	for (size_t i = 0; i < sb_yaml_size(map); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(map, i);
		const struct sb_value *value = NULL;

		if (sb_yaml_type(key) == SB_YAML_STR)
			value = sb_value_find(wr->w, sb_yaml_str(key), strlen(sb_yaml_str(key)));
		if (is_hidden_key(wr, sb_yaml_str(key)))
			continue;
		begin(wr, "defaults", &begun);
		if (value && is_override(value))
			typed_entry(wr, value);
		else
			entry(wr, key, sb_yaml_at(map, i));
	}
	for (size_t i = 0; i < wr->w->n_values; i++) {
		const struct sb_value *value = &wr->w->values[i];

		if (!is_override(value) || sb_yaml_get(map, value->key) ||
				is_hidden_key(wr, value->key))
			continue;
		begin(wr, "defaults", &begun);
		typed_entry(wr, value);
	}
}

/* --- env --- */

/* Hidden, it comes from the environment of whoever runs the recipe. */
static void env_entry(struct writer *wr, const struct env_var *var, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf reference = SB_STRBUF_INIT;

	if (wr->opts->hide && wr->opts->is_secret(var->name) &&
			(!value || sb_yaml_str(value)[0] != '$')) {
		sb_strbuf_addf(&reference, "$%s", var->name);
		text_entry(wr, var->name, sb_strbuf_str(&reference));
	} else if (value) {
		entry(wr, key, value);
	} else {
		text_entry(wr, var->name, var->value);
	}
}

static void write_env(struct writer *wr)
{
	const struct sb_yaml_node *map = sb_yaml_get(wr->w->recipe->root, "env");
	const struct env_list *env = &wr->w->env;
	bool begun = false;

	for (size_t i = 0; i < env->n; i++) {
		const struct env_var *var = &env->items[i];
		const struct sb_yaml_node *key = NULL, *value = NULL;

		/* Keys are compared by their text, as the variables are named. */
		for (size_t k = 0; k < sb_yaml_size(map) && !value; k++)
			if (var->source.kind == SB_SOURCE_RECIPE &&
					!strcmp(sb_yaml_str(sb_yaml_key(map, k)), var->name)) {
				key = sb_yaml_key(map, k);
				value = sb_yaml_at(map, k);
			}
		begin(wr, "env", &begun);
		env_entry(wr, var, key, value);
	}
}

/* --- executor_config --- */

static void write_labels(struct writer *wr)
{
	sb_strbuf_addf(wr->out, "%*slabels:\n", SB_EXPORT_INDENT, "");
	for (size_t i = 0; i < wr->opts->n_labels; i++) {
		sb_strbuf_addf(wr->out, "%*s- ", 2 * SB_EXPORT_INDENT, "");
		took(wr, sb_yaml_write_scalar(wr->out, wr->opts->labels[i]));
		sb_strbuf_addc(wr->out, '\n');
	}
}

/* What the plan is told besides the workload. */
static bool is_told(const struct writer *wr, const char *key)
{
	return (wr->opts->n_labels && !strcmp(key, "labels")) ||
			(wr->opts->keep && !strcmp(key, "auto_remove"));
}

static void write_executor(struct writer *wr)
{
	const struct sb_yaml_node *map = sb_yaml_get(wr->w->recipe->root, "executor_config");
	struct sb_strbuf *out = wr->out;
	bool begun = false;
	const char *key;

	for (size_t i = 0; i < sb_yaml_size(map); i++) {
		key = sb_yaml_str(sb_yaml_key(map, i));
		if (is_told(wr, key) || sb_workload_executor_source(wr->w, key).option)
			continue;
		begin(wr, "executor_config", &begun);
		entry(wr, sb_yaml_key(map, i), sb_yaml_at(map, i));
	}
	for (size_t i = 0; i < SB_EXECUTOR_SETTINGS; i++) {
		key = sb_executor_name(i);
		if (is_told(wr, key) || !wr->w->executor_texts[i])
			continue;
		begin(wr, "executor_config", &begun);
		text_entry(wr, key, wr->w->executor_texts[i]);
	}
	if (wr->opts->n_labels || wr->opts->keep)
		begin(wr, "executor_config", &begun);
	if (wr->opts->n_labels)
		write_labels(wr);
	if (wr->opts->keep)
		sb_strbuf_addf(out, "%*sauto_remove: false\n", SB_EXPORT_INDENT, "");
}

/* --- the recipe --- */

static void write_container(struct writer *wr)
{
	const struct sb_yaml_node *root = wr->w->recipe->root;

	for (size_t i = 0; !wr->w->image_is_override && i < sb_yaml_size(root); i++)
		if (!strcmp(sb_yaml_str(sb_yaml_key(root, i)), "container"))
			took(wr,
					sb_yaml_write_entry(wr->out, 0, sb_yaml_key(root, i),
							sb_yaml_at(root, i)));
	if (wr->w->image_is_override)
		took(wr, sb_yaml_write_text(wr->out, 0, "container", wr->w->image));
}

/* Keys that may have to be written anew; in the order in which those that the recipe lacks come. */
static const struct {
	const char *key;
	void (*write)(struct writer *wr);
} sections[] = {
	{ "container", write_container },
	{ "defaults", write_defaults },
	{ "env", write_env },
	{ "executor_config", write_executor },
};

static void write_key(
		struct writer *wr, const struct sb_yaml_node *key, const struct sb_yaml_node *value)
{
	for (size_t i = 0; i < sb_countof(sections); i++)
		if (!strcmp(sections[i].key, sb_yaml_str(key))) {
			sections[i].write(wr);
			return;
		}
	took(wr, sb_yaml_write_entry(wr->out, 0, key, value));
}

int sb_workload_export(const struct sb_workload *w, const struct sb_export_opts *opts,
		struct sb_strbuf *out, struct sb_err *err)
{
	struct writer wr = { .w = w, .opts = opts, .out = out, .err = err };
	const struct sb_yaml_node *root = w->recipe->root;

	for (size_t i = 0; i < sb_yaml_size(root); i++)
		write_key(&wr, sb_yaml_key(root, i), sb_yaml_at(root, i));
	for (size_t i = 0; i < sb_countof(sections); i++)
		if (!sb_yaml_get(root, sections[i].key))
			sections[i].write(&wr);
	if (out->failed == -SB_E_NOMEM || wr.rc == -SB_E_NOMEM)
		return sb_err_nomem(err);
	if (out->failed == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE,
				"%s: expected at most %zu bytes with all options", w->recipe->path,
				out->max);
	if (out->failed || wr.rc)
		return sb_err_set(err, SB_E_INVALID,
				"%s: a value has bytes that no YAML file can have; expected UTF-8",
				w->recipe->path);
	return 0;
}
