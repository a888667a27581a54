/* sb_monitor.h - what `sparkbus monitor` shows: a model of nodes, jobs and lines, a view of it
 * (what is selected, how it is sorted), and the frame, which is the screen as cells. Pure: no
 * terminal, no clock, no network; who paints a frame and who fills a model is not known here. */
#ifndef SB_MONITOR_H
#define SB_MONITOR_H

#include "sb_err.h"
#include "sb_strbuf.h"

/* Readings that a history keeps: the widest sparkline. */
#define SB_MONITOR_HISTORY 120
/* Lines of events, and of a log, that a model keeps. */
#define SB_MONITOR_LINES 200
/* Bytes of a name by which a row stays selected. */
#define SB_MONITOR_KEY 160
/* A frame is at most this wide and high; a larger terminal stays empty beyond. */
#define SB_MONITOR_SIDE_MAX 1000
/* A reading that there is none of. */
#define SB_MONITOR_NONE INT32_MIN

/* --- the model --- */

/* A ring of percentages, SB_MONITOR_NONE where a reading was missing. Zeroed is empty. */
struct sb_monitor_history {
	int32_t values[SB_MONITOR_HISTORY];
	size_t n, at; /* readings kept; where the next one goes */
};
void sb_monitor_history_add(struct sb_monitor_history *history, int32_t percent);
/** Append exactly @width characters: the newest reading last, higher is more, blanks where there
 * is none. @ascii: digits 0 to 9, tenths of the whole, in place of blocks. */
void sb_monitor_spark(const struct sb_monitor_history *history, size_t width, bool ascii,
		struct sb_strbuf *out);

/* Texts are owned by the model and may be NULL, which shows as "-". */
struct sb_monitor_node {
	char *name;
	char *silent; /* why it did not answer; NULL = it did */
	char *health, *memory, *fabric;
	int32_t memory_percent; /* in use */
	int32_t gpu_percent, gpu_c, gpu_w;
	unsigned jobs;
	bool well; /* nothing is wrong with it */
	struct sb_monitor_history memory_history, gpu_history;
};

enum sb_monitor_tone {
	SB_MONITOR_PLAIN,
	SB_MONITOR_DIM,
	SB_MONITOR_HEAD,
	SB_MONITOR_GOOD,
	SB_MONITOR_WARN,
	SB_MONITOR_BAD,
	SB_MONITOR_TONE_COUNT_,
};

struct sb_monitor_job {
	char *id, *name, *state, *health, *up, *model, *url, *reason, *nodes;
	char *tokens, *kv, *requests; /* of the engine: tokens/s, cache in use, running+waiting */
	enum sb_monitor_tone tone;
};

/* Lines, the newest last. */
struct sb_monitor_lines {
	char *items[SB_MONITOR_LINES];
	size_t n;
};
/** Append @text, which the lines own from now on (NULL is dropped); the oldest goes when full. */
void sb_monitor_lines_add(struct sb_monitor_lines *lines, char *text);
void sb_monitor_lines_done(struct sb_monitor_lines *lines);

struct sb_monitor_model {
	struct sb_monitor_node *nodes;
	size_t n_nodes;
	struct sb_monitor_job *jobs;
	size_t n_jobs;
	char clock[16];              /* when it was made; "" = nobody was asked yet */
	char error[SB_ERR_TEXT_MAX]; /* why nothing can be asked, or "" */
};
/** Room for so many nodes and jobs, all empty. */
int sb_monitor_model_init(
		struct sb_monitor_model *model, size_t n_nodes, size_t n_jobs, struct sb_err *err);
void sb_monitor_model_done(struct sb_monitor_model *model);
/** Take over the histories that @before has of nodes of the same name, and append this model's
 * readings to them. */
void sb_monitor_model_follow(struct sb_monitor_model *model, const struct sb_monitor_model *before);

/* --- the view --- */

enum sb_monitor_sort {
	SB_MONITOR_BY_NAME,
	SB_MONITOR_BY_MEMORY, /* the fullest first */
	SB_MONITOR_BY_GPU,    /* the busiest first */
	SB_MONITOR_BY_JOBS,
	SB_MONITOR_SORT_COUNT_,
};
struct sb_monitor_view {
	enum sb_monitor_sort sort;
	bool on_job;                   /* the selected row is a job, not a node */
	char selected[SB_MONITOR_KEY]; /* its name or id; "" = the first node */
	bool log;                      /* the pane shows a job's log, not events */
	bool help;
	bool ascii; /* the terminal shows nothing else */
	bool plain; /* no row is marked: for paper */
};
/** Nodes in the view's order, as indexes. @ret_order has room for model->n_nodes. Nodes that are
 * alike in what is sorted by stay in the order of the model; silent ones come last. */
void sb_monitor_order(
		const struct sb_monitor_model *model, enum sb_monitor_sort sort, size_t *ret_order);
/** Move the selection by @by rows through the nodes and on through the jobs; it stays at the ends.
 */
void sb_monitor_move(const struct sb_monitor_model *model, struct sb_monitor_view *view, int by);
/** Id of the job whose log is shown: the selected one, else the first; NULL when there is none.
 * Borrowed from @model. */
const char *sb_monitor_log_job(
		const struct sb_monitor_model *model, const struct sb_monitor_view *view);

/* --- the frame --- */

struct sb_monitor_cell {
	uint32_t ch; /* Unicode; 0 = the right half of the wide character before it */
	uint8_t tone;
	bool marked; /* of the selected row */
};
struct sb_monitor_frame {
	size_t width, height;
	struct sb_monitor_cell *cells; /* height rows of width */
};
/** Lay out @model as @view shows it. @lines: of the pane, events or a log. The frame is the
 * caller's: sb_monitor_frame_done(). -SB_E_INVALID for a side that is 0 or above the maximum. */
int sb_monitor_frame(const struct sb_monitor_model *model, const struct sb_monitor_lines *lines,
		const struct sb_monitor_view *view, size_t width, size_t height,
		struct sb_monitor_frame *ret, struct sb_err *err);
/** Rows that show everything, with @lines lines in the pane. */
size_t sb_monitor_height(const struct sb_monitor_model *model, size_t lines);
/** Append the frame as lines of UTF-8, without blanks at their ends and without tones. */
void sb_monitor_frame_text(const struct sb_monitor_frame *frame, struct sb_strbuf *out);
void sb_monitor_frame_done(struct sb_monitor_frame *frame);

#endif
