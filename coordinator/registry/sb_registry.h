/* sb_registry.h - registries of recipes: the list that the operator keeps, and copies on disk.
 *
 *   <config>/registries.yaml                the list; the published format
 *   <cache>/registries/_url_<12 hex>/       one repository (SHA-256 of its URL)
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

/** Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63; not "local" and
 * "bundled", which listings call what is of no registry. */
bool sb_registry_name_ok(const char *name);
/** Whether git may be sent to @url: https, ssh, http to this machine itself and, with @allow_file,
 * file:// or an absolute path. -SB_E_INVALID says what is wrong with it. */
int sb_registry_url_check(const char *url, bool allow_file, struct sb_err *err);
/** A folder inside a repository: relative, no "..", no ".git"; "." is all of it. */
bool sb_registry_subpath_ok(const char *subpath);
/** Whether a manifest at @url may call a registry @name: some names belong to organisations. */
bool sb_registry_name_free(const char *name, const char *url);

/* --- on disk --- */

struct sb_registry_options {
	const char *config;    /* folder of registries.yaml; copied */
	const char *cache;     /* NULL: by environment, see sb_registry_cache_home() */
	bool allow_file;       /* repositories on this machine's disk */
	unsigned fetch_ms;     /* longest fetch of one repository; 0 = 120 s */
	unsigned ask_ms;       /* longest question to a server; 0 = 30 s */
	uint64_t max_bytes;    /* of a copy, and of what git writes into a file; 0 = 256 MiB */
	bool (*stopped)(void); /* asked ten times a second, on any thread; NULL = never */
};
struct sb_registry_store;
/** Reads and makes nothing yet. */
int sb_registry_open(const struct sb_registry_options *options, struct sb_registry_store **ret,
		struct sb_err *err);
void sb_registry_close(struct sb_registry_store *store);
SB_DEFINE_CLEANUP(sb_registry_close, struct sb_registry_store *)
/** $SPARKBUS_CACHE, else $XDG_CACHE_HOME/sparkbus, else ~/.cache/sparkbus; on the heap. */
int sb_registry_cache_home(char **ret, struct sb_err *err);
/** Borrowed. */
const char *sb_registry_cache(const struct sb_registry_store *store);

/** The operator's list, or the built-in one while there is no file. */
int sb_registry_load(const struct sb_registry_store *store, sb_registry_warn_fn warn, void *ctx,
		struct sb_registry_list *ret, struct sb_err *err);
/** Read the list, let @change work on it, write it: one process at a time, whole or not at all.
 * A negative code from @change leaves the file as it is and is returned. -SB_E_INVALID when the
 * file has entries that cannot be read: writing it would lose them. */
int sb_registry_edit(const struct sb_registry_store *store,
		int (*change)(struct sb_registry_list *list, void *arg, struct sb_err *err),
		void *arg, sb_registry_warn_fn warn, void *ctx, struct sb_err *err);

/** Make @list the operator's, whatever the file holds now: what cannot be read can be replaced. */
int sb_registry_replace(const struct sb_registry_store *store, const struct sb_registry_list *list,
		struct sb_err *err);

enum sb_registry_part {
	SB_REGISTRY_RECIPES,
	SB_REGISTRY_TUNING,
	SB_REGISTRY_BENCHMARKS,
	SB_REGISTRY_MODS,
	SB_REGISTRY_PART_COUNT_,
};
/** Folder of @part in the copy, without links, on the heap. -SB_E_NOT_FOUND: no copy (the hint
 * says how to get one) or no such part. -SB_E_DENIED: it is a link that leaves the copy. */
int sb_registry_folder(const struct sb_registry_store *store, const struct sb_registry *item,
		enum sb_registry_part part, char **ret, struct sb_err *err);
#define SB_REGISTRY_COMMIT_DIGITS 40
/** Commit of the copy: 40 hex digits; "" when there is none. */
void sb_registry_commit(const struct sb_registry_store *store, const struct sb_registry *item,
		char ret[SB_REGISTRY_COMMIT_DIGITS + 1]);
/** The registry in whose recipes' folder the file @path lies, or NULL. *@ret_foreign: it lies in
 * the cache, so that it is a stranger's in any case. */
const struct sb_registry *sb_registry_of_path(const struct sb_registry_store *store,
		const struct sb_registry_list *list, const char *path, bool *ret_foreign);

/* --- fetching --- */

/** What repository @url says that it holds: its manifest, read from a copy that is thrown away. */
int sb_registry_discover(const struct sb_registry_store *store, const char *url,
		sb_registry_warn_fn warn, void *ctx, struct sb_registry_list *ret,
		struct sb_err *err);

struct sb_registry_update {
	const struct sb_registry *item; /* borrowed from the list */
	bool failed;                    /* the old copy, if any, is still in force */
	bool changed;                   /* there is a new copy */
	bool had_copy;                  /* before the update */
	char commit[SB_REGISTRY_COMMIT_DIGITS + 1];
	size_t links;      /* that lead out of the copy and were left out of it */
	char link[128];    /* one of them */
	struct sb_err err; /* why it failed */
};
/** Bring the copies of all enabled registries, or of @only, up to date; each repository once,
 * several at a time. @done (may be NULL) hears of each as it ends, one at a time, on any thread.
 * @ret: zeroed, room for list->n; comes back in the list's order. Return: 0 also when updates
 * failed; -SB_E_NOT_FOUND for an unknown @only, -SB_E_INVALID for a disabled one. */
int sb_registry_update(const struct sb_registry_store *store, const struct sb_registry_list *list,
		const char *only, void (*done)(void *ctx, const struct sb_registry_update *update),
		void *ctx, struct sb_registry_update *ret, size_t *ret_n, struct sb_err *err);
/** Delete the copy of @url's repository. Absent is fine. */
int sb_registry_forget(const struct sb_registry_store *store, const char *url, struct sb_err *err);

/* Bytes of a recipe that is fetched. */
#define SB_REGISTRY_RECIPE_MAX ((size_t)1 << 20)
/** A recipe by its address (https, or http to this machine itself; within 30 s) into the cache;
 * *ret_path on the heap. When the server cannot be asked and there is an older copy, that is used
 * and *ret_stale (heap, else NULL) says why and of when it is. -SB_E_NOT_FOUND and -SB_E_DENIED
 * are the server's word. */
int sb_registry_download(const struct sb_registry_store *store, const char *url, char **ret_path,
		char **ret_stale, struct sb_err *err);

#endif
