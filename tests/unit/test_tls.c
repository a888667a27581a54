/* What counts is what the bus library on the other side makes of our certificates, so the verdicts
 * here are those of real nng sockets over TLS, and the diagnosis is asked about the same sockets.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sb_tls.h"

#define DAY_S       86400
#define DEADLINE_MS 20000 /* for a machine that runs many tests at once; never waited out */
#define SHORT_MS    300   /* for peers that never answer: the test waits it out */
#define ADDRESS     "127.0.0.1"

struct ca {
	char *key, *cert, *crl;
};
struct id {
	char *key, *cert;
};

/* Forked tests share what an unchecked fixture made once, before them. */
static struct ca operators, nodes, strangers;
static struct id node, node_old, node_young, node_revoked, node_stranger, node_client_only;
static struct id person, person_old, person_young, person_revoked, person_stranger;
static char *nodes_crl_1, *operators_crl_1;

static int64_t now_s(void)
{
	return (int64_t)(sb_now_unix_ms() / 1000);
}

static char *serial_of(const char *cert)
{
	struct sb_tls_cert_info info;

	ck_assert_int_eq(sb_tls_cert_info(cert, &info, NULL), 0);
	return strdup(info.serial);
}

static struct ca make_ca(const char *name)
{
	struct sb_err err = SB_ERR_INIT;
	struct ca ca = { 0 };

	ck_assert_msg(!sb_tls_ca_new(name, 3650, &ca.key, &ca.cert, &err), "%s", err.text);
	ck_assert_msg(!sb_tls_crl_next(ca.key, ca.cert, NULL, NULL, &ca.crl, &err), "%s", err.text);
	return ca;
}

static struct id make_id(const struct ca *ca, enum sb_tls_role role, const char *name, int64_t from,
		int64_t until)
{
	struct sb_tls_sign how = { role, name, from, until };
	SB_CLEANUP(sb_freep) char *csr = NULL;
	struct sb_err err = SB_ERR_INIT;
	struct id id = { 0 };

	ck_assert_msg(!sb_tls_key_new(&id.key, &err), "%s", err.text);
	ck_assert_msg(!sb_tls_csr_new(id.key, name, &csr, &err), "%s", err.text);
	ck_assert_msg(!sb_tls_sign(ca->key, ca->cert, csr, &how, &id.cert, &err), "%s", err.text);
	return id;
}

static void revoke_cert(struct ca *ca, const char *cert)
{
	SB_CLEANUP(sb_freep) char *serial = serial_of(cert);
	struct sb_err err = SB_ERR_INIT;
	char *next = NULL;

	ck_assert_msg(!sb_tls_crl_next(ca->key, ca->cert, ca->crl, serial, &next, &err), "%s",
			err.text);
	free(ca->crl);
	ca->crl = next;
}

static void make_all(void)
{
	int64_t now = now_s();

	operators = make_ca("test operator authority");
	nodes = make_ca("test node authority");
	strangers = make_ca("another house");
	operators_crl_1 = strdup(operators.crl);
	nodes_crl_1 = strdup(nodes.crl);
	node = make_id(&nodes, SB_TLS_NODE, "spark-1.lab", 0, now + 90 * DAY_S);
	node_old = make_id(&nodes, SB_TLS_NODE, "spark-1.lab", now - 2 * DAY_S, now - DAY_S);
	node_young = make_id(&nodes, SB_TLS_NODE, "spark-1.lab", now + DAY_S, now + 2 * DAY_S);
	node_revoked = make_id(&nodes, SB_TLS_NODE, "spark-1.lab", 0, now + 90 * DAY_S);
	node_stranger = make_id(&strangers, SB_TLS_NODE, "spark-1.lab", 0, now + 90 * DAY_S);
	node_client_only = make_id(&nodes, SB_TLS_OPERATOR, "spark-1.lab", 0, now + 90 * DAY_S);
	person = make_id(&operators, SB_TLS_OPERATOR, "alice", 0, now + 90 * DAY_S);
	person_old = make_id(&operators, SB_TLS_OPERATOR, "alice", now - 2 * DAY_S, now - DAY_S);
	person_young = make_id(&operators, SB_TLS_OPERATOR, "alice", now + DAY_S, now + 2 * DAY_S);
	person_revoked = make_id(&operators, SB_TLS_OPERATOR, "alice", 0, now + 90 * DAY_S);
	person_stranger = make_id(&strangers, SB_TLS_OPERATOR, "alice", 0, now + 90 * DAY_S);
	revoke_cert(&nodes, node_revoked.cert);
	revoke_cert(&operators, person_revoked.cert);
}

static void free_ca(struct ca *ca)
{
	sb_tls_wipe_free(ca->key);
	free(ca->cert);
	free(ca->crl);
}

static void free_all(void)
{
	struct id *ids[] = { &node, &node_old, &node_young, &node_revoked, &node_stranger,
		&node_client_only, &person, &person_old, &person_young, &person_revoked,
		&person_stranger };

	for (size_t i = 0; i < sb_countof(ids); i++) {
		sb_tls_wipe_free(ids[i]->key);
		free(ids[i]->cert);
	}
	free_ca(&operators);
	free_ca(&nodes);
	free_ca(&strangers);
	free(operators_crl_1);
	free(nodes_crl_1);
}

