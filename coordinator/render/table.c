#include <string.h>
#include <sys/ioctl.h>

#include "sb_render.h"

#define GAP           2
#define LAST_MIN_COLS 12 /* less of a cell tells nothing */

/* Room for one more row, whose cells are NULL; NULL when out of memory. */
static char **add_row(struct sb_table *table)
{
	char **grown = table->failed
			? NULL
			: reallocarray(table->cells, table->n + table->cols, sizeof(*grown));

	if (!grown) {
		table->failed = true;
		return NULL;
	}
	table->cells = grown;
	grown += table->n;
	memset(grown, 0, table->cols * sizeof(*grown));
	table->n += table->cols;
	return grown;
}

static void add_cells(struct sb_table *table, const char *const *cells, size_t n)
{
	char **row = add_row(table);

	for (size_t i = 0; row && i < n; i++) {
		row[i] = strdup(cells[i] ? cells[i] : "-");
		table->failed = table->failed || !row[i];
	}
}

void sb_table_init(struct sb_table *table, const char *const *headers, size_t cols)
{
	*table = (struct sb_table){ .cols = cols };
	add_cells(table, headers, cols);
}

void sb_table_row(struct sb_table *table, const char *const *cells)
{
	add_cells(table, cells, table->cols);
}

void sb_table_title(struct sb_table *table, const char *title)
{
	add_cells(table, &title, 1);
}

size_t sb_terminal_columns(FILE *stream)
{
	struct winsize size = { 0 };

	if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

/* Cells may hold text from peers; a table must stay a table. */
static void add_padded(struct sb_strbuf *line, const char *cell, size_t width)
{
	size_t used = sb_render_width(cell);

	sb_render_clean(line, cell, strlen(cell));
	for (; used < width + GAP; used++)
		sb_strbuf_addc(line, ' ');
}

/* Bytes of @text that take at most @width columns. */
static size_t fitting(const char *text, size_t width)
{
	size_t len = 0, used = 0;

	for (; text[len]; len++) {
		used += ((unsigned char)text[len] & 0xc0) != 0x80;
		if (used > width)
			break;
	}
	return len;
}

/* A cell of the last column, of which at most @width columns are shown. */
static void add_last(struct sb_strbuf *line, const char *cell, size_t width)
{
	if (sb_render_width(cell) <= width) {
		sb_render_clean(line, cell, strlen(cell));
		return;
	}
	sb_render_clean(line, cell, fitting(cell, width - 1));
	sb_strbuf_addc(line, '+');
}

/* Its other cells are NULL. */
static bool is_title(char *const *cells, size_t cols)
{
	return cols > 1 && !cells[1];
}

static void measure(const struct sb_table *table, size_t *widths)
{
	for (size_t row = 0; row < table->n; row += table->cols)
		for (size_t i = 0; !is_title(&table->cells[row], table->cols) && i < table->cols;
				i++) {
			size_t width = sb_render_width(table->cells[row + i]);

			if (width > widths[i])
				widths[i] = width;
		}
}

/* How many columns are shown; the last of them is made to fit. */
static size_t fit(const struct sb_table *table, size_t *widths)
{
	size_t before = 0, last = table->cols - 1;

	for (size_t i = 0; i < last; i++)
		before += widths[i] + GAP;
	if (!table->fit || before + widths[last] <= table->fit)
		return table->cols;
	if (!last || before + LAST_MIN_COLS > table->fit)
		return last ? last : 1;
	widths[last] = table->fit - before;
	return table->cols;
}

static void write_row(struct sb_strbuf *line, char *const *cells, size_t cols, const size_t *widths)
{
	for (size_t i = 0; i + 1 < cols; i++)
		add_padded(line, cells[i], widths[i]);
	add_last(line, cells[cols - 1], widths[cols - 1]);
}

int sb_table_print(const struct sb_table *table, FILE *out, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	size_t widths[SB_TABLE_MAX_COLS] = { 0 }, cols;

	if (table->failed)
		return sb_err_nomem(err);
	if (table->n <= table->cols)
		return 0;
	measure(table, widths);
	cols = fit(table, widths);
	for (size_t row = 0; row < table->n; row += table->cols) {
		bool title = is_title(&table->cells[row], table->cols);

		sb_strbuf_reset(&line);
		if (title)
			sb_render_clean(&line, table->cells[row], strlen(table->cells[row]));
		else
			write_row(&line, &table->cells[row], cols, widths);
		if (line.failed)
			return sb_err_nomem(err);
		fprintf(out, "%s%s%s\n", sb_color(out, row && !title ? SB_PLAIN : SB_BOLD),
				sb_strbuf_str(&line), sb_color(out, SB_PLAIN));
	}
	return 0;
}

void sb_table_done(struct sb_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct sb_table){ 0 };
}
