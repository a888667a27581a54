/* rank_spec.h - inside rank_start.c, rank_spec.c and files.c: a container before it is made. */
#ifndef SB_RANK_SPEC_H
#define SB_RANK_SPEC_H

#include "internal.h"
#include "sb_entry.h"

#define RANK_USER_MAX 48 /* bytes of two numbers and a colon */

/* What the engine's spec borrows while the container is being asked for. */
struct rank_spec {
	struct sb_container_spec spec;
	struct sb_kv *env, *labels;
	struct sb_engine_mount *mounts;
	struct sb_engine_ulimit *ulimits;
	const char **devices;
	char **paths; /* mount sources with {hf_cache} filled in */
	size_t n_paths;
	char *label_texts; /* "key=value" of the plan, cut at '=' */
	const char **argv; /* the plan's, with what only this node knows */
	char *model;       /* the word of a GGUF file */
	char user[RANK_USER_MAX], rank[16], generation[24], plan[24];
};

/* Fill @b (zero) for this node's rank of @job. -1: out of memory; rank_spec_done() all the same. */
int rank_spec_fill(struct rank_spec *b, const struct job *job);
void rank_spec_done(struct rank_spec *b);
/* True when the rank runs as a user that this node chose: the owner of its model cache. */
bool rank_mapped_user(const struct job *job, uid_t *ret_uid, gid_t *ret_gid);
/* Whose the rank's files are: whom it runs as, where that is a number (no group is group 0); else
 * root, and false. */
bool rank_owner(const struct job *job, uid_t *ret_uid, gid_t *ret_gid);
/* Whom the rank runs as, as the engine has it: "uid:gid", a name; "" = the image's user. The text
 * is in @buf or in the plan. */
const char *rank_user(const struct job *job, char buf[RANK_USER_MAX]);

/* The path in the container of the GGUF file that @spec asks for, allocated, and *@ret_file, below
 * the model cache. -SB_E_NOT_FOUND: it is not there, or the container has no cache. */
int rank_gguf(const struct sb_jobs *jobs, const Sparkbus__RankSpec *spec, char **ret_word,
		char **ret_file, struct sb_err *err);

/* --- files.c --- */
/* What this rank finds in its container, as one tar archive for "/"; nothing when it has none. */
int files_tar(const struct job *job, struct sb_strbuf *out, struct sb_err *err);

#endif
