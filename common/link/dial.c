/* dial.c - one connection to one agent, made when a call needs it.
 *
 * IDLE -> CONNECTING -> GREETING -> OPEN, and back to IDLE whenever something fails. In PAUSE the
 * next attempt waits for its time. A request that was sent and lost its connection fails: whether
 * it was done is unknown, and only its caller may decide to repeat it. One that was not sent yet
 * goes out by the next connection. */
#include <string.h>

#include "sb_dial.h"
#include "sb_wire_nng.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000
#define DEAF_MS      5000 /* silence after an unanswered call that makes a connection a dead one */

enum state { IDLE, CONNECTING, GREETING, OPEN, PAUSE };

struct sb_dial_call {
	struct sb_dial *dial;
	struct sb_dial_call *next, **at; /* at: the pointer that leads here */
	sd_event_source *timer;
	uint8_t id[SB_WIRE_ID_BYTES];
	uint32_t word; /* id on the link; 0 = not sent */
	uint64_t sent_ms;
	unsigned deadline_ms;
	uint8_t *data; /* until it is sent */
	size_t len;
	sb_dial_fn fn;
	void *ctx;
};

struct sb_dial {
	sd_event *loop;
	struct sb_mailbox *box;
	struct sb_links *links;
	char *node, *where; /* "10.0.0.5:47100" */
	bool retry;
	struct sb_tls_context *context;
	nng_stream_dialer *dialer;
	nng_aio *aio;
	struct sb_mail mail;
	bool aio_pending;
	bool abandoned; /* the connect in the air is not wanted any more */
	enum state state;
	struct sb_link *link;
	sd_event_source *timer; /* the handshake's end, or the pause's */
	unsigned pause_ms;
	struct sb_err reason; /* why the last attempt failed; code 0 = none */
	uint64_t deaf_ms;     /* a call sent then was not answered, nor was anything else heard */
	struct sb_dial_call *calls, **calls_end;
	unsigned n_calls;
	uint32_t last_word;
};

static void connect_start(struct sb_dial *dial);
static int on_timer(sd_event_source *source, uint64_t usec, void *ctx);

/* --- calls --- */

static void call_unlink(struct sb_dial_call *call)
{
	*call->at = call->next;
	if (call->next)
		call->next->at = call->at;
	else if (call->dial->calls_end == &call->next)
		call->dial->calls_end = call->at;
}

static void call_link(struct sb_dial_call *call)
{
	struct sb_dial *dial = call->dial;

	call->at = dial->calls_end;
	call->next = NULL;
	*call->at = call;
	dial->calls_end = &call->next;
}

static void call_free(struct sb_dial_call *call)
{
	call_unlink(call);
	call->dial->n_calls--;
	sd_event_source_disable_unref(call->timer);
	free(call->data);
	free(call);
}

/* The call is gone before its callback runs, which may make new ones. */
static void call_end(struct sb_dial_call *call, sb_response *reply, const struct sb_err *err)
{
	sb_dial_fn fn = call->fn;
	void *ctx = call->ctx;

	call_free(call);
	fn(ctx, reply, err);
}

/* Fail the calls that were sent (@sent) or all. They get a list of their own first, because the
 * callbacks may make new calls, which are not meant, and cancel others, which must go on working.
 */
static void fail_calls(struct sb_dial *dial, bool sent, const struct sb_err *err)
{
	struct sb_dial_call *doomed = NULL, **end = &doomed, *next;

	for (struct sb_dial_call *call = dial->calls; call; call = next) {
		next = call->next;
		if (sent && !call->word)
			continue;
		call_unlink(call);
		call->at = end;
		call->next = NULL;
		*end = call;
		end = &call->next;
	}
	while (doomed)
		call_end(doomed, NULL, err);
}

static int send_call(struct sb_dial_call *call)
{
	struct sb_dial *dial = call->dial;
	int rc;

	dial->last_word = (dial->last_word + 1) | SB_LINK_ID_FLAG;
	rc = sb_link_send(dial->link, dial->last_word, call->data, call->len);
	if (rc < 0)
		return rc;
	call->word = dial->last_word;
	call->sent_ms = sb_now_boot_ms();
	free(sb_steal(call->data));
	return 0;
}

/* --- the connection --- */

