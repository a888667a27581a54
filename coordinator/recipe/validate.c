/* validate.c - the format's own remarks on a recipe, in the published words. They never stop a
 * launch: the recipe may still be right for the engine. */
#include <string.h>

#include "internal.h"

/* Written with '_' for '-'. */
static const char *const dtypes[] = {
	"float32",
	"fp32",
	"float16",
	"fp16",
	"bfloat16",
	"bf16",
	"int8",
	"fp8",
	"fp8_e5m2",
	"fp8_e4m3",
	"awq8",
	"int4",
	"awq",
	"awq4",
	"w4a16_awq",
	"nvfp4",
	"gptq",
	"mxfp4",
	"q8_1",
	"q8_0",
	"q8_k",
	"q6_k",
	"q5_1",
	"q5_0",
	"q5_k",
	"q5_k_s",
	"q5_k_m",
	"q4_1",
	"q4_0",
	"q4_k",
	"q4_k_s",
	"q4_k_m",
	"iq4_nl",
	"iq4_xs",
	"q3_k",
	"q3_k_s",
	"q3_k_m",
	"iq3_s",
	"iq3_xxs",
	"q2_k",
	"q2_k_s",
	"iq2_xs",
	"iq2_s",
	"tq2_0",
	"iq2_xxs",
	"iq1_s",
	"iq1_m",
	"tq1_0",
};

static const char *const quantizations[] = {
	"awq",
	"gptq",
	"marlin",
	"fp8",
	"nvfp4",
	"mxfp4",
	"bitsandbytes",
	"compressed-tensors",
	"auto-round",
	"autoround",
	"auto_round",
	"gguf",
	"int4",
	"int8",
	"none",
};

static bool in_list(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(text, list[i]))
			return true;
	return false;
}

static bool is_dtype(const char *text)
{
	char name[32];
	size_t n = 0;

	for (; text[n] && n + 1 < sizeof(name); n++)
		name[n] = text[n] == '-' ? '_' : text[n];
	name[n] = '\0';
	return !text[n] && in_list(name, dtypes, sb_countof(dtypes));
}

static bool is_quantization(const char *text)
{
	return in_list(text, quantizations, sb_countof(quantizations));
}

/* "8B", "1.5 b", "480M", "7_000_000_000", "7.0e9"; not "30B-A3B". */
static bool is_param_count(const char *text)
{
	char digits[48], *end;
	size_t n = 0;

	for (; *text && n + 1 < sizeof(digits); text++)
		if (*text != '_')
			digits[n++] = *text;
	digits[n] = '\0';
	if (*text || strspn(digits, " +-.0123456789eEkKmMbBtT") != n)
		return false;
	strtod(digits, &end);
	if (end == digits)
		return false;
	end += strspn(end, " ");
	if (*end && strchr("kKmMbBtT", *end))
		end++;
	return !end[strspn(end, " ")];
}

static const struct {
	const char *key;
	bool (*is_good)(const char *text);
	const char *what;
} metadata_rules[] = {
	{ "model_params", is_param_count, "a valid parameter count" },
	{ "model_dtype", is_dtype, "a recognized dtype" },
	{ "kv_dtype", is_dtype, "a recognized dtype" },
	{ "quantization", is_quantization, "a recognized method" },
};

static void warn_at(struct sb_diags *diags, const struct sb_yaml_node *node, const char *text)
{
	sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(node), sb_yaml_col(node), "%s", text);
}

static void validate_metadata(const struct sb_workload *w, struct sb_diags *diags)
{
	const struct sb_yaml_node *metadata = sb_workload_metadata(w);

	for (size_t i = 0; i < sb_countof(metadata_rules); i++) {
		const struct sb_yaml_node *node = sb_yaml_get(metadata, metadata_rules[i].key);

		if (sb_yaml_type(node) == SB_YAML_NULL ||
				metadata_rules[i].is_good(sb_yaml_str(node)))
			continue;
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(node), sb_yaml_col(node),
				"metadata.%s '%s' is not %s", metadata_rules[i].key,
				sb_yaml_str(node), metadata_rules[i].what);
	}
}

void sb_workload_validate(const struct sb_workload *w, struct sb_diags *diags)
{
	const struct sb_recipe *recipe = w->recipe;
	const struct sb_yaml_node *mode = sb_yaml_get(recipe->root, "mode");
	const struct sb_yaml_node *min = sb_yaml_get(recipe->root, "min_nodes");
	const struct sb_yaml_node *max = sb_yaml_get(recipe->root, "max_nodes");
	const char *text = sb_yaml_str(mode);

	if (sb_empty(w->runtime))
		warn_at(diags, sb_yaml_get(recipe->root, "runtime"),
				"Recipe missing 'runtime' field");
	if (mode && strcmp(text, "solo") && strcmp(text, "cluster") && strcmp(text, "auto"))
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(mode), sb_yaml_col(mode),
				"Invalid mode '%s'; expected 'solo', 'cluster', or 'auto'", text);
	if (recipe->min_nodes < 1)
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(min), sb_yaml_col(min),
				"min_nodes must be >= 1, got %lld", (long long)recipe->min_nodes);
	if (recipe->max_nodes && recipe->max_nodes < recipe->min_nodes)
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(max), sb_yaml_col(max),
				"max_nodes (%lld) < min_nodes (%lld)", (long long)recipe->max_nodes,
				(long long)recipe->min_nodes);
	validate_metadata(w, diags);
}
