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

static void markdown_option(void *ctx, const char *heading, const struct opt *row)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	struct printer *p = ctx;

	if (!p->any)
		fputs("\n| option | meaning |\n|---|---|\n", p->out);
	p->any = true;
	option_names(row, &names);
	fprintf(p->out, "| `%s` | ", sb_strbuf_str(&names));
	for (const char *s = row->help; *s; s++)
		fprintf(p->out, *s == '|' ? "\\%c" : "%c", *s);
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

/* Text for roff: a backslash and a hyphen are its own, and so is a dot or a quote that begins a
 * line. */
static void roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
}

static void man_option(void *ctx, const char *heading, const struct opt *row)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;
	struct printer *p = ctx;

	option_names(row, &names);
	fputs(".RS\n.TP\n.B ", p->out);
	roff(p->out, sb_strbuf_str(&names));
	fputc('\n', p->out);
	roff(p->out, row->help);
	fputs("\n.RE\n", p->out);
}

void help_man(FILE *out)
{
	struct printer p = { .out = out };

	fprintf(out,
			".TH SPARKBUS 1 \"\" \"sparkbus %s\"\n.SH NAME\nsparkbus \\- run LLM "
			"engines "
			"on NVIDIA DGX Sparks\n.SH SYNOPSIS\n.B sparkbus\nCOMMAND [OPTIONS] "
			"[ARGUMENTS]\n.SH COMMANDS\n",
			SB_VERSION);
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		if (!c->run || c->hidden)
			continue;
		fputs(".TP\n.B sparkbus ", out);
		roff(out, c->name);
		fputc(*c->synopsis ? ' ' : '\n', out);
		if (*c->synopsis) {
			roff(out, c->synopsis);
			fputc('\n', out);
		}
		fprintf(out, "%c", c->summary[0] & ~0x20);
		roff(out, c->summary + 1);
		fputs(".\n", out);
		if (c->details) {
			roff(out, c->details);
			fputc('\n', out);
		}
		options_each(c->options, man_option, &p);
	}
	fputs(".SH GLOBAL OPTIONS\n", out);
	options_each(global_options, man_option, &p);
	fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 usage, 3 unknown (a node did not answer), 130 "
	      "interrupted before anything was started.\n",
			out);
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
