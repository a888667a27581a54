#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "registries.h"
#include "run_hooks.h"
#include "sb_fs.h"

/* Whose mods recipes of others name without saying so. */
#define MODS_REGISTRY "eugr"

void hook_trees_freep(struct hook_trees **trees)
{
	for (size_t i = 0; *trees && i < (*trees)->n; i++)
		tree_done(&(*trees)->items[i]);
	free(*trees);
}

static int note_act(
		struct launch *l, const struct sb_hook *hook, const char *path, struct sb_err *err)
{
	char *text = NULL;

	if (l->n_acts == sb_countof(l->acts) ||
			asprintf(&text, "%s: copies %s to the nodes' containers, as %s",
					hook->label, path, hook->dest) < 0)
		return sb_err_nomem(err);
	l->acts[l->n_acts++] = text;
	return 0;
}

/* --- mods --- */

static bool is_mod(const char *path)
{
	SB_CLEANUP(sb_freep) char *script = sb_fs_join(path, "run.sh");

	return script && access(script, R_OK) == 0;
}

/* The recipe's own folder; of one that was fetched from an address there is none. */
static char *recipe_folder(const struct launch *l)
{
	const char *slash = strrchr(l->recipe.path, '/');

	if (l->recipe.origin.kind == SB_ORIGIN_URL)
		return NULL;
	return slash ? strndup(l->recipe.path, (size_t)(slash - l->recipe.path) + 1) : strdup("./");
}

/* @dir/@rel when it is a mod; else it is added to what was tried. */
static char *try_mod(const char *dir, const char *rel, struct sb_strbuf *tried)
{
	char *path = NULL;

	if (asprintf(&path, "%s%s", dir, rel) < 0)
		return NULL;
	if (is_mod(path))
		return path;
	sb_strbuf_addf(tried, "%s%s", tried->len ? ", " : "", path);
	free(path);
	return NULL;
}

/* Mods of the registry @name; what stands in the way is added to what was tried. */
static char *try_registry(const char *name, const char *rel, struct sb_strbuf *tried)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list all = SB_REGISTRY_LIST_INIT;
	SB_CLEANUP(sb_freep) char *folder = NULL, *dir = NULL;
	const struct sb_registry *item = NULL;
	struct sb_err why = SB_ERR_INIT;
	int rc = registries_open(false, &store, &why);

	if (rc == 0)
		rc = sb_registry_load(store, NULL, NULL, &all, &why);
	if (rc == 0 && !(item = sb_registry_find(&all, name)))
		rc = sb_err_set(&why, SB_E_NOT_FOUND, "there is no registry %s", name);
	if (rc == 0 && !item->enabled)
		rc = sb_err_set(&why, SB_E_NOT_FOUND, "registry %s is disabled", name);
	if (rc == 0)
		rc = sb_registry_folder(store, item, SB_REGISTRY_MODS, &folder, &why);
	if (rc < 0) {
		sb_strbuf_addf(tried, "%s%s", tried->len ? ", " : "", why.text);
		return NULL;
	}
	dir = sb_fs_join(folder, "");
	return dir ? try_mod(dir, rel, tried) : NULL;
}

static char *try_beside(const struct launch *l, const char *rel, struct sb_strbuf *tried)
{
	SB_CLEANUP(sb_freep) char *dir = recipe_folder(l), *mods = NULL;
	char *found = dir ? try_mod(dir, rel, tried) : NULL;

	if (dir && !found && asprintf(&mods, "%smods/", dir) < 0)
		mods = NULL;
	return mods ? try_mod(mods, rel, tried) : found;
}

/* "@registry/rel" is that registry's. Else beside the recipe, "<rel>", then "mods/<rel>"; in the
 * recipe's own registry; in the one that publishes mods for others. One leading "mods/" is dropped.
 */
static int find_mod(
		const struct launch *l, const struct sb_hook *hook, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf tried = SB_STRBUF_INIT;
	const char *rel = hook->text, *slash = strchr(rel, '/');
	const struct sb_origin *origin = &l->recipe.origin;
	SB_CLEANUP(sb_freep)
	char *scope = *rel == '@' && slash ? strndup(rel + 1, (size_t)(slash - rel) - 1) : NULL;

	*ret = NULL;
	rel = scope ? slash + 1 : rel;
	rel += strncmp(rel, "mods/", 5) ? 0 : 5;
	if (*rel && *rel != '@' && !strstr(rel, "..")) {
		*ret = scope ? try_registry(scope, rel, &tried) : try_beside(l, rel, &tried);
		if (!*ret && !scope && origin->kind == SB_ORIGIN_REGISTRY)
			*ret = try_registry(origin->registry, rel, &tried);
		if (!*ret && !scope)
			*ret = try_registry(MODS_REGISTRY, rel, &tried);
	}
	if (*ret)
		return 0;
	sb_err_set(err, SB_E_NOT_FOUND, "%s:%u:%u: mod '%s' was not found: tried %s",
			l->recipe.path, hook->line, hook->col, hook->text,
			tried.len ? sb_strbuf_str(&tried) : "nothing");
	return sb_err_hint(err, -SB_E_NOT_FOUND,
			"a mod is a folder with a run.sh: beside the recipe, in mods/ there, or in "
			"the mods folder of a registry (sparkbus registry update)");
}

