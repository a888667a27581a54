/* sb_upkeep.h - chores of a node that an operator asks for: drop the page cache, give the files of
 * the model cache back to their owner. Each says what it saw before and after; done twice it does
 * nothing the second time. They run on a thread of their own, one at a time. */
#ifndef SB_UPKEEP_H
#define SB_UPKEEP_H

#include "bus.pb-c.h"
#include "sb_loop.h"

struct sb_upkeep;
/** @proc_root: "/proc". @hf_cache: the model cache. Borrowed. */
int sb_upkeep_new(struct sb_mailbox *box, const char *proc_root, const char *hf_cache,
		struct sb_upkeep **ret, struct sb_err *err);
/** Waits for the chore that runs; its callback is not called. */
void sb_upkeep_free(struct sb_upkeep *upkeep);
SB_DEFINE_CLEANUP(sb_upkeep_free, struct sb_upkeep *)

typedef void (*sb_upkeep_fn)(void *ctx, const Sparkbus__UpkeepReply *reply);
/** Do @request's chore, and call @fn on the loop with what came of it. -SB_E_INVALID for a chore
 * that is not known; -SB_E_BUSY while one runs. */
int sb_upkeep_run(struct sb_upkeep *upkeep, const Sparkbus__UpkeepRequest *request, sb_upkeep_fn fn,
		void *ctx, struct sb_err *err);

#endif
