/* show: what a recipe says. */
#include <string.h>

#include "commands.h"
#include "metadata_text.h"
#include "sb_fs.h"
#include "sb_plan.h"
#include "sb_runtime.h"
#include "vram_text.h"

const struct opt show_options[] = {
	{ OPT_TEXT, 0, "save", NULL, "FILE", "also copy the recipe's file to FILE",
			offsetof(struct show_opts, save) },
	{ OPT_FLAG, 0, "force", NULL, NULL, "replace FILE", offsetof(struct show_opts, force) },
	{ OPT_FLAG, 0, "no-vram", NULL, NULL, "leave the estimate of memory out",
			offsetof(struct show_opts, no_vram) },
	{ OPT_FLAG, 0, "offline", NULL, NULL, "do not ask the hub for it",
			offsetof(struct show_opts, offline) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct show_opts, json) },
	{ OPT_END },
};

struct show {
	struct recipe_source source;
	struct sb_strbuf text; /* the file's bytes */
	struct sb_workload *w;
};

static void show_done(struct show *s)
{
	recipe_source_done(&s->source);
	sb_strbuf_done(&s->text);
	sb_workload_free(s->w);
}

/* --- the file's words --- */

static const char *metadata(const struct show *s, const char *key)
{
	return sb_yaml_str(sb_yaml_get(sb_workload_metadata(s->w), key));
}

static bool runtime_is_here(const struct show *s)
{
	const struct sb_runtime *runtime;

	return sb_runtime_find(sb_workload_runtime(s->w), &runtime, NULL) == 0;
}

static const char *default_image(const struct show *s)
{
	const struct sb_runtime *runtime;

	if (sb_runtime_find(sb_workload_runtime(s->w), &runtime, NULL) < 0 ||
			!runtime->default_image)
		return "";
	return runtime->default_image;
}

/* A value that comes from elsewhere, "$NAME", tells nothing and may be seen. */
static const char *env_shown(const struct sb_env *env)
{
	return sb_plan_env_is_secret(env->name) && env->value[0] != '$' ? SB_RENDER_HIDDEN
									: env->value;
}

/* Secrets of the file, wherever else they stand in it. */
static int hide_secrets(const struct show *s, struct sb_mask *mask, struct sb_err *err)
{
	struct sb_env env;
	int rc = 0;

	for (size_t i = 0; rc == 0 && sb_workload_env_at(s->w, i, &env); i++)
		if (strcmp(env_shown(&env), env.value) != 0)
			rc = sb_mask_add(mask, env.value, err);
	return rc;
}

/* --- for people --- */

static void print_clean(const char *before, const char *text, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT, line = SB_STRBUF_INIT;

	if (sb_mask_text(mask, text, &plain) < 0 ||
			sb_render_clean(&line, sb_strbuf_str(&plain), plain.len) < 0)
		return;
	printf("%s%s\n", before, sb_strbuf_str(&line));
}

static void field(const char *name, const char *value, const struct sb_mask *mask)
{
	char label[32];

	snprintf(label, sizeof(label), "%-13s ", name);
	if (*value)
		print_clean(label, value, mask);
}

static void print_head(const struct show *s, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf origin = SB_STRBUF_INIT;
	unsigned max = sb_workload_max_nodes(s->w);
	const char *image = sb_workload_image(s->w);
	char text[256];

	field("Name:", s->source.name, mask);
	field("Description:", sb_workload_description(s->w), mask);
	field("Maintainer:", metadata(s, "maintainer"), mask);
	snprintf(text, sizeof(text), "%s%s", sb_workload_runtime(s->w),
			runtime_is_here(s) ? "" : " (this version cannot run it)");
	field("Runtime:", text, mask);
	field("Builder:", sb_workload_builder(s->w), mask);
	field("Model:", sb_workload_model(s->w), mask);
	field("Revision:", sb_workload_revision(s->w), mask);
	snprintf(text, sizeof(text), "%s (the runtime's)", default_image(s));
	field("Container:", *image ? image : *default_image(s) ? text : "", mask);
	if (max == sb_workload_min_nodes(s->w))
		snprintf(text, sizeof(text), "%u", max);
	else if (max)
		snprintf(text, sizeof(text), "%u - %u", sb_workload_min_nodes(s->w), max);
	else
		snprintf(text, sizeof(text), "%u - unlimited", sb_workload_min_nodes(s->w));
	field("Nodes:", text, mask);
	sb_origin_text(&s->source.origin, &origin);
	sb_strbuf_addf(&origin, ", %s", s->source.path);
	field("From:", sb_strbuf_str(&origin), mask);
}

