/* list_table.h - recipes as a table, by family. */
#ifndef SB_CLI_LIST_TABLE_H
#define SB_CLI_LIST_TABLE_H

#include <stdio.h>

#include "sb_err.h"

enum list_cell {
	LIST_NAME,
	LIST_RUNTIME,
	LIST_TP,
	LIST_NODES,
	LIST_GPU_MEM,
	LIST_MODEL,
	LIST_CELL_COUNT_
};

struct list_table;
/** NULL when out of memory; the other functions take that. */
struct list_table *list_table_new(void);
void list_table_free(struct list_table *table);
SB_DEFINE_CLEANUP(list_table_free, struct list_table *)
/** Add a recipe; texts are copied. @family NULL: of none. @here: it lies in this folder. */
void list_table_add(struct list_table *table, bool here, const char *family,
		const char *const cells[LIST_CELL_COUNT_]);
/** Print those of this folder first, then each family by name, and last those of none. On a
 * terminal the model's column is cut, or left out, so that a line is a line. */
int list_table_print(struct list_table *table, FILE *out, struct sb_err *err);

#endif
