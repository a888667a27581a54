/* client.c - ask nodes, all at once, and never wait longer than was said.
 *
 * A client has an event loop of its own, which runs in the caller's thread while it waits. The
 * connections do the rest (sb_dial.h). */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "sb_client.h"
#include "sb_dial.h"

struct conn {
	struct conn *next;
	char *name, *address;
	uint16_t port;
	struct sb_dial *dial;
};

struct sb_client {
	struct sb_tls_context *context;
	char *operator_name;
	sd_event *loop;
	struct sb_mailbox *box;
	struct sb_links *links;
	struct conn *conns;
	int interrupt_fd; /* eventfd: sb_client_interrupt() */
	sd_event_source *interrupt_source;
	bool interrupted;
	size_t left; /* jobs of this fan that have no answer */
};

/* From a request that is to be sent until its answer, or the reason why there is none. */
struct job {
	struct sb_client *client;
	struct conn *conn;
	struct sb_dial_call *call; /* while it waits for its answer */
	bool done;
	uint64_t start_us;
	struct sb_answer *answer;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void job_done(struct job *job)
{
	job->answer->took_us = now_us() - job->start_us;
	job->done = true;
	job->client->left--;
}

/* --- asking --- */

static void on_answer(void *ctx, sb_response *reply, const struct sb_err *err)
{
	struct job *job = ctx;

	job->call = NULL;
	if (err)
		job->answer->err = *err;
	job->answer->reply = reply;
	job_done(job);
}

static void conn_free(struct conn *conn)
{
	sb_dial_free(conn->dial);
	free(conn->name);
	free(conn->address);
	free(conn);
}

static int conn_get(struct sb_client *client, const struct sb_target *target, struct conn **ret,
		struct sb_err *err)
{
	struct sb_dial_to to = { target->name, target->address, target->port, false };
	struct conn *conn;
	int rc;