/* Who says so, and what was measured: for those that judge a recipe before they run it. */
static void print_sources(const struct show *s, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf tags = SB_STRBUF_INIT;
	const struct sb_yaml_node *map = sb_workload_metadata(s->w);
	const struct sb_yaml_node *source = sb_yaml_get(map, "source");
	bool list = sb_yaml_type(source) == SB_YAML_LIST;

	metadata_value(sb_yaml_get(map, "tags"), &tags);
	if (sb_yaml_get(map, "tags"))
		field("Good for:", sb_strbuf_str(&tags), mask);
	for (size_t i = 0; source && i < (list ? sb_yaml_size(source) : 1); i++)
		field(i ? "" : "Source:", sb_yaml_str(list ? sb_yaml_at(source, i) : source), mask);
}

static void print_measured(const struct show *s, const struct sb_mask *mask)
{
	const struct sb_yaml_node *map = sb_yaml_get(sb_workload_metadata(s->w), "measured");

	if (sb_yaml_type(map) != SB_YAML_MAP || !sb_yaml_size(map))
		return;
	printf("\nMeasured by the source:\n");
	for (size_t i = 0; i < sb_yaml_size(map); i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

		metadata_key(sb_yaml_str(sb_yaml_key(map, i)), &line);
		sb_strbuf_adds(&line, ": ");
		metadata_value(sb_yaml_at(map, i), &line);
		print_clean("  ", sb_strbuf_str(&line), mask);
	}
}

struct pair {
	const char *key;
	const char *value;               /* or */
	const struct sb_yaml_node *node; /* a value with its type */
};

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static void print_pairs(const char *title, const char *between, struct pair *pairs, size_t n,
		const struct sb_mask *mask)
{
	if (!n)
		return;
	qsort(pairs, n, sizeof(*pairs), by_key);
	printf("\n%s:\n", title);
	for (size_t i = 0; i < n; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

		sb_strbuf_addf(&line, "%s%s", pairs[i].key, between);
		if (pairs[i].value)
			sb_strbuf_adds(&line, pairs[i].value);
		else if (sb_yaml_type(pairs[i].node) == SB_YAML_NULL)
			sb_strbuf_adds(&line, "null");
		else
			sb_yaml_render(pairs[i].node, &line);
		print_clean("  ", sb_strbuf_str(&line), mask);
	}
}

static int print_defaults(const struct show *s, const struct sb_mask *mask, struct sb_err *err)
{
	const struct sb_yaml_node *map = sb_workload_key(s->w, "defaults");
	size_t n = sb_yaml_size(map);
	SB_CLEANUP(sb_freep) struct pair *pairs = calloc(n + 1, sizeof(*pairs));

	if (!pairs)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct pair){ .key = sb_yaml_str(sb_yaml_key(map, i)),
			.node = sb_yaml_at(map, i) };
	print_pairs("Defaults", ": ", pairs, n, mask);
	return 0;
}

static int print_env(const struct show *s, const struct sb_mask *mask, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct pair *pairs = NULL;
	struct sb_env env;
	size_t n = 0;

	while (sb_workload_env_at(s->w, n, &env))
		n++;
	pairs = calloc(n + 1, sizeof(*pairs));
	if (!pairs)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n && sb_workload_env_at(s->w, i, &env); i++)
		pairs[i] = (struct pair){ .key = env.name, .value = env_shown(&env) };
	print_pairs("Environment", "=", pairs, n, mask);
	return 0;
}

static void print_lines(const char *text, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_freep) char *copy = strdup(text);
	char *rest = copy;

	while (rest && rest[strspn(rest, " \t\r\n")])
		print_clean("  ", strsep(&rest, "\n"), mask);
}

static void print_command(const struct show *s, const struct sb_mask *mask)
{
	const char *text = sb_yaml_str(sb_workload_key(s->w, "command"));

	if (!text[strspn(text, " \t\r\n")])
		return;
	printf("\nCommand:\n");
	print_lines(text, mask);
}

/* A command as it stands; a map (a copy) and a mod's name as YAML has them. */
static void print_hook(const struct sb_yaml_node *entry, bool mod, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_strbuf_adds(&line, mod ? "mod: " : "");
	if (sb_yaml_type(entry) == SB_YAML_MAP)
		metadata_value(entry, &line);
	else
		sb_strbuf_adds(&line, sb_yaml_str(entry));
	print_lines(sb_strbuf_str(&line), mask);
}

/* What else the recipe does, and where. */
static void print_hooks(const struct show *s, const struct sb_mask *mask)
{
	static const struct {
		const char *key, *title;
	} kinds[] = {
		{ "pre_exec", "Before it serves, in each container" },
		{ "mods", "Before it serves, in each container" },
		{ "post_exec", "Once it serves, in the head's container" },
		{ "post_commands", "Once it serves, on this machine" },
	};
	const char *before = "";

	for (size_t i = 0; i < sb_countof(kinds); i++) {
		const struct sb_yaml_node *list = sb_workload_key(s->w, kinds[i].key);

		if (sb_yaml_type(list) != SB_YAML_LIST || !sb_yaml_size(list))
			continue;
		if (strcmp(before, kinds[i].title) != 0)
			printf("\n%s:\n", kinds[i].title);
		before = kinds[i].title;
		for (size_t k = 0; k < sb_yaml_size(list); k++)
			print_hook(sb_yaml_at(list, k), !strcmp(kinds[i].key, "mods"), mask);
	}
}

