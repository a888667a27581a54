/* fake_internal.h - what the two files of the fake engine share. */
#ifndef FAKE_INTERNAL_H
#define FAKE_INTERNAL_H

#include <sys/queue.h>

#include "fake_engine.h"

#define KVS_MAX    32
#define IMAGES_MAX 16

struct line {
	TAILQ_ENTRY(line) entry;
	struct sb_engine_log log;
	char text[256];
};

struct container {
	TAILQ_ENTRY(container) entry;
	TAILQ_HEAD(lines, line) lines;
	struct sb_container_info info; /* owns its texts */
	struct sb_kv labels[KVS_MAX];
};

struct event {
	TAILQ_ENTRY(event) entry;
	struct sb_engine_event ev; /* owns its texts */
	struct sb_kv kvs[KVS_MAX];
};

struct sb_engine_call {
	TAILQ_ENTRY(sb_engine_call) entry;
	struct fake_engine *fake;
	enum fake_op op;
	sd_event_source *turn;
	bool held, keep, ended, in_turn;
	char *id;               /* container, image, or the label of events and list */
	struct container *made; /* by create, not yet in the engine */
	uint64_t since_ns;
	bool flag; /* follow, force */
	int signal, exit_code;
	bool exited, resync;
	struct event *last_event;
	struct line *last_line;
	struct sb_err lost;
	union {
		sb_engine_done_fn done;
		sb_engine_id_fn id;
		sb_engine_version_fn version;
		sb_engine_info_fn info;
		sb_engine_df_fn df;
		sb_image_info_fn image;
		sb_container_info_fn container;
		sb_container_list_fn list;
		sb_engine_wait_fn wait;
		sb_engine_log_fn log;
		sb_engine_event_fn event;
		sb_engine_exec_fn exec;
	} fn;
	sb_pull_progress_fn progress;
	void *ctx;
};

struct fake_engine {
	struct sb_engine base;
	sd_event *loop;
	TAILQ_HEAD(, container) containers;
	TAILQ_HEAD(events, event) events;
	TAILQ_HEAD(, sb_engine_call) calls;
	char *images[IMAGES_MAX];
	struct sb_err fail[FAKE_OP_COUNT_];
	bool delayed[FAKE_OP_COUNT_];
	unsigned count[FAKE_OP_COUNT_], made;
	void *archive; /* the last one that was put */
	size_t archive_len;
	char user[64], argv[1024]; /* of the last spec */
	char entrypoint[128];
	bool has_entrypoint;
	const char *image_entrypoint;
	char exec_argv[1024], exec_line[256];
	int exec_code;
};

void *fake_must(void *p);
char *fake_copy(const char *s);
void fake_drop(const char *s);
void fake_drop_kvs(struct sb_kv *list, size_t n);
bool fake_has_label(const struct sb_kv *list, size_t n, const char *label);
struct container *fake_find(struct fake_engine *fake, const char *id);
struct container *fake_container_new(struct fake_engine *fake, const char *name, const char *image,
		const struct sb_kv *labels, size_t n);
void fake_container_free(struct container *c);
void fake_kick(struct fake_engine *fake, enum fake_op op);
void fake_tell(struct fake_engine *fake, const struct container *c, const char *action);
void fake_run(struct fake_engine *fake, struct container *c);
char **fake_image_slot(struct fake_engine *fake, const char *ref);

#endif
