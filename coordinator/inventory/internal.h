/* internal.h - the folder of the inventory and the small YAML of its files. */
#ifndef SB_INVENTORY_INTERNAL_H
#define SB_INVENTORY_INTERNAL_H

#include "sb_fs.h"
#include "sb_inventory.h"
#include "sb_yaml.h"

#define INV_FILE_MODE   0600
#define INV_FOLDER_MODE 0700
#define INV_PEM_MAX     ((size_t)2 << 20) /* bytes of a PEM file; a full list has 1 MiB */
#define INV_TEXT_MAX    1024u             /* bytes of one text in a cluster or node file */
#define INV_FILES_MAX   4096u             /* nodes or clusters in one inventory */
#define INV_HOSTS_MAX   1024u             /* hosts of a cluster; also settings of its executor */

struct sb_inventory {
	char *home;
	/* What sb_inventory_creds() lent out. */
	char *cert, *key, *node_ca, *node_crl, *operator_ca, *operator_crl;
	struct sb_tls_cert_info info;
};

/** Make the folder if needed and lock it until *ret_fd is closed. */
int inv_lock(struct sb_inventory *inv, int *ret_fd, struct sb_err *err);
/** "<home>/<folder>/<name><suffix>" on the heap, or NULL when out of memory. */
char *inv_path(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix);
/** Text of a file. -SB_E_NOT_FOUND when it is not there. The caller wipes what is a key. */
int inv_read(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix, char **ret, struct sb_err *err);
/** Write a file, and its folder when missing. */
int inv_write(const struct sb_inventory *inv, const char *folder, const char *name,
		const char *suffix, const char *text, struct sb_err *err);
/** Names in @folder that end in ".yaml", without it, sorted. free() each and the array. */
int inv_list(const struct sb_inventory *inv, const char *folder, char ***ret, size_t *ret_n,
		struct sb_err *err);
void inv_free_list(char **list, size_t n);

/* --- files of keys and values --- */

enum inv_kind { INV_TEXT, INV_PORT, INV_TIME, INV_FLAG };
struct inv_field {
	const char *key;
	enum inv_kind kind;
	bool required;
	size_t at;                /* in the struct that is read or written */
	const char *const *words; /* a text that must be one of these, NULL-terminated; or NULL */
};
/** Open "<home>/<folder>/<name>.yaml", which must be a map. */
int inv_load(const struct sb_inventory *inv, const char *folder, const char *name,
		struct sb_yaml_doc **ret, struct sb_err *err);
int inv_read_fields(const struct sb_yaml_doc *doc, const struct inv_field *fields, size_t n,
		void *into, struct sb_err *err);
/** Append "key: value" lines; empty texts, ports and times are left out. */
int inv_write_fields(struct sb_strbuf *out, const struct inv_field *fields, size_t n,
		const void *from, struct sb_err *err);
/** A scalar as text on the heap; NULL for null. Lists and maps are refused with their place. */
int inv_take_text(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node, const char *what,
		char **ret, struct sb_err *err);
/** Turn what a writer's strbuf says into an error. Return: 0 when all was added. */
int inv_built(const struct sb_strbuf *text, struct sb_err *err);

/** Tell @warn why the file of @name did not read. */
void inv_warn(void (*warn)(void *ctx, const char *text), void *ctx, const struct sb_err *why);

/* --- used across files; the lock is held --- */
int inv_node_write(struct sb_inventory *inv, const struct sb_inv_node *node, struct sb_err *err);

#endif
