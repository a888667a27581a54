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

void sb_log(enum sb_log_level level, const char *id, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t at;
	va_list ap;
	int n;

	if (level > max_level)
		return;
	n = with_prefix ? snprintf(line, sizeof(line), "<%d>%s ", (int)level, id)
			: snprintf(line, sizeof(line), "%s ", id);
	at = n < 0 ? 0 : (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		at += (size_t)n < sizeof(line) - at - 1 ? (size_t)n : sizeof(line) - at - 2;
	for (size_t i = 0; i < at; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[at++] = '\n';
	/* One write per line, so that lines of several threads do not mix. A full or closed stderr
	 * must not stop the agent, hence no look at the result. */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}
