/* nvml.c - the GPU, by NVIDIA's own library.
 *
 * The library is opened at run time: a node without it has no GPU, and that is no error. Each
 * symbol and each reading may be missing; what a GPU does not support stays absent. GB10 says "not
 * supported" for its framebuffer, since it has none of its own. Layouts and numbers are those of
 * NVIDIA's published nvml.h, which is not needed to build. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "telemetry_parts.h"

#define GPUS_MAX      16u
#define PROCESSES_MAX 1024u
#define TEXT_MAX      96u
#define UNKNOWN_BYTES UINT64_MAX /* "not available" in a process list */

enum { NVML_SUCCESS = 0, NVML_INSUFFICIENT_SIZE = 7 };
enum { CLOCK_SM = 1, CLOCK_MEM = 2 };
enum { TEMPERATURE_GPU = 0 };

typedef struct nvml_device *dev_t_;
struct utilization {
	unsigned gpu, memory;
};
struct memory_v1 {
	unsigned long long total, free, used;
};
struct pci_info {
	char bus_id_legacy[16];
	unsigned domain, bus, device, pci_device, pci_subsystem;
	char bus_id[32];
};
struct process {
	unsigned pid;
	unsigned long long used_bytes;
	unsigned gpu_instance, compute_instance;
};

struct nvml {
	int (*init)(void);
	int (*shutdown)(void);
	const char *(*error)(int);
	int (*driver)(char *, unsigned);
	int (*cuda)(int *);
	int (*count)(unsigned *);
	int (*by_index)(unsigned, dev_t_ *);
	int (*name)(dev_t_, char *, unsigned);
	int (*uuid)(dev_t_, char *, unsigned);
	int (*pci)(dev_t_, struct pci_info *);
	int (*capability)(dev_t_, int *, int *);
	int (*utilization)(dev_t_, struct utilization *);
	int (*temperature)(dev_t_, unsigned, unsigned *);
	int (*power)(dev_t_, unsigned *);
	int (*power_limit)(dev_t_, unsigned *);
	int (*energy)(dev_t_, unsigned long long *);
	int (*clock)(dev_t_, unsigned, unsigned *);
	int (*clock_max)(dev_t_, unsigned, unsigned *);
	int (*memory)(dev_t_, struct memory_v1 *);
	int (*pstate)(dev_t_, unsigned *);
	int (*throttle)(dev_t_, unsigned long long *);
	int (*fan)(dev_t_, unsigned *);
	int (*processes)(dev_t_, unsigned *, struct process *);
};

/* The first of the names that exists; a later one is what older drivers call it. */
static const struct {
	size_t at;
	const char *names[2];
	bool needed;
} symbols[] = {
	{ offsetof(struct nvml, init), { "nvmlInit_v2" }, true },
	{ offsetof(struct nvml, shutdown), { "nvmlShutdown" } },
	{ offsetof(struct nvml, error), { "nvmlErrorString" } },
	{ offsetof(struct nvml, driver), { "nvmlSystemGetDriverVersion" } },
	{ offsetof(struct nvml, cuda), { "nvmlSystemGetCudaDriverVersion_v2" } },
	{ offsetof(struct nvml, count), { "nvmlDeviceGetCount_v2" }, true },
	{ offsetof(struct nvml, by_index), { "nvmlDeviceGetHandleByIndex_v2" }, true },
	{ offsetof(struct nvml, name), { "nvmlDeviceGetName" } },
	{ offsetof(struct nvml, uuid), { "nvmlDeviceGetUUID" } },
	{ offsetof(struct nvml, pci), { "nvmlDeviceGetPciInfo_v3" } },
	{ offsetof(struct nvml, capability), { "nvmlDeviceGetCudaComputeCapability" } },
	{ offsetof(struct nvml, utilization), { "nvmlDeviceGetUtilizationRates" } },
	{ offsetof(struct nvml, temperature), { "nvmlDeviceGetTemperature" } },
	{ offsetof(struct nvml, power), { "nvmlDeviceGetPowerUsage" } },
	{ offsetof(struct nvml, power_limit), { "nvmlDeviceGetEnforcedPowerLimit" } },
	{ offsetof(struct nvml, energy), { "nvmlDeviceGetTotalEnergyConsumption" } },
	{ offsetof(struct nvml, clock), { "nvmlDeviceGetClockInfo" } },
	{ offsetof(struct nvml, clock_max), { "nvmlDeviceGetMaxClockInfo" } },
	{ offsetof(struct nvml, memory), { "nvmlDeviceGetMemoryInfo" } },
	{ offsetof(struct nvml, pstate), { "nvmlDeviceGetPerformanceState" } },
	{ offsetof(struct nvml, throttle),
			{ "nvmlDeviceGetCurrentClocksEventReasons",
					"nvmlDeviceGetCurrentClocksThrottleReasons" } },
	{ offsetof(struct nvml, fan), { "nvmlDeviceGetFanSpeed" } },
	{ offsetof(struct nvml, processes),
			{ "nvmlDeviceGetComputeRunningProcesses_v3",
					"nvmlDeviceGetComputeRunningProcesses_v2" } },
};