/* --- copies --- */

static char *expand_home(const char *path)
{
	const char *home = getenv("HOME");

	if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
		return sb_fs_join(home, path[1] ? path + 2 : "");
	return strdup(path);
}

static int read_one(struct launch *l, const struct sb_hook *hook, struct hook_trees *trees,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	int rc = 0;

	if (hook->kind == SB_HOOK_MOD)
		rc = find_mod(l, hook, &path, err);
	else if (!(path = expand_home(hook->text)))
		rc = sb_err_nomem(err);
	/* A mod beside its recipe came with it, from wherever that is: it takes nothing along. */
	if (rc == 0 && hook->kind == SB_HOOK_COPY)
		rc = note_act(l, hook, path, err);
	if (rc == 0)
		rc = tree_read(path, &trees->items[trees->n], err);
	if (rc < 0)
		return hook->kind == SB_HOOK_MOD ? rc : sb_err_wrap(err, rc, "%s", hook->label);
	trees->views[trees->n] = trees->items[trees->n].view;
	trees->n++;
	return 0;
}

int hook_trees_read(struct launch *l, const struct sb_workload *w, struct hook_trees *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	int rc = sb_hooks_before(w, &hooks, err);

	for (size_t i = 0; rc == 0 && i < hooks.n; i++)
		if (hooks.items[i].kind != SB_HOOK_COMMAND)
			rc = read_one(l, &hooks.items[i], ret, err);
	return rc;
}

/* --- trust --- */

/* A file that somebody else may write is not the operator's own word. */
static void look_at_owner(struct launch *l)
{
	struct stat st;

	if (l->recipe.origin.kind == SB_ORIGIN_PATH && stat(l->recipe.path, &st) == 0)
		l->recipe.origin.foreign = (st.st_uid != geteuid() && st.st_uid != 0) ||
				(st.st_mode & S_IWOTH);
}

/* Line by line, nothing left out but secrets: this is what is being agreed to. */
static void print_command(const struct launch *l, const Sparkbus__Hook *hook, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	fprintf(out, "  %s: runs here:\n", hook->label);
	if (sb_mask_text(&l->mask, hook->command, &text) < 0)
		return;
	for (const char *at = sb_strbuf_str(&text); *at; at += *at == '\n') {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
		size_t len = strcspn(at, "\n");

		sb_render_clean(&line, at, len);
		fprintf(out, "    %s\n", sb_strbuf_str(&line));
		at += len;
	}
}

static void print_acts(const struct launch *l, FILE *out)
{
	for (size_t i = 0; i < l->n_acts; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

		sb_render_clean(&line, l->acts[i], strlen(l->acts[i]));
		fprintf(out, "  %s\n", sb_strbuf_str(&line));
	}
	for (size_t i = 0; i < l->plan->n_post_commands; i++)
		print_command(l, l->plan->post_commands[i], out);
	if (l->plan->stop_after_post)
		fprintf(out, "  and then stops the job\n");
}

int hooks_may_act(struct launch *l, bool trust, bool *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf origin = SB_STRBUF_INIT;
	int rc;

	*ret = true;
	look_at_owner(l);
	if ((!l->n_acts && !l->plan->n_post_commands) || trust ||
			sb_origin_may_act_here(&l->recipe.origin))
		return 0;
	sb_origin_text(&l->recipe.origin, &origin);
	sb_progress_break(&l->progress);
	fprintf(stderr, "The recipe is from %s and does this on your machine:\n",
			sb_strbuf_str(&origin));
	print_acts(l, stderr);
	if (isatty(STDIN_FILENO))
		return cli_confirm("May it?", ret, err);
	rc = sb_err_set(err, SB_E_DENIED, "a recipe from %s may not act on this machine unasked",
			sb_strbuf_str(&origin));
	return sb_err_hint(err, rc, "--trust allows it this once");
}

void hooks_print(const struct launch *l, FILE *out)
{
	if (!l->n_acts && !l->plan->n_post_commands)
		return;
	fprintf(out, "On this machine\n");
	print_acts(l, out);
	fputc('\n', out);
}
