#include <stdio.h>

#include "answer.h"

void stop_answer_init(struct answer *a, Sparkbus__RankStatus *own)
{
	sparkbus__stop_job_reply__init(&a->reply);
	a->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	a->reply.evidence = a->list;
	a->reply.rank = own;
}

void stop_observe(struct answer *a, const char *subject, bool holds, const char *fmt, ...)
{
	size_t n = a->reply.n_evidence;
	va_list ap;

	if (n == EVIDENCE_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->texts[n], sizeof(a->texts[n]), fmt, ap);
	va_end(ap);
	sparkbus__evidence__init(&a->evidence[n]);
	a->evidence[n].subject = (char *)subject;
	a->evidence[n].observed = a->texts[n];
	a->evidence[n].holds = holds;
	a->list[n] = &a->evidence[n];
	a->reply.n_evidence++;
	if (!holds && a->reply.outcome == SPARKBUS__OUTCOME__OUTCOME_DONE)
		a->reply.outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

void stop_answer_error(struct answer *a, const struct sb_err *err, const char *node)
{
	sparkbus__error__init(&a->error);
	sb_wire_err_out(err, node, &a->error);
	a->reply.error = &a->error;
	/* Not knowing is not failing: only an engine that answered can have refused. */
	a->reply.outcome = sb_code_exit(err->code) == 3 ? SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
							: SPARKBUS__OUTCOME__OUTCOME_FAILED;
}
