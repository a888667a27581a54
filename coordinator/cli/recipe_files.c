/* The files that may be recipes: of this folder, and of the bundled tree, whose first-level
 * folders are families of the bundled recipes, or registries. */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "families.h"
#include "recipes.h"
#include "sb_fs.h"

#define DEPTH_MAX 8
#define FILES_MAX 20000
/* Beside the registries lie the rules of lint, which are no recipes. */
#define RULES_FOLDER "rules"

void recipe_source_done(struct recipe_source *source)
{
	free(source->path);
	free(source->name);
	sb_origin_done(&source->origin);
	*source = (struct recipe_source){ 0 };
}

int recipe_source_set(
		const char *path, const char *name, struct recipe_source *ret, struct sb_err *err)
{
	struct recipe_source s = { .path = strdup(path), .name = strdup(name) };

	if (name[0] == '@') {
		s.origin.kind = SB_ORIGIN_BUNDLED;
		s.origin.registry = strndup(name + 1, strcspn(name + 1, "/"));
	}
	if (!s.path || !s.name || (name[0] == '@' && !s.origin.registry)) {
		recipe_source_done(&s);
		return sb_err_nomem(err);
	}
	*ret = s;
	return 0;
}

void recipe_list_done(struct recipe_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		recipe_source_done(&list->items[i]);
	free(list->items);
	*list = (struct recipe_list){ 0 };
}

const char *recipe_registry(const struct recipe_source *source)
{
	return source->origin.registry ? source->origin.registry : "local";
}

static char beside[PATH_MAX];

/* PREFIX/bin/sparkbus has its recipes in PREFIX/share, wherever it was unpacked. */
static void find_beside(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	for (int up = 0; up < 2 && n > 0; up++)
		while (n > 0 && exe[--n] != '/')
			;
	if (n > 0 &&
			snprintf(beside, sizeof(beside), "%.*s/%s", (int)n, exe,
					SB_RECIPES_BELOW) >= (int)sizeof(beside))
		*beside = '\0';
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

const char *recipe_installed_root(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_beside);
	return is_folder(beside) ? beside : SB_RECIPES_INSTALLED;
}

/* The environment names it for tests and packagers; a build that is not installed has none in
 * its prefix and uses the tree it was made from. */
const char *recipe_bundled_root(void)
{
	const char *named = getenv("SPARKBUS_RECIPES");

	if (!sb_empty(named))
		return named;
	return is_folder(recipe_installed_root()) ? recipe_installed_root() : SB_RECIPES_SOURCE;
}

/* Length of the stem of a recipe's file name; 0 when it is no recipe's. */
static size_t stem_length(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml")) ? (size_t)(dot - file) : 0;
}

static int add_file(struct recipe_list *list, const char *path, const char *registry,
		const char *file, unsigned depth, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = NULL;
	struct recipe_source *grown;
	int rc;

	if (asprintf(&name, "%s%s%s%.*s", registry ? "@" : "", registry ? registry : "",
			    registry ? "/" : "", (int)stem_length(file), file) < 0) {
		name = NULL;
		return sb_err_nomem(err);
	}
	grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
	if (!grown)
		return sb_err_nomem(err);
	list->items = grown;
	rc = recipe_source_set(path, name, &grown[list->n], err);
	if (rc < 0)
		return rc;
	grown[list->n++].depth = depth;
	return 0;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Files of @dir and of the folders in it, as far down as @deepest. */
static int add_folder(struct recipe_list *list, const char *dir, const char *registry,
		unsigned depth, unsigned deepest, struct sb_err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, visible, alphasort), rc = 0;

	for (int i = 0; i < n; i++) {
		SB_CLEANUP(sb_freep) struct dirent *entry = entries[i];
		SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, entry->d_name);
		struct stat st;

		if (rc < 0 || list->seen++ >= FILES_MAX)
			continue;
		if (!path)
			rc = sb_err_nomem(err);
		else if (stat(path, &st) < 0)
			continue;
		else if (S_ISDIR(st.st_mode) && depth < deepest)
			rc = add_folder(list, path, registry, depth + 1, deepest, err);
		else if (S_ISREG(st.st_mode) && stem_length(entry->d_name))
			rc = add_file(list, path, registry, entry->d_name, depth, err);
	}
	free(entries);
	return rc;
}

static int add_registries(struct recipe_list *list, const char *root, struct sb_err *err)
{
	SB_CLEANUP(families_freep) struct families *families = NULL;
	struct dirent **entries = NULL;
	int rc = families_load(root, &families, err), n;

	if (rc < 0)
		return rc;
	n = scandir(root, &entries, visible, alphasort);
	for (int i = 0; i < n; i++) {
		SB_CLEANUP(sb_freep) struct dirent *entry = entries[i];
		SB_CLEANUP(sb_freep) char *dir = sb_fs_join(root, entry->d_name);

		if (!strcmp(entry->d_name, RULES_FOLDER))
			continue;
		if (rc == 0)
			rc = dir ? add_folder(list, dir, families_registry(families, entry->d_name),
						   0, DEPTH_MAX, err)
				 : sb_err_nomem(err);
	}
	free(entries);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	const struct recipe_source *x = a, *y = b;
	int order = (x->origin.kind != SB_ORIGIN_PATH) - (y->origin.kind != SB_ORIGIN_PATH);

	if (!order)
		order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->path, y->path);
}

int recipe_list_folder(const char *dir, struct recipe_list *ret, struct sb_err *err)
{
	struct recipe_list list = { 0 };
	int rc = add_folder(&list, dir, NULL, 0, DEPTH_MAX, err);

	if (rc < 0) {
		recipe_list_done(&list);
		return rc;
	}
	*ret = list;
	return 0;
}

int recipe_list_fill(struct recipe_list *ret, struct sb_err *err)
{
	struct recipe_list list = { 0 };
	int rc = add_folder(&list, ".", NULL, 0, 0, err);

	if (!rc)
		rc = add_registries(&list, recipe_bundled_root(), err);
	if (rc < 0) {
		recipe_list_done(&list);
		return rc;
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(*list.items), by_name);
	*ret = list;
	return 0;
}
