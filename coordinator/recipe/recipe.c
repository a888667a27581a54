/* recipe.c - one recipe file: parsed, owned, shared with its workloads. */
#include <string.h>

#include "internal.h"

static void on_yaml_warning(void *ctx, unsigned line, unsigned col, const char *text)
{
	sb_diag_add(ctx, SB_DIAG_WARNING, line, col, "%s", text);
}

/* "dir/stem.yaml" -> "stem"; "unnamed" when nothing is left. */
static char *stem_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	size_t len = dot && dot != base ? (size_t)(dot - base) : strlen(base);

	return len ? strndup(base, len) : strdup("unnamed");
}

/* --- environment --- */

void sb_env_done(struct env_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].name);
		free(list->items[i].value);
	}
	free(list->items);
	*list = (struct env_list){ 0 };
}

int sb_env_set(struct env_list *list, const char *name, const char *value,
		const struct sb_source *source)
{
	SB_CLEANUP(sb_freep) char *copy = strdup(value);
	SB_CLEANUP(sb_freep) char *key = NULL;
	struct env_var *items;

	if (!copy)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i].name, name) != 0)
			continue;
		free(list->items[i].value);
		list->items[i].value = sb_steal(copy);
		list->items[i].source = *source;
		return 0;
	}
	key = strdup(name);
	items = reallocarray(list->items, list->n + 1, sizeof(*items));
	if (items)
		list->items = items;
	if (!key || !items)
		return -SB_E_NOMEM;
	items[list->n++] = (struct env_var){ sb_steal(key), sb_steal(copy), *source };
	return 0;
}

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Length of a reference at @s ("$NAME", "${...}"), and where its name is; 0 for none. */
static size_t reference_at(const char *s, const char **ret_name, size_t *ret_len)
{
	const char *close;

	if (s[0] != '$')
		return 0;
	if (s[1] == '{') {
		close = strchr(s + 2, '}');
		if (!close)
			return 0;
		*ret_name = s + 2;
		*ret_len = (size_t)(close - s) - 2;
		return *ret_len + 3;
	}
	*ret_name = s + 1;
	*ret_len = strspn(s + 1, NAME_CHARS);
	return *ret_len ? *ret_len + 1 : 0;
}

/* Once, left to right; values are not looked at again and unset names stay as written. */
static void expand(const char *text, const char *(*getenv_fn)(const char *), struct sb_strbuf *out)
{
	const char *ref = NULL, *value;
	size_t n, len = 0;

	while (*text) {
		n = getenv_fn ? reference_at(text, &ref, &len) : 0;
		value = NULL;
		if (n) {
			SB_CLEANUP(sb_freep) char *name = strndup(ref, len);

			value = name ? getenv_fn(name) : NULL;
		}
		if (value) {
			sb_strbuf_adds(out, value);
		} else {
			n = n ? n : 1;
			sb_strbuf_add(out, text, n);
		}
		text += n;
	}
}

static int take_env_var(struct sb_recipe *recipe, const struct sb_yaml_node *key,
		const struct sb_yaml_node *value, const char *(*getenv_fn)(const char *),
		struct sb_diags *diags, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf full = SB_STRBUF_INIT;
	const char *name = sb_yaml_str(key);
	enum sb_yaml_type type = sb_yaml_type(value);
	const struct sb_source source = { .kind = SB_SOURCE_RECIPE,
		.section = "env",
		.name = name,
		.line = sb_yaml_line(key),
		.col = sb_yaml_col(key) };

	if (!*name || strchr(name, '='))
		return sb_yaml_err(recipe->doc, key, err,
				"env: expected the name of a variable, got '%.60s'", name);
	if (type == SB_YAML_NULL)
		sb_strbuf_adds(&text, "None");
	else
		sb_yaml_render(value, &text);
	if (type == SB_YAML_NULL || type == SB_YAML_LIST || type == SB_YAML_MAP)
		/* the text of a list is not shown: it may hold a secret */
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(key), sb_yaml_col(key),
				"env.%s is %s and becomes %s", name, sb_yaml_type_name(type),
				type == SB_YAML_NULL ? "the text 'None'"
						     : "text, as Python writes it");
	expand(sb_strbuf_str(&text), getenv_fn, &full);
	if (text.failed || full.failed ||
			sb_env_set(&recipe->env, name, sb_strbuf_str(&full), &source) < 0)
		return sb_err_nomem(err);
	return 0;
}

