/* rank.c - one node's part of a plan: a container, complete. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define MODEL_CACHE_TARGET "/cache/huggingface"

int sb_plan_text(char **field, const char *text)
{
	if (sb_empty(text))
		return 0;
	*field = strdup(text);
	if (*field)
		return 0;
	*field = (char *)protobuf_c_empty_string;
	return -SB_E_NOMEM;
}

Sparkbus__File *sb_plan_file(const char *path, const void *content, size_t len)
{
	Sparkbus__File *file = malloc(sizeof(*file));

	if (!file)
		return NULL;
	sparkbus__file__init(file);
	file->content.data = len ? malloc(len) : NULL;
	if ((len && !file->content.data) || sb_plan_text(&file->path, path) < 0) {
		sparkbus__file__free_unpacked(file, NULL);
		return NULL;
	}
	file->content.len = len;
	if (len)
		memcpy(file->content.data, content, len);
	return file;
}

static int take_texts(char ***field, size_t *ret_n, char *const *items, size_t n)
{
	if (!n)
		return 0;
	*field = calloc(n, sizeof(**field));
	if (!*field)
		return -SB_E_NOMEM;
	for (; *ret_n < n; (*ret_n)++) {
		(*field)[*ret_n] = strdup(items[*ret_n]);
		if (!(*field)[*ret_n])
			return -SB_E_NOMEM;
	}
	return 0;
}

/* A message of type @type, initialised, at *@field[*@n], which has room. */
#define NEW_ITEM(type, init, field, n)                                                             \
	__extension__({                                                                            \
		type *sb_m_ = malloc(sizeof(*sb_m_));                                              \
		if (sb_m_) {                                                                       \
			init(sb_m_);                                                               \
			(field)[(n)++] = sb_m_;                                                    \
		}                                                                                  \
		sb_m_;                                                                             \
	})

/* --- environment --- */

bool sb_plan_env_is_secret(const char *name)
{
	static const char *const parts[] = { "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL",
		"API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY" };

	for (size_t i = 0; i < sb_countof(parts); i++)
		if (strcasestr(name, parts[i]))
			return true;
	return false;
}

static void put_env(struct sb_env *env, size_t *n, const struct sb_env *var)
{
	size_t i = 0;

	struct sb_env before;

	while (i < *n && strcmp(env[i].name, var->name) != 0)
		i++;
	before = i < *n ? env[i] : (struct sb_env){ 0 };
	env[i] = *var;
	*n += i == *n;
	if (before.source.line) { /* the recipe's own word was not taken */
		env[i].source.instead = before.value;
		env[i].source.instead_line = before.source.line;
	}
}

static int compare_env(const void *a, const void *b)
{
	return strcmp(((const struct sb_env *)a)->name, ((const struct sb_env *)b)->name);
}

static size_t count_env(const struct sb_workload *w, const struct sb_env *a, const struct sb_env *b)
{
	struct sb_env one;
	size_t n = 2; /* the API key and HF_HOME */

	while (sb_workload_env_at(w, n - 2, &one))
		n++;
	for (; a && a->name; a++)
		n++;
	for (; b && b->name; b++)
		n++;
	return n;
}

/* Later layers win: runtime, its cluster part, recipe, API key, model cache. */
static size_t merge_env(const struct rank_shared *shared, struct sb_env *env)
{
	const struct sb_workload *w = shared->launch->workload;
	const struct sb_runtime *runtime = shared->runtime;
	const struct sb_value *key = sb_workload_config(w, "api_key");
	const struct sb_env cache = { "HF_HOME", MODEL_CACHE_TARGET, { SB_SOURCE_BUILT_IN } };
	struct sb_env one;
	size_t n = 0;

	for (const struct sb_env *e = runtime->env; e && e->name; e++)
		put_env(env, &n, e);
	for (const struct sb_env *e = runtime->cluster_env; e && e->name && shared->launch->n > 1;
			e++)
		put_env(env, &n, e);
	for (size_t i = 0; sb_workload_env_at(w, i, &one); i++)
		put_env(env, &n, &one);
	if (runtime->api_key_env && key && *key->text &&
			!strstr(sb_strbuf_str(shared->serve), "--api-key"))
		put_env(env, &n,
				&(struct sb_env){ runtime->api_key_env, key->text,
						sb_mark_source(w, sb_value_mark(w, key)) });
	put_env(env, &n, &cache);
	qsort(env, n, sizeof(*env), compare_env);
	return n;
}

