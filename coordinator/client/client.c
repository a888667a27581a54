/* client.c - ask nodes, all at once, and never wait longer than was said.
 *
 * The caller's thread does everything but dialling: it starts what can be started, sleeps on two
 * descriptors (something ended; somebody interrupts), and at the end takes back whatever did not
 * come. nng's threads and the dialling ones only set a flag and wake it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "internal.h"

/* A connection comes within milliseconds or the node is off, frozen or behind a firewall: a long
 * deadline is for the work, and nobody should sit through it to learn that nothing was asked. */
#define CONNECT_MS 4000u

/* From a request that is to be sent until its answer, or the reason why there is none. */
struct job {
	struct sb_client *client;
	struct link *link;
	nng_msg *msg; /* until it is sent */
	uint8_t id[SB_WIRE_ID_BYTES];
	unsigned deadline_ms;
	uint64_t until_ms; /* CLOCK_BOOTTIME */
	nng_ctx ctx;
	nng_aio *aio;
	bool has_ctx;
	bool started; /* handed to nng, which sets ended */
	bool done;    /* @answer is filled */
	atomic_bool sent;
	atomic_bool ended;
	int rv; /* nng's result, once ended */
	uint64_t start_us;
	struct sb_answer *answer;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- one request --- */

/* On a thread of nng: sent, so wait for the answer; or at the end. */
static void on_aio(void *arg)
{
	struct job *job = arg;
	int rv = nng_aio_result(job->aio);

	if (!rv && !atomic_load(&job->sent)) {
		atomic_store(&job->sent, true);
		nng_ctx_recv(job->ctx, job->aio);
		return;
	}
	job->rv = rv;
	atomic_store(&job->ended, true);
	client_wake(job->client);
}

static void job_release(struct job *job)
{
	if (job->aio) {
		nng_msg *left;

		nng_aio_stop(job->aio);
		/* What was not sent, or came when nobody waited any more. */
		left = nng_aio_get_msg(job->aio);
		if (left)
			nng_msg_free(left);
		nng_aio_free(job->aio);
		job->aio = NULL;
	}
	if (job->has_ctx)
		nng_ctx_close(job->ctx);
	job->has_ctx = false;
	if (job->msg)
		nng_msg_free(job->msg);
	job->msg = NULL;
}

static void job_done(struct job *job)
{
	job_release(job);
	job->answer->took_us = now_us() - job->start_us;
	job->done = true;
}

static uint64_t connect_until(const struct job *job)
{
	uint64_t until_ms = sb_now_boot_ms() + CONNECT_MS;

	return until_ms < job->until_ms ? until_ms : job->until_ms;
}

static void job_fail(struct job *job, const struct sb_err *err)
{
	job->answer->err = *err;
	job_done(job);
}

static void job_start(struct job *job)
{
	struct sb_err err;
	int rv;

	rv = nng_ctx_open(&job->ctx, job->link->socket);
	job->has_ctx = !rv;
	if (!rv)
		rv = nng_aio_alloc(&job->aio, on_aio, job);
	if (rv) {
		sb_wire_err_nng(&err, rv, "node %s: send", job->link->name);
		job_fail(job, &err);
		return;
	}
	job->started = true;
	nng_aio_set_timeout(
			job->aio, NNG_DURATION_INFINITE); /* the deadline is kept by wait_all() */
	nng_aio_set_msg(job->aio, sb_steal(job->msg));
	nng_ctx_send(job->ctx, job->aio);
}

/* nng said that there will be no answer. */
static void job_lost(struct job *job)
{
	const char *name = job->link->name;
	struct sb_err err;
	int rc;

	job->link->suspect = true; /* nng may not have noticed yet that it is down */
	if (atomic_load(&job->sent)) {
		rc = sb_err_set(&err, SB_E_UNAVAILABLE,
				"node %s: the connection was lost before the answer (%s); whether "
				"it "
				"was done is unknown",
				name, nng_strerror(job->rv));
		sb_err_hint(&err, rc, "see systemctl status sparkbusd on %s, then ask again", name);
	} else {
		sb_wire_err_nng(&err, job->rv, "node %s: send", name);
	}
	job_fail(job, &err);
}

static void job_collect(struct job *job)
{
	nng_msg *msg;
	struct sb_err err;
	int rc;

	if (job->rv) {
		job_lost(job);
		return;
	}
	msg = nng_aio_get_msg(job->aio);
	nng_aio_set_msg(job->aio, NULL);
	rc = sb_wire_response_msg(msg, job->id, &job->answer->reply, &err);
	if (rc == 0) {
		job_done(job);
		return;
	}
	/* An agent's Error names its node already. */
	if (strncmp(err.text, "node ", 5))
		sb_err_wrap(&err, rc, "node %s", job->link->name);
	job_fail(job, &err);
}

static bool job_stranded(const struct job *job)
{
	return job->started && !job->done && !atomic_load(&job->sent) &&
			!atomic_load(&job->ended) && !atomic_load(&job->link->pipes);
}

/* Take a request back from nng, to be started again. */
static void job_take_back(struct job *job)
{
	nng_aio_stop(job->aio);
	if (atomic_load(&job->sent)) {
		job->rv = NNG_ECONNRESET;
		job_lost(job);
		return;
	}
	job->msg = nng_aio_get_msg(job->aio);
	nng_aio_set_msg(job->aio, NULL);
	nng_aio_free(job->aio);
	job->aio = NULL;
	nng_ctx_close(job->ctx);
	job->has_ctx = job->started = false;
	atomic_store(&job->ended, false);
}

/* A connection went before requests were sent by it. nng would dial again and again in silence
 * until the deadline; we dial once and hear why it fails. */
static void redial(struct link *link, struct job *jobs, size_t n)
{
	uint64_t until_ms = 0;
	struct sb_err err;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].link != link || !job_stranded(&jobs[i]))
			continue;
		until_ms = connect_until(&jobs[i]);
		job_take_back(&jobs[i]);
	}
	if (link_dial_start(link, until_ms, &err) == 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (jobs[i].link == link && !jobs[i].done && !jobs[i].started)
			job_fail(&jobs[i], &err);
}

