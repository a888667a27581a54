#include <string.h>

#include "sb_monitor.h"

void sb_monitor_history_add(struct sb_monitor_history *history, int32_t percent)
{
	if (percent != SB_MONITOR_NONE)
		percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	history->values[history->at] = percent;
	history->at = (history->at + 1) % SB_MONITOR_HISTORY;
	if (history->n < SB_MONITOR_HISTORY)
		history->n++;
}

void sb_monitor_spark(const struct sb_monitor_history *history, size_t width, bool ascii,
		struct sb_strbuf *out)
{
	/* U+2581 to U+2588 */
	static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };

	for (size_t i = width; i > 0; i--) {
		size_t at = (history->at + SB_MONITOR_HISTORY - i) % SB_MONITOR_HISTORY;
		int32_t value = i <= history->n ? history->values[at] : SB_MONITOR_NONE;

		if (value == SB_MONITOR_NONE)
			sb_strbuf_addc(out, ' ');
		else if (ascii)
			sb_strbuf_addc(out, (char)('0' + value * 9 / 100));
		else
			sb_strbuf_adds(out, blocks[value * 7 / 100]);
	}
}

void sb_monitor_lines_add(struct sb_monitor_lines *lines, char *text)
{
	if (!text)
		return;
	if (lines->n == SB_MONITOR_LINES) {
		free(lines->items[0]);
		memmove(lines->items, lines->items + 1, (--lines->n) * sizeof(*lines->items));
	}
	lines->items[lines->n++] = text;
}

void sb_monitor_lines_done(struct sb_monitor_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->items[i]);
	lines->n = 0;
}

int sb_monitor_model_init(
		struct sb_monitor_model *model, size_t n_nodes, size_t n_jobs, struct sb_err *err)
{
	*model = (struct sb_monitor_model){ .n_nodes = n_nodes, .n_jobs = n_jobs };
	model->nodes = calloc(n_nodes + 1, sizeof(*model->nodes));
	model->jobs = calloc(n_jobs + 1, sizeof(*model->jobs));
	if (!model->nodes || !model->jobs) {
		model->n_nodes = model->n_jobs = 0;
		sb_monitor_model_done(model);
		return sb_err_nomem(err);
	}
	for (size_t i = 0; i < n_nodes; i++) {
		struct sb_monitor_node *n = &model->nodes[i];

		n->memory_percent = n->gpu_percent = n->gpu_c = n->gpu_w = SB_MONITOR_NONE;
	}
	return 0;
}

static void node_done(struct sb_monitor_node *n)
{
	free(n->name);
	free(n->silent);
	free(n->health);
	free(n->memory);
	free(n->fabric);
}

static void job_done(struct sb_monitor_job *j)
{
	char *const texts[] = { j->id, j->name, j->state, j->health, j->up, j->model, j->url,
		j->reason, j->nodes, j->tokens, j->kv, j->requests };

	for (size_t i = 0; i < sb_countof(texts); i++)
		free(texts[i]);
}

void sb_monitor_model_done(struct sb_monitor_model *model)
{
	for (size_t i = 0; i < model->n_nodes; i++)
		node_done(&model->nodes[i]);
	for (size_t i = 0; i < model->n_jobs; i++)
		job_done(&model->jobs[i]);
	free(model->nodes);
	free(model->jobs);
	*model = (struct sb_monitor_model){ 0 };
}

void sb_monitor_model_follow(struct sb_monitor_model *model, const struct sb_monitor_model *before)
{
	for (size_t i = 0; i < model->n_nodes; i++) {
		struct sb_monitor_node *n = &model->nodes[i];

		for (size_t k = 0; n->name && k < before->n_nodes; k++) {
			const struct sb_monitor_node *old = &before->nodes[k];

			if (!old->name || strcmp(old->name, n->name) != 0)
				continue;
			n->memory_history = old->memory_history;
			n->gpu_history = old->gpu_history;
			break;
		}
		sb_monitor_history_add(&n->memory_history, n->memory_percent);
		sb_monitor_history_add(&n->gpu_history, n->gpu_percent);
	}
}
