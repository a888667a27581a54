/* internal.h - shared by the files of agent/engine: running calls and streams.
 *
 * Layers: agent/http sends requests and knows nothing of containers. call.c owns running calls:
 * negotiation of the API version, cancelling, the one answer. docker.c, container.c, logs.c, pull.c
 * and events.c are the operations; sb_engine_parts.h are the pure parsers and builders they use. */
#ifndef SB_ENGINE_INTERNAL_H
#define SB_ENGINE_INTERNAL_H

#include <jansson.h>
#include <sys/queue.h>

#include "sb_engine.h"
#include "sb_engine_parts.h"
#include "sb_http.h"
#include "sb_strbuf.h"

/* --- call.c --- */

/* Bytes of a reply. */
#define REPLY_SMALL_MAX ((size_t)64 << 10)
#define REPLY_INFO_MAX  ((size_t)1 << 20)
#define REPLY_DOC_MAX   ((size_t)16 << 20) /* inspect, list, df */

/* Deadlines. What reads only the engine's memory is quick; what touches disks is not. */
#define QUICK_MS 30000
#define DISK_MS  120000

struct sb_engine_call;
struct docker;

/* How one kind of request behaves. */
struct op {
	const char *name; /* as messages have it: "inspect" */
	const char *method;
	uint64_t deadline_ms;
	size_t reply_max;
	int also_ok;      /* a status that is success besides 2xx; 0 = none */
	bool once;        /* see sb_http_ask */
	bool unversioned; /* no "/v1.41" before the target, and no negotiation */
	/* A reply 2xx (or also_ok) of a request that is not a stream. Either finishes the call or
	 * sends its next request. */
	void (*reply)(struct sb_engine_call *call, const struct sb_http_result *res);
};

union call_fn {
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
};

struct sb_engine_call {
	struct docker *docker;
	TAILQ_ENTRY(sb_engine_call) all;
	TAILQ_ENTRY(sb_engine_call) waiting; /* for the negotiation, while is_waiting */
	bool is_waiting;
	bool ended;   /* finished or cancelled: no callback any more */
	bool retried; /* once, with another API version */
	struct sb_http_later later;
	const struct op *op; /* of the running request */
	char *subject;       /* container, image: for messages */
	char *target;        /* of the running request, without version */
	char *body;
	size_t body_len;
	const char *content_type;
	char *auth;
	struct sb_http_req *req;
	union call_fn fn;
	void *ctx;
	/* Tells the user of a failure by the callback's own signature. */
	void (*fail)(struct sb_engine_call *call, const struct sb_err *err);
	/* Streams; NULL elsewhere. */
	void (*stream_head)(struct sb_engine_call *call);
	void (*stream_data)(struct sb_engine_call *call, const char *data, size_t len);
	/* Takes every end of a request, also failures, instead of op->reply and fail. */
	void (*stream_end)(struct sb_engine_call *call, const struct sb_http_result *res,
			const struct sb_err *err);
	uint64_t more_ms; /* on top of the deadline of its op */
	uint64_t idle_ms;
	bool idle_always;
	void *state; /* of exec, logs, pull, events, list */
	void (*free_state)(void *state);
};

TAILQ_HEAD(call_list, sb_engine_call);

struct docker {
	struct sb_engine base;
	sd_event *loop;
	struct sb_http *http;
	char *socket;
	struct engine_limits limits;
	unsigned api; /* negotiated, see api_parse(); 0 = not known */
	bool dead;
	struct sb_http_req *negotiation;
	struct call_list calls, waiting;
	size_t n_calls;
	struct sb_http_later later;
};

/** A call that is in the list and has no request yet. @subject is copied. */
int call_new(struct docker *docker, const struct op *op, const char *subject,
		void (*fail)(struct sb_engine_call *, const struct sb_err *), union call_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err);
/** Send call->op to call->target (which the call owns). Waits for the negotiation first when
 * the version is not known. */
int call_send(struct sb_engine_call *call, struct sb_err *err);
/** Set the next request: @target is taken over. Out of memory when @target is NULL. */
int call_next(struct sb_engine_call *call, const struct op *op, char *target, struct sb_err *err);
/** The end: drop the call from the list. True when the user is to be told, which the caller then
 * does; the call's memory lives until the dispatcher is done. */
bool call_finish(struct sb_engine_call *call);
/** call_finish() and tell the user of @err. */
void call_fail(struct sb_engine_call *call, const struct sb_err *err);
void call_cancel(struct sb_engine_call *call);
/** Parse a reply; on failure the call is finished with the error and NULL comes back. */
json_t *call_json(struct sb_engine_call *call, const struct sb_http_result *res);
/** What an end of a request means: 0, or -code and @err. */
int call_outcome(struct sb_engine_call *call, const struct sb_http_result *res, struct sb_err *err);

/** Send the first request of @call, to @target, which is taken over. On failure the call is gone.
 */
int call_launch(struct sb_engine_call *call, char *target, struct sb_engine_call **ret,
		struct sb_err *err);
/** call_new() and call_launch() of a request without body. */
int call_begin(struct sb_engine *engine, const struct op *op, const char *subject, char *target,
		void (*fail)(struct sb_engine_call *, const struct sb_err *), union call_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err);
/** Fail: the reply lacks what it must have. */
void call_fail_shape(struct sb_engine_call *call, const char *what);
/** call_fail() with operation and subject put before @err. */
void call_fail_parse(struct sb_engine_call *call, struct sb_err *err);

int docker_ping(struct sb_engine *, sb_engine_done_fn, void *, struct sb_engine_call **,
		struct sb_err *);

static inline struct docker *docker_of(struct sb_engine *engine)
{
	return sb_container_of(engine, struct docker, base);
}

/* --- container.c --- */

int docker_create(struct sb_engine *, const struct sb_container_spec *, sb_engine_id_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_start(struct sb_engine *, const char *id, sb_engine_done_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_inspect(struct sb_engine *, const char *id, sb_container_info_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_stop(struct sb_engine *, const char *id, unsigned grace_s, sb_engine_done_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_kill(struct sb_engine *, const char *id, int signal, sb_engine_done_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_wait(struct sb_engine *, const char *id, sb_engine_wait_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_remove(struct sb_engine *, const char *id, bool force, sb_engine_done_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_list(struct sb_engine *, const char *label, sb_container_list_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_archive_put(struct sb_engine *, const char *id, const char *path, const void *tar,
		size_t len, sb_engine_done_fn, void *, struct sb_engine_call **, struct sb_err *);

/* --- exec.c, logs.c, events.c, pull.c --- */

int docker_exec(struct sb_engine *, const char *id, const struct sb_exec_spec *, sb_engine_exec_fn,
		void *, struct sb_engine_call **, struct sb_err *);

int docker_logs(struct sb_engine *, const char *id, uint64_t since_unix_ns, bool follow,
		sb_engine_log_fn, void *, struct sb_engine_call **, struct sb_err *);
int docker_events(struct sb_engine *, const char *label, sb_engine_event_fn, void *,
		struct sb_engine_call **, struct sb_err *);
int docker_pull(struct sb_engine *, const char *ref, const char *auth, sb_pull_progress_fn,
		sb_engine_done_fn, void *, struct sb_engine_call **, struct sb_err *);

/** printf into a new string; NULL when out of memory. */
char *text_new(const char *fmt, ...) SB_PRINTF(1, 2);
void call_fail_done(struct sb_engine_call *call, const struct sb_err *err);

/** The name or id of a container as it may stand in a path; SB_E_INVALID with @id in the text. */
int container_ref_check(const char *id, struct sb_err *err);

#endif
