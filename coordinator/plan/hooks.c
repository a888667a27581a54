/* hooks.c - what a recipe does besides serving, in the plan's words.
 *
 * A copy has its files in a folder of its own, from which the entry script puts them where they
 * belong when its turn comes: a command before it may make room, one behind it may change them,
 * and where they belong may be a mount. */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_hooks.h"

#define STAGE_DIR "/.sparkbus/copy"
/* The published limit of one hook: what waits for a rank waits so much longer. */
#define HOOK_MS ((uint64_t)600 * 1000)

/* A mod's own part: the published text, word for word. */
static char *run_mod(const char *dest)
{
	char *text = NULL;
	int n = asprintf(&text, "export WORKSPACE_DIR=$PWD && cd %s && chmod +x run.sh && ./run.sh",
			dest);

	return n < 0 ? NULL : text;
}

/* The next hook of @list, which has room; texts are copied, and may be NULL. */
static int put(Sparkbus__Hook **list, size_t *n, const char *label, const char *command,
		const char *from, const char *to)
{
	Sparkbus__Hook *hook = malloc(sizeof(*hook));

	if (!hook)
		return -SB_E_NOMEM;
	sparkbus__hook__init(hook);
	list[(*n)++] = hook;
	if (sb_plan_text(&hook->label, label) < 0 || sb_plan_text(&hook->command, command) < 0 ||
			sb_plan_text(&hook->copy_from, from) < 0 ||
			sb_plan_text(&hook->copy_to, to) < 0)
		return -SB_E_NOMEM;
	return 0;
}

static int put_files(const struct sb_tree *tree, const char *stage, Sparkbus__LaunchPlan *plan)
{
	Sparkbus__File **files;

	if (!tree->n)
		return 0;
	files = reallocarray(plan->files, plan->n_files + tree->n, sizeof(*files));
	if (!files)
		return -SB_E_NOMEM;
	plan->files = files;
	for (size_t i = 0; i < tree->n; i++) {
		const struct sb_tree_file *from = &tree->files[i];
		SB_CLEANUP(sb_freep) char *path = NULL;
		Sparkbus__File *file = NULL;

		if (asprintf(&path, "%s/%s", stage, from->path) >= 0)
			file = sb_plan_file(path, from->content, from->len);
		if (!file)
			return -SB_E_NOMEM;
		file->mode = from->mode;
		files[plan->n_files++] = file;
	}
	return 0;
}

static int put_before(const struct sb_hook *hook, const struct sb_tree *tree, size_t at,
		Sparkbus__LaunchPlan *plan)
{
	SB_CLEANUP(sb_freep) char *command = NULL;
	char stage[64];
	int rc;

	if (hook->kind == SB_HOOK_COMMAND)
		return put(plan->pre_exec, &plan->n_pre_exec, hook->label, hook->text, NULL, NULL);
	snprintf(stage, sizeof(stage), STAGE_DIR "/%zu", at);
	rc = put(plan->pre_exec, &plan->n_pre_exec, hook->label, NULL, stage, hook->dest);
	if (rc == 0 && tree)
		rc = put_files(tree, stage, plan);
	if (rc < 0 || hook->kind == SB_HOOK_COPY)
		return rc;
	command = run_mod(hook->dest);
	if (!command)
		return -SB_E_NOMEM;
	return put(plan->pre_exec, &plan->n_pre_exec, hook->label, command, NULL, NULL);
}

static int take_before(const struct sb_workload *w, const struct sb_plan_input *input,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	int rc = sb_hooks_before(w, &hooks, err);
	size_t trees = 0;

	if (rc < 0 || !hooks.n)
		return rc;
	plan->pre_exec = calloc(2 * hooks.n, sizeof(Sparkbus__Hook *));
	if (!plan->pre_exec)
		return sb_err_nomem(err);
	for (size_t i = 0; i < hooks.n; i++) {
		const struct sb_tree *tree = NULL;

		if (hooks.items[i].kind != SB_HOOK_COMMAND && input->trees) {
			if (trees == input->n_trees)
				return sb_err_set(err, SB_E_INTERNAL, "%s was not read",
						hooks.items[i].label);
			tree = &input->trees[trees++];
		}
		if (put_before(&hooks.items[i], tree, i, plan) < 0)
			return sb_err_nomem(err);
	}
	return 0;
}

static int take_after(const struct sb_workload *w, enum sb_hooks_after which,
		const struct sb_env *vars, Sparkbus__Hook ***ret, size_t *ret_n, struct sb_err *err)
{
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	int rc = sb_hooks_after(w, which, vars, &hooks, err);

	if (rc < 0 || !hooks.n)
		return rc;
	*ret = calloc(hooks.n, sizeof(Sparkbus__Hook *));
	if (!*ret)
		return sb_err_nomem(err);
	for (size_t i = 0; i < hooks.n; i++)
		if (put(*ret, ret_n, hooks.items[i].label, hooks.items[i].text, NULL, NULL) < 0)
			return sb_err_nomem(err);
	return 0;
}

/* Later stages wait for ranks that run hooks first. */
static void lengthen_gates(Sparkbus__LaunchPlan *plan)
{
	for (size_t i = 0; i < plan->n_ranks; i++)
		if (plan->ranks[i]->gate_port)
			plan->ranks[i]->gate_timeout_ms += HOOK_MS * plan->n_pre_exec;
}

int sb_plan_hooks(const struct sb_workload *w, const struct sb_plan_input *input,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	const Sparkbus__RankSpec *first = plan->ranks[0];
	char port[16], url[256];
	const struct sb_env vars[] = {
		{ "head_host", input->nodes[0].host },
		{ "head_ip", first->address },
		{ "port", port },
		{ "cluster_id", plan->job },
		{ "container_name", first->container_name },
		{ "base_url", url },
		{ "cache_dir", NULL }, /* its node's to say */
		{ NULL, NULL },
	};
	bool v6 = strchr(first->address, ':') != NULL;
	int rc;

	snprintf(port, sizeof(port), "%u", plan->port);
	snprintf(url, sizeof(url), "http://%s%s%s:%u/v1", v6 ? "[" : "", first->address,
			v6 ? "]" : "", plan->port);
	rc = take_before(w, input, plan, err);
	if (rc == 0)
		rc = take_after(w, SB_POST_EXEC, vars, &plan->post_exec, &plan->n_post_exec, err);
	if (rc == 0)
		rc = take_after(w, SB_POST_COMMANDS, vars, &plan->post_commands,
				&plan->n_post_commands, err);
	if (rc < 0)
		return rc;
	plan->stop_after_post =
			sb_hooks_stop_after(w) && (plan->n_post_exec || plan->n_post_commands);
	lengthen_gates(plan);
	return 0;
}
