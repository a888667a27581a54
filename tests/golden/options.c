#include <stdio.h>

#include "golden.h"
#include "sb_shellwords.h"

static void add(struct sb_words *out, const char *flag, const char *value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf word = SB_STRBUF_INIT;

	sb_strbuf_addf(&word, "%s=%s", flag, value);
	if (word.failed || sb_words_add(out, sb_strbuf_str(&word)) < 0)
		abort();
}

static void add_set(struct sb_words *out, const char *flag, const char *value)
{
	if (*value)
		add(out, flag, value);
}

static void add_bytes(struct sb_words *out, const char *flag, uint64_t bytes)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	if (bytes)
		add(out, flag, text);
}

static void add_list(struct sb_words *out, const char *flag, char *const *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(out, flag, items[i]);
}

static void add_limits(struct sb_words *out, const Sparkbus__ContainerOptions *o)
{
	for (size_t i = 0; i < o->n_ulimits; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		sb_strbuf_addf(&text, "%s=%lld:%lld", o->ulimits[i]->name,
				(long long)o->ulimits[i]->soft, (long long)o->ulimits[i]->hard);
		add(out, "--ulimit", sb_strbuf_str(&text));
	}
}

int golden_options(const Sparkbus__ContainerOptions *o, struct sb_words *ret)
{
	const struct {
		bool on;
		const char *word;
	} flags[] = {
		{ o->privileged, "--privileged" },
		{ o->auto_remove, "--rm" },
		{ o->init, "--init" },
	};

	for (size_t i = 0; i < sb_countof(flags); i++)
		if (flags[i].on && sb_words_add(ret, flags[i].word) < 0)
			return -SB_E_NOMEM;
	if (o->has_entrypoint_case == SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT)
		add(ret, "--entrypoint", o->entrypoint);
	add_set(ret, "--gpus", o->gpus);
	add_set(ret, "--ipc", o->ipc);
	add_bytes(ret, "--shm-size", o->shm_bytes);
	add_set(ret, "--network", o->network);
	add_set(ret, "--user", o->user);
	add_list(ret, "--security-opt", o->security_opt, o->n_security_opt);
	add_list(ret, "--cap-add", o->cap_add, o->n_cap_add);
	add_limits(ret, o);
	for (size_t i = 0; i < o->n_devices; i++)
		add(ret, "--device", o->devices[i]->path);
	add_bytes(ret, "--memory", o->memory_bytes);
	add_list(ret, "--label", o->labels, o->n_labels);
	add_set(ret, "--restart", o->restart_policy);
	return 0;
}
