/* fuzz_procfs.c - any text as each of the files of procfs, sysfs and cgroups that are read: what
 * was taken out of it is within what can be.
 * Has no main: link it with libFuzzer, or with a program that replays the corpus. */
#include <stdlib.h>
#include <string.h>

#include "hardware_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
	if (!holds)
		abort();
}

static void procfs(const char *text)
{
	Sparkbus__MemoryState memory = SPARKBUS__MEMORY_STATE__INIT;
	Sparkbus__Pressure pressure = SPARKBUS__PRESSURE__INIT;
	Sparkbus__CpuState cpu = SPARKBUS__CPU_STATE__INIT;
	struct cpu_times times;

	telemetry_parse_meminfo(text, &memory);
	need(!memory.has_unattributed_case || memory.unattributed_bytes <= memory.total_bytes);
	if (telemetry_parse_pressure(text, &pressure))
		need(pressure.some_avg10 < 10100 && pressure.full_avg300 < 10100);
	telemetry_parse_loadavg(text, &cpu);
	if (telemetry_parse_stat(text, &times))
		need(times.busy <= times.all);
}

static void cgroups(const char *text)
{
	char path[48];
	uint64_t value;

	for (int v2 = 0; v2 < 2; v2++)
		if (usage_parse_cgroup(text, v2 ? "" : "memory", path, sizeof(path)))
			need(*path == '/' && strlen(path) < sizeof(path) && !strstr(path, "/.."));
	usage_parse_stat(text, "inactive_file", &value);
	usage_parse_stat(text, "usage_usec", &value);
}

static void sysfs(const char *text)
{
	uint32_t value;
	uint64_t number;
	int32_t degrees;

	rdma_parse_rate(text, &value);
	rdma_parse_state(text, &value);
	pcie_parse_speed(text, &value);
	sys_parse_u64(text, &number);
	if (rdma_is_guid(text, 4))
		need(strlen(text) == 19);
	if (pci_is_address(text))
		need(strlen(text) >= 12);
	if (sensor_parse(text, &degrees))
		need(degrees > -100000 && degrees < 300000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	procfs(text);
	cgroups(text);
	sysfs(text);
	free(text);
	return 0;
}
