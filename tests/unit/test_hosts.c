/* Which nodes and which jobs a command means. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static char home[64];
static struct cli cli;

static void put_node(struct sb_inventory *inv, const char *name, const char *address, bool revoked)
{
	const struct sb_inv_node node = { .name = (char *)name,
		.address = (char *)address,
		.control_port = 1,
		.peer_port = 2,
		.revoked = revoked };
	struct sb_err err;

	ck_assert_msg(sb_inventory_node_put(inv, &node, &err) == 0, "%s", err.text);
}

static void put_cluster(struct sb_inventory *inv, const char *name, const char *a, const char *b)
{
	char *hosts[] = { (char *)a, (char *)b, NULL };
	const struct sb_inv_cluster cluster = {
		.name = (char *)name, .hosts = hosts, .n_hosts = 2
	};
	struct sb_err err;

	ck_assert_msg(sb_inventory_cluster_put(inv, &cluster, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");
	struct sb_inventory *inv;
	struct sb_err err;

	snprintf(home, sizeof(home), "%s/sb-hosts-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("SPARKBUS_HOME", home, 1);
	cli = (struct cli){ 0 };
	ck_assert_int_eq(cli_inventory(&cli, &inv, &err), 0);
	put_node(inv, "s1", "10.0.0.11", false);
	put_node(inv, "s2", "10.0.0.12", false);
	put_node(inv, "s3", "10.0.0.13", true);
	put_cluster(inv, "lab", "s1", "10.0.0.12");
	put_cluster(inv, "old", "s2", "s3");
}

static void teardown(void)
{
	char command[128];

	cli_done(&cli);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

static int resolve(const char *hosts, const char *file, const char *cluster, enum hosts_need need,
		struct cli_nodes *nodes, struct sb_err *err)
{
	const struct host_opts opts = { hosts, file, cluster };

	*nodes = (struct cli_nodes)CLI_NODES_INIT;
	return hosts_resolve(&cli, &opts, need, nodes, err);
}

START_TEST(a_node_is_taken_once_by_name_or_address)
{
	struct cli_nodes nodes;
	struct sb_err err;

	ck_assert_int_eq(
			resolve("10.0.0.12, s1,s2,10.0.0.11", NULL, NULL, HOSTS_MUST, &nodes, &err),
			0);
	ck_assert_uint_eq(nodes.n, 2);
	ck_assert_str_eq(nodes.items[0].node.name, "s2");
	ck_assert_str_eq(nodes.items[0].host, "10.0.0.12");
	ck_assert_str_eq(nodes.items[1].node.name, "s1");
	ck_assert_str_eq(nodes.label, "--hosts");
	cli_nodes_done(&nodes);
}
END_TEST

START_TEST(the_first_source_that_is_given_wins)
{
	struct cli_nodes nodes;
	struct sb_err err;
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/hosts", home);
	f = fopen(path, "w");
	fputs("# head first\n\n  s2  # the second\ns1\n", f);
	fclose(f);
	ck_assert_int_eq(resolve("s1", path, "lab", HOSTS_MUST, &nodes, &err), 0);
	ck_assert_uint_eq(nodes.n, 1);
	cli_nodes_done(&nodes);
	ck_assert_int_eq(resolve(NULL, path, "lab", HOSTS_MUST, &nodes, &err), 0);
	ck_assert_str_eq(nodes.items[0].node.name, "s2");
	ck_assert_ptr_nonnull(strstr(nodes.label, path));
	cli_nodes_done(&nodes);
	ck_assert_int_eq(resolve(NULL, NULL, "lab", HOSTS_MUST, &nodes, &err), 0);
	ck_assert_str_eq(nodes.label, "cluster 'lab'");
	ck_assert_uint_eq(nodes.n, 2);
	cli_nodes_done(&nodes);
}
END_TEST

START_TEST(the_default_cluster_then_all_or_an_error)
{
	struct cli_nodes nodes;
	struct sb_err err;

	ck_assert_int_eq(resolve(NULL, NULL, NULL, HOSTS_MUST, &nodes, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "No hosts specified. Use --hosts or configure defaults.");
	ck_assert_int_eq(resolve(NULL, NULL, NULL, HOSTS_OR_ALL, &nodes, &err), 0);
	ck_assert_uint_eq(nodes.n, 2); /* not the revoked one */
	cli_nodes_done(&nodes);
	ck_assert_int_eq(sb_inventory_set_default(cli.inventory, "lab", &err), 0);
	ck_assert_int_eq(resolve(NULL, NULL, NULL, HOSTS_MUST, &nodes, &err), 0);
	ck_assert_str_eq(nodes.label, "default cluster 'lab'");
	cli_nodes_done(&nodes);
}
END_TEST

