/* gather.c - what a launch says by itself: its image, model, command, variables and container. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_hooks.h"

#define GIB            ((double)(1 << 30))
#define JSON_DEPTH_MAX 3
#define NAME_MAX_BYTES 200

struct gather {
	struct sb_facts *facts;
	const struct sb_rules *rules;
	const struct sb_lint_launch *launch;
	const char *engine;
	struct sb_err *err;
};

static struct sb_place place_of(const struct sb_yaml_node *node)
{
	return (struct sb_place){ sb_yaml_line(node), sb_yaml_col(node), NULL };
}

static struct sb_place value_place(const struct sb_value *value)
{
	if (!value)
		return (struct sb_place){ 0 };
	return value->line ? (struct sb_place){ value->line, value->col, NULL }
			   : (struct sb_place){ 0, 0, value->origin };
}

static int put(struct gather *g, const char *name, const char *text, const struct sb_place *place)
{
	if (sb_empty(text))
		return sb_facts_absent(g->facts, name, g->err);
	return sb_facts_set(g->facts, name, text, place, g->err);
}

static int put_number(struct gather *g, const char *name, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.10g", value);
	return sb_facts_set(g->facts, name, text, NULL, g->err);
}

/* --- image --- */

/* "repo:tag@digest"; a colon before the last slash is a registry's port. */
static int put_image(struct gather *g)
{
	const char *ref = g->launch->image, *digest = strchr(ref, '@');
	size_t len = digest ? (size_t)(digest - ref) : strlen(ref);
	const char *slash = memrchr(ref, '/', len), *from = slash ? slash : ref;
	const char *colon = memchr(from, ':', len - (size_t)(from - ref));
	SB_CLEANUP(sb_freep) char *repo = strndup(ref, colon ? (size_t)(colon - ref) : len);
	SB_CLEANUP(sb_freep)
	char *tag = colon ? strndup(colon + 1, len - (size_t)(colon - ref) - 1) : strdup("latest");
	struct sb_place place = place_of(sb_workload_key(g->launch->workload, "container"));
	int rc;

	if (!*ref)
		return 0;
	if (!repo || !tag)
		return sb_err_nomem(g->err);
	rc = put(g, "image.ref", ref, &place);
	if (rc == 0)
		rc = put(g, "image.repo", repo, &place);
	if (rc == 0)
		rc = put(g, "image.tag", tag, &place);
	return rc < 0 ? rc : put(g, "image.digest", digest ? digest + 1 : "", &place);
}

/* --- model --- */

/* "30B" in "Nano-30B-A3B" and "3" behind its "A": how people name sizes. The first of each counts.
 */
static void sizes_of(const char *name, double *ret_total, double *ret_active)
{
	for (const char *s = name; *s; s++) {
		bool active = (*s | 0x20) == 'a' && s[1] >= '0' && s[1] <= '9';
		bool word = s == name ||
				!strchr("0123456789.abcdefghijklmnopqrstuvwxyz",
						s[-1] >= 'A' && s[-1] <= 'Z' ? s[-1] | 0x20
									     : s[-1]);
		double value;
		char *end;

		if (!word || (!active && (*s < '0' || *s > '9')))
			continue;
		value = strtod(s + active, &end);
		if ((*end | 0x20) != 'b' || (end[1] >= 'a' && end[1] <= 'z') ||
				strspn(s + active, "0123456789.") != (size_t)(end - s - active))
			continue;
		if (active && !*ret_active)
			*ret_active = value;
		else if (!active && !*ret_total)
			*ret_total = value;
	}
}

static int put_model(struct gather *g)
{
	const struct sb_workload *w = g->launch->workload;
	const char *id = sb_workload_model(w), *slash = strrchr(id, '/');
	struct sb_place place = value_place(sb_workload_config(w, "model"));
	bool is_path = id[0] == '/' || id[0] == '.' || id[0] == '~';
	double total = 0, active = 0;
	int rc = put(g, "model.id", id, &place);

	if (rc == 0)
		rc = put(g, "model.name", slash ? slash + 1 : id, &place);
	if (rc == 0 && (is_path || !slash))
		rc = sb_facts_absent(g->facts, "model.org", g->err);
	if (rc == 0 && !is_path && slash) {
		SB_CLEANUP(sb_freep) char *org = strndup(id, (size_t)(slash - id));

		rc = org ? put(g, "model.org", org, &place) : sb_err_nomem(g->err);
	}
	sizes_of(slash ? slash + 1 : id, &total, &active);
	if (rc == 0 && total > 0)
		rc = put_number(g, "model.params_b", total);
	if (rc == 0 && active > 0)
		rc = put_number(g, "model.active_b", active);
	return rc;
}

