/* sb_shellwords.h - a serve command as the words a POSIX shell would make of it.
 *
 * Recipes hold shell text. Most of it is one simple command, which needs no shell: the container's
 * main process can be the engine itself, so that signals reach it and its death is the container's.
 * What does need a shell (variables, pipes, lists, globs) is said to, and runs under one that
 * passes signals on. Pure. */
#ifndef SB_SHELLWORDS_H
#define SB_SHELLWORDS_H

#include "sb_err.h"
#include "sb_strbuf.h"

#define SB_WORDS_MAX 4096u /* words of one command */

struct sb_words {
	char **items; /* NULL-terminated once something was added */
	size_t n;
	uint32_t **marks; /* of the bytes of each word, see sb_strbuf.h; NULL = all of them 0 */
};
void sb_words_done(struct sb_words *words);
/** Append a copy. Return: 0; -SB_E_NOMEM; -SB_E_RANGE past SB_WORDS_MAX. */
int sb_words_add(struct sb_words *words, const char *text);
/** The same with the marks of @text, or with one mark for all of its bytes. */
int sb_words_add_buf(struct sb_words *words, const struct sb_strbuf *text);
int sb_words_add_marked(struct sb_words *words, const char *text, uint32_t mark);
/** Append those of @from, which is empty then; there is no cap. Return: 0 or -SB_E_NOMEM. */
int sb_words_move(struct sb_words *words, struct sb_words *from);
/** The mark of the byte @at of word @i. */
uint32_t sb_words_mark(const struct sb_words *words, size_t i, size_t at);
/** The value of "--flag value" or "--flag=value" (the last one wins, as engines read it); ""
 * when the flag is the last word; NULL when absent. Borrowed. */
const char *sb_words_flag(const struct sb_words *words, const char *flag);

enum sb_shell_kind {
	SB_SHELL_SIMPLE, /* words are exactly what a shell would execute */
	SB_SHELL_SCRIPT, /* a shell must run it; words are a reading aid, expansions left as written
			  */
};

/** Split @text. Comments, continued lines and quotes are understood. A simple command that starts
 * with NAME=value words becomes "env NAME=value ...".
 * Return: 0; -SB_E_INVALID for an unclosed quote or no command at all; -SB_E_RANGE; -SB_E_NOMEM. */
int sb_shell_split(const char *text, struct sb_words *ret, enum sb_shell_kind *ret_kind,
		struct sb_err *err);
/** The same; words have the marks of the text that they were made of. */
int sb_shell_split_buf(const struct sb_strbuf *text, struct sb_words *ret,
		enum sb_shell_kind *ret_kind, struct sb_err *err);

/** Where a line of the command @text begins with an option: the line before it ended the command,
 * so that a shell runs this one as another. NULL when there is no such line. */
const char *sb_shell_stray_option(const struct sb_strbuf *text);

/** Cut what would swallow words appended to @text: blanks, comments and a continuing backslash at
 * its end. Changes @text in place. */
void sb_shell_trim_tail(char *text);
void sb_shell_trim_tail_buf(struct sb_strbuf *text);

/** What the container executes for the command @text: its words, with their marks, when it is
 * simple; else bash with a supervising script, whose words have the mark @shell_mark. *@ret_init:
 * the main process is a shell and wants the engine's init. The script hands SIGTERM, SIGINT, SIGHUP
 * and SIGQUIT to the whole process group of the command and exits with its status. */
int sb_shell_argv(const struct sb_strbuf *text, uint32_t shell_mark, struct sb_words *ret,
		bool *ret_init, struct sb_err *err);

#endif
