/* sb_client.h - calls from the workstation to agents' control doors, one or many at once.
 * One connection per node, made when first needed and kept for the life of the client. */
#ifndef SB_CLIENT_H
#define SB_CLIENT_H

#include "sb_tls.h"
#include "sb_wire.h"

struct sb_client;

struct sb_target {
	const char *name;    /* node name: must be in its certificate */
	const char *address; /* host or IP */
	uint16_t port;       /* control port */
};

/** @creds: the operator's certificate and key, the node CA and its CRL.
 * @operator_name: claimed in every request. */
int sb_client_new(const struct sb_tls_creds *creds, const char *operator_name,
		struct sb_client **ret, struct sb_err *err);
void sb_client_free(struct sb_client *client);
SB_DEFINE_CLEANUP(sb_client_free, struct sb_client *)

struct sb_answer {
	sb_response *reply; /* owned; NULL when @err is set. An Error reply becomes @err. */
	struct sb_err err;
	uint64_t took_us;
};
void sb_answer_done(struct sb_answer *answer);

/** Ask one node. protocol, id, operator and deadline are filled in for the wire when unset;
 * @request itself is not changed. Errors carry the node's name. A caller that may want to repeat a
 * mutating request after SB_E_TIMEOUT sets request->id itself (sb_wire_new_id()) and keeps it.
 * SB_E_UNAVAILABLE: not connected, or the connection was lost; the text says whether anything was
 * asked. SB_E_TIMEOUT: asked, and no answer within @deadline_ms.
 * Only one thread may call or fan at a time.
 * Return: 0 or the answer's code, negative. */
int sb_client_call(struct sb_client *client, const struct sb_target *target, sb_request *request,
		unsigned deadline_ms, struct sb_answer *ret, struct sb_err *err);

/** Ask @n nodes at once; a silent one costs at most @deadline_ms and hides no other.
 * @requests[i] goes to @targets[i]; rets[i] is filled for every i. Return: how many failed. */
size_t sb_client_fan(struct sb_client *client, const struct sb_target *targets,
		sb_request *const *requests, size_t n, unsigned deadline_ms,
		struct sb_answer *rets);

/** Make a blocking call in another thread return SB_E_CANCELLED soon (Ctrl-C); async-signal-safe.
 * When no call runs, the next one is cancelled, so that a signal between two calls is not lost. */
void sb_client_interrupt(struct sb_client *client);

#endif
