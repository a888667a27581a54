/* The screen: a title, the nodes, the jobs, and a pane of events or of a job's log. Each part gets
 * rows by what it has to show, each column width by what stands in it; what matters less goes
 * first when there is no room. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Below this nothing can be read. */
#define WIDTH_MIN  20u
#define HEIGHT_MIN 5u
/* Title, and the heads of nodes, jobs and pane. */
#define HEAD_ROWS 4u

enum {
	NODE_NAME,
	NODE_HEALTH,
	NODE_MEMORY,
	NODE_MEMORY_SPARK,
	NODE_GPU,
	NODE_GPU_SPARK,
	NODE_C,
	NODE_W,
	NODE_FABRIC,
	NODE_JOBS,
	NODE_COLUMNS
};
enum {
	JOB_NAME,
	JOB_STATE,
	JOB_HEALTH,
	JOB_UP,
	JOB_TOKENS,
	JOB_KV,
	JOB_REQUESTS,
	JOB_NODES,
	JOB_COLUMNS
};
#define COLUMNS_MAX 10

struct column {
	const char *title;
	size_t min, max;  /* widths; max 0 = as wide as what stands in it */
	unsigned matters; /* the higher, the sooner it goes */
	bool right;
};

static const struct column node_columns[NODE_COLUMNS] = {
	[NODE_NAME] = { "NODE", 6, 0, 0 },
	[NODE_HEALTH] = { "HEALTH", 6, 0, 1 },
	[NODE_MEMORY] = { "AVAILABLE", 17, 0, 2 },
	[NODE_MEMORY_SPARK] = { "MEMORY", 6, SB_MONITOR_HISTORY, 5 },
	[NODE_GPU] = { "GPU", 4, 0, 3, true },
	[NODE_GPU_SPARK] = { "LOAD", 6, SB_MONITOR_HISTORY, 6 },
	[NODE_C] = { "C", 3, 0, 7, true },
	[NODE_W] = { "W", 3, 0, 8, true },
	[NODE_FABRIC] = { "FABRIC", 6, 0, 9 },
	[NODE_JOBS] = { "JOBS", 4, 0, 4, true },
};
static const struct column job_columns[JOB_COLUMNS] = {
	[JOB_NAME] = { "JOB", 8, 0, 0 },
	[JOB_STATE] = { "STATE", 5, 0, 1 },
	[JOB_HEALTH] = { "HEALTH", 7, 0, 2 },
	[JOB_UP] = { "UP", 6, 0, 5, true },
	[JOB_TOKENS] = { "TOK/S", 5, 0, 3, true },
	[JOB_KV] = { "KV", 4, 0, 4, true },
	[JOB_REQUESTS] = { "REQ", 5, 0, 6, true },
	[JOB_NODES] = { "NODES", 5, 0, 7 },
};

struct cell {
	struct sb_strbuf text;
	enum sb_monitor_tone tone;
};

/* A part of the screen: rows of cells below a head. */
struct table {
	const struct column *columns;
	size_t n;
	size_t widths[COLUMNS_MAX]; /* 0 = not shown */
	size_t gap;
};

struct frame {
	const struct sb_monitor_model *model;
	const struct sb_monitor_lines *lines;
	const struct sb_monitor_view *view;
	struct pen pen;
	size_t width, row; /* the next to be filled */
	size_t *order;
	struct table nodes, jobs;
};

static const char *shown(const char *text)
{
	return text && *text ? text : "-";
}

/* --- cells --- */

static void number(struct cell *cell, int32_t value, const char *unit)
{
	if (value == SB_MONITOR_NONE)
		sb_strbuf_addc(&cell->text, '-');
	else
		sb_strbuf_addf(&cell->text, "%d%s", value, unit);
}

