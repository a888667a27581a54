/* peer.c - one REQ socket per remote node, a context per call, everything decided on the loop.
 *
 * A call's aio goes through two steps on nng's threads (sent, answered) and then posts its letter.
 * nng keeps the deadline of each step. It dials by itself and says nothing of why that fails, but
 * counts it: its statistics are where a call without a connection finds its reason.
 *
 * A dial that stalls in the TLS handshake never ends in nng 1.5, and a connection can break without
 * nng noticing. So a node that let a call run into its deadline gets a new socket for the next
 * call; the old one is closed when its last call has ended. */
#include <stdatomic.h>
#include <string.h>

#include "sb_peer.h"
#include "sb_wire_nng.h"

#define CALLS_IDLE_MAX 8 /* contexts kept per node for the next calls */

struct link {
	struct sb_peers *peers;
	struct link *next, *prev;
	char *node, *address;
	uint16_t port;
	nng_socket socket;
	nng_dialer dialer;
	unsigned n_calls;
	bool retired; /* closed when the last call ends; not used for new ones */
	struct sb_peer_call *idle;
	unsigned n_idle;
};

struct sb_peer_call {
	struct link *link;
	struct sb_peer_call *next, *prev; /* of the peers' list, or next idle one */
	struct sb_mail mail;
	nng_ctx ctx;
	nng_aio *aio;
	uint8_t id[SB_WIRE_ID_BYTES];
	unsigned deadline_ms;
	uint64_t until_ms;
	atomic_bool sent;
	int rv;        /* written on nng's thread before the letter is posted */
	sb_peer_fn fn; /* NULL once cancelled */
	void *ctx_arg;
};

struct sb_peers {
	struct sb_mailbox *box;
	char *cert_pem, *key_pem, *ca_pem, *crl_pem;
	struct sb_tls_creds creds;
	struct link *links;
	struct sb_peer_call *calls;
};

/* --- links --- */

static void call_destroy(struct sb_peer_call *call)
{
	nng_msg *msg;

	nng_aio_stop(call->aio);
	msg = nng_aio_get_msg(call->aio);
	if (msg)
		nng_msg_free(msg);
	nng_aio_free(call->aio);
	nng_ctx_close(call->ctx);
	free(call);
}

static void link_free(struct link *link)
{
	struct sb_peer_call *call;

	while ((call = link->idle)) {
		link->idle = call->next;
		call_destroy(call);
	}
	if (link->prev)
		link->prev->next = link->next;
	else
		link->peers->links = link->next;
	if (link->next)
		link->next->prev = link->prev;
	nng_close(link->socket);
	free(link->node);
	free(link->address);
	free(link);
}

/* Close the connection under the calls that use it. */
static void link_break(struct link *link)
{
	link->retired = true;
	nng_dialer_close(link->dialer);
	for (struct sb_peer_call *call = link->peers->calls; call; call = call->next)
		if (call->link == link)
			nng_aio_abort(call->aio, NNG_ECONNRESET);
	if (!link->n_calls)
		link_free(link);
}

static struct link *link_find(
		struct sb_peers *peers, const char *node, const char *address, uint16_t port)
{
	for (struct link *link = peers->links; link; link = link->next)
		if (!link->retired && link->port == port && !strcmp(link->node, node) &&
				!strcmp(link->address, address))
			return link;
	return NULL;
}

static int link_new(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		struct link **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct link *link = calloc(1, sizeof(*link));
	SB_CLEANUP(sb_freep) char *node_copy = strdup(node);
	SB_CLEANUP(sb_freep) char *address_copy = strdup(address);
	int rc, rv;

	if (!link || !node_copy || !address_copy)
		return sb_err_nomem(err);
	if (!peers->cert_pem)
		return sb_err_set(err, SB_E_UNAVAILABLE, "node %s: no credentials to call it with",
				node);
	rc = sb_wire_req_open(
			&peers->creds, node, address, port, &link->socket, &link->dialer, err);
	if (rc < 0)
		return rc;
	rv = nng_dialer_start(link->dialer, NNG_FLAG_NONBLOCK);
	if (rv) {
		nng_close(link->socket);
		return sb_wire_err_nng(err, rv, "node %s: dial", node);
	}
	link->peers = peers;
	link->node = sb_steal(node_copy);
	link->address = sb_steal(address_copy);
	link->port = port;
	link->next = peers->links;
	if (link->next)
		link->next->prev = link;
	peers->links = link;
	*ret = sb_steal(link);
	return 0;
}

/* --- why there is no connection --- */

static uint64_t counter(nng_stat *scope, const char *name)
{
	for (nng_stat *stat = nng_stat_child(scope); stat; stat = nng_stat_next(stat))
		if (!strcmp(nng_stat_name(stat), name))
			return nng_stat_value(stat);
	return 0;
}