static int take_env(const struct rank_shared *shared, Sparkbus__RankSpec *spec,
		struct sb_plan_rank_sources *sources)
{
	size_t room = count_env(shared->launch->workload, shared->runtime->env,
			shared->runtime->cluster_env);
	SB_CLEANUP(sb_freep) struct sb_env *env = calloc(room, sizeof(*env));
	size_t n;

	if (!env)
		return -SB_E_NOMEM;
	n = merge_env(shared, env);
	spec->env = calloc(n, sizeof(*spec->env));
	sources->env = calloc(n, sizeof(*sources->env));
	if (!spec->env || !sources->env)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		Sparkbus__EnvVar *var = NEW_ITEM(
				Sparkbus__EnvVar, sparkbus__env_var__init, spec->env, spec->n_env);

		if (!var || sb_plan_text(&var->name, env[i].name) < 0 ||
				sb_plan_text(&var->value, env[i].value) < 0)
			return -SB_E_NOMEM;
		var->secret = sb_plan_env_is_secret(env[i].name);
		sources->env[i] = env[i].source;
	}
	return 0;
}

/* --- container options --- */

static int take_ulimits(const struct sb_executor *e, Sparkbus__ContainerOptions *options)
{
	options->ulimits = calloc(e->n_ulimits + 1, sizeof(*options->ulimits));
	if (!options->ulimits)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < e->n_ulimits; i++) {
		Sparkbus__Ulimit *limit = NEW_ITEM(Sparkbus__Ulimit, sparkbus__ulimit__init,
				options->ulimits, options->n_ulimits);

		if (!limit || sb_plan_text(&limit->name, e->ulimits[i].name) < 0)
			return -SB_E_NOMEM;
		limit->soft = e->ulimits[i].soft;
		limit->hard = e->ulimits[i].hard;
	}
	return 0;
}

static int take_devices(const struct sb_executor *e, Sparkbus__ContainerOptions *options)
{
	options->devices = calloc(e->devices.n + 1, sizeof(*options->devices));
	if (!options->devices)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < e->devices.n; i++) {
		Sparkbus__Device *device = NEW_ITEM(Sparkbus__Device, sparkbus__device__init,
				options->devices, options->n_devices);

		if (!device || sb_plan_text(&device->path, e->devices.items[i]) < 0)
			return -SB_E_NOMEM;
		device->optional = e->default_devices;
	}
	return 0;
}

/* @items, and behind them those of @more that are not among them. */
static int take_texts_and(char ***field, size_t *ret_n, const struct sb_strings *items,
		const char *const *more)
{
	SB_CLEANUP(sb_freep) char **all = NULL;
	size_t n = 0, room = items->n + 1;

	for (const char *const *p = more; p && *p; p++)
		room++;
	all = calloc(room, sizeof(*all));
	if (!all)
		return -SB_E_NOMEM;
	for (; n < items->n; n++)
		all[n] = items->items[n];
	for (; more && *more; more++) {
		size_t i = 0;

		while (i < items->n && strcmp(items->items[i], *more) != 0)
			i++;
		if (i == items->n)
			all[n++] = (char *)*more; /* copied, like all of them, by take_texts() */
	}
	return take_texts(field, ret_n, all, n);
}

/* A null in the recipe is a choice as well: the image's. */
static int take_entrypoint(const struct rank_shared *shared, Sparkbus__ContainerOptions *options)
{
	const struct sb_workload *w = shared->launch->workload;
	const struct sb_yaml_node *settings = sb_workload_key(w, "executor_config");
	const char *entrypoint = sb_workload_executor(w)->entrypoint;

	options->image_entrypoint = !entrypoint && sb_yaml_get(settings, "entrypoint");
	if (!entrypoint && !options->image_entrypoint)
		entrypoint = shared->runtime->entrypoint;
	if (!entrypoint)
		return 0;
	options->entrypoint = strdup(entrypoint);
	if (!options->entrypoint)
		return -SB_E_NOMEM;
	options->has_entrypoint_case = SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT;
	return 0;
}