/* --- names and addresses --- */

START_TEST(names)
{
	char long_name[65];

	memset(long_name, 'a', 64);
	long_name[64] = '\0';
	ck_assert(!sb_tls_name_ok(long_name));
	long_name[63] = '\0';
	ck_assert(sb_tls_name_ok(long_name));
	ck_assert(sb_tls_name_ok("a"));
	ck_assert(sb_tls_name_ok("10.0.0.1"));
	ck_assert(sb_tls_name_ok("spark_1-b.lab"));
	ck_assert(!sb_tls_name_ok(NULL));
	ck_assert(!sb_tls_name_ok(""));
	ck_assert(!sb_tls_name_ok(".a"));
	ck_assert(!sb_tls_name_ok("-a"));
	ck_assert(!sb_tls_name_ok("a/b"));
	ck_assert(!sb_tls_name_ok("a,DNS:b"));
	ck_assert(!sb_tls_name_ok("*.lab"));
	ck_assert(!sb_tls_name_ok("a\nb"));
	ck_assert(!sb_tls_name_ok("\xc3\xa4"));
}
END_TEST

static const struct {
	const char *text, *host; /* NULL = refused */
	uint16_t port;
} addresses[] = {
	{ "spark-1", "spark-1", 47100 },
	{ "spark-1:1", "spark-1", 1 },
	{ "10.0.0.1:65535", "10.0.0.1", 65535 },
	{ "[::1]:7", "::1", 7 },
	{ "[fe80::1%eth0]", "fe80::1%eth0", 47100 },
	{ "fe80::1", "fe80::1", 47100 },
	{ "", NULL, 0 },
	{ ":80", NULL, 0 },
	{ "a:", NULL, 0 },
	{ "a:0", NULL, 0 },
	{ "a:65536", NULL, 0 },
	{ "a:-1", NULL, 0 },
	{ "a:1x", NULL, 0 },
	{ "[]:1", NULL, 0 },
	{ "[::1", NULL, 0 },
	{ "[::1]x", NULL, 0 },
	{ "a b", NULL, 0 },
	{ "tcp://a", NULL, 0 },
	{ "a\n", NULL, 0 },
};

START_TEST(address_splits)
{
	struct sb_err err = SB_ERR_INIT;
	char host[32] = "untouched";
	uint16_t port = 47100;
	int rc = sb_tls_split_address(addresses[_i].text, host, sizeof(host), &port, &err);

	if (addresses[_i].host) {
		ck_assert_msg(!rc, "%s", err.text);
		ck_assert_str_eq(host, addresses[_i].host);
		ck_assert_uint_eq(port, addresses[_i].port);
	} else {
		ck_assert_int_eq(rc, -SB_E_INVALID);
		ck_assert_str_eq(host, "untouched");
		ck_assert_uint_eq(port, 47100);
	}
}
END_TEST

START_TEST(address_too_long)
{
	uint16_t port = 1;
	char host[4];

	ck_assert_int_eq(sb_tls_split_address("abcd:5", host, sizeof(host), &port, NULL),
			-SB_E_RANGE);
	ck_assert_int_eq(sb_tls_split_address("abc:5", host, sizeof(host), &port, NULL), 0);
}
END_TEST

/* --- keys, requests, authorities --- */

START_TEST(keys_differ)
{
	char *one = NULL, *two = NULL;

	ck_assert_int_eq(sb_tls_key_new(&one, NULL), 0);
	ck_assert_int_eq(sb_tls_key_new(&two, NULL), 0);
	ck_assert_str_ne(one, two);
	ck_assert_ptr_nonnull(strstr(one, "-----BEGIN PRIVATE KEY-----"));
	sb_tls_wipe_free(one);
	sb_tls_wipe_free(two);
	sb_tls_wipe_free(NULL);
}
END_TEST