static void close_link(struct sb_dial *dial)
{
	sb_link_close(sb_steal(dial->link));
	if (dial->timer)
		sd_event_source_set_enabled(dial->timer, SD_EVENT_OFF);
	if (dial->aio_pending) {
		dial->abandoned = true;
		nng_aio_cancel(dial->aio);
	}
	dial->state = IDLE;
}

/* An attempt failed for dial->reason. Who is refused for what his certificate says is refused the
 * next time, too; a handshake that merely ended may have met an agent that was just going down. */
static void attempt_failed(struct sb_dial *dial)
{
	struct sb_err reason = dial->reason;

	close_link(dial);
	if (!dial->retry || !dial->calls || reason.code == SB_E_DENIED ||
			reason.code == SB_E_PROTOCOL) {
		fail_calls(dial, false, &reason);
		return;
	}
	dial->pause_ms = dial->pause_ms ? dial->pause_ms * 2 : RETRY_MIN_MS;
	if (dial->pause_ms > RETRY_MAX_MS)
		dial->pause_ms = RETRY_MAX_MS;
	dial->state = PAUSE;
	if (sb_timer_once(dial->loop, &dial->timer, dial->pause_ms, on_timer, dial, &reason) < 0) {
		dial->state = IDLE;
		fail_calls(dial, false, &reason);
	}
}

static int connect_reason(struct sb_dial *dial, int rv, struct sb_err *err)
{
	int rc;

	if (rv == NNG_EADDRINVAL) {
		rc = sb_err_set(err, SB_E_NOT_FOUND, "node %s: no host is known by the address %s",
				dial->node, dial->where);
		return sb_err_hint(err, rc, "correct the node's address");
	}
	/* TCP's own timeout: nothing was asked of the node. */
	rc = sb_wire_err_nng(err, rv == NNG_ETIMEDOUT ? NNG_EUNREACHABLE : rv,
			"node %s: connect to %s", dial->node, dial->where);
	if (rv == NNG_ECONNREFUSED)
		return sb_err_hint(err, rc,
				"is sparkbusd running on %s? systemctl status sparkbusd",
				dial->node);
	if (rv == NNG_EUNREACHABLE || rv == NNG_ETIMEDOUT)
		return sb_err_hint(err, rc, "is %s switched on and on this network?", dial->node);
	return rc;
}

static void on_open(void *ctx)
{
	struct sb_dial *dial = ctx;

	sd_event_source_set_enabled(dial->timer, SD_EVENT_OFF);
	dial->state = OPEN;
	dial->pause_ms = 0;
	dial->reason.code = SB_OK;
	for (struct sb_dial_call *call = dial->calls; call; call = call->next)
		if (!call->word && send_call(call) < 0)
			break; /* its deadline ends it */
}

static void on_message(void *ctx, uint32_t word, const void *data, size_t len)
{
	struct sb_dial *dial = ctx;
	struct sb_dial_call *call = dial->calls;
	sb_response *reply = NULL;
	struct sb_err err;
	int rc;

	while (call && call->word != word)
		call = call->next;
	if (!call)
		return; /* nobody waits for it any more */
	rc = sb_wire_unpack_response(data, len, call->id, &reply, &err);
	/* An agent's Error names its node already. */
	if (rc < 0 && strncmp(err.text, "node ", 5))
		sb_err_wrap(&err, rc, "node %s", dial->node);
	call_end(call, reply, rc < 0 ? &err : NULL);
}

/* An open connection is no more. What was not sent goes out by the next one. */
static void lost(struct sb_dial *dial, const char *why)
{
	struct sb_err err;

	close_link(dial);
	sb_err_set(&err, SB_E_UNAVAILABLE,
			"node %s: the connection was lost before the answer (%s); whether it was "
			"done "
			"is unknown",
			dial->node, why);
	fail_calls(dial, true, &err);
	if (dial->calls && dial->state == IDLE)
		connect_start(dial);
}

static void on_closed(void *ctx, const struct sb_err *why)
{
	struct sb_dial *dial = ctx;

	dial->link = NULL;
	if (dial->state == OPEN) {
		lost(dial, why->text);
		return;
	}
	dial->reason = *why;
	sb_err_wrap(&dial->reason, -(int)why->code, "node %s: %s", dial->node, dial->where);
	if (why->code == SB_E_DENIED && sb_empty(why->hint))
		sb_err_hint(&dial->reason, -SB_E_DENIED,
				"a certificate is expired, revoked or of another cluster, or the "
				"address is another node's");
	attempt_failed(dial);
}

