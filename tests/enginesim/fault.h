/* fault.h - misbehaviour on demand: ENGINESIM_FAULT=name[=value][@rank=R],... */
#ifndef ES_FAULT_H
#define ES_FAULT_H

#include <stdbool.h>

enum es_fault {
	ES_FAULT_CRASH_AT,    /* =SECONDS[:RANK] after the start */
	ES_FAULT_CRASH_LOAD,  /* halfway through loading */
	ES_FAULT_OOM_LOAD,    /* the same, as CUDA out of memory */
	ES_FAULT_NEVER_READY, /* loading does not end */
	ES_FAULT_HANG,        /* requests run and generate nothing; /health stays green */
	ES_FAULT_SLOW_LOAD,   /* =SECONDS more */
	ES_FAULT_EXIT_CODE,   /* =N: the status of a crash; alone, exit with it before loading */
	ES_FAULT_IGNORE_TERM, /* SIGTERM changes nothing */
	ES_FAULT_EAT,         /* takes memory for ever, from the start of loading */
	ES_FAULT_TOOLS_400,   /* requests with tools are refused */
	ES_FAULT_COUNT_,
};

/** es_fault_init() - read the environment for this rank; junk ends the process with status 2 */
void es_fault_init(int rank);

bool es_fault_on(enum es_fault f);

/** es_fault_value() - the number after '='; @fallback if there is none */
double es_fault_value(enum es_fault f, double fallback);

/** es_fault_set() - switch one that may change at run time. Return: 0, or -1 for another name. */
int es_fault_set(const char *name, bool on);

/** es_crash() - die as an engine core does, with exit_code's status or 1 */
void es_crash(const char *why) __attribute__((noreturn));

/** es_fault_start_timer() - arm crash_at, if asked for */
void es_fault_start_timer(void);

#endif