static void node_cells(const struct frame *f, const struct sb_monitor_node *n, struct cell *cells)
{
	const size_t *widths = f->nodes.widths;

	sb_strbuf_adds(&cells[NODE_NAME].text, shown(n->name));
	sb_strbuf_adds(&cells[NODE_HEALTH].text, n->silent ? "unknown" : shown(n->health));
	cells[NODE_HEALTH].tone = n->silent ? SB_MONITOR_WARN
			: n->well           ? SB_MONITOR_GOOD
					    : SB_MONITOR_BAD;
	sb_strbuf_adds(&cells[NODE_MEMORY].text, shown(n->memory));
	sb_monitor_spark(&n->memory_history, widths[NODE_MEMORY_SPARK], f->view->ascii,
			&cells[NODE_MEMORY_SPARK].text);
	number(&cells[NODE_GPU], n->gpu_percent, "%");
	sb_monitor_spark(&n->gpu_history, widths[NODE_GPU_SPARK], f->view->ascii,
			&cells[NODE_GPU_SPARK].text);
	number(&cells[NODE_C], n->gpu_c, "");
	number(&cells[NODE_W], n->gpu_w, "");
	sb_strbuf_adds(&cells[NODE_FABRIC].text, shown(n->fabric));
	sb_strbuf_addf(&cells[NODE_JOBS].text, "%u", n->jobs);
}

static void job_cells(const struct sb_monitor_job *j, struct cell *cells)
{
	const char *const texts[JOB_COLUMNS] = { j->name, j->state, j->health, j->up, j->tokens,
		j->kv, j->requests, j->nodes };

	for (size_t i = 0; i < JOB_COLUMNS; i++)
		sb_strbuf_adds(&cells[i].text, shown(texts[i]));
	cells[JOB_STATE].tone = cells[JOB_HEALTH].tone = j->tone;
}

static void cells_done(struct cell *cells)
{
	for (size_t i = 0; i < COLUMNS_MAX; i++)
		sb_strbuf_done(&cells[i].text);
}

/* --- tables --- */

static void widen(struct table *table, const struct cell *cells)
{
	for (size_t i = 0; i < table->n; i++) {
		size_t width = pen_width(sb_strbuf_str(&cells[i].text));

		if (!table->columns[i].max && width > table->widths[i])
			table->widths[i] = width;
	}
}

/* The column that matters @nth most. */
static size_t nth_column(const struct table *table, unsigned nth)
{
	size_t i = 0;

	while (table->columns[i].matters != nth)
		i++;
	return i;
}

/* Turn the widths that the cells want into widths that fit: least widths first, in the order in
 * which columns matter, then what is left in the same order; sparklines take the rest. */
static void fit(struct table *table, size_t width)
{
	size_t wants[COLUMNS_MAX], left = width;

	table->gap = width >= 100 ? 2 : 1;
	memcpy(wants, table->widths, sizeof(wants));
	memset(table->widths, 0, sizeof(table->widths));
	for (unsigned nth = 0; nth < table->n; nth++) {
		size_t i = nth_column(table, nth), need = table->columns[i].min;

		if (need + (nth ? table->gap : 0) > left)
			break;
		left -= need + (nth ? table->gap : 0);
		table->widths[i] = need;
	}
	for (int sparks = 0; sparks < 2; sparks++) {
		for (unsigned nth = 0; nth < table->n; nth++) {
			size_t i = nth_column(table, nth), max = table->columns[i].max, more;

			if (!table->widths[i] || !max != !sparks)
				continue;
			/* Two sparklines share what is left. */
			more = max ? (i == NODE_MEMORY_SPARK && table->widths[NODE_GPU_SPARK]
								     ? left / 2
								     : left)
					: wants[i] > table->widths[i] ? wants[i] - table->widths[i]
								      : 0;
			more = max && more > max - table->widths[i] ? max - table->widths[i] : more;
			more = more > left ? left : more;
			table->widths[i] += more;
			left -= more;
		}
	}
}

static size_t put_cells(const struct frame *f, const struct table *table, const struct cell *cells,
		size_t first, size_t n)
{
	size_t col = 0;

	for (size_t i = 0; i < n; i++) {
		const char *text = sb_strbuf_str(&cells[i].text);

		if (!table->widths[i])
			continue;
		if (i >= first && table->columns[i].right)
			pen_right(&f->pen, f->row, col, table->widths[i], text, cells[i].tone);
		else if (i >= first)
			pen_put(&f->pen, f->row, col, table->widths[i], text, cells[i].tone);
		col += table->widths[i] + table->gap;
	}
	return col;
}