/* --- metadata --- */

static int put_each(struct gather *g, const char *name, const struct sb_yaml_node *node)
{
	struct sb_place place = place_of(node);
	int rc = 0;

	if (sb_yaml_type(node) == SB_YAML_NULL || sb_yaml_type(node) == SB_YAML_MAP)
		return sb_facts_absent(g->facts, name, g->err);
	if (sb_yaml_type(node) != SB_YAML_LIST)
		return put(g, name, sb_yaml_str(node), &place);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(node) && i < SB_FACT_TEXTS_MAX; i++)
		rc = put(g, name, sb_yaml_str(sb_yaml_at(node, i)), &place);
	return rc < 0 || sb_yaml_size(node) ? rc : sb_facts_absent(g->facts, name, g->err);
}

/* "accept: {RULE: reason}"; one without a reason is none. */
static int put_accepted(struct gather *g, const struct sb_yaml_node *map)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(map) && i < SB_FACT_TEXTS_MAX; i++) {
		const char *id = sb_yaml_str(sb_yaml_key(map, i));
		SB_CLEANUP(sb_freep) char *text = NULL;

		if (!*sb_yaml_str(sb_yaml_at(map, i)) || strchr(id, ' '))
			continue;
		if (asprintf(&text, "%s %s", id, sb_yaml_str(sb_yaml_at(map, i))) < 0)
			return sb_err_nomem(g->err);
		rc = sb_facts_set(g->facts, "recipe.accepted", text, NULL, g->err);
	}
	return rc < 0 ? rc : sb_facts_absent(g->facts, "recipe.accepted", g->err);
}

/* Hooks that cannot be read are somebody else's error. */
static int put_hooks(struct gather *g)
{
	SB_CLEANUP(sb_hooks_done) struct sb_hooks hooks = { 0 };
	int rc = 0;

	if (sb_hooks_before(g->launch->workload, &hooks, NULL) < 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < hooks.n; i++)
		if (hooks.items[i].kind == SB_HOOK_COMMAND)
			rc = put(g, "hook.before", hooks.items[i].text, NULL);
	return rc < 0 ? rc : sb_facts_absent(g->facts, "hook.before", g->err);
}

static int put_metadata(struct gather *g)
{
	const struct sb_yaml_node *m = sb_workload_metadata(g->launch->workload);
	const struct sb_yaml_node *users = sb_yaml_get(m, "concurrency");
	int rc = put_each(g, "recipe.tested", sb_yaml_get(m, "tested"));

	if (rc == 0)
		rc = put_each(g, "recipe.tag", sb_yaml_get(m, "tags"));
	if (rc == 0 && sb_yaml_type(users) == SB_YAML_INT)
		rc = put_each(g, "recipe.users", users);
	return rc < 0 || sb_yaml_type(sb_yaml_get(m, "accept")) != SB_YAML_MAP
			? rc
			: put_accepted(g, sb_yaml_get(m, "accept"));
}

/* --- environment and container --- */

static int put_env(struct gather *g, const char *name, const char *value)
{
	const struct sb_yaml_node *env = sb_workload_key(g->launch->workload, "env");
	struct sb_place place = { 0 };
	char fact[NAME_MAX_BYTES];

	for (size_t i = 0; i < sb_yaml_size(env); i++)
		if (!strcmp(sb_yaml_str(sb_yaml_key(env, i)), name))
			place = place_of(sb_yaml_key(env, i));
	if (snprintf(fact, sizeof(fact), "env.%s", name) >= (int)sizeof(fact) || !*name)
		return 0;
	if (strchr(value, '$'))
		return sb_facts_opaque(g->facts, fact, &place, g->err);
	return sb_facts_set(g->facts, fact, value, &place, g->err);
}

