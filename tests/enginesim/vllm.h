/* vllm.h - what the files of the vLLM personality share */
#ifndef ES_VLLM_H
#define ES_VLLM_H

#include "args.h"

extern const struct es_flag es_vllm_flags[];
extern const size_t es_vllm_n_flags;

#endif
