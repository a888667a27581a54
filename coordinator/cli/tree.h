/* tree.h - a folder of this workstation in memory: what a copy entry or a mod brings along. */
#ifndef SB_CLI_TREE_H
#define SB_CLI_TREE_H

#include "sb_err.h"
#include "sb_plan.h"

struct tree {
	struct sb_tree view; /* borrows from here */
	struct sb_tree_file *files;
	size_t n, bytes;
};
void tree_done(struct tree *tree);

/** Read the folder @root, sorted by name, folders within it too. A symbolic link is read as the
 * file that it leads to, which must be within @root: a link out of it would take along what nobody
 * named. Folders without files are left out. Return: 0; -SB_E_INVALID for what is no folder, has a
 * link that leads out, or a file that is no plain one; -SB_E_RANGE over the caps of a plan. */
int tree_read(const char *root, struct tree *ret, struct sb_err *err);

#endif
