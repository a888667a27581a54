/* link.c - SP messages over TLS over a TCP stream of nng.
 *
 * Why not nng's own REQ and REP sockets over its own TLS, which do the same. nng 1.5's way of
 * closing a pipe and of timing out a handshake is not sound:
 * - A connection that sends nothing after the TCP accept, or stops half way through the TLS
 *   handshake, is kept for ever: the ten-second timeout of the negotiation cancels a send that was
 *   never started, and nothing happens. Each holds a descriptor and 70 KB, before anyone was
 *   authenticated, and no option or call reaches it.
 * - A read that is posted after the end of the connection was seen never completes, so that a
 *   caller that sends and hangs up can leave its pipe behind for good.
 * - When a pipe is closed while a message arrives, the rest of it is read by an operation that is
 *   stopped already and never completes. nng's one reaper thread waits for it for ever, and from
 *   then on every nng_close() in the process hangs. The two sides' deadlines end at the same time,
 *   so this is no rare thing.
 * Streams let us hold every connection from its first byte, and closing one completes whatever
 * it waits for. And nng's TLS is Debian's mbed TLS: nine milliseconds of CPU on each side of a
 * handshake with P-256, where OpenSSL needs less than one, no TLS 1.3, every refusal reported with
 * the same two words, and no way to learn who called. So TLS is OpenSSL's (sb_session.h), on the
 * loop thread. What is rebuilt here is small and is the SP protocols' own form, so that any nng REQ
 * socket can call an agent by tls+tcp:
 *   both, once:  00 'S' 'P' 00, own protocol (16 bits), 00 00
 *   a message:   length (64 bits), id (32 bits, top bit set), body
 * All numbers are big-endian. The length counts the id. An answer repeats the id of its request.
 *
 * A link has at most one read and one write in the air. It is freed when it is closed, both came
 * back and none of our functions is inside it (holds). After it is closed nothing is started. */
#include <endian.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <string.h>

#include "sb_link.h"
#include "sb_wire_nng.h"

#define HEAD_BYTES    8 /* of the greeting, and of a message's length */
#define ID_BYTES      4
#define MESSAGE_MAX   (SB_WIRE_MAX_BYTES + ID_BYTES)
#define BUFFER_BYTES  4096                       /* what a link without a large message keeps */
#define RECORD_BYTES  16384                      /* of a TLS record: what is read or sent at once */
#define TLS_AHEAD_MAX ((size_t)4 * RECORD_BYTES) /* encrypted and not yet sent */

struct out {
	struct out *next;
	size_t len, sent;
	uint8_t data[];
};

struct sb_links {
	struct sb_mailbox *box;
	struct sb_link *first;
};

struct sb_link {
	struct sb_links *links;
	struct sb_link *next, *prev;
	const struct sb_link_ops *ops;
	void *ctx;
	enum sb_link_side side;
	nng_stream *stream;
	nng_aio *rx, *tx;
	struct sb_mail rx_mail, tx_mail;
	bool rx_pending, tx_pending, closed, greeted;
	bool refused; /* we ended it; only the last word (an alert) is still to be heard */
	unsigned holds;
	struct sb_tls_session *tls;
	uint64_t rx_ms; /* last byte received */
	uint64_t tx_ms; /* last byte taken by the stream */
	uint8_t *buf;   /* decrypted and not yet used */
	size_t have, space;
	struct out *out, **out_tail; /* not yet encrypted */
	size_t out_bytes;
	size_t tx_len, tx_sent;
	uint8_t rx_buf[RECORD_BYTES], tx_buf[RECORD_BYTES]; /* on the wire */
};

/* --- life --- */

static void link_free(struct sb_link *link)
{
	struct out *out;

	if (link->prev)
		link->prev->next = link->next;
	else
		link->links->first = link->next;
	if (link->next)
		link->next->prev = link->prev;
	while ((out = link->out)) {
		link->out = out->next;
		free(out);
	}
	nng_aio_free(link->rx);
	nng_aio_free(link->tx);
	nng_stream_free(link->stream);
	sb_tls_session_free(link->tls);
	free(link->buf);
	free(link);
}

static void link_put(struct sb_link *link)
{
	link->holds--;
	if (link->closed && !link->rx_pending && !link->tx_pending && !link->holds)
		link_free(link);
}

