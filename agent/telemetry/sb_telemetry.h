/* sb_telemetry.h - what the node measures of itself once a second, without forking.
 *
 * One file per source: proc.c (memory, pressure, load), nvml.c (GPU, by dlopen), links.c (links,
 * addresses and routes by rtnetlink, which tells of changes itself), rdma.c and verbs.c (RDMA
 * devices by sysfs and libibverbs), hardware.c (PCI Express, speeds), sensors.c (temperatures). A
 * source that is absent leaves its values absent and says why; nothing here is ever an error of the
 * agent. NVML, libibverbs and sysfs may hang for as long as a driver is stuck, so they are called
 * on two threads of their own: the loop never waits for them, and their values grow old instead. */
#ifndef SB_TELEMETRY_H
#define SB_TELEMETRY_H

#include <systemd/sd-event.h>

#include "sb_err.h"
#include "telemetry.pb-c.h"

#define SB_TELEMETRY_INTERVAL_MS 1000u

/** Something worth an event happened: @kind "link.down", @text "enp1s0f0np0: link down". */
typedef void sb_telemetry_say_fn(void *ctx, const char *kind, const char *text);

/* A job's container that runs here. */
struct sb_telemetry_job {
	const char *job;
	uint32_t rank;
	const char *container; /* its id */
	int pid;               /* of its main process; 0 = not known */
};

/* Where the values come from. Borrowed: must outlive the telemetry. */
struct sb_telemetry_env {
	sd_event *loop;
	const char *proc_root; /* "/proc", or a copy of it in tests */
	const char *sys_root;  /* "/sys" */
	const char *nvml;      /* name of NVIDIA's library */
	const char *node;      /* name of this node */
	const char *beacon;    /* fabric.beacon of the settings; NULL = neither speak nor listen */
	sb_telemetry_say_fn *say;
	/* Fill in at most @max jobs; return how many. The texts are copied. NULL = there are none.
	 */
	size_t (*jobs)(void *ctx, struct sb_telemetry_job *list, size_t max);
	void *ctx; /* for say and jobs */
};

struct sb_telemetry;
/** Take a first sample and go on once a second. Free with sb_telemetry_free(). */
int sb_telemetry_new(
		const struct sb_telemetry_env *env, struct sb_telemetry **ret, struct sb_err *err);
/** Does not wait for a call into NVML that hangs. */
void sb_telemetry_free(struct sb_telemetry *telemetry);
SB_DEFINE_CLEANUP(sb_telemetry_free, struct sb_telemetry *)

/** The newest values, with their ages as of now. Borrowed: until the loop runs again. */
const Sparkbus__Telemetry *sb_telemetry_get(struct sb_telemetry *telemetry);

#endif
