/* A node's identity on disk: what is refused leaves the folder byte for byte as it was. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_enroll.h"
#include "sb_fs.h"
#include "sb_tls.h"

#define DAY_S 86400

struct ca {
	char *key, *cert, *crl;
};
static struct ca operators, nodes, strangers;
static char *root, *dir; /* @dir is made by the code under test */

static int64_t now_s(void)
{
	return (int64_t)(sb_now_unix_ms() / 1000);
}

static struct ca make_ca(const char *name)
{
	struct ca ca = { 0 };

	ck_assert_int_eq(sb_tls_ca_new(name, 3650, &ca.key, &ca.cert, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_next(ca.key, ca.cert, NULL, NULL, &ca.crl, NULL), 0);
	return ca;
}

static void free_ca(struct ca *ca)
{
	sb_tls_wipe_free(ca->key);
	free(ca->cert);
	free(ca->crl);
}

static void make_cas(void)
{
	operators = make_ca("operators");
	nodes = make_ca("nodes");
	strangers = make_ca("strangers");
}

static void free_cas(void)
{
	free_ca(&operators);
	free_ca(&nodes);
	free_ca(&strangers);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	ck_assert_int_gt(asprintf(&root, "%s/sb-enroll-XXXXXX", tmp ? tmp : "/tmp"), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	dir = sb_fs_join(root, "identity");
}

static void remove_folder(const char *path)
{
	DIR *d = opendir(path);

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		SB_CLEANUP(sb_freep) char *file = sb_fs_join(path, e->d_name);

		if (e->d_name[0] != '.')
			unlink(file);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void teardown(void)
{
	remove_folder(dir);
	ck_assert_int_eq(rmdir(root), 0);
	free(dir);
	free(root);
}

static char *slurp(const char *name)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);
	struct sb_strbuf text = SB_STRBUF_INIT;

	return sb_fs_read(path, 1 << 20, &text, NULL) < 0 ? NULL : sb_strbuf_steal(&text);
}

static void spit(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);

	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

/* Every file and its bytes, in name order. */
static char *snapshot(void)
{
	struct sb_strbuf all = SB_STRBUF_INIT;
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		SB_CLEANUP(sb_freep) char *text = slurp(list[i]->d_name);

		sb_strbuf_addf(&all, "%s:%s\n", list[i]->d_name, text ? text : "");
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return sb_strbuf_steal(&all);
}

static void request(const char *name)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(!sb_enroll_request(dir, name, &path, &err), "%s", err.text);
}

static char *sign(const struct ca *ca, const char *name, int64_t from, int64_t until)
{
	struct sb_tls_sign how = { SB_TLS_NODE, name, from, until };
	SB_CLEANUP(sb_freep) char *csr = slurp("node.csr");
	struct sb_err err = SB_ERR_INIT;
	char *cert = NULL;

	ck_assert_msg(!sb_tls_sign(ca->key, ca->cert, csr, &how, &cert, &err), "%s", err.text);
	return cert;
}

static char *bundle(const char *cert, const char *op_crl, const char *node_crl)
{
	struct sb_tls_bundle parts = { (char *)cert, operators.cert, nodes.cert, (char *)op_crl,
		(char *)node_crl };
	char *text = NULL;

	ck_assert_int_eq(sb_tls_bundle_write(&parts, &text, NULL), 0);
	return text;
}

static char *next_crl(const struct ca *ca, const char *old, const char *cert)
{
	struct sb_tls_cert_info info;
	char *crl = NULL;

	if (cert)
		ck_assert_int_eq(sb_tls_cert_info(cert, &info, NULL), 0);
	ck_assert_int_eq(sb_tls_crl_next(ca->key, ca->cert, old, cert ? info.serial : NULL, &crl,
					 NULL),
			0);
	return crl;
}

/* An enrolled node "n1"; the return is its certificate. */
static char *enroll(void)
{
	SB_CLEANUP(sb_freep) char *text = NULL;
	struct sb_err err = SB_ERR_INIT;
	char *cert;

	request("n1");
	cert = sign(&nodes, "n1", 0, now_s() + 90 * DAY_S);
	text = bundle(cert, operators.crl, nodes.crl);
	ck_assert_msg(!sb_enroll_install(dir, text, &err), "%s", err.text);
	return cert;
}

