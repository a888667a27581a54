/* internal.h - shared between the files of coordinator/client only. */
#ifndef SB_CLIENT_INTERNAL_H
#define SB_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "sb_client.h"
#include "sb_wire_nng.h"

/* The connection to one node. All of it belongs to the caller's thread, but for what is atomic
 * and, while a dial runs, what dial_main() writes; link_dial_end() gives that back. */
struct link {
	struct sb_client *client;
	struct link *next;
	char *name, *address;
	uint16_t port;
	bool open; /* socket and dialer exist */
	nng_socket socket;
	nng_dialer dialer;
	atomic_int pipes; /* connections that are up: 0 or 1 */
	bool dialing;     /* the thread runs or was not joined */
	pthread_t thread;
	uint64_t deadline_ms; /* CLOCK_BOOTTIME: until when the dial may take */
	atomic_bool given_up; /* the socket was closed under the dial; no diagnosis then */
	atomic_bool dial_done;
	bool refused; /* dial_err says why, and not only that the dial was stopped */
	bool suspect; /* did not answer in time: to be closed */
	int dial_rc;
	struct sb_err dial_err;
};

struct sb_client {
	char *cert_pem, *key_pem, *ca_pem, *crl_pem;
	struct sb_tls_creds creds;
	char *operator_name;
	struct link *links;
	int done_fd;      /* eventfd: a dial or a call came to its end */
	int interrupt_fd; /* eventfd: sb_client_interrupt() */
};

/** The link to @target, new or known. */
int link_get(struct sb_client *client, const struct sb_target *target, struct link **ret,
		struct sb_err *err);
/** Whether a request can be sent at once. */
bool link_up(const struct link *link);
/** Begin to connect, in a thread of its own; @client->done_fd tells when dial_done is set. */
int link_dial_start(struct link *link, uint64_t deadline_ms, struct sb_err *err);
/** Stop a dial that runs; it ends soon. */
void link_dial_give_up(struct link *link);
/** Join a dial that is done. Return: its result. */
int link_dial_end(struct link *link, struct sb_err *err);
void link_close(struct link *link);
void link_free(struct link *link);
void client_wake(struct sb_client *client);

#endif
