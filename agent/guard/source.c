/* source.c - the machine's memory from procfs, or a cgroup's from its folder. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sb_base.h"
#include "sb_fs.h"
#include "source.h"

#define TEXT_MAX ((size_t)8 << 10)

/* Files of the two kinds of cgroup, by the name of the file with its use. */
static const struct {
	const char *use, *limit, *pressure, *cache_key;
} kinds[] = {
	{ "memory.current", "memory.max", "memory.pressure", "inactive_file" },
	{ "memory.usage_in_bytes", "memory.limit_in_bytes", NULL, "total_inactive_file" },
};

static int open_in(const char *folder, const char *name)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(folder, name);

	return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static int open_cgroup(struct guard_source *source, const char *folder, struct sb_err *err)
{
	for (size_t i = 0; i < sb_countof(kinds) && source->memory < 0; i++) {
		source->memory = open_in(folder, kinds[i].use);
		if (source->memory < 0)
			continue;
		source->limit = open_in(folder, kinds[i].limit);
		source->stat = open_in(folder, "memory.stat");
		source->cache_key = kinds[i].cache_key;
		if (kinds[i].pressure)
			source->pressure = open_in(folder, kinds[i].pressure);
	}
	if (source->memory < 0 || source->limit < 0)
		return sb_err_set(err, SB_E_NOT_FOUND,
				"guard.cgroup: %s is not a cgroup with a memory controller",
				folder);
	return 0;
}

int guard_source_open(struct guard_source *source, const char *proc_root, const char *cgroup,
		struct sb_err *err)
{
	struct guard_sample sample;

	if (*cgroup) {
		int rc = open_cgroup(source, cgroup, err);

		if (rc < 0)
			return rc;
	} else {
		source->memory = open_in(proc_root, "meminfo");
		source->pressure = open_in(proc_root, "pressure/memory");
	}
	if (guard_source_read(source, &sample))
		return 0;
	return sb_err_set(err, SB_E_INVALID, "the memory guard cannot read %s",
			*cgroup ? "the cgroup's use and limit" : "MemTotal and MemAvailable");
}

void guard_source_close(struct guard_source *source)
{
	const int fds[] = { source->memory, source->limit, source->stat, source->pressure };

	for (size_t i = 0; i < sb_countof(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*source = (struct guard_source)GUARD_SOURCE_INIT;
}

/* The whole of a small file; "" when it cannot be read. */
static const char *text_of(int fd, char buf[TEXT_MAX])
{
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, TEXT_MAX - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static bool number_of(int fd, char buf[TEXT_MAX], uint64_t *ret)
{
	char *end;
	const char *text = text_of(fd, buf);

	if (strncmp(text, "max", 3) == 0)
		*ret = UINT64_MAX;
	else
		*ret = strtoull(text, &end, 10);
	return *text && (*ret == UINT64_MAX || *end == '\n');
}

/* In a cgroup what is not in use, and what is in use but can be given back, is available. */
static bool read_cgroup(struct guard_source *source, char buf[TEXT_MAX], struct guard_sample *ret)
{
	uint64_t use, limit, cache = 0;

	if (!number_of(source->limit, buf, &limit) || !number_of(source->memory, buf, &use))
		return false;
	if (limit > INT64_MAX / 2) /* no limit: nothing to guard */
		return false;
	guard_parse_stat(text_of(source->stat, buf), source->cache_key, &cache);
	if (cache > use)
		cache = use;
	ret->total = limit;
	ret->cached = cache;
	ret->available = limit > use - cache ? limit - (use - cache) : 0;
	return true;
}

bool guard_source_read(struct guard_source *source, struct guard_sample *ret)
{
	char buf[TEXT_MAX];
	bool ok;

	*ret = (struct guard_sample){ .boot_ms = sb_now_boot_ms() };
	ok = source->limit >= 0 ? read_cgroup(source, buf, ret)
				: guard_parse_meminfo(text_of(source->memory, buf), ret);
	if (ok)
		ret->stalled = guard_parse_stalled(text_of(source->pressure, buf));
	else
		ret->total = 0;
	return ok;
}