static void job_late(struct job *job, bool interrupted)
{
	const char *name = job->link->name;
	bool sent = job->started && atomic_load(&job->sent);
	struct sb_err err;
	int rc;

	if (interrupted)
		rc = sb_err_set(&err, SB_E_CANCELLED, "node %s: interrupted%s", name,
				sent ? "; whether it was done is unknown" : " before it was asked");
	else if (sent)
		rc = sb_err_set(&err, SB_E_TIMEOUT,
				"node %s: no answer within %u ms; whether it was done is unknown",
				name, job->deadline_ms);
	else
		rc = sb_err_set(&err, SB_E_UNAVAILABLE,
				"node %s: no connection to %s port %u within %g s; nothing was "
				"asked of it",
				name, job->link->address, job->link->port,
				(job->deadline_ms < CONNECT_MS ? job->deadline_ms : CONNECT_MS) /
						1e3);
	if (!interrupted && sent)
		sb_err_hint(&err, rc, "look at the node's state before you repeat it");
	else if (!interrupted)
		sb_err_hint(&err, rc, "is %s switched on, and does a firewall stop port %u?", name,
				job->link->port);
	job_fail(job, &err);
}

/* --- many at once --- */

static void wait_for_news(struct sb_client *client, uint64_t until_ms, bool *interrupted)
{
	struct pollfd fds[] = {
		{ .fd = client->done_fd, .events = POLLIN },
		{ .fd = client->interrupt_fd, .events = POLLIN },
	};
	uint64_t now_ms = sb_now_boot_ms();
	eventfd_t count;

	if (until_ms <= now_ms)
		return;
	if (poll(fds, sb_countof(fds), (int)(until_ms - now_ms)) <= 0)
		return; /* time is up, or a signal: the caller looks again */
	if (fds[0].revents)
		eventfd_read(client->done_fd, &count);
	if (fds[1].revents && !eventfd_read(client->interrupt_fd, &count))
		*interrupted = true;
}

