/* spark_sysfs.c - the tree of sysfs and the answers of libibverbs. */
#include <arpa/inet.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sb_fs.h"
#include "spark.h"

const struct spark *spark_of_verbs;

static void fail_if(bool bad, const char *what)
{
	if (!bad)
		return;
	perror(what);
	abort();
}

void spark_put(const char *root, const char *text, const char *fmt, ...)
{
	char name[PATH_MAX / 2], path[PATH_MAX];
	va_list ap;
	FILE *file;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%.1000s/%s", root, name);
	*strrchr(path, '/') = '\0';
	fail_if(sb_fs_mkdirs(path, 0700, NULL) < 0, path);
	path[strlen(path)] = '/';
	file = fopen(path, "w");
	fail_if(!file || fprintf(file, "%s\n", text) < 0 || fclose(file) != 0, path);
}

static void put_link(const char *root, const char *target, const char *class, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.1000s/class/%s", root, class);
	fail_if(sb_fs_mkdirs(path, 0700, NULL) < 0, path);
	snprintf(path, sizeof(path), "%.1000s/class/%s/%s", root, class, name);
	fail_if(symlink(target, path) < 0, path);
}

/* --- identities --- */

static void guid_text(const struct spark *spark, unsigned offset, char ret[20])
{
	uint8_t m[6];

	spark_mac(spark, offset, m);
	snprintf(ret, 20, "%02x%02x:%02x03:00%02x:%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* The GID at @index, and its type; false for an empty slot. */
static bool gid_text(const struct spark *spark, unsigned f, unsigned index, char ret[40],
		const char **ret_type)
{
	uint8_t m[6], ip[4];

	*ret_type = index % 2 ? "RoCE v2" : "IB/RoCE v1";
	spark_mac(spark, spark_funcs[f].mac_offset, m);
	snprintf(ret, 40, "fe80:0000:0000:0000:%02x%02x:%02xff:fe%02x:%02x%02x", m[0] ^ 2, m[1],
			m[2], m[3], m[4], m[5]);
	if (index < 2)
		return true;
	if (index > 3 || !spark->ips[f] || inet_pton(AF_INET, spark->ips[f], ip) != 1)
		return false;
	snprintf(ret, 40, "0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x", ip[0], ip[1], ip[2],
			ip[3]);
	return true;
}

/* --- sysfs --- */

static void put_port(const struct spark *spark, unsigned f, const char *root, const char *base)
{
	const struct spark_func *func = &spark_funcs[f];
	bool up = spark->ips[f] != NULL;
	char port[200], gid[40];
	const char *type;

	snprintf(port, sizeof(port), "%.100s/infiniband/%s/ports/1", base, func->rdma);
	spark_put(root, up ? "4: ACTIVE" : "1: DOWN", "%s/state", port);
	spark_put(root, up ? "5: LinkUp" : "3: Disabled", "%s/phys_state", port);
	spark_put(root, up ? "200 Gb/sec (4X HDR)" : "40 Gb/sec (4X QDR)", "%s/rate", port);
	spark_put(root, "Ethernet", "%s/link_layer", port);
	for (unsigned i = 0; i < 6; i++) {
		bool there = gid_text(spark, f, i, gid, &type);

		spark_put(root, there ? gid : "0000:0000:0000:0000:0000:0000:0000:0000",
				"%s/gids/%u", port, i);
		if (!there) /* reading these fails with EINVAL */
			continue;
		spark_put(root, type, "%s/gid_attrs/types/%u", port, i);
		spark_put(root, func->netdev, "%s/gid_attrs/ndevs/%u", port, i);
	}
	spark_put(root, up ? "5611844238" : "0", "%s/counters/port_xmit_data", port);
	spark_put(root, up ? "5611849677" : "0", "%s/counters/port_rcv_data", port);
	spark_put(root, up ? "22367949" : "0", "%s/counters/port_xmit_packets", port);
	spark_put(root, "0", "%s/hw_counters/packet_seq_err", port);
	spark_put(root, up ? "22364011" : "0", "%s/hw_counters/rx_write_requests", port);
	spark_put(root, "10", "%s/hw_counters/lifespan", port);
}

static void put_func(const struct spark *spark, unsigned f, const char *root)
{
	const struct spark_func *func = &spark_funcs[f];
	const char *lanes = spark->lanes[func->domain != 0];
	char base[100], target[400], device[64], guid[20], address[32];

	snprintf(address, sizeof(address), "%04x:01:00.%u", func->domain, func->func);
	snprintf(base, sizeof(base), "devices/pci%04x:00/%04x:00:00.0/%s", func->domain,
			func->domain, address);
	spark_put(root, "0x15b3", "%s/vendor", base);
	spark_put(root, "0x1021", "%s/device", base);
	spark_put(root, "32.0 GT/s PCIe", "%s/current_link_speed", base);
	spark_put(root, lanes ? lanes : "4", "%s/current_link_width", base);
	spark_put(root, "32.0 GT/s PCIe", "%s/max_link_speed", base);
	spark_put(root, "16", "%s/max_link_width", base);
	spark_put(root, spark->ips[f] ? "200000" : "-1", "%s/net/%s/speed", base, func->netdev);
	snprintf(device, sizeof(device), "%u", func->index);
	spark_put(root, device, "%s/net/%s/ifindex", base, func->netdev);
	guid_text(spark, func->mac_offset, guid);
	spark_put(root, guid, "%s/infiniband/%s/node_guid", base, func->rdma);
	guid_text(spark, 1, guid);
	spark_put(root, guid, "%s/infiniband/%s/sys_image_guid", base, func->rdma);
	spark_put(root, "28.45.4028", "%s/infiniband/%s/fw_ver", base, func->rdma);
	spark_put(root, "NVD0000000087", "%s/infiniband/%s/board_id", base, func->rdma);
	put_port(spark, f, root, base);
	snprintf(device, sizeof(device), "../../../%s", address);
	snprintf(target, sizeof(target), "../../%s/net/%s", base, func->netdev);
	put_link(root, target, "net", func->netdev);
	snprintf(target, sizeof(target), "%.90s/%.90s/net/%s/device", root, base, func->netdev);
	fail_if(symlink(device, target) < 0, target);
	snprintf(target, sizeof(target), "../../%s/infiniband/%s", base, func->rdma);
	put_link(root, target, "infiniband", func->rdma);
	snprintf(target, sizeof(target), "%.90s/%.90s/infiniband/%s/device", root, base,
			func->rdma);
	fail_if(symlink(device, target) < 0, target);
	spark_put(root, "0x15b3", "bus/pci/devices/%s/vendor", address);
	spark_put(root, "0x1021", "bus/pci/devices/%s/device", address);
}

static void put_sensors(const struct spark *spark, const char *root)
{
	static const char *const zones[] = { "54300", "52100", "51800", "52600", "50900", "52000",
		"51500" };

	for (unsigned i = 0; i < sb_countof(zones); i++) {
		spark_put(root, "acpitz", "class/thermal/thermal_zone%u/type", i);
		spark_put(root, zones[i], "class/thermal/thermal_zone%u/temp", i);
	}
	spark_put(root, "-231", "class/thermal/cooling_device0/cur_state");
	spark_put(root, "nvme", "class/hwmon/hwmon0/name");
	spark_put(root, "Composite", "class/hwmon/hwmon0/temp1_label");
	spark_put(root, "41850", "class/hwmon/hwmon0/temp1_input");
	spark_put(root, "acpi_fan", "class/hwmon/hwmon1/name");
	spark_put(root, "2", "class/hwmon/hwmon1/fan1_input");
	if (spark->powered_off)
		return;
	spark_put(root, "mlx5", "class/hwmon/hwmon2/name");
	spark_put(root, "asic", "class/hwmon/hwmon2/temp1_label");
	spark_put(root, "55000", "class/hwmon/hwmon2/temp1_input");
	spark_put(root, "105000", "class/hwmon/hwmon2/temp1_crit");
}

void spark_sysfs(const struct spark *spark, const char *root)
{
	spark_put(root, "0x10ec", "bus/pci/devices/0007:01:00.0/vendor");
	spark_put(root, "0x8127", "bus/pci/devices/0007:01:00.0/device");
	spark_put(root, "1000", "class/net/enP7s7/speed");
	spark_put(root, "", "class/net/enP7s7/device/uevent");
	spark_put(root, "", "class/net/wlP9s9/phy80211/name");
	spark_put(root, "10000", "class/net/docker0/speed");
	spark_put(root, "bond0", "class/net/bonding_masters");
	if (!spark->no_hotplug)
		spark_put(root, "1", "devices/platform/MTKP0001:00/pcie_hotplug/hotplug_enabled");
	put_sensors(spark, root);
	for (unsigned f = 0; f < SPARK_FUNCS && !spark->powered_off; f++)
		put_func(spark, f, root);
}

/* --- libibverbs --- */

static void add_port(const struct spark *spark, unsigned f, Sparkbus__RdmaDevice *device)
{
	Sparkbus__RdmaPort *port = HEAP_ADD(device, ports, RdmaPort);
	bool up = spark->ips[f] != NULL;

	port->number = 1;
	port->state = up ? 4 : 1;
	port->phys_state = up ? 5 : 3;
	port->max_mtu = 4096;
	port->active_mtu = up ? 4096 : 1024;
	port->link_layer = heap_text("Ethernet");
	for (unsigned i = 0; i < 4; i++) {
		char text[40];
		const char *type;
		Sparkbus__Gid *gid;

		if (!gid_text(spark, f, i, text, &type))
			continue;
		gid = HEAP_ADD(port, gids, Gid);
		gid->index = i;
		gid->gid = heap_text(text);
		gid->type = heap_text(type);
		gid->netdev = heap_text(spark_funcs[f].netdev);
	}
}

void spark_verbs(Sparkbus__FabricState *ret, char *error, size_t error_size)
{
	for (unsigned f = SPARK_FUNCS; f-- > 0;) { /* in no order that means anything */
		Sparkbus__RdmaDevice *device = HEAP_ADD(ret, rdma, RdmaDevice);
		char guid[20];

		device->name = heap_text(spark_funcs[f].rdma);
		guid_text(spark_of_verbs, spark_funcs[f].mac_offset, guid);
		device->node_guid = heap_text(guid);
		guid_text(spark_of_verbs, 1, guid);
		device->sys_image_guid = heap_text(guid);
		device->firmware = heap_text("28.45.4028");
		device->vendor_id = 0x02c9;
		device->vendor_part_id = 4129;
		add_port(spark_of_verbs, f, device);
	}
}
