/* What a measured path means: the published figures for TCP between two Sparks. */
#include <check.h>
#include <string.h>

#include "fabric_measure.h"

static struct sb_fabric_node nodes[] = { { "spark-a", "10.0.0.1" }, { "spark-b", "10.0.0.2" } };

static const struct {
	unsigned path;
	uint32_t mtu;
	enum fabric_tried tried;
	bool has_packet, passed;
	double gbps;
	const char *id; /* NULL = nothing is wrong */
} cases[] = {
	{ 1, 9000, FABRIC_REACHED, true, true, 110, NULL },
	{ 1, 9000, FABRIC_REACHED, true, true, 80, NULL },
	{ 1, 9000, FABRIC_REACHED, true, true, 57, "slow-path" },
	{ 1, 1500, FABRIC_REACHED, true, true, 48, NULL },
	{ 2, 9000, FABRIC_REACHED, true, true, 12.9, "nic-at-13-gbps" },
	{ 2, 9000, FABRIC_REACHED, true, false, 110, "large-packets-lost" },
	{ 2, 9000, FABRIC_FAILED, false, false, 0, "unreachable" },
	{ 1, 9000, FABRIC_REACHED, false, false, 0, NULL }, /* not timed */
	{ 1, 9000, FABRIC_UNKNOWN, false, false, 0, NULL }, /* not known is not wrong */
	{ 0, 1500, FABRIC_REACHED, true, true, 0.9, NULL }, /* management: any network will do */
	{ 0, 1500, FABRIC_FAILED, false, false, 0, "unreachable" },
};

START_TEST(a_path_is_judged_by_what_is_normal)
{
	struct fabric_view view = { .reports = nodes };
	struct fabric_path path = { .to = 1,
		.path = cases[_i].path,
		.mtu = cases[_i].mtu,
		.tried = cases[_i].tried,
		.has_packet = cases[_i].has_packet,
		.packet_passed = cases[_i].passed,
		.gbps = cases[_i].gbps,
		.source = "10.0.0.1",
		.address = "10.0.0.2",
		.interface = "enp1s0f0np0" };
	struct fabric_verdict verdict = { 0 };
	bool any = fabric_path_verdict(&view, &path, 0, &verdict);

	ck_assert(any == (cases[_i].id != NULL));
	if (any)
		ck_assert_str_eq(verdict.id, cases[_i].id);
	if (any)
		ck_assert_ptr_nonnull(strstr(verdict.text, "spark-a"));
	ck_assert(!fabric_path_verdict(&view, &path, 1, &verdict));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fabric_measure");
	TCase *tc = tcase_create("fabric_measure");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, a_path_is_judged_by_what_is_normal, 0, sb_countof(cases));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
