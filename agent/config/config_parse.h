/* config_parse.h - the parts of sb_config that need no file, apart so that tests can reach them. */
#ifndef SB_CONFIG_PARSE_H
#define SB_CONFIG_PARSE_H

#include <pwd.h>

#include "sb_base.h"

/** "32MiB", "64k", "1G", "4096": a whole number of bytes. k, M, G, T and KiB, MiB, GiB, TiB (any
 * case, a blank before them is fine) are powers of 1024; kB, MB, GB, TB powers of 1000. False when
 * it is no such text or passes 64 bits. */
bool config_parse_size(const char *text, uint64_t *ret_bytes);

/** Letters to insert, delete, replace or swap with their neighbour to get from @a to @b; texts over
 * 64 bytes are simply far apart. */
unsigned config_distance(const char *a, const char *b);

/** The Hugging Face cache of the first human user (uid 1000 to 64999, with a home that exists) who
 * has one, else of the first human user, else /var/lib/sparkbus/huggingface. @next gives one user
 * after the other, then NULL. On the heap; NULL when out of memory. */
char *config_default_hf_cache(struct passwd *(*next)(void *ctx), void *ctx);

#endif
