/* llama.h - what the files of the llama.cpp personalities share */
#ifndef ES_LLAMA_H
#define ES_LLAMA_H

#include "args.h"

extern const struct es_flag es_llama_flags[];
extern const size_t es_llama_n_flags;

/**
 * es_rpc_connect() - reach every server of a comma-separated list of HOST:PORT, without patience
 * @ret_bad: the one that could not be reached, cut from the list; "" if all were
 * Return: how many there are, or -1.
 */
int es_rpc_connect(const char *list, char *ret_bad, size_t cap);

/** es_rpc_ping() - have every server answer; ends the process as ggml does when one is gone */
void es_rpc_ping(void);

#endif
