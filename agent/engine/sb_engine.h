/* sb_engine.h - a container engine, as the agent sees it: operations that never block.
 *
 * Every operation is asynchronous: it returns 0 when it was accepted and then calls its callback
 * exactly once, later, on the loop thread; or it returns an error and never calls back. The
 * returned handle cancels it (then the callback is not called). Streams call back many times.
 * All operations have a deadline of their own. docker.c speaks the Docker Engine API over a unix
 * socket through curl's multi interface; tests/support has an engine that lives in the process. */
#ifndef SB_ENGINE_H
#define SB_ENGINE_H

#include <systemd/sd-event.h>

#include "sb_err.h"

struct sb_engine;
struct sb_engine_call; /* one running operation or stream */

/* --- what goes in (borrowed during the call only) --- */

struct sb_kv {
	const char *key, *value;
};
struct sb_engine_mount {
	const char *source, *target;
	bool read_only;
};
struct sb_engine_ulimit {
	const char *name;
	int64_t soft, hard;
};
struct sb_container_spec {
	const char *name, *image;
	const char *const *argv; /* n_argv words: the container's Cmd */
	size_t n_argv;
	bool set_entrypoint; /* replace the image's entrypoint by @entrypoint ("" clears it) */
	const char *entrypoint;
	const struct sb_kv *env;
	size_t n_env;
	const struct sb_kv *labels;
	size_t n_labels;
	const struct sb_engine_mount *mounts;
	size_t n_mounts;
	const char *const *devices; /* paths, same on node and in container */
	size_t n_devices;
	const char *const *cap_add;
	size_t n_cap_add;
	const char *const *security_opt;
	size_t n_security_opt;
	const struct sb_engine_ulimit *ulimits;
	size_t n_ulimits;
	const char *gpus; /* "" or NULL = none, "all", a count, "device=0,1" */
	const char *ipc;  /* NULL or "" = engine's default, so for the next three */
	const char *network;
	const char *user;
	const char *restart_policy; /* "always", "on-failure:3", ... */
	uint64_t shm_bytes;         /* 0 = engine's default */
	uint64_t memory_bytes;      /* 0 = no limit */
	bool privileged, init;
};

/* A command to run in a running container. */
struct sb_exec_spec {
	const char *const *argv; /* n_argv words */
	size_t n_argv;
	const char *user;  /* NULL or "" = the container's */
	uint64_t limit_ms; /* longest time it may take; 0 = none */
};

/* --- what comes out (borrowed during the callback only) --- */

struct sb_engine_version {
	const char *version, *api_version, *os, *arch;
};
struct sb_engine_info {
	const char *root_dir, *driver;
	int64_t containers_running;
};
struct sb_image_info {
	const char *id; /* "sha256:..." */
	uint64_t size_bytes;
	const char *arch;
	const char *const *repo_digests; /* NULL-terminated */
	const char *const *entrypoint;   /* NULL-terminated */
};
enum sb_container_state {
	SB_CONTAINER_CREATED,
	SB_CONTAINER_RUNNING,
	SB_CONTAINER_PAUSED,
	SB_CONTAINER_RESTARTING,
	SB_CONTAINER_EXITED,
	SB_CONTAINER_REMOVING,
	SB_CONTAINER_DEAD,
};
struct sb_container_info {
	const char *id, *name, *image;
	enum sb_container_state state;
	int pid; /* 0 = not running */
	int exit_code;
	bool oom_killed;
	const char *error;                          /* the engine's own words on a failed start */
	uint64_t started_unix_ms, finished_unix_ms; /* 0 = never */
	const struct sb_kv *labels;
	size_t n_labels;
};
/** Value of the label @key; NULL when it is not set. */
const char *sb_container_label(const struct sb_container_info *info, const char *key);

struct sb_engine_event {
	const char *type;   /* "container", "image" */
	const char *action; /* "start", "die", "destroy", "oom", "pull", ... */
	const char *id;     /* container id, or image reference */
	const char *name;
	int exit_code;                  /* with "die", else 0 */
	const struct sb_kv *attributes; /* labels among them */
	size_t n_attributes;
	uint64_t unix_ns;
};
struct sb_engine_log {
	int stream; /* 1 stdout, 2 stderr */
	uint64_t unix_ns;
	const char *text; /* one line without its end; longer ones come in parts of 16 KiB */
	size_t len;
};
struct sb_engine_df {
	uint64_t images_bytes, containers_bytes, volumes_bytes;
};

/* @err is NULL on success. The other argument is NULL on failure. */
typedef void (*sb_engine_done_fn)(void *ctx, const struct sb_err *err);
typedef void (*sb_engine_id_fn)(void *ctx, const char *id, const struct sb_err *err);
typedef void (*sb_engine_version_fn)(
		void *, const struct sb_engine_version *, const struct sb_err *);
typedef void (*sb_engine_info_fn)(void *, const struct sb_engine_info *, const struct sb_err *);
typedef void (*sb_engine_df_fn)(void *, const struct sb_engine_df *, const struct sb_err *);
typedef void (*sb_image_info_fn)(void *, const struct sb_image_info *, const struct sb_err *);
typedef void (*sb_container_info_fn)(
		void *, const struct sb_container_info *, const struct sb_err *);
