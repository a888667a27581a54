/* export.c - a workload written as a recipe compiles to the same plan. */
#include <string.h>

#include "golden.h"

static const char *nothing(const char *name)
{
	return NULL;
}

static char *packed(const Sparkbus__LaunchPlan *plan, size_t *ret_len)
{
	char *bytes = malloc(sparkbus__launch_plan__get_packed_size(plan) + 1);

	*ret_len = bytes ? sparkbus__launch_plan__pack(plan, (uint8_t *)bytes) : 0;
	return bytes;
}

static int compile(const struct sb_workload *w, const struct sb_plan_input *input,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret, struct sb_err *err)
{
	static const struct sb_export_opts opts = { .keep = false };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *again = NULL;
	int rc = sb_workload_export(w, &opts, &text, err);

	if (rc == 0)
		rc = sb_recipe_parse(sb_workload_path(w), sb_strbuf_str(&text), text.len, nothing,
				diags, &recipe, err);
	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, diags, &again, err);
	return rc == 0 ? sb_plan_compile(again, input, diags, ret, err) : rc;
}

void golden_check_export(struct golden_case *c, const struct sb_workload *w,
		const struct sb_plan_input *input, const Sparkbus__LaunchPlan *plan)
{
	SB_CLEANUP(sb_freep) char *want = NULL;
	SB_CLEANUP(sb_freep) char *got = NULL;
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = SB_DIAGS_INIT;
	Sparkbus__LaunchPlan *again = NULL;
	struct sb_err err = SB_ERR_INIT;
	size_t n_want = 0, n_got = 0;

	if (compile(w, input, &diags, &again, &err) < 0) {
		golden_differ(c, "export", "(launch)", err.text);
		return;
	}
	want = packed(plan, &n_want);
	got = packed(again, &n_got);
	if (!want || !got || n_want != n_got || memcmp(want, got, n_want) != 0)
		golden_differ(c, "export", plan->serve_command, again->serve_command);
	sparkbus__launch_plan__free_unpacked(again, NULL);
}
