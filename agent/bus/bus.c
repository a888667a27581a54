#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"

#define TICK_MS         1000
#define PROBE_TICKS     5 /* a sweep for connections that broke without a word: every 5 s */
#define ACCEPT_RETRY_MS 100

static void accept_start(struct listener *listener);

static int on_accept_retry(sd_event_source *source, uint64_t usec, void *ctx)
{
	accept_start(ctx);
	return 0;
}

static void accept_done(struct sb_mail *mail)
{
	struct listener *listener = sb_container_of(mail, struct listener, mail);
	struct door *door = listener->door;
	int rv = nng_aio_result(listener->aio);

	listener->pending = false;
	if (!rv)
		conn_new(door, nng_aio_get_output(listener->aio, 0));
	/* Descriptors or memory ran out: without the pause this would spin. If even the timer
	 * cannot be had, spinning is better than never to accept again. */
	if (rv && rv != NNG_ECANCELED &&
			!sb_timer_once(door->bus->loop, &listener->retry, ACCEPT_RETRY_MS,
					on_accept_retry, listener, NULL))
		return;
	accept_start(listener);
}

/* Runs on a thread of nng. */
static void on_accept(void *arg)
{
	struct listener *listener = arg;

	sb_mailbox_post(listener->door->bus->box, &listener->mail);
}

static void accept_start(struct listener *listener)
{
	if (listener->pending)
		return;
	listener->pending = true;
	nng_stream_listener_accept(listener->stream, listener->aio);
}

static void listener_done(struct listener *listener)
{
	if (listener->stream)
		nng_stream_listener_close(listener->stream);
	if (listener->aio) {
		nng_aio_stop(listener->aio);
		sb_mailbox_withdraw(listener->door->bus->box, &listener->mail);
		if (listener->pending && !nng_aio_result(listener->aio))
			nng_stream_free(nng_aio_get_output(listener->aio, 0));
		nng_aio_free(listener->aio);
	}
	nng_stream_listener_free(listener->stream);
	sd_event_source_disable_unref(listener->retry);
	*listener = (struct listener){ 0 };
}

static int listener_open(struct door *door, const char *scheme, const char *host, uint16_t port,
		int *ret_port, struct sb_err *err)
{
	struct listener *listener = &door->listeners[door->n_listeners];
	char url[SB_WIRE_URL_MAX];
	int rv, rc;

	rc = sb_wire_url(scheme, host, port, url, err);
	if (rc < 0)
		return rc;
	*listener = (struct listener){ .door = door, .mail.deliver = accept_done };
	rv = nng_stream_listener_alloc(&listener->stream, url);
	if (!rv)
		rv = nng_aio_alloc(&listener->aio, on_accept, listener);
	if (!rv)
		rv = nng_stream_listener_set_bool(listener->stream, NNG_OPT_TCP_NODELAY, true);
	if (!rv)
		rv = nng_stream_listener_set_bool(listener->stream, NNG_OPT_TCP_KEEPALIVE, true);
	if (!rv)
		rv = nng_stream_listener_listen(listener->stream);
	if (!rv)
		rv = nng_stream_listener_get_int(
				listener->stream, NNG_OPT_TCP_BOUND_PORT, ret_port);
	if (rv) {
		listener_done(listener);
		rc = sb_wire_err_nng(err, rv, "listen on %s", strchr(url, ':') + 3);
		if (rv == NNG_EADDRINUSE)
			sb_err_hint(err, rc, "see who has port %u: ss -ltnp 'sport = :%u'", port,
					port);
		return rc;
	}
	door->n_listeners++;
	return 0;
}

