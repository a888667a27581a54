/* monitor.h - the two threads of `monitor`: one asks the nodes, the other has the screen. */
#ifndef SB_CLI_MONITOR_H
#define SB_CLI_MONITOR_H

#include <pthread.h>

#include "cli.h"
#include "sb_monitor.h"

struct event_cursor; /* of a node: how far its events were read */

/* Only the polling thread asks nodes. What it learned is swapped in under the lock, so that the
 * screen never waits for a node. */
struct monitor {
	struct cli *cli;
	const struct cli_nodes *nodes;
	struct sb_client *client;
	unsigned interval_ms, deadline_ms;
	struct event_cursor *cursors; /* one a node */
	uint8_t log_cursor[64];
	size_t log_cursor_len;
	int news; /* eventfd: something below has changed; -1 = nobody looks */

	pthread_mutex_t lock;
	pthread_cond_t wanted; /* stop or log_job have changed */
	bool stop;
	struct sb_monitor_model model;
	struct sb_monitor_lines events, log;
	char log_job[SB_MONITOR_KEY]; /* whose log is read; "" = none */
};

int monitor_init(struct monitor *m, struct cli *cli, const struct cli_nodes *nodes,
		unsigned interval_ms, unsigned deadline_ms, struct sb_err *err);
void monitor_done(struct monitor *m);
/** Ask every node once. *@ret_silent (may be NULL): nodes without an answer. */
int monitor_round(struct monitor *m, size_t *ret_silent, struct sb_err *err);
/** Ask again and again, a round an interval, until m->stop. A thread's function. */
void *monitor_poll(void *monitor);

/** Whether the terminal of this locale shows ASCII alone. Sets LC_CTYPE from the environment. */
bool monitor_ascii(void);
/** The live view on the terminal, until it is left. */
int monitor_screen(struct monitor *m, struct sb_err *err);

#endif
