/* compare.c - one plan against what the published tool would run, in meaning. */
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "sb_shellwords.h"

const char *golden_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

void golden_compare(struct golden_case *c, const char *field, const char *theirs, const char *ours)
{
	if (strcmp(theirs, ours) != 0)
		golden_differ(c, field, theirs, ours);
}

static void compare_number(
		struct golden_case *c, const char *field, long long theirs, long long ours)
{
	char x[24], y[24];

	snprintf(x, sizeof(x), "%lld", theirs);
	snprintf(y, sizeof(y), "%lld", ours);
	golden_compare(c, field, x, y);
}

static void compare_words(struct golden_case *c, const char *field, const json_t *theirs,
		char *const *ours, size_t n)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf x = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf y = SB_STRBUF_INIT;

	for (size_t i = 0; i < json_array_size(theirs); i++)
		sb_strbuf_addf(&x, "%s<%s>", i ? " " : "",
				json_string_value(json_array_get(theirs, i)));
	for (size_t i = 0; i < n; i++)
		sb_strbuf_addf(&y, "%s<%s>", i ? " " : "", ours[i]);
	golden_compare(c, field, sb_strbuf_str(&x), sb_strbuf_str(&y));
}

static void compare_texts(struct golden_case *c, const char *field, char *const *theirs,
		size_t n_theirs, char *const *ours, size_t n)
{
	json_t *words = json_array();

	for (size_t i = 0; i < n_theirs; i++)
		json_array_append_new(words, json_string(theirs[i]));
	compare_words(c, field, words, ours, n);
	json_decref(words);
}

/* --- sets: each word that only one side has is a difference of its own --- */

static bool has_word(const struct sb_words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (!strcmp(words->items[i], word))
			return true;
	return false;
}

static void compare_sets(struct golden_case *c, const char *field, const struct sb_words *theirs,
		const struct sb_words *ours)
{
	for (size_t i = 0; i < theirs->n; i++)
		if (!has_word(ours, theirs->items[i]))
			golden_differ(c, field, theirs->items[i], "(none)");
	for (size_t i = 0; i < ours->n; i++)
		if (!has_word(theirs, ours->items[i]))
			golden_differ(c, field, "(none)", ours->items[i]);
}

static void add_pair(struct sb_words *words, const char *a, const char *b)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_strbuf_addf(&text, "%s:%s", a, b);
	if (text.failed || sb_words_add(words, sb_strbuf_str(&text)) < 0)
		abort();
}

static void compare_options(
		struct golden_case *c, const json_t *theirs, const Sparkbus__ContainerOptions *ours)
{
	SB_CLEANUP(sb_words_done) struct sb_words x = { 0 }, y = { 0 };

	for (size_t i = 0; i < json_array_size(theirs); i++)
		if (sb_words_add(&x, json_string_value(json_array_get(theirs, i))) < 0)
			abort();
	if (golden_options(ours, &y) < 0)
		abort();
	compare_sets(c, "options", &x, &y);
}

static void compare_mounts(struct golden_case *c, json_t *theirs, const Sparkbus__RankSpec *ours)
{
	SB_CLEANUP(sb_words_done) struct sb_words x = { 0 }, y = { 0 };
	const char *source;
	json_t *target;

	json_object_foreach (theirs, source, target)
		add_pair(&x, source, json_string_value(target));
	for (size_t i = 0; i < ours->n_mounts; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf to = SB_STRBUF_INIT;

		sb_strbuf_addf(&to, "%s%s", ours->mounts[i]->target,
				ours->mounts[i]->read_only ? ":ro" : "");
		add_pair(&y, ours->mounts[i]->source, sb_strbuf_str(&to));
	}
	compare_sets(c, "mounts", &x, &y);
}

/* --- ranks --- */

static void compare_env(struct golden_case *c, json_t *theirs, const Sparkbus__RankSpec *ours)
{
	const char *name;
	json_t *unused;

	for (size_t i = 0; i < ours->n_env; i++) {
		const Sparkbus__EnvVar *var = ours->env[i];
		const char *value = json_string_value(json_object_get(theirs, var->name));

		if (!value || strcmp(value, var->value) != 0)
			golden_differ(c, "env", value ? value : "(unset)", var->name);
		if (i && strcmp(ours->env[i - 1]->name, var->name) >= 0)
			golden_differ(c, "env order", ours->env[i - 1]->name, var->name);
	}
	json_object_foreach (theirs, name, unused) {
		size_t i = 0;

		while (i < ours->n_env && strcmp(ours->env[i]->name, name) != 0)
			i++;
		if (i == ours->n_env)
			golden_differ(c, "env", name, "(unset)");
	}
}

