#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Every published one, by name. */
static const struct sb_runtime *const table[] = {
	&sb_runtime_atlas,
	&sb_runtime_eugr_vllm,
	&sb_runtime_llama_cpp,
	&sb_runtime_sglang,
	&sb_runtime_trtllm,
	&sb_runtime_vllm_distributed,
	&sb_runtime_vllm_ray,
};

const struct sb_runtime *sb_runtime_at(size_t i)
{
	return i < sb_countof(table) ? table[i] : NULL;
}

int sb_runtime_find(const char *name, const struct sb_runtime **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;

	for (size_t i = 0; i < sb_countof(table); i++) {
		if (!strcmp(table[i]->name, name)) {
			*ret = table[i];
			return 0;
		}
		sb_strbuf_addf(&names, "%s%s", i ? ", " : "", table[i]->name);
	}
	return sb_err_set(err, SB_E_INVALID, "Unknown runtime: '%.80s'. Available: [%s]", name,
			sb_strbuf_str(&names));
}

void sb_rank_part_done(struct sb_rank_part *part)
{
	sb_strbuf_done(&part->serve);
	sb_words_done(&part->before);
	for (size_t i = 0; i < part->n_files; i++) {
		free(part->files[i].path);
		free(part->files[i].content);
	}
	free(part->files);
	*part = (struct sb_rank_part){ 0 };
}

void sb_rank_part_port(struct sb_rank_part *part, uint16_t port)
{
	for (size_t i = 0; i < part->n_ports; i++)
		if (part->ports[i] == port)
			return;
	if (port && part->n_ports < SB_RANK_PORTS_MAX)
		part->ports[part->n_ports++] = port;
}

int sb_rank_part_file(struct sb_rank_part *part, const char *path, const void *content, size_t len,
		unsigned mode, bool secret)
{
	struct sb_rank_file *files = reallocarray(part->files, part->n_files + 1, sizeof(*files));
	SB_CLEANUP(sb_freep) char *name = strdup(path);
	char *copy = malloc(len + 1);

	if (files)
		part->files = files;
	if (!files || !name || !copy) {
		free(copy);
		return -SB_E_NOMEM;
	}
	if (len)
		memcpy(copy, content, len);
	files[part->n_files++] = (struct sb_rank_file){
		.path = sb_steal(name), .content = copy, .len = len, .mode = mode, .secret = secret
	};
	return 0;
}

/* --- shared by runtimes --- */

static bool in_list(const char *key, const char *const *list)
{
	for (; list && *list; list++)
		if (!strcmp(key, *list))
			return true;
	return false;
}

void sb_flags_add(const struct sb_workload *w, const struct sb_flag *flags, size_t n,
		const char *const *skip, struct sb_strbuf *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct sb_value *value = sb_workload_config(w, flags[i].key);

		if (!value || in_list(flags[i].key, skip))
			continue;
		if (!flags[i].boolean)
			sb_strbuf_addm(out, sb_value_mark(w, value), " %s %s", flags[i].flag,
					value->text);
		else if (sb_value_flag(value))
			sb_strbuf_addm(out, sb_value_mark(w, value), " %s", flags[i].flag);
	}
}

void sb_served_name_add(const struct sb_workload *w, const char *flag, struct sb_strbuf *out)
{
	const struct sb_value *name = sb_workload_config(w, "served_model_name");

	if (name && !strstr(sb_strbuf_str(out), flag))
		sb_strbuf_addm(out, sb_value_mark(w, name), " %s %s", flag, name->text);
}

int sb_template_add(const struct sb_workload *w, struct sb_strbuf *out, bool *ret,
		struct sb_diags *diags, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = sb_workload_command(w, &text, ret, diags, err);

	if (rc < 0 || !*ret)
		return rc;
	sb_shell_trim_tail_buf(&text);
	return sb_strbuf_add_part(out, &text, 0, text.len) < 0 ? sb_err_nomem(err) : 0;
}

void sb_model_add(const struct sb_workload *w, const char *before, struct sb_strbuf *out)
{
	sb_strbuf_adds(out, before);
	sb_strbuf_addm(out, sb_value_mark(w, sb_workload_config(w, "model")), " %s",
			sb_workload_model(w));
}

