#include <stdarg.h>
#include <stdio.h>

#include "sb_diag.h"

void sb_diag_add(struct sb_diags *diags, enum sb_diag_level level, unsigned line, unsigned col,
		const char *fmt, ...)
{
	struct sb_diag *items;
	char *text = NULL;
	va_list ap;

	if (!diags || diags->n >= SB_DIAGS_MAX)
		return;
	if (!(diags->n & (diags->n - 1))) { /* full at every power of two, and at 0 */
		items = reallocarray(diags->items, diags->n ? diags->n * 2 : 1, sizeof(*items));
		if (!items)
			return;
		diags->items = items;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		diags->items[diags->n++] = (struct sb_diag){ level, line, col, text };
}

void sb_diags_done(struct sb_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		free(diags->items[i].text);
	free(diags->items);
	*diags = (struct sb_diags)SB_DIAGS_INIT;
}
