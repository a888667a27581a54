/* sb_err.h - what went wrong: a code that crosses the wire, a line for a person, a cure.
 * An sb_err lives on the caller's stack, owns nothing and needs no freeing. */
#ifndef SB_ERR_H
#define SB_ERR_H

#include "sb_base.h"

/** Codes are the wire's (bus.proto, enum Code): same numbers, never reused. */
enum sb_code {
	SB_OK = 0,
	SB_E_INVALID = 1,      /* the input is wrong: a file, an option, a field */
	SB_E_NOT_FOUND = 2,    /* no such node, job, file, image */
	SB_E_BUSY = 3,         /* exists and is in use: port, name, job, lease */
	SB_E_DENIED = 4,       /* refused: certificate, role, permission, trust */
	SB_E_TIMEOUT = 5,      /* no answer within the deadline; the outcome is unknown */
	SB_E_UNAVAILABLE = 6,  /* cannot be reached, or is not running */
	SB_E_PROTOCOL = 7,     /* bytes that are not what they should be */
	SB_E_RANGE = 8,        /* over a cap or outside limits */
	SB_E_NOMEM = 9,        /* out of memory */
	SB_E_INTERNAL = 10,    /* our own bug, or the system failed us */
	SB_E_UNSUPPORTED = 11, /* a verb, protocol version or feature this build does not have */
	SB_E_CANCELLED = 12,   /* given up by the caller */
	SB_CODE_COUNT_,
};

#define SB_ERR_TEXT_MAX 512
#define SB_ERR_HINT_MAX 256

struct sb_err {
	enum sb_code code;
	char text[SB_ERR_TEXT_MAX]; /* one line, outermost context first; '+' at a cut */
	char hint[SB_ERR_HINT_MAX]; /* what to do about it, or empty */
};

#define SB_ERR_INIT                                                                                \
	{                                                                                          \
		.code = SB_OK                                                                      \
	}

/** Fill @err (may be NULL) and clear its hint. Control characters become spaces and what is no
 * UTF-8 becomes '?', so that text from a peer cannot forge lines. Arguments may point into @err.
 * Return: -code, so that `return sb_err_set(...)` reads well. */
int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...) SB_PRINTF(3, 4);

/** Put "context: " before the text already in @err (may be NULL). Return: @rc unchanged. */
int sb_err_wrap(struct sb_err *err, int rc, const char *fmt, ...) SB_PRINTF(3, 4);

/** Set the cure in @err (may be NULL). Return: @rc unchanged. */
int sb_err_hint(struct sb_err *err, int rc, const char *fmt, ...) SB_PRINTF(3, 4);

/** sb_err_set() with ": <strerror>" appended and the code derived from @errnum. */
int sb_err_errno(struct sb_err *err, int errnum, const char *fmt, ...) SB_PRINTF(3, 4);

/** Out of memory. Return: -SB_E_NOMEM. */
int sb_err_nomem(struct sb_err *err);

/** "INVALID", "NOT_FOUND", ...; "CODE_<n>" is never returned: unknown codes are "INTERNAL". */
const char *sb_code_name(enum sb_code code);

/** Whether asking again, unchanged, may succeed. */
bool sb_code_retry(enum sb_code code);

/** The CLI's exit status for @code: 0 done, 1 failed, 3 unknown (design: the truth rule). */
int sb_code_exit(enum sb_code code);

#endif
