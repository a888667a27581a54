/* docker.c - the Docker Engine API, what is about the engine itself and its images. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

const struct engine_limits engine_limits_default = {
	.answer_ms = 30000,
	.pull_idle_ms = 60000,
	.log_end_ms = 5000,
	.backoff_min_ms = 100,
	.backoff_max_ms = 5000,
};

/* --- the engine itself --- */

static void fail_version(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.version(call->ctx, NULL, err);
}

static void on_version(struct sb_engine_call *call, const struct sb_http_result *res)
{
	json_t *doc = call_json(call, res);
	struct sb_engine_version version = {
		.version = json_text(doc, "Version"),
		.api_version = json_text(doc, "ApiVersion"),
		.os = json_text(doc, "Os"),
		.arch = json_text(doc, "Arch"),
	};

	if (doc && !*version.version)
		call_fail_shape(call, "no Version");
	else if (doc && call_finish(call))
		call->fn.version(call->ctx, &version, NULL);
	json_decref(doc);
}

static int docker_version(struct sb_engine *engine, sb_engine_version_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "version",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_SMALL_MAX,
		.unversioned = true,
		.reply = on_version };

	return call_begin(engine, &op, "", strdup("/version"), fail_version,
			(union call_fn){ .version = fn }, ctx, ret, err);
}

static void fail_info(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.info(call->ctx, NULL, err);
}

static void on_info(struct sb_engine_call *call, const struct sb_http_result *res)
{
	json_t *doc = call_json(call, res);
	struct sb_engine_info info = {
		.root_dir = json_text(doc, "DockerRootDir"),
		.driver = json_text(doc, "Driver"),
		.containers_running = json_number(doc, "ContainersRunning"),
	};

	if (doc && !json_is_object(doc))
		call_fail_shape(call, "no object");
	else if (doc && call_finish(call))
		call->fn.info(call->ctx, &info, NULL);
	json_decref(doc);
}

static int docker_info(struct sb_engine *engine, sb_engine_info_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "info",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_INFO_MAX,
		.reply = on_info };

	return call_begin(engine, &op, "", strdup("/info"), fail_info,
			(union call_fn){ .info = fn }, ctx, ret, err);
}

static void fail_df(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.df(call->ctx, NULL, err);
}

/* -1 stands for "not measured" there. */
static uint64_t positive(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static void on_df(struct sb_engine_call *call, const struct sb_http_result *res)
{
	json_t *doc = call_json(call, res), *item;
	struct sb_engine_df df = { .images_bytes = positive(json_number(doc, "LayersSize")) };
	size_t i;

	json_array_foreach (json_object_get(doc, "Containers"), i, item) {
		df.containers_bytes += positive(json_number(item, "SizeRw"));
	}
	json_array_foreach (json_object_get(doc, "Volumes"), i, item) {
		df.volumes_bytes +=
				positive(json_number(json_object_get(item, "UsageData"), "Size"));
	}
	if (doc && !json_is_object(doc))
		call_fail_shape(call, "no object");
	else if (doc && call_finish(call))
		call->fn.df(call->ctx, &df, NULL);
	json_decref(doc);
}

static int docker_df(struct sb_engine *engine, sb_engine_df_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "df",
		.method = "GET",
		.deadline_ms = DISK_MS,
		.reply_max = REPLY_DOC_MAX,
		.reply = on_df };

	return call_begin(engine, &op, "", strdup("/system/df"), fail_df,
			(union call_fn){ .df = fn }, ctx, ret, err);
}

/* --- images --- */

static void fail_image(struct sb_engine_call *call, const struct sb_err *err)
{
	call->fn.image(call->ctx, NULL, err);
}

