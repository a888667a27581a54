/* plan.c - the compiler: workload and nodes in, LaunchPlan out. */
#include <assert.h>
#include <string.h>

#include "internal.h"
#include "sb_wire.h"

#define MAX_NODES         256u
#define INIT_PORT_DEFAULT 25000
#define READY_TIMEOUT_MS  ((uint64_t)60 * 60 * 1000)
#define READY_INTERVAL_MS 2000
#define STOP_GRACE_S      30
#define ENVELOPE_MAX      4096u /* bytes of a request around its plan */
#define JOB_NAME_MAX      64u   /* container names add a suffix and stay below the engine's limit */

static_assert((int)SB_PROBE_GENERATE == SPARKBUS__PROBE__PROBE_GENERATE &&
				(int)SB_PROBE_EMBED == SPARKBUS__PROBE__PROBE_EMBED &&
				(int)SB_PROBE_SCORE == SPARKBUS__PROBE__PROBE_SCORE &&
				(int)SB_PROBE_MODELS == SPARKBUS__PROBE__PROBE_MODELS,
		"the runtime's numbers are the wire's");

static void plan_freep(Sparkbus__LaunchPlan **plan)
{
	if (*plan)
		sparkbus__launch_plan__free_unpacked(*plan, NULL);
}

static int check_nodes(const struct sb_plan_input *input, struct sb_err *err)
{
	if (input->n_nodes > MAX_NODES)
		return sb_err_set(err, SB_E_RANGE, "%zu nodes; expected at most %u", input->n_nodes,
				MAX_NODES);
	for (size_t i = 0; i < input->n_nodes; i++) {
		const struct sb_plan_node *node = &input->nodes[i];

		if (sb_empty(node->name) || sb_empty(node->host) || sb_empty(node->address))
			return sb_err_set(err, SB_E_INVALID,
					"node %zu: expected a name, a host and an address", i + 1);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(node->name, input->nodes[k].name))
				return sb_err_set(err, SB_E_INVALID,
						"node '%s' is given twice; expected each node once",
						node->name);
	}
	return 0;
}

/* It becomes container and file names on every node. */
static int check_job(const char *job, struct sb_err *err)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t len = strlen(job);

	if (len && len <= JOB_NAME_MAX && strchr(first, job[0]) && strspn(job, rest) == len)
		return 0;
	return sb_err_set(err, SB_E_INVALID,
			"job name '%.80s': expected at most %u small letters, digits, '_' and '-', "
			"a letter or digit first",
			job, JOB_NAME_MAX);
}

static int find_runtime(
		const struct sb_workload *w, const struct sb_runtime **ret, struct sb_err *err)
{
	struct sb_err why = SB_ERR_INIT;
	int rc = sb_runtime_find(sb_workload_runtime(w), ret, &why);

	return rc < 0 ? sb_workload_err(w, "runtime", why.code, err, "%s", why.text) : 0;
}

/* --- the plan's own fields --- */

static int take_parallel(
		const struct sb_workload *w, Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	const struct {
		const char *key;
		uint32_t *field;
	} rows[] = {
		{ "tensor_parallel", &plan->tensor_parallel },
		{ "pipeline_parallel", &plan->pipeline_parallel },
		{ "data_parallel", &plan->data_parallel },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		int64_t value = 1;
		int rc = sb_workload_int(w, rows[i].key, 1, UINT32_MAX, &value, err);

		if (rc < 0)
			return rc;
		*rows[i].field = (uint32_t)value;
	}
	return 0;
}

static int take_header(const struct sb_workload *w, const struct sb_plan_input *input,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	const char *path = sb_workload_path(w);
	int rc = take_parallel(w, plan, err);

	if (rc < 0)
		return rc;
	plan->stop_grace_s = STOP_GRACE_S;
	plan->priority = input->priority;
	plan->created_unix_ms = input->now_unix_ms;
	if (sb_plan_text(&plan->recipe, strchr(path, '/') ? path : sb_workload_name(w)) < 0 ||
			sb_plan_text(&plan->model, sb_workload_model(w)) < 0 ||
			sb_plan_text(&plan->model_revision, sb_workload_revision(w)) < 0 ||
			sb_plan_text(&plan->runtime, sb_workload_runtime(w)) < 0 ||
			sb_plan_text(&plan->operator_, input->operator_name) < 0 ||
			sb_plan_text(&plan->tool_version, input->tool_version) < 0)
		return sb_err_nomem(err);
	return sb_plan_drafts(w, plan, err);
}