/* Closing completes what is pending, by letters that arrive later. */
void sb_link_close(struct sb_link *link)
{
	if (!link || link->closed)
		return;
	link->holds++;
	link->closed = true;
	nng_stream_close(link->stream);
	link_put(link);
}

/* Ended by itself. The caller holds the link. */
static void link_end(struct sb_link *link, const struct sb_err *why)
{
	if (link->closed)
		return;
	sb_link_close(link);
	link->ops->closed(link->ctx, why);
}

static void link_end_nng(struct sb_link *link, int rv, const char *what)
{
	struct sb_err err;

	sb_wire_err_nng(&err, rv, "%s", what);
	link_end(link, &err);
}

/* --- sending --- */

/* Encrypt what waits, a record at a time, as long as little waits to be sent. */
static void encrypt(struct sb_link *link)
{
	struct out *out;

	while ((out = link->out) && sb_tls_session_ready(link->tls) &&
			sb_tls_session_pending(link->tls) < RECORD_BYTES) {
		size_t n = out->len - out->sent;

		if (n > RECORD_BYTES)
			n = RECORD_BYTES;
		if (sb_tls_session_write(link->tls, out->data + out->sent, n, NULL) < 0) {
			nng_stream_close(link->stream); /* the read ends, and with it the link */
			return;
		}
		out->sent += n;
		link->out_bytes -= n;
		if (out->sent < out->len)
			continue;
		link->out = out->next;
		if (!link->out)
			link->out_tail = &link->out;
		free(out);
	}
}

static void tx_start(struct sb_link *link)
{
	nng_iov iov;

	if (link->closed || link->tx_pending)
		return;
	if (link->tx_sent == link->tx_len) {
		if (!link->refused)
			encrypt(link);
		link->tx_len = sb_tls_session_give(link->tls, link->tx_buf, sizeof(link->tx_buf));
		link->tx_sent = 0;
		link->tx_ms = sb_now_boot_ms();
	}
	if (!link->tx_len)
		return;
	iov = (nng_iov){ link->tx_buf + link->tx_sent, link->tx_len - link->tx_sent };
	nng_aio_set_iov(link->tx, 1, &iov);
	link->tx_pending = true;
	nng_stream_send(link->stream, link->tx);
}

static void tx_done(struct sb_mail *mail)
{
	struct sb_link *link = sb_container_of(mail, struct sb_link, tx_mail);
	int rv = nng_aio_result(link->tx);

	link->holds++;
	link->tx_pending = false;
	/* An end that the other side made is read, with what it said last: not told from here. */
	if (rv && rv != NNG_ECONNSHUT && rv != NNG_ECONNRESET && rv != NNG_ECLOSED) {
		link_end_nng(link, rv, "send");
	} else if (!rv && !link->closed) {
		link->tx_sent += nng_aio_count(link->tx);
		link->tx_ms = sb_now_boot_ms();
		tx_start(link);
	}
	link_put(link);
}

/* TLS failed. Our alert should reach the other side. It would be lost if we closed while something
 * that it sent is unread, so an agent reads on until the caller hangs up (or is swept). */
static void refuse(struct sb_link *link, const struct sb_err *why)
{
	link->refused = true;
	tx_start(link);
	if (link->side == SB_LINK_CALLER || why->code != SB_E_DENIED)
		link_end(link, why);
}

static int queue(struct sb_link *link, const void *head, size_t head_len, const void *data,
		size_t len)
{
	size_t all = head_len + len;
	struct out *out;

	if (link->out_bytes + all > SB_LINK_OUT_MAX_BYTES)
		return -SB_E_RANGE;
	out = malloc(sizeof(*out) + all);
	if (!out)
		return -SB_E_NOMEM;
	*out = (struct out){ .len = all };
	memcpy(out->data, head, head_len);
	if (len)
		memcpy(out->data + head_len, data, len);
	*link->out_tail = out;
	link->out_tail = &out->next;
	link->out_bytes += all;
	if (link->tls)
		tx_start(link);
	return 0;
}

int sb_link_send(struct sb_link *link, uint32_t id, const void *data, size_t len)
{
	uint8_t head[HEAD_BYTES + ID_BYTES];
	uint64_t size = htobe64(ID_BYTES + len);
	uint32_t word = htobe32(id);

	memcpy(head, &size, HEAD_BYTES);
	memcpy(head + HEAD_BYTES, &word, ID_BYTES);
	return queue(link, head, sizeof(head), data, len);
}