/* Titles, and at the right end which rows are shown when not all are. */
static void put_head(struct frame *f, const struct table *table, size_t from, size_t rows, size_t n)
{
	struct cell cells[COLUMNS_MAX] = { 0 };
	char range[64];

	for (size_t i = 0; i < table->n; i++)
		sb_strbuf_adds(&cells[i].text, table->columns[i].title);
	put_cells(f, table, cells, 0, table->n);
	cells_done(cells);
	if (rows < n) {
		snprintf(range, sizeof(range), " %zu-%zu of %zu", from + 1, from + rows, n);
		pen_right(&f->pen, f->row, f->width - 16, 16, range, SB_MONITOR_HEAD);
	}
	pen_row_tone(&f->pen, f->row++, SB_MONITOR_HEAD);
}

/* --- parts --- */

static void put_title(struct frame *f)
{
	static const char *const sorts[] = { "name", "memory", "GPU", "jobs" };
	size_t silent = 0, col;
	char text[160];

	for (size_t i = 0; i < f->model->n_nodes; i++)
		silent += f->model->nodes[i].silent != NULL;
	snprintf(text, sizeof(text), "sparkbus  %zu node%s", f->model->n_nodes,
			f->model->n_nodes == 1 ? "" : "s");
	col = pen_put(&f->pen, 0, 0, f->width, text, SB_MONITOR_PLAIN);
	if (silent) {
		snprintf(text, sizeof(text), ", %zu silent", silent);
		col += pen_put(&f->pen, 0, col, f->width - col, text, SB_MONITOR_WARN);
	}
	snprintf(text, sizeof(text), ", %zu job%s", f->model->n_jobs,
			f->model->n_jobs == 1 ? "" : "s");
	col += pen_put(&f->pen, 0, col, f->width - col, text, SB_MONITOR_PLAIN);
	if (*f->model->error)
		pen_put(&f->pen, 0, col + 2, f->width - col, f->model->error, SB_MONITOR_BAD);
	else if (!f->view->plain) {
		snprintf(text, sizeof(text), "by %s  %s  ? help", sorts[f->view->sort],
				*f->model->clock ? f->model->clock : "asking");
		if (col + 2 + strlen(text) <= f->width)
			pen_right(&f->pen, 0, col, f->width - col, text, SB_MONITOR_DIM);
	}
	f->row = 1;
}

static bool is_selected(const struct frame *f, bool job, const char *key, size_t at)
{
	const struct sb_monitor_view *v = f->view;

	if (v->plain)
		return false;
	if (!*v->selected)
		return !job && !at;
	return v->on_job == job && key && !strncmp(v->selected, key, SB_MONITOR_KEY - 1);
}

/* The first of @n rows to be shown in @rows, so that row @selected is among them. */
static size_t scroll(size_t selected, size_t rows, size_t n)
{
	if (selected < rows || !rows)
		return 0;
	return selected + 1 > n ? n - rows : selected + 1 - rows;
}

static void put_node(struct frame *f, const struct sb_monitor_node *n, bool marked)
{
	struct cell cells[COLUMNS_MAX] = { 0 };
	size_t col;

	node_cells(f, n, cells);
	if (!n->silent) {
		put_cells(f, &f->nodes, cells, 0, NODE_COLUMNS);
	} else {
		/* Why it is silent takes the place of what it does not tell. */
		col = put_cells(f, &f->nodes, cells, 0, NODE_HEALTH + 1);
		pen_put(&f->pen, f->row, col, f->width - col, n->silent, SB_MONITOR_DIM);
	}
	cells_done(cells);
	if (marked)
		pen_row_mark(&f->pen, f->row);
	f->row++;
}

static void put_nodes(struct frame *f, size_t rows)
{
	size_t n = f->model->n_nodes, selected = 0, from;

	for (size_t i = 0; i < n; i++)
		if (is_selected(f, false, f->model->nodes[f->order[i]].name, i))
			selected = i;
	from = scroll(selected, rows, n);
	put_head(f, &f->nodes, from, rows, n);
	for (size_t i = from; i < n && i < from + rows; i++) {
		const struct sb_monitor_node *node = &f->model->nodes[f->order[i]];

		put_node(f, node, is_selected(f, false, node->name, i));
	}
}

