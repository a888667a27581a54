/* rpc.c - what happens to a request, in this order: decode, envelope, verb and door, repeated id,
 * handler. Each step that says no makes the one Error reply and ends there. */
#include <string.h>

#include "internal.h"

#define OPERATOR_MAX 63 /* as a certificate's name (sb_tls_name_ok) */
/* Calls whose handlers have not answered, those with a passed deadline included. */
#define CALLS_MAX (SB_BUS_DOOR_COUNT_ * SB_BUS_CALLS_MAX + 512)

/* Tells a mistaken reuse of an id from a repetition; who wants a collision fools only himself. */
static uint64_t fnv1a(const uint8_t *data, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ data[i]) * 0x100000001b3u;
	return hash;
}

static int hash_body(const struct sb_verb *verb, const ProtobufCMessage *body, uint64_t *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) uint8_t *data = NULL;
	size_t len;
	int rc;

	rc = sb_wire_pack(body, &data, &len, err);
	if (rc < 0)
		return rc;
	*ret = fnv1a(data, len) ^ ((uint64_t)verb->type << 48);
	return 0;
}

static int check_envelope(const sb_request *request, struct sb_err *err)
{
	if (!request->protocol)
		return sb_err_set(err, SB_E_PROTOCOL, "the request names no protocol version");
	if (request->protocol > SB_PROTOCOL) {
		int rc = sb_err_set(err, SB_E_UNSUPPORTED,
				"the caller speaks protocol %u, this agent (%s) protocol %u",
				request->protocol, SB_VERSION, SB_PROTOCOL);

		return sb_err_hint(err, rc,
				"upgrade sparkbusd on this node, or use an older "
				"sparkbus");
	}
	if (request->id.len != SB_WIRE_ID_BYTES)
		return sb_err_set(err, SB_E_INVALID, "the request's id has %zu bytes, not %d",
				request->id.len, SB_WIRE_ID_BYTES);
	if (!request->deadline_ms || request->deadline_ms > SB_WIRE_DEADLINE_MAX_MS)
		return sb_err_set(err, SB_E_INVALID, "deadline of %u ms is not within 1 to %u",
				request->deadline_ms, SB_WIRE_DEADLINE_MAX_MS);
	if (strlen(request->operator_) > OPERATOR_MAX)
		return sb_err_set(err, SB_E_INVALID, "the operator's name is longer than %d",
				OPERATOR_MAX);
	return 0;
}

/* Number of the body, also of one that this build does not know; 0 = there is none. */
static unsigned verb_number(const sb_request *request)
{
	if (request->body_case != SPARKBUS__REQUEST__BODY__NOT_SET)
		return request->body_case;
	return request->base.n_unknown_fields ? request->base.unknown_fields[0].tag : 0;
}

static int find_verb(struct sb_rpc *rpc, const sb_request *request, enum sb_bus_door door,
		const struct sb_verb **ret, struct sb_err *err)
{
	static const char *const doors[] = { [SB_BUS_CONTROL] = "control", [SB_BUS_PEER] = "peer" };
	unsigned number = verb_number(request);
	const struct sb_verb *verb = NULL;
	const char *name = "";
	int rc;

	if (!number)
		return sb_err_set(err, SB_E_INVALID, "the request has no body");
	for (size_t i = 0; i < rpc->n_verbs && !verb; i++)
		if ((unsigned)rpc->verbs[i].type == number)
			verb = &rpc->verbs[i];
	if (verb && verb->doors & 1u << door) {
		*ret = verb;
		return 0;
	}
	if (verb)
		name = verb->name;
	rc = sb_err_set(err, SB_E_UNSUPPORTED,
			"verb %u%s%s does not exist at the %s door: this agent is %s, protocol %u; "
			"the caller speaks protocol %u",
			number, *name ? " " : "", name, doors[door], SB_VERSION, SB_PROTOCOL,
			request->protocol);
	return verb ? rc : sb_err_hint(err, rc, "upgrade sparkbusd on this node");
}

/* Answer or join an earlier request of the same id. Return: 1 = done, and @bus_call is taken care
 * of; 0 = the id is new. */
static int repeat(struct sb_rpc *rpc, struct sb_bus_call *bus_call, const struct replay_key *key,
		uint64_t body_hash, uint32_t deadline_ms, struct sb_err *err)
{
	struct sb_call *call = rpc_call_find(rpc, key);
	struct replay_hit hit = { 0 };
	int rc;

	if (!call && !replay_find(rpc->replay, key, &hit))
		return 0;
	if ((call ? call->body_hash : hit.body_hash) != body_hash)
		return sb_err_set(err, SB_E_INVALID,
				"this request id was used for another request before");
	if (call) {
		rc = rpc_call_wait(call, bus_call, deadline_ms, err);
		return rc < 0 ? rc : 1;
	}
	sb_bus_reply(bus_call, hit.data, hit.len);
	return 1;
}