static int take_ready(const struct sb_ready *ready, const struct sb_plan_input *input,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	Sparkbus__Readiness *r = malloc(sizeof(*r));

	if (!r)
		return sb_err_nomem(err);
	sparkbus__readiness__init(r);
	plan->readiness = r;
	plan->port = ready->port;
	r->port = ready->port;
	r->probe = (Sparkbus__Probe)ready->probe;
	r->timeout_ms = input->ready_timeout_ms ? input->ready_timeout_ms : READY_TIMEOUT_MS;
	r->interval_ms = READY_INTERVAL_MS;
	if (sb_plan_text(&plan->served_model_name, ready->model) < 0 ||
			sb_plan_text(&r->host, ready->host) < 0 ||
			sb_plan_text(&r->model, ready->model) < 0 ||
			sb_plan_text(&r->api_key, ready->api_key) < 0)
		return sb_err_nomem(err);
	return 0;
}

static int take_warnings(
		const struct sb_diags *diags, Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	if (!diags || !diags->n)
		return 0;
	plan->warnings = calloc(diags->n, sizeof(*plan->warnings));
	if (!plan->warnings)
		return sb_err_nomem(err);
	for (size_t i = 0; i < diags->n; i++) {
		if (diags->items[i].level == SB_DIAG_NOTE)
			continue;
		plan->warnings[plan->n_warnings] = strdup(diags->items[i].text);
		if (!plan->warnings[plan->n_warnings])
			return sb_err_nomem(err);
		plan->n_warnings++;
	}
	return 0;
}

static int take_ranks(const struct rank_shared *shared, Sparkbus__LaunchPlan *plan,
		struct sb_plan_sources *sources, struct sb_err *err)
{
	size_t n = shared->launch->n;
	int rc = 0;

	plan->ranks = calloc(n, sizeof(Sparkbus__RankSpec *));
	sources->ranks = calloc(n, sizeof(*sources->ranks));
	sources->n = sources->ranks ? n : 0;
	if (!plan->ranks || !sources->ranks)
		return sb_err_nomem(err);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		rc = sb_plan_rank(shared, i, &plan->ranks[i], &sources->ranks[i], err);
		plan->n_ranks += rc == 0;
	}
	return rc;
}

/* A plan must fit into one message. What makes one large are the files of its hooks. */
static int check_size(const Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	size_t n = plan->n_files, bytes = 0, size = sparkbus__launch_plan__get_packed_size(plan);
	int rc = 0;

	for (size_t i = 0; i < plan->n_files; i++)
		bytes += plan->files[i]->content.len;
	for (size_t i = 0; i < plan->n_ranks; i++) {
		n += plan->ranks[i]->n_files;
		for (size_t k = 0; k < plan->ranks[i]->n_files; k++)
			bytes += plan->ranks[i]->files[k]->content.len;
	}
	if (n > SB_PLAN_FILES_MAX)
		rc = sb_err_set(err, SB_E_RANGE, "%zu files for containers; expected at most %u", n,
				SB_PLAN_FILES_MAX);
	else if (bytes > SB_PLAN_FILES_MAX_BYTES)
		rc = sb_err_set(err, SB_E_RANGE,
				"%zu bytes of files for containers; expected at most %zu", bytes,
				SB_PLAN_FILES_MAX_BYTES);
	else if (size > SB_WIRE_MAX_BYTES - ENVELOPE_MAX)
		rc = sb_err_set(err, SB_E_RANGE, "the plan has %zu bytes; expected at most %zu",
				size, SB_WIRE_MAX_BYTES - ENVELOPE_MAX);
	return rc ? sb_err_hint(err, rc, "have the image or the model cache hold large files") : 0;
}

/* --- steps --- */