/* False when one is missing without which nothing can be read. */
static bool load(void *handle, struct nvml *n)
{
	for (size_t i = 0; i < sb_countof(symbols); i++) {
		void *symbol = dlsym(handle, symbols[i].names[0]);

		if (!symbol && symbols[i].names[1])
			symbol = dlsym(handle, symbols[i].names[1]);
		if (!symbol && symbols[i].needed)
			return false;
		memcpy((char *)n + symbols[i].at, &symbol, sizeof(symbol));
	}
	return true;
}

/* A text of the library as a field; anything but a clean one stays "". */
static void take_text(char **field, char text[TEXT_MAX], bool ok)
{
	char *copy;

	text[TEXT_MAX - 1] = '\0';
	if (!ok || !*text)
		return;
	sb_text_clean(text);
	copy = strdup(text);
	if (copy)
		*field = copy;
}

#define GET(fn, ...)         (n->fn && n->fn(__VA_ARGS__) == NVML_SUCCESS)
#define HAS(gpu, name, NAME) ((gpu)->has_##name##_case = SPARKBUS__GPU__HAS_##NAME)

static void read_identity(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	char text[TEXT_MAX] = "";
	struct pci_info pci = { 0 };
	int major, minor;

	take_text(&gpu->name, text, GET(name, dev, text, sizeof(text)));
	*text = '\0';
	take_text(&gpu->uuid, text, GET(uuid, dev, text, sizeof(text)));
	if (GET(pci, dev, &pci)) {
		snprintf(text, sizeof(text), "%04x:%02x:%02x.0", pci.domain, pci.bus, pci.device);
		take_text(&gpu->pci, text, true);
	}
	if (GET(capability, dev, &major, &minor)) {
		HAS(gpu, capability, CAPABILITY_CAPABILITY);
		gpu->capability = (uint32_t)(major * 10 + minor);
	}
}

static void read_load(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	struct utilization use = { 0 };
	unsigned long long energy;
	unsigned value;

	if (GET(utilization, dev, &use)) {
		HAS(gpu, utilization, UTILIZATION_UTILIZATION_PERCENT);
		gpu->utilization_percent = use.gpu;
	}
	if (GET(temperature, dev, TEMPERATURE_GPU, &value)) {
		HAS(gpu, temperature, TEMPERATURE_TEMPERATURE_C);
		gpu->temperature_c = (int32_t)value;
	}
	if (GET(power, dev, &value)) {
		HAS(gpu, power, POWER_POWER_MW);
		gpu->power_mw = value;
	}
	if (GET(power_limit, dev, &value)) {
		HAS(gpu, power_limit, POWER_LIMIT_POWER_LIMIT_MW);
		gpu->power_limit_mw = value;
	}
	if (GET(energy, dev, &energy)) {
		HAS(gpu, energy, ENERGY_ENERGY_MJ);
		gpu->energy_mj = energy;
	}
	if (GET(pstate, dev, &value) && value < 16) {
		HAS(gpu, pstate, PSTATE_PSTATE);
		gpu->pstate = value;
	}
	if (GET(fan, dev, &value)) {
		HAS(gpu, fan, FAN_FAN_PERCENT);
		gpu->fan_percent = value;
	}
}

