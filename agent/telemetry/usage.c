/* usage.c - what the container of each job uses, from its cgroup, and which of the GPU's processes
 * are whose.
 *
 * The engine names a container's cgroup after the container's id, so that the cgroup of a process
 * says whose it is, and that a process number was not given to another. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sysfs.h"
#include "telemetry_parts.h"

#define CGROUP_MAX 1024u /* bytes of a path */
#define FILE_MAX   8192u /* bytes of /proc/PID/cgroup and of memory.stat */

struct usage {
	int proc, sys; /* folders */
	struct sb_telemetry_job jobs[USAGE_JOBS_MAX];
	struct {
		char job[128], container[80];
	} texts[USAGE_JOBS_MAX];
	size_t n;
	uint64_t read_ms;
	Sparkbus__JobUsage usages[USAGE_JOBS_MAX], *list[USAGE_JOBS_MAX];
	Sparkbus__Sample samples[USAGE_JOBS_MAX];
};

/* --- texts; pure --- */

/* Lines are "<number>:<controllers>:<path>"; version 2 has number 0 and no controllers. */
bool usage_parse_cgroup(const char *text, const char *controller, char *ret, size_t size)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		const char *names, *path;
		size_t len, want = strlen(controller);

		line += *line == '\n';
		names = strchr(line, ':');
		path = names ? strchr(names + 1, ':') : NULL;
		len = path ? strcspn(path + 1, "\n") : 0;
		if (!path || !sys_begins_with_digit(line) ||
				(size_t)(names - line) > strcspn(line, "\n") || path[1] != '/' ||
				len >= size || (size_t)(path - names - 1) != want ||
				strncmp(names + 1, controller, want) != 0)
			continue;
		memcpy(ret, path + 1, len);
		ret[len] = '\0';
		return !strstr(ret, "/..");
	}
	return false;
}

bool usage_parse_stat(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char number[24];
		size_t digits;

		line += *line == '\n';
		if (strncmp(line, key, len) != 0 || line[len] != ' ')
			continue;
		digits = strcspn(line + len + 1, "\n");
		if (digits >= sizeof(number))
			return false;
		memcpy(number, line + len + 1, digits);
		number[digits] = '\0';
		return sys_parse_u64(number, ret);
	}
	return false;
}

/* --- files --- */

static bool read_file(int dir, const char *path, char ret[FILE_MAX])
{
	SB_CLEANUP(sb_closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, FILE_MAX - 1);

	if (got <= 0)
		return false;
	ret[got] = '\0';
	return true;
}

static bool cgroups_of(struct usage *u, unsigned pid, char ret[FILE_MAX])
{
	char path[32];

	snprintf(path, sizeof(path), "%u/cgroup", pid);
	return read_file(u->proc, path, ret);
}

/* The folder of @pid's cgroup, as long as that is @container's; -1 = not. */
static int open_cgroup(
		struct usage *u, const char *text, const char *controller, const char *container)
{
	char cgroup[CGROUP_MAX], path[CGROUP_MAX + 64];

	if (!usage_parse_cgroup(text, controller, cgroup, sizeof(cgroup)) ||
			!strstr(cgroup, container))
		return -1;
	snprintf(path, sizeof(path), "fs/cgroup%s%s%s", *controller ? "/" : "", controller, cgroup);
	return sys_open(u->sys, path);
}

static void set_memory(Sparkbus__JobUsage *usage, uint64_t used, uint64_t cache)
{
	usage->has_memory_case = SPARKBUS__JOB_USAGE__HAS_MEMORY_MEMORY_BYTES;
	usage->memory_bytes = used > cache ? used - cache : 0;
}

static void set_cpu(Sparkbus__JobUsage *usage, uint64_t us)
{
	usage->has_cpu_case = SPARKBUS__JOB_USAGE__HAS_CPU_CPU_US;
	usage->cpu_us = us;
}

/* File cache that was not used lately can be had for the asking; engines' own figures leave it out,
 * too. */
static void read_v2(int dir, Sparkbus__JobUsage *usage)
{
	char text[FILE_MAX];
	uint64_t value, cache = 0;

	if (read_file(dir, "memory.stat", text))
		usage_parse_stat(text, "inactive_file", &cache);
	if (sys_u64(dir, "memory.current", &value))
		set_memory(usage, value, cache);
	if (read_file(dir, "cpu.stat", text) && usage_parse_stat(text, "usage_usec", &value))
		set_cpu(usage, value);
}

static void read_v1(struct usage *u, const char *cgroups, const char *container,
		Sparkbus__JobUsage *usage)
{
	SB_CLEANUP(sb_closep) int memory = open_cgroup(u, cgroups, "memory", container);
	SB_CLEANUP(sb_closep) int cpu = open_cgroup(u, cgroups, "cpuacct", container);
	char text[FILE_MAX];
	uint64_t value, cache = 0;

	if (cpu < 0)
		cpu = open_cgroup(u, cgroups, "cpu,cpuacct", container);
	if (memory >= 0 && read_file(memory, "memory.stat", text))
		usage_parse_stat(text, "total_inactive_file", &cache);
	if (memory >= 0 && sys_u64(memory, "memory.usage_in_bytes", &value))
		set_memory(usage, value, cache);
	if (cpu >= 0 && sys_u64(cpu, "cpuacct.usage", &value)) /* nanoseconds */
		set_cpu(usage, value / 1000);
}

