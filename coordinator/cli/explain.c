/* A launch explained to a person: a table for each rank. */
#include <string.h>

#include "explain.h"

#define TEXT_COLS       72 /* of a word or a value; --json has all of it */
#define SCRIPT_COLS     32
#define ROW_SOURCES_MAX 32

/* --- settings of the container --- */

enum kind { FLAG, TEXT, BYTES, TEXTS, LIMITS, DEVICES };

static const struct {
	const char *key;
	enum kind kind;
	size_t at, n_at; /* in the plan's options */
} settings[] = {
#define AT(field) offsetof(Sparkbus__ContainerOptions, field)
	{ "privileged", FLAG, AT(privileged) },
	{ "gpus", TEXT, AT(gpus) },
	{ "network", TEXT, AT(network) },
	{ "ipc", TEXT, AT(ipc) },
	{ "user", TEXT, AT(user) },
	{ "shm_size", BYTES, AT(shm_bytes) },
	{ "memory_limit", BYTES, AT(memory_bytes) },
	{ "security_opt", TEXTS, AT(security_opt), AT(n_security_opt) },
	{ "cap_add", TEXTS, AT(cap_add), AT(n_cap_add) },
	{ "ulimit", LIMITS, 0 },
	{ "devices", DEVICES, 0 },
	{ "labels", TEXTS, AT(labels), AT(n_labels) },
	{ "entrypoint", TEXT, AT(entrypoint) },
	{ "auto_remove", FLAG, AT(auto_remove) },
	{ "restart_policy", TEXT, AT(restart_policy) },
#undef AT
};

static void add_texts(char *const *texts, size_t n, struct sb_strbuf *out)
{
	for (size_t i = 0; i < n; i++)
		sb_strbuf_addf(out, "%s%s", i ? "," : "", texts[i]);
}

static void add_limits(const Sparkbus__ContainerOptions *o, struct sb_strbuf *out)
{
	for (size_t i = 0; i < o->n_ulimits; i++)
		sb_strbuf_addf(out, "%s%s=%lld:%lld", i ? "," : "", o->ulimits[i]->name,
				(long long)o->ulimits[i]->soft, (long long)o->ulimits[i]->hard);
}

static void add_devices(const Sparkbus__ContainerOptions *o, struct sb_strbuf *out)
{
	for (size_t i = 0; i < o->n_devices; i++)
		sb_strbuf_addf(out, "%s%s%s", i ? "," : "", o->devices[i]->path,
				o->devices[i]->optional ? " (where there is one)" : "");
}

static void add_setting(const Sparkbus__ContainerOptions *o, size_t i, struct sb_strbuf *out)
{
	const char *field = (const char *)o + settings[i].at;
	uint64_t bytes;

	switch (settings[i].kind) {
	case FLAG:
		sb_strbuf_adds(out, *(const protobuf_c_boolean *)field ? "true" : "");
		break;
	case TEXT:
		sb_strbuf_adds(out, *(char *const *)field);
		break;
	case BYTES:
		bytes = *(const uint64_t *)field;
		if (bytes)
			sb_strbuf_addf(out, "%llu", (unsigned long long)bytes);
		break;
	case TEXTS:
		add_texts(*(char **const *)field,
				*(const size_t *)((const char *)o + settings[i].n_at), out);
		break;
	case LIMITS:
		add_limits(o, out);
		break;
	default:
		add_devices(o, out);
		break;
	}
}

bool explain_setting_at(const struct launch *l, const struct run_opts *opts, size_t i,
		struct explain_setting *ret)
{
	const Sparkbus__ContainerOptions *o = l->plan->ranks[0]->options;
	const struct {
		const char *key, *option;
		bool given;
	} by_option[] = {
		{ "labels", "--label", opts->label.n > 0 },
		{ "auto_remove", "--no-rm", opts->no_rm },
	};

	if (i >= sb_countof(settings))
		return false;
	ret->key = settings[i].key;
	ret->source = sb_workload_executor_source(l->workload, ret->key);
	for (size_t k = 0; k < sb_countof(by_option); k++)
		if (by_option[k].given && !strcmp(by_option[k].key, ret->key))
			ret->source = (struct sb_source){ .kind = SB_SOURCE_OVERRIDE,
				.section = "executor_config",
				.name = ret->key,
				.option = by_option[k].option };
	sb_strbuf_reset(&ret->value);
	if (strcmp(ret->key, "entrypoint") != 0)
		add_setting(o, i, &ret->value);
	else if (o->has_entrypoint_case == SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT)
		sb_strbuf_addf(&ret->value, "'%s'", o->entrypoint);
	return true;
}

