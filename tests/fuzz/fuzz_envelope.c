/* fuzz_envelope.c - any bytes as a Request: refused, or read and written again.
 * Has no main: link it with libFuzzer, or with a program that replays the corpus. */
#include <stdlib.h>
#include <string.h>

#include "sb_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SB_CLEANUP(sb_wire_freep) ProtobufCMessage *once = NULL;
	SB_CLEANUP(sb_wire_freep) ProtobufCMessage *twice = NULL;
	SB_CLEANUP(sb_freep) uint8_t *first = NULL;
	SB_CLEANUP(sb_freep) uint8_t *second = NULL;
	size_t first_len, second_len;
	struct sb_err err;

	if (sb_wire_unpack(&sparkbus__request__descriptor, data, size, &once, &err) < 0)
		return 0;
	/* Packing may be longer than what came (a number written short), hence the caps again. */
	if (sb_wire_pack(once, &first, &first_len, &err) < 0)
		return 0;
	/* protobuf-c reads field number 0, which is none, when it is written long, and not when it
	 * wrote it itself: what it took may be refused the second time, but not change. */
	if (sb_wire_unpack(&sparkbus__request__descriptor, first, first_len, &twice, &err) < 0)
		return 0;
	if (sb_wire_pack(twice, &second, &second_len, &err) < 0 || second_len != first_len ||
			memcmp(first, second, first_len))
		abort();
	for (unsigned number = 0; number < 64; number++)
		sb_wire_oneof(once, number);
	return 0;
}
