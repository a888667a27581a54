#include <string.h>

#include "spark.h"

const struct spark_func spark_funcs[SPARK_FUNCS] = {
	{ 0, 0, "enp1s0f0np0", "rocep1s0f0", "p0", 1, 3 },
	{ 0, 1, "enp1s0f1np1", "rocep1s0f1", "p1", 2, 4 },
	{ 2, 0, "enP2p1s0f0np0", "roceP2p1s0f0", "p0", 5, 5 },
	{ 2, 1, "enP2p1s0f1np1", "roceP2p1s0f1", "p1", 6, 6 },
};

#define A                                                                                          \
	.name = "spark-a", .mac = { 0x4c, 0xbb, 0x47, 0x10, 0x20, 0x15 },                          \
	.management_ip = "192.168.1.21"
#define B                                                                                          \
	.name = "spark-b", .mac = { 0x48, 0x21, 0x0b, 0x30, 0x40, 0xca },                          \
	.management_ip = "192.168.1.22"
#define C                                                                                          \
	.name = "spark-c", .mac = { 0x4c, 0xbb, 0x47, 0x50, 0x60, 0x6c },                          \
	.management_ip = "192.168.1.23"
#define D                                                                                          \
	.name = "spark-d", .mac = { 0x3c, 0x6d, 0x66, 0x70, 0x80, 0xb5 },                          \
	.management_ip = "192.168.1.24"
#define NET "192.168."

const struct spark_scenario spark_scenarios[] = {
	{ "alone, powered off", { { A, .powered_off = true } } },
	{ "alone, older system", { { A, .no_hotplug = true } } },
	{ "two, one cable",
			{ { A, .ips = { NULL, NET "100.10", NULL, NET "101.10" } },
					{ B,
							.ips = { NULL, NET "100.11", NULL,
									NET "101.11" } } } },
	{ "two, two cables",
			{ { A, .ips = { NET "100.10", NET "102.10", NET "101.10", NET "103.10" } },
					{ B,
							.ips = { NET "100.11", NET "102.11",
									NET "101.11",
									NET "103.11" } } } },
	{ "ring of three",
			{ { A, .ips = { NET "10.1", NET "30.2", NET "11.1", NET "31.2" } },
					{ B,
							.ips = { NET "20.1", NET "10.2", NET "21.1",
									NET "11.2" } },
					{ C,
							.ips = { NET "30.1", NET "20.2", NET "31.1",
									NET "21.2" } } } },
	{ "four on a switch",
			{ { A, .ips = { NULL, NET "100.21", NULL, NET "101.21" } },
					{ B, .ips = { NULL, NET "100.22", NULL, NET "101.22" } },
					{ C, .ips = { NULL, NET "100.23", NULL, NET "101.23" } },
					{ D,
							.ips = { NULL, NET "100.24", NULL,
									NET "101.24" } } } },
	{ "a degraded path",
			{ { A, .ips = { NULL, NET "100.10", NULL, NET "101.10" },
					  .lanes = { NULL, "2" } },
					{ B,
							.ips = { NULL, NET "100.11", NULL,
									NET "101.11" } } } },
	{ "a wrong port",
			{ { A, .ips = { NULL, NET "100.10", NULL, NET "101.10" } },
					{ B,
							.ips = { NET "100.11", NULL, NET "101.11",
									NULL } } } },
	{ "", { { 0 } } },
};

const struct spark_scenario *spark_scenario(const char *name)
{
	const struct spark_scenario *s = spark_scenarios;

	while (*s->name && strcmp(s->name, name) != 0)
		s++;
	return s;
}

void spark_mac(const struct spark *spark, unsigned offset, uint8_t ret[6])
{
	memcpy(ret, spark->mac, 6);
	ret[5] = (uint8_t)(ret[5] + offset);
}
