#include <string.h>

#include "internal.h"

/* --- making answers --- */

static void response_init(struct sb_rpc *rpc, const ProtobufCBinaryData *id, sb_response *response)
{
	sparkbus__response__init(response);
	response->protocol = SB_PROTOCOL;
	response->node = rpc->node;
	if (id)
		response->id = *id;
}

static int pack_error(struct sb_rpc *rpc, const ProtobufCBinaryData *id, const struct sb_err *why,
		uint8_t **ret_data, size_t *ret_len)
{
	Sparkbus__Error error;
	sb_response response;

	response_init(rpc, id, &response);
	sb_wire_err_out(why, rpc->node, &error);
	response.result_case = SPARKBUS__RESPONSE__RESULT_ERROR;
	response.error = &error;
	return sb_wire_pack(&response.base, ret_data, ret_len, NULL);
}

void answer_error(struct sb_rpc *rpc, struct sb_bus_call *bus_call, const ProtobufCBinaryData *id,
		const struct sb_err *err)
{
	SB_CLEANUP(sb_freep) uint8_t *data = NULL;
	size_t len;

	/* Without memory even for this the caller runs into its deadline. */
	if (pack_error(rpc, id, err, &data, &len) < 0)
		sb_bus_drop(bus_call);
	else
		sb_bus_reply(bus_call, data, len);
}

static int pack_reply(struct sb_call *call, const ProtobufCMessage *body, uint8_t **ret_data,
		size_t *ret_len, struct sb_err *err)
{
	sb_response response;
	int rc;

	response_init(call->rpc, &call->request->id, &response);
	/* The generated struct has no const; packing does not write. */
	rc = sb_wire_set_oneof(&response.base, call->verb->type, (ProtobufCMessage *)body, err);
	if (rc < 0)
		return sb_err_set(err, SB_E_INTERNAL, "%s: the answer is a %s", call->verb->name,
				body->descriptor->short_name);
	rc = sb_wire_pack(&response.base, ret_data, ret_len, err);
	return rc < 0 ? sb_err_wrap(err, rc, "%s", call->verb->name) : 0;
}

/* --- audit --- */

static const void *member(const ProtobufCMessage *msg, const char *name, ProtobufCType type)
{
	const ProtobufCFieldDescriptor *field;

	field = protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, name);
	if (!field || field->type != type || field->label == PROTOBUF_C_LABEL_REPEATED)
		return NULL;
	return *(const void *const *)((const char *)msg + field->offset);
}

/* The job a request is about: its body's "job", or that of the plan in it. */
static const char *job_of(const ProtobufCMessage *body)
{
	const char *job = member(body, "job", PROTOBUF_C_TYPE_STRING);
	const ProtobufCMessage *plan;

	if (job)
		return job;
	plan = member(body, "plan", PROTOBUF_C_TYPE_MESSAGE);
	job = plan ? member(plan, "job", PROTOBUF_C_TYPE_STRING) : NULL;
	return job ? job : "";
}

static void audit(struct sb_call *call, const struct sb_err *err)
{
	struct sb_rpc *rpc = call->rpc;
	const ProtobufCMessage *body;

	if (!call->verb->mutates || !rpc->audit)
		return;
	body = sb_wire_oneof(&call->request->base, call->verb->type);
	rpc->audit(rpc->audit_ctx, call->request->operator_, call->from, call->verb->name,
			job_of(body), err ? err->code : SB_OK, err ? err->text : "");
}

/* --- the life of a call --- */

static void waiter_free(struct waiter *waiter)
{
	sd_event_source_disable_unref(waiter->timer);
	free(waiter);
}

void rpc_call_free(struct sb_call *call)
{
	struct waiter *waiter;

	while ((waiter = call->waiters)) {
		call->waiters = waiter->next;
		sb_bus_drop(waiter->bus_call);
		waiter_free(waiter);
	}
	if (call->prev)
		call->prev->next = call->next;
	else
		call->rpc->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->rpc->n_calls--;
	sparkbus__request__free_unpacked(call->request, NULL);
	free(call->from);
	free(call);
}

int rpc_call_new(struct sb_rpc *rpc, const struct sb_verb *verb, Sparkbus__Request *request,
		const struct replay_key *key, uint64_t body_hash, const char *from,
		struct sb_call **ret, struct sb_err *err)
{
	struct sb_call *call = calloc(1, sizeof(*call));
	char *copy = strdup(from);

