/* hooks.c - pre_exec, mods, post_exec, post_commands: from YAML to a list.
 *
 * One text is one entry; in the published tool it became a list of its letters. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_hooks.h"

struct taker {
	const struct sb_workload *w;
	const char *key;
	bool copies; /* maps with "copy" are understood */
	struct sb_hooks *hooks;
	struct sb_err *err;
};

void sb_hooks_done(struct sb_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++) {
		free(hooks->items[i].text);
		free(hooks->items[i].dest);
	}
	free(hooks->items);
	*hooks = (struct sb_hooks){ 0 };
}

static int SB_PRINTF(4, 5) refuse(const struct taker *t, const struct sb_yaml_node *node,
		enum sb_code code, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sb_err_set(t->err, code, "%s:%u:%u: %s", t->w->recipe->path, sb_yaml_line(node),
			sb_yaml_col(node), text);
}

/* A new last entry; NULL when there are too many or no memory is left. */
static struct sb_hook *add(const struct taker *t, const struct sb_yaml_node *node, size_t at,
		enum sb_hook_kind kind)
{
	struct sb_hook *items = reallocarray(t->hooks->items, t->hooks->n + 1, sizeof(*items));
	struct sb_hook *hook;

	if (!items) {
		sb_err_nomem(t->err);
		return NULL;
	}
	t->hooks->items = items;
	hook = &items[t->hooks->n++];
	*hook = (struct sb_hook){
		.kind = kind, .line = sb_yaml_line(node), .col = sb_yaml_col(node)
	};
	snprintf(hook->label, sizeof(hook->label), "%s[%zu]", t->key, at);
	return hook;
}

static int take_text(const struct taker *t, const struct sb_yaml_node *node, const char *text,
		char **ret)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	int rc = sb_workload_substitute(t->w, text, &out, t->err);

	if (rc < 0)
		return rc;
	if (strlen(sb_strbuf_str(&out)) != out.len)
		return refuse(t, node, SB_E_INVALID, "%s: a NUL byte", t->key);
	*ret = strdup(sb_strbuf_str(&out));
	return *ret ? 0 : sb_err_nomem(t->err);
}

/* The last part of @path: its name. NULL without one. */
static const char *name_of(const char *path, size_t *ret_len)
{
	size_t end = strlen(path), start;

	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/';)
		start--;
	*ret_len = end - start;
	if (!*ret_len || (*ret_len <= 2 && path[start] == '.' && path[end - 1] == '.'))
		return NULL;
	return path + start;
}

/* Where a folder goes when the recipe does not say: beside the mods, under its own name. */
static int default_dest(const struct taker *t, const struct sb_yaml_node *node, const char *source,
		char **ret)
{
	size_t len;
	const char *name = name_of(source, &len);

	if (!name)
		return refuse(t, node, SB_E_INVALID, "%s: expected a folder with a name, got '%s'",
				t->key, source);
	if (asprintf(ret, SB_HOOK_MODS_DIR "/%.*s", (int)len, name) < 0) {
		*ret = NULL;
		return sb_err_nomem(t->err);
	}
	return 0;
}

static int take_copy(const struct taker *t, const struct sb_yaml_node *node, size_t at)
{
	const struct sb_yaml_node *source = sb_yaml_get(node, "copy"),
				  *dest = sb_yaml_get(node, "dest"),
				  *host = sb_yaml_get(node, "source_host");
	struct sb_hook *hook;
	int rc;

	if (sb_yaml_type(source) != SB_YAML_STR || !*sb_yaml_str(source))
		return refuse(t, source ? source : node, SB_E_INVALID,
				"%s[%zu]: expected a folder behind 'copy'", t->key, at);
	if (sb_node_truthy(host)) {
		rc = refuse(t, host, SB_E_INVALID,
				"%s[%zu]: source_host is not supported: there is no way from node "
				"to node",
				t->key, at);
		return sb_err_hint(t->err, rc, "copy the folder to this workstation first");
	}
	hook = add(t, node, at, SB_HOOK_COPY);
	rc = hook ? take_text(t, source, sb_yaml_str(source), &hook->text) : -SB_E_NOMEM;
	if (rc < 0)
		return rc;
	if (!sb_node_truthy(dest))
		return default_dest(t, source, hook->text, &hook->dest);
	rc = take_text(t, dest, sb_yaml_str(dest), &hook->dest);
	if (rc == 0 && hook->dest[0] != '/')
		rc = refuse(t, dest, SB_E_INVALID, "%s[%zu]: expected an absolute dest", t->key,
				at);
	return rc;
}

