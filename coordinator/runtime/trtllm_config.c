/* trtllm_config.c - settings of TensorRT-LLM that trtllm-serve has no flag for: a YAML file. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum kind { BOOLEAN, NUMBER, WHOLE, TEXT, KIND_COUNT_ };

/* In the order of the file: sections and their keys by name. */
static const struct option {
	const char *key;     /* of the recipe */
	const char *section; /* NULL = none */
	const char *name;
	enum kind kind;
} options[] = {
	{ "cuda_graph_padding", "cuda_graph_config", "enable_padding", BOOLEAN },
	{ "cuda_graph_max_batch_size", "cuda_graph_config", "max_batch_size", WHOLE },
	{ "kv_cache_dtype", "kv_cache_config", "dtype", TEXT },
	{ "kv_cache_enable_block_reuse", "kv_cache_config", "enable_block_reuse", BOOLEAN },
	{ "free_gpu_memory_fraction", "kv_cache_config", "free_gpu_memory_fraction", NUMBER },
	{ "moe_backend", "moe_config", "backend", TEXT },
	{ "print_iter_log", NULL, "print_iter_log", BOOLEAN },
};

static int refuse(const struct sb_workload *w, const struct sb_value *value, const char *want,
		struct sb_err *err)
{
	return sb_err_set(err, SB_E_INVALID, "%s:%u:%u: %s: expected %s, got '%.40s'",
			sb_workload_path(w), value->line, value->col, value->key, want,
			value->text);
}

static int add_boolean(const struct sb_workload *w, const struct sb_value *value,
		struct sb_strbuf *out, struct sb_err *err)
{
	return sb_strbuf_adds(out, value->truthy ? "true" : "false");
}

static int add_number(const struct sb_workload *w, const struct sb_value *value,
		struct sb_strbuf *out, struct sb_err *err)
{
	char *end;
	double number = strtod(value->text, &end);

	if (end == value->text || *end)
		return refuse(w, value, "a number", err);
	return sb_yaml_render_float(number, out);
}

static int add_whole(const struct sb_workload *w, const struct sb_value *value,
		struct sb_strbuf *out, struct sb_err *err)
{
	int64_t number = 0;
	int rc = sb_workload_int(w, value->key, 0, INT32_MAX, &number, err);

	return rc < 0 ? rc : sb_strbuf_addf(out, "%d", (int)number);
}

static int add_text(const struct sb_workload *w, const struct sb_value *value,
		struct sb_strbuf *out, struct sb_err *err)
{
	int rc = sb_yaml_write_scalar(out, value->text);

	return rc == -SB_E_INVALID ? refuse(w, value, "text in UTF-8", err) : rc;
}

static int add_option(const struct sb_workload *w, const struct option *option,
		const struct sb_value *value, struct sb_strbuf *out, struct sb_err *err)
{
	static int (*const add[])(const struct sb_workload *, const struct sb_value *,
			struct sb_strbuf *, struct sb_err *) = {
		[BOOLEAN] = add_boolean,
		[NUMBER] = add_number,
		[WHOLE] = add_whole,
		[TEXT] = add_text,
	};
	int rc;

	_Static_assert(sb_countof(add) == KIND_COUNT_, "one writer for each kind");
	sb_strbuf_addf(out, "%s%s: ", option->section ? "  " : "", option->name);
	rc = add[option->kind](w, value, out, err);
	if (rc == 0)
		sb_strbuf_addc(out, '\n');
	return rc == -SB_E_NOMEM ? sb_err_nomem(err) : rc;
}

int sb_trtllm_config(const struct sb_workload *w, struct sb_strbuf *out, struct sb_err *err)
{
	const char *section = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_countof(options); i++) {
		const struct sb_value *value = sb_workload_config(w, options[i].key);
		const char *own = options[i].section;

		if (!value)
			continue;
		if (own && (!section || strcmp(own, section) != 0))
			sb_strbuf_addf(out, "%s:\n", own);
		section = own;
		rc = add_option(w, &options[i], value, out, err);
	}
	if (rc < 0)
		return rc;
	return out->failed ? sb_err_nomem(err) : 0;
}
