/* hardware.c - devices: network interfaces, the NIC, RDMA, thermometers; read on a thread.
 *
 * Counters, port states and temperatures are read each time. What changes only with a cable, a
 * driver or an address is read when rtnetlink told of a change, and now and then. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "hardware_parts.h"

#define SELDOM_MS       10000u
#define SETTLE_READINGS 3u /* after a change: GIDs follow addresses with some delay */
#define NIC_VENDOR      "0x15b3"
#define NIC_DEVICE      "0x1021" /* ConnectX-7 */
#define HOTPLUG         "devices/platform/MTKP0001:00/pcie_hotplug/hotplug_enabled"

/* --- messages on the heap --- */

char *heap_text(const char *text)
{
	char *copy = *text ? strdup(text) : NULL;

	return copy ? copy : (char *)protobuf_c_empty_string;
}

void *heap_add(void *list, size_t *n, const ProtobufCMessageDescriptor *type)
{
	void ***at = list;
	void **longer = realloc(*at, (*n + 1) * sizeof(*longer));
	void *message = malloc(type->sizeof_message);

	if (longer)
		*at = longer;
	if (!longer || !message) {
		free(message);
		return NULL;
	}
	protobuf_c_message_init(type, message);
	longer[(*n)++] = message;
	return message;
}

/* --- texts --- */

bool pcie_parse_speed(const char *text, uint32_t *ret_mts)
{
	unsigned whole, tenth;
	int end = 0;

	if (!sys_begins_with_digit(text) ||
			sscanf(text, "%4u.%1u GT/s%n", &whole, &tenth, &end) < 2 || !end)
		return false;
	*ret_mts = whole * 1000 + tenth * 100;
	return true;
}

bool pci_is_address(const char *text)
{
	unsigned domain, bus, device, function;
	int end = 0;

	return sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) == 4 &&
			(size_t)end == strlen(text) && end >= 12;
}

/* --- network interfaces --- */

static void read_pcie(int dir, Sparkbus__Link *link)
{
	char text[SYS_TEXT_MAX];
	uint64_t lanes;

	if (sys_text(dir, "device/current_link_speed", text, sizeof(text)) &&
			pcie_parse_speed(text, &link->pcie_mts))
		link->has_pcie_speed_case = SPARKBUS__LINK__HAS_PCIE_SPEED_PCIE_MTS;
	if (sys_text(dir, "device/max_link_speed", text, sizeof(text)) &&
			pcie_parse_speed(text, &link->pcie_max_mts))
		link->has_pcie_speed_max_case = SPARKBUS__LINK__HAS_PCIE_SPEED_MAX_PCIE_MAX_MTS;
	/* 255 and 0 are said of a slot without a link. */
	if (sys_u64(dir, "device/current_link_width", &lanes) && lanes && lanes < 64) {
		link->has_pcie_width_case = SPARKBUS__LINK__HAS_PCIE_WIDTH_PCIE_WIDTH;
		link->pcie_width = (uint32_t)lanes;
	}
	if (sys_u64(dir, "device/max_link_width", &lanes) && lanes && lanes < 64) {
		link->has_pcie_width_max_case = SPARKBUS__LINK__HAS_PCIE_WIDTH_MAX_PCIE_MAX_WIDTH;
		link->pcie_max_width = (uint32_t)lanes;
	}
}

static void read_link(int dir, const char *name, Sparkbus__FabricState *ret)
{
	Sparkbus__Link *link = HEAP_ADD(ret, links, Link);
	char text[SYS_TEXT_MAX];
	uint64_t value;

	if (!link)
		return;
	link->name = heap_text(name);
	if (sys_u64(dir, "ifindex", &value))
		link->index = (uint32_t)value;
	link->wireless = sys_exists(dir, "phy80211") || sys_exists(dir, "wireless");
	if (!sys_exists(dir, "device")) /* what is not hardware makes its speed up */
		return;
	if (sys_link(dir, "device/driver", text, sizeof(text)))
		link->driver = heap_text(text);
	if (sys_link(dir, "device", text, sizeof(text)) && pci_is_address(text))
		link->pci = heap_text(text);
	/* "-1", or nothing at all, without a carrier. */
	if (sys_u64(dir, "speed", &value) && value && value < INT32_MAX) {
		link->has_speed_case = SPARKBUS__LINK__HAS_SPEED_SPEED_MBPS;
		link->speed_mbps = (uint32_t)value;
	}
	read_pcie(dir, link);
}

void hardware_links_read(int sys, Sparkbus__FabricState *ret)
{
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };
	SB_CLEANUP(sb_closep) int class = sys_open(sys, "class/net");

	if (class >= 0)
		sys_names(class, ".", &names);
	for (size_t i = 0; i < names.n; i++) {
		SB_CLEANUP(sb_closep) int dir = sys_open(class, names.names[i]);

		if (dir >= 0) /* bonding has a file among them */
			read_link(dir, names.names[i], ret);
	}
}