static int take_entry(const struct taker *t, const struct sb_yaml_node *node, size_t at)
{
	struct sb_hook *hook;

	if (sb_yaml_type(node) == SB_YAML_MAP && t->copies)
		return take_copy(t, node, at);
	if (sb_yaml_type(node) != SB_YAML_STR ||
			!sb_yaml_str(node)[strspn(sb_yaml_str(node), " \t\r\n")])
		return 0;
	hook = add(t, node, at, SB_HOOK_COMMAND);
	return hook ? take_text(t, node, sb_yaml_str(node), &hook->text) : -SB_E_NOMEM;
}

/* The name becomes part of a command. */
static int take_mod(const struct taker *t, const struct sb_yaml_node *node, size_t at)
{
	static const char allowed[] =
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			"_.+@/-";
	const char *text = sb_yaml_str(node);
	struct sb_hook *hook;

	if (strspn(text, allowed) != strlen(text))
		return refuse(t, node, SB_E_INVALID,
				"%s[%zu]: expected a name of letters, digits and '_.+@/-'", t->key,
				at);
	hook = add(t, node, at, SB_HOOK_MOD);
	if (!hook)
		return -SB_E_NOMEM;
	hook->text = strdup(sb_yaml_str(node));
	if (!hook->text)
		return sb_err_nomem(t->err);
	return default_dest(t, node, hook->text, &hook->dest);
}

static int take_list(const struct taker *t,
		int (*take)(const struct taker *, const struct sb_yaml_node *, size_t))
{
	const struct sb_yaml_node *list = sb_workload_key(t->w, t->key);
	int rc = 0;

	if (sb_yaml_type(list) == SB_YAML_STR)
		return take(t, list, 0);
	if (sb_yaml_size(list) > SB_HOOKS_MAX)
		return refuse(t, list, SB_E_RANGE, "%s: expected at most %u entries", t->key,
				SB_HOOKS_MAX);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(list); i++)
		rc = take(t, sb_yaml_at(list, i), i);
	return rc;
}

int sb_hooks_before(const struct sb_workload *w, struct sb_hooks *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	struct taker t = { .w = w, .key = "pre_exec", .copies = true, .hooks = &hooks, .err = err };
	int rc = take_list(&t, take_entry);

	t.key = "mods";
	if (rc == 0)
		rc = take_list(&t, take_mod);
	if (rc < 0)
		return rc;
	*ret = hooks;
	hooks = (struct sb_hooks){ 0 };
	return 0;
}

/* --- after READY --- */

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const struct sb_value *const *)a)->key,
			(*(const struct sb_value *const *)b)->key);
}

static bool hides(const struct sb_env *vars, const char *key)
{
	for (; vars && vars->name; vars++)
		if (!strcmp(vars->name, key))
			return true;
	return false;
}

/* @w with @vars among its values. What it owns stays @w's; *ret_values and sorted are the caller's
 * to free. */
static int with_vars(const struct sb_workload *w, const struct sb_env *vars,
		struct sb_workload *ret, struct sb_err *err)
{
	size_t room = w->n_values + 1;

	for (const struct sb_env *v = vars; v && v->name; v++)
		room++;
	*ret = *w;
	ret->n_values = 0;
	ret->values = calloc(room, sizeof(*ret->values));
	ret->sorted = calloc(room, sizeof(*ret->sorted));
	if (!ret->values || !ret->sorted)
		return sb_err_nomem(err);
	for (size_t i = 0; i < w->n_values; i++)
		if (!hides(vars, w->values[i].key))
			ret->values[ret->n_values++] = w->values[i];
	for (const struct sb_env *v = vars; v && v->name; v++) {
		if (!v->value)
			continue;
		ret->values[ret->n_values++] = (struct sb_value){ .key = v->name,
			.type = SB_YAML_STR,
			.text = v->value,
			.origin = "launch",
			.truthy = true };
	}
	for (size_t i = 0; i < ret->n_values; i++)
		ret->sorted[i] = &ret->values[i];
	qsort(ret->sorted, ret->n_values, sizeof(*ret->sorted), by_key);
	return 0;
}

int sb_hooks_after(const struct sb_workload *w, enum sb_hooks_after which,
		const struct sb_env *vars, struct sb_hooks *ret, struct sb_err *err)
{
	static const char *const keys[SB_HOOKS_AFTER_COUNT_] = { "post_exec", "post_commands" };
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	struct sb_workload view = { 0 };
	struct taker t = { .w = &view, .key = keys[which], .hooks = &hooks, .err = err };
	int rc = with_vars(w, vars, &view, err);

	if (rc == 0)
		rc = take_list(&t, take_entry);
	free(view.values);
	free(view.sorted);
	if (rc < 0)
		return rc;
	*ret = hooks;
	hooks = (struct sb_hooks){ 0 };
	return 0;
}

bool sb_hooks_stop_after(const struct sb_workload *w)
{
	bool flag = false;

	return sb_text_flag(sb_yaml_str(sb_workload_key(w, "stop_after_post")), &flag) && flag;
}
