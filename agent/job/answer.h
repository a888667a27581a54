/* answer.h - a stop's answer while it is put together: what was seen, and what follows from it. */
#ifndef SB_ANSWER_H
#define SB_ANSWER_H

#include "internal.h"

#define EVIDENCE_MAX 16

struct answer {
	Sparkbus__StopJobReply reply;
	Sparkbus__Error error;
	Sparkbus__Evidence evidence[EVIDENCE_MAX];
	Sparkbus__Evidence *list[EVIDENCE_MAX];
	char texts[EVIDENCE_MAX][256];
};

/* DONE until something is observed that does not hold. @own may be NULL. */
void stop_answer_init(struct answer *a, Sparkbus__RankStatus *own);
void stop_observe(struct answer *a, const char *subject, bool holds, const char *fmt, ...)
		SB_PRINTF(4, 5);
/* @err and @node are borrowed as long as the answer. */
void stop_answer_error(struct answer *a, const struct sb_err *err, const char *node);

#endif
