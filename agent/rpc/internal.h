/* internal.h - shared between the files of agent/rpc only. */
#ifndef SB_RPC_INTERNAL_H
#define SB_RPC_INTERNAL_H

#include "sb_rpc.h"

/* --- replay.c: answers that were given, by id --- */

/* What a request must have in common with an earlier one to get its answer. */
struct replay_key {
	uint8_t id[SB_WIRE_ID_BYTES];
	enum sb_bus_door door; /* an id of one door means nothing at the other */
};

struct replay;
struct replay *replay_new(void);
void replay_free(struct replay *replay);
/** Remember @data (owned by the memory from here on). @body_hash: of the request's body. */
void replay_add(struct replay *replay, const struct replay_key *key, uint64_t body_hash,
		uint8_t *data, size_t len);
struct replay_hit {
	uint64_t body_hash;
	const uint8_t *data; /* borrowed until the next replay_add() */
	size_t len;
};
bool replay_find(struct replay *replay, const struct replay_key *key, struct replay_hit *ret);
bool replay_key_eq(const struct replay_key *a, const struct replay_key *b);

/* --- call.c: requests being worked on --- */

/* One caller that waits for a call's answer: the first, or one that asked again by the same id. */
struct waiter {
	struct waiter *next;
	struct sb_call *call;
	struct sb_bus_call *bus_call;
	uint64_t until_ms; /* CLOCK_BOOTTIME */
	uint32_t deadline_ms;
	sd_event_source *timer;
};

struct sb_call {
	struct sb_rpc *rpc;
	struct sb_call *next, *prev;
	const struct sb_verb *verb;
	Sparkbus__Request *request;
	struct replay_key key;
	uint64_t body_hash; /* 0 for verbs that do not mutate */
	uint64_t until_ms;  /* of the last waiter; kept when that one is gone */
	struct waiter *waiters;
	char *from;
	bool in_handler, answered;
	void (*on_gone)(void *ctx, struct sb_call *call);
	void *on_gone_ctx;
};

struct sb_rpc {
	sd_event *loop;
	char *node;
	const struct sb_verb *verbs;
	size_t n_verbs;
	void *agent;
	sb_rpc_audit_fn audit;
	void *audit_ctx;
	struct sb_call *calls;
	unsigned n_calls;
	struct replay *replay;
};

/** Takes @request over, also on failure. */
int rpc_call_new(struct sb_rpc *rpc, const struct sb_verb *verb, Sparkbus__Request *request,
		const struct replay_key *key, uint64_t body_hash, const char *from,
		struct sb_call **ret, struct sb_err *err);
/** Let @bus_call wait for @call's answer for @deadline_ms. Takes @bus_call over on success. */
int rpc_call_wait(struct sb_call *call, struct sb_bus_call *bus_call, uint32_t deadline_ms,
		struct sb_err *err);
struct sb_call *rpc_call_find(struct sb_rpc *rpc, const struct replay_key *key);
void rpc_call_free(struct sb_call *call);

/** Answer @bus_call by @err; @id may be NULL. Ends @bus_call. */
void answer_error(struct sb_rpc *rpc, struct sb_bus_call *bus_call, const ProtobufCBinaryData *id,
		const struct sb_err *err);

#endif
