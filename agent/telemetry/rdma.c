/* rdma.c - RDMA devices: which there are, by sysfs; what they are, by libibverbs; how they fare, by
 * sysfs again.
 *
 * libibverbs leaves out, without a word, what it has no provider or no device node for. So sysfs
 * says which devices there are, and one that libibverbs does not know is reported all the same,
 * with the reason. */
#include <stdio.h>
#include <string.h>

#include "hardware_parts.h"

/* libibverbs complains of what it lacks on standard error, that is, in the log. */
#define VERBS_FAILED_MS 600000u
#define VERBS_AGAIN_MS  10000u
#define SYSFS_GIDS_MAX  64u
#define PORT_ACTIVE     4u
#define OCTETS_OF_4     4u /* the unit of port_xmit_data and port_rcv_data */

/* --- texts --- */

bool rdma_parse_rate(const char *text, uint32_t *ret_mbps)
{
	unsigned whole, tenth = 0;
	int end = 0;

	if (!sys_begins_with_digit(text))
		return false;
	if (sscanf(text, "%6u.%1u Gb/sec%n", &whole, &tenth, &end) < 2 || !end) {
		tenth = 0;
		if (sscanf(text, "%6u Gb/sec%n", &whole, &end) < 1 || !end)
			return false;
	}
	*ret_mbps = whole * 1000 + tenth * 100;
	return true;
}

bool rdma_parse_state(const char *text, uint32_t *ret)
{
	unsigned value;
	int end = 0;

	if (!sys_begins_with_digit(text) || sscanf(text, "%4u:%n", &value, &end) < 1 || !end)
		return false;
	*ret = value;
	return true;
}

bool rdma_is_guid(const char *text, unsigned groups)
{
	if (strlen(text) != groups * 5 - 1)
		return false;
	for (size_t i = 0; text[i]; i++)
		if (i % 5 == 4 ? text[i] != ':' : !strchr("0123456789abcdef", text[i]))
			return false;
	return true;
}

/* --- what sysfs says --- */

static void text_if_empty(int dir, const char *path, char **field)
{
	char text[SYS_TEXT_MAX];

	if (!**field && sys_text(dir, path, text, sizeof(text)) && *text)
		*field = heap_text(text);
}

static void guid_if_empty(int dir, const char *path, char **field)
{
	char text[SYS_TEXT_MAX];

	if (!**field && sys_text(dir, path, text, sizeof(text)) && rdma_is_guid(text, 4))
		*field = heap_text(text);
}

/* The netdev of the same function. Software devices name theirs. */
static void read_netdev(int dir, Sparkbus__RdmaDevice *device)
{
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };
	char text[SYS_TEXT_MAX];

	sys_names(dir, "device/net", &names);
	if (names.n == 1)
		device->netdev = heap_text(names.names[0]);
	text_if_empty(dir, "ports/1/gid_attrs/ndevs/0", &device->netdev);
	text_if_empty(dir, "parent", &device->netdev);
	if (!*device->netdev && names.n)
		device->netdev = heap_text(names.names[0]);
	if (sys_link(dir, "device", text, sizeof(text)) && pci_is_address(text))
		device->pci = heap_text(text);
}

static void read_gids(int dir, Sparkbus__RdmaPort *port)
{
	for (unsigned i = 0; i < SYSFS_GIDS_MAX; i++) {
		char path[48], text[SYS_TEXT_MAX], type[SYS_TEXT_MAX];
		Sparkbus__Gid *gid;

		snprintf(path, sizeof(path), "gids/%u", i);
		if (!sys_text(dir, path, text, sizeof(text)) || !rdma_is_guid(text, 8))
			return;
		snprintf(path, sizeof(path), "gid_attrs/types/%u", i);
		if (!sys_text(dir, path, type, sizeof(type))) /* an empty slot */
			continue;
		gid = HEAP_ADD(port, gids, Gid);
		if (!gid)
			return;
		gid->index = i;
		gid->gid = heap_text(text);
		gid->type = heap_text(type);
		snprintf(path, sizeof(path), "gid_attrs/ndevs/%u", i);
		text_if_empty(dir, path, &gid->netdev);
	}
}

