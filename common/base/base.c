#include <time.h>

#include "sb_base.h"

static uint64_t clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for these two clocks */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t sb_now_boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

uint64_t sb_now_unix_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}
