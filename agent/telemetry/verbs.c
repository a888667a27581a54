/* verbs.c - RDMA devices by libibverbs.
 *
 * Each device is opened, asked and closed again: a context that stays open can hold up the removal
 * of its device, and here devices go with the last cable. */
#include <endian.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "hardware_parts.h"

#define GUID_TEXT 20
#define GID_TEXT  40

/* 8 or 16 bytes in groups of two. */
static void groups(const uint8_t *bytes, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i += 2)
		ret += sprintf(ret, i ? ":%02x%02x" : "%02x%02x", bytes[i], bytes[i + 1]);
}

static char *guid_text(__be64 guid)
{
	char text[GUID_TEXT] = "";

	groups((const uint8_t *)&guid, sizeof(guid), text);
	return heap_text(text);
}

static void add_gid(Sparkbus__RdmaPort *port, const struct ibv_gid_entry *entry)
{
	Sparkbus__Gid *gid = HEAP_ADD(port, gids, Gid);
	char text[GID_TEXT] = "", name[IF_NAMESIZE];

	if (!gid)
		return;
	groups(entry->gid.raw, sizeof(entry->gid.raw), text);
	gid->index = entry->gid_index;
	gid->gid = heap_text(text);
	gid->type = heap_text(entry->gid_type == IBV_GID_TYPE_ROCE_V2 ? "RoCE v2" : "IB/RoCE v1");
	if (entry->ndev_ifindex && if_indextoname(entry->ndev_ifindex, name))
		gid->netdev = heap_text(name);
}

static void read_gids(struct ibv_context *context, Sparkbus__RdmaDevice *device, size_t room)
{
	SB_CLEANUP(sb_freep) struct ibv_gid_entry *entries = NULL;
	ssize_t n;

	room = room < RDMA_GIDS_MAX ? room : RDMA_GIDS_MAX;
	entries = calloc(room + 1, sizeof(*entries));
	n = entries ? ibv_query_gid_table(context, entries, room, 0) : 0;
	for (ssize_t i = 0; i < n; i++)
		for (size_t k = 0; k < device->n_ports; k++)
			if (device->ports[k]->number == entries[i].port_num)
				add_gid(device->ports[k], &entries[i]);
}

static uint32_t mtu_bytes(enum ibv_mtu mtu)
{
	return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128u << mtu : 0;
}

/* Return: how many GIDs the port may have. */
static size_t read_port(struct ibv_context *context, uint8_t number, Sparkbus__RdmaDevice *device)
{
	struct ibv_port_attr attr = { 0 };
	Sparkbus__RdmaPort *port;

	if (ibv_query_port(context, number, &attr) != 0)
		return 0;
	port = HEAP_ADD(device, ports, RdmaPort);
	if (!port)
		return 0;
	port->number = number;
	port->state = attr.state;
	port->phys_state = attr.phys_state;
	port->active_mtu = mtu_bytes(attr.active_mtu);
	port->max_mtu = mtu_bytes(attr.max_mtu);
	port->link_layer = heap_text(attr.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet"
					: attr.link_layer == IBV_LINK_LAYER_INFINIBAND
					? "InfiniBand"
					: "");
	return attr.gid_tbl_len > 0 ? (size_t)attr.gid_tbl_len : 0;
}

/* Return: 0 or an errno. */
static int read_device(struct ibv_device *from, Sparkbus__RdmaDevice *device)
{
	struct ibv_context *context = ibv_open_device(from);
	struct ibv_device_attr attr = { 0 };
	size_t room = 0;
	int rc;

	if (!context)
		return errno ? errno : EIO;
	rc = ibv_query_device(context, &attr);
	if (rc == 0) {
		attr.fw_ver[sizeof(attr.fw_ver) - 1] = '\0';
		sb_text_clean(attr.fw_ver);
		device->node_guid = guid_text(attr.node_guid);
		device->sys_image_guid = guid_text(attr.sys_image_guid);
		device->firmware = heap_text(attr.fw_ver);
		device->vendor_id = attr.vendor_id;
		device->vendor_part_id = attr.vendor_part_id;
		for (uint8_t i = 1; i <= attr.phys_port_cnt && i <= RDMA_PORTS_MAX; i++)
			room += read_port(context, i, device);
		read_gids(context, device, room);
	}
	ibv_close_device(context);
	return rc;
}

void verbs_read(Sparkbus__FabricState *ret, char *error, size_t error_size)
{
	int n = 0, rc;
	struct ibv_device **list = ibv_get_device_list(&n);

	if (!list) {
		snprintf(error, error_size, "libibverbs: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < n && i < (int)RDMA_DEVICES_MAX; i++) {
		Sparkbus__RdmaDevice *device = HEAP_ADD(ret, rdma, RdmaDevice);

		if (!device)
			break;
		device->name = heap_text(ibv_get_device_name(list[i]));
		rc = read_device(list[i], device);
		if (rc != 0)
			snprintf(error, error_size, "libibverbs: %s: %s", device->name,
					strerror(rc));
	}
	ibv_free_device_list(list);
}
