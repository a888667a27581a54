/* The list of registries and the manifest of a repository: the same entries, read by one table. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "sb_yaml.h"

#define GITHUB "https://github.com/"

/* Of the published tool. Nothing of them is fetched before the operator asks for it. */
static const struct sb_registry defaults[] = {
	{ .name = (char *)"sparkrun-testing",
			.url = (char *)GITHUB "dbotwinick/sparkrun-recipe-registry.git",
			.subpath = (char *)"testing/recipes",
			.tuning_subpath = (char *)"testing/tuning",
			.benchmark_subpath = (char *)"testing/benchmarking",
			.enabled = true },
	{ .name = (char *)"official",
			.url = (char *)GITHUB "spark-arena/recipe-registry.git",
			.subpath = (char *)"official-recipes",
			.tuning_subpath = (char *)"tuning",
			.benchmark_subpath = (char *)"benchmarking",
			.enabled = true,
			.visible = true },
	{ .name = (char *)"eugr",
			.url = (char *)GITHUB "eugr/spark-vllm-docker",
			.subpath = (char *)"recipes",
			.mods_subpath = (char *)"mods",
			.enabled = true,
			.visible = true },
	{ .name = (char *)"sparkrun-transitional",
			.url = (char *)GITHUB "dbotwinick/sparkrun-recipe-registry.git",
			.subpath = (char *)"transitional/recipes",
			.tuning_subpath = (char *)"testing/tuning",
			.enabled = true,
			.visible = true },
	{ .name = (char *)"experimental",
			.url = (char *)GITHUB "spark-arena/recipe-registry.git",
			.subpath = (char *)"experimental-recipes",
			.enabled = true },
	{ .name = (char *)"community",
			.url = (char *)GITHUB "spark-arena/community-recipe-registry.git",
			.subpath = (char *)"recipes",
			.enabled = true },
	{ .name = (char *)"atlas",
			.url = (char *)GITHUB "Avarok-Cybersecurity/atlas-recipes.git",
			.subpath = (char *)"recipes",
			.enabled = true },
};

enum kind { TEXT, FOLDER, FLAG };

/* In the order in which they are written. */
static const struct {
	const char *key;
	const char *short_key; /* of manifests; the long one goes before it */
	enum kind kind;
	bool in_manifest;
	bool flag; /* a flag's default */
	size_t at;
} fields[] = {
	{ "name", NULL, TEXT, true, false, offsetof(struct sb_registry, name) },
	{ "url", NULL, TEXT, false, false, offsetof(struct sb_registry, url) },
	{ "subpath", "recipes", FOLDER, true, false, offsetof(struct sb_registry, subpath) },
	{ "description", NULL, TEXT, true, false, offsetof(struct sb_registry, description) },
	{ "enabled", NULL, FLAG, true, true, offsetof(struct sb_registry, enabled) },
	{ "visible", NULL, FLAG, true, true, offsetof(struct sb_registry, visible) },
	{ "tuning_subpath", "tuning", FOLDER, true, false,
			offsetof(struct sb_registry, tuning_subpath) },
	{ "benchmark_subpath", "benchmarks", FOLDER, true, false,
			offsetof(struct sb_registry, benchmark_subpath) },
	{ "mods_subpath", "mods", FOLDER, true, false, offsetof(struct sb_registry, mods_subpath) },
	{ "trusted", NULL, FLAG, false, false, offsetof(struct sb_registry, trusted) },
};

/* --- entries and lists --- */

static void item_done(struct sb_registry *item)
{
	for (size_t i = 0; i < sb_countof(fields); i++)
		if (fields[i].kind != FLAG)
			free(*(char **)((char *)item + fields[i].at));
	*item = (struct sb_registry){ 0 };
}

static int item_copy(const struct sb_registry *from, struct sb_registry *ret, struct sb_err *err)
{
	struct sb_registry item = *from;
	bool failed = false;

	for (size_t i = 0; i < sb_countof(fields); i++) {
		char **text = (char **)((char *)&item + fields[i].at);

		if (fields[i].kind == FLAG || !*text)
			continue;
		*text = strdup(*text);
		failed = failed || !*text;
	}
	if (failed) {
		item_done(&item);
		return sb_err_nomem(err);
	}
	*ret = item;
	return 0;
}

struct sb_registry *sb_registry_find(const struct sb_registry_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcasecmp(list->items[i].name, name))
			return &list->items[i];
	return NULL;
}

int sb_registry_append(
		struct sb_registry_list *list, const struct sb_registry *item, struct sb_err *err)
{
	struct sb_registry *grown;
	int rc;