/* Take what came to its end since the last look. Return: how many are still waited for. */
static size_t look(struct job *jobs, size_t n)
{
	struct sb_err err;
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		struct job *job = &jobs[i];
		struct link *link = job->link;

		if (job->done)
			continue;
		if (link->dialing && atomic_load(&link->dial_done) &&
				link_dial_end(link, &err) < 0) {
			/* All that wait for this connection. */
			for (size_t k = 0; k < n; k++)
				if (jobs[k].link == link && !jobs[k].done)
					job_fail(&jobs[k], &err);
			continue;
		}
		if (job_stranded(job))
			redial(link, jobs, n);
		else if (!job->started && !link->dialing)
			job_start(job);
		if (!job->done && job->started && atomic_load(&job->ended))
			job_collect(job);
		left += !job->done;
	}
	return left;
}

static bool too_late(const struct job *job, uint64_t now_ms)
{
	uint64_t until_ms = job->link->dialing && job->link->deadline_ms < job->until_ms
			? job->link->deadline_ms
			: job->until_ms;

	return !job->done && now_ms >= until_ms;
}

/* Take back what is too late, or all when somebody interrupted. A dial that was refused and is
 * being diagnosed may end its sentence; the diagnosis keeps its own time. */
static void give_up(struct job *jobs, size_t n, bool interrupted)
{
	uint64_t now_ms = interrupted ? UINT64_MAX : sb_now_boot_ms();
	struct sb_err err;

	for (size_t i = 0; i < n; i++)
		if (too_late(&jobs[i], now_ms) && jobs[i].link->dialing)
			link_dial_give_up(jobs[i].link);
	for (size_t i = 0; i < n; i++) {
		struct job *job = &jobs[i];
		struct link *link = job->link;

		if (!too_late(job, now_ms))
			continue;
		if (link->dialing && link_dial_end(link, &err) < 0 && link->refused) {
			for (size_t k = i; k < n; k++)
				if (jobs[k].link == link && !jobs[k].done)
					job_fail(&jobs[k], &err);
			continue;
		}
		job_late(job, interrupted);
		/* A connection that did not answer in time may be a dead one. */
		link->suspect = true;
	}
}

static void close_suspects(struct job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].link && jobs[i].link->suspect) {
			link_close(jobs[i].link);
			jobs[i].link->suspect = false;
		}
	}
}

/* When the next job is too late. */
static uint64_t next_end(const struct job *jobs, size_t n)
{
	uint64_t next_ms = UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].done)
			continue;
		if (jobs[i].until_ms < next_ms)
			next_ms = jobs[i].until_ms;
		if (jobs[i].link->dialing && jobs[i].link->deadline_ms < next_ms)
			next_ms = jobs[i].link->deadline_ms;
	}
	return next_ms;
}

static void wait_all(struct sb_client *client, struct job *jobs, size_t n)
{
	bool interrupted = false;

	while (look(jobs, n)) {
		uint64_t until_ms = next_end(jobs, n);

		wait_for_news(client, until_ms, &interrupted);
		if (!interrupted && sb_now_boot_ms() < until_ms)
			continue;
		if (look(jobs, n))
			give_up(jobs, n, interrupted);
		if (interrupted)
			return;
	}
}

static void job_prepare(struct sb_client *client, struct job *job, const struct sb_target *target,
		sb_request *request)
{
	char *operator_name = request->operator_;
	struct sb_err err;
	int rc;

	rc = link_get(client, target, &job->link, &err);
	if (!rc) {
		if (sb_empty(operator_name))
			request->operator_ = client->operator_name;
		rc = sb_wire_request_msg(request, job->deadline_ms, &job->msg, job->id, &err);
		request->operator_ = operator_name;
		if (rc < 0)
			sb_err_wrap(&err, rc, "node %s", target->name);
	}
	if (!rc && !link_up(job->link) && !job->link->dialing)
		rc = link_dial_start(job->link, connect_until(job), &err);
	if (rc < 0)
		job_fail(job, &err);
}

