/* linktest.c - tests on workers: how many, for how long, and their end. */
#include <inttypes.h>
#include <string.h>
#include <openssl/rand.h>

#include "internal.h"

struct test {
	struct sb_linktests *tests;
	struct server server; /* or */
	struct client client;
	bool serves;
	sb_linktest_fn fn;
	void *ctx;
};

struct sb_linktests {
	struct sb_workers *workers;
	struct test *active[SB_LINKTEST_ACTIVE_MAX];
	atomic_bool stop;
};

int sb_linktests_new(struct sb_mailbox *box, struct sb_linktests **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_linktests_freep) struct sb_linktests *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return sb_err_nomem(err);
	rc = sb_workers_new(box, SB_LINKTEST_ACTIVE_MAX, &t->workers, err);
	if (rc == 0)
		*ret = sb_steal(t);
	return rc;
}

static void test_free(struct test *test)
{
	for (size_t i = 0; i < SB_LINKTEST_ACTIVE_MAX; i++)
		if (test->tests->active[i] == test)
			test->tests->active[i] = NULL;
	if (test->serves && test->server.tcp >= 0)
		close(test->server.tcp);
	if (test->serves && test->server.udp >= 0)
		close(test->server.udp);
	free(test);
}

void sb_linktests_free(struct sb_linktests *t)
{
	if (!t)
		return;
	atomic_store(&t->stop, true);
	sb_workers_free(t->workers);
	for (size_t i = 0; i < SB_LINKTEST_ACTIVE_MAX; i++)
		if (t->active[i])
			test_free(t->active[i]);
	free(t);
}

/* --- on a worker, and back --- */

static void work(void *arg)
{
	struct test *test = arg;

	if (test->serves)
		linktest_serve(&test->server);
	else
		linktest_call(&test->client);
}

static void done(void *arg)
{
	struct test *test = arg;

	if (test->fn)
		test->fn(test->ctx, &test->client.reply);
	test_free(test);
}

static int new_test(struct sb_linktests *t, struct test **ret, struct sb_err *err)
{
	for (size_t i = 0; i < SB_LINKTEST_ACTIVE_MAX; i++) {
		if (t->active[i])
			continue;
		t->active[i] = *ret = calloc(1, sizeof(**ret));
		if (!*ret)
			return sb_err_nomem(err);
		**ret = (struct test){ .tests = t, .server = { .tcp = -1, .udp = -1 } };
		return 0;
	}
	return sb_err_set(err, SB_E_BUSY, "%u tests of links run already", SB_LINKTEST_ACTIVE_MAX);
}

static int set_limits(struct sb_linktests *t, uint32_t ms, uint64_t bytes, struct side *ret,
		struct sb_err *err)
{
	if (!ms || ms > SB_LINKTEST_MS_MAX || bytes > SB_LINKTEST_BYTES_MAX)
		return sb_err_set(err, SB_E_RANGE,
				"%u ms and %" PRIu64 " bytes: expected at most %u and %" PRIu64, ms,
				bytes, SB_LINKTEST_MS_MAX, SB_LINKTEST_BYTES_MAX);
	ret->stop = &t->stop;
	ret->until_ms = sb_now_boot_ms() + ms;
	ret->max_bytes = bytes;
	return 0;
}

int sb_linktest_open(struct sb_linktests *t, const Sparkbus__OpenLinktestRequest *request,
		uint16_t *ret_port, uint8_t ret_token[SB_LINKTEST_TOKEN_LEN], struct sb_err *err)
{
	struct test *test = NULL;
	int rc = new_test(t, &test, err);

	if (rc < 0)
		return rc;
	test->serves = true;
	rc = set_limits(t, request->max_ms, request->max_bytes, &test->server.side, err);
	if (rc == 0 && RAND_bytes(test->server.side.token, SB_LINKTEST_TOKEN_LEN) != 1)
		rc = sb_err_set(err, SB_E_INTERNAL, "no random bytes for a token");
	if (rc == 0)
		rc = linktest_bind(request->address, &test->server, ret_port, err);
	memcpy(ret_token, test->server.side.token, SB_LINKTEST_TOKEN_LEN);
	if (rc == 0)
		rc = sb_workers_run(t->workers, work, done, test, err);
	if (rc < 0)
		test_free(test);
	return rc;
}

static int set_client(
		struct client *c, const Sparkbus__RunLinktestRequest *request, struct sb_err *err)
{
	if (request->token.len != SB_LINKTEST_TOKEN_LEN)
		return sb_err_set(err, SB_E_INVALID, "a token of %zu bytes; expected %u",
				request->token.len, SB_LINKTEST_TOKEN_LEN);
	if (request->packet_bytes &&
			(request->packet_bytes < SB_LINKTEST_TOKEN_LEN ||
					request->packet_bytes > UINT16_MAX))
		return sb_err_set(err, SB_E_RANGE, "a packet of %u bytes; expected %u to %u",
				request->packet_bytes, SB_LINKTEST_TOKEN_LEN, UINT16_MAX);
	if (!linktest_address(request->address, (uint16_t)request->port, &c->to, &c->to_len) ||
			!request->port || request->port > UINT16_MAX ||
			(*request->source_address &&
					(!linktest_address(request->source_address, 0, &c->source,
							 &c->source_len) ||
							c->source.ss_family != c->to.ss_family)))
		return sb_err_set(err, SB_E_INVALID, "from '%s' to '%s' port %u: no such path",
				request->source_address, request->address, request->port);
	memcpy(c->side.token, request->token.data, SB_LINKTEST_TOKEN_LEN);
	c->packet_bytes = request->packet_bytes;
	c->send_ms = request->send_ms;
	return 0;
}

int sb_linktest_run(struct sb_linktests *t, const Sparkbus__RunLinktestRequest *request,
		sb_linktest_fn fn, void *ctx, struct sb_err *err)
{
	struct test *test = NULL;
	int rc = new_test(t, &test, err);

	if (rc < 0)
		return rc;
	test->fn = fn;
	test->ctx = ctx;
	rc = set_limits(t, request->max_ms, request->max_bytes, &test->client.side, err);
	if (rc == 0)
		rc = set_client(&test->client, request, err);
	if (rc == 0)
		rc = sb_workers_run(t->workers, work, done, test, err);
	if (rc < 0)
		test_free(test);
	return rc;
}