	if (sb_registry_find(list, item->name))
		return sb_err_set(err, SB_E_BUSY, "there is a registry '%s' already", item->name);
	if (list->n >= SB_REGISTRIES_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u registries", SB_REGISTRIES_MAX);
	grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
	if (!grown)
		return sb_err_nomem(err);
	list->items = grown;
	rc = item_copy(item, &grown[list->n], err);
	if (rc == 0)
		list->n++;
	return rc;
}

void sb_registry_drop(struct sb_registry_list *list, size_t i)
{
	item_done(&list->items[i]);
	list->n--;
	memmove(&list->items[i], &list->items[i + 1], (list->n - i) * sizeof(*list->items));
}

void sb_registry_list_done(struct sb_registry_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		item_done(&list->items[i]);
	free(list->items);
	*list = (struct sb_registry_list){ 0 };
}

int sb_registry_defaults(struct sb_registry_list *ret, struct sb_err *err)
{
	struct sb_registry_list list = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_countof(defaults); i++)
		rc = sb_registry_append(&list, &defaults[i], err);
	if (rc < 0) {
		sb_registry_list_done(&list);
		return rc;
	}
	*ret = list;
	return 0;
}

/* --- reading --- */

struct reading {
	const struct sb_yaml_doc *doc;
	const char *url; /* of the manifest's repository; NULL for a registries.yaml */
	sb_registry_warn_fn warn;
	void *ctx;
	struct sb_registry_list list;
};

static int read_text(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const char *key, bool folder, char **ret, struct sb_err *err)
{
	enum sb_yaml_type type = sb_yaml_type(node);
	const char *text = sb_yaml_str(node);

	/* A number or a "yes" where text is wanted is the text that was written. */
	if (type == SB_YAML_LIST || type == SB_YAML_MAP)
		return sb_yaml_expect(doc, node, SB_YAML_STR, key, err);
	if (strlen(text) > REG_TEXT_MAX)
		return sb_yaml_err(doc, node, err, "%s: longer than %u bytes", key, REG_TEXT_MAX);
	if (!*text)
		return 0;
	if (folder && !sb_registry_subpath_ok(text))
		return sb_yaml_err(doc, node, err, "%s: '%s' is no folder inside a repository", key,
				text);
	*ret = strdup(text);
	return *ret ? 0 : sb_err_nomem(err);
}

static int read_field(const struct reading *r, const struct sb_yaml_node *map, size_t i,
		struct sb_registry *item, struct sb_err *err)
{
	const struct sb_yaml_node *node = sb_yaml_get(map, fields[i].key);
	char *at = (char *)item + fields[i].at;
	int rc;

	if (fields[i].kind == FLAG)
		*(bool *)at = fields[i].flag;
	if (r->url && !fields[i].in_manifest)
		return 0;
	if (r->url && sb_yaml_type(node) == SB_YAML_NULL && fields[i].short_key)
		node = sb_yaml_get(map, fields[i].short_key);
	if (sb_yaml_type(node) == SB_YAML_NULL)
		return 0;
	if (fields[i].kind != FLAG)
		return read_text(r->doc, node, fields[i].key, fields[i].kind == FOLDER, (char **)at,
				err);
	rc = sb_yaml_expect(r->doc, node, SB_YAML_BOOL, fields[i].key, err);
	if (rc == 0)
		*(bool *)at = sb_yaml_bool(node);
	return rc;
}

/* What makes an entry usable once its texts are read. */
static int check_item(const struct reading *r, const struct sb_yaml_node *map,
		struct sb_registry *item, struct sb_err *err)
{
	struct sb_err why = SB_ERR_INIT;

	if (r->url && !item->subpath)
		item->subpath = strdup("recipes");
	if (r->url)
		item->url = strdup(r->url);
	if (r->url && (!item->subpath || !item->url))
		return sb_err_nomem(err);
	if (!item->name)
		return sb_yaml_err(r->doc, map, err, "a registry without a name");
	if (!sb_registry_name_ok(item->name))
		return sb_yaml_err(r->doc, sb_yaml_get(map, "name"), err,
				"'%s' cannot be a registry's name", item->name);
	if (!item->url || !item->subpath)
		return sb_yaml_err(r->doc, map, err, "registry %s has no %s", item->name,
				item->url ? "subpath" : "url");
	/* Whether files are allowed is asked when git is to be run. */
	if (sb_registry_url_check(item->url, true, &why) < 0)
		return sb_yaml_err(r->doc, sb_yaml_get(map, "url"), err, "registry %s: %s",
				item->name, why.text);
	if (r->url && !sb_registry_name_free(item->name, item->url))
		return sb_yaml_err(r->doc, sb_yaml_get(map, "name"), err,
				"'%s' is a name of somebody else's registry", item->name);
	return 0;
}