static int no_connection(const struct sb_peer_call *call, struct sb_err *err)
{
	struct link *link = call->link;
	nng_stat *all = NULL, *dialer = NULL;
	enum sb_code code = SB_E_UNAVAILABLE;
	const char *why = "it does not answer", *cure = "is the node up and on this network?";
	int rc;

	if (!nng_stats_get(&all))
		dialer = nng_stat_find_dialer(all, link->dialer);
	if (dialer && counter(dialer, "auth")) {
		code = SB_E_DENIED;
		why = "the TLS handshake is refused";
		cure = "a certificate is expired, revoked or of another cluster, or the address is "
		       "another node's: run sparkbus from the workstation to see which";
	} else if (dialer && counter(dialer, "refused")) {
		why = "connection refused";
		cure = "is sparkbusd running there? systemctl status sparkbusd";
	} else if (dialer && counter(dialer, "connect")) {
		why = "the connection was lost";
	}
	if (all)
		nng_stats_free(all);
	rc = sb_err_set(err, code, "node %s: no connection to %s port %u within %u ms: %s",
			link->node, link->address, link->port, call->deadline_ms, why);
	return sb_err_hint(err, rc, "%s", cure);
}

/* --- calls --- */

static void call_unlink(struct sb_peer_call *call)
{
	struct sb_peers *peers = call->link->peers;

	if (call->prev)
		call->prev->next = call->next;
	else
		peers->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->next = call->prev = NULL;
}

static void call_recycle(struct sb_peer_call *call)
{
	struct link *link = call->link;

	call_unlink(call);
	link->n_calls--;
	if (link->retired || link->n_idle >= CALLS_IDLE_MAX) {
		call_destroy(call);
	} else {
		call->next = link->idle;
		link->idle = call;
		link->n_idle++;
	}
	if (link->retired && !link->n_calls)
		link_free(link);
}

static int failure(struct sb_peer_call *call, struct sb_err *err)
{
	struct link *link = call->link;

	if (!atomic_load(&call->sent)) {
		if (call->rv == NNG_ETIMEDOUT)
			return no_connection(call, err);
		return sb_wire_err_nng(err, call->rv, "node %s: send", link->node);
	}
	if (call->rv == NNG_ETIMEDOUT)
		return sb_err_set(err, SB_E_TIMEOUT,
				"node %s: no answer within %u ms; whether it was done is unknown",
				link->node, call->deadline_ms);
	return sb_err_set(err, SB_E_UNAVAILABLE,
			"node %s: the connection was lost before the answer (%s); whether it was "
			"done is unknown",
			link->node, nng_strerror(call->rv));
}

static void deliver(struct sb_mail *mail)
{
	struct sb_peer_call *call = sb_container_of(mail, struct sb_peer_call, mail);
	SB_CLEANUP(sb_wire_freep) sb_response *reply = NULL;
	nng_msg *msg = nng_aio_get_msg(call->aio);
	sb_peer_fn fn = call->fn;
	void *ctx_arg = call->ctx_arg;
	struct sb_err err = SB_ERR_INIT;
	int rc;

	nng_aio_set_msg(call->aio, NULL);
	if (!call->rv) {
		rc = sb_wire_response_msg(msg, call->id, &reply, &err);
		/* An agent's Error names its node already. */
		if (rc < 0 && strncmp(err.text, "node ", 5))
			sb_err_wrap(&err, rc, "node %s", call->link->node);
	} else {
		if (msg) /* not sent */
			nng_msg_free(msg);
		rc = failure(call, &err);
		if (call->rv == NNG_ETIMEDOUT)
			call->link->retired = true;
	}
	/* Before the callback, which may call again or free all of us. */
	call_recycle(call);
	if (fn)
		fn(ctx_arg, reply, rc < 0 ? &err : NULL);
}

/* On a thread of nng: sent, so wait for the answer; or at the end. */
static void on_aio(void *arg)
{
	struct sb_peer_call *call = arg;
	int rv = nng_aio_result(call->aio);

	if (!rv && !atomic_load(&call->sent)) {
		uint64_t now_ms = sb_now_boot_ms();

		atomic_store(&call->sent, true);
		nng_aio_set_timeout(call->aio,
				call->until_ms > now_ms ? (nng_duration)(call->until_ms - now_ms)
							: 1);
		nng_ctx_recv(call->ctx, call->aio);
		return;
	}
	call->rv = rv;
	sb_mailbox_post(call->link->peers->box, &call->mail);
}

static int call_get(struct link *link, struct sb_peer_call **ret, struct sb_err *err)
{
	struct sb_peer_call *call = link->idle;
	int rv;

	if (call) {
		link->idle = call->next;
		link->n_idle--;
		call->next = NULL;
		*ret = call;
		return 0;
	}
	call = calloc(1, sizeof(*call));
	if (!call)
		return sb_err_nomem(err);
	call->link = link;
	call->mail.deliver = deliver;
	rv = nng_ctx_open(&call->ctx, link->socket);
	if (!rv) {
		rv = nng_aio_alloc(&call->aio, on_aio, call);
		if (rv)
			nng_ctx_close(call->ctx);
	}
	if (rv) {
		free(call);
		return sb_wire_err_nng(err, rv, "node %s: make a call", link->node);
	}
	*ret = call;
	return 0;
}