START_TEST(hostile_pem_is_refused)
{
	static const char *const texts[] = {
		NULL, "", "x", "-----BEGIN CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	};
	struct sb_tls_sign how = { SB_TLS_NODE, "n", 0, now_s() + DAY_S };
	const char *bad = texts[_i];
	char *out = (char *)"untouched";
	struct sb_tls_cert_info info;
	uint64_t number;
	bool has;

	ck_assert_int_eq(sb_tls_csr_new(bad, "n", &out, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_cert_info(bad, &info, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, bad, &how, &out, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_sign(bad, nodes.cert, bad, &how, &out, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_verify(bad, NULL, node.cert, NULL, 0, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, NULL, bad, NULL, 0, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_check(nodes.cert, bad, &number, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_has(bad, "01", &has, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, bad, NULL, NULL, &out, NULL), -SB_E_INVALID);
	ck_assert_str_eq(out, "untouched");
}
END_TEST

START_TEST(pem_over_its_cap_is_refused)
{
	size_t size = (size_t)2 << 20;
	char *big = malloc(size + 1);
	struct sb_tls_cert_info info;
	struct sb_tls_bundle bundle;

	memset(big, 'A', size);
	big[size] = '\0';
	ck_assert_int_eq(sb_tls_cert_info(big, &info, NULL), -SB_E_RANGE);
	ck_assert_int_eq(sb_tls_crl_has(big, "01", &(bool){ false }, NULL), -SB_E_RANGE);
	ck_assert_int_eq(sb_tls_bundle_read(big, &bundle, NULL), -SB_E_INVALID);
	free(big);
}
END_TEST

static const char ed25519_key[] =
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----\n"; /* RFC 8410, 10.3: Ed25519 */

START_TEST(only_p256_keys)
{
	struct sb_err err = SB_ERR_INIT;
	char *csr = NULL;

	ck_assert_int_eq(sb_tls_csr_new(ed25519_key, "n", &csr, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "P-256"));
}
END_TEST

START_TEST(info_tells_what_was_signed)
{
	int64_t from = now_s() - 100, until = now_s() + 1000;
	struct id id = make_id(&nodes, SB_TLS_NODE, "n1", from, until);
	struct sb_tls_cert_info info;

	ck_assert_int_eq(sb_tls_cert_info(id.cert, &info, NULL), 0);
	ck_assert_str_eq(info.name, "n1");
	ck_assert_str_eq(info.issuer, "test node authority");
	ck_assert_int_eq(info.not_before_unix_s, from);
	ck_assert_int_eq(info.not_after_unix_s, until);
	ck_assert_uint_eq(strspn(info.serial, "0123456789abcdef"), strlen(info.serial));
	ck_assert_uint_gt(strlen(info.serial), 16); /* 126 random bits: shorter is 1 in 2^62 */
	sb_tls_wipe_free(id.key);
	free(id.cert);
}
END_TEST

START_TEST(default_begin_is_an_hour_ago)
{
	struct sb_tls_cert_info info;

	ck_assert_int_eq(sb_tls_cert_info(node.cert, &info, NULL), 0);
	ck_assert_int_le(info.not_before_unix_s, now_s() - 3600);
	ck_assert_int_gt(info.not_before_unix_s, now_s() - 3600 - 600);
}
END_TEST

static X509 *parse(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	ck_assert_ptr_nonnull(cert);
	return cert;
}

START_TEST(usages_by_role)
{
	X509 *ca = parse(nodes.cert), *n = parse(node.cert), *p = parse(person.cert);

	ck_assert_uint_eq(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	ck_assert_uint_eq(X509_get_extended_key_usage(n), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	ck_assert_uint_eq(X509_get_extended_key_usage(p), XKU_SSL_CLIENT);
	ck_assert_uint_eq(X509_get_key_usage(n), KU_DIGITAL_SIGNATURE);
	ck_assert_int_eq(X509_check_ca(ca), 1);
	ck_assert_int_eq(X509_check_ca(n), 0);
	ck_assert_int_eq(X509_get_pathlen(ca), 0);
	X509_free(ca);
	X509_free(n);
	X509_free(p);
}
END_TEST

START_TEST(sign_refuses)
{
	struct sb_tls_sign how = { SB_TLS_NODE, "n1", 0, now_s() + DAY_S };
	SB_CLEANUP(sb_freep) char *csr = NULL;
	struct sb_err err = SB_ERR_INIT;
	char *out = NULL;

	ck_assert_int_eq(sb_tls_csr_new(node.key, "n1", &csr, NULL), 0);
	how.name = "n2";
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, csr, &how, &out, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "the request is for \"n1\", not for \"n2\"");
	how.name = "n1";
	how.not_after_unix_s = 0;
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, csr, &how, &out, &err), -SB_E_INVALID);
	how.not_after_unix_s = now_s() + 3651 * DAY_S;
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, csr, &how, &out, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "outlive its authority"));
	how.not_after_unix_s = now_s() + DAY_S;
	ck_assert_int_eq(sb_tls_sign(operators.key, nodes.cert, csr, &how, &out, &err),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_tls_sign(node.key, node.cert, csr, &how, &out, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "not an authority"));
	how.role = SB_TLS_ROLE_COUNT_;
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, csr, &how, &out, &err), -SB_E_INVALID);
	ck_assert_ptr_null(out);
}
END_TEST

/* A request made by other software: any key, CN, SAN and signing key. */
static char *odd_request(EVP_PKEY *key, EVP_PKEY *signer, const char *cn, const char *san)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	STACK_OF(X509_EXTENSION) *exts = NULL;
	X509_REQ *csr = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	ck_assert_ptr_nonnull(ext);
	X509v3_add_ext(&exts, ext, -1);
	X509_REQ_add_extensions(csr, exts);
	X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(csr), NID_commonName, MBSTRING_UTF8,
			(const unsigned char *)cn, -1, -1, 0);
	X509_REQ_set_pubkey(csr, key);
	ck_assert_int_gt(X509_REQ_sign(csr, signer, EVP_sha256()), 0);
	PEM_write_bio_X509_REQ(bio, csr);
	len = BIO_get_mem_data(bio, &data);
	text = calloc(1, (size_t)len + 1); /* the data of a memory BIO has no end mark */
	ck_assert_ptr_nonnull(text);
	memcpy(text, data, (size_t)len);
	BIO_free(bio);
	X509_REQ_free(csr);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_EXTENSION_free(ext);
	return text;
}