static int take_env(struct sb_recipe *recipe, const char *(*getenv_fn)(const char *),
		struct sb_diags *diags, struct sb_err *err)
{
	const struct sb_yaml_node *env = sb_yaml_get(recipe->root, "env");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(env); i++)
		rc = take_env_var(recipe, sb_yaml_key(env, i), sb_yaml_at(env, i), getenv_fn, diags,
				err);
	return rc;
}

/* --- the recipe --- */

int sb_recipe_parse(const char *path, const char *text, size_t len,
		const char *(*getenv_fn)(const char *name), struct sb_diags *diags,
		struct sb_recipe **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = calloc(1, sizeof(*recipe));
	int rc;

	if (!recipe)
		return sb_err_nomem(err);
	recipe->refs = 1;
	recipe->path = strdup(path);
	recipe->name = stem_of(path);
	if (!recipe->path || !recipe->name)
		return sb_err_nomem(err);
	rc = sb_yaml_parse(path, text, len, on_yaml_warning, diags, &recipe->doc, err);
	if (rc < 0)
		return rc;
	recipe->root = sb_yaml_root(recipe->doc);
	if (sb_yaml_type(recipe->root) != SB_YAML_MAP)
		return sb_err_set(err, SB_E_INVALID,
				"%s:%u:%u: Recipe file must contain a YAML mapping; expected keys "
				"such "
				"as 'model', got %s",
				path, recipe->root ? sb_yaml_line(recipe->root) : 1,
				recipe->root ? sb_yaml_col(recipe->root) : 1,
				sb_yaml_type_name(sb_yaml_type(recipe->root)));
	rc = sb_recipe_check(recipe, diags, err);
	if (rc == 0 && sb_command_lines(recipe, text, len) < 0)
		rc = sb_err_nomem(err);
	if (rc == 0)
		rc = take_env(recipe, getenv_fn, diags, err);
	if (rc < 0)
		return rc;
	*ret = sb_steal(recipe);
	return 0;
}

void sb_recipe_free(struct sb_recipe *recipe)
{
	if (!recipe || --recipe->refs)
		return;
	sb_env_done(&recipe->env);
	sb_yaml_free(recipe->doc);
	free(recipe->command_lines);
	free(recipe->path);
	free(recipe->name);
	free(recipe);
}

const char *sb_recipe_name(const struct sb_recipe *recipe)
{
	return recipe->name;
}

const char *sb_recipe_path(const struct sb_recipe *recipe)
{
	return recipe->path;
}

/* --- overrides --- */

static char *trimmed(const char *s, size_t len)
{
	static const char blanks[] = " \t\r\n\v\f";

	while (len && strchr(blanks, *s)) {
		s++;
		len--;
	}
	while (len && strchr(blanks, s[len - 1]))
		len--;
	return strndup(s, len);
}

int sb_override_parse(const char *text, const char *origin, struct sb_override *ret, char **ret_key,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *value = NULL;
	const char *eq = strchr(text, '=');
	char *both;
	size_t key_len;

	if (!eq)
		return sb_err_set(err, SB_E_INVALID, "--option must be key=value, got: %s", text);
	key = trimmed(text, (size_t)(eq - text));
	value = trimmed(eq + 1, strlen(eq + 1));
	if (!key || !value)
		return sb_err_nomem(err);
	if (!*key)
		return sb_err_set(err, SB_E_INVALID, "--option has empty key: %s", text);
	/* One block for both, so that the caller has one pointer to free. */
	key_len = strlen(key) + 1;
	both = malloc(key_len + strlen(value) + 1);
	if (!both)
		return sb_err_nomem(err);
	memcpy(both, key, key_len);
	strcpy(both + key_len, value);
	*ret = (struct sb_override){ both, both + key_len, origin };
	*ret_key = both;
	return 0;
}
