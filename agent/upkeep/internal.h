#ifndef SB_UPKEEP_INTERNAL_H
#define SB_UPKEEP_INTERNAL_H

#include <stdatomic.h>

#include "sb_upkeep.h"

#define EVIDENCE_MAX 4u

/* A chore while it runs; it touches nothing else. */
struct chore {
	const char *proc_root, *hf_cache;
	const atomic_bool *stop; /* the agent ends */
	bool dry_run;
	Sparkbus__UpkeepReply reply;
	Sparkbus__Evidence evidence[EVIDENCE_MAX], *list[EVIDENCE_MAX];
	char texts[EVIDENCE_MAX][200];
};
/** Add a line of evidence; one that does not hold makes the outcome FAILED. */
void chore_saw(struct chore *c, const char *subject, bool holds, const char *fmt, ...)
		SB_PRINTF(4, 5);

void chore_clear_cache(struct chore *c);
void chore_fix_owners(struct chore *c);

#endif
