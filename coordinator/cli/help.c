/* Help, and the manual in Markdown and roff, all from the command table. */
#include <string.h>

#include "commands.h"

#define WIDTH       90
#define OPTION_COLS 30

const struct opt help_options[] = {
	{ OPT_FLAG, 0, "markdown", NULL, NULL, "the whole manual as Markdown",
			offsetof(struct help_opts, markdown) },
	{ OPT_FLAG, 0, "man", NULL, NULL, "the whole manual as a man page",
			offsetof(struct help_opts, man) },
	{ OPT_END },
};

/* Print @text in lines of WIDTH, each after @indent blanks; @at is where the first begins. */
static void wrap(FILE *out, const char *text, size_t at, size_t indent)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (at > indent && at + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", (int)len, text);
		at += len;
		text += len + (text[len] == ' ');
	}
	fputc('\n', out);
}

static void option_names(const struct opt *row, struct sb_strbuf *out)
{
	if (row->letter)
		sb_strbuf_addf(out, "-%c, ", row->letter);
	sb_strbuf_addf(out, "--%s", row->name);
	if (row->arg)
		sb_strbuf_addf(out, " %s", row->arg);
}

struct printer {
	FILE *out;
	const char *heading; /* of the row before */
	bool any;
};

static void print_option(void *ctx, const char *heading, const struct opt *row)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	struct printer *p = ctx;
	size_t at;

	if (!p->any || p->heading != heading)
		fprintf(p->out, "\n%s:\n", heading ? heading : "Options");
	p->any = true;
	p->heading = heading;
	option_names(row, &names);
	at = 2 + (row->letter ? 0 : 4) + names.len;
	fprintf(p->out, "  %s%s", row->letter ? "" : "    ", sb_strbuf_str(&names));
	if (at + 2 > OPTION_COLS)
		fprintf(p->out, "\n%*s", OPTION_COLS, "");
	else
		fprintf(p->out, "%*s", (int)(OPTION_COLS - at), "");
	wrap(p->out, row->help, OPTION_COLS, OPTION_COLS);
}

static void print_options(FILE *out, const char *heading, const struct opt *table)
{
	const struct opt rows[] = { { OPT_GROUP, .name = heading, .group = table }, { OPT_END } };
	struct printer p = { .out = out };

	options_each(heading ? rows : table, print_option, &p);
}

void help_command(FILE *out, const struct command *command)
{
	if (!command->run) {
		help_group(out, command->name);
		return;
	}
	fprintf(out, "Usage: sparkbus %s [OPTIONS]%s%s\n\n  ", command->name,
			*command->synopsis ? " " : "", command->synopsis);
	fprintf(out, "%c%s.\n", command->summary[0] & ~0x20, command->summary + 1);
	if (command->details) {
		fputs("\n  ", out);
		wrap(out, command->details, 2, 2);
	}
	print_options(out, NULL, command->options);
	print_options(out, "Global options", global_options);
}

void help_group(FILE *out, const char *group)
{
	const struct command *row = *group ? command_find(group) : NULL;
	size_t longest = 0, skip = *group ? strlen(group) + 1 : 0;

	fprintf(out, "Usage: sparkbus %s%sCOMMAND [OPTIONS] [ARGUMENTS]\n\n  ", group,
			*group ? " " : "");
	if (row)
		fprintf(out, "%c%s.\n", row->summary[0] & ~0x20, row->summary + 1);
	else
		wrap(out,
				"Run LLM engines in containers on NVIDIA DGX Sparks, through an "
				"agent on "
				"every node.",
				2, 2);
	for (size_t i = 0; i < n_commands; i++)
		if (command_is_in(&commands[i], group) && strlen(commands[i].name) - skip > longest)
			longest = strlen(commands[i].name) - skip;
	fputs("\nCommands:\n", out);
	for (size_t i = 0; i < n_commands; i++)
		if (command_is_in(&commands[i], group) && !commands[i].hidden)
			fprintf(out, "  %-*s  %s\n", (int)longest, commands[i].name + skip,
					commands[i].summary);
	print_options(out, "Global options", global_options);
	if (!*group)
		fputs("\nExit status: 0 done, 1 failed, 2 usage, 3 unknown (a node did not "
		      "answer), "
		      "130 interrupted\nbefore anything was started.\n",
				out);
	fprintf(out, "\nsparkbus %s%sCOMMAND --help shows more.\n", group, *group ? " " : "");
}

