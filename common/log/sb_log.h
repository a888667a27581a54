/* sb_log.h - one line per thing that happened: an id and key=value pairs.
 * Lines go to stderr, with the priority prefix that the journal reads when asked for.
 * Libraries in common/ and pure modules never log; the place that drops an error logs it, once. */
#ifndef SB_LOG_H
#define SB_LOG_H

#include "sb_base.h"

/** Values are syslog's, as sd-daemon(3) wants them in the "<n>" prefix. */
enum sb_log_level { SB_LOG_ERR = 3, SB_LOG_WARN = 4, SB_LOG_INFO = 6, SB_LOG_DEBUG = 7 };

/** Lines above @level are dropped. Default: SB_LOG_INFO. @prefix: write "<n>" before each line
 * (for the journal). Call before threads start. */
void sb_log_setup(enum sb_log_level level, bool prefix);

/** Log one line: @id ("job.exit"), then "key=value ..." text. Control characters become spaces;
 * past 2 KiB the line is cut, with a final '+'. No secret and no prompt may be in it. Safe from any
 * thread; errno stays as it was. */
void sb_log(enum sb_log_level level, const char *id, const char *fmt, ...) SB_PRINTF(3, 4);

#endif