START_TEST(odd_requests_are_refused)
{
	struct sb_tls_sign how = { SB_TLS_NODE, "n1", 0, now_s() + DAY_S };
	EVP_PKEY *p256 = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	EVP_PKEY *p384 = EVP_EC_gen("P-384");
	char *requests[] = {
		odd_request(p256, p256, "n1", "DNS:n1,DNS:n2"),
		odd_request(p256, p256, "n1", "DNS:n10"),
		odd_request(p256, p256, "n1", "IP:10.0.0.1"),
		odd_request(p256, p256, "n2", "DNS:n1"),
		odd_request(p256, other, "n1", "DNS:n1"),
		odd_request(p384, p384, "n1", "DNS:n1"),
	};
	char *good = odd_request(p256, p256, "n1", "DNS:n1");
	struct sb_err err = SB_ERR_INIT;
	char *out = NULL;

	for (size_t i = 0; i < sb_countof(requests); i++) {
		ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, requests[i], &how, &out, &err),
				-SB_E_INVALID);
		ck_assert_ptr_null(out);
		free(requests[i]);
	}
	ck_assert_int_eq(sb_tls_sign(nodes.key, nodes.cert, good, &how, &out, &err), 0);
	free(out);
	free(good);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(other);
	EVP_PKEY_free(p384);
}
END_TEST

START_TEST(ca_limits)
{
	char *key = NULL, *cert = NULL;

	ck_assert_int_eq(sb_tls_ca_new("x", 0, &key, &cert, NULL), -SB_E_RANGE);
	ck_assert_int_eq(sb_tls_ca_new("x", 36501, &key, &cert, NULL), -SB_E_RANGE);
	ck_assert_int_eq(sb_tls_ca_new("", 1, &key, &cert, NULL), -SB_E_INVALID);
	ck_assert_ptr_null(key);
	ck_assert_ptr_null(cert);
}
END_TEST

/* --- verification --- */

START_TEST(verify_names_the_reason)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node.cert, node.key, 0, &err), 0);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node.cert, NULL, 0, &err), 0);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, NULL, node_revoked.cert, NULL, 0, &err), 0);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node_revoked.cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_str_eq(err.text, "revoked");
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node_old.cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_int_eq(strncmp(err.text, "expired on ", 11), 0);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node_young.cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_int_eq(strncmp(err.text, "not valid before ", 17), 0);
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node_stranger.cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_str_eq(err.text, "signed by another authority (another house)");
	ck_assert_int_eq(sb_tls_verify(nodes.cert, NULL, node.cert, person.key, 0, &err),
			-SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "key does not belong"));
	ck_assert_int_eq(sb_tls_verify(nodes.cert, strangers.crl, node.cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "revocation list"));
	ck_assert_int_eq(sb_tls_verify(nodes.cert, nodes.crl, node_old.cert, node_old.key,
					 SB_TLS_ANY_TIME, &err),
			0);
}
END_TEST

START_TEST(an_authority_of_the_same_name_is_another)
{
	struct ca twin = make_ca("test node authority");
	struct id id = make_id(&twin, SB_TLS_NODE, "n1", 0, now_s() + DAY_S);
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_tls_verify(nodes.cert, NULL, id.cert, NULL, 0, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "signed by another authority"));
	ck_assert_int_eq(sb_tls_crl_check(nodes.cert, twin.crl, &(uint64_t){ 0 }, &err),
			-SB_E_DENIED);
	free_ca(&twin);
	sb_tls_wipe_free(id.key);
	free(id.cert);
}
END_TEST

/* OpenSSL takes the last second as over, a second earlier than RFC 5280, 4.1.2.5. */
START_TEST(validity_to_the_second)
{
	int64_t from = now_s() - DAY_S, until = now_s() + DAY_S;
	struct sb_tls_sign how = { SB_TLS_NODE, "n1", from, until };
	struct ca ca = make_ca("clock");
	struct id id = make_id(&ca, SB_TLS_NODE, how.name, from, until);
	struct sb_tls_cert_info info;

	ck_assert_int_eq(sb_tls_cert_info(ca.cert, &info, NULL), 0);
	ck_assert_int_eq(sb_tls_verify(ca.cert, NULL, id.cert, NULL, until - 1, NULL), 0);
	ck_assert_int_eq(
			sb_tls_verify(ca.cert, NULL, id.cert, NULL, until + 1, NULL), -SB_E_DENIED);
	/* The authority is younger than this certificate, so its beginning counts too. */
	ck_assert_int_eq(sb_tls_verify(ca.cert, NULL, id.cert, NULL, info.not_before_unix_s, NULL),
			0);
	ck_assert_int_eq(sb_tls_verify(ca.cert, NULL, id.cert, NULL, info.not_before_unix_s - 1,
					 NULL),
			-SB_E_DENIED);
	free_ca(&ca);
	sb_tls_wipe_free(id.key);
	free(id.cert);
}
END_TEST

