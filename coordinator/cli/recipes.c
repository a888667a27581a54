/* From what the operator wrote to a recipe's file. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "families.h"
#include "registries.h"
#include "sb_fs.h"

#define UUID_DIGITS 36

static bool is_path(const char *target)
{
	size_t len = strlen(target);

	return strchr("./~", target[0]) || (len > 5 && !strcmp(target + len - 5, ".yaml")) ||
			(len > 4 && !strcmp(target + len - 4, ".yml"));
}

static int expand_home(const char *target, char **ret, struct sb_err *err)
{
	const char *home = getenv("HOME");
	char *path;

	path = !strncmp(target, "~/", 2) && home ? sb_fs_join(home, target + 2) : strdup(target);
	if (!path)
		return sb_err_nomem(err);
	*ret = path;
	return 0;
}

/* The first-level folder of the bundled tree in which @path lies. Return: its length; 0 = it does
 * not. */
static size_t folder_of(const char *path, const char *root, const char **ret)
{
	size_t len = strlen(root);

	if (strncmp(path, root, len) != 0 || path[len] != '/' || !strchr(path + len + 1, '/'))
		return 0;
	*ret = path + len + 1;
	return strcspn(*ret, "/");
}

/* What people call the recipe in @path: its stem, with its registry when it is a bundled one. */
static int name_of(const char *path, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	char *real = realpath(path, NULL), *root = realpath(recipe_bundled_root(), NULL);
	SB_CLEANUP(families_freep) struct families *families = NULL;
	SB_CLEANUP(sb_freep) char *folder = NULL;
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path, *from = "";
	const char *dot = strrchr(stem, '.');
	size_t len = real && root ? folder_of(real, root, &from) : 0;
	int stem_len = (int)(dot && dot > stem ? (size_t)(dot - stem) : strlen(stem)), n;
	int rc = len ? families_load(root, &families, err) : 0;

	if (rc < 0)
		return rc;
	folder = strndup(from, len);
	if (!folder)
		return sb_err_nomem(err);
	if (len)
		n = asprintf(ret, "@%s/%.*s", families_registry(families, folder), stem_len, stem);
	else
		n = asprintf(ret, "%.*s", stem_len, stem);
	if (n >= 0)
		return 0;
	*ret = NULL;
	return sb_err_nomem(err);
}

/* What lies in the cache came from elsewhere, however it is named here. */
static int look_at_origin(struct recipe_source *source, struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list all = SB_REGISTRY_LIST_INIT;
	const struct sb_registry nobody = { .name = (char *)"?", .url = (char *)"?" }, *found;
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1] = "";
	bool foreign;
	int rc = registries_open(false, &store, err);

	if (rc < 0)
		return rc == -SB_E_NOMEM ? rc : 0; /* then there is no cache */
	sb_registry_load(store, NULL, NULL, &all, NULL);
	found = sb_registry_of_path(store, &all, source->path, &foreign);
	if (!foreign)
		return 0;
	if (found)
		sb_registry_commit(store, found, commit);
	return recipe_origin_set(source, found ? found : &nobody, commit, err);
}

static int find_path(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL, *name = NULL;
	SB_CLEANUP(recipe_source_done) struct recipe_source source = { 0 };
	int rc = expand_home(target, &path, err);
	struct stat st;

	if (rc < 0)
		return rc;
	if (access(path, R_OK) < 0)
		return sb_err_errno(err, errno, "recipe %s", path);
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return sb_err_set(err, SB_E_INVALID, "recipe %s: is a folder, not a file", path);
	rc = name_of(path, &name, err);
	if (rc == 0)
		rc = recipe_source_set(path, name, &source, err);
	if (rc == 0)
		rc = look_at_origin(&source, err);
	if (rc < 0)
		return rc;
	*ret = source;
	source = (struct recipe_source){ 0 };
	return 0;
}

static int find_url(const char *url, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_freep) char *path = NULL, *stale = NULL;
	SB_CLEANUP(recipe_source_done) struct recipe_source source = { 0 };
	int rc = registries_open(false, &store, err);

	if (rc == 0)
		rc = sb_registry_download(store, url, &path, &stale, err);
	if (rc == 0)
		rc = recipe_source_set(path, url, &source, err);
	if (rc < 0)
		return rc;
	if (stale)
		cli_warn(NULL, "%s", stale);
	source.origin.kind = SB_ORIGIN_URL;
	source.origin.url = strdup(url);
	if (!source.origin.url)
		return sb_err_nomem(err);
	*ret = source;
	source = (struct recipe_source){ 0 };
	return 0;
}

/* Whether @target is the name of @source: all of it, or its stem. */
static bool is_called(const struct recipe_source *source, const char *target)
{
	const char *slash = strchr(source->name, '/');

	return !strcmp(source->name, target) ||
			(target[0] != '@' && slash && !strcmp(slash + 1, target));
}

