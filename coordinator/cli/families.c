/* families.c - which family a model is of. The table is data: a new family is a line there. */
#include <string.h>

#include "families.h"
#include "sb_fs.h"
#include "sb_yaml.h"

#define FAMILIES_MAX 256u

struct families {
	struct sb_yaml_doc *doc; /* NULL: there is none */
	const char **names;      /* by the alphabet */
	size_t n;
};

void families_free(struct families *families)
{
	if (!families)
		return;
	sb_yaml_free(families->doc);
	free(families->names);
	free(families);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_names(struct families *f, struct sb_err *err)
{
	const struct sb_yaml_node *root = sb_yaml_root(f->doc);
	int rc = sb_yaml_expect(f->doc, root, SB_YAML_MAP, "the table of families", err);

	if (rc < 0)
		return rc;
	if (sb_yaml_size(root) > FAMILIES_MAX)
		return sb_yaml_err(f->doc, root, err, "more than %u families", FAMILIES_MAX);
	f->names = calloc(sb_yaml_size(root) + 1, sizeof(*f->names));
	if (!f->names)
		return sb_err_nomem(err);
	for (; rc == 0 && f->n < sb_yaml_size(root); f->n++) {
		f->names[f->n] = sb_yaml_str(sb_yaml_key(root, f->n));
		rc = sb_yaml_expect(
				f->doc, sb_yaml_at(root, f->n), SB_YAML_LIST, f->names[f->n], err);
	}
	if (rc == 0)
		qsort(f->names, f->n, sizeof(*f->names), by_name);
	return rc;
}

int families_load(const char *root, struct families **ret, struct sb_err *err)
{
	SB_CLEANUP(families_freep) struct families *f = calloc(1, sizeof(*f));
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(root, FAMILIES_FILE);
	int rc = f && path ? 0 : sb_err_nomem(err);

	if (rc == 0 && access(path, F_OK) == 0) {
		rc = sb_yaml_load(path, NULL, NULL, &f->doc, err);
		if (rc == 0)
			rc = read_names(f, err);
	}
	if (rc == 0)
		*ret = sb_steal(f);
	return rc;
}

static bool same(char a, char b)
{
	return a == b || ((a | 0x20) == (b | 0x20) && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
}

/* fnmatch() of the same costs more than the rest of a listing of a thousand recipes. */
static bool matches(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL; /* where to go on when what follows a star fails */

	while (*text)
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
		} else if (*pattern && (*pattern == '?' || same(*pattern, *text))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	return !pattern[strspn(pattern, "*")];
}

const char *families_of(const struct families *families, const char *model)
{
	const struct sb_yaml_node *root = families->doc ? sb_yaml_root(families->doc) : NULL;

	for (size_t i = 0; i < families->n; i++) {
		const struct sb_yaml_node *patterns = sb_yaml_at(root, i);

		for (size_t k = 0; k < sb_yaml_size(patterns); k++)
			if (matches(sb_yaml_str(sb_yaml_at(patterns, k)), model))
				return sb_yaml_str(sb_yaml_key(root, i));
	}
	return NULL;
}

const char *families_at(const struct families *families, size_t i)
{
	return i < families->n ? families->names[i] : NULL;
}

const char *families_registry(const struct families *families, const char *folder)
{
	for (size_t i = 0; i < families->n; i++)
		if (!strcmp(families->names[i], folder))
			return BUNDLED_REGISTRY;
	return folder;
}
