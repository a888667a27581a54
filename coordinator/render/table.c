#include <string.h>

#include "sb_render.h"

#define GAP 2

static void add_cells(struct sb_table *table, const char *const *cells)
{
	char **grown;

	if (table->failed)
		return;
	grown = reallocarray(table->cells, table->n + table->cols, sizeof(*grown));
	if (!grown) {
		table->failed = true;
		return;
	}
	table->cells = grown;
	for (size_t i = 0; i < table->cols; i++) {
		grown[table->n] = strdup(cells[i] ? cells[i] : "-");
		if (!grown[table->n]) {
			table->failed = true;
			return;
		}
		table->n++;
	}
}

void sb_table_init(struct sb_table *table, const char *const *headers, size_t cols)
{
	*table = (struct sb_table){ .cols = cols };
	add_cells(table, headers);
}

void sb_table_row(struct sb_table *table, const char *const *cells)
{
	add_cells(table, cells);
}

/* Cells may hold text from peers; a table must stay a table. */
static int add_padded(struct sb_strbuf *line, const char *cell, size_t width, bool last)
{
	size_t used = sb_render_width(cell);

	sb_render_clean(line, cell, strlen(cell));
	for (; !last && used < width + GAP; used++)
		sb_strbuf_addc(line, ' ');
	return line->failed;
}

int sb_table_print(const struct sb_table *table, FILE *out, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	size_t widths[SB_TABLE_MAX_COLS] = { 0 };

	if (table->failed)
		return sb_err_nomem(err);
	if (table->n <= table->cols)
		return 0;
	for (size_t i = 0; i < table->n; i++) {
		size_t width = sb_render_width(table->cells[i]);

		if (width > widths[i % table->cols])
			widths[i % table->cols] = width;
	}
	for (size_t row = 0; row < table->n; row += table->cols) {
		sb_strbuf_reset(&line);
		for (size_t i = 0; i < table->cols; i++)
			add_padded(&line, table->cells[row + i], widths[i], i + 1 == table->cols);
		if (line.failed)
			return sb_err_nomem(err);
		fprintf(out, "%s%s%s\n", sb_color(out, row ? SB_PLAIN : SB_BOLD),
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