static void add_counter(int dir, const char *folder, const char *name, Sparkbus__RdmaPort *port)
{
	char path[SYS_TEXT_MAX];
	Sparkbus__Counter *counter;
	uint64_t value;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
			!sys_u64(dir, path, &value))
		return;
	if (strcmp(name, "port_xmit_data") == 0 || strcmp(name, "port_rcv_data") == 0)
		if (__builtin_mul_overflow(value, OCTETS_OF_4, &value))
			return;
	counter = port->n_counters < RDMA_COUNTERS_MAX ? HEAP_ADD(port, counters, Counter) : NULL;
	if (!counter)
		return;
	counter->name = heap_text(name);
	counter->value = value;
}

/* A set for InfiniBand, of which these mean something here, and what the driver counts itself. */
static void read_counters(int dir, Sparkbus__RdmaPort *port)
{
	static const char *const wanted[] = { "port_xmit_data", "port_rcv_data",
		"port_xmit_packets", "port_rcv_packets", "port_xmit_wait", "port_xmit_discards",
		"port_rcv_errors", "symbol_error", "link_downed", "link_error_recovery" };
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };

	for (size_t i = 0; i < sb_countof(wanted); i++)
		add_counter(dir, "counters", wanted[i], port);
	sys_names(dir, "hw_counters", &names);
	for (size_t i = 0; i < names.n; i++)
		if (strcmp(names.names[i], "lifespan") != 0) /* how old a value may be, in ms */
			add_counter(dir, "hw_counters", names.names[i], port);
}

static Sparkbus__RdmaPort *port_numbered(Sparkbus__RdmaDevice *device, uint32_t number)
{
	Sparkbus__RdmaPort *port;

	for (size_t i = 0; i < device->n_ports; i++)
		if (device->ports[i]->number == number)
			return device->ports[i];
	port = HEAP_ADD(device, ports, RdmaPort);
	if (port)
		port->number = number;
	return port;
}

static void read_port(int dir, Sparkbus__RdmaPort *port)
{
	char text[SYS_TEXT_MAX];
	uint32_t value;

	if (sys_text(dir, "state", text, sizeof(text)) && rdma_parse_state(text, &value))
		port->state = value;
	if (sys_text(dir, "phys_state", text, sizeof(text)) && rdma_parse_state(text, &value))
		port->phys_state = value;
	if (port->state == PORT_ACTIVE && sys_text(dir, "rate", text, sizeof(text)) &&
			rdma_parse_rate(text, &value)) {
		port->has_rate_case = SPARKBUS__RDMA_PORT__HAS_RATE_RATE_MBPS;
		port->rate_mbps = value;
	}
	text_if_empty(dir, "link_layer", &port->link_layer);
	if (!port->n_gids)
		read_gids(dir, port);
	read_counters(dir, port);
}

static void read_device(int dir, Sparkbus__RdmaDevice *device)
{
	read_netdev(dir, device);
	text_if_empty(dir, "fw_ver", &device->firmware);
	text_if_empty(dir, "board_id", &device->board_id);
	guid_if_empty(dir, "node_guid", &device->node_guid);
	guid_if_empty(dir, "sys_image_guid", &device->sys_image_guid);
	for (unsigned i = 1; i <= RDMA_PORTS_MAX; i++) {
		char path[16];
		Sparkbus__RdmaPort *port;

		snprintf(path, sizeof(path), "ports/%u", i);
		SB_CLEANUP(sb_closep) int folder = sys_open(dir, path);
		if (folder < 0)
			return;
		port = port_numbered(device, i);
		if (port)
			read_port(folder, port);
	}
}

/* --- and libibverbs --- */

