/* shellwords.c - POSIX word splitting as bash does it for one simple command.
 *
 * The scanner knows quoting exactly and everything else only well enough to notice it: the first
 * sign of an expansion, an operator, a second command, a builtin or a reserved word makes the text
 * a script. When in doubt it is a script: bash then decides, at the price of one more process. */
#include <stdio.h>
#include <string.h>

#include "sb_shellwords.h"

struct scan {
	const struct sb_strbuf *text;
	const char *p; /* in it */
	struct sb_words *words;
	struct sb_strbuf word;
	bool in_word; /* something was seen, perhaps only empty quotes */
	bool quoted;  /* some part of the word was quoted */
	bool quoted_before_eq;
	bool brace; /* the word has an unquoted '{' */
	bool script;
	bool ended;        /* a newline ended the command: anything behind it is another one */
	bool fresh;        /* nothing was seen since that newline */
	const char *start; /* of a word that begins without quotes; else NULL */
	const char *stray; /* an option that begins such a line */
	size_t n_assign;   /* leading NAME=value words */
};

/* They change the shell itself, or exist only inside it. */
static const char *const shell_words[] = {
	".",
	":",
	"!",
	"[",
	"{",
	"}",
	"alias",
	"bg",
	"bind",
	"break",
	"builtin",
	"caller",
	"case",
	"cd",
	"command",
	"compgen",
	"complete",
	"compopt",
	"continue",
	"coproc",
	"declare",
	"dirs",
	"disown",
	"do",
	"done",
	"elif",
	"else",
	"enable",
	"esac",
	"eval",
	"exec",
	"exit",
	"export",
	"fc",
	"fg",
	"fi",
	"for",
	"function",
	"getopts",
	"hash",
	"help",
	"history",
	"if",
	"in",
	"jobs",
	"let",
	"local",
	"logout",
	"mapfile",
	"popd",
	"pushd",
	"read",
	"readarray",
	"readonly",
	"return",
	"select",
	"set",
	"shift",
	"shopt",
	"source",
	"suspend",
	"then",
	"time",
	"times",
	"trap",
	"type",
	"typeset",
	"ulimit",
	"umask",
	"unalias",
	"unset",
	"until",
	"wait",
	"while",
};

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
			(!first && c >= '0' && c <= '9');
}

/* NAME=... with the name and the '=' unquoted. */
static bool is_assignment(const struct scan *s, const char *word)
{
	size_t n = 0;

	while (is_name_char(word[n], n == 0))
		n++;
	return n && word[n] == '=' && !s->quoted_before_eq;
}

static bool is_shell_word(const char *word)
{
	for (size_t i = 0; i < sb_countof(shell_words); i++)
		if (!strcmp(word, shell_words[i]))
			return true;
	return false;
}

/* @len bytes of the text, from @from on. */
static void add(struct scan *s, const char *from, size_t len)
{
	sb_strbuf_add_part(&s->word, s->text, (size_t)(from - sb_strbuf_str(s->text)), len);
	s->in_word = true;
}

static int end_word(struct scan *s)
{
	const char *word = sb_strbuf_str(&s->word);
	bool leading = s->words->n == s->n_assign;
	int rc;

	if (!s->in_word)
		return 0;
	if (s->ended)
		s->script = true;
	if (s->fresh && s->start && *s->start == '-' && !s->stray)
		s->stray = s->start;
	s->fresh = false;
	if (leading && is_assignment(s, word))
		s->n_assign++;
	else if (leading && !s->quoted && is_shell_word(word))
		s->script = true;
	rc = s->word.failed ? s->word.failed : sb_words_add_buf(s->words, &s->word);
	sb_strbuf_reset(&s->word);
	s->in_word = s->quoted = s->quoted_before_eq = s->brace = false;
	return rc;
}

static void mark_quoted(struct scan *s)
{
	if (!s->in_word)
		s->start = NULL;
	s->in_word = s->quoted = true;
	if (!memchr(sb_strbuf_str(&s->word), '=', s->word.len))
		s->quoted_before_eq = true;
}

/* '...': everything as it is. */
static bool single_quotes(struct scan *s)
{
	const char *end = strchr(s->p + 1, '\'');

	mark_quoted(s);
	if (!end)
		return false;
	add(s, s->p + 1, (size_t)(end - s->p) - 1);
	s->p = end + 1;
	return true;
}