size_t sb_client_fan(struct sb_client *client, const struct sb_target *targets,
		sb_request *const *requests, size_t n, unsigned deadline_ms, struct sb_answer *rets)
{
	SB_CLEANUP(sb_freep) struct job *jobs = calloc(n ? n : 1, sizeof(*jobs));
	size_t failed = 0;

	if (!deadline_ms)
		deadline_ms = 1;
	if (deadline_ms > SB_WIRE_DEADLINE_MAX_MS)
		deadline_ms = SB_WIRE_DEADLINE_MAX_MS;
	for (size_t i = 0; i < n; i++) {
		rets[i] = (struct sb_answer){ 0 };
		if (!jobs) {
			sb_err_nomem(&rets[i].err);
			continue;
		}
		jobs[i].client = client;
		jobs[i].deadline_ms = deadline_ms;
		jobs[i].answer = &rets[i];
		jobs[i].until_ms = sb_now_boot_ms() + deadline_ms;
		jobs[i].start_us = now_us();
		job_prepare(client, &jobs[i], &targets[i], requests[i]);
	}
	if (jobs) {
		wait_all(client, jobs, n);
		close_suspects(jobs, n);
	}
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

void sb_client_interrupt(struct sb_client *client)
{
	int saved = errno;
	uint64_t one = 1;

	/* Full means that an interrupt waits already. */
	if (write(client->interrupt_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* --- life --- */

static int copy_creds(
		struct sb_client *client, const struct sb_tls_creds *creds, struct sb_err *err)
{
	const struct {
		const char *from;
		char **to;
	} texts[] = {
		{ creds->cert_pem, &client->cert_pem },
		{ creds->key_pem, &client->key_pem },
		{ creds->peer_ca_pem, &client->ca_pem },
		{ creds->peer_crl_pem, &client->crl_pem },
	};

	for (size_t i = 0; i < sb_countof(texts); i++) {
		if (!texts[i].from)
			continue;
		*texts[i].to = strdup(texts[i].from);
		if (!*texts[i].to)
			return sb_err_nomem(err);
	}
	client->creds = (struct sb_tls_creds){ client->cert_pem, client->key_pem, client->ca_pem,
		client->crl_pem };
	return 0;
}

int sb_client_new(const struct sb_tls_creds *creds, const char *operator_name,
		struct sb_client **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_client_freep) struct sb_client *client = calloc(1, sizeof(*client));
	nng_tls_config *config;
	int rc;

	if (!client)
		return sb_err_nomem(err);
	client->done_fd = client->interrupt_fd = -1;
	client->operator_name = strdup(operator_name);
	if (!client->operator_name)
		return sb_err_nomem(err);
	rc = copy_creds(client, creds, err);
	if (rc < 0)
		return rc;
	/* Said once here, and not by every node. */
	rc = sb_wire_tls_config(&client->creds, "", &config, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "operator's credentials");
	nng_tls_config_free(config);
	client->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->done_fd < 0 || client->interrupt_fd < 0)
		return sb_err_errno(err, errno, "eventfd");
	*ret = sb_steal(client);
	return 0;
}

void sb_client_free(struct sb_client *client)
{
	struct link *link;

	if (!client)
		return;
	while ((link = client->links)) {
		client->links = link->next;
		link_free(link);
	}
	sb_closep(&client->done_fd);
	sb_closep(&client->interrupt_fd);
	free(client->cert_pem);
	if (client->key_pem)
		explicit_bzero(client->key_pem, strlen(client->key_pem));
	free(client->key_pem);
	free(client->ca_pem);
	free(client->crl_pem);
	free(client->operator_name);
	free(client);
}
