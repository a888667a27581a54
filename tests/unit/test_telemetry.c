/* Texts of procfs from a Spark in three states, and GPUs by a stand-in library. */
#include <stdio.h>
#include <string.h>

#include "telemetry_parts.h"
#include "sb_fs.h"
#include "testdir.h"

#define GIB (1024.0 * 1024 * 1024)

/* --- meminfo: one node idle, serving, and about to freeze (published samples, kB) --- */

#define MEMINFO(free, available, buffers, cached, swap_cached, anon, slab, stack, tables, vmalloc, \
		percpu, swap_free)                                                                 \
	"MemTotal:       127600748 kB\nMemFree:        " #free " kB\nMemAvailable:   " #available  \
	" kB\nBuffers:          " #buffers " kB\nCached:         " #cached                         \
	" kB\nSwapCached:            " #swap_cached                                                \
	" kB\nSwapTotal:      16777212 kB\nSwapFree:       " #swap_free                            \
	" kB\nDirty: 1204 kB\nAnonPages: " #anon " kB\nSlab: " #slab " kB\nKernelStack: " #stack   \
	" kB\nPageTables: " #tables " kB\nVmallocUsed: " #vmalloc " kB\nPercpu: " #percpu          \
	" kB\nCmaTotal:         131072 kB\nCmaFree:           69316 kB\nHugePages_Total:       "   \
	"0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n"

static const struct {
	const char *text;
	double available_gib, gpu_gib; /* what NVML said of the processes, plus the driver's part */
} nodes[] = {
	{ MEMINFO(113020412, 118566368, 118204, 5912880, 0, 3240028, 702560, 16640, 18904, 121876,
			  20960, 16777212),
			113.1, 4.2 },
	{ MEMINFO(5326848, 9888072, 73400, 6081740, 4096, 5872025, 2474639, 15040, 31460, 104860,
			  22528, 16745752),
			9.43, 102.6 },
	{ MEMINFO(746728, 512344, 8120, 1203440, 1045904, 3190220, 1880916, 27344, 51880, 893520,
			  22528, 3201024),
			0.49, 113.0 },
};

START_TEST(memory_of_a_spark)
{
	Sparkbus__MemoryState m = SPARKBUS__MEMORY_STATE__INIT;

	telemetry_parse_meminfo(nodes[_i].text, &m);
	ck_assert(m.has_total_case && m.has_available_case && m.has_swap_free_case);
	ck_assert_uint_eq(m.total_bytes, 127600748ull * 1024);
	ck_assert_double_eq_tol((double)m.available_bytes / GIB, nodes[_i].available_gib, 0.05);
	ck_assert_double_eq_tol((double)m.unattributed_bytes / GIB, nodes[_i].gpu_gib, 1.0);
	ck_assert_uint_eq(m.huge_pages_total, 0);
	ck_assert(m.has_huge_total_case && m.has_allocatable_case);
	ck_assert_uint_eq(m.allocatable_bytes, m.available_bytes);
}
END_TEST

START_TEST(with_a_pool_of_huge_pages_cuda_has_what_is_free_in_it)
{
	Sparkbus__MemoryState m = SPARKBUS__MEMORY_STATE__INIT;

	telemetry_parse_meminfo("MemTotal: 127600748 kB\nMemAvailable: 9 kB\n"
				"HugePages_Total:   20480\nHugePages_Free:    12288\n"
				"Hugepagesize:       2048 kB\n",
			&m);
	ck_assert(m.has_allocatable_case);
	ck_assert_uint_eq(m.allocatable_bytes, 24ull << 30);
}
END_TEST

static const char *const hostile[] = { "", "\n\n\n", "MemTotal", "MemTotal:", "MemTotal: kB\n",
	"MemTotal: x kB\n", "MemTotal: 99999999999999999999999 kB\n", "xMemTotal: 5 kB\n",
	"MemTotal: 18446744073709551615 kB\n", "MemTotal:\t\n\xff\xfe" };