/* "...": a backslash is special only before $ ` " \ and newline. */
static bool double_quotes(struct scan *s)
{
	mark_quoted(s);
	for (s->p++; *s->p && *s->p != '"'; s->p++) {
		if (*s->p == '$' || *s->p == '`')
			s->script = true;
		if (*s->p == '\\' && s->p[1] && strchr("$`\"\\\n", s->p[1])) {
			s->p++;
			if (*s->p == '\n')
				continue;
		}
		add(s, s->p, 1);
	}
	if (!*s->p)
		return false;
	s->p++;
	return true;
}

/* A character that is none of quotes, blanks, backslash. */
static int plain(struct scan *s)
{
	char c = *s->p++;
	int rc;

	if (!s->in_word)
		s->start = s->p - 1;

	if (strchr(";&|<>()", c)) {
		s->script = true;
		rc = end_word(s);
		return rc;
	}
	if (strchr("$`*?[", c))
		s->script = true;
	/* "{a,b}" and "{1..3}" are lists to bash; "{x}" is text */
	s->brace = s->brace || c == '{';
	if (s->brace && (c == ',' || (c == '.' && *s->p == '.')))
		s->script = true;
	/* ~ expands at the start of a word and, in assignments, behind '=' and ':'; empty quotes
	 * may be all that is before it */
	if (c == '~' &&
			(!s->in_word ||
					(s->word.len &&
							strchr("=:",
									s->word.data[s->word.len -
											1]))))
		s->script = true;
	add(s, s->p - 1, 1);
	return 0;
}

static int newline(struct scan *s)
{
	int rc;

	s->p++;
	if (!s->in_word && !s->words->n)
		return 0; /* nothing began yet */
	rc = end_word(s);
	s->ended = s->fresh = true;
	return rc;
}

static int backslash(struct scan *s)
{
	if (s->p[1] == '\n') {
		s->p += 2;
		return 0;
	}
	mark_quoted(s);
	add(s, s->p[1] ? s->p + 1 : s->p, 1); /* at the very end it stands for itself */
	s->p += s->p[1] ? 2 : 1;
	return 0;
}

static int step(struct scan *s, struct sb_err *err)
{
	char c = *s->p;

	switch (c) {
	case '\n':
		return newline(s);
	case ' ':
	case '\t':
		s->p++;
		return end_word(s);
	case '\\':
		return backslash(s);
	case '\'':
	case '"':
		if (c == '"' ? double_quotes(s) : single_quotes(s))
			return 0;
		return sb_err_set(err, SB_E_INVALID,
				"the command has an unclosed %c; expected its end", c);
	case '#':
		if (s->in_word)
			return plain(s);
		s->p += strcspn(s->p, "\n");
		return 0;
	default:
		return plain(s);
	}
}

static int split(struct scan *s, struct sb_err *err)
{
	int rc = 0;

	while (*s->p && rc == 0)
		rc = step(s, err);
	return rc == 0 ? end_word(s) : rc;
}

/* "NAME=value program ..." is for env to execute. The words of @words go over. */
static int add_env(struct sb_words *words, struct sb_err *err)
{
	uint32_t mark = words->n && words->items[0][0] ? sb_words_mark(words, 0, 0) : 0;
	int rc = sb_words_add_marked(words, "env", mark);
	char *env;
	uint32_t *marks;

	if (rc < 0)
		return sb_err_set(err, (enum sb_code) - rc, "too many words");
	env = words->items[words->n - 1];
	marks = words->marks[words->n - 1];
	memmove(words->items + 1, words->items, (words->n - 1) * sizeof(*words->items));
	memmove(words->marks + 1, words->marks, (words->n - 1) * sizeof(*words->marks));
	words->items[0] = env;
	words->marks[0] = marks;
	return 0;
}

int sb_shell_split(const char *text, struct sb_words *ret, enum sb_shell_kind *ret_kind,
		struct sb_err *err)
{
	const struct sb_strbuf buf = sb_strbuf_view(text);

	return sb_shell_split_buf(&buf, ret, ret_kind, err);
}

int sb_shell_split_buf(const struct sb_strbuf *text, struct sb_words *ret,
		enum sb_shell_kind *ret_kind, struct sb_err *err)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	struct scan s = { .text = text, .p = sb_strbuf_str(text), .words = &words };
	int rc;

	rc = split(&s, err);
	sb_strbuf_done(&s.word);
	if (rc == -SB_E_NOMEM)
		return sb_err_nomem(err);
	if (rc == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE, "the command; expected at most %u words",
				SB_WORDS_MAX);
	if (rc < 0)
		return rc;
	if (!words.n && !s.script)
		return sb_err_set(err, SB_E_INVALID, "the command is empty; expected a program");
	*ret_kind = s.script || s.n_assign == words.n ? SB_SHELL_SCRIPT : SB_SHELL_SIMPLE;
	if (*ret_kind == SB_SHELL_SIMPLE && s.n_assign)
		rc = add_env(&words, err);
	if (rc < 0)
		return rc;
	*ret = words;
	words = (struct sb_words){ 0 };
	return 0;
}