static void run_handler(struct sb_call *call)
{
	const ProtobufCMessage *body = sb_wire_oneof(&call->request->base, call->verb->type);
	struct sb_err err = SB_ERR_INIT;

	call->in_handler = true;
	if (call->verb->handle(call->rpc->agent, call, body, &err) < 0)
		sb_call_fail(call, &err);
	call->in_handler = false;
	if (call->answered)
		rpc_call_free(call);
}

/* Everything up to the handler. Return: 0 = the call is on its way or answered; negative: @err is
 * to be the answer to @bus_call. Takes *request when it needs it. */
static int dispatch(struct sb_rpc *rpc, struct sb_bus_call *bus_call, enum sb_bus_door door,
		const char *from, sb_request **request, struct sb_err *err)
{
	uint32_t deadline_ms = (*request)->deadline_ms;
	const struct sb_verb *verb = NULL;
	struct replay_key key = { .door = door };
	struct sb_call *call = NULL;
	ProtobufCMessage *body;
	uint64_t body_hash = 0;
	int rc;

	rc = check_envelope(*request, err);
	if (!rc)
		rc = find_verb(rpc, *request, door, &verb, err);
	if (rc < 0)
		return rc;
	if (sb_bus_call_over(bus_call) || rpc->n_calls >= CALLS_MAX)
		return sb_err_set(err, SB_E_BUSY, "%s: too many requests wait for their answers",
				verb->name);
	memcpy(key.id, (*request)->id.data, sizeof(key.id));
	body = sb_wire_oneof(&(*request)->base, verb->type);
	if (!body || body->descriptor != verb->body)
		return sb_err_set(err, SB_E_PROTOCOL, "%s: the body is missing", verb->name);
	if (verb->mutates) {
		rc = hash_body(verb, body, &body_hash, err);
		if (!rc)
			rc = repeat(rpc, bus_call, &key, body_hash, deadline_ms, err);
		if (rc)
			return rc < 0 ? sb_err_wrap(err, rc, "%s", verb->name) : 0;
	}
	rc = rpc_call_new(rpc, verb, sb_steal(*request), &key, body_hash, from, &call, err);
	if (rc < 0)
		return rc;
	rc = rpc_call_wait(call, bus_call, deadline_ms, err);
	if (rc < 0) {
		rpc_call_free(call);
		return rc;
	}
	run_handler(call);
	return 0;
}

void sb_rpc_request(void *ctx, struct sb_bus_call *bus_call, enum sb_bus_door door,
		const char *from, const void *data, size_t len)
{
	SB_CLEANUP(sb_wire_freep) sb_request *request = NULL;
	ProtobufCBinaryData id = { 0 };
	uint8_t id_copy[SB_WIRE_ID_BYTES];
	ProtobufCMessage *message;
	struct sb_rpc *rpc = ctx;
	struct sb_err err;

	if (sb_wire_unpack(&sparkbus__request__descriptor, data, len, &message, &err) < 0) {
		answer_error(rpc, bus_call, NULL, &err);
		return;
	}
	request = (sb_request *)message;
	/* A copy, because the request may be gone when its error is answered. */
	id.len = request->id.len < sizeof(id_copy) ? request->id.len : sizeof(id_copy);
	id.data = id_copy;
	if (id.len)
		memcpy(id_copy, request->id.data, id.len);
	if (dispatch(rpc, bus_call, door, from, &request, &err) < 0)
		answer_error(rpc, bus_call, &id, &err);
}

int sb_rpc_new(sd_event *loop, const char *node_name, const struct sb_verb *verbs, size_t n_verbs,
		void *agent, sb_rpc_audit_fn audit, void *audit_ctx, struct sb_rpc **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_rpc_freep) struct sb_rpc *rpc = calloc(1, sizeof(*rpc));

	if (!rpc)
		return sb_err_nomem(err);
	*rpc = (struct sb_rpc){ .loop = loop,
		.verbs = verbs,
		.n_verbs = n_verbs,
		.agent = agent,
		.audit = audit,
		.audit_ctx = audit_ctx };
	rpc->node = strdup(node_name);
	rpc->replay = replay_new();
	if (!rpc->node || !rpc->replay)
		return sb_err_nomem(err);
	*ret = sb_steal(rpc);
	return 0;
}

void sb_rpc_free(struct sb_rpc *rpc)
{
	if (!rpc)
		return;
	while (rpc->calls)
		rpc_call_free(rpc->calls);
	replay_free(rpc->replay);
	free(rpc->node);
	free(rpc);
}
