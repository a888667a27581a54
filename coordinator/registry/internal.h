/* internal.h - what the files of this folder share. */
#ifndef SB_REGISTRY_INTERNAL_H
#define SB_REGISTRY_INTERNAL_H

#include "sb_registry.h"

#define REG_FILE_MAX    ((size_t)1 << 20) /* bytes of registries.yaml or of a manifest */
#define REG_TEXT_MAX    1024u             /* bytes of one text in them */
#define REG_SUBPATH_MAX 255u
#define REG_URL_MAX     1024u

/* --- url.c --- */

enum reg_scheme { REG_HTTPS, REG_SSH, REG_HTTP, REG_FILE, REG_SCHEME_COUNT_ };
struct reg_url {
	enum reg_scheme scheme;
	const char *host; /* within the text; NULL for files */
	size_t host_len;
	const char *path; /* after the host */
};
#define REG_URL_PLAIN ""
#define REG_URL_QUERY "?=&,;+!$*"
/** Take @url apart; -SB_E_INVALID says what is wrong with it. @more: characters that it may have
 * besides those of a path. */
int reg_url_split(const char *url, const char *more, struct reg_url *ret, struct sb_err *err);
/** Whether the host is this machine. */
bool reg_url_is_loopback(const struct reg_url *url);
/** git's word for the scheme: "https", "ssh", "http", "file". */
const char *reg_scheme_text(enum reg_scheme scheme);

/* --- store.c --- */

#define REG_FOLDER_MODE   0700
#define REG_FILE_MODE     0600
#define REG_FETCH_MS      120000u
#define REG_ASK_MS        30000u
#define REG_BYTES_MAX     ((uint64_t)256 << 20)
#define REG_URL_DIGITS    12
#define REG_SET_DIGITS    8
#define REG_COMMIT_DIGITS SB_REGISTRY_COMMIT_DIGITS
#define REG_TREE_MAX      64 /* bytes of "tree-<commit>-<set>" */
#define REG_FOLDER        "registries"
#define REG_TREE          "tree-"
#define REG_CURRENT       "current"

struct sb_registry_store {
	char *config, *cache;
	bool allow_file;
	unsigned fetch_ms, ask_ms;
	uint64_t max_bytes;
	bool (*stopped)(void);
};

bool reg_stopped(const struct sb_registry_store *store);
/** Hold the lock file @path until *ret_fd is closed. -SB_E_BUSY after the longest fetch. */
int reg_lock(const struct sb_registry_store *store, const char *path, int *ret_fd,
		struct sb_err *err);
/** First @digits hex digits of SHA-256(@text). */
int reg_hash(const char *text, size_t digits, char *ret, struct sb_err *err);
/** Folder of @url's repository in the cache, on the heap. */
int reg_home(const struct sb_registry_store *store, const char *url, char **ret,
		struct sb_err *err);
/** Name of the tree that is in force in @home; false when there is none. */
bool reg_current(const char *home, char ret[REG_TREE_MAX]);
const char *reg_part(const struct sb_registry *item, enum sb_registry_part part);
/** @sub below @root without links, on the heap. -SB_E_DENIED when it leads out of @root. */
int reg_inside(const char *root, const char *sub, char **ret, struct sb_err *err);

/* --- git.c --- */

struct reg_git {
	const char *const *argv;         /* NULL-terminated, without "git" */
	enum reg_scheme scheme;          /* the only one that git may use */
	unsigned limit_ms;               /* then it and what it started are killed */
	const char *git_dir, *work_tree; /* may be NULL */
};
/** Run git; what it prints is appended to @out (may be NULL). */
int reg_git(const struct sb_registry_store *store, const struct reg_git *git, struct sb_strbuf *out,
		struct sb_err *err);

/* --- copy.c --- */

#define REG_SET_MAX         32 /* folders of one repository; with more, all of it is taken */
#define REG_FILES_MAX       20000u
#define REG_MANIFEST_FOLDER ".sparkrun"

/* Folders of a repository; sorted, or "." alone. Borrowed. */
struct reg_set {
	const char *paths[REG_SET_MAX];
	size_t n;
	bool all;
};
struct reg_copy {
	char commit[REG_COMMIT_DIGITS + 1];
	size_t links; /* left out: they lead out of the copy */
	char link[128];
};
/** Commit of HEAD as the server has it now. */
int reg_remote_commit(const struct sb_registry_store *store, const char *url,
		char ret[REG_COMMIT_DIGITS + 1], struct sb_err *err);
/** Fetch @set of @url into @scratch/tree. The caller removes @scratch in any case. */
int reg_copy(const struct sb_registry_store *store, const char *url, const struct reg_set *set,
		const char *scratch, struct reg_copy *ret, struct sb_err *err);
void reg_remove_tree(const char *path);

#endif
