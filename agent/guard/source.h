/* source.h - where the guard's figures come from: the machine, or one cgroup of it. */
#ifndef SB_GUARD_SOURCE_H
#define SB_GUARD_SOURCE_H

#include "policy.h"

/* Open files, read anew each time from their start: no path is looked up while memory is short. */
struct guard_source {
	int memory;            /* meminfo, or the cgroup's use */
	int limit, stat;       /* of the cgroup; -1 without one */
	int pressure;          /* -1: this kernel has none */
	const char *cache_key; /* the line of memory.stat that can be given back */
	uint64_t cgroup_limit;
};
#define GUARD_SOURCE_INIT                                                                          \
	{                                                                                          \
		.memory = -1, .limit = -1, .stat = -1, .pressure = -1                              \
	}

/** @cgroup "" = the machine. */
int guard_source_open(struct guard_source *source, const char *proc_root, const char *cgroup,
		struct sb_err *err);
void guard_source_close(struct guard_source *source);
/** Without allocating. False: it could not be read now. boot_ms is filled in. */
bool guard_source_read(struct guard_source *source, struct guard_sample *ret);

#endif
