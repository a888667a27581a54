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
/** Take @url apart; -SB_E_INVALID says what is wrong with it. */
int reg_url_split(const char *url, struct reg_url *ret, struct sb_err *err);
/** Whether the host is this machine. */
bool reg_url_is_loopback(const struct reg_url *url);
/** git's word for the scheme: "https", "ssh", "http", "file". */
const char *reg_scheme_text(enum reg_scheme scheme);

#endif
