/* check.c - the types of a recipe's keys (errors), and the format's validation (warnings). */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

enum shape {
	ANY,    /* looked at elsewhere, or not at all */
	TEXT,   /* a scalar; null is absent */
	STRICT, /* text and nothing else; null is absent */
	WHOLE,  /* a whole number, also in quotes */
	FLAG,   /* true or false, also in quotes */
	MAP,    /* null is an error where the format says so */
	MAYBE,  /* a map or null */
	LOOSE,  /* a map or null; whatever else counts as null */
	TEXTS,  /* a list of scalars, or null */
	HOOKS,  /* text, or a list of texts and maps; one text is one entry, not its letters */
};

static const struct {
	const char *key;
	enum shape shape;
} keys[] = {
	{ "recipe_version", TEXT },
	{ "sparkrun_version", TEXT },
	{ "name", ANY },
	{ "description", TEXT },
	{ "model", ANY },
	{ "model_revision", TEXT },
	{ "runtime", STRICT },
	{ "runtime_version", TEXT },
	{ "mode", STRICT },
	{ "min_nodes", WHOLE },
	{ "max_nodes", WHOLE },
	{ "solo_only", FLAG },
	{ "cluster_only", FLAG },
	{ "container", STRICT },
	{ "defaults", MAYBE },
	{ "env", MAYBE },
	{ "command", STRICT },
	{ "runtime_config", MAP },
	{ "metadata", LOOSE },
	{ "benchmark", MAYBE },
	{ "builder", STRICT },
	{ "builder_config", MAP },
	{ "executor_config", LOOSE },
	{ "distribution_config", MAYBE },
	{ "pre_exec", HOOKS },
	{ "post_exec", HOOKS },
	{ "post_commands", HOOKS },
	{ "stop_after_post", FLAG },
	{ "mods", TEXTS },
	{ "build_args", TEXTS },
};

/* int() of the published tools: blanks around, a sign, digits with single '_' between. */
bool sb_text_int(const char *text, int64_t *ret)
{
	char digits[24];
	size_t n = 0;
	char *end;
	long long value;

	while (isspace((unsigned char)*text))
		text++;
	if (*text == '-' || *text == '+')
		digits[n++] = *text++;
	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text) || (*text == '_' && isdigit((unsigned char)text[1]));
			text++) {
		if (*text == '_')
			continue;
		if (n + 1 >= sizeof(digits))
			return false;
		digits[n++] = *text;
	}
	while (isspace((unsigned char)*text))
		text++;
	digits[n] = '\0';
	errno = 0;
	value = strtoll(digits, &end, 10);
	if (*text || errno)
		return false;
	*ret = value;
	return true;
}

bool sb_node_truthy(const struct sb_yaml_node *node)
{
	switch (sb_yaml_type(node)) {
	case SB_YAML_BOOL:
		return sb_yaml_bool(node);
	case SB_YAML_INT:
	case SB_YAML_FLOAT:
		return sb_yaml_float(node) != 0;
	case SB_YAML_STR:
		return *sb_yaml_str(node) != '\0';
	case SB_YAML_LIST:
	case SB_YAML_MAP:
		return sb_yaml_size(node) > 0;
	default:
		return false;
	}
}

static bool is_scalar(const struct sb_yaml_node *node)
{
	return sb_yaml_type(node) != SB_YAML_LIST && sb_yaml_type(node) != SB_YAML_MAP;
}

static int expected(const struct sb_recipe *recipe, const struct sb_yaml_node *node,
		const char *key, const char *want, struct sb_err *err)
{
	return sb_yaml_err(recipe->doc, node, err, "%s: expected %s, got %s", key, want,
			sb_yaml_type_name(sb_yaml_type(node)));
}

static int check_texts(const struct sb_recipe *recipe, const struct sb_yaml_node *list,
		const char *key, struct sb_err *err)
{
	if (sb_yaml_type(list) == SB_YAML_NULL)
		return 0;
	if (sb_yaml_type(list) != SB_YAML_LIST)
		return expected(recipe, list, key, "a list of texts", err);
	for (size_t i = 0; i < sb_yaml_size(list); i++) {
		const struct sb_yaml_node *item = sb_yaml_at(list, i);

		if (!is_scalar(item) || sb_yaml_type(item) == SB_YAML_NULL)
			return sb_yaml_err(recipe->doc, item, err, "%s[%zu]: expected text, got %s",
					key, i, sb_yaml_type_name(sb_yaml_type(item)));
	}
	return 0;
}