/* The words of what serves by MPI, which they execute in a container that sleeps. */
static bool mpi_words(const json_t *exec, struct sb_words *ret)
{
	enum sb_shell_kind kind;

	for (size_t i = 0; i < json_array_size(exec); i++) {
		const char *text = json_string_value(json_array_get(exec, i));

		if (!strncmp(text, "mpirun ", 7))
			return sb_shell_split(text, ret, &kind, NULL) == 0;
	}
	return false;
}

/* A main process that does something before it serves has the serve command behind "--"; what it
 * does is compared with the command of their container, where the serve command comes later. */
static void compare_argv(
		struct golden_case *c, const json_t *theirs, const Sparkbus__RankSpec *ours)
{
	const json_t *main_words = json_object_get(theirs, "main");
	SB_CLEANUP(sb_words_done) struct sb_words mpi = { 0 };
	size_t from = 0, to = 0, serve = 0;

	if (mpi_words(json_object_get(theirs, "exec"), &mpi)) {
		compare_texts(c, "argv", mpi.items, mpi.n, ours->argv, ours->n_argv);
		return;
	}
	if (main_words) {
		while (from < ours->n_argv && strcmp(ours->argv[from], "ray") != 0)
			from++;
		for (to = from; to < ours->n_argv && strcmp(ours->argv[to], "--") != 0;)
			to++;
		serve = to < ours->n_argv ? to + 1 : to;
		compare_words(c, "main", main_words, &ours->argv[from], to - from);
	}
	compare_words(c, "argv", json_object_get(theirs, "argv"), &ours->argv[serve],
			ours->n_argv - serve);
}

/* --- files that they write by exec, and we put into the container --- */

#define FILE_START "cat > "
#define FILE_TEXT  " << 'SPARKRUN_EOF'\n"
#define FILE_END   "SPARKRUN_EOF"

/* True when @text writes a file: *@ret_path and the content, without the last line. */
static bool is_file(const char *text, struct sb_strbuf *ret_path, struct sb_strbuf *ret_content)
{
	const char *at = strstr(text, FILE_TEXT), *end;

	if (strncmp(text, FILE_START, strlen(FILE_START)) != 0 || !at)
		return false;
	end = strstr(at + strlen(FILE_TEXT), FILE_END);
	sb_strbuf_add(ret_path, text + strlen(FILE_START),
			(size_t)(at - text) - strlen(FILE_START));
	at += strlen(FILE_TEXT);
	sb_strbuf_add(ret_content, at, end ? (size_t)(end - at) : strlen(at));
	return true;
}

static void compare_file(struct golden_case *c, const char *path, const char *content,
		const Sparkbus__RankSpec *ours)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf y = SB_STRBUF_INIT;
	size_t i = 0;

	while (i < ours->n_files && strcmp(ours->files[i]->path, path) != 0)
		i++;
	if (i == ours->n_files) {
		golden_differ(c, "file", path, "(none)");
		return;
	}
	sb_strbuf_add(&y, ours->files[i]->content.data, ours->files[i]->content.len);
	golden_compare(c, "file", content, sb_strbuf_str(&y));
}

/* The text of an exec that is no hook: a file, or the command that serves. */
static bool compare_exec(struct golden_case *c, const char *text, const Sparkbus__RankSpec *ours)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf path = SB_STRBUF_INIT, file = SB_STRBUF_INIT;

	if (is_file(text, &path, &file)) {
		compare_file(c, sb_strbuf_str(&path), sb_strbuf_str(&file), ours);
		return true;
	}
	return !strncmp(text, "mpirun ", 7);
}

/* --- hooks: what runs in a container besides --- */