static void read_clocks(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	unsigned value;

	if (GET(clock, dev, CLOCK_SM, &value)) {
		HAS(gpu, sm_clock, SM_CLOCK_SM_CLOCK_MHZ);
		gpu->sm_clock_mhz = value;
	}
	if (GET(clock_max, dev, CLOCK_SM, &value)) {
		HAS(gpu, sm_clock_max, SM_CLOCK_MAX_SM_CLOCK_MAX_MHZ);
		gpu->sm_clock_max_mhz = value;
	}
	if (GET(clock, dev, CLOCK_MEM, &value)) {
		HAS(gpu, memory_clock, MEMORY_CLOCK_MEMORY_CLOCK_MHZ);
		gpu->memory_clock_mhz = value;
	}
}

/* Some drivers answer with zeros for a GPU that has no memory of its own. */
static void read_memory(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	struct memory_v1 memory = { 0 };

	if (!GET(memory, dev, &memory) || !memory.total)
		return;
	HAS(gpu, memory_total, MEMORY_TOTAL_MEMORY_TOTAL_BYTES);
	gpu->memory_total_bytes = memory.total;
	HAS(gpu, memory_used, MEMORY_USED_MEMORY_USED_BYTES);
	gpu->memory_used_bytes = memory.used;
}

static void read_throttle(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	static const char *const names[] = { "idle", "application clocks", "software power cap",
		"hardware slowdown", "sync boost", "software thermal", "hardware thermal",
		"power brake", "display clock" };
	unsigned long long bits;

	if (!GET(throttle, dev, &bits))
		return;
	HAS(gpu, throttle, THROTTLE_THROTTLE_BITS);
	gpu->throttle_bits = bits;
	gpu->throttle = calloc(sb_countof(names), sizeof(*gpu->throttle));
	for (size_t i = 0; gpu->throttle && i < sb_countof(names); i++) {
		char *copy = bits >> i & 1 ? strdup(names[i]) : NULL;

		if (copy)
			gpu->throttle[gpu->n_throttle++] = copy;
	}
}

static void keep_processes(Sparkbus__Gpu *gpu, const struct process *list, unsigned count)
{
	gpu->processes = calloc(count + 1, sizeof(*gpu->processes));
	for (unsigned i = 0; gpu->processes && i < count; i++) {
		Sparkbus__GpuProcess *process = malloc(sizeof(*process));

		if (!process)
			return;
		sparkbus__gpu_process__init(process);
		process->pid = list[i].pid;
		if (list[i].used_bytes != UNKNOWN_BYTES) {
			process->has_memory_case = SPARKBUS__GPU_PROCESS__HAS_MEMORY_MEMORY_BYTES;
			process->memory_bytes = list[i].used_bytes;
		}
		gpu->processes[gpu->n_processes++] = process;
	}
	gpu->processes_known = gpu->processes != NULL;
}

static void read_processes(const struct nvml *n, dev_t_ dev, Sparkbus__Gpu *gpu)
{
	struct process *list = calloc(PROCESSES_MAX, sizeof(*list));
	unsigned count = PROCESSES_MAX;

	/* With more than that, the list is cut and not known. */
	if (list && GET(processes, dev, &count, list) && count <= PROCESSES_MAX)
		keep_processes(gpu, list, count);
	free(list);
}

static void read_gpu(const struct nvml *n, unsigned index, Sparkbus__GpuState *ret)
{
	Sparkbus__Gpu *gpu;
	dev_t_ dev;

	if (n->by_index(index, &dev) != NVML_SUCCESS)
		return;
	gpu = malloc(sizeof(*gpu));
	if (!gpu)
		return;
	sparkbus__gpu__init(gpu);
	gpu->index = index;
	read_identity(n, dev, gpu);
	read_load(n, dev, gpu);
	read_clocks(n, dev, gpu);
	read_memory(n, dev, gpu);
	read_throttle(n, dev, gpu);
	read_processes(n, dev, gpu);
	ret->gpus[ret->n_gpus++] = gpu;
}