static int check_hooks(const struct sb_recipe *recipe, const struct sb_yaml_node *list,
		const char *key, struct sb_diags *diags, struct sb_err *err)
{
	if (sb_yaml_type(list) == SB_YAML_STR || sb_yaml_type(list) == SB_YAML_NULL)
		return 0;
	if (sb_yaml_type(list) != SB_YAML_LIST)
		return expected(recipe, list, key, "a list of commands", err);
	for (size_t i = 0; i < sb_yaml_size(list); i++) {
		const struct sb_yaml_node *item = sb_yaml_at(list, i);

		if (sb_yaml_type(item) == SB_YAML_LIST)
			return sb_yaml_err(recipe->doc, item, err,
					"%s[%zu]: expected text, got a list", key, i);
		if (sb_yaml_type(item) != SB_YAML_STR && sb_yaml_type(item) != SB_YAML_MAP)
			sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(item), sb_yaml_col(item),
					"%s[%zu]: expected text or a map with 'copy', got %s; "
					"skipped",
					key, i, sb_yaml_type_name(sb_yaml_type(item)));
	}
	return 0;
}

static int check_loose(const struct sb_yaml_node *node, const char *key, struct sb_diags *diags)
{
	enum sb_yaml_type type = sb_yaml_type(node);

	if (type != SB_YAML_MAP && type != SB_YAML_NULL)
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(node), sb_yaml_col(node),
				"%s: expected a map, got %s; it is ignored", key,
				sb_yaml_type_name(type));
	return 0;
}

static bool node_int(const struct sb_yaml_node *node, int64_t *ret)
{
	double real = sb_yaml_float(node);

	switch (sb_yaml_type(node)) {
	case SB_YAML_INT:
		*ret = sb_yaml_int(node);
		return true;
	case SB_YAML_BOOL:
		*ret = sb_yaml_bool(node);
		return true;
	case SB_YAML_FLOAT:
		if (!(real > -1e15 && real < 1e15))
			return false;
		*ret = (int64_t)real;
		return true;
	case SB_YAML_STR:
		return sb_text_int(sb_yaml_str(node), ret);
	default:
		return false;
	}
}

bool sb_text_flag(const char *text, bool *ret)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "true", true },
		{ "yes", true },
		{ "on", true },
		{ "1", true },
		{ "false", false },
		{ "no", false },
		{ "off", false },
		{ "0", false },
		{ "", false },
	};

	for (size_t i = 0; i < sb_countof(words); i++)
		if (!strcasecmp(text, words[i].text)) {
			*ret = words[i].value;
			return true;
		}
	return false;
}

/* A quoted "no" is not a yes. */
static bool node_flag(const struct sb_yaml_node *node, bool *ret)
{
	return is_scalar(node) && sb_text_flag(sb_yaml_str(node), ret);
}

static int check_key(const struct sb_recipe *recipe, const char *key, enum shape shape,
		const struct sb_yaml_node *node, struct sb_diags *diags, struct sb_err *err)
{
	enum sb_yaml_type type = sb_yaml_type(node);
	int64_t number;
	bool flag;

	switch (shape) {
	case TEXT:
		return is_scalar(node) ? 0 : expected(recipe, node, key, "text", err);
	case STRICT:
		return type == SB_YAML_STR || type == SB_YAML_NULL
				? 0
				: expected(recipe, node, key, "text", err);
	case WHOLE:
		if (type == SB_YAML_NULL && !strcmp(key, "max_nodes"))
			return 0;
		return node_int(node, &number) ? 0
					       : expected(recipe, node, key, "a whole number", err);
	case FLAG:
		return node_flag(node, &flag) ? 0
					      : expected(recipe, node, key, "true or false", err);
	case MAP:
		return type == SB_YAML_MAP ? 0 : expected(recipe, node, key, "a map", err);
	case MAYBE:
		return type == SB_YAML_MAP || type == SB_YAML_NULL
				? 0
				: expected(recipe, node, key, "a map", err);
	case LOOSE:
		return check_loose(node, key, diags);
	case TEXTS:
		return check_texts(recipe, node, key, err);
	case HOOKS:
		return check_hooks(recipe, node, key, diags, err);
	default:
		return 0;
	}
}