START_TEST(dates_after_2049_survive)
{
	struct sb_tls_cert_info info;
	struct ca ca = { 0 };

	ck_assert_int_eq(sb_tls_ca_new("long", 36500, &ca.key, &ca.cert, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_next(ca.key, ca.cert, NULL, NULL, &ca.crl, NULL), 0);
	ck_assert_int_eq(sb_tls_cert_info(ca.cert, &info, NULL), 0);
	ck_assert_int_gt(info.not_after_unix_s, now_s() + 36499LL * DAY_S);
	free_ca(&ca);
}
END_TEST

/* --- revocation lists --- */

START_TEST(lists_count_and_remember)
{
	SB_CLEANUP(sb_freep) char *first = serial_of(node.cert);
	SB_CLEANUP(sb_freep) char *second = serial_of(node_old.cert);
	SB_CLEANUP(sb_freep) char *one = NULL, *two = NULL, *three = NULL, *four = NULL;
	uint64_t number = 0;
	bool has = true;

	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, NULL, NULL, &one, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_check(nodes.cert, one, &number, NULL), 0);
	ck_assert_uint_eq(number, 1);
	ck_assert_int_eq(sb_tls_crl_has(one, first, &has, NULL), 0);
	ck_assert(!has);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, one, first, &two, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, two, second, &three, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, three, second, &four, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_check(nodes.cert, four, &number, NULL), 0);
	ck_assert_uint_eq(number, 4);
	ck_assert_int_eq(sb_tls_crl_has(four, first, &has, NULL), 0);
	ck_assert(has);
	ck_assert_int_eq(sb_tls_crl_has(four, second, &has, NULL), 0);
	ck_assert(has);
	ck_assert_int_eq(sb_tls_crl_has(two, second, &has, NULL), 0);
	ck_assert(!has);
}
END_TEST

START_TEST(lists_refuse)
{
	char *out = NULL;
	uint64_t number = 7;
	bool has;

	ck_assert_int_eq(sb_tls_crl_check(nodes.cert, strangers.crl, &number, NULL), -SB_E_DENIED);
	ck_assert_uint_eq(number, 7);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, strangers.crl, NULL, &out, NULL),
			-SB_E_DENIED);
	ck_assert_int_eq(sb_tls_crl_next(strangers.key, nodes.cert, NULL, NULL, &out, NULL),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_next(nodes.key, nodes.cert, NULL, "xyz", &out, NULL),
			-SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_has(nodes.crl, "", &has, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_tls_crl_has(nodes.crl, "00112233445566778899aabbccddeeff0011223344",
					 &has, NULL),
			-SB_E_INVALID);
	ck_assert_ptr_null(out);
}
END_TEST

/* --- bundles --- */

START_TEST(bundle_round_trip)
{
	struct sb_tls_bundle in = { node.cert, operators.cert, nodes.cert, operators.crl,
		nodes.crl };
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle out = { 0 };
	SB_CLEANUP(sb_freep) char *text = NULL, *crlf = NULL, *more = NULL;
	size_t n = 0;

	ck_assert_int_eq(sb_tls_bundle_write(&in, &text, NULL), 0);
	ck_assert_int_gt(asprintf(&more, "# sparkbus later-part\nhello\n%s", text), 0);
	ck_assert_int_eq(sb_tls_bundle_read(more, &out, NULL), 0);
	ck_assert_str_eq(out.node_cert, node.cert);
	ck_assert_str_eq(out.operator_ca, operators.cert);
	ck_assert_str_eq(out.node_ca, nodes.cert);
	ck_assert_str_eq(out.operator_crl, operators.crl);
	ck_assert_str_eq(out.node_crl, nodes.crl);
	sb_tls_bundle_done(&out);
	crlf = calloc(2, strlen(text) + 1);
	for (const char *p = text; *p; p++) {
		if (*p == '\n')
			crlf[n++] = '\r';
		crlf[n++] = *p;
	}
	ck_assert_int_eq(sb_tls_bundle_read(crlf, &out, NULL), 0);
	ck_assert_int_eq(sb_tls_verify(out.node_ca, out.node_crl, out.node_cert, node.key, 0, NULL),
			0);
}
END_TEST