START_TEST(from_nothing_to_an_identity)
{
	SB_CLEANUP(sb_identity_done) struct sb_identity id = { 0 };
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_freep) char *key = slurp("node.key");
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(!sb_identity_load(dir, &id, &err), "%s", err.text);
	ck_assert_str_eq(id.name, "n1");
	ck_assert_str_eq(id.cert, cert);
	ck_assert_str_eq(id.key, key);
	ck_assert_str_eq(id.operator_ca, operators.cert);
	ck_assert_str_eq(id.node_ca, nodes.cert);
	ck_assert_str_eq(id.operator_crl, operators.crl);
	ck_assert_str_eq(id.node_crl, nodes.crl);
	ck_assert_int_gt(id.not_after_unix_s, now_s() + 89 * DAY_S);
	ck_assert_int_eq(sb_identity_check(&id, 0, &err), 0);
	ck_assert_int_eq(sb_identity_check(&id, now_s() + 91 * DAY_S, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "n1: expired on"));
	ck_assert_int_eq(sb_identity_check(&id, 1000, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "not valid before"));
}
END_TEST

START_TEST(asking_again_keeps_the_key)
{
	SB_CLEANUP(sb_freep) char *one = NULL, *two = NULL, *path = NULL, *csr = NULL;
	struct sb_err err = SB_ERR_INIT;

	request("n1");
	one = slurp("node.key");
	ck_assert_int_eq(sb_enroll_request(dir, "n2", &path, &err), 0);
	two = slurp("node.key");
	ck_assert_str_eq(one, two);
	csr = sb_fs_join(dir, "node.csr");
	ck_assert_str_eq(path, csr);
	free(sign(&nodes, "n2", 0, now_s() + DAY_S));
}
END_TEST

START_TEST(a_key_that_does_not_fit_is_left_alone)
{
	SB_CLEANUP(sb_freep) char *before = NULL, *after = NULL;
	struct sb_err err = SB_ERR_INIT;
	char *path = NULL;

	ck_assert_int_eq(sb_fs_mkdirs(dir, 0700, NULL), 0);
	spit("node.key", "mine\n");
	before = snapshot();
	ck_assert_int_eq(sb_enroll_request(dir, "n1", &path, &err), -SB_E_INVALID);
	after = snapshot();
	ck_assert_str_eq(before, after);
	ck_assert_str_ne(err.hint, "");
	ck_assert_ptr_null(path);
	ck_assert_int_eq(sb_enroll_request(dir, "../n1", &path, &err), -SB_E_INVALID);
}
END_TEST

START_TEST(modes_under_any_umask)
{
	static const mode_t masks[] = { 0, 022, 077 };
	mode_t old = umask(masks[_i]);
	struct dirent **list;
	struct stat st;
	int n;

	free(enroll());
	umask(old);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	n = scandir(dir, &list, NULL, alphasort);
	ck_assert_int_eq(n, 2 + 7); /* five files, key and request; nothing left over */
	for (int i = 0; i < n; i++) {
		SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, list[i]->d_name);

		ck_assert_int_eq(stat(path, &st), 0);
		if (S_ISREG(st.st_mode))
			ck_assert_uint_eq(st.st_mode & 07777, 0600);
		free(list[i]);
	}
	free(list);
}
END_TEST

