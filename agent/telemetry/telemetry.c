/* telemetry.c - the sampler: once a second every source is read into one message. */
#include <stdio.h>
#include <string.h>

#include "hear_parts.h"
#include "telemetry_parts.h"
#include "sb_fs.h"
#include "sb_loop.h"

#define PROC_MAX_BYTES ((size_t)256 << 10)
/* A driver that works answers within milliseconds. */
#define GPU_SLOW_MS 3000u

struct sb_telemetry {
	struct sb_telemetry_env env;
	sd_event_source *timer;
	struct reader *gpu_reader;
	struct fabric *fabric;
	struct hear *hear; /* NULL: not wanted */
	struct usage *usage;
	struct cpu_times cpu_before;
	bool has_cpu_before;
	uint64_t sampled_ms, gpu_ms; /* CLOCK_BOOTTIME of the newest values; 0 = none */
	char gpu_error[96];
	/* The message and its parts; the GPU's is heap and replaced whole. */
	Sparkbus__Telemetry all;
	Sparkbus__MemoryState memory;
	Sparkbus__PressureState pressure;
	Sparkbus__Pressure pressures[3];
	Sparkbus__CpuState cpu;
	Sparkbus__Sample memory_sample, pressure_sample, cpu_sample;
	Sparkbus__GpuState *gpu;
	char *gpu_own_error; /* what the reading itself said */
};

/* "" when it cannot be read: then nothing in it is found. */
static const char *text_of(struct sb_telemetry *t, const char *name, struct sb_strbuf *buf)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(t->env.proc_root, name);

	sb_strbuf_reset(buf);
	if (!path || sb_fs_read(path, PROC_MAX_BYTES, buf, NULL) < 0)
		return "";
	return sb_strbuf_str(buf);
}

static void sample_init(Sparkbus__Sample *sample, const char *source, bool ok)
{
	sparkbus__sample__init(sample);
	sample->source = (char *)source;
	if (!ok)
		sample->error = (char *)"it cannot be read";
}

static void sample_memory(struct sb_telemetry *t, struct sb_strbuf *buf)
{
	sparkbus__memory_state__init(&t->memory);
	telemetry_parse_meminfo(text_of(t, "meminfo", buf), &t->memory);
	sample_init(&t->memory_sample, "/proc/meminfo", t->memory.has_total_case);
	t->memory.sample = &t->memory_sample;
	t->all.memory = &t->memory;
}

static void sample_pressure(struct sb_telemetry *t, struct sb_strbuf *buf)
{
	static const char *const files[] = { "pressure/memory", "pressure/cpu", "pressure/io" };
	Sparkbus__Pressure **fields[] = { &t->pressure.memory, &t->pressure.cpu, &t->pressure.io };
	bool any = false;

	sparkbus__pressure_state__init(&t->pressure);
	for (size_t i = 0; i < sb_countof(files); i++) {
		sparkbus__pressure__init(&t->pressures[i]);
		if (!telemetry_parse_pressure(text_of(t, files[i], buf), &t->pressures[i]))
			continue;
		*fields[i] = &t->pressures[i];
		any = true;
	}
	sample_init(&t->pressure_sample, "/proc/pressure", any);
	t->pressure.sample = &t->pressure_sample;
	t->all.pressure = &t->pressure;
}

static void sample_cpu(struct sb_telemetry *t, struct sb_strbuf *buf)
{
	struct cpu_times now;

	sparkbus__cpu_state__init(&t->cpu);
	telemetry_parse_loadavg(text_of(t, "loadavg", buf), &t->cpu);
	if (telemetry_parse_stat(text_of(t, "stat", buf), &now)) {
		uint64_t all = now.all - t->cpu_before.all;

		if (t->has_cpu_before && now.all > t->cpu_before.all &&
				now.busy >= t->cpu_before.busy) {
			t->cpu.has_busy_case = SPARKBUS__CPU_STATE__HAS_BUSY_BUSY;
			t->cpu.busy = (uint32_t)((now.busy - t->cpu_before.busy) * 10000 / all);
		}
		t->cpu_before = now;
		t->has_cpu_before = true;
	}
	sample_init(&t->cpu_sample, "/proc/stat", t->cpu.has_load1_case);
	t->cpu.sample = &t->cpu_sample;
	t->all.cpu = &t->cpu;
}

/* --- GPU --- */