/* --- receiving --- */

static void make_greeting(uint16_t protocol, uint8_t greeting[HEAD_BYTES])
{
	memcpy(greeting, (uint8_t[]){ 0, 'S', 'P', 0, protocol >> 8, protocol & 0xff, 0, 0 },
			HEAD_BYTES);
}

/* Use one greeting or message at @data. Return: bytes used; 0 = more are needed. */
static size_t use_one(struct sb_link *link, const uint8_t *data, size_t len)
{
	uint8_t greeting[HEAD_BYTES];
	uint64_t size;
	uint32_t id;

	if (len < HEAD_BYTES)
		return 0;
	if (!link->greeted) {
		make_greeting(link->side == SB_LINK_AGENT ? NNG_REP0_PEER : NNG_REP0_SELF,
				greeting);
		if (memcmp(data, greeting, HEAD_BYTES)) {
			link_end_nng(link, NNG_EPROTO, "greeting");
			return 0;
		}
		link->greeted = true;
		link->ops->open(link->ctx);
		return HEAD_BYTES;
	}
	memcpy(&size, data, sizeof(size));
	size = be64toh(size);
	if (size < ID_BYTES || size > MESSAGE_MAX) {
		link_end_nng(link, NNG_EMSGSIZE, "receive");
		return 0;
	}
	if (len - HEAD_BYTES < size)
		return 0;
	memcpy(&id, data + HEAD_BYTES, sizeof(id));
	id = be32toh(id);
	/* Without the flag it is a hop of a forwarder; there are none here. */
	if (!(id & SB_LINK_ID_FLAG)) {
		link_end_nng(link, NNG_EPROTO, "receive");
		return 0;
	}
	link->ops->message(link->ctx, id, data + HEAD_BYTES + ID_BYTES, size - ID_BYTES);
	return HEAD_BYTES + size;
}

/* Room for the next read. The buffer follows what has come, not what a header announces, so that
 * eight bytes do not cost eight megabytes. */
static int make_room(struct sb_link *link)
{
	size_t space = link->space;
	uint8_t *buf;

	if (!link->have && space > BUFFER_BYTES)
		space = BUFFER_BYTES;
	else if (link->have == space)
		space = space ? space * 2 : BUFFER_BYTES;
	if (space == link->space)
		return 0;
	buf = realloc(link->buf, space);
	if (!buf)
		return -SB_E_NOMEM;
	link->buf = buf;
	link->space = space;
	return 0;
}

static void rx_start(struct sb_link *link)
{
	nng_iov iov;

	if (link->closed || link->rx_pending)
		return;
	iov = (nng_iov){ link->rx_buf, sizeof(link->rx_buf) };
	nng_aio_set_iov(link->rx, 1, &iov);
	link->rx_pending = true;
	nng_stream_recv(link->stream, link->rx);
}

static void rx_use(struct sb_link *link)
{
	size_t used = 0, n;

	while (!link->closed && (n = use_one(link, link->buf + used, link->have - used)))
		used += n;
	link->have -= used;
	if (used && link->have)
		memmove(link->buf, link->buf + used, link->have);
}

/* @len bytes came into rx_buf. */
static void rx_take(struct sb_link *link, size_t len)
{
	struct sb_err err = SB_ERR_INIT;
	size_t n = 1;
	int rc;

	link->rx_ms = sb_now_boot_ms();
	if (link->refused)
		return;
	rc = sb_tls_session_feed(link->tls, link->rx_buf, len, &err);
	while (!rc && n && !link->closed) {
		if (make_room(link) < 0) {
			sb_err_nomem(&err);
			link_end(link, &err);
			return;
		}
		rc = sb_tls_session_read(link->tls, link->buf + link->have,
				link->space - link->have, &n, &err);
		if (rc)
			break;
		link->have += n;
		rx_use(link);
	}
	/* We send at most two records of our own ahead. More are answers of TLS itself, to one who
	 * asks for new keys again and again and reads none. */
	if (!rc && sb_tls_session_pending(link->tls) > TLS_AHEAD_MAX)
		rc = sb_err_set(&err, SB_E_RANGE, "the other side does not read");
	if (rc < 0)
		refuse(link, &err);
	else
		tx_start(link);
}

