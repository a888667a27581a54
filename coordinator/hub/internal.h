/* internal.h - what the files of the hub share. */
#ifndef SB_HUB_INTERNAL_H
#define SB_HUB_INTERNAL_H

#include "sb_hub.h"
#include "sb_strbuf.h"

/** Letters, digits and what the hub allows between them: no way out of a folder. */
bool hub_is_name(const char *text, bool slashes);
/** "org/name", or a name alone as the oldest models have it. */
bool hub_is_model(const char *text);
/** "models--org--name" on the heap; NULL when out of memory. */
char *hub_folder_name(const char *model);

/** Append to the list of files; the name is copied. */
int hub_add_file(const char *name, uint64_t bytes, struct sb_hub_model *m, struct sb_err *err);
void hub_drop_files(struct sb_hub_model *m);

/** Whether the file @name is a GGUF with a head: not a projector, not a later part. */
bool hub_is_gguf(const char *name);

/* --- requests (http.c) --- */

struct hub_http;
/** Everything asked through it ends by @remote's deadline, which starts now. Borrows @remote. */
int hub_http_new(const struct sb_hub_remote *remote, struct hub_http **ret, struct sb_err *err);
void hub_http_free(struct hub_http *http);
SB_DEFINE_CLEANUP(hub_http_free, struct hub_http *)
/** GET @path (begins with '/') of the endpoint, with its redirects. @what begins every error. Of a
 * reply that is longer than @max: the first @max bytes when @head, else -SB_E_RANGE. */
int hub_http_get(struct hub_http *http, const char *what, const char *path, bool head, size_t max,
		struct sb_strbuf *body, struct sb_err *err);

/* --- what was fetched before (store.c) --- */

/* What a revision was when it was asked for last. */
struct hub_ref {
	char commit[SB_HUB_COMMIT_MAX]; /* "" = it was a failure */
	uint64_t age_ms;
	struct sb_err err;
};
/** False when there is none, or none that can be read. */
bool hub_ref_read(const char *folder, const char *revision, struct hub_ref *ret);
/** @err NULL: success. Failing to write is no error: the next time asks again. */
void hub_ref_write(const char *folder, const char *revision, const char *commit,
		const struct sb_err *err);
/** A document of @commit; NULL when it is not there. */
json_t *hub_doc_read(const char *folder, const char *commit, const char *name, size_t max);
void hub_doc_write(const char *folder, const char *commit, const char *name, const char *text,
		size_t len);

#endif