static void free_gpu(struct sb_telemetry *t)
{
	if (!t->gpu)
		return;
	t->gpu->sample->error = t->gpu_own_error; /* not the one that we put there */
	sparkbus__gpu_state__free_unpacked(t->gpu, NULL);
	t->gpu = NULL;
}

static void take_gpu(struct sb_telemetry *t)
{
	uint64_t busy_ms = 0;
	Sparkbus__GpuState *fresh = reader_take(t->gpu_reader, &busy_ms);

	if (fresh) {
		free_gpu(t);
		t->gpu = fresh;
		t->gpu_own_error = fresh->sample->error;
		t->gpu_ms = sb_now_boot_ms();
		usage_name_processes(t->usage, t->gpu);
	}
	t->all.gpu = t->gpu;
	if (!t->gpu)
		return;
	t->gpu->sample->error = t->gpu_own_error;
	if (busy_ms < GPU_SLOW_MS)
		return;
	snprintf(t->gpu_error, sizeof(t->gpu_error), "NVML has not answered for %u s",
			(unsigned)(busy_ms / 1000));
	t->gpu->sample->error = t->gpu_error;
}

/* --- the sampler --- */

static void sample_jobs(struct sb_telemetry *t)
{
	struct sb_telemetry_job jobs[USAGE_JOBS_MAX];
	size_t n = t->env.jobs ? t->env.jobs(t->env.ctx, jobs, sb_countof(jobs)) : 0;

	usage_read(t->usage, jobs, n);
}

static void sample(struct sb_telemetry *t)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf buf = SB_STRBUF_INIT;

	sample_memory(t, &buf);
	sample_pressure(t, &buf);
	sample_cpu(t, &buf);
	t->sampled_ms = sb_now_boot_ms();
	sample_jobs(t);
	take_gpu(t);
	reader_ask(t->gpu_reader);
	fabric_tick(t->fabric);
	if (t->hear)
		hear_tick(t->hear, fabric_get(t->fabric));
}

static int arm(struct sb_telemetry *t, struct sb_err *err);

static int on_tick(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_telemetry *t = ctx;

	sample(t);
	arm(t, NULL);
	return 0;
}

static int arm(struct sb_telemetry *t, struct sb_err *err)
{
	return sb_timer_once(t->env.loop, &t->timer, SB_TELEMETRY_INTERVAL_MS, on_tick, t, err);
}

int sb_telemetry_new(
		const struct sb_telemetry_env *env, struct sb_telemetry **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_telemetry_freep) struct sb_telemetry *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return sb_err_nomem(err);
	t->env = *env;
	sd_event_ref(t->env.loop);
	sparkbus__telemetry__init(&t->all);
	t->all.interval_ms = SB_TELEMETRY_INTERVAL_MS;
	t->usage = usage_new(env->proc_root, env->sys_root);
	if (!t->usage)
		return sb_err_nomem(err);
	rc = nvml_reader_new(env->nvml, &t->gpu_reader, err);
	if (rc == 0)
		rc = fabric_new(env, &t->fabric, err);
	if (rc == 0 && env->beacon)
		rc = hear_new(env->loop, env->node, env->beacon, &t->hear, err);
	if (rc == 0)
		rc = arm(t, err);
	if (rc < 0)
		return rc;
	sample(t);
	*ret = sb_steal(t);
	return 0;
}

void sb_telemetry_free(struct sb_telemetry *t)
{
	if (!t)
		return;
	sd_event_source_disable_unref(t->timer);
	reader_free(t->gpu_reader);
	free_gpu(t);
	fabric_free(t->fabric);
	hear_free(t->hear);
	usage_free(t->usage);
	sd_event_unref(t->env.loop);
	free(t);
}

const Sparkbus__Telemetry *sb_telemetry_get(struct sb_telemetry *t)
{
	uint64_t now = sb_now_boot_ms(), age = now - t->sampled_ms;

	take_gpu(t);
	t->all.boot_ms = now;
	t->memory_sample.age_ms = age;
	t->pressure_sample.age_ms = age;
	t->cpu_sample.age_ms = age;
	if (t->gpu)
		t->gpu->sample->age_ms = now - t->gpu_ms;
	t->all.fabric = fabric_get(t->fabric);
	if (t->hear)
		hear_fill(t->hear, t->all.fabric);
	t->all.sensors = fabric_sensors(t->fabric);
	usage_fill(t->usage, t->gpu, &t->all);
	return &t->all;
}
