#include <assert.h>
#include <string.h>

#include "sb_render.h"

static const char *const escapes[] = {
	[SB_PLAIN] = "\033[0m",
	[SB_BOLD] = "\033[1m",
	[SB_RED] = "\033[31m",
	[SB_GREEN] = "\033[32m",
	[SB_YELLOW] = "\033[33m",
	[SB_DIM] = "\033[2m",
};
static_assert(sb_countof(escapes) == SB_COLOR_COUNT_, "an escape for each colour");

const char *sb_color(FILE *stream, enum sb_color color)
{
	const char *term = getenv("TERM");

	if (!sb_empty(getenv("NO_COLOR")) || !term || !strcmp(term, "dumb") ||
			!isatty(fileno(stream)))
		return "";
	return escapes[color];
}

void sb_progress_break(struct sb_progress *p)
{
	if (p->out && p->open)
		fputc('\n', p->out);
	p->open = false;
}

void sb_progress_step(struct sb_progress *p, const char *label)
{
	sb_progress_break(p);
	p->step++;
	p->began_ms = sb_now_boot_ms();
	if (!p->out)
		return;
	fprintf(p->out, "[%u/%u] %s", p->step, p->steps, label);
	/* In a file or a pipe the step is told at once, whatever comes between. */
	p->open = isatty(fileno(p->out));
	fputs(p->open ? " …" : "\n", p->out);
	fflush(p->out);
}

void sb_progress_note(struct sb_progress *p, const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	sb_progress_break(p);
	if (!p->out || sb_render_clean(&line, text, strlen(text)) < 0)
		return;
	fprintf(p->out, "  %s\n", sb_strbuf_str(&line));
	fflush(p->out);
}

void sb_progress_done(struct sb_progress *p)
{
	double seconds = (double)(sb_now_boot_ms() - p->began_ms) / 1000;

	if (p->out)
		fprintf(p->out, "%sdone (%.1fs)\n", p->open ? " " : "  ", seconds);
	p->open = false;
}

void sb_progress_skip(struct sb_progress *p, const char *label, const char *why)
{
	sb_progress_break(p);
	p->step++;
	if (p->out)
		fprintf(p->out, "[%u/%u] %s — skipped (%s)\n", p->step, p->steps, label, why);
}
