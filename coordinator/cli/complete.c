/* What may come next on a command line; the shells' scripts (cmd_completion.c) ask it. Everything
 * comes from the command table and from this machine: no node is asked, and whatever goes wrong
 * only means fewer candidates. */
#include <string.h>

#include "families.h"
#include "registries.h"
#include "sb_runtime.h"

#define ARGUMENT_MAX_BYTES 32
#define COMMAND_MAX_BYTES  64

struct completer {
	struct cli *cli;
	const char *head; /* of the word: is offered as it stands, */
	size_t head_len;  /* "--hosts=" or "a,b," */
	const char *rest; /* what candidates begin with */
	size_t offered;
};

/* A candidate is put on the command line as it is: what a shell would read as more than a word is
 * left out. */
static bool is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!strchr("@/._:+,=-", *p) && !(*p >= '0' && *p <= '9') &&
				!((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') && !(*p & 0x80))
			return false;
	return *text;
}

static void offer(struct completer *c, const char *text, const char *about)
{
	if (strncmp(text, c->rest, strlen(c->rest)) != 0 || !is_plain(text))
		return;
	printf("%.*s%s%s%s\n", (int)c->head_len, c->head, text, about ? "\t" : "",
			about ? about : "");
	c->offered++;
}

/* What is before the last @mark of the word stays. */
static void keep_up_to(struct completer *c, char mark)
{
	const char *at = strrchr(c->rest, mark);

	if (at) {
		c->rest = at + 1;
		c->head_len = (size_t)(c->rest - c->head);
	}
}

/* --- sources --- */

static void offer_files(struct completer *c)
{
	puts(COMPLETE_FILES);
}

static void offer_recipes(struct completer *c)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	bool scoped = c->rest[0] == '@';

	/* What is hidden is offered to those who say whose it is. */
	if (!scoped && !strpbrk(c->rest, "/~") && c->rest[0] != '.' &&
			recipe_list_fill(&list, NULL) == 0)
		for (size_t i = 0; i < list.n; i++) {
			const char *slash = strchr(list.items[i].name, '/');

			offer(c, slash ? slash + 1 : list.items[i].name, NULL);
		}
	if (scoped && recipe_list_scope(RECIPES_HIDDEN, NULL, NULL, &list, NULL) == 0)
		for (size_t i = 0; i < list.n; i++)
			offer(c, list.items[i].name, NULL);
	if (!c->offered && !scoped)
		offer_files(c);
}