struct sb_source explain_runtime(const struct launch *l)
{
	const struct sb_yaml_node *node = sb_workload_key(l->workload, "runtime");

	if (!*sb_yaml_str(node))
		return (struct sb_source){ 0 };
	return (struct sb_source){ .kind = SB_SOURCE_RECIPE,
		.section = "",
		.name = "runtime",
		.line = sb_yaml_line(node),
		.col = sb_yaml_col(node) };
}

/* --- sources --- */

static const char *file_name(const struct launch *l)
{
	const char *slash = strrchr(l->recipe.path, '/');

	return slash ? slash + 1 : l->recipe.path;
}

static void add_key(const struct sb_source *source, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, "%s%s%s", source->section, *source->section ? "." : "", source->name);
}

/* The key says what kind of secret a value that was not taken may be. */
static void add_instead(
		const struct launch *l, const struct sb_source *source, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf before = SB_STRBUF_INIT;

	if (!source->instead)
		return;
	if (source->name && sb_plan_env_is_secret(source->name))
		sb_strbuf_adds(&before, SB_RENDER_HIDDEN);
	else
		sb_mask_text(&l->mask, source->instead, &before);
	sb_strbuf_addf(out, " instead of %.40s (line %u)", sb_strbuf_str(&before),
			source->instead_line);
}

static void add_option(const struct sb_source *source, struct sb_strbuf *out)
{
	sb_strbuf_adds(out, source->option);
	if (!strcmp(source->option, "-o"))
		sb_strbuf_addf(out, " %s%s", strcmp(source->section, "env") ? "" : "env.",
				source->name);
}

/* Behind others of the same row the file's name is left out. */
static void add_source(
		const struct launch *l, const struct sb_source *source, struct sb_strbuf *out)
{
	if (out->len)
		sb_strbuf_adds(out, "; ");
	if (source->line)
		sb_strbuf_addf(out, "%s:%u ",
				strstr(sb_strbuf_str(out), file_name(l)) ? "" : file_name(l),
				source->line);
	switch (source->kind) {
	case SB_SOURCE_COMMAND:
		sb_strbuf_adds(out, "command");
		break;
	case SB_SOURCE_RECIPE:
		add_key(source, out);
		break;
	case SB_SOURCE_OVERRIDE:
		add_option(source, out);
		break;
	case SB_SOURCE_CLUSTER:
		sb_strbuf_addf(out, "cluster '%s'",
				l->nodes.cluster.name ? l->nodes.cluster.name : "");
		break;
	case SB_SOURCE_RANK:
		sb_strbuf_addf(out, "%s, for this rank", l->plan->runtime);
		break;
	case SB_SOURCE_SHELL:
		sb_strbuf_adds(out, "the command is a script");
		break;
	case SB_SOURCE_BUILT_IN:
		sb_strbuf_adds(out, "sparkbus");
		break;
	default:
		sb_strbuf_adds(out, l->plan->runtime);
	}
	add_instead(l, source, out);
}

/* --- tables --- */

/* "--" and negative numbers are none. */
static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] && strcmp(word, "--") != 0 &&
			!(word[1] >= '0' && word[1] <= '9');
}

/* One line of a terminal: masked, line ends as "\n", cut. */
static void add_shown(const struct launch *l, const char *text, bool quote, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_strbuf_done)
	struct sb_strbuf plain = SB_STRBUF_INIT, line = SB_STRBUF_INIT, flat = SB_STRBUF_INIT;
	size_t len, cols;

	if (sb_mask_text(&l->mask, text, &plain) < 0) {
		sb_strbuf_adds(out, SB_RENDER_HIDDEN);
		return;
	}
	if (quote)
		sb_render_shell(&line, sb_strbuf_str(&plain));
	else
		sb_strbuf_adds(&line, sb_strbuf_str(&plain));
	for (const char *p = sb_strbuf_str(&line); *p; p++)
		if (*p == '\n')
			sb_strbuf_adds(&flat, "\\n");
		else
			sb_strbuf_addc(&flat, *p);
	cols = strchr(text, '\n') ? SCRIPT_COLS : TEXT_COLS;
	len = flat.len > cols ? cols : flat.len;
	while (len && len < flat.len && ((unsigned char)flat.data[len] & 0xc0) == 0x80)
		len--;
	sb_strbuf_add(out, sb_strbuf_str(&flat), len);
	if (len < flat.len)
		sb_strbuf_addf(out, "... (%zu more bytes)", flat.len - len);
}

