/* bench_ping.c - round trips of the no-op verb over one warm connection.
 * usage: bench_ping NODE ADDRESS COUNT; prints "median p95 min max" in microseconds. The operator's
 * identity comes from $SPARKBUS_HOME. */
#include <stdio.h>
#include <stdlib.h>

#include "sb_base.h"
#include "sb_client.h"
#include "sb_fs.h"

#define WARM_UP     100
#define DEADLINE_MS 5000
#define COUNT_MAX   10000000
#define PEM_MAX     (256u * 1024)

/* The PEM files of the operator, in the order of the enum. */
static const char *const files[] = { "operator.crt", "operator.key", "node-ca.crt", "node-ca.crl" };
enum { OWN_CERT, OWN_KEY, PEER_CA, PEER_CRL };

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int load(struct sb_strbuf *pem, struct sb_err *err)
{
	const char *home = getenv("SPARKBUS_HOME");
	int rc = 0;

	if (!home)
		return sb_err_set(err, SB_E_INVALID, "SPARKBUS_HOME is not set");
	for (size_t i = 0; !rc && i < sb_countof(files); i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/pki/%s", home, files[i]);
		rc = sb_fs_read(path, PEM_MAX, &pem[i], err);
	}
	return rc;
}

static int connect_operator(struct sb_client **ret, struct sb_err *err)
{
	struct sb_strbuf pem[sb_countof(files)] = { SB_STRBUF_INIT, SB_STRBUF_INIT, SB_STRBUF_INIT,
		SB_STRBUF_INIT };
	int rc = load(pem, err);

	if (!rc) {
		struct sb_tls_creds creds = {
			.cert_pem = sb_strbuf_str(&pem[OWN_CERT]),
			.key_pem = sb_strbuf_str(&pem[OWN_KEY]),
			.peer_ca_pem = sb_strbuf_str(&pem[PEER_CA]),
			.peer_crl_pem = sb_strbuf_str(&pem[PEER_CRL]),
		};

		rc = sb_client_new(&creds, "bench", ret, err);
	}
	for (size_t i = 0; i < sb_countof(files); i++)
		sb_strbuf_done(&pem[i]);
	return rc;
}

static int measure(struct sb_client *client, const struct sb_target *target, uint64_t *took,
		long count, struct sb_err *err)
{
	for (long i = -WARM_UP; i < count; i++) {
		Sparkbus__PingRequest ping = SPARKBUS__PING_REQUEST__INIT;
		sb_request request = SPARKBUS__REQUEST__INIT;
		struct sb_answer answer = { 0 };
		int rc;

		request.body_case = SPARKBUS__REQUEST__BODY_PING;
		request.ping = &ping;
		rc = sb_client_call(client, target, &request, DEADLINE_MS, &answer, err);
		if (i >= 0)
			took[i] = answer.took_us;
		sb_answer_done(&answer);
		if (rc)
			return rc;
	}
	return 0;
}

int main(int argc, char **argv)
{
	SB_CLEANUP(sb_client_freep) struct sb_client *client = NULL;
	SB_CLEANUP(sb_freep) uint64_t *took = NULL;
	struct sb_err err = { 0 };
	struct sb_target target = { 0 };
	long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

	if (count < 1 || count > COUNT_MAX) {
		fprintf(stderr, "usage: bench_ping NODE ADDRESS COUNT\n");
		return 2;
	}
	target = (struct sb_target){ argv[1], argv[2], SB_CONTROL_PORT };
	took = calloc((size_t)count, sizeof(*took));
	if (!took || connect_operator(&client, &err) ||
			measure(client, &target, took, count, &err)) {
		fprintf(stderr, "bench_ping: %s\n", took ? err.text : "out of memory");
		return 1;
	}
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%llu %llu %llu %llu\n", (unsigned long long)took[count / 2],
			(unsigned long long)took[count * 95 / 100], (unsigned long long)took[0],
			(unsigned long long)took[count - 1]);
	return 0;
}