/* Those of the list, fetched or not. */
static void offer_listed(struct completer *c)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	SB_CLEANUP(sb_registry_list_done) struct sb_registry_list list = SB_REGISTRY_LIST_INIT;

	if (registries_open(false, &store, NULL) < 0 ||
			sb_registry_load(store, NULL, NULL, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		offer(c, list.items[i].name, list.items[i].url);
}

static void offer_name(void *ctx, const char *name)
{
	offer(ctx, name, NULL);
}

static void offer_profiles(struct completer *c)
{
	registries_profiles(c->rest[0] == '@', offer_name, c);
}

/* Those that have recipes here. */
static void offer_registries(struct completer *c)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	const char *before = "";

	if (recipe_list_scope(RECIPES_HIDDEN, NULL, NULL, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		const char *name = recipe_registry(&list.items[i]);

		if (strcmp(name, before) != 0)
			offer(c, name, NULL);
		before = name;
	}
}

static void offer_families(struct completer *c)
{
	SB_CLEANUP(families_freep) struct families *families = NULL;

	if (families_load(recipe_bundled_root(), &families, NULL) < 0)
		return;
	for (size_t i = 0; families_at(families, i); i++)
		offer(c, families_at(families, i), NULL);
}

static void offer_runtimes(struct completer *c)
{
	const struct sb_runtime *runtime;

	for (size_t i = 0; (runtime = sb_runtime_at(i)); i++)
		offer(c, runtime->name, NULL);
}

static void offer_nodes(struct completer *c)
{
	const struct sb_inv_node *nodes;
	size_t n;

	if (cli_known(c->cli, &nodes, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		offer(c, nodes[i].name, nodes[i].address);
}

static void offer_node_list(struct completer *c)
{
	keep_up_to(c, ',');
	offer_nodes(c);
}

static void offer_clusters(struct completer *c)
{
	struct sb_inv_cluster *list = NULL;
	struct sb_inventory *inv;
	size_t n = 0;

	if (cli_inventory(c->cli, &inv, NULL) < 0 ||
			sb_inventory_clusters(inv, &list, &n, NULL, NULL, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		offer(c, list[i].name, NULL);
		sb_inv_cluster_done(&list[i]);
	}
	free(list);
}

static void offer_shells(struct completer *c)
{
	for (size_t i = 0; completion_shell(i); i++)
		offer(c, completion_shell(i), NULL);
}

static void offer_commands(struct completer *c, const char *group)
{
	size_t skip = *group ? strlen(group) + 1 : 0;

	for (size_t i = 0; i < n_commands; i++)
		if (command_is_in(&commands[i], group) && !commands[i].hidden)
			offer(c, commands[i].name + skip, commands[i].summary);
}

static void offer_option(void *ctx, const char *heading, const struct opt *row)
{
	char text[COMMAND_MAX_BYTES];

	snprintf(text, sizeof(text), "--%s", row->name);
	offer(ctx, text, row->help);
}

/* --- what an argument or an option's value is --- */

typedef void (*source_fn)(struct completer *c);

/* The first row counts. A command ending in a blank is all of the group. */
static const struct {
	const char *command, *argument;
	source_fn offer;
} arguments[] = {
	{ "node add", "NAME", NULL },
	{ "cluster create", "NAME", NULL },
	{ "node ", "NAME", offer_nodes },
	{ "cluster ", "NAME", offer_clusters },
	{ "registry show-benchmark-profile", "NAME", offer_profiles },
	{ "registry ", "NAME", offer_listed },
	{ "registry ", "URL", NULL },
	{ "", "RECIPE", offer_recipes },
	{ "", "TARGET", offer_recipes },
	{ "", "SHELL", offer_shells },
};

static const struct {
	const char *option, *value;
	source_fn offer;
} values[] = {
	{ "cluster", NULL, offer_clusters },
	{ "hosts", NULL, offer_node_list },
	{ "add-host", NULL, offer_node_list },
	{ "remove-host", NULL, offer_node_list },
	{ "registry", NULL, offer_registries },
	{ "runtime", NULL, offer_runtimes },
	{ "family", NULL, offer_families },
	{ NULL, "FILE", offer_files },
	{ NULL, "DIR", offer_files },
};

static void offer_value(struct completer *c, const struct opt *row)
{
	for (size_t i = 0; i < sb_countof(values); i++)
		if (values[i].option ? !strcmp(values[i].option, row->name)
				     : !strcmp(values[i].value, row->arg)) {
			values[i].offer(c);
			return;
		}
}

/* The @i-th word of a synopsis, "[NAME] ADDRESS...", bare; one with dots stands for all that
 * follow.
 */
static void argument_name(const char *synopsis, size_t i, char ret[ARGUMENT_MAX_BYTES])
{
	size_t len;

	for (; i && *synopsis; i--) {
		len = strcspn(synopsis, " ");
		if (len > 3 && !strncmp(synopsis + len - 3, "...", 3))
			break;
		synopsis += len;
		synopsis += strspn(synopsis, " ");
	}
	synopsis += strspn(synopsis, "[");
	len = strcspn(synopsis, " ].");
	snprintf(ret, ARGUMENT_MAX_BYTES, "%.*s", (int)len, synopsis);
}

static void offer_argument(struct completer *c, const struct command *command, size_t i)
{
	char name[ARGUMENT_MAX_BYTES];

	if (i >= command->max_args)
		return;
	argument_name(command->synopsis, i, name);
	for (size_t k = 0; k < sb_countof(arguments); k++) {
		size_t len = strlen(arguments[k].command);

		if (strcmp(arguments[k].argument, name) != 0 ||
				strncmp(arguments[k].command, command->name, len) != 0)
			continue;
		if (arguments[k].offer)
			arguments[k].offer(c);
		return;
	}
}

/* --- the words before --- */

struct line {
	const struct command *command; /* NULL = not known yet */
	const char *group;
	const struct opt *wants; /* the option whose value comes next */
	size_t n_args;
	bool only_words, helping, lost;
};

struct wanted {
	const char *name;
	size_t len;
	char letter;
	const struct opt *found;
};

static void match_option(void *ctx, const char *heading, const struct opt *row)
{
	struct wanted *w = ctx;
	const char *alias = row->alias;
	bool same = w->letter ? row->letter == w->letter
			      : strlen(row->name) == w->len && !strncmp(row->name, w->name, w->len);

	for (; !w->letter && alias && *alias; alias += strspn(alias, ",")) {
		size_t len = strcspn(alias, ",");

		same = same || (len == w->len && !strncmp(alias, w->name, len));
		alias += len;
	}
	if (same && !w->found)
		w->found = row;
}

/* The option in @word, "--name", "--name=value" or "-n"; NULL when it is none. */
static const struct opt *option_of(const struct line *line, const char *word)
{
	struct wanted w = { 0 };

	if (word[1] == '-') {
		w.name = word + 2;
		w.len = strcspn(w.name, "=");
	} else {
		w.letter = word[1];
	}
	if (line->command)
		options_each(line->command->options, match_option, &w);
	options_each(global_options, match_option, &w);
	return w.found;
}

static void take_command(struct line *line, const char *word)
{
	char name[COMMAND_MAX_BYTES];
	const struct command *row;

	snprintf(name, sizeof(name), "%s%s%s", line->group, *line->group ? " " : "", word);
	row = strchr(word, ' ') ? NULL : command_find(name);
	if (!row)
		line->lost = true;
	else if (!row->run)
		line->group = row->name;
	else if (!strcmp(row->name, "help"))
		line->helping = true;
	else
		line->command = row;
}

static void take_word(struct line *line, const char *word)
{
	if (line->wants) {
		line->wants = NULL;
	} else if (!line->only_words && !strcmp(word, "--")) {
		line->only_words = true;
	} else if (!line->only_words && word[0] == '-' && word[1]) {
		const struct opt *row = option_of(line, word);
		bool has_value = word[1] == '-' ? strchr(word, '=') != NULL : word[2] != '\0';

		line->wants = row && row->arg && !has_value ? row : NULL;
	} else if (line->command) {
		line->n_args++;
	} else {
		take_command(line, word);
	}
}

int cmd_complete(struct cli *cli, const struct call *call)
{
	const char *word = call->n_args ? call->args[call->n_args - 1] : "";
	struct completer c = { .cli = cli, .head = word, .rest = word };
	struct line line = { .group = "" };

	for (size_t i = 0; i + 1 < call->n_args; i++)
		take_word(&line, call->args[i]);
	if (line.lost)
		return EXIT_DONE;
	if (line.wants) {
		offer_value(&c, line.wants);
	} else if (!line.only_words && word[0] == '-' && strchr(word, '=')) {
		const struct opt *row = option_of(&line, word);

		c.rest = strchr(word, '=') + 1;
		c.head_len = (size_t)(c.rest - word);
		if (row && row->arg)
			offer_value(&c, row);
	} else if (!line.only_words && word[0] == '-') {
		if (line.command)
			options_each(line.command->options, offer_option, &c);
		options_each(global_options, offer_option, &c);
	} else if (!line.command) {
		offer_commands(&c, line.group);
	} else if (!line.helping) {
		offer_argument(&c, line.command, line.n_args);
	}
	return EXIT_DONE;
}
