/* fuzz_hear.c - frames from a cable whose other end may say anything: one byte of source address,
 * one of length, the frame, and so on. */
#include <string.h>

#include "hear_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUNDS_MAX 64

static void check(struct hear_table *table, Sparkbus__FabricState *state)
{
	hear_table_fill(table, state, 2000);
	for (size_t i = 0; i < state->n_links; i++)
		for (size_t k = 0; k < state->links[i]->n_heard; k++)
			for (const char *p = state->links[i]->heard[k]->node; *p; p++)
				if (*p <= ' ' || *p > '~')
					abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SB_CLEANUP(hear_table_freep) struct hear_table *table = hear_table_new("me", "eth0");
	Sparkbus__FabricState state = SPARKBUS__FABRIC_STATE__INIT;
	Sparkbus__Link link = SPARKBUS__LINK__INIT, *links[] = { &link };
	uint8_t mac[HEAR_MAC_BYTES] = { 2 };

	link.name = (char *)"eth0";
	link.mac = (char *)"00:00:00:00:00:01";
	link.index = 1;
	link.admin_up = true;
	link.has_carrier_case = SPARKBUS__LINK__HAS_CARRIER_CARRIER;
	link.carrier = true;
	state.links = links;
	state.n_links = 1;
	if (!table)
		return 0;
	hear_table_links(table, &state, 1000);
	for (int round = 0; size >= 2 && round < ROUNDS_MAX; round++) {
		size_t len = data[1];

		mac[5] = data[0];
		data += 2;
		size -= 2;
		len = len < size ? len : size;
		hear_table_take(table, 1, mac, data, len, 1000 + (uint64_t)round * 400);
		data += len;
		size -= len;
	}
	check(table, &state);
	return 0;
}
