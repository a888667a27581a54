/* From what the operator wrote to a recipe's file. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "families.h"
#include "options.h"
#include "recipes.h"
#include "sb_fs.h"

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

static int find_path(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL, *name = NULL;
	int rc = expand_home(target, &path, err);
	struct stat st;

	if (rc < 0)
		return rc;
	if (access(path, R_OK) < 0)
		return sb_err_errno(err, errno, "recipe %s", path);
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return sb_err_set(err, SB_E_INVALID, "recipe %s: is a folder, not a file", path);
	rc = name_of(path, &name, err);
	return rc < 0 ? rc : recipe_source_set(path, name, ret, err);
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
	return sb_err_hint(err, -SB_E_NOT_FOUND,
			"give a path, a *.yaml of this folder, or a name that `sparkbus list` "
			"shows");
}

static int find_name(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	const struct recipe_source *best = NULL;
	size_t n_best = 0;
	int rc = recipe_list_fill(&list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++) {
		const struct recipe_source *s = &list.items[i];

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
	return recipe_source_set(best->path, best->name, ret, err);
}

int recipe_find(const char *target, struct recipe_source *ret, struct sb_err *err)
{
	const char *slash = strchr(target, '/');

	if (!*target)
		return sb_err_set(err, SB_E_INVALID, "the recipe's name is empty");
	if (target[0] == '@' && (!slash || !slash[1] || slash == target + 1))
		return sb_err_set(err, SB_E_INVALID, "'%s' is not @registry/name", target);
	if (target[0] != '@' && (is_path(target) || slash))
		return find_path(target, ret, err);
	return find_name(target, ret, err);
}