/* What tells whether libibverbs may have something new to say: devices and states of ports. */
static void look(int class, const struct sys_names *names, char *ret, size_t size)
{
	size_t len = 0;

	*ret = '\0';
	for (size_t i = 0; i < names->n && len < size; i++) {
		char path[SYS_TEXT_MAX], guid[SYS_TEXT_MAX] = "", state[SYS_TEXT_MAX] = "";

		snprintf(path, sizeof(path), "%.64s/node_guid", names->names[i]);
		sys_text(class, path, guid, sizeof(guid));
		snprintf(path, sizeof(path), "%.64s/ports/1/state", names->names[i]);
		sys_text(class, path, state, sizeof(state));
		len += (size_t)snprintf(ret + len, size - len, "%.24s %.24s %.24s\n",
				names->names[i], guid, state);
	}
}

static void ask_verbs(struct rdma_session *s, verbs_read_fn *verbs)
{
	if (s->known)
		sparkbus__fabric_state__free_unpacked(s->known, NULL);
	s->known = malloc(sizeof(*s->known));
	if (!s->known)
		return;
	sparkbus__fabric_state__init(s->known);
	*s->error = '\0';
	verbs(s->known, s->error, sizeof(s->error));
	s->verbs_ms = sb_now_boot_ms();
}

/* A copy of what libibverbs said of @name, or an empty one. */
static Sparkbus__RdmaDevice *start_device(
		struct rdma_session *s, const char *name, Sparkbus__FabricState *ret)
{
	Sparkbus__RdmaDevice *device = HEAP_ADD(ret, rdma, RdmaDevice);
	const Sparkbus__RdmaDevice *known = NULL;

	for (size_t i = 0; s->known && i < s->known->n_rdma && !known; i++)
		if (strcmp(s->known->rdma[i]->name, name) == 0)
			known = s->known->rdma[i];
	if (device && known) {
		size_t size = sparkbus__rdma_device__get_packed_size(known);
		SB_CLEANUP(sb_freep) uint8_t *packed = malloc(size + 1);
		Sparkbus__RdmaDevice *copy = NULL;

		if (packed && sparkbus__rdma_device__pack(known, packed) == size)
			copy = sparkbus__rdma_device__unpack(NULL, size, packed);
		if (copy) {
			sparkbus__rdma_device__free_unpacked(device, NULL);
			ret->rdma[ret->n_rdma - 1] = device = copy;
		}
	} else if (device) {
		device->name = heap_text(name);
		if (!*s->error)
			snprintf(s->error, sizeof(s->error),
					"libibverbs does not know %.40s: is ibverbs-providers "
					"installed, and /dev/infiniband there?",
					name);
	}
	return device;
}

const char *rdma_read(struct rdma_session *s, int sys, verbs_read_fn *verbs, bool again,
		Sparkbus__FabricState *ret)
{
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };
	SB_CLEANUP(sb_closep) int class = sys_open(sys, "class/infiniband");
	char seen[sizeof(s->seen)];

	if (class >= 0)
		sys_names(class, ".", &names);
	look(class, &names, seen, sizeof(seen));
	if (!names.n) {
		rdma_session_done(s);
		return "";
	}
	if ((again && !*s->error) || !s->known || strcmp(seen, s->seen) != 0 ||
			sb_now_boot_ms() - s->verbs_ms >=
					(*s->error ? VERBS_FAILED_MS : VERBS_AGAIN_MS))
		ask_verbs(s, verbs);
	memcpy(s->seen, seen, sizeof(seen));
	for (size_t i = 0; i < names.n && i < RDMA_DEVICES_MAX; i++) {
		SB_CLEANUP(sb_closep) int dir = sys_open(class, names.names[i]);
		Sparkbus__RdmaDevice *device;

		device = dir < 0 ? NULL : start_device(s, names.names[i], ret);
		if (device)
			read_device(dir, device);
	}
	return s->error;
}

void rdma_session_done(struct rdma_session *s)
{
	if (s->known)
		sparkbus__fabric_state__free_unpacked(s->known, NULL);
	*s = (struct rdma_session){ 0 };
}
