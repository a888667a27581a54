/* What jobs use: cgroups of both versions, as trees of files, and processes of the GPU. */
#include <stdio.h>
#include <string.h>

#include "spark.h"
#include "testdir.h"

#define ID    "8f2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b"
#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"
#define GIB   ((uint64_t)1 << 30)

START_TEST(paths_of_cgroups)
{
	char path[64];

	ck_assert(usage_parse_cgroup("0::/system.slice/x.scope\n", "", path, sizeof(path)));
	ck_assert_str_eq(path, "/system.slice/x.scope");
	ck_assert(usage_parse_cgroup("5:devices:/a\n4:memory:/b/c\n0::/\n", "memory", path, 64));
	ck_assert_str_eq(path, "/b/c");
	ck_assert(usage_parse_cgroup("5:devices:/a\n0::/", "", path, sizeof(path)));
	ck_assert_str_eq(path, "/");
	ck_assert(!usage_parse_cgroup("4:memory:/b\n", "cpu", path, sizeof(path)));
}
END_TEST

static const char *const hostile[] = { "", "\n\n", ":", "::", "0:", "0::", "0::relative", "0\n::/a",
	"0::/../../etc", "0::/a/..", "x", "0:memory\n:/a",
	"0::/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

START_TEST(hostile_texts)
{
	char path[64];
	uint64_t value = 7;

	ck_assert(!usage_parse_cgroup(hostile[_i], "", path, sizeof(path)));
	ck_assert(!usage_parse_stat(hostile[_i], "usage_usec", &value));
	ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(numbers_of_statistics)
{
	uint64_t value = 7;

	ck_assert(usage_parse_stat("usage_usec 12\nuser_usec 5\n", "user_usec", &value));
	ck_assert_uint_eq(value, 5);
	ck_assert(!usage_parse_stat("usage_usec_more 12\n", "usage_usec", &value));
	ck_assert(!usage_parse_stat("usage_usec 12x\n", "usage_usec", &value));
	ck_assert(!usage_parse_stat("usage_usec -1\n", "usage_usec", &value));
	ck_assert(!usage_parse_stat(
			"usage_usec 999999999999999999999999999\n", "usage_usec", &value));
}
END_TEST

/* A node with a job in process 4711 that uses 3 GiB, 1 of it old cache, and 7.5 s. */
static void put_node(bool v2)
{
	if (v2) {
		spark_put(testdir, "0::/system.slice/docker-" ID ".scope", "proc/4711/cgroup");
		spark_put(testdir, "3221225472",
				"sys/fs/cgroup/system.slice/docker-" ID ".scope/memory.current");
		spark_put(testdir, "anon 1\ninactive_file 1073741824",
				"sys/fs/cgroup/system.slice/"
				"docker-" ID ".scope/memory.stat");
		spark_put(testdir, "usage_usec 7500000",
				"sys/fs/cgroup/system.slice/docker-" ID ".scope/cpu.stat");
		return;
	}
	spark_put(testdir, "4:memory:/docker/" ID "\n2:cpuacct:/docker/" ID "\n0::/",
			"proc/4711/cgroup");
	spark_put(testdir, "3221225472",
			"sys/fs/cgroup/memory/docker/" ID "/memory.usage_in_bytes");
	spark_put(testdir, "cache 5\ntotal_inactive_file 1073741824",
			"sys/fs/cgroup/memory/docker/" ID "/memory.stat");
	spark_put(testdir, "7500000000", "sys/fs/cgroup/cpuacct/docker/" ID "/cpuacct.usage");
}

static struct usage *node(bool v2)
{
	char proc[256], sys[256];

	put_node(v2);
	snprintf(proc, sizeof(proc), "%s/proc", testdir);
	snprintf(sys, sizeof(sys), "%s/sys", testdir);
	return usage_new(proc, sys);
}

static const Sparkbus__JobUsage *read_one(
		struct usage *u, const struct sb_telemetry_job *job, const Sparkbus__GpuState *gpu)
{
	static Sparkbus__Telemetry all;

	sparkbus__telemetry__init(&all);
	usage_read(u, job, 1);
	usage_fill(u, gpu, &all);
	ck_assert_uint_eq(all.n_jobs, 1);
	ck_assert_str_eq(all.jobs[0]->job, job->job);
	ck_assert_str_eq(all.jobs[0]->sample->source, "cgroup");
	return all.jobs[0];
}

START_TEST(memory_and_cpu_of_a_job) /* 1: version 2 of cgroups */
{
	struct sb_telemetry_job job = { "sparkbus_1", 1, ID, 4711 };
	struct usage *u = node(_i);
	const Sparkbus__JobUsage *use = read_one(u, &job, NULL);

	ck_assert(use->has_memory_case && use->has_cpu_case && !use->has_gpu_memory_case);
	ck_assert_uint_eq(use->memory_bytes, 2 * GIB);
	ck_assert_uint_eq(use->cpu_us, 7500000);
	ck_assert_uint_eq(use->rank, 1);
	ck_assert_str_eq(use->sample->error, "");
	usage_free(u);
}
END_TEST

START_TEST(a_process_of_somebody_else_is_not_the_job)
{
	struct sb_telemetry_job jobs[] = { { "sparkbus_1", 0, OTHER, 4711 }, /* number reused */
		{ "sparkbus_1", 0, ID, 4712 }, { "sparkbus_1", 0, ID, 0 },
		{ "sparkbus_1", 0, "", 4711 } };
	struct usage *u = node(true);

	for (size_t i = 0; i < sb_countof(jobs); i++) {
		const Sparkbus__JobUsage *use = read_one(u, &jobs[i], NULL);

		ck_assert(!use->has_memory_case && !use->has_cpu_case);
		ck_assert_str_eq(use->sample->error, "its cgroup cannot be read");
	}
	usage_free(u);
}
END_TEST

START_TEST(the_processes_of_the_gpu_have_names_and_owners)
{
	struct sb_telemetry_job job = { "sparkbus_1", 0, ID, 4711 };
	struct usage *u = node(true);
	Sparkbus__GpuState gpus = SPARKBUS__GPU_STATE__INIT;
	Sparkbus__Gpu gpu = SPARKBUS__GPU__INIT, *list[] = { &gpu };
	Sparkbus__GpuProcess p[3], *processes[3];

	spark_put(testdir, "0::/system.slice/docker-" ID ".scope/worker", "proc/4800/cgroup");
	spark_put(testdir, "VLLM::Worker_TP", "proc/4800/comm");
	spark_put(testdir, "0::/user.slice", "proc/99/cgroup");
	spark_put(testdir, "Xorg", "proc/99/comm");
	for (size_t i = 0; i < 3; i++) {
		sparkbus__gpu_process__init(&p[i]);
		p[i].has_memory_case = SPARKBUS__GPU_PROCESS__HAS_MEMORY_MEMORY_BYTES;
		p[i].memory_bytes = (i + 1) * GIB;
		processes[i] = &p[i];
	}
	p[0].pid = 4800;
	p[1].pid = 99;
	p[2].pid = 123456; /* gone */
	gpu.processes = processes;
	gpu.n_processes = 3;
	gpu.processes_known = true;
	gpus.gpus = list;
	gpus.n_gpus = 1;
	read_one(u, &job, &gpus);
	usage_name_processes(u, &gpus);
	ck_assert_str_eq(p[0].command, "VLLM::Worker_TP");
	ck_assert_str_eq(p[0].job, "sparkbus_1");
	ck_assert_str_eq(p[1].command, "Xorg");
	ck_assert_str_eq(p[1].job, "");
	ck_assert_str_eq(p[2].command, "");
	ck_assert_uint_eq(read_one(u, &job, &gpus)->gpu_memory_bytes, GIB);
	p[0].has_memory_case = SPARKBUS__GPU_PROCESS__HAS_MEMORY__NOT_SET;
	ck_assert(!read_one(u, &job, &gpus)->has_gpu_memory_case); /* not 0 */
	gpu.processes_known = false;
	ck_assert(!read_one(u, &job, &gpus)->has_gpu_memory_case);
	free(p[0].command);
	free(p[0].job);
	free(p[1].command);
	usage_free(u);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("usage");
	TCase *tc = tcase_create("usage");
	SRunner *sr = srunner_create(s);
	int failed;

	testdir_use(tc);
	tcase_add_test(tc, paths_of_cgroups);
	tcase_add_loop_test(tc, hostile_texts, 0, sb_countof(hostile));
	tcase_add_test(tc, numbers_of_statistics);
	tcase_add_loop_test(tc, memory_and_cpu_of_a_job, 0, 2);
	tcase_add_test(tc, a_process_of_somebody_else_is_not_the_job);
	tcase_add_test(tc, the_processes_of_the_gpu_have_names_and_owners);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