static int take_labels(const struct rank_shared *shared, const struct sb_executor *e,
		Sparkbus__ContainerOptions *options)
{
	if (shared->input->n_labels)
		return take_texts(&options->labels, &options->n_labels,
				(char *const *)shared->input->labels, shared->input->n_labels);
	return take_texts(&options->labels, &options->n_labels, e->labels.items, e->labels.n);
}

static int take_options(const struct rank_shared *shared, bool init, Sparkbus__RankSpec *spec)
{
	const struct sb_executor *e = sb_workload_executor(shared->launch->workload);
	Sparkbus__ContainerOptions *options = malloc(sizeof(*options));

	if (!options)
		return -SB_E_NOMEM;
	sparkbus__container_options__init(options);
	spec->options = options;
	options->privileged = e->privileged;
	options->auto_remove = e->auto_remove && !shared->input->keep;
	options->shm_bytes = e->shm_bytes;
	options->memory_bytes = e->memory_bytes;
	options->init = init;
	if (sb_plan_text(&options->gpus, e->gpus) < 0 || sb_plan_text(&options->ipc, e->ipc) < 0 ||
			sb_plan_text(&options->network, e->network) < 0 ||
			sb_plan_text(&options->user, e->user) < 0 ||
			sb_plan_text(&options->restart_policy, e->restart_policy) < 0)
		return -SB_E_NOMEM;
	if (take_texts_and(&options->security_opt, &options->n_security_opt, &e->security_opt,
			    shared->runtime->security_opt) < 0 ||
			take_texts_and(&options->cap_add, &options->n_cap_add, &e->cap_add,
					shared->runtime->cap_add) < 0 ||
			take_labels(shared, e, options) < 0)
		return -SB_E_NOMEM;
	if (take_ulimits(e, options) < 0 || take_devices(e, options) < 0)
		return -SB_E_NOMEM;
	return take_entrypoint(shared, options);
}

static int take_mounts(Sparkbus__RankSpec *spec)
{
	Sparkbus__Mount *mount;

	spec->mounts = calloc(1, sizeof(*spec->mounts));
	if (!spec->mounts)
		return -SB_E_NOMEM;
	mount = NEW_ITEM(Sparkbus__Mount, sparkbus__mount__init, spec->mounts, spec->n_mounts);
	if (!mount || sb_plan_text(&mount->source, "{hf_cache}") < 0)
		return -SB_E_NOMEM;
	return sb_plan_text(&mount->target, MODEL_CACHE_TARGET);
}

/* --- the rank --- */

/* Behind the first flag of @text that takes a key; NULL when there is none. */
static const char *key_behind(const char *text)
{
	static const char *const flags[] = { "--api-key", "--auth-token" };
	const char *first = NULL;

	for (size_t i = 0; i < sb_countof(flags); i++) {
		const char *hit = strstr(text, flags[i]);

		if (hit && (!first || hit + strlen(flags[i]) < first))
			first = hit + strlen(flags[i]);
	}
	return first;
}

char *sb_plan_redact(const char *serve, const char *api_key)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	size_t len = strlen(api_key);
	const char *hit;

	while (len && (hit = key_behind(serve))) {
		hit += strspn(hit, " =\t\\\n'\"");
		sb_strbuf_add(&out, serve, (size_t)(hit - serve));
		if (!strncmp(hit, api_key, len)) {
			sb_strbuf_adds(&out, "***");
			hit += len;
		}
		serve = hit;
	}
	sb_strbuf_adds(&out, serve);
	return sb_strbuf_steal(&out);
}

static int take_name(const struct rank_shared *shared, unsigned rank, Sparkbus__RankSpec *spec)
{
	char *name = NULL;
	int n;

	if (shared->launch->n == 1)
		n = asprintf(&name, "%s_solo", shared->job);
	else if (shared->runtime->naming == SB_NAMING_NODE)
		n = asprintf(&name, "%s_node_%u", shared->job, rank);
	else
		n = asprintf(&name, "%s_%s", shared->job, rank ? "worker" : "head");
	if (n < 0)
		return -SB_E_NOMEM;
	spec->container_name = name;
	return 0;
}

/* @before and, behind them, those of @serve go over. */
static int take_argv(struct sb_words *before, struct sb_words *serve, Sparkbus__RankSpec *spec,
		struct sb_plan_rank_sources *sources)
{
	int rc = sb_words_move(before, serve);

