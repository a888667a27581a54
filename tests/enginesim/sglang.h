/* sglang.h - what the files of the SGLang personality share */
#ifndef ES_SGLANG_H
#define ES_SGLANG_H

#include "args.h"

extern const struct es_flag es_sglang_flags[];
extern const size_t es_sglang_n_flags;

#endif
