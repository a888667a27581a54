/* telemetry_parts.h - the sources of telemetry. */
#ifndef SB_TELEMETRY_PARTS_H
#define SB_TELEMETRY_PARTS_H

#include "sb_telemetry.h"

/** One text of procfs into its message; what is not there stays absent. Pure. */
void telemetry_parse_meminfo(const char *text, Sparkbus__MemoryState *ret);
/** /proc/pressure/{memory,cpu,io}. False when the text has no "some" line. */
bool telemetry_parse_pressure(const char *text, Sparkbus__Pressure *ret);
void telemetry_parse_loadavg(const char *text, Sparkbus__CpuState *ret);

struct cpu_times {
	uint64_t busy, all; /* clock ticks of all CPUs since boot */
};
/** The first line of /proc/stat. */
bool telemetry_parse_stat(const char *text, struct cpu_times *ret);

/* --- readings that may take for ever --- */

struct reader;
struct reader_ops {
	const char *name;             /* "the GPU" */
	void *(*read)(void *session); /* on the thread; NULL when out of memory */
	void (*free_result)(void *result);
	void (*free_session)(void *session);
};
/** A thread that reads when asked. Takes @session, also when it fails. */
int reader_new(const struct reader_ops *ops, void *session, struct reader **ret,
		struct sb_err *err);
/** Does not wait for a reading that hangs. */
void reader_free(struct reader *reader);
/** Ask for a reading unless one is under way. */
void reader_ask(struct reader *reader);
/** A result that came since the last call, the caller's; NULL when there is none. @ret_busy_ms: how
 * long the reading under way has taken, 0 when none is. */
void *reader_take(struct reader *reader, uint64_t *ret_busy_ms);

/* --- GPU --- */

struct nvml;
/* The library between two readings; zero is a valid empty one. */
struct nvml_session {
	void *handle;
	struct nvml *n;
	bool started;
};
/** Read everything on the calling thread, which may take for ever. Opens and starts @library when
 * that is to be done. The result is the caller's; NULL when out of memory. */
Sparkbus__GpuState *nvml_read(struct nvml_session *session, const char *library);
void nvml_done(struct nvml_session *session);

/** A reader of Sparkbus__GpuState. */
int nvml_reader_new(const char *library, struct reader **ret, struct sb_err *err);

/* --- network and RDMA --- */

struct fabric;
int fabric_new(const struct sb_telemetry_env *env, struct fabric **ret, struct sb_err *err);
void fabric_free(struct fabric *fabric);
SB_DEFINE_CLEANUP(fabric_free, struct fabric *)
/** Once a second. */
void fabric_tick(struct fabric *fabric);
/** As of now; borrowed until the loop runs again. */
Sparkbus__FabricState *fabric_get(struct fabric *fabric);
/** The same for thermometers; NULL before they were read. */
Sparkbus__SensorState *fabric_sensors(struct fabric *fabric);

/* --- jobs --- */

#define USAGE_JOBS_MAX 64u

/** The path of @controller ("" = version 2) in a text like /proc/PID/cgroup's. Pure. */
bool usage_parse_cgroup(const char *text, const char *controller, char *ret, size_t size);
/** The number behind @key in a text like memory.stat's and cpu.stat's. Pure. */
bool usage_parse_stat(const char *text, const char *key, uint64_t *ret);

struct usage;
struct usage *usage_new(const char *proc_root, const char *sys_root);
void usage_free(struct usage *usage);
/** Read the cgroups of @jobs, which are copied. */
void usage_read(struct usage *usage, const struct sb_telemetry_job *jobs, size_t n);
/** Fill in names, and whose they are of the jobs read last, where that was not done. */
void usage_name_processes(struct usage *usage, Sparkbus__GpuState *gpu);
/** The jobs into @ret, borrowed until the next reading. @gpu: NULL = not known. */
void usage_fill(struct usage *usage, const Sparkbus__GpuState *gpu, Sparkbus__Telemetry *ret);

#endif
