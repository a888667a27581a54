/* What nodes say of themselves, as facts. */
#include <check.h>
#include <string.h>

#include "checks.h"

#define GIB ((uint64_t)1 << 30)

struct node {
	Sparkbus__NodeState state;
	Sparkbus__Telemetry telemetry;
	Sparkbus__MemoryState memory;
	Sparkbus__GpuState gpu_state;
	Sparkbus__Gpu gpu, *gpus[1];
};

static void make(struct node *n, const char *driver, uint32_t capability, uint64_t available,
		uint64_t free, uint64_t cached)
{
	sparkbus__node_state__init(&n->state);
	sparkbus__telemetry__init(&n->telemetry);
	sparkbus__memory_state__init(&n->memory);
	sparkbus__gpu_state__init(&n->gpu_state);
	sparkbus__gpu__init(&n->gpu);
	n->memory.has_total_case = SPARKBUS__MEMORY_STATE__HAS_TOTAL_TOTAL_BYTES;
	n->memory.total_bytes = 121 * GIB;
	n->memory.has_available_case = SPARKBUS__MEMORY_STATE__HAS_AVAILABLE_AVAILABLE_BYTES;
	n->memory.available_bytes = available * GIB;
	n->memory.has_free_case = SPARKBUS__MEMORY_STATE__HAS_FREE_FREE_BYTES;
	n->memory.free_bytes = free * GIB;
	n->memory.has_cached_case = SPARKBUS__MEMORY_STATE__HAS_CACHED_CACHED_BYTES;
	n->memory.cached_bytes = cached * GIB;
	n->gpu.has_capability_case = SPARKBUS__GPU__HAS_CAPABILITY_CAPABILITY;
	n->gpu.capability = capability;
	n->gpus[0] = &n->gpu;
	n->gpu_state.driver_version = (char *)driver;
	n->gpu_state.gpus = n->gpus;
	n->gpu_state.n_gpus = 1;
	n->telemetry.memory = &n->memory;
	n->telemetry.gpu = &n->gpu_state;
	n->state.telemetry = &n->telemetry;
}

static struct sb_facts *facts_of(struct node *nodes, size_t n, bool with_silent)
{
	const Sparkbus__NodeState *states[4] = { 0 };
	struct sb_facts *facts = NULL;

	for (size_t i = 0; i < n; i++)
		states[i] = &nodes[i].state;
	ck_assert_int_eq(sb_facts_new(&facts, NULL), 0);
	ck_assert_int_eq(checks_add_nodes(facts, states, n + with_silent, NULL), 0);
	return facts;
}

#define TEXT(name) sb_facts_text(facts, name)

START_TEST(the_worst_node_counts)
{
	struct node nodes[2];
	struct sb_facts *facts;

	make(&nodes[0], "580.95.05", 121, 100, 90, 5);
	make(&nodes[1], "590.44.01", 121, 110, 30, 70);
	facts = facts_of(nodes, 2, false);
	ck_assert_str_eq(TEXT("node.driver"), "580.95.05");
	ck_assert_str_eq(TEXT("node.same_software"), "false");
	ck_assert_str_eq(TEXT("node.mem_available_gib"), "100");
	ck_assert_str_eq(TEXT("node.mem_free_gib"), "30");
	ck_assert_str_eq(TEXT("node.page_cache_gib"), "70");
	ck_assert_str_eq(TEXT("node.usable_gib"), "121");
	ck_assert_ptr_null(TEXT("node.gpu")); /* a GB10 is what the rules assume */
	sb_facts_free(facts);
}
END_TEST

/* Versions are compared as numbers: 99 is older than 580. */
START_TEST(one_driver_says_nothing_of_the_rest)
{
	struct node nodes[2];
	struct sb_facts *facts;

	make(&nodes[0], "580.95.05", 90, 100, 90, 5);
	make(&nodes[1], "580.95.05", 90, 100, 95, 1);
	facts = facts_of(nodes, 2, false);
	ck_assert_ptr_null(TEXT("node.same_software"));
	ck_assert_str_eq(TEXT("node.gpu"), "sm90");
	ck_assert_str_eq(TEXT("node.page_cache_gib"), "5");
	sb_facts_free(facts);
	make(&nodes[1], "99.1", 90, 100, 95, 1);
	facts = facts_of(nodes, 2, false);
	ck_assert_str_eq(TEXT("node.driver"), "99.1");
	sb_facts_free(facts);
}
END_TEST

START_TEST(what_is_not_told_stays_unknown)
{
	struct node nodes[1];
	struct sb_facts *facts;

	make(&nodes[0], "580.95.05", 121, 100, 90, 5);
	facts = facts_of(nodes, 1, true); /* the second does not answer */
	ck_assert_ptr_null(TEXT("node.driver"));
	ck_assert_ptr_null(TEXT("node.mem_free_gib"));
	sb_facts_free(facts);
	make(&nodes[0], "", 121, 100, 90, 5);
	nodes[0].gpu_state.n_gpus = 0;
	nodes[0].memory.has_free_case = 0;
	facts = facts_of(nodes, 1, false);
	ck_assert_ptr_null(TEXT("node.driver"));
	ck_assert_ptr_null(TEXT("node.mem_free_gib"));
	ck_assert_ptr_null(TEXT("node.page_cache_gib"));
	ck_assert_str_eq(TEXT("node.mem_available_gib"), "100");
	sb_facts_free(facts);
}
END_TEST

/* With the shipped rules: an old driver under an image that needs a newer one. */
START_TEST(rules_hear_of_nodes)
{
	struct node nodes[1];
	struct sb_rules *rules = NULL;
	struct sb_findings findings = { 0 };
	struct sb_facts *facts;
	struct sb_err err = SB_ERR_INIT;
	bool found = false;

	setenv("SPARKBUS_RECIPES", SOURCE_RECIPES, 1);
	make(&nodes[0], "580.95.05", 121, 100, 90, 5);
	facts = facts_of(nodes, 1, false);
	sb_facts_set(facts, "run.engine", "vllm", NULL, NULL);
	sb_facts_set(facts, "image.family", "ngc", NULL, NULL);
	sb_facts_set(facts, "image.tag", "25.12.post1-py3", NULL, NULL);
	sb_facts_set(facts, "image.ref", "nvcr.io/nvidia/vllm:25.12.post1-py3", NULL, NULL);
	ck_assert_msg(checks_load(&rules, &err) == 0, "%s", err.text);
	ck_assert_int_eq(sb_lint(rules, facts, &findings, &err), 0);
	for (size_t i = 0; i < findings.n; i++)
		found = found ||
				(!strcmp(findings.items[i].rule.id, "IMG012") &&
						strstr(findings.items[i].message, "580.95.05"));
	ck_assert(found);
	ck_assert_uint_eq(checks_count(&findings, SB_SEVERITY_ERROR), 0);
	sb_findings_done(&findings);
	sb_facts_free(facts);
	sb_rules_free(rules);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checks");
	TCase *tc = tcase_create("checks");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, the_worst_node_counts);
	tcase_add_test(tc, one_driver_says_nothing_of_the_rest);
	tcase_add_test(tc, what_is_not_told_stays_unknown);
	tcase_add_test(tc, rules_hear_of_nodes);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