void hardware_nic_read(int sys, Sparkbus__FabricState *ret)
{
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };
	SB_CLEANUP(sb_closep) int bus = sys_open(sys, "bus/pci/devices");
	uint64_t enabled;

	if (sys_u64(sys, HOTPLUG, &enabled)) {
		ret->has_hotplug_case = SPARKBUS__FABRIC_STATE__HAS_HOTPLUG_HOTPLUG_ENABLED;
		ret->hotplug_enabled = enabled != 0;
	}
	if (bus < 0)
		return;
	sys_names(bus, ".", &names);
	ret->has_pci_case = SPARKBUS__FABRIC_STATE__HAS_PCI_CONNECTX_FUNCTIONS;
	for (size_t i = 0; i < names.n; i++) {
		char path[SYS_TEXT_MAX], text[SYS_TEXT_MAX];

		snprintf(path, sizeof(path), "%.64s/vendor", names.names[i]);
		if (!sys_text(bus, path, text, sizeof(text)) || strcmp(text, NIC_VENDOR) != 0)
			continue;
		snprintf(path, sizeof(path), "%.64s/device", names.names[i]);
		if (sys_text(bus, path, text, sizeof(text)) && strcmp(text, NIC_DEVICE) == 0)
			ret->connectx_functions++;
	}
}

/* --- the session --- */

struct session {
	int sys;
	verbs_read_fn *verbs;
	atomic_bool changed;
	unsigned settling; /* readings */
	uint64_t seldom_ms;
	struct rdma_session rdma;
	Sparkbus__FabricState *seldom; /* links and NIC, as last read */
};

struct hardware {
	struct reader *reader;
	struct session *session; /* the reader's; of it only @changed is touched from here */
};

static void read_seldom(struct session *s)
{
	if (s->seldom)
		sparkbus__fabric_state__free_unpacked(s->seldom, NULL);
	s->seldom = malloc(sizeof(*s->seldom));
	if (!s->seldom)
		return;
	sparkbus__fabric_state__init(s->seldom);
	hardware_links_read(s->sys, s->seldom);
	hardware_nic_read(s->sys, s->seldom);
	s->seldom_ms = sb_now_boot_ms();
}

static Sparkbus__FabricState *copy_of(const Sparkbus__FabricState *from)
{
	size_t size = sparkbus__fabric_state__get_packed_size(from);
	SB_CLEANUP(sb_freep) uint8_t *packed = malloc(size + 1);

	if (!packed || sparkbus__fabric_state__pack(from, packed) != size)
		return NULL;
	return sparkbus__fabric_state__unpack(NULL, size, packed);
}

/* The functions of one NIC say one name; where they do not, the lowest stands for the machine. */
static void take_machine_id(Sparkbus__FabricState *f)
{
	const char *lowest = NULL;

	for (size_t i = 0; i < f->n_rdma; i++) {
		const char *guid = f->rdma[i]->sys_image_guid;

		if (*guid && (!lowest || strcmp(guid, lowest) < 0))
			lowest = guid;
	}
	if (lowest)
		f->machine_id = heap_text(lowest);
}

static Sparkbus__FabricState *read_fabric(struct session *s)
{
	Sparkbus__FabricState *fabric;
	const char *error;
	bool again;

	if (atomic_exchange(&s->changed, false))
		s->settling = SETTLE_READINGS;
	again = s->settling > 0;
	s->settling -= again;
	if (again || !s->seldom || sb_now_boot_ms() - s->seldom_ms >= SELDOM_MS)
		read_seldom(s);
	fabric = s->seldom ? copy_of(s->seldom) : NULL;
	if (!fabric)
		return NULL;
	fabric->rdma_sample = malloc(sizeof(*fabric->rdma_sample));
	if (!fabric->rdma_sample) {
		sparkbus__fabric_state__free_unpacked(fabric, NULL);
		return NULL;
	}
	sparkbus__sample__init(fabric->rdma_sample);
	fabric->rdma_sample->source = heap_text("ibverbs");
	error = rdma_read(&s->rdma, s->sys, s->verbs, again, fabric);
	fabric->rdma_sample->error = heap_text(error);
	take_machine_id(fabric);
	return fabric;
}

static void free_telemetry(void *message)
{
	sparkbus__telemetry__free_unpacked(message, NULL);
}

static void *read_all(void *ctx)
{
	Sparkbus__Telemetry *all = malloc(sizeof(*all));
	struct session *s = ctx;

	if (!all)
		return NULL;
	sparkbus__telemetry__init(all);
	all->boot_ms = sb_now_boot_ms();
	all->fabric = read_fabric(s);
	all->sensors = sensors_read(s->sys);
	return all;
}

static void free_session(void *ctx)
{
	struct session *s = ctx;

	rdma_session_done(&s->rdma);
	if (s->seldom)
		sparkbus__fabric_state__free_unpacked(s->seldom, NULL);
	sb_closep(&s->sys);
	free(s);
}

int hardware_reader_new(const struct hardware_env *env, struct hardware **ret, struct sb_err *err)
{
	static const struct reader_ops ops = { "devices", read_all, free_telemetry, free_session };
	struct hardware *h = calloc(1, sizeof(*h));
	int rc;

	if (h)
		h->session = calloc(1, sizeof(*h->session));
	if (!h || !h->session) {
		free(h);
		return sb_err_nomem(err);
	}
	h->session->sys = sys_open(AT_FDCWD, env->sys_root); /* -1: then nothing is found */
	h->session->verbs = env->verbs;
	rc = reader_new(&ops, h->session, &h->reader, err);
	if (rc < 0) {
		free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void hardware_free(struct hardware *h)
{
	if (!h)
		return;
	reader_free(h->reader);
	free(h);
}

void hardware_ask(struct hardware *h, bool changed)
{
	if (changed)
		atomic_store(&h->session->changed, true);
	reader_ask(h->reader);
}

Sparkbus__Telemetry *hardware_take(struct hardware *h, uint64_t *ret_busy_ms)
{
	return reader_take(h->reader, ret_busy_ms);
}
