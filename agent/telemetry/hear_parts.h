/* hear_parts.h - which machines are at the other end of a cable: each agent says its name on its
 * fabric links every few seconds, and remembers whose it hears.
 *
 * A frame goes no further than the link or the switch. It carries no proof of who sent it, so what
 * is heard is a hint: it tells which ports seem connected, and nothing is trusted because of it.
 * hear_table.c knows frames, links and machines, and is pure; hear.c has the packet socket, which
 * needs CAP_NET_RAW and neither addresses nor a configured network. */
#ifndef HEAR_PARTS_H
#define HEAR_PARTS_H

#include "sb_telemetry.h"

/* The second of the two numbers for local experiments (IEEE 802); NVIDIA's script that looks for
 * neighbours uses the first. */
#define HEAR_ETHERTYPE 0x88b6
#define HEAR_FRAME_MAX 256u

#define HEAR_LINKS_MAX    16u
#define HEAR_MACHINES_MAX 256u /* on one link; further ones are not taken */
#define HEAR_EVERY_MS     5000u
#define HEAR_FORGET_MS    16000u /* three lost frames */

#define HEAR_MAC_BYTES 6

struct hear_table;
/** @node: what this machine calls itself. @setting: "auto" (links with an RDMA device, but for the
 * management interface, wireless and virtual ones), "off", or names with commas between. Both
 * copied. NULL when out of memory. */
struct hear_table *hear_table_new(const char *node, const char *setting);
void hear_table_free(struct hear_table *table);
SB_DEFINE_CLEANUP(hear_table_free, struct hear_table *)

/** Take over which links there are; what is no candidate (any more) is forgotten with all that was
 * heard there, and so are machines that fell silent. */
void hear_table_links(
		struct hear_table *table, const Sparkbus__FabricState *state, uint64_t now_ms);
/** A link that is to speak now, with its frame in @ret_frame; false when none is. */
bool hear_table_due(struct hear_table *table, uint64_t now_ms, unsigned *ret_index,
		uint8_t ret_frame[HEAR_FRAME_MAX], size_t *ret_len);
/** A frame from @mac came in on interface @index. What is not understood, our own or too much is
 * dropped. Return: whether it was taken. */
bool hear_table_take(struct hear_table *table, unsigned index, const uint8_t mac[HEAR_MAC_BYTES],
		const void *frame, size_t len, uint64_t now_ms);
/** Put what was heard into the links of @state, and whether anyone listens. Borrowed: until the
 * table changes. */
void hear_table_fill(struct hear_table *table, Sparkbus__FabricState *state, uint64_t now_ms);

struct hear;
/** Never fails for want of rights: then nothing is heard, and hear_fill() says so. */
int hear_new(sd_event *loop, const char *node, const char *setting, struct hear **ret,
		struct sb_err *err);
void hear_free(struct hear *hear);
/** Once a second. */
void hear_tick(struct hear *hear, const Sparkbus__FabricState *state);
void hear_fill(struct hear *hear, Sparkbus__FabricState *state);

#endif
