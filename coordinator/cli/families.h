/* families.h - families of models: recipes/families.yaml. */
#ifndef SB_CLI_FAMILIES_H
#define SB_CLI_FAMILIES_H

#include "sb_err.h"

#define FAMILIES_FILE "families.yaml"

/* The registry to which the folders of the bundled tree belong that are called like a family. */
#define BUNDLED_REGISTRY "bundled"

struct families;
/** Read the table of the bundled tree at @root. A tree without one has no families; a bad one is an
 * error with its place. Free with families_free(). */
int families_load(const char *root, struct families **ret, struct sb_err *err);
void families_free(struct families *families);
SB_DEFINE_CLEANUP(families_free, struct families *)

/** The family of @model (an id or a path); NULL when none has a pattern for it. Borrowed. */
const char *families_of(const struct families *families, const char *model);
/** The @i-th family's name in the order of the alphabet; NULL past the end. Borrowed. */
const char *families_at(const struct families *families, size_t i);
/** Registry of what lies in the first-level folder @folder of the bundled tree. Borrowed. */
const char *families_registry(const struct families *families, const char *folder);

#endif