/* A bar ends the cell, even between backquotes. */
static void markdown_cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void markdown_option(void *ctx, const char *heading, const struct opt *row)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	struct printer *p = ctx;

	if (!p->any)
		fputs("\n| option | meaning |\n|---|---|\n", p->out);
	p->any = true;
	option_names(row, &names);
	fputs("| `", p->out);
	markdown_cell(p->out, sb_strbuf_str(&names));
	fputs("` | ", p->out);
	markdown_cell(p->out, row->help);
	fputs(" |\n", p->out);
}

void help_markdown(FILE *out)
{
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];
		struct printer p = { .out = out };

		if (!c->run || c->hidden)
			continue;
		fprintf(out, "### `sparkbus %s%s%s`\n\n%c%s.\n", c->name, *c->synopsis ? " " : "",
				c->synopsis, c->summary[0] & ~0x20, c->summary + 1);
		if (c->details)
			fprintf(out, "\n%s\n", c->details);
		options_each(c->options, markdown_option, &p);
		fputc('\n', out);
	}
}

/* --- the man page --- */

/* Text for roff: a backslash and a hyphen are its own, and so is a dot or a quote that begins a
 * line. What stands between backquotes is bold. */
static void roff(FILE *out, const char *text)
{
	bool bold = false;

	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '`')
			fputs((bold = !bold) ? "\\fB" : "\\fR", out);
		else
			fputc(*text, out);
}

static void man_sentence(FILE *out, const char *summary)
{
	char first[] = { (char)(summary[0] & ~0x20), '\0' };

	roff(out, first);
	roff(out, summary + 1);
	fputs(".\n", out);
}

