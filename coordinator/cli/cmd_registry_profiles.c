/* registry list-benchmark-profiles, show-benchmark-profile: what registries offer to measure. */
#include <string.h>

#include "registries.h"
#include "sb_fs.h"
#include "sb_yaml.h"

#define PROFILE_MAX ((size_t)1 << 20)
#define OWN_FOLDER  "benchmarking"
#define OWN_NAME    "own"

const struct opt registry_profiles_options[] = {
	{ OPT_FLAG, 'a', "all", NULL, NULL, "of hidden registries, too",
			offsetof(struct registry_opts, all) },
	{ OPT_TEXT, 0, "registry", NULL, "NAME", "of this registry only",
			offsetof(struct registry_opts, registry) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct registry_opts, json) },
	{ OPT_END },
};

const struct opt registry_profile_options[] = {
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct registry_opts, json) },
	{ OPT_END },
};

struct profile {
	char *name, *path; /* "@registry/stem", or the stem of one of your own */
	const char *registry;
};

struct profiles {
	struct sb_registry_list list;
	struct profile *items;
	size_t n;
};

static void profiles_done(struct profiles *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].name);
		free(p->items[i].path);
	}
	free(p->items);
	sb_registry_list_done(&p->list);
}

static int add_folder(
		struct profiles *p, const char *folder, const char *registry, struct sb_err *err)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list files = { 0 };
	struct profile *grown;
	int rc = recipe_list_folder(folder, &files, err);

	if (rc < 0)
		return rc;
	grown = reallocarray(p->items, p->n + files.n + 1, sizeof(*grown));
	if (!grown)
		return sb_err_nomem(err);
	p->items = grown;
	for (size_t i = 0; i < files.n; i++) {
		struct profile item = { .registry = registry };

		if (asprintf(&item.name, "%s%s%s%s", strcmp(registry, OWN_NAME) ? "@" : "",
				    strcmp(registry, OWN_NAME) ? registry : "",
				    strcmp(registry, OWN_NAME) ? "/" : "", files.items[i].name) < 0)
			return sb_err_nomem(err);
		item.path = sb_steal(files.items[i].path);
		p->items[p->n++] = item;
	}
	return 0;
}

static int fill(const struct sb_registry_store *store, const char *only, bool hidden,
		struct profiles *p, struct sb_err *err)
{
	SB_CLEANUP(sb_inventory_closep) struct sb_inventory *inv = NULL;
	SB_CLEANUP(sb_freep) char *own = NULL;
	int rc = sb_inventory_open(NULL, &inv, err);

	if (rc == 0 && !(own = sb_fs_join(sb_inventory_home(inv), OWN_FOLDER)))
		rc = sb_err_nomem(err);
	if (rc == 0 && !only)
		rc = add_folder(p, own, OWN_NAME, err);
	for (size_t i = 0; rc == 0 && i < p->list.n; i++) {
		const struct sb_registry *item = &p->list.items[i];
		SB_CLEANUP(sb_freep) char *folder = NULL;

		if (!item->enabled ||
				(only ? strcasecmp(only, item->name) != 0
				      : !item->visible && !hidden) ||
				sb_registry_folder(store, item, SB_REGISTRY_BENCHMARKS, &folder,
						NULL) < 0)
			continue;
		rc = add_folder(p, folder, item->name, err);
	}
	return rc;
}

static int open_all(struct cli *cli, const char *only, bool hidden, struct profiles *p,
		struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	int rc = registries_open(false, &store, err);

	if (rc == 0)
		rc = sb_registry_load(store, cli ? registries_warn : NULL, cli, &p->list, err);
	if (rc == 0 && only && !sb_registry_find(&p->list, only))
		rc = registries_unknown(&p->list, only, err);
	return rc == 0 ? fill(store, only, hidden, p, err) : rc;
}

void registries_profiles(bool scoped, void (*offer)(void *ctx, const char *name), void *ctx)
{
	SB_CLEANUP(profiles_done) struct profiles p = { .n = 0 };

	if (open_all(NULL, NULL, scoped, &p, NULL) < 0)
		return;
	for (size_t i = 0; i < p.n; i++) {
		const char *slash = strchr(p.items[i].name, '/');

		offer(ctx, scoped || !slash ? p.items[i].name : slash + 1);
	}
}

/* The framework is at the top or in the block "benchmark"; "-" when there is none. */
static void framework_of(struct cli *cli, const struct profile *item, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	const struct sb_yaml_node *root, *node;
	struct sb_err why = SB_ERR_INIT;

	if (sb_yaml_load(item->path, NULL, NULL, &doc, &why) < 0)
		cli_warn(cli, "%s", why.text);
	root = sb_yaml_root(doc);
	node = sb_yaml_get(root, "framework");
	if (!node)
		node = sb_yaml_get(sb_yaml_get(root, "benchmark"), "framework");
	sb_strbuf_adds(out, sb_yaml_str(node));
}

