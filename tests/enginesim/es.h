/* es.h - what the files of enginesim share.
 *
 * enginesim stands in for LLM engines: it takes their command lines, meets its other ranks over
 * TCP and serves their HTTP API at a set speed, and it fails on demand. It links nothing of the
 * programs it helps to test, so that an error in those cannot hide itself here.
 *
 * It is a command, not a library: out of memory or a broken invariant ends the process. Bytes from
 * a peer or a client never do. */
#ifndef ES_H
#define ES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ES_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define ES_NORETURN     __attribute__((noreturn))
#define ES_COUNTOF(a)   (sizeof(a) / sizeof((a)[0]))

/** struct es_personality - one engine that enginesim can pose as; one file each */
struct es_personality {
	const char *name; /* matched against argv[0]'s basename, then against the first word */

	/** run() - argv[0] is the engine's name. Return: the exit status of the process. */
	int (*run)(int argc, char **argv);
};

extern const struct es_personality es_vllm, es_sglang, es_python3, es_python, es_llama_server,
		es_rpc_server, es_ray, es_spark, es_trtllm_serve, es_trtllm_launch, es_mpirun,
		es_orted;

/** struct es_buf - growing bytes, always followed by a NUL once something was added */
struct es_buf {
	char *p;
	size_t len;
	size_t cap;
};

void es_buf_add(struct es_buf *b, const char *data, size_t len);
void es_buf_printf(struct es_buf *b, const char *fmt, ...) ES_PRINTF(2, 3);
void es_buf_free(struct es_buf *b);

/** es_alloc() - zeroed memory; ends the process when there is none */
void *es_alloc(size_t n, size_t size);

/** es_now() - seconds on the monotonic clock */
double es_now(void);

/** es_sleep_until() - sleep to a time of es_now(); returns at once if it has passed */
void es_sleep_until(double when);

/** es_env_num() - a number from the environment, or @fallback if unset; junk ends the process */
double es_env_num(const char *name, double fallback);

enum es_log_form {
	ES_LOG_VLLM,   /* (APIServer pid=1) INFO 11-25 12:00:00 [file.py:1] text */
	ES_LOG_SGLANG, /* [2026-11-25 12:00:00 TP0] text */
	ES_LOG_BARE,   /* text */
};

/** es_log_init() - the form of log lines, the tag of each ("APIServer"), and the Python package */
void es_log_init(enum es_log_form form, const char *who, const char *package);

/** es_log() - one line on stdout; @where poses as the source file */
void es_log(const char *level, const char *where, const char *fmt, ...) ES_PRINTF(3, 4);

/** es_raw() - one line on stderr as it is (tracebacks, uvicorn's own lines) */
void es_raw(const char *fmt, ...) ES_PRINTF(1, 2);

/** es_exit() - end the process now, from any thread, without running exit handlers */
void es_exit(int code) ES_NORETURN;

/** es_leak_check() - under the address sanitizer, end the process if memory was lost */
void es_leak_check(void);

/** es_traceback() - a Python-like traceback that ends in @last, then es_exit(@code) */
void es_traceback(int code, const char *file, const char *last) ES_NORETURN;

/** es_thread() - start a detached thread; ends the process if the system refuses */
void es_thread(void *(*fn)(void *), void *arg);

/**
 * es_resolve() - a socket address from a number, "localhost" or a name in /etc/hosts
 *
 * A static program has no name service, and a testbed has no DNS. NULL or "" means 0.0.0.0.
 * Return: 0, or -1 if the name is unknown.
 */
int es_resolve(const char *host, int port, struct sockaddr_storage *ret_sa, socklen_t *ret_len);

/** es_is_true() - "1", "on", "true" or "yes" */
bool es_is_true(const char *s);

#endif