START_TEST(bad_bundles_change_nothing)
{
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_freep) char *before = snapshot(), *after = NULL;
	SB_CLEANUP(sb_freep) char *old = sign(&nodes, "n1", now_s() - 2 * DAY_S, now_s() - DAY_S);
	SB_CLEANUP(sb_freep) char *young = sign(&nodes, "n1", now_s() + DAY_S, now_s() + 2 * DAY_S);
	SB_CLEANUP(sb_freep) char *foreign = sign(&strangers, "n1", 0, now_s() + DAY_S);
	SB_CLEANUP(sb_freep) char *revoked = next_crl(&nodes, nodes.crl, cert);
	const struct {
		char *text;
		const char *says;
	} bad[] = {
		{ bundle(old, operators.crl, nodes.crl), "expired on" },
		{ bundle(young, operators.crl, nodes.crl), "not valid before" },
		{ bundle(foreign, operators.crl, nodes.crl), "another authority (strangers)" },
		{ bundle(nodes.cert, operators.crl, nodes.crl), "key does not belong" },
		{ bundle(cert, operators.crl, revoked), "revoked" },
		{ bundle(cert, strangers.crl, nodes.crl), "revocation list" },
		{ bundle(cert, operators.crl, operators.crl), "revocation list" },
		{ bundle(cert, operators.crl, "junk"), "bundle: no node-crl" },
		{ strdup(""), "bundle: no node-certificate" },
	};
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < sb_countof(bad); i++) {
		ck_assert_int_lt(sb_enroll_install(dir, bad[i].text, &err), 0);
		ck_assert_msg(strstr(err.text, bad[i].says), "%s: %s", bad[i].says, err.text);
		free(bad[i].text);
	}
	after = snapshot();
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(install_needs_a_key)
{
	SB_CLEANUP(sb_freep) char *cert = NULL, *text = NULL, *key = NULL;
	struct sb_identity id = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_identity_load(dir, &id, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.hint, "enroll"));
	request("n1");
	ck_assert_int_eq(sb_identity_load(dir, &id, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.hint, "enroll"));
	ck_assert_ptr_null(id.name);
	cert = sign(&nodes, "n1", 0, now_s() + DAY_S);
	text = bundle(cert, operators.crl, nodes.crl);
	key = sb_fs_join(dir, "node.key");
	unlink(key);
	ck_assert_int_eq(sb_enroll_install(dir, text, &err), -SB_E_NOT_FOUND);
	ck_assert_str_ne(err.hint, "");
}
END_TEST

/* A crash after install.pem is in place, with @_i of the five files replaced. */
START_TEST(interrupted_installation_is_completed)
{
	static const char *const names[] = { "operator-ca.crt", "node-ca.crt", "operator.crl",
		"node.crl", "node.crt" };
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_identity_done) struct sb_identity id = { 0 };
	SB_CLEANUP(sb_freep) char *left = NULL, *text = NULL, *renewed = NULL;
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle parts = { 0 };
	struct ca other = make_ca("nodes, second generation");
	struct ca keep = nodes;
	struct sb_err err = SB_ERR_INIT;
	const char *news[5];

	nodes = other;
	renewed = sign(&nodes, "n1", 0, now_s() + DAY_S);
	text = bundle(renewed, operators.crl, nodes.crl);
	nodes = keep;
	ck_assert_int_eq(sb_tls_bundle_read(text, &parts, NULL), 0);
	news[0] = parts.operator_ca;
	news[1] = parts.node_ca;
	news[2] = parts.operator_crl;
	news[3] = parts.node_crl;
	news[4] = parts.node_cert;
	spit("install.pem", text);
	for (int i = 0; i < _i; i++)
		spit(names[i], news[i]);
	ck_assert_msg(!sb_identity_load(dir, &id, &err), "%s", err.text);
	ck_assert_str_eq(id.cert, renewed);
	ck_assert_str_eq(id.node_ca, other.cert);
	ck_assert_str_eq(id.node_crl, other.crl);
	left = slurp("install.pem");
	ck_assert_ptr_null(left);
	ck_assert_int_eq(sb_identity_check(&id, 0, &err), 0);
	free_ca(&other);
}
END_TEST

START_TEST(parts_that_do_not_belong_together_do_not_load)
{
	static const char *const names[] = { "operator.crl", "node.crl", "node-ca.crt", "node.crt",
		"node.key" };
	const char *const wrong[] = { strangers.crl, strangers.crl, strangers.cert, operators.cert,
		strangers.key };
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	struct sb_identity id = { 0 };
	struct sb_err err = SB_ERR_INIT;

	spit(names[_i], wrong[_i]);
	ck_assert_int_eq(sb_identity_load(dir, &id, &err), -SB_E_DENIED);
	spit(names[_i], "");
	ck_assert_int_eq(sb_identity_load(dir, &id, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, names[_i]));
	ck_assert_ptr_null(id.name);
}
END_TEST