START_TEST(what_is_not_there_is_absent)
{
	Sparkbus__MemoryState m = SPARKBUS__MEMORY_STATE__INIT;
	Sparkbus__Pressure p = SPARKBUS__PRESSURE__INIT;
	Sparkbus__CpuState c = SPARKBUS__CPU_STATE__INIT;
	struct cpu_times t;

	telemetry_parse_meminfo(hostile[_i], &m);
	ck_assert(!m.has_available_case && !m.has_swap_total_case && !m.has_allocatable_case);
	ck_assert(!telemetry_parse_pressure(hostile[_i], &p));
	telemetry_parse_loadavg(hostile[_i], &c);
	ck_assert(!c.has_load1_case);
	ck_assert(!telemetry_parse_stat(hostile[_i], &t));
}
END_TEST

START_TEST(pressure_in_hundredths)
{
	Sparkbus__Pressure p = SPARKBUS__PRESSURE__INIT;

	ck_assert(telemetry_parse_pressure(
			"some avg10=61.22 avg60=33.10 avg300=9.87 total=84512345\n"
			"full avg10=54.03 avg60=29.41 avg300=8.70 total=77120934\n",
			&p));
	ck_assert_uint_eq(p.some_avg10, 6122);
	ck_assert_uint_eq(p.some_avg300, 987);
	ck_assert_uint_eq(p.some_total_us, 84512345);
	ck_assert(p.has_full_case);
	ck_assert_uint_eq(p.full_avg10, 5403);
	ck_assert_uint_eq(p.full_avg300, 870);
	sparkbus__pressure__init(&p);
	ck_assert(telemetry_parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", &p));
	ck_assert(!p.has_full_case);
	ck_assert(!telemetry_parse_pressure(
			"some avg10=161.22 avg60=33.10 avg300=9.87 total=1\n", &p));
}
END_TEST

START_TEST(load_and_cpu)
{
	Sparkbus__CpuState c = SPARKBUS__CPU_STATE__INIT;
	struct cpu_times t;

	telemetry_parse_loadavg("3.41 2.87 2.10 4/1289 48311\n", &c);
	ck_assert(c.has_load1_case && c.has_load15_case);
	ck_assert_uint_eq(c.load1, 341);
	ck_assert_uint_eq(c.load15, 210);
	ck_assert(telemetry_parse_stat("cpu  100 10 40 800 50 0 5 2 30 0\ncpu0 1 1 1 1\n", &t));
	ck_assert_uint_eq(t.busy, 157); /* guest time is in user already */
	ck_assert_uint_eq(t.all, 1007);
}
END_TEST

/* --- GPU --- */

static Sparkbus__GpuState *read_fake(struct nvml_session *session, const char *mode)
{
	Sparkbus__GpuState *state;

	setenv("FAKE_NVML", mode, 1);
	state = nvml_read(session, FAKE_NVML_SO);
	ck_assert_ptr_nonnull(state);
	ck_assert_str_eq(state->sample->source, "nvml");
	return state;
}

START_TEST(a_gb10_has_no_memory_of_its_own) /* 0: "not supported"; 1: zeros */
{
	struct nvml_session session = { 0 };
	Sparkbus__GpuState *state = read_fake(&session, _i ? "gb10-zeros" : "gb10");
	const Sparkbus__Gpu *gpu;

	ck_assert_str_eq(state->sample->error, "");
	ck_assert_str_eq(state->driver_version, "580.159.03");
	ck_assert_uint_eq(state->cuda_version, 13000);
	ck_assert_uint_eq(state->n_gpus, 1);
	gpu = state->gpus[0];
	ck_assert_str_eq(gpu->name, "NVIDIA GB10");
	ck_assert_str_eq(gpu->pci, "000f:01:00.0");
	ck_assert_str_eq(gpu->uuid, ""); /* the library does not have the call */
	ck_assert_uint_eq(gpu->capability, 121);
	ck_assert(gpu->has_utilization_case && gpu->has_power_case && gpu->has_pstate_case);
	ck_assert_uint_eq(gpu->utilization_percent, 96);
	ck_assert_int_eq(gpu->temperature_c, 71);
	ck_assert_uint_eq(gpu->power_mw, 47830);
	ck_assert_uint_eq(gpu->sm_clock_mhz, 2411);
	ck_assert_uint_eq(gpu->sm_clock_max_mhz, 3003);
	ck_assert(!gpu->has_memory_total_case && !gpu->has_memory_used_case);
	ck_assert(!gpu->has_memory_clock_case && !gpu->has_power_limit_case);
	ck_assert(!gpu->has_fan_case && !gpu->has_energy_case);
	ck_assert_uint_eq(gpu->throttle_bits, 0x20);
	ck_assert_uint_eq(gpu->n_throttle, 1);
	ck_assert_str_eq(gpu->throttle[0], "software thermal");
	ck_assert(gpu->processes_known);
	ck_assert_uint_eq(gpu->n_processes, 2);
	ck_assert_uint_eq(gpu->processes[0]->memory_bytes, 106361257984ull);
	ck_assert(!gpu->processes[1]->has_memory_case);
	sparkbus__gpu_state__free_unpacked(state, NULL);
	nvml_done(&session);
}
END_TEST

START_TEST(an_h200_has)
{
	struct nvml_session session = { 0 };
	Sparkbus__GpuState *state = read_fake(&session, "h200");
	const Sparkbus__Gpu *gpu = state->gpus[0];

	ck_assert_str_eq(gpu->name, "NVIDIA H200");
	ck_assert_uint_eq(gpu->memory_total_bytes, 150754820096ull);
	ck_assert(gpu->has_memory_used_case && gpu->has_power_limit_case);
	ck_assert_uint_eq(gpu->memory_clock_mhz, 3201);
	sparkbus__gpu_state__free_unpacked(state, NULL);
	nvml_done(&session);
}
END_TEST

START_TEST(a_driver_that_goes_away_is_said_and_tried_again)
{
	struct nvml_session session = { 0 };
	Sparkbus__GpuState *state = read_fake(&session, "lost");

	ck_assert_uint_eq(state->n_gpus, 1);
	sparkbus__gpu_state__free_unpacked(state, NULL);
	state = read_fake(&session, "lost");
	ck_assert_uint_eq(state->n_gpus, 0);
	ck_assert_str_eq(state->sample->error, "NVML: GPU is lost");
	ck_assert(!session.started);
	sparkbus__gpu_state__free_unpacked(state, NULL);
	state = read_fake(&session, "gb10");
	ck_assert_uint_eq(state->n_gpus, 1);
	sparkbus__gpu_state__free_unpacked(state, NULL);
	nvml_done(&session);
}
END_TEST

START_TEST(no_library_no_driver_no_error)
{
	struct nvml_session session = { 0 };
	Sparkbus__GpuState *state = nvml_read(&session, "libnvidia-ml-is-not-here.so.1");

	ck_assert_str_eq(state->sample->error, "libnvidia-ml-is-not-here.so.1: not installed");
	sparkbus__gpu_state__free_unpacked(state, NULL);
	state = nvml_read(&session, "libc.so.6");
	ck_assert_ptr_nonnull(strstr(state->sample->error, "not NVIDIA's"));
	sparkbus__gpu_state__free_unpacked(state, NULL);
	nvml_done(&session);
	state = read_fake(&session, "no-driver");
	ck_assert_str_eq(state->sample->error, "NVML: Driver Not Loaded");
	sparkbus__gpu_state__free_unpacked(state, NULL);
	nvml_done(&session);
}
END_TEST

/* --- the sampler --- */

static void put(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(testdir, name);

	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

START_TEST(a_gpu_that_hangs_holds_up_nothing)
{
	SB_CLEANUP(sb_freep) char *gate = sb_fs_join(testdir, "gate");
	struct sb_telemetry_env env = {
		.proc_root = testdir, .sys_root = testdir, .nvml = FAKE_NVML_SO
	};
	struct sb_telemetry *t = NULL;
	struct sb_err err = SB_ERR_INIT;
	const Sparkbus__Telemetry *now;
	sd_event *loop = NULL;

	put("meminfo", nodes[1].text);
	put("loadavg", "3.41 2.87 2.10 4/1289 48311\n");
	put("stat", "cpu  100 10 40 800 50 0 5 2\n");
	setenv("FAKE_NVML", "hang", 1);
	setenv("FAKE_NVML_GATE", gate, 1);
	ck_assert_int_ge(sd_event_new(&loop), 0);
	env.loop = loop;
	ck_assert_msg(sb_telemetry_new(&env, &t, &err) == 0, "%s", err.text);
	now = sb_telemetry_get(t);
	ck_assert_ptr_null(now->gpu); /* nothing is known yet */
	ck_assert_uint_eq(now->memory->available_bytes, 9888072ull * 1024);
	ck_assert_str_eq(now->pressure->sample->error, "it cannot be read");
	ck_assert_ptr_null(now->pressure->memory);
	ck_assert(!now->cpu->has_busy_case); /* there is no sample before it */

	/* The second sample is taken while the first call still hangs. */
	put("stat", "cpu  150 10 40 850 50 0 5 2\n");
	while (!now->cpu->has_busy_case) {
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
		now = sb_telemetry_get(t);
	}
	ck_assert_uint_eq(now->cpu->busy, 5000);
	ck_assert_ptr_null(now->gpu);
	put("gate", "open");
	while (!now->gpu) {
		ck_assert_int_ge(sd_event_run(loop, UINT64_MAX), 0);
		now = sb_telemetry_get(t);
	}
	ck_assert_uint_eq(now->gpu->n_gpus, 1);
	ck_assert_uint_le(now->gpu->sample->age_ms, 60000);
	sb_telemetry_free(t);
	sd_event_unref(loop);
}
END_TEST

START_TEST(an_end_does_not_wait_for_a_call_that_hangs)
{
	SB_CLEANUP(sb_freep) char *gate = sb_fs_join(testdir, "gate");
	struct sb_telemetry_env env = {
		.proc_root = testdir, .sys_root = testdir, .nvml = FAKE_NVML_SO
	};
	struct sb_telemetry *t = NULL;
	sd_event *loop = NULL;

	setenv("FAKE_NVML", "hang", 1);
	setenv("FAKE_NVML_GATE", gate, 1);
	ck_assert_int_ge(sd_event_new(&loop), 0);
	env.loop = loop;
	ck_assert_int_eq(sb_telemetry_new(&env, &t, NULL), 0);
	sb_telemetry_free(t);
	sd_event_unref(loop);
	put("gate", "open"); /* let the thread end before the program does */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("telemetry");
	TCase *tc = tcase_create("telemetry");
	SRunner *sr = srunner_create(s);
	int failed;

	testdir_use(tc);
	tcase_add_loop_test(tc, memory_of_a_spark, 0, sb_countof(nodes));
	tcase_add_test(tc, with_a_pool_of_huge_pages_cuda_has_what_is_free_in_it);
	tcase_add_loop_test(tc, what_is_not_there_is_absent, 0, sb_countof(hostile));
	tcase_add_test(tc, pressure_in_hundredths);
	tcase_add_test(tc, load_and_cpu);
	tcase_add_loop_test(tc, a_gb10_has_no_memory_of_its_own, 0, 2);
	tcase_add_test(tc, an_h200_has);
	tcase_add_test(tc, a_driver_that_goes_away_is_said_and_tried_again);
	tcase_add_test(tc, no_library_no_driver_no_error);
	tcase_add_test(tc, a_gpu_that_hangs_holds_up_nothing);
	tcase_add_test(tc, an_end_does_not_wait_for_a_call_that_hangs);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
