/* sb_wire.h - the envelope on the wire: pack, unpack with limits, ids, errors. */
#ifndef SB_WIRE_H
#define SB_WIRE_H

#include "bus.pb-c.h"
#include "sb_err.h"

#define SB_PROTOCOL              1u
#define SB_WIRE_MAX_BYTES        ((size_t)8 << 20)  /* NNG_OPT_RECVMAXSZ on both sides */
#define SB_WIRE_MEMORY_MAX       ((size_t)32 << 20) /* heap one unpacked message may take */
#define SB_WIRE_ID_BYTES         16
#define SB_PLAN_FILES_MAX        1024u             /* File messages of one plan */
#define SB_PLAN_FILES_MAX_BYTES  ((size_t)4 << 20) /* and their contents together */
#define SB_PLAN_RECIPE_MAX_BYTES ((size_t)256 << 10)
#define SB_WIRE_DEADLINE_MAX_MS  3600000u
#define SB_PLAN_HOOKS_MAX        256u /* of one list of a plan */
#define SB_CONTROL_PORT          47100
#define SB_PEER_PORT             47101

typedef Sparkbus__Request sb_request;
typedef Sparkbus__Response sb_response;

/** Fill @id with random bytes. Return: 0 or -SB_E_INTERNAL. */
int sb_wire_new_id(uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err);

/** Packed size and bytes of any message; *ret_data is on the heap. -SB_E_RANGE over the cap. */
int sb_wire_pack(const ProtobufCMessage *msg, uint8_t **ret_data, size_t *ret_len,
		struct sb_err *err);
/** Unpack within SB_WIRE_MAX_BYTES and a bounded allocator (a small message cannot make us take
 * hundreds of megabytes). -SB_E_PROTOCOL when the bytes are not such a message, -SB_E_RANGE over a
 * cap. Free with protobuf_c_message_free_unpacked(msg, NULL). */
int sb_wire_unpack(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
		ProtobufCMessage **ret_msg, struct sb_err *err);

/** Pack @request with our protocol version and @deadline_ms, and with a new id when it has none.
 * @request is left as it was; @id gets the id that was packed. */
int sb_wire_pack_request(const sb_request *request, unsigned deadline_ms, uint8_t **ret_data,
		size_t *ret_len, uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err);
/** Unpack the answer to @id. An Error answer is an error here (sb_wire_err_in()).
 * -SB_E_PROTOCOL when it is no Response or answers another id. */
int sb_wire_unpack_response(const void *data, size_t len, const uint8_t id[SB_WIRE_ID_BYTES],
		sb_response **ret, struct sb_err *err);

/** Deep copy through pack and unpack. */
int sb_wire_dup(const ProtobufCMessage *msg, ProtobufCMessage **ret_msg, struct sb_err *err);

/** The message in a oneof of @msg whose tag is @field_number; NULL when another is set. */
ProtobufCMessage *sb_wire_oneof(const ProtobufCMessage *msg, unsigned field_number);
/** Put @body (of the right type; not copied) into the oneof member @field_number of @msg. */
int sb_wire_set_oneof(ProtobufCMessage *msg, unsigned field_number, ProtobufCMessage *body,
		struct sb_err *err);

/** Copy a wire error to @err ("node spark2: ..." in front when @e->node is set).
 * Return: -code; codes we do not know become -SB_E_INTERNAL. */
int sb_wire_err_in(const Sparkbus__Error *e, struct sb_err *err);
/** Point @e at @err's text, hint and code, and @node. Borrowed: @err must outlive @e. */
void sb_wire_err_out(const struct sb_err *err, const char *node, Sparkbus__Error *e);

void sb_wire_freep_(ProtobufCMessage **msg);
/** For SB_CLEANUP(sb_wire_freep) on a pointer to any unpacked message. */
static inline void sb_wire_freep(void *p)
{
	sb_wire_freep_((ProtobufCMessage **)p);
}

#endif
