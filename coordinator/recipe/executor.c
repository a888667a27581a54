/* executor.c - how the container is run: overrides, then the recipe's executor_config, then the
 * cluster's, then built-in values. Per key the first source that has it decides alone; lists are
 * not merged. Built-in values are the least that NCCL over RDMA needs. null in a recipe means the
 * built-in value for a scalar and "none" for a list, a user or a limit; it never adds rights (in
 * the published tool "privileged: null" did). An empty text clears a value or a list. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define MAX_ITEMS 64 /* of one list: devices, labels, ... */

enum kind { FLAG, WORD, OPTION, SIZE, LIST, ULIMITS };

/* OPTION: null is "none" as well; WORD: null is the built-in value. */
static const struct setting {
	const char *key;
	enum kind kind;
	size_t at;            /* of the field in struct sb_executor */
	const char *built_in; /* text; lists: one item, or items split at ',' */
	bool by_override;     /* -o may set it */
	bool commas;          /* as a text it may hold several, split at ',' */
} settings[] = {
#define AT(field) offsetof(struct sb_executor, field)
	{ "auto_remove", FLAG, AT(auto_remove), "true", true },
	{ "restart_policy", OPTION, AT(restart_policy), "", true },
	{ "privileged", FLAG, AT(privileged), "false", true },
	{ "gpus", WORD, AT(gpus), "all", true },
	{ "ipc", WORD, AT(ipc), "host", true },
	{ "shm_size", SIZE, AT(shm_bytes), "32gb", true },
	{ "network", WORD, AT(network), "host", true },
	{ "user", OPTION, AT(user), "auto", true },
	{ "security_opt", LIST, AT(security_opt), "no-new-privileges", true, false },
	{ "cap_add", LIST, AT(cap_add), "", true, true },
	{ "ulimit", ULIMITS, AT(ulimits), "memlock=-1:-1,stack=67108864", true, true },
	{ "devices", LIST, AT(devices), "/dev/infiniband", true, true },
	{ "memory_limit", SIZE, AT(memory_bytes), "", true },
	{ "labels", LIST, AT(labels), "", false, false },
	{ "entrypoint", WORD, AT(entrypoint), NULL, false },
#undef AT
};

static_assert(sb_countof(settings) == SB_EXECUTOR_SETTINGS, "each has its source");

/* Where a setting came from: a node of the recipe or a text. */
struct source {
	const struct sb_workload *w;
	const struct setting *setting;
	const struct sb_yaml_node *node;
	const char *text;   /* when there is no node */
	const char *origin; /* of the text */
	struct sb_err *err;
};

bool sb_is_executor_key(const char *key)
{
	for (size_t i = 0; i < sb_countof(settings); i++)
		if (settings[i].by_override && !strcmp(settings[i].key, key))
			return true;
	return false;
}

const char *sb_executor_key(size_t i)
{
	for (size_t k = 0; k < sb_countof(settings); k++)
		if (settings[k].by_override && !i--)
			return settings[k].key;
	return NULL;
}

static int refuse(const struct source *src, const struct sb_yaml_node *node, const char *want,
		const char *got)
{
	if (node)
		return sb_err_set(src->err, SB_E_INVALID,
				"%s:%u:%u: executor_config.%s: expected %s, got %.80s",
				src->w->recipe->path, sb_yaml_line(node), sb_yaml_col(node),
				src->setting->key, want, got);
	return sb_err_set(src->err, SB_E_INVALID, "%s %s: expected %s, got '%.80s'", src->origin,
			src->setting->key, want, got);
}

/* --- values --- */

int sb_size_parse(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kmgtp";
	const char *p = text;
	double value, scale = 1;
	const char *unit;
	char *end;

	if (*p < '0' || *p > '9' || (p[strspn(p, "0123456789.")] | 0x20) == 'e')
		return -SB_E_INVALID;
	if (p[0] == '0' && (p[1] | 0x20) == 'x')
		return -SB_E_INVALID;
	value = strtod(p, &end);
	end += *end == ' ';
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		for (const char *u = units; u <= unit; u++)
			scale *= 1024;
		end++;
		end += (*end | 0x20) == 'i';
	}
	end += (*end | 0x20) == 'b';
	if (*end || !(value * scale < 9e18))
		return -SB_E_INVALID;
	*ret_bytes = (uint64_t)(value * scale);
	return 0;
}

