/* Authorities, certificates and lists; and pairs of TLS sessions, where each side must know why. */
#include <check.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "sb_session.h"

#define DAY_S 86400

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

/* --- sessions in pairs --- */

struct end {
	struct sb_tls_session *tls;
	int rc; /* how it ended; 0 = it goes on */
	struct sb_err err;
	char got[32];
	size_t n_got;
};

static struct sb_tls_context *context_of(enum sb_tls_side side, const struct sb_tls_creds *creds)
{
	struct sb_tls_context *context = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(!sb_tls_context_new(creds, side, &context, &err), "%s", err.text);
	return context;
}

static void end_open(struct end *end, enum sb_tls_side side, const struct sb_tls_creds *creds,
		const char *name)
{
	struct sb_tls_context *context = context_of(side, creds);

	*end = (struct end){ 0 };
	ck_assert_int_eq(sb_tls_session_new(context, name, &end->tls, NULL), 0);
	sb_tls_context_unref(context); /* the session has its own */
}

static void end_read(struct end *end)
{
	size_t n = 1;

	while (!end->rc && n) {
		end->rc = sb_tls_session_read(end->tls, end->got + end->n_got,
				sizeof(end->got) - end->n_got, &n, &end->err);
		if (!end->rc)
			end->n_got += n;
	}
}

static void end_feed(struct end *end, const void *data, size_t len)
{
	if (end->rc)
		return;
	ck_assert_int_eq(sb_tls_session_feed(end->tls, data, len, NULL), 0);
	end_read(end);
}

/* Carry what @from has to say, in pieces that end inside of records. */
static size_t carry(struct end *from, struct end *to)
{
	unsigned char piece[301];
	size_t n = sb_tls_session_give(from->tls, piece, sizeof(piece));

	end_feed(to, piece, n);
	return n;
}

static void converse(struct end *dialer, struct end *listener)
{
	end_read(dialer);
	while (carry(dialer, listener) + carry(listener, dialer))
		;
}

static void say(struct end *from, struct end *to, const char *text)
{
	to->n_got = 0;
	ck_assert(sb_tls_session_ready(from->tls));
	ck_assert_int_eq(sb_tls_session_write(from->tls, text, strlen(text), NULL), 0);
	while (carry(from, to))
		;
	ck_assert_int_eq(to->rc, 0);
	ck_assert_uint_eq(to->n_got, strlen(text));
	ck_assert_mem_eq(to->got, text, strlen(text));
}

static struct sb_tls_creds node_creds(const struct id *id)
{
	return (struct sb_tls_creds){ .cert_pem = id->cert,
		.key_pem = id->key,
		.peer_ca_pem = operators.cert,
		.peer_crl_pem = operators.crl };
}

static struct sb_tls_creds person_creds(const struct id *id)
{
	return (struct sb_tls_creds){ .cert_pem = id->cert,
		.key_pem = id->key,
		.peer_ca_pem = nodes.cert,
		.peer_crl_pem = nodes.crl };
}

static const struct handshake {
	const char *what;
	const struct id *server, *client;
	const struct ca *trusts; /* the server; NULL = operators */
	const char *name;        /* expected by the client; NULL = the right one */
	bool server_crl, client_crl, knows_own_ca;
	const char *dialer_says, *listener_says; /* NULL = both are content */
} handshakes[] = {
	{ "the right pair", &node, &person, NULL, NULL, true, true, true, NULL, NULL },
	{ "the right pair, no lists", &node, &person, NULL, NULL, false, false, false, NULL, NULL },
	{ "operator revoked, server without list", &node, &person_revoked, NULL, NULL, false, true,
			false, NULL, NULL },
	{ "node of another authority", &node_stranger, &person, NULL, NULL, true, true, true,
			"signed by another authority (another house)",
			"it refuses us: our certificate is signed by an authority that it does "
			"not" },
	{ "another node", &node, &person, NULL, "spark-2.lab", true, true, true,
			"it is node \"spark-1.lab\", not \"spark-2.lab\"",
			"it refuses us: our certificate has another name than it expects" },
	{ "node expired", &node_old, &person, NULL, NULL, true, true, true,
			"(spark-1.lab) that we refuse: expired on",
			"our own certificate (spark-1.lab): expired on" },
	{ "node not yet valid", &node_young, &person, NULL, NULL, true, true, true,
			"(spark-1.lab) that we refuse: not valid before",
			"our own certificate (spark-1.lab): not valid before" },
	{ "node revoked", &node_revoked, &person, NULL, NULL, true, true, true,
			"(spark-1.lab) that we refuse: revoked",
			"our certificate is revoked there" },
	{ "operator's usages in a server", &node_client_only, &person, NULL, NULL, true, true, true,
			"not meant for this side of a connection",
			"our certificate is not meant for this use" },
	{ "operator expired", &node, &person_old, NULL, NULL, true, true, true,
			"our own certificate (alice): expired on",
			"(alice) that we refuse: expired on" },
	{ "operator not yet valid", &node, &person_young, NULL, NULL, true, true, false,
			"our own certificate (alice): not valid before",
			"(alice) that we refuse: not valid before" },
	{ "operator revoked, list known", &node, &person_revoked, NULL, NULL, true, true, true,
			"our own certificate (alice): revoked", "(alice) that we refuse: revoked" },
	{ "operator revoked, list unknown", &node, &person_revoked, NULL, NULL, true, true, false,
			"our certificate is revoked there", "(alice) that we refuse: revoked" },
	{ "operator of another authority", &node, &person_stranger, NULL, NULL, true, true, false,
			"signed by an authority that it does not trust",
			"signed by another authority (another house)" },
	{ "operator where nodes are expected", &node, &person, &nodes, NULL, true, true, true,
			"signed by an authority that it does not trust",
			"signed by another authority (test operator authority)" },
};

