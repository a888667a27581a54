/* sb_registry.h - registries of recipes: the list that the operator keeps, and copies on disk.
 *
 *   <config>/registries.yaml                the list; the published format
 *   <cache>/registries/_url_<12 hex>/       one repository (SHA-256 of its URL), with its lock
 *       tree-<commit>-<8 hex>/              the folders that registries name, as plain files
 *       current -> tree-...                 what readers use; changed by rename
 *   <cache>/remote-recipes/<16 hex>.yaml    recipes fetched from an address
 *
 * A copy holds no .git: nothing ever runs git in it again, so no hook, filter or submodule of a
 * repository can come to life. An update makes a new tree beside the old one, looks at it, and
 * then moves the link; whatever happens before that leaves the old copy in force. */
#ifndef SB_REGISTRY_H
#define SB_REGISTRY_H

#include "sb_err.h"
#include "sb_origin.h"
#include "sb_strbuf.h"

/* --- the list (pure) --- */

struct sb_registry {
	char *name, *url;
	char *subpath; /* folder of the recipes in the repository; "." = all of it */
	/* These may be NULL. */
	char *description, *tuning_subpath, *benchmark_subpath, *mods_subpath;
	bool enabled; /* false: neither read nor updated */
	bool visible; /* false: only by @name/..., --registry or --all */
	bool trusted; /* its recipes may act on the workstation; never set by a manifest */
};

struct sb_registry_list {
	struct sb_registry *items;
	size_t n;
	size_t broken;  /* entries of the file that were left out */
	bool from_file; /* false: there is no file yet, these are the built-in ones */
};
#define SB_REGISTRY_LIST_INIT                                                                      \
	{                                                                                          \
		0                                                                                  \
	}
#define SB_REGISTRIES_MAX 256u

typedef void (*sb_registry_warn_fn)(void *ctx, const char *text);

/** Parse a registries.yaml; @name stands in errors. A bad entry goes to @warn ("name:line:col:
 * why", may be NULL), is counted, and does not hide the others. Return: 0; -SB_E_INVALID for what
 * is no YAML or has no list of registries; -SB_E_RANGE over SB_REGISTRIES_MAX. */
int sb_registry_parse(const char *name, const char *text, size_t len, sb_registry_warn_fn warn,
		void *ctx, struct sb_registry_list *ret, struct sb_err *err);
/** Append the list as registries.yaml; values equal to the default are left out. */
int sb_registry_write(
		const struct sb_registry_list *list, struct sb_strbuf *out, struct sb_err *err);
/** Parse a repository's manifest. Its registries get @url. Bad entries go to @warn, those among
 * them whose name belongs to somebody else. -SB_E_INVALID when not one entry is good. */
int sb_manifest_parse(const char *name, const char *text, size_t len, const char *url,
		sb_registry_warn_fn warn, void *ctx, struct sb_registry_list *ret,
		struct sb_err *err);
/** The built-in list: the published tool's. */
int sb_registry_defaults(struct sb_registry_list *ret, struct sb_err *err);

/** The entry called @name in any case, or NULL. */
struct sb_registry *sb_registry_find(const struct sb_registry_list *list, const char *name);
/** Append a copy. -SB_E_BUSY when the name is taken; -SB_E_RANGE over SB_REGISTRIES_MAX. */
int sb_registry_append(
		struct sb_registry_list *list, const struct sb_registry *item, struct sb_err *err);
/** Take the @i-th entry out. */
void sb_registry_drop(struct sb_registry_list *list, size_t i);
void sb_registry_list_done(struct sb_registry_list *list);

/** Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63; not "local",
 * which is this folder's name in listings. */
bool sb_registry_name_ok(const char *name);
/** Whether git may be sent to @url: https, ssh, http to this machine itself and, with @allow_file,
 * file:// or an absolute path. -SB_E_INVALID says what is wrong with it. */
int sb_registry_url_check(const char *url, bool allow_file, struct sb_err *err);
/** A folder inside a repository: relative, no "..", no ".git"; "." is all of it. */
bool sb_registry_subpath_ok(const char *subpath);
/** Whether a manifest at @url may call a registry @name: some names belong to organisations. */
bool sb_registry_name_free(const char *name, const char *url);

#endif
