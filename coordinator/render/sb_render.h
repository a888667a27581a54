/* sb_render.h - how the tool shows things: tables, shell-quoted commands, durations, colour,
 * progress, and JSON of any protobuf message through its descriptor. Nothing here does I/O except
 * the functions that take a FILE. */
#ifndef SB_RENDER_H
#define SB_RENDER_H

#include <stdio.h>
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "sb_err.h"
#include "sb_strbuf.h"

/** Shown in place of a value that must not be seen. */
#define SB_RENDER_HIDDEN "***"

/* --- secrets --- */

/* Values that must not be shown wherever they stand: a token is not only in its own field but
 * also on the command line that was made from it. */
struct sb_mask {
	char **values;
	size_t n;
};
#define SB_MASK_INIT                                                                               \
	{                                                                                          \
		0                                                                                  \
	}
/** Hide @value from now on. Out of memory is an error, because the value would be shown. */
int sb_mask_add(struct sb_mask *mask, const char *value, struct sb_err *err);
/** Append @text with every hidden value replaced. A value shorter than 6 bytes is replaced only
 * where it is the whole text: it would turn up by chance elsewhere. */
int sb_mask_text(const struct sb_mask *mask, const char *text, struct sb_strbuf *out);
void sb_mask_done(struct sb_mask *mask);

/* --- JSON --- */

/** @msg as JSON: fields by name, enums by value name, 64-bit numbers as numbers, log text as
 * UTF-8 (broken bytes become U+FFFD), other bytes as hex, unset oneofs and unset messages left
 * out. Secret fields show SB_RENDER_HIDDEN, and so does @mask's (may be NULL). NULL when out of
 * memory; else json_decref(). */
json_t *sb_render_message(const ProtobufCMessage *msg, const struct sb_mask *mask);
/** Print @json with two blanks of indent and a line end; floats with the fewest digits that read
 * back the same. @json is not released. */
int sb_render_json(FILE *out, const json_t *json, struct sb_err *err);
/** Name of @value without the enum's prefix, lower case: "ready" for JOB_READY. "?" if unknown. */
const char *sb_render_enum(const ProtobufCEnumDescriptor *desc, int value, char *buf, size_t size);

/* --- text --- */

/** Append @arg so that a POSIX shell reads it back as one word. */
int sb_render_shell(struct sb_strbuf *out, const char *arg);
/** "45s", "3m05s", "2h10m", "4d03h" */
const char *sb_render_duration(uint64_t ms, char *buf, size_t size);
/** "512 B", "3.5 GiB" */
const char *sb_render_bytes(uint64_t bytes, char *buf, size_t size);
/** Columns that @text takes on a terminal: UTF-8 aware, one column a character. */
size_t sb_render_width(const char *text);
/** Append @text for a terminal: control characters (also those of UTF-8's C1 block) become '?',
 * so that a log line cannot move the cursor or set the title. Tabs stay. */
int sb_render_clean(struct sb_strbuf *out, const void *text, size_t len);

/* --- tables --- */

#define SB_TABLE_MAX_COLS 10
struct sb_table {
	size_t cols;
	char **cells; /* cols a row, the first row is the header */
	size_t n;     /* cells in use */
	bool failed;  /* out of memory */
	size_t fit;   /* columns that a line may take; 0 = any */
};
/** @headers: @cols titles (at most SB_TABLE_MAX_COLS). */
void sb_table_init(struct sb_table *table, const char *const *headers, size_t cols);
/** Append a row; takes cols texts, NULL shows "-". */
void sb_table_row(struct sb_table *table, const char *const *cells);
/** Append a line of its own between rows: a title of those that follow. */
void sb_table_title(struct sb_table *table, const char *title);
/** Columns of the terminal behind @stream; 0 when it is none. */
size_t sb_terminal_columns(FILE *stream);
/** Print with columns as wide as their longest cell; nothing when there is no row but the header.
 * Where a line would be longer than table->fit, the last column's cells end in "+", and where next
 * to nothing of them would be left, that column is not shown. */
int sb_table_print(const struct sb_table *table, FILE *out, struct sb_err *err);
void sb_table_done(struct sb_table *table);

/* --- colour --- */

enum sb_color { SB_PLAIN, SB_BOLD, SB_RED, SB_GREEN, SB_YELLOW, SB_DIM, SB_COLOR_COUNT_ };
/** Escape for @color on @stream, or "" when it is no terminal, or NO_COLOR or TERM=dumb is set.
 * SB_PLAIN ends what another began. */
const char *sb_color(FILE *stream, enum sb_color color);

/* --- progress --- */

/* "[3/5] Preparing nodes … done (0.2s)" on one line of a terminal, and as two lines elsewhere or
 * when something was written between. */
struct sb_progress {
	FILE *out; /* NULL = quiet */
	unsigned step, steps;
	uint64_t began_ms;
	bool open; /* the line of the step has no end yet */
};
void sb_progress_step(struct sb_progress *p, const char *label);
/** A line below the running step. */
void sb_progress_note(struct sb_progress *p, const char *text);
void sb_progress_done(struct sb_progress *p);
void sb_progress_skip(struct sb_progress *p, const char *label, const char *why);
/** End an open line before something else is printed. */
void sb_progress_break(struct sb_progress *p);

#endif
