/* drafts.c - what the engine loads besides the model: the draft models of speculation. */
#include <string.h>
#include <jansson.h>

#include "internal.h"

static const struct {
	const char *runtime; /* begins so */
	const char *key;
	bool json; /* the id is the member "model" of a JSON object */
} places[] = {
	{ "vllm", "speculative_config", true },
	{ "eugr", "speculative_config", true },
	{ "sglang", "speculative_draft_model_path", false },
	{ "sglang", "speculative_draft_model", false },
	{ "atlas", "draft_model", false },
};

/* A path lies in the container or in the cache already, and the model itself is no draft. */
static bool is_draft(const struct sb_workload *w, const Sparkbus__LaunchPlan *plan, const char *id)
{
	if (!*id || strchr("/.~", *id) || !strchr(id, '/') || strchr(id, '{') ||
			!strcmp(id, sb_workload_model(w)))
		return false;
	for (size_t i = 0; i < plan->n_draft_models; i++)
		if (!strcmp(plan->draft_models[i], id))
			return false;
	return true;
}

static int add(Sparkbus__LaunchPlan *plan, const char *id, struct sb_err *err)
{
	char **grown = reallocarray(plan->draft_models, plan->n_draft_models + 1, sizeof(*grown));

	if (!grown)
		return sb_err_nomem(err);
	plan->draft_models = grown;
	grown[plan->n_draft_models] = strdup(id);
	if (!grown[plan->n_draft_models])
		return sb_err_nomem(err);
	plan->n_draft_models++;
	return 0;
}

/* What is no JSON is the engine's to refuse, and lint's to tell. */
static int take(const struct sb_workload *w, const char *text, bool json,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	json_t *object = json ? json_loads(text, 0, NULL) : NULL;
	const char *id = json ? json_string_value(json_object_get(object, "model")) : text;
	int rc = id && is_draft(w, plan, id) ? add(plan, id, err) : 0;

	json_decref(object);
	return rc;
}

int sb_plan_drafts(const struct sb_workload *w, Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	const char *runtime = sb_workload_runtime(w);

	for (size_t i = 0; i < sb_countof(places); i++) {
		const struct sb_value *value = sb_workload_config(w, places[i].key);
		int rc;

		if (!value || strncmp(runtime, places[i].runtime, strlen(places[i].runtime)) != 0)
			continue;
		rc = take(w, value->text, places[i].json, plan, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