START_TEST(what_is_not_known_is_never_replaced)
{
	struct cli_nodes nodes;
	struct sb_err err;

	ck_assert_int_eq(sb_inventory_set_default(cli.inventory, "lab", &err), 0);
	ck_assert_int_eq(resolve(NULL, NULL, "nope", HOSTS_OR_ALL, &nodes, &err), -SB_E_NOT_FOUND);
	ck_assert_str_eq(err.text, "Cluster 'nope' not found.");
	ck_assert_int_eq(resolve("s1,s9", NULL, NULL, HOSTS_OR_ALL, &nodes, &err), -SB_E_NOT_FOUND);
	ck_assert_str_eq(err.text, "unknown node 's9'; known nodes: s1, s2, s3");
	ck_assert_int_eq(resolve(" , ", NULL, NULL, HOSTS_OR_ALL, &nodes, &err), -SB_E_INVALID);
	ck_assert_int_eq(resolve(NULL, "/nonexistent", NULL, HOSTS_OR_ALL, &nodes, &err),
			-SB_E_NOT_FOUND);
}
END_TEST

START_TEST(a_revoked_node_starts_nothing)
{
	struct cli_nodes nodes;
	struct sb_err err;

	ck_assert_int_eq(resolve(NULL, NULL, "old", HOSTS_MUST, &nodes, &err), -SB_E_DENIED);
	ck_assert_str_eq(err.text, "node s3 is revoked");
	ck_assert_int_eq(resolve(NULL, NULL, "old", HOSTS_OR_ALL, &nodes, &err), 0);
	ck_assert_uint_eq(nodes.n, 1);
	cli_nodes_done(&nodes);
}
END_TEST

static const struct {
	const char *target;
	bool match;
} targets[] = {
	{ "sparkbus_0123456789ab", true },
	{ "sparkrun_0123456789ab", true },
	{ "0123456789ab", true },
	{ "01234567", true },
	{ "0123456", false }, /* too short for an id, and no recipe's name */
	{ "01234568", false },
	{ "0123456789abc", false },
	{ "0123456789AB", false },
	{ "@official/qwen3", true },
	{ "qwen3", true },
	{ "./qwen3.yaml", true },
	{ "@other/qwen3", false },
	{ "qwen", false },
	{ "qwen33", false },
	{ "", false },
};

START_TEST(a_job_is_meant_by_id_or_recipe)
{
	Sparkbus__JobStatus s = SPARKBUS__JOB_STATUS__INIT;
	const struct job_filter filter = { .target = targets[_i].target };

	s.job = (char *)"sparkbus_0123456789ab";
	s.recipe = (char *)"@official/qwen3";
	ck_assert_int_eq(job_matches(&s, &filter), targets[_i].match);
}
END_TEST

START_TEST(filters_narrow_a_target)
{
	Sparkbus__JobStatus s = SPARKBUS__JOB_STATUS__INIT;

	s.job = (char *)"sparkbus_0123456789ab";
	s.recipe = (char *)"x";
	s.url = (char *)"http://10.0.0.11:8000/v1";
	s.tensor_parallel = 2;
	s.served_model_name = (char *)"m";
	ck_assert(job_matches(&s, &(struct job_filter){ .tp = { "2", 2 } }));
	ck_assert(!job_matches(&s, &(struct job_filter){ .tp = { "1", 1 } }));
	ck_assert(job_matches(&s, &(struct job_filter){ .port = { "8000", 8000 } }));
	ck_assert(!job_matches(&s, &(struct job_filter){ .port = { "80", 80 } }));
	ck_assert(job_matches(&s, &(struct job_filter){ .served_model_name = "m" }));
	ck_assert(!job_matches(&s, &(struct job_filter){ .served_model_name = "n" }));
	ck_assert_str_eq(job_short(s.job), "0123456789ab");
	ck_assert_str_eq(job_short("custom"), "custom");
}
END_TEST

START_TEST(the_worst_outcome_counts)
{
	static const Sparkbus__Outcome all[] = { SPARKBUS__OUTCOME__OUTCOME_UNKNOWN,
		SPARKBUS__OUTCOME__OUTCOME_DONE, SPARKBUS__OUTCOME__OUTCOME_FAILED,
		(Sparkbus__Outcome)99 };

	for (size_t i = 0; i < sb_countof(all); i++) {
		for (size_t k = 0; k < sb_countof(all); k++) {
			Sparkbus__Outcome worst = outcome_worse(all[i], all[k]);

			ck_assert_int_eq(worst, outcome_worse(all[k], all[i]));
			if (all[i] == SPARKBUS__OUTCOME__OUTCOME_FAILED)
				ck_assert_int_eq(outcome_exit(worst), EXIT_FAILED);
			/* Done is only what every node is. */
			ck_assert_int_eq(outcome_exit(worst) == EXIT_DONE,
					all[i] == SPARKBUS__OUTCOME__OUTCOME_DONE &&
							all[k] == all[i]);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hosts");
	TCase *tc = tcase_create("hosts");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_node_is_taken_once_by_name_or_address);
	tcase_add_test(tc, the_first_source_that_is_given_wins);
	tcase_add_test(tc, the_default_cluster_then_all_or_an_error);
	tcase_add_test(tc, what_is_not_known_is_never_replaced);
	tcase_add_test(tc, a_revoked_node_starts_nothing);
	tcase_add_loop_test(tc, a_job_is_meant_by_id_or_recipe, 0, sb_countof(targets));
	tcase_add_test(tc, filters_narrow_a_target);
	tcase_add_test(tc, the_worst_outcome_counts);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
