/* The files that may be recipes: of this folder, of the copies of registries, and of the bundled
 * tree, whose first-level folders are families of the bundled recipes, or called like registries.
 */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "families.h"
#include "recipes.h"
#include "registries.h"
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

/* What an entry is. A link to a file counts as one; a link to a folder is not followed, so that
 * none can lead in a circle. */
static unsigned char type_of(const struct dirent *entry, const char *path)
{
	struct stat st;

	if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
		return entry->d_type;
	if (entry->d_type == DT_UNKNOWN && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return DT_DIR;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
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
		unsigned char type = path ? type_of(entry, path) : DT_UNKNOWN;

		if (rc < 0 || list->seen++ >= FILES_MAX)
			continue;
		if (!path)
			rc = sb_err_nomem(err);
		else if (type == DT_DIR && depth < deepest)
			rc = add_folder(list, path, registry, depth + 1, deepest, err);
		else if (type == DT_REG && stem_length(entry->d_name))
			rc = add_file(list, path, registry, entry->d_name, depth, err);
	}
	free(entries);
	return rc;
}

static int add_bundled(struct recipe_list *list, const char *root, struct sb_err *err)
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
		list->seen = 0;
		if (rc == 0)
			rc = dir ? add_folder(list, dir, families_registry(families, entry->d_name),
						   0, DEPTH_MAX, err)
				 : sb_err_nomem(err);
	}
	free(entries);
	return rc;
}

int recipe_origin_set(struct recipe_source *source, const struct sb_registry *registry,
		const char *commit, struct sb_err *err)
{
	struct sb_origin origin = { .kind = SB_ORIGIN_REGISTRY,
		.registry = strdup(registry->name),
		.url = strdup(registry->url),
		.commit = strdup(commit),
		.trusted = registry->trusted };

	sb_origin_done(&source->origin);
	source->origin = origin;
	return origin.registry && origin.url && origin.commit ? 0 : sb_err_nomem(err);
}

static int add_copy(struct recipe_list *list, const struct sb_registry_store *store,
		const struct sb_registry *registry, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *folder = NULL;
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1];
	size_t first = list->n;
	int rc = sb_registry_folder(store, registry, SB_REGISTRY_RECIPES, &folder, NULL);

	if (rc < 0)
		return rc == -SB_E_NOMEM ? sb_err_nomem(err) : 0;
	sb_registry_commit(store, registry, commit);
	list->seen = 0;
	rc = add_folder(list, folder, registry->name, 0, DEPTH_MAX, err);
	for (size_t i = first; rc == 0 && i < list->n; i++)
		rc = recipe_origin_set(&list->items[i], registry, commit, err);
	return rc;
}

static int add_copies(struct recipe_list *list, enum recipe_scope scope, sb_registry_warn_fn warn,
		void *ctx, struct sb_err *err)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list all = SB_REGISTRY_LIST_INIT;
	struct sb_err why = SB_ERR_INIT;
	int rc = registries_open(false, &store, &why);

	if (rc == 0)
		rc = sb_registry_load(store, warn, ctx, &all, &why);
	/* Without a usable list there are the others. */
	if (rc < 0 && warn)
		warn(ctx, why.text);
	rc = rc == -SB_E_NOMEM ? sb_err_nomem(err) : 0;
	for (size_t i = 0; rc == 0 && i < all.n; i++)
		if (all.items[i].enabled && (all.items[i].visible || scope == RECIPES_HIDDEN))
			rc = add_copy(list, store, &all.items[i], err);
	return rc;
}

/* Sorted, a registry's recipe stands before the bundled one of the same name. */
static void drop_shadowed(struct recipe_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct recipe_source *item = &list->items[i];
		bool shadowed = item->origin.kind == SB_ORIGIN_BUNDLED && n &&
				list->items[n - 1].origin.kind == SB_ORIGIN_REGISTRY &&
				!strcmp(list->items[n - 1].name, item->name);

		if (shadowed)
			recipe_source_done(item);
		else if (n++ != i)
			list->items[n - 1] = *item;
	}
	list->n = n;
}

static int by_name(const void *a, const void *b)
{
	const struct recipe_source *x = a, *y = b;
	int order = (x->origin.kind != SB_ORIGIN_PATH) - (y->origin.kind != SB_ORIGIN_PATH);

	if (!order)
		order = strcmp(x->name, y->name);
	if (!order)
		order = (x->origin.kind == SB_ORIGIN_BUNDLED) -
				(y->origin.kind == SB_ORIGIN_BUNDLED);
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

int recipe_list_scope(enum recipe_scope scope, void (*warn)(void *ctx, const char *text), void *ctx,
		struct recipe_list *ret, struct sb_err *err)
{
	struct recipe_list list = { 0 };
	int rc = add_folder(&list, ".", NULL, 0, 0, err);

	if (!rc)
		rc = add_copies(&list, scope, warn, ctx, err);
	if (!rc)
		rc = add_bundled(&list, recipe_bundled_root(), err);
	if (rc < 0) {
		recipe_list_done(&list);
		return rc;
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(*list.items), by_name);
	drop_shadowed(&list);
	*ret = list;
	return 0;
}

int recipe_list_fill(struct recipe_list *ret, struct sb_err *err)
{
	return recipe_list_scope(RECIPES_VISIBLE, NULL, NULL, ret, err);
}
