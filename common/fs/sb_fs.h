/* sb_fs.h - files that survive a crash: read with a cap, write whole or not at all. */
#ifndef SB_FS_H
#define SB_FS_H

#include <sys/types.h>

#include "sb_err.h"
#include "sb_strbuf.h"

/** Append the whole of @path to @ret. -SB_E_RANGE when it is larger than @max bytes. On
 * failure @ret holds what it held. @ret->max is raised to fit when needed. */
int sb_fs_read(const char *path, size_t max, struct sb_strbuf *ret, struct sb_err *err);

/** Replace @path by @len bytes with @mode, so that a reader or a power cut finds the old
 * content or the new, never a part: temporary name in the same folder, fsync, rename, fsync of
 * the folder. On failure the old file is untouched and no temporary stays behind. */
int sb_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct sb_err *err);

/** Make @path and its missing parents with @mode. An existing folder is left as it is. */
int sb_fs_mkdirs(const char *path, mode_t mode, struct sb_err *err);

/** Remove a file and fsync its folder. Absent is fine. */
int sb_fs_remove(const char *path, struct sb_err *err);

/** "<dir>/<name>" on the heap, or NULL when out of memory. */
char *sb_fs_join(const char *dir, const char *name);

#endif