static void check_end(const char *what, const struct end *end, const char *says)
{
	if (!says) {
		ck_assert_msg(!end->rc, "%s: %s", what, end->err.text);
		return;
	}
	ck_assert_msg(strstr(end->err.text, says), "%s: %s", what, end->err.text);
	ck_assert_int_eq(end->rc, -SB_E_DENIED);
	ck_assert_int_eq(end->err.code, SB_E_DENIED);
	ck_assert_uint_eq(end->n_got, 0);
}

START_TEST(both_sides_know_why)
{
	const struct handshake *h = &handshakes[_i];
	const struct ca *trusts = h->trusts ? h->trusts : &operators;
	struct sb_tls_creds server = node_creds(h->server), client = person_creds(h->client);
	struct end dialer, listener;

	server.peer_ca_pem = trusts->cert;
	server.peer_crl_pem = h->server_crl ? trusts->crl : NULL;
	client.peer_crl_pem = h->client_crl ? nodes.crl : NULL;
	client.own_ca_pem = h->knows_own_ca ? operators.cert : NULL;
	client.own_crl_pem = h->knows_own_ca ? operators.crl : NULL;
	end_open(&dialer, SB_TLS_DIALS, &client, h->name ? h->name : "spark-1.lab");
	end_open(&listener, SB_TLS_LISTENS, &server, NULL);
	converse(&dialer, &listener);
	check_end(h->what, &dialer, h->dialer_says);
	check_end(h->what, &listener, h->listener_says);
	if (!h->dialer_says) {
		say(&dialer, &listener, "a question");
		say(&listener, &dialer, "an answer");
	}
	sb_tls_session_free(dialer.tls);
	sb_tls_session_free(listener.tls);
}
END_TEST

/* --- callers that are not our code --- */

struct foreign {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out; /* of ssl */
};

static struct foreign foreign_open(int version, const char *ciphers, const struct id *id)
{
	struct foreign f = { .ctx = SSL_CTX_new(TLS_client_method()) };

	/* Everything that OpenSSL can still do, so that the refusal is ours. */
	SSL_CTX_set_security_level(f.ctx, 0);
	ck_assert_int_eq(SSL_CTX_set_min_proto_version(f.ctx, version), 1);
	ck_assert_int_eq(SSL_CTX_set_max_proto_version(f.ctx, version), 1);
	ck_assert_int_eq(SSL_CTX_set_cipher_list(f.ctx, ciphers), 1);
	if (id) {
		X509 *cert = parse(id->cert);
		BIO *bio = BIO_new_mem_buf(id->key, -1);
		EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

		ck_assert_int_eq(SSL_CTX_use_certificate(f.ctx, cert), 1);
		ck_assert_int_eq(SSL_CTX_use_PrivateKey(f.ctx, key), 1);
		EVP_PKEY_free(key);
		BIO_free(bio);
		X509_free(cert);
	}
	f.ssl = SSL_new(f.ctx);
	f.in = BIO_new(BIO_s_mem());
	f.out = BIO_new(BIO_s_mem());
	SSL_set_bio(f.ssl, f.in, f.out);
	SSL_set_connect_state(f.ssl);
	return f;
}

static void foreign_close(struct foreign *f)
{
	SSL_free(f->ssl);
	SSL_CTX_free(f->ctx);
}

