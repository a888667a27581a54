/* sb_diag.h - remarks that do not stop a command: notes and warnings, each with its place. */
#ifndef SB_DIAG_H
#define SB_DIAG_H

#include "sb_base.h"

enum sb_diag_level { SB_DIAG_NOTE, SB_DIAG_WARNING, SB_DIAG_ERROR };

struct sb_diag {
	enum sb_diag_level level;
	unsigned line, col; /* 0 = no place */
	char *text;
};
struct sb_diags {
	struct sb_diag *items;
	size_t n;
};
#define SB_DIAGS_INIT                                                                              \
	{                                                                                          \
		0                                                                                  \
	}
/** What a file full of mistakes can add; further remarks are dropped. */
#define SB_DIAGS_MAX 500u
/** Add a remark; @diags may be NULL. Out of memory drops it. */
void sb_diag_add(struct sb_diags *diags, enum sb_diag_level level, unsigned line, unsigned col,
		const char *fmt, ...) SB_PRINTF(5, 6);
void sb_diags_done(struct sb_diags *diags);

#endif