static void man_option(void *ctx, const char *heading, const struct opt *row)
{
	struct printer *p = ctx;

	fputs(".TP\n", p->out);
	if (row->letter)
		fprintf(p->out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", p->out);
	roff(p->out, row->name);
	fputs("\\fR", p->out);
	if (row->arg) {
		fputs(" \\fI", p->out);
		roff(p->out, row->arg);
		fputs("\\fR", p->out);
	}
	fputc('\n', p->out);
	roff(p->out, row->help);
	fputc('\n', p->out);
}

static void man_command(FILE *out, const struct command *c)
{
	struct printer p = { .out = out };

	fputs(".SS sparkbus ", out);
	roff(out, c->name);
	if (*c->synopsis) {
		fputc(' ', out);
		roff(out, c->synopsis);
	}
	fputc('\n', out);
	man_sentence(out, c->summary);
	if (c->details) {
		fputs(".PP\n", out);
		roff(out, c->details);
		fputc('\n', out);
	}
	options_each(c->options, man_option, &p);
}

/* What the command table cannot know. */
static const char man_head[] =
		".SH NAME\n"
		"sparkbus \\- run LLM engines in containers on NVIDIA DGX Sparks\n"
		".SH SYNOPSIS\n"
		".B sparkbus\n"
		".I COMMAND\n"
		".RI [ OPTIONS ]\n"
		".RI [ ARGUMENTS ]\n"
		".SH DESCRIPTION\n"
		"Talks to the agents,\n"
		".BR sparkbusd (8),\n"
		"that run on the nodes, by TLS with certificates on both sides.\n"
		".PP\n"
		"Every command that changes something tells, for each node, whether it is done, "
		"failed or unknown,\n"
		"by what the node read back after the act.\n"
		"A node that did not answer is unknown: neither done nor failed.\n"
		".PP\n"
		"Where no nodes are given by options, the default cluster's are used.\n"
		".SH COMMANDS\n";
static const char man_tail[] =
		".SH EXIT STATUS\n"
		".TP\n.B 0\nDone, on every node.\n"
		".TP\n.B 1\nFailed.\n"
		".TP\n.B 2\nUsage.\n"
		".TP\n.B 3\nUnknown: a node did not answer.\n"
		".TP\n.B 130\nInterrupted before anything was started.\n"
		".SH ENVIRONMENT\n"
		".TP\n.B SPARKBUS_HOME\n"
		"The folder of certificates, nodes and clusters.\n"
		"Default: \\fI$XDG_CONFIG_HOME/sparkbus\\fR, else \\fI~/.config/sparkbus\\fR.\n"
		".TP\n.B SPARKBUS_RECIPES\n"
		"The folder of bundled recipes; its folders are the registries, but for "
		"\\fIrules\\fR,\n"
		"which holds what recipes are linted with.\n"
		".TP\n.B SPARKBUS_CACHE\n"
		"The folder of what was fetched, and of the index of listings.\n"
		"Default: \\fI$XDG_CACHE_HOME/sparkbus\\fR, else \\fI~/.cache/sparkbus\\fR.\n"
		".TP\n.B DOCKER_CONFIG\n"
		"The folder of \\fIconfig.json\\fR with credentials for image registries.\n"
		"Default: \\fI~/.docker\\fR.\n"
		".TP\n.B NO_COLOR\n"
		"No colours when set and not empty.\n"
		".SH FILES\n"
		"Below \\fI$SPARKBUS_HOME\\fR; files have mode 0600, folders 0700.\n"
		".TP\n.I pki/\n"
		"Both authorities and this operator's key and certificate.\n"
		"Who has the keys of the authorities can command every node.\n"
		".TP\n.I nodes/\n"
		"One file for each registered node, and its certificate.\n"
		".TP\n.I clusters/\n"
		"One file for each saved cluster; \\fI.default\\fR names the default one.\n"
		".TP\n.I registries.yaml\n"
		"Whose recipes there are, and who is trusted: see sparkbus\\-registries(5).\n"
		".SH SEE ALSO\n"
		".BR sparkbusd (8),\n"
		".BR sparkbus\\-registries (5),\n"
		".BR sparkbus\\-agent.yaml (5),\n"
		".BR sparkbus\\-lint (7)\n";

void help_man(FILE *out)
{
	struct printer p = { .out = out };

	fprintf(out, ".TH SPARKBUS 1 \"\" \"sparkbus %s\" \"sparkbus\"\n%s", SB_VERSION, man_head);
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].run && !commands[i].hidden)
			man_command(out, &commands[i]);
	fputs(".SH GLOBAL OPTIONS\n", out);
	options_each(global_options, man_option, &p);
	fputs(man_tail, out);
}

int cmd_help(struct cli *cli, const struct call *call)
{
	const struct help_opts *opts = call->opts;
	const struct command *command;
	char name[64];

	if (opts->markdown || opts->man) {
		(opts->man ? help_man : help_markdown)(stdout);
		return EXIT_DONE;
	}
	if (!call->n_args) {
		help_group(stdout, "");
		return EXIT_DONE;
	}
	snprintf(name, sizeof(name), "%s%s%s", call->args[0], call->n_args > 1 ? " " : "",
			call->n_args > 1 ? call->args[1] : "");
	command = command_find(name);
	if (!command)
		return cli_usage(call, "No such command: %s", name);
	help_command(stdout, command);
	return EXIT_DONE;
}

int cmd_version(struct cli *cli, const struct call *call)
{
	printf("sparkbus, version %s\n", SB_VERSION);
	return EXIT_DONE;
}