static int parse_limit(const char *text, size_t len, int64_t *ret)
{
	char digits[24], *end;

	if (!len || len >= sizeof(digits) || strspn(text, "-0123456789") < len)
		return -SB_E_INVALID;
	memcpy(digits, text, len);
	digits[len] = '\0';
	errno = 0;
	*ret = strtoll(digits, &end, 10);
	return *end || errno || *ret < -1 ? -SB_E_INVALID : 0;
}

/* "name=soft[:hard]" */
static int parse_ulimit(const char *text, struct sb_ulimit *ret)
{
	static const char *const names[] = {
		"core",
		"cpu",
		"data",
		"fsize",
		"locks",
		"memlock",
		"msgqueue",
		"nice",
		"nofile",
		"nproc",
		"rss",
		"rtprio",
		"rttime",
		"sigpending",
		"stack",
	};
	const char *eq = strchr(text, '=');
	size_t soft_len;

	if (!eq)
		return -SB_E_INVALID;
	ret->name = NULL;
	for (size_t i = 0; i < sb_countof(names); i++)
		if (strlen(names[i]) == (size_t)(eq - text) &&
				!strncmp(text, names[i], strlen(names[i])))
			ret->name = names[i];
	soft_len = strcspn(eq + 1, ":");
	if (!ret->name || parse_limit(eq + 1, soft_len, &ret->soft) < 0)
		return -SB_E_INVALID;
	ret->hard = ret->soft;
	if (eq[1 + soft_len] == ':' &&
			parse_limit(eq + 2 + soft_len, strlen(eq + 2 + soft_len), &ret->hard) < 0)
		return -SB_E_INVALID;
	if (ret->hard != -1 && (ret->soft == -1 || ret->soft > ret->hard))
		return -SB_E_INVALID;
	return 0;
}

static void strings_done(struct sb_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct sb_strings){ 0 };
}

static int strings_add(struct sb_strings *list, const char *text, size_t len)
{
	char **items = reallocarray(list->items, list->n + 1, sizeof(*items));

	if (!items)
		return -SB_E_NOMEM;
	list->items = items;
	items[list->n] = strndup(text, len);
	return items[list->n] ? (list->n++, 0) : -SB_E_NOMEM;
}

/* --- one source to texts --- */

static int split_text(const struct source *src, const char *text, struct sb_strings *ret)
{
	while (*text) {
		size_t n = src->setting->commas ? strcspn(text, ",") : strlen(text);

		if (n && strings_add(ret, text, n) < 0)
			return sb_err_nomem(src->err);
		text += n + (text[n] == ',');
	}
	return 0;
}

static int texts_of_list(const struct source *src, struct sb_strings *ret)
{
	for (size_t i = 0; i < sb_yaml_size(src->node); i++) {
		const struct sb_yaml_node *item = sb_yaml_at(src->node, i);
		enum sb_yaml_type type = sb_yaml_type(item);

		if (type == SB_YAML_LIST || type == SB_YAML_MAP || type == SB_YAML_NULL)
			return refuse(src, item, "a list of texts", sb_yaml_type_name(type));
		if (ret->n >= MAX_ITEMS)
			return refuse(src, item, "at most 64 items", "more");
		if (strings_add(ret, sb_yaml_str(item), strlen(sb_yaml_str(item))) < 0)
			return sb_err_nomem(src->err);
	}
	return 0;
}

/* The items of a list setting. */
static int texts_of(const struct source *src, struct sb_strings *ret)
{
	switch (src->node ? sb_yaml_type(src->node) : SB_YAML_STR) {
	case SB_YAML_LIST:
		return texts_of_list(src, ret);
	case SB_YAML_MAP:
		return refuse(src, src->node, "a list of texts", "a map");
	default:
		break;
	}
	if (src->node && !sb_node_truthy(src->node))
		return 0;
	return split_text(src, src->node ? sb_yaml_str(src->node) : src->text, ret);
}