typedef void (*sb_container_list_fn)(
		void *, const struct sb_container_info *list, size_t n, const struct sb_err *);
typedef void (*sb_engine_wait_fn)(void *ctx, int exit_code, const struct sb_err *err);
/** Streams. @item is NULL at the end: then @err says why it ended, or is NULL at a normal end. */
typedef void (*sb_engine_log_fn)(
		void *ctx, const struct sb_engine_log *item, const struct sb_err *);
/** Lines of output (no times), then once with @line NULL: @exit_code, or @err. */
typedef void (*sb_engine_exec_fn)(void *ctx, const struct sb_engine_log *line, int exit_code,
		const struct sb_err *err);
/** @resync: the stream was (re)connected and events may have been missed that could not be
 * replayed: list the containers. Never ends by itself; reconnects with backoff, asking for what
 * happened since the last event seen. @err with @item NULL reports each lost connection. */
typedef void (*sb_engine_event_fn)(void *ctx, const struct sb_engine_event *item, bool resync,
		const struct sb_err *err);
typedef void (*sb_pull_progress_fn)(void *ctx, const char *layer, const char *status,
		uint64_t current_bytes, uint64_t total_bytes);

/* Operations of an engine. NULL is not allowed in any member. */
struct sb_engine_ops {
	void (*free)(struct sb_engine *);
	int (*ping)(struct sb_engine *, sb_engine_done_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	int (*version)(struct sb_engine *, sb_engine_version_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	int (*info)(struct sb_engine *, sb_engine_info_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	int (*df)(struct sb_engine *, sb_engine_df_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	int (*image_inspect)(struct sb_engine *, const char *ref, sb_image_info_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* @auth: value for X-Registry-Auth or NULL. @progress may be NULL. Deadline: 60 s without
	 * any progress, none in total. An error inside the progress stream is the call's error. */
	int (*image_pull)(struct sb_engine *, const char *ref, const char *auth,
			sb_pull_progress_fn, sb_engine_done_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	/* id_fn gets the new container's id. SB_E_NOT_FOUND: no such image; SB_E_BUSY: name taken.
	 */
	int (*create)(struct sb_engine *, const struct sb_container_spec *, sb_engine_id_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	int (*start)(struct sb_engine *, const char *id, sb_engine_done_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	int (*inspect)(struct sb_engine *, const char *id_or_name, sb_container_info_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* SIGTERM, then SIGKILL after @grace_s. Already stopped is success. */
	int (*stop)(struct sb_engine *, const char *id, unsigned grace_s, sb_engine_done_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	int (*kill)(struct sb_engine *, const char *id, int signal, sb_engine_done_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* Calls back when the container is not running any more. */
	int (*wait)(struct sb_engine *, const char *id, sb_engine_wait_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* Already gone is success. */
	int (*remove)(struct sb_engine *, const char *id, bool force, sb_engine_done_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* All containers, also ended ones, that carry label @label ("key" or "key=value"; NULL =
	 * any). Each is inspected, so no field is missing; at most 1024. */
	int (*list)(struct sb_engine *, const char *label, sb_container_list_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* Lines after @since_unix_ns (0 = from the beginning); follows until the container ends. A
	 * stream that ends while the container runs ends with SB_E_UNAVAILABLE: ask again, with the
	 * time of the last line. */
	int (*logs)(struct sb_engine *, const char *id, uint64_t since_unix_ns, bool follow,
			sb_engine_log_fn, void *, struct sb_engine_call **, struct sb_err *);
	/* Only events of containers with label @label. */
	int (*events)(struct sb_engine *, const char *label, sb_engine_event_fn, void *,
			struct sb_engine_call **, struct sb_err *);
	/* Unpack the tar archive @tar (copied) into the folder @path of the container. */
	int (*archive_put)(struct sb_engine *, const char *id, const char *path, const void *tar,
			size_t len, sb_engine_done_fn, void *, struct sb_engine_call **,
			struct sb_err *);
	/* Run a command in the running container. SB_E_TIMEOUT after its limit: then, and after a
	 * cancel, it may run on, for an engine cannot end it. */
	int (*exec)(struct sb_engine *, const char *id, const struct sb_exec_spec *,
			sb_engine_exec_fn, void *, struct sb_engine_call **, struct sb_err *);
	/* A handle is valid until its (last) callback returns. NULL is fine. */
	void (*cancel)(struct sb_engine *, struct sb_engine_call *);
};

struct sb_engine {
	const struct sb_engine_ops *ops;
};

/** The Docker Engine (or Podman's compatible socket) at the unix socket @socket. Does not connect:
 * an absent engine makes operations fail with SB_E_UNAVAILABLE (or SB_E_DENIED), never this. */
int sb_engine_docker_new(
		sd_event *loop, const char *socket, struct sb_engine **ret, struct sb_err *err);
static inline void sb_engine_free(struct sb_engine *engine)
{
	if (engine)
		engine->ops->free(engine);
}
SB_DEFINE_CLEANUP(sb_engine_free, struct sb_engine *)

#endif
