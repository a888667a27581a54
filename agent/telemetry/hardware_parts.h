/* hardware_parts.h - what sysfs and libibverbs say of devices. All of it may block for as long as a
 * driver is stuck, so it is read on a thread (reader.c); hardware.c puts it together. */
#ifndef HARDWARE_PARTS_H
#define HARDWARE_PARTS_H

#include "sysfs.h"
#include "telemetry_parts.h"

#define RDMA_DEVICES_MAX  32u
#define RDMA_PORTS_MAX    4u
#define RDMA_GIDS_MAX     1024u /* of a device */
#define RDMA_COUNTERS_MAX 96u   /* of a port */
#define SENSORS_MAX       128u

/* --- texts of sysfs; pure --- */

/** "200 Gb/sec (4X HDR)" as 200000, "2.5 Gb/sec (1X SDR)" as 2500. */
bool rdma_parse_rate(const char *text, uint32_t *ret_mbps);
/** "4: ACTIVE" as 4. */
bool rdma_parse_state(const char *text, uint32_t *ret);
/** "4cbb:4703:0010:2016" (4 groups) or a GID (8 groups), in lower case hex. */
bool rdma_is_guid(const char *text, unsigned groups);
/** "32.0 GT/s PCIe" as 32000. */
bool pcie_parse_speed(const char *text, uint32_t *ret_mts);
/** "0000:01:00.1" */
bool pci_is_address(const char *text);
/** Thousandths of a degree, within what a thermometer of a machine can say. */
bool sensor_parse(const char *text, int32_t *ret);

/* --- sources --- */

/** Devices as libibverbs has them, with ports and GIDs, into @ret->rdma. @ret is fresh; what is
 * wrong goes into @error. */
typedef void verbs_read_fn(Sparkbus__FabricState *ret, char *error, size_t error_size);
void verbs_read(Sparkbus__FabricState *ret, char *error, size_t error_size);

/* Between two readings of RDMA devices. */
struct rdma_session {
	Sparkbus__FabricState *known; /* what libibverbs said */
	char seen[1024];              /* and what of sysfs it belongs to */
	char error[160];
	uint64_t verbs_ms;
};
/** Devices below @sys into @ret->rdma. libibverbs opens devices, so it is asked again only when
 * something changed, or @again. Return: what is wrong, "" = nothing; borrowed. */
const char *rdma_read(struct rdma_session *session, int sys, verbs_read_fn *verbs, bool again,
		Sparkbus__FabricState *ret);
void rdma_session_done(struct rdma_session *session);

/** Name, speed, driver and PCI Express link of every network device below @sys into @ret->links. */
void hardware_links_read(int sys, Sparkbus__FabricState *ret);
/** Functions of the NIC on the bus, and the cable hot-plug of the platform. */
void hardware_nic_read(int sys, Sparkbus__FabricState *ret);
/** Temperatures below @sys. */
Sparkbus__SensorState *sensors_read(int sys);

/* --- all of it on a thread --- */

struct hardware_env {
	const char *sys_root; /* "/sys" */
	verbs_read_fn *verbs;
};
struct hardware;
/** A reader of Sparkbus__Telemetry with fabric and sensors. */
int hardware_reader_new(const struct hardware_env *env, struct hardware **ret, struct sb_err *err);
void hardware_free(struct hardware *hardware);
/** Read; @changed: also what seldom changes. */
void hardware_ask(struct hardware *hardware, bool changed);
Sparkbus__Telemetry *hardware_take(struct hardware *hardware, uint64_t *ret_busy_ms);

/* --- messages on the heap --- */

/** A copy of @text as a field; "" when out of memory. */
char *heap_text(const char *text);
/** Append an empty message of @type to the list (@list, @n); NULL when out of memory. */
void *heap_add(void *list, size_t *n, const ProtobufCMessageDescriptor *type);
#define HEAP_ADD(owner, field, type_)                                                              \
	((Sparkbus__##type_ *)heap_add(                                                            \
			&(owner)->field, &(owner)->n_##field, HEAP_DESCRIPTOR_##type_))
#define HEAP_DESCRIPTOR_Link       &sparkbus__link__descriptor
#define HEAP_DESCRIPTOR_RdmaDevice &sparkbus__rdma_device__descriptor
#define HEAP_DESCRIPTOR_RdmaPort   &sparkbus__rdma_port__descriptor
#define HEAP_DESCRIPTOR_Gid        &sparkbus__gid__descriptor
#define HEAP_DESCRIPTOR_Counter    &sparkbus__counter__descriptor
#define HEAP_DESCRIPTOR_Sensor     &sparkbus__sensor__descriptor

#endif
