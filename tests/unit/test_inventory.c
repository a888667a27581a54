/* The workstation's folder: what is written reads back, what is refused changes nothing. */
#include <check.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "sb_inventory.h"
#include "sb_strbuf.h"

#define DAY_S 86400

static char *root, *home;
static struct sb_inventory *inv;

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	ck_assert_int_gt(asprintf(&root, "%s/sb-inventory-XXXXXX", tmp ? tmp : "/tmp"), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	home = sb_fs_join(root, "a/sparkbus");
	ck_assert_int_eq(sb_inventory_open(home, &inv, NULL), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static void teardown(void)
{
	sb_inventory_close(inv);
	ck_assert_int_eq(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(home);
	free(root);
}

static char *slurp(const char *name)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(home, name);
	struct sb_strbuf text = SB_STRBUF_INIT;

	return sb_fs_read(path, 1 << 20, &text, NULL) < 0 ? NULL : sb_strbuf_steal(&text);
}

static void spit(const char *folder, const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *dir = sb_fs_join(home, folder);
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, name);

	ck_assert_int_eq(sb_fs_mkdirs(dir, 0700, NULL), 0);
	ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

static struct sb_strbuf seen;
static bool modes_good;

static int see(const char *path, const struct stat *st, int type, struct FTW *at)
{
	SB_CLEANUP(sb_freep) char *text = type == FTW_F ? slurp(path + strlen(home) + 1) : NULL;

	if ((st->st_mode & 07777) != (type == FTW_F ? 0600 : 0700))
		modes_good = false;
	return sb_strbuf_addf(&seen, "%s\n%s\n", path, text ? text : "");
}

/* All files and their bytes. */
static char *snapshot(void)
{
	modes_good = true;
	nftw(home, see, 16, FTW_PHYS);
	return sb_strbuf_steal(&seen);
}

static void init(void)
{
	struct sb_err err = SB_ERR_INIT;

	ck_assert_msg(!sb_inventory_init(inv, "alice", 3650, 365, &err), "%s", err.text);
}

static int64_t in_days(int days)
{
	return (int64_t)(sb_now_unix_ms() / 1000) + days * DAY_S;
}

static char *sign(const char *name, char **ret_key)
{
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *csr = NULL;
	struct sb_err err = SB_ERR_INIT;
	char *bundle = NULL;

	ck_assert_int_eq(sb_tls_key_new(&key, NULL), 0);
	ck_assert_int_eq(sb_tls_csr_new(key, name, &csr, NULL), 0);
	ck_assert_msg(!sb_inventory_sign(inv, name, csr, in_days(90), &bundle, &err), "%s",
			err.text);
	if (ret_key)
		*ret_key = sb_steal(key);
	return bundle;
}

/* --- identity --- */

START_TEST(home_by_environment)
{
	struct sb_inventory *other = NULL;

	setenv("HOME", "/h", 1);
	setenv("XDG_CONFIG_HOME", "/x", 1);
	setenv("SPARKBUS_HOME", "/s", 1);
	ck_assert_int_eq(sb_inventory_open(NULL, &other, NULL), 0);
	ck_assert_str_eq(sb_inventory_home(other), "/s");
	sb_inventory_close(other);
	unsetenv("SPARKBUS_HOME");
	ck_assert_int_eq(sb_inventory_open(NULL, &other, NULL), 0);
	ck_assert_str_eq(sb_inventory_home(other), "/x/sparkbus");
	sb_inventory_close(other);
	setenv("XDG_CONFIG_HOME", "relative", 1);
	ck_assert_int_eq(sb_inventory_open(NULL, &other, NULL), 0);
	ck_assert_str_eq(sb_inventory_home(other), "/h/.config/sparkbus");
	sb_inventory_close(other);
	unsetenv("HOME");
	ck_assert_int_eq(sb_inventory_open(NULL, &other, NULL), -SB_E_INVALID);
	sb_inventory_close(NULL);
}
END_TEST

START_TEST(init_makes_what_the_bus_needs)
{
	SB_CLEANUP(sb_freep) char *operators = NULL, *nodes = NULL, *all = NULL;
	struct sb_tls_creds creds = { 0 };
	struct sb_err err = SB_ERR_INIT;
	const char *name = NULL;
	uint64_t number = 0;
	mode_t old = umask(_i ? 077 : 0);

	ck_assert_int_eq(sb_inventory_creds(inv, &creds, &name, &err), -SB_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.hint, "sparkbus init"));
	init();
	umask(old);
	for (int twice = 0; twice < 2; twice++)
		ck_assert_int_eq(sb_inventory_creds(inv, &creds, &name, &err), 0);
	ck_assert_str_eq(name, "alice");
	ck_assert_int_eq(sb_tls_verify(creds.own_ca_pem, creds.own_crl_pem, creds.cert_pem,
					 creds.key_pem, 0, &err),
			0);
	ck_assert_int_eq(sb_tls_verify(creds.peer_ca_pem, NULL, creds.cert_pem, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_int_eq(sb_tls_crl_check(creds.peer_ca_pem, creds.peer_crl_pem, &number, &err), 0);
	ck_assert_uint_eq(number, 1);
	ck_assert_int_eq(sb_inventory_crls(inv, &operators, &nodes, &err), 0);
	ck_assert_str_eq(operators, creds.own_crl_pem);
	ck_assert_str_eq(nodes, creds.peer_crl_pem);
	all = snapshot();
	ck_assert(modes_good);
	ck_assert_ptr_null(strstr(all, "pki.new"));
	ck_assert_ptr_null(strstr(all, ".tmp"));
}
END_TEST

START_TEST(init_twice_changes_nothing)
{
	SB_CLEANUP(sb_freep) char *before = NULL, *after = NULL, *lost = NULL;
	struct sb_err err = SB_ERR_INIT;

	init();
	before = snapshot();
	ck_assert_int_eq(sb_inventory_init(inv, "bob", 10, 10, &err), -SB_E_BUSY);
	after = snapshot();
	ck_assert_str_eq(before, after);
	lost = sb_fs_join(home, "pki/node-ca.key");
	unlink(lost);
	ck_assert_int_eq(sb_inventory_init(inv, "bob", 10, 10, &err), -SB_E_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "without its node-ca.key"));
	ck_assert_str_ne(err.hint, "");
}
END_TEST

/* What a crash before the rename leaves behind does not stand in the way; foreign files do. */
START_TEST(init_after_a_crash)
{
	SB_CLEANUP(sb_freep) char *left = NULL, *before = NULL, *after = NULL;
	struct sb_err err = SB_ERR_INIT;

	spit("pki", "notes.txt", "mine\n");
	before = snapshot();
	ck_assert_int_eq(sb_inventory_init(inv, "alice", 10, 10, &err), -SB_E_BUSY);
	after = snapshot();
	ck_assert_str_eq(before, after);
	left = sb_fs_join(home, "pki/notes.txt");
	unlink(left);
	spit("pki.new", "operator-ca.key", "half");
	spit("pki.new", "operator-ca.crt.17.1.tmp", "ha");
	init();
	free(after);
	after = snapshot();
	ck_assert_ptr_null(strstr(after, "pki.new"));
}
END_TEST

START_TEST(init_limits)
{
	struct stat st;

	ck_assert_int_eq(sb_inventory_init(inv, "alice", 10, 11, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_init(inv, "alice", 10, 0, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_init(inv, "a b", 10, 10, NULL), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_init(inv, "alice", 40000, 10, NULL), -SB_E_RANGE);
	SB_CLEANUP(sb_freep) char *pki = sb_fs_join(home, "pki");
	ck_assert_int_lt(stat(pki, &st), 0);
	/* The same number of days for both is not a moment too long. */
	ck_assert_int_eq(sb_inventory_init(inv, "alice", 10, 10, NULL), 0);
}
END_TEST

START_TEST(sign_makes_a_whole_bundle)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle parts = { 0 };
	SB_CLEANUP(sb_tls_wipe_freep) char *key = NULL;
	SB_CLEANUP(sb_freep) char *text = NULL, *crt = NULL, *csr = NULL;
	struct sb_err err = SB_ERR_INIT;
	char *none = NULL;

	init();
	text = sign("n1", &key);
	ck_assert_int_eq(sb_tls_bundle_read(text, &parts, &err), 0);
	ck_assert_int_eq(
			sb_tls_verify(parts.node_ca, parts.node_crl, parts.node_cert, key, 0, &err),
			0);
	ck_assert_int_eq(sb_tls_crl_check(parts.operator_ca, parts.operator_crl, &(uint64_t){ 0 },
					 &err),
			0);
	crt = slurp("nodes/n1.crt");
	ck_assert_str_eq(crt, parts.node_cert);
	ck_assert_ptr_null(strstr(text, "PRIVATE KEY"));
	ck_assert_int_eq(sb_tls_csr_new(key, "n2", &csr, NULL), 0);
	ck_assert_int_eq(sb_inventory_sign(inv, "n1", csr, in_days(1), &none, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_sign(inv, "../n1", csr, in_days(1), &none, &err),
			-SB_E_INVALID);
	ck_assert_ptr_null(none);
}
END_TEST

START_TEST(revoke_takes_back_every_certificate)
{
	SB_CLEANUP(sb_inv_node_done) struct sb_inv_node got = { 0 };
	struct sb_inv_node node = { .name = (char *)"n1", .address = (char *)"10.0.0.1" };
	SB_CLEANUP(sb_freep) char *one = NULL, *two = NULL, *again = NULL, *crl = NULL, *op = NULL;
	struct sb_tls_bundle first = { 0 }, second = { 0 };
	struct sb_tls_cert_info info;
	struct sb_err err = SB_ERR_INIT;

	init();
	ck_assert_int_eq(sb_inventory_revoke(inv, "n1", &err), -SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_inventory_node_put(inv, &node, &err), 0);
	ck_assert_int_eq(sb_inventory_revoke(inv, "n1", &err), -SB_E_NOT_FOUND);
	one = sign("n1", NULL);
	two = sign("n1", NULL);
	ck_assert_int_eq(sb_tls_bundle_read(one, &first, NULL), 0);
	ck_assert_int_eq(sb_tls_bundle_read(two, &second, NULL), 0);
	ck_assert_int_eq(sb_inventory_node_get(inv, "n1", &got, &err), 0);
	ck_assert_int_eq(sb_tls_cert_info(second.node_cert, &info, NULL), 0);
	ck_assert_str_eq(got.serial, info.serial);
	ck_assert_int_eq(got.not_after_unix_s, info.not_after_unix_s);
	ck_assert(!got.revoked);
	ck_assert_msg(!sb_inventory_revoke(inv, "n1", &err), "%s", err.text);
	ck_assert_int_eq(sb_inventory_crls(inv, &op, &crl, &err), 0);
	ck_assert_int_eq(sb_tls_verify(first.node_ca, crl, first.node_cert, NULL, 0, &err),
			-SB_E_DENIED);
	ck_assert_str_eq(err.text, "revoked");
	ck_assert_int_eq(sb_tls_verify(first.node_ca, crl, second.node_cert, NULL, 0, &err),
			-SB_E_DENIED);
	sb_inv_node_done(&got);
	ck_assert_int_eq(sb_inventory_node_get(inv, "n1", &got, &err), 0);
	ck_assert(got.revoked);
	/* Once more changes no list, and a new certificate is good. */
	ck_assert_int_eq(sb_inventory_revoke(inv, "n1", &err), 0);
	again = slurp("pki/node-ca.crl");
	ck_assert_str_eq(again, crl);
	free(one);
	one = sign("n1", NULL);
	sb_tls_bundle_done(&first);
	ck_assert_int_eq(sb_tls_bundle_read(one, &first, NULL), 0);
	ck_assert_int_eq(sb_tls_verify(first.node_ca, crl, first.node_cert, NULL, 0, &err), 0);
	sb_tls_bundle_done(&first);
	sb_tls_bundle_done(&second);
}
END_TEST

/* --- nodes --- */

static void count_warning(void *ctx, const char *text)
{
	struct sb_strbuf *all = ctx;

	sb_strbuf_addf(all, "%s\n", text);
}

START_TEST(nodes_round_trip)
{
	struct sb_inv_node node = { .name = (char *)"b.lab",
		.address = (char *)"fe80::1%eth0",
		.serial = (char *)"00123e4",
		.control_port = 1,
		.peer_port = 65535,
		.not_after_unix_s = 4102444800,
		.revoked = true };
	struct sb_inv_node plain = { .name = (char *)"a", .address = (char *)"yes" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf warnings = SB_STRBUF_INIT;
	struct sb_inv_node *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 9;

	ck_assert_int_eq(sb_inventory_nodes(inv, &list, &n, NULL, NULL, &err), 0);
	ck_assert_uint_eq(n, 0);
	free(list);
	ck_assert_int_eq(sb_inventory_node_put(inv, &node, &err), 0);
	ck_assert_int_eq(sb_inventory_node_put(inv, &plain, &err), 0);
	spit("nodes", "bad.yaml", "address: 10.0.0.1\ncontrol_port: many\n");
	spit("nodes", "z.yaml", "address: z\nfrom_the_future: [1]\n");
	ck_assert_int_eq(sb_inventory_nodes(inv, &list, &n, count_warning, &warnings, &err), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(list[0].name, "a");
	ck_assert_str_eq(list[0].address, "yes");
	ck_assert_uint_eq(list[0].control_port, 47100);
	ck_assert_uint_eq(list[0].peer_port, 47101);
	ck_assert_ptr_null(list[0].serial);
	ck_assert_str_eq(list[1].name, "b.lab");
	ck_assert_str_eq(list[1].address, "fe80::1%eth0");
	ck_assert_str_eq(list[1].serial, "00123e4");
	ck_assert_uint_eq(list[1].control_port, 1);
	ck_assert_uint_eq(list[1].peer_port, 65535);
	ck_assert_int_eq(list[1].not_after_unix_s, 4102444800);
	ck_assert(list[1].revoked);
	ck_assert_str_eq(list[2].name, "z");
	ck_assert_msg(strstr(sb_strbuf_str(&warnings), "bad.yaml:2:15: "), "%s",
			sb_strbuf_str(&warnings));
	for (size_t i = 0; i < n; i++)
		sb_inv_node_done(&list[i]);
	free(list);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_nodes[] = {
	{ "control_port: 1\n", "no address" },
	{ "address: [a]\n", "n.yaml:1:10: " },
	{ "address: a\npeer_port: 0\n", "n.yaml:2:12: peer_port: expected a port" },
	{ "address: a\npeer_port: 65536\n", "n.yaml:2:12: peer_port: expected a port" },
	{ "address: a\nrevoked: maybe\n", "n.yaml:2:10: " },
	{ "address: a\nnot_after: soon\n", "n.yaml:2:12: " },
	{ "- a\n", "n.yaml:1:1: " },
	{ "address: 'a\n", "n.yaml:" },
	{ "", "n.yaml" },
};

START_TEST(bad_node_files_say_where)
{
	struct sb_inv_node node = { 0 };
	struct sb_err err = SB_ERR_INIT;

	spit("nodes", "n.yaml", bad_nodes[_i].text);
	ck_assert_int_eq(sb_inventory_node_get(inv, "n", &node, &err), -SB_E_INVALID);
	ck_assert_msg(strstr(err.text, bad_nodes[_i].says), "%s", err.text);
	ck_assert_ptr_null(node.name);
}
END_TEST

START_TEST(node_names_and_removal)
{
	struct sb_inv_node node = { .name = (char *)"../x", .address = (char *)"a" };
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_inventory_node_put(inv, &node, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_node_get(inv, "../x", &node, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_node_remove(inv, "../x", &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_node_remove(inv, NULL, &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_node_remove(inv, "x", &err), -SB_E_NOT_FOUND);
	node.name = (char *)"x";
	node.address = NULL;
	ck_assert_int_eq(sb_inventory_node_put(inv, &node, &err), -SB_E_INVALID);
	node.address = (char *)"a";
	ck_assert_int_eq(sb_inventory_node_put(inv, &node, &err), 0);
	ck_assert_int_eq(sb_inventory_node_remove(inv, "x", &err), 0);
	ck_assert_int_eq(sb_inventory_node_get(inv, "x", &node, &err), -SB_E_NOT_FOUND);
}
END_TEST

/* --- clusters --- */

static char *two_hosts[] = { (char *)"10.0.0.11", (char *)"spark: 2", NULL };
static char *settings[] = { (char *)"privileged=true", (char *)"shm_size=64g",
	(char *)"label=a=b: c #d", (char *)"gpus=", NULL };

static struct sb_inv_cluster lab(void)
{
	static char *hosts[] = { (char *)"10.0.0.11", (char *)"010", NULL };

	return (struct sb_inv_cluster){ .name = (char *)"lab_1-x",
		.description = (char *)"four Sparks: \"on\" the switch\nand a line",
		.user = (char *)"yes",
		.transfer_mode = (char *)"delegated",
		.transfer_interface = (char *)"cx7",
		.topology = (char *)"ring",
		.hosts = hosts,
		.n_hosts = 2,
		.executor = settings,
		.n_executor = 4 };
}

START_TEST(clusters_round_trip)
{
	struct sb_inv_cluster in = lab(), *list = NULL;
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster out = { 0 };
	SB_CLEANUP(sb_freep) char *all = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n = 0;

	ck_assert_msg(!sb_inventory_cluster_put(inv, &in, &err), "%s", err.text);
	ck_assert_msg(!sb_inventory_cluster_get(inv, "lab_1-x", &out, &err), "%s", err.text);
	ck_assert_str_eq(out.name, in.name);
	ck_assert_str_eq(out.description, in.description);
	ck_assert_str_eq(out.user, "yes");
	ck_assert_ptr_null(out.cache_dir);
	ck_assert_str_eq(out.transfer_mode, "delegated");
	ck_assert_str_eq(out.transfer_interface, "cx7");
	ck_assert_str_eq(out.topology, "ring");
	ck_assert_uint_eq(out.n_hosts, 2);
	ck_assert_str_eq(out.hosts[1], "010");
	ck_assert_ptr_null(out.hosts[2]);
	ck_assert_uint_eq(out.n_executor, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_str_eq(out.executor[i], settings[i]);
	ck_assert_ptr_null(out.executor[4]);
	spit("clusters", "bad.yaml", "hosts: 7\n");
	ck_assert_int_eq(sb_inventory_clusters(inv, &list, &n, NULL, NULL, &err), 0);
	ck_assert_uint_eq(n, 1);
	sb_inv_cluster_done(&list[0]);
	free(list);
	all = snapshot();
	ck_assert(modes_good);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_clusters[] = {
	{ "hosts: a\n", "c.yaml:1:8: hosts" },
	{ "hosts: [a, {b: c}]\n", "c.yaml:1:12: host" },
	{ "hosts: [a, '']\n", "c.yaml:1:12: host" },
	{ "name: other\n", "c.yaml:1:7: name" },
	{ "description: [x]\n", "c.yaml:1:14: description" },
	{ "transfer_mode: pigeon\n", "c.yaml:1:16: transfer_mode" },
	{ "executor_config: [x]\n", "c.yaml:1:18: executor_config" },
	{ "executor_config:\n  ulimit: [a]\n", "c.yaml:2:11: ulimit" },
	{ "a: b: c\n", "c.yaml:1:" },
};

START_TEST(bad_cluster_files_say_where)
{
	struct sb_inv_cluster c = { 0 };
	struct sb_err err = SB_ERR_INIT;

	spit("clusters", "c.yaml", bad_clusters[_i].text);
	ck_assert_int_eq(sb_inventory_cluster_get(inv, "c", &c, &err), -SB_E_INVALID);
	ck_assert_msg(strstr(err.text, bad_clusters[_i].says), "%s", err.text);
	ck_assert_ptr_null(c.name);
}
END_TEST

START_TEST(cluster_written_by_hand)
{
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	struct sb_err err = SB_ERR_INIT;

	spit("clusters", "c.yaml",
			"name: c\nhosts: [10.0.0.1, spark2]\ndescription: 2024\nuser:\n"
			"colour: blue\nexecutor_config: {privileged: yes, memory: 010, empty: }\n");
	ck_assert_msg(!sb_inventory_cluster_get(inv, "c", &c, &err), "%s", err.text);
	ck_assert_str_eq(c.description, "2024");
	ck_assert_ptr_null(c.user);
	ck_assert_str_eq(c.hosts[0], "10.0.0.1");
	ck_assert_str_eq(c.executor[0], "privileged=yes");
	ck_assert_str_eq(c.executor[1], "memory=010");
	ck_assert_str_eq(c.executor[2], "empty=");
}
END_TEST

START_TEST(cluster_put_refuses)
{
	static char *twice[] = { (char *)"a", (char *)"b", (char *)"a", NULL };
	static char *odd[] = { (char *)"novalue", NULL };
	static const char *const names[] = { "", "-a", "_a", "a.b", "a/b", "..", "a b",
		"\xc3\xa4" };
	struct sb_err err = SB_ERR_INIT;
	struct sb_inv_cluster c;

	for (size_t i = 0; i < sb_countof(names); i++) {
		c = lab();
		c.name = (char *)names[i];
		ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
		ck_assert_int_eq(sb_inventory_cluster_get(inv, names[i], &c, &err), -SB_E_INVALID);
		ck_assert_int_eq(sb_inventory_cluster_remove(inv, names[i], &err), -SB_E_INVALID);
	}
	c = lab();
	c.n_hosts = 0;
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "No hosts provided."));
	c.hosts = two_hosts;
	c.n_hosts = 2;
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
	c.hosts = twice;
	c.n_hosts = 3;
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "twice"));
	c = lab();
	c.topology = (char *)"star";
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
	c = lab();
	c.executor = odd;
	c.n_executor = 1;
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), -SB_E_INVALID);
}
END_TEST

START_TEST(default_cluster)
{
	struct sb_inv_cluster c = lab();
	SB_CLEANUP(sb_freep) char *name = NULL;
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_inventory_default(inv, &name, &err), 0);
	ck_assert_ptr_null(name);
	ck_assert_int_eq(sb_inventory_set_default(inv, "lab_1-x", &err), -SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_inventory_set_default(inv, "../x", &err), -SB_E_INVALID);
	ck_assert_int_eq(sb_inventory_set_default(inv, NULL, &err), 0);
	ck_assert_int_eq(sb_inventory_cluster_put(inv, &c, &err), 0);
	ck_assert_int_eq(sb_inventory_set_default(inv, "lab_1-x", &err), 0);
	ck_assert_int_eq(sb_inventory_default(inv, &name, &err), 0);
	ck_assert_str_eq(name, "lab_1-x");
	ck_assert_int_eq(sb_inventory_set_default(inv, NULL, &err), 0);
	free(sb_steal(name));
	ck_assert_int_eq(sb_inventory_default(inv, &name, &err), 0);
	ck_assert_ptr_null(name);
	ck_assert_int_eq(sb_inventory_set_default(inv, "lab_1-x", &err), 0);
	ck_assert_int_eq(sb_inventory_cluster_remove(inv, "lab_1-x", &err), 0);
	ck_assert_int_eq(sb_inventory_cluster_remove(inv, "lab_1-x", &err), -SB_E_NOT_FOUND);
	ck_assert_int_eq(sb_inventory_default(inv, &name, &err), 0);
	ck_assert_ptr_null(name);
	spit("clusters", ".default", "../../etc/passwd\n");
	ck_assert_int_eq(sb_inventory_default(inv, &name, &err), -SB_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inventory");
	TCase *tc = tcase_create("inventory");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, home_by_environment);
	tcase_add_loop_test(tc, init_makes_what_the_bus_needs, 0, 2);
	tcase_add_test(tc, init_twice_changes_nothing);
	tcase_add_test(tc, init_after_a_crash);
	tcase_add_test(tc, init_limits);
	tcase_add_test(tc, sign_makes_a_whole_bundle);
	tcase_add_test(tc, revoke_takes_back_every_certificate);
	tcase_add_test(tc, nodes_round_trip);
	tcase_add_loop_test(tc, bad_node_files_say_where, 0, sb_countof(bad_nodes));
	tcase_add_test(tc, node_names_and_removal);
	tcase_add_test(tc, clusters_round_trip);
	tcase_add_loop_test(tc, bad_cluster_files_say_where, 0, sb_countof(bad_clusters));
	tcase_add_test(tc, cluster_written_by_hand);
	tcase_add_test(tc, cluster_put_refuses);
	tcase_add_test(tc, default_cluster);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
