#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sb_err.h"

static const struct {
	const char *name;
	bool retry;
	int exit;
} codes[] = {
	[SB_OK] = { "OK", false, 0 },
	[SB_E_INVALID] = { "INVALID", false, 1 },
	[SB_E_NOT_FOUND] = { "NOT_FOUND", false, 1 },
	[SB_E_BUSY] = { "BUSY", true, 1 },
	[SB_E_DENIED] = { "DENIED", false, 1 },
	[SB_E_TIMEOUT] = { "TIMEOUT", true, 3 },
	[SB_E_UNAVAILABLE] = { "UNAVAILABLE", true, 3 },
	[SB_E_PROTOCOL] = { "PROTOCOL", false, 1 },
	[SB_E_RANGE] = { "RANGE", false, 1 },
	[SB_E_NOMEM] = { "NOMEM", true, 1 },
	[SB_E_INTERNAL] = { "INTERNAL", false, 1 },
	[SB_E_UNSUPPORTED] = { "UNSUPPORTED", false, 1 },
	[SB_E_CANCELLED] = { "CANCELLED", false, 1 },
};
static_assert(sb_countof(codes) == SB_CODE_COUNT_, "a row for each code");

static_assert(SB_ERR_HINT_MAX <= SB_ERR_TEXT_MAX, "one scratch size serves both");

/* Print a clean line into @buf, with a final '+' where it was cut. The scratch copy allows
 * arguments that point into @buf. */
static void print_line(char *buf, size_t size, const char *fmt, va_list ap) SB_PRINTF(3, 0);
static void print_line(char *buf, size_t size, const char *fmt, va_list ap)
{
	char line[SB_ERR_TEXT_MAX];
	int n = vsnprintf(line, size, fmt, ap);

	if (n < 0)
		line[0] = '\0';
	else if ((size_t)n >= size)
		strcpy(line + sb_text_cut(line, size - 1, size - 2), "+");
	sb_text_clean(line);
	memcpy(buf, line, strlen(line) + 1);
}

static void print_args(char *buf, size_t size, const char *fmt, ...) SB_PRINTF(3, 4);
static void print_args(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(buf, size, fmt, ap);
	va_end(ap);
}

int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->code = code;
		err->hint[0] = '\0';
		va_start(ap, fmt);
		print_line(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -(int)code;
}

int sb_err_wrap(struct sb_err *err, int rc, const char *fmt, ...)
{
	char context[SB_ERR_TEXT_MAX];
	va_list ap;

	if (!err)
		return rc;
	va_start(ap, fmt);
	print_line(context, sizeof(context), fmt, ap);
	va_end(ap);
	print_args(err->text, sizeof(err->text), "%s: %s", context, err->text);
	return rc;
}

int sb_err_hint(struct sb_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		print_line(err->hint, sizeof(err->hint), fmt, ap);
		va_end(ap);
	}
	return rc;
}

static enum sb_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ESRCH:
		return SB_E_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return SB_E_DENIED;
	case ETIMEDOUT:
		return SB_E_TIMEOUT;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPIPE:
	case ECONNRESET:
		return SB_E_UNAVAILABLE;
	case EADDRINUSE:
	case EBUSY:
	case EEXIST:
		return SB_E_BUSY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case E2BIG:
	case ENAMETOOLONG:
		return SB_E_RANGE;
	case ENOMEM:
		return SB_E_NOMEM;
	case EINVAL:
	case ENOTDIR:
	case EISDIR:
		return SB_E_INVALID;
	default:
		return SB_E_INTERNAL;
	}
}

int sb_err_errno(struct sb_err *err, int errnum, const char *fmt, ...)
{
	char what[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	print_line(what, sizeof(what), fmt, ap);
	va_end(ap);
	return sb_err_set(err, code_of_errno(errnum), "%s: %s", what, strerror(errnum));
}

int sb_err_nomem(struct sb_err *err)
{
	return sb_err_set(err, SB_E_NOMEM, "out of memory");
}

static unsigned row_of(enum sb_code code)
{
	return (unsigned)code < sb_countof(codes) ? (unsigned)code : SB_E_INTERNAL;
}

const char *sb_code_name(enum sb_code code)
{
	return codes[row_of(code)].name;
}

bool sb_code_retry(enum sb_code code)
{
	return codes[row_of(code)].retry;
}

int sb_code_exit(enum sb_code code)
{
	return codes[row_of(code)].exit;
}