int sb_template_words(const struct sb_workload *w, struct sb_words *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	enum sb_shell_kind kind;
	bool has_template = false;
	int rc = sb_template_add(w, &text, &has_template, NULL, err);

	if (rc == 0 && has_template)
		sb_shell_split(sb_strbuf_str(&text), ret, &kind, NULL);
	return rc;
}

int sb_parallel_of(const struct sb_workload *w, const char *key, unsigned *ret, struct sb_err *err)
{
	int64_t value = 1;
	int rc = sb_workload_int(w, key, 1, SB_PARALLEL_MAX, &value, err);

	if (rc == 0)
		*ret = (unsigned)value;
	return rc;
}

int sb_parallel_required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	static const char *const keys[] = { "tensor_parallel", "pipeline_parallel",
		"data_parallel" };
	unsigned product = 1, factor;
	bool any = false;

	for (size_t i = 0; i < sb_countof(keys); i++) {
		int rc = sb_parallel_of(w, keys[i], &factor, err);

		if (rc < 0)
			return rc;
		any = any || sb_workload_config(w, keys[i]);
		if (__builtin_mul_overflow(product, factor, &product))
			return sb_err_set(err, SB_E_RANGE,
					"tensor, pipeline and data parallelism multiply past any "
					"cluster");
	}
	*ret = any ? product : 0;
	return 0;
}

/* --- readiness --- */

uint16_t sb_words_port(const struct sb_words *words, uint16_t otherwise)
{
	const char *text = sb_words_flag(words, "--port");
	long port = text ? strtol(text, NULL, 10) : 0;

	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : otherwise;
}

unsigned sb_words_size(const struct sb_words *words, const char *const *flags)
{
	const char *text = sb_words_any(words, flags);
	long value = text ? strtol(text, NULL, 10) : 1;

	return value > 0 && value <= SB_PARALLEL_MAX ? (unsigned)value : 1;
}

const char *sb_words_any(const struct sb_words *words, const char *const *flags)
{
	const char *value = NULL;

	for (; *flags && !value; flags++)
		value = sb_words_flag(words, *flags);
	return value;
}

/* An address that every interface shares is reached at the loopback. */
static const char *host_to_ask(const char *host)
{
	static const char *const any[] = { "", "0.0.0.0", "::", "[::]", "*", "localhost" };

	for (size_t i = 0; host && i < sb_countof(any); i++)
		if (!strcmp(host, any[i]))
			host = NULL;
	return host ? host : "127.0.0.1";
}

/* Overrides and defaults, then the environment, then the words. */
static const char *api_key_of(const struct sb_workload *w, const struct sb_words *words,
		const struct sb_endpoint *endpoint)
{
	const char *key = sb_workload_text(w, "api_key", "");

	if (!*key && endpoint->key_env)
		key = sb_workload_env(w, endpoint->key_env);
	if (sb_empty(key))
		key = sb_words_flag(words, endpoint->key_flag);
	return key && *key != '{' && *key != '$' ? key : "";
}

static void warn_port(const struct sb_workload *w, uint16_t port, struct sb_diags *diags)
{
	const struct sb_value *value = sb_workload_config(w, "port");
	int64_t want = port;

	if (value && (!sb_workload_int(w, "port", 1, UINT16_MAX, &want, NULL) && want != port))
		sb_diag_add(diags, SB_DIAG_WARNING, value->line, value->col,
				"port %s is set, but the command does not use {port}: the engine "
				"listens on %u",
				value->text, port);
}

int sb_ready_endpoint(const struct sb_workload *w, const struct sb_words *words,
		const struct sb_endpoint *endpoint, struct sb_ready *ret, struct sb_diags *diags,
		struct sb_err *err)
{
	const char *const host_flags[] = { "--host", endpoint->host_also, NULL };
	int64_t port = 0;
	int rc = sb_workload_int(w, "port", 1, UINT16_MAX, &port, err);

	if (rc < 0)
		return rc;
	ret->port = sb_words_port(words, endpoint->port);
	warn_port(w, ret->port, diags);
	ret->host = host_to_ask(sb_words_any(words, host_flags));
	ret->api_key = api_key_of(w, words, endpoint);
	return 0;
}