static void rx_done(struct sb_mail *mail)
{
	struct sb_link *link = sb_container_of(mail, struct sb_link, rx_mail);
	int rv = nng_aio_result(link->rx);
	struct sb_err err = SB_ERR_INIT;

	link->holds++;
	link->rx_pending = false;
	/* A read of nothing is the end of the stream. */
	if (rv || !nng_aio_count(link->rx)) {
		sb_tls_session_broken(link->tls, &err);
		link_end(link, &err);
	} else if (!link->closed) {
		rx_take(link, nng_aio_count(link->rx));
		rx_start(link);
	}
	link_put(link);
}

/* These two run on nng's threads. */
static void on_rx(void *arg)
{
	struct sb_link *link = arg;

	sb_mailbox_post(link->links->box, &link->rx_mail);
}

static void on_tx(void *arg)
{
	struct sb_link *link = arg;

	sb_mailbox_post(link->links->box, &link->tx_mail);
}

/* --- making --- */

static int link_start(struct sb_link *link, struct sb_tls_context *context, const char *peer_name,
		struct sb_err *err)
{
	uint8_t greeting[HEAD_BYTES];
	size_t n;
	int rc;

	make_greeting(link->side == SB_LINK_AGENT ? NNG_REP0_SELF : NNG_REP0_PEER, greeting);
	if (nng_aio_alloc(&link->rx, on_rx, link) || nng_aio_alloc(&link->tx, on_tx, link) ||
			make_room(link) < 0 || queue(link, greeting, sizeof(greeting), NULL, 0) < 0)
		return sb_err_nomem(err);
	rc = sb_tls_session_new(context, peer_name, &link->tls, err);
	/* A dialer's first words; a listener has none yet. */
	if (!rc)
		rc = sb_tls_session_read(link->tls, link->buf, link->space, &n, err);
	return rc;
}

int sb_link_new(struct sb_links *links, nng_stream *stream, const struct sb_link_how *how,
		const struct sb_link_ops *ops, void *ctx, struct sb_link **ret, struct sb_err *err)
{
	struct sb_link *link = calloc(1, sizeof(*link));
	int rc;

	if (!link) {
		nng_stream_free(stream);
		return sb_err_nomem(err);
	}
	link->links = links;
	link->next = links->first;
	link->ops = ops;
	link->ctx = ctx;
	link->side = how->side;
	link->stream = stream;
	link->rx_mail.deliver = rx_done;
	link->tx_mail.deliver = tx_done;
	link->out_tail = &link->out;
	link->rx_ms = link->tx_ms = sb_now_boot_ms();
	if (link->next)
		link->next->prev = link;
	links->first = link;
	rc = link_start(link, how->context, how->peer_name, err);
	if (rc < 0) {
		link_free(link);
		return rc;
	}
	tx_start(link);
	rx_start(link);
	*ret = link;
	return 0;
}

int sb_link_judge(const struct sb_link *link, const struct sb_tls_context *context,
		struct sb_err *err)
{
	return sb_tls_session_judge(link->tls, context, err);
}

bool sb_link_dead(const struct sb_link *link, uint64_t now_ms)
{
	nng_sockaddr sa;

	if (link->greeted && link->have && now_ms - link->rx_ms > SB_LINK_STALL_MS)
		return true;
	if (link->greeted && link->tx_pending && now_ms - link->tx_ms > SB_LINK_STALL_MS)
		return true;
	/* A socket without a peer is one whose end nng saw and could not report. */
	return nng_stream_get_addr(link->stream, NNG_OPT_REMADDR, &sa);
}

uint64_t sb_link_heard_ms(const struct sb_link *link)
{
	return link->rx_ms;
}

int sb_links_new(struct sb_mailbox *box, struct sb_links **ret, struct sb_err *err)
{
	struct sb_links *links = calloc(1, sizeof(*links));

	if (!links)
		return sb_err_nomem(err);
	links->box = box;
	*ret = links;
	return 0;
}

void sb_links_free(struct sb_links *links)
{
	struct sb_link *link;

	if (!links)
		return;
	while ((link = links->first)) {
		/* Held, so that nothing frees it; the letters are taken back by hand. */
		link->holds++;
		sb_link_close(link);
		nng_aio_stop(link->rx);
		nng_aio_stop(link->tx);
		sb_mailbox_withdraw(links->box, &link->rx_mail);
		sb_mailbox_withdraw(links->box, &link->tx_mail);
		link_free(link);
	}
	free(links);
}
