#include <string.h>

#include "list_table.h"
#include "sb_render.h"

struct row {
	bool here;
	char *family; /* NULL = of none */
	char *cells[LIST_CELL_COUNT_];
};

struct list_table {
	struct row *rows;
	size_t n;
	bool failed;
};

struct list_table *list_table_new(void)
{
	return calloc(1, sizeof(struct list_table));
}

static void row_done(struct row *row)
{
	free(row->family);
	for (size_t i = 0; i < LIST_CELL_COUNT_; i++)
		free(row->cells[i]);
}

void list_table_free(struct list_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n; i++)
		row_done(&table->rows[i]);
	free(table->rows);
	free(table);
}

void list_table_add(struct list_table *table, bool here, const char *family,
		const char *const cells[LIST_CELL_COUNT_])
{
	struct row row = { .here = here };
	struct row *grown = table ? reallocarray(table->rows, table->n + 1, sizeof(*grown)) : NULL;
	bool good = grown && (!family || (row.family = strdup(family)));

	if (grown)
		table->rows = grown;
	for (size_t i = 0; good && i < LIST_CELL_COUNT_; i++)
		good = (row.cells[i] = strdup(cells[i])) != NULL;
	if (good) {
		grown[table->n++] = row;
		return;
	}
	row_done(&row);
	if (table)
		table->failed = true;
}

/* This folder, then the families, then the rest. */
static int section(const struct row *row)
{
	return row->here ? 0 : row->family ? 1 : 2;
}

static int by_family(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = section(x) - section(y);

	if (!order && section(x) == 1)
		order = strcmp(x->family, y->family);
	/* "@registry/name" after names that need none. */
	if (!order)
		order = (x->cells[LIST_NAME][0] == '@') - (y->cells[LIST_NAME][0] == '@');
	return order ? order : strcmp(x->cells[LIST_NAME], y->cells[LIST_NAME]);
}

static const char *title_of(const struct row *row)
{
	return row->here ? "this folder" : row->family ? row->family : "others";
}

/* Without families there is nothing to tell apart. */
static bool has_families(const struct list_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->rows[i].family)
			return true;
	return false;
}

static int add_row(struct sb_table *out, const struct row *row, bool indent, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = NULL;
	const char *cells[LIST_CELL_COUNT_];

	if (asprintf(&name, "%s%s", indent ? "  " : "", row->cells[LIST_NAME]) < 0) {
		name = NULL;
		return sb_err_nomem(err);
	}
	memcpy(cells, row->cells, sizeof(cells));
	cells[LIST_NAME] = name;
	sb_table_row(out, cells);
	return 0;
}

int list_table_print(struct list_table *table, FILE *out, struct sb_err *err)
{
	static const char *const headers[LIST_CELL_COUNT_] = { "NAME", "RUNTIME", "TP", "NODES",
		"GPU MEM", "MODEL" };
	const char *before = NULL;
	struct sb_table printed;
	bool families;
	int rc = 0;

	if (!table || table->failed)
		return sb_err_nomem(err);
	if (table->n)
		qsort(table->rows, table->n, sizeof(*table->rows), by_family);
	families = has_families(table);
	sb_table_init(&printed, headers, sb_countof(headers));
	printed.fit = sb_terminal_columns(out);
	for (size_t i = 0; rc == 0 && i < table->n; i++) {
		const char *title = title_of(&table->rows[i]);

		if (families && (!before || strcmp(title, before) != 0))
			sb_table_title(&printed, title);
		before = title;
		rc = add_row(&printed, &table->rows[i], families, err);
	}
	if (rc == 0)
		rc = sb_table_print(&printed, out, err);
	sb_table_done(&printed);
	return rc;
}
