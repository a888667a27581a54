/* peer.c - one connection per remote node (sb_dial.h), found by the node's name and place. */
#include <string.h>

#include "sb_dial.h"
#include "sb_peer.h"

struct peer {
	struct peer *next;
	char *node, *address;
	uint16_t port;
	struct sb_dial *dial;
};

struct sb_peer_call {
	struct sb_peers *peers;
	struct sb_peer_call *next, *prev;
	struct sb_dial_call *call;
	sb_peer_fn fn;
	void *ctx;
};

struct sb_peers {
	sd_event *loop;
	struct sb_mailbox *box;
	struct sb_links *links;
	struct sb_tls_context *context; /* NULL until there are credentials */
	struct peer *peers;             /* last used first */
	unsigned n_peers;
	struct sb_peer_call *calls;
};

/* --- nodes --- */

static void peer_free(struct peer *peer)
{
	sb_dial_free(peer->dial);
	free(peer->node);
	free(peer->address);
	free(peer);
}

static struct peer *find(
		struct sb_peers *peers, const char *node, const char *address, uint16_t port)
{
	for (struct peer **at = &peers->peers, *peer; (peer = *at); at = &peer->next) {
		if (peer->port != port || strcmp(peer->node, node) ||
				strcmp(peer->address, address))
			continue;
		*at = peer->next;
		peer->next = peers->peers;
		peers->peers = peer;
		return peer;
	}
	return NULL;
}

/* Let go of the node that was not called for the longest time. */
static bool evict(struct sb_peers *peers)
{
	struct peer **worst = NULL, *peer;

	for (struct peer **at = &peers->peers; *at; at = &(*at)->next)
		if (!sb_dial_waiting((*at)->dial))
			worst = at;
	if (!worst)
		return false;
	peer = *worst;
	*worst = peer->next;
	peers->n_peers--;
	peer_free(peer);
	return true;
}

static int add(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		struct peer **ret, struct sb_err *err)
{
	struct sb_dial_to to = { node, address, port, true };
	struct peer *peer;
	int rc;

	if (!peers->context)
		return sb_err_set(err, SB_E_UNAVAILABLE, "node %s: no credentials to call it with",
				node);
	if (peers->n_peers >= SB_PEERS_MAX && !evict(peers))
		return sb_err_set(err, SB_E_BUSY, "node %s: calls to %d other nodes wait", node,
				SB_PEERS_MAX);
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return sb_err_nomem(err);
	peer->port = port;
	peer->node = strdup(node);
	peer->address = strdup(address);
	rc = peer->node && peer->address ? 0 : sb_err_nomem(err);
	if (!rc)
		rc = sb_dial_new(peers->loop, peers->box, peers->links, peers->context, &to,
				&peer->dial, err);
	if (rc < 0) {
		peer_free(peer);
		return rc;
	}
	peer->next = peers->peers;
	peers->peers = peer;
	peers->n_peers++;
	*ret = peer;
	return 0;
}

/* --- calls --- */

static void call_free(struct sb_peer_call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		call->peers->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	free(call);
}

static void on_answer(void *ctx, sb_response *reply, const struct sb_err *err)
{
	SB_CLEANUP(sb_wire_freep) sb_response *owned = reply;
	struct sb_peer_call *call = ctx;
	sb_peer_fn fn = call->fn;
	void *fn_ctx = call->ctx;

	call_free(call); /* before the callback, which may call again */
	fn(fn_ctx, owned, err);
}

int sb_peer_call(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		Sparkbus__Request *request, unsigned deadline_ms, sb_peer_fn fn, void *ctx,
		struct sb_peer_call **ret_call, struct sb_err *err)
{
	struct peer *peer = find(peers, node, address, port);
	struct sb_peer_call *call;
	int rc = 0;

	if (!peer)
		rc = add(peers, node, address, port, &peer, err);
	if (rc < 0)
		return rc;
	call = calloc(1, sizeof(*call));
	if (!call)
		return sb_err_nomem(err);
	*call = (struct sb_peer_call){ .peers = peers, .next = peers->calls, .fn = fn, .ctx = ctx };
	if (call->next)
		call->next->prev = call;
	peers->calls = call;
	rc = sb_dial_call(peer->dial, request, deadline_ms, on_answer, call, &call->call, err);
	if (rc < 0) {
		call_free(call);
		return rc;
	}
	if (ret_call)
		*ret_call = call;
	return 0;
}

void sb_peer_cancel(struct sb_peer_call *call)
{
	if (!call)
		return;
	sb_dial_cancel(call->call);
	call_free(call);
}

/* --- life --- */

/* Everything that was made with the credentials in use. Callbacks may call, and then get new
 * connections: what is broken is out of the list before. */
static void break_all(struct sb_peers *peers)
{
	struct peer *old = sb_steal(peers->peers), *peer;

	peers->n_peers = 0;
	while ((peer = old)) {
		old = peer->next;
		sb_dial_break(peer->dial, "our credentials were replaced");
		peer_free(peer);
	}
}

int sb_peers_creds(struct sb_peers *peers, const struct sb_tls_creds *creds, struct sb_err *err)
{
	struct sb_tls_context *context;
	int rc;

	rc = sb_tls_context_new(creds, SB_TLS_DIALS, &context, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "credentials for calls to nodes");
	sb_tls_context_unref(peers->context);
	peers->context = context;
	break_all(peers);
	return 0;
}

int sb_peers_new(sd_event *loop, struct sb_mailbox *box, struct sb_peers **ret, struct sb_err *err)
{
	struct sb_peers *peers = calloc(1, sizeof(*peers));
	int rc;

	if (!peers)
		return sb_err_nomem(err);
	peers->loop = loop;
	peers->box = box;
	rc = sb_links_new(box, &peers->links, err);
	if (rc < 0) {
		free(peers);
		return rc;
	}
	*ret = peers;
	return 0;
}

void sb_peers_free(struct sb_peers *peers)
{
	struct peer *peer;

	if (!peers)
		return;
	while ((peer = peers->peers)) {
		peers->peers = peer->next;
		peer_free(peer);
	}
	while (peers->calls)
		call_free(peers->calls);
	sb_links_free(peers->links);
	sb_tls_context_unref(peers->context);
	free(peers);
}