static const struct sb_link_ops link_ops = { on_open, on_message, on_closed };

static void connected(struct sb_mail *mail)
{
	struct sb_dial *dial = sb_container_of(mail, struct sb_dial, mail);
	struct sb_link_how how = { SB_LINK_CALLER, dial->context, dial->node };
	int rv = nng_aio_result(dial->aio);
	bool wanted = !dial->abandoned;

	dial->aio_pending = dial->abandoned = false;
	if (!wanted) {
		if (!rv)
			nng_stream_free(nng_aio_get_output(dial->aio, 0));
		if (dial->calls && dial->state == IDLE)
			connect_start(dial);
		return;
	}
	if (rv) {
		connect_reason(dial, rv, &dial->reason);
		attempt_failed(dial);
		return;
	}
	dial->state = GREETING;
	if (sb_link_new(dial->links, nng_aio_get_output(dial->aio, 0), &how, &link_ops, dial,
			    &dial->link, &dial->reason) < 0)
		attempt_failed(dial);
}

/* Runs on a thread of nng. */
static void on_dialled(void *arg)
{
	struct sb_dial *dial = arg;

	sb_mailbox_post(dial->box, &dial->mail);
}

static int try_connect(struct sb_dial *dial, struct sb_err *err)
{
	int rc;

	/* One that was given up is still on its way back: connected() goes on from there. */
	if (dial->aio_pending)
		return 0;
	rc = sb_timer_once(dial->loop, &dial->timer, SB_DIAL_HANDSHAKE_MS, on_timer, dial, err);
	if (rc < 0)
		return rc;
	dial->state = CONNECTING;
	dial->aio_pending = true;
	nng_stream_dialer_dial(dial->dialer, dial->aio);
	return 0;
}

static void connect_start(struct sb_dial *dial)
{
	if (try_connect(dial, &dial->reason) < 0)
		attempt_failed(dial);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_dial *dial = ctx;

	if (dial->state == PAUSE) {
		dial->state = IDLE;
		if (dial->calls)
			connect_start(dial);
	} else if (dial->state == OPEN) {
		if (sb_link_heard_ms(dial->link) < dial->deaf_ms)
			lost(dial, "it went silent");
	} else if (dial->state == CONNECTING || dial->state == GREETING) {
		int rc = sb_err_set(&dial->reason, SB_E_UNAVAILABLE, "node %s: %s %s within %d ms",
				dial->node, dial->where,
				dial->state == CONNECTING ? "does not answer"
							  : "does not finish the TLS handshake",
				SB_DIAL_HANDSHAKE_MS);

		sb_err_hint(&dial->reason, rc, "is %s up, and is it an agent's port?", dial->node);
		attempt_failed(dial);
	}
	return 0;
}

/* --- deadlines --- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_dial_call *call = ctx;
	struct sb_dial *dial = call->dial;
	bool deaf = call->word && sb_link_heard_ms(dial->link) < call->sent_ms;
	struct sb_err err;
	int rc;

	if (call->word) {
		rc = sb_err_set(&err, SB_E_TIMEOUT,
				"node %s: no answer within %u ms; whether it was done is unknown",
				dial->node, call->deadline_ms);
		sb_err_hint(&err, rc, "look at the node's state before you repeat it");
	} else if (dial->reason.code) {
		err = dial->reason; /* nothing was sent, and this is why */
	} else {
		rc = sb_err_set(&err, SB_E_UNAVAILABLE,
				"node %s: no connection to %s within %u ms; nothing was asked of "
				"it",
				dial->node, dial->where, call->deadline_ms);
		sb_err_hint(&err, rc, "is %s switched on, and does a firewall stop the port?",
				dial->node);
	}
	/* An agent answers at its own deadline at the latest. When that does not come either, the
	 * connection is dead, though nobody said so. */
	if (deaf) {
		dial->deaf_ms = call->sent_ms;
		sb_timer_once(dial->loop, &dial->timer, DEAF_MS, on_timer, dial, NULL);
	} else if (dial->n_calls == 1 && dial->state != OPEN) {
		close_link(dial); /* an attempt that nobody waits for any more */
	}
	call_end(call, NULL, &err);
	return 0;
}

