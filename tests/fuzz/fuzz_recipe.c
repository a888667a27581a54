/* fuzz_recipe.c - any bytes as a recipe: parsed, resolved, compiled for two nodes. A plan that
 * comes out must be one that an agent could run, and must survive the wire. */
#include <stdint.h>
#include <string.h>

#include "sb_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *env_of(const char *name)
{
	return !strcmp(name, "HOME") ? "/home/x" : NULL;
}

static void check_plan(const Sparkbus__LaunchPlan *plan)
{
	size_t len = sparkbus__launch_plan__get_packed_size(plan);
	SB_CLEANUP(sb_freep) uint8_t *bytes = malloc(len);
	Sparkbus__LaunchPlan *back;

	if (!plan->n_ranks || !plan->readiness || !plan->job[0] || !plan->port)
		abort();
	for (size_t i = 0; i < plan->n_ranks; i++)
		if (!plan->ranks[i]->n_argv || !plan->ranks[i]->options)
			abort();
	sparkbus__launch_plan__pack(plan, bytes);
	back = sparkbus__launch_plan__unpack(NULL, len, bytes);
	if (!back)
		abort();
	sparkbus__launch_plan__free_unpacked(back, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sb_plan_node nodes[] = {
		{ "spark1", "10.0.0.11", "10.0.0.11", 47101 },
		{ "spark2", "10.0.0.12", "10.0.0.12", 47101 },
	};
	static const struct sb_plan_input input = { .nodes = nodes, .n_nodes = 2 };
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = SB_DIAGS_INIT;
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_recipe_parse("r.yaml", (const char *)data, size, env_of, &diags, &recipe, &err);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &diags, &w, &err);
	if (rc == 0)
		rc = sb_plan_compile(w, &input, &diags, &plan, &err);
	if (rc == 0) {
		check_plan(plan);
		sparkbus__launch_plan__free_unpacked(plan, NULL);
	} else if (!err.text[0] || err.code == SB_OK) {
		abort();
	}
	return 0;
}