	sources->argv = *before;
	*before = (struct sb_words){ 0 };
	return rc < 0 ? rc
		      : take_texts(&spec->argv, &spec->n_argv, sources->argv.items,
					sources->argv.n);
}

static int take_part(const struct rank_shared *shared, struct sb_rank_part *part,
		Sparkbus__RankSpec *spec, struct sb_plan_rank_sources *sources, bool *ret_init,
		struct sb_err *err)
{
	SB_CLEANUP(sb_words_done) struct sb_words argv = { 0 };
	SB_CLEANUP(sb_freep)
	char *shown = sb_plan_redact(sb_strbuf_str(&part->serve), shared->api_key);
	int rc = sb_shell_argv(&part->serve, SB_MARK_SHELL, &argv, ret_init, err);

	if (rc < 0)
		return sb_workload_err(shared->launch->workload, "command", SB_E_INVALID, err,
				"command: expected one that a shell can read");
	spec->ports = calloc(part->n_ports + 1, sizeof(*spec->ports));
	if (!spec->ports || !shown || sb_plan_text(&spec->serve_text, shown) < 0 ||
			take_argv(&part->before, &argv, spec, sources) < 0)
		return sb_err_nomem(err);
	for (size_t i = 0; i < part->n_ports; i++)
		spec->ports[spec->n_ports++] = part->ports[i];
	spec->stage = part->stage;
	spec->gate_port = part->gate_port;
	spec->gate_timeout_ms = part->gate_timeout_ms;
	return 0;
}

static int take_files(const struct sb_rank_part *part, Sparkbus__RankSpec *spec)
{
	spec->files = part->n_files ? calloc(part->n_files, sizeof(*spec->files)) : NULL;
	if (part->n_files && !spec->files)
		return -SB_E_NOMEM;
	for (size_t i = 0; i < part->n_files; i++) {
		const struct sb_rank_file *from = &part->files[i];
		Sparkbus__File *file = sb_plan_file(from->path, from->content, from->len);

		if (!file)
			return -SB_E_NOMEM;
		file->mode = from->mode;
		file->secret = from->secret;
		spec->files[spec->n_files++] = file;
	}
	return 0;
}

static int fill(const struct rank_shared *shared, unsigned rank, Sparkbus__RankSpec *spec,
		struct sb_plan_rank_sources *sources, struct sb_err *err)
{
	SB_CLEANUP(sb_rank_part_done)
	struct sb_rank_part part = { .serve = { .mark = SB_MARK_RANK } };
	const struct sb_plan_node *node = &shared->input->nodes[rank];
	bool init = false;
	int rc = shared->runtime->rank(
			shared->launch, rank, shared->serve, shared->words, &part, err);

	if (rc == 0)
		rc = take_part(shared, &part, spec, sources, &init, err);
	if (rc < 0)
		return rc;
	spec->rank = rank;
	spec->peer_port = node->peer_port;
	if (sb_plan_text(&spec->node, node->name) < 0 ||
			sb_plan_text(&spec->address, node->address) < 0 ||
			sb_plan_text(&spec->image, shared->image) < 0 ||
			take_name(shared, rank, spec) < 0 || take_env(shared, spec, sources) < 0 ||
			take_mounts(spec) < 0 || take_files(&part, spec) < 0 ||
			sb_plan_gguf(shared, spec) < 0 ||
			take_options(shared, init || part.init, spec) < 0)
		return sb_err_nomem(err);
	return 0;
}

void sb_plan_rank_sources_done(struct sb_plan_rank_sources *sources)
{
	sb_words_done(&sources->argv);
	free(sources->env);
	*sources = (struct sb_plan_rank_sources){ 0 };
}

int sb_plan_rank(const struct rank_shared *shared, unsigned rank, Sparkbus__RankSpec **ret,
		struct sb_plan_rank_sources *ret_sources, struct sb_err *err)
{
	Sparkbus__RankSpec *spec = malloc(sizeof(*spec));
	int rc;

	if (!spec)
		return sb_err_nomem(err);
	sparkbus__rank_spec__init(spec);
	rc = fill(shared, rank, spec, ret_sources, err);
	if (rc < 0) {
		sparkbus__rank_spec__free_unpacked(spec, NULL);
		return rc;
	}
	*ret = spec;
	return 0;
}