int sb_dial_call(struct sb_dial *dial, const sb_request *request, unsigned deadline_ms,
		sb_dial_fn fn, void *ctx, struct sb_dial_call **ret, struct sb_err *err)
{
	struct sb_dial_call *call;
	int rc;

	if (!deadline_ms || deadline_ms > SB_WIRE_DEADLINE_MAX_MS)
		return sb_err_set(err, SB_E_INVALID, "deadline of %u ms is not within 1 to %u",
				deadline_ms, SB_WIRE_DEADLINE_MAX_MS);
	call = calloc(1, sizeof(*call));
	if (!call)
		return sb_err_nomem(err);
	*call = (struct sb_dial_call){
		.dial = dial, .deadline_ms = deadline_ms, .fn = fn, .ctx = ctx
	};
	call_link(call);
	dial->n_calls++;
	rc = sb_wire_pack_request(request, deadline_ms, &call->data, &call->len, call->id, err);
	if (!rc)
		rc = sb_timer_once(dial->loop, &call->timer, deadline_ms, on_deadline, call, err);
	if (!rc && dial->state == OPEN && send_call(call) < 0)
		rc = sb_err_set(err, SB_E_BUSY, "it does not take what was sent before");
	if (!rc && dial->state == IDLE)
		rc = try_connect(dial, err);
	if (rc < 0) {
		call_free(call);
		return sb_err_wrap(err, rc, "node %s", dial->node);
	}
	if (ret)
		*ret = call;
	return 0;
}

void sb_dial_cancel(struct sb_dial_call *call)
{
	if (call)
		call_free(call);
}

bool sb_dial_call_sent(const struct sb_dial_call *call)
{
	return call->word;
}

void sb_dial_break(struct sb_dial *dial, const char *why)
{
	struct sb_err err;

	close_link(dial);
	sb_err_set(&err, SB_E_UNAVAILABLE, "node %s: %s; whether it was done is unknown",
			dial->node, why);
	fail_calls(dial, false, &err);
}

unsigned sb_dial_waiting(const struct sb_dial *dial)
{
	return dial->n_calls;
}

/* --- life --- */

static int make_dialer(struct sb_dial *dial, const char *url)
{
	int rv;

	rv = nng_stream_dialer_alloc(&dial->dialer, url);
	if (!rv)
		rv = nng_stream_dialer_set_bool(dial->dialer, NNG_OPT_TCP_NODELAY, true);
	if (!rv)
		rv = nng_stream_dialer_set_bool(dial->dialer, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_aio_alloc(&dial->aio, on_dialled, dial);
	return rv;
}

int sb_dial_new(sd_event *loop, struct sb_mailbox *box, struct sb_links *links,
		struct sb_tls_context *context, const struct sb_dial_to *to, struct sb_dial **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_dial_freep) struct sb_dial *dial = calloc(1, sizeof(*dial));
	char url[SB_WIRE_URL_MAX];
	int rc, rv;

	if (!dial)
		return sb_err_nomem(err);
	*dial = (struct sb_dial){ .loop = loop,
		.box = box,
		.links = links,
		.retry = to->retry,
		.context = sb_tls_context_ref(context),
		.mail.deliver = connected };
	dial->calls_end = &dial->calls;
	rc = sb_wire_url("tcp", to->address, to->port, url, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "node %s", to->node);
	dial->node = strdup(to->node);
	dial->where = strdup(strchr(url, '/') + 2);
	if (!dial->node || !dial->where)
		return sb_err_nomem(err);
	rv = make_dialer(dial, url);
	if (rv)
		return sb_wire_err_nng(
				err, rv, "node %s (%s): make a dialer", dial->node, dial->where);
	*ret = sb_steal(dial);
	return 0;
}

void sb_dial_free(struct sb_dial *dial)
{
	if (!dial)
		return;
	while (dial->calls)
		call_free(dial->calls);
	sb_link_close(dial->link);
	if (dial->aio) {
		nng_aio_stop(dial->aio);
		sb_mailbox_withdraw(dial->box, &dial->mail);
		if (dial->aio_pending && !nng_aio_result(dial->aio))
			nng_stream_free(nng_aio_get_output(dial->aio, 0));
		nng_aio_free(dial->aio);
	}
	if (dial->dialer) {
		nng_stream_dialer_close(dial->dialer);
		nng_stream_dialer_free(dial->dialer);
	}
	sd_event_source_disable_unref(dial->timer);
	sb_tls_context_unref(dial->context);
	free(dial->node);
	free(dial->where);
	free(dial);
}