static void put_job(struct frame *f, const struct sb_monitor_job *j, size_t height, bool marked)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf more = SB_STRBUF_INIT;
	struct cell cells[COLUMNS_MAX] = { 0 };

	job_cells(j, cells);
	put_cells(f, &f->jobs, cells, 0, JOB_COLUMNS);
	cells_done(cells);
	if (marked)
		pen_row_mark(&f->pen, f->row);
	f->row++;
	if (height < 2)
		return;
	/* The address first: it is what people copy. */
	sb_strbuf_addf(&more, "  %s  %s", shown(j->url), shown(j->model));
	if (!sb_empty(j->reason))
		sb_strbuf_addf(&more, "  %s", j->reason);
	pen_put(&f->pen, f->row++, 0, f->width, sb_strbuf_str(&more), SB_MONITOR_DIM);
}

/* In @rows rows, two a job where they suffice. */
static void put_jobs(struct frame *f, size_t rows)
{
	size_t n = f->model->n_jobs, height = rows >= 2 * n || rows >= 6 ? 2 : 1;
	size_t fits = rows / height, selected = 0, from, end = f->row + 1 + rows;

	for (size_t i = 0; i < n; i++)
		if (is_selected(f, true, f->model->jobs[i].id, i))
			selected = i;
	from = scroll(selected, fits, n);
	put_head(f, &f->jobs, from, fits < n ? fits : n, n);
	if (!n && rows)
		pen_put(&f->pen, f->row, 0, f->width, *f->model->clock ? "none" : "",
				SB_MONITOR_DIM);
	for (size_t i = from; i < n && i < from + fits; i++)
		put_job(f, &f->model->jobs[i], height,
				is_selected(f, true, f->model->jobs[i].id, i));
	f->row = end;
}

static void put_pane(struct frame *f, size_t rows)
{
	const char *job = f->view->log ? sb_monitor_log_job(f->model, f->view) : NULL;
	size_t n = f->lines->n, from = n > rows ? n - rows : 0;
	char title[SB_MONITOR_KEY + 16];

	snprintf(title, sizeof(title), "%s%s", f->view->log ? "LOG " : "EVENTS", job ? job : "");
	pen_put(&f->pen, f->row, 0, f->width, title, SB_MONITOR_HEAD);
	pen_row_tone(&f->pen, f->row++, SB_MONITOR_HEAD);
	for (size_t i = from; i < n; i++)
		pen_put(&f->pen, f->row++, 0, f->width, f->lines->items[i], SB_MONITOR_PLAIN);
}

static void put_help(struct frame *f)
{
	static const char *const text[] = {
		"q, Ctrl-C      leave",
		"up/down, k/j   select a node, and below them a job",
		"Page Up/Down   ten rows at a time",
		"s              sort nodes: name, memory, GPU, jobs",
		"l              below: events, or the log of the selected job",
		"?              this, and back",
		"",
		"MEMORY, LOAD   memory in use and GPU load, a column a second, newest right",
		"C, W           of the GPU",
		"TOK/S KV REQ   tokens a second, cache in use, requests running + waiting:",
		"               what the engine says of itself; - when it does not",
	};

	for (size_t i = 0; i < sb_countof(text); i++)
		pen_put(&f->pen, f->row++, 0, f->width, text[i], SB_MONITOR_PLAIN);
}

/* --- the whole --- */

static void measure(struct frame *f)
{
	f->nodes = (struct table){ .columns = node_columns, .n = NODE_COLUMNS };
	f->jobs = (struct table){ .columns = job_columns, .n = JOB_COLUMNS };
	for (size_t i = 0; i < f->model->n_nodes; i++) {
		struct cell cells[COLUMNS_MAX] = { 0 };

		node_cells(f, &f->model->nodes[i], cells);
		widen(&f->nodes, cells);
		cells_done(cells);
	}
	for (size_t i = 0; i < f->model->n_jobs; i++) {
		struct cell cells[COLUMNS_MAX] = { 0 };

		job_cells(&f->model->jobs[i], cells);
		widen(&f->jobs, cells);
		cells_done(cells);
	}
	fit(&f->nodes, f->width);
	fit(&f->jobs, f->width);
}

