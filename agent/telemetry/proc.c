/* proc.c - the texts of procfs as messages. Keys are looked up by name: their order and number
 * differ between kernels. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "telemetry_parts.h"

/* --- meminfo --- */

/* The number behind "<key>:" at the start of a line, in kB where the line says so. */
static bool number_of(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);
	const char *line = text;

	while (line) {
		uint64_t value;
		char unit[4] = "";

		if (!strncmp(line, key, len) && line[len] == ':' &&
				sscanf(line + len + 1, "%" SCNu64 " %3s", &value, unit) >= 1) {
			if (strcmp(unit, "kB") != 0) {
				*ret = value;
				return true;
			}
			return !__builtin_mul_overflow(value, 1024u, ret);
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

/* What belongs to somebody whom the kernel can name. The rest is the GPU's and its driver's. */
static bool attributed(const char *text, uint64_t *ret)
{
	static const char *const keys[] = { "MemFree", "Buffers", "Cached", "SwapCached",
		"AnonPages", "Slab", "KernelStack", "PageTables", "Percpu", "VmallocUsed" };
	uint64_t value;

	*ret = 0;
	for (size_t i = 0; i < sb_countof(keys); i++)
		if (number_of(text, keys[i], &value) && __builtin_add_overflow(*ret, value, ret))
			return false;
	return true;
}

/* With a pool of huge pages CUDA takes from it and from nothing else. */
static void fill_allocatable(Sparkbus__MemoryState *m)
{
	bool pool = m->has_huge_total_case && m->huge_pages_total && m->has_huge_free_case &&
			m->has_huge_page_case;

	if (pool &&
			!__builtin_mul_overflow(m->huge_pages_free, m->huge_page_bytes,
					&m->allocatable_bytes))
		m->has_allocatable_case = SPARKBUS__MEMORY_STATE__HAS_ALLOCATABLE_ALLOCATABLE_BYTES;
	else if (!pool && m->has_available_case) {
		m->allocatable_bytes = m->available_bytes;
		m->has_allocatable_case = SPARKBUS__MEMORY_STATE__HAS_ALLOCATABLE_ALLOCATABLE_BYTES;
	}
}

#define MEM(key, name, field, member)                                                              \
	{                                                                                          \
		key, offsetof(Sparkbus__MemoryState, has_##name##_case),                           \
				offsetof(Sparkbus__MemoryState, field),                            \
				SPARKBUS__MEMORY_STATE__HAS_##member                               \
	}

void telemetry_parse_meminfo(const char *text, Sparkbus__MemoryState *ret)
{
	static const struct {
		const char *key;
		size_t has, field;
		int present;
	} rows[] = {
		MEM("MemTotal", total, total_bytes, TOTAL_TOTAL_BYTES),
		MEM("MemFree", free, free_bytes, FREE_FREE_BYTES),
		MEM("MemAvailable", available, available_bytes, AVAILABLE_AVAILABLE_BYTES),
		MEM("SwapTotal", swap_total, swap_total_bytes, SWAP_TOTAL_SWAP_TOTAL_BYTES),
		MEM("SwapFree", swap_free, swap_free_bytes, SWAP_FREE_SWAP_FREE_BYTES),
		MEM("Cached", cached, cached_bytes, CACHED_CACHED_BYTES),
		MEM("Dirty", dirty, dirty_bytes, DIRTY_DIRTY_BYTES),
		MEM("Hugepagesize", huge_page, huge_page_bytes, HUGE_PAGE_HUGE_PAGE_BYTES),
		MEM("HugePages_Total", huge_total, huge_pages_total, HUGE_TOTAL_HUGE_PAGES_TOTAL),
		MEM("HugePages_Free", huge_free, huge_pages_free, HUGE_FREE_HUGE_PAGES_FREE),
		MEM("CmaTotal", cma_total, cma_total_bytes, CMA_TOTAL_CMA_TOTAL_BYTES),
		MEM("CmaFree", cma_free, cma_free_bytes, CMA_FREE_CMA_FREE_BYTES),
	};
	char *base = (char *)ret;
	uint64_t known;

	for (size_t i = 0; i < sb_countof(rows); i++) {
		uint64_t *field = (uint64_t *)(void *)(base + rows[i].field);

		/* The cases are enums of one member each, all of an int's size. */
		if (number_of(text, rows[i].key, field))
			memcpy(base + rows[i].has, &rows[i].present, sizeof(int));
	}
	fill_allocatable(ret);
	if (ret->has_total_case && attributed(text, &known)) {
		ret->has_unattributed_case =
				SPARKBUS__MEMORY_STATE__HAS_UNATTRIBUTED_UNATTRIBUTED_BYTES;
		ret->unattributed_bytes = known < ret->total_bytes ? ret->total_bytes - known : 0;
	}
}

/* --- pressure --- */

/* "12.34" as 1234; the kernel always prints two digits. */
static bool shares(const char *line, unsigned ret[3], uint64_t *ret_total)
{
	unsigned whole[3], part[3];

	if (sscanf(line, "%*4s avg10=%u.%2u avg60=%u.%2u avg300=%u.%2u total=%" SCNu64, &whole[0],
			    &part[0], &whole[1], &part[1], &whole[2], &part[2], ret_total) != 7)
		return false;
	for (size_t i = 0; i < 3; i++) {
		if (whole[i] > 100)
			return false;
		ret[i] = whole[i] * 100 + part[i];
	}
	return true;
}

bool telemetry_parse_pressure(const char *text, Sparkbus__Pressure *ret)
{
	const char *full = strstr(text, "full ");
	unsigned avg[3];
	uint64_t total;

	if (strncmp(text, "some ", 5) != 0 || !shares(text, avg, &total))
		return false;
	ret->some_avg10 = avg[0];
	ret->some_avg60 = avg[1];
	ret->some_avg300 = avg[2];
	ret->some_total_us = total;
	if (!full || !shares(full, avg, &total))
		return true;
	ret->has_full_case = SPARKBUS__PRESSURE__HAS_FULL_FULL_AVG10;
	ret->full_avg10 = avg[0];
	ret->has_full60_case = SPARKBUS__PRESSURE__HAS_FULL60_FULL_AVG60;
	ret->full_avg60 = avg[1];
	ret->has_full300_case = SPARKBUS__PRESSURE__HAS_FULL300_FULL_AVG300;
	ret->full_avg300 = avg[2];
	ret->has_full_total_case = SPARKBUS__PRESSURE__HAS_FULL_TOTAL_FULL_TOTAL_US;
	ret->full_total_us = total;
	return true;
}

/* --- CPU --- */

void telemetry_parse_loadavg(const char *text, Sparkbus__CpuState *ret)
{
	unsigned whole[3], part[3];

	if (sscanf(text, "%u.%2u %u.%2u %u.%2u", &whole[0], &part[0], &whole[1], &part[1],
			    &whole[2], &part[2]) != 6)
		return;
	ret->has_load1_case = SPARKBUS__CPU_STATE__HAS_LOAD1_LOAD1;
	ret->load1 = whole[0] * 100 + part[0];
	ret->has_load5_case = SPARKBUS__CPU_STATE__HAS_LOAD5_LOAD5;
	ret->load5 = whole[1] * 100 + part[1];
	ret->has_load15_case = SPARKBUS__CPU_STATE__HAS_LOAD15_LOAD15;
	ret->load15 = whole[2] * 100 + part[2];
}

/* "cpu  user nice system idle iowait irq softirq steal ...": guest time is in user already. */
bool telemetry_parse_stat(const char *text, struct cpu_times *ret)
{
	uint64_t t[8] = { 0 }, all = 0;

	if (sscanf(text,
			    "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			    " %" SCNu64 " %" SCNu64 " %" SCNu64,
			    &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 4)
		return false;
	for (size_t i = 0; i < sb_countof(t); i++)
		if (__builtin_add_overflow(all, t[i], &all))
			return false;
	*ret = (struct cpu_times){ .all = all, .busy = all - t[3] - t[4] }; /* idle, iowait */
	return true;
}
