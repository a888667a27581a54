#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "sb_loop.h"

struct sb_mailbox {
	pthread_mutex_t lock;
	struct sb_mail *first; /* posted, oldest first */
	struct sb_mail **tail;
	int fd; /* eventfd: readable while something may be posted */
	sd_event_source *source;
};

static struct sb_mail *take_first(struct sb_mailbox *box)
{
	struct sb_mail *mail;

	pthread_mutex_lock(&box->lock);
	mail = box->first;
	if (mail) {
		box->first = mail->next;
		if (!box->first)
			box->tail = &box->first;
		mail->next = NULL;
	}
	pthread_mutex_unlock(&box->lock);
	return mail;
}

/* Letters are taken one by one, because a delivery may withdraw the next one. A burst is cut, so
 * that timers and other descriptors get their turn. */
#define BATCH_MAX 256

static int on_posted(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct sb_mailbox *box = ctx;
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	if (n < 0 && errno != EAGAIN)
		return -errno;
	for (int i = 0; i < BATCH_MAX; i++) {
		struct sb_mail *mail = take_first(box);

		if (!mail)
			return 0;
		mail->deliver(mail);
	}
	eventfd_write(fd, 1); /* cannot fail: the counter is far from its end */
	return 0;
}

int sb_mailbox_new(sd_event *loop, struct sb_mailbox **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_mailbox_freep) struct sb_mailbox *box = calloc(1, sizeof(*box));
	int rc;

	if (!box)
		return sb_err_nomem(err);
	pthread_mutex_init(&box->lock, NULL);
	box->tail = &box->first;
	box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->fd < 0)
		return sb_err_errno(err, errno, "eventfd");
	rc = sd_event_add_io(loop, &box->source, box->fd, EPOLLIN, on_posted, box);
	if (rc < 0)
		return sb_err_errno(err, -rc, "mailbox: add to the event loop");
	*ret = sb_steal(box);
	return 0;
}

void sb_mailbox_free(struct sb_mailbox *box)
{
	if (!box)
		return;
	sd_event_source_disable_unref(box->source);
	sb_closep(&box->fd);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

void sb_mailbox_post(struct sb_mailbox *box, struct sb_mail *mail)
{
	bool wake;

	pthread_mutex_lock(&box->lock);
	wake = !box->first;
	mail->next = NULL;
	*box->tail = mail;
	box->tail = &mail->next;
	/* Under the lock, so that the mailbox cannot be freed between the two. */
	if (wake)
		eventfd_write(box->fd, 1);
	pthread_mutex_unlock(&box->lock);
}

void sb_mailbox_withdraw(struct sb_mailbox *box, struct sb_mail *mail)
{
	struct sb_mail **at;

	pthread_mutex_lock(&box->lock);
	for (at = &box->first; *at && *at != mail; at = &(*at)->next)
		;
	if (*at) {
		*at = mail->next;
		if (!*at)
			box->tail = at;
		mail->next = NULL;
	}
	pthread_mutex_unlock(&box->lock);
}

#define DELAY_MAX_MS ((uint64_t)36500 * 24 * 3600 * 1000)

int sb_timer_once(sd_event *loop, sd_event_source **source, uint64_t delay_ms,
		sd_event_time_handler_t fn, void *ctx, struct sb_err *err)
{
	/* A century is for ever; more would overflow with the time that passed already. */
	uint64_t usec = (delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS) * 1000;
	sd_event_source *fresh = NULL;
	int rc;

	/* An accuracy of 1 ms: sd-event's default of 250 ms saves wake-ups that we lack. */
	rc = sd_event_add_time_relative(loop, &fresh, CLOCK_BOOTTIME, usec, 1000, fn, ctx);
	if (rc < 0)
		return sb_err_errno(err, -rc, "add a timer");
	/* A source cannot be given another handler, so the old one goes. */
	sd_event_source_disable_unref(*source);
	*source = fresh;
	return 0;
}
