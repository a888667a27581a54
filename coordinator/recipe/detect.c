/* detect.c - which runtime and builder a recipe means. The order is the format's: command hint,
 * version 1, eugr signals, vLLM variant. Pure text; whether such a runtime exists is for the
 * runtime table to say. */
#include <ctype.h>
#include <string.h>

#include "internal.h"

#define EUGR_IMAGE "ghcr.io/spark-arena/dgx-vllm-eugr-nightly"

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* @words (separated by one blank in the pattern) at the start of @s with blanks between them and
 * a word boundary behind. */
static bool starts_with_words(const char *s, const char *words)
{
	while (*words) {
		if (*words == ' ') {
			if (!isspace((unsigned char)*s))
				return false;
			while (isspace((unsigned char)*s))
				s++;
			words++;
			continue;
		}
		if (*s++ != *words++)
			return false;
	}
	return !is_word_char(*s);
}

static bool is_mpirun_trtllm(const char *s)
{
	const char *hit = strstr(s, "trtllm"), *line_end = s + strcspn(s, "\n");

	return starts_with_words(s, "mpirun") && hit && hit < line_end;
}

static const struct {
	const char *words, *runtime;
} hints[] = {
	{ "vllm serve", "vllm" },
	{ "sglang serve", "sglang" },
	{ "python -m sglang.launch_server", "sglang" },
	{ "python3 -m sglang.launch_server", "sglang" },
	{ "llama-server", "llama-cpp" },
};

/* The runtime that a command's first words name; NULL when they name none. */
static const char *hinted(const char *command)
{
	if (!command)
		return NULL;
	command += strspn(command, " \t\r\n\v\f");
	for (size_t i = 0; i < sb_countof(hints); i++)
		if (starts_with_words(command, hints[i].words))
			return hints[i].runtime;
	if (!strncmp(command, "trtllm-serve", 12) || is_mpirun_trtllm(command))
		return "trtllm";
	return NULL;
}

static bool is_vllm(const char *runtime)
{
	return !*runtime || !strcmp(runtime, "vllm");
}

static bool has_eugr_signal(const struct sb_workload *w)
{
	const char *image = w->image + strspn(w->image, " \t\r\n");

	return sb_node_truthy(sb_workload_key(w, "build_args")) ||
			sb_node_truthy(sb_workload_key(w, "mods")) ||
			!strncmp(image, EUGR_IMAGE, strlen(EUGR_IMAGE));
}

/* "--distributed-executor-backend ray" in the template; "=ray" is not recognised. */
static bool template_says_ray(const char *command)
{
	static const char flag[] = "--distributed-executor-backend";
	const char *p = command;

	while (p && (p = strstr(p, flag))) {
		p += strlen(flag);
		if (starts_with_words(p, " ray"))
			return true;
	}
	return false;
}

static const char *vllm_variant(const struct sb_workload *w)
{
	const char *backend = sb_workload_text(w, "distributed_executor_backend", "");

	if (!strcasecmp(backend, "ray") || template_says_ray(w->recipe->command))
		return "vllm-ray";
	return "vllm-distributed";
}

void sb_workload_detect(struct sb_workload *w)
{
	const struct sb_recipe *recipe = w->recipe;
	const char *version = sb_yaml_str(sb_yaml_get(recipe->root, "recipe_version"));
	const char *hint;

	w->runtime = sb_yaml_str(sb_yaml_get(recipe->root, "runtime"));
	w->builder = sb_yaml_str(sb_yaml_get(recipe->root, "builder"));
	if (!*w->runtime) {
		hint = hinted(recipe->command);
		if (!hint && recipe->runtime_is_null)
			return; /* null is not the same as absent: nothing is guessed */
		w->runtime = hint ? hint : "";
	}
	if (!is_vllm(w->runtime))
		return;
	if (!*w->builder && (!strcmp(version, "1") || has_eugr_signal(w)))
		w->builder = "eugr";
	w->runtime = vllm_variant(w);
}
