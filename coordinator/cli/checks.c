#include <string.h>
#include <sys/stat.h>

#include "checks.h"
#include "recipes.h"
#include "sb_fs.h"
#include "sb_render.h"

#define RULES_MAX_BYTES ((size_t)1 << 20)
#define MOUNTS_MAX      64u

/* --- the rules --- */

/* Later files use what earlier ones say. */
static const char *const file_names[] = { "images.yaml", "models.yaml", "lint.yaml" };

static char *rules_folder(void)
{
	const char *const roots[] = { recipe_bundled_root(), recipe_installed_root() };
	struct stat st;

	for (size_t i = 0; i < sb_countof(roots); i++) {
		char *folder = sb_fs_join(roots[i], "rules");

		if (!folder || (!stat(folder, &st) && S_ISDIR(st.st_mode)))
			return folder;
		free(folder);
	}
	return sb_fs_join(SB_RECIPES_SOURCE, "rules");
}

int checks_load(struct sb_rules **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *folder = rules_folder();
	struct sb_strbuf texts[sb_countof(file_names)] = { 0 };
	char *paths[sb_countof(file_names)] = { 0 };
	struct sb_rules_file files[sb_countof(file_names)];
	int rc = folder ? 0 : sb_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < sb_countof(file_names); i++) {
		paths[i] = sb_fs_join(folder, file_names[i]);
		rc = paths[i] ? sb_fs_read(paths[i], RULES_MAX_BYTES, &texts[i], err)
			      : sb_err_nomem(err);
		files[i] = (struct sb_rules_file){ paths[i], sb_strbuf_str(&texts[i]),
			texts[i].len };
	}
	if (rc == 0)
		rc = sb_rules_parse(files, sb_countof(files), ret, err);
	for (size_t i = 0; i < sb_countof(file_names); i++) {
		sb_strbuf_done(&texts[i]);
		free(paths[i]);
	}
	return rc;
}

/* --- facts --- */

static size_t take_env(const Sparkbus__RankSpec *rank, struct sb_env *env)
{
	for (size_t i = 0; i < rank->n_env; i++)
		env[i] = (struct sb_env){ rank->env[i]->name, rank->env[i]->value };
	return rank->n_env;
}

/* Files that are put into the container cover what the image has there, just as mounts do. */
static size_t take_mounts(const Sparkbus__LaunchPlan *plan, const char **mounts)
{
	const Sparkbus__RankSpec *rank = plan->ranks[0];
	size_t n = 0;

	for (size_t i = 0; i < rank->n_mounts && n < MOUNTS_MAX; i++)
		mounts[n++] = rank->mounts[i]->target;
	for (size_t i = 0; i < plan->n_files && n < MOUNTS_MAX; i++)
		mounts[n++] = plan->files[i]->path;
	for (size_t i = 0; i < rank->n_files && n < MOUNTS_MAX; i++)
		mounts[n++] = rank->files[i]->path;
	return n;
}

static int gather(struct sb_facts *facts, const struct sb_rules *rules,
		struct sb_lint_launch *launch, const Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf command = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) struct sb_env *env = NULL;
	const char *mounts[MOUNTS_MAX];
	size_t room = 0;
	struct sb_env one;
	bool has = false;
	int rc = 0;

	while (sb_workload_env_at(launch->workload, room, &one))
		room++;
	room += plan ? plan->ranks[0]->n_env : 0;
	env = calloc(room + 1, sizeof(*env));
	if (!env)
		return sb_err_nomem(err);
	launch->env = env;
	launch->image = sb_workload_image(launch->workload);
	if (plan) {
		launch->n_env = take_env(plan->ranks[0], env);
		launch->mounts = mounts;
		launch->n_mounts = take_mounts(plan, mounts);
		launch->command = plan->serve_command;
		launch->image = plan->image;
		launch->nodes = (unsigned)plan->n_ranks;
	} else {
		while (sb_workload_env_at(launch->workload, launch->n_env, &env[launch->n_env]))
			launch->n_env++;
		rc = sb_workload_command(launch->workload, &command, &has, NULL, err);
		launch->command = has ? sb_strbuf_str(&command) : NULL;
	}
	return rc < 0 ? rc : sb_facts_gather(facts, rules, launch, err);
}

int checks_gather(const struct sb_rules *rules, const struct sb_workload *workload,
		const char *source, const Sparkbus__LaunchPlan *plan, struct sb_facts **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_facts_freep) struct sb_facts *facts = NULL;
	struct sb_lint_launch launch = { .workload = workload, .source = source };
	int rc = sb_facts_new(&facts, err);

	if (rc == 0)
		rc = gather(facts, rules, &launch, plan && plan->n_ranks ? plan : NULL, err);
	if (rc == 0)
		*ret = sb_steal(facts);
	return rc;
}

/* --- findings --- */

static const struct {
	const char *tag, *word;
	enum sb_color color;
} looks[] = {
	[SB_SEVERITY_NONE] = { "", "", SB_PLAIN },
	[SB_SEVERITY_INFO] = { "Hint", "hint", SB_BOLD },
	[SB_SEVERITY_WARNING] = { "Warning", "warning", SB_YELLOW },
	[SB_SEVERITY_ERROR] = { "Error", "error", SB_RED },
};

void checks_print(FILE *out, const char *path, const struct sb_finding *f, bool tag_first,
		bool source_too)
{
	const char *color = sb_color(out, looks[f->severity].color),
		   *plain = sb_color(out, SB_PLAIN);
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf place = SB_STRBUF_INIT;

	if (f->place.origin)
		sb_strbuf_addf(&place, "%s: ", f->place.origin);
	else
		sb_strbuf_addf(&place, "%s:%u:%u: ", path, f->place.line, f->place.col);
	if (tag_first)
		fprintf(out, "%s%s:%s %s", color, looks[f->severity].tag, plain,
				sb_strbuf_str(&place));
	else
		fprintf(out, "%s%s%s:%s ", sb_strbuf_str(&place), color, looks[f->severity].word,
				plain);
	fprintf(out, "%s [%s]\n", f->message, f->rule.id);
	if (f->accepted)
		fprintf(out, "  accepted: %s\n", f->accepted);
	else if (*f->fix)
		fprintf(out, "  fix: %s\n", f->fix);
	if (source_too)
		fprintf(out, "  source: %s\n", f->rule.source);
}

json_t *checks_json(const struct sb_finding *f)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:i, s:i, s:s, s:s*}", "id", f->rule.id,
			"severity", sb_severity_name(f->severity), "fatal", (int)f->fatal,
			"message", f->message, "fix", f->fix, "source", f->rule.source, "line",
			(int)f->place.line, "column", (int)f->place.col, "origin",
			f->place.origin ? f->place.origin : "recipe", "accepted", f->accepted);
}

size_t checks_count(const struct sb_findings *findings, enum sb_severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < findings->n; i++)
		n += findings->items[i].severity == severity && !findings->items[i].accepted;
	return n;
}
