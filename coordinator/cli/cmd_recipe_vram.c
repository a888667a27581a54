/* recipe vram: how much memory a recipe's model takes on each node. Asks no node. */
#include <string.h>

#include "commands.h"
#include "vram_text.h"

#define VRAM_OPT(member) offsetof(struct vram_opts, member)

const struct opt vram_options[] = {
	{ OPT_INT, 0, "tp", "tensor-parallel", "N", "tensor parallel size", VRAM_OPT(tp), 1, 1024 },
	{ OPT_INT, 0, "max-model-len", NULL, "N", "longest context, in tokens",
			VRAM_OPT(max_model_len), 1, 1e9 },
	{ OPT_FLOAT, 0, "gpu-mem", "gpu-memory-utilization,mem-fraction-static", "F",
			"share of the memory that the engine may use, 0 to 1", VRAM_OPT(gpu_mem), 0,
			1 },
	{ OPT_FLAG, 0, "no-auto-detect", NULL, NULL,
			"use what the recipe says alone, not the model's files",
			VRAM_OPT(no_auto_detect) },
	{ OPT_FLAG, 0, "offline", NULL, NULL, "do not ask the hub", VRAM_OPT(offline) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", VRAM_OPT(json) },
	{ OPT_END },
};

static int resolve(const char *path, const struct vram_opts *opts, struct sb_workload **ret,
		struct sb_err *err)
{
	const struct sb_override all[] = {
		{ "tensor_parallel", opts->tp.text, "--tp" },
		{ "max_model_len", opts->max_model_len.text, "--max-model-len" },
		{ "gpu_memory_utilization", opts->gpu_mem.text, "--gpu-mem" },
	};
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct sb_override given[sb_countof(all)];
	size_t n = 0;
	int rc = recipe_load(path, NULL, NULL, NULL, &recipe, err);

	for (size_t i = 0; i < sb_countof(all); i++)
		if (all[i].value)
			given[n++] = all[i];
	return rc < 0 ? rc : sb_workload_resolve(recipe, given, n, NULL, NULL, 0, NULL, ret, err);
}

static json_t *to_json(const char *name, const struct sb_workload *w,
		const struct sb_vram_compat *estimate)
{
	json_t *json = json_pack("{s:s, s:s, s:s}", "recipe", name, "model", sb_workload_model(w),
			"runtime", sb_workload_runtime(w));
	json_t *fields = sb_vram_compat_json(estimate);

	if (!json || !fields || json_object_update(json, fields) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(fields);
	return json;
}

static int print_block(const char *name, const struct sb_workload *w,
		const struct sb_vram_compat *estimate, struct sb_err *err)
{
	const char *const lines[][2] = { { "Recipe:  ", name },
		{ "Model:   ", sb_workload_model(w) }, { "Runtime: ", sb_workload_runtime(w) } };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < sb_countof(lines); i++) {
		sb_strbuf_adds(&out, lines[i][0]);
		sb_render_clean(&out, lines[i][1], strlen(lines[i][1]));
		sb_strbuf_addc(&out, '\n');
	}
	if (sb_vram_compat_text(estimate, &out) < 0)
		return sb_err_nomem(err);
	fputs(sb_strbuf_str(&out), stdout);
	return 0;
}

int cmd_recipe_vram(struct cli *cli, const struct call *call)
{
	const struct vram_opts *opts = call->opts;
	SB_CLEANUP(recipe_source_done) struct recipe_source source = { 0 };
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	struct sb_vram_compat estimate;
	struct sb_err err = SB_ERR_INIT;
	int rc = recipe_find(call->args[0], &source, &err);

	if (!rc)
		rc = resolve(source.path, opts, &w, &err);
	if (!rc) {
		rc = vram_estimate(cli, w,
				opts->no_auto_detect            ? VRAM_BLIND
						: opts->offline ? VRAM_OFFLINE
								: VRAM_ONLINE,
				&estimate, &err);
		if (rc < 0)
			sb_err_wrap(&err, rc, "VRAM estimation failed");
	}
	if (!rc)
		sb_text_clean(source.name);
	if (!rc && opts->json)
		return cli_json(cli, to_json(source.name, w, &estimate), EXIT_DONE);
	if (!rc)
		rc = print_block(source.name, w, &estimate, &err);
	return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}
