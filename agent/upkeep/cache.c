/* cache.c - the page cache: CUDA on a Spark cannot take memory that it holds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"

#define MEMINFO_MAX ((size_t)64 << 10)

/* "Cached" and "Buffers" in kB; false when they cannot be read. */
static bool read_cached(const struct chore *c, uint64_t *ret_kb)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(c->proc_root, "meminfo");
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	uint64_t cached = 0, buffers = 0;
	const char *at;

	if (!path || sb_fs_read(path, MEMINFO_MAX, &text, NULL) < 0)
		return false;
	at = strstr(sb_strbuf_str(&text), "\nCached:");
	if (!at || sscanf(at, " Cached: %" SCNu64, &cached) != 1)
		return false;
	at = strstr(sb_strbuf_str(&text), "\nBuffers:");
	if (at)
		(void)!sscanf(at, " Buffers: %" SCNu64, &buffers);
	*ret_kb = cached + buffers;
	return true;
}

static int drop(const struct chore *c)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(c->proc_root, "sys/vm/drop_caches");
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1, rc;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	rc = write(fd, "3\n", 2) == 2 ? 0 : -errno;
	close(fd);
	return rc;
}

static double gib(uint64_t kb)
{
	return (double)kb / (1 << 20);
}

void chore_clear_cache(struct chore *c)
{
	uint64_t before = 0, after = 0;
	bool known = read_cached(c, &before);
	int rc;

	if (c->dry_run) {
		chore_saw(c, "page cache", known,
				"%.2f GiB would be dropped, but for what is in use", gib(before));
		return;
	}
	sync(); /* dirty pages stay */
	rc = drop(c);
	if (rc < 0) {
		chore_saw(c, "page cache", false, "it could not be dropped: %s", strerror(-rc));
		return;
	}
	c->reply.changed = true;
	known = known && read_cached(c, &after);
	if (known)
		chore_saw(c, "page cache", true, "%.2f GiB before, %.2f GiB after", gib(before),
				gib(after));
	else
		chore_saw(c, "page cache", true, "dropped; its size cannot be read");
}