static int print(const struct show *s, const struct sb_mask *mask, struct sb_err *err)
{
	int rc;

	print_head(s, mask);
	print_sources(s, mask);
	print_measured(s, mask);
	rc = print_defaults(s, mask, err);
	if (!rc)
		rc = print_env(s, mask, err);
	if (!rc)
		print_command(s, mask);
	if (!rc)
		print_hooks(s, mask);
	return rc;
}

static int print_vram(struct cli *cli, const struct show *s, const struct show_opts *opts,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf block = SB_STRBUF_INIT;

	if (vram_block(cli, s->w, opts->offline ? VRAM_OFFLINE : VRAM_ONLINE, &block) < 0)
		return sb_err_nomem(err);
	fputs(sb_strbuf_str(&block), stdout);
	return 0;
}

/* --- JSON --- */

static json_t *env_json(const struct show *s)
{
	json_t *json = json_object();
	struct sb_env env;

	for (size_t i = 0; sb_workload_env_at(s->w, i, &env); i++)
		json_object_set_new(json, env.name, json_string(env_shown(&env)));
	return json;
}

static json_t *map_json(const struct sb_yaml_node *map)
{
	return sb_yaml_size(map) ? recipe_yaml_json(map) : json_object();
}

static json_t *command_json(const struct show *s, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT;
	const struct sb_yaml_node *command = sb_workload_key(s->w, "command");

	if (sb_yaml_type(command) == SB_YAML_NULL ||
			sb_mask_text(mask, sb_yaml_str(command), &plain) < 0)
		return json_null();
	return json_string(sb_strbuf_str(&plain));
}

static json_t *to_json(const struct show *s, const struct sb_mask *mask)
{
	static const char *const modes[SB_MODE_COUNT_] = { "auto", "solo", "cluster" };
	const struct sb_yaml_node *defaults = sb_workload_key(s->w, "defaults");
	json_t *json = recipe_json(&s->source, s->w);

	json_object_set_new(
			json, "origin", json_string(sb_origin_kind_text(s->source.origin.kind)));
	json_object_set_new(json, "maintainer", json_string(metadata(s, "maintainer")));
	json_object_set_new(json, "metadata", map_json(sb_workload_metadata(s->w)));
	json_object_set_new(json, "revision", json_string(sb_workload_revision(s->w)));
	json_object_set_new(json, "container", json_string(sb_workload_image(s->w)));
	json_object_set_new(json, "mode", json_string(modes[sb_workload_mode(s->w)]));
	json_object_set_new(json, "runtime_available", json_boolean(runtime_is_here(s)));
	json_object_set_new(json, "defaults", map_json(defaults));
	json_object_set_new(json, "env", env_json(s));
	json_object_set_new(json, "command", command_json(s, mask));
	return json;
}

static json_t *with_vram(
		struct cli *cli, const struct show *s, const struct show_opts *opts, json_t *json)
{
	if (json && !opts->no_vram)
		json_object_set_new(json, "vram",
				vram_json(cli, s->w, opts->offline ? VRAM_OFFLINE : VRAM_ONLINE));
	return json;
}

/* --- the command --- */

static int save(struct cli *cli, const struct show *s, const struct show_opts *opts,
		struct sb_err *err)
{
	int rc;

	if (!opts->force && access(opts->save, F_OK) == 0) {
		sb_err_set(err, SB_E_BUSY, "%s is there already", opts->save);
		return sb_err_hint(err, -SB_E_BUSY, "--force replaces it");
	}
	rc = sb_fs_write(opts->save, sb_strbuf_str(&s->text), s->text.len, 0644, err);
	if (rc == 0)
		cli_note(cli, "Saved to %s.", opts->save);
	return rc;
}

int cmd_show(struct cli *cli, const struct call *call)
{
	const struct show_opts *opts = call->opts;
	SB_CLEANUP(show_done) struct show s = { .text = SB_STRBUF_INIT };
	SB_CLEANUP(sb_mask_done) struct sb_mask mask = SB_MASK_INIT;
	struct sb_err err = SB_ERR_INIT;

	if (opts->force && !opts->save)
		return cli_usage(call, "--force goes with --save");
	if (recipe_find(call->args[0], &s.source, &err) < 0 ||
			recipe_resolve(s.source.path, &s.text, &s.w, &err) < 0 ||
			hide_secrets(&s, &mask, &err) < 0 ||
			(opts->save && save(cli, &s, opts, &err) < 0))
		return cli_fail(cli, &err);
	if (opts->json)
		return cli_json(cli, with_vram(cli, &s, opts, to_json(&s, &mask)), EXIT_DONE);
	if (print(&s, &mask, &err) < 0 || (!opts->no_vram && print_vram(cli, &s, opts, &err) < 0))
		return cli_fail(cli, &err);
	return EXIT_DONE;
}