/* Whether an IPv6 socket leaves IPv4 alone on this system (nng sets no IPV6_V6ONLY). */
static bool ipv6_only(void)
{
	SB_CLEANUP(sb_closep) int fd = open("/proc/sys/net/ipv6/bindv6only", O_RDONLY | O_CLOEXEC);
	char c = '0';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

static int door_open(struct door *door, const char *address, uint16_t port, struct sb_err *err)
{
	int bound = 0, rc;

	if (*address) {
		rc = listener_open(door, "tcp", address, port, &bound, err);
	} else {
		rc = listener_open(door, "tcp6", "::", port, &bound, err);
		if (rc == -SB_E_BUSY)
			return rc;
		/* No IPv6 here, or it takes no IPv4 along. */
		if (rc < 0 || ipv6_only())
			rc = listener_open(door, "tcp4", "0.0.0.0", rc < 0 ? port : (uint16_t)bound,
					&bound, err);
	}
	if (rc < 0)
		return rc;
	door->port = (uint16_t)bound;
	return 0;
}

static void door_close(struct door *door)
{
	for (unsigned i = 0; i < door->n_listeners; i++)
		listener_done(&door->listeners[i]);
	door->n_listeners = 0;
	door->port = 0;
	free(door->address);
	door->address = NULL;
	conns_close_all(door);
}

int sb_bus_listen(struct sb_bus *bus, enum sb_bus_door id, const char *address, uint16_t port,
		const struct sb_tls_creds *creds, struct sb_err *err)
{
	static const char *const names[] = { [SB_BUS_CONTROL] = "control", [SB_BUS_PEER] = "peer" };
	SB_CLEANUP(sb_tls_context_unrefp) struct sb_tls_context *context = NULL;
	SB_CLEANUP(sb_freep) char *copy = strdup(address);
	struct door *door = &bus->doors[id];
	int rc;

	if (!copy)
		return sb_err_nomem(err);
	rc = sb_tls_context_new(creds, SB_TLS_LISTENS, &context, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "%s listener", names[id]);
	if (door->n_listeners) {
		if (strcmp(door->address, address) ||
				(port != door->asked_port && port != door->port))
			return sb_err_set(err, SB_E_INVALID, "%s listener: open already on port %u",
					names[id], door->port);
		conns_use(door, context);
		return 0;
	}
	rc = door_open(door, address, port, err);
	if (rc < 0) {
		door_close(door);
		return sb_err_wrap(err, rc, "%s listener", names[id]);
	}
	conns_use(door, context);
	door->address = sb_steal(copy);
	door->asked_port = port;
	for (unsigned i = 0; i < door->n_listeners; i++)
		accept_start(&door->listeners[i]);
	return 0;
}

uint16_t sb_bus_port(const struct sb_bus *bus, enum sb_bus_door door)
{
	return bus->doors[door].port;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_bus *bus = ctx;
	bool probe = bus->ticks++ % PROBE_TICKS == 0;
	unsigned left = 0;

	for (int i = 0; i < SB_BUS_DOOR_COUNT_; i++) {
		conns_sweep(&bus->doors[i], sb_now_boot_ms(), probe);
		left += bus->doors[i].n_conns;
	}
	return left ? sb_timer_once(bus->loop, &bus->tick, TICK_MS, on_tick, bus, NULL) : 0;
}

void bus_arm_tick(struct sb_bus *bus)
{
	int enabled = SD_EVENT_OFF;

	if (bus->tick)
		sd_event_source_get_enabled(bus->tick, &enabled);
	/* A failure is repeated by the next connection. */
	if (enabled == SD_EVENT_OFF)
		sb_timer_once(bus->loop, &bus->tick, TICK_MS, on_tick, bus, NULL);
}

int sb_bus_new(sd_event *loop, struct sb_mailbox *box, sb_bus_request_fn fn, void *ctx,
		struct sb_bus **ret, struct sb_err *err)
{
	struct sb_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return sb_err_nomem(err);
	if (sb_links_new(box, &bus->links, err) < 0) {
		free(bus);
		return -SB_E_NOMEM;
	}
	bus->loop = loop;
	bus->box = box;
	bus->fn = fn;
	bus->ctx = ctx;
	for (int i = 0; i < SB_BUS_DOOR_COUNT_; i++) {
		bus->doors[i].bus = bus;
		bus->doors[i].id = (enum sb_bus_door)i;
	}
	*ret = bus;
	return 0;
}

void sb_bus_free(struct sb_bus *bus)
{
	if (!bus)
		return;
	for (int i = 0; i < SB_BUS_DOOR_COUNT_; i++) {
		door_close(&bus->doors[i]);
		sb_tls_context_unref(bus->doors[i].context);
	}
	sb_links_free(bus->links);
	sd_event_source_disable_unref(bus->tick);
	free(bus);
}