/* Null keeps the image's; of what is not set the node keeps none that is an engine. */
static const char *entrypoint_of(const struct sb_workload *w)
{
	const struct sb_yaml_node *settings = sb_workload_key(w, "executor_config");
	const char *own = sb_workload_executor(w)->entrypoint;

	if (!own && sb_yaml_get(settings, "entrypoint"))
		return "image";
	return sb_empty(own) ? "none" : own;
}

static int put_executor(struct gather *g)
{
	const struct sb_executor *e = sb_workload_executor(g->launch->workload);
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "run.ipc", e->ipc },
		{ "run.network", e->network },
		{ "run.restart", e->restart_policy },
		{ "run.user", e->user },
	};
	int rc = put(g, "run.entrypoint", entrypoint_of(g->launch->workload), NULL);

	for (size_t i = 0; rc == 0 && i < sb_countof(texts); i++)
		rc = put(g, texts[i].name, texts[i].text, NULL);
	for (size_t i = 0; rc == 0 && i < e->devices.n && i < SB_FACT_TEXTS_MAX; i++)
		rc = put(g, "run.device", e->devices.items[i], NULL);
	for (size_t i = 0; rc == 0 && i < e->n_ulimits && i < SB_FACT_TEXTS_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%.30s=%lld", e->ulimits[i].name,
				(long long)e->ulimits[i].soft);
		rc = put(g, "run.ulimit", text, NULL);
	}
	if (rc == 0)
		rc = sb_facts_absent(g->facts, "run.device", g->err);
	if (rc == 0)
		rc = sb_facts_absent(g->facts, "run.ulimit", g->err);
	if (rc == 0)
		rc = put(g, "run.privileged", e->privileged ? "true" : "false", NULL);
	if (rc == 0)
		rc = put_number(g, "run.shm_gib", (double)e->shm_bytes / GIB);
	if (rc == 0 && e->memory_bytes)
		rc = put_number(g, "run.memory_gib", (double)e->memory_bytes / GIB);
	if (rc == 0)
		rc = sb_facts_absent(g->facts, "run.memory_gib", g->err);
	return rc;
}

/* --- the command --- */

/* "{name}" that nothing filled, or something for the shell to fill. */
static bool is_opaque(const char *text)
{
	size_t len = strlen(text);

	return strpbrk(text, "$`") ||
			(len > 2 && text[0] == '{' && text[len - 1] == '}' &&
					!strpbrk(text, "\":, "));
}

static int put_value(
		struct gather *g, const char *fact, const char *text, const struct sb_place *place)
{
	if (is_opaque(text))
		return sb_facts_opaque(g->facts, fact, place, g->err);
	return sb_facts_set(g->facts, fact, text, place, g->err);
}

/* The members of a JSON value are facts of their own: "flag.speculative-config.method". */
static int put_members(struct gather *g, const char *fact, json_t *object,
		const struct sb_place *place, unsigned depth)
{
	const char *key;
	json_t *value;
	int rc = 0;

	json_object_foreach (object, key, value) {
		SB_CLEANUP(sb_freep) char *text = NULL;
		char name[NAME_MAX_BYTES];

		if (snprintf(name, sizeof(name), "%s.%s", fact, key) >= (int)sizeof(name))
			continue;
		if (json_is_object(value) && depth < JSON_DEPTH_MAX)
			rc = put_members(g, name, value, place, depth + 1);
		text = json_is_string(value) ? strdup(json_string_value(value))
					     : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		if (rc == 0)
			rc = text ? put_value(g, name, text, place) : sb_err_nomem(g->err);
		if (rc < 0)
			break;
	}
	return rc;
}

static int put_json(
		struct gather *g, const char *fact, const char *text, const struct sb_place *place)
{
	char name[NAME_MAX_BYTES];
	json_t *object;
	int rc;

	if (text[0] != '{' || is_opaque(text) ||
			snprintf(name, sizeof(name), "%s.json", fact) >= (int)sizeof(name))
		return 0;
	object = json_loads(text, 0, NULL);
	rc = sb_facts_set(
			g->facts, name, json_is_object(object) ? "valid" : "broken", place, g->err);
	if (rc == 0 && json_is_object(object))
		rc = put_members(g, fact, object, place, 1);
	json_decref(object);
	return rc;
}

