/* export recipe: a recipe as a file of its own. */
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "sb_fs.h"
#include "sb_plan.h"

#define EXPORT_OPT(member) offsetof(struct export_opts, member)

static const struct opt output_options[] = {
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", EXPORT_OPT(run.json) },
	{ OPT_TEXT, 0, "save", NULL, "FILE", "write to FILE instead of printing",
			EXPORT_OPT(save) },
	{ OPT_FLAG, 0, "force", NULL, NULL, "replace FILE", EXPORT_OPT(force) },
	{ OPT_END },
};

const struct opt export_recipe_options[] = {
	{ OPT_GROUP, .name = "Recipe overrides", .at = EXPORT_OPT(run),
			.group = run_override_options },
	{ OPT_GROUP, .name = "Containers", .at = EXPORT_OPT(run), .group = run_container_options },
	{ OPT_GROUP, .name = "Output", .at = 0, .group = output_options },
	{ OPT_END },
};

/* A file that holds a secret is for its owner alone. */
static bool has_secret(const struct sb_workload *w)
{
	static const char *const keys[] = { "api_key", "auth_token" };
	struct sb_env env;

	for (size_t i = 0; i < sb_countof(keys); i++)
		if (*sb_workload_text(w, keys[i], ""))
			return true;
	for (size_t i = 0; sb_workload_env_at(w, i, &env); i++)
		if (sb_plan_env_is_secret(env.name) && *env.value && *env.value != '$')
			return true;
	return false;
}

int export_save(struct cli *cli, const char *path, bool force, const struct sb_strbuf *text,
		unsigned mode, struct sb_err *err)
{
	int rc;

	if (!force && access(path, F_OK) == 0) {
		sb_err_set(err, SB_E_BUSY, "%s is there already", path);
		return sb_err_hint(err, -SB_E_BUSY, "--force replaces it");
	}
	rc = sb_fs_write(path, sb_strbuf_str(text), text->len, mode, err);
	if (rc == 0)
		cli_note(cli, "Saved to %s.", path);
	return rc;
}

int export_put(struct cli *cli, const struct export_put *how, const struct sb_strbuf *text,
		struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc = 0;

	if (how->save)
		return export_save(cli, how->save, how->force, text, how->mode, err);
	if (!how->json) {
		fputs(sb_strbuf_str(text), stdout);
		return 0;
	}
	rc = sb_yaml_parse("recipe", sb_strbuf_str(text), text->len, NULL, NULL, &doc, err);
	if (rc == 0 && cli_json(cli, recipe_yaml_json(sb_yaml_root(doc)), EXIT_DONE) != EXIT_DONE)
		rc = sb_err_nomem(err);
	return rc;
}

static int export_recipe(struct launch *l, const struct export_opts *opts, const char *target,
		struct sb_err *err)
{
	const struct sb_export_opts how = { .keep = opts->run.no_rm,
		.labels = opts->run.label.items,
		.n_labels = opts->run.label.n };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = launch_resolve(l, &opts->run, target, err);

	if (rc == 0)
		rc = sb_workload_export(l->workload, &how, &text, err);
	return rc < 0 ? rc
		      : export_put(l->cli,
					&(struct export_put){ opts->save, opts->force,
							opts->run.json,
							has_secret(l->workload) ? 0600 : 0644 },
					&text, err);
}

int cmd_export_recipe(struct cli *cli, const struct call *call)
{
	const struct export_opts *opts = call->opts;
	struct launch l = { .cli = cli };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	if (opts->force && !opts->save)
		return cli_usage(call, "--force goes with --save");
	if (opts->save && opts->run.json)
		return cli_usage(call, "--json does not go with --save");
	rc = export_recipe(&l, opts, call->args[0], &err);
	launch_done(&l);
	return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}
