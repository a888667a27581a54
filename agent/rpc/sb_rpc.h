/* sb_rpc.h - from a request's bytes to a handler and back: the table of verbs is the law.
 *
 * Decodes the envelope, checks protocol version, door and body against the verb's row, answers a
 * repeated id from memory, keeps the deadline, audits what mutates, and makes every error one
 * Error reply. Handlers see a decoded body and answer now or later; nothing else. */
#ifndef SB_RPC_H
#define SB_RPC_H

#include "sb_bus.h"
#include "sb_wire.h"

struct sb_rpc;
struct sb_call;

/* Doors a verb exists on, as bits. */
enum { SB_DOOR_CONTROL = 1 << SB_BUS_CONTROL, SB_DOOR_PEER = 1 << SB_BUS_PEER };

/** Handle @body (of the row's type, borrowed until the call ends). Answer by sb_call_reply() or
 * sb_call_fail(), now or later from the loop; returning an error is sb_call_fail() with it. */
typedef int (*sb_verb_fn)(void *agent, struct sb_call *call, const ProtobufCMessage *body,
		struct sb_err *err);

struct sb_verb {
	Sparkbus__Request__BodyCase type; /* field number in Request and in Response */
	const char *name;                 /* "prepare"; for the audit file and errors */
	unsigned doors;                   /* SB_DOOR_* where it exists */
	bool mutates;                     /* answers are remembered and audited */
	const ProtobufCMessageDescriptor *body;
	const ProtobufCMessageDescriptor *reply;
	sb_verb_fn handle;
};

#define SB_RPC_REPLAY_MAX       1024 /* answers remembered, oldest out first */
#define SB_RPC_REPLAY_MAX_BYTES ((size_t)4 << 20)

/** Audit sink: one line per mutating request, after its outcome is known. */
typedef void (*sb_rpc_audit_fn)(void *ctx, const char *operator_name, const char *from,
		const char *verb, const char *job, enum sb_code outcome, const char *text);

int sb_rpc_new(sd_event *loop, const char *node_name, const struct sb_verb *verbs, size_t n_verbs,
		void *agent, sb_rpc_audit_fn audit, void *audit_ctx, struct sb_rpc **ret,
		struct sb_err *err);
void sb_rpc_free(struct sb_rpc *rpc);
SB_DEFINE_CLEANUP(sb_rpc_free, struct sb_rpc *)

/** The sb_bus_request_fn to give to the bus; @ctx is the struct sb_rpc. */
void sb_rpc_request(void *rpc, struct sb_bus_call *call, enum sb_bus_door door, const char *from,
		const void *data, size_t len);

/** Answer with @body of the row's reply type (copied). Ends the call. */
void sb_call_reply(struct sb_call *call, const ProtobufCMessage *body);
void sb_call_fail(struct sb_call *call, const struct sb_err *err);
/** Milliseconds until the caller's deadline. At the deadline the caller gets SB_E_TIMEOUT; the
 * handler still answers later, and that answer is what a repeated id gets. */
uint64_t sb_call_left_ms(const struct sb_call *call);
/** Call @fn when the call is over by deadline while the handler still holds it (long polls give
 * up their waiting then). NULL = none. */
void sb_call_on_gone(struct sb_call *call, void (*fn)(void *ctx, struct sb_call *call), void *ctx);
const char *sb_call_operator(const struct sb_call *call);
const char *sb_call_from(const struct sb_call *call);
enum sb_bus_door sb_call_door(const struct sb_call *call);

#endif
