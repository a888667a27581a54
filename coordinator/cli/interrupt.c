/* Ctrl-C. The handler sets a flag and breaks off the calls that may be waiting; what it means is
 * for the command to decide, at a point where it knows what was started. */
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "cli.h"

#define CLIENTS_MAX 4

static volatile sig_atomic_t caught;
/* Slots are set and cleared with the signals blocked, so that the handler sees whole ones. */
static struct sb_client *volatile clients[CLIENTS_MAX];

static void on_signal(int signo)
{
	int saved = errno;

	/* A second one ends the process: what was waited for may never come. */
	if (caught) {
		signal(signo, SIG_DFL);
		raise(signo);
	}
	caught = 1;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients[i])
			sb_client_interrupt(clients[i]);
	errno = saved;
}

void interrupt_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: waits end early */

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
	return caught;
}

void interrupt_reset(void)
{
	caught = 0;
}

static bool change_slot(struct sb_client *from, struct sb_client *to)
{
	sigset_t block, before;
	bool found = false;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	for (size_t i = 0; i < CLIENTS_MAX && !found; i++) {
		if (clients[i] == from) {
			clients[i] = to;
			found = true;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return found;
}

bool interrupt_watch(struct sb_client *client)
{
	return change_slot(NULL, client);
}

void interrupt_unwatch(struct sb_client *client)
{
	if (client)
		change_slot(client, NULL);
}

void interrupt_wait(unsigned ms)
{
	if (!interrupted())
		poll(NULL, 0, (int)ms);
}
