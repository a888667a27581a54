/* internal.h - the files of an identity, and the lock that writers hold. */
#ifndef SB_ENROLL_INTERNAL_H
#define SB_ENROLL_INTERNAL_H

#include "sb_enroll.h"
#include "sb_tls.h"

#define ENROLL_KEY "node.key"
#define ENROLL_CSR "node.csr"

/** Lock the folder until *ret_fd is closed. -SB_E_NOT_FOUND with a hint when it does not exist. */
int enroll_lock(const char *dir, int *ret_fd, struct sb_err *err);
/** The whole of @name as text on the heap. -SB_E_NOT_FOUND when it is not there. */
int enroll_read(const char *dir, const char *name, char **ret, struct sb_err *err);
int enroll_write(const char *dir, const char *name, const char *text, struct sb_err *err);
int enroll_remove(const char *dir, const char *name, struct sb_err *err);

/** The five files that an operator hands out. The lock is held. */
int enroll_read_set(const char *dir, struct sb_tls_bundle *ret, struct sb_err *err);
/** Check that @set belongs together and to @key_pem, with the own revocation and at @now_unix_s
 * (SB_TLS_ANY_TIME: without both). */
int enroll_check_set(const struct sb_tls_bundle *set, const char *key_pem, int64_t now_unix_s,
		struct sb_err *err);
/** Complete an installation that was interrupted; nothing to do is fine. The lock is held. */
int enroll_recover(const char *dir, struct sb_err *err);

/* Where each part of the bundle lies. */
#define ENROLL_OPERATOR_CRL "operator.crl"
#define ENROLL_NODE_CRL     "node.crl"
struct enroll_file {
	const char *name;
	size_t at; /* of the char * in struct sb_tls_bundle */
};
#define ENROLL_FILES 5
extern const struct enroll_file enroll_files[ENROLL_FILES];
static inline char **enroll_part(struct sb_tls_bundle *set, size_t i)
{
	return (char **)((char *)set + enroll_files[i].at);
}

#endif
