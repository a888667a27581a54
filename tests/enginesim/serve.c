#include "serve.h"

#include "engine.h"
#include "es.h"
#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void es_config_error(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	es_traceback(1, es_config.style->args_file, text);
}

int es_positive(const struct es_args *a, const char *name, long long fallback)
{
	long long v = es_args_int(a, name, fallback);

	if (v < 1 || v > 1 << 20)
		es_config_error("pydantic_core._pydantic_core.ValidationError: 1 validation error "
				"for ParallelConfig\n%s\n  Input should be greater than or equal "
				"to 1 [input_value=%lld]",
				name, v);
	return (int)v;
}

const char *es_plain(const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == '"' || *c == '\\')
			es_config_error("OSError: '%s' is not a valid model identifier", text);
	if (strlen(text) > 500)
		es_config_error("OSError: model identifier is too long");
	return text;
}

void es_api_keys(const struct es_args *a, const char *variable)
{
	static const char *key[1];
	struct es_config *c = &es_config;

	c->n_api_keys = es_args_list(a, "api-key", &c->api_keys);
	key[0] = variable ? getenv(variable) : NULL;
	if (!c->n_api_keys && key[0] && *key[0]) {
		c->api_keys = key;
		c->n_api_keys = 1;
	}
}

void es_pace_init(void)
{
	struct es_config *c = &es_config;

	c->prefill_tps = es_env_num("ENGINESIM_PREFILL_TPS", 2000);
	c->decode_tps = es_env_num("ENGINESIM_DECODE_TPS", 50);
	c->kv_tokens = es_env_num("ENGINESIM_KV_TOKENS", 262144);
	if (c->kv_tokens < 16)
		c->kv_tokens = 16;
}

static void *wait_for_term(void *arg)
{
	sigset_t *set = arg;
	int sig;

	for (;;) {
		if (sigwait(set, &sig) || (sig == SIGTERM && es_fault_on(ES_FAULT_IGNORE_TERM)))
			continue;
		for (const char *const *line = es_config.style->farewell; *line; line++)
			es_raw("%s", *line);
		if (es_config.style->log != ES_LOG_BARE)
			es_raw("INFO:     Finished server process [%d]", (int)getpid());
		es_leak_check();
		es_exit(0);
	}
	return NULL;
}

void es_signals_start(void)
{
	static sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread: all of them inherit it */
	es_thread(wait_for_term, &set);
}

void es_exit_fault(void)
{
	if (es_fault_on(ES_FAULT_EXIT_CODE) && !es_fault_on(ES_FAULT_CRASH_AT) &&
			!es_fault_on(ES_FAULT_CRASH_LOAD) && !es_fault_on(ES_FAULT_OOM_LOAD))
		es_exit((int)es_fault_value(ES_FAULT_EXIT_CODE, 1));
}

static const char torch_oom[] =
		"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has "
		"a total capacity of 119.70 GiB of which 1.05 GiB is free. Including non-PyTorch "
		"memory, this process has 117.33 GiB memory in use.";

static void load_faults(void)
{
	if (es_fault_on(ES_FAULT_NEVER_READY))
		for (;;)
			pause();
	if (es_fault_on(ES_FAULT_OOM_LOAD))
		es_traceback((int)es_fault_value(ES_FAULT_EXIT_CODE, 1),
				es_config.style->worker_file,
				es_config.style->oom ? es_config.style->oom : torch_oom);
	if (es_fault_on(ES_FAULT_CRASH_LOAD))
		es_crash("CUDA error: unspecified launch failure");
}

static void say_loaded(double start)
{
	es_log("INFO", "default_loader.py:308", "Loading weights took %.2f seconds",
			es_now() - start);
	es_log("INFO", "gpu_worker.py:359", "Available KV cache memory: %.2f GiB",
			es_config.kv_tokens * 65536 / (1 << 30));
	es_log("INFO", "kv_cache_utils.py:1229", "GPU KV cache size: %.0f tokens",
			es_config.kv_tokens);
	es_log("INFO", "core.py:259",
			"init engine (profile, create kv cache, warmup model) took %.2f seconds",
			es_now() - start);
}

void es_load(void)
{
	bool bare = es_config.style->log == ES_LOG_BARE;
	double ms = es_env_num("ENGINESIM_LOAD_MS", 300);
	double start = es_now(), seconds = ms / 1000 + es_fault_value(ES_FAULT_SLOW_LOAD, 0);

	if (bare)
		es_raw("load_tensors: loading model tensors, this can take a while... (mmap = "
		       "true)");
	else
		es_log("INFO", "gpu_model_runner.py:3562", "Starting to load model %s...",
				es_config.model);
	for (int i = 1; i <= 4; i++) {
		es_sleep_until(start + seconds * i / 4);
		if (i == 2)
			load_faults();
		if (!bare)
			es_raw("Loading safetensors checkpoint shards: %3d%% Completed | %d/4",
					i * 25, i);
	}
	if (!bare)
		say_loaded(start);
}

void es_idle(void)
{
	for (;;)
		pause();
}
