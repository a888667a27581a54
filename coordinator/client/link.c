/* link.c - the connection to one node: dial, and say why not.
 *
 * Only nng's blocking dial tells the reason of a failure, hence a thread for each node that is
 * being dialled, and none later. nng's own timeout does not end a dial whose TLS handshake
 * stalls; closing the socket does. */
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "internal.h"

#define DIAGNOSE_MIN_MS  1000
#define DIAL_STACK_BYTES ((size_t)256 << 10) /* the diagnosis runs OpenSSL on it */

void client_wake(struct sb_client *client)
{
	eventfd_write(client->done_fd, 1);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct link *link = arg;

	atomic_fetch_add(&link->pipes, ev == NNG_PIPE_EV_ADD_POST ? 1 : -1);
	if (ev == NNG_PIPE_EV_REM_POST)
		client_wake(link->client);
}

bool link_up(const struct link *link)
{
	return link->open && !link->dialing && atomic_load(&link->pipes) > 0;
}

void link_close(struct link *link)
{
	if (link->open)
		nng_close(link->socket);
	link->open = false;
	atomic_store(&link->pipes, 0);
}

void link_free(struct link *link)
{
	if (!link)
		return;
	link_close(link);
	free(link->name);
	free(link->address);
	free(link);
}

int link_get(struct sb_client *client, const struct sb_target *target, struct link **ret,
		struct sb_err *err)
{
	struct link *link;

	for (link = client->links; link; link = link->next) {
		if (link->port != target->port || strcmp(link->name, target->name) ||
				strcmp(link->address, target->address))
			continue;
		*ret = link;
		return 0;
	}
	link = calloc(1, sizeof(*link));
	if (!link)
		return sb_err_nomem(err);
	link->client = client;
	link->port = target->port;
	link->name = strdup(target->name);
	link->address = strdup(target->address);
	if (!link->name || !link->address) {
		link_free(link);
		return sb_err_nomem(err);
	}
	link->next = client->links;
	client->links = link;
	*ret = link;
	return 0;
}

/* What a refusal can look like from here: the alert itself, or the connection going away while we
 * still write. */
static bool worth_diagnosis(int rv)
{
	return rv == NNG_ECRYPTO || rv == NNG_EPEERAUTH || rv == NNG_ECONNRESET ||
			rv == NNG_ECONNSHUT || rv == NNG_ECLOSED || rv == NNG_EPROTO;
}

static int explain(struct link *link, int rv, struct sb_err *err)
{
	const char *name = link->name;
	bool v6 = strchr(link->address, ':');
	int rc;

	if (rv == NNG_EADDRINVAL) {
		rc = sb_err_set(err, SB_E_NOT_FOUND, "node %s: %s is not the name of any host",
				name, link->address);
		return sb_err_hint(err, rc, "correct the node's address in the cluster file");
	}
	if (rv == NNG_ETIMEDOUT)
		rv = NNG_EUNREACHABLE; /* TCP's own: nothing was asked of the node */
	rc = sb_wire_err_nng(err, rv,
			v6 ? "node %s: connect to [%s]:%u" : "node %s: connect to %s:%u", name,
			link->address, link->port);
	if (rv == NNG_ECONNREFUSED)
		return sb_err_hint(err, rc,
				"is sparkbusd running on %s? systemctl status sparkbusd", name);
	if (rv == NNG_EUNREACHABLE)
		return sb_err_hint(err, rc, "is %s switched on and on this network?", name);
	return rc;
}

static int diagnose(struct link *link, struct sb_err *err)
{
	uint64_t now_ms = sb_now_boot_ms();
	uint64_t left_ms = link->deadline_ms > now_ms ? link->deadline_ms - now_ms : 0;
	int rc;

	if (left_ms < DIAGNOSE_MIN_MS)
		left_ms = DIAGNOSE_MIN_MS;
	rc = sb_tls_diagnose(link->address, link->port, &link->client->creds, link->name,
			(unsigned)left_ms, err);
	return sb_err_wrap(err, rc < 0 ? rc : -SB_E_INTERNAL, "node %s", link->name);
}

static void *dial_main(void *arg)
{
	struct link *link = arg;
	int rv = nng_dialer_start(link->dialer, 0);

	link->dial_rc = 0;
	link->refused = rv && !atomic_load(&link->given_up);
	if (rv) {
		link->dial_rc = explain(link, rv, &link->dial_err);
		if (worth_diagnosis(rv) && link->refused)
			link->dial_rc = diagnose(link, &link->dial_err);
	}
	atomic_store(&link->dial_done, true);
	client_wake(link->client);
	return NULL;
}

/* Signals stay with the caller's thread: that is where Ctrl-C is handled. */
static int start_thread(struct link *link)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, DIAL_STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&link->thread, &attr, dial_main, link);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

int link_dial_start(struct link *link, uint64_t deadline_ms, struct sb_err *err)
{
	int rc;

	link_close(link);
	rc = sb_wire_req_open(&link->client->creds, link->name, link->address, link->port,
			&link->socket, &link->dialer, err);
	if (rc < 0)
		return rc;
	link->open = true;
	atomic_store(&link->given_up, false);
	link->deadline_ms = deadline_ms;
	atomic_store(&link->dial_done, false);
	nng_pipe_notify(link->socket, NNG_PIPE_EV_ADD_POST, on_pipe, link);
	nng_pipe_notify(link->socket, NNG_PIPE_EV_REM_POST, on_pipe, link);
	rc = start_thread(link);
	if (rc) {
		link_close(link);
		return sb_err_errno(err, rc, "node %s: start a thread to dial", link->name);
	}
	link->dialing = true;
	return 0;
}

void link_dial_give_up(struct link *link)
{
	atomic_store(&link->given_up, true);
	nng_close(link->socket);
	link->open = false;
}

int link_dial_end(struct link *link, struct sb_err *err)
{
	pthread_join(link->thread, NULL);
	link->dialing = false;
	if (link->dial_rc < 0) {
		link_close(link);
		*err = link->dial_err;
	}
	return link->dial_rc;
}
