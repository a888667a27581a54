/* registries.h - the store of registries, as the commands open it. */
#ifndef SB_CLI_REGISTRIES_H
#define SB_CLI_REGISTRIES_H

#include "commands.h"
#include "sb_registry.h"

/** Beside the inventory. Ctrl-C breaks off what it does, once interrupt_catch() was called. */
int registries_open(bool allow_file, struct sb_registry_store **ret, struct sb_err *err);
/** For sb_registry_warn_fn: a warning on stderr; @ctx is the struct cli, which may be NULL. */
void registries_warn(void *ctx, const char *text);
/** "there is no registry 'x'", with a near miss as the hint. */
int registries_unknown(const struct sb_registry_list *list, const char *name, struct sb_err *err);
/** Why the registry @name (NULL = any) may have nothing here, as a hint of @err.
 * Return: whether there was something to say. */
bool registries_hint(const char *name, struct sb_err *err);
/** Tell @offer the name of every benchmark profile; with "@registry/" when @scoped. */
void registries_profiles(bool scoped, void (*offer)(void *ctx, const char *name), void *ctx);
/** Fetch what is enabled, or @only, and say of each what came of it. Return: exit status. */
int registries_update(struct cli *cli, const struct sb_registry_store *store,
		const struct sb_registry_list *list, const char *only, bool json);

#endif
