#include <inttypes.h>
#include <string.h>

#include "sb_render.h"

/* Always hidden, whatever the mask says. "value" of EnvVar and "content" of File depend on their
 * own "secret". */
static const struct {
	const char *message, *field;
} secret_fields[] = {
	{ "sparkbus.Readiness", "api_key" },
	{ "sparkbus.PullImageRequest", "registry_auth" },
};

/* Bytes that are text. */
static const struct {
	const char *message, *field;
} text_fields[] = {
	{ "sparkbus.File", "content" },
	{ "sparkbus.LogLine", "text" },
	{ "sparkbus.PutCrlRequest", "operator_crl" },
	{ "sparkbus.PutCrlRequest", "node_crl" },
};

static const void *member(const ProtobufCMessage *msg, unsigned offset)
{
	return (const char *)msg + offset;
}

static bool is_secret(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	const ProtobufCFieldDescriptor *flag;

	for (size_t i = 0; i < sb_countof(secret_fields); i++)
		if (!strcmp(msg->descriptor->name, secret_fields[i].message) &&
				!strcmp(field->name, secret_fields[i].field))
			return true;
	if (strcmp(field->name, "value") && strcmp(field->name, "content"))
		return false;
	flag = protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "secret");
	return flag && flag->type == PROTOBUF_C_TYPE_BOOL &&
			*(const protobuf_c_boolean *)member(msg, flag->offset);
}

static bool is_text(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	for (size_t i = 0; i < sb_countof(text_fields); i++)
		if (!strcmp(msg->descriptor->name, text_fields[i].message) &&
				!strcmp(field->name, text_fields[i].field))
			return true;
	return false;
}

/* Length of the well-formed UTF-8 character at @s, or 0. Overlong forms and surrogates are not. */
static size_t utf8_char(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char first_lo, first_hi, second_lo, second_hi;
		size_t len;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sb_countof(forms); i++) {
		if (s[0] < forms[i].first_lo || s[0] > forms[i].first_hi || forms[i].len > len)
			continue;
		if (forms[i].len > 1 && (s[1] < forms[i].second_lo || s[1] > forms[i].second_hi))
			continue;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* JSON text from bytes that may be anything. */
static json_t *utf8_json(const unsigned char *data, size_t len)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(data + i, len - i);

		if (n)
			sb_strbuf_add(&out, data + i, n);
		else
			sb_strbuf_adds(&out, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	return out.failed ? NULL : json_stringn(sb_strbuf_str(&out), out.len);
}

static json_t *hex_json(const ProtobufCBinaryData *bytes)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < bytes->len; i++)
		sb_strbuf_addf(&out, "%02x", bytes->data[i]);
	return out.failed ? NULL : json_string(sb_strbuf_str(&out));
}

static json_t *string_json(const char *text, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	if (sb_mask_text(mask, text ? text : "", &out) < 0)
		return NULL;
	return utf8_json((const unsigned char *)sb_strbuf_str(&out), out.len);
}

/* Bytes that are text, which may be cut by a NUL byte and may hold what is to be hidden. */
static json_t *bytes_json(const ProtobufCBinaryData *bytes, const struct sb_mask *mask)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (bytes->len && memchr(bytes->data, '\0', bytes->len))
		return utf8_json(bytes->data, bytes->len);
	sb_strbuf_add(&text, bytes->data, bytes->len);
	return text.failed ? NULL : string_json(sb_strbuf_str(&text), mask);
}

static json_t *enum_json(const ProtobufCFieldDescriptor *field, int value)
{
	const ProtobufCEnumValue *row =
			protobuf_c_enum_descriptor_get_value(field->descriptor, value);

	const char *bare = row ? strchr(row->name, '_') : NULL;

	/* JOB_READY is "READY": the prefix only keeps C's names apart. A newer agent may send
	 * values that this build has no name for. */
	if (!row)
		return json_integer(value);
	return json_string(bare ? bare + 1 : row->name);
}

static json_t *uint64_json(uint64_t value)
{
	return value > INT64_MAX ? json_real((double)value) : json_integer((json_int_t)value);
}

static json_t *value_json(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field,
		const void *at, const struct sb_mask *mask)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(*(const int32_t *)at);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_integer(*(const int64_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return uint64_json(*(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_real((double)*(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_real(*(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_json(field, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING:
		return string_json(*(char *const *)at, mask);
	case PROTOBUF_C_TYPE_BYTES:
		if (is_text(msg, field))
			return bytes_json(at, mask);
		return hex_json(at);
	case PROTOBUF_C_TYPE_MESSAGE:
		return sb_render_message(*(ProtobufCMessage *const *)at, mask);
	}
	return json_null();
}

static size_t value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static json_t *list_json(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field,
		const struct sb_mask *mask)
{
	size_t n = *(const size_t *)member(msg, field->quantifier_offset);
	const char *items = *(const char *const *)member(msg, field->offset);
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++) {
		json_t *item = value_json(msg, field, items + i * value_size(field->type), mask);

		if (json_array_append_new(list, item ? item : json_null()) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static bool is_set(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)member(msg, field->quantifier_offset) == field->id;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED)
		return *(ProtobufCMessage *const *)member(msg, field->offset) != NULL;
	return true;
}

static bool is_empty_text(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING &&
			sb_empty(*(char *const *)member(msg, field->offset));
}

json_t *sb_render_message(const ProtobufCMessage *msg, const struct sb_mask *mask)
{
	json_t *object = json_object();

	for (unsigned i = 0; object && i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &msg->descriptor->fields[i];
		json_t *value;

		if (!is_set(msg, field))
			continue;
		if (is_secret(msg, field) && !is_empty_text(msg, field))
			value = json_string(SB_RENDER_HIDDEN);
		else if (field->label == PROTOBUF_C_LABEL_REPEATED)
			value = list_json(msg, field, mask);
		else
			value = value_json(msg, field, member(msg, field->offset), mask);
		if (!value || json_object_set_new(object, field->name, value) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

const char *sb_render_enum(const ProtobufCEnumDescriptor *desc, int value, char *buf, size_t size)
{
	const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value(desc, value);
	const char *name = row ? strchr(row->name, '_') : NULL;
	size_t i = 0;

	for (; name && name[i + 1] && i + 1 < size; i++)
		buf[i] = name[i + 1] >= 'A' && name[i + 1] <= 'Z' ? (char)(name[i + 1] | 0x20)
								  : name[i + 1];
	buf[i] = '\0';
	return i ? buf : "?";
}
