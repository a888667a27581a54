#include <stdio.h>
#include <stdlib.h>

#include "operator.h"
#include "sb_fs.h"

#define PEM_MAX (256u * 1024)

/* The PEM files of the operator, in the order of the enum. */
static const char *const files[] = { "operator.crt", "operator.key", "node-ca.crt", "node-ca.crl" };
enum { OWN_CERT, OWN_KEY, PEER_CA, PEER_CRL };

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

int operator_connect(struct sb_client **ret, struct sb_err *err)
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

		rc = sb_client_new(&creds, "test", ret, err);
	}
	for (size_t i = 0; i < sb_countof(files); i++)
		sb_strbuf_done(&pem[i]);
	return rc;
}
