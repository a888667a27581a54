/* A stand-in for libnvidia-ml.so.1: what a GB10 and an H200 answer, by FAKE_NVML in the
 * environment. "hang": calls do not come back until the file FAKE_NVML_GATE exists. "lost": the
 * driver goes away after the first reading. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK            0
#define NOT_SUPPORTED 3
#define GPU_IS_LOST   15
#define PUBLIC        __attribute__((visibility("default")))

static unsigned readings;

static bool is(const char *what)
{
	const char *mode = getenv("FAKE_NVML");

	return !strcmp(mode ? mode : "gb10", what);
}

PUBLIC int nvmlInit_v2(void);
PUBLIC int nvmlInit_v2(void)
{
	const char *gate = getenv("FAKE_NVML_GATE");

	while (is("hang") && gate && access(gate, F_OK) < 0)
		usleep(2000);
	return is("no-driver") ? 9 : OK;
}

PUBLIC int nvmlShutdown(void);
PUBLIC int nvmlShutdown(void)
{
	return OK;
}

PUBLIC const char *nvmlErrorString(int rc);
PUBLIC const char *nvmlErrorString(int rc)
{
	return rc == 9 ? "Driver Not Loaded" : rc == GPU_IS_LOST ? "GPU is lost" : "Unknown Error";
}

PUBLIC int nvmlSystemGetDriverVersion(char *text, unsigned size);
PUBLIC int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
	snprintf(text, size, "%s", is("h200") ? "570.86.15" : "580.159.03");
	return OK;
}

PUBLIC int nvmlSystemGetCudaDriverVersion_v2(int *version);
PUBLIC int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	*version = is("h200") ? 12080 : 13000;
	return OK;
}

PUBLIC int nvmlDeviceGetCount_v2(unsigned *count);
PUBLIC int nvmlDeviceGetCount_v2(unsigned *count)
{
	if (is("lost") && readings++ > 0)
		return GPU_IS_LOST;
	*count = 1;
	return OK;
}

PUBLIC int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
PUBLIC int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
	*device = &readings;
	return index ? NOT_SUPPORTED : OK;
}

PUBLIC int nvmlDeviceGetName(void *device, char *text, unsigned size);
PUBLIC int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
	snprintf(text, size, "%s", is("h200") ? "NVIDIA H200" : "NVIDIA GB10");
	return OK;
}

struct pci {
	char legacy[16];
	unsigned domain, bus, device, pci_device, subsystem;
	char id[32];
};
PUBLIC int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci);
PUBLIC int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci)
{
	memset(pci, 0, sizeof(*pci));
	pci->domain = is("h200") ? 0 : 0xf;
	pci->bus = is("h200") ? 0x1b : 1;
	return OK;
}

PUBLIC int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
PUBLIC int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
	*major = is("h200") ? 9 : 12;
	*minor = is("h200") ? 0 : 1;
	return OK;
}

struct utilization {
	unsigned gpu, memory;
};
PUBLIC int nvmlDeviceGetUtilizationRates(void *device, struct utilization *use);
PUBLIC int nvmlDeviceGetUtilizationRates(void *device, struct utilization *use)
{
	*use = (struct utilization){ 96, 0 };
	return OK;
}

PUBLIC int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *value);
PUBLIC int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *value)
{
	*value = 71;
	return sensor ? NOT_SUPPORTED : OK;
}

PUBLIC int nvmlDeviceGetPowerUsage(void *device, unsigned *value);
PUBLIC int nvmlDeviceGetPowerUsage(void *device, unsigned *value)
{
	*value = 47830;
	return OK;
}

/* What GB10 does not have leaves the caller's variable as it was. */
static int only_h200(unsigned *value, unsigned answer)
{
	if (!is("h200"))
		return NOT_SUPPORTED;
	*value = answer;
	return OK;
}

PUBLIC int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *value);
PUBLIC int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *value)
{
	return only_h200(value, 700000);
}

PUBLIC int nvmlDeviceGetFanSpeed(void *device, unsigned *value);
PUBLIC int nvmlDeviceGetFanSpeed(void *device, unsigned *value)
{
	return NOT_SUPPORTED;
}

PUBLIC int nvmlDeviceGetClockInfo(void *device, unsigned type, unsigned *value);
PUBLIC int nvmlDeviceGetClockInfo(void *device, unsigned type, unsigned *value)
{
	if (type == 2)
		return only_h200(value, 3201);
	*value = 2411;
	return OK;
}

PUBLIC int nvmlDeviceGetMaxClockInfo(void *device, unsigned type, unsigned *value);
PUBLIC int nvmlDeviceGetMaxClockInfo(void *device, unsigned type, unsigned *value)
{
	*value = is("h200") ? 1980 : 3003;
	return OK;
}

struct memory {
	unsigned long long total, free, used;
};
PUBLIC int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory);
PUBLIC int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	if (is("gb10-zeros")) /* some drivers say so, and mean that there is none */
		return OK;
	if (!is("h200"))
		return NOT_SUPPORTED;
	*memory = (struct memory){ 150754820096ULL, 150000000000ULL, 754820096ULL };
	return OK;
}

PUBLIC int nvmlDeviceGetPerformanceState(void *device, unsigned *value);
PUBLIC int nvmlDeviceGetPerformanceState(void *device, unsigned *value)
{
	*value = 0;
	return OK;
}

/* The name of older drivers, on purpose. */
PUBLIC int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *bits);
PUBLIC int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *bits)
{
	*bits = 0x20;
	return OK;
}

struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};
PUBLIC int nvmlDeviceGetComputeRunningProcesses_v3(
		void *device, unsigned *count, struct process *list);
PUBLIC int nvmlDeviceGetComputeRunningProcesses_v3(
		void *device, unsigned *count, struct process *list)
{
	static const struct process all[] = {
		{ 48213, 106361257984ULL, 0xffffffff, 0xffffffff },
		{ 48214, ~0ULL, 0xffffffff, 0xffffffff },
	};

	if (*count < 2) {
		*count = 2;
		return 7;
	}
	memcpy(list, all, sizeof(all));
	*count = 2;
	return OK;
}