static int check_known(struct sb_recipe *recipe, struct sb_diags *diags, struct sb_err *err)
{
	for (size_t i = 0; i < sb_yaml_size(recipe->root); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(recipe->root, i);
		const char *name = sb_yaml_str(key);
		size_t k = 0;
		int rc;

		while (k < sb_countof(keys) && strcmp(name, keys[k].key) != 0)
			k++;
		if (k == sb_countof(keys)) {
			sb_diag_add(diags, SB_DIAG_NOTE, sb_yaml_line(key), sb_yaml_col(key),
					"unknown key '%s' is ignored", name);
			continue;
		}
		rc = check_key(recipe, name, keys[k].shape, sb_yaml_at(recipe->root, i), diags,
				err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_model(struct sb_recipe *recipe, struct sb_err *err)
{
	const struct sb_yaml_node *model = sb_yaml_get(recipe->root, "model");

	if (!model)
		return sb_yaml_err(recipe->doc, recipe->root, err,
				"Recipe missing 'model' field; expected a Hugging Face id or a "
				"path");
	if (sb_yaml_type(model) != SB_YAML_STR || !*sb_yaml_str(model))
		return sb_yaml_err(recipe->doc, model, err,
				"model: expected a Hugging Face id or a path as text, got %s",
				sb_yaml_type(model) == SB_YAML_STR
						? "empty text"
						: sb_yaml_type_name(sb_yaml_type(model)));
	recipe->model = sb_yaml_str(model);
	return 0;
}

/* Keys of "defaults" that are no text can be named by no placeholder and no flag. */
static void check_defaults(const struct sb_recipe *recipe, struct sb_diags *diags)
{
	const struct sb_yaml_node *defaults = sb_yaml_get(recipe->root, "defaults");

	for (size_t i = 0; i < sb_yaml_size(defaults); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(defaults, i);

		if (sb_yaml_type(key) != SB_YAML_STR)
			sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(key), sb_yaml_col(key),
					"defaults: the key '%s' is %s and is ignored; put it in "
					"quotes",
					sb_yaml_str(key), sb_yaml_type_name(sb_yaml_type(key)));
	}
}

static int check_size(const struct sb_recipe *recipe, const char *key, struct sb_err *err)
{
	const struct sb_yaml_node *map = sb_yaml_get(recipe->root, key);

	if (sb_yaml_size(map) <= SB_CONFIG_MAX_KEYS)
		return 0;
	return sb_yaml_err(recipe->doc, map, err, "%s: %zu keys; expected at most %u", key,
			sb_yaml_size(map), SB_CONFIG_MAX_KEYS);
}

static int take_nodes(struct sb_recipe *recipe, struct sb_err *err)
{
	static const char *const names[] = { "min_nodes", "max_nodes" };
	int64_t *const fields[] = { &recipe->min_nodes, &recipe->max_nodes };

	recipe->min_nodes = 1;
	for (size_t i = 0; i < sb_countof(names); i++) {
		const struct sb_yaml_node *node = sb_yaml_get(recipe->root, names[i]);

		if (sb_yaml_type(node) == SB_YAML_NULL)
			continue;
		node_int(node, fields[i]);
		if (*fields[i] > SB_NODES_MAX || *fields[i] < -SB_NODES_MAX)
			return sb_yaml_err(recipe->doc, node, err, "%s: expected at most %d",
					names[i], SB_NODES_MAX);
		if (i == 1 && *fields[i] < 1)
			return sb_yaml_err(recipe->doc, node, err,
					"max_nodes: expected at least 1, got %lld",
					(long long)*fields[i]);
	}
	return 0;
}

int sb_recipe_check(struct sb_recipe *recipe, struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_yaml_node *runtime = sb_yaml_get(recipe->root, "runtime");
	const struct sb_yaml_node *command = sb_yaml_get(recipe->root, "command");
	int rc = check_model(recipe, err);

	if (rc == 0)
		rc = check_known(recipe, diags, err);
	if (rc == 0)
		rc = check_size(recipe, "defaults", err);
	if (rc == 0)
		rc = check_size(recipe, "env", err);
	if (rc == 0)
		rc = take_nodes(recipe, err);
	if (rc < 0)
		return rc;
	check_defaults(recipe, diags);
	recipe->runtime_is_null = runtime && sb_yaml_type(runtime) == SB_YAML_NULL;
	recipe->command = sb_yaml_str(command);
	if (!recipe->command[strspn(recipe->command, " \t\r\n")])
		recipe->command = NULL;
	node_flag(sb_yaml_get(recipe->root, "solo_only"), &recipe->solo_only);
	node_flag(sb_yaml_get(recipe->root, "cluster_only"), &recipe->cluster_only);
	return 0;
}
