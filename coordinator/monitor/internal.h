/* internal.h - text into the cells of a frame. */
#ifndef SB_MONITOR_INTERNAL_H
#define SB_MONITOR_INTERNAL_H

#include "sb_monitor.h"

/* Where cells are written: a frame, and whether it may hold more than ASCII. */
struct pen {
	struct sb_monitor_frame *frame;
	bool ascii;
};

/** Columns of @text. */
size_t pen_width(const char *text);
/** Write @text into @width columns from @col on: what does not fit ends in "+". Control characters
 * and broken UTF-8 become '?'; what has no width of its own is left out. Return: columns used. */
size_t pen_put(const struct pen *pen, size_t row, size_t col, size_t width, const char *text,
		enum sb_monitor_tone tone);
/** The same at the right end of the @width columns. */
void pen_right(const struct pen *pen, size_t row, size_t col, size_t width, const char *text,
		enum sb_monitor_tone tone);
/** Give a whole row @tone. */
void pen_row_tone(const struct pen *pen, size_t row, enum sb_monitor_tone tone);
void pen_row_mark(const struct pen *pen, size_t row);

#endif