	for (conn = client->conns; conn; conn = conn->next) {
		if (conn->port != target->port || strcmp(conn->name, target->name) ||
				strcmp(conn->address, target->address))
			continue;
		*ret = conn;
		return 0;
	}
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return sb_err_nomem(err);
	conn->port = target->port;
	conn->name = strdup(target->name);
	conn->address = strdup(target->address);
	rc = conn->name && conn->address ? 0 : sb_err_nomem(err);
	if (!rc)
		rc = sb_dial_new(client->loop, client->box, client->links, client->context, &to,
				&conn->dial, err);
	if (rc < 0) {
		conn_free(conn);
		return rc;
	}
	conn->next = client->conns;
	client->conns = conn;
	*ret = conn;
	return 0;
}

static void job_start(struct job *job, const struct sb_target *target, const sb_request *request,
		unsigned deadline_ms)
{
	struct sb_client *client = job->client;
	sb_request copy = *request; /* the members stay the caller's */
	int rc;

	if (sb_empty(copy.operator_))
		copy.operator_ = client->operator_name;
	rc = conn_get(client, target, &job->conn, &job->answer->err);
	if (!rc)
		rc = sb_dial_call(job->conn->dial, &copy, deadline_ms, on_answer, job, &job->call,
				&job->answer->err);
	if (rc < 0)
		job_done(job);
}

static void job_interrupt(struct job *job)
{
	const char *name = job->conn->name;
	bool sent = job->call && sb_dial_call_sent(job->call);

	sb_err_set(&job->answer->err, SB_E_CANCELLED, "node %s: interrupted%s", name,
			sent ? "; whether it was done is unknown" : " before it was asked");
	sb_dial_cancel(sb_steal(job->call));
	job_done(job);
}

static void wait_all(struct sb_client *client, struct job *jobs, size_t n)
{
	while (client->left && !client->interrupted)
		if (sd_event_run(client->loop, UINT64_MAX) < 0)
			break; /* the loop itself is broken; nothing will come any more */
	if (client->left)
		client->interrupted = false;
	for (size_t i = 0; i < n; i++)
		if (!jobs[i].done)
			job_interrupt(&jobs[i]);
}

size_t sb_client_fan(struct sb_client *client, const struct sb_target *targets,
		sb_request *const *requests, size_t n, unsigned deadline_ms, struct sb_answer *rets)
{
	SB_CLEANUP(sb_freep) struct job *jobs = calloc(n ? n : 1, sizeof(*jobs));
	size_t failed = 0;

	for (size_t i = 0; i < n; i++) {
		rets[i] = (struct sb_answer){ 0 };
		if (!jobs)
			sb_err_nomem(&rets[i].err);
	}
	if (!jobs)
		return n;
	/* What happened since the last call: connections that ended, for one. */
	while (sd_event_run(client->loop, 0) > 0)
		;
	client->left = n;
	for (size_t i = 0; i < n; i++) {
		jobs[i] = (struct job){
			.client = client, .answer = &rets[i], .start_us = now_us()
		};
		job_start(&jobs[i], &targets[i], requests[i], deadline_ms);
	}
	wait_all(client, jobs, n);
	for (size_t i = 0; i < n; i++)
		failed += !rets[i].reply;
	return failed;
}

int sb_client_call(struct sb_client *client, const struct sb_target *target, sb_request *request,
		unsigned deadline_ms, struct sb_answer *ret, struct sb_err *err)
{
	sb_request *requests[] = { request };

	if (!sb_client_fan(client, target, requests, 1, deadline_ms, ret))
		return 0;
	if (err)
		*err = ret->err;
	return -(int)ret->err.code;
}

void sb_answer_done(struct sb_answer *answer)
{
	if (answer->reply)
		sparkbus__response__free_unpacked(answer->reply, NULL);
	*answer = (struct sb_answer){ 0 };
}

/* --- interrupt --- */

void sb_client_interrupt(struct sb_client *client)
{
	int saved = errno;
	uint64_t one = 1;

	/* Full means that an interrupt waits already. */
	if (write(client->interrupt_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* Without a call it stays: the next one is the one that is meant. */
static int on_interrupt(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct sb_client *client = ctx;
	eventfd_t count;

	if (!eventfd_read(fd, &count))
		client->interrupted = true;
	return 0;
}

/* --- life --- */

static int make_loop(struct sb_client *client, struct sb_err *err)
{
	int rc;

	client->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->interrupt_fd < 0)
		return sb_err_errno(err, errno, "eventfd");
	rc = sd_event_new(&client->loop);
	if (rc >= 0)
		rc = sd_event_add_io(client->loop, &client->interrupt_source, client->interrupt_fd,
				EPOLLIN, on_interrupt, client);
	if (rc >= 0)
		rc = sd_event_source_set_priority(
				client->interrupt_source, SD_EVENT_PRIORITY_IMPORTANT);
	if (rc < 0)
		return sb_err_errno(err, -rc, "event loop");
	rc = sb_mailbox_new(client->loop, &client->box, err);
	if (!rc)
		rc = sb_links_new(client->box, &client->links, err);
	return rc;
}

int sb_client_new(const struct sb_tls_creds *creds, const char *operator_name,
		struct sb_client **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_client_freep) struct sb_client *client = calloc(1, sizeof(*client));
	int rc;

	if (!client)
		return sb_err_nomem(err);
	client->interrupt_fd = -1;
	client->operator_name = strdup(operator_name);
	if (!client->operator_name)
		return sb_err_nomem(err);
	/* Said once here, and not by every node. */
	rc = sb_tls_context_new(creds, SB_TLS_DIALS, &client->context, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "operator's credentials");
	rc = make_loop(client, err);
	if (rc < 0)
		return rc;
	*ret = sb_steal(client);
	return 0;
}

void sb_client_free(struct sb_client *client)
{
	struct conn *conn;

	if (!client)
		return;
	while ((conn = client->conns)) {
		client->conns = conn->next;
		conn_free(conn);
	}
	sb_links_free(client->links);
	sb_mailbox_free(client->box);
	sd_event_source_disable_unref(client->interrupt_source);
	sd_event_unref(client->loop);
	sb_closep(&client->interrupt_fd);
	sb_tls_context_unref(client->context);
	free(client->operator_name);
	free(client);
}
