/* sysfs.h - small texts of sysfs and procfs, below a folder that a test may put elsewhere. */
#ifndef SYSFS_H
#define SYSFS_H

#include "sb_base.h"

#define SYS_TEXT_MAX  128u /* bytes of an attribute that is read */
#define SYS_NAMES_MAX 512u

/** Open folder @path below @dir, or -1. */
int sys_open(int dir, const char *path);
/** The text of @path below @dir without the end of its line, cut to @size. False when it cannot be
 * read: many attributes answer EINVAL while there is nothing to say. */
bool sys_text(int dir, const char *path, char *ret, size_t size);
bool sys_u64(int dir, const char *path, uint64_t *ret);
/** A decimal number and nothing else. Pure. */
bool sys_parse_u64(const char *text, uint64_t *ret);
/** scanf() takes signs and blanks for a part of a number; the kernel writes none. */
static inline bool sys_begins_with_digit(const char *text)
{
	return *text >= '0' && *text <= '9';
}
bool sys_exists(int dir, const char *path);
/** The last part of what the symbolic link @path points to. */
bool sys_link(int dir, const char *path, char *ret, size_t size);

/* Names of a folder's entries, sorted. */
struct sys_names {
	size_t n;
	char *names[SYS_NAMES_MAX];
};
/** Entries of @path below @dir, but for those that begin with '.'; none when it cannot be read. */
void sys_names(int dir, const char *path, struct sys_names *ret);
void sys_names_done(struct sys_names *names);

#endif
