#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "sb_wire.h"

int sb_wire_new_id(uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err)
{
	ssize_t n;

	do
		n = getrandom(id, SB_WIRE_ID_BYTES, 0);
	while (n < 0 && errno == EINTR);
	if (n != SB_WIRE_ID_BYTES)
		return sb_err_set(err, SB_E_INTERNAL, "getrandom: %s", strerror(errno));
	return 0;
}

int sb_wire_pack(const ProtobufCMessage *msg, uint8_t **ret_data, size_t *ret_len,
		struct sb_err *err)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *data;

	if (len > SB_WIRE_MAX_BYTES)
		return sb_err_set(err, SB_E_RANGE, "%s of %zu bytes is over the limit of %zu",
				msg->descriptor->short_name, len, SB_WIRE_MAX_BYTES);
	data = malloc(len ? len : 1);
	if (!data)
		return sb_err_nomem(err);
	*ret_len = protobuf_c_message_pack(msg, data);
	*ret_data = data;
	return 0;
}

/* Two bytes on the wire can become a struct of hundreds in memory, so the size of the input alone
 * bounds nothing. What is allocated here is released by plain free(). */
struct budget {
	size_t left;
	bool over;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;

	if (size > budget->left) {
		budget->over = true;
		return NULL;
	}
	budget->left -= size;
	return malloc(size);
}

static void budget_free(void *data, void *ptr)
{
	free(ptr);
}

int sb_wire_unpack(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
		ProtobufCMessage **ret_msg, struct sb_err *err)
{
	struct budget budget = { .left = SB_WIRE_MEMORY_MAX };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	ProtobufCMessage *msg;

	if (len > SB_WIRE_MAX_BYTES)
		return sb_err_set(err, SB_E_RANGE, "%s of %zu bytes is over the limit of %zu",
				desc->short_name, len, SB_WIRE_MAX_BYTES);
	msg = protobuf_c_message_unpack(desc, &allocator, len, data);
	if (!msg && budget.over)
		return sb_err_set(err, SB_E_RANGE, "%s would take more than %zu bytes of memory",
				desc->short_name, SB_WIRE_MEMORY_MAX);
	if (!msg)
		return sb_err_set(err, SB_E_PROTOCOL, "%zu bytes are not a %s", len,
				desc->short_name);
	*ret_msg = msg;
	return 0;
}

int sb_wire_dup(const ProtobufCMessage *msg, ProtobufCMessage **ret_msg, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) uint8_t *data = NULL;
	size_t len;
	int rc;

	rc = sb_wire_pack(msg, &data, &len, err);
	if (rc < 0)
		return rc;
	return sb_wire_unpack(msg->descriptor, data, len, ret_msg, err);
}

static const ProtobufCFieldDescriptor *oneof_field(const ProtobufCMessage *msg, unsigned number)
{
	const ProtobufCFieldDescriptor *field;

	field = protobuf_c_message_descriptor_get_field(msg->descriptor, number);
	if (!field || !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
			field->type != PROTOBUF_C_TYPE_MESSAGE)
		return NULL;
	return field;
}

ProtobufCMessage *sb_wire_oneof(const ProtobufCMessage *msg, unsigned field_number)
{
	const ProtobufCFieldDescriptor *field = oneof_field(msg, field_number);
	const char *base = (const char *)msg;

	if (!field || *(const uint32_t *)(base + field->quantifier_offset) != field_number)
		return NULL;
	return *(ProtobufCMessage *const *)(base + field->offset);
}

int sb_wire_set_oneof(ProtobufCMessage *msg, unsigned field_number, ProtobufCMessage *body,
		struct sb_err *err)
{
	const ProtobufCFieldDescriptor *field = oneof_field(msg, field_number);
	char *base = (char *)msg;

	if (!field)
		return sb_err_set(err, SB_E_INVALID, "%s has no oneof member with number %u",
				msg->descriptor->short_name, field_number);
	if (body->descriptor != field->descriptor)
		return sb_err_set(err, SB_E_INVALID, "%s.%s is not a %s",
				msg->descriptor->short_name, field->name,
				body->descriptor->short_name);
	*(uint32_t *)(base + field->quantifier_offset) = field_number;
	*(ProtobufCMessage **)(base + field->offset) = body;
	return 0;
}

int sb_wire_err_in(const Sparkbus__Error *e, struct sb_err *err)
{
	bool known = (int)e->code > SB_OK && (int)e->code < SB_CODE_COUNT_;
	enum sb_code code = known ? (enum sb_code)e->code : SB_E_INTERNAL;
	int rc;

	rc = sb_err_set(err, code, "%s", sb_empty(e->message) ? sb_code_name(code) : e->message);
	for (size_t i = e->n_path; i > 0; i--)
		sb_err_wrap(err, rc, "%s", e->path[i - 1]);
	if (!sb_empty(e->node))
		sb_err_wrap(err, rc, "node %s", e->node);
	if (!sb_empty(e->hint))
		sb_err_hint(err, rc, "%s", e->hint);
	return rc;
}

void sb_wire_err_out(const struct sb_err *err, const char *node, Sparkbus__Error *e)
{
	/* The generated struct has no const; nothing writes through these. */
	sparkbus__error__init(e);
	e->code = (Sparkbus__Code)err->code;
	e->message = (char *)err->text;
	e->hint = (char *)err->hint;
	if (node)
		e->node = (char *)node;
}

void sb_wire_freep_(ProtobufCMessage **msg)
{
	if (*msg)
		protobuf_c_message_free_unpacked(*msg, NULL);
}

int sb_wire_pack_request(const sb_request *request, unsigned deadline_ms, uint8_t **ret_data,
		size_t *ret_len, uint8_t id[SB_WIRE_ID_BYTES], struct sb_err *err)
{
	sb_request copy = *request; /* the members stay the caller's */
	int rc;

	if (!copy.id.len) {
		rc = sb_wire_new_id(id, err);
		if (rc < 0)
			return rc;
	} else if (copy.id.len == SB_WIRE_ID_BYTES) {
		memcpy(id, copy.id.data, SB_WIRE_ID_BYTES);
	} else {
		return sb_err_set(err, SB_E_INVALID, "a request's id has %d bytes, not %zu",
				SB_WIRE_ID_BYTES, copy.id.len);
	}
	copy.id = (ProtobufCBinaryData){ SB_WIRE_ID_BYTES, id };
	copy.protocol = SB_PROTOCOL;
	copy.deadline_ms = deadline_ms;
	return sb_wire_pack(&copy.base, ret_data, ret_len, err);
}

int sb_wire_unpack_response(const void *data, size_t len, const uint8_t id[SB_WIRE_ID_BYTES],
		sb_response **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_wire_freep) sb_response *response = NULL;
	ProtobufCMessage *message = NULL;
	int rc;

	rc = sb_wire_unpack(&sparkbus__response__descriptor, data, len, &message, err);
	if (rc < 0)
		return rc;
	response = (sb_response *)message;
	if (response->result_case == SPARKBUS__RESPONSE__RESULT_ERROR)
		return sb_wire_err_in(response->error, err);
	if (response->id.len != SB_WIRE_ID_BYTES || memcmp(response->id.data, id, SB_WIRE_ID_BYTES))
		return sb_err_set(err, SB_E_PROTOCOL, "the answer is to another request");
	*ret = sb_steal(response);
	return 0;
}
