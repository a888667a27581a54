/* What is selected, and in which order the nodes stand. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sb_monitor.h"

/* What a node is sorted by, the highest first. */
static int64_t rank_of(const struct sb_monitor_node *n, enum sb_monitor_sort sort)
{
	const int64_t keys[] = {
		[SB_MONITOR_BY_NAME] = 0,
		[SB_MONITOR_BY_MEMORY] = n->memory_percent,
		[SB_MONITOR_BY_GPU] = n->gpu_percent,
		[SB_MONITOR_BY_JOBS] = n->jobs,
	};

	static_assert(sb_countof(keys) == SB_MONITOR_SORT_COUNT_, "a key each");
	if (n->silent && sort != SB_MONITOR_BY_NAME)
		return INT64_MIN;
	return keys[sort];
}

static bool before(const struct sb_monitor_node *a, const struct sb_monitor_node *b,
		enum sb_monitor_sort sort)
{
	if (sort == SB_MONITOR_BY_NAME)
		return strverscmp(a->name ? a->name : "", b->name ? b->name : "") <
				0; /* 2 before 10 */
	return rank_of(a, sort) > rank_of(b, sort);
}

/* By insertion: it is stable, and a cluster has few nodes. */
void sb_monitor_order(
		const struct sb_monitor_model *model, enum sb_monitor_sort sort, size_t *ret_order)
{
	for (size_t i = 0; i < model->n_nodes; i++) {
		size_t k = i;

		for (; k && before(&model->nodes[i], &model->nodes[ret_order[k - 1]], sort); k--)
			ret_order[k] = ret_order[k - 1];
		ret_order[k] = i;
	}
}

static bool is_selected(const struct sb_monitor_view *view, bool job, const char *key)
{
	return view->on_job == job && key && !strncmp(view->selected, key, SB_MONITOR_KEY - 1);
}

/* Row of the selection among the nodes, in @order, and the jobs behind them; what has gone is the
 * first row. */
static size_t selected_row(const struct sb_monitor_model *model, const size_t *order,
		const struct sb_monitor_view *view)
{
	for (size_t i = 0; i < model->n_nodes; i++)
		if (is_selected(view, false, model->nodes[order[i]].name))
			return i;
	for (size_t i = 0; i < model->n_jobs; i++)
		if (is_selected(view, true, model->jobs[i].id))
			return model->n_nodes + i;
	return 0;
}

void sb_monitor_move(const struct sb_monitor_model *model, struct sb_monitor_view *view, int by)
{
	SB_CLEANUP(sb_freep) size_t *order = calloc(model->n_nodes + 1, sizeof(*order));
	long rows = (long)(model->n_nodes + model->n_jobs), row;
	const char *key;

	if (!order || !rows)
		return;
	sb_monitor_order(model, view->sort, order);
	row = (long)selected_row(model, order, view) + by;
	row = row < 0 ? 0 : row >= rows ? rows - 1 : row;
	view->on_job = row >= (long)model->n_nodes;
	key = view->on_job ? model->jobs[row - (long)model->n_nodes].id
			   : model->nodes[order[row]].name;
	snprintf(view->selected, sizeof(view->selected), "%s", key ? key : "");
}

const char *sb_monitor_log_job(
		const struct sb_monitor_model *model, const struct sb_monitor_view *view)
{
	for (size_t i = 0; i < model->n_jobs; i++)
		if (is_selected(view, true, model->jobs[i].id))
			return model->jobs[i].id;
	return model->n_jobs ? model->jobs[0].id : NULL;
}
