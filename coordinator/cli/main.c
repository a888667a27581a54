/* From argv to a row of the table. Nothing here opens a file or a socket. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "sb_cli.h"

#define NAME_MAX_BYTES 64
#define NEAR_MAX       64

static int usage_error(const char *group, const struct sb_err *err)
{
	fprintf(stderr, "Usage: sparkbus %s%sCOMMAND [OPTIONS] [ARGUMENTS]\nError: %s\n", group,
			*group ? " " : "", err->text);
	if (*err->hint)
		fprintf(stderr, "Hint: %s\n", err->hint);
	return EXIT_USAGE;
}

static int no_such_command(const char *group, const char *word)
{
	const char *names[NEAR_MAX], *near;
	size_t n = 0, skip = *group ? strlen(group) + 1 : 0;
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < n_commands && n < NEAR_MAX; i++)
		if (command_is_in(&commands[i], group) && !commands[i].hidden)
			names[n++] = commands[i].name + skip;
	near = did_you_mean(word, names, n);
	sb_err_set(&err, SB_E_INVALID, "No such command: %s%s%s", group, *group ? " " : "", word);
	if (near)
		sb_err_hint(&err, 0, "Did you mean '%s%s%s'?", group, *group ? " " : "", near);
	return usage_error(group, &err);
}

/* Take the next word, and global options before it. False when there is none; *ret_status < 0
 * then means "show help". */
static bool next_word(struct cli *cli, const char *const **argv, size_t *argc, const char *group,
		const char **ret, int *ret_status)
{
	const struct opt_target target = { global_options, &cli->global };
	struct sb_err err = SB_ERR_INIT;
	size_t n, stop;

	*ret_status = -1;
	if (options_parse(&target, 1, *argv, *argc, NULL, &n, &stop, &err) < 0) {
		*ret_status = usage_error(group, &err);
		return false;
	}
	*argv += stop;
	*argc -= stop;
	if (!*argc || cli->global.help || cli->global.version)
		return false;
	*ret = **argv;
	++*argv;
	--*argc;
	return true;
}

static int group_help(const struct cli *cli, const char *group)
{
	if (cli->global.version) {
		printf("sparkbus, version %s\n", SB_VERSION);
		return EXIT_DONE;
	}
	help_group(cli->global.help ? stdout : stderr, group);
	return cli->global.help ? EXIT_DONE : EXIT_USAGE;
}

static int check_args(const struct call *call)
{
	const struct command *c = call->command;

	if (call->n_args < c->min_args)
		return cli_usage(call,
				call->n_args ? "Missing argument after '%s'." : "Missing argument.",
				call->n_args ? call->args[call->n_args - 1] : "");
	if (call->n_args > c->max_args)
		return cli_usage(call, "Unexpected argument: %s", call->args[c->max_args]);
	return EXIT_DONE;
}

static int run_command(struct cli *cli, const struct command *command, const char *const *argv,
		size_t argc)
{
	SB_CLEANUP(sb_freep) void *opts = calloc(1, command->opts_size + 1);
	SB_CLEANUP(sb_freep) const char **args = calloc(argc + 1, sizeof(*args));
	const struct opt_target targets[] = { { command->options, opts },
		{ global_options, &cli->global } };
	struct call call = { .command = command, .opts = opts, .args = args };
	struct sb_err err = SB_ERR_INIT;
	int status = EXIT_DONE, rc;

	if (!opts || !args)
		return EXIT_FAILED;
	rc = options_parse(
			targets, sb_countof(targets), argv, argc, args, &call.n_args, NULL, &err);
	if (rc < 0)
		status = cli_usage(&call, "%s%s%s", err.text, *err.hint ? ". " : "", err.hint);
	else if (cli->global.help)
		help_command(stdout, command);
	else if (cli->global.version)
		printf("sparkbus, version %s\n", SB_VERSION);
	else
		status = check_args(&call);
	if (rc == 0 && status == EXIT_DONE && !cli->global.help && !cli->global.version)
		status = command->run(cli, &call);
	options_done(&targets[0]);
	return status;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	char name[NAME_MAX_BYTES];
	const char *const *rest = (const char *const *)argv + 1;
	size_t n = argc > 0 ? (size_t)argc - 1 : 0;
	const struct command *command;
	const char *word;
	int status;

	if (!next_word(cli, &rest, &n, "", &word, &status))
		return status < 0 ? group_help(cli, "") : status;
	command = strchr(word, ' ') ? NULL : command_find(word);
	if (!command)
		return no_such_command("", word);
	if (command->run)
		return run_command(cli, command, rest, n);
	if (!next_word(cli, &rest, &n, command->name, &word, &status))
		return status < 0 ? group_help(cli, command->name) : status;
	snprintf(name, sizeof(name), "%s %s", command->name, word);
	if (!command_find(name))
		return no_such_command(command->name, word);
	return run_command(cli, command_find(name), rest, n);
}

int sb_cli_main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int status = dispatch(&cli, argc, argv);

	cli_done(&cli);
	/* A result that was not written is not a result. */
	if ((fflush(stdout) == EOF || ferror(stdout)) && status == EXIT_DONE)
		status = EXIT_FAILED;
	return status;
}
