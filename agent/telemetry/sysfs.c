#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "sysfs.h"

int sys_open(int dir, const char *path)
{
	return openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool sys_text(int dir, const char *path, char *ret, size_t size)
{
	SB_CLEANUP(sb_closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (got < 0)
		return false;
	ret[got] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	sb_text_clean(ret);
	return true;
}

bool sys_parse_u64(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (!sys_begins_with_digit(text))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end)
		return false;
	*ret = value;
	return true;
}

bool sys_u64(int dir, const char *path, uint64_t *ret)
{
	char text[SYS_TEXT_MAX];

	return sys_text(dir, path, text, sizeof(text)) && sys_parse_u64(text, ret);
}

bool sys_exists(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, 0) == 0;
}

bool sys_link(int dir, const char *path, char *ret, size_t size)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir, path, target, sizeof(target) - 1);
	const char *last;

	if (len < 0)
		return false;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (!*last || strlen(last) >= size)
		return false;
	strcpy(ret, last);
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void sys_names(int dir, const char *path, struct sys_names *ret)
{
	int fd = sys_open(dir, path);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	ret->n = 0;
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (ret->n < SYS_NAMES_MAX && (entry = readdir(folder))) {
		char *copy = *entry->d_name == '.' ? NULL : strdup(entry->d_name);

		if (copy)
			ret->names[ret->n++] = copy;
	}
	closedir(folder);
	if (ret->n)
		qsort(ret->names, ret->n, sizeof(*ret->names), by_text);
}

void sys_names_done(struct sys_names *names)
{
	while (names->n)
		free(names->names[--names->n]);
}
