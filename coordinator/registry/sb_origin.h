/* sb_origin.h - where a recipe comes from, and what its author may therefore do to this machine.
 * A recipe always runs inside containers on the nodes. Some keys reach further: commands that run
 * on the workstation, files that are copied from it. Those ask here. */
#ifndef SB_ORIGIN_H
#define SB_ORIGIN_H

#include "sb_err.h"
#include "sb_strbuf.h"

enum sb_origin_kind {
	SB_ORIGIN_PATH,     /* a file of the operator's own */
	SB_ORIGIN_BUNDLED,  /* came with sparkbus */
	SB_ORIGIN_REGISTRY, /* from a registry's copy */
	SB_ORIGIN_URL,      /* fetched from an address */
	SB_ORIGIN_KIND_COUNT_,
};

/* Zero is a valid empty one: a path. Texts are on the heap and may be NULL. */
struct sb_origin {
	enum sb_origin_kind kind;
	char *registry; /* name of the registry; of a bundled recipe: its folder */
	char *url;      /* of the registry's repository, or of the recipe */
	char *commit;   /* of the registry's copy, 40 hex digits */
	bool trusted;   /* the operator said `registry trust` */
	bool foreign;   /* a file that belongs to another user, or that everybody may write */
};
void sb_origin_done(struct sb_origin *origin);

/** Whether the recipe may run commands on this workstation, or copy from it, without the operator
 * being asked: bundled recipes, own files, and registries that the operator trusts. An address
 * never may: what it serves can change between two runs. */
bool sb_origin_may_act_here(const struct sb_origin *origin);

/** Append for people: "bundled", "a file", "registry official (not trusted)", "https://...". */
int sb_origin_text(const struct sb_origin *origin, struct sb_strbuf *out);
/** "path", "bundled", "registry", "url"; for JSON. */
const char *sb_origin_kind_text(enum sb_origin_kind kind);

#endif