/* "--max_model_len" and "-tp" to the name that rules use; with a member behind a dot it stays. */
static bool flag_fact(const struct gather *g, const char *word, size_t len, char *ret, size_t size)
{
	const char *canonical;
	char name[NAME_MAX_BYTES];
	size_t dot;

	while (len && *word == '-') {
		word++;
		len--;
	}
	if (!len || len >= sizeof(name))
		return false;
	memcpy(name, word, len);
	name[len] = '\0';
	dot = strcspn(name, ".");
	for (size_t i = 0; i < dot; i++)
		if (name[i] == '_')
			name[i] = '-';
	canonical = rules_flag_alias(g->rules, g->engine, name, dot);
	if (canonical)
		return snprintf(ret, size, "flag.%s%s", canonical, name + dot) < (int)size;
	return snprintf(ret, size, "flag.%s", name) < (int)size;
}

static bool is_flag(const char *word)
{
	return word[0] == '-' && word[1] && (word[1] < '0' || word[1] > '9') && word[1] != '.';
}

/* "--speculative-config.method" gives --speculative-config, too. */
static int put_outer(struct gather *g, const char *fact, const struct sb_place *place)
{
	const char *dot = strchr(fact + strlen("flag."), '.');
	SB_CLEANUP(sb_freep) char *outer = dot ? strndup(fact, (size_t)(dot - fact)) : NULL;

	if (!dot)
		return 0;
	if (!outer)
		return sb_err_nomem(g->err);
	return sb_facts_text(g->facts, outer) ? 0
					      : sb_facts_set(g->facts, outer, "", place, g->err);
}

/* One flag and the words behind it that are its values. *@i moves to the last one used. */
static int put_flag(struct gather *g, const struct sb_words *words, size_t *i)
{
	const char *word = words->items[*i], *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	char fact[NAME_MAX_BYTES];
	struct sb_place place;
	int rc;

	if (!flag_fact(g, word, len, fact, sizeof(fact)))
		return 0;
	place = lint_flag_place(g->launch, word, len, fact + strlen("flag."));
	/* The last one wins, as engines read it. */
	lint_forget(g->facts, fact);
	rc = put_outer(g, fact, &place);
	if (rc < 0)
		return rc;
	if (equals) {
		rc = put_value(g, fact, equals + 1, &place);
		return rc < 0 ? rc : put_json(g, fact, equals + 1, &place);
	}
	/* Set, with no value yet: a bare flag. */
	rc = *i + 1 < words->n && !is_flag(words->items[*i + 1])
			? 0
			: sb_facts_set(g->facts, fact, "", &place, g->err);
	for (unsigned n = 0; rc == 0 && *i + 1 < words->n && !is_flag(words->items[*i + 1]); n++) {
		++*i;
		if (n >= SB_FACT_TEXTS_MAX)
			continue;
		rc = put_value(g, fact, words->items[*i], &place);
		if (rc == 0 && n == 0)
			rc = put_json(g, fact, words->items[*i], &place);
	}
	return rc;
}

/* Where the serve command begins: behind "env NAME=value ...", and in a script behind whatever
 * comes before the engine's program. */
static size_t serve_at(const struct sb_words *words)
{
	static const char *const verbs[] = { "serve", "launch_server", "sglang.launch_server",
		"vllm.entrypoints.openai.api_server", "llama-server", "trtllm-serve" };

	for (size_t i = 0; i < words->n; i++)
		for (size_t k = 0; k < sb_countof(verbs); k++)
			if (!strcmp(words->items[i], verbs[k]))
				return i;
	return 0;
}