START_TEST(lists_only_move_forward)
{
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_freep) char *two = next_crl(&nodes, nodes.crl, NULL);
	SB_CLEANUP(sb_freep) char *twin = next_crl(&nodes, nodes.crl, cert);
	SB_CLEANUP(sb_freep) char *three = next_crl(&nodes, two, cert);
	SB_CLEANUP(sb_freep) char *op_two = next_crl(&operators, operators.crl, NULL);
	SB_CLEANUP(sb_freep) char *now = NULL, *op_now = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, NULL, &err), 0);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, two, &err), 0);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, two, &err), 0);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, nodes.crl, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "number 1 is older than the present 2"));
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, twin, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, strangers.crl, &err), -SB_E_DENIED);
	ck_assert_int_eq(sb_identity_put_crls(dir, three, NULL, &err), -SB_E_DENIED);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, "junk", &err), -SB_E_INVALID);
	/* One bad list keeps the good one out too. */
	ck_assert_int_eq(sb_identity_put_crls(dir, op_two, nodes.crl, &err), -SB_E_INVALID);
	op_now = slurp("operator.crl");
	ck_assert_str_eq(op_now, operators.crl);
	free(op_now);
	ck_assert_int_eq(sb_identity_put_crls(dir, op_two, three, &err), 0);
	now = slurp("node.crl");
	op_now = slurp("operator.crl");
	ck_assert_str_eq(now, three);
	ck_assert_str_eq(op_now, op_two);
}
END_TEST

START_TEST(a_revoked_node_still_loads_and_says_so)
{
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_freep) char *crl = next_crl(&nodes, nodes.crl, cert);
	SB_CLEANUP(sb_freep) char *old_bundle = bundle(cert, operators.crl, nodes.crl);
	SB_CLEANUP(sb_identity_done) struct sb_identity id = { 0 };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, crl, &err), 0);
	ck_assert_int_eq(sb_identity_load(dir, &id, &err), 0);
	ck_assert_int_eq(sb_identity_check(&id, 0, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "revoked"));
	/* The bundle of before the revocation does not undo it. */
	ck_assert_int_eq(sb_enroll_install(dir, old_bundle, &err), -SB_E_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "revoked"));
}
END_TEST

START_TEST(a_damaged_list_is_replaced)
{
	SB_CLEANUP(sb_freep) char *cert __attribute__((unused)) = enroll();
	SB_CLEANUP(sb_identity_done) struct sb_identity id = { 0 };
	struct sb_err err = SB_ERR_INIT;

	spit("node.crl", "damaged\n");
	ck_assert_int_lt(sb_identity_load(dir, &id, &err), 0);
	ck_assert_int_eq(sb_identity_put_crls(dir, NULL, nodes.crl, &err), 0);
	ck_assert_int_eq(sb_identity_load(dir, &id, &err), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("enroll");
	TCase *tc = tcase_create("enroll");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, make_cas, free_cas);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, from_nothing_to_an_identity);
	tcase_add_test(tc, asking_again_keeps_the_key);
	tcase_add_test(tc, a_key_that_does_not_fit_is_left_alone);
	tcase_add_loop_test(tc, modes_under_any_umask, 0, 3);
	tcase_add_test(tc, bad_bundles_change_nothing);
	tcase_add_test(tc, install_needs_a_key);
	tcase_add_loop_test(tc, interrupted_installation_is_completed, 0, 6);
	tcase_add_loop_test(tc, parts_that_do_not_belong_together_do_not_load, 0, 5);
	tcase_add_test(tc, lists_only_move_forward);
	tcase_add_test(tc, a_revoked_node_still_loads_and_says_so);
	tcase_add_test(tc, a_damaged_list_is_replaced);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