static void read_job(struct usage *u, size_t i)
{
	const struct sb_telemetry_job *job = &u->jobs[i];
	Sparkbus__JobUsage *usage = &u->usages[i];
	char text[FILE_MAX];

	sparkbus__job_usage__init(usage);
	sparkbus__sample__init(&u->samples[i]);
	u->samples[i].source = (char *)"cgroup";
	usage->sample = &u->samples[i];
	usage->job = (char *)job->job;
	usage->rank = job->rank;
	u->list[i] = usage;
	if (job->pid > 0 && *job->container && cgroups_of(u, (unsigned)job->pid, text)) {
		SB_CLEANUP(sb_closep) int v2 = open_cgroup(u, text, "", job->container);

		if (v2 >= 0)
			read_v2(v2, usage);
		if (!usage->has_memory_case)
			read_v1(u, text, job->container, usage);
	}
	if (!usage->has_memory_case && !usage->has_cpu_case)
		u->samples[i].error = (char *)"its cgroup cannot be read";
}

/* --- outside --- */

struct usage *usage_new(const char *proc_root, const char *sys_root)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->proc = sys_open(AT_FDCWD, proc_root);
	u->sys = sys_open(AT_FDCWD, sys_root);
	return u;
}

void usage_free(struct usage *u)
{
	if (!u)
		return;
	sb_closep(&u->proc);
	sb_closep(&u->sys);
	free(u);
}

void usage_read(struct usage *u, const struct sb_telemetry_job *jobs, size_t n)
{
	u->n = n < USAGE_JOBS_MAX ? n : USAGE_JOBS_MAX;
	for (size_t i = 0; i < u->n; i++) {
		u->jobs[i] = jobs[i];
		snprintf(u->texts[i].job, sizeof(u->texts[i].job), "%s", jobs[i].job);
		snprintf(u->texts[i].container, sizeof(u->texts[i].container), "%s",
				jobs[i].container);
		u->jobs[i].job = u->texts[i].job;
		u->jobs[i].container = u->texts[i].container;
		read_job(u, i);
	}
	u->read_ms = sb_now_boot_ms();
}

static void name_process(struct usage *u, Sparkbus__GpuProcess *process)
{
	char path[32], comm[SYS_TEXT_MAX], text[FILE_MAX];
	size_t i = 0;

	if (process->command != protobuf_c_empty_string)
		return; /* it was named before */
	snprintf(path, sizeof(path), "%u/comm", process->pid);
	if (sys_text(u->proc, path, comm, sizeof(comm)) && *comm)
		process->command = strdup(comm);
	if (!process->command)
		process->command = (char *)protobuf_c_empty_string;
	if (!cgroups_of(u, process->pid, text))
		return;
	while (i < u->n && (!*u->jobs[i].container || !strstr(text, u->jobs[i].container)))
		i++;
	if (i < u->n)
		process->job = strdup(u->jobs[i].job);
	if (!process->job)
		process->job = (char *)protobuf_c_empty_string;
}

void usage_name_processes(struct usage *u, Sparkbus__GpuState *gpu)
{
	for (size_t g = 0; g < gpu->n_gpus; g++)
		for (size_t i = 0; i < gpu->gpus[g]->n_processes; i++)
			name_process(u, gpu->gpus[g]->processes[i]);
}

/* Absent when the GPU's list of processes is, or when one of them does not tell. */
static void add_gpu_memory(Sparkbus__JobUsage *usage, const Sparkbus__GpuState *gpu)
{
	uint64_t sum = 0;

	usage->has_gpu_memory_case = SPARKBUS__JOB_USAGE__HAS_GPU_MEMORY__NOT_SET;
	for (size_t g = 0; g < gpu->n_gpus; g++) {
		if (!gpu->gpus[g]->processes_known)
			return;
		for (size_t i = 0; i < gpu->gpus[g]->n_processes; i++) {
			const Sparkbus__GpuProcess *process = gpu->gpus[g]->processes[i];

			if (strcmp(process->job, usage->job) != 0)
				continue;
			if (!process->has_memory_case)
				return;
			sum += process->memory_bytes;
		}
	}
	if (!gpu->n_gpus)
		return;
	usage->has_gpu_memory_case = SPARKBUS__JOB_USAGE__HAS_GPU_MEMORY_GPU_MEMORY_BYTES;
	usage->gpu_memory_bytes = sum;
}

void usage_fill(struct usage *u, const Sparkbus__GpuState *gpu, Sparkbus__Telemetry *ret)
{
	for (size_t i = 0; i < u->n; i++) {
		u->samples[i].age_ms = sb_now_boot_ms() - u->read_ms;
		if (gpu)
			add_gpu_memory(&u->usages[i], gpu);
	}
	ret->jobs = u->list;
	ret->n_jobs = u->n;
}