/* Until neither has anything to say. Return: whether both got through the handshake. */
static bool foreign_converse(struct foreign *f, struct end *listener)
{
	unsigned char piece[4096], byte;
	size_t given;
	int n;

	do {
		SSL_read(f->ssl, &byte, 1);
		n = BIO_read(f->out, piece, sizeof(piece));
		if (n > 0)
			end_feed(listener, piece, (size_t)n);
		given = sb_tls_session_give(listener->tls, piece, sizeof(piece));
		BIO_write(f->in, piece, (int)given);
	} while (n > 0 || given);
	return !listener->rc && sb_tls_session_ready(listener->tls) && SSL_is_init_finished(f->ssl);
}

static const struct {
	int version;
	const char *ciphers;
	const struct id *id; /* NULL = no certificate */
	bool accepted;
} callers[] = {
	{ TLS1_3_VERSION, "DEFAULT", &person, true }, { TLS1_2_VERSION, "DEFAULT", &person, true },
	{ TLS1_3_VERSION, "DEFAULT", NULL, false }, { TLS1_2_VERSION, "DEFAULT", NULL, false },
	{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", &person, false },
	{ TLS1_VERSION, "ALL:@SECLEVEL=0", &person, false },
	{ TLS1_2_VERSION, "aNULL:eNULL:@SECLEVEL=0", &person, false }, /* nobody proves anything */
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", &person, false },  /* CBC */
	{ TLS1_2_VERSION, "kRSA:kDHE:@SECLEVEL=0", &person, false },   /* not for our keys */
};

START_TEST(callers_need_a_certificate_and_todays_tls)
{
	struct foreign f = foreign_open(callers[_i].version, callers[_i].ciphers, callers[_i].id);
	struct sb_tls_creds creds = node_creds(&node);
	struct end listener;

	end_open(&listener, SB_TLS_LISTENS, &creds, NULL);
	ck_assert_int_eq(foreign_converse(&f, &listener), callers[_i].accepted);
	if (callers[_i].accepted) {
		/* Who comes again is judged again. */
		ck_assert(!SSL_SESSION_is_resumable(SSL_get_session(f.ssl)));
	} else {
		ck_assert_int_eq(listener.rc, -SB_E_PROTOCOL);
		ck_assert_int_eq(strncmp(listener.err.text, "TLS failed: ", 12), 0);
	}
	foreign_close(&f);
	sb_tls_session_free(listener.tls);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
	struct foreign f = foreign_open(TLS1_2_VERSION, "DEFAULT", &person);
	struct sb_tls_creds creds = node_creds(&node);
	struct end listener;

	end_open(&listener, SB_TLS_LISTENS, &creds, NULL);
	ck_assert(foreign_converse(&f, &listener));
	ck_assert_int_eq(SSL_renegotiate(f.ssl), 1);
	SSL_do_handshake(f.ssl);
	ck_assert(!foreign_converse(&f, &listener));
	foreign_close(&f);
	sb_tls_session_free(listener.tls);
}
END_TEST

static const struct {
	enum sb_tls_side side;
	const char *bytes; /* NULL = hangs up */
	int rc;
	const char *says;
} strangers_talk[] = {
	{ SB_TLS_DIALS, "SSH-2.0-OpenSSH_9.2\r\n", -SB_E_PROTOCOL,
			"listens there does not speak TLS" },
	{ SB_TLS_DIALS, "HTTP/1.1 400 Bad Request\r\n\r\n", -SB_E_PROTOCOL, "does not speak TLS" },
	{ SB_TLS_DIALS, NULL, -SB_E_UNAVAILABLE, "hung up before the TLS handshake" },
	{ SB_TLS_LISTENS, "GET / HTTP/1.1\r\n\r\n", -SB_E_PROTOCOL,
			"calls from there does not speak" },
	{ SB_TLS_LISTENS, "\x16", -SB_E_UNAVAILABLE, "ended it in the TLS handshake" },
	{ SB_TLS_LISTENS, "\x16\x03\x01\xff\xff\x01", -SB_E_PROTOCOL, "TLS failed: " },
};

START_TEST(what_is_not_tls_is_called_so)
{
	struct sb_tls_creds creds = strangers_talk[_i].side == SB_TLS_DIALS ? person_creds(&person)
									    : node_creds(&node);
	const char *bytes = strangers_talk[_i].bytes;
	struct end end;

	end_open(&end, strangers_talk[_i].side, &creds, NULL);
	end_read(&end);
	for (size_t i = 0; bytes && bytes[i]; i++)
		end_feed(&end, bytes + i, 1);
	if (!end.rc)
		end.rc = sb_tls_session_broken(end.tls, &end.err);
	ck_assert_msg(strstr(end.err.text, strangers_talk[_i].says), "%s", end.err.text);
	ck_assert_int_eq(end.rc, strangers_talk[_i].rc);
	sb_tls_session_free(end.tls);
}
END_TEST

/* One byte of the conversation is another on the way: nobody gets anything but what was sent. */
static void converse_spoilt(size_t at)
{
	struct sb_tls_creds client = person_creds(&person), server = node_creds(&node);
	struct end dialer, listener;
	unsigned char piece[301];
	size_t pos = 0, n, m;

	end_open(&dialer, SB_TLS_DIALS, &client, "spark-1.lab");
	end_open(&listener, SB_TLS_LISTENS, &server, NULL);
	end_read(&dialer);
	do {
		n = sb_tls_session_give(dialer.tls, piece, sizeof(piece));
		if (at >= pos && at < pos + n)
			piece[at - pos] ^= 0x40;
		pos += n;
		end_feed(&listener, piece, n);
		m = sb_tls_session_give(listener.tls, piece, sizeof(piece));
		if (at >= pos && at < pos + m)
			piece[at - pos] ^= 0x40;
		pos += m;
		end_feed(&dialer, piece, m);
	} while (n || m);
	ck_assert_uint_eq(dialer.n_got + listener.n_got, 0);
	for (int i = 0; i < 2; i++) {
		const struct end *end = i ? &listener : &dialer;

		if (end->rc)
			ck_assert_str_ne(end->err.text, "");
	}
	/* Whoever is ready has the same keys as the other, or the other one sees it. */
	if (!dialer.rc && !listener.rc && sb_tls_session_ready(listener.tls))
		say(&dialer, &listener, "still the same");
	sb_tls_session_free(dialer.tls);
	sb_tls_session_free(listener.tls);
}

START_TEST(a_spoilt_byte_lets_nothing_through)
{
	for (size_t at = 0; at < 2200; at += 13)
		converse_spoilt(at);
}
END_TEST

START_TEST(a_newer_list_judges_who_is_in_already)
{
	struct sb_tls_creds client = person_creds(&person_revoked), server = node_creds(&node);
	struct sb_tls_context *newer, *renewed;
	struct end dialer, listener;
	struct sb_err err;

	server.peer_crl_pem = operators_crl_1; /* from before he was revoked */
	end_open(&dialer, SB_TLS_DIALS, &client, "spark-1.lab");
	end_open(&listener, SB_TLS_LISTENS, &server, NULL);
	newer = context_of(SB_TLS_LISTENS, &server);
	ck_assert_int_eq(sb_tls_session_judge(listener.tls, newer, &err), -SB_E_DENIED);
	converse(&dialer, &listener);
	say(&dialer, &listener, "in");
	ck_assert_int_eq(sb_tls_session_judge(listener.tls, newer, &err), 0);
	sb_tls_context_unref(newer);
	server.peer_crl_pem = operators.crl;
	newer = context_of(SB_TLS_LISTENS, &server);
	ck_assert_int_eq(sb_tls_session_judge(listener.tls, newer, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "revoked"));
	server = node_creds(&node_revoked);
	renewed = context_of(SB_TLS_LISTENS, &server);
	ck_assert(sb_tls_context_same(newer, newer));
	ck_assert(!sb_tls_context_same(newer, renewed));
	sb_tls_context_unref(newer);
	sb_tls_context_unref(renewed);
	sb_tls_session_free(dialer.tls);
	sb_tls_session_free(listener.tls);
}
END_TEST

START_TEST(credentials_that_do_not_fit)
{
	struct sb_tls_creds good = person_creds(&person), bad[6];
	struct sb_tls_context *context = NULL;
	struct sb_err err;

	for (size_t i = 0; i < sb_countof(bad); i++)
		bad[i] = good;
	bad[0].cert_pem = NULL;
	bad[1].cert_pem = "x";
	bad[2].key_pem = node.key;
	bad[3].peer_ca_pem = person.key;
	bad[4].peer_crl_pem = "";
	bad[5].own_ca_pem = "x";
	for (size_t i = 0; i < sb_countof(bad); i++) {
		ck_assert_int_eq(sb_tls_context_new(&bad[i], SB_TLS_DIALS, &context, &err),
				-SB_E_INVALID);
		ck_assert_str_ne(err.text, "");
		ck_assert_ptr_null(context);
	}
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
	tcase_add_loop_test(tc, both_sides_know_why, 0, sb_countof(handshakes));
	tcase_add_loop_test(tc, callers_need_a_certificate_and_todays_tls, 0, sb_countof(callers));
	tcase_add_test(tc, renegotiation_is_refused);
	tcase_add_loop_test(tc, what_is_not_tls_is_called_so, 0, sb_countof(strangers_talk));
	tcase_add_test(tc, a_spoilt_byte_lets_nothing_through);
	tcase_add_test(tc, a_newer_list_judges_who_is_in_already);
	tcase_add_test(tc, credentials_that_do_not_fit);
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
