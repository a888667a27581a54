#ifndef SB_EXPORT_INTERNAL_H
#define SB_EXPORT_INTERNAL_H

#include "sb_export.h"

#define SECRETS_MAX 64

/* A value that must not stand in the file, and the variable that has it. */
struct secret {
	const char *name, *value;
};

struct export
{
	const Sparkbus__LaunchPlan *plan;
	const Sparkbus__RankSpec *rank;
	const Sparkbus__ContainerOptions *options; /* never NULL */
	const struct sb_export_place *place;
	struct secret secrets[SECRETS_MAX];
	size_t n_secrets;
	bool mapped; /* user "auto": runs as place->user */
};

/** Look at what is to be exported. -SB_E_UNSUPPORTED for hooks; -SB_E_RANGE. */
int export_init(struct export *e, const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_err *err);

/** Append @text, each secret in it as "${NAME}", and what is between by @literal. */
void export_text(const struct export *e, const char *text,
		void (*literal)(struct sb_strbuf *out, const char *text, size_t len),
		struct sb_strbuf *out);
/** The name behind @var's value: of itself, when it is a secret; else NULL. */
const char *export_secret_of(const struct export *e, const Sparkbus__EnvVar *var);

/** Where a mount comes from, on the node. */
void export_mount_source(
		const struct export *e, const Sparkbus__Mount *mount, struct sb_strbuf *out);
/** The user that the container runs as; "" = the image's. */
const char *export_user(const struct export *e);
/** A device that may be absent is given to ranks that talk to others only. */
bool export_gives_device(const struct export *e, const Sparkbus__Device *device);
/** Whether HOME is to be set: a mapped user has none in the image. */
bool export_sets_home(const struct export *e);

#endif