static json_t *item_json(const struct profile *item, const char *framework)
{
	return json_pack("{s:o, s:s, s:o, s:o}", "name", recipe_text_json(item->name), "registry",
			item->registry, "path", recipe_text_json(item->path), "framework",
			*framework ? json_string(framework) : json_null());
}

int cmd_registry_profiles(struct cli *cli, const struct call *call)
{
	static const char *const headers[] = { "PROFILE", "REGISTRY", "FRAMEWORK" };
	const struct registry_opts *opts = call->opts;
	SB_CLEANUP(profiles_done) struct profiles p = { .n = 0 };
	struct sb_err err = SB_ERR_INIT;
	struct sb_table table;
	json_t *all;
	int rc;

	if (open_all(cli, opts->registry, opts->all, &p, &err) < 0)
		return cli_fail(cli, &err);
	all = json_array();
	sb_table_init(&table, headers, sb_countof(headers));
	for (size_t i = 0; i < p.n; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf framework = SB_STRBUF_INIT;
		const char *text;

		framework_of(cli, &p.items[i], &framework);
		text = sb_strbuf_str(&framework);
		json_array_append_new(all, item_json(&p.items[i], text));
		sb_table_row(&table,
				(const char *const[]){ p.items[i].name, p.items[i].registry,
						*text ? text : NULL });
	}
	if (opts->json) {
		sb_table_done(&table);
		return cli_json(cli, json_pack("{s:o}", "profiles", all), EXIT_DONE);
	}
	json_decref(all);
	rc = sb_table_print(&table, stdout, &err);
	sb_table_done(&table);
	if (rc == 0 && !p.n)
		puts("No benchmark profiles found.");
	return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

/* --- one of them --- */

static bool is_called(const struct profile *item, const char *name)
{
	const char *slash = strchr(item->name, '/');

	return !strcmp(item->name, name) || (slash && !strcmp(slash + 1, name));
}

/* One of your own goes before those of registries. */
static const struct profile *find(const struct profiles *p, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	const struct profile *found = NULL;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < p->n; i++) {
		if (!is_called(&p->items[i], name))
			continue;
		if (!strcmp(p->items[i].registry, OWN_NAME))
			return &p->items[i];
		sb_strbuf_addf(&names, "%s%s", n++ ? ", " : "", p->items[i].name);
		found = &p->items[i];
	}
	if (n == 1)
		return found;
	if (n > 1) {
		sb_err_set(err, SB_E_INVALID, "Profile '%s' found in several places: %s", name,
				sb_strbuf_str(&names));
		return NULL;
	}
	rc = sb_err_set(err, SB_E_NOT_FOUND, "No benchmark profile '%s'.", name);
	sb_err_hint(err, rc, "`sparkbus registry list-benchmark-profiles --all` shows all");
	return NULL;
}

/* Names and text are a stranger's. */
static void print_line(const char *before, const char *text, size_t len)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_render_clean(&line, text, len);
	printf("%s%s\n", before, sb_strbuf_str(&line));
}

static int show(struct cli *cli, const struct profile *item, bool json, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc = sb_fs_read(item->path, PROFILE_MAX, &text, err);

	if (rc == 0)
		rc = sb_yaml_parse(
				item->path, sb_strbuf_str(&text), text.len, NULL, NULL, &doc, err);
	if (rc < 0)
		return rc;
	if (json)
		return cli_json(cli,
				json_pack("{s:o, s:o, s:o}", "name", recipe_text_json(item->name),
						"path", recipe_text_json(item->path), "profile",
						recipe_yaml_json(sb_yaml_root(doc))),
				EXIT_DONE);
	print_line("Profile: ", item->name, strlen(item->name));
	print_line("Path:    ", item->path, strlen(item->path));
	putchar('\n');
	for (const char *at = sb_strbuf_str(&text); *at;) {
		size_t len = strcspn(at, "\n");

		print_line("", at, len);
		at += len + (at[len] == '\n');
	}
	return EXIT_DONE;
}

int cmd_registry_profile(struct cli *cli, const struct call *call)
{
	const struct registry_opts *opts = call->opts;
	const char *name = call->args[0];
	SB_CLEANUP(profiles_done) struct profiles p = { .n = 0 };
	struct sb_err err = SB_ERR_INIT;
	const struct profile *item = NULL;
	int status = -1;

	if (name[0] != '@' && strchr(name, '/')) {
		const struct profile file = { .name = (char *)name, .path = (char *)name };

		status = show(cli, &file, opts->json, &err);
	} else if (open_all(cli, NULL, name[0] == '@', &p, &err) == 0) {
		item = find(&p, name, &err);
		if (item)
			status = show(cli, item, opts->json, &err);
	}
	return status < 0 ? cli_fail(cli, &err) : status;
}
