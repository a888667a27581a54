#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sb_metrics.h"

#define AT(member) offsetof(struct sb_load, member), offsetof(struct sb_load, has_##member)

/* Names by engine. Only the newest and the one before it, where an engine has renamed one. */
static const struct row {
	const char *name;
	size_t value, known;
	bool fullest; /* the largest counts, not the sum */
} rows[] = {
	{ "vllm:num_requests_running", AT(running) },
	{ "vllm:num_requests_waiting", AT(waiting) },
	{ "vllm:generation_tokens_total", AT(generated) },
	{ "vllm:prompt_tokens_total", AT(prompt) },
	{ "vllm:kv_cache_usage_perc", AT(kv), true },
	{ "vllm:gpu_cache_usage_perc", AT(kv), true },
	{ "sglang:num_running_reqs", AT(running) },
	{ "sglang:num_queue_reqs", AT(waiting) },
	{ "sglang:generation_tokens_total", AT(generated) },
	{ "sglang:prompt_tokens_total", AT(prompt) },
	{ "sglang:token_usage", AT(kv), true },
	{ "llamacpp:requests_processing", AT(running) },
	{ "llamacpp:requests_deferred", AT(waiting) },
	{ "llamacpp:tokens_predicted_total", AT(generated) },
	{ "llamacpp:prompt_tokens_total", AT(prompt) },
	{ "llamacpp:kv_cache_usage_ratio", AT(kv), true },
};

static const struct row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < sb_countof(rows); i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

/* Behind the labels, in whose values braces may stand between quotes. */
static const char *after_labels(const char *at, const char *end)
{
	bool quoted = false;

	if (at == end || *at != '{')
		return at;
	for (at++; at < end; at++) {
		if (quoted && *at == '\\' && at + 1 < end)
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '}')
			return at + 1;
	}
	return NULL;
}

static void take(struct sb_load *load, const struct row *row, double number)
{
	double *value = (double *)((char *)load + row->value);
	bool *known = (bool *)((char *)load + row->known);

	if (!isfinite(number) || number < 0)
		return;
	if (!*known)
		*value = number;
	else if (row->fullest)
		*value = number > *value ? number : *value;
	else
		*value += number;
	*known = true;
}

static void parse_line(const char *line, const char *end, struct sb_load *load)
{
	size_t len = 0;
	const struct row *row;
	char number[64];
	const char *at;
	char *rest;
	double value;

	while (line + len < end && line[len] != '{' && line[len] != ' ' && line[len] != '\t')
		len++;
	row = find_row(line, len);
	at = row ? after_labels(line + len, end) : NULL;
	if (!at)
		return;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	for (len = 0; at + len < end && at[len] != ' ' && len + 1 < sizeof(number); len++)
		number[len] = at[len];
	if (at + len < end && at[len] != ' ')
		return; /* longer than any number */
	number[len] = '\0';
	value = strtod(number, &rest); /* the agent stays in the C locale for numbers */
	if (rest != number && (*rest == '\0' || *rest == '\r'))
		take(load, row, value);
}

void sb_metrics_parse(const char *text, size_t len, struct sb_load *ret)
{
	const char *end = text + len;

	*ret = (struct sb_load){ 0 };
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		parse_line(text, stop, ret);
		text = stop + 1;
	}
}