START_TEST(bundle_refuses)
{
	struct sb_tls_bundle in = { node.cert, operators.cert, nodes.cert, operators.crl,
		nodes.crl };
	SB_CLEANUP(sb_freep) char *text = NULL, *twice = NULL;
	struct sb_tls_bundle out = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_tls_bundle_write(&in, &text, NULL), 0);
	ck_assert_int_gt(asprintf(&twice, "%s%s", text, text), 0);
	ck_assert_int_eq(sb_tls_bundle_read(twice, &out, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "bundle: two times node-certificate");
	ck_assert_int_eq(sb_tls_bundle_read(node.cert, &out, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "bundle: no node-certificate");
	/* Cut anywhere, it is refused, and never crashes. */
	for (size_t cut = strlen(text) - 2; cut > 0; cut -= cut > 97 ? 97 : cut) {
		SB_CLEANUP(sb_freep) char *part = strndup(text, cut);

		ck_assert_int_eq(sb_tls_bundle_read(part, &out, &err), -SB_E_INVALID);
	}
	ck_assert_ptr_null(out.node_cert);
	in.node_crl = NULL;
	twice[0] = '\0';
	ck_assert_int_eq(sb_tls_bundle_write(&in, &twice, &err), -SB_E_INVALID);
}
END_TEST

START_TEST(pem_blocks_one_by_one)
{
	SB_CLEANUP(sb_freep) char *text = NULL, *one = NULL, *two = NULL;
	const char *cursor;
	char *end = NULL;

	ck_assert_int_gt(asprintf(&text, "note\n%s between\n%s", node.cert, person.cert), 0);
	cursor = text;
	ck_assert_int_eq(sb_tls_pem_next(&cursor, &one, NULL), 0);
	ck_assert_int_eq(sb_tls_pem_next(&cursor, &two, NULL), 0);
	ck_assert_int_eq(sb_tls_pem_next(&cursor, &end, NULL), 0);
	ck_assert_str_eq(one, node.cert);
	ck_assert_str_eq(two, person.cert);
	ck_assert_ptr_null(end);
	cursor = "-----BEGIN X-----\n-----BEGIN Y-----\n-----END Y-----\n";
	ck_assert_int_eq(sb_tls_pem_next(&cursor, &end, NULL), -SB_E_INVALID);
}
END_TEST

/* --- the bus library's verdict, and our diagnosis of it --- */

struct agent {
	nng_socket socket;
	nng_tls_config *config;
	uint16_t port;
};

static void agent_start(struct agent *a, const struct id *id, const struct ca *clients, bool crl)
{
	nng_listener listener;
	nng_sockaddr at;

	ck_assert_int_eq(nng_rep0_open(&a->socket), 0);
	ck_assert_int_eq(nng_tls_config_alloc(&a->config, NNG_TLS_MODE_SERVER), 0);
	ck_assert_int_eq(nng_tls_config_auth_mode(a->config, NNG_TLS_AUTH_MODE_REQUIRED), 0);
	ck_assert_int_eq(nng_tls_config_own_cert(a->config, id->cert, id->key, NULL), 0);
	ck_assert_int_eq(nng_tls_config_ca_chain(
					 a->config, clients->cert, crl ? clients->crl : NULL),
			0);
	ck_assert_int_eq(nng_listener_create(&listener, a->socket, "tls+tcp://" ADDRESS ":0"), 0);
	ck_assert_int_eq(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, a->config), 0);
	ck_assert_int_eq(nng_listener_start(listener, 0), 0);
	ck_assert_int_eq(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &at), 0);
	a->port = ntohs(at.s_in.sa_port);
}

static void agent_stop(struct agent *a)
{
	nng_close(a->socket);
	nng_tls_config_free(a->config);
}

