/* serve.h - what every engine does between its command line and its HTTP API */
#ifndef ES_SERVE_H
#define ES_SERVE_H

#include "args.h"
#include "mesh.h"

#define ES_JOIN_TIMEOUT_S                                                                          \
	300 /* seconds until a lonely rank gives up, if the environment is silent */

/** es_config_error() - end the process with status 1 and a traceback that ends in this text */
void es_config_error(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/** es_positive() - the number of a flag; below 1 or above 2^20 it is a configuration error */
int es_positive(const struct es_args *a, const char *name, long long fallback);

/** es_plain() - @text, which can stand in a label and in a line of the rendezvous, or an error */
const char *es_plain(const char *text);

/** es_api_keys() - take them from --api-key, or else from a variable, if the engine has one */
void es_api_keys(const struct es_args *a, const char *variable);

/** es_pace_init() - the part of es_config that comes from the environment */
void es_pace_init(void);

/**
 * es_signals_start() - end with status 0 on SIGTERM and SIGINT, from any state
 *
 * As process 1 of a container nothing else would act on them. Before any thread is started.
 */
void es_signals_start(void);

/** es_exit_fault() - the fault exit_code, if it stands alone */
void es_exit_fault(void);

/** es_load() - take the time that loading takes, and fail halfway if asked to */
void es_load(void);

/** es_idle() - a rank that does not serve */
void es_idle(void) __attribute__((noreturn));

#endif