/* The shared command, its words, readiness and ranks. */
static int build(const struct sb_runtime *runtime, const struct sb_launch *launch,
		const struct sb_plan_input *input, const char *job, struct sb_diags *diags,
		Sparkbus__LaunchPlan *plan, struct sb_plan_sources *sources, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf serve = SB_STRBUF_INIT;
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	SB_CLEANUP(sb_freep) char *shown = NULL;
	const char *image = sb_workload_image(launch->workload);
	struct sb_ready ready = { 0 };
	struct sb_err why = SB_ERR_INIT;
	enum sb_shell_kind kind;
	int rc = runtime->serve(launch, &serve, diags, err);

	if (rc < 0)
		return rc;
	rc = sb_shell_split(sb_strbuf_str(&serve), &words, &kind, &why);
	if (rc < 0)
		return sb_workload_err(launch->workload, "command", why.code, err, "%s", why.text);
	sb_plan_remarks(launch, &serve, &words, diags);
	rc = runtime->ready(launch, &words, &ready, diags, err);
	if (rc == 0)
		rc = take_ready(&ready, input, plan, err);
	if (rc < 0)
		return rc;
	image += strspn(image, " \t\r\n");
	image = *image ? image : runtime->default_image;
	shown = sb_plan_redact(sb_strbuf_str(&serve), ready.api_key);
	if (!shown || sb_plan_text(&plan->serve_command, shown) < 0 ||
			sb_plan_text(&plan->job, job) < 0 || sb_plan_text(&plan->image, image) < 0)
		return sb_err_nomem(err);
	rc = take_ranks(&(struct rank_shared){ launch, runtime, input, job, image, &serve, &words,
					ready.api_key },
			plan, sources, err);
	if (rc == 0)
		rc = sb_plan_builder(launch->workload, image, diags, plan, err);
	return rc == 0 ? sb_plan_hooks(launch->workload, input, plan, err) : rc;
}

static int name_job(const struct sb_workload *w, const struct sb_plan_input *input, size_t n,
		char job[JOB_NAME_MAX + 1], struct sb_err *err)
{
	int rc;

	if (!input->job)
		return sb_plan_job_id(w, input->nodes, n, job, err);
	rc = check_job(input->job, err);
	if (rc == 0)
		strcpy(job, input->job);
	return rc;
}

void sb_plan_sources_done(struct sb_plan_sources *sources)
{
	for (size_t i = 0; i < sources->n; i++)
		sb_plan_rank_sources_done(&sources->ranks[i]);
	free(sources->ranks);
	*sources = (struct sb_plan_sources){ 0 };
}

int sb_plan_compile(const struct sb_workload *workload, const struct sb_plan_input *input,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_plan_sources_done) struct sb_plan_sources sources = { 0 };

	return sb_plan_explain(workload, input, diags, ret, &sources, err);
}

int sb_plan_explain(const struct sb_workload *workload, const struct sb_plan_input *input,
		struct sb_diags *diags, Sparkbus__LaunchPlan **ret,
		struct sb_plan_sources *ret_sources, struct sb_err *err)
{
	SB_CLEANUP(sb_plan_sources_done) struct sb_plan_sources sources = { 0 };
	SB_CLEANUP(plan_freep) Sparkbus__LaunchPlan *plan = malloc(sizeof(*plan));
	const char *addresses[MAX_NODES] = { 0 };
	struct sb_launch launch = { .workload = workload, .addresses = addresses };
	const struct sb_runtime *runtime = NULL;
	char job[JOB_NAME_MAX + 1];
	int rc;

	if (!plan)
		return sb_err_nomem(err);
	sparkbus__launch_plan__init(plan);
	rc = check_nodes(input, err);
	if (rc == 0)
		rc = find_runtime(workload, &runtime, err);
	if (rc == 0)
		rc = sb_plan_check_supported(workload, diags, err);
	if (rc == 0)
		rc = sb_plan_trim(workload, runtime, input, diags, &launch.n, err);
	if (rc == 0)
		rc = name_job(workload, input, launch.n, job, err);
	if (rc == 0)
		rc = take_header(workload, input, plan, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < launch.n; i++)
		addresses[i] = input->nodes[i].address;
	launch.init_port = input->init_port ? input->init_port : INIT_PORT_DEFAULT;
	launch.ray_port = input->ray_port;
	launch.dashboard_port = input->dashboard_port;
	launch.secret = input->secret;
	rc = build(runtime, &launch, input, job, diags, plan, &sources, err);
	if (rc == 0)
		rc = take_warnings(diags, plan, err);
	if (rc == 0)
		rc = check_size(plan, err);
	if (rc < 0)
		return rc;
	*ret = sb_steal(plan);
	*ret_sources = sources;
	sources = (struct sb_plan_sources){ 0 };
	return 0;
}