	if (!call || !copy) {
		free(call);
		free(copy);
		sparkbus__request__free_unpacked(request, NULL);
		return sb_err_nomem(err);
	}
	*call = (struct sb_call){ .rpc = rpc,
		.verb = verb,
		.request = request,
		.key = *key,
		.body_hash = body_hash,
		.from = copy,
		.next = rpc->calls };
	if (call->next)
		call->next->prev = call;
	rpc->calls = call;
	rpc->n_calls++;
	*ret = call;
	return 0;
}

struct sb_call *rpc_call_find(struct sb_rpc *rpc, const struct replay_key *key)
{
	for (struct sb_call *call = rpc->calls; call; call = call->next)
		if (call->verb->mutates && replay_key_eq(&call->key, key))
			return call;
	return NULL;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct waiter *waiter = ctx, **at;
	struct sb_call *call = waiter->call;
	struct sb_err err;

	for (at = &call->waiters; *at != waiter; at = &(*at)->next)
		;
	*at = waiter->next;
	sb_err_set(&err, SB_E_TIMEOUT, "%s: no result within %u ms; whether it happens is unknown",
			call->verb->name, waiter->deadline_ms);
	if (call->verb->mutates)
		sb_err_hint(&err, 0,
				"it goes on: asking again with the same request id gives the "
				"answer");
	answer_error(call->rpc, waiter->bus_call, &call->request->id, &err);
	waiter_free(waiter);
	/* Last, because the handler may answer in it, which ends the call. */
	if (!call->waiters && call->on_gone)
		call->on_gone(call->on_gone_ctx, call);
	return 0;
}

int rpc_call_wait(struct sb_call *call, struct sb_bus_call *bus_call, uint32_t deadline_ms,
		struct sb_err *err)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	int rc;

	if (!waiter)
		return sb_err_nomem(err);
	*waiter = (struct waiter){ .call = call,
		.bus_call = bus_call,
		.deadline_ms = deadline_ms,
		.until_ms = sb_now_boot_ms() + deadline_ms,
		.next = call->waiters };
	rc = sb_timer_once(call->rpc->loop, &waiter->timer, deadline_ms, on_deadline, waiter, err);
	if (rc < 0) {
		waiter_free(waiter);
		return rc;
	}
	call->waiters = waiter;
	if (waiter->until_ms > call->until_ms)
		call->until_ms = waiter->until_ms;
	return 0;
}

/* --- what handlers see --- */

static void finish(struct sb_call *call, uint8_t *data, size_t len, const struct sb_err *err)
{
	struct waiter *waiter;

	while ((waiter = call->waiters)) {
		call->waiters = waiter->next;
		if (data)
			sb_bus_reply(waiter->bus_call, data, len);
		else
			sb_bus_drop(waiter->bus_call);
		waiter_free(waiter);
	}
	audit(call, err);
	if (call->verb->mutates && data)
		replay_add(call->rpc->replay, &call->key, call->body_hash, data, len);
	else
		free(data);
	call->answered = true;
	if (!call->in_handler)
		rpc_call_free(call);
}

void sb_call_fail(struct sb_call *call, const struct sb_err *err)
{
	uint8_t *data = NULL;
	size_t len = 0;

	if (call->answered)
		return;
	pack_error(call->rpc, &call->request->id, err, &data, &len);
	finish(call, data, len, err);
}

void sb_call_reply(struct sb_call *call, const ProtobufCMessage *body)
{
	struct sb_err err;
	uint8_t *data;
	size_t len;

	if (call->answered)
		return;
	if (pack_reply(call, body, &data, &len, &err) < 0)
		sb_call_fail(call, &err);
	else
		finish(call, data, len, NULL);
}

uint64_t sb_call_left_ms(const struct sb_call *call)
{
	uint64_t now_ms = sb_now_boot_ms();

	return call->until_ms > now_ms ? call->until_ms - now_ms : 0;
}

void sb_call_on_gone(struct sb_call *call, void (*fn)(void *ctx, struct sb_call *call), void *ctx)
{
	call->on_gone = fn;
	call->on_gone_ctx = ctx;
}

const char *sb_call_operator(const struct sb_call *call)
{
	return call->request->operator_;
}

const char *sb_call_from(const struct sb_call *call)
{
	return call->from;
}

enum sb_bus_door sb_call_door(const struct sb_call *call)
{
	return call->key.door;
}