static int put_program(struct gather *g, const struct sb_words *words)
{
	SB_CLEANUP(sb_freep) char *two = NULL;
	struct sb_place place = lint_command_place(g->facts);
	size_t i = 0;
	int rc = 0;

	if (words->n && !strcmp(words->items[0], "env"))
		for (i = 1; rc == 0 && i < words->n && strchr(words->items[i], '='); i++) {
			const char *equals = strchr(words->items[i], '=');
			SB_CLEANUP(sb_freep)
			char *name = strndup(words->items[i], (size_t)(equals - words->items[i]));

			rc = name ? put_env(g, name, equals + 1) : sb_err_nomem(g->err);
		}
	if (rc < 0 || i >= words->n)
		return rc;
	if (asprintf(&two, "%s%s%s", words->items[i], i + 1 < words->n ? " " : "",
			    i + 1 < words->n ? words->items[i + 1] : "") < 0)
		return sb_err_nomem(g->err);
	rc = put(g, "command.first", words->items[i], &place);
	return rc < 0 ? rc : put(g, "command.program", two, &place);
}

static int put_command(struct gather *g)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	const struct sb_lint_launch *launch = g->launch;
	struct sb_place place = place_of(sb_workload_key(launch->workload, "command"));
	enum sb_shell_kind kind;
	int rc;

	if (!place.line)
		place.line = place.col = 1;
	lint_set_command_place(g->facts, &place);
	/* A command that no shell reads is somebody else's error. */
	if (!launch->command || sb_shell_split(launch->command, &words, &kind, NULL) < 0)
		return 0;
	rc = put(g, "command.text", launch->command, &place);
	if (rc == 0)
		rc = put_program(g, &words);
	for (size_t i = serve_at(&words); rc == 0 && i < words.n; i++)
		if (is_flag(words.items[i]))
			rc = put_flag(g, &words, &i);
	sb_facts_close(g->facts, "flag");
	return rc;
}

/* --- all --- */

static const char *engine_of(const char *runtime)
{
	static const char *const names[][2] = { { "vllm", "vllm" }, { "eugr", "vllm" },
		{ "sglang", "sglang" }, { "llama", "llama-cpp" }, { "trtllm", "trtllm" },
		{ "atlas", "atlas" } };

	for (size_t i = 0; i < sb_countof(names); i++)
		if (!strncmp(runtime, names[i][0], strlen(names[i][0])))
			return names[i][1];
	return runtime;
}

static int put_sizes(struct gather *g)
{
	const struct sb_workload *w = g->launch->workload;
	static const char *const keys[] = { "tensor_parallel", "pipeline_parallel",
		"data_parallel" };
	int64_t sizes[sb_countof(keys)] = { 1, 1, 1 };
	int rc = 0;

	for (size_t i = 0; i < sb_countof(keys); i++)
		if (sb_workload_int(w, keys[i], 1, 4096, &sizes[i], NULL) < 0)
			return 0;
	rc = put_number(g, "run.tp", (double)sizes[0]);
	if (rc == 0)
		rc = put_number(g, "run.gpus", (double)(sizes[0] * sizes[1]) * (double)sizes[2]);
	if (rc == 0 && g->launch->nodes)
		rc = put_number(g, "run.nodes", g->launch->nodes);
	return rc;
}

int sb_facts_gather(struct sb_facts *facts, const struct sb_rules *rules,
		const struct sb_lint_launch *launch, struct sb_err *err)
{
	const char *runtime = sb_workload_runtime(launch->workload);
	struct gather g = { facts, rules, launch, NULL, err };
	int rc;

	g.engine = launch->engine ? launch->engine : engine_of(runtime);
	rc = put(&g, "run.engine", g.engine, NULL);
	if (rc == 0)
		rc = put(&g, "run.runtime", runtime, NULL);
	if (rc == 0)
		rc = put_image(&g);
	if (rc == 0)
		rc = put_model(&g);
	if (rc == 0)
		rc = put_metadata(&g);
	if (rc == 0)
		rc = put_hooks(&g);
	if (rc == 0)
		rc = put_executor(&g);
	for (size_t i = 0; rc == 0 && i < launch->n_env; i++)
		rc = put_env(&g, launch->env[i].name, launch->env[i].value);
	for (size_t i = 0; rc == 0 && i < launch->n_mounts && i < SB_FACT_TEXTS_MAX; i++)
		rc = put(&g, "mount.target", launch->mounts[i], NULL);
	if (rc == 0)
		rc = put_command(&g);
	if (rc == 0)
		rc = put_sizes(&g);
	sb_facts_close(facts, "env");
	return rc;
}