/* The one text of a scalar setting; *ret NULL for null. Numbers are text: user 1000 is "1000". */
static int text_of(const struct source *src, const char **ret)
{
	enum sb_yaml_type type = src->node ? sb_yaml_type(src->node) : SB_YAML_STR;

	if (type == SB_YAML_LIST || type == SB_YAML_MAP)
		return refuse(src, src->node, "text", sb_yaml_type_name(type));
	if (src->node)
		*ret = type == SB_YAML_NULL ? NULL : sb_yaml_str(src->node);
	else
		*ret = src->text;
	return 0;
}

/* --- one setting --- */

/* Plain words only: a setting that gives rights is no place for the format's loose bool, to which
 * "not" is true. */
static int take_bool(const struct source *src, bool *field)
{
	const char *text = NULL;
	int rc = text_of(src, &text);

	if (rc < 0)
		return rc;
	text = text ? text : src->setting->built_in;
	return sb_text_flag(text, field) ? 0 : refuse(src, src->node, "true or false", text);
}

static int take_size(const struct source *src, uint64_t *field)
{
	const char *text = NULL;
	int rc = text_of(src, &text);

	if (rc < 0)
		return rc;
	text = text ? text : src->setting->built_in;
	if (!*text)
		*field = 0;
	else if (sb_size_parse(text, field) < 0)
		return refuse(src, src->node, "a size such as 32gb", text);
	return 0;
}

static int take_word(struct sb_workload *w, const struct source *src, const char **field)
{
	const char *text = NULL;
	int rc = text_of(src, &text);

	if (rc < 0)
		return rc;
	if (src->setting->kind == OPTION && src->node && !sb_node_truthy(src->node))
		text = "";
	if (!text)
		text = src->setting->built_in;
	if (!strcmp(src->setting->key, "user") && text && !strcmp(text, "$SHELL_USER"))
		text = "auto"; /* the published tool's word for the same */
	*field = NULL;
	if (!text)
		return 0;
	*field = sb_workload_own(w, strdup(text));
	return *field ? 0 : sb_err_nomem(src->err);
}

static int take_ulimits(struct sb_workload *w, const struct source *src)
{
	SB_CLEANUP(strings_done) struct sb_strings texts = { 0 };
	int rc = texts_of(src, &texts);

	if (rc < 0 || !texts.n)
		return rc;
	w->executor.ulimits = calloc(texts.n, sizeof(*w->executor.ulimits));
	if (!w->executor.ulimits)
		return sb_err_nomem(src->err);
	for (size_t i = 0; i < texts.n; i++)
		if (parse_ulimit(texts.items[i], &w->executor.ulimits[w->executor.n_ulimits++]) < 0)
			return refuse(src, src->node, "limits such as nofile=1024:2048",
					texts.items[i]);
	return 0;
}

static int check_devices(const struct source *src, const struct sb_strings *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		if (devices->items[i][0] != '/' || strchr(devices->items[i], ':'))
			return refuse(src, src->node, "paths such as /dev/infiniband",
					devices->items[i]);
	return 0;
}

static int take(struct sb_workload *w, const struct source *src)
{
	void *field = (char *)&w->executor + src->setting->at;
	int rc;

	switch (src->setting->kind) {
	case FLAG:
		return take_bool(src, field);
	case SIZE:
		return take_size(src, field);
	case LIST:
		rc = texts_of(src, field);
		if (rc == 0 && field == &w->executor.devices)
			rc = check_devices(src, field);
		return rc;
	case ULIMITS:
		return take_ulimits(w, src);
	default:
		return take_word(w, src, field);
	}
}

static const struct sb_override *last_of(const struct sb_override *list, size_t n, const char *key)
{
	while (n--)
		if (!strcmp(list[n].key, key))
			return &list[n];
	return NULL;
}

/* The deciding source of one setting; false when only the built-in value is left. */
static bool find_source(struct source *src, const struct sb_override *overrides, size_t n_overrides,
		const struct sb_override *cluster, size_t n_cluster)
{
	const struct sb_yaml_node *map = sb_yaml_get(src->w->recipe->root, "executor_config");
	const struct sb_override *o = NULL;

	if (src->setting->by_override)
		o = last_of(overrides, n_overrides, src->setting->key);
	if (!o) {
		src->node = sb_yaml_get(map, src->setting->key);
		if (src->node)
			return true;
		o = last_of(cluster, n_cluster, src->setting->key);
	}
	if (!o)
		return false;
	src->text = o->value;
	src->origin = o->origin ? o->origin : "executor_config of the cluster:";
	return true;
}