/* The marks of a row, in the order of their first bytes. */
struct seen {
	uint32_t marks[ROW_SOURCES_MAX];
	size_t n;
};

/* Those of word @i that are not there yet: how many. They are added when @out is given. */
static size_t look_at(const struct launch *l, const struct sb_words *words, size_t i,
		struct seen *seen, struct sb_strbuf *out)
{
	size_t len = strlen(words->items[i]), fresh = 0;

	for (size_t at = 0; at < len || at == 0; at++) {
		uint32_t mark = len ? sb_words_mark(words, i, at) : 0;
		struct sb_source source = sb_mark_source(l->workload, mark);
		size_t k = 0;

		while (k < seen->n && seen->marks[k] != mark)
			k++;
		if (k < seen->n)
			continue;
		fresh++;
		if (!out || seen->n == ROW_SOURCES_MAX)
			continue;
		seen->marks[seen->n++] = mark;
		add_source(l, &source, out);
	}
	return fresh;
}

/* An option with its values is a row; so is a run of other words from the same place. */
static void add_words(const struct launch *l, const struct sb_words *words, struct sb_table *table)
{
	for (size_t i = 0; i < words->n;) {
		SB_CLEANUP(sb_strbuf_done)
		struct sb_strbuf text = SB_STRBUF_INIT, from = SB_STRBUF_INIT;
		bool option = is_option(words->items[i]);
		struct seen seen = { .n = 0 };
		const char *cells[2];

		look_at(l, words, i, &seen, &from);
		add_shown(l, words->items[i++], true, &text);
		while (i < words->n && !is_option(words->items[i]) &&
				strcmp(words->items[i], "--") != 0 &&
				(option || !look_at(l, words, i, &seen, NULL))) {
			look_at(l, words, i, &seen, &from);
			sb_strbuf_addc(&text, ' ');
			add_shown(l, words->items[i++], true, &text);
		}
		cells[0] = sb_strbuf_str(&text);
		cells[1] = sb_strbuf_str(&from);
		sb_table_row(table, cells);
	}
}

static void add_env(const struct launch *l, size_t rank, struct sb_table *table)
{
	const Sparkbus__RankSpec *spec = l->plan->ranks[rank];

	for (size_t i = 0; i < spec->n_env; i++) {
		SB_CLEANUP(sb_strbuf_done)
		struct sb_strbuf text = SB_STRBUF_INIT, from = SB_STRBUF_INIT;
		const char *cells[2];

		sb_strbuf_addf(&text, "%s=", spec->env[i]->name);
		if (spec->env[i]->secret)
			sb_strbuf_adds(&text, SB_RENDER_HIDDEN);
		else
			add_shown(l, spec->env[i]->value, false, &text);
		add_source(l, &l->sources.ranks[rank].env[i], &from);
		cells[0] = sb_strbuf_str(&text);
		cells[1] = sb_strbuf_str(&from);
		sb_table_row(table, cells);
	}
}

static void add_mounts(const struct launch *l, size_t rank, struct sb_table *table)
{
	const Sparkbus__RankSpec *spec = l->plan->ranks[rank];

	for (size_t i = 0; i < spec->n_mounts; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
		const char *cells[2] = { NULL, "sparkbus" };

		sb_strbuf_addf(&text, "%s -> %s%s", spec->mounts[i]->source,
				spec->mounts[i]->target,
				spec->mounts[i]->read_only ? " (read-only)" : "");
		cells[0] = sb_strbuf_str(&text);
		sb_table_row(table, cells);
	}
}

static void add_settings(
		const struct launch *l, const struct run_opts *opts, struct sb_table *table)
{
	struct explain_setting setting = { 0 };

	for (size_t i = 0; explain_setting_at(l, opts, i, &setting); i++) {
		SB_CLEANUP(sb_strbuf_done)
		struct sb_strbuf text = SB_STRBUF_INIT, from = SB_STRBUF_INIT;
		const char *cells[2];

		if (!setting.value.len &&
				(setting.source.kind == SB_SOURCE_BUILT_IN ||
						setting.source.kind == SB_SOURCE_RUNTIME))
			continue;
		sb_strbuf_addf(&text, "%s: ", setting.key);
		add_shown(l, setting.value.len ? sb_strbuf_str(&setting.value) : "(none)", false,
				&text);
		add_source(l, &setting.source, &from);
		cells[0] = sb_strbuf_str(&text);
		cells[1] = sb_strbuf_str(&from);
		sb_table_row(table, cells);
	}
	sb_strbuf_done(&setting.value);
}