int sb_peer_call(struct sb_peers *peers, const char *node, const char *address, uint16_t port,
		Sparkbus__Request *request, unsigned deadline_ms, sb_peer_fn fn, void *ctx,
		struct sb_peer_call **ret_call, struct sb_err *err)
{
	struct link *link = link_find(peers, node, address, port);
	struct sb_peer_call *call = NULL;
	uint8_t id[SB_WIRE_ID_BYTES];
	nng_msg *msg;
	int rc = 0;

	if (!deadline_ms || deadline_ms > SB_WIRE_DEADLINE_MAX_MS)
		return sb_err_set(err, SB_E_INVALID, "deadline of %u ms is not within 1 to %u",
				deadline_ms, SB_WIRE_DEADLINE_MAX_MS);
	if (!link)
		rc = link_new(peers, node, address, port, &link, err);
	if (rc < 0)
		return rc;
	rc = sb_wire_request_msg(request, deadline_ms, &msg, id, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "node %s", node);
	rc = call_get(link, &call, err);
	if (rc < 0) {
		nng_msg_free(msg);
		return rc;
	}
	memcpy(call->id, id, sizeof(id));
	call->deadline_ms = deadline_ms;
	call->until_ms = sb_now_boot_ms() + deadline_ms;
	call->fn = fn;
	call->ctx_arg = ctx;
	atomic_store(&call->sent, false);
	call->next = peers->calls;
	if (call->next)
		call->next->prev = call;
	peers->calls = call;
	link->n_calls++;
	if (ret_call)
		*ret_call = call;
	nng_aio_set_timeout(call->aio, (nng_duration)deadline_ms);
	nng_aio_set_msg(call->aio, msg);
	nng_ctx_send(call->ctx, call->aio);
	return 0;
}

void sb_peer_cancel(struct sb_peer_call *call)
{
	if (!call)
		return;
	/* Its letter still comes, and finds nobody to tell. */
	call->fn = NULL;
	nng_aio_cancel(call->aio);
}

/* --- life --- */

static void drop_creds(struct sb_peers *peers)
{
	char **texts[] = { &peers->cert_pem, &peers->key_pem, &peers->ca_pem, &peers->crl_pem };

	for (size_t i = 0; i < sb_countof(texts); i++) {
		if (*texts[i])
			explicit_bzero(*texts[i], strlen(*texts[i]));
		free(*texts[i]);
		*texts[i] = NULL;
	}
	peers->creds = (struct sb_tls_creds){ 0 };
}

int sb_peers_creds(struct sb_peers *peers, const struct sb_tls_creds *creds, struct sb_err *err)
{
	nng_tls_config *config;
	struct link *next;
	struct sb_peers copy = { 0 };
	int rc;

	rc = sb_wire_tls_config(creds, "", &config, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "credentials for calls to nodes");
	nng_tls_config_free(config);
	copy.cert_pem = strdup(creds->cert_pem);
	copy.key_pem = strdup(creds->key_pem);
	copy.ca_pem = strdup(creds->peer_ca_pem);
	copy.crl_pem = creds->peer_crl_pem ? strdup(creds->peer_crl_pem) : NULL;
	if (!copy.cert_pem || !copy.key_pem || !copy.ca_pem ||
			(creds->peer_crl_pem && !copy.crl_pem)) {
		drop_creds(&copy);
		return sb_err_nomem(err);
	}
	drop_creds(peers);
	peers->cert_pem = copy.cert_pem;
	peers->key_pem = copy.key_pem;
	peers->ca_pem = copy.ca_pem;
	peers->crl_pem = copy.crl_pem;
	peers->creds = (struct sb_tls_creds){ copy.cert_pem, copy.key_pem, copy.ca_pem,
		copy.crl_pem };
	for (struct link *link = peers->links; link; link = next) {
		next = link->next;
		link_break(link);
	}
	return 0;
}

int sb_peers_new(sd_event *loop, struct sb_mailbox *box, struct sb_peers **ret, struct sb_err *err)
{
	struct sb_peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return sb_err_nomem(err);
	peers->box = box;
	*ret = peers;
	return 0;
}

void sb_peers_free(struct sb_peers *peers)
{
	struct sb_peer_call *call;

	if (!peers)
		return;
	while ((call = peers->calls)) {
		nng_aio_stop(call->aio);
		sb_mailbox_withdraw(peers->box, &call->mail);
		call->link->retired = true;
		call_recycle(call);
	}
	while (peers->links)
		link_free(peers->links);
	drop_creds(peers);
	free(peers);
}
