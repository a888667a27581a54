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
	{ OPT_FLAG, 0, "published", NULL, NULL, "the published tool's figures instead of ours",
			VRAM_OPT(published) },
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

/* The published fields as they are, for scripts that read them, and ours beside them. */
static json_t *to_json(const char *name, const struct sb_workload *w, const struct vram *v,
		struct sb_err *err)
{
	struct sb_vram_compat published;
	struct sb_vram_fit fit;
	json_t *json, *fields;

	if (vram_published(v, &published, err) < 0 || vram_fit(v, NULL, 0, &fit, err) < 0)
		return NULL;
	json = json_pack("{s:s, s:s, s:s}", "recipe", name, "model", sb_workload_model(w),
			"runtime", sb_workload_runtime(w));
	fields = sb_vram_compat_json(&published);
	if (!json || !fields || json_object_update(json, fields) < 0 ||
			json_object_set_new(json, "estimate", sb_vram_fit_json(&fit)) < 0) {
		json_decref(json);
		json = NULL;
		sb_err_nomem(err);
	}
	json_decref(fields);
	return json;
}

static int to_text(const struct vram *v, bool published, struct sb_strbuf *out, struct sb_err *err)
{
	struct sb_vram_compat compat;
	struct sb_vram_fit fit;
	int rc = published ? vram_published(v, &compat, err) : vram_fit(v, NULL, 0, &fit, err);

	if (rc < 0)
		return rc;
	if ((published ? sb_vram_compat_text(&compat, out) : sb_vram_fit_text(&fit, out)) < 0)
		return sb_err_nomem(err);
	return 0;
}

static int print_block(const char *name, const struct sb_workload *w, const struct vram *v,
		bool published, struct sb_err *err)
{
	const char *const lines[][2] = { { "Recipe:  ", name },
		{ "Model:   ", sb_workload_model(w) }, { "Runtime: ", sb_workload_runtime(w) } };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	int rc;

	for (size_t i = 0; i < sb_countof(lines); i++) {
		sb_strbuf_adds(&out, lines[i][0]);
		sb_render_clean(&out, lines[i][1], strlen(lines[i][1]));
		sb_strbuf_addc(&out, '\n');
	}
	rc = to_text(v, published, &out, err);
	if (rc == 0)
		fputs(sb_strbuf_str(&out), stdout);
	return rc;
}

static int print(struct cli *cli, const char *name, const struct sb_workload *w,
		const struct vram_opts *opts, struct sb_err *err)
{
	SB_CLEANUP(vram_done) struct vram v = { 0 };
	json_t *json;
	int rc = vram_open(cli, w, NULL, NULL,
			opts->no_auto_detect            ? VRAM_BLIND
					: opts->offline ? VRAM_OFFLINE
							: VRAM_ONLINE,
			&v, err);

	if (rc < 0)
		return cli_fail(cli, err);
	vram_note(cli, &v);
	if (opts->json) {
		json = to_json(name, w, &v, err);
		if (json)
			return cli_json(cli, json, EXIT_DONE);
		rc = -(int)err->code;
	} else {
		rc = print_block(name, w, &v, opts->published, err);
	}
	if (rc < 0)
		sb_err_wrap(err, rc, "VRAM estimation failed");
	return rc < 0 ? cli_fail(cli, err) : EXIT_DONE;
}

int cmd_recipe_vram(struct cli *cli, const struct call *call)
{
	SB_CLEANUP(recipe_source_done) struct recipe_source source = { 0 };
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	struct sb_err err = SB_ERR_INIT;

	if (recipe_find(call->args[0], &source, &err) < 0 ||
			resolve(source.path, call->opts, &w, &err) < 0)
		return cli_fail(cli, &err);
	sb_text_clean(source.name);
	return print(cli, source.name, w, call->opts, &err);
}