static bool is_setting(const char *key)
{
	for (size_t i = 0; i < sb_countof(settings); i++)
		if (!strcmp(settings[i].key, key))
			return true;
	return false;
}

static void note_unknown(const struct sb_workload *w, const struct sb_override *cluster,
		size_t n_cluster, struct sb_diags *diags)
{
	const struct sb_yaml_node *map = sb_yaml_get(w->recipe->root, "executor_config");

	for (size_t i = 0; i < sb_yaml_size(map); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(map, i);

		if (key && !is_setting(sb_yaml_str(key))) /* a list has no keys */
			sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(key), sb_yaml_col(key),
					"executor_config: unknown key '%s' is ignored",
					sb_yaml_str(key));
	}
	for (size_t i = 0; i < n_cluster; i++)
		if (!is_setting(cluster[i].key))
			sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
					"executor_config of the cluster: unknown key '%s' is "
					"ignored",
					cluster[i].key);
}

static struct sb_source source_of(const struct source *src)
{
	struct sb_source source = { .section = "executor_config", .name = src->setting->key };

	if (!src->node && src->text == src->setting->built_in)
		return (struct sb_source){ .kind = SB_SOURCE_BUILT_IN };
	if (src->node) {
		source.kind = SB_SOURCE_RECIPE;
		source.line = sb_yaml_line(src->node);
		source.col = sb_yaml_col(src->node);
		return source;
	}
	/* An option of the operator's may stand below the recipe, too: --rootful. */
	source.kind = *src->origin == '-' ? SB_SOURCE_OVERRIDE : SB_SOURCE_CLUSTER;
	source.option = src->origin;
	return source;
}

/* For explain and export. */
static int keep_source(struct sb_workload *w, const struct source *src, size_t i)
{
	w->executor_sources[i] = source_of(src);
	if (!w->executor_sources[i].option)
		return 0;
	w->executor_texts[i] = sb_workload_own(w, strdup(src->text));
	w->executor_sources[i].option = sb_workload_own(w, strdup(src->origin));
	return w->executor_texts[i] && w->executor_sources[i].option ? 0 : sb_err_nomem(src->err);
}

const char *sb_executor_name(size_t i)
{
	return settings[i].key;
}

struct sb_source sb_workload_executor_source(const struct sb_workload *w, const char *key)
{
	for (size_t i = 0; i < sb_countof(settings); i++)
		if (!strcmp(settings[i].key, key))
			return w->executor_sources[i];
	return (struct sb_source){ .kind = SB_SOURCE_BUILT_IN };
}

int sb_executor_resolve(struct sb_workload *w, const struct sb_override *overrides,
		size_t n_overrides, const struct sb_override *cluster, size_t n_cluster,
		struct sb_diags *diags, struct sb_err *err)
{
	for (size_t i = 0; i < sb_countof(settings); i++) {
		struct source src = { .w = w, .setting = &settings[i], .err = err };
		int rc;

		if (!find_source(&src, overrides, n_overrides, cluster, n_cluster)) {
			src.text = settings[i].built_in;
			src.origin = "built-in";
			if (!src.text)
				continue;
			w->executor.default_devices |= !strcmp(settings[i].key, "devices");
		}
		rc = take(w, &src);
		if (rc < 0)
			return rc;
		rc = keep_source(w, &src, i);
		if (rc < 0)
			return rc;
	}
	if (*w->executor.restart_policy)
		w->executor.auto_remove = false; /* the engine refuses both */
	note_unknown(w, cluster, n_cluster, diags);
	return 0;
}

void sb_executor_done(struct sb_executor *executor)
{
	strings_done(&executor->security_opt);
	strings_done(&executor->cap_add);
	strings_done(&executor->devices);
	strings_done(&executor->labels);
	free(executor->ulimits);
}