/* A third for the pane at least; of the rest each part what it needs, else the nodes half. */
static void put_parts(struct frame *f, size_t height)
{
	size_t rows = height - HEAD_ROWS, pane = rows / 3 ? rows / 3 : 1, share = rows - pane;
	size_t nodes = f->model->n_nodes, jobs = f->model->n_jobs ? 2 * f->model->n_jobs : 1;

	if (nodes + jobs > share) {
		size_t rest = jobs < share - share / 2 ? share - jobs : share - share / 2;

		nodes = nodes < rest ? nodes : rest;
		jobs = jobs < share - nodes ? jobs : share - nodes;
	}
	put_nodes(f, nodes);
	put_jobs(f, jobs);
	put_pane(f, rows - nodes - jobs);
}

size_t sb_monitor_height(const struct sb_monitor_model *model, size_t lines)
{
	size_t parts = model->n_nodes + (model->n_jobs ? 2 * model->n_jobs : 1);
	size_t pane = lines > parts / 2 + 1 ? lines : parts / 2 + 1;
	size_t height = HEAD_ROWS + parts + pane;

	return height > SB_MONITOR_SIDE_MAX ? SB_MONITOR_SIDE_MAX : height;
}

int sb_monitor_frame(const struct sb_monitor_model *model, const struct sb_monitor_lines *lines,
		const struct sb_monitor_view *view, size_t width, size_t height,
		struct sb_monitor_frame *ret, struct sb_err *err)
{
	struct sb_monitor_frame frame = { .width = width, .height = height };
	SB_CLEANUP(sb_freep) size_t *order = calloc(model->n_nodes + 1, sizeof(*order));
	struct frame f = { model, lines, view, { &frame, view->ascii }, width, .order = order };

	if (!width || !height || width > SB_MONITOR_SIDE_MAX || height > SB_MONITOR_SIDE_MAX)
		return sb_err_set(err, SB_E_INVALID, "no frame is %zu by %zu", width, height);
	frame.cells = calloc(width * height, sizeof(*frame.cells));
	if (!frame.cells || !order) {
		sb_monitor_frame_done(&frame);
		return sb_err_nomem(err);
	}
	for (size_t i = 0; i < width * height; i++)
		frame.cells[i].ch = ' ';
	if (width < WIDTH_MIN || height < HEIGHT_MIN) {
		pen_put(&f.pen, 0, 0, width, "too small", SB_MONITOR_WARN);
	} else {
		sb_monitor_order(model, view->sort, order);
		measure(&f);
		put_title(&f);
		if (view->help)
			put_help(&f);
		else
			put_parts(&f, height);
	}
	*ret = frame;
	return 0;
}

static void add_char(struct sb_strbuf *out, uint32_t ch)
{
	unsigned more = ch < 0x80 ? 0 : ch < 0x800 ? 1 : ch < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };

	sb_strbuf_addc(out, (char)(lead[more] | ch >> (6 * more)));
	for (; more; more--)
		sb_strbuf_addc(out, (char)(0x80 | (ch >> (6 * (more - 1)) & 0x3f)));
}

void sb_monitor_frame_text(const struct sb_monitor_frame *frame, struct sb_strbuf *out)
{
	for (size_t row = 0; row < frame->height; row++) {
		const struct sb_monitor_cell *cells = &frame->cells[row * frame->width];
		size_t end = frame->width;

		while (end && cells[end - 1].ch == ' ')
			end--;
		for (size_t i = 0; i < end; i++)
			if (cells[i].ch)
				add_char(out, cells[i].ch);
		sb_strbuf_addc(out, '\n');
	}
}

void sb_monitor_frame_done(struct sb_monitor_frame *frame)
{
	free(frame->cells);
	*frame = (struct sb_monitor_frame){ 0 };
}