static int read_item(struct reading *r, const struct sb_yaml_node *map, struct sb_err *err)
{
	SB_CLEANUP(item_done) struct sb_registry item = { 0 };
	int rc = sb_yaml_expect(r->doc, map, SB_YAML_MAP, "a registry", err);

	for (size_t i = 0; rc == 0 && i < sb_countof(fields); i++)
		rc = read_field(r, map, i, &item, err);
	if (rc == 0)
		rc = check_item(r, map, &item, err);
	if (rc == 0 && sb_registry_find(&r->list, item.name))
		rc = sb_yaml_err(r->doc, map, err, "there is a registry '%s' already", item.name);
	return rc < 0 ? rc : sb_registry_append(&r->list, &item, err);
}

static int read_items(struct reading *r, struct sb_err *err)
{
	const struct sb_yaml_node *root = sb_yaml_root(r->doc), *list;
	int rc = sb_yaml_expect(r->doc, root, SB_YAML_MAP, "the file", err);

	if (rc < 0)
		return rc;
	list = sb_yaml_get(root, "registries");
	if (!list)
		return sb_yaml_err(r->doc, root, err, "no list 'registries'");
	if (sb_yaml_type(list) != SB_YAML_NULL || r->url)
		rc = sb_yaml_expect(r->doc, list, SB_YAML_LIST, "registries", err);
	if (rc == 0 && sb_yaml_size(list) > SB_REGISTRIES_MAX)
		rc = sb_err_set(err, SB_E_RANGE, "%s: more than %u registries",
				sb_yaml_name(r->doc), SB_REGISTRIES_MAX);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(list); i++) {
		struct sb_err why = SB_ERR_INIT;
		int bad = read_item(r, sb_yaml_at(list, i), &why);

		if (bad == -SB_E_NOMEM)
			return sb_err_nomem(err);
		r->list.broken += bad < 0;
		if (bad < 0 && r->warn)
			r->warn(r->ctx, why.text);
	}
	return rc;
}

static int parse(const char *name, const char *text, size_t len, struct reading *r,
		struct sb_registry_list *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc = len > REG_FILE_MAX
			? sb_err_set(err, SB_E_RANGE, "%s: more than %zu bytes", name, REG_FILE_MAX)
			: sb_yaml_parse(name, text, len, NULL, NULL, &doc, err);

	r->doc = doc;
	if (rc == 0)
		rc = read_items(r, err);
	if (rc == 0 && r->url && !r->list.n)
		rc = sb_err_set(err, SB_E_INVALID, "%s: no usable registry in it", name);
	if (rc < 0) {
		sb_registry_list_done(&r->list);
		return rc;
	}
	*ret = r->list;
	return 0;
}

int sb_registry_parse(const char *name, const char *text, size_t len, sb_registry_warn_fn warn,
		void *ctx, struct sb_registry_list *ret, struct sb_err *err)
{
	struct reading r = { .warn = warn, .ctx = ctx, .list.from_file = true };

	return parse(name, text, len, &r, ret, err);
}

int sb_manifest_parse(const char *name, const char *text, size_t len, const char *url,
		sb_registry_warn_fn warn, void *ctx, struct sb_registry_list *ret,
		struct sb_err *err)
{
	struct reading r = { .url = url, .warn = warn, .ctx = ctx };

	assert(url);
	return parse(name, text, len, &r, ret, err);
}

/* --- writing --- */

static int write_item(const struct sb_registry *item, struct sb_strbuf *out, struct sb_err *err)
{
	const char *before = "- ";

	for (size_t i = 0; i < sb_countof(fields); i++) {
		const char *at = (const char *)item + fields[i].at;

		if (fields[i].kind == FLAG ? *(const bool *)at == fields[i].flag
					   : sb_empty(*(char *const *)at))
			continue;
		sb_strbuf_addf(out, "%s%s: ", before, fields[i].key);
		if (fields[i].kind == FLAG)
			sb_strbuf_adds(out, *(const bool *)at ? "true" : "false");
		else if (sb_yaml_write_scalar(out, *(char *const *)at) == -SB_E_INVALID)
			return sb_err_set(err, SB_E_INVALID, "registry %s: its %s is not UTF-8",
					item->name, fields[i].key);
		sb_strbuf_addc(out, '\n');
		before = "  ";
	}
	return 0;
}

int sb_registry_write(
		const struct sb_registry_list *list, struct sb_strbuf *out, struct sb_err *err)
{
	int rc = 0;

	sb_strbuf_adds(out, list->n ? "registries:\n" : "registries: []\n");
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = write_item(&list->items[i], out, err);
	return rc == 0 && out->failed ? sb_err_nomem(err) : rc;
}