/* @text with what the published tool has for our names, and for what only a node knows. */
static void add_theirs(struct sb_strbuf *out, const char *text)
{
	static const struct {
		const char *ours, *theirs;
	} words[] = {
		{ "sparkbus_", "sparkrun_" },
		{ "{cache_dir}", "/home/user/.cache/huggingface" },
	};

	while (*text) {
		size_t i = 0;

		while (i < sb_countof(words) &&
				strncmp(text, words[i].ours, strlen(words[i].ours)) != 0)
			i++;
		if (i < sb_countof(words)) {
			sb_strbuf_adds(out, words[i].theirs);
			text += strlen(words[i].ours);
		} else {
			sb_strbuf_addc(out, *text++);
		}
	}
}

static void add_hooks(struct sb_strbuf *out, Sparkbus__Hook *const *hooks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!*hooks[i]->command)
			continue; /* a copy */
		sb_strbuf_adds(out, out->len ? " <" : "<");
		add_theirs(out, hooks[i]->command);
		sb_strbuf_addc(out, '>');
	}
}

static void compare_hooks(struct golden_case *c, const json_t *theirs,
		const Sparkbus__LaunchPlan *plan, size_t rank)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf x = SB_STRBUF_INIT, y = SB_STRBUF_INIT;

	for (size_t i = 0; i < json_array_size(theirs); i++) {
		const char *text = json_string_value(json_array_get(theirs, i));

		if (!compare_exec(c, text, plan->ranks[rank]))
			sb_strbuf_addf(&x, "%s<%s>", x.len ? " " : "", text);
	}
	add_hooks(&y, plan->pre_exec, plan->n_pre_exec);
	if (!rank)
		add_hooks(&y, plan->post_exec, plan->n_post_exec);
	golden_compare(c, "hooks", sb_strbuf_str(&x), sb_strbuf_str(&y));
}

static void compare_rank(struct golden_case *c, const json_t *result, size_t i,
		const Sparkbus__LaunchPlan *plan)
{
	const Sparkbus__RankSpec *ours = plan->ranks[i];
	const json_t *ranks = json_object_get(result, "ranks");
	const json_t *theirs = json_array_get(ranks, i);
	json_t *env = json_object_get(theirs, "env");
	const char *name = strchr(ours->container_name, '_');

	if (!env) /* that of rank 0 */
		env = json_object_get(json_array_get(ranks, 0), "env");
	name = name ? strchr(name + 1, '_') : NULL;
	golden_compare(c, "container name", golden_text(theirs, "name"), name ? name + 1 : "");
	golden_compare(c, "address", golden_text(theirs, "host"), ours->address);
	golden_compare(c, "image", golden_text(result, "image"), ours->image);
	compare_argv(c, theirs, ours);
	compare_env(c, env, ours);
	compare_hooks(c, json_object_get(theirs, "exec"), plan, i);
	compare_mounts(c, json_object_get(result, "mounts"), ours);
	compare_options(c, json_object_get(result, "options"), ours->options);
}

void golden_compare_plan(struct golden_case *c, json_t *theirs, const struct sb_workload *w,
		const Sparkbus__LaunchPlan *ours)
{
	json_t *ranks = json_object_get(theirs, "ranks");

	golden_compare(c, "runtime", golden_text(theirs, "runtime"), ours->runtime);
	golden_compare(c, "builder", golden_text(theirs, "builder"), sb_workload_builder(w));
	golden_compare(c, "image", golden_text(theirs, "image"), ours->image);
	golden_compare(c, "job", golden_text(theirs, "id"), ours->job + strlen("sparkbus_"));
	compare_number(c, "port", json_integer_value(json_object_get(theirs, "port")), ours->port);
	compare_number(c, "ranks", (long long)json_array_size(ranks), (long long)ours->n_ranks);
	for (size_t i = 0; i < ours->n_ranks && i < json_array_size(ranks); i++)
		compare_rank(c, theirs, i, ours);
}

/* --- notes --- */

void golden_compare_notes(struct golden_case *c, const json_t *theirs, const struct sb_diags *ours)
{
	static const char *const prefix[] = { "Note: ", "Warning: ", "Error: " };

	for (size_t i = 0; i < json_array_size(theirs); i++) {
		const char *text = json_string_value(json_array_get(theirs, i));
		bool found = false;

		for (size_t k = 0; k < ours->n; k++) {
			const char *lead = prefix[ours->items[k].level];

			found = found ||
					(!strncmp(text, lead, strlen(lead)) &&
							!strcmp(text + strlen(lead),
									ours->items[k].text));
		}
		if (!found)
			golden_differ(c, "note", text, "(none)");
	}
}
