/* sb_cli.h - the command line. */
#ifndef SB_CLI_H
#define SB_CLI_H

/** Run the command in @argv. Return: the exit status: 0 done, 1 failed, 2 usage, 3 unknown,
 * 130 interrupted before anything was started; `run --foreground` gives the engine's own. */
int sb_cli_main(int argc, char **argv);

#endif