/* Where the run of comments at the end of @text begins, blanks and continuing backslashes between
 * them being nothing; NULL when the text ends otherwise. */
static char *tail_comments(char *text)
{
	bool in_comment = false;
	char *tail = NULL;
	char quote = '\0';

	for (char *p = text; *p; p++) {
		if (in_comment) {
			in_comment = *p != '\n';
		} else if (quote) {
			if (*p == '\\' && quote == '"' && p[1])
				p++;
			else if (*p == quote)
				quote = '\0';
		} else if (*p == '#' && (p == text || strchr(" \t\n;&|()", p[-1]))) {
			in_comment = true;
			tail = tail ? tail : p;
		} else if (*p == '\\' && p[1] && strchr(" \t\n", p[1])) {
			p++;
		} else if (!strchr(" \t\n", *p)) {
			tail = NULL;
			quote = *p == '\'' || *p == '"' ? *p : '\0';
			p += *p == '\\' && p[1];
		}
	}
	return tail;
}

/* Blanks, and backslashes that would join what follows. */
static void trim_blanks(char *text)
{
	size_t len = strlen(text), slashes;

	for (;;) {
		while (len && strchr(" \t\r\n", text[len - 1]))
			len--;
		for (slashes = 0; slashes < len && text[len - 1 - slashes] == '\\';)
			slashes++;
		if (slashes % 2 == 0)
			break;
		len--;
	}
	text[len] = '\0';
}

void sb_shell_trim_tail(char *text)
{
	char *tail;

	for (;;) {
		trim_blanks(text);
		tail = tail_comments(text);
		if (!tail)
			return;
		*tail = '\0';
	}
}

const char *sb_shell_stray_option(const struct sb_strbuf *text)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	struct scan s = { .text = text, .p = sb_strbuf_str(text), .words = &words };

	split(&s, NULL);
	sb_strbuf_done(&s.word);
	return s.stray;
}

void sb_shell_trim_tail_buf(struct sb_strbuf *text)
{
	if (!text->data)
		return;
	sb_shell_trim_tail(text->data);
	text->len = strlen(text->data);
}

/* Runs "$1" in a shell of its own, in a process group of its own, so that a signal to the container
 * reaches the engine wherever it stands in the text. That inner shell gets the signal too and must
 * outlive the engine: with a trap it waits for what runs, then ends with its status instead of
 * going on with the text. bash answers a signal only between two waits, hence the loop outside; the
 * flag tells a wait that a signal broke from one that ended. */
static const char supervisor[] =
		"set -m\n"
		"pid= got=\n"
		"pass() { got=$1; [ -z \"$pid\" ] || kill -s \"$1\" -- \"-$pid\" 2>/dev/null; }\n"
		"for s in TERM INT HUP QUIT; do trap \"pass $s\" \"$s\"; done\n"
		"bash --noprofile --norc -c \"trap 'exit \\$?' TERM INT HUP QUIT\n$1\" serve &\n"
		"pid=$!\n"
		"set +m\n" /* the group is made; no job notices */
		"[ -z \"$got\" ] || pass \"$got\"\n"
		"while got=; wait \"$pid\"; rc=$?; [ -n \"$got\" ]; do :; done\n"
		"exit \"$rc\"\n";

int sb_shell_argv(const struct sb_strbuf *text, uint32_t shell_mark, struct sb_words *ret,
		bool *ret_init, struct sb_err *err)
{
	const char *const shell[] = { "bash", "--noprofile", "--norc", "-c", supervisor, "serve" };
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	SB_CLEANUP(sb_words_done) struct sb_words argv = { 0 };
	enum sb_shell_kind kind;
	int rc = sb_shell_split_buf(text, &words, &kind, err);

	if (rc < 0)
		return rc;
	*ret_init = kind == SB_SHELL_SCRIPT;
	if (kind == SB_SHELL_SIMPLE) {
		*ret = words;
		words = (struct sb_words){ 0 };
		return 0;
	}
	for (size_t i = 0; i < sb_countof(shell); i++)
		if (sb_words_add_marked(&argv, shell[i], shell_mark) < 0)
			return sb_err_nomem(err);
	if (sb_words_add_buf(&argv, text) < 0)
		return sb_err_nomem(err);
	*ret = argv;
	argv = (struct sb_words){ 0 };
	return 0;
}
