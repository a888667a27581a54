#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sb_log.h"

#define LINE_MAX_BYTES 2048

static enum sb_log_level max_level = SB_LOG_INFO;
static bool with_prefix;

void sb_log_setup(enum sb_log_level level, bool prefix)
{
	max_level = level;
	with_prefix = prefix;
}

/* How far printing @n bytes into @room got; @room = it was cut, and nothing more fits. */
static size_t fitted(int n, size_t room)
{
	if (n < 0)
		return 0;
	return (size_t)n < room ? (size_t)n : room;
}

void sb_log(enum sb_log_level level, const char *id, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	const size_t room = sizeof(line) - 1; /* the rest is for the line end */
	int saved = errno;
	size_t at = 0;
	va_list ap;

	if (level > max_level)
		return;
	if (with_prefix)
		at = fitted(snprintf(line, room, "<%d>", (int)level), room);
	at += fitted(snprintf(line + at, room - at, "%s ", id), room - at);
	va_start(ap, fmt);
	at += fitted(vsnprintf(line + at, room - at, fmt, ap), room - at);
	va_end(ap);
	if (at == room) {
		at = sb_text_cut(line, room - 1, room - 2);
		line[at++] = '+';
		line[at] = '\0';
	}
	sb_text_clean(line);
	line[at++] = '\n';
	/* One write per line, so that lines of several threads do not mix. A full or closed stderr
	 * must not stop the agent, hence no look at the result. */
	(void)!write(STDERR_FILENO, line, at);
	errno = saved;
}