static void on_image(struct sb_engine_call *call, const struct sb_http_result *res)
{
	SB_CLEANUP(sb_freep) const char **digests = NULL;
	SB_CLEANUP(sb_freep) const char **entrypoint = NULL;
	json_t *doc = call_json(call, res), *config = json_object_get(doc, "Config");
	struct sb_err err = SB_ERR_INIT;
	struct sb_image_info info = {
		.id = json_text(doc, "Id"),
		.size_bytes = positive(json_number(doc, "Size")),
		.arch = json_text(doc, "Architecture"),
	};

	if (!doc)
		return;
	if (!*info.id) {
		call_fail_shape(call, "no Id");
	} else if (json_texts(json_object_get(doc, "RepoDigests"), &digests, &err) < 0 ||
			json_texts(json_object_get(config, "Entrypoint"), &entrypoint, &err) < 0) {
		call_fail_parse(call, &err);
	} else if (call_finish(call)) {
		info.repo_digests = digests;
		info.entrypoint = entrypoint;
		call->fn.image(call->ctx, &info, NULL);
	}
	json_decref(doc);
}

static int docker_image_inspect(struct sb_engine *engine, const char *ref, sb_image_info_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	static const struct op op = { .name = "inspect image",
		.method = "GET",
		.deadline_ms = QUICK_MS,
		.reply_max = REPLY_DOC_MAX,
		.reply = on_image };
	struct image_ref parts; /* proves that @ref may stand in a path */
	int rc = image_ref_parse(ref, &parts, err);

	if (rc < 0)
		return rc;
	return call_begin(engine, &op, ref, text_new("/images/%s/json", ref), fail_image,
			(union call_fn){ .image = fn }, ctx, ret, err);
}

/* --- life --- */

static void docker_destroy(struct sb_http_later *later)
{
	struct docker *docker = sb_container_of(later, struct docker, later);

	sd_event_unref(docker->loop);
	free(docker->socket);
	free(docker);
}

static void docker_free(struct sb_engine *engine)
{
	struct docker *docker = docker_of(engine);
	struct sb_engine_call *call;

	docker->dead = true;
	while ((call = TAILQ_FIRST(&docker->calls)))
		call_cancel(call);
	sb_http_cancel(sb_steal(docker->negotiation));
	/* While the dispatcher runs, it frees the docker object after what waits for it above, and
	 * then http itself. */
	struct sb_http *http = docker->http;

	sb_http_later(http, &docker->later);
	sb_http_free(http);
}

static void docker_cancel(struct sb_engine *engine, struct sb_engine_call *call)
{
	call_cancel(call);
}

static const struct sb_engine_ops docker_ops = {
	.free = docker_free,
	.ping = docker_ping,
	.version = docker_version,
	.info = docker_info,
	.df = docker_df,
	.image_inspect = docker_image_inspect,
	.image_pull = docker_pull,
	.create = docker_create,
	.start = docker_start,
	.inspect = docker_inspect,
	.stop = docker_stop,
	.kill = docker_kill,
	.wait = docker_wait,
	.remove = docker_remove,
	.list = docker_list,
	.logs = docker_logs,
	.events = docker_events,
	.archive_put = docker_archive_put,
	.exec = docker_exec,
	.cancel = docker_cancel,
};

static int open_http(struct docker *docker, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *what = text_new("container engine at %s", docker->socket);
	const struct sb_http_peer peer = {
		.what = what,
		.socket = docker->socket,
		.hint_down = "start it: systemctl start docker",
		.hint_denied = "run the agent as root or as a member of the group that owns the "
			       "socket",
	};

	if (!what)
		return sb_err_nomem(err);
	return sb_http_new(docker->loop, &peer, &docker->http, err);
}

int sb_engine_docker_new_limited(sd_event *loop, const char *socket,
		const struct engine_limits *limits, struct sb_engine **ret, struct sb_err *err)
{
	struct docker *docker = calloc(1, sizeof(*docker));
	int rc;

	if (!docker)
		return sb_err_nomem(err);
	docker->base.ops = &docker_ops;
	docker->limits = *limits;
	docker->later.run = docker_destroy;
	docker->loop = sd_event_ref(loop);
	docker->socket = strdup(socket);
	TAILQ_INIT(&docker->calls);
	TAILQ_INIT(&docker->waiting);
	rc = docker->socket ? open_http(docker, err) : sb_err_nomem(err);
	if (rc < 0) {
		docker_destroy(&docker->later);
		return rc;
	}
	*ret = &docker->base;
	return 0;
}

int sb_engine_docker_new(
		sd_event *loop, const char *socket, struct sb_engine **ret, struct sb_err *err)
{
	return sb_engine_docker_new_limited(loop, socket, &engine_limits_default, ret, err);
}