/* Return: NVML's word on the count, which fails when the driver is gone. */
static int read_all(const struct nvml *n, Sparkbus__GpuState *ret)
{
	char text[TEXT_MAX] = "";
	unsigned count = 0;
	int cuda, rc;

	take_text(&ret->driver_version, text, GET(driver, text, sizeof(text)));
	if (GET(cuda, &cuda) && cuda > 0) {
		ret->has_cuda_case = SPARKBUS__GPU_STATE__HAS_CUDA_CUDA_VERSION;
		ret->cuda_version = (uint32_t)cuda;
	}
	rc = n->count(&count);
	if (rc != NVML_SUCCESS)
		return rc;
	count = count < GPUS_MAX ? count : GPUS_MAX;
	ret->gpus = calloc(count + 1, sizeof(*ret->gpus));
	for (unsigned i = 0; ret->gpus && i < count; i++)
		read_gpu(n, i, ret);
	return NVML_SUCCESS;
}

static void fail(Sparkbus__GpuState *ret, const char *what, const char *why)
{
	char *text = NULL;

	if (asprintf(&text, "%s: %s", what, why) < 0)
		return;
	sb_text_clean(text);
	ret->sample->error = text;
}

static Sparkbus__GpuState *new_state(void)
{
	Sparkbus__GpuState *state = malloc(sizeof(*state));
	Sparkbus__Sample *sample = malloc(sizeof(*sample));
	char *source = strdup("nvml");

	if (!state || !sample || !source) {
		free(state);
		free(sample);
		free(source);
		return NULL;
	}
	sparkbus__gpu_state__init(state);
	sparkbus__sample__init(sample);
	sample->source = source;
	state->sample = sample;
	return state;
}

/* Open and started once; started anew after a failure, as after a driver update or a reset. */
static int begin(struct nvml_session *s, const char *library, Sparkbus__GpuState *state)
{
	int rc;

	if (s->started)
		return 0;
	if (!s->handle)
		s->handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!s->handle) {
		fail(state, library, "not installed");
		return -1;
	}
	if (!s->n)
		s->n = calloc(1, sizeof(*s->n));
	if (!s->n || !load(s->handle, s->n)) {
		fail(state, library, "not NVIDIA's management library");
		return -1;
	}
	rc = s->n->init();
	if (rc != NVML_SUCCESS) {
		const char *why = s->n->error ? s->n->error(rc) : NULL;

		fail(state, "NVML", why ? why : "does not start");
		return -1;
	}
	s->started = true;
	return 0;
}

static void end(struct nvml_session *s)
{
	if (s->started && s->n->shutdown)
		s->n->shutdown();
	s->started = false;
}

void nvml_done(struct nvml_session *s)
{
	end(s);
	free(s->n);
	if (s->handle)
		dlclose(s->handle);
	*s = (struct nvml_session){ 0 };
}

Sparkbus__GpuState *nvml_read(struct nvml_session *s, const char *library)
{
	Sparkbus__GpuState *state = new_state();
	int rc;

	if (!state || begin(s, library, state) < 0)
		return state;
	rc = read_all(s->n, state);
	if (rc != NVML_SUCCESS) {
		const char *why = s->n->error ? s->n->error(rc) : NULL;

		fail(state, "NVML", why ? why : "lost the GPU");
		end(s);
	}
	return state;
}

/* --- on a thread of its own --- */

struct gpu_session {
	struct nvml_session nvml;
	char library[]; /* name to open */
};

static void *read_session(void *ctx)
{
	struct gpu_session *session = ctx;

	return nvml_read(&session->nvml, session->library);
}

static void free_state(void *state)
{
	sparkbus__gpu_state__free_unpacked(state, NULL);
}

static void free_session(void *ctx)
{
	nvml_done(&((struct gpu_session *)ctx)->nvml);
	free(ctx);
}

int nvml_reader_new(const char *library, struct reader **ret, struct sb_err *err)
{
	static const struct reader_ops ops = { "the GPU", read_session, free_state, free_session };
	size_t size = strlen(library) + 1;
	struct gpu_session *session = calloc(1, sizeof(*session) + size);

	if (!session)
		return sb_err_nomem(err);
	memcpy(session->library, library, size);
	return reader_new(&ops, session, ret, err);
}
