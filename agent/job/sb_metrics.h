/* sb_metrics.h - what an engine says at /metrics of the work that it does. Pure. */
#ifndef SB_METRICS_H
#define SB_METRICS_H

#include "sb_base.h"

/* What an engine does not have is absent, not 0. Several engines behind one door are summed up. */
struct sb_load {
	bool has_running, has_waiting, has_generated, has_prompt, has_kv;
	double running, waiting;  /* requests */
	double generated, prompt; /* tokens since the engine's start */
	double kv;                /* share of the KV cache in use, 0 to 1; of several the fullest */
};

/** Read the text format of Prometheus, of vLLM, SGLang and llama.cpp. What is no number is left
 * out. */
void sb_metrics_parse(const char *text, size_t len, struct sb_load *ret);

#endif