/* What the bus says to a connection with @id (NULL = no certificate). */
static int bus_dial(uint16_t port, const struct id *id, const char *name, const char *crl)
{
	nng_tls_config *config;
	nng_dialer dialer;
	nng_socket socket;
	char url[64];
	int rv;

	snprintf(url, sizeof(url), "tls+tcp://" ADDRESS ":%u", port);
	ck_assert_int_eq(nng_req0_open(&socket), 0);
	ck_assert_int_eq(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
	ck_assert_int_eq(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED), 0);
	ck_assert_int_eq(nng_tls_config_ca_chain(config, nodes.cert, crl), 0);
	ck_assert_int_eq(nng_tls_config_server_name(config, name), 0);
	if (id)
		ck_assert_int_eq(nng_tls_config_own_cert(config, id->cert, id->key, NULL), 0);
	ck_assert_int_eq(nng_dialer_create(&dialer, socket, url), 0);
	ck_assert_int_eq(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
	rv = nng_dialer_start(dialer, 0);
	nng_close(socket);
	nng_tls_config_free(config);
	return rv;
}

static const struct handshake {
	const char *what;
	const struct id *server, *client;
	const struct ca *trusts; /* the server; NULL = operators */
	const char *name;        /* expected by the client; NULL = the right one */
	bool server_crl, client_crl, knows_own_ca;
	bool accepted;
	const char *says; /* in the diagnosis; alternatives are divided by '|' */
} handshakes[] = {
	{ "the right pair", &node, &person, NULL, NULL, true, true, true, true, "did not repeat" },
	{ "the right pair, no lists", &node, &person, NULL, NULL, false, false, false, true,
			"did not repeat" },
	{ "node of another authority", &node_stranger, &person, NULL, NULL, true, true, true, false,
			"signed by another authority (another house)" },
	{ "another node", &node, &person, NULL, "spark-2.lab", true, true, true, false,
			"it is node \"spark-1.lab\", not \"spark-2.lab\"" },
	{ "node expired", &node_old, &person, NULL, NULL, true, true, true, false,
			"(spark-1.lab) that we refuse: expired on" },
	{ "node not yet valid", &node_young, &person, NULL, NULL, true, true, true, false,
			"(spark-1.lab) that we refuse: not valid before" },
	{ "node revoked", &node_revoked, &person, NULL, NULL, true, true, true, false,
			"(spark-1.lab) that we refuse: revoked" },
	{ "operator's usages in a server", &node_client_only, &person, NULL, NULL, true, true, true,
			false, "no cipher or certificate that both sides can use" },
	{ "operator expired", &node, &person_old, NULL, NULL, true, true, true, false,
			"our own certificate (alice): expired on" },
	{ "operator not yet valid", &node, &person_young, NULL, NULL, true, true, false, false,
			"our own certificate (alice): not valid before" },
	{ "operator revoked, list known", &node, &person_revoked, NULL, NULL, true, true, true,
			false, "our own certificate (alice): revoked" },
	{ "operator revoked, list unknown", &node, &person_revoked, NULL, NULL, true, true, false,
			false, "revoked there" },
	{ "operator revoked, server without list", &node, &person_revoked, NULL, NULL, false, true,
			false, true, "did not repeat" },
	{ "operator of another authority", &node, &person_stranger, NULL, NULL, true, true, false,
			false, "authority that it does not trust" },
	{ "operator where nodes are expected", &node, &person, &nodes, NULL, true, true, true,
			false, "authority that it does not trust" },
};

START_TEST(bus_verdict_and_diagnosis)
{
	const struct handshake *h = &handshakes[_i];
	const char *name = h->name ? h->name : "spark-1.lab";
	struct sb_tls_creds creds = {
		.cert_pem = h->client->cert,
		.key_pem = h->client->key,
		.peer_ca_pem = nodes.cert,
		.peer_crl_pem = h->client_crl ? nodes.crl : NULL,
		.own_ca_pem = h->knows_own_ca ? operators.cert : NULL,
		.own_crl_pem = h->knows_own_ca ? operators.crl : NULL,
	};
	struct sb_err err = SB_ERR_INIT;
	struct agent agent;
	int rv, rc;

	agent_start(&agent, h->server, h->trusts ? h->trusts : &operators, h->server_crl);
	rv = bus_dial(agent.port, h->client, name, creds.peer_crl_pem);
	ck_assert_msg(h->accepted == (rv == 0), "%s: bus says %s", h->what, nng_strerror(rv));
	rc = sb_tls_diagnose(ADDRESS, agent.port, &creds, name, DEADLINE_MS, &err);
	agent_stop(&agent);
	ck_assert_msg(strstr(err.text, h->says), "%s: %s", h->what, err.text);
	ck_assert_int_eq(rc, h->accepted ? -SB_E_UNAVAILABLE : -SB_E_DENIED);
	ck_assert_int_eq(err.code, -rc);
}
END_TEST

START_TEST(bus_refuses_a_client_without_certificate)
{
	struct agent agent;

	agent_start(&agent, &node, &operators, true);
	ck_assert_int_ne(bus_dial(agent.port, NULL, "spark-1.lab", NULL), 0);
	agent_stop(&agent);
}
END_TEST

/* --- other things that may listen there --- */

enum manner { HANGS_UP, TALKS, ANSWERS, STAYS_SILENT, JUDGES_LATE };

struct stranger {
	enum manner manner;
	int fd, wake[2];
	uint16_t port;
	pthread_t thread;
};

/* An OpenSSL server: with TLS 1.3 its verdict on us comes after our handshake is done. */
static void judge_late(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *ca = parse(operators.cert), *cert = parse(node.cert);
	BIO *bio = BIO_new_mem_buf(node.key, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	SSL *ssl;
	char byte;

	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1 && SSL_write(ssl, "hello", 5) == 5)
		SSL_read(ssl, &byte, 1); /* until the other side hangs up */
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	X509_free(ca);
	X509_free(cert);
}

static void *stranger_main(void *arg)
{
	struct stranger *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char byte;

	if (s->manner == TALKS)
		send(fd, "SSH-2.0-OpenSSH_9.2\r\n", 21, MSG_NOSIGNAL);
	else if (s->manner == ANSWERS && recv(fd, &byte, 1, MSG_PEEK) == 1)
		send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
	else if (s->manner == JUDGES_LATE)
		judge_late(fd);
	if (s->manner != HANGS_UP && s->manner != JUDGES_LATE)
		ck_assert_int_eq(read(s->wake[0], &byte, 1), 0);
	close(fd);
	return NULL;
}

static int listen_somewhere(int backlog, uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static void diagnose_stranger(
		enum manner manner, const struct id *who, unsigned timeout_ms, struct sb_err *err)
{
	struct sb_tls_creds creds = { .cert_pem = who->cert,
		.key_pem = who->key,
		.peer_ca_pem = nodes.cert,
		.peer_crl_pem = nodes.crl };
	struct stranger s = { .manner = manner };
	int rc;

	s.fd = listen_somewhere(4, &s.port);
	ck_assert_int_eq(pipe(s.wake), 0);
	ck_assert_int_eq(pthread_create(&s.thread, NULL, stranger_main, &s), 0);
	rc = sb_tls_diagnose(ADDRESS, s.port, &creds, "spark-1.lab", timeout_ms, err);
	close(s.wake[1]);
	pthread_join(s.thread, NULL);
	close(s.wake[0]);
	close(s.fd);
	ck_assert_int_eq(rc, -(int)err->code);
}

START_TEST(not_an_agent)
{
	struct sb_err err = SB_ERR_INIT;

	diagnose_stranger(HANGS_UP, &person, DEADLINE_MS, &err);
	ck_assert_int_eq(err.code, SB_E_UNAVAILABLE);
	ck_assert_msg(strstr(err.text, "hung up before the TLS handshake"), "%s", err.text);
	diagnose_stranger(TALKS, &person, DEADLINE_MS, &err);
	ck_assert_int_eq(err.code, SB_E_PROTOCOL);
	ck_assert_msg(strstr(err.text, "does not speak TLS"), "%s", err.text);
	diagnose_stranger(ANSWERS, &person, DEADLINE_MS, &err);
	ck_assert_int_eq(err.code, SB_E_PROTOCOL);
	ck_assert_msg(strstr(err.text, "does not speak TLS"), "%s", err.text);
	diagnose_stranger(STAYS_SILENT, &person, SHORT_MS, &err);
	ck_assert_int_eq(err.code, SB_E_TIMEOUT);
}
END_TEST

START_TEST(late_verdict_of_tls_1_3)
{
	struct sb_err err = SB_ERR_INIT;

	diagnose_stranger(JUDGES_LATE, &person, DEADLINE_MS, &err);
	ck_assert_msg(strstr(err.text, "did not repeat"), "%s", err.text);
	diagnose_stranger(JUDGES_LATE, &person_stranger, DEADLINE_MS, &err);
	ck_assert_int_eq(err.code, SB_E_DENIED);
	ck_assert_msg(strstr(err.text, "authority that it does not trust"), "%s", err.text);
}
END_TEST

START_TEST(nothing_listens)
{
	struct sb_tls_creds creds = {
		.cert_pem = person.cert, .key_pem = person.key, .peer_ca_pem = nodes.cert
	};
	struct sb_err err = SB_ERR_INIT;
	uint16_t port;

	close(listen_somewhere(1, &port));
	ck_assert_int_eq(sb_tls_diagnose(ADDRESS, port, &creds, "n", DEADLINE_MS, &err),
			-SB_E_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "connection refused"));
	ck_assert_str_ne(err.hint, "");
}
END_TEST

/* A full accept queue swallows the connection, as a firewall would. */
START_TEST(nothing_answers)
{
	struct sb_tls_creds creds = {
		.cert_pem = person.cert, .key_pem = person.key, .peer_ca_pem = nodes.cert
	};
	struct sb_err err = SB_ERR_INIT;
	int queue[8], fd;
	uint16_t port;
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	fd = listen_somewhere(0, &port);
	to.sin_port = htons(port);
	for (size_t i = 0; i < sb_countof(queue); i++) {
		queue[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(queue[i], (struct sockaddr *)&to, sizeof(to));
	}
	ck_assert_int_eq(
			sb_tls_diagnose(ADDRESS, port, &creds, "n", SHORT_MS, &err), -SB_E_TIMEOUT);
	for (size_t i = 0; i < sb_countof(queue); i++)
		close(queue[i]);
	close(fd);
}
END_TEST

START_TEST(own_certificate_that_does_not_parse)
{
	struct sb_tls_creds creds = { .cert_pem = "x", .key_pem = "y", .peer_ca_pem = nodes.cert };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_tls_diagnose(ADDRESS, 1, &creds, "n", SHORT_MS, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "our own certificate"));
}
END_TEST

static Suite *tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *tc = tcase_create("pieces");

	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, make_all, free_all);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, address_splits, 0, sb_countof(addresses));
	tcase_add_test(tc, address_too_long);
	tcase_add_test(tc, keys_differ);
	tcase_add_loop_test(tc, hostile_pem_is_refused, 0, 6);
	tcase_add_test(tc, pem_over_its_cap_is_refused);
	tcase_add_test(tc, only_p256_keys);
	tcase_add_test(tc, info_tells_what_was_signed);
	tcase_add_test(tc, default_begin_is_an_hour_ago);
	tcase_add_test(tc, usages_by_role);
	tcase_add_test(tc, sign_refuses);
	tcase_add_test(tc, odd_requests_are_refused);
	tcase_add_test(tc, ca_limits);
	tcase_add_test(tc, verify_names_the_reason);
	tcase_add_test(tc, an_authority_of_the_same_name_is_another);
	tcase_add_test(tc, validity_to_the_second);
	tcase_add_test(tc, dates_after_2049_survive);
	tcase_add_test(tc, lists_count_and_remember);
	tcase_add_test(tc, lists_refuse);
	tcase_add_test(tc, bundle_round_trip);
	tcase_add_test(tc, bundle_refuses);
	tcase_add_test(tc, pem_blocks_one_by_one);
	suite_add_tcase(s, tc);
	tc = tcase_create("handshakes");
	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, make_all, free_all);
	tcase_add_loop_test(tc, bus_verdict_and_diagnosis, 0, sb_countof(handshakes));
	tcase_add_test(tc, bus_refuses_a_client_without_certificate);
	tcase_add_test(tc, not_an_agent);
	tcase_add_test(tc, late_verdict_of_tls_1_3);
	tcase_add_test(tc, nothing_listens);
	tcase_add_test(tc, nothing_answers);
	tcase_add_test(tc, own_certificate_that_does_not_parse);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner;
	int failed;

	runner = srunner_create(tls_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