static int print_table(struct sb_table *table, FILE *out, struct sb_err *err)
{
	int rc = sb_table_print(table, out, err);

	fputc('\n', out);
	sb_table_done(table);
	return rc;
}

/* --- ranks --- */

static bool same_env(const struct launch *l, size_t a, size_t b)
{
	const Sparkbus__RankSpec *x = l->plan->ranks[a], *y = l->plan->ranks[b];
	bool same = x->n_env == y->n_env;

	for (size_t i = 0; same && i < x->n_env; i++)
		same = !strcmp(x->env[i]->name, y->env[i]->name) &&
				!strcmp(x->env[i]->value, y->env[i]->value);
	return same;
}

static bool same_words(const struct launch *l, size_t a, size_t b)
{
	const Sparkbus__RankSpec *x = l->plan->ranks[a], *y = l->plan->ranks[b];
	bool same = x->n_argv == y->n_argv;

	for (size_t i = 0; same && i < x->n_argv; i++)
		same = !strcmp(x->argv[i], y->argv[i]);
	return same;
}

static void print_title(const struct launch *l, size_t first, size_t last, FILE *out)
{
	const Sparkbus__RankSpec *rank = l->plan->ranks[first];

	if (last > first)
		fprintf(out, "Ranks %zu to %zu, on %s to %s\n", first, last, rank->node,
				l->plan->ranks[last]->node);
	else
		fprintf(out, "Rank %zu, on %s\n", first, rank->node);
}

/* @rank, and how many behind it are the same. */
static int print_rank(
		const struct launch *l, size_t rank, size_t *ret_n, FILE *out, struct sb_err *err)
{
	static const char *const words[] = { "ARGUMENT", "FROM" };
	static const char *const env[] = { "ENVIRONMENT", "FROM" };
	static const char *const mounts[] = { "MOUNT", "FROM" };
	struct sb_table table;
	size_t n = 1;
	int rc;

	while (rank + n < l->plan->n_ranks && same_words(l, rank, rank + n) &&
			same_env(l, rank, rank + n))
		n++;
	*ret_n = n;
	print_title(l, rank, rank + n - 1, out);
	sb_table_init(&table, words, 2);
	add_words(l, &l->sources.ranks[rank].argv, &table);
	rc = print_table(&table, out, err);
	if (rc == 0 && rank && same_env(l, 0, rank)) {
		fprintf(out, "Environment and mounts as rank 0.\n\n");
		return 0;
	}
	sb_table_init(&table, env, 2);
	add_env(l, rank, &table);
	if (rc == 0)
		rc = print_table(&table, out, err);
	sb_table_init(&table, mounts, 2);
	add_mounts(l, rank, &table);
	return rc == 0 ? print_table(&table, out, err) : rc;
}

static void print_field(const struct launch *l, const char *label, const char *text,
		const struct sb_source *source, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT, from = SB_STRBUF_INIT;

	add_shown(l, text, false, &line);
	if (source)
		add_source(l, source, &from);
	fprintf(out, "%-10s %s%s%s%s\n", label, sb_strbuf_str(&line), from.len ? "  (" : "",
			sb_strbuf_str(&from), from.len ? ")" : "");
}

static void print_head(const struct launch *l, FILE *out)
{
	const struct sb_workload *w = l->workload;
	struct sb_source runtime = explain_runtime(l), image = sb_workload_image_source(w);
	struct sb_source model =
			sb_mark_source(w, sb_value_mark(w, sb_workload_config(w, "model")));

	print_field(l, "Recipe:", l->recipe.name, NULL, out);
	print_field(l, "File:", l->recipe.path, NULL, out);
	print_field(l, "Runtime:", l->plan->runtime,
			runtime.kind == SB_SOURCE_RECIPE ? &runtime : NULL, out);
	print_field(l, "Image:", l->plan->image, &image, out);
	print_field(l, "Model:", l->plan->model, &model, out);
	fputc('\n', out);
}

int explain_text(const struct launch *l, const struct run_opts *opts, FILE *out, struct sb_err *err)
{
	static const char *const header[] = { "CONTAINER", "FROM" };
	struct sb_table table;
	int rc = 0;

	print_head(l, out);
	for (size_t i = 0, n; rc == 0 && i < l->plan->n_ranks; i += n)
		rc = print_rank(l, i, &n, out, err);
	sb_table_init(&table, header, 2);
	add_settings(l, opts, &table);
	if (rc == 0)
		rc = sb_table_print(&table, out, err);
	sb_table_done(&table);
	return rc;
}
