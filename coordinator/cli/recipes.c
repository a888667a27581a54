/* Where recipes come from: a path, the current directory, or the bundled tree, whose first-level
 * folders are the registries. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "sb_fs.h"

#define DEPTH_MAX      8
#define CANDIDATES_MAX 64
#define TREE_FILES_MAX 20000

struct candidates {
	char *paths[CANDIDATES_MAX];
	char *names[CANDIDATES_MAX]; /* "@registry/stem" */
	size_t n;
	size_t seen; /* files looked at */
};

static void candidates_done(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->paths[i]);
		free(c->names[i]);
	}
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool is_path(const char *target)
{
	size_t len = strlen(target);

	return strchr("./~", target[0]) || (len > 5 && !strcmp(target + len - 5, ".yaml")) ||
			(len > 4 && !strcmp(target + len - 4, ".yml"));
}

/* The environment names it for tests and packagers; a build that is not installed has none in
 * its prefix and uses the tree it was made from. */
static const char *bundled_root(void)
{
	const char *named = getenv("SPARKBUS_RECIPES");

	if (!sb_empty(named))
		return named;
	return is_folder(SB_RECIPES_INSTALLED) ? SB_RECIPES_INSTALLED : SB_RECIPES_SOURCE;
}

static bool stem_is(const char *file, const char *stem)
{
	size_t len = strlen(stem);

	return !strncmp(file, stem, len) &&
			(!strcmp(file + len, ".yaml") || !strcmp(file + len, ".yml"));
}

static void add_candidate(struct candidates *c, char *path, const char *registry, const char *stem)
{
	char *name = NULL;

	if (c->n == CANDIDATES_MAX || asprintf(&name, "@%s/%s", registry, stem) < 0) {
		free(path);
		return;
	}
	c->paths[c->n] = path;
	c->names[c->n++] = name;
}

static void search_tree(const char *dir, const char *registry, const char *stem, unsigned depth,
		struct candidates *c)
{
	DIR *handle = opendir(dir);
	struct dirent *entry;

	while (handle && (entry = readdir(handle)) && c->seen++ < TREE_FILES_MAX) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		path = sb_fs_join(dir, entry->d_name);
		if (path && stem_is(entry->d_name, stem)) {
			add_candidate(c, path, registry, stem);
			continue;
		}
		if (path && depth < DEPTH_MAX && is_folder(path))
			search_tree(path, registry, stem, depth + 1, c);
		free(path);
	}
	if (handle)
		closedir(handle);
}

static void search_registry(
		const char *root, const char *registry, const char *stem, struct candidates *c)
{
	SB_CLEANUP(sb_freep) char *dir = sb_fs_join(root, registry);

	if (dir && is_folder(dir))
		search_tree(dir, registry, stem, 0, c);
}

static void search_all(const char *root, const char *stem, struct candidates *c)
{
	struct dirent **entries = NULL;
	int n = scandir(root, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			search_registry(root, entries[i]->d_name, stem, c);
		free(entries[i]);
	}
	free(entries);
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

void recipe_source_done(struct recipe_source *source)
{
	free(source->path);
	free(source->name);
	sb_origin_done(&source->origin);
	*source = (struct recipe_source){ 0 };
}

/* A bundled recipe's name says the folder that it lies in. */
static int take(const char *path, const char *name, struct recipe_source *ret, struct sb_err *err)
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

/* What people call the recipe in @path: its stem, with its registry when it is a bundled one. */
static int name_of(const char *path, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	char *real = realpath(path, NULL), *root = realpath(bundled_root(), NULL);
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
	const char *dot = strrchr(stem, '.');
	size_t len = root ? strlen(root) : 0;
	int stem_len = (int)(dot && dot > stem ? (size_t)(dot - stem) : strlen(stem)), n;

	if (real && root && !strncmp(real, root, len) && real[len] == '/' &&
			strchr(real + len + 1, '/'))
		n = asprintf(ret, "@%.*s/%.*s", (int)strcspn(real + len + 1, "/"), real + len + 1,
				stem_len, stem);
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

	if (rc < 0)
		return rc;
	if (access(path, R_OK) < 0)
		return sb_err_errno(err, errno, "recipe %s", path);
	if (is_folder(path))
		return sb_err_set(err, SB_E_INVALID, "recipe %s: is a folder, not a file", path);
	rc = name_of(path, &name, err);
	return rc < 0 ? rc : take(path, name, ret, err);
}

static bool find_here(const char *stem, struct recipe_source *ret, int *ret_rc, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL;

	if (asprintf(&path, "%s.yaml", stem) < 0 || access(path, R_OK) < 0)
		return false;
	*ret_rc = take(path, stem, ret, err);
	return true;
}

static int several(const char *target, const struct candidates *c, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;

	/* Two files of one stem in one registry cannot be told apart by name, only by path. */
	for (size_t i = 0; i < c->n; i++) {
		bool same = (i > 0 && !strcmp(c->names[i], c->names[i - 1])) ||
				(i + 1 < c->n && !strcmp(c->names[i], c->names[i + 1]));

		sb_strbuf_addf(&names, "%s%s", i ? ", " : "", same ? c->paths[i] : c->names[i]);
	}
	return sb_err_set(err, SB_E_INVALID, "Recipe '%s' found in several places: %s", target,
			sb_strbuf_str(&names));
}

int recipe_find(struct cli *cli, const char *target, struct recipe_source *ret, struct sb_err *err)
{
	SB_CLEANUP(candidates_done) struct candidates c = { .n = 0 };
	const char *root = bundled_root(), *slash = strchr(target, '/');
	int rc = 0;

	if (!*target)
		return sb_err_set(err, SB_E_INVALID, "the recipe's name is empty");
	if (target[0] == '@') {
		SB_CLEANUP(sb_freep) char *registry = NULL;

		if (!slash || !slash[1] || slash == target + 1 || strstr(target, ".."))
			return sb_err_set(err, SB_E_INVALID, "'%s' is not @registry/name", target);
		registry = strndup(target + 1, (size_t)(slash - target) - 1);
		if (!registry)
			return sb_err_nomem(err);
		search_registry(root, registry, slash + 1, &c);
	} else if (is_path(target) || slash) {
		return find_path(target, ret, err);
	} else {
		if (find_here(target, ret, &rc, err))
			return rc;
		search_all(root, target, &c);
	}
	if (c.n > 1)
		return several(target, &c, err);
	if (c.n == 1)
		return take(c.paths[0], c.names[0], ret, err);
	sb_err_set(err, SB_E_NOT_FOUND, "Recipe '%s' not found.", target);
	return sb_err_hint(err, -SB_E_NOT_FOUND,
			"give a path, a *.yaml of this folder, or a recipe below %s", root);
}