/* A file of this folder goes before the registries, and one at the top of a registry before those
 * further down. */
static unsigned rank_of(const struct recipe_source *source)
{
	if (source->origin.kind == SB_ORIGIN_PATH)
		return 0;
	return source->depth ? 2 : 1;
}

static int several(const char *target, const struct recipe_list *list, unsigned rank,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	const struct recipe_source *before = NULL;

	/* Two files of one name cannot be told apart by it, only by path. */
	for (size_t i = 0; i < list->n; i++) {
		const struct recipe_source *s = &list->items[i];
		const struct recipe_source *next = i + 1 < list->n ? s + 1 : NULL;
		bool same = (before && !strcmp(before->name, s->name)) ||
				(next && !strcmp(next->name, s->name));

		if (!is_called(s, target) || rank_of(s) != rank)
			continue;
		sb_strbuf_addf(&names, "%s%s", before ? ", " : "", same ? s->path : s->name);
		before = s;
	}
	return sb_err_set(err, SB_E_INVALID, "Recipe '%s' found in several places: %s", target,
			sb_strbuf_str(&names));
}

/* A near miss is looked for among stems, or among whole names when a registry was given. */
static int not_found(const char *target, const struct recipe_list *list, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) const char **names = calloc(list->n + 1, sizeof(*names));
	const char *near = NULL;
	SB_CLEANUP(sb_freep)
	char *registry = *target == '@' ? strndup(target + 1, strcspn(target + 1, "/")) : NULL;

	for (size_t i = 0; names && i < list->n; i++) {
		const char *slash = strchr(list->items[i].name, '/');

		names[i] = target[0] != '@' && slash ? slash + 1 : list->items[i].name;
	}
	if (names)
		near = did_you_mean(target, names, list->n);
	sb_err_set(err, SB_E_NOT_FOUND, "Recipe '%s' not found.", target);
	if (near)
		return sb_err_hint(err, -SB_E_NOT_FOUND,
				"Did you mean '%s'? `sparkbus list` shows all.", near);
	if (registries_hint(registry, err))
		return -SB_E_NOT_FOUND;
	return sb_err_hint(err, -SB_E_NOT_FOUND,
			"give a path, a *.yaml of this folder, or a name that `sparkbus list` "
			"shows");
}

static int find_name(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	struct recipe_source *best = NULL;
	size_t n_best = 0;
	int rc = recipe_list_scope(target[0] == '@' ? RECIPES_HIDDEN : RECIPES_VISIBLE,
			registries_warn, NULL, &list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++) {
		struct recipe_source *s = &list.items[i];

		if (!is_called(s, target) || (best && rank_of(s) > rank_of(best)))
			continue;
		n_best = best && rank_of(s) == rank_of(best) ? n_best + 1 : 1;
		best = n_best == 1 ? s : best;
	}
	if (!best)
		return not_found(target, &list, err);
	/* "x.yaml" goes before "x.yml" of the same folder. */
	if (n_best > 1 && rank_of(best) > 0)
		return several(target, &list, rank_of(best), err);
	/* A file of this folder may be a link to somebody else's. */
	if (best->origin.kind == SB_ORIGIN_PATH)
		rc = look_at_origin(best, err);
	if (rc < 0)
		return rc;
	*ret = *best;
	*best = (struct recipe_source){ 0 };
	return 0;
}

/* "@spark-arena/<uuid>" is short for an address; 0 when @target is none. */
static int find_submission(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	static const char before[] = "@spark-arena/";
	const char *id = strncmp(target, before, strlen(before)) ? "" : target + strlen(before);
	char url[128];
	int rc;

	if (strlen(id) != UUID_DIGITS || strspn(id, "0123456789abcdefABCDEF-") != UUID_DIGITS)
		return 0;
	snprintf(url, sizeof(url), "https://spark-arena.com/api/recipes/%s/raw", id);
	rc = find_url(url, ret, err);
	return rc < 0 ? rc : 1;
}

int recipe_find(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	const char *slash = strchr(target, '/');
	int rc;

	if (!*target)
		return sb_err_set(err, SB_E_INVALID, "the recipe's name is empty");
	if (target[0] == '@' && (!slash || !slash[1] || slash == target + 1))
		return sb_err_set(err, SB_E_INVALID, "'%s' is not @registry/name", target);
	if (!strncmp(target, "https://", 8) || !strncmp(target, "http://", 7))
		return find_url(target, ret, err);
	rc = find_submission(target, ret, err);
	if (rc)
		return rc < 0 ? rc : 0;
	if (target[0] != '@' && (is_path(target) || slash))
		return find_path(target, ret, err);
	return find_name(target, ret, err);
}
